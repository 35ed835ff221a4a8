"""Loads and checks a province's policy.yml against `congvu_mail.policy_schema`.

`check_policy` finds everything that is wrong with a file at once; `python -m congvu_mail.policy FILE...` prints it
(exit status 1 when there is anything). With `REGULATION_TEXTS` set to the folder of the texts the quotes are compared
with them too. Messages are Vietnamese: they are for the operator who edits the file.
"""

import datetime as dt
import difflib
import math
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from congvu_mail import policy_schema as schema
from congvu_mail.clauses import CLAUSE, CLAUSE_FORM, Text, plain, within
from congvu_mail.naming import check_naming

QUOTE_WORDS = 25
NO_TEXTS = "REGULATION_TEXTS chưa đặt: trích dẫn KHÔNG được đối chiếu với văn bản quy chế"

KeyPath = tuple[str | int, ...]
_ABSENT = object()
_CLAUSE_KEYS = ("clause", "summary", "met_by", "by")
_POLICY_PATH = re.compile(r"[a-z_]+(?:\.[a-z_0-9]+|\[\d+\])*")
_DOCUMENT_PATH = re.compile(r"(?:playbooks|docs)/[\w./-]+")


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a policy file: where, what, and what to do about it."""

    file: str
    line: int
    path: str
    value: Any
    problem: str
    remedy: str

    def __str__(self) -> str:
        shown = "" if self.value is None else f" = {_shorten(_written(self.value))}"
        return f"{self.file}:{self.line}: {self.path}{shown}: {self.problem}. Cách sửa: {self.remedy}."


@dataclass
class Document:
    """A policy file as read: `data` is the value of `mail_policy`, `lines` maps each key path in it to its line."""

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Line of the key path, or of the nearest one above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def report(self, path: KeyPath, value: Any, problem: str, remedy: str) -> None:
        """Note a problem at the key path."""
        self.problems.append(Problem(self.file, self.line(path), path_text(path) or "mail_policy", value, problem, remedy))


def path_text(path: KeyPath) -> str:
    """A key path as it is written in Ansible: ``inactivity.stages[0].value``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def is_leaf(node: Any) -> bool:
    """Whether a node of the tree is a leaf: a mapping with the key `basis`."""
    return isinstance(node, Mapping) and "basis" in node


def leaves(node: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Mapping]]:
    """Every leaf under `node` with its key path, in the order of the file."""
    if is_leaf(node):
        yield path, node
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from leaves(child, (*path, key))
    elif isinstance(node, list):
        for position, child in enumerate(node):
            yield from leaves(child, (*path, position))


def load_policy(path: str | os.PathLike) -> Document:
    """Read a policy file; what YAML itself finds wrong, and duplicate keys, are in the document's problems."""
    document = Document(str(path))
    try:
        loader = yaml.SafeLoader(Path(path).read_text(encoding="utf-8-sig"))
        data = _construct(loader, loader.get_single_node(), (), document, set())
    except (OSError, UnicodeDecodeError) as error:
        document.report((), None, f"không đọc được tệp ({error})", "kiểm tra đường dẫn, quyền đọc và bảng mã UTF-8")
        return document
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"YAML sai cú pháp ({getattr(error, 'problem', None) or error})"
        line = mark.line + 1 if mark else 1
        document.problems.append(Problem(document.file, line, "mail_policy", None, problem, "sửa dòng này theo cú pháp YAML"))
        return document
    for key in data if isinstance(data, dict) else ():
        if key != "mail_policy":
            document.report((), None, f"khóa lạ {key} ở mức ngoài cùng", "tệp này chỉ chứa khóa mail_policy")
    if not isinstance(data, dict) or "mail_policy" not in data:
        document.report((), None, "thiếu khóa mail_policy", "đặt toàn bộ chính sách dưới khóa mail_policy")
        return document
    document.data = data["mail_policy"]
    document.lines = {path[1:]: line for path, line in document.lines.items() if path[0] == "mail_policy"}
    return document


