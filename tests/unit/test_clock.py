"""The clock of a mailbox: for each province the figures of its text, the guards, and what a run on a bad day may not do."""

import datetime as dt
import itertools
import random
import time
from dataclasses import replace

import pytest
from clock_data import CALENDAR, PROVINCES, applied, due, every_day, live, mailbox, rules
from hypothesis import given, settings
from hypothesis import strategies as st

from congvu_mail.clock import OPERATOR, SUSPENSION, Notice, Rules, plan
from congvu_mail.months import add_months

DAY = dt.timedelta(1)
# The figures of the five texts, and the operator's notices one month ahead: (action, stage, months since the last use).
TEXTS = {
    "ninh-binh": [("lock", "lock-6m", 6), ("notice", "notice-6m", 6)],  # and removal 15 working days after the notice
    "bac-giang": [("notice", "notice-2m", 2), ("lock", "lock-3m", 3), ("notice", "notice-3m", 3)],  # and no removal
    "quang-tri": [
        ("notice", "notice-2m", 2),
        ("lock", "lock-3m", 3),
        ("notice", "notice-3m", 3),
        ("notice", "notice-5m", 5),
        ("remove", "remove-6m", 6),
    ],
    "soc-trang": [("notice", "notice-5m", 5), ("withdraw", "withdraw-6m", 6)],
    "tien-giang": [
        ("notice", "notice-5m", 5),
        ("lock", "lock-6m", 6),
        ("notice", "notice-6m", 6),
        ("notice", "notice-11m", 11),
        ("remove", "remove-12m", 12),
    ],
}
CLAUSES = {
    "ninh-binh": {"lock-6m": "Điều 7 khoản 1", "remove-15wd": "Điều 7 khoản 1"},
    "bac-giang": {"lock-3m": "Điều 8 khoản 2", "notice-3m": "Điều 8 khoản 2", "notice-2m": OPERATOR},
    "quang-tri": {"lock-3m": "Điều 8 khoản 2 điểm a", "remove-6m": "Điều 7 khoản 3"},
    "soc-trang": {"withdraw-6m": "Điều 4 khoản 4"},
    "tien-giang": {"lock-6m": "Điều 5 khoản 3", "remove-12m": "Điều 5 khoản 3"},
}
STARTS = st.dates(dt.date(2022, 1, 1), dt.date(2028, 12, 31))


def timeline(province, since):
    """When each step comes after the last use, by the text; the year in which the data is kept ends it."""
    steps = [(add_months(since, months) + DAY, action, stage) for action, stage, months in TEXTS[province]]
    if province == "ninh-binh":
        steps.append((CALENDAR.deadline(steps[-1][0], 15) + DAY, "remove", "remove-15wd"))
    if steps[-1][1] in ("remove", "withdraw"):
        steps.append((add_months(steps[-1][0], 12) + DAY, "purge", "purge-12m"))
    return steps


@pytest.mark.parametrize("province", PROVINCES)
@given(issued=STARTS, used=st.none() | st.integers(0, 300))
@settings(max_examples=15, deadline=None)
def test_day_by_day_the_timeline_is_that_of_the_text(province, issued, used):
    """A mailbox, used until a day or never, over three years."""
    last = None if used is None else issued + dt.timedelta(used)
    box, done = live(mailbox(issued, last_access=last), rules(province, automatic=True), every_day(last or issued, 3 * 365))
    assert done == timeline(province, last or issued)
    assert box.state == ("suspended" if province == "bac-giang" else "terminated")


@pytest.mark.parametrize("province", PROVINCES)
@given(issued=STARTS, gaps=st.lists(st.integers(1, 400), min_size=12, max_size=12))
@settings(max_examples=20, deadline=None)
def test_missed_days_delay_but_skip_nothing(province, issued, gaps):
    """The machine runs on few days only: the same steps in the same order, none too early, removal a full term after its notice."""
    days = [issued + dt.timedelta(number) for number in itertools.accumulate(gaps)] + every_day(issued + dt.timedelta(sum(gaps) + 1), 1100)
    _, done = live(mailbox(issued), rules(province, automatic=True), days)
    expected = timeline(province, issued)
    assert [step[1:] for step in done] == [step[1:] for step in expected]
    assert all(real[0] >= earliest[0] for real, earliest in zip(done, expected, strict=True))
    ends = [position for position, step in enumerate(done) if step[1] in ("remove", "withdraw")]
    for position in ends:
        told = done[position - 1][0]
        term = CALENDAR.deadline(told, 15) + DAY if province == "ninh-binh" else add_months(told - DAY, 1) + DAY
        assert done[position][0] >= term
        assert done[position][0] not in [step[0] for step in done[:position]]


