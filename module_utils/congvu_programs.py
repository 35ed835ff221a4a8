# SPDX-License-Identifier: Apache-2.0
"""The programs of congvu_mail on the directory host, for modules that run there."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

PROGRAMS = "/usr/local/lib/congvu-mail/python"


def programs(module: Any, *names: str) -> list[ModuleType]:
    """The named modules of congvu_mail as the role ``lifecycle`` installed them; the end of the task where it did not."""
    sys.path.insert(0, PROGRAMS)
    sys.dont_write_bytecode = True
    try:
        return [importlib.import_module(f"congvu_mail.{name}") for name in names]
    except ImportError as error:
        module.fail_json(
            msg=f"chưa làm gì: máy chủ thư mục chưa có chương trình của vai trò lifecycle ({error}); chạy playbooks/site.yml trước"
        )
