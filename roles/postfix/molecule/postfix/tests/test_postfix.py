"""What Postfix answers: who may send what to whom, on which port, and what happens while a neighbour is down."""

import contextlib
import email
import email.policy
import json
import os
import pathlib
import re
import smtplib
import socket
import ssl
import subprocess
import uuid

import pytest
from testing import INVENTORY, ROOT, wait_until

UID = "00000000-0000-4000-8000-00000000000{}"
AN, BINH, OFFICE = UID.format(1), UID.format(2), UID.format(3)
OUTSIDE = "sender@outside.example"
LIMIT = 2_000_000  # converge.yml


@pytest.fixture
def address(host):
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture
def trust(host, tmp_path):
    """A TLS context that trusts the host's CA and nothing else."""
    ca = tmp_path / "ca.crt"
    ca.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    return ssl.create_default_context(cafile=str(ca))


@contextlib.contextmanager
def smtp(address, port=25, trust=None, login=None):
    """A greeted session; with `trust` in TLS, the certificate checked for the host's name; with `login` as that user."""
    session = smtplib.SMTP(timeout=60)
    session._host = "mail.lab.test"  # what the certificate is checked for
    if port == 465:
        session.sock = trust.wrap_socket(socket.create_connection((address, port), 60), server_hostname="mail.lab.test")
        session.getreply()
    else:
        session.connect(address, port)
        if trust:
            session.starttls(context=trust)
    session.ehlo("client.outside.example")
    if login:
        session.login(f"{login}@lab.test", f"Mat-khau-{login}-1")
    try:
        yield session
    finally:
        session.close()


def envelope(session, sender, recipient):
    """The first refusal of MAIL and RCPT, or RCPT's acceptance: (code, text)."""
    session.rset()
    code, text = session.docmd(f"MAIL FROM:<{sender}>")
    if code == 250:
        code, text = session.docmd(f"RCPT TO:<{recipient}>")
    return code, text.decode()


def message(token, sender="an@lab.test", body="Kính gửi.\n"):
    header = f"From: {sender}\nTo: somebody@lab.test\nSubject: {token}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    return f"{header}\n{body}".encode()


def token():
    return f"token-{uuid.uuid4().hex}"


def found(host, mark, where="/srv/mail"):
    """Files below `where` that contain the mark."""
    return host.run(f"grep -rl --exclude='dovecot*' {mark} {where}").stdout.split()


def arrives(host, mark, where="/srv/mail", count=1):
    return wait_until(lambda: len(f := found(host, mark, where)) >= count and f, 40, f"arrival of {mark}")


@contextlib.contextmanager
def stopped(host, unit):
    host.run_expect([0], f"systemctl stop {unit}")
    try:
        yield
    finally:
        host.run_expect([0], f"systemctl start {unit}")
        wait_until(lambda: host.run(f"systemctl is-active {unit}").rc == 0)
        if unit == "rspamd":
            wait_until(lambda: host.run("bash -c ': </dev/tcp/127.0.0.1/11332'").rc == 0)


@pytest.fixture
def sink(host):
    """Mail servers outside: one that keeps what it gets (the folder is returned), one that refuses every recipient."""
    host.run_expect([0], "install -d -o nobody -m 0755 /tmp/outside")
    for unit, arguments in {"sink": "-d /tmp/outside/%M. 127.0.0.1:2525", "wall": "-f RCPT 127.0.0.1:2526"}.items():
        host.run(f"systemctl stop {unit}; systemctl reset-failed {unit}")
        host.run_expect([0], f"systemd-run --unit={unit} -p User=nobody -p PrivateTmp=no smtp-sink {arguments} 100")
    for port in (2525, 2526):
        wait_until(lambda port=port: host.run(f"bash -c ': </dev/tcp/127.0.0.1/{port}'").rc == 0)
    yield "/tmp/outside"
    host.run("systemctl stop sink wall")


# --- What the ports offer


def test_port_25_offers_tls_and_no_login(address, trust):
    with smtp(address) as s:
        assert s.has_extn("starttls") and s.has_extn("size") and not s.has_extn("auth") and not s.has_extn("etrn")
        assert s.esmtp_features["size"] == str(LIMIT)
        assert s.docmd("AUTH PLAIN AGFuQGxhYi50ZXN0AHg=")[0] == 503
        assert s.docmd("VRFY an@lab.test")[0] == 502
        assert s.docmd("ETRN lab.test")[0] in range(500, 600)
    with smtp(address, 25, trust) as s:
        assert not s.has_extn("auth")


