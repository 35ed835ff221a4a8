"""The preview of a register: one CSV row each, a Vietnamese summary, no change to the register."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from naming_data import ROOT, naming

from congvu_mail import addresses


@pytest.fixture
def preview(tmp_path, monkeypatch, capsys):
    """Run the preview; returns exit status, what it printed (JSON, or the error text) and the output file."""

    def run(*arguments: str, register=ROOT / "registers/bac-giang"):
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(naming("BG"))))
        output = tmp_path / "out" / "preview.csv"
        command = ["--register", str(register), "--domain", "bacgiang.gov.vn", "--output", str(output), *arguments]
        status = addresses.main(command)
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if status == 0 else printed.err, output

    return run


def test_the_preview_has_an_address_a_status_a_clause_and_a_reason_for_each_row(preview):
    status, printed, output = preview()
    assert (status, printed["changed"]) == (0, True)
    with output.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}
    assert len(rows) == 32
    row = rows["BG-N005"]
    assert row["address"] == "hand_ttcntttt_stttt@bacgiang.gov.vn"
    assert (row["status"], row["clause"]) == ("assigned", "Điều 6 khoản 2 điểm a")
    assert row["reason"]
    assert (row["name"], row["organisation"]) == ("Nguyễn Đình Hà", "Trung tâm Công nghệ thông tin và Truyền thông")
    assert "Cá nhân: 20 (1 đã cấp, giữ nguyên, 19 sẽ cấp, 0 cần quyết định)" in printed["summary"]


def test_a_second_run_changes_nothing_and_check_writes_nothing(preview):
    status, printed, output = preview("--check")
    assert (status, printed["changed"], output.exists()) == (0, True, False)
    preview()
    assert preview()[1]["changed"] is False


def test_decisions_and_warnings_are_named_in_the_summary(preview, tmp_path):
    (tmp_path / "organisations.csv").write_text("code,kind,name\nS,province_agency,Sở Y tế\n", encoding="utf-8")
    people = "code,full_name,organisation\nP,Lê An,S\nQ,Lê Ân,S\nR,Kray Sức,S\n"
    (tmp_path / "people.csv").write_text(people, encoding="utf-8")
    _, printed, _ = preview(register=tmp_path)
    text = "\n".join(printed["summary"])
    assert "Cần quyết định: Q Lê Ân (Điều 6 khoản 2 điểm b)" in text
    assert "Đề xuất: anl2_syt@bacgiang.gov.vn" in text
    assert "Địa chỉ cần lưu ý: 1" in text


def test_a_register_that_cannot_be_used_is_refused_with_the_reasons(preview, tmp_path):
    status, text, output = preview(register=tmp_path)
    assert status == 1
    assert "organisations.csv" in text
    assert not output.exists()


def play(*arguments: str) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(ROOT / "inventories/bac-giang")]
    environment = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [*command, str(ROOT / "playbooks/addresses.yml"), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )


def test_the_playbook_previews_the_register_of_the_inventory(tmp_path):
    output = tmp_path / "preview.csv"
    first, second = (play("-e", f"output={output}") for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stdout + first.stderr
    assert "19 sẽ cấp" in first.stdout
    assert "changed=1" in first.stdout
    assert "changed=0" in second.stdout
    assert output.read_bytes().startswith(b"\xef\xbb\xbf")


def test_the_playbook_stops_with_every_reason_and_writes_nothing(tmp_path):
    (tmp_path / "organisations.csv").write_text("code,kind,name\nS,sở,Sở Y tế\n", encoding="utf-8")
    (tmp_path / "people.csv").write_text("code,full_name,organisation\nP,TS. Lê An,S\n", encoding="utf-8")
    output = tmp_path / "preview.csv"
    process = play("-e", f"register={tmp_path}", "-e", f"output={output}")
    assert process.returncode != 0
    assert "organisations.csv, dòng 2, cột kind" in process.stdout
    assert "people.csv, dòng 2, cột full_name" in process.stdout
    assert not output.exists()
