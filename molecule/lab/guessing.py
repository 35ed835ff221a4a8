# SPDX-License-Identifier: Apache-2.0
"""Guess passwords from many addresses outside, for the tests and bench/guess."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Iterable, Iterator, Sequence

from mail import MailSystem

# Runs outside. Reads {host, name, guesses: [[source, service, user], ...], workers, rate}; tries each guess on a connection of its own,
# many at a time; prints the server's answer to each (NO, 535 or 454, 401; OK, 235, 302 let somebody in), or the name of the error.
PROGRAM = r"""
import base64, concurrent.futures, json, re, socket, ssl, sys, time, urllib.parse
task = json.load(sys.stdin)
tls = ssl._create_unverified_context()
PORTS = {"imaps": 993, "submissions": 465, "webmail": 443}

def ask(f, text):
    f.write(text.encode()); f.flush()
    return f.readline().decode()

def imaps(f, user):
    f.readline()
    line = ask(f, f'a LOGIN "{user}" "sai-mat-khau"\r\n')
    while line.startswith("* "):  # "waiting for authentication process", after 30 s
        line = f.readline().decode()
    return line.split(" ")[1]

def submissions(f, user):
    f.readline()
    line = ask(f, "EHLO client.outside.example\r\n")
    while line[3:4] == "-":
        line = f.readline().decode()
    return ask(f, "AUTH PLAIN " + base64.b64encode(f"\0{user}\0sai-mat-khau".encode()).decode() + "\r\n")[:3]

def fetch(f, method, path, cookies="", form=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: {task['name']}\r\nCookie: {cookies}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    f.write((head + form).encode()); f.flush()
    status, cookies, length, line = f.readline().decode().split(" ")[1], [], None, b"."
    while line.strip():
        line = f.readline()
        name, _, value = line.decode().strip().partition(": ")
        if name.lower() == "set-cookie":
            cookies.append(value.partition(";")[0])
        elif name.lower() == "content-length":
            length = int(value)
    if length is not None:
        return status, "; ".join(cookies), f.read(length).decode()
    page = b""
    while size := int(f.readline(), 16):
        page += f.read(size); f.readline()
    f.readline()
    return status, "; ".join(cookies), page.decode()

def webmail(f, user):
    _status, cookies, page = fetch(f, "GET", "/")
    token = re.search('name="_token" value="([^"]+)"', page)[1]
    form = urllib.parse.urlencode({"_token": token, "_task": "login", "_action": "login", "_user": user, "_pass": "sai-mat-khau"})
    return fetch(f, "POST", "/?_task=login", cookies, form)[0]

began = time.monotonic()

def guess(number):
    source, service, user = task["guesses"][number]
    if task["rate"]:
        time.sleep(max(0, began + number / task["rate"] - time.monotonic()))
    try:
        with socket.create_connection((task["host"], PORTS[service]), 10, (source, 0)) as raw:
            raw.settimeout(45)
            with tls.wrap_socket(raw, server_hostname=task["name"]) as s, s.makefile("rwb") as f:
                return globals()[service](f, user)
    except (OSError, LookupError, TypeError, ValueError) as error:
        return type(error).__name__

with concurrent.futures.ThreadPoolExecutor(task["workers"]) as pool:
    print(json.dumps(list(pool.map(guess, range(len(task["guesses"]))))))
"""


class Attacker:
    """Somebody outside with many addresses."""

    def __init__(self, system: MailSystem, addresses: Sequence[str]) -> None:
        self.system, self.addresses = system, addresses

    def guess(self, guesses: Iterable[tuple[str, str, str]], workers: int = 60, rate: float = 0) -> list[str]:
        """The answer to each (source, service, user); service: imaps, submissions or webmail; `rate`: a second, 0: as many as go."""
        name = self.system.access["webmail_url"].split("/")[2]
        task = {"host": self.system.address, "name": name, "guesses": list(guesses), "workers": workers, "rate": rate}
        return json.loads(self.system.run_outside("python3", "-c", PROGRAM, stdin=json.dumps(task)))

    def blocked(self) -> set[str]:
        """Addresses that are blocked now."""
        return set(self.system.run("fail2ban-client", "get", "guessing", "banip").split())


@contextlib.contextmanager
def attacker(system: MailSystem, network: str, count: int) -> Iterator[Attacker]:
    """The first `count` addresses of a network, outside; afterwards the ways there are gone, and so are the blocks."""
    hosts = ipaddress.ip_network(network).hosts()
    addresses = [str(next(hosts)) for _ in range(count)]
    gateway = system.run_outside("hostname", "-I").split()[0]
    link = system.run_outside("sh", "-c", "ip -o route get " + system.address + " | sed 's/.* dev \\([^ ]*\\).*/\\1/'").strip()
    batch = "".join(f"address {{}} {address}/32 dev {link}\n" for address in addresses)
    system.run_outside("ip", "-batch", "-", stdin=batch.replace("{}", "add"))
    system.run("ip", "route", "replace", network, "via", gateway)
    try:
        yield Attacker(system, addresses)
    finally:
        system.run("fail2ban-client", "unban", "--all")
        system.run("ip", "route", "del", network)
        system.run_outside("ip", "-batch", "-", stdin=batch.replace("{}", "del"))
