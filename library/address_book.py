#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the published directory (danh bạ thư điện tử công vụ) as files on the controller."""

DOCUMENTATION = r"""
module: address_book
short_description: Publish the directory of a province as files
description:
  - Writes the page, CSV, LDIF and vCard of every edition of the directory, and C(manifest.json), as C(congvu_mail.address_book) makes them
    from the policy. The same directory gives the same bytes; the date in an edition is that of the last change of its content.
  - Removes files of an earlier publication (those its manifest names) that do not belong to this one; others in the folder stay.
  - Runs on the controller, in the Python that has C(congvu_mail) installed.
options:
  entries:
    description: File with the mailboxes of the directory, as M(directory_export) writes it.
    type: path
    required: true
  policy:
    description: C(mail_policy).
    type: dict
    required: true
  output:
    description: Folder of the published files, made when it is missing.
    type: path
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would be written.
  diff_mode:
    support: full
    description: Lines of the CSV and of the manifest that change, the first hundred. Of the other files the manifest has the SHA-256.
"""

EXAMPLES = r"""
- name: Write the directory
  address_book:
    entries: /tmp/directory.json
    policy: "{{ mail_policy }}"
    output: build/directory/quang-tri
  delegate_to: localhost
"""

RETURN = r"""
summary:
  description: What was published, left out and written, in Vietnamese, a line each.
  type: list
  returned: success
files:
  description: Paths below C(output) that were (or would be) written or removed.
  type: list
  returned: success
"""

import datetime  # noqa: E402
import difflib  # noqa: E402
import json  # noqa: E402
from itertools import islice  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from congvu_mail import address_book
except ImportError:
    address_book = None

DIFF_LINES = 100


def difference(change) -> dict:
    """One changed file for --diff: never longer than a screen or two can hold."""
    before, after = ((data or b"").decode("utf-8-sig").splitlines(keepends=True) for data in (change.before, change.after))
    lines = difflib.unified_diff(before, after, f"before: {change.path}", f"after: {change.path}", n=0, lineterm="\n")
    shown = list(islice(lines, DIFF_LINES))
    if next(lines, None) is not None:
        shown.append(f"... (chỉ hiện {DIFF_LINES} dòng đầu)\n")
    return {"prepared": "".join(line if line.endswith("\n") else f"{line}\n" for line in shown)}


def main() -> None:
    """Read, decide, write."""
    module = AnsibleModule(
        argument_spec={
            "entries": {"type": "path", "required": True},
            "policy": {"type": "dict", "required": True},
            "output": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    if address_book is None:
        module.fail_json(msg=missing_required_lib("congvu_mail", reason="on the controller (bin/setup installs it in .venv)"))
    folder = Path(module.params["output"]).absolute()
    try:
        rules = address_book.Rules.of(module.params["policy"])
        entries = json.loads(Path(module.params["entries"]).read_text(encoding="utf-8"))["mailboxes"]
        directory = address_book.select((attributes for _dn, attributes in entries), rules)
        previous = address_book.read_manifest(folder)
        today = datetime.datetime.now(address_book.VIETNAM).date()
        wanted = address_book.files(directory, rules, today, previous)
        changed = address_book.changes(folder, wanted, previous)
        if not module.check_mode:
            address_book.publish(folder, changed, 0o644 if rules.public else 0o600)
    except ValueError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{folder}: không đọc hoặc ghi được ({error}). Cách sửa: kiểm tra quyền và chỗ trống của thư mục.")
    manifest = json.loads(wanted[address_book.MANIFEST]) if wanted else None
    module.exit_json(
        changed=bool(changed),
        summary=address_book.summary(directory, rules, folder, manifest, len(changed)),
        files=[change.path for change in changed],
        diff=[difference(change) for change in changed if change.path.endswith((".csv", ".json"))],
    )


if __name__ == "__main__":
    main()
