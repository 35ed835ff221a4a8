"""What clamd says of messages: viruses and forbidden files are found at any depth, and what it could not scan is never "OK"."""

import hashlib
import io
import pathlib
import socket
import struct
import tarfile
import threading
import zipfile

import pytest
from samples import BZIP2_7Z, tarred
from testing import play, said, wait_until

CONVERGE = str(pathlib.Path(__file__).parents[1] / "converge.yml")
# In two halves, or scanners would take this file for the virus it stands for.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
KNOWN_BY_FOLDER = b"a file that only the folder of the scenario knows\n"
LIMIT = 4 * 1024 * 1024
# Too long for the header of a tar archive.
LONG = "Báo cáo " * 20
RAR = bytes.fromhex("526172211a0700cf907300000d00000000000000") + b"x" * 50


def zipped(*files, method=zipfile.ZIP_DEFLATED):
    """A ZIP archive of (name, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def locked(name):
    """A ZIP archive that says of its member that it is encrypted."""
    data = bytearray(zipped((name, b"nothing to read here")))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def bomb(size, claimed=None):
    """A ZIP archive with one file of `size` zeros, whose headers say `claimed` bytes."""
    data = zipped(("zeros", bytes(size)))
    return data if claimed is None else data.replace(struct.pack("<I", size), struct.pack("<I", claimed))


def deep(levels):
    """Archives in archives."""
    data = b"core"
    for level in range(levels):
        data = zipped((f"{level}.zip", data))
    return data


@pytest.fixture(scope="module")
def address(host):
    """Where clamd answers over TCP."""
    return host.ansible.get_variables()["ansible_host"], 3310


def scan(address, data):
    """clamd's answer to a stream: "OK", "NAME FOUND" or "... ERROR" ("" when it hangs up in the middle)."""
    with socket.create_connection(address, 30) as connection:
        try:
            connection.sendall(b"zINSTREAM\0")
            for start in range(0, len(data), 65536):
                piece = data[start : start + 65536]
                connection.sendall(struct.pack(">I", len(piece)) + piece)
            connection.sendall(bytes(4))
            answer = connection.makefile("rb").read()
        except (BrokenPipeError, ConnectionResetError):
            return ""
    return answer.rstrip(b"\0").decode().removeprefix("stream: ")


@pytest.mark.parametrize(
    "data",
    [
        EICAR,
        zipped(("a.txt", EICAR)),
        zipped(("in.zip", zipped(("a.txt", EICAR)))),
        tarred("a.txt", EICAR),
        zipped(("locked.zip", locked("a")), ("b.txt", EICAR)),
        zipped(("a.rar", RAR), ("b.txt", EICAR)),
    ],
    ids=["plain", "zip", "zip in zip", "tar.gz", "behind a locked archive", "behind a RAR"],
)
def test_finds_a_virus(address, data):
    assert scan(address, data) == "Eicar-Test-Signature.UNOFFICIAL FOUND"


def test_finds_a_virus_through_the_local_socket(host):
    host.run_expect([0], f"printf %s '{EICAR.decode()}' >/root/eicar")
    assert "Eicar-Test-Signature.UNOFFICIAL FOUND" in host.run("clamdscan --stream --no-summary /root/eicar").stdout


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (zipped(("a.exe", b"x")), "exe"),
        (zipped(("BÁO CÁO.PDF.EXE", b"x")), "exe"),
        (zipped(("a.com. ", b"x")), "com"),
        (zipped(("in.zip", zipped(("in.zip", zipped(("d/a.dll", b"x")))))), "dll"),
        (tarred("d/a.net"), "net"),
        (tarred(LONG + ".exe"), "exe"),
        (tarred(LONG + ".EXE", form=tarfile.GNU_FORMAT, mode="w"), "exe"),
        (zipped(("a.tar", tarred("d" * 90 + f"/{LONG}.dll", form=tarfile.GNU_FORMAT, mode="w"))), "dll"),
        (locked("a.exe"), "exe"),
        (zipped(("d.docx", zipped(("word/embeddings/a.exe", b"x")))), "exe"),
    ],
)
def test_finds_forbidden_extensions_in_archives(address, data, extension):
    assert scan(address, data) == f"Congvu.ForbiddenExtension.{extension}.UNOFFICIAL FOUND"