@pytest.mark.parametrize("province", PROVINCES)
@given(issued=STARTS, pauses=st.lists(st.integers(1, 400), min_size=3, max_size=6))
@settings(max_examples=15, deadline=None)
def test_every_use_begins_the_count_anew(province, issued, pauses):
    """Uses at random distances, as far as the mailbox can still be used; the steps between them follow from the last one."""
    rule, box, used = rules(province, automatic=True), mailbox(issued), issued
    for pause in pauses:
        box, done = live(box, rule, every_day(used, pause))
        assert done == [step for step in timeline(province, used) if step[0] < used + dt.timedelta(pause)]
        if box.state != "active":
            break
        used += dt.timedelta(pause)
        box = replace(box, last_access=used)


@pytest.mark.parametrize("province", PROVINCES)
def test_each_step_says_why(province):
    rule, box, clauses = rules(province), mailbox(dt.date(2024, 5, 1), last_access=dt.date(2025, 1, 10)), {}
    for today in every_day(dt.date(2025, 1, 10), 400):
        for step in due(box, rule, today):
            clauses[step.stage] = step.clause
            if step.stage != "remove-15wd":
                assert "không truy cập kể từ 10/01/2025, đủ " in step.reason
                assert step.since == dt.date(2025, 1, 10)
            assert (step.mailbox, step.code) == ("u-1", "C-1")
            if not step.approval:
                box = applied(box, step, today)
    assert clauses.items() >= CLAUSES[province].items()


def test_reasons_in_full():
    rule = rules("ninh-binh")
    box = mailbox(dt.date(2025, 1, 10))
    lock, notice = due(box, rule, dt.date(2025, 7, 11))
    assert lock.reason == "chưa truy cập lần nào kể từ ngày cấp 10/01/2025, đủ 6 tháng ngày 10/07/2025"
    assert notice.reason == (
        "chưa truy cập lần nào kể từ ngày cấp 10/01/2025, đủ 6 tháng ngày 10/07/2025; tạm khóa từ ngày 11/07/2025; "
        "sẽ bị gỡ bỏ khỏi hệ thống từ ngày 02/08/2025 nếu không có đề nghị mở lại"
    )
    for step in (lock, notice):
        box = applied(box, step, dt.date(2025, 7, 11), "VB 12/STTTT")
    assert due(box, rule, dt.date(2025, 8, 1)) == []  # the fifteenth working day is theirs
    (remove,) = due(box, rule, dt.date(2025, 8, 2))
    assert remove.reason == (
        "quá 15 ngày làm việc kể từ ngày thông báo tạm khóa, không có văn bản đề nghị mở lại; đã thông báo ngày 11/07/2025 (VB 12/STTTT)"
    )
    assert remove.cells()[:3] == ("Gỡ bỏ (chờ duyệt)", "C-1", "02/08/2025")


# --- removal --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("province", PROVINCES)
def test_without_approval_nothing_is_removed(province):
    """Every province has inactivity.removal: approved_list."""
    box, done = live(mailbox(dt.date(2025, 1, 10)), rules(province), every_day(dt.date(2025, 1, 10), 1500))
    assert not {"remove", "purge"} & {action for _, action, _ in done}
    if province in ("ninh-binh", "quang-tri", "tien-giang"):
        made = plan([box], rules(province), dt.date(2026, 6, 1), CALENDAR)
        (waiting,) = made.pending
        assert waiting.action == "remove"
        approved = plan([box], rules(province), dt.date(2026, 6, 1), CALENDAR, approved={"u-1": waiting.since})
        assert approved.steps == [replace(waiting, approval=False)]
        other = plan([box], rules(province), dt.date(2026, 6, 1), CALENDAR, approved={"u-1": waiting.since - DAY})
        assert other.pending == [waiting]


@pytest.mark.parametrize("province", PROVINCES)
def test_without_proof_nothing_ends_and_the_notice_is_sent_again(province):
    box, rule, ends, notices = mailbox(dt.date(2025, 1, 10)), rules(province, automatic=True), [], 0
    for today in every_day(dt.date(2025, 1, 10), 700):
        for step in due(box, rule, today):
            ends += [step] if step.action in ("remove", "withdraw") else []
            notices += step.action == "notice"
            box = applied(box, step, today, proof="")
    assert ends == []
    assert notices > 300


