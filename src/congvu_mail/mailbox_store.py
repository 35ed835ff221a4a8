# SPDX-License-Identifier: Apache-2.0
"""Mailboxes in the directory, and the one way in which acts and the clock change them. Runs on the directory host, as root over ldapi.

A change is ``{"operations": [{"dn", "expect", "replace"}], "journal": {act, mailbox, document, reason, operator, before, after, result}}``;
``expect`` and ``replace`` map attributes to lists of texts. It is refused when an attribute is neither as expected nor as wanted
already: somebody else was faster. Each change is one line of the journal. What is under way stands in a file beside the journal first, so
that after a crash the next writer finishes the change and its line, or drops both.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ldap
from ldap.filter import escape_filter_chars

from congvu_mail import bulk, clock, journal, states
from congvu_mail.months import local_date

JOURNAL = Path("/var/lib/congvu-mail/journal/operations.jsonl")
READ = ["*", "pwdReset", "pwdLastSuccess", "pwdChangedTime", "pwdAccountLockedTime", "pwdPolicySubentry"]
# Never in the journal, in a result or in a message.
SECRET = ("userPassword", "congvuForbiddenInPassword")
# Not of the directory: when somebody last opened an organisation's mailbox, with his own password perhaps (generalizedTime).
OPENED = "opened"
LATE = "done (ghi bổ sung sau khi máy dừng giữa chừng)"

Entry = Mapping[str, list[str]]


class StoreError(Exception):
    """The directory or the journal cannot be used, or a mailbox is not as expected; in Vietnamese, with the remedy."""


class Store:
    """The directory over ldapi and the journal, for one writer at a time; a context manager."""

    def __init__(self, path: Path = JOURNAL, uri: str = "ldapi:///") -> None:
        self.path, self.uri = path, uri
        self.pending = path.with_name("pending.json")
        self.head: journal.Head | None = None
        self.finished: list[str] = []  # mailboxes of which a writer that was killed had begun something, done with by now

    def __enter__(self) -> Store:
        self._lock = os.open(self.path.with_name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreError("một việc khác đang chạy trên sổ hộp thư: đợi việc đó xong rồi chạy lại") from None
        try:
            self.connection = ldap.initialize(self.uri)
            self.connection.sasl_external_bind_s()
            self._recover()
        except ldap.LDAPError as error:
            os.close(self._lock)
            raise _refused(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.unbind_s()
        os.close(self._lock)

    def mailboxes(self, suffix: str, uid: str = "") -> Iterator[tuple[str, Entry]]:
        """DN and attributes of every mailbox, or of that with this uid if there is one."""
        wanted = f"(&(objectClass=congvuMailbox)(uid={escape_filter_chars(uid)}))" if uid else "(objectClass=congvuMailbox)"
        with translated():
            found = self.connection.search_ext_s(f"ou=mailboxes,{suffix}", ldap.SCOPE_ONELEVEL, wanted, READ)
        for dn, entry in found:
            yield dn, {name: [value.decode() for value in values] for name, values in entry.items() if name not in SECRET}

    def carry_out(self, change: Mapping[str, Any], check: bool = False) -> bool:
        """Make a change and its line in the journal; whether something changed (in check mode: would)."""
        with translated():
            differing = self._differing(change)
            if not differing or check:
                return bool(differing)
            _write(self.pending, change)
            self._finish(change, change["journal"]["result"])
        return True

    def keep(self, name: str, values: Sequence[tuple[str, str]]) -> None:
        """Set an attribute that is a record, not a change, without a line in the journal. ``values``: DN and value.

        Many are under way at once, for waiting for each takes five times as long; no more than slapd queues for a connection (1000).
        """
        with translated():
            for begin in range(0, len(values), 500):
                sent = [
                    self.connection.modify(dn, [(ldap.MOD_REPLACE, name, [value.encode()])]) for dn, value in values[begin : begin + 500]
                ]
                for number in sent:
                    self.connection.result3(number)

    def note(self, **line: Any) -> None:
        """A line of the journal without a change."""
        self.head = journal.append(self.path, **line)

    # --- for bulk.py: intent, change, lines

    def intend(self, content: Mapping[str, Any]) -> None:
        """Note what is about to be done."""
        _write(self.pending, content)

    def enter(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Lines of the journal in one write, for what was intended."""
        if lines:
            self.head = journal.extend(self.path, lines)
        self.pending.unlink()

    def lines(self) -> Iterator[dict[str, Any]]:
        """The journal's lines."""
        return journal.entries(self.path) if self.path.exists() else iter(())

    def last_number(self) -> int:
        """The number of the journal's last line."""
        if self.head is None:
            self.head = journal.last(self.path)
        return self.head.number

    def _differing(self, change: Mapping[str, Any]) -> list[tuple[str, dict[str, list[str]]]]:
        found = []
        for operation in change["operations"]:
            present = self.entry(operation["dn"])
            if not present:
                raise StoreError(f"thư mục không còn mục {operation['dn']}: chạy lại")
            todo = {name: wanted for name, wanted in operation["replace"].items() if set(present.get(name, [])) != set(wanted)}
            expected = operation.get("expect", {})
            other = [name for name in todo if name in expected and set(present.get(name, [])) != set(expected[name])]
            if other:
                mailbox = change["journal"]["mailbox"]
                raise StoreError(f"{mailbox}: {', '.join(other)} vừa bị thay đổi bởi việc khác, chưa làm gì với hộp thư này; chạy lại")
            if todo:
                found.append((operation["dn"], todo))
        return found

    def entry(self, dn: str) -> dict[str, list[str]]:
        """The attributes of an entry; none when there is no such entry."""
        try:
            found = self.connection.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", READ)[0][1]
        except ldap.NO_SUCH_OBJECT:
            return {}
        return {name: [value.decode() for value in values] for name, values in found.items()}

    def _finish(self, change: Mapping[str, Any], result: str) -> None:
        for dn, todo in self._differing(change):
            modifications = [
                (ldap.MOD_REPLACE, name, [value.encode() for value in values] or None)
                # A new password sets pwdReset by itself, so what is said of it comes after.
                for name, values in sorted(todo.items(), key=lambda item: item[0] != "userPassword")
            ]
            self.connection.modify_s(dn, modifications)
        self.head = journal.append(self.path, **{**change["journal"], "result": result})
        self.pending.unlink()

    def _recover(self) -> None:
        """Finish what was under way when a writer was killed."""
        if not self.pending.exists():
            return
        try:
            change = json.loads(self.pending.read_text(encoding="utf-8"))
        except ValueError:  # killed while writing it: nothing was done yet
            self.pending.unlink()
            return
        if "intended" in change:
            bulk.recover(self, change, LATE)
            return
        open_ones = {dn for dn, _ in self._differing({**change, "operations": [{**one, "expect": {}} for one in change["operations"]]})}
        begun = any(operation["dn"] not in open_ones for operation in change["operations"])
        last = next(iter(deque(self.lines(), 1)), {})
        written = all(last.get(name) == change["journal"][name] for name in ("act", "mailbox", "document", "before", "after"))
        if begun and not (written and not open_ones):
            self.finished.append(change["journal"]["mailbox"])
            self._finish({**change, "operations": [{**one, "expect": {}} for one in change["operations"]]}, LATE)
        else:
            self.pending.unlink()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of the directory and the journal as :class:`StoreError`."""
    try:
        yield
    except ldap.LDAPError as error:
        raise _refused(error) from error
    except journal.JournalError as error:
        raise StoreError(str(error)) from error


def _refused(error: ldap.LDAPError) -> StoreError:
    if isinstance(error, ldap.SERVER_DOWN):
        return StoreError("máy chủ thư mục không trả lời (systemctl status slapd): khởi động lại rồi chạy lại; việc đã xong vẫn giữ nguyên")
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return StoreError(f"thư mục từ chối: {details.get('desc', error)} {details.get('info', '')}".strip())


def _write(path: Path, content: Any) -> None:
    """Durably, readable by root only."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


