"""The checker of policy.yml: each kind of mistake is found, with its line, its cause and what to do."""

import copy
import datetime as dt
from pathlib import Path

import pytest
import yaml

from congvu_mail.policy import Document, check_document, check_policy, load_policy

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "inventories/quang-tri/group_vars/all/policy.yml"
TODAY = dt.date(2026, 11, 22)


@pytest.fixture(scope="module")
def sound():
    return load_policy(POLICY).data


def problems(sound, path, change, today=TODAY):
    """Problems after `change(node)` on a copy of the policy; a value that is not callable replaces the node."""
    data = copy.deepcopy(sound)
    node = data
    *above, last = path.split(".")
    for key in above:
        node = node[int(key) if key.isdigit() else key]
    last = int(last) if last.isdigit() else last
    if callable(change):
        change(node[last])
    else:
        node[last] = change
    document = Document("policy.yml", data)
    check_document(document, today=today)
    return document.problems


def only(found):
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


def test_a_sound_file_has_no_problems():
    assert check_policy(POLICY, today=TODAY) == []


def test_all_problems_at_once_each_with_line_value_and_remedy(tmp_path):
    text = POLICY.read_text(encoding="utf-8")
    text = text.replace("value: 2GiB", "value: 1GiB").replace("min_length:\n        value: 8", "min_length:\n        value: 7")
    broken = tmp_path / "policy.yml"
    broken.write_text(text, encoding="utf-8")
    found = check_policy(broken, today=TODAY)
    lines = text.splitlines()
    assert [(problem.path, lines[problem.line - 1].strip()) for problem in found] == [
        ("quota.person.value", "value: 1GiB"),
        ("password.user.min_length.value", "value: 7"),
    ]
    assert str(found[0]).startswith(f"{broken}:{found[0].line}: quota.person.value = 1GiB: trái Quy chế, phải tối thiểu 2GiB. Cách sửa:")


def test_duplicate_key_is_an_error_that_names_both_lines(tmp_path):
    text = POLICY.read_text(encoding="utf-8").replace("  schema: 1\n", "  schema: 1\n  schema: 1\n")
    (tmp_path / "policy.yml").write_text(text, encoding="utf-8")
    found = only(check_policy(tmp_path / "policy.yml", today=TODAY))
    first = text.splitlines().index("  schema: 1") + 1
    assert (found.line, found.path, found.problem) == (first + 1, "schema", f"khóa trùng với dòng {first}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("mail_policy: [", "YAML sai cú pháp"),
        ("other: 1\nmail_policy: {}\n", "khóa lạ other"),
        ("domain: x\n", "thiếu khóa mail_policy"),
        ("", "thiếu khóa mail_policy"),
        ("mail_policy: !vault x\n", "YAML sai cú pháp"),
        ("mail_policy: \x00\n", "YAML sai cú pháp"),
        ("mail_policy: &all\n  quota: *all\n", "không dùng bí danh YAML"),
        ("mail_policy:\n", "phải là một nhóm khóa"),
    ],
)
def test_a_file_that_is_no_policy(tmp_path, content, problem):
    (tmp_path / "policy.yml").write_text(content, encoding="utf-8")
    assert any(problem in found.problem for found in check_policy(tmp_path / "policy.yml"))


def test_rules_across_leaves_come_with_the_others(sound):
    def weaken(policy):
        policy["user"]["min_length"]["value"] = 7
        policy["admin"]["classes"]["value"] = ["lower"]

    paths = {problem.path for problem in problems(sound, "password", weaken)}
    assert paths == {"password.user.min_length.value", "password.admin.specials.value", "password.admin.classes.value"}


@pytest.mark.parametrize(
    ("mailbox", "address", "wanted"),
    [
        ("keep", {"address": "new", "old": "closed"}, "keep"),
        ("keep", {"address": "new", "old": "alias"}, "keep"),
        ("rename", {"address": "keep"}, "new, alias"),
        ("rename", {"address": "new", "old": "closed"}, "new, alias"),
        ("end", {"address": "keep"}, "new, closed"),
        ("end", {"address": "new", "old": "alias"}, "new, closed"),
    ],
)
def test_a_transfer_says_the_same_of_the_mailbox_and_of_its_address(sound, mailbox, address, wanted):
    policy = copy.deepcopy(sound)
    policy["termination"]["on_transfer"] = {"value": mailbox, "basis": "operator", "note": "x"}
    policy["naming"]["person"]["value"]["pattern"] = "{given}.{organisation}"

    def transfer(value):
        found = problems(policy, "naming.change.transfer.value", value)
        return [problem for problem in found if problem.path == "naming.change.transfer.value"]

    said = only(transfer(address))
    assert (said.problem, f"phải là {wanted};" in said.remedy) == (f"trái với termination.on_transfer: {mailbox}", True)
    right = {"keep": {"address": "keep"}, "rename": {"address": "new", "old": "alias"}, "end": {"address": "new", "old": "closed"}}
    assert transfer(right[mailbox]) == []


