# SPDX-License-Identifier: Apache-2.0
"""Filter dkim_selectors: every selector for every domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

DOCUMENTATION = r"""
name: dkim_selectors
short_description: Every DKIM selector for every domain
description: Combines the mail domains with the selectors of the deployment, as the filter role wants them.
positional: _input, selectors
options:
  _input:
    description: Mail domains.
    type: list
    elements: str
    required: true
  selectors:
    description: "Mappings with C(name) and C(state) (published, signing or retired)."
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
rspamd_dkim_selectors: "{{ ['example.org'] | dkim_selectors([{'name': 's1', 'state': 'signing'}]) }}"
# [{domain: example.org, selector: s1, state: signing}]
"""
RETURN = r"""
_value:
  description: Mappings with C(domain), C(selector) and C(state).
  type: list
"""


def dkim_selectors(domains: Iterable[str], selectors: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """One mapping a domain and selector, in the given order."""
    selectors = list(selectors)
    return [{"domain": str(d), "selector": str(s["name"]), "state": str(s["state"])} for d in domains for s in selectors]


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"dkim_selectors": dkim_selectors}
