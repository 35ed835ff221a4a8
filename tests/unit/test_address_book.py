"""The published directory: who is in it, what its files hold, and that nothing else gets out."""

import base64
import csv
import datetime as dt
import hashlib
import html
import io
import json
import random
import re
import time
from pathlib import Path

import pytest
from address_book_data import large, of_registers, organisation, person, policy
from hypothesis import given, settings
from hypothesis import strategies as st
from naming_data import PROVINCES

from congvu_mail import address_book as book
from congvu_mail import address_book_formats as formats

TODAY = dt.date(2026, 11, 22)
LATER = dt.date(2026, 12, 22)
KINDS_OF_FILE = {"danh-ba.html", "danh-ba.csv", "danh-ba.ldif", "danh-ba.vcf"}
SECONDS = 10.0  # processor time for 50,000 people


def changed(rules: dict, **values) -> dict:
    """A policy with other values in its directory."""
    leaves = rules["directory"]
    return rules | {"directory": leaves | {name: leaves[name] | {"value": value} for name, value in values.items()}}


def made(entries: list, rules: dict, **values) -> dict[str, bytes]:
    """The files for some entries under a policy."""
    told = book.Rules.of(changed(rules, **values))
    return book.files(book.select(entries, told), told, TODAY)


def table(data: bytes) -> list[list[str]]:
    """The rows of a CSV as a spreadsheet reads them."""
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def page_data(data: bytes) -> dict:
    """The data block of a page."""
    return json.loads(re.search(r'id="du-lieu">(.*?)</script>', data.decode(), re.S)[1])


def cards(data: bytes) -> list[dict[str, list[str]]]:
    """vCards: values by property, read as RFC 6350 says: lines unfolded, split at the colon, then at semicolons, then unescaped."""
    assert b"\n" not in data.replace(b"\r\n", b"")
    for line in data.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()  # no character is torn apart
    found, card = [], {}
    for line in data.replace(b"\r\n ", b"").decode().split("\r\n")[:-1]:
        name, value = re.fullmatch(r'((?:[^":]|"[^"]*")+):(.*)', line, re.S).groups()
        if line == "BEGIN:VCARD":
            card = {}
        elif line == "END:VCARD":
            found.append(card)
        else:
            assert name not in card
            parts = re.findall(r"(?:^|;)((?:[^\\;]|\\.)*)", value, re.S)
            card[name] = [re.sub(r"\\(.)", r"\1", part) for part in parts]
    return found


def records(data: bytes) -> list[dict[str, list[str]]]:
    """Entries of an LDIF, read as RFC 2849 says."""
    text = data.decode("ascii")
    assert all(len(line) <= 76 for line in text.split("\n")) and text.startswith("version: 1\n")
    found = []
    for block in text.replace("\n ", "").removeprefix("version: 1\n").split("\n\n"):
        record: dict[str, list[str]] = {}
        for line in block.strip("\n").split("\n") if block.strip() else []:
            name, value = re.fullmatch(r"([A-Za-z]+):(.*)", line).groups()
            assert value.startswith(":") or re.fullmatch(r" [^ :<].*(?<! )", value)  # SAFE-STRING
            record.setdefault(name, []).append(base64.b64decode(value[1:]).decode() if value.startswith(":") else value[1:])
        if record:
            found.append(record)
    return found


# --- what the five provinces publish ---


@pytest.mark.parametrize("province", PROVINCES)
def test_the_columns_are_the_fields_of_the_policy(province):
    rules = policy(province)
    rows = table(made(of_registers(province), rules)["danh-ba.csv"])
    assert rows[0] == [formats.label(name) for name in rules["directory"]["fields"]["value"]]
    assert {len(row) for row in rows} == {len(rows[0])} and len(rows) > 10


