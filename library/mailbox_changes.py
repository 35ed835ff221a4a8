#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: carry out acts on mailboxes on the directory host, each with its line in the journal."""

DOCUMENTATION = r"""
module: mailbox_changes
short_description: Carry out acts on mailboxes, each with its line in the journal
description:
  - Reads a file with the changes that an act makes (C(congvu_mail.acts)) and carries them out one by one over ldapi as root, with
    C(congvu_mail.mailbox_store), which the role C(lifecycle) installs on the directory host.
  - A change that is done already counts as unchanged and is not journalled again. Check mode compares only.
  - What a run that was killed had begun is finished first. When the directory goes down on the way, the message names what is not done.
options:
  path:
    description: JSON list of changes.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Carry out an act
  mailbox_changes:
    path: /root/changes.json
"""

RETURN = r"""
done:
  description: Number of changes made (in check mode to be made).
  type: int
  returned: always
recovered:
  description: Addresses of mailboxes of which a run that was killed had begun something, done with now.
  type: list
  elements: str
  returned: success
head:
  description: Number and hash of the journal's last line, to be kept elsewhere; empty in check mode and when nothing changed.
  type: str
  returned: always
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_programs import programs


def main():
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    (mailbox_store,) = programs(module, "mailbox_store")
    with open(module.params["path"], encoding="utf-8") as file:
        changes = json.load(file)
    left, done, head, recovered = [change["journal"]["mailbox"] for change in changes], 0, "", []
    try:
        with mailbox_store.Store() as store:
            recovered = store.finished
            for change in changes:
                done += store.carry_out(change, module.check_mode)
                left.pop(0)
            head = str(store.head or "")
    except mailbox_store.StoreError as error:
        said = (
            f"Đã làm {done} trong {len(changes)} hộp thư; chưa xong: {', '.join(left)}. Chạy lại cùng lệnh: chỉ làm nốt những hộp thư đó."
        )
        module.fail_json(msg=f"{error}. {said}", changed=bool(done or recovered), done=done, head=head)
    module.exit_json(changed=bool(done or recovered), done=done, recovered=recovered, head=head)


if __name__ == "__main__":
    main()
