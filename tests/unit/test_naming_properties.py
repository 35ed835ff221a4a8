"""What holds for any register: valid, unique, stable addresses that depend on nothing but the rows."""

import datetime
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naming_data import PROVINCES, naming

from congvu_mail import registers
from congvu_mail.naming import allocate

# RFC 5321, 4.1.2: Dot-string of Atoms, and what this project narrows it to
DOT_STRING = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?)*\Z")

SURNAMES = ["Nguyễn", "Trần", "Lê", "Đỗ", "Niê", "Thạch", "Tôn Nữ", "Ông"]
MIDDLES = ["", "Văn", "Thị", "Thanh Bảo", "Đức"]
GIVENS = ["An", "Ân", "Bình", "H'Hen", "Ngọc-Lan", "Ý", "Sức"]
NAMES = [
    "Sở Nội vụ",
    "Sở Ngoại vụ",
    "Sở Y tế",
    "Phòng Tài chính - Kế hoạch",
    "Văn phòng",
    "Trung tâm CNTT&TT",
    "Thanh tra tỉnh",
    "UBND xã Tân Phước",
    "UBND phường 4",
    "TT. Chũ",
    "UBND huyện Hoa Lư",
    "TX. Cai Lậy",
    "UBND tỉnh",
    "Đoàn Thanh niên",
]
KINDS = ["province_agency", "subordinate", "division", "district", "commune", "party"]
DATES = st.sampled_from(["", "2020-01-01", "02/01/2020", "2021-06-30"])


@st.composite
def rosters(draw):
    """Organisations in a tree, people in them; codes in no particular order."""
    codes = draw(st.permutations([f"{letter}{number}" for letter in "oO" for number in range(5)]))
    count = draw(st.integers(1, len(codes)))
    organisations = [
        {
            "code": code,
            "kind": draw(st.sampled_from(KINDS)),
            "name": draw(st.sampled_from(NAMES)),
            "parent": draw(st.sampled_from(["", *codes[:number]])),
            "registered": draw(DATES),
        }
        for number, code in enumerate(codes[:count])
    ]
    people = []
    for number in draw(st.lists(st.integers(0, 99), max_size=14, unique=True)):
        surname, middle, given_name = (
            draw(st.sampled_from(SURNAMES)),
            draw(st.sampled_from(MIDDLES)),
            draw(st.sampled_from(GIVENS)),
        )
        people.append(
            {
                "code": f"p{number}",
                "full_name": " ".join(filter(None, (surname, middle, given_name))),
                "surname": surname,
                "organisation": draw(st.sampled_from(codes[:count])),
                "registered": draw(DATES),
                "birth_year": draw(st.sampled_from(["", 1977, 1978])),
                "rank": draw(st.sampled_from(["", 1, 2])),
                "status": draw(st.sampled_from(["", "leave", "left"])),
            }
        )
    return {"organisations": organisations, "people": people}


def given_out(entries: list[dict]) -> dict[str, str]:
    return {entry["code"]: entry["local_part"] for entry in entries if entry["local_part"]}


any_register = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("province", PROVINCES)
@any_register
@given(roster=rosters(), seed=st.integers(0, 2**16))
def test_any_register(province, roster, seed):
    conventions = naming(province)
    entries = allocate(roster, conventions)

    # one entry a row; what is given out is valid, lower case, short enough and unique; a decision has no address
    assert sorted(entry["code"] for entry in entries) == sorted(row["code"] for rows in roster.values() for row in rows)
    addresses = [local_part for entry in entries for local_part in (entry["local_part"], *entry["aliases"]) if local_part]
    assert len(addresses) == len(set(addresses))
    for local_part in (*addresses, *(entry["suggestion"] for entry in entries if entry["suggestion"])):
        assert DOT_STRING.match(local_part), local_part
        assert len(local_part.encode()) <= 64
    for entry in entries:
        assert (entry["status"] == "assigned") == bool(entry["local_part"])
        assert entry["reason"]
    suggestions = [entry["suggestion"] for entry in entries if entry["suggestion"]]
    assert not set(suggestions) & set(addresses)
    assert len(suggestions) == len(set(suggestions))

    # parents before children, organisations before people
    seen: set[str] = set()
    parents = {row["code"]: row["parent"] for row in roster["organisations"]}
    for entry in entries:
        assert parents.get(entry["code"], "") in seen | {""}
        seen.add(entry["code"])
    tables = [entry["table"] for entry in entries]
    assert tables == sorted(tables)

    # the order of the rows does not matter
    shuffled = {name: random.Random(seed).sample(rows, len(rows)) for name, rows in roster.items()}
    assert allocate(shuffled, conventions) == entries

    # feeding the answer back as issued changes nothing
    ledger = registers.record([], entries, datetime.date(2026, 1, 2))
    again = allocate(roster, conventions, ledger)
    assert given_out(again) == given_out(entries)
    assert {entry["status"] for entry in again if entry["local_part"]} <= {"issued"}
    assert registers.record(ledger, again, datetime.date(2026, 2, 2)) == ledger

    # rows removed or added leave the others' issued addresses alone
    kept = {**roster, "people": roster["people"][::2]}
    answer = given_out(allocate(kept, conventions, ledger))
    assert answer.items() <= given_out(entries).items()
    newcomer = {"code": "new", "full_name": "Nguyễn Văn An", "organisation": roster["organisations"][0]["code"], "rank": 1}
    answer = given_out(allocate({**roster, "people": [newcomer, *roster["people"]]}, conventions, ledger))
    assert given_out(entries).items() <= answer.items()
    assert answer.get("new") not in given_out(entries).values()


@pytest.mark.parametrize("province", PROVINCES)
@settings(max_examples=150, deadline=None)
@given(name=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_as_a_name_is_given_an_ascii_address_or_refused(province, name):
    roster = {
        "organisations": [{"code": "O", "kind": "province_agency", "name": name}],
        "people": [{"code": "P", "full_name": name, "organisation": "O"}],
    }
    try:
        entries = allocate(roster, naming(province))
    except ValueError as error:
        assert "Cách sửa" in str(error)
        return
    for entry in entries:
        assert not entry["local_part"] or DOT_STRING.match(entry["local_part"])
