# SPDX-License-Identifier: Apache-2.0
"""Whether the host's time can be believed: what the clock of mailboxes asks before it does what a wrong day would do too early.

A day is believed when a witness stands for it:
- a person who confirmed it (``--confirmed``);
- the machine that the playbook runs on (``--controller``);
- the kernel's counter since the machine was started (``CLOCK_BOOTTIME``), which nobody can set, from a time that was believed;
- the kernel's word that a server of time keeps it (chrony with ``rtcsync``, systemd-timesyncd); that ends when somebody sets the clock by
  hand, and some hours after the server's last answer.
Two witnesses that contradict each other mean a wrong clock.

Standard library only: it runs on the directory host.
"""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from congvu_mail.months import VIETNAM

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Seconds. More than clocks that nobody sets drift apart in a month, less than any mistake that moves a step to another day.
TOLERANCE = 900


@dataclass(frozen=True, slots=True)
class Reading:
    """The host's time at a moment (seconds since 1970), the counter since the start of the machine, and which start that was."""

    wall: float
    counter: float
    boot: str
    believed: bool = False

    @classmethod
    def now(cls) -> Reading:
        """Both clocks at once."""
        moment = datetime.datetime.now(datetime.UTC).timestamp()
        return cls(moment, time.clock_gettime(time.CLOCK_BOOTTIME), BOOT_ID.read_text(encoding="ascii").strip())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of the host's time. ``wrong`` and ``unproven`` are in Vietnamese and end without a full stop; both empty: believed."""

    kept: Reading | None  # to be remembered for the next run
    wrong: str = ""  # how it contradicts a witness: nothing may be done
    unproven: str = ""  # no witness: nothing may be done that a day too early makes wrong for good

    @property
    def believed(self) -> bool:
        """Does a witness stand for it?"""
        return not self.wrong and not self.unproven

    def record(self) -> dict[str, Any] | None:
        """The reading as JSON holds it."""
        return asdict(self.kept) if self.kept else None


def kept(record: Mapping[str, Any] | None) -> Reading | None:
    """What :meth:`Verdict.record` gave."""
    return Reading(**record) if record else None


def synchronised() -> bool:
    """Does the kernel say that a server of time keeps the clock?"""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip() == "yes"
    except (OSError, subprocess.TimeoutExpired):
        return False


def judge(now: Reading, last: Reading | None, *, confirmed: bool = False, controller: float | None = None, server: bool = False) -> Verdict:
    """Whether ``now`` can be believed. ``last`` is what the last run kept; ``confirmed``: a person says that the day is right;
    ``controller``: the time of the machine that the playbook runs on; ``server``: what :func:`synchronised` says.
    """
    believed = Verdict(Reading(now.wall, now.counter, now.boot, believed=True))
    if confirmed:
        return believed
    if controller is not None:
        if abs(off := now.wall - controller) <= TOLERANCE:
            return believed
        return Verdict(last, wrong=f"giờ của máy chủ ({_shown(now.wall)}) lệch {_span(off)} so với máy chạy lệnh ({_shown(controller)})")
    if last and last.boot == now.boot:
        off = (now.wall - last.wall) - (now.counter - last.counter)
        if abs(off) > TOLERANCE and (last.believed or not server):
            ran = f"máy chạy liên tục từ {_shown(last.wall)} nên bây giờ phải là {_shown(now.wall - off)}"
            return Verdict(last, wrong=f"giờ của máy chủ ({_shown(now.wall)}) bị nhảy {_span(off)}: {ran}")
        if last.believed and abs(off) <= TOLERANCE:
            return believed
    if server:
        return believed
    return Verdict(now, unproven="máy chủ không đồng bộ giờ với máy chủ giờ nào, và từ khi khởi động chưa ai xác nhận ngày của máy")


def _shown(moment: float) -> str:
    return f"{datetime.datetime.fromtimestamp(moment, VIETNAM):%H:%M ngày %d/%m/%Y}"


def _span(seconds: float) -> str:
    """How far and in which direction: a sign, and days, hours or minutes."""
    size, sign = abs(seconds), "+" if seconds > 0 else "-"
    unit, name = next((unit, name) for unit, name in ((86400, "ngày"), (3600, "giờ"), (60, "phút")) if round(size / unit, 1) >= 1)
    return f"{sign}{f'{size / unit:.1f}'.removesuffix('.0').replace('.', ',')} {name}"