@pytest.mark.parametrize("province", PROVINCES)
def test_the_people_are_those_of_the_policy(province):
    rules, entries = policy(province), of_registers(province)
    leaves = rules["directory"]
    entitled = {
        entry["mail"][0]
        for entry in entries
        if entry["congvuKind"] == ["person"]
        and entry["congvuState"] == ["active"]
        and entry["employeeType"][0] in leaves["categories"]["value"]
        and (leaves["scope"]["value"] != "authorised" or entry["congvuPublished"] == ["TRUE"])
    }
    bodies = {entry["mail"][0] for entry in entries if entry["congvuKind"] == ["organisation"] and entry["congvuState"] == ["active"]}
    published = {row[-1] for row in table(made(entries, rules)["danh-ba.csv"])[1:]}
    assert published == entitled | bodies and entitled


def test_tien_giang_gives_name_title_place_phone_fax_and_address_of_authorised_officials():
    rows = table(made(of_registers("tien-giang"), policy("tien-giang"))["danh-ba.csv"])
    assert rows[0] == ["Họ và tên", "Chức vụ", "Đơn vị công tác", "Số điện thoại", "Số fax", "Địa chỉ thư điện tử"]
    assert ["Trần Thanh Liêm", "Phó Chủ tịch", "UBND tỉnh Tiền Giang", "02730000300", "", "tranthanhliem@tiengiang.gov.vn"] in rows
    assert not any(row[0] == "Lê Minh Hiếu" for row in rows)  # an official, but not an authorised one


@pytest.mark.parametrize("province", PROVINCES)
def test_bodies_publish_their_own_edition_where_the_regulation_says_so(province):
    files = made(of_registers(province), policy(province))
    target = policy(province)["directory"]["target"]["value"]
    folders = {str(Path(path).parent) for path in files}
    assert (len(folders) > 1) == (target == "organisation_portals")
    for folder in folders:
        assert {Path(path).name for path in files if str(Path(path).parent) == folder} - {"manifest.json"} == KINDS_OF_FILE
    province_wide = table(files["danh-ba.csv"])[1:]
    parts = [row for path, data in files.items() if re.fullmatch(r"co-quan/.*\.csv", path) for row in table(data)[1:]]
    if parts:
        assert sorted(parts) == sorted(province_wide)


def test_an_edition_holds_the_parts_of_its_body_and_no_other():
    entries = [
        organisation("T", "UBND tỉnh"),
        organisation("S", "Sở Y tế", "T"),
        organisation("S-P", "Phòng Kế toán", "S", "division"),
        organisation("S-C", "Chi cục Dân số", "S", "subordinate"),
        organisation("H", "UBND huyện Tân Phước", "T", "district"),
        organisation("H-X", "UBND xã Mỹ Phước", "H", "commune"),
        person("N1", "Lê An", "S-P"),
        person("N2", "Lê Bình", "H-X"),
    ]
    files = made(entries, policy("tien-giang"))
    places = {path.split("/")[1]: [row[2] for row in table(data)[1:]] for path, data in files.items() if re.match("co-quan/.*csv", path)}
    assert places == {
        "T": ["UBND tỉnh"],
        "S": ["Sở Y tế", "Chi cục Dân số, Sở Y tế", "Phòng Kế toán, Sở Y tế", "Phòng Kế toán, Sở Y tế"],
        "H": ["UBND huyện Tân Phước"],
        "H-X": ["UBND xã Mỹ Phước, UBND huyện Tân Phước"] * 2,
    }
    bodies = {edition["folder"]: edition["body"] for edition in json.loads(files["manifest.json"])["editions"]}
    assert bodies["co-quan/H-X"] == "UBND xã Mỹ Phước, UBND huyện Tân Phước"


# --- what must not get out ---

SECRET = "bí-mật-0987"


