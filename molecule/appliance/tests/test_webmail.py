"""An official's morning: log in, write to a colleague found in the directory, the colleague reads it. In Vietnamese, in a browser."""

import pytest
from conftest import ROOT
from mail import compose as compose_message
from mail import refusal, wait_until
from webmail import browser, compose, login, read

SUBJECT = "Lịch họp giao ban tuần – phòng họp số 2"
FILE = "Kế hoạch tuần.docx"


@pytest.fixture
def names(system):
    """Host names that the browser finds at the demo's address."""
    return [system.name, system.access["webmail_url"].split("/")[2]]


def test_write_to_a_colleague_out_of_the_directory(system, sender, receiver, names, tmp_path):
    attachment = tmp_path / FILE
    attachment.write_bytes(b"PK\x03\x04 noi dung")
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    url, ca = system.access["webmail_url"], system.access["ca_certificate"]
    with browser(system.address, names, ca) as page:
        login(page, url, sender["address"], sender["password"])
        assert page.locator("html").get_attribute("lang") == "vi"
        picked = compose(page, to=receiver["address"].split("@")[0][:6], subject=SUBJECT, body="Kính gửi đồng chí.", attachment=attachment)
        assert receiver["address"] in picked
    with browser(system.address, names, ca) as page:
        login(page, url, receiver["address"], receiver["password"])
        assert "Kính gửi đồng chí." in read(page, SUBJECT)
        if not (images / "webmail.png").exists():
            page.screenshot(path=images / "webmail.png")


def test_first_login_goes_through_the_password_page(system, names):
    """From the webmail's login page to the password page, and after the change every door opens."""
    from webmail import change_password

    (account, *_rest) = system.accounts("person", must_change=True)
    new = "Nguoi-Dung#2026$moi"
    ca = system.access["ca_certificate"]
    with browser(system.address, names, ca, phone=True) as page:
        page.goto(system.access["webmail_url"])
        page.get_by_role("link", name="mật khẩu").first.click()
        assert page.url.startswith(system.access["password_url"])
        change_password(page, page.url, account["address"], account["password"], new)
    changed = {**account, "password": new}
    assert system.imap(changed).select("INBOX")[0] == "OK"
    refusal(lambda: system.imap(account))
    with browser(system.address, names, ca) as page:
        login(page, system.access["webmail_url"], account["address"], new)


def test_security_headers_and_redirect(system):
    from webmail import fetch

    url = system.access["webmail_url"]
    status, headers, _text = fetch(system.address, url.replace("https:", "http:"), system.access["ca_certificate"])
    assert status in (301, 308)
    assert headers["Location"].startswith("https://")
    status, headers, text = fetch(system.address, url, system.access["ca_certificate"])
    assert status == 200
    assert "max-age=" in headers["Strict-Transport-Security"]
    assert headers["Content-Security-Policy"]
    assert "secure" in headers["Set-Cookie"].lower()
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "Đăng nhập" in text


def test_a_receipt_goes_to_who_asked_for_it(system, sender, receiver):
    """The mail server takes nothing without a sender from who is logged in, which is how receipts are sent by default."""
    from webmail import Session

    asked = compose_message(sender["address"], receiver["address"], "Đề nghị báo đã đọc", Disposition_Notification_To=sender["address"])
    system.send(asked, sender["address"], [receiver["address"]], account=sender)
    system.wait_for(receiver, asked["Message-ID"])
    uid = system.run("doveadm", "fetch", "-u", receiver["address"], "uid", "HEADER", "Message-ID", asked["Message-ID"]).split()[-1]
    session = Session(
        system.address, system.access["webmail_url"], system.access["ca_certificate"], receiver["address"], receiver["password"]
    )
    session.page = session.ask(f"?_task=mail&_action=show&_mbox=INBOX&_uid={uid}")
    answer = session.form("?_task=mail&_action=sendmdn&_remote=1", {"_uid": uid, "_mbox": "INBOX"})
    assert "confirmation" in answer, answer
    query = ("doveadm", "fetch", "-u", sender["address"], "body", "HEADER", "In-Reply-To", asked["Message-ID"])
    assert "disposition-notification" in wait_until(lambda: system.run(*query), 60, "the receipt")


@pytest.mark.parametrize("unit", ["php*-fpm", "password-page"])
def test_a_broken_in_web_application_reaches_nobody(system, unit):
    """A process in the service's control group speaks to this system and to nobody else; beside it the way is open."""
    (outside,) = system.run_outside("hostname", "-I").split()[:1]
    group = system.run("systemctl", "show", "--value", "-p", "ControlGroup", f"{unit}.service").strip()
    join = f"echo $$ >/sys/fs/cgroup{group}/cgroup.procs; "
    knock = "timeout 2 bash -c ': </dev/tcp/{}/{}' 2>/dev/null && echo open || echo closed"
    assert system.run("bash", "-c", knock.format(outside, 25)).strip() == "open"
    assert system.run("bash", "-c", join + knock.format(outside, 25)).strip() == "closed"
    assert system.run("bash", "-c", join + knock.format(system.name, 636)).strip() == "open"


def test_mail_programs_find_their_settings(system):
    from webmail import fetch

    ca = system.access["ca_certificate"]
    _status, headers, text = fetch(system.address, f"https://autoconfig.{system.domain}/mail/config-v1.1.xml", ca)
    assert "max-age=" in headers["Strict-Transport-Security"]
    assert f"<hostname>{system.name}</hostname>" in text
    assert '<incomingServer type="imap">' in text
    body = (
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>'
        f"a@{system.domain}</EMailAddress></Request></Autodiscover>"
    )
    status, _headers, text = fetch(system.address, f"https://autodiscover.{system.domain}/autodiscover/autodiscover.xml", ca, body=body)
    assert status == 200
    assert f"<Server>{system.name}</Server>" in text
