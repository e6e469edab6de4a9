"""The events of a running chat or workflow, for the client that streams them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from langchain_coze.local.wire.events import SseEvent


class EventQueue:
    """The events of one stream, read in batches; events are discarded unless `enabled`."""

    def __init__(self, *, enabled: bool) -> None:
        """Create an empty queue."""
        self._events: list[SseEvent] = []
        self._changed = asyncio.Event()
        self._enabled = enabled
        self._closed = False

    @classmethod
    def of(cls, events: Sequence[SseEvent]) -> EventQueue:
        """Return a queue with all events of a stream."""
        queue = cls(enabled=True)
        queue._events = list(events)
        queue.close()
        return queue

    def put(self, event: SseEvent) -> None:
        """Add an event."""
        if self._enabled:
            self._events.append(event)
            self._changed.set()

    def close(self) -> None:
        """End the stream after the events in the queue."""
        self._closed = True
        self._changed.set()

    async def iterate_batches(self) -> AsyncGenerator[list[SseEvent], None]:
        """Yield the available events, as soon as there are any."""
        while True:
            if self._events:
                batch, self._events = self._events, []
                yield batch
            elif self._closed:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
