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
