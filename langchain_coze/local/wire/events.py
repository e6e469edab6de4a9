"""Server-sent events, and their encoding in each dialect."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class SseEvent(NamedTuple):
    """One event of a stream: its name, and the JSON text of its data."""

    name: str
    data: str


EventEncoder: TypeAlias = Callable[[SseEvent], bytes]


def encode_event(event: SseEvent) -> bytes:
    """Return the bytes of an event of a chat: no space after the colon (wire section 2.4)."""
    return f"event:{event.name}\ndata:{event.data}\n\n".encode("utf-8", "replace")


def encode_event_with_spaces(event: SseEvent) -> bytes:
    """Return the bytes of an event of a chatflow: a space after the colon (wire section 4.6)."""
    return f"event: {event.name}\ndata: {event.data}\n\n".encode("utf-8", "replace")


def create_numbered_encoder(first_id: int) -> EventEncoder:
    """Return an encoder that numbers its events, with spaces (wire 4.4).

    Args:
        first_id: The id of the first event.
    """
    numbers = itertools.count(first_id)

    def encode(event: SseEvent) -> bytes:
        text = f"id: {next(numbers)}\nevent: {event.name}\ndata: {event.data}\n\n"
        return text.encode("utf-8", "replace")

    return encode
