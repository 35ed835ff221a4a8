"""The password rules of each regulation, out of its policy.yml, on every path where a password is changed: the directory and the page.

A mailbox of each class is made for the occasion in the directory and taken away again.
"""

import json
import os
import pathlib
import re
import uuid

import pytest
import webmail
import yaml
from mail import MailSystem, refusal

from congvu_mail import handover, secrets

ROOT = pathlib.Path(os.environ["CONGVU_ROOT"])
PROVINCES = os.environ.get("CONGVU_PROVINCES", "ninh-binh bac-giang soc-trang tien-giang").split()
ALPHABETS = {"lower": "mkqwzx", "upper": "MKQWZX", "digit": "794683", "special": "-=+"}
NAMES = {"lower": "chữ thường (a–z)", "upper": "chữ hoa (A–Z)", "digit": "chữ số (0–9)", "special": "ký tự đặc biệt"}
PERSONAL = "Mật khẩu mới chứa họ tên, địa chỉ thư hoặc thông tin cá nhân. Hãy chọn mật khẩu khác."

# Runs on the mail host: change the password of an entry as its owner, once for each [old, new]; [result, text, error of ppolicy] of each.
CHANGE = """
import json, ldap, ldap.controls, sys
from ldap.controls.ppolicy import PasswordPolicyControl
uri, dn, pairs = json.load(sys.stdin)
answers = []
for old, new in pairs:
    c = ldap.initialize(uri)
    c.set_option(ldap.OPT_X_TLS_CACERTFILE, "/etc/congvu-mail/tls/ca.crt")
    c.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    try:
        c.simple_bind_s(dn, old, serverctrls=[PasswordPolicyControl()])
        c.passwd_s(dn, old, new, serverctrls=[PasswordPolicyControl()])
        answers.append([0, "", None])
    except ldap.LDAPError as error:
        detail = error.args[0]
        controls = ldap.controls.DecodeControlTuples(detail.get("ctrls") or [])
        reason = next((k.error for k in controls if isinstance(k, PasswordPolicyControl)), None)
        answers.append([detail["result"], detail.get("info", ""), reason])
    c.unbind_s()
print(json.dumps(answers))
"""


