# SPDX-License-Identifier: Apache-2.0
"""What users' Sieve scripts may not do: forward mail to where it may not go, file it where only the system does.

sieve-gate asks when a script is stored or set to work, forward-check every day about forwarding.
"""

import email.utils
import re
from collections.abc import Iterator

# RFC 5228, 8.1: comments, multi-line and quoted strings, identifiers; what is left are single characters.
TOKEN = re.compile(
    r"#[^\n]*|/\*.*?\*/|text:[ \t]*(?:#[^\n]*)?\r?\n(?P<text>.*?)^\.\r?$"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>:?[A-Za-z_][\w.]*)|(?P<mark>\S)',
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
# Dovecot's namespaces that users' protocols do not show (dovecot.conf): held mail, copies of organisations' mail.
HIDDEN = ("Quarantine", "Record")


def arguments(script: str, command: str) -> Iterator[str]:
    """The strings that the script gives to a command, as they are written."""
    inside = False
    for token in TOKEN.finditer(script):
        if token["word"]:
            inside = inside or token["word"].lower() == command
        elif token["mark"] in (";", "{", "}"):
            inside = False
        elif inside and token["quoted"] is not None:
            yield re.sub(r"\\(.)", r"\1", token["quoted"])
        elif inside and token["text"] is not None:
            yield token["text"].strip()


def refusal(script: str, domains: list[str]) -> str | None:
    """Why the script may not forward as it does, in Vietnamese; None when it may."""
    allowed = f"chỉ được chuyển tiếp tới địa chỉ của cơ quan nhà nước ({', '.join(domains)})"
    for address in arguments(script, "redirect"):
        if domains and "${" in address:
            return f"Không được tự động chuyển tiếp thư tới địa chỉ không ghi rõ ({address}): {allowed}."
        domain = email.utils.parseaddr(address)[1].rpartition("@")[2].lower()
        if domains and "@" in address and not any(domain == d or domain.endswith(f".{d}") for d in domains):
            return f"Không được tự động chuyển tiếp thư tới {address}: {allowed}."
    return None


def misfiling(script: str) -> str | None:
    """Why the script may not file mail as it does, in Vietnamese; None when it may. A name's end may be made up at delivery."""
    for folder in arguments(script, "fileinto"):
        written, made_up, _rest = folder.partition("${")
        for hidden in HIDDEN:
            if written == hidden and not made_up or written.startswith(f"{hidden}/"):
                return f"Không được lọc thư vào thư mục {folder}: thư mục này của hệ thống, người dùng không mở được."
            if made_up and hidden.startswith(written):
                return f"Không được lọc thư vào thư mục không ghi rõ ({folder}): phải ghi rõ phần đầu của tên thư mục."
    return None
