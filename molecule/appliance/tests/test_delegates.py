"""An organisation's mailbox is opened by the persons it names, each with the own password; nobody else, and the log says who."""

import concurrent.futures
import contextlib
import imaplib
import itertools
import json

import pytest
from mail import compose, refusal, wait_until


def entries(system, *arguments):
    """Values of one attribute, from the directory."""
    found = system.run("ldapsearch", "-QLLL", "-oldif-wrap=no", "-Y", "EXTERNAL", "-H", "ldapi:///", *arguments)
    return [line.partition(": ")[2] for line in found.splitlines() if ": " in line and not line.startswith("dn: ")]


def change(system, dn, value):
    """Name these delegates and no others."""
    ldif = f"dn: {dn}\nchangetype: modify\nreplace: congvuDelegate\n" + "".join(f"congvuDelegate: {v}\n" for v in value)
    system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=ldif)


@pytest.fixture
def office(system, sender, policy):
    """(the organisation's account, sender's account as its delegate)."""
    assert policy["organisation_mailbox"]["access"]["value"] in ("both", "delegates")
    (organisation, *_rest) = system.accounts("organisation")
    base = "ou=mailboxes,dc=" + system.domain.replace(".", ",dc=")
    (uid,) = entries(system, "-b", base, f"(mail={organisation['address']})", "uid")
    (person,) = entries(system, "-b", base, f"(mail={sender['address']})", "uid")
    before = entries(system, "-b", f"uid={uid},{base}", "-s", "base", "congvuDelegate")
    change(system, f"uid={uid},{base}", [*before, f"uid={person},{base}"])
    yield organisation, {**sender, "address": f"{organisation['address']}*{sender['address']}"}
    change(system, f"uid={uid},{base}", before)


def test_a_delegate_reads_writes_and_files_as_the_office(system, office, sender, receiver):
    organisation, delegate = office
    message = compose(receiver["address"], organisation["address"], "Kính gửi cơ quan")
    system.send(message, receiver["address"], [organisation["address"]], account=receiver)
    assert system.wait_for(delegate, message["Message-ID"])
    uid = system.run("doveadm", "user", "-f", "user", sender["address"]).strip()
    for account in (delegate, sender):
        answer = compose(organisation["address"], receiver["address"], "Trả lời của cơ quan")
        system.send(answer, organisation["address"], [receiver["address"]], account=account)
        assert system.wait_for(receiver, answer["Message-ID"])
        # The filter counts, and the guard locks, the person who wrote it, whichever way he logged in.
        (record,) = system.run("sh", "-c", f"zgrep -hF '{answer['Message-ID']}' /var/lib/rspamd/headers/*").splitlines()
        assert json.loads(record)["user"] == uid
    session = system.imap(delegate)
    assert session.append("Sent", "(\\Seen)", None, answer.as_bytes())[0] == "OK"
    assert system.find(organisation, answer["Message-ID"], "Sent"), "the office has its copy, whoever looks"
    assert system.pop3(delegate).stat()[0] > 0
    assert system.sieve(delegate).command("LISTSCRIPTS").startswith(("OK", '"'))
    log = system.run("journalctl", "-u", "dovecot", "-o", "cat", "--since", "-2min")
    assert f"auth({uid}," in log
    assert f"Master user logging in as {organisation['address']}" in log


def test_an_administrator_leaves_a_trace(system, receiver):
    """Who is root may open a mailbox with doveadm, and the journal tells which and how."""
    uid = system.run("doveadm", "user", "-f", "user", receiver["address"]).strip()
    before = system.run("date", "+%F %T").strip()
    system.run("doveadm", "fetch", "-u", receiver["address"], "hdr.subject", "mailbox", "INBOX", "all")
    look = ("journalctl", "-u", "dovecot", "-o", "cat", "-q", "--since", before, "-g", f"cmd_fetch.*{uid}")
    (line,) = wait_until(lambda: system.run(*look, check=False).splitlines())
    told = json.loads(line.partition("stats: ")[2])
    assert (told["fields"]["user"], told["fields"]["service"]) == (uid, "doveadm")


