# SPDX-License-Identifier: Apache-2.0
"""The journal of operations: append-only, one JSON object a line, each line chained to the one before.

A line has ``number`` (from 1), the fields of :data:`FIELDS`, and ``hash``: the SHA-256, in hexadecimal, of the previous line's hash (64
zeros at first), a line feed, and the object without ``hash`` as canonical JSON (UTF-8, keys sorted, no spaces). The number and hash of the
last line stand once more in the head file beside the journal, or wherever it is put: a chain alone cannot show that its end was cut off.
Whoever can write both files can still cut both, so a copy of the head belongs where the journal's writers cannot reach it (the result
of each act, a report); :func:`verify` takes it.

Appending never refuses because of what it finds, for an act in an emergency has to be recorded. A half line left by a crash, or a head
file lost or damaged, is entered by the next append as an entry ``journal-repair``, with the remains in ``before``. An end cut off
stays visible, because numbers and chain go on from the head.

This file needs nothing but Python, so it can be copied to a host as it is. ``python -m congvu_mail.journal verify|show FILE``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIELDS = ("time", "act", "mailbox", "document", "reason", "operator", "before", "after", "result")
REPAIR = "journal-repair"
_START = "0" * 64
_KEYS = {"number", "hash", *FIELDS}
_VIETNAM = datetime.timezone(datetime.timedelta(hours=7))
_COLUMNS = (
    ("number", "STT"),
    ("time", "Thời điểm"),
    ("act", "Việc"),
    ("mailbox", "Hộp thư"),
    ("document", "Văn bản"),
    ("operator", "Người thực hiện"),
    ("result", "Kết quả"),
    ("reason", "Lý do"),
)
_WIDEST = 60


class JournalError(Exception):
    """The journal cannot be written; in Vietnamese, with the remedy."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last line's number and hash."""

    number: int = 0
    hash: str = _START

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read ``number:hash``."""
        number, _, digest = text.strip().partition(":")
        if not number.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"{text.strip()[:80]!r}: không phải đầu nhật ký dạng SỐ:SHA-256")
        return cls(int(number), digest)


@dataclass(slots=True)
class Verdict:
    """What :func:`verify` found, in Vietnamese."""

    entries: int = 0
    head: Head = field(default_factory=Head)
    problems: list[str] = field(default_factory=list)  # the journal is not what was written
    remarks: list[str] = field(default_factory=list)  # remains of a crash; nothing is missing


def append(
    path: str | Path,
    *,
    act: str,
    operator: str,
    result: str,
    mailbox: str = "",
    document: str = "",
    reason: str = "",
    before: Any = None,
    after: Any = None,
    time: datetime.datetime | None = None,
    head: str | Path | None = None,
) -> Head:
    """Write one entry, durably, and return the new head.

    ``before`` and ``after`` are anything JSON can hold; never passwords or keys. ``time`` has a time zone; now when not given. ``head`` is
    the head file, ``PATH.head`` when not given. Writers wait for each other. :class:`JournalError` when the entry could not be written.
    """
    entry = {
        "act": act,
        "mailbox": mailbox,
        "document": document,
        "reason": reason,
        "operator": operator,
        "before": before,
        "after": after,
        "result": result,
    }
    return extend(path, [entry], time=time, head=head)


def extend(
    path: str | Path, added: Sequence[Mapping[str, Any]], *, time: datetime.datetime | None = None, head: str | Path | None = None
) -> Head:
    """Write many entries in one go, as :func:`append` does one: all of the same moment, each with the other :data:`FIELDS`."""
    for entry in added:
        for name in ("act", "operator", "result"):
            if not entry[name].strip():
                raise JournalError(f"dòng nhật ký thiếu {name}: ghi giá trị cho {name}")
    moment = time or datetime.datetime.now(_VIETNAM)
    if moment.tzinfo is None:
        raise JournalError(f"thời điểm {moment} không có múi giờ: thêm múi giờ, ví dụ +07:00")
    common = {"time": moment.astimezone(_VIETNAM).isoformat(timespec="seconds")}
    path = Path(path)
    head_path = _head_path(path, head)
    try:
        with _locked(path) as file:
            in_file, remains, closed = _tail(file)
            repairs = [(remains, "dòng ghi dở khi máy dừng đột ngột")] if remains else []
            try:
                last = _read_head(head_path)
            except ValueError as error:
                last = Head()
                repairs.append((str(error), "tệp đầu nhật ký bị hỏng"))
            else:
                if last == Head() and in_file.number > 1:
                    repairs.append((None, "tệp đầu nhật ký bị mất"))
            if in_file.number > last.number:
                last = in_file  # also after a kill between line and head
            text = [] if closed else [b"\n"]
            for found, why in repairs:
                who = {"operator": added[0]["operator"], "result": "done"}
                repair = {"act": REPAIR, "mailbox": "", "document": "", "reason": why, "before": found, "after": None, **who}
                line, last = _line(repair | common, last)
                text.append(line)
            for entry in added:
                line, last = _line({**entry, **common}, last)
                text.append(line)
            _write(file, b"".join(text))
            _write_head(head_path, last)
    except OSError as error:
        raise JournalError(f"không ghi được nhật ký {path}: {error.strerror or error}; kiểm tra dung lượng đĩa và quyền ghi") from error
    return last


def verify(path: str | Path, head: str | Path | None = None, known: Head | None = None) -> Verdict:
    """Check every line, the chain, the numbers, and the end against the head file and a ``known`` earlier head."""
    path = Path(path)
    verdict = Verdict()
    remains: list[tuple[int, str]] = []
    kept: dict[int, str] = {0: _START}
    raw = path.read_bytes() if path.exists() else b""
    lines = raw.split(b"\n")
    for place, line in enumerate(lines, 1):
        if place == len(lines):
            if line:
                verdict.remarks.append(f"dòng {place}: ghi dở, chưa kết thúc; lần ghi sau sẽ đóng lại")
            break
        entry = _parse(line)
        if entry is None:
            remains.append((place, line.decode("utf-8", "backslashreplace")))
            continue
        _check(entry, place, remains, verdict)
        remains = []
        verdict.entries += 1
        verdict.head = Head(entry["number"], entry["hash"])
        kept[entry["number"]] = entry["hash"]
    for place, _ in remains:
        verdict.problems.append(f"dòng {place}: không phải là một dòng nhật ký")
    _check_heads(path, head, known, kept, verdict)
    return verdict


def entries(path: str | Path) -> Iterator[dict[str, Any]]:
    """The entries that can be read, whatever :func:`verify` says of them."""
    with Path(path).open("rb") as file:
        for line in file:
            entry = _parse(line.rstrip(b"\n"))
            if entry is not None:
                yield entry


def last(path: str | Path) -> Head:
    """Number and hash of the last entry in the file; those of an empty journal when there is none."""
    path = Path(path)
    if not path.exists():
        return Head()
    with path.open("rb") as file:
        return _tail(file.fileno())[0]


# --- one line ---------------------------------------------------------------------------------------------------------


def _canonical(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(entry: Mapping[str, Any], previous: str) -> str:
    body = _canonical({key: value for key, value in entry.items() if key != "hash"})
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def _line(entry: Mapping[str, Any], previous: Head) -> tuple[bytes, Head]:
    try:
        numbered = json.loads(_canonical({**entry, "number": previous.number + 1}))
        new = Head(previous.number + 1, _digest(numbered, previous.hash))
        return (_canonical(numbered | {"hash": new.hash}) + "\n").encode(), new
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise JournalError(f"dòng nhật ký không ghi được dưới dạng JSON: {error}") from error


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line as an entry; None for anything else, also for an entry in other bytes than those written."""
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or set(entry) != _KEYS or _canonical(entry).encode() != line:
            return None
    except (ValueError, RecursionError):
        return None
    whole = isinstance(entry["number"], int) and not isinstance(entry["number"], bool) and isinstance(entry["hash"], str)
    return entry if whole else None


