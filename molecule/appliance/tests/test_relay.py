"""Nobody outside sends through us to somebody else outside, whatever the form of the address; no commands are smuggled."""

import re
import socket
import ssl

import pytest

FORMS = [
    "victim@elsewhere.example",
    '"victim@elsewhere.example"',
    "victim%elsewhere.example@{domain}",
    '"victim%elsewhere.example"@{domain}',
    "@{domain}:victim@elsewhere.example",
    "elsewhere.example!victim@{domain}",
    "elsewhere.example!victim",
    "victim@elsewhere.example@{domain}",
    '"victim@elsewhere.example"@{domain}',
    "victim%elsewhere.example@[{address}]",
    "victim%elsewhere.example",
    "victim@[192.0.2.1]",
    "victim@elsewhere.example.",
    "elsewhere.example!victim@[{address}]",
    "@{domain},@relay.example:victim@elsewhere.example",
    "victim\\@elsewhere.example@{domain}",
    "victim@localhost",
    "victim@mx.outside.example",
]
SENDERS = ["a@outside.example", "", "postmaster@{domain}", "root@localhost"]


@pytest.mark.parametrize("form", FORMS)
def test_open_relay_forms(system, form):
    for sender in SENDERS:
        session = system.smtp("smtp")
        values = {"domain": system.domain, "address": system.address}
        code, text = session.docmd("MAIL", f"FROM:<{sender.format(**values)}>")
        if code == 250:
            code, text = session.docmd("RCPT", f"TO:<{form.format(**values)}>")
        session.close()
        assert 500 <= code < 600, f"MAIL FROM:<{sender}> RCPT TO:<{form}> was answered {code} {text!r}"


def test_submission_needs_a_login(system):
    for service in ("submission", "submissions"):
        session = system.smtp(service)
        session.docmd("MAIL", f"FROM:<a@{system.domain}>")
        code, _text = session.docmd("RCPT", "TO:<victim@elsewhere.example>")
        session.close()
        assert code in (530, 550, 554)


@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n\x00.\r\n", b"\n.\r"])
def test_smuggling(system, receiver, ending):
    """A second message hidden behind an odd end of data never becomes one (CVE-2023-51764)."""
    session = system.smtp("smtp")
    session.docmd("MAIL", "FROM:<a@outside.example>")
    session.docmd("RCPT", f"TO:<{receiver['address']}>")
    code, _text = session.docmd("DATA")
    assert code == 354
    body = b"From: a@outside.example\r\nSubject: first\r\n\r\nx" + ending
    smuggled = f"MAIL FROM:<admin@{system.domain}>\r\nRCPT TO:<{receiver['address']}>\r\nDATA\r\nSubject: smuggled\r\n\r\ny\r\n.\r\n"
    session.sock.sendall(body + smuggled.encode())
    session.sock.settimeout(20)
    answers = session.file.readline()
    # One message at most: a second answer of acceptance would be the smuggled one's.
    try:
        session.sock.settimeout(2)
        more = session.sock.recv(4096)
    except (TimeoutError, OSError):
        more = b""
    session.close()
    assert (answers + more).count(b"250 2.0.0") <= 1, answers + more


def answers(connection, wait=20):
    """What the server says to one question: up to its last line."""
    connection.settimeout(wait)
    whole = b""
    while not LAST.search(whole):
        piece = connection.recv(4096)
        if not piece:
            break
        whole += piece
    return whole


# The last line of an answer of SMTP, IMAP (greeting or tagged), POP3 and ManageSieve.
LAST = re.compile(rb"(?:^|\n)(?:\d{3} |\* OK |(?!\*)\S+ (?:OK|NO|BAD) |\+OK|-ERR|(?:OK|NO|BYE)[ \r])[^\n]*\n\Z")
EHLO = b"EHLO client.outside.example\r\n"
# What goes before STARTTLS, STARTTLS with a command behind it in the same packet, and a command of one's own inside TLS with its answer.
STARTTLS = {
    25: (EHLO, b"STARTTLS\r\nVRFY smuggled\r\n", b"NOOP\r\n", b"250 2.0.0 Ok\r\n"),
    587: (EHLO, b"STARTTLS\r\nVRFY smuggled\r\n", b"NOOP\r\n", b"250 2.0.0 Ok\r\n"),
    143: (b"", b"a STARTTLS\r\nsmuggled NOOP\r\n", b"", b""),
    110: (b"", b"STLS\r\nSMUGGLED\r\n", b"", b""),
    4190: (b"", b'STARTTLS\r\nNOOP "smuggled"\r\n', b"", b""),
}


@pytest.mark.parametrize("port", STARTTLS)
def test_nothing_said_in_the_clear_is_heard_inside_tls(system, port):
    """A command in the packet of STARTTLS (CVE-2011-0411): Postfix forgets it, Dovecot takes it for a broken handshake and hangs up."""
    before, start, own, expected = STARTTLS[port]
    with socket.create_connection((system.address, port), 20) as raw:
        answers(raw)
        if before:
            raw.sendall(before)
            answers(raw)
        raw.sendall(start)
        assert answers(raw).startswith((b"220 2.0.0 Ready", b"a OK Begin TLS", b"+OK Begin TLS", b'OK "Begin TLS'))
        if not own:
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                system.tls.wrap_socket(raw, server_hostname=system.name)
            return
        with system.tls.wrap_socket(raw, server_hostname=system.name) as session:
            session.sendall(own)
            assert answers(session) == expected


