"""Viruses, forbidden files, locked archives and spam are dealt with where the sender still hears it, on every way in; figures and lists are
the policy's."""

import email
import email.policy
import io
import json
import unicodedata
import uuid
import zipfile

import pytest
import webmail
from mail import compose, refusal, wait_until
from samples import (
    EICAR,
    EXE_7Z,
    GTUBE,
    LOCKED_7Z,
    LOCKED_DOCX,
    LOCKED_PDF,
    OWNER_PDF,
    PROGRAM,
    PROGRAM_7Z,
    locked_zip,
    rar,
    winmail,
    zipped,
)

VIRUS, NAME, INSIDE, TNEF = "Thu co ma doc", "thuoc loai bi cam", "Trong tep nen co tep .exe bi cam", "trong winmail.dat thuoc loai bi cam"
BAD = {
    "virus": (("mau.txt", EICAR), VIRUS),
    "virus in zip": (("mau.zip", zipped(("mau.txt", EICAR))), VIRUS),
    "virus in three zips": (("mau.zip", zipped(("mau.txt", EICAR), depth=3)), VIRUS),
    "virus in winmail.dat": (("winmail.dat", winmail("mau.txt", EICAR)), VIRUS),
    "accents": (("Báo cáo.exe", b"x"), 'Tep dinh kem "Bao cao.exe" thuoc loai bi cam'),
    "accents, decomposed": ((unicodedata.normalize("NFD", "Quyết định.exe"), b"x"), '"Quyet dinh.exe" thuoc loai bi cam'),
    "written backwards": (("bao cao\u202efdp.exe", b"x"), NAME),
    "in zip": (("baocao.zip", zipped(("baocao.exe", b"x"))), '"baocao.exe" thuoc loai bi cam'),
    "in two zips": (("baocao.zip", zipped(("baocao.exe", b"x"), depth=2)), INSIDE),
    "in locked zip": (("baocao.zip", locked_zip("setup.exe")), '"setup.exe" thuoc loai bi cam'),
    "in rar": (("baocao.rar", rar("setup.exe")), '"setup.exe" thuoc loai bi cam'),
    "in 7z": (("baocao.7z", EXE_7Z), "bi cam"),
    "in 7z in zip": (("baocao.zip", zipped(("baocao.7z", EXE_7Z))), INSIDE),
    "renamed": (("anh.jpg", PROGRAM), "bi cam"),
    "renamed, in zip": (("anh.zip", zipped(("anh.jpg", PROGRAM))), "bi cam"),
    "renamed, in 7z": (("anh.7z", PROGRAM_7Z), INSIDE),
    "in winmail.dat": (("winmail.dat", winmail("setup.exe")), f'Tep "setup.exe" {TNEF}'),
    "in winmail.dat, long name": (("winmail.dat", winmail("Bao cao quy III.exe", long_name=True)), TNEF),
    "in winmail.dat in zip": (("thu.zip", zipped(("winmail.dat", winmail("setup.exe")))), INSIDE),
    "in winmail.dat in two zips, long name": (("thu.zip", zipped(("x.dat", winmail("Quy III.EXE", long_name=True)), depth=2)), INSIDE),
    "winmail.dat renamed": (("thu.bin", winmail("setup.exe")), TNEF),
    "renamed, in winmail.dat": (("winmail.dat", winmail("anh.jpg", PROGRAM)), "bi cam"),
}
WAYS = ["submission", "smtp"]


@pytest.fixture
def offer(system, sender, receiver):
    """Offer a message on a way: as a user who is logged in, or as a stranger at the border."""

    def offer(way, attachments=(), raw=None, **how):
        # The greylist remembers senders, so strangers are new ones.
        origin = sender["address"] if way == "submission" else f"{uuid.uuid4()}@outside.example"
        message = compose(origin, receiver["address"], how.pop("subject", "tệp"), attachments=attachments, **how)
        data = raw(message) if raw else message
        system.send(data, origin, [receiver["address"]], way, sender if way == "submission" else None)
        return message

    return offer


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("way", WAYS)
def test_refused_at_once(offer, case, way):
    attachment, words = BAD[case]
    answer = refusal(lambda: offer(way, [attachment]))
    assert answer.code == 554, answer
    assert words in answer.text
    assert answer.text.isascii()


