# SPDX-License-Identifier: Apache-2.0
"""How often somebody may be wrong: a count of failures by key in a sliding window, in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """At most `limit` failures by key in `seconds`; 0 means no limit. Safe between threads."""

    def __init__(self, limit: int, seconds: int, clock: Callable[[], float] = time.monotonic):
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._failures: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def wait(self, key: str) -> int:
        """Seconds until the key may try again; 0: now."""
        with self._lock:
            recent = self._recent(key)
            if not self.limit or len(recent) < self.limit:
                return 0
            return int(recent[-self.limit] + self.seconds - self._clock()) + 1

    def fail(self, key: str) -> None:
        """Count one failure."""
        with self._lock:
            self._failures[key] = [*self._recent(key), self._clock()]
            for other in list(self._failures):  # whatever is old is forgotten, so memory stays small
                self._recent(other)

    def forget(self, key: str) -> None:
        """A success: nothing is held against the key any more."""
        with self._lock:
            self._failures.pop(key, None)

    def _recent(self, key: str) -> list[float]:
        kept = [moment for moment in self._failures.get(key, []) if moment > self._clock() - self.seconds]
        if kept:
            self._failures[key] = kept
        else:
            self._failures.pop(key, None)
        return kept
