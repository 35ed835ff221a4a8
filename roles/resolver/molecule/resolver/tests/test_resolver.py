"""Local zones are answered, nothing else is asked for, and only this host may ask."""

import socket

from testing import ROOT, ansible, play


def dig(host, *words):
    return host.check_output("dig +time=2 +tries=1 @127.0.0.1 " + " ".join(words))


def test_local_zone(host):
    assert dig(host, "lab.test", "MX", "+short") == "10 mail.lab.test."
    assert dig(host, "lab.test", "TXT", "+short") == '"v=spf1 mx -all"'
    assert host.check_output("getent hosts mail.lab.test").split()[0] == "192.0.2.25"


def test_unknown_local_name_does_not_exist(host):
    assert "status: NXDOMAIN" in dig(host, "nothing.lab.test")


def test_other_names_are_refused_at_once(host):
    answer = dig(host, "example.com", "MX")
    assert "status: REFUSED" in answer
    assert "Query time: 0 msec" in answer


def test_other_hosts_get_no_answer(host):
    query = bytes.fromhex("000101000001000000000000036c6162047465737400000f0001")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.connect((host.ansible.get_variables()["ansible_host"], 53))
        s.send(query)
        try:
            answer = s.recv(512)
        except (TimeoutError, ConnectionRefusedError):
            return
    raise AssertionError(f"answered {answer!r}")


def test_the_process_is_kept_in(host):
    pid = host.check_output("systemctl show -P MainPID unbound")
    status = dict(line.split(":\t", 1) for line in host.check_output(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["Uid"].split()[0] != "0"
    assert int(status["CapEff"], 16) == 0
    assert host.run(f"nsenter -t {pid} -m touch /usr/x").rc == 1
    exposure = float(host.check_output("systemd-analyze security unbound --no-pager").split("unbound.service: ")[1].split()[0])
    assert exposure <= 2.5


def test_a_bad_zone_leaves_the_service_alone(host):
    pid = host.check_output("systemctl show -P MainPID unbound")
    bad = '{"resolver_listen": ["not-an-address"]}'
    assert play(f"{ROOT}/roles/resolver/molecule/resolver/converge.yml", "-e", bad).returncode != 0
    assert host.check_output("systemctl show -P MainPID unbound") == pid
    assert ansible("resolver", "ansible.builtin.command", {"argv": ["dig", "+short", "@127.0.0.1", "lab.test", "MX"]})["rc"] == 0
