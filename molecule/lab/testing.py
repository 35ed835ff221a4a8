# SPDX-License-Identifier: Apache-2.0
"""What the scenarios' tests share: run a module on a host, wait for a condition. On PYTHONPATH of every scenario."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

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
    done = subprocess.run(
        [*argv, *(["--check"] if check else [])], env=environment, capture_output=True, text=True, check=False
    )
    play = json.loads(done.stdout[done.stdout.index("{") :])
    return play["plays"][0]["tasks"][0]["hosts"][host]


def wait_until(condition: Callable[[], Any], timeout: float = 30, what: str = "the condition") -> Any:
    """Call until the result is true; that result. AssertionError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s"
        time.sleep(0.2)


def play(playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook against the scenario's hosts; returncode and stdout tell how it went."""
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg"}
    argv = ["ansible-playbook", "--inventory", INVENTORY, playbook, *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def said(result: subprocess.CompletedProcess[str]) -> str:
    """What a playbook printed, with its line breaks folded, so that a sentence can be looked for."""
    return " ".join((result.stdout + result.stderr).split())
