# SPDX-License-Identifier: Apache-2.0
"""Action: bring the directory in line with the register, in one pass.

Reads the directory (module ``directory_export``), makes the plan on the controller (``congvu_mail.directory``), seals the initial passwords
(``congvu_mail.handover``), and hands the plan as one file to ``directory_reconcile``: tens of thousands of rows never pass through
variables. Each act is a line of the journal, done by ``operator``, else by who runs Ansible. In check mode the same plan is made and
compared, nothing is sealed and nothing is changed.

Arguments: those of the role ``accounts`` (roles/accounts/meta/argument_specs.yml) without the prefix.
Result: ``summary`` (Vietnamese lines), ``sealed`` (paths of the files that hold new passwords), ``counts``, ``done``, ``ending`` (uids
whose sessions have to end).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import gc
import getpass
import json
from typing import Any
from zoneinfo import ZoneInfo

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from congvu_mail import directory, handover, registers
from congvu_mail.conventions import NamingError
from congvu_mail.roster import RosterError

HERE = ZoneInfo("Asia/Ho_Chi_Minh")


class ActionModule(ActionBase):
    """See the module's text."""

    _requires_connection = True
    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the plan and carry it out."""
        super().run(tmp, task_vars)
        # A task has a process of its own. Millions of objects live until its end and form no cycles: to look for some takes a third of
        # the time.
        gc.disable()
        given = self._task.args
        check = self._task.check_mode
        now = datetime.datetime.now(HERE)
        today = datetime.date.fromisoformat(str(given.get("today"))) if given.get("today") else now.date()
        rules = directory.Rules(**{field.name: given[field.name] for field in dataclasses.fields(directory.Rules)})
        box = handover.Handover(given["handover_directory"], *self._seal(given["handover_recipients"]))
        plan = self._plan(given, rules, now, today, task_vars)
        summary = plan.summary()
        if given.get("plan_file"):
            rows = [dict(zip(directory.COLUMNS, row.cells(), strict=True)) for row in plan.rows]
            registers.write_csv(given["plan_file"], directory.COLUMNS, rows)
            summary.append(f"Kế hoạch đầy đủ: {given['plan_file']}")
        self._refuse(plan, given, summary)
        if not check:
            self._give_passwords(plan, box, given, today)
        result = {"changed": False, "done": 0}
        if plan.stages:
            remote = self._connection._shell.join_path(self._connection._shell.tmpdir, "plan.json")
            self._transfer_data(remote, json.dumps(plan.stages))
            result = self._module("directory_reconcile", {"path": remote}, task_vars)
        if not check:
            box.done()
        table = "\n".join(" | ".join(cell for cell in row.cells() if cell) for row in plan.rows)
        return {
            "changed": result["changed"],
            "done": result["done"],
            "counts": dict(plan.counts()),
            "summary": summary + box.summary(),
            "sealed": box.files,
            "ending": plan.ending,
            "diff": {"prepared": table + "\n" if plan.stages else ""},
        }

    def _plan(
        self, given: dict[str, Any], rules: directory.Rules, now: datetime.datetime, today: datetime.date, task_vars: dict[str, Any] | None
    ) -> directory.Plan:
        try:
            # The register is read while the directory host reads the directory.
            with concurrent.futures.ThreadPoolExecutor(1) as other:
                register = other.submit(registers.read, given["register"], rules.naming, one_per_person=given["one_per_person"])
                export = self._module("directory_export", {"suffix": rules.suffix, "attributes": directory.READ}, task_vars)
            operator = str(given.get("operator") or getpass.getuser())
            return directory.make_plan(register.result(), directory.Directory.load(export["content"]), rules, now, today, operator)
        except (RosterError, NamingError) as error:
            raise AnsibleActionFail(str(error)) from None

    @staticmethod
    def _refuse(plan: directory.Plan, given: dict[str, Any], summary: list[str]) -> None:
        """Stop where the policy of this deployment says so, before anything is changed."""
        over = plan.over_guard(given["guard_percent"])
        if over:
            raise AnsibleActionFail("\n".join([over, *summary]))
        undecided = plan.counts()["undecided"]
        if undecided and given["stop_on_undecided"]:
            stopped = f"{undecided} dòng cần quyết định (accounts_stop_on_undecided): chưa thay đổi gì"
            raise AnsibleActionFail("\n".join([stopped, *summary]))

    @staticmethod
    def _give_passwords(plan: directory.Plan, box: handover.Handover, given: dict[str, Any], today: datetime.date) -> None:
        """Put the hash of a new initial password, to be changed at the first login, into the entries that get one."""
        try:
            hashes = box.give(plan.created, today.isoformat(), given["password_rules"])
        except (RuntimeError, OSError) as error:
            raise AnsibleActionFail(f"the initial passwords could not be sealed, so nothing was changed: {error}") from None
        entries = {operation["dn"]: operation["attributes"] for stage in plan.stages for operation in stage if operation["verb"] == "add"}
        for mailbox in plan.created:
            entries[mailbox["dn"]].update(userPassword=[hashes[mailbox["code"]]], pwdReset=["TRUE"])

    def _seal(self, recipients: list[str]) -> tuple[Any, str]:
        """How a file is sealed, and how its name ends: to age recipients, else with the vault password of this run."""
        if recipients:
            return handover.age(recipients), "age"
        vault = self._loader._vault
        if not vault.secrets and not self._task.check_mode:
            raise AnsibleActionFail(
                "nobody could open the sealed initial passwords: give accounts_handover_recipients (age), or run with a vault password"
            )
        return (lambda text: vault.encrypt(text)), "vault"

    def _module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Run a module on the directory host; its result, or the end of this task."""
        result = self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)
        if result.get("failed"):
            raise AnsibleActionFail(result.get("msg", f"{name} failed"), result={key: result[key] for key in ("done",) if key in result})
        return result
