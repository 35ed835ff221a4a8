# SPDX-License-Identifier: Apache-2.0
"""The role's failure as the operator sees it, and that it comes before any host is touched."""

import json
from pathlib import Path

import pytest
from testing import ROOT, play, said

PLAYBOOK = f"{ROOT}/roles/policy/molecule/policy/unreachable.yml"
POLICY = Path(ROOT) / "molecule/lab/sample/policy.yml"


def check(policy: Path, **variables):
    """Run the role for a host that does not exist."""
    variables = {"policy_file": str(policy), "policy_texts": str(POLICY.parent), **variables}
    return play(PLAYBOOK, "--inventory", "mail.invalid,", "--extra-vars", json.dumps(variables))


@pytest.fixture
def broken(tmp_path):
    """A policy with two weaker figures and a key nobody knows."""
    text = POLICY.read_text(encoding="utf-8")
    for before, after in [
        ("value: 2GiB", "value: 1GiB"),
        ("value: 50MB", "value: 60MB"),
        ("  schema: 1\n", "  schema: 1\n  quotas: 1\n"),
    ]:
        assert before in text
        text = text.replace(before, after)
    path = tmp_path / "policy.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_problem_comes_in_one_failure_before_the_host_is_contacted(broken):
    result = check(broken)
    output = said(result)
    lines = broken.read_text(encoding="utf-8").splitlines()
    assert result.returncode == 2
    assert "Chính sách và cấu hình có 3 chỗ sai, chưa máy nào được động đến" in output
    for path, value, problem in [
        ("quotas", "  quotas: 1", "khóa lạ"),
        ("quota.person.value = 1GiB", "      value: 1GiB", "trái Quy chế, phải tối thiểu 2GiB"),
        ("attachments.max_total.value = 60MB", "      value: 60MB", "trái Quy chế, phải đúng là 50MB"),
    ]:
        assert f"policy.yml:{lines.index(value) + 1}: {path}: {problem}. Cách sửa:" in output
    assert "unreachable=0" in output


def test_a_sound_policy_lets_the_run_go_on_to_the_host():
    result = check(POLICY)
    assert result.returncode == 4, said(result)
    assert "unreachable=1 failed=0" in said(result)


def test_without_the_texts_the_skipped_check_is_said_aloud():
    assert "trích dẫn KHÔNG được đối chiếu với văn bản quy chế" in said(check(POLICY, policy_texts=""))


def test_with_the_texts_a_changed_quote_is_found(tmp_path):
    text = (POLICY.parent / "quy-che-mau.txt").read_text(encoding="utf-8")
    assert "2GB" in text
    (tmp_path / "quy-che-mau.txt").write_text(text.replace("2GB", "20GB"), encoding="utf-8")
    output = said(check(POLICY, policy_texts=str(tmp_path)))
    assert "có 1 chỗ sai" in output
    assert "trích dẫn không có trong văn bản. Cách sửa: chép lại nguyên văn" in output
