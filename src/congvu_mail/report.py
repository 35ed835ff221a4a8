# SPDX-License-Identifier: Apache-2.0
"""The official reports: from raw figures of the hosts and the register to parts, tables, charts and annexes.

:func:`make` takes what the module ``report_figures`` collected and gives a :class:`Report`; ``report_pages`` writes it as HTML, PDF and
CSV. No file, no clock: the same figures give the same report. Every table and chart says where its figures come from. Which parts a report
has and what they are called is data, ``report_layout.yml``. ``docs/bao-cao.md`` is for its readers.
"""

from __future__ import annotations

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from congvu_mail import journal, policy_docs, registers, request_register
from congvu_mail import policy_schema as schema
from congvu_mail.clock import Rules as ClockRules
from congvu_mail.months import VIETNAM, add_months, local_date, shown
from congvu_mail.periods import Period
from congvu_mail.policy import path_text
from congvu_mail.status import KINDS, STATES, gib, number
from congvu_mail.working_days import Calendar

LAYOUT = yaml.safe_load(Path(__file__).with_name("report_layout.yml").read_text(encoding="utf-8"))
MET, NOT_MET, NOT_APPLICABLE, BY_HAND = "Đạt", "Không đạt", "Không áp dụng", "Cần xác nhận thủ công"
SHOWN_AT_MOST = 40  # rows of a list in the document; all are in its annex
ACTS = {
    "suspend": "Tạm khóa",
    "reinstate": "Khôi phục",
    "terminate": "Chấm dứt",
    "reset-password": "Cấp lại mật khẩu",
    "handover": "Bàn giao hộp thư",
    "exempt": "Miễn tính thời gian không dùng",
    "recall": "Gỡ bỏ thư",
    "reopen-request": "Nhận đề nghị mở lại",
    "approve-removal": "Duyệt gỡ bỏ",
    "clock-notice": "Thông báo về hộp thư",
    "clock-lock": "Tạm khóa do không dùng",
    "clock-withdraw": "Thu hồi do không dùng",
    "clock-remove": "Gỡ bỏ do không dùng",
    "clock-purge": "Xóa dữ liệu hộp thư đã chấm dứt",
    "restore-mailbox": "Phục hồi thư từ bản sao lưu",
    "block-lift": "Bỏ chặn địa chỉ dò mật khẩu",
    "header-search": "Tra cứu tiêu đề thư",
    "archive_export": "Trích bản lưu cho người kiểm tra",
    "quarantine_release": "Giao thư bị giữ",
    "quarantine_expire": "Xóa thư bị giữ quá hạn",
    "register-create": "Cấp mới theo sổ đăng ký",
    "register-rename": "Đổi địa chỉ theo sổ đăng ký",
    "register-change": "Cập nhật thông tin theo sổ đăng ký",
    "register-suspend": "Tạm khóa theo sổ đăng ký",
    "register-terminate": "Chấm dứt theo sổ đăng ký",
    "initial-password": "Tạm khóa do chưa đổi mật khẩu ban đầu",
    "password-expired": "Hết hạn mật khẩu",
    "successor-end": "Hết chuyển thư cho người nhận thay",
    journal.REPAIR: "Sửa nhật ký sau sự cố",
}
ON_PAPER = ("suspend", "reinstate", "terminate", "reset-password", "handover", "exempt", "recall")  # need a document, sooner or later
RESULTS = {"done": "xong"}
BODIES = {
    "province_agency": "Sở, ban, ngành cấp tỉnh",
    "subordinate": "Đơn vị trực thuộc",
    "division": "Phòng, ban chuyên môn",
    "district": "UBND cấp huyện",
    "commune": "UBND cấp xã",
    "party": "Cơ quan Đảng",
    "mass_org": "Mặt trận, tổ chức chính trị - xã hội, hội",
    "central": "Cơ quan Trung ương",
    "enterprise": "Doanh nghiệp",
    "service": "Hộp thư phục vụ",
}
BLOCKED = {
    "spam": "Thư rác bị từ chối",
    "virus": "Mã độc",
    "attachment": "Tệp bị cấm",
    "forward": "Chuyển tiếp tự động trái quy định",
    "identity": "Giả mạo người gửi",
    "limit": "Vượt số thư, dung lượng cho phép",
    "recipient": "Địa chỉ nhận không có hoặc hộp thư đầy",
    "relay": "Chuyển tiếp qua máy chủ trái phép",
    "other": "Lý do khác",
}
FROM_DIRECTORY = "danh bạ LDAP (ou=mailboxes)"
FROM_LOGINS = "nhật ký đăng nhập Dovecot (journald)"
FROM_JOURNAL = "nhật ký thao tác (operations.jsonl)"
FROM_REQUESTS = "sổ yêu cầu requests.csv"
FROM_MTA = "nhật ký Postfix (journald)"
FROM_FILTER = "nhật ký Rspamd (journald)"
_DAY = datetime.timedelta(days=1)


class ReportError(ValueError):
    """Why no report can be made, in Vietnamese, with the remedy."""


# --- what a report is made of ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``source`` says where its figures come from, ``note`` what a reader has to know."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, each with a label, a value and the value as text; ``upright`` for a course of time."""

    title: str
    bars: Sequence[tuple[str, float, str]]
    source: str
    upright: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A numbered part of the report."""

    title: str
    blocks: Sequence[Text | Table | Chart]


@dataclass(frozen=True, slots=True)
class Annex:
    """A list that goes with the report, as a file of its own."""

    file: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report."""

    title: str
    about: str
    period: Period
    grounds: str
    collected: datetime.datetime
    owner: str
    operator: str
    organisation: str
    parts: Sequence[Part]
    annexes: Sequence[Annex]
    findings: Sequence[str]


# --- figures --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """One mailbox as the directory and the mail hosts know it. Dates are days in Viet Nam."""

    uid: str
    code: str
    kind: str
    state: str
    category: str
    account_class: str
    organisation: str
    name: str
    address: str
    addresses: frozenset[str]
    title: str
    quota: int
    used: int
    issued: datetime.date | None
    last_access: datetime.date | None
    opened: bool  # in the period
    must_change: bool
    locked: bool
    password_changed: datetime.date | None
    leave_until: datetime.date | None
    since: datetime.date | None  # suspended or ended
    reason: str
    document: str

    @property
    def fill(self) -> float:
        """Share of the quota in use, 0 to 1."""
        return self.used / self.quota if self.quota else 0.0


