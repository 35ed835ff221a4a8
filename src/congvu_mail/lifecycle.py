# SPDX-License-Identifier: Apache-2.0
"""The daily clock on the directory host: ``python3 -m congvu_mail.lifecycle run|approve|purged|restored``.

``run`` works out what is due (``clock.py``) and carries it out: notices with proof, locks, ends that were approved. It takes successors
away on their day, asks for a new password where the old one is too old, and keeps the last access. ``--check`` prints what it would do,
``--today`` for another day. ``approve`` records that removals on the list may be carried out. The mail of mailboxes that ended is on other
hosts, perhaps: ``run`` lists in ``purge`` what may be removed, ``playbooks/clock.yml`` has it archived and removed there, and ``purged``
records it (standard input: what ``backup purge`` printed, by mail host). ``restored`` records that mail came back. Each step is a line of
the journal.

Reads ``/etc/congvu-mail/lifecycle.json`` (written by the role ``lifecycle``), prints one JSON object {changed, done, pending, table,
problems}, and leaves the result of a run in ``/var/lib/congvu-mail/lifecycle.json``. Exit status 1: something was held back or failed, and
``problems`` says what.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import getpass
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congvu_mail import clock, host_time, states
from congvu_mail.columns import aligned
from congvu_mail.mailbox_store import OPENED, Entry, Store, StoreError, first, for_clock, last_access, named
from congvu_mail.months import VIETNAM, add_months, local_date, shown
from congvu_mail.notices import NotSent, Sender, compose
from congvu_mail.working_days import Calendar, CalendarError

CONFIG = Path("/etc/congvu-mail/lifecycle.json")
STATE = Path("/var/lib/congvu-mail/lifecycle.json")
OPERATOR = "hệ thống (chạy hằng ngày)"
# Writes of the last access in one run: the directory commits some hundred a second, and the oldest come first.
ACCESSES = 2000
# The role postfix's unit.
HOLD = "/etc/systemd/system/congvu-hold.service"
COLUMNS = ("Việc", "Hộp thư", "Đến hạn", "Lý do", "Căn cứ", "Kết quả")


class Run:
    """One run on one day."""

    def __init__(self, config: Mapping[str, Any], store: Store, today: datetime.date, check: bool) -> None:
        self.config, self.store, self.today, self.check = config, store, today, check
        self.rules = clock.Rules.from_policy(config["rules"])
        self.calendar = Calendar.from_table(config["calendar"])
        moment = datetime.datetime.now(datetime.UTC)
        if check:  # perhaps of another day
            moment = datetime.datetime.combine(today, datetime.time(12), VIETNAM).astimezone(datetime.UTC)
        self.now = moment.strftime("%Y%m%d%H%M%SZ")
        self.entries = {first(entry, "uid"): (dn, entry) for dn, entry in store.mailboxes(config["suffix"])}
        for _, entry in self.entries.values():
            if first(entry, "congvuKind") == "organisation" and (opened := self._opened(entry)):
                entry[OPENED] = [opened]
        self.boxes = [for_clock(entry) for _, entry in self.entries.values()]
        self.by_code = {
            first(entry, "congvuCode"): entry for _, entry in self.entries.values() if first(entry, "congvuState") != "terminated"
        }
        self.rows: list[tuple[str, ...]] = []
        self.problems: list[str] = []
        self.done: Counter[str] = Counter()
        self.purge: list[dict[str, str]] = []
        self.sender = Sender(config["notices"])

    def _opened(self, entry: Entry) -> str:
        """When an organisation's mailbox was last opened, by a delegate too: what Dovecot notes.

        Where Dovecot is on another host, the last access of a delegate to anything stands for it: too late a day rather than too early.
        """
        if not self.config["mail_root"]:
            delegates = (self.entries.get(dn.split(",")[0].removeprefix("uid=")) for dn in entry.get("congvuDelegate", []))
            return max((last_access(found[1]) for found in delegates if found), default="")
        try:
            moment = int(Path(self.config["mail_root"], first(entry, "uid"), "last-login").read_text(encoding="ascii").split()[-1])
        except (OSError, ValueError, IndexError):  # never opened
            return ""
        return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y%m%d%H%M%SZ")

    def approved(self) -> dict[str, datetime.date]:
        """The removals approved: uid and the day from which the term was counted."""
        found = {uid: first(entry, "congvuRemovalApproved")[:10] for uid, (_, entry) in self.entries.items()}
        return {uid: datetime.date.fromisoformat(day) for uid, day in found.items() if day}

    def plan(
        self, last_run: datetime.date | None, guard_percent: float, confirmed: datetime.date | None, time: host_time.Verdict | None = None
    ) -> clock.Plan:
        """What is due. ``time``: whether the host's time is believed; None: it does not matter."""
        return clock.plan(
            self.boxes,
            self.rules,
            self.today,
            self.calendar,
            last_run=last_run,
            approved=self.approved(),
            guard_percent=guard_percent,
            gap_days=self.config["gap_days"],
            confirmed=confirmed,
            wrong=time.wrong if time else "",
            unproven=time.unproven if time else "",
        )

    # --- the steps ---

    def carry_out(self, plan: clock.Plan) -> None:
        """All steps of a plan, in order; one that fails ends those of its mailbox for today.

        But a lock does not wait for a notice that could not be sent: it is tried again every day, and nothing is removed without it.
        """
        failed: set[str] = set()
        for step in plan.steps:
            if step.mailbox in failed and step.action != "lock":
                continue
            try:
                result = self._step(step)
            except (StoreError, NotSent) as error:
                failed.add(step.mailbox)
                self.problems.append(f"{self._address(step)}: {clock.ACTIONS[step.action]}: {error}")
                result = "THẤT BẠI"
            self._row(step, result)
        for step in plan.held:
            self._row(step, "GIỮ LẠI")
        for step in plan.pending:
            self._row(step, "chờ duyệt")
        self.sender.close()
        self.problems += plan.warnings

    def _row(self, step: clock.Step, result: str) -> None:
        self.rows.append((clock.ACTIONS[step.action], self._address(step), shown(step.due), step.reason, step.clause, result))

    def _address(self, step: clock.Step) -> str:
        return first(self.entries[step.mailbox][1], "mail")

    def _step(self, step: clock.Step) -> str:
        if step.action == "purge":
            self.purge.append({"uid": step.mailbox, "address": self._address(step)})
            return "chờ playbooks/clock.yml lưu và xóa"
        if self.check:
            return "sẽ làm"
        dn, entry = self.entries[step.mailbox]
        step = _told(step, entry)
        wanted, extra = {"notice": self._notice, "lock": self._lock}.get(step.action, self._end)(step, entry)
        self._change(dn, entry, f"clock-{step.action}", wanted, step.reason, step.clause, extra)
        self.entries[step.mailbox] = (dn, {**entry, **wanted})
        self.done[step.action] += 1
        return "đã làm"

    def _change(
        self,
        dn: str,
        entry: Entry,
        act: str,
        wanted: Mapping[str, list[str]],
        reason: str,
        clause: str = "",
        extra: Mapping[str, Any] | None = None,
        operator: str = OPERATOR,
        check: bool = False,
    ) -> bool:
        extra = extra or {}
        before = {name: entry.get(name, []) for name in wanted}
        line = {
            "act": act,
            "mailbox": first(entry, "mail"),
            "document": clause,
            "reason": reason,
            "operator": operator,
            "before": before,
            "after": {**wanted, **extra.get("journal", {})},
            "result": "done",
        }
        operations = [{"dn": dn, "expect": before, "replace": dict(wanted)}, *extra.get("operations", [])]
        changed = self.store.carry_out({"operations": operations, "journal": line}, check)
        if not check and wanted.get("congvuState", ["active"]) != ["active"]:
            self._kick(entry)  # now that nobody can log in again
        return changed

    def _lock(self, step: clock.Step, entry: Entry) -> tuple[dict[str, list[str]], dict[str, Any]]:
        return self._suspended(entry, step.reason, step.clause), {}

    def _suspended(self, entry: Entry, reason: str, document: str, compromised: bool = False) -> dict[str, list[str]]:
        seen = last_access(entry)
        deliver = self.config["rules"]["suspension"]["deliver_inbound"]["value"]
        return {
            **states.suspended(self.now, reason, document, deliver, offences=first(entry, "congvuOffences"), compromised=compromised),
            **({"congvuLastAccess": [seen]} if seen else {}),
        }

    def _end(self, step: clock.Step, entry: Entry) -> tuple[dict[str, list[str]], dict[str, Any]]:
        wanted = states.ended(self.now, step.reason, step.clause)
        local_part = first(entry, "mail").partition("@")[0]
        ledger = f"congvuLocalPart={local_part},ou=ledger,{self.config['suffix']}"
        if self.store.entry(ledger).get("congvuCode") != entry.get("congvuCode"):  # the address is another's by now
            return wanted, {}
        closed = {"congvuCurrent": ["FALSE"], "congvuUntil": [f"{self.today:%Y%m%d}000000Z"]}
        return wanted, {"operations": [{"dn": ledger, "replace": closed}]}

    def _kick(self, entry: Entry) -> None:
        """End the sessions where Dovecot is on this host; elsewhere its session-guard does, a few seconds later.

        Those in this mailbox, and those that its holder opened in organisations' mailboxes as their delegate.
        """
        if doveadm := shutil.which("doveadm", path="/usr/bin"):
            for whose in ([], ["-f", "user_login"]):
                subprocess.run([doveadm, "kick", *whose, first(entry, "uid")], capture_output=True, check=False, timeout=30)

    @staticmethod
    def _hold() -> None:
        """Keep back what a mailbox has in the queue where Postfix is on this host; elsewhere its timer does, half a minute later."""
        if Path(HOLD).exists():
            subprocess.run(["systemctl", "start", Path(HOLD).name], capture_output=True, check=False, timeout=60)

    # --- a mailbox that somebody else uses (outbound.py) ---

    def suspend(self, uid: str, reason: str, operator: str) -> None:
        """Suspend a mailbox as compromised: with a password of its own it needs a new one before it is reinstated."""
        dn, entry = self.entries[uid]
        wanted = self._suspended(entry, reason, "", compromised=first(entry, "congvuLogin") == "TRUE")
        self._change(dn, entry, "suspend", wanted, reason, operator=operator)
        self._hold()
        self.entries[uid] = (dn, {**entry, **wanted})

    def tell(self, uid: str, reason: str, operator: str) -> None:
        """Notice of a suspension on the same day, and the end of sessions that began before it."""
        dn, entry = self.entries[uid]
        self._kick(entry)
        step = _told(clock.Step("notice", uid, first(entry, "congvuCode"), clock.SUSPENSION, "", self.today, self.today, reason), entry)
        wanted, extra = self._notice(step, entry)
        self._change(dn, entry, "clock-notice", wanted, reason, step.clause, extra, operator)
        self.entries[uid] = (dn, {**entry, **wanted})

    # --- notices ---

    def _notice(self, step: clock.Step, entry: Entry) -> tuple[dict[str, list[str]], dict[str, Any]]:
        settings = self.config["notices"]
        about = {"address": first(entry, "mail"), "name": named(entry), "organisation": first(entry, "o"), "reason": step.reason}
        following = next((stage.next_action for stage in self.rules.stages if stage.key == step.stage and stage.next_action), None)
        locked = first(entry, "congvuState") == "suspended"
        sent = []
        for address, who in self._recipients(entry):
            subject, text = compose(step.clause, about, settings, who, following.action if following else "", locked)
            number, proof = self.sender.send(address, subject, text)
            sent.append({"to": address, "subject": subject, "text": text, "message_id": number, "proof": proof})
        proofs = "; ".join(one["proof"] for one in sent)
        old = step.since if step.stage != clock.SUSPENSION else datetime.date.min
        kept = [value for value in entry.get("congvuNotice", []) if value.split(" ")[1] >= old.isoformat()]
        value = f"{step.stage} {self.today.isoformat()} {proofs}"
        return {"congvuNotice": [*kept, value]}, {"journal": {"sent": sent}}

    def _recipients(self, entry: Entry) -> list[tuple[str, str]]:
        """Address and form of address of everybody who gets a notice about a mailbox, by ``suspension.notify``.

        The managing organisation's mailbox stands for the person who is locked out; the operator's for an organisation that has none.
        """
        settings = self.config["notices"]
        found: dict[str, str] = {}
        if "person" in self.rules.notify and first(entry, "congvuState") == "active":
            found[first(entry, "mail")] = named(entry)
        manager = self._manager(entry) if "organisation" in self.rules.notify else None
        if manager is not None:
            found.setdefault(first(manager, "mail"), named(manager))
        if "operator" in self.rules.notify or not found or ("organisation" in self.rules.notify and manager is None):
            found.setdefault(settings["mailbox"], settings["name"])
        return list(found.items())

    def _manager(self, entry: Entry) -> Entry | None:
        """The nearest organisation above a mailbox whose own mailbox lives."""
        seen, code = set(), first(entry, "congvuOrganisation")
        while code and code not in seen:
            seen.add(code)
            above = self.by_code.get(code)
            if above is None:
                return None
            if first(above, "congvuState") == "active":
                return above
            code = first(above, "congvuOrganisation")
        return None

    # --- what else a day brings ---

    def successors(self) -> None:
        """Take away the successors whose day has passed, and those that ended themselves: mail to them would be taken and then returned."""
        ended = {
            address
            for _, entry in self.entries.values()
            if first(entry, "congvuState") == "terminated" and not first(entry, "congvuSuccessor")
            for address in entry.get("mailLocalAddress", [])
        }
        for dn, entry in self.entries.values():
            until, successor = first(entry, "congvuSuccessorUntil"), first(entry, "congvuSuccessor")
            if successor and ((until and until < self.now) or successor in ended):
                wanted = {"congvuSuccessor": [], "congvuSuccessorUntil": []}
                why = "hộp thư nhận thay đã chấm dứt" if successor in ended else "hết thời gian chuyển thư"
                self._quietly(dn, entry, "successor-end", wanted, "Hết chuyển thư", f"{why}: {successor}")

    def passwords(self) -> None:
        """Ask for a new password where the old one is older than its rule allows."""
        for dn, entry in self.entries.values():
            changed, months = first(entry, "pwdChangedTime"), self._password_months(entry)
            due = months and changed and first(entry, "pwdReset") != "TRUE" and add_months(local_date(changed), months) < self.today
            if due and first(entry, "congvuState") == "active" and first(entry, "congvuLogin") == "TRUE":
                reason = f"mật khẩu đã dùng quá {months} tháng, phải đổi ở lần đăng nhập tới"
                self._quietly(dn, entry, "password-expired", {"pwdReset": ["TRUE"]}, "Hết hạn mật khẩu", reason)

    def initial_passwords(self, guard_percent: float) -> None:
        """Lock who did not change the initial password in time; all of them or, where they are too many at once, nobody.

        An initial password and one that has expired look the same but for their age.
        """
        days = self.config["initial_password_days"]
        late = []
        for dn, entry in self.entries.values():
            changed = first(entry, "pwdChangedTime")
            waits = first(entry, "pwdReset") == "TRUE" and first(entry, "congvuLogin") == "TRUE" and first(entry, "congvuState") == "active"
            if not days or not changed or not waits or for_clock(entry).excused(self.today):
                continue
            months = self._password_months(entry)
            given = max(local_date(changed), *(local_date(value) for value in entry.get("congvuRestored", [])), datetime.date.min)
            expired = months and add_months(local_date(changed), months) < self.today
            if not expired and given + datetime.timedelta(days) < self.today:
                late.append((dn, entry, given))
        living = sum(box.state != "terminated" for box in self.boxes)
        held = len(late) > max(3, living * guard_percent / 100)
        if held:
            self.problems.append(
                f"{len(late)} trong {living} hộp thư chưa đổi mật khẩu ban đầu sau {days} ngày, vượt ngưỡng {guard_percent:g}%: "
                "chưa khóa hộp thư nào. Nhắc các cơ quan nhận mật khẩu; nếu đúng là phải khóa, chạy lại với ngưỡng cao hơn (guard_percent)"
            )
        for dn, entry, given in late:
            reason = f"chưa đổi mật khẩu ban đầu cấp ngày {shown(given)} trong {days} ngày"
            if held:
                self.rows.append(("Tạm khóa", first(entry, "mail"), shown(self.today), reason, "", "GIỮ LẠI"))
                continue
            self._quietly(dn, entry, "initial-password", self._suspended(entry, reason, ""), "Tạm khóa", reason)

    def _password_months(self, entry: Entry) -> int | None:
        """After how many months a password has to be changed."""
        policy = first(entry, "pwdPolicySubentry").lower()
        terms = self.config["password_months"].items()
        return next((months for name, months in terms if policy == f"cn={name},ou=policies,{self.config['suffix']}".lower()), None)

    def _quietly(self, dn: str, entry: Entry, act: str, wanted: dict[str, list[str]], title: str, reason: str) -> None:
        result = "sẽ làm"
        if not self.check:
            try:
                self._change(dn, entry, act, wanted, reason)
                self.done[act] += 1
                result = "đã làm"
            except StoreError as error:
                self.problems.append(f"{first(entry, 'mail')}: {title}: {error}")
                result = "THẤT BẠI"
        self.rows.append((title, first(entry, "mail"), shown(self.today), reason, "", result))

    def accesses(self) -> None:
        """Keep the last access of those whose record is oldest, before anything takes it from ``pwdLastSuccess``."""
        newer = sorted(
            (first(entry, "congvuLastAccess"), seen, dn)
            for dn, entry in self.entries.values()
            if (seen := last_access(entry)) and seen[:8] > first(entry, "congvuLastAccess")[:8]
        )
        try:
            self.store.keep("congvuLastAccess", [(dn, seen) for _, seen, dn in newer[:ACCESSES]])
        except StoreError as error:  # what was done before is still to be told
            self.problems.append(f"Lần truy cập cuối: {error}")

    def table(self) -> list[str]:
        """Lines for a terminal."""
        if not self.rows:
            return ["Không có việc đến hạn."]
        return aligned([COLUMNS, *self.rows])


