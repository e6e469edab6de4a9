"""HTTP connection pools of this process: one connection per request in flight, proxies, TLS.

Models hold no connections. Sync pools are kept by server, async pools by event loop and server;
both are dropped after a fork. All tokens share them: no session state, such as cookies, is kept.

httpx's own pool scans every connection for every request, so each of 1,000 concurrent streams
costs twenty times as much as a single one, and with its defaults (100 connections, 5 s to get one)
most of them fail. Here each connection is a separate transport, and a request takes the first
free one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx

from langchain_coze._api.deadlines import SocketTimer
from langchain_coze._api.proxies import find_proxy, require_usable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from langchain_coze._api.deadlines import Deadline

_KEEP_ALIVE = 30.0  # seconds to keep an idle connection


class _Slots:
    """Numbered transports with one connection each; the lowest free number is used first.

    So in quiet times only few stay in use, and the others can be closed.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._lock = threading.Lock()
        self._transports: list[Any] = []  # None for a closed transport
        self._released_at: list[float] = []
        self._free: list[int] = []  # a heap of free numbers
        self.network_streams: dict[int, Any] = {}  # the connection of each number, if known
        self._last_sweep = time.monotonic()
        self._closed = False

    def acquire(self) -> tuple[int, Any]:
        """Return the number of a free transport and the transport."""
        with self._lock:
            if self._free:
                number = heapq.heappop(self._free)
            else:
                number = len(self._transports)
                self._transports.append(None)
                self._released_at.append(0.0)
            transport = self._transports[number]
            if transport is None:
                transport = self._transports[number] = self._create()
            return number, transport

    def release(self, number: int, *, broken: bool = False) -> list[Any]:
        """Mark a transport as free; return the transports that the caller must close.

        A broken one is not reused: after a badly timed cancellation it may never free its only
        connection.
        """
        with self._lock:
            now = time.monotonic()
            to_close = [self._transports[number]] if broken else []
            if broken:
                self._transports[number] = None
            heapq.heappush(self._free, number)
            self._released_at[number] = now
            if not self._closed and now - self._last_sweep < _KEEP_ALIVE:
                return to_close
            self._last_sweep = now
            return to_close + self._take_idle(0.0 if self._closed else _KEEP_ALIVE, now)

    def close(self) -> list[Any]:
        """Return the free transports, to be closed; `release` returns the others later."""
        with self._lock:
            self._closed = True
            return self._take_idle(0.0, time.monotonic())

    def _take_idle(self, seconds: float, now: float) -> list[Any]:
        idle = []
        for number in self._free:
            if self._transports[number] is not None and now - self._released_at[number] >= seconds:
                idle.append(self._transports[number])
                self._transports[number] = None
        return idle


class _PooledStream(httpx.SyncByteStream):
    """A response stream that releases its transport when it is closed."""

    def __init__(self, stream: Any, slots: _Slots, number: int) -> None:
        self._stream, self._slots, self._number = stream, slots, number
        self.broken = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        slots, self._slots = self._slots, None  # type: ignore[assignment] # release only once
        broken = True
        try:
            self._stream.close()
            broken = self.broken
        finally:
            for idle in slots.release(self._number, broken=broken) if slots else ():
                idle.close()


class _AsyncPooledStream(httpx.AsyncByteStream):
    """Async version of `_PooledStream`."""

    def __init__(self, stream: Any, slots: _Slots, number: int) -> None:
        self._stream, self._slots, self._number = stream, slots, number
        self.broken = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        slots, self._slots = self._slots, None  # type: ignore[assignment] # release only once
        broken = True
        try:
            await self._stream.aclose()
            broken = self.broken
        finally:
            for idle in slots.release(self._number, broken=broken) if slots else ():
                await idle.aclose()


def mark_broken(response: httpx.Response) -> None:
    """Prevent the reuse of the connection of a response that was not read to its end."""
    if isinstance(response.stream, (_PooledStream, _AsyncPooledStream)):
        response.stream.broken = True


class ConnectionPool(httpx.BaseTransport):
    """A sync httpx transport with one connection per request in flight; keeps idle ones."""

    def __init__(self, create: Callable[[], httpx.BaseTransport]) -> None:
        """Take the function that creates the transport of one connection."""
        self._slots = _Slots(create)

    def handle_request(
        self, request: httpx.Request, deadline: Deadline | None = None
    ) -> httpx.Response:
        """Send a request on the first free connection, or a new one.

        Args:
            request: The request; its `trace` extension tells the deadline of a new connection.
            deadline: Ends the wait for the head of the response on a connection that is reused.
        """
        number, transport = self._slots.acquire()
        if deadline is not None:
            deadline.watch(self._slots.network_streams.get(number))
        try:
            response: httpx.Response = transport.handle_request(request)
        except BaseException:
            for idle in self._slots.release(number, broken=True):
                idle.close()
            raise
        self._slots.network_streams[number] = response.extensions.get("network_stream")
        response.stream = _PooledStream(response.stream, self._slots, number)
        return response

    def close(self) -> None:
        """Close idle connections now and the others when they become idle."""
        for idle in self._slots.close():
            idle.close()


