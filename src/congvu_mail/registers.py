"""The registers of organisations, people, issued addresses and requests: reading, checking, recording.

A register is a folder with ``organisations.csv`` and ``people.csv``, and ``issued.csv`` and ``requests.csv`` where there
are any. They come from spreadsheets: UTF-8 with or without BOM, comma or semicolon, any line end, stray spaces, dates as
dd/mm/yyyy or ISO. Columns this module does not know are kept. Everything wrong is reported at once, with file, line,
column, value and remedy, in Vietnamese; the same checks hold for rows that come from elsewhere (``roster.py``).

Run as ``python -m congvu_mail.registers FOLDER [--policy policy.yml]`` it checks a register and says what is wrong.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import difflib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from congvu_mail import cells
from congvu_mail.cells import text
from congvu_mail.conventions import NamingError
from congvu_mail.months import add_months
from congvu_mail.roster import Problem, RosterError, read_rows
from congvu_mail.sizes import size_bytes

COLUMNS = {
    "organisations": (
        "code",
        "kind",
        "name",
        "parent",
        "registered",
        "category",
        "local_part",
        "basis",
        "head",
        "delegates",
        "phone",
        "fax",
        "quota",
        "quota_basis",
        "decision_number",
        "decision_date",
        "status",
        "note",
    ),
    "people": (
        "code",
        "person_id",
        "full_name",
        "surname",
        "middle",
        "given",
        "organisation",
        "birth_date",
        "title",
        "category",
        "rank",
        "registered",
        "account_class",
        "phone",
        "fax",
        "authorised",
        "quota",
        "quota_basis",
        "local_part",
        "basis",
        "decision_number",
        "decision_date",
        "status",
        "leave_until",
        "leave_reason",
    ),
    # organisation: whom the person worked for when the address was given out; the evidence of a later transfer
    "issued": ("code", "local_part", "current", "since", "until", "organisation"),
    # received: date of receipt; complete: date the information was complete; done: date it was carried out
    "requests": (
        "id",
        "received",
        "channel",
        "document_number",
        "document_date",
        "act",
        "code",
        "content",
        "complete",
        "done",
        "reply_number",
        "reply_date",
        "result",
        "note",
    ),
}
REQUIRED = {
    "organisations": ("code", "kind", "name"),
    "people": ("code", "full_name", "organisation"),
    "issued": ("code", "local_part"),
    "requests": ("id", "received", "act"),
}
ACCOUNT_CLASSES = ("user", "admin")
ACTS = ("create", "change", "reset", "suspend", "restore", "delete")
CHANNELS = ("document", "document_system", "organisation_mailbox", "signed_mail", "paper")
RESULTS = ("done", "refused")

_DATES = {
    "organisations": ("decision_date",),
    "people": ("decision_date", "leave_until"),
    "issued": (),
    "requests": ("received", "document_date", "complete", "done", "reply_date"),
}
_CHOICES = {
    "organisations": {},
    "people": {"account_class": ACCOUNT_CLASSES},
    "issued": {},
    "requests": {"act": ACTS, "channel": CHANNELS, "result": RESULTS},
}
_MAX_BYTES = 256 * 1024 * 1024
# The number of a document as Vietnam writes it: 12/QĐ-UBND, 162/2025/QĐ-UBND.
_DOCUMENT = re.compile(r"\d+\s*/\s*\S*[A-ZĐ]{2}")
_PHONE = re.compile(r"[0-9A-Za-z '()+,./:?-]+\Z")  # PrintableString, RFC 4517 3.3.31
_LIST = re.compile(r"[\s,;]+")


@dataclass(slots=True)
class Table:
    """One CSV file: its rows as text by column (known columns always present), and the line each begins on."""

    name: str
    path: Path
    columns: tuple[str, ...]
    rows: list[dict[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Registers:
    """The four tables of a register's folder."""

    organisations: Table
    people: Table
    issued: Table
    requests: Table

    @property
    def roster(self) -> dict[str, list[dict[str, str]]]:
        """The rows as :func:`congvu_mail.naming.allocate` takes them."""
        return {"organisations": self.organisations.rows, "people": self.people.rows}


