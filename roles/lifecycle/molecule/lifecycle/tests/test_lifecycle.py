"""The clock on a real directory: what it does on which day, and all that keeps it from doing harm."""

import datetime as dt
import json
import pathlib
import shlex
import time

import pytest
from testing import wait_until

SUFFIX = "dc=lab,dc=test"
JOURNAL = "/var/lib/congvu-mail/journal/operations.jsonl"
RUN = "PYTHONPATH=/usr/local/lib/congvu-mail/python python3 -B -m congvu_mail.lifecycle"
TODAY = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=7)).date()


def stamp(days):
    """generalizedTime of some days ago, at noon in Viet Nam."""
    return f"{TODAY - dt.timedelta(days=days):%Y%m%d}050000Z"


class Directory:
    """Mailboxes made and changed as root."""

    def __init__(self, host):
        self.host, self.names = host, {}

    def ldap(self, tool, text, ok=(0,)):
        self.host.run_expect(list(ok), f"{tool} -Q -Y EXTERNAL -H ldapi:/// -e '!relax' <<'X'\n{text}\nX")

    def add(self, name, **attributes):
        number = len(self.names) + 1
        self.names[name] = f"uid=00000000-0000-4000-8000-{number:012},ou=mailboxes,{SUFFIX}"
        kept = {"congvuKind": "person", "congvuState": "active", "congvuDelivery": "TRUE", "congvuIssued": stamp(10)} | attributes
        lines = [f"dn: {self.names[name]}", f"uid: 00000000-0000-4000-8000-{number:012}", f"cn: {name}", "sn: x", f"congvuCode: C-{name}"]
        lines += [f"objectClass: {one}" for one in ("inetOrgPerson", "inetLocalMailRecipient", "congvuMailbox")]
        lines += ["congvuClass: user", "congvuLogin: TRUE", f"mail: {name}@lab.test", f"mailLocalAddress: {name}@lab.test"]
        self.ldap("ldapadd", "\n".join([*lines, *(f"{key}: {value}" for key, value in kept.items())]))
        ledger = (
            f"dn: congvuLocalPart={name},ou=ledger,{SUFFIX}\nobjectClass: congvuIssuedAddress\ncongvuCode: C-{name}\ncongvuCurrent: TRUE"
        )
        self.ldap("ldapadd", ledger)

    def set(self, name, **attributes):
        parts = "\n-\n".join(f"replace: {key}" + (f"\n{key}: {value}" if value else "") for key, value in attributes.items())
        self.ldap("ldapmodify", f"dn: {self.names[name]}\nchangetype: modify\n{parts}")

    def get(self, name, attribute, base=None):
        found = self.host.check_output(
            f"ldapsearch -QLLL -o ldif-wrap=no -Y EXTERNAL -H ldapi:/// -s base -b '{base or self.names[name]}' {attribute}"
        )
        return [line.partition(": ")[2] for line in found.splitlines() if line.startswith(f"{attribute}:")]

    def clear(self):
        for name, entry in self.names.items():
            self.host.run(f"ldapdelete -Q -Y EXTERNAL -H ldapi:/// {entry} congvuLocalPart={name},ou=ledger,{SUFFIX}")
        self.names = {}


@pytest.fixture
def directory(host):
    made = Directory(host)
    host.run("rm -f /var/lib/congvu-mail/lifecycle.json")
    yield made
    made.clear()


def clock(host, *arguments):
    """Run the clock by hand, as playbooks/clock.yml does by default: exit status and what it says."""
    done = host.run(f"{RUN} {' '.join(arguments or ('run', f'--controller={time.time():.0f}'))}")
    return done.rc, json.loads(done.stdout)


def journal(host):
    found = host.run(f"cat {JOURNAL}").stdout.splitlines()
    return [json.loads(line) for line in found]


def intact(host):
    return host.run(f"python3 /usr/local/lib/congvu-mail/python/congvu_mail/journal.py verify {JOURNAL}").rc == 0


def test_nothing_is_due_for_a_mailbox_in_use(host, directory):
    directory.add("an")
    nothing = {"changed": False, "done": {}, "pending": 0, "purge": [], "problems": []}
    assert clock(host) == (0, {**nothing, "table": ["Không có việc đến hạn."]})


