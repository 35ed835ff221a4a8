"""Names that conventions stumble over: spelling, ethnic names, acronyms, numbers, same codes."""

import pytest
from naming_data import entries, local_parts, organisation, person

from congvu_mail.roster import RosterError

HO = {"surname": "Niê Kđăm", "middle": "Y", "given": "Ban"}
NFD_THUY = "Nguye\u0302\u0303n Thi\u0323 Thu\u0309y"

PEOPLE = [
    # number, name, stated parts, token before the organisation (NB, BG), Sóc Trăng, full name (TG, QT)
    (1, "Đỗ Đức Đạt", {}, "datdd", "dddat", "doducdat"),
    (2, "\u00d0oàn Văn Điền", {}, "diendv", "dvdien", "doanvandien"),
    (3, NFD_THUY, {}, "thuynt", "ntthuy", "nguyenthithuy"),
    (4, "Nguyễn Thị Thuỷ", {}, "thuynt", "ntthuy", "nguyenthithuy"),
    (5, "Hoàng Thị Hoà", {}, "hoaht", "hthoa", "hoangthihoa"),
    (6, "Lý Quý", {}, "quyl", "lquy", "lyquy"),
    (7, "Lí Quí", {}, "quil", "lqui", "liqui"),
    (8, "Bùi Hùng", {}, "hungb", "bhung", "buihung"),
    (9, "Thạch", {}, "thach", "thach", "thach"),
    (10, "Lê Thị Ngọc Ánh Tuyết", {}, "tuyetltna", "ltnatuyet", "lethingocanhtuyet"),
    (11, "Tôn Nữ Thị Ninh", {}, "ninhtnt", "tntninh", "tonnuthininh"),
    (12, "Âu Dương Thị Mai", {}, "maiadt", "adtmai", "auduongthimai"),
    (13, "Nguyễn Phước Bảo Đại", {}, "dainpb", "npbdai", "nguyenphuocbaodai"),
    (14, "Y Ban Niê Kđăm", {}, "kdamybn", "ybnkdam", "ybanniekdam"),
    (15, "Y Ban Niê Kđăm", HO, "bannky", "nkyban", "ybanniekdam"),
    (16, "H'Hen Niê", {}, "nieh", "hnie", "hhennie"),
    (17, "H\u2019Hen Niê", {}, "nieh", "hnie", "hhennie"),
    (18, "H'Hen Niê", {"surname": "Niê", "given": "H'Hen"}, "hhenn", "nhhen", "hhennie"),
    (19, "Ksor Phước", {}, "phuock", "kphuoc", "ksorphuoc"),
    (20, "Kray Sức", {}, "suck", "ksuc", "kraysuc"),
    (21, "Cao Khắc Phú", {}, "phuck", "ckphu", "caokhacphu"),
    (22, "Và Bá Tủa", {}, "tuavb", "vbtua", "vabatua"),
    (23, "Lâm Thị Sà Rây", {}, "raylts", "ltsray", "lamthisaray"),
    (23, "Lâm Thị Sà Rây", {"given": "Sà Rây"}, "saraylt", "ltsaray", "lamthisaray"),
    (24, "Danh Ươl", {}, "uold", "duol", "danhuol"),
    (25, "Phạm Thị Jen-ni-fer", {}, "jenniferpt", "ptjennifer", "phamthijennifer"),
    (26, "Phan Văn Ngọc-Lan", {}, "ngoclanpv", "pvngoclan", "phanvanngoclan"),
    (27, "Ưng Thị Ớt", {}, "otut", "utot", "ungthiot"),
    (28, "Ngô Ý", {}, "yn", "ny", "ngoy"),
    (29, "TRẦN VĂN AN", {}, "antv", "tvan", "tranvanan"),
    (30, "  Lê   Văn\u00a0 Bình ", {}, "binhlv", "lvbinh", "levanbinh"),
]
CASES = [
    (number, name, stated, province, expected)
    for number, name, stated, before_organisation, soc_trang, full in PEOPLE
    for province, expected in (
        ("NB", before_organisation + ".sot"),
        ("BG", before_organisation + "_sot"),
        ("ST", soc_trang),
        ("TG", full),
        ("QT", full),
    )
]
SO_T = organisation("S", "province_agency", "Sở Ông Tám")


@pytest.mark.parametrize(
    ("name", "stated", "province", "expected"), [case[1:] for case in CASES], ids=[f"E{case[0]}-{case[3]}" for case in CASES]
)
def test_name_of_a_person(name, stated, province, expected):
    assert local_parts(province, [SO_T], [person("P", name, "S", **stated)])["P"] == expected


