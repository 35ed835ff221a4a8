#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/run: measure a real system made as bin/demo makes it, on hosts of its own, and append the table to docs/benchmarks.md.

Everything runs on one machine and shares its processors, the sender of the load too: compare rows of one run, and runs of one machine.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import html
import http.client
import os
import re
import secrets
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import yaml
from demo import LAB, ROOT, Demo, Failed, say
from mail import MailSystem, compose, wait_until
from results import Table, record, stopwatch

# Unknown to the filter: what an earlier run was told to send again later would be refused for minutes.
SENDER = f"bench-{secrets.token_hex(4)}@outside.example"
SESSIONS = 10  # connections that send mail
MESSAGES = 1000  # of 5 kB, a round
ROUNDS = 2  # with filters and without, in turn
LOGINS_PER_SECOND = 17  # 5,000 users who come to work within five minutes
SECONDS = 30  # of offered logins


class Bench(Demo):
    """A demo under names of its own, so that one that is in use stays as it is."""

    def __init__(self, province: str) -> None:
        super().__init__(province)
        self.folder = ROOT / "build" / "bench"
        self.overlay = self.folder / "inventory"
        self.host, self.outside, self.raw = "congvu-bench", "congvu-bench-outside", "congvu-bench-raw"

    def site(self) -> tuple[float, dict[str, int]]:
        """Run site.yml, the sender of the load freed from the limits that hold for one client: (seconds, recap)."""
        free = f'{{"postfix_client_limit_exceptions": ["127.0.0.0/8", "{self.outside_address}/32"]}}'
        with stopwatch() as elapsed:
            recap = self.playbook("site.yml", "--extra-vars", free)
        return elapsed(), recap


def percentiles(times: list[float]) -> str:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"


# --- Installing ------------------------------------------------------------------------------------------------------------------------


def packages() -> list[str]:
    """Every package that a role installs."""
    found: set[str] = set()
    for path in ROOT.glob("roles/*/vars/Debian-13.yml"):
        names = yaml.safe_load(path.read_text(encoding="utf-8"))
        found.update(*(value for name, value in names.items() if name.endswith("_packages")))
    return sorted(found)


