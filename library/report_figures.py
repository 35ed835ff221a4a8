#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: raw figures of a host of the mail system for a report."""

from __future__ import annotations

import base64
import collections
import datetime
import json
import pathlib
import re
import zlib

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_command import Failure, output
from ansible.module_utils.congvu_directory import NOT_INSTALLED, unreadable
from ansible.module_utils.congvu_months import VIETNAM

try:
    import ldap
except ImportError:
    ldap = None

DOCUMENTATION = r"""
module: report_figures
short_description: Raw figures of a host of the mail system for a report
description:
  - Reads what C(congvu_mail.report) needs of this host and changes nothing. No passwords, no subjects, no content.
  - The figures are returned as JSON, compressed (zlib) and base64, since a province has tens of thousands of mailboxes;
    C(congvu_mail.report_pages.figures) unpacks them and puts those of all hosts together.
options:
  since:
    description: First second of the period, seconds since 1970.
    type: int
    required: true
  before:
    description: First second after the period.
    type: int
    required: true
  directory:
    description: Suffix of the directory, on its host; empty for none. The journal of operations is read there too.
    type: str
    default: ""
  journal:
    description: The journal of operations.
    type: path
    default: /var/lib/congvu-mail/journal/operations.jsonl
  mail_root:
    description: Folder of the mailboxes' homes; empty when this host has none.
    type: str
    default: ""
  organisations:
    description: Organisations' mailboxes (uids), whose openings are told one by one, with who opened them.
    type: list
    elements: str
    default: []
  persons:
    description: Tell the openings of the other mailboxes too, without who opened them (their owner did).
    type: bool
    default: false
  mta:
    description: Count what Postfix did.
    type: bool
    default: false
  filter:
    description: Count what Rspamd decided.
    type: bool
    default: false
  records:
    description: Files with the last result of a regular job, C(name) and C(path).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the job does.
        type: str
        required: true
      path:
        description: The file.
        type: path
        required: true
"""

EXAMPLES = r"""
- name: Read the figures
  report_figures:
    since: 1793466000
    before: 1796058000
    mta: true
"""

RETURN = r"""
content:
  description: The figures, packed.
  type: str
  returned: success
organisations:
  description: uids of the organisations' mailboxes, where I(directory) is given.
  type: list
  returned: success
"""

ATTRIBUTES = [
    "uid", "cn", "mail", "mailLocalAddress", "title", "businessCategory", "employeeType", "congvuCode", "congvuKind", "congvuClass",
    "congvuState", "congvuOrganisation", "congvuQuota", "congvuIssued", "congvuLastAccess", "congvuLeaveUntil", "congvuSuspendedSince",
    "congvuEnded", "congvuReason", "congvuDocument", "pwdReset", "pwdChangedTime", "pwdAccountLockedTime",
]  # fmt: skip
HALF_HOUR = 30
LOGIN = re.compile(r"(?:imap|pop3)-login: Logged in: user=<([^>]+)>, login=<([^>]*)>")
# Of the filter's symbols the first of this order names the reason of a refusal.
REASONS = (
    ("virus", ("CLAM_VIRUS",)),
    ("attachment", ("FORBIDDEN_", "CLAM_FORBIDDEN", "CLAM_LIMITS")),
    ("limit", ("ATTACHMENTS_TOO_LARGE",)),
    ("forward", ("FORWARD_OUTSIDE",)),
    ("identity", ("DMARC_POLICY_REJECT",)),
    ("attachment", ("ENCRYPTED_REFUSED",)),
)
REFUSALS = (
    ("recipient", re.compile(r" (?:550|551|552|553) 5\.(?:1\.1|2\.\d|1\.0)")),
    ("relay", re.compile(r"(?i)relay access denied")),
    ("identity", re.compile(r"(?i)sender address rejected|not owned|helo command rejected|client host rejected")),
    ("limit", re.compile(r"(?i)size limit|too many|5\.3\.4")),
)


