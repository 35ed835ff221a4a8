# SPDX-License-Identifier: Apache-2.0
"""From the register to the directory: what must be created, changed, locked or ended, as one plan.

The plan is made on the controller from three things: the register (``registers.read``), the directory as it is (what the
module ``directory_export`` returns) and the policy (:class:`Rules`). It is pure data: the table a clerk reads, and the LDAP
operations that the module ``directory_reconcile`` carries out. Attribute names and their meaning: ``docs/architecture.md``.

Nothing here gives out passwords; ``handover.py`` does, for the mailboxes that a plan creates.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from congvu_mail import cells, names, registers, states
from congvu_mail.naming import allocate
from congvu_mail.roster import Problem, RosterError
from congvu_mail.sizes import size_bytes

# What the register decides about a mailbox; everything else in an entry belongs to acts, the password page or the clock.
OWNED = (
    "cn",
    "sn",
    "displayName",
    "o",
    "ou",
    "title",
    "telephoneNumber",
    "facsimileTelephoneNumber",
    "businessCategory",
    "employeeType",
    "congvuPublished",
    "mail",
    "mailLocalAddress",
    "mailHost",
    "congvuClass",
    "congvuOrganisation",
    "congvuQuota",
    "congvuDelegate",
    "congvuHandover",
    "congvuLogin",
    "congvuLeaveUntil",
    "congvuForbiddenInPassword",
    "pwdPolicySubentry",
)
# What a plan needs to know of a mailbox.
STATE = tuple(states.suspended("", "", "", True) | states.ended("", "", ""))
READ = (*OWNED, "congvuCode", *STATE)
# What the journal says of a new mailbox; names and telephone numbers are the register's.
ENTERED = ("mail", "mailLocalAddress", "congvuCode", "congvuKind", "congvuClass", "congvuState", "congvuOrganisation", "congvuQuota")
LABELS = {
    "cn": "tên để tìm",
    "sn": "họ",
    "displayName": "tên",
    "o": "cơ quan",
    "ou": "đơn vị",
    "title": "chức vụ",
    "telephoneNumber": "điện thoại",
    "facsimileTelephoneNumber": "fax",
    "businessCategory": "loại cơ quan",
    "employeeType": "đối tượng",
    "congvuPublished": "được phép cung cấp thông tin",
    "mail": "địa chỉ",
    "mailLocalAddress": "địa chỉ nhận thư",
    "mailHost": "máy chủ",
    "congvuClass": "loại tài khoản",
    "congvuOrganisation": "mã cơ quan",
    "congvuQuota": "dung lượng",
    "congvuDelegate": "người được ủy quyền",
    "congvuHandover": "bàn giao chưa ghi vào sổ đăng ký",
    "congvuLogin": "đăng nhập riêng",
    "congvuLeaveUntil": "nghỉ đến",
    "congvuForbiddenInPassword": "dữ liệu cá nhân không được có trong mật khẩu",
    "pwdPolicySubentry": "quy tắc mật khẩu",
}
# Of no interest to a reader beside the attribute it follows, or not for his eyes.
SILENT = {"cn", "sn", "mailLocalAddress"}
SECRET = {"congvuForbiddenInPassword"}
ACTIONS = {
    "create": "Cấp mới",
    "rename": "Đổi địa chỉ",
    "change": "Cập nhật thông tin",
    "suspend": "Tạm khóa",
    "terminate": "Chấm dứt",
    "record": "Ghi sổ địa chỉ đã cấp",
    "undecided": "Cần quyết định",
    "missing": "Không còn trong sổ đăng ký (giữ nguyên)",
}
COLUMNS = ("Việc", "Mã", "Tên", "Địa chỉ", "Nội dung", "Căn cứ")
NO_REQUEST = "chưa có văn bản đề nghị (requests.csv, act delete)"  # why a leaver's mailbox is locked and not ended
_NONE: list[str] = []
_LIST = re.compile(r"[\s,;]+")
_DN_SPECIAL = re.compile(r'([,+"\\<>;=#])')  # RFC 4514 2.4


# --- dates ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def to_ldap_time(value: str) -> str:
    """An ISO date, or date and time, of the ledger as generalizedTime; a date stands for its first moment."""
    return datetime.datetime.fromisoformat(value).strftime("%Y%m%d%H%M%SZ")


@lru_cache(maxsize=65536)
def from_ldap_time(value: str) -> str:
    """The inverse of :func:`to_ldap_time`."""
    moment = datetime.datetime.strptime(value[:14], "%Y%m%d%H%M%S")
    return moment.date().isoformat() if moment.time() == datetime.time() else moment.isoformat()


# --- what there is ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Mailbox:
    """A mailbox entry: its DN and its attributes as texts."""

    dn: str
    attributes: dict[str, list[str]]

    def get(self, name: str) -> str:
        return (self.attributes.get(name) or [""])[0]


@dataclass(slots=True)
class Directory:
    """The directory as ``directory_export`` found it."""

    mailboxes: list[Mailbox]
    ledger: list[dict[str, str]]  # the columns of issued.csv

    @classmethod
    def load(cls, packed: str) -> Directory:
        """Unpack what ``directory_export`` returned (a plan needs the attributes :data:`READ`)."""
        content = json.loads(zlib.decompress(base64.b64decode(packed)))
        return cls(
            [Mailbox(dn, attributes) for dn, attributes in content["mailboxes"]],
            [_ledger_row(attributes) for attributes in content["ledger"]],
        )

    def by_code(self) -> dict[str, Mailbox]:
        """The mailbox of each code: the living one, else the one that ended."""
        found: dict[str, Mailbox] = {}
        for mailbox in sorted(self.mailboxes, key=lambda box: box.get("congvuState") != "terminated"):
            found[mailbox.get("congvuCode")] = mailbox
        return found


def _ledger_row(attributes: Mapping[str, list[str]]) -> dict[str, str]:
    def first(name: str) -> str:
        return (attributes.get(name) or [""])[0]

    return {
        "code": first("congvuCode"),
        "local_part": first("congvuLocalPart"),
        "current": first("congvuCurrent").lower(),
        "since": from_ldap_time(first("congvuSince")) if first("congvuSince") else "",
        "until": from_ldap_time(first("congvuUntil")) if first("congvuUntil") else "",
        "organisation": first("congvuOrganisation"),
    }


# --- what is wanted ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policy and the deployment say about mailboxes."""

    naming: Mapping[str, Any]  # mail_policy.naming
    suffix: str
    domain: str
    quota: Mapping[str, int]  # bytes by kind: person, organisation
    mail_hosts: Sequence[str]  # the first one gets new mailboxes
    domain_aliases: Sequence[Mapping[str, Any]] = ()  # {name, from, until}
    organisation_access: str = "both"  # own_login | delegates | both
    quota_bounds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by kind: {min, max}, sizes that no row may leave
    on_transfer: str = "keep"  # end | rename | keep
    deliver_suspended: bool = True
    forbid_personal_data: bool = True
    categories: Sequence[str] = ()  # who may have a personal mailbox; empty: everybody in the register
    sectors: Sequence[str] = ()  # which organisations may have one; empty: all
    kinds: Sequence[str] = ("organisation", "person")

    @property
    def mailboxes(self) -> str:
        return f"ou=mailboxes,{self.suffix}"

    def policy(self, kind: str, account_class: str) -> str:
        """DN of the password rule."""
        return f"cn={'organisation' if kind == 'organisation' else account_class},ou=policies,{self.suffix}"

    def domains(self, today: datetime.date) -> list[str]:
        """The mail domain and its aliases in force today."""
        day = today.isoformat()
        in_force = [
            str(alias["name"])
            for alias in self.domain_aliases
            if str(alias.get("from") or "") <= day and (not alias.get("until") or day <= str(alias["until"]))
        ]
        return list(dict.fromkeys([self.domain, *in_force]))


