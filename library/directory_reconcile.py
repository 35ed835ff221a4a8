#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: carry out a plan of changes on the local directory in one pass."""

DOCUMENTATION = r"""
module: directory_reconcile
short_description: Carry out a plan of changes on the local directory in one pass
description:
  - Reads a file with LDAP operations (made by C(congvu_mail.directory)) in stages and carries them out over ldapi as root, in order, tens
    of thousands in one task.
  - Each act on a mailbox is a line of the journal of operations, written by C(congvu_mail.bulk), which the role C(lifecycle) installs.
  - An operation that is already done counts as unchanged, so a plan that was carried out half-way can be carried out again.
  - One that the directory refuses does not keep the others of its stage from being tried, but no later stage begins: no mailbox without its
    address in the ledger. All refusals are reported together.
  - Check mode compares every operation with the directory and tells what would be changed.
options:
  path:
    description: >-
      JSON list of stages, each a list of C({"verb": "add", "dn", "attributes": {name: [texts]}}) and
      C({"verb": "modify", "dn", "replace": {name: [texts]}}); an empty list of texts removes the attribute. C(journal), in either, is the
      line of the journal.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Carry out the plan
  directory_reconcile:
    path: /root/plan.json
"""

RETURN = r"""
done:
  description: Number of operations that changed (in check mode would change) the directory.
  type: int
  returned: always
unchanged:
  description: Number of operations that were done already.
  type: int
  returned: always
"""

import gc
import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_programs import programs

try:
    import ldap
except ImportError:
    ldap = None


def main():
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    gc.disable()  # as in directory_export
    with open(module.params["path"], encoding="utf-8") as file:
        stages = json.load(file)
    bulk, mailbox_store = programs(module, "bulk", "mailbox_store")
    total, done, unchanged, refused = sum(map(len, stages)), 0, 0, []
    try:
        with mailbox_store.Store() as store:
            for stage in stages:
                for operation, changed, refusal in [] if refused else bulk.carry_out(store, stage, module.check_mode):
                    if refusal:
                        refused.append(f"{operation['verb']} {operation['dn']}: {refusal}")
                    else:
                        done, unchanged = done + changed, unchanged + (not changed)
    except ldap.SERVER_DOWN:
        module.fail_json(
            msg=f"Máy chủ danh bạ (slapd) ngừng trả lời sau {done} trong {total} việc. Cách sửa: khởi động lại (systemctl start slapd) "
            "rồi chạy lại; việc đã xong vẫn giữ nguyên, chỉ làm nốt phần còn lại.",
            done=done,
        )
    except (mailbox_store.StoreError, mailbox_store.journal.JournalError) as error:
        module.fail_json(msg=f"{error} (đã xong {done} trong {total} việc)", done=done)
    result = {"changed": bool(done), "done": done, "unchanged": unchanged}
    if refused:
        said = "\n".join([*refused[:20], *([f"... and {len(refused) - 20} more"] if len(refused) > 20 else [])])
        module.fail_json(
            msg=f"the directory refused {len(refused)} of {total} operations, {done} are done; correct the cause and run again:\n{said}",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
