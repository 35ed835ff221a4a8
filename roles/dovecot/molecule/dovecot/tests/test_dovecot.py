"""Dovecot answers to users, Postfix and the directory as the mail system needs; every refusal with its text."""

import ast
import base64
import concurrent.futures
import email
import email.header
import imaplib
import poplib
import random
import re
import socket
import ssl
import string
import subprocess
import textwrap
import time

import pytest
from testing import ansible, wait_until

LMTP = "/var/spool/postfix/private/dovecot-lmtp"
QUOTA_STATUS = "/var/spool/postfix/private/quota-status"
ALL = ["imap", "pop3", "sieve", "sasl"]


def uid(number):
    """The uid of the number-th mailbox of prepare.yml."""
    return f"00000000-0000-4000-8000-{number:012d}"


AN, BINH, CUC, DUNG, SO, DAY, EM, GIANG, HOA, KHOA, LAN, MINH, NGA, PHUC, QUYEN, VAN_THU = map(uid, range(1, 17))


@pytest.fixture(scope="module")
def server(host):
    return Server(host)


class Sieve:
    """As much of ManageSieve (RFC 5804) as the tests need."""

    def __init__(self, server, starttls=True):
        self.socket = socket.create_connection((server.address, 4190), 20)
        self.file = self.socket.makefile("rwb")
        self.greeting = self.answer()
        if not starttls:
            return
        assert self.command("STARTTLS")[0] == "OK"
        self.socket = server.tls.wrap_socket(self.socket, server_hostname=server.name)
        self.file = self.socket.makefile("rwb")
        self.capabilities = self.answer()

    def answer(self):
        """(OK, NO or BYE, the whole text)."""
        lines = []
        while True:
            line = self.file.readline().decode()
            literal = re.search(r"\{(\d+)\}\r\n$", line)
            if literal:
                line += self.file.read(int(literal[1])).decode() + self.file.readline().decode()
            lines.append(line)
            if not line or line.startswith(("OK", "NO", "BYE")):
                return line.split(" ")[0].strip(), "".join(lines)

    def command(self, text):
        self.file.write(text.encode() + b"\r\n")
        self.file.flush()
        return self.answer()

    def login(self, user, password):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f'AUTHENTICATE "PLAIN" "{token}"')

    def put(self, name, script):
        script = textwrap.dedent(script)
        return self.command(f'PUTSCRIPT "{name}" {{{len(script.encode())}+}}\r\n{script}')


