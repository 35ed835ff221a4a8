"""Filter `archive_report`: the copies kept of organisations' mail as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from congvu_mail.status import table

DOCUMENTATION = r"""
name: archive_report
short_description: The copies kept of organisations' mail as a table
description:
  - Lines of a table of what the module C(mail_archive) returned on every mail host, by mailbox and month.
options:
  _input:
    description: Host name to result of C(mail_archive).
    type: dict
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ results | archive_report }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
"""


def archive_report(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The table and its sum."""
    months = sorted((entry for result in results.values() for entry in result["months"]), key=lambda m: (m["mailbox"], m["month"]))
    rows = ((m["mailbox"], m["month"], str(m["messages"]), str(m["missing"])) for m in months)
    total = f"{sum(m['messages'] for m in months)} bản lưu của {len({m['mailbox'] for m in months})} hộp thư cơ quan."
    missing = sum(m["missing"] for m in months)
    warning = [f"{missing} bản đã bị gỡ sau khi lưu: mỗi lần gỡ phải có dòng recall trong nhật ký thao tác."] if missing else []
    return [*(table(("Hộp thư", "Tháng", "Bản lưu", "Đã gỡ"), rows) if months else []), total, *warning]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"archive_report": archive_report}
