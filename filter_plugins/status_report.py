# SPDX-License-Identifier: Apache-2.0
"""Filter status_report: the state of the whole mail system as one table in Vietnamese."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from congvu_mail.status import report

DOCUMENTATION = r"""
name: status_report
short_description: The state of the whole mail system as one table in Vietnamese
description: Judges what the module C(appliance_status) found on each host and prints it as a table, with a remedy for each problem.
positional: _input, title, now, limits, remarks
options:
  _input:
    description: Host to the registered result of the module C(appliance_status), also where the host could not be reached.
    type: dict
    required: true
  title:
    description: First line.
    type: str
    required: true
  now:
    description: The time, seconds since 1970.
    type: int
    required: true
  limits:
    description: From where on a figure is worth a notice or a problem; what differs from C(congvu_mail.status.LIMITS).
    type: dict
    default: {}
  remarks:
    description: "Notices that no host gives, a list of {topic: str, detail: str, remedy: str}."
    type: list
    elements: dict
    default: []
"""
EXAMPLES = r"""
report: "{{ {'mail.example.org': appliance} | status_report('Thư công vụ example.org', now().timestamp() | int) }}"
"""
RETURN = r"""
_value:
  description: "C(text), the table with what follows it; C(problems) and C(notices), lists with one line each."
  type: dict
"""


def status_report(
    results: Mapping[str, Any],
    title: str,
    now: int,
    limits: Mapping[str, float] | None = None,
    remarks: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    # Ansible passes tagged, lazily templated containers: turned into plain ones here, once.
    return report(
        str(title), json.loads(json.dumps(results)), int(now), json.loads(json.dumps(limits or {})), json.loads(json.dumps(list(remarks)))
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"status_report": status_report}
