# SPDX-License-Identifier: Apache-2.0
"""Filter working_days: the calendar of some years as a table that hosts can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from congvu_mail.working_days import Calendar

DOCUMENTATION = r"""
name: working_days
short_description: The working days of Viet Nam as a table that hosts can read
description:
  - Computes the public holidays with the library C(holidays) on the controller, with the inventory's own changes, since the
    library of the hosts' release is older and counts other days.
positional: _input, first_year, last_year
options:
  _input:
    description: Days off and days worked instead (C(deployment_calendar)), list of {date, working, note}.
    type: list
    elements: dict
    required: true
  first_year:
    description: First year of the table.
    type: int
    required: true
  last_year:
    description: Last year of the table, included.
    type: int
    required: true
"""
EXAMPLES = r"""
table: "{{ deployment_calendar | working_days(2026, 2028) }}"
"""
RETURN = r"""
_value:
  description: Mapping with C(years) (first, last), C(days_off) and C(days_worked) (ISO date to name).
  type: dict
"""


def working_days(changes: Sequence[Mapping[str, Any]], first_year: int, last_year: int) -> dict[str, Any]:
    """The table; ``CalendarError`` (a ValueError) lists everything wrong in ``changes``."""
    return Calendar.vietnam(int(first_year), int(last_year), changes).table()


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"working_days": working_days}
