"""The five policies: sound, true to their texts, and no single weakening goes unnoticed."""

import copy
import datetime as dt
import functools
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from congvu_mail import policy_schema as schema
from congvu_mail.clauses import Text
from congvu_mail.policy import NO_TEXTS, Document, check_document, check_policy, find, leaves, load_policy, path_text
from congvu_mail.sizes import binary_bytes, size_bytes

ROOT = Path(__file__).parents[2]
TEXTS = os.environ.get("REGULATION_TEXTS")
TODAY = dt.date(2026, 11, 22)
PROVINCES = ("ninh-binh", "bac-giang", "quang-tri", "soc-trang", "tien-giang")


def file_of(province):
    return ROOT / f"inventories/{province}/group_vars/all/policy.yml"


@functools.cache
def policy(province):
    return load_policy(file_of(province)).data


def text_of(province):
    if not TEXTS:
        pytest.skip(NO_TEXTS)
    return Text((Path(TEXTS) / policy(province)["regulation"]["text"]).read_text(encoding="utf-8"))


def expected_clauses(province):
    lines = (ROOT / f"docs/regulations/clauses/{province}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("province", PROVINCES)
def test_the_policy_is_sound(province):
    assert [str(problem) for problem in check_policy(file_of(province), today=TODAY)] == []


@pytest.mark.parametrize("province", PROVINCES)
def test_quotes_stand_in_the_text_under_their_clause(province):
    if not TEXTS:
        pytest.skip(NO_TEXTS)
    assert [str(problem) for problem in check_policy(file_of(province), TEXTS, TODAY)] == []


@pytest.mark.parametrize("province", PROVINCES)
def test_the_text_is_the_one_that_was_checked(province):
    if not TEXTS:
        pytest.skip(NO_TEXTS)
    name = policy(province)["regulation"]["text"]
    digest = hashlib.sha256((Path(TEXTS) / name).read_bytes()).hexdigest()
    row = next(line for line in (ROOT / "docs/regulations/README.md").read_text(encoding="utf-8").splitlines() if f"`{name}`" in line)
    assert f"`{digest}`" in row


@pytest.mark.parametrize("province", PROVINCES)
def test_the_register_holds_the_expected_clauses_in_their_order(province):
    assert [entry["clause"] for entry in policy(province)["clauses"]] == expected_clauses(province)


@pytest.mark.parametrize("province", PROVINCES)
def test_the_expected_clauses_are_those_of_the_text(province):
    printed, expected = text_of(province).clauses(), expected_clauses(province)
    assert [clause for clause in expected if clause not in printed] == []
    smallest = [clause for clause in printed if not any(other.startswith(clause + " ") for other in printed)]
    assert [clause for clause in smallest if clause not in expected] == []


@pytest.mark.parametrize("province", PROVINCES)
def test_what_meets_a_clause_exists(province):
    named = {item for entry in policy(province)["clauses"] for item in entry["by"] if "/" in item}
    assert [item for item in sorted(named) if not (ROOT / item).is_file()] == []


# The figures of the regulations, written down here once more: a figure cannot change by an edit of one file.
FIGURES = {
    "domain": ("ninhbinh.gov.vn", "bacgiang.gov.vn", "quangtri.gov.vn", "soctrang.gov.vn", "tiengiang.gov.vn"),
    "password.user.min_length": (8, 8, 8, 8, 8),
    "password.admin.min_length": (10, 10, 10, None, None),
    "password.user.max_age_months": (6, 6, None, 1, None),
    "password.admin.max_age_months": (3, 3, None, None, None),
    "deadlines.create": (3, 3, 5, 3, None),
    "deadlines.change": (3, 2, 5, 3, None),
    "deadlines.reset": (None, 2, None, 3, None),
    "deadlines.restore": (None, None, 3, None, None),
    "termination.request_days": (5, 15, 0, None, None),
    "termination.execute_working_days": (3, 2, 5, None, None),
    "quota.person": (None, 2 * 1024**3, 2 * 1024**3, 500 * 1024**2, 500 * 10**6),
    "quota.organisation": (None, 2 * 1024**3, 5 * 1024**3, 500 * 1024**2, 500 * 10**6),
    "attachments.max_total": (None, 15 * 1024**2, 50 * 1024**2, 15 * 1024**2, 50 * 1024**2),
    "password.change_at_first_login": (True, True, True, True, True),
    "forwarding.outbound": ("state_only", "state_only", "state_only", "state_only", None),
    "password.other_systems": (None, None, None, None, "declared"),
}


@pytest.mark.parametrize("path", FIGURES)
def test_the_figures_of_the_regulations(path):
    """None: the text is silent or gives no figure, the operator chose."""
    found = []
    for province, expected in zip(PROVINCES, FIGURES[path], strict=True):
        leaf = find(policy(province), path)
        value = leaf["value"]
        if path.startswith("quota"):
            value = size_bytes(value) if "max" in leaf.get("bound", {}) else binary_bytes(value)
        elif path.startswith("attachments"):
            value = binary_bytes(value)
        found.append(None if expected is None else value)
    assert tuple(found) == FIGURES[path]


# --- no weakening goes unnoticed ---


def bounded(province):
    return [(path, leaf) for path, leaf in leaves(policy(province)) if "bound" in leaf and path[0] != "naming"]


LEAVES = [(province, path_text(path)) for province in PROVINCES for path, _ in bounded(province)]


def kind_of(path):
    node = schema.TREE
    for part in path.replace("]", "").replace("[", ".").split("."):
        node = node if part.isdigit() else node[part]
    return (node.leaf if isinstance(node, schema.Leaves) else node).kind


def weaker(kind, operator, operand, value):
    """Values beyond one operator of a bound."""
    if isinstance(kind, schema.Fields):
        parts = [
            weaker(kind.fields[key].kind, operator, inner, value.get(key)).map(lambda part, key=key: {**value, key: part})
            for key, inner in operand.items()
        ]
        return st.one_of(parts)
    if operator == "includes":
        return st.sampled_from(operand).map(lambda item: [other for other in value if other != item])
    if operator == "only":
        item = kind.item if isinstance(kind, schema.ListOf) else kind
        codes = item.codes if isinstance(item, schema.Enum) else ["outside.example"]
        beyond = st.sampled_from([code for code in codes if code not in operand])
        return beyond.map(lambda code: [*value, code]) if isinstance(kind, schema.ListOf) else beyond
    if operator == "exact":
        return other_than(kind, operand)
    number = size_bytes(operand) if isinstance(kind, schema.Size) and isinstance(operand, str) else operand
    number = binary_bytes(operand) if isinstance(kind, schema.Size) and operator == "min" else number
    beyond = st.integers(max_value=number - 1) if operator == "min" else st.integers(min_value=number + 1)
    return beyond.map(lambda size: f"{size}B") if isinstance(kind, schema.Size) else beyond


def other_than(kind, operand):
    match kind:
        case schema.Bool():
            return st.just(not operand)
        case schema.Int():
            return st.integers().filter(lambda number: number != operand)
        case schema.Size():
            return st.integers(1).filter(lambda size: size != binary_bytes(operand)).map(lambda size: f"{size}B")
        case schema.Enum():
            return st.sampled_from([*(code for code in kind.codes if code != operand), "other"])
        case schema.ListOf():
            return st.lists(st.sampled_from(list(kind.item.codes)), unique=True).filter(lambda items: set(items) != set(operand))
        case schema.Specials():
            return st.sampled_from([operand[1:], operand + "^"])
        case schema.YearDay():
            return st.dates().map(lambda date: f"{date:%m-%d}").filter(lambda day: day != operand)
        case _:
            return st.sampled_from([f"x{operand}", operand[:-1], "outside.example"])


def problems_with(province, path, change):
    """Problems at the leaf, or at the clause that names it, after `change(leaf)` on a copy."""
    data = {**policy(province)}
    top = path.split(".")[0].split("[")[0]
    data[top] = copy.deepcopy(data[top])
    change(find(data, path))
    document = Document(str(file_of(province)), data)
    check_document(document, today=TODAY)
    return [problem for problem in document.problems if problem.path.startswith(path)]


@pytest.mark.parametrize(("province", "path"), LEAVES)
@settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_a_value_beyond_its_bound_is_found(province, path, draw):
    leaf = find(policy(province), path)
    operator = draw.draw(st.sampled_from(sorted(leaf["bound"])))
    value = draw.draw(weaker(kind_of(path), operator, leaf["bound"][operator], leaf["value"]))
    assert problems_with(province, path, lambda node: node.update(value=value))


ESCAPES = {
    "basis operator": lambda leaf: leaf.update(basis="operator"),
    "no bound": lambda leaf: leaf.pop("bound"),
    "no clause": lambda leaf: leaf.pop("clause"),
    "no quote": lambda leaf: leaf.pop("quote"),
    "null": lambda leaf: leaf.update(value=None),
    "expired exception": lambda leaf: leaf.update(
        exception={
            "document": "1/QĐ-UBND",
            "date": dt.date(2025, 1, 1),
            "until": dt.date(2025, 12, 31),
            "approved_by": "Chủ tịch UBND tỉnh",
        }
    ),
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize(("province", "path"), [leaf for leaf in LEAVES if not leaf[1].startswith("logs")])
def test_a_rule_cannot_shed_its_grounds(province, path, escape):
    assert problems_with(province, path, ESCAPES[escape])


NUMBERS = [
    (province, path)
    for province, path in LEAVES
    if isinstance(kind_of(path), schema.Int) and find(policy(province), path)["basis"] in ("regulation", "reading")
]


@pytest.mark.parametrize(("province", "path"), NUMBERS)
def test_a_figure_cannot_move_with_its_bound(province, path):
    """Value and bound weakened together: the quote does not print that figure."""
    leaf = find(policy(province), path)
    ((operator, operand),) = leaf["bound"].items()
    beyond = operand - 1 if operator == "min" else operand + 1
    found = problems_with(province, path, lambda node: node.update(value=beyond, bound={operator: beyond}))
    assert any(problem.problem.startswith("trích dẫn không có") for problem in found)


@pytest.mark.parametrize("province", PROVINCES)
def test_a_stage_or_report_of_the_regulation_cannot_be_dropped(province):
    for path, leaf in leaves(policy(province)):
        if isinstance(path[-1], int) and leaf["basis"] in ("regulation", "reading") and path[0] != "naming":
            data = copy.deepcopy(policy(province))
            listed = find(data, path_text(path[:-1]))
            del listed[path[-1]]
            document = Document("policy.yml", data)
            check_document(document, today=TODAY)
            assert document.problems, path_text(path)
