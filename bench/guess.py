#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/guess: guess passwords from many addresses at a demo, and see who is locked out: those who guess, or those who work.

A tenth of the addresses goes on guessing, as who is after one mailbox does; the others try a few times each, as a rented net of
machines does.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import random
import statistics
import sys
import threading
import time

from guessing import attacker
from mail import MailSystem, Refused
from results import ROOT, Table, record, stopwatch

NETWORK, ADDRESSES = "198.18.0.0/16", 1000  # RFC 2544; none of the networks that are never blocked
STUBBORN, MANY, FEW = 100, 55, 5  # addresses that guess MANY times; the others guess FEW times: 10,000 in all
RATE = 25  # guesses a second, all addresses together
WAYS = ["imaps"] * 6 + ["submissions"] * 3 + ["webmail"]
LET_IN = {"OK", "235", "302"}
REFUSED = {"NO", "535", "454", "401"}  # 454: Postfix waits 10 s for Dovecot, which lets who guesses on wait longer


def work(system: MailSystem, accounts: list[dict[str, object]], over: threading.Event) -> tuple[list[float], list[str]]:
    """Log every user in by turns, by IMAP and by submission, until it is over: seconds of each login, and what was refused."""
    times, refused, count = [], [], 0
    while not over.is_set():
        account = accounts[count % len(accounts)]
        began = time.monotonic()
        try:
            if count // len(accounts) % 2:
                system.smtp("submission", account).quit()
            else:
                system.imap(account).logout()
            times.append(time.monotonic() - began)
        except (OSError, Refused) as error:
            refused.append(f"{account['address']}: {error}")
        count += 1
        over.wait(0.5)
    return times, refused


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(prog="bench/guess", description=__doc__)
    parser.add_argument("province", nargs="?", default="quang-tri")
    province = parser.parse_args().province
    load = os.getloadavg()[0]
    system = MailSystem.load(ROOT / "build/demo" / province / "access.json")
    accounts = [account for role in ("person", "organisation", "admin") for account in system.accounts(role)]
    dice = random.Random(1)
    with attacker(system, NETWORK, ADDRESSES) as somebody, concurrent.futures.ThreadPoolExecutor(1) as pool:
        sources = [a for n, a in enumerate(somebody.addresses) for _ in range(MANY if n < STUBBORN else FEW)]
        dice.shuffle(sources)
        guesses = [(source, dice.choice(WAYS), dice.choice(accounts)["address"]) for source in sources]
        over = threading.Event()
        users = pool.submit(work, system, accounts, over)
        with stopwatch() as elapsed:
            answers = somebody.guess(guesses, workers=400, rate=RATE)
        over.set()
        times, refused = users.result()
        blocked = somebody.blocked()
        # Once more each, now that all is over.
        afterwards = []
        for account in accounts:
            try:
                system.imap(account).logout()
            except (OSError, Refused) as error:
                afterwards.append(f"{account['address']}: {error}")
    said = collections.Counter("refused" if a in REFUSED else "let in" if a in LET_IN else "not answered" for a in answers)
    stubborn = set(somebody.addresses[:STUBBORN])
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    table = Table("measured", "figure", "aim or note")
    table.row(
        f"wrong passwords from {ADDRESSES:,} addresses (IMAP 60 %, submission 30 %, webmail 10 %)", f"{len(answers):,} in {elapsed():.0f} s"
    )
    table.row(
        "answered with a refusal; not answered any more; let in", ", ".join(f"{said[k]:,}" for k in ("refused", "not answered", "let in"))
    )
    table.row(f"blocked of the {STUBBORN} addresses that guess {MANY} times", f"{len(blocked & stubborn)}", f"{STUBBORN}")
    table.row(f"blocked of the {ADDRESSES - STUBBORN} addresses that guess {FEW} times", f"{len(blocked - stubborn)}")
    table.row(f"logins of the {len(accounts)} users meanwhile, refused", f"{len(times) + len(refused)}, {len(refused)}", "0 refused")
    table.row("a user's login meanwhile", f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms")
    table.row("users who do not get in afterwards", f"{len(afterwards)}", "0")
    for problem in [*refused, *afterwards]:
        print(f"bench/guess: {problem}", file=sys.stderr)
    record(table, f"bench/guess, {province}", load)
    return bool(refused or afterwards or said["let in"])


if __name__ == "__main__":
    sys.exit(main())
