# SPDX-License-Identifier: Apache-2.0
"""Periods of reports: a month, a quarter, half a year, a year."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from congvu_mail.months import VIETNAM, add_months, shown

_FORM = re.compile(r"(?P<year>20\d\d)(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|H(?P<half>[12])))?\Z")


@dataclass(frozen=True, slots=True)
class Period:
    """From the first to the last day, both included, in Viet Nam."""

    key: str
    months: int
    first: datetime.date
    title: str

    @classmethod
    def parse(cls, text: str) -> Period:
        """``2026-11``, ``2026-Q4``, ``2026-H2`` or ``2026``; :class:`ValueError` for anything else."""
        found = _FORM.match(str(text))
        if not found:
            raise ValueError(f"kỳ báo cáo {text!r}: ghi tháng 2026-11, quý 2026-Q4, nửa năm 2026-H2 hoặc năm 2026")
        year = int(found["year"])
        if found["month"]:
            return cls(found[0], 1, datetime.date(year, int(found["month"]), 1), f"tháng {int(found['month'])} năm {year}")
        if found["quarter"]:
            number = int(found["quarter"])
            return cls(found[0], 3, datetime.date(year, 3 * number - 2, 1), f"quý {['I', 'II', 'III', 'IV'][number - 1]} năm {year}")
        if found["half"]:
            number = int(found["half"])
            return cls(found[0], 6, datetime.date(year, 6 * number - 5, 1), f"6 tháng {'đầu' if number == 1 else 'cuối'} năm {year}")
        return cls(found[0], 12, datetime.date(year, 1, 1), f"năm {year}")

    @property
    def last(self) -> datetime.date:
        """The last day."""
        return add_months(self.first, self.months) - datetime.timedelta(days=1)

    @property
    def since(self) -> int:
        """The first second, since 1970."""
        return _midnight(self.first)

    @property
    def until(self) -> int:
        """The first second after it, since 1970."""
        return _midnight(add_months(self.first, self.months))

    @property
    def span(self) -> str:
        """``từ 01/11/2026 đến 30/11/2026``."""
        return f"từ {shown(self.first)} đến {shown(self.last)}"

    def has(self, day: datetime.date | None) -> bool:
        """Is the day in it?"""
        return day is not None and self.first <= day <= self.last


def _midnight(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), VIETNAM).timestamp())
