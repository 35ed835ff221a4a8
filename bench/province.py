# SPDX-License-Identifier: Apache-2.0
"""An invented province of any size as a register's folder: ``write_register``.

Names come out of the frequency tables below, written for this purpose: as in life a third of the people share a surname and
everybody shares a few hundred given names, so that whole names, and with them addresses, collide by the thousand. The same size gives the
same register, byte for byte. No row is a real person, no number a real document.
"""

from __future__ import annotations

import csv
import datetime
import pathlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

from congvu_mail import registers

SEED = 20261122
PEOPLE_PER_ORGANISATION = 100 / 3  # 50,000 people in 1,500 organisations

# Shares in a hundred people, about.
SURNAMES = {
    "Nguyễn": 33, "Trần": 11, "Lê": 9.5, "Phạm": 6.5, "Hoàng": 4.5, "Phan": 4, "Võ": 3.5, "Bùi": 2.2, "Đặng": 2.2, "Hồ": 2.2, "Đỗ": 1.8,
    "Ngô": 1.4, "Dương": 1.3, "Trương": 1.3, "Huỳnh": 1.2, "Đinh": 1.1, "Lý": 0.9, "Cao": 0.9, "Đoàn": 0.8, "Mai": 0.7, "Trịnh": 0.7,
    "Lương": 0.7, "Đào": 0.7, "Thái": 0.6, "Vũ": 0.6, "Hà": 0.6, "Lưu": 0.5, "Tạ": 0.4, "Châu": 0.4, "Tô": 0.3, "Văn": 0.3, "Tống": 0.3,
    "Phùng": 0.3, "Nông": 0.2, "Quách": 0.2, "Kiều": 0.2, "Từ": 0.2, "La": 0.2, "Thạch": 0.2, "Ung": 0.1, "Viên": 0.1, "Giáp": 0.1,
}  # fmt: skip
WOMEN_MIDDLES = {
    "Thị": 48, "Thị Thu": 4, "Thị Thanh": 4, "Thị Hồng": 3.5, "Thị Kim": 3, "Thị Ngọc": 3, "Thị Mỹ": 2.5, "Thị Bích": 2, "Thị Diệu": 1.5,
    "Thị Minh": 1.5, "Thị Phương": 2, "Thị Xuân": 1.5, "Thị Thùy": 1.5, "Ngọc": 4, "Thanh": 3, "Thu": 2.5, "Hoài": 2, "Khánh": 2,
    "Minh": 2, "Phương": 2, "Mai": 1.5, "Quỳnh": 1, "": 1,
}  # fmt: skip
MEN_MIDDLES = {
    "Văn": 28, "Đức": 7, "Hữu": 6, "Quang": 6, "Minh": 6, "Xuân": 5, "Thanh": 5, "Ngọc": 4, "Đình": 4, "Quốc": 4, "Công": 3.5, "Anh": 3,
    "Hoàng": 3, "Thế": 2.5, "Viết": 2, "Trọng": 2, "Tiến": 2, "Mạnh": 1.5, "Bá": 1.5, "Duy": 1.5, "Gia": 1, "Nhật": 1, "": 2,
}  # fmt: skip
WOMEN_GIVENS = {
    "Hương": 5, "Hoa": 3.5, "Lan": 4, "Hà": 4, "Thủy": 4, "Hằng": 3.5, "Mai": 3, "Phương": 4, "Nga": 2.5, "Linh": 4, "Thảo": 4,
    "Trang": 4, "Hiền": 4, "Nhung": 3, "Yến": 2.5, "Anh": 3, "Vân": 3, "Dung": 3, "Loan": 2, "Ngọc": 2.5, "Thúy": 2.5, "Hồng": 2.5,
    "Liên": 2, "Hạnh": 3, "Nhi": 1.5, "Huệ": 1.5, "Tuyết": 1.5, "Oanh": 1.5, "Xuân": 1, "Quyên": 1, "My": 1, "Trinh": 1, "Thơm": 0.7,
    "Lệ": 1, "Ánh": 1, "Giang": 1.5, "Tâm": 1.5, "Bình": 1, "Thu": 2, "Châu": 1, "Duyên": 1, "Sương": 0.7, "Lý": 0.7, "Na": 0.5,
    "Cúc": 0.7, "Thoa": 0.5, "Vy": 0.7, "Ái": 0.2,
}  # fmt: skip
MEN_GIVENS = {
    "Hùng": 4.5, "Dũng": 4, "Tuấn": 4.5, "Nam": 3, "Long": 3, "Hải": 4, "Minh": 3, "Thắng": 3, "Cường": 4, "Sơn": 3.5, "Đức": 2.5,
    "Anh": 3, "Hiếu": 2.5, "Hòa": 2.5, "Bình": 3, "Trung": 3, "Thành": 3.5, "Quang": 2.5, "Tùng": 1.5, "Phong": 1.5, "Việt": 1.5,
    "Vinh": 2, "Khánh": 1.5, "Tâm": 1.5, "Phúc": 2, "Lâm": 1.5, "Đạt": 1.5, "Huy": 2, "Toàn": 1.5, "Hưng": 2, "Kiên": 1, "Lộc": 1.2,
    "Tài": 1.2, "Thịnh": 1, "Thiện": 1, "Quân": 1.2, "Hậu": 1, "Chiến": 1, "Dương": 1, "Giang": 1, "Tân": 1.2, "Linh": 1, "Khoa": 0.8,
    "Nhân": 0.8, "Quý": 0.8, "Trí": 0.7, "Lợi": 0.7, "Phước": 0.8, "Ninh": 0.4, "Ân": 0.2,
}  # fmt: skip

