"""The connections of this process: pools of httpx transports, proxies, TLS.

No model holds a connection: they live here, blocking ones by server, asyncio ones by event loop and
server, and are dropped after a fork. All tokens share them: nothing of a session, such as a cookie,
is kept.

httpx's own pool looks at every connection for every request, which makes each of 1,000 concurrent
streams cost twenty times as much as a single one, and its defaults (100 connections, 5 s to get
one) fail most of them. Here many small pools of 8 connections stand behind one transport instead.

Example:
    ```python
    from langchain_coze.api import connections

    pools = connections.blocking("https://api.coze.cn")
    assert pools is connections.blocking("https://api.coze.cn")
    connections.close("https://api.coze.cn")
    ```
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import heapq
import importlib.util
import os
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from langchain_coze.errors import CozeInvalidRequestError, hint_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

_POOL_SIZE = 8
_KEEP_ALIVE = 30.0  # seconds that an idle connection, and an idle pool, is kept
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _Slots:
    """Which pool takes the next request: the first with room, so that few stay in use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._room: list[int] = []  # a heap: one entry for each request that a pool can still take
        self._pools: list[Any] = []
        self._used: list[int] = []
        self._since: list[float] = []
        self._swept = 0.0
        self._retired = False

    def take(self) -> tuple[int, Any]:
        """Return the number of a pool with room, and the pool."""
        with self._lock:
            if not self._room:
                self._room = [len(self._pools)] * _POOL_SIZE
                self._pools.append(None)
                self._used.append(0)
                self._since.append(0.0)
            number = heapq.heappop(self._room)
            self._used[number] += 1
            pool = self._pools[number]
            if pool is None:
                pool = self._pools[number] = self._make()
            return number, pool

    def give(self, number: int) -> list[Any]:
        """Take back the room of one request; return the pools that are to be closed."""
        with self._lock:
            now = time.monotonic()
            heapq.heappush(self._room, number)
            self._used[number] -= 1
            self._since[number] = now
            if not self._retired and now - self._swept < _KEEP_ALIVE:
                return []
            self._swept = now
            return self._idle(0.0 if self._retired else _KEEP_ALIVE, now)

    def retire(self) -> list[Any]:
        """Return the idle pools to be closed; `give` will return the others when they are."""
        with self._lock:
            self._retired = True
            return self._idle(0.0, time.monotonic())

    def _idle(self, seconds: float, now: float) -> list[Any]:
        found = []
        for number, pool in enumerate(self._pools):
            if pool is None or self._used[number] or now - self._since[number] < seconds:
                continue
            found.append(pool)
            self._pools[number] = None
        return found


class _Tracked(httpx.SyncByteStream):
    """A response's bytes; gives the room in the pool back when it is closed."""

    def __init__(self, stream: Any, slots: _Slots, number: int) -> None:
        self._stream, self._slots, self._number = stream, slots, number

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        slots, self._slots = self._slots, None  # type: ignore[assignment] # only once
        self._stream.close()
        for pool in slots.give(self._number) if slots else ():
            pool.close()


class _AsyncTracked(httpx.AsyncByteStream):
    """The same for asyncio."""

    def __init__(self, stream: Any, slots: _Slots, number: int) -> None:
        self._stream, self._slots, self._number = stream, slots, number

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        slots, self._slots = self._slots, None  # type: ignore[assignment] # only once
        try:
            await self._stream.aclose()
        finally:
            for pool in slots.give(self._number) if slots else ():
                await pool.aclose()


class Pools(httpx.BaseTransport):
    """A blocking transport of many small connection pools."""

    def __init__(self, make: Callable[[], httpx.BaseTransport]) -> None:
        """Take what makes one pool."""
        self._slots = _Slots(make)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the first pool with room."""
        number, pool = self._slots.take()
        try:
            response: httpx.Response = pool.handle_request(request)
        except BaseException:
            self._slots.give(number)
            raise
        response.stream = _Tracked(response.stream, self._slots, number)
        return response

    def close(self) -> None:
        """Close what is idle now, and the rest as soon as it is."""
        for pool in self._slots.retire():
            pool.close()


class AsyncPools(httpx.AsyncBaseTransport):
    """An asyncio transport of many small connection pools."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        """Take what makes one pool."""
        self._slots = _Slots(make)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the first pool with room."""
        number, pool = self._slots.take()
        try:
            response: httpx.Response = await pool.handle_async_request(request)
        except BaseException:
            self._slots.give(number)
            raise
        response.stream = _AsyncTracked(response.stream, self._slots, number)
        return response

    async def aclose(self) -> None:
        """Close what is idle now, and the rest as soon as it is."""
        for pool in self._slots.retire():
            await pool.aclose()