def read(directory: str | Path, naming: Mapping[str, Any] | None = None, one_per_person: bool = False) -> Registers:
    """Read and check a register's folder.

    ``naming`` (``mail_policy.naming``) adds the checks of names, codes, parents and addresses; ``one_per_person``
    refuses two rows with one ``person_id``. :class:`~congvu_mail.roster.RosterError` lists every problem of all files.
    """
    folder = Path(directory)
    problems: list[Problem] = []
    if not folder.is_dir():
        raise RosterError([_file_problem("organisations", folder, "không có thư mục này", "sửa đường dẫn thư mục sổ đăng ký")])
    tables = {name: _read_table(name, folder / f"{name}.csv", problems) for name in COLUMNS}
    for table in tables.values():
        _check_cells(table, problems)
    registers = Registers(**tables)
    # Of a file that cannot be read everybody would be missing.
    if not any(problem.table == "people" and problem.row < 0 for problem in problems):
        _check_people(registers, one_per_person, problems)
    if naming is not None:
        try:
            found = read_rows(registers.roster, naming, registers.issued.rows).problems
        except RosterError as error:
            found = error.problems
        problems += [replace(problem, place=_place(tables[problem.table], problem.row)) for problem in found]
    if problems:
        order = list(COLUMNS)
        raise RosterError(sorted(problems, key=lambda problem: (order.index(problem.table), problem.row)))
    return registers


def _place(table: Table, row: int) -> str:
    return f"{table.path.name}, dòng {table.lines[row]}"


def _file_problem(name: str, path: Path, message: str, remedy: str, line: int = 0, value: str = "") -> Problem:
    place = f"{path.name}, dòng {line}" if line else str(path)
    return Problem(name, -1, "", "(cả tệp)" if not line else "(cả dòng)", value, message, remedy, place)


def _read_table(name: str, path: Path, problems: list[Problem]) -> Table:
    if not path.exists() and name not in ("organisations", "people"):
        return Table(name, path, COLUMNS[name])
    return read_table(name, path, COLUMNS[name], REQUIRED[name], problems)


def read_table(name: str, path: Path, columns: Sequence[str], required: Sequence[str], problems: list[Problem]) -> Table:
    """One CSV file as spreadsheets write them (UTF-8, with comma or semicolon); what is wrong with it is added to ``problems``."""
    table = Table(name, path, tuple(columns))
    if not path.is_file():
        problems.append(_file_problem(name, path, "không có tệp này", "thêm tệp, ít nhất có dòng tiêu đề"))
        return table
    content = _decoded(name, path, problems)
    if content is not None:
        _parse(table, required, content, problems)
    return table


def _decoded(name: str, path: Path, problems: list[Problem]) -> str | None:
    if path.stat().st_size > _MAX_BYTES:
        problems.append(_file_problem(name, path, "lớn quá 256 MiB, không phải sổ đăng ký", "kiểm tra lại tệp"))
        return None
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw:
        problems.append(
            _file_problem(name, path, "không phải văn bản UTF-8 (UTF-16 hoặc tệp nhị phân)", "trong bảng tính, lưu lại dạng “CSV UTF-8”")
        )
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(
            _file_problem(
                name,
                path,
                f"không phải UTF-8 (byte 0x{raw[error.start]:02X})",
                "chuyển từ bảng mã cũ (TCVN3, VNI, Windows-1258) sang Unicode, lưu dạng “CSV UTF-8”",
                line,
                raw[error.start : error.start + 20].decode("latin-1"),
            )
        )
        return None


def _header(columns: Sequence[str], content: str) -> tuple[str, int] | None:
    """Delimiter of the file and the number of lines before its header; None when there is no header."""
    for skipped, line in enumerate(content.splitlines()[:20]):
        if line.strip(" ,;\t") and not line.lower().startswith("sep="):
            counts = {
                delimiter: len({text(cell).lower() for cell in next(csv.reader([line[:10000]], delimiter=delimiter))} & set(columns))
                for delimiter in ",;"
            }
            best = max(counts, key=lambda delimiter: counts[delimiter])
            return (best, skipped) if counts[best] else None
    return None


