"""The HTTP connection pools of this process: one connection per active request, proxies, TLS.

Models hold no connections. Sync pools are stored by server, async pools by event loop and server;
both are dropped after a fork. All tokens share them, because they keep no session state such as
cookies.

The pool of httpx scans all connections for every request: each of 1,000 concurrent streams costs
twenty times as much as a single one, and with its defaults (100 connections, 5 s to get one) most
of them fail. Here each connection is a separate transport, and a request takes the first free one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import httpx

from langchain_coze._api.deadlines import SocketTimer
from langchain_coze._api.proxies import find_proxy, require_usable
from langchain_coze._environment import check_backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from langchain_coze._api.deadlines import Deadline

_KEEP_ALIVE = 30.0  # seconds to keep an idle connection
_MAX_SERVERS = 64  # per process, and per event loop


class _Slot:
    """A slot for a transport with one connection.

    Attributes:
        transport: The transport; None if it has been closed.
        network_stream: The connection that it used last, if known.
    """

    __slots__ = ("network_stream", "number", "released_at", "transport")

    def __init__(self, number: int) -> None:
        self.number = number
        self.transport: Any = None
        self.network_stream: Any = None
        self.released_at = 0.0

    def __lt__(self, other: _Slot) -> bool:
        return self.number < other.number

    def take_transport(self) -> Any:
        """Remove and return the transport, for closing; the next request creates a new one."""
        transport, self.transport, self.network_stream = self.transport, None, None
        return transport


class ConnectionPool:
    """The connections to one server: one per active request; idle ones are kept.

    The lowest free slot is used first, so that under low load the others become idle and are
    closed.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        """Create an empty pool; `create` returns the transport of one connection, sync or async."""
        self._create = create
        self._lock = threading.Lock()
        self._count = 0
        self._free: list[_Slot] = []  # a heap
        self._closed = False

    def acquire(self) -> _Slot:
        """Return a free slot with a transport."""
        with self._lock:
            if self._free:
                slot = heapq.heappop(self._free)
            else:
                slot = _Slot(self._count)
                self._count += 1
            if slot.transport is None:
                slot.transport = self._create()
            return slot

    def handle_request(
        self, request: httpx.Request, deadline: Deadline | None = None
    ) -> httpx.Response:
        """Send a request on the first free connection, or on a new one.

        The deadline watches a reused connection from here, and a new one through `trace`.
        """
        slot = self.acquire()
        if deadline is not None:
            deadline.watch(slot.network_stream)
        try:
            response: httpx.Response = slot.transport.handle_request(request)
        except BaseException:
            for transport in self.release(slot, broken=True):
                transport.close()
            raise
        slot.network_stream = response.extensions.get("network_stream")
        response.stream = _PooledStream(response.stream, self, slot)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Async version of `handle_request`; the caller enforces the deadline."""
        slot = self.acquire()
        try:
            response: httpx.Response = await slot.transport.handle_async_request(request)
        except BaseException:
            for transport in self.release(slot, broken=True):
                await transport.aclose()
            raise
        response.stream = _PooledStream(response.stream, self, slot)
        return response

    def release(self, slot: _Slot, *, broken: bool = False) -> list[Any]:
        """Free a slot; return the transports that the caller must close.

        A broken transport is not reused: after a cancellation at the wrong moment, its only
        connection may stay occupied forever.
        """
        with self._lock:
            heapq.heappush(self._free, slot)
            slot.released_at = time.monotonic()
            return [slot.take_transport()] if broken or self._closed else []

    def take_idle(self, seconds: float) -> list[Any]:
        """Remove and return the transports that have been idle for some seconds, for closing."""
        with self._lock:
            latest = time.monotonic() - seconds
            idle = [s for s in self._free if s.transport is not None and s.released_at <= latest]
            return [slot.take_transport() for slot in idle]

    def close(self) -> list[Any]:
        """Remove and return the free transports, for closing; `release` returns the others."""
        self._closed = True
        return self.take_idle(0.0)


class _PooledStream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response stream that releases its transport when it is closed."""

    def __init__(self, stream: Any, pool: ConnectionPool, slot: _Slot) -> None:
        self._stream, self._slot = stream, slot
        self._pool: ConnectionPool | None = pool
        self.broken = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    def close(self) -> None:
        broken = True
        try:
            self._stream.close()
            broken = self.broken
        finally:
            for transport in self._release(broken=broken):
                transport.close()

    async def aclose(self) -> None:
        broken = True
        try:
            await self._stream.aclose()
            broken = self.broken
        finally:
            for transport in self._release(broken=broken):
                await transport.aclose()

    def _release(self, *, broken: bool) -> list[Any]:
        """Free the slot once; return the transports that the caller must close."""
        pool, self._pool = self._pool, None
        return pool.release(self._slot, broken=broken) if pool else []


def mark_broken(response: httpx.Response) -> None:
    """Prevent the reuse of the connection of a response that was not read to its end."""
    if isinstance(response.stream, _PooledStream):
        response.stream.broken = True


_create_ssl_context = functools.lru_cache(httpx.create_ssl_context)  # 20 ms: once per process


def _make_httpx_factory(transport_class: Any, base_url: str) -> Callable[[], Any]:
    """Return a function that creates the transport of one connection to a server, with httpx."""
    return functools.partial(transport_class, trust_env=False, **_get_transport_options(base_url))