@functools.lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # 20 ms: one for the process


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment asks for; never one for this machine itself."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _pool_options(base_url: str) -> dict[str, Any]:
    proxy = _proxy(base_url)
    if proxy and proxy.startswith("socks"):
        _require_socks()
    limits = httpx.Limits(
        max_connections=_POOL_SIZE,
        max_keepalive_connections=_POOL_SIZE,
        keepalive_expiry=_KEEP_ALIVE,
    )
    return {"verify": _ssl_context(), "limits": limits, "proxy": proxy, "trust_env": False}


def _require_socks() -> None:
    if importlib.util.find_spec("socksio") is None:
        hint = hint_of(
            'Install it: pip install "httpx[socks]", or unset ALL_PROXY.',
            '请安装：pip install "httpx[socks]"，或取消 ALL_PROXY。',
        )
        message = "The environment names a SOCKS proxy, which httpx needs socksio for."
        raise CozeInvalidRequestError(message, hint=hint)


# --- The clients of this process -----------------------------------------------------------------


class _Connections:
    """The pools of this process: blocking by server, asyncio by event loop and server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocking: dict[str, Pools] = {}
        self._loops: dict[asyncio.AbstractEventLoop, _LoopConnections] = {}

    def blocking(self, base_url: str) -> Pools:
        """Return the pools for a server."""
        pools = self._blocking.get(base_url)
        if pools is None:
            make = functools.partial(httpx.HTTPTransport, **_pool_options(base_url))
            with self._lock:
                pools = self._blocking.setdefault(base_url, Pools(make))
        return pools

    def running(self, base_url: str) -> AsyncPools:
        """Return the pools for a server on the running event loop."""
        loop = asyncio.get_running_loop()
        known = self._loops.get(loop)
        if known is None or known.ended:
            known = _LoopConnections()
            with self._lock:  # pools keep their loop alive, so closed loops are swept out here
                for old in [old for old in self._loops if old.is_closed()]:
                    del self._loops[old]
                self._loops[loop] = known
        pools = known.by_server.get(base_url)
        if pools is None:
            make = functools.partial(httpx.AsyncHTTPTransport, **_pool_options(base_url))
            pools = known.by_server[base_url] = AsyncPools(make)
        return pools

    def close(self, base_url: str | None = None) -> None:
        """Close the blocking pools of a server, or of all."""
        with self._lock:
            urls = list(self._blocking) if base_url is None else [base_url]
            found = [self._blocking.pop(url, None) for url in urls]
        for pools in found:
            if pools is not None:
                pools.close()

    async def aclose(self, base_url: str) -> None:
        """Close the pools of a server on the running event loop."""
        known = self._loops.get(asyncio.get_running_loop())
        pools = known.by_server.pop(base_url, None) if known else None
        if pools is not None:
            await pools.aclose()


class _LoopConnections:
    """The pools of one event loop, closed when the loop is shut down."""

    def __init__(self) -> None:
        self.by_server: dict[str, AsyncPools] = {}
        self.ended = False
        # A loop closes its asynchronous generators before it ends (`asyncio.run` sees to that), so
        # one that has been started here is told in time. It starts without awaiting anything.
        self._watch = self._until_shutdown()
        with contextlib.suppress(StopIteration):
            self._watch.__anext__().send(None)

    async def _until_shutdown(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.ended = True
            for pools in self.by_server.values():
                await pools.aclose()


_connections = _Connections()


@atexit.register
def _at_exit() -> None:
    _connections.close()


def _after_fork() -> None:
    global _connections  # noqa: PLW0603 - a forked child must not touch its parent's connections
    _connections = _Connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def blocking(base_url: str) -> Pools:
    """Return this process's blocking connections to a server."""
    return _connections.blocking(base_url)


def running(base_url: str) -> AsyncPools:
    """Return the running event loop's connections to a server."""
    return _connections.running(base_url)


def close(base_url: str) -> None:
    """Close the blocking connections to a server; running streams end in peace."""
    _connections.close(base_url)


async def aclose(base_url: str) -> None:
    """Close the running event loop's connections to a server; running streams end in peace."""
    await _connections.aclose(base_url)
