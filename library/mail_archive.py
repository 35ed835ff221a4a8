#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the copies that are kept of organisations' mail: count them, take some out for an auditor."""

from __future__ import annotations

import email.parser
import pathlib
import re
import tarfile
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_command import Failure, output

DOCUMENTATION = r"""
module: mail_archive
short_description: Count or export the copies kept of organisations' mail
description:
  - A copy of every message in and out of an organisation's mailbox lies in the folder C(Record/YYYY-MM) of that mailbox, which the users'
    protocols do not know (role dovecot). Runs on a host with Dovecot, as root; nothing is changed.
  - A message's number in its folder is never given again, so numbers that are missing tell that copies were taken out.
options:
  mailbox:
    description: Only this mailbox (an address or uid). Default is every mailbox that has copies.
    type: str
  month:
    description: Only this month, C(YYYY-MM).
    type: str
  message_id:
    description: With I(export), only messages with this Message-ID, with or without angle brackets.
    type: str
  export:
    description: >-
      Write the copies of I(mailbox), each a file MONTH/NAME.eml as it was delivered, into this tar archive (gzip, mode 0600).
      Without it they are counted.
    type: path
  mail_root:
    description: Folder of the mailboxes.
    type: path
    default: /srv/mail
"""

RETURN = r"""
months:
  description: >-
    One entry a mailbox and month, C({mailbox, month, messages, missing}); I(missing) is how many copies were there once and are not any
    more.
  type: list
  returned: success
exported:
  description: How many messages were written.
  type: int
  returned: success
"""

MONTH = re.compile(r"\d{4}-\d\d\Z")


def mailboxes(root: pathlib.Path, only: str | None) -> list[str]:
    """The uids of the mailboxes that have copies."""
    if only:
        return [output("doveadm", "user", "-f", "user", only).strip()]
    return sorted(path.name for path in root.iterdir() if any((path / "Record").glob(".[0-9]*")))


def months(user: str, only: str | None) -> Iterator[dict[str, Any]]:
    """How many copies a mailbox has, and how many are missing, by month."""
    address = output("doveadm", "user", "-f", "sieve_user_email", user).strip() or user
    lines = output("doveadm", "-f", "tab", "mailbox", "status", "-u", user, "messages uidnext", f"Record/{only or '*'}")
    for folder, messages, next_number in (line.split("\t") for line in sorted(lines.splitlines()[1:])):
        yield {
            "mailbox": address,
            "month": folder.removeprefix("Record/"),
            "messages": int(messages),
            "missing": int(next_number) - 1 - int(messages),
        }


def export(home: pathlib.Path, month: str | None, message_id: str | None, target: str) -> int:
    """Write copies into an archive; how many. None, no archive."""
    count = 0
    pathlib.Path(target).touch(mode=0o600)
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(home.glob(f"Record/.{month or '*'}/[cn][ue][rw]/*")):
            with path.open("rb") as file:
                found = email.parser.BytesHeaderParser().parse(file).get("Message-ID", "")
            if message_id and found.strip("<> ") != message_id.strip("<> "):
                continue
            count += 1
            archive.add(path, f"{path.parent.parent.name[1:]}/{path.name.split(':')[0]}.eml")
    if not count:
        pathlib.Path(target).unlink()
    return count


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "mailbox": {"type": "str"},
            "month": {"type": "str"},
            "message_id": {"type": "str"},
            "export": {"type": "path"},
            "mail_root": {"type": "path", "default": "/srv/mail"},
        },
        required_by={"export": ["mailbox"], "message_id": ["export"]},
        supports_check_mode=True,
    )
    given = module.params
    if given["month"] and not MONTH.match(given["month"]):
        module.fail_json(msg=f"month là {given['month']!r}: ghi dạng NĂM-THÁNG, ví dụ 2026-11")
    root = pathlib.Path(given["mail_root"])
    try:
        users = mailboxes(root, given["mailbox"])
        kept = [entry for user in users for entry in months(user, given["month"])]
        take = given["export"] and not module.check_mode
        exported = export(root / users[0], given["month"], given["message_id"], given["export"]) if take else 0
    except Failure as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(exported), months=kept, exported=exported)


if __name__ == "__main__":
    main()