def _parse(table: Table, required: Sequence[str], content: str, problems: list[Problem]) -> None:
    name, path, columns = table.name, table.path, table.columns
    found = _header(columns, content[:100000])
    if not found:
        shown = content[:60].splitlines()
        problems.append(
            _file_problem(
                name,
                path,
                f"không có dòng tiêu đề với các cột {', '.join(required)}",
                f"dòng đầu ghi tên cột; các cột: {', '.join(columns)}",
                1,
                shown[0] if shown else "",
            )
        )
        return
    delimiter, skipped = found
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    for _ in range(skipped):
        next(reader)
    (header_line, cells_of_header), *_ = [*islice(_records(reader, table, content, problems), 1), (0, [])]
    header = [text(cell).lower() for cell in cells_of_header]
    if not header_line:
        return
    wrong = [f"thiếu cột {column}" for column in required if column not in header]
    wrong += [f"cột {column} ghi hai lần" for column in sorted({c for c in header if c and header.count(c) > 1})]
    # Columns of their own are welcome, but one misspelt would leave the one that is meant empty in every row.
    absent = [column for column in columns if column not in header]
    meant = {column: difflib.get_close_matches(column, absent, 1, 0.8) for column in header if column and column not in columns}
    wrong += [f"không có cột {column}; sửa thành {found[0]}, hoặc bỏ cột đó" for column, found in meant.items() if found]
    if wrong:
        problems.append(_file_problem(name, path, "; ".join(wrong), "sửa dòng tiêu đề", header_line, delimiter.join(header)))
        return
    empty = dict.fromkeys(columns, "")
    table.columns = tuple(empty) + tuple(column for column in header if column and column not in empty)
    for line, record in _records(reader, table, content, problems):
        values = [text(cell) if cell else "" for cell in record]
        if not any(values):
            continue
        surplus = [value for value in values[len(header) :] if value]
        if surplus:
            problems.append(
                _file_problem(
                    name,
                    path,
                    "nhiều ô hơn dòng tiêu đề",
                    "đặt ô có dấu phẩy, chấm phẩy trong dấu nháy kép, hoặc thêm tên cột",
                    line,
                    surplus[0],
                )
            )
        row = empty | {column: value for column, value in zip(header, values, strict=False) if column}
        table.rows.append(row)
        table.lines.append(line)