class Server:
    """The Dovecot under test, as a user and as Postfix see it."""

    def __init__(self, host):
        self.host = host
        self.address = host.ansible.get_variables()["ansible_host"]
        self.name = host.check_output("hostname -f")
        self.ca = host.file("/etc/congvu-mail/tls/ca.crt").content_string
        # Trusts the lab's CA and nothing else; imaplib's STARTTLS knows the server by its address only.
        self.tls = ssl.create_default_context(cadata=self.ca)
        self.tls_any_name = ssl.create_default_context(cadata=self.ca)
        self.tls_any_name.check_hostname = False

    def wrapped(self, port):
        return self.tls.wrap_socket(socket.create_connection((self.address, port), 30), server_hostname=self.name)

    def imap(self):
        server = self

        class Client(imaplib.IMAP4):
            def _create_socket(self, timeout):
                return server.wrapped(993)

        return Client()

    def pop3(self):
        server = self

        class Client(poplib.POP3):
            def _create_socket(self, timeout):
                return server.wrapped(995)

        return Client(self.address)

    def user(self, name, password=None):
        """A logged-in IMAP connection."""
        client = self.imap()
        client.login(f"{name}@lab.test", password or f"mat-khau-{name}")
        return client

    def sieve(self, name):
        client = Sieve(self)
        status, text = client.login(f"{name}@lab.test", f"mat-khau-{name}")
        assert status == "OK", text
        return client

    def login(self, protocol, name, password):
        """None, or the words of the refusal."""
        if protocol == "imap":
            try:
                self.imap().login(name, password)
            except imaplib.IMAP4.error as error:
                return str(error)
        elif protocol == "pop3":
            client = self.pop3()
            try:
                client.user(name)
                client.pass_(password)
            except poplib.error_proto as error:
                return str(error)
        elif protocol == "sieve":
            status, text = Sieve(self).login(name, password)
            return None if status == "OK" else text
        else:
            return self.sasl(name, password)
        return None

    def sasl(self, name, password):
        """Log in the way Postfix does, over its socket; None or Dovecot's FAIL line."""
        answer = self.python(
            f"""
            import base64, socket
            s = socket.socket(socket.AF_UNIX); s.connect("/var/spool/postfix/private/auth"); s.settimeout(30)
            f = s.makefile("rwb")
            f.write(b"VERSION\\t1\\t2\\nCPID\\t4711\\n"); f.flush()
            while not f.readline().startswith(b"DONE"):
                pass
            token = base64.b64encode(b"\\0" + {name!r}.encode() + b"\\0" + {password!r}.encode()).decode()
            f.write(f"AUTH\\t1\\tPLAIN\\tservice=smtp\\tsecured\\tresp={{token}}\\n".encode()); f.flush()
            print(f.readline().decode().strip())
            """
        )
        self.last_sasl = answer
        return None if answer.startswith("OK") else answer

    def python(self, code):
        """Run Python on the host; its output."""
        done = subprocess.run(
            ["ssh", *self.ssh(), "python3", "-"], input=textwrap.dedent(code), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ssh(self):
        variables = self.host.ansible.get_variables()
        return [
            *variables["ansible_ssh_common_args"].split(),
            "-i",
            variables["ansible_ssh_private_key_file"],
            f"root@{self.address}",
        ]

    def lmtp(self, recipient, body="xin chào", headers="", sender="dan@outside.example", count=1, parallel=1):
        """Deliver over Postfix's socket; the replies to the recipient or, when it is taken, to the message: {(code, text): how many}."""
        message = f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: thử\r\n{headers}\r\n{body}\r\n"
        return ast.literal_eval(
            self.python(
                f"""
                import collections, concurrent.futures, smtplib
                message = {message!r}.encode()
                def connection(count):
                    replies = collections.Counter()
                    with smtplib.LMTP({LMTP!r}) as c:
                        c.ehlo("mx.lab.test")
                        for number in range(count):
                            c.mail({sender!r})
                            code, text = c.rcpt({recipient!r})
                            if code == 250:
                                c.putcmd("data"); c.getreply()
                                c.send(b"Message-ID: <%d.%d@t>\\r\\n" % (id(c), number) + message + b".\\r\\n")
                                code, text = c.getreply()
                            replies[code, text.decode()] += 1
                            c.rset()
                    return replies
                with concurrent.futures.ThreadPoolExecutor({parallel}) as pool:
                    print(dict(sum(pool.map(connection, [{count} // {parallel}] * {parallel}), collections.Counter())))
                """
            )
        )

    def quota_status(self, recipient, size):
        """What Postfix's policy request gets for a message of that size."""
        request = f"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=dan@outside.example\nrecipient={recipient}\nsize={size}\n\n"
        return self.python(
            f"""
            import socket
            s = socket.socket(socket.AF_UNIX); s.connect({QUOTA_STATUS!r}); s.settimeout(60)
            s.sendall({request!r}.encode()); print(s.makefile().readline().strip())
            """
        )

    def mails(self, user, folder):
        """The messages of a folder as doveadm finds them (quarantine too), parsed."""
        output = self.host.run(f"doveadm -f flow fetch -u {user} text mailbox '{folder}'").stdout
        return [email.message_from_string(text) for text in output.split("text=")[1:]]

    def pop3_count(self, name):
        """How many messages a POP3 client finds."""
        client = self.pop3()
        client.user(f"{name}@lab.test")
        client.pass_(f"mat-khau-{name}")
        return client.stat()[0]

    def ldap(self, change):
        """Change the directory as root."""
        self.host.run_expect([0], f"ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'E'\n{textwrap.dedent(change)}E")


def replies(counted):
    assert len(counted) == 1, counted
    return next(iter(counted))


# ---- Logging in ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ALL)
def test_active_user_logs_in_with_any_address_in_any_case(server, protocol):
    assert server.login(protocol, "an@lab.test", "mat-khau-an") is None
    assert server.login(protocol, "Cu.An@LAB.test", "mat-khau-an") is None


def test_postfix_learns_the_uid(server):
    assert server.login("sasl", "cu.an@lab.test", "mat-khau-an") is None
    assert f"user={AN}" in server.last_sasl


TOLD = r"Phai doi mat khau truoc khi dung tai https://lab\.test/mat-khau/ \(password must be changed first\)"
REFUSED = {
    "wrong password": ("an", "sai"),
    "unknown": ("ai-do", "mat-khau-an"),
    "suspended": ("binh", "mat-khau-binh"),
    "terminated": ("cuc", "mat-khau-cuc"),
    "must change the password": ("dung", "mat-khau-dung"),
    "must change the password, and does not know it": ("dung", "sai"),
    "for delegates only": ("so", "mat-khau-so"),
}


@pytest.fixture(scope="module")
def refusals(server):
    """The words of every refusal by (protocol, why); all at once, since failures from one address are answered ever later."""
    wanted = [(protocol, why) for protocol in ALL for why in REFUSED]
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
        words = pool.map(lambda w: server.login(w[0], f"{REFUSED[w[1]][0]}@lab.test", REFUSED[w[1]][1]), wanted)
        found = dict(zip(wanted, words, strict=True))
    # Forgets the failures: the logins of all tests come from one address.
    server.host.run_expect([0], "systemctl restart dovecot")
    return found


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("why", REFUSED)
def test_refused(refusals, protocol, why):
    wording = {"imap": r"\[AUTHENTICATIONFAILED\]", "pop3": r"-ERR \[AUTH\]", "sieve": 'NO "Authentication failed', "sasl": "FAIL\t1\t"}
    refusal = refusals[protocol, why]
    if why == "must change the password":
        wording = {"imap": rf"\[ALERT\] {TOLD}", "pop3": rf"-ERR \[AUTH\] {TOLD}", "sieve": f'NO "{TOLD}', "sasl": f"reason={TOLD}"}
    assert refusal is not None and re.search(wording[protocol], refusal), refusal
    assert "temp" not in refusal.lower()
    assert bool(re.search(TOLD, refusal)) == (why == "must change the password")


def test_right_password_after_all_those(server, refusals):
    assert server.login("imap", "an@lab.test", "mat-khau-an") is None


def delegate(mailbox, person, password=None):
    """Name and password with which a delegate opens a mailbox."""
    return f"{mailbox}@lab.test*{person}@lab.test", password or f"mat-khau-{person}"


@pytest.mark.parametrize("protocol", ALL)
def test_delegate_opens_the_organisation_s_mailbox(server, protocol):
    """With the own password, also where the mailbox has no login of its own; the log names the person."""
    assert server.login(protocol, *delegate("so", "an")) is None
    if protocol == "sasl":
        assert f"user={AN}" in server.last_sasl, "the person sends"
    else:
        log = server.host.check_output("journalctl -u dovecot -o cat -n 40")
        assert re.search(rf"auth\({AN},.*,master\).*: Master user logging in as so@lab.test", log), log


@pytest.mark.parametrize("protocol", ALL)
def test_nobody_else_opens_it(server, protocol):
    tries = {
        "no delegate": delegate("so", "hoa"),
        "not of this mailbox": delegate("khoa", "an"),
        "wrong password": delegate("so", "an", "sai"),
        "suspended delegate": delegate("so", "binh"),
        "delegate must change the password": delegate("so", "dung"),
        "suspended mailbox": delegate("binh", "an"),
        "no mailbox": delegate("ai-do", "an"),
        "mailbox as delegate": delegate("an", "so"),
    }
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        answers = dict(zip(tries, pool.map(lambda name: server.login(protocol, *name), tries.values()), strict=True))
    server.host.run_expect([0], "systemctl restart dovecot")
    assert [why for why, answer in answers.items() if answer is None] == []
    assert [why for why, answer in answers.items() if re.search(TOLD, answer)] == ["delegate must change the password"]


def test_no_password_before_tls(server):
    client = imaplib.IMAP4(server.address)
    assert "LOGINDISABLED" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error, match=r"\[PRIVACYREQUIRED\] Cleartext authentication disallowed"):
        client.login("an@lab.test", "mat-khau-an")
    client = imaplib.IMAP4(server.address)
    client.starttls(server.tls_any_name)
    client.login("an@lab.test", "mat-khau-an")
    pop3 = poplib.POP3(server.address)
    with pytest.raises(poplib.error_proto, match="Cleartext authentication disallowed"):
        pop3.user("an@lab.test")
    sieve = Sieve(server, starttls=False)
    assert '"SASL" ""' in sieve.greeting[1]
    assert sieve.login("an@lab.test", "mat-khau-an")[0] == "NO"


