# SPDX-License-Identifier: Apache-2.0
"""A report as files: a Vietnamese page (HTML, no scripts), the same as PDF, and its annexes as CSV.

``python -m congvu_mail.report_pages`` is the work of ``playbooks/report.yml``: the hosts' figures and the policy come as JSON on standard
input. The PDF is printed by Chromium without a window; without Chromium there is none, and the summary says so.
"""

from __future__ import annotations

import argparse
import base64
import csv
import datetime
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from congvu_mail import address_book, address_book_formats, journal, registers, report
from congvu_mail.months import VIETNAM, shown
from congvu_mail.periods import Period
from congvu_mail.request_register import RequestError
from congvu_mail.roster import RosterError
from congvu_mail.status import number
from congvu_mail.working_days import Calendar, CalendarError

PAGE, PRINT = "bao-cao.html", "bao-cao.pdf"
_TEMPLATE = Path(__file__).with_name("report.html.j2")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV")
_PRINT_SECONDS = 180


# --- figures --------------------------------------------------------------------------------------------------------------


def figures(packed: Mapping[str, str], manifest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the module ``report_figures`` packed on each host, as one, for :func:`congvu_mail.report.make`.

    ``manifest``: of the last publication of the directory.
    """
    by_host = {host: json.loads(zlib.decompress(base64.b64decode(content))) for host, content in packed.items()}
    directory = next(found["directory"] for found in by_host.values() if "directory" in found)
    entries, problems, head = _journal(directory["journal"], directory["head"])
    edition = manifest["editions"][0] if manifest and manifest["editions"] else None
    return {
        "collected": max(found["collected"] for found in by_host.values()),
        "directory": {"entries": directory["entries"], "journal": entries, "journal_problems": problems, "journal_head": head},
        **{part: [found[part] for found in by_host.values() if part in found] for part in ("mail", "mta", "filter")},
        "records": [record | {"host": host} for host, found in by_host.items() for record in found["records"]],
        "manifest": edition and {"date": edition["published"], "people": edition["people"], "organisations": edition["organisations"]},
    }


def _journal(text: str, head: str) -> tuple[list[dict[str, Any]], list[str], str]:
    """Entries, what is wrong with them, and the head, of a journal read elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "operations.jsonl")
        path.write_text(text, encoding="utf-8")
        if head:
            path.with_name(f"{path.name}.head").write_text(head, encoding="utf-8")
        verdict = journal.verify(path)
        return list(journal.entries(path)), verdict.problems, str(verdict.head)


# --- the page -------------------------------------------------------------------------------------------------------------


def svg(chart: report.Chart) -> Markup:
    """A chart as a drawing in the page."""
    most = max((value for _, value, _ in chart.bars), default=0) or 1
    drawn = _upright(chart.bars, most) if chart.upright else _lying(chart.bars, most)
    return Markup(drawn)


def _lying(bars: Sequence[tuple[str, float, str]], most: float) -> str:
    height, row, left, width = 22 * len(bars) + 4, 22, 250, 330
    parts = [f'<svg viewBox="0 0 640 {height}" role="img">']
    for place, (label, value, text) in enumerate(bars):
        top, long = place * row + 4, round(width * value / most, 1)
        short = label if len(label) <= 40 else label[:39] + "…"
        parts.append(
            f'<text x="{left - 8}" y="{top + 12}" class="end">{escape(short)}<title>{escape(label)}</title></text>'
            f'<rect x="{left}" y="{top}" width="{width}" height="15" class="ground"/>'
            f'<rect x="{left}" y="{top}" width="{long}" height="15"/>'
            f'<text x="{left + width + 8}" y="{top + 12}">{escape(text)}</text>'
        )
    return "".join([*parts, "</svg>"])