@pytest.mark.parametrize(
    ("attributes", "values"),
    [
        ({"congvuState": "suspended"}, {}),
        ({"congvuState": "terminated"}, {}),
        ({"congvuState": ""}, {}),
        ({"congvuState": "activ"}, {}),
        ({"congvuKind": "service"}, {}),
        ({"employeeType": "nguoi_lao_dong"}, {}),
        ({"employeeType": ""}, {}),
        ({"employeeType": "can_bo, nguoi_lao_dong"}, {}),
        ({"congvuPublished": "FALSE"}, {}),
        ({"congvuPublished": ""}, {}),
        ({"congvuState": "suspended"}, {"scope": "public"}),
        ({"congvuState": "terminated", "congvuPublished": "TRUE"}, {"scope": "all"}),
        ({"employeeType": "khac"}, {"scope": "public"}),
    ],
)
@pytest.mark.parametrize("kind_of_file", [".html", ".csv", ".ldif", ".vcf", "manifest.json"])
def test_who_is_not_to_be_published_appears_in_no_file(attributes, values, kind_of_file):
    entries = [organisation("S", "Sở Y tế"), person("N1", "Lê An", "S"), person("AN-DANH", f"Trần {SECRET}", "S", **attributes)]
    files = made(entries, policy("tien-giang"), **values)
    texts = {path: data.decode() for path, data in files.items() if path.endswith(kind_of_file)}
    assert texts
    for path, text in texts.items():
        for trace in (SECRET, "an-danh", "AN-DANH", base64.b64encode(f"Trần {SECRET}".encode()).decode()):
            assert trace not in text, path
    assert b"n1@lab.test" in files["danh-ba.csv"]


@pytest.mark.parametrize("state", ["suspended", "terminated"])
def test_a_suspended_organisation_keeps_its_name_over_its_people_but_shows_no_address(state):
    entries = [organisation("S", "Sở Y tế", congvuState=state, telephoneNumber="0999"), person("N1", "Lê An", "S")]
    files = made(entries, policy("tien-giang"))
    assert all(b"s@lab.test" not in data and b"0999" not in data for data in files.values())
    assert table(files["danh-ba.csv"])[1][:3] == ["Lê An", "Chuyên viên", "Sở Y tế"]


@pytest.mark.parametrize(("field", "trace"), [("title", "Bác sĩ"), ("phone", "0911"), ("fax", "0922"), ("organisation", "Sở Kín")])
def test_a_field_that_the_policy_does_not_name_appears_nowhere(field, trace):
    entries = [
        organisation("S", "Phòng Khám"),
        organisation("K", "Sở Kín", congvuState="suspended"),
        person("N1", "Lê An", "K", title="Bác sĩ", telephoneNumber="0911", facsimileTelephoneNumber="0922"),
    ]
    fields = ["full_name", "title", "organisation", "phone", "fax", "address"]
    with_it = made(entries, policy("tien-giang"), fields=fields, target="provincial_portal")
    assert trace in with_it["danh-ba.csv"].decode()
    fields.remove(field)
    for path, data in made(entries, policy("tien-giang"), fields=fields, target="provincial_portal").items():
        assert trace not in data.decode() and base64.b64encode(trace.encode()) not in data, path


def test_nothing_else_of_an_entry_is_read():
    extra = {"congvuForbiddenInPassword": SECRET, "description": SECRET, "congvuReason": SECRET, "pwdHistory": SECRET, "uid": SECRET}
    entries = [organisation("S", "Sở Y tế", **extra), person("N1", "Lê An", "S", **extra)]
    assert all(SECRET not in data.decode() for data in made(entries, policy("tien-giang")).values())


def test_a_policy_that_publishes_nothing_gives_no_file():
    assert made(of_registers("quang-tri"), policy("quang-tri"), publish=False) == {}


@pytest.mark.parametrize("missing", ["full_name", "address"])
def test_a_directory_without_names_or_addresses_is_refused(missing):
    fields = [name for name in ("full_name", "organisation", "address") if name != missing]
    with pytest.raises(ValueError, match=rf"directory\.fields = .*thêm {missing} vào directory\.fields"):
        book.Rules.of(changed(policy("quang-tri"), fields=fields))


