#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a line in the journal of operations."""

from __future__ import annotations

import pathlib

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_journal import JournalError, append, entries

DOCUMENTATION = r"""
module: operations_journal
short_description: A line in the journal of operations
description:
  - Appends one entry to the hash-chained journal of operations and returns its head. The code is C(congvu_mail.journal), brought along.
  - For acts that change nothing in the directory; those that do are journalled where they are carried out.
options:
  path:
    description: The journal. Its folder is made when it is missing.
    type: path
    default: /var/lib/congvu-mail/journal/operations.jsonl
  act:
    description: What was done.
    type: str
    required: true
  mailbox:
    description: To what.
    type: str
    required: true
  document:
    description: Number and date of the document it rests on; empty when it is still missing.
    type: str
    default: ""
  reason:
    description: Why.
    type: str
    required: true
  operator:
    description: Who did it.
    type: str
    required: true
  after:
    description: What came of it.
    type: dict
    default: {}
  result:
    description: C(done), or what went wrong.
    type: str
    default: done
  once:
    description: Append nothing when the journal has an entry with the same act, mailbox, document and result.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Record it
  operations_journal:
    act: recall
    mailbox: <20261122.17@example.gov.vn>
    document: 12/SNV ngày 20/11/2026
    reason: tài liệu mật
    operator: Lê Văn Trực
"""

RETURN = r"""
head:
  description: Number and hash of the new line, to be kept elsewhere; empty when nothing was appended.
  type: str
  returned: success
"""

SAME = ("act", "mailbox", "document", "result")


def main():
    """Append."""
    required = {name: {"type": "str", "required": True} for name in ("act", "mailbox", "reason", "operator")}
    module = AnsibleModule(
        argument_spec={
            **required,
            "path": {"type": "path", "default": "/var/lib/congvu-mail/journal/operations.jsonl"},
            "document": {"type": "str", "default": ""},
            "after": {"type": "dict", "default": {}},
            "result": {"type": "str", "default": "done"},
            "once": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    line = dict(module.params)
    path, once = pathlib.Path(line.pop("path")), line.pop("once")
    try:
        if once and path.exists() and any(all(entry[name] == line[name] for name in SAME) for entry in entries(path)):
            module.exit_json(changed=False, head="")
        if module.check_mode:
            module.exit_json(changed=True, head="")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = append(path, **line)
    except (OSError, JournalError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, head=str(head))


if __name__ == "__main__":
    main()
