"""What is forbidden does not pass hidden in a structure, an encoding or a name that mail programs read otherwise than the filter does, and
what real mail programs write passes. All of it comes from a user who is logged in, whom no greylist delays."""

import base64
import binascii
import quopri
import unicodedata
import uuid

import pytest
from milter import decide
from samples import EICAR, GTUBE, tarred, zipped
from test_rspamd import OWN
from test_rspamd import ip as ip
from test_rspamd import milter as milter

END = " Lien he: hotro@example.gov.vn."
FORM = (
    "5.7.1 Thu chia manh hoac cau truc MIME sai quy cach, moi phan mem doc mot khac nen khong quet duoc ({}). "
    "Message in fragments or of an ambiguous MIME structure refused." + END
)
VIRUS = "5.7.1 Thu co ma doc (Eicar-Test-Signature.UNOFFICIAL), da bi tu choi. Message refused: malware found." + END
NAME = '5.7.1 Tep dinh kem "a.exe" thuoc loai bi cam (Dieu 2 khoan 7). Attachment of a forbidden type refused.' + END
OLD = "5.7.1 Trong thu co tep thuoc loai bi cam (Dieu 2 khoan 7). Message with a uuencoded file of a forbidden type refused." + END
INSIDE = "5.7.1 Trong tep nen co tep .exe bi cam (Dieu 2 khoan 7). Archive with a file of a forbidden type refused." + END
SPAM = "5.7.1 Gtube pattern"


def b64(content):
    return base64.encodebytes(content).decode()


def qp(content):
    return quopri.encodestring(content).decode()


def word(text, charset="utf-8"):
    """An encoded word (RFC 2047)."""
    return f"=?{charset}?B?{base64.b64encode(text.encode(charset)).decode()}?="


def whole(body, kind='multipart/mixed; boundary="b"', *fields, subject="Bao cao"):
    """A message with this Content-Type and body."""
    head = [
        f"From: Nguyen Van Binh <{OWN}>",
        f"To: {OWN}",
        f"Subject: {subject}",
        "Date: Mon, 23 Nov 2026 08:00:00 +0700",
        f"Message-ID: <{uuid.uuid4()}@example.gov.vn>",
        "MIME-Version: 1.0",
        *([f"Content-Type: {kind}"] if kind else []),
        *fields,
    ]
    return ("\n".join(head) + "\n\n" + body).replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def lines(message):
    """A message to put into another."""
    return message.decode().replace("\r\n", "\n")


def part(body, *fields, kind="application/octet-stream", encoding="base64"):
    return "\n".join([f"Content-Type: {kind}", *([f"Content-Transfer-Encoding: {encoding}"] if encoding else []), *fields, "", body])


def mixed(*parts, b="b"):
    return "".join(f"--{b}\n{one}\n" for one in parts) + f"--{b}--\n"


def named(*fields, kind="application/octet-stream"):
    """A message with a file whose header has these fields."""
    return whole(mixed(WORDS, part("eA==\n", *fields, kind=kind)))


def disposed(parameters):
    return named(f"Content-Disposition: attachment; {parameters}")


def text(body, encoding, charset="utf-8"):
    """A message of one text."""
    coded = {"base64": b64, "quoted-printable": qp, "8bit": lambda content: content.decode("utf-8", "surrogateescape")}[encoding]
    return whole(coded(body), f"text/plain; charset={charset}", f"Content-Transfer-Encoding: {encoding}")


def uu(name, content):
    coded = [binascii.b2a_uu(content[i : i + 45]).decode() for i in range(0, len(content), 45)]
    return f"Xem:\nbegin 644 {name}\n{''.join(coded)}`\nend\n".encode()


def yenc(name, content):
    coded = [(byte + 42) % 256 for byte in content]
    body = b"".join(bytes([61, (byte + 64) % 256]) if byte in (0, 10, 13, 61) else bytes([byte]) for byte in coded)
    return f"=ybegin line=128 size={len(content)} name={name}\n".encode() + body + f"\n=yend size={len(content)}\n".encode()


