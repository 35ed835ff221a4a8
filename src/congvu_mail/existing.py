"""Accounts of an existing mail system as a ledger: ``python -m congvu_mail.existing``.

Reads what the old system exports (LDIF, a CSV of Zimbra or MDaemon, or a plain list of addresses), finds the row of the
register each account belongs to, and writes ``issued.csv``, so that everybody keeps the address he has. An account is
taken as matched when its name, or without a name its address, leads to one row and that row to no other account.
Everything else is listed in a file of decisions; as long as one is open, the ledger is not written. Accounts of nobody
in the register are recorded as well: an address ever given out is never given to someone else.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from congvu_mail import cells, names, registers
from congvu_mail.cells import text
from congvu_mail.conventions import NamingError
from congvu_mail.naming import stem, stems
from congvu_mail.roster import DOT_STRING, RosterError, read_rows

DECISIONS = ("address", "name", "organisation", "candidates", "reason", "decision")
NOBODY = "-"
_OTHER_NAME = "địa chỉ đúng quy tắc của dòng này nhưng tên khác"

# Attributes of LDIF and columns of CSV exports, in small letters without separators; the first that has a value counts.
_FIELDS = {
    "address": ("zimbramaildeliveryaddress", "mail", "email", "emailaddress", "address", "mailbox", "account", "username", "uid", "name"),
    "name": ("displayname", "fullname", "realname", "hovaten", "hoten", "cn"),
    "aliases": ("zimbramailalias", "mailalternateaddress", "maillocaladdress", "aliases", "alias"),
    "class": ("objectclass",),
    "organisation": ("company", "department", "organization", "organisation", "coquan", "donvi", "ou", "o"),
    "domain": ("domain",),
    "created": ("zimbracreatetimestamp", "createtimestamp", "created"),
    "status": ("zimbraaccountstatus", "accountstatus", "status"),
}
_GENERALIZED_TIME = re.compile(r"(\d{4})(\d{2})(\d{2})\d*(?:\.\d+)?Z?\Z")


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the old system."""

    line: int
    local_part: str
    aliases: tuple[str, ...]
    name: str
    organisation: str
    since: str
    closed: bool


class ExportError(ValueError):
    """The export cannot be read; the message is Vietnamese and names the line."""


# --- reading exports --------------------------------------------------------------------------------------------------


def read_export(path: str | Path, domain: str) -> tuple[list[Account], list[str]]:
    """The accounts of an export in ``domain``, and Vietnamese remarks on what was left out."""
    raw = Path(path).read_bytes()
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ExportError(f"{path}, dòng {line}: không phải UTF-8. Cách sửa: xuất lại dạng UTF-8.") from None
    records = list(_records(content, str(path)))
    accounts: dict[str, Account] = {}
    remarks = []
    for line, record in records:
        account = _account(line, record, domain)
        if isinstance(account, str):
            remarks.append(f"Bỏ qua dòng {line}: {account}")
        elif account.local_part in accounts:
            remarks.append(f"Bỏ qua dòng {line}: {account.local_part} đã có ở dòng {accounts[account.local_part].line}")
        else:
            accounts[account.local_part] = account
    return list(accounts.values()), remarks