DEPARTMENTS = (
    "Nội vụ", "Tài chính", "Xây dựng", "Tư pháp", "Y tế", "Công Thương", "Khoa học và Công nghệ", "Giáo dục và Đào tạo", "Ngoại vụ",
    "Nông nghiệp và Môi trường", "Văn hóa, Thể thao và Du lịch", "Dân tộc và Tôn giáo",
)  # fmt: skip
DIVISIONS = (
    "Văn phòng", "Phòng Tổ chức cán bộ", "Phòng Kế hoạch", "Phòng Pháp chế", "Phòng Quản lý chuyên ngành", "Phòng Thẩm định",
    "Phòng Nghiệp vụ", "Phòng Bảo vệ trẻ em và bình đẳng giới",
)  # fmt: skip
SUBORDINATES = (
    "Trung tâm Thông tin", "Trung tâm Tư vấn", "Trung tâm Đào tạo nghiệp vụ", "Chi cục Giám định", "Chi cục Phát triển",
    "Ban Quản lý dự án", "Trung tâm Kiểm nghiệm", "Trung tâm Dịch vụ công", "Trung tâm Xúc tiến", "Chi cục Hạ tầng",
    "Trường Trung cấp nghề", "Viện Quy hoạch",
)  # fmt: skip
COMMUNE_DIVISIONS = ("Văn phòng", "Phòng Kinh tế", "Phòng Văn hóa - Xã hội")
COMMUNE_SUBORDINATES = (
    "Trung tâm Phục vụ hành chính công", "Trạm Y tế", "Trường Mầm non", "Trường Tiểu học", "Trường Trung học cơ sở", "Ban Quản lý chợ",
)  # fmt: skip
# Names of communes: one of the first and one of the second; without accents no two of them read alike.
COMMUNE_FIRST = (
    "Tân", "Vĩnh", "Hải", "Triệu", "Cam", "Gio", "Hướng", "Phú", "Long", "Thạnh", "Mỹ", "Bình", "Đông", "Tây", "Nam", "Trung", "Hòa",
    "Xuân", "Kim", "Lệ", "Quảng", "Tuyên", "Đại", "Nhơn", "Thới",
)  # fmt: skip
COMMUNE_SECOND = (
    "An", "Lộc", "Sơn", "Thủy", "Thành", "Giang", "Phong", "Phước", "Thượng", "Lâm", "Định", "Trạch", "Hiệp", "Ninh", "Điền", "Khê",
    "Chánh", "Hưng", "Lập", "Thái", "Phụng", "Hồ", "Quý", "Tiến", "Nghĩa",
)  # fmt: skip

TITLES = {
    "Chuyên viên": 46,
    "Giáo viên": 28,
    "Viên chức": 12,
    "Văn thư": 3,
    "Kế toán": 4,
    "Trưởng phòng": 2,
    "Phó Trưởng phòng": 3,
    "Phó Giám đốc": 2,
}


def organisations(count: int) -> list[dict[str, str]]:
    """The first ``count`` bodies of a province that grows by departments and communes in turn; parents before children."""
    rows: list[dict[str, str]] = []
    for number, (kind, name, parent) in enumerate(_bodies()):
        if number == count:
            break
        row = {
            "code": _code("CQ", number),
            "kind": kind,
            "name": name,
            "parent": _code("CQ", parent) if parent is not None else "",
            "registered": f"{1 + number % 28:02}/{1 + number % 12:02}/2025",
            "category": "state",
            "phone": f"0900{number:06}",
            "status": "active",
        }
        if number == 0:
            row |= {"local_part": "ubndtinh", "basis": "Công văn 1/BENCH ngày 01/01/2025"}
        rows.append(row)
    return rows


