"""The report in a browser, from a file: requests nothing, fits every window, is readable in light, dark and print."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page
from runs import clean, long, mixed, odd
from web.chromium import FAINT, chromium

from traderecon.batch.report import Heading, render
from traderecon.batch.summary import Summary
from traderecon.rules import FOUNDING

pytestmark = pytest.mark.system

HEADING = Heading(title="Trades of 26 July", generated_at_ns=1, version="1.2.3", inputs=(), output="results.csv")
RUNS: dict[str, Callable[[], Summary]] = {"clean": clean, "mixed": mixed, "odd": odd, "empty": Summary, "long": long}
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    paths = {name: folder / f"{name}.html" for name in RUNS}
    for name, path in paths.items():
        path.write_text(render(RUNS[name](), HEADING, FOUNDING), encoding="utf-8")
    return paths


@contextmanager
def opened(browser: Browser, path: Path, width: int = 1280, scheme: Scheme = "light") -> Iterator[Page]:
    """The report in a window; it must load without console messages and without a second request."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    yield page
    assert heard == [path.as_uri()]
    page.close()


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(
    browser: Browser, reports: dict[str, Path], name: str, width: int
) -> None:
    with opened(browser, reports[name], width) as page:
        assert page.title() == "Trades of 26 July"
        assert page.locator("h1").is_visible()
        assert page.locator(".headline").is_visible()
        page.locator("details summary").evaluate_all("found => found.forEach(summary => summary.click())")
        wide, window = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert (window, wide <= window) == (width, True)


@pytest.mark.parametrize("width", [360, 1280])
def test_every_break_can_be_seen(browser: Browser, reports: dict[str, Path], width: int) -> None:
    with opened(browser, reports["mixed"], width) as page:
        bodies = page.locator("table.breaks tbody")
        assert bodies.count() == mixed().break_count
        last = bodies.last.locator("td").last
        last.scroll_into_view_if_needed()
        assert last.is_visible()
        box, window = last.bounding_box(), page.viewport_size
        assert box
        assert window
        assert 0 <= box["x"] <= box["x"] + box["width"] <= window["width"]


def test_a_reason_leads_to_its_first_break(browser: Browser, reports: dict[str, Path]) -> None:
    with opened(browser, reports["long"]) as page:
        page.locator("table.reasons a", has_text="MISSING_CONFIRMATION").click()
        head = page.locator("table.breaks thead th").first.bounding_box()
        target = page.locator("tbody:target")
        assert target.get_attribute("id") == "break-41"
        assert "MISSING_CONFIRMATION" in target.inner_text()
        found = target.bounding_box()
        assert head
        assert found
        # Below the head of the table, which stays in sight.
        assert head["y"] > -1  # pixels come in fractions
        assert found["y"] >= head["y"] + head["height"] - 1


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser: Browser, reports: dict[str, Path], name: str, scheme: Scheme) -> None:
    with opened(browser, reports[name], scheme=scheme) as page:
        seen = page.evaluate(FAINT)
        assert seen["shown"] > 60
        assert seen["faint"] == []


def test_dark_is_dark(browser: Browser, reports: dict[str, Path]) -> None:
    background = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"
    with opened(browser, reports["mixed"]) as page:
        assert page.evaluate(background) == [255, 255, 255]
    with opened(browser, reports["mixed"], scheme="dark") as page:
        assert max(page.evaluate(background)) < 64


def test_the_printed_report_is_complete_and_light(browser: Browser, reports: dict[str, Path]) -> None:
    printed = []
    schemes: list[Scheme] = ["light", "dark"]
    for scheme in schemes:
        with opened(browser, reports["long"], scheme=scheme) as page:
            assert page.locator(".tall").evaluate("box => box.scrollHeight > box.clientHeight")
            pdf = page.pdf(prefer_css_page_size=True, print_background=True)
            printed.append(re.sub(rb"/(Creation|Mod)Date \([^)]*\)", b"", pdf))
            page.emulate_media(media="print")
            assert page.locator(".tall").evaluate("box => box.scrollHeight <= box.clientHeight")
            assert page.locator("nav").is_hidden()
    assert printed[0] == printed[1]
    sheets = re.findall(rb"/MediaBox \[0 0 (\d+)[.\d]* (\d+)[.\d]*\]", printed[0])
    assert len(sheets) >= 6
    assert set(sheets) == {(b"841", b"594")}  # A4 landscape, in points


def test_sent_scripts_do_not_run(browser: Browser, reports: dict[str, Path]) -> None:
    with opened(browser, reports["odd"]) as page:
        assert page.locator("script, img, b i").count() == 0
        identifiers = page.locator("table.breaks th.trade bdi").all_inner_texts()
        assert "<script>alert(1)</script>" in identifiers
