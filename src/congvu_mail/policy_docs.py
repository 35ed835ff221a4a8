"""The policies as documents for auditors: docs/policy/<province>.md and the comparison docs/policy/so-sanh.md.

`python -m congvu_mail.policy_docs`, in the project's folder, writes them from inventories/*/group_vars/all/policy.yml;
a unit test fails when they are stale. Where a text is damaged the readable form of a quote is shown.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congvu_mail import policy_schema as schema
from congvu_mail.clauses import within
from congvu_mail.policy import find, is_leaf, leaves, load_policy, path_text

COMMAND = "python -m congvu_mail.policy_docs"
PROJECT = Path(__file__).parents[2]
NOT_A_PROVINCE = "test"  # an inventory for tests repeats a province's policy

# What enforces a key on the live system; the longest prefix of the key counts.
MEASURES = {
    "domain": "Postfix nhận thư cho tên miền này; DKIM, SPF, DMARC theo tên miền",
    "domain_aliases": "Địa chỉ phụ của từng hộp thư trong danh bạ LDAP",
    "webmail": "Máy chủ web nginx, chứng thư TLS",
    "protocols": "Dovecot (IMAP, POP3), Postfix (SMTP), Roundcube (web), chỉ qua TLS",
    "accounts": "Nạp tài khoản từ sổ đăng ký vào danh bạ LDAP; trùng người, trùng cơ quan bị từ chối",
    "naming": "Bộ sinh địa chỉ từ sổ đăng ký; địa chỉ đã cấp không cấp lại cho người khác",
    "quota": "Hạn mức dung lượng Dovecot; Postfix hỏi trước khi nhận",
    "attachments.max_total": "Rspamd tính tổng tệp sau giải mã; cùng giới hạn ở Postfix, ClamAV, nginx, PHP",
    "attachments": "Rspamd kiểm tra tên tệp, loại tệp, cả trong tệp nén, thư đi và thư đến",
    "password": "Chính sách mật khẩu của OpenLDAP (ppolicy, ppm); trang đổi mật khẩu",
    "password.user.max_age_months": "Quá hạn thì mọi cách đăng nhập bị từ chối cho đến khi đổi ở trang mật khẩu",
    "password.admin.max_age_months": "Quá hạn thì mọi cách đăng nhập bị từ chối cho đến khi đổi ở trang mật khẩu",
    "password.change_at_first_login": "Cờ pwdReset: chưa đổi thì web, IMAP, POP3, SMTP đều từ chối",
    "password.other_systems": "Trang đổi mật khẩu ghi lời cam kết của người dùng",
    "lockout": "Chính sách mật khẩu của OpenLDAP; chặn nguồn tấn công ở tường lửa",
    "inactivity": "Đồng hồ hằng ngày so lần truy cập cuối (mọi giao thức) với các mốc; xóa theo danh sách duyệt",
    "suspension": "Trạng thái trong danh bạ LDAP chặn mọi cách đăng nhập, ngắt phiên đang mở; thư báo tự động",
    "termination": "Sổ đề nghị và nhật ký nghiệp vụ tính hạn; hộp thư đóng, dữ liệu giữ rồi xóa theo hạn",
    "deadlines": "Sổ đề nghị tính ngày làm việc theo lịch nghỉ, báo đề nghị quá hạn",
    "requests": "Sổ đề nghị: không có số văn bản thì không thực hiện; hộp thư tiếp nhận",
    "handover": "Lệnh bàn giao: đổi mật khẩu, đổi người ủy quyền, lập biên bản",
    "organisation_mailbox.access": "Quyền ủy quyền trong danh bạ LDAP, ACL của Dovecot, nhật ký từng người",
    "organisation_mailbox.archive": "Bản lưu mọi thư của hộp thư cơ quan",
    "check_frequency": "Thống kê số lần mở hộp thư theo buổi, báo cáo theo cơ quan",
    "forwarding.outbound": "Sieve và Postfix chỉ cho chuyển tiếp tới tên miền được phép",
    "forwarding.state_domains": "Danh sách tên miền dùng cho quy tắc chuyển tiếp",
    "forwarding.inbound": "Rspamd nhận dấu hiệu chuyển tiếp tự động, gắn cờ, báo cáo",
    "outbound": "Rspamd đếm thư ra ngoài theo tài khoản, hoãn khi vượt; vẫn tiếp tục thì hộp thư bị khóa vì nghi bị chiếm quyền",
    "spam": "Chuyển vào hoặc ra khỏi thư mục Thư rác thì bộ lọc Rspamd học",
    "antivirus": "ClamAV quét qua Rspamd; không quét được thì hoãn, không cho qua",
    "detect": "Rspamd đánh dấu và báo cáo; không chặn",
    "secrets": "Lệnh thu hồi gỡ thư khỏi mọi hộp thư, có biên bản",
    "directory": "Xuất danh bạ từ LDAP theo kỳ",
    "reports": "Lệnh báo cáo lập số liệu theo kỳ",
    "single_sign_on.ldap_applications": "OpenLDAP kiểm tra mật khẩu; mỗi ứng dụng một tài khoản chỉ đọc, giới hạn kết quả mỗi lần tìm",
    "single_sign_on.provincial": "Webmail đăng nhập qua hệ thống của tỉnh (OpenID Connect), `deployment_single_sign_on`; chưa khai: nhắc",
    "character_set": "UTF-8 ở mọi thành phần",
    "signature": "Chuyển nguyên vẹn thư và tài liệu đã ký",
    "content": "Không thành phần nào sửa nội dung thư",
    "backup": "restic mã hóa, lịch systemd, thử phục hồi định kỳ",
    "availability": "systemd tự khởi động lại, bảng trạng thái, cảnh báo hàng đợi",
    "logs": "Kho tiêu đề thư riêng, tra cứu được, có trong sao lưu",
    "security": "TLS, tường lửa, giới hạn quyền dịch vụ, nhật ký",
    "contacts": "Hộp thư và trang trợ giúp của webmail",
    "system": "Ghi trong báo cáo",
}

_NAMING_LABELS = {
    "abbreviation": "Cách viết tắt tên cơ quan",
    "class_words": "Từ chỉ loại cơ quan",
    "organisation.province_agency": "Địa chỉ cơ quan cấp tỉnh",
    "organisation.subordinate": "Địa chỉ đơn vị trực thuộc",
    "organisation.division_of_agency": "Địa chỉ phòng thuộc sở",
    "organisation.division_of_territory": "Địa chỉ phòng thuộc huyện, xã",
    "organisation.district": "Địa chỉ UBND cấp huyện",
    "organisation.commune": "Địa chỉ UBND cấp xã",
    "organisation.party": "Địa chỉ cơ quan Đảng",
    "organisation.mass_org": "Địa chỉ tổ chức chính trị - xã hội",
    "organisation.central": "Địa chỉ cơ quan Trung ương",
    "organisation.enterprise": "Địa chỉ doanh nghiệp",
    "organisation.service": "Địa chỉ hộp thư phục vụ",
    "employer": "Cơ quan ghi trong địa chỉ cá nhân",
    "person": "Địa chỉ cá nhân",
    "collision.person": "Khi trùng địa chỉ cá nhân",
    "collision.organisation": "Khi trùng địa chỉ cơ quan",
    "change.transfer": "Địa chỉ khi chuyển công tác",
    "change.rename": "Địa chỉ khi đổi tên",
    "reserved": "Tên dành riêng",
    "caution": "Tên cần lưu ý",
    "exceptions": "Địa chỉ ấn định ngoài quy tắc",
}
_NAMING_WORDS = {
    "drop": "bỏ",
    "acronyms": "giữ nguyên chữ viết tắt",
    "suggestion": "gợi ý",
    "without": "bỏ chữ",
    "by_decision": "theo quyết định",
    "parents": "cấp trên",
    "divisions_of": "kể cả phòng của",
    "forms": "dạng",
    "first": "số đầu",
    "order": "ưu tiên",
    "suggestions": "gợi ý",
    "rank": "cấp bậc",
    "registered": "thứ tự đăng ký",
    "address": "địa chỉ",
    "keep": "giữ nguyên",
    "new": "cấp mới",
    "old": "địa chỉ cũ",
    "alias": "còn nhận thư",
    "closed": "đóng",
    "alias_months": "số tháng còn nhận thư",
    "decision": "đơn vị vận hành quyết định",
    "district": "huyện",
    "commune": "xã",
    "fixed": "văn bản ấn định",
    "example": "ví dụ của văn bản",
    "analogy": "tương tự",
    "service": "hộp thư phục vụ",
}
_PATTERN_FIELDS = {
    "{initials}": "{viết tắt}",
    "{name}": "{tên}",
    "{class}": "{loại}",
    "{name_initials}": "{viết tắt tên riêng}",
    "{parent}": "{cấp trên}",
    "{full}": "{họ và tên}",
    "{surname}": "{họ}",
    "{middle}": "{đệm}",
    "{given}": "{tên}",
    "{surname_initials}": "{chữ đầu của họ}",
    "{middle_initials}": "{chữ đầu của đệm}",
    "{organisation}": "{cơ quan}",
    "{yy}": "{2 số năm sinh}",
    "{yyyy}": "{năm sinh}",
    "{n}": "{số}",
}


def policies(root: Path) -> dict[str, Mapping]:
    """Each province's policy by the name of its inventory."""
    files = sorted(root.glob("inventories/*/group_vars/all/policy.yml"))
    found = {file.parts[-4]: load_policy(file).data for file in files}
    return {name: policy for name, policy in found.items() if name != NOT_A_PROVINCE}


