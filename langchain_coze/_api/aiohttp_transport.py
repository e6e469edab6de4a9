"""The aiohttp backend: an httpx transport with one connection of aiohttp.

Only this module imports aiohttp, and only the first call that uses it imports this module: aiohttp
is an extra. `httpx_aiohttp` translates requests and responses. This module adds what httpx does on
its own: nothing is kept between requests but the connection, connecting has one time limit that
includes DNS, a server that stops reading is noticed, and so is a connection that has gone stale.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import aiohttp
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable
    from ssl import SSLContext

_MAX_HEADER_SIZE = 100 << 10  # bytes, as with httpx
_READ_SIZE = 32 << 10  # bytes; half and double of it take longer for each delta
_MAYBE_STALE = 1.0  # seconds after which a server may have closed an idle connection


class _Connector(aiohttp.TCPConnector):
    """A connector that reports its progress, and that other processes and loops leave alone.

    Attributes:
        trace: The `trace` extension of the current request, or None; see `Deadline.atrace`.
    """

    trace: Any = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._process = os.getpid()

    @property
    def closed(self) -> bool:
        """Whether the connector can no longer be used: in a forked child, it is the parent's."""
        return self._closed or self._loop.is_closed() or self._process != os.getpid()

    def __del__(self, *args: Any) -> None:
        # aiohttp would use the loop: in a forked child, that takes sockets away from the parent
        if not self.closed:
            super().__del__(*args)

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        if self.trace is None:
            return await super().connect(*args, **kwargs)
        await self.trace("connection.connect_tcp.started", {})
        connection = await super().connect(*args, **kwargs)
        await self.trace("http11.send_request_headers.started", {})
        return connection


class OneConnectionTransport(AiohttpTransport):
    """A transport for one request at a time; it keeps its connection for the next one."""

    def __init__(self, *, verify: SSLContext, limits: Any, proxy: Any) -> None:
        """Take an `httpx.Limits`, and an `httpx.Proxy` whose headers hold the password, or None."""
        super().__init__(verify=verify, limits=limits, proxy=proxy)
        self._connector: Any = None
        self._used_at = 0.0

    def get_client(self) -> aiohttp.ClientSession:
        """Return a session without cookies; called once, by the first request."""
        self._connector = _Connector(
            ssl=self.ssl_context, limit=1, keepalive_timeout=self.limits.keepalive_expiry
        )
        return aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_MAX_HEADER_SIZE,
            max_field_size=_MAX_HEADER_SIZE,
        )

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request and return the response; its stream is open."""
        if self.client is None:
            self.client = self.get_client()
        elif time.monotonic() - self._used_at > _MAYBE_STALE:
            for _ in range(2):  # let the loop read that the server has closed the connection
                await asyncio.sleep(0)
        if self.proxy is not None and request.url.scheme == "http":
            request.headers.update(self.proxy.headers)  # there is no tunnel to ask for
        self._connector.trace = request.extensions.get("trace")
        limits = request.extensions["timeout"]
        request.extensions["timeout"] = limits | {"pool": limits["connect"]}
        try:
            response = await self._send(request, limits["write"], limits["read"])
        except Exception as error:
            _hide_headers(error)
            raise
        finally:
            self._used_at = time.monotonic()
        response.stream.CHUNK_SIZE = _READ_SIZE
        return response

    async def _send(self, request: Any, write: float | None, read: float | None) -> Any:
        """Send a request; each part of a file, and the reply, have a time limit.

        aiohttp has no limit for writing, and its limit for reading starts when all is written.
        """
        seconds = None if write is None or read is None else write + read
        try:
            async with asyncio.timeout(seconds) as limit:
                if seconds is not None and not hasattr(request, "_content"):
                    request.stream = _extend_limit(request.stream, limit, seconds)
                return await super().handle_async_request(request)
        except TimeoutError as error:
            if limit.expired():
                raise aiohttp.SocketTimeoutError("The server does not read.") from error
            raise


async def _extend_limit(
    parts: AsyncIterable[bytes], limit: asyncio.Timeout, seconds: float
) -> AsyncGenerator[bytes]:
    """Yield parts; each of them gets the full time."""
    async for part in parts:
        limit.reschedule(asyncio.get_running_loop().time() + seconds)
        yield part


def _hide_headers(error: BaseException) -> None:
    """Remove the headers from an exception of aiohttp: its repr shows them, with the token."""
    for cause in (error, error.__cause__):
        if isinstance(cause, aiohttp.ClientResponseError):
            info = cause.request_info
            no_headers = CIMultiDictProxy(CIMultiDict[str]())
            cause.request_info = aiohttp.RequestInfo(
                info.url, info.method, no_headers, info.real_url
            )
            cause.args = ()
