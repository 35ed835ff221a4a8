"""One helper service down: mail waits, and arrives once it is back. Never unchecked, never bounced."""

import pytest
from mail import Refused, compose, refusal, wait_until


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