def documents(root: Path) -> dict[Path, str]:
    """Every generated document: path and text."""
    found = policies(root)
    texts = {root / f"docs/policy/{name}.md": province(name, policy) for name, policy in found.items()}
    return texts | {root / "docs/policy/so-sanh.md": comparison(found)}


def main() -> int:
    """Write the documents."""
    root = Path.cwd()
    if not (root / "inventories").is_dir():
        print(f"{root}: không có thư mục inventories; chạy lệnh này ở thư mục gốc của dự án", file=sys.stderr)
        return 1
    for path, text in documents(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(root))
    return 0


# --- one province ---


def province(name: str, policy: Mapping) -> str:
    """The document of one province."""
    regulation = policy["regulation"]
    facts = {
        "Văn bản": regulation["title"],
        "Số": regulation["number"],
        "Cơ quan ban hành": regulation["authority"],
        "Ban hành": _date(regulation["issued"]),
        "Hiệu lực": _date(regulation["effective"]),
        "Tình trạng": schema.STATUS.show(regulation["status"]),
        "Văn bản thay thế": regulation["successor"],
    }
    lines = [
        f"# Chính sách thư điện tử công vụ: {province_name(policy)}",
        "",
        f"Trang này được viết bằng lệnh `{COMMAND}` từ `inventories/{name}/group_vars/all/policy.yml`; sửa ở tệp đó.",
        "",
        *table(["", ""], [[label, value] for label, value in facts.items() if value]),
        "",
        "## Theo điều khoản",
        "",
        "Mỗi điều, khoản, điểm của văn bản, giá trị đang áp dụng, biện pháp bảo đảm. Lệnh ghi “chưa có” thì còn làm bằng tay.",
        "",
        *table(
            ["Điều khoản", "Nội dung quy định", "Giá trị", "Biện pháp kỹ thuật", "Căn cứ"],
            [_clause_row(policy, entry) for entry in policy["clauses"]],
        ),
        "",
        "## Theo khóa chính sách",
        "",
        "Mọi giá trị, kể cả giá trị đơn vị vận hành chọn khi văn bản không quy định.",
        "",
        *table(
            ["Nội dung", "Giá trị", "Căn cứ", "Trích dẫn", "Mức của Quy chế", "Ghi chú"],
            [_leaf_row(policy, path_text(path), leaf) for path, leaf in rules(policy)],
        ),
    ]
    return "\n".join(lines) + "\n"


