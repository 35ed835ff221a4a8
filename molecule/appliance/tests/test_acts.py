"""Acts on mailboxes, with the province's own rules, seen from outside through every protocol."""

import base64
import concurrent.futures
import contextlib
import datetime
import imaplib
import json
import pathlib
import re
import socket
import subprocess

import pytest
import yaml
from conftest import PROVINCE, ROOT
from mail import Refused, compose, refusal, wait_until
from webmail import browser, fetch, login

from congvu_mail import password_rules

JOURNAL = "/var/lib/congvu-mail/journal/operations.jsonl"
ACTS = {"suspend": "suspend", "reinstate": "restore", "terminate": "delete", "reset-password": "reset"}
TODAY = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=7)).date().isoformat()
GIVEN = {"document_number": "12/SNV-VP", "document_date": TODAY, "received": TODAY, "signature_checked": "true"}
KEPT = ("congvuState", "congvuDelegate", "congvuDelivery", "userPassword", "pwdReset")
STAMPS = (
    "SuspendedSince Reason Document Offences Notice Restored Ended Successor SuccessorUntil ResetDocument Compromised LastAccess Issued "
    "LeaveUntil Exemption ReopenRequest RemovalApproved Refusal Handover"
)


@pytest.fixture(scope="module")
def policy():
    text = (ROOT / "inventories" / PROVINCE / "group_vars/all/policy.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["mail_policy"]


@pytest.fixture
def victim(system, people):
    """A person with a mailbox, whose entry is put back as it was."""
    yield from borrowed(system, people[2])


@pytest.fixture
def office(system):
    """The same of an organisation."""
    yield from borrowed(system, system.accounts("organisation")[0])


def borrowed(system, account):
    """The account with its DN; afterwards everything is as before."""
    entry, before = read(system, account["address"])
    yield {**account, "dn": entry}
    wanted = {name: before.get(name, []) for name in (*KEPT, *(f"congvu{word}" for word in STAMPS.split()))}
    # A new hash would set pwdReset, so it goes first.
    for names in (("userPassword",), tuple(name for name in wanted if name != "userPassword")):
        lines = [f"dn: {entry}", "changetype: modify"]
        for name in names:
            lines += [f"replace: {name}", *(f"{name}:: {base64.b64encode(value.encode()).decode()}" for value in wanted[name]), "-"]
        ldap(system, "ldapmodify", *RELAX, stdin="\n".join(lines) + "\n")
    local_part = account["address"].partition("@")[0]
    ledger = f"dn: congvuLocalPart={local_part},ou=ledger,{entry.split(',ou=mailboxes,')[1]}\nchangetype: modify\n"
    ldap(system, "ldapmodify", *RELAX, stdin=f"{ledger}replace: congvuCurrent\ncongvuCurrent: TRUE\n-\nreplace: congvuUntil\n")
    assert system.imap(account).select("INBOX")[0] == "OK"


RELAX = ("-e", "!relax")


def ldap(system, tool, *arguments, **more):
    return system.run(tool, "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", *arguments, **more)


def read(system, address):
    """DN and attributes of a mailbox."""
    base = "dc=" + ",dc=".join(system.domain.split("."))
    argv = ("-LLL", "-o", "ldif-wrap=no", "-b", f"ou=mailboxes,{base}", f"(mailLocalAddress={address})", "*", "+")
    text = ldap(system, "ldapsearch", *argv)
    found = {}
    for line in text.splitlines():
        if match := re.match(r"([\w;]+)(::?) (.*)", line):
            value = base64.b64decode(match[3]).decode() if match[2] == "::" else match[3]
            found.setdefault(match[1], []).append(value)
    return found["dn"][0], found


def act(system, name, *options, **given):
    """Run an act; what the playbook said, with its lines folded, and how many tasks changed something."""
    done = system.playbook(f"playbooks/{name}.yml", "--extra-vars", json.dumps(given), *options)
    text = done.stdout + done.stderr
    return done.returncode, " ".join(text.split()), sum(map(int, re.findall(r"changed=(\d+)", text)))


def journal(system):
    return [json.loads(line) for line in system.run("cat", JOURNAL, check=False).splitlines()]


def sieve(system, account):
    """What ManageSieve answers to a login."""
    raw = socket.create_connection((system.address, system.ports["sieve"]), 30)
    stream = raw.makefile("rwb")
    stream.write(b"STARTTLS\r\n")
    stream.flush()
    answers = 0
    while answers < 2:
        answers += stream.readline().startswith(b"OK")
    stream = system.tls.wrap_socket(raw, server_hostname=system.name).makefile("rwb")
    plain = base64.b64encode(f"\0{account['address']}\0{account['password']}".encode())
    stream.write(b'AUTHENTICATE "PLAIN" "' + plain + b'"\r\n')
    stream.flush()
    answers = 0
    while True:
        line = stream.readline()
        answers += line.startswith((b"OK", b"NO", b"BYE"))
        if answers == 2 or not line:  # the greeting after TLS comes first
            return line.decode()


def webmail(system, account):
    """Status of the webmail's answer to a login (302 leads in, 401 does not), and its page."""
    url, ca = system.access["webmail_url"], system.access["ca_certificate"]
    _status, headers, page = fetch(system.address, url, ca)
    token = re.search(r'name="_token" value="([^"]+)"', page)[1]
    cookies = "; ".join(cookie.partition(";")[0] for cookie in headers.get_all("Set-Cookie"))
    form = {"_token": token, "_task": "login", "_action": "login", "_user": account["address"], "_pass": account["password"]}
    status, _headers, page = fetch(system.address, f"{url}?_task=login", ca, form, headers={"Cookie": cookies})
    return status, page


def bind(system, account):
    """What an application gets that proves a password with the directory."""
    argv = ("-x", "-H", "ldapi:///", "-D", account["dn"], "-w", account["password"])
    return system.run("sh", "-c", 'ldapwhoami "$@" 2>&1; true', "sh", *argv)


def doors(system, account):
    """What each door answers. All are tried at once: Dovecot lets each failure of a client wait longer than the one before."""

    def said(attempt):
        try:
            return attempt()
        except Refused as answer:
            return f"{answer.code} {answer.text}"

    tries = {
        "imap": lambda: system.imap(account).select("INBOX")[0],
        "pop3": lambda: str(system.pop3(account).stat()),
        "smtp": lambda: str(system.smtp("submission", account).noop()[0]),
        "sieve": lambda: sieve(system, account),
        "webmail": lambda: "{} {}".format(*webmail(system, account)),
        "ldap": lambda: bind(system, account),
    }
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        return dict(zip(tries, pool.map(said, tries.values()), strict=True))


SHUT = {
    "imap": "AUTHENTICATIONFAILED",
    "pop3": "Authentication failed",
    "smtp": "535 ",
    "sieve": "NO ",
    "webmail": "401",
    "ldap": "Invalid credentials (49)",
}
OPEN = {"imap": "OK", "pop3": "(", "smtp": "250", "sieve": "OK", "webmail": "302", "ldap": "dn:uid="}


def answered(system, account, expected):
    """Every door answers as expected."""
    found = doors(system, account)
    assert {door: words for door, words in expected.items() if words not in found[door]} == {}, found


def told(system, account, reason):
    """Every door is shut; who knows the password is told why, who does not is told nothing about the mailbox."""
    answered(system, account, {**dict.fromkeys(SHUT, reason), "ldap": SHUT["ldap"]})
    stranger = doors(system, {**account, "password": "khong-phai-mat-khau"})
    assert {door: words for door, words in SHUT.items() if words not in stranger[door]} == {}, stranger
    assert not any("tam khoa" in said or "suspended" in said for said in stranger.values()), stranger


def opened(system, account):
    """Sessions of an account, each in the middle of something; for each, what it hears of its end."""
    idle, pop3, filters = system.imap(account), system.pop3(account), system.sieve(account)
    idle.select("INBOX")
    idle.send(b"i IDLE\r\n")
    assert idle.readline().startswith(b"+")
    waiting, writing = (system.smtp("submission", account) for _ in range(2))
    letter = compose(account["address"], account["address"], "Đang viết dở")
    writing.mail(account["address"])
    writing.rcpt(account["address"])
    assert writing.docmd("DATA")[0] == 354
    writing.send(letter.as_bytes())

    def rest(stream):
        """The lines up to the end; a session that goes on lets it wait too long."""
        lines = b"".join(iter(stream.readline, b""))
        return lines.decode() or "closed"

    def sent():
        writing.send(b"\r\n.\r\n")
        return writing.getreply()

    return {
        "imap": lambda: rest(idle),
        "pop3": lambda: rest(pop3.file),
        "sieve": lambda: rest(filters.file),
        "smtp, before a letter": lambda: waiting.docmd("MAIL", f"FROM:<{account['address']}>"),
        "smtp, in a letter": sent,
    }


def ended(sessions):
    """All of them are over: those that read are closed, those that send are sent away with the letter that they have."""
    for door in ("smtp, before a letter", "smtp, in a letter"):
        code, text = sessions.pop(door)()
        assert code == 421 and b"hay dang nhap lai (log in again)" in text, (door, code, text)
    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool:
        heard = dict(zip(sessions, pool.map(lambda hear: hear(), sessions.values()), strict=True))
    assert all(heard.values()), heard


@contextlib.contextmanager
def in_the_webmail(system, account, words):
    """A browser in the webmail; after what is done meanwhile, the next click leads to the login page and the words."""
    url = system.access["webmail_url"]
    with browser(system.address, [system.name, url.split("/")[2]], system.access["ca_certificate"]) as page:
        login(page, url, account["address"], account["password"])
        yield
        page.click("a.refresh")
        page.locator("#rcmloginuser").wait_for()
        assert words in page.locator("#messagestack").inner_text()


@pytest.mark.parametrize("name", ACTS)
def test_refused_without_what_the_regulation_demands(system, victim, policy, name):
    """All that is missing at once, and nothing is touched."""
    before = (read(system, victim["address"]), len(journal(system)))
    code, said, changed = act(system, name, mailbox=victim["address"])
    demanded = ["reason", "operator", "document_number", "document_date"]
    deadline, start = (policy["deadlines"].get(f"{ACTS[name]}{part}", {}).get("value") for part in ("", "_from"))
    if name != "suspend" and deadline is not None and start != "handling":
        demanded.append("received")
    if name != "suspend" and policy["requests"]["signed"]["value"] == "required":
        demanded.append("signature_checked")
    assert code != 0 and changed == 0
    assert set(re.findall(r"thiếu (\w+)", said)) == set(demanded)
    assert (read(system, victim["address"]), len(journal(system))) == before


def test_a_file_with_errors_does_nothing(system, victim, people, tmp_path):
    """Unknown, twice, wrong state, a date that is none: each with its line, nothing done for the good rows either."""
    batch = tmp_path / "khoa.csv"
    rows = [f"{victim['address']};", "khongco@khongco.vn;", f"{victim['address']};", f"{people[3 % len(people)]['address']};31/02/2026"]
    batch.write_text("\ufeffmailbox;document_date\r\n" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
    code, said, changed = act(system, "suspend", batch=str(batch), reason="r", operator="khanh", **GIVEN)
    assert code != 0 and changed == 0
    assert "khoa.csv, dòng 5: document_date (giá trị “31/02/2026”): không phải là ngày" in said
    batch.write_text("mailbox\n" + "\n".join(row.partition(";")[0] for row in rows[:3]) + "\n", encoding="utf-8")
    code, said, changed = act(system, "suspend", batch=str(batch), reason="r", operator="khanh", **GIVEN)
    assert code != 0 and changed == 0
    assert "dòng 3: khongco@khongco.vn: không có hộp thư này" in said
    assert "dòng 4" in said and "đã ghi ở khoa.csv, dòng 2" in said
    code, said, changed = act(system, "reinstate", mailbox=victim["address"], reason="r", operator="khanh", **GIVEN)
    assert code != 0 and "đang hoạt động; “Khôi phục” cần hộp thư tạm khóa hoặc đã chấm dứt" in said
    assert read(system, victim["address"])[1]["congvuState"] == ["active"]


def test_suspended_then_reinstated(system, victim, office, sender, policy):
    ldap(system, "ldapmodify", stdin=f"dn: {office['dn']}\nchangetype: modify\nreplace: congvuDelegate\ncongvuDelegate: {victim['dn']}\n")
    count = len(journal(system))
    given = {"mailbox": victim["address"], "reason": "gửi thư rác", "operator": "khanh", **GIVEN}
    reading = [system.imap(victim), system.imap({**victim, "address": f"{office['address']}*{victim['address']}"})]
    foretold = act(system, "suspend", "--check", **given)
    assert foretold[0] == 0 and foretold[2] == 1
    assert "sẽ làm" in foretold[1] and "đã làm" not in foretold[1]
    for session in reading:
        assert session.noop()[0] == "OK" and len(journal(system)) == count, "--check did something"
    sessions = opened(system, victim)
    with in_the_webmail(system, victim, "hộp thư bị khóa"):
        code, said, changed = act(system, "suspend", **given)
        assert code == 0 and "tạm khóa" in said, said[-2000:]
        ended(sessions)
    (result,) = re.findall(r"Kết quả: (\S+\.json)", said)
    assert pathlib.Path(result).stat().st_mode & 0o777 == 0o600
    for session in reading:  # the own mailbox, and the office's as its delegate
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            for _ in range(50):
                session.noop()
    told(system, victim, f"Hop thu dang tam khoa tu {datetime.date.fromisoformat(TODAY):%d/%m/%Y} (mailbox suspended): gui thu rac")
    assert act(system, "suspend", **given)[2] == 0, "the second time changed something"

    letter = compose(sender["address"], victim["address"], "Trong lúc tạm khóa")
    if policy["suspension"]["deliver_inbound"]["value"]:
        system.send(letter, sender["address"], [victim["address"]], account=sender)
    else:
        answer = refusal(lambda: system.send(letter, sender["address"], [victim["address"]], account=sender))
        assert (answer.code, "5.2.1" in answer.text) == (550, True)

    # The clock tells whom the policy names, and keeps the server's answer.
    system.run("systemctl", "start", "congvu-clock.service")
    (notice,) = read(system, victim["address"])[1]["congvuNotice"]
    recipients = re.findall(r"(\S+@\S+): 2\.0\.0 Ok: queued as \w+", notice)
    assert notice.startswith(f"suspension {TODAY} ") and recipients
    sent = next(line for line in reversed(journal(system)) if line["act"] == "clock-notice")["after"]["sent"]
    for one in sent:
        query = ("doveadm", "search", "-u", one["to"], "mailbox", "*", "header", "Message-ID", one["message_id"])
        wait_until(lambda query=query: system.run(*query).strip(), 30, f"the notice to {one['to']}")
        assert victim["address"] in one["text"] and "gửi thư rác" in one["text"]
        assert "Căn cứ:      12/SNV-VP ngày " in one["text"], "not the clause on unused mailboxes: it was suspended on this document"

    code, said, _ = act(system, "reinstate", **{**given, "reason": "đã xử lý xong", "document_number": "15/SNV-VP"})
    assert code == 0, said[-2000:]
    answered(system, victim, OPEN)
    if policy["suspension"]["deliver_inbound"]["value"]:
        system.wait_for(victim, letter["Message-ID"])
    assert [line["act"] for line in journal(system)[count:]] == ["suspend", "clock-notice", "reinstate"]
    done = journal(system)[-1]
    assert done["document"].startswith("15/SNV-VP ngày ") and done["operator"] == "khanh"
    assert (done["before"]["congvuState"], done["after"]["congvuState"]) == (["suspended"], ["active"])


@contextlib.contextmanager
def nobody_writes_the_journal(system):
    """What writes a line waits until the end: the first change of an act is then in the directory, and no other begins."""
    argv = [*system.access["host_command"], "flock", JOURNAL, "sh", "-c", "echo $$; exec sleep 300"]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    number = holder.stdout.readline().strip()
    try:
        yield
    finally:
        system.run("kill", number)
        holder.wait(60)


def test_a_file_of_many_cut_in_the_middle(system, victim, office, tmp_path):
    """The directory goes down, then the program is killed, each after one mailbox: said, and the next run does what is left, once."""
    batch = tmp_path / "khoa.csv"
    batch.write_text(f"mailbox\n{victim['address']}\n{office['address']}\n", encoding="utf-8")
    given = {"batch": str(batch), "reason": "cắt giữa chừng", "operator": "khanh", **GIVEN}
    count = len(journal(system))

    def cut(name, address, how, **more):
        """What the playbook says when ``how`` happens as soon as this mailbox is changed."""
        state = read(system, address)[1]["congvuState"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with nobody_writes_the_journal(system):
                running = pool.submit(act, system, name, **given, **more)
                wait_until(lambda: running.done() or read(system, address)[1]["congvuState"] != state, 120, "the change")
                system.run(*how)
            return running.result()

    try:
        code, said, _ = cut("suspend", victim["address"], ("systemctl", "stop", "slapd"))
        assert code != 0 and "máy chủ thư mục không trả lời" in said, said[-2000:]
        assert f"Đã làm 1 trong 2 hộp thư; chưa xong: {office['address']}. Chạy lại cùng lệnh" in said
        code, said, _ = act(system, "suspend", **given)
        assert code != 0 and "chưa làm gì: " in said, said[-2000:]
    finally:
        system.run("systemctl", "start", "slapd")
    assert [read(system, one["address"])[1]["congvuState"] for one in (victim, office)] == [["suspended"], ["active"]]

    # Whoever has the lock of the acts open is the program.
    lock = "/var/lib/congvu-mail/journal/lock"
    kill = f"for fd in /proc/[0-9]*/fd/*; do [ $(readlink $fd) = {lock} ] 2>/dev/null && kill -9 $(echo $fd | cut -d/ -f3); done; true"
    code, said, _ = cut("suspend", office["address"], ("bash", "-c", kill))
    assert code != 0 and "bị ngắt giữa chừng trên máy chủ thư mục: chạy lại cùng lệnh" in said, said[-2000:]
    code, said, changed = act(system, "suspend", **given)
    assert code == 0 and changed >= 1, said[-2000:]
    assert f"Việc dở dang của lần bị ngắt trước đã làm nốt và ghi nhật ký: {office['address']}" in said
    assert act(system, "suspend", **given)[2] == 0
    assert [(line["act"], line["mailbox"]) for line in journal(system)[count:]] == [("suspend", one["address"]) for one in (victim, office)]
    assert "dừng giữa chừng" in journal(system)[-1]["result"]
    for one in (victim, office):
        assert read(system, one["address"])[1]["congvuOffences"] == ["1"]
    assert act(system, "reinstate", **{**given, "document_number": "15/SNV-VP"})[0] == 0


@pytest.fixture
def queued(system, victim, sender):
    """Letters of the victim and of another to the outside, which wait in the queue because nobody is there: {sender's address: letter}."""
    outside, letters = system.access["outside"]["address"], {}
    system.run_outside("systemctl", "stop", "postfix")
    for account in (victim, sender):
        letters[account["address"]] = compose(account["address"], outside, "Ra ngoài")
        system.send(letters[account["address"]], account["address"], [outside], account=account)
    wait_until(lambda: queue(system, letters) == dict.fromkeys(letters, "deferred"), 60, lambda: str(queue(system, letters)))
    yield letters
    system.run_outside("systemctl", "start", "postfix")
    system.run("sh", "-c", 'postqueue -j | grep -oP \'queue_name": "hold", "queue_id": "\\K\\w+\' | postsuper -d -')


def queue(system, letters):
    """In which queue mail of each sender waits."""
    waiting = [json.loads(line) for line in system.run("postqueue", "-j").splitlines()]
    return {one["sender"]: one["queue_name"] for one in waiting if one["sender"] in letters}


def test_in_an_emergency_the_document_follows(system, victim, sender, queued):
    """And what whoever has the password wrote meanwhile does not leave."""
    given = {"mailbox": victim["address"], "reason": "bị chiếm quyền", "operator": "khanh"}
    code, said, _ = act(system, "suspend", **given, compromise="true")
    assert code == 0 and "THIẾU VĂN BẢN" in said
    assert "hàng đợi giữ lại 1 thư chưa gửi đi" in said
    assert queue(system, queued) == {victim["address"]: "hold", sender["address"]: "deferred"}
    system.run_outside("systemctl", "start", "postfix")
    system.run("postqueue", "-f")
    wait_until(lambda: queue(system, queued) == {victim["address"]: "hold"}, 60, lambda: str(queue(system, queued)))
    maildir = system.access["outside"]["maildir"]
    arrived = {address: bool(system.run_outside("grep", "-rlF", queued[address]["Message-ID"], maildir, check=False)) for address in queued}
    assert arrived == {victim["address"]: False, sender["address"]: True}
    assert "Invalid credentials (49)" in bind(system, victim)
    code, said, _ = act(system, "reinstate", **given, **GIVEN)
    assert code != 0 and "chạy reset-password.yml trước" in said
    code, said, changed = act(system, "suspend", **given, **GIVEN)
    assert code == 0 and changed == 1, "the document was not recorded"
    assert read(system, victim["address"])[1]["congvuDocument"][0].startswith(GIVEN["document_number"])


def test_a_new_password_is_sealed_and_must_be_changed(system, victim, policy):
    given = {"mailbox": victim["address"], "reason": "quên mật khẩu", "operator": "khanh", **GIVEN}
    sessions = opened(system, victim)
    with in_the_webmail(system, victim, "mật khẩu vừa được thay đổi"):
        code, said, _ = act(system, "reset-password", **given)
        assert code == 0, said[-2000:]
        ended(sessions)
    (name,) = re.findall(r"đã niêm phong: (\S+\.vault)", said)
    password_file = next(word for word in system.access["ansible"] if word.startswith("--vault-password-file="))
    argv = [ROOT / ".venv/bin/ansible-vault", "view", password_file, name]
    unsealed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    fresh = next(line.rpartition(",")[2].strip('"') for line in unsealed.splitlines() if victim["address"] in line)
    assert fresh not in said and fresh not in json.dumps(journal(system))
    assert "userPassword" not in json.dumps(journal(system))
    # It obeys the rule that its owner has to obey.
    found = read(system, victim["address"])[1]
    rule = {name: leaf["value"] for name, leaf in policy["password"][found["congvuClass"][0]].items()} | {"forbid_personal_data": True}
    assert password_rules.judge(rule, fresh, [victim["address"], *found.get("congvuForbiddenInPassword", [])]) == ""
    answered(system, victim, SHUT)
    # The sealed one works, but opens nothing before its owner has changed it; he is told where.
    said = f"Phai doi mat khau truoc khi dung tai {system.access['password_url']} (password must be changed first)"
    answered(system, {**victim, "password": fresh}, {**dict.fromkeys(SHUT, said), "ldap": "dn:uid="})
    assert act(system, "reset-password", **given)[2] == 0, "the same document gave another password"


def test_terminated_with_a_successor_and_back(system, victim, sender, receiver):
    given = {"mailbox": victim["address"], "reason": "nghỉ hưu", "operator": "khanh", **GIVEN}
    tomorrow = (datetime.date.fromisoformat(TODAY) + datetime.timedelta(days=1)).isoformat()
    code, said, _ = act(system, "terminate", **given, successor=receiver["address"], successor_until=tomorrow)
    assert code == 0, said[-2000:]
    answered(system, victim, SHUT)
    letter = compose(sender["address"], victim["address"], "Gửi người đã nghỉ")
    system.send(letter, sender["address"], [victim["address"]], account=sender)
    system.wait_for(receiver, letter["Message-ID"])
    # His day has passed: from then on a sender reads that the mailbox is closed.
    change = f"dn: {victim['dn']}\nchangetype: modify\nreplace: congvuSuccessorUntil\ncongvuSuccessorUntil: 20200101000000Z\n"
    ldap(system, "ldapmodify", stdin=change)
    system.run("systemctl", "start", "congvu-clock.service")
    answer = refusal(lambda: system.send(letter, sender["address"], [victim["address"]], account=sender))
    assert answer.code == 550 and "5.2.1" in answer.text and "Hop thu nay da ngung su dung" in answer.text
    code, said, _ = act(system, "terminate", **{**given, "document_number": "99/X"})
    assert code != 0 and "đã chấm dứt từ ngày" in said
    code, said, _ = act(system, "reinstate", **{**given, "document_number": "16/SNV-VP", "reason": "trở lại làm việc"})
    assert code == 0, said[-2000:]
    answered(system, victim, OPEN)
    system.send(letter, sender["address"], [victim["address"]], account=sender)
    system.wait_for(victim, letter["Message-ID"])


def test_an_organisations_mailbox_is_handed_over(system, policy, office, people):
    given = {"mailbox": office["address"], "reason": "đổi văn thư", "operator": "khanh", **GIVEN}
    session = system.imap(office)
    code, said, _ = act(system, "handover", **given, delegates=people[1]["address"])
    assert code == 0, said[-2000:]
    assert read(system, office["address"])[1]["congvuDelegate"] == [read(system, people[1]["address"])[0]]
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        for _ in range(50):
            session.noop()
    answered(system, office, SHUT)
    (result,) = re.findall(r"Kết quả: (\S+\.json)", said)
    minutes = pathlib.Path(result.replace(".json", ".html")).read_text(encoding="utf-8")
    assert "BIÊN BẢN" in minutes and office["address"] in minutes and "đếm trước và sau khi bàn giao" in minutes
    day = datetime.date.fromisoformat(GIVEN["document_date"])
    decision = f" ban hành kèm theo Quyết định số {policy['regulation']['number']}" if policy["regulation"]["number"] else ""
    assert f"{policy['regulation']['title']}{decision};\ntheo văn bản số 12/SNV-VP ngày {day:%d/%m/%Y}." in minutes
    # It sends as the organisation from now on.
    letter = compose(office["address"], people[0]["address"], "Sau bàn giao")
    system.send(letter, office["address"], [people[0]["address"]], account=people[1])


def test_what_another_day_would_bring(system):
    """A preview of half a year ahead, when nobody has logged in: first held back, for so many at once can only be an error."""
    count, later = len(journal(system)), (datetime.date.fromisoformat(TODAY) + datetime.timedelta(days=200)).isoformat()
    held = system.playbook("playbooks/clock.yml", "--check", "-e", f"today={later}")
    assert held.returncode != 0 and "vượt ngưỡng 5%" in held.stdout and "GIỮ LẠI" in held.stdout
    shown = system.playbook("playbooks/clock.yml", "--check", "-e", f"today={later}", "-e", "guard_percent=100")
    assert shown.returncode == 0 and "sẽ làm" in shown.stdout and "changed=0" in shown.stdout, shown.stdout[-2000:]
    assert len(journal(system)) == count


def test_the_journal_is_intact(system):
    program = "/usr/local/lib/congvu-mail/python/congvu_mail/journal.py"
    assert "nguyên vẹn" in system.run("python3", program, "verify", JOURNAL)


def content(system, home):
    """Number, bytes and SHA-256 of all messages of a mailbox, whatever their flags."""
    script = (
        f"cd {home} && find . -path '*/cur/*' -o -path '*/new/*' -type f | wc -l && "
        "find . \\( -path '*/cur/*' -o -path '*/new/*' \\) -type f -printf '%s\\n' | sort | sha256sum && "
        "find . \\( -path '*/cur/*' -o -path '*/new/*' \\) -type f -exec sha256sum {} + | cut -c-64 | sort | sha256sum"
    )
    return system.run("sh", "-c", script).split()


def database(system, statements):
    """What the webmail's database answers."""
    return system.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "roundcube", "-c", statements).strip()


def test_purged_only_with_an_archive_and_brought_back(system, victim, sender):
    """Ended for longer than the policy keeps data: approved, archived, read back, removed; and all of it comes back."""
    for number in range(3):
        letter = compose(sender["address"], victim["address"], f"Thư số {number} của người sắp nghỉ")
        system.send(letter, sender["address"], [victim["address"]], account=sender)
        system.wait_for(victim, letter["Message-ID"])
    uid = victim["dn"].partition(",")[0].removeprefix("uid=")
    home = f"/srv/mail/{uid}"
    # A copy that the law wants kept, as an organisation's mailbox has them; and what the webmail keeps.
    record = f"{home}/Record/.2026-11/cur"
    system.run(
        "sh",
        "-c",
        f"install -d -o vmail -g vmail -m 0700 {home}/Record {record} && echo giữ lại > {record}/1:2, && chown vmail: {record}/*",
    )
    marker = f's:10:"congvu_uid";s:36:"{uid}";'
    of_victim = f"preferences like '%{marker}%'"
    contact = (
        f"delete from users where {of_victim} or username = '{victim['address']}';"
        f"insert into users (username, mail_host, created, preferences) values ('{victim['address']}', 'x', now(), 'a:1:{{{marker}}}');"
        "insert into contacts (user_id, name, email) "
        f"select user_id, 'Bạn \"riêng\"', 'ban@example.vn' from users where {of_victim};"
    )
    database(system, contact)
    kept = f"select row_to_json(c) from contacts c join users using (user_id) where {of_victim}"
    contacts = database(system, kept)
    before = content(system, home)
    assert int(before[0]) >= 3
    given = {"mailbox": victim["address"], "reason": "nghỉ hưu", "operator": "khanh", **GIVEN}
    code, said, _ = act(system, "terminate", **given)
    assert code == 0, said[-2000:]
    ended = "20200101000000Z"
    ldap(system, "ldapmodify", stdin=f"dn: {victim['dn']}\nchangetype: modify\nreplace: congvuEnded\ncongvuEnded: {ended}\n")

    system.run("systemctl", "start", "congvu-backup@run.service")  # where no backup was ever made nothing is removed
    approval = {"approve": victim["address"], "operator": "khanh", "document_number": "9/QĐ", "document_date": TODAY}
    system.run("mv", "/srv/backup", "/srv/backup.away")
    try:
        code, said, _ = act(system, "clock", **approval)
    finally:
        system.run("mv", "/srv/backup.away", "/srv/backup")
    assert code != 0 and "còn nguyên" in said, said[-2000:]
    assert content(system, home) == before, "removed although the archive could not be made"
    assert read(system, victim["address"])[1]["congvuEnded"] == [ended]

    count = len(journal(system))
    foretold = act(system, "clock", "--check")
    assert foretold[0] == 0 and content(system, home) == before, foretold[1][-2000:]
    code, said, _ = act(system, "clock", operator="khanh")
    assert code == 0 and "Đã xóa dữ liệu" in said, said[-2000:]
    assert system.run("find", home, "-type", "f", "-not", "-name", "dovecot*").split() == [f"{record}/1:2,"], (
        "the copy is not to go, and nothing else is to stay"
    )
    assert database(system, kept) == "" and "(webmail, 2 dòng)" in said
    (line,) = [line for line in journal(system)[count:] if line["act"] == "clock-purge"]
    (archive,) = line["after"]["archives"]
    assert archive["messages"] == int(before[0]) and line["operator"] == "khanh" and "9/QĐ" in line["document"]
    assert "congvuEnded" not in read(system, victim["address"])[1]

    code, said, _ = act(system, "reinstate", **{**given, "document_number": "16/SNV-VP"})
    assert code != 0 and "dùng restore.yml" in said
    # As a run leaves it that was killed when all was back and its line was not written yet: the next one finds nothing to put back.
    for what in ("mailbox", "webmail"):
        system.run("/usr/local/lib/congvu-mail/backup", what, uid)
    code, said, _ = act(system, "restore", what="mailbox", mailbox=victim["address"], operator="khanh", reason="thanh tra yêu cầu")
    assert code == 0 and "giống hệt" in said, said[-2000:]
    assert content(system, home) == before and database(system, kept) == contacts != ""
    assert journal(system)[-1]["act"] == "restore-mailbox" and journal(system)[-1]["reason"] == "thanh tra yêu cầu"
    assert read(system, victim["address"])[1]["congvuEnded"] == [ended]
    assert act(system, "restore", what="mailbox", mailbox=victim["address"], operator="khanh")[2] == 0, "the second time changed something"
    database(system, f"delete from users where {of_victim}")
    system.run("rm", "-r", f"{home}/Record")
