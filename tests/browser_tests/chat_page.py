"""The chat page as a user sees it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

# What can be scrolled: no more than what is seen.
PAGE_SIZE = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"

# Boxes that are wider than the column they stand in.
OVERFLOWING = """() => [...document.querySelectorAll('#thread *, header *, form *')]
  .filter((node) => node.getClientRects().length && !node.closest('.sr, .preview, pre'))
  .filter((node) => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((node) => node.outerHTML.slice(0, 80))"""


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


def compose(input_: Locator, word: str) -> None:
    """Write a word with an input method, and press Enter while its candidates are open."""
    page = input_.page
    input_.focus()
    keyboard = page.context.new_cdp_session(page)
    for text in ("n", "ni", "ni hao"):
        selection = {"selectionStart": len(text), "selectionEnd": len(text)}
        keyboard.send("Input.imeSetComposition", {"text": text, **selection})
    # Browsers mark this Enter with isComposing, or with the code 229.
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    for kind in ("rawKeyDown", "keyUp"):
        keyboard.send("Input.dispatchKeyEvent", {"type": kind, **enter})
    late_enter = "{key: 'Enter', keyCode: 229, bubbles: true, cancelable: true}"
    input_.evaluate(f"node => node.dispatchEvent(new KeyboardEvent('keydown', {late_enter}))")
    input_.dispatch_event("compositionstart")
    page.keyboard.press("Enter")
    input_.dispatch_event("compositionend")
    keyboard.send("Input.insertText", {"text": word})
