"""Clauses of a regulation: their written form, and where they stand in a text.

The texts come from scans, word processors and web pages, so they are compared after `plain_lines`: NFC, white space
folded, without Markdown marks, backslash escapes, ``[bookmark: ...]`` and lines that hold only a page number.
"""

import re
import unicodedata
from dataclasses import dataclass

CLAUSE = re.compile(r"Quyết định, Điều [1-9]\d*|Điều [1-9]\d*(?: khoản [1-9]\d*(?: điểm [a-zđ])?)?")
CLAUSE_FORM = '"Điều N", "Điều N khoản M", "Điều N khoản M điểm x" hoặc "Quyết định, Điều N"'

_BOOKMARK = re.compile(r"\[bookmark:[^\]]*\]")
_ESCAPE = re.compile(r"\\(?=[^\w\s])")
_MARKS = re.compile(r"[*_`#]")
_PAGE_NUMBER = re.compile(r"\W*\d{1,3}\W*")

_ARTICLE = re.compile(r"Điề[un] (\d+) ?[.:]")  # 'Điền 12' and 'Điều 13:' are printed so
_PARAGRAPH = re.compile(r"(\d+)\. ?")
_POINT = re.compile(r"([a-zđ])[),] ")  # one text prints 'c,'
_POINTS = "abcdđeghiklmnopqrstuvxy"


def plain_lines(text: str) -> list[str]:
    """The lines of a text with words and nothing else, page numbers and empty lines left out."""
    lines = []
    for line in unicodedata.normalize("NFC", text).splitlines():
        line = _MARKS.sub("", _ESCAPE.sub("", _BOOKMARK.sub("", line)))
        line = " ".join(line.split())
        if line and not _PAGE_NUMBER.fullmatch(line):
            lines.append(line)
    return lines


def plain(text: str) -> str:
    """A text, or a quote from it, in the form in which both are compared."""
    return " ".join(plain_lines(text))


@dataclass(frozen=True)
class Unit:
    """One division of a text: its clause, and the part of `Text.words` it covers, its own divisions left out."""

    clause: str
    start: int
    end: int


class Text:
    """A regulation's text, divided into clauses."""

    def __init__(self, text: str) -> None:
        self.units: list[Unit] = []
        words: list[str] = []
        position = 0
        for line, clause in _divide(plain_lines(text)):
            if clause and (not self.units or self.units[-1].clause != clause):
                self.units.append(Unit(clause, position, position))
            words.append(line)
            position += len(line) + 1
            if self.units:
                last = self.units[-1]
                self.units[-1] = Unit(last.clause, last.start, position)
        self.words = " ".join(words)

    def clauses(self) -> list[str]:
        """Every division once, in the order of the text: articles, paragraphs and points."""
        return list(dict.fromkeys(unit.clause for unit in self.units))

    def contains(self, quote: str) -> bool:
        """Whether the quote stands in the text, word for word."""
        return plain(quote) in self.words

    def clauses_of(self, quote: str) -> list[str]:
        """The clauses the quote stands in; more than one where it runs over a border or occurs again."""
        spans = [match.span() for match in re.finditer(re.escape(plain(quote)), self.words)]
        return [unit.clause for start, end in spans for unit in self.units if unit.start < end and start < unit.end]


def within(clause: str, container: str) -> bool:
    """Whether `clause` is `container` or one of its divisions."""
    return clause == container or clause.startswith(container + " ")


def _divide(lines: list[str]):
    """Pairs of line and the clause it belongs to; None before the first article."""
    decision, article, paragraph, point = True, 0, 0, ""
    for line in lines:
        if match := _ARTICLE.match(line):
            if int(match[1]) == 1 and article:
                decision = False
            article, paragraph, point = int(match[1]), 0, ""
        elif article and (match := _PARAGRAPH.match(line)) and int(match[1]) in (paragraph, paragraph + 1):
            paragraph, point = int(match[1]), ""
        elif paragraph and (match := _POINT.match(line)) and match[1] in _following(point):
            point = match[1]
        if not article:
            yield line, None
        elif decision:
            yield line, f"Quyết định, Điều {article}"
        else:
            parts = [f"Điều {article}"]
            parts += [f"khoản {paragraph}"] if paragraph else []
            parts += [f"điểm {point}"] if point else []
            yield line, " ".join(parts)


def _following(point: str) -> str:
    """Letters that may come after `point`: the next one; some texts leave out đ."""
    position = _POINTS.index(point) + 1 if point else 0
    return _POINTS[position : position + (2 if point == "d" else 1)]
