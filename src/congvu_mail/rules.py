"""What holds each rule of the policies, and which test tries to break it: docs/rules.md.

`python -m congvu_mail.rules`, in the project's folder, writes the page from inventories/*/group_vars/all/policy.yml and
docs/rules.yml; a unit test fails when it is stale, and when `problems` finds anything. docs/rules.yml is a list; an item:

``rule``      key of the policy's tree or of a group in it, or a list of keys; a leaf belongs to the item with the longest key
``title``     what the group is about, where the tree has no label for it (Vietnamese)
``controls``  what enforces it: a variable of a role (``rspamd_encrypted``) or a file of the project
``tests``     by path (a key of `PATHS`): tests that try to break the rule there, each ``FILE::TEST`` with the file's name, or
              its path where several have the name; or, in words, why there is none yet
``missing``   in words (Vietnamese): what of the rule nothing enforces yet; such a rule does not count as met
``fact``      in words: why there is nothing to enforce; such an item has no controls and no tests
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

from congvu_mail import policy_docs as docs
from congvu_mail import policy_schema as schema
from congvu_mail.policy import path_text

COMMAND = "python -m congvu_mail.rules"
DATA, PAGE = Path("docs/rules.yml"), Path("docs/rules.md")
# Every way to or through the system on which a rule may be broken.
PATHS = {
    "imap": "IMAP",
    "pop3": "POP3",
    "submission": "Gửi thư (SMTP có đăng nhập)",
    "webmail": "Web",
    "sieve": "ManageSieve",
    "ldap": "LDAP",
    "local": "Nội bộ",
    "inbound": "Thư đến",
    "outbound": "Thư đi",
    "operation": "Vận hành",
}
KEYS = {"rule", "title", "controls", "tests", "missing", "fact"}
_TEST_FOLDERS = ("tests/unit", "molecule/*/tests", "roles/*/molecule/*/tests", "bench")


def load(root: Path) -> list[Mapping]:
    """The items of docs/rules.yml, `rule` always a list."""
    items = yaml.safe_load((root / DATA).read_text(encoding="utf-8"))
    return [item | {"rule": [item["rule"]] if isinstance(item["rule"], str) else item["rule"]} for item in items]


def problems(root: Path) -> list[str]:
    """Everything wrong: rules without control or test, names of things that are not there, items without a rule."""
    items, found = load(root), docs.policies(root)
    said = [text for item in items for text in _item_problems(root, item)]
    used = set()
    for name, policy in found.items():
        for path, _leaf in docs.rules(policy):
            owner = _owner(items, path_text(path))
            used.add(owner)
            if owner is None:
                said.append(f"{name}: {path_text(path)}: no item in {DATA} says what enforces it")
    keys = [key for item in items for key in item["rule"]]
    said += [f"{key}: in {DATA} twice" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    return said + [f"{key}: no policy has such a rule" for key in keys if key not in used]


def page(root: Path) -> str:
    """docs/rules.md."""
    items, found = load(root), docs.policies(root)
    enforced = [item for item in items if "fact" not in item]
    missing = [[_rule_cell(item), docs.stack(_gaps(item))] for item in enforced if not _met(item)]
    lines = [
        "# Từng quy tắc, biện pháp bảo đảm và phép thử phá nó",
        "",
        f"Trang này được viết bằng lệnh `{COMMAND}` từ `{DATA}` và các tệp `inventories/<tỉnh>/group_vars/all/policy.yml`.",
        "Một quy tắc chỉ được coi là đạt khi có biện pháp trên hệ thống và có phép thử cố phá nó trên từng đường; còn thiếu gì thì ghi ở",
        "[Chưa có](#chưa-có). Số liệu theo từng tỉnh: [so sánh](policy/so-sanh.md).",
        "",
        f"Đạt {sum(_met(item) for item in enforced)} trên {len(enforced)} nhóm quy tắc.",
        "",
        "## Các quy tắc",
        "",
        *docs.table(
            ["Quy tắc", "Điều khoản", "Biện pháp", "Đường và phép thử"],
            [_row(root, item, items, found) for item in enforced],
        ),
        "",
        "## Chưa có",
        "",
        *(docs.table(["Quy tắc", "Còn thiếu"], missing) if missing else ["Không còn quy tắc nào."]),
        "",
        "## Chỉ ghi nhận",
        "",
        "Giá trị là dữ kiện, hệ thống không có gì để chặn.",
        "",
        *docs.table(["Khóa", "Lý do"], [[_rule_cell(item), item["fact"]] for item in items if "fact" in item]),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page; say what is wrong with the data."""
    root = Path.cwd()
    if not (root / DATA).is_file():
        print(f"{root}: không có {DATA}; chạy lệnh này ở thư mục gốc của dự án", file=sys.stderr)
        return 1
    wrong = problems(root)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    (root / PAGE).write_text(page(root), encoding="utf-8")
    return 1 if wrong else 0


# --- what is wrong ---


