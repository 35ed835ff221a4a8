"""One helper service down: mail waits, and arrives once it is back. Never unchecked, never bounced."""

import pytest
from mail import Refused, compose, refusal, wait_until
from test_operations import lines


@pytest.mark.parametrize("service", ["clamav-daemon", "rspamd", "valkey-server", "slapd", "unbound", "dovecot"])
def test_mail_waits(system, sender, receiver, service):
    """From outside, as another mail server sends: a refusal may only be a temporary one."""
    units = [service, "clamav-daemon.socket"] if service == "clamav-daemon" else [service]
    message = compose("a@outside.example", receiver["address"], f"khi {service} ngừng")

    def attempt():
        system.send(message, "a@outside.example", [receiver["address"]], "smtp")

    system.run("systemctl", "stop", *units)
    try:
        try:
            attempt()
            taken = True
        except Refused as answer:
            taken = False
            assert 400 <= answer.code < 500, f"{service} down: {answer}"
    finally:
        system.run("systemctl", "start", *reversed(units))
    if taken:
        system.run("postqueue", "-f")
    else:
        wait_until(lambda: accepted(attempt), 90, f"{service} is back but mail is still refused")
    got = system.wait_for(receiver, message["Message-ID"], timeout=90)
    # Whoever let it in has looked at it: every message that passed the filter carries its verdict.
    assert got["Authentication-Results"], "delivered without the filter's mark"
    system.run("systemctl", "is-active", *units)


def accepted(attempt):
    """Whether the server takes it now."""
    try:
        attempt()
    except Refused as answer:
        assert 400 <= answer.code < 500, answer
        return False
    return True


def test_a_virus_does_not_slip_through_while_the_scanner_is_down(system, receiver):
    from test_filter import EICAR

    message = compose("a@outside.example", receiver["address"], "x", attachments=[("mau.txt", EICAR)])
    system.run("systemctl", "stop", "clamav-daemon", "clamav-daemon.socket")
    try:
        with pytest.raises(Refused) as info:
            system.send(message, "a@outside.example", [receiver["address"]], "smtp")
        assert 400 <= info.value.code < 500
    finally:
        system.run("systemctl", "start", "clamav-daemon.socket", "clamav-daemon")

    def refused_for_good():
        try:
            system.send(message, "a@outside.example", [receiver["address"]], "smtp")
        except Refused as answer:
            return answer.code == 554
        raise AssertionError("a virus was accepted")

    wait_until(refused_for_good, 60)


def test_logins_fail_softly_without_the_directory(system, receiver):
    """A directory that is down is no wrong password: mail programs would ask the user for another one."""
    system.run("systemctl", "stop", "slapd")
    try:
        with pytest.raises(Refused) as imap:
            system.imap(receiver)
        assert "UNAVAILABLE" in imap.value.text
        for service in ("submission", "submissions"):
            answer = refusal(lambda service=service: system.smtp(service, receiver))
            assert 400 <= answer.code < 500, f"{service}: {answer}"
    finally:
        system.run("systemctl", "start", "slapd")
    wait_until(lambda: accepted(lambda: system.imap(receiver).logout()), 30)


def test_mail_waits_while_the_mail_store_is_full(system, people, sender):
    """No room for one mailbox, as Dovecot sees it: 451 4.2.0 for its letter, which arrives by itself once there is room."""
    receiver = people[2]
    uid = system.run("doveadm", "user", "-f", "user", receiver["address"]).strip()
    home, full = f"/srv/mail/{uid}", f"/srv/mail/{uid}/full"
    dovecot = ("nsenter", "-m", "-t", system.run("systemctl", "show", "-P", "MainPID", "dovecot").strip())
    message = compose(sender["address"], receiver["address"], "khi đĩa đầy", text="x" * 3000)
    system.run(*dovecot, "mount", "-t", "tmpfs", "-o", "size=1m,uid=5000,gid=5000,mode=700", "none", home)
    try:
        system.run(*dovecot, "sh", "-c", f"cat /dev/zero >{full} || true")
        system.send(message, sender["address"], [receiver["address"]], account=sender)
        said = "said: 451 4.2.0"
        wait_until(lambda: said in system.run("postqueue", "-j"), 60, lambda: system.run("postqueue", "-j"))
        system.run(*dovecot, "rm", full)
        system.run("postqueue", "-f")
        assert system.wait_for(receiver, message["Message-ID"])
    finally:
        system.run("doveadm", "kick", uid, check=False)
        system.run(*dovecot, "umount", "--lazy", home)


def test_a_full_disk_of_the_backup_is_told_and_harms_nothing(system):
    """The disk that is mounted there, not the one of the system; the next backup goes through once there is room."""
    store = "/srv/backup"
    size = f"size=$(($(du -sk {store} | cut -f1) + 400))k,mode=700"
    system.run(
        "sh",
        "-ec",
        f"mount -t tmpfs -o {size} none /mnt; cp -a {store}/. /mnt/; mount --bind /mnt {store}; cat /dev/zero >{store}/full || true",
    )
    try:
        system.run("systemctl", "start", "congvu-backup@run", check=False)
        shown = system.playbook("playbooks/status.yml")
        system.run("rm", f"{store}/full")
        system.run("mount", "-o", "remount,size=2g", "/mnt")
        system.run("systemctl", "start", "congvu-backup@run")
    finally:
        system.run("umount", store, "/mnt")
    assert shown.returncode != 0
    assert ("LỖI", f"{store}: đã dùng 100%, còn 0,0 GiB") in lines(shown, "Đĩa"), shown.stdout
    ((level, detail),) = lines(shown, "Sao lưu")
    assert level == "LỖI" and "THẤT BẠI" in detail and "no space left on device" in detail, detail
    assert "tăng đĩa trước khi đầy" in " ".join(shown.stdout.split())
