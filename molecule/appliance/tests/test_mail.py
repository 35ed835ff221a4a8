"""Mail goes in, through and out: submission, mailboxes, the border, DKIM, quota, bursts."""

import concurrent.futures
import re
import smtplib
import time
import unicodedata
import uuid
from email.message import EmailMessage

import dkim
import pytest
from mail import Refused, compose, refusal, wait_until

SUBJECT = "Báo cáo tình hình kinh tế – xã hội quý III"
FILE = "Kế hoạch số 12 về chuyển đổi số.pdf"


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_from_one_mailbox_to_another(system, sender, receiver, service):
    message = compose(sender["address"], receiver["address"], SUBJECT, attachments=[(FILE, b"%PDF-1.7\n")])
    system.send(message, sender["address"], [receiver["address"]], service, sender)
    got = system.wait_for(receiver, message["Message-ID"])
    assert got["Subject"] == SUBJECT
    assert [part.get_filename() for part in got.iter_attachments()] == [FILE]
    assert not got["X-Congvu-Quarantine"]


def test_both_ways_to_write_vietnamese_letters(system, sender, receiver):
    """Composed and decomposed (NFC, NFD): subject, name of a file and folder stay as they came, and are found as they are written."""
    found = {}
    subject = f"Quyết định số {uuid.uuid4().hex[:8]}"
    for form in ("NFC", "NFD"):
        written = {word: unicodedata.normalize(form, word) for word in (subject, "Phụ lục kèm theo.odt", "Công văn đến")}
        message = compose(sender["address"], receiver["address"], written[subject], attachments=[(written["Phụ lục kèm theo.odt"], b"x")])
        system.send(message, sender["address"], [receiver["address"]], account=sender)
        got = system.wait_for(receiver, message["Message-ID"])
        assert got["Subject"] == written[subject]
        assert [part.get_filename() for part in got.iter_attachments()] == [written["Phụ lục kèm theo.odt"]]
        found[form] = written["Công văn đến"].encode("utf-7").decode().replace("+", "&")
    session = system.imap(receiver)
    session.select("INBOX")
    for form in found:
        session.literal = unicodedata.normalize(form, subject).encode()
        assert len(session.search("UTF-8", "SUBJECT")[1][0].split()) == 1
    for name in found.values():
        assert session.create(f'"{name}"')[0] == "OK" and session.select(f'"{name}"')[0] == "OK"
        assert session.append(f'"{name}"', None, None, b"Subject: x\r\n\r\nx\r\n")[0] == "OK"
        assert f'"{name}"' in str(session.list()[1])
    session.select("INBOX")
    assert [session.delete(f'"{name}"')[0] for name in found.values()] == ["OK", "OK"]


def test_every_protocol_reads_it(system, receiver):
    for service in ("imap", "imaps"):
        assert system.imap(receiver, service).select("INBOX")[0] == "OK"
    assert system.pop3(receiver).stat()[0] > 0


def test_managesieve_takes_a_script(system, receiver):
    """Over the wire with STARTTLS, as a mail program does."""
    import base64
    import socket

    raw = socket.create_connection((system.address, system.ports["sieve"]), 30)
    stream = raw.makefile("rwb")

    def answer():
        lines = []
        while not (lines and lines[-1].startswith((b"OK", b"NO", b"BYE"))):
            lines.append(stream.readline())
        return lines

    greeting = b"".join(answer())
    assert b'"STARTTLS"' in greeting
    assert b'"SASL" ""' in greeting, "a password may not be asked for before TLS"
    stream.write(b"STARTTLS\r\n")
    stream.flush()
    assert answer()[-1].startswith(b"OK")
    tls = system.tls.wrap_socket(raw, server_hostname=system.name)
    stream = tls.makefile("rwb")
    answer()
    plain = base64.b64encode(f"\0{receiver['address']}\0{receiver['password']}".encode())
    stream.write(b'AUTHENTICATE "PLAIN" "' + plain + b'"\r\nPUTSCRIPT "nghi" {5+}\r\nkeep;\r\nLISTSCRIPTS\r\nLOGOUT\r\n')
    stream.flush()
    assert answer()[-1].startswith(b"OK")
    assert answer()[-1].startswith(b"OK")
    assert b'"nghi"\r\n' in answer()