def test_the_term_runs_from_the_day_the_notice_was_sent():
    """Ninh Bình: a mail server that was down for a week delays the removal, not the lock."""
    rule, locked = rules("ninh-binh", automatic=True), dt.date(2025, 7, 11)
    box = replace(mailbox(), state="suspended", suspended_since=locked, notices=(Notice("notice-6m", locked, ""),))
    assert [step.action for step in due(box, rule, locked + 60 * DAY)] == ["notice"]
    sent = dt.date(2025, 7, 18)
    box = replace(box, notices=(*box.notices, Notice("notice-6m", sent, "250 OK")))
    assert due(box, rule, CALENDAR.deadline(sent, 15)) == []
    assert [step.action for step in due(box, rule, CALENDAR.deadline(sent, 15) + DAY)] == ["remove"]


def test_tet_lengthens_the_term():
    rule, sent = rules("ninh-binh", automatic=True), dt.date(2026, 2, 10)
    box = replace(mailbox(dt.date(2025, 8, 9)), state="suspended", suspended_since=sent, notices=(Notice("notice-6m", sent, "250 OK"),))
    assert due(box, rule, dt.date(2026, 3, 10)) == []
    assert [step.action for step in due(box, rule, dt.date(2026, 3, 11))] == ["remove"]


@pytest.mark.parametrize("province", PROVINCES)
def test_a_request_to_reopen_stops_every_ending(province):
    box = mailbox(dt.date(2025, 1, 10), reopen_requested=True)
    _, done = live(box, rules(province, automatic=True), every_day(dt.date(2025, 1, 10), 800))
    assert not {"remove", "withdraw", "purge"} & {action for _, action, _ in done}


@pytest.mark.parametrize("province", PROVINCES)
def test_a_restored_mailbox_counts_anew(province):
    """Its notices of before count for nothing."""
    restored = dt.date(2026, 3, 2)
    old = tuple(Notice(stage, dt.date(2026, 1, 20), "250 OK") for _, stage, _ in TEXTS[province]) + (
        Notice(SUSPENSION, dt.date(2026, 1, 20), "250 OK"),
    )
    box = mailbox(dt.date(2025, 1, 10), restored=restored, notices=old)
    _, done = live(box, rules(province, automatic=True), every_day(restored, 900))
    assert done == timeline(province, restored)


def test_suspension_by_an_act_in_ninh_binh():
    """Điều 7 khoản 1 has one term for both causes, violation and disuse: 15 working days after the notice."""
    rule, day = rules("ninh-binh"), dt.date(2026, 10, 5)
    box = mailbox(dt.date(2025, 1, 10), last_access=day, state="suspended", suspended_since=day)
    (notice,) = due(box, rule, day)
    assert (notice.action, notice.stage, notice.clause) == ("notice", SUSPENSION, "Điều 7 khoản 1")
    box = applied(box, notice, day)
    assert due(box, rule, CALENDAR.deadline(day, 15)) == []
    (remove,) = due(box, rule, CALENDAR.deadline(day, 15) + DAY)
    assert (remove.action, remove.approval) == ("remove", True)


def test_suspension_by_an_act_elsewhere_ends_nothing():
    day = dt.date(2026, 10, 5)
    for province in ("bac-giang", "soc-trang", "tien-giang", "quang-tri"):
        box = mailbox(dt.date(2025, 1, 10), last_access=day, state="suspended", suspended_since=day)
        _, done = live(box, rules(province, automatic=True), every_day(day, 60))
        assert done == [(day, "notice", SUSPENSION)]


def test_nothing_ends_on_the_day_of_a_lock_or_of_its_notice():
    """Quảng Trị: all notices are there, only the lock failed for months."""
    rule, today = rules("quang-tri", automatic=True), dt.date(2025, 9, 1)
    sent = tuple(Notice(stage, dt.date(2025, 6, 11), "250 OK") for stage in ("notice-2m", "notice-3m", "notice-5m"))
    box, done = live(mailbox(notices=sent), rule, every_day(today, 3))
    assert done == [(today, "lock", "lock-3m"), (today, "notice", "notice-3m"), (today + DAY, "remove", "remove-6m")]
    box = replace(box, state="suspended", notices=box.notices[:3])  # the notice of the lock did not go out
    _, done = live(box, rule, every_day(today + 9 * DAY, 3))
    assert done == [(today + 9 * DAY, "notice", "notice-3m"), (today + 10 * DAY, "remove", "remove-6m")]


# --- Bắc Giang: never for disuse, but after a repeated offence ------------------------------------------------------------


