"""Filter `attachment_bytes`: the largest sum of decoded attachments to accept."""

from congvu_mail.sizes import attachment_bytes

DOCUMENTATION = r"""
name: attachment_bytes
short_description: Largest sum of decoded attachments in bytes
description:
  - Turns the limit for all attachments of one message into bytes after decoding.
  - Read as binary, so that C(50MB) lets 50 MiB (52428800 bytes) through: no sender is refused by either reading of MB.
  - Fails with the value and the accepted units when it is not a size.
options:
  _input:
    description: The size string, such as C(mail_policy.attachments.max_total.value).
    type: str
    required: true
"""

EXAMPLES = r"""
limit: "{{ '50MB' | attachment_bytes }}"  # 52428800
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
        return {"attachment_bytes": attachment_bytes}