def _clause_row(policy: Mapping, entry: Mapping) -> list[str]:
    named = [(item, leaf) for item in entry["by"] for item, leaf in _leaves_named(policy, item, entry["clause"])]
    tools = [f"`{item}`" + ("" if (PROJECT / item).exists() else " (chưa có)") for item in entry["by"] if "/" in item]
    measures = [schema.MET_BY[entry["met_by"]]] if entry["met_by"] not in ("control", "procedure") or not named else []
    measures += [_measure(path) for path, _ in named] + tools
    return [
        entry["clause"],
        entry["summary"],
        stack(f"{label(path)}: {show_value(policy, path, leaf['value'])}" for path, leaf in named),
        stack(measures),
        stack(_basis(leaf) for _, leaf in named),
    ]


def _leaves_named(policy: Mapping, item: str, clause: str) -> list[tuple[str, Mapping]]:
    """Leaves an item of `by` stands for: itself, or those of a group that cite the clause (all when none does)."""
    node = None if "/" in item else find(policy, item)
    if is_leaf(node):
        return [(item, node)]
    below = [(f"{item}{'' if path_text(path).startswith('[') else '.'}{path_text(path)}", leaf) for path, leaf in leaves(node)]
    citing = [(path, leaf) for path, leaf in below if leaf.get("clause") and within(clause, leaf["clause"])]
    return citing or below