def _told(step: clock.Step, entry: Entry) -> clock.Step:
    """The step as people read of it: a suspension that an act made has that act's reason, and rests on its document."""
    if step.stage != clock.SUSPENSION:
        return step
    reason = f"tạm khóa từ ngày {shown(step.since)}; lý do: {first(entry, 'congvuReason') or 'không ghi'}"
    return dataclasses.replace(step, reason=reason, clause=first(entry, "congvuDocument") or clock.OPERATOR)


def remembered() -> dict[str, Any]:
    """What the last run left; nothing before the first one."""
    try:
        return json.loads(STATE.read_text(encoding="utf-8")) if STATE.exists() else {}
    except ValueError as error:
        raise StoreError(
            f"{STATE} bị hỏng ({error}), nên không biết lần chạy trước là ngày nào: xem ngày của máy có đúng không, xóa tệp đó rồi chạy lại"
        ) from None


def run(config: Mapping[str, Any], given: argparse.Namespace, store: Store) -> dict[str, Any]:
    """One run, or what one would do."""
    state = remembered()
    last = datetime.date.fromisoformat(state["last_run"]) if state.get("last_run") else None
    today = given.today or datetime.datetime.now(VIETNAM).date()
    day = Run(config, store, today, given.check)
    guard = given.guard_percent or config["guard_percent"]
    if given.today:  # a preview of another day is no jump of the clock
        plan = day.plan(None, guard, given.confirmed)
    else:
        before = host_time.kept(state.get("host_time"))
        time = host_time.judge(
            host_time.Reading.now(),
            before,
            confirmed=given.confirmed == today,
            controller=given.controller,
            server=host_time.synchronised(),
        )
        if last and before and time.believed and not before.believed:  # the last run was on a day that nobody stood for
            last = min(last, today)
        plan = day.plan(last, guard, given.confirmed, time)
    day.carry_out(plan)
    if not plan.stopped:
        day.successors()
        day.initial_passwords(guard)
        day.passwords()
    if not given.check:
        day.accesses()
    result = {
        "changed": bool(day.done),
        "done": dict(day.done),
        "pending": len(plan.pending),
        "purge": day.purge,
        "table": day.table(),
        "problems": day.problems,
    }
    if not given.check:
        record = {
            "time": datetime.datetime.now(VIETNAM).isoformat(timespec="seconds"),
            "last_run": plan.last_run.isoformat() if plan.last_run else None,
            "host_time": time.record(),
            "result": "failed" if day.problems else "ok",
            "detail": "; ".join(day.problems) or f"{sum(day.done.values())} việc, {len(plan.pending)} chờ duyệt",
        }
        partial = STATE.with_name(STATE.name + ".new")
        partial.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(partial, STATE)
    return result


