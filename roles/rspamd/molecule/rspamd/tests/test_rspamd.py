"""What becomes of mail, through a real mail server and through the milter protocol: who is refused with which words, what is signed, what
happens while a helper is down, and that nobody outside is asked."""

import base64
import binascii
import contextlib
import email.message
import email.policy
import json
import pathlib
import re
import smtplib
import struct
import threading
import time
import uuid

import dkim
import pytest
from milter import decide
from samples import BZIP2_7Z, EICAR, GTUBE, LOCKED_7Z, LOCKED_DOCX, LOCKED_PDF, OWNER_PDF, PROGRAM_7Z, rar, winmail, zipped
from samples import locked_zip as locked
from testing import play, said, wait_until

CONVERGE = str(pathlib.Path(__file__).parents[1] / "converge.yml")
RAR = rar("a.txt")
OUTSIDE, OWN = "an@outside.example", "binh@example.gov.vn"
TEXT = """Kính gửi các đồng chí,

Thực hiện kế hoạch công tác năm 2026, Văn phòng đề nghị các đơn vị báo cáo tình hình sử dụng hộp thư điện tử công vụ trước ngày 30 tháng
11. Báo cáo gửi về Văn phòng để tổng hợp, trình lãnh đạo xem xét. Trân trọng cảm ơn.
"""


def mail(*files, text=TEXT, sender=OUTSIDE, to=OWN, headers=(), unique=True):
    """A message with attachments (name, content); (name, content, disposition, type) where it matters. CRLF lines.

    Each is `unique`, or the greylist would know its body."""
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = f"Nguyễn Văn An <{sender}>"
    message["To"] = to
    message["Subject"] = "Báo cáo tháng 11"
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = f"<{uuid.uuid4()}@{sender.rpartition('@')[2]}>"
    for name, value in headers:
        message[name] = value
    message.set_content(text + f"\n{uuid.uuid4()}\n" if unique else text)
    for name, content, disposition, kind in (
        (*file, "attachment", "application/octet-stream")[:4] if len(file) == 2 else file for file in files
    ):
        main, sub = kind.split("/")
        message.add_attachment(content, maintype=main, subtype=sub, disposition=disposition, filename=name)
    return message.as_bytes()


def uuencoded(name, content):
    """A text with a file as mail carried it before MIME."""
    lines = [binascii.b2a_uu(content[i : i + 45]).decode() for i in range(0, len(content), 45)]
    return f"Xem tệp:\n\nbegin 644 {name}\n{''.join(lines)}`\nend\n"


@pytest.fixture(scope="module")
def ip(host):
    """The host's address."""
    return host.ansible.get_variables()["ansible_host"]


@pytest.fixture(scope="module")
def milter(ip):
    """The milter's address."""
    return ip, 11332


def send(ip, message, sender=None, to=OWN):
    """Send from outside to Postfix; (code, text) of its last word. The greylist remembers senders: by default one it never saw."""
    sender = sender or f"{uuid.uuid4()}@outside.example"
    with smtplib.SMTP(ip, 25, "client.outside.example", timeout=60) as client:
        try:
            client.sendmail(sender, [to], message)
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error.decode()
        except smtplib.SMTPRecipientsRefused as refused:
            return next((code, text.decode()) for code, text in refused.recipients.values())
        except smtplib.SMTPSenderRefused as refused:
            return refused.smtp_code, refused.smtp_error.decode()
    return 250, ""


def delivered(host, message):
    """The message as it lies in the mailbox."""
    wanted = re.search(rb"Message-ID: (\S+)", message)[1].decode()

    def look():
        for one in re.split(r"^From .*\n", host.check_output("cat /var/mail/lab/mbox 2>/dev/null || true"), flags=re.M):
            if wanted in one:
                return email.message_from_string(one)
        return None

    return wait_until(look, 30, "the delivery")


def records(host):
    """Names and values of the DNS records that the role wrote for the keys."""
    found = {}
    for line in re.split(r"(?<=\))\s*", host.check_output("cat /var/lib/rspamd/dkim/*.txt")):
        if line.strip():
            found[line.split()[0]] = "".join(re.findall(r'"([^"]*)"', line))
    return found


def lookup(host):
    """dnsfunc of dkimpy that knows just those records."""
    known = {name.rstrip("."): value.encode() for name, value in records(host).items()}
    return lambda name, timeout=5: known.get(name.decode().rstrip("."))


# --- mail that comes in ---------------------------------------------------------------------------------------------------------------


