# SPDX-License-Identifier: Apache-2.0
"""Filter password_refusal: why a password does not obey a rule."""

from __future__ import annotations

from typing import Any

from congvu_mail import password_rules

DOCUMENTATION = r"""
name: password_refusal
short_description: Why a password does not obey a rule of the policy, in Vietnamese
description:
  - Judges with the words of the page where users change theirs. The password itself is in no answer.
  - A rule that is no rule refuses nothing; that the policy is wrong is told by its own check.
positional: leaves
options:
  _input:
    description: The password.
    type: str
    required: true
  leaves:
    description: C(mail_policy.password.user) or C(mail_policy.password.admin), leaves with a C(value) each.
    type: dict
    required: true
"""
EXAMPLES = r"""
lacks: "{{ vault_rspamd_password | password_refusal(mail_policy.password.admin) }}"
"""
RETURN = r"""
_value:
  description: What is missing, empty when nothing is.
  type: str
"""


def password_refusal(password: Any, leaves: Any) -> str:
    """See :func:`congvu_mail.password_rules.unmet`."""
    try:
        rule = {name: leaf["value"] for name, leaf in leaves.items()}
        return "; ".join(password_rules.unmet(rule, str(password)))
    except (AttributeError, KeyError, TypeError):
        return ""


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"password_refusal": password_refusal}
