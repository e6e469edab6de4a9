"""The fast path of a stream: find the text of a frame without parsing its JSON.

Nearly all reads hold exactly one frame, and the text frames of one message differ only in their
`sequence_id` and their text. `DeltaPattern` keeps the bytes around these two, from a frame that was
parsed. A read that has the same bytes there is such a frame, if the text between them has no quote,
no escape and no line end; any other read is parsed. The tests compare both ways at every split.
"""

from __future__ import annotations

_SEQUENCE = b'"sequence_id":'
_ANSWER = b'"answer":'
_MAX_DIGITS = 12
_NO_MATCH = b"\0"


class DeltaPattern:
    """The bytes around the text of a message's frames."""

    __slots__ = ("_after", "_before", "_between")

    def __init__(self) -> None:
        """Create a pattern that matches nothing."""
        self.clear()

    def clear(self) -> None:
        """Forget the bytes."""
        self._before = self._between = self._after = _NO_MATCH

    def learn(self, data: bytes, text: str) -> None:
        """Remember the bytes of a frame."""
        number = data.find(_SEQUENCE) + len(_SEQUENCE)
        while data[number : number + 1] == b" ":
            number += 1
        end = number
        while data[end : end + 1].isdigit():
            end += 1
        start = data.find(b'"', data.find(_ANSWER, end) + len(_ANSWER)) + 1
        raw_text = text.encode("utf-8", "replace")
        if data.find(_SEQUENCE) >= 0 and data.startswith(raw_text + b'"', start):
            self._before = data[:number]
            self._between, self._after = data[end:start], data[start + len(raw_text) :]

    def match(self, data: bytes) -> str | None:
        """Return the text of a read that holds one frame of the same message, else None."""
        before, after = self._before, self._after
        if not (data.startswith(before) and data.endswith(after)):
            return None
        start = data.find(
            self._between, len(before), len(before) + _MAX_DIGITS + len(self._between)
        )
        if start < 0 or not data[len(before) : start].isdigit():
            return None
        raw_text = data[start + len(self._between) : -len(after)]
        if not raw_text or b'"' in raw_text or b"\\" in raw_text or b"\n" in raw_text:
            return None
        return raw_text.decode("utf-8", "replace")
