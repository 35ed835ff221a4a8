# SPDX-License-Identifier: Apache-2.0
"""What an unused, suspended or ended mailbox is due for on a day, as ``mail_policy`` says.

:func:`plan` takes the rules (:meth:`Rules.from_policy`), the mailboxes and the day, and returns the steps in the order in which they have
to be carried out. It changes nothing and remembers nothing: once the steps are recorded in the mailboxes, the same day gives no more.
Days missed are caught up by the next run.

Counting. A term ends with its last day (``months.py``, ``working_days.py``); the step is due on the day after. Months run from the day of
issue, the last access or the last restoration, whichever is latest.

Endings. ``withdraw`` and ``remove`` wait until their notice was sent with proof, and then for as long as the policy puts between the two:
a notice that went out late makes the ending late. They never come on the day of an earlier step, not while a request to reopen
the mailbox is open, and not during a leave on record. ``remove`` and ``purge`` also wait for approval where ``inactivity.removal`` says so.

Leave. Where ``inactivity.exempt_with_reason`` holds, a leave or another reason on record stops the whole clock, and the count begins
anew after it. Elsewhere the regulation knows no exemption: notices and locks go on, only endings wait.

The steps of one mailbox are to be carried out in order; one that fails ends them for that day, and the next run tries again.

Identifiers of stages name action and term (``lock-6m``, ``remove-15wd``); ``suspension`` is the notice of a suspension made by an act,
``repeat`` the end after a repeated offence, ``purge-12m`` the erasure of an ended mailbox's data.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from congvu_mail.months import add_months, shown
from congvu_mail.working_days import Calendar

ACTIONS = {
    "notice": "Thông báo",
    "lock": "Tạm khóa",
    "withdraw": "Thu hồi",
    "remove": "Gỡ bỏ",
    "purge": "Xóa dữ liệu",
}
# What is done at once and a wrong day would do too early; a purge is done by a person (playbooks/clock.yml).
ENDINGS = frozenset(["withdraw", "remove"])
STATES = ("active", "suspended", "terminated")
SUSPENSION, REPEAT = "suspension", "repeat"
OPERATOR = "quy định của đơn vị vận hành"
_DAY = datetime.timedelta(days=1)
_SINCE = {
    "issued": "chưa truy cập lần nào kể từ ngày cấp",
    "last_access": "không truy cập kể từ",
    "restored": "không truy cập kể từ ngày khôi phục",
    "leave": "không truy cập kể từ ngày hết thời gian nghỉ",
}
_WILL = {"lock": "sẽ bị tạm khóa", "withdraw": "sẽ bị thu hồi", "remove": "sẽ bị gỡ bỏ khỏi hệ thống"}


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that was sent. ``proof``: how that is known (queue id and the receiver's answer, number of a letter); empty: it is not."""

    stage: str
    sent: datetime.date
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What the clock has to know about one mailbox. Dates are days in Viet Nam."""

    uid: str
    code: str
    kind: str  # person | organisation
    state: str  # active | suspended | terminated
    issued: datetime.date
    last_access: datetime.date | None = None
    suspended_since: datetime.date | None = None
    restored: datetime.date | None = None  # last reinstated by an act
    ended: datetime.date | None = None  # terminated, and its data is still there
    leave_until: datetime.date | None = None  # last day of the leave
    exemption: str = ""  # a reason without a last day
    reopen_requested: bool = False  # a request to restore is open
    offences: int = 0  # suspensions on record, the present one included
    notices: tuple[Notice, ...] = ()

    def excused(self, today: datetime.date) -> bool:
        """Is a reason for not using the mailbox on record?"""
        return bool(self.exemption) or (self.leave_until is not None and today <= self.leave_until)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of ``inactivity.stages``, or a notice that follows from another one."""

    action: str
    clause: str
    months: int | None = None  # since the last use
    working_days: int | None = None  # since the notice
    with_lock: bool = False  # a notice that tells of the lock itself
    next_action: Stage | None = None  # what a notice tells of in advance
    notice: Stage | None = None  # what has to be sent before an ending

    @property
    def key(self) -> str:
        return f"{self.action}-{self.months}m" if self.months is not None else f"{self.action}-{self.working_days}wd"