class AsyncConnectionPool(httpx.AsyncBaseTransport):
    """Async version of `ConnectionPool`."""

    def __init__(self, create: Callable[[], httpx.AsyncBaseTransport]) -> None:
        """Take the function that creates the transport of one connection."""
        self._slots = _Slots(create)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on the first free connection, or a new one."""
        number, transport = self._slots.acquire()
        try:
            response: httpx.Response = await transport.handle_async_request(request)
        except BaseException:
            for idle in self._slots.release(number, broken=True):
                await idle.aclose()
            raise
        response.stream = _AsyncPooledStream(response.stream, self._slots, number)
        return response

    async def aclose(self) -> None:
        """Close idle connections now and the others when they become idle."""
        for idle in self._slots.close():
            await idle.aclose()


@functools.lru_cache(maxsize=1)
def _create_ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # takes 20 ms: once per process


def _build_transport_options(base_url: str) -> dict[str, Any]:
    proxy = find_proxy(base_url)
    if proxy is not None:
        require_usable(proxy)
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE
    )
    return {
        "verify": _create_ssl_context(),
        "limits": limits,
        "proxy": None if proxy is None else proxy.url,
        "trust_env": False,
    }


class ConnectionPools:
    """The connections of this process: sync by server, async by event loop and server.

    Attributes:
        timer: Ends sync requests at their deadlines.
    """

    def __init__(self) -> None:
        """Create the pools without any connection."""
        self.clear()

    def clear(self) -> None:
        """Forget all connections without closing them: they may belong to a parent process."""
        self.timer = SocketTimer()
        self._lock = threading.Lock()
        self._sync_pools: dict[str, ConnectionPool] = {}
        self._loop_pools: dict[asyncio.AbstractEventLoop, _LoopPools] = {}

    def get_sync_pool(self, base_url: str) -> ConnectionPool:
        """Return the sync connections to a server."""
        connections = self._sync_pools.get(base_url)
        if connections is None:
            make = functools.partial(httpx.HTTPTransport, **_build_transport_options(base_url))
            with self._lock:
                connections = self._sync_pools.setdefault(base_url, ConnectionPool(make))
        return connections

    def get_async_pool(self, base_url: str) -> AsyncConnectionPool:
        """Return the connections of the running event loop to a server."""
        loop = asyncio.get_running_loop()
        loop_pools = self._loop_pools.get(loop)
        if loop_pools is None or loop_pools.closed:
            loop_pools = _LoopPools()
            with self._lock:  # connections keep their loop alive, so drop closed loops here
                for old in [old for old in self._loop_pools if old.is_closed()]:
                    del self._loop_pools[old]
                self._loop_pools[loop] = loop_pools
        connections = loop_pools.by_base_url.get(base_url)
        if connections is None:
            make = functools.partial(httpx.AsyncHTTPTransport, **_build_transport_options(base_url))
            connections = loop_pools.by_base_url[base_url] = AsyncConnectionPool(make)
        return connections

    def close(self, base_url: str | None = None) -> None:
        """Close the sync connections to a server, or to all; open streams are allowed to finish."""
        with self._lock:
            urls = list(self._sync_pools) if base_url is None else [base_url]
            pools = [self._sync_pools.pop(url, None) for url in urls]
        for connections in pools:
            if connections is not None:
                connections.close()

    async def aclose(self, base_url: str) -> None:
        """Close the running event loop's connections to a server; open streams may finish."""
        loop_pools = self._loop_pools.get(asyncio.get_running_loop())
        connections = loop_pools.by_base_url.pop(base_url, None) if loop_pools else None
        if connections is not None:
            await connections.aclose()


class _LoopPools:
    """The connections of one event loop, closed when the loop shuts down."""

    def __init__(self) -> None:
        self.by_base_url: dict[str, AsyncConnectionPool] = {}
        self.closed = False
        # `asyncio.run` closes all asynchronous generators before it closes its loop. The first
        # step registers a generator with the loop; this one awaits nothing, so step it by hand.
        self._watch = self._until_shutdown()
        with contextlib.suppress(StopIteration):
            self._watch.__anext__().send(None)

    async def _until_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.closed = True
            for connections in self.by_base_url.values():
                await connections.aclose()
