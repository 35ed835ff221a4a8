"""From register and directory to a plan: what is created, changed, locked, ended, and what a killed run leaves behind."""

import base64
import copy
import csv
import datetime
import json
import pathlib
import zlib

import pytest
import yaml

from congvu_mail import acts, directory, registers
from congvu_mail.roster import RosterError
from congvu_mail.working_days import Calendar

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOW = datetime.datetime(2026, 11, 22, 9, 0, tzinfo=datetime.UTC)
CALENDAR = Calendar.vietnam(2026, 2027)
# Addresses of persons name the organisation here, so every kind of move happens.
POLICY = yaml.safe_load((ROOT / "inventories/bac-giang/group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]

ORGANISATIONS = [
    {"code": "SYT", "kind": "province_agency", "name": "Sở Y tế", "head": "N1", "category": "state", "phone": "0204 1"},
    {"code": "SYT-VP", "kind": "division", "name": "Văn phòng", "parent": "SYT", "head": "N2", "delegates": "N1 N2"},
    {"code": "SNV", "kind": "province_agency", "name": "Sở Nội vụ", "head": "N3", "quota": "10GiB", "quota_basis": "12/QĐ-UBND"},
]
PEOPLE = [
    {"code": "N1", "full_name": "Trần Hữu Nghĩa", "organisation": "SYT", "birth_date": "19/04/1970", "title": "Giám đốc"},
    {"code": "N2", "full_name": "Hà Thị Sen", "organisation": "SYT-VP", "account_class": "admin"},
    {"code": "N3", "full_name": "Đào Quang Huy", "organisation": "SNV", "status": "leave", "leave_until": "31/08/2027"},
]


class Province:
    """A register in a folder and a directory that plans are carried out on."""

    def __init__(self, folder):
        self.folder = folder
        self.organisations = [dict(row) for row in ORGANISATIONS]
        self.people = [dict(row) for row in PEOPLE]
        self.issued, self.requests = [], []
        self.entries = {}
        self.now = NOW
        self.rules = {"on_transfer": "end"}

    def row(self, code):
        return next(row for row in self.organisations + self.people if row["code"] == code)

    def plan(self):
        for name in registers.COLUMNS:
            with (self.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, registers.COLUMNS[name])
                writer.writeheader()
                writer.writerows(getattr(self, name))
        rules = directory.Rules(
            **{
                "naming": POLICY["naming"],
                "suffix": "dc=x",
                "domain": "x.vn",
                "quota": {"person": 2, "organisation": 5},
                "mail_hosts": ["mail.x.vn"],
                **self.rules,
            }
        )
        return directory.make_plan(registers.read(self.folder, rules.naming), self.export(), rules, self.now)

    def export(self):
        """As directory_export returns it."""
        mailboxes = [
            [dn, {name: values for name, values in entry.items() if name in directory.READ}]
            for dn, entry in self.entries.items()
            if "ou=mailboxes," in dn
        ]
        parts = {"mailboxes": mailboxes, "ledger": [entry for dn, entry in self.entries.items() if "ou=ledger," in dn]}
        return directory.Directory.load(base64.b64encode(zlib.compress(json.dumps(parts).encode())).decode())

    def carry_out(self, plan, stages=3):
        """As directory_reconcile does, so far."""
        for stage in plan.stages[:stages]:
            for operation in stage:
                if operation["verb"] == "add":
                    assert operation["dn"] not in self.entries
                    assert all(operation["attributes"].values()), "LDAP has no attribute without a value"
                    self.entries[operation["dn"]] = operation["attributes"]
                else:
                    self.entries[operation["dn"]] |= operation["replace"]
                    self.entries[operation["dn"]] = {k: v for k, v in self.entries[operation["dn"]].items() if v}

    def run(self):
        """Plan, carry out, and prove that a second run has nothing to do; the plan."""
        plan = self.plan()
        self.carry_out(plan)
        assert self.plan().stages == []
        return plan

    def box(self, code, state="active"):
        (found,) = (e for e in self.entries.values() if e.get("congvuState") == [state] and e["congvuCode"] == [code])
        return found

    def ledger(self, local_part):
        return self.entries[f"congvuLocalPart={local_part},ou=ledger,dc=x"]

    def later(self, **delta):
        self.now += datetime.timedelta(**delta)


@pytest.fixture
def province(tmp_path):
    return Province(tmp_path)


@pytest.fixture
def settled(province):
    """A province whose register is in the directory."""
    province.run()
    return province


def said(plan, action):
    return [row for row in plan.rows if row.action == action]


# --- new mailboxes ----------------------------------------------------------------------------------------------------


def test_everything_is_created_and_a_second_run_is_empty(province):
    plan = province.run()
    assert plan.counts() == {"create": 6}
    person = province.box("N1")
    assert person["mail"] == ["nghiath_syt@x.vn"]
    assert person["objectClass"] == ["inetOrgPerson", "inetLocalMailRecipient", "congvuMailbox"]
    assert person["congvuKind"] == ["person"]
    assert (person["congvuDelivery"], person["congvuLogin"], person["congvuClass"]) == (["TRUE"], ["TRUE"], ["user"])
    assert (person["o"], person["title"], person["sn"]) == (["Sở Y tế"], ["Giám đốc"], ["Trần"])
    assert person["pwdPolicySubentry"] == ["cn=user,ou=policies,dc=x"]
    assert person["congvuIssued"] == ["20261122090000Z"]
    assert province.box("N2")["pwdPolicySubentry"] == ["cn=admin,ou=policies,dc=x"]
    assert (province.box("N2")["o"], province.box("N2")["ou"]) == (["Sở Y tế"], ["Văn phòng"])
    assert province.box("N3")["congvuLeaveUntil"] == ["20270831000000Z"]
    assert province.box("SNV")["congvuQuota"] == [str(10 * 2**30)]
    assert province.box("SNV")["pwdPolicySubentry"] == ["cn=organisation,ou=policies,dc=x"]
    assert province.ledger("nghiath_syt")["congvuCurrent"] == ["TRUE"]
    assert province.ledger("nghiath_syt")["congvuSince"] == ["20261122000000Z"]


def test_delegates_are_the_named_persons_else_the_head(settled):
    dn = {entry["congvuCode"][0]: dn for dn, entry in settled.entries.items() if "uid" in entry}
    assert settled.box("SYT-VP")["congvuDelegate"] == [dn["N1"], dn["N2"]]
    settled.row("SYT-VP")["delegates"] = "N1; N2, N1"
    assert settled.run().rows == []
    assert settled.box("SYT")["congvuDelegate"] == [dn["N1"]]
    settled.row("SYT-VP")["delegates"] = "N1"
    assert settled.run().ending == settled.box("SYT-VP")["uid"], "who is no delegate any more may have it open"


def test_who_got_a_mailbox_by_hand_over_keeps_it_until_the_register_says_so(settled):
    box, mine = settled.box("SYT-VP"), [f"uid={settled.box('N3')['uid'][0]},ou=mailboxes,dc=x"]
    old = box["congvuDelegate"]
    box.update(congvuDelegate=mine, congvuHandover=["2026-11-20 5/SYT ngày 20/11/2026"])
    (row,) = settled.run().rows
    assert (row.action, row.code) == ("undecided", "SYT-VP")
    assert "đã bàn giao cho Đào Quang Huy (5/SYT ngày 20/11/2026), sổ đăng ký ghi Trần Hữu Nghĩa, Hà Thị Sen" in row.content
    assert settled.box("SYT-VP")["congvuDelegate"] == mine
    settled.row("SYT-VP")["delegates"] = "N3"
    settled.run()
    assert "congvuHandover" not in settled.box("SYT-VP"), "from now on the register is the truth again"
    settled.box("SYT-VP").update(congvuHandover=["2026-11-20 5/SYT ngày 20/11/2026"])
    settled.row("SYT-VP").update(delegates="N1 N2", decision_number="9/SYT", decision_date="21/11/2026")
    settled.run()
    assert settled.box("SYT-VP")["congvuDelegate"] == old, "a later document of the register is newer"


@pytest.mark.parametrize(("access", "login", "delegates"), [("own_login", "TRUE", 0), ("delegates", "FALSE", 2), ("both", "TRUE", 2)])
def test_access_to_an_organisation_mailbox(province, access, login, delegates):
    province.rules["organisation_access"] = access
    plan = province.run()
    assert province.box("SYT-VP")["congvuLogin"] == [login]
    assert len(province.box("SYT-VP").get("congvuDelegate", [])) == delegates
    assert any(box["code"] == "SYT-VP" for box in plan.created) == (login == "TRUE")


def test_initial_passwords_go_to_the_agency_not_its_division(province):
    assert {box["code"]: box["organisation"] for box in province.plan().created} == {
        "SYT": "SYT",
        "SYT-VP": "SYT",
        "SNV": "SNV",
        "N1": "SYT",
        "N2": "SYT",
        "N3": "SNV",
    }


def test_every_address_is_accepted_in_the_domains_in_force(province):
    province.rules["domain_aliases"] = [
        {"name": "old.vn", "until": "2026-12-31"},
        {"name": "gone.vn", "until": "2026-01-01"},
        {"name": "soon.vn", "from": "2027-01-01"},
    ]
    province.run()
    assert province.box("N1")["mailLocalAddress"] == ["nghiath_syt@x.vn", "nghiath_syt@old.vn"]
    province.later(days=60)
    assert province.run().counts()["change"] == 6
    assert province.box("N1")["mailLocalAddress"] == ["nghiath_syt@x.vn", "nghiath_syt@soon.vn"]


def test_who_is_not_entitled_is_listed_and_takes_no_address(province):
    province.rules["categories"] = ["cong_chuc"]
    province.row("N1")["category"] = "khach"
    province.row("N2")["category"] = "cong_chuc"
    plan = province.run()
    assert [(row.code, "khach" in row.content) for row in said(plan, "undecided")] == [("N1", True)]
    assert "nghiath_syt" not in json.dumps(list(province.entries))


def test_rows_that_need_a_decision_are_listed_and_the_others_go_on(province):
    province.people.append({"code": "N4", "full_name": "Trần Hữu Nghĩa", "organisation": "SYT"})
    plan = province.run()
    (row,) = said(plan, "undecided")
    assert row.code == "N4"
    assert "đã thuộc về mã “N1”" in row.content
    assert "Đề xuất: nghiath2_syt@x.vn" in row.content
    assert plan.counts()["create"] == 6


def test_addresses_of_an_earlier_system_are_taken_over(province):
    province.issued = [
        {"code": "N1", "local_part": "GiamDoc", "current": "true", "since": "2019-01-02", "until": ""},
        {"code": "X9", "local_part": "nghiath_syt", "current": "false", "since": "2018-01-01", "until": "2020-01-01"},
    ]
    plan = province.run()
    assert province.box("N1")["mail"] == ["giamdoc@x.vn"]
    assert province.ledger("nghiath_syt") | {"objectClass": []} == {
        "objectClass": [],
        "congvuLocalPart": ["nghiath_syt"],
        "congvuCode": ["X9"],
        "congvuCurrent": ["FALSE"],
        "congvuSince": ["20180101000000Z"],
        "congvuUntil": ["20200101000000Z"],
    }
    assert [row.code for row in said(plan, "record")] == ["X9"]


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_change_is_told_with_before_and_after(settled):
    settled.row("N1")["title"] = "Nguyên Giám đốc"
    (row,) = settled.run().rows
    assert (row.action, row.content) == ("change", "chức vụ: Giám đốc → Nguyên Giám đốc")


def test_what_is_changed_by_hand_is_set_right_and_what_acts_set_stays(settled):
    settled.box("N1").update(title=["Vua"], congvuReason=["văn bản 5"], congvuLastAccess=["20261101000000Z"], congvuDelivery=["FALSE"])
    (row,) = settled.run().rows
    assert row.content == "chức vụ: Vua → Giám đốc"
    assert settled.box("N1")["congvuReason"] == ["văn bản 5"]
    assert settled.box("N1")["congvuDelivery"] == ["FALSE"]


def test_a_mailbox_stays_on_a_host_that_still_stores_mail(settled):
    settled.rules["mail_hosts"] = ["mail2.x.vn", "mail.x.vn"]
    assert settled.run().rows == []
    settled.rules["mail_hosts"] = ["mail2.x.vn"]
    assert settled.run().counts() == {"change": 6}


def test_a_rename_by_document_keeps_the_old_address_for_a_year(settled):
    uid = settled.box("N1")["uid"]
    settled.row("N1").update(local_part="nghia_syt", basis="Công văn 5", decision_number="41/QĐ")
    plan = settled.run()
    (row,), (line,) = plan.rows, lines(plan)["register-rename"]
    assert (row.action, row.clause, line["document"]) == ("rename", "Công văn 5", "Công văn 5")
    assert "địa chỉ: nghiath_syt@x.vn → nghia_syt@x.vn" in row.content
    assert settled.box("N1")["uid"] == uid
    assert settled.box("N1")["mailLocalAddress"] == ["nghia_syt@x.vn", "nghiath_syt@x.vn"]
    assert settled.ledger("nghiath_syt")["congvuCurrent"] == ["FALSE"]
    assert settled.ledger("nghiath_syt")["congvuUntil"] == ["20271122000000Z"]
    settled.later(days=370)
    (row,) = settled.run().rows
    assert row.content == "địa chỉ nhận thư: nghia_syt@x.vn, nghiath_syt@x.vn → nghia_syt@x.vn"
    assert "congvuLocalPart=nghiath_syt,ou=ledger,dc=x" in settled.entries


TRANSFERS = {
    "keep": {"address": "keep"},
    "rename": {"address": "new", "old": "alias", "alias_months": 12},
    "end": {"address": "new", "old": "closed"},
}


def transfers(province, way):
    """What the policy says about a mailbox and about its address; the gate sees to it that both say the same."""
    naming = copy.deepcopy(POLICY["naming"])
    naming["change"]["transfer"]["value"] = TRANSFERS[way]
    province.rules |= {"on_transfer": way, "naming": naming}


def test_a_transfer_that_keeps_the_mailbox_and_its_address(settled):
    transfers(settled, "keep")
    uid = settled.box("N1")["uid"]
    settled.row("N1")["organisation"] = "SNV"
    assert settled.run().counts() == {"change": 1}
    box = settled.box("N1")
    assert (box["uid"], box["mail"], box["congvuOrganisation"], box["o"]) == (uid, ["nghiath_syt@x.vn"], ["SNV"], ["Sở Nội vụ"])
    assert settled.ledger("nghiath_syt")["congvuCurrent"] == ["TRUE"]


def test_a_transfer_that_renames_the_mailbox(settled):
    transfers(settled, "rename")
    uid = settled.box("N1")["uid"]
    settled.row("N1")["organisation"] = "SNV"
    assert settled.run().counts() == {"rename": 1}
    box = settled.box("N1")
    assert (box["uid"], box["mail"]) == (uid, ["nghiath_snv@x.vn"])
    assert box["mailLocalAddress"] == ["nghiath_snv@x.vn", "nghiath_syt@x.vn"]
    assert settled.ledger("nghiath_syt")["congvuCurrent"] == ["FALSE"]
    # Back again: the old address is his own, now the other one is the alias.
    settled.row("N1")["organisation"] = "SYT"
    settled.run()
    assert sorted(settled.box("N1")["mailLocalAddress"]) == ["nghiath_snv@x.vn", "nghiath_syt@x.vn"]
    assert settled.box("N1")["mail"] == ["nghiath_syt@x.vn"]


@pytest.mark.parametrize("stages", [0, 1, 2, 3])
def test_who_comes_back_after_a_transfer_that_ended_the_mailbox_gets_the_address_again(settled, stages):
    transfers(settled, "end")
    for agency in ("SNV", "SYT"):
        settled.row("N1")["organisation"] = agency
        settled.carry_out(settled.plan(), stages)
        settled.run()
    assert settled.box("N1")["mail"] == ["nghiath_syt@x.vn"]
    held = [address for entry in settled.entries.values() for address in entry.get("mailLocalAddress", [])]
    assert len(held) == len(set(held)), "the directory refuses an address that two entries hold"
    assert settled.ledger("nghiath_syt")["congvuCurrent"] == ["TRUE"]
    assert settled.ledger("nghiath_snv")["congvuCurrent"] == ["FALSE"]


@pytest.mark.parametrize("stages", [0, 1, 2, 3])
def test_a_transfer_that_ends_the_mailbox_even_when_killed(settled, stages):
    transfers(settled, "end")
    settled.row("N1")["organisation"] = "SNV"
    old = settled.box("N1")
    settled.carry_out(settled.plan(), stages)
    settled.run()
    ended, new = settled.box("N1", "terminated"), settled.box("N1")
    assert ended["uid"] == old["uid"] != new["uid"]
    assert (ended["mail"], ended["congvuDelivery"]) == (["nghiath_syt@x.vn"], ["FALSE"])
    assert (new["mail"], new["congvuState"]) == (["nghiath_snv@x.vn"], ["active"])
    dn = next(dn for dn, entry in settled.entries.items() if entry is new)
    assert settled.box("SYT")["congvuDelegate"] == [dn]


@pytest.mark.parametrize("stages", [0, 1, 2])
def test_a_run_killed_between_ledger_and_mailboxes(province, stages):
    province.carry_out(province.plan(), stages)
    province.run()
    assert province.box("N1")["mail"] == ["nghiath_syt@x.vn"]
    assert sum("uid" in entry for entry in province.entries.values()) == 6


def test_a_line_that_the_ledger_lost_is_written_again(settled):
    del settled.entries["congvuLocalPart=nghiath_syt,ou=ledger,dc=x"]
    settled.run()
    assert settled.ledger("nghiath_syt")["congvuCode"] == ["N1"]


# --- leavers ----------------------------------------------------------------------------------------------------------


def test_a_leaver_without_a_request_is_locked(settled):
    settled.row("N2").update(status="left", leave_reason="Nghỉ hưu")
    (row,) = said(settled.plan(), "suspend")
    assert "chưa có văn bản đề nghị" in row.content
    plan = settled.run()
    box = settled.box("N2", "suspended")
    assert box["congvuDelivery"] == ["TRUE"]
    assert box["congvuSuspendedSince"] == ["20261122090000Z"]
    assert box["uid"][0] in plan.ending
    assert len(settled.box("SYT-VP")["congvuDelegate"]) == 1


def test_mail_to_the_locked_is_refused_where_the_policy_says_so(settled):
    settled.rules["deliver_suspended"] = False
    settled.row("N2")["status"] = "left"
    settled.run()
    assert settled.box("N2", "suspended")["congvuDelivery"] == ["FALSE"]


def test_a_leaver_with_a_request_is_ended_and_the_address_never_given_again(settled):
    settled.row("N1").update(status="left", leave_reason="Nghỉ hưu")
    settled.requests = [
        {"id": "1", "received": "2026-11-20", "act": "delete", "code": "N1", "document_number": "5/SYT", "document_date": "2026-11-19"}
    ]
    (row,) = said(settled.plan(), "terminate")
    assert (row.content, row.clause) == ("Nghỉ hưu", "5/SYT ngày 19/11/2026")
    settled.run()
    box = settled.box("N1", "terminated")
    assert (box["congvuDelivery"], box["congvuDocument"]) == (["FALSE"], ["5/SYT ngày 19/11/2026"])
    assert settled.ledger("nghiath_syt")["congvuCurrent"] == ["FALSE"]
    settled.people.append({"code": "N9", "full_name": "Trần Hữu Nghĩa", "organisation": "SYT"})
    assert said(settled.run(), "undecided")[0].code == "N9"


def test_nobody_is_brought_back_by_the_register_alone(settled):
    settled.box("N1")["congvuState"] = ["terminated"]
    settled.box("N2")["congvuState"] = ["suspended"]
    plan = settled.run()
    assert [row.code for row in said(plan, "undecided")] == ["N1"]
    assert "reinstate.yml" in said(plan, "undecided")[0].content
    assert settled.box("N2", "suspended")


def test_who_was_locked_as_a_leaver_by_mistake_is_listed(settled):
    settled.row("N2")["status"] = "left"
    settled.run()
    settled.row("N2")["status"] = "active"
    plan = settled.run()
    assert [(row.code, "reinstate.yml" in row.content) for row in said(plan, "undecided")] == [("N2", True)]
    assert settled.box("N2", "suspended")


def test_who_is_left_behind_in_a_dissolved_organisation_is_listed(settled):
    settled.row("SYT")["status"] = "dissolved"
    plan = settled.run()
    assert [row.code for row in said(plan, "undecided")] == ["SYT-VP", "N1"]
    assert all("cơ quan đã giải thể “Sở Y tế” (SYT)" in row.content for row in said(plan, "undecided"))
    assert settled.box("N1")


def test_a_category_that_gives_no_mailbox_any_more_is_listed_and_takes_none_away(settled):
    settled.rules["categories"] = ["cong_chuc"]
    settled.row("N1")["category"] = "công chức"
    assert [row.code for row in said(settled.run(), "undecided")] == ["N1"]
    assert settled.box("N1")["employeeType"] == ["công chức"]


def test_a_request_that_was_refused_ends_nothing(settled):
    settled.row("N1")["status"] = "left"
    request = {
        "id": "1",
        "received": "2026-11-20",
        "act": "delete",
        "code": "N1",
        "document_number": "5/SYT",
        "document_date": "2026-11-19",
    }
    settled.requests = [{**request, "result": "refused"}]
    settled.run()
    assert settled.box("N1", "suspended")


# --- the journal ------------------------------------------------------------------------------------------------------


def lines(plan):
    """The journal's lines of a plan, by act."""
    found = {}
    for operation in (operation for stage in plan.stages for operation in stage):
        assert ("journal" in operation) == ("ou=mailboxes," in operation["dn"]), "every act on a mailbox has a line, the ledger has none"
        if "journal" in operation:
            found.setdefault(operation["journal"]["act"], []).append(operation["journal"])
    return found


def test_every_act_of_the_register_has_its_line(province):
    province.row("N1").update(decision_number="3/QĐ", decision_date="20/11/2026")
    created = lines(province.run())["register-create"]
    assert len(created) == 6
    (line,) = (line for line in created if line["mailbox"] == "nghiath_syt@x.vn")
    assert (line["document"], line["before"], line["after"]["congvuCode"]) == ("3/QĐ ngày 20/11/2026", {}, ["N1"])
    assert lines(province.plan()) == {}
    province.requests = [
        {"id": "1", "received": "2026-11-20", "act": "change", "code": "N3", "document_number": "7/SNV", "document_date": "2026-11-19"},
        {"id": "2", "received": "2026-11-21", "act": "delete", "code": "N2", "document_number": "8/SYT", "document_date": "2026-11-19"},
    ]
    province.row("N1").update(local_part="nghia_syt", basis="Công văn 5")
    province.row("N2").update(status="left")
    province.row("N3").update(title="Giám đốc", birth_date="01/02/1980")
    found = lines(province.plan())
    (rename,), (end,) = found["register-rename"], found["register-terminate"]
    assert (rename["mailbox"], rename["after"]["mail"]) == ("nghiath_syt@x.vn", ["nghia_syt@x.vn"])
    assert rename["before"]["mail"] == ["nghiath_syt@x.vn"]
    assert (end["document"], end["before"]["congvuState"], end["after"]["congvuState"]) == (
        "8/SYT ngày 19/11/2026",
        ["active"],
        ["terminated"],
    )
    (change,) = (line for line in found["register-change"] if line["mailbox"] == "huydq_snv@x.vn")
    assert (change["document"], change["after"]) == ("7/SNV ngày 19/11/2026", {"title": ["Giám đốc"]}), "and no personal data"


def test_a_transfer_that_ends_the_mailbox_is_two_lines(settled):
    settled.row("N1")["organisation"] = "SNV"
    found = lines(settled.plan())
    assert [len(found[f"register-{act}"]) for act in ("terminate", "create")] == [1, 1]
    assert found["register-terminate"][0]["mailbox"] == "nghiath_syt@x.vn"


@pytest.mark.parametrize("act", ["suspend", "terminate"])
def test_the_register_leaves_a_mailbox_as_an_act_does(settled, act):
    """The same attributes, whoever suspends or ends it: the offence is counted, an old request and approval are over."""
    settled.box("N2").update(congvuOffences=["1"], congvuReopenRequest=["4/A"], congvuRemovalApproved=["2026-01-01 a"])
    present = directory.Mailbox("uid=x", {**settled.box("N2")})
    policy = {**POLICY, "domain": {"value": "x.vn"}}
    day = "2026-11-20"
    order = {"mailbox": present.get("mail"), "reason": "thôi việc", "operator": "a", "document_number": "1/A", "document_date": day}
    orders = acts.read_orders({**order, "received": day, "signature_checked": True})
    now = NOW.astimezone(acts.VIETNAM)
    made = acts.plan(
        act, orders, directory.Directory([present], settled.export().ledger), acts.Rules.from_policy(policy, "dc=x"), CALENDAR, now
    )
    settled.row("N2").update(status="left", leave_reason="thôi việc")
    settled.requests = [{"id": "1", "received": day, "act": "delete", "code": "N2", "document_number": "1/A", "document_date": day}] * (
        act == "terminate"
    )
    (line,) = lines(settled.plan())[f"register-{act}"]
    said = ("congvuReason", "congvuDocument", "congvuRefusal")
    wanted = {name: values for name, values in made.changes[0]["journal"]["after"].items() if name not in said}
    assert {name: line["after"][name] for name in wanted} == wanted
    assert set(line["after"]) <= {*wanted, *said}


def test_a_row_that_vanished_is_listed_and_nothing_is_taken_away(settled):
    settled.people = settled.people[1:]
    for row in settled.organisations:
        row.update(head="", delegates="")
    before = settled.box("N1").copy()
    assert [row.code for row in said(settled.run(), "missing")] == ["N1"]
    assert settled.box("N1") == before


def test_somebody_who_left_before_gets_nothing(province):
    province.row("N3")["status"] = "left"
    province.issued = [{"code": "N3", "local_part": "huydq_snv", "current": "true", "since": "2019-01-02"}]
    assert "N3" not in {row.code for row in province.run().rows if row.action != "record"}
    assert province.ledger("huydq_snv")["congvuCurrent"] == ["FALSE"]


# --- what stops a run -------------------------------------------------------------------------------------------------


def test_the_guard_lets_few_go_and_stops_at_many(settled):
    for code in ("N1", "N2", "N3"):
        settled.row(code)["status"] = "left"
    assert settled.plan().over_guard(10) == ""
    settled.row("SNV")["status"] = "dissolved"
    message = settled.plan().over_guard(10)
    assert message.startswith("4 trong 6 hộp thư sẽ bị đổi địa chỉ, tạm khóa hoặc chấm dứt, vượt ngưỡng 10%")
    assert "accounts_guard_percent=100" in message
    assert settled.plan().over_guard(100) == ""


def test_all_problems_at_once_with_file_and_line(settled):
    settled.row("SYT")["phone"] = "gọi sau №5"
    settled.row("N1").update(fax="–", authorised="có lẽ")
    with pytest.raises(RosterError) as error:
        settled.plan()
    text = str(error.value)
    assert "organisations.csv, dòng 2, cột phone, giá trị “gọi sau №5”: không phải số điện thoại" in text
    assert "people.csv, dòng 2, cột fax" in text
    assert "people.csv, dòng 2, cột authorised, giá trị “có lẽ”: không phải là true hoặc false. Cách sửa: ghi x" in text


def test_an_address_that_the_directory_gave_to_another_is_no_other_ones(settled):
    settled.issued = [{"code": "N2", "local_part": "nghiath_syt", "current": "false"}]
    with pytest.raises(RosterError) as error:
        settled.plan()
    assert "issued.csv, dòng 2, cột local_part, giá trị “nghiath_syt”: thư mục đã ghi địa chỉ này cho mã “N1”" in str(error.value)


# --- details ----------------------------------------------------------------------------------------------------------


def test_personal_data_in_the_forms_people_write(settled):
    assert settled.box("N1")["congvuForbiddenInPassword"] == sorted(
        ["tranhuunghia", "TrầnHữuNghĩa", "19041970", "190470", "19700419", "19/04/1970", "19.04.1970"]
    )
    # A name without a mark is one word, not two that differ in case: the directory would refuse the entry.
    assert directory.personal_data({"full_name": "Mai Kim Lan", "surname": "", "middle": "", "given": "", "birth_date": ""}) == {
        "maikimlan"
    }
    settled.row("N1")["birth_date"] = "1970"
    plan = settled.plan()
    assert plan.rows[0].content == "dữ liệu cá nhân không được có trong mật khẩu"
    assert "1970" not in " ".join(plan.summary())


def test_dates_of_the_ledger_come_back_as_they_were():
    for value in ("2019-05-20", "2019-05-20T08:30:00"):
        assert directory.from_ldap_time(directory.to_ldap_time(value)) == value


def test_an_address_with_special_characters_is_escaped_in_its_dn(province):
    province.issued = [{"code": "X", "local_part": "a+b=c", "current": "false", "since": "2019-01-01"}]
    (operation,) = (o for o in province.plan().stages[0] if "a" in o["attributes"]["congvuLocalPart"][0] and "+" in o["dn"])
    assert operation["dn"] == r"congvuLocalPart=a\+b\=c,ou=ledger,dc=x"


def test_the_summary_shows_some_rows_and_counts_all(province):
    lines = province.plan().summary(shown=2)
    assert lines[0] == "Cấp mới: 6"
    assert lines[-1] == "... và 4 dòng “Cấp mới” khác, xem tệp kế hoạch"
    province.run()
    assert province.plan().summary() == ["Thư mục đã đúng với sổ đăng ký, không có gì thay đổi"]


def test_a_quota_of_its_own_stays_within_the_regulation(province):
    """A decision may say otherwise where the regulation says exactly so much; what it calls the least or the most holds for everybody."""
    code = province.people[0]["code"]
    province.row(code).update(quota="3GiB", quota_basis="7/QĐ-UBND ngày 05/01/2026")
    province.rules["quota_bounds"] = {"person": {"exact": "2GB"}, "organisation": {"min": "2GiB"}}
    province.run()
    assert province.box(code)["congvuQuota"] == [str(3 * 1024**3)]
    for bound, words in (({"max": "500MB"}, "cao hơn mức tối đa 500MB"), ({"min": "5GiB"}, "thấp hơn mức tối thiểu 5GiB")):
        province.rules["quota_bounds"] = {"person": bound}
        with pytest.raises(RosterError, match=words):
            province.plan()


def test_a_quota_of_its_own_needs_the_number_of_a_decision(province):
    for basis in ("", "theo đề nghị", "2026"):
        province.row("SNV")["quota_basis"] = basis
        with pytest.raises(RosterError, match="cột quota_basis, giá trị .*: dung lượng riêng mà không có số quyết định"):
            province.plan()
