# SPDX-License-Identifier: Apache-2.0
"""Acts on mailboxes: suspend, reinstate, terminate, new password, hand-over, exemption: what each needs and changes, when it may be.

:func:`read_orders` takes what the operator gave (one mailbox, or a file of many), :func:`plan` compares it with the directory and the
policy. Both collect everything that is wrong and raise one :class:`ActError`; nothing is done as long as one mailbox is wrong. The plan is
pure data: rows for people, changes for ``mailbox_store``. An act that was done already, on the same document, changes nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from congvu_mail import cells, states
from congvu_mail.columns import aligned
from congvu_mail.directory import Directory, Mailbox, to_ldap_time
from congvu_mail.months import VIETNAM, cited, local_date, shown
from congvu_mail.registers import read_table
from congvu_mail.roster import Problem
from congvu_mail.working_days import Calendar, CalendarError, received_on


@dataclass(frozen=True, slots=True)
class Act:
    """An act: its Vietnamese name, the kind of request that asks for it (``registers.ACTS``), the states it may begin and end in."""

    title: str
    request: str
    states: tuple[str, ...]
    state: str = ""
    emergency: bool = False  # may be done at once, the document following
    asked_for: bool = True  # somebody else asks for it: the request must have been received, and signed where the policy says so


ACTS = {
    "suspend": Act("Tạm khóa", "suspend", ("active",), "suspended", emergency=True, asked_for=False),
    "reinstate": Act("Khôi phục", "restore", ("suspended", "terminated"), "active"),
    "terminate": Act("Chấm dứt", "delete", ("active", "suspended"), "terminated", emergency=True),
    "reset-password": Act("Cấp lại mật khẩu", "reset", ("active", "suspended"), emergency=True),
    "handover": Act("Bàn giao", "change", ("active",)),
    "exempt": Act("Miễn tính thời gian không dùng", "change", ("active", "suspended"), asked_for=False),
}
# The attributes of a mailbox that a plan needs.
READ = (
    "uid",
    "cn",
    "mail",
    "mailLocalAddress",
    "congvuCode",
    "congvuKind",
    "pwdPolicySubentry",
    "congvuForbiddenInPassword",
    "congvuState",
    "congvuDelivery",
    "congvuLogin",
    "congvuOrganisation",
    "congvuDelegate",
    "congvuHandover",
    "congvuLastAccess",
    "congvuSuspendedSince",
    "congvuReason",
    "congvuDocument",
    "congvuRestored",
    "congvuExemption",
    "congvuEnded",
    "congvuOffences",
    "congvuNotice",
    "congvuReopenRequest",
    "congvuRemovalApproved",
    "congvuSuccessor",
    "congvuSuccessorUntil",
    "congvuCompromised",
    "congvuResetDocument",
    "congvuRefusal",
    "pwdReset",
    "pwdLastSuccess",
)
STATES = {"active": "đang hoạt động", "suspended": "tạm khóa", "terminated": "đã chấm dứt"}
COLUMNS = ("Việc", "Hộp thư", "Tên", "Trước", "Sau", "Văn bản", "Hạn", "Kết quả")
DONE_BEFORE = "đã làm từ trước, không thay đổi"
MISSING = "THIẾU VĂN BẢN: khi có, chạy lại với document_number, document_date"
FIELDS = {
    "mailbox": "địa chỉ hộp thư",
    "document_number": "số văn bản",
    "document_date": "ngày văn bản",
    "reason": "lý do",
    "received": "ngày nhận đề nghị",
    "complete": "ngày có đủ thông tin",
    "operator": "người thực hiện",
    "signature_checked": "đã kiểm tra chữ ký số của đề nghị",
    "emergency": "khẩn cấp",
    "compromise": "bị lộ, bị chiếm quyền",
    "successor": "địa chỉ nhận thay",
    "successor_until": "ngày cuối nhận thay",
    "delegates": "người được giao hộp thư",
    "request_only": "mới nhận đề nghị, chưa giải quyết",
    "lift": "hết miễn",
}
_ONLY = {
    "successor": ("terminate",),
    "successor_until": ("terminate",),
    "delegates": ("handover",),
    "request_only": ("reinstate",),
    "lift": ("exempt",),
}
_TRUTHS = ("signature_checked", "emergency", "compromise", "request_only", "lift")
_DATES = ("document_date", "received", "complete", "successor_until")


class ActError(ValueError):
    """Everything that keeps the acts from being done, one a line, in Vietnamese."""

    def __init__(self, problems: Sequence[str]) -> None:
        listed = "\n".join(f"- {problem}" for problem in problems)
        super().__init__(f"Chưa làm gì. {len(problems)} lỗi:\n{listed}")
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Order:
    """What the operator wants for one mailbox; texts are as given, dates ISO."""

    place: str  # where it was given, for messages
    mailbox: str
    document_number: str = ""
    document_date: str = ""
    reason: str = ""
    received: str = ""
    complete: str = ""
    operator: str = ""
    signature_checked: bool = False
    emergency: bool = False
    compromise: bool = False
    successor: str = ""
    successor_until: str = ""
    delegates: str = ""
    request_only: bool = False
    lift: bool = False

    @property
    def urgent(self) -> bool:
        return self.emergency or self.compromise

    @property
    def document(self) -> str:
        """Number and date, as Vietnam cites a document."""
        if not self.document_number or not self.document_date:
            return ""
        return cited(self.document_number, datetime.date.fromisoformat(self.document_date))


def read_orders(given: Mapping[str, Any], batch: str | Path | None = None) -> list[Order]:
    """One order from ``given``, or one from each row of the CSV file ``batch``, whose empty cells are taken from ``given``."""
    sources = [("", given)]
    problems: list[str] = []
    if given.get("_raw_params"):
        raise ActError([f"“{given['_raw_params']}” đứng ngoài dấu nháy: giá trị có dấu cách ghi là -e \"reason='hai từ'\""])
    if batch:
        sources, problems = _rows(Path(batch), given)
    orders = []
    for place, source in sources:
        orders.append(_order(place, source, problems))
    if problems:
        raise ActError(problems)
    return orders


def _rows(path: Path, given: Mapping[str, Any]) -> tuple[list[tuple[str, Mapping[str, Any]]], list[str]]:
    if given.get("mailbox"):
        return [], ["mailbox và batch cùng được ghi: chỉ ghi một"]
    found: list[Problem] = []
    table = read_table("batch", path, tuple(FIELDS), ("mailbox",), found)
    problems = [str(problem) for problem in found]
    rows = [
        (f"{path.name}, dòng {line}", {**given, **{name: row[name] for name in FIELDS if row[name]}})
        for line, row in zip(table.lines, table.rows, strict=True)
    ]
    return rows, problems or ([] if rows else [f"{path}: không có dòng nào"])


def _order(place: str, source: Mapping[str, Any], problems: list[str]) -> Order:
    found: dict[str, Any] = {}
    for name in FIELDS:
        value = source.get(name)
        try:
            if name in _TRUTHS:
                found[name] = cells.truth(value, default=False)
            elif name in _DATES:
                found[name] = cells.date(value)[:10] if name != "received" else cells.date(value)
            else:
                found[name] = cells.line(value)
        except ValueError as error:
            problems.append(_said(place, f"{name} (giá trị “{cells.text(value)}”): {error}"))
    found["mailbox"] = found.get("mailbox", "").lower()
    found["successor"] = found.get("successor", "").lower()
    return Order(place, **found)


def _said(place: str, problem: str) -> str:
    return f"{place}: {problem}" if place else problem


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policy demands of acts."""

    deadlines: Mapping[str, tuple[int | None, str | None]]  # by kind of request: working days, where they start
    signed: bool  # a request is valid only with a checked signature
    deliver_suspended: bool
    suffix: str
    domain: str

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any], suffix: str) -> Rules:
        """Read the leaves of a checked ``mail_policy``."""
        leaves = policy["deadlines"]
        return cls(
            {
                act.request: (leaves[act.request]["value"], leaves[f"{act.request}_from"]["value"])
                for act in ACTS.values()
                if act.request in leaves
            },
            policy["requests"]["signed"]["value"] == "required",
            policy["suspension"]["deliver_inbound"]["value"],
            suffix,
            policy["domain"]["value"],
        )


