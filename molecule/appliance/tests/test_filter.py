"""Viruses, executables and spam are refused where the sender still hears it, on every way in."""

import io
import zipfile

import pytest
from mail import compose, refusal

# The two test patterns everybody uses; split so that no scanner of this file takes them for the real thing.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def zipped(name, content, depth=1):
    """The content in a zip, in a zip, ..."""
    for _ in range(depth):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        name, content = "goi.zip", buffer.getvalue()
    return content


BAD = {
    "virus": ("mau.txt", EICAR),
    "virus-zipped": ("mau.zip", zipped("mau.txt", EICAR)),
    "virus-zipped-thrice": ("mau.zip", zipped("mau.txt", EICAR, 3)),
    "program": ("Báo cáo.exe", b"MZ" + bytes(200)),
    "program-upper": ("BAOCAO.EXE", b"MZ" + bytes(200)),
    "program-double": ("baocao.pdf.exe", b"MZ" + bytes(200)),
    "program-zipped": ("baocao.zip", zipped("baocao.exe", b"MZ" + bytes(200))),
    "program-zipped-twice": ("baocao.zip", zipped("baocao.exe", b"MZ" + bytes(200), 2)),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("way", ["submission", "smtp"])
def test_refused_at_once(system, sender, receiver, case, way):
    name, content = BAD[case]
    account = sender if way == "submission" else None
    origin = sender["address"] if way == "submission" else "a@outside.example"
    message = compose(origin, receiver["address"], "tệp", attachments=[(name, content)])
    answer = refusal(lambda: system.send(message, origin, [receiver["address"]], way, account))
    assert answer.code == 554, answer


@pytest.mark.parametrize("way", ["submission", "smtp"])
def test_gtube_is_refused(system, sender, receiver, way):
    account = sender if way == "submission" else None
    origin = sender["address"] if way == "submission" else "a@outside.example"
    message = compose(origin, receiver["address"], "x", text=GTUBE + "\n")
    answer = refusal(lambda: system.send(message, origin, [receiver["address"]], way, account))
    assert answer.code == 554, answer


@pytest.mark.parametrize("name", ["Báo cáo.docx", "bang-tinh.xlsx", "a.exe.pdf", "www.vi-du.com.txt"])
def test_names_that_only_look_alike_pass(system, sender, receiver, name):
    message = compose(sender["address"], receiver["address"], "xem www.vi-du.com", attachments=[(name, b"noi dung")])
    system.send(message, sender["address"], [receiver["address"]], account=sender)
    assert system.wait_for(receiver, message["Message-ID"])
