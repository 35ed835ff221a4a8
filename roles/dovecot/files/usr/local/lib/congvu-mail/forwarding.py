# SPDX-License-Identifier: Apache-2.0
"""Which Sieve scripts forward mail to where they may not: sieve-gate asks when one is stored, forward-check every day."""

import email.utils
import re
from collections.abc import Iterator

# RFC 5228, 8.1: comments, multi-line and quoted strings, identifiers; what is left are single characters.
TOKEN = re.compile(
    r"#[^\n]*|/\*.*?\*/|text:[ \t]*(?:#[^\n]*)?\r?\n(?P<text>.*?)^\.\r?$"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>:?[A-Za-z_][\w.]*)|(?P<mark>\S)',
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def redirects(script: str) -> Iterator[str]:
    """Addresses to which the script redirects, as they are written."""
    inside = False
    for token in TOKEN.finditer(script):
        if token["word"]:
            inside = inside or token["word"].lower() == "redirect"
        elif token["mark"] in (";", "{", "}"):
            inside = False
        elif inside and token["quoted"] is not None:
            yield re.sub(r"\\(.)", r"\1", token["quoted"])
        elif inside and token["text"] is not None:
            yield token["text"].strip()


def refusal(script: str, domains: list[str]) -> str | None:
    """Why the script may not be stored, in Vietnamese; None when it may."""
    allowed = f"chỉ được chuyển tiếp tới địa chỉ của cơ quan nhà nước ({', '.join(domains)})"
    for address in redirects(script):
        if "${" in address:
            return f"Không được tự động chuyển tiếp thư tới địa chỉ không ghi rõ ({address}): {allowed}."
        domain = email.utils.parseaddr(address)[1].rpartition("@")[2].lower()
        if "@" in address and not any(domain == d or domain.endswith(f".{d}") for d in domains):
            return f"Không được tự động chuyển tiếp thư tới {address}: {allowed}."
    return None