@pytest.mark.parametrize("service", ["imap", "pop3"])
def test_no_password_in_the_clear(system, receiver, service):
    if service == "imap":
        from mail import _IMAP

        session = _IMAP(system.address, system.name, 143)
        with pytest.raises(Exception, match="(?i)PRIVACYREQUIRED|LOGINDISABLED|not allowed|disallowed|disabled"):
            session.login(receiver["address"], receiver["password"])
    else:
        import poplib

        session = poplib.POP3(system.address, 110, timeout=30)
        with pytest.raises(poplib.error_proto, match="(?i)plaintext|disallowed|not allowed|AUTH"):
            session.user(receiver["address"])
            session.pass_(receiver["password"])


def test_smtp_offers_no_password_before_tls(system):
    session = smtplib.SMTP(system.address, 587, timeout=30)
    session.ehlo("client.example")
    assert not session.has_extn("auth")
    code, text = session.docmd("AUTH", "PLAIN AGEAYg==")
    assert (code, text) == (530, b"5.7.0 Must issue a STARTTLS command first")


def test_nobody_sends_as_another(system, sender, receiver):
    message = compose(receiver["address"], receiver["address"], "giả mạo")
    answer = refusal(lambda: system.send(message, receiver["address"], [receiver["address"]], account=sender))
    assert answer.code == 553
    assert "not owned by user" in answer.text


