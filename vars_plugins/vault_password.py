# SPDX-License-Identifier: Apache-2.0
"""Vars plugin: one sentence that says what to do when an inventory's vault cannot be opened. Gives no variables.

Ansible's own message names neither the file nor the remedy. Plugins of the project run before the one that loads group_vars.
"""

from __future__ import annotations

import pathlib

from ansible.errors import AnsibleError
from ansible.plugins.vars import BaseVarsPlugin

DOCUMENTATION = r"""
name: vault_password
short_description: Say what to do when the vault cannot be opened
description:
  - Tries the password on group_vars/all/vault.yml of each inventory; fails with file, cause and remedy when it does not fit.
  - Gives no variables.
options: {}
"""
HEADER = b"$ANSIBLE_VAULT;"


class VarsModule(BaseVarsPlugin):
    """Ansible's entry point."""

    tried: set[pathlib.Path] = set()

    def get_vars(self, loader, path, entities, cache=True):
        """Nothing; AnsibleError when the vault beside the inventory does not open."""
        file = pathlib.Path(path, "group_vars", "all", "vault.yml")
        if file not in self.tried and file.is_file():
            with file.open("rb") as vault:
                sealed = vault.read(len(HEADER)) == HEADER
            if sealed:
                try:
                    loader.load_from_file(str(file))
                except AnsibleError:
                    given = "Mật khẩu két (vault) không đúng" if loader._vault.secrets else "Chưa có mật khẩu két (vault)"
                    raise AnsibleError(
                        f"{given}, không mở được {file}; chưa máy nào được động đến. Cách sửa: thêm --ask-vault-pass (hoặc "
                        "--vault-password-file TỆP) với mật khẩu đã dùng khi ansible-vault encrypt."
                    ) from None
            self.tried.add(file)
        return {}
