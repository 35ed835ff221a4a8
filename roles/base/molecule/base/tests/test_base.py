"""The host keeps Vietnamese time, a long journal, and an sshd that takes keys only."""

from testing import ROOT, play, said

CONVERGE = f"{ROOT}/roles/base/molecule/base/converge.yml"


def test_names(host):
    assert host.check_output("hostname --fqdn") == "mail.lab.test"
    assert host.check_output("getent hosts other").split()[0] == "192.0.2.7"


def test_time_and_locale(host):
    assert host.check_output("date -d 2026-01-01T00:00:00Z +%H:%M%z") == "07:00+0700"
    assert host.check_output("LC_ALL=vi_VN.UTF-8 date -d 2026-06-15 +%A") == "Thứ hai"
    assert "192.0.2.123" in host.check_output("chronyc -n sources")


def test_journal_survives_and_lasts(host):
    assert host.file("/var/log/journal").is_directory
    wanted = "'^(Storage|MaxRetentionSec|RateLimitIntervalSec)='"
    shown = host.check_output(f"systemd-analyze cat-config systemd/journald.conf | grep -E {wanted}")
    assert shown.splitlines()[-3:] == ["Storage=persistent", "MaxRetentionSec=190day", "RateLimitIntervalSec=0"]


def test_ssh_takes_keys_only(host):
    running = host.check_output("sshd -T")
    assert "passwordauthentication no" in running.splitlines()
    assert "permitrootlogin without-password" in running.splitlines()
    # The status is echoed: a 255 of the inner ssh would look like one of testinfra's own connection.
    refused = host.run(
        "ssh -o StrictHostKeyChecking=no -o PreferredAuthentications=password,keyboard-interactive -o PubkeyAuthentication=no "
        "-o BatchMode=yes nobody@127.0.0.1; echo $?"
    )
    assert refused.stdout.strip() == "255"
    assert "Permission denied (publickey)." in refused.stderr
    assert "HỆ THỐNG THƯ ĐIỆN TỬ CÔNG VỤ" in refused.stderr


def test_packages_come_from_the_named_mirror_only(host):
    assert host.check_output("apt-get indextargets --format '$(URI)' | sort -u | grep -v ^file:/srv/mirror || echo none") == "none"


def test_drift_is_predicted_and_repaired(host):
    host.run_expect([0], "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-congvu-mail.conf; systemctl disable --now chrony")
    predicted = play(CONVERGE, "--check", "--diff")
    assert "-PasswordAuthentication yes" in predicted.stdout
    assert not host.service("chrony").is_running
    assert play(CONVERGE).returncode == 0
    assert host.service("chrony").is_running
    assert "passwordauthentication no" in host.check_output("sshd -T").splitlines()


def test_a_small_host_is_refused(host):
    refused = play(CONVERGE, "-e", "base_minimum_memory=99999999")
    assert refused.returncode != 0
    assert "MiB of memory, at least 99999999 are needed" in said(refused)