WORDS = part("Kinh gui cac dong chi\n", kind="text/plain; charset=utf-8", encoding="7bit")
FILE = part("eA==\n", 'Content-Disposition: attachment; filename="a.txt"')

# --- structure: refused whatever the file is --------------------------------------------------------------------------------------------

DELIMITER = f"--b\n{WORDS}\n--b{{}}\n{FILE}\n--b--\n"
BESIDE = f"--b\n{WORDS}\n--c\n{FILE}\n--c--\n--b--\n"
STRUCTURES = {
    "a blank behind the boundary": (whole(DELIMITER.format(" ")), "dong phan cach"),
    "a tab behind the boundary": (whole(DELIMITER.format("\t")), "dong phan cach"),
    "more behind the boundary": (whole(DELIMITER.format("x")), "dong phan cach"),
    "the boundary in capitals, within a file": (whole(mixed(part(f"eHh4\n--B\n{b64(b'yyy')}"))), "dong phan cach"),
    "a part after the end": (whole(f"--b\n{WORDS}\n--b--\n--x\n\n\n\n--b\n{FILE}\n--b--\n"), "dong phan cach"),
    "one boundary twice": (whole(mixed(WORDS, part(mixed(WORDS, FILE), kind="multipart/mixed; boundary=b", encoding=None))), "boundary"),
    "two boundaries": (whole(BESIDE, "multipart/mixed; boundary=b; boundary=c"), "boundary"),
    "a boundary in a comment": (whole(BESIDE, "multipart/mixed; (boundary=b) boundary=c"), "boundary"),
    "a boundary in pieces": (whole(BESIDE, "multipart/mixed; boundary*0=b; boundary*1=c"), "boundary"),
    "two headers": (whole(BESIDE, "multipart/mixed; boundary=b\nContent-Type: multipart/mixed; boundary=c"), "boundary"),
    "a text and a whole": (whole(mixed(FILE), "text/plain\nContent-Type: multipart/mixed; boundary=b"), "Content-Type"),
    "a text and a whole, within": (
        whole(mixed(part(mixed(FILE, b="c"), "Content-Type: multipart/mixed; boundary=c", kind="text/plain", encoding=None))),
        "Content-Type",
    ),
    "a line in a header that is none": (whole(mixed(WORDS, "Kinh gui\n" + FILE)), "tieu de Content"),
    "NUL in a name": (disposed('filename="a.exe\0.txt"'), "tieu de Content"),
    "CR in a header": (named('X: y\rContent-Disposition: attachment; filename="a.txt"'), "tieu de Content"),
    "in a message": (
        whole(
            mixed(
                part(
                    lines(whole(DELIMITER.replace("--b", "--c").format(" "), "multipart/mixed; boundary=c")),
                    kind="message/rfc822",
                    encoding=None,
                )
            )
        ),
        "dong phan cach",
    ),
    "in an encoded message": (whole(mixed(part(b64(whole(DELIMITER.format(" "))), kind="message/rfc822"))), "dong phan cach"),
    "an encoded whole": (
        whole(mixed(part(qp(mixed(FILE, b="c").encode()), kind="multipart/mixed; boundary=c", encoding="quoted-printable"))),
        "multipart quoted-printable",
    ),
    "a fragment": (whole("x", "message/partial; id=a; number=1; total=2"), "message/partial"),
    "a name in pieces, one of them twice": (disposed("filename*0=a.; filename*1=exe; filename*0*=utf-8''b; filename*1*=.txt"), "filename"),
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_what_programs_read_differently_is_refused(milter, case):
    message, what = STRUCTURES[case]
    decision = decide(milter, message, sender=OWN, user="mime")
    assert (decision.code, decision.text) == (554, FORM.format(what))


# --- encodings, names -------------------------------------------------------------------------------------------------------------------

CODED = b64(EICAR)
CUT = EICAR.decode()[:20], EICAR.decode()[20:]
MANGLED = {
    "two encodings": part(CODED, "Content-Transfer-Encoding: base64", encoding="7bit"),
    "a comment": part(CODED, encoding="base64 (x)"),
    "a comment before": part(CODED, encoding="(x) base64"),
    "quotes": part(CODED, encoding='"base64"'),
    "a parameter": part(CODED, encoding="base64; x=y"),
    "no case": part(CODED, encoding="BaSe64"),
    "x-uuencode": part(uu("a.txt", EICAR).decode()[5:], encoding="x-uuencode"),
    "base64 with other characters": part("".join(f"{c}!" for c in CODED)),
    "base64 with bytes": part("é\n" + CODED),
    "base64 in two": part(b64(EICAR[:31]) + b64(EICAR[31:])),
    "base64 with a delimiter of nobody": part(CODED[:40] + "\n--!\n" + CODED[40:]),
    "quoted-printable in full": part(
        "".join(f"={byte:02x}" + ("=\n" if not i % 20 else "") for i, byte in enumerate(EICAR)), encoding="quoted-printable"
    ),
    "quoted-printable, blanks in a soft break": part("= \t\n".join(CUT), encoding="quoted-printable"),
}
OLD_VIRUS, OLD_EXE = b"a\n" + uu("a.txt", b"x") + uu("b.txt", EICAR), uu("a.txt", b"x") + uu("a.exe", b"x")
HIDDEN = {
    **{f"virus: {case}": (whole(mixed(WORDS, mangled)), VIRUS) for case, mangled in MANGLED.items()},
    "virus: encoded message": (whole(mixed(part(b64(whole(mixed(part(CODED)))), kind="message/rfc822"))), VIRUS),
    "virus: before the first part": (whole(f"{part(CODED)}\n--b\n{WORDS}\n--b--\n"), VIRUS),
    "virus: after the last part": (whole(f"--b\n{WORDS}\n--b--\n\n--b\n{part(CODED)}\n--b--\n"), VIRUS),
    "virus: text with a broken soft break": (whole("= \n".join(CUT), "text/plain", "Content-Transfer-Encoding: quoted-printable"), VIRUS),
    **{f"virus: uuencoded, {encoding}": (text(OLD_VIRUS, encoding), VIRUS) for encoding in ("8bit", "base64", "quoted-printable")},
    "virus: uuencoded, UTF-16": (text(OLD_VIRUS.decode().encode("utf-16"), "base64", "utf-16"), VIRUS),
    **{f"virus: yEnc, {encoding}": (text(yenc("a.txt", EICAR), encoding, "iso-8859-1"), VIRUS) for encoding in ("8bit", "base64")},
    **{f"exe: uuencoded, {encoding}": (text(OLD_EXE, encoding), OLD) for encoding in ("8bit", "base64", "quoted-printable")},
    "exe: uuencoded, UTF-16": (text(OLD_EXE.decode().encode("utf-16"), "base64", "utf-16"), OLD),
    "exe: uuencoded, a broken soft break": (
        whole(OLD_EXE.decode().replace("begin", "be= \ngin"), "text/plain", "Content-Transfer-Encoding: quoted-printable"),
        OLD,
    ),
    "exe: yEnc": (text(yenc("a.exe", b"x"), "8bit"), OLD),
    "exe: UTF-7": (disposed("filename*=utf-7''a%2BAC4-exe"), NAME),
    "exe: UTF-7, encoded word": (disposed('filename="=?utf-7?Q?a+AC4-exe?="'), NAME),
    "exe: UTF-16": (disposed("filename*=utf-16be''%00a%00.%00e%00x%00e"), NAME),
    "exe: UTF-16, encoded word": (disposed(f'filename="{word("a.exe", "utf-16")}"'), NAME),
    "exe: pieces, coded and not": (disposed("filename*0*=utf-8''a%2e; filename*1=\"ex\"; filename*2*=%65"), NAME),
    "exe: pieces in disorder": (disposed('filename*2=e; filename*1=ex; filename*0="a."'), NAME),
    "exe: pieces beside a whole": (disposed("filename=a.txt; filename*0=a.; filename*1=exe"), NAME),
    "exe: pieces of another parameter": (
        named("Content-Disposition: attachment; filename*0=b; filename*1=.txt", kind="application/octet-stream; name*0=a.; name*1=exe"),
        NAME,
    ),
    "exe: only the type says it": (
        named('Content-Disposition: attachment; filename="a.txt"', kind="application/octet-stream; name=a.exe"),
        NAME,
    ),
    "exe: two encoded words": (disposed('filename="=?utf-8?Q?a=2Ee?= =?utf-8?Q?xe?="'), NAME),
    "exe: an encoded word in pieces": (disposed('filename*0="=?utf-8?Q?a=2Ee"; filename*1="xe?="'), NAME),
    "exe: folded within the name": (disposed('filename="a.e\n xe"'), NAME),
    "exe: folded within the parameter": (disposed("file\n name=a.exe"), NAME),
    "exe: too long a name in a tar archive": (whole(mixed(part(b64(tarred("Báo cáo " * 20 + ".exe"))))), INSIDE),
    "exe: encoded message": (whole(b64(disposed("filename=a.exe")), "message/rfc822", "Content-Transfer-Encoding: base64"), NAME),
    **{f"spam: {encoding}": (text(f"x\n{GTUBE}\n".encode(), encoding), SPAM) for encoding in ("8bit", "base64", "quoted-printable")},
    "spam: UTF-16": (text(f"x\n{GTUBE}\n".encode("utf-16"), "base64", "utf-16"), SPAM),
    "spam: attached": (
        whole(mixed(WORDS, part(b64(f"x\n{GTUBE}\n".encode()), "Content-Disposition: attachment", kind="text/plain"))),
        SPAM,
    ),
    "spam: forwarded": (whole(mixed(part(lines(text(f"x\n{GTUBE}\n".encode(), "base64")), kind="message/rfc822", encoding=None))), SPAM),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_nothing_forbidden_passes_hidden(milter, case):
    message, words = HIDDEN[case]
    decision = decide(milter, message, sender=OWN, user="mime")
    assert (decision.code, decision.text) == (554, words)


# --- what real programs write -----------------------------------------------------------------------------------------------------------


def flat(kind, *parts, b, before="", closed=True, after="", fields=()):
    """A message of these parts as a program writes it."""
    body = before + "".join(f"--{b}\n{one}\n" for one in parts) + (f"--{b}--\n{after}" if closed else "")
    return whole(body, kind.format(b), *fields)


LETTER = "Kính gửi anh,\n\n-- \nVăn phòng\n"
PLAIN = part(b64(LETTER.encode()), kind='text/plain; charset="utf-8"')
HTML = part(qp(f"<p>{LETTER}</p>".encode()) + "\n", kind='text/html; charset="utf-8"', encoding="quoted-printable")
PDF = b64(b"%PDF-1.4\n" + bytes(range(256)))
FILENAME = "Báo cáo tháng 11 – số 12.pdf"
DECOMPOSED = unicodedata.normalize("NFD", FILENAME)
PERCENT = "".join(f"%{byte:02X}" for byte in DECOMPOSED.encode())
ENCLOSED = lines(flat('multipart/mixed; boundary="{}"', WORDS, part(PDF, 'Content-Disposition: attachment; filename="a.pdf"'), b="inner"))
FORWARDED = "Content-Type: message/rfc822\nContent-Disposition: attachment\n\n" + ENCLOSED
MIXED, REPORT = 'multipart/mixed; boundary="{}"', 'multipart/report; report-type=delivery-status;\n\tboundary="{}"'
STATUS = "Content-Type: message/delivery-status\n\nReporting-MTA: dns; outside.example\n\nFinal-Recipient: rfc822; x@y.example\n"
SIGNATURE = part(PDF, 'Content-Disposition: attachment;\n\tfilename="smime.p7s"', kind='application/x-pkcs7-signature;\n\tname="smime.p7s"')
OUTLOOK, THUNDERBIRD = "----=_NextPart_000_0012_01DC5C2A.5E1A2B30", "------------h0xQ2V6LJ0oWm1cTg0zJzXkC"
LEGITIMATE = {
    "Outlook": flat(
        'multipart/related;\n\tboundary="{}";\n\ttype="multipart/alternative"',
        f'Content-Type: multipart/alternative;\n\tboundary="{OUTLOOK.replace("000_0", "001_0")}"\n\n\n'
        + mixed(PLAIN, HTML, b=OUTLOOK.replace("000_0", "001_0")),
        part(PDF, f'Content-Disposition: attachment;\n\tfilename="{word(FILENAME)}"', kind=f'application/pdf;\n\tname="{word(FILENAME)}"'),
        b=OUTLOOK,
        before="This is a multipart message in MIME format.\n\n",
    ),
    "Outlook, signed, with a forwarded message": flat(
        'multipart/signed; protocol="application/x-pkcs7-signature"; micalg=SHA1;\n\tboundary="{}"',
        f'Content-Type: multipart/mixed;\n\tboundary="{OUTLOOK.replace("000_0", "001_0")}"\n\n\n'
        + mixed(PLAIN, FORWARDED, b=OUTLOOK.replace("000_0", "001_0")),
        SIGNATURE,
        b=OUTLOOK,
        before="This is a multipart message in MIME format.\n\n",
    ),
    "Gmail": flat(
        MIXED,
        'Content-Type: multipart/alternative; boundary="0000000000001c9e2b06441f2a11"\n\n'
        + mixed(PLAIN, HTML, b="0000000000001c9e2b06441f2a11"),
        part(PDF, f'Content-Disposition: attachment; filename="{word(FILENAME)}"', "Content-ID: <f_mib0x0>", "X-Attachment-Id: f_mib0x0"),
        b="0000000000001c9e2e06441f2a13",
    ),
    "Apple Mail": flat(
        'multipart/alternative;\n\tboundary="{}"',
        part("K=C3=ADnh g=E1=BB=ADi\n", kind="text/plain;\n\tcharset=utf-8", encoding="quoted-printable"),
        'Content-Type: multipart/mixed;\n\tboundary="Apple-Mail=_1B2C"\n\n\n'
        + mixed(
            part("<html></html>\n", kind="text/html;\n\tcharset=us-ascii", encoding="7bit"),
            part(
                PDF,
                f"Content-Disposition: attachment;\n\tfilename*=utf-8''{PERCENT}",
                kind=f'application/pdf;\n\tx-unix-mode=0644;\n\tname="{word(DECOMPOSED)}"',
            ),
            b="Apple-Mail=_1B2C",
        ),
        b="Apple-Mail=_1A2B3C",
    ),
    "Thunderbird, signed with PGP": flat(
        'multipart/signed; micalg=pgp-sha256;\n protocol="application/pgp-signature";\n boundary="{}"',
        f'Content-Type: multipart/mixed; boundary="{THUNDERBIRD}0";\n protected-headers="v1"\nSubject: x\n\n'
        + mixed(
            PLAIN,
            part(PDF, f"Content-Disposition: attachment;\n filename*0*=UTF-8''{PERCENT[:60]};\n filename*1*={PERCENT[60:]}"),
            b=THUNDERBIRD + "0",
        ),
        part("-----BEGIN PGP SIGNATURE-----\n\nwsB5BAAB\n-----END PGP SIGNATURE-----\n", kind="application/pgp-signature", encoding=None),
        b=THUNDERBIRD,
        before="This is an OpenPGP/MIME signed message (RFC 4880 and 3156)\n",
    ),
    "encrypted with PGP": flat(
        'multipart/encrypted; protocol="application/pgp-encrypted"; boundary="{}"',
        part("Version: 1\n", kind="application/pgp-encrypted", encoding=None),
        part("-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n", encoding=None),
        b="x",
    ),
    "Notes": flat(MIXED, PLAIN, HTML, b="=_mixed 0012345600258A5B_="),
    "a mail server's report": flat(
        REPORT,
        part("This is the mail system.\n", kind="text/plain; charset=us-ascii", encoding=None),
        STATUS,
        FORWARDED,
        b="4F2A1.1795/mail.outside.example",
        before="This is a MIME-encapsulated message.\n\n",
    ),
    "a report with the header only": flat(
        REPORT, PLAIN, STATUS, "Content-Type: text/rfc822-headers\n\n" + ENCLOSED.partition("\n\n")[0] + "\n", b="x/y"
    ),
    "a report in plain text": whole(
        "Hi. This is the qmail-send program.\n\n--- Below this line is a copy of the message.\n\n" + ENCLOSED, None
    ),
    "a read receipt": flat(
        'multipart/report; report-type=disposition-notification;\n boundary="{}"',
        PLAIN,
        "Content-Type: message/disposition-notification\n\nReporting-UA: x\nDisposition: manual-action/MDN-sent-manually; displayed\n",
        b="x",
    ),
    "an invitation": flat(
        MIXED,
        'Content-Type: multipart/alternative; boundary="c"\n\n'
        + mixed(
            PLAIN,
            HTML,
            part("BEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n", kind="text/calendar; method=REQUEST", encoding="7bit"),
            b="c",
        ),
        part(
            b64(b"BEGIN:VCALENDAR\n"), 'Content-Disposition: attachment; filename="invite.ics"', kind='application/ics; name="invite.ics"'
        ),
        b="d",
    ),
    "one message forwarded twice": flat(MIXED, PLAIN, FORWARDED, FORWARDED, b="d"),
    "a digest": flat('multipart/digest; boundary="{}"', "\n" + ENCLOSED, "\n" + ENCLOSED, b="d"),
    "names as they are": flat(
        MIXED, *(part(PDF, f'Content-Disposition: attachment; filename="{name}"') for name in (FILENAME, DECOMPOSED)), b="d"
    ),
    "not closed": flat(MIXED, PLAIN, HTML, b="d", closed=False),
    "one within not closed": flat(MIXED, f"Content-Type: multipart/alternative; boundary=e\n\n--e\n{PLAIN}\n--e\n{HTML}", PLAIN, b="d"),
    "closed twice": flat(MIXED, PLAIN, b="d", after="\n--d--\n"),
    "closed each time": flat(MIXED, PLAIN + "\n--d--", HTML, b="d"),
    "the footer of a list": flat(MIXED, PLAIN, HTML, b="d", after="\n-- \nDanh sach thu\n--------\n--\n"),
    "one boundary begins with another": flat(
        MIXED, 'Content-Type: multipart/alternative; boundary="x_alt"\n\n' + mixed(PLAIN, HTML, b="x_alt"), FILE, b="x"
    ),
    "lines that begin with dashes": flat(
        MIXED, part(f"-----Original Message-----\n--- a\n-- \nAn\n--\n{ENCLOSED}", kind="text/plain", encoding="8bit"), b="=_d"
    ),
    "parts without a header": flat(MIXED, "\nKinh gui\n", "\nKinh gui\n", b="d"),
    "a text right after the delimiter": flat(MIXED, "Kinh gui: anh An\nve viec\n\nx\n", b="d"),
    "the same type twice": whole("<p>x</p>", "text/html; charset=utf-8\nContent-Type: text/html", "Content-Transfer-Encoding: 8BIT"),
    "encodings of nobody": flat(
        MIXED,
        part("x\n", kind="text/plain", encoding="7-bit"),
        part("x\n", kind="text/plain", encoding="utf-8"),
        part(PDF, encoding="Base64 "),
        b="d",
    ),
    "no boundary": whole("Kinh gui\n\n-- \nAn\n", "multipart/alternative"),
    "a file that names a boundary": whole("x", 'text/plain; name="multipart boundary=x.txt"; boundary=y'),
    "an empty line in a folded subject": whole(mixed(WORDS), subject="Bao cao\n \n thang 11"),
    "a broken soft break": whole("Kinh gui= \ncac dong chi\n", "text/plain", "Content-Transfer-Encoding: quoted-printable"),
    "base64 without an end": whole(mixed(part(PDF.rstrip("=\n")))),
    "words that begin a file of old": text(b"begin 2026 voi tep a.exe moi\n=ybegin la gi?\nbegin 644 a.txt\n", "8bit"),
}


@pytest.mark.parametrize("case", LEGITIMATE)
def test_what_real_programs_write_passes(milter, case):
    decision = decide(milter, LEGITIMATE[case], sender=OWN, user="mime")
    assert (decision.code, decision.text) == (250, "")


# --- marks of secrecy -------------------------------------------------------------------------------------------------------------------


def decomposed(text):
    return unicodedata.normalize("NFD", text)


def subject(words):
    return whole("x\n", "text/plain", subject=word(words))


def html(words):
    return whole(b64(f"<p>x</p><p>{words}</p>".encode()), "text/html; charset=utf-8", "Content-Transfer-Encoding: base64")


MARKED = {
    "decomposed": subject(decomposed("[MẬT] x")),
    "spaced": subject("M Ậ T"),
    "spaced, decomposed": subject(decomposed("T U Y Ệ T  M Ậ T: x")),
    "full width": subject("ＴỐＩ ＭẬＴ"),
    "soft hyphens": subject("M\u00adẬ\u00adT"),
    "zero width": subject("TUYỆT\u200b M\u200bẬ\u200cT"),
    "as it is": whole("x\n", "text/plain", subject="TUYỆT MẬT"),
    "text, hard blank": text("x\nTỐI\u00a0MẬT\n".encode(), "base64"),
    "text, decomposed": text(decomposed("x\n  MẬT  \n").encode(), "base64"),
    "text, spaced": text("Kính gửi\n   T U Y Ệ T   M Ậ T\n".encode(), "base64"),
    "text, dots": text("x\nM.Ậ.T\n".encode(), "base64"),
    "text, word joiners": text("x\nT\u2060Ố\u2060I M\u2060Ậ\u2060T\n".encode(), "base64"),
    "HTML, entities": html("<b>T&#7888;I&nbsp;M&Acirc;&#803;T</b>"),
    "HTML, soft hyphens": html("M&shy;Ậ&shy;T"),
    "HTML, tags": html("<b>M</b><b>Ậ</b><b>T</b>"),
    "HTML, spaced": html("M Ậ T"),
    "HTML, comment": html("M<!-- x -->ẬT"),
    **{
        f"name, {case}": disposed(f'filename="{word(name)}"')
        for case, name in {
            "decomposed": decomposed("KH_TUYỆT_MẬT.pdf"),
            "spaced": "KH M Ậ T.odt",
            "zero width": "KH_M\u200bẬT.docx",
        }.items()
    },
    "name in an archive, decomposed": whole(mixed(part(b64(zipped((decomposed("TỐI MẬT.docx"), b"x")))))),
}
UNMARKED = {
    "other words": text("BẢO MẬT, B Ả O M Ậ T, BÍ MẬT, MẬT KHẨU, M Ậ T K H Ẩ U, ĐỘ MẬT, mật, m ậ t, Mật".encode(), "base64"),
    "parts of words": text("MẬ T, ẬT, CHẬT, KM ẬT".encode(), "base64"),
}


@pytest.mark.parametrize("case", [*MARKED, *UNMARKED])
def test_marks_are_noticed_however_they_are_written(milter, case):
    decision = decide(milter, (MARKED | UNMARKED)[case], sender=OWN, user="mime")
    assert (decision.code, decision.headers("X-Congvu-Flag")) == (250, ["secret-mark"] if case in MARKED else [])