# {own} writes, {other} is who the reader is to believe in.
DISGUISES = {
    "another of us": "From: {other}",
    "of another body": "From: bo-truong@bo.gov.vn",
    "two writers": "From: {own}, {other}",
    "two headers": "From: {own}\r\nFrom: {other}",
    "group": "From: Nhom: {other};",
    "comment": "From: {other} ({own})",
    "name": 'From: "{other}" <{own}>',
    "encoded": "From: =?utf-8?Q?{quoted}?= <{own}>",
    "another width": "From: =?utf-8?Q?{wide}?= <{own}>",
    "spaced out": 'From: "{spaced}" <{own}>',
    "Sender": "From: {own}\r\nSender: {other}",
    "sent on by another": "From: {other}\r\nResent-From: {other}",
    "nobody": "From: Chu tich",
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_reader_sees_who_wrote(system, sender, receiver, disguise):
    """Of the header's From, not only of the envelope."""
    own, other = sender["address"], receiver["address"]
    written = {"quoted": "=40", "wide": "=EF=BC=A0", "spaced": " @ "}
    names = {"own": own, "other": other} | {name: other.replace("@", at) for name, at in written.items()}
    raw = compose(sender["address"], receiver["address"], "giả mạo").as_bytes().replace(b"\n", b"\r\n")
    raw = raw.replace(f"From: {sender['address']}".encode(), DISGUISES[disguise].format(**names).encode())
    answer = refusal(lambda: system.send(raw, sender["address"], [receiver["address"]], account=sender))
    assert (answer.code, "khong phai cua tai khoan dang nhap" in answer.text) == (554, True), answer


@pytest.mark.parametrize(
    "fields",
    [
        'From: "Phòng CNTT @ Sở" <{own}>',
        "From: {upper}",
        "From: {other}\r\nResent-From: {own}\r\nResent-To: {other}",
        "From: {own}\r\nSender: {own}",
    ],
)
def test_who_writes_as_himself_or_sends_on_is_not_disturbed(system, sender, receiver, fields):
    names = {"own": sender["address"], "upper": sender["address"].upper(), "other": receiver["address"]}
    message = compose(sender["address"], receiver["address"], "thật")
    raw = message.as_bytes().replace(b"\n", b"\r\n").replace(f"From: {sender['address']}".encode(), fields.format(**names).encode())
    system.send(raw, sender["address"], [receiver["address"]], account=sender)
    assert system.wait_for(receiver, message["Message-ID"])


def test_a_stranger_s_letter_in_our_name_is_refused(system, sender, receiver):
    """Of the header's From, though the envelope is his own; our DMARC policy for others (quarantine) does not matter here."""
    message = compose(sender["address"], receiver["address"], "giả mạo từ ngoài")
    answer = refusal(lambda: system.send(message, f"{uuid.uuid4()}@outside.example", [receiver["address"]], "smtp"))
    assert (answer.code, "Thu tu ngoai mao danh dia chi cua he thong nay" in answer.text) == (554, True), answer


def test_nobody_outside_sends_as_one_of_us(system, receiver):
    message = compose(receiver["address"], receiver["address"], "giả mạo")
    answer = refusal(lambda: system.send(message, receiver["address"], [receiver["address"]], "smtp"))
    assert answer.code in (550, 553)


def test_unknown_recipient_is_refused_at_rcpt(system):
    message = compose("a@outside.example", f"khongcoai@{system.domain}", "x")
    answer = refusal(lambda: system.send(message, "a@outside.example", [f"khongcoai@{system.domain}"], "smtp"))
    assert answer.code == 550
    assert "5.1.1" in answer.text


def test_dkim_signature_verifies_with_the_published_key(system, sender):
    """What leaves is signed, and the key in the DNS snippet verifies it: as a receiver outside does."""
    outside = system.access["outside"]
    message = compose(sender["address"], outside["address"], SUBJECT)
    system.send(message, sender["address"], [outside["address"]], account=sender)
    raw = wait_until(
        lambda: system.run_outside("grep", "-rlF", message["Message-ID"], outside["maildir"], check=False).strip(),
        60,
        lambda: system.run("postqueue", "-p"),
    )
    content = system.run_outside("cat", raw.split()[0]).replace("\n", "\r\n").encode()
    zone = "".join(p.read_text(encoding="utf-8") for p in zone_files(system))

    def dns(name, timeout=5):
        wanted = name.decode().rstrip(".") if isinstance(name, bytes) else name.rstrip(".")
        record = re.search(rf"^{re.escape(wanted)}\.\s.*?TXT\s+(.*)$", zone, re.MULTILINE)
        return "".join(re.findall(r'"([^"]*)"', record[1])).encode() if record else None

    headers = content[: content.index(b"\r\n\r\n")].lower()
    assert b"d=" + system.domain.encode() in headers
    assert dkim.verify(content, dnsfunc=dns)


def zone_files(system):
    """The DNS snippets that site.yml wrote."""
    from conftest import ROOT

    return list((ROOT / "build" / "dns").glob(f"{system.domain}*"))


def test_mail_from_outside_arrives_with_its_checks(system, receiver):
    outside = system.access["outside"]
    letter = f"From: {outside['address']}\nTo: {receiver['address']}\nSubject: Thu\nMessage-ID: <vao@outside.example>\n\nKinh gui.\n"
    system.run_outside("sendmail", "-f", outside["address"], receiver["address"], stdin=letter)
    got = system.wait_for(receiver, "<vao@outside.example>", timeout=90)
    results = got["Authentication-Results"]
    assert results.split(";")[0].strip() == system.name
    assert "spf=pass" in results


def test_over_quota_is_refused_at_rcpt(system, people, sender):
    """A full mailbox says so to the sender's server while it is still on the line."""
    full = people[2]
    uid = system.run("doveadm", "user", "-f", "user", full["address"]).strip()
    before = system.run("doveadm", "-f", "tab", "quota", "get", "-u", uid)
    assert "STORAGE" in before
    limit = system.run("doveadm", "user", "-f", "quota_storage_size", uid, check=False)
    entry = f"uid={uid},ou=mailboxes,{suffix(system)}"
    old = system.run("ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", entry, "congvuQuota")
    quota = re.search(r"congvuQuota: (\d+)", old)[1]
    try:
        modify(system, entry, "congvuQuota", "1000")
        big = compose(sender["address"], full["address"], "to", text="x" * 5000)

        def attempt():
            system.send(big, sender["address"], [full["address"]], account=sender)

        answer = refusal(attempt)
        assert answer.code == 552, (answer, limit)
        assert "5.2.2" in answer.text
    finally:
        modify(system, entry, "congvuQuota", quota)


def suffix(system):
    return "dc=" + ",dc=".join(system.domain.split("."))


def modify(system, entry, attribute, value):
    change = f"dn: {entry}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
    system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=change)


