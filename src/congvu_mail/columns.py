# SPDX-License-Identifier: Apache-2.0
"""Plain columns for a terminal. Standard library only: it runs on the directory host too."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows of as many cells each, every column as wide as its widest cell, two blanks between columns, none at the end."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
