"""Reports: periods, the figures of every table against those of a made-up province, the page, the annexes."""

import base64
import csv
import datetime as dt
import io
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from address_book_data import policy
from clock_data import PROVINCES
from report_data import VIETNAM, figures, made

from congvu_mail import acts, journal, report, report_pages
from congvu_mail.periods import Period

WINDOWS = {"morning_start": ["07:00", "09:00"], "afternoon_start": ["13:00", "15:00"]}


def table(found, title):
    """The rows of a table as {first cell: row}."""
    (block,) = [b for part in found.parts for b in part.blocks if isinstance(b, report.Table) and b.title.startswith(title)]
    return {row[0]: list(row) for row in block.rows}


def text(found):
    return "\n".join(b.text for part in found.parts for b in part.blocks if isinstance(b, report.Text))


# --- periods --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "first", "last", "title"),
    [
        ("2026-11", "2026-11-01", "2026-11-30", "tháng 11 năm 2026"),
        ("2028-02", "2028-02-01", "2028-02-29", "tháng 2 năm 2028"),
        ("2026-Q4", "2026-10-01", "2026-12-31", "quý IV năm 2026"),
        ("2026-H1", "2026-01-01", "2026-06-30", "6 tháng đầu năm 2026"),
        ("2026-H2", "2026-07-01", "2026-12-31", "6 tháng cuối năm 2026"),
        ("2026", "2026-01-01", "2026-12-31", "năm 2026"),
    ],
)
def test_period(key, first, last, title):
    period = Period.parse(key)
    assert (period.first.isoformat(), period.last.isoformat(), period.title) == (first, last, title)
    assert dt.datetime.fromtimestamp(period.since, VIETNAM).isoformat() == f"{first}T00:00:00+07:00"
    assert dt.datetime.fromtimestamp(period.until - 1, VIETNAM).isoformat() == f"{last}T23:59:59+07:00"


@pytest.mark.parametrize("key", ["", "2026-13", "2026-Q5", "2026-H3", "11/2026", "26-11", "2026-1", "2026\n"])
def test_no_period(key):
    with pytest.raises(ValueError, match="ghi tháng 2026-11"):
        Period.parse(key)


def test_a_period_to_come_has_no_report():
    with pytest.raises(report.ReportError, match="chưa bắt đầu"):
        made("quang-tri", "2027-01")


# --- who asks for which report --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("province", "period", "organisation", "kind", "grounds"),
    [
        ("soc-trang", "2026-11", "", "usage", "Điều 9 khoản 13"),
        ("soc-trang", "2026-Q4", "", "usage", "Điều 9 khoản 13"),
        ("soc-trang", "2026", "", "result", "Điều 9 khoản 13"),
        ("tien-giang", "2026", "", "result", "Điều 12 khoản 8, hạn ngày 15/12"),
        ("tien-giang", "2026", "X", "result", "Điều 15 khoản 5, hạn trước ngày 05/12"),
        ("ninh-binh", "2026", "X", "result", "Điều 13 khoản 6, hạn trước ngày 15/12"),
        ("bac-giang", "2026-H2", "X", "user_list", "Điều 16 khoản 6"),
        ("quang-tri", "2026-11", "", "result", "báo cáo đột xuất"),
    ],
)
def test_type_is_that_of_the_regulation(province, period, organisation, kind, grounds):
    assert report.wanted_type(policy(province), Period.parse(period), organisation) == (kind, grounds)


# --- figures --------------------------------------------------------------------------------------------------------------


def test_mailboxes_by_kind_and_state():
    found = made("quang-tri", "2026-11")
    entries = figures("quang-tri")["directory"]["entries"]

    def count(kind, state):
        return sum(e["congvuKind"] == [kind] and e["congvuState"] == [state] for e in entries)

    rows = table(found, "Hộp thư theo loại và trạng thái")
    for title, kind in (("Hộp thư cơ quan, đơn vị", "organisation"), ("Hộp thư cá nhân", "person")):
        assert rows[title][1:4] == [count(kind, state) for state in ("active", "suspended", "terminated")]
        assert rows[title][4] == sum(rows[title][1:4])
    assert rows["Tổng số"][4] == len(entries)


def small(*people):
    """Figures of a province with one organisation and these people's entries."""
    body = {"uid": ["o"], "congvuCode": ["QT-SNV"], "congvuKind": ["organisation"], "congvuState": ["active"], "cn": ["Sở Nội vụ"],
            "mail": ["snv@quangtri.gov.vn"], "mailLocalAddress": ["snv@quangtri.gov.vn"], "businessCategory": ["province_agency"],
            "congvuQuota": ["1000"], "congvuIssued": ["20260105020000Z"]}  # fmt: skip
    found = figures("quang-tri", [body, *people])
    found["mail"][0] |= {"logins": {}, "usage": {}, "openings": {}}
    return found