def _construct(loader: yaml.SafeLoader, node: yaml.Node | None, path: KeyPath, document: Document, seen: set[int]) -> Any:
    """The value of a YAML node, noting the line of each key path, every duplicate key and every alias of a group or list."""
    if isinstance(node, yaml.CollectionNode):
        if id(node) in seen:
            document.report(path, None, "không dùng bí danh YAML (*)", "chép lại nội dung: mỗi mục phải tự đọc được")
            return None
        seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        result: dict = {}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node))
            here = (*path, key)
            line = key_node.start_mark.line + 1
            if key in result:
                where = path_text(here).removeprefix("mail_policy.")
                problem = f"khóa trùng với dòng {document.lines[here]}"
                document.problems.append(Problem(document.file, line, where, None, problem, "giữ một trong hai, xóa khóa kia"))
                continue
            document.lines[here] = line
            result[key] = _construct(loader, value_node, here, document, seen)
        return result
    if isinstance(node, yaml.SequenceNode):
        items = []
        for position, item in enumerate(node.value):
            here = (*path, position)
            document.lines[here] = item.start_mark.line + 1
            items.append(_construct(loader, item, here, document, seen))
        return items
    return None if node is None else loader.construct_object(node)


def check_policy(path: str | os.PathLike, texts_dir: str | os.PathLike | None = None, today: dt.date | None = None) -> list[Problem]:
    """Everything that is wrong with a policy file, in the order of its lines; an empty list when it is sound.

    `texts_dir` is the folder of the regulations' texts; without it quotes are not compared (say so: `NO_TEXTS`).
    `today` decides whether an exception is in force.
    """
    document = load_policy(path)
    if document.data is not None or not document.problems:
        check_document(document, texts_dir, today)
    return sorted(document.problems, key=lambda problem: problem.line)


def check_document(document: Document, texts_dir: str | os.PathLike | None = None, today: dt.date | None = None) -> None:
    """Check a loaded file, adding to its problems."""
    checker = _Checker(document, _read_text(document, texts_dir) if texts_dir else None, today or dt.date.today())
    checker.node(document.data, schema.TREE, ())
    if not checker.malformed:
        checker.across()


