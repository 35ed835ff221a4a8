#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the mailboxes and the ledger of the local directory, packed."""

DOCUMENTATION = r"""
module: directory_export
short_description: The mailboxes and the ledger of the local directory, packed
description:
  - Reads C(ou=mailboxes) and C(ou=ledger) of the directory server on this host over ldapi as root, without passwords. Changes nothing.
  - They are returned as C({"mailboxes": [[dn, {attribute: [values]}], ...], "ledger": [...]}) in JSON, compressed (zlib) and base64, since
    a province has tens of thousands; C(congvu_mail.directory.Directory.load) unpacks them.
options:
  suffix:
    description: Suffix of the directory.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Read the directory
  directory_export:
    suffix: dc=example,dc=gov,dc=vn
"""

RETURN = r"""
content:
  description: The entries, packed.
  type: str
  returned: success
mailboxes:
  description: Number of mailbox entries.
  type: int
  returned: success
"""

import base64
import gc
import json
import zlib

from ansible.module_utils.basic import AnsibleModule

try:
    import ldap
except ImportError:
    ldap = None


def read(connection, base):
    """The entries below a base as [[dn, {attribute: [texts]}]]."""
    found = connection.search_ext_s(base, ldap.SCOPE_ONELEVEL, "(objectClass=*)", ["*", "pwdPolicySubentry", "pwdReset"])
    return [
        [dn, {name: [value.decode() for value in values] for name, values in entry.items() if name != "userPassword"}]
        for dn, entry in found
    ]


def main():
    module = AnsibleModule(argument_spec={"suffix": {"type": "str", "required": True}}, supports_check_mode=True)
    suffix = module.params["suffix"]
    gc.disable()  # millions of objects live until the end and form no cycles: to look for some takes half of the time
    if ldap is None:
        module.fail_json(msg="python3-ldap is not installed on the directory host: run playbooks/site.yml first")
    try:
        connection = ldap.initialize("ldapi:///")
        connection.sasl_external_bind_s()
        content = {"mailboxes": read(connection, f"ou=mailboxes,{suffix}"), "ledger": read(connection, f"ou=ledger,{suffix}")}
    except ldap.LDAPError as error:
        module.fail_json(msg=f"the directory {suffix} cannot be read over ldapi:/// ({error}); has playbooks/site.yml been run?")
    packed = base64.b64encode(zlib.compress(json.dumps(content, ensure_ascii=False).encode())).decode()
    module.exit_json(changed=False, mailboxes=len(content["mailboxes"]), content=packed)


if __name__ == "__main__":
    main()