# --- an entry as the clock sees it ------------------------------------------------------------------------------------


def last_access(entry: Entry) -> str:
    """The latest access that is known, generalizedTime or empty: every protocol, the webmail and other applications bind as the user.

    ``congvuLastAccess`` keeps what an administrator's new password takes away from ``pwdLastSuccess``. A password that the user changed
    himself is an access too. Who proves the password of a suspended mailbox does not get in.
    """
    closed = first(entry, "congvuSuspendedSince") if first(entry, "congvuState") == "suspended" else ""
    if closed and first(entry, "pwdLastSuccess")[:14] > closed[:14]:
        entry = {**entry, "pwdLastSuccess": []}
    own_change = [] if first(entry, "pwdReset") == "TRUE" else entry.get("pwdChangedTime", [])
    return max(
        (moment[:14] + "Z" for name in ("congvuLastAccess", "pwdLastSuccess", OPENED) for moment in entry.get(name, [])), default=""
    ) or max((moment[:14] + "Z" for moment in own_change), default="")


def first(entry: Entry, name: str) -> str:
    """The only value of an attribute, or nothing."""
    return (entry.get(name) or [""])[0]


def named(entry: Entry) -> str:
    """The name of a mailbox's holder as it is written; ``cn`` has it in every spelling that a search may use."""
    return first(entry, "displayName") or first(entry, "cn")


def for_clock(entry: Entry) -> clock.Mailbox:
    """A mailbox entry as :func:`congvu_mail.clock.plan` takes it."""

    def day(name: str) -> Any:
        value = first(entry, name)
        return local_date(value) if value else None

    seen, exemption, leave = last_access(entry), first(entry, "congvuExemption"), day("congvuLeaveUntil")
    lifted = states.exempt_until(exemption)
    return clock.Mailbox(
        uid=first(entry, "uid"),
        code=first(entry, "congvuCode"),
        kind=first(entry, "congvuKind"),
        state=first(entry, "congvuState"),
        issued=day("congvuIssued"),
        last_access=local_date(seen) if seen else None,
        suspended_since=day("congvuSuspendedSince"),
        restored=day("congvuRestored"),
        ended=day("congvuEnded"),
        leave_until=max(filter(None, (leave, lifted)), default=None),
        exemption="" if lifted else exemption,
        reopen_requested=bool(entry.get("congvuReopenRequest")),
        offences=int(first(entry, "congvuOffences") or 0),
        notices=tuple(notice(value) for value in entry.get("congvuNotice", [])),
    )


def notice(value: str) -> clock.Notice:
    """A value of ``congvuNotice``: stage, day and proof."""
    stage, day, proof = (*value.split(" ", 2), "")[:3]
    return clock.Notice(stage, clock.datetime.date.fromisoformat(day), proof)