def test_ordinary_mail_is_delivered_and_says_who_vouches_for_it(host, ip):
    message = mail(
        headers=[("Authentication-Results", "mail.example.gov.vn; dkim=pass header.d=bank.example"), ("X-Congvu-Quarantine", "x")]
    )
    assert send(ip, message) == (250, "")
    arrived = delivered(host, message)
    results = arrived.get_all("Authentication-Results")
    assert len(results) == 1
    assert re.match(r"mail\.example\.gov\.vn;", results[0])
    assert "spf=pass" in results[0] and "dkim=none" in results[0] and "bank.example" not in results[0]
    assert "X-Congvu-Quarantine" not in arrived
    assert "X-Spam" not in arrived


def test_vietnamese_is_no_sign_of_spam(host, milter):
    """Composed and decomposed letters, in text, subject and names."""
    import unicodedata

    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, TEXT)
        decision = decide(milter, mail(text=text))
        assert decision.code == 250
        log = host.check_output("journalctl -u rspamd -o cat | grep 'rspamd_task_write_log' | tail -1")
        assert "R_MIXED_CHARSET(0.00)" in log or "R_MIXED_CHARSET" not in log
        assert float(re.search(r"\[(-?[\d.]+)/15", log)[1]) < 4


REFUSED = {
    "spam": (mail(text=GTUBE), "Gtube pattern"),
    "virus": (mail(("a.txt", EICAR)), "Thu co ma doc (Eicar-Test-Signature.UNOFFICIAL), da bi tu choi."),
    "virus, inline, no name": (mail((None, EICAR, "inline", "application/octet-stream")), "Thu co ma doc"),
    "virus as an image": (mail(("a.png", EICAR, "inline", "image/png")), "Thu co ma doc"),
    "virus as the text": (mail(text=EICAR.decode(), unique=False), "Thu co ma doc"),
    "virus in zip": (mail(("a.zip", zipped(("a.txt", EICAR)))), "Thu co ma doc"),
    "virus in zip in zip": (mail(("a.zip", zipped(("a.zip", zipped(("a.txt", EICAR)))))), "Thu co ma doc"),
    "virus, uuencoded": (mail(text=uuencoded("a.txt", EICAR)), "Thu co ma doc"),
    "virus in a forwarded message": (mail(("thu.eml", mail(("a.txt", EICAR)), "attachment", "application/octet-stream")), "Thu co ma doc"),
    "exe": (mail(("setup.exe", b"x")), 'Tep dinh kem "setup.exe" thuoc loai bi cam (Dieu 2 khoan 7).'),
    "exe behind pdf": (mail(("QUYẾT ĐỊNH.PDF.EXE", b"x")), '"QUYET DINH.PDF.EXE"'),
    "exe with a dot": (mail(("setup.exe. ", b"x")), "bi cam"),
    "exe inline": (mail(("setup.com", b"x", "inline", "text/plain")), "bi cam"),
    "exe by its content": (mail(("anh.jpg", b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0d\x86" + bytes(300))), "bi cam"),
    "dll in zip": (mail(("a.zip", zipped(("báo cáo/x.dll", b"x")))), "x.dll"),
    "exe in locked zip": (mail(("a.zip", locked("x.exe"))), "x.exe"),
    "exe in zip in zip": (
        mail(("a.zip", zipped(("b.zip", zipped(("x.exe", b"x")))))),
        "Trong tep nen co tep .exe bi cam (Dieu 2 khoan 7).",
    ),
    "exe, uuencoded": (mail(text=uuencoded("x.exe", b"abc")), "Trong thu co tep thuoc loai bi cam (Dieu 2 khoan 7)."),
    "exe, renamed, in 7z": (mail(("a.7z", PROGRAM_7Z)), "Trong tep nen co tep .exe bi cam"),
    "exe in winmail.dat": (mail(("winmail.dat", winmail("setup.exe"))), 'Tep "setup.exe" trong winmail.dat thuoc loai bi cam'),
    "exe in winmail.dat, long name": (mail(("winmail.dat", winmail("setup.exe", long_name=True))), "trong winmail.dat"),
    "locked Office": (mail(("a.docx", LOCKED_DOCX)), "Tep dat mat khau"),
    "locked Office beside a locked PDF": (mail(("a.docx", LOCKED_DOCX), ("b.pdf", LOCKED_PDF)), "Tep dat mat khau"),
    "too large together": (mail(("a", bytes(1500000)), ("b", bytes(1520000))), "3020000 byte, qua gioi han 2.9 MB (3000000 byte)."),
    "bomb": (mail(("a.zip", zipped(("zeros", bytes(64 << 20))))), "qua lon hoac qua nhieu lop nen khong quet duoc ma doc (MaxScanSize"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_words(ip, case):
    message, words = REFUSED[case]
    code, text = send(ip, message)
    assert (code, text[:6]) == (554, "5.7.1 ")
    assert words in text
    assert text.isascii() and "\n" not in text
    assert text.count("5.7.1") == 1
    if case != "spam":
        assert "refused" in text or "too large" in text or "too deep" in text
        assert text.endswith("Lien he: hotro@example.gov.vn.")


@pytest.mark.parametrize(
    "file",
    [
        ("báo cáo.docx", zipped(("word/document.xml", b"<w/>"))),
        ("exe.txt", b"x"),
        ("so lieu.zip", zipped(("a.csv", b"1"))),
        ("a.exe.pdf", b"%PDF-1.4"),
    ],
)
def test_harmless_attachments_pass(ip, file):
    assert send(ip, mail(file)) == (250, "")


def test_line_breaks_in_a_name_do_not_reach_the_reply(milter):
    name = base64.b64encode(b"a\r\n250 ok\r\nb.exe").decode()
    head = f'Content-Type: application/octet-stream; name="=?utf-8?B?{name}?="'
    message = mail().replace(b'Content-Type: text/plain; charset="utf-8"', head.encode())
    decision = decide(milter, message)
    assert decision.code == 554
    assert "\n" not in decision.text and "\r" not in decision.text


@pytest.mark.parametrize(
    "file",
    [("a.zip", locked("a.txt")), ("a.7z", LOCKED_7Z), ("a.7z", BZIP2_7Z), ("a.rar", RAR), ("a.zip", zipped(("b.rar", RAR)))],
    ids=["locked", "7z", "7z with bzip2", "RAR", "RAR in zip"],
)
def test_what_cannot_be_opened_goes_to_quarantine(host, ip, milter, file):
    message = mail(file)
    assert send(ip, message) == (250, "")
    arrived = delivered(host, message)
    assert arrived.get_all("X-Congvu-Quarantine") == ["encrypted"]
    assert arrived.get_all("X-Congvu-Encrypted") == ["yes"]
    # Outside there is no quarantine of ours.
    outgoing = decide(milter, mail(file, sender=OWN, to=OUTSIDE), sender=OWN, rcpts=(OUTSIDE,), user="u1")
    assert (outgoing.code, outgoing.headers("X-Congvu-Quarantine"), outgoing.headers("X-Congvu-Encrypted")) == (250, [], ["yes"])


def test_a_kind_of_locked_file_may_have_a_rule_of_its_own(milter):
    tagged = decide(milter, mail(("a.pdf", LOCKED_PDF)))
    assert (tagged.code, tagged.headers("X-Congvu-Encrypted"), tagged.headers("X-Congvu-Quarantine")) == (250, ["yes"], [])
    # Of several kinds the strictest counts.
    both = decide(milter, mail(("a.pdf", LOCKED_PDF), ("a.zip", locked("a.txt"))))
    assert both.headers("X-Congvu-Quarantine") == ["encrypted"]
    # Who may print a PDF is no secret of its text.
    assert decide(milter, mail(("a.pdf", OWNER_PDF))).headers("X-Congvu-Encrypted") == []


FORWARDED = "binh+caf_=an=example.gov.vn@day.example"


@pytest.mark.parametrize(
    ("flag", "message", "how"),
    [
        ("secret-mark", mail(text="Kính gửi\n\nTỐI MẬT\n"), {}),
        ("secret-mark", mail(("KH_MẬT.txt", b"x")), {}),
        ("sign-up", mail(text="Please verify your e-mail address."), {}),
        ("public-mail", mail(sender=OWN, to="x@day.example"), {"sender": OWN, "rcpts": ("x@day.example",), "user": "noticed"}),
        ("forwarded-in", mail(), {"sender": FORWARDED}),
        ("forwarded-in", mail(headers=[("X-Forwarded-To", OWN)]), {}),
        (None, mail(text="ĐỔI MẬT KHẨU, BẢO MẬT, mật ong"), {}),
        (None, mail(text="Please verify your e-mail address.", sender="so@bo.gov.vn"), {"sender": "so@bo.gov.vn", "user": "noticed"}),
        (None, mail(sender=OWN, to="x@bo.gov.vn"), {"sender": OWN, "rcpts": ("x@bo.gov.vn",), "user": "noticed"}),
    ],
)
def test_noticed_and_never_refused(host, milter, flag, message, how):
    decision = decide(milter, message, **how)
    assert decision.code == 250
    assert decision.headers("X-Congvu-Flag") == ([flag] if flag else [])
    assert record(host, message)["flags"] == ([flag.replace("-", "_")] if flag else [])


def record(host, message):
    """What the store of headers keeps of a message."""
    wanted = re.search(rb"Message-ID: (\S+)", message)[1].decode()
    lines = wait_until(lambda: host.run(f"zgrep -hF '{wanted}' /var/lib/rspamd/headers/*").stdout.splitlines(), 10, "the record")
    return json.loads(lines[-1])


def test_headers_are_kept_of_all_mail(host, milter):
    refused = mail(("a.exe", b"x"))
    assert decide(milter, refused, sender=OUTSIDE, ip="10.201.0.1").code == 554
    kept = record(host, refused)
    assert (kept["sender"], kept["recipients"], kept["action"], kept["flags"]) == (OUTSIDE, ["an@example.gov.vn"], "reject", ["executable"])
    assert kept["subject"] == "Báo cáo tháng 11" and "From: " in kept["headers"] and "PGRvYz" not in kept["headers"]
    folder = host.file("/var/lib/rspamd/headers")
    assert (folder.user, folder.mode) == ("_rspamd", 0o750)


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [
        (200, 1, 180),  # every day had mail: the term counts
        (400, 220, 180),  # nothing since then, or so the clock says: as many days are kept as the term has
        (365 + 179, 365, 180),  # a clock that jumped ahead by a year deletes nothing
        (200, 195, 6),
    ],
)
def test_headers_are_kept_for_the_term_by_date_and_by_days_with_mail(host, milter, first, last, kept):
    """The first mail of a day lets go of what is too old."""
    folder = "/var/lib/rspamd/headers"
    days = f'rm -f {folder}/*; for n in $(seq {last} {first}); do date -u -d "$n days ago" +{folder}/%F.jsonl.gz; done | xargs touch'
    host.run_expect([0], days)
    message = mail()
    decide(milter, message, ip="127.0.0.1")
    assert record(host, message)
    before = host.check_output(f"ls {folder}").split()[:-1]
    newest = host.check_output(f"date -u -d '{last} days ago' +%F.jsonl.gz")
    assert (len(before), before[-1]) == (kept, newest)
    # systemd's nightly cleaning leaves them alone, however old they are.
    host.run_expect([0], f"touch -d '3 years ago' {folder}/*; systemd-tmpfiles --clean")
    assert host.check_output(f"ls {folder}").split()[:-1] == before


def test_a_stranger_without_a_name_is_not_delayed_for_that_alone(host, milter):
    assert decide(milter, mail(), sender=f"{uuid.uuid4()}@nobody.example", ip="192.0.2.8").code == 250


def test_a_stranger_s_suspicious_mail_is_delayed(milter):
    delayed = decide(milter, mail(), ip="192.0.2.9")
    assert (delayed.code, delayed.text[:6]) == (451, "4.7.1 ")
    assert "Greylisted, try again" in delayed.text


def test_mail_that_fails_its_domain_s_dmarc_is_refused(milter):
    decision = decide(milter, mail(sender="boss@strict.example"), sender="boss@strict.example")
    assert (decision.code, decision.text[:6]) == (554, "5.7.1 ")
    assert "Ten mien nguoi gui khong xac thuc duoc." in decision.text


def refused_from(milter, old, new):
    """What is said of a stranger's message with other words for its From."""
    decision = decide(milter, re.sub(rb"(?m)^From: [^\r]*(?:\r\n[ \t][^\r]*)*", new, mail(sender=old), count=1))
    return decision.code, decision.text


@pytest.mark.parametrize(
    "field",
    [
        b"From: an@outside.example\r\nFrom: boss@strict.example",
        b"From: boss@strict.example\r\nFrom: an@outside.example",
        b"From: an@outside.example, boss@strict.example",
        b"From: Nhom: boss@strict.example;",
        b"From:",
        b"X-From: boss@strict.example",
    ],
)
def test_one_writer_or_dmarc_would_have_nobody_to_ask(milter, field):
    """RFC 7489, 6.6.1: each of these was accepted or only delayed, though the domain asks for a refusal."""
    code, text = refused_from(milter, OUTSIDE, field)
    assert (code, "5.7.1 Thu phai co dung mot dia chi nguoi gui (From)." in text) == (554, True), text


def test_a_stranger_in_our_name_is_refused(milter):
    decision = decide(milter, mail(sender=OWN, to=OWN))
    assert (decision.code, "5.7.1 Thu tu ngoai mao danh dia chi cua he thong nay." in decision.text) == (554, True), decision.text


def test_the_largest_message_is_scanned_and_a_larger_one_never_accepted(ip, milter):
    fill = bytes(range(256)) * 4096  # 1 MiB
    largest = mail(("fill", fill), ("fill2", fill[:-1000]), ("fill3", fill[: 850 * 1024]), ("a.txt", EICAR))
    assert 4_000_000 < len(largest) < 4_194_304
    assert "Thu co ma doc" in send(ip, largest)[1]
    larger = mail(*((f"fill{n}", fill) for n in range(4)))
    assert send(ip, larger)[0] == 552
    assert decide(milter, larger).code in (451, 554)


# --- mail that goes out -----------------------------------------------------------------------------------------------------------------


def test_users_mail_is_signed_and_the_published_record_verifies_it(host, milter):
    decision = decide(milter, mail(sender=OWN, to=OUTSIDE), sender=OWN, rcpts=(OUTSIDE,), user="6a1f-uuid")
    assert decision.code == 250
    (signature,) = decision.headers("DKIM-Signature")
    assert "d=example.gov.vn;" in signature and "s=s2026;" in signature
    assert "6a1f-uuid" not in decision.message.decode(errors="replace")
    assert dkim.verify(decision.message, dnsfunc=lookup(host))
    assert not dkim.verify(decision.message.replace(b"Subject:", b"Subject: Re:", 1), dnsfunc=lookup(host))


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        (
            "a redirect of a stranger's mail with our From",
            {
                "message": mail(sender=OWN, headers=[("X-Sieve-Redirected-From", OWN)]),
                "sender": OWN,
                "ip": "127.0.0.1",
                "rcpts": ("x@bo.gov.vn",),
            },
        ),
    ],
)
def test_not_signed(milter, reason, arguments):
    decision = decide(milter, **arguments)
    assert decision.code == 250, reason
    assert decision.headers("DKIM-Signature") == [], reason


def test_a_user_writes_as_the_sender_of_the_envelope_only(host, milter):
    message = mail(sender=OUTSIDE)
    refused = decide(milter, message, sender=OWN, user="u1")
    assert (refused.code, f'"{OUTSIDE}" khong phai cua tai khoan dang nhap' in refused.text) == (554, True)
    assert record(host, message)["flags"] == ["foreign_from"]
    # Sent on as it is, it keeps its writer.
    assert decide(milter, mail(sender=OUTSIDE, headers=[("Resent-From", OWN)]), sender=OWN, user="u1").headers("DKIM-Signature") == []


def test_keys_can_be_read_by_the_filter_only(host):
    for name in ("s2026", "s2027"):
        key = host.file(f"/var/lib/rspamd/dkim/example.gov.vn.{name}.key")
        assert (key.user, key.group, key.mode) == ("root", "_rspamd", 0o640)
        assert "PRIVATE" not in host.check_output(f"cat /var/lib/rspamd/dkim/example.gov.vn.{name}.txt")
    assert sorted(records(host)) == ["s2026._domainkey.example.gov.vn.", "s2027._domainkey.example.gov.vn."]


@pytest.fixture(scope="module")
def published(host):
    """The DNS knows our records, as the operator published them."""
    lines = []
    for name, value in records(host).items():
        lines.append("local-data: '" + f"{name} TXT " + " ".join(f'"{value[i : i + 200]}"' for i in range(0, len(value), 200)) + "'")
    content = base64.b64encode("\n".join(lines).encode()).decode()
    host.run_expect([0], f"echo {content} | base64 -d >/etc/unbound/lab-dkim.conf && systemctl restart unbound")


def test_mail_is_sealed_when_it_comes_in_and_when_a_redirect_takes_it_out(host, milter, published):
    first = decide(milter, mail())
    assert first.code == 250
    assert "i=1;" in first.headers("ARC-Seal")[0] and "d=example.gov.vn;" in first.headers("ARC-Seal")[0]
    assert "mail.example.gov.vn;" in first.headers("ARC-Authentication-Results")[0]
    assert "spf=pass" in first.headers("ARC-Authentication-Results")[0]
    assert dkim.arc_verify(first.message, dnsfunc=lookup(host))[0] == b"pass"

    redirected = f"X-Sieve-Redirected-From: {OWN}\r\n".encode() + first.message
    second = decide(milter, redirected, sender=OWN, rcpts=("x@bo.gov.vn",), ip="127.0.0.1")
    assert second.code == 250
    assert sorted(seal[:4] for seal in second.headers("ARC-Seal")) == ["i=1;", "i=2;"]
    assert dkim.arc_verify(second.message, dnsfunc=lookup(host))[0] == b"pass"


@pytest.mark.parametrize(
    ("to", "sender", "code"),
    [
        ("x@bo.gov.vn", OWN, 250),
        ("x@dcs.vn", OWN, 250),
        ("x@old.example.gov.vn", OWN, 250),
        ("x@mail.example", OWN, 554),
        ("x@evilgov.vn", OWN, 554),
        ("x@gov.vn.example", OWN, 554),
        ("x@mail.example", "", 554),
    ],
)
def test_redirects_leave_to_state_bodies_only(milter, to, sender, code):
    decision = decide(milter, mail(headers=[("X-Sieve-Redirected-From", OWN)]), sender=sender, rcpts=(to,), ip="127.0.0.1")
    assert decision.code == code
    if code == 554:
        assert decision.text.startswith(f"5.7.1 Khong duoc tu dong chuyen tiep thu toi {to.partition('@')[2]}.")


def test_one_foreign_recipient_among_others_is_enough(milter):
    message = mail(headers=[("X-Sieve-Redirected-From", OWN)])
    assert decide(milter, message, sender=OWN, rcpts=("x@bo.gov.vn", "x@mail.example"), ip="127.0.0.1").code == 554


def test_vacation_replies_leave(milter):
    reply = mail(sender=OWN, to=OUTSIDE, headers=[("Auto-Submitted", "auto-replied (vacation)"), ("X-Sieve", "Pigeonhole Sieve 2.4.1")])
    decision = decide(milter, reply, sender="", rcpts=(OUTSIDE,), ip="127.0.0.1")
    assert decision.code == 250
    assert len(decision.headers("DKIM-Signature")) == 1


def test_a_user_s_mail_to_outside_is_limited(milter):
    def outgoing(*to):
        return decide(milter, mail(sender=OWN, to=to[0]), sender=OWN, rcpts=to, user=user)

    user = f"flood-{time.time()}"
    codes = [outgoing(OUTSIDE).code for _ in range(5)]
    assert codes == [250] * 5
    refused = outgoing(OUTSIDE, "postmaster@example.gov.vn")
    assert refused.code == 451
    assert outgoing(OUTSIDE, "nobody@outside.example").code == 451, "a recipient that frees from the limit"
    assert "Qua so thu gui ra ngoai cho phep trong 10 phut" in refused.text
    assert outgoing(OWN).code == 250
    user = "another"
    assert outgoing(OUTSIDE).code == 250


# --- helpers down -----------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broken(host, breaking, mending):
    """Break something, mend it whatever happens."""
    host.run_expect([0], breaking)
    try:
        yield
    finally:
        host.run_expect([0], mending)


FALSE_CLAMD = r"""
import os, socket, struct, threading
def serve(connection):
    stream = connection.makefile("rwb")
    stream.read(10)
    while size := struct.unpack(">I", stream.read(4))[0]:
        stream.read(size)
    stream.write(ANSWER)
    stream.flush()
    connection.close()
server = socket.socket(socket.AF_UNIX)
server.bind("/run/clamav/clamd.ctl")
os.chmod("/run/clamav/clamd.ctl", 0o666)
server.listen(64)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],)).start()
"""


def false_clamd(answer):
    """Shell commands: a clamd in place of the real one that always gives this answer."""
    script = base64.b64encode(FALSE_CLAMD.replace("ANSWER", repr(answer)).encode()).decode()
    return (
        "systemctl stop clamav-daemon.service clamav-daemon.socket; mkdir -p /run/clamav; rm -f /run/clamav/clamd.ctl; "
        f"echo {script} | base64 -d >/root/false_clamd.py && systemd-run --quiet --unit false-clamd python3 /root/false_clamd.py && "
        "until test -S /run/clamav/clamd.ctl; do sleep 0.1; done"
    )


NO_FALSE_CLAMD = "systemctl stop false-clamd; rm -f /run/clamav/clamd.ctl; systemctl start clamav-daemon.socket clamav-daemon.service"


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        ("systemctl stop clamav-daemon.service clamav-daemon.socket", "systemctl start clamav-daemon.socket clamav-daemon.service"),
        ("systemctl kill -s STOP clamav-daemon", "systemctl kill -s CONT clamav-daemon"),
        (false_clamd(b"stream: Can't allocate memory ERROR\0"), NO_FALSE_CLAMD),
        (false_clamd(b"INSTREAM size limit exceeded. ERROR\0"), NO_FALSE_CLAMD),
        (false_clamd(b"stream: Heuristics.Limits.Exceeded.MaxScanTime FOUND\0"), NO_FALSE_CLAMD),
        (false_clamd(b""), NO_FALSE_CLAMD),
    ],
    ids=["stopped", "hung", "out of memory", "over its limit", "too slow", "hangs up"],
)
def test_mail_waits_while_clamd_does_not_scan(host, ip, breaking, mending):
    message = mail(("a.txt", b"harmless"))
    with broken(host, breaking, mending):
        code, text = send(ip, message)
        assert code == 451
        assert text.startswith("4.7.1 ")
        assert "Chua quet duoc ma doc" in text or "hung" in breaking or "STOP" in breaking
        # Nor does anything go out.
        assert send(ip, mail(("a.txt", EICAR)))[0] in (451, 554)
    wait_until(lambda: send(ip, message)[0] == 250, 30, "mail after clamd came back")


