"""Runs on the host: kill a run of the clock at each of the points where it writes, and let the next run go on.

Standard input: `entries`, attributes by DN from which every round starts, and what is `wanted` after it. Prints the number of points, and
what was wrong after which.
"""

import contextlib
import io
import json
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, "/usr/local/lib/congvu-mail/python")
sys.dont_write_bytecode = True
import ldap.ldapobject  # noqa: E402

from congvu_mail import journal, lifecycle, mailbox_store  # noqa: E402

task = json.load(sys.stdin)
left = None  # points until the end; None: this process is not to be killed


def point(*_):
    """One more point; the last one ends the process as a power cut does."""
    global left
    if left is not None:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name):
    """Points before and after a call."""
    call = getattr(owner, name)

    def called(*given, **more):
        point()
        result = call(*given, **more)
        point()
        return result

    setattr(owner, name, called)


def run(points):
    """The clock in a process of its own, killed at a point; whether it was."""
    global left
    child = os.fork()
    if not child:
        left = points
        with contextlib.redirect_stdout(io.StringIO()):
            lifecycle.main(["run", f"--controller={time.time()}"])
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def begin():
    """Every mailbox and its address as they were."""
    connection = ldap.initialize("ldapi:///")
    connection.sasl_external_bind_s()
    for dn, attributes in task["entries"].items():
        connection.modify_s(dn, [(ldap.MOD_REPLACE, name, [value.encode()] if value else None) for name, value in attributes.items()])
    connection.unbind_s()


def found():
    """What is wanted of each entry, as it is."""
    connection = ldap.initialize("ldapi:///")
    connection.sasl_external_bind_s()
    entries = {dn: connection.search_s(dn, ldap.SCOPE_BASE)[0][1] for dn in task["entries"]}
    connection.unbind_s()
    wanted = task["wanted"]["entries"]
    return {dn: {name: entry[name][0].decode() for name in wanted[dn] if name in entry} for dn, entry in entries.items()}


for name in ("fsync", "replace", "write"):
    around(os, name)
for name in ("unlink", "replace"):
    around(pathlib.Path, name)
around(json, "dump")
around(ldap.ldapobject.SimpleLDAPObject, "modify_s")

wrong, number, killed = [], 0, True
while killed:
    number += 1
    begin()
    lines = len(list(journal.entries(mailbox_store.JOURNAL)))
    killed = run(number)
    run(None)
    written = [line["act"] for line in list(journal.entries(mailbox_store.JOURNAL))[lines:]]
    now = {
        "entries": found(),
        "written": sorted(act for act in written if act != journal.REPAIR),
        "pending": mailbox_store.JOURNAL.with_name("pending.json").exists(),
        "broken": journal.verify(mailbox_store.JOURNAL).problems,
    }
    if now != task["wanted"]:
        wrong.append([number, now])
print(json.dumps({"points": number - 1, "wrong": wrong}))
