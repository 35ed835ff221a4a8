#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: search the record of headers that the mail filter keeps."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import pathlib
import unicodedata
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_months import VIETNAM

DOCUMENTATION = r"""
module: mail_headers
short_description: Search the record of headers of all mail
description:
  - Reads the files C(YYYY-MM-DD.jsonl.gz) that the role rspamd keeps (one JSON object a message, accepted or not) and returns what matches
    every condition given. Changes nothing.
  - Days are those of Viet Nam (UTC+7). Texts are compared without regard to case and to the form of Unicode, anywhere in the value.
options:
  directory:
    description: Folder of the files.
    type: path
    default: /var/lib/rspamd/headers
  since:
    description: First day, C(YYYY-MM-DD). Default is 30 days before I(until).
    type: str
  until:
    description: Last day, C(YYYY-MM-DD). Default is today.
    type: str
  sender:
    description: In the envelope's sender or in From.
    type: str
  recipient:
    description: In a recipient of the envelope or in To.
    type: str
  subject:
    description: In the subject.
    type: str
  message_id:
    description: In the Message-ID.
    type: str
  flag:
    description: >-
      What was noticed, one of C(secret_mark), C(sign_up), C(public_mail), C(forwarded_in), C(forward_refused), C(rate_exceeded),
      C(encrypted), C(virus), C(unscannable), C(executable), C(too_large), C(foreign_from), C(spam); another word is an error.
    type: str
  limit:
    description: At most so many messages are returned, the latest.
    type: int
    default: 500
"""

RETURN = r"""
messages:
  description: The records, oldest first, without C(headers) unless I(message_id) was given.
  type: list
  returned: success
count:
  description: How many matched.
  type: int
  returned: success
damaged:
  description: Files with lines that cannot be read.
  type: list
  returned: success
"""


# What the role rspamd notes (congvu-record.lua); a word that is none of them would find nothing, and read as if there was nothing.
FLAGS = (
    *("encrypted", "executable", "foreign_from", "forward_refused", "forwarded_in", "public_mail", "rate_exceeded"),
    *("secret_mark", "sign_up", "spam", "too_large", "unscannable", "virus"),
)


def no_such_flag(flag: str) -> str:
    """What is wrong with a flag, in Vietnamese; empty: nothing."""
    return f"flag “{flag}”: không có dấu hiệu này; ghi một trong: {', '.join(FLAGS)}" if flag and flag not in FLAGS else ""


def folded(text: str) -> str:
    """Text in the form in which it is compared."""
    return unicodedata.normalize("NFC", text).casefold()


def matches(record: dict[str, Any], wanted: dict[str, str], first: dt.date, last: dt.date) -> bool:
    """Whether a record fulfils every condition."""
    if not first <= dt.datetime.fromisoformat(record["time"]).astimezone(VIETNAM).date() <= last:
        return False
    places = {
        "sender": [record["sender"], record["from"]],
        "recipient": [*record["recipients"], record["to"]],
        "subject": [record["subject"]],
        "message_id": [record["message_id"]],
    }
    if any(not any(folded(wanted[key]) in folded(text) for text in texts) for key, texts in places.items() if wanted[key]):
        return False
    return not wanted["flag"] or wanted["flag"] in record["flags"]


def search(directory: pathlib.Path, wanted: dict[str, str], first: dt.date, last: dt.date) -> tuple[list[dict[str, Any]], list[str]]:
    """The records that match, and the files that are damaged. A file is named after a day in UTC: one more on either side is read."""
    found, damaged = [], []
    day = dt.timedelta(days=1)
    for file in sorted(directory.glob("*.jsonl.gz")):
        if not str(first - day) <= file.name[:10] <= str(last + day):
            continue
        try:
            with gzip.open(file, "rt", encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    try:
                        record = json.loads(line)
                    except ValueError:
                        damaged.append(file.name)
                        continue
                    if matches(record, wanted, first, last):
                        found.append(record)
        except (OSError, EOFError) as error:  # what stands before the damage counts
            damaged.append(f"{file.name}: {error}")
    return found, sorted(set(damaged))


def main() -> None:
    texts = dict.fromkeys(("sender", "recipient", "subject", "message_id", "flag"), {"type": "str"})
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/var/lib/rspamd/headers"},
            "since": {"type": "str"},
            "until": {"type": "str"},
            "limit": {"type": "int", "default": 500},
            **texts,
        },
        supports_check_mode=True,
    )
    given = module.params
    if problem := no_such_flag(given["flag"] or ""):
        module.fail_json(msg=problem)
    try:
        last = dt.date.fromisoformat(given["until"]) if given["until"] else dt.datetime.now(VIETNAM).date()
        first = dt.date.fromisoformat(given["since"]) if given["since"] else last - dt.timedelta(days=30)
    except ValueError as error:
        module.fail_json(msg=f"since, until: ngày phải viết YYYY-MM-DD, ví dụ 2026-11-22 ({error})")
    found, damaged = search(pathlib.Path(given["directory"]), {key: given[key] or "" for key in texts}, first, last)
    found.sort(key=lambda record: record["time"])
    if not given["message_id"]:
        found = [{key: value for key, value in record.items() if key != "headers"} for record in found]
    module.exit_json(changed=False, messages=found[-given["limit"] :], count=len(found), damaged=damaged)


if __name__ == "__main__":
    main()
