"""The records of a mail domain load as a zone, and each says what its RFC asks for."""

import base64
import datetime
import hashlib
import importlib.util
import pathlib

import dns.rdatatype
import dns.zone
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PATH = pathlib.Path(__file__).parents[2] / "filter_plugins" / "zone_records.py"
SPEC = importlib.util.spec_from_file_location("zone_records", PATH)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
zone_records = MODULE.zone_records

DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
RSA = base64.b64encode(rsa.generate_private_key(65537, 2048).public_key().public_bytes(*DER)).decode()
# The form that `rspamadm dkim_keygen` prints.
DKIM = f's1._domainkey IN TXT ( "v=DKIM1; k=rsa; " \n\t"p={RSA[:200]}"\n\t"{RSA[200:]}" ) ;\n'


def certificate():
    """A self-signed certificate in PEM form, and the SHA-256 of its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), hashlib.sha256(key.public_key().public_bytes(*DER)).hexdigest()


PEM, SPKI = certificate()
FULL = {
    "domain": "example.org",
    "hosts": [
        {"name": "mail.example.org", "addresses": ["192.0.2.25", "2001:DB8::25"]},
        {"name": "mx2.example.org", "addresses": ["192.0.2.26"]},
        {"name": "relay.example.net", "addresses": ["192.0.2.27"]},
    ],
    "exchangers": [{"name": "mx2.example.org", "preference": 20}, {"name": "mail.example.org", "preference": 10}],
    "spf": ["mx", "ip4:192.0.2.0/24"],
    "dkim": {"s1": DKIM},
    "dmarc_policy": "quarantine",
    "dmarc_reports": "postmaster@example.org",
    "dmarc_report_domains": ["example.net"],
    "tls_reports": "postmaster@example.org",
    "protocols": ["web", "imap", "pop3", "smtp", "sieve"],
    "access_host": "mail.example.org",
    "submission_host": "mail.example.org",
    "web_host": "mail.example.org",
    "web_aliases": ["autoconfig", "autodiscover"],
    "mta_sts_id": "20261122",
    "caa": ["ca.example.net"],
    "certificates": {"mail.example.org": PEM, "relay.example.net": PEM},
}


def load(data):
    """The records as dnspython reads them: {(name, type): [data]}."""
    text = "\n".join(line for lines in zone_records(data).values() for line in lines) + "\n"
    zone = dns.zone.from_text(text, origin=data["domain"], relativize=False, check_origin=False)
    found = {}
    for name, _ttl, rdata in zone.iterate_rdatas():
        found.setdefault((str(name), dns.rdatatype.to_text(rdata.rdtype)), []).append(rdata)
    return found


def texts(rdatas):
    """TXT records with their strings joined."""
    return sorted(b"".join(r.strings).decode() for r in rdatas)


def test_everything_loads_and_nothing_is_left_out():
    found = load(FULL)
    assert {key: len(rdatas) for key, rdatas in found.items()} == {
        ("example.org.", "MX"): 2,
        ("example.org.", "TXT"): 1,
        ("example.org.", "CAA"): 2,
        ("mail.example.org.", "A"): 1,
        ("mail.example.org.", "AAAA"): 1,
        ("mail.example.org.", "TXT"): 1,
        ("mx2.example.org.", "A"): 1,
        ("mx2.example.org.", "TXT"): 1,
        ("s1._domainkey.example.org.", "TXT"): 1,
        ("_dmarc.example.org.", "TXT"): 1,
        ("example.net._report._dmarc.example.org.", "TXT"): 1,
        ("_smtp._tls.example.org.", "TXT"): 1,
        ("_mta-sts.example.org.", "TXT"): 1,
        ("mta-sts.example.org.", "CNAME"): 1,
        ("autoconfig.example.org.", "CNAME"): 1,
        ("autodiscover.example.org.", "CNAME"): 1,
        ("_imaps._tcp.example.org.", "SRV"): 1,
        ("_imap._tcp.example.org.", "SRV"): 1,
        ("_pop3s._tcp.example.org.", "SRV"): 1,
        ("_sieve._tcp.example.org.", "SRV"): 1,
        ("_submissions._tcp.example.org.", "SRV"): 1,
        ("_submission._tcp.example.org.", "SRV"): 1,
        ("_autodiscover._tcp.example.org.", "SRV"): 1,
        ("_25._tcp.mail.example.org.", "TLSA"): 1,
    }


def test_values():
    found = load(FULL)
    assert sorted((r.preference, str(r.exchange)) for r in found["example.org.", "MX"]) == [
        (10, "mail.example.org."),
        (20, "mx2.example.org."),
    ]
    assert texts(found["example.org.", "TXT"]) == ["v=spf1 mx ip4:192.0.2.0/24 -all"]
    assert texts(found["_dmarc.example.org.", "TXT"]) == ["v=DMARC1; p=quarantine; rua=mailto:postmaster@example.org"]
    assert str(found["mail.example.org.", "AAAA"][0]) == "2001:db8::25"
    assert str(found["_imaps._tcp.example.org.", "SRV"][0]) == "0 1 993 mail.example.org."
    assert str(found["_25._tcp.mail.example.org.", "TLSA"][0]) == f"3 1 1 {SPKI}"
    assert sorted(map(str, found["example.org.", "CAA"])) == ['0 issue "ca.example.net"', '0 issuewild ";"']


@pytest.mark.parametrize("record", [DKIM, f"v=DKIM1; k=rsa; p={RSA}\n"])
def test_a_long_key_is_split_into_strings_and_stays_whole(record):
    (rdata,) = load({**FULL, "dkim": {"s1": record}})["s1._domainkey.example.org.", "TXT"]
    assert [len(s) for s in rdata.strings][0] == 255
    assert b"".join(rdata.strings).decode() == f"v=DKIM1; k=rsa; p={RSA}"


def test_only_protocols_that_are_offered():
    found = load({**FULL, "protocols": ["imap"]})
    assert {name for name, kind in found if kind == "SRV"} == {"_imaps._tcp.example.org.", "_imap._tcp.example.org."}


def test_order_of_the_input_does_not_matter():
    """But for the terms of SPF, which a receiver tries one after the other (RFC 7208 4.6.2)."""
    turned = {key: value[::-1] if isinstance(value, list) and key != "spf" else value for key, value in reversed(FULL.items())}
    assert zone_records(turned) == zone_records(FULL)


def test_an_alias_that_is_a_host_keeps_its_address():
    hosts = [*FULL["hosts"], {"name": "autoconfig.example.org", "addresses": ["192.0.2.80"]}]
    found = load({**FULL, "hosts": hosts})
    assert ("autoconfig.example.org.", "CNAME") not in found
    assert str(found["autoconfig.example.org.", "A"][0]) == "192.0.2.80"


def test_a_domain_alone_needs_nothing_else():
    assert load({"domain": "example.org", "exchangers": [{"name": "mail.example.net"}], "spf": ["mx"]}).keys() == {
        ("example.org.", "MX"),
        ("example.org.", "TXT"),
    }


def test_everything_wrong_is_told_at_once():
    bad = {
        **FULL,
        "hosts": [{"name": "máy.example.org", "addresses": ["192.0.2.256"]}],
        "spf": ["all"] + ["include:a.example.org"] * 11,
        "dkim": {"s1": "v=DKIM1; p=???"},
        "dmarc_reports": "nobody",
        "protocols": ["imaps"],
        "mta_sts_id": "a b",
        "certificates": {"mail.example.org": "no certificate"},
    }
    with pytest.raises(ValueError, match="cannot be made") as told:
        zone_records(bad)
    for words in (
        "'máy.example.org' is not a full host name",
        "'192.0.2.256' of máy.example.org is not an IP address",
        "'all' is not a term",
        "at most 10",
        "selector 's1' is no DKIM record",
        "dmarc_reports: 'nobody' is not a mail address",
        "'imaps' is none of imap, pop3, sieve, smtp, web",
        "'a b' must be 1 to 32",
        "that of mail.example.org. cannot be read",
    ):
        assert words in str(told.value)
