"""Valkey answers only to who knows the password, keeps what it was told over a restart and a crash, and is shut in."""

import socket

from testing import wait_until

PASSWORD = "a-password-of-the-scenario"


def client(host, command, password=PASSWORD):
    """What valkey-cli prints for a command; password None: none is given."""
    given = f"REDISCLI_AUTH={password} " if password else ""
    return host.run(f"{given}valkey-cli {command}").stdout.strip()


def main_pid(host):
    return host.check_output("systemctl show -P MainPID valkey-server")


def test_refuses_who_gives_no_or_a_wrong_password(host):
    assert client(host, "SET a 1", password=None) == "NOAUTH Authentication required."
    assert "NOAUTH" in client(host, "GET a", password="wrong")
    assert client(host, "SET a 1") == "OK"
    assert client(host, "GET a") == "1"


def test_the_password_is_in_no_file_and_no_command_line(host):
    assert host.run(f"grep -rF {PASSWORD} /etc/valkey").rc == 1
    assert PASSWORD not in host.check_output(f"tr '\\0' ' ' </proc/{main_pid(host)}/cmdline")
    conf = host.file("/etc/valkey/valkey.conf")
    assert (conf.user, conf.group, conf.mode) == ("root", "valkey", 0o640)


def test_a_client_cannot_switch_the_server(host):
    for command in ("CONFIG SET maxmemory 0", "SHUTDOWN", "FLUSHALL", "REPLICAOF no one", "ACL SETUSER x on", "MODULE LIST"):
        assert client(host, command).startswith("NOPERM"), command


def test_listens_on_loopback_only(host):
    sockets = [s for s in host.socket.get_listening_sockets() if s.endswith(":6379")]
    assert sorted(sockets) == ["tcp://127.0.0.1:6379", "tcp://::1:6379"]
    outside = host.ansible.get_variables()["ansible_host"]
    with socket.socket() as attempt:
        attempt.settimeout(3)
        assert attempt.connect_ex((outside, 6379)) != 0


def test_data_survives_a_restart_and_a_crash(host):
    client(host, "SET learned 42")
    host.run_expect([0], "systemctl restart valkey-server")
    assert client(host, "GET learned") == "42"
    client(host, "SET learned 43")
    # appendfsync everysec: the file is on the disk when no write is under way any more.
    wait_until(lambda: "aof_pending_bio_fsync:0" in client(host, "INFO persistence"), 10, "the fsync")
    before = main_pid(host)
    host.run_expect([0], "systemctl kill -s KILL valkey-server")
    wait_until(lambda: main_pid(host) not in (before, "0") and client(host, "PING") == "PONG", 30, "the automatic restart")
    assert client(host, "GET learned") == "43"


def test_full_memory_drops_what_expires_and_never_what_was_learned(host):
    assert client(host, "INFO memory").count("maxmemory:67108864") == 1
    client(host, "SET learned 44")
    fill = "for i = 1, 1500 do redis.call('SET', 'passing' .. i, string.rep('x', 100000), 'EX', 1000 + i) end return 'done'"
    assert client(host, f'EVAL "{fill}" 0') == "done"
    info = dict(line.split(":", 1) for line in client(host, "INFO stats").splitlines() if ":" in line)
    assert int(info["evicted_keys"]) > 0
    assert client(host, "GET learned") == "44"


def test_a_configuration_that_cannot_be_loaded_changes_nothing(host):
    """The validator that the role puts before the file, on a file with a misspelt word."""
    host.run_expect([0], "sed s/maxmemory-policy/maxmemory-polixy/ /etc/valkey/valkey.conf >/root/bad.conf")
    check = (
        "timeout --preserve-status 1 valkey-server {} --port 0 --unixsocket /run/valkey-check.sock"
        " --daemonize no --supervised no --appendonly no --dir /run"
    )
    assert host.run(check.format("/root/bad.conf")).rc == 1
    assert host.run(check.format("/etc/valkey/valkey.conf")).rc == 0


def test_sandbox_on_the_live_process(host):
    status = dict(line.split(":", 1) for line in host.check_output(f"cat /proc/{main_pid(host)}/status").splitlines() if ":" in line)
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert int(status["CapBnd"], 16) == 0
    # The process's own view of the file system; root of the host is refused there too, so it is the mount, not the mode.
    inside = f"/proc/{main_pid(host)}/root"
    for path in ("/usr/x", "/etc/valkey/x", "/etc/x", "/run/x", "/var/lib/x", "/srv/x"):
        assert "Read-only file system" in host.run(f"touch {inside}{path}").stderr, path
    host.run_expect([0], f"touch {inside}/var/lib/valkey/x && rm {inside}/var/lib/valkey/x")
    shell = host.run(f"nsenter -t {main_pid(host)} -m /bin/true")
    assert shell.rc and "Permission denied" in shell.stderr
    score = host.check_output("systemd-analyze security --no-pager valkey-server | tail -1").split(": ")[1].split()[0]
    assert float(score) <= 2.5