def _records(content: str, path: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """(line, values by field) of every record, whatever the format."""
    first = next((line for line in content.splitlines() if line.strip()), "")
    if re.match(r"(dn|version|#)\s*:?", first, re.IGNORECASE) and re.search(r"^(dn::?|# name) ", content, re.MULTILINE):
        yield from _ldif(content)
        return
    try:
        delimiter = max(",;\t", key=first.count)
        header = [_plain(cell) for cell in next(csv.reader([first], delimiter=delimiter, skipinitialspace=True))]
        known = {synonym for synonyms in _FIELDS.values() for synonym in synonyms}
        has_header = "@" not in first and bool(set(header) & known)
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if has_header and [_plain(cell) for cell in row] == header:
                continue
            columns = header if has_header else ["mail", "displayname"]
            yield reader.line_num, _gathered(zip(columns, row, strict=False))
    except csv.Error as error:
        raise ExportError(f"{path}: không đọc được như CSV ({error}). Cách sửa: xuất lại dạng CSV UTF-8.") from None


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", names.fold(column))


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = defaultdict(list)
    for column, value in pairs:
        if text(value):
            values[column].append(text(value))
    return values


def _ldif(content: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Records of RFC 2849: folded lines, base64 values, comments; also as `zmprov -l gaa -v` prints them (`# name ADDRESS` for a dn)."""
    pairs: list[tuple[str, str]] = []
    begin = 0
    lines = content.replace("\r\n", "\n").split("\n")
    number = 0
    while number < len(lines):
        line, here = lines[number], number + 1
        number += 1
        while number < len(lines) and lines[number].startswith(" "):
            line += lines[number][1:]
            number += 1
        if not line.strip():
            if pairs:
                yield begin, _gathered(pairs)
            pairs = []
        elif line.startswith("# name "):
            begin = begin if pairs else here
            pairs.append(("zimbramaildeliveryaddress", line.removeprefix("# name ")))
        elif not line.startswith("#") and ":" in line:
            attribute, _, value = line.partition(":")
            if value.startswith(":"):
                try:
                    value = base64.b64decode(value[1:].strip(), validate=True).decode()
                except ValueError:
                    raise ExportError(f"dòng {here}: giá trị base64 của {attribute} hỏng") from None
            begin = begin if pairs else here
            pairs.append((_plain(attribute.partition(";")[0]), value))
    if pairs:
        yield begin, _gathered(pairs)


def _account(line: int, record: Mapping[str, list[str]], domain: str) -> Account | str:
    """The account in a record, or why there is none."""
    found = {field: next((record[column] for column in columns if record.get(column)), []) for field, columns in _FIELDS.items()}
    if "zimbraalias" in map(str.lower, found["class"]):
        return "là bí danh; tài khoản của nó đã ghi ở zimbraMailAlias"
    if not found["address"]:
        return "không có địa chỉ"
    own_domain = found["domain"][0].lower() if found["domain"] else domain
    addresses = []
    # The address of delivery may be one within the old system; what stands in mail belongs to the account as well.
    for value in (
        *found["address"],
        *record.get("mail", ()),
        *(part for alias in found["aliases"] for part in re.split(r"[\s,;]+", alias)),
    ):
        local_part, _, at = value.lower().rpartition("@") if "@" in value else (value.lower(), "", own_domain)
        if at == domain and local_part not in addresses:
            addresses.append(local_part)
    if not addresses:
        return f"{found['address'][0]} không thuộc tên miền {domain}"
    wrong = [local_part for local_part in addresses if not DOT_STRING.match(local_part) or len(local_part) > 64]
    if wrong:
        return f"“{wrong[0]}” không phải là phần trước @ hợp lệ"
    created = _GENERALIZED_TIME.match(found["created"][0]) if found["created"] else None
    return Account(
        line,
        addresses[0],
        tuple(addresses[1:]),
        found["name"][0] if found["name"] else "",
        found["organisation"][0] if found["organisation"] else "",
        "-".join(created.groups()) if created else "",
        bool(found["status"]) and found["status"][0].lower() == "closed",
    )


# --- matching ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Match:
    """What is known of an account: the codes it may belong to, and why it is doubtful (empty: certain)."""

    account: Account
    candidates: tuple[str, ...]
    doubt: str


def match(accounts: Sequence[Account], register: registers.Registers, naming: Mapping[str, Any]) -> list[Match]:
    """Find the row of the register for each account."""
    rows = read_rows(register.roster, naming)
    by_name: dict[str, set[str]] = defaultdict(set)
    for person in rows.people.values():
        by_name[" ".join(person.name.written)].add(person.code)
    for organisation in rows.organisations.values():
        by_name[organisation.key].add(organisation.code)
    by_stem: dict[str, set[str]] = defaultdict(set)
    for code, found in stems(register.roster, naming).items():
        for shape in found:
            by_stem[shape].add(code)
    employers = {person.code: person.organisation for person in rows.people.values()}

    matches = []
    for account in accounts:
        same_name = set().union(*(by_name.get(key, set()) for key in _keys(account.name, rows.conventions)))
        fitting = by_stem.get(stem(account.local_part), set())
        candidates = same_name & fitting or same_name
        doubt = ""
        if account.name and not same_name and fitting:
            candidates, doubt = fitting, _OTHER_NAME
        elif not account.name:
            candidates = fitting
        if len(candidates) > 1:
            doubt = "nhiều dòng trong sổ có cùng tên hoặc cùng địa chỉ theo quy tắc"
        elif candidates and account.organisation and not doubt:
            employer = rows.organisations.get(employers.get(next(iter(candidates)), ""))
            if employer and employer.key not in _keys(account.organisation, rows.conventions):
                doubt = "cơ quan ghi ở tài khoản khác với sổ đăng ký"
        matches.append(Match(account, tuple(sorted(candidates)), doubt))
    claims: dict[str, int] = defaultdict(int)
    for one in matches:
        for code in one.candidates if one.doubt != _OTHER_NAME else ():
            claims[code] += 1
    return [
        Match(one.account, one.candidates, one.doubt or "nhiều tài khoản cùng khớp một dòng trong sổ")
        if any(claims[code] > 1 for code in one.candidates)
        else one
        for one in matches
    ]


def _keys(name: str, conventions: Any) -> set[str]:
    """The keys under which a name may stand in the register, as a person's and as an organisation's."""
    keys: set[str] = set()
    for make in (
        lambda: " ".join(names.person(name).written),
        lambda: conventions.key("province_agency", name),
        lambda: conventions.key("commune", name),
    ):
        try:
            keys.add(make())
        except names.NotAName:
            continue
    return keys


# --- the ledger -------------------------------------------------------------------------------------------------------


def ledger(matches: Iterable[Match], decided: Mapping[str, str], register: registers.Registers) -> tuple[list[dict[str, str]], list[Match]]:
    """The ledger with the accounts added, and the matches that still need a decision."""
    rows = {row["local_part"].lower(): dict(row) for row in register.issued.rows}
    current = {row["code"] for row in rows.values() if cells.truth(row["current"], default=True)}
    employers = {row["code"]: row["organisation"] for row in register.people.rows}
    open_matches = []
    for one in matches:
        account = one.account
        if account.local_part in rows:
            continue
        code = decided.get(account.local_part, "")
        if not code:
            if one.doubt:
                open_matches.append(one)
                continue
            code = one.candidates[0] if one.candidates else NOBODY
        known = code != NOBODY
        code = code if known else f"CU-{account.local_part}"  # nobody's: reserved under a code of its own
        live = known and not account.closed and code not in current
        if live:
            current.add(code)
        for local_part in (account.local_part, *account.aliases):
            rows.setdefault(
                local_part,
                {
                    "code": code,
                    "local_part": local_part,
                    "since": account.since,
                    "until": "",
                    "current": "true" if live and local_part == account.local_part else "false",
                    "organisation": employers.get(code, ""),
                },
            )
    return list(rows.values()), open_matches


def read_decisions(path: Path, codes: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a file of decisions that are decided; `decision` is a code of the register, or ``-`` for nobody."""
    if not path.exists():
        return []
    known = {*codes, NOBODY}
    decided, wrong = [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter=";" if header.count(";") > header.count(",") else ",")
        for row in reader:
            decision = text(row.get("decision"))
            if decision and decision not in known:
                wrong.append(
                    f"{path}, dòng {reader.line_num}, cột decision, giá trị “{decision}”: không có mã này."
                    f" Cách sửa: ghi một mã của sổ đăng ký, hoặc {NOBODY}."
                )
            elif decision:
                decided.append({column: text(row.get(column)) for column in DECISIONS})
    if wrong:
        raise ExportError("\n".join(wrong))
    return decided


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 0: ledger written, 1: something cannot be read, 2: decisions are open."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.existing", description="Nhập địa chỉ của hệ thống thư đang có")
    parser.add_argument("export", help="tệp của hệ thống cũ: LDIF, zmprov -l gaa -v, CSV của Zimbra hoặc MDaemon, danh sách địa chỉ")
    parser.add_argument("--domain", required=True, help="tên miền thư; địa chỉ của tên miền khác được bỏ qua")
    parser.add_argument("--register", required=True, help="thư mục sổ đăng ký")
    parser.add_argument("--policy", required=True, help="policy.yml của tỉnh")
    parser.add_argument("--decisions", required=True, help="tệp CSV các tài khoản cần quyết định; được đọc lại ở lần chạy sau")
    parser.add_argument("--output", help="issued.csv ghi ra (mặc định: trong thư mục sổ đăng ký)")
    given = parser.parse_args(arguments)
    try:
        naming = yaml.safe_load(Path(given.policy).read_text(encoding="utf-8"))["mail_policy"]["naming"]
        register = registers.read(given.register, naming)
        accounts, remarks = read_export(given.export, given.domain.lower())
        source = {row["code"]: row for row in (*register.organisations.rows, *register.people.rows)}
        decided = read_decisions(Path(given.decisions), source)
        codes = {row["address"].lower().partition("@")[0]: row["decision"] for row in decided}
        rows, open_matches = ledger(match(accounts, register, naming), codes, register)
        problems = read_rows(register.roster, naming, rows).problems
        if problems:
            raise RosterError(problems)
    except (ExportError, RosterError, NamingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for remark in remarks:
        print(remark)
    print(f"Tài khoản: {len(accounts)}; địa chỉ trong sổ địa chỉ đã cấp: {len(rows)}; cần quyết định: {len(open_matches)}")
    if open_matches:
        listed = [_decision(one, given.domain, source) for one in open_matches]
        registers.write_csv(given.decisions, DECISIONS, [*decided, *listed])
        print(f"Ghi mã vào cột decision của {given.decisions} ({NOBODY}: không thuộc ai), rồi chạy lại. Chưa ghi issued.csv.")
        return 2
    output = given.output or str(Path(given.register) / "issued.csv")
    columns = (*registers.COLUMNS["issued"], *register.issued.columns[len(registers.COLUMNS["issued"]) :])
    changed = registers.write_csv(output, columns, rows)
    print(f"{'Đã ghi' if changed else 'Không thay đổi'}: {output}")
    return 0


def _decision(one: Match, domain: str, source: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The row of the file of decisions for a doubtful match."""
    shown = [f"{code} {source[code].get('full_name') or source[code].get('name')}" for code in one.candidates]
    return {
        "address": f"{one.account.local_part}@{domain}",
        "name": one.account.name,
        "organisation": one.account.organisation,
        "candidates": "; ".join(shown),
        "reason": one.doubt,
        "decision": "",
    }


if __name__ == "__main__":
    sys.exit(main())
