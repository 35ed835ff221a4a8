"""The table of the whole system: what is wrong is seen, named and given a remedy; what is right is not."""

import copy
import unicodedata

import pytest

from congvu_mail.status import DETAIL_WIDTH, GOOD, NOTICE, PROBLEM, number, report, span, table, width, wrapped

NOW = 1_795_341_600  # 22/11/2026 17:00 in Vietnam
DAY = 86400
HOST = "mail.example.org"

WELL = {
    "status": {
        "time": NOW,
        "host": {"system": "Debian 13.7", "uptime": 12 * DAY, "reboot": False, "failed": []},
        "services": [
            {"unit": "postfix", "load": "loaded", "active": "active", "sub": "running", "result": "success"},
            {"unit": "dovecot", "load": "loaded", "active": "active", "sub": "running", "result": "success"},
        ],
        "queue": {"queues": {"deferred": 2, "active": 1}, "oldest": NOW - 3700},
        "disks": [{"path": "/srv/mail", "size": 100 * 2**30, "free": 60 * 2**30, "inodes": 1000, "inodes_free": 900}],
        "certificates": [{"path": "/etc/congvu-mail/tls/mail.crt", "end": NOW + 300 * DAY}],
        "ages": [{"name": "Mật khẩu trang rspamd", "days": 90, "since": NOW - 10 * DAY}],
        "records": [
            {"name": "backup", "hours": 26, "time": "2026-11-22T02:10:00+07:00", "result": "ok", "detail": "1,2 GiB"},
            {"name": "restore_test", "hours": 24 * 31, "time": "2026-11-01T03:00:00Z", "result": "ok", "detail": ""},
        ],
        "sessions": {"services": {"imap": 3, "pop3": 1}, "users": 2},
        "directory": {
            "counts": [
                {"kind": "organisation", "state": "active", "number": 12},
                {"kind": "person", "state": "active", "number": 1234},
                {"kind": "person", "state": "suspended", "number": 5},
            ]
        },
        "journal": {"entries": 120, "problems": [], "remarks": []},
        "filter": {"scanned": 5000, "learned": 7, "version": "3.12.1", "actions": {"no action": 4900, "reject": 100, "greylist": 0}},
        "antivirus": {"version": "ClamAV 1.4.3", "signatures": "27826", "date": "Sat Nov 21 08:00:00 2026"},
        "packages": {"postfix": "3.10.13", "dovecot-core": "2.4.1"},
        "updates": {"all": 3, "security": 0},
    }
}


def changed(**sections):
    """The good result with some sections replaced."""
    result = copy.deepcopy(WELL)
    result["status"].update(sections)
    return result


def told(result, **limits):
    """What is reported for one host."""
    return report("Thư công vụ", {HOST: result}, NOW, limits)


def test_all_is_well():
    found = told(WELL)
    assert found["problems"] == []
    assert found["notices"] == []
    text = found["text"]
    for words in (
        "Lúc 22/11/2026 17:00 (giờ Việt Nam)",
        "2/2 đang chạy: postfix, dovecot",
        "3 thư (1 đang gửi, 2 hoãn), cũ nhất 1 giờ",
        "/srv/mail: đã dùng 40%, còn 60,0 GiB",
        "còn 300 ngày (đến 18/09/2027 17:00)",
        "lần cuối 22/11/2026 02:10, cách đây 14 giờ; 1,2 GiB",
        "lần cuối 01/11/2026 10:00, cách đây 21 ngày",
        "2 người đang đăng nhập (3 IMAP, 1 POP3)",
        "1.239 hộp thư cá nhân: 1.234 đang dùng, 5 tạm ngưng",
        "12 hộp thư cơ quan: 12 đang dùng",
        "5.000 thư đã quét: 4.900 cho qua, 100 từ chối; đã học 7 thư",
        "bộ mẫu 27826 ngày 21/11/2026 15:00",
        "postfix 3.10.13, dovecot-core 2.4.1",
        "3 gói chờ cập nhật, 0 gói vá lỗi an toàn",
        "Không có lỗi.",
    ):
        assert words in text, words


SERVICE = {"unit": "slapd", "load": "loaded", "active": "failed", "sub": "failed", "result": "exit-code"}