def test_access_counts_from_every_source():
    people = [{"uid": [str(n)], "congvuCode": [f"P{n}"], "congvuKind": ["person"], "congvuState": ["active"], "cn": [f"N {n}"],
               "mail": [f"p{n}@x.vn"], "congvuOrganisation": ["QT-SNV"], "congvuQuota": ["1000"]} for n in range(4)]  # fmt: skip
    people[0]["congvuLastAccess"] = ["20261130165959Z"]  # 23:59 on the last day, in Viet Nam
    people[1]["congvuLastAccess"] = ["20261130170000Z"]  # the next day
    given = small(*people)
    given["mail"][0]["last_login"] = {"2": int(dt.datetime(2026, 11, 1, tzinfo=VIETNAM).timestamp())}
    given["mail"][0]["logins"] = {"3": [1, 1, int(dt.datetime(2026, 11, 3, tzinfo=VIETNAM).timestamp())]}
    rows = table(made("quang-tri", "2026-11", **given), "Hộp thư có truy cập trong kỳ")
    assert rows["Hộp thư cá nhân"] == ["Hộp thư cá nhân", 4, 3, "75,0%", 1]
    assert rows["Hộp thư cơ quan"] == ["Hộp thư cơ quan", 1, 0, "0,0%", 1]


@pytest.mark.parametrize(
    ("times", "persons_only", "kept"),
    [
        ([[450, "a"], [800, "a"]], False, 1),
        ([[450, "a"], [470, "a"]], False, 0),  # both in the morning
        ([[419, "a"], [800, "a"]], False, 0),  # before seven
        ([[540, "a"], [800, "a"]], False, 0),  # nine is too late
        ([[450, ""], [800, ""]], False, 1),
        ([[450, ""], [800, "a"]], True, 0),  # nobody knows who opened it in the morning
        ([], False, 0),
    ],
)
def test_openings_in_every_window(times, persons_only, kept):
    rule = {"per_working_day": 2, "windows": ["morning_start", "afternoon_start"]}
    day = dt.date(2026, 11, 20)
    assert report.days_kept({day.isoformat(): times}, rule, WINDOWS, [day], persons_only) == kept


def test_check_frequency_counts_working_days():
    given = small()
    days = [dt.date(2026, 11, day) for day in range(1, 31)]
    given["mail"][0]["openings"] = {"o": {day.isoformat(): [[450, "snv@quangtri.gov.vn"], [800, "vt@quangtri.gov.vn"]] for day in days}}
    row = table(made("quang-tri", "2026-11", **given), "Tần suất kiểm tra hộp thư cơ quan")["Sở Nội vụ"]
    # November 2026 has 21 days from Monday to Friday, one of them a holiday (24 November).
    assert row[2:] == [20, 20, "100,0%", 40, 20, report.MET]
    del given["mail"][0]["openings"]["o"]["2026-11-20"]
    found = made("quang-tri", "2026-11", **given)
    assert table(found, "Tần suất kiểm tra hộp thư cơ quan")["Sở Nội vụ"][2:] == [20, 19, "95,0%", 38, 19, report.NOT_MET]
    assert any("1 hộp thư cơ quan không được kiểm tra" in line for line in found.findings)
    clause = policy("quang-tri")["check_frequency"]["organisation"]["clause"]
    assert table(found, "Đối chiếu")[clause][3] in (report.NOT_MET, report.BY_HAND)


def test_check_frequency_of_persons_is_by_organisation_and_for_a_person_to_conclude():
    """Quảng Trị, Điều 12 khoản 2: twice a working day; a leave on record is not counted."""
    people = [{"uid": [str(n)], "congvuCode": [f"P{n}"], "congvuKind": ["person"], "congvuState": ["active"], "cn": [f"N {n}"],
               "mail": [f"p{n}@x.vn"], "congvuOrganisation": ["QT-SNV"], "congvuQuota": ["1000"], "congvuIssued": ["20260105020000Z"]}
              for n in range(3)]  # fmt: skip
    people[2]["congvuLeaveUntil"] = ["20261127050000Z"]  # a Friday: only Monday 30 November is left
    given = small(*people)
    days = [dt.date(2026, 11, day).isoformat() for day in range(1, 31)]
    given["mail"][0]["openings"] = {
        "0": {day: [[450, ""], [800, ""]] for day in days},
        "1": {day: [[450, ""], [800, ""]] if day != "2026-11-20" else [[450, ""]] for day in days},
        "2": {"2026-11-30": [[450, ""], [800, ""]]},
    }
    found = made("quang-tri", "2026-11", **given)
    row = table(found, "Tần suất kiểm tra hộp thư cá nhân")["Sở Nội vụ"]
    assert row == ["Sở Nội vụ", 3, 41, 40, "97,6%", 2]
    clause = policy("quang-tri")["check_frequency"]["person"]["clause"]
    assert table(found, "Đối chiếu")[clause][2:] == ["40/41 ngày làm việc của hộp thư cá nhân đạt (97,6%)", report.BY_HAND]
    given["mail"][0]["openings"]["1"]["2026-11-20"].append([800, ""])
    assert table(made("quang-tri", "2026-11", **given), "Tần suất kiểm tra hộp thư cá nhân")["Sở Nội vụ"][4:] == ["100,0%", 3]