def _check(entry: Mapping[str, Any], place: int, remains: Sequence[tuple[int, str]], verdict: Verdict) -> None:
    """One entry against the one before it, and against the remains of a crash between the two."""
    expected = verdict.head.number + 1
    if entry["number"] > expected:
        missing = f"{expected}" if entry["number"] == expected + 1 else f"{expected}-{entry['number'] - 1}"
        verdict.problems.append(f"dòng {place}: thiếu các dòng số {missing} ở trước dòng số {entry['number']}")
    elif entry["number"] < expected:
        verdict.problems.append(f"dòng {place}: số {entry['number']} đứng sau số {verdict.head.number}, sai thứ tự hoặc ghi lặp")
    elif entry["hash"] != _digest(entry, verdict.head.hash):
        verdict.problems.append(f"dòng {place} (số {entry['number']}): nội dung của dòng này hoặc mã băm của dòng trước đã bị sửa")
    if not remains:
        return
    if entry["act"] == REPAIR and entry["before"] == [text for _, text in remains]:
        verdict.remarks.append(f"dòng {remains[0][0]}: ghi dở khi máy dừng đột ngột, đã ghi nhận ở dòng số {entry['number']}")
    else:
        verdict.problems += [f"dòng {where}: không phải là một dòng nhật ký" for where, _ in remains]