@pytest.mark.parametrize(
    ("sections", "level", "words"),
    [
        ({"services": [SERVICE]}, PROBLEM, ["slapd KHÔNG chạy (failed/failed, exit-code)", "journalctl -u slapd", "playbooks/site.yml"]),
        ({"services": [{**SERVICE, "active": "inactive", "load": "not-found"}]}, PROBLEM, ["slapd KHÔNG chạy (chưa cài)"]),
        ({"services": [{"unit": "slapd", "error": "timed out"}]}, PROBLEM, ["slapd KHÔNG chạy (timed out)"]),
        (
            {"host": {"system": "Debian 13.7", "uptime": 9, "reboot": False, "failed": ["x.service"]}},
            PROBLEM,
            ["x.service", "reset-failed"],
        ),
        ({"host": {"system": "Debian 13.7", "uptime": 9, "reboot": True, "failed": []}}, NOTICE, ["cần khởi động lại"]),
        ({"time": NOW - 600}, NOTICE, ["đồng hồ lệch 10 phút", "chronyc"]),
        ({"queue": {"queues": {"deferred": 1000}, "oldest": NOW}}, PROBLEM, ["1.000 thư (1.000 hoãn)", "postqueue -p"]),
        ({"queue": {"queues": {"deferred": 1}, "oldest": NOW - 25 * 3600}}, NOTICE, ["cũ nhất 1 ngày"]),
        ({"queue": {"error": "postqueue: fatal"}}, PROBLEM, ["Hàng đợi", "không đọc được (postqueue: fatal)"]),
        ({"disks": [{"path": "/", "size": 100, "free": 9, "inodes": 10, "inodes_free": 9}]}, PROBLEM, ["đã dùng 91%", "du -xhd1 /"]),
        ({"disks": [{"path": "/", "size": 100, "free": 15, "inodes": 0, "inodes_free": 0}]}, NOTICE, ["đã dùng 85%"]),
        ({"disks": [{"path": "/", "size": 100, "free": 90, "inodes": 100, "inodes_free": 5}]}, PROBLEM, ["95% số inode"]),
        ({"disks": [{"path": "/srv", "error": "No such file"}]}, PROBLEM, ["/srv: không đọc được (No such file)", "mount -a"]),
        ({"certificates": [{"path": "/m.crt", "end": NOW + 20 * DAY}]}, PROBLEM, ["còn 20 ngày", "chứng thư mới"]),
        ({"certificates": [{"path": "/m.crt", "end": NOW + 25 * DAY}]}, NOTICE, ["còn 25 ngày"]),
        ({"certificates": [{"path": "/m.crt", "end": NOW - 1}]}, PROBLEM, ["ĐÃ HẾT HẠN"]),
        ({"ages": [{"name": "rspamd", "days": 90, "since": NOW - 91 * DAY}]}, PROBLEM, ["QUÁ HẠN 90 ngày", "ansible-vault edit"]),
        ({"ages": [{"name": "rspamd", "days": 90, "since": NOW - 80 * DAY}]}, NOTICE, ["còn 10 ngày"]),
        ({"ages": [{"name": "rspamd", "days": 90, "error": "No such file"}]}, PROBLEM, ["không biết đặt từ ngày nào"]),
        ({"certificates": [{"path": "/m.crt", "error": "openssl: no"}]}, PROBLEM, ["/m.crt: không đọc được"]),
        ({"records": [{"name": "backup", "hours": 26, "time": None}]}, PROBLEM, ["Sao lưu", "chưa có lần nào", "playbooks/backup.yml"]),
        ({"records": [{"name": "clock", "hours": 26, "time": None}]}, NOTICE, ["Đồng hồ hằng ngày", "chưa có lần nào", "sáng hôm sau"]),
        ({"records": [{"name": "forwarding", "hours": 26, "time": None}]}, NOTICE, ["Chuyển tiếp", "chưa có lần nào"]),
        (
            {
                "records": [
                    {"name": "forwarding", "hours": 26, "time": "2026-11-22T05:30:00+07:00", "result": "notice", "detail": "1 bộ lọc"}
                ]
            },
            NOTICE,
            ["Chuyển tiếp", "1 bộ lọc", "congvu-forward-check"],
        ),
        ({"records": [{"name": "restore_test", "hours": 1, "error": "no JSON"}]}, PROBLEM, ["Thử phục hồi", "no JSON"]),
        ({"directory": {"counts": []}}, NOTICE, ["chưa có hộp thư nào", "playbooks/accounts.yml"]),
        ({"directory": {"error": "ldapsearch: Can't contact LDAP server (-1)"}}, PROBLEM, ["Danh bạ", "Can't contact"]),
        ({"filter": {"error": "Connection refused"}}, PROBLEM, ["Bộ lọc", "Connection refused"]),
        ({"antivirus": {"version": "ClamAV 1.4.3", "signatures": "", "date": ""}}, NOTICE, ["không có bộ mẫu chính thức"]),
        ({"antivirus": {"version": "ClamAV 1.4.3", "signatures": "1", "date": "Sun Nov  1 08:00:00 2026"}}, NOTICE, ["01/11/2026"]),
        ({"packages": {"postfix": None}}, PROBLEM, ["chưa cài: postfix"]),
        ({"updates": {"all": 2, "security": 1}}, NOTICE, ["1 gói vá lỗi an toàn", "unattended-upgrade"]),
        ({"sessions": {"unknown": 1}}, PROBLEM, ["Phiên", "số liệu không đúng dạng"]),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(sections, level, words):
    found = told(changed(**sections))
    lines, others = (found["problems"], found["notices"]) if level == PROBLEM else (found["notices"], found["problems"])
    assert len(lines) == 1
    assert others == []
    assert f", {HOST}: " in lines[0]
    assert "Cách xử lý: " in lines[0]
    for word in words:
        assert word in lines[0]
    assert lines[0] in found["text"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"time": "2026-11-21T02:10:00+07:00", "result": "ok", "detail": ""}, "QUÁ HẠN 26 giờ, lần cuối 21/11/2026 02:10"),
        ({"time": "2026-11-22T02:10:00+07:00", "result": "failed", "detail": "hết đĩa"}, "THẤT BẠI, lần cuối"),
        ({"time": "yesterday", "result": "ok", "detail": ""}, "không đúng dạng"),
    ],
)
def test_a_bad_backup_is_a_problem(record, words):
    (line,) = told(changed(records=[{"name": "backup", "hours": 26, **record}]))["problems"]
    assert words in line


