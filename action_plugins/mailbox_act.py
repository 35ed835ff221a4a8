# SPDX-License-Identifier: Apache-2.0
"""Action: an act on mailboxes (suspend, reinstate, terminate, reset-password, handover), for one or for a file of many.

Reads the directory (module ``directory_export``), plans on the controller (``congvu_mail.acts``), seals new passwords
(``congvu_mail.handover``) and hands the changes as one file to ``mailbox_changes``, which makes them and writes the journal. What was done
is written to ``build/operations/<id>.json``. In check mode the same plan is made and compared; nothing is sealed, changed or written.

Arguments: ``act``; ``given`` (what the operator said: ``mailbox`` and the other names of ``acts.FIELDS``); ``batch`` (CSV file, for many);
``policy`` (``mail_policy``); ``suffix``; ``calendar`` (``deployment_calendar``); ``closing`` (HH:MM or empty); ``handover_directory`` and
``handover_recipients`` as the role ``accounts`` has them; ``output`` (folder of results). Result: ``table`` (Vietnamese lines), ``rows``,
``ending`` (uids whose sessions have to end), ``queue`` (uids whose mail in the queue is concerned), ``done``, ``sealed``, ``result_file``.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from congvu_mail import acts, directory, handover
from congvu_mail.months import VIETNAM
from congvu_mail.working_days import Calendar, CalendarError


class ActionModule(ActionBase):
    """See the module's text."""

    _requires_connection = True
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Plan the act and carry it out."""
        super().run(tmp, task_vars)
        gc.disable()  # as in the action accounts
        given, check = self._task.args, self._task.check_mode
        now = datetime.datetime.now(VIETNAM)
        made = self._plan(given, now, task_vars)
        box = handover.Handover(
            Path(given["handover_directory"]) / "cap-lai-mat-khau", *self._seal(given["handover_recipients"], bool(made.passwords))
        )
        if made.passwords and not check:
            try:
                made = acts.with_passwords(made, box.give(made.passwords, now.date().isoformat(), given["password_rules"]))
            except (RuntimeError, OSError) as error:
                raise AnsibleActionFail(f"chưa làm gì: không niêm phong được mật khẩu mới ({error})") from None
        result = {"changed": False, "done": 0, "recovered": [], "head": ""}
        if made.changes or not check:  # with nothing to do it finishes what a run that was killed had begun
            remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "changes.json")
            self._transfer_data(remote, json.dumps(made.changes))
            result = self._execute_module(module_name="mailbox_changes", module_args={"path": remote}, task_vars=task_vars)
            if result.get("failed"):
                killed = "bị ngắt giữa chừng trên máy chủ thư mục: chạy lại cùng lệnh, việc dở dang được làm nốt và ghi nhật ký"
                raise AnsibleActionFail(
                    result["msg"] if "done" in result else f"{killed} ({result.get('module_stderr') or result.get('msg')})",
                    result={"done": result.get("done", 0)},
                )
        if not check:
            box.done()
        table = made.table()
        finished = [f"Việc dở dang của lần bị ngắt trước đã làm nốt và ghi nhật ký: {address}" for address in result["recovered"]]
        found = {
            "changed": result["changed"],
            "done": result["done"],
            "table": [*table, *finished, *(f"Mật khẩu mới đã niêm phong: {name}" for name in box.files)],
            "rows": [dict(zip(acts.COLUMNS, row.cells(), strict=True)) for row in made.rows],
            "ending": made.ending,
            "queue": made.queue,
            "sealed": box.files,
            "diff": {"prepared": "\n".join(table) + "\n" if made.changes else ""},
        }
        return found if check else {**found, "result_file": self._record(given, made, now, result["head"], box.files)}

    def _plan(self, given: dict[str, Any], now: datetime.datetime, task_vars: dict[str, Any] | None) -> acts.Plan:
        try:
            orders = acts.read_orders(given["given"], given.get("batch") or None)
            rules = acts.Rules.from_policy(given["policy"], given["suffix"])
            calendar = Calendar.vietnam(now.year - 2, now.year + 1, given.get("calendar") or [])
            wanted = {"suffix": given["suffix"], "attributes": list(acts.READ)}
            export = self._execute_module(module_name="directory_export", module_args=wanted, task_vars=task_vars)
            if export.get("failed"):
                raise AnsibleActionFail(f"chưa làm gì: {export.get('msg')}")
            present = directory.Directory.load(export["content"])
            return acts.plan(given["act"], orders, present, rules, calendar, now, given.get("closing") or "", self._task.check_mode)
        except (acts.ActError, CalendarError) as error:
            raise AnsibleActionFail(str(error)) from None

    def _seal(self, recipients: list[str], needed: bool) -> tuple[Any, str]:
        """As the action accounts does."""
        if recipients:
            return handover.age(recipients), "age"
        vault = self._loader._vault
        if needed and not vault.secrets and not self._task.check_mode:
            raise AnsibleActionFail(
                "chưa làm gì: không ai mở được mật khẩu niêm phong; ghi deployment_handover_recipients (age) hoặc chạy với mật khẩu vault"
            )
        return (lambda text: vault.encrypt(text)), "vault"

    @staticmethod
    def _record(given: dict[str, Any], made: acts.Plan, now: datetime.datetime, head: str, sealed: list[str]) -> str:
        """Write what was done for other programs, and for the file of the case."""
        number = f"{now:%Y%m%dT%H%M%S}-{given['act']}-{secrets.token_hex(2)}"
        path = Path(given["output"]) / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "id": number,
            "time": now.isoformat(timespec="seconds"),
            "act": given["act"],
            "operator": str(given["given"].get("operator", "")),
            "mailboxes": [dict(zip(acts.COLUMNS, row.cells(), strict=True)) for row in made.rows],
            "journal": [change["journal"] for change in made.changes],
            "journal_head": head,
            "sealed": sealed,
        }
        # Why somebody's mailbox was closed is nobody else's business on this machine.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        return str(path)