def test_who_is_left_out_is_counted_with_the_reason():
    entries = [person("N1", "Lê An", "S", employeeType=""), person("N2", "Lê Ba", "S", congvuPublished="FALSE"), person("N3", "Lê Ca", "S")]
    rules = book.Rules.of(policy("tien-giang"))
    directory = book.select(entries, rules)
    files = book.files(directory, rules, TODAY)
    lines = book.summary(directory, rules, Path("/dich"), json.loads(files["manifest.json"]), 5)
    assert "Danh bạ: 0 hộp thư cơ quan, 1 cá nhân" in lines
    assert "Không công bố 1 cá nhân: chưa ghi đối tượng trong danh bạ LDAP (employeeType)" in lines
    assert any(line.startswith("Không công bố 1 cá nhân: không phải người được phép") for line in lines)


# --- the formats ---

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+cmd",
    "-2+3",
    "@SUM(A1)",
    "＝1+1",
    "\t=1+1",
    "\r=1+1",
    "\u200b=1+1",
    "\x00=1+1",
    " =1+1",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_no_cell_of_the_csv_is_a_formula(value):
    entries = [organisation("S", value), person("N1", value, "S", title=value, telephoneNumber=value)]
    for row in table(made(entries, policy("tien-giang"))["danh-ba.csv"])[1:]:
        for cell in row:
            assert not cell or cell[0] not in "=+-@＝＋－＠\t\r\n\0 ", row
        assert row[0].startswith("'")


def test_the_csv_begins_with_a_bom_and_ends_its_lines_as_spreadsheets_do():
    data = made(of_registers("quang-tri"), policy("quang-tri"))["danh-ba.csv"]
    assert data.startswith("\ufeffHọ và tên,Chức vụ,Đơn vị công tác,Địa chỉ thư điện tử\r\n".encode())


def test_a_value_cannot_leave_the_data_block_or_become_markup():
    name = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>&amp;\"'"
    data = made([organisation("S", name), person("N1", name, "S", title=name)], policy("tien-giang"))["co-quan/S/danh-ba.html"]
    text = data.decode()
    assert text.count("<script") == 2 == text.count("</script>") and "<img" not in text and "<!--" not in text
    assert page_data(data)["groups"][0][2][0][0] == name
    assert html.escape(name, quote=False).replace('"', "&#34;").replace("'", "&#39;") in text  # the body's name in the heading


def test_the_page_allows_its_own_script_and_style_only_and_loads_nothing():
    files = made(of_registers("quang-tri"), policy("quang-tri"))
    text = files["danh-ba.html"].decode()
    allowed = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1]
    assert html.unescape(allowed) == json.loads(files["manifest.json"])["content_security_policy"]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in html.unescape(allowed)
    assert "default-src 'none'" in html.unescape(allowed) and "unsafe" not in allowed
    assert not re.search(r"\b(src|srcset|style|on[a-z]+)=|url\(|@import|fetch\(|XMLHttp|https?://", text)


@pytest.mark.parametrize("province", PROVINCES)
def test_the_page_tells_date_clause_and_regulation(province):
    rules = policy(province)
    text = made(of_registers(province), rules)["danh-ba.html"].decode()
    assert '<time datetime="2026-11-22">22/11/2026</time>' in text and '<html lang="vi">' in text
    assert f"Căn cứ: {rules['directory']['publish']['clause']}, {rules['regulation']['title'].strip()}" in text
    assert (rules["regulation"]["number"] or "dự thảo") in text
    assert "lưu hành nội bộ" not in text.lower()


def test_a_directory_for_insiders_says_so():
    text = made(of_registers("quang-tri"), policy("quang-tri"), scope="all")["danh-ba.html"].decode()
    assert "Lưu hành nội bộ" in text and 'content="noindex, nofollow"' in text