@pytest.mark.parametrize("port", [993, 995])
def test_old_tls_is_refused(server, port):
    old = ssl.create_default_context(cadata=server.ca)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), socket.create_connection((server.address, port), 10) as plain:
        old.wrap_socket(plain, server_hostname=server.name)


def test_suspension_holds_from_the_next_login_on(server):
    assert server.login("sasl", "em@lab.test", "mat-khau-em") is None
    server.ldap(f"""\
        dn: uid={EM},ou=mailboxes,dc=lab,dc=test
        changetype: modify
        replace: congvuState
        congvuState: suspended
        """)
    assert server.login("sasl", "em@lab.test", "mat-khau-em").startswith("FAIL")


def test_slow_down_follows_the_user_behind_the_webmail(server):
    answer = server.python(
        """
        import imaplib, ssl, time
        context = ssl._create_unverified_context()
        def login(real, password):
            client = imaplib.IMAP4_SSL("127.0.0.1", ssl_context=context)
            imaplib.Commands["ID"] = ("NONAUTH",)
            client._simple_command("ID", '("x-originating-ip" "%s")' % real)
            start = time.monotonic()
            try:
                client.login("giang@lab.test", password)
            except imaplib.IMAP4.error:
                pass
            return time.monotonic() - start
        for attempt in range(2):
            login("192.0.2.66", "sai")
        print(login("192.0.2.7", "mat-khau-giang"))
        """
    )
    assert float(answer) < 1.5
    log = server.host.check_output("journalctl -u dovecot -o cat | grep -F rip=192.0.2")
    assert re.search(r"Login aborted.*login=<giang@lab.test>.*rip=192.0.2.66,.*session=<\S+>", log)
    assert re.search(rf"Logged in.*user=<{GIANG}>.*login=<giang@lab.test>.*rip=192.0.2.7,.*TLS.*session=<\S+>", log)


# ---- Delivery, quota -----------------------------------------------------------------------------------------------------------------


