# SPDX-License-Identifier: Apache-2.0
"""What the scenarios' tests share: run a module on a host, wait for a condition. On PYTHONPATH of every scenario."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from mail import wait_until

__all__ = ["ROOT", "ansible", "play", "said", "wait_until"]

ROOT = os.environ["CONGVU_ROOT"]
INVENTORY = f"{ROOT}/build/molecule/{os.environ.get('MOLECULE_SCENARIO_NAME', '')}/hosts.yml"


def ansible(host: str, module: str, arguments: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Run an Ansible module on a host of the scenario; its result as a dictionary (with `failed` when it failed)."""
    argv = ["ansible", "--inventory", INVENTORY, host, "--module-name", module, "--args", json.dumps(arguments)]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
    }
    done = subprocess.run([*argv, *(["--check"] if check else [])], env=environment, capture_output=True, text=True, check=False)
    play = json.loads(done.stdout[done.stdout.index("{") :])
    return play["plays"][0]["tasks"][0]["hosts"][host]


def play(playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook against the scenario's hosts; returncode and stdout tell how it went."""
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg"}
    argv = ["ansible-playbook", "--inventory", INVENTORY, playbook, *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def said(result: subprocess.CompletedProcess[str]) -> str:
    """What a playbook printed, with its line breaks folded, so that a sentence can be looked for."""
    return " ".join((result.stdout + result.stderr).split())