def test_vcard_and_ldif_hold_what_the_csv_holds():
    entries = of_registers("tien-giang")
    files = made(entries, policy("tien-giang"))
    rows = table(files["danh-ba.csv"])[1:]
    read_cards = [
        [
            card["FN"][0],
            card.get("TITLE", [""])[0],
            ", ".join(reversed(card["ORG"])),
            card.get('TEL;TYPE="work,voice"', [""])[0],
            card.get('TEL;TYPE="work,fax"', [""])[0],
            card["EMAIL;TYPE=work"][0],
        ]
        for card in cards(files["danh-ba.vcf"])
    ]
    attributes = ("cn", "title", "o", "telephoneNumber", "facsimileTelephoneNumber", "mail")
    read_records = [[record.get(name, [""])[0] for name in attributes] for record in records(files["danh-ba.ldif"])]
    assert read_cards == rows == read_records
    assert {card["KIND"][0] for card in cards(files["danh-ba.vcf"])} == {"org", "individual"}


@pytest.mark.parametrize("value", [":x", "< file:///etc/passwd", "<x", "#x", "a" * 500, "ỹ" * 300, "😀" * 100, "a;b,c\\\\d\\;e\\", 'x"y:z'])
def test_long_values_and_values_that_look_like_syntax_come_back(value):
    files = made([organisation("S", value), person("N1", value, "S", title=value)], policy("tien-giang"))
    assert [card["FN"] + card["ORG"] for card in cards(files["danh-ba.vcf"])] == [[value, value]] * 2
    assert [record["cn"] + record["sn"] + record["o"] for record in records(files["danh-ba.ldif"])] == [[value] * 3] * 2
    assert table(files["danh-ba.csv"])[2][:3] == [value] * 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAMES = TEXTS.filter(lambda value: bool("".join(c for c in value if c.isprintable() and not c.isspace())))


@settings(max_examples=150, deadline=None)
@given(name=NAMES, title=TEXTS, place=NAMES, phone=TEXTS, order=st.randoms())
def test_any_text_comes_back_from_every_format_and_the_order_of_entries_does_not_matter(name, title, place, phone, order):
    entries = [
        organisation("A", "Sở Y tế"),
        organisation("B", place, "A", "division"),
        person("N1", name, "B", title=title, telephoneNumber=phone),
        person("N2", "Lê An", "B"),
    ]
    files = made(entries, policy("tien-giang"))
    order.shuffle(entries)
    assert made(entries, policy("tien-giang")) == files
    rows = {row[-1]: row for row in table(files["danh-ba.csv"])[1:]}
    card = next(card for card in cards(files["danh-ba.vcf"]) if card["EMAIL;TYPE=work"] == ["n1@lab.test"])
    record = next(record for record in records(files["danh-ba.ldif"]) if record["mail"] == ["n1@lab.test"])
    groups = page_data(files["danh-ba.html"])["groups"]
    shown = next(row for _path, _own, people, _body in groups for row in people if row[-1] == "n1@lab.test")
    assert record["cn"] == card["FN"] == [shown[0]] and rows["n1@lab.test"][0].removeprefix("'") == shown[0].removeprefix("'")
    assert record.get("title", [""]) == card.get("TITLE", [""]) == [shown[1]]
    assert record.get("telephoneNumber", [""]) == card.get('TEL;TYPE="work,voice"', [""]) == [shown[2]]
    assert card["ORG"][0] == "Sở Y tế" and record["o"] == [", ".join(reversed(card["ORG"]))]
    assert shown[0].isprintable() and shown[0] == shown[0].strip()


# --- order ---


def test_the_order_is_that_of_the_vietnamese_alphabet_by_given_name():
    names = ["Lê Dũng", "Lê Đạt", "Trần An", "Đỗ An", "Đặng An", "Lê Ân", "Lê Ắn", "Lê Hà", "Lê Há", "Lê Hả", "Lê Hạ", "Lê Hã", "Lê Ha"]
    entries = [person(f"N{number}", name, "S") for number, name in enumerate(names)] + [organisation("S", "Sở Y tế")]
    rows = table(made(entries, policy("quang-tri"))["danh-ba.csv"])[1:]
    assert [row[0] for row in rows] == [
        *("Sở Y tế", "Đặng An", "Đỗ An", "Trần An", "Lê Ắn", "Lê Ân", "Lê Dũng", "Lê Đạt"),
        *("Lê Ha", "Lê Hà", "Lê Hả", "Lê Hã", "Lê Há", "Lê Hạ"),
    ]


