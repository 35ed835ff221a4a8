"""From a register to mailboxes that open with the sealed password; what --check tells is what a run does; a killed run is made up."""

import base64
import csv
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest
from testing import INVENTORY, ROOT

from congvu_mail import handover, registers

SUFFIX = "dc=example,dc=gov,dc=vn"
WORK = pathlib.Path(ROOT) / "build/test/accounts"
CONVERGE = pathlib.Path(__file__).parents[1] / "converge.yml"


class Register:
    """A copy of the sample register that a test changes."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(WORK / "register", folder)

    def change(self, table, key, /, **cells):
        """Change the row with this code (requests: id), or add one."""
        column = "id" if table == "requests" else "code"
        path = self.folder / f"{table}.csv"
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = {row[column]: row for row in csv.DictReader(file)}
        rows[key] = {**rows.get(key, dict.fromkeys(registers.COLUMNS[table], "")), column: key, **cells}
        registers.write_csv(path, registers.COLUMNS[table], rows.values())


@pytest.fixture
def register(tmp_path):
    return Register(tmp_path / "register")


@pytest.fixture(scope="module", autouse=True)
def server(host, tmp_path_factory):
    """The LDAP tools of this machine trust the test's certificate."""
    authority = tmp_path_factory.mktemp("tls") / "ca.crt"
    authority.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    os.environ["LDAPTLS_CACERT"] = str(authority)
    os.environ["LDAP_SERVER"] = host.ansible.get_variables()["ansible_host"]


