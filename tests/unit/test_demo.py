"""What bin/demo says when it cannot go on: one sentence with the remedy, no traceback, and nothing left half done."""

import importlib
import pathlib
import sys

import pytest

LAB = pathlib.Path(__file__).parents[2] / "molecule/lab"


@pytest.fixture
def demo(monkeypatch, tmp_path):
    """The program, with a test host that cannot be made."""
    monkeypatch.syspath_prepend(str(LAB))
    module = importlib.import_module("demo")
    broken = tmp_path / "host.sh"
    broken.write_text("#!/bin/sh\necho 'image: no Debian mirror in /etc/apt: name one there, then run this again' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(module, "LAB", broken)
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    yield module
    for name in ("demo", "mail", "progress"):
        sys.modules.pop(name, None)


def test_an_unknown_province(demo, capsys):
    assert demo.main(["khong-co"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bin/demo: there is no province 'khong-co': take one of bac-giang, ninh-binh, quang-tri")
    assert said.count("\n") == 1


def test_not_root(demo, capsys, monkeypatch):
    monkeypatch.setattr(demo.os, "geteuid", lambda: 1000)
    assert demo.main([]) == 1
    assert "run sudo bin/demo" in capsys.readouterr().err


def test_a_host_that_cannot_be_made(demo, capsys):
    assert demo.main(["quang-tri"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bin/demo: the test host could not be made: image: no Debian mirror in /etc/apt: name one there")
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--verbose"], ["quang-tri", "ninh-binh"]])
def test_usage(demo, capsys, arguments):
    assert demo.main(arguments) == 2
    assert capsys.readouterr().err == "usage: bin/demo [PROVINCE] | bin/demo --destroy [PROVINCE]\n"