def approve(config: Mapping[str, Any], given: argparse.Namespace, store: Store) -> dict[str, Any]:
    """Record the approval of removals that are on today's list."""
    day = Run(config, store, datetime.datetime.now(VIETNAM).date(), check=True)
    waiting = {day._address(step): step for step in day.plan(None, 100, None).pending}
    wanted = list(waiting) if given.all else [address.lower() for address in given.mailbox]
    problems = [f"{address}: không có trong danh sách chờ duyệt" for address in wanted if address not in waiting]
    if not given.operator or not given.document:
        problems.append("duyệt cần operator (người duyệt) và document_number, document_date (văn bản duyệt)")
    if problems:
        return {"changed": False, "table": ["Chưa duyệt gì."], "problems": problems}
    rows, changed = [], False
    for address in wanted:
        step = waiting[address]
        dn, entry = day.entries[step.mailbox]
        wanted = {"congvuRemovalApproved": [f"{step.since.isoformat()} {given.operator}, {given.document}"]}
        done = day._change(dn, entry, "approve-removal", wanted, step.reason, given.document, operator=given.operator, check=given.check)
        changed = changed or done
        rows.append(f"Duyệt {clock.ACTIONS[step.action].lower()}: {address} ({step.reason}){'' if done else ': đã duyệt từ trước'}")
    return {"changed": changed, "table": rows or ["Không có hộp thư nào chờ duyệt."], "problems": []}


