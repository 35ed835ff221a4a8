"""Addresses from a register by a province's conventions (``mail_policy.naming``).

The conventions and all exceptions are data; there is no province in this module. An address is built from a
*pattern*, a text with fields in braces, in the way regulations print it: ``{initials}.{parent}``.

Fields of an organisation's pattern:
  ``{initials}``       first letter of every word of the name, acronyms and numbers whole
  ``{name}``           the proper name in full; of a territory without its class, unless it is only a number
  ``{class}``          the class word in full (``so``, ``huyen``, ``trungtam``)
  ``{name_initials}``  as ``{initials}``, of the name without its class word
  ``{parent}``         the whole local part of the parent
Fields of a person's pattern:
  ``{full}``           all syllables in written order
  ``{surname}`` ``{middle}`` ``{given}``, ``{surname_initials}`` ``{middle_initials}``
  ``{initials}``       first letters of surname, then middle name
  ``{organisation}``   the whole local part of the employer
  ``{yy}`` ``{yyyy}``  year of birth
  ``{n}``              an ordinal, counted from ``first`` upwards, never reused (collision forms only)

:func:`allocate` is one pass in the order in which addresses are given out; its result depends on nothing but the
rows, the conventions and the ledger of issued addresses.
"""

from __future__ import annotations

import heapq
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from congvu_mail import cells, names
from congvu_mail.cells import text
from congvu_mail.names import NotAName, PersonName, Word

KINDS = ("province_agency", "subordinate", "division", "district", "commune", "party", "mass_org", "central",
         "enterprise", "service")
TERRITORIES = ("district", "commune")
# One convention for each kind of organisation; a division is named differently in an agency and in a territory.
CONVENTIONS = ("province_agency", "subordinate", "division_of_agency", "division_of_territory", "district", "commune",
               "party", "mass_org", "central", "enterprise", "service")
PERSON_STATUS = ("active", "leave", "left")
ORGANISATION_STATUS = ("active", "dissolved")

MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
LOCAL_PART = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")
# A ledger may hold addresses of an earlier system: any dot-string of RFC 5321, 4.1.2.
_DOT_STRING = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
# Four digits after a name are a year (an address given by decision), not an ordinal to count on from.
_ORDINAL = re.compile(r"(?<!\d)[1-9]\d{0,2}(?!\d)")

