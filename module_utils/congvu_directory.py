# SPDX-License-Identifier: Apache-2.0
"""What modules say that read the directory on its host and cannot, in Vietnamese, with the remedy."""

from __future__ import annotations

NOT_INSTALLED = "Máy chủ danh bạ chưa được dựng (thiếu python3-ldap). Cách sửa: chạy playbooks/site.yml trước."


def unreadable(suffix: str, error: Exception) -> str:
    """The sentence for an error of python-ldap when the entries below a suffix were read over ldapi."""
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return (
        f"Không đọc được danh bạ {suffix}: máy chủ danh bạ (slapd) không trả lời hoặc chưa được dựng ({details.get('desc', error)}). "
        "Cách sửa: trên máy đó xem systemctl status slapd, khởi động lại (systemctl start slapd); chưa dựng thì chạy playbooks/site.yml; "
        "rồi chạy lại lệnh này."
    )