def purged(config: Mapping[str, Any], given: argparse.Namespace, store: Store) -> dict[str, Any]:
    """Record the mailboxes whose mail was removed: those that every mail host has answered for."""
    answers = {host: json.loads(text) if text else None for host, text in json.load(sys.stdin).items()}
    day = Run(config, store, datetime.datetime.now(VIETNAM).date(), check=True)
    # The guard held back what was not to be done; what is done has to be recorded.
    due = {step.mailbox: step for step in day.plan(None, 100, None).steps if step.action == "purge"}
    problems = [problem for answer in answers.values() if answer for problem in answer["problems"]]
    silent = [host for host, answer in answers.items() if answer is None]
    if silent:
        problems.append(f"máy chủ {', '.join(silent)} chưa trả lời: chưa ghi nhận xóa hộp thư nào; chạy lại")
    rows = []
    for uid, step in due.items():
        found = {host: answer["done"].get(uid) for host, answer in answers.items() if answer}
        if silent or not found or None in found.values():
            continue
        dn, entry = day.entries[uid]
        archives = [{"host": answers[host]["host"], **one} for host, one in found.items() if one["archive"] or one["webmail"]]
        approval = first(entry, "congvuRemovalApproved")
        wanted = {"congvuEnded": [], "congvuRemovalApproved": []}
        document = f"{step.clause}; duyệt: {approval}" if approval else step.clause
        extra = {"journal": {"archives": archives}}
        operator = given.operator or OPERATOR
        day._change(dn, entry, "clock-purge", wanted, step.reason, document, extra, operator)
        kept = [f"{one['archive'][:8]} ({one['messages']} thư, {one['bytes']} byte)" for one in archives if one["archive"]] or [
            "không có thư"
        ]
        kept += [f"{one['webmail'][:8]} (webmail, {one['rows']} dòng)" for one in archives if one["webmail"]]
        rows.append(f"Đã xóa dữ liệu: {first(entry, 'mail')}; bản lưu: {', '.join(kept)}")
    return {"changed": bool(rows), "table": rows, "problems": problems}