def measure_converge(bench: Bench, table: Table) -> None:
    """The packages alone, a first run on a fresh host, a second one that has nothing to do."""
    say("The packages alone, on a host of their own")
    bench.lab("up", bench.raw, "raw.lab.test")
    install = "apt-get update -q && apt-get install --yes --no-install-recommends --quiet " + " ".join(packages())
    with stopwatch() as raw:
        bench.lab("exec", bench.raw, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", f"({install}) >/dev/null 2>&1")
    bench.lab("down", bench.raw)
    table.row(f"`apt-get install` of all {len(packages())} packages of the roles", f"{raw():.0f} s")
    bench.start_hosts()
    bench.write_inventory()
    first, recap = bench.site()
    table.row("first run of site.yml on a fresh host", f"{first:.0f} s, {recap['ok']} tasks", f"{first / raw():.1f} × apt-get alone")
    with stopwatch() as accounts:
        bench.playbook("accounts.yml")
    table.row(f"accounts.yml, {len(bench.mailboxes())} mailboxes", f"{accounts():.0f} s")
    second, recap = bench.site()
    if recap["changed"]:
        say(f"{recap['changed']} changes, made to the roles since the first run: once more")
        second, recap = bench.site()
    if recap["changed"]:
        raise Failed(f"a further run changes {recap['changed']} things again: it is not the run without work that was to be measured.")
    table.row("second run, nothing to change", f"{second:.0f} s, {recap['ok']} tasks", f"{second / first:.2f} × first run")


# --- Mail ------------------------------------------------------------------------------------------------------------------------------


def arrived(bench: Bench) -> int:
    """Messages in all folders of all mailboxes."""
    return int(bench.run("sh", "-c", "find /srv/mail -type f -path '*/new/*' -o -type f -path '*/cur/*' | wc -l"))


def carry(bench: Bench, recipients: list[str]) -> float:
    """Messages a second from the foreign server into the mailboxes, over SESSIONS connections, all of them there."""
    command, each = [str(LAB), "exec", bench.outside], MESSAGES // SESSIONS
    senders = ""
    for recipient in recipients:
        message = compose(SENDER, recipient, "Báo cáo công tác tháng", f"Kính gửi đồng chí, {SENDER} xin báo cáo công tác tháng.\n" * 40)
        file = f"/tmp/bench-{recipient}"
        subprocess.run([*command, "tee", file], input=message.as_bytes(), stdout=subprocess.DEVNULL, check=True)
        senders += f"smtp-source -d -s 1 -m {each} -M mx.outside.example -f {SENDER} -F {file} -t {recipient} {bench.address}:25 & "
    before = arrived(bench)
    with stopwatch() as elapsed:
        done = subprocess.run([*command, "sh", "-c", f"{senders} wait"], capture_output=True, text=True, check=False)
        if done.stderr.strip():
            raise Failed(f"the server did not take all messages: {done.stderr.strip().splitlines()[0]}")
        wait_until(lambda: arrived(bench) - before >= each * SESSIONS, 300, lambda: f"{arrived(bench) - before} of {MESSAGES} arrived")
    return each * SESSIONS / elapsed()


def measure_mail(bench: Bench, table: Table) -> None:
    """End to end with every filter and without, in turn, so that a busy minute of the machine hits both."""
    recipients = [m["mail"] for m in bench.mailboxes() if m["congvuState"] == "active"][:SESSIONS]
    figures: dict[bool, list[float]] = {True: [], False: []}
    bench.run("cp", "-p", "/etc/postfix/main.cf", "/root/main.cf.bench")
    try:
        for _ in range(ROUNDS):
            for filtered in (True, False):
                say(f"{MESSAGES} messages {'with' if filtered else 'without'} filters")
                bench.run("cp", "-p", "/root/main.cf.bench", "/etc/postfix/main.cf")
                if not filtered:
                    bench.run("postconf", "smtpd_milters=", "non_smtpd_milters=")
                bench.run("systemctl", "restart", "postfix")
                figures[filtered].append(carry(bench, recipients))
    finally:
        bench.run("cp", "-p", "/root/main.cf.bench", "/etc/postfix/main.cf")
        bench.run("systemctl", "restart", "postfix")
    on, off = (statistics.mean(figures[f]) for f in (True, False))
    rounds = {f: ", ".join(f"{n:.0f}" for n in figures[f]) for f in figures}
    what = f"mail from outside into {SESSIONS} mailboxes, {MESSAGES} messages of 5 kB over {SESSIONS} connections"
    table.row(f"{what}, filters off", f"{off:.0f} messages/s", f"rounds: {rounds[False]}")
    table.row(f"{what}, all filters on", f"{on:.0f} messages/s", f"{on / off:.2f} × filters off; rounds: {rounds[True]}")


# --- Logins and clicks -------------------------------------------------------------------------------------------------------------------


def measure_logins(system: MailSystem, table: Table) -> None:
    """IMAP over TLS with passwords their users set (ARGON2): as many as go, then what LOGINS_PER_SECOND feel like."""
    accounts = system.accounts("person") + system.accounts("organisation") + system.accounts("admin")

    def log_in(number: int) -> None:
        session = system.imap(accounts[number % len(accounts)])
        session.logout()

    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool, stopwatch() as elapsed:
        list(pool.map(log_in, range(300)))
    table.row(f"IMAP logins, as many as {SESSIONS} clients get", f"{300 / elapsed():.0f} logins/s")
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        times = offered(pool, log_in, LOGINS_PER_SECOND, SECONDS)
    table.row(f"IMAP login at {LOGINS_PER_SECOND} logins/s offered", percentiles(times), "5,000 users within five minutes")


def offered(pool: concurrent.futures.Executor, action: Callable[[int], None], rate: float, seconds: int) -> list[float]:
    """Run the action at a rate, whether or not earlier ones are finished; how long after it was due each was done."""
    began = time.monotonic() + 0.5

    def one(number: int) -> float:
        due = began + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        action(number)
        return time.monotonic() - due

    return list(pool.map(one, range(int(rate * seconds))))


class Webmail:
    """A session of the webmail without a browser: cookies and the token of its requests."""

    def __init__(self, system: MailSystem, account: dict[str, Any]) -> None:
        self.system, self.cookies = system, {}
        self.name = urllib.parse.urlsplit(system.access["webmail_url"]).hostname
        self.connection: http.client.HTTPConnection | None = None
        token = re.search(r'name="_token" value="([^"]+)"', self.ask("/")[1])
        if not token:
            raise Failed("the webmail's login page has no form.")
        form = {"_token": html.unescape(token[1]), "_task": "login", "_action": "login", "_url": "", "_timezone": "Asia/Ho_Chi_Minh"}
        status, _text = self.ask("/?_task=login", {**form, "_user": account["address"], "_pass": account["password"]})
        if status != 302:
            raise Failed(f"the webmail refused {account['address']} with {status}.")
        self.token = re.search(r'"request_token":"([^"]+)"', self.ask("/?_task=mail")[1])[1]

    def ask(self, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """GET, or POST of a form; (status, text)."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.name, timeout=60)
            plain = socket.create_connection((self.system.address, self.system.ports["https"]), 60)
            self.connection.sock = self.system.tls.wrap_socket(plain, server_hostname=self.name)
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if hasattr(self, "token"):
            headers |= {"X-Roundcube-Request": self.token, "X-Requested-With": "XMLHttpRequest"}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self.connection.request("POST" if form else "GET", path, urllib.parse.urlencode(form) if form else None, headers)
            answer = self.connection.getresponse()
            text = answer.read().decode()
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
            self.connection = None
            raise
        if answer.will_close:
            self.connection = None
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, text

    def click(self, number: int) -> None:
        """Open the list of a folder, or the newest messages again; each is a login to IMAP for the webmail."""
        folder = ("INBOX", "Sent")[number % 2]
        status, text = self.ask(f"/?_task=mail&_action=list&_mbox={folder}&_remote=1&_unlock=0&_={number}")
        if status != 200 or '"action":"list"' not in text:
            raise Failed(f"the webmail answered a click with {status}: {text[:200]}")


def measure_clicks(system: MailSystem, table: Table) -> None:
    """Clicks of users who are logged in, each as fast as the webmail answers."""
    accounts = system.accounts("person") + system.accounts("organisation")
    sessions = [Webmail(system, account) for account in accounts for _ in range(2)]
    times: list[float] = []

    def user(session: Webmail) -> int:
        count = 0
        while elapsed() < 15:
            began = time.monotonic()
            session.click(count)
            times.append(time.monotonic() - began)
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(len(sessions)) as pool, stopwatch() as elapsed:
        clicks = sum(pool.map(user, sessions))
    table.row(f"webmail clicks of {len(sessions)} users at a time", f"{clicks / elapsed():.0f} clicks/s", percentiles(times))


# --- All of it ---------------------------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("province", nargs="?", default="quang-tri")
    parser.add_argument("--keep", action="store_true", help="leave the hosts for another run")
    parser.add_argument("--reuse", action="store_true", help="take the hosts that an earlier run left")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > os.cpu_count():
        say(f"This machine is busy (load {load:.1f}): the figures will be too low.")
    table = Table("measured", "figure", "compared")
    try:
        bench = Bench(options.province)
        if options.reuse:
            bench.start_hosts()
        else:
            bench.lab("down", bench.raw)
            bench.destroy()
            measure_converge(bench, table)
        bench.build_outside()
        system = MailSystem(bench.access())
        measure_mail(bench, table)
        measure_logins(system, table)
        measure_clicks(system, table)
        record(table, options.province, load)
        if not options.keep:
            bench.destroy()
    except Failed as failure:
        print(f"bench/run: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
