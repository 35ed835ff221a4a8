# SPDX-License-Identifier: Apache-2.0
"""Run a long command, show what it is at and for how long, keep all of it in a log, and on failure show what matters."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time

START = time.monotonic()


class Failed(Exception):
    """A step failed; the text says what to do."""


def say(text: str) -> None:
    """One line with the time since the start."""
    seconds = int(time.monotonic() - START)
    print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


def run_playbook(argv: list[str], log: pathlib.Path, environment: dict[str, str], advice: str) -> dict[str, int]:
    """Run ansible-playbook; the sums of its recap ({ok, changed, ...}). Failed with the error lines when it fails.

    Each play is announced with a line; in between, at most every ten seconds, the task that is running.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    spoken = time.monotonic()
    recap: dict[str, int] = {}
    errors: list[str] = []
    in_error = False
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            heading = re.match(r"(PLAY|TASK) \[(.*)\] \*+$", line.rstrip())
            if heading:
                in_error = False
                if heading[1] == "PLAY":
                    say(f"  {heading[2]}")
                    spoken = time.monotonic()
                elif time.monotonic() - spoken > 10:
                    say(f"    {heading[2]}")
                    spoken = time.monotonic()
            elif line.startswith(("[ERROR]", "ERROR!")):
                in_error = True
            elif line.startswith("Origin:") or not line.strip():
                in_error = False
            sums = re.match(r"\S+\s+: (ok=.*)$", line.rstrip())
            if sums:
                in_error = False
                for name, number in re.findall(r"(\w+)=(\d+)", sums[1]):
                    recap[name] = recap.get(name, 0) + int(number)
            elif in_error:
                errors.append(line.rstrip())
    if process.returncode:
        print("\n".join(errors[:60]), file=sys.stderr, flush=True)
        raise Failed(f"{advice} The whole output is in {log}.")
    return recap