def restored(config: Mapping[str, Any], given: argparse.Namespace, store: Store) -> dict[str, Any]:
    """Record that mail of a mailbox came back from the backup. One that was purged has data again, and the day of its end."""
    (address,) = given.mailbox
    day = Run(config, store, datetime.datetime.now(VIETNAM).date(), check=True)
    found = [(dn, entry) for dn, entry in day.entries.values() if address.lower() in entry.get("mailLocalAddress", [])]
    if not found:
        return {"changed": False, "table": [], "problems": [f"{address}: không có hộp thư này trong thư mục"]}
    ((dn, entry),) = found
    operator, after = given.operator or getpass.getuser(), {"restored": f"ghi bổ sung: {given.text}" if given.unchanged else given.text}
    if first(entry, "congvuState") == "terminated" and not first(entry, "congvuEnded"):
        purges = (line for line in store.lines() if line["act"] == "clock-purge" and line["mailbox"] == first(entry, "mail"))
        ends = [line["before"]["congvuEnded"] for line in purges]
        wanted = {"congvuEnded": ends[-1] if ends else [day.now]}
        day._change(dn, entry, "restore-mailbox", wanted, given.reason, given.document, {"journal": after}, operator)
    elif given.unchanged:
        return {"changed": False, "table": [], "problems": []}
    else:
        about = {"mailbox": first(entry, "mail"), "document": given.document, "reason": given.reason, "operator": operator}
        store.note(act="restore-mailbox", **about, after=after, result="done")
    return {"changed": True, "table": [f"Đã ghi nhật ký: phục hồi {first(entry, 'mail')}"], "problems": []}


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python3 -m congvu_mail.lifecycle", description="Đồng hồ hằng ngày của hộp thư")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run", help="làm những việc đến hạn")
    command.add_argument("--today", type=datetime.date.fromisoformat, help="chỉ với --check: xem trước ngày này")
    command.add_argument("--confirmed", type=datetime.date.fromisoformat, help="xác nhận ngày của máy là đúng")
    command.add_argument("--controller", type=float, help="giờ của máy chạy lệnh (giây từ 1970), để so với giờ của máy này")
    command.add_argument("--guard-percent", type=float, help="ngưỡng phần trăm hộp thư đến hạn cùng lúc")
    command = commands.add_parser("approve", help="duyệt danh sách gỡ bỏ")
    command.add_argument("--mailbox", action="append", default=[])
    command.add_argument("--all", action="store_true")
    command.add_argument("--operator", default="")
    command.add_argument("--document", default="")
    command = commands.add_parser("purged", help="ghi nhận dữ liệu đã lưu và xóa trên máy chủ thư")
    command.add_argument("--operator", default="")
    command = commands.add_parser("restored", help="ghi nhận thư đã phục hồi")
    command.add_argument("--mailbox", action="append", required=True)
    command.add_argument("--unchanged", action="store_true", help="thư đã có sẵn: chỉ ghi nhận nếu lần chạy trước chưa kịp")
    for name in ("operator", "document", "reason", "text"):
        command.add_argument(f"--{name}", default="")
    for command in commands.choices.values():
        command.add_argument("--check", action="store_true", help="chỉ in ra, không thay đổi gì")
    given = parser.parse_args(arguments)
    if given.command == "run" and given.today and not given.check:
        parser.error("--today chỉ dùng với --check")
    try:
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
        with Store() as store:
            result = {"run": run, "approve": approve, "purged": purged, "restored": restored}[given.command](config, given, store)
    except (StoreError, CalendarError, OSError, ValueError) as error:
        result = {"changed": False, "table": [], "problems": [str(error)]}
    print(json.dumps(result, ensure_ascii=False))
    return 1 if result["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
