"""Streaming responses with faults, and responses that drop the connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from starlette.responses import Response

from langchain_coze.local.faults.cuts import apply_cuts
from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.wire.events import EventEncoder, SseEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.runtime.event_queue import EventQueue

    Transports: TypeAlias = Callable[[], dict[tuple[Any, ...], asyncio.Transport]]
    Batches: TypeAlias = AsyncGenerator[list[SseEvent], None]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# Long enough for a client on this machine to read the data before a reset discards it.
_RESET_DELAY = 0.05
_POLL_INTERVAL, _MAX_POLLS = 0.001, 1000
_PING = SseEvent("PING", '{"content":"{}","node_execute_uuid":""}')
_LATER_PING = 35 / 30
_DONE = frozenset({"done", "Done", "conversation.stream.done"})


class StreamProfile(Protocol):
    """How the events of a stream are encoded."""

    stream_headers: Mapping[str, str]

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream."""
        ...


class StreamConnections:
    """The open connections of a server, and the tasks that send streams."""

    def __init__(self) -> None:
        """Start without connections."""
        self.find_transports: Transports = dict  # by client address; set by the server
        self.streams: set[asyncio.Task[None]] = set()

    async def drop(self, scope: Scope, *, reset: bool = False) -> None:
        """Close a request's connection without finishing the response."""
        # A client that disconnected before its request was read has no address.
        client = tuple(scope["client"] or ())
        transport = self.find_transports().get(client)
        if transport is None:
            return
        if reset:
            await asyncio.sleep(_RESET_DELAY)
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()
        # uvicorn must notice the lost connection before the handler returns without a response.
        for _ in range(_MAX_POLLS):
            if client not in self.find_transports():
                return
            await asyncio.sleep(_POLL_INTERVAL)


class DroppedResponse(Response):
    """Closes the connection without a response."""

    def __init__(self, connections: StreamConnections) -> None:
        """Store the connections."""
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Close the connection."""
        await self._connections.drop(scope)


class ChunkedResponse(Response):
    """A response in chunks, to which faults can be applied."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        headers: Mapping[str, str],
        faults: FaultSet,
        connections: StreamConnections,
        status: int = 200,
    ) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(status_code=status, headers=dict(headers))
        del self.headers["content-length"]
        self._chunks = apply_cuts(faults, chunks)
        self._resets = Fault.CUT_RESET in faults.values
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send all chunks; a chat continues even if the client disconnects."""
        # In a separate task, which a stopping server cancels: cancelling the request task would log
        # an error.
        writer = asyncio.ensure_future(self._write(send))
        self._connections.streams.add(writer)
        writer.add_done_callback(self._connections.streams.discard)
        await asyncio.wait({writer})
        if self._resets or writer.cancelled() or writer.exception():
            await self._connections.drop(scope, reset=self._resets)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        head["headers"] = self.raw_headers
        started = False
        async for chunk in self._chunks:
            if not started:  # the headers are sent with the first bytes (wire 4.4)
                await send(head)
                started = True
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not started:
            await send(head)


class EventStreamResponse(ChunkedResponse):
    """The events of a chat or run as `text/event-stream`.

    A heartbeat is sent after `ping_interval` seconds of silence; 0 disables heartbeats.
    """

    def __init__(
        self,
        events: EventQueue,
        profile: StreamProfile,
        faults: FaultSet,
        connections: StreamConnections,
        ping_interval: float = 0.0,
    ) -> None:
        """Prepare the headers; nothing is sent yet."""
        batches = events.iterate_batches()
        if ping_interval:
            # later intervals are longer, as recorded: 30 s, then 35 s
            batches = insert_pings(batches, [_PING], ping_interval, ping_interval * _LATER_PING)
        chunks = _encode(batches, profile.create_encoder(), faults)
        super().__init__(chunks, profile.stream_headers, faults, connections)


async def _encode(batches: Batches, encode: EventEncoder, faults: FaultSet) -> AsyncIterator[bytes]:
    without_done = Fault.NO_DONE in faults.values
    async for batch in batches:
        if faults.values:  # faults need separate events
            for event in batch:
                if not (without_done and event.name in _DONE):
                    yield encode(event)
        else:
            yield encode(batch[0]) if len(batch) == 1 else b"".join(map(encode, batch))


async def insert_pings(
    items: AsyncGenerator[Any, None], ping: Any, seconds: float, later: float | None = None
) -> AsyncGenerator[Any, None]:
    """Yield the items, and heartbeats between them.

    Args:
        items: The items of the stream.
        ping: The heartbeat.
        seconds: Seconds of silence before the first heartbeat.
        later: Seconds of silence before each further one. None sends a heartbeat every `seconds`
            seconds, whether or not there are items.
    """
    following = asyncio.ensure_future(anext(items, None))
    due = time.monotonic() + seconds
    try:
        while True:
            await asyncio.wait({following}, timeout=max(due - time.monotonic(), 0))
            if not following.done():
                due += later or seconds
                yield ping
                continue
            if (item := following.result()) is None:
                return
            following = asyncio.ensure_future(anext(items, None))
            yield item
            due = time.monotonic() + seconds if later else due
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await items.aclose()


def apply_byte_faults(
    response: Response, faults: FaultSet, connections: StreamConnections
) -> Response:
    """Return a JSON response to which the byte faults of its request are applied."""

    async def iterate_once() -> AsyncIterator[bytes]:
        yield bytes(response.body)

    headers, status = dict(response.headers), response.status_code
    return ChunkedResponse(iterate_once(), headers, faults, connections, status)
