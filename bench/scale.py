#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/scale: the accounts of an invented province (province.py) through playbooks/accounts.yml into a real directory; the daily clock.

The figure that says most is the ratio to the bare tools: slapadd of the same entries, ldapsearch of the same tree.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import province
from demo import ROOT, Demo
from progress import Failed, say
from results import Table, record

FULL, ENGINE = (5_000, 50_000), (200_000,)
AIM = 50_000  # the size that the aims are for
PERCENT = 1.0  # of the rows that differ in the run with changes
REPEATS = 3  # of the run without changes
AIMS = {
    "allocate": 3.0,
    "first": 180.0,
    "unchanged": 10.0,
    "changed": 12.0,
    "clock": 15.0,
    "clock_due": 15.0,
    "memory": 1024.0,
}  # seconds; MiB
DUE = 1_000  # one mailbox in so many is due on the day that the clock is measured on

# slapadd -q is the fastest way to put entries into a directory: no server, no transaction an entry. The same configuration, other folders.
SLAPADD = r"""
set -e
rm -rf /root/raw; mkdir -p /root/raw/config /root/raw/data /root/raw/accesslog
slapcat -n 1 -l /root/raw/tree.ldif
slapcat -n 0 | sed 's,^olcDbDirectory: /var/lib/ldap$,olcDbDirectory: /root/raw/data,
    s,^olcDbDirectory: /var/lib/ldap/accesslog$,olcDbDirectory: /root/raw/accesslog,' >/root/raw/config.ldif
slapadd -n 0 -F /root/raw/config -l /root/raw/config.ldif
"""

# The same directory after two years of use: everybody came in yesterday and today, but the few who have not been seen for 100 days.
USED = r"""
set -e
systemctl stop slapd
slapcat -n 1 -l /root/before.ldif
day() { date -u -d "-$1 days" +%Y%m%d010000Z; }
awk -v due="$1" -v now="$(day 0)" -v yesterday="$(day 1)" -v old="$(day 100)" -v told="$(date -d "-30 days" +%F)" '
    /^congvuIssued: / { print "congvuIssued: 20240101000000Z"; next }
    { print }
    /^objectClass: congvuMailbox$/ && ++number % due == 0 { print "congvuLastAccess: " old "\ncongvuNotice: notice-2m " told " ok"; next }
    /^objectClass: congvuMailbox$/ { print "congvuLastAccess: " yesterday; print "pwdLastSuccess: " now }
' /root/before.ldif >/root/used.ldif
rm -f /var/lib/ldap/*.mdb
slapadd -q -n 1 -l /root/used.ldif
chown openldap:openldap /var/lib/ldap/*.mdb
systemctl start slapd
"""
CLOCK = "PYTHONPATH=/usr/local/lib/congvu-mail/python python3 -B -m congvu_mail.lifecycle run >/root/clock.json || true"


@dataclasses.dataclass(slots=True)
class Run:
    """A finished run of accounts.yml."""

    seconds: float  # by the clock
    processor: float  # seconds of the controller's processes
    mebibytes: float  # most memory of one of them
    changed: int


