"""The journal: what an append writes, what a crash leaves, and what cannot be done to it without being seen."""

import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congvu_mail import journal
from congvu_mail.journal import FIELDS, Head, JournalError, append, verify

WHEN = dt.datetime(2026, 11, 22, 1, 30, tzinfo=dt.UTC)


def write(path, number, **more):
    for count in range(1, number + 1):
        head = append(path, act="suspend", operator="nguyenvana", result="done", mailbox=f"a{count}@quangtri.gov.vn", time=WHEN, **more)
    return head


@pytest.fixture
def file(tmp_path):
    return tmp_path / "journal.jsonl"


def lines(file):
    return file.read_bytes().splitlines(keepends=True)


def test_a_line_is_what_the_contract_says(file):
    head = append(
        file,
        act="suspend",
        operator="nguyenvana",
        result="done",
        mailbox="lanpt@quangtri.gov.vn",
        document="12/SKHCN-CĐS ngày 20/11/2026",
        reason="lộ mật khẩu\nđã đổi",
        before={"congvuState": "active"},
        after={"congvuState": "suspended"},
        time=WHEN,
    )
    (line,) = lines(file)
    entry = json.loads(line)
    assert list(entry) == sorted(["number", "hash", *FIELDS])
    assert entry["time"] == "2026-11-22T08:30:00+07:00"
    assert entry["reason"] == "lộ mật khẩu\nđã đổi"
    assert "Đ".encode() in line  # UTF-8, not escapes
    # The hash by hand.
    body = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert entry["hash"] == hashlib.sha256(("0" * 64 + "\n" + body).encode()).hexdigest()
    assert head == Head(1, entry["hash"])
    assert (file.parent / "journal.jsonl.head").read_text() == f"1:{entry['hash']}\n"
    assert file.stat().st_mode & 0o777 == 0o640


def test_the_chain(file):
    head = write(file, 5)
    verdict = verify(file)
    assert (verdict.entries, verdict.head, verdict.problems, verdict.remarks) == (5, head, [], [])
    assert verify(file, known=head).problems == []


def test_an_empty_journal_is_intact(file):
    assert verify(file).problems == []


# --- what somebody could do to it -------------------------------------------------------------------------------------


def without(position):
    return lambda found: found[:position] + found[position + 1 :]


def changed(position, old, new):
    def change(found):
        assert old in found[position]
        return [*found[:position], found[position].replace(old, new), *found[position + 1 :]]

    return change


def rehashed(found):
    """Line 3 changed by somebody who knows how the hash is made."""
    entry = json.loads(found[2]) | {"operator": "tranvanb"}
    entry["hash"] = journal._digest(entry, json.loads(found[1])["hash"])
    return [*found[:2], journal._canonical(entry).encode() + b"\n", *found[3:]]


TAMPERED = [
    ("content", changed(2, b"nguyenvana", b"nguyenvanb"), "dòng 3 (số 3): nội dung của dòng này hoặc mã băm của dòng trước đã bị sửa"),
    ("content and hash", rehashed, "dòng 4 (số 4): nội dung của dòng này hoặc mã băm của dòng trước đã bị sửa"),
    ("hash", changed(2, b'"hash":"', b'"hash":"0'), "dòng 3 (số 3): nội dung"),
    ("white space", changed(2, b'"act":', b'"act": '), "dòng 3: không phải là một dòng nhật ký"),
    ("a field more", changed(2, b'{"act"', b'{"aaa":1,"act"'), "dòng 3: không phải là một dòng nhật ký"),
    ("a line gone", without(2), "dòng 3: thiếu các dòng số 3 ở trước dòng số 4"),
    ("the first gone", without(0), "dòng 1: thiếu các dòng số 1 ở trước dòng số 2"),
    ("two gone", lambda found: found[:1] + found[3:], "dòng 2: thiếu các dòng số 2-3 ở trước dòng số 4"),
    ("order", lambda found: [found[0], found[2], found[1], *found[3:]], "dòng 3: số 2 đứng sau số 3, sai thứ tự hoặc ghi lặp"),
    ("twice", lambda found: [*found[:2], found[1], *found[2:]], "dòng 3: số 2 đứng sau số 2"),
    ("the end", without(4), "nhật ký bị cắt: tệp journal.jsonl.head ghi đến số 5, nhật ký chỉ đến số 4"),
    ("everything", lambda found: [], "nhật ký bị cắt: tệp journal.jsonl.head ghi đến số 5, nhật ký chỉ đến số 0"),
    ("a foreign line", lambda found: [*found[:2], b"rubbish\n", *found[2:]], "dòng 3: không phải là một dòng nhật ký"),
    ("an empty line", lambda found: [*found[:2], b"\n", *found[2:]], "dòng 3: không phải là một dòng nhật ký"),
]


