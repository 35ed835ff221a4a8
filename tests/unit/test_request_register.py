"""Requests: deadlines by province and start, what counts as done in time, the table and the written answers."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clock_data import PROVINCES, ROOT

from congvu_mail import registers
from congvu_mail.request_register import REGISTER, RequestError, Rules, answers, cases, summary
from congvu_mail.working_days import Calendar

CALENDAR = Calendar.vietnam(2000, 2028)
TODAY = dt.date(2026, 11, 20)  # a Friday
ORGANISATIONS = "code,kind,name\nSYT,department,Sở Y tế <&>\n"
PEOPLE = "code,full_name,organisation\nN1,Phạm Thị Lan,SYT\n"
ISSUED = "code,local_part,current\nN1,lanpt,true\nN1,cu,false\n"
HEADER = "id,received,channel,document_number,document_date,act,code,content,complete,done,reply_number,reply_date,result,note\n"


def policy(province):
    return yaml.safe_load((ROOT / f"inventories/{province}/group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]


@pytest.fixture
def register(tmp_path):
    """Makes a register with one request for each mapping of columns."""

    def make(*requests):
        columns = HEADER.strip().split(",")
        rows = [
            ",".join(({"id": f"YC-{number}", "act": "create", "code": "N1"} | request).get(column, "") for column in columns)
            for number, request in enumerate(requests, 1)
        ]
        for name, content in (
            ("organisations", ORGANISATIONS),
            ("people", PEOPLE),
            ("issued", ISSUED),
            ("requests", HEADER + "\n".join(rows)),
        ):
            (tmp_path / f"{name}.csv").write_text(content, encoding="utf-8")
        return registers.read(tmp_path)

    return make


def only(register, province, closing=None, **request):
    (case,) = cases(register({"received": "2026-11-09"} | request), Rules.from_policy(policy(province)), CALENDAR, TODAY, closing)
    return case


# Received on Monday 9 November 2026, complete on the 10th, done on the 11th: the last day by each text.
DUE = {
    "ninh-binh": {"create": "12", "change": "12", "delete": "12"},
    "bac-giang": {"create": "12", "change": "11", "reset": "12", "delete": "12"},  # reset and delete: from complete information
    "quang-tri": {"create": "16", "change": "16", "delete": "16", "restore": "12"},
    "soc-trang": {"create": "16", "change": "16", "reset": "16", "delete": "16", "restore": "16"},  # from handling
    "tien-giang": {"create": None, "change": None, "reset": None, "delete": None},
}


@pytest.mark.parametrize(("province", "act", "day"), [(p, a, d) for p in PROVINCES for a, d in DUE[p].items()])
def test_deadlines_are_those_of_the_text(register, province, act, day):
    case = only(register, province, act=act, complete="2026-11-10", done="2026-11-11")
    assert case.due == (day and dt.date(2026, 11, int(day)))


def test_suspension_has_no_deadline(register):
    assert only(register, "ninh-binh", act="suspend").state == "handling"


@pytest.mark.parametrize(
    ("province", "request_", "state", "days"),
    [
        ("quang-tri", {}, "overdue", 9),
        ("quang-tri", {"received": "2026-11-13"}, "open", 5),
        ("quang-tri", {"done": "2026-11-16", "reply_date": "2026-11-16"}, "in_time", 5),
        ("quang-tri", {"done": "2026-11-16", "reply_date": "2026-11-17"}, "late", 6),
        ("quang-tri", {"done": "2026-11-16"}, "overdue", 9),  # the answer belongs to it
        ("quang-tri", {"result": "refused", "reply_date": "2026-11-13"}, "in_time", 4),
        ("quang-tri", {"result": "refused"}, "overdue", 9),
        ("bac-giang", {"act": "reset"}, "waiting", None),
        ("bac-giang", {"act": "reset", "complete": "2026-11-18"}, "open", 2),
        ("bac-giang", {"act": "reset", "complete": "2026-11-17"}, "overdue", 3),
        ("soc-trang", {}, "handling", None),
        ("soc-trang", {"done": "2026-11-17"}, "open", 3),
        ("soc-trang", {"done": "2026-11-16"}, "overdue", 4),
        ("soc-trang", {"done": "2026-11-16", "reply_date": "2026-11-19"}, "in_time", 3),
        ("tien-giang", {}, "handling", 9),
        ("tien-giang", {"done": "2026-11-16", "reply_date": "2026-11-19"}, "done", 8),
    ],
)
def test_where_a_request_stands(register, province, request_, state, days):
    case = only(register, province, **request_)
    assert (case.state, case.days) == (state, days)


def test_after_closing_time(register):
    closing = dt.time(17)
    assert only(register, "quang-tri", closing, received="2026-11-09 17:00").due == dt.date(2026, 11, 16)
    assert only(register, "quang-tri", closing, received="2026-11-09 17:01").due == dt.date(2026, 11, 17)
    assert only(register, "quang-tri", None, received="2026-11-09 17:01").due == dt.date(2026, 11, 16)


@pytest.mark.parametrize(
    ("request_", "remark"),
    [
        ({"code": "N9"}, "không có mã N9 trong sổ đăng ký"),
        ({"channel": "paper"}, "hình thức gửi “văn bản giấy” không thuộc Quy chế"),
        ({"done": "2026-12-01"}, "có ngày ở tương lai"),
        ({"done": "2026-11-08"}, "có ngày trước ngày nhận"),
        ({"done": "2026-11-12", "reply_date": "2026-11-11"}, "trả lời trước khi thực hiện"),
        ({"channel": "document", "done": "2026-11-11", "reply_date": "2026-11-12"}, ""),
    ],
)
def test_remarks(register, request_, remark):
    assert only(register, "quang-tri", **request_).remark == remark


def test_every_request_that_cannot_be_followed_is_named(register):
    found = register({"received": "1926-11-09"}, {"received": "2026-11-09"}, {"received": "9026-11-09"}, {"act": ""})
    with pytest.raises(RequestError) as error:
        cases(found, Rules.from_policy(policy("quang-tri")), CALENDAR, TODAY)
    assert [line[:27] for line in str(error.value).splitlines()] == [f"requests.csv, yêu cầu YC-{number}:" for number in (1, 3, 4)]
    assert str(error.value).endswith("yêu cầu YC-4: trống ô received, act; ghi ngày nhận và việc")


def test_the_table_begins_with_what_is_urgent(register):
    found = register(
        {"received": "2026-11-13"},
        {"received": "2026-11-09"},
        {"received": "2026-11-02", "done": "2026-11-09", "reply_date": "2026-11-09", "reply_number": "1"},
        {"received": "2026-11-02", "done": "2026-11-10", "reply_date": "2026-11-10", "reply_number": "2"},
        {"received": "2026-11-19", "act": "restore"},
    )
    lines = summary(cases(found, Rules.from_policy(policy("quang-tri")), CALENDAR, TODAY))
    assert lines == [
        "Yêu cầu: 5 (1 QUÁ HẠN, 2 trong hạn, 1 xong trễ hạn, 1 xong đúng hạn)",
        "Cấp mới: đúng hạn 1/3, trễ hạn 1, quá hạn chưa xong 1",
        "QUÁ HẠN | YC-2 | Cấp mới | N1 | Phạm Thị Lan | nhận 09/11/2026 | hạn 16/11/2026",
        "trong hạn | YC-1 | Cấp mới | N1 | Phạm Thị Lan | nhận 13/11/2026 | hạn 20/11/2026",
        "trong hạn | YC-5 | Khôi phục | N1 | Phạm Thị Lan | nhận 19/11/2026 | hạn 25/11/2026",
    ]


def letters(register, province, **request):
    found = register({"received": "2026-11-09"} | request)
    return answers(cases(found, Rules.from_policy(policy(province)), CALENDAR, TODAY), found, policy(province))


def test_a_written_answer(register):
    made = letters(
        register, "ninh-binh", id="12/ĐN", document_number="7/SYT-VP", document_date="2026-11-06", done="2026-11-11", content="Cấp hộp thư"
    )
    ((name, content),) = made.items()
    text = content.decode("utf-8")
    assert name == "12_2f_c4_90N.html"
    for words in (
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM",
        "Kính gửi: Sở Y tế &lt;&amp;&gt;",
        "nhận được ngày 09/11/2026 văn bản số 7/SYT-VP ngày 06/11/2026 về việc: Cấp hộp thư.",
        "Căn cứ Điều 6 khoản 2 Quy chế quản lý, vận hành và sử dụng Hệ thống thư điện tử công vụ",
        "ban hành kèm theo Quyết định số 28/2020/QĐ-UBND",
        "Đã thực hiện ngày 11/11/2026: cấp mới hộp thư của Phạm Thị Lan, địa chỉ lanpt@ninhbinh.gov.vn.",
    ):
        assert words in text


def test_a_refusal_says_why(register):
    ((_, content),) = letters(register, "soc-trang", result="refused", note="thiếu văn bản của cơ quan").items()
    assert "Không thực hiện được đề nghị cấp mới hộp thư của Phạm Thị Lan. Lý do: thiếu văn bản của cơ quan." in content.decode()


@pytest.mark.parametrize("request_", [{}, {"done": "2026-11-11", "reply_number": "33/STTTT"}])
def test_no_answer_before_it_is_done_or_when_there_is_one(register, request_):
    assert letters(register, "ninh-binh", **request_) == {}


def test_numbers_that_would_leave_the_folder(register):
    (name,) = letters(register, "ninh-binh", id="../../x", done="2026-11-11")
    assert "/" not in name and not name.startswith(".")


def run(folder, output, *arguments, **more):
    given = json.dumps({"policy": policy("quang-tri")} | more, default=str)
    command = [sys.executable, "-m", "congvu_mail.request_register", "--register", str(folder), "--output", str(output), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def test_the_command_writes_once(register, tmp_path):
    register({"received": "2026-11-09", "done": "2026-11-11"})
    output = tmp_path / "out"
    ahead = run(tmp_path, output, "--today", "2026-11-20", "--check")
    assert (json.loads(ahead.stdout)["changed"], output.exists()) == (True, False)
    first = json.loads(run(tmp_path, output, "--today", "2026-11-20").stdout)
    assert first["changed"]
    assert "Văn bản trả lời chờ ký, gửi: 1" in first["summary"]
    assert sorted(path.name for path in output.rglob("*") if path.is_file()) == sorted([REGISTER, "YC-1.html"])
    assert Path(output, REGISTER).read_bytes().startswith(b"\xef\xbb\xbf")
    assert not json.loads(run(tmp_path, output, "--today", "2026-11-20").stdout)["changed"]
    # Once its number is recorded, the letter is none to be sent any more.
    register({"received": "2026-11-09", "done": "2026-11-11", "reply_number": "3/STTTT", "reply_date": "2026-11-12"})
    assert json.loads(run(tmp_path, output, "--today", "2026-11-20").stdout)["changed"]
    assert [path.name for path in output.rglob("*") if path.is_file()] == [REGISTER]
    assert not json.loads(run(tmp_path, output, "--today", "2026-11-20").stdout)["changed"]


def test_the_command_knows_swap_days_and_closing_time(register, tmp_path):
    register({"received": "2026-11-09 18:00"})
    swap = [{"date": dt.date(2026, 11, 11), "working": False, "note": "hoán đổi"}]
    made = run(tmp_path, tmp_path / "out", "--today", "2026-11-10", calendar=swap, closing="17:00")
    assert "hạn 18/11/2026" in json.loads(made.stdout)["summary"][1]


def test_the_command_says_what_is_wrong(register, tmp_path):
    register({"received": "2026-11-09"})
    requests = tmp_path / "requests.csv"
    requests.write_text(requests.read_text(encoding="utf-8").replace("create", "xoa"), encoding="utf-8")
    wrong = run(tmp_path, tmp_path / "out")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "requests.csv, dòng 2, cột act, giá trị “xoa”" in wrong.stderr
    assert not (tmp_path / "out").exists()
    register({"received": "2026-11-09"})
    assert "deployment_calendar, mục 1" in run(tmp_path, tmp_path / "out", calendar=[{}]).stderr


@pytest.mark.parametrize("province", PROVINCES)
def test_the_sample_registers_have_no_remarks(province):
    found = cases(registers.read(ROOT / "registers" / province), Rules.from_policy(policy(province)), CALENDAR, TODAY)
    assert found
    assert [case.remark for case in found if case.remark] == []
