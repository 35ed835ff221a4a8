#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: everything that is wrong with a province's policy, in one failure."""

DOCUMENTATION = r"""
module: policy_check
short_description: Check a province's policy file
description:
  - Checks a policy.yml against the schema of C(congvu_mail.policy_schema) and against the regulation's own figures.
  - Fails once, with every problem as file, line, key, value, cause and remedy (Vietnamese).
  - Runs on the controller, in the Python that has C(congvu_mail) installed; changes nothing.
options:
  file:
    description: The policy file, whose only key is C(mail_policy).
    type: path
    required: true
  texts:
    description: Folder of the regulations' texts, to compare the quotes with. Empty means that they are not, with a warning.
    type: str
    default: ""
  settings:
    description: The deployment's values by the name of their variable (C(congvu_mail.deployment.SETTINGS) names those it must have).
    type: dict
    default: {}
  secrets:
    description: Names of the secrets that are there, C(vault_x) or C(vault_x.key); never their values.
    type: list
    elements: str
    default: []
  weak:
    description: What the passwords of administrators lack of their rule, by the name of the secret; an empty text is nothing.
    type: dict
    default: {}
  groups:
    description: >-
      Hosts of each group that must have one, by the name of the group. Empty: the deployment (settings, secrets, groups) is not
      checked.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: The same in check mode.
"""

EXAMPLES = r"""
- name: Check the policy
  policy_check:
    file: inventories/example/group_vars/all/policy.yml
    texts: "{{ lookup('ansible.builtin.env', 'REGULATION_TEXTS') }}"
  delegate_to: localhost
  run_once: true
"""

import os
import pathlib

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from congvu_mail.deployment import check_deployment
    from congvu_mail.policy import NO_TEXTS, check_policy, find, load_policy
except ImportError:
    check_policy = None


def no_inventory(file: pathlib.Path) -> str:
    """Why there is no policy: most often the name of the province."""
    beside = file.parents[2]
    known = ", ".join(sorted(str(path.parents[2]) for path in beside.parent.glob("*/group_vars/all/policy.yml")))
    return f"Không có {file}, chưa máy nào được động đến. Cách sửa: chọn đúng thư mục của tỉnh sau -i" + (
        f"; đang có: {known}." if known else ", trong đó phải có hosts.yml và group_vars/all/policy.yml."
    )


def main() -> None:
    """Check, then fail with everything at once."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "texts": {"type": "str", "default": ""},
            "settings": {"type": "dict", "default": {}},
            # Names only, no values.
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "groups": {"type": "dict", "default": {}},
            "weak": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if check_policy is None:
        module.fail_json(msg=missing_required_lib("congvu_mail", reason="on the controller (bin/setup installs it in .venv)"))
    texts = module.params["texts"]
    if not texts:
        module.warn(NO_TEXTS)
    below = os.path.relpath(module.params["file"])
    file = pathlib.Path(module.params["file"] if below.startswith("..") else below)
    if not file.exists():
        module.fail_json(msg=no_inventory(file))
    problems = [str(problem) for problem in check_policy(str(file), texts or None)]
    if module.params["groups"]:
        policy = load_policy(file).data
        applications = find(policy, "single_sign_on.ldap_applications.value")
        applications = applications if isinstance(applications, list) else []
        given = (module.params[name] for name in ("settings", "secrets", "groups"))
        provincial = find(policy, "single_sign_on.provincial.value") is True
        problems += check_deployment(file.parent, *given, applications, module.params["weak"], provincial)
    if problems:
        listed = "\n".join(problems)
        module.fail_json(msg=f"Chính sách và cấu hình có {len(problems)} chỗ sai, chưa máy nào được động đến:\n{listed}")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