def test_mail_to_a_former_address_lands_in_the_home_of_the_uid(server):
    code, text = replies(server.lmtp("cu.an@lab.test", "vào nhà"))
    assert (code, text.split()[0]) == (250, "2.0.0"), text
    server.host.run_expect([0], f"grep -rF 'vào nhà' /srv/mail/{AN}/Maildir/new")
    log = server.host.check_output("journalctl -u dovecot -o cat | grep 'stored mail into mailbox'")
    assert re.search(
        rf"lmtp\({AN}\)<\d+><\S+>: sieve: msgid=<.*from=<dan@outside.example> size=\d+: stored mail into mailbox 'INBOX\'", log
    )


@pytest.mark.parametrize("name", ["ai-do", "cuc"], ids=["unknown", "terminated"])
def test_nobody_to_deliver_to(server, name):
    code, text = replies(server.lmtp(f"{name}@lab.test"))
    assert (code, text.split()[0]) == (550, "5.1.1") and "User doesn't exist" in text, text


def test_suspended_mailbox_still_gets_mail(server):
    assert replies(server.lmtp("binh@lab.test"))[0] == 250


def test_mailbox_fills_up(server):
    assert server.quota_status("day@lab.test", 60000) == "action=DUNNO"
    assert server.quota_status("ai-do@lab.test", 60000) == "action=DUNNO"
    assert server.quota_status("day@lab.test", 110000) == (
        "action=552 5.2.2 Hop thu cua nguoi nhan da day, thu khong duoc nhan (mailbox is full)"
    )
    line = "x" * 70 + "\r\n"
    assert replies(server.lmtp("day@lab.test", line * 1180))[0] == 250  # 85 kB of 100 KiB
    warning = wait_until(lambda: server.mails(DAY, "INBOX")[1:], what="the warning at 80 %")[0]
    subject = str(email.header.make_header(email.header.decode_header(warning["Subject"])))
    assert subject == "Cảnh báo: hộp thư đã dùng quá 80% dung lượng"
    assert "Hộp thư của bạn đã dùng quá 80%" in warning.get_payload(decode=True).decode()
    assert warning["Auto-Submitted"] == "auto-generated" and "postmaster@lab.test" in warning["From"]
    # The 15 kB that are left take one more mail; the warning of 95 % comes into a mailbox with less room than it needs.
    usage = server.host.check_output(f"doveadm -f flow quota get -u {DAY}")
    left = 102400 - int(re.search(r"Type=STORAGE Value=(\d+)", usage)[1]) * 1024
    assert replies(server.lmtp("day@lab.test", "y" * 70 + "\r\n" + line * ((left - 1200) // 72)))[0] == 250
    wait_until(lambda: server.mails(DAY, "INBOX")[3:], what="the warning at 95 %")
    code, text = replies(server.lmtp("day@lab.test", line * 100))
    assert code == 552 and text.startswith("5.2.2") and "Hop thu da day (mailbox is full)" in text
    assert server.quota_status("day@lab.test", 7000) == (
        "action=552 5.2.2 Hop thu cua nguoi nhan da day, thu khong duoc nhan (mailbox is full)"
    )
    assert len(server.mails(DAY, "INBOX")) == 4
    client = server.user("day")
    assert client.getquotaroot("INBOX")[1][1][0].startswith(b"mailbox (STORAGE ")
    status, data = client.append("INBOX", None, None, line.encode() * 100)
    assert status == "NO" and b"[OVERQUOTA]" in data[0]


def test_warnings_come_once_however_many_deliveries_cross_together(server):
    dn = f"uid={GIANG},ou=mailboxes,dc=lab,dc=test"
    server.ldap(f"dn: {dn}\nchangetype: modify\nreplace: congvuQuota\ncongvuQuota: 204800\n")
    counted = server.lmtp("giang@lab.test", ("x" * 70 + "\r\n") * 120, count=48, parallel=16)  # 9 kB each, 23 of them
    assert {code for code, _text in counted} == {250, 552}, counted

    def warnings(percent):
        words = f"Cảnh báo: hộp thư đã dùng quá {percent}% dung lượng"
        subjects = [str(email.header.make_header(email.header.decode_header(m["Subject"]))) for m in server.mails(GIANG, "INBOX")]
        return subjects.count(words)

    # Dovecot runs that of 95 % alone for one that crosses both.
    wait_until(lambda: warnings(80) or warnings(95), what="a warning")
    wait_until(lambda: server.host.run("pgrep -f '[q]uota-warning'").rc, what="the end of those that do nothing")
    assert max(warnings(80), warnings(95)) == 1
    server.host.run_expect([0], f"doveadm expunge -u {GIANG} mailbox INBOX all")
    server.ldap(f"dn: {dn}\nchangetype: modify\nreplace: congvuQuota\ncongvuQuota: 1073741824\n")


def test_500_messages_to_one_mailbox_over_20_connections(server):
    counted = server.lmtp("hoa@lab.test", count=500, parallel=20)
    assert {code: sum(n for (c, _), n in counted.items() if c == code) for code, _ in counted} == {250: 500}, counted
    assert len(server.mails(HOA, "INBOX")) == 500


# ---- Folders -------------------------------------------------------------------------------------------------------------------------


def test_folders_are_there_and_names_may_be_vietnamese(server):
    client = server.user("khoa")
    folders = b"\n".join(client.list()[1]).decode()
    subscribed = b"\n".join(client.lsub()[1]).decode()
    for name in ("Drafts", "Sent", "Junk", "Trash", "Archive"):
        assert re.search(rf'\\{name}[ )].*"/" {name}$', folders, re.M), folders
        assert re.search(rf'"/" {name}$', subscribed, re.M)
    assert "Quarantine" not in folders
    name = "Công văn đến/Tháng 11.2026"
    wire = name.encode("utf-7").decode().replace("+", "&")
    client.delete(f'"{wire}"')
    assert client.create(f'"{wire}"')[0] == "OK"
    assert client.select(f'"{wire}"')[0] == "OK"
    assert name in server.host.check_output(f"doveadm mailbox list -u {KHOA}").splitlines()


# ---- Sieve ---------------------------------------------------------------------------------------------------------------------------


def activate(server, user, script):
    client = server.sieve(user)
    status, text = client.put("loc", script)
    assert status == "OK", text
    assert client.command('SETACTIVE "loc"')[0] == "OK"


def sent(server, word):
    """What reached the redirect endpoint and has the word in it: envelope lines, then the message."""
    files = server.host.run(f"grep -rlF '{word}' /srv/sink").stdout.split()
    return [server.host.file(name).content_string for name in files]


def test_redirect_leaves_by_its_endpoint(server):
    activate(server, "lan", 'redirect :copy "noi-khac@partner.example";\n'.join(['require "copy";\n', ""]))
    assert replies(server.lmtp("lan@lab.test", "chuyển đi 4711"))[0] == 250
    message = wait_until(lambda: sent(server, "chuyển đi 4711"), what="the redirected message")[0]
    assert "X-Sieve-Redirected-From: lan@lab.test" in message
    assert "noi-khac@partner.example" in message.split("\n\n")[0]
    assert re.search(r"^X-Mail-Args: <lan@lab.test>", message, re.M), message
    assert "chuyển đi 4711" in server.mails(LAN, "INBOX")[0].as_string()


def test_redirect_to_elsewhere_is_refused(server):
    client = server.sieve("lan")
    for script in ('redirect "a@outside.example";', "redirect text:\na@outside.example\n.\n;\n", 'if true { Redirect "A <a@notgov.vn>"; }'):
        status, text = client.put("cam", script)
        assert status == "NO" and "Không được tự động chuyển tiếp thư tới" in text and "(gov.vn, partner.example)" in text, text
    # As one string, and in one go with commands around it: every answer comes, in order.
    client.file.write(b'NOOP\r\nPUTSCRIPT "cam" "redirect \\"a@outside.example\\";"\r\nCHECKSCRIPT "keep;"\r\n')
    client.file.flush()
    assert [client.answer()[0] for _ in range(3)] == ["OK", "NO", "OK"]
    assert '"cam"' not in client.command("LISTSCRIPTS")[1]
    assert client.put("duoc", 'redirect "a@bo.GOV.vn";\n')[0] == "OK"
    assert client.put("qua-dai", "#" * 2**21)[0] == "BYE"


def test_check_of_forwarding_down_is_a_passing_failure(server):
    server.host.run_expect([0], "systemctl stop congvu-sieve-gate")
    try:
        assert re.search("TRYLATER|UNAVAILABLE", server.login("sieve", "an@lab.test", "mat-khau-an"))
        assert server.login("imap", "an@lab.test", "mat-khau-an") is None
    finally:
        server.host.run_expect([0], "systemctl start congvu-sieve-gate")
    wait_until(lambda: server.login("sieve", "an@lab.test", "mat-khau-an") is None)


def test_sandbox_of_the_check_of_forwarding(server):
    level = float(re.search(r"level.*: ([0-9.]+)", server.host.run("systemd-analyze security congvu-sieve-gate --no-pager").stdout)[1])
    assert level <= 2.5
    status = server.host.check_output("cat /proc/$(systemctl show -P MainPID congvu-sieve-gate)/status")
    assert re.search(r"^Seccomp:\s2$", status, re.M) and re.search(r"^CapBnd:\s0+$", status, re.M)


def test_vacation_reply(server):
    activate(server, "minh", 'require "vacation";\nvacation :days 1 :subject "Vắng mặt" "Tôi nghỉ phép đến 30/11.";\n')
    sender = f"khach{time.time():.0f}@outside.example"  # each correspondent gets one reply a day
    assert replies(server.lmtp("minh@lab.test", sender=sender))[0] == 250
    reply = wait_until(lambda: sent(server, sender), what="the vacation reply")[0]
    # The filter compares it with From, and takes it away.
    assert re.search(r"^X-Mail-Args: <minh@lab.test>", reply, re.M), reply
    assert "Auto-Submitted: auto-replied (vacation)" in reply
    assert re.search(r"^From: <?minh@lab.test", reply, re.M), reply


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        ("enotify", "unknown Sieve capability 'enotify'"),
        ("editheader", "unknown Sieve capability 'editheader'"),
        ("vnd.dovecot.report", "unknown Sieve capability 'vnd.dovecot.report'"),
        ("vnd.dovecot.execute", "unknown Sieve capability 'vnd.dovecot.execute'"),
        ("vnd.dovecot.pipe", "'vnd.dovecot.pipe': its use is restricted to global scripts"),
        ("imapsieve", "'imapsieve': its use is restricted to global scripts"),
    ],
)
def test_extension_that_is_not_for_users(server, extension, words):
    client = server.sieve("an")
    status, text = client.put("cam", f'require "{extension}";\nkeep;\n')
    assert status == "NO" and words in text


def test_spam_and_held_mail(server):
    assert replies(server.lmtp("nga@lab.test", "thư rác", "X-Spam: Yes\r\n"))[0] == 250
    assert replies(server.lmtp("nga@lab.test", "bị giữ", "X-Congvu-Quarantine: encrypted-archive\r\n"))[0] == 250
    assert "thư rác" in server.mails(NGA, "Junk")[0].as_string()
    assert "bị giữ" in server.mails(NGA, "Quarantine/Held")[0].as_string()
    told = [str(email.header.make_header(email.header.decode_header(m["Subject"]))) for m in server.mails(NGA, "INBOX")]
    assert told == ["Thư gửi cho bạn đang được giữ để kiểm tra"]
    client = server.user("nga")
    assert "Quarantine" not in str(client.list('""', '"*"'))
    for name in ("Quarantine/Held", "Quarantine", "Held"):
        status, data = client.select(f'"{name}"')
        assert status == "NO" and b"doesn't exist" in data[0]
    assert client.rename("INBOX", '"Quarantine/x"')[0] != "OK" or server.mails(NGA, "Quarantine/Held")
    server.host.run_expect([0], f"doveadm move -u {NGA} INBOX mailbox Quarantine/Held all")
    assert any("bị giữ" in m.as_string() for m in server.mails(NGA, "INBOX"))


def records(server, user):
    """The copies that are kept of an organisation's mail."""
    return [message.as_string() for message in server.mails(user, "Record/*")]


def test_a_copy_of_all_mail_of_an_organisation_is_kept(server):
    activate(server, "van-thu", "discard;\n")
    assert replies(server.lmtp("cu.van-thu@lab.test", "đơn thư của công dân"))[0] == 250
    assert replies(server.lmtp("van-thu@lab.test", "thư rác gửi cơ quan", "X-Spam: Yes\r\n"))[0] == 250
    assert replies(server.lmtp(f"{VAN_THU}@luu-tru.invalid", "công văn đi"))[0] == 250
    kept = records(server, VAN_THU)
    assert [[text in copy for copy in kept] for text in ("đơn thư", "thư rác gửi", "công văn đi")] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ], "whatever the mailbox's own script does with it"
    assert not server.mails(VAN_THU, "INBOX") and len(server.mails(VAN_THU, "Junk")) == 1
    # People have none, and nobody has an address there but organisations.
    for name, expected in ((AN, 550), (uid(99), 550), ("van-thu", 550)):
        assert replies(server.lmtp(f"{name}@luu-tru.invalid", "chen vào"))[0] == expected
    assert replies(server.lmtp("an@lab.test", "thư riêng"))[0] == 250
    assert not records(server, AN)


