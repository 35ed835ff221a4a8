"""Every rule of every policy has something that enforces it and a test that tries to break it; docs/rules.md says which."""

from pathlib import Path

import yaml

from congvu_mail import rules

ROOT = Path(__file__).parents[2]


def test_every_rule_has_a_control_and_a_test():
    assert rules.problems(ROOT) == []


def test_the_page_is_that_of_the_data():
    stale = f"{rules.PAGE} is stale: run {rules.COMMAND}"
    assert (ROOT / rules.PAGE).read_text(encoding="utf-8") == rules.page(ROOT), stale


def broken(tmp_path, change):
    """What is wrong when an item of the data is changed."""
    items = yaml.safe_load((ROOT / rules.DATA).read_text(encoding="utf-8"))
    change(items, next(item for item in items if item["rule"] == "attachments.max_total"))
    for name in ("inventories", "roles", "tests", "molecule", "bench", "src", "playbooks", "library"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    (tmp_path / rules.DATA).write_text(yaml.safe_dump(items), encoding="utf-8")
    return rules.problems(tmp_path)


def test_a_rule_that_nothing_enforces_is_named(tmp_path):
    said = broken(tmp_path, lambda items, item: items.remove(item))
    assert "bac-giang: attachments.max_total: no item in docs/rules.yml says what enforces it" in said
    assert len(said) == len(rules.docs.policies(ROOT))


def test_everything_that_is_not_there_is_named_at_once(tmp_path):
    def change(_items, item):
        item.pop("missing", None)
        item.update(rule=["attachments.max_total", "attachments.sealed"], controls=["rspamd_sealed", "roles/rspamd/sealed"])
        item.update(tests={"inbound": ["test_rspamd.py::test_sealed"], "pigeon": "chưa có"}, speed="fast")

    assert sorted(broken(tmp_path, change)) == [
        "attachments.max_total, attachments.sealed: inbound: no test test_rspamd.py::test_sealed, or several files of the name",
        "attachments.max_total, attachments.sealed: pigeon is no path; these are: " + ", ".join(rules.PATHS),
        "attachments.max_total, attachments.sealed: roles/rspamd/sealed is neither a variable of a role nor a file",
        "attachments.max_total, attachments.sealed: rspamd_sealed is neither a variable of a role nor a file",
        "attachments.max_total, attachments.sealed: unknown key speed",
        "attachments.sealed: no policy has such a rule",
    ]


def test_controls_and_tests_cannot_be_left_out(tmp_path):
    said = broken(tmp_path, lambda _items, item: [item.pop(key, None) for key in ("controls", "tests", "missing")])
    assert [text.partition(";")[0] for text in said] == ["attachments.max_total: no control", "attachments.max_total: no test"]
