"""The published directory (danh bạ thư điện tử công vụ): who is in it, in which editions, and the files that are published.

`Rules.of` takes from `mail_policy` what the directory needs; `select` decides entry by entry of the directory server;
`files` renders the editions and the manifest; `publish` writes them. The same entries give the same bytes, in whatever order
they come; the date in an edition is the day on which its content last changed.

Entries are mappings of LDAP attributes to lists of text. Read are, besides those that docs/architecture.md names,
`employeeType` (a person's category in the register: RFC 2798), `businessCategory` (an organisation's kind in the register:
RFC 4519) and `congvuPublished` (TRUE: the person is one whose data may be given, column `authorised`). What is not known is
not published.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import jinja2

from congvu_mail import address_book_formats as formats
from congvu_mail import cells
from congvu_mail import policy_schema as schema
from congvu_mail.names import fold

# What `select` reads; a search for the directory needs no more.
ATTRIBUTES = (
    "businessCategory",
    "congvuCode",
    "congvuKind",
    "congvuOrganisation",
    "congvuPublished",
    "congvuState",
    "displayName",
    "employeeType",
    "facsimileTelephoneNumber",
    "mail",
    "o",
    "telephoneNumber",
    "title",
)
FIELD_ATTRIBUTES = {"title": "title", "phone": "telephoneNumber", "fax": "facsimileTelephoneNumber", "address": "mail"}

MANIFEST = "manifest.json"
PORTALS = "co-quan"  # folder of the editions of single bodies

# Kinds of organisation (registers) that are shown within the body above them and have no portal of their own.
_WITHIN = ("division", "subordinate")
_KIND_ORDER = ("province_agency", "district", "commune", "party", "mass_org", "central", "enterprise", "service")
_NO_ORGANISATION = "Chưa ghi cơ quan"
_PAGE = Path(__file__).with_name("address_book_page")
_LETTERS = {letter: number for number, letter in enumerate("aăâbcdđeêfghijklmnoôơpqrstuưvwxyz")}
_TONES = {"\u0300": 1, "\u0309": 2, "\u0303": 3, "\u0301": 4, "\u0323": 5}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the policy says about the directory."""

    publish: bool
    fields: tuple[str, ...]
    scope: str
    categories: frozenset[str]
    target: str
    period_months: int | None
    clause: str
    regulation: str
    owner: str
    domain: str
    contact: str

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Rules:
        """The rules in `mail_policy` (which the role `policy` has checked). `ValueError` when no directory can be made by them."""
        directory, regulation = policy["directory"], policy["regulation"]
        fields = tuple(directory["fields"]["value"])
        missing = [name for name in ("full_name", "address") if name not in fields]
        if missing:
            raise ValueError(
                f"policy.yml: mail_policy.directory.fields = {list(fields)}: danh bạ thư điện tử phải có tên và địa chỉ. "
                f"Cách sửa: thêm {', '.join(missing)} vào directory.fields."
            )
        return cls(
            publish=directory["publish"]["value"],
            fields=fields,
            scope=directory["scope"]["value"],
            categories=frozenset(directory["categories"]["value"]),
            target=directory["target"]["value"],
            period_months=directory["period_months"]["value"],
            clause=directory["publish"].get("clause", ""),
            regulation=_regulation(regulation),
            owner=policy["system"]["owner"]["value"],
            domain=policy["domain"]["value"],
            contact=policy["contacts"]["support"]["value"],
        )

    @property
    def public(self) -> bool:
        """Whether anybody may read the directory, not only those who logged in."""
        return self.scope != "all"


def _regulation(regulation: Mapping[str, Any]) -> str:
    number, issued = regulation["number"], cells.date(regulation["issued"])
    words = regulation["title"]
    if number:
        words += f", số {number}"
        if issued:
            words += f" ngày {formats.vietnamese_date(issued)}"
    return words if regulation["status"] == "in_force" else f"{words} ({schema.STATUS.show(regulation['status'])})"


# --- who is in it -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Organisation:
    """A body or a part of one: its mailbox, when it is published, and its people. `row` and `people` hold values by field."""

    code: str
    name: str
    kind: str = ""
    parent: Organisation | None = None
    row: dict[str, str] | None = None
    people: list[dict[str, str]] = field(default_factory=list)

    @property
    def path(self) -> list[Organisation]:
        """From the highest organisation down to this one. The province at the very top stands only before its own parts."""
        path = [self]
        while (above := path[-1].parent) and (above.parent or path[-1].kind in _WITHIN) and above not in path:
            path.append(above)
        return path[::-1]

    @property
    def body(self) -> Organisation:
        """The organisation with a portal of its own that this one is part of.

        One whose kind is not known counts as part of the one above it, except directly below the province.
        """
        path = self.path
        bodies = [node for node in path if node.kind not in _WITHIN and (node.kind or node is path[0])]
        return (bodies or path)[-1]

    @property
    def full_name(self) -> str:
        """The name with those of the organisations above it."""
        return ", ".join(node.name for node in reversed(self.path))


