# SPDX-License-Identifier: Apache-2.0
"""A real browser on the pages of a test host: log in to the webmail, write to a colleague out of the directory, read; change a password.

    with browser(address, ["mail.lab.test"], ca_file) as page:
        login(page, "https://mail.lab.test/", "an@lab.test", password)
        compose(page, to="binh", subject="Báo cáo", body="Kính gửi...", attachment=path)

The browser resolves only the given names, trusts only the given CA, and starts with an empty profile.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

HERE = pathlib.Path(__file__).resolve().parent
CHROMIUM = "/usr/bin/chromium"
TIMEOUT = 20_000  # ms, for whatever a page is waited for
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}


def fetch(
    address: str,
    url: str,
    ca_file: str | pathlib.Path,
    form: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, http.client.HTTPMessage, str]:
    """Ask a host at an address for a URL, without a browser: (status, headers, text). With a form or a body it is a POST.

    No redirect is followed.
    """
    parts = urllib.parse.urlsplit(url)
    secure = parts.scheme == "https"
    connection = http.client.HTTPConnection(parts.hostname, timeout=30)
    connection.sock = socket.create_connection((address, 443 if secure else 80), 30)
    if secure:
        connection.sock = ssl.create_default_context(cafile=str(ca_file)).wrap_socket(connection.sock, server_hostname=parts.hostname)
    sent = dict(headers or {})
    if form is not None:
        body = urllib.parse.urlencode(form)
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request("GET" if body is None else "POST", path, body.encode() if isinstance(body, str) else body, sent)
    answer = connection.getresponse()
    with contextlib.closing(connection):
        return answer.status, answer.headers, answer.read().decode()


class Session:
    """A user of the webmail at a URL, without a browser: what its pages and its answers say."""

    def __init__(self, address: str, url: str, ca_file: str | pathlib.Path, user: str, password: str) -> None:
        self.address, self.url, self.ca_file = address, url, ca_file
        self.cookies: dict[str, str] = {}
        token = self.env(self.ask(""))["request_token"]
        form = {"_token": token, "_task": "login", "_action": "login", "_user": user, "_pass": password}
        self.page = self.ask("?_task=login", urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")

    def ask(self, query: str, body: bytes | None = None, kind: str = "", **headers: str) -> str:
        """A page; redirects are followed. AssertionError with the status of anything but a page."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **headers}
        if kind:
            sent["Content-Type"] = kind
        status, answered, text = fetch(self.address, self.url + query, self.ca_file, None, body, sent)
        for cookie in answered.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if status == 302:
            return self.ask("?" + answered["Location"].partition("?")[2])
        assert status == 200, f"HTTP {status}: {text[:200]}"
        return text

    @staticmethod
    def env(page: str) -> dict[str, Any]:
        """What a page tells its own program."""
        return json.loads(re.search(r"rcmail\.set_env\((\{.*?\})\);\n", page, re.DOTALL)[1])

    def compose(self) -> dict[str, Any]:
        """Begin a message; what the page tells its program of it."""
        self.page = self.ask("?_task=mail&_action=compose")
        return self.env(self.page)

    def form(self, query: str, fields: Mapping[str, str], file: tuple[str, bytes] | None = None) -> str:
        """Send the fields of the message begun last, and perhaps a file to attach; the answer."""
        token, edge = self.env(self.page)["request_token"], uuid.uuid4().hex
        parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
        if file:
            head = f'--{edge}\r\nContent-Disposition: form-data; name="_attachments[]"; filename="{file[0]}"\r\n'
            parts += [f"{head}Content-Type: application/octet-stream\r\n\r\n".encode(), file[1], b"\r\n"]
        body = b"".join([*parts, f"--{edge}--\r\n".encode()])
        return self.ask(query, body, f"multipart/form-data; boundary={edge}", **{"X-Roundcube-Request": token})

    def attach(self, name: str, content: bytes) -> str:
        """Upload a file to the message begun last; the webmail's answer."""
        number = self.env(self.page)["compose_id"]
        query = f"?_task=mail&_action=upload&_remote=1&_from=compose&_id={number}&_uploadid=upload1"
        return self.form(query, {}, (name, content))

    def send(self, to: str, subject: str) -> str:
        """Send the message begun last; the webmail's answer."""
        env = self.env(self.page)
        identity = re.search(r'<select name="_from".*?<option value="(\d+)"', self.page, re.DOTALL)[1]
        fields = {"_token": env["request_token"], "_task": "mail", "_action": "send", "_id": env["compose_id"], "_from": identity}
        return self.form("?_task=mail&_framed=1", {**fields, "_to": to, "_subject": subject, "_message": "x", "_is_html": "0"})


