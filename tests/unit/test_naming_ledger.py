"""Who gets which address when: order, the ledger of issued addresses, documents, transfers, bad rows."""

import itertools

import pytest
from naming_data import PROVINCES, entries, issued, local_parts, naming, organisation, person

from congvu_mail.naming import allocate
from congvu_mail.roster import RosterError

SNV = organisation("S1", "province_agency", "Sở Nội vụ")
SYT = organisation("S2", "province_agency", "Sở Y tế")


# --- order ---


def test_entries_come_parents_first_then_people_in_the_order_of_issue():
    rows = [
        organisation("D", "division", "Phòng Một", "S1", registered="01/01/2020"),
        organisation("S1", "province_agency", "Sở Nội vụ", registered="2021-05-01"),
        organisation("S2", "province_agency", "Sở Y tế", registered="2021-04-30"),
        organisation("S0", "province_agency", "Sở Xây dựng"),
    ]
    people = [person("b", "Lê A"), person("a", "Lê B"), person("C", "Lê C"), person("z", "Lê D", registered="31/12/2019")]
    roster = {"organisations": rows, "people": people}
    order = [entry["code"] for entry in allocate(roster, naming("QT"))]
    assert order == ["S2", "S1", "D", "S0", "z", "C", "a", "b"]


def test_dates_of_registration_are_compared_as_dates():
    dates = {"E": "", "D": "02/03/2020 09:30", "C": "2020-03-02", "B": "1/3/2020", "A": "2020-03-02T10:00", "Y": 2019}
    people = [person(code, "Lê An", registered=date) for code, date in dates.items()]
    roster = {"organisations": [], "people": people}
    assert [entry["code"] for entry in allocate(roster, naming("QT"))] == ["Y", "B", "C", "D", "A", "E"]


def test_rank_comes_first_only_where_the_regulation_says_so():
    people = [
        person("A", "Nguyễn Thanh Bình", "S1", registered="2020-01-01"),
        person("B", "Nguyễn Thị Bình", "S1", registered="2021-01-01", rank=3),
        person("C", "Ngô Tú Bình", "S1", registered="2022-01-01", rank="2"),
    ]
    assert local_parts("ST", [SNV], people) | {"S1": ""} == {"S1": "", "C": "ntbinh", "B": "ntbinh.sonv", "A": "ntbinh2.sonv"}
    same = [{**row, "full_name": "Nguyễn Thị Bình"} for row in people]
    assert local_parts("QT", [SNV], same)["A"] == "nguyenthibinh"


def test_ordinals_count_on_within_the_organisation_in_soc_trang():
    people = [person(str(number), "Nguyễn Thanh Bình", employer) for number, employer in enumerate(("S1", "S1", "S2", "S1", "S2"))]
    assert list(local_parts("ST", [SNV, SYT], people).values())[2:] == [
        "ntbinh",
        "ntbinh.sonv",
        "ntbinh.soyt",
        "ntbinh2.sonv",
        "ntbinh2.soyt",
    ]


def test_the_same_address_from_different_names_is_a_collision():
    people = [person("A", "Nguyễn Văn An", "S1"), person("B", "Ngô Vân Ân", "S1"), person("C", "Ngô Văn An", "S2")]
    assert list(local_parts("NB", [SNV, SYT], people).values())[2:] == ["annv.snv", "annv2.snv", "annv.syt"]


# --- the ledger ---


def test_an_issued_address_stays_whatever_the_rule_says():
    ledger = [{"code": "P", "local_part": "Old_Style", "since": "02/09/2010"}, {"code": "S1", "local_part": "sonoivu"}]
    answer = entries("NB", [SNV], [person("P", "Lê An", "S1"), person("Q", "Lê An", "S1")], ledger)
    assert (answer["P"]["local_part"], answer["P"]["status"]) == ("old_style", "issued")
    assert "02/09/2010" in answer["P"]["reason"]
    assert answer["Q"]["local_part"] == "anl.sonoivu"


@pytest.mark.parametrize("current", [True, False, "false", "0", "không"])
def test_an_address_is_never_given_to_another_code(current):
    ledger = [{"code": "GONE", "local_part": "lean", "current": current}]
    assert local_parts("QT", [], [person("P", "Lê An")], ledger)["P"] == "lean1"


