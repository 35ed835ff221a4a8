# SPDX-License-Identifier: Apache-2.0
"""The register of requests: what is due, late or done in time, and the written answers that are still to be sent.

Reads ``requests.csv`` through ``registers.py`` and the deadlines of ``mail_policy.deadlines``. Where a deadline starts:

- ``receipt``: the column ``received`` (after closing time: the next day); it is kept when the request is done and, where
  ``requests.reply`` is ``written``, answered;
- ``complete_information``: the column ``complete``, and not before it is filled in;
- ``handling``: the column ``done``; what is due is the answer.

``python -m congvu_mail.request_register`` is the work of ``playbooks/requests.yml``; ``docs/lifecycle.md`` is for its readers.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from congvu_mail import registers
from congvu_mail.months import VIETNAM, shown
from congvu_mail.roster import RosterError
from congvu_mail.working_days import Calendar, CalendarError, received_on

ACTS = {
    "create": "Cấp mới",
    "change": "Thay đổi thông tin",
    "reset": "Cấp lại mật khẩu",
    "suspend": "Tạm khóa",
    "restore": "Khôi phục",
    "delete": "Chấm dứt",
}
STATES = {
    "overdue": "QUÁ HẠN",
    "open": "trong hạn",
    "waiting": "chờ đủ thông tin",
    "handling": "đang giải quyết",
    "late": "xong trễ hạn",
    "in_time": "xong đúng hạn",
    "done": "xong",
}
OPEN = ("overdue", "open", "waiting", "handling")
RESULTS = {"": "", "done": "đã thực hiện", "refused": "từ chối"}
CHANNELS = {
    "document": "văn bản",
    "document_system": "hệ thống quản lý văn bản",
    "organisation_mailbox": "hộp thư cơ quan",
    "signed_mail": "thư có chữ ký số",
    "paper": "văn bản giấy",
}
COLUMNS = {
    "id": "Số yêu cầu",
    "act": "Việc",
    "code": "Mã",
    "name": "Tên",
    "received": "Nhận",
    "started": "Tính từ",
    "due": "Hạn",
    "done": "Thực hiện",
    "replied": "Trả lời",
    "days": "Số ngày làm việc",
    "state": "Tình trạng",
    "result": "Kết quả",
    "clause": "Căn cứ",
    "remark": "Lưu ý",
}
REGISTER = "so-theo-doi-yeu-cau.csv"
_TEMPLATE = Path(__file__).with_name("request_answer.html.j2")


class RequestError(ValueError):
    """Every request that cannot be followed, one a line, in Vietnamese."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """One act's deadline."""

    working_days: int | None
    start: str | None  # receipt | complete_information | handling
    clause: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policy says about requests."""

    deadlines: Mapping[str, Deadline]
    written: bool  # every request gets a written answer
    channels: Sequence[str]

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any]) -> Rules:
        """Read the leaves of a checked ``mail_policy``."""
        leaves = policy["deadlines"]
        return cls(
            {
                act: Deadline(leaves[act]["value"], leaves[f"{act}_from"]["value"], leaves[act].get("clause") or "")
                for act in ACTS
                if act in leaves
            },
            policy["requests"]["reply"]["value"] == "written",
            tuple(policy["requests"]["channels"]["value"]),
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One request and where it stands.

    Dates are days in Viet Nam; ``days`` counts working days from ``started`` to its end, or until today.
    """

    id: str
    act: str
    code: str
    name: str
    received: datetime.date
    started: datetime.date | None
    due: datetime.date | None
    done: datetime.date | None
    replied: datetime.date | None
    days: int | None
    state: str
    result: str
    clause: str
    remark: str
    row: Mapping[str, str]

    def cells(self) -> dict[str, str]:
        """The case as a row of the table :data:`COLUMNS`, by its titles."""
        values = {name: getattr(self, name) for name in COLUMNS}
        values |= {"act": ACTS[self.act], "state": STATES[self.state], "result": RESULTS.get(self.result, self.result)}
        return {COLUMNS[name]: _shown(value) for name, value in values.items()}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return shown(value) if isinstance(value, datetime.date) else str(value)


