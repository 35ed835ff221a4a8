# SPDX-License-Identifier: Apache-2.0
"""What the register changes: tens of thousands of entries in transactions, each act with its line in the journal. Runs as root over ldapi.

An operation is ``{"verb": "add", "dn", "attributes"}`` or ``{"verb": "modify", "dn", "replace"}`` (maps of attributes to lists of texts;
an empty list removes), and has ``journal``, the line of ``journal.FIELDS`` without the time, when it is an act. What a batch is going to
do stands in a file first, so that after a crash the next writer enters the lines of what the directory has taken
(:meth:`mailbox_store.Store` calls :func:`recover`); what it has not taken is planned anew from the register.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ldap
import ldap.controls
import ldap.extop

if TYPE_CHECKING:
    from congvu_mail.mailbox_store import Store

# Operations in a transaction (RFC 5805): one commit to disk for all of them, and a page of an index is written once for all that touch it.
# A login that notes its time waits for the commit, a second at most.
BATCH = 1000
START, SPECIFICATION, END = "1.3.6.1.1.21.1", "1.3.6.1.1.21.2", "1.3.6.1.1.21.3"
OPERATIONAL = ["*", "pwdPolicySubentry", "pwdReset"]

Operation = Mapping[str, Any]


def carry_out(store: Store, stage: Sequence[Operation], check: bool) -> Iterator[tuple[Operation, bool, str]]:
    """Do the operations of a stage in their order; (operation, whether it changed something, refusal or "") of each.

    A transaction that fails leaves nothing behind: its operations are then tried one by one, so that only what is refused is missing.
    ``ldap.SERVER_DOWN`` when the directory does not answer any more.
    """
    for start in range(0, len(stage), BATCH):
        batch = []
        for operation in stage[start : start + BATCH]:
            changes = {}
            if operation["verb"] == "modify":
                try:
                    changes = differing(store.connection, operation)
                except ldap.NO_SUCH_OBJECT as error:
                    yield operation, False, said(error)
                    continue
            if operation["verb"] == "modify" and not changes:
                yield operation, False, ""
            elif check:
                yield operation, operation["verb"] == "modify" or entry_of(store.connection, operation["dn"]) is None, ""
            else:
                batch.append((operation, changes))
        if batch:
            yield from _written(store, batch)


def _written(store: Store, batch: Sequence[tuple[Operation, Mapping[str, Any]]]) -> list[tuple[Operation, bool, str]]:
    """Carry out a batch and enter its acts in the journal."""
    intended = [_intent(operation) for operation, _ in batch if "journal" in operation]
    if intended:
        store.intend({"after": store.last_number(), "intended": intended})
    try:
        together(store.connection, batch)
        found = [(operation, True, "") for operation, _ in batch]
    except ldap.SERVER_DOWN:
        raise
    except ldap.LDAPError:
        found = [(operation, *alone(store.connection, operation, changes)) for operation, changes in batch]
    if intended:
        # One that was there already was added by a run that was killed, and has its line: recover() saw to that.
        store.enter([operation["journal"] for operation, changed, _ in found if changed and "journal" in operation])
    return found


def _intent(operation: Operation) -> dict[str, Any]:
    """What has to be known of an act after a crash: how to see whether it was done, and its line."""
    wanted = {} if operation["verb"] == "add" else operation["replace"]
    return {"dn": operation["dn"], "replace": wanted, "journal": operation["journal"]}


def recover(store: Store, pending: Mapping[str, Any], late: str) -> None:
    """Enter the lines of what a run that was killed has done; ``late`` is their result."""
    written = [line for line in store.lines() if line["number"] > pending["after"]]
    fields = ("act", "mailbox", "document", "before", "after")
    known = [[line[name] for name in fields] for line in written]
    missing = []
    for operation in pending["intended"]:
        present = entry_of(store.connection, operation["dn"])
        done = present is not None and not _open(present, operation["replace"])
        if done and [operation["journal"][name] for name in fields] not in known:
            missing.append({**operation["journal"], "result": late})
            store.finished.append(operation["journal"]["mailbox"])
    store.enter(missing)


# --- the directory ----------------------------------------------------------------------------------------------------


def encoded(attributes: Mapping[str, Iterable[str]]) -> dict[str, list[bytes]]:
    """Texts as bytes."""
    return {name: [value.encode() for value in values] for name, values in attributes.items()}


def entry_of(connection: Any, dn: str) -> dict[str, list[bytes]] | None:
    """Attributes of an entry, None when there is none."""
    try:
        return connection.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", OPERATIONAL)[0][1]
    except ldap.NO_SUCH_OBJECT:
        return None


def _open(present: Mapping[str, list[bytes]], wanted: Mapping[str, Iterable[str]]) -> dict[str, list[bytes]]:
    """What of the wanted attributes an entry does not have yet."""
    return {name: values for name, values in encoded(wanted).items() if set(values) != set(present.get(name, []))}


def differing(connection: Any, operation: Operation) -> dict[str, list[bytes]]:
    """What a modification has to change in an entry: {attribute: values}."""
    present = entry_of(connection, operation["dn"])
    if present is None:
        raise ldap.NO_SUCH_OBJECT({"desc": "No such object"})
    return _open(present, operation["replace"])


def ask(connection: Any, operation: Operation, changes: Mapping[str, Any], controls: Any = None) -> int:
    """Ask for an operation; the number of the message."""
    if operation["verb"] == "add":
        return connection.add_ext(operation["dn"], list(encoded(operation["attributes"]).items()), controls)
    return connection.modify_ext(operation["dn"], [(ldap.MOD_REPLACE, name, values or None) for name, values in changes.items()], controls)


def together(connection: Any, batch: Sequence[tuple[Operation, Mapping[str, Any]]]) -> None:
    """Carry out (operation, changes) as one transaction; LDAPError when the directory refuses one of them: then nothing is changed."""
    name = connection.extop_s(ldap.extop.ExtendedRequest(START, None))[1] or b""
    within = [ldap.controls.RequestControl(SPECIFICATION, True, name)]
    commit = False
    try:
        for operation, changes in batch:
            connection.result(ask(connection, operation, changes, within))
        commit = True
    finally:
        # SEQUENCE { commit BOOLEAN, identifier OCTET STRING }
        body = bytes([1, 1, 0xFF * commit, 4, len(name)]) + name
        connection.extop_s(ldap.extop.ExtendedRequest(END, bytes([0x30, len(body)]) + body))


def alone(connection: Any, operation: Operation, changes: Mapping[str, Any]) -> tuple[bool, str]:
    """Carry out one operation; (whether it changed something, why the directory refused it or "")."""
    try:
        connection.result(ask(connection, operation, changes))
        return True, ""
    except ldap.SERVER_DOWN:
        raise
    except ldap.ALREADY_EXISTS:
        # Done by a run that was killed. What the entry got since then stays.
        return False, ""
    except ldap.LDAPError as error:
        return False, said(error)


def said(error: ldap.LDAPError) -> str:
    """What the directory says about a refusal."""
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {"desc": str(error)}
    return f"{details.get('desc', '')} {details.get('info', '')}".strip() or "no reason given"
