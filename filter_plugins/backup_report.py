# SPDX-License-Identifier: Apache-2.0
"""Ansible filter `backup_report`: the results of backups as lines of a table in Vietnamese."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from congvu_mail.columns import aligned

DOCUMENTATION = r"""
name: backup_report
short_description: The results of backups as lines of a table in Vietnamese
description:
  - Shapes what each host left in its result file into a table that an operator reads.
options:
  _input:
    description: Results by host, as M(ansible.builtin.slurp) read the file; without C(content) there is none yet.
    type: dict
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ {'mail.example.org': slurped} | backup_report }}"
"""

RETURN = r"""
_value:
  description: A line of headings, then one line a host.
  type: list
  elements: str
"""

RESULTS = {"ok": "TỐT", "failed": "THẤT BẠI"}


def backup_report(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of the table."""
    rows = [("Máy chủ", "Kết quả", "Lúc", "Chi tiết")]
    for host, slurped in results.items():
        record = json.loads(base64.b64decode(slurped["content"])) if slurped.get("content") else {}
        result = RESULTS.get(record.get("result", ""), "CHƯA CÓ")
        rows.append((str(host), result, record.get("time", "-"), record.get("detail", "-")))
    return aligned(rows)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        return {"backup_report": backup_report}
