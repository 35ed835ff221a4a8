# SPDX-License-Identifier: Apache-2.0
"""Calendar months and dates as Vietnamese law counts them.

A term in months ends at the end of the corresponding day of its last month, or of that month's last day where there is no such day; the
first day is not counted (Bộ luật Dân sự 2015, Điều 147 khoản 2, Điều 148 khoản 3). A date is a day in Viet Nam (UTC+7, no summer time).
"""

from __future__ import annotations

import calendar
import datetime

VIETNAM = datetime.timezone(datetime.timedelta(hours=7), "Asia/Ho_Chi_Minh")


def add_months(day: datetime.date, months: int) -> datetime.date:
    """The same day some calendar months later, or the last day of that month: 31/08 + 6 months = 28/02."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return datetime.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def local_date(moment: datetime.datetime | str) -> datetime.date:
    """The day in Viet Nam of a moment: a ``datetime`` with time zone, or an LDAP generalizedTime in UTC (``20261122170000Z``)."""
    if isinstance(moment, str):
        if not moment.endswith("Z"):
            raise ValueError(f"{moment!r}: không phải generalizedTime theo UTC (YYYYMMDDHHMMSSZ)")
        moment = datetime.datetime.strptime(moment[:14], "%Y%m%d%H%M%S").replace(tzinfo=datetime.UTC)
    if moment.tzinfo is None:
        raise ValueError(f"{moment}: thời điểm không có múi giờ")
    return moment.astimezone(VIETNAM).date()


def shown(day: datetime.date) -> str:
    """A date as Vietnam writes it: 22/11/2026."""
    return f"{day.day:02}/{day.month:02}/{day.year}"


def cited(number: str, day: datetime.date) -> str:
    """A document as Vietnam cites it: 12/SNV ngày 22/11/2026."""
    return f"{number} ngày {shown(day)}"
