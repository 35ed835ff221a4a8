"""The published directory (danh bạ): four formats with the fields of the policy, and nobody whose mailbox does not work."""

import csv
import io
import os
import pathlib

import pytest
import yaml

from congvu_mail.address_book_formats import label

ROOT = pathlib.Path(os.environ["CONGVU_ROOT"])
FORMATS = {"danh-ba.html", "danh-ba.csv", "danh-ba.ldif", "danh-ba.vcf"}


@pytest.fixture(scope="module")
def policy():
    """What the regulation says about the directory."""
    text = (ROOT / "inventories/quang-tri/group_vars/all/policy.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["mail_policy"]["directory"]


def mailboxes(system, what):
    """[{attribute: value}] of the mailboxes that a filter finds."""
    suffix = ",".join(f"dc={part}" for part in system.domain.split("."))
    argv = ["ldapsearch", "-QLLL", "-Y", "EXTERNAL", "-H", "ldapi:///", "-o", "ldif-wrap=no", "-b", f"ou=mailboxes,{suffix}", what]
    blocks = system.run(*argv, "mail", "employeeType", "telephoneNumber").strip().split("\n\n")
    return [dict(line.partition(": ")[::2] for line in block.splitlines()) for block in blocks if block]


def publish(system, folder, *options):
    """Run the playbook; its output."""
    done = system.playbook("playbooks/directory.yml", "-e", f"output={folder}", *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def listed(folder):
    """The addresses in the table."""
    rows = list(csv.reader(io.StringIO((folder / "danh-ba.csv").read_bytes().decode("utf-8-sig"))))
    return rows[0], {row[-1] for row in rows[1:]}


@pytest.fixture(scope="module")
def published(system, tmp_path_factory):
    """The folder of a publication."""
    folder = tmp_path_factory.mktemp("directory")
    publish(system, folder)
    return folder


def test_four_formats_with_the_fields_and_the_people_of_the_policy(system, policy, published):
    assert {path.name for path in published.iterdir()} == FORMATS | {"manifest.json"}
    heading, addresses = listed(published)
    assert heading == [label(field) for field in policy["fields"]["value"]]
    people = mailboxes(system, "(&(congvuKind=person)(congvuState=active))")
    organisations = mailboxes(system, "(&(congvuKind=organisation)(congvuState=active))")
    named = {entry["mail"] for entry in people if entry.get("employeeType") in policy["categories"]["value"]}
    assert named
    assert addresses == named | {entry["mail"] for entry in organisations}
    texts = {name: (published / name).read_text(encoding="utf-8-sig") for name in FORMATS}
    assert {line.split(":", 1)[1] for line in texts["danh-ba.vcf"].splitlines() if line.startswith("EMAIL")} == addresses
    assert {line[6:] for line in texts["danh-ba.ldif"].splitlines() if line.startswith("mail: ")} == addresses
    assert all(address in texts["danh-ba.html"] for address in addresses)
    # The policy names no telephone, so none is in any of them.
    assert not {"phone", "fax"} & set(policy["fields"]["value"])
    phones = {entry["telephoneNumber"] for entry in people if "telephoneNumber" in entry}
    assert phones
    assert not [phone for phone in phones for text in texts.values() if phone in text]


def test_suspended_and_closed_mailboxes_are_left_out(system, published, tmp_path):
    people = sorted(mailboxes(system, "(&(congvuKind=person)(congvuState=active))"), key=lambda entry: entry["mail"])
    gone = dict(zip(("suspended", "terminated"), people[-2:], strict=True))

    def set_state(**states):
        changes = "".join(
            f"dn: {gone[name]['dn']}\nchangetype: modify\nreplace: congvuState\ncongvuState: {state}\n\n" for name, state in states.items()
        )
        system.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi:///", stdin=changes)

    set_state(suspended="suspended", terminated="terminated")
    try:
        publish(system, tmp_path)
    finally:
        set_state(suspended="active", terminated="active")
    assert listed(tmp_path)[1] == listed(published)[1] - {entry["mail"] for entry in gone.values()}
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8-sig")
        assert not [entry["mail"] for entry in gone.values() if entry["mail"] in text], path.name
    # Nothing changed on the whole: the same directory gives the same files.
    assert "changed=0" in publish(system, published, "--check")
