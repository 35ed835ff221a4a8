"""Initial passwords and the sealed files that carry them, also when a run is killed."""

import base64
import hashlib
import json
import pathlib
import string

import pytest
import yaml

from congvu_mail import handover, password_rules

ROOT = pathlib.Path(__file__).parents[2]

USER = {"name": "user", "min_length": 8, "classes": ["lower", "upper", "digit", "special"], "specials": "!@#"}
RULED = {"policy": "user", "personal": []}
CREATED = [
    {"code": "A", "name": "Sở A", "address": "a@x.vn", "organisation": "A", **RULED},
    {"code": "N1", "name": "Trần, Hữu “Nghĩa”", "address": "n1@x.vn", "organisation": "A", **RULED},
    {"code": "N2", "name": "Hà Thị Sen", "address": "n2@x.vn", "organisation": "B", **RULED},
]


def sealed(text):
    return b"SEALED" + text.encode()


def opened(folder):
    """{code: password} of every sealed file."""
    files = sorted(folder.glob("*.csv.box"))
    rows = [row for file in files for row in handover.read(file.read_bytes().removeprefix(b"SEALED").decode())]
    return {row["code"]: row["password"] for row in rows}


def fits(password, stored):
    raw = base64.b64decode(stored.removeprefix("{SSHA512}"))
    return hashlib.sha512(password.encode() + raw[64:]).digest() == raw[:64]


def give(folder, created=CREATED):
    box = handover.Handover(folder, sealed, "box")
    return box, box.give(created, "2026-11-22", [USER])


def test_initial_passwords_are_long_mixed_and_readable():
    words = [handover.initial_password(USER) for _ in range(500)]
    assert len(set(words)) == 500
    for word in words:
        assert len(word) == 16
        for one in (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!@#"):
            assert set(word) & set(one)
        assert not set(word) & set("0O1lI")
        assert word[0].islower()
    assert len(handover.initial_password({"min_length": 20})) == 20


@pytest.mark.parametrize("province", sorted(path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()))
def test_initial_passwords_obey_the_rule_of_every_province(province):
    """Length, kinds of characters, the regulation's own specials; each class has its own rule."""
    policy = yaml.safe_load((ROOT / "inventories" / province / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"][
        "password"
    ]
    for name in ("user", "admin"):
        rule = {key: leaf["value"] for key, leaf in policy[name].items()} | {
            "forbid_personal_data": policy["forbid_personal_data"]["value"]
        }
        words = [handover.initial_password(rule, ["k.anh@tinh.gov.vn", "02091985"]) for _ in range(200)]
        assert [word for word in words if password_rules.judge(rule, word, ["k.anh@tinh.gov.vn", "02091985"])] == []
        assert not rule["specials"] or set("".join(words)) & set(string.punctuation) <= set(rule["specials"])


def test_no_personal_data_in_an_initial_password():
    """Parts so short that many a random word holds one."""
    personal = [f"{a}{b}" for a in "abcdefghijkm" for b in "nopqrstuvwxyz"]
    rule = {"forbid_personal_data": True}
    parts = [part + "2" for part in personal]
    for word in (handover.initial_password(rule, parts) for _ in range(200)):
        assert not any(part in word.lower() for part in parts)


def test_each_mailbox_gets_a_password_of_its_own_rule(tmp_path):
    rules = [USER, {"name": "admin", "min_length": 24, "specials": "-="}]
    box = handover.Handover(tmp_path, sealed, "box")
    box.give([CREATED[0], {**CREATED[1], "policy": "admin"}], "2026-11-22", rules)
    words = opened(tmp_path)
    assert (len(words["A"]), len(words["N1"])) == (16, 24)
    assert set(words["N1"]) & set(string.punctuation) <= set("-=")


def test_one_sealed_file_an_organisation_that_only_the_owner_reads(tmp_path):
    folder = tmp_path / "handover"
    box, hashes = give(folder)
    assert [path.rsplit("/", 1)[1] for path in box.files] == ["2026-11-22-A-1.csv.box", "2026-11-22-B-1.csv.box"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    passwords = opened(folder)
    assert all(fits(passwords[code], hashes[code]) for code in ("A", "N1", "N2"))
    assert not any(word in path.read_text() for path in folder.glob(".*") for word in passwords.values())


def test_a_killed_run_hands_over_what_it_sealed(tmp_path):
    first, hashes = give(tmp_path)
    box, again = give(tmp_path)
    assert again == hashes
    assert box.files == first.files, "where the passwords are is told again: the killed run could not"
    box.done()
    _, fresh = give(tmp_path, [{**CREATED[0], "code": "Z"}])
    assert fresh.keys() == {"Z"}
    assert json.loads((tmp_path / handover.PENDING).read_text()).keys() == {"Z"}


def test_killed_before_a_file_was_sealed(tmp_path):
    _, hashes = give(tmp_path)
    (tmp_path / "2026-11-22-B-1.csv.box").unlink()
    _, again = give(tmp_path)
    assert again["N1"] == hashes["N1"]
    assert again["N2"] != hashes["N2"]
    assert fits(opened(tmp_path)["N2"], again["N2"])


def test_a_file_is_never_overwritten(tmp_path):
    box, _ = give(tmp_path)
    box.done()
    box, _ = give(tmp_path, [{**CREATED[0], "code": "Z"}])
    assert box.files == [str(tmp_path / "2026-11-22-A-2.csv.box")]


def test_nothing_is_written_when_sealing_fails(tmp_path):
    def refuse(_text):
        raise RuntimeError("no")

    box = handover.Handover(tmp_path, refuse, "box")
    with pytest.raises(RuntimeError):
        box.give(CREATED, "2026-11-22", [USER])
    assert list(tmp_path.iterdir()) == []
    assert handover.Handover(tmp_path / "new", refuse, "box").give([], "2026-11-22", [USER]) == {}


def test_age_says_why_it_refuses():
    with pytest.raises(RuntimeError, match="age refuses to seal: .*age1nonsense"):
        handover.age(["age1nonsense"])("text")
