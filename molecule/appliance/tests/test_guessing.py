"""Who guesses passwords is blocked; the mailbox that is guessed at stays open to its owner, and a block can be seen and lifted."""

import concurrent.futures

import guessing
import pytest
from mail import wait_until

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
    # Postfix waits 10 s for Dovecot, which lets who guesses on wait longer: 454.
    refused = {"NO": answers.count("NO"), "535": answers.count("535") + answers.count("454"), "401": answers.count("401")}
    assert refused["NO"] > 150 and refused["535"] > 30 and refused["401"] > 3, (refused, answers)
    for account in accounts:
        assert system.imap(account).select("INBOX")[0] == "OK"
        assert system.smtp("submission", account).noop()[0] == 250


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
    foretold = system.playbook("playbooks/blocks.yml", "--check", "-e", f"lift={bad}")
    assert "changed=1" in foretold.stdout and f"sẽ bỏ chặn: {bad}" in foretold.stdout, foretold.stdout
    lifted = system.playbook("playbooks/blocks.yml", "-e", f"lift={bad}")
    assert "changed=1" in lifted.stdout, "--check lifted the block"
    assert lifted.returncode == 0, lifted.stdout
    assert bad not in attacker.blocked()
    assert at_imap(attacker, receiver, bad) == ["NO"]
