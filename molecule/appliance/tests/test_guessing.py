"""Who guesses passwords is blocked; the mailbox that is guessed at stays open to its owner, and a block can be seen and lifted."""

import concurrent.futures
import json

import guessing
import pytest
from mail import refusal, wait_until
from test_acts import journal

NETWORK = "198.51.100"  # RFC 5737; none of the networks that are never blocked
ADDRESSES = 50


@pytest.fixture
def attacker(system):
    """Somebody outside with many addresses."""
    with guessing.attacker(system, f"{NETWORK}.0/24", ADDRESSES) as somebody:
        yield somebody


def at_imap(attacker, user, *sources):
    """What IMAP answers to a wrong password for a user from each address."""
    return attacker.guess([(source, "imaps", user["address"]) for source in sources])


def test_guesses_from_many_addresses_lock_nobody_out(system, attacker):
    """300 guesses at every account from 50 addresses, on each way in; meanwhile and afterwards every one of them logs in."""
    accounts = [account for role in ("person", "organisation", "admin") for account in system.accounts(role)]
    ways = ["imaps"] * 4 + ["submissions"]
    guesses = [(attacker.addresses[n % ADDRESSES], ways[n % 5], accounts[n % len(accounts)]["address"]) for n in range(290)]
    guesses += [(attacker.addresses[n], "webmail", accounts[n % len(accounts)]["address"]) for n in range(10)]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(attacker.guess, guesses)
        for account in accounts:
            assert system.imap(account).select("INBOX")[0] == "OK"
        answers = running.result()
    assert not {"OK", "235", "302"} & set(answers)
    # Postfix waits 10 s for Dovecot: 454, should this machine be slow.
    refused = {"NO": answers.count("NO"), "535": answers.count("535") + answers.count("454"), "401": answers.count("401")}
    assert refused["NO"] > 150 and refused["535"] > 30 and refused["401"] > 3, (refused, answers)
    for account in accounts:
        assert system.imap(account).select("INBOX")[0] == "OK"
        assert system.smtp("submission", account).noop()[0] == 250


def test_a_wrong_password_is_called_one_however_often(system, receiver):
    """On both submission ports: a passing failure (454) would have mail programs try the same password again and again."""

    def at(service, number):
        return refusal(lambda: system.smtp(service, {**receiver, "password": f"sai-{number}"}))

    for first in (0, 10):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(at, ["submission", "submissions"] * 4, range(first, first + 8)))
        said = {(answer.code, answer.text) for answer in answers}
        assert said == {(535, "5.7.8 Error: authentication failed: (reason unavailable)")}
    assert system.smtp("submission", receiver).noop()[0] == 250


def test_one_who_goes_on_is_blocked_on_every_port(system, attacker, receiver):
    bad = f"{NETWORK}.7"
    at_imap(attacker, receiver, *[bad] * 40)
    wait_until(lambda: bad in attacker.blocked(), 30, lambda: system.run("fail2ban-client", "status", "guessing"))
    assert at_imap(attacker, receiver, bad) == ["TimeoutError"]
    assert at_imap(attacker, receiver, f"{NETWORK}.8") == ["NO"], "a neighbour is not blocked"
    assert system.imap(receiver).select("INBOX")[0] == "OK"
    listed = system.playbook("playbooks/blocks.yml")
    assert listed.returncode == 0, listed.stdout
    assert bad in listed.stdout
    given = ("-e", json.dumps({"lift": bad, "operator": "khanh", "reason": "máy của văn thư"}))
    nobody = system.playbook("playbooks/blocks.yml", "-e", f"lift={bad}")
    assert nobody.returncode != 0 and "-e operator=TÊN -e reason=LÝ_DO" in nobody.stdout, nobody.stdout
    count = len(journal(system))
    foretold = system.playbook("playbooks/blocks.yml", "--check", *given)
    assert "changed=2" in foretold.stdout and f"sẽ bỏ chặn: {bad}" in foretold.stdout, foretold.stdout
    lifted = system.playbook("playbooks/blocks.yml", *given)
    assert "changed=2" in lifted.stdout, "--check lifted the block"
    assert lifted.returncode == 0, lifted.stdout
    (line,) = journal(system)[count:]
    assert (line["act"], line["mailbox"], line["operator"], line["reason"]) == ("block-lift", bad, "khanh", "máy của văn thư")
    assert line["after"]["lifted"] == [bad]
    assert bad not in attacker.blocked()
    assert at_imap(attacker, receiver, bad) == ["NO"]
