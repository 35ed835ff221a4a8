# SPDX-License-Identifier: Apache-2.0
"""What an entry says of a mailbox that is suspended or has ended, whoever does it: an act, the clock, the register.

Standard library only: it runs on the directory host too. Attributes: docs/architecture.md.
"""

from __future__ import annotations


def suspended(now: str, reason: str, document: str, deliver: bool) -> dict[str, list[str]]:
    """Attributes of a suspension from ``now`` (generalizedTime). ``document`` may be empty; ``deliver``: whether mail still comes in."""
    return {
        "congvuState": ["suspended"],
        "congvuDelivery": ["TRUE" if deliver else "FALSE"],
        "congvuSuspendedSince": [now],
        "congvuReason": [reason],
        "congvuDocument": [document] if document else [],
    }


def ended(now: str, reason: str, document: str) -> dict[str, list[str]]:
    """Attributes of an end at ``now`` (generalizedTime); ``document`` may be empty."""
    return {
        "congvuState": ["terminated"],
        "congvuDelivery": ["FALSE"],
        "congvuEnded": [now],
        "congvuReason": [reason],
        "congvuDocument": [document] if document else [],
    }
