"""The rows of a register as the address engine needs them, with every problem in them collected.

Rows are dictionaries with the columns of the register; they come from the CSV files (``registers.py``) or from a
playbook. A problem never stops the reading: all are reported together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from congvu_mail import cells, names
from congvu_mail.cells import text
from congvu_mail.conventions import KINDS, MAX_LOCAL_PART, TERRITORIES, Conventions, Pattern, valid_local_part
from congvu_mail.names import NotAName, PersonName, Word

PERSON_STATUS = ("active", "leave", "left")
ORGANISATION_STATUS = ("active", "dissolved")

# A ledger may hold addresses of an earlier system: any dot-string of RFC 5321, 4.1.2.
DOT_STRING = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
# Four digits after a name are a year (an address given by decision), not an ordinal to count on from.
_ORDINAL = re.compile(r"(?<!\d)[1-9]\d{0,2}(?!\d)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one row, in words the operator can act on."""

    table: str  # organisations | people | issued
    row: int  # index in the input
    code: str
    column: str
    value: str
    message: str
    remedy: str
    place: str = ""  # file and line, when the rows come from files

    def __str__(self) -> str:
        place = self.place or f"{self.table}, mã “{self.code}”"
        value = self.value if len(self.value) <= 80 else self.value[:77] + "..."
        return f"{place}, cột {self.column}, giá trị “{value}”: {self.message}. Cách sửa: {self.remedy}."


class RosterError(ValueError):
    """The rows cannot be used; ``problems`` lists every reason, the text shows them one a line."""

    SHOWN = 200
    LIMIT = 5000  # a file with more problems is no register: reading stops there

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"... và {len(self.problems) - self.SHOWN} lỗi khác.")
        more = " trở lên" if len(self.problems) >= self.LIMIT else ""
        super().__init__(f"Sổ đăng ký có {len(self.problems)} lỗi{more}, chưa thay đổi gì:\n" + "\n".join(lines))


@dataclass(slots=True)
class Organisation:
    row: int
    code: str
    kind: str
    parent: str
    registered: str
    local_part: str
    basis: str
    gone: bool
    words: tuple[Word, ...]
    key: str
    parent_row: Organisation | None = None


@dataclass(slots=True)
class Person:
    code: str
    name: PersonName
    organisation: str
    rank: float
    registered: str
    year: str
    local_part: str
    basis: str
    gone: bool


class Ledger:
    """Every address that is taken, and the ordinals in use."""

    def __init__(self) -> None:
        self.owner: dict[str, str] = {}
        self.current: dict[str, str] = {}
        self.since: dict[str, str] = {}
        self.employer: dict[str, str] = {}
        self._highest: dict[tuple[str, str], int] = {}

    def take(self, local_part: str, code: str) -> None:
        self.owner[local_part] = code
        for found in _ORDINAL.finditer(local_part):
            key = (local_part[: found.start()], local_part[found.end() :])
            self._highest[key] = max(self._highest.get(key, 0), int(found.group()))

    def next_ordinal(self, before: str, after: str, first: int) -> int:
        """The number after the highest in use: a gap left by history is never filled."""
        number = max(first, self._highest.get((before, after), 0) + 1)
        while f"{before}{number}{after}" in self.owner:
            number += 1
        return number


