"""Documents lead where they say, nothing of one machine is written down, and every text is composed Unicode."""

import pathlib
import re
import subprocess
import unicodedata

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
# Written in two parts, so that this file does not contain them.
OF_THIS_MACHINE = [r"(?<![\w.~-])/wo" r"rk/", r"/root/\." r"pyenv", r"/tmp/bri" r"ef"]
REGISTRIES = [
    re.escape(first + second)
    for first, second in (
        ("deb.debian", ".org"),
        ("security.debian", ".org"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npm", "js"),
        ("galaxy.ansible", ".com"),
        ("docker", ".io"),
    )
]


def tracked(*patterns):
    """Files under version control, and new ones that are not ignored."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return sorted(path for path in (ROOT / name for name in names if name) if path.is_file())


def texts():
    """Every text file, as (name, text)."""
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            yield str(path.relative_to(ROOT)), data.decode("utf-8")


def slugs(path):
    """The anchors of a Markdown file's headings."""
    headings = re.findall(r"^#+ +(.+?) *#*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        goal = (path.parent / name).resolve() if name else path
        if not goal.exists() or not goal.is_relative_to(ROOT) or (anchor and goal.suffix == ".md" and anchor not in slugs(goal)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("pattern", OF_THIS_MACHINE + REGISTRIES)
def test_nothing_of_one_machine_or_registry(pattern):
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_every_text_is_composed():
    """NFC: a decomposed letter looks the same and is not found by a search, nor equal in a comparison."""
    decomposed = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts()
        if not unicodedata.is_normalized("NFC", text)
        for number, line in enumerate(text.splitlines(), 1)
        if not unicodedata.is_normalized("NFC", line)
    ]
    assert decomposed == []


def test_names_are_plain():
    """File names without spaces and without letters that some systems decompose; `@` is systemd's mark of a template unit."""
    assert [str(p.relative_to(ROOT)) for p in tracked() if not re.fullmatch(r"[\w./@-]+", str(p.relative_to(ROOT)), re.ASCII)] == []