def test_login_only_inside_tls(address, trust):
    with smtp(address, 587) as s:
        assert s.has_extn("starttls") and not s.has_extn("auth")
        code, text = s.docmd("AUTH PLAIN AGFuQGxhYi50ZXN0AE1hdC1raGF1LWFuLTE=")
        assert (code, text) == (530, b"5.7.0 Must issue a STARTTLS command first")
        assert s.docmd(f"MAIL FROM:<{OUTSIDE}>")[0] == 530
    for port in (587, 465):
        with smtp(address, port, trust) as s:
            assert s.has_extn("auth")
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                s.login("an@lab.test", "sai-mat-khau")
            assert refused.value.smtp_code == 535
        with smtp(address, port, trust, "an") as s:
            assert envelope(s, "an@lab.test", "binh@lab.test")[0] == 250


@pytest.mark.parametrize("port", [25, 587, 465])
def test_helo_first(address, trust, port):
    with smtp(address, port, trust) as s:
        s.docmd("RSET")
    raw = trust.wrap_socket(socket.create_connection((address, 465), 30), server_hostname="mail.lab.test")
    with raw, raw.makefile("rb") as replies:
        replies.readline()
        raw.sendall(b"MAIL FROM:<a@outside.example>\r\n")
        assert replies.readline().startswith(b"503 5.5.1 Error: send HELO/EHLO first")


def handshake(address, port, ciphers="ALL:@SECLEVEL=0", newest=ssl.TLSVersion.TLSv1_2, oldest=ssl.TLSVersion.TLSv1):
    """The cipher that a client with old habits gets, or None."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = oldest, newest
    session = smtplib.SMTP(timeout=30)
    session._host = "mail.lab.test"
    try:
        if port == 465:
            with context.wrap_socket(socket.create_connection((address, port), 30)) as s:
                return s.cipher()
        session.connect(address, port)
        session.starttls(context=context)
        return session.sock.cipher()
    except (ssl.SSLError, ConnectionResetError):
        return None
    finally:
        session.close()


def test_tls_versions_and_ciphers(address):
    for port in (25, 587, 465):
        assert handshake(address, port), "TLS 1.2 is spoken"
        assert handshake(address, port, newest=ssl.TLSVersion.TLSv1_1) is None, "TLS 1.1 is not"
        assert handshake(address, port, "aNULL:@SECLEVEL=0") is None, "no cipher without authentication"
    cbc = "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"
    assert handshake(address, 25, cbc), "an old server may use it"
    assert handshake(address, 587, cbc) is None and handshake(address, 465, cbc) is None


# --- Who may send as whom


@pytest.mark.parametrize("port", [587, 465])
@pytest.mark.parametrize("sender", ["binh@lab.test", "nobody@lab.test", OUTSIDE, "suspended@lab.test", "", "an@mail.lab.test"])
def test_forged_sender(address, trust, port, sender):
    with smtp(address, port, trust, "an") as s:
        code, text = envelope(s, sender, "binh@lab.test")
    assert code == 553 and text.startswith("5.7.1"), text


@pytest.mark.parametrize("sender", ["an@lab.test", "an@second.test", "AN@Lab.Test", "sotaichinh@lab.test"])
def test_own_sender(address, trust, sender):
    """Every address of one's own mailbox, and those of a mailbox one is a delegate of."""
    with smtp(address, 587, trust, "an") as s:
        assert envelope(s, sender, "binh@lab.test")[0] == 250


def test_delegation_goes_one_way(address, trust):
    with smtp(address, 587, trust, "sotaichinh") as s:
        assert envelope(s, "an@lab.test", "binh@lab.test")[0] == 553


@pytest.mark.parametrize("port", [587, 465])
def test_submission_without_login(address, trust, port):
    with smtp(address, port, trust) as s:
        for sender, recipient in ((OUTSIDE, "an@lab.test"), ("an@lab.test", "an@lab.test"), (OUTSIDE, "x@outside.example")):
            code, text = envelope(s, sender, recipient)
            assert code == 530 and "Authentication required" in text


@pytest.mark.parametrize("sender", ["an@lab.test", "an@second.test", "nobody@lab.test", "postmaster@LAB.test"])
def test_our_domain_on_port_25(address, sender):
    with smtp(address) as s:
        code, text = envelope(s, sender, "binh@lab.test")
    assert code == 553 and "log in on port 465 or 587" in text