@dataclass(frozen=True, slots=True)
class Rules:
    """The leaves ``inactivity``, ``suspension`` and ``termination`` of a policy."""

    stages: tuple[Stage, ...]
    count_from: tuple[str, ...]
    exempt_with_reason: bool
    approval: bool  # removals wait for an approved list
    notify: tuple[str, ...]  # who gets the notices: person, organisation, operator
    notify_clause: str
    repeat_ends: bool
    repeat_clause: str
    purge_after_months: int | None
    purge_clause: str
    lock_notices: frozenset[str]  # stages whose notice tells of a suspension

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any]) -> Rules:
        """Read the leaves of a checked ``mail_policy``."""
        inactivity, suspension, termination = (policy[group] for group in ("inactivity", "suspension", "termination"))
        stages = _stages([leaf["value"] | {"clause": _clause(leaf)} for leaf in inactivity["stages"]], _clause(suspension["notify"]))
        return cls(
            stages=stages,
            count_from=tuple(inactivity["count_from"]["value"]),
            exempt_with_reason=inactivity["exempt_with_reason"]["value"],
            approval=inactivity["removal"]["value"] == "approved_list",
            notify=tuple(suspension["notify"]["value"]),
            notify_clause=_clause(suspension["notify"]),
            repeat_ends=suspension["repeat_ends_account"]["value"],
            repeat_clause=_clause(suspension["repeat_ends_account"]),
            purge_after_months=termination["purge_after_months"]["value"],
            purge_clause=_clause(termination["purge_after_months"]),
            lock_notices=frozenset([SUSPENSION, *(stage.key for stage in stages if stage.with_lock)]),
        )


def _clause(leaf: Mapping[str, Any]) -> str:
    return leaf["clause"] if leaf["basis"] != "operator" else OPERATOR


def _stages(values: Sequence[Mapping[str, Any]], notify_clause: str) -> tuple[Stage, ...]:
    """The stages of a policy, with the notices that every lock and every removal needs, linked to what they tell of."""
    locks = {value["after"].get("months") for value in values if value["action"] == "lock"}
    told = {value["after"].get("months") for value in values if value["action"] == "notice"}
    stages: list[Stage] = []
    for value in values:
        action, months = value["action"], value["after"].get("months")
        if action == "remove" and not any(before.action == "notice" for before in stages):
            stages.append(Stage("notice", OPERATOR, months))
        with_lock = action == "notice" and months in locks
        before = next((other for other in reversed(stages) if other.action == "notice"), None) if action in ("withdraw", "remove") else None
        stages.append(Stage(action, value["clause"], months, value["after"].get("working_days"), with_lock, notice=before))
        if action == "lock" and months not in told:
            stages.append(Stage("notice", notify_clause, months, with_lock=True))
    for position, stage in enumerate(stages):
        if stage.action == "notice":
            following = (other for other in stages[position:] if other.action != "notice")
            stages[position] = replace(stage, next_action=next(following, None))
    return tuple(stages)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do to one mailbox."""

    action: str  # notice | lock | withdraw | remove | purge
    mailbox: str  # uid
    code: str
    stage: str
    clause: str
    since: datetime.date  # from when the term was counted
    due: datetime.date
    reason: str
    approval: bool = False  # waits for approval

    def cells(self) -> tuple[str, ...]:
        """The step as a line of a table: Việc, Mã, Đến hạn, Lý do, Căn cứ."""
        action = ACTIONS[self.action] + (" (chờ duyệt)" if self.approval else "")
        return (action, self.code, shown(self.due), self.reason, self.clause)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a day."""

    steps: list[Step] = field(default_factory=list)  # to be carried out, in this order
    pending: list[Step] = field(default_factory=list)  # removals that wait for approval
    held: list[Step] = field(default_factory=list)  # kept back by a guard
    warnings: list[str] = field(default_factory=list)  # why, in Vietnamese
    last_run: datetime.date | None = None  # to be remembered for the next run
    stopped: bool = False  # a guard keeps everything back, not some steps only