def cases(
    register: registers.Registers, rules: Rules, calendar: Calendar, today: datetime.date, closing: datetime.time | None = None
) -> list[Case]:
    """Every request, the most urgent first. :class:`RequestError` when some cannot be followed."""
    names = {row["code"]: row["name"] for row in register.organisations.rows} | {
        row["code"]: row["full_name"] for row in register.people.rows
    }
    found, problems = [], []
    for row in register.requests.rows:
        missing = [column for column in ("received", "act") if not row[column]]
        if missing:
            problems.append(f"requests.csv, yêu cầu {row['id']}: trống ô {', '.join(missing)}; ghi ngày nhận và việc")
            continue
        try:
            found.append(_case(row, names.get(row["code"], ""), rules, calendar, today, closing))
        except CalendarError as error:
            problems.append(f"requests.csv, yêu cầu {row['id']}: {error}")
    if problems:
        raise RequestError("\n".join(problems))
    order = list(STATES)
    return sorted(found, key=lambda case: (order.index(case.state), case.due or datetime.date.max, case.received, case.id))


def _day(cell: str) -> datetime.date | None:
    return datetime.date.fromisoformat(cell[:10]) if cell else None


def _case(row: Mapping[str, str], name: str, rules: Rules, calendar: Calendar, today: datetime.date, closing: datetime.time | None) -> Case:
    deadline = rules.deadlines.get(row["act"], Deadline(None, None, ""))
    done, replied, refused = _day(row["done"]), _day(row["reply_date"]), row["result"].lower() == "refused"
    column = {"receipt": "received", "complete_information": "complete", "handling": "done"}.get(deadline.start or "", "received")
    started = received_on(datetime.datetime.fromisoformat(row[column]), closing if "T" in row[column] else None) if row[column] else None
    due = calendar.deadline(started, deadline.working_days) if started and deadline.working_days is not None else None

    if deadline.start == "handling":
        finished = replied
    elif refused:
        finished = replied if rules.written else (replied or done)
    else:
        finished = max(done, replied) if done and replied else (done if not rules.written else None)
    if finished:
        state = "done" if due is None else "in_time" if finished <= due else "late"
    elif due:
        state = "open" if today <= due else "overdue"
    else:
        state = "waiting" if deadline.start == "complete_information" else "handling"
    days = calendar.between(started, finished or today) if started and started <= (finished or today) else None
    return Case(
        id=row["id"],
        act=row["act"],
        code=row["code"],
        name=name,
        received=_day(row["received"]),
        started=started,
        due=due,
        done=done,
        replied=replied,
        days=days,
        state=state,
        result=row["result"],
        clause=deadline.clause,
        remark="; ".join(_remarks(row, name, rules, today, done, replied)),
        row=row,
    )


def _remarks(
    row: Mapping[str, str], name: str, rules: Rules, today: datetime.date, done: datetime.date | None, replied: datetime.date | None
) -> list[str]:
    """What somebody should look at in the row."""
    received, complete = _day(row["received"]), _day(row["complete"])
    found = []
    if row["code"] and not name:
        found.append(f"không có mã {row['code']} trong sổ đăng ký")
    if row["channel"] and row["channel"] not in rules.channels:
        found.append(f"hình thức gửi “{CHANNELS[row['channel']]}” không thuộc Quy chế")
    if any(day and day > today for day in (received, complete, done, replied)):
        found.append("có ngày ở tương lai")
    if any(day and day < received for day in (complete, done, replied)):
        found.append("có ngày trước ngày nhận")
    if done and replied and replied < done and row["result"].lower() != "refused":
        found.append("trả lời trước khi thực hiện")
    return found


def summary(found: Sequence[Case], shown_at_most: int = 40) -> list[str]:
    """The table in Vietnamese: the counts, then the open requests, the most urgent first."""
    counts = Counter(case.state for case in found)
    lines = [f"Yêu cầu: {len(found)} ({', '.join(f'{counts[state]} {title}' for state, title in STATES.items() if counts[state]) or '-'})"]
    for act, title in ACTS.items():
        kept = Counter(case.state for case in found if case.act == act)
        measured = kept["in_time"] + kept["late"] + kept["overdue"]
        if measured:
            lines.append(f"{title}: đúng hạn {kept['in_time']}/{measured}, trễ hạn {kept['late']}, quá hạn chưa xong {kept['overdue']}")
    listed = [case for case in found if case.state in OPEN or case.remark]
    for case in listed[:shown_at_most]:
        due = f"hạn {shown(case.due)}" if case.due else ""
        cells = (STATES[case.state], case.id, ACTS[case.act], case.code, case.name, f"nhận {shown(case.received)}", due, case.remark)
        lines.append(" | ".join(cell for cell in cells if cell))
    if len(listed) > shown_at_most:
        lines.append(f"... và {len(listed) - shown_at_most} yêu cầu khác, xem {REGISTER}")
    return lines


