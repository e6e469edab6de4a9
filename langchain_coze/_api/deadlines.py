"""The total time of a stream: its end comes on time, whatever the server does.

A read time-out bounds silence only. A blocking read that waits for bytes can be ended from outside
by shutting the socket down, which is what a timer does here; asyncio has time-outs of its own.
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
    """Ends a blocking stream when its time is up.

    Args:
        deadline: When, by `time.monotonic()`.
        extensions: What httpx tells of the response: its connection, where that is known.
    """

    __slots__ = ("_expires_at", "_timer")

    def __init__(self, deadline: float, extensions: Mapping[str, Any]) -> None:
        """Start the timer, if there is a socket that it could shut down."""
        self._expires_at = deadline
        self._timer: threading.Timer | None = None
        connection = extensions.get("network_stream")
        raw_socket = connection.get_extra_info("socket") if connection is not None else None
        alone = extensions.get("http_version") != b"HTTP/2"  # else other streams use it as well
        if alone and isinstance(raw_socket, socket.socket):
            seconds_left = max(deadline - time.monotonic(), 0.0)
            self._timer = threading.Timer(seconds_left, _shut_down, [raw_socket])
            self._timer.daemon = True
            self._timer.start()

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._expires_at

    def enforce(self, parts: Iterator[bytes]) -> Generator[bytes]:
        """Pass on what arrives in time.

        Raises:
            CozeTimeoutError: The time is up.
        """
        for part in parts:
            if self.expired:
                raise make_deadline_error(may_have_started=True)
            yield part
        if self.expired:  # a connection that was shut down may look like the end
            raise make_deadline_error(may_have_started=True)

    def cancel(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            if self._timer is not threading.current_thread():
                self._timer.join()  # it ends at once, and must not hit the next request


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed in the meantime
        # past the method of an SSL socket, which is not made for other threads
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


async def with_deadline(parts: AsyncIterator[bytes], deadline: float) -> AsyncGenerator[bytes]:
    """Pass on what arrives in time.

    Args:
        parts: What arrives.
        deadline: When the time is up, by `time.monotonic()`.

    Raises:
        CozeTimeoutError: The time is up.
    """
    while True:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                part = await anext(parts, None)
        except TimeoutError as error:
            raise make_deadline_error(may_have_started=True) from error
        if part is None:
            return
        yield part