def test_bac_giang_repeated_offence_ends_a_persons_mailbox():
    rule, day = rules("bac-giang", automatic=True), dt.date(2026, 10, 5)
    box = mailbox(last_access=day, state="suspended", suspended_since=day, offences=2, notices=(Notice(SUSPENSION, day, "250 OK"),))
    assert due(box, rule, day) == []
    made = plan([box], rule, day + DAY, CALENDAR)
    assert made.steps == []  # a person decides whether it is a repeated offence, even where removal is automatic
    (step,) = made.pending
    assert (step.action, step.stage, step.clause) == ("remove", "repeat", "Điều 8 khoản 3")
    assert step.reason == "tái phạm: tạm khóa lần thứ 2 ngày 05/10/2026; đã thông báo ngày 05/10/2026 (250 OK)"
    assert plan([box], rule, day + DAY, CALENDAR, approved={"u-1": day}).steps == [replace(step, approval=False)]


@pytest.mark.parametrize(
    "change",
    [
        {"offences": 1},
        {"kind": "organisation"},
        {"notices": ()},
        {"notices": (Notice(SUSPENSION, dt.date(2026, 9, 1), "250 OK"),)},
        {"notices": (Notice(SUSPENSION, dt.date(2026, 10, 5), ""),)},
        {"state": "active", "suspended_since": None},
        {"reopen_requested": True},
    ],
)
def test_bac_giang_no_end_without_its_grounds(change):
    day = dt.date(2026, 10, 5)
    box = mailbox(last_access=day, state="suspended", suspended_since=day, offences=2, notices=(Notice(SUSPENSION, day, "250 OK"),))
    assert "remove" not in {step.action for step in due(replace(box, **change), rules("bac-giang"), day + 20 * DAY)}


# --- leave ----------------------------------------------------------------------------------------------------------------


def test_quang_tri_leave_stops_the_clock_and_the_count_begins_after_it():
    issued, back = dt.date(2025, 1, 10), dt.date(2026, 6, 30)
    _, done = live(mailbox(issued, leave_until=back), rules("quang-tri", automatic=True), every_day(issued, 1500))
    assert done == timeline("quang-tri", back)


def test_quang_tri_a_reason_without_an_end_stops_the_clock():
    box = mailbox(dt.date(2025, 1, 10), exemption="cử đi học dài hạn, QĐ 15/QĐ-SNV")
    assert live(box, rules("quang-tri", automatic=True), every_day(dt.date(2025, 1, 10), 1500))[1] == []


@pytest.mark.parametrize("province", ["ninh-binh", "bac-giang", "soc-trang", "tien-giang"])
def test_elsewhere_leave_stops_the_endings_only(province):
    """These texts know no exemption: the lock comes in its time; nothing ends before the notice's term has run after the leave."""
    issued, back = dt.date(2025, 1, 10), dt.date(2026, 6, 30)
    _, done = live(mailbox(issued, leave_until=back), rules(province, automatic=True), every_day(issued, 1500))
    expected = timeline(province, issued)
    kept = [step for step in expected if step[1] in ("notice", "lock")]
    assert done[: len(kept)] == kept
    ends = done[len(kept) :]
    if province == "bac-giang":
        assert ends == []
    else:
        assert ends[0][0] == (CALENDAR.deadline(back, 15) + DAY if province == "ninh-binh" else add_months(back, 1) + DAY)


@pytest.mark.parametrize("province", ["ninh-binh", "soc-trang", "tien-giang"])
def test_elsewhere_a_reason_without_an_end_stops_the_endings(province):
    box = mailbox(exemption="chữa bệnh dài ngày")
    _, done = live(box, rules(province, automatic=True), every_day(box.issued, 800))
    assert done == [step for step in timeline(province, box.issued) if step[1] in ("notice", "lock")]


def test_an_exemption_may_be_given_by_the_province():
    rule = replace(rules("tien-giang", automatic=True), exempt_with_reason=True)
    assert live(mailbox(exemption="nghỉ thai sản"), rule, every_day(dt.date(2025, 1, 10), 800))[1] == []


# --- guards ---------------------------------------------------------------------------------------------------------------


def boxes(number, unused):
    """Mailboxes of which some are due for a lock in Ninh Bình on 22/11/2026."""
    return [
        mailbox(uid=f"u-{n}", code=f"C-{n}", last_access=dt.date(2026, 5, 21) if n < unused else dt.date(2026, 11, 20))
        for n in range(number)
    ]


TODAY = dt.date(2026, 11, 22)


