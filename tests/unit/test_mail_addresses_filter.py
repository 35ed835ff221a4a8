"""The filter mail_addresses inside Ansible: loaded without a warning, tagged input, plain output, one clear error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from naming_data import ROOT

PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    employer: "{{ 'S' ~ 1 }}"
    roster:
      organisations:
        - {code: S1, kind: province_agency, name: Sở Khoa học và Công nghệ, registered: 2026-01-05}
      people:
        - {code: P1, full_name: "%s", organisation: "{{ employer }}", birth_date: 1980}
        - {code: P2, full_name: Nguyễn Văn Long, organisation: "{{ employer }}"}
    issued: [{code: P1, local_part: nguyenvanlong, since: 2020-02-03}]
  tasks:
    - ansible.builtin.copy:
        content: "{{ roster | mail_addresses(mail_policy.naming, issued) | to_json }}"
        dest: "{{ result }}"
        mode: "0600"
"""


@pytest.fixture
def play(tmp_path):
    """Run PLAY with this name of the first person; returns the process and the file it writes."""

    def run(name: str):
        (tmp_path / "play.yml").write_text(PLAY % name, encoding="utf-8")
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(ROOT / "inventories/quang-tri"),
            "-e",
            f"result={tmp_path / 'result.json'}",
            str(tmp_path / "play.yml"),
        ]
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        process = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300, check=False)
        return process, tmp_path / "result.json"

    return run


def test_the_filter_takes_what_ansible_passes(play):
    process, result = play("Nguyễn Văn Long")
    assert process.returncode == 0, process.stdout + process.stderr
    assert "WARNING" not in process.stdout + process.stderr
    answer = {entry["code"]: (entry["local_part"], entry["status"]) for entry in json.loads(result.read_text())}
    assert answer == {"S1": ("skhcn", "assigned"), "P1": ("nguyenvanlong", "issued"), "P2": ("nguyenvanlong1", "assigned")}


def test_the_filter_lists_bad_rows(play):
    process, result = play("Bà Nguyễn (A)")
    assert process.returncode != 0
    assert "cột full_name" in process.stdout + process.stderr
    assert "Cách sửa" in process.stdout + process.stderr
    assert not result.exists()
