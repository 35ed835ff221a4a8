# SPDX-License-Identifier: Apache-2.0
"""Password rules, said in Vietnamese: what a rule demands, and why a new password is refused.

The page where passwords are changed (role password_page) and the directory (role openldap, for changes over LDAP) both run this file, so
a password is judged alike and refused with the same words wherever it is changed. It needs nothing but Python.

A rule is a mapping {name, min_length, classes, specials, history, forbid_personal_data}; other keys are ignored.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

# Why a new password is refused, and what to do.
REFUSALS = {
    "quality": "Mật khẩu mới chưa đủ mạnh.",
    "personal": "Mật khẩu mới chứa họ tên, địa chỉ thư hoặc thông tin cá nhân. Hãy chọn mật khẩu khác.",
    "hashed": "Mật khẩu mới phải là chính mật khẩu, không phải giá trị đã băm.",
}
UNAVAILABLE = "Hệ thống đang tạm thời không đổi được mật khẩu. Mật khẩu cũ vẫn giữ nguyên; hãy thử lại sau ít phút."

# What slapd would store as it is, taking it for a hash (slapd.conf(5), password-hash; RFC 2307).
HASHED = re.compile(r"\{(s?md5|s?sha\d*|pbkdf2[\w-]*|argon2|crypt|unix|sasl|cleartext)\}", re.IGNORECASE)
# Where values of the directory are taken apart: as slapd's own check (ppm) does it, which stands behind this one.
SEPARATORS = re.compile(r"[ ,;_@\t-]+")

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


def personal_part(password: str, values: Iterable[str]) -> bool:
    """Whether a part of one of the values, three bytes or more, is in the password; a dot in it stands for any character."""
    parts = {part for value in values for part in SEPARATORS.split(value) if len(part.encode()) > 2}
    return any(re.search(re.escape(part).replace(r"\.", "."), password, re.IGNORECASE) for part in parts)


def judge(rule: Mapping[str, Any], password: str, personal: Iterable[str] = ()) -> str:
    """Why the password is refused, one line; empty: it is not. `personal` are values of which no part may be in it."""
    if HASHED.match(password):
        return REFUSALS["hashed"]
    if missing := unmet(rule, password):
        return f"{REFUSALS['quality']} Còn thiếu: {'; '.join(missing)}"
    if rule.get("forbid_personal_data") and personal_part(password, personal):
        return REFUSALS["personal"]
    return ""