def _leaf_row(policy: Mapping, path: str, leaf: Mapping) -> list[str]:
    quote = leaf.get("quote_restored") or leaf.get("quote")
    restored = " (chỗ bản quét hỏng đã được đọc lại)" if "quote_restored" in leaf else ""
    grounds = [leaf.get("clause", ""), f"“{quote}”{restored}" if quote else ""]
    notes = [leaf.get("note", "")]
    if "exception" in leaf:
        exception = leaf["exception"]
        period = f"từ {_date(exception['date'])} đến {_date(exception['until'])}"
        notes.append(f"Ngoại lệ: {exception['document']}, {period}, {exception['approved_by']} phê duyệt")
    return [
        f"{label(path)}<br>`{path}`",
        show_value(policy, path, leaf["value"]),
        _basis(leaf),
        stack(grounds),
        _bound(policy, path, leaf.get("bound") or {}),
        stack(notes),
    ]


def rules(policy: Mapping) -> list[tuple[tuple, Mapping]]:
    return [(path, leaf) for path, leaf in leaves(policy) if path[0] != "clauses"]


def _basis(leaf: Mapping) -> str:
    return f"{schema.BASES[leaf['basis']]}: {leaf['act']}" if "act" in leaf else schema.BASES[leaf["basis"]]


def _measure(path: str) -> str:
    while path not in MEASURES:
        path = path.rpartition(".")[0]
    return MEASURES[path]


def _node(path: str) -> schema.Leaf | schema.Naming:
    """The schema's leaf for a written key path."""
    node: Any = schema.TREE
    for part in path.replace("[", ".[").split("."):
        if isinstance(node, schema.Naming):
            return node
        node = node.leaf if isinstance(node, schema.Leaves) else node[part]
    return node


def label(path: str) -> str:
    node = _node(path)
    if isinstance(node, schema.Naming):
        inner = path.removeprefix("naming.")
        return _NAMING_LABELS.get(comparable(inner), inner)
    return node.label


def show_value(policy: Mapping, path: str, value: Any) -> str:
    node = _node(path)
    if isinstance(node, schema.Naming):
        if path.startswith("naming.exceptions"):
            entry = find(policy, path.rpartition(".")[0])
            return f"{entry['name']}: `{entry['local_part']}`" + "".join(f", phụ `{alias}`" for alias in entry.get("aliases", []))
        return node.leaf.none if value is None else _convention(value)
    return node.none if value is None else node.kind.show(value)


def _bound(policy: Mapping, path: str, bound: Mapping) -> str:
    """The regulation's own figure as words."""
    node = _node(path)
    if isinstance(node, schema.Naming):
        return ""
    return stack(f"{schema.OPERATORS[operator]} {_operand(node.kind, operand)}" for operator, operand in bound.items())


