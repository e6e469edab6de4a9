r"""Decoder for server-sent events: bytes in, events out, no I/O.

Coze writes two dialects (`event:x` and `event: x`, wire sections 2.4 and 4.4) and, on failure, raw
JSON lines inside a stream (wire section 1.5). The decoder accepts both, split at any byte. It works
on bytes, because splitting text into lines would also cut JSON at U+2028 and U+0085.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic_core import to_json

from langchain_coze._api.models import parse_json
from langchain_coze._api.settings import MAX_EVENT_SIZE
from langchain_coze.errors import CozeStreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILURE_EVENTS = frozenset({"", "error", "Error", "conversation.chat.failed"})
"""Names of events that report a failure; a raw JSON line has an empty name."""

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One server-sent event; data without a name, or a raw JSON line, has an empty name."""

    name: str
    data: bytes


class Decoder:
    r"""Decodes the bytes of one response into events, however the reads split them.

    Fields may come in any order, with or without the space after the colon. `\r\n` and `\r` end
    lines like `\n`. A byte order mark, comments, `retry` and unknown fields are ignored. An event
    that is incomplete at the end of the stream is never returned.

    Attributes:
        at_event_boundary: Whether the next byte starts an event. A read that holds exactly one
            event may then bypass `feed`.
    """

    __slots__ = ("_after_cr", "_at_start", "_buffer", "_scanned", "at_event_boundary")

    def __init__(self) -> None:
        """Create a decoder for one response."""
        self._buffer = bytearray()
        self._scanned = 0
        self._at_start = True
        self._after_cr = False
        self.at_event_boundary = False

    @property
    def has_partial_event(self) -> bool:
        """Whether an incomplete event is buffered."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that the next bytes complete."""
        return list(split_events(self.take_complete(data)))

    def take_complete(self, data: bytes) -> bytes:
        """Return the bytes of the events that the next bytes complete, for `split_events`."""
        if self._at_start or self._after_cr or b"\r" in data:
            data = self._normalize_newlines(data)
        if not self._buffer and data.endswith(b"\n\n"):  # only complete events: the usual case
            self.at_event_boundary = not self._after_cr
            return data
        self.at_event_boundary = False
        end = data.rfind(b"\n\n")
        if end >= 0:
            complete = bytes(self._buffer) + data[: end + 2]
            self._buffer[:] = data[end + 2 :]
            self._scanned = len(self._buffer)
            return complete
        self._buffer += data
        end = self._buffer.rfind(b"\n\n", max(self._scanned - 1, 0))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > MAX_EVENT_SIZE:
                self._buffer.clear()
                raise CozeStreamError(f"An event exceeds {MAX_EVENT_SIZE >> 20} MB.")
            return b""
        complete = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 2]
        self._scanned = 0
        return complete

    def close(self) -> list[Event]:
        """Return the failures still buffered at the end of the stream, but no partial event.

        A raw JSON line often has no line end, and a failure is valid even without its blank line.
        """
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [
            event
            for event in split_events(rest)
            if event.name in FAILURE_EVENTS and parse_json(event.data) is not None
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
        if data.endswith(b"\r"):  # the line feed may arrive with the next read
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def split_events(data: bytes) -> Iterator[Event]:
    """Yield the events of bytes that end at an event boundary."""
    for block in data.split(b"\n\n"):
        if not block:
            continue
        head, _, rest = block.partition(b"\n")
        if head.startswith(b"event:") and rest.startswith(b"data:") and b"\n" not in rest:
            name = head[6:].decode("utf-8", "replace").strip()
            yield Event(name, rest[6:] if rest.startswith(b"data: ") else rest[5:])
        elif block.lstrip(b"\n").startswith(b"{"):
            yield Event("", block.strip())
        else:
            yield from _parse_block(block)


def _parse_block(block: bytes) -> list[Event]:
    """Parse a block field by field; return its event and any raw JSON lines in it."""
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
    """Return the event for data without a name; its JSON may contain both name and data."""
    inner = parse_json(data) if b'"event"' in data else None
    if isinstance(inner, dict) and isinstance(inner.get("event"), str):
        payload = inner.get("data")
        text = payload.encode() if isinstance(payload, str) else to_json(payload)
        return Event(inner["event"], text)
    return Event("", data)
