"""Conventions that cannot be used are refused with every reason; the shape is general enough for other provinces."""

import copy

import pytest
from naming_data import PROVINCES, naming, organisation, person

from congvu_mail.conventions import NamingError
from congvu_mail.naming import allocate, check_naming


@pytest.mark.parametrize("province", PROVINCES)
def test_the_conventions_of_the_provinces_can_be_used(province):
    assert check_naming(naming(province)) == []


def broken(path: str, value: object, province: str = "NB") -> list[str]:
    tree = copy.deepcopy(naming(province))
    node = tree
    *parents, last = path.split(".")
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return check_naming(tree)


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("person", ..., "person", "thiếu"),
        ("typo", {}, "typo", "không có trong cấu trúc"),
        ("organisation.ministry", {}, "organisation.ministry", "không có trong cấu trúc"),
        ("organisation.commune", {"pattern": "{name}"}, "organisation.commune", "value và basis"),
        ("organisation.commune.value.pattern", "{nom}.{parent}", "organisation.commune", "{nom}"),
        ("organisation.commune.value.pattern", "{name", "organisation.commune", "{name"),
        ("organisation.commune.value.pattern", "{name}@{parent}", "organisation.commune", "@"),
        ("organisation.commune.value.pattern", "xa", "organisation.commune", "không có trường"),
        ("organisation.commune.value.pattern", "{n}.{parent}", "organisation.commune", "{n}"),
        ("organisation.commune.value.parents", ["huyện"], "organisation.commune", "huyện"),
        ("organisation.commune.value.perents", ["district"], "organisation.commune", "perents"),
        ("abbreviation.value.drop", "và", "abbreviation.value.drop", "danh sách"),
        ("person.value.pattern", None, "person", "thiếu mẫu"),
        ("collision.person.value.forms", ["{full}{n}{n}"], "collision.person", "một {n}"),
        ("collision.person.value.first", 0, "collision.person.value.first", "0"),
        ("collision.person.value.first", True, "collision.person.value.first", "True"),
        ("collision.person.value.order", ["rank"], "collision.person.value.order", "registered"),
        ("collision.organisation.value", "first", "collision.organisation", "first"),
        ("change.transfer.value.address", "drop", "change.transfer", "drop"),
        ("change.rename.value.alias_months", -1, "change.rename", "-1"),
        ("exceptions", {}, "exceptions", "danh sách"),
        ("exceptions.0.local_part", "Ủy ban", "exceptions[0]", "Ủy ban"),
        ("exceptions.1.local_part", "ubnd", "exceptions[1]", "exceptions[0]"),
        ("exceptions.0.kind", "ministry", "exceptions[0].kind", "ministry"),
        ("exceptions.0.name", "", "exceptions[0].name", "chưa có tên"),
        ("exceptions.0.source", ..., "exceptions[0].source", "thiếu"),
    ],
)
def test_a_broken_convention_is_named(path, value, where, what):
    found = broken(path, value)
    assert any(where in problem and what in problem for problem in found), found


def test_all_problems_are_reported_at_once():
    tree = copy.deepcopy(naming("NB"))
    tree["person"]["value"]["pattern"] = "{name}"
    tree["organisation"]["commune"]["value"]["pattern"] = "{full}"
    del tree["reserved"]
    with pytest.raises(NamingError) as error:
        allocate({}, tree)
    assert len(error.value.problems) == 4  # the two patterns, no pattern for people, no reserved names


@pytest.mark.parametrize("value", [None, [], "naming", 3])
def test_what_is_no_tree_is_refused(value):
    assert len(check_naming(value)) == 1


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        (
            "{class}{name}",
            ["UBND xã Lý Nhân", "phường Thiên Trường", "đặc khu Côn Đảo"],
            ["xalynhan", "phuongthientruong", "dackhucondao"],
        ),
        ("ubnd{name}", ["UBND xã Lý Nhân", "UBND phường 4"], ["ubndlynhan", "ubndphuong4"]),
        ("{name}", ["UBND xã Lý Nhân"], ["lynhan"]),
    ],
)
def test_communes_without_a_district_can_be_expressed(pattern, names, expected):
    tree = copy.deepcopy(naming("NB"))
    tree["organisation"]["commune"]["value"] = {"pattern": pattern}
    rows = [organisation(str(number), "commune", name) for number, name in enumerate(names)]
    people = [person("P", "Lê Văn An", "0")]
    answer = [entry["local_part"] for entry in allocate({"organisations": rows, "people": people}, tree)]
    assert answer == [*expected, f"anlv.{expected[0]}"]


def test_an_exception_needs_no_more_than_its_contract_says():
    tree = {
        **naming("QT"),
        "exceptions": [{"kind": "province_agency", "name": "Sở Khoa học & Công nghệ", "local_part": "sokhcn", "aliases": ["khcn"]}],
    }
    (entry,) = allocate({"organisations": [organisation("S", "province_agency", "SỞ KHOA HỌC VÀ CÔNG NGHỆ")]}, tree)
    assert (entry["local_part"], entry["aliases"]) == ("sokhcn", ["khcn"])
