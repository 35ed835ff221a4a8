"""Every address a regulation prints comes out of its conventions, with the clause that prints it."""

import pytest
from naming_data import entries, local_parts, naming, organisation, person

from congvu_mail.naming import allocate

STTTT = organisation("S", "province_agency", "Sở Thông tin và Truyền thông")
TTCNTT = organisation("TT", "subordinate", "Trung tâm Công nghệ thông tin và Truyền thông", "S")
LUC_NGAN = organisation("LN", "district", "UBND huyện Lục Ngạn")
LUC_NAM = organisation("LM", "district", "UBND huyện Lục Nam")
TAN_PHUOC = organisation("TP", "district", "UBND huyện Tân Phước")
MY_XUYEN = organisation("MX", "district", "UBND huyện Mỹ Xuyên")
SKHCN = organisation("S", "province_agency", "Sở Khoa học và Công nghệ")
TUYEN_BINH = organisation("X", "commune", "UBND xã Tuyên Bình")

ORGANISATIONS = [
    # number, province, the organisations before it, the organisation, local part, clause
    ("C1", "NB", [], ("province_agency", "UBND tỉnh Ninh Bình"), "ubnd", "Điều 5 khoản 1 điểm a"),
    ("C1", "NB", [], ("province_agency", "Uỷ ban nhân dân tỉnh"), "ubnd", "Điều 5 khoản 1 điểm a"),
    ("C2", "NB", [], ("district", "UBND thành phố Ninh Bình"), "tpnb", "Điều 5 khoản 1 điểm b"),
    ("C3", "NB", [], ("province_agency", "Sở Thông tin và Truyền thông"), "stttt", "Điều 5 khoản 1 điểm a"),
    ("C4", "BG", [], ("province_agency", "UBND tỉnh Bắc Giang"), "ubnd", "Điều 6 khoản 1 điểm a"),
    ("C5", "BG", [], ("province_agency", "Sở Thông tin và Truyền thông"), "stttt", "Điều 6 khoản 1 điểm a"),
    (
        "C6",
        "BG",
        [STTTT],
        ("subordinate", "Trung tâm Công nghệ thông tin và Truyền thông", "S"),
        "ttcntttt_stttt",
        "Điều 6 khoản 1 điểm a",
    ),
    ("C7", "BG", [], ("district", "UBND thành phố Bắc Giang"), "tpbg", "Điều 6 khoản 1 điểm b"),
    ("C8", "BG", [], ("district", "UBND huyện Lục Ngạn"), "lucngan", "Điều 6 khoản 1 điểm b"),
    ("C9", "BG", [LUC_NGAN], ("commune", "UBND xã Phong Vân", "LN"), "phongvan_lucngan", "Điều 6 khoản 1 điểm b"),
    ("C10", "BG", [LUC_NGAN], ("division", "Văn phòng", "LN"), "pvp_lucngan", "Điều 6 khoản 1 điểm c"),
    ("C11", "BG", [LUC_NGAN], ("division", "phòng Tài chính – Kế hoạch", "LN"), "ptckh_lucngan", "Điều 6 khoản 1 điểm c"),
    ("C16", "QT", [], ("province_agency", "Sở Khoa học và Công nghệ"), "skhcn", "Điều 6 khoản 1 điểm a"),
    ("C17", "QT", [], ("commune", "UBND xã Tuyên Bình"), "ubndtuyenbinh", "Điều 6 khoản 1 điểm b"),
    ("C18", "QT", [SKHCN], ("division", "Phòng Quản lý khoa học", "S"), "qlkh.skhcn", "Điều 6 khoản 1 điểm c"),
    ("C19", "QT", [TUYEN_BINH], ("division", "Phòng VHXH", "X"), "pvhxh.ubndtuyenbinh", "Điều 6 khoản 1 điểm c"),
    ("C22", "TG", [], ("province_agency", "Sở Thông tin và Truyền thông"), "sttt", "Điều 4 khoản 1 điểm a"),
    ("C23", "TG", [], ("district", "UBND thị xã Cai Lậy"), "txcailay", "Điều 4 khoản 1 điểm b"),
    ("C24", "TG", [], ("district", "UBND thị xã Gò Công"), "txgocong", "Điều 4 khoản 1 điểm b"),
    ("C25", "TG", [], ("district", "UBND huyện Chợ Gạo"), "chogao", "Điều 4 khoản 1 điểm b"),
    ("C26", "TG", [TAN_PHUOC], ("commune", "UBND xã Mỹ Phước", "TP"), "tanphuoc.myphuoc", "Điều 4 khoản 1 điểm c"),
    ("C27", "TG", [TAN_PHUOC], ("division", "Phòng Tài chính - Kế hoạch", "TP"), "tanphuoc.ptckh", "Điều 4 khoản 1 điểm d"),
    (
        "C28",
        "TG",
        [STTTT],
        ("subordinate", "TT Công nghệ thông tin và Truyền thông", "S"),
        "sttt.ttcnttt",
        "Điều 4 khoản 1 điểm d",
    ),
    ("C34", "ST", [], ("province_agency", "Sở Thông tin và Truyền thông"), "sottt", "Điều 3 khoản 1 điểm a"),
    ("C35", "ST", [], ("district", "UBND huyện Mỹ Xuyên"), "huyenmx", "Điều 3 khoản 1 điểm a"),
    ("C36", "ST", [STTTT], ("division", "Phòng Công nghệ thông tin", "S"), "phongcntt.sottt", "Điều 3 khoản 1 điểm b"),
    ("C37", "ST", [MY_XUYEN], ("division", "Phòng Văn hóa Thông tin", "MX"), "phongvhtt.huyenmx", "Điều 3 khoản 1 điểm b"),
    ("C38", "ST", [MY_XUYEN], ("commune", "Xã Thạnh Phú", "MX"), "xatp.huyenmx", "Điều 3 khoản 1 điểm b"),
    ("C44", "ST", [], ("service", "Hộp thư tiếp nhận yêu cầu"), "admin", "Điều 4 khoản 1"),
]


