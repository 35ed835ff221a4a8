"""The files load as zones, their keys are the real ones, and no host is touched."""

import pathlib
import re

import dkim
import dns.zone
import pytest
from testing import ROOT, play, said

CONVERGE = f"{ROOT}/roles/dns/molecule/dns/converge.yml"
ZONES = pathlib.Path(ROOT) / "build/molecule/dns/zones"


def zone(domain):
    """The zone file as dnspython reads it."""
    return dns.zone.from_file(str(ZONES / f"{domain}.zone"), origin=domain, relativize=False, check_origin=False)


def values(domain, name, kind):
    """The data of the records of a name, as text."""
    found = zone(domain).get_rdataset(name + ".", kind)
    return sorted(map(str, found or []))


def test_records_of_the_domain():
    assert values("lab.test", "lab.test", "MX") == ["10 mail.lab.test.", "20 elsewhere.test."]
    assert values("lab.test", "mail.lab.test", "AAAA") == ["2001:db8::25"]
    assert values("lab.test", "lab.test", "TXT") == ['"v=spf1 mx -all"']
    assert values("lab.test", "autoconfig.lab.test", "CNAME") == ["mail.lab.test."]
    assert values("lab.test", "_imaps._tcp.lab.test", "SRV") == ["0 1 993 mail.lab.test."]
    assert values("lab.test", "_pop3s._tcp.lab.test", "SRV") == []
    assert "Gửi đơn vị quản lý vùng lab.test" in (ZONES / "lab.test.zone").read_text(encoding="utf-8")


def test_a_former_domain_takes_mail_and_leads_to_the_services():
    """Clients that are given an old address, and servers that ask for its policy, find them; but where the certificate lacks its names."""
    assert values("old.test", "old.test", "MX") == ["10 mail.lab.test.", "20 elsewhere.test."]
    assert values("old.test", "_dmarc.old.test", "TXT") == ['"v=DMARC1; p=quarantine; rua=mailto:postmaster@lab.test"']
    assert values("lab.test", "old.test._report._dmarc.lab.test", "TXT") == ['"v=DMARC1"']
    assert values("old.test", "_smtp._tls.old.test", "TXT") == ['"v=TLSRPTv1; rua=mailto:postmaster@lab.test"']
    assert values("old.test", "_imaps._tcp.old.test", "SRV") == ["0 1 993 mail.lab.test."]
    assert values("old.test", "_mta-sts.old.test", "TXT") == values("lab.test", "_mta-sts.lab.test", "TXT") == ['"v=STSv1; id=20261122a;"']
    for name in ("autoconfig", "autodiscover", "mta-sts"):
        assert values("old.test", f"{name}.old.test", "CNAME") == ["mail.lab.test."]
        assert values("older.test", f"{name}.older.test", "CNAME") == []
    assert values("older.test", "older.test", "MX") == values("old.test", "old.test", "MX")
    assert values("older.test", "_smtp._tls.older.test", "TXT") and not values("older.test", "_mta-sts.older.test", "TXT")


def test_a_signature_verifies_by_the_record(host):
    key = host.check_output("cat /var/lib/rspamd/dkim/lab.test.s1.key").encode()
    message = b"From: a@lab.test\r\nSubject: x\r\n\r\nbody\r\n"
    signed = dkim.sign(message, b"s1", b"lab.test", key) + message

    def record(name, timeout=5):
        rdataset = zone("lab.test").get_rdataset(name.decode(), "TXT")
        return b"".join(rdataset[0].strings)

    assert dkim.verify(signed, dnsfunc=record)
    assert not dkim.verify(signed.replace(b"body", b"boby"), dnsfunc=record)


@pytest.mark.parametrize(
    ("certificate", "verdict"),
    [("mail", "Verification: OK"), ("other", "Verification error: no matching DANE TLSA records")],
)
def test_a_client_knows_the_server_by_the_tlsa_record(host, certificate, verdict):
    (tlsa,) = values("lab.test", "_25._tcp.mail.lab.test", "TLSA")
    files = f"-cert /etc/congvu-mail/tls/{certificate}.crt -key /etc/congvu-mail/tls/{certificate}.key"
    answer = host.check_output(
        f"log=$(mktemp); openssl s_server -accept 127.0.0.1:0 {files} -www -naccept 1 >$log 2>&1 & "
        "until port=$(sed -n 's/^ACCEPT .*://p' $log) && [ -n \"$port\" ]; do sleep 0.1; done; "
        "openssl s_client -connect 127.0.0.1:$port -dane_tlsa_domain mail.lab.test "
        f"-dane_tlsa_rrdata '{tlsa}' </dev/null 2>&1"
    )
    assert verdict in answer


def test_no_host_is_changed():
    result = play(CONVERGE, "-e", f"dns_directory={ROOT}/build/molecule/dns/fresh", "--check", "--diff")
    assert result.returncode == 0, said(result)
    assert not (ZONES.parent / "fresh").exists()
    changed = [line for line in result.stdout.splitlines() if line.startswith("changed:")]
    assert changed
    assert all("-> localhost" in line for line in changed), changed


def test_a_change_is_predicted():
    before = (ZONES / "lab.test.zone").read_bytes()
    result = play(CONVERGE, "-e", "dns_dmarc_policy=reject", "--check", "--diff")
    assert re.search(r'^\+_dmarc\.lab\.test\. +3600 IN TXT +"v=DMARC1; p=reject;', result.stdout, re.MULTILINE)
    assert (ZONES / "lab.test.zone").read_bytes() == before


def test_a_missing_key_is_told_with_its_remedy():
    result = play(CONVERGE, "-e", '{"dns_dkim_selectors": [{"domain": "lab.test", "selector": "s9"}]}')
    assert result.returncode != 0
    assert "/var/lib/rspamd/dkim/lab.test.s9.txt" in said(result)
    assert "correct dns_dkim_selectors" in said(result)


def test_wrong_values_are_told_at_once():
    wrong = '{"dns_hosts": [{"name": "mail", "addresses": ["192.0.2.256"]}]}'
    result = play(CONVERGE, "-e", wrong)
    assert result.returncode != 0
    assert "'192.0.2.256' of mail is not an IP address" in said(result)
    assert "'mail' is not a full host name" in said(result)
