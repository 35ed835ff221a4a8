# SPDX-License-Identifier: Apache-2.0
"""The directory, for the programs beside this file that run on a host of Postfix."""

import contextlib
import threading

import ldap

TIMEOUT = 5  # seconds


class Directory:
    """Asked over one connection, by one thread at a time. `config`: {uris, base, dn, password}; the CA is LDAPTLS_CACERT."""

    def __init__(self, config):
        self.config, self.connection, self.lock = config, None, threading.Lock()

    def mailboxes(self, chosen, attributes):
        """{attribute: [values]} of each mailbox that the filter chooses. ldap.LDAPError when the directory does not answer."""
        with self.lock:
            try:
                return self._search(chosen, attributes)
            except ldap.LDAPError:  # perhaps only the connection was: the server ends those that are long idle, and all when it restarts
                return self._search(chosen, attributes)

    def _search(self, chosen, attributes):
        try:
            found = self._connected().search_s(
                self.config["base"], ldap.SCOPE_ONELEVEL, f"(&(objectClass=congvuMailbox){chosen})", attributes
            )
        except ldap.LDAPError:
            connection, self.connection = self.connection, None
            with contextlib.suppress(ldap.LDAPError, AttributeError):
                connection.unbind_s()
            raise
        return [values for _dn, values in found]

    def _connected(self):
        if self.connection is None:
            connection = ldap.initialize(" ".join(self.config["uris"]))
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, TIMEOUT)
            connection.set_option(ldap.OPT_TIMEOUT, TIMEOUT)
            if self.config["uris"][0].startswith("ldap:"):
                connection.start_tls_s()
            connection.simple_bind_s(self.config["dn"], self.config["password"])
            self.connection = connection
        return self.connection