@pytest.mark.parametrize("province", ["NB", "BG", "QT", "TG", "ST"])
@pytest.mark.parametrize(
    "name",
    [
        "Lê Văn Bình (Bình A)",
        "ThS. Nguyễn Văn Cường",
        "TS Nguyễn Văn Cường",
        "Bà Nguyễn Thị Hoa",
        "Nguy?n Văn An",
        "Nguyễn V\ufffdn An",
        "NguyÔn V¨n Anh",
        "Nguyeãn Vaên Anh",
        "Nguyá»…n Văn An",
        "Nguyễn Văn An 2",
        "an@soctrang.gov.vn",
        "",
        "(trống)",
        "…",
    ],
)
def test_what_is_no_name_is_refused(province, name):
    with pytest.raises(RosterError) as error:
        entries(province, [SO_T], [person("P-7", name, "S")])
    (problem,) = error.value.problems
    assert (problem.code, problem.column) == ("P-7", "full_name")
    assert problem.remedy


@pytest.mark.parametrize("province", ["QT", "TG"])
@pytest.mark.parametrize("name", ["Abu Sê", "Admin"])
def test_a_name_that_gives_a_reserved_address_is_refused(province, name):
    with pytest.raises(RosterError, match="dành riêng"):
        entries(province, [SO_T], [person("P", name, "S")])
    decided = person("P", name, "S", local_part="abuse.se", basis="Công văn 5/STTTT")
    assert local_parts(province, [SO_T], [decided])["P"] == "abuse.se"


def test_a_person_and_an_organisation_share_one_namespace():
    district = organisation("H", "district", "UBND huyện Tân Phước")
    assert local_parts("TG", [district], [person("P", "Tân Phước", "H")])["P"] == "tphuoc"
    agency = organisation("S", "province_agency", "Sở Lê Quý", local_part="lequy", basis="QĐ 1")
    assert local_parts("QT", [agency], [person("P", "Lê Quý", "S")])["P"] == "lequy1"


def test_one_word_name_goes_to_the_form_with_the_year():
    people = [person("A", "Thạch", birth_year=1980), person("B", "Thạch", birth_date="03/04/1981"), person("C", "Thạch")]
    assert local_parts("TG", [], people) == {"A": "thach", "B": "thach81", "C": ""}


@pytest.mark.parametrize(("stated", "expected"), [({}, "tnuthininh"), ({"surname": "Tôn Nữ"}, "tnthininh")])
def test_compound_surname_is_abbreviated_as_stated(stated, expected):
    people = [person("A", "Tôn Nữ Thị Ninh"), person("B", "Tôn Nữ Thị Ninh", **stated)]
    assert local_parts("TG", [], people)["B"] == expected


@pytest.mark.parametrize(("name", "word"), [("Kray Sức", "suck"), ("Cao Khắc Phú", "phuck")])
def test_an_unfortunate_address_is_given_with_a_warning(name, word):
    entry = entries("NB", [SO_T], [person("P", name, "S")])["P"]
    assert (entry["local_part"], entry["status"]) == (f"{word}.sot", "assigned")
    assert word in entry["warning"]
    assert entry["warning"] in entry["reason"]


def test_stated_parts_must_be_the_name():
    with pytest.raises(RosterError, match="không khớp"):
        entries("QT", [], [person("P", "Y Ban Niê Kđăm", surname="Niê Mlô")])
    with pytest.raises(RosterError, match="thiếu “kdam”"):
        entries("QT", [], [person("P", "Y Ban Niê Kđăm", surname="Niê", middle="Y", given="Ban")])


DISTRICT = organisation("H", "district", "UBND huyện Hoa Lư")  # hoalu; ST huyenhl
COMMUNE = organisation("X", "commune", "UBND xã Hoa Lư")  # QT ubndhoalu
AGENCY = organisation("S", "province_agency", "Sở Y tế")  # syt; ST soyt
ORGANISATIONS = [
    # number, kind, name, code in NB, BG, TG, in QT, in ST (without the parent)
    (35, "division of territory", "Phòng TC-KH", "ptckh", "ptckh", "phongtckh"),
    (36, "division of agency", "Phòng CNTT&TT", "pcntttt", "cntttt", "phongcntttt"),
    (38, "subordinate", "Trung tâm Y tế (cơ sở 2)", "ttyt", "ttyt", "trungtamyt"),
    (39, "subordinate", "Đội Quản lý thị trường số IV", "dqlttsiv", "dqlttsiv", "doiqlttsiv"),
    (39, "subordinate", "Đội Quản lý thị trường số 4", "dqltts4", "dqltts4", "doiqltts4"),
    (39, "subordinate", "ĐỘI QUẢN LÝ THỊ TRƯỜNG SỐ IV", "dqlttsiv", "dqlttsiv", "doiqlttsiv"),
    (40, "subordinate", "Trung tâm GDNN - GDTX", "ttgdnngdtx", "ttgdnngdtx", "trungtamgdnngdtx"),
    (44, "province_agency", "Sở Nông nghiệp & PTNT", "snnptnt", "snnptnt", "sonnptnt"),
    (44, "province_agency", "Sở Nông nghiệp và Phát triển nông thôn", "snnptnt", "snnptnt", "sonnptnt"),
    ("R-ABB1", "province_agency", "Ban Quản lý các Khu công nghiệp", "bqlckcn", "bqlckcn", "banqlckcn"),
    ("R-ABB1", "division of agency", "Phòng Kinh tế, Hạ tầng và Đô thị", "pkthtdt", "kthtdt", "phongkthtdt"),
    ("R-ACR", "division of territory", "PHÒNG VHXH", "pvhxh", "pvhxh", "phongvhxh"),
    ("R-ACR", "province_agency", "SỞ Y TẾ", "syt", "syt", "soyt"),
    ("R-ACR", "division of agency", "Văn phòng HĐND và UBND", "vphdndubnd", "vphdndubnd", "vanphonghdndubnd"),
    ("short", "division of territory", "P. Tư pháp", "ptp", "ptp", "phongtp"),
]