class PasswordForm:
    """The password page without a browser, as one visitor sees it: one cookie, one token, as many tries as wanted."""

    def __init__(self, address: str, url: str, ca_file: str | pathlib.Path) -> None:
        self.address, self.url, self.ca_file = address, url, ca_file
        _status, headers, text = fetch(address, url, ca_file)
        self.cookie = headers["Set-Cookie"].split(";")[0]
        self.token = re.search(r'name="token" value="([^"]+)"', text)[1]

    def send(self, mailbox: str, old: str, new: str, again: str | None = None, **more: str) -> tuple[int, str]:
        """Ask for a change; (status, what the page says in its box, else the whole page)."""
        form = {
            "token": self.token,
            "address": mailbox,
            "old": old,
            "new": new,
            "again": new if again is None else again,
            "pledge": "yes",
            **more,
        }
        status, _headers, text = fetch(self.address, self.url, self.ca_file, form, headers={"Cookie": self.cookie})
        box = re.search(r'<div role="(?:alert|status)".*?</div>', text, re.DOTALL)
        return status, html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", box.group(0)))).strip() if box else text


def podman(*arguments: str) -> str:
    """Run podman where the test hosts live; what it prints."""
    return subprocess.run([HERE / "hostns.sh", "podman", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def network() -> Iterator[str]:
    """A network namespace beside the test hosts, as a path.

    Chromium drops every request when an interface appears or goes on its machine, which happens whenever another scenario starts a host.
    """
    image = subprocess.run([HERE / "image.sh"], check=True, capture_output=True, text=True).stdout.strip()
    container = podman(
        "run",
        "--detach",
        "--rm",
        "--network",
        "congvu-mail",
        "--dns=none",
        "--sysctl",
        "net.ipv6.conf.all.disable_ipv6=1",
        "--entrypoint",
        "sleep",
        image,
        "infinity",
    )
    try:
        yield f"/proc/{podman('inspect', '--format', '{{.State.Pid}}', container)}/ns/net"
    finally:
        podman("rm", "--force", "--time", "0", container)


@contextlib.contextmanager
def browser(
    address: str, names: Sequence[str], ca_file: str | pathlib.Path, phone: bool = False, elsewhere: Mapping[str, str] | None = None
) -> Iterator[Page]:
    """A page of a fresh Chromium that finds the names at the address and verifies certificates with the CA (PEM file).

    `elsewhere`: further names and their addresses.
    """
    with tempfile.TemporaryDirectory(prefix="congvu-browser-") as home, network() as namespace, sync_playwright() as playwright:
        program = pathlib.Path(home, "chromium")
        program.write_text(f'#!/bin/sh\nexec nsenter --net={namespace} {CHROMIUM} "$@"\n')
        program.chmod(0o755)
        store = pathlib.Path(home, ".pki", "nssdb")
        store.mkdir(parents=True)
        for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "test", "-i", str(ca_file)]):
            subprocess.run(["certutil", "-d", f"sql:{store}", *arguments], check=True, capture_output=True)
        known = dict.fromkeys(names, address) | dict(elsewhere or {})
        rules = ", ".join([*(f"MAP {name} {where}" for name, where in known.items()), "MAP * ~NOTFOUND"])
        context = playwright.chromium.launch_persistent_context(
            f"{home}/profile",
            executable_path=str(program),
            env={**os.environ, "HOME": home},
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--host-resolver-rules={rules}"],
            locale="vi-VN",
            timezone_id="Asia/Ho_Chi_Minh",
            viewport=PHONE if phone else DESKTOP,
            is_mobile=phone,
            has_touch=phone,
        )
        context.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        try:
            yield context.pages[0]
        finally:
            context.close()