@pytest.mark.parametrize("helper", ["valkey-server", "unbound"])
def test_mail_is_still_decided_without(host, ip, helper):
    with broken(host, f"systemctl stop {helper}", f"systemctl start {helper}"):
        before = time.monotonic()
        assert send(ip, mail())[0] in (250, 451)
        assert time.monotonic() - before < 20
        assert send(ip, mail(("a.txt", EICAR)))[0] in (451, 554)
        assert send(ip, mail(("a.exe", b"x")))[0] in (451, 554)
    wait_until(lambda: send(ip, mail())[0] == 250, 30, f"mail after {helper} came back")


def test_the_mail_server_waits_while_rspamd_is_down(host, ip):
    with broken(host, "systemctl stop rspamd", "systemctl start rspamd"):
        assert send(ip, mail())[0] == 451
        assert host.check_output("systemctl show -P Result rspamd") == "success"
    wait_until(lambda: send(ip, mail())[0] == 250, 60, "mail after rspamd came back")


# --- controller -------------------------------------------------------------------------------------------------------------------------

PASSWORD = "the-controller-of-the-scenario"


def rspamc(host, arguments, password=PASSWORD):
    return host.run(f"rspamc --connect 127.0.0.1:11334 {f'--password {password} ' if password else ''}{arguments}").stdout