def test_from_lock_to_removal(host, directory):
    """Locked after six months; not removed without proof, without approval, or before fifteen working days after the notice."""
    directory.add("an", congvuIssued=stamp(190), congvuLastAccess=stamp(186))
    before = journal(host)
    status, said = clock(host, "run", "--check")
    assert "Tạm khóa" in said["table"][1] and "sẽ làm" in said["table"][1]
    assert directory.get("an", "congvuState") == ["active"], "--check changed something"
    assert journal(host) == before
    status, said = clock(host)
    # The mail server is down: locked in time, but told to nobody, and that is said.
    assert status == 1 and said["done"] == {"lock": 1}
    assert "không gửi được đến so@lab.test" in said["problems"][0]
    assert directory.get("an", "congvuState") == ["suspended"]
    assert directory.get("an", "congvuOffences") == ["1"]
    directory.set("an", congvuSuspendedSince=stamp(60))
    assert clock(host)[1]["pending"] == 0, "an end without proof of a notice"
    directory.set("an", congvuNotice=f"notice-6m {TODAY - dt.timedelta(days=59)} so@lab.test: 2.0.0 Ok: queued as 4B2")
    assert clock(host)[1]["pending"] == 1
    assert directory.get("an", "congvuState") == ["suspended"], "nobody approved"
    assert clock(host, "approve", "--all")[0] == 1, "an approval needs a name and a document"
    arguments = ("approve", "--mailbox", "an@lab.test", "--operator", "khanh", "--document", "'9/QD ngày 20/11/2026'")
    assert clock(host, *arguments)[0] == 0
    directory.set("an", congvuReopenRequest="12/SNV")
    assert clock(host)[1]["done"] == {}, "a request to reopen is not decided"
    directory.set("an", congvuReopenRequest="")
    assert clock(host)[1]["done"] == {"remove": 1}
    assert directory.get("an", "congvuState") == ["terminated"]
    assert directory.get("an", "congvuDelivery") == ["FALSE"]
    assert directory.get("an", "congvuCurrent", f"congvuLocalPart=an,ou=ledger,{SUFFIX}") == ["FALSE"]
    assert clock(host)[1]["done"] == {}
    assert [line["act"] for line in journal(host)[len(before) :]] == ["clock-lock", "approve-removal", "clock-remove"]
    assert intact(host)


# The clock under rules that warn before they lock.
EARLY = """import json, pathlib, sys
from congvu_mail import lifecycle
config = json.loads(lifecycle.CONFIG.read_text())
config["rules"]["inactivity"]["stages"].insert(0, {"value": {"after": {"months": 2}, "action": "notice"}, "basis": "operator"})
lifecycle.CONFIG = pathlib.Path("/run/early.json")
lifecycle.CONFIG.write_text(json.dumps(config))
sys.exit(lifecycle.main(["run"]))
"""


def test_a_lock_does_not_wait_for_a_warning(host, directory):
    """The mail server is down: the warning cannot be sent, and the lock comes in time."""
    directory.add("an", congvuIssued=stamp(190))
    done = host.run(f"PYTHONPATH=/usr/local/lib/congvu-mail/python python3 -B -c {shlex.quote(EARLY)}")
    said = json.loads(done.stdout)
    assert (done.rc, said["done"]) == (1, {"lock": 1})
    assert said["problems"][0].startswith("an@lab.test: Thông báo: không gửi được đến so@lab.test")
    assert directory.get("an", "congvuState") == ["suspended"]


def test_a_login_counts_on_whatever_protocol(host, directory):
    """What slapd notes of a bind as the user keeps the mailbox alive, and is kept when a new password takes it away."""
    directory.add("an", congvuIssued=stamp(400))
    directory.set("an", userPassword="Mat-khau-1")
    directory.set("an", pwdReset="")
    host.check_output(f"ldapwhoami -x -H ldapi:/// -D {directory.names['an']} -w Mat-khau-1")
    assert clock(host)[1]["done"] == {}
    seen = directory.get("an", "congvuLastAccess")
    assert seen[0][:8] == f"{dt.datetime.now(dt.UTC):%Y%m%d}"
    directory.set("an", userPassword="Mat-khau-2")
    assert clock(host)[1]["done"] == {}
    assert directory.get("an", "congvuLastAccess") == seen


