"""Recall: what the operator has to say, what is recorded, and that neither holds the message's subject."""

import datetime as dt
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from congvu_mail.recall import RecallError, line, outcome, plan, table, write_evidence

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2026, 11, 22, 9, 30, tzinfo=dt.timezone(dt.timedelta(hours=7)))
PAPER = {"document_number": "12/SNV", "document_date": "20/11/2026", "reason": "gửi nhầm", "operator": "Lê Văn Trực"}
BY_ID = {"message_id": "<a.b@tinh.gov.vn>", **PAPER}
WINDOW = {"sender": "An@tinh.gov.vn", "time_from": "2026-11-20T08:00", "time_to": "2026-11-20T09:00", "subject": "Phương án mật", **PAPER}
COPY = {"place": "mailbox", "owner": "u1", "address": "an@tinh.gov.vn", "folder": "INBOX", "bytes": 1200, "time": 1795100000,
        "message_id": "a.b@tinh.gov.vn", "sha256": "1" * 64, "body_sha256": "2" * 64}  # fmt: skip


def problems(given, allowed=True, two_persons=False, check=False):
    with pytest.raises(RecallError) as error:
        plan(given, allowed, two_persons, check, NOW)
    return "\n".join(error.value.problems)


def test_by_message_id():
    made = plan(BY_ID, True, False, False, NOW)
    assert made["search"]["message_id"] == "a.b@tinh.gov.vn"
    assert made["record"]["key"] == "<a.b@tinh.gov.vn>"
    assert made["record"]["document"] == "12/SNV ngày 20/11/2026"


def test_by_sender_and_time():
    made = plan(WINDOW | {"messages": "1"}, True, False, False, NOW)
    assert (made["search"]["since"], made["search"]["before"]) == (1795136400, 1795140000)  # 08:00 and 09:00 in Viet Nam
    assert made["search"]["sender"] == "an@tinh.gov.vn" and made["search"]["expected_messages"] == 1
    assert "mật" not in json.dumps(made["record"], ensure_ascii=False), "the subject is not recorded"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "thiếu sender, time_from, time_to, subject"),
        ({"message_id": "khong"}, "không phải là Message-ID"),
        ({**BY_ID, "sender": "a@b.vn"}, "cùng được ghi"),
        ({k: v for k, v in WINDOW.items() if k != "subject"}, "thiếu subject"),
        ({**WINDOW, "time_to": "2026-11-28"}, "không quá 7 ngày"),
        ({**WINDOW, "time_to": "2026-11-20"}, "phải dài hơn 0"),
        ({**WINDOW, "time_from": "hôm qua"}, "không phải là ngày"),
        (WINDOW, "thiếu messages: chạy --check trước"),
        ({k: v for k, v in BY_ID.items() if k != "document_number"}, "thiếu document_number"),
        ({**BY_ID, "document_date": "2026-12-01"}, "ở tương lai"),
        ({k: v for k, v in BY_ID.items() if k != "operator"}, "thiếu operator"),
    ],
)
def test_what_is_missing_is_said(given, said):
    assert said in problems(given)


def test_all_problems_at_once():
    assert len(problems({"message_id": "x"}).splitlines()) == 4


def test_preview_needs_no_count():
    assert plan(WINDOW, True, False, True, NOW)["search"]["expected_messages"] is None


def test_emergency_goes_without_paper():
    given = {name: BY_ID[name] for name in ("message_id", "reason", "operator")}
    made = plan(given | {"emergency": "true"}, True, False, False, NOW)
    assert made["record"]["document"] == ""
    assert any("THIẾU VĂN BẢN" in words for words in table(made["record"], outcome([]), False))


@pytest.mark.parametrize(
    ("second", "said"), [("", "thiếu approved_by"), ("LÊ VĂN TRỰC", "phải là người khác"), ("Le\u0302 Văn Trực", "khác")]
)
def test_two_persons(second, said):
    assert said in problems(BY_ID | {"approved_by": second}, two_persons=True)


def test_two_persons_who_differ():
    assert plan(BY_ID | {"approved_by": "Trần Thị Duyệt"}, True, True, False, NOW)["record"]["approved_by"] == "Trần Thị Duyệt"
    assert plan(BY_ID, True, True, True, NOW), "a preview needs one person"