@pytest.mark.parametrize("province", ["ninh-binh", "bac-giang", "soc-trang", "tien-giang"])
def test_no_figure_where_the_regulation_has_none(province):
    texts = [block.text for part in made(province, "2026-11").parts for block in part.blocks if isinstance(block, report.Text)]
    assert "Quy chế không quy định số lần kiểm tra hộp thư cá nhân." in texts


def test_days_before_the_log_are_not_held_against_anybody():
    given = small()
    given["mail"][0]["log_from"] = int(dt.datetime(2026, 11, 26, 12, tzinfo=VIETNAM).timestamp())
    found = made("quang-tri", "2026-11", **given)
    assert table(found, "Tần suất kiểm tra hộp thư cơ quan")["Sở Nội vụ"][2] == 2  # 27 and 30 November
    notes = [b.note for part in found.parts for b in part.blocks if isinstance(b, report.Table)]
    assert any("Nhật ký chỉ có từ ngày 26/11/2026" in note for note in notes)


def test_requests_against_their_deadlines():
    rows = table(made("quang-tri", "2026"), "Thời hạn xử lý yêu cầu")
    assert rows["Cấp mới"][:4] == ["Cấp mới", "5 ngày làm việc", 2, 2]
    assert rows["Thay đổi thông tin"][5] == 1  # YC-2026-004 of 18 November was still open on 2 December
    assert any("1 yêu cầu quá hạn" in line for line in made("quang-tri", "2026").findings)


def test_mail_flow_and_refusals():
    found = made("soc-trang", "2026-11")
    assert table(found, "Lưu lượng thư")["Cả kỳ"][2:4] == [33000, 6300]
    rows = table(found, "Thư bị chặn")
    assert [rows[report.BLOCKED[r]][1] for r in ("spam", "virus", "attachment", "forward", "recipient", "relay")] == [240, 12, 31, 4, 95, 3]
    assert "Đăng nhập sai trong kỳ: 50 lượt" in text(found)


def test_recalls_and_a_missing_document():
    found = made("soc-trang", "2026-11")
    (block,) = [b for part in found.parts for b in part.blocks if isinstance(b, report.Table) and b.title == "Các lần gỡ bỏ thư"]
    assert [row[1] for row in block.rows] == ["12/SNV ngày 18/11/2026", "CHƯA CÓ VĂN BẢN"]
    assert any("1 lần gỡ bỏ thư khẩn cấp chưa có văn bản" in line for line in found.findings)


def test_passwords_past_their_age():
    given = small({"uid": ["1"], "congvuCode": ["P1"], "congvuKind": ["person"], "congvuState": ["active"], "congvuClass": ["user"],
                   "cn": ["N"], "mail": ["p@x.vn"], "congvuOrganisation": ["QT-SNV"], "pwdChangedTime": ["20260301000000Z"],
                   "pwdAccountLockedTime": ["20261120000000Z"]})  # fmt: skip
    row = table(made("quang-tri", "2026", **given), "Chính sách mật khẩu")["Người dùng, cơ quan"]
    age = policy("quang-tri")["password"]["user"]["max_age_months"]["value"]
    assert row[3:] == [2, 1 if age and age <= 8 else 0, 0, 1]


def test_divisions_of_two_agencies_can_be_told_apart():
    shares = table(made("quang-tri", "2026-11"), "Sử dụng theo cơ quan")
    assert "Văn phòng, Sở Khoa học và Công nghệ" in shares and "Văn phòng" not in shares