def test_a_circle_or_a_missing_organisation_in_the_directory_stops_nothing():
    entries = [
        organisation("A", "Phòng A", "B", "division"),
        organisation("B", "Phòng B", "A", "division"),
        person("N1", "Lê An", "A"),
        person("N2", "Lê Bình", "KHONG-CO", o="Sở Đã Mất"),
        person("N3", "Lê Cường", ""),
    ]
    rows = table(made(entries, policy("tien-giang"))["danh-ba.csv"])[1:]
    places = {row[0]: row[2] for row in rows}
    assert places["Lê An"] == "Phòng A, Phòng B" and places["Lê Bình"] == "Sở Đã Mất" and places["Lê Cường"] == "Chưa ghi cơ quan"


def test_folders_of_bodies_are_safe_names_and_never_shared():
    codes = ["../../etc", "..", ".", "a/b", "a b", "a-b", "Sở 1", "So 1", "-x", "", "A" * 100]
    entries = [organisation(code, f"Cơ quan {number}", mail=f"o{number}@lab.test") for number, code in enumerate(codes)]
    files = made(entries, policy("tien-giang"))
    folders = {path.split("/")[1] for path in files if path.startswith("co-quan/")}
    assert len(folders) == len(codes) - 1  # an entry without a code is in the province's edition only
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", folder) for folder in folders)
    assert all(path.count("/") in (0, 2) for path in files)


# --- publishing ---


def publish(folder: Path, entries: list, rules: dict, today: dt.date) -> list[str]:
    """One run; the paths it changed."""
    told = book.Rules.of(rules)
    previous = book.read_manifest(folder)
    found = book.changes(folder, book.files(book.select(entries, told), told, today, previous), previous)
    book.publish(folder, found, 0o644)
    return [change.path for change in found]