CLEARTEXT = "Cleartext authentication disallowed on non-secure (SSL/TLS) connections."
IN_THE_CLEAR = {
    (25, "AUTH PLAIN AGFAYgBj"): "503 5.5.1 Error: authentication not enabled",
    (587, "AUTH PLAIN AGFAYgBj"): "530 5.7.0 Must issue a STARTTLS command first",
    (587, "MAIL FROM:<a@outside.example>"): "530 5.7.0 Must issue a STARTTLS command first",
    (143, "a LOGIN b c"): f"a NO [PRIVACYREQUIRED] {CLEARTEXT}",
    (143, "a AUTHENTICATE PLAIN AGFAYgBj"): f"a NO [PRIVACYREQUIRED] {CLEARTEXT.replace('Cleartext a', 'A')}",
    (110, "USER b"): f"-ERR [AUTH] {CLEARTEXT}",
    (110, "AUTH PLAIN AGFAYgBj"): f"-ERR [AUTH] {CLEARTEXT.replace('Cleartext a', 'A')}",
    (4190, 'AUTHENTICATE "PLAIN" "AGFAYgBj"'): f'NO (ENCRYPT-NEEDED) "{CLEARTEXT.replace("Cleartext a", "A")}"',
}


@pytest.mark.parametrize(("port", "command"), IN_THE_CLEAR)
def test_no_login_in_the_clear(system, port, command):
    with socket.create_connection((system.address, port), 20) as raw:
        answers(raw)
        if port in (25, 587):
            raw.sendall(EHLO)
            assert b"AUTH" not in answers(raw)
        raw.sendall(f"{command}\r\n".encode())
        assert answers(raw).decode().splitlines()[-1] == IN_THE_CLEAR[port, command]


@pytest.mark.parametrize("port", STARTTLS)
def test_starttls_is_the_tls_of_the_other_ports(system, port):
    """What testssl.sh finds on 465 and 993 holds on the ports of STARTTLS: the same certificate, no older version, no CBC for users."""
    before, start, _own, _expected = STARTTLS[port]

    def handshake(context):
        with socket.create_connection((system.address, port), 20) as raw:
            answers(raw)
            if before:
                raw.sendall(before)
                answers(raw)
            raw.sendall(start.split(b"\n")[0] + b"\n")
            answers(raw)
            with context.wrap_socket(raw, server_hostname=system.name) as session:
                return session.version(), session.cipher()[0], session.getpeercert(True)

    def weak(ciphers, newest=ssl.TLSVersion.TLSv1_2):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        return context

    version, _cipher, certificate = handshake(system.tls)
    with socket.create_connection((system.address, 993), 20) as raw, system.tls.wrap_socket(raw, server_hostname=system.name) as session:
        assert (version, certificate) == ("TLSv1.3", session.getpeercert(True))
    refused = [weak("ALL", ssl.TLSVersion.TLSv1_1), weak("aNULL"), weak("3DES:RC4:SEED:IDEA:CAMELLIA:kRSA")]
    if port != 25:  # docs/security.md: between mail servers CBC is better than nothing
        refused.append(weak("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA"))
    for context in refused:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            handshake(context)


STRANGE = {
    "VRFY {receiver}": "502 5.5.1 VRFY command is disabled",
    "EXPN all": "500 5.5.2 Error: command not recognized",
    "ETRN {domain}": "554 5.7.1 <{domain}>: Etrn command rejected: Access denied",
    "TURN": "500 5.5.2 Error: command not recognized",
    "XCLIENT ADDR=127.0.0.1 LOGIN=x": "550 5.7.0 Error: insufficient authorization",
    "XFORWARD ADDR=127.0.0.1": "550 5.7.0 Error: insufficient authorization",
    "BURL imap://x LAST": "500 5.5.2 Error: command not recognized",
    "MAIL FROM:<a@outside.example> SMTPUTF8": "555 5.5.4 Unsupported option: SMTPUTF8",
    "MAIL FROM:<a@outside.example> BODY=BINARYMIME": "555 5.5.4 Unsupported option: BODY=BINARYMIME",
    "MAIL FROM:<a@outside.example> SIZE=99999999999": "552 5.3.4 Message size exceeds fixed limit.",
    "RCPT TO:<{receiver}>": "503 5.5.1 Error: need MAIL command",
    "DATA": "503 5.5.1 Error: need RCPT command",
}


def test_a_stranger_s_other_commands(system, receiver):
    """One session, each command after a reset."""
    session = system.smtp("smtp")
    names = {"receiver": receiver["address"], "domain": system.domain}
    found = {}
    for command in STRANGE:
        session.docmd("RSET")
        code, text = session.docmd(command.format(**names))
        found[command] = f"{code} {text.decode()}"
    session.close()
    wrong = {c: answer for c, answer in found.items() if not answer.startswith(STRANGE[c].format(**names))}
    assert wrong == {}