def _bodies() -> Iterator[tuple[str, str, int | None]]:
    """(kind, name, number of the parent) without an end."""
    yield "province_agency", "UBND tỉnh", None
    number = 0
    departments = iter(DEPARTMENTS)
    communes = [f"{first} {second}" for second in COMMUNE_SECOND for first in COMMUNE_FIRST if first != second]
    for commune in communes:
        department = next(departments, None)
        blocks = [(("province_agency", f"Sở {department}"), DIVISIONS, SUBORDINATES)] if department else []
        blocks.append((("commune", f"UBND xã {commune}"), COMMUNE_DIVISIONS, COMMUNE_SUBORDINATES))
        for (kind, name), divisions, subordinates in blocks:
            number += 1
            head = number
            yield kind, name, 0
            for child_kind, names in (("division", divisions), ("subordinate", subordinates)):
                for child in names:
                    number += 1
                    yield child_kind, child, head
    raise ValueError(f"no more than {number + 1} organisations")


def people(count: int, bodies: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """People of those bodies: one in each, who leads it, the others anywhere."""
    chance = random.Random(SEED)
    rows = []
    for number in range(count):
        woman = chance.random() < 0.52
        parts = (
            _one(chance, SURNAMES),
            _one(chance, WOMEN_MIDDLES if woman else MEN_MIDDLES),
            _one(chance, WOMEN_GIVENS if woman else MEN_GIVENS),
        )
        leads = number < len(bodies)
        body = bodies[number] if leads else chance.choice(bodies)
        born = datetime.date(1965, 1, 1) + datetime.timedelta(days=chance.randrange(14000))
        registered = datetime.date(2025, 2, 1) + datetime.timedelta(days=chance.randrange(600))
        rows.append(
            {
                "code": _code("NG", number),
                "person_id": f"B{number:08}",
                "full_name": " ".join(filter(None, parts)),
                "organisation": body["code"],
                "birth_date": f"{born:%d/%m/%Y}",
                "title": "Thủ trưởng" if leads else _one(chance, TITLES),
                "category": "cong_chuc",
                "rank": "1" if leads else "",
                "registered": f"{registered:%d/%m/%Y}",
                "account_class": "user",
                "phone": f"0901{number:06}",
                "status": "active",
            }
        )
        if leads:
            body["head"] = rows[-1]["code"]
    return rows


def changed(rows: Sequence[dict[str, str]], bodies: Sequence[dict[str, str]], percent: float) -> list[dict[str, str]]:
    """The people some weeks later: ``percent`` of the rows differ, as they do in an office. Half have another title, a quarter another
    organisation; an eighth has left and as many are new."""
    chance = random.Random(SEED + 1)
    after = [dict(row) for row in rows]
    touched = chance.sample(range(len(bodies), len(rows)), max(8, round(len(rows) * percent / 100)))
    eighth = len(touched) // 8
    for row in (after[number] for number in touched[: 4 * eighth]):
        row["title"] = "Chuyên viên chính"
    for row in (after[number] for number in touched[4 * eighth : 6 * eighth]):
        row["organisation"] = bodies[(int(row["organisation"][2:]) + 1) % len(bodies)]["code"]
    for row in (after[number] for number in touched[6 * eighth : 7 * eighth]):
        row["status"] = "left"
    for number, model in enumerate(touched[7 * eighth :]):
        code = len(rows) + number
        after.append(
            {**after[model], "code": _code("NG", code), "person_id": f"B{code:08}", "registered": "20/11/2026", "status": "active"}
        )
    return after


def write_register(folder: pathlib.Path, count: int, percent: float = 0) -> None:
    """Write the register of a province of ``count`` people, with ``percent`` of them changed since."""
    bodies = organisations(max(4, round(count / PEOPLE_PER_ORGANISATION)))
    everybody = people(count, bodies)
    if percent:
        everybody = changed(everybody, bodies, percent)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("organisations", bodies), ("people", everybody)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, registers.COLUMNS[name], restval="")
            writer.writeheader()
            writer.writerows(rows)


def _code(prefix: str, number: int) -> str:
    return f"{prefix}{number:06}"


def _one(chance: random.Random, shares: dict[str, float]) -> Any:
    return chance.choices(list(shares), shares.values())[0]
