# SPDX-License-Identifier: Apache-2.0
"""What the controller computes for a register, without a host: addresses, the first plan, the plan of a run without changes.

``python bench/engine.py REGISTER POLICY`` prints one JSON object. It is a program of its own so that its memory is counted alone. Times are
processor time, which other work on the machine disturbs least.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import datetime
import gc
import json
import pathlib
import resource
import sys
import time
import zlib
from collections.abc import Iterator

import yaml

from congvu_mail import directory, registers
from congvu_mail.naming import allocate

NOW = datetime.datetime(2026, 11, 22, 8, tzinfo=datetime.UTC)


def measure(folder: str, policy: str) -> dict[str, float]:
    """Seconds of every part, what came out, and the most memory this process had (``kilobytes``)."""
    naming = yaml.safe_load(pathlib.Path(policy).read_text(encoding="utf-8"))["mail_policy"]["naming"]
    rules = directory.Rules(naming, "dc=example,dc=vn", "example.vn", {"person": 1 << 30, "organisation": 1 << 31}, ["mail.example.vn"])
    found: dict[str, float] = {}

    @contextlib.contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        found[name] = time.process_time() - began

    gc.disable()  # as the action does
    with timed("read"):
        register = registers.read(folder, naming, one_per_person=True)
    with timed("allocate"):
        entries = allocate(register.roster, naming)
    status = collections.Counter(entry["status"] for entry in entries)
    found |= {"people": len(register.people.rows), "assigned": status["assigned"], "undecided": status["needs_decision"]}
    found["collided"] = sum("đã thuộc về mã" in entry["reason"] for entry in entries)
    del entries
    with timed("first_plan"):
        plan = directory.make_plan(register, directory.Directory([], []), rules, NOW)
    ledger = [operation["attributes"] for operation in plan.stages[0]]
    mailboxes = [[operation["dn"], operation["attributes"]] for operation in plan.stages[1]]
    export = base64.b64encode(zlib.compress(json.dumps({"mailboxes": mailboxes, "ledger": ledger}).encode())).decode()
    del plan, ledger, mailboxes
    with timed("second_plan"):
        plan = directory.make_plan(register, directory.Directory.load(export), rules, NOW)
    if plan.stages:
        raise SystemExit("bench: a second plan of the same register is not empty")
    found["kilobytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


if __name__ == "__main__":
    json.dump(measure(*sys.argv[1:]), sys.stdout)
