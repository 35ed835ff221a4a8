#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: take a message out of every mailbox and queue of a host."""

from __future__ import annotations

import datetime
import email.header
import email.parser
import email.utils
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tomllib
import unicodedata

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.congvu_command import Failure, run

DOCUMENTATION = r"""
module: mail_recall
short_description: Take a message out of every mailbox and queue of a host
description:
  - Finds a message by its Message-ID, or by sender, time and subject, and removes every copy. Never returns or writes its content.
  - Run it on the queues before the mailboxes, so that no copy slips from one into the other. After the removal everything is
    searched once more; what is still there then is in C(left).
  - With C(--check) nothing is removed.
options:
  message_id:
    description: Message-ID with or without angle brackets. Excludes I(sender), I(since), I(before), I(subject).
    type: str
    default: ""
  sender:
    description: Address in From (mailboxes) or of the envelope (queue).
    type: str
    default: ""
  since:
    description: Received not before, seconds since 1970.
    type: int
  before:
    description: Received before, seconds since 1970.
    type: int
  subject:
    description: A part of the subject, whatever its case.
    type: str
    default: ""
  expected_messages:
    description: >-
      With I(sender), how many different messages may be removed; when more are found, nothing is. Needed unless checking.
    type: int
  queue:
    description: Look into Postfix's queues.
    type: bool
    default: false
  mail_root:
    description: >-
      Folder of the mailboxes' homes; empty when this host has none. All mailboxes that Dovecot knows are searched, the held mail
      (namespace C(Quarantine/)) and the copies kept of organisations' mail (C(Record/)) too, and the folders below it that belong to no
      mailbox any more (set aside by a restore, ended).
    type: str
    default: ""
  backup_config:
    description: Configuration of the backup, whose snapshots are listed; nothing is removed from them. Missing file, no list.
    type: path
    default: /etc/congvu-mail/backup.toml
  memory_dir:
    description: >-
      Folder in which the copies are noted before they are removed, so that a run that is killed before it could tell loses no evidence:
      the next one with the same options returns them too.
    type: path
    default: /var/lib/congvu-mail/recall
"""

EXAMPLES = r"""
- name: Take it out
  mail_recall:
    message_id: <20261122.17@example.gov.vn>
    queue: true
    mail_root: /srv/mail
  register: recalled
"""

RETURN = r"""
copies:
  description: >-
    The copies found, removed unless checking: C(place) (mailbox, queue, folder), C(owner) (uid of the mailbox, id in the queue),
    C(address) (of the mailbox; recipients in the queue), C(folder), C(bytes), C(time) (seconds since 1970), C(message_id),
    C(sha256) of the copy as it was stored and C(body_sha256) of what follows its header, which is the same in all copies.
  type: list
  returned: success
memory:
  description: File with the note of the copies, to be removed once they are recorded. Not with C(--check).
  type: str
  returned: when copies were removed
left:
  description: How many are still there.
  type: int
  returned: success
outside:
  description: Addresses to which another server has taken the message, by Postfix's log. Only with I(message_id) and I(queue).
  type: list
  returned: success
answers:
  description: How many messages in the mailboxes refer to it (replies, many forwards); they are not touched. Only with I(message_id).
  type: int
  returned: success
snapshots:
  description: Snapshots of the backup of this host, C(id) and C(time), made since the first copy arrived.
  type: list
  returned: success
"""

FIELDS = "user mailbox mailbox-guid uid guid date.received size.physical hdr.message-id hdr.from hdr.subject"
HEADER_BYTES = 262144
SUMMED_AT_ONCE = 1048576
# A search that could not look into every mailbox fails. Held mail and kept copies have one each: a search without "mailbox" leaves out
# namespaces that are not listed, and so does one that asks for "*" or "Quarantine/*" together.
PLACES = ([], ["mailbox", "Quarantine/*"], ["mailbox", "Record/*"])


def readable(header):
    """A header field as people read it: decoded, unfolded, composed, in lower case."""
    try:
        text = str(email.header.make_header(email.header.decode_header(header)))
    except (ValueError, LookupError):
        text = header
    return " ".join(unicodedata.normalize("NFC", text).split()).casefold()


