"""Reading registers as spreadsheets write them; every bad row at once, with file, line, value and remedy."""

import csv
import datetime
import time

import pytest
from naming_data import PROVINCES, ROOT, naming

from congvu_mail import registers
from congvu_mail.naming import allocate
from congvu_mail.roster import RosterError

ORGANISATIONS = "code,kind,name\nS,province_agency,Sở Khoa học và Công nghệ\n"
PEOPLE = "code,full_name,organisation\nP,Lê Văn An,S\n"


@pytest.fixture
def folder(tmp_path):
    """A folder for the files of a register: folder(people=...) writes them and returns its path."""

    def write(**files: str | bytes):
        for name, content in ({"organisations": ORGANISATIONS, "people": PEOPLE} | files).items():
            raw = content if isinstance(content, bytes) else content.encode()
            (tmp_path / f"{name}.csv").write_bytes(raw)
        return tmp_path

    return write


def refused(path, **options) -> str:
    with pytest.raises(RosterError) as error:
        registers.read(path, naming("QT"), **options)
    for problem in error.value.problems:
        assert problem.message
        assert problem.remedy
    return str(error.value)


@pytest.mark.parametrize(
    "people",
    [
        "\ufeffcode;full_name;organisation\r\nP;Lê Văn An;S\r\n",  # Excel in Vietnam
        "sep=;\r\ncode;full_name;organisation\r\nP;Lê Văn An;S\r\n",
        "code,full_name,organisation\rP,Lê Văn An,S\r",
        "\n,,\nCode, FULL_NAME ,Organisation,\n\nP ,\u00a0Lê  Văn\u200b An ,S,\n,,,\n",
        'code,full_name,organisation\n"P","Le\u0302 Va\u0306n An","S"\n',  # NFD
        "full_name,code,organisation,đơn vị cũ\nLê Văn An,P,S,Sở cũ\n",
        # everything at once
        '\ufeffsep=;\r\n;;;\r\n Full_Name ;code;ORGANISATION;\r\n;;;\r\n"Le\u0302\u00a0Va\u0306n  An\u200b";  P ;S\u00a0;\r\n;;;\r\n',
    ],
)
def test_what_spreadsheets_write_is_read(folder, people):
    read = registers.read(folder(people=people), naming("QT"))
    (row,) = read.people.rows
    assert (row["code"], row["full_name"], row["organisation"], row["rank"]) == ("P", "Lê Văn An", "S", "")
    assert set(registers.COLUMNS["people"]) <= set(row)
    assert read.issued.rows == read.requests.rows == []


def test_columns_it_does_not_know_are_kept(folder):
    read = registers.read(folder(people="code,full_name,organisation,Mã cũ\nP,Lê Văn An,S,17\n"))
    assert read.people.rows[0]["mã cũ"] == "17"
    assert read.people.columns[-1] == "mã cũ"


def test_dates_become_iso(folder):
    read = registers.read(
        folder(
            people="code,full_name,organisation,decision_date,birth_date\nP,Lê Văn An,S,1/2/2026,1980\nQ,Lê An,S,2026-02-01,\n",
            requests="id,received,act\n1,05/03/2026,create\n",
        ),
        naming("QT"),
    )
    assert [row["decision_date"] for row in read.people.rows] == ["2026-02-01"] * 2
    assert read.requests.rows[0]["received"] == "2026-03-05"


