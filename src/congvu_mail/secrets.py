# SPDX-License-Identifier: Apache-2.0
"""Fresh secrets of a deployment, as the content of its ``vault.yml``.

``python -m congvu_mail.secrets [APPLICATION ...] > vault.yml`` writes them, also for the applications that let people log in with their
mail password (``single_sign_on.ldap_applications``, ``deployment_applications``); encrypt the file with ``ansible-vault encrypt`` before
it goes anywhere.
"""

from __future__ import annotations

import secrets
import string
import sys
from collections.abc import Iterable

import yaml

SERVICE_ACCOUNTS = ("postfix", "dovecot", "roundcube", "password-page", "notice")
ALPHABET = string.ascii_letters + string.digits


def password(length: int = 32) -> str:
    """A random word of letters and digits: safe in every configuration file without quoting."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def administrators_password() -> str:
    """One that a person types to administer: every kind of character, and of the special ones `@`, which every regulation counts."""
    while True:
        word = f"{password(16)}@{password(15)}"
        if all(set(word) & set(kind) for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)):
            return word


def generate(applications: Iterable[str] = ()) -> dict[str, object]:
    """All ``vault_*`` variables that ``playbooks/group_vars/all/wiring.yml`` uses."""
    return {
        "vault_ldap_passwords": {name: password() for name in (*SERVICE_ACCOUNTS, *applications)},
        "vault_valkey_password": password(),
        "vault_rspamd_password": administrators_password(),
        "vault_roundcube_des_key": password(32),
        "vault_roundcube_database_password": password(),
        "vault_backup_password": password(),
    }


def main() -> None:
    """Print a new vault.yml."""
    print("---\n# Secrets of this deployment. Encrypt this file: ansible-vault encrypt vault.yml")
    print(yaml.safe_dump(generate(sys.argv[1:]), sort_keys=False), end="")


if __name__ == "__main__":
    main()