def bare(message_id):
    """A Message-ID without brackets and white space."""
    return "".join(message_id.split()).strip("<>")


class Wanted:
    """Which messages are meant."""

    def __init__(self, given):
        self.message_id = bare(given["message_id"])
        self.sender = given["sender"].strip().lower()
        self.since, self.before = given["since"], given["before"]
        self.subject = readable(given["subject"])

    def query(self):
        """Words of a Dovecot search that finds them all, and perhaps a few more."""
        if self.message_id:
            return ["HEADER", "Message-ID", self.message_id]
        return ["FROM", self.sender, "SINCE", str(self.since), "BEFORE", str(self.before)]

    def meant(self, message_id, sender, subject, received=None):
        """Whether header fields (and the time, where the search did not see to it) are those of a wanted message."""
        if self.message_id:
            return bare(message_id or "") == self.message_id
        addresses = [address.lower() for _, address in email.utils.getaddresses([sender or ""])]
        in_time = received is None or self.since <= received < self.before
        return in_time and self.sender in addresses and self.subject in readable(subject or "")

    def in_header(self, raw, received):
        """The same of a raw header."""
        header = email.parser.BytesHeaderParser().parsebytes(raw)
        return self.meant(*(str(header.get(name, "")) for name in ("Message-ID", "From", "Subject")), received)


def digests(read):
    """SHA-256 of a message, and of what follows its header, read in pieces; line ends as LF."""
    whole, body, head, rest = hashlib.sha256(), hashlib.sha256(), b"", b""
    in_body = False
    while piece := read(SUMMED_AT_ONCE):
        whole.update(piece)
        if not in_body:
            head += piece
            end = re.search(rb"\r?\n\r?\n", head)
            if not end:
                continue
            in_body, piece = True, head[end.end() :]
        piece = rest + piece
        rest = b"\r" if piece.endswith(b"\r") else b""  # its line feed may be in the next piece
        body.update(piece[: len(piece) - len(rest)].replace(b"\r\n", b"\n"))
    body.update(rest)
    return {"sha256": whole.hexdigest(), "body_sha256": body.hexdigest()}


# ---- the queue -------------------------------------------------------------------------------------------------------------------------


def queued(wanted):
    """Wanted messages in Postfix's queues."""
    found = []
    for line in run("postqueue", "-j").splitlines():
        entry = json.loads(line)
        try:
            header = run("postcat", "-qh", entry["queue_id"])
        except Failure:
            continue  # delivered meanwhile: the mailboxes are searched next
        if wanted.in_header(header, entry["arrival_time"]):
            content = run("postcat", "-qbh", entry["queue_id"])
            pieces = iter((content, b""))
            found.append(
                {
                    "place": "queue",
                    "owner": entry["queue_id"],
                    "address": ", ".join(recipient["address"] for recipient in entry["recipients"]),
                    "folder": entry["queue_name"],
                    "bytes": entry["message_size"],
                    "time": entry["arrival_time"],
                    "message_id": bare(email.parser.BytesHeaderParser().parsebytes(header).get("Message-ID", "")),
                    **digests(lambda _size, pieces=pieces: next(pieces)),
                }
            )
    return found


def outside(wanted):
    """Addresses to which another server has taken the message, as far as the log of Postfix reaches back."""
    if not wanted.message_id:
        return []

    def log(tag, words):
        return run("journalctl", "--quiet", "--no-pager", "--output=cat", f"--identifier={tag}", f"--grep={words}", good=(0, 1)).decode()

    ids = re.findall(r"^(\w+): message-id=", log("postfix/cleanup", f"message-id=<{re.escape(wanted.message_id)}>"), re.MULTILINE)
    if not ids:
        return []
    sent = log("postfix/smtp", f"^({'|'.join(ids)}): .*status=sent")
    return sorted(set(re.findall(r"to=<([^>]*)>", sent)))


def drop_queued(copies):
    """Remove messages from the queues."""
    for copy in copies:
        run("postsuper", "-d", copy["owner"])


# ---- mailboxes -------------------------------------------------------------------------------------------------------------------------