def test_a_delegate_writes_as_the_office_in_the_webmail(system, office, receiver):
    from webmail import browser, login
    from webmail import compose as write

    organisation, delegate = office
    url = system.access["webmail_url"]
    with browser(system.address, [system.name, url.split("/")[2]], system.access["ca_certificate"]) as page:
        login(page, url, delegate["address"], delegate["password"])
        write(page, to=receiver["address"].split("@")[0][:6], subject="Công văn của cơ quan", body="Kính gửi.")
    session = system.imap(receiver)
    session.select("INBOX")
    found = wait_until(lambda: session.noop() and session.search(None, "FROM", organisation["address"])[1][0], 30)
    assert found


def test_others_do_not(system, office, sender, receiver):
    organisation, _delegate = office
    letter = compose(organisation["address"], sender["address"], "giả mạo")
    answer = refusal(lambda: system.send(letter, organisation["address"], [sender["address"]], account=receiver))
    assert answer.code == 553
    # Few failures: each makes the next login from the tests' address wait longer.
    stranger = {**receiver, "address": f"{organisation['address']}*{receiver['address']}"}
    person = {**sender, "address": f"{receiver['address']}*{sender['address']}"}
    assert "AUTHORIZATIONFAILED" in refusal(lambda: system.imap(stranger)).text
    assert "AUTHORIZATIONFAILED" in refusal(lambda: system.imap(person)).text
    # An administrator is one of the others.
    (administrator, *_more) = system.accounts("admin")
    for address in (organisation["address"], receiver["address"]):
        other = {**administrator, "address": f"{address}*{administrator['address']}"}
        assert "AUTHORIZATIONFAILED" in refusal(lambda other=other: system.imap(other)).text


def test_who_is_no_delegate_any_more_is_out_at_once(system, office):
    organisation, delegate = office
    system.imap(delegate).logout()
    base = "ou=mailboxes,dc=" + system.domain.replace(".", ",dc=")
    (uid,) = entries(system, "-b", base, f"(mail={organisation['address']})", "uid")
    change(system, f"uid={uid},{base}", [])
    assert "AUTHORIZATIONFAILED" in refusal(lambda: system.imap(delegate)).text
    wait_until(lambda: system.imap(organisation).logout(), 30)


def dead(session):
    """Has the server ended the session?"""
    try:
        return session.noop()[0] != "OK"
    except (imaplib.IMAP4.error, OSError):
        return True


def test_who_is_locked_loses_what_he_has_open(system, office, receiver):
    """Whoever locks him on whichever host: here only the directory is changed. The office is open to its other users."""
    _organisation, delegate = office
    base = "ou=mailboxes,dc=" + system.domain.replace(".", ",dc=")
    (person,) = entries(system, "-b", base, f"(mailLocalAddress={delegate['address'].partition('*')[2]})", "uid")
    own, shared, other = (system.imap(account) for account in ({**delegate, "address": person}, delegate, receiver))
    ldif = f"dn: uid={person},{base}\nchangetype: modify\nreplace: congvuState\ncongvuState: "
    system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=f"{ldif}suspended\n")
    try:
        wait_until(lambda: dead(own) and dead(shared), 60, "the end of both sessions")
        assert other.noop()[0] == "OK"
        assert "AUTH" in refusal(lambda: system.imap(delegate)).text
    finally:
        system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=f"{ldif}active\n")
    assert system.imap(delegate).noop()[0] == "OK"