def test_a_closed_address_may_return_to_its_own_code():
    ledger = [{"code": "P", "local_part": "lean", "current": "false", "until": "2024-01-01"}]
    entry = entries("QT", [], [person("P", "Lê An")], ledger)["P"]
    assert (entry["local_part"], entry["status"]) == ("lean", "assigned")


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (["lean"], "lean1"),
        (["lean", "lean1"], "lean2"),
        (["lean", "lean4"], "lean5"),  # rising, a gap is not filled
        (["lean", "lean1987"], "lean1"),  # a year given by decision is no ordinal
        (["lean", "lean1", "lean2", "lean9", "lean10"], "lean11"),
        (["lean1"], "lean"),
    ],
)
def test_numbers_rise_and_are_never_used_again(used, expected):
    ledger = [{"code": f"X{number}", "local_part": local_part, "current": False} for number, local_part in enumerate(used)]
    assert local_parts("QT", [], [person("P", "Lê An")], ledger)["P"] == expected


def test_a_leader_who_comes_later_does_not_take_an_issued_address():
    people = [person("A", "Nguyễn Thanh Bình", "S1"), person("B", "Nguyễn Thanh Bình", "S2", rank=1)]
    assert local_parts("ST", [SNV, SYT], people, issued(A="ntbinh"))["B"] == "ntbinh.soyt"


def test_a_namesake_in_bac_giang_needs_a_decision_with_a_suggestion_of_the_same_form():
    people = [person(code, "Nguyễn Thị Ngọc", "S1") for code in "ABC"]
    answer = entries("BG", [SNV], people)
    assert [answer[code]["status"] for code in "ABC"] == ["assigned", "needs_decision", "needs_decision"]
    assert [answer[code]["suggestion"] for code in "ABC"] == ["", "ngocnt2_snv", "ngocnt3_snv"]
    assert answer["B"]["clause"] == "Điều 6 khoản 2 điểm b"


def test_the_ladder_of_tien_giang_ends_in_a_decision():
    people = [person(str(number), "Lê Minh Hiếu", birth_year=year) for number, year in enumerate((1960, 1961, 1962, 1977, 1977, ""))]
    answer = entries("TG", [], people)
    assert [entry["local_part"] for entry in answer.values()] == ["leminhhieu", "lminhhieu", "lmhieu", "leminhhieu77", "", ""]
    assert answer["4"]["suggestion"] == "leminhhieu1977"
    assert "năm sinh" in answer["5"]["reason"]
    assert local_parts("TG", [], [person("A", "Lê Hiếu"), person("B", "Lê Hiếu"), person("C", "Lê Hiếu", birth_date="7/8/1990")]) == {
        "A": "lehieu",
        "B": "lhieu",
        "C": "lehieu90",
    }  # without a middle name the second and third form are one


# --- documents ---


def test_an_address_by_document_replaces_the_issued_one():
    row = person("P", "Lê An", "S1", local_part="LeAn.Moi", basis="Công văn 7/SNV")
    entry = entries("QT", [SNV], [row], issued(P="lean"))["P"]
    assert (entry["local_part"], entry["status"], entry["previous"]) == ("lean.moi", "assigned", "lean")
    assert (entry["previous_use"], entry["previous_months"]) == ("alias", 12)
    assert "Công văn 7/SNV" in entry["reason"]
    again = [{"code": "P", "local_part": "lean.moi"}, {"code": "P", "local_part": "lean", "current": "false"}]
    assert entries("QT", [SNV], [row], again)["P"]["status"] == "issued"


def test_an_address_by_document_comes_before_the_rule():
    people = [person("A", "Lê An", registered="2001-01-01"), person("B", "Lê Ân", local_part="lean", basis="QĐ 5")]
    assert local_parts("QT", [], people) == {"A": "lean1", "B": "lean"}


# --- transfers ---


@pytest.mark.parametrize(("province", "old", "new"), [("NB", "annv.snv", "annv.syt"), ("BG", "annv_snv", "annv_syt")])
def test_a_transfer_ends_the_address_that_names_the_agency(province, old, new):
    entry = entries(province, [SNV, SYT], [person("P", "Nguyễn Văn An", "S2")], issued(P=old, S1="snv", S2="syt"))["P"]
    assert (entry["local_part"], entry["status"]) == (new, "assigned")
    assert (entry["previous"], entry["previous_use"]) == (old, "closed")
    back = [{"code": "P", "local_part": new}, {"code": "P", "local_part": old, "current": "no"}, *issued(S1="snv", S2="syt")]
    assert local_parts(province, [SNV, SYT], [person("P", "Nguyễn Văn An", "S1")], back)["P"] == old