@dataclass(slots=True)
class Directory:
    """The organisations with something to publish, in their order, and how many people were left out for which reason."""

    organisations: list[Organisation]
    left_out: Counter[str]


def select(entries: Iterable[Mapping[str, Sequence[str]]], rules: Rules) -> Directory:
    """Who is published under these rules."""
    left_out: Counter[str] = Counter()
    organisations: dict[str, Organisation] = {}
    parents: dict[str, str] = {}
    people = []
    for raw in entries:
        entry = {name.lower(): value for name, values in raw.items() if (value := _one(values))}
        kind = entry.get("congvukind", "").lower()
        if kind == "person":
            people.append(entry)
        elif kind == "organisation":
            code = entry.get("congvucode", "")
            node = Organisation(code, entry.get("displayname", ""), entry.get("businesscategory", "").lower())
            if _active(entry):
                node.row = _row(entry, rules)
            organisations[code] = node
            parents[code] = entry.get("congvuorganisation", "")
    for code, node in organisations.items():
        node.parent = organisations.get(parents[code])
    for entry in people:
        reason = _reason_against(entry, rules)
        if reason:
            left_out[reason] += 1
            continue
        code, name = entry.get("congvuorganisation", ""), entry.get("o", _NO_ORGANISATION)
        # An organisation without an entry of its own is known by its name only.
        node = organisations.get(code) or organisations.setdefault(f"\0{name}", Organisation("", name))
        node.people.append(_row(entry, rules))
    shown = [node for node in organisations.values() if node.row or node.people]
    for node in shown:
        if "organisation" in rules.fields:
            full_name = node.full_name
            for row in (*([node.row] if node.row else []), *node.people):
                row["organisation"] = full_name
        node.people.sort(key=lambda row: (_by_given_name(row["full_name"]), tuple(row.values())))
    return Directory(sorted(shown, key=_place), left_out)


def _one(values: Sequence[str]) -> str:
    """An attribute's values as one text without line breaks, controls or invisible characters."""
    texts = map(cells.text, values)
    cleaned = {value if value.isprintable() else cells.text("".join(filter(str.isprintable, value))) for value in texts}
    return ", ".join(sorted(cleaned - {""}))


def _active(entry: Mapping[str, str]) -> bool:
    return entry.get("congvustate", "").lower() == "active" and bool(entry.get("displayname")) and bool(entry.get("mail"))


def _reason_against(entry: Mapping[str, str], rules: Rules) -> str:
    """Why a person is not published; empty when nothing is against it."""
    if not _active(entry):
        return "hộp thư không hoạt động"
    if "employeetype" not in entry:
        return "chưa ghi đối tượng trong danh bạ LDAP (employeeType)"
    if entry["employeetype"] not in rules.categories:
        return "không thuộc đối tượng công bố của chính sách (directory.categories)"
    if rules.scope == "authorised" and entry.get("congvupublished", "").upper() != "TRUE":
        return "không phải người được phép cung cấp thông tin (cột authorised của sổ đăng ký)"
    return ""


def _row(entry: Mapping[str, str], rules: Rules) -> dict[str, str]:
    """The published fields of an entry, in the order of the policy; the organisation is filled in later."""
    attributes = FIELD_ATTRIBUTES | {"full_name": "displayName", "organisation": ""}
    return {name: entry.get(attributes[name].lower(), "") for name in rules.fields}


def _place(node: Organisation) -> tuple:
    """Where an organisation stands: after the kind of the highest one above it, then by name."""
    path = node.path
    top = path[0]
    kind = _KIND_ORDER.index(top.kind) if top.kind in _KIND_ORDER else len(_KIND_ORDER)
    return not top.code, kind, top.parent is not None, [(collation(part.name), part.code) for part in path]


def collation(value: str) -> tuple:
    """Sort key in the order of the Vietnamese alphabet: letters first, then tones (ngang, huyền, hỏi, ngã, sắc, nặng)."""
    words = [_word(word) for word in value.lower().split()]
    return [letters for letters, _ in words], [tone for _, tone in words]


@lru_cache(maxsize=65536)
def _word(word: str) -> tuple[tuple, int]:
    letters, tone = [], 0
    for char in word:
        parts = unicodedata.normalize("NFD", char)
        tone = max(tone, *(_TONES.get(part, 0) for part in parts))
        letter = unicodedata.normalize("NFC", "".join(part for part in parts if part not in _TONES))
        letters.append((1, _LETTERS[letter]) if letter in _LETTERS else (0, ord(letter[:1] or " ")))
    return tuple(letters), tone