def test_a_subdomain_may_have_its_own_mail_system(address):
    with smtp(address) as s:
        assert envelope(s, "a@sub.lab.test", "binh@lab.test")[0] == 250


# --- To whom


RELAY_FORMS = [
    "user@outside.example",
    "user@outside.example.",
    "user%outside.example",
    "user%outside.example@lab.test",
    "user%outside.example@mail.lab.test",
    "user%outside.example@[{ip}]",
    "user@[{ip}]",
    "user@[192.0.2.25]",
    "user@[IPv6:2001:db8::25]",
    "outside.example!user",
    "outside.example!user@lab.test",
    "outside.example!user@mail.lab.test",
    "@lab.test:user@outside.example",
    "@mail.lab.test,@lab.test:user@outside.example",
    "user@outside.example@lab.test",
    '"user@outside.example"',
    '"user@outside.example"@lab.test',
    '"user@outside.example"@mail.lab.test',
    '"user%outside.example"@lab.test',
    '"outside.example!user"@lab.test',
    '"user@outside.example"@[{ip}]',
    "an+user%outside.example@lab.test.outside.example",
    "user@localhost",
    "user@mail.lab.test",
    "user@sub.lab.test",
    "root@localhost.localdomain",
]


@pytest.mark.parametrize("form", RELAY_FORMS)
def test_no_relay(address, form):
    with smtp(address) as s:
        for sender in (OUTSIDE, "", "user@[192.0.2.25]", "spam@mail.lab.test"):
            code, text = envelope(s, sender, form.format(ip=address))
            assert 500 <= code < 600 and re.match(r"5\.\d\.\d", text), f"MAIL FROM:<{sender}> RCPT TO:<{form}>: {code} {text}"


def test_no_relay_from_the_host_itself(host):
    """Being on loopback is no right to relay on port 25."""
    script = (
        "import smtplib; s = smtplib.SMTP('127.0.0.1', 25); s.ehlo('x.y'); s.mail('a@outside.example'); print(*s.rcpt('u@outside.example'))"
    )
    assert host.check_output(f'python3 -c "{script}"').startswith("554 b'5.7.1 <u@outside.example>: Relay access denied")


def test_unknown_recipient(address, trust):
    with smtp(address) as s:
        for recipient in ("nobody@lab.test", "closed@lab.test", "an+viec@lab.test", "@lab.test", "an@lab.test@lab.test"):
            code, text = envelope(s, OUTSIDE, recipient)
            assert 500 <= code < 600, f"{recipient}: {code} {text}"
        assert envelope(s, OUTSIDE, "nobody@lab.test") == (550, "5.1.1 <nobody@lab.test>: Recipient address rejected: User unknown")
    with smtp(address, 587, trust, "an") as s:
        assert envelope(s, "an@lab.test", "nobody@second.test")[0] == 550


def test_recipients(host, address):
    """Every address of a mailbox, case aside, and the role addresses of every domain."""
    mark = token()
    recipients = ["an@lab.test", "AN@Second.TEST", "postmaster", "Postmaster@lab.test", "abuse@second.test"]
    recipients += ["hostmaster@lab.test", "mailer-daemon@lab.test"]
    with smtp(address) as s:
        for recipient in recipients:
            s.sendmail(OUTSIDE, recipient, message(mark, OUTSIDE))
    arrives(host, mark, f"/srv/mail/{AN}", len(recipients))


def test_suspended_still_receives(address):
    with smtp(address) as s:
        assert envelope(s, OUTSIDE, "suspended@lab.test")[0] == 250


