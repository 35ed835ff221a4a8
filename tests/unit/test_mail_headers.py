"""The search in the record of headers, and its table."""

import datetime as dt
import gzip
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "library"), str(ROOT / "filter_plugins")]
import header_report  # noqa: E402
import mail_headers  # noqa: E402
import quarantine_report  # noqa: E402

RECORD = {
    "time": "2026-11-21T18:00:00Z",  # the 22nd in Viet Nam
    "sender": "an@outside.example",
    "from": "Nguyễn Văn An <an@outside.example>",
    "recipients": ["binh@example.gov.vn"],
    "to": "binh@example.gov.vn",
    "subject": "Báo cáo",
    "message_id": "<1@outside.example>",
    "action": "reject",
    "flags": ["executable"],
    "headers": "Subject: x\r\n",
}
DAY = dt.date(2026, 11, 22)


def member(record):
    return gzip.compress((json.dumps(record) + "\n").encode())


def search(folder, first=DAY, last=DAY, **wanted):
    empty = dict.fromkeys(("sender", "recipient", "subject", "message_id", "flag"), "")
    return mail_headers.search(folder, empty | wanted, first, last)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "2026-11-21.jsonl.gz").write_bytes(member(RECORD) + member(RECORD | {"subject": "khác", "flags": []}))
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 2),
        ({"sender": "AN@outside"}, 2),
        ({"sender": "nguyễn văn"}, 2),
        ({"subject": "Báo cáo"}, 1),
        ({"recipient": "binh", "flag": "executable"}, 1),
        ({"message_id": "<2@"}, 0),
    ],
)
def test_every_condition_must_hold(folder, wanted, count):
    assert len(search(folder, **wanted)[0]) == count


def test_days_are_those_of_viet_nam(folder):
    assert len(search(folder)[0]) == 2
    assert search(folder, dt.date(2026, 11, 21), dt.date(2026, 11, 21))[0] == []


def test_every_flag_that_is_noted_can_be_searched():
    noted = (ROOT / "roles/rspamd/templates/etc/rspamd/lua.local.d/congvu-record.lua.j2").read_text(encoding="utf-8")
    table = noted.partition("local FLAGS = {")[2].partition("}")[0]
    assert sorted({*re.findall(r"= '(\w+)'", table), *re.findall(r"flags\.(\w+) = true", noted)}) == sorted(mail_headers.FLAGS)


def test_a_flag_that_is_none_is_an_error():
    """Else a slip of the pen reads as if no mail had been noticed."""
    assert mail_headers.no_such_flag("secret_marks").startswith("flag “secret_marks”: không có dấu hiệu này; ghi một trong: encrypted,")
    assert mail_headers.no_such_flag("secret_mark") == mail_headers.no_such_flag("") == ""


def test_damage_hides_nothing_that_can_be_read(folder):
    file = folder / "2026-11-21.jsonl.gz"
    file.write_bytes(file.read_bytes() + b"not a gzip member")
    (folder / "2026-11-22.jsonl.gz").write_bytes(member(RECORD)[:-4])
    found, damaged = search(folder)
    assert len(found) >= 2
    assert [text[:10] for text in damaged] == ["2026-11-21", "2026-11-22"]


def test_the_table_says_what_it_leaves_out():
    result = {"messages": [RECORD], "count": 3, "damaged": ["2026-11-20.jsonl.gz"]}
    text = "\n".join(header_report.header_report({"mail": result}))
    for words in ("22/11/2026 01:00:00", "từ chối", "executable", "3 thư; chỉ hiện 1", "Subject: x", "Tệp hỏng", "mail: 2026-11-20"):
        assert words in text
    assert header_report.header_report({"mail": {"messages": [], "count": 0, "damaged": []}})[0].startswith("Không có thư nào")


def test_held_mail_as_a_table():
    message = {"held": "2026-11-22T08:00:00+07:00", "mailbox": "a@b.vn", "sender": "c@d.vn", "message_id": "<1@d.vn>", "subject": "x"}
    lines = quarantine_report.quarantine_report({"mail": {"messages": [message]}}, "release")
    assert "22/11/2026 08:00" in lines[3] and lines[-1] == "1 thư đã giao vào hộp thư đến."
    assert quarantine_report.quarantine_report({"mail": {"messages": [message]}}, "expire", check=True)[-1] == "1 thư sẽ xóa."
    assert quarantine_report.quarantine_report({"mail": {"messages": []}}, "list") == ["0 thư đang bị giữ."]