def _upright(bars: Sequence[tuple[str, float, str]], most: float) -> str:
    tall, base = 130, 160
    step = 620 / max(len(bars), 1)
    wide = min(step * 0.7, 36)
    every = 1 + len(bars) // 16  # labels that do not run into each other
    parts = [f'<svg viewBox="0 0 640 185" role="img"><line x1="10" y1="{base}" x2="630" y2="{base}"/>']
    for place, (label, value, text) in enumerate(bars):
        middle, high = round(10 + step * (place + 0.5), 1), round(tall * value / most, 1)
        parts.append(f'<rect x="{middle - wide / 2:.1f}" y="{base - high:.1f}" width="{wide:.1f}" height="{high}"/>')
        if place % every == 0:
            parts.append(f'<text x="{middle}" y="{base + 16}" class="middle">{escape(label)}</text>')
        if value and (len(bars) <= 16 or value == most):
            parts.append(f'<text x="{middle}" y="{base - high - 5:.1f}" class="middle">{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def _cell(value: Any) -> Markup:
    """A cell: numbers to the right, verdicts in colour."""
    if isinstance(value, int):
        return Markup('<td class="number">{}</td>').format(number(value))
    text = str(value)
    verdicts = {report.MET: "good", report.NOT_MET: "bad", report.BY_HAND: "verdict"}
    kind = verdicts.get(text, "number" if text.endswith(("%", " GiB", " MiB")) else "")
    broken = Markup("<wbr>@").join(text.split("@"))  # an address may go on in the next line
    return Markup('<td class="{}">{}</td>').format(kind, broken) if kind else Markup("<td>{}</td>").format(broken)


def page(made: report.Report, annexes: Mapping[str, bytes]) -> str:
    """The report as one HTML file. ``annexes``: the CSV files, whose digests stand in it."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"svg": svg, "cell": _cell, "day": shown}
    environment.tests |= {name: lambda block, kind=kind: isinstance(block, kind) for name, kind in _KINDS.items()}
    listed = [(annex.title, annex.file, len(annex.rows), hashlib.sha256(annexes[annex.file]).hexdigest()) for annex in made.annexes]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        made=made, parts=list(zip(_NUMERALS, made.parts, strict=False)), annexes=listed
    )


_KINDS = {"paragraph": report.Text, "table": report.Table, "chart": report.Chart}


def csv_file(annex: report.Annex) -> bytes:
    """An annex as spreadsheets open it: UTF-8 with BOM, no cell that would run as a formula."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(annex.columns)
    writer.writerows([address_book_formats.harmless(str(cell)) for cell in row] for row in annex.rows)
    return buffer.getvalue().encode("utf-8-sig")


def print_page(page: Path, target: Path) -> str:
    """The page as PDF; why not, in Vietnamese, when that fails."""
    program = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if not program:
        return "không có Chromium trên máy điều khiển: chạy bin/setup với quyền root, hoặc in tệp HTML thành PDF bằng trình duyệt"
    with tempfile.TemporaryDirectory() as profile:
        argv = [program, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        argv += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise; the page is our own and has no scripts
        try:
            done = subprocess.run([*argv, page.resolve().as_uri()], capture_output=True, text=True, timeout=_PRINT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"Chromium không in xong trong {_PRINT_SECONDS} giây"
    if done.returncode or not target.exists():
        return f"Chromium không in được: {done.stderr.strip()[-300:]}"
    target.chmod(0o640)
    return ""


def write(made: report.Report, folder: Path) -> list[str]:
    """Write all files; what could not be written, in Vietnamese."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o750)  # personal data
    annexes = {annex.file: csv_file(annex) for annex in made.annexes}
    for name, content in {**annexes, PAGE: page(made, annexes).encode()}.items():
        partial = folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(content)
        partial.replace(folder / name)
    (folder / PRINT).unlink(missing_ok=True)  # never one that belongs to older figures
    problem = print_page(folder / PAGE, folder / PRINT)
    return [f"Không có bản PDF: {problem}"] if problem else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m congvu_mail.report_pages``."""
    parser = argparse.ArgumentParser(prog="python -m congvu_mail.report_pages", description="Báo cáo")
    parser.add_argument("command", choices=["period", "make"])
    parser.add_argument("--period", required=True, help="2026-11, 2026-Q4, 2026-H2 hoặc 2026")
    parser.add_argument("--register", help="thư mục sổ đăng ký")
    parser.add_argument("--organisation", default="", help="mã cơ quan; để trống: toàn hệ thống")
    parser.add_argument("--output", type=Path, help="thư mục ghi báo cáo")
    parser.add_argument("--published", type=Path, help="thư mục danh bạ đã công khai")
    parser.add_argument("--check", action="store_true", help="chỉ báo, không ghi tệp")
    given = parser.parse_args(arguments)
    try:
        period = Period.parse(given.period)
        if given.command == "period":
            today = datetime.datetime.now(VIETNAM).date()
            if period.first > today:
                raise report.ReportError(f"kỳ báo cáo {period.title} chưa bắt đầu (hôm nay {shown(today)}); chọn kỳ khác")
            json.dump({"since": period.since, "before": period.until}, sys.stdout)
            return 0
        wanted = json.load(sys.stdin)
        manifest = address_book.read_manifest(given.published) if given.published else None
        found = figures(wanted["packed"], manifest)
        register = registers.read(given.register)
        calendar = Calendar.vietnam(2000, period.last.year + 2, wanted.get("calendar") or ())
        closing = datetime.time.fromisoformat(wanted["closing"]) if wanted.get("closing") else None
        made = report.make(wanted["policy"], period, found, register, calendar, wanted["windows"], closing, given.organisation)
        problems = [] if given.check else write(made, given.output)
    except (report.ReportError, RosterError, RequestError, CalendarError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    lines = [
        f"{made.title}: {made.about}, {period.title}{', ' + made.organisation if made.organisation else ''}",
        *made.findings,
        *problems,
    ]
    lines.append("Chưa ghi tệp nào." if given.check else f"Tệp: {given.output.resolve()}/{PAGE}, {PRINT}, {len(made.annexes)} phụ lục CSV")
    json.dump({"summary": lines}, sys.stdout, ensure_ascii=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
