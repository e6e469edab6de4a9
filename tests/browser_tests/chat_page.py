"""The chat page as a user sees it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


class ChatPage:
    """What the tests do with the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.input = page.locator(".composer textarea")
        self.turns = page.locator(".turn")
        self.events = page.locator(".event-list")
        page.locator("#served .entry").first.wait_for(state="attached")

    @property
    def last(self) -> Locator:
        """The newest turn."""
        return self.turns.last

    def pick(self, name: str) -> None:
        """Open a bot or workflow."""
        if (menu := self.page.locator("#open-served")).is_visible():
            menu.click()
        self.page.locator("#served .entry", has_text=name).first.click()

    def send(self, text: str) -> None:
        """Type a question and send it."""
        self.input.fill(text)
        self.input.press("Enter")

    def wait_for_end(self) -> None:
        """Wait until the newest turn has ended."""
        self.page.locator(".turn:last-child[aria-busy=false]").wait_for()