@pytest.mark.parametrize("name", ["exe.txt", "a.executive.docx", "www.example.com/index.html", "dotnet", "a.exe.pdf"])
def test_other_names_are_clean(address, name):
    assert scan(address, zipped((name, b"x"))) == "OK"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert scan(address, tarred(LONG + name, form=form)) == "OK"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (locked("a.txt"), "Zip"),
        (RAR, "Unscannable-RAR.UNOFFICIAL"),
        (zipped(("a.rar", RAR)), "Unscannable-RAR.UNOFFICIAL"),
        (BZIP2_7Z, "Unscannable-7Z.UNOFFICIAL"),
    ],
)
def test_what_cannot_be_opened_counts_as_encrypted(address, data, kind):
    assert scan(address, data) == f"Heuristics.Encrypted.{kind} FOUND"


@pytest.mark.parametrize(
    "data",
    [
        bomb(64 << 20),
        bomb(64 << 20, claimed=1000),
        tarred("zeros", bytes(64 << 20)),
        deep(25),
        zipped(*((f"{i}", bytes([i]) * (3 << 20)) for i in range(8))),
    ],
    ids=["one large file", "with a lie about its size", "tar.gz", "too deep", "many files"],
)
def test_limits_are_alerts(address, data):
    assert len(data) < LIMIT
    assert scan(address, data).startswith("Heuristics.Limits.Exceeded")


def test_a_message_of_the_largest_size_is_scanned_and_a_larger_one_is_never_ok(address):
    archive = zipped(("a.txt", EICAR))
    largest = zipped(("fill", bytes(LIMIT - len(archive) - 400)), ("a.zip", archive), method=zipfile.ZIP_STORED)
    assert LIMIT - 1024 < len(largest) <= LIMIT
    assert scan(address, largest) == "Eicar-Test-Signature.UNOFFICIAL FOUND"
    for size in (LIMIT + 1, LIMIT + 100_000, 4 * LIMIT):
        assert scan(address, bytes(size)) in ("", "INSTREAM size limit exceeded. ERROR")


