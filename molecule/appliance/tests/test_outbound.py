"""A mailbox that sends more to the outside than the policy allows: its mail waits, then it is locked as compromised, and it is told."""

import imaplib
import json
import re

import pytest
from mail import compose, wait_until
from test_acts import borrowed, journal, read, told

LIMITED = "/var/lib/rspamd/limited"
REFUSALS = 20  # lifecycle_outbound_refusals


@pytest.fixture
def hijacked(system, people):
    """A person whose password somebody else has, and who sent nothing yet; afterwards nothing of it is left."""
    loan = borrowed(system, people[2])
    forget(system)
    yield next(loan)
    forget(system)
    next(loan, None)


def forget(system):
    """The filter's memory of who sent how much."""
    system.run(
        "bash",
        "-c",
        f"rm -f {LIMITED}/*; export REDISCLI_AUTH=$(grep -oP 'password = \"\\K[^\"]+' /etc/rspamd/local.d/redis.conf); "
        "valkey-cli --scan --pattern 'RL*' | xargs -r valkey-cli del",
    )


def guard(system):
    """One run of the guard, beside those of its timer; whether it went well."""
    system.run("systemctl", "start", "congvu-outbound.service", check=False)
    return system.run("systemctl", "show", "-P", "ExecMainStatus", "congvu-outbound").strip() == "0"


def state(system, account):
    return read(system, account["address"])[1]["congvuState"]


def outbreak(system, account, count, *also):
    """What the server answers to so many messages to outside, in one session; further recipients are no way around the limit."""
    session, address = system.smtp("submission", account), system.access["outside"]["address"]
    answers = []
    for number in range(count):
        letter = compose(account["address"], address, f"{number}", text="x\n")
        session.mail(account["address"])
        for recipient in (address, *also):
            session.rcpt(recipient)
        answers.append(session.data(letter.as_bytes()))
    session.close()
    return answers


def test_who_goes_on_beyond_the_limit_is_locked_as_compromised(system, hijacked, sender, policy):
    limit, count = policy["outbound"]["external_per_10min"]["value"], len(journal(system))
    reading = system.imap(hijacked)
    answers = outbreak(system, hijacked, limit)
    assert {code for code, _ in answers} == {250}, [answer for answer in answers if answer[0] != 250][:3]
    # The limit comes back bit by bit while the messages are sent.
    while sum(code == 451 for code, _ in answers) < REFUSALS - 1:
        answers += outbreak(system, hijacked, 1, f"nobody@{system.access['outside']['domain']}", f"postmaster@{system.domain}")
    code, text = next(answer for answer in answers if answer[0] == 451)
    assert "Qua so thu gui ra ngoai cho phep trong 10 phut" in text.decode()
    assert guard(system) and state(system, hijacked) == ["active"], "locked too early"
    # Nobody else is limited, and who is limited still writes to colleagues.
    letter = compose(hijacked["address"], sender["address"], "Trong tỉnh")
    system.send(letter, hijacked["address"], [sender["address"]], account=hijacked)
    assert outbreak(system, sender, 1)[0][0] == 250

    while sum(code == 451 for code, _ in answers) < REFUSALS:
        answers += outbreak(system, hijacked, 1, f"nobody@{system.access['outside']['domain']}", f"postmaster@{system.domain}")
    system.run("systemctl", "stop", "slapd")
    try:
        wait_until(lambda: not guard(system), 60, "the guard's complaint")
        assert "máy chủ thư mục không trả lời" in system.run("journalctl", "-o", "cat", "-n", "5", "-u", "congvu-outbound", "-p", "err")
    finally:
        system.run("systemctl", "start", "slapd")
    # The directory did not answer; what was refused meanwhile is not forgotten.
    wait_until(lambda: guard(system) and state(system, hijacked) == ["suspended"], 60, "the lock")
    found = read(system, hijacked["address"])[1]
    assert (found["congvuState"], found["congvuCompromised"]) == (["suspended"], ["TRUE"])
    (uid,) = found["uid"]
    assert uid in json.loads(system.run("cat", "/var/lib/congvu-mail/hold/looked.json")), "what waits in the queue was not looked at"
    told(system, hijacked, "(mailbox suspended): nghi bi chiem quyen")
    with pytest.raises((imaplib.IMAP4.abort, OSError)):
        for _ in range(50):
            reading.noop()
    assert [line["act"] for line in journal(system)[count:]] == ["suspend", "clock-notice"]
    lock, notice = journal(system)[-2:]
    assert lock["operator"] == "hệ thống (chống phát tán thư)" and f"bị từ chối {REFUSALS} lần trong 10 phút" in lock["reason"]
    letters = notice["after"]["sent"]
    # The organisation above and the operator, who in some provinces are one.
    assert policy["requests"]["mailbox"]["value"] in {one["to"] for one in letters}
    for one in letters:
        query = ("doveadm", "search", "-u", one["to"], "mailbox", "*", "header", "Message-ID", one["message_id"])
        wait_until(lambda query=query: system.run(*query).strip(), 30, f"the notice to {one['to']}")
        assert hijacked["address"] in one["text"] and "nghi bị chiếm quyền" in one["text"]
    assert guard(system) and len(journal(system)) == count + 2, "the second run did something"


def test_nobody_is_put_under_suspicion_by_what_a_message_says(system, people, receiver):
    """Only the login counts, and only with the filter's password is the list told."""
    uid = re.match(r"uid=([^,]+)", read(system, people[2]["address"])[0])[1]
    forged = compose("a@outside.example", receiver["address"], "x", User=uid, X_Rspamd_User=uid, X_Authenticated_User=uid)
    for _ in range(REFUSALS + 1):
        system.send(forged, "a@outside.example", [receiver["address"]], "smtp")
    ask = (
        "import sys, urllib.request as u; "
        "print(u.urlopen(u.Request(sys.argv[1], headers=dict(a.split(':') for a in sys.argv[2:]))).read().decode())"
    )
    url = "http://127.0.0.1:11334/plugins/congvu/limited"
    assert "HTTP Error 401" in system.run("sh", "-c", 'python3 -c "$@" 2>&1', "sh", ask, url, f"User:{uid}", check=False)
    listed = system.run("sh", "-c", 'python3 -c "$@" Password:$(cat /etc/congvu-mail/filter.password)', "sh", ask, url)
    assert uid not in listed
    assert system.run("systemctl", "is-active", "congvu-outbound.timer").strip() == "active"
