"""Import of an existing mail system: formats, certain and doubtful matches, decisions, the ledger."""

import base64
import csv

import pytest
from naming_data import ROOT, naming

from congvu_mail import existing, registers
from congvu_mail.naming import allocate

POLICY = str(ROOT / "inventories/quang-tri/group_vars/all/policy.yml")
ORGANISATIONS = """code,kind,name
S,province_agency,Sở Khoa học và Công nghệ
T,province_agency,Sở Tư pháp
X,commune,UBND xã Tuyên Bình
"""
PEOPLE = """code,full_name,organisation
A,Lê Văn An,S
B,Trần Thị Bình,S
C1,Nguyễn Văn Long,S
C2,Nguyễn Văn Long,T
D,Đỗ Đức Đạt,T
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "organisations.csv").write_text(ORGANISATIONS, encoding="utf-8")
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Import an export; returns exit status, the ledger as {local part: (code, current, since)}, and what was printed."""

    def go(content: str | bytes):
        export = folder / "export"
        export.write_bytes(content if isinstance(content, bytes) else content.encode())
        status = existing.main([
            str(export), "--domain", "quangtri.gov.vn", "--register", str(folder), "--policy", POLICY,
            "--decisions", str(folder / "decisions.csv")])  # fmt: skip
        printed = capsys.readouterr()
        shown = {row["local_part"]: (row["code"], row["current"], row["since"]) for row in registers.read(folder).issued.rows}
        return status, shown, printed.out + printed.err

    return go


def b64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


LDIF = f"""version: 1

# an account of Zimbra
dn: uid=lean,ou=people,dc=quangtri,dc=gov,dc=vn
objectClass: zimbraAccount
mail: lean.old@quangtri.gov.vn
mail: an.le@quangtri.gov.vn
mail: an@other.gov.vn
displayName:: {b64("Lê Văn An")}
zimbraCreateTimestamp: 20190203040506Z
description: folded
  line

dn: uid=khcn,dc=vn
mail: khcn@quangtri.gov.vn
cn:: {b64("Sở Khoa học và Công nghệ")[:10]}
 {b64("Sở Khoa học và Công nghệ")[10:]}

dn: uid=gone,dc=vn
mail: gone@quangtri.gov.vn
cn: Ho Van Gone
zimbraAccountStatus: closed
"""
ZIMBRA = """name,displayName,zimbraMailAlias,zimbraCreateTimestamp,zimbraAccountStatus
lean.old@quangtri.gov.vn,Lê Văn An,an.le@quangtri.gov.vn an@other.gov.vn,20190203040506Z,active
khcn@quangtri.gov.vn,SỞ KHOA HỌC VÀ CÔNG NGHỆ,,,active
gone@quangtri.gov.vn,Ho Van Gone,,,closed
"""
MDAEMON = """"MailBox", "Domain", "FullName", "MailDir", "Alias", "Created"
"lean.old", "quangtri.gov.vn", "Lê Văn An", "C:\\Mail\\lean.old\\", "an.le@quangtri.gov.vn", "20190203"
"khcn", "quangtri.gov.vn", "Sở Khoa học và Công nghệ", "C:\\Mail\\", "", ""
"gone", "quangtri.gov.vn", "Ho Van Gone", "C:\\Mail\\", "", ""
"x", "other.gov.vn", "Lê Văn An", "C:\\Mail\\", "", ""
"""


# As slapcat writes entries of Zimbra: every address in mail, in any order; an alias has an entry of its own.
SLAPCAT = f"""dn: uid=lean.old,ou=people,dc=quangtri,dc=gov,dc=vn
objectClass: inetOrgPerson
objectClass: zimbraAccount
objectClass: amavisAccount
uid: lean.old
mail: an.le@quangtri.gov.vn
mail: lean.old@quangtri.gov.vn
zimbraMailAlias: an.le@quangtri.gov.vn
zimbraMailDeliveryAddress: lean.old@quangtri.gov.vn
displayName:: {b64("Lê Văn An")}
zimbraAccountStatus: locked
zimbraMailStatus: enabled
zimbraCreateTimestamp: 20190203040506.123Z
userPassword:: e1NTSEF9eA==

dn: uid=an.le,ou=people,dc=quangtri,dc=gov,dc=vn
objectClass: zimbraAlias
uid: an.le
zimbraAliasTargetId: 5f0e7a1e-0000-4000-8000-000000000001
zimbraCreateTimestamp: 20190203040507Z

dn: uid=khcn,ou=people,dc=quangtri,dc=gov,dc=vn
objectClass: zimbraAccount
uid: khcn
mail: khcn@quangtri.gov.vn
zimbraMailDeliveryAddress: khcn@store1.quangtri.local
displayName:: {b64("Sở Khoa học và Công nghệ")}
zimbraAccountStatus: active

dn: uid=gone,ou=people,dc=quangtri,dc=gov,dc=vn
objectClass: zimbraAccount
mail: gone@quangtri.gov.vn
zimbraMailDeliveryAddress: gone@quangtri.gov.vn
cn: gone
zimbraAccountStatus: closed
"""
ZMPROV = """# name lean.old@quangtri.gov.vn
cn: Lê Văn An
displayName: Lê Văn An
mail: lean.old@quangtri.gov.vn
mail: an.le@quangtri.gov.vn
objectClass: zimbraAccount
uid: lean.old
zimbraAccountStatus: active
zimbraCreateTimestamp: 20190203040506Z
zimbraMailAlias: an.le@quangtri.gov.vn

# name khcn@quangtri.gov.vn
displayName: Sở Khoa học và Công nghệ
mail: khcn@quangtri.gov.vn
zimbraAccountStatus: active

# name gone@quangtri.gov.vn
displayName: Ho Van Gone
zimbraAccountStatus: closed
"""


