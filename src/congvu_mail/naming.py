"""Addresses for the rows of a register by a province's conventions.

One pass in the order in which addresses are given out; the result depends on nothing but the rows, the conventions and
the ledger of issued addresses. There is no province in this module.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from congvu_mail import names
from congvu_mail.conventions import MAX_LOCAL_PART, TERRITORIES, Fixed, Kind, check_naming, valid_local_part
from congvu_mail.names import Word
from congvu_mail.roster import Organisation, Person, Problem, RosterError, Rows, person_values, read_rows

__all__ = ["allocate", "check_naming", "stem", "stems"]


class _Office:
    """Gives out the addresses, one row after the other."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.conventions = rows.conventions
        self.ledger = rows.ledger
        self.problems: list[Problem] = []
        # An address the text prints is kept for the organisation it is printed for.
        self.printed = {
            local_part: found
            for listed in self.conventions.exceptions.values()
            for found in listed
            for local_part in (found.local_part, *found.aliases)
        }
        self.address: dict[str, str] = {}  # of the organisations that have had their turn
        self.undecided: list[tuple[dict[str, Any], Iterable[str]]] = []

    def run(self) -> list[dict[str, Any]]:
        """The entries of all rows, in the order in which addresses are given out."""
        entries = []
        for row in _parents_first(self.rows.organisations.values()):
            entry = self.organisation(row)
            self.address[row.code] = entry["local_part"]
            entries.append(entry)
        by_rank = self.conventions.by_rank
        entries += [
            self.person(row)
            for row in sorted(
                self.rows.people.values(),
                key=lambda row: (row.rank if by_rank else 0, not row.registered, row.registered, row.code),
            )
        ]
        self.suggest()
        return entries

    def entry(self, table: str, code: str) -> dict[str, Any]:
        """An entry nothing is known of yet."""
        return {
            "code": code,
            "table": table,
            "local_part": "",
            "status": "needs_decision",
            "suggestion": "",
            "clause": "",
            "reason": "",
            "aliases": [],
            "previous": "",
            "previous_use": "",
            "previous_months": None,
            "warning": "",
        }

    def free(self, local_part: str, code: str, exception: Fixed | None = None) -> bool:
        """Whether an address can be given to this code: nobody else ever had it, and it is not printed for another body."""
        return self.ledger.owner.get(local_part, code) == code and self.printed.get(local_part, exception) is exception

    def assign(self, entry: dict[str, Any], local_part: str, clause: str, reason: str) -> dict[str, Any]:
        """Give an address out."""
        self.ledger.take(local_part, entry["code"])
        entry.update(local_part=local_part, status="assigned", clause=clause, reason=reason)
        caution = self.conventions.caution.intersection(re.split(r"[._-]|\d+", local_part))
        if caution and entry["table"] == "people":
            entry["warning"] = f"“{min(caution)}” có thể gây hiểu lầm; nếu cần, đề nghị địa chỉ khác bằng cột local_part và basis"
            entry["reason"] += f" Lưu ý: {entry['warning']}."
        return entry

    def undecide(self, entry: dict[str, Any], clause: str, reason: str, proposals: Iterable[str] = ()) -> dict[str, Any]:
        """Leave a row to a decision; what to propose is worked out in the end."""
        entry.update(clause=clause, reason=reason)
        self.undecided.append((entry, proposals))
        return entry

    def suggest(self) -> None:
        """Propose free addresses once every address of this run is known; no two rows get the same proposal."""
        proposed: set[str] = set()
        for entry, proposals in self.undecided:
            for local_part in proposals:
                if (
                    valid_local_part(local_part)
                    and local_part not in self.ledger.owner
                    and local_part not in proposed
                    and local_part not in self.printed
                    and local_part not in self.conventions.reserved
                ):
                    proposed.add(local_part)
                    entry["suggestion"] = local_part
                    break

    def keep_or_replace(self, entry: dict[str, Any], row: Organisation | Person, clause: str, moved: bool = False) -> bool:
        """Answer rows that have an address, or are given one by a document; False for the others, and for who moved on."""
        code = entry["code"]
        current = self.ledger.current.get(code, "")
        if row.local_part and row.local_part != current:
            self.assign(entry, row.local_part, clause, f"Địa chỉ chỉ định theo {row.basis}.")
            if current:
                self._replace(entry, current, self.conventions.transfer if moved else self.conventions.rename)
            return True
        if not current or (moved and not row.local_part):
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

    def organisation(self, row: Organisation) -> dict[str, Any]:
        """The entry of an organisation: kept, by document, by exception, by rule, or left to a decision."""
        entry = self.entry("organisations", row.code)
        exception = self._exception(row)
        convention = self.conventions.kinds[self._convention(row)]
        clause = (exception.clause if exception else "") or (convention.clause if convention else "")
        if exception:
            entry["aliases"] = [alias for alias in exception.aliases if self.free(alias, row.code, exception)]
        if self.keep_or_replace(entry, row, clause):
            self._reserve_aliases(entry)
            return entry
        if row.gone:
            return self.undecide(entry, clause, "Cơ quan, đơn vị đã giải thể: không cấp địa chỉ mới.")
        if exception:
            if self.free(exception.local_part, row.code, exception):
                how = {
                    "fixed": "Quy chế ấn định địa chỉ này.",
                    "example": "Địa chỉ được ghi trong ví dụ của Quy chế.",
                    "service": "Hộp thư phục vụ hệ thống theo Quy chế.",
                }
                self.assign(entry, exception.local_part, clause, how.get(exception.ground, "Ngoại lệ ghi trong chính sách."))
                self._reserve_aliases(entry)
                return entry
            entry["aliases"] = []
            reason = f"“{exception.local_part}” {self._holder(exception.local_part)}: cần quyết định."
            return self.undecide(entry, clause, reason)
        return self._by_rule(entry, row, convention, clause)

    def _reserve_aliases(self, entry: dict[str, Any]) -> None:
        for alias in entry["aliases"]:
            self.ledger.take(alias, entry["code"])

    def _by_rule(self, entry: dict[str, Any], row: Organisation, convention: Kind | None, clause: str) -> dict[str, Any]:
        if convention is None:
            return self.undecide(entry, clause, "Quy chế không có quy tắc cho loại cơ quan, đơn vị này: cần quyết định.")
        parent = row.parent_row
        values = self._organisation_values(row, convention)
        if convention.pattern is None or any(f"{row.key} ".startswith(f"{key} ") for key in convention.by_decision):
            return self.undecide(
                entry,
                clause,
                "Quy chế để đơn vị vận hành đặt địa chỉ cho cơ quan này: cần quyết định.",
                self._proposals(row, convention, values),
            )
        if "parent" in convention.pattern.fields:
            if parent is None:
                return self.undecide(entry, clause, "Quy tắc cần cơ quan cấp trên, nhưng cột parent để trống.")
            if convention.parents and parent.kind not in convention.parents:
                return self.undecide(entry, clause, f"Quy tắc không áp dụng cho đơn vị trực thuộc loại “{parent.kind}”.")
            if values["parent"] is None:
                return self.undecide(entry, clause, f"Cơ quan cấp trên “{parent.code}” chưa có địa chỉ.")
        rendered = convention.pattern.render(values)
        if rendered is None:
            return self.undecide(
                entry,
                clause,
                "Tên không bắt đầu bằng một loại hình tổ chức đã biết: cần quyết định.",
                self._proposals(row, convention, values),
            )
        local_part = rendered[0]
        if not valid_local_part(local_part):
            return self.undecide(entry, clause, f"“{local_part}” dài quá {MAX_LOCAL_PART} ký tự (RFC 5321).")
        if local_part in self.conventions.reserved:
            self.problems.append(
                Problem(
                    "organisations",
                    row.row,
                    row.code,
                    "name",
                    local_part,
                    "quy tắc cho ra một địa chỉ dành riêng của hệ thống",
                    "ghi địa chỉ khác vào cột local_part và căn cứ vào cột basis",
                )
            )
            return entry
        if self.free(local_part, row.code):
            return self.assign(entry, local_part, clause, "Đặt theo quy tắc của Quy chế.")
        return self.undecide(
            entry,
            self.conventions.organisation_collision_clause or clause,
            f"“{local_part}” {self._holder(local_part)}: cần quyết định.",
            self._proposals(row, convention, values),
        )

    def _holder(self, local_part: str) -> str:
        owner = self.ledger.owner.get(local_part)
        return f"đã thuộc về mã “{owner}”" if owner else "được Quy chế dành cho cơ quan khác"

    def _convention(self, row: Organisation) -> str:
        if row.kind != "division":
            return row.kind
        node = row.parent_row
        while node and node.kind == "division":
            node = node.parent_row
        return "division_of_territory" if node and node.kind in TERRITORIES else "division_of_agency"

    def _exception(self, row: Organisation) -> Fixed | None:
        for found in self.conventions.exceptions.get(f"{row.kind} {row.key}", ()):
            if not found.parents or (row.parent_row and found.parents & self._names(row.parent_row)):
                return found
        return None

    def _names(self, row: Organisation) -> frozenset[str]:
        """Every name the policy knows the organisation by."""
        exception = self._exception(row)
        return exception.keys | {row.key} if exception else frozenset((row.key,))

    def _parts(self, row: Organisation) -> tuple[tuple[Word, ...], tuple[str, ...], tuple[Word, ...]]:
        """The words of a name, its class (syllables; empty when it has none that is known) and its words without the class."""
        if row.kind in TERRITORIES:
            return names.without_committee(row.words), *names.territory(row.words)
        words = names.spelled_out(row.words)
        return words, *names.strip_head(words, self.conventions.class_words)

    def _organisation_values(self, row: Organisation, convention: Kind) -> dict[str, str | None]:
        words, words_of_class, proper = self._parts(row)
        name = "".join(word.folded for word in proper)
        if row.kind in TERRITORIES and names.is_number(proper):
            name = "".join(words_of_class) + name
        _, counted = names.strip_head(words, convention.without)
        return {
            "initials": "".join(word.initial for word in counted or words),
            "name": name or None,
            "class": "".join(words_of_class) or None,
            "name_initials": "".join(word.initial for word in proper),
            "parent": self.address[row.parent_row.code] or None if row.parent_row else None,
        }

    def _proposals(self, row: Organisation, convention: Kind, values: dict[str, str | None]) -> Iterator[str]:
        """What the rule gives, the same with the name in full after its class or first word, then with numbers."""
        pattern = convention.pattern or convention.suggestion
        if pattern is None:
            return
        words, words_of_class, proper = self._parts(row)
        head = "".join(word[0] for word in words_of_class) or words[0].initial
        rest = "".join(word.folded for word in (proper if words_of_class else words[1:]))
        values = {**values, "class": values["class"] or ""}
        forms = [values, {**values, "initials": head + rest, "name": head + rest, "name_initials": rest}]
        for number in range(2, 100):
            forms.append({**values, **{key: f"{values[key]}{number}" for key in ("initials", "name", "name_initials")}})
        for form in forms:
            rendered = pattern.render(form)
            if rendered:
                yield rendered[0]

    # --- people

    def employer(self, organisation: Organisation | None) -> Organisation | None:
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

    def person(self, row: Person) -> dict[str, Any]:
        """The entry of a person: kept, by document, by the first form that is free, or left to a decision."""
        conventions = self.conventions
        entry = self.entry("people", row.code)
        clause = conventions.person_clause
        employer = self.employer(self.rows.organisations.get(row.organisation))
        moved = not row.gone and self._transferred(row, employer)
        if self.keep_or_replace(entry, row, clause, moved):
            return entry
        if row.gone:
            return self.undecide(entry, clause, "Người này đã thôi việc, nghỉ hưu hoặc chuyển đi: không cấp địa chỉ mới.")
        values = person_values(row, self.address[employer.code] or None if employer else None)
        self._first_free(entry, row, values)
        if moved:
            entry["reason"] = f"Chuyển công tác ({conventions.transfer_clause}). " + entry["reason"]
            if entry["status"] == "assigned":
                self._replace(entry, self.ledger.current[row.code], conventions.transfer)
        return entry

    def _first_free(self, entry: dict[str, Any], row: Person, values: dict[str, str | None]) -> dict[str, Any]:
        conventions = self.conventions
        pattern = conventions.person
        assert pattern
        rendered = pattern.render(values)
        if rendered is None:
            reason = (
                "Cơ quan công tác chưa có địa chỉ."
                if row.organisation
                else "Quy tắc cần cơ quan công tác, nhưng cột organisation để trống."
            )
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
                return self.assign(
                    entry,
                    local_part,
                    conventions.collision_clause or conventions.person_clause,
                    f"“{plain}” {self._holder(plain)}; dùng dạng tiếp theo của Quy chế.",
                )
        if not valid_local_part(plain):
            reason = f"“{plain}” dài quá {MAX_LOCAL_PART} ký tự (RFC 5321): cần quyết định."
        else:
            reason = f"“{plain}” {self._holder(plain)}" + (
                " và Quy chế không còn dạng nào khác: cần quyết định."
                if conventions.forms
                else "; Quy chế giao quyết định từng trường hợp trùng."
            )
            if missing & {"yy", "yyyy"}:
                reason += " Nếu biết năm sinh, ghi vào cột birth_date."
            if "organisation" in missing:
                reason += " Cơ quan công tác chưa có địa chỉ."
        return self.undecide(entry, conventions.collision_clause or conventions.person_clause, reason, self._personal_proposals(values))

    def _personal_proposals(self, values: dict[str, str | None]) -> Iterator[str]:
        for form in self.conventions.suggestions:
            rendered = form.render(values)
            if rendered is None:
                continue
            if "n" not in form.fields:
                yield rendered[0]
                continue
            yield from (f"{rendered[0]}{number}{rendered[1]}" for number in range(2, 1000))

    def _transferred(self, row: Person, employer: Organisation | None) -> bool:
        """Whether the current address names another employer than the row, and the policy answers with a new one.

        Evidence is the employer written in the ledger, else that the address ends with the address of another
        organisation. Without evidence (an address of an earlier system) nothing is changed.
        """
        current = self.ledger.current.get(row.code)
        pattern = self.conventions.person
        if not current or not employer or not pattern or self.conventions.transfer["address"] != "new":
            return False
        organisations = self.rows.organisations
        before = self.ledger.employer[row.code]
        separator, last = pattern.parts[-1]
        if not before and last == "organisation" and separator:
            suffix = current.partition(separator)[2]
            before = self.ledger.owner.get(suffix, "")
            if before not in organisations:  # of an organisation that is gone, if the rest is the rule's as well
                rendered = pattern.render(person_values(row, suffix))
                before = before if rendered and stem(rendered[0]) == stem(current) else ""
        if before in organisations:
            earlier = self.employer(organisations[before])
            return earlier is not None and earlier.code != employer.code
        return bool(before)