def test_an_organisations_mailbox_is_opened_by_delegates(host, directory):
    """Dovecot notes who opens it, also those who come with their own password; the unit may read that and nothing more."""
    directory.add("so", congvuIssued=stamp(400), congvuKind="organisation")
    home = f"/srv/mail/{directory.names['so'][4:40]}"
    host.check_output(f"install -d -m 0700 -o nobody {home} && printf 'shared/last-login/x\\n%s\\n' $(date +%s) > {home}/last-login")
    host.check_output(f"chown nobody {home}/last-login && chmod 0600 {home}/last-login && systemctl start congvu-clock.service")
    assert directory.get("so", "congvuState") == ["active"]
    assert directory.get("so", "congvuLastAccess")[0][:8] == f"{dt.datetime.now(dt.UTC):%Y%m%d}"


def test_an_old_password_has_to_be_changed(host, directory):
    directory.add("an")
    directory.set("an", userPassword="Mat-khau-1", pwdPolicySubentry=f"cn=user,ou=policies,{SUFFIX}")
    directory.set("an", pwdReset="", pwdChangedTime=stamp(190))
    assert clock(host)[1]["done"] == {"password-expired": 1}
    assert directory.get("an", "pwdReset") == ["TRUE"]
    assert clock(host)[1]["done"] == {}


def test_an_initial_password_nobody_changed_locks_the_mailbox(host, directory):
    """After thirty days; not before, not one that has expired, not during a leave, and not many at once."""
    given = {"an": (31, {}), "binh": (29, {}), "cuc": (200, {}), "dung": (31, {"congvuLeaveUntil": stamp(-5)}), "em": (31, {})}
    for name, (days, more) in given.items():
        directory.add(name, **more)
        directory.set(name, userPassword="Mat-khau-1", pwdPolicySubentry=f"cn=user,ou=policies,{SUFFIX}")
        directory.set(name, pwdReset="TRUE", pwdChangedTime=stamp(days))
    directory.set("em", congvuRestored=stamp(3))  # reinstated since: the days begin anew
    status, said = clock(host)
    assert (status, said["done"]) == (0, {"initial-password": 1})
    states = {name: directory.get(name, "congvuState")[0] for name in given}
    assert states == {"an": "suspended", **dict.fromkeys(("binh", "cuc", "dung", "em"), "active")}
    assert "chưa đổi mật khẩu ban đầu" in said["table"][1]
    assert journal(host)[-1]["act"] == "initial-password"
    for number in range(4):
        directory.add(f"n{number}")
        directory.set(f"n{number}", userPassword="Mat-khau-1")
        directory.set(f"n{number}", pwdReset="TRUE", pwdChangedTime=stamp(40))
    status, said = clock(host)
    assert status == 1 and "initial-password" not in said["done"]
    assert any("vượt ngưỡng" in problem for problem in said["problems"])


def test_a_successor_ends_on_his_day(host, directory):
    closed = {"congvuState": "terminated", "congvuDelivery": "FALSE", "congvuSuccessor": "binh@lab.test"}
    directory.add("an", **closed, congvuSuccessorUntil=stamp(1))
    directory.add("cuc", **closed, congvuSuccessorUntil=stamp(-1))
    # Whoever ended the successor, mail for the one before would be taken and then returned.
    directory.add("het", congvuState="terminated", congvuDelivery="FALSE")
    directory.add("dao", **{**closed, "congvuSuccessor": "het@lab.test"}, congvuSuccessorUntil=stamp(-1))
    assert clock(host)[1]["done"] == {"successor-end": 2}
    for name in ("an", "dao"):
        assert directory.get(name, "congvuSuccessor") == []
    assert directory.get("cuc", "congvuSuccessor") == ["binh@lab.test"]


def test_a_wrong_day_does_nothing(host, directory):
    """After a jump of a year, or back, everything waits until a person confirms the day."""
    directory.add("an", congvuIssued=stamp(190))
    for last in (TODAY - dt.timedelta(days=365), TODAY + dt.timedelta(days=1)):
        host.run(f"echo '{json.dumps({'last_run': last.isoformat()})}' > /var/lib/congvu-mail/lifecycle.json")
        status, said = clock(host)
        assert status == 1 and said["done"] == {}
        assert "đồng hồ có thể sai" in said["problems"][0]
    assert directory.get("an", "congvuState") == ["active"]
    assert clock(host, "run", "--confirmed", TODAY.isoformat())[1]["done"] == {"lock": 1}


