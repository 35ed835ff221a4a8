#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a systemd service that runs on its present configuration."""

DOCUMENTATION = r"""
module: configured_service
short_description: A systemd service that runs on its present configuration
description:
  - Handlers are lost when a run is killed between the change of a file and the reload; the next run sees no change and the
    service goes on with its old configuration. This module keeps a stamp instead, the hash of the configuration that the
    service was last loaded with, under /var/lib/congvu-mail/stamps. Stamp and files differ, so the service is validated and
    loaded anew, whoever made the difference and whenever.
  - Nothing is reloaded when a validation fails; the service goes on as it is and the task fails with the validator's words.
  - The unit is unmasked, enabled and started too; a unit file or drop-in that changed is reloaded by the manager first.
options:
  unit:
    description: Name of the unit, with or without C(.service).
    type: str
    required: true
  restart_on:
    description: >-
      Files, directories (all files below) or globs whose change needs a restart. The unit's own files and drop-ins always do.
    type: list
    elements: path
    default: []
  reload_on:
    description: Files, directories or globs for which C(systemctl reload) is enough.
    type: list
    elements: path
    default: []
  validate:
    description: Commands (argv lists) that must succeed before the service is loaded; run only when it is to be loaded.
    type: list
    elements: list
    default: []
  ready:
    description: >-
      Commands (argv lists) that succeed as soon as the service answers. After a (re)start or reload each is repeated until then; a
      service that runs on its configuration and yet does not answer is restarted.
    type: list
    elements: list
    default: []
  timeout:
    description: Seconds to wait for C(ready).
    type: int
    default: 60
  enabled:
    description: Whether the unit starts at boot.
    type: bool
    default: true
  stamp:
    description: Name of the stamp; needed only when two tasks look after the same unit.
    type: str
  pending:
    description: >-
      True when an earlier task changed the configuration, or in check mode would. The files may then be as they were when the service
      was loaded (a change by hand was undone); the service is reloaded all the same, since it may have read what was undone.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Run unbound on its configuration
  configured_service:
    unit: unbound
    restart_on: [/etc/unbound]
    validate: [[unbound-checkconf]]
    ready: [[unbound-host, -f, /etc/unbound/unbound.conf, localhost]]
"""

RETURN = r"""
actions:
  description: What was done, in order (unmask, enable, daemon-reload, start, reload, restart).
  type: list
  returned: always
"""

import glob
import hashlib
import os
import time

from ansible.module_utils.basic import AnsibleModule

STAMPS = "/var/lib/congvu-mail/stamps"


def files_of(paths):
    """All regular files that the paths (file, directory, glob) name, sorted."""
    found = set()
    for path in paths:
        for match in glob.glob(path, recursive=True):
            if os.path.isdir(match):
                for folder, _dirs, names in os.walk(match):
                    found.update(os.path.join(folder, name) for name in names)
            else:
                found.add(match)
    return sorted(f for f in found if os.path.isfile(f))


