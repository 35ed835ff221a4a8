# SPDX-License-Identifier: Apache-2.0
"""The page where a mailbox gets a new password: first login, reset, expiry or by choice. One form, no JavaScript, no state but throttles.

The environment variable PASSWORD_PAGE_SETTINGS names a JSON file: {title, path, webmail_url, support_url, domain, ldap_uris,
suspended_ldap_uris, base, bind_dn, bind_password, ca, rules, pledge, failures_per_address, failures_per_client, window_seconds}. Neither
passwords nor the form ever reach the log.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import pathlib
import secrets
import unicodedata
from typing import Any

from directory import Directory, Mailbox, Refused, Unavailable
from flask import Flask, Response, render_template, request, session
from rules import REFUSALS as RULE_REFUSALS
from rules import UNAVAILABLE, lines, unmet
from throttle import Throttle

log = logging.getLogger("password-page")

# Why not, and what to do.
REFUSALS = RULE_REFUSALS | {
    "wrong": "Địa chỉ thư hoặc mật khẩu hiện tại không đúng. Hãy kiểm tra lại (chú ý chữ hoa, chữ thường và bộ gõ tiếng Việt).",
    "locked": "Tài khoản đang bị khóa do nhập sai mật khẩu nhiều lần. Hãy đề nghị cán bộ quản trị thư điện tử của cơ quan mở khóa.",
    "expired": "Mật khẩu đã hết hạn và không tự đổi được nữa. Hãy đề nghị cán bộ quản trị thư điện tử của cơ quan cấp lại mật khẩu.",
    "short": "Mật khẩu mới quá ngắn.",
    "young": "Mật khẩu vừa mới được đổi. Hãy chờ rồi đổi lại sau.",
    "history": "Mật khẩu mới trùng với một mật khẩu dùng gần đây. Hãy chọn mật khẩu khác.",
    "other": "Hệ thống không nhận mật khẩu mới. Hãy chọn mật khẩu khác hoặc liên hệ cán bộ quản trị thư điện tử của cơ quan.",
}
STATES = {
    "suspended": "Hộp thư này đang bị tạm khóa nên không đổi được mật khẩu. Hãy liên hệ cán bộ quản trị thư điện tử của cơ quan.",
    "terminated": "Hộp thư này đã chấm dứt sử dụng.",
}
NO_LOGIN = "Hộp thư này không có mật khẩu riêng: người được ủy quyền mở nó bằng tài khoản của mình."
BUSY = "Đã nhập sai quá nhiều lần. Hãy chờ {minutes} phút rồi thử lại."
PLEDGE = "Hãy đánh dấu vào ô cam kết: quy chế yêu cầu cam kết này mỗi khi đổi mật khẩu."
STALE = "Trang đã mở quá lâu hoặc trình duyệt chặn cookie. Hãy nhập lại."
TITLES = {"user": "Tài khoản người dùng", "admin": "Tài khoản quản trị", "organisation": "Hộp thư cơ quan, đơn vị"}


class Answer(Exception):
    """The form is shown again: status, what is said, and which rules are not met."""

    def __init__(self, status: int, message: str, missing: list[str] | None = None, reason: str = "form"):
        super().__init__(message)
        self.status, self.message, self.missing, self.reason = status, message, missing or [], reason


def create_app(settings: dict[str, Any] | None = None) -> Flask:
    """The WSGI application."""
    settings = settings or json.loads(pathlib.Path(os.environ["PASSWORD_PAGE_SETTINGS"]).read_text(encoding="utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),  # of this process: after a restart an open form is filled in again
        SESSION_COOKIE_NAME="congvu_password",
        SESSION_COOKIE_PATH=settings["path"],
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=16384,
    )
    directory = Directory(settings)
    by_address = Throttle(settings["failures_per_address"], settings["window_seconds"])
    by_client = Throttle(settings["failures_per_client"], settings["window_seconds"])
    rules = {rule["name"]: rule for rule in settings["rules"]}
    shown = [(TITLES.get(name, name), lines(rule)) for name, rule in rules.items()]

    def page(status: int = 200, **more: Any) -> Response:
        token = session.setdefault("token", secrets.token_urlsafe(24))
        return app.make_response((render_template("page.html", settings=settings, rules=shown, token=token, **more), status))

    def field(name: str) -> str:
        return unicodedata.normalize("NFC", request.form.get(name, ""))

    @app.get("/")
    def form() -> Response:
        return page()

    @app.post("/")
    def change() -> Response:
        client = request.headers.get("X-Real-IP", "")
        address = field("address").strip().lower()
        if address and "@" not in address and settings["domain"]:
            address = f"{address}@{settings['domain']}"
        try:
            expected = session.get("token")
            if not expected or not hmac.compare_digest(expected.encode(), request.form.get("token", "").encode()):
                raise Answer(400, STALE)
            attempt(client, address, field("old"), field("new"), field("again"))
        except Answer as no:
            log.info("password change refused: %s address=%r client=%s", no.reason, address, client)
            return page(no.status, message=no.message, missing=no.missing, address=address)
        except Unavailable as problem:
            log.error("password change not possible: %s", problem)
            return page(503, message=UNAVAILABLE, address=address)
        log.info("password changed: address=%r client=%s%s", address, client, " pledged" if settings["pledge"] else "")
        return page(done=True, address=address)

    def attempt(client: str, address: str, old: str, new: str, again: str) -> None:
        """Change the password or raise Answer."""
        if not (address and old and new and again):
            raise Answer(422, "Hãy điền đủ bốn ô.")
        if new != again:
            raise Answer(422, "Hai lần nhập mật khẩu mới không giống nhau.")
        if new == old:
            raise Answer(422, "Mật khẩu mới phải khác mật khẩu hiện tại.")
        if settings["pledge"] and request.form.get("pledge") != "yes":
            raise Answer(422, PLEDGE)
        place = f"{address} {client}"
        if seconds := max(by_address.wait(place), by_client.wait(client)):
            raise Answer(429, BUSY.format(minutes=-(-seconds // 60)), reason="too many failures")
        mailbox = directory.find(address)
        # That a mailbox has ended every sender reads; that it is suspended, only who knows its password.
        if mailbox and mailbox.state == "terminated":
            raise Answer(403, STATES[mailbox.state], reason=mailbox.state)
        if mailbox and not mailbox.login:
            raise Answer(403, NO_LOGIN, reason="no login")
        try:
            if not mailbox:
                raise Refused("wrong")
            if mailbox.state == "suspended":
                if directory.proves_suspended(mailbox.dn, old):
                    raise Answer(403, STATES[mailbox.state], reason=mailbox.state)
                raise Refused("wrong")
            directory.change(mailbox.dn, old, new, lambda: check(mailbox, new))
        except Refused as no:
            if no.reason in ("wrong", "locked"):
                by_address.fail(place)
                by_client.fail(client)
            missing = unmet(rule_of(mailbox), new) if no.reason in ("short", "quality") else []
            raise Answer(422, REFUSALS[no.reason], missing, reason=no.reason) from None
        by_address.forget(place)
        if settings["pledge"]:
            try:
                directory.pledge(mailbox.dn, new)
            except Unavailable as problem:  # the password is changed all the same; the log line tells that he pledged
                log.error("pledge of address=%r not noted in the directory: %s", address, problem)

    def rule_of(mailbox: Mailbox) -> dict[str, Any]:
        return rules.get(mailbox.policy) or settings["rules"][0]

    def check(mailbox: Mailbox, new: str) -> None:
        """The rules of length and characters, in characters (the directory counts bytes), all that are not met at once."""
        if missing := unmet(rule_of(mailbox), new):
            raise Answer(422, REFUSALS["quality"], missing, reason="quality")

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[str, int, dict[str, str]]:
        """Errors of HTTP keep their code; anything else is logged by its type and place, never with what the user sent."""
        code = getattr(error, "code", None)
        if not isinstance(code, int):
            code, trace = 500, error.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            log.error("%s at %s:%s", type(error).__name__, trace and trace.tb_frame.f_code.co_filename, trace and trace.tb_lineno)
        text = "Không có trang này.\n" if code == 404 else UNAVAILABLE + "\n" if code == 500 else "Yêu cầu không hợp lệ.\n"
        return text, code, {"Content-Type": "text/plain; charset=utf-8"}

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        response.headers["X-Frame-Options"] = "DENY"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    return app