# The clock on a host whose time is some seconds off, which no server of time keeps.
SHIFTED = """import datetime, sys, time
shift = datetime.timedelta(seconds=float(sys.argv[1]))
class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + shift
datetime.datetime = Shifted
from congvu_mail import host_time, lifecycle
host_time.synchronised = lambda: False
sys.exit(lifecycle.main(sys.argv[2:]))
"""


def test_one_day_off_ends_nothing(host, directory):
    """A lock and an approved removal are due. A jump by a day does neither, and says so; started without a witness nothing is ended."""

    def shifted(seconds, *arguments):
        program = f"PYTHONPATH=/usr/local/lib/congvu-mail/python python3 -B -c {shlex.quote(SHIFTED)}"
        done = host.run(f"{program} {seconds} run {' '.join(arguments)}")
        return done.rc, json.loads(done.stdout)

    def states():
        return [directory.get(name, "congvuState")[0] for name in ("an", "binh")]

    assert clock(host)[0] == 0  # a believed time
    sent = TODAY - dt.timedelta(days=59)
    directory.add("an", congvuIssued=stamp(190))
    directory.add("binh", congvuIssued=stamp(400), congvuState="suspended", congvuSuspendedSince=stamp(60))
    directory.set(
        "binh", congvuRemovalApproved=f"{sent} khanh, 9/QD", congvuNotice=f"notice-6m {sent} so@lab.test: 2.0.0 Ok: queued as 4B2"
    )
    before, day = journal(host), 86400
    for seconds, words in ((day, "bị nhảy +1 ngày"), (-day, "bị nhảy -1 ngày"), (10 * day, "bị nhảy +10 ngày")):
        status, said = shifted(seconds)
        assert (status, said["done"]) == (1, {}) and words in said["problems"][0], said
        assert "Không thông báo, khóa hay xóa hộp thư nào" in said["problems"][0]
        assert sum(line.endswith("GIỮ LẠI") for line in said["table"]) >= 2
    status, said = clock(host, "run", f"--controller={time.time() - day:.0f}")
    assert (status, said["done"]) == (1, {}) and "lệch +1 ngày so với máy chạy lệnh" in said["problems"][0]
    assert states() == ["active", "suspended"] and journal(host) == before

    # Started anew, and perhaps with a wrong clock: nobody knows.
    host.check_output('sed -i \'s/"boot": "[^"]*"/"boot": "another"/\' /var/lib/congvu-mail/lifecycle.json')
    status, said = shifted(day)
    assert (status, said["done"], states()) == (1, {"lock": 1}, ["suspended", "suspended"])
    assert any("chưa gỡ bỏ, thu hồi 1 hộp thư đến hạn" in problem and "playbooks/clock.yml" in problem for problem in said["problems"])
    # Put right: that the day goes back is no riddle.
    assert clock(host)[1]["done"] == {"remove": 1}
    assert states() == ["suspended", "terminated"] and intact(host)


def test_many_at_once_are_held_back(host, directory):
    for number in range(5):
        directory.add(f"n{number}", congvuIssued=stamp(190))
    status, said = clock(host)
    assert status == 1 and said["done"] == {}
    assert "5 trong 5 hộp thư đến hạn cùng lúc" in said["problems"][0]


def test_a_killed_change_is_finished_with_its_line(host, directory):
    directory.add("an")
    wanted = {"congvuState": ["suspended"]}
    line = {"act": "suspend", "mailbox": "an@lab.test", "document": "1/A", "reason": "r", "operator": "o", "before": {}, "after": wanted}
    ledger = {"dn": f"congvuLocalPart=an,ou=ledger,{SUFFIX}", "replace": {"congvuCurrent": ["FALSE"]}}
    change = {"operations": [{"dn": directory.names["an"], "replace": wanted}, ledger], "journal": {**line, "result": "done"}}
    pending = "/var/lib/congvu-mail/journal/pending.json"
    host.run(f"cat > {pending} <<'X'\n{json.dumps(change)}\nX")
    count = len(journal(host))
    clock(host, "run", "--check")
    assert len(journal(host)) == count and directory.get("an", "congvuState") == ["active"], "nothing had been done: nothing to finish"
    host.run(f"cat > {pending} <<'X'\n{json.dumps(change)}\nX")
    directory.set("an", congvuState="suspended")  # killed after the first of two operations
    clock(host, "run", "--check")
    assert directory.get("an", "congvuCurrent", ledger["dn"]) == ["FALSE"]
    assert journal(host)[-1]["act"] == "suspend" and "dừng giữa chừng" in journal(host)[-1]["result"]
    assert not host.file(pending).exists
    assert intact(host)


