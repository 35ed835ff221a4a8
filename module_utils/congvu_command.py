# SPDX-License-Identifier: Apache-2.0
"""Run a command on a host: what the project's modules share."""

from __future__ import annotations

import subprocess


class Failure(Exception):
    """A command failed; its complaint."""


def run(*argv: str, good: tuple[int, ...] = (0,), stdin: str = "") -> bytes:
    """What a command prints. :class:`Failure` names the command and its last words when its exit status is not among the good ones."""
    done = subprocess.run(argv, input=stdin.encode(), capture_output=True, check=False)
    if done.returncode not in good:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())[-500:]
        raise Failure(f"{' '.join(argv[:3])}: exit status {done.returncode}: {words}")
    return done.stdout


def output(*argv: str, good: tuple[int, ...] = (0,), stdin: str = "") -> str:
    """The same, decoded (UTF-8)."""
    return run(*argv, good=good, stdin=stdin).decode("utf-8", "replace")