def stored(wanted, root):
    """Wanted messages in all mailboxes, with what doveadm needs to remove them."""
    found = []
    addresses, seen = {}, set()
    outs = [(place, run("doveadm", "-f", "json", "fetch", "-A", FIELDS, *place, *wanted.query())) for place in PLACES]
    for place, entry in [(place, entry) for place, out in outs for entry in json.loads(out)]:
        copy = (entry["user"], entry["mailbox-guid"], entry["uid"])
        # Without an archive Record/ may be a user's own folder, which the first search went through.
        if copy in seen or not wanted.meant(entry["hdr.message-id"], entry["hdr.from"], entry["hdr.subject"]):
            continue
        seen.add(copy)
        if entry["user"] not in addresses:
            addresses[entry["user"]] = run("doveadm", "user", "-f", "sieve_user_email", entry["user"]).decode().strip()
        path = next((p for p in files(root / entry["user"]) if p.name.split(":")[0] == entry["guid"]), None)
        found.append(
            {
                "place": "mailbox",
                "owner": entry["user"],
                "address": addresses[entry["user"]],
                "folder": entry["mailbox"],
                "bytes": int(entry["size.physical"]),
                "time": timestamp(entry["date.received"]),
                "message_id": bare(entry["hdr.message-id"]),
                "box": (*place, "mailbox-guid", entry["mailbox-guid"]),
                "uid": entry["uid"],
                **summed(path),
            }
        )
    return found


def timestamp(text):
    """Dovecot's local time as seconds since 1970."""
    return int(datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone().timestamp())


def summed(path):
    """The digests of a file; empty ones when it moved meanwhile."""
    try:
        with path.open("rb") as file:
            return digests(file.read)
    except (AttributeError, FileNotFoundError):
        return {"sha256": "", "body_sha256": ""}


def drop_stored(copies):
    """Expunge messages, one command a folder."""
    folders = {}
    for copy in copies:
        folders.setdefault((copy["owner"], copy["box"]), []).append(copy["uid"])
    for (owner, box), uids in folders.items():
        run("doveadm", "expunge", "-u", owner, *box, "uid", ",".join(uids))


def files(folder):
    """Messages of a Maildir tree."""
    for place, _folders, names in os.walk(folder):
        if place.endswith(("/cur", "/new")):
            yield from (pathlib.Path(place) / name for name in names)


def aside(wanted, root):
    """Wanted messages in folders that no mailbox owns: homes set aside by a restore, or whose entry is gone."""
    known = set(run("doveadm", "user", "*").decode().split())
    found = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.name in known or not folder.is_dir():
            continue
        for path in files(folder):
            with path.open("rb") as file:
                header = re.split(rb"\r?\n\r?\n", file.read(HEADER_BYTES), maxsplit=1)[0]
            if wanted.in_header(header, path.stat().st_mtime):
                found.append(
                    {
                        "place": "folder",
                        "owner": folder.name,
                        "address": "",
                        "folder": str(path.parent.relative_to(root)),
                        "bytes": path.stat().st_size,
                        "time": int(path.stat().st_mtime),
                        "message_id": bare(email.parser.BytesHeaderParser().parsebytes(header).get("Message-ID", "")),
                        "path": str(path),
                        **summed(path),
                    }
                )
    return found


def drop_aside(copies):
    """Remove files."""
    for copy in copies:
        pathlib.Path(copy["path"]).unlink(missing_ok=True)


def answers(wanted):
    """How many messages refer to the wanted one."""
    if not wanted.message_id:
        return 0
    query = ["(", "HEADER", "References", wanted.message_id, "OR", "HEADER", "In-Reply-To", wanted.message_id, ")"]
    return sum(len(run("doveadm", "search", "-A", *place, *query).splitlines()) for place in PLACES)


# ---- backup ----------------------------------------------------------------------------------------------------------------------------