def test_killed_at_any_point_the_next_run_finishes_the_work(host, directory):
    """A lock and an approved removal, killed before and after everything that a run writes: each is done once, with one line."""
    sent = TODAY - dt.timedelta(days=59)
    directory.add("an", congvuIssued=stamp(190))
    directory.add("cuc", congvuIssued=stamp(400))
    active = {"congvuState": "active", "congvuDelivery": "TRUE", "congvuSuspendedSince": "", "congvuOffences": "", "congvuReason": ""}
    suspended = {**active, "congvuState": "suspended", "congvuSuspendedSince": stamp(60), "congvuEnded": ""}
    suspended |= {"congvuRemovalApproved": f"{sent} khanh, 9/QD", "congvuNotice": f"notice-6m {sent} so@lab.test: 2.0.0 Ok: queued as 4B2"}
    ledger = f"congvuLocalPart=cuc,ou=ledger,{SUFFIX}"
    entries = {directory.names["an"]: active, directory.names["cuc"]: suspended, ledger: {"congvuCurrent": "TRUE", "congvuUntil": ""}}
    ends = [{"congvuState": "suspended", "congvuOffences": "1"}, {"congvuState": "terminated"}, {"congvuCurrent": "FALSE"}]
    wanted = {
        "entries": dict(zip(entries, ends, strict=True)),
        "written": ["clock-lock", "clock-remove"],
        "pending": False,
        "broken": [],
    }
    program = pathlib.Path(__file__).with_name("kill_points.py").read_text(encoding="utf-8")
    task = json.dumps({"entries": entries, "wanted": wanted})
    found = json.loads(host.check_output(f"python3 -c {shlex.quote(program)} <<'X'\n{task}\nX"))
    assert found["wrong"] == []
    assert found["points"] > 40


def test_two_writers_do_not_meet(host, directory):
    done = host.run(f"flock /var/lib/congvu-mail/journal/lock sh -c '{RUN} run'")
    assert done.rc == 1 and "một việc khác đang chạy" in done.stdout


def test_directory_down(host):
    host.run("systemctl stop slapd")
    try:
        status, said = clock(host)
    finally:
        host.run("systemctl start slapd")
    assert status == 1 and "máy chủ thư mục không trả lời" in said["problems"][0]


def guard(host, rows):
    """What the guard does about refusals (seconds ago, login)."""
    program = (
        "import json, sys, time; from congvu_mail import outbound; config = json.loads(outbound.CONFIG.read_text()); "
        "print(json.dumps(outbound.run(config, [(time.time() - ago, login) for ago, login in json.loads(sys.argv[1])])))"
    )
    argument = json.dumps(rows).replace("'", "")
    return json.loads(host.check_output(f"PYTHONPATH=/usr/local/lib/congvu-mail/python python3 -B -c '{program}' '{argument}'"))


