"""The pages in a browser: a morning's walk from the overview to a trade, in every window, in light and dark."""

import csv
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page
from web.chromium import FAINT, chromium, overview_picture
from web.desk import MORNING, STRANGE, Desk, filled, served

from traderecon.web.templates import visible

pytestmark = pytest.mark.system

Scheme = Literal["light", "dark"]
PAGES = ["/", "/breaks", "/trades", "/trades/PRICE-1", "/trades/LATE-1", "/dead-letters", "/status"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with served(folder, filled(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@contextmanager
def opened(browser: Browser, desk: Desk, path: str, width: int = 1280, scheme: Scheme = "light") -> Iterator[Page]:
    """A page in a window; it must load with an empty console, and request nothing from other hosts."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(desk.address) else complaints.append(request.url))
    page.goto(desk.address + path)
    yield page
    assert complaints == []
    page.close()


def test_a_morning_from_the_overview_to_the_csv(browser: Browser, desk: Desk, tmp_path: Path) -> None:
    with opened(browser, desk, "/?refresh=off") as page:
        assert page.locator("h1").inner_text() == "22 breaks open, 3 of them critical"
        page.get_by_role("link", name="Breaks", exact=True).click()
        page.get_by_label("Reason").select_option("PRICE_MISMATCH")
        page.get_by_role("button", name="Filter").click()
        assert "reason=PRICE_MISMATCH" in page.url
        assert page.get_by_label("Reason").input_value() == "PRICE_MISMATCH"
        assert page.locator("table th.id").all_inner_texts() == ["PRICE-1", "PRICE-2"]
        with page.expect_download() as started:
            page.get_by_role("link", name="CSV (all rows)").click()
        started.value.save_as(tmp_path / "breaks.csv")
        with (tmp_path / "breaks.csv").open(encoding="utf-8", newline="") as file:
            assert [row["trade_id"] for row in csv.DictReader(file)] == ["PRICE-1", "PRICE-2"]
        page.get_by_role("link", name="PRICE-1").click()
        assert page.locator("h1").inner_text() == "PRICE-1"
        assert page.locator("table.compare mark").all_inner_texts() == ["0.5", "1.25"]


def test_the_overview_refreshes_by_itself(browser: Browser, desk: Desk) -> None:
    with opened(browser, desk, "/") as page, page.expect_navigation(timeout=30_000):
        pass


@pytest.mark.parametrize("trade_id", STRANGE)
def test_a_strange_trade_is_reached_by_its_link(browser: Browser, desk: Desk, trade_id: str) -> None:
    with opened(browser, desk, "/trades") as page:
        place = sorted(MORNING, key=str.encode).index(trade_id)
        page.locator("table th.id a").nth(place).click()
        assert page.locator("h1 bdi").text_content() == visible(trade_id)
        assert page.locator("script, main b b, iframe").count() == 0


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_scrolls_sideways(browser: Browser, desk: Desk, path: str, width: int) -> None:
    with opened(browser, desk, path, width) as page:
        wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert (window, wide <= window) == (width, True)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Browser, desk: Desk, path: str, scheme: Scheme) -> None:
    with opened(browser, desk, path, scheme=scheme) as page:
        seen = page.evaluate(FAINT)
        assert seen["shown"] > 10
        assert seen["faint"] == []


def test_the_keyboard_reaches_the_content_first_and_is_seen(browser: Browser, desk: Desk) -> None:
    with opened(browser, desk, "/breaks") as page:
        page.keyboard.press("Tab")
        skip = page.locator(".skip")
        box = skip.bounding_box()
        assert box
        assert box["x"] >= 0
        assert skip.evaluate("element => element === document.activeElement")
        assert skip.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"


def test_the_overview_as_a_picture(browser: Browser, desk: Desk, tmp_path: Path) -> None:
    picture = tmp_path / "overview.png"
    overview_picture(browser, desk.address, picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (1280, 800)
