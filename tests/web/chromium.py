"""The system's Chromium over a server of ours, and the picture of the overview."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


FAINT = """() => {
    // Every text that is shown, whose contrast to what is behind it is below 4.5 (WCAG 2, AA).
    const channels = colour => colour.match(/[0-9.]+/g).map(Number);
    const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = channels(getComputedStyle(element).backgroundColor);
            if (colour.length === 3) return colour;
        }
        return [255, 255, 255];
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const faint = [];
    let shown = 0;
    while (texts.nextNode()) {
        const element = texts.currentNode.parentElement, style = getComputedStyle(element);
        if (!texts.currentNode.data.trim() || !element.checkVisibility({visibilityProperty: true})
            || element.closest("svg")) continue;
        const [low, high] = [luminance(channels(style.color)), luminance(behind(element))].sort((a, b) => a - b);
        shown += 1;
        if ((high + 0.05) / (low + 0.05) < 4.5) faint.push(`${element.className}: ${texts.currentNode.data}`);
    }
    return {shown, faint};
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser while the block runs."""
    path = shutil.which("chromium")
    assert path, "no chromium on the PATH: install the system's package"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *sandbox])
        yield started
        started.close()


def overview_picture(browser: Browser, address: str, to: Path) -> None:
    """The overview at ``address`` as a PNG of 1280 x 800; for the README, ``docs/overview.png``."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page.goto(f"{address}/?refresh=off")
    page.screenshot(path=to)
    page.close()
