"""The host keeps Vietnamese time, a long journal, and an sshd that takes keys only."""

import json

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
    """By space, not by age: a host whose time jumps ahead by a year would delete half a year of logs."""
    assert host.file("/var/log/journal").is_directory
    wanted = "'^(Storage|MaxRetentionSec|RateLimitIntervalSec)='"
    shown = host.check_output(f"systemd-analyze cat-config systemd/journald.conf | grep -E {wanted}")
    assert shown.splitlines()[-3:] == ["Storage=persistent", "MaxRetentionSec=0", "RateLimitIntervalSec=0"]


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


def test_the_machine_s_administrators_have_their_own_password_rule(host):
    host.run_expect([0], "useradd --create-home --comment 'Nguyen Van An' quantri")
    refused = {
        "Ngan#2026": "shorter than 12 characters",
        "khong-co-hoa-2026": "less than 1 uppercase",
        "KHONG-CO-THUONG-2026": "less than 1 lowercase",
        "Khong-Co-Chu-So": "less than 1 digits",
        "KhongCoDacBiet2026": "less than 1 non-alphanumeric",
        "Quantri#2026-xyz": "contains the user name",
        "Nguyen#2026-xyz": "contains words from the real name",
    }
    for password, reason in refused.items():
        said = host.run(f"echo 'quantri:{password}' | chpasswd")
        assert said.rc != 0, password
        assert reason in said.stderr, said.stderr
    assert host.check_output("passwd -S quantri").split()[1] == "L"
    host.run_expect([0], "echo 'quantri:Mua$Rao-2026-ca' | chpasswd")
    again = host.run("echo 'quantri:Mua$Rao-2026-ca' | chpasswd")
    assert again.rc != 0
    assert "already used" in again.stderr
    assert "Maximum number of days between password change\t\t: 90" in host.check_output("chage -l quantri")


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


def refusal(*arguments):
    """What the role says when it refuses the host; nothing was changed then."""
    refused = play(CONVERGE, *arguments)
    assert refused.returncode == 2
    assert "changed=0" in refused.stdout
    return said(refused)


def test_an_unfit_host_is_refused_with_all_that_is_wrong(host):
    """Another release, too small, and a port in use by a program that is not ours: one message, before anything is changed."""
    host.run_expect(
        [0], "cp -p /etc/debian_version /root/ && cp -p --remove-destination /usr/lib/os-release /root/ && echo 12.9 >/etc/debian_version"
    )
    host.run_expect([0], "sed -i s/^VERSION_ID=.*/VERSION_ID=12/ /usr/lib/os-release")
    host.run_expect([0], "systemd-run --unit foreign python3 -m http.server 8025")
    try:
        host.run_expect([0], "for i in $(seq 100); do ss -Hltn | grep -q :8025 && break; sleep 0.1; done")
        settings = {
            "base_minimum_memory": 99999999,
            "base_ports": [{"ports": [22], "programs": ["sshd"]}, {"ports": [8025], "programs": ["nginx"]}],
        }
        message = refusal("-e", json.dumps(settings))
    finally:
        host.run_expect([0], "systemctl stop foreign; mv /root/debian_version /etc/; mv /root/os-release /usr/lib/")
    assert "base: chưa thay đổi gì trên máy này." in message
    assert "Máy chạy Debian 12.9, hệ thống thư chỉ chạy trên Debian 13 (trixie): cài Debian 13." in message
    assert "cần ít nhất 99999999 (biến base_minimum_memory): tăng bộ nhớ cho máy." in message
    assert "Cổng 8025 (python3) đang do chương trình khác giữ (ss -ltnp): dừng và gỡ chương trình đó." in message


def test_a_full_disk_is_refused():
    assert "cần ít nhất 99999999 (biến base_minimum_disk): dọn hoặc tăng đĩa." in refusal("-e", "base_minimum_disk=99999999")