def log(since, before, pattern, *tags):
    """(moment in Viet Nam, message with its tag) of the log lines that match."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=short-unix", f"--since=@{since}", f"--until=@{before}", f"--grep={pattern}"]
    out = output(*argv, "--case-sensitive=true", *(f"--identifier={tag}" for tag in tags), good=(0, 1))
    for line in out.splitlines():
        stamp, _, rest = line.partition(" ")
        if stamp.replace(".", "", 1).isdigit() and float(stamp) < before:
            yield datetime.datetime.fromtimestamp(float(stamp), VIETNAM), rest.partition(" ")[2]


def log_from():
    """The moment of the oldest line of the log, seconds since 1970; None when there is none."""
    stamp = output("journalctl", "--quiet", "--no-pager", "--output=short-unix", "--lines=+1").partition(" ")[0]
    return int(float(stamp)) if stamp else None


def of_directory(suffix, journal):
    """The mailbox entries and the journal of operations."""
    if ldap is None:
        raise Failure(NOT_INSTALLED)
    try:
        connection = ldap.initialize("ldapi:///")
        connection.sasl_external_bind_s()
        found = connection.search_ext_s(f"ou=mailboxes,{suffix}", ldap.SCOPE_ONELEVEL, "(objectClass=congvuMailbox)", ATTRIBUTES)
    except ldap.LDAPError as error:
        raise Failure(unreadable(suffix, error)) from None
    head = journal.with_name(f"{journal.name}.head")
    return {
        "entries": [{name: [value.decode() for value in values] for name, values in entry.items()} for _, entry in found],
        "journal": journal.read_text(encoding="utf-8") if journal.exists() else "",
        "head": head.read_text(encoding="utf-8") if head.exists() else "",
    }


def of_mail(root, organisations, persons, since, before):
    """What the mailboxes hold, and who logged in when."""
    usage = {}
    for entry in json.loads(output("doveadm", "-f", "json", "quota", "get", "-A")):
        if entry["type"] == "STORAGE":
            usage[entry["username"]] = int(entry["value"]) * 1024
    logins, days, openings, failed = {}, collections.defaultdict(set), {}, 0
    for moment, text in log(since, before, r"-login: (Logged in: user=|.*\(auth_failed\))", "dovecot"):
        found = LOGIN.search(text)
        if not found:
            failed += "(auth_failed)" in text
            continue
        uid, login = found.groups()
        day, minute = moment.date().isoformat(), moment.hour * 60 + moment.minute
        days[uid].add(day)
        logins[uid] = [logins.get(uid, [0])[0] + 1, len(days[uid]), int(moment.timestamp())]
        if persons or uid in organisations:
            who = login if uid in organisations else ""
            slots = openings.setdefault(uid, {}).setdefault(day, {})
            slots.setdefault((minute // HALF_HOUR, who), [minute, who])
    return {
        "log_from": log_from(),
        "usage": usage,
        "logins": logins,
        "openings": {uid: {day: list(slots.values()) for day, slots in by_day.items()} for uid, by_day in openings.items()},
        "last_login": last_logins(root),
        "failed_logins": failed,
    }


def last_logins(root):
    """The last login by mailbox, seconds since 1970, as Dovecot's plugin keeps it."""
    found = {}
    for home in root.iterdir():
        try:
            lines = (home / "last-login").read_text(encoding="ascii").split()
        except (FileNotFoundError, NotADirectoryError):
            continue
        stamps = [int(line) for line in lines if line.isdecimal()]
        if stamps:
            found[home.name] = max(stamps)
    return found