def test_lists_of_inactive_and_suspended():
    states = (("active", "20261001020000Z"), ("active", "20261101020000Z"), ("suspended", "20260101020000Z"))
    given = small(*[
        {"uid": [str(n)], "congvuCode": [f"P{n}"], "congvuKind": ["person"], "congvuState": [state], "cn": [f"N {n}"],
         "mail": [f"p{n}@x.vn"], "congvuOrganisation": ["QT-SNV"], "congvuIssued": ["20260105020000Z"], "congvuLastAccess": [access]}
        for n, (state, access) in enumerate(states)
    ])  # fmt: skip
    found = made("quang-tri", "2026-11", **given)
    # Two months are the first term of this province; the organisation never was opened since January.
    assert set(table(found, "Hộp thư không truy cập từ 2 tháng")) == {"p0@x.vn", "snv@quangtri.gov.vn"}
    assert set(table(found, "Hộp thư đang tạm khóa")) == {"p2@x.vn"}


def test_report_of_one_organisation():
    whole, part = made("quang-tri", "2026"), made("quang-tri", "2026", "QT-SKHCN")
    of_whole, of_part = (table(found, "Hộp thư theo loại")["Tổng số"][4] for found in (whole, part))
    assert 0 < of_part < of_whole
    assert part.organisation == "Sở Khoa học và Công nghệ"
    titles = [p.title for p in part.parts]
    assert report.LAYOUT["parts"]["security"] not in titles and report.LAYOUT["parts"]["use"] in titles
    assert {row[4] for row in part.annexes[1].rows} <= {
        "Sở Khoa học và Công nghệ",
        "Phòng Quản lý khoa học, Sở Khoa học và Công nghệ",
        "Văn phòng, Sở Khoa học và Công nghệ",
        "Trung tâm Chuyển đổi số",
    }
    with pytest.raises(report.ReportError, match="không có cơ quan mã ZZ"):
        made("quang-tri", "2026", "ZZ")


@pytest.mark.parametrize("province", PROVINCES)
def test_every_province_has_its_parts_and_every_table_its_source(province):
    found = made(province, "2026")
    layout = report.LAYOUT["types"]["result"]["parts"]
    assert [part.title for part in found.parts] == [report.LAYOUT["parts"][name] for name in layout]
    for part in found.parts:
        for block in part.blocks:
            if not isinstance(block, report.Text):
                assert "lấy lúc 09:15 02/12/2026" in block.source
            if isinstance(block, report.Table):
                assert all(len(row) == len(block.columns) for row in block.rows), block.title
    for annex in found.annexes:
        assert all(len(row) == len(annex.columns) for row in annex.rows), annex.title
    assert len(table(found, "Đối chiếu")) == len(policy(province)["clauses"])


def test_a_clause_is_kept_only_when_all_of_it_was_measured():
    found = table(made("quang-tri", "2026"), "Đối chiếu")
    for entry_ in policy("quang-tri")["clauses"]:
        if found[entry_["clause"]][3] == report.MET:
            assert found[entry_["clause"]][2] and all(
                "/" in item or item.startswith(("deadlines", "check_frequency")) for item in entry_["by"]
            )


def test_what_people_do_is_not_concluded_from_what_is_measured_of_it():
    """Who opens the office's mailbox too seldom may have answered in time all the same (Quảng Trị, Điều 10 khoản 3)."""
    found = table(made("quang-tri", "2026"), "Đối chiếu")
    assert found["Điều 12 khoản 1"][3] == report.NOT_MET
    assert found["Điều 10 khoản 3"][2:] == [found["Điều 12 khoản 1"][2], report.BY_HAND]


def test_mailboxes_against_the_register():
    given = figures("quang-tri")
    entries = given["directory"]["entries"]
    (leaver,) = (e for e in entries if e["congvuCode"] == ["QT-N026"])
    stray, missing = [e for e in entries if e["congvuKind"] == ["person"] and e["congvuState"] == ["active"] and e is not leaver][:2]
    code, stray["congvuCode"] = missing["congvuCode"][0], ["X-1"]
    entries.remove(missing)
    found = made("quang-tri", "2026-11", directory=given["directory"])
    rows = table(found, "Hộp thư so với sổ đăng ký")
    assert rows["Hộp thư không có trong sổ đăng ký"][1:] == [1, stray["mail"][0]]
    assert rows["Hộp thư còn hoạt động của người đã nghỉ, cơ quan đã giải thể theo sổ đăng ký"][1:] == [1, leaver["mail"][0]]
    assert code in rows["Người, cơ quan trong sổ đăng ký chưa có hộp thư (mã)"][2]
    assert "Hộp thư không có trong sổ đăng ký: 1 (phần II)." in found.findings


