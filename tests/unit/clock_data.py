"""Policies of the five provinces, and a mailbox that lives through the steps of its clock."""

import datetime as dt
from dataclasses import replace
from functools import cache
from pathlib import Path

import yaml

from congvu_mail.clock import Mailbox, Notice, Rules, plan
from congvu_mail.working_days import Calendar

ROOT = Path(__file__).parents[2]
PROVINCES = ("ninh-binh", "bac-giang", "quang-tri", "soc-trang", "tien-giang")
CALENDAR = Calendar.vietnam(2019, 2032)


@cache
def rules(province, automatic=False):
    policy = yaml.safe_load((ROOT / f"inventories/{province}/group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
    found = Rules.from_policy(policy)
    return replace(found, approval=False) if automatic else found


def mailbox(issued=dt.date(2025, 1, 10), **attributes):
    return Mailbox(**{"uid": "u-1", "code": "C-1", "kind": "person", "state": "active", "issued": issued} | attributes)


def due(box, rule, today, **options):
    """The steps of one mailbox, those that wait for approval too."""
    made = plan([box], rule, today, CALENDAR, **options)
    assert not made.held
    return made.steps + made.pending


def applied(box, step, today, proof="250 2.0.0 queued as 4B2Xk1"):
    """The mailbox after a step was carried out and recorded."""
    if step.action == "notice":
        return replace(box, notices=(*box.notices, Notice(step.stage, today, proof)))
    if step.action == "lock":
        return replace(box, state="suspended", suspended_since=today, offences=box.offences + 1)
    if step.action == "purge":
        return replace(box, ended=None)
    return replace(box, state="terminated", ended=today)


def live(box, rule, days):
    """Carry out what is due on each of these days; the mailbox afterwards, and (day, action, stage) of everything done.

    Repeating a day must give nothing new, but removals that nobody approved.
    """
    done = []
    for today in days:
        for step in plan([box], rule, today, CALENDAR).steps:
            box = applied(box, step, today)
            done.append((today, step.action, step.stage))
        assert plan([box], rule, today, CALENDAR).steps == []
    return box, done


def every_day(start, number):
    return [start + dt.timedelta(count) for count in range(number)]
