"""Our docstrings are Markdown with Google's sections; autodoc reads reStructuredText."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from sphinx.application import Sphinx

GOOGLE_SECTIONS = {"Args", "Attributes", "Example", "Raises", "Returns", "Yields"}
_SECTION = re.compile(r"([A-Z][^:`]*):")
_ITEM = re.compile(r"(\w+): (.*)")
_FENCE = re.compile(r"( *)```(\w*)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")


def convert_lines(lines: list[str]) -> list[str]:
    """Convert the lines of a docstring from Markdown to reStructuredText.

    Sections that Google's style does not know become headings, and `name: text` in them a list.
    """
    converted: list[str] = []
    own_section = in_fence = False
    for line in lines:
        if line and not in_fence and not line.startswith(" "):
            section = _SECTION.fullmatch(line)
            own_section = section is not None and section[1] not in GOOGLE_SECTIONS
            if own_section:
                converted += [f".. rubric:: {line[:-1]}", ""]
                continue
        text = line.removeprefix("    ") if own_section else line
        if fence := _FENCE.fullmatch(text):
            converted += [""] if in_fence else ["", f"{fence[1]}.. code-block:: {fence[2]}", ""]
            in_fence = not in_fence
        elif in_fence:
            converted.append(f"    {text}" if text else "")
        else:
            converted.append(_convert_prose(_list_item(text) if own_section else text))
    return converted


def _list_item(text: str) -> str:
    """Make an item of a list of `name: text`, and indent what continues one as a list needs it."""
    if item := _ITEM.fullmatch(text):
        return f"- `{item[1]}`: {item[2]}"
    return text[2:] if text.startswith("    ") else text


def _convert_prose(text: str) -> str:
    """Convert code and links in a line of prose."""
    parts = _CODE.split(text)
    for at in range(1, len(parts), 2):  # every other one is code; a letter may not touch it
        parts[at] = f"``{parts[at]}``" + ("\\ " if parts[at + 1][:1].isalnum() else "")
    return _LINK.sub(r"`\1 <\2>`__", "".join(parts))


def convert_docstring(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Convert a docstring in place (the event `autodoc-process-docstring`)."""
    lines[:] = convert_lines(lines)


def shorten_signature(
    _app: Sphinx, what: str, _name: str, obj: Any, _options: Any, *_parts: Any
) -> tuple[str, None] | None:
    """Write the constructor of a pydantic model as `(**fields)`: its fields are listed below it."""
    if what == "class" and inspect.isclass(obj) and issubclass(obj, BaseModel):
        return "(**fields)", None
    return None
