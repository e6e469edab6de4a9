"""Images to a Coze bot: one as bytes, which are uploaded, and one as a link.

Run it with `python examples/multimodal.py`. Without an account the bot is one on a local server
that tells what it was sent.
"""

from __future__ import annotations

import base64
import struct
import sys
import zlib
from typing import TYPE_CHECKING

from _demo_bot import coze_bot
from langchain_core.messages import HumanMessage

from langchain_coze import CozeError
from langchain_coze.local import LocalBot, Media

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local import Turn

LINK = "https://www.python.org/static/img/python-logo.png"


def green_square(size: int = 32) -> bytes:
    """Return a PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    rows = b"".join(b"\0" + b"\x2e\x8b\x57" * size for _ in range(size))
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def look(_: str, turn: Turn) -> Iterator[str | Media]:
    """Answer on the local server: tell what arrived, and give an image back."""
    for file in turn.files:
        where = f"the link {file.url}" if file.url else f"{file.name}, {len(file.data)} bytes"
        yield f"I was sent an {file.kind}: {where}."
    yield Media([{"type": "image", "file_url": "https://example.com/painted.png"}])


def main() -> None:
    """Ask about both images."""
    data = base64.b64encode(green_square()).decode()
    images = [
        {"type": "image", "base64": data, "mime_type": "image/png", "filename": "square.png"},
        {"type": "image", "url": LINK},
    ]
    with coze_bot(LocalBot(look)) as bot:
        for image in images:
            question = {"type": "text", "text": "What is on this image?"}
            answer = bot.invoke([HumanMessage([question, image])])
            print(answer.content)
            for block in answer.content_blocks:
                if block["type"] == "image":
                    print("The bot's own image:", block.get("url") or block.get("file_id"))


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
