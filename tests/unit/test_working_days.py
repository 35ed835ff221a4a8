"""Working days with the public holidays of Viet Nam, swap days, deadlines; months and local dates."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from congvu_mail.months import add_months, local_date
from congvu_mail.working_days import Calendar, CalendarError, received_on

CALENDAR = Calendar.vietnam(2019, 2030)
DAYS = st.dates(dt.date(2019, 1, 1), dt.date(2029, 12, 31))


def day(text):
    return dt.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2023-01-20", "2023-01-26"),  # Tết Quý Mão
        ("2024-02-08", "2024-02-14"),  # Tết Giáp Thìn
        ("2025-01-27", "2025-01-31"),  # Tết Ất Tỵ
        ("2026-02-16", "2026-02-20"),  # Tết Bính Ngọ
        ("2025-04-07", "2025-04-07"),  # Giỗ Tổ Hùng Vương
        ("2026-04-27", "2026-04-27"),  # Giỗ Tổ on a Sunday, made up for on Monday
        ("2025-04-30", "2025-05-02"),  # 2 May was swapped with 26 April
        ("2025-09-01", "2025-09-02"),  # Quốc khánh
        ("2026-08-31", "2026-09-02"),
        ("2026-11-24", "2026-11-24"),  # Ngày Văn hóa Việt Nam
    ],
)
def test_public_holidays(first, last):
    assert [d for d in days(day(first), day(last)) if CALENDAR.is_working(d)] == []


def days(first, last):
    return [first + dt.timedelta(number) for number in range((last - first).days + 1)]


def test_swapped_saturdays_are_worked():
    assert CALENDAR.is_working(day("2025-04-26"))
    assert CALENDAR.is_working(day("2026-08-22"))
    assert not CALENDAR.is_working(day("2026-08-29"))


def test_a_year_has_as_many_working_days_as_it_should():
    # 2025: 365 days, 104 of them on a weekend, 12 days off on weekdays, one Saturday worked.
    year = [d for d in days(day("2025-01-01"), day("2025-12-31")) if CALENDAR.is_working(d)]
    assert len(year) == 365 - 104 - 12 + 1


SWAP = [
    {"date": "2026-01-02", "working": False, "note": "hoán đổi với ngày 10/01/2026"},
    {"date": dt.date(2026, 1, 10), "working": True, "note": "làm bù ngày 02/01/2026"},
]


def test_the_inventory_swaps_days():
    swapped = Calendar.vietnam(2025, 2026, SWAP)
    assert CALENDAR.is_working(day("2026-01-02"))
    assert not CALENDAR.is_working(day("2026-01-10"))
    assert not swapped.is_working(day("2026-01-02"))
    assert swapped.is_working(day("2026-01-10"))
    assert swapped.days_off[day("2026-01-02")] == "hoán đổi với ngày 10/01/2026"
    # Four working days from Wednesday 31 December: Mon 5, Tue 6, Wed 7, Thu 8 (Friday 2 January is off).
    assert swapped.deadline(day("2025-12-31"), 4) == day("2026-01-08")
    assert swapped.deadline(day("2026-01-08"), 2) == day("2026-01-10")


def test_the_inventory_overrules_a_holiday_of_the_library():
    kept = Calendar.vietnam(2026, 2026, [{"date": "2026-11-24", "working": True, "note": "làm việc"}])
    assert kept.is_working(day("2026-11-24"))
    undone = Calendar.vietnam(2026, 2026, [{"date": "2026-08-22", "working": False, "note": "không làm bù"}])
    assert not undone.is_working(day("2026-08-22"))


def test_all_errors_of_the_inventory_at_once():
    with pytest.raises(CalendarError) as error:
        Calendar.vietnam(
            2026,
            2026,
            [
                {"date": "31/12/2026", "working": False, "note": "x"},
                {"date": "2026-12-31", "working": "off", "note": "x"},
                {"date": "2026-12-30", "working": False, "note": ""},
                {"date": "2026-12-29", "off": True},
                *SWAP[:1],
                *SWAP[:1],
            ],
        )
    lines = str(error.value).splitlines()
    assert [line.split(":")[0].split(" (")[0] for line in lines] == [f"deployment_calendar, mục {n}" for n in (1, 2, 3, 4, 6)]
    assert "'31/12/2026' không phải là ngày; ghi yyyy-mm-dd" in lines[0]


def test_counting_begins_on_the_day_after_receipt():
    # Monday 9 November 2026, three working days: Tuesday, Wednesday, Thursday.
    assert CALENDAR.deadline(day("2026-11-09"), 3) == day("2026-11-12")
    # Friday: the weekend does not count.
    assert CALENDAR.deadline(day("2026-11-13"), 3) == day("2026-11-18")
    # Received on a Sunday.
    assert CALENDAR.deadline(day("2026-11-15"), 1) == day("2026-11-16")
    # Over Tết.
    assert CALENDAR.deadline(day("2026-02-13"), 3) == day("2026-02-25")
    assert CALENDAR.deadline(day("2026-11-09"), 0) == day("2026-11-09")


def test_after_closing_time_counts_as_the_next_day():
    closing = dt.time(17)
    assert CALENDAR.deadline(dt.datetime(2026, 11, 9, 17, 0), 3, closing) == day("2026-11-12")
    assert CALENDAR.deadline(dt.datetime(2026, 11, 9, 17, 1), 3, closing) == day("2026-11-13")
    assert CALENDAR.deadline(dt.datetime(2026, 11, 9, 17, 1), 3) == day("2026-11-12")
    assert CALENDAR.deadline(day("2026-11-09"), 3, closing) == day("2026-11-12")
    assert received_on(dt.datetime(2026, 12, 31, 23, 0), closing) == day("2027-01-01")


def test_outside_the_calendar_is_an_error():
    for call in (
        lambda: CALENDAR.is_working(day("2031-01-01")),
        lambda: CALENDAR.deadline(day("2018-12-31"), 1),
        lambda: CALENDAR.deadline(day("2030-12-31"), 1),
        lambda: CALENDAR.between(day("2030-12-31"), day("2031-01-02")),
    ):
        with pytest.raises(CalendarError, match="ngoài các năm của lịch ngày làm việc"):
            call()
    with pytest.raises(ValueError, match="-1 ngày làm việc"):
        CALENDAR.deadline(day("2026-11-09"), -1)


def test_the_table_travels():
    calendar = Calendar.vietnam(2025, 2027, SWAP)
    again = Calendar.from_table(json.loads(json.dumps(calendar.table())))
    assert again == calendar
    assert again.deadline(day("2025-12-31"), 4) == day("2026-01-08")


@given(DAYS, st.integers(0, 60))
def test_a_deadline_is_a_working_day_and_as_far_away_as_it_says(received, number):
    end = CALENDAR.deadline(received, number)
    assert CALENDAR.between(received, end) == number
    if number:
        assert CALENDAR.is_working(end)
        assert CALENDAR.between(received, end - dt.timedelta(1)) == number - 1
    assert CALENDAR.deadline(received, number + 1) > end


@given(DAYS, st.integers(0, 90))
def test_between_counts_one_by_one(start, length):
    end = start + dt.timedelta(length)
    expected = sum(CALENDAR.is_working(d) for d in days(start + dt.timedelta(1), end))
    assert CALENDAR.between(start, end) == expected
    assert CALENDAR.between(end, start) == -expected


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2025-08-31", 6, "2026-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-01-15", 1, "2026-02-15"),
        ("2026-10-31", 1, "2026-11-30"),
        ("2026-12-31", 12, "2027-12-31"),
        ("2026-03-31", -1, "2026-02-28"),
    ],
)
def test_calendar_months(start, months, end):
    assert add_months(day(start), months) == day(end)


@given(st.dates(dt.date(1900, 1, 1), dt.date(2900, 1, 1)), st.integers(0, 40), st.integers(0, 40))
def test_months_in_two_steps_are_never_later_than_in_one(start, first, second):
    """So that a notice sent on its day never delays what it announces."""
    assert add_months(add_months(start, first), second) <= add_months(start, first + second)
    assert add_months(start, first) <= add_months(start + dt.timedelta(1), first)


def test_dates_are_those_of_viet_nam():
    assert local_date("20261121165959Z") == day("2026-11-21")
    assert local_date("20261121170000Z") == day("2026-11-22")
    assert local_date(dt.datetime(2026, 11, 21, 17, 0, tzinfo=dt.UTC)) == day("2026-11-22")
    for wrong in ("20261121170000", dt.datetime(2026, 11, 21)):
        with pytest.raises(ValueError):
            local_date(wrong)