def test_too_large(address, trust):
    with smtp(address) as s:
        assert s.docmd(f"MAIL FROM:<{OUTSIDE}> SIZE={LIMIT + 1}") == (552, b"5.3.4 Message size exceeds fixed limit")
        s.rset()
        s.mail(OUTSIDE)
        s.rcpt("an@lab.test")
        code, text = s.data(message(token(), OUTSIDE, ("x" * 76 + "\n") * (LIMIT // 76)))
        assert code == 552 and text.startswith(b"5.3.4"), text
    with smtp(address, 587, trust, "an") as s:
        assert s.docmd(f"MAIL FROM:<an@lab.test> SIZE={LIMIT + 1}")[0] == 552


def test_full_mailbox_is_refused_at_rcpt(host, address):
    """binh has room for 3 MB (mailboxes.yml.j2)."""
    mark = token()
    with smtp(address) as s:
        s.sendmail(OUTSIDE, "binh@lab.test", message(mark, OUTSIDE, ("x" * 76 + "\n") * 22_000))
        arrives(host, mark, f"/srv/mail/{BINH}")
        s.docmd(f"MAIL FROM:<{OUTSIDE}> SIZE=1900000")
        code, text = s.docmd("RCPT TO:<binh@lab.test>")
        assert code == 552 and b"5.2.2" in text, text
    host.run_expect([0], f"rm -r /srv/mail/{BINH}")


@pytest.mark.parametrize(
    ("port", "login", "sender", "recipient"),
    [
        (25, None, OUTSIDE, "nguyễn@lab.test"),
        (25, None, "nguyễn@sub.lab.test", "an@lab.test"),
        (587, "an", "an@lab.test", "nguyễn@lab.test"),
        (587, "an", "an@lab.test", "nguyễn@outside.example"),
    ],
)
def test_addresses_are_ascii(address, trust, port, login, sender, recipient):
    """SMTPUTF8 is not offered; an address that comes without asking is refused before it is anywhere (docs/decisions)."""
    with smtp(address, port, trust, login) as s:
        assert not s.has_extn("smtputf8") and s.has_extn("8bitmime")
        code, text = s.docmd("MAIL FROM:<an@lab.test> SMTPUTF8")
        assert (code, text.split()[0]) == (555, b"5.5.4"), text
        s.command_encoding = "utf-8"
        code, text = s.docmd(f"MAIL FROM:<{sender}>")
        if code == 250:
            code, text = s.docmd(f"RCPT TO:<{recipient}>")
        assert code == 553 and text.startswith(b"5.6.7"), text
        assert b"Dia chi thu chi gom chu khong dau" in text


def test_bad_envelope(address):
    with smtp(address) as s:
        assert envelope(s, "sender", "an@lab.test")[0] == 504
        assert envelope(s, "a@no-such-domain.example", "an@lab.test")[0] == 450
        s.rset()
        assert s.docmd("MAIL FROM: an outside person")[0] == 501


# --- Tricks with line ends and with the change to TLS


def talk(sock, data=None):
    """Send, then the reply's lines."""
    if data:
        sock.sendall(data)
    lines = []
    reader = sock.makefile("rb", buffering=0)
    while not lines or lines[-1][3:4] == b"-":
        line = reader.readline()
        if not line:
            break
        lines.append(line)
    return b"".join(lines)


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\0.\r\n"])
@pytest.mark.parametrize("port", [25, 587])
def test_smuggling(host, address, trust, port, end):
    """Only CR LF . CR LF ends a message: what follows another end is text of the same message, never a second one."""
    mark = token()
    sender = OUTSIDE if port == 25 else "an@lab.test"
    with smtp(address, port, None if port == 25 else trust, None if port == 25 else "an") as s:
        s.mail(sender)
        s.rcpt("an@lab.test")
        assert s.docmd("DATA")[0] == 354
        inner = b"MAIL FROM:<admin@lab.test>\r\nRCPT TO:<an@lab.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled"
        s.sock.sendall(b"Subject: " + mark.encode() + b"\r\n\r\ntext" + end + inner + b"\r\n.\r\n")
        code, text = s.getreply()
        assert code == 250 and b"queued" in text, text
        assert s.docmd("NOOP") == (250, b"2.0.0 Ok"), "no reply is left over: there was one message"
    (path,) = arrives(host, mark, f"/srv/mail/{AN}")
    assert b"DATA" in host.file(path).content


@pytest.mark.parametrize("port", [25, 587])
@pytest.mark.parametrize("injected", [b"EHLO evil.example\r\n", b"NOOP\r\n", b"RSET\r\nMAIL FROM:<a@outside.example>\r\n"])
def test_starttls_injection(address, trust, port, injected):
    """What was sent in the clear together with STARTTLS is never taken for something said inside TLS."""
    with socket.create_connection((address, port), 30) as sock:
        talk(sock)
        talk(sock, b"EHLO client.outside.example\r\n")
        reply = talk(sock, b"STARTTLS\r\n" + injected)
        if reply.startswith(b"554 5.5.0"):  # refused as pipelining, which it is
            return
        assert reply.startswith(b"220")
        with trust.wrap_socket(sock, server_hostname="mail.lab.test") as tls:
            assert talk(tls, b"VRFY mine\r\n")[:3] in (b"502", b"503"), "the first reply inside TLS is to what was said there"


@pytest.mark.parametrize("port", [25, 587])
def test_early_talker(address, port):
    with socket.create_connection((address, port), 30) as sock:
        sock.sendall(b"EHLO client.outside.example\r\nMAIL FROM:<sender@outside.example>\r\n")
        replies = talk(sock)
        if replies.startswith(b"220"):  # the greeting was faster
            replies = talk(sock)
        assert replies.startswith(b"554 5.5.0 Error: SMTP protocol synchronization"), replies


# --- While a neighbour is down nothing is refused for good, and nothing passes


def test_filter_down(host, address, trust):
    mark = token()
    with stopped(host, "rspamd"):
        for port, sender, login in ((25, OUTSIDE, None), (587, "an@lab.test", "an"), (465, "an@lab.test", "an")):
            with pytest.raises(smtplib.SMTPResponseException) as refused, smtp(address, port, login and trust, login) as s:
                raise smtplib.SMTPResponseException(*envelope(s, sender, "an@lab.test"))
            assert refused.value.smtp_code in (451, 454), f"port {port}: {refused.value}"
        host.run_expect([0], f"printf 'Subject: {mark}\\n\\nx\\n' | sendmail an@lab.test")
        assert not found(host, mark)
    # Left where it was handed in, until pickup looks again (each minute, or when told).
    host.run_expect([0], "postkick public pickup W")
    arrives(host, mark)


def test_directory_down(host, address, trust):
    with smtp(address, 587, trust, "an") as session, stopped(host, "slapd"):
        with smtp(address) as s:
            for recipient in ("an@lab.test", "nobody@lab.test"):
                code, text = envelope(s, OUTSIDE, recipient)
                assert 400 <= code < 500, f"{recipient}: {code} {text}"
            assert envelope(s, OUTSIDE, "x@outside.example")[0] == 554, "what needs no directory is answered"
        # Who comes to log in is sent away for now, before a password could be called wrong.
        with socket.create_connection((address, 587), 60) as s:
            assert s.recv(4096).startswith(b"451 4.3.")
        with trust.wrap_socket(socket.create_connection((address, 465), 60), server_hostname="mail.lab.test") as s:
            assert s.recv(4096).startswith(b"451 4.3.")
        code, text = envelope(session, "an@lab.test", "binh@lab.test")
        assert 400 <= code < 500, f"{code} {text}"
    wait_until(lambda: accepted(address), 30, "acceptance after the directory is back")


def test_who_knows_the_age_of_sessions_is_down(host, address, trust):
    """The letter stays with the mail program until it is back."""

    def letter(session):
        assert envelope(session, "an@lab.test", "binh@lab.test")[0] == 250
        code, text = session.data(message(token()))
        return code, text.decode()

    with smtp(address, 587, trust, "an") as session:
        with stopped(host, "congvu-session-age"):
            code, text = letter(session)
            assert (code, text.endswith("Tam thoi khong gui duoc, hay gui lai sau (try again later)")) == (451, True), text
        wait_until(lambda: host.run("ss -Hlx src unix:/var/spool/postfix/private/session-age | grep .").rc == 0)
        assert letter(session)[0] == 250


def accepted(address):
    with smtp(address) as s:
        return envelope(s, OUTSIDE, "an@lab.test")[0] == 250


def test_mailbox_server_down(host, address):
    mark = token()
    with stopped(host, "dovecot.service"):
        with smtp(address) as s:
            code, text = envelope(s, OUTSIDE, "an@lab.test")
            assert 400 <= code < 500, f"{code} {text}"
        # What was taken in before waits in the queue.
        host.run_expect([0], f"printf 'Subject: {mark}\\n\\nx\\n' | sendmail an@lab.test")
        wait_until(lambda: "dovecot-lmtp" in host.check_output("postqueue -p"), 30, "a deferred delivery")
    host.run_expect([0], "postqueue -f")
    arrives(host, mark)


# --- Local jobs


@pytest.mark.parametrize("user", ["www-data", "nobody"])
def test_sendmail_is_closed(host, user):
    for command in ("sendmail an@lab.test", "postdrop", "mailq", "sendmail -q"):
        done = host.run(f"printf 'Subject: x\\n\\nx\\n' | runuser -u {user} -- {command}")
        assert done.rc != 0 and "is not allowed to" in done.stderr, f"{command}: {done.rc} {done.stderr}"


def test_mail_of_root(host):
    """It goes to whom the role address names; test_filter_down shows that it passes the filter."""
    mark = token()
    host.run_expect([0], f"printf 'Subject: {mark}\\n\\nx\\n' | sendmail root")
    arrives(host, mark, f"/srv/mail/{AN}")


# --- Redirects and mail to the outside


def test_redirect_listener_is_not_reachable(address):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 10588), 10)


REDIRECT = """
import smtplib, sys
s = smtplib.SMTP("127.0.0.1", 10588)
s.ehlo("mail.lab.test")
assert not s.has_extn("auth")
for recipient in ("friend@outside.example", "an@lab.test", "nobody@lab.test"):
    s.rset()
    code, text = s.mail("{sender}")
    if code == 250:
        code, text = s.rcpt(recipient)
    if code == 250:
        code, text = s.data(b"Subject: {mark}\\r\\nX-Sieve-Redirected-From: an@lab.test\\r\\n\\r\\nx\\r\\n")
    print(code, text.decode())
"""


@pytest.mark.parametrize("sender", ["stranger@outside.example", ""])
def test_redirects(host, sink, sender):
    """They keep the sender of the message, whoever that is; an unknown mailbox of ours is refused at once."""
    mark = token()
    host.run_expect([0], f"cat >/tmp/redirect.py <<'X'\n{REDIRECT.format(sender=sender, mark=mark)}X")
    lines = host.check_output("python3 /tmp/redirect.py").splitlines()
    assert [line[:3] for line in lines] == ["250", "250", "550"], lines
    arrives(host, mark, sink)
    arrives(host, mark, f"/srv/mail/{AN}")
    with stopped(host, "rspamd"):
        lines = host.check_output("python3 /tmp/redirect.py").splitlines()
        assert [line[0] for line in lines] == ["4", "4", "4"], lines


def test_mail_to_the_outside(host, address, trust, sink):
    mark = token()
    with smtp(address, 587, trust, "an") as s:
        s.sendmail("an@lab.test", "friend@outside.example", message(mark))
        code, text = envelope(s, "an@lab.test", "friend@elsewhere.example")
        assert code == 550 and "own domains" in text, text
    (path,) = arrives(host, mark, sink)
    text = host.file(path).content_string
    assert "Message-Id:" in text and "Date:" in text, "added for a client that left them out"
    assert "client.outside.example" not in text and "10.201." not in text, "where in the building the client sits stays here"
    assert AN not in text, "nor the login"


def state(host, uid, **attributes):
    """Change a mailbox entry; an empty value removes the attribute."""
    lines = [f"replace: {name}" + (f"\n{name}: {value}" if value else "") for name, value in attributes.items()]
    ldif = "\n".join([f"dn: uid={uid},ou=mailboxes,dc=lab,dc=test", "changetype: modify", "\n-\n".join(lines)])
    host.run_expect([0], f"ldapmodify -Q -Y EXTERNAL -H ldapi:/// <<'X'\n{ldif}\nX")


def test_mail_of_a_compromised_mailbox_does_not_leave_the_queue(host, address, trust):
    """Whoever suspended it, perhaps on another host; mail of others waits on, and what a person lets go is not held again."""
    for name in ("an", "binh"):
        with smtp(address, 587, trust, name) as s:
            s.sendmail(f"{name}@lab.test", "friend@outside.example", message(token(), f"{name}@lab.test"))

    def queue():
        waiting = [json.loads(line) for line in host.check_output("postqueue -j").splitlines()]
        return {one["sender"].partition("@")[0]: (one["queue_name"], one["queue_id"]) for one in waiting}

    wait_until(
        lambda: {name: place for name, (place, _) in queue().items()} == dict.fromkeys(("an", "binh"), "deferred"), 40, lambda: str(queue())
    )
    guard = "systemctl start congvu-hold.service"
    try:
        host.run_expect([0], guard)
        assert queue()["an"][0] == "deferred"
        state(host, AN, congvuState="suspended", congvuCompromised="TRUE")
        with stopped(host, "slapd"):
            host.run_expect([0], guard)
        host.run_expect([0], guard)
        assert (queue()["an"][0], queue()["binh"][0]) == ("hold", "deferred")
        assert f"{AN}: giữ lại 1 thư trong hàng đợi: {queue()['an'][1]}" in host.check_output("journalctl -b -o cat -u congvu-hold")
        host.run_expect([0], f"postsuper -H {queue()['an'][1]}")
        host.run_expect([0], guard)
        assert queue()["an"][0] != "hold", "what a person let go is held again"
        assert host.service("congvu-hold.timer").is_running and host.service("congvu-hold.timer").is_enabled
    finally:
        state(host, AN, congvuState="active", congvuCompromised="")
        host.run("postsuper -d ALL")


def test_notice_to_the_sender(host, address, trust, sink):
    """A refusal by the other side comes back in Vietnamese, with the report that programs read."""
    mark = token()
    with smtp(address, 587, trust, "an") as s:
        s.sendmail("an@lab.test", "nobody@wall.example", message(mark))
    (path,) = arrives(host, mark, f"/srv/mail/{AN}")
    notice = email.message_from_bytes(host.file(path).content, policy=email.policy.default)
    assert notice["Subject"] == "Thư không gửi được" and notice["Return-Path"] == "<>"
    assert notice.get_content_type() == "multipart/report"
    text, report, original = notice.iter_parts()
    assert "KHÔNG chuyển được" in text.get_content() and "nobody@wall.example" in text.get_content()
    assert report.get_content_type() == "message/delivery-status" and "Status: 5." in report.as_string()
    assert original.get_content_type() == "message/rfc822" and mark in original.as_string()


def test_a_copy_of_all_mail_of_an_organisation_is_kept(host, address, trust, sink):
    """In, by any address, and out, by whoever sends for it; one copy each, and none of what persons write to each other."""
    record = f"/srv/mail/{OFFICE}/Record"
    marks = {name: token() for name in ("in", "out", "outside", "own", "private")}
    with smtp(address) as s:
        s.sendmail(OUTSIDE, "sotaichinh@second.test", message(marks["in"], OUTSIDE))
    with smtp(address, 587, trust, "an") as s:
        s.sendmail("sotaichinh@lab.test", ["binh@lab.test", "an@lab.test"], message(marks["out"], "sotaichinh@lab.test"))
        s.sendmail("sotaichinh@second.test", "friend@outside.example", message(marks["outside"], "sotaichinh@second.test"))
        s.sendmail("an@lab.test", "sotaichinh@lab.test", message(marks["own"]))
        s.sendmail("an@lab.test", "binh@lab.test", message(marks["private"]))
    for name in ("in", "out", "outside", "own"):
        assert len(arrives(host, marks[name], record)) == 1, name
    assert arrives(host, marks["private"], "/srv/mail") and not found(host, marks["private"], f"{record} /srv/mail/{OFFICE}")
    assert not found(host, marks["out"], f"/srv/mail/{OFFICE}/Maildir"), "not in the office's own folders"
    wait_until(lambda: "is empty" in host.check_output("postqueue -p"), 40)


def test_nobody_writes_into_the_archive(address, trust):
    inside = f"{OFFICE}@luu-tru.invalid"
    with smtp(address) as s:
        code, text = envelope(s, OUTSIDE, inside)
    assert code == 550 and text.startswith("5.1.1"), text
    with smtp(address, 587, trust, "an") as s:
        code, text = envelope(s, "an@lab.test", inside)
    assert code == 550 and text.startswith("5.1.1"), text


# --- Load


def test_burst_to_one_mailbox(host):
    """500 messages at once: none is put off (a deferral would wait five minutes), all arrive."""
    since = host.check_output("date '+%Y-%m-%d %H:%M:%S'")
    before = int(host.check_output(f"find /srv/mail/{AN}/Maildir/new /srv/mail/{AN}/Maildir/cur -type f | wc -l"))
    host.run_expect([0], f"smtp-source -s 10 -m 500 -l 2000 -M client.outside.example -f {OUTSIDE} -t an@lab.test 127.0.0.1:25")
    wait_until(
        lambda: int(host.check_output(f"find /srv/mail/{AN}/Maildir/new /srv/mail/{AN}/Maildir/cur -type f | wc -l")) == before + 500,
        120,
        "arrival of all 500",
    )
    assert host.run(f"journalctl --since '{since}' -o cat | grep -F status=deferred").stdout == ""


def test_one_client_cannot_take_all(address):
    with contextlib.ExitStack() as stack:
        greetings = [talk(stack.enter_context(socket.create_connection((address, 25), 60)))[:3] for _ in range(51)]
    assert set(greetings[:50]) == {b"220"} and greetings[50] == b"421"


# --- The configuration


def converge(*arguments):
    """Run the role as converge.yml does; (exit status, output)."""
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "ANSIBLE_NOCOLOR": "1"}
    playbook = pathlib.Path(__file__).parents[1] / "converge.yml"
    done = subprocess.run(
        ["ansible-playbook", "--inventory", INVENTORY, "--tags", "postfix", str(playbook), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def changed(output):
    """Tasks of the role that reported a change."""
    parts = re.split(r"^TASK \[(.*?)\] \*+$", output, flags=re.M)
    return [
        name[len("postfix : ") :]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
        if name.startswith("postfix : ") and "changed:" in text
    ]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"postfix_parameters": {"message_size_limitt": 5, "mynetworks": "0.0.0.0/0"}},
            ["unused parameter: message_size_limitt=5", "overriding earlier entry: mynetworks"],
        ),
        ({"postfix_parameters": {"smtpd_timeout": "soon"}}, ["smtpd_timeout"]),
        ({"postfix_tls_key": "/etc/ssl/none.key"}, ["/etc/ssl/none.key"]),
        (
            {
                "postfix_role_aliases": {"abuse": ["an@lab.test"]},
                "postfix_ldap_uris": ["ldap://a", "ldaps://b"],
                "postfix_sasl_endpoint": "x",
            },
            ["postfix_role_aliases has only abuse", "all with ldaps://", "must be unix:private/NAME or inet:HOST:PORT"],
        ),
    ],
)
def test_a_bad_value_changes_nothing(host, address, variables, words):
    before = host.check_output("sha256sum /etc/postfix/main.cf /etc/postfix/master.cf; systemctl show -P MainPID postfix")
    status, output = converge("--extra-vars", json.dumps(variables))
    assert status != 0 and all(word in output for word in words), output
    assert host.check_output("sha256sum /etc/postfix/main.cf /etc/postfix/master.cf; systemctl show -P MainPID postfix") == before
    assert accepted(address)