def test_an_address_without_the_organisation_cannot_be_renamed_at_a_transfer(sound):
    policy = copy.deepcopy(sound)
    policy["naming"]["change"]["transfer"]["value"] = {"address": "new", "old": "alias"}
    found = problems(policy, "termination.on_transfer.value", "rename")
    assert "không mang tên cơ quan" in only(found).problem


def test_a_file_that_is_missing_or_not_utf8(tmp_path):
    assert "không đọc được tệp" in only(check_policy(tmp_path / "absent.yml")).problem
    (tmp_path / "policy.yml").write_bytes("mail_policy: mật".encode("utf-16"))
    assert "không đọc được tệp" in only(check_policy(tmp_path / "policy.yml")).problem


def test_unknown_key_suggests_the_one_meant(sound):
    found = problems(sound, "quota", lambda node: node.update(persn=node.pop("person")))
    assert {("quota.persn", "khóa lạ"), ("quota.person", "thiếu khóa bắt buộc")} <= {(p.path, p.problem) for p in found}
    assert "person" in next(p.remedy for p in found if p.path == "quota.persn")


MIN = "password.user.min_length"


@pytest.mark.parametrize(
    ("path", "change", "problem"),
    [
        (f"{MIN}.value", "8", "phải là số nguyên"),
        (f"{MIN}.value", True, "phải là số nguyên"),
        (f"{MIN}.value", 1000, "phải trong khoảng"),
        (f"{MIN}.value", None, "khóa này không được để trống"),
        (f"{MIN}.value", 7, "trái Quy chế, phải tối thiểu 8"),
        (f"{MIN}.basis", "law", "thiếu act"),
        (f"{MIN}.basis", "taste", "căn cứ không hợp lệ"),
        (f"{MIN}.basis", "operator", "bound không đi cùng basis: operator"),
        (f"{MIN}.clause", "Điều 9, khoản 2", "điều khoản sai dạng"),
        (f"{MIN}.clause", "Khoản 2 Điều 9", "điều khoản sai dạng"),
        (f"{MIN}.clause", "", "thiếu clause"),
        (f"{MIN}.quote", " ".join(["8 ký tự"] + ["từ"] * 23), "trích dẫn dài 26 từ"),
        (f"{MIN}.quote", "độ phức tạp cao", "trích dẫn không có 8 ký tự"),
        (f"{MIN}.quote", "độ dài tối thiểu 18 ký tự", "trích dẫn không có 8 ký tự"),
        (f"{MIN}.quote_restored", "tám ký tự", "quote_restored không đi cùng basis: regulation"),
        (f"{MIN}.bound", {"max": 8}, "không so sánh được bằng max"),
        (f"{MIN}.bound", {"least": 8}, "không so sánh được bằng least"),
        (f"{MIN}.bound", {"min": "8"}, "phải là số nguyên"),
        (f"{MIN}.bound", {}, "bound sai dạng"),
        (f"{MIN}.bound", 8, "bound sai dạng"),
        (f"{MIN}.bound", {"min": 6}, "trích dẫn không có 6 ký tự"),
        (f"{MIN}", {"value": 8}, "thiếu căn cứ (basis)"),
        (f"{MIN}", 8, "thiếu căn cứ (basis)"),
        ("termination.execute_working_days.value", None, "để trống nghĩa là Quy chế không quy định"),
        ("termination.execute_working_days.value", 6, "phải tối đa 5"),
        ("termination.execute_working_days.quote", "Trong thời hạn 05 ngày", "trích dẫn không có 5 ngày làm việc"),
        ("quota.person.value", "2 gigas", "không phải là dung lượng"),
        ("quota.person.value", "1999MiB", "phải tối thiểu 2GiB"),
        ("webmail.redirect_https.value", "yes", "phải là true hoặc false"),
        ("webmail.redirect_https.value", False, "phải đúng là true"),
        ("domain.value", "QuangTri.gov.vn", "phải là tên miền chữ thường"),
        ("attachments.encrypted.value", "drop", "phải là một trong: accept, tag, quarantine, reject"),
        ("protocols.value", "imap", "phải là danh sách"),
        ("protocols.value", ["imap", "imap", "web", "pop3", "smtp"], "mục lặp lại: imap"),
        ("protocols.value", ["imap", "web", "smtp"], "phải ít nhất gồm"),
        ("password.user.specials.value", "!@#%$*&^", "trái Quy chế, phải đúng là"),
        ("password.history.note", " ", "thiếu note"),
        ("inactivity.stages", [], "phải là danh sách các mục có basis"),
        ("inactivity.stages.1.value", {"after": {"months": 3, "days": 1}, "action": "lock"}, "khóa lạ days"),
        ("inactivity.stages.1.value", {"after": {}, "action": "lock"}, "cần đúng một trong các khóa"),
        ("inactivity.stages.1.value", {"after": {"months": 3}, "action": "notice"}, "trái Quy chế"),
        ("inactivity.stages.1.bound", {"exact": {"after": {"months": 3}}}, "bound chưa nêu action"),
        ("check_frequency.organisation.value", {"per_working_day": 2, "windows": ["morning_start"]}, "phải ít nhất gồm"),
        ("reports.agency.0.note", "", "thiếu note"),
        ("logs.headers_days.act", None, "thiếu act"),
        ("logs.headers_days.value", 90, "phải tối thiểu 180"),
        ("regulation.status", "valid", "phải là một trong"),
        ("regulation.issued", "22/11/2026", "phải là ngày dạng YYYY-MM-DD"),
        ("schema", 2, "phải trong khoảng 1 đến 1"),
        ("naming", [], "phải là một nhóm khóa"),
        ("naming.person.value", {"pattern": "{nickname}"}, "nickname"),
        ("naming.person.clause", "Điều 6.2", "điều khoản sai dạng"),
        ("naming.person.basis", "operator", "thiếu note"),
        ("password.admin.min_length.value", 7, "yếu hơn quy định cho người dùng (8)"),
        ("password.admin.max_age_months.value", None, "yếu hơn quy định cho người dùng (6)"),
        ("forwarding.state_domains.value", ["gov.vn", "gmail.com"], "phải là tên miền .vn của cơ quan nhà nước"),
        ("forwarding.state_domains.value", ["gov.vn", "com.vn"], "phải là tên miền .vn của cơ quan nhà nước"),
        ("logs.headers_days", {"value": 90, "basis": "law", "act": "x", "clause": "Điều 1"}, "thiếu mức của Quy chế (bound)"),
        ("contacts.support.value", "hotro@gmail.com", "không thuộc tên miền quangtri.gov.vn"),
        ("clauses.0.met_by", "magic", "giá trị lạ"),
        ("clauses.0.by", "quota", "phải là danh sách chuỗi"),
        ("clauses.0.summary", "", "phải là chuỗi ký tự không rỗng"),
    ],
)
def test_each_mistake_is_named(sound, path, change, problem):
    assert any(problem in found.problem for found in problems(sound, path, change)), problem


