"""Letters, names and words: folding to ASCII, and what is refused instead of guessed."""

import unicodedata

import pytest

from congvu_mail import cells, names


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Đỗ Đức Đạt", "do duc dat"),
        ("\u00d0\u00f0 \u0189\u0256", "dd dd"),
        ("ƠƯĂÂÊÔ ơưăâêô", "ouaaeo ouaaeo"),
        ("Y Blŏk Êban Ƀuôn", "y blok eban buon"),
        ("ẤẦẨẪẬ ắằẳẵặ", "aaaaa aaaaa"),
        ("Ủy Uỷ uỷ", "uy uy uy"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folding(text, folded, form):
    assert names.fold(unicodedata.normalize(form, text)) == folded


def test_every_vietnamese_letter_folds_to_one_ascii_letter():
    for base in "aăâeêioôơuưyđAĂÂEÊIOÔƠUƯYĐ":
        for tone in ["", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323"]:
            letter = unicodedata.normalize("NFC", base + tone) if base not in "đĐ" else base
            folded = names.fold(letter)
            assert len(folded) == 1
            assert folded.isascii()
            names.check_encoding(letter)


@pytest.mark.parametrize(
    "text",
    [
        "Nguy\ufffdn V\ufffdn A",
        "Nguy?n V?n A",
        "NguyÔn V¨n Anh",  # TCVN3
        "TrÇn ThÞ Hoµ",
        "Lª §øc ThuËn",
        "ViÖt",
        "Nguyeãn Vaên Anh",  # VNI
        "Traàn Thò Thuùy",
        "Ñoã Ñöùc Ñaït",
        "LeÂ VaÊn",
        "Nguyá»…n VÄƒn A",  # UTF-8 read as Windows-1252
        "Tráº§n",
        "ThÃ¡i",
        "Th\u00ad An",  # TCVN3 ư
        "Lê\x07 An",
    ],
)
def test_legacy_fonts_and_lost_encodings_are_refused(text):
    with pytest.raises(names.NotAName, match="bảng mã"):
        names.person(text)
    with pytest.raises(names.NotAName, match="bảng mã"):
        names.organisation(text)


@pytest.mark.parametrize("text", ["Nguyễn Huỳnh Uyên Khuê", "Hoài Khoá Thuỳ Loè", "Nguyễn Đình Đệ", "Niê Kđăm", "Lò Thị Ở", "Êñuôl An"])
def test_names_that_only_look_like_it_are_not(text):
    assert names.person(text).written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Lê Văn Bình (Bình A)", "ngoặc"),
        ("Lê Bình [phòng A]", "ngoặc"),
        ("ThS. Lê An", "học vị"),
        ("Th.S Lê An", "học vị"),
        ("BSCKII. Lê An", "học vị"),
        ("PGS.TS. Lê An", "không phải là một chữ|học vị"),
        ("Ông Lê An", "xưng hô"),
        ("bà Lê An", "xưng hô"),
        ("Đồng chí Lê An", "xưng hô"),
        ("Lê V. An", "không phải là một chữ"),
        ("Lê An 2", "không phải là một chữ"),
        ("Lê An, Lê Bình", "không phải là một chữ"),
        ("lean@x.vn", "không phải là một chữ"),
        ("Ле Ан", "không phải là một chữ"),
        ("黎安", "không phải là một chữ"),
        ("   ", "chưa có"),
        ("-", "không còn chữ"),
        ("Lê " * 60, "120"),
    ],
)
def test_what_is_no_name_of_a_person(text, reason):
    with pytest.raises(names.NotAName, match=reason):
        names.person(text)


def test_a_surname_that_is_also_a_form_of_address_is_stated():
    assert names.person("Ông Ích Khiêm", surname="Ông") == names.PersonName(("ong", "ich", "khiem"), ("ong",), ("ich",), ("khiem",))


@pytest.mark.parametrize(
    ("whole", "stated", "expected"),
    [
        ("Lê Thị An", {}, ("le", "thi", "an")),
        ("Lê An", {}, ("le", "", "an")),
        ("An", {}, ("", "", "an")),
        ("Lâm Thị Sà Rây", {"given": "Sà Rây"}, ("lam", "thi", "saray")),
        ("Tôn Nữ Thị Ninh", {"surname": "Tôn Nữ"}, ("tonnu", "thi", "ninh")),
        ("Y Ban Niê Kđăm", {"surname": "Niê Kđăm", "middle": "Y", "given": "Ban"}, ("niekdam", "y", "ban")),
        ("Y Ban Niê Kđăm", {"surname": "Niê Kđăm", "given": "Ban"}, ("niekdam", "y", "ban")),
        ("An Văn An", {"surname": "An"}, ("an", "van", "an")),
        ("An Văn An", {"given": "An"}, ("an", "van", "an")),
        ("", {"surname": "Lê", "given": "An"}, ("le", "", "an")),
        ("H' Hen Niê", {"surname": "Niê"}, ("nie", "h", "hen")),
    ],
)
def test_split_of_a_name(whole, stated, expected):
    name = names.person(whole, **stated)
    assert ("".join(name.surname), "".join(name.middle), "".join(name.given)) == expected


