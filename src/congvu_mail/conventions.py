"""The address conventions of a province: ``mail_policy.naming``, checked and taken apart.

The conventions and all exceptions are data. An address is built from a *pattern*, a text with fields in braces, in the
way regulations print it: ``{initials}.{parent}``.

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
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from congvu_mail import names
from congvu_mail.cells import text
from congvu_mail.names import NotAName

KINDS = (
    "province_agency",
    "subordinate",
    "division",
    "district",
    "commune",
    "party",
    "mass_org",
    "central",
    "enterprise",
    "service",
)
TERRITORIES = ("district", "commune")
# One convention for each kind of organisation; a division is named differently in an agency and in a territory.
CONVENTIONS = (
    "province_agency",
    "subordinate",
    "division_of_agency",
    "division_of_territory",
    "district",
    "commune",
    "party",
    "mass_org",
    "central",
    "enterprise",
    "service",
)

MAX_LOCAL_PART = 64  # RFC 5321, 4.5.3.1.1
_LOCAL_PART = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*\Z")

_ORGANISATION_FIELDS = frozenset(("initials", "name", "class", "name_initials", "parent"))
_PERSON_FIELDS = frozenset(
    ("full", "surname", "middle", "given", "surname_initials", "middle_initials", "initials", "organisation", "yy", "yyyy")
)


class NamingError(ValueError):
    """``mail_policy.naming`` cannot be used; the text shows every problem one a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("Quy tắc đặt tên (naming) có lỗi:\n" + "\n".join(self.problems))


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
class Kind:
    """How the address of one kind of organisation is made; ``pattern`` is None where it is set by decision."""

    pattern: Pattern | None
    suggestion: Pattern | None
    without: tuple[tuple[str, ...], ...]
    by_decision: tuple[str, ...]
    parents: tuple[str, ...]
    clause: str


@dataclass(frozen=True, slots=True)
class Fixed:
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

    def leaf(self, tree: Any, path: str, optional: bool = False, within: str = "") -> tuple[Any, str]:
        """(value, clause) of a leaf; (None, "") when it is missing or broken."""
        node = tree
        for key in path.split("."):
            node = node.get(key) if isinstance(node, Mapping) else None
        if node is None and optional:
            return None, ""
        if not isinstance(node, Mapping) or "basis" not in node or "value" not in node:
            self.wrong(within + path, "thiếu, hoặc không phải là mục có value và basis")
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
_TOP = (
    "abbreviation",
    "class_words",
    "organisation",
    "employer",
    "person",
    "collision",
    "change",
    "reserved",
    "caution",
    "exceptions",
)


@dataclass(slots=True)
class Conventions:
    """``mail_policy.naming``, checked and taken apart."""

    drop: tuple[str, ...] = ()
    acronyms: tuple[str, ...] = ()
    class_words: tuple[tuple[str, ...], ...] = ()
    kinds: dict[str, Kind | None] = field(default_factory=dict)
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
    exceptions: dict[str, list[Fixed]] = field(default_factory=dict)

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
        self.class_words = heads(check.texts(value, "class_words.value"))

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
            self.kinds[kind] = Kind(
                check.pattern(value.get("pattern"), path + ".value.pattern", _ORGANISATION_FIELDS),
                check.pattern(value.get("suggestion"), path + ".value.suggestion", _ORGANISATION_FIELDS),
                heads(check.texts(value.get("without"), path + ".value.without")),
                self._keys(kind, check.texts(value.get("by_decision"), path + ".value.by_decision"), check, path),
                check.texts(value.get("parents"), path + ".value.parents", KINDS),
                clause,
            )

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
                value, _ = check.leaf(item, "source", within=path + ".")
                check.choice(value, path + ".source.value", ("fixed", "example", "analogy", "service"))
            source = source if isinstance(source, Mapping) else {}
            try:
                known = [item.get("name"), *check.texts(item.get("other_names"), path + ".other_names")]
                found = Fixed(
                    kind,
                    frozenset(self.key(kind, name) for name in known),
                    frozenset(self.key(k, item["parent"]) for k in KINDS) if item.get("parent") else frozenset(),
                    str(local_parts[0]),
                    tuple(map(str, local_parts[1:])),
                    text(source.get("clause")),
                    text(source.get("value")),
                )
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


def heads(words: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names.fold(word).split()) for word in words)


def check_naming(naming: Mapping[str, Any]) -> list[str]:
    """Everything wrong in ``mail_policy.naming``, one Vietnamese sentence each; an empty list when it can be used.

    Names of keys, fields of patterns, kinds, exceptions and their ``source`` are checked; the provenance of the
    leaves (clause, quote, bound) is checked with that of the rest of the policy.
    """
    return Conventions._read(naming, provenance=True)[1]


def valid_local_part(value: str) -> bool:
    """Whether ``value`` may be given out: lower-case ASCII, parts joined by ``. _ -``, at most 64 octets."""
    return len(value) <= MAX_LOCAL_PART and bool(_LOCAL_PART.match(value))