def snapshots(path, since):
    """Snapshots of this host made since a moment: those that may hold the message."""
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except FileNotFoundError:
        return []
    environment = {
        **os.environ,
        "RESTIC_REPOSITORY": config["repository"],
        "RESTIC_PASSWORD_FILE": config["password_file"],
        "RESTIC_CACHE_DIR": "/var/cache/congvu-backup",
    }
    options = [f"--option={option}" for option in config["restic_options"]]
    argv = ["restic", "--no-lock", *options, "snapshots", "--json", "--host", config["host"], "--tag", "congvu-mail"]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False)
    if done.returncode == 10:  # no repository yet
        return []
    if done.returncode:
        raise Failure(f"restic snapshots: {' '.join(done.stderr.decode('utf-8', 'replace').split())[-500:]}")
    found = [{"id": entry["short_id"], "time": entry["time"][:19]} for entry in json.loads(done.stdout)
             if datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", entry["time"])).timestamp() >= since]  # fmt: skip
    return sorted(found, key=lambda entry: entry["time"])


def main():
    """Find, count, remove, look again."""
    module = AnsibleModule(
        argument_spec={
            "message_id": {"type": "str", "default": ""},
            "sender": {"type": "str", "default": ""},
            "since": {"type": "int"},
            "before": {"type": "int"},
            "subject": {"type": "str", "default": ""},
            "expected_messages": {"type": "int"},
            "queue": {"type": "bool", "default": False},
            "mail_root": {"type": "str", "default": ""},
            "backup_config": {"type": "path", "default": "/etc/congvu-mail/backup.toml"},
            "memory_dir": {"type": "path", "default": "/var/lib/congvu-mail/recall"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = Wanted(given)
    if bool(wanted.message_id) == bool(wanted.sender):
        module.fail_json(msg="give message_id, or sender with since, before and subject")
    if wanted.sender and (None in (wanted.since, wanted.before) or not wanted.subject):
        module.fail_json(msg="sender goes with since, before and subject")
    root = pathlib.Path(given["mail_root"]) if given["mail_root"] else None
    searches = [(lambda: queued(wanted), drop_queued)] if given["queue"] else []
    if root:
        searches += [(lambda: stored(wanted, root), drop_stored), (lambda: aside(wanted, root), drop_aside)]
    copies = []
    memory = Memory(given)
    try:
        copies = [copy for search, _ in searches for copy in search()]
        if wanted.sender and not module.check_mode:
            different = {copy["message_id"] for copy in copies}
            if len(different) > (given["expected_messages"] or 0):
                module.fail_json(
                    msg=f"tìm thấy {len(different)} thư khác nhau, messages ghi {given['expected_messages']}: chưa gỡ gì, xem trước lại"
                )
        left = len(copies)
        if not module.check_mode:
            seen = {identity(copy) for copy in copies}
            for search, drop in searches:  # searched again: what left the queue meanwhile is in a mailbox now
                late = search()
                copies += [copy for copy in late if identity(copy) not in seen]
                memory.keep(told(copies))
                drop(late)
            left = sum(len(search()) for search, _ in searches)
        copies = told(copies) if module.check_mode else memory.keep(told(copies))
        first = min((copy["time"] for copy in copies), default=wanted.since)
        module.exit_json(
            changed=bool(copies),
            copies=copies,
            left=left,
            outside=outside(wanted) if given["queue"] else [],
            answers=answers(wanted) if root else 0,
            snapshots=snapshots(given["backup_config"], first) if root and first is not None else [],
            **({"memory": str(memory.path)} if copies and not module.check_mode else {}),
        )
    except Failure as failure:
        module.fail_json(msg=str(failure), copies=told(copies), left=len(copies))


class Memory:
    """The copies of this search that were removed, or were about to be, and are not recorded yet."""

    def __init__(self, given):
        what = {name: value for name, value in given.items() if name not in ("expected_messages", "backup_config", "memory_dir")}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        self.path = pathlib.Path(given["memory_dir"]) / f"{digest}.json"

    def keep(self, copies):
        """What is remembered, with these copies; on disk, and returned."""
        known = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else []
        known += [copy for copy in copies if copy not in known]
        if known:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            new = self.path.with_suffix(".new")
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(known, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        return known


def told(copies):
    """Copies without what only this module needs."""
    return [{key: value for key, value in copy.items() if key not in ("box", "uid", "path")} for copy in copies]


def identity(copy):
    """What tells one copy from another."""
    return copy["place"], copy["owner"], copy.get("box"), copy.get("uid"), copy.get("path")


if __name__ == "__main__":
    main()
