"""The password page's own arithmetic: what a rule says, what a password lacks, how long somebody waits."""

import importlib.util
import pathlib

import pytest

from congvu_mail import password_rules as rules

FOLDER = pathlib.Path(__file__).parents[2] / "roles/password_page/files/password_page"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


throttle = load("throttle")
USER = {"name": "user", "min_length": 8, "classes": ["lower", "upper", "digit", "special"], "specials": "!@#", "history": 3}


def test_a_rule_is_said_whole():
    assert rules.lines({**USER, "forbid_personal_data": True}) == [
        "Ít nhất 8 ký tự",
        "Có chữ thường (a–z)",
        "Có chữ hoa (A–Z)",
        "Có chữ số (0–9)",
        "Có ký tự đặc biệt, một trong: ! @ #",
        "Không chứa họ tên, địa chỉ thư hoặc thông tin cá nhân của người dùng",
        "Không trùng với 3 mật khẩu dùng gần đây",
    ]
    assert rules.lines({"name": "x"}) == []


@pytest.mark.parametrize(
    ("password", "missing"),
    [
        ("Mua@Rao26", []),
        ("Mưa@Rào26", []),
        ("Đồng$1ab", ["Có chữ hoa (A–Z)", "Có ký tự đặc biệt, một trong: ! @ #"]),
        ("aA1@", ["Ít nhất 8 ký tự"]),
    ],
)
def test_what_a_password_lacks(password, missing):
    assert rules.unmet(USER, password) == missing


def test_any_punctuation_counts_where_no_specials_are_named():
    assert rules.unmet({"classes": ["special"]}, "a~b") == []


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("Mua@Rao26", ""),
        ("aA1@", "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Ít nhất 8 ký tự"),
        ("đồng1abc", "Mật khẩu mới chưa đủ mạnh. Còn thiếu: Có chữ hoa (A–Z); Có ký tự đặc biệt, một trong: ! @ #"),
        ("Sinh@02091985", rules.REFUSALS["personal"]),
        ("TranBinhThu@1", rules.REFUSALS["personal"]),
        ("thu-ngan@AB1", ""),
        ("Thu.Tran@1ab", rules.REFUSALS["personal"]),
        ("{SSHA512}Abc@1", rules.REFUSALS["hashed"]),
        ("{Abc}@12345", ""),
    ],
)
def test_a_password_is_judged_with_the_reason(password, said):
    rule = {**USER, "forbid_personal_data": True}
    assert rules.judge(rule, password, ["tranbinhthu 02091985 ab", "thu.tran@tinh.gov.vn"]) == said
    assert rules.judge({**rule, "forbid_personal_data": False}, "Sinh@02091985", ["02091985"]) == ""


def test_failures_are_forgiven_in_time():
    now = [0.0]
    limit = throttle.Throttle(2, 600, clock=lambda: now[0])
    assert limit.wait("an") == 0
    limit.fail("an")
    now[0] = 100
    limit.fail("an")
    assert limit.wait("an") == 501
    assert limit.wait("binh") == 0
    now[0] = 601
    assert limit.wait("an") == 0
    limit.fail("an")
    assert limit.wait("an") > 0
    limit.forget("an")
    assert limit.wait("an") == 0


def test_no_limit():
    limit = throttle.Throttle(0, 600)
    for _ in range(100):
        limit.fail("an")
    assert limit.wait("an") == 0
