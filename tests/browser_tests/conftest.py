"""Pages in a headless Chromium; without one all browser tests are skipped, and a line says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    expect,
    sync_playwright,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "Chromium is missing, no page was opened: `make browser` installs it"

Open = Callable[..., Page]
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=MISSING))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", ())
    if any(MISSING in str(report.longrepr) for report in skipped):
        terminalreporter.section("BROWSER TESTS WERE NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(MISSING, red=True, bold=True)


# Of a module: Playwright keeps an event loop running in its thread, which async tests do not bear.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # All tabs share one process: a hundred of them fit into a small machine.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--process-per-site"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a page, by default 1280 pixels wide, light and English.

    At the end no page has failed, or has asked another host for anything.
    """
    contexts: list[BrowserContext] = []
    hosts: set[str | None] = set()
    errors: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.on(
            "console",
            lambda message: (
                errors.append(message.text) if "Content Security" in message.text else None
            ),
        )

    def open_page(address: str, width: int = 1280, **options: Any) -> Page:
        defaults: dict[str, Any] = {"locale": "en-US", "viewport": {"width": width, "height": 760}}
        context = browser.new_context(**defaults | options)
        contexts.append(context)
        context.on("page", watch)
        page = context.new_page()
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert hosts <= {"127.0.0.1"}