def test_a_new_password_ends_what_the_old_one_opened(system, office, receiver):
    """The owner changes it himself, as on the password page: whoever knows the old one reads no further, in his mailbox or the office's."""
    from test_acts import borrowed

    _organisation, delegate = office
    passwords = [delegate["password"] + end for end in ("", "x", "y")]
    with contextlib.contextmanager(borrowed)(system, {**delegate, "address": delegate["address"].partition("*")[2]}) as person:
        own, shared, other = (system.imap(account) for account in (person, delegate, receiver))
        letter = compose(person["address"], receiver["address"], "Phiên cũ")
        sending = [(system.smtp("submission", account), account["address"].partition("*")[0]) for account in (person, delegate, receiver)]
        # It is the second change if the guard first looked at the sessions after the first.
        for old, new in itertools.pairwise(passwords):
            system.run("ldappasswd", "-x", "-H", "ldapi:///", "-D", person["dn"], "-w", old, "-a", old, "-s", new)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: dead(own) and dead(shared), 30)
                break
        assert dead(own) and dead(shared) and other.noop()[0] == "OK"
        answers = []
        for session, address in sending:
            session.mail(address)
            session.rcpt(receiver["address"])
            answers.append(session.data(letter.as_bytes().replace(person["address"].encode(), address.encode())))
        assert [code for code, _text in answers] == [421, 421, 250], answers
        gone = b"Mat khau da thay doi, hay dang nhap lai (password changed, log in again)"
        assert all(gone in text for _code, text in answers[:2]), answers
        again = {**person, "password": new}
        system.send(letter, person["address"], [receiver["address"]], account=again)
        assert system.imap({**delegate, "password": new}).noop()[0] == "OK"


def test_an_office_with_a_password_of_its_own_gets_a_new_one(system, office, receiver):
    """What the old one opened ends; its delegates came by their own, and go on sending for it."""
    organisation, delegate = office
    base = "ou=mailboxes,dc=" + system.domain.replace(".", ",dc=")
    (uid,) = entries(system, "-b", base, f"(mail={organisation['address']})", "uid")
    own, shared = (system.smtp("submission", account) for account in (organisation, delegate))
    ldif = f"dn: uid={uid},{base}\nchangetype: modify\nreplace: pwdReset\npwdReset: "
    system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=f"{ldif}TRUE\n")
    try:
        code, text = own.docmd("MAIL", f"FROM:<{organisation['address']}>")
        assert code == 421 and b"hay dang nhap lai (log in again)" in text, (code, text)
        assert shared.docmd("MAIL", f"FROM:<{organisation['address']}>")[0] == 250
    finally:
        system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=f"{ldif}FALSE\n")


def test_a_delegate_is_told_why_the_office_is_closed(system, office):
    """The delegate who proves his own password, on every way; nobody else."""
    from test_acts import webmail

    organisation, delegate = office
    base = "ou=mailboxes,dc=" + system.domain.replace(".", ",dc=")
    (uid,) = entries(system, "-b", base, f"(mail={organisation['address']})", "uid")
    session = system.imap(delegate)
    ldif = f"dn: uid={uid},{base}\nchangetype: modify\nreplace: congvuState\ncongvuState: "
    why = "Hop thu dang tam khoa tu 20/11/2026 (mailbox suspended): ban giao"
    closed = f"{ldif}suspended\n-\nreplace: congvuRefusal\ncongvuRefusal: {why}\n"
    system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=closed)
    try:
        wait_until(lambda: dead(session), 60, "the end of the session")
        # At once: each failure of a client lets the next one wait longer.
        tries = {
            "imap": lambda: refusal(lambda: system.imap(delegate)).text,
            "smtp": lambda: refusal(lambda: system.smtp("submission", delegate)).text,
            "webmail": lambda: " ".join(map(str, webmail(system, delegate))),
            "wrong password": lambda: refusal(lambda: system.imap({**delegate, "password": "khong-phai"})).text,
        }
        with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
            said = dict(zip(tries, pool.map(lambda attempt: attempt(), tries.values()), strict=True))
        assert "tam khoa" not in said.pop("wrong password")
        assert said["webmail"].startswith("401 ") and [door for door, words in said.items() if why not in words] == []
    finally:
        system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=f"{ldif}active\n-\nreplace: congvuRefusal\n")
    assert system.imap(delegate).noop()[0] == "OK"
