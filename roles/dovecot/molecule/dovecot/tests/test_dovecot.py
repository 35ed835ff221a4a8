"""Dovecot answers to users, Postfix and the directory as the mail system needs; every refusal with its text."""

import email
import imaplib
import poplib
import re
import socket
import ssl
import subprocess
import textwrap
import time

import pytest
from testing import wait_until

LMTP = "/var/spool/postfix/private/dovecot-lmtp"
QUOTA_STATUS = "/var/spool/postfix/private/quota-status"
ALL = ["imap", "pop3", "sieve", "sasl"]


def uid(number):
    """The uid of the number-th mailbox of prepare.yml."""
    return f"00000000-0000-4000-8000-{number:012d}"


AN, BINH, CUC, DUNG, SO, DAY, EM, GIANG, HOA, KHOA, LAN, MINH, NGA, PHUC, QUYEN = map(uid, range(1, 16))


@pytest.fixture(scope="module")
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture(scope="module")
def tls(host):
    """Trusts the lab's CA and nothing else."""
    return ssl.create_default_context(cadata=host.file("/etc/congvu-mail/tls/ca.crt").content_string)


@pytest.fixture(scope="module")
def server(host, address, tls):
    return Server(host, address, tls)


class Sieve:
    """As much of ManageSieve (RFC 5804) as the tests need."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.address, 4190), 20)
        self.file = self.socket.makefile("rwb")
        self.greeting = self.answer()
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
        import base64

        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f'AUTHENTICATE "PLAIN" "{token}"')

    def put(self, name, script):
        script = textwrap.dedent(script)
        return self.command(f'PUTSCRIPT "{name}" {{{len(script.encode())}+}}\r\n{script}')


class Server:
    """The Dovecot under test, as a user and as Postfix see it."""

    def __init__(self, host, address, tls):
        self.host, self.address, self.tls = host, address, tls
        self.name = host.check_output("hostname -f")

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
            while not f.readline().startswith(b"DONE"):
                pass
            token = base64.b64encode(b"\\0" + {name!r}.encode() + b"\\0" + {password!r}.encode()).decode()
            f.write(f"VERSION\\t1\\t2\\nCPID\\t4711\\nAUTH\\t1\\tPLAIN\\tservice=smtp\\tsecured\\tresp={{token}}\\n".encode()); f.flush()
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
        return eval(  # the dictionary printed by the program below
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
        request = (
            f"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=dan@outside.example\nrecipient={recipient}\nsize={size}\n\n"
        )
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


REFUSALS = {"imap": "AUTHENTICATIONFAILED", "pop3": r"\[AUTH\] Authentication failed", "sieve": "Authentication failed", "sasl": "FAIL"}


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("an", "sai"),
        ("ai-do", "mat-khau-an"),
        ("binh", "mat-khau-binh"),
        ("cuc", "mat-khau-cuc"),
        ("dung", "mat-khau-dung"),
        ("so", "mat-khau-so"),
    ],
    ids=["wrong password", "unknown", "suspended", "terminated", "must change password", "delegates only"],
)
def test_refused(server, protocol, name, password):
    # The delay after failures is per address; here it would only cost time.
    server.host.run_expect([0], "doveadm penalty >/dev/null")
    refusal = server.login(protocol, f"{name}@lab.test", password)
    assert refusal is not None and re.search(REFUSALS[protocol], refusal), refusal
    assert "temp" not in refusal.lower()
