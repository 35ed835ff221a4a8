"""The page of the published directory in a real browser, opened as a file."""

import datetime as dt
from pathlib import Path

import pytest
from address_book_data import large, of_registers, policy
from playwright.sync_api import expect, sync_playwright

from congvu_mail import address_book as book

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: the page of the directory is NOT tested; bin/setup as root installs it"
)

SEARCH = """query => new Promise(done => {
  const input = document.getElementById("tim");
  input.value = query;
  input.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => setTimeout(done));
})"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The pages by name, as files."""
    folder = tmp_path_factory.mktemp("danh-ba")
    found = {}
    for name, entries, province in (
        ("small", of_registers("quang-tri"), "quang-tri"),
        ("phone", of_registers("tien-giang"), "tien-giang"),
        ("large", large(50_000), "tien-giang"),
    ):
        rules = book.Rules.of(policy(province))
        directory = book.select(entries, rules)
        found[name] = folder / f"{name}.html"
        found[name].write_bytes(book.page(book.editions(directory, rules)[0], rules, dt.date(2026, 11, 22).isoformat()))
    return found


@pytest.fixture
def opened(browser, pages):
    """Opens a page by name; afterwards it must have complained of nothing and asked for nothing but itself."""
    contexts, heard, asked = [], [], []

    def open_page(name: str, fragment: str = "", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        page.goto(pages[name].as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == [] and set(asked) <= {page.as_uri() for page in pages.values()}


def names(page) -> list[str]:
    return page.locator("tbody th").all_inner_texts()


def told(page) -> str:
    return page.locator("#ket-qua").inner_text()


def test_search_with_and_without_accents(opened):
    page = opened("small")
    page.get_by_label("Tìm theo tên").fill("nguyen")
    expect(page.locator("#ket-qua")).not_to_be_empty()
    plain = names(page)
    assert len(plain) >= 5 and all(name.startswith("Nguyễn") for name in plain)
    assert told(page) == f"Tìm thấy {len(plain)} cá nhân."
    for query in ("Nguyễn", "NGUYỄN", "nguyễn", "Nguyễn"):  # the last one is decomposed
        page.evaluate(SEARCH, query)
        assert names(page) == plain
    page.evaluate(SEARCH, "thủy")  # two spellings of one tone
    assert sorted(names(page)) == ["Nguyễn Thị Thuỷ", "Nguyễn Thị Thủy"]
    page.evaluate(SEARCH, "dat do")
    assert names(page) == ["Đỗ Đức Đạt"]
    page.evaluate(SEARCH, "so noi vu")
    assert names(page)[0].startswith("Sở Nội vụ") and "Trần Thị Mai" in names(page)
    page.evaluate(SEARCH, "Nguyến")  # written like nobody: the accents are set aside
    assert names(page) == plain
    page.evaluate(SEARCH, "không có ai tên này")
    assert names(page) == [] and told(page).startswith("Không tìm thấy")


def test_organisations_come_first_and_addresses_are_links(opened):
    page = opened("small")
    section = page.locator("section", has=page.locator("h2", has_text="Sở Nội vụ"))
    first = section.locator("tbody tr").first
    assert "Hộp thư cơ quan" in first.inner_text()
    assert first.locator("a").get_attribute("href") == f"mailto:{first.locator('a').inner_text()}"
    assert "Điều 11 khoản 1, Quy chế" in page.locator("header").inner_text()
    assert "22/11/2026" in page.locator("header").inner_text()


def test_the_keyboard_is_enough(opened):
    page = opened("small")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Đến danh sách"
    page.keyboard.press("/")
    page.keyboard.type("bui hung")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#tim=bui+hung"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.href").startswith("mailto:buihung@")
    page.keyboard.press("Escape")
    assert len(names(page)) > 20 and page.evaluate("location.hash") == ""
    assert page.evaluate("document.activeElement.id") == "tim"
    assert names(opened("small", "#tim=bui+hung")) == ["Bùi Hùng"]


def test_a_phone_needs_no_sideways_scrolling(opened):
    page = opened("phone", viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("a[href='tel:02730000300']").is_visible()


def test_fifty_thousand_people_are_searched(opened):
    page = opened("large")
    page.evaluate(SEARCH, "nguyen")
    assert told(page).startswith("Tìm thấy ") and len(names(page)) == 200
    more = page.locator("#them")
    assert more.is_visible() and "Hiện thêm 200" in more.inner_text()
    more.click()
    assert len(names(page)) == 400 and page.evaluate("document.activeElement.scope") == "row"
    page.evaluate(SEARCH, "")
    assert page.locator("details").count() == 150 and page.locator("tbody tr").count() == 0
    page.locator("summary").first.press("Enter")
    page.locator("details[open] tbody tr").first.wait_for()
    assert names(page)[0].startswith("Sở Thử nghiệm số 0")