@dataclass(slots=True)
class Row:
    """One line of the plan as the clerk reads it."""

    action: str
    code: str
    name: str
    address: str = ""
    content: str = ""
    clause: str = ""

    def cells(self) -> tuple[str, ...]:
        return (ACTIONS[self.action], self.code, self.name, self.address, self.content, self.clause)


@dataclass(slots=True)
class Plan:
    """The table, and the operations that carry it out, in order."""

    rows: list[Row] = field(default_factory=list)
    stages: list[list[dict[str, Any]]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)  # new logins: {code, name, address, organisation, dn, policy, personal}
    living: int = 0  # mailboxes that are not terminated, before

    def counts(self) -> Counter[str]:
        return Counter(row.action for row in self.rows)

    @property
    def ending(self) -> list[str]:
        """The uids whose sessions have to end: who may not log in any more, and mailboxes that others may open from now on."""
        found = []
        for operation in (one for stage in self.stages for one in stage):
            changed = operation.get("journal", {}).get("after", {})
            if changed.get("congvuState", ["active"]) != ["active"] or "congvuDelegate" in changed:
                found.append(operation["dn"].partition(",")[0].removeprefix("uid="))
        return found

    def over_guard(self, percent: float) -> str:
        """Why the plan takes away too much at once; empty when it does not. Three are always allowed."""
        counts = self.counts()
        taken = counts["rename"] + counts["suspend"] + counts["terminate"]
        if taken <= max(3, self.living * percent / 100):
            return ""
        return (
            f"{taken} trong {self.living} hộp thư sẽ bị đổi địa chỉ, tạm khóa hoặc chấm dứt, vượt ngưỡng {percent:g}%: "
            "có thể sổ đăng ký bị sai. Chưa thay đổi gì. Nếu đúng là như vậy, chạy lại với -e accounts_guard_percent=100"
        )

    def summary(self, shown: int = 20) -> list[str]:
        """The plan in Vietnamese lines: counts, then at most ``shown`` rows of each kind."""
        counts = self.counts()
        lines = [f"{meaning}: {counts[action]}" for action, meaning in ACTIONS.items() if counts[action]]
        for action in ACTIONS:
            rows = [row for row in self.rows if row.action == action]
            for row in rows[:shown]:
                lines.append(" | ".join(cell for cell in row.cells() if cell))
            if len(rows) > shown:
                lines.append(f"... và {len(rows) - shown} dòng “{ACTIONS[action]}” khác, xem tệp kế hoạch")
        return lines if self.stages else [*lines, "Thư mục đã đúng với sổ đăng ký, không có gì thay đổi"]


