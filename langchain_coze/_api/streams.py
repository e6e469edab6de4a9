"""The bytes of an open HTTP response: read to the end, to a deadline, or to the last event."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from langchain_coze._api.deadlines import Deadline, compute_seconds_left
from langchain_coze._api.http_errors import raise_mapped
from langchain_coze._api.pool import mark_broken
from langchain_coze._api.settings import DRAIN_SECONDS, LAST_EVENT_SECONDS, MAX_BODY_SIZE
from langchain_coze.errors import CozeError, CozeServerError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from langchain_coze._api.deadlines import SocketTimer


def is_compressed(headers: Mapping[str, str]) -> bool:
    """Return whether the body of a response with these headers (lower-case) is compressed."""
    return headers.get("content-encoding", "identity") != "identity"


def _extend(body: bytearray, part: bytes) -> None:
    body += part
    if len(body) > MAX_BODY_SIZE:
        raise CozeServerError(f"The response exceeds {MAX_BODY_SIZE >> 20} MB.")


class ParserState(Protocol):
    """A parser that reports whether the turn has ended and whether the last event has arrived."""

    is_finished: bool
    is_done: bool


class Stream:
    """The bytes of an open response, for sync callers.

    Use it in a `with` block, which closes the response and converts exceptions of the HTTP client
    to `CozeStreamError` or `CozeTimeoutError`.

    Attributes:
        buffered: Bytes already read from `chunks`; process them first.
        chunks: The rest of the response.
    """

    __slots__ = ("_deadline", "_response", "_timer", "buffered", "chunks")

    def __init__(
        self,
        response: Any,
        headers: Mapping[str, str],
        timer: SocketTimer,
        deadline: Deadline | None = None,
    ) -> None:
        """Wrap an open response, which must end by its deadline."""
        self._response = response
        self._timer = timer
        self.buffered = b""
        # `response.stream` skips a layer of httpx that only counts bytes
        self.chunks: Iterator[bytes] = (
            response.iter_bytes() if is_compressed(headers) else iter(response.stream)
        )
        self._deadline = deadline
        if deadline is not None:
            deadline.watch_response(response.extensions)
            self.chunks = deadline.enforce(self.chunks)

    def read(self, deadline: float | None = None) -> bytes | None:
        """Return the next bytes, or None at the end or at the deadline, which closes the stream.

        The deadline requires access to the socket, which a user-supplied client may not expose or
        may share (HTTP/2).
        """
        limit = None if deadline is None else Deadline(deadline, self._timer)
        try:
            if limit:
                limit.watch_response(self._response.extensions)
            return next(self.chunks, None)
        except BaseException as error:  # noqa: BLE001 - closes, then `raise_mapped` re-raises
            mark_broken(self._response)
            self.close()
            if limit and limit.expired and isinstance(error, Exception):
                return None
            raise_mapped(error, deadline=self._deadline)
        finally:
            if limit:
                limit.cancel()

    def read_until_done(self, parser: ParserState) -> Iterator[bytes]:
        """Yield all bytes until the parser has read the last event.

        The caller feeds each read to the parser. After the end of the turn, the wait for the last
        event and for the end of the response is short, and errors are ignored: some servers keep
        the connection open, or send heartbeats. If the response is read to its end, other requests
        can reuse its connection.
        """
        yield self.buffered
        if not parser.is_finished:
            for data in self.chunks:
                yield data
                if parser.is_finished:
                    break
            else:
                return
        deadline = time.monotonic() + LAST_EVENT_SECONDS
        with contextlib.suppress(CozeError):
            while not parser.is_done and (rest := self.read(deadline)) is not None:
                yield rest
            if parser.is_done:
                self.read(time.monotonic() + DRAIN_SECONDS)

    def read_body(self, error: CozeError | None = None) -> bytes:
        """Return the whole body, and close the response; raise `error` instead if there is one."""
        body = bytearray()
        with self:
            if error is not None:
                raise error
            for part in self.chunks:
                _extend(body, part)
        return bytes(body)

    def close(self) -> None:
        """Close the response; its connection is kept if the response was read to its end."""
        if self._deadline:
            self._deadline.cancel()
        self._response.close()

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the response; map an exception of the HTTP client."""
        if error is not None:
            mark_broken(self._response)
        self.close()
        if isinstance(error, Exception):
            raise_mapped(error, deadline=self._deadline)


class AsyncStream:
    """Async version of `Stream`; use it in an `async with` block."""

    __slots__ = ("_response", "buffered", "chunks")

    def __init__(
        self, response: Any, headers: Mapping[str, str], deadline: Deadline | None = None
    ) -> None:
        """Wrap an open response, which must end by its deadline."""
        self._response = response
        self.buffered = b""
        self.chunks: AsyncIterator[bytes] = (
            response.aiter_bytes() if is_compressed(headers) else aiter(response.stream)
        )
        if deadline is not None:
            self.chunks = deadline.aenforce(self.chunks)

    async def read(self, deadline: float | None = None) -> bytes | None:
        """Async version of `Stream.read`; the deadline always works."""
        try:
            async with asyncio.timeout(compute_seconds_left(deadline)) as limit:
                return await anext(self.chunks, None)
        except BaseException as error:  # noqa: BLE001 - closes, then `raise_mapped` re-raises
            mark_broken(self._response)
            await self.close()
            if limit.expired() and isinstance(error, TimeoutError):
                return None
            raise_mapped(error)

    async def read_until_done(self, parser: ParserState) -> AsyncGenerator[bytes]:
        """Async version of `Stream.read_until_done`."""
        yield self.buffered
        if not parser.is_finished:
            async for data in self.chunks:
                yield data
                if parser.is_finished:
                    break
            else:
                return
        deadline = time.monotonic() + LAST_EVENT_SECONDS
        with contextlib.suppress(CozeError):
            while not parser.is_done and (rest := await self.read(deadline)) is not None:
                yield rest
            if parser.is_done:
                await self.read(time.monotonic() + DRAIN_SECONDS)

    async def read_body(self, error: CozeError | None = None) -> bytes:
        """Async version of `Stream.read_body`."""
        body = bytearray()
        async with self:
            if error is not None:
                raise error
            async for part in self.chunks:
                _extend(body, part)
        return bytes(body)

    async def close(self) -> None:
        """Close the response; its connection is kept if the response was read to its end."""
        await self._response.aclose()

    async def __aenter__(self) -> Self:
        """Return the stream."""
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the response; map an exception of the HTTP client."""
        if error is not None:
            mark_broken(self._response)
        await self.close()
        if isinstance(error, Exception):
            raise_mapped(error)
