r"""Server-sent events: bytes in, events out, without any I/O.

Coze writes two dialects (`event:x` and `event: x`, wire sections 2.4 and 4.4) and, on failure, raw
JSON lines inside a stream (wire section 1.5). The decoder takes both, split anywhere, and works on
bytes: a text decoder would cut JSON at U+2028 or U+0085, which are no line ends here.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic_core import from_json, to_json

FAILURE_EVENTS = frozenset({"", "error", "Error", "conversation.chat.failed"})
"""Names of events that report a failure; a raw JSON line has none."""

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One server-sent event.

    Attributes:
        name: The event's name; empty for data without a name and for a raw JSON line.
        data: Its data as bytes, several data lines joined by a newline; empty if it has none.
    """

    name: str
    data: bytes


class Decoder:
    r"""Turns the bytes of one response into events, whatever the reads cut.

    Fields may come in any order, with or without the one space after the colon; `\r\n` and `\r` end
    lines like `\n`; a byte order mark, comments, `retry` and unknown fields are passed over. An
    event that the end of the stream cuts short is never given out.

    Attributes:
        at_event_boundary: Whether the next byte starts an event. A read that holds exactly one
            event may then bypass `feed`.
    """

    __slots__ = ("_after_cr", "_at_start", "_buffer", "_scanned", "at_event_boundary")

    def __init__(self) -> None:
        """Make a decoder for one response."""
        self._buffer = bytearray()
        self._scanned = 0
        self._at_start = True
        self._after_cr = False
        self.at_event_boundary = False

    @property
    def has_partial_event(self) -> bool:
        """Whether a part of an event has come, and not its end."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that they complete.

        Args:
            data: Bytes as they were read; any length.
        """
        if self._at_start or self._after_cr or b"\r" in data:
            data = self._normalize_newlines(data)
        if not self._buffer and data.endswith(b"\n\n"):  # whole events: the usual read
            self.at_event_boundary = not self._after_cr
            return _split_events(data)
        self.at_event_boundary = False
        self._buffer += data
        end = self._buffer.rfind(b"\n\n", max(self._scanned - 1, 0))
        if end < 0:
            self._scanned = len(self._buffer)
            return []
        complete = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._scanned = 0
        return _split_events(complete)

    def close(self) -> list[Event]:
        """Return the failures that the end of the stream leaves, but never half an event.

        A raw JSON line often has no line end, and a failure is one with or without its blank line.
        """
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [
            event
            for event in _split_events(rest)
            if event.name in FAILURE_EVENTS and _is_json(event.data)
        ]

    def _normalize_newlines(self, data: bytes) -> bytes:
        if self._at_start:
            data = bytes(self._buffer) + data
            self._buffer.clear()
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._buffer += data
                return b""
            data = data.removeprefix(_BOM)
            self._at_start = False
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if data.endswith(b"\r"):  # its line feed may come with the next read
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _split_events(data: bytes) -> list[Event]:
    """Return the events of bytes that end where an event ends."""
    events: list[Event] = []
    for block in data.split(b"\n\n"):
        if not block:
            continue
        head, _, rest = block.partition(b"\n")
        if head.startswith(b"event:") and rest.startswith(b"data:") and b"\n" not in rest:
            name = head[6:].decode("utf-8", "replace").strip()
            events.append(Event(name, rest[6:] if rest.startswith(b"data: ") else rest[5:]))
        elif block.lstrip(b"\n").startswith(b"{"):
            events.append(Event("", block.strip()))
        else:
            events.extend(_parse_block(block))
    return events


def _parse_block(block: bytes) -> list[Event]:
    """Return the event of one block, field by field, and any raw JSON lines in it."""
    events: list[Event] = []
    lines: list[bytes] = []
    name: str | None = None
    for line in block.split(b"\n"):
        if line.startswith(b"{"):
            events.append(Event("", line))
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace").strip()
    if name is not None:
        events.insert(0, Event(name, b"\n".join(lines)))
    elif lines:
        events.insert(0, _parse_unnamed(b"\n".join(lines)))
    return events


def _parse_unnamed(data: bytes) -> Event:
    """Return the event of data without a name, which may hold name and data itself."""
    if b'"event"' in data and _is_json(data):
        inner = from_json(data)
        if isinstance(inner, dict) and isinstance(inner.get("event"), str):
            payload = inner.get("data")
            text = payload.encode() if isinstance(payload, str) else to_json(payload)
            return Event(inner["event"], text)
    return Event("", data)


def _is_json(data: bytes) -> bool:
    try:
        from_json(data)
    except ValueError:
        return False
    return True
