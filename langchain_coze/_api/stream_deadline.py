"""Deadlines for streams: limit the total time of a response, sync and async.

A read timeout limits only the silence between bytes. To end a sync read that waits for bytes, a
timer thread shuts the socket down. The async version uses `asyncio.timeout`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_coze._api.error_codes import make_deadline_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping


class Deadline:
    """Ends a sync stream at its deadline.

    Args:
        deadline: When the stream must end, by `time.monotonic()`.
        extensions: The extensions of the httpx response, which may hold its connection.
    """

    __slots__ = ("_expires_at", "_timer")

    def __init__(self, deadline: float, extensions: Mapping[str, Any]) -> None:
        """Start the timer, unless the socket is unknown or shared with other streams."""
        self._expires_at = deadline
        self._timer: threading.Timer | None = None
        connection = extensions.get("network_stream")
        raw_socket = connection.get_extra_info("socket") if connection is not None else None
        owns_socket = extensions.get("http_version") != b"HTTP/2"  # HTTP/2 streams share a socket
        if owns_socket and isinstance(raw_socket, socket.socket):
            seconds_left = max(deadline - time.monotonic(), 0.0)
            self._timer = threading.Timer(seconds_left, _shut_down, [raw_socket])
            self._timer.daemon = True
            self._timer.start()

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._expires_at

    def enforce(self, chunks: Iterator[bytes]) -> Generator[bytes]:
        """Yield the parts that arrive before the deadline.

        Raises:
            CozeTimeoutError: The deadline has passed.
        """
        for part in chunks:
            if self.expired:
                raise make_deadline_error(may_have_started=True)
            yield part
        if self.expired:  # a shutdown of the socket may look like the end of the stream
            raise make_deadline_error(may_have_started=True)

    def cancel(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            if self._timer is not threading.current_thread():
                self._timer.join()  # it ends at once; the next request may use the same socket


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # already closed
        # bypass `SSLSocket.shutdown`, which is not safe to call from another thread
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


async def with_deadline(chunks: AsyncIterator[bytes], deadline: float) -> AsyncGenerator[bytes]:
    """Yield the parts that arrive before the deadline.

    Args:
        chunks: The parts of the response.
        deadline: The deadline, by `time.monotonic()`.

    Raises:
        CozeTimeoutError: The deadline has passed.
    """
    while True:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                part = await anext(chunks, None)
        except TimeoutError as error:
            raise make_deadline_error(may_have_started=True) from error
        if part is None:
            return
        yield part