def _read_text(document: Document, texts_dir: str | os.PathLike) -> Text | None:
    name = document.data.get("regulation", {}).get("text") if isinstance(document.data, dict) else None
    if not isinstance(name, str):
        return None
    try:
        return Text((Path(texts_dir) / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        document.report(
            ("regulation", "text"),
            name,
            f"không đọc được văn bản quy chế ({error})",
            "đặt văn bản vào REGULATION_TEXTS",
        )
        return None


class _Checker:
    def __init__(self, document: Document, text: Text | None, today: dt.date) -> None:
        self.document, self.text, self.today = document, text, today
        self.report = document.report
        self.malformed = False  # then rules across leaves cannot be looked at

    def malform(self, path: KeyPath, value: Any, problem: str, remedy: str) -> None:
        """Report something that is missing or of the wrong type."""
        self.malformed = True
        self.report(path, value, problem, remedy)

    # --- structure

    def node(self, data: Any, expected: Any, path: KeyPath) -> None:
        match expected:
            case schema.Plain():
                self.plain(data, expected, path)
            case schema.Leaf():
                self.leaf(data, expected, path)
            case schema.Leaves():
                self.leaf_list(data, expected, path)
            case schema.Naming():
                self.naming(data, expected, path)
            case schema.Clauses():
                self.clauses(data, path)
            case _:
                self.group(data, expected, path)

    def group(self, data: Any, expected: Mapping, path: KeyPath) -> None:
        if not isinstance(data, Mapping):
            self.malform(path, data, "phải là một nhóm khóa", f"ghi các khóa {', '.join(expected)}")
            return
        self.unknown_keys(data, expected, path)
        for key, child in expected.items():
            if key in data:
                self.node(data[key], child, (*path, key))
            else:
                remedy = "thêm khóa này; nếu Quy chế không quy định thì ghi basis: operator kèm note"
                self.malform((*path, key), None, "thiếu khóa bắt buộc", remedy)

    def unknown_keys(self, data: Mapping, known: Iterable[str], path: KeyPath) -> None:
        for key in data:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, 1)
                remedy = f"có phải là {close[0]}?" if close else f"chỉ dùng các khóa {', '.join(known)}"
                self.report((*path, key), None, "khóa lạ", remedy.rstrip("?"))

    def plain(self, data: Any, expected: schema.Plain, path: KeyPath) -> None:
        if data is None and expected.null:
            return
        if complaint := expected.kind.error(data):
            self.report(path, data, complaint, "sửa giá trị theo kiểu đã nêu")

    def leaf_list(self, data: Any, expected: schema.Leaves, path: KeyPath) -> None:
        if not isinstance(data, list) or not data:
            remedy = "ghi ít nhất một mục; nếu không áp dụng thì một mục value: null, basis: operator kèm note"
            self.malform(path, data, "phải là danh sách các mục có basis", remedy)
            return
        for position, item in enumerate(data):
            self.leaf(item, expected.leaf, (*path, position))

    # --- leaves

    def leaf(self, data: Any, expected: schema.Leaf, path: KeyPath) -> None:
        if not is_leaf(data):
            self.malform(path, data, "thiếu căn cứ (basis)", "ghi value, basis và căn cứ: clause, quote, bound hoặc note")
            return
        self.unknown_keys(data, schema.LEAF_KEYS, path)
        self.grounds(data, path)
        self.exception(data, path)
        if "value" not in data:
            self.malform((*path, "value"), None, "thiếu giá trị", "thêm value; nếu không áp dụng thì value: null")
            return
        value = data["value"]
        if value is None:
            if not expected.null:
                self.malform((*path, "value"), "null", "khóa này không được để trống", "ghi một giá trị")
            elif data["basis"] != "operator":
                remedy = "ghi giá trị của Quy chế, hoặc basis: operator kèm note"
                self.report(
                    (*path, "value"),
                    "null",
                    "để trống nghĩa là Quy chế không quy định, nhưng basis không phải operator",
                    remedy,
                )
            return
        if complaint := expected.kind.error(value):
            self.malform((*path, "value"), value, complaint, "sửa giá trị theo kiểu đã nêu")
            return
        self.bound(data, expected, path)

    def grounds(self, data: Mapping, path: KeyPath) -> None:
        """Basis, clause, quote and note of any leaf."""
        basis = data["basis"]
        if basis not in schema.BASES:
            self.malform((*path, "basis"), basis, "căn cứ không hợp lệ", f"dùng một trong {', '.join(schema.BASES)}")
            return
        needed = {
            "regulation": ["clause", "quote"],
            "reading": ["clause", "quote", "note"],
            "law": ["act", "clause"],
            "operator": ["note"],
        }
        for key in needed[basis]:
            if not (isinstance(data.get(key), str) and data[key].strip()):
                remedies = {
                    "clause": f"ghi điều khoản dạng {CLAUSE_FORM}",
                    "quote": f"trích nguyên văn câu quy định, không quá {QUOTE_WORDS} từ",
                    "act": 'ghi tên văn bản, ví dụ "Nghị định 91/2020/NĐ-CP"',
                    "note": "ghi lý do của lựa chọn hoặc cách hiểu",
                }
                self.malform((*path, key), data.get(key), f"thiếu {key} (bắt buộc với basis: {basis})", remedies[key])
        for key, allowed in {
            "act": ("law",),
            "quote_restored": ("reading",),
            "bound": ("regulation", "reading", "law"),
        }.items():
            if key in data and basis not in allowed:
                self.report(
                    (*path, key),
                    data[key],
                    f"{key} không đi cùng basis: {basis}",
                    f"bỏ {key} hoặc sửa basis thành {allowed[0]}",
                )
        clause, quote = data.get("clause"), data.get("quote")
        if isinstance(clause, str) and not CLAUSE.fullmatch(clause):
            self.report((*path, "clause"), clause, "điều khoản sai dạng", f"ghi {CLAUSE_FORM}")
        if isinstance(quote, str) and (count := len(plain(quote).split())) > QUOTE_WORDS:
            self.report((*path, "quote"), quote, f"trích dẫn dài {count} từ", f"rút còn tối đa {QUOTE_WORDS} từ liền nhau")
        if isinstance(quote, str) and isinstance(clause, str) and basis != "law":
            self.quote_in_text(quote, clause, (*path, "quote"))

    def quote_in_text(self, quote: str, clause: str, path: KeyPath) -> None:
        if self.text is None:
            return
        if not self.text.contains(quote):
            self.report(path, quote, "trích dẫn không có trong văn bản", "chép lại nguyên văn, kể cả chỗ bản quét bị lỗi")
            return
        known = self.text.clauses()
        while clause not in known and " " in clause:  # a division the scan has damaged: look in the one around it
            clause = clause.rpartition(" ")[0].rpartition(" ")[0]
        found = self.text.clauses_of(quote)
        if clause in known and not any(within(place, clause) for place in found):
            self.report(path, quote, f"trích dẫn không nằm ở {clause} mà ở {', '.join(found)}", "sửa clause hoặc trích dẫn")

    def exception(self, data: Mapping, path: KeyPath) -> None:
        if "exception" not in data:
            return
        exception, here = data["exception"], (*path, "exception")
        if not isinstance(exception, Mapping) or set(exception) != set(schema.EXCEPTION_KEYS):
            self.report(here, exception, "ngoại lệ sai dạng", f"ghi đủ các khóa {', '.join(schema.EXCEPTION_KEYS)}")
            return
        for key in ("document", "approved_by"):
            if not (isinstance(exception[key], str) and exception[key].strip()):
                self.report((*here, key), exception[key], "không được để trống", "ghi số văn bản cho phép và người phê duyệt")
        for key in ("date", "until"):
            if complaint := schema.Date().error(exception[key]):
                self.report((*here, key), exception[key], complaint, "ghi ngày, ví dụ 2026-12-31")
                return
        if not exception["date"] <= self.today <= exception["until"]:
            problem = f"ngoại lệ không có hiệu lực vào ngày {self.today:%d/%m/%Y}"
            self.report(
                here,
                f"{exception['date']}..{exception['until']}",
                problem,
                "đưa giá trị về đúng Quy chế hoặc xin văn bản mới",
            )

    def excepted(self, data: Mapping) -> bool:
        exception = data.get("exception")
        dates = [exception.get(key) for key in ("date", "until")] if isinstance(exception, Mapping) else []
        return bool(dates) and all(isinstance(date, dt.date) for date in dates) and dates[0] <= self.today <= dates[1]

    # --- bounds

    def bound(self, data: Mapping, expected: schema.Leaf, path: KeyPath) -> None:
        """The regulation's own figure: well formed, of the right direction, printed in the quote, obeyed by the value."""
        basis, here = data["basis"], (*path, "bound")
        if "bound" not in data:
            if expected.bounds and expected.bound_required and basis != "operator":
                example = f"{{{expected.bounds[0]}: ...}}"
                self.report(here, None, "thiếu mức của Quy chế (bound)", f"ghi con số của Quy chế, ví dụ {example}")
            return
        bound = data["bound"]
        if not isinstance(bound, Mapping) or not bound:
            self.report(here, bound, "bound sai dạng", f"ghi một trong {', '.join(schema.OPERATORS)} và con số của Quy chế")
            return
        rules = []
        for operator, operand in bound.items():
            complaints: list[str] = []
            rules += _rules(operator, operand, data["value"], expected, "", complaints)
            for complaint in complaints:
                self.report((*here, operator), operand, complaint, f"dùng {', '.join(expected.bounds)} với giá trị đúng kiểu")
        if len(self.document.problems) and any(p.path.startswith(path_text(here)) for p in self.document.problems):
            return
        missing = _uncovered(expected.kind, data["value"], [rule.where for rule in rules])
        if missing:
            self.report(here, bound, f"bound chưa nêu {', '.join(missing)}", "ghi mức của Quy chế cho từng phần của giá trị")
        printed = _folded(f"{data.get('quote', '')} {data.get('quote_restored', '')}")
        for rule in rules:
            if basis != "law" and (absent := rule.not_printed(printed, basis)):
                remedy = "trích câu có con số đó; nếu văn bản không ghi thì dùng basis: reading hoặc operator"
                self.report(here, bound, f"trích dẫn không có {absent}", remedy)
            if not rule.obeyed(bound) and not self.excepted(data):
                problem = f"trái Quy chế, phải {schema.OPERATORS[rule.operator]} {_written(rule.operand)}"
                remedy = "đưa giá trị về mức của Quy chế, hoặc khai exception {document, date, until, approved_by}"
                self.report((*path, "value"), data["value"], problem, remedy)

    # --- the two lists with rules of their own

    def naming(self, data: Any, expected: schema.Naming, path: KeyPath) -> None:
        if not isinstance(data, Mapping):
            self.malform(path, data, "phải là một nhóm khóa", "ghi quy tắc đặt địa chỉ của Quy chế")
            return
        for here, leaf in leaves(data, path):
            self.leaf(leaf, expected.leaf, here)
        for sentence in check_naming(data):
            where, _, problem = sentence.partition(": ")
            here = tuple(int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", where))
            self.report(here, None, problem, "sửa quy tắc đặt địa chỉ tại đây")

    def clauses(self, data: Any, path: KeyPath) -> None:
        if not isinstance(data, list) or not data:
            self.malform(path, None, "phải là danh sách điều khoản", "ghi mọi điều, khoản, điểm của văn bản")
            return
        seen: dict[str, int] = {}
        for position, entry in enumerate(data):
            here = (*path, position)
            if not isinstance(entry, Mapping) or any(key not in entry for key in _CLAUSE_KEYS):
                self.malform(here, None, "mục sai dạng", f"ghi đủ các khóa {', '.join(_CLAUSE_KEYS)}")
                continue
            self.unknown_keys(entry, _CLAUSE_KEYS, here)
            clause, met_by, by = entry["clause"], entry["met_by"], entry["by"]
            if not isinstance(clause, str) or not CLAUSE.fullmatch(clause):
                self.malform((*here, "clause"), clause, "điều khoản sai dạng", f"ghi {CLAUSE_FORM}")
            elif clause in seen:
                self.report((*here, "clause"), clause, f"điều khoản đã ghi ở dòng {seen[clause]}", "gộp hai mục")
            else:
                seen[clause] = self.document.line(here)
            if complaint := schema.TEXT.error(entry["summary"]):
                self.report((*here, "summary"), entry["summary"], complaint, "tóm tắt nội dung bằng lời của mình")
            if met_by not in schema.MET_BY:
                self.report((*here, "met_by"), met_by, "giá trị lạ", f"dùng một trong {', '.join(schema.MET_BY)}")
            if not isinstance(by, list) or not all(isinstance(item, str) for item in by):
                self.malform((*here, "by"), by, "phải là danh sách chuỗi", "ghi khóa chính sách, playbook hoặc tài liệu")
                continue
            if met_by in ("control", "procedure") and not by:
                self.report(
                    (*here, "by"),
                    by,
                    "chưa nêu biện pháp",
                    "ghi khóa chính sách, playbook hoặc tài liệu thực hiện điều khoản",
                )
            for item in by:
                if not self.exists(item):
                    remedy = "ghi khóa có trong tệp này, hoặc đường dẫn playbooks/..., docs/..."
                    self.report((*here, "by"), item, "không có khóa hoặc tài liệu này", remedy)

    def exists(self, item: str) -> bool:
        """Whether an item of `by` is a key of this file, or has the form of a playbook or document (the tests look for those)."""
        if _DOCUMENT_PATH.fullmatch(item):
            return True
        return bool(_POLICY_PATH.fullmatch(item)) and find(self.document.data, item, _ABSENT) is not _ABSENT

    # --- rules across leaves

    def across(self) -> None:
        self.addresses()
        self.stages()
        self.registered()
        self.passwords()
        self.transfers()
        data = self.document.data
        for position, alias in enumerate(data["domain_aliases"]["value"]):
            if alias["until"] and alias["until"] < alias["from"]:
                path = ("domain_aliases", "value", position)
                self.report(path, alias["name"], "ngày kết thúc trước ngày bắt đầu", "sửa from hoặc until")

    def passwords(self) -> None:
        """A set of specials goes with the class; administrators never have weaker rules than users."""
        user, admin = (self.document.data["password"][who] for who in ("user", "admin"))
        for who, rule in (("user", user), ("admin", admin)):
            if rule["specials"]["value"] and "special" not in rule["classes"]["value"]:
                path = ("password", who, "specials", "value")
                self.report(
                    path,
                    rule["specials"]["value"],
                    "có tập ký tự đặc biệt nhưng classes không có special",
                    "thêm special vào classes",
                )
        weaker = {
            "min_length": admin["min_length"]["value"] < user["min_length"]["value"],
            "classes": not set(admin["classes"]["value"]) >= set(user["classes"]["value"]),
            "max_age_months": (admin["max_age_months"]["value"] or math.inf) > (user["max_age_months"]["value"] or math.inf),
        }
        for key in (key for key, found in weaker.items() if found):
            path = ("password", "admin", key, "value")
            problem = f"yếu hơn quy định cho người dùng ({user[key]['value']})"
            self.report(path, admin[key]["value"], problem, "quy định cho quản trị không yếu hơn cho người dùng")

    def transfers(self) -> None:
        """What becomes of a mailbox and what becomes of its address are two leaves that say one thing."""
        data = self.document.data
        mailbox, change = data["termination"]["on_transfer"]["value"], data["naming"]["change"]["transfer"]["value"]
        said = change["address"] if change["address"] == "keep" else f"{change['address']}, {change['old']}"
        wanted = {"keep": "keep", "rename": "new, alias", "end": "new, closed"}[mailbox]
        path = ("naming", "change", "transfer", "value")
        if said != wanted:
            problem = f"trái với termination.on_transfer: {mailbox}"
            remedy = f"với {mailbox}, address và old phải là {wanted}; hoặc sửa termination.on_transfer theo Quy chế"
            self.report(path, said, problem, remedy)
        if mailbox == "rename" and "{organisation}" not in data["naming"]["person"]["value"]["pattern"]:
            problem = "địa chỉ cá nhân không mang tên cơ quan nên chuyển công tác không có địa chỉ mới để đổi"
            self.report(("termination", "on_transfer", "value"), mailbox, problem, "ghi keep, hoặc dùng {organisation} trong naming.person")

    def addresses(self) -> None:
        data = self.document.data
        domains = [data["domain"]["value"], *(alias["name"] for alias in data["domain_aliases"]["value"])]
        for group, key in (("requests", "mailbox"), ("contacts", "incident"), ("contacts", "support")):
            address = data[group][key]["value"]
            if address.rpartition("@")[2] not in domains:
                self.report(
                    (group, key, "value"),
                    address,
                    f"không thuộc tên miền {', '.join(domains)}",
                    "dùng hộp thư của hệ thống này",
                )
        host = re.sub(r"https?://([^/]*).*", r"\1", data["webmail"]["url"]["value"])
        if not any(host == domain or host.endswith("." + domain) for domain in domains):
            self.report(
                ("webmail", "url", "value"),
                host,
                f"không thuộc tên miền {', '.join(domains)}",
                "dùng tên máy trong tên miền",
            )

    def stages(self) -> None:
        """Stages come in the order of time; one that counts from a notice needs a notice before it."""
        months, noticed = 0, False
        for position, leaf in enumerate(self.document.data["inactivity"]["stages"]):
            after, path = leaf["value"]["after"], ("inactivity", "stages", position, "value")
            if after.get("months", months) < months:
                self.report(path, after["months"], "bước này đến hạn trước bước đứng trên", "xếp các bước theo thời gian")
            if ("working_days" in after) != ("since" in after) or ("since" in after and not noticed):
                problem = "thời hạn ngày làm việc phải tính từ một bước notice đứng trên"
                self.report(path, leaf["value"]["action"], problem, "thêm bước notice, ghi since: notice")
            months = after.get("months", months)
            noticed = noticed or leaf["value"]["action"] == "notice"

    def registered(self) -> None:
        """Each leaf from the regulation stands in the register under its clause, so that neither can go without the other."""
        entries = self.document.data["clauses"]
        for path, leaf in leaves({key: node for key, node in self.document.data.items() if key != "clauses"}):
            if leaf["basis"] not in ("regulation", "reading"):
                continue
            here = path_text(path)
            named = [entry["by"] for entry in entries if within(entry["clause"], leaf["clause"])]
            if not any(here == item or here.startswith(item + ".") for by in named for item in by):
                problem = f"sổ điều khoản (clauses) chưa ghi khóa này dưới {leaf['clause']}"
                self.report((*path, "clause"), leaf["clause"], problem, f"thêm {here} vào by của điều khoản đó")


@dataclass(frozen=True)
class _Rule:
    """One comparison of a bound: `value` of `kind` at `where` inside the leaf, against `operand`."""

    operator: str
    kind: schema.Kind
    where: str
    value: Any
    operand: Any

    def operand_kind(self) -> schema.Kind:
        listed = self.operator in ("includes", "only") and not isinstance(self.kind, schema.ListOf)
        return schema.ListOf(self.kind, 1) if listed else self.kind

    def not_printed(self, printed: str, basis: str) -> str | None:
        """The figure that the quote lacks. A reading must have its numbers in the quote, its words are interpretation."""
        if self.operator == "only" or (basis == "reading" and not self.kind.written_as_number):
            return None
        for figure, pattern in self.operand_kind().evidence(self.operand):
            if not re.search(pattern, printed, re.IGNORECASE):
                return figure
        return None

    def obeyed(self, bound: Mapping) -> bool:
        if self.value is None:
            return False
        amount = self.kind.amount(self.value, bound)
        if self.operator in ("includes", "only"):
            as_set = schema.ListOf(self.kind).amount
            value, operand = as_set(self.value, bound), as_set(self.operand, bound)
            return operand <= value if self.operator == "includes" else value <= operand
        limit = self.kind.amount(self.operand, bound)
        return {"min": amount >= limit, "max": amount <= limit, "exact": amount == limit}[self.operator]


def _rules(operator: str, operand: Any, value: Any, leaf: schema.Leaf, where: str, complaints: list[str]) -> list[_Rule]:
    """The comparisons one operator of a bound stands for; what is malformed goes to `complaints`."""
    kind = leaf.kind
    if isinstance(kind, schema.Fields):
        if not isinstance(operand, Mapping) or not operand:
            complaints.append("phải là một nhóm khóa như trong value")
            return []
        rules = []
        for key, inner in operand.items():
            if key not in kind.fields:
                complaints.append(f"khóa lạ {key}")
                continue
            below = f"{where}.{key}".removeprefix(".")
            rules += _rules(operator, inner, (value or {}).get(key), kind.fields[key], below, complaints)
        return rules
    rule = _Rule(operator, kind, where, value, operand)
    if operator not in leaf.bounds:
        complaints.append(f"{where or 'khóa này'} không so sánh được bằng {operator}")
    elif complaint := rule.operand_kind().error(operand) or ("không được rỗng" if operand == [] else None):
        complaints.append(f"mức của Quy chế {complaint}")
    else:
        return [rule]
    return []


def _uncovered(kind: schema.Kind, value: Any, covered: list[str], where: str = "") -> list[str]:
    """Parts of a mapping value that no comparison looks at; empty and false parts say nothing that could be weakened."""
    if not isinstance(kind, schema.Fields):
        return [] if where in covered or value in (None, [], False) else [where]
    found = []
    for key in value:
        found += _uncovered(kind.fields[key].kind, value[key], covered, f"{where}.{key}".removeprefix("."))
    return found


def find(data: Any, path: str, absent: Any = None) -> Any:
    """The node at a written key path (`inactivity.stages[0]`), `absent` when there is none."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(data, Mapping) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return absent
    return data


def _folded(quote: str) -> str:
    """A quote for looking up figures and words: marks such as `*` and `#` stay, they may be what is looked for."""
    return " ".join(unicodedata.normalize("NFC", quote).replace("\\", "").split()).casefold()


def _written(value: Any) -> str:
    """A value as it is written in the file, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf).removesuffix("...\n").strip()


def _shorten(text: str, length: int = 100) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def main(files: list[str]) -> int:
    """Print the problems of the files; 1 when there are any."""
    texts = os.environ.get("REGULATION_TEXTS")
    if not texts:
        print(NO_TEXTS, file=sys.stderr)
    problems = [problem for name in files for problem in check_policy(name, texts)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
