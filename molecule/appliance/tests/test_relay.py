"""Nobody outside sends through us to somebody else outside, whatever the form of the address; no commands are smuggled."""

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


@pytest.mark.parametrize("port", [25, 587])
def test_commands_before_starttls_are_dropped(system, port):
    """What was sent in the clear behind STARTTLS is not executed inside TLS (CVE-2011-0411)."""
    raw = socket.create_connection((system.address, port), 20)
    raw.recv(4096)
    raw.sendall(b"EHLO client.example\r\n")
    raw.recv(4096)
    raw.sendall(b"STARTTLS\r\nNOOP injected\r\n")
    answer = raw.recv(4096)
    if not answer.startswith(b"220"):
        return
    tls = ssl.create_default_context(cafile=system.access["ca_certificate"]).wrap_socket(raw, server_hostname=system.name)
    tls.settimeout(2)
    with pytest.raises(TimeoutError):
        tls.recv(4096)
    tls.sendall(b"EHLO client.example\r\n")
    tls.settimeout(20)
    assert tls.recv(4096).startswith(b"250")


@pytest.mark.parametrize(
    ("port", "start", "more"),
    [(143, b"a STARTTLS\r\nb NOOP\r\n", b"b OK"), (110, b"STLS\r\nNOOP\r\n", b"+OK"), (4190, b"STARTTLS\r\nNOOP\r\n", b"OK")],
)
def test_mailbox_protocols_drop_them_too(system, port, start, more):
    raw = socket.create_connection((system.address, port), 20)
    raw.recv(4096)
    raw.sendall(start)
    first = raw.recv(4096)
    tls = ssl.create_default_context(cafile=system.access["ca_certificate"])
    try:
        session = tls.wrap_socket(raw, server_hostname=system.name)
    except (ssl.SSLError, ConnectionResetError, OSError):
        return
    session.settimeout(2)
    try:
        answer = session.recv(4096)
    except TimeoutError:
        answer = b""
    # ManageSieve sends its capabilities anew after the handshake; the injected command's own answer must not follow.
    assert not (port != 4190 and answer.startswith(more)), (first, answer)
    assert b"NOOP" not in answer


def test_vrfy_and_etrn_tell_nothing(system, receiver):
    session = system.smtp("smtp")
    assert session.docmd("VRFY", receiver["address"])[0] in (502, 252)
    assert session.docmd("EXPN", "all")[0] in (500, 502)
    assert session.docmd("ETRN", system.domain)[0] in (458, 459, 502, 503, 554)
