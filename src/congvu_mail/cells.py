"""Reading one cell of a register: text, dates, yes or no.

Cells come from spreadsheets and from YAML, so a value may be text in any Unicode form, a number, a date or nothing.
Errors are `ValueError` with a Vietnamese message.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from functools import lru_cache

_DATE = re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[T ](?P<time>\d{2}:\d{2}(?::\d{2})?)(?:[.+Z]\S*)?)?\Z")
_DATE_VN = re.compile(r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?: (?P<time>\d{1,2}:\d{2}(?::\d{2})?))?\Z")
_YEAR = re.compile(r"(?:19|20)\d\d\Z")
_TRUE = frozenset(("true", "yes", "1", "x", "có", "đúng"))
_FALSE = frozenset(("false", "no", "0", "không", "sai"))


def text(value: object) -> str:
    """One cell as text: NFC, every Unicode space collapsed, zero-width characters dropped, nothing as ``""``."""
    if value is None or value == "":
        return ""
    if isinstance(value, str):
        raw = value
    elif isinstance(value, datetime.date):
        return value.isoformat()
    else:
        raw = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if raw.isascii():
        return " ".join(raw.split())
    composed = unicodedata.normalize("NFC", raw)
    if not composed.isprintable():  # spaces other than U+0020, zero-width characters, controls
        # The soft hyphen stays: in a legacy font it is a letter, so it has to be seen and refused.
        composed = "".join(c for c in composed if c == "\u00ad" or unicodedata.category(c) != "Cf")
    return " ".join(composed.split())


def line(value: object) -> str:
    """What an operator says, as :func:`text` and without control characters: it is shown on terminals, in reports and in mail.

    Cells of a register keep them, for in some legacy fonts they are letters, which have to be seen and refused.
    """
    return "".join(c for c in text(value) if unicodedata.category(c) != "Cc")


def date(value: object) -> str:
    """An ISO or dd/mm/yyyy date as ISO text, with the time of day when one is given; ``""`` for an empty cell."""
    cell = text(value)
    return _iso(cell) if cell else ""


@lru_cache(maxsize=65536)  # dates of birth: a working life has 15,000 days
def _iso(cell: str) -> str:
    found = _DATE.match(cell) or _DATE_VN.match(cell)
    if found:
        try:
            day = datetime.date(int(found["y"]), int(found["m"]), int(found["d"])).isoformat()
            if found["time"]:
                clock = ":".join(part.zfill(2) for part in found["time"].split(":"))
                day += "T" + datetime.time.fromisoformat(clock).isoformat()
            return day
        except ValueError:
            pass
    raise ValueError("không phải là ngày; ghi dd/mm/yyyy hoặc yyyy-mm-dd")


def date_or_year(value: object) -> str:
    """A date as :func:`date`, or a year of four digits."""
    cell = text(value)
    return cell if _YEAR.match(cell) else date(cell)


def truth(value: object, default: bool) -> bool:
    """Yes or no; ``default`` for an empty cell."""
    if isinstance(value, bool):
        return value
    cell = text(value).lower()
    if not cell:
        return default
    if cell in _TRUE or cell in _FALSE:
        return cell in _TRUE
    raise ValueError("không phải là true hoặc false")