def _day(value: str) -> datetime.date | None:
    return local_date(value) if value else None


def _of_seconds(seconds: float | None) -> datetime.date | None:
    return datetime.datetime.fromtimestamp(seconds, VIETNAM).date() if seconds else None


def boxes(entries: Iterable[Mapping[str, Sequence[str]]], mail: Sequence[Mapping[str, Any]], period: Period) -> list[Box]:
    """Mailboxes in the order of their addresses, from directory entries and what the mail hosts tell."""
    usage, logins, seen = {}, {}, {}
    for host in mail:
        usage |= host["usage"]
        logins |= host["logins"]
        seen |= host["last_login"]
    found = []
    for entry in entries:

        def one(name: str, entry: Mapping[str, Sequence[str]] = entry) -> str:
            return (entry.get(name) or [""])[0]

        uid = one("uid")
        count, _days, last = logins.get(uid, (0, 0, None))
        accesses = [_day(one("congvuLastAccess")), _of_seconds(seen.get(uid)), _of_seconds(last)]
        access = max((day for day in accesses if day), default=None)
        found.append(
            Box(
                uid=uid,
                code=one("congvuCode"),
                kind=one("congvuKind"),
                state=one("congvuState"),
                category=one("businessCategory") if one("congvuKind") == "organisation" else one("employeeType"),
                account_class=one("congvuClass"),
                organisation=one("congvuOrganisation"),
                name=one("cn"),
                address=one("mail"),
                addresses=frozenset((uid, *entry.get("mailLocalAddress", ()))),
                title=one("title"),
                quota=int(one("congvuQuota") or 0),
                used=int(usage.get(uid, 0)),
                issued=_day(one("congvuIssued")),
                last_access=access,
                opened=bool(count) or period.has(access),
                must_change=one("pwdReset") == "TRUE",
                locked=bool(one("pwdAccountLockedTime")),
                password_changed=_day(one("pwdChangedTime")),
                leave_until=_day(one("congvuLeaveUntil")),
                since=_day((one("congvuEnded") if one("congvuState") == "terminated" else "") or one("congvuSuspendedSince")),
                reason=one("congvuReason"),
                document=one("congvuDocument"),
            )
        )
    return sorted(found, key=lambda box: (box.address, box.uid))


