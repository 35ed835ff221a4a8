"""What is not served is dropped, what is guarded takes only its users, and a bad rule changes nothing."""

import socket

import pytest
from testing import ROOT, play, said, wait_until

CONVERGE = f"{ROOT}/roles/firewall/molecule/firewall/converge.yml"


def address(host):
    return host.ansible.get_variables()["ansible_host"]


def test_open_port_answers(host):
    socket.create_connection((address(host), 8001), 3).close()


@pytest.mark.parametrize("port", [8002, 10588])
def test_other_ports_are_dropped(host, port):
    assert host.run(f"ss -Htln sport = :{port}").stdout, "nothing listens: the test would prove nothing"
    with pytest.raises(TimeoutError):
        socket.create_connection((address(host), port), 2)


def test_who_opens_too_many_connections_waits(host):
    """More in a minute than the service grants: the next is dropped, and ports without a limit answer as before."""
    answers = []
    for _ in range(40):
        try:
            socket.create_connection((address(host), 8003), 1).close()
            answers.append(True)
        except ConnectionRefusedError:  # nothing listens there: the firewall let it pass
            answers.append(True)
        except TimeoutError:
            answers.append(False)
            break
    assert 20 <= answers.count(True) < 40 and answers[-1] is False, answers
    socket.create_connection((address(host), 8001), 3).close()


@pytest.mark.parametrize(("uid", "code"), [(34, 0), (65534, 7), (33, 7)])
def test_guarded_port_takes_its_users_only(host, uid, code):
    connect = "import socket,sys\ntry: socket.create_connection(('127.0.0.1', 10588), 3)\nexcept ConnectionRefusedError: sys.exit(7)"
    assert host.run(f'setpriv --reuid={uid} --clear-groups python3 -c "{connect}"').rc == code


def test_wrong_source_is_refused_before_anything_is_written(host):
    before = host.check_output("sha256sum /etc/nftables.conf; nft list chain inet congvu_mail input | sha256sum")
    bad = '{"firewall_services": [{"name": "x", "ports": [22], "sources": ["10.0.0.1/8", "nowhere"]}]}'
    result = play(CONVERGE, "-e", bad)
    assert result.returncode != 0
    assert "10.0.0.1/8 (host bits are set; the network is 10.0.0.0/8), nowhere (not an address or network)" in said(result)
    assert host.check_output("sha256sum /etc/nftables.conf; nft list chain inet congvu_mail input | sha256sum") == before


def test_rules_flushed_by_hand_come_back(host):
    host.run_expect([0], "systemctl stop nftables")
    assert play(CONVERGE).returncode == 0
    host.run_expect([0], "nft list table inet congvu_mail")


LINES = {
    "dovecot": "auth-worker(an@lab.test,{})<7><aB/c>: request [5]: must-change: unknown user",
    "dovecot-delegate": "auth-worker(0a-1,{},master)<7><aB/c>: request [5]: must-change-delegates: unknown user",
    "dovecot-smtp": "auth-worker(an@lab.test,{})<7>: request [5]: must-change: Password mismatch (for LDAP bind)",
    "password-page": "password change refused: wrong address=an@lab.test client={}",
}


def guesses(host, unit, line, times):
    """Let the unit's journal tell of so many wrong passwords."""
    loop = f'for n in $(seq {times}); do echo "{line}"; done'
    host.run_expect([0], f"systemd-run --quiet --wait --collect --unit={unit} sh -c '{loop}'")


def blocked(host):
    return set(host.check_output("fail2ban-client get guessing banip").split())


@pytest.mark.parametrize("name", LINES)
def test_who_guesses_is_blocked_and_nobody_else(host, name):
    number = 10 + list(LINES).index(name)
    unit = "password-page" if name == "password-page" else "dovecot"
    guesses(host, unit, LINES[name].format(f"198.51.100.{number}"), 31)
    guesses(host, unit, LINES[name].format(f"203.0.113.{number}"), 29)
    guesses(host, unit, LINES[name].format("192.0.2.5"), 40)
    guesses(host, unit, f"auth-worker(x,203.0.113.{number})<7><a>: request [5]: must-change: Lookup timed out", 40)
    guesses(host, unit, f"auth-worker(x,203.0.113.{number})<7><a>: request [5]: ldap: Password mismatch (for LDAP bind)", 40)
    wait_until(lambda: f"198.51.100.{number}" in blocked(host))
    assert blocked(host) & {f"203.0.113.{number}", "192.0.2.5"} == set()
    assert f"198.51.100.{number}" in host.check_output("nft list table inet f2b-table")


def test_an_ipv6_network_is_one_attacker(host):
    """An address for every guess, in however it is written; the block can be lifted, and a neighbour has none."""
    addresses = [f"2001:db8:7:2:{number:x}::1" for number in range(31)]
    loop = f'for a in {" ".join(addresses)}; do echo "{LINES["dovecot"].format("$a")}"; done'
    host.run_expect([0], f"systemd-run --quiet --wait --collect --unit=dovecot sh -c '{loop}'")
    guesses(host, "dovecot", LINES["dovecot"].format("2001:db8:7:3::1"), 29)
    wait_until(lambda: "2001:db8:7:2::/64" in blocked(host), 60)
    assert not {one for one in blocked(host) if one.startswith("2001:db8:7:")} - {"2001:db8:7:2::/64"}
    assert "2001:db8:7:2::/64" in host.check_output("nft list table inet f2b-table")
    host.run_expect([0], "fail2ban-client unban 2001:db8:7:2::/64")
    assert "2001:db8:7:2::/64" not in blocked(host)
    assert "2001:db8:7:2::/64" not in host.check_output("nft list table inet f2b-table")


def test_blocks_outlive_a_restart(host):
    before = blocked(host)
    assert before
    host.run_expect([0], "systemctl restart fail2ban")
    wait_until(lambda: blocked(host) == before)