def _item_problems(root: Path, item: Mapping) -> Iterator[str]:
    name = ", ".join(item["rule"])
    for key in item.keys() - KEYS:
        yield f"{name}: unknown key {key}"
    if "fact" in item:
        if item.keys() & {"controls", "tests", "missing"}:
            yield f"{name}: a fact has no controls, tests or gaps"
        return
    if "missing" not in item and not item.get("controls"):
        yield f"{name}: no control; say which, or why not under missing"
    if "missing" not in item and not item.get("tests"):
        yield f"{name}: no test; say which, or why not under missing"
    for control in item.get("controls", ()):
        if not (root / control).exists() and control not in _variables(root):
            yield f"{name}: {control} is neither a variable of a role nor a file"
    for path, tests in item.get("tests", {}).items():
        if path not in PATHS:
            yield f"{name}: {path} is no path; these are: {', '.join(PATHS)}"
        for test in tests if isinstance(tests, list) else ():
            if _test_file(root, test) is None:
                yield f"{name}: {path}: no test {test}, or several files of the name"


@cache
def _variables(root: Path) -> Mapping[str, str]:
    """The role of every variable that a role takes."""
    found = {}
    for file in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        specification = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"]
        for entry in specification.values():
            found |= dict.fromkeys(entry.get("options", {}), file.parts[-3])
    return found


@cache
def _tests(root: Path) -> Mapping[Path, frozenset[str]]:
    """The names of the tests in each file, relative to the root."""
    files = sorted(file for folder in _TEST_FOLDERS for file in root.glob(f"{folder}/test_*.py"))
    return {file.relative_to(root): _names(file) for file in files}


def _names(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _test_file(root: Path, test: str) -> Path | None:
    """The one file that has the test FILE::TEST; None when there is none or more than one."""
    file, _, name = test.partition("::")
    found = [path for path, names in _tests(root).items() if (path.name == file or str(path) == file) and name in names]
    return found[0] if len(found) == 1 else None


# --- the page ---


def _owner(items: list[Mapping], path: str) -> str | None:
    """The longest key of the data that stands for the leaf."""
    keys = [key for item in items for key in item["rule"] if path == key or path.startswith((f"{key}.", f"{key}["))]
    return max(keys, key=len, default=None)


def _met(item: Mapping) -> bool:
    return not _gaps(item)


def _gaps(item: Mapping) -> list[str]:
    """What is missing, in words."""
    paths = [f"{PATHS[path]}: {tests}" for path, tests in item.get("tests", {}).items() if isinstance(tests, str)]
    return ([item["missing"]] if "missing" in item else []) + paths


def _row(root: Path, item: Mapping, items: list[Mapping], found: Mapping[str, Mapping]) -> list[str]:
    return [_rule_cell(item), _clauses_cell(item, items, found), _controls_cell(root, item), _tests_cell(root, item)]


def _rule_cell(item: Mapping) -> str:
    if "title" in item:
        return docs.stack([item["title"], *(f"`{key}`" for key in item["rule"])])
    return docs.stack(f"{_label(key)}<br>`{key}`" for key in item["rule"])


def _label(key: str) -> str:
    node = schema.TREE
    for part in key.split("."):
        node = node[part]
    return docs.label(f"{key}[0]" if isinstance(node, schema.Leaves) else key)


def _clauses_cell(item: Mapping, items: list[Mapping], found: Mapping[str, Mapping]) -> str:
    """The clauses behind the rule, a line for each province; words for provinces whose text is silent."""
    lines, silent = [], []
    for policy in found.values():
        own = [leaf for path, leaf in docs.rules(policy) if _owner(items, path_text(path)) in item["rule"]]
        clauses = [leaf["clause"] for leaf in own if leaf["basis"] in ("regulation", "reading")]
        clauses += [f"{leaf['act']}, {leaf['clause']}" for leaf in own if leaf["basis"] == "law"]
        if clauses:
            lines.append(f"{docs.province_name(policy)}: {'; '.join(dict.fromkeys(clauses))}")
        elif own:
            silent.append(docs.province_name(policy))
    return docs.stack([*lines, *([f"*Đơn vị vận hành chọn: {', '.join(silent)}*"] if silent else [])])


def _controls_cell(root: Path, item: Mapping) -> str:
    return docs.stack(
        f"`{control}` ([{_variables(root)[control]}](../roles/{_variables(root)[control]}/README.md))"
        if control in _variables(root)
        else f"[{control}](../{control})"
        for control in item.get("controls", ())
    )


def _tests_cell(root: Path, item: Mapping) -> str:
    return docs.stack(
        f"**{PATHS[path]}**: " + (", ".join(_test_link(root, test) for test in tests) if isinstance(tests, list) else "*chưa có*")
        for path, tests in item.get("tests", {}).items()
    )


def _test_link(root: Path, test: str) -> str:
    file, name = _test_file(root, test), test.partition("::")[2]
    return f"[{name}](../{file})" if file else f"{name} (?)"


if __name__ == "__main__":
    sys.exit(main())
