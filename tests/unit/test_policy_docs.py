"""The documents made from the policies."""

from pathlib import Path

import pytest

from congvu_mail import policy_docs
from congvu_mail import policy_schema as schema

ROOT = Path(__file__).parents[2]
DOCUMENTS = policy_docs.documents(ROOT)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_are_those_of_the_policies(path):
    stale = f"{path.relative_to(ROOT)} is stale: run {policy_docs.COMMAND}"
    assert path.is_file() and path.read_text(encoding="utf-8") == DOCUMENTS[path], stale


def test_the_folder_holds_nothing_else():
    assert set((ROOT / "docs/policy").iterdir()) == {*DOCUMENTS, ROOT / "docs/policy/README.md"}


def test_every_key_has_a_measure():
    keys = [key for key in schema.TREE if key not in ("schema", "regulation", "clauses")]
    # These have a measure for each key below them.
    divided = ("forwarding", "organisation_mailbox", "single_sign_on")
    assert [key for key in keys if key not in policy_docs.MEASURES and key not in divided] == []


@pytest.mark.parametrize("name", policy_docs.policies(ROOT))
def test_every_clause_and_every_key_is_shown(name):
    policy = policy_docs.policies(ROOT)[name]
    text = DOCUMENTS[ROOT / f"docs/policy/{name}.md"]
    for entry in policy["clauses"]:
        assert f"\n| {entry['clause']} | {entry['summary']} |" in text
    for path, leaf in policy_docs.rules(policy):
        assert f"`{policy_docs.path_text(path)}`" in text
        assert policy_docs._cell_text(leaf.get("quote_restored", "")) in text


def test_damaged_words_are_not_shown_where_a_readable_form_is_known():
    for policy in policy_docs.policies(ROOT).values():
        for path, leaf in policy_docs.rules(policy):
            if leaf.get("quote_restored"):
                row = policy_docs._leaf_row(policy, policy_docs.path_text(path), leaf)
                assert leaf["quote_restored"] in row[3] and leaf["quote"] not in row[3]
