"""A whole province: 50,000 people with frequent names are allocated in one linear pass."""

import random
import time

import pytest
from naming_data import PROVINCES, naming

from congvu_mail.naming import allocate

PEOPLE = 50_000
SECONDS = 4.0  # processor time; about 1.5 on a 2026 desktop, room for a busy CI machine
SURNAMES = ["Nguyễn"] * 4 + ["Trần", "Trần", "Lê", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Lý"]
MIDDLES = ["Văn", "Thị", "Thị", "Hữu", "Đức", "Minh", "Thanh", "Ngọc", "Quốc", ""]
GIVENS = ["Anh", "Hùng", "Dũng", "Hương", "Lan", "Mai", "Hoa", "Tuấn", "Nam", "Long", "Hải", "Hà", "Bình", "Thủy", "Thuỷ", "Hiếu"]


@pytest.fixture(scope="module")
def roster():
    chance = random.Random(20261122)
    agencies = [{"code": f"S{n}", "kind": "province_agency", "name": "Sở Y tế", "local_part": f"so{n}", "basis": "QĐ 1"} for n in range(80)]
    divisions = [
        {"code": f"D{n}", "kind": "division", "name": f"Phòng Nghiệp vụ số {n}", "parent": chance.choice(agencies)["code"]}
        for n in range(1400)
    ]
    organisations = agencies + divisions
    people = [
        {
            "code": f"P{n:05}",
            "full_name": " ".join((chance.choice(SURNAMES), chance.choice(MIDDLES), chance.choice(GIVENS))),
            "organisation": chance.choice(organisations)["code"],
            "registered": f"2026-{1 + n % 12:02}-{1 + n % 28:02}",
            "birth_date": f"{1 + n % 28:02}/03/{1965 + n % 38}",
            "rank": chance.choice(["", "", 3, 4]),
        }
        for n in range(PEOPLE)
    ]
    return {"organisations": organisations, "people": people}


@pytest.mark.parametrize("province", PROVINCES)
def test_fifty_thousand_people(roster, province):
    started = time.process_time()
    entries = allocate(roster, naming(province))
    assert time.process_time() - started < SECONDS
    addresses = [entry["local_part"] for entry in entries if entry["local_part"]]
    assert len(set(addresses)) == len(addresses) > PEOPLE * 0.2