def test_the_copies_are_out_of_users_reach(server):
    client = server.user("van-thu")
    assert "Record" not in str(client.list('""', '"*"'))
    month = server.host.check_output("date +%Y-%m")
    for name in (f"Record/{month}", "Record", month):
        status, data = client.select(f'"{name}"')
        assert status == "NO" and b"doesn't exist" in data[0]
        assert client.delete(f'"{name}"')[0] == "NO"
    assert server.pop3_count("van-thu") == 0 and len(records(server, VAN_THU)) == 3


def test_users_put_nothing_where_nobody_looks(server):
    """A folder of a hidden namespace's name would be one that recall and audit do not see, and what is in the real ones is the system's."""
    office = server.imap()
    office.login(*delegate("so", "an"))
    for client, owner in ((server.user("khoa"), KHOA), (office, SO)):
        assert client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")[0] == "OK"
        client.select("INBOX")
        imaplib.Commands["MOVE"] = ("SELECTED",)
        for name in ("Record", "Record/x", "Quarantine", "Quarantine/Held"):
            assert client.create(f'"{name}"')[0] == "NO"
            assert client.rename("Archive", f'"{name}"')[0] == "NO"
            assert client.append(f'"{name}"', None, None, b"Subject: x\r\n\r\nx\r\n")[0] == "NO"
            assert client.copy("1", f'"{name}"')[0] == "NO"
            assert client._simple_command("MOVE", "1", f'"{name}"')[0] == "NO"
        assert re.search(r'"/" Archive', str(client.list()))
        assert not server.mails(owner, "Quarantine/*") + server.mails(owner, "Record/*")


