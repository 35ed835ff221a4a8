"""Vietnamese names as the ASCII parts of a mail address.

Everything here is knowledge of the language, not of a province: how letters fold to ASCII, what is a
person's name, how the name of an organisation is abbreviated, which words name a kind of territory.
How these parts are put together is data (``naming.py``).

Errors are :class:`NotAName`; its text is Vietnamese and says what to correct.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from congvu_mail.cells import text

# Letters with a stroke have no canonical decomposition. U+00D0/U+00F0 (eth) and U+0189 (African D) look like
# Đ and occur in data typed with old input methods; ƀ is a letter of Ê Đê and Ba Na.
_STROKES = str.maketrans({"Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Ɖ": "D", "ɖ": "d", "Ƀ": "B", "ƀ": "b"})
_APOSTROPHES = "'’‘ʼʻ`´′"
_HYPHENS = "-‐‑‒–—−"
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")

# Text of a Vietnamese legacy font or of a wrong decoding, read as Unicode. Refused, never guessed:
# - U+FFFD, `?`, controls, Latin-1 symbols (the acute accent is kept: it is typed as an apostrophe);
# - Latin-1 letters Vietnamese does not use (TCVN3, VNI, UTF-8 read as Latin-1);
# - an accented capital after a small letter: TCVN3 "NguyÔn";
# - vowel pairs only VNI writes: "Nguyeãn", "Vaên".
_MOJIBAKE = re.compile(
    "[\ufffd?\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00a1-\u00b3\u00b5-\u00bf×÷ƒ„…†‡ˆ‰‹›Œœ•™€]"
    "|[ÄäÅåÆæÇçËëÎîÏïÖöØøÛûÜüÞþŸÿß]"
    r"|\bÑ"
    "|(?<=[a-zà-ÿ])[À-Þ]"
    "|[aeAE][àáâãèéêùõÀÁÂÃÈÉÊÙÕ]|[oO][âùõÂÙÕ]|[uUyY][ùõÙÕ]"
)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_ORGANISATION_BREAK = re.compile(r"[^\w]+|_+")
_PERSON_BREAK = re.compile(rf"\s*[{_HYPHENS}]\s*")
_PERSON_WORD = re.compile(r"[A-Za-z]+\Z")
_ROMAN = re.compile(r"(?=[IVX])X{0,3}(?:IX|IV|V?I{0,3})\Z")
_VOWEL = re.compile(r"[aeiouy]")

_TITLES = frozenset(("ths", "ts", "tskh", "pgs", "gs", "bs", "bsck", "bscki", "bsckii", "cki", "ckii", "ks", "kts", "ds", "cn", "ls"))
# Forms of address that are surnames too ("Ông" is one): refused unless the register states the surname.
_ADDRESS_FORMS = frozenset(("ông", "bà"))

# Kinds of territory and how they are written short, before the proper name.
_TERRITORY_CLASSES = (
    ("thi", "xa"),
    ("thanh", "pho"),
    ("thi", "tran"),
    ("dac", "khu"),
    ("tinh",),
    ("huyen",),
    ("quan",),
    ("xa",),
    ("phuong",),
)
_TERRITORY_SHORT = {
    "tx": ("thi", "xa"),
    "tp": ("thanh", "pho"),
    "tt": ("thi", "tran"),
    "dk": ("dac", "khu"),
    "h": ("huyen",),
    "q": ("quan",),
    "x": ("xa",),
    "p": ("phuong",),
}
_ORGANISATION_SHORT = {"tt": ("trung", "tam"), "vp": ("van", "phong"), "p": ("phong",)}
_COMMITTEE = ("uy", "ban", "nhan", "dan")


class NotAName(ValueError):
    """The text cannot be the name of a person or an organisation; the message is Vietnamese."""


@lru_cache(maxsize=65536)
def unaccented(word: str) -> str:
    """``word`` without diacritics, case kept: ``Đức`` -> ``Duc``."""
    decomposed = unicodedata.normalize("NFD", word.translate(_STROKES))
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def fold(value: object) -> str:
    """A text for comparison: no diacritics, lower case, single spaces."""
    return unaccented(text(value)).lower()


def check_encoding(value: str) -> None:
    """Raise :class:`NotAName` when ``value`` (from :func:`congvu_mail.cells.text`) shows a legacy font or a lost encoding."""
    if not value.isascii() or "?" in value or not value.isprintable():
        found = _MOJIBAKE.search(value)
        if found:
            raise NotAName(
                f"lỗi phông chữ hoặc bảng mã tại ký tự “{found.group()}” (U+{ord(found.group()[-1]):04X});"
                " chuyển dữ liệu sang Unicode (UTF-8) rồi kiểm tra lại họ tên"
            )


@dataclass(frozen=True, slots=True)
class PersonName:
    """A person's name, folded; each part is a tuple of syllables. ``written`` keeps the written order."""

    written: tuple[str, ...]
    surname: tuple[str, ...]
    middle: tuple[str, ...]
    given: tuple[str, ...]