def test_drift_is_shown_and_repaired(host):
    host.run_expect([0], "sed -i 's/^disable_vrfy_command = yes/disable_vrfy_command = no/' /etc/postfix/main.cf")
    expected = ["Config | Write Postfix' files", "Service | Run Postfix"]
    status, output = converge("--check", "--diff")
    assert status == 0 and "-disable_vrfy_command = no" in output and changed(output) == expected, output
    assert host.file("/etc/postfix/main.cf").contains("^disable_vrfy_command = no")
    status, output = converge()
    assert status == 0 and changed(output) == expected, output
    assert host.file("/etc/postfix/main.cf").contains("^disable_vrfy_command = yes")
    assert "postfix-secret" not in output


def test_secrets_are_not_readable(host):
    for name in ("ldap-answers.cf", "ldap-recipients.cf", "ldap-senders.cf"):
        file = host.file(f"/etc/postfix/{name}")
        assert (file.user, file.group, file.mode) == ("root", "postfix", 0o640)


def test_hardening_of_the_live_process(host):
    pid = host.check_output("systemctl show -P MainPID postfix")
    status = host.file(f"/proc/{pid}/status").content_string
    assert re.search(r"^NoNewPrivs:\s1$", status, re.M) and re.search(r"^Seccomp:\s2$", status, re.M)
    # DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID, NET_BIND_SERVICE, SYS_CHROOT; not CHOWN (0), FOWNER (3), KILL (5) and the rest.
    kept = sum(1 << number for number in (1, 2, 6, 7, 10, 18))
    assert int(re.search(r"^CapBnd:\s(\w+)$", status, re.M)[1], 16) & ~kept == 0
    inside = f"nsenter --target {pid} --mount"
    for path in ("/usr/x", "/etc/postfix/x", "/var/lib/x", "/root/x"):
        assert host.run(f"{inside} touch {path}").rc != 0, path
    assert host.run(f"{inside} ls /srv/mail/{AN}").rc != 0
    assert float(host.check_output("systemd-analyze security postfix | sed -n 's/.*level for.*: \\([0-9.]*\\) .*/\\1/p'")) <= 4.5


def test_mail_servers_own_health(host):
    assert host.run("postfix check").stderr == ""
    assert host.check_output("postconf -h compatibility_level") == "3.10"
    log = host.check_output("journalctl -b -o cat -t postfix/smtpd -t postfix/proxymap -t postfix/master -t postfix/lmtp")
    assert not re.search(r"fatal|panic", log), [line for line in log.splitlines() if re.search("fatal|panic", line)]
