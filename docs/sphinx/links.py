"""A check that no link of the built site leads nowhere, and that no page needs another host."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class _Page(HTMLParser):
    """The anchors of a page, its links, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one tag adds."""
        attributes = {name: value or "" for name, value in attrs}
        self.anchors.add(attributes.get("id", ""))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in _LOADED and _LOADED[tag] in attributes:
            self.loaded.append(attributes[_LOADED[tag]])


def check_links(site: Path) -> list[str]:
    """Return one line for each link that leads nowhere and each file of another host."""
    pages = {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    return [problem for path in pages for problem in _check_page(site, path, pages)]


def _check_page(site: Path, path: Path, pages: dict[Path, _Page]) -> Iterator[str]:
    page, name = pages[path], path.relative_to(site)
    for link in [*page.links, *page.loaded]:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if link in page.loaded and parts.scheme != "data":
                yield f"{name}: loads {link} from another host"
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"{name}: {link} leads nowhere"
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors | {""}:
            yield f"{name}: {link} has no such section"
