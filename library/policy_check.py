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
    description: Values of the deployment that must not be empty, by the name of their variable.
    type: dict
    default: {}
  groups:
    description: Hosts of each group that must have one, by the name of the group.
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

import os  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from congvu_mail.policy import NO_TEXTS, check_policy
except ImportError:
    check_policy = None


def deployment_problems(settings: dict, groups: dict) -> list[str]:
    """What the deployment lacks."""
    problems = [
        f"deployment.yml: {name}: chưa có giá trị. Cách sửa: đặt biến này trong deployment.yml của tỉnh."
        for name, value in settings.items()
        if value in (None, "", [], {})
    ]
    problems += [
        f"hosts.yml: {name}: nhóm không có máy nào. Cách sửa: thêm ít nhất một máy vào nhóm này trong hosts.yml."
        for name, hosts in groups.items()
        if not hosts
    ]
    return problems


def main() -> None:
    """Check, then fail with everything at once."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "texts": {"type": "str", "default": ""},
            "settings": {"type": "dict", "default": {}},
            "groups": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if check_policy is None:
        module.fail_json(msg=missing_required_lib("congvu_mail", reason="on the controller (bin/setup installs it in .venv)"))
    texts = module.params["texts"]
    if not texts:
        module.warn(NO_TEXTS)
    file = module.params["file"]
    below = os.path.relpath(file)
    file = file if below.startswith("..") else below
    problems = [str(problem) for problem in check_policy(file, texts or None)]
    problems += deployment_problems(module.params["settings"], module.params["groups"])
    if problems:
        listed = "\n".join(problems)
        module.fail_json(msg=f"Chính sách có {len(problems)} chỗ sai, chưa máy nào được động đến:\n{listed}")
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