@pytest.mark.parametrize(
    "export", [LDIF, SLAPCAT, ZMPROV, ZIMBRA, MDAEMON, "\ufeff" + ZIMBRA.replace(",", ";"), LDIF.replace("\n", "\r\n")]
)
def test_an_export_becomes_the_ledger(run, folder, export):
    status, ledger, printed = run(export)
    assert status == 0, printed
    assert ledger == {
        "lean.old": ("A", "true", "2019-02-03"),
        "an.le": ("A", "false", "2019-02-03"),
        "khcn": ("S", "true", ""),
        "gone": ("CU-gone", "false", ""),
    }
    # everybody keeps the address he has; nobody gets one that was somebody else's
    register = registers.read(folder, naming("QT"))
    answer = {entry["code"]: entry["local_part"] for entry in allocate(register.roster, naming("QT"), register.issued.rows)}
    assert (answer["A"], answer["S"], answer["B"]) == ("lean.old", "khcn", "tranthibinh")
    # a second run adds nothing
    assert run(export)[:2] == (0, ledger)


def test_a_plain_list_is_matched_by_the_rule(run):
    status, ledger, _ = run("tranthibinh@quangtri.gov.vn\nskhcn@quangtri.gov.vn\nubndtuyenbinh@quangtri.gov.vn\nnobody@quangtri.gov.vn\n")
    assert status == 0
    assert {local_part: row[0] for local_part, row in ledger.items()} == {
        "tranthibinh": "B", "skhcn": "S", "ubndtuyenbinh": "X", "nobody": "CU-nobody"}  # fmt: skip


def test_namesakes_need_a_decision_and_nothing_is_written_before(run, folder):
    export = "nguyenvanlong@quangtri.gov.vn,Nguyễn Văn Long\nlong@quangtri.gov.vn,Nguyễn Văn Long\nle.an@quangtri.gov.vn,Lê Văn An\n"
    status, ledger, printed = run(export)
    assert (status, ledger) == (2, {})
    assert "cần quyết định: 2" in printed
    path = folder / "decisions.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["address"] for row in rows] == ["nguyenvanlong@quangtri.gov.vn", "long@quangtri.gov.vn"]
    assert all("C1 Nguyễn Văn Long; C2 Nguyễn Văn Long" in row["candidates"] and row["reason"] for row in rows)

    rows[0]["decision"] = "C2"
    registers.write_csv(path, existing.DECISIONS, rows)
    status, ledger, printed = run(export)
    assert (status, ledger) == (2, {})
    assert "cần quyết định: 1" in printed

    path.write_text("address;decision\nnguyenvanlong@quangtri.gov.vn;C2\nlong@quangtri.gov.vn;-\n", encoding="utf-8-sig")
    status, ledger, _ = run(export)
    assert status == 0
    assert {local_part: row[:2] for local_part, row in ledger.items()} == {
        "nguyenvanlong": ("C2", "true"), "long": ("CU-long", "false"), "le.an": ("A", "true")}  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), [
    ("doducdat@quangtri.gov.vn,Trần Văn Cường", "tên khác"),
    ("mail,displayName,company\ndoducdat@quangtri.gov.vn,Đỗ Đức Đạt,Sở Khoa học và Công nghệ", "cơ quan"),
    ("dat@quangtri.gov.vn,Đỗ Đức Đạt\ndat2@quangtri.gov.vn,Đỗ Đức Đạt", "nhiều tài khoản"),
])  # fmt: skip
def test_what_makes_a_match_doubtful(run, folder, line, reason):
    assert run(line)[0] == 2
    assert reason in (folder / "decisions.csv").read_text(encoding="utf-8-sig")


def test_the_organisation_decides_between_namesakes_only_when_it_agrees(run):
    status, ledger, _ = run("mail,displayName,company\nd@quangtri.gov.vn,Đỗ Đức Đạt,Sở Tư pháp\n")
    assert (status, ledger["d"][0]) == (0, "D")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"mail,cn\n\xd4@quangtri.gov.vn,x\n", "dòng 2: không phải UTF-8"),
        ("dn: uid=a\ncn:: !!\n", "dòng 2: giá trị base64 của cn hỏng"),
        ('mail,cn\n"a@quangtri.gov.vn,b\n', "không đọc được như CSV"),
    ],
)
def test_what_cannot_be_read_is_said_so(run, content, message):
    status, ledger, printed = run(content)
    assert (status, ledger) == (1, {})
    assert message in printed


def test_a_decision_must_be_a_code_of_the_register(run, folder):
    (folder / "decisions.csv").write_text("address,decision\nx@quangtri.gov.vn,NOBODY\n", encoding="utf-8")
    status, _, printed = run("a@quangtri.gov.vn\n")
    assert status == 1
    assert "dòng 2, cột decision, giá trị “NOBODY”" in printed


def test_what_is_left_out_is_named(run):
    status, ledger, printed = run("a b@quangtri.gov.vn\nx@other.gov.vn\n\ny@quangtri.gov.vn\ny@quangtri.gov.vn\n")
    assert (status, set(ledger)) == (0, {"y"})
    for line in ("Bỏ qua dòng 1", "Bỏ qua dòng 2", "Bỏ qua dòng 5"):
        assert line in printed
