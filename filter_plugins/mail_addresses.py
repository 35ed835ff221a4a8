"""Filter `mail_addresses`: the addresses of a register by a province's conventions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from congvu_mail.naming import allocate

DOCUMENTATION = r"""
name: mail_addresses
short_description: Addresses for the rows of a register
description:
  - Gives every organisation and person of a register an address by the conventions of C(mail_policy.naming).
  - The result depends only on the rows, the conventions and the ledger; the order of the rows does not matter.
  - Meant for a handful of rows and for tests. For a whole register use C(playbooks/addresses.yml), which reads the files.
options:
  _input:
    description: >-
      C({organisations: [...], people: [...]}), dictionaries with the columns of the register
      (C(congvu_mail.registers.COLUMNS)); a person may have C(birth_year) instead of C(birth_date). Missing and empty are
      the same.
    type: dict
    required: true
  naming:
    description: C(mail_policy.naming) as it stands in C(policy.yml).
    type: dict
    required: true
  issued:
    description: >-
      Every address ever given out, to anyone, as C({code, local_part, current, since, until}). C(current) defaults to
      true; at most one row of a code is current. All are reserved for ever.
    type: list
    elements: dict
    default: []
notes:
  - Bad rows (duplicate code, unknown parent, cycle, not a name, mojibake, reserved address) raise one error that lists them
    all, in Vietnamese; so does a broken C(naming).
  - "Sources: the clause of each entry; RFC 5321 4.5.3.1.1 (64 octets), RFC 2142 (reserved names)."
"""

EXAMPLES = r"""
addresses: >-
  {{ {'organisations': [{'code': 'S1', 'kind': 'province_agency', 'name': 'Sở Khoa học và Công nghệ'}],
      'people': [{'code': 'P1', 'full_name': 'Nguyễn Văn Long', 'organisation': 'S1'}]}
     | mail_addresses(mail_policy.naming) }}
# [{code: S1, local_part: skhcn, status: assigned, ...}, {code: P1, local_part: nguyenvanlong, ...}]
"""

RETURN = r"""
_value:
  description: >-
    One entry a row, in the order in which addresses are given out (parents before children, organisations before people):
    C(code), C(table) (organisations, people), C(local_part), C(status) (issued, assigned, needs_decision), C(suggestion),
    C(clause), C(reason) in Vietnamese, C(aliases), C(previous), C(previous_use) (alias, closed), C(previous_months),
    C(warning).
  type: list
  elements: dict
"""


def mail_addresses(roster: Mapping[str, Any], naming: Mapping[str, Any], issued: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Addresses for the rows of ``roster``; see DOCUMENTATION. `ValueError` lists every bad row."""
    # Ansible passes tagged, lazily templated containers: turned into plain ones here, once.
    plain = json.loads(json.dumps([roster, naming, list(issued or ())], default=str))
    return allocate(*plain)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"mail_addresses": mail_addresses}
