#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the folders and files of a role, all in one step."""

DOCUMENTATION = r"""
module: role_files
short_description: The folders and files of a role, all in one step
description:
  - One task with a template, copy or file for each item asks the host several times for each; this one renders all on the controller and
    asks the host once. Each entry is what C(ansible.builtin.template), C(copy) or C(file) would make of it.
  - A file is written beside its place, gets owner, group and mode, is validated, and only then takes the place of the old one, at once
    (C(rename)); whoever reads it sees the old or the new one, and no one a secret that has not its mode yet.
  - Entries are done in their order, so a folder stands before what lies in it. When one is refused, the ones before it stay written; the
    task fails, and C(configured_service) loads nothing before a later run succeeds.
  - In check mode it tells what would change; a validation is not run then, since what validates may not be installed yet.
options:
  entries:
    description: What there is to be.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path on the host.
        type: path
        required: true
      state:
        description: C(file), C(directory) (missing parents are made alike), or C(absent) (a file or link; never a folder).
        type: str
        choices: [file, directory, absent]
        default: file
      source:
        description: >-
          A template (its name ends in C(.j2)) below C(templates) or a file below C(files), or an absolute path on the controller. Without
          it and C(content) the template C(templates/PATH.j2), or when the role has none the file C(files/PATH). A folder below C(files)
          stands for all that is in it; C(mode) is then that of its files, folders get 0755.
        type: str
      content:
        description: The content itself, instead of C(source).
        type: str
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      mode:
        description: Octal, as a string; without it 0644 for a file, 0755 for a folder.
        type: str
      validate:
        description: Command that must succeed on the new file (C(%s) is its path; its name is the final one) before it replaces the old.
        type: str
      secret:
        description: The content and what a validation says of it are never shown. That it changes is.
        type: bool
        default: false
      unsafe_writes:
        description: Write into a file that cannot be replaced, such as C(/etc/hosts) that a container gets mounted.
        type: bool
        default: false
      data:
        description: Set by the action plugin, the content in base64; not for playbooks.
        type: str
"""

EXAMPLES = r"""
- name: Write the configuration
  role_files:
    entries:
      - {path: /etc/example, state: directory}
      - {path: /etc/example/example.conf, validate: example --check %s}
      - {path: /etc/example/password, content: "{{ example_password }}\n", mode: "0600", secret: true}
  register: __example_files

- name: Run it on its configuration
  configured_service:
    unit: example
    restart_on: [/etc/example]
    pending: "{{ __example_files is changed }}"
"""

RETURN = r"""
paths:
  description: Paths that were changed or in check mode would be, in order.
  type: list
  elements: str
  returned: always
"""

import base64
import contextlib
import errno
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

# Where a new file waits beside its place: on the same filesystem, so that a rename brings it there, and under its own name, since some
# validators go by the suffix. Whoever reads a whole folder (systemd, nginx, apt ...) passes over what begins with a dot.
STAGE = ".congvu-new"

ENTRY = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["file", "directory", "absent"], "default": "file"},
    "source": {"type": "str"},
    "content": {"type": "str", "no_log": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str"},
    "validate": {"type": "str"},
    "secret": {"type": "bool", "default": False},
    "unsafe_writes": {"type": "bool", "default": False},
    "data": {"type": "str", "no_log": True},
}


class Refused(Exception):
    """An entry that cannot be; the text names it and says why."""


def attributes(module, entry, path, differences=None):
    """Give owner, group and mode to what stands at the path; whether one was another (in check mode: is)."""
    wanted = {"owner": entry["owner"], "group": entry["group"], "mode": entry["mode"]}
    return module.set_fs_attributes_if_different(module.load_file_common_arguments(wanted, path=path), False, differences)


