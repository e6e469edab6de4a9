"""Draw the pictures of the README: run the demo in a terminal and keep what it prints as SVG.

python docs/pictures/draw.py
"""

from __future__ import annotations

import html
import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DEMO = HERE.parent.parent / "examples" / "quickstart.py"
COLUMNS = 80
CELL, LINE, FONT, MARGIN = 8.4, 20, 14, 16  # width and height of a character, in pixels
STYLES = {
    "": 'fill="#d6d6d6"',
    "1": 'fill="#ffffff" font-weight="bold"',
    "2": 'fill="#8a8a8a"',
    "32": 'fill="#8ec07c"',
    "33": 'fill="#e5b567"',
    "36": 'fill="#6cb6d9"',
}
_COLOUR = re.compile(r"\x1b\[(\d+)m(.*?)\x1b\[0m")
_RUN = re.compile(r"[\u2e80-\uffef]+|[^\s\u2e80-\uffef]+(?: [^\s\u2e80-\uffef]+)*")  # one script


def run_demo(language: str) -> str:
    """Run the demo in a terminal of its own and return what it prints, with its colours."""
    ours, theirs = pty.openpty()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "NO_COLOR" and not name.startswith("COZE_")
    }
    command = [sys.executable, str(DEMO), "--lang", language]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.DEVNULL, stdout=theirs, env=environment
    ) as demo:
        os.close(theirs)
        printed = b""
        while part := _read(ours):
            printed += part
    os.close(ours)
    if demo.returncode:
        sys.exit(f"The demo ended with {demo.returncode}")
    return printed.decode("utf-8").replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the demo has ended
        return b""


def draw(printed: str) -> str:
    """Return the picture of a terminal. It loads no font: a viewer takes its own."""
    lines = ["$ make demo", *printed.rstrip().split("\n")]
    width, height = COLUMNS * CELL + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    texts = [
        text
        for number, line in enumerate(lines)
        for text in _draw_line(line, MARGIN + number * LINE + FONT)
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-size="{FONT}"',
            "  font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\">",
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#1f2328"/>',
            *texts,
            "</svg>\n",
        )
    )


def _draw_line(line: str, y: int) -> Iterator[str]:
    """Yield the texts of a line, each at its column: fonts differ in the width of Chinese."""
    column = 0
    parts = _COLOUR.split(line)  # text, colour, text, text, colour, …
    styled = [("", parts[0])]
    for at in range(1, len(parts), 3):
        styled += [(parts[at], parts[at + 1]), ("", parts[at + 2])]
    for style, text in styled:
        for run in _RUN.finditer(text):
            x = MARGIN + (column + _measure(text[: run.start()])) * CELL
            place = f'x="{x:g}" y="{y}" textLength="{_measure(run[0]) * CELL:g}"'
            size = "" if run[0].isascii() else f'font-size="{2 * CELL - 1:g}" '
            yield f"<text {place} {size}{STYLES[style]}>{html.escape(run[0], quote=False)}</text>"
        column += _measure(text)


def _measure(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def main() -> None:
    """Draw the picture of each language."""
    for language in ("en", "zh"):
        path = HERE / f"demo-{language}.svg"
        path.write_text(draw(run_demo(language)), "utf-8")
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