SYSTEMS = {
    'fileinto "Quarantine/Held";': "Không được lọc thư vào thư mục Quarantine/Held: thư mục này của hệ thống, người dùng không mở được.",
    "if true { FileInto :copy :create text:\nRecord/2026-11\n.\n; }": "vào thư mục Record/2026-11: thư mục này của hệ thống",
    'set "q" "Quarantine"; fileinto "${q}/Held";': "thư mục không ghi rõ (${q}/Held): phải ghi rõ phần đầu của tên thư mục.",
    'fileinto "Recor${hex:64}/x";': "thư mục không ghi rõ (Recor${hex:64}/x)",
}


@pytest.mark.parametrize("script", SYSTEMS)
def test_a_script_files_nothing_where_only_the_system_does(server, script):
    whole = f'require ["copy", "encoded-character", "fileinto", "mailbox", "variables"];\n{script}\n'
    client = server.sieve("khoa")
    status, text = client.put("cam", whole)
    assert status == "NO" and SYSTEMS[script] in text, text
    assert client.put("duoc", whole.replace("Quarantine", "Quarantaine").replace("Recor", "Ho so").replace("${q}", "x${q}"))[0] == "OK"


def test_scripts_do_not_fill_the_disk(server):
    client = server.sieve("giang")
    assert client.put("lon", "#" * 700_000)[0] == "OK"
    status, text = client.put("lon-nua", "#" * 700_000)
    assert status == "NO" and "QUOTA/MAXSTORAGE" in text, text
    answers = [client.put(f"nho-{number}", "keep;")[1] for number in range(64)]
    assert "QUOTA/MAXSCRIPTS" in answers[-1] and answers[-2].startswith("OK"), answers[-2:]