@pytest.mark.parametrize("way", WAYS)
def test_every_extension_of_the_policy(offer, policy, way):
    """As they stand, in capitals, behind another, with a trailing dot: each in turn, all in one message would hide a hole."""
    listed = policy["attachments"]["forbidden_extensions"]
    forms = ("tep.{}", "TEP.{}", "bao-cao.pdf.{}", "tep.{}.")
    for number, extension in enumerate(listed["value"] + policy["attachments"]["forbidden_extensions_extra"]["value"]):
        name = forms[number % 4].format(extension.upper() if number % 4 == 1 else extension)
        answer = refusal(lambda name=name: offer(way, [(name, b"x")]))
        assert (answer.code, f'"{name}" thuoc loai bi cam' in answer.text) == (554, True), (name, answer)
    if "clause" in listed:
        assert listed["clause"].replace("Điều", "Dieu").replace("khoản", "khoan").replace("điểm", "diem") in answer.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "parameter",
    [
        "filename*=utf-8''B%C3%A1o%20c%C3%A1o.exe",
        'filename*0="bao cao"; filename*1=".e"; filename*2="xe"',
        "filename*0*=utf-8''B%C3%A1o; filename*1*=%20c%C3%A1o.exe",
        'filename="=?utf-8?B?QsOhbyBjw6FvLmV4ZQ==?="',
        'filename="Báo cáo.exe"',
        'filename="Báo cáo.\\e\\x\\e"',
        'filename="bao cao.pdf"; filename="bao cao.exe"',
        "filename=\"bao cao.pdf\"; filename*=utf-8''bao%20cao.exe",
        'filename="bao cao.pdf"\r\nContent-Disposition: attachment; filename="bao cao.exe"',
        'filename="bao cao.pdf"\r\nContent-Type: text/plain; name="bao cao.exe"',
    ],
)
def test_every_way_to_write_a_name(offer, parameter, way):
    """RFC 2231 with and without continuation, RFC 2047, plain UTF-8; a second name beside a harmless one."""

    def written(message):
        return message.as_bytes().replace(b'filename="tep.bin"', parameter.encode()).replace(b"\n", b"\r\n")

    answer = refusal(lambda: offer(way, [("tep.bin", b"x")], raw=written))
    assert answer.code == 554, answer
    assert 'ao.exe" thuoc loai bi cam' in answer.text


@pytest.mark.parametrize("tail", ["\u00a0", "\u200b", "\u202c", "\u00ad", "::$DATA", "/", "'", "\t", "\x01"])
def test_what_hides_the_end_of_a_name(offer, tail):
    """Nobody sees it, and programs drop it when they save the file."""

    def written(message):
        return message.as_bytes().replace(b'filename="tep.bin"', f'filename="tep.exe{tail}"'.encode()).replace(b"\n", b"\r\n")

    answer = refusal(lambda: offer("submission", [("tep.bin", b"x")], raw=written))
    assert (answer.code, "thuoc loai bi cam" in answer.text) == (554, True), answer


def listed(before, after):
    """A ZIP archive with one name before the file and another in the list (of the same length)."""
    return (
        zipped((before, b"x"))
        .replace(b"PK\1\2", b"list")
        .replace(before.encode(), after.encode())
        .replace(after.encode(), before.encode(), 1)
        .replace(b"list", b"PK\1\2")
    )


ZIPS = {
    "another name before the file": listed("ab.exe", "ab.txt"),
    "another name in the list": listed("ab.txt", "ab.exe"),
    "no list": zipped(("ab.exe", b"x")).partition(b"PK\1\2")[0],
    "two archives, the last": zipped(("a.txt", b"x")) + zipped(("a.exe", b"x")),
    "two archives, the first": zipped(("a.exe", b"x")) + zipped(("a.txt", b"x")),
    "end of the name": zipped(("a.exe\u00a0", b"x")),
}


@pytest.mark.parametrize("case", ZIPS)
def test_every_name_in_an_archive(offer, case):
    """Whichever list of its files a program reads."""
    answer = refusal(lambda: offer("submission", [("tep.zip", ZIPS[case])]))
    assert (answer.code, "bi cam" in answer.text) == (554, True), answer