def test_the_controller_asks_everybody_for_the_password(host):
    for password in (None, "q1", "wrong"):
        assert "401" in rspamc(host, "stat", password)
    assert "Messages scanned" in rspamc(host, "stat")
    assert "tcp://127.0.0.1:11334" in host.socket.get_listening_sockets()
    assert not [s for s in host.socket.get_listening_sockets() if s.endswith(":11334") and "127.0.0.1" not in s]


def test_passwords_are_readable_by_the_filter_only(host):
    assert host.run(f"grep -rF {PASSWORD} /etc /var/lib/rspamd").rc == 1
    for name in ("/etc/rspamd/controller-password.inc", "/etc/rspamd/local.d/redis.conf"):
        file = host.file(name)
        assert (file.user, file.group, file.mode) == ("root", "_rspamd", 0o640)
    assert "$2$" in host.check_output("cat /etc/rspamd/controller-password.inc")


def test_users_teach_and_what_they_taught_stays(host):
    def learned():
        return {s["symbol"]: s["revision"] for s in json.loads(rspamc(host, "--json stat"))["statfiles"]}

    before = learned()
    for kind in ("spam", "ham"):
        message = base64.b64encode(mail(text=f"{TEXT} {kind} {uuid.uuid4()}")).decode()
        answer = host.run(f"echo {message} | base64 -d | rspamc --connect 127.0.0.1:11334 --password {PASSWORD} learn_{kind}").stdout
        assert "success = true" in answer
    host.run_expect([0], "systemctl restart valkey-server && systemctl reload rspamd")
    wait_until(lambda: learned() == {name: count + 1 for name, count in before.items()}, 30, "one more of each")


