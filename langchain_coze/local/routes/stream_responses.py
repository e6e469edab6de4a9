"""Responses that stream, with the faults of a request, and responses that drop the connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
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
    from langchain_coze.local.runtime.workflow_run import ServedRun

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

    @property
    def stream_headers(self) -> Mapping[str, str]:
        """Headers of every stream."""
        ...

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream."""
        ...


class StreamConnections:
    """The open connections of a server, by the address of their client.

    Attributes:
        find_transports: Returns the transports; the server sets it when it starts.
        streams: The tasks that send streams.
    """

    def __init__(self) -> None:
        """Start without connections."""
        self.find_transports: Transports = dict
        self.streams: set[asyncio.Task[None]] = set()

    async def drop(self, scope: Scope, *, reset: bool = False) -> None:
        """Close a request's connection without finishing the response."""
        # A client that left before its request was read has no address.
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
        # uvicorn must see the lost connection before the request returns without a response.
        for _ in range(_MAX_POLLS):
            if client not in self.find_transports():
                return
            await asyncio.sleep(_POLL_INTERVAL)


class DroppedResponse(Response):
    """No response: the connection is closed."""

    def __init__(self, connections: StreamConnections) -> None:
        """Store the connections."""
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Close the connection."""
        await self._connections.drop(scope)


class _ChunkedResponse(Response):
    """A response that is sent in chunks, to which faults may be applied."""

    def __init__(
        self, headers: Mapping[str, str], faults: FaultSet, connections: StreamConnections
    ) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._faults = faults
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send all chunks; a chat continues even when the client has left."""
        # In a separate task: a server that stops cancels it instead of its own request task,
        # which would log an error.
        writer = asyncio.ensure_future(self._write(send))
        self._connections.streams.add(writer)
        writer.add_done_callback(self._connections.streams.discard)
        await asyncio.wait({writer})
        resets = Fault.CUT_RESET in self._faults.values
        if resets or writer.cancelled() or writer.exception():
            await self._connections.drop(scope, reset=resets)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        started = False
        async for chunk in apply_cuts(self._faults, self._iterate_chunks()):
            if not started:  # the head comes with the first bytes (wire 4.4)
                await self._send_head(send)
                started = True
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not started:
            await self._send_head(send)

    async def _send_head(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code}
        await send({**head, "headers": self.raw_headers})

    def _iterate_chunks(self) -> AsyncIterator[bytes]:
        raise NotImplementedError


class EventStreamResponse(_ChunkedResponse):
    """The events of a chat as `text/event-stream`.

    Args:
        events: The events.
        profile: How they are encoded.
        faults: The faults of the request.
        connections: The server's connections.
    """

    def __init__(
        self,
        events: EventQueue,
        profile: StreamProfile,
        faults: FaultSet,
        connections: StreamConnections,
    ) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(profile.stream_headers, faults, connections)
        self._events = events
        self._profile = profile

    def _iterate_batches(self) -> Batches:
        return self._events.iterate_batches()

    async def _iterate_chunks(self) -> AsyncIterator[bytes]:
        encode = self._profile.create_encoder()
        async for batch in self._iterate_batches():
            if self._faults.values:  # they tell events apart
                for event in batch:
                    if event.name not in _DONE or Fault.NO_DONE not in self._faults.values:
                        yield encode(event)
            else:
                yield encode(batch[0]) if len(batch) == 1 else b"".join(map(encode, batch))


class RunStreamResponse(EventStreamResponse):
    """The events of a workflow's run as `text/event-stream`.

    Args:
        run: The run.
        faults: The faults of the request.
        connections: The server's connections.
    """

    def __init__(self, run: ServedRun, faults: FaultSet, connections: StreamConnections) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(run.events, run.profile, faults, connections)
        self._ping_interval = run.workflow.ping if run.profile.sends_pings else 0.0

    def _iterate_batches(self) -> Batches:
        batches = super()._iterate_batches()
        return _insert_pings(batches, self._ping_interval) if self._ping_interval else batches


async def _insert_pings(batches: Batches, seconds: float) -> Batches:
    """Yield the batches, and heartbeats while there are no events.

    Args:
        batches: The batches.
        seconds: The silence before the first heartbeat; that before a further one is longer, as
            recorded: 30 s, then 35 s.
    """
    next_batch = asyncio.ensure_future(anext(batches, None))
    wait = seconds
    try:
        while True:
            await asyncio.wait({next_batch}, timeout=wait)
            if not next_batch.done():
                wait = seconds * _LATER_PING
                yield [_PING]
                continue
            if (batch := next_batch.result()) is None:
                return
            next_batch, wait = asyncio.ensure_future(anext(batches, None)), seconds
            yield batch
    finally:
        next_batch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await next_batch
        await batches.aclose()


class FaultyResponse(_ChunkedResponse):
    """A JSON response to which faults of bytes are applied.

    Args:
        response: The response without faults.
        faults: The faults of the request.
        connections: The server's connections.
    """

    def __init__(
        self, response: Response, faults: FaultSet, connections: StreamConnections
    ) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(dict(response.headers), faults, connections)
        self.status_code = response.status_code
        self._content = bytes(response.body)

    async def _iterate_chunks(self) -> AsyncIterator[bytes]:
        yield self._content