def _parents_first(organisations: Iterable[Organisation]) -> Iterator[Organisation]:
    """By date of registration, then code; a child directly becomes due when its parent has had its turn."""
    children: dict[str, list[Organisation]] = {}
    due: list[tuple[bool, str, str, Organisation]] = []
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


def allocate(roster: Mapping[str, Any], naming: Mapping[str, Any], issued: Iterable[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
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
    rows = read_rows(roster, naming, issued)
    if rows.problems:
        raise RosterError(rows.problems)
    office = _Office(rows)
    entries = office.run()
    if office.problems:
        raise RosterError(office.problems)
    return entries


def stem(local_part: str) -> str:
    """A local part without its digits: what the ordinals and years of one form have in common."""
    return re.sub(r"\d+", "", local_part)


def stems(roster: Mapping[str, Any], naming: Mapping[str, Any]) -> dict[str, set[str]]:
    """For every row the stems of the addresses the conventions could ever give it; to recognise existing addresses."""
    rows = read_rows(roster, naming)
    if rows.problems:
        raise RosterError(rows.problems)
    office = _Office(rows)
    found = {entry["code"]: {stem(entry["local_part"] or entry["suggestion"])} - {""} for entry in office.run()}
    patterns = (rows.conventions.person, *rows.conventions.forms)
    for person in rows.people.values():
        employer = office.employer(rows.organisations.get(person.organisation))
        values = person_values(person, office.address[employer.code] or None if employer else None)
        rendered = [pattern.render(values) for pattern in patterns if pattern]
        found[person.code] |= {stem("".join(parts)) for parts in rendered if parts}
    return found
