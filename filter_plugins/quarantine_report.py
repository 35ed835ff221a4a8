"""Filter `quarantine_report`: held mail as a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from congvu_mail.status import table

DOCUMENTATION = r"""
name: quarantine_report
short_description: Held mail as a table
description:
  - Lines of a table of what the module C(quarantine) returned on every mail host, the longest held first.
options:
  _input:
    description: Host name to result of C(quarantine).
    type: dict
    required: true
  act:
    description: What was done, C(list), C(release) or C(expire).
    type: str
    required: true
  check:
    description: It was only looked at what would be done.
    type: bool
    default: false
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ results | quarantine_report('list') }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
"""

SAID = {"list": "{} thư đang bị giữ.", "release": "{} thư {} giao vào hộp thư đến.", "expire": "{} thư {} xóa."}


def quarantine_report(results: Mapping[str, Mapping[str, Any]], act: str, check: bool = False) -> list[str]:
    """The table and what was done."""
    messages = sorted((message for result in results.values() for message in result["messages"]), key=lambda message: message["held"])
    head = ("Giữ từ", "Người nhận", "Người gửi", "Mã thư", "Tiêu đề")
    rows = (
        (f"{dt.datetime.fromisoformat(m['held']):%d/%m/%Y %H:%M}", m["mailbox"], m["sender"], m["message_id"], m["subject"])
        for m in messages
    )
    return [*(table(head, rows) if messages else []), SAID[act].format(len(messages), "sẽ" if check else "đã")]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"quarantine_report": quarantine_report}
