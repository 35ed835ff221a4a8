# SPDX-License-Identifier: Apache-2.0
"""Filter foreign_listeners: programs that hold a port which is another's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: foreign_listeners
short_description: Programs that hold a port which is another's
description: Reads what C(ss -Hltnp) prints and names each port that is wanted and held by none of the programs it is meant for.
positional: _input, wanted
options:
  _input:
    description: What C(ss -Hltnp) prints, run as root.
    type: str
    required: true
  wanted:
    description: "List of {ports: list of int, programs: list of str}; names as the kernel has them, at most 15 characters."
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
foreign: "{{ ss.stdout | foreign_listeners([{'ports': [80, 443], 'programs': ['nginx']}]) }}"
"""
RETURN = r"""
_value:
  description: "One text for each port, in their order, like C(25 (exim4)); C(25 (?)) when the program cannot be told."
  type: list
  elements: str
"""


def foreign_listeners(listening: str, wanted: Iterable[Mapping[str, Any]]) -> list[str]:
    """See DOCUMENTATION."""
    owners = {int(port): set(entry["programs"]) for entry in wanted for port in entry["ports"]}
    found = {}
    for line in listening.splitlines():
        port = int(line.split()[3].rpartition(":")[2])
        programs = re.findall(r'\("([^"]*)"', line)
        if port in owners and not owners[port] & set(programs):
            found.setdefault(port, programs[0] if programs else "?")
    return [f"{port} ({found[port]})" for port in sorted(found)]


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"foreign_listeners": foreign_listeners}