def test_500_messages_to_one_mailbox_without_a_deferral(system, sender, receiver):
    """All at once over several sessions; every one arrives, none has to wait in the queue for a second try."""
    uid = system.run("doveadm", "user", "-f", "user", receiver["address"]).strip()

    def stored():
        return int(system.run("doveadm", "-f", "tab", "search", "-u", uid, "header", "X-Burst", "1").count("\n"))

    began = time.time()
    sessions = [system.smtp("submission", sender) for _ in range(5)]
    for number in range(500):
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender["address"], receiver["address"], f"burst {number}"
        message["X-Burst"] = "1"
        message["Message-ID"] = f"<burst-{number}@{system.domain}>"
        message.set_content("x")
        sessions[number % 5].send_message(message)
    for session in sessions:
        session.quit()
    wait_until(lambda: stored() >= 500, 240, lambda: system.run("postqueue", "-p")[-2000:])
    log = system.run("journalctl", "-u", "postfix*", "--since", f"@{int(began)}", "-o", "cat", "-g", "status=deferred", check=False)
    assert "status=deferred" not in log
    system.run("doveadm", "expunge", "-u", uid, "mailbox", "INBOX", "header", "X-Burst", "1")


def test_the_offered_certificate_is_the_only_way(system):
    """TLS 1.1 and older are not spoken on any port that people use."""
    import socket
    import ssl

    for port in (465, 993, 995, 443, 636):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionResetError)), socket.create_connection((system.address, port), 10) as raw:
            old.wrap_socket(raw)
        with socket.create_connection((system.address, port), 10) as raw, system.tls.wrap_socket(raw, server_hostname=system.name) as s:
            assert s.version() in ("TLSv1.2", "TLSv1.3")


def test_wrong_password(system, receiver):
    wrong = {**receiver, "password": "khong-phai"}
    assert "AUTHENTICATIONFAILED" in refusal(lambda: system.imap(wrong)).text
    with pytest.raises(Refused) as info:
        system.smtp("submission", wrong)
    assert info.value.code == 535


def test_initial_password_opens_nothing(system):
    """Until it is changed on the password page it opens no door but that page's; who knows it is told so, who does not learns nothing."""
    (fresh, *_rest) = system.accounts("person", must_change=True)
    said = f"Phai doi mat khau truoc khi dung tai {system.access['password_url']} (password must be changed first)"
    doors = {"imap": system.imap, "pop3": system.pop3, "sieve": system.sieve, "smtp": lambda account: system.smtp("submission", account)}
    told = {
        "imap": (0, f"b'[ALERT] {said}'"),
        "pop3": (0, f"b'-ERR [AUTH] {said}'"),
        "sieve": (0, f'NO "{said}"\r\n'),
        "smtp": (535, f"5.7.8 Error: authentication failed: {said}"),
    }
    plain = {
        "imap": (0, "b'[AUTHENTICATIONFAILED] Authentication failed.'"),
        "pop3": (0, "b'-ERR [AUTH] Authentication failed.'"),
        "sieve": (0, 'NO "Authentication failed."\r\n'),
        "smtp": (535, "5.7.8 Error: authentication failed: (reason unavailable)"),
    }
    accounts = {"right": fresh, "wrong": {**fresh, "password": "khong-phai-mat-khau"}}
    tries = [(name, which) for name in doors for which in accounts]
    # All at once: Dovecot lets each failure of a client wait longer than the one before.
    with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
        answers = list(pool.map(lambda one: refusal(lambda: doors[one[0]](accounts[one[1]])), tries))
    found = {one: (answer.code, answer.text) for one, answer in zip(tries, answers, strict=True)}
    assert found == {(name, which): (told if which == "right" else plain)[name] for name, which in tries}