def _by_given_name(full_name: str) -> tuple:
    return collation(full_name.split()[-1]) if full_name else (), collation(full_name)


# --- editions and their files -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edition:
    """One copy of the directory: the whole province's (no folder, no body) or one body's."""

    folder: str
    body: str
    organisations: Sequence[Organisation]

    @property
    def rows(self) -> Iterator[tuple[Organisation, dict[str, str], bool]]:
        """Every published mailbox: its organisation, its values, and whether it is the organisation's own."""
        for node in self.organisations:
            if node.row:
                yield node, node.row, True
            for row in node.people:
                yield node, row, False

    def count(self) -> tuple[int, int]:
        """Mailboxes of organisations, and of people."""
        return sum(1 for node in self.organisations if node.row), sum(len(node.people) for node in self.organisations)


def editions(directory: Directory, rules: Rules) -> list[Edition]:
    """The province's edition and, where the bodies publish on their own portals, one for each body."""
    found = [Edition("", "", directory.organisations)]
    if rules.target != "provincial_portal":
        bodies: dict[Organisation, list[Organisation]] = {}
        for node in directory.organisations:
            if node.code:
                bodies.setdefault(node.body, []).append(node)
        found += [Edition(f"{PORTALS}/{_slug(body.code)}", body.full_name, nodes) for body, nodes in bodies.items()]
    return found