# --- written answers --------------------------------------------------------------------------------------------------


def answers(found: Sequence[Case], register: registers.Registers, policy: Mapping[str, Any]) -> dict[str, bytes]:
    """A letter for each request that was carried out or refused and has no number of an answer yet, by file name.

    HTML in A4 with the parts that Nghị định 30/2020/NĐ-CP asks for; number, date, place and signature are left to the office.
    """
    if policy["requests"]["reply"]["value"] != "written":
        return {}
    organisations = {row["code"]: row for row in register.organisations.rows}
    employers = {row["code"]: row["organisation"] for row in register.people.rows}
    addresses = {row["code"]: row["local_part"] for row in register.issued.rows if row["current"].lower() != "false"}
    written = {}
    for case in found:
        if case.row["reply_number"] or not (case.done or case.result.lower() == "refused"):
            continue
        body = organisations.get(employers.get(case.code, case.code), {})
        address = addresses.get(case.code, "")
        written[_letter_name(case.id)] = (
            _letter()
            .render(
                case=case,
                act=ACTS[case.act],
                refused=case.result.lower() == "refused",
                to=body.get("name", ""),
                address=f"{address}@{policy['domain']['value']}" if address else "",
                operator=policy["system"]["operator"]["value"],
                owner=policy["system"]["owner"]["value"],
                regulation=policy["regulation"],
            )
            .encode()
        )
    return written


def _letter_name(identifier: str) -> str:
    """The file of the answer to a request; two numbers never give the same."""
    name = re.sub(r"[^A-Za-z0-9.-]", lambda found: "".join(f"_{byte:02x}" for byte in found[0].encode()), identifier).lstrip(".")
    return f"{name or '_'}.html"


@cache
def _letter() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["day"] = shown
    environment.filters["iso_day"] = lambda cell: shown(_day(cell))
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _write(path: Path, content: bytes, check: bool) -> bool:
    """Write a file at once or not at all; False when it is already so."""
    if path.is_file() and path.read_bytes() == content:
        return False
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(content)
        partial.replace(path)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m congvu_mail.request_register``; the policy comes as JSON on standard input."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.request_register", description="Sổ theo dõi yêu cầu")
    parser.add_argument("--register", required=True, help="thư mục sổ đăng ký")
    parser.add_argument("--output", required=True, type=Path, help="thư mục ghi sổ theo dõi và văn bản trả lời")
    parser.add_argument("--today", type=datetime.date.fromisoformat, help="ngày tính, mặc định hôm nay ở Việt Nam")
    parser.add_argument("--check", action="store_true", help="chỉ báo, không ghi tệp")
    given = parser.parse_args(arguments)
    today = given.today or datetime.datetime.now(VIETNAM).date()
    try:
        wanted = json.load(sys.stdin)
        policy, closing = wanted["policy"], wanted.get("closing")
        register = registers.read(given.register)
        # The working week of five days is of 1999.
        calendar = Calendar.vietnam(2000, today.year + 2, wanted.get("calendar") or ())
        found = cases(register, Rules.from_policy(policy), calendar, today, datetime.time.fromisoformat(closing) if closing else None)
        letters = answers(found, register, policy)
        changed = registers.write_csv(given.output / REGISTER, tuple(COLUMNS.values()), [case.cells() for case in found], given.check)
        folder = given.output / "tra-loi"
        for name, content in letters.items():
            changed = _write(folder / name, content, given.check) or changed
        # Who finds a letter there sends it.
        for name in sorted({_letter_name(case.id) for case in found} - letters.keys()):
            if (folder / name).exists():
                changed = True
                if not given.check:
                    (folder / name).unlink()
    except (RosterError, RequestError, CalendarError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    lines = summary(found)
    lines.append(f"Văn bản trả lời chờ ký, gửi: {len(letters)}")
    json.dump({"changed": changed, "summary": [*lines, f"Chi tiết: {given.output.resolve()}"]}, sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