@pytest.mark.parametrize(("province", "address"), [("QT", "nguyenvanan"), ("TG", "nguyenvanan"), ("ST", "nvan.sonv")])
def test_a_transfer_keeps_the_address_elsewhere(province, address):
    answer = entries(province, [SNV, SYT], [person("P", "Nguyễn Văn An", "S2")], issued(P=address, S1="sonv"))
    assert (answer["P"]["local_part"], answer["P"]["status"]) == (address, "issued")


def test_a_printed_address_that_is_taken_is_not_replaced_by_the_rule():
    rows = [organisation("U1", "province_agency", "UBND tỉnh"), organisation("U2", "province_agency", "UBND tỉnh Ninh Bình")]
    answer = entries("NB", rows)
    assert (answer["U1"]["local_part"], answer["U2"]["status"]) == ("ubnd", "needs_decision")


def test_what_is_no_transfer():
    division = organisation("D", "division", "Phòng Một", "S1")
    people = [person("P", "Nguyễn Văn An", "D")]
    # within the agency
    assert entries("NB", [SNV, division], people, issued(P="annv.snv"))["P"]["status"] == "issued"
    # the agency was renamed: its former address is still its own
    renamed = [{"code": "S1", "local_part": "snvm"}, {"code": "S1", "local_part": "snv", "current": "false"}]
    assert entries("NB", [SNV, division], people, [*renamed, *issued(P="annv.snv")])["P"]["status"] == "issued"
    # an address of an earlier system names no known agency
    assert entries("NB", [SNV, division], people, issued(P="an.nguyen", X="nguyen"))["P"]["status"] == "issued"
    # a leaver is not moved
    left = [person("P", "Nguyễn Văn An", "S2", status="left")]
    assert entries("NB", [SNV, SYT], left, issued(P="annv.snv"))["P"]["status"] == "issued"


def test_the_ledger_may_say_whom_the_person_worked_for():
    ledger = [{"code": "P", "local_part": "an.nguyen", "organisation": "S1"}]
    entry = entries("NB", [SNV, SYT], [person("P", "Nguyễn Văn An", "S2")], ledger)["P"]
    assert (entry["local_part"], entry["previous"]) == ("annv.syt", "an.nguyen")


def test_a_transfer_from_an_organisation_that_is_gone():
    people = [person("P", "Nguyễn Văn An", "S2"), person("Q", "Nguyễn Văn An", "S2")]
    answer = entries("NB", [SYT], people, issued(GONE="skhdt", P="annv2.skhdt", Q="an.skhdt"))
    assert (answer["P"]["local_part"], answer["P"]["previous"]) == ("annv.syt", "annv2.skhdt")
    assert answer["Q"]["status"] == "issued"  # not an address of the rule: no evidence


def test_a_transfer_to_an_address_by_document_ends_the_old_one():
    row = person("P", "Nguyễn Văn An", "S2", local_part="an.syt", basis="CV 3")
    entry = entries("NB", [SNV, SYT], [row], issued(P="annv.snv"))["P"]
    assert (entry["local_part"], entry["previous"], entry["previous_use"]) == ("an.syt", "annv.snv", "closed")
    again = [*issued(P="an.syt"), {"code": "P", "local_part": "annv.snv", "current": False}]
    assert entries("NB", [SNV, SYT], [row], again)["P"]["status"] == "issued"


def test_a_transfer_to_a_namesake_in_bac_giang_waits_for_the_decision():
    people = [person("A", "Nguyễn Văn An", "S2"), person("P", "Nguyễn Văn An", "S2")]
    entry = entries("BG", [SNV, SYT], people, issued(A="annv_syt", P="annv_snv"))["P"]
    assert (entry["status"], entry["local_part"], entry["suggestion"]) == ("needs_decision", "", "annv2_syt")
    assert "Chuyển công tác" in entry["reason"]


def test_who_left_gets_no_new_address_and_does_not_take_a_form():
    people = [person("A", "Lê An", status="left", registered="2000-01-01"), person("B", "Lê An")]
    answer = entries("QT", [], people)
    assert (answer["A"]["status"], answer["A"]["suggestion"]) == ("needs_decision", "")
    assert answer["B"]["local_part"] == "lean"


# --- bad rows ---


def problems(organisations=(), people=(), ledger=()):
    with pytest.raises(RosterError) as error:
        entries("QT", organisations, people, ledger)
    assert str(len(error.value.problems)) in str(error.value)
    return {(problem.code, problem.column) for problem in error.value.problems}