@dataclass(slots=True)
class Row:
    """One mailbox of the table."""

    title: str
    mailbox: str
    name: str
    before: str
    after: str
    document: str
    due: str
    result: str

    def cells(self) -> tuple[str, ...]:
        return (self.title, self.mailbox, self.name, self.before, self.after, self.document, self.due, self.result)


@dataclass(slots=True)
class Plan:
    """What an act does."""

    rows: list[Row] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)  # for mailbox_store
    passwords: list[dict[str, Any]] = field(default_factory=list)  # new ones: {code, name, address, organisation, dn, policy, personal}
    ending: list[str] = field(default_factory=list)  # uids whose sessions have to end
    queue: list[str] = field(default_factory=list)  # uids whose mail in the queue is held (compromised) or looked for (reinstated)

    def table(self) -> list[str]:
        """Lines for a terminal."""
        lines = [COLUMNS, *(row.cells() for row in self.rows)]
        used = [column for column in range(len(COLUMNS)) if any(line[column] for line in lines[1:])]
        return aligned([[line[column] for column in used] for line in lines])


def plan(
    name: str,
    orders: Sequence[Order],
    directory: Directory,
    rules: Rules,
    calendar: Calendar,
    now: datetime.datetime,
    closing: str = "",
    check: bool = False,
) -> Plan:
    """What the act ``name`` changes; with ``check`` the table says what would be. :class:`ActError` lists all that is wrong, for all."""
    return _Planner(name, orders, directory, rules, calendar, now, closing, check).run()