def _operand(kind: schema.Kind, operand: Any) -> str:
    if isinstance(kind, schema.Fields) and isinstance(operand, Mapping):
        return ", ".join(_operand(kind.fields[key].kind, inner) for key, inner in operand.items())
    if isinstance(operand, list) and not isinstance(kind, schema.ListOf):
        return ", ".join(kind.show(item) for item in operand)
    return kind.show(operand)


def _convention(value: Any) -> str:
    """A rule for addresses in words; patterns as code."""
    if isinstance(value, Mapping):
        parts = {key: _convention(inner) for key, inner in value.items() if inner not in (None, [])}
        told = [parts.pop("pattern")] if "pattern" in parts else []
        if "pattern" in value and value["pattern"] is None:
            told = ["theo từng quyết định"]
        return "; ".join(told + [f"{_NAMING_WORDS.get(key, key)}: {text}" for key, text in parts.items()])
    if isinstance(value, list):
        return ", ".join(_convention(item) for item in value) or "(không có)"
    text = str(value)
    if "{" in text:
        for field, word in _PATTERN_FIELDS.items():
            text = text.replace(field, word)
        return f"`{text}`"
    return _NAMING_WORDS.get(text, text)


# --- all provinces ---


def comparison(found: Mapping[str, Mapping]) -> str:
    """The document that sets the provinces side by side."""
    keys = list(dict.fromkeys(comparable(path_text(path)) for policy in found.values() for path, _ in rules(policy)))
    rows = [[f"{label(f'{key}[0]' if isinstance(_listed(key), schema.Leaves) else key)}<br>`{key}`"] for key in keys]
    for row, key in zip(rows, keys, strict=True):
        row.extend(stack(_cell(policy, path, leaf) for path, leaf in _under(policy, key)) or "–" for policy in found.values())
    statuses = [schema.STATUS.show(policy["regulation"]["status"]) for policy in found.values()]
    lines = [
        "# So sánh chính sách thư điện tử công vụ của các tỉnh",
        "",
        f"Trang này được viết bằng lệnh `{COMMAND}` từ các tệp `inventories/<tỉnh>/group_vars/all/policy.yml`.",
        "Chữ thường: Quy chế ghi rõ. *Chữ nghiêng*: đơn vị vận hành chọn vì Quy chế không quy định.",
        "Dấu † sau giá trị: cách hiểu Quy chế. Dấu § sau giá trị: theo văn bản pháp luật khác.",
        "",
        *table(
            ["Nội dung", *(f"[{province_name(policy)}]({name}.md)" for name, policy in found.items())],
            [
                ["Văn bản", *(policy["regulation"]["number"] or "dự thảo" for policy in found.values())],
                ["Tình trạng", *statuses],
                *rows,
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def comparable(path: str) -> str:
    """The key under which a leaf is compared: a list's items together, an address exception with the others."""
    return path.partition("[")[0]


def _listed(key: str) -> Any:
    node: Any = schema.TREE
    for part in key.split("."):
        node = node[part] if isinstance(node, Mapping) else node
    return node


def _under(policy: Mapping, key: str) -> list[tuple[str, Mapping]]:
    return [(path_text(path), leaf) for path, leaf in rules(policy) if comparable(path_text(path)) == key]


def _cell(policy: Mapping, path: str, leaf: Mapping) -> str:
    text = show_value(policy, path, leaf["value"])
    return {"operator": f"*{text}*", "reading": f"{text} †", "law": f"{text} §", "regulation": text}[leaf["basis"]]


# --- Markdown ---


def province_name(policy: Mapping) -> str:
    return policy["regulation"]["authority"].rpartition("tỉnh ")[2]


def _date(value: Any) -> str:
    return f"{value:%d/%m/%Y}" if value else ""


def stack(lines: Any) -> str:
    """Different lines of one cell, each once."""
    return "<br>".join(dict.fromkeys(line for line in lines if line))


def table(head: list[str], rows: list[list[Any]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(_cell_text(str(cell)) for cell in row) + " |" for row in cells]


def _cell_text(text: str) -> str:
    """Text as a table's cell: `<` is shown, only the line breaks of `_stack` are marks."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("&lt;br>", "<br>")


if __name__ == "__main__":
    sys.exit(main())
