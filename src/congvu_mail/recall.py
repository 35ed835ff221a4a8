# SPDX-License-Identifier: Apache-2.0
"""Recall of a message (gỡ bỏ thư): what an operator has to say first, and the evidence afterwards, without the message's content.

The work itself is the module ``mail_recall``. ``python -m congvu_mail.recall plan|record`` is the work of ``playbooks/recall.yml`` on the
controller: JSON on standard input, JSON on standard output. Guide for operators: ``docs/bao-cao.md``.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import secrets
import sys
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from congvu_mail import cells
from congvu_mail.months import VIETNAM, cited, shown
from congvu_mail.status import number

ACT = "recall"
LONGEST = datetime.timedelta(days=7)
SHOWN_AT_MOST = 50
PLACES = {"mailbox": "hộp thư", "queue": "hàng đợi", "folder": "thư mục ngoài hộp thư"}
# Folders of a mailbox that its user does not see, by the beginning of the name.
HIDDEN = {"Quarantine": "khu cách ly", "Record": "bản lưu"}
_MESSAGE_ID = re.compile(r"<?[^<>\s@]+@[^<>\s@]+>?\Z")
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")


class RecallError(ValueError):
    """Everything that is missing or wrong, one a line, in Vietnamese."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("Chưa làm gì.\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = list(problems)


def plan(given: Mapping[str, Any], allowed: bool, two_persons: bool, check: bool, now: datetime.datetime) -> dict[str, Any]:
    """What the module needs (``search``) and what is recorded (``record``).

    ``given``: the operator's variables; ``allowed``: ``secrets.recall`` of the policy; ``two_persons``: a second one has to agree.
    :class:`RecallError` with everything that is missing or wrong; a preview needs no second person and no count.
    """
    text = {name: cells.line(value) for name, value in given.items()}
    problems: list[str] = []
    if not allowed:
        problems.append("chính sách của tỉnh không cho gỡ bỏ thư (secrets.recall): sửa policy.yml nếu Quy chế cho phép")
    if text.get("_raw_params"):
        problems.append(f"“{text['_raw_params']}” đứng ngoài dấu nháy: giá trị có dấu cách ghi là -e \"reason='hai từ'\"")
    search = _search(text, check, problems)
    emergency = text.get("emergency", "").lower() in ("true", "yes", "1")
    document = _document(text, emergency, now.date(), problems)
    for name, title in (("reason", "lý do"), ("operator", "người thực hiện")):
        if not text.get(name):
            problems.append(f"thiếu {name} ({title})")
    if two_persons and not check:
        if not text.get("approved_by"):
            problems.append("thiếu approved_by: gỡ bỏ thư cần người thứ hai đồng ý (deployment_recall_two_persons)")
        elif _same(text["approved_by"], text.get("operator", "")):
            problems.append(f"approved_by {text['approved_by']!r} chính là operator: phải là người khác")
    if problems:
        raise RecallError(problems)
    return {
        "search": search,
        "record": {
            "key": f"<{search['message_id']}>" if search["message_id"] else _window(search),
            "document": document,
            "reason": text["reason"],
            "operator": text["operator"],
            "approved_by": text.get("approved_by", ""),
            "emergency": emergency,
            "criteria": {
                **{name: value for name, value in search.items() if name not in ("subject", "expected_messages")},
                # A subject may itself be what must not be known.
                "subject_sha256": hashlib.sha256(search["subject"].encode()).hexdigest() if search["subject"] else "",
            },
        },
    }