def _check_heads(path: Path, head: str | Path | None, known: Head | None, kept: Mapping[int, str], verdict: Verdict) -> None:
    head_path = _head_path(path, head)
    try:
        stored = _read_head(head_path)
    except ValueError as error:
        verdict.problems.append(f"tệp đầu nhật ký {head_path} bị hỏng: {error}")
        stored = None
    if stored == Head() and verdict.entries:
        verdict.problems.append(f"không có tệp đầu nhật ký {head_path}: không biết phần cuối có bị cắt không")
    for name, wanted in ((f"tệp {head_path.name}", stored), ("đầu đã lưu riêng", known)):
        if wanted is None:
            continue
        if wanted.number > verdict.head.number:
            verdict.problems.append(f"nhật ký bị cắt: {name} ghi đến số {wanted.number}, nhật ký chỉ đến số {verdict.head.number}")
        elif kept.get(wanted.number) != wanted.hash:
            verdict.problems.append(f"dòng số {wanted.number} khác với mã băm trong {name}: nhật ký đã bị viết lại")
    if stored and 0 < stored.number < verdict.head.number:
        verdict.remarks.append(f"tệp đầu nhật ký dừng ở số {stored.number}; lần ghi sau sẽ bổ sung")


# --- files ------------------------------------------------------------------------------------------------------------


def _head_path(path: Path, head: str | Path | None) -> Path:
    return Path(head) if head else path.with_name(path.name + ".head")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The journal, open for appending, for one writer at a time."""
    new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        if new:
            _sync_folder(path.parent)
        yield file
    finally:
        os.close(file)


def _tail(file: int) -> tuple[Head, list[str], bool]:
    """The last entry of the journal, the remains after it line by line, and whether the file ends with a line feed."""
    size = os.fstat(file).st_size
    length = 65536
    while True:
        start = max(0, size - length)
        tail = os.pread(file, size - start, start)
        lines = tail.split(b"\n")
        closed = not lines[-1]
        if closed:
            lines.pop()
        remains: list[str] = []
        # The first line of the piece may be cut, unless the piece is the whole file.
        for line in reversed(lines[1 if start else 0 :]):
            entry = _parse(line)
            if entry:
                return Head(entry["number"], entry["hash"]), remains, closed
            remains.insert(0, line.decode("utf-8", "backslashreplace"))
        if not start:
            return Head(), remains, closed
        length *= 8


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
    os.fsync(file)


def _read_head(path: Path) -> Head:
    return Head.parse(path.read_text(encoding="utf-8", errors="backslashreplace")) if path.exists() else Head()


def _write_head(path: Path, head: Head) -> None:
    partial = path.with_name(path.name + ".new")  # one writer at a time
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
        file.write(f"{head}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# --- for people -------------------------------------------------------------------------------------------------------


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Entries as a table in Vietnamese."""
    shown = [[title for _, title in _COLUMNS]]
    for row in rows:
        moment = datetime.datetime.fromisoformat(row["time"])
        shown.append([f"{moment:%d/%m/%Y %H:%M}" if name == "time" else _cell(row[name]) for name, _ in _COLUMNS])
    widths = [max(_width(row[column]) for row in shown) for column in range(len(_COLUMNS))]
    padded = ("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown)
    return "\n".join(padded)


def _cell(value: Any) -> str:
    text = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify or show a journal; exit status 1 when it is not intact."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.journal", description="Nhật ký thao tác: kiểm tra, xem")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (("verify", "kiểm tra nhật ký còn nguyên vẹn"), ("show", "xem nhật ký thành bảng")):
        command = commands.add_parser(name, help=about)
        command.add_argument("file", type=Path, help="tệp nhật ký")
        if name == "verify":
            command.add_argument("--head", type=Path, help="tệp đầu nhật ký (mặc định: FILE.head)")
            command.add_argument("--known", type=Head.parse, metavar="SỐ:SHA-256", help="đầu nhật ký đã lưu ở nơi khác")
        else:
            command.add_argument("--mailbox", help="chỉ các dòng của hộp thư này")
            command.add_argument("--act", help="chỉ việc này")
    given = parser.parse_args(arguments)
    if not given.file.is_file():
        print(f"không có tệp {given.file}", file=sys.stderr)
        return 1
    if given.command == "show":
        wanted = {name: getattr(given, name) for name in ("mailbox", "act") if getattr(given, name)}
        print(table([entry for entry in entries(given.file) if all(entry[name] == value for name, value in wanted.items())]))
        return 0
    verdict = verify(given.file, given.head, given.known)
    for line in verdict.problems:
        print(f"LỖI    {line}")
    for line in verdict.remarks:
        print(f"LƯU Ý  {line}")
    state = f"KHÔNG nguyên vẹn: {len(verdict.problems)} lỗi" if verdict.problems else "nguyên vẹn"
    print(f"Nhật ký {state}; {verdict.entries} dòng; đầu nhật ký {verdict.head}")
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main())
