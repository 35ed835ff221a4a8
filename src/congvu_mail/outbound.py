# SPDX-License-Identifier: Apache-2.0
"""The guard against mailboxes that somebody else sends from: ``python3 -m congvu_mail.outbound`` on the directory host, twice a minute.

Who sends more to the outside than the policy allows is refused by the filter with 451, message by message: a person stops and reads, a
program goes on. Who was refused ``refusals`` times within ``minutes`` is suspended as compromised: out of every protocol at once, sessions
ended, a new password before he is reinstated, a line in the journal, and notice to whom ``suspension.notify`` names.

The filter tells the logins that it refused (``GET /plugins/congvu/limited`` of its controller); nothing a message says can put a mailbox
on that list. All else is in the directory, so a run that comes late, is repeated or was killed does what is missing and no more: refusals
from before a mailbox was reinstated do not count, and who was suspended but not told of is told of now.

Reads ``/etc/congvu-mail/lifecycle.json``. Prints what it did; exit status 1 and the reason when something could not be done.
"""

from __future__ import annotations

import datetime
import json
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from congvu_mail import clock
from congvu_mail.lifecycle import CONFIG, Run
from congvu_mail.mailbox_store import Entry, Store, StoreError, first, for_clock
from congvu_mail.months import VIETNAM
from congvu_mail.notices import NotSent
from congvu_mail.working_days import CalendarError

OPERATOR = "hệ thống (chống phát tán thư)"
REASON = "nghi bị chiếm quyền: gửi ra ngoài quá mức, bị từ chối {refusals} lần trong {minutes} phút"
TIMEOUT = 15  # seconds for the filter's answer


class NoAnswer(Exception):
    """Why the filter's list could not be had, in Vietnamese."""


def limited(settings: Mapping[str, Any]) -> list[tuple[float, str]]:
    """When which login was refused, as the filter kept it (two days at most).

    ``settings``: ``url`` of the controller (empty: there is none to ask), ``password_file``.
    """
    if not settings["url"]:
        return []
    password = Path(settings["password_file"]).read_text(encoding="utf-8").strip()
    request = urllib.request.Request(f"{settings['url']}/plugins/congvu/limited", headers={"Password": password})
    try:
        # No proxy of the environment comes between.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:
            lines = answer.read().decode("utf-8", "replace").splitlines()
    except OSError as error:  # URLError is one
        if isinstance(getattr(error, "reason", error), ConnectionError):
            return []  # it is not running, or just begins: then no mail leaves either, and the state of the whole tells
        raise NoAnswer(f"bộ lọc {settings['url']} không cho biết ai gửi quá mức: {error}; kiểm tra systemctl status rspamd") from error
    # A line that was cut, at the beginning of what the filter tells, is none.
    pairs = (line.split(" ", 1) for line in lines)
    return [(float(pair[0]), pair[1]) for pair in pairs if len(pair) == 2 and pair[0].isdecimal()]


def suspects(rows: Iterable[tuple[float, str]], refusals: int, seconds: float) -> dict[str, float]:
    """The logins refused so many times within so many seconds, and when the last such time was over."""
    times: dict[str, list[float]] = defaultdict(list)
    for moment, login in rows:
        times[login].append(moment)
    found = {}
    for login, moments in times.items():
        moments.sort()
        ends = [end for begin, end in zip(moments, moments[refusals - 1 :], strict=False) if end - begin <= seconds]
        if ends:
            found[login] = ends[-1]
    return found


def since(entry: Entry) -> float:
    """From when on refusals count against a mailbox: its last reinstatement (Unix time)."""
    restored = first(entry, "congvuRestored")
    return datetime.datetime.strptime(restored[:14] + "+0000", "%Y%m%d%H%M%S%z").timestamp() if restored else 0.0


def to_do(entry: Entry) -> str:
    """What a mailbox under suspicion still needs: ``lock``, ``notice`` or nothing."""
    if first(entry, "congvuState") == "active":
        return "lock"
    box = for_clock(entry)
    told = any(notice.stage == clock.SUSPENSION and notice.sent >= (box.suspended_since or notice.sent) for notice in box.notices)
    mine = box.state == "suspended" and first(entry, "congvuReason").startswith(REASON.partition("{")[0])
    return "notice" if mine and not told else ""


def run(config: Mapping[str, Any], rows: list[tuple[float, str]]) -> tuple[list[str], list[str]]:
    """Lock and tell; what was done and what failed, in Vietnamese."""
    rule, done, problems = config["outbound"], [], []
    refusals, seconds = rule["refusals"], rule["minutes"] * 60
    logins = suspects(rows, refusals, seconds)
    if not logins:
        return done, problems
    with Store() as store:
        # Most of the time the few that were locked long ago: only they are read.
        wanted = {uid: entry for uid in logins for _, entry in store.mailboxes(config["suffix"], uid)}
        counted = suspects([row for row in rows if row[1] in wanted and row[0] >= since(wanted[row[1]])], refusals, seconds)
        if not any(to_do(wanted[uid]) for uid in counted):
            return done, problems
        day = Run(config, store, datetime.datetime.now(VIETNAM).date(), check=False)
        for uid in counted:
            try:
                done += _one(day, uid, REASON.format(**rule))
            except (StoreError, NotSent) as error:
                problems.append(f"{first(wanted[uid], 'mail')}: {error}")
        day.sender.close()
    return done, problems


def _one(day: Run, uid: str, reason: str) -> list[str]:
    """Lock one mailbox and tell of it."""
    done, address = [], first(day.entries[uid][1], "mail")
    if to_do(day.entries[uid][1]) == "lock":
        day.suspend(uid, reason, OPERATOR)
        done.append(f"{address}: đã tạm khóa, {reason}")
    if to_do(day.entries[uid][1]) == "notice":
        day.tell(uid, reason, OPERATOR)
        done.append(f"{address}: đã gửi thông báo tạm khóa")
    return done


def main() -> int:
    """Entry point."""
    try:
        config = json.loads(CONFIG.read_text(encoding="utf-8"))
        done, problems = run(config, limited(config["outbound"]))
    except (NoAnswer, StoreError, CalendarError, OSError, ValueError) as error:
        done, problems = [], [str(error)]
    # The journal's priorities (sd-daemon(3)).
    for line in done:
        print(f"<4>{line}")
    for line in problems:
        print(f"<3>{line}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