def days_kept(
    openings: Mapping[str, Sequence[Sequence[Any]]],
    rule: Mapping[str, Any],
    windows: Mapping[str, Sequence[str]],
    days: Iterable[datetime.date],
    persons_only: bool,
) -> int:
    """On how many of the days a mailbox was opened as often, and in each of the windows, as ``check_frequency`` asks.

    ``openings``: ISO day to ``[minute of the day, who]``; ``windows``: name to ``[from, to]`` as ``HH:MM``. With ``persons_only`` an
    opening without a named person does not count.
    """

    def minutes(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    spans = [tuple(map(minutes, windows[name])) for name in rule["windows"]]
    kept = 0
    for day in days:
        times = [minute for minute, who in openings.get(day.isoformat(), ()) if who or not persons_only]
        in_each = all(any(first <= minute < last for minute in times) for first, last in spans)
        kept += in_each and len(times) >= rule["per_working_day"]
    return kept


def percent(part: float, whole: float) -> str:
    """A share as Vietnam writes it: 12,5%."""
    return f"{number(100 * part / whole, 1)}%" if whole else "-"


def size(value: float) -> str:
    """Bytes in GiB, small figures in MiB."""
    return gib(value) if value >= 1024**3 or not value else f"{number(value / 1024**2, 1)} MiB"


def _or_dash(day: datetime.date | None) -> str:
    return shown(day) if day else "-"


# --- the report -----------------------------------------------------------------------------------------------------------


@dataclass
class Maker:
    """Makes the parts. Arguments as of :func:`make`."""

    policy: Mapping[str, Any]
    period: Period
    figures: Mapping[str, Any]
    register: registers.Registers
    calendar: Calendar
    windows: Mapping[str, Sequence[str]]
    closing: datetime.time | None = None
    organisation: str = ""
    findings: list[str] = field(default_factory=list)
    # Policy path: kept? (None: that is for a person to say), the figures.
    measured: dict[str, tuple[bool | None, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.collected = datetime.datetime.fromisoformat(self.figures["collected"]).astimezone(VIETNAM)
        self.today = self.collected.date()
        if self.period.first > self.today:
            raise ReportError(f"kỳ báo cáo {self.period.title} chưa bắt đầu (hôm nay {shown(self.today)}); chọn kỳ khác")
        self.end = min(self.period.last, self.today)
        self.names = {row["code"]: row["name"] for row in self.register.organisations.rows}
        self.parents = {row["code"]: row["parent"] for row in self.register.organisations.rows}
        # Every agency has its "Văn phòng".
        divisions = [row for row in self.register.organisations.rows if row["kind"] == "division" and row["parent"] in self.names]
        self.names |= {row["code"]: f"{row['name']}, {self.names[row['parent']]}" for row in divisions}
        if self.organisation and self.organisation not in self.names:
            raise ReportError(f"không có cơ quan mã {self.organisation} trong organisations.csv; xem lại mã")
        everything = boxes(self.figures["directory"]["entries"], self.figures["mail"], self.period)
        self.boxes = [box for box in everything if self._concerns(box.code if box.kind == "organisation" else box.organisation)]
        self.live = [box for box in self.boxes if box.state != "terminated"]

    # -- who belongs to it --

    def _chain(self, code: str) -> Iterator[str]:
        seen = set()
        while code and code not in seen:
            yield code
            seen.add(code)
            code = self.parents.get(code, "")

    def _concerns(self, code: str) -> bool:
        return not self.organisation or self.organisation in self._chain(code)

    def _body(self, box: Box) -> str:
        """The organisation a mailbox is counted for."""
        return box.code if box.kind == "organisation" else box.organisation

    def _name(self, code: str) -> str:
        return self.names.get(code, code or "Chưa ghi cơ quan")

    # -- common --

    def _source(self, *names: str) -> str:
        return f"{'; '.join(names)}; lấy lúc {self.collected:%H:%M %d/%m/%Y}"

    @cached_property
    def journal(self) -> list[dict[str, Any]]:
        """Entries of the period on these mailboxes."""
        addresses = {box.address for box in self.boxes}
        return [
            entry
            for entry in self.figures["directory"]["journal"]
            if self.period.has(datetime.datetime.fromisoformat(entry["time"]).astimezone(VIETNAM).date())
            and (not self.organisation or entry["mailbox"] in addresses)
        ]

    @cached_property
    def cases(self) -> list[request_register.Case]:
        """Requests received or still open in the period."""
        rules = request_register.Rules.from_policy(self.policy)
        found = request_register.cases(self.register, rules, self.calendar, self.end, self.closing)
        people = {row["code"]: row["organisation"] for row in self.register.people.rows}
        return [
            case
            for case in found
            if self._concerns(people.get(case.code, case.code))
            and case.received <= self.end
            and (self.period.has(case.received) or self.period.has(case.done) or case.state in request_register.OPEN)
        ]

    def _log_note(self, hosts: Sequence[Mapping[str, Any]]) -> str:
        """Says so when the logs do not reach back to the first day."""
        starts = [_of_seconds(host["log_from"]) for host in hosts if host["log_from"]]
        if not starts:
            return "Không có nhật ký: số liệu này là 0."
        first = max(starts)
        return f"Nhật ký chỉ có từ ngày {shown(first)}; phần trước ngày đó của kỳ không có số liệu." if first > self.period.first else ""

    # -- parts --

    def scope(self) -> Iterator[Text | Table | Chart]:
        regulation = self.policy["regulation"]
        number_ = f" số {regulation['number']}" if regulation["number"] else ""
        issued = f" ngày {_iso(regulation['issued'])}" if regulation["issued"] else ""
        effective = f", hiệu lực từ {_iso(regulation['effective'])}" if regulation["effective"] else ""
        standing = "" if regulation["status"] == "in_force" else f" ({schema.STATUS.show(regulation['status'])})"
        yield Text(f"Căn cứ {regulation['title']}{number_}{issued} của {regulation['authority']}{effective}{standing}.")
        yield Text(
            f"Chủ quản: {self.policy['system']['owner']['value']}. Đơn vị vận hành: {self.policy['system']['operator']['value']}. "
            f"Cấp độ an toàn hệ thống thông tin: {self.policy['security']['level']['value']}. Tên miền: {self.policy['domain']['value']}."
        )
        reach = f"{self._name(self.organisation)} và các đơn vị trực thuộc" if self.organisation else "toàn hệ thống"
        yield Text(
            f"Phạm vi: {reach}. Kỳ báo cáo: {self.period.span}. Số hộp thư, dung lượng, trạng thái là của thời điểm lấy số liệu, "
            f"{self.collected:%H:%M} ngày {shown(self.today)}; lượt truy cập, thư, yêu cầu, thao tác là của kỳ báo cáo."
        )
        if self.end < self.period.last:
            yield Text(f"Kỳ báo cáo chưa kết thúc: số liệu đến ngày {shown(self.end)}.")

    def issued(self) -> Iterator[Text | Table | Chart]:
        counts = Counter((box.kind, box.state) for box in self.boxes)
        waiting = Counter(box.kind for box in self.live if box.must_change)
        rows = [
            [title, *(counts[kind, state] for state in STATES), sum(counts[kind, state] for state in STATES), waiting[kind]]
            for kind, title in (("organisation", "Hộp thư cơ quan, đơn vị"), ("person", "Hộp thư cá nhân"))
        ]
        rows.append(["Tổng số", *(sum(row[column] for row in rows) for column in range(1, 6))])
        yield Table(
            "Hộp thư theo loại và trạng thái",
            ["Loại", "Đang dùng", "Tạm khóa", "Đã chấm dứt", "Cộng", "Chưa đổi mật khẩu lần đầu"],
            rows,
            self._source(FROM_DIRECTORY),
        )
        kinds = Counter(box.category for box in self.live if box.kind == "organisation")
        if kinds:
            yield Table(
                "Hộp thư cơ quan theo loại cơ quan",
                ["Loại cơ quan", "Số hộp thư"],
                [[BODIES.get(kind, kind or "chưa ghi"), count] for kind, count in sorted(kinds.items(), key=_largest)],
                self._source(FROM_DIRECTORY),
                "Không tính hộp thư đã chấm dứt.",
            )
        new = Counter(box.kind for box in self.boxes if self.period.has(box.issued))
        acts = Counter(entry["act"] for entry in self.journal)
        changes = [[f"Cấp mới hộp thư {KINDS[kind]}", new[kind], FROM_DIRECTORY] for kind in ("organisation", "person")]
        changes += [[ACTS.get(act, act), count, FROM_JOURNAL] for act, count in sorted(acts.items(), key=_largest)]
        yield Table("Cấp mới, thay đổi, thu hồi trong kỳ", ["Việc", "Số lần", "Nguồn"], changes, self._source(FROM_DIRECTORY, FROM_JOURNAL))
        yield self._against_the_register()
        yield from self._deadlines()

    def _against_the_register(self) -> Table:
        """Who has a mailbox and should not, and who should and has none."""
        rows = {row["code"]: row for table in (self.register.organisations, self.register.people) for row in table.rows}
        gone = {code for code, row in rows.items() if row["status"].lower() in ("left", "dissolved")}
        strays = [box.address for box in self.live if box.code not in rows]
        kept = [box.address for box in self.live if box.code in gone and box.state == "active"]
        held = {box.code for box in self.boxes}
        none = [code for code, row in rows.items() if code not in held | gone and self._concerns(row.get("organisation") or code)]
        told = [
            ("Hộp thư không có trong sổ đăng ký", strays),
            ("Hộp thư còn hoạt động của người đã nghỉ, cơ quan đã giải thể theo sổ đăng ký", kept),
            ("Người, cơ quan trong sổ đăng ký chưa có hộp thư (mã)", none),
        ]
        self.findings += [f"{title}: {len(found)} (phần II)." for title, found in told[:2] if found]
        return Table(
            "Hộp thư so với sổ đăng ký",
            ["Nội dung", "Số lượng", "Hộp thư, mã"],
            [
                [title, len(found), ", ".join(sorted(found)[:SHOWN_AT_MOST]) + (", ..." if len(found) > SHOWN_AT_MOST else "")]
                for title, found in told
            ],
            self._source(FROM_DIRECTORY, "organisations.csv, people.csv"),
        )

    def _deadlines(self) -> Iterator[Table]:
        rules = request_register.Rules.from_policy(self.policy)
        rows = []
        for act, title in request_register.ACTS.items():
            states = Counter(case.state for case in self.cases if case.act == act)
            limit = rules.deadlines[act].working_days if act in rules.deadlines else None
            if not states and limit is None:
                continue
            late = states["late"] + states["overdue"]
            term = f"{limit} ngày làm việc" if limit is not None else "không quy định"
            opened = sum(states[state] for state in ("open", "waiting", "handling"))
            rows.append([title, term, states.total(), states["in_time"], states["late"], states["overdue"], opened])
            if limit is not None and states.total():
                self.measured[f"deadlines.{act}"] = (not late, f"{title}: {states['in_time']} đúng hạn, {late} trễ hạn hoặc quá hạn")
            if states["overdue"]:
                self.findings.append(f"{title}: {states['overdue']} yêu cầu quá hạn chưa giải quyết (Phụ lục 3).")
        yield Table(
            "Thời hạn xử lý yêu cầu",
            ["Việc", "Thời hạn", "Số yêu cầu", "Đúng hạn", "Trễ hạn", "Quá hạn chưa xong", "Trong hạn, đang làm"],
            rows,
            self._source(FROM_REQUESTS),
            "Gồm yêu cầu nhận hoặc giải quyết trong kỳ và yêu cầu còn mở.",
        )

    def use(self) -> Iterator[Text | Table | Chart]:
        note = self._log_note(self.figures["mail"])
        rows = []
        for kind, title in (("organisation", "Hộp thư cơ quan"), ("person", "Hộp thư cá nhân")):
            mine = [box for box in self.live if box.kind == kind]
            opened = sum(box.opened for box in mine)
            rows.append([title, len(mine), opened, percent(opened, len(mine)), len(mine) - opened])
        yield Table(
            "Hộp thư có truy cập trong kỳ",
            ["Loại", "Số hộp thư", "Có truy cập", "Tỷ lệ", "Không truy cập"],
            rows,
            self._source(FROM_LOGINS, FROM_DIRECTORY),
            note,
        )
        by_body = defaultdict(list)
        for box in self.live:
            by_body[self._body(box)].append(box)
        shares = sorted(
            (
                (self._name(code), len(mine), sum(box.opened for box in mine), sum(box.used for box in mine))
                for code, mine in by_body.items()
            ),
            key=lambda row: (row[2] / row[1], -row[1], row[0]),
        )
        yield Chart(
            "Tỷ lệ hộp thư có truy cập, theo cơ quan" + (" (15 cơ quan thấp nhất)" if len(shares) > 15 else ""),
            [(name, opened / total, f"{opened}/{total}") for name, total, opened, _ in shares[:15]],
            self._source(FROM_LOGINS, FROM_DIRECTORY),
        )
        yield Table(
            "Sử dụng theo cơ quan" + _cut(shares),
            ["Cơ quan", "Số hộp thư", "Có truy cập", "Tỷ lệ", "Dung lượng đã dùng"],
            [[name, total, opened, percent(opened, total), size(used)] for name, total, opened, used in shares[:SHOWN_AT_MOST]],
            self._source(FROM_LOGINS, FROM_DIRECTORY, "doveadm quota get"),
        )
        yield from self._checks()
        yield from self._fill()

    def _checks(self) -> Iterator[Text | Table | Chart]:
        openings = {uid: days for host in self.figures["mail"] for uid, days in host["openings"].items()}
        for kind, title, table in (
            ("organisation", "hộp thư cơ quan", self._checks_of_organisations),
            ("person", "hộp thư cá nhân", self._checks_of_persons),
        ):
            leaf = self.policy["check_frequency"][kind]
            if leaf["value"] is None:
                yield Text(f"Quy chế không quy định số lần kiểm tra {title}.")
                continue
            boxes = [box for box in self.live if box.kind == kind and box.state == "active"]
            yield table(leaf["value"], boxes, openings, self._demanded(leaf))

    def _demanded(self, leaf: Mapping[str, Any]) -> str:
        """What ``check_frequency`` asks, and how it is counted."""
        rule = leaf["value"]
        clause = f" ({leaf['clause']})" if leaf.get("clause") else ""
        times = ", ".join(f"{_WINDOWS[name]} ({self.windows[name][0]}-{self.windows[name][1]})" for name in rule["windows"])
        return (
            f"Mức yêu cầu{clause}: {rule['per_working_day']} lần mỗi ngày làm việc{times and ', vào '}{times}. Trong nửa giờ, "
            "mọi lần đăng nhập tính một lần mở; phiên IMAP chỉ giữ kết nối không tính. Chương trình thư tự kiểm tra theo giờ vẫn "
            "đăng nhập như người mở. " + self._log_note(self.figures["mail"])
        )

    def _days_to_check(self, box: Box) -> list[datetime.date]:
        """The working days on which a mailbox had to be opened, as far as the log tells. The day of the report is not over yet."""
        starts = [_of_seconds(host["log_from"]) for host in self.figures["mail"] if host["log_from"]]
        if not starts:
            return []
        begin = max([self.period.first, *(day + _DAY for day in (*starts, box.issued, box.leave_until) if day)])
        return [day for day in _days(begin, min(self.end, self.today - _DAY)) if self.calendar.is_working(day)]

    def _checks_of_organisations(self, rule: Mapping[str, Any], boxes: Sequence[Box], openings: Mapping[str, Any], note: str) -> Table:
        persons_only = self.policy["organisation_mailbox"]["access"]["value"] == "delegates"
        rows, kept_all, days_all = [], 0, 0
        for box in boxes:
            days = self._days_to_check(box)
            mine = {
                day: [(minute, "" if login.lower() in box.addresses else login) for minute, login in times]
                for day, times in openings.get(box.uid, {}).items()
            }
            kept = days_kept(mine, rule, self.windows, days, persons_only)
            named = sum(1 for day in days for _, who in mine.get(day.isoformat(), ()) if who)
            total = sum(len(mine.get(day.isoformat(), ())) for day in days)
            verdict = "chưa đo" if not days else MET if kept == len(days) else NOT_MET
            rows.append([box.name, box.address, len(days), kept, percent(kept, len(days)), total, named, verdict])
            kept_all, days_all = kept_all + kept, days_all + len(days)
        rows.sort(key=lambda row: (row[3] / row[2] if row[2] else 2, row[1]))
        failing = sum(row[-1] == NOT_MET for row in rows)
        if days_all:
            told = f"{number(kept_all)}/{number(days_all)} ngày làm việc đạt; {failing}/{len(rows)} hộp thư có ngày không đạt"
            self.measured["check_frequency.organisation"] = (not failing, told)
        if failing:
            self.findings.append(f"{failing} hộp thư cơ quan không được kiểm tra đủ số lần trong ngày làm việc (phần III).")
        return Table(
            "Tần suất kiểm tra hộp thư cơ quan" + _cut(rows),
            ["Cơ quan", "Hộp thư", "Ngày làm việc", "Ngày đạt", "Tỷ lệ", "Lần mở", "Biết người mở", "Kết luận"],
            rows[:SHOWN_AT_MOST],
            self._source(FROM_LOGINS),
            note,
        )

    def _checks_of_persons(self, rule: Mapping[str, Any], boxes: Sequence[Box], openings: Mapping[str, Any], note: str) -> Table:
        """By organisation, nobody by name. Days of leave and of travel are not known, so a person concludes."""
        by_body: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for box in boxes:
            days = self._days_to_check(box)
            by_body[self._body(box)].append((days_kept(openings.get(box.uid, {}), rule, self.windows, days, False), len(days)))
        rows = []
        for code, counts in by_body.items():
            kept, days = (sum(column) for column in zip(*counts, strict=True))
            each = sum(one == whole for one, whole in counts if whole)
            rows.append([self._name(code), len(counts), days, kept, percent(kept, days), each])
        rows.sort(key=lambda row: (row[3] / row[2] if row[2] else 2, row[0]))
        days_all, kept_all = (sum(row[column] for row in rows) for column in (2, 3))
        if days_all:
            told = f"{number(kept_all)}/{number(days_all)} ngày làm việc của hộp thư cá nhân đạt ({percent(kept_all, days_all)})"
            self.measured["check_frequency.person"] = (True if kept_all == days_all else None, told)
        return Table(
            "Tần suất kiểm tra hộp thư cá nhân" + _cut(rows),
            ["Cơ quan", "Số hộp thư", "Ngày phải kiểm tra", "Ngày đạt", "Tỷ lệ", "Hộp thư đạt mọi ngày"],
            rows[:SHOWN_AT_MOST],
            self._source(FROM_LOGINS),
            "Ngày: cộng ngày làm việc của từng hộp thư, trừ thời gian nghỉ ghi trong sổ đăng ký. Nghỉ phép, đi công tác không có trong số "
            "liệu, nên ngày không đạt cần xác nhận thủ công. " + note,
        )

    def _fill(self) -> Iterator[Table | Chart]:
        steps = ((0, 0.25, "dưới 25%"), (0.25, 0.5, "25-50%"), (0.5, 0.75, "50-75%"), (0.75, 0.9, "75-90%"), (0.9, 9e9, "từ 90%"))
        counts = [(label, sum(first <= box.fill < last for box in self.live)) for first, last, label in steps]
        yield Chart(
            "Hộp thư theo mức dung lượng đã dùng",
            [(label, count, number(count)) for label, count in counts],
            self._source("doveadm quota get", FROM_DIRECTORY),
        )
        rows = []
        for kind, title in (("organisation", "Hộp thư cơ quan"), ("person", "Hộp thư cá nhân")):
            mine = [box for box in self.live if box.kind == kind]
            used, quota = sum(box.used for box in mine), sum(box.quota for box in mine)
            rows.append([title, size(quota), size(used), percent(used, quota), sum(box.fill >= 0.9 for box in mine)])
        yield Table(
            "Dung lượng",
            ["Loại", "Đã cấp", "Đã dùng", "Tỷ lệ", "Hộp thư dùng từ 90%"],
            rows,
            self._source("doveadm quota get", FROM_DIRECTORY),
        )
        full = sum(box.fill >= 0.9 for box in self.live)
        if full:
            self.findings.append(f"{full} hộp thư đã dùng từ 90% dung lượng.")

    def compliance(self) -> Iterator[Text | Table | Chart]:
        rows, counts = [], Counter()
        for entry in self.policy["clauses"]:
            verdict, told = self._verdict(entry)
            counts[verdict] += 1
            rows.append([entry["clause"], entry["summary"], told, verdict])
        yield Table(
            "Đối chiếu từng điều, khoản, điểm",
            ["Điều khoản", "Nội dung", "Số đo trong kỳ", "Kết luận"],
            rows,
            self._source("policy.yml", FROM_REQUESTS, FROM_LOGINS),
            "Báo cáo này chỉ kết luận điều đo được từ số liệu của kỳ; điều còn lại ghi “Cần xác nhận thủ công”. "
            + ", ".join(f"{verdict}: {counts[verdict]}" for verdict in (MET, NOT_MET, BY_HAND, NOT_APPLICABLE))
            + ".",
        )

    def _verdict(self, entry: Mapping[str, Any]) -> tuple[str, str]:
        if entry["met_by"] == "not_applicable":
            return NOT_APPLICABLE, ""
        rules = [item for item in entry["by"] if "/" not in item]
        found = [self.measured[path] for path in self.measured if any(path == rule or path.startswith(f"{rule}.") for rule in rules)]
        told = "; ".join(text for _, text in found)
        # What people do is more than what is measured of it.
        if any(kept is False for kept, _ in found) and entry["met_by"] != "organisational":
            return NOT_MET, told
        known = all(kept for kept, _ in found) and all(rule in self.measured for rule in rules)
        whole = found and known and entry["met_by"] != "organisational"
        return (MET if whole else BY_HAND), told

    def addresses(self) -> Iterator[Text | Table | Chart]:
        rows = [
            [row["code"], row.get("name") or row.get("full_name"), row["local_part"], row["basis"]]
            for table in (self.register.organisations, self.register.people)
            for row in table.rows
            if row["local_part"] and self._concerns(row["code"] if "parent" in row else row["organisation"])
        ]
        yield Table(
            "Địa chỉ ngoại lệ và căn cứ" + _cut(rows),
            ["Mã", "Tên", "Địa chỉ ấn định", "Căn cứ"],
            rows[:SHOWN_AT_MOST],
            self._source("organisations.csv, people.csv (cột local_part, basis)"),
            "Địa chỉ khác do bộ sinh địa chỉ cấp theo Quy chế, kể cả khi trùng (playbooks/addresses.yml), hoặc giữ từ hệ thống cũ.",
        )
        kept = [row for row in self.register.issued.rows if row["current"].lower() != "false" and self._concerns(row["organisation"])]
        if kept:
            yield Text(f"Địa chỉ giữ từ hệ thống cũ (issued.csv): {number(len(kept))}; cần đối chiếu với quy tắc đặt địa chỉ.")
        same = [address for address, count in Counter(box.address for box in self.live).items() if count > 1]
        yield Text(f"Địa chỉ bị trùng giữa hai hộp thư: {', '.join(sorted(same)) or 'không có'}.")

    def passwords(self) -> Iterator[Text | Table | Chart]:
        rules = self.policy["password"]
        rows = []
        for name, title in (("user", "Người dùng, cơ quan"), ("admin", "Quản trị")):
            age = rules[name]["max_age_months"]["value"]
            classes = len(rules[name]["classes"]["value"])
            mine = [box for box in self.live if (box.account_class or "user") == name]
            due = [box for box in mine if age and box.password_changed and add_months(box.password_changed, age) < self.today]
            rows.append(
                [
                    title,
                    f"{rules[name]['min_length']['value']} ký tự, {classes} loại ký tự",
                    f"{age} tháng" if age else "không quy định",
                    len(mine),
                    len(due),
                    sum(box.must_change for box in mine),
                    sum(box.locked for box in mine),
                ]
            )
        yield Table(
            "Chính sách mật khẩu và tài khoản",
            ["Loại tài khoản", "Độ dài, độ phức tạp", "Thời hạn", "Số tài khoản", "Quá hạn", "Chưa đổi lần đầu", "Đang bị khóa đăng nhập"],
            rows,
            self._source("policy.yml", "OpenLDAP (pwdChangedTime, pwdReset, pwdAccountLockedTime)"),
            "Mật khẩu quá hạn và chưa đổi lần đầu đều không đăng nhập được, trừ trang đổi mật khẩu.",
        )
        admins = ", ".join(f"{box.name} ({box.address})" for box in self.live if box.account_class == "admin") or "không có"
        yield Text(f"Tài khoản theo quy tắc mật khẩu của quản trị: {admins}.")

    def inactive(self) -> Iterator[Text | Table | Chart]:
        months = min((stage.months for stage in self._stages()), default=None)
        idle = self._idle(months) if months else []
        if months:
            yield Table(
                f"Hộp thư không truy cập từ {months} tháng" + _cut(idle),
                ["Hộp thư", "Tên", "Cơ quan", "Ngày cấp", "Truy cập cuối", "Nghỉ có lý do đến"],
                [[b.address, b.name, self._name(self._body(b)), *map(_or_dash, (b.issued, b.last_access, b.leave_until))] for b in idle][
                    :SHOWN_AT_MOST
                ],
                self._source(FROM_DIRECTORY, FROM_LOGINS),
                f"{months} tháng là mốc đầu tiên của quy định về hộp thư không dùng đang áp dụng.",
            )
        for state, title in (("suspended", "Hộp thư đang tạm khóa"), ("terminated", "Hộp thư đã chấm dứt")):
            mine = [box for box in self.boxes if box.state == state]
            yield Table(
                title + _cut(mine),
                ["Hộp thư", "Tên", "Từ ngày", "Lý do", "Văn bản"],
                [[b.address, b.name, _or_dash(b.since), b.reason or "-", b.document or "-"] for b in mine][:SHOWN_AT_MOST],
                self._source(FROM_DIRECTORY),
            )
        # A whole province is in the annex; here are the acts that somebody decided on.
        acts = [e for e in self.journal if e["act"] not in ("recall", "handover", "register-create", "register-change")]
        yield Table(
            "Thao tác với hộp thư trong kỳ" + _cut(acts),
            ["Thời điểm", "Việc", "Hộp thư", "Văn bản", "Lý do", "Kết quả"],
            [self._act(entry) for entry in acts[:SHOWN_AT_MOST]],
            self._source(FROM_JOURNAL),
        )

    def _stages(self) -> Iterable[Any]:
        return [stage for stage in ClockRules.from_policy(self.policy).stages if stage.months]

    def _idle(self, months: int) -> list[Box]:
        def since(box: Box) -> datetime.date | None:
            return max((day for day in (box.issued, box.last_access) if day), default=None)

        return [box for box in self.live if box.state == "active" and since(box) and add_months(since(box), months) < self.today]

    def _act(self, entry: Mapping[str, Any]) -> list[str]:
        moment = datetime.datetime.fromisoformat(entry["time"]).astimezone(VIETNAM)
        document = entry["document"] or ("CHƯA CÓ VĂN BẢN" if entry["act"] in ON_PAPER else "-")
        names = (entry["mailbox"], document, entry["reason"], RESULTS.get(entry["result"], entry["result"]))
        return [f"{moment:%d/%m/%Y %H:%M}", ACTS.get(entry["act"], entry["act"]), *names]

    def security(self) -> Iterator[Text | Table | Chart]:
        mta, filters = self.figures["mta"], self.figures["filter"]
        days: dict[str, Counter] = defaultdict(Counter)
        for host in (*mta, *filters):
            for day, counts in host["days"].items():
                days[day].update(counts)
        by_day = self.period.months == 1
        steps: dict[str, Counter] = defaultdict(Counter)
        for day in sorted(days):
            steps[f"{day[8:10]}/{day[5:7]}" if by_day else f"{day[5:7]}/{day[:4]}"].update(days[day])
        source = self._source(FROM_MTA, FROM_FILTER)
        note = self._log_note(mta)
        columns = {"received": "Thư nhận vào", "delivered": "Đã giao vào hộp thư", "sent": "Đã gửi ra ngoài", "refused": "Bị từ chối",
                   "marked": "Đánh dấu thư rác", "deferred": "Thư bị hoãn", "bounced": "Trả lại"}  # fmt: skip
        yield Chart("Thư nhận vào theo " + ("ngày" if by_day else "tháng"),
                    [(step, counts["received"], number(counts["received"])) for step, counts in steps.items()], source, True)  # fmt: skip
        total = sum(steps.values(), Counter())
        rows = [] if by_day else [[step, *(counts[name] for name in columns)] for step, counts in steps.items()]
        yield Table("Lưu lượng thư", ["Thời gian", *columns.values()], [*rows, ["Cả kỳ", *(total[name] for name in columns)]], source, note)
        blocked = Counter()
        for host in (*mta, *filters):
            blocked.update(host["refusals"])
        yield Chart(
            "Thư bị chặn theo lý do",
            [(title, blocked[reason], number(blocked[reason])) for reason, title in BLOCKED.items() if blocked[reason]],
            source,
        )
        yield Table(
            "Thư bị chặn",
            ["Lý do", "Số lượt"],
            [[title, blocked[reason]] for reason, title in BLOCKED.items()],
            source,
            "Một thư gửi lại nhiều lần được tính mỗi lần bị từ chối.",
        )
        failed = sum(host["failed_logins"] for host in (*self.figures["mail"], *mta))
        kept = min((host["log_from"] for host in mta if host["log_from"]), default=None)
        wanted = self.policy["logs"]["headers_days"]["value"]
        since = f"có từ ngày {shown(_of_seconds(kept))}" if kept else "chưa có"
        yield Text(
            f"Đăng nhập sai trong kỳ: {number(failed)} lượt (nguồn: {FROM_LOGINS}; {FROM_MTA}). Nhật ký thư {since}; thời gian lưu đang "
            f"áp dụng: {wanted} ngày."
        )

    def secrets(self) -> Iterator[Text | Table | Chart]:
        found = [entry for entry in self.journal if entry["act"] == "recall"]
        yield Table(
            "Các lần gỡ bỏ thư",
            ["Thời điểm", "Văn bản", "Lý do", "Người thực hiện", "Kết quả"],
            [[row[0], row[3], row[4], entry["operator"], row[5]] for entry in found for row in [self._act(entry)]],
            self._source(FROM_JOURNAL),
            "Không ghi nội dung, tiêu đề thư. Biên bản của từng lần: build/operations trên máy điều khiển.",
        )
        documents = {entry["mailbox"] for entry in self.figures["directory"]["journal"] if entry["act"] == "recall" and entry["document"]}
        missing = {entry["mailbox"] for entry in found if not entry["document"]} - documents
        if missing:
            self.findings.append(f"{len(missing)} lần gỡ bỏ thư khẩn cấp chưa có văn bản đề nghị (phần bảo vệ bí mật nhà nước).")

    def backup(self) -> Iterator[Text | Table | Chart]:
        rules = self.policy["backup"]
        schedule = policy_docs.show_value(self.policy, "backup.schedule", rules["schedule"]["value"]).replace("`", "")
        titles = {"backup": "Sao lưu", "restore_test": "Thử phục hồi"}
        rows, bad = [], []
        for record in self.figures["records"]:
            time = datetime.datetime.fromisoformat(record["time"]).astimezone(VIETNAM) if record.get("time") else None
            told = {"ok": "tốt", "failed": "THẤT BẠI"}.get(record.get("result", ""), "chưa có")
            rows.append([titles[record["name"]], record["host"], f"{time:%d/%m/%Y %H:%M}" if time else "-", told, record.get("detail", "")])
            if told != "tốt":
                bad.append(f"{titles[record['name']].lower()} trên {record['host']}: {told.lower()}")
        yield Table("Lần sao lưu và thử phục hồi gần nhất", ["Việc", "Máy chủ", "Thời điểm", "Kết quả", "Chi tiết"], rows,
                    self._source("/var/lib/congvu-mail/backup.json, restore-test.json"))  # fmt: skip
        yield Text(
            f"Lịch sao lưu: {schedule}; giữ {rules['retention_days']['value']} ngày; thử phục hồi "
            f"{rules['restore_test_months']['value']} tháng một lần. Thời gian gián đoạn dịch vụ: đơn vị vận hành ghi ở phần cuối (hệ "
            "thống không tự đo được khi chính nó ngừng)."
        )
        self.findings += [f"Chưa đạt: {text}." for text in bad]

    def directory(self) -> Iterator[Text | Table | Chart]:
        rules = self.policy["directory"]
        manifest = self.figures.get("manifest")
        if not rules["publish"]["value"]:
            yield Text("Quy chế không yêu cầu công khai danh bạ.")
        elif manifest:
            yield Text(
                f"Danh bạ công khai lần cuối: {_iso(manifest['date'])}, {number(manifest['people'])} cá nhân, "
                f"{number(manifest['organisations'])} cơ quan. Nguồn: manifest.json của lần công khai đó."
            )
        else:
            yield Text("Chưa có danh bạ nào được lập trên máy điều khiển này (playbooks/directory.yml).")

    def remarks(self) -> Iterator[Text | Table | Chart]:
        for problem in self.figures["directory"]["journal_problems"]:
            self.findings.append(f"Nhật ký thao tác không nguyên vẹn: {problem}")
        for line in self.findings or ["Số liệu của kỳ không cho thấy tồn tại nào."]:
            yield Text(f"- {line}")
        yield Text("Kiến nghị: ……………………………………………………………………………………")
        yield Table(
            "Đầu nhật ký thao tác lúc lập báo cáo",
            ["Dòng cuối", "Mã băm của dòng cuối"],
            [self.figures["directory"]["journal_head"].split(":")],
            self._source(FROM_JOURNAL),
            "Giữ lại để chứng minh sau này nhật ký không bị cắt hay viết lại.",
        )

    # -- annexes --

    def _settings(self) -> list[list[str]]:
        rules = ((path_text(path), leaf) for path, leaf in policy_docs.rules(self.policy))
        return [
            [
                policy_docs.label(path),
                path,
                policy_docs.show_value(self.policy, path, leaf["value"]).replace("`", "").replace("<br>", "; "),
                schema.BASES[leaf["basis"]],
                leaf.get("clause", ""),
            ]
            for path, leaf in rules
        ]

    def annexes(self) -> list[Annex]:
        def row(b: Box) -> list[Any]:
            days = map(_or_dash, (b.issued, b.last_access))
            body, state, opened = self._name(self._body(b)), STATES.get(b.state, b.state), "có" if b.opened else "không"
            return [b.code, b.address, b.name, b.title, body, state, *days, b.quota, b.used, opened, b.document]

        def of(kind: str) -> list[list[Any]]:
            return [row(box) for box in self.boxes if box.kind == kind]

        columns = ["Mã", "Hộp thư", "Tên", "Chức vụ", "Cơ quan", "Trạng thái", "Ngày cấp", "Truy cập cuối", "Dung lượng cấp (byte)",
                   "Đã dùng (byte)", "Truy cập trong kỳ", "Văn bản"]  # fmt: skip
        months = min((stage.months for stage in self._stages()), default=None)
        idle = {box.uid for box in self._idle(months)} if months else set()
        ended = [
            [b.address, b.name, self._name(self._body(b)), "không truy cập" if b.uid in idle and b.state == "active" else STATES[b.state],
             *map(_or_dash, (b.issued, b.last_access, b.since)), b.reason, b.document]
            for b in self.boxes if b.state != "active" or b.uid in idle
        ]  # fmt: skip
        exceptions = next(block for block in self.addresses() if isinstance(block, Table))
        acts = ["Thời điểm", "Việc", "Hộp thư", "Văn bản", "Lý do", "Kết quả"]
        contents = [
            (columns, of("organisation")),
            (columns, of("person")),
            (list(request_register.COLUMNS.values()), [list(case.cells().values()) for case in self.cases]),
            (["Hộp thư", "Tên", "Cơ quan", "Tình trạng", "Ngày cấp", "Truy cập cuối", "Tạm khóa, chấm dứt từ", "Lý do", "Văn bản"], ended),
            (exceptions.columns, exceptions.rows),
            (["Mục", "Khóa trong policy.yml", "Giá trị", "Căn cứ", "Điều khoản"], self._settings()),
            (["Số", *acts, "Người thực hiện"], [[e["number"], *self._act(e), e["operator"]] for e in self.journal]),
            (acts, [self._act(e) for e in self.journal if e["act"] == "handover"]),
        ]
        return [
            Annex(f"{entry['file']}.csv", f"Phụ lục {place}. {entry['title']}", *content)
            for place, (entry, content) in enumerate(zip(LAYOUT["annexes"], contents, strict=True), 1)
        ]


_WINDOWS = {
    "morning_start": "đầu buổi sáng",
    "morning_end": "cuối buổi sáng",
    "afternoon_start": "đầu buổi chiều",
    "afternoon_end": "cuối buổi chiều",
}


def _largest(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _cut(rows: Sequence[Any]) -> str:
    return f" ({SHOWN_AT_MOST} trong {number(len(rows))} dòng, đủ ở phụ lục)" if len(rows) > SHOWN_AT_MOST else ""


def _iso(value: Any) -> str:
    day = datetime.date.fromisoformat(str(value)[:10])
    return shown(day)


def _days(first: datetime.date, last: datetime.date) -> Iterator[datetime.date]:
    while first <= last:
        yield first
        first += _DAY


def wanted_type(policy: Mapping[str, Any], period: Period, organisation: str) -> tuple[str, str]:
    """Type of the report and the clause that asks for it; a period nobody asks for is a report on request, with all parts."""
    for leaf in policy["reports"]["agency" if organisation else "operator"]:
        value = leaf["value"]
        if value and value["period_months"] == period.months:
            due = f", hạn {'trước ' if value['before'] else ''}ngày {value['due'][3:]}/{value['due'][:2]}" if value["due"] else ""
            return value["type"], f"{leaf.get('clause', 'đơn vị vận hành quy định')}{due}"
    return "result", "báo cáo đột xuất"


def make(
    policy: Mapping[str, Any],
    period: Period,
    figures: Mapping[str, Any],
    register: registers.Registers,
    calendar: Calendar,
    windows: Mapping[str, Sequence[str]],
    closing: datetime.time | None = None,
    organisation: str = "",
) -> Report:
    """A report.

    ``policy``: a checked ``mail_policy``; ``figures``: as :func:`congvu_mail.report_pages.figures` puts them together; ``windows``: when
    the parts of an office day are, name to ``[from, to]``; ``organisation``: code, for a report on it and all below it.
    :class:`ReportError` when the period has not begun or the organisation is unknown.
    """
    maker = Maker(policy, period, figures, register, calendar, windows, closing, organisation)
    kind, grounds = wanted_type(policy, period, organisation)
    layout = LAYOUT["types"][kind]
    names = [name for name in layout["parts"] if not (organisation and name in LAYOUT["of_the_system"])]
    parts = {name: list(getattr(maker, name)()) for name in names}
    return Report(
        title=layout["title"],
        about=layout["about"],
        period=period,
        grounds=grounds,
        collected=maker.collected,
        owner=policy["system"]["owner"]["value"],
        operator=policy["system"]["operator"]["value"],
        organisation=maker.names.get(organisation, ""),
        parts=[Part(LAYOUT["parts"][name], parts[name]) for name in names],
        annexes=maker.annexes(),
        findings=maker.findings,
    )
