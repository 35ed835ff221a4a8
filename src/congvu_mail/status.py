# SPDX-License-Identifier: Apache-2.0
"""The state of the whole mail system as one table in Vietnamese, with a remedy for each problem.

`report` takes what the module `appliance_status` found on each host. No file, no clock, no network: the same figures give the same text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from congvu_mail.months import VIETNAM

GOOD, NOTICE, PROBLEM = "tốt", "LƯU Ý", "LỖI"
DETAIL_WIDTH = 76

# From where on a figure is worth a notice or a problem. Percent of disk used, days of a certificate and of an administrator's password that
# are left, messages that wait, hours of the oldest, days of virus signatures, seconds between the clocks of the hosts and of the
# controller.
LIMITS = {
    "disk_notice": 80,
    "disk_problem": 90,
    "certificate_notice": 30,
    "certificate_problem": 21,
    "password_notice": 14,
    "queue_notice": 100,
    "queue_problem": 1000,
    "queue_hours": 24,
    "signature_days": 7,
    "clock_seconds": 120,
}

RECORDS = {
    "backup": ("Sao lưu", "xem nhật ký sao lưu trên máy (journalctl), rồi chạy ansible-playbook playbooks/backup.yml"),
    "restore_test": (
        "Thử phục hồi",
        "xem nhật ký thử phục hồi trên máy (journalctl), rồi chạy thử lại; chưa thử được thì bản sao lưu chưa đáng tin",
    ),
    "forwarding": (
        "Chuyển tiếp",
        "thư không ra ngoài và còn trong hộp thư; xem của ai: journalctl -u congvu-forward-check; nhắc chủ hộp thư bỏ lệnh chuyển tiếp",
    ),
    "clock": ("Đồng hồ hằng ngày", "xem việc bị giữ lại: ansible-playbook playbooks/clock.yml --check (docs/lifecycle.md, mục 2)"),
}
# Not a problem on a new server: it runs the next morning.
BEFORE_THE_FIRST = {"clock", "forwarding"}
STATES = {"active": "đang dùng", "suspended": "tạm ngưng", "terminated": "chấm dứt"}
KINDS = {"person": "cá nhân", "organisation": "cơ quan"}
QUEUES = {"active": "đang gửi", "incoming": "mới nhận", "deferred": "hoãn", "hold": "giữ lại", "maildrop": "chờ nhận", "corrupt": "hỏng"}
ACTIONS = {
    "no action": "cho qua",
    "add header": "đánh dấu rác",
    "rewrite subject": "đổi tiêu đề",
    "greylist": "hẹn lại",
    "soft reject": "hoãn",
    "reject": "từ chối",
}


@dataclass(frozen=True)
class Row:
    """One line of the table; a problem or notice says what to do."""

    topic: str
    level: str
    detail: str
    remedy: str = ""


def number(value: float, digits: int = 0) -> str:
    """A number as Vietnam writes it: 1.234,5."""
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def gib(value: float) -> str:
    """Bytes in GiB."""
    return f"{number(value / 1024**3, 1)} GiB"


def moment(seconds: float) -> str:
    """A moment in Vietnamese time."""
    return datetime.fromtimestamp(seconds, VIETNAM).strftime("%d/%m/%Y %H:%M")


def span(seconds: float) -> str:
    """A length of time, in the largest unit that fits."""
    for length, name in ((86400, "ngày"), (3600, "giờ"), (60, "phút")):
        if seconds >= length:
            return f"{number(seconds // length)} {name}"
    return "chưa đầy 1 phút"


def at_least(value: float, notice: float, problem: float) -> str:
    """The level of a figure that is bad when large."""
    return PROBLEM if value >= problem else NOTICE if value >= notice else GOOD


def listed(counts: Mapping[str, int], names: Mapping[str, str]) -> str:
    """Counts by name, the known names first and in their order, without those that are zero."""
    order = [*names, *sorted(set(counts) - set(names))]
    return ", ".join(f"{number(counts[key])} {names.get(key, key)}" for key in order if counts.get(key))


def of_host(found: Mapping[str, Any], now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """Release, uptime, units that failed, a reboot that is due, the clock."""
    skew = abs(found["time"] - now)
    host = found["host"]
    text = f"{host['system']}, chạy được {span(host['uptime'])}"
    if host["failed"]:
        failed = ", ".join(host["failed"])
        yield Row(
            "Hệ thống",
            PROBLEM,
            f"{text}; đơn vị systemd bị lỗi: {failed}",
            f"xem journalctl -u {host['failed'][0]}, sửa, rồi systemctl reset-failed",
        )
    elif skew > limits["clock_seconds"]:
        yield Row("Hệ thống", NOTICE, f"{text}; đồng hồ lệch {span(skew)} so với máy điều khiển", "kiểm tra máy chủ giờ: chronyc sources")
    elif host["reboot"]:
        yield Row("Hệ thống", NOTICE, f"{text}; cần khởi động lại sau khi cập nhật", "chọn giờ vắng, khởi động lại máy")
    else:
        yield Row("Hệ thống", GOOD, text)


def of_services(found: Any, _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """The units: one line for those that run, one for each that does not."""
    running = [s["unit"] for s in found if s.get("active") in ("active", "reloading")]
    if running:
        yield Row("Dịch vụ", GOOD, f"{len(running)}/{len(found)} đang chạy: {', '.join(running)}")
    for service in found:
        unit = service["unit"]
        if unit in running:
            continue
        state = service.get("error") or (
            "chưa cài" if service["load"] == "not-found" else f"{service['active']}/{service['sub']}, {service['result']}"
        )
        yield Row(
            "Dịch vụ",
            PROBLEM,
            f"{unit} KHÔNG chạy ({state})",
            f"xem journalctl -u {unit} -n 50, sửa, rồi chạy ansible-playbook playbooks/site.yml",
        )


def of_queue(found: Mapping[str, Any], now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """Messages that wait."""
    total = sum(found["queues"].values())
    if not total:
        yield Row("Hàng đợi", GOOD, "không có thư chờ")
        return
    age = max(0, now - found["oldest"])
    level = at_least(total, limits["queue_notice"], limits["queue_problem"])
    if level == GOOD and age >= limits["queue_hours"] * 3600:
        level = NOTICE
    remedy = "xem lý do từng thư: postqueue -p; nơi nhận hỏng thì chờ, bên mình hỏng thì sửa rồi postqueue -f"
    if found["queues"].get("hold"):
        level = max(level, NOTICE, key=(GOOD, NOTICE, PROBLEM).index)
        remedy += "; thư giữ lại của hộp thư bị chiếm quyền: xem postcat -q MÃ, cho đi postsuper -H MÃ, xóa postsuper -d MÃ"
    yield Row("Hàng đợi", level, f"{number(total)} thư ({listed(found['queues'], QUEUES)}), cũ nhất {span(age)}", remedy)


def of_disks(found: Any, _now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """File systems: space and inodes, whichever is scarcer."""
    for disk in found:
        if "error" in disk:
            yield Row("Đĩa", PROBLEM, f"{disk['path']}: không đọc được ({disk['error']})", "gắn lại hệ thống tệp: findmnt, mount -a")
            continue
        space = 100 * (1 - disk["free"] / disk["size"]) if disk["size"] else 0
        inodes = 100 * (1 - disk["inodes_free"] / disk["inodes"]) if disk["inodes"] else 0
        text = f"{disk['path']}: đã dùng {number(space)}%, còn {gib(disk['free'])}"
        if inodes > space:
            text += f"; đã dùng {number(inodes)}% số inode"
        level = at_least(max(space, inodes), limits["disk_notice"], limits["disk_problem"])
        yield Row("Đĩa", level, text, f"tìm chỗ chiếm nhiều: du -xhd1 {disk['path']}; tăng đĩa trước khi đầy, đầy thì thư bị hoãn")


def of_certificates(found: Any, now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """Certificates and how long they last."""
    remedy = "đưa chứng thư mới vào cấu hình triển khai (CA nội bộ thì tự cấp lại), rồi chạy ansible-playbook playbooks/site.yml"
    for certificate in found:
        if "error" in certificate:
            yield Row("Chứng thư", PROBLEM, f"{certificate['path']}: không đọc được ({certificate['error']})", remedy)
            continue
        left = certificate["end"] - now
        level = at_least(-left, -limits["certificate_notice"] * 86400, -limits["certificate_problem"] * 86400)
        text = f"còn {span(left)}" if left > 0 else "ĐÃ HẾT HẠN"
        yield Row("Chứng thư", level, f"{certificate['path']}: {text} (đến {moment(certificate['end'])})", remedy)


def of_records(found: Any, now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """The last results of regular jobs."""
    for record in found:
        topic, remedy = RECORDS.get(record["name"], (record["name"], "xem nhật ký của công việc này (journalctl)"))
        if "error" in record:
            yield Row(topic, PROBLEM, f"không đọc được kết quả ({record['error']})", remedy)
        elif not record["time"]:
            waits = record["name"] in BEFORE_THE_FIRST
            yield Row(topic, NOTICE if waits else PROBLEM, "chưa có lần nào", "chờ lần chạy đầu tiên, sáng hôm sau" if waits else remedy)
        else:
            when = datetime.fromisoformat(record["time"])
            done = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
            text = f"lần cuối {moment(done)}, cách đây {span(max(0, now - done))}"
            text += f"; {record['detail']}" if record["detail"] else ""
            if record["result"] == "notice":
                yield Row(topic, NOTICE, text, remedy)
            elif record["result"] != "ok":
                yield Row(topic, PROBLEM, f"THẤT BẠI, {text}", remedy)
            elif now - done > record["hours"] * 3600:
                yield Row(topic, PROBLEM, f"QUÁ HẠN {number(record['hours'])} giờ, {text}", remedy)
            else:
                yield Row(topic, GOOD, text)


def of_ages(found: Any, now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """Passwords of administrators, and how long each may still be used."""
    remedy = "đặt mật khẩu mới trong vault.yml (ansible-vault edit), rồi chạy ansible-playbook playbooks/site.yml"
    for password in found:
        if "error" in password:
            yield Row(password["name"], PROBLEM, f"không biết đặt từ ngày nào ({password['error']})", remedy)
            continue
        left = password["since"] + password["days"] * 86400 - now
        level = at_least(-left, -limits["password_notice"] * 86400, 0)
        text = f"còn {span(left)}" if left > 0 else f"QUÁ HẠN {number(password['days'])} ngày"
        yield Row(password["name"], level, f"{text} (đặt ngày {moment(password['since'])})", remedy)


def of_sessions(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """Who is logged in."""
    counts = {name.upper(): value for name, value in found["services"].items()}
    yield Row("Phiên", GOOD, f"{number(found['users'])} người đang đăng nhập" + (f" ({listed(counts, {})})" if counts else ""))


def of_directory(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """Mailboxes by kind and state."""
    kinds = sorted({c["kind"] for c in found["counts"]}, key=lambda kind: ([*KINDS, kind].index(kind), kind))
    if not kinds:
        yield Row("Danh bạ", NOTICE, "chưa có hộp thư nào", "nạp sổ đăng ký: ansible-playbook playbooks/accounts.yml")
        return
    for kind in kinds:
        counts = {c["state"]: c["number"] for c in found["counts"] if c["kind"] == kind}
        yield Row("Danh bạ", GOOD, f"{number(sum(counts.values()))} hộp thư {KINDS.get(kind, kind)}: {listed(counts, STATES)}")


def of_filter(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """What the filter did since its start."""
    actions = listed(found["actions"], ACTIONS)
    text = f"{number(found['scanned'])} thư đã quét" + (f": {actions}" if actions else "")
    yield Row("Bộ lọc", GOOD, f"{text}; đã học {number(found['learned'])} thư")


def of_antivirus(found: Mapping[str, Any], now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """The virus signatures and their age."""
    remedy = "cập nhật mẫu: đưa tệp mẫu mới vào thư mục mẫu của cấu hình triển khai, rồi chạy ansible-playbook playbooks/site.yml"
    if not found["signatures"]:
        yield Row("Mẫu vi-rút", NOTICE, f"{found['version']}, chỉ có mẫu đặt tại chỗ, không có bộ mẫu chính thức", remedy)
        return
    made = datetime.strptime(found["date"], "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC).timestamp()
    level = NOTICE if now - made > limits["signature_days"] * 86400 else GOOD
    yield Row("Mẫu vi-rút", level, f"{found['version']}, bộ mẫu {found['signatures']} ngày {moment(made)}", remedy)


def of_packages(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """Versions of what runs."""
    missing = [name for name, version in found.items() if not version]
    versions = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    if versions:
        yield Row("Phiên bản", GOOD, versions)
    if missing:
        yield Row("Phiên bản", PROBLEM, f"chưa cài: {', '.join(missing)}", "chạy ansible-playbook playbooks/site.yml")


def of_updates(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """Updates that wait."""
    if not found["all"]:
        yield Row("Cập nhật", GOOD, "không có gói chờ cập nhật")
        return
    text = f"{number(found['all'])} gói chờ cập nhật, {number(found['security'])} gói vá lỗi an toàn"
    remedy = "bản vá tự cài ban đêm; vẫn còn sang hôm sau thì trên máy đó: xem /var/log/unattended-upgrades, chạy unattended-upgrade"
    yield Row("Cập nhật", NOTICE if found["security"] else GOOD, text, remedy)


def of_journal(found: Mapping[str, Any], _now: float, _limits: Mapping[str, float]) -> Iterator[Row]:
    """The journal of operations: is it still what was written?"""
    remedy = "giữ nguyên tệp, so với bản sao lưu, báo người phụ trách an toàn thông tin (docs/lifecycle.md, mục 5)"
    if found["problems"]:
        more = f"; và {len(found['problems']) - 3} lỗi khác" if len(found["problems"]) > 3 else ""
        yield Row("Nhật ký thao tác", PROBLEM, f"KHÔNG nguyên vẹn: {'; '.join(found['problems'][:3])}{more}", remedy)
    else:
        text = "; ".join([f"{number(found['entries'])} dòng, nguyên vẹn", *found["remarks"]])
        yield Row("Nhật ký thao tác", GOOD, text)


# Key of the module's result: how it is told, what it is called when it could not be read, and in which order.
SECTIONS = {
    "host": (of_host, "Hệ thống"),
    "services": (of_services, "Dịch vụ"),
    "queue": (of_queue, "Hàng đợi"),
    "disks": (of_disks, "Đĩa"),
    "certificates": (of_certificates, "Chứng thư"),
    "records": (of_records, "Sao lưu"),
    "ages": (of_ages, "Mật khẩu quản trị"),
    "sessions": (of_sessions, "Phiên"),
    "directory": (of_directory, "Danh bạ"),
    "journal": (of_journal, "Nhật ký thao tác"),
    "filter": (of_filter, "Bộ lọc"),
    "antivirus": (of_antivirus, "Mẫu vi-rút"),
    "packages": (of_packages, "Phiên bản"),
    "updates": (of_updates, "Cập nhật"),
}


def rows_of(result: Mapping[str, Any], section: str, now: float, limits: Mapping[str, float]) -> Iterator[Row]:
    """The rows of one section of one host; what could not be read is a problem."""
    status = result.get("status") or {}
    found = status.get(section)
    if found is None:
        return
    tell, topic = SECTIONS[section]
    if isinstance(found, Mapping) and "error" in found:
        yield Row(topic, PROBLEM, f"không đọc được ({found['error']})", "xem dịch vụ tương ứng có chạy không, rồi xem lại bảng này")
        return
    try:
        yield from tell(status if section == "host" else found, now, limits)
    except (KeyError, TypeError, ValueError) as error:
        # Somebody's file or answer has a form we do not know: told as such; the rest of the table is still needed.
        yield Row(
            topic,
            PROBLEM,
            f"số liệu không đúng dạng ({type(error).__name__}: {error})",
            "đối chiếu phiên bản phần mềm với phiên bản của Congvu Mail",
        )


def width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    return sum(0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of whole words; a longer word stands alone."""
    lines = [""]
    for word in text.split():
        if lines[-1] and width(lines[-1]) + 1 + width(word) > columns:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return lines


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows in columns as wide as their widest cell, the last one wrapped. Box drawing characters are wide on some terminals: ASCII."""
    cells = [[*row[:-1], wrapped(row[-1], DETAIL_WIDTH)] for row in (head, *rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(head) - 1)]
    widths.append(max(width(line) for row in cells for line in row[-1]))

    def line(values: Iterable[str]) -> str:
        return "| " + " | ".join(v + " " * (w - width(v)) for v, w in zip(values, widths, strict=True)) + " |"

    rule = "+" + "+".join("-" * (w + 2) for w in widths) + "+"
    lines = [rule]
    for i, (*front, detail) in enumerate(cells):
        lines.append(line([*front, detail[0]]))
        lines += [line([""] * len(front) + [more]) for more in detail[1:]]
        if i == 0:
            lines.append(rule)
    return [*lines, rule]


def report(
    title: str,
    results: Mapping[str, Mapping[str, Any]],
    now: float,
    limits: Mapping[str, float] | None = None,
    remarks: Iterable[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The table of all hosts.

    `results`: host to the result of the module `appliance_status` (with `unreachable` or `msg` where it gave no status);
    `now`: seconds since 1970; `limits`: what is to differ from LIMITS; `remarks`: notices that no host gives, {topic, detail,
    remedy}. Returns `text` (NFC, ends with a line break), `problems` and `notices` (one line each, with its remedy).
    """
    limits = {**LIMITS, **(limits or {})}
    found: list[tuple[str, Row]] = []
    for host, result in results.items():
        if not result.get("status"):
            why = "không kết nối được" if result.get("unreachable") else "không xem được"
            said = " ".join(str(result.get("msg", "")).split())
            found.append((host, Row("Máy", PROBLEM, f"{why} ({said})", "kiểm tra máy có bật không, mạng và ssh có thông không")))
    for section in SECTIONS:
        found += [(host, row) for host, result in results.items() for row in rows_of(result, section, now, limits)]
    found += [("", Row(remark["topic"], NOTICE, remark["detail"], remark["remedy"])) for remark in remarks]

    def told(level: str) -> list[str]:
        rows = [(host, row) for host, row in found if row.level == level]
        return [f"{row.topic}{f', {host}' if host else ''}: {row.detail}. Cách xử lý: {row.remedy}." for host, row in rows]

    problems, notices = told(PROBLEM), told(NOTICE)
    lines = [title, f"Lúc {moment(now)} (giờ Việt Nam)", ""]
    lines += table(("Mục", "Máy", "Mức", "Chi tiết"), ((row.topic, host, row.level, row.detail) for host, row in found))
    for heading, entries in ((f"{len(problems)} LỖI:", problems), (f"{len(notices)} LƯU Ý:", notices)):
        if entries:
            lines += ["", heading, *(f"{i}. {entry}" for i, entry in enumerate(entries, 1))]
    if not problems:
        lines += ["", "Không có lỗi."]
    text = unicodedata.normalize("NFC", "\n".join(line.rstrip() for line in lines) + "\n")
    return {"text": text, "problems": problems, "notices": notices}