@pytest.mark.parametrize(("tamper", "words"), [case[1:] for case in TAMPERED], ids=[case[0] for case in TAMPERED])
def test_tampering_is_found_and_stays_found(file, tamper, words):
    write(file, 5)
    file.write_bytes(b"".join(tamper(lines(file))))
    assert any(words in problem for problem in verify(file).problems)
    # Operation goes on, and does not cover it up.
    append(file, act="restore", operator="nguyenvana", result="done")
    assert verify(file).problems != []
    assert [entry["act"] for entry in journal.entries(file)][-1] == "restore"


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_byte_changed_or_cut_is_found(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(file, 3)
    raw = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        del raw[position : data.draw(st.integers(position + 1, len(raw)))]
    else:
        raw[position] ^= data.draw(st.integers(1, 255))
    file.write_bytes(bytes(raw))
    verdict = verify(file)
    # Only the very last line feed may be missing: then the last line counts as not finished, and the head says that it should be there.
    assert verdict.problems != []


def test_both_files_cut_or_rewritten_are_found_with_a_head_kept_elsewhere(file):
    known = write(file, 5)
    file.write_bytes(b"")
    os.unlink(f"{file}.head")
    append(file, act="restore", operator="x", result="done")
    assert "nhật ký bị cắt: đầu đã lưu riêng ghi đến số 5, nhật ký chỉ đến số 1" in verify(file, known=known).problems
    for _ in range(6):
        append(file, act="restore", operator="x", result="done")
    assert verify(file).problems == []
    assert "dòng số 5 khác với mã băm trong đầu đã lưu riêng: nhật ký đã bị viết lại" in verify(file, known=known).problems


@pytest.mark.parametrize(("content", "reason"), [(None, "tệp đầu nhật ký bị mất"), ("5:abc\n", "tệp đầu nhật ký bị hỏng")])
def test_a_lost_head_is_entered(file, content, reason):
    write(file, 5)
    head = file.parent / "journal.jsonl.head"
    head.unlink()
    if content:
        head.write_text(content)
    assert any("tệp đầu nhật ký" in problem for problem in verify(file).problems)
    append(file, act="restore", operator="nguyenvana", result="done")
    assert [(entry["act"], entry["reason"]) for entry in journal.entries(file)][-2:] == [("journal-repair", reason), ("restore", "")]
    assert verify(file).problems == []


def test_the_head_may_be_kept_elsewhere(file, tmp_path):
    elsewhere = tmp_path / "other" / "head"
    elsewhere.parent.mkdir()
    write(file, 2, head=elsewhere)
    assert not (file.parent / "journal.jsonl.head").exists()
    assert verify(file, elsewhere).problems == []


# --- crashes ----------------------------------------------------------------------------------------------------------


@given(cut=st.integers(1, 300), again=st.integers(0, 300))
@settings(max_examples=80, deadline=None)
def test_a_half_line_breaks_nothing(tmp_path_factory, cut, again):
    """A write that stopped anywhere, and a repair of it that stopped anywhere too."""
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(file, 2)
    before, head = file.read_bytes(), (file.parent / "journal.jsonl.head").read_bytes()
    for part in (cut, again):
        start = file.read_bytes()
        append(file, act="delete", operator="nguyenvana", result="done", mailbox="đặng@quangtri.gov.vn")
        whole = file.read_bytes()
        file.write_bytes(whole[: min(len(start) + part, len(whole))])
        (file.parent / "journal.jsonl.head").write_bytes(head)
    assert file.read_bytes().startswith(before)
    append(file, act="restore", operator="nguyenvana", result="done")
    verdict = verify(file)
    assert (verdict.problems, [entry["act"] for entry in journal.entries(file)][-1]) == ([], "restore")
    assert file.read_bytes().startswith(before)


def test_the_remains_are_kept_and_named(file):
    write(file, 2)
    with file.open("ab") as stream:
        stream.write('{"act":"xóa'.encode()[:-1])
    assert verify(file).remarks == ["dòng 3: ghi dở, chưa kết thúc; lần ghi sau sẽ đóng lại"]
    append(file, act="restore", operator="nguyenvana", result="done")
    repair, last = list(journal.entries(file))[-2:]
    assert (repair["act"], last["act"]) == ("journal-repair", "restore")
    assert repair["before"] == ['{"act":"xóa'.encode()[:-1].decode("utf-8", "backslashreplace")]
    assert verify(file).remarks == ["dòng 3: ghi dở khi máy dừng đột ngột, đã ghi nhận ở dòng số 3"]


def test_a_foreign_line_at_the_end_is_found_and_entered(file):
    write(file, 2)
    with file.open("ab") as stream:
        stream.write(b"rubbish\n")
    assert verify(file).problems == ["dòng 3: không phải là một dòng nhật ký"]
    append(file, act="restore", operator="nguyenvana", result="done")
    assert next(entry["before"] for entry in journal.entries(file) if entry["act"] == "journal-repair") == ["rubbish"]
    assert len(verify(file).remarks) == 1


def test_a_line_without_its_line_feed_counts(file):
    write(file, 3)
    file.write_bytes(file.read_bytes()[:-1])
    append(file, act="restore", operator="nguyenvana", result="done")
    assert [entry["number"] for entry in journal.entries(file)] == [1, 2, 3, 4]
    assert verify(file).problems == []


def test_a_kill_between_line_and_head(file):
    write(file, 2)
    head = (file.parent / "journal.jsonl.head").read_bytes()
    write(file, 1)
    (file.parent / "journal.jsonl.head").write_bytes(head)
    verdict = verify(file)
    assert (verdict.problems, verdict.remarks) == ([], ["tệp đầu nhật ký dừng ở số 2; lần ghi sau sẽ bổ sung"])
    append(file, act="restore", operator="nguyenvana", result="done")
    assert (verify(file).problems, verify(file).remarks) == ([], [])


WRITER = """
import sys
from congvu_mail.journal import append
for count in range(int(sys.argv[2])):
    append(sys.argv[1], act="change", operator=sys.argv[3], result="done", reason="x" * 5000)
"""


def writer(file, count, name):
    return subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(count), name])


