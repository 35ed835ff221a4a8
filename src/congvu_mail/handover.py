# SPDX-License-Identifier: Apache-2.0
"""Initial passwords, and the sealed files in which they reach the organisations.

A password exists in clear only in the memory of the controller and in the sealed file; the directory gets its hash. A run may be killed
anywhere: a file of pending hashes beside the sealed ones says which mailbox has its password in which sealed file, until the
directory has them all. The next run takes the hash from there, so what was handed over opens the mailbox.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import secrets
import string
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from congvu_mail import password_rules

COLUMNS = ("Mã", "Tên", "Địa chỉ", "Mật khẩu ban đầu")
PENDING = ".pending.json"
# Where the rule counts every special character.
SPECIALS = "!@#%&*"
# Read aloud or copied by hand, these are mistaken for one another.
_UNLIKE = str.maketrans("", "", "0O1lI")


def initial_password(rule: Mapping[str, Any], personal: Iterable[str] = ()) -> str:
    """A random password that the rule takes (see ``password_rules``), never less than 16 characters, with letters, digits and specials.

    `personal` are values of which no part may be in it.
    """
    classes = [text.translate(_UNLIKE) for text in (string.ascii_lowercase, string.ascii_uppercase, string.digits)]
    classes.append(rule.get("specials") or SPECIALS)
    length = max(rule.get("min_length") or 0, 16)
    personal = list(personal)
    while True:
        # A letter first: a spreadsheet takes a cell that begins with a sign for a formula.
        word = secrets.choice(classes[0]) + "".join(secrets.choice("".join(classes)) for _ in range(length - 1))
        if all(set(word) & set(one) for one in classes) and not password_rules.judge(rule, word, personal):
            return word


def ssha512(password: str) -> str:
    """Salted SHA-512 as slapd's pw-sha2 reads it."""
    salt = secrets.token_bytes(16)
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()


def age(recipients: Sequence[str]) -> Callable[[str], bytes]:
    """Seal with age(1) to its recipients; RuntimeError when age says no."""

    def seal(text: str) -> bytes:
        argv = ["age", "--encrypt", "--armor", *(word for one in recipients for word in ("--recipient", one))]
        try:
            done = subprocess.run(argv, input=text.encode(), capture_output=True, check=False)
        except FileNotFoundError:
            raise RuntimeError("age is not installed on this controller: bin/setup installs it") from None
        if done.returncode:
            raise RuntimeError(f"age refuses to seal: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    return seal


def read(text: str) -> list[dict[str, str]]:
    """The rows of an opened file: {code, name, address, password}."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    next(rows)
    return [dict(zip(("code", "name", "address", "password"), row, strict=True)) for row in rows]


class Handover:
    """The folder of sealed files."""

    def __init__(self, folder: str | Path, seal: Callable[[str], bytes], suffix: str) -> None:
        self.folder, self.seal, self.suffix = Path(folder), seal, suffix
        self.files: list[str] = []

    def give(self, created: Iterable[Mapping[str, Any]], day: str, rules: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Hash of the initial password of each new mailbox ({code, name, address, organisation, policy, personal}), by code.

        Each password obeys the rule named `policy`, of which the first holds where none has that name, and holds nothing of `personal`.
        What an earlier, killed run sealed is taken over. The sealed files that hold these passwords are in ``files``.
        """
        created = list(created)
        if not created:
            return {}
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = {code: held for code, held in self._pending().items() if (self.folder / held["file"]).is_file()}
        fresh: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for mailbox in created:
            if mailbox["code"] not in known:
                fresh[mailbox["organisation"]].append(mailbox)
        files, by_name = {}, {rule["name"]: rule for rule in rules}
        for organisation, mailboxes in fresh.items():
            name = self._free_name(day, organisation)
            passwords = [initial_password(by_name.get(box["policy"], rules[0]), box["personal"]) for box in mailboxes]
            rows = [(box["code"], box["name"], box["address"], word) for box, word in zip(mailboxes, passwords, strict=True)]
            files[name] = self.seal(_csv(rows))
            known |= {box["code"]: {"hash": ssha512(word), "file": name} for box, word in zip(mailboxes, passwords, strict=True)}
        # First what the next run must know, then the sealed files: a hash without its file is not used again.
        _write(self.folder / PENDING, json.dumps(known).encode())
        for name, content in files.items():
            _write(self.folder / name, content)
        self.files = [str(self.folder / name) for name in dict.fromkeys(known[mailbox["code"]]["file"] for mailbox in created)]
        return {mailbox["code"]: known[mailbox["code"]]["hash"] for mailbox in created}

    def summary(self) -> list[str]:
        """What this call sealed, in Vietnamese; nothing when it sealed nothing."""
        if not self.files:
            return []
        return [f"Mật khẩu ban đầu đã niêm phong: {len(self.files)} tệp, mỗi cơ quan một tệp, trong {self.folder}"]

    def done(self) -> None:
        """The directory has all hashes: forget them."""
        (self.folder / PENDING).unlink(missing_ok=True)

    def _pending(self) -> dict[str, dict[str, str]]:
        try:
            return json.loads((self.folder / PENDING).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def _free_name(self, day: str, organisation: str) -> str:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in organisation)
        number = 1
        while (self.folder / (name := f"{day}-{plain}-{number}.csv.{self.suffix}")).exists():
            number += 1
        return name


def _csv(rows: Iterable[Sequence[str]]) -> str:
    """A table that a spreadsheet opens (UTF-8 with BOM)."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return "\ufeff" + buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    """At once or not at all, readable by the owner only, on the disk when it returns."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
