"""Sending a turn's events over HTTP, and dropping connections on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from starlette.responses import Response

from langchain_coze.local.faults.specs import REPLY_FAULTS, Fault, FaultPlan
from langchain_coze.local.faults.stream import event_faults, with_byte_faults

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from langchain_coze.local.runtime.event_queue import Outbox
    from langchain_coze.local.wire.cloud import Encoder, Event

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# Long enough for a client on this machine to read what was sent before a reset throws it away.
_BEFORE_RESET = 0.05
_TICK, _MOST_TICKS = 0.001, 1000

Transports: TypeAlias = Callable[[], dict[tuple[Any, ...], asyncio.Transport]]


class StreamShapes(Protocol):
    """How the events of a stream are written."""

    @property
    def stream_headers(self) -> Mapping[str, str]:
        """Headers of every stream."""
        ...

    def encoder(self) -> Encoder:
        """What writes the events of one stream."""
        ...


class Connections:
    """The open connections of a server, by the address of their client."""

    def __init__(self) -> None:
        """Know none until the server tells how to find them."""
        self.transports: Transports = dict
        self.streams: set[asyncio.Task[None]] = set()

    async def drop(self, scope: Scope, *, reset: bool = False) -> None:
        """Close a request's connection without finishing the reply."""
        # A client that left before it was looked at has no address.
        client = tuple(scope["client"] or ())
        transport = self.transports().get(client)
        if transport is None:
            return
        if reset:
            await asyncio.sleep(_BEFORE_RESET)
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()
        # uvicorn must hear of the lost connection before the request returns without a reply.
        for _ in range(_MOST_TICKS):
            if client not in self.transports():
                return
            await asyncio.sleep(_TICK)


class Dropped(Response):
    """No reply at all: the connection is closed."""

    def __init__(self, connections: Connections) -> None:
        """Take the connections to find the one to close."""
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Close the connection."""
        await self._connections.drop(scope)


class _Streamed(Response):
    """A reply in pieces, which may be damaged on the way."""

    def __init__(
        self, headers: Mapping[str, str], plan: FaultPlan, connections: Connections
    ) -> None:
        super().__init__(headers=dict(headers))
        del self.headers["content-length"]
        self._plan = plan
        self._connections = connections

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the pieces to the end; what makes them goes on when the client is gone."""
        # A task of its own: when the server stops it cancels this, not the server's request task,
        # which would complain.
        writer = asyncio.ensure_future(self._write(send))
        self._connections.streams.add(writer)
        writer.add_done_callback(self._connections.streams.discard)
        await asyncio.wait({writer})
        hard = {Fault.CUT_HARD, Fault.CUT_RESET} & self._plan.values.keys()
        if hard or writer.cancelled() or writer.exception():
            await self._connections.drop(scope, reset=Fault.CUT_RESET in hard)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async for chunk in self._chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

    def _chunks(self) -> AsyncIterator[bytes]:
        raise NotImplementedError


class EventStream(_Streamed):
    """A turn or a run as `text/event-stream`.

    Args:
        outbox: The events, as the chat or run makes them.
        profile: How an event is written.
        plan: What goes wrong on the way.
        connections: To drop the connection when that is asked for.
    """

    def __init__(
        self, outbox: Outbox, profile: StreamShapes, plan: FaultPlan, connections: Connections
    ) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(profile.stream_headers, plan, connections)
        self._outbox = outbox
        self._profile = profile

    def _chunks(self) -> AsyncIterator[bytes]:
        return self._damaged() if self._plan.values else self._sound()

    def _batches(self) -> AsyncGenerator[list[Event], None]:
        return self._outbox.batches()

    async def _sound(self) -> AsyncIterator[bytes]:
        encode = self._profile.encoder()
        async for batch in self._batches():
            yield encode(batch[0]) if len(batch) == 1 else b"".join(map(encode, batch))

    def _damaged(self) -> AsyncIterator[bytes]:
        events = event_faults(self._plan, self._events())
        return with_byte_faults(self._plan, self._encoded(events))

    async def _events(self) -> AsyncIterator[Event]:
        async for batch in self._batches():
            for event in batch:
                yield event

    async def _encoded(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        encode = self._profile.encoder()
        async for event in events:
            yield encode(event)


class DamagedReply(_Streamed):
    """A JSON reply that suffers on the way.

    Args:
        reply: The reply as it should be.
        plan: What goes wrong.
        connections: To drop the connection when that is asked for.
    """

    def __init__(self, reply: Response, plan: FaultPlan, connections: Connections) -> None:
        """Prepare the headers; nothing is sent yet."""
        values = {fault: value for fault, value in plan.values.items() if fault in REPLY_FAULTS}
        super().__init__(dict(reply.headers), FaultPlan(values), connections)
        self.status_code = reply.status_code
        self._whole = bytes(reply.body)

    def _chunks(self) -> AsyncIterator[bytes]:
        return with_byte_faults(self._plan, self._one())

    async def _one(self) -> AsyncIterator[bytes]:
        yield self._whole