def test_writers_wait_for_each_other(file):
    for process in [writer(file, 20, f"w{number}") for number in range(4)]:
        assert process.wait(60) == 0
    verdict = verify(file)
    assert (verdict.entries, verdict.problems) == (80, [])


def test_killed_writers(file):
    for number in range(6):
        process = writer(file, 100_000, "w")
        before = file.stat().st_size if file.exists() else 0
        while not file.exists() or file.stat().st_size < before + 20_000 * (number + 1):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        append(file, act="restore", operator="nguyenvana", result="done")
        assert verify(file).problems == []


def test_what_cannot_be_written_is_an_error_and_leaves_the_journal_whole(file):
    head = write(file, 2)
    for wrong, words in (
        ({"act": " "}, "thiếu act"),
        ({"operator": ""}, "thiếu operator"),
        ({"result": ""}, "thiếu result"),
        ({"time": dt.datetime(2026, 11, 22)}, "không có múi giờ"),
        ({"before": {1, 2}}, "không ghi được dưới dạng JSON"),
        ({"after": float("nan")}, "không ghi được dưới dạng JSON"),
        ({"reason": "\ud800"}, "không ghi được dưới dạng JSON"),
    ):
        with pytest.raises(JournalError, match=words):
            append(file, **({"act": "change", "operator": "a", "result": "done"} | wrong))
    with pytest.raises(JournalError, match="không ghi được nhật ký .*kiểm tra dung lượng đĩa và quyền ghi"):
        append(file.parent / "none" / "journal", act="change", operator="a", result="done")
    assert verify(file, known=head).problems == []
    assert verify(file).entries == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.text(),
)
@settings(max_examples=60, deadline=None)
def test_any_content(tmp_path_factory, value, text):
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    for _ in range(2):
        append(file, act="change", operator="a", result="done", before=value, reason=text, mailbox=text)
    verdict = verify(file)
    assert (verdict.entries, verdict.problems) == (2, [])
    assert next(journal.entries(file))["reason"] == text


# --- the commands -----------------------------------------------------------------------------------------------------


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "congvu_mail.journal", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_verify_as_a_command(file):
    head = write(file, 3)
    good = run("verify", file, "--known", head)
    assert (good.returncode, good.stdout) == (0, f"Nhật ký nguyên vẹn; 3 dòng; đầu nhật ký {head}\n")
    file.write_bytes(b"".join(lines(file)[:2]))
    bad = run("verify", file)
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[0] == "LỖI    nhật ký bị cắt: tệp journal.jsonl.head ghi đến số 3, nhật ký chỉ đến số 2"
    assert run("verify", file.parent / "none").returncode == 1
    assert run("verify", file, "--known", "abc").returncode == 2


def test_show_as_a_command(file):
    write(file, 2)
    append(
        file,
        act="restore",
        operator="Trần Thị Bình",
        result="done",
        mailbox="x@quangtri.gov.vn",
        reason="a\x1b[31m\nb" + "c" * 90,
        time=WHEN,
    )
    shown = run("show", file)
    assert shown.returncode == 0
    title, *rows = shown.stdout.splitlines()
    assert title.split() == ["STT", "Thời", "điểm", "Việc", "Hộp", "thư", "Văn", "bản", "Người", "thực", "hiện", "Kết", "quả", "Lý", "do"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert "22/11/2026 08:30" in rows[2]
    assert "\x1b" not in shown.stdout
    assert rows[2].endswith("…")
    only = run("show", file, "--act", "restore").stdout.splitlines()
    assert len(only) == 2
    assert len(run("show", file, "--mailbox", "a1@quangtri.gov.vn").stdout.splitlines()) == 2


def test_the_file_runs_alone(file, tmp_path):
    """Copied to a host without the package."""
    write(file, 2)
    alone = tmp_path / "alone.py"
    alone.write_bytes(Path(journal.__file__).read_bytes())
    found = subprocess.run([sys.executable, "-I", "-S", str(alone), "verify", str(file)], capture_output=True, text=True, check=False)
    assert (found.returncode, "nguyên vẹn" in found.stdout) == (0, True)