def _search(text: Mapping[str, str], check: bool, problems: list[str]) -> dict[str, Any]:
    search: dict[str, Any] = {"message_id": "", "sender": "", "since": None, "before": None, "subject": "", "expected_messages": None}
    others = [name for name in ("sender", "time_from", "time_to", "subject", "messages") if text.get(name)]
    if text.get("message_id"):
        if others:
            problems.append(f"message_id và {', '.join(others)} cùng được ghi: bỏ một bên")
        if not _MESSAGE_ID.match(text["message_id"]):
            problems.append(f"message_id {text['message_id']!r} không phải là Message-ID: ghi như trong thư, ví dụ <abc@tinh.gov.vn>")
        return search | {"message_id": text["message_id"].strip("<>")}
    missing = [name for name in ("sender", "time_from", "time_to", "subject") if not text.get(name)]
    if missing:
        problems.append(f"thiếu {', '.join(missing)}: ghi message_id, hoặc đủ sender, time_from, time_to, subject")
        return search
    if not _ADDRESS.match(text["sender"]):
        problems.append(f"sender {text['sender']!r} không phải là địa chỉ thư")
    moments = {}
    for name in ("time_from", "time_to"):
        try:
            moments[name] = datetime.datetime.fromisoformat(cells.date(text[name]))
        except ValueError as error:
            problems.append(f"{name} {text[name]!r} {error}; thêm giờ nếu cần, ví dụ 2026-11-20T08:30")
    if len(moments) == 2:
        since, until = (moments[name].replace(tzinfo=VIETNAM) for name in ("time_from", "time_to"))
        if until <= since or until - since > LONGEST:
            span = f"time_from {since:%d/%m/%Y %H:%M} đến time_to {until:%d/%m/%Y %H:%M}"
            problems.append(f"{span}: phải dài hơn 0 và không quá {LONGEST.days} ngày")
        search |= {"since": int(since.timestamp()), "before": int(until.timestamp())}
    if not check and not text.get("messages", "").isdecimal():
        problems.append("thiếu messages: chạy --check trước, rồi ghi số thư khác nhau mà bản xem trước báo; nhiều hơn thì không gỡ")
    expected = int(text["messages"]) if text.get("messages", "").isdecimal() else None
    return search | {"sender": text["sender"].lower(), "subject": text["subject"], "expected_messages": expected}


def _document(text: Mapping[str, str], emergency: bool, today: datetime.date, problems: list[str]) -> str:
    """Number and date of the document, as Vietnam cites it."""
    missing = [name for name in ("document_number", "document_date") if not text.get(name)]
    if len(missing) == 2 and emergency:
        return ""
    if missing:
        problems.append(
            f"thiếu {', '.join(missing)}: gỡ bỏ thư phải có văn bản đề nghị; khẩn cấp thì ghi emergency=true và bổ sung văn bản sau"
        )
        return ""
    try:
        day = datetime.date.fromisoformat(cells.date(text["document_date"])[:10])
    except ValueError as error:
        problems.append(f"document_date {text['document_date']!r} {error}")
        return ""
    if day > today:
        problems.append(f"document_date {shown(day)} ở tương lai")
    return cited(text["document_number"], day)


def _window(search: Mapping[str, Any]) -> str:
    first, last = (datetime.datetime.fromtimestamp(search[name] or 0, VIETNAM) for name in ("since", "before"))
    return f"thư của {search['sender']} {first:%d/%m/%Y %H:%M} - {last:%d/%m/%Y %H:%M}"


def _same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


