"""The module role_files: one real role on this machine, run by ansible-playbook, in a folder of the test."""

import grp
import json
import os
import pathlib
import pwd
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWNER, GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
SECRET = "correct-horse-battery"


class Lab:
    """A role whose paths lie below a folder of the test."""

    def __init__(self, folder):
        self.folder, self.etc = folder, folder / "etc"
        self.role = folder / "roles" / "example"
        self.etc.mkdir()

    def source(self, name, text):
        """A file of the role: templates/... or files/..."""
        path = self.role / name.format(etc=str(self.etc).lstrip("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, *entries, options=()):
        """The result of one task and all that ansible-playbook printed."""
        (result,), output = self.run_tasks([entries], options)
        return result, output

    def run_tasks(self, tasks, options=()):
        """The results of tasks, each with its entries, and all that ansible-playbook printed. One that fails stops nothing."""
        owned = [
            [{"owner": OWNER, "group": GROUP, **entry, "path": str(self.etc / entry["path"])} for entry in entries] for entries in tasks
        ]
        tasks = [{"name": "Write", "role_files": {"entries": entries}, "ignore_errors": True} for entries in owned]
        (self.role / "tasks").mkdir(parents=True, exist_ok=True)
        (self.role / "tasks/main.yml").write_text(json.dumps(tasks), encoding="utf-8")
        play = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "roles": ["example"],
                "vars": {"colour": "đỏ", "word": SECRET, "ansible_python_interpreter": sys.executable},
            }
        ]
        (self.folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(self.folder / "roles"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "NO_COLOR": "1",
        }
        argv = [
            pathlib.Path(sys.executable).parent / "ansible-playbook",
            "-i",
            "localhost,",
            "-c",
            "local",
            self.folder / "play.yml",
            *options,
        ]
        done = subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        text = done.stdout[done.stdout.index('{\n    "custom_stats"') :]
        results = [task["hosts"]["localhost"] for task in json.loads(text)["plays"][0]["tasks"]]
        for result in results:
            result["paths"] = [str(pathlib.Path(path).relative_to(self.etc)) for path in result.get("paths", [])]
        assert not list(self.folder.rglob(".congvu-new")), "a stage was left behind"
        return results, done.stdout + done.stderr

    def has(self, path):
        """(content, mode) of what stands at a path."""
        return (self.etc / path).read_text(encoding="utf-8"), f"{(self.etc / path).stat().st_mode & 0o7777:04o}"


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_all_kinds_of_entries(lab):
    lab.source(
        "templates/{etc}/sub/deep/a.conf.j2",
        "{{ ansible_managed | comment }}\n{% if true %}\nmàu = {{ colour }}\n{% endif %}\n{% include 'part.j2' %}\n",
    )
    lab.source("templates/part.j2", "part\n")
    lab.source("templates/other.j2", "{{ colour }}\n")
    lab.source("files/{etc}/as-it-is", "{{ colour }}\n")
    lab.source("templates/nothing.j2", "{% if false %}\nx\n{% endif %}\n")
    lab.source("files/tree/x/y.txt", "y\n")
    lab.source("files/tree/__pycache__/z.pyc", "z\n")
    (lab.etc / "old").write_text("old")
    entries = [
        {"path": "sub/deep", "state": "directory", "mode": "0750"},
        {"path": "sub/deep/a.conf"},
        {"path": "b", "source": "other.j2", "mode": "0600"},
        {"path": "as-it-is"},
        {"path": "empty", "source": "nothing.j2"},
        {"path": "inline", "content": "{{ colour }}\n", "mode": "0640"},
        {"path": "tree", "source": "tree"},
        {"path": "old", "state": "absent"},
        {"path": "never", "state": "absent"},
    ]
    foretold, _ = lab.run(*entries, options=["--check"])
    assert foretold["changed"]
    assert sorted(os.listdir(lab.etc)) == ["old"], "--check wrote"
    done, _ = lab.run(*entries)
    assert done["paths"] == foretold["paths"]
    assert done["paths"] == ["sub/deep", "sub/deep/a.conf", "b", "as-it-is", "empty", "inline", "tree", "tree/x", "tree/x/y.txt", "old"]
    assert lab.has("sub/deep/a.conf") == ("#\n# Ansible managed\n#\nmàu = đỏ\npart\n", "0644")
    assert lab.has("b") == ("đỏ\n", "0600")
    assert lab.has("as-it-is") == ("{{ colour }}\n", "0644")
    assert lab.has("empty") == ("", "0644")
    assert lab.has("inline") == ("đỏ\n", "0640")
    assert lab.has("tree/x/y.txt") == ("y\n", "0644")
    assert [oct((lab.etc / d).stat().st_mode & 0o777) for d in ("sub", "sub/deep", "tree", "tree/x")] == [
        "0o750",
        "0o750",
        "0o755",
        "0o755",
    ]
    assert not (lab.etc / "old").exists()
    for options in ((), ("--check",)):
        again, _ = lab.run(*entries, options=options)
        assert (again["changed"], again["paths"]) == (False, [])


def test_drift_is_foretold_and_shown(lab):
    (lab.etc / "content").write_text("by hand\n")
    (lab.etc / "mode").write_text("as it was\n")
    (lab.etc / "link").symlink_to("mode")
    (lab.etc / "folder").mkdir(mode=0o700)
    for path, mode in (("content", 0o600), ("mode", 0o600)):
        (lab.etc / path).chmod(mode)
    entries = [
        {"path": "content", "content": "as it should be\n"},
        {"path": "mode", "content": "as it was\n"},
        {"path": "link", "content": "a file\n"},
        {"path": "folder", "state": "directory"},
    ]
    foretold, _ = lab.run(*entries, options=["--check", "--diff"])
    assert lab.has("content") == ("by hand\n", "0600")
    done, _ = lab.run(*entries, options=["--diff"])
    assert foretold["paths"] == done["paths"] == ["content", "mode", "link", "folder"]
    assert foretold["diff"] == done["diff"]
    assert [(one["before"], one["after"]) for one in done["diff"]] == [
        ("by hand\n", "as it should be\n"),
        ({"mode": "0600"}, {"mode": "0644"}),
        ({"mode": "0600"}, {"mode": "0644"}),
        ("", "a file\n"),
        ({"mode": "0700"}, {"mode": "0755"}),
    ]
    assert lab.has("content") == ("as it should be\n", "0644")
    assert not (lab.etc / "link").is_symlink()
    assert lab.has("mode")[0] == "as it was\n", "written through the link"


def test_secrets_are_never_shown(lab):
    lab.source("templates/{etc}/rendered.j2", "password = {{ word }}\n")
    entries = [
        {"path": "rendered", "mode": "0600", "secret": True},
        {"path": "inline", "content": "{{ word }}\n", "mode": "0600", "secret": True},
        {"path": "open", "content": "not secret\n"},
    ]
    done, output = lab.run(*entries, options=["--diff", "-vvv"])
    assert lab.has("rendered") == (f"password = {SECRET}\n", "0600")
    assert lab.has("inline") == (f"{SECRET}\n", "0600")
    assert SECRET not in output
    assert [one["after"] for one in done["diff"] if "after" in one] == ["not secret\n"]
    refused, output = lab.run(
        {"path": "rendered", "content": "{{ word }}2\n", "secret": True, "validate": "grep horse %s /no"}, options=["-vvv"]
    )
    assert refused["failed"]
    assert SECRET not in output


def test_what_is_not_valid_is_not_put_in_place(lab):
    (lab.etc / "b").write_text("good\n")
    entries = [
        {"path": "a", "content": "1\n", "validate": "grep -q 1 %s"},
        {"path": "b", "content": "bad\n", "validate": "sh -c 'echo $0 is bad >&2; exit 3' %s"},
        {"path": "c", "content": "3\n"},
    ]
    refused, _ = lab.run(*entries)
    assert refused["failed"]
    assert f"{lab.etc}/b is not valid and was not put in place" in refused["msg"]
    assert f"sh ended with 3: {lab.etc}/b is bad" in refused["msg"]
    assert refused["paths"] == ["a"]
    assert (lab.etc / "b").read_text() == "good\n"
    assert not (lab.etc / "c").exists()


ERRORS = [
    ({"path": "nowhere/x", "content": "x"}, "nowhere/x has no folder to be in"),
    ({"path": "x"}, "there is neither a template nor a file for it"),
    ({"path": "x", "source": "missing.j2"}, "there is neither a template nor a file for it (missing.j2 in the role)"),
    ({"path": "x", "source": "a.j2", "content": "b"}, "give source or content, not both"),
    ({"path": "x", "state": "directory", "content": "b"}, "state directory takes neither source nor content"),
    ({"path": "x", "content": "x", "owner": "no-such-user"}, "no-such-user"),
    ({"path": "x", "content": "x", "validate": "true"}, "has a validate without %s"),
    ({"path": "x", "content": "x", "mode": 420}, "write the mode in quotes"),
    ({"path": "", "content": "x"}, "is a folder, and a file is to be there"),
    ({"path": "x", "content": "x", "colour": "red"}, "colour"),
]


def test_errors_say_what_and_where(lab):
    results, _ = lab.run_tasks([[entry] for entry, _said in ERRORS])
    assert [result["failed"] for result in results] == [True] * len(ERRORS)
    assert [(said, result["msg"]) for (_entry, said), result in zip(ERRORS, results, strict=True) if said not in result["msg"]] == []
    assert os.listdir(lab.etc) == []


def test_a_killed_run_leaves_nothing_that_lasts(lab):
    (lab.etc / ".congvu-new").mkdir()
    (lab.etc / ".congvu-new/a").write_text("half")
    done, _ = lab.run({"path": "a", "content": "whole\n"})
    assert done["paths"] == ["a"]
    assert lab.has("a")[0] == "whole\n"
