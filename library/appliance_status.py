#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the state of a host of the mail system, read only."""

from __future__ import annotations

import collections
import contextlib
import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import time
import urllib.request

from ansible.module_utils import congvu_journal
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: appliance_status
short_description: The state of a host of the mail system, read only
description:
  - Reads what an operator wants to know of a host; changes nothing. Only what is asked for is looked at.
  - Never fails because something is down. What could not be read has the key C(error) instead of its figures; a command that does
    not answer within I(timeout) seconds counts as such.
  - Judging the figures and printing them is the business of C(congvu_mail.status).
options:
  services:
    description: Units that have to run.
    type: list
    elements: str
    default: []
  queue:
    description: Count the messages in Postfix's queues.
    type: bool
    default: false
  disks:
    description: Paths whose file systems are looked at, each file system once, by the folder where it is mounted.
    type: list
    elements: path
    default: []
  certificates:
    description: Certificates (PEM) whose end of validity is read.
    type: list
    elements: path
    default: []
  records:
    description: >-
      Files in which a regular job leaves its result as a JSON object C({time, result, detail}) (ISO 8601; C(ok), C(notice) or
      C(failed); text).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the job does, C(backup), C(restore_test), C(clock) or C(forwarding).
        type: str
        required: true
      path:
        description: The file.
        type: path
        required: true
      hours:
        description: Hours after which the result is too old.
        type: int
        required: true
  ages:
    description: Files that hold nothing but a password of an administrator, written anew only when it changes; their age is its age.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the password opens.
        type: str
        required: true
      path:
        description: The file.
        type: path
        required: true
      days:
        description: Days after which the password is too old.
        type: int
        required: true
  sessions:
    description: Count who is logged in to Dovecot.
    type: bool
    default: false
  directory:
    description: DN below which mailbox entries are counted by kind and state; empty for none. Asked over C(ldapi:///).
    type: str
    default: ""
  journal:
    description: The journal of operations, which is checked for changes (C(congvu_mail.journal)); empty for none.
    type: path
    default: ""
  filter:
    description: Address of Rspamd's controller, for instance C(http://127.0.0.1:11334); empty for none.
    type: str
    default: ""
  filter_password:
    description: Password of Rspamd's controller.
    type: str
    default: ""
  antivirus:
    description: Socket of clamd; empty for none.
    type: str
    default: ""
  packages:
    description: Packages whose versions are told.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for one answer.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Look at the host
  appliance_status:
    services: [postfix, dovecot]
    queue: true
    disks: [/, /srv/mail]
  register: appliance
"""

RETURN = r"""
status:
  description: >-
    C(time) (seconds since 1970), C(host) (system, uptime in seconds, reboot, failed units), C(services), C(queue), C(disks)
    (bytes), C(certificates), C(records), C(ages), C(sessions), C(directory), C(journal), C(filter), C(antivirus), C(packages),
    C(updates); only what was asked for.
  type: dict
  returned: always
"""

# How a look fails: nobody answers, or answers in a form we do not know. Anything else is an error of this module and shows as one.
FAILURES = (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError, http.client.HTTPException)


class Host:
    """The looks at a host; each returns plain data."""

    def __init__(self, timeout, password):
        self.timeout = timeout
        self.password = password

    def run(self, *argv):
        """What a command prints; ValueError with its complaint when it fails."""
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=self.timeout, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise ValueError(f"{argv[0]}: {said[-1] if said else f'status {done.returncode}'}")
        return done.stdout

    def host(self):
        """Release, uptime, failed units and whether a reboot is due."""
        version, uptime = (pathlib.Path(path).read_text(encoding="ascii").split()[0] for path in ("/etc/debian_version", "/proc/uptime"))
        failed = self.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--output=json")
        return {
            "system": f"Debian {version}",
            "uptime": int(float(uptime)),
            "reboot": pathlib.Path("/run/reboot-required").exists(),
            "failed": sorted(unit["unit"] for unit in json.loads(failed)),
        }

    def services(self, units):
        """The state of units as systemd tells it."""
        return [{"unit": unit, **guarded(self.service, unit)} for unit in units]

    def service(self, unit):
        """LoadState, ActiveState, SubState and Result of a unit."""
        shown = self.run("systemctl", "show", "--property", "LoadState,ActiveState,SubState,Result", unit)
        found = dict(line.split("=", 1) for line in shown.splitlines())
        return {"load": found["LoadState"], "active": found["ActiveState"], "sub": found["SubState"], "result": found["Result"]}

    def queue(self, _wanted):
        """Messages by queue, and when the oldest arrived."""
        messages = [json.loads(line) for line in self.run("postqueue", "-j").splitlines()]
        counts = collections.Counter(message["queue_name"] for message in messages)
        return {"queues": dict(sorted(counts.items())), "oldest": min((m["arrival_time"] for m in messages), default=None)}

    def disks(self, paths):
        """Size and free space in bytes and inodes, of each file system once."""
        mounted = {path: guarded(self.mounted, path) for path in paths}
        points = dict.fromkeys(found.get("point", path) for path, found in mounted.items())
        return [{"path": path, **guarded(self.disk, path)} for path in points]

    def mounted(self, path):
        """Where the file system of a path is mounted; what does not exist yet will lie in its parent's."""
        path = os.path.realpath(path)
        with contextlib.suppress(FileNotFoundError):
            os.stat(path)
        while not os.path.ismount(path):
            path = os.path.dirname(path)
        return {"point": path}

    def disk(self, path):
        """One file system; free is what users other than root may still write."""
        found = os.statvfs(path)
        return {
            "size": found.f_blocks * found.f_frsize,
            "free": found.f_bavail * found.f_frsize,
            "inodes": found.f_files,
            "inodes_free": found.f_favail,
        }

    def certificates(self, paths):
        """The end of validity of certificates."""
        return [{"path": path, **guarded(self.certificate, path)} for path in paths]

    def certificate(self, path):
        """One certificate: the first of the file."""
        end = self.run("openssl", "x509", "-noout", "-enddate", "-in", path).strip().partition("=")[2]
        return {"end": int(ssl.cert_time_to_seconds(end))}

    def records(self, wanted):
        """The last results of regular jobs."""
        return [{"name": record["name"], "hours": record["hours"], **guarded(self.record, record["path"])} for record in wanted]

    def record(self, path):
        """One result; never is None."""
        try:
            found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"time": None}
        return {"time": str(found["time"]), "result": str(found["result"]), "detail": str(found.get("detail", ""))}

    def ages(self, wanted):
        """When the passwords of administrators were set (seconds since 1970)."""
        return [{"name": one["name"], "days": one["days"], **guarded(self.age, one["path"])} for one in wanted]

    def age(self, path):
        """One of them."""
        return {"since": int(os.stat(path).st_mtime)}

    def sessions(self, _wanted):
        """Connections by protocol, and the number of users behind them."""
        found = json.loads(self.run("doveadm", "-f", "json", "who", "-1"))
        services = collections.Counter(session["service"] for session in found)
        return {"services": dict(sorted(services.items())), "users": len({session["username"] for session in found})}

    def directory(self, base):
        """Mailbox entries by kind and state."""
        wanted = ("-LLL", "-o", "ldif-wrap=no", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", "-E", "pr=1000/noprompt", "-b", base)
        found = self.run("ldapsearch", *wanted, "(objectClass=congvuMailbox)", "congvuKind", "congvuState")
        counts = collections.Counter()
        for entry in found.split("\n\n"):
            values = dict(line.split(": ", 1) for line in entry.splitlines() if line.startswith("congvu"))
            if values:
                counts[values.get("congvuKind", ""), values.get("congvuState", "")] += 1
        return {"counts": [{"kind": kind, "state": state, "number": number} for (kind, state), number in sorted(counts.items())]}

    def journal(self, path):
        """Whether the journal of operations is what was written."""
        verdict = congvu_journal.verify(path)
        return {"entries": verdict.entries, "problems": verdict.problems, "remarks": verdict.remarks}

    def filter(self, url):
        """Rspamd's counters since its start."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        question = urllib.request.Request(f"{url.rstrip('/')}/stat", headers={"Password": self.password})
        with direct.open(question, timeout=self.timeout) as answer:
            found = json.load(answer)
        return {
            "scanned": found["scanned"],
            "learned": found["learned"],
            "actions": found["actions"],
            "version": found["version"],
        }

    def antivirus(self, path):
        """What clamd says of itself: program/number of the official signatures/their date."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self.timeout)
            connection.connect(path)
            connection.sendall(b"zVERSION\0")
            answer = connection.makefile("rb").read().rstrip(b"\0\n").decode()
        version, _, rest = answer.partition("/")
        number, _, date = rest.partition("/")
        return {"version": version, "signatures": number, "date": date}

    def packages(self, names):
        """Installed versions."""
        found = self.run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status} ${Version}\\n")
        installed = dict(line.split(" installed ", 1) for line in found.splitlines() if " installed " in line)
        return {name: installed.get(name) for name in names}

    def updates(self):
        """Upgrades that apt knows of, from its lists as they are; security ones apart."""
        found = self.run("apt-get", "--simulate", "--quiet=2", "-o", "Debug::NoLocking=true", "dist-upgrade")
        lines = [line for line in found.splitlines() if line.startswith("Inst ")]
        return {"all": len(lines), "security": sum("-security" in line.lower() for line in lines)}


