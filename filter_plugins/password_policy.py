# SPDX-License-Identifier: Apache-2.0
"""Filter password_policy: the password rules of one account class, as the directory wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: password_policy
short_description: Password rules of an account class as the directory wants them
description:
  - Turns C(mail_policy.password.user) or C(mail_policy.password.admin) into an entry of C(openldap_password_policies), without its name.
  - A maximum age in months becomes seconds of average months (30.436875 days); the daily clock works with calendar months.
positional: _input
options:
  _input:
    description: Mapping of leaves with C(min_length), C(classes), C(specials) and C(max_age_months).
    type: dict
    required: true
"""
EXAMPLES = r"""
policy: "{{ mail_policy.password.user | password_policy }}"
# {min_length: 8, classes: [lower, upper, digit], specials: null, max_age_seconds: 15778476}
"""
RETURN = r"""
_value:
  description: Mapping with C(min_length), C(classes), C(specials), C(max_age_seconds) (null when nothing ages).
  type: dict
"""

SECONDS_A_MONTH = 2629746  # a twelfth of the mean Gregorian year


def password_policy(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """One class's rules; KeyError names a missing leaf."""
    months = leaves["max_age_months"]["value"]
    specials = leaves["specials"]["value"]
    return {
        "min_length": int(leaves["min_length"]["value"]),
        "classes": [str(c) for c in leaves["classes"]["value"]],
        "specials": None if specials is None else str(specials),
        "max_age_seconds": None if months is None else int(months) * SECONDS_A_MONTH,
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"password_policy": password_policy}