def test_policy_that_forbids_it():
    assert "secrets.recall" in problems(BY_ID, allowed=False)


def test_evidence(tmp_path):
    record = plan(BY_ID, True, False, False, NOW)["record"]
    held, kept = COPY | {"folder": "Quarantine/Held"}, COPY | {"folder": "Record/2026-11"}
    snapshot = {"id": "0a1b2c3d", "time": "2026-11-21T01:00:00"}
    found = outcome([{"mx": {"copies": [], "left": 0, "outside": ["x@ngoai.vn"]}},
                     {"box": {"copies": [COPY, held, kept], "left": 0, "answers": 2, "snapshots": [snapshot]}}])  # fmt: skip
    told = "\n".join(table(record, found, False))
    assert "Đã gỡ: 3 bản của 1 thư, 1 hộp thư (hộp thư 1, khu cách ly 1, bản lưu 1)" in told
    assert "ĐÃ RA NGOÀI hệ thống, phải báo nơi nhận tự xóa: x@ngoai.vn" in told
    assert "2 thư trả lời" in told and "0a1b2c3d (2026-11-21 01:00:00)" in told
    entry = line(record, found)
    assert entry["result"] == "done" and entry["after"]["removed"] == 3 and entry["after"]["body_sha256"] == ["2" * 64]
    path = write_evidence(tmp_path / "operations", record, found, "7:" + "a" * 64, NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text(encoding="utf-8"))["journal_head"].startswith("7:")


def test_what_failed_is_recorded_as_failed():
    record = plan(BY_ID, True, False, False, NOW)["record"]
    found = outcome([{"mx": {"unreachable": True}}, {"box": {"msg": "doveadm: exit status 75", "copies": [COPY], "left": 1}}])
    entry = line(record, found)
    assert entry["result"].startswith("KHÔNG TRỌN VẸN") and entry["after"]["removed"] == 0
    assert any("LỖI box: doveadm" in words for words in table(record, found, False))


def test_as_a_program():
    argv = [sys.executable, "-m", "congvu_mail.recall", "plan"]
    asked = json.dumps({"given": {}, "allowed": True, "two_persons": False})
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Chưa làm gì." in done.stderr and not done.stdout


# --- the module's own decisions -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("mail_recall", ROOT / "library/mail_recall.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def wanted(module, **given):
    return module.Wanted({"message_id": "", "sender": "", "since": None, "before": None, "subject": ""} | given)


def test_only_the_whole_message_id(module):
    one = wanted(module, message_id="<b@tinh.gov.vn>")
    assert one.meant("<b@tinh.gov.vn>", "", "") and one.meant(" <b@tinh.gov.vn>\r\n", "", "")
    assert not one.meant("<ab@tinh.gov.vn>", "", "") and not one.meant(None, "", "")


def test_sender_and_subject_as_people_read_them(module):
    one = wanted(module, sender="an@tinh.gov.vn", since=100, before=200, subject="Phương án")
    coded = "=?utf-8?b?VuG7gSBwaMawxqFuZyDDoW4=?="  # Về phương án
    assert one.meant("", "Nguyễn An <AN@tinh.gov.vn>", coded)
    assert not one.meant("", "Nguyễn An <lan@tinh.gov.vn>", coded)
    assert not one.meant("", "an@tinh.gov.vn", "Lịch họp")
    header = f"From: an@tinh.gov.vn\r\nSubject: {coded}\r\n".encode()
    assert one.in_header(header, 150) and not one.in_header(header, 200)


def test_digest_of_the_body_is_that_of_all_copies(module):
    def digests(raw, size):
        place = [0]

        def read(_):
            piece = raw[place[0] : place[0] + size]
            place[0] += size
            return piece

        return module.digests(read)

    stored, on_the_wire = b"Received: here\nSubject: x\n\na\nb\n", b"Subject: x\r\n\r\na\r\nb\r\n"
    assert digests(stored, 4)["body_sha256"] == digests(on_the_wire, 1000)["body_sha256"]
    assert digests(stored, 4) == digests(stored, 1000)
    assert all(digests(on_the_wire, size) == digests(on_the_wire, 1000) for size in range(1, 9))
    assert digests(stored, 4)["sha256"] != digests(on_the_wire, 1000)["sha256"]