def test_refused_again_and_again_means_locked(host, directory):
    """Twenty refusals within ten minutes and no fewer, whenever it is noticed; what was before a reinstatement is over."""
    directory.add("an")
    directory.add("binh")
    directory.add("back", congvuRestored=f"{dt.datetime.now(dt.UTC):%Y%m%d%H%M%SZ}")
    an, binh, back = (directory.names[name][4:40] for name in ("an", "binh", "back"))
    some, slow, over = range(19), range(0, 20 * 60, 60), range(86000, 86020)
    rows = [(ago, an) for ago in some] + [(ago, binh) for ago in slow] + [(ago, back) for ago in over]
    rows += [(ago, login) for ago in over for login in ("notice", "*", "00000000-0000-4000-8000-999999999999")]
    before = journal(host)
    assert guard(host, rows) == [[], []] and journal(host) == before
    done, problems = guard(host, [*rows, (86400, an), *((ago, binh) for ago in over)])
    # The mail server is down: locked at once, and the next run tries to tell again.
    assert "nghi bị chiếm quyền: gửi ra ngoài quá mức, bị từ chối 20 lần trong 10 phút" in done[0] if done else problems
    assert [line["act"] for line in journal(host)[len(before) :]] == ["suspend"]
    assert directory.get("binh", "congvuState") == ["suspended"] and directory.get("binh", "congvuCompromised") == ["TRUE"]
    assert directory.get("an", "congvuState") == directory.get("back", "congvuState") == ["active"]
    assert problems and "không gửi được đến so@lab.test" in problems[0]
    assert guard(host, [(ago, binh) for ago in over])[1] == problems, "nobody was told, and it was forgotten"
    directory.set("binh", congvuState="active", congvuRestored=f"{dt.datetime.now(dt.UTC):%Y%m%d%H%M%SZ}")
    assert guard(host, [(ago, binh) for ago in over]) == [[], []]
    assert intact(host)


# Takes the notices' connection, and the directory goes down.
FALLS = """import socket, subprocess
server = socket.create_server(("127.0.0.1", 587))
taken = server.accept()[0]
subprocess.run(["systemctl", "stop", "slapd"], check=True)
"""


def test_the_directory_goes_down_half_way(host, directory):
    """What was done is told and kept; the rest is done by the next run, and nothing twice."""
    for name in ("an", "binh", "cuc"):
        directory.add(name, congvuIssued=stamp(190))
    directory.add("dao")
    directory.set("dao", pwdLastSuccess=stamp(1))
    host.check_output(f"systemd-run --unit=falls -- python3 -c {shlex.quote(FALLS)}")
    wait_until(lambda: host.run("ss -Htln sport = 587").stdout, 30, "the listener")
    try:
        status, said = clock(host)
    finally:
        host.run("systemctl start slapd")
    assert (status, said["changed"], said["done"]) == (1, True, {"lock": 1})
    down = "máy chủ thư mục không trả lời (systemctl status slapd): khởi động lại rồi chạy lại; việc đã xong vẫn giữ nguyên"
    assert [f"{name}@lab.test: Tạm khóa: {down}" in said["problems"] for name in ("an", "binh", "cuc")].count(True) == 2
    assert f"Lần truy cập cuối: {down}" in said["problems"]
    assert clock(host)[1]["done"] == {"lock": 2}
    assert directory.get("dao", "congvuLastAccess") == [stamp(1)]
    for name in ("an", "binh", "cuc"):
        assert (directory.get(name, "congvuState"), directory.get(name, "congvuOffences")) == (["suspended"], ["1"])
    assert intact(host)


def test_what_the_last_run_left_is_broken(host, directory):
    """Without the day of the last run no jump of the clock would be seen."""
    directory.add("an", congvuIssued=stamp(190))
    host.run("echo '{' > /var/lib/congvu-mail/lifecycle.json")
    status, said = clock(host)
    assert (status, said["changed"]) == (1, False)
    assert said["problems"][0].startswith("/var/lib/congvu-mail/lifecycle.json bị hỏng (")
    assert "xem ngày của máy có đúng không, xóa tệp đó rồi chạy lại" in said["problems"][0]
    assert directory.get("an", "congvuState") == ["active"]


def test_the_unit_is_confined(host, directory):
    """The unit can do its work, and neither write elsewhere nor use a capability."""
    directory.add("an")
    assert host.run("systemctl start congvu-clock.service").rc == 0
    assert host.service("congvu-clock.timer").is_running and host.service("congvu-clock.timer").is_enabled
    properties = host.check_output("systemctl show congvu-clock -p CapabilityBoundingSet -p ProtectSystem -p NoNewPrivileges")
    capabilities = "CapabilityBoundingSet=cap_dac_override cap_dac_read_search"
    assert set(properties.splitlines()) == {capabilities, "ProtectSystem=strict", "NoNewPrivileges=yes"}
    for path, mode in (("/var/lib/congvu-mail/journal", 0o700), ("/etc/congvu-mail/lifecycle.password", 0o600)):
        assert host.file(path).mode == mode