def test_a_missing_bound_is_named(sound):
    found = problems(sound, MIN, lambda leaf: leaf.pop("bound"))
    assert only(found).problem == "thiếu mức của Quy chế (bound)"


def test_figures_in_words_count(sound):
    assert problems(sound, f"{MIN}.quote", "độ dài tối thiểu tám ký tự") == []
    assert problems(sound, f"{MIN}.quote", "độ dài tối thiểu 08 (tám) ký tự") == []


EXCEPTION = {
    "document": "12/QĐ-UBND",
    "date": dt.date(2026, 1, 1),
    "until": dt.date(2026, 12, 31),
    "approved_by": "Chủ tịch UBND tỉnh",
}


def weakened(**exception):
    return lambda leaf: leaf.update(value=6, exception=EXCEPTION | exception)


def test_an_exception_in_force_lets_a_weaker_value_through(sound):
    assert problems(sound, MIN, weakened()) == []
    assert problems(sound, MIN, weakened(), today=dt.date(2026, 12, 31)) == []


@pytest.mark.parametrize("today", [dt.date(2025, 12, 31), dt.date(2027, 1, 1)])
def test_an_exception_outside_its_dates_does_not(sound, today):
    found = {problem.problem for problem in problems(sound, MIN, weakened(), today=today)}
    assert found == {f"ngoại lệ không có hiệu lực vào ngày {today:%d/%m/%Y}", "trái Quy chế, phải tối thiểu 8"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"document": ""}, "không được để trống"),
        ({"approved_by": None}, "không được để trống"),
        ({"until": "31/12/2026"}, "phải là ngày dạng YYYY-MM-DD"),
        ({"who": "x"}, "ngoại lệ sai dạng"),
    ],
)
def test_an_exception_names_document_dates_and_person(sound, change, problem):
    assert any(problem in found.problem for found in problems(sound, MIN, weakened(**change)))