@lru_cache(maxsize=65536)
def _syllable(word: str) -> str:
    folded = unaccented(word)
    if not _PERSON_WORD.match(folded):
        raise NotAName(f"“{word}” không phải là một chữ trong họ tên; chỉ ghi họ, chữ đệm và tên")
    return folded.lower()


def _syllables(value: str) -> tuple[str, ...]:
    for mark in _APOSTROPHES:
        if mark in value:
            value = value.replace(mark, "")
    return tuple(map(_syllable, _PERSON_BREAK.sub("", value).split()))


def person(full_name: object, surname: object = "", middle: object = "", given: object = "") -> PersonName:
    """Split a person's name into surname, middle and given name.

    The first syllable is the surname and the last the given name, unless the register states the parts; a part
    that is not stated is what the stated ones leave. Apostrophes and hyphens inside a name join.
    """
    return _person(text(full_name), (text(surname), text(middle), text(given)))


@lru_cache(maxsize=65536)  # a row's name is split where it is checked, where its address is made and where its mailbox is
def _person(whole: str, stated: tuple[str, str, str]) -> PersonName:
    if not whole:
        whole = " ".join(part for part in stated if part)
    if not whole:
        raise NotAName("chưa có họ tên")
    if len(whole) > 120:
        raise NotAName("dài quá 120 ký tự, không phải là họ tên")
    check_encoding(whole)
    if any(c in "()[]{}" for c in whole):
        raise NotAName("có phần trong ngoặc; bỏ biệt danh, ghi chú ra khỏi cột họ tên")
    first = whole.split(" ", 1)[0]
    if first.rstrip(".").replace(".", "").lower() in _TITLES:
        raise NotAName(f"“{first}” là học hàm, học vị hoặc chức danh; chỉ ghi họ, chữ đệm và tên")
    if not stated[0] and (first.lower() in _ADDRESS_FORMS or whole.lower().startswith("đồng chí ")):
        raise NotAName(f"“{first}” là cách xưng hô; nếu là họ thì ghi thêm cột surname")
    written = _syllables(whole)
    if not written:
        raise NotAName("không còn chữ nào sau khi bỏ dấu")
    if not any(stated):
        return PersonName(written, written[:1] if len(written) > 1 else (), written[1:-1], written[-1:])
    return _stated_split(whole, written, stated)


def _stated_split(whole: str, written: tuple[str, ...], stated: tuple[str, str, str]) -> PersonName:
    for part in stated:
        check_encoding(part)
    surname, middle, given = map(_syllables, stated)
    rest = list(written)
    # The surname is taken from the front, the given name from the end: "An Văn An".
    for part, backwards in ((surname, False), (middle, False), (given, True)):
        for syllable in reversed(part) if backwards else part:
            if syllable not in rest:
                raise NotAName(f"cột surname, middle, given không khớp với họ tên “{whole}”")
            position = len(rest) - 1 - rest[::-1].index(syllable) if backwards else rest.index(syllable)
            del rest[position]
    if not given and rest:
        given = (rest.pop(),)
    if not surname and rest:
        surname = (rest.pop(0),)
    if middle and rest:
        raise NotAName(f"cột surname, middle, given thiếu “{' '.join(rest)}” của họ tên “{whole}”")
    return PersonName(written, surname, middle or tuple(rest), given)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of an organisation's name: folded, and whether an abbreviation copies it whole."""

    folded: str
    whole: bool

    @property
    def initial(self) -> str:
        """What the word gives to an abbreviation."""
        return self.folded if self.whole else self.folded[0]