def _expected(province: str, kind: str, code: str, above: str) -> str:
    if kind == "province_agency":
        return code
    separator = "_" if province == "BG" else "."
    if province == "TG":
        return f"{above}.{code}"
    return f"{code}{separator}{above}"


@pytest.mark.parametrize("province", ["NB", "BG", "TG", "QT", "ST"])
@pytest.mark.parametrize(("number", "kind", "name", "three", "quang_tri", "soc_trang"), ORGANISATIONS)
def test_name_of_an_organisation(province, number, kind, name, three, quang_tri, soc_trang):
    code = {"QT": quang_tri, "ST": soc_trang}.get(province, three)
    if province == "BG" and kind == "division of territory" and not code.startswith("p"):
        code = "p" + code
    territory = COMMUNE if province == "QT" else DISTRICT
    above = territory if kind == "division of territory" else AGENCY
    rows = [row for row in (above,) if kind != "province_agency"]
    row = organisation("O", kind.split(" ")[0], name, rows[0]["code"] if rows else "")
    addresses = local_parts(province, [*rows, row])
    assert addresses["O"] == _expected(province, kind, code, addresses.get(row["parent"], ""))


@pytest.mark.parametrize(("province", "expected"), [("NB", "stttt"), ("BG", "stttt"), ("TG", "sttt"), ("QT", "stttt"), ("ST", "sottt")])
def test_capitals_are_not_acronyms(province, expected):
    row = organisation("S", "province_agency", "SỞ THÔNG TIN VÀ TRUYỀN THÔNG")
    assert local_parts(province, [row])["S"] == expected


@pytest.mark.parametrize(
    ("number", "first", "second"),
    [
        (41, ("province_agency", "Sở Nội vụ", ""), ("province_agency", "Sở Ngoại vụ", "")),
        (42, ("division", "Phòng Tài chính", "S"), ("division", "Phòng Tổ chức", "S")),
        (43, ("division", "Phòng Kinh tế", "S"), ("division", "Phòng Kế toán", "S")),
    ],
)
@pytest.mark.parametrize("province", ["NB", "BG", "QT", "TG", "ST"])
def test_two_organisations_of_one_code_need_a_decision(province, number, first, second):
    answer = entries(province, [AGENCY, organisation("A", *first), organisation("B", *second)])
    assert answer["A"]["status"] == "assigned"
    assert (answer["B"]["status"], answer["B"]["local_part"]) == ("needs_decision", "")
    assert answer["A"]["local_part"] in answer["B"]["reason"]
    suggestion = answer["B"]["suggestion"]
    assert suggestion
    assert suggestion != answer["A"]["local_part"]


@pytest.mark.parametrize(
    ("province", "expected"),
    [("NB", "hoabinh.hoalu"), ("BG", "hoabinh_hoalu"), ("TG", "hoalu.hoabinh"), ("QT", "ubndhoabinh"), ("ST", "xahb.huyenhl")],
)
@pytest.mark.parametrize(
    "name", ["Uỷ ban nhân dân xã Hòa Bình", "Ủy ban nhân dân xã Hoà Bình", "UBND XÃ HÒA BÌNH", "Xã Hòa Bình", "X. Hòa Bình"]
)
def test_spellings_of_a_commune(province, expected, name):
    above = [] if province == "QT" else [DISTRICT]
    assert local_parts(province, [*above, organisation("X", "commune", name, "H" if above else "")])["X"] == expected


@pytest.mark.parametrize("name", ["TX. Cai Lậy", "Thị xã Cai Lậy", "TX Cai Lậy", "UBND thị xã Cai Lậy", "THỊ XÃ CAI LẬY"])
def test_spellings_of_a_printed_district(name):
    rows = [organisation("T", "district", name), organisation("H", "district", "Huyện Cai Lậy")]
    assert local_parts("TG", rows) == {"T": "txcailay", "H": "cailay"}