def _slug(code: str) -> str:
    """A code as the name of a folder: itself when it can be one, otherwise with a part of its hash so that no two meet."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", code):
        return code
    plain = re.sub(r"[^a-z0-9]+", "-", fold(code)).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(code.encode()).hexdigest()[:8]}".lstrip("-")


def files(directory: Directory, rules: Rules, today: dt.date, previous: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Every file by its path below the output folder, the manifest last. Empty when the policy publishes nothing.

    `previous` is the manifest of the last publication: an edition whose content is the same keeps its date.
    """
    if not rules.publish:
        return {}
    known = {edition["folder"]: edition for edition in (previous or {}).get("editions", ())}
    written: dict[str, bytes] = {}
    listed = []
    for edition in editions(directory, rules):
        content = _content(edition, rules)
        digest = hashlib.sha256(content.encode()).hexdigest()
        before = known.get(edition.folder, {})
        date = before["published"] if before.get("content_sha256") == digest else today.isoformat()
        made = {
            "danh-ba.html": page(edition, rules, date),
            "danh-ba.csv": formats.csv_file(rules.fields, (row for _, row, _ in edition.rows)),
            "danh-ba.ldif": formats.ldif_file(rules.domain, (row for _, row, _ in edition.rows)),
            "danh-ba.vcf": formats.vcard_file(
                (row, [part.name for part in node.path] if "organisation" in rules.fields else [], own) for node, row, own in edition.rows
            ),
        }
        organisations, people = edition.count()
        listed.append(
            {
                "folder": edition.folder,
                "body": edition.body,
                "published": date,
                "organisations": organisations,
                "people": people,
                "content_sha256": digest,
                "files": [{"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in made.items()],
            }
        )
        written |= {str(PurePosixPath(edition.folder, name)): data for name, data in made.items()}
    manifest = {
        "schema": 1,
        "regulation": rules.regulation,
        "clause": rules.clause,
        "owner": rules.owner,
        "domain": rules.domain,
        "scope": rules.scope,
        "target": rules.target,
        "period_months": rules.period_months,
        "fields": list(rules.fields),
        "categories": sorted(rules.categories),
        "content_security_policy": _assets()["policy"],
        "editions": listed,
    }
    return written | {MANIFEST: (json.dumps(manifest, ensure_ascii=False, indent=2) + "\n").encode()}


def _content(edition: Edition, rules: Rules) -> str:
    """Everything an edition tells, except its date."""
    told = [dataclasses.asdict(rules) | {"categories": sorted(rules.categories)}, edition.body]
    told += [[[part.name for part in node.path], row, own] for node, row, own in edition.rows]
    return json.dumps(told, ensure_ascii=False)


def page(edition: Edition, rules: Rules, date: str) -> bytes:
    """The searchable page: one file, nothing loaded from anywhere."""
    columns = [name for name in rules.fields if name != "organisation"]
    grouped = "organisation" in rules.fields

    def values(row: Mapping[str, str]) -> list[str]:
        return [row[name] for name in columns]

    bodies: dict[Organisation, int] = {}
    groups = []
    for node in edition.organisations:
        path = [part.name for part in node.path] if grouped else []
        body = bodies.setdefault(node.body, len(bodies)) if grouped else 0
        groups.append([path, values(node.row) if node.row else None, [values(row) for row in node.people], body])
    data = {
        "columns": columns,
        "labels": [formats.label(name) for name in columns],
        "bodies": [body.full_name for body in bodies],
        "groups": groups,
    }
    organisations, people = edition.count()
    return (
        _template()
        .render(
            rules=rules,
            edition=edition,
            organisations=organisations,
            people=people,
            date=date,
            shown_date=formats.vietnamese_date(date),
            fields=[formats.label(name) for name in rules.fields],
            # Within a script element only "<" could end it early or open a comment.
            data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
            **_assets(),
        )
        .encode()
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = formats.number
    return environment.from_string((_PAGE / "page.html.j2").read_text(encoding="utf-8"))


@cache
def _assets() -> dict[str, str]:
    """Style and script of the page, and the policy that allows exactly these two."""
    style, script = ((_PAGE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    policy = f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; base-uri 'none'; form-action 'none'"
    return {"style": style, "script": script, "policy": policy}


# --- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One file that is written or (`after` is None) removed."""

    path: str
    before: bytes | None
    after: bytes | None


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the last publication; None when there is none that can be used."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return manifest if manifest["schema"] == 1 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def changes(folder: Path, wanted: Mapping[str, bytes], previous: Mapping[str, Any] | None) -> list[Change]:
    """What differs between the folder and the wanted files, the manifest last. Only files of the last manifest are removed."""
    listed = [
        str(PurePosixPath(edition["folder"], file["name"])) for edition in (previous or {}).get("editions", ()) for file in edition["files"]
    ]
    listed += [MANIFEST] if previous else []
    gone = [path for path in listed if path not in wanted and ".." not in PurePosixPath(path).parts and not path.startswith("/")]

    def present(path: str) -> bytes | None:
        file = folder / path
        return file.read_bytes() if file.is_file() else None

    found = [Change(path, present(path), wanted.get(path)) for path in (*wanted, *gone)]
    return sorted((change for change in found if change.before != change.after), key=lambda change: change.path == MANIFEST)


def publish(folder: Path, changed: Iterable[Change], mode: int) -> None:
    """Carry out the changes: each file appears whole, a folder left empty goes with its files."""
    for change in changed:
        target = folder / change.path
        if change.after is None:
            target.unlink()
            for above in target.parents[: len(PurePosixPath(change.path).parts) - 1]:
                if not any(above.iterdir()):
                    above.rmdir()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        partial.write_bytes(change.after)
        partial.chmod(mode)
        partial.replace(target)


def over_guard(previous: Mapping[str, Any] | None, manifest: Mapping[str, Any] | None, percent: float) -> str:
    """Why so many leave the directory at once that something may be wrong; empty when they do not. Five may always leave."""
    if not previous or not manifest:
        return ""
    before, after = (edition["organisations"] + edition["people"] for edition in (previous["editions"][0], manifest["editions"][0]))
    if before - after <= max(5, before * percent / 100):
        return ""
    return (
        f"Danh bạ sẽ từ {before} còn {after} mục, giảm quá {percent:g}%: có thể danh bạ LDAP bị sai hoặc thiếu thông tin. "
        "Chưa thay đổi gì. Nếu đúng là như vậy, chạy lại với -e guard_percent=100"
    )


def summary(directory: Directory, rules: Rules, folder: Path, manifest: Mapping[str, Any] | None, changed: int) -> list[str]:
    """What was done, in Vietnamese, for the operator."""
    if not rules.publish or manifest is None:
        return [f"Chính sách không công bố danh bạ (mail_policy.directory.publish); {changed} tệp cũ được gỡ khỏi {folder}."]
    province, *bodies = manifest["editions"]
    lines = [
        f"Căn cứ: {', '.join(filter(None, (rules.clause, rules.regulation)))}",
        f"Phạm vi: {schema.DIRECTORY_SCOPE.show(rules.scope)}",
        f"Danh bạ: {province['organisations']} hộp thư cơ quan, {province['people']} cá nhân",
        *(f"Không công bố {count} cá nhân: {reason}" for reason, count in sorted(directory.left_out.items())),
        f"Ngày công bố: {formats.vietnamese_date(province['published'])} (lần cuối nội dung thay đổi)",
    ]
    if bodies:
        lines.append(f"Bản riêng của {len(bodies)} cơ quan để đăng trên cổng, trang của cơ quan: {folder / PORTALS}")
    lines.append(f"{changed} tệp thay đổi trong {folder}" if changed else f"Không có gì thay đổi trong {folder}")
    return lines
