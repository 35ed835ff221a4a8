"""Acts: what each province demands for them, when they are refused, what they change, and that a second time changes nothing."""

import datetime as dt
from functools import cache
from pathlib import Path

import pytest
import yaml

from congvu_mail import acts, states
from congvu_mail.directory import Directory, Mailbox
from congvu_mail.months import VIETNAM
from congvu_mail.working_days import Calendar

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2026, 11, 23, 9, tzinfo=VIETNAM)
CALENDAR = Calendar.vietnam(2024, 2027)
SUFFIX = "dc=example,dc=vn"
GIVEN = {"reason": "nghỉ hưu", "operator": "khanh", "document_number": "12/SNV", "document_date": "20/11/2026", "received": "2026-11-20"}
# Written here a second time, after the texts: what each province demands of a request to reinstate.
DEMANDED = {
    "ninh-binh": {"received"},
    "bac-giang": {"received", "signature_checked"},
    "quang-tri": {"received"},
    "soc-trang": set(),
    "tien-giang": set(),
}


@cache
def rules(province="quang-tri"):
    policy = yaml.safe_load((ROOT / f"inventories/{province}/group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
    return acts.Rules.from_policy(policy, SUFFIX)


def box(name="an", **attributes):
    plain = {
        "uid": name,
        "cn": name.title(),
        "mail": f"{name}@example.vn",
        "mailLocalAddress": f"{name}@example.vn",
        "congvuCode": f"C-{name}",
        "congvuKind": "person",
        "congvuState": "active",
        "congvuDelivery": "TRUE",
        "congvuLogin": "TRUE",
    }
    return Mailbox(f"uid={name},ou=mailboxes,{SUFFIX}", {key: [value] for key, value in (plain | attributes).items() if value})


def directory(*boxes):
    ledger = [
        {"code": one.get("congvuCode"), "local_part": one.get("uid"), "current": "true", "since": "", "until": "", "organisation": ""}
        for one in boxes
    ]
    return Directory(list(boxes), ledger)


def plan(name, *boxes, province="quang-tri", **given):
    orders = acts.read_orders({"mailbox": "an@example.vn"} | GIVEN | given)
    return acts.plan(name, orders, directory(*(boxes or [box()])), rules(province), CALENDAR, NOW)


def after(present, made):
    """The mailbox as a plan leaves it."""
    attributes = dict(present.attributes)
    for change in made.changes:
        for operation in change["operations"]:
            if operation["dn"] == present.dn:
                attributes |= operation["replace"]
    return Mailbox(present.dn, attributes)


def problems(call):
    with pytest.raises(acts.ActError) as error:
        call()
    return error.value.problems


@pytest.mark.parametrize("province", DEMANDED)
def test_each_province_demands_what_its_text_says(province):
    found = problems(
        lambda: acts.plan(
            "reinstate",
            acts.read_orders({"mailbox": "an@example.vn"}),
            directory(box(congvuState="suspended")),
            rules(province),
            CALENDAR,
            NOW,
        )
    )
    missing = {problem.split("thiếu ")[1].split(" ")[0] for problem in found}
    assert missing == {"reason", "operator", "document_number", "document_date"} | DEMANDED[province]


@pytest.mark.parametrize(
    ("name", "state", "allowed"),
    [
        (name, state, state in act.states)
        for name, act in acts.ACTS.items()
        for state in acts.STATES
        if name != "handover"
    ],
)  # fmt: skip
def test_the_order_of_acts(name, state, allowed):
    ended = {"congvuEnded": "20261001000000Z"} if state == "terminated" else {}
    present = box(congvuState=state, congvuReason="x", congvuDocument="1/A ngày 01/10/2026", **ended)
    if allowed:
        assert plan(name, present).changes
    else:
        (problem,) = problems(lambda: plan(name, present))
        assert acts.STATES[state] in problem and acts.ACTS[name].title in problem


@pytest.mark.parametrize("name", ["suspend", "terminate", "reinstate"])
def test_a_second_time_changes_nothing(name):
    present = box(congvuState="suspended" if name == "reinstate" else "active", congvuSuspendedSince="20261001000000Z")
    first = plan(name, present)
    done = after(present, first)
    assert done.get("congvuState") == acts.ACTS[name].state
    again = plan(name, done)
    assert again.changes == [] and again.rows[0].result.startswith(acts.DONE_BEFORE)
    assert problems(lambda: plan(name, done, document_number="99/X")), "another document is another act"


def test_the_day_of_a_suspension_is_one_of_viet_nam():
    """At two in the morning it is still yesterday in UTC."""
    present = box(congvuState="suspended", congvuSuspendedSince="20261122190000Z", congvuDocument="1/A ngày 01/10/2026")
    assert "tạm khóa từ ngày 23/11/2026 (1/A" in problems(lambda: plan("suspend", present))[0]


def test_a_document_without_its_date_is_told_for_a_mailbox_that_is_suspended():
    assert "thiếu document_date" in problems(lambda: plan("suspend", box(congvuState="suspended"), document_date=""))[0]


def test_a_preview_does_not_say_that_it_was_done():
    orders = acts.read_orders({"mailbox": "an@example.vn"} | GIVEN)
    for check, said in ((True, "sẽ làm"), (False, "đã làm")):
        assert acts.plan("suspend", orders, directory(box()), rules(), CALENDAR, NOW, check=check).rows[0].result == said


def test_a_new_password_is_given_once_on_a_document():
    present = box(pwdLastSuccess="20261101120000.123456Z")
    made = plan("reset-password", present)
    (change,) = acts.with_passwords(made, {"C-an": "{SSHA512}x"}).changes
    wanted = change["operations"][0]["replace"]
    assert wanted["userPassword"] == ["{SSHA512}x"] and wanted["pwdReset"] == ["TRUE"]
    assert wanted["congvuLastAccess"] == ["20261101120000Z"], "slapd forgets the last login with the old password"
    assert "userPassword" not in str(change["journal"])
    again = plan("reset-password", Mailbox(present.dn, {**after(present, made).attributes, "pwdReset": ["TRUE"]}))
    assert again.changes == [] and again.passwords == []
    assert again.ending == ["an"], "the run before may have been killed before it ended the sessions"
    assert plan("reset-password", after(present, made), document_number="13/SNV").passwords, "a new document, a new password"


def test_in_an_emergency_reason_and_operator_are_enough():
    orders = acts.read_orders({"mailbox": "an@example.vn", "reason": "lộ mật khẩu", "operator": "khanh", "compromise": "true"})
    made = acts.plan("suspend", orders, directory(box()), rules(), CALENDAR, NOW)
    assert acts.MISSING in made.rows[0].result
    assert made.queue == ["an"] and plan("suspend", box()).queue == [], "mail in the queue is held after a compromise only"
    done = after(box(), made)
    assert "reset-password.yml" in problems(lambda: plan("reinstate", done))[0]
    late = plan("suspend", done)
    assert late.changes[0]["operations"][0]["replace"] == {"congvuDocument": ["12/SNV ngày 20/11/2026"]}
    assert problems(lambda: plan("reinstate", box(congvuState="suspended"), emergency="true"))
    shared = box(congvuLogin="FALSE")  # opened by delegates: it has no password that could be renewed before it comes back
    again = plan("reinstate", after(shared, acts.plan("suspend", orders, directory(shared), rules(), CALENDAR, NOW)))
    assert again.changes[0]["operations"][0]["replace"]["congvuState"] == ["active"]


def test_the_end_closes_the_address_for_ever_and_the_way_back_opens_it():
    made = plan("terminate", box())
    ledger = made.changes[0]["operations"][1]
    assert ledger["dn"] == f"congvuLocalPart=an,ou=ledger,{SUFFIX}"
    assert ledger["replace"] == {"congvuCurrent": ["FALSE"], "congvuUntil": ["20261123000000Z"]}
    back = plan("reinstate", after(box(), made))
    assert back.changes[0]["operations"][1]["replace"] == {"congvuCurrent": ["TRUE"], "congvuUntil": []}
    erased = box(congvuState="terminated")
    assert "dữ liệu không còn" in problems(lambda: plan("reinstate", erased))[0]
    newer = box("an2", congvuCode="C-an")
    assert "đã có hộp thư mới" in problems(lambda: plan("reinstate", after(box(), made), newer))[0]


def test_a_successor_is_another_living_mailbox_until_a_day_to_come():
    heir = {"successor": "binh@example.vn", "successor_until": "31/12/2026"}
    made = plan("terminate", box(), box("binh"), **heir)
    wanted = made.changes[0]["operations"][0]["replace"]
    assert wanted["congvuSuccessor"] == ["binh@example.vn"] and wanted["congvuSuccessorUntil"] == ["20261231165959Z"]
    for wrong in ({"successor": "an@example.vn"}, {"successor": "khong@example.vn"}, {"successor_until": "2026-11-23"}, {"successor": ""}):
        assert problems(lambda wrong=wrong: plan("terminate", box(), box("binh"), **{**heir, **wrong}))


def test_a_successor_that_ends_is_no_successor_any_more():
    """Mail to the one that ended before would be accepted for a mailbox that refuses it."""
    heir, gone = box(), box("cu", congvuState="terminated", congvuSuccessor="an@example.vn", congvuSuccessorUntil="20270101165959Z")
    made = plan("terminate", heir, gone)
    ended, orphan = made.changes
    assert ended["journal"]["mailbox"] == "an@example.vn" and orphan["journal"]["act"] == "successor-end"
    assert after(gone, made).get("congvuSuccessor") == "" and "cu@example.vn" in made.rows[1].cells()
    again = plan("terminate", after(heir, made), after(gone, made))
    assert again.changes == []
    passed_on = plan("terminate", heir, gone, box("binh"), successor="binh@example.vn", successor_until="2026-12-01")
    assert len(passed_on.changes) == 1, "mail goes on to the next one"


def test_an_organisations_mailbox_is_handed_over():
    old, new = box("cu"), box("moi")
    office = box(congvuKind="organisation", congvuDelegate=old.dn)
    made = plan("handover", office, old, new, delegates="moi@example.vn")
    wanted = made.changes[0]["operations"][0]["replace"]
    assert wanted["congvuDelegate"] == [new.dn] and made.ending == ["an"]
    assert (made.rows[0].before, made.rows[0].after) == ("Cu", "Moi")
    assert made.passwords[0]["organisation"] == "C-an", "the new password goes to the organisation itself"
    assert "LƯU Ý: Moi thuộc cơ quan khác" in made.rows[0].result
    division = box("phong", congvuKind="organisation", congvuOrganisation="C-an")
    own = plan("handover", office, division, box("moi", congvuOrganisation="C-phong"), delegates="moi@example.vn")
    assert "LƯU Ý" not in own.rows[0].result
    again = plan("handover", after(office, made), old, new, delegates="moi@example.vn")
    assert again.changes == [] and again.ending == ["an"]
    closed = box(congvuKind="organisation", congvuLogin="FALSE")
    assert plan("handover", closed, old, new, delegates="moi@example.vn").passwords == []
    assert "không phải hộp thư của cơ quan" in problems(lambda: plan("handover", box(), new, delegates="moi@example.vn"))[0]
    assert (
        "đang hoạt động" in problems(lambda: plan("handover", office, box("moi", congvuState="suspended"), delegates="moi@example.vn"))[0]
    )
    assert "thiếu delegates" in problems(lambda: plan("handover", office))[0]


def test_the_deadline_is_counted_and_said():
    made = plan("terminate", box(), received="2026-11-16", document_date="2026-11-16")
    assert (made.rows[0].due, made.rows[0].result) == ("23/11/2026", "đã làm")  # five working days after a Monday
    late = plan("terminate", box(), received="2026-11-02")
    assert late.rows[0].result == "đã làm; TRỄ HẠN 10 ngày làm việc"
    assert late.changes[0]["journal"]["result"] == "done; TRỄ HẠN 10 ngày làm việc"


def test_a_file_of_many_with_everything_that_is_wrong(tmp_path):
    batch = tmp_path / "nghi.csv"
    batch.write_text("\ufeffmailbox;reason\r\nan@example.vn;\r\nkhong@example.vn;x\r\n\r\nAN@example.vn;y\r\n", encoding="utf-8")
    orders = acts.read_orders(GIVEN, batch)
    assert [order.reason for order in orders] == ["nghỉ hưu", "x", "y"]
    found = problems(lambda: acts.plan("suspend", orders, directory(box()), rules(), CALENDAR, NOW))
    assert [problem.partition(":")[0] for problem in found] == ["nghi.csv, dòng 3", "nghi.csv, dòng 5"]
    assert "thiếu cột mailbox" in problems(lambda: acts.read_orders(GIVEN, ROOT / "registers/quang-tri/requests.csv"))[0]
    assert problems(lambda: acts.read_orders({**GIVEN, "mailbox": "a@b"}, batch))
    assert "dấu nháy" in problems(lambda: acts.read_orders({**GIVEN, "_raw_params": "hưu"}))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mailbox,reason\nan@example.vn,nghỉ hưu, theo nguyện vọng\n", "dòng 2, cột (cả dòng), giá trị “theo nguyện vọng”: nhiều ô hơn"),
        ("mailbox,reason,reason\nan@example.vn,một,hai\n", "cột reason ghi hai lần"),
        ("mailbox,request-only\nan@example.vn,true\n", "không có cột request-only; sửa thành request_only"),
        ('mailbox,reason\nan@example.vn,"mở mà không đóng\n', "không đọc được như CSV"),
        ("mailbox\n\n", "không có dòng nào"),
    ],
)
def test_a_file_that_says_something_else_than_was_meant(tmp_path, text, said):
    """A value lost to a comma, to a column written twice or misspelt, would be an act for another reason, or another act."""
    batch = tmp_path / "nghi.csv"
    batch.write_text(text, encoding="utf-8")
    assert said in problems(lambda: acts.read_orders(GIVEN, batch))[0]