FORMS = {
    "a fragment": (b'Content-Type: message/partial; id="a"; number=1; total=2\r\n', "message/partial"),
    "an encoded whole": (b'Content-Type: multipart/mixed; boundary="a"\r\nContent-Transfer-Encoding: base64\r\n', "multipart base64"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("form", FORMS)
def test_what_only_some_mail_programs_put_together(offer, way, form):
    """Nobody can scan it here (RFC 2046, 5.2.2; RFC 2045, 6.4)."""
    fields, words = FORMS[form]

    def written(message):
        head = message.as_bytes().replace(b"\n", b"\r\n").partition(b"Content-Type:")[0]
        return head + fields + b"\r\n" + b"eA==\r\n"

    answer = refusal(lambda: offer(way, raw=written))
    assert (answer.code, words in answer.text) == (554, True), answer


@pytest.mark.parametrize("line", ["begin 644 a.exe", "begin  644   a.exe", 'begin 644 "a.exe"', "begin-base64 644 a.exe"])
def test_a_file_from_before_mime(offer, line):
    """At the very beginning of a text, where Rspamd unpacks it."""
    text = f"{line}\n#>'AX\n`\nend\n"
    assert "Trong thu co tep thuoc loai bi cam" in refusal(lambda: offer("submission", text=text)).text


@pytest.mark.parametrize("way", WAYS)
def test_gtube_is_refused(offer, way):
    assert refusal(lambda: offer(way, text=GTUBE + "\n")).code == 554


@pytest.mark.parametrize(
    "name", ["Báo cáo.docx", "bang-tinh.xlsx", "báo cáo.exe.pdf", "vi-du.com; kỳ 2: 'exe'.txt", "exe", "ghi chú (vi-du.com)"]
)
def test_names_that_only_look_alike_pass(system, receiver, offer, name):
    folder = zipped(("trang.com/a.txt", b"x"), ("b.exe/", b""))
    text = "begin 2026 voi tep a.exe moi\nfilename=a.exe, xem www.vi-du.com\n"
    message = offer("submission", [(name, b"noi dung"), ("thu-muc.zip", folder)], text=text)
    assert system.wait_for(receiver, message["Message-ID"])


def packed_otherwise():
    """A ZIP archive compressed with LZMA, which ClamAV does not unpack."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", EICAR)
    return buffer.getvalue()


LOCKED = {
    "zip": ("tep.zip", locked_zip("a.txt")),
    "other": ("tep.zip", packed_otherwise()),
    "rar": ("tep.rar", rar("a.txt", locked=True)),
    "7z": ("tep.7z", LOCKED_7Z),
    "office": ("tep.docx", LOCKED_DOCX),
    "pdf": ("tep.pdf", LOCKED_PDF),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", LOCKED)
def test_locked_files_follow_the_policy(system, policy, receiver, offer, kind, way):
    rules = policy["attachments"]
    wanted = rules["encrypted_by_type"]["value"].get(kind, rules["encrypted"]["value"])
    if wanted == "reject":
        assert "Tep dat mat khau" in refusal(lambda: offer(way, [LOCKED[kind]])).text
        return
    message = offer(way, [LOCKED[kind]])
    if wanted == "quarantine":
        wait_until(lambda: held(system, receiver, message), 60, lambda: system.run("postqueue", "-p"))
        assert system.find(receiver, message["Message-ID"]) is None
        session = system.imap(receiver)
        assert not [line for line in session.list()[1] if b"Quarantine" in line]
        assert session.select("Quarantine/Held")[0] == "NO"
        session.logout()
    else:
        assert system.wait_for(receiver, message["Message-ID"])["X-Congvu-Encrypted"] == ("yes" if wanted == "tag" else None)


def held(system, account, message):
    """Whether the message lies in the account's quarantine."""
    uid = system.run("doveadm", "user", "-f", "user", account["address"]).strip()
    search = ["doveadm", "search", "-u", uid, "mailbox", "Quarantine/Held", "header", "Message-ID", message["Message-ID"]]
    return system.run(*search, check=False).strip()


@pytest.fixture
def locked(policy):
    """An attachment that the policy holds back; skips where it holds back none."""
    rules = policy["attachments"]
    held_back = [kind for kind in LOCKED if rules["encrypted_by_type"]["value"].get(kind, rules["encrypted"]["value"]) == "quarantine"]
    if not held_back:
        pytest.skip("this policy holds nothing back")
    return LOCKED[held_back[0]]


def notice(system, account, subject, words):
    """A message in the INBOX with words in its subject and text."""
    session = system.imap(account)
    try:
        session.select("INBOX", readonly=True)
        numbers = session.search(None, "ALL")[1][0].split()[-20:]
        for number in reversed(numbers):
            found = email.message_from_bytes(session.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1], policy=email.policy.default)
            if subject in (found["Subject"] or "") and words in found.get_body(("plain",)).get_content():
                return found
        return None
    finally:
        session.shutdown()


def quarantine(system, *options):
    done = system.playbook("playbooks/quarantine.yml", *options)
    return done.returncode, done.stdout + done.stderr


def test_held_mail_is_told_to_both_sides_listed_released_and_expires(system, people, receiver, locked):
    """With the envelope it came with; what is released is the message byte for byte."""
    writer = people[2]  # a vacation reply goes to each sender once a day
    subject = f"Giữ lại {uuid.uuid4()}"
    message = compose(writer["address"], receiver["address"], subject, attachments=[locked])
    system.send(message, writer["address"], [receiver["address"]], account=writer)
    wait_until(lambda: held(system, receiver, message), 60, lambda: system.run("postqueue", "-p"))
    identifier = message["Message-ID"]
    told = wait_until(lambda: notice(system, receiver, "đang được giữ", identifier), 30, "the recipient's notice")
    assert writer["address"] in told.get_body(("plain",)).get_content()
    assert wait_until(lambda: notice(system, writer, "đang được giữ", "gửi lại tệp không đặt mật khẩu"), 60, "the sender's notice")

    code, text = quarantine(system)
    assert code == 0 and identifier in text and writer["address"] in text and receiver["address"] in text, text
    code, text = quarantine(system, "-e", "act=release", "-e", f"message_id={identifier}")
    assert code and "Chưa làm gì" in text
    # Limited to a host too, which would leave out a check on localhost.
    code, text = quarantine(system, "-e", "act=expire", "-e", "days=-1", "-l", "mda")
    assert code and "Chưa làm gì" in text and held(system, receiver, message)
    who = json.dumps({"operator": "Trực ban", "reason": "đã kiểm tra", "message_id": identifier})
    code, text = quarantine(system, "-e", "act=release", "-e", who, "--check")
    assert code == 0 and identifier in text and system.find(receiver, identifier) is None
    code, text = quarantine(system, "-e", "act=release", "-e", who)
    assert code == 0 and "1 thư đã giao" in text, text
    arrived = system.wait_for(receiver, identifier)
    assert arrived["Return-Path"].strip("<>") == writer["address"]
    assert [part.get_content() for part in arrived.iter_attachments()] == [locked[1]]
    assert system.run("tail", "-n", "1", "/var/lib/congvu-mail/journal/operations.jsonl").count("quarantine_release") == 1
    code, text = quarantine(system, "-e", "act=release", "-e", who)
    assert code and "Không có thư nào đang bị giữ" in text

    old, young = (compose(writer["address"], receiver["address"], subject, attachments=[locked]) for _ in range(2))
    for message in (old, young):
        system.send(message, writer["address"], [receiver["address"]], account=writer)
        wait_until(lambda message=message: held(system, receiver, message), 60)
    # As if it had come 31 days ago; Dovecot reads it anew.
    files = f"/srv/mail/{system.run('doveadm', 'user', '-f', 'user', receiver['address']).strip()}"
    system.run("sh", "-c", f"grep -rlF '{old['Message-ID']}' {files}/Quarantine | xargs touch -d '31 days ago'")
    system.run("find", files, "-path", "*Held*", "-name", "dovecot.index*", "-delete")
    code, text = quarantine(system, "-e", "act=expire", "-e", "days=30", "-e", who.replace(identifier, ""))
    assert code == 0 and "1 thư đã xóa" in text and old["Message-ID"] in text, text
    assert held(system, receiver, young) and not held(system, receiver, old)
    for account in (receiver, writer):
        told = notice(system, account, "đã bị xóa", old["Message-ID"])
        assert told and "quá 30 ngày" in told.get_body(("plain",)).get_content()
    last = json.loads(system.run("tail", "-n", "1", "/var/lib/congvu-mail/journal/operations.jsonl"))
    assert (last["act"], last["after"]["message_id"]) == ("quarantine_expire", old["Message-ID"])


def test_a_winmail_dat_with_papers_only_passes(system, receiver, offer):
    papers = zipped(("winmail.dat", winmail("exe.txt")), ("b.dat", winmail("Báo cáo.exe.docx", long_name=True)))
    message = offer("submission", [("thu.zip", papers)])
    assert system.wait_for(receiver, message["Message-ID"])


def test_a_pdf_that_everybody_may_read_is_not_locked(system, receiver, offer):
    message = offer("submission", [("ky-so.pdf", OWNER_PDF)])
    assert system.wait_for(receiver, message["Message-ID"])["X-Congvu-Encrypted"] is None


@pytest.fixture
def limit(policy):
    """Bytes that all attachments of a message may have together: a megabyte is read so that nobody is refused wrongly."""
    return int(policy["attachments"]["max_total"]["value"].removesuffix("MB")) * 1024**2


@pytest.fixture
def arrived(system, sender, receiver):
    """Waits for a large message in the receiver's mailbox, without fetching it; none of them stays."""

    def doveadm(verb, account, *query):
        return system.run("doveadm", verb, "-u", account["address"], "mailbox", "*", "header", *query).strip()

    yield lambda header, value: wait_until(lambda: doveadm("search", receiver, header, value), 120, f"{header}: {value}")
    for account in (sender, receiver):
        doveadm("expunge", account, "Subject", "tệp lớn")


@pytest.mark.parametrize("way", WAYS)
def test_the_attachments_together_are_limited_to_the_byte(system, sender, limit, offer, arrived, way):
    """Of decoded bytes, through every layer as large as it can be on the wire; who offers more is told the limit."""
    half = bytes(limit // 2)
    message = offer(way, [("a.bin", half), ("b.bin", bytes(limit - len(half)))], subject="tệp lớn")
    arrived("Message-ID", message["Message-ID"])
    answer = refusal(lambda: offer(way, [("a.bin", half), ("b.bin", bytes(limit - len(half) + 1))], subject="tệp lớn"))
    assert answer.code == 554
    assert f"tong cong {limit + 1} byte, qua gioi han {limit / 1024**2} MB ({limit} byte)" in answer.text
    # What cannot fit is refused before it is sent.
    session = system.smtp(way, sender if way == "submission" else None)
    origin = sender["address"] if way == "submission" else "a@outside.example"
    code, text = session.docmd("MAIL", f"FROM:<{origin}> SIZE={int(session.esmtp_features['size']) + 1}")
    session.close()
    assert code == 552 and f"khong duoc qua {limit / 1024**2} MB" in text.decode()


def test_the_webmail_takes_what_the_policy_allows_and_not_a_byte_more(system, sender, receiver, limit, arrived):
    session = webmail.Session(
        system.address, system.access["webmail_url"], system.access["ca_certificate"], sender["address"], sender["password"]
    )
    shown = session.compose()
    assert shown["max_filesize"] == limit, "the browser would upload in vain"
    words = f"các tệp của một thư cộng lại không được quá {limit // 1024**2} MB"
    assert words in shown["filesizeerror"]
    answer = session.attach("a.bin", bytes(limit - 1))
    assert "add2attachment_list" in answer and r"this.set_env(\"max_filesize\",1)" in answer
    for content, taken in ((b"xx", False), (b"x", True), (b"x", False)):
        answer = session.attach("b.bin", content)
        assert ("add2attachment_list" in answer, words in answer) == (taken, not taken)
    subject = f"tệp lớn {uuid.uuid4()}"
    answer = session.send(receiver["address"], subject)
    assert "sent_successfully" in answer, answer
    arrived("Subject", subject)


# --- what is noticed, and the record of headers -----------------------------------------------------------------------------------------


def recorded(system, message):
    """The record of a message in the store of headers."""
    look = f"zgrep -hF '{message['Message-ID']}' /var/lib/rspamd/headers/*"
    lines = wait_until(lambda: system.run("sh", "-c", look, check=False).splitlines(), 10, "the record")
    return json.loads(lines[-1])


@pytest.mark.parametrize(
    ("subject", "text", "name", "marks"),
    [
        ("[MẬT] Kế hoạch", "x", "a.txt", True),
        ("Công văn TỐI MẬT số 12", "x", "a.txt", True),
        (unicodedata.normalize("NFD", "TUYỆT MẬT"), "x", "a.txt", True),
        ("Kế hoạch", "UBND TỈNH\n\nMẬT\n\nKế hoạch", "a.txt", True),
        ("Kế hoạch", "x", "KH_MẬT_2026.txt", True),
        ("BẢO MẬT THÔNG TIN", "ĐỔI MẬT KHẨU, BÍ MẬT, mật ong, MẬT ĐỘ", "Hướng dẫn đặt MẬT KHẨU.txt", False),
    ],
)
def test_marks_of_secrecy_are_noticed_and_never_refused(system, policy, receiver, offer, subject, text, name, marks):
    message = offer("submission", [(name, b"x")], subject=subject, text=text)
    arrived = system.wait_for(receiver, message["Message-ID"])
    expected = marks and bool(policy["detect"]["secret_marks"]["value"])
    assert ("secret-mark" in (arrived["X-Congvu-Flag"] or "")) == expected
    assert ("secret_mark" in recorded(system, message)["flags"]) == expected


@pytest.mark.parametrize(
    ("key", "flag", "text", "headers"),
    [
        ("detect.sign_ups", "sign_up", "Please verify your e-mail address", {}),
        ("detect.sign_ups", "sign_up", "Mã xác nhận của bạn là 123456", {}),
        ("forwarding.inbound", "forwarded_in", "x", {"X_Forwarded_To": "ai@day.example"}),
    ],
)
def test_mail_from_outside_is_noticed(system, policy, receiver, offer, key, flag, text, headers):
    group, name = key.split(".")
    message = offer("smtp", text=text, **headers)
    arrived = system.wait_for(receiver, message["Message-ID"])
    expected = policy[group][name]["value"] in (True, "flag")
    assert (flag.replace("_", "-") in (arrived["X-Congvu-Flag"] or "")) == expected
    assert (flag in recorded(system, message)["flags"]) == expected


def test_flags_of_strangers_are_taken_away(system, receiver, offer):
    message = offer("smtp", X_Congvu_Flag="secret-mark")
    assert system.wait_for(receiver, message["Message-ID"])["X-Congvu-Flag"] is None


def test_headers_of_all_mail_are_kept_and_found(system, sender, receiver, offer):
    subject = f"Tra cứu {sender['address']}"
    message = offer("submission", subject=subject)
    refusal(lambda: offer("submission", [("tep.exe", b"x")], subject=subject))
    record = recorded(system, message)
    assert (record["sender"], record["recipients"], record["subject"]) == (sender["address"], [receiver["address"]], subject)
    assert record["action"] != "reject" and "Message-ID:" in record["headers"]
    who = ("-e", json.dumps({"operator": "khanh", "reason": "xác minh đơn thư"}))
    nobody = system.playbook("playbooks/headers.yml", "-e", f"sender={sender['address']}")
    assert nobody.returncode != 0 and "Cần người tra cứu và lý do" in nobody.stdout and subject not in nobody.stdout
    journal = "/var/lib/congvu-mail/journal/operations.jsonl"
    count = len(system.run("cat", journal, check=False).splitlines())
    found = system.playbook("playbooks/headers.yml", "-e", f"sender={sender['address']}", "-e", json.dumps({"subject": "tra cứu"}), *who)
    assert found.returncode == 0, found.stdout + found.stderr
    assert subject in found.stdout and "executable" in found.stdout
    other = system.playbook("playbooks/headers.yml", "-e", "sender=khong-co@outside.example", "--check", *who)
    assert "Không có thư nào" in other.stdout
    lines = [json.loads(line) for line in system.run("cat", journal).splitlines()[count:]]
    assert [(line["act"], line["mailbox"], line["operator"], line["reason"]) for line in lines] == [
        ("header-search", address, "khanh", "xác minh đơn thư") for address in (sender["address"], "khong-co@outside.example")
    ], "who looked, and with --check too"
    assert lines[0]["after"] == {"sender": sender["address"], "subject": "tra cứu"}
