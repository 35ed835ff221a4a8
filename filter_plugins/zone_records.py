# SPDX-License-Identifier: Apache-2.0
"""Filter zone_records: the DNS records of a mail domain, in master file form."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DOCUMENTATION = r"""
name: zone_records
short_description: DNS records of a mail domain, in master file form
description:
  - Shapes what is known of a mail domain into lines of a zone (RFC 1035 section 5), by section, for a template to print.
  - Every name is in full, with its final dot, every line has its TTL and class. Long texts are split into strings of at most
    255 bytes (RFC 7208 3.3, RFC 6376 3.6.2.2). The order depends on the records only, not on the order of the input
    (but for the terms of SPF, which stay as they are given).
  - Records of hosts that lie in another zone are left out, so that the result always loads as a part of the zone C(domain).
options:
  _input:
    description: >-
      Mapping with the keys below; a missing key is an empty value and leaves its section empty.
    type: dict
    required: true
    suboptions:
      domain: {type: str, required: true, description: The mail domain, which is also the zone.}
      ttl: {type: int, default: 3600, description: Time to live in seconds.}
      hosts: {type: list, elements: dict, description: "C({name, addresses}), the mail system's hosts."}
      exchangers: {type: list, elements: dict, description: "C({name, preference}), RFC 5321 5.1."}
      spf: {type: list, elements: str, description: "Terms that may send, without C(all), which is always C(-all) (RFC 7208)."}
      dkim: {type: dict, description: "Selector to record: C(v=DKIM1; ...) or the line that C(rspamadm dkim_keygen) writes."}
      dmarc_policy: {type: str, description: "C(none), C(quarantine) or C(reject) (RFC 7489)."}
      dmarc_reports: {type: str, description: Address of DMARC's aggregate reports.}
      dmarc_report_domains: {type: list, elements: str, description: "Other domains whose reports may come here (RFC 7489 7.1)."}
      tls_reports: {type: str, description: Address of TLS reports (RFC 8460).}
      protocols: {type: list, elements: str, description: "Some of C(imap), C(pop3), C(sieve), C(smtp), C(web) (RFC 6186, 5804)."}
      access_host: {type: str, description: "Host of IMAP, POP3 and ManageSieve."}
      submission_host: {type: str, description: Host of submission.}
      web_host: {type: str, description: Host of the webmail.}
      web_aliases: {type: list, elements: str, description: "Labels below the domain that lead to C(web_host), as C(autoconfig)."}
      mta_sts_id: {type: str, description: "Serial of the MTA-STS policy (RFC 8461 3.1); empty: no such records."}
      caa: {type: list, elements: str, description: "CAs that may issue certificates (RFC 8659); empty: no such records."}
      certificates: {type: dict, description: "Exchanger to its certificate in PEM form, for TLSA 3 1 1 (RFC 7672)."}
notes:
  - C(ValueError) lists everything that is wrong at once.
"""
EXAMPLES = r"""
records: >-
  {{ {'domain': 'example.org', 'exchangers': [{'name': 'mail.example.org', 'preference': 10}], 'spf': ['mx']} | zone_records }}
# {mx: ["example.org.  3600 IN MX  10 mail.example.org."], spf: ['example.org.  3600 IN TXT "v=spf1 mx -all"'], hosts: [], ...}
"""
RETURN = r"""
_value:
  description: >-
    Mapping of section to lines, in the order C(mx), C(hosts), C(spf), C(dkim), C(dmarc), C(services), C(autoconfig), C(mta_sts),
    C(tls_reports), C(caa), C(tlsa).
  type: dict
"""

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
SPF_TERM = re.compile(r"[+?~-]?(a|mx|ip4:[0-9./]+|ip6:[0-9a-f:./]+|(a|mx|include|exists):\S+|(a|mx)/\S+)", re.IGNORECASE)
SPF_LOOKUPS = 10  # RFC 7208 4.6.4

# protocol: (service, priority, port, which host). Implicit TLS first (RFC 8314 3), then IMAP before POP3 (RFC 6186 3.4).
SERVICES = {
    "imap": (("_imaps", 0, 993, "access_host"), ("_imap", 10, 143, "access_host")),
    "pop3": (("_pop3s", 20, 995, "access_host"),),
    "sieve": (("_sieve", 0, 4190, "access_host"),),
    "smtp": (("_submissions", 0, 465, "submission_host"), ("_submission", 10, 587, "submission_host")),
    "web": (("_autodiscover", 0, 443, "web_host"),),
}


class Zone:
    """Collects records of one zone and what is wrong with them."""

    def __init__(self, domain: str, ttl: int) -> None:
        self.wrong: list[str] = []
        self.domain = self.name(domain, "domain")
        self.ttl = ttl

    def name(self, value: Any, what: str) -> str:
        """A host name in full, with its final dot."""
        text = str(value or "").lower().removesuffix(".")
        labels = text.split(".")
        if len(text) > 253 or len(labels) < 2 or not all(LABEL.fullmatch(label) for label in labels):
            self.wrong.append(f"{what}: {value!r} is not a full host name (letters, digits, hyphens, dots; an IDN in its xn-- form)")
        return text + "."

    def below(self, *labels: str) -> str:
        """A name below the domain."""
        return ".".join([*labels, self.domain])

    def holds(self, name: str) -> bool:
        """Whether the name lies in this zone."""
        return f".{name}".endswith(f".{self.domain}")

    def lines(self, records: Iterable[tuple[str, str, str]]) -> list[str]:
        """Records (name, type, data) as lines, sorted, in columns; those of other zones left out."""
        kept = sorted({r for r in records if self.holds(r[0])})
        width = max((len(name) for name, _, _ in kept), default=0)
        return [f"{name:{width}}  {self.ttl} IN {kind:<5} {data}" for name, kind, data in kept]

    def mailbox(self, value: str, what: str) -> str:
        """An address as a mailto URI."""
        local, _, host = str(value).rpartition("@")
        if not re.fullmatch(r"[A-Za-z0-9._+-]+", local):
            self.wrong.append(f"{what}: {value!r} is not a mail address")
        self.name(host, what)
        return f"mailto:{value}"


def txt(text: str) -> str:
    """A text as quoted strings of at most 255 bytes each."""
    data = text.encode("ascii")
    parts = [data[i : i + 255].decode("ascii") for i in range(0, len(data), 255)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)


def spf(zone: Zone, terms: list[str]) -> str:
    """The SPF record of the domain."""
    for term in terms:
        if not SPF_TERM.fullmatch(term):
            zone.wrong.append(f"spf: {term!r} is not a term that names senders (mx, a, ip4:, ip6:, include:, exists:)")
    lookups = [t for t in terms if not t.lstrip("+?~-").lower().startswith("ip")]
    if len(lookups) > SPF_LOOKUPS:
        zone.wrong.append(f"spf: {len(lookups)} terms need DNS look-ups, at most {SPF_LOOKUPS} are allowed; use ip4: and ip6:")
    return txt(" ".join(["v=spf1", *terms, "-all"]))


def dkim(zone: Zone, selector: str, text: str) -> str:
    """A DKIM record, given bare or as a line of a zone, whose strings may stand on several lines."""
    strings = re.findall(r'"([^"]*)"', text)
    record = ("".join(strings) if strings else text).strip()
    tags = dict(t.strip().split("=", 1) for t in record.split(";") if "=" in t)
    try:
        good = tags.get("v") == "DKIM1" and bool(base64.b64decode(tags["p"], validate=True))
    except (KeyError, binascii.Error):
        good = False
    if not good or not record.isascii():
        zone.wrong.append(f"dkim: the record of selector {selector!r} is no DKIM record with a public key (v=DKIM1; ... p=...)")
        return txt("")
    return txt(record)


def tlsa(zone: Zone, exchanger: str, pem: str) -> str:
    """TLSA 3 1 1: SHA-256 of the public key of the certificate, so that a renewal with the same key changes nothing."""
    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    except ValueError as error:
        zone.wrong.append(f"certificates: that of {exchanger} cannot be read ({error})")
        return ""
    return "3 1 1 " + hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def addresses(zone: Zone, host: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """The A and AAAA records of a host."""
    for value in host.get("addresses") or []:
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            zone.wrong.append(f"hosts: {value!r} of {host.get('name')} is not an IP address")
            continue
        yield zone.name(host.get("name"), "hosts"), "A" if address.version == 4 else "AAAA", str(address)


def services(zone: Zone, data: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """The SRV records of the protocols that are offered."""
    for protocol in data.get("protocols") or []:
        if protocol not in SERVICES:
            zone.wrong.append(f"protocols: {protocol!r} is none of {', '.join(SERVICES)}")
        for service, priority, port, host in SERVICES.get(protocol, ()):
            yield zone.below(service, "_tcp"), "SRV", f"{priority} 1 {port} {zone.name(data.get(host), host)}"


def zone_records(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Lines of a zone by section; see DOCUMENTATION. `ValueError` lists everything that is wrong."""
    zone = Zone(data.get("domain", ""), int(data.get("ttl") or 3600))
    hosts = data.get("hosts") or []
    here = {zone.name(host.get("name"), "hosts") for host in hosts}
    exchangers = {zone.name(e.get("name"), "exchangers"): int(e.get("preference") or 10) for e in data.get("exchangers") or []}
    certificates = {zone.name(name, "certificates"): pem for name, pem in (data.get("certificates") or {}).items()}
    aliases = [*(data.get("web_aliases") or []), *(["mta-sts"] if data.get("mta_sts_id") else [])]
    mta_sts_id = str(data.get("mta_sts_id") or "")
    if mta_sts_id and not re.fullmatch(r"[A-Za-z0-9]{1,32}", mta_sts_id):
        zone.wrong.append(f"mta_sts_id: {mta_sts_id!r} must be 1 to 32 letters and digits")

    sections: dict[str, list[tuple[str, str, str]]] = {
        "mx": [(zone.domain, "MX", f"{preference} {name}") for name, preference in exchangers.items()],
        "hosts": [record for host in hosts for record in addresses(zone, host)],
        "spf": [],
        "dkim": [(zone.below(s, "_domainkey"), "TXT", dkim(zone, s, t)) for s, t in (data.get("dkim") or {}).items()],
        "dmarc": [],
        "services": list(services(zone, data)),
        # A label that is a host of its own keeps its addresses: a CNAME may not stand beside other data (RFC 1034 3.6.2).
        "autoconfig": [
            (zone.below(label), "CNAME", zone.name(data.get("web_host"), "web_host")) for label in aliases if zone.below(label) not in here
        ],
        "mta_sts": [(zone.below("_mta-sts"), "TXT", txt(f"v=STSv1; id={mta_sts_id};"))] if mta_sts_id else [],
        "tls_reports": [],
        "caa": [(zone.domain, "CAA", f'0 issue "{ca}"') for ca in data.get("caa") or []],
        "tlsa": [(f"_25._tcp.{name}", "TLSA", tlsa(zone, name, pem)) for name, pem in certificates.items()],
    }
    if data.get("spf"):
        # The hosts' own names too: they are what a receiver checks when a bounce has no sender (RFC 7208 2.4).
        sections["spf"] = [(name, "TXT", txt("v=spf1 a -all")) for name in here if name != zone.domain]
        sections["spf"].append((zone.domain, "TXT", spf(zone, list(data["spf"]))))
    if data.get("dmarc_policy"):
        tags = ["v=DMARC1", f"p={data['dmarc_policy']}"]
        if data.get("dmarc_reports"):
            tags.append(f"rua={zone.mailbox(data['dmarc_reports'], 'dmarc_reports')}")
        sections["dmarc"] = [(zone.below("_dmarc"), "TXT", txt("; ".join(tags)))]
    for other in data.get("dmarc_report_domains") or []:
        name = zone.name(other, "dmarc_report_domains").removesuffix(".")
        sections["dmarc"].append((zone.below(name, "_report", "_dmarc"), "TXT", txt("v=DMARC1")))
    if data.get("tls_reports"):
        reports = txt(f"v=TLSRPTv1; rua={zone.mailbox(data['tls_reports'], 'tls_reports')}")
        sections["tls_reports"] = [(zone.below("_smtp", "_tls"), "TXT", reports)]
    if data.get("caa"):
        sections["caa"].append((zone.domain, "CAA", '0 issuewild ";"'))
    result = {section: zone.lines(records) for section, records in sections.items()}
    if zone.wrong:
        raise ValueError("the DNS records cannot be made: " + "; ".join(dict.fromkeys(zone.wrong)))
    return result


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"zone_records": zone_records}