def run(register=None, *options, **variables):
    """Run the role as converge.yml does: (result of the plan's task, everything that was printed)."""
    if register:
        variables["accounts_register"] = str(register.folder)
    argv = ["ansible-playbook", "--inventory", INVENTORY, str(CONVERGE), "--extra-vars", json.dumps(variables), "-vvv", *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    play = json.loads(done.stdout[done.stdout.index('{\n    "custom_stats"') :])
    (task,) = [task for task in play["plays"][0]["tasks"] if task["task"]["name"].endswith("in line with the register")]
    return task["hosts"]["directory"], done.stdout + done.stderr


def opened(name):
    """Rows of a sealed file, opened with the key of the test."""
    done = subprocess.run(["age", "--decrypt", "--identity", WORK / "age.key", name], capture_output=True, text=True, check=True)
    return {row["code"]: row for row in handover.read(done.stdout)}


def passwords():
    """Initial password of every code in all sealed files; the latest one."""
    files = sorted((WORK / "handover").glob("*.age"), key=lambda path: path.stat().st_mtime_ns)
    return {code: row["password"] for name in files for code, row in opened(name).items()}


def entry(host, code, attributes="'*' pwdReset pwdPolicySubentry", state="active"):
    """The mailbox of a code as {attribute: [values]}, with its dn."""
    what = f"'(&(congvuCode={code})(congvuState={state}))' {attributes}"
    text = host.check_output(f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -o ldif-wrap=no -b ou=mailboxes,{SUFFIX} {what}")
    found = {}
    for line in text.strip().splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


def bind(dn, password, *tool):
    """An LDAP tool with a simple bind over TLS; (exit status, output)."""
    name, *rest = tool or ("ldapwhoami",)
    argv = [name, "-x", "-H", f"ldaps://{os.environ['LDAP_SERVER']}", "-D", dn, "-w", password, *rest]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# --- what the first run left ------------------------------------------------------------------------------------------


def test_every_row_has_a_mailbox_and_its_address_is_in_the_ledger(host):
    count = "ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b ou={},{} '{}' 1.1 | grep -c ^dn"
    assert host.check_output(count.format("mailboxes", SUFFIX, "(objectClass=congvuMailbox)")) == "31"
    assert host.check_output(count.format("ledger", SUFFIX, "(objectClass=congvuIssuedAddress)")) == "33"
    assert host.check_output(count.format("ledger", SUFFIX, "(congvuCurrent=FALSE)")) == "2"
    person = entry(host, "VD-N005")
    assert person["mail"] == ["hand_ttcntttt_stttt@example.gov.vn"]
    assert person["pwdPolicySubentry"] == [f"cn=admin,ou=policies,{SUFFIX}"]
    assert person["congvuQuota"] == ["2147483648"]
    assert entry(host, "VD-STTTT")["congvuDelegate"] == entry(host, "VD-N003")["dn"]


@pytest.mark.parametrize("typed", ["ha thi sen", "THI SEN", "Hà Thị Sen", "thị sen"])
def test_a_name_is_found_with_and_without_diacritics(host, typed):
    """The filter is the one that the webmail makes of a word typed into its search box."""
    filter_ = f"(&(objectClass=congvuMailbox)(congvuState=active)(|(displayName=*{typed}*)(cn=*{typed}*)(mail=*{typed}*)(o=*{typed}*)))"
    found = host.check_output(
        f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -o ldif-wrap=no -b ou=mailboxes,{SUFFIX} {shlex.quote(filter_)} congvuCode"
    )
    assert re.findall(r"^congvuCode: (.*)$", found, re.MULTILINE) == ["VD-N009"]


def test_the_sealed_password_opens_the_mailbox_and_must_be_changed(host):
    known = passwords()
    assert len(known) == 31
    box = entry(host, "VD-N009")
    assert box["pwdReset"] == ["TRUE"]
    assert "{SSHA512}" not in known["VD-N009"]
    assert bind(box["dn"][0], known["VD-N009"])[0] == 0
    assert bind(box["dn"][0], known["VD-N008"])[0] == 49
    status, text = bind(box["dn"][0], known["VD-N009"], "ldapsearch", "-b", SUFFIX)
    assert (status, "restricted to bind/unbind/abandon/StartTLS/modify password" in text) == (50, True)
    change = ("ldappasswd", "-a", known["VD-N009"], "-s")
    assert "Mật khẩu mới chứa họ tên, địa chỉ thư" in bind(box["dn"][0], known["VD-N009"], *change, "HaThiSen@03071990")[1]
    assert bind(box["dn"][0], known["VD-N009"], *change, "Mua-Thu#2026x")[0] == 0
    assert "pwdReset" not in entry(host, "VD-N009")
    # What the person chose stays.
    assert run()[0]["changed"] is False
    assert bind(box["dn"][0], "Mua-Thu#2026x")[0] == 0


def test_sealed_files_are_for_the_owner_and_the_key_only():
    files = list((WORK / "handover").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert all(path.read_text().startswith("-----BEGIN AGE ENCRYPTED FILE-----") for path in files if path.suffix == ".age")
    assert not (WORK / "handover" / handover.PENDING).exists()


def test_what_is_changed_by_hand_is_told_and_set_right(host):
    dn = entry(host, "VD-N002")["dn"][0]
    ldif = f"dn: {dn}\\nchangetype: modify\\nreplace: congvuQuota\\ncongvuQuota: 1\\n"
    host.check_output(f"printf '{ldif}' | ldapmodify -Q -Y EXTERNAL -H ldapi:///")
    told, _ = run(None, "--check")
    assert (told["changed"], told["done"]) == (True, 1)
    assert any("dung lượng: 1 → 2147483648" in line for line in told["summary"])
    run()
    assert entry(host, "VD-N002")["congvuQuota"] == ["2147483648"]


# --- the journal ------------------------------------------------------------------------------------------------------

JOURNAL = "/var/lib/congvu-mail/journal/operations.jsonl"


def journal(host):
    """The lines of the journal, whose chain holds."""
    host.check_output(f"python3 /usr/local/lib/congvu-mail/python/congvu_mail/journal.py verify {JOURNAL}")
    return [json.loads(line) for line in host.check_output(f"cat {JOURNAL}").splitlines()]


def test_every_mailbox_came_with_a_line(host):
    created = [line for line in journal(host) if line["act"] == "register-create"]
    assert len({line["mailbox"] for line in created}) == 31
    assert all(line["operator"] and line["after"]["congvuState"] == ["active"] for line in created)
    assert "{SSHA512}" not in json.dumps(created) and "congvuForbiddenInPassword" not in json.dumps(created)


def test_an_act_is_a_line_once_and_none_in_a_preview(host, register):
    register.change("people", "VD-N004", phone="0200 999 888")
    count = len(journal(host))
    run(register, "--check")
    assert len(journal(host)) == count
    run(register, accounts_operator="khanh")
    (line,) = journal(host)[count:]
    assert (line["act"], line["operator"]) == ("register-change", "khanh")
    assert line["after"] == {"telephoneNumber": ["0200 999 888"]}
    run(register)
    assert len(journal(host)) == count + 1


def test_a_run_killed_before_its_lines_were_written_is_made_up(host, register):
    """What the directory has taken gets its line, what it has not taken gets none; neither is written twice."""
    taken, line = entry(host, "VD-N004")["dn"][0], journal(host)[-1]
    kept = {name: line[name] for name in ("act", "mailbox", "document", "reason", "operator", "result")}
    intended = [
        {"dn": taken, "replace": {"congvuState": ["active"]}, "journal": {**kept, "reason": "bị dừng", "before": None, "after": {"a": 1}}},
        {"dn": taken, "replace": {"congvuState": ["suspended"]}, "journal": {**kept, "reason": "chưa làm", "before": None, "after": None}},
        {"dn": taken.replace("uid=", "uid=x"), "replace": {}, "journal": {**kept, "reason": "chưa có", "before": None, "after": {"b": 1}}},
        # This one got its line before the run was killed.
        {"dn": taken, "replace": {}, "journal": {**kept, "before": line["before"], "after": line["after"]}},
    ]
    pending = f"{pathlib.PurePath(JOURNAL).parent}/pending.json"
    host.check_output(f"cat > {pending} <<'E'\n{json.dumps({'after': line['number'] - 1, 'intended': intended})}\nE")
    count = len(journal(host))
    register.change("people", "VD-N004", phone="0200 999 777")
    run(register)
    late, change = journal(host)[count:]
    assert late["reason"] == "bị dừng" and "dừng giữa chừng" in late["result"]
    assert change["act"] == "register-change"
    assert not host.file(pending).exists


# --- killed, refused, stopped -----------------------------------------------------------------------------------------


def read_only(host, value):
    ldif = f"dn: olcDatabase={{1}}mdb,cn=config\\nchangetype: modify\\nreplace: olcReadOnly\\nolcReadOnly: {value}\\n"
    host.check_output(f"printf '{ldif}' | ldapmodify -Q -Y EXTERNAL -H ldapi:///")


def test_a_run_that_died_after_sealing_is_made_up_with_the_same_password(host, register):
    register.change("people", "VD-N910", full_name="Mai Thị Lựu", organisation="VD-SYT")
    read_only(host, "TRUE")
    try:
        failed, output = run(register)
    finally:
        read_only(host, "FALSE")
    assert failed["failed"]
    assert "the directory refused" in failed["msg"]
    assert "operation restricted" in failed["msg"]
    assert (WORK / "handover" / handover.PENDING).exists()
    assert "{SSHA512}" not in output
    before = passwords()["VD-N910"]
    done, _ = run(register)
    (file,) = done["sealed"]
    assert file in {str(path) for path in (WORK / "handover").iterdir()}, "where the passwords are is told again: the failed run could not"
    assert bind(entry(host, "VD-N910")["dn"][0], before)[0] == 0
    assert not (WORK / "handover" / handover.PENDING).exists()


def test_the_directory_is_down(host, register):
    register.change("people", "VD-N911", full_name="Mai Thị Đào", organisation="VD-SYT")
    files = set((WORK / "handover").iterdir())
    host.check_output("systemctl stop slapd")
    try:
        failed, _ = run(register)
    finally:
        host.check_output("systemctl start slapd")
    assert "Không đọc được danh bạ dc=example,dc=gov,dc=vn: máy chủ danh bạ (slapd) không trả lời" in failed["msg"]
    assert "Cách sửa: trên máy đó xem systemctl status slapd" in failed["msg"]
    assert set((WORK / "handover").iterdir()) == files


def test_too_many_at_once_is_stopped_by_the_guard(host, register):
    for code in ("VD-N001", "VD-N002", "VD-N003", "VD-N005"):
        register.change("people", code, status="left")
    failed, _ = run(register)
    assert "vượt ngưỡng 10%" in failed["msg"]
    assert "-e accounts_guard_percent=100" in failed["msg"]
    assert "Tạm khóa | VD-N001" in failed["msg"]
    assert entry(host, "VD-N001")["congvuState"] == ["active"]
    assert run(register, "--check", accounts_guard_percent=100)[0]["counts"]["suspend"] == 4


def test_a_row_that_needs_a_decision_stops_the_run_where_that_is_wanted(host, register):
    register.change("people", "VD-N920", full_name="Hà Thị Sen", organisation="VD-SYT")
    register.change("people", "VD-N004", title="Chuyên viên")
    failed, _ = run(register, accounts_stop_on_undecided=True)
    assert "1 dòng cần quyết định" in failed["msg"]
    assert entry(host, "VD-N004")["mail"]


def test_a_bad_register_stops_everything_with_all_errors(register):
    register.change("people", "VD-N930", full_name="Lê Văn 9", organisation="VD-NOWHERE")
    register.change("organisations", "VD-SYT", phone="số ở phòng văn thư")
    failed, _ = run(register)
    assert failed["failed"]
    for place in ("people.csv, dòng 22, cột full_name", "people.csv, dòng 22, cột organisation"):
        assert place in failed["msg"]


def test_sealed_with_the_vault_password_where_there_is_no_recipient(host, register, tmp_path):
    register.change("people", "VD-N940", full_name="Cù Thị Mơ", organisation="VD-SYT")
    options = {"accounts_handover_recipients": [], "accounts_handover_directory": str(tmp_path / "handover")}
    failed, _ = run(register, **options)
    assert "nobody could open the sealed initial passwords" in failed["msg"]
    assert entry(host, "VD-N940") == {}
    secret = tmp_path / "vault-password"
    secret.write_text("open sesame")
    done, _ = run(register, "--vault-password-file", str(secret), **options)
    (name,) = done["sealed"]
    view = ["ansible-vault", "view", "--vault-password-file", secret, name]
    (row,) = handover.read(subprocess.run(view, capture_output=True, text=True, check=True).stdout)
    assert bind(entry(host, "VD-N940")["dn"][0], row["password"])[0] == 0


# --- one run with everything ------------------------------------------------------------------------------------------


def test_check_tells_exactly_what_the_run_does(host, register):
    register.change("people", "VD-N004", title="Phó Chánh Văn phòng")
    register.change("people", "VD-N011", status="left", leave_reason="Nghỉ hưu")
    register.change("people", "VD-N014", status="left", leave_reason="Thôi việc")
    register.change(
        "requests", "YC-9", received="2026-11-20", act="delete", code="VD-N014", document_number="9/LN", document_date="2026-11-19"
    )
    register.change("people", "VD-N008", organisation="VD-STTTT")
    register.change("people", "VD-N900", full_name="Lê Hoàng Yến", organisation="VD-SYT")
    register.change("people", "VD-N901", full_name="Hà Thị Sen", organisation="VD-SYT")
    files = set((WORK / "handover").iterdir())

    told, output = run(register, "--check", "--diff")
    assert told["changed"]
    assert set((WORK / "handover").iterdir()) == files
    row = "Cập nhật thông tin | VD-N004 | Thân Đức Mạnh | manhtd_stttt@example.gov.vn | chức vụ: Chánh Văn phòng → Phó Chánh Văn phòng"
    assert row in told["diff"]["prepared"].splitlines()
    # 2: rows that only the tests before had
    assert told["counts"] == {"create": 2, "change": 3, "suspend": 1, "terminate": 2, "undecided": 1, "missing": 2}
    assert entry(host, "VD-N011")["congvuState"] == ["active"]

    done, output = run(register)
    assert (done["counts"], done["done"]) == (told["counts"], told["done"])
    assert [line for line in done["summary"] if "niêm phong" not in line] == told["summary"]
    assert entry(host, "VD-N011", state="suspended")["congvuDelivery"] == ["TRUE"]
    ended = entry(host, "VD-N014", state="terminated")
    assert ended["congvuDelivery"] == ["FALSE"]
    assert base64.b64decode(ended["congvuDocument:"][0]).decode() == "9/LN ngày 19/11/2026"
    # A transfer ends the mailbox here: another mailbox, another password, and the old address is closed for ever.
    assert entry(host, "VD-N008", state="terminated")["mail"] == ["nghiath_syt@example.gov.vn"]
    moved = entry(host, "VD-N008")
    assert moved["mail"] == ["nghiath_stttt@example.gov.vn"]
    assert moved["uid"] != entry(host, "VD-N008", state="terminated")["uid"]
    known = passwords()
    assert bind(moved["dn"][0], known["VD-N008"])[0] == 0
    assert bind(entry(host, "VD-N900")["dn"][0], known["VD-N900"])[0] == 0
    assert not any(word in output for word in known.values())
    assert "SSHA512" not in output
    # The one that needs a decision has nothing, and nothing else was lost for it.
    assert entry(host, "VD-N901") == {}
    assert [line for line in done["summary"] if line.startswith("Cần quyết định | VD-N901")]

    again, _ = run(register)
    assert (again["changed"], again["done"]) == (False, 0)
