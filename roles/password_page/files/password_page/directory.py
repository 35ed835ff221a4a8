# SPDX-License-Identifier: Apache-2.0
"""The directory as the page needs it: find a mailbox by its address, change its password with the old one."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

import ldap
import ldap.controls
import ldap.dn
import ldap.filter
from ldap.controls.ppolicy import PasswordPolicyControl
from rules import REFUSALS

# Errors of draft-behera-ldap-password-policy, section 6.2.
QUALITY = 5
WORDS = {0: "expired", 1: "locked", 5: "quality", 6: "short", 7: "young", 8: "history"}


class Refused(Exception):
    """The directory says no; `reason` is wrong, locked, expired, short, quality, personal, hashed, young, history or other."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Unavailable(Exception):
    """No directory server answers, or the page's own account does not work there."""


@dataclasses.dataclass(frozen=True)
class Mailbox:
    """What the page knows of a mailbox: `state` active, suspended or terminated; `login` whether it has a password of its own; `policy`
    the name of its password rule."""

    dn: str
    state: str
    login: bool
    policy: str


class Directory:
    """Servers are tried in order; every connection is verified TLS."""

    def __init__(self, settings: Mapping[str, Any]):
        self._settings = settings

    def _connect(self, uris: str = "ldap_uris") -> ldap.ldapobject.LDAPObject:
        for uri in self._settings[uris]:
            connection = ldap.initialize(uri)
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, 5)
            connection.set_option(ldap.OPT_TIMEOUT, 15)
            connection.set_option(ldap.OPT_REFERRALS, 0)
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self._settings["ca"])
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
            try:
                if uri.startswith("ldap:"):
                    connection.start_tls_s()
                connection.simple_bind_s(self._settings["bind_dn"], self._settings["bind_password"])
            except ldap.LDAPError as error:
                last = f"{uri}: {describe(error)}"
                continue
            return connection
        raise Unavailable(last)

    def find(self, address: str) -> Mailbox | None:
        """The mailbox that has the address (any of its addresses), None when there is none."""
        connection = self._connect()
        try:
            found = connection.search_s(
                self._settings["base"],
                ldap.SCOPE_ONELEVEL,
                ldap.filter.filter_format("(&(objectClass=congvuMailbox)(mailLocalAddress=%s))", [address]),
                ["congvuState", "congvuLogin", "pwdPolicySubentry"],
            )
        except ldap.LDAPError as error:
            raise Unavailable(describe(error)) from None
        finally:
            connection.unbind_s()
        if len(found) != 1:
            return None
        dn, raw = found[0]
        value = {name: values[0].decode() for name, values in raw.items()}
        policy = value.get("pwdPolicySubentry")
        return Mailbox(
            dn,
            value.get("congvuState", ""),
            value.get("congvuLogin") == "TRUE",
            ldap.dn.str2dn(policy)[0][0][1] if policy else "",
        )

    def change(self, dn: str, old: str, new: str, check: Callable[[], None]) -> None:
        """Prove the old password, call `check`, set the new password (RFC 3062) as the mailbox itself; Refused says why not."""
        connection = self._connect()
        try:
            connection.simple_bind_s(dn, old, serverctrls=[PasswordPolicyControl()])
            check()
            connection.passwd_s(dn, old, new, serverctrls=[PasswordPolicyControl()])
        except (ldap.SERVER_DOWN, ldap.TIMEOUT, ldap.BUSY, ldap.UNAVAILABLE, ldap.OTHER) as error:
            raise Unavailable(describe(error)) from None
        except ldap.LDAPError as error:
            raise Refused(reason(error)) from None
        finally:
            connection.unbind_s()

    def proves_suspended(self, dn: str, password: str) -> bool:
        """Whether the password is that of a suspended mailbox; the directory tells on an endpoint of its own."""
        if not self._settings["suspended_ldap_uris"]:
            return False
        connection = self._connect("suspended_ldap_uris")
        try:
            connection.simple_bind_s(dn, password)
        except (ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH):
            return False
        except ldap.LDAPError as error:
            raise Unavailable(describe(error)) from None
        finally:
            connection.unbind_s()
        return True

    def pledge(self, dn: str, password: str) -> None:
        """Note in the mailbox's entry, as the mailbox itself, that its owner pledged now (congvuPledged)."""
        connection = self._connect()
        try:
            connection.simple_bind_s(dn, password)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d%H%M%SZ")
            connection.modify_s(dn, [(ldap.MOD_REPLACE, "congvuPledged", [now.encode()])])
        except ldap.LDAPError as error:
            raise Unavailable(describe(error)) from None
        finally:
            connection.unbind_s()


def describe(error: ldap.LDAPError) -> str:
    """The error's name and what the server says, without values."""
    detail = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return f"{type(error).__name__} {detail.get('info', '')}".strip()


def reason(error: ldap.LDAPError) -> str:
    """One word for a refusal: that of the password rule, by its sentence, else from slapd's own check (control, code, words of ppm)."""
    detail = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    if said := next((name for name, text in REFUSALS.items() if detail.get("info", "").startswith(text)), None):
        return said
    controls = ldap.controls.DecodeControlTuples(detail.get("ctrls") or [])
    code = next((c.error for c in controls if isinstance(c, PasswordPolicyControl)), None)
    if code == QUALITY and re.search("attribute|RDN", detail.get("info", "")):
        return "personal"
    if code in WORDS:
        return WORDS[code]
    return "wrong" if isinstance(error, ldap.INVALID_CREDENTIALS | ldap.INAPPROPRIATE_AUTH) else "other"
