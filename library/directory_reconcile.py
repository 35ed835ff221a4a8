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

import collections
import gc
import json

from ansible.module_utils.basic import AnsibleModule

try:
    import ldap
except ImportError:
    ldap = None

# Additions under way at a time: enough that the directory has always one more; more of them do not make it faster.
WINDOW = 16
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


def modify(connection, operation, check):
    """Set what differs from an entry; whether something did."""
    dn, present = operation["dn"], entry_of(connection, operation["dn"])
    if present is None:
        raise ldap.NO_SUCH_OBJECT({"desc": "No such object"})
    wanted = encoded(operation["replace"])
    differing = {name: values for name, values in wanted.items() if set(values) != set(present.get(name, []))}
    if differing and not check:
        connection.modify_s(dn, [(ldap.MOD_REPLACE, name, values or None) for name, values in differing.items()])
    return bool(differing)


def outcome(connection, act, *arguments):
    """(whether something changed, why the directory refused it or "")."""
    try:
        return act(connection, *arguments), ""
    except ldap.SERVER_DOWN:
        raise
    except ldap.LDAPError as error:
        details = error.args[0] if error.args and isinstance(error.args[0], dict) else {"desc": str(error)}
        return False, f"{details.get('desc', '')} {details.get('info', '')}".strip() or "no reason given"


def absent(connection, operation):
    """Whether there is no such entry yet."""
    return entry_of(connection, operation["dn"]) is None


def added(connection, message):
    """Whether the addition that this message asked for made the entry."""
    try:
        connection.result(message)
    except ldap.ALREADY_EXISTS:
        # Done by a run that was killed. What the entry got since then stays.
        return False
    return True


def carry_out(connection, stage, check):
    """Do the operations of a stage; (operation, whether it changed something, refusal or "") of each.

    Modifications keep their order, since one may need what another gives up. Additions do not depend on one another (a plan gives
    no code and no address twice): some of them are under way at a time, so that the directory never waits for the next one.
    """
    under_way = collections.deque()
    for operation in stage:
        if operation["verb"] == "modify":
            yield (operation, *outcome(connection, modify, operation, check))
        elif check:
            yield (operation, *outcome(connection, absent, operation))
        else:
            if len(under_way) == WINDOW:
                earlier, message = under_way.popleft()
                yield (earlier, *outcome(connection, added, message))
            under_way.append((operation, connection.add(operation["dn"], list(encoded(operation["attributes"]).items()))))
    for operation, message in under_way:
        yield (operation, *outcome(connection, added, message))


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