def _is_acronym(word: str, folded: str, previous: str, shouted: bool, acronyms: frozenset[str]) -> bool:
    if any(c.isdigit() for c in folded):
        return True
    if len(folded) < 2 or not word.isupper():
        return False
    if not shouted:  # a capital word with a tone mark ("SỞ Y tế") is a word, not an acronym
        return not _TONES.intersection(unicodedata.normalize("NFD", word))
    # In a name wholly in capitals only what cannot be a word: on the list, without a vowel, a numeral after "số".
    return folded.upper() in acronyms or not _VOWEL.search(folded) or (previous in ("so", "vuc") and bool(_ROMAN.match(word)))


def organisation(name: object, drop: Iterable[str] = (), acronyms: Iterable[str] = ()) -> tuple[Word, ...]:
    """The words of an organisation's name that count in its abbreviation.

    ``drop`` are words left out ("và"), compared with their accents; text in brackets, dashes, commas and
    ampersands are always left out. ``acronyms`` are those to be recognised in a name wholly in capitals.
    """
    whole = text(name)
    if not whole:
        raise NotAName("chưa có tên cơ quan, đơn vị")
    if len(whole) > 300:
        raise NotAName("dài quá 300 ký tự, không phải là tên cơ quan, đơn vị")
    check_encoding(whole)
    dropped = {text(word).lower() for word in drop}
    known = frozenset(unaccented(text(word)).upper() for word in acronyms)
    for mark in _APOSTROPHES:
        whole = whole.replace(mark, "")
    # Marks that do not compose (ê̆) are no word characters: folded before the split, unlike the test for "và".
    bare = _BRACKETS.sub(" ", whole)
    shouted = bare == bare.upper()
    words: list[Word] = []
    previous = ""
    for word in _ORGANISATION_BREAK.split("".join(c for c in bare if not unicodedata.combining(c))):
        if not word or word.lower() in dropped:
            continue
        folded = unaccented(word).lower()
        if not (folded.isascii() and folded.isalnum()):
            raise NotAName(f"“{word}” không phải là chữ tiếng Việt")
        words.append(Word(folded, _is_acronym(word, folded, previous, shouted, known)))
        previous = folded
    if not words:
        raise NotAName("không có chữ nào ngoài dấu ngoặc")
    return tuple(words)


def spelled_out(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The name of an organisation that is no territory with a shortened class written out: "TT", "VP", "P."."""
    first = words[0]
    if (first.whole or len(first.folded) == 1) and first.folded in _ORGANISATION_SHORT:
        return (*(Word(syllable, False) for syllable in _ORGANISATION_SHORT[first.folded]), *words[1:])
    return words


def strip_head(words: tuple[Word, ...], heads: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
    """Split off the longest of ``heads`` (folded syllables) the name begins with: (head, rest)."""
    folded = tuple(word.folded for word in words)
    found: tuple[str, ...] = max((head for head in heads if folded[: len(head)] == head), key=len, default=())
    return found, words[len(found) :]


def without_committee(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The name of a territory without "UBND" or "Ủy ban nhân dân" before it."""
    folded = tuple(word.folded for word in words)
    if folded[0] == "ubnd":
        words = words[1:]
    elif folded[:4] == _COMMITTEE:
        words = words[4:]
    if not words:
        raise NotAName("chỉ có “UBND”, thiếu tên địa phương")
    return words


def territory(words: tuple[Word, ...]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
    """Split "UBND thị xã Gò Công" into (("thi", "xa"), (Gò, Công)); the class is empty when none is written."""
    words = without_committee(words)
    folded = tuple(word.folded for word in words)
    for words_of_class in _TERRITORY_CLASSES:
        if folded[: len(words_of_class)] == words_of_class and len(words) > len(words_of_class):
            return words_of_class, words[len(words_of_class) :]
    first = words[0]
    if (first.whole or len(first.folded) == 1) and first.folded in _TERRITORY_SHORT and len(words) > 1:
        return _TERRITORY_SHORT[first.folded], words[1:]
    return (), words


def is_number(words: tuple[Word, ...]) -> bool:
    """Whether a proper name is only a number ("Phường 4", "Phường IV")."""
    return len(words) == 1 and (words[0].folded.isdigit() or (words[0].whole and bool(_ROMAN.match(words[0].folded.upper()))))


def match_key(words: tuple[Word, ...], is_territory: bool) -> str:
    """What two spellings of one organisation's name have in common ("TX. Cai Lậy" = "UBND thị xã Cai Lậy")."""
    if is_territory:
        kind, proper = territory(words)
        return " ".join((*kind, *(word.folded for word in proper)))
    return " ".join(word.folded for word in spelled_out(words)).replace("uy ban nhan dan", "ubnd")