def test_a_file_as_spreadsheets_write_it(tmp_path):
    batch = tmp_path / "nghi.csv"
    batch.write_text('\ufeffsep=;\r\nSTT;Mailbox;reason\r\n1;an@example.vn;"nghi\u0309; theo ""đơn"""\r\n;;\r\n', encoding="utf-8")
    (order,) = acts.read_orders(GIVEN, batch)
    assert (order.place, order.mailbox, order.reason) == ("nghi.csv, dòng 3", "an@example.vn", 'nghỉ; theo "đơn"')


@pytest.mark.parametrize("day", ["31/02/2026", "mai", "2026-13-01"])
def test_a_date_that_is_none(day):
    assert day in problems(lambda: plan("suspend", document_date=day))[0]


def test_a_date_to_come_is_refused():
    assert "ở sau hôm nay" in problems(lambda: plan("suspend", document_date="2026-11-24"))[0]


@pytest.mark.parametrize("ledger", [[], [{"code": "C-binh", "local_part": "an"}]])
@pytest.mark.parametrize(("name", "state"), [("terminate", "active"), ("terminate", "suspended"), ("reinstate", "terminated")])
def test_directory_and_ledger_that_disagree(name, state, ledger):
    """An end that does not close the address in the ledger would leave it to be given to another person."""
    present = box(congvuState=state, congvuEnded="20260101000000Z" if state == "terminated" else "")
    orders = acts.read_orders({"mailbox": "an@example.vn"} | GIVEN)
    said = problems(lambda: acts.plan(name, orders, Directory([present], ledger), rules(), CALENDAR, NOW))
    holder = "C-binh giữ địa chỉ này" if ledger else "không có địa chỉ này"
    assert said == [f"an@example.vn: trong sổ địa chỉ đã cấp (ou=ledger) {holder}, thư mục ghi C-an: chạy accounts.yml, rồi chạy lại"]


def test_an_exemption_without_a_last_day_and_its_end():
    present = box()
    done = after(present, plan("exempt", present, reason="điều trị dài ngày"))
    assert done.get("congvuExemption") == "điều trị dài ngày (12/SNV ngày 20/11/2026)"
    assert plan("exempt", done, reason="điều trị dài ngày").changes == []
    over = after(done, plan("exempt", done, lift="true"))
    assert states.exempt_until(over.get("congvuExemption")) == NOW.date()
    assert plan("exempt", over, lift="true").changes == [], "lifted twice"
    assert "không được miễn" in problems(lambda: plan("exempt", present, lift="true"))[0]
    for reason in ("đến khi hết thai sản", "đến 2027-02-30: học tập", "đến "):
        assert states.exempt_until(after(present, plan("exempt", present, reason=reason)).get("congvuExemption")) is None
    assert "lift không dùng" in problems(lambda: plan("suspend", present, lift="true"))[0]