# --- files ----------------------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps headings, tables and what would load or run."""

    VOID = frozenset(("meta", "br", "wbr"))

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.tables, self.loads = [], [], 0, []

    def handle_starttag(self, tag, attrs):
        if tag == "script" or any(name in ("src", "href", "onload", "onclick") for name, _ in attrs):
            self.loads.append(tag)
        self.tables += tag == "table"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def parsed(found):
    page = report_pages.page(found, {annex.file: report_pages.csv_file(annex) for annex in found.annexes})
    outline = Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == [] and outline.loads == []
    return page, outline


def test_page():
    page, outline = parsed(made("quang-tri", "2026"))
    assert outline.headings[:2] == ["I. CĂN CỨ PHÁP LÝ VÀ PHẠM VI", "II. KẾT QUẢ CẤP PHÁT HỘP THƯ"]
    assert outline.headings[-2:] == ["XII. TỒN TẠI, KIẾN NGHỊ", "DANH MỤC PHỤ LỤC"]
    assert page.count("Nguồn: ") >= outline.tables - 3  # head, signature and the list of annexes have none
    assert "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM" in page and 'lang="vi"' in page


def test_page_shows_names_as_text():
    given = small()
    given["directory"]["entries"][0]["cn"] = ["<script>alert(1)</script>"]
    page, _ = parsed(made("quang-tri", "2026", **given))
    assert "&lt;script&gt;" in page


def test_annexes_open_in_a_spreadsheet(tmp_path):
    given = small()
    given["directory"]["entries"][0]["cn"] = ["=1+1"]
    raw = report_pages.csv_file(made("quang-tri", "2026", **given).annexes[0])
    assert raw.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))
    assert row["Hộp thư"] == "snv@quangtri.gov.vn" and row["Tên"] == "'=1+1"


def test_same_figures_same_page():
    assert parsed(made("tien-giang", "2026"))[0] == parsed(made("tien-giang", "2026"))[0]


def test_figures_of_several_hosts(tmp_path):
    path = tmp_path / "operations.jsonl"
    journal.append(path, act="recall", operator="x", result="done")
    head = path.with_name("operations.jsonl.head").read_text(encoding="utf-8")

    def packed(**found):
        return base64.b64encode(zlib.compress(json.dumps({"records": [], **found}).encode())).decode()

    record = {"name": "backup", "time": "", "result": "", "detail": ""}
    text_ = path.read_text(encoding="utf-8")
    found = report_pages.figures({
        "directory": packed(collected="2026-11-22T08:00:00+07:00", directory={"entries": [], "journal": text_, "head": head}),
        "a": packed(collected="2026-11-22T08:00:05+07:00", mail={"usage": {}}, records=[record]),
        "b": packed(collected="2026-11-22T08:00:01+07:00", mail={"usage": {}}, mta={"days": {}}),
    })  # fmt: skip
    assert found["collected"].endswith("08:00:05+07:00") and len(found["mail"]) == 2 and len(found["mta"]) == 1
    assert found["records"] == [record | {"host": "a"}]
    assert found["directory"]["journal_problems"] == [] and found["directory"]["journal_head"].startswith("1:")
    broken = packed(
        collected="2026-11-22T08:00:00+07:00", directory={"entries": [], "journal": text_.replace("done", "gone"), "head": head}
    )
    assert report_pages.figures({"directory": broken})["directory"]["journal_problems"]


@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "google-chrome"))), reason="no Chromium: printing is NOT tested")
def test_printed(tmp_path):
    assert report_pages.write(made("soc-trang", "2026-11"), tmp_path / "r") == []
    assert (tmp_path / "r/bao-cao.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o750
    assert len(list((tmp_path / "r").glob("*.csv"))) == 8


def test_without_a_printer_the_page_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(report_pages, "_CHROMIUM", ())
    (said,) = report_pages.write(made("soc-trang", "2026-11"), tmp_path / "r")
    assert "không có Chromium" in said and (tmp_path / "r/bao-cao.html").exists()


def test_every_act_of_the_journal_has_a_vietnamese_name():
    """An act that is new to the report would stand in it as its program's name."""
    root = Path(__file__).parents[2]
    texts = [path.read_text(encoding="utf-8") for folder in ("playbooks", "src/congvu_mail") for path in (root / folder).glob("*.*")]
    form = r"^ +act: ([a-z_]+)$|act=\"([a-z-]+)\"|_change\(dn, entry, \"([a-z-]+)\"|\"(quarantine_)\{\{ act"
    found = {name for one in texts for names in re.findall(form, one, re.MULTILINE) for name in names if name}
    assert {"archive_export", "restore-mailbox", "approve-removal", "quarantine_"} <= found
    assert found - {"quarantine_", "str"} | {"quarantine_release", "quarantine_expire", *acts.ACTS} <= set(report.ACTS)