def test_every_bad_row_of_every_file_is_listed_with_its_line(folder):
    path = folder(
        organisations="code,kind,name,parent,delegates\nS,province_agency,Sở A,,NOBODY\nT,bộ,Sở B,\nU,division,Phòng,V,\n",
        people='code,full_name,organisation,account_class,quota,leave_until\nS,Lê A,S\nQ,"ThS.\nLê B",S\nR,Lê C,,boss,lots,mai\n',
        issued="code,local_part,current\nX,a b,\n",
        requests="id,received,act,channel\n1,hôm qua,create,\n1,2026-01-01,burn,fax\n",
    )
    text = refused(path)
    for place, value in (
        ("organisations.csv, dòng 2, cột delegates", "NOBODY"),
        ("organisations.csv, dòng 3, cột kind", "bộ"),
        ("organisations.csv, dòng 4, cột parent", "V"),
        ("people.csv, dòng 2, cột code", "S"),
        ("people.csv, dòng 3, cột full_name", "ThS. Lê B"),
        ("people.csv, dòng 5, cột organisation", ""),
        ("people.csv, dòng 5, cột account_class", "boss"),
        ("people.csv, dòng 5, cột quota", "lots"),
        ("people.csv, dòng 5, cột quota_basis", ""),
        ("people.csv, dòng 5, cột leave_until", "mai"),
        ("issued.csv, dòng 2, cột local_part", "a b"),
        ("requests.csv, dòng 2, cột received", "hôm qua"),
        ("requests.csv, dòng 3, cột id", "1"),
        ("requests.csv, dòng 3, cột act", "burn"),
        ("requests.csv, dòng 3, cột channel", "fax"),
    ):
        assert f"{place}, giá trị “{value}”" in text
    assert "có 15 lỗi" in text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        # A letter would say that it was done.
        (
            {"requests": "id,received,act,code,done,result\nY1,2026-11-09,create,P,2026-11-10,từ chối\n"},
            "requests.csv, dòng 2, cột result, giá trị “từ chối”: không hợp lệ. Cách sửa: ghi một trong: done, refused, hoặc để trống.",
        ),
        # He would be locked while he is away.
        (
            {"people": PEOPLE.replace("organisation\n", "organisation,status\n").replace("S\n", "S,leave\n")},
            "people.csv, dòng 2, cột leave_until, giá trị “”: nghỉ có lý do mà không có ngày cuối.",
        ),
        (
            {"people": PEOPLE.replace("organisation\n", "organisation,leave_untill\n")},
            "không có cột leave_untill; sửa thành leave_until, hoặc bỏ cột đó. Cách sửa: sửa dòng tiêu đề.",
        ),
        # Nobody would hold the mailbox.
        (
            {"organisations": ORGANISATIONS.replace("name\n", "name,head\n").replace("nghệ\n", "nghệ,P9\n")},
            "organisations.csv, dòng 2, cột head, giá trị “P9”: không có người mang mã này trong people.csv.",
        ),
    ],
)
def test_what_would_be_without_effect_is_refused(folder, files, said):
    assert said in refused(folder(**files))


def test_a_file_that_cannot_be_read_is_the_only_problem(folder):
    """Not buried under everybody who is missing because of it."""
    organisations = ORGANISATIONS.replace("name\n", "name,head\n").replace("nghệ\n", "nghệ,P\n")
    text = refused(folder(organisations=organisations, people=PEOPLE.encode("utf-16")), one_per_person=True)
    assert "có 1 lỗi" in text and "CSV UTF-8" in text


def test_a_quote_that_is_never_closed_is_found_on_its_line(folder):
    text = refused(folder(people='code,full_name,organisation\nP,Lê An,S\nQ,"Lê Bình,S\nR,Lê Cúc,S\n'))
    assert 'people.csv, dòng 3, cột (cả dòng), giá trị “Q,"Lê Bình,S”: không đọc được như CSV' in text


def test_everything_wrong_in_a_row_of_the_ledger_is_said(folder):
    text = refused(folder(issued="code,local_part,current\nP,a..b,maybe\n"))
    assert "dòng 2, cột local_part" in text
    assert "dòng 2, cột current/since/until, giá trị “maybe" in text


def test_one_mailbox_a_person(folder):
    people = "code,full_name,organisation,person_id,status\nP,Lê An,S,77,\nQ,Lê An,S,77,\nR,Lê An,S,77,left\n"
    registers.read(folder(people=people), naming("QT"))
    assert "people.csv, dòng 3, cột person_id" in refused(folder(people=people), one_per_person=True)


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (b"code,full_name,organisation\nP,Nguy\xd4n V\xa8n An,S\n", "people.csv, dòng 2, cột (cả dòng), giá trị “Ôn V¨n An,S"),
        ("code,full_name\n".encode("utf-16"), "UTF-16"),
        (b"\x00\x01\x02", "tệp nhị phân"),
        (b"", "không có dòng tiêu đề"),
        ("Họ tên,Mã\nLê An,P\n", "không có dòng tiêu đề"),
        ("code,full_name\nP,Lê An\n", "thiếu cột organisation"),
        ("code,full_name,organisation,code\n", "cột code ghi hai lần"),
        ('code,full_name,organisation\nP,"Lê An,S\nQ,Lê B,S\n', "không đọc được như CSV"),
        ("code,full_name,organisation\nP,Lê An,S,thừa\n", "nhiều ô hơn dòng tiêu đề"),
    ],
)
def test_what_is_no_register_is_said_so(folder, people, message):
    assert message in refused(folder(people=people))