def test_a_full_mailbox_keeps_copies_all_the_same(server):
    dn = f"uid={VAN_THU},ou=mailboxes,dc=lab,dc=test"
    change = "dn: {}\nchangetype: modify\nreplace: congvuQuota\ncongvuQuota: {}\n"
    before = len(records(server, VAN_THU))
    server.ldap(change.format(dn, 1))
    try:
        assert replies(server.lmtp("van-thu@lab.test", "không còn chỗ"))[0] == 552
        assert replies(server.lmtp(f"{VAN_THU}@luu-tru.invalid", "vẫn phải lưu"))[0] == 250
        assert len(records(server, VAN_THU)) == before + 1, "what was refused has no copy, what was sent has one"
    finally:
        server.ldap(change.format(dn, 1073741824))


def test_mail_waits_when_its_copy_cannot_be_kept(server):
    folder = f"/srv/mail/{VAN_THU}/Record"
    before = len(records(server, VAN_THU))
    server.host.run_expect([0], f"mv {folder} {folder}.aside && touch {folder}")
    try:
        code, text = replies(server.lmtp("van-thu@lab.test", "chờ"))
        assert code == 451, text
    finally:
        server.host.run_expect([0], f"rm {folder} && mv {folder}.aside {folder}")
    assert replies(server.lmtp("van-thu@lab.test", "đi tiếp"))[0] == 250
    assert len(records(server, VAN_THU)) == before + 1


def learnt(server):
    """How many messages rspamd has learnt: (spam, ham). Its own statistics lag by up to half a minute."""
    counts = server.host.check_output("valkey-cli hmget RS learns_spam learns_ham").split("\n")
    return tuple(int(count or 0) for count in [*counts, ""][:2])


def move(client, source, target):
    """Move the first message."""
    imaplib.Commands["MOVE"] = ("SELECTED",)
    client.select(source)
    status, data = client._simple_command("MOVE", "1", target)
    assert status == "OK", data


def test_users_teach_the_filter(server):
    server.host.run_expect([0], f"doveadm expunge -u {PHUC} mailbox '*' all")
    spam, ham = learnt(server)
    # Bayes takes nothing of fewer than 11 words, and nothing twice.
    once = "".join(random.choices(string.ascii_lowercase, k=12))
    words = "giam gia soc chi hom nay trung thuong lon khach hang dau tien nhan qua tang bat ngo goi ngay"
    assert replies(server.lmtp("phuc@lab.test", f"{words} {once}"))[0] == 250
    client = server.user("phuc")
    move(client, "INBOX", "Junk")
    wait_until(lambda: learnt(server) == (spam + 1, ham), what="spam being learnt")
    move(client, "Junk", "Trash")
    words = "cong van ve viec to chuc hop giao ban thang muoi mot kinh moi lanh dao cac phong ban tham du day du"
    assert replies(server.lmtp("phuc@lab.test", f"{words} {once}", "X-Spam: Yes\r\n"))[0] == 250
    move(client, "Junk", "INBOX")
    wait_until(lambda: learnt(server) == (spam + 1, ham + 1), what="ham being learnt, and nothing by the move to Trash")


def test_filter_down_costs_the_user_nothing(server):
    server.host.run_expect([0], f"doveadm expunge -u {QUYEN} mailbox '*' all")
    assert replies(server.lmtp("quyen@lab.test", "giảm giá"))[0] == 250
    server.host.run_expect([0], "systemctl stop rspamd")
    try:
        client = server.user("quyen")
        move(client, "INBOX", "Junk")
        assert client.select("Junk")[1] == [b"1"]
    finally:
        server.host.run_expect([0], "systemctl start rspamd")
    assert "learn: spam was not learnt by http://127.0.0.1:11334" in server.host.check_output("journalctl -u dovecot -o cat")