@pytest.mark.parametrize(
    ("province", "expected"), [("BG", "chu_hoalu"), ("NB", "chu.hoalu"), ("TG", "hoalu.chu"), ("ST", "thitranc.huyenhl")]
)
def test_tt_is_a_townlet_among_communes_and_a_centre_elsewhere(province, expected):
    rows = [DISTRICT, organisation("X", "commune", "TT. Chũ", "H"), organisation("T", "subordinate", "TT Y tế", "H")]
    addresses = local_parts(province, rows)
    assert addresses["X"] == expected
    assert ("trungtamyt" if province == "ST" else "ttyt") in addresses["T"]


@pytest.mark.parametrize(
    ("province", "expected"),
    [("NB", "phuong4.hoalu"), ("BG", "phuong4_hoalu"), ("TG", "hoalu.phuong4"), ("QT", "ubndphuong4"), ("ST", "phuong4.huyenhl")],
)
@pytest.mark.parametrize("name", ["Phường 4", "UBND P. 4", "PHƯỜNG 4"])
def test_a_name_that_is_a_number_keeps_its_class(province, expected, name):
    above = [] if province == "QT" else [DISTRICT]
    assert local_parts(province, [*above, organisation("X", "commune", name, "H" if above else "")])["X"] == expected


@pytest.mark.parametrize(
    ("province", "district", "issued", "child"),
    [
        ("NB", "UBND thành phố Ninh Bình", "tpnb", "namthanh.tpnb"),
        ("BG", "TP. Bắc Giang", "tpbg", "namthanh_tpbg"),
        ("TG", "TX. Gò Công", "txgocong", "txgocong.namthanh"),
    ],
)
def test_the_parent_in_an_address_is_its_issued_local_part(province, district, issued, child):
    rows = [organisation("X", "commune", "UBND xã Nam Thanh", "H"), organisation("H", "district", district)]
    assert local_parts(province, rows) == {"H": issued, "X": child}


@pytest.mark.parametrize(("province", "separator"), [("NB", "."), ("BG", "_")])
def test_the_employer_is_the_agency_not_its_division(province, separator):
    rows = [
        AGENCY,
        organisation("D", "division", "Phòng Nghiệp vụ", "S"),
        organisation("T", "subordinate", "Trung tâm Pháp y", "S"),
        organisation("TD", "division", "Phòng Hành chính", "T"),
        DISTRICT,
        organisation("HD", "division", "Phòng Tư pháp", "H"),
    ]
    people = [person(f"P{code}", "Lê An", code) for code in ("S", "D", "T", "TD", "H", "HD")]
    answer = entries(province, rows, people)
    addresses = {code: entry["local_part"].partition(separator)[2] for code, entry in answer.items() if code.startswith("P")}
    centre = separator.join(("ttpy", "syt"))
    division = separator.join(("ptp", "hoalu"))
    # PD and PS work for the same agency: in Bắc Giang the second Lê An needs a decision
    second = "" if province == "BG" else "syt"
    assert {addresses["PD"], addresses["PS"]} == {"syt", second}
    assert {addresses["PT"], addresses["PTD"]} == {centre, "" if province == "BG" else centre}
    assert (addresses["PH"], addresses["PHD"]) == ("hoalu", division)


def test_an_organisation_without_an_address_leaves_its_dependants_undecided():
    rows = [
        AGENCY,
        organisation("S2", "province_agency", "Sở Y tá"),
        organisation("T", "subordinate", "Trung tâm Pháp y", "S2"),
        organisation("D", "division", "Phòng Nghiệp vụ", "T"),
    ]
    people = [person("P", "Lê An", "T"), person("Q", "Lê An", "D")]
    answer = entries("NB", rows, people)
    assert [answer[code]["status"] for code in ("S2", "T", "D", "P", "Q")] == ["needs_decision"] * 5
    assert [answer[code]["local_part"] for code in ("S2", "T", "D", "P", "Q")] == [""] * 5
    # a full name does not depend on the agency
    assert {entry["status"] for code, entry in entries("QT", rows, people).items() if code in "PQ"} == {"assigned"}


def test_a_commune_without_a_district_needs_a_decision_where_the_rule_names_the_district():
    for province in ("NB", "BG", "TG", "ST"):
        rows = [
            organisation("U", "province_agency", "UBND tỉnh", local_part="ubnd", basis="QĐ 1"),
            organisation("X", "commune", "UBND xã Lý Nhân", "U"),
            organisation("Y", "commune", "UBND xã Xuân Hồng"),
        ]
        answer = entries(province, rows)
        assert {answer[code]["status"] for code in "XY"} == {"needs_decision"}
