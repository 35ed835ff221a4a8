# SPDX-License-Identifier: Apache-2.0
"""Filter: the fixed entries of the directory: containers, password rules, service accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: directory_base_entries
short_description: The fixed entries of the directory, for the module directory_entries
description:
  - Shapes suffix, containers, password rules and service accounts into a list of {dn, attributes, password}, parents first.
  - A password rule becomes a ppolicy entry (slapo-ppolicy(5)); what it says of characters goes to the check module ppm, where every listed
    class must occur at least once.
  - pwdMaxAge stays 0. With it slapd would refuse the login itself once the password is too old, and with the login the change of the
    password; the age is kept in congvuPasswordMaxAge, and whoever keeps the clock sets pwdReset from it.
positional: organization, policies, accounts
options:
  _input:
    description: Suffix of the directory, beginning with C(dc=).
    type: str
    required: true
  organization:
    description: Value of C(o) in the suffix's entry.
    type: str
    required: true
  policies:
    description: Password rules, see C(openldap_password_policies).
    type: list
    elements: dict
    required: true
  accounts:
    description: Service accounts, see C(openldap_service_accounts).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
entries: "{{ 'dc=example,dc=vn' | directory_base_entries('Example', openldap_password_policies, openldap_service_accounts) }}"
"""

RETURN = r"""
_value:
  description: List of {dn, attributes, password}; password only for service accounts.
  type: list
"""

CONTAINERS = ("mailboxes", "ledger", "services", "policies")
# ASCII only: a letter with a mark counts for the length, not for a class.
CLASSES = {
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "digit": "0123456789",
    "special": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
}


def password_policy(policy: Mapping[str, Any]) -> dict[str, list[str]]:
    """Attributes of the ppolicy entry of one rule; ValueError names what cannot be used."""
    name = policy["name"]
    wanted = policy.get("classes") or []
    unknown = [item for item in wanted if item not in CLASSES]
    if unknown:
        raise ValueError(f"password policy {name}: there is no class {', '.join(unknown)}; there are {', '.join(CLASSES)}")
    specials = str(policy.get("specials") or CLASSES["special"])
    strange = sorted(c for c in specials if c not in CLASSES["special"])
    if strange:
        raise ValueError(f"password policy {name}: {''.join(strange)!r} in specials is no punctuation of ASCII")
    failures = int(policy.get("max_failures") or 0)
    check = [
        f"minQuality {len(wanted)}",
        "checkRDN 0",  # the RDN is a UUID
        "checkAttributes " + ("mail,congvuForbiddenInPassword" if policy.get("forbid_personal_data") else ""),
        "forbiddenChars ",
        "maxConsecutivePerClass 0",
        "useCracklib 0",
        *(f"class-{item} {specials if item == 'special' else CLASSES[item]} 1 1 0" for item in wanted),
    ]
    return {
        "objectClass": ["namedObject", "pwdPolicy", "pwdPolicyChecker", "congvuPasswordPolicy"],
        "cn": [str(name)],
        "pwdAttribute": ["userPassword"],
        "pwdMinLength": [str(int(policy.get("min_length") or 0))],
        "pwdCheckQuality": ["2"],  # what cannot be checked, because it comes hashed, is refused
        "pwdUseCheckModule": ["TRUE"],
        "pwdCheckModuleArg": ["\n".join(check) + "\n"],
        "pwdInHistory": [str(int(policy.get("history") or 0))],
        "pwdMustChange": ["TRUE"],
        "pwdAllowUserChange": ["TRUE"],
        "pwdSafeModify": ["TRUE"],
        "pwdLockout": ["TRUE" if failures else "FALSE"],
        "pwdMaxFailure": [str(failures)],
        "pwdLockoutDuration": ["0"],  # until somebody who may unlocks it
        "pwdMaxAge": ["0"],
        "congvuPasswordMaxAge": [str(int(policy.get("max_age_seconds") or 0))],
    }


def directory_base_entries(
    suffix: str, organization: str, policies: Sequence[Mapping[str, Any]], accounts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All fixed entries, parents first."""

    def entry(rdn: str, attributes: dict[str, list[str]], **more: str) -> dict[str, Any]:
        return {"dn": f"{rdn}{suffix}", "attributes": attributes, **more}

    top = {"objectClass": ["organization", "dcObject"], "o": [organization], "dc": [suffix.split(",")[0].removeprefix("dc=")]}
    # Service accounts have a rule of their own: nobody may lock the mail system out with wrong passwords.
    service = {
        "objectClass": ["namedObject", "pwdPolicy"],
        "cn": ["service"],
        "pwdAttribute": ["userPassword"],
        "pwdAllowUserChange": ["FALSE"],
    }
    return [
        entry("", top),
        *(entry(f"ou={name},", {"objectClass": ["organizationalUnit"], "ou": [name]}) for name in CONTAINERS),
        *(entry(f"cn={policy['name']},ou=policies,", password_policy(policy)) for policy in policies),
        entry("cn=service,ou=policies,", service),
        *(
            entry(
                f"cn={account['name']},ou=services,",
                {
                    "objectClass": ["organizationalRole", "simpleSecurityObject"],
                    "cn": [str(account["name"])],
                    "pwdPolicySubentry": [f"cn=service,ou=policies,{suffix}"],
                },
                password=str(account["password"]),
            )
            for account in accounts
        ),
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name of the filter to its function."""
        return {"directory_base_entries": directory_base_entries}
