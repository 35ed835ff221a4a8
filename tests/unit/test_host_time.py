"""Whose word is enough for the host's time, and who contradicts it."""

import datetime as dt
from dataclasses import replace

import pytest
from clock_data import CALENDAR, mailbox, rules

from congvu_mail import clock
from congvu_mail.host_time import Reading, judge, kept
from congvu_mail.months import VIETNAM

SIX = dt.datetime(2026, 11, 22, 6, 0, tzinfo=VIETNAM).timestamp()
DAY, MINUTE = 86400, 60
YESTERDAY = Reading(SIX - DAY, 1000.0, "start-1", believed=True)
NOW = Reading(SIX, 1000.0 + DAY, "start-1")


def test_what_ran_on_from_a_believed_time_is_believed():
    said = judge(NOW, YESTERDAY)
    assert (said.wrong, said.unproven, said.kept) == ("", "", replace(NOW, believed=True))
    assert kept(said.record()) == said.kept
    assert kept(None) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (DAY, "giờ của máy chủ (06:00 ngày 23/11/2026) bị nhảy +1 ngày: máy chạy liên tục từ 06:00 ngày 21/11/2026 nên bây giờ phải là "
         "06:00 ngày 22/11/2026"),
        (-DAY, "bị nhảy -1 ngày"),
        (365 * DAY, "bị nhảy +365 ngày"),
        (20 * MINUTE, "bị nhảy +20 phút"),
        (5400, "bị nhảy +1,5 giờ"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("server", [False, True])
def test_a_jump_is_seen_whatever_a_server_of_time_says(seconds, words, server):
    said = judge(replace(NOW, wall=NOW.wall + seconds), YESTERDAY, server=server)
    assert words in said.wrong
    assert said.kept == YESTERDAY, "the next run would take the wrong time for the right one"
    assert judge(NOW, said.kept).wrong == "", "put right again, nobody has to confirm anything"


def test_a_clock_that_drifts_is_no_jump():
    assert judge(replace(NOW, wall=NOW.wall + 10 * MINUTE), YESTERDAY).wrong == ""


@pytest.mark.parametrize("last", [None, replace(YESTERDAY, believed=False), replace(YESTERDAY, boot="start-0")])
def test_without_a_witness_nothing_is_proven(last):
    said = judge(NOW, last)
    assert said.unproven and not said.wrong and said.kept == NOW
    assert judge(replace(NOW, wall=NOW.wall + DAY, counter=NOW.counter + DAY), said.kept).unproven, "it vouched for itself"


@pytest.mark.parametrize("witness", [{"confirmed": True}, {"controller": SIX + MINUTE}, {"server": True}])
@pytest.mark.parametrize("last", [None, replace(YESTERDAY, believed=False), replace(YESTERDAY, boot="start-0")])
def test_one_witness_is_enough(last, witness):
    said = judge(NOW, last, **witness)
    assert (said.wrong, said.unproven, said.kept.believed) == ("", "", True)


def test_what_was_wrong_from_the_start_is_put_right_by_a_server():
    """Started with a wrong clock, then set by chrony; by hand it is a jump, which a person confirms."""
    wrong = Reading(SIX, 1000.0, "start-1")
    right = Reading(SIX - DAY + MINUTE, 1060.0, "start-1")
    assert judge(right, wrong, server=True).kept.believed
    assert "-1 ngày" in judge(right, wrong).wrong
    assert judge(right, wrong, confirmed=True).kept.believed


def test_the_machine_that_runs_the_playbook_contradicts():
    said = judge(NOW, YESTERDAY, controller=SIX - DAY, server=True)
    assert said.wrong == "giờ của máy chủ (06:00 ngày 22/11/2026) lệch +1 ngày so với máy chạy lệnh (06:00 ngày 21/11/2026)"
    assert judge(NOW, YESTERDAY, controller=SIX - DAY, confirmed=True).wrong == ""


TODAY = dt.date(2026, 11, 22)
UNUSED = mailbox(dt.date(2026, 1, 10))
ENDED = clock.Notice("notice-6m", dt.date(2026, 9, 1), "250 OK")
BOXES = [
    replace(UNUSED, uid="u-1"),
    replace(UNUSED, uid="u-2", state="suspended", suspended_since=ENDED.sent, notices=(ENDED,)),
]


def planned(**time):
    return clock.plan(BOXES, rules("ninh-binh", automatic=True), TODAY, CALENDAR, **time)


def test_unproven_only_endings_wait():
    assert [step.action for step in planned().steps] == ["lock", "notice", "remove"]
    made = planned(unproven="không ai xác nhận")
    assert ([step.action for step in made.steps], [step.action for step in made.held]) == (["lock", "notice"], ["remove"])
    assert (made.stopped, made.last_run) == (False, TODAY)
    assert made.warnings[0].startswith(
        "Không ai xác nhận: chưa gỡ bỏ, thu hồi 1 hộp thư đến hạn; mọi việc khác vẫn làm. Chạy playbooks/clock.yml"
    )


def test_wrong_nothing_is_done():
    made = planned(wrong="giờ của máy chủ bị nhảy +1 ngày", last_run=TODAY - dt.timedelta(1))
    assert (made.steps, len(made.held), made.stopped, made.last_run) == ([], 3, True, TODAY - dt.timedelta(1))
    assert "Giờ của máy chủ bị nhảy +1 ngày. Không thông báo, khóa hay xóa hộp thư nào." in made.warnings[0]
    assert "-e confirmed=2026-11-22" in made.warnings[0]


def test_unproven_and_nothing_to_end_is_no_reason_to_complain():
    assert clock.plan(BOXES[:1], rules("ninh-binh"), TODAY, CALENDAR, unproven="x").warnings == []
