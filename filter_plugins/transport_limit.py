"""Filter `transport_limit`: the size on the wire of a message that carries the allowed attachments."""

from congvu_mail.sizes import transport_limit

DOCUMENTATION = r"""
name: transport_limit
short_description: Message size on the wire for a limit of attachments
description:
  - Bytes a whole message may have so that its attachments reach the limit of the policy.
  - It is the decoded limit x 1.37 (base64 and line ends) plus 1 MiB for headers and text.
  - Every layer of the mail path (MTA, filter, virus scanner, web server, PHP) takes this one figure.
  - Fails with the value and the accepted units when it is not a size.
options:
  _input:
    description: The size string, such as C(mail_policy.attachments.max_total.value).
    type: str
    required: true
"""

EXAMPLES = r"""
message_size_limit: "{{ '50MB' | transport_limit }}"  # 72876032
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
        return {"transport_limit": transport_limit}
