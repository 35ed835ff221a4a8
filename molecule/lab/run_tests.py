#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run lint, unit tests and Molecule scenarios, tell how each goes, and count. Called by bin/test."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "test"
AT_A_TIME = 2
# Whole servers, by far the longest: they start first, then what has most to test, so that the short ones fill what is left at the end.
FIRST = ("appliance", "provinces")
START = time.monotonic()
SPEAK = threading.Lock()


def say(text: str) -> None:
    """One progress line with the time since the start."""
    seconds = int(time.monotonic() - START)
    with SPEAK:
        print(f"[{seconds // 60:3d}:{seconds % 60:02d}] {text}", flush=True)


def environment() -> dict[str, str]:
    """The environment of every tool: our .venv first, our root, no terminal colours."""
    venv = ROOT / ".venv" / "bin"
    return {
        **os.environ,
        "PATH": f"{venv}{os.pathsep}{os.environ['PATH']}",
        "CONGVU_ROOT": str(ROOT),
        "PYTHONPATH": str(ROOT / "molecule" / "lab"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
    }


def run(name: str, argv: list[str], **extra: str) -> tuple[int, str, float]:
    """Run a command with its output in build/test/NAME.log; (exit status, output, seconds)."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        status = subprocess.run(
            argv,
            cwd=ROOT,
            env={**environment(), **extra},
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode
    return status, log.read_text(encoding="utf-8", errors="replace"), time.monotonic() - began


def counted(output: str) -> tuple[int, int]:
    """Passed and failed (errors too) of pytest's closing lines in the output."""
    passed = sum(map(int, re.findall(r"(\d+) passed", output)))
    failed = sum(map(int, re.findall(r"(\d+) (?:failed|error)", output)))
    return passed, failed


def stage_lint() -> tuple[int, int]:
    """Ansible, Python and shell: each tool counts as one."""
    shell = [str(p) for p in [*ROOT.glob("bin/*"), *ROOT.glob(".ci/*"), *ROOT.glob("molecule/lab/*.sh")] if is_shell(p)]
    tools = {
        # It knows no inventory: there a play whose hosts nobody names is no mistake.
        "ansible-lint": ["env", "ANSIBLE_HOST_PATTERN_MISMATCH=warning", "ansible-lint", "--offline", "-q"],
        "ruff": ["ruff", "check", "."],
        "ruff-format": ["ruff", "format", "--check", "."],
        "shellcheck": ["shellcheck", *shell],
    }
    return report_each(tools)


def is_shell(path: pathlib.Path) -> bool:
    """Whether the file is a shell script by its first line."""
    with path.open("rb") as file:
        return file.readline().rstrip().endswith(b"sh")


def report_each(tools: dict[str, list[str]]) -> tuple[int, int]:
    """Run each tool; its log is shown when it fails."""
    failed = 0
    for name, argv in tools.items():
        status, output, seconds = run(name, argv)
        say(f"{name}: {'ok' if status == 0 else 'FAILED'} ({seconds:.0f} s)")
        if status:
            failed += 1
            print(tail(output), flush=True)
    return len(tools) - failed, failed


def tail(output: str, lines: int = 80) -> str:
    """The last lines of a log, enough to see why."""
    return "\n".join(output.splitlines()[-lines:])


def stage_unit() -> tuple[int, int]:
    """pytest over tests/unit."""
    status, output, seconds = run("unit", [sys.executable, "-m", "pytest", "tests/unit"])
    passed, failed = counted(output)
    if status and not failed:
        failed = 1
    say(f"unit tests: {passed} passed, {failed} failed ({seconds:.0f} s)")
    if failed:
        print(tail(output), flush=True)
    return passed, failed


def scenarios() -> dict[str, pathlib.Path]:
    """Every scenario by name: the roles' own and those of molecule/."""
    found = [*ROOT.glob("roles/*/molecule/*/molecule.yml"), *ROOT.glob("molecule/*/molecule.yml")]
    return {p.parent.name: p.parent for p in sorted(found)}


def amount(folder: pathlib.Path) -> int:
    """How much a scenario has to test, in bytes of its tests: enough to tell the long from the short."""
    return sum(p.stat().st_size for p in folder.glob("tests/*.py"))


def scenario(name: str, folder: pathlib.Path) -> tuple[int, int]:
    """One Molecule scenario; (passed, failed) counts its tests and itself."""
    say(f"{name}: started")
    glob = f"{folder.parent}/*/molecule.yml"
    status, output, seconds = run(f"scenario-{name}", ["molecule", "test", "-s", name], MOLECULE_GLOB=glob)
    passed, failed = counted(output)
    # Two things that Molecule takes for success and we do not.
    if status == 0 and not passed:
        status, output = 1, output + "\nThe scenario has no test."
    # A scenario without an idempotence step was converged by its create step: its converge step is the second run.
    for step in ("check",) if "> idempotence] Executing" in output else ("check", "converge"):
        done = re.search(rf"> {step}\] Executing\n(.*?)> {step}\] Executed", output, re.DOTALL)
        if status == 0 and done and re.search(r"changed=[1-9]", done[1]):
            status, output = 1, output + f"\nThe step {step} on the converged host changes something:\n" + done[1]
    if status:
        failed = max(failed, 1)
    else:
        passed += 1
    say(f"{name}: {'ok' if not status else 'FAILED'}, {passed} passed, {failed} failed ({seconds:.0f} s)")
    if status:
        with SPEAK:
            print(tail(output, 120), flush=True)
    return passed, failed


def stage_scenarios(names: list[str] | None = None) -> tuple[int, int]:
    """The named scenarios (all), two at a time."""
    known = scenarios()
    names = names or list(known)
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"bin/test: no scenario {', '.join(unknown)}; there are: {', '.join(known)}")
    status, output, _seconds = run("image", ["molecule/lab/image.sh"])
    if status:
        print(tail(output), flush=True)
        return 0, 1
    say(f"test image {output.split()[-1]}")
    names = sorted(names, key=lambda name: (name not in FIRST, -amount(known[name])))
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(lambda name: scenario(name, known[name]), names))
    return sum(p for p, _ in results), sum(f for _, f in results)


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit status."""
    stages = {"lint": stage_lint, "unit": stage_unit, "scenarios": stage_scenarios}
    if arguments[:1] == ["molecule"]:
        name = arguments[arguments.index("-s") + 1] if "-s" in arguments[:-1] else sys.exit("bin/test: molecule needs -s SCENARIO")
        glob = f"{scenarios()[name].parent}/*/molecule.yml"
        return subprocess.run(["molecule", *arguments[1:]], cwd=ROOT, env={**environment(), "MOLECULE_GLOB": glob}, check=False).returncode
    if arguments[:1] == ["role"] and arguments[1:]:
        wanted = [lambda: stage_scenarios(arguments[1:])]
    elif not arguments:
        wanted = list(stages.values())
    elif len(arguments) == 1 and arguments[0] in stages:
        wanted = [stages[arguments[0]]]
    else:
        print("usage: bin/test [lint | unit | scenarios | role NAME...]", file=sys.stderr)
        return 2
    if shutil.which("podman") is None and any(a not in ("lint", "unit") for a in arguments or ["all"]):
        sys.exit("bin/test: podman is missing; bin/setup as root installs it")
    passed = failed = 0
    for stage in wanted:
        p, f = stage()
        passed, failed = passed + p, failed + f
        if failed:
            break
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