def plan(
    mailboxes: Iterable[Mailbox],
    rules: Rules,
    today: datetime.date,
    calendar: Calendar,
    *,
    last_run: datetime.date | None = None,
    approved: Mapping[str, datetime.date] | None = None,
    guard_percent: float = 5,
    gap_days: int = 14,
    confirmed: datetime.date | None = None,
    wrong: str = "",
    unproven: str = "",
) -> Plan:
    """Every step that is due.

    ``approved`` are the removals somebody approved: uid and the step's ``since``, so that an approval ends when the mailbox is used again.
    Guards that keep everything back: more than ``guard_percent`` of the living mailboxes concerned (three are always allowed); a day
    before ``last_run`` or more than ``gap_days`` after it, unless ``confirmed`` names that very day; a time that is ``wrong``
    (``host_time.py``). Endings are also kept back while the time is ``unproven``. ``ValueError`` for unknown states.
    """
    found: list[Step] = []
    living = 0
    for mailbox in mailboxes:
        living += mailbox.state != "terminated"
        found += steps_of(mailbox, rules, today, calendar, approved or {})
    pending = [step for step in found if step.approval]
    steps = [step for step in found if not step.approval]

    jump = (today - last_run).days if last_run and confirmed != today else 0
    if not wrong and (jump < 0 or jump > gap_days):
        way = f"lùi {-jump} ngày so với" if jump < 0 else f"sau {jump} ngày kể từ"
        wrong = f"ngày của máy là {shown(today)}, {way} lần chạy trước ({shown(last_run)}): đồng hồ có thể sai"
    if wrong:
        return Plan(
            pending=pending,
            held=steps,
            warnings=[
                f"{wrong[0].upper()}{wrong[1:]}. Không thông báo, khóa hay xóa hộp thư nào. Xem và sửa giờ của máy chủ (timedatectl); "
                f"nếu ngày đúng, chạy lại playbooks/clock.yml và xác nhận ngày đó: -e confirmed={today.isoformat()}."
            ],
            last_run=last_run,
            stopped=True,
        )
    touched = len({step.mailbox for step in steps})
    if touched > max(3, living * guard_percent / 100):
        return Plan(
            pending=pending,
            held=steps,
            warnings=[
                f"{touched} trong {living} hộp thư đến hạn cùng lúc, vượt ngưỡng {guard_percent:g}%: dữ liệu truy cập có thể sai. "
                "Không thông báo, khóa hay xóa hộp thư nào. Nếu đúng là như vậy, chạy lại với ngưỡng cao hơn."
            ],
            last_run=today,
            stopped=True,
        )
    held = [step for step in steps if unproven and step.action in ENDINGS]
    if not held:
        return Plan(steps, pending, last_run=today)
    warning = (
        f"{unproven[0].upper()}{unproven[1:]}: chưa gỡ bỏ, thu hồi {len(held)} hộp thư đến hạn; mọi việc khác vẫn làm. "
        "Chạy playbooks/clock.yml (giờ được so với máy chạy lệnh), hoặc cho máy chủ đồng bộ giờ."
    )
    return Plan([step for step in steps if step.action not in ENDINGS], pending, held, [warning], last_run=today)


def steps_of(mailbox: Mailbox, rules: Rules, today: datetime.date, calendar: Calendar, approved: Mapping[str, datetime.date]) -> list[Step]:
    """The steps of one mailbox, in order."""
    if mailbox.state == "terminated":
        return _purge(mailbox, rules, today, approved)
    if mailbox.state not in STATES:
        raise ValueError(f"hộp thư {mailbox.code}: trạng thái {mailbox.state!r}; phải là một trong {', '.join(STATES)}")
    return _Case(mailbox, rules, today, calendar, approved).steps()


