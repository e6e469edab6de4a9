"""The fast path of a stream: find the text of a frame without parsing its JSON.

Nearly all reads contain exactly one frame, and the text frames of one message differ only in their
`sequence_id` and their text. `DeltaPattern` stores the bytes around these two, from a parsed frame.
A read with the same bytes is another such frame if the bytes between them are the inside of one
JSON string; any other read is parsed. The tests compare both paths at every split.
"""

from __future__ import annotations

import re

from langchain_coze._api.models import parse_json

_TEXT_FRAME = re.compile(
    rb'(.*?"sequence_id": ?)\d+(.*?"answer": ?")([^"\\\n]*)("[^\n]*\n\n)', re.DOTALL
)
_MAX_DIGITS = 12
_NO_MATCH = b"\0"


class DeltaPattern:
    """The bytes around the text of a message's frames."""

    __slots__ = ("_after", "_before", "_between")

    def __init__(self) -> None:
        """Create a pattern that matches nothing."""
        self.clear()

    def clear(self) -> None:
        """Drop the bytes."""
        self._before = self._between = self._after = _NO_MATCH

    def learn(self, data: bytes, text: str) -> None:
        """Store the bytes of a read that contains one frame with this text."""
        found = _TEXT_FRAME.fullmatch(data)
        if found is not None and found[3].decode("utf-8", "replace") == text:
            self._before, self._between, self._after = found.group(1, 2, 4)

    def match(self, data: bytes) -> str | None:
        """Return the text of a read that contains one frame of the same message, or None."""
        before, between, after = self._before, self._between, self._after
        if not (data.startswith(before) and data.endswith(after)):
            return None
        number = len(before)
        start = data.find(between, number, number + _MAX_DIGITS + len(between))
        if start < 0 or not data[number:start].isdigit():
            return None
        raw_text = data[start + len(between) : -len(after)]
        if b"\n" in raw_text:
            return None  # several frames
        text: str | None = raw_text.decode("utf-8", "replace")
        if b'"' in raw_text or b"\\" in raw_text or not (text and text.isprintable()):
            text = parse_json(b'"%b"' % raw_text)  # None if this is not one string of JSON
        return text