# --- the service ------------------------------------------------------------------------------------------------------------------------


def test_nobody_outside_is_asked(host):
    """All this scenario's mail is through by now: what was the resolver asked?"""
    started = host.check_output("systemctl show -P ActiveEnterTimestamp rspamd")
    asked = set(re.findall(r"info: 127\.0\.0\.1 (\S+) ", host.check_output("journalctl -u unbound -o cat")))
    assert asked, started
    known = re.compile(
        r"(^|\.)(outside\.example|strict\.example|example\.gov\.vn|example|gov\.vn|vn|lab\.test|in-addr\.arpa|bo\.gov\.vn)\.$"
    )
    assert [name for name in sorted(asked) if not known.search(name)] == []
    assert host.run("journalctl -u rspamd -o cat | grep -E 'maps\\.rspamd|https?://'").rc == 1


def test_nothing_is_lost_while_rules_are_loaded(host, ip):
    answers, stop = [], threading.Event()

    def send_on():
        while not stop.is_set():
            answers.append(send(ip, mail()))

    threads = [threading.Thread(target=send_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    pid = host.check_output("systemctl show -P MainPID rspamd")
    for turn in range(3):
        count = len(answers)
        host.run_expect([0], "systemctl reload rspamd")
        wait_until(lambda at_least=count + 10: len(answers) >= at_least, 60, f"ten answers after reload {turn}")
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer[0] for answer in answers} <= {250}, answers
    assert host.check_output("systemctl show -P MainPID rspamd") == pid


def test_rules_that_cannot_be_loaded_leave_the_service_alone(host, ip):
    pid = host.check_output("systemctl show -P MainPID rspamd")
    with broken(host, "echo 'antivirus { oops' >/etc/rspamd/modules.local.d/by-hand.conf", "rm /etc/rspamd/modules.local.d/by-hand.conf"):
        refused = play(CONVERGE)
        assert refused.returncode
        assert "is not valid, so it was not loaded" in said(refused)
        assert host.check_output("systemctl show -P MainPID rspamd") == pid
        assert send(ip, mail()) == (250, "")
    assert play(CONVERGE).returncode == 0


def test_encrypted_files_follow_the_variable_and_selectors_change(host, milter):
    message = mail(("a.zip", locked("a.txt")))
    selectors = [
        {"domain": "example.gov.vn", "selector": "s2026", "state": "retired"},
        {"domain": "example.gov.vn", "selector": "s2027", "state": "signing"},
    ]
    before = records(host)
    variables = {"rspamd_encrypted": "reject", "rspamd_dkim_selectors": selectors, "rspamd_forward_outbound": "none"}
    assert play(CONVERGE, "--extra-vars", json.dumps(variables)).returncode == 0
    wait_until(lambda: decide(milter, message).code == 554, 30, "the refusal")
    assert "Tep dat mat khau" in decide(milter, message).text
    signed = decide(milter, mail(sender=OWN, to=OUTSIDE), sender=OWN, rcpts=(OUTSIDE,), user="u2")
    assert "s=s2027;" in signed.headers("DKIM-Signature")[0]
    assert dkim.verify(signed.message, dnsfunc=lookup(host))
    assert records(host) == before
    forward = mail(headers=[("X-Sieve-Redirected-From", OWN)])
    assert decide(milter, forward, sender=OWN, rcpts=("x@bo.gov.vn",), ip="127.0.0.1").code == 554
    assert play(CONVERGE, "--extra-vars", json.dumps({"rspamd_encrypted": "accept", "rspamd_forward_outbound": "anywhere"})).returncode == 0
    wait_until(lambda: decide(milter, message).code == 250, 30, "the acceptance")
    assert decide(milter, message).headers("X-Congvu-Encrypted") == []
    assert decide(milter, forward, sender=OWN, rcpts=("x@mail.example",), ip="127.0.0.1").code == 250
    assert play(CONVERGE).returncode == 0


def test_sandbox_on_the_live_processes(host):
    main = host.check_output("systemctl show -P MainPID rspamd")
    seen = set()
    for pid in [main, *host.check_output(f"ps -o pid= --ppid {main}").split()]:
        status = host.run(f"cat /proc/{pid}/status").stdout
        if status:  # an old process may end just now
            seen.add(pid)
            assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapBnd:\t0000000000000000" in status
            assert host.run(f"ps -o user= -p {pid}").stdout.strip() in ("_rspamd", "")
    assert len(seen) >= 4
    for path in ("/usr/x", "/etc/rspamd/x", "/run/x", "/var/lib/x", "/var/lib/rspamd/dkim/x", "/srv/x"):
        assert "Read-only file system" in host.run(f"touch /proc/{main}/root{path}").stderr, path
    score = host.check_output("systemd-analyze security --no-pager rspamd | tail -1").split(": ")[1].split()[0]
    assert float(score) <= 2.5
    # A stop waits for twice the time of a message: systemd must wait longer.
    assert host.check_output("systemctl show -P TimeoutStopUSec rspamd") == "46s"
