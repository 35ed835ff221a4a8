"""Filter `size_bytes`: a size string in bytes."""

from congvu_mail.sizes import size_bytes

DOCUMENTATION = r"""
name: size_bytes
short_description: Bytes of a size string
description:
  - Turns a size of the policy into a whole number of bytes, the unit taken literally.
  - C(500MB) is decimal (500 x 1000 x 1000), C(2GiB) binary (2 x 1024 x 1024 x 1024).
  - Fails with the value and the accepted units when it is not a size.
options:
  _input:
    description: Whole number and unit, C(B KB MB GB TB) or C(KiB MiB GiB TiB).
    type: str
    required: true
"""

EXAMPLES = r"""
quota: "{{ '2GiB' | size_bytes }}"  # 2147483648
limit: "{{ '500MB' | size_bytes }}"  # 500000000
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
        return {"size_bytes": size_bytes}
