# SPDX-License-Identifier: Apache-2.0
"""Judges new passwords for slapd: a change over LDAP is refused by the rule of the password page, with its words.

slapd's overlay sock (slapd-sock(5)) asks here before it does an extended operation or a modification, and goes on when it hears CONTINUE.
Only what a mailbox does to its own password is judged: the password modify operation (RFC 3062), and a modification that adds or replaces
userPassword. All else goes on to slapd, which has its own say in every case. Who does not come back with an answer here changes nothing.

Started by systemd on its socket: judge.py SETTINGS. SETTINGS is a JSON file {base, rules}: DN of the mailboxes, and the password rules
(rules.py), of which the first holds for entries that name none. Neither passwords nor requests ever reach the log.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import socket
import socketserver
import sys
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any

import ldap
import ldap.dn
import rules
from pyasn1.codec.ber import decoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import namedtype, tag, univ

PASSWORD_MODIFY = "1.3.6.1.4.1.4203.1.11.1"
CONSTRAINT_VIOLATION, BUSY = 19, 51  # RFC 4511, appendix A
# Each question keeps a thread of slapd (16) waiting, and needs another one for the look at the entry.
AT_ONCE = 6
SECONDS = 5


class PasswdModifyRequestValue(univ.Sequence):
    """RFC 3062, section 2."""

    componentType = namedtype.NamedTypes(
        *(
            namedtype.OptionalNamedType(name, univ.OctetString().subtype(implicitTag=tag.Tag(tag.tagClassContext, tag.tagFormatSimple, n)))
            for n, name in enumerate(("userIdentity", "oldPasswd", "newPasswd"))
        )
    )


def fields(lines: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and value of each line `name: value` or, in base64, `name:: value`."""
    for line in lines:
        name, _, value = line.partition(":")
        yield name, base64.b64decode(value[1:]) if value.startswith(":") else value.strip().encode()


def normal(dn: str) -> str:
    """A DN in one spelling."""
    return ldap.dn.dn2str(ldap.dn.str2dn(dn)).lower()


def new_passwords(lines: list[str]) -> tuple[str, list[bytes]]:
    """Whose password a request sets (a DN, empty: that of who asks), and to what; nothing when it sets none."""
    verb, given = lines[0], list(fields(lines[1:]))
    if verb == "EXTENDED":
        request = dict(given)
        if request.get("oid") != PASSWORD_MODIFY.encode() or "value" not in request:
            return "", []
        value, _rest = decoder.decode(base64.b64decode(request["value"]), asn1Spec=PasswdModifyRequestValue())
        who, new = value["userIdentity"], value["newPasswd"]
        return bytes(who).decode() if who.isValue else "", [bytes(new)] if new.isValue else []
    found, setting = [], False
    for name, value in given:
        if name in ("add", "replace", "delete", "increment"):
            setting = name in ("add", "replace") and value.lower() == b"userpassword"
        elif setting and name.lower() == "userpassword":
            found.append(value)
    return dict(given)["dn"].decode(), found


class Judge(socketserver.StreamRequestHandler):
    """One question of slapd."""

    timeout = SECONDS
    server: Server

    def handle(self) -> None:
        lines = []
        for line in self.rfile:
            if line == b"\n":
                break
            lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
        if not lines:
            return
        code, said = self.verdict(lines)
        self.wfile.write(f"RESULT\ncode:{code}\ninfo:{said}\n\n".encode() if code else b"CONTINUE\n")

    def verdict(self, lines: list[str]) -> tuple[int, str]:
        """Result code and text; (0, "") lets slapd go on."""
        who = next((line.partition(": ")[2] for line in lines if line.startswith("binddn: ")), "")
        if not who.lower().endswith("," + self.server.base):
            return 0, ""
        try:
            whose, passwords = new_passwords(lines)
            # Somebody else's password, or what is no request: slapd refuses that by itself.
            if not passwords or whose and normal(whose) != normal(who):
                return 0, ""
        except (PyAsn1Error, ValueError, ldap.DECODING_ERROR):
            return 0, ""
        if not self.server.free.acquire(blocking=False):
            return BUSY, rules.UNAVAILABLE
        try:
            rule, personal = self.server.look_up(who)
        except ldap.LDAPError as error:
            print(f"not judged, {who}: {type(error).__name__}", flush=True)
            return BUSY, rules.UNAVAILABLE
        finally:
            self.server.free.release()
        for password in passwords:
            text = unicodedata.normalize("NFC", password.decode("utf-8", "surrogateescape"))
            if said := rules.judge(rule, text, personal):
                print(f"refused, {who}", flush=True)
                return CONSTRAINT_VIOLATION, said
        return 0, ""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """On the socket that systemd hands over; tells systemd's watchdog as long as it takes questions."""

    daemon_threads = True

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__("", Judge, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=3)  # sd_listen_fds(3)
        self.base = settings["base"].lower()
        self.rules = settings["rules"]
        self.free = threading.BoundedSemaphore(AT_ONCE)
        self.notify("READY=1")

    @staticmethod
    def notify(message: str) -> None:
        """sd_notify(3)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(re.sub("^@", "\0", os.environ["NOTIFY_SOCKET"]))
            manager.send(message.encode())

    def service_actions(self) -> None:
        """Called by serve_forever between questions."""
        self.notify("WATCHDOG=1")

    def look_up(self, dn: str) -> tuple[dict[str, Any], list[str]]:
        """The rule of an entry, and the values of which no part may be in its password."""
        connection = ldap.initialize("ldapi:///")
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, SECONDS)
        connection.set_option(ldap.OPT_TIMEOUT, SECONDS)
        try:
            connection.sasl_non_interactive_bind_s("EXTERNAL")
            wanted = ["pwdPolicySubentry", "mail", "congvuForbiddenInPassword"]
            [(_dn, raw)] = connection.search_s(dn, ldap.SCOPE_BASE, "(objectClass=congvuMailbox)", wanted) or [("", {})]
        finally:
            connection.unbind_s()
        values = {name: [value.decode() for value in found] for name, found in raw.items()}
        policy = ldap.dn.str2dn(values["pwdPolicySubentry"][0])[0][0][1] if "pwdPolicySubentry" in values else ""
        rule = next((rule for rule in self.rules if rule["name"] == policy), self.rules[0])
        return rule, [*values.get("mail", []), *values.get("congvuForbiddenInPassword", [])]


if __name__ == "__main__":
    with Server(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))) as server:
        server.serve_forever()