def test_all_bad_rows_are_listed_at_once():
    rows = [
        SNV,
        organisation("S1", "province_agency", "Sở Y tế"),
        organisation("K", "ministry", "Bộ X"),
        organisation("N", "division", "Phòng A", "NOWHERE"),
        organisation("A", "division", "Phòng A", "B"),
        organisation("B", "division", "Phòng B", "A"),
        organisation("E", "division", "", "S1"),
        organisation("M", "province_agency", "Së Th«ng tin"),
        organisation("D", "commune", "UBND", registered="32/01/2020"),
        organisation("T", "province_agency", "Sở T", status="closed"),
    ]
    people = [
        person("S1", "Lê An"),
        person("", "Lê An"),
        person("U", "Lê An", "NOWHERE"),
        person("R", "Lê An", rank="cao"),
        person("Y", "Lê An", birth_date="1/13/1980"),
        person("L", "Lê An", local_part="x y", basis="b"),
        person("L2", "Lê An", local_part="lean.x"),
        person("L3", "Lê An", local_part="postmaster", basis="b"),
        person("L4", "Lê An", local_part="lean.y", basis="b"),
        person("L5", "Lê An", local_part="lean.y", basis="b"),
        person("L6", "Lê An", local_part="old", basis="b"),
        person("G", "Lê An", status="gone"),
        person("F", "Lê 2"),
    ]
    ledger = [
        {"code": "X", "local_part": "old"},
        {"code": "Z", "local_part": "old"},
        {"code": "X", "local_part": "old2"},
        {"code": "", "local_part": "z"},
        {"code": "W", "local_part": "a b"},
        {"code": "V", "local_part": "v", "since": "hôm qua"},
        {"code": "V2", "local_part": "v2", "current": "maybe"},
    ]
    assert problems(rows, people, ledger) == {
        ("S1", "code"),
        ("K", "kind"),
        ("N", "parent"),
        ("A", "parent"),
        ("E", "name"),
        ("M", "name"),
        ("D", "name"),
        ("D", "registered"),
        ("T", "status"),
        ("", "code"),
        ("U", "organisation"),
        ("R", "rank"),
        ("Y", "birth_date"),
        ("L", "local_part"),
        ("L2", "local_part"),
        ("L3", "local_part"),
        ("L5", "local_part"),
        ("L6", "local_part"),
        ("G", "status"),
        ("F", "full_name"),
        ("Z", "local_part"),
        ("X", "current"),
        ("W", "local_part"),
        ("V", "current/since/until"),
        ("V2", "current/since/until"),
    }


def test_an_error_says_where_what_and_how_to_correct_it():
    with pytest.raises(RosterError) as error:
        entries("QT", [], [person("P9", "TS. Lê An")])
    text = str(error.value)
    for part in ("people", "P9", "full_name", "“TS. Lê An”", "học vị", "Cách sửa: "):
        assert part in text


@pytest.mark.parametrize("province", PROVINCES)
def test_a_service_mailbox_may_have_a_reserved_name_by_document(province):
    row = organisation("M", "service", "Hộp thư hệ thống", local_part="postmaster", basis="RFC 5321")
    assert local_parts(province, [row])["M"] == "postmaster"
    with pytest.raises(RosterError):
        entries(province, [{**row, "kind": "province_agency"}])


def test_values_may_be_text_numbers_or_empty_and_columns_may_be_missing():
    people = [
        {"code": 7, "full_name": "Lê An", "organisation": None, "rank": 2.0, "birth_year": 1980, "note": ["x"]},
        {"code": "8", "full_name": "Lê An", "rank": "", "registered": None},
    ]
    assert local_parts("QT", [], people) == {"7": "lean", "8": "lean1"}


def test_a_local_part_longer_than_64_octets_is_not_given_out():
    name = "Nguyễn " + "Nghiêng " * 8 + "Hương"
    entry = entries("QT", [], [person("P", name)])["P"]
    assert (entry["status"], entry["local_part"]) == ("needs_decision", "")
    assert "64" in entry["reason"]


def test_the_order_of_rows_does_not_matter():
    rows = [SNV, SYT, organisation("D", "division", "Phòng Một", "S1")]
    people = [person(code, name, "S1") for code, name in zip("ABC", ("Lê An", "Lê Ân", "Lê An"), strict=True)]
    answers = {
        tuple((entry["code"], entry["local_part"]) for entry in allocate({"organisations": o, "people": p}, naming("NB")))
        for o in itertools.permutations(rows)
        for p in itertools.permutations(people)
    }
    assert len(answers) == 1