class Scale(Demo):
    """One host with a directory, named apart from a demo, and the province's own policy."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.folder = ROOT / "build" / "scale"
        self.overlay = self.folder / "inventory"
        self.host, self.outside_address = "congvu-scale", ""

    def settings(self) -> dict[str, object]:
        """deployment_* values: no network, sealed files in a folder of their own."""
        return {
            "deployment_online": False,
            "deployment_apt_sources": [{"uris": "file:/srv/mirror", "suites": "./", "trusted": True}],
            "deployment_tls_mode": "internal_ca",
            "deployment_handover_directory": str(self.folder / "handover"),
        }

    def destroy(self) -> None:
        """Remove the host and everything written for it."""
        self.lab("down", self.host)
        shutil.rmtree(self.folder, ignore_errors=True)

    def fresh(self) -> None:
        """A new host with an empty directory."""
        self.destroy()
        say("A host with an empty directory")
        self.address = self.lab("up", self.host, self.fqdn)
        self.write_inventory()
        self.measured(ROOT / "bench" / "scale.yml")

    def measured(self, playbook: pathlib.Path, *options: str) -> Run:
        """Run a playbook; what it took. Failed with the end of its output when it fails."""
        log = self.folder / "logs" / f"{playbook.stem}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(
                [*self.ansible, str(playbook), *options], stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
            # The usage of this process and of those it waited for: the playbook and its workers.
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        output = log.read_text(encoding="utf-8")
        if status:
            raise Failed(f"{playbook.name} failed, {log}:\n" + "\n".join(output.splitlines()[-25:]))
        changed = sum(int(number) for number in re.findall(r"\bchanged=(\d+)", output))
        return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, changed)

    def accounts(self, register: pathlib.Path) -> Run:
        """Run playbooks/accounts.yml on a register. There is no Dovecot here whose sessions could be ended."""
        given = {"accounts_register": str(register), "end_sessions": []}
        return self.measured(ROOT / "playbooks" / "accounts.yml", f"--extra-vars={json.dumps(given)}")

    def clocked(self, command: str) -> float:
        """Seconds that a command takes on the host, without the way there."""
        out = self.run("sh", "-ec", f"began=$(date +%s%N); {{ {command}; }} >/dev/null 2>&1; echo $(($(date +%s%N) - began))")
        return int(out) / 1e9

    def entries(self) -> int:
        """Mailboxes in the directory."""
        return len(self.mailboxes())


def registers_of(folder: pathlib.Path, people: int) -> tuple[pathlib.Path, pathlib.Path]:
    """Folders of the register before and after the changes."""
    before, after = folder / f"{people}", folder / f"{people}-changed"
    province.write_register(before, people)
    province.write_register(after, people, PERCENT)
    return before, after


def measure_engine(scale: Scale, register: pathlib.Path) -> dict[str, str]:
    """The engine alone, in a process of its own."""
    policy = scale.inventory / "group_vars" / "all" / "policy.yml"
    command = [sys.executable, str(ROOT / "bench" / "engine.py"), str(register), str(policy)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    cost = found["allocate"] / found["people"] * 1e6
    say(f"allocation of {found['people']:,} people: {found['allocate']:.2f} s")
    return {
        "collided": f"{found['collided']:,}",
        "undecided": f"{found['undecided']:,}",
        "read": f"{found['read']:.1f} s",
        "allocate": f"{found['allocate']:.1f} s",
        "allocate_each": f"{cost:.0f} µs",
        "first_plan": f"{found['first_plan']:.1f} s",
        "second_plan": f"{found['second_plan']:.1f} s",
        "second_plan_each": f"{found['second_plan'] / found['people'] * 1e6:.0f} µs",
        "engine_memory": f"{found['kilobytes'] / 1024:.0f} MiB",
    }


def measure_directory(scale: Scale, people: int, before: pathlib.Path, after: pathlib.Path) -> dict[str, str]:
    """accounts.yml on a real directory, against the bare tools."""
    scale.fresh()
    say(f"First load of {people:,} people")
    first = scale.accounts(before)
    mailboxes = scale.entries()
    sealed = len(list((scale.folder / "handover").glob("*.vault")))
    if mailboxes < people or not sealed:
        raise Failed(f"after the first load the directory has {mailboxes} mailboxes, and there are {sealed} sealed files")
    say(f"{first.seconds:.1f} s: {mailboxes:,} mailboxes, {sealed:,} sealed files. The same once more")
    unchanged = [scale.accounts(before) for _ in range(REPEATS)]
    if any(run.changed for run in unchanged):
        raise Failed("a run without changes in the register changed something")
    suffix = "dc=" + ",dc=".join(scale.domain.split("."))
    search = scale.clocked(f"ldapsearch -QLLL -Y EXTERNAL -H ldapi:/// -b {suffix} '*' +")
    scale.run("sh", "-ec", SLAPADD)
    slapadd = scale.clocked("slapadd -q -F /root/raw/config -n 1 -l /root/raw/tree.ldif")
    say(f"{min(run.seconds for run in unchanged):.1f} s. With {PERCENT:g} % of the rows changed")
    changed = scale.accounts(after)
    if not changed.changed:
        raise Failed("a run with changes in the register changed nothing")
    best = min(unchanged, key=lambda run: run.seconds)
    runs = (first, changed, *unchanged)
    return {
        "mailboxes": f"{mailboxes:,}",
        "sealed": f"{sealed:,}",
        "slapadd": f"{slapadd:.1f} s",
        "search": f"{search:.1f} s",
        "first": f"{first.seconds:.1f} s",
        "first_ratio": f"{first.seconds / slapadd:.1f} × slapadd",
        "first_each": f"{first.seconds / people * 1e3:.2f} ms",
        "first_processor": f"{first.processor:.1f} s",
        "unchanged": f"{best.seconds:.1f} s",
        "unchanged_all": ", ".join(f"{run.seconds:.1f}" for run in unchanged),
        "unchanged_ratio": f"{best.seconds / search:.1f} × ldapsearch",
        "unchanged_processor": f"{best.processor:.1f} s",
        "changed": f"{changed.seconds:.1f} s",
        "changed_ratio": f"{changed.seconds / best.seconds:.2f} × unchanged",
        "memory": f"{max(run.mebibytes for run in runs):.0f} MiB",
        **measure_clock(scale, scale.entries()),
    }


def measure_clock(scale: Scale, mailboxes: int) -> dict[str, str]:
    """The daily clock: a day on which some mailboxes are due for a lock, then days on which none is. Nobody takes its notices here."""
    every = DUE if mailboxes > 10 * DUE else 50
    scale.run("sh", "-ec", USED, "sh", str(every))
    say(f"The clock with {mailboxes:,} mailboxes")
    seconds = [scale.clocked(CLOCK)]
    said = json.loads(scale.run("cat", "/root/clock.json"))
    locks = said["done"].get("lock", 0)
    # Not those whom the register suspended, and who are on leave.
    if not mailboxes // every / 2 <= locks <= mailboxes // every:
        raise Failed(f"the clock did {said['done']} where {mailboxes // every} locks were due: {said['problems'][:3]}")
    seconds += [scale.clocked(CLOCK) for _ in range(REPEATS)]
    said = json.loads(scale.run("cat", "/root/clock.json"))
    if said["done"]:
        raise Failed(f"the clock did {said['done']} where nothing was left to do")
    say(f"{seconds[0]:.1f} s with {locks} locks, {min(seconds[1:]):.1f} s without")
    return {
        "clock_due": f"{seconds[0]:.1f} s",
        "clock": f"{min(seconds[1:]):.1f} s",
        "clock_all": ", ".join(f"{one:.1f}" for one in seconds[1:]),
    }


ROWS = {
    "mailboxes": "mailboxes made",
    "collided": "rows whose plain address was taken",
    "undecided": "rows left to a decision",
    "sealed": "sealed files with initial passwords",
    "read": "engine: reading and checking the register",
    "allocate": "engine: allocation of all addresses",
    "allocate_each": "engine: allocation a person",
    "first_plan": "engine: plan of a first load, allocation included",
    "second_plan": "engine: plan without changes, allocation included",
    "second_plan_each": "engine: plan without changes a person",
    "engine_memory": "engine: memory",
    "slapadd": "`slapadd -q` of the same entries",
    "search": "`ldapsearch` of the same tree",
    "first": "first load, accounts.yml",
    "first_ratio": "first load against the bare tool",
    "first_each": "first load a person",
    "first_processor": "first load, processor time of the controller",
    "unchanged": f"run without changes, best of {REPEATS}",
    "unchanged_all": "run without changes, each (s)",
    "unchanged_ratio": "run without changes against the bare tool",
    "unchanged_processor": "run without changes, processor time of the controller",
    "changed": f"run with {PERCENT:g} % of the rows changed",
    "changed_ratio": f"run with {PERCENT:g} % changed against one without",
    "clock_due": f"daily clock, one mailbox in {DUE:,} due for a lock; 2,000 last accesses written",
    "clock": f"daily clock, nothing due; 2,000 last accesses written, best of {REPEATS}",
    "clock_all": "daily clock, nothing due, each (s)",
    "memory": "controller, most memory of one process",
}


def table_of(found: dict[int, dict[str, str]]) -> Table:
    """Rows of what was measured, a column for each size, and the aim."""
    table = Table("measured", *(f"{people:,} people" for people in found), f"aim at {AIM:,}")
    for name, what in ROWS.items():
        aim = f"≤ {AIMS[name]:g} {'MiB' if name == 'memory' else 's'}" if name in AIMS else ""
        table.append((what, *(figures.get(name, "–") for figures in found.values()), aim))
    return table


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(prog="bench/scale", description=__doc__)
    parser.add_argument("--province", default="quang-tri", help="whose policy holds")
    parser.add_argument("--people", type=int, action="append", help="measure this size only; may be given again")
    parser.add_argument("--record", action="store_true", help="append the table to docs/benchmarks.md with --people too")
    parser.add_argument("--keep", action="store_true", help="leave the host")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > os.cpu_count():
        say(f"This machine is busy (load {load:.1f}): the figures will be too high.")
    try:
        scale = Scale(options.province)
        found: dict[int, dict[str, str]] = {}
        for people in options.people or (*FULL, *ENGINE):
            before, after = registers_of(ROOT / "build" / "register", people)
            found[people] = measure_engine(scale, before)
            if people not in ENGINE or options.people:
                found[people] |= measure_directory(scale, people, before, after)
        table = table_of(found)
        if options.people and not options.record:
            print(f"\n{table.text()}")
        else:
            record(table, f"bench/scale, {options.province}", load)
        if not options.keep:
            scale.destroy()
    except Failed as failure:
        print(f"bench/scale: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
