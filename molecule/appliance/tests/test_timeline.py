"""A mailbox lives from its first day to its last as its province's regulation has it (timelines.yml), on that province's own server.

The clock, the acts, the directory, the mail server and the journal are the real ones; only the day is told to the clock, and the entry of a
person is borrowed. Each step comes on its day and not on the day before.
"""

import datetime
import json
import os
import re

import pytest
import yaml
from conftest import PROVINCE, ROOT
from mail import MailSystem, compose, refusal, wait_until
from test_acts import JOURNAL, RELAX, bind, borrowed, ldap, read

from congvu_mail import acts
from congvu_mail.directory import Directory, Mailbox
from congvu_mail.working_days import Calendar

TIMELINES = yaml.safe_load((ROOT / "molecule/appliance/tests/timelines.yml").read_text(encoding="utf-8"))
TITLES = {"notice": "Thông báo", "lock": "Tạm khóa", "withdraw": "Thu hồi", "remove": "Gỡ bỏ", "purge": "Xóa dữ liệu"}
DAY = datetime.timedelta(1)

# Runs on the directory host: commands of the clock, and changes that acts make, each as of six in the morning of a day.
ON_ITS_DAY = """
import contextlib, datetime, io, json, pathlib, sys, tempfile
sys.path.insert(0, "/usr/local/lib/congvu-mail/python")
sys.dont_write_bytecode = True

class Then(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.moment.astimezone(tz)

task = json.load(sys.stdin)
parse = datetime.datetime.fromisoformat
datetime.datetime = Then
from congvu_mail import journal, lifecycle
from congvu_mail.mailbox_store import JOURNAL, Store

said, before = [], len(list(journal.entries(JOURNAL)))
with tempfile.TemporaryDirectory() as folder:
    config = json.loads(lifecycle.CONFIG.read_text(encoding="utf-8")) | {"calendar": task["calendar"]}
    lifecycle.CONFIG, lifecycle.STATE = (pathlib.Path(folder, name) for name in ("config.json", "state.json"))
    lifecycle.CONFIG.write_text(json.dumps(config), encoding="utf-8")
    for day, arguments in task["runs"]:
        Then.moment = parse(f"{day}T06:00:00+07:00")
        if isinstance(arguments, dict):
            with Store() as store:
                said.append(store.carry_out(arguments))
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            lifecycle.main(arguments)
        said.append(json.loads(out.getvalue()))
print(json.dumps([said, list(journal.entries(JOURNAL))[before:]]))
"""


def stamp(day):
    """generalizedTime of a day, at eleven in Viet Nam."""
    return f"{day:%Y%m%d}040000Z"


