#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: carry out a plan of changes on the local directory in one pass."""

DOCUMENTATION = r"""
module: directory_reconcile
short_description: Carry out a plan of changes on the local directory in one pass
description:
  - Reads a file with LDAP operations (made by C(congvu_mail.directory)) in stages and carries them out over ldapi as root, in order, tens
    of thousands in one task.
  - An operation that is already done counts as unchanged, so a plan that was carried out half-way can be carried out again.
  - One that the directory refuses does not keep the others of its stage from being tried, but no later stage begins: no mailbox without its
    address in the ledger. All refusals are reported together.
  - Check mode compares every operation with the directory and tells what would be changed.
options:
  path:
    description: >-
      JSON list of stages, each a list of C({"verb": "add", "dn", "attributes": {name: [texts]}}) and
      C({"verb": "modify", "dn", "replace": {name: [texts]}}); an empty list of texts removes the attribute.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Carry out the plan
  directory_reconcile:
    path: /root/plan.json
"""

RETURN = r"""
done:
  description: Number of operations that changed (in check mode would change) the directory.
  type: int
  returned: always
unchanged:
  description: Number of operations that were done already.
  type: int
  returned: always
"""

import gc
import json

from ansible.module_utils.basic import AnsibleModule

try:
    import ldap
    import ldap.controls
    import ldap.extop
except ImportError:
    ldap = None

# Operations in a transaction (RFC 5805): one commit to disk for all of them, and a page of an index is written once for all that touch it.
# A login that notes its time waits for the commit, a second at most.
BATCH = 1000
START, SPECIFICATION, END = "1.3.6.1.1.21.1", "1.3.6.1.1.21.2", "1.3.6.1.1.21.3"
OPERATIONAL = ["*", "pwdPolicySubentry", "pwdReset"]


def encoded(attributes):
    """Texts as bytes."""
    return {name: [value.encode() for value in values] for name, values in attributes.items()}


def entry_of(connection, dn):
    """Attributes of an entry, None when there is none."""
    try:
        return connection.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", OPERATIONAL)[0][1]
    except ldap.NO_SUCH_OBJECT:
        return None


def differing(connection, operation):
    """What a modification has to change in an entry: {attribute: values}."""
    present = entry_of(connection, operation["dn"])
    if present is None:
        raise ldap.NO_SUCH_OBJECT({"desc": "No such object"})
    return {name: values for name, values in encoded(operation["replace"]).items() if set(values) != set(present.get(name, []))}


def ask(connection, operation, changes, controls=None):
    """Ask for an operation; the number of the message."""
    if operation["verb"] == "add":
        return connection.add_ext(operation["dn"], list(encoded(operation["attributes"]).items()), controls)
    changes = [(ldap.MOD_REPLACE, name, values or None) for name, values in changes.items()]
    return connection.modify_ext(operation["dn"], changes, controls)


def together(connection, batch):
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


def alone(connection, operation, changes):
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


def said(error):
    """What the directory says about a refusal."""
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {"desc": str(error)}
    return f"{details.get('desc', '')} {details.get('info', '')}".strip() or "no reason given"


def carry_out(connection, stage, check):
    """Do the operations of a stage in their order; (operation, whether it changed something, refusal or "") of each.

    A transaction that fails leaves nothing behind: its operations are then tried one by one, so that only what is refused is missing.
    """
    for start in range(0, len(stage), BATCH):
        batch = []
        for operation in stage[start : start + BATCH]:
            changes = {}
            if operation["verb"] == "modify":
                try:
                    changes = differing(connection, operation)
                except ldap.NO_SUCH_OBJECT as error:
                    yield operation, False, said(error)
                    continue
            if operation["verb"] == "modify" and not changes:
                yield operation, False, ""
            elif check:
                yield operation, operation["verb"] == "modify" or entry_of(connection, operation["dn"]) is None, ""
            else:
                batch.append((operation, changes))
        try:
            if batch:
                together(connection, batch)
            yield from ((operation, True, "") for operation, _ in batch)
        except ldap.SERVER_DOWN:
            raise
        except ldap.LDAPError:
            for operation, changes in batch:
                yield (operation, *alone(connection, operation, changes))


def main():
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    gc.disable()  # as in directory_export
    with open(module.params["path"], encoding="utf-8") as file:
        stages = json.load(file)
    total, done, unchanged, refused = sum(map(len, stages)), 0, 0, []
    try:
        connection = ldap.initialize("ldapi:///")
        connection.sasl_external_bind_s()
        for stage in stages:
            for operation, changed, refusal in [] if refused else carry_out(connection, stage, module.check_mode):
                if refusal:
                    refused.append(f"{operation['verb']} {operation['dn']}: {refusal}")
                else:
                    done, unchanged = done + changed, unchanged + (not changed)
    except ldap.SERVER_DOWN:
        module.fail_json(
            msg=f"the directory server stopped answering after {done} of {total} operations; start it and run again: "
            "what is done stays done, the rest is made up",
            done=done,
        )
    result = {"changed": bool(done), "done": done, "unchanged": unchanged}
    if refused:
        said = "\n".join([*refused[:20], *([f"... and {len(refused) - 20} more"] if len(refused) > 20 else [])])
        module.fail_json(
            msg=f"the directory refused {len(refused)} of {total} operations, {done} are done; correct the cause and run again:\n{said}",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
