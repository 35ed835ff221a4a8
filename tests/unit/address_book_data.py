"""Directories for the tests of the address book: those of the sample registers, and a large one."""

import functools
import random
from pathlib import Path

import yaml

from congvu_mail import registers
from congvu_mail.naming import allocate

ROOT = Path(__file__).parents[2]


@functools.cache
def policy(province: str) -> dict:
    """mail_policy of a province; not to be changed."""
    path = ROOT / "inventories" / province / "group_vars/all/policy.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["mail_policy"]


def organisation(code: str, name: str, parent: str = "", kind: str = "province_agency", **attributes: str) -> dict:
    """The entry of an organisation's mailbox."""
    return {
        "uid": [f"uid-{code}"],
        "congvuCode": [code],
        "congvuKind": ["organisation"],
        "congvuState": ["active"],
        "businessCategory": [kind],
        "cn": [name, "no diacritics"],
        "displayName": [name],
        "o": [name],
        "mail": [f"{code.lower()}@lab.test"],
        **({"congvuOrganisation": [parent]} if parent else {}),
        **{key: [value] for key, value in attributes.items()},
    }


def person(code: str, name: str, employer: str, **attributes: str) -> dict:
    """The entry of a person's mailbox."""
    return {
        "uid": [f"uid-{code}"],
        "congvuCode": [code],
        "congvuKind": ["person"],
        "congvuState": ["active"],
        "congvuPublished": ["TRUE"],
        "employeeType": ["cong_chuc"],
        "cn": [name, "no diacritics"],
        "displayName": [name],
        "title": ["Chuyên viên"],
        "telephoneNumber": [f"0233 {code} 1"],
        "facsimileTelephoneNumber": [f"0233 {code} 2"],
        "mail": [f"{code.lower()}@lab.test"],
        "congvuOrganisation": [employer],
        **{key: [value] for key, value in attributes.items()},
    }


def of_registers(province: str) -> list[dict]:
    """Entries as the sample register of a province leads to them."""
    rules, domain = policy(province), policy(province)["domain"]["value"]
    tables = registers.read(ROOT / "registers" / province, rules["naming"])
    addresses = {
        entry["code"]: f"{entry['local_part']}@{domain}"
        for entry in allocate(tables.roster, rules["naming"], tables.issued.rows)
        if entry["local_part"]
    }
    found = []
    for row in (*tables.organisations.rows, *tables.people.rows):
        if row["code"] not in addresses:
            continue
        common = {
            "mail": addresses[row["code"]],
            "congvuState": "terminated" if row["status"] in ("left", "dissolved") else "active",
            "telephoneNumber": row["phone"],
            "facsimileTelephoneNumber": row["fax"],
        }
        if "full_name" in row:
            common |= {"title": row["title"], "employeeType": row["category"], "congvuPublished": str(row["authorised"] == "x").upper()}
            found.append(person(row["code"], row["full_name"], row["organisation"], **common))
        else:
            found.append(organisation(row["code"], row["name"], row["parent"], row["kind"], **common))
    return found


def large(people: int) -> list[dict]:
    """A whole province: bodies with parts, and people with frequent names."""
    chance = random.Random(20261122)
    bodies = [organisation(f"S{n:03}", f"Sở Thử nghiệm số {n}", kind="province_agency") for n in range(150)]
    parts = [organisation(f"D{n:04}", f"Phòng Nghiệp vụ số {n}", f"S{n % 150:03}", "division") for n in range(1350)]
    surnames = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Đặng", "Bùi", "Đỗ"]
    middles = ["Văn", "Thị", "Hữu", "Đức", "Minh", "Ngọc"]
    givens = ["Anh", "Hùng", "Hương", "Lan", "Tuấn", "Hải", "Hà", "Hạ", "Thủy", "Thuỷ", "Đạt", "Ánh"]
    return [
        *bodies,
        *parts,
        *(
            person(f"P{n:05}", f"{chance.choice(surnames)} {chance.choice(middles)} {chance.choice(givens)}", f"D{n % 1350:04}")
            for n in range(people)
        ),
    ]