def test_scans_go_on_while_signatures_are_loaded(address, host):
    wrong, count, stop = [], [0, 0], threading.Event()

    def scan_on(number):
        turn = 0
        while not stop.is_set():
            turn += 1
            # Content that differs each time, or clamd would answer from its cache.
            fill = f"{number} {turn}".encode()
            for data, expected in ((zipped(("a", EICAR), ("b", fill)), "Eicar-Test-Signature.UNOFFICIAL FOUND"), (fill, "OK")):
                answer = scan(address, data)
                count[expected == "OK"] += 1
                if answer != expected:
                    wrong.append(answer)

    threads = [threading.Thread(target=scan_on, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    before = host.check_output("systemctl show -P MainPID clamav-daemon")
    done = int(host.check_output("journalctl -u clamav-daemon -o cat | grep -c 'Database correctly reloaded' || true"))
    for turn in range(1, 4):
        host.run_expect([0], "systemctl reload clamav-daemon")
        wait_until(
            lambda at_least=done + turn: (
                int(host.check_output("journalctl -u clamav-daemon -o cat | grep -c 'Database correctly reloaded' || true")) >= at_least
            ),
            60,
            "the reload",
        )
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(count) > 20
    assert host.check_output("systemctl show -P MainPID clamav-daemon") == before


def test_the_folder_s_signatures_are_loaded(address):
    assert scan(address, KNOWN_BY_FOLDER) == "Lab.KnownByFolder.UNOFFICIAL FOUND"


def test_a_signature_file_that_cannot_be_loaded_is_refused(address, host, tmp_path):
    (tmp_path / "bad.ndb").write_text("This is:not a:signature\n")
    before = host.check_output("systemctl show -P MainPID clamav-daemon")
    refused = play(CONVERGE, "--extra-vars", f"clamav_signature_directory={tmp_path}")
    assert refused.returncode
    assert "failed to validate" in said(refused)
    assert "Malformed database" in said(refused)
    assert not host.file("/var/lib/clamav/bad.ndb").exists
    assert host.check_output("systemctl show -P MainPID clamav-daemon") == before
    assert scan(address, EICAR) == "Eicar-Test-Signature.UNOFFICIAL FOUND"


def test_new_signatures_are_loaded_without_a_restart(address, host, tmp_path):
    new = b"known since today\n"
    (tmp_path / "new.hdb").write_text(f"{hashlib.md5(new).hexdigest()}:{len(new)}:Lab.Today\n")
    before = host.check_output("systemctl show -P MainPID clamav-daemon")
    assert scan(address, new) == "OK"
    assert play(CONVERGE, "--extra-vars", f"clamav_signature_directory={tmp_path}").returncode == 0
    wait_until(lambda: scan(address, new) == "Lab.Today.UNOFFICIAL FOUND", 30, "the new signature")
    assert host.check_output("systemctl show -P MainPID clamav-daemon") == before
    assert play(CONVERGE).returncode == 0


def test_nobody_is_asked_for_signatures(host):
    assert host.check_output("systemctl show -P LoadState,ActiveState --value clamav-freshclam").split() == ["masked", "inactive"]
    assert host.run("journalctl -o cat | grep -i clamav.net").rc == 1


def test_a_mirror_is_asked_and_nobody_else(host):
    """A web server on the host stands for the province's mirror: it has nothing, but it is asked."""
    host.run_expect([0], "systemd-run --quiet --unit lab-mirror -p WorkingDirectory=/srv python3 -m http.server --bind 127.0.0.1 8000")
    try:
        assert play(CONVERGE, "--extra-vars", '{"clamav_private_mirrors": ["http://127.0.0.1:8000"]}').returncode == 0
        asked = wait_until(
            lambda: host.run("journalctl -u lab-mirror -o cat | grep -o 'GET /[a-z.]*c[lv]d'").stdout,
            60,
            "a question to the mirror",
        )
        assert "GET /daily.c" in asked
        status = host.check_output("cat /proc/$(systemctl show -P MainPID clamav-freshclam)/status")
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapBnd:\t0000000000000000" in status
        assert exposure(host, "clamav-freshclam") <= 2.5
        assert host.run("journalctl -u clamav-freshclam -o cat | grep -i clamav.net").rc == 1
    finally:
        host.run("systemctl stop lab-mirror")
        assert play(CONVERGE).returncode == 0
    assert host.check_output("systemctl show -P ActiveState,LoadState --value clamav-freshclam").split() == ["masked", "inactive"]


def exposure(host, unit):
    """The score of systemd-analyze security."""
    return float(host.check_output(f"systemd-analyze security --no-pager {unit} | tail -1").split(": ")[1].split()[0])


def test_sandbox_on_the_live_process(host):
    pid = host.check_output("systemctl show -P MainPID clamav-daemon")
    status = host.check_output(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapBnd:\t0000000000000000" in status
    assert host.check_output(f"ps -o user= -p {pid}") == "clamav"
    # Its own network has nothing but a loopback: it can reach nobody.
    links = host.check_output(f"nsenter -t {pid} -n ip -brief link").splitlines()
    assert [link.split()[0] for link in links] == ["lo"]
    for path in ("/usr/x", "/etc/x", "/run/x", "/var/lib/clamav/x", "/srv/x"):
        assert "Read-only file system" in host.run(f"touch /proc/{pid}/root{path}").stderr, path
    assert exposure(host, "clamav-daemon") <= 2.5


def test_who_may_use_the_local_socket(host):
    control = host.file("/run/clamav/clamd.ctl")
    assert (control.user, control.group, control.mode) == ("clamav", "clamav", 0o660)
    refused = host.run("setpriv --reuid=65534 --regid=65534 --clear-groups clamdscan --ping 1")
    assert refused.rc and "Permission denied" in refused.stderr + refused.stdout


def test_a_crash_is_survived(address, host):
    host.run_expect([0], "systemctl kill -s KILL clamav-daemon")
    assert wait_until(lambda: scan(address, EICAR), 30, "an answer after the crash").startswith("Eicar")