class Mailbox:
    """A mailbox of one class, whose owner changes his password."""

    def __init__(self, system, policy, kind):
        self.system, self.kind = system, kind
        leaf = policy["password"]
        self.rule = {name: value["value"] for name, value in leaf[kind].items()}
        self.history, self.personal = leaf["history"]["value"], leaf["forbid_personal_data"]["value"]
        self.pledge = leaf["other_systems"]["value"] == "declared"
        suffix = "dc=" + ",dc=".join(system.domain.split("."))
        uid = str(uuid.uuid4())
        self.dn = f"uid={uid},ou=mailboxes,{suffix}"
        self.local = f"thumatkhau.{kind}"
        self.data = ["TranBinhThu", "02091985"]
        self.address = f"{self.local}@{system.domain}"
        self.password = "Ban-dau#" + secrets.password(12)
        entry = {
            "dn": self.dn,
            "objectClass": ["inetOrgPerson", "inetLocalMailRecipient", "congvuMailbox"],
            "uid": uid,
            "cn": "Tran Binh Thu",
            "sn": "Thu",
            "congvuCode": f"THU-{kind}",
            "congvuKind": "person",
            "congvuClass": kind,
            "congvuState": "active",
            "congvuDelivery": "TRUE",
            "congvuLogin": "TRUE",
            "mail": self.address,
            "mailLocalAddress": self.address,
            "congvuForbiddenInPassword": self.data,
            "pwdPolicySubentry": f"cn={kind},ou=policies,{suffix}",
            "userPassword": self.password,
            "pwdReset": "TRUE",
        }
        lines = [f"{name}: {value}" for name, values in entry.items() for value in (values if isinstance(values, list) else [values])]
        system.run("ldapadd", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin="\n".join(lines) + "\n")
        self.form = webmail.PasswordForm(system.address, system.access["password_url"], system.access["ca_certificate"])

    def remove(self):
        self.system.run("ldapdelete", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", self.dn)

    def kinds(self, without=()):
        """The kinds that are demanded."""
        return [kind for kind in self.rule["classes"] if kind not in without]

    def example(self, number=0, length=None, without=(), special=None):
        """A password out of the demanded kinds of characters, each but those in `without`; a different one for every number."""
        alphabets = {**ALPHABETS, "special": special or self.rule["specials"] or ALPHABETS["special"]}
        head = "".join(alphabets[kind][number % len(alphabets[kind])] for kind in self.kinds(without))
        filler = next(kind for kind in ("digit", "lower", "upper") if kind not in without)
        tail = "".join(alphabets[filler][number // 6**place % 6] for place in range(3))
        return (head + tail + alphabets[filler] * 16)[: length or self.rule["min_length"]]

    def by_ldap(self, *news):
        """[result, text, error of ppolicy] for each new password, tried over LDAP one after the other with the present one."""
        task = ["ldaps://" + self.system.name, self.dn, [[self.password, new] for new in news]]
        return json.loads(self.system.run("python3", "-c", CHANGE, stdin=json.dumps(task)))

    def takes(self, *news):
        """Over LDAP, each from the one before: all of them are taken."""
        pairs = list(zip([self.password, *news], news, strict=False))
        answers = json.loads(self.system.run("python3", "-c", CHANGE, stdin=json.dumps(["ldaps://" + self.system.name, self.dn, pairs])))
        assert answers == [[0, "", None]] * len(news), dict(zip(news, answers, strict=True))
        self.password = news[-1]

    def on_page(self, new, **more):
        """(status, text) of the password page."""
        return self.form.send(self.address, self.password, new, **more)

    def demand(self, kind):
        """How the page says that a kind of character is missing."""
        extra = ", một trong: " + " ".join(self.rule["specials"]) if kind == "special" and self.rule["specials"] else ""
        return f"Có {NAMES[kind]}{extra}"


@pytest.fixture(scope="module", params=PROVINCES)
def province(request):
    """(mail system, policy) of a province."""
    policy = yaml.safe_load((ROOT / "inventories" / request.param / "group_vars/all/policy.yml").read_text(encoding="utf-8"))
    return MailSystem.load(ROOT / "build/demo" / request.param / "access.json"), policy["mail_policy"]


@pytest.fixture(scope="module", params=["user", "admin"])
def mailbox(request, province):
    """A mailbox of each class, still on its initial password."""
    made = Mailbox(*province, request.param)
    yield made
    made.remove()


def test_what_the_rule_forbids_is_refused_over_ldap(mailbox):
    """Length, every kind of character, the regulation's own special characters, name and address: result 19 and the page's words."""
    rule, weak = mailbox.rule, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: "
    cases = {mailbox.example(length=rule["min_length"] - 1): f"{weak}Ít nhất {rule['min_length']} ký tự"}
    cases |= {mailbox.example(length=rule["min_length"] + 4, without=[kind]): weak + mailbox.demand(kind) for kind in rule["classes"]}
    cases["ếế"] = weak + "; ".join([f"Ít nhất {rule['min_length']} ký tự", *map(mailbox.demand, rule["classes"])])
    if rule["specials"]:
        other = next(c for c in "-_=+.,;:?/^~" if c not in rule["specials"])
        cases[mailbox.example(length=rule["min_length"] + 4, special=other)] = weak + mailbox.demand("special")
    if mailbox.personal:
        cases |= {mailbox.example() + word: PERSONAL for word in ("TranBinhThu", "02091985", mailbox.local)}
    answers = dict(zip(cases, mailbox.by_ldap(*cases), strict=True))
    assert {new: answer for new, answer in answers.items() if answer[:2] != [19, cases[new]]} == {}


def test_the_page_says_all_that_is_missing_at_once(mailbox):
    status, said = mailbox.on_page("ếế")
    missing = [f"Ít nhất {mailbox.rule['min_length']} ký tự", *map(mailbox.demand, mailbox.rule["classes"])]
    assert (status, said) == (422, "Mật khẩu mới chưa đủ mạnh. Còn thiếu: " + " ".join(missing))
    if mailbox.personal:
        assert mailbox.on_page(mailbox.example() + "TranBinhThu") == (422, PERSONAL)
        assert mailbox.on_page(mailbox.example() + mailbox.local) == (422, PERSONAL)
    if mailbox.pledge:
        assert mailbox.on_page(mailbox.example(), pledge="")[0] == 422


def test_until_the_password_is_changed_nothing_else_opens(mailbox):
    """The refusals left the initial password in force, and it opens nothing but the page."""
    account = {"address": mailbox.address, "password": mailbox.password}
    told = f"Phai doi mat khau truoc khi dung tai {mailbox.system.access['password_url']} (password must be changed first)"
    assert told in refusal(lambda: mailbox.system.imap(account)).text
    answer = refusal(lambda: mailbox.system.smtp("submission", account))
    assert (answer.code, answer.text) == (535, f"5.7.8 Error: authentication failed: {told}")
    new = mailbox.example(1)
    status, said = mailbox.on_page(new)
    assert status == 200, said
    mailbox.password = new
    assert mailbox.system.imap({**account, "password": new}).select("INBOX")[0] == "OK"
    assert mailbox.system.smtp("submission", {**account, "password": new}).noop()[0] == 250
    entry = mailbox.system.run("ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", mailbox.dn, "congvuPledged", "pwdReset")
    assert ("congvuPledged: 20" in entry) == mailbox.pledge
    assert "pwdReset" not in entry


def test_what_the_rule_allows_is_taken(mailbox, province):
    """The shortest password, each special character of the set by itself, none where none is demanded, the printed example; and what
    accounts.yml and reset-password.yml give out."""
    specials = mailbox.rule["specials"] or ("-." if "special" in mailbox.rule["classes"] else "")
    wanted = [mailbox.example(20 + n, special=c) for n, c in enumerate(specials)] or [mailbox.example(20)]
    assert len(set(wanted)) == len(wanted) and {len(new) for new in wanted} == {mailbox.rule["min_length"]}
    printed = re.search(r"Ví dụ: (\S+)\.", province[1]["password"]["user"]["specials"].get("quote", ""))
    given = [handover.initial_password(mailbox.rule | {"forbid_personal_data": mailbox.personal}, mailbox.data) for _ in range(3)]
    mailbox.takes(*wanted, *given, *([printed[1]] if printed and mailbox.kind == "user" else []))


def test_earlier_passwords_do_not_come_again(mailbox):
    news = [mailbox.example(40 + n) for n in range(mailbox.history + 2)]
    mailbox.takes(*news)
    # Before the present one: history - 1 others that are remembered still, the oldest of them and the newest.
    for earlier in (news[-mailbox.history], news[-2]):
        answer = mailbox.by_ldap(earlier)[0]
        assert (answer[0], answer[2]) == (19, 8), answer
        assert mailbox.on_page(earlier) == (422, "Mật khẩu mới trùng với một mật khẩu dùng gần đây. Hãy chọn mật khẩu khác.")
    mailbox.takes(news[0])


def test_age_of_the_class(mailbox):
    """The directory carries the age of the class; a password is never refused for its age, the clock demands a new one instead."""
    suffix = mailbox.dn.split(",ou=mailboxes,")[1]
    search = ["ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", f"cn={mailbox.kind},ou=policies,{suffix}", "-s", "base"]
    entry = mailbox.system.run(*search, "congvuPasswordMaxAge", "pwdMaxAge")
    found = re.search(r"congvuPasswordMaxAge: (\d+)", entry)
    months = mailbox.rule["max_age_months"]
    assert (round(int(found[1]) / 2629746) if found else 0) == (months or 0)
    assert not re.search(r"pwdMaxAge: [1-9]", entry)
    # The same of the machine's own administrators, in days.
    if mailbox.kind == "admin":
        assert f"PASS_MAX_DAYS\t{months * 30 if months else 99999}\n" in mailbox.system.run("cat", "/etc/login.defs")


def test_administrators_of_the_machine_obey_theirs(province):
    system, policy = province
    rule = {name: leaf["value"] for name, leaf in policy["password"]["admin"].items()}
    short = "Kq7#" + "x" * (rule["min_length"] - 5)
    said = system.run("sh", "-c", "useradd -M quantri-thu; chpasswd 2>&1; userdel quantri-thu", stdin=f"quantri-thu:{short}\n", check=False)
    assert f"shorter than {rule['min_length']} characters" in said