class _Planner:
    def __init__(
        self,
        name: str,
        orders: Sequence[Order],
        directory: Directory,
        rules: Rules,
        calendar: Calendar,
        now: datetime.datetime,
        closing: str,
        check: bool,
    ) -> None:
        self.doing = "sẽ làm" if check else "đã làm"
        self.name, self.act, self.orders, self.rules, self.calendar = name, ACTS[name], orders, rules, calendar
        self.closing = datetime.time.fromisoformat(closing) if closing else None
        self.today = now.astimezone(VIETNAM).date()
        self.now = now.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%SZ")
        self.directory = directory
        self.by_address = {address: box for box in directory.mailboxes for address in box.attributes.get("mailLocalAddress", ())}
        self.by_dn = {box.dn: box for box in directory.mailboxes}
        self.ledger = {row["local_part"]: row for row in directory.ledger}
        self.problems: list[str] = []
        self.plan = Plan()

    def run(self) -> Plan:
        seen: dict[str, str] = {}
        for order in self.orders:
            before = len(self.problems)
            box = self.by_address.get(order.mailbox)
            self._demand(order)
            if not order.mailbox:
                self._wrong(order, "mailbox trống: ghi địa chỉ hộp thư, hoặc batch=TỆP.csv")
            elif box is None:
                self._wrong(order, f"{order.mailbox}: không có hộp thư này trong thư mục. Kiểm tra địa chỉ, hoặc chạy accounts.yml trước")
            elif box.dn in seen:
                self._wrong(order, f"{order.mailbox}: đã ghi ở {seen[box.dn] or 'trên'}. Giữ một dòng")
            else:
                seen[box.dn] = order.place
                self._suits(order, box)
                if len(self.problems) == before:
                    self._do(order, box)
        if self.problems:
            raise ActError(self.problems)
        return self.plan

    def _wrong(self, order: Order, problem: str) -> None:
        self.problems.append(_said(order.place, problem))

    # --- what the operator has to give

    def _demand(self, order: Order) -> None:
        who = order.mailbox or "hộp thư"
        missing = [name for name in ("reason", "operator") if not getattr(order, name)]
        if order.urgent and not self.act.emergency:
            self._wrong(order, f"{who}: “{self.act.title}” không làm khẩn cấp được; bỏ emergency, compromise")
        if not order.urgent or order.document_number or order.document_date:
            missing += [name for name in ("document_number", "document_date") if not getattr(order, name)]
        days, start = self.rules.deadlines.get(self.act.request, (None, None))
        if self.act.asked_for and not order.urgent and days is not None and start != "handling" and not order.received:
            missing.append("received")
        if self.act.asked_for and not order.urgent and self.rules.signed and not order.signature_checked:
            missing.append("signature_checked")
        for name in missing:
            self._wrong(order, f"{who}: thiếu {name} ({FIELDS[name]}), Quy chế và quy trình đòi cho việc “{self.act.title}”")
        for name in ("document_date", "received", "complete"):
            value = getattr(order, name)[:10]
            if value > self.today.isoformat():
                self._wrong(order, f"{who}: {name} {_day(value)} ở sau hôm nay ({shown(self.today)})")
        for name, acts in _ONLY.items():
            if getattr(order, name) and self.name not in acts:
                self._wrong(order, f"{who}: {name} không dùng cho việc “{self.act.title}”; bỏ đi")
        if bool(order.successor) != bool(order.successor_until):
            self._wrong(order, f"{who}: successor và successor_until phải ghi cùng nhau")
        if order.successor_until and order.successor_until <= self.today.isoformat():
            self._wrong(order, f"{who}: successor_until {_day(order.successor_until)} phải ở sau hôm nay")
        if self.name == "handover" and not order.delegates:
            self._wrong(order, f"{who}: thiếu delegates ({FIELDS['delegates']}): địa chỉ của người nhận, cách nhau bằng dấu cách")

    # --- whether the mailbox is in a state for it

    def _suits(self, order: Order, box: Mailbox) -> None:
        state = box.get("congvuState")
        if state not in self.act.states and not (self.act.state == state and self._known(order, box)):
            since = box.get("congvuEnded") if state == "terminated" else box.get("congvuSuspendedSince")
            when = f" từ {_moment(since)}" if since and state != "active" else ""
            basis = box.get("congvuDocument") or box.get("congvuReason")
            on = f" ({basis})" if basis and state != "active" else ""
            allowed = " hoặc ".join(STATES[one] for one in self.act.states)
            self._wrong(order, f"{order.mailbox}: {STATES[state]}{when}{on}; “{self.act.title}” cần hộp thư {allowed}")
        held = self.ledger.get(box.get("mail").partition("@")[0], {}).get("code", "")
        if "terminated" in (state, self.act.state) and state in self.act.states and held != box.get("congvuCode"):
            holder = f"{held} giữ địa chỉ này" if held else "không có địa chỉ này"
            self._wrong(
                order,
                f"{order.mailbox}: trong sổ địa chỉ đã cấp (ou=ledger) {holder}, thư mục ghi {box.get('congvuCode')}: "
                "chạy accounts.yml, rồi chạy lại",
            )
        if order.successor:
            heir = self.by_address.get(order.successor)
            if heir is None or heir.get("congvuState") != "active" or heir.dn == box.dn:
                self._wrong(order, f"{order.mailbox}: successor {order.successor} phải là một hộp thư khác, đang hoạt động")
        if self.name == "reset-password" and box.get("congvuLogin") != "TRUE":
            self._wrong(order, f"{order.mailbox}: hộp thư mở bằng người được ủy quyền, không có mật khẩu riêng để cấp lại")
        if self.name == "reinstate" and state != "active":
            if box.get("congvuCompromised") == "TRUE" and not order.request_only:
                self._wrong(order, f"{order.mailbox}: bị khóa vì lộ mật khẩu: chạy reset-password.yml trước, rồi khôi phục")
            if state == "terminated" and not box.get("congvuEnded"):
                self._wrong(order, f"{order.mailbox}: dữ liệu không còn trên máy chủ; dùng restore.yml, hoặc cấp hộp thư mới với mã mới")
            living = [
                other for other in self.directory.mailboxes if other.get("congvuCode") == box.get("congvuCode") and other.dn != box.dn
            ]
            if any(other.get("congvuState") != "terminated" for other in living):
                self._wrong(order, f"{order.mailbox}: mã {box.get('congvuCode')} đã có hộp thư mới {living[0].get('mail')}")
        if self.name == "exempt" and order.lift and not box.get("congvuExemption"):
            self._wrong(order, f"{order.mailbox}: không được miễn, không có gì để bỏ")
        if self.name == "handover":
            self._heirs(order, box)

    def _known(self, order: Order, box: Mailbox) -> bool:
        """Was the same thing done before? The same document, or a document that was missing until now."""
        if self.act.state == "active":
            return box.get("congvuRestored") != "" and box.get("congvuDocument") == order.document
        if order.urgent and not order.document:
            return box.get("congvuReason") == order.reason
        return box.get("congvuDocument") == order.document or (not box.get("congvuDocument") and bool(box.get("congvuReason")))

    def _heirs(self, order: Order, box: Mailbox) -> None:
        if box.get("congvuKind") != "organisation":
            self._wrong(order, f"{order.mailbox}: không phải hộp thư của cơ quan; hộp thư cá nhân không bàn giao")
        for address in order.delegates.lower().replace(",", " ").split():
            heir = self.by_address.get(address)
            if heir is None or heir.get("congvuState") != "active" or heir.get("congvuKind") != "person":
                self._wrong(order, f"{order.mailbox}: delegates {address} phải là hộp thư cá nhân đang hoạt động")

    def _strangers(self, order: Order, box: Mailbox) -> list[str]:
        """Who is to get the mailbox and belongs to another organisation: perhaps he has come and the register does not say so yet."""
        parents = {one.get("congvuCode"): one.get("congvuOrganisation") for one in self.directory.mailboxes}
        found = []
        for heir in (self.by_address[address] for address in order.delegates.lower().replace(",", " ").split()):
            code, above = heir.get("congvuOrganisation"), set()
            while code and code not in above:
                above.add(code)
                code = parents.get(code, "")
            if box.get("congvuCode") not in above:
                found.append(f"LƯU Ý: {heir.get('cn')} thuộc cơ quan khác, xem lại")
        return found

    # --- what it changes

    def _do(self, order: Order, box: Mailbox) -> None:
        changed = {
            "suspend": self._suspend,
            "reinstate": self._reinstate,
            "terminate": self._terminate,
            "reset-password": self._reset,
            "handover": self._handover,
            "exempt": self._exempt,
        }[self.name](order, box)
        differing = {name: values for name, values in changed.items() if set(box.attributes.get(name, [])) != set(values)}
        operations = [{"dn": box.dn, "expect": {name: box.attributes.get(name, []) for name in differing}, "replace": differing}]
        if "congvuState" in differing:
            operations += self._ledger(box)
        due, late = self._due(order)
        result = self.doing if differing else DONE_BEFORE
        remarks = [result, *([late] if late else [])]
        if self.act.state and not changed.get("congvuDocument", box.attributes.get("congvuDocument")):
            remarks.append(MISSING)
        before, after = STATES[box.get("congvuState")], STATES[changed.get("congvuState", [box.get("congvuState")])[0]]
        if self.name == "handover":
            before, after = self._names(box.attributes.get("congvuDelegate", [])), self._names(changed["congvuDelegate"])
            remarks += [*self._strangers(order, box), "ghi người nhận vào cột delegates của sổ đăng ký"]
        elif self.name == "reset-password":
            after = "mật khẩu ban đầu mới, phải đổi khi đăng nhập" if differing else after
        elif self.name == "exempt":
            after += ", tính lại từ hôm nay" if order.lift else ", không tính thời gian không dùng cho đến khi bỏ miễn (lift=true)"
        elif order.request_only:
            after += ", có đề nghị mở lại"
        self.plan.rows.append(Row(self.act.title, box.get("mail"), box.get("cn"), before, after, order.document, due, "; ".join(remarks)))
        if "congvuResetDocument" in differing:
            self.plan.passwords.append(self._recipient(box))
        # Also when it was done before: that run may have been killed before the sessions ended.
        if self.act.state in ("suspended", "terminated") or self.name in ("reset-password", "handover"):
            self.plan.ending.append(box.get("uid"))
        if order.compromise or (self.name == "reinstate" and not order.request_only):
            self.plan.queue.append(box.get("uid"))
        if differing:
            line = {
                "act": "reopen-request" if order.request_only else self.name,
                "mailbox": box.get("mail"),
                "document": order.document,
                "reason": order.reason,
                "operator": order.operator,
                "before": {name: box.attributes.get(name, []) for name in differing},
                "after": differing,
                "result": "done" if not late else f"done; {late}",
            }
            self.plan.changes.append({"operations": operations, "journal": line})
        if self.act.state == "terminated" and not order.successor:
            self._orphans(order, box)

    def _orphans(self, order: Order, box: Mailbox) -> None:
        """Who has this mailbox as successor has none any more: mail to him would be taken and then returned."""
        for other in self.directory.mailboxes:
            if other.get("congvuSuccessor") not in box.attributes.get("mailLocalAddress", ()):
                continue
            gone = {name: other.attributes.get(name, []) for name in ("congvuSuccessor", "congvuSuccessorUntil")}
            after = dict.fromkeys(gone, [])
            reason = f"hộp thư nhận thay {box.get('mail')} chấm dứt"
            row = Row("Hết chuyển thư", other.get("mail"), other.get("cn"), "", "", order.document, "", f"{self.doing}: {reason}")
            self.plan.rows.append(row)
            line = {
                "act": "successor-end",
                "mailbox": other.get("mail"),
                "document": order.document,
                "reason": reason,
                "operator": order.operator,
                "before": gone,
                "after": after,
                "result": "done",
            }
            self.plan.changes.append({"operations": [{"dn": other.dn, "expect": gone, "replace": after}], "journal": line})

    def _suspend(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        if box.get("congvuState") == "suspended":  # done before; the document may have been missing
            return {"congvuDocument": _one(order.document or box.get("congvuDocument"))}
        deliver, offences = self.rules.deliver_suspended, box.get("congvuOffences")
        lost = order.compromise and box.get("congvuLogin") == "TRUE"  # without a password of its own there is none to renew
        wanted = states.suspended(self.now, order.reason, order.document, deliver, offences=offences, compromised=lost)
        return {**wanted, **_seen(box)}

    def _reinstate(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        if order.request_only:
            return {"congvuReopenRequest": [order.document]}
        if box.get("congvuState") == "active":
            return {}
        # Notices of the time before are in the journal; none of them may count for the next suspension.
        over = ("SuspendedSince", "Ended", "Refusal", "ReopenRequest", "RemovalApproved", "Successor", "SuccessorUntil", "Notice")
        return {
            "congvuState": ["active"],
            "congvuDelivery": ["TRUE"],
            "congvuRestored": [self.now],
            "congvuReason": [order.reason],
            "congvuDocument": [order.document],
            **{f"congvu{name}": [] for name in over},
        }

    def _terminate(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        until = datetime.datetime.combine(
            datetime.date.fromisoformat(order.successor_until or "2000-01-01"), datetime.time(23, 59, 59), VIETNAM
        ).astimezone(datetime.UTC)
        heir = {
            "congvuSuccessor": _one(order.successor),
            "congvuSuccessorUntil": [until.strftime("%Y%m%d%H%M%SZ")] if order.successor else [],
        }
        if box.get("congvuState") == "terminated":
            return {"congvuDocument": _one(order.document or box.get("congvuDocument")), **(heir if order.successor else {})}
        return {**states.ended(self.now, order.reason, order.document), **heir}

    def _reset(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        basis = order.document or order.reason
        if box.get("pwdReset") == "TRUE" and box.get("congvuResetDocument") == basis:
            return {}  # given on this document, and not used yet
        # What slapd notes of the last login goes away with the old password.
        return {"congvuResetDocument": [basis], "congvuCompromised": [], **_seen(box)}

    def _handover(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        heirs = order.delegates.lower().replace(",", " ").split()
        return {
            "congvuDelegate": list(dict.fromkeys(self.by_address[address].dn for address in heirs)),
            "congvuDocument": [order.document],
            # Until the register says the same, accounts.yml keeps to this.
            "congvuHandover": [f"{order.document_date} {order.document}"],
            # With a password of its own the mailbox gets a new one, once on each document.
            **({"congvuResetDocument": [order.document]} if box.get("congvuLogin") == "TRUE" else {}),
        }

    def _exempt(self, order: Order, box: Mailbox) -> dict[str, list[str]]:
        """A reason without a last day; lifted, it keeps the day, from which the clock counts anew."""
        reason = box.get("congvuExemption")
        if order.lift:
            return {"congvuExemption": [reason if states.exempt_until(reason) else states.lifted(reason, self.today)]}
        return {"congvuExemption": [f"{order.reason} ({order.document})"]}

    def _ledger(self, box: Mailbox) -> list[dict[str, Any]]:
        """The address in the ledger: closed with the end, current again with the way back."""
        if "terminated" not in (box.get("congvuState"), self.act.state):
            return []
        local_part = box.get("mail").partition("@")[0]
        closed = self.act.state == "terminated"
        wanted = {
            "congvuCurrent": ["FALSE" if closed else "TRUE"],
            "congvuUntil": [to_ldap_time(self.today.isoformat())] if closed else [],
        }
        return [{"dn": f"congvuLocalPart={local_part},ou=ledger,{self.rules.suffix}", "replace": wanted}]

    def _recipient(self, box: Mailbox) -> dict[str, Any]:
        """To whom a new password is handed: the organisation that the mailbox belongs to."""
        return {
            "code": box.get("congvuCode"),
            "name": box.get("cn"),
            "address": box.get("mail"),
            "organisation": box.get("congvuCode" if box.get("congvuKind") == "organisation" else "congvuOrganisation")
            or box.get("congvuCode"),
            "dn": box.dn,
            "policy": box.get("pwdPolicySubentry").partition(",")[0].removeprefix("cn="),
            "personal": [*box.attributes.get("mail", []), *box.attributes.get("congvuForbiddenInPassword", [])],
        }

    def _names(self, dns: Iterable[str]) -> str:
        return ", ".join(self.by_dn[dn].get("cn") if dn in self.by_dn else dn for dn in dns) or "(không có)"

    def _due(self, order: Order) -> tuple[str, str]:
        """The last day of the deadline, and what is to be said when it has passed."""
        days, start = self.rules.deadlines.get(self.act.request, (None, None))
        begin = order.complete if start == "complete_information" and order.complete else order.received
        if days is None or not begin or start == "handling":
            return "", ""
        received = received_on(datetime.datetime.fromisoformat(begin) if "T" in begin else datetime.date.fromisoformat(begin), self.closing)
        try:
            due = self.calendar.deadline(received, days)
        except CalendarError as error:
            return "", str(error)
        return shown(due), f"TRỄ HẠN {self.calendar.between(due, self.today)} ngày làm việc" if due < self.today else ""


def with_passwords(made: Plan, hashes: Mapping[str, str]) -> Plan:
    """The plan with the hash of each new password in its change."""
    by_dn = {box["dn"]: hashes[box["code"]] for box in made.passwords}
    changes = []
    for change in made.changes:
        (first, *rest) = change["operations"]
        # A lock after wrong guesses goes with the password that was guessed.
        added = {"userPassword": [by_dn[first["dn"]]], "pwdReset": ["TRUE"], "pwdAccountLockedTime": []} if first["dn"] in by_dn else {}
        changes.append({**change, "operations": [{**first, "replace": {**first["replace"], **added}}, *rest]})
    return replace(made, changes=changes)


def _seen(box: Mailbox) -> dict[str, list[str]]:
    """The last access, kept from what slapd may forget or write anew."""
    seen = max(box.get("congvuLastAccess")[:14], box.get("pwdLastSuccess")[:14])
    return {"congvuLastAccess": [f"{seen}Z"]} if seen else {}


def _one(value: str) -> list[str]:
    return [value] if value else []


def _day(iso: str) -> str:
    return f"{iso[8:10]}/{iso[5:7]}/{iso[:4]}"


def _moment(generalized: str) -> str:
    return f"ngày {shown(local_date(generalized))}"
