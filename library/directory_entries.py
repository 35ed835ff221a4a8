#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a few fixed entries of the local directory, with passwords."""

DOCUMENTATION = r"""
module: directory_entries
short_description: A few fixed entries of the local directory, with passwords
description:
  - Makes entries of the directory server on this host exist with exactly the given attributes, over ldapi as root.
  - A password is compared with the stored hash; a new hash is written only when it does not fit. It never appears in the result.
  - For the thousands of mailboxes see M(directory_reconcile).
options:
  entries:
    description: Entries, parents before children.
    type: list
    elements: dict
    required: true
    suboptions:
      dn:
        description: Distinguished name.
        type: str
        required: true
      attributes:
        description: Name to list of values (text). User attributes that are not named are removed, except C(userPassword).
        type: dict
        required: true
      password:
        description: Password in clear; stored as a salted SHA-512 hash.
        type: str
  prune:
    description: DNs below which a direct child that is not in C(entries) is deleted.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make a service account
  directory_entries:
    entries:
      - dn: cn=postfix,ou=services,dc=example,dc=vn
        attributes: {objectClass: [organizationalRole, simpleSecurityObject], cn: [postfix]}
        password: "{{ vault_ldap_passwords.postfix }}"
    prune: ["ou=services,dc=example,dc=vn"]
"""

RETURN = r"""
changes:
  description: What was (or would be) done, one line an entry.
  type: list
  returned: always
"""

import base64
import hashlib
import os

from ansible.module_utils.basic import AnsibleModule

try:
    import ldap
    import ldap.dn
except ImportError:
    ldap = None

SCHEME = "{SSHA512}"


def hashed(password):
    """A salted SHA-512 hash as slapd's pw-sha2 reads it."""
    salt = os.urandom(16)
    return SCHEME.encode() + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt)


def fits(password, values):
    """Whether the only stored value is our kind of hash of this password."""
    if len(values) != 1 or not values[0].startswith(SCHEME.encode()):
        return False
    raw = base64.b64decode(values[0][len(SCHEME) :])
    return hashlib.sha512(password.encode() + raw[64:]).digest() == raw[:64]


def normal(dn):
    """A DN in a form that can be compared."""
    return ldap.dn.dn2str(ldap.dn.str2dn(dn.lower()))


def read(connection, base, scope):
    """Entries of a search as {dn: {attribute: set of values}}; none when the base does not exist."""
    try:
        found = connection.search_s(base, scope, "(objectClass=*)", ["*", "pwdPolicySubentry"])
    except ldap.NO_SUCH_OBJECT:
        return {}
    return {dn: {name: set(values) for name, values in entry.items()} for dn, entry in found}


def text(dn, attributes):
    """An entry as LDIF for the diff; passwords are never shown."""
    lines = [f"dn: {dn}"]
    for name in sorted(attributes, key=str.lower):
        for value in sorted(attributes[name]):
            lines.append(f"{name}: (hash)" if name == "userPassword" else f"{name}: {value.decode(errors='replace')}")
    return "\n".join(lines) + "\n"


def plan(connection, entries, prune):
    """What must be done: [(verb, dn, present, wanted)]."""
    steps = []
    for entry in entries:
        wanted = {name: {str(value).encode() for value in values} for name, values in entry["attributes"].items()}
        present = next(iter(read(connection, entry["dn"], ldap.SCOPE_BASE).values()), None)
        stored = (present or {}).get("userPassword", set())
        if entry["password"] and not fits(entry["password"], list(stored)):
            wanted["userPassword"] = {hashed(entry["password"])}
        elif stored:
            wanted["userPassword"] = stored
        if present is None:
            steps.append(("add", entry["dn"], {}, wanted))
        elif present != wanted:
            steps.append(("modify", entry["dn"], present, wanted))
    listed = {normal(entry["dn"]) for entry in entries}
    for base in prune:
        for dn, present in read(connection, base, ldap.SCOPE_ONELEVEL).items():
            if normal(dn) not in listed:
                steps.append(("delete", dn, present, {}))
    return steps


def apply(connection, steps):
    """Do the steps."""
    for verb, dn, present, wanted in steps:
        if verb == "add":
            connection.add_s(dn, [(name, list(values)) for name, values in wanted.items()])
        elif verb == "delete":
            connection.delete_s(dn)
        else:
            names = sorted({*present, *wanted}, key=str.lower)
            connection.modify_s(
                dn,
                [(ldap.MOD_REPLACE, name, list(wanted.get(name, ())) or None) for name in names if present.get(name) != wanted.get(name)],
            )


def main():
    module = AnsibleModule(
        argument_spec={
            "entries": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "dn": {"type": "str", "required": True},
                    "attributes": {"type": "dict", "required": True},
                    "password": {"type": "str", "no_log": True},
                },
            },
            "prune": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    entries = module.params["entries"]
    missing = "python3-ldap is not installed"
    if ldap is not None:
        connection = ldap.initialize("ldapi:///")
        try:
            connection.sasl_external_bind_s()
            missing = ""
        except ldap.SERVER_DOWN:
            missing = "the directory server of this host does not answer on ldapi:///; look with: systemctl status slapd"
    if missing:
        if module.check_mode:  # a first run would make all of them
            module.exit_json(changed=True, changes=[f"add {entry['dn']}" for entry in entries])
        module.fail_json(msg=missing)
    try:
        steps = plan(connection, entries, module.params["prune"])
        if not module.check_mode:
            apply(connection, steps)
    except ldap.LDAPError as error:
        details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        module.fail_json(msg=f"the directory refused an entry: {details.get('desc', error)} {details.get('info', '')}".strip())
    diff = [
        {
            "before_header": dn,
            "after_header": dn,
            "before": text(dn, present) if present else "",
            "after": text(dn, wanted) if wanted else "",
        }
        for _verb, dn, present, wanted in steps
    ]
    module.exit_json(changed=bool(steps), changes=[f"{verb} {dn}" for verb, dn, *_ in steps], diff=diff)


if __name__ == "__main__":
    main()