def test_missing_files_and_folders(tmp_path):
    assert "không có thư mục này" in refused(tmp_path / "none")
    text = refused(tmp_path)
    assert "organisations.csv" in text
    assert "people.csv" in text


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\xfd rubbish " * 40 + b"\n",
        b"\x00" * 1000,
        b"no header at all\n" * 50,
        b"a" * 1000,
        b"code,full_name,organisation\n" + b'"' * 997 + b"\n",
        b"code,full_name,organisation\n" + b"?,?? ?,\xe1\xba\xa1\n" * 90,
    ],
)
def test_ten_megabytes_of_rubbish_are_refused_quickly(folder, line):
    path = folder(people=line * (10_000_000 // len(line)))
    started = time.process_time()
    text = refused(path)
    assert time.process_time() - started < 20  # seconds of the processor, whatever else runs
    assert len(text) < 100_000


@pytest.mark.parametrize("province", PROVINCES)
def test_the_sample_register_gives_every_row_an_address(province):
    read = registers.read(ROOT / "registers" / province, naming(province), one_per_person=True)
    entries = allocate(read.roster, naming(province), read.issued.rows)
    assert {entry["status"] for entry in entries} == {"assigned", "issued"}
    assert len(read.organisations.rows) >= 8
    assert len(read.people.rows) >= 20
    classes = {row["account_class"] for row in read.people.rows}
    assert classes == {"user", "admin"}
    assert {"active", "leave", "left"} == {row["status"] for row in read.people.rows}
    assert read.requests.rows


def test_the_ledger_records_what_is_given_out():
    old = [
        {"code": "P", "local_part": "An.Old", "since": "2020-01-01"},
        {"code": "X", "local_part": "x", "current": "false", "until": "2019-01-01"},
    ]
    common = {"aliases": [], "previous": "", "previous_use": "", "previous_months": None, "status": "assigned"}
    entries = [
        common | {"code": "P", "local_part": "an", "previous": "an.old", "previous_use": "alias", "previous_months": 6},
        common | {"code": "Q", "local_part": "q", "aliases": ["qq"]},
        common | {"code": "R", "local_part": "", "status": "needs_decision"},
    ]
    ledger = registers.record(old, entries, datetime.date(2026, 8, 31), {"P": "S"})
    shown = {row["local_part"]: (row["code"], row["current"], row["since"], row["until"], row["organisation"]) for row in ledger}
    assert shown == {
        "an.old": ("P", "false", "2020-01-01", "2027-02-28", ""),
        "x": ("X", "false", "", "2019-01-01", ""),
        "an": ("P", "true", "2026-08-31", "", "S"),
        "q": ("Q", "true", "2026-08-31", "", ""),
        "qq": ("Q", "false", "2026-08-31", "", ""),
    }
    closed = [common | {"code": "P", "local_part": "b", "previous": "an", "previous_use": "closed"}]
    (row,) = [row for row in registers.record(ledger, closed, datetime.date(2027, 1, 2)) if row["local_part"] == "an"]
    assert (row["current"], row["until"]) == ("false", "2027-01-02")


def test_a_table_is_written_for_spreadsheets_and_only_when_it_changes(tmp_path):
    path = tmp_path / "new" / "issued.csv"
    rows = [{"code": "P", "local_part": "an", "extra": "kept out"}]
    assert registers.write_csv(path, ("code", "local_part"), rows, check=True)
    assert not path.exists()
    assert registers.write_csv(path, ("code", "local_part"), rows)
    assert not registers.write_csv(path, ("code", "local_part"), rows)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.DictReader(file)) == [{"code": "P", "local_part": "an"}]
    assert [entry.name for entry in path.parent.iterdir()] == ["issued.csv"]


def test_the_command_checks_a_register(folder, capsys):
    policy = str(ROOT / "inventories/quang-tri/group_vars/all/policy.yml")
    assert registers.main([str(folder()), "--policy", policy]) == 0
    assert "1 cơ quan, 1 người" in capsys.readouterr().out
    assert registers.main([str(folder(people="code,full_name,organisation\nP,Bà Lê An,S\n")), "--policy", policy]) == 1
    assert "people.csv, dòng 2" in capsys.readouterr().err
    twice = "code,person_id,full_name,organisation\nP,1,Lê Văn An,S\nQ,1,Lê Văn Ân,S\n"
    assert registers.main([str(folder(people=twice)), "--policy", policy]) == 1
    assert "mỗi người một hộp thư" in capsys.readouterr().err
