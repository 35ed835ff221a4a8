# SPDX-License-Identifier: Apache-2.0
"""Action: the folders and files of a role, all in one step.

Renders the templates and reads the files of all entries here and hands them to the module ``role_files`` at once; what an entry may say is
in the module's documentation. Of what is rendered nothing is left in the result but the module's diff.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """See the module's text."""

    _requires_connection = True
    _VALID_ARGS = frozenset(("entries",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render, then let the module do the rest on the host."""
        super().run(tmp, task_vars)
        given = self._task.args.get("entries")
        if not isinstance(given, list) or not all(isinstance(entry, dict) and entry.get("path") for entry in given):
            raise AnsibleActionFail("entries must be a list of mappings, each with a path (ansible-doc -t module role_files).")
        for entry in given:
            if not isinstance(entry.get("mode", ""), str):
                raise AnsibleActionFail(f'{entry["path"]}: write the mode in quotes, as "0644"; as a number it is another one.')
        self._variables = {"ansible_managed": "Ansible managed", **(task_vars or {})}
        entries = [entry for one in given for entry in self._expanded(dict(one))]
        result = self._execute_module(module_name="role_files", module_args={"entries": entries}, task_vars=task_vars)
        result.pop("invocation", None)
        return result

    def _expanded(self, entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The entry with its content as the module takes it; of a folder of the role an entry for each thing in it."""
        source, content = entry.pop("source", None), entry.pop("content", None)
        if entry.get("state", "file") != "file":
            if source is not None or content is not None:
                raise AnsibleActionFail(f"{entry['path']}: state {entry['state']} takes neither source nor content.")
            yield entry
        elif content is not None:
            if source is not None:
                raise AnsibleActionFail(f"{entry['path']}: give source or content, not both.")
            yield {**entry, "data": encoded(str(content).encode())}
        else:
            found = self._found(entry["path"], source)
            if found.suffix == ".j2":
                yield {**entry, "data": encoded(self._rendered(found).encode())}
            elif found.is_dir():
                yield {**entry, "state": "directory", "mode": "0755"}
                for part in sorted(found.rglob("*")):
                    if "__pycache__" in part.parts:
                        continue
                    here = {**entry, "path": f"{entry['path'].rstrip('/')}/{part.relative_to(found)}"}
                    yield {**here, "state": "directory", "mode": "0755"} if part.is_dir() else {**here, "data": encoded(part.read_bytes())}
            else:
                yield {**entry, "data": encoded(found.read_bytes())}

    def _found(self, path: str, source: str | None) -> Path:
        """Where on the controller the content of a path comes from."""
        below = path.lstrip("/")
        wanted = [source] if source else [f"{below}.j2", below]
        for name in wanted:
            try:
                return Path(self._find_needle("templates" if name.endswith(".j2") else "files", name))
            except AnsibleError as error:
                reason = error
        raise AnsibleActionFail(f"{path}: there is neither a template nor a file for it ({' or '.join(wanted)} in the role): {reason}")

    def _rendered(self, template: Path) -> str:
        """What the template gives, as ansible.builtin.template does it."""
        roots = self._variables.get("ansible_search_path") or []
        paths = [str(folder) for root in roots for folder in (Path(root) / "templates", Path(root))]
        templar = self._templar.copy_with_new_env(searchpath=[*paths, str(template.parent)], available_variables=self._variables)
        text = trust_as_template(self._loader.get_text_file_contents(str(template)))
        rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        return "" if rendered is None else str(rendered)


def encoded(data: bytes) -> str:
    """Bytes as the module takes them."""
    return base64.b64encode(data).decode("ascii")
