"""Filter `quota_bytes`: the bytes a quota leaf of the policy stands for."""

from congvu_mail.sizes import quota_bytes

DOCUMENTATION = r"""
name: quota_bytes
short_description: Bytes of a quota leaf of the policy
description:
  - Reads a quota so that both readings of MB and GB are obeyed.
  - A leaf whose bound is a maximum is read as written (C(500MB) is decimal).
  - A minimum, an exact figure or the operator's own is read as binary (C(2GB) and C(2GiB) are the same).
  - Fails with the value and the accepted units when it is not a size.
options:
  _input:
    description: The leaf, such as C(mail_policy.quota.person), with its keys C(value) and C(bound).
    type: dict
    required: true
"""

EXAMPLES = r"""
quota: "{{ mail_policy.quota.person | quota_bytes }}"
"""

RETURN = r"""
_value:
  description: Bytes.
  type: int
"""


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"quota_bytes": quota_bytes}
