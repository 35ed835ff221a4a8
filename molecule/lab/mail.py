# SPDX-License-Identifier: Apache-2.0
"""Speak with a mail system that access.json describes: send, fetch, run on its hosts. Used by bin/demo and the scenarios' tests.

Connections go to the address in access.json while certificates are verified for the host's name, so no DNS is needed here.
"""

from __future__ import annotations

import base64
import email
import email.policy
import imaplib
import json
import mimetypes
import pathlib
import poplib
import re
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 60


class Refused(Exception):
    """A server said no; `code` and `text` are its answer."""

    def __init__(self, code: int, text: bytes | str) -> None:
        self.code = code
        self.text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        super().__init__(f"{self.code} {self.text}")


class _SMTP(smtplib.SMTP):
    """SMTP to an address, with TLS verified for a name."""

    def __init__(self, address: str, name: str, port: int) -> None:
        self.address = address
        super().__init__(name, port, local_hostname="client.outside.example", timeout=TIMEOUT)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self.address, port), timeout)


class _SMTPS(smtplib.SMTP_SSL):
    """The same with TLS from the start."""

    def __init__(self, address: str, name: str, port: int, context: ssl.SSLContext) -> None:
        self.address = address
        super().__init__(name, port, local_hostname="client.outside.example", timeout=TIMEOUT, context=context)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.context.wrap_socket(socket.create_connection((self.address, port), timeout), server_hostname=host)


class _IMAP(imaplib.IMAP4):
    """IMAP to an address; STARTTLS is verified for the name."""

    def __init__(self, address: str, name: str, port: int) -> None:
        self.address = address
        super().__init__(name, port, TIMEOUT)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return socket.create_connection((self.address, self.port), timeout)


class _IMAPS(imaplib.IMAP4_SSL):
    """The same with TLS from the start."""

    def __init__(self, address: str, name: str, port: int, context: ssl.SSLContext) -> None:
        self.address = address
        super().__init__(name, port, ssl_context=context, timeout=TIMEOUT)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.ssl_context.wrap_socket(socket.create_connection((self.address, self.port), timeout), server_hostname=self.host)


class _POP3S(poplib.POP3_SSL):
    """POP3 over TLS to an address."""

    def __init__(self, address: str, name: str, port: int, context: ssl.SSLContext) -> None:
        self.address = address
        super().__init__(name, port, timeout=TIMEOUT, context=context)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self.context.wrap_socket(socket.create_connection((self.address, self.port), timeout), server_hostname=self.host)


class _Sieve:
    """As much of ManageSieve (RFC 5804) as the tests need, over STARTTLS."""

    def __init__(self, address: str, name: str, port: int, tls: ssl.SSLContext) -> None:
        raw = socket.create_connection((address, port), TIMEOUT)
        self.file = raw.makefile("rwb")
        self.answer()
        self.command("STARTTLS")
        self.socket = tls.wrap_socket(raw, server_hostname=name)
        self.file = self.socket.makefile("rwb")
        self.answer()

    def answer(self) -> str:
        """The lines up to OK, NO or BYE, with the literals in them."""
        whole = ""
        while True:
            line = self.file.readline().decode()
            literal = re.search(r"\{(\d+)\}\r\n$", line)
            if literal:
                line += self.file.read(int(literal[1])).decode() + self.file.readline().decode()
            whole += line
            if not line or line.startswith(("OK", "NO", "BYE")):
                return whole

    def command(self, text: str) -> str:
        """Send a command; its answer, or Refused with it."""
        self.file.write(text.encode() + b"\r\n")
        self.file.flush()
        answer = self.answer()
        if not re.search(r"^OK", answer, re.MULTILINE):
            raise Refused(0, answer)
        return answer

    def put(self, name: str, script: str) -> str:
        """Store a script."""
        return self.command(f'PUTSCRIPT "{name}" {{{len(script.encode())}+}}\r\n{script}')