def make_plan(
    register: registers.Registers,
    directory: Directory,
    rules: Rules,
    now: datetime.datetime,
    today: datetime.date | None = None,
    operator: str = "accounts.yml",
) -> Plan:
    """Compare register and directory. ``now`` with time zone; ``today``: its local date when not given; ``operator``: for the journal.

    :class:`RosterError` and :class:`NamingError` list everything that is wrong in the register or the conventions.
    """
    return _Planner(register, directory, rules, now, today or now.date(), operator).run()


class _Planner:
    def __init__(
        self,
        register: registers.Registers,
        directory: Directory,
        rules: Rules,
        now: datetime.datetime,
        today: datetime.date,
        operator: str,
    ) -> None:
        self.register, self.directory, self.rules, self.today, self.operator = register, directory, rules, today, operator
        self.now = now.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%SZ")
        self.domains = rules.domains(today)
        self.present = directory.by_code()
        self.organisations = {row["code"]: row for row in register.organisations.rows}
        self.requests: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for row in register.requests.rows:
            if row["document_number"] and row["result"] != "refused":
                cited = _cited(row["document_number"], row["document_date"])
                self.requests[row["code"], row["act"]].append((row["received"], cited))
        self.plan = Plan(living=sum(box.get("congvuState") != "terminated" for box in directory.mailboxes))
        self.problems: list[Problem] = []
        self.ended: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.added: list[dict[str, Any]] = []

    def run(self) -> Plan:
        before = self._ledger_before()
        roster = {"organisations": self.register.organisations.rows, "people": self._entitled_people()}
        entries = allocate(roster, self.rules.naming, before)
        rows = {row["code"]: (table.name, row) for table in (self.register.organisations, self.register.people) for row in table.rows}
        settled = [entry for entry in entries if self._settled(entry, rows[entry["code"]][1])]
        employers = {row["code"]: row["organisation"] for row in self.register.people.rows}
        after = {row["local_part"]: row for row in registers.record(before, settled, self.today, employers)}
        self.accepted = self._accepted(after)
        self.ledger = after
        self.current = {row["code"]: row["local_part"] for row in after.values() if row["current"] == "true"}
        self.dns = self._future_dns(settled)
        self.holders = {box.dn: box.get("displayName") for box in self.directory.mailboxes}
        self.holders |= {dn: _name(rows[code][1]) for code, dn in self.dns.items()}
        for entry in settled:
            self._mailbox(entry, *rows[entry["code"]])
        for box in self.directory.mailboxes:
            if box.get("congvuState") == "terminated" and box.get("congvuCode") in self.dns:
                self._give_up(box)
        for code, (table, row) in rows.items():
            if _gone(row):
                self._leaver(code, table, row)
        for code, box in self.present.items():
            if code not in rows and box.get("congvuState") != "terminated":
                self.plan.rows.append(
                    Row("missing", code, box.get("displayName"), box.get("mail"), "thêm lại dòng, hoặc ghi status là left")
                )
        if self.problems:
            raise RosterError(self.problems)
        # The ledger first: no mailbox without its address in it. Ends before beginnings: a code has one living mailbox.
        stages = [self._ledger_operations(after), [*self.ended, *self.changed], self.added]
        self.plan.stages = [stage for stage in stages if stage]
        order = {action: number for number, action in enumerate(ACTIONS)}
        self.plan.rows.sort(key=lambda row: order[row.action])
        return self.plan

    # --- the ledger

    def _ledger_before(self) -> list[dict[str, str]]:
        """The ledger of the directory, and what the register's issued.csv knows beyond it."""
        known = {row["local_part"]: row for row in self.directory.ledger}
        current = {row["code"] for row in self.directory.ledger if row["current"] == "true"}
        for number, row in enumerate(self.register.issued.rows):
            local_part = row["local_part"].lower()
            held = known.get(local_part)
            if held is None:
                late = row["code"] in current  # the directory knows a newer one
                known[local_part] = {**row, "local_part": local_part, **({"current": "false"} if late else {})}
            elif held["code"] != row["code"]:
                self.problems.append(
                    Problem(
                        "issued",
                        number,
                        row["code"],
                        "local_part",
                        local_part,
                        f"thư mục đã ghi địa chỉ này cho mã “{held['code']}”",
                        "sửa issued.csv; địa chỉ đã cấp không bao giờ đổi chủ",
                        f"issued.csv, dòng {self.register.issued.lines[number]}",
                    )
                )
        for row in known.values():
            box = self.present.get(row["code"])
            if not row.get("organisation") and box and row["current"] == "true":
                row["organisation"] = box.get("congvuOrganisation")
        return list(known.values())

    def _accepted(self, ledger: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
        """Local parts at which each code gets mail today, the current one first."""
        accepted: dict[str, list[str]] = defaultdict(list)
        for row in sorted(ledger.values(), key=lambda row: (row["current"] != "true", row["local_part"])):
            if row["current"] == "true" or not row["until"] or row["until"][:10] > self.today.isoformat():
                accepted[row["code"]].append(row["local_part"])
        return accepted

    def _ledger_operations(self, after: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
        before = {row["local_part"]: row for row in self.directory.ledger}
        operations = []
        shown = {row.code for row in self.plan.rows}
        for local_part, row in after.items():
            attributes = {
                "congvuLocalPart": [local_part],
                "congvuCode": [row["code"]],
                "congvuCurrent": [row["current"].upper()],
                "congvuSince": [to_ldap_time(row["since"])] if row["since"] else [],
                "congvuUntil": [to_ldap_time(row["until"])] if row["until"] else [],
                "congvuOrganisation": [row["organisation"]] if row.get("organisation") else [],
            }
            escaped = _DN_SPECIAL.sub(r"\\\1", local_part)
            dn = f"congvuLocalPart={escaped},ou=ledger,{self.rules.suffix}"
            old = before.get(local_part)
            if old is None:
                attributes["objectClass"] = ["congvuIssuedAddress"]
                operations.append({"verb": "add", "dn": dn, "attributes": {k: v for k, v in attributes.items() if v}})
                if row["code"] not in shown:
                    self.plan.rows.append(Row("record", row["code"], "", self._full(local_part)))
            elif any(old[column] != (row.get(column) or "") for column in ("current", "since", "until", "organisation")):
                operations.append({"verb": "modify", "dn": dn, "replace": attributes})
        return operations

    # --- who gets what

    def _entitled_people(self) -> list[dict[str, str]]:
        """The rows of people who may have a mailbox, or have one; who may not is listed."""
        kept = []
        for row in self.register.people.rows:
            entitled = _gone(row) or self._entitled("person", row["category"], self.rules.categories)
            if not entitled:
                self._undecided(row, f"category “{row['category']}” không thuộc đối tượng được cấp hộp thư")
            if entitled or row["code"] in self.present:
                kept.append(row)
        return kept

    def _entitled(self, kind: str, category: str, allowed: Sequence[str]) -> bool:
        return kind in self.rules.kinds and (not category or not allowed or category in allowed)

    def _undecided(self, row: Mapping[str, str], reason: str, clause: str = "") -> None:
        self.plan.rows.append(Row("undecided", row["code"], _name(row), "", reason, clause))

    def _settled(self, entry: Mapping[str, Any], row: Mapping[str, str]) -> bool:
        """Whether the row has an address and a mailbox to go with it; a row that needs a decision is listed."""
        if _gone(row):
            return False
        if entry["status"] == "needs_decision":
            proposal = f" Đề xuất: {self._full(entry['suggestion'])}." if entry["suggestion"] else ""
            self._undecided(row, entry["reason"] + proposal, entry["clause"])
            return False
        box = self.present.get(row["code"])
        ended = box is not None and box.get("congvuState") == "terminated"
        if ended and entry["status"] == "issued" and box.get("mail") != self._full(entry["local_part"]):
            # A transfer ended it and gave out the next address, and the run was killed before the next mailbox.
            del self.present[row["code"]]
            box, ended = None, False
        new = box is None and entry["table"] == "organisations"
        if new and not self._entitled("organisation", row["category"], self.rules.sectors):
            self._undecided(row, f"category “{row['category']}” không thuộc đối tượng được cấp hộp thư")
            return False
        if ended:
            self._undecided(row, f"hộp thư {box.get('mail')} đã chấm dứt; muốn mở lại dùng playbooks/reinstate.yml, hoặc ghi mã mới")
            return False
        if box is not None and box.get("congvuState") == "suspended" and box.get("congvuReason").endswith(NO_REQUEST):
            self._undecided(row, f"hộp thư {box.get('mail')} đã bị khóa khi sổ đăng ký ghi là đã nghỉ; mở lại bằng playbooks/reinstate.yml")
        body = self.organisations.get(row["organisation"] if entry["table"] == "people" else row["parent"])
        if body and _gone(body):
            self._undecided(row, f"thuộc cơ quan đã giải thể “{body['name']}” ({body['code']}); ghi cơ quan mới")
        return True

    def _future_dns(self, settled: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """DN of every mailbox that lives after the plan, by code."""
        dns = {}
        for entry in settled:
            box = self.present.get(entry["code"])
            new = box is None or self._ends(entry, box)
            dns[entry["code"]] = f"uid={uuid.uuid4()},{self.rules.mailboxes}" if new else box.dn
        return dns

    def _ends(self, entry: Mapping[str, Any], box: Mailbox) -> bool:
        """A transfer that ends the mailbox: the policy says so, and the address of the mailbox is closed."""
        if self.rules.on_transfer != "end" or entry["table"] != "people" or box.get("mail") == self._full(entry["local_part"]):
            return False
        held = self.ledger.get(box.get("mail").partition("@")[0])
        return bool(held) and held["current"] != "true" and bool(held["until"]) and held["until"][:10] <= self.today.isoformat()

    def _full(self, local_part: str) -> str:
        return f"{local_part}@{self.rules.domain}"

    # --- one mailbox

    def _mailbox(self, entry: Mapping[str, Any], table: str, row: Mapping[str, str]) -> None:
        code, box = entry["code"], self.present.get(entry["code"])
        wanted = self._wanted(entry, table, row, box)
        if box is not None and self._ends(entry, box):
            self._end(box, "terminate", f"chuyển công tác, cấp hộp thư mới {wanted['mail'][0]}", "", entry["clause"])
            box = None
        if box is not None and box.get("congvuHandover"):
            self._handed_over(row, box, wanted)
        if box is None:
            self._create(entry, table, row, wanted)
            return
        present = box.attributes
        pairs = ((name, present.get(name, _NONE), wanted.get(name, _NONE)) for name in OWNED)
        differing = {name: new for name, old, new in pairs if old != new and set(old) != set(new)}
        if not differing:
            return
        renamed = "mail" in differing
        worth_saying = [name for name in differing if name not in SILENT] or differing
        said = [self._said(name, box.attributes.get(name, []), differing[name]) for name in worth_saying]
        action = "rename" if renamed else "change"
        # An address by decision rests on that, not on the decision by which the mailbox was once given out.
        decided = row["basis"] if renamed and row["local_part"] == entry["local_part"] else ""
        told = Row(action, code, _name(row), wanted["mail"][0], "; ".join(said), (decided or entry["clause"]) if renamed else "")
        self.plan.rows.append(told)
        self.changed.append(self._modification(box, differing, told, decided or self._document(row, "change") or told.clause))

    def _handed_over(self, row: Mapping[str, str], box: Mailbox, wanted: dict[str, list[str]]) -> None:
        """The delegates of a hand-over stay until the register says the same, or rests on a later document."""
        handover, present = box.get("congvuHandover"), box.attributes.get("congvuDelegate", [])
        if set(wanted["congvuDelegate"]) == set(present) or row["decision_date"] > handover[:10]:
            return
        now, register = (", ".join(self.holders.get(dn, dn) for dn in dns) or "(trống)" for dns in (present, wanted["congvuDelegate"]))
        wanted |= {"congvuDelegate": present, "congvuHandover": [handover]}
        self._undecided(
            row,
            f"đã bàn giao cho {now} ({handover[11:]}), sổ đăng ký ghi {register}: giữ theo bàn giao; sửa cột delegates, "
            "hoặc ghi văn bản mới hơn ở decision_number, decision_date",
        )

    def _said(self, name: str, old: list[str], new: list[str]) -> str:
        if name in SECRET:
            return LABELS[name]
        if name == "congvuDelegate":
            old, new = [self.holders.get(dn, dn) for dn in old], [self.holders.get(dn, dn) for dn in new]
        return f"{LABELS[name]}: {', '.join(old) or '(trống)'} → {', '.join(new) or '(trống)'}"

    def _create(self, entry: Mapping[str, Any], table: str, row: Mapping[str, str], wanted: dict[str, list[str]]) -> None:
        code, dn = entry["code"], self.dns[entry["code"]]
        attributes = {
            "objectClass": ["inetOrgPerson", "inetLocalMailRecipient", "congvuMailbox"],
            "uid": [dn.split(",")[0].removeprefix("uid=")],
            "congvuCode": [code],
            "congvuKind": ["organisation" if table == "organisations" else "person"],
            "congvuState": ["active"],
            "congvuDelivery": ["TRUE"],
            "congvuIssued": [self.now],
            **{name: values for name, values in wanted.items() if values},
        }
        told = Row("create", code, _name(row), wanted["mail"][0], entry["reason"], entry["clause"])
        self.plan.rows.append(told)
        after = {name: attributes[name] for name in ENTERED if name in attributes}
        line = self._line(told, {}, after, self._document(row, "create") or entry["clause"])
        self.added.append({"verb": "add", "dn": dn, "attributes": attributes, "journal": line})
        if wanted["congvuLogin"] == ["TRUE"]:
            self.plan.created.append(
                {
                    "code": code,
                    "name": _name(row),
                    "address": wanted["mail"][0],
                    "organisation": self._agency(table, row),
                    "dn": dn,
                    "policy": wanted["pwdPolicySubentry"][0].partition(",")[0].removeprefix("cn="),
                    "personal": [*wanted["mail"], *wanted.get("congvuForbiddenInPassword", [])],
                }
            )

    def _agency(self, table: str, row: Mapping[str, str]) -> str:
        """Code of the organisation that gets the initial password: the nearest one that is no division."""
        node: Mapping[str, str] | None = row if table == "organisations" else self.organisations.get(row["organisation"])
        while node is not None and node["kind"] == "division" and node["parent"] in self.organisations:
            node = self.organisations[node["parent"]]
        return node["code"] if node else row["code"]

    def _wanted(self, entry: Mapping[str, Any], table: str, row: Mapping[str, str], box: Mailbox | None) -> dict[str, list[str]]:
        rules, code = self.rules, entry["code"]
        kind = "organisation" if table == "organisations" else "person"
        account_class = (row.get("account_class") or "user") if kind == "person" else "user"
        local_parts = dict.fromkeys([entry["local_part"], *self.accepted.get(code, ())])
        name = _name(row)
        host = box.get("mailHost") if box else ""
        wanted = {
            "cn": list(dict.fromkeys((name, names.unaccented(name)))),  # found with and without diacritics
            "sn": [row["surname"] or name.split()[0]] if kind == "person" else [name],
            "displayName": [name],
            "mail": [self._full(entry["local_part"])],
            "mailLocalAddress": [f"{local_part}@{domain}" for local_part in local_parts for domain in self.domains],
            "mailHost": [host if host in rules.mail_hosts else rules.mail_hosts[0]],
            "congvuClass": [account_class],
            "congvuQuota": [str(self._quota(kind, table, row))],
            "telephoneNumber": [row["phone"]] if row["phone"] else [],
            "facsimileTelephoneNumber": [row["fax"]] if row["fax"] else [],
            "pwdPolicySubentry": [rules.policy(kind, account_class)],
        }
        if kind == "person":
            wanted |= self._of_person(row)
        else:
            wanted |= self._of_organisation(row)
        return wanted

    def _quota(self, kind: str, table: str, row: Mapping[str, str]) -> int:
        """Bytes of a mailbox: those of its row by decision, within what the regulation sets as least and most, else those of its kind."""
        if not row["quota"]:
            return self.rules.quota[kind]
        wanted, bounds = size_bytes(row["quota"]), self.rules.quota_bounds.get(kind) or {}
        for operator, words in (("min", "thấp hơn mức tối thiểu"), ("max", "cao hơn mức tối đa")):
            bound = bounds.get(operator)
            if bound and (wanted < size_bytes(bound) if operator == "min" else wanted > size_bytes(bound)):
                rows = (self.register.organisations if table == "organisations" else self.register.people).rows
                number = next(place for place, one in enumerate(rows) if one is row)
                message, remedy = f"{words} {bound} của Quy chế", "sửa dung lượng, hoặc để trống để theo mức chung"
                self.problems.append(Problem(table, number, row["code"], "quota", row["quota"], message, remedy))
        return wanted

    def _of_person(self, row: Mapping[str, str]) -> dict[str, list[str]]:
        agency, division = self._place(self.organisations.get(row["organisation"]))
        return {
            "o": agency,
            "ou": division,
            "title": [row["title"]] if row["title"] else [],
            "employeeType": [row["category"]] if row["category"] else [],
            "congvuPublished": ["TRUE" if cells.truth(row["authorised"], default=False) else "FALSE"],
            "congvuOrganisation": [row["organisation"]] if row["organisation"] else [],
            "congvuLogin": ["TRUE"],
            "congvuLeaveUntil": [to_ldap_time(row["leave_until"])] if row["status"] == "leave" and row["leave_until"] else [],
            "congvuForbiddenInPassword": sorted(personal_data(row)) if self.rules.forbid_personal_data else [],
        }

    def _of_organisation(self, row: Mapping[str, str]) -> dict[str, list[str]]:
        agency, division = self._place(row)
        delegates = _LIST.split(row["delegates"]) if row["delegates"] else [row["head"]]
        may = self.rules.organisation_access != "own_login"
        return {
            "o": agency,
            "ou": division,
            "businessCategory": [row["kind"]],
            "congvuOrganisation": [row["parent"]] if row["parent"] else [],
            "congvuLogin": ["FALSE" if self.rules.organisation_access == "delegates" else "TRUE"],
            "congvuDelegate": list(dict.fromkeys(self.dns[code] for code in delegates if code in self.dns)) if may else [],
        }

    def _place(self, organisation: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
        """Names of the agency and of the division in it."""
        division: list[str] = []
        while organisation is not None and organisation["kind"] == "division" and organisation["parent"] in self.organisations:
            division = division or [organisation["name"]]
            organisation = self.organisations[organisation["parent"]]
        return [organisation["name"]] if organisation else [], division

    # --- who leaves

    def _leaver(self, code: str, table: str, row: Mapping[str, str]) -> None:
        """End the mailbox on a written request; without one only stop the login, and say what is missing."""
        box = self.present.get(code)
        if box is None:  # had an address of an earlier system only
            self._close(self.current.get(code, ""))
            return
        if box.get("congvuState") == "terminated":
            return
        why = "đã giải thể" if table == "organisations" else "nghỉ hưu, thôi việc hoặc chuyển đi"
        document = self._requested(code, "delete")
        if document:
            self._end(box, "terminate", row.get("leave_reason") or why, document)
        elif box.get("congvuState") == "active":
            self._end(box, "suspend", f"{row.get('leave_reason') or why}; {NO_REQUEST}")

    def _end(self, box: Mailbox, action: str, reason: str, document: str = "", clause: str = "") -> None:
        over, deliver = action == "terminate", self.rules.deliver_suspended
        wanted = (
            states.ended(self.now, reason, document)
            if over
            else states.suspended(self.now, reason, document, deliver, offences=box.get("congvuOffences"))
        )
        if over:
            self._close(box.get("mail").partition("@")[0])
        told = Row(action, box.get("congvuCode"), box.get("displayName"), box.get("mail"), reason, document or clause)
        self.plan.rows.append(told)
        self.ended.append(self._modification(box, wanted, told, told.clause))

    # --- the journal

    def _modification(self, box: Mailbox, wanted: Mapping[str, list[str]], told: Row, document: str) -> dict[str, Any]:
        """The operation that gives a mailbox what is wanted, with its line."""
        shown = [name for name in wanted if name not in SECRET and set(wanted[name]) != set(box.attributes.get(name, ()))]
        before, after = ({name: one.get(name, []) for name in shown} for one in (box.attributes, wanted))
        line = {**self._line(told, before, after, document), "mailbox": box.get("mail")}
        return {"verb": "modify", "dn": box.dn, "replace": dict(wanted), "journal": line}

    def _line(self, told: Row, before: Mapping[str, list[str]], after: Mapping[str, list[str]], document: str) -> dict[str, Any]:
        return {
            "act": f"register-{told.action}",
            "mailbox": told.address,
            "document": document,
            "reason": told.content,
            "operator": self.operator,
            "before": before,
            "after": after,
            "result": "done",
        }

    def _document(self, row: Mapping[str, str], act: str) -> str:
        """The document that a row of the register rests on: the request for the act, else the decision in the row."""
        return self._requested(row["code"], act) or _cited(row["decision_number"], row["decision_date"])

    def _requested(self, code: str, act: str) -> str:
        """The document of the latest request for an act on a mailbox."""
        found = self.requests.get((code, act), ())
        return max(found)[1] if found else ""

    def _give_up(self, box: Mailbox) -> None:
        """Free the addresses of a mailbox that ended for the next one of the same person, who came back to where he had them.

        The directory gives no address to two entries. The ledger keeps who had it; the ended one gets an address of its UUID instead.
        """
        code, listed = box.get("congvuCode"), box.attributes.get("mailLocalAddress", [])
        taken = {f"{local_part}@{domain}" for local_part in self.accepted.get(code, ()) for domain in self.domains}.intersection(listed)
        if taken:
            own = self._full(box.dn.partition(",")[0].partition("=")[2])
            kept = [address for address in listed if address not in taken]
            said = f"hộp thư đã chấm dứt nhường lại {', '.join(sorted(taken))} cho hộp thư mới của chính người này"
            told = Row("change", code, box.get("displayName"), own, said)
            self.plan.rows.append(told)
            self.ended.append(self._modification(box, {"mail": [own], "mailLocalAddress": [own, *kept]}, told, ""))

    def _close(self, local_part: str) -> None:
        """Nobody gets mail at this address from today on; it stays in the ledger for ever."""
        held = self.ledger.get(local_part)
        if held and held["current"] == "true":
            held.update(current="false", until=self.today.isoformat())


def _gone(row: Mapping[str, str]) -> bool:
    return row["status"].lower() in ("left", "dissolved")


def _name(row: Mapping[str, str]) -> str:
    return row.get("full_name") or row["name"]


def _cited(number: str, date: str) -> str:
    """A document as Vietnam cites it; empty without a number."""
    return number + (f" ngày {_day(date)}" if number and date else "")


def _day(iso: str) -> str:
    return f"{iso[8:10]}/{iso[5:7]}/{iso[:4]}"


def personal_data(row: Mapping[str, str]) -> set[str]:
    """What a password of this person may not contain: full name and date of birth, as people write them.

    Words of one or two letters are left out by the check module. A blank, ``_ - , ; @`` would split a word there, so none has any.
    """
    person = names.person(row["full_name"], row["surname"], row["middle"], row["given"])
    words = {"".join(person.written), row["full_name"].replace(" ", "")}
    born = cells.date_or_year(row["birth_date"])
    words |= _written_dates(born[:10]) if len(born) >= 10 else {born}
    # Compared without regard to case, as the directory does.
    return set({word.lower(): word for word in sorted(words) if len(word) > 2}.values())


@lru_cache(maxsize=65536)
def _written_dates(day: str) -> frozenset[str]:
    """An ISO date as people write it."""
    year, month, number = day.split("-")
    return frozenset(
        (number + month + year, number + month + year[2:], year + month + number, f"{number}/{month}/{year}", f"{number}.{month}.{year}")
    )