_ORGANISATION_FIELDS = frozenset(("initials", "name", "class", "name_initials", "parent"))
_PERSON_FIELDS = frozenset(("full", "surname", "middle", "given", "surname_initials", "middle_initials", "initials",
                            "organisation", "yy", "yyyy"))


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

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = [str(problem) for problem in self.problems[:self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"... và {len(self.problems) - self.SHOWN} lỗi khác.")
        super().__init__(f"Sổ đăng ký có {len(self.problems)} lỗi, chưa thay đổi gì:\n" + "\n".join(lines))


class NamingError(ValueError):
    """``mail_policy.naming`` cannot be used; the text shows every problem one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("Quy tắc đặt tên (naming) có lỗi:\n" + "\n".join(self.problems))


# --- the conventions --------------------------------------------------------------------------------------------------


class Pattern:
    """A pattern taken apart once: literal texts and fields in turn."""

    __slots__ = ("fields", "parts", "source")

    def __init__(self, source: str, allowed: frozenset[str]) -> None:
        self.source = source
        self.parts: list[tuple[str, str | None]] = []
        for literal, name, spec, conversion in string.Formatter().parse(source):
            if literal and not re.fullmatch(r"[a-z0-9._-]*", literal):
                raise ValueError(f"“{literal}” chứa ký tự không dùng được trong địa chỉ")
            if name is not None and (name not in allowed or spec or conversion):
                raise ValueError(f"không có trường “{{{name}}}”; các trường: {', '.join(sorted(allowed))}")
            self.parts.append((literal, name))
        self.fields = tuple(name for _, name in self.parts if name is not None)
        if not self.fields:
            raise ValueError("mẫu không có trường nào trong ngoặc nhọn")

    def render(self, values: Mapping[str, str | None]) -> tuple[str, str] | None:
        """The texts before and after ``{n}`` (all before, when it has none); None when a field has no value."""
        before: list[str] = []
        out = before
        after: list[str] = []
        for literal, name in self.parts:
            out.append(literal)
            if name == "n":
                out = after
            elif name is not None:
                value = values[name]
                if value is None:
                    return None
                out.append(value)
        return "".join(before), "".join(after)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the address of one kind of organisation is made; ``pattern`` is None where it is set by decision."""

    pattern: Pattern | None
    suggestion: Pattern | None
    without: tuple[tuple[str, ...], ...]
    by_decision: tuple[str, ...]
    parents: tuple[str, ...]
    clause: str


@dataclass(frozen=True, slots=True)
class _Exception:
    """An address the text prints, or a decision, for one named organisation."""

    kind: str
    keys: frozenset[str]
    parents: frozenset[str]
    local_part: str
    aliases: tuple[str, ...]
    clause: str
    ground: str


class _Checker:
    """Walks ``mail_policy.naming`` and collects what is wrong instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, path: str, message: str) -> None:
        self.problems.append(f"naming.{path}: {message}")

    def leaf(self, tree: Any, path: str, optional: bool = False) -> tuple[Any, str]:
        """(value, clause) of a leaf; (None, "") when it is missing or broken."""
        node = tree
        for key in path.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        if node is None and optional:
            return None, ""
        if not isinstance(node, Mapping) or "basis" not in node or "value" not in node:
            self.wrong(path, "thiếu, hoặc không phải là mục có value và basis")
            return None, ""
        return node["value"], text(node.get("clause"))

    def mapping(self, value: Any, path: str, keys: Iterable[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.wrong(path, f"giá trị phải là một ánh xạ với các khóa {', '.join(keys)}")
            return {}
        for key in value:
            if key not in keys:
                self.wrong(path, f"khóa “{key}” không có trong cấu trúc; các khóa: {', '.join(keys)}")
        return value

    def texts(self, value: Any, path: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip() for item in value):
            self.wrong(path, "phải là một danh sách các chuỗi không rỗng")
            return ()
        for item in value:
            if allowed and item not in allowed:
                self.wrong(path, f"“{item}” không hợp lệ; các giá trị: {', '.join(allowed)}")
        return tuple(str(item) for item in value)

    def pattern(self, value: Any, path: str, allowed: frozenset[str]) -> Pattern | None:
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(path, "mẫu địa chỉ phải là một chuỗi")
            return None
        try:
            return Pattern(value, allowed)
        except ValueError as error:
            self.wrong(path, f"mẫu “{value}”: {error}")
            return None

    def patterns(self, value: Any, path: str, allowed: frozenset[str]) -> tuple[Pattern, ...]:
        found = (self.pattern(item, path, allowed) for item in self.texts(value, path))
        return tuple(pattern for pattern in found if pattern)

    def choice(self, value: Any, path: str, allowed: Sequence[Any]) -> Any:
        if value not in allowed:
            self.wrong(path, f"“{value}” không hợp lệ; các giá trị: {', '.join(map(str, allowed))}")
            return allowed[0]
        return value


_FORM_CHECK = _PERSON_FIELDS | {"n"}
_TOP = ("abbreviation", "class_words", "organisation", "employer", "person", "collision", "change", "reserved", "caution",
        "exceptions")


@dataclass(slots=True)
class Conventions:
    """``mail_policy.naming``, checked and taken apart."""

    drop: tuple[str, ...] = ()
    acronyms: tuple[str, ...] = ()
    class_words: tuple[tuple[str, ...], ...] = ()
    kinds: dict[str, _Kind | None] = field(default_factory=dict)
    employing_divisions: tuple[str, ...] = ()
    person: Pattern | None = None
    person_clause: str = ""
    forms: tuple[Pattern, ...] = ()
    first: int = 1
    by_rank: bool = False
    suggestions: tuple[Pattern, ...] = ()
    collision_clause: str = ""
    organisation_collision_clause: str = ""
    transfer: Mapping[str, Any] = field(default_factory=dict)
    transfer_clause: str = ""
    rename: Mapping[str, Any] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    caution: frozenset[str] = frozenset()
    exceptions: dict[str, list[_Exception]] = field(default_factory=dict)

    @classmethod
    def load(cls, naming: Mapping[str, Any]) -> Conventions:
        """Read ``mail_policy.naming``; :class:`NamingError` lists everything wrong in it."""
        conventions, problems = cls._read(naming, provenance=False)
        if problems:
            raise NamingError(problems)
        return conventions

    @classmethod
    def _read(cls, naming: Any, provenance: bool) -> tuple[Conventions, list[str]]:
        check = _Checker()
        self = cls()
        if not isinstance(naming, Mapping):
            return self, ["naming: phải là một ánh xạ (mail_policy.naming)"]
        for key in naming:
            if key not in _TOP:
                check.wrong(key, f"không có trong cấu trúc; các khóa: {', '.join(_TOP)}")

        value, _ = check.leaf(naming, "abbreviation")
        value = check.mapping(value, "abbreviation.value", ("drop", "acronyms"))
        self.drop = check.texts(value.get("drop"), "abbreviation.value.drop")
        self.acronyms = check.texts(value.get("acronyms"), "abbreviation.value.acronyms")
        value, _ = check.leaf(naming, "class_words", optional=True)
        self.class_words = _heads(check.texts(value, "class_words.value"))

        self._read_kinds(naming, check)
        value, _ = check.leaf(naming, "employer")
        value = check.mapping(value, "employer.value", ("divisions_of",))
        self.employing_divisions = check.texts(value.get("divisions_of"), "employer.value.divisions_of", KINDS)

        self._read_person(naming, check)
        value, self.organisation_collision_clause = check.leaf(naming, "collision.organisation")
        check.choice(value, "collision.organisation.value", ("decision",))
        self._read_change(naming, check)
        value, _ = check.leaf(naming, "reserved")
        self.reserved = frozenset(item.lower() for item in check.texts(value, "reserved.value"))
        value, _ = check.leaf(naming, "caution", optional=True)
        self.caution = frozenset(check.texts(value, "caution.value"))
        self._read_exceptions(naming.get("exceptions"), check, provenance)
        return self, check.problems

    def _read_kinds(self, naming: Mapping[str, Any], check: _Checker) -> None:
        given = naming.get("organisation")
        for key in given if isinstance(given, Mapping) else ():
            if key not in CONVENTIONS:
                check.wrong(f"organisation.{key}", f"không có trong cấu trúc; các khóa: {', '.join(CONVENTIONS)}")
        for kind in CONVENTIONS:
            path = f"organisation.{kind}"
            value, clause = check.leaf(naming, path)
            if value is None:  # not regulated and not applied
                self.kinds[kind] = None
                continue
            value = check.mapping(value, path + ".value", ("pattern", "suggestion", "without", "by_decision", "parents"))
            self.kinds[kind] = _Kind(
                check.pattern(value.get("pattern"), path + ".value.pattern", _ORGANISATION_FIELDS),
                check.pattern(value.get("suggestion"), path + ".value.suggestion", _ORGANISATION_FIELDS),
                _heads(check.texts(value.get("without"), path + ".value.without")),
                self._keys(kind, check.texts(value.get("by_decision"), path + ".value.by_decision"), check, path),
                check.texts(value.get("parents"), path + ".value.parents", KINDS),
                clause)

    def _read_person(self, naming: Mapping[str, Any], check: _Checker) -> None:
        value, self.person_clause = check.leaf(naming, "person")
        value = check.mapping(value, "person.value", ("pattern",))
        self.person = check.pattern(value.get("pattern"), "person.value.pattern", _PERSON_FIELDS)
        if not self.person:
            check.wrong("person.value.pattern", "thiếu mẫu địa chỉ của cá nhân")
        path = "collision.person"
        value, self.collision_clause = check.leaf(naming, path)
        path += ".value"
        value = check.mapping(value, path, ("forms", "first", "order", "suggestions"))
        self.forms = check.patterns(value.get("forms"), path + ".forms", _FORM_CHECK)
        self.suggestions = check.patterns(value.get("suggestions"), path + ".suggestions", _FORM_CHECK)
        for pattern in (*self.forms, *self.suggestions):
            if pattern.fields.count("n") > 1:
                check.wrong(path, f"mẫu “{pattern.source}”: chỉ được có một {{n}}")
        first = value.get("first", 1)
        if isinstance(first, bool) or not isinstance(first, int) or not 0 < first < 1000:
            check.wrong(path + ".first", f"“{first}” không phải là số nguyên từ 1 đến 999")
        else:
            self.first = int(first)
        order = check.texts(value.get("order"), path + ".order", ("rank", "registered"))
        if order not in (("rank", "registered"), ("registered",)):
            check.wrong(path + ".order", "phải là [registered] hoặc [rank, registered]")
        self.by_rank = "rank" in order

    def _read_change(self, naming: Mapping[str, Any], check: _Checker) -> None:
        for name in ("transfer", "rename"):
            path = f"change.{name}"
            value, clause = check.leaf(naming, path)
            keys = ("address", "old", "alias_months") if name == "transfer" else ("old", "alias_months")
            value = dict(check.mapping(value, path + ".value", keys))
            if name == "transfer":
                value["address"] = check.choice(value.get("address"), path + ".value.address", ("keep", "new"))
            if name == "rename" or value["address"] == "new":
                value["old"] = check.choice(value.get("old"), path + ".value.old", ("alias", "closed"))
            months = value.get("alias_months")
            if months is not None and (isinstance(months, bool) or not isinstance(months, int) or months < 1):
                check.wrong(path + ".value.alias_months", f"“{months}” không phải là số tháng nguyên dương")
            if name == "transfer":
                self.transfer, self.transfer_clause = value, clause
            else:
                self.rename = value

    def _read_exceptions(self, listed: Any, check: _Checker, provenance: bool) -> None:
        if not isinstance(listed, list | tuple):
            check.wrong("exceptions", "phải là một danh sách (có thể rỗng)")
            return
        owner: dict[str, int] = {}
        for number, item in enumerate(listed):
            path = f"exceptions[{number}]"
            item = check.mapping(item, path, ("kind", "name", "other_names", "parent", "local_part", "aliases", "source"))
            if not item:
                continue
            kind = check.choice(item.get("kind"), path + ".kind", KINDS)
            local_parts = [item.get("local_part"), *check.texts(item.get("aliases"), path + ".aliases")]
            for local_part in local_parts:
                if not isinstance(local_part, str) or not valid_local_part(local_part):
                    check.wrong(path, f"“{local_part}” không phải là phần trước @ hợp lệ (chữ thường, số và . _ -)")
                elif owner.setdefault(local_part, number) != number:
                    check.wrong(path, f"“{local_part}” đã ghi ở exceptions[{owner[local_part]}]")
            source = item.get("source")
            if provenance:
                value, _ = check.leaf({"source": source}, "source")
                check.choice(value, path + ".source.value", ("fixed", "example", "analogy", "service"))
            source = source if isinstance(source, Mapping) else {}
            try:
                known = [item.get("name"), *check.texts(item.get("other_names"), path + ".other_names")]
                found = _Exception(
                    kind, frozenset(self.key(kind, name) for name in known),
                    frozenset(self.key(k, item["parent"]) for k in KINDS) if item.get("parent") else frozenset(),
                    str(local_parts[0]), tuple(map(str, local_parts[1:])), text(source.get("clause")),
                    text(source.get("value")))
            except NotAName as error:
                check.wrong(path + ".name", str(error))
                continue
            for key in found.keys:
                self.exceptions.setdefault(f"{kind} {key}", []).append(found)

    def _keys(self, kind: str, listed: Iterable[str], check: _Checker, path: str) -> tuple[str, ...]:
        try:
            return tuple(self.key(kind, name) for name in listed)
        except NotAName as error:
            check.wrong(path, str(error))
            return ()

    def key(self, kind: str, name: Any) -> str:
        """What two spellings of the name of an organisation of this kind have in common."""
        return names.match_key(names.organisation(name, self.drop, self.acronyms), kind in TERRITORIES)


def _heads(words: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names.fold(word).split()) for word in words)


def check_naming(naming: Mapping[str, Any]) -> list[str]:
    """Everything wrong in ``mail_policy.naming``, one Vietnamese sentence each; an empty list when it can be used.

    Names of keys, fields of patterns, kinds, exceptions and their ``source`` are checked; the provenance of the
    leaves (clause, quote, bound) is checked with that of the rest of the policy.
    """
    return Conventions._read(naming, provenance=True)[1]


def valid_local_part(value: str) -> bool:
    """Whether ``value`` may be given out: lower-case ASCII, parts joined by ``. _ -``, at most 64 octets."""
    return len(value) <= MAX_LOCAL_PART and bool(LOCAL_PART.match(value))


# --- the rows ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Organisation:
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
    parent_row: _Organisation | None = None


@dataclass(slots=True)
class _Person:
    code: str
    name: PersonName
    organisation: str
    rank: float
    registered: str
    year: str
    local_part: str
    basis: str
    gone: bool


class _Ledger:
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
            key = (local_part[:found.start()], local_part[found.end():])
            self._highest[key] = max(self._highest.get(key, 0), int(found.group()))

    def next_ordinal(self, before: str, after: str, first: int) -> int:
        """The number after the highest in use: a gap left by history is never filled."""
        number = max(first, self._highest.get((before, after), 0) + 1)
        while f"{before}{number}{after}" in self.owner:
            number += 1
        return number


class _Rows:
    """Reads the rows and collects every problem in them."""

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.problems: list[Problem] = []
        self.organisations: dict[str, _Organisation] = {}
        self.people: dict[str, _Person] = {}
        self.ledger = _Ledger()
        self._table, self._row, self._code = "", 0, ""

    def wrong(self, column: str, value: object, message: str, remedy: str) -> None:
        self.problems.append(Problem(self._table, self._row, self._code, column, text(value), message, remedy))

    def _cells(self, table: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        self._table = table
        for self._row, row in enumerate(rows):
            self._code = text(row.get("code"))
            yield row

    def read_issued(self, rows: Iterable[Mapping[str, Any]]) -> None:
        ledger = self.ledger
        for row in self._cells("issued", rows):
            code, local_part = self._code, text(row.get("local_part")).lower()
            if not code:
                self.wrong("code", "", "thiếu mã", "ghi mã của cơ quan hoặc người đã được cấp địa chỉ này")
                continue
            if len(local_part) > MAX_LOCAL_PART or not _DOT_STRING.match(local_part):
                self.wrong("local_part", local_part, "không phải là phần trước @ của một địa chỉ",
                           "ghi đúng phần trước @ đã cấp")
                continue
            owner = ledger.owner.get(local_part, code)
            if owner != code:
                self.wrong("local_part", local_part, f"đã ghi cho mã “{owner}”",
                           "một địa chỉ chỉ thuộc một mã, kể cả khi đã thu hồi; giữ một dòng")
                continue
            ledger.take(local_part, code)
            try:
                current = cells.truth(row.get("current"), default=True)
                since = cells.date(row.get("since"))
                cells.date(row.get("until"))
            except ValueError as error:
                self.wrong("current/since/until", f"{row.get('current')} {row.get('since')} {row.get('until')}",
                           str(error), "sửa ô này")
                continue
            if not current:
                continue
            if ledger.current.setdefault(code, local_part) != local_part:
                self.wrong("current", local_part, f"mã này đã có địa chỉ hiện hành “{ledger.current[code]}”",
                           "chỉ để một dòng current=true cho mỗi mã")
            ledger.since[code] = since
            ledger.employer[code] = text(row.get("organisation"))

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
            return cells.date(row.get(column))
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
            self.wrong("local_part", local_part, "không phải là phần trước @ hợp lệ",
                       f"chỉ dùng chữ thường không dấu, số và dấu . _ - ở giữa, tối đa {MAX_LOCAL_PART} ký tự")
        elif not basis:
            self.wrong("local_part", local_part, "địa chỉ chỉ định phải có căn cứ",
                       "ghi số, ngày văn bản vào cột basis, hoặc để trống local_part")
        elif local_part in self.conventions.reserved and not service:
            self.wrong("local_part", local_part, "là địa chỉ dành riêng của hệ thống (RFC 2142)", "chọn địa chỉ khác")
        elif owner != self._code:
            self.wrong("local_part", local_part, f"đã thuộc về mã “{owner}”, không bao giờ cấp lại cho mã khác",
                       "chọn địa chỉ khác")
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
                self.organisations[self._code] = _Organisation(
                    self._row, self._code, kind, text(row.get("parent")), self._date(row, "registered"), local_part, basis, gone,
                    words, key)
        self._link_parents()

    def _link_parents(self) -> None:
        for organisation in self.organisations.values():
            if not organisation.parent:
                continue
            organisation.parent_row = self.organisations.get(organisation.parent)
            if organisation.parent_row is None:
                self._row, self._code = organisation.row, organisation.code
                self.wrong("parent", organisation.parent, "không có cơ quan mang mã này trong organisations",
                           "sửa mã cơ quan cấp trên hoặc thêm dòng của cơ quan đó")
        settled: set[str] = set()
        for organisation in self.organisations.values():
            path: dict[str, None] = {}
            node: _Organisation | None = organisation
            while node and node.code not in settled:
                if node.code in path:
                    codes = list(path)
                    codes = codes[codes.index(node.code):]
                    self._row, self._code = node.row, node.code
                    self.wrong("parent", node.parent, f"các cơ quan {' → '.join([*codes, node.code])} trực thuộc vòng quanh",
                               "sửa mã cơ quan cấp trên của một trong các dòng này")
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
                self.wrong("full_name", row.get("full_name"), str(error), "ghi đúng họ tên theo giấy tờ; tên không tách được"
                           " theo quy tắc thì ghi thêm surname, middle, given")
            organisation = text(row.get("organisation"))
            if organisation and organisation not in self.organisations:
                self.wrong("organisation", organisation, "không có cơ quan mang mã này trong organisations",
                           "sửa mã cơ quan hoặc thêm dòng của cơ quan đó")
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
            person = self.people[self._code] = _Person(
                self._code, name, organisation, float(rank) if rank else float("inf"), self._date(row, "registered"),
                year[:4], local_part, basis, gone)
            if base_is_whole and not local_part and self._code not in self.ledger.current:
                self._refuse_reserved(row, person, pattern)

    def _refuse_reserved(self, row: Mapping[str, Any], person: _Person, pattern: Pattern) -> None:
        rendered = pattern.render(_person_values(person, None))
        if rendered and rendered[0] in self.conventions.reserved:
            self.wrong("full_name", row.get("full_name"), f"quy tắc cho ra “{rendered[0]}”, là địa chỉ dành riêng của hệ thống",
                       "ghi địa chỉ khác vào cột local_part và căn cứ vào cột basis")


def _person_values(person: _Person, employer: str | None) -> dict[str, str | None]:
    name = person.name
    surname, middle = "".join(s[0] for s in name.surname), "".join(s[0] for s in name.middle)
    return {
        "full": "".join(name.written), "surname": "".join(name.surname) or None, "middle": "".join(name.middle),
        "given": "".join(name.given), "surname_initials": surname or None, "middle_initials": middle,
        "initials": surname + middle, "organisation": employer, "yy": person.year[2:] or None,
        "yyyy": person.year or None,
    }


# --- giving out addresses ---------------------------------------------------------------------------------------------


class _Office:
    """Gives out the addresses, one row after the other."""

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows
        self.conventions = rows.conventions
        self.ledger = rows.ledger
        self.problems: list[Problem] = []
        # An address the text prints is kept for the organisation it is printed for.
        self.printed = {local_part: found for listed in self.conventions.exceptions.values() for found in listed
                        for local_part in (found.local_part, *found.aliases)}
        self.address: dict[str, str] = {}  # of the organisations that have had their turn
        self.undecided: list[tuple[dict[str, Any], Iterable[str]]] = []

    def run(self) -> list[dict[str, Any]]:
        entries = []
        for row in _parents_first(self.rows.organisations.values()):
            entry = self.organisation(row)
            self.address[row.code] = entry["local_part"]
            entries.append(entry)
        by_rank = self.conventions.by_rank
        entries += [self.person(row) for row in sorted(
            self.rows.people.values(),
            key=lambda row: (row.rank if by_rank else 0, not row.registered, row.registered, row.code))]
        self.suggest()
        return entries

    def entry(self, table: str, code: str) -> dict[str, Any]:
        return {"code": code, "table": table, "local_part": "", "status": "needs_decision", "suggestion": "",
                "clause": "", "reason": "", "aliases": [], "previous": "", "previous_use": "", "previous_months": None,
                "warning": ""}

    def free(self, local_part: str, code: str, exception: _Exception | None = None) -> bool:
        return (self.ledger.owner.get(local_part, code) == code
                and self.printed.get(local_part, exception) is exception)

    def assign(self, entry: dict[str, Any], local_part: str, clause: str, reason: str) -> dict[str, Any]:
        self.ledger.take(local_part, entry["code"])
        entry.update(local_part=local_part, status="assigned", clause=clause, reason=reason)
        caution = self.conventions.caution.intersection(re.split(r"[._-]|\d+", local_part))
        if caution and entry["table"] == "people":
            entry["warning"] = (f"“{min(caution)}” có thể gây hiểu lầm; nếu cần, đề nghị địa chỉ khác bằng cột"
                                " local_part và basis")
            entry["reason"] += f" Lưu ý: {entry['warning']}."
        return entry

    def undecide(self, entry: dict[str, Any], clause: str, reason: str, proposals: Iterable[str] = ()) -> dict[str, Any]:
        entry.update(clause=clause, reason=reason)
        self.undecided.append((entry, proposals))
        return entry

    def suggest(self) -> None:
        """Propose free addresses once every address of this run is known; no two rows get the same proposal."""
        proposed: set[str] = set()
        for entry, proposals in self.undecided:
            for local_part in proposals:
                if (valid_local_part(local_part) and local_part not in self.ledger.owner and local_part not in proposed
                        and local_part not in self.printed and local_part not in self.conventions.reserved):
                    proposed.add(local_part)
                    entry["suggestion"] = local_part
                    break

    def keep_or_replace(self, entry: dict[str, Any], explicit: str, basis: str, clause: str) -> bool:
        """Answer rows that have an address, or are given one by a document; False for the others."""
        code = entry["code"]
        current = self.ledger.current.get(code, "")
        if explicit and explicit != current:
            self.assign(entry, explicit, clause, f"Địa chỉ chỉ định theo {basis}.")
            if current:
                self._replace(entry, current, self.conventions.rename)
            return True
        if not current:
            return False
        since = self.ledger.since[code]
        day = f" ngày {since[8:10]}/{since[5:7]}/{since[:4]}" if since else ""
        entry.update(local_part=current, status="issued", clause=clause, reason=f"Đã cấp{day}, giữ nguyên.")
        return True

    @staticmethod
    def _replace(entry: dict[str, Any], old: str, answer: Mapping[str, Any]) -> None:
        months = answer.get("alias_months") if answer["old"] == "alias" else None
        entry.update(previous=old, previous_use=answer["old"], previous_months=months)
        if answer["old"] == "closed":
            entry["reason"] += f" Địa chỉ cũ “{old}” chấm dứt hoạt động, không cấp cho ai khác."
        elif months:
            entry["reason"] += f" Địa chỉ cũ “{old}” vẫn nhận thư trong {months} tháng."
        else:
            entry["reason"] += f" Địa chỉ cũ “{old}” vẫn nhận thư."

    # --- organisations

    def organisation(self, row: _Organisation) -> dict[str, Any]:
        entry = self.entry("organisations", row.code)
        exception = self._exception(row)
        convention = self.conventions.kinds[self._convention(row)]
        clause = (exception.clause if exception else "") or (convention.clause if convention else "")
        if exception:
            entry["aliases"] = [alias for alias in exception.aliases if self.free(alias, row.code, exception)]
        if self.keep_or_replace(entry, row.local_part, row.basis, clause):
            self._reserve_aliases(entry)
            return entry
        if row.gone:
            return self.undecide(entry, clause, "Cơ quan, đơn vị đã giải thể: không cấp địa chỉ mới.")
        if exception:
            if self.free(exception.local_part, row.code, exception):
                how = {"fixed": "Quy chế ấn định địa chỉ này.", "example": "Địa chỉ được ghi trong ví dụ của Quy chế.",
                       "service": "Hộp thư phục vụ hệ thống theo Quy chế."}
                self.assign(entry, exception.local_part, clause, how.get(exception.ground, "Ngoại lệ ghi trong chính sách."))
                self._reserve_aliases(entry)
                return entry
            entry["aliases"] = []
        return self._by_rule(entry, row, convention, clause)

    def _reserve_aliases(self, entry: dict[str, Any]) -> None:
        for alias in entry["aliases"]:
            self.ledger.take(alias, entry["code"])

    def _by_rule(self, entry: dict[str, Any], row: _Organisation, convention: _Kind | None, clause: str) -> dict[str, Any]:
        if convention is None:
            return self.undecide(entry, clause, "Quy chế không có quy tắc cho loại cơ quan, đơn vị này: cần quyết định.")
        parent = row.parent_row
        values = self._organisation_values(row, convention)
        if convention.pattern is None or any(f"{row.key} ".startswith(f"{key} ") for key in convention.by_decision):
            return self.undecide(entry, clause, "Quy chế không ấn định; đơn vị vận hành đặt địa chỉ cho cơ quan này: cần quyết định.",
                                 self._proposals(row, convention, values))
        if "parent" in convention.pattern.fields:
            if parent is None:
                return self.undecide(entry, clause, "Quy tắc cần cơ quan cấp trên, nhưng cột parent để trống.")
            if convention.parents and parent.kind not in convention.parents:
                return self.undecide(entry, clause, f"Quy tắc không áp dụng cho đơn vị trực thuộc loại “{parent.kind}”.")
            if values["parent"] is None:
                return self.undecide(entry, clause, f"Cơ quan cấp trên “{parent.code}” chưa có địa chỉ.")
        rendered = convention.pattern.render(values)
        if rendered is None:
            return self.undecide(entry, clause, "Tên không bắt đầu bằng một loại hình tổ chức đã biết: cần quyết định.",
                                 self._proposals(row, convention, values))
        local_part = rendered[0]
        if not valid_local_part(local_part):
            return self.undecide(entry, clause, f"“{local_part}” dài quá {MAX_LOCAL_PART} ký tự (RFC 5321).")
        if local_part in self.conventions.reserved:
            self.problems.append(Problem(
                "organisations", row.row, row.code, "name", local_part, "quy tắc cho ra một địa chỉ dành riêng của hệ thống",
                "ghi địa chỉ khác vào cột local_part và căn cứ vào cột basis"))
            return entry
        if self.free(local_part, row.code):
            return self.assign(entry, local_part, clause, "Đặt theo quy tắc của Quy chế.")
        return self.undecide(
            entry, self.conventions.organisation_collision_clause or clause,
            f"“{local_part}” {self._holder(local_part)}: cần quyết định.", self._proposals(row, convention, values))

    def _holder(self, local_part: str) -> str:
        owner = self.ledger.owner.get(local_part)
        return f"đã thuộc về mã “{owner}”" if owner else "được Quy chế dành cho cơ quan khác"

    def _convention(self, row: _Organisation) -> str:
        if row.kind != "division":
            return row.kind
        node = row.parent_row
        while node and node.kind == "division":
            node = node.parent_row
        return "division_of_territory" if node and node.kind in TERRITORIES else "division_of_agency"

    def _exception(self, row: _Organisation) -> _Exception | None:
        for found in self.conventions.exceptions.get(f"{row.kind} {row.key}", ()):
            if not found.parents or (row.parent_row and row.parent_row.key in found.parents):
                return found
        return None

    def _organisation_values(self, row: _Organisation, convention: _Kind) -> dict[str, str | None]:
        parent = self.address[row.parent_row.code] or None if row.parent_row else None
        if row.kind in TERRITORIES:
            words_of_class, proper = names.territory(row.words)
            words = names.without_committee(row.words)
            name = "".join(word.folded for word in proper)
            if names.is_number(proper):
                name = "".join(words_of_class) + name
        else:
            words = names.spelled_out(row.words)
            words_of_class, proper = names.strip_head(words, self.conventions.class_words)
            name = "".join(word.folded for word in proper)
        _, counted = names.strip_head(words, convention.without)
        return {
            "initials": "".join(word.initial for word in counted or words),
            "name": name or None,
            "class": "".join(words_of_class) or None,
            "name_initials": "".join(word.initial for word in proper),
            "parent": parent,
        }

    def _proposals(self, row: _Organisation, convention: _Kind, values: dict[str, str | None]) -> Iterator[str]:
        pattern = convention.pattern or convention.suggestion
        if pattern is None or ("parent" in pattern.fields and values["parent"] is None):
            return
        words = row.words if row.kind not in TERRITORIES else names.without_committee(row.words)
        head, rest = words[0].initial, "".join(word.folded for word in words[1:])
        if row.kind in TERRITORIES:
            words_of_class, proper = names.territory(words)
            head, rest = "".join(word[0] for word in words_of_class), "".join(word.folded for word in proper)
        longer = {"initials": head + rest, "name": head + rest, "name_initials": rest,
                  "class": values["class"] or "", "parent": values["parent"]}
        for fields in (values, longer):
            rendered = pattern.render({**fields, "class": fields["class"] or ""})
            if rendered:
                yield rendered[0]
        for number in range(2, 1000):
            rendered = pattern.render({**values, "class": values["class"] or "", **{
                key: f"{values[key]}{number}" for key in ("initials", "name", "name_initials") if values[key]}})
            if rendered:
                yield rendered[0]

    # --- people

    def employer(self, organisation: _Organisation | None) -> _Organisation | None:
        """The organisation a personal address names: from a division that is no employer up to the agency."""
        node = organisation
        while node and node.kind == "division":
            top = node.parent_row
            while top and top.kind == "division":
                top = top.parent_row
            if top is None or top.kind in self.conventions.employing_divisions:
                return node
            node = top
        return node

    def person(self, row: _Person) -> dict[str, Any]:
        conventions = self.conventions
        entry = self.entry("people", row.code)
        clause = conventions.person_clause
        employer = self.employer(self.rows.organisations.get(row.organisation))
        moved = not row.local_part and not row.gone and self._transferred(row, employer)
        if not moved and self.keep_or_replace(entry, row.local_part, row.basis, clause):
            return entry
        if row.gone:
            return self.undecide(entry, clause, "Người này đã thôi việc, nghỉ hưu hoặc chuyển đi: không cấp địa chỉ mới.")
        values = _person_values(row, self.address[employer.code] or None if employer else None)
        self._first_free(entry, row, values)
        if moved and entry["status"] == "assigned":
            entry["reason"] = f"Chuyển công tác ({conventions.transfer_clause}). " + entry["reason"]
            self._replace(entry, self.ledger.current[row.code], conventions.transfer)
        return entry

    def _first_free(self, entry: dict[str, Any], row: _Person, values: dict[str, str | None]) -> dict[str, Any]:
        conventions = self.conventions
        pattern = conventions.person
        assert pattern
        rendered = pattern.render(values)
        if rendered is None:
            reason = ("Cơ quan công tác chưa có địa chỉ." if row.organisation
                      else "Quy tắc cần cơ quan công tác, nhưng cột organisation để trống.")
            return self.undecide(entry, conventions.person_clause, reason)
        plain = rendered[0]
        if valid_local_part(plain) and self.free(plain, row.code):
            return self.assign(entry, plain, conventions.person_clause, "Đặt theo quy tắc của Quy chế.")
        missing: set[str] = set()
        for form in conventions.forms:
            rendered = form.render(values)
            if rendered is None:
                missing.update(name for name in form.fields if name != "n" and values[name] is None)
                continue
            before, after = rendered
            if "n" in form.fields:
                before += str(self.ledger.next_ordinal(before, after, conventions.first))
            local_part = before + after
            if valid_local_part(local_part) and local_part not in conventions.reserved and self.free(local_part, row.code):
                return self.assign(entry, local_part, conventions.collision_clause or conventions.person_clause,
                                   f"“{plain}” {self._holder(plain)}; dùng dạng tiếp theo của Quy chế.")
        if not valid_local_part(plain):
            reason = f"“{plain}” dài quá {MAX_LOCAL_PART} ký tự (RFC 5321): cần quyết định."
        else:
            reason = f"“{plain}” {self._holder(plain)} và Quy chế không còn dạng nào khác: cần quyết định."
            if missing & {"yy", "yyyy"}:
                reason += " Nếu biết năm sinh, ghi vào cột birth_date."
            if "organisation" in missing:
                reason += " Cơ quan công tác chưa có địa chỉ."
        return self.undecide(entry, conventions.collision_clause or conventions.person_clause, reason,
                             self._personal_proposals(values))

    def _personal_proposals(self, values: dict[str, str | None]) -> Iterator[str]:
        for form in self.conventions.suggestions:
            rendered = form.render(values)
            if rendered is None:
                continue
            if "n" not in form.fields:
                yield rendered[0]
                continue
            yield from (f"{rendered[0]}{number}{rendered[1]}" for number in range(2, 1000))

    def _transferred(self, row: _Person, employer: _Organisation | None) -> bool:
        """Whether the current address names another employer than the row, and the policy answers with a new one.

        Evidence is the employer written in the ledger, else that the address ends with the address of another
        organisation of the register. Without evidence (an address of an earlier system) nothing is changed.
        """
        current = self.ledger.current.get(row.code)
        if not current or employer is None or self.conventions.transfer["address"] != "new":
            return False
        organisations = self.rows.organisations
        issued_to = organisations.get(self.ledger.employer[row.code])
        pattern = self.conventions.person
        if issued_to is None and pattern and pattern.parts[-1][1] == "organisation" and pattern.parts[-1][0]:
            _, separator, suffix = current.partition(pattern.parts[-1][0])
            issued_to = organisations.get(self.ledger.owner.get(suffix, "")) if separator else None
        before = self.employer(issued_to)
        return before is not None and before.code != employer.code


def _parents_first(organisations: Iterable[_Organisation]) -> Iterator[_Organisation]:
    """By date of registration, then code; a child directly becomes due when its parent has had its turn."""
    children: dict[str, list[_Organisation]] = {}
    due: list[tuple[bool, str, str, _Organisation]] = []
    for row in organisations:
        if row.parent_row is None:
            due.append((not row.registered, row.registered, row.code, row))
        else:
            children.setdefault(row.parent_row.code, []).append(row)
    heapq.heapify(due)
    while due:
        row = heapq.heappop(due)[-1]
        yield row
        for child in children.get(row.code, ()):
            heapq.heappush(due, (not child.registered, child.registered, child.code, child))


def allocate(roster: Mapping[str, Any], naming: Mapping[str, Any], issued: Iterable[Mapping[str, Any]] = ()
             ) -> list[dict[str, Any]]:
    """Give every row of a register its address.

    ``roster``: ``{"organisations": [...], "people": [...]}`` with the columns of the register; ``naming``:
    ``mail_policy.naming``; ``issued``: ``[{code, local_part, current, since, until}]``, every address ever given out
    (a row may name the ``organisation`` the person had then; it is the best evidence of a transfer).

    Returns one dictionary a row, in the order in which addresses are given out: ``code``, ``table``
    (``organisations | people``), ``local_part``, ``status`` (``issued | assigned | needs_decision``), ``suggestion``,
    ``clause``, ``reason`` (Vietnamese), ``aliases`` (further addresses the policy prints for it), ``previous``,
    ``previous_use`` (``alias | closed``) and ``previous_months`` of the address this one replaces, ``warning``.

    :class:`NamingError` lists everything wrong in ``naming``; :class:`RosterError` every bad row.
    """
    rows = _Rows(Conventions.load(naming))
    rows.read_issued(issued or ())
    rows.read_organisations(roster.get("organisations") or ())
    rows.read_people(roster.get("people") or ())
    if rows.problems:
        raise RosterError(rows.problems)
    office = _Office(rows)
    entries = office.run()
    if office.problems:
        raise RosterError(office.problems)
    return entries
