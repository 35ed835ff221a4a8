# SPDX-License-Identifier: Apache-2.0
"""Notices about mailboxes: their Vietnamese text, and sending them by authenticated submission with proof. Standard library only."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import smtplib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds
SUBJECTS = {
    "lock": "Thông báo tạm khóa hộp thư {address}",
    "withdraw": "Thông báo về việc thu hồi hộp thư {address}",
    "remove": "Thông báo về việc gỡ bỏ hộp thư {address}",
    "": "Thông báo về hộp thư {address}",
}
TEXT = """\
Kính gửi: {recipient},

{operator} thông báo về hộp thư điện tử công vụ:

  Hộp thư:     {address}
  Tên:         {name}
  Cơ quan:     {organisation}
  Tình trạng:  {reason}
  Căn cứ:      {clause}{regulation}

{request}

Thư này do hệ thống gửi tự động; mọi trả lời được chuyển đến bộ phận quản trị.

Trân trọng.
"""
REOPEN = (
    "Nếu còn nhu cầu sử dụng, đề nghị cơ quan quản lý gửi văn bản đề nghị mở lại đến {mailbox}; hộp thư được giữ nguyên cho đến khi\n"
    "đề nghị được giải quyết."
)
USE = "Nếu còn nhu cầu sử dụng, đề nghị đăng nhập hộp thư trước ngày nêu trên; trường hợp vướng mắc, liên hệ {mailbox}."


class NotSent(Exception):
    """Why a notice did not go out, in Vietnamese."""


class Sender:
    """Submission with an account of its own, one session for all notices of a run.

    ``settings``: ``server``, ``port``, ``ca`` (PEM file), ``user``, ``password_file``, ``sender`` (address), ``name`` (shown as sender).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.session: smtplib.SMTP | None = None

    def send(self, recipient: str, subject: str, text: str) -> tuple[str, str]:
        """Send one message to one recipient; its Message-ID and the proof: the server's answer with its queue id."""
        settings = self.settings
        message = email.message.EmailMessage(policy=email.policy.SMTP.clone(max_line_length=78))
        message["From"] = email.utils.formataddr((settings["name"], settings["sender"]))
        message["To"], message["Subject"] = recipient, subject
        message["Date"] = email.utils.formatdate(localtime=True)
        message["Message-ID"] = email.utils.make_msgid(domain=settings["sender"].partition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation reply to this
        message.set_content(text, cte="quoted-printable")
        try:
            session = self._session()
            for code, said in (session.mail(settings["sender"]), session.rcpt(recipient)):
                if code != 250:
                    session.rset()
                    raise NotSent(f"máy chủ thư từ chối gửi đến {recipient}: {code} {said.decode(errors='replace')}")
            code, said = session.data(message.as_bytes())
        except (OSError, smtplib.SMTPException) as error:
            self.session = None
            raise NotSent(f"không gửi được đến {recipient}: {error}") from error
        if code != 250:
            raise NotSent(f"máy chủ thư từ chối thư gửi đến {recipient}: {code} {said.decode(errors='replace')}")
        return str(message["Message-ID"]), f"{recipient}: {said.decode(errors='replace')}"

    def _session(self) -> smtplib.SMTP:
        if self.session is None:
            session = smtplib.SMTP(self.settings["server"], self.settings["port"], timeout=TIMEOUT)
            session.starttls(context=ssl.create_default_context(cafile=self.settings["ca"]))
            session.login(self.settings["user"], Path(self.settings["password_file"]).read_text(encoding="utf-8").strip())
            self.session = session
        return self.session

    def close(self) -> None:
        """End the session."""
        if self.session is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):  # everything was answered already
                self.session.quit()
            self.session = None


def compose(
    clause: str, about: Mapping[str, str], settings: Mapping[str, Any], recipient: str, following: str, locked: bool
) -> tuple[str, str]:
    """Subject and text of a notice.

    ``about``: ``address``, ``name``, ``organisation``, ``reason``; ``settings``: ``name``, ``mailbox`` (where requests go), ``regulation``;
    ``following``: what the notice tells of (``lock``, ``withdraw``, ``remove`` or nothing); ``locked``: the person cannot log in any more.
    """
    request = (REOPEN if locked else USE).format(mailbox=settings["mailbox"])
    subject = SUBJECTS["lock" if locked and following != "withdraw" else following if following in SUBJECTS else ""]
    text = TEXT.format(
        recipient=recipient,
        operator=settings["name"],
        clause=clause,
        regulation=f", {settings['regulation']}" if clause.startswith("Điều") else "",
        request=request,
        **about,
    )
    return subject.format(address=about["address"]), text
