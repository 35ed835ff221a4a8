#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what the mail filter holds back: list it, release it, let it expire."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_command import Failure, output
from ansible.module_utils.congvu_months import VIETNAM

DOCUMENTATION = r"""
module: quarantine
short_description: List, release or expire held mail
description:
  - Held mail lies in the folder C(Quarantine/Held) of the recipient's own mailbox, which the users' protocols do not know (role dovecot).
    Runs on a host with Dovecot, as root; reads only mailboxes that have such a folder.
options:
  state:
    description:
      - C(listed) returns what is held.
      - C(released) moves messages to the recipient's INBOX. With I(message_id) those with it, in every mailbox or in I(mailbox) alone.
      - C(expired) deletes what has been held for longer than I(days), after the recipient was told, and the sender when he has a mailbox on
        this host. Senders elsewhere were told when it was held; to tell an address that may be forged again would bother strangers.
    type: str
    choices: [listed, released, expired]
    default: listed
  mailbox:
    description: Only this mailbox (an address or uid). Default is all.
    type: str
  message_id:
    description: Message-ID with or without angle brackets. Required with C(released).
    type: str
  days:
    description: Age in days from which held mail expires.
    type: int
  mail_root:
    description: Folder of the mailboxes.
    type: path
    default: /srv/mail
"""

RETURN = r"""
messages:
  description: The messages concerned, C({mailbox, held, sender, subject, size, message_id}); I(held) is ISO 8601 with the offset.
  type: list
  returned: success
"""

FOLDER = "Quarantine/Held"
PROGRAM = "/usr/local/lib/congvu-mail/held-notice"
FIELDS = {
    "mailbox": "user",
    "uid": "uid",
    # When it was delivered: a restore of the mailbox does not begin the term anew.
    "held": "date.received.unixtime",
    "size": "size.physical",
    "sender": "hdr.return-path",
    "from": "hdr.from.utf8",
    "subject": "hdr.subject.utf8",
    "message_id": "hdr.message-id",
}


def mailboxes(root: pathlib.Path, only: str | None) -> list[str]:
    """The uids of the mailboxes that hold something: a folder with a message file."""
    if only:
        return [output("doveadm", "user", "-f", "user", only).strip()]
    return sorted(path.name for path in root.iterdir() if any((path / "Quarantine").glob("**/[cn][ue][rw]/*")))


def held(user: str) -> list[dict[str, Any]]:
    """What a mailbox holds."""
    address = output("doveadm", "user", "-f", "sieve_user_email", user).strip() or user
    lines = output("doveadm", "-f", "tab", "fetch", "-u", user, " ".join(FIELDS.values()), "mailbox", FOLDER, "all")
    rows = [line.split("\t") for line in lines.splitlines()[1:]]
    return [dict(zip(FIELDS, row, strict=True)) | {"mailbox": address, "user": user} for row in rows]


def tell(message: dict[str, Any], days: int) -> None:
    """Say to both sides that a message expires."""
    header = output("doveadm", "fetch", "-u", message["user"], "hdr", "mailbox", FOLDER, "uid", message["uid"]).partition("\n")[2]
    sender = message["sender"].strip("<> ")
    known = sender and output("doveadm", "user", "-f", "user", sender, good=(0, 67)).strip()
    for address in dict.fromkeys([message["mailbox"], *([sender] if known else [])]):
        output(PROGRAM, output("doveconf", "-h", "postmaster_address").strip(), address, str(days), stdin=header)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["listed", "released", "expired"], "default": "listed"},
            "mailbox": {"type": "str"},
            "message_id": {"type": "str"},
            "days": {"type": "int"},
            "mail_root": {"type": "path", "default": "/srv/mail"},
        },
        required_if=[("state", "released", ["message_id"]), ("state", "expired", ["days"])],
        supports_check_mode=True,
    )
    given = module.params
    wanted = (given["message_id"] or "").strip("<> ")
    oldest = dt.datetime.now(dt.UTC).timestamp() - (given["days"] or 0) * 86400
    try:
        found = [message for user in mailboxes(pathlib.Path(given["mail_root"]), given["mailbox"]) for message in held(user)]
        if given["state"] == "expired":
            found = [message for message in found if int(message["held"]) < oldest]
        elif wanted:
            found = [message for message in found if message["message_id"].strip("<> ") == wanted]
        if given["state"] == "released" and not found:
            module.fail_json(msg=f"Không có thư nào đang bị giữ với Message-ID {wanted}. Xem danh sách: playbooks/quarantine.yml.")
        for message in [] if module.check_mode or given["state"] == "listed" else found:
            place = ("mailbox", FOLDER, "uid", message["uid"])
            if given["state"] == "released":
                output("doveadm", "move", "-u", message["user"], "INBOX", *place)
            else:
                tell(message, given["days"])
                output("doveadm", "expunge", "-u", message["user"], *place)
    except Failure as error:
        module.fail_json(msg=str(error))
    for message in found:
        moment = dt.datetime.fromtimestamp(int(message["held"]), VIETNAM)
        message.update(held=moment.isoformat(), size=int(message["size"]), sender=message["sender"].strip("<> ") or message["from"])
        for key in ("uid", "user", "from"):
            del message[key]
    module.exit_json(changed=given["state"] != "listed" and bool(found), messages=found)


if __name__ == "__main__":
    main()