@pytest.mark.parametrize(
    ("province", "above", "row", "expected", "clause"),
    [case[1:] for case in ORGANISATIONS],
    ids=[f"{case[0]}-{case[4]}" for case in ORGANISATIONS],
)
def test_printed_address_of_an_organisation(province, above, row, expected, clause):
    entry = entries(province, [*above, organisation("O", *row)])["O"]
    assert (entry["local_part"], entry["status"], entry["clause"]) == (expected, "assigned", clause)
    assert entry["reason"]


PEOPLE = [
    # number, province, organisations, people before, the person, local part, clause
    ("C12", "BG", [STTTT], [], ("Nguyễn Thị Ngọc", "S"), "ngocnt_stttt", "Điều 6 khoản 2 điểm a"),
    ("C13", "BG", [STTTT, TTCNTT], [], ("Nguyễn Đình Hà", "TT"), "hand_ttcntttt_stttt", "Điều 6 khoản 2 điểm a"),
    ("C14", "BG", [LUC_NAM], [], ("Nguyễn Thị Nga", "LM"), "ngant_lucnam", "Điều 6 khoản 2 điểm a"),
    (
        "C15",
        "BG",
        [LUC_NAM, organisation("BD", "commune", "UBND xã Bảo Đài", "LM")],
        [],
        ("Nguyễn Thị Hồng", "BD"),
        "hongnt_baodai_lucnam",
        "Điều 6 khoản 2 điểm a",
    ),
    ("C20", "QT", [SKHCN], [], ("Nguyễn Văn Long", "S"), "nguyenvanlong", "Điều 6 khoản 2 điểm a"),
    ("C21", "QT", [SKHCN, TUYEN_BINH], ["Nguyễn Văn Long"], ("Nguyễn Văn Long", "X"), "nguyenvanlong1", "Điều 6 khoản 2 điểm b"),
    ("C29", "TG", [STTTT], [], ("Lê Minh Hiếu", "S"), "leminhhieu", "Điều 4 khoản 2 điểm a"),
    ("C30", "TG", [STTTT], ["Lê Minh Hiếu"], ("Lê Minh Hiếu", "S"), "lminhhieu", "Điều 4 khoản 2 điểm b"),
    ("C31", "TG", [STTTT], ["Lê Minh Hiếu"] * 2, ("Lê Minh Hiếu", "S"), "lmhieu", "Điều 4 khoản 2 điểm b"),
    ("C32", "TG", [STTTT], ["Lê Minh Hiếu"] * 3, ("Lê Minh Hiếu", "S", 1977), "leminhhieu77", "Điều 4 khoản 2 điểm b"),
    ("C33", "TG", [STTTT], ["Lê Minh Hiếu"] * 3, ("Lê Minh Hiếu", "S", 1978), "leminhhieu78", "Điều 4 khoản 2 điểm b"),
    ("C39", "ST", [STTTT], [], ("Nguyễn Thanh Bình", "S"), "ntbinh", "Điều 3 khoản 2"),
    ("C40", "ST", [STTTT], [], ("Đoàn Văn Thông", "S"), "dvthong", "Điều 3 khoản 2"),
    ("C41", "ST", [STTTT], ["Nguyễn Thanh Bình"], ("Nguyễn Thanh Bình", "S"), "ntbinh.sottt", "Điều 3 khoản 3"),
    ("C43", "ST", [STTTT], ["Nguyễn Thanh Bình"] * 2, ("Nguyễn Thanh Bình", "S"), "ntbinh2.sottt", "Điều 3 khoản 3"),
    ("R-NUM", "NB", [STTTT], ["Nguyễn Văn An"], ("Nguyễn Văn An", "S"), "annv2.stttt", "Điều 5 khoản 2 điểm b"),
]


