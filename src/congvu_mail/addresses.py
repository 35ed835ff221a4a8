"""Preview of the addresses a register leads to: ``python -m congvu_mail.addresses``.

Reads ``mail_policy.naming`` as JSON on standard input and a register's folder, writes one CSV row for each organisation
and person, and prints one JSON object: ``changed`` and a Vietnamese ``summary`` (a list of lines). No host is touched and
the register is not changed. Exit status 1, with every problem on standard error, when the register cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from congvu_mail import registers
from congvu_mail.conventions import NamingError
from congvu_mail.naming import allocate
from congvu_mail.roster import RosterError

COLUMNS = ("code", "name", "organisation", "address", "status", "clause", "reason", "suggestion", "aliases", "previous")
STATUS = {"issued": "đã cấp, giữ nguyên", "assigned": "sẽ cấp", "needs_decision": "cần quyết định"}
_SHOWN = 20  # decisions printed in the summary; the file has all


def preview(register: registers.Registers, naming: Mapping[str, Any], domain: str) -> list[dict[str, str]]:
    """One row for each organisation and person, in the order in which addresses are given out."""
    source = {row["code"]: row for row in (*register.organisations.rows, *register.people.rows)}
    organisations = {row["code"]: row["name"] for row in register.organisations.rows}

    def full(local_part: str) -> str:
        return f"{local_part}@{domain}" if local_part else ""

    rows = []
    for entry in allocate(register.roster, naming, register.issued.rows):
        row = source[entry["code"]]
        rows.append(
            {
                **entry,
                "name": row.get("full_name") or row.get("name", ""),
                "organisation": organisations.get(row.get("organisation") or row.get("parent", ""), ""),
                "address": full(entry["local_part"]),
                "suggestion": full(entry["suggestion"]),
                "aliases": " ".join(map(full, entry["aliases"])),
                "previous": full(entry["previous"]),
            }
        )
    return rows


def summary(rows: Sequence[Mapping[str, str]], output: str) -> list[str]:
    """The preview in a few Vietnamese lines for the operator."""
    lines = []
    for table, label in (("organisations", "Cơ quan, đơn vị"), ("people", "Cá nhân")):
        counts = Counter(row["status"] for row in rows if row["table"] == table)
        shown = ", ".join(f"{counts[status]} {meaning}" for status, meaning in STATUS.items())
        lines.append(f"{label}: {sum(counts.values())} ({shown})")
    warned = sum(1 for row in rows if row["warning"])
    if warned:
        lines.append(f"Địa chỉ cần lưu ý: {warned}")
    undecided = [row for row in rows if row["status"] == "needs_decision"]
    for row in undecided[:_SHOWN]:
        proposal = f" Đề xuất: {row['suggestion']}." if row["suggestion"] else ""
        lines.append(f"Cần quyết định: {row['code']} {row['name']} ({row['clause']}): {row['reason']}{proposal}")
    if len(undecided) > _SHOWN:
        lines.append(f"... và {len(undecided) - _SHOWN} dòng cần quyết định khác, xem tệp.")
    if undecided:
        lines.append("Ghi địa chỉ đã quyết định vào cột local_part và căn cứ vào cột basis của sổ đăng ký.")
    lines.append(f"Chi tiết: {output}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m congvu_mail.addresses``."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.addresses", description="Xem trước địa chỉ theo sổ đăng ký")
    parser.add_argument("--register", required=True, help="thư mục sổ đăng ký")
    parser.add_argument("--domain", required=True, help="tên miền thư")
    parser.add_argument("--output", required=True, help="tệp CSV ghi kết quả")
    parser.add_argument("--check", action="store_true", help="chỉ báo, không ghi tệp")
    given = parser.parse_args(arguments)
    try:
        naming = json.load(sys.stdin)
        rows = preview(registers.read(given.register, naming), naming, given.domain)
        changed = registers.write_csv(given.output, COLUMNS, rows, check=given.check)
    except (NamingError, RosterError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    json.dump({"changed": changed, "summary": summary(rows, str(Path(given.output).resolve()))}, sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