def login(page: Page, url: str, address: str, password: str) -> None:
    """Log in to the webmail; AssertionError with the page's message when it refuses."""
    page.goto(url)
    page.fill("#rcmloginuser", address)
    page.fill("#rcmloginpwd", password)
    page.click("#rcmloginsubmit")
    page.wait_for_load_state()
    refusal = page.locator("#messagestack .alert")
    assert page.locator("#rcmloginuser").count() == 0, f"the webmail refused {address}: {refusal.all_inner_texts()}"
    expect(page.locator("#mailboxlist")).to_be_visible()
    settle(page)


def settle(page: Page) -> None:
    """After a page was asked for: wait until its own program runs and has what it needs; clicks before that go nowhere."""
    page.wait_for_load_state("networkidle")
    idle(page)


def idle(page: Page) -> None:
    """After something happened within a page: wait until the webmail obeys again; while it loads something, it ignores clicks and keys."""
    page.wait_for_function("() => !window.rcmail || !rcmail.busy")


def compose(page: Page, to: str, subject: str, body: str, attachment: str | pathlib.Path | None = None) -> str:
    """Write and send a message: type the beginning of the recipient's name, take the directory's first answer; the recipient's line.

    Returns when the webmail says that the message was sent; AssertionError with its message otherwise.
    """
    page.click("#taskmenu a.compose")
    page.wait_for_url("**_action=compose**")
    settle(page)
    recipient = pick_recipient(page, to)
    page.fill("#compose-subject", subject)
    page.fill("#composebody", body)
    if attachment:
        page.set_input_files("#uploadformInput, input[type=file]", str(attachment))
        expect(page.locator("#attachment-list li:not(.uploading)")).to_have_count(1)
    page.click("#compose-content button.send, a.send")
    # Sent: the webmail goes back to the list. Refused: it stays and says why.
    refusal = page.locator("#messagestack .error, #messagestack .warning")
    deadline = time.monotonic() + 120
    while "_action=compose" in page.url:
        assert refusal.count() == 0, f"the webmail did not send: {refusal.all_inner_texts()}"
        assert time.monotonic() < deadline, "the webmail neither sent nor refused within 120 s"
        page.wait_for_timeout(100)
    settle(page)
    return recipient


def pick_recipient(page: Page, to: str) -> str:
    """In the open compose form type the text into To and take the first answer of the address books; the answer's text."""
    page.locator("#compose_to input").press_sequentially(to, delay=30)
    first = page.locator("#rcmKSearchpane li").first
    first.wait_for()
    text = first.inner_text().strip()
    first.click()
    expect(page.locator("#compose_to li.recipient")).to_have_count(1)
    return text


def read(page: Page, subject: str, folder: str = "INBOX") -> str:
    """Open the newest message with the subject in a folder; the text of its body. Waits for it to arrive, asking the server again."""
    page.goto(f"{page.url.split('?')[0]}?_task=mail&_mbox={folder}")
    settle(page)
    row = page.locator("#messagelist tr.message", has_text=subject).first
    for _ in range(10):
        with contextlib.suppress(Exception):
            row.wait_for(timeout=3000)
            break
        page.click("a.refresh")
    row.locator("td.subject a").first.dblclick()
    message = page.locator("#messagebody")
    message.wait_for()
    return message.inner_text()


def select(page: Page, subject: str) -> None:
    """Select the newest message with the subject in the open folder and wait until it is shown: before that buttons do nothing."""
    page.locator("#messagelist tr.message", has_text=subject).first.click()
    shown = page.frame_locator("#messagecontframe").locator("h2.subject", has_text=subject)
    shown.wait_for()
    idle(page)


def logout(page: Page) -> None:
    """End the session."""
    page.click("#taskmenu a.logout")
    expect(page.locator("#rcmloginuser")).to_be_visible()


def change_password(page: Page, url: str, address: str, old: str, new: str, again: str | None = None) -> str:
    """Fill in and send the password page; the text of its answer, whether it says yes or no."""
    page.goto(url)
    page.fill("input[name=address]", address)
    page.fill("input[name=old]", old)
    page.fill("input[name=new]", new)
    page.fill("input[name=again]", new if again is None else again)
    for pledge in page.locator("input[name=pledge]").all():  # where the regulation asks for one
        pledge.check()
    page.click("button[type=submit]")
    answer = page.locator("[role=alert], [role=status]")
    answer.first.wait_for()
    return " ".join(answer.all_inner_texts())