@pytest.mark.parametrize(
    ("province", "organisations", "before", "row", "expected", "clause"),
    [case[1:] for case in PEOPLE],
    ids=[f"{case[0]}-{case[5]}" for case in PEOPLE],
)
def test_printed_address_of_a_person(province, organisations, before, row, expected, clause):
    earlier = [person(f"P{number}", name, organisations[0]["code"]) for number, name in enumerate(before)]
    name, employer, *year = row
    last = person("Q", name, employer, birth_year=year[0] if year else "")
    entry = entries(province, organisations, [*earlier, last])["Q"]
    assert (entry["local_part"], entry["status"], entry["clause"]) == (expected, "assigned", clause)


def test_a_printed_address_has_its_other_form_as_alias():
    assert entries("TG", [STTTT])["S"]["aliases"] == ["stttt"]
    assert entries("ST", [STTTT])["S"]["aliases"] == ["sotttt"]


def test_an_exception_of_a_subordinate_holds_for_its_parent_only():
    other = organisation("X", "province_agency", "Sở Xây dựng")
    under_it = organisation("XT", "subordinate", "Trung tâm Công nghệ thông tin và Truyền thông", "X")
    assert local_parts("TG", [STTTT, TTCNTT, other, under_it])["XT"] == "sxd.ttcntttt"


def test_a_printed_address_is_kept_for_the_body_it_is_printed_for():
    named = {**naming("QT"), "exceptions": [{"kind": "province_agency", "name": "Sở X", "local_part": "le", "aliases": []}]}
    roster = {"organisations": [], "people": [person("P", "Lê")]}
    assert [entry["local_part"] for entry in allocate(roster, named)] == ["le1"]


def test_short_names_of_printed_bodies():
    rows = [organisation("S", "province_agency", "Sở TT&TT"), organisation("T", "subordinate", "TT CNTT&TT", "S")]
    assert local_parts("TG", rows) == {"S": "sttt", "T": "sttt.ttcnttt"}
    assert local_parts("ST", rows)["S"] == "sottt"


@pytest.mark.parametrize("province", ["QT", "TG", "ST"])
def test_the_provincial_committee_is_named_by_decision_where_the_text_does_not_print_it(province):
    entry = entries(province, [organisation("U", "province_agency", "Ủy ban nhân dân tỉnh")])["U"]
    assert (entry["status"], entry["local_part"]) == ("needs_decision", "")


@pytest.mark.parametrize(
    ("kind", "name", "suggestion"),
    [("party", "Ban Tổ chức Tỉnh ủy", "btctu"), ("mass_org", "Hội Nông dân tỉnh", "hndt"), ("central", "Cục Thuế", "ct")],
)
def test_sectors_left_to_the_operator_get_a_suggestion_only(kind, name, suggestion):
    entry = entries("QT", [organisation("D", kind, name)])["D"]
    assert (entry["status"], entry["local_part"], entry["suggestion"]) == ("needs_decision", "", suggestion)
    assert entry["clause"] == "Điều 6 khoản 1 điểm d"