def stored(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_directory_changes_nothing_and_keeps_its_date(tmp_path):
    entries, rules = of_registers("tien-giang"), policy("tien-giang")
    first = publish(tmp_path, entries, rules, TODAY)
    before = stored(tmp_path)
    assert set(first) == set(before) and first[-1] == "manifest.json"
    random.Random(1).shuffle(entries)
    assert publish(tmp_path, entries, rules, LATER) == [] and stored(tmp_path) == before


def test_a_change_gives_a_new_date_to_the_editions_it_touches_only(tmp_path):
    entries, rules = of_registers("tien-giang"), policy("tien-giang")
    publish(tmp_path, entries, rules, TODAY)
    [entry] = [entry for entry in entries if entry["displayName"] == ["Huỳnh Thị Mỹ Dung"]]
    entry["congvuState"] = ["suspended"]
    touched = publish(tmp_path, entries, rules, LATER)
    assert {str(Path(path).parent) for path in touched} == {".", "co-quan/TG-STTTT"}
    dates = {edition["folder"]: edition["published"] for edition in book.read_manifest(tmp_path)["editions"]}
    assert {folder for folder, date in dates.items() if date == "2026-12-22"} == {"", "co-quan/TG-STTTT"}
    assert all("Mỹ Dung" not in data.decode() for data in stored(tmp_path).values())


def test_a_body_that_is_gone_leaves_no_file_and_foreign_files_stay(tmp_path):
    entries, rules = of_registers("tien-giang"), policy("tien-giang")
    publish(tmp_path, entries, rules, TODAY)
    (tmp_path / "ghi-chu.txt").write_text("của người vận hành")
    left = [entry for entry in entries if "TG-CAILAY" not in (entry["congvuCode"][0], entry.get("congvuOrganisation", [""])[0])]
    assert "co-quan/TG-CAILAY/danh-ba.csv" in publish(tmp_path, left, rules, LATER)
    assert not (tmp_path / "co-quan/TG-CAILAY").exists() and (tmp_path / "co-quan/TG-STTTT").is_dir()
    publish(tmp_path, left, changed(rules, publish=False), LATER)
    assert set(stored(tmp_path)) == {"ghi-chu.txt"} and not (tmp_path / "co-quan").exists()
    assert publish(tmp_path, left, changed(rules, publish=False), LATER) == []


def test_a_page_edited_by_hand_and_a_broken_manifest_are_put_right(tmp_path):
    entries, rules = of_registers("quang-tri"), policy("quang-tri")
    publish(tmp_path, entries, rules, TODAY)
    before = stored(tmp_path)
    (tmp_path / "danh-ba.html").write_text("sửa tay")
    (tmp_path / "danh-ba.vcf").unlink()
    assert publish(tmp_path, entries, rules, LATER) == ["danh-ba.html", "danh-ba.vcf"] and stored(tmp_path) == before
    (tmp_path / "manifest.json").write_text("{")
    publish(tmp_path, entries, rules, TODAY)
    assert stored(tmp_path) == before


def test_a_manifest_cannot_make_the_run_remove_files_elsewhere(tmp_path):
    outside = tmp_path / "khac.txt"
    outside.write_text("giữ")
    folder = tmp_path / "danh-ba"
    publish(folder, of_registers("quang-tri"), policy("quang-tri"), TODAY)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["editions"][0]["files"] += [{"name": "../khac.txt"}, {"name": str(outside)}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    publish(folder, of_registers("quang-tri"), policy("quang-tri"), TODAY)
    assert outside.read_text() == "giữ"


def test_a_directory_that_lost_half_of_its_people_is_not_published_unasked():
    def manifest(people: int) -> dict:
        return {"editions": [{"organisations": 10, "people": people}]}

    assert book.over_guard(manifest(90), manifest(39), 50).startswith("Danh bạ sẽ từ 100 còn 49 mục, giảm quá 50%")
    assert book.over_guard(manifest(90), manifest(40), 50) == book.over_guard(manifest(90), manifest(0), 100) == ""
    assert (
        book.over_guard(manifest(3), manifest(0), 10)
        == book.over_guard(None, manifest(0), 0)
        == book.over_guard(manifest(9), None, 0)
        == ""
    )


def test_the_manifest_is_true_of_the_files(tmp_path):
    publish(tmp_path, of_registers("ninh-binh"), policy("ninh-binh"), TODAY)
    manifest = book.read_manifest(tmp_path)
    assert manifest["clause"] == "Điều 13 khoản 4" and manifest["scope"] == "public" and manifest["period_months"] == 1
    listed = {"manifest.json"}
    for edition in manifest["editions"]:
        folder = tmp_path / edition["folder"]
        for file in edition["files"]:
            data = (folder / file["name"]).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
            listed.add(str((folder / file["name"]).relative_to(tmp_path)))
        assert edition["organisations"] + edition["people"] == len(table((folder / "danh-ba.csv").read_bytes())) - 1
        groups = page_data((folder / "danh-ba.html").read_bytes())["groups"]
        assert edition["people"] == sum(len(people) for _path, _own, people, _body in groups)
    assert listed == set(stored(tmp_path))


# --- a whole province ---


def test_fifty_thousand_people():
    entries, rules = large(50_000), book.Rules.of(policy("quang-tri"))
    started = time.process_time()
    directory = book.select(entries, rules)
    files = book.files(directory, rules, TODAY)
    assert time.process_time() - started < SECONDS
    assert json.loads(files["manifest.json"])["editions"][0]["people"] == 50_000
    assert len(files["danh-ba.html"]) < 8_000_000