def test_stages_come_in_the_order_of_time(sound):
    found = problems(sound, "inactivity.stages", lambda stages: stages.reverse())
    assert any(problem.problem == "bước này đến hạn trước bước đứng trên" for problem in found)


def test_a_term_from_a_notice_needs_the_notice(sound):
    leaf = {"value": {"after": {"working_days": 15, "since": "notice"}, "action": "lock"}, "basis": "operator", "note": "thử"}
    found = problems(sound, "inactivity.stages", lambda stages: stages.insert(0, leaf))
    assert any("phải tính từ một bước notice" in problem.problem for problem in found)


def test_a_rule_of_the_regulation_stands_in_the_register(sound):
    def forget(clauses):
        for entry in clauses:
            entry["by"] = [item for item in entry["by"] if item != "quota.person"]
            entry["met_by"] = entry["met_by"] if entry["by"] else "organisational"

    found = only(problems(sound, "clauses", forget))
    assert (found.path, found.problem) == (
        "quota.person.clause",
        "sổ điều khoản (clauses) chưa ghi khóa này dưới Điều 9 khoản 1 điểm b",
    )


def test_the_register_names_only_what_exists(sound):
    found = problems(sound, "clauses.5", lambda entry: entry.update(met_by="control", by=["quota.persn"]))
    assert any((problem.path, problem.value) == ("clauses[5].by", "quota.persn") for problem in found)


def test_the_register_holds_each_clause_once(sound):
    found = only(problems(sound, "clauses", lambda clauses: clauses.append(copy.deepcopy(clauses[3]))))
    assert "điều khoản đã ghi" in found.problem


TEXT = """\
Điều 1. Ban hành kèm theo
Quy chế này.
Điều 1. [bookmark: x]Phạm vi
1. Mật khẩu phải **dài ít
7
nhất** 8 ký tự
2. Ký tự đặc biệt (!, \\\\*)
"""


@pytest.mark.parametrize(
    ("clause", "quote", "problem"),
    [
        ("Điều 1 khoản 1", "phải dài ít nhất 8 ký tự", None),
        ("Điều 1", "dài ít  nhất 8 ký tự", None),
        ("Điều 1 khoản 1", "Mật khẩu phải dài hơn 8 ký tự", "trích dẫn không có trong văn bản"),
        ("Điều 1 khoản 2", "dài ít nhất 8 ký tự", "trích dẫn không nằm ở Điều 1 khoản 2 mà ở Điều 1 khoản 1"),
        ("Quyết định, Điều 1", "dài ít nhất 8 ký tự", "trích dẫn không nằm ở Quyết định, Điều 1 mà ở Điều 1 khoản 1"),
    ],
)
def test_quotes_are_compared_with_the_text(tmp_path, sound, clause, quote, problem):
    data = copy.deepcopy(sound)
    data["password"]["user"]["min_length"] |= {"clause": clause, "quote": quote}
    (tmp_path / data["regulation"]["text"]).write_text(TEXT, encoding="utf-8")
    (tmp_path / "policy.yml").write_text(yaml.safe_dump({"mail_policy": data}, allow_unicode=True), encoding="utf-8")
    found = check_policy(tmp_path / "policy.yml", tmp_path, TODAY)
    assert [p.problem for p in found if p.path == f"{MIN}.quote"] == ([problem] if problem else [])


def test_a_missing_text_is_named(tmp_path):
    found = check_policy(POLICY, tmp_path, TODAY)
    assert only(found).path == "regulation.text"
