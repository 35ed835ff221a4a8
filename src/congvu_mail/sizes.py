"""Sizes as they stand in policy.yml, and the readings of a "MB" the regulations leave open.

A size is a whole number with a unit: ``500MB`` is decimal (500 x 1000^2), ``2GiB`` binary (2 x 1024^3).
"""

import re
from collections.abc import Mapping
from math import ceil

_UNITS = {"B": (0, 0), "KB": (1000, 1), "MB": (1000, 2), "GB": (1000, 3), "TB": (1000, 4)}
_UNITS |= {"KiB": (1024, 1), "MiB": (1024, 2), "GiB": (1024, 3), "TiB": (1024, 4)}
_SIZE = re.compile(r"\s*([0-9]+)\s*([A-Za-z]+)\s*")

BASE64_WITH_LINE_ENDS = 1.37  # 4/3 for base64, 78/76 for CRLF after 76 characters, and a little for MIME headers
MESSAGE_HEADERS = 1024**2  # text part and headers beside the attachments


def size_parts(text: object) -> tuple[int, str]:
    """Number and unit of a size; `ValueError` (in Vietnamese, naming the value) when it is not one."""
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not match or match[2] not in _UNITS:
        raise ValueError(f"{text!r} không phải là dung lượng: viết số nguyên kèm đơn vị, ví dụ 500MB, 2GiB ({', '.join(_UNITS)})")
    return int(match[1]), match[2]


def size_bytes(text: object) -> int:
    """Bytes of a size string, the unit taken literally: ``1MB`` = 1000000, ``1MiB`` = 1048576."""
    number, unit = size_parts(text)
    base, power = _UNITS[unit]
    return number * base**power


def binary_bytes(text: object) -> int:
    """Bytes of a size string with every unit read as binary: ``1MB`` = ``1MiB`` = 1048576."""
    number, unit = size_parts(text)
    return number * 1024 ** _UNITS[unit][1]


def quota_bytes(leaf: Mapping) -> int:
    """Bytes of a quota leaf of the policy.

    A minimum or an exact figure ("tối thiểu 02 GB") is read as binary, a maximum ("không quá 500 MB") as written,
    that is decimal for ``MB``: so the quota obeys the regulation whichever way an inspector counts.
    """
    if not isinstance(leaf, Mapping) or "value" not in leaf:
        raise ValueError(f"{leaf!r} không phải là một mục dung lượng của chính sách (cần khóa value và bound)")
    reading = size_bytes if "max" in (leaf.get("bound") or {}) else binary_bytes
    return reading(leaf["value"])


def attachment_bytes(attachment_total: str) -> int:
    """Largest sum of decoded attachments to accept: ``50MB`` lets 50 MiB (52428800 bytes) through, to serve both readings."""
    return binary_bytes(attachment_total)


def transport_limit(attachment_total: str) -> int:
    """Message size on the wire, in bytes, that carries `attachment_total`: the same figure for every layer of the mail path."""
    return ceil(attachment_bytes(attachment_total) * BASE64_WITH_LINE_ENDS) + MESSAGE_HEADERS