def _make_aiohttp_factory(base_url: str) -> Callable[[], Any]:
    """Return a function that creates the transport of one connection to a server, with aiohttp."""
    options = _get_transport_options(base_url)
    proxy = options["proxy"]
    if proxy is not None and proxy.url.scheme.startswith("socks"):  # aiohttp knows no such proxy
        return _make_httpx_factory(httpx.AsyncHTTPTransport, base_url)
    check_backend("aiohttp")
    from langchain_coze._api.aiohttp_transport import (  # noqa: PLC0415 - an extra
        OneConnectionTransport,
    )

    if proxy is not None and proxy.raw_auth is not None:
        credentials = b64encode(b":".join(proxy.raw_auth)).decode()
        headers = {"proxy-authorization": f"Basic {credentials}"}
        options["proxy"] = httpx.Proxy(proxy.url, headers=headers)
    return functools.partial(OneConnectionTransport, **options)


def _get_transport_options(base_url: str) -> dict[str, Any]:
    proxy = find_proxy(base_url)
    if proxy is not None:
        require_usable(proxy)
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_ALIVE
    )
    return {
        "verify": _create_ssl_context(),
        "limits": limits,
        "proxy": None if proxy is None else httpx.Proxy(proxy.url),
    }


class _ByServer:
    """The pools of a process or of an event loop, by base URL.

    Only the `_MAX_SERVERS` most recently used servers are kept: otherwise a program with one server
    per tenant would run out of file descriptors.
    """

    def __init__(self, make_factory: Callable[[str], Callable[[], Any]]) -> None:
        self._make_factory = make_factory
        self._lock = threading.Lock()
        self._pools: OrderedDict[str, ConnectionPool] = OrderedDict()
        self._swept_at = time.monotonic()

    def get(self, base_url: str) -> tuple[ConnectionPool, list[Any]]:
        """Return the pool of a server, and transports that the caller must close."""
        unused: list[Any] = []
        with self._lock:
            pool = self._pools.get(base_url)
            if pool is None:
                pool = self._pools[base_url] = ConnectionPool(self._make_factory(base_url))
            self._pools.move_to_end(base_url)
            if len(self._pools) > _MAX_SERVERS:
                unused += self._pools.popitem(last=False)[1].close()
            now = time.monotonic()
            if now - self._swept_at >= _KEEP_ALIVE:
                self._swept_at = now
                for kept in self._pools.values():
                    unused += kept.take_idle(_KEEP_ALIVE)
        return pool, unused

    def close(self, base_url: str | None = None) -> list[Any]:
        """Drop the pool of a server, or all pools; return the transports to close."""
        with self._lock:
            names = list(self._pools) if base_url is None else [base_url]
            pools = [self._pools.pop(name) for name in names if name in self._pools]
        return [transport for pool in pools for transport in pool.close()]


class ConnectionPools:
    """The connections of this process: sync ones by server, async ones by event loop and server."""

    def __init__(self) -> None:
        """Create the pools without any connection."""
        self.timer = SocketTimer()
        self._lock = threading.Lock()
        self._sync_pools = _ByServer(functools.partial(_make_httpx_factory, httpx.HTTPTransport))
        self._loop_pools: dict[asyncio.AbstractEventLoop, _LoopPools] = {}

    def get_sync_pool(self, base_url: str) -> ConnectionPool:
        """Return the sync connections to a server."""
        pool, unused = self._sync_pools.get(base_url)
        for transport in unused:
            transport.close()
        return pool

    async def get_async_pool(self, base_url: str, backend: str) -> ConnectionPool:
        """Return the connections of the running event loop to a server: `httpx` or `aiohttp`."""
        loop = asyncio.get_running_loop()
        loop_pools = self._loop_pools.get(loop)
        if loop_pools is None or loop_pools.closed:
            loop_pools = _LoopPools()
            with self._lock:  # connections keep their loop alive, so drop closed loops here
                for old_loop in [old for old in self._loop_pools if old.is_closed()]:
                    del self._loop_pools[old_loop]
                self._loop_pools[loop] = loop_pools
        pool, unused = loop_pools.by_backend[backend].get(base_url)
        for transport in unused:
            await transport.aclose()
        return pool

    def close(self, base_url: str | None = None) -> None:
        """Close the sync connections to a server, or to all; open streams are allowed to finish."""
        for transport in self._sync_pools.close(base_url):
            transport.close()

    async def aclose(self, base_url: str) -> None:
        """Close the running event loop's connections to a server; open streams may finish."""
        loop_pools = self._loop_pools.get(asyncio.get_running_loop())
        for transport in loop_pools.close(base_url) if loop_pools else ():
            await transport.aclose()


class _LoopPools:
    """The connections of one event loop, closed when the loop shuts down."""

    def __init__(self) -> None:
        self.by_backend = {
            "httpx": _ByServer(functools.partial(_make_httpx_factory, httpx.AsyncHTTPTransport)),
            "aiohttp": _ByServer(_make_aiohttp_factory),
        }
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
            for transport in self.close():
                await transport.aclose()

    def close(self, base_url: str | None = None) -> list[Any]:
        """Forget the pools of a server, or all pools; return the transports to close."""
        return [
            transport
            for by_server in self.by_backend.values()
            for transport in by_server.close(base_url)
        ]
