"""Filter `header_report`: the records of headers that were found, as a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from congvu_mail.months import VIETNAM
from congvu_mail.status import table

DOCUMENTATION = r"""
name: header_report
short_description: Records of headers as a table
description:
  - Lines of a table, one message each, of what the module C(mail_headers) returned on every filter host, in order of time (Viet Nam).
options:
  _input:
    description: Host name to result of C(mail_headers).
    type: dict
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ results | header_report }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
"""

ACTIONS = {"no action": "nhận", "add header": "vào Thư rác", "reject": "từ chối", "soft reject": "hoãn", "greylist": "hoãn"}


def header_report(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The table, and in words what it leaves out."""
    records = sorted((record for result in results.values() for record in result["messages"]), key=lambda record: record["time"])
    count = sum(result["count"] for result in results.values())
    damaged = [f"{host}: {name}" for host, result in results.items() for name in result["damaged"]]
    lines = table(("Thời gian", "Người gửi", "Người nhận", "Kết quả", "Dấu hiệu", "Tiêu đề"), (_row(record) for record in records))
    if not records:
        lines = ["Không có thư nào như vậy trong thời gian này."]
    elif count > len(records):
        lines.append(f"{count} thư; chỉ hiện {len(records)} thư mới nhất, thu hẹp điều kiện hoặc đặt -e limit=N.")
    else:
        lines.append(f"{count} thư.")
    lines += [record["headers"].replace("\r\n", "\n") for record in records if "headers" in record]
    return lines + [f"Tệp hỏng, chỉ đọc được một phần: {name}" for name in damaged]


def _row(record: Mapping[str, Any]) -> Sequence[str]:
    when = dt.datetime.fromisoformat(record["time"]).astimezone(VIETNAM)
    return (
        f"{when:%d/%m/%Y %H:%M:%S}",
        record["sender"] or "<>",
        ", ".join(record["recipients"][:2]) + (f" (+{len(record['recipients']) - 2})" if len(record["recipients"]) > 2 else ""),
        ACTIONS.get(record["action"], record["action"]),
        ", ".join(record["flags"]),
        record["subject"],
    )


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"header_report": header_report}
