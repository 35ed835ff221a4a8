"""Mail is forwarded automatically to state bodies only: refused when it is set up, and again when mail flows."""

import json
import re

import pytest
from mail import compose, refusal, wait_until

FOREIGN = ["a@gmail.com", "a@outside.example", "a@gov.vn.example", "a@evilgov.vn", "A@GMAIL.COM"]
SCRIPTS = {
    "plain": 'redirect "{}";\n',
    "copy": 'require ["copy"];\nredirect :copy "{}";\n',
    "upper": 'if true {{ REDIRECT /* "x@bo.gov.vn" */ "{}"; }}\n',
    "text": "redirect text:\n{}\n.\n;\n",
    "named": 'redirect "Nguyễn Văn A <{}>";\n',
    "later": 'redirect "x@bo.gov.vn";\n# redirect\nredirect "{}";\n',
}


@pytest.fixture
def script(system, receiver):
    """ManageSieve of the receiver, whose scripts are gone afterwards."""
    session = system.sieve(receiver)
    yield session
    session.command('SETACTIVE ""')
    for name in re.findall(r'^"(thu-\w+)"', session.command("LISTSCRIPTS"), re.MULTILINE):
        session.command(f'DELETESCRIPT "{name}"')


@pytest.fixture
def allowed(policy):
    """The domains of the policy."""
    assert policy["forwarding"]["outbound"]["value"] == "state_only"
    return policy["forwarding"]["state_domains"]["value"]


@pytest.mark.parametrize("form", SCRIPTS)
def test_a_script_that_forwards_outside_is_refused(script, allowed, form):
    for address in FOREIGN:
        answer = refusal(lambda address=address: script.put("thu-ngoai", SCRIPTS[form].format(address)))
        written = f"Nguyễn Văn A <{address}>" if form == "named" else address
        assert answer.text.startswith(f'NO "Không được tự động chuyển tiếp thư tới {written}: '), answer
        assert all(domain in answer.text for domain in allowed)
    answer = refusal(lambda: script.command('CHECKSCRIPT "redirect \\"a@gmail.com\\";"'))
    assert "cơ quan nhà nước" in answer.text
    assert "thu-ngoai" not in script.command("LISTSCRIPTS")


def test_an_address_made_up_at_delivery_is_refused(script):
    answer = refusal(lambda: script.put("thu-bien", 'require "variables";\nset "a" "b@gmail.com";\nredirect "${a}";\n'))
    assert "không ghi rõ" in answer.text


