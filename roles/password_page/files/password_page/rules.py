# SPDX-License-Identifier: Apache-2.0
"""Password rules: said in Vietnamese, and what of them a password does not meet. The directory decides; this explains."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

# Kind of character: its name, and the characters that count as such (ASCII: a letter with a mark counts for the length only).
CLASSES = {
    "lower": ("chữ thường (a–z)", string.ascii_lowercase),
    "upper": ("chữ hoa (A–Z)", string.ascii_uppercase),
    "digit": ("chữ số (0–9)", string.digits),
    "special": ("ký tự đặc biệt", string.punctuation),
}


def characters(rule: Mapping[str, Any], kind: str) -> str:
    """The characters that count as a kind under a rule."""
    return (kind == "special" and rule.get("specials")) or CLASSES[kind][1]


def demand(rule: Mapping[str, Any], kind: str) -> str:
    """One line: the kind of character that must occur."""
    name = CLASSES[kind][0]
    if kind == "special" and rule.get("specials"):
        name += ", một trong: " + " ".join(rule["specials"])
    return f"Có {name}"


def lines(rule: Mapping[str, Any]) -> list[str]:
    """The rule as a list of sentences for the page."""
    said = []
    if rule.get("min_length"):
        said.append(f"Ít nhất {rule['min_length']} ký tự")
    said += [demand(rule, kind) for kind in rule.get("classes") or []]
    if rule.get("forbid_personal_data"):
        said.append("Không chứa họ tên, địa chỉ thư hoặc thông tin cá nhân của người dùng")
    if rule.get("history"):
        said.append(f"Không trùng với {rule['history']} mật khẩu dùng gần đây")
    return said


def unmet(rule: Mapping[str, Any], password: str) -> list[str]:
    """The sentences of length and kinds of character that the password does not meet."""
    missing = []
    if len(password) < (rule.get("min_length") or 0):
        missing.append(f"Ít nhất {rule['min_length']} ký tự")
    missing += [demand(rule, kind) for kind in rule.get("classes") or [] if not set(password) & set(characters(rule, kind))]
    return missing
