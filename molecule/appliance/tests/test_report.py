"""The report of this month shows what was just done: a login, a refused attachment, an unknown recipient, a wrong password."""

import csv
import datetime
import html
import re

import pytest
from mail import compose, refusal
from testing import said

MONTH = f"{datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=7))):%Y-%m}"


def made(system, *options):
    return system.playbook("playbooks/report.yml", "-e", f"period={MONTH}", *options)


def cells(page, title):
    """The rows of the table under a title that begins so."""
    found = re.search(rf"<h3>{title}.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]


def counted(page, title):
    """First cell to last number."""
    return {row[0]: int(row[-1].replace(".", "")) for row in cells(page, title)}


@pytest.fixture(scope="module")
def written(system, sender, receiver, tmp_path_factory):
    """The folder of a report made after some use."""
    organisation = system.accounts("organisation")[0]
    for account in (sender, organisation):
        system.imap(account).logout()
    refusal(lambda: system.imap({**sender, "password": "sai"}))
    program = compose(sender["address"], receiver["address"], "Phần mềm", attachments=[("cai-dat.exe", b"MZ" + bytes(100))])
    assert refusal(lambda: system.send(program, sender["address"], [receiver["address"]], account=sender)).code == 554
    stranger = system.access["outside"]["address"]
    unknown = f"khongco@{system.domain}"
    assert refusal(lambda: system.send(compose(stranger, unknown, "Hỏi"), stranger, [unknown], "smtp")).code == 550
    folder = tmp_path_factory.mktemp("report") / "out"
    result = made(system, "-e", f"output={folder}")
    assert result.returncode == 0, said(result)
    return folder, said(result)


def test_report(system, written):
    folder, told = written
    page = (folder / "bao-cao.html").read_text(encoding="utf-8")
    assert "Không có bản PDF" not in told and (folder / "bao-cao.pdf").read_bytes().startswith(b"%PDF")
    entries = system.run("sh", "-c", "slapcat -a '(objectClass=congvuMailbox)' | grep -c ^congvuState:")
    (total,) = [row for row in cells(page, "Hộp thư theo loại và trạng thái") if row[0] == "Tổng số"]
    assert int(total[4]) == int(entries)
    opened = {row[0]: int(row[2]) for row in cells(page, "Hộp thư có truy cập trong kỳ")}
    assert opened["Hộp thư cơ quan"] >= 1 and opened["Hộp thư cá nhân"] >= 1
    blocked = counted(page, "Thư bị chặn<")
    assert blocked["Tệp bị cấm"] >= 1 and blocked["Địa chỉ nhận không có hoặc hộp thư đầy"] >= 1
    assert int(re.search(r"Đăng nhập sai trong kỳ: ([\d.]+) lượt", page)[1].replace(".", "")) >= 1
    with (folder / "phu-luc-1-hop-thu-co-quan.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["Hộp thư"]: row for row in csv.DictReader(file)}
    assert rows[system.accounts("organisation")[0]["address"]]["Truy cập trong kỳ"] == "có"
    assert not re.search(r"\{(SSHA512|ARGON2)\}", page), "a password hash is in the report"


def test_check_writes_nothing(system, tmp_path):
    result = made(system, "--check", "-e", f"output={tmp_path / 'out'}")
    assert result.returncode == 0 and "Chưa ghi tệp nào" in said(result), said(result)
    assert not (tmp_path / "out").exists()


def test_a_period_that_is_none_touches_no_host(system):
    result = system.playbook("playbooks/report.yml", "-e", "period=11/2026")
    assert result.returncode != 0 and "ghi tháng 2026-11, quý 2026-Q4" in said(result)
    assert re.findall(r"PLAY \[(.+?)\]", result.stdout) == ["Check that no host is left out", "Check the period"]
