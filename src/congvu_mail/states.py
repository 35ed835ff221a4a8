# SPDX-License-Identifier: Apache-2.0
"""What an entry says of a mailbox that is suspended or has ended, whoever does it: an act, the clock, the register.

Standard library only: it runs on the directory host too. Attributes: docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import unicodedata

from congvu_mail.months import local_date

_LIFTED = re.compile(r"đến (\d{4}-\d\d-\d\d): ")


def suspended(
    now: str, reason: str, document: str, deliver: bool, *, offences: str = "", compromised: bool = False
) -> dict[str, list[str]]:
    """Attributes of a suspension from ``now`` (generalizedTime).

    ``document`` may be empty; ``deliver``: whether mail still comes in; ``offences``: ``congvuOffences`` before this one;
    ``compromised``: a new password is needed before the way back.
    """
    return {
        "congvuState": ["suspended"],
        "congvuDelivery": ["TRUE" if deliver else "FALSE"],
        "congvuSuspendedSince": [now],
        "congvuReason": [reason],
        "congvuDocument": [document] if document else [],
        "congvuOffences": [str(int(offences or 0) + 1)],
        "congvuCompromised": ["TRUE"] if compromised else [],
        "congvuRefusal": [refusal(now, reason)],
    }


def refusal(now: str, reason: str) -> str:
    """What the holder of a suspended mailbox is told at a login, in ASCII, since SMTP and old clients know nothing else."""
    plain = unicodedata.normalize("NFD", reason.replace("đ", "d").replace("Đ", "D")).encode("ascii", "ignore").decode()
    plain = "".join(letter if letter.isprintable() else " " for letter in plain)
    since = f" tu {local_date(now):%d/%m/%Y}" if now else ""
    return f"Hop thu dang tam khoa{since} (mailbox suspended): {plain[:200]}"


def ended(now: str, reason: str, document: str) -> dict[str, list[str]]:
    """Attributes of an end at ``now`` (generalizedTime); ``document`` may be empty."""
    return {
        "congvuState": ["terminated"],
        "congvuDelivery": ["FALSE"],
        "congvuEnded": [now],
        "congvuReason": [reason],
        "congvuDocument": [document] if document else [],
        "congvuRefusal": [],
        "congvuReopenRequest": [],
        "congvuRemovalApproved": [],
    }


def lifted(exemption: str, day: datetime.date) -> str:
    """``congvuExemption`` after an exemption ended on a day, from which the time without use counts anew."""
    return f"đến {day.isoformat()}: {exemption}"


def exempt_until(exemption: str) -> datetime.date | None:
    """The day on which an exemption ended; None for one in force, whatever words its reason begins with, and for none."""
    found = _LIFTED.match(exemption)
    with contextlib.suppress(ValueError):  # words of an operator, no day of ours
        return datetime.date.fromisoformat(found[1]) if found else None
    return None
