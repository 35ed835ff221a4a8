"""Rows of the published directory as CSV, LDIF (RFC 2849) and vCard 4.0 (RFC 6350).

A row is a mapping from the fields of `mail_policy.directory.fields` to text without line breaks; empty values are left out
of LDIF and vCard. All files are UTF-8.
"""

from __future__ import annotations

import base64
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from congvu_mail import policy_schema as schema

Row = Mapping[str, str]

_LDIF_WIDTH = 76
_VCARD_WIDTH = 75  # octets, without the line end
_FORMULA = re.compile(r"[=+\-@]")


def label(name: str) -> str:
    """The heading of a field: ``full_name`` -> ``Họ và tên``."""
    words = schema.DIRECTORY_FIELD.show(name)
    return words[:1].upper() + words[1:]


def number(value: int) -> str:
    """A number as it is written in Vietnamese: 12.345."""
    return f"{value:,}".replace(",", ".")


def vietnamese_date(iso: str) -> str:
    """dd/mm/yyyy of an ISO date."""
    year, month, day = iso[:10].split("-")
    return f"{day}/{month}/{year}"


# --- CSV --------------------------------------------------------------------------------------------------------------


def csv_file(fields: Sequence[str], rows: Iterable[Row]) -> bytes:
    """A table as spreadsheets open it: BOM, Vietnamese headings, no cell that would be run as a formula."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(map(label, fields))
    writer.writerows([harmless(row[name]) for name in fields] for row in rows)
    return buffer.getvalue().encode("utf-8-sig")


def harmless(cell: str) -> str:
    """A cell that begins like a formula gets an apostrophe before it (CWE-1236); full-width signs count too, a sign alone does not."""
    return f"'{cell}" if len(cell) > 1 and _FORMULA.match(unicodedata.normalize("NFKC", cell[:1])) else cell


# --- LDIF -------------------------------------------------------------------------------------------------------------

_LDIF_ATTRIBUTES = {
    "full_name": ("cn", "sn"),
    "title": ("title",),
    "organisation": ("o",),
    "phone": ("telephoneNumber",),
    "fax": ("facsimileTelephoneNumber",),
    "address": ("mail",),
}


def ldif_file(domain: str, rows: Iterable[Row]) -> bytes:
    """Entries of class inetOrgPerson, named by their mail address under the domain; what mail programs import."""
    suffix = ",".join(f"dc={part}" for part in domain.split("."))
    records = ["version: 1\n"]
    for row in rows:
        lines = [_ldif_line("dn", f"mail={_dn_value(row['address'])},{suffix}")]
        lines += [f"objectClass: {name}\n" for name in ("top", "person", "organizationalPerson", "inetOrgPerson")]
        for name, value in row.items():
            lines += [_ldif_line(attribute, value) for attribute in _LDIF_ATTRIBUTES[name] if value]
        records.append("".join(lines))
    return "\n".join(records).encode()


def _dn_value(value: str) -> str:
    """A value within a DN (RFC 4514, section 2.4)."""
    escaped = re.sub(r'([,+"\\<>;=])', r"\\\1", value)
    return f"\\{escaped}" if escaped[:1] in ("#", " ") else escaped


def _ldif_line(name: str, value: str) -> str:
    safe = value.isascii() and not value.startswith((" ", ":", "<")) and not value.endswith(" ")
    line = f"{name}: {value}" if safe else f"{name}:: {base64.b64encode(value.encode()).decode()}"
    first, rest = line[:_LDIF_WIDTH], line[_LDIF_WIDTH:]
    step = _LDIF_WIDTH - 1
    return "\n ".join([first, *(rest[at : at + step] for at in range(0, len(rest), step))]) + "\n"


# --- vCard ------------------------------------------------------------------------------------------------------------

_VCARD_PROPERTIES = {
    "full_name": "FN",
    "title": "TITLE",
    "phone": 'TEL;TYPE="work,voice"',
    "fax": 'TEL;TYPE="work,fax"',
    "address": "EMAIL;TYPE=work",
}


def vcard_file(rows: Iterable[tuple[Row, Sequence[str], bool]]) -> bytes:
    """One card for each row; with it the names of its organisation from the top down, and whether it is an organisation's own."""
    cards = []
    for row, organisation, own in rows:
        lines = ["BEGIN:VCARD", "VERSION:4.0", f"KIND:{'org' if own else 'individual'}"]
        for name, value in row.items():
            if name == "organisation" and organisation:
                lines.append(_folded("ORG:" + ";".join(map(_vcard_text, organisation))))
            elif name in _VCARD_PROPERTIES and value:
                lines.append(_folded(f"{_VCARD_PROPERTIES[name]}:{_vcard_text(value)}"))
        cards.append("\r\n".join([*lines, "END:VCARD", ""]))
    return "".join(cards).encode()


def _vcard_text(value: str) -> str:
    return re.sub(r"([\\,;])", r"\\\1", value)


def _folded(line: str) -> str:
    """A content line folded at 75 octets, never within a character (RFC 6350, section 3.2)."""
    if len(line.encode()) <= _VCARD_WIDTH:
        return line
    lines, width = [""], 0
    for char in line:
        size = len(char.encode())
        if width + size > _VCARD_WIDTH:
            lines.append("")
            width = 1  # the space that continues the line
        lines[-1] += char
        width += size
    return "\r\n ".join(lines)