@pytest.mark.parametrize("apostrophe", "'’‘ʼʻ`´′")
def test_apostrophes_join(apostrophe):
    assert names.person(f"H{apostrophe}Hen Niê").written == ("hhen", "nie")


@pytest.mark.parametrize("hyphen", ["-", "\u2010", "\u2011", "–", " - ", "—"])
def test_hyphens_join_in_a_person_and_part_in_an_organisation(hyphen):
    assert names.person(f"Phan Ngọc{hyphen}Lan").given == ("ngoclan",)
    words = names.organisation(f"Phòng Tài chính{hyphen}Kế hoạch")
    assert "".join(word.initial for word in words) == "ptckh"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sở Thông tin và Truyền thông", "stttt"),
        ("Sở Thông tin VÀ Truyền thông", "stttt"),
        ("Phòng Vá và Va", "pvv"),  # only "và" is dropped, compared with its accents
        ("SỞ Y tế", "syt"),  # a shouted word with a tone is no acronym
        ("VP HĐND và UBND", "vphdndubnd"),
        ("UBND HUYỆN HOA LƯ", "ubndhhl"),
        ("PHÒNG TC-KH", "ptckh"),  # no vowel: cannot be a word
        ("Trạm kiểm soát số XIV", "tkssxiv"),
        ("Trường THCS Y Jút", "tthcsyj"),
        ("Đội PC06", "dpc06"),
        ("Xã Ea H’leo", "xeh"),
        ("Ban “Quản lý” (cũ) [x] {y}", "bql"),
        ("Hội/Đoàn & Quỹ; tỉnh", "hdqt"),
    ],
)
def test_abbreviation(name, expected):
    assert "".join(word.initial for word in names.organisation(name, ["và"], ["HĐND", "UBND"])) == expected


@pytest.mark.parametrize("name", ["", "(cũ)", "&", "Sở 商", "Sở " * 150])
def test_what_is_no_name_of_an_organisation(name):
    with pytest.raises(names.NotAName):
        names.organisation(name)


@pytest.mark.parametrize(
    ("name", "kind", "proper"),
    [
        ("UBND thị xã Gò Công", "thixa", "gocong"),
        ("TX. Gò Công", "thixa", "gocong"),
        ("Ủy ban nhân dân TP Mỹ Tho", "thanhpho", "mytho"),
        ("H. Chợ Gạo", "huyen", "chogao"),
        ("TT. Chũ", "thitran", "chu"),
        ("P. 4", "phuong", "4"),
        ("Đặc khu Cồn Cỏ", "dackhu", "conco"),
        ("Xã Xã Đàn", "xa", "xadan"),
        ("Hoa Lư", "", "hoalu"),
        ("Phường", "", "phuong"),
    ],
)
def test_territory(name, kind, proper):
    words_of_class, words = names.territory(names.organisation(name))
    assert ("".join(words_of_class), "".join(word.folded for word in words)) == (kind, proper)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("\x1b[31ma\x00 \n b\x7f", "[31ma b"), ("đ\x1b[2J\x07\x85", "đ[2J"), ("lý do 🛑 “x”", "lý do 🛑 “x”"), (None, "")],
)
def test_a_line_for_people_has_no_control_characters(value, expected):
    assert cells.line(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("", ""),
        (" a \t b\u00a0\u3000c\r\n", "a b c"),
        ("a\u200bb\ufeff", "ab"),
        ("e\u0302\u0323", "ệ"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (True, "True"),
    ],
)
def test_cell_text(value, expected):
    assert cells.text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1/2/2026", "2026-02-01"),
        ("01/02/2026 8:05", "2026-02-01T08:05:00"),
        ("2026-2-1", "2026-02-01"),
        ("2026-02-01T08:05:09", "2026-02-01T08:05:09"),
        ("2026-02-01 08:05", "2026-02-01T08:05:00"),
        ("", ""),
        (None, ""),
    ],
)
def test_cell_date(value, expected):
    assert cells.date(value) == expected


@pytest.mark.parametrize("value", ["31/02/2026", "2026-13-01", "1.2.2026", "2/2026", "hôm nay", "01/02/26", 44197, "2026-01-01T25:00"])
def test_what_is_no_date(value):
    with pytest.raises(ValueError, match="không phải là ngày"):
        cells.date(value)


def test_cell_truth():
    assert [cells.truth(value, True) for value in ("", None, "có", "X", 1, "không", False, "0")] == [True] * 5 + [False] * 3
    with pytest.raises(ValueError, match="true"):
        cells.truth("maybe", True)
