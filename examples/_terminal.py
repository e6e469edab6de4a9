"""What the demo needs of a terminal: its language, colours, and text wrapped at 80 columns."""

from __future__ import annotations

import io
import locale
import os
import sys
import unicodedata
from typing import TYPE_CHECKING

from langchain_coze import CozeError

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 80
LABEL = 7  # columns of the speaker's name
COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NEVER_FIRST = "，。！？；：、）》”’…"  # Chinese punctuation that may not begin a line


def find_language() -> str:
    """Return `zh` in a Chinese environment, else `en`."""
    variables = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    name = next(filter(None, variables), None) or locale.getlocale()[0] or ""
    return "zh" if name.lower().startswith(("zh", "chinese")) else "en"


def paint(text: str, colour: str) -> str:
    """Return a text in a colour where a person is looking."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if wanted and colour else text


def measure(text: str) -> int:
    """Return how many columns a text takes; Chinese takes two for each character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Paragraph:
    """Text that arrives in pieces, after the name of who says it, wrapped at 80 columns."""

    def __init__(self, speaker: str = "", colour: str = "", text_colour: str = "") -> None:
        """Print the speaker's name."""
        self._column, self._word, self._space = LABEL, "", False
        self._colour = text_colour
        name = speaker + " " * (LABEL - measure(speaker))
        print(paint(name, colour), end="", flush=True)

    def write(self, text: str) -> None:
        """Print the words that are complete."""
        for character in text:
            if character in " \n":
                self._print_word()
                self._space = True
            elif measure(character) == 1 or character in _NEVER_FIRST:
                self._word += character
            else:
                self._print_word()
                self._word = character
        if not self._word.isascii():
            self._print_word()

    def end(self, text: str = "") -> None:
        """Print the last text and end the line."""
        self.write(text)
        self._print_word()
        print(flush=True)

    def _print_word(self) -> None:
        if not self._word:
            return
        space = " " if self._space and self._column > LABEL else ""
        punctuation = self._word in _NEVER_FIRST
        if self._column + len(space) + measure(self._word) > WIDTH - 2 and not punctuation:
            print("\n" + " " * LABEL, end="")
            self._column, space = LABEL, ""
        print(space + paint(self._word, self._colour), end="", flush=True)
        self._column += len(space) + measure(self._word)
        self._word, self._space = "", False


def say(speaker: str, text: str, colour: str = "", text_colour: str = "") -> None:
    """Print one paragraph."""
    Paragraph(speaker, colour, text_colour).end(text)


def ask(speaker: str, prepared: str) -> str:
    """Return what a person types, or the prepared answer if they only press Enter.

    Where nobody is at a terminal, it is the prepared answer.
    """
    if not sys.stdin.isatty():
        say(speaker, prepared, "cyan")
        return prepared
    print(paint(speaker + " " * (LABEL - measure(speaker)), "cyan"), end="", flush=True)
    print(paint(f"[{prepared}] ", "dim") if prepared else "", end="", flush=True)
    return input().strip() or prepared


def run_quietly(main: Callable[[], None]) -> None:
    """Run a program that ends without a traceback when its output is cut, as by `| head`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # Windows writes files in another encoding
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (EOFError, KeyboardInterrupt):
        print()
    except CozeError as error:
        sys.exit(str(error))  # what happened, Coze's code and log id, and what to do