def _purge(mailbox: Mailbox, rules: Rules, today: datetime.date, approved: Mapping[str, datetime.date]) -> list[Step]:
    months = rules.purge_after_months
    if mailbox.ended is None or months is None or (due := _due(mailbox.ended, months)) > today:
        return []
    reason = f"chấm dứt ngày {shown(mailbox.ended)}, đã giữ dữ liệu đủ {months} tháng"
    waits = rules.approval and approved.get(mailbox.uid) != mailbox.ended
    return [Step("purge", mailbox.uid, mailbox.code, f"purge-{months}m", rules.purge_clause, mailbox.ended, due, reason, waits)]


@lru_cache(maxsize=65536)
def _due(since: datetime.date, months: int) -> datetime.date:
    """The day after a term of months."""
    return add_months(since, months) + _DAY


class _Case:
    """One living mailbox on one day."""

    def __init__(
        self, mailbox: Mailbox, rules: Rules, today: datetime.date, calendar: Calendar, approved: Mapping[str, datetime.date]
    ) -> None:
        self.mailbox, self.rules, self.today, self.calendar, self.approved = mailbox, rules, today, calendar, approved
        self.since, self.counted = self._since()
        self.suspended = mailbox.state == "suspended"
        self.excused = mailbox.excused(today)

    def _since(self) -> tuple[datetime.date | None, str]:
        """From when the mailbox counts as unused, and why from then."""
        mailbox, rules = self.mailbox, self.rules
        found = [(getattr(mailbox, name), name) for name in (*rules.count_from, "restored")]
        if rules.exempt_with_reason:
            found.append((mailbox.leave_until, "leave"))
        known = [(day, name) for day, name in found if day is not None]
        return max(known, key=lambda entry: entry[0]) if known else (None, "")

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        told = self._told_of_suspension() if self.suspended else None
        settled = not self.suspended or (told is not None and told.sent < self.today)
        if self.since and not (self.excused and self.rules.exempt_with_reason):
            for stage in self.rules.stages:
                if stage.months is not None and _due(self.since, stage.months) > self.today:
                    continue
                if stage.action == "notice":
                    step = self._notice(stage)
                elif stage.action == "lock":
                    step = None if self.suspended else self._lock(stage)
                else:
                    step = self._ending(stage) if settled and not steps else None
                if step:
                    steps.append(step)
        if self.suspended and not told and not any(step.stage in self.rules.lock_notices for step in steps):
            steps.insert(0, self._suspension_notice())
        if not steps and (repeat := self._repeat()):
            steps.append(repeat)
        return steps

    # --- the steps ---

    def _step(self, stage: Stage, since: datetime.date, due: datetime.date, reason: str, approval: bool = False) -> Step:
        return Step(stage.action, self.mailbox.uid, self.mailbox.code, stage.key, stage.clause, since, due, reason, approval)

    def _notice(self, stage: Stage) -> Step | None:
        following = stage.next_action
        if (self.suspended and self._told_of_suspension()) if stage.with_lock else self._sent(stage):
            return None
        if self.suspended and following and following.action == "lock" and not stage.with_lock:
            return None  # warns of a lock that is there already
        reason = self._unused(stage.months)
        if stage.with_lock:
            reason += f"; tạm khóa từ ngày {shown(self.mailbox.suspended_since or self.today)}"
        if following and following.action != "lock":
            reason += f"; {_WILL[following.action]} từ ngày {shown(self._ending_due(following, self.today))}"
            reason += " nếu không có đề nghị mở lại" if stage.with_lock or self.suspended else " nếu vẫn không truy cập"
        elif following and not stage.with_lock:
            reason += f"; {_WILL['lock']} từ ngày {shown(max(_due(self.since, following.months), self.today))} nếu vẫn không truy cập"
        return self._step(stage, self.since, _due(self.since, stage.months), reason)

    def _lock(self, stage: Stage) -> Step:
        return self._step(stage, self.since, _due(self.since, stage.months), self._unused(stage.months))

    def _ending(self, stage: Stage) -> Step | None:
        if self.excused or self.mailbox.reopen_requested:
            return None
        notice = self._notice_before(stage)
        if notice is None and stage.notice:
            return None
        due = self._ending_due(stage, notice.sent if notice else None)
        if due > self.today:
            return None
        if stage.months is not None:
            since, reason = self.since, self._unused(stage.months)
        else:
            since = notice.sent
            reason = f"quá {stage.working_days} ngày làm việc kể từ ngày thông báo tạm khóa, không có văn bản đề nghị mở lại"
        if notice:
            reason += f"; đã thông báo ngày {shown(notice.sent)} ({notice.proof})"
        return self._step(stage, since, due, reason, stage.action == "remove" and self._waits(since))

    def _suspension_notice(self) -> Step:
        since = self._suspended_since()
        reason = f"tạm khóa từ ngày {shown(since)}, chưa có bằng chứng đã gửi thông báo"
        return Step("notice", self.mailbox.uid, self.mailbox.code, SUSPENSION, self.rules.notify_clause, since, since, reason)

    def _repeat(self) -> Step | None:
        """The end after a repeated offence: always for a person to approve, for whether it is one is a judgement."""
        mailbox = self.mailbox
        offended = self.rules.repeat_ends and self.suspended and mailbox.kind == "person" and mailbox.offences >= 2
        if not offended or self.excused or mailbox.reopen_requested or not (notice := self._told_of_suspension()):
            return None
        since, due = self._suspended_since(), notice.sent + _DAY
        if due > self.today:
            return None
        reason = (
            f"tái phạm: tạm khóa lần thứ {mailbox.offences} ngày {shown(since)}; đã thông báo ngày {shown(notice.sent)} ({notice.proof})"
        )
        waits = self.approved.get(mailbox.uid) != since
        return Step("remove", mailbox.uid, mailbox.code, REPEAT, self.rules.repeat_clause, since, due, reason, waits)

    # --- what they rest on ---

    def _unused(self, months: int) -> str:
        return f"{_SINCE[self.counted]} {shown(self.since)}, đủ {months} tháng ngày {shown(add_months(self.since, months))}"

    def _waits(self, since: datetime.date) -> bool:
        return self.rules.approval and self.approved.get(self.mailbox.uid) != since

    def _suspended_since(self) -> datetime.date:
        return self.mailbox.suspended_since or self.since or self.mailbox.issued

    def _sent(self, stage: Stage) -> Notice | None:
        """The first proven notice of a stage since the mailbox was last used."""
        proven = (notice for notice in self.mailbox.notices if notice.stage == stage.key and notice.proof and notice.sent > self.since)
        return min(proven, key=lambda notice: notice.sent, default=None)

    def _told_of_suspension(self) -> Notice | None:
        """The first proven notice of the present suspension."""
        since, stages = self._suspended_since(), self.rules.lock_notices
        proven = (notice for notice in self.mailbox.notices if notice.stage in stages and notice.proof and notice.sent >= since)
        return min(proven, key=lambda notice: notice.sent, default=None)

    def _notice_before(self, stage: Stage) -> Notice | None:
        """The notice that an ending rests on."""
        if stage.notice is None:
            return None
        if stage.working_days is not None and stage.notice.with_lock:
            # Whether the clock or an act suspended the mailbox.
            return self._told_of_suspension() if self.suspended else None
        return self._sent(stage.notice)

    def _ending_due(self, stage: Stage, sent: datetime.date | None) -> datetime.date:
        """When an ending is due after a notice sent on a day; the time between the two begins anew after a leave."""
        leave = self.mailbox.leave_until or datetime.date.min
        if stage.working_days is not None:
            return self.calendar.deadline(max(sent, leave), stage.working_days) + _DAY
        due = _due(self.since, stage.months)
        if sent:
            # A notice is due on the day after its months ended: from that end on, so that one sent in time delays nothing.
            due = max(due, sent + _DAY, _due(max(sent - _DAY, leave), stage.months - stage.notice.months))
        return due
