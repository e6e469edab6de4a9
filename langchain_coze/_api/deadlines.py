"""Deadlines: limit the total time of a request and its response, sync and async.

The timeouts of an HTTP client limit only the wait for the next bytes: a response that trickles in,
or endless 1xx replies, would never end a call. The async version uses `asyncio.timeout`. A blocking
sync read can only be ended from another thread: one timer thread shuts down the sockets of all
requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze._api.settings import DRAIN_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping


def compute_seconds_left(deadline: float | None, limit: float | None = None) -> float | None:
    """Return the seconds until a deadline (`time.monotonic()`), between 0 and `limit`."""
    if deadline is None:
        return limit
    seconds_left = max(deadline - time.monotonic(), 0.0)
    return seconds_left if limit is None else min(seconds_left, limit)


def has_passed(deadline: float | None) -> bool:
    """Return whether a deadline (`time.monotonic()`) has passed; False without one."""
    return deadline is not None and time.monotonic() >= deadline


class SocketTimer:
    """Shuts down each socket at its deadline; one daemon thread serves all sockets.

    While there is work, the thread looks at the deadlines every `_TICK` seconds, so that `start`
    rarely has to wake it: to wake it for each request costs more than the rest of the timer.
    """

    _TICK = DRAIN_SECONDS  # the shortest time that a caller asks for

    def __init__(self) -> None:
        """Create a timer; its thread starts with the first socket."""
        self._changed = threading.Condition()
        self._sockets: dict[Any, tuple[float, socket.socket]] = {}
        self._is_busy = False
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def start(self, key: Any, expires_at: float, connection: socket.socket) -> None:
        """Shut a socket down at `expires_at` (`time.monotonic()`), unless `stop` comes first."""
        with self._changed:
            self._sockets[key] = expires_at, connection
            self._is_busy = True
            if self._thread is None:
                self._start_thread()
            elif expires_at < self._wakes_at:
                self._changed.notify()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="coze-timer", daemon=True)
        # While the interpreter ends, Python 3.12 starts no thread; a request that is sent then,
        # such as a cancel, has only the timeouts of its client.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def stop(self, key: Any) -> None:
        """Stop watching a socket, so that another request can use it."""
        with self._changed:
            self._sockets.pop(key, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for key, (expires_at, connection) in list(self._sockets.items()):
                    if expires_at <= now:
                        del self._sockets[key]
                        with contextlib.suppress(OSError):  # already closed
                            # bypass `SSLSocket.shutdown`, which no other thread may call
                            socket.socket.shutdown(connection, socket.SHUT_RDWR)
                times = [expires_at for expires_at, _ in self._sockets.values()]
                if self._is_busy:
                    times.append(now + self._TICK)
                self._is_busy = False
                self._wakes_at = min(times, default=math.inf)
                self._changed.wait(self._wakes_at - now if times else None)


class Deadline:
    """The deadline of one request and its response.

    Attributes:
        may_have_started: Whether the server may have received the request.
    """

    __slots__ = ("_expires_at", "_new_socket", "_timer", "may_have_started")

    def __init__(self, expires_at: float, timer: SocketTimer) -> None:
        """Create a deadline at a time of `time.monotonic()`; the timer ends sync reads."""
        self._expires_at = expires_at
        self._timer = timer
        self._new_socket: socket.socket | None = None
        self.may_have_started = True

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return has_passed(self._expires_at)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow a sync request; httpx calls this at each step, as its `trace` extension."""
        self._follow(event)
        if event.endswith(".connect_tcp.complete"):
            raw_socket = info["return_value"].get_extra_info("socket")
            if isinstance(raw_socket, socket.socket):
                self.cancel()
                self._new_socket = raw_socket.dup()  # TLS takes over the other one
                self._timer.start(self, self._expires_at, self._new_socket)
        elif event.endswith(".start_tls.complete"):
            tls = info["return_value"].get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                self.cancel()  # other requests will share the connection

    async def atrace(self, event: str, info: Mapping[str, Any]) -> None:
        """Async version of `trace`."""
        del info
        self._follow(event)

    def _follow(self, event: str) -> None:
        if event.endswith(".connect_tcp.started"):
            self.may_have_started = False
        elif event.endswith(".send_request_headers.started"):
            self.may_have_started = True

    def watch(self, connection: Any) -> None:
        """Shut down a connection (an httpx `network_stream`), if known, at the deadline."""
        raw_socket = connection and connection.get_extra_info("socket")
        if self._new_socket is None and isinstance(raw_socket, socket.socket):
            self._timer.start(self, self._expires_at, raw_socket)

    def watch_response(self, extensions: Mapping[str, Any]) -> None:
        """Shut down the connection of an httpx response at the deadline, unless it is shared."""
        if extensions.get("http_version") != b"HTTP/2":
            self.watch(extensions.get("network_stream"))

    def enforce(self, chunks: Iterator[bytes]) -> Generator[bytes]:
        """Yield the parts that arrive before the deadline; raise once it has passed."""
        for part in chunks:
            if self.expired:
                raise make_deadline_error(may_have_started=True)
            yield part
        if self.expired:  # a shutdown of the socket may look like the end of the stream
            raise make_deadline_error(may_have_started=True)

    async def aenforce(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """Async version of `enforce`; it also ends a read that waits for bytes."""
        while True:
            try:
                async with asyncio.timeout(compute_seconds_left(self._expires_at)):
                    part = await anext(chunks, None)
            except TimeoutError as error:
                raise make_deadline_error(may_have_started=True) from error
            if part is None:
                return
            yield part

    def cancel(self) -> None:
        """Stop watching the connection."""
        self._timer.stop(self)
        if self._new_socket is not None:
            self._new_socket.close()
            self._new_socket = None