class Rows:
    """Reads the rows and collects every problem in them."""

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.problems: list[Problem] = []
        self.organisations: dict[str, Organisation] = {}
        self.people: dict[str, Person] = {}
        self.ledger = Ledger()
        self._table, self._row, self._code = "", 0, ""

    def wrong(self, column: str, value: object, message: str, remedy: str) -> None:
        self.problems.append(Problem(self._table, self._row, self._code, column, text(value), message, remedy))
        if len(self.problems) >= RosterError.LIMIT:
            raise RosterError(self.problems)

    def _cells(self, table: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        self._table = table
        for self._row, row in enumerate(rows):
            self._code = text(row.get("code"))
            yield row

    def read_issued(self, rows: Iterable[Mapping[str, Any]]) -> None:
        ledger = self.ledger
        for row in self._cells("issued", rows):
            code, local_part = self._code, text(row.get("local_part")).lower()
            dates = self._of_issue(row)
            if not code:
                self.wrong("code", "", "thiếu mã", "ghi mã của cơ quan hoặc người đã được cấp địa chỉ này")
                continue
            if len(local_part) > MAX_LOCAL_PART or not DOT_STRING.match(local_part):
                self.wrong("local_part", local_part, "không phải là phần trước @ của một địa chỉ", "ghi đúng phần trước @ đã cấp")
                continue
            owner = ledger.owner.get(local_part, code)
            if owner != code:
                self.wrong(
                    "local_part",
                    local_part,
                    f"đã ghi cho mã “{owner}”",
                    "một địa chỉ chỉ thuộc một mã, kể cả khi đã thu hồi; giữ một dòng",
                )
                continue
            ledger.take(local_part, code)
            if dates is None:
                continue
            current, since = dates
            if not current:
                continue
            if ledger.current.setdefault(code, local_part) != local_part:
                self.wrong(
                    "current",
                    local_part,
                    f"mã này đã có địa chỉ hiện hành “{ledger.current[code]}”",
                    "chỉ để một dòng current=true cho mỗi mã",
                )
            ledger.since[code] = since
            ledger.employer[code] = text(row.get("organisation"))

    def _of_issue(self, row: Mapping[str, Any]) -> tuple[bool, str] | None:
        """Whether an address is the current one, and since when; None when that cannot be read."""
        try:
            current, since = cells.truth(row.get("current"), default=True), cells.date(row.get("since"))
            cells.date(row.get("until"))
        except ValueError as error:
            self.wrong("current/since/until", f"{row.get('current')} {row.get('since')} {row.get('until')}", str(error), "sửa ô này")
            return None
        return current, since

    def _new_code(self) -> bool:
        if not self._code:
            self.wrong("code", "", "thiếu mã", "ghi một mã chưa dùng")
        elif self._code in self.organisations or self._code in self.people:
            self.wrong("code", self._code, "mã đã dùng ở dòng khác (mã là duy nhất trong cả hai sổ)", "đổi một trong hai mã")
        else:
            return True
        return False

    def _date(self, row: Mapping[str, Any], column: str) -> str:
        try:
            return cells.date_or_year(row.get(column))
        except ValueError as error:
            self.wrong(column, row.get(column), str(error), "sửa ngày")
            return ""

    def _status(self, row: Mapping[str, Any], allowed: tuple[str, ...]) -> str:
        status = text(row.get("status")).lower() or allowed[0]
        if status not in allowed:
            self.wrong("status", row.get("status"), "không hợp lệ", f"ghi một trong: {', '.join(allowed)}, hoặc để trống")
        return status

    def _explicit(self, row: Mapping[str, Any], service: bool = False) -> tuple[str, str]:
        local_part, basis = text(row.get("local_part")).lower(), text(row.get("basis"))
        if not local_part:
            return "", basis
        owner = self.ledger.owner.get(local_part, self._code)
        if not valid_local_part(local_part):
            self.wrong(
                "local_part",
                local_part,
                "không phải là phần trước @ hợp lệ",
                f"chỉ dùng chữ thường không dấu, số và dấu . _ - ở giữa, tối đa {MAX_LOCAL_PART} ký tự",
            )
        elif not basis:
            self.wrong(
                "local_part",
                local_part,
                "địa chỉ chỉ định phải có căn cứ",
                "ghi số, ngày văn bản vào cột basis, hoặc để trống local_part",
            )
        elif local_part in self.conventions.reserved and not service:
            self.wrong("local_part", local_part, "là địa chỉ dành riêng của hệ thống (RFC 2142)", "chọn địa chỉ khác")
        elif owner != self._code:
            self.wrong("local_part", local_part, f"đã thuộc về mã “{owner}”, không bao giờ cấp lại cho mã khác", "chọn địa chỉ khác")
        else:
            self.ledger.take(local_part, self._code)
        return local_part, basis

    def read_organisations(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in self._cells("organisations", rows):
            unique = self._new_code()
            kind = text(row.get("kind")).lower()
            if kind not in KINDS:
                self.wrong("kind", row.get("kind"), "loại cơ quan, đơn vị không hợp lệ", f"ghi một trong: {', '.join(KINDS)}")
            words: tuple[Word, ...] = ()
            key = ""
            try:
                words = names.organisation(row.get("name"), self.conventions.drop, self.conventions.acronyms)
                if kind in TERRITORIES:
                    names.without_committee(words)
                key = names.match_key(words, kind in TERRITORIES)
            except NotAName as error:
                self.wrong("name", row.get("name"), str(error), "ghi tên đầy đủ theo quyết định thành lập")
            local_part, basis = self._explicit(row, service=kind == "service")
            gone = self._status(row, ORGANISATION_STATUS) == "dissolved"
            if unique:
                self.organisations[self._code] = Organisation(
                    self._row,
                    self._code,
                    kind,
                    text(row.get("parent")),
                    self._date(row, "registered"),
                    local_part,
                    basis,
                    gone,
                    words,
                    key,
                )
        self._link_parents()

    def _link_parents(self) -> None:
        for organisation in self.organisations.values():
            if not organisation.parent:
                continue
            organisation.parent_row = self.organisations.get(organisation.parent)
            if organisation.parent_row is None:
                self._row, self._code = organisation.row, organisation.code
                self.wrong(
                    "parent",
                    organisation.parent,
                    "không có cơ quan mang mã này trong organisations",
                    "sửa mã cơ quan cấp trên hoặc thêm dòng của cơ quan đó",
                )
        settled: set[str] = set()
        for organisation in self.organisations.values():
            path: dict[str, None] = {}
            node: Organisation | None = organisation
            while node and node.code not in settled:
                if node.code in path:
                    codes = list(path)
                    codes = codes[codes.index(node.code) :]
                    self._row, self._code = node.row, node.code
                    self.wrong(
                        "parent",
                        node.parent,
                        f"các cơ quan {' → '.join([*codes, node.code])} trực thuộc vòng quanh",
                        "sửa mã cơ quan cấp trên của một trong các dòng này",
                    )
                    break
                path[node.code] = None
                node = node.parent_row
            settled.update(path)

    def read_people(self, rows: Iterable[Mapping[str, Any]]) -> None:
        conventions = self.conventions
        pattern = conventions.person
        assert pattern  # Conventions.load refuses a policy without one
        base_is_whole = "organisation" not in pattern.fields
        for row in self._cells("people", rows):
            unique = self._new_code()
            name = None
            try:
                name = names.person(row.get("full_name"), row.get("surname"), row.get("middle"), row.get("given"))
            except NotAName as error:
                self.wrong(
                    "full_name",
                    row.get("full_name"),
                    str(error),
                    "ghi đúng họ tên theo giấy tờ; tên không tách được theo quy tắc thì ghi thêm surname, middle, given",
                )
            organisation = text(row.get("organisation"))
            if organisation and organisation not in self.organisations:
                self.wrong(
                    "organisation",
                    organisation,
                    "không có cơ quan mang mã này trong organisations",
                    "sửa mã cơ quan hoặc thêm dòng của cơ quan đó",
                )
            rank = text(row.get("rank"))
            if rank and not re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", rank):
                self.wrong("rank", rank, "không phải là số", "ghi thứ bậc bằng số, 1 là cao nhất, hoặc để trống")
                rank = ""
            year = ""
            try:
                year = cells.date_or_year(row.get("birth_date")) or cells.date_or_year(row.get("birth_year"))
            except ValueError as error:
                self.wrong("birth_date", row.get("birth_date") or row.get("birth_year"), str(error), "sửa ngày hoặc năm sinh")
            gone = self._status(row, PERSON_STATUS) == "left"
            local_part, basis = self._explicit(row)
            if not unique or not name:
                continue
            person = self.people[self._code] = Person(
                self._code,
                name,
                organisation,
                float(rank) if rank else float("inf"),
                self._date(row, "registered"),
                year[:4],
                local_part,
                basis,
                gone,
            )
            if base_is_whole and not local_part and self._code not in self.ledger.current:
                self._refuse_reserved(row, person, pattern)

    def _refuse_reserved(self, row: Mapping[str, Any], person: Person, pattern: Pattern) -> None:
        rendered = pattern.render(person_values(person, None))
        if rendered and rendered[0] in self.conventions.reserved:
            self.wrong(
                "full_name",
                row.get("full_name"),
                f"quy tắc cho ra “{rendered[0]}”, là địa chỉ dành riêng của hệ thống",
                "ghi địa chỉ khác vào cột local_part và căn cứ vào cột basis",
            )


def person_values(person: Person, employer: str | None) -> dict[str, str | None]:
    name = person.name
    surname, middle = "".join(s[0] for s in name.surname), "".join(s[0] for s in name.middle)
    return {
        "full": "".join(name.written),
        "surname": "".join(name.surname) or None,
        "middle": "".join(name.middle),
        "given": "".join(name.given),
        "surname_initials": surname or None,
        "middle_initials": middle,
        "initials": surname + middle,
        "organisation": employer,
        "yy": person.year[2:] or None,
        "yyyy": person.year or None,
    }


def read_rows(roster: Mapping[str, Any], naming: Mapping[str, Any], issued: Iterable[Mapping[str, Any]] = ()) -> Rows:
    """Read and check the rows of a register; ``problems`` of the result lists everything wrong in them.

    :class:`~congvu_mail.conventions.NamingError` when ``naming`` (``mail_policy.naming``) cannot be used.
    """
    rows = Rows(Conventions.load(naming))
    rows.read_issued(issued or ())
    rows.read_organisations(roster.get("organisations") or ())
    rows.read_people(roster.get("people") or ())
    return rows