def test_users_programs_cannot_read_the_password(server):
    server.host.run_expect([0], "setpriv --reuid=dovecot --regid=dovecot --clear-groups cat /etc/dovecot/private/learn.password")
    server.host.run_expect([1], "setpriv --reuid=vmail --regid=vmail --clear-groups cat /etc/dovecot/private/learn.password")
    server.host.run_expect([1], "setpriv --reuid=dovecot --regid=dovecot --clear-groups cat /etc/dovecot/private/ldap.conf")


# ---- The service ---------------------------------------------------------------------------------------------------------------------


def test_sandbox_holds_on_the_live_processes(server):
    session = server.user("an")
    assert replies(server.lmtp("an@lab.test"))[0] == 250
    level = float(re.search(r"level.*: ([0-9.]+)", server.host.run("systemd-analyze security dovecot --no-pager").stdout)[1])
    assert level <= 4.5
    master = server.host.check_output("systemctl show -P MainPID dovecot")
    pids = server.host.check_output("cat /sys/fs/cgroup/system.slice/dovecot.service/cgroup.procs").split()
    fields = server.host.check_output(f"grep -hE '^(Name|Uid|Seccomp|NoNewPrivs):' {' '.join(f'/proc/{pid}/status' for pid in pids)}")
    found = [dict(line.split(":\t", 1) for line in lines) for lines in zip(*[iter(fields.splitlines())] * 4, strict=True)]
    assert {"dovecot", "imap", "imap-login", "auth", "lmtp"} <= {process["Name"] for process in found}
    for process in found:
        assert (process["Seccomp"], process["NoNewPrivs"]) == ("2", "1"), process
        if process["Name"] in ("imap", "pop3", "lmtp", "managesieve", "quota-status"):
            assert process["Uid"].split() == ["5000"] * 4, process
    for path in ("/usr/x", "/etc/x", "/root/x", "/var/log/x"):
        denied = server.host.run(f"nsenter --target {master} --mount -- touch {path}")
        assert denied.rc == 1 and re.search("Read-only file system|No such file|Permission denied", denied.stderr), path
    server.host.run_expect([0], f"nsenter --target {master} --mount -- sh -c 'touch /srv/mail/x && rm /srv/mail/x'")
    assert session.noop()[0] == "OK"


def test_a_bad_configuration_does_not_stop_the_service(server):
    pid = server.host.check_output("systemctl show -P MainPID dovecot")
    server.host.run_expect([0], "echo 'auth_mechanisms {' >> /etc/dovecot/dovecot.conf")
    try:
        result = ansible(
            "dovecot",
            "configured_service",
            {"unit": "dovecot", "restart_on": ["/etc/dovecot/dovecot.conf"], "validate": [["sh", "-c", "doveconf -n >/dev/null"]]},
        )
        assert result["failed"] and "is not valid, so it was not loaded" in result["msg"]
    finally:
        server.host.run_expect([0], "sed -i '$d' /etc/dovecot/dovecot.conf")
    assert server.host.check_output("systemctl show -P MainPID dovecot") == pid
    assert server.login("imap", "an@lab.test", "mat-khau-an") is None


def test_sessions_go_on_through_a_reload(server):
    client = server.user("an")
    client.select("INBOX")
    server.host.run_expect([0], "systemctl reload dovecot")
    assert server.login("pop3", "an@lab.test", "mat-khau-an") is None
    assert client.noop()[0] == "OK"


def test_log_is_clean(server):
    """Nothing above information but what the tests provoke; runs after them."""
    log = server.host.run('journalctl -u dovecot -o cat -p warning --since "$(systemctl show -P ActiveEnterTimestamp dovecot)"').stdout
    provoked = (
        "ldap|userdb lookup|Failed to lookup user|EHLO response line: Parameter is empty|Killed with signal 15|SIGHUP received"
        "|learn: spam|sieve.*(learn|pipe)|Script terminated abnormally|127.0.0.1:14190|/etc/dovecot/nowhere/|/Record"
    )
    assert [line for line in log.splitlines() if not re.search(provoked, line)] == []


def test_directory_down_is_a_passing_failure(server):
    server.host.run_expect([0], "systemctl stop lab-slapd")
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            words = dict(zip(ALL, pool.map(lambda p: server.login(p, "quyen@lab.test", "mat-khau-quyen"), ALL), strict=True))
        assert "[UNAVAILABLE] Temporary authentication failure" in words["imap"]
        assert "[SYS/TEMP] Temporary authentication failure" in words["pop3"]
        assert "TRYLATER" in words["sieve"] or "UNAVAILABLE" in words["sieve"] or "Temporary" in words["sieve"]
        assert "code=temp_fail" in words["sasl"].split("\t")
        code, text = replies(server.lmtp("quyen@lab.test"))
        assert (code, text.split()[0]) == (451, "4.3.0"), text
        assert server.quota_status("quyen@lab.test", 100).startswith("action=DEFER_IF_PERMIT")
    finally:
        server.host.run_expect([0], "systemctl start lab-slapd")
    assert server.login("imap", "quyen@lab.test", "mat-khau-quyen") is None
    assert replies(server.lmtp("quyen@lab.test"))[0] == 250