def guarded(look, *arguments):
    """What the look finds, or why it could not be done."""
    try:
        return look(*arguments)
    except FAILURES as error:
        return {"error": " ".join(str(error).split()) or type(error).__name__}


def main():
    """Look at what was asked for."""
    lists = {name: {"type": "list", "elements": kind, "default": []} for name, kind in (("services", "str"), ("packages", "str"))}
    paths = {name: {"type": "list", "elements": "path", "default": []} for name in ("disks", "certificates")}
    records = {
        "name": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "hours": {"type": "int", "required": True},
    }
    ages = {name: records[name] for name in ("name", "path")} | {"days": {"type": "int", "required": True}}
    module = AnsibleModule(
        argument_spec={
            **lists,
            **paths,
            "records": {"type": "list", "elements": "dict", "default": [], "options": records},
            "ages": {"type": "list", "elements": "dict", "default": [], "options": ages},
            "queue": {"type": "bool", "default": False},
            "sessions": {"type": "bool", "default": False},
            "directory": {"type": "str", "default": ""},
            "journal": {"type": "path", "default": ""},
            "filter": {"type": "str", "default": ""},
            "filter_password": {"type": "str", "default": "", "no_log": True},
            "antivirus": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    asked = dict(module.params)
    host = Host(asked.pop("timeout"), asked.pop("filter_password"))
    status = {"time": int(time.time()), "host": guarded(host.host), "updates": guarded(host.updates)}
    for name, wanted in asked.items():
        if wanted:
            status[name] = guarded(getattr(host, name), wanted)
    module.exit_json(changed=False, status=status)


if __name__ == "__main__":
    main()
