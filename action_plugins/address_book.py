# SPDX-License-Identifier: Apache-2.0
"""Action: publish the directory (danh bạ thư điện tử công vụ) as files on the controller.

Reads the directory (module ``directory_export``) on the host and writes here what ``congvu_mail.address_book`` makes of it under the
policy. Nothing is changed on the host, and the export is never stored. The same directory gives the same bytes. Files of an earlier
publication (those its manifest names) that no longer belong to it are removed; others in the folder stay.

Arguments: ``suffix`` (str, of the directory), ``policy`` (dict, ``mail_policy``), ``output`` (path of the folder; made when missing),
``guard_percent`` (number: a run that takes away more of the published mailboxes stops before it changes anything).
Result: ``summary`` (Vietnamese lines), ``files`` (paths below ``output`` that were, or in check mode would be, written or removed),
``diff`` (changed lines of the CSV and of the manifest, the first hundred of each; of the other files the manifest has the SHA-256).
"""

from __future__ import annotations

import datetime
import difflib
import json
from itertools import islice
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from congvu_mail import address_book
from congvu_mail.directory import Directory
from congvu_mail.months import VIETNAM

DIFF_LINES = 100


class ActionModule(ActionBase):
    """See the module's text."""

    _requires_connection = True
    _VALID_ARGS = frozenset(("suffix", "policy", "output", "guard_percent"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, decide, write."""
        super().run(tmp, task_vars)
        given = self._task.args
        folder = Path(given["output"]).absolute()
        try:
            rules = address_book.Rules.of(given["policy"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from None
        wanted_of = {"suffix": given["suffix"], "attributes": address_book.ATTRIBUTES}
        export = self._execute_module(module_name="directory_export", module_args=wanted_of, task_vars=task_vars)
        if export.get("failed"):
            raise AnsibleActionFail(export.get("msg", "directory_export failed"))
        entries = (mailbox.attributes for mailbox in Directory.load(export["content"]).mailboxes)
        directory = address_book.select(entries, rules)
        try:
            previous = address_book.read_manifest(folder)
            today = datetime.datetime.now(VIETNAM).date()
            wanted = address_book.files(directory, rules, today, previous)
            manifest = json.loads(wanted[address_book.MANIFEST]) if wanted else None
            too_many = address_book.over_guard(previous, manifest, float(given["guard_percent"]))
            if too_many:
                raise AnsibleActionFail("\n".join([too_many, *address_book.summary(directory, rules, folder, manifest, 0)]))
            changed = address_book.changes(folder, wanted, previous)
            if not self._task.check_mode:
                address_book.publish(folder, changed, 0o644 if rules.public else 0o600)
        except OSError as error:
            remedy = "Cách sửa: kiểm tra quyền và chỗ trống của thư mục"
            raise AnsibleActionFail(f"{folder}: không đọc hoặc ghi được danh bạ ({error}). {remedy}") from None
        return {
            "changed": bool(changed),
            "summary": address_book.summary(directory, rules, folder, manifest, len(changed)),
            "files": [change.path for change in changed],
            "diff": [difference(change) for change in changed if change.path.endswith((".csv", ".json"))],
        }


def difference(change: address_book.Change) -> dict[str, str]:
    """One changed file for --diff, not longer than a reader can take in."""
    before, after = ((data or b"").decode("utf-8-sig", "replace").splitlines() for data in (change.before, change.after))
    lines = difflib.unified_diff(before, after, f"before: {change.path}", f"after: {change.path}", n=0, lineterm="")
    shown = list(islice(lines, DIFF_LINES))
    if next(lines, None) is not None:
        shown.append(f"... (chỉ hiện {DIFF_LINES} dòng đầu)")
    return {"prepared": "\n".join(shown) + "\n"}