def of_mta(since, before):
    """What Postfix took, delivered, sent, put off, bounced and refused, by day."""
    days, refusals, put_off, failed = collections.defaultdict(collections.Counter), collections.Counter(), set(), 0
    pattern = r"message-id=|status=(sent|deferred|bounced)|NOQUEUE: reject: .* 5\d\d |SASL \S+ authentication failed"
    for moment, text in log(since, before, pattern):
        tag, _, words = text.partition(": ")
        if not tag.startswith("postfix/"):
            continue
        counts, program = days[moment.date().isoformat()], tag.split("[")[0].split("/")[-1]
        if "SASL" in words and "authentication failed" in words:
            failed += 1
        elif words.startswith("NOQUEUE: reject: "):
            counts["refused"] += 1
            refusals[next((reason for reason, form in REFUSALS if form.search(words)), "other")] += 1
        elif program == "cleanup" and "message-id=" in words:
            counts["received"] += 1
        elif "status=sent" in words:
            counts["delivered" if program == "lmtp" else "sent"] += program in ("lmtp", "smtp")
        elif "status=bounced" in words:
            counts["bounced"] += 1
        elif "status=deferred" in words:
            queue_id = words.partition(":")[0]
            counts["deferred"] += queue_id not in put_off
            put_off.add(queue_id)
    return {"log_from": log_from(), "days": days, "refusals": refusals, "failed_logins": failed}


def of_filter(since, before):
    """What Rspamd refused and marked, by day."""
    days, refusals = collections.defaultdict(collections.Counter), collections.Counter()
    form = re.compile(r"\(default: \w \(([a-z ]+)\): \[[^\]]*\] \[(.*)\]\), len:")
    for moment, text in log(since, before, r"rspamd_task_write_log: .*\((reject|add header|rewrite subject)\)", "rspamd"):
        found = form.search(text)
        if not found:
            continue
        action, symbols = found.groups()
        if action != "reject":
            days[moment.date().isoformat()]["marked"] += 1
            continue
        names = re.findall(r"([A-Z][A-Z0-9_]+)\(", symbols)
        days[moment.date().isoformat()]["refused"] += 1
        refusals[next((reason for reason, starts in REASONS if any(name.startswith(starts) for name in names)), "spam")] += 1
    return {"log_from": log_from(), "days": days, "refusals": refusals}


def of_records(wanted):
    """The last results of regular jobs."""
    found = []
    for record in wanted:
        try:
            result = json.loads(pathlib.Path(record["path"]).read_text(encoding="utf-8"))
        except FileNotFoundError:
            result = {}
        found.append({"name": record["name"], **{key: result.get(key, "") for key in ("time", "result", "detail")}})
    return found


def main():
    """Read what was asked for."""
    record = {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "since": {"type": "int", "required": True},
            "before": {"type": "int", "required": True},
            "directory": {"type": "str", "default": ""},
            "journal": {"type": "path", "default": "/var/lib/congvu-mail/journal/operations.jsonl"},
            "mail_root": {"type": "str", "default": ""},
            "organisations": {"type": "list", "elements": "str", "default": []},
            "persons": {"type": "bool", "default": False},
            "mta": {"type": "bool", "default": False},
            "filter": {"type": "bool", "default": False},
            "records": {"type": "list", "elements": "dict", "default": [], "options": record},
        },
        supports_check_mode=True,
    )
    given = module.params
    span = given["since"], given["before"]
    figures = {"collected": datetime.datetime.now(VIETNAM).isoformat(timespec="seconds"), "records": of_records(given["records"])}
    organisations = []
    try:
        if given["directory"]:
            figures["directory"] = of_directory(given["directory"], pathlib.Path(given["journal"]))
            organisations = [entry["uid"][0] for entry in figures["directory"]["entries"] if entry.get("congvuKind") == ["organisation"]]
        if given["mail_root"]:
            figures["mail"] = of_mail(pathlib.Path(given["mail_root"]), set(given["organisations"]), given["persons"], *span)
        if given["mta"]:
            figures["mta"] = of_mta(*span)
        if given["filter"]:
            figures["filter"] = of_filter(*span)
    except Failure as failure:
        module.fail_json(msg=str(failure))
    packed = base64.b64encode(zlib.compress(json.dumps(figures, ensure_ascii=False).encode())).decode()
    module.exit_json(changed=False, content=packed, organisations=organisations)


if __name__ == "__main__":
    main()