def outcome(by_host: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The results of ``mail_recall``, mappings from host to result, as one; ``problems`` of those that failed."""
    results = [result | {"host": host} for part in by_host for host, result in part.items()]
    copies = [dict(copy) for result in results for copy in result.get("copies", ())]
    return {
        "copies": copies,
        "mailboxes": sorted({copy["address"] for copy in copies if copy["place"] == "mailbox"}),
        "messages": len({copy["message_id"] for copy in copies}),
        "left": sum(result.get("left", 0) for result in results),
        "answers": sum(result.get("answers", 0) for result in results),
        "outside": sorted({address for result in results for address in result.get("outside", ())}),
        "snapshots": [dict(snapshot) for result in results for snapshot in result.get("snapshots", ())],
        "problems": [f"{result['host']}: {result.get('msg')}" for result in results if result.get("msg") or "copies" not in result],
    }


def line(record: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the journal: what was removed from where, by digest, no content."""
    result = "done" if not found["problems"] and not found["left"] else f"KHÔNG TRỌN VẸN: {'; '.join(found['problems']) or 'còn bản sót'}"
    return {
        "act": ACT,
        "mailbox": record["key"],
        "document": record["document"],
        "reason": record["reason"],
        "operator": record["operator"],
        "result": result,
        "after": {
            "removed": len(found["copies"]) - found["left"],
            "left": found["left"],
            "mailboxes": found["mailboxes"],
            "body_sha256": sorted({copy["body_sha256"] for copy in found["copies"] if copy["body_sha256"]}),
            "approved_by": record["approved_by"],
        },
    }


def table(record: Mapping[str, Any], found: Mapping[str, Any], check: bool) -> list[str]:
    """What was found and done, in Vietnamese."""
    copies = found["copies"]
    where = Counter(HIDDEN.get(copy["folder"].split("/")[0], PLACES[copy["place"]]) for copy in copies)
    told = ", ".join(f"{place} {number(count)}" for place, count in where.items())
    done = "Xem trước, chưa gỡ gì" if check else "Đã gỡ"
    lines = [
        f"{done}: {number(len(copies))} bản của {found['messages']} thư, {len(found['mailboxes'])} hộp thư" + (f" ({told})" if told else "")
    ]
    for copy in sorted(copies, key=lambda copy: (copy["place"], copy["address"], copy["folder"]))[:SHOWN_AT_MOST]:
        moment = datetime.datetime.fromtimestamp(copy["time"], VIETNAM)
        size = f"{number(copy['bytes'])} byte"
        lines.append(" | ".join((PLACES[copy["place"]], copy["address"], copy["folder"], f"{moment:%d/%m/%Y %H:%M}", size)))
    if len(copies) > SHOWN_AT_MOST:
        lines.append(f"... và {number(len(copies) - SHOWN_AT_MOST)} bản khác")
    if found["outside"]:
        lines.append(f"ĐÃ RA NGOÀI hệ thống, phải báo nơi nhận tự xóa: {', '.join(found['outside'])}")
    if found["answers"]:
        lines.append(f"{found['answers']} thư trả lời hoặc chuyển tiếp có nhắc đến thư này: KHÔNG gỡ, xem xét từng thư")
    if found["snapshots"]:
        names = ", ".join(f"{snapshot['id']} ({snapshot['time'].replace('T', ' ')})" for snapshot in found["snapshots"])
        lines.append(f"Bản sao lưu có thể còn giữ thư, hết hạn mới mất: {names}")
    if not record["document"]:
        lines.append("THIẾU VĂN BẢN: khi có, chạy lại với document_number, document_date")
    if found["left"] and not check:
        lines.append(f"CÒN SÓT {found['left']} bản: chạy lại")
    return lines + [f"LỖI {problem}" for problem in found["problems"]]


def write_evidence(folder: Path, record: Mapping[str, Any], found: Mapping[str, Any], head: str, now: datetime.datetime) -> Path:
    """The evidence as ``<id>.json``, readable by its owner; without content and without subject."""
    identifier = f"{now:%Y%m%dT%H%M%S}-{ACT}-{secrets.token_hex(2)}"
    content = {"id": identifier, "time": now.isoformat(timespec="seconds"), "act": ACT, **record, **found,
               "journal": line(record, found), "journal_head": head}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identifier}.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m congvu_mail.recall``."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.recall", description="Gỡ bỏ thư: kiểm tra đề nghị, lập bằng chứng")
    parser.add_argument("command", choices=["plan", "outcome", "evidence"])
    parser.add_argument("--check", action="store_true", help="chỉ xem trước")
    parser.add_argument("--output", type=Path, help="thư mục ghi bằng chứng")
    options = parser.parse_args(arguments)
    wanted = json.load(sys.stdin)
    now = datetime.datetime.now(VIETNAM)
    try:
        if options.command == "plan":
            answer: Any = plan(wanted["given"], wanted["allowed"], wanted["two_persons"], options.check, now)
        elif options.command == "outcome":
            found = outcome(wanted["results"])
            told = [(host, one) for part in wanted["results"] for host, one in part.items()]
            answer = {
                "found": found,
                "line": line(wanted["record"], found),
                "table": table(wanted["record"], found, options.check),
                "memories": [{"host": host, "path": one["memory"]} for host, one in told if "memory" in one],
            }
        else:
            answer = str(write_evidence(options.output, wanted["record"], wanted["found"], wanted["head"], now).resolve())
    except (RecallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
