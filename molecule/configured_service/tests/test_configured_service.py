"""A service is loaded anew exactly when its configuration differs from what it was loaded with, and never with a bad one."""

from testing import ansible

ARGUMENTS = {
    "unit": "counter",
    "restart_on": ["/etc/counter/hard.conf"],
    "reload_on": ["/etc/counter/soft.conf"],
    "validate": [["grep", "-qx", "[0-9]*", "/etc/counter/soft.conf"]],
}


def run(host, check=False):
    """Run the module as converge.yml does; its result."""
    return ansible("service", "configured_service", ARGUMENTS, check)


def events(host):
    return host.check_output("cat /run/counter.log").split()


def test_reload_restart_and_nothing(host):
    host.run_expect([0], "true > /run/counter.log")
    assert run(host)["actions"] == []
    host.run_expect([0], "echo 2 > /etc/counter/soft.conf")
    assert run(host, check=True)["actions"] == ["reload"]
    assert run(host)["actions"] == ["reload"]
    host.run_expect([0], "echo 2 > /etc/counter/hard.conf")
    assert run(host)["actions"] == ["restart"]
    assert run(host)["actions"] == []


def test_bad_configuration_leaves_the_service_alone(host):
    pid = host.check_output("systemctl show -P MainPID counter")
    host.run_expect([0], "echo rubbish > /etc/counter/soft.conf")
    result = run(host)
    assert result["failed"]
    assert "is not valid, so it was not loaded" in result["msg"]
    assert host.check_output("systemctl show -P MainPID counter") == pid
    host.run_expect([0], "echo 3 > /etc/counter/soft.conf")
    assert run(host)["actions"] == ["reload"]


def test_stopped_disabled_and_masked_by_hand(host):
    host.run_expect([0], "systemctl disable --now counter")
    assert run(host)["actions"] == ["enable", "start"]
    assert host.service("counter").is_running
    host.run_expect([0], "echo '# by hand' >> /etc/systemd/system/counter.service")
    assert run(host)["actions"] == ["daemon-reload", "restart"]
