"""Who guesses passwords is blocked; the mailbox that is guessed at stays open to its owner, and a block can be seen and lifted."""

import json

import pytest
from mail import wait_until

NETWORK = "198.51.100"  # RFC 5737; none of the networks that are never blocked
ADDRESSES = 50

# Runs outside: log in with wrong passwords, from one address after the other, many at a time. Prints the first word of each answer.
GUESS = """
import concurrent.futures, json, socket, ssl, sys
task = json.load(sys.stdin)
tls = ssl._create_unverified_context()
def guess(source):
    try:
        with socket.create_connection((task["host"], 993), 30, (source, 0)) as raw, tls.wrap_socket(raw) as s, s.makefile("rwb") as f:
            f.readline()
            f.write(b'a LOGIN "%s" "sai-mat-khau"\\r\\n' % task["user"].encode()); f.flush()
            return f.readline().decode().split(" ")[1]
    except OSError as error:
        return type(error).__name__
with concurrent.futures.ThreadPoolExecutor(60) as pool:
    print(json.dumps(list(pool.map(guess, task["sources"]))))
"""


@pytest.fixture
def attacker(system):
    """Guess from addresses outside; the ways there are gone afterwards, and so are the blocks."""
    gateway = system.run_outside("hostname", "-I").split()[0]
    link = system.run_outside("sh", "-c", "ip -o route get " + system.address + " | sed 's/.* dev \\([^ ]*\\).*/\\1/'").strip()
    batch = "".join(f"address {{}} {NETWORK}.{n}/32 dev {link}\n" for n in range(1, ADDRESSES + 1))
    system.run_outside("ip", "-batch", "-", stdin=batch.replace("{}", "add"))
    system.run("ip", "route", "replace", f"{NETWORK}.0/24", "via", gateway)

    def guess(user, sources):
        task = json.dumps({"host": system.address, "user": user, "sources": sources})
        return json.loads(system.run_outside("python3", "-c", GUESS, stdin=task))

    yield guess
    system.run("fail2ban-client", "unban", "--all")
    system.run("ip", "route", "del", f"{NETWORK}.0/24")
    system.run_outside("ip", "-batch", "-", stdin=batch.replace("{}", "del"))


def blocked(system):
    """Addresses that are blocked now."""
    return set(system.run("fail2ban-client", "get", "guessing", "banip").split())


def test_guesses_from_many_addresses_do_not_lock_the_owner_out(system, attacker, receiver):
    answers = attacker(receiver["address"], [f"{NETWORK}.{n % ADDRESSES + 1}" for n in range(300)])
    assert "OK" not in answers
    assert answers.count("NO") > 200, answers
    assert system.imap(receiver).select("INBOX")[0] == "OK"
    assert system.smtp("submission", receiver).noop()[0] == 250


def test_one_who_goes_on_is_blocked_on_every_port(system, attacker, receiver):
    bad = f"{NETWORK}.7"
    attacker(receiver["address"], [bad] * 40)
    wait_until(lambda: bad in blocked(system), 30, lambda: system.run("fail2ban-client", "status", "guessing"))
    assert attacker(receiver["address"], [bad]) == ["TimeoutError"]
    assert attacker(receiver["address"], [f"{NETWORK}.8"]) == ["NO"], "a neighbour is not blocked"
    assert system.imap(receiver).select("INBOX")[0] == "OK"
    listed = system.playbook("playbooks/blocks.yml")
    assert listed.returncode == 0, listed.stdout
    assert bad in listed.stdout
    foretold = system.playbook("playbooks/blocks.yml", "--check", "-e", f"lift={bad}")
    assert "changed=1" in foretold.stdout and f"sẽ bỏ chặn: {bad}" in foretold.stdout, foretold.stdout
    lifted = system.playbook("playbooks/blocks.yml", "-e", f"lift={bad}")
    assert "changed=1" in lifted.stdout, "--check lifted the block"
    assert lifted.returncode == 0, lifted.stdout
    assert bad not in blocked(system)
    assert attacker(receiver["address"], [bad]) == ["NO"]