@pytest.mark.parametrize(("number", "unused", "held"), [(10, 3, False), (10, 4, True), (1000, 50, False), (1000, 51, True)])
def test_too_many_at_once(number, unused, held):
    made = plan(boxes(number, unused), rules("ninh-binh"), TODAY, CALENDAR, last_run=TODAY - DAY)
    assert (made.steps == []) == held
    assert len(made.held if held else made.steps) == 2 * unused
    assert made.last_run == TODAY
    if held:
        assert made.warnings[0].startswith(f"{unused} trong {number} hộp thư đến hạn cùng lúc, vượt ngưỡng 5%")
        allowed = plan(boxes(number, unused), rules("ninh-binh"), TODAY, CALENDAR, guard_percent=100)
        assert (len(allowed.steps), allowed.warnings) == (2 * unused, [])


@pytest.mark.parametrize(
    ("last_run", "words"),
    [
        (TODAY - 15 * DAY, "Ngày của máy là 22/11/2026, sau 15 ngày kể từ lần chạy trước (07/11/2026): đồng hồ có thể sai."),
        (dt.date(2025, 11, 22), "sau 365 ngày"),
        (TODAY + DAY, "lùi 1 ngày so với lần chạy trước (23/11/2026)"),
    ],
)
def test_a_clock_that_jumped_does_nothing_and_says_so(last_run, words):
    made = plan(boxes(10, 1), rules("ninh-binh"), TODAY, CALENDAR, last_run=last_run)
    assert (made.steps, len(made.held), made.last_run) == ([], 2, last_run)
    assert words in made.warnings[0]
    assert "Không thông báo, khóa hay xóa hộp thư nào" in made.warnings[0]
    # The jump stays one until somebody confirms that very day.
    assert plan(boxes(10, 1), rules("ninh-binh"), TODAY, CALENDAR, last_run=last_run, confirmed=TODAY - DAY).steps == []
    assert len(plan(boxes(10, 1), rules("ninh-binh"), TODAY, CALENDAR, last_run=last_run, confirmed=TODAY).steps) == 2


@pytest.mark.parametrize("last_run", [None, TODAY, TODAY - 14 * DAY])
def test_no_jump(last_run):
    made = plan(boxes(10, 1), rules("ninh-binh"), TODAY, CALENDAR, last_run=last_run)
    assert (len(made.steps), made.warnings) == (2, [])


def test_removals_that_wait_do_not_count_as_too_many():
    sent = Notice("notice-6m", dt.date(2026, 6, 1), "250 OK")
    waiting = [replace(box, state="suspended", suspended_since=sent.sent, notices=(sent,)) for box in boxes(50, 0)]
    made = plan([replace(box, last_access=dt.date(2025, 11, 1)) for box in waiting], rules("ninh-binh"), TODAY, CALENDAR)
    assert (made.steps, made.held, len(made.pending)) == ([], [], 50)


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="hộp thư C-1: trạng thái 'locked'"):
        due(mailbox(state="locked"), rules("ninh-binh"), TODAY)


# --- other policies than the five -----------------------------------------------------------------------------------------


def test_a_bare_removal_gets_a_notice_first():
    policy = {
        "inactivity": {
            "count_from": {"value": ["last_access"], "basis": "operator"},
            "exempt_with_reason": {"value": False, "basis": "operator"},
            "stages": [{"value": {"after": {"months": 12}, "action": "remove"}, "basis": "regulation", "clause": "Điều 9"}],
            "removal": {"value": "automatic", "basis": "operator"},
        },
        "suspension": {
            "notify": {"value": ["organisation"], "basis": "operator"},
            "repeat_ends_account": {"value": False, "basis": "operator"},
        },
        "termination": {"purge_after_months": {"value": None, "basis": "operator"}},
    }
    rule, used = Rules.from_policy(policy), dt.date(2025, 3, 31)
    _, done = live(mailbox(last_access=used), rule, every_day(used, 900))
    assert done == [(dt.date(2026, 4, 1), "notice", "notice-12m"), (dt.date(2026, 4, 2), "remove", "remove-12m")]
    # Counted from access only, a mailbox never used is never due.
    assert live(mailbox(), rule, every_day(used, 900))[1] == []


def test_fifty_thousand_mailboxes():
    dice = random.Random(1)
    found = []
    for number in range(50_000):
        issued = dt.date(2020, 1, 1) + dt.timedelta(dice.randrange(2000))
        used = TODAY - dt.timedelta(dice.randrange(40)) if number % 10 else issued
        found.append(mailbox(issued, uid=f"u-{number}", last_access=used, notices=(Notice("notice-2m", issued, "250 OK"),)))
    for province in PROVINCES:
        start = time.process_time()
        made = plan(found, rules(province), TODAY, CALENDAR, guard_percent=100)
        assert time.process_time() - start < 2
        assert len({step.mailbox for step in made.steps}) >= 5_000