# A script in another command's argument, for a server that does not take it for one.
HIDDEN = b'/*\r\nPUTSCRIPT "thu-giau" {25+}\r\nredirect "a@gmail.com";\r\n\r\n*/keep;'
CARRIERS = {
    "word": b"NOOP x{%d+}\r\n",
    "open quote": b'NOOP "x{%d+}\r\n',
    "unknown command": b"XYZ {%d+}\r\n",
    "a login again": b'AUTHENTICATE "PLAIN" {%d+}\r\n',
    "name without quotes": b"PUTSCRIPT thu-x {%d+}\r\n",
    "name with NUL": b'PUTSCRIPT "a\0b" {%d+}\r\n',
    "name not in UTF-8": b'PUTSCRIPT "a\xff" {%d+}\r\n',
    "long name": b'PUTSCRIPT "' + b"a" * 70000 + b'" {%d+}\r\n',
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_script_comes_in_within_another_command(script, carrier):
    """What stands before it, the check and Dovecot take apart alike."""
    script.file.write(CARRIERS[carrier] % len(HIDDEN) + HIDDEN + b'\r\nNOOP "xong"\r\n')
    script.file.flush()
    while b"xong" not in script.file.readline():
        pass
    assert "thu-giau" not in script.command("LISTSCRIPTS")


def test_every_form_of_a_command_is_understood(script):
    """Literals and quoted strings, names in Vietnamese."""
    for name in ("{12+}\r\nthu-nghỉ_a", '"thu-nghỉ_b"'):
        for text in ('"keep;"', "{5+}\r\nkeep;", "{5}\r\nkeep;"):
            script.command(f"PUTSCRIPT {name} {text}")
    for command in (
        'SETACTIVE "thu-nghỉ_a"',
        'HAVESPACE "thu-x" 100',
        'CHECKSCRIPT "keep;"',
        "capability",
        'RENAMESCRIPT "thu-nghỉ_b" "thu-c"',
    ):
        script.command(command)
    assert "keep;" in script.command('GETSCRIPT "thu-c"')
    assert '"thu-nghỉ_a" ACTIVE' in script.command("LISTSCRIPTS")


def test_forwarding_to_state_bodies_is_taken(script, allowed):
    for number, domain in enumerate(allowed):
        script.put(f"thu-{number}", f'redirect "van.thu@{domain}";\nredirect "a@so.{domain.upper()}";\n')
    # Neither a comment nor a text that only speaks of it.
    script.put("thu-chu", '# redirect "a@gmail.com"\nrequire "vacation";\nvacation "redirect a@gmail.com";\n')
    assert "requires 1 positional argument" in refusal(lambda: script.put("thu-loi", "redirect;")).text


def test_the_webmail_refuses_it_with_the_reason(system, receiver):
    """Both doors in the webmail: a filter that forwards, and forwarding beside an out-of-office reply."""
    from webmail import browser, login, settle

    url = system.access["webmail_url"]
    with browser(system.address, [system.name, url.split("/")[2]], system.access["ca_certificate"]) as page:
        login(page, url, receiver["address"], receiver["password"])
        page.goto(f"{url}?_task=settings&_action=plugin.managesieve-vacation")
        settle(page)
        page.fill("#vacation_reason", "Tôi nghỉ phép.")
        page.select_option("#vacation_status", "on")
        page.select_option("#vacation_action", "copy")
        page.fill("#action_target", "toi@gmail.com")
        page.click("button.submit, button.save, .formbuttons button")
        refused = page.locator("#messagestack .error")
        refused.first.wait_for()
        assert "chỉ được tự động chuyển tiếp tới địa chỉ của cơ quan nhà nước" in refused.first.inner_text()
        page.goto(f"{url}?_task=settings&_action=plugin.managesieve-action&_framed=1&_nav=hide")
        settle(page)
        page.fill("#_name", "Chuyển về nhà")
        page.select_option("#_join", "any")
        page.select_option("#action_type0", "redirect_copy")
        page.fill("#action_target0", "toi@gmail.com")
        page.click("button.submit, button.save, .formbuttons button")
        refused.first.wait_for()
        assert "cơ quan nhà nước" in refused.first.inner_text()
    home = system.run("doveadm", "user", "-f", "home", receiver["address"]).strip()
    assert not system.run("grep", "-rl", "gmail", f"{home}/sieve", check=False)


def test_a_colleague_gets_a_redirected_letter_byte_for_byte(system, script, sender, receiver, people):
    """What is signed stays valid: below the headers that the way adds, nothing changes."""
    third = people[2]
    script.put("thu-noi", f'require "copy";\nredirect :copy "{third["address"]}";\n')
    script.command('SETACTIVE "thu-noi"')
    message = compose(sender["address"], receiver["address"], "Công văn ký số", attachments=[("kýsố.p7s", bytes(range(256)) * 9)])
    system.send(message, sender["address"], [receiver["address"]], account=sender)
    kept = system.wait_for(receiver, message["Message-ID"])
    got = system.wait_for(third, message["Message-ID"])
    assert got["X-Sieve-Redirected-From"] == receiver["address"]
    original, copy = (m.as_bytes().partition(b"\n\n" if b"\r\n\r\n" not in m.as_bytes() else b"\r\n\r\n")[2] for m in (kept, got))
    assert original == copy


def test_an_old_script_that_forwards_outside_does_nothing(system, sender, receiver):
    """One that came in by another way, a restored backup for instance: refused when mail flows, the letter stays where it is."""
    home = system.run("doveadm", "user", "-f", "home", receiver["address"]).strip()
    outside = system.access["outside"]
    old = f'redirect "{outside["address"]}";\n'
    system.run("sh", "-c", f"cat >{home}/.dovecot.sieve && chown vmail:vmail {home}/.dovecot.sieve", stdin=old)
    try:
        message = compose(sender["address"], receiver["address"], "không được ra ngoài")
        system.send(message, sender["address"], [receiver["address"]], account=sender)
        assert system.wait_for(receiver, message["Message-ID"])
        words = "Khong duoc tu dong chuyen tiep"
        argv = ["journalctl", "-t", "postfix/cleanup", "-o", "cat", "--since", "-2min", "-g", words]
        log = wait_until(lambda: system.run(*argv, check=False))
        assert f"Khong duoc tu dong chuyen tiep thu toi {outside['domain']}" in log
        assert not system.run_outside("grep", "-rlF", message["Message-ID"], outside["maildir"], check=False)
    finally:
        system.run("sh", "-c", f"rm -f {home}/.dovecot.sieve {home}/.dovecot.svbin")


def test_the_owner_of_an_old_script_is_told_once(system, script, receiver):
    """By the daily check, in the mailbox; the script cannot be set to work again, and status.yml tells the operator."""
    home, check = system.run("doveadm", "user", "-f", "home", receiver["address"]).strip(), "/var/lib/congvu-mail/forwarding/check.json"
    told = ("mailbox", "INBOX", "header", "Subject", "Bộ lọc chuyển tiếp thư của bạn không còn hiệu lực")

    def put(address):
        line = f'cat >{home}/sieve/thu-cu.sieve && ln -sf sieve/thu-cu.sieve {home}/.dovecot.sieve && chown -h vmail: "$0" "$1"'
        names = (f"{home}/sieve/thu-cu.sieve", f"{home}/.dovecot.sieve")
        system.run("sh", "-c", line, *names, stdin=f'# "a@gmail.com"\nredirect "{address}";\n')

    def checked():
        """The record after one more run, and how many notices there are."""
        system.run("systemctl", "start", "congvu-forward-check.service")
        record = json.loads(system.run("cat", check))
        return record["result"], home.rpartition("/")[2] in record["told"], len(found())

    def found():
        return system.run("doveadm", "search", "-u", receiver["address"], *told).splitlines()

    put("a@gov.vn")
    assert checked()[1:] == (False, 0), "a script that is allowed"
    put("toi@gmail.com")
    assert "tới toi@gmail.com: chỉ được" in refusal(lambda: script.command('SETACTIVE "thu-cu"')).text
    try:
        assert [checked() for _ in range(2)] == [("notice", True, 1)] * 2
        number = system.run("doveadm", "fetch", "-u", receiver["address"], "hdr.message-id", *told).split()[-1]
        message = system.find(receiver, number)
        assert message["To"] == receiver["address"] and message["Auto-Submitted"] == "auto-generated"
        assert "Bộ lọc “thu-cu”" in message.get_content() and "thư tới toi@gmail.com: chỉ được" in message.get_content()
        put("khac@gmail.com")
        assert checked() == ("notice", True, 2), "another text of the script"
        status = system.playbook("playbooks/status.yml").stdout
        assert re.search(r"Chuyển tiếp\s*\|.*LƯU Ý.*", status), status[-3000:]
    finally:
        system.run("rm", "-f", f"{home}/sieve/thu-cu.sieve", f"{home}/.dovecot.sieve")
        system.run("doveadm", "expunge", "-u", receiver["address"], *told)
    assert checked()[1:] == (False, 0)


def test_a_citizen_outside_gets_the_vacation_reply(system, script, receiver, sender):
    """From nobody else than the mailbox: a script that names another writer sends nothing, and the letter arrives all the same."""
    outside = system.access["outside"]

    def ask(number, writer):
        script.put("thu-nghi", f'require "vacation";\nvacation :handle "{number}" {writer} :subject "Nghỉ phép" "Tôi nghỉ đến 30/11.";\n')
        script.command('SETACTIVE "thu-nghi"')
        mid = f"<nghi-{number}@outside.example>"
        letter = f"From: {outside['address']}\nTo: {receiver['address']}\nSubject: Hoi\nMessage-ID: {mid}\n\nKinh gui.\n"
        system.run_outside("sendmail", "-f", outside["address"], receiver["address"], stdin=letter)
        assert system.wait_for(receiver, mid, timeout=90)
        return mid

    forged = ask(1, f':from "Chủ tịch <{sender["address"]}>"')
    for number, writer in ((2, ""), (3, f':from "Nguyễn Văn Bình <{receiver["address"].upper()}>"')):
        mid = ask(number, writer)
        (path, *_rest) = wait_until(lambda mid=mid: system.run_outside("grep", "-rlF", mid, outside["maildir"], check=False).split(), 90)
        reply = system.run_outside("cat", path)
        assert "Return-Path: <>\n" in reply and "DKIM-Signature" in reply
        assert receiver["address"] in re.search(r"^From: .*(?:\n[ \t].*)*", reply, re.MULTILINE)[0].lower()  # folded or not
    assert not system.run_outside("grep", "-rlF", forged, outside["maildir"], check=False)
    words = f"From.*{sender['address']}.*khong phai cua tai khoan dang nhap"
    assert system.run("journalctl", "-t", "postfix/cleanup", "-o", "cat", "--since", "-5min", "-g", words)
