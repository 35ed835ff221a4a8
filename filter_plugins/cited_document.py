"""Filter `cited_document`: number and date of a document, as Vietnam cites it."""

from __future__ import annotations

import datetime as dt

from ansible.errors import AnsibleFilterError

from congvu_mail import cells
from congvu_mail.months import VIETNAM, cited, shown

DOCUMENTATION = r"""
name: cited_document
short_description: Number and date of a document, as Vietnam cites it
description:
  - For acts that rest on a document. Empty when neither is given; an error when only one is, or when the date is none or has not come yet.
options:
  _input:
    description: The document's number.
    type: str
    required: true
  date:
    description: Its date, C(dd/mm/yyyy) or C(yyyy-mm-dd).
    type: str
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '12/SNV' | cited_document('2026-11-20') }}"
"""

RETURN = r"""
_value:
  description: For instance C(12/SNV ngày 20/11/2026).
  type: str
"""


def cited_document(number: str, date: str) -> str:
    """Both, or neither."""
    number = cells.text(number)
    try:
        day = cells.date(date)[:10]
    except ValueError as error:
        raise AnsibleFilterError(f"document_date {cells.text(date)!r} {error}") from None
    if bool(number) != bool(day):
        raise AnsibleFilterError("document_number và document_date phải ghi cùng nhau")
    if not day:
        return ""
    if day > dt.datetime.now(VIETNAM).date().isoformat():
        raise AnsibleFilterError(f"document_date {shown(dt.date.fromisoformat(day))} ở sau hôm nay")
    return cited(number, dt.date.fromisoformat(day))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict:
        """Name and function."""
        return {"cited_document": cited_document}
