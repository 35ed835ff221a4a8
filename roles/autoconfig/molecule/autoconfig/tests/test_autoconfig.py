"""What Thunderbird, Outlook and other mail servers are told."""

import xml.etree.ElementTree as ET

import pytest
import webmail

QUESTION = """<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>{0}</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>"""
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
BASE = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"


@pytest.fixture(scope="module")
def ask(host, tmp_path_factory):
    """Fetch a URL from the host: (status, headers, text)."""
    address = host.ansible.get_variables()["ansible_host"]
    ca = tmp_path_factory.mktemp("ca") / "ca.crt"
    ca.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    return lambda url, body=None: webmail.fetch(address, url, ca, body=body, headers={"Content-Type": "text/xml"} if body else None)


@pytest.mark.parametrize(
    "url",
    [
        "https://autoconfig.lab.test/mail/config-v1.1.xml?emailaddress=an%40lab.test",
        "https://autoconfig.cu.test/mail/config-v1.1.xml",
        "https://mail.lab.test/.well-known/autoconfig/mail/config-v1.1.xml",
    ],
)
def test_thunderbird(ask, url):
    status, headers, text = ask(url)
    assert status == 200
    assert headers["Content-Type"] == "application/xml; charset=utf-8"
    provider = ET.fromstring(text).find("emailProvider")
    assert [d.text for d in provider.findall("domain")] == ["lab.test", "cu.test"]
    assert provider.find("displayName").text == "Thư công vụ tỉnh Thử & Nghiệm"
    servers = [*provider.findall("incomingServer"), *provider.findall("outgoingServer")]
    told = [(s.get("type"), s.find("hostname").text, s.find("port").text, s.find("socketType").text) for s in servers]
    assert told == [
        ("imap", "mail.lab.test", "993", "SSL"),
        ("pop3", "mail.lab.test", "995", "SSL"),
        ("smtp", "mail.lab.test", "587", "STARTTLS"),
    ]
    assert {s.find("username").text for s in servers} == {"%EMAILADDRESS%"}


@pytest.mark.parametrize(
    "url",
    [
        "https://autodiscover.lab.test/autodiscover/autodiscover.xml",
        "https://mail.lab.test/Autodiscover/Autodiscover.xml",
    ],
)
@pytest.mark.parametrize("address", ["NguyenVanAn@lab.test", "vt.so+1@cu.test"])
def test_outlook(ask, url, address):
    status, headers, text = ask(url, QUESTION.format(address))
    assert status == 200
    assert headers["Content-Type"] == "text/xml; charset=utf-8"
    account = ET.fromstring(text.encode()).find(f"{OUTLOOK}Response/{OUTLOOK}Account")
    told = [{e.tag.removeprefix(OUTLOOK): e.text for e in p} for p in account.findall(f"{OUTLOOK}Protocol")]
    assert [(p["Type"], p["Server"], p["Port"], p["Encryption"]) for p in told] == [
        ("IMAP", "mail.lab.test", "993", "SSL"),
        ("POP3", "mail.lab.test", "995", "SSL"),
        ("SMTP", "mail.lab.test", "587", "TLS"),
    ]
    assert {p["LoginName"] for p in told} == {address}


@pytest.mark.parametrize(
    "body",
    [
        None,
        "rubbish",
        QUESTION.format("an@nowhere.test"),
        QUESTION.format("an@lab.test.evil.test"),
        QUESTION.format('"><x>@lab.test'),
        QUESTION.format("$server_addr@lab.test"),
    ],
    ids=["no question", "no XML", "another domain", "a longer domain", "markup", "a variable"],
)
def test_outlook_asks_wrongly(ask, body):
    status, _headers, text = ask("https://autodiscover.lab.test/autodiscover/autodiscover.xml", body)
    assert status == 200
    error = ET.fromstring(text.encode()).find(f"{BASE}Response/{BASE}Error")
    assert error.find(f"{BASE}ErrorCode").text == "600"


def test_outlook_asks_too_much(ask):
    assert ask("https://autodiscover.lab.test/autodiscover/autodiscover.xml", "x" * 10000)[0] == 413


def test_the_address_comes_from_the_body_only(host, ask):
    """Nobody can put markup into an answer by the header that nginx uses between its two halves."""
    address = host.ansible.get_variables()["ansible_host"]
    answer = host.run(f"python3 -c 'import socket; socket.create_connection((\"{address}\", 10443), 3)'")
    assert "ConnectionRefusedError" in answer.stderr


@pytest.mark.parametrize("domain", ["lab.test", "cu.test"])
def test_mta_sts(ask, domain):
    status, headers, text = ask(f"https://mta-sts.{domain}/.well-known/mta-sts.txt")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert text.splitlines() == ["version: STSv1", "mode: enforce", "mx: mail.lab.test", "max_age: 604800"]
    assert ask(f"https://mta-sts.{domain}/")[0] == 404


def test_other_names_have_no_page(ask):
    assert ask("https://autoconfig.lab.test/")[0] == 404
