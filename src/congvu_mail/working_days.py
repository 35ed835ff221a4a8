# SPDX-License-Identifier: Apache-2.0
"""Working days: Monday to Friday without public holidays, plus what the Government swaps.

The public holidays of Viet Nam and the swaps known to it come from the library ``holidays``. It cannot know what the Government decides
for a coming year, so the inventory adds days off and days worked (``deployment_calendar``). Only :meth:`Calendar.vietnam` needs the
library; a host without it reads the table that the controller computed (:meth:`Calendar.table`, :meth:`Calendar.from_table`), so that
both count with the same days.
"""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_DAY = datetime.timedelta(days=1)


class CalendarError(ValueError):
    """Everything wrong in an inventory's calendar, or a date that the calendar does not cover; one problem a line, in Vietnamese."""


@dataclass(frozen=True)
class Calendar:
    """The working days of some years, both included.

    ``days_off`` has the name of each day off, weekends left out; ``days_worked`` the reason of each Saturday or Sunday worked.
    """

    first_year: int
    last_year: int
    days_off: Mapping[datetime.date, str] = field(default_factory=dict)
    days_worked: Mapping[datetime.date, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first, last = datetime.date(self.first_year, 1, 1).toordinal(), datetime.date(self.last_year, 12, 31).toordinal()
        working = [day for day in range(first, last + 1) if self.is_working(datetime.date.fromordinal(day))]
        object.__setattr__(self, "_working", working)  # ordinals, for bisection

    @classmethod
    def vietnam(cls, first_year: int, last_year: int, changes: Iterable[Mapping[str, Any]] = ()) -> Calendar:
        """The calendar of Viet Nam with the inventory's ``changes``: a list of ``{date, working, note}``.

        ``working: false`` makes the day a day off, ``true`` a day worked, whatever the library says; a swap is two entries.
        """
        import holidays

        # A swap of December may be worked off in January, or the other way round.
        known = holidays.country_holidays("VN", years=range(first_year - 1, last_year + 2), language="vi")
        days_off = {day: name for day, name in known.items() if day.weekday() < 5}
        days_worked = dict.fromkeys(known.weekend_workdays, "Làm bù")
        for day, (working, note) in _changes(changes).items():
            days_off.pop(day, None)
            days_worked.pop(day, None)
            if working and day.weekday() >= 5:
                days_worked[day] = note
            elif not working and day.weekday() < 5:
                days_off[day] = note
        tables = ({day: table[day] for day in sorted(table) if first_year <= day.year <= last_year} for table in (days_off, days_worked))
        return cls(first_year, last_year, *tables)

    def table(self) -> dict[str, Any]:
        """The calendar as JSON can carry it; the inverse of :meth:`from_table`."""
        return {
            "years": [self.first_year, self.last_year],
            "days_off": {day.isoformat(): name for day, name in self.days_off.items()},
            "days_worked": {day.isoformat(): name for day, name in self.days_worked.items()},
        }

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Calendar:
        """A calendar that was computed elsewhere."""
        days_off, days_worked = (
            {datetime.date.fromisoformat(day): name for day, name in table[key].items()} for key in ("days_off", "days_worked")
        )
        return cls(*table["years"], days_off, days_worked)

    def is_working(self, day: datetime.date) -> bool:
        """Does the office work on this day?"""
        self._check(day)
        return day in self.days_worked or (day.weekday() < 5 and day not in self.days_off)

    def deadline(self, received: datetime.date | datetime.datetime, days: int, closing: datetime.time | None = None) -> datetime.date:
        """The last day of a term of ``days`` working days, counted from the day after receipt.

        What is received after ``closing`` counts as received on the next day (only where ``received`` has a time of day). A term of 0
        days ends on the day of receipt.
        """
        if days < 0:
            raise ValueError(f"thời hạn {days} ngày làm việc: phải là số không âm")
        start = received_on(received, closing)
        if not days:
            return start
        position = self._until(start) + days
        if position > len(self._working):
            raise self._uncovered(f"hạn {days} ngày làm việc từ {start:%d/%m/%Y}")
        return datetime.date.fromordinal(self._working[position - 1])

    def between(self, start: datetime.date, end: datetime.date) -> int:
        """Working days after ``start`` up to and including ``end``; negative when ``end`` comes first."""
        return self._until(end) - self._until(start)

    def _until(self, day: datetime.date) -> int:
        """Number of working days of this calendar up to and including a day."""
        self._check(day)
        return bisect_right(self._working, day.toordinal())

    def _check(self, day: datetime.date) -> None:
        if not self.first_year <= day.year <= self.last_year:
            raise self._uncovered(f"ngày {day:%d/%m/%Y}")

    def _uncovered(self, what: str) -> CalendarError:
        return CalendarError(
            f"{what}: ngoài các năm của lịch ngày làm việc ({self.first_year}-{self.last_year}); "
            "kiểm tra lại ngày, hoặc tính lại lịch cho nhiều năm hơn"
        )


def received_on(received: datetime.date | datetime.datetime, closing: datetime.time | None = None) -> datetime.date:
    """The day that counts as day of receipt: the next one when something arrives after the office closed."""
    if not isinstance(received, datetime.datetime):
        return received
    return received.date() + (_DAY if closing and received.time() > closing else datetime.timedelta())


def _changes(changes: Iterable[Mapping[str, Any]]) -> dict[datetime.date, tuple[bool, str]]:
    """The inventory's list, checked."""
    found: dict[datetime.date, tuple[bool, str]] = {}
    problems = []
    for number, entry in enumerate(changes, 1):
        where = f"deployment_calendar, mục {number}"
        if not isinstance(entry, Mapping) or set(entry) != {"date", "working", "note"}:
            problems.append(f"{where}: {entry!r}: ghi đúng ba khóa date, working, note")
            continue
        try:
            day = datetime.date.fromisoformat(str(entry["date"]))
        except ValueError:
            problems.append(f"{where}: date {entry['date']!r} không phải là ngày; ghi yyyy-mm-dd")
            continue
        if not isinstance(entry["working"], bool):
            problems.append(f"{where} ({day:%d/%m/%Y}): working {entry['working']!r}; ghi true (làm việc) hoặc false (nghỉ)")
        elif not str(entry["note"] or "").strip():
            problems.append(f"{where} ({day:%d/%m/%Y}): note trống; ghi căn cứ, ví dụ số thông báo hoán đổi ngày làm việc")
        elif day in found:
            problems.append(f"{where}: ngày {day:%d/%m/%Y} ghi hai lần; giữ một dòng")
        else:
            found[day] = (entry["working"], str(entry["note"]))
    if problems:
        raise CalendarError("\n".join(problems))
    return found
