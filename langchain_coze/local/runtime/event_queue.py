"""Events on their way from a running chat to its client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_coze.local.wire.cloud import Event


class Outbox:
    """Events on their way from a running chat to the one client that streams it."""

    def __init__(self, *, wanted: bool) -> None:
        """Make an outbox; when it is not `wanted` nothing is kept."""
        self._events: list[Event] = []
        self._wake = asyncio.Event()
        self._wanted = wanted
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event."""
        if self._wanted:
            self._events.append(event)
            self._wake.set()

    def close(self) -> None:
        """There will be no more events."""
        self._closed = True
        self._wake.set()

    async def batches(self) -> AsyncGenerator[list[Event], None]:
        """Whatever events are ready, as soon as there are any."""
        while True:
            if self._events:
                batch, self._events = self._events, []
                yield batch
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()
