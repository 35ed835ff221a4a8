"""What an operator does every day: back up, try the backup, look at the whole; what is wrong stands out in the table."""

import json
import re

from mail import compose, wait_until


def lines(result, topic):
    """(level, detail) of each line of the table on a topic, with its continuation lines."""
    found = []
    for line in result.stdout.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4 or line.strip().startswith("+"):
            continue
        if any(cells[:3]):
            found.append([cells[0], cells[2], cells[3]])
        elif found:
            found[-1][2] += " " + cells[3]
    return [(level, detail) for name, level, detail in found if name == topic]


def test_a_backup_and_its_trial_show_in_the_table(system):
    done = system.playbook("playbooks/backup.yml", "-e", "test=true")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "TỐT" in done.stdout and "thư đúng SHA-256" in done.stdout
    shown = system.playbook("playbooks/status.yml")
    assert shown.returncode == 0, shown.stdout[-5000:] + shown.stderr[-2000:]
    topics = ("Hệ thống", "Dịch vụ", "Hàng đợi", "Đĩa", "Sao lưu", "Thử phục hồi", "Danh bạ", "Nhật ký thao tác", "Bộ lọc", "Phiên bản")
    for topic in topics:
        found = lines(shown, topic)
        assert found and {level for level, _detail in found} == {"tốt"}, (topic, found)
    ((_level, services),) = lines(shown, "Dịch vụ")
    assert re.match(r"(\d+)/\1 đang chạy: .*postfix, .*dovecot, .*nginx", services), services
    assert "/etc/congvu-mail/tls/mail.crt: còn " in lines(shown, "Chứng thư")[0][1]
    for topic in ("Sao lưu", "Thử phục hồi"):
        assert "cách đây chưa đầy 1 phút" in lines(shown, topic)[0][1] or "phút" in lines(shown, topic)[0][1]
    # The lab has no official signatures, and says so.
    assert [level for level, _detail in lines(shown, "Mẫu vi-rút")] == ["LƯU Ý"]
    assert "Không có lỗi." in shown.stdout


def test_a_stopped_service_waiting_mail_and_an_edited_journal_stand_out(system, sender):
    citizen = system.access["outside"]["address"]
    edited = ("sed", "-i", '1s/"result":"done"/"result":"none"/', "/var/lib/congvu-mail/journal/operations.jsonl")
    system.run_outside("systemctl", "stop", "postfix")
    system.run("systemctl", "stop", "nginx")
    system.run(*edited)
    try:
        for number in range(3):
            system.send(compose(sender["address"], citizen, f"Chờ {number}"), sender["address"], [citizen], account=sender)
        wait_until(lambda: system.run("postqueue", "-j").count('"deferred"') >= 3, 60, lambda: system.run("postqueue", "-p"))
        # A relay that the SPF record does not name is a matter of the configuration, of no host.
        settings = {"status_limits": {"queue_notice": 3}, "deployment_relayhost": "[relay.example.net]"}
        shown = system.playbook("playbooks/status.yml", "-e", json.dumps(settings))
    finally:
        system.run(*(word.replace('done"/"result":"none', 'none"/"result":"done') for word in edited))
        system.run("systemctl", "start", "nginx")
        system.run_outside("systemctl", "start", "postfix")
    assert shown.returncode != 0
    ((level, detail),) = lines(shown, "Nhật ký thao tác")
    assert level == "LỖI" and "dòng 1 (số 1): nội dung của dòng này hoặc mã băm của dòng trước đã bị sửa" in detail
    assert ("LỖI", "nginx KHÔNG chạy (inactive/dead, success)") in lines(shown, "Dịch vụ")
    ((level, detail),) = lines(shown, "Hàng đợi")
    assert level == "LƯU Ý" and re.match(r"3 thư \(3 hoãn\), cũ nhất ", detail), detail
    assert lines(shown, "SPF") == [("LƯU Ý", "thư ra qua [relay.example.net], nhưng bản ghi SPF chỉ cho phép mx")]
    folded = " ".join(shown.stdout.split())
    assert "xem journalctl -u nginx -n 50, sửa, rồi chạy ansible-playbook playbooks/site.yml" in folded
    assert "nơi nhận hỏng thì chờ, bên mình hỏng thì sửa rồi postqueue -f" in folded
    system.run("postqueue", "-f")
    wait_until(lambda: not system.run("postqueue", "-j"), 60, lambda: system.run("postqueue", "-p"))


def test_the_directory_is_published(system, tmp_path):
    done = system.playbook("playbooks/directory.yml", "-e", f"output={tmp_path}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix in (".csv", ".html", ".ldif", ".vcf")), list(tmp_path.iterdir())
    assert "changed=0" in system.playbook("playbooks/directory.yml", "-e", f"output={tmp_path}").stdout
