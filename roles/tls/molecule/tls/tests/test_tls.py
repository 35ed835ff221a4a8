"""Certificates verify against the CA, only the group reads the keys, and an expiring one is renewed."""

from testing import ROOT, play, said


def test_chain_and_names(host):
    verify = "openssl verify -CAfile /etc/congvu-mail/tls/ca.crt -verify_hostname {} /etc/congvu-mail/tls/mail.crt"
    host.run_expect([0], verify.format("autoconfig.lab.test"))
    refused = host.run(verify.format("www.lab.test"))
    assert refused.rc == 2
    assert "hostname mismatch" in refused.stderr


def test_key_belongs_to_certificate_and_is_closed(host):
    public = host.check_output("openssl x509 -in /etc/congvu-mail/tls/mail.crt -noout -pubkey")
    assert host.check_output("openssl pkey -in /etc/congvu-mail/tls/mail.key -pubout") == public
    assert host.run("setpriv --reuid=nobody --clear-groups cat /etc/congvu-mail/tls/mail.key").rc == 1
    assert host.file("/etc/congvu-mail/ca/ca.key").mode == 0o600
    assert host.file("/etc/congvu-mail/ca").mode == 0o700


def test_renewal_keeps_the_key(host):
    """A certificate valid for fewer days than asked for is renewed by the next run; its key and the CA stay."""
    before = host.check_output("cat /etc/congvu-mail/tls/mail.crt")
    ca, key = host.check_output("cat /etc/congvu-mail/tls/ca.crt"), host.check_output("sha256sum /etc/congvu-mail/tls/mail.key")
    result = play(f"{ROOT}/roles/tls/molecule/tls/converge.yml", "-e", "tls_minimum_days=400")
    # 397 days are fewer than 400: renewed, and then still refused by the check, which names the remedy.
    assert "must be valid for at least" in said(result)
    assert host.check_output("cat /etc/congvu-mail/tls/mail.crt") != before
    assert host.check_output("cat /etc/congvu-mail/tls/ca.crt") == ca
    assert host.check_output("sha256sum /etc/congvu-mail/tls/mail.key") == key


def test_drift_is_repaired(host):
    host.run_expect([0], "chmod 644 /etc/congvu-mail/tls/mail.key && echo >/etc/congvu-mail/tls/mail.crt")
    result = play(f"{ROOT}/roles/tls/molecule/tls/converge.yml")
    assert result.returncode == 0, result.stdout
    assert host.file("/etc/congvu-mail/tls/mail.key").mode == 0o640
    host.run_expect([0], "openssl verify -CAfile /etc/congvu-mail/tls/ca.crt /etc/congvu-mail/tls/mail.crt")
