# SPDX-License-Identifier: Apache-2.0
"""What an inventory must hold beside its policy.yml: the settings of deployment.yml, the secrets of vault.yml, a host in each group.

`check_deployment` finds everything that is missing or of the wrong form at once. Messages are Vietnamese: they are for the operator who
edits the files.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congvu_mail import secrets


@dataclass(frozen=True)
class Form:
    """What a value has to be: a test, and how it is told."""

    holds: Callable[[Any], bool]
    told: str


def _parses(parse: Callable[[str], Any]) -> Callable[[Any], bool]:
    """Whether the standard library can read the value."""

    def holds(value: Any) -> bool:
        try:
            parse(value)
        except (ValueError, TypeError):
            return False
        return isinstance(value, str)

    return holds


def _each(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and set(keys) <= set(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _named(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _selector(value: Any) -> bool:
    return _has("name", "state")(value) and value["state"] in ("published", "signing", "retired")


def _addresses(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_each(_parses(ipaddress.ip_address))(found) for found in value.values())


def _windows(value: Any) -> bool:
    clock = _parses(datetime.time.fromisoformat)
    times = isinstance(value, Mapping) and set(value) == set(_OFFICE_DAY) and list(value.values())
    return bool(times) and all(_each(clock)(span) and len(span) == 2 and span[0] < span[1] for span in times)


def _single_sign_on(value: Any) -> bool:
    if value == {}:
        return True
    if not isinstance(value, Mapping) or set(value) != {*_PROVIDER_URLS, "name", "client_id", "scope", "claim", "addresses", "ca_file"}:
        return False
    urls = [value[name] for name in _PROVIDER_URLS if value[name] or name != "logout_url"]
    plain = all(isinstance(value[name], str) and re.fullmatch(r"[A-Za-z0-9._~-]+", value[name]) for name in ("client_id", "claim"))
    return (
        plain
        and _named(value["name"])
        and _named(value["scope"])
        and all(isinstance(url, str) and re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d+)?/[^\s\"'{}$%\\@]*", url) for url in urls)
        and bool(value["addresses"])
        and _each(_parses(ipaddress.ip_network))(value["addresses"])
        and isinstance(value["ca_file"], str)
        and Path(value["ca_file"]).is_absolute()
        and Path(value["ca_file"]).is_file()
    )


# Groups that have one host, and why; `mta` and `backup` may have several.
_ONE_HOST = {
    "directory": "danh bạ nằm trên một máy, không đồng bộ giữa các máy",
    "filter": "khóa DKIM, số đếm và sổ tiêu đề thư nằm trên một máy",
    "mda": "mọi hộp thư nằm trên một máy",
    "webmail": "tệp đính kèm của thư đang soạn nằm trên máy đã nhận tệp",
    "database": "webmail dùng một cơ sở dữ liệu",
}
_PROVIDER_URLS = ("authorization_url", "token_url", "userinfo_url", "introspection_url", "logout_url")
_OFFICE_DAY = ("morning_start", "morning_end", "afternoon_start", "afternoon_end")
BOOLEAN = Form(lambda value: isinstance(value, bool), "true hoặc false, không có dấu nháy")
NAMED = Form(_named, "một chuỗi, không để trống")
TEXT = Form(_text, 'một chuỗi, để trống thì viết ""')
TEXTS = Form(_each(_named), "một danh sách chuỗi, để trống thì viết []")
NETWORKS = Form(_each(_parses(ipaddress.ip_network)), "một danh sách mạng như [192.0.2.0/24], phần máy của địa chỉ phải bằng 0")
ADDRESSES = Form(_each(_parses(ipaddress.ip_address)), "một danh sách địa chỉ IP như [192.0.2.53]")

SETTINGS = {
    "deployment_register": NAMED,
    "deployment_calendar": Form(_each(_has("date", "working")), "một danh sách {date, working, note}"),
    "deployment_office_closes": Form(
        lambda value: _text(value) and re.fullmatch(r"(([01]\d|2[0-3]):[0-5]\d)?", value) is not None,
        'giờ trong dấu nháy như "17:00", hoặc ""',
    ),
    "deployment_online": BOOLEAN,
    "deployment_check_windows": Form(_windows, f'{", ".join(_OFFICE_DAY)}: mỗi mục [từ, đến], giờ trong dấu nháy như "07:00"'),
    "deployment_recall_two_persons": BOOLEAN,
    "deployment_apt_sources": Form(_each(_has("uris", "suites")), "một danh sách {uris, suites, components, signed_by}"),
    "deployment_ntp_servers": TEXTS,
    "deployment_dns_forwarders": ADDRESSES,
    "deployment_dns_zones": Form(_each(_has("name", "records")), "một danh sách {name, records}"),
    "deployment_management_networks": NETWORKS,
    "deployment_unblocked_networks": NETWORKS,
    "deployment_application_networks": NETWORKS,
    "deployment_applications": TEXTS,
    "deployment_single_sign_on": Form(
        _single_sign_on,
        "{} hoặc đủ các mục name, client_id, scope, claim (client_id và claim không dấu, không khoảng trắng), "
        f"{', '.join(_PROVIDER_URLS)} (bắt đầu bằng https://; logout_url được để trống), addresses (danh sách địa chỉ IP hay mạng), "
        "ca_file (đường dẫn đầy đủ tới một tệp có thật)",
    ),
    "deployment_tls_mode": Form(lambda value: value in ("files", "internal_ca"), "files hoặc internal_ca"),
    "deployment_tls_certificate": TEXT,
    "deployment_tls_key": TEXT,
    "deployment_tls_ca": TEXT,
    "deployment_public_addresses": Form(_addresses, "{tên máy: [địa chỉ IP, ...]}, để trống thì viết {}"),
    "deployment_outbound": BOOLEAN,
    "deployment_relayhost": TEXT,
    "deployment_spf_senders": Form(lambda value: bool(value) and _each(_named)(value), "một danh sách mục SPF như [mx]"),
    "deployment_routes": Form(_each(_has("domain", "nexthop")), "một danh sách {domain, nexthop}"),
    "deployment_dkim_selectors": Form(_each(_selector), "một danh sách {name, state}, state là published, signing hoặc retired"),
    "deployment_signature_directory": TEXT,
    "deployment_signature_mirror": TEXT,
    "deployment_backup_repository": NAMED,
    "deployment_backup_known_hosts": TEXTS,
    "deployment_handover_directory": NAMED,
    "deployment_handover_recipients": TEXTS,
}


def secret_names(applications: Iterable[str] = ()) -> list[str]:
    """Every secret that is needed, `vault_x` or `vault_x.key`; `applications`: those that let people log in with their mail password."""
    return [
        f"{name}.{key}" if key else name
        for name, value in secrets.generate(applications).items()
        for key in (value if isinstance(value, Mapping) else [""])
    ]


def check_deployment(
    folder: Path,
    settings: Mapping[str, Any],
    present: Iterable[str],
    groups: Mapping[str, list[str]],
    applications: Iterable[str] = (),
    weak: Mapping[str, str] | None = None,
    single_sign_on: bool = True,
) -> Iterator[str]:
    """One line for each thing that is wrong.

    `folder`: the inventory's group_vars/all, to tell the line of a setting; `settings`: the `deployment_*` values as Ansible sees them;
    `present`: names of the secrets that are there (never their values); `groups`: hosts by group; `applications`: those of the policy;
    `weak`: what an administrator's password lacks of the rule for administrators, by its name (empty: nothing).
    `single_sign_on`: whether the policy lets people log in through the province's own login (`single_sign_on.provincial`).
    """
    for name, form in SETTINGS.items():
        if name not in settings:
            yield f"{folder}/deployment.yml: {name}: thiếu biến này. Cách sửa: thêm dòng {name}, giá trị là {form.told}."
        elif not form.holds(settings[name]):
            yield f"{place(folder, name)}: {name} = {settings[name]!r}: sai dạng. Cách sửa: giá trị phải là {form.told}."
    present = set(present)
    if str(settings.get("deployment_backup_repository", "")).startswith("sftp:"):
        if not settings.get("deployment_backup_known_hosts"):
            yield f"{place(folder, 'deployment_backup_known_hosts')}: kho sftp cần khóa của máy đó. Cách sửa: ghi các dòng known_hosts."
        if "vault_backup_ssh_key" not in present:
            yield f"{folder}/vault.yml: thiếu vault_backup_ssh_key. Cách sửa: ghi khóa riêng mở được kho sao lưu bằng ansible-vault edit."
    if settings.get("deployment_tls_mode") == "files":
        for name in ("deployment_tls_certificate", "deployment_tls_key"):
            path = Path(str(settings.get(name) or "."))
            if path == Path() or (path.is_absolute() and not path.is_file()):
                remedy = "ghi đường dẫn đầy đủ tới tệp có thật trên máy điều khiển, hoặc đặt deployment_tls_mode là internal_ca"
                yield f"{place(folder, name)}: {name} = {settings.get(name)!r}: không có tệp chứng thư hay khóa này. Cách sửa: {remedy}."
    if settings.get("deployment_single_sign_on"):
        if not single_sign_on:
            remedy = "viết {}, hoặc đặt single_sign_on.provincial là true trong policy.yml nếu tỉnh có hệ thống đăng nhập tập trung"
            yield f"{place(folder, 'deployment_single_sign_on')}: policy.yml ghi không có đăng nhập tập trung. Cách sửa: {remedy}."
        if "vault_single_sign_on_secret" not in present:
            remedy = "ghi mật khẩu mà hệ thống đăng nhập tập trung cấp cho webmail bằng ansible-vault edit"
            yield f"{folder}/vault.yml: thiếu vault_single_sign_on_secret. Cách sửa: {remedy}."
    further = settings.get("deployment_applications")
    applications = dict.fromkeys(filter(_named, [*applications, *(further if isinstance(further, list) else [])]))
    wanted = secret_names(applications)
    missing = [name for name in wanted if name not in present]
    command = " ".join(["python -m congvu_mail.secrets", *applications])
    make = f"{command} > {folder}/vault.yml, rồi ansible-vault encrypt {folder}/vault.yml"
    if len(missing) == len(wanted):
        yield f"{folder}/vault.yml: chưa có mật khẩu nào. Cách sửa: {make}."
    elif missing:
        yield f"{folder}/vault.yml: thiếu {', '.join(missing)}. Cách sửa: thêm vào bằng ansible-vault edit."
    for name, lacks in (weak or {}).items():
        if name in present and lacks:
            yield (
                f"{folder}/vault.yml: {name}: chưa đạt quy tắc mật khẩu của cấp quản trị, còn thiếu: {lacks}. "
                "Cách sửa: đặt mật khẩu khác bằng ansible-vault edit."
            )
    for name, hosts in groups.items():
        if not hosts:
            yield f"hosts.yml: {name}: nhóm không có máy nào. Cách sửa: thêm ít nhất một máy vào nhóm này trong hosts.yml."
        elif len(hosts) > 1 and name in _ONE_HOST:
            yield (
                f"hosts.yml: {name}: nhóm có {len(hosts)} máy ({', '.join(hosts)}), chỉ được một, vì {_ONE_HOST[name]}. "
                "Cách sửa: để lại một máy trong nhóm này."
            )


def place(folder: Path, name: str) -> str:
    """File and line where a variable is set; without a line when that is elsewhere (another inventory, -e)."""
    for path in sorted(folder.glob("*.yml")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.startswith(f"{name}:"):
                return f"{path}:{number}"
    return "-e hoặc inventory khác"