def test_a_host_out_of_reach_does_not_hide_the_others():
    results = {
        "away.example.org": {"unreachable": True, "msg": "Connection timed out"},
        "broken.example.org": {"failed": True, "msg": "no python"},
        HOST: WELL,
    }
    found = report("T", results, NOW)
    assert [line.split(". Cách")[0] for line in found["problems"]] == [
        "Máy, away.example.org: không kết nối được (Connection timed out)",
        "Máy, broken.example.org: không xem được (no python)",
    ]
    assert "2/2 đang chạy" in found["text"]


def test_limits_can_be_set():
    assert told(WELL, disk_problem=40)["problems"]
    assert told(WELL, certificate_notice=400)["notices"]


def test_lines_are_of_equal_width_and_composed():
    """Also with decomposed letters, wide characters and a long text."""
    decomposed = unicodedata.normalize("NFD", "hết chỗ ở đĩa sao lưu ")
    record = {"name": "backup", "hours": 26, "time": "2026-11-22T02:10:00+07:00", "result": "ok", "detail": decomposed * 20 + "磁碟"}
    text = told(changed(records=[record]))["text"]
    assert unicodedata.is_normalized("NFC", text)
    lines = [line for line in text.splitlines() if line.startswith(("|", "+"))]
    assert len({width(line) for line in lines}) == 1
    assert max(map(width, lines)) < 160


def test_helpers():
    assert number(1234567.891, 1) == "1.234.567,9"
    assert [span(s) for s in (5, 60, 7200, 2 * DAY)] == ["chưa đầy 1 phút", "1 phút", "2 giờ", "2 ngày"]
    assert [width(t) for t in ("đĩa", unicodedata.normalize("NFD", "đĩa"), "磁碟", "a\u200bb")] == [3, 3, 4, 2]
    assert wrapped("một hai ba bốn", 7) == ["một hai", "ba bốn"]
    assert wrapped("x" * 100, DETAIL_WIDTH) == ["x" * 100]
    assert table(("A", "B"), [("磁", "b")]) == ["+----+---+", "| A  | B |", "+----+---+", "| 磁 | b |", "+----+---+"]
    assert GOOD not in (NOTICE, PROBLEM)


def test_a_remark_that_no_host_gives():
    remark = {"topic": "SPF", "detail": "thư ra qua relay.example", "remedy": "thêm vào SPF"}
    found = report("Thư công vụ", {HOST: WELL}, NOW, {}, [remark])
    assert found["problems"] == []
    assert found["notices"] == ["SPF: thư ra qua relay.example. Cách xử lý: thêm vào SPF."]
    assert "| LƯU Ý | thư ra qua relay.example" in found["text"]


def test_a_journal_that_was_changed_is_seen_without_anybody_asking():
    wrong = ["dòng 7 (số 7): nội dung của dòng này hoặc mã băm của dòng trước đã bị sửa", "nhật ký bị cắt: chỉ đến số 8"]
    (problem,) = told(changed(journal={"entries": 8, "problems": wrong, "remarks": []}))["problems"]
    assert all(one in problem for one in wrong) and "giữ nguyên tệp" in problem
    assert told(changed(journal={"entries": 8, "problems": [], "remarks": ["dòng 3: ghi dở"]}))["problems"] == []