def fingerprint(paths):
    """SHA-256 over name, owner, mode and content of every file."""
    digest = hashlib.sha256()
    for name in files_of(paths):
        info = os.stat(name)
        digest.update(f"{name}\0{info.st_uid}:{info.st_gid}:{info.st_mode:o}\0".encode())
        with open(name, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def show(module, unit):
    """What systemd knows of the unit."""
    wanted = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,DropInPaths,Type,RemainAfterExit,ConditionResult"
    _rc, out, _err = module.run_command(["systemctl", "show", "--property", wanted, unit], check_rc=True)
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "restart_on": {"type": "list", "elements": "path", "default": []},
            "reload_on": {"type": "list", "elements": "path", "default": []},
            "validate": {"type": "list", "elements": "list", "default": []},
            "ready": {"type": "list", "elements": "list", "default": []},
            "timeout": {"type": "int", "default": 60},
            "enabled": {"type": "bool", "default": True},
            "stamp": {"type": "str"},
            "pending": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    p = module.params
    unit = p["unit"] if "." in p["unit"] else p["unit"] + ".service"
    stamp = os.path.join(STAMPS, p["stamp"] or unit)
    state = show(module, unit)
    if state.get("LoadState") == "not-found":
        if module.check_mode:  # the package is not installed yet: a first run would do all of it
            module.exit_json(changed=True, actions=["enable", "start"])
        module.fail_json(msg=f"{unit} is not known to systemd: its package is missing or the name is wrong")

    actions = []

    def systemctl(verb, *names):
        actions.append(verb)
        if not module.check_mode:
            module.run_command(["systemctl", verb, *names], check_rc=True)

    if state.get("LoadState") == "masked":
        systemctl("unmask", unit)
        if not module.check_mode:
            state = show(module, unit)
    if state.get("NeedDaemonReload") == "yes":
        systemctl("daemon-reload")
        if not module.check_mode:
            state = show(module, unit)
    # A generated, static or indirect unit has nothing to enable.
    enabled = state.get("UnitFileState")
    if p["enabled"] and enabled in ("disabled", "masked"):
        systemctl("enable", unit)
    elif not p["enabled"] and enabled == "enabled":
        systemctl("disable", unit)

    unit_files = [state.get("FragmentPath", ""), *state.get("DropInPaths", "").split()]
    now = f"{fingerprint([*p['restart_on'], *filter(None, unit_files)])} {fingerprint(p['reload_on'])}"
    try:
        with open(stamp, encoding="ascii") as file:
            before = file.read().strip()
    except FileNotFoundError:
        before = ""
    active = state.get("ActiveState") in ("active", "reloading", "activating")
    # A oneshot without RemainAfterExit is never "active"; it runs when its configuration changed.
    oneshot = state.get("Type") == "oneshot" and state.get("RemainAfterExit") == "no"
    verb = None
    if before != now:
        reload_only = active and before and before.split()[0] == now.split()[0]
        verb = "reload" if reload_only else "restart"
    elif not active and not oneshot:
        verb = "start"
    elif p["pending"]:
        verb = "reload-or-restart"
    elif any(module.run_command(command)[0] for command in p["ready"]):
        verb = "restart"

    if verb:
        if not module.check_mode:
            for command in p["validate"]:
                rc, out, err = module.run_command(command)
                if rc:
                    module.fail_json(
                        msg=f"the new configuration of {unit} is not valid, so it was not loaded and the service goes on as it was: "
                        f"{' '.join(command)} said: {(err + out).strip()}"
                    )
            # A package that starts its service before it is configured may have used up the starts that systemd allows.
            if verb != "reload":
                module.run_command(["systemctl", "reset-failed", unit])
        actions.append(verb)
        if not module.check_mode:
            rc, out, err = module.run_command(["systemctl", verb, unit])
            if rc:
                _rc, log, _err = module.run_command(["journalctl", "--unit", unit, "--lines", "15", "--no-pager", "--output", "cat"])
                module.fail_json(msg=f"systemctl {verb} {unit} failed: {(err + out).strip()}", log=log.splitlines())
            after = show(module, unit)
            if after.get("ConditionResult") == "no":
                module.fail_json(msg=f"systemd skipped {unit}: a condition of the unit is not met (systemctl status {unit} names it)")
            wait_ready(module, unit, p["ready"], p["timeout"])
            os.makedirs(STAMPS, mode=0o755, exist_ok=True)
            with open(stamp + ".new", "w", encoding="ascii") as file:
                file.write(now + "\n")
            os.replace(stamp + ".new", stamp)
    module.exit_json(changed=bool(actions), actions=actions)


def wait_ready(module, unit, commands, timeout):
    """Repeat each command until it succeeds, at most timeout seconds in all."""
    deadline = time.monotonic() + timeout
    for command in commands:
        while True:
            rc, out, err = module.run_command(command)
            if rc == 0:
                break
            if time.monotonic() > deadline:
                _rc, log, _err = module.run_command(["journalctl", "--unit", unit, "--lines", "15", "--no-pager", "--output", "cat"])
                module.fail_json(
                    msg=f"{unit} was loaded but does not answer within {timeout} s: {' '.join(command)} says: {(err + out).strip()}",
                    log=log.splitlines(),
                )
            time.sleep(0.2)


if __name__ == "__main__":
    main()