class MailSystem:
    """The mail system of an access.json."""

    def __init__(self, access: dict[str, Any]) -> None:
        self.access = access
        self.address: str = access["address"]
        self.name: str = access["hostname"]
        self.domain: str = access["domain"]
        self.ports: dict[str, int] = access["ports"]
        self.tls = ssl.create_default_context(cafile=access["ca_certificate"])

    @classmethod
    def load(cls, path: str | pathlib.Path) -> MailSystem:
        """From an access.json."""
        return cls(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))

    # -- accounts and hosts -------------------------------------------------------------------------------------------------------
    def accounts(self, role: str = "person", must_change: bool = False) -> list[dict[str, Any]]:
        """Accounts of a role."""
        return [a for a in self.access["accounts"] if a["role"] == role and a["must_change"] is must_change]

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a command as root on the mail host; its output. AssertionError with its words when it fails and check is set."""
        return _run(self.access["host_command"], argv, stdin, check)

    def run_outside(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        """The same on the foreign mail server."""
        return _run(self.access["outside"]["host_command"], argv, stdin, check)

    def playbook(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project (playbooks/NAME) with the system's inventory."""
        # From the root, as an operator does; Molecule starts the tests in the scenario's folder.
        return subprocess.run(
            [*self.access["ansible"], name, *options], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    # -- SMTP -------------------------------------------------------------------------------------------------------------------------
    def smtp(self, service: str = "smtp", account: dict[str, Any] | None = None) -> smtplib.SMTP:
        """A session on port 25 (`smtp`), 587 (`submission`, after STARTTLS) or 465 (`submissions`), logged in when an account is given.

        Refused with the server's greeting or its answer to the login.
        """
        try:
            if service == "submissions":
                session: smtplib.SMTP = _SMTPS(self.address, self.name, self.ports[service], self.tls)
            else:
                session = _SMTP(self.address, self.name, self.ports[service])
        except smtplib.SMTPConnectError as error:
            raise Refused(error.smtp_code, error.smtp_error) from None
        if service == "submission":
            session.starttls(context=self.tls)
        session.ehlo()
        if account:
            try:
                session.login(account["address"], account["password"])
            except smtplib.SMTPAuthenticationError as error:
                session.close()
                raise Refused(error.smtp_code, error.smtp_error) from None
        return session

    def send(
        self,
        message: EmailMessage | bytes,
        sender: str,
        recipients: Iterable[str],
        service: str = "submission",
        account: dict[str, Any] | None = None,
    ) -> None:
        """Hand a message over; Refused with the server's code and text when it will not have it."""
        raw = message if isinstance(message, bytes) else message.as_bytes(policy=email.policy.SMTP)
        session = self.smtp(service, account)
        try:
            session.sendmail(sender, list(recipients), raw)
        except smtplib.SMTPRecipientsRefused as error:
            raise Refused(*next(iter(error.recipients.values()))) from None
        except smtplib.SMTPResponseException as error:
            raise Refused(error.smtp_code, error.smtp_error) from None
        finally:
            session.close()

    # -- mailboxes --------------------------------------------------------------------------------------------------------------------
    def imap(self, account: dict[str, Any], service: str = "imaps") -> imaplib.IMAP4:
        """A session logged in as the account; Refused with the server's text."""
        if service == "imaps":
            session: imaplib.IMAP4 = _IMAPS(self.address, self.name, self.ports[service], self.tls)
        else:
            session = _IMAP(self.address, self.name, self.ports[service])
            session.starttls(self.tls)
        try:
            session.login(account["address"], account["password"])
        except imaplib.IMAP4.error as error:
            session.shutdown()
            raise Refused(0, str(error)) from None
        return session

    def pop3(self, account: dict[str, Any]) -> poplib.POP3:
        """A POP3 session logged in as the account; Refused with the server's text."""
        session = _POP3S(self.address, self.name, self.ports["pop3s"], self.tls)
        try:
            session.user(account["address"])
            session.pass_(account["password"])
        except poplib.error_proto as error:
            session.close()
            raise Refused(0, str(error)) from None
        return session

    def sieve(self, account: dict[str, Any]) -> _Sieve:
        """A ManageSieve session logged in as the account; Refused with the server's text."""
        session = _Sieve(self.address, self.name, self.ports["sieve"], self.tls)
        token = base64.b64encode(f"\0{account['address']}\0{account['password']}".encode()).decode()
        session.command(f'AUTHENTICATE "PLAIN" "{token}"')
        return session

    def find(self, account: dict[str, Any], message_id: str, folder: str = "INBOX") -> EmailMessage | None:
        """The message with this Message-ID in the account's folder, parsed."""
        session = self.imap(account)
        try:
            if session.select(folder, readonly=True)[0] != "OK":
                return None
            numbers = session.search(None, "HEADER", "Message-ID", f'"{message_id}"')[1][0].split()
            if not numbers:
                return None
            raw = session.fetch(numbers[-1].decode(), "(BODY.PEEK[])")[1][0][1]
            return email.message_from_bytes(raw, policy=email.policy.default)
        finally:
            session.shutdown()

    def wait_for(self, account: dict[str, Any], message_id: str, folder: str = "INBOX", timeout: float = 60) -> EmailMessage:
        """Wait until the message has arrived; AssertionError with the queue when it does not."""
        return wait_until(lambda: self.find(account, message_id, folder), timeout, lambda: f"queue: {self.run('postqueue', '-p')}")


def compose(
    sender: str,
    recipient: str,
    subject: str,
    text: str = "Kính gửi đồng chí.\n",
    attachments: Iterable[tuple[str, bytes]] = (),
    **headers: str,
) -> EmailMessage:
    """A message with date, Message-ID and attachments (name, content)."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "client.outside.example")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    for name, content in attachments:
        kind, _, sub = (mimetypes.guess_type(name)[0] or "application/octet-stream").partition("/")
        message.add_attachment(content, maintype=kind, subtype=sub, filename=name)
    return message


def refusal(action: Callable[[], Any]) -> Refused:
    """What the server answered to an action that must be refused; AssertionError when it was not."""
    try:
        action()
    except Refused as answer:
        return answer
    raise AssertionError("it was accepted")


def wait_until(condition: Callable[[], Any], timeout: float = 30, what: Callable[[], str] | str = "the condition") -> Any:
    """Call until the result is true; that result. AssertionError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.2)


def _run(prefix: list[str], argv: tuple[str, ...], stdin: str | None, check: bool) -> str:
    done = subprocess.run([*prefix, *argv], input=stdin or "", capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout
