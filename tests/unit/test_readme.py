"""What the READMEs tell people to type works: the five steps of a deployment with a sixth province, here; the rest in the scenarios."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
READMES = ("README.md", "README.vi.md")
SIXTH = "tinh-thu-sau"

# Commands of the machine itself, and the file that runs them: what CI starts, or a scenario.
RUN_BY = {
    "bin/demo": "molecule/appliance/create.yml",
    "bin/demo ninh-binh": "molecule/provinces/create.yml",
    "bin/demo --destroy": "molecule/appliance/destroy.yml",
    "bin/test": ".ci/run",
    "bin/test unit": "molecule/lab/run_tests.py",
}
# Where a playbook is run for real.
RUNNERS = [
    p for pattern in ("molecule/*/tests", "roles/*/molecule/*/tests", "tests/unit", "molecule/lab") for p in ROOT.glob(f"{pattern}/*.py")
]


def commands(name):
    """Everything a README has people type: indented lines, and words in backquotes that begin like a command."""
    text = (ROOT / name).read_text(encoding="utf-8")
    typed = r"(?:bin/(?:demo|test)|\.venv/bin/|playbooks/)"
    indented = re.findall(rf"^ {{4,}}({typed}.*)$", text, re.MULTILINE)
    quoted = re.findall(rf"`({typed}[^`]*)`", re.sub(r"\s+", " ", text))
    return [command for command in [*indented, *quoted] if command != ".venv/bin/"]


def steps():
    """The commands of the five steps, in order."""
    return [command for command in commands("README.md") if command.startswith(".venv/")]


def test_both_languages_tell_the_same():
    assert sorted(commands("README.md")) == sorted(commands("README.vi.md"))
    assert len(steps()) >= 6


@pytest.mark.parametrize("command", sorted({c for name in READMES for c in commands(name) if c.startswith("bin/")}))
def test_a_command_of_the_machine_is_run_by_ci(command):
    text = (ROOT / RUN_BY[command]).read_text(encoding="utf-8")
    program, *words = command.split()
    assert program in text or command == "bin/test unit"
    assert all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)


@pytest.mark.parametrize("playbook", sorted({p for c in commands("README.md") for p in re.findall(r"playbooks/([\w-]+\.yml)", c)}))
def test_a_playbook_is_run_by_a_test(playbook):
    # As it is, or by act(system, "NAME") of test_acts.py.
    runs = re.compile(rf'playbooks?[/("]+{re.escape(playbook)}"|\bact\(system, "{re.escape(playbook.removesuffix(".yml"))}"')
    assert (ROOT / "playbooks" / playbook).exists()
    assert [path for path in RUNNERS if runs.search(path.read_text(encoding="utf-8"))], f"no test runs playbooks/{playbook}"


@pytest.fixture(scope="module")
def sixth(tmp_path_factory):
    """Step 1 for a province that is not in the project: somebody's folder, copied; (the project's folder as seen there, the inventory)."""
    work = tmp_path_factory.mktemp("deployment")
    for name in (".venv", "action_plugins", "ansible.cfg", "filter_plugins", "library", "registers", "roles", "vars_plugins"):
        (work / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "inventories/quang-tri", work / "inventories" / SIXTH, ignore=shutil.ignore_patterns("vault.yml"))
    # Not a link: what a playbook writes goes beside it.
    shutil.copytree(ROOT / "playbooks", work / "playbooks")
    (work / "password").write_text("mat-khau-cua-ket\n", encoding="ascii")
    return work


def type_in(work, command, *more):
    """Type a command of the README in the project's folder, for the sixth province, with the vault's password from a file."""
    for before, after in (
        ("inventories/quang-tri", f"inventories/{SIXTH}"),
        (".venv/bin/", f"{pathlib.Path(sys.executable).parent}/"),
        ("--ask-vault-pass", "--vault-password-file=password"),
        ("ansible-vault encrypt", "ansible-vault encrypt --vault-password-file=password"),
    ):
        command = command.replace(before, after)
    environment = {**os.environ, "NO_COLOR": "1", "ANSIBLE_CONFIG": str(work / "ansible.cfg")}
    argv = ["sh", "-c", " ".join([command, *more])]
    done = subprocess.run(argv, cwd=work, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_the_five_steps_lead_to_a_sixth_province(sixth):
    """As written, in order. What needs the province's host is read to the end (--syntax-check) and run by the appliance scenario."""
    for command in steps():
        type_in(sixth, command, *(["--syntax-check"] if re.search(r"(site|accounts)\.yml", command) else []))
    vault = sixth / "inventories" / SIXTH / "group_vars/all/vault.yml"
    assert vault.read_text(encoding="ascii").startswith("$ANSIBLE_VAULT;")
    (preview,) = (sixth / "build/addresses").glob("*.csv")
    assert len(preview.read_text(encoding="utf-8-sig").splitlines()) > 10


def test_the_requests_of_a_province(sixth):
    playbook = f".venv/bin/ansible-playbook -i inventories/{SIXTH} --ask-vault-pass playbooks/requests.yml"
    type_in(sixth, playbook, "-e", f"output={sixth}/requests")
    assert (sixth / "requests/so-theo-doi-yeu-cau.csv").exists()