class Life:
    """One mailbox of a province's server, and the days it goes through."""

    def __init__(self, system, policy, account, timeline):
        self.system, self.policy, self.account, self.timeline = system, policy, account, timeline
        self.address, self.dn = account["address"], account["dn"]
        self.sender = next(one for one in system.accounts("person") if one["address"] != self.address)
        self.calendar = Calendar.vietnam(2022, 2028, timeline.get("swaps", []))
        self.told = {"person": self.address, "operator": policy["requests"]["mailbox"]["value"]}
        self.told["organisation"] = self._entry_of(read(system, self.address)[1]["congvuOrganisation"][0])
        self.waiting, self.last, self.written = [], timeline["issued"], []
        self.begin(timeline["issued"], timeline.get("used"))

    def _entry_of(self, code):
        base = self.dn.split(",", 1)[1]
        found = ldap(self.system, "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", base, f"(congvuCode={code})", "mail")
        return re.search(r"^mail: (.*)$", found, re.MULTILINE)[1]

    def set(self, **attributes):
        parts = "\n-\n".join(f"replace: {name}" + (f"\n{name}: {value}" if value else "") for name, value in attributes.items())
        ldap(self.system, "ldapmodify", *RELAX, stdin=f"dn: {self.dn}\nchangetype: modify\n{parts}\n")

    def begin(self, issued, used):
        """As accounts.yml leaves it, with the initial password; or after a first login."""
        names = "SuspendedSince Reason Document Offences Notice Restored Ended LeaveUntil Exemption ReopenRequest RemovalApproved"
        empty = {f"congvu{name}": "" for name in names.split()}
        access = {"congvuLastAccess": stamp(used) if used else "", "pwdLastSuccess": "", "pwdReset": "" if used else "TRUE"}
        self.set(congvuState="active", congvuDelivery="TRUE", congvuIssued=stamp(issued), **empty, **access)

    def on(self, *runs):
        """What the clock says, run after run, each (day, arguments); their lines in the journal are in `written`."""
        task = {"calendar": self.calendar.table(), "runs": [(day.isoformat(), arguments) for day, arguments in runs]}
        said, lines = json.loads(self.system.run("python3", "-c", ON_ITS_DAY, stdin=json.dumps(task)))
        self.written += lines
        return said

    def clock(self, *days):
        return self.on(*((day, ["run", "--confirmed", day.isoformat()]) for day in days))

    def rows(self, said, result):
        """What the clock's table says of this mailbox with this result, by title."""
        lines = [re.split(r" {2,}", line) for line in said["table"] if self.address in line]
        return [line[0] for line in lines if line[-1] == result]

    # --- a day of the timeline

    def live(self, number, event):
        self.written = []
        if "act" in event:
            self.act(number, event)
        elif "approve" in event:
            self.approve(number, event)
        elif "record" in event:
            self.set(**{name: stamp(until) for name, until in event["record"].items()})
        elif "used" in event:
            self.use(event["day"])
        else:
            self.clock_of(event)
        lines = self.written
        assert all(line["mailbox"] == self.address for line in lines), lines
        grounds = dict(self.grounds(event))
        assert {line["act"]: line["document"] for line in lines if line["act"].startswith("clock-")} == grounds
        self.notices(event, lines)
        if "state" in event:
            self.doors(event["state"])
        self.last = event["day"]

    def grounds(self, event):
        for action, ground in event.get("does", {}).items():
            yield f"clock-{action}", ground
        if "approve" in event:
            yield "clock-remove", event["approve"]

    def clock_of(self, event):
        """Nothing on the day before, all on the day, and nothing more when the clock runs once more."""
        day, does, waits = event["day"], event.get("does", {}), [TITLES[one] for one in event.get("waits", [])]
        eve = [day - DAY] if day - DAY > self.last else []
        *early, today, again = self.clock(*eve, day, day)
        for said in early:
            assert (said["done"], said["problems"], self.rows(said, "chờ duyệt")) == ({}, [], self.waiting)
        assert today["problems"] == []
        assert (today["done"], self.rows(today, "đã làm")) == (dict.fromkeys(does, 1), [TITLES[action] for action in does])
        assert (again["done"], again["problems"]) == ({}, [])
        assert self.rows(today, "chờ duyệt") == self.rows(again, "chờ duyệt") == waits
        self.waiting = waits

    def act(self, number, event):
        entry, attributes = read(self.system, self.address)
        given = {"mailbox": self.address, "reason": "theo văn bản", "operator": "khanh", "signature_checked": "true"}
        given |= {"document_number": f"{number}/SNV-VP", "document_date": event["day"].isoformat(), "received": event["day"].isoformat()}
        orders = acts.read_orders(given | {"request_only": str(event.get("request_only", False)).lower()})
        ledger = [{"local_part": self.address.partition("@")[0], "code": attributes["congvuCode"][0]}]
        rules = acts.Rules.from_policy(self.policy, entry.split(",ou=mailboxes,")[1])
        now = datetime.datetime.combine(event["day"], datetime.time(6), datetime.timezone(datetime.timedelta(hours=7)))
        made = acts.plan(event["act"], orders, Directory([Mailbox(entry, attributes)], ledger), rules, self.calendar, now)
        assert self.on(*((event["day"], change) for change in made.changes)) == [True]
        self.waiting = []

    def approve(self, number, event):
        day = event["day"]
        document = f"{number}/QĐ-SNV ngày {day:%d/%m/%Y}"
        said = self.on(
            (day, ["approve", "--mailbox", self.address, "--operator", "Trần Thị Duyệt", "--document", document]),
            (day, ["run", "--confirmed", day.isoformat()]),
        )
        assert said[0]["changed"] and said[1]["done"] == {"remove": 1}, said
        line = next(line for line in self.written if line["act"] == "approve-removal")
        assert (line["operator"], line["document"]) == ("Trần Thị Duyệt", document)
        self.waiting = []

    def use(self, day):
        """A login through each door, which counts as one on that day; mail arrives."""
        self.set(pwdReset="")
        self.doors("active")
        self.set(congvuLastAccess=stamp(day), pwdLastSuccess="")

    def notices(self, event, lines):
        """Who was told what; each notice is in its mailbox, and its proof is kept."""
        sent = [one for line in lines if line["act"] == "clock-notice" for one in line["after"]["sent"]]
        # The managing organisation may be the operator: one letter.
        assert [one["to"] for one in sent] == list(dict.fromkeys(self.told[who] for who in event.get("told", [])))
        kept = read(self.system, self.address)[1].get("congvuNotice", [])
        for one in sent:
            assert self.address in one["subject"] and self.address in one["text"]
            for words in event["says"]:
                assert words in one["text"]
            assert re.fullmatch(rf"{re.escape(one['to'])}: 2\.0\.0 Ok: queued as \w+", one["proof"])
            assert any(f" {event['day']} " in value and one["proof"] in value for value in kept)
            query = ("doveadm", "search", "-u", one["to"], "mailbox", "*", "header", "Message-ID", one["message_id"])
            wait_until(lambda query=query: self.system.run(*query).strip(), 60, f"the notice to {one['to']}")

    def doors(self, state):
        """What IMAP, the directory and a sender are answered."""
        if state == "active":
            assert self.system.imap(self.account).select("INBOX")[0] == "OK"
            assert bind(self.system, self.account).startswith("dn:uid=")
        else:
            said = "Hop thu dang tam khoa" if state == "suspended" else "AUTHENTICATIONFAILED"
            assert said in refusal(lambda: self.system.imap(self.account)).text
            assert "Invalid credentials (49)" in bind(self.system, self.account)
        letter = compose(self.sender["address"], self.address, f"Gửi hộp thư {state}")

        def send():
            self.system.send(letter, self.sender["address"], [self.address], account=self.sender)

        if state == "terminated" or (state == "suspended" and not self.policy["suspension"]["deliver_inbound"]["value"]):
            answer = refusal(send)
            assert (answer.code, "5.2.1" in answer.text) == (550, True), answer
        else:
            send()
            query = ("doveadm", "search", "-u", self.address, "mailbox", "INBOX", "header", "Message-ID", letter["Message-ID"])
            wait_until(lambda: self.system.run(*query).strip(), 60, "the letter")


def test_every_province_has_a_timeline():
    assert set(TIMELINES) == {path.parent.name for path in ROOT.glob("inventories/*/hosts.yml")}


@pytest.mark.parametrize("province", os.environ.get("CONGVU_TIMELINES", PROVINCE).split())
def test_from_the_first_day_to_the_last(province):
    system = MailSystem.load(ROOT / "build/demo" / province / "access.json")
    policy = yaml.safe_load((ROOT / "inventories" / province / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
    borrowing = borrowed(system, system.accounts("person")[2])
    life = Life(system, policy, next(borrowing), TIMELINES[province])
    try:
        for number, event in enumerate(life.timeline["days"], 1):
            life.live(number, event)
    finally:
        assert next(borrowing, None) is None  # puts everything back
    assert "nguyên vẹn" in system.run("python3", "/usr/local/lib/congvu-mail/python/congvu_mail/journal.py", "verify", JOURNAL)
