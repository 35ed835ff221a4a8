"""Figures of a province for the tests of reports: its sample register, with use, mail and acts made up by arithmetic."""

import datetime as dt
import tempfile
from pathlib import Path

import yaml
from address_book_data import ROOT, of_registers, policy

from congvu_mail import journal, registers, report
from congvu_mail.periods import Period
from congvu_mail.working_days import Calendar

VIETNAM = dt.timezone(dt.timedelta(hours=7))
COLLECTED = "2026-12-02T09:15:00+07:00"
CALENDAR = Calendar.vietnam(2000, 2028)


def deployment(province: str) -> dict:
    return yaml.safe_load((ROOT / f"inventories/{province}/group_vars/all/deployment.yml").read_text(encoding="utf-8"))


def entry(place: int, found: dict) -> dict:
    """A mailbox of the register with what the directory adds: every 9th suspended, every 13th ended, every 4th not opened yet."""
    state = "suspended" if place % 9 == 8 else "terminated" if place % 13 == 12 else "active"
    acts = {"congvuSuspendedSince": ["20261110030000Z"], "congvuReason": ["không truy cập"], "congvuDocument": ["45/TB ngày 10/11/2026"]}
    return found | {
        "congvuState": [state],
        "congvuClass": ["user"],
        "congvuQuota": [str(2 * 1024**3)],
        "congvuIssued": ["20260105020000Z" if place % 5 else "20261116020000Z"],
        "mailLocalAddress": found["mail"],
        "pwdChangedTime": ["20260301020000Z"],
        **({"pwdReset": ["TRUE"]} if place % 4 == 3 else {}),
        **(acts if state != "active" else {}),
    }


def entries_of_the_journal() -> list[dict]:
    """A suspension and two recalls, the second without a document."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "operations.jsonl")
        for day, act, mailbox, document, reason in (
            (10, "suspend", "a@x.vn", "45/TB ngày 10/11/2026", "không truy cập"),
            (18, "recall", "<1@x.vn>", "12/SNV ngày 18/11/2026", "gửi nhầm tài liệu"),
            (19, "recall", "<2@x.vn>", "", "lộ tài liệu"),
        ):
            moment = dt.datetime(2026, 11, day, 9, 30, tzinfo=VIETNAM)
            journal.append(
                path, act=act, mailbox=mailbox, document=document, reason=reason, operator="Lê Văn Trực", result="done", time=moment
            )
        return list(journal.entries(path))


def figures(province: str, entries: list[dict] | None = None) -> dict:
    """As :func:`congvu_mail.report_pages.figures` puts them together."""
    entries = entries or [entry(place, found) for place, found in enumerate(of_registers(province))]
    days = [dt.date(2026, 11, 1) + dt.timedelta(days=number) for number in range(30)]
    used = {found["uid"][0]: (place * 37 % 97) * 20 * 1024**2 for place, found in enumerate(entries)}
    at = int(dt.datetime(2026, 11, 25, 8, 5, tzinfo=VIETNAM).timestamp())
    organisations = [found for found in entries if found["congvuKind"] == ["organisation"]]
    openings = {
        found["uid"][0]: {
            day.isoformat(): [[7 * 60 + 40, found["mail"][0]], [13 * 60 + 20, "vanthu@x.vn"]]
            for day in days
            if place % 3 or day.day % 10  # every third one is left alone on three days
        }
        for place, found in enumerate(organisations)
    }
    openings |= {
        found["uid"][0]: {day.isoformat(): [[7 * 60 + 50, ""], [14 * 60, ""]][: 1 if (place + day.day) % 11 == 0 else 2] for day in days}
        for place, found in enumerate(entries)
        if found["congvuKind"] == ["person"]
    }
    flow = {
        day.isoformat(): {"received": 900 + day.day * 37 % 400 if day.weekday() < 5 else 120 + day.day, "delivered": 1100, "sent": 210,
                          "deferred": 6, "refused": 14, "bounced": 2}
        for day in days
    }  # fmt: skip
    log_from = int(dt.datetime(2026, 6, 1, tzinfo=VIETNAM).timestamp())
    return {
        "collected": COLLECTED,
        "directory": {"entries": entries, "journal": entries_of_the_journal(), "journal_problems": [], "journal_head": "3:" + "a" * 64},
        "mail": [{
            "log_from": log_from, "usage": used, "openings": openings, "last_login": {}, "failed_logins": 41,
            "logins": {found["uid"][0]: [20, 12, at] for place, found in enumerate(entries) if place % 4 != 3},
        }],
        "mta": [{"log_from": log_from, "days": flow, "refusals": {"recipient": 95, "relay": 3}, "failed_logins": 9}],
        "filter": [{"log_from": log_from, "days": {}, "refusals": {"spam": 240, "virus": 12, "attachment": 31, "forward": 4}}],
        "records": [
            {"host": "mail", "name": "backup", "time": "2026-12-02T01:10:00+07:00", "result": "ok", "detail": "31 hộp thư"},
            {"host": "mail", "name": "restore_test", "time": "2026-11-01T03:10:00+07:00", "result": "ok", "detail": "1 hộp thư"},
        ],
        "manifest": {"date": "2026-11-03", "people": 19, "organisations": 12},
    }  # fmt: skip


def made(province: str, period: str, organisation: str = "", **changes) -> report.Report:
    """A report of the province, with some figures changed."""
    settings = deployment(province)
    return report.make(
        policy(province), Period.parse(period), figures(province) | changes, registers.read(ROOT / "registers" / province), CALENDAR,
        settings["deployment_check_windows"], dt.time(17), organisation,
    )  # fmt: skip