def _records(reader: Any, table: Table, content: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """The line on which each record begins, and its cells; what cannot be read as CSV ends them with a problem."""
    before = reader.line_num
    try:
        for record in reader:
            yield before + 1, record
            before = reader.line_num
    except csv.Error as error:
        begins = next(islice(io.StringIO(content), before, None), "").strip()
        message, remedy = f"không đọc được như CSV ({error})", "kiểm tra dấu nháy kép chưa đóng, hoặc lưu lại dạng CSV UTF-8"
        problems.append(_file_problem(table.name, table.path, message, remedy, before + 1, begins[:200]))


def _check_cells(table: Table, problems: list[Problem]) -> None:
    """What the register itself demands of single cells, whatever the policy says."""
    seen: dict[str, int] = {}
    for number, row in enumerate(table.rows):
        if len(problems) >= RosterError.LIMIT:
            return

        def wrong(column: str, message: str, remedy: str, number: int = number, row: dict[str, str] = row) -> None:
            problems.append(Problem(table.name, number, row.get("code", ""), column, row[column], message, remedy, _place(table, number)))

        for column in _DATES[table.name]:
            if row[column]:
                try:
                    row[column] = cells.date(row[column])
                except ValueError as error:
                    wrong(column, str(error), "sửa ngày")
        for column, allowed in _CHOICES[table.name].items():
            row[column] = row[column].lower()
            if row[column] and row[column] not in allowed:
                wrong(column, "không hợp lệ", f"ghi một trong: {', '.join(allowed)}, hoặc để trống")
        if row.get("quota"):
            try:
                size_bytes(row["quota"])
            except ValueError as error:
                wrong("quota", str(error), "ghi số và đơn vị, ví dụ 5GiB")
            if not _DOCUMENT.search(row["quota_basis"]):
                wrong(
                    "quota_basis",
                    "dung lượng riêng mà không có số quyết định",
                    "ghi số và ngày quyết định, ví dụ 12/QĐ-UBND ngày 05/01/2026",
                )
        for column in ("phone", "fax"):
            if row.get(column) and not _PHONE.match(row[column]):
                wrong(column, "không phải số điện thoại", "chỉ ghi chữ số, dấu cách và + ( ) . , / -")
        if row.get("authorised"):
            try:
                cells.truth(row["authorised"], default=False)
            except ValueError as error:
                wrong("authorised", str(error), "ghi x, hoặc để trống")
        if table.name == "people" and not row["organisation"]:
            wrong("organisation", "thiếu mã cơ quan", "ghi mã cơ quan trong organisations.csv")
        # Without its last day a leave would stop nothing, and the mailbox be locked while its holder is away.
        if table.name == "people" and row["status"].lower() == "leave" and not row["leave_until"]:
            wrong(
                "leave_until",
                "nghỉ có lý do mà không có ngày cuối",
                "ghi ngày cuối; chưa biết ngày thì để status trống, dùng playbooks/exempt.yml",
            )
        if table.name == "requests":
            first = seen.setdefault(row["id"], number)
            if not row["id"] or first != number:
                wrong("id", "số thứ tự yêu cầu trống hoặc đã dùng", "mỗi yêu cầu một số riêng")


def _check_people(registers: Registers, one_per_person: bool, problems: list[Problem]) -> None:
    people = registers.people
    known = {row["code"] for row in people.rows}
    for number, row in enumerate(registers.organisations.rows):
        for column, code in [("head", row["head"]), *(("delegates", code) for code in _LIST.split(row["delegates"]))]:
            if code and code not in known:
                problems.append(
                    Problem(
                        "organisations",
                        number,
                        row["code"],
                        column,
                        code,
                        "không có người mang mã này trong people.csv",
                        "sửa mã người được ủy quyền" if column == "delegates" else "ghi mã của một người, người đứng đầu",
                        _place(registers.organisations, number),
                    )
                )
    if not one_per_person:
        return
    first: dict[str, int] = {}
    for number, row in enumerate(people.rows):
        if row["person_id"] and row["status"].lower() != "left" and first.setdefault(row["person_id"], number) != number:
            problems.append(
                Problem(
                    "people",
                    number,
                    row["code"],
                    "person_id",
                    row["person_id"],
                    f"đã ghi ở dòng {people.lines[first[row['person_id']]]}; mỗi người một hộp thư",
                    "giữ một dòng cho mỗi người",
                    _place(people, number),
                )
            )


# --- the ledger -------------------------------------------------------------------------------------------------------


def record(
    issued: Iterable[Mapping[str, Any]],
    entries: Iterable[Mapping[str, Any]],
    today: datetime.date,
    employers: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The ledger after the addresses in ``entries`` (from ``allocate``) were given out on ``today``.

    Nothing is ever removed. A replaced address gets ``current=false`` and the day until which it takes mail: today when
    it is closed, empty without an end. ``employers`` maps codes of people to their organisation.
    """
    ledger = {}
    for row in issued:
        local_part = text(row["local_part"]).lower()
        ledger[local_part] = {key: text(value) for key, value in row.items()} | {"local_part": local_part}
    employers = employers or {}

    def put(local_part: str, code: str, current: bool, until: str) -> None:
        row = ledger.setdefault(
            local_part,
            {"code": code, "local_part": local_part, "since": today.isoformat(), "organisation": employers.get(code, "")},
        )
        row.update(current="true" if current else "false", until=until)

    for entry in entries:
        code = entry["code"]
        if entry["status"] == "assigned":
            put(entry["local_part"], code, current=True, until="")
            if entry["previous"]:
                months = entry["previous_months"]
                end = {"closed": today.isoformat(), "alias": add_months(today, months).isoformat() if months else ""}
                put(entry["previous"], code, current=False, until=end[entry["previous_use"]])
        for alias in entry["aliases"]:
            if alias not in ledger:
                put(alias, code, current=False, until="")
    return [{column: row.get(column, "") for column in COLUMNS["issued"]} | row for row in ledger.values()]


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], check: bool = False) -> bool:
    """Write a table as spreadsheets open it (UTF-8 with BOM), at once or not at all; False when nothing changes.

    ``check`` only says whether it would change.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    content = buffer.getvalue().encode("utf-8-sig")
    target = Path(path)
    if target.is_file() and target.read_bytes() == content:
        return False
    if check:
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    # personal data: not for everybody on the machine; on the disk before it takes the place of the old file
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a register from the command line; exit status 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.registers", description="Kiểm tra sổ đăng ký hộp thư")
    parser.add_argument("directory", help="thư mục có organisations.csv, people.csv")
    parser.add_argument("--policy", help="policy.yml của tỉnh, để kiểm tra cả tên và địa chỉ")
    given = parser.parse_args(arguments)
    naming, one_per_person = None, False
    try:
        if given.policy:
            policy = yaml.safe_load(Path(given.policy).read_text(encoding="utf-8"))["mail_policy"]
            naming, one_per_person = policy["naming"], policy["accounts"]["one_per_person"]["value"]
        registers = read(given.directory, naming, one_per_person)
    except (RosterError, NamingError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"Sổ đăng ký hợp lệ: {len(registers.organisations.rows)} cơ quan, {len(registers.people.rows)} người, "
        f"{len(registers.issued.rows)} địa chỉ đã cấp, {len(registers.requests.rows)} yêu cầu."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