def make_directory(module, entry):
    """(whether something changes, what --diff shows)."""
    path = os.path.realpath(entry["path"])
    if os.path.isdir(path):
        differences = {}
        return attributes(module, entry, path, differences), [differences]
    if os.path.lexists(path):
        raise Refused("is there, and no folder")
    if not module.check_mode:
        missing = [path]
        while not os.path.isdir(os.path.dirname(missing[-1])):
            missing.append(os.path.dirname(missing[-1]))
        for folder in reversed(missing):
            os.mkdir(folder)
            attributes(module, entry, folder)
    return True, [{"before": {"state": "absent"}, "after": {"state": "directory"}}]


def remove(module, entry):
    """(whether something changes, what --diff shows)."""
    path = entry["path"]
    if not os.path.lexists(path):
        return False, []
    if os.path.isdir(path) and not os.path.islink(path):
        raise Refused("is a folder, and only files are removed")
    if not module.check_mode:
        os.unlink(path)
    return True, [{"before": {"state": "file"}, "after": {"state": "absent"}}]


def write_file(module, entry):
    """(whether something changes, what --diff shows)."""
    path, data = entry["path"], base64.b64decode(entry["data"] or "")
    before = None
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
            before = file.read()
    elif os.path.isdir(path) and not os.path.islink(path):
        raise Refused("is a folder, and a file is to be there")
    differences = {}
    differs = attributes(module, entry, path, differences) if before is not None else False
    if before == data:
        return differs, [differences]
    if not module.check_mode:
        replace(module, entry, data)
    if entry["secret"]:
        return True, [{"prepared": f"{path}: the content differs; it is secret and not shown\n"}, differences]
    return True, [{"before": (before or b"").decode("utf-8", "replace"), "after": data.decode("utf-8", "replace")}, differences]


def replace(module, entry, data):
    """Put the content in the place of the old file, whole or not at all."""
    path = entry["path"]
    stage = os.path.join(os.path.dirname(path), STAGE)
    new = os.path.join(stage, os.path.basename(path))
    try:
        os.mkdir(stage, 0o700)
    except FileNotFoundError:
        raise Refused("has no folder to be in: name it before, with state directory") from None
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        attributes(module, entry, new)
        validate(module, entry, new)
        try:
            os.rename(new, path)
        except OSError as error:
            if error.errno != errno.EBUSY or not entry["unsafe_writes"]:
                raise
            with open(path, "wb") as file:
                file.write(data)
            attributes(module, entry, path)
    finally:
        shutil.rmtree(stage)


def validate(module, entry, new):
    """Refused unless the entry's command succeeds on the new file."""
    if not entry["validate"]:
        return
    if "%s" not in entry["validate"]:
        raise Refused(f"has a validate without %s: {entry['validate']}")
    code, out, err = module.run_command(entry["validate"] % new)
    if code:
        said = "" if entry["secret"] else f": {(err + out).strip().replace(new, entry['path'])}"
        raise Refused(f"is not valid and was not put in place, the old one stays; {entry['validate'].split()[0]} ended with {code}{said}")


def main():
    """Do the entries in their order."""
    module = AnsibleModule(
        argument_spec={"entries": {"type": "list", "elements": "dict", "required": True, "options": ENTRY}},
        supports_check_mode=True,
    )
    entries = module.params["entries"]
    if not module.check_mode:
        for folder in {os.path.dirname(entry["path"]) for entry in entries}:
            with contextlib.suppress(FileNotFoundError):  # there only when a run was killed
                shutil.rmtree(os.path.join(folder, STAGE))
    do = {"file": write_file, "directory": make_directory, "absent": remove}
    result = {"paths": [], "diff": []}
    for entry in entries:
        path = entry["path"]
        entry["mode"] = entry["mode"] or ("0755" if entry["state"] == "directory" else "0644")
        try:
            changed, differences = do[entry["state"]](module, entry)
        except (Refused, OSError) as error:
            module.fail_json(msg=f"{path} {error}", changed=bool(result["paths"]), **result)
        if changed:
            result["paths"].append(path)
            result["diff"] += [{"before_header": path, "after_header": path, **one} for one in differences if one]
    module.exit_json(changed=bool(result["paths"]), **(result if module._diff else {"paths": result["paths"]}))


if __name__ == "__main__":
    main()
