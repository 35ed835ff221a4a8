# SPDX-License-Identifier: Apache-2.0
"""What the measuring programs share: a stopwatch, a table, and the page that keeps every table (docs/benchmarks.md)."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator

from progress import say

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `bench/run`, `bench/scale` and `bench/guess`, newest last. One machine carries the mail server, the foreign server and whoever makes
the load, so absolute figures are a lower bound and ratios are what to compare. Percentiles are of the time from when a request was due, so
waiting in a queue counts.
"""


@contextlib.contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the block began, until it ended."""
    began = time.monotonic()
    ended = None
    yield lambda: (ended or time.monotonic()) - began
    ended = time.monotonic()


class Table(list[tuple[str, ...]]):
    """Rows of what was measured; the first column says what. Printed as they come."""

    def __init__(self, *columns: str) -> None:
        super().__init__()
        self.columns = columns

    def row(self, what: str, figure: str, *others: str) -> None:
        """Add a row; cells that are not given are empty."""
        cells = (what, figure, *others)
        self.append(cells + ("",) * (len(self.columns) - len(cells)))
        rest = ", ".join(other for other in others if other)
        say(f"{what}: {figure}{f' ({rest})' if rest else ''}")

    def text(self) -> str:
        """The table in Markdown."""
        return "".join(f"| {' | '.join(row)} |\n" for row in (self.columns, ("---",) * len(self.columns), *self))


def record(table: Table, title: str, load: float) -> None:
    """Append a section with the table to docs/benchmarks.md; ``load`` is the load of the machine when the measuring began."""
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(encoding="ascii"))
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    heading = (
        f"\n## {datetime.date.today():%Y-%m-%d}, {revision}: {title}, {os.cpu_count()} processors, "
        f"{int(memory[1]) / 2**20:.0f} GiB, load {load:.1f} when it began\n\n"
    )
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else HEAD
    RESULTS.write_text(text + heading + table.text(), encoding="utf-8")
    print(f"\n{table.text()}\nappended to {RESULTS.relative_to(ROOT)}")
