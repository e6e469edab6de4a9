"""HTTP with httpx: sends requests, reads replies and streams, maps timeouts and exceptions.

Only this module and `langchain_coze._api.pool` import httpx. Each request carries its token in a
header, so all tokens can share the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import platform
import time
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

import httpx

from langchain_coze._api.deadlines import Deadline
from langchain_coze._api.effects import Reply, Request
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze._api.http_errors import map_httpx_error
from langchain_coze._api.pool import mark_broken
from langchain_coze._api.proxies import describe_route
from langchain_coze._api.replies import HTTP_ERROR, dump_json
from langchain_coze._api.settings import (
    CONNECT_TIMEOUT,
    DRAIN_SECONDS,
    LAST_EVENT_SECONDS,
    READ_TIMEOUT,
)
from langchain_coze._version import __version__
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from pydantic import SecretStr

    from langchain_coze._api.deadlines import SocketTimer
    from langchain_coze._api.pool import ConnectionPools
    from langchain_coze._api.proxies import Route
    from langchain_coze._api.settings import Settings

_USER_AGENT = f"langchain-coze/{__version__} python/{platform.python_version()}"


# --- Requests and replies ----------------------------------------------------------------------


def _build_headers(request: Request, settings: Settings, token: SecretStr) -> dict[str, str]:
    headers = {
        "accept-encoding": "identity",  # compression would delay events
        "user-agent": _USER_AGENT,
        **({} if request.body is None else {"content-type": "application/json"}),
        **{name.lower(): value for name, value in settings.headers.items()},
    }
    if request.file is not None:
        headers.pop("content-type", None)  # httpx adds the boundary of the form
    return headers | {"authorization": f"Bearer {token.get_secret_value()}"}


def _build_content(request: Request) -> dict[str, Any]:
    """Return the keyword arguments of `httpx.Request` for a body or a file."""
    if request.file is not None:
        return {"files": {"file": tuple(request.file)}}
    return {} if request.body is None else {"content": dump_json(request.body)}


def _build_own_request(
    request: Request, settings: Settings, token: SecretStr, trace: Callable[..., Any] | None
) -> httpx.Request:
    """Return the request for this package's connection pools.

    They are used without an `httpx.Client`: the features that a client adds (cookies, redirects,
    authentication flows) are not wanted, and cost a third of the time to the first byte.
    """
    url = _parse_url(settings.base_url + request.path)
    extensions = {"timeout": _resolve_timeout(settings, request).as_dict()}
    if trace is not None:
        extensions["trace"] = trace
    return httpx.Request(
        request.method,
        url.copy_merge_params(request.query) if request.query else url,
        headers=_build_headers(request, settings, token),
        extensions=extensions,
        **_build_content(request),
    )


def _build_client_request(
    client: Any,
    request: Request,
    settings: Settings,
    token: SecretStr,
    trace: Callable[..., Any] | None,
) -> Any:
    """Return the request for a user-supplied client, built by that client."""
    options: dict[str, Any] = {}
    if settings.timeout is not ...:
        options["timeout"] = _resolve_timeout(settings, request)
    elif request.deadline is not None:
        options["timeout"] = _shorten(client.timeout, request.deadline)
    if trace is not None:
        options["extensions"] = {"trace": trace}
    return client.build_request(
        request.method,
        settings.base_url + request.path,
        params=dict(request.query) or None,
        headers=_build_headers(request, settings, token),
        **_build_content(request),
        **options,
    )


@functools.lru_cache(maxsize=64)
def _parse_url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _resolve_timeout(settings: Settings, request: Request) -> Any:
    """Return the httpx timeout of one request."""
    timeout = settings.timeout
    if timeout is ...:  # the user-supplied client is of the other kind (sync or async)
        timeout = READ_TIMEOUT
    if timeout is not None and not isinstance(timeout, (int, float)):
        return timeout if request.deadline is None else _shorten(timeout, request.deadline)
    if request.read_timeout is not None:
        timeout = request.read_timeout if timeout is None else min(timeout, request.read_timeout)
    return _to_httpx_timeout(timeout)


def _shorten(timeout: Any, deadline: float) -> httpx.Timeout:
    """Return an `httpx.Timeout` that waits no longer than until the deadline."""
    left = max(deadline - time.monotonic(), 0.0)
    limits = httpx.Timeout(timeout).as_dict().items()
    return httpx.Timeout(**{name: left if v is None else min(v, left) for name, v in limits})


@functools.lru_cache(maxsize=64)
def _to_httpx_timeout(timeout: float | None) -> httpx.Timeout:
    connect = CONNECT_TIMEOUT if timeout is None else min(CONNECT_TIMEOUT, timeout)
    return httpx.Timeout(timeout, connect=connect)


def _is_event_stream(request: Request, reply: Reply) -> bool:
    """Return whether a reply is the event stream that the request expects."""
    kind = reply.headers.get("content-type", "").lower()
    events = "event-stream" in kind
    expected = events if request.stream is None else request.stream and (events or not kind)
    return expected and reply.status_code < HTTP_ERROR


def _build_reply(response: httpx.Response, token: SecretStr) -> Reply:
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers.raw}
    return Reply(status_code=response.status_code, headers=headers, token=token.get_secret_value())


def _is_compressed(response: httpx.Response) -> bool:
    return bool(response.headers.get("content-encoding", "identity") != "identity")


class ParserState(Protocol):
    """A parser that knows whether the turn has ended and whether the last event has arrived."""

    is_finished: bool
    is_done: bool


class Stream:
    """The bytes of an open response, for sync callers.

    Use it in a `with` block: leaving the block closes the response and turns an exception of the
    HTTP client into a `CozeStreamError` or `CozeTimeoutError`.

    Attributes:
        buffered: Bytes that have already been read from `chunks`; process them first.
        chunks: The rest of the response.
    """

    __slots__ = ("_deadline", "_response", "_timer", "buffered", "chunks")

    def __init__(
        self, response: httpx.Response, timer: SocketTimer, deadline: Deadline | None = None
    ) -> None:
        """Take over an open response that must end by its deadline."""
        self._response = response
        self._timer = timer
        self.buffered = b""
        # `response.stream` skips a layer of httpx that only counts bytes
        self.chunks: Iterator[bytes] = (
            response.iter_bytes() if _is_compressed(response) else iter(response.stream)  # type: ignore[arg-type] # a sync stream
        )
        self._deadline = deadline
        if deadline is not None:
            deadline.watch_response(response.extensions)
            self.chunks = deadline.enforce(self.chunks)

    def read(self, deadline: float | None = None) -> bytes | None:
        """Return the next bytes, or None at the end.

        Args:
            deadline: When to stop waiting, by `time.monotonic()`; the stream is then closed. Works
                only with access to the socket, which a user-supplied client may not expose or may
                share (HTTP/2).
        """
        limit = None if deadline is None else Deadline(deadline, self._timer)
        try:
            if limit:
                limit.watch_response(self._response.extensions)
            return next(self.chunks, None)
        except BaseException as error:  # noqa: BLE001 - closes, then `_raise_mapped` re-raises
            mark_broken(self._response)
            self.close()
            if limit and limit.expired and isinstance(error, Exception):
                return None
            self._raise_mapped(error)
        finally:
            if limit:
                limit.cancel()

    def read_until_done(self, parser: ParserState) -> Iterator[bytes]:
        """Yield all bytes until the parser has read the last event.

        Once the turn has ended, the wait for the last event and for the end of the response is
        short, and errors do not matter: some servers keep the connection open, or send heartbeats.
        A response that was read to its end leaves its connection to other requests.

        Args:
            parser: The parser that the caller gives each read to.
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
            self._raise_mapped(error)

    def _raise_mapped(self, error: BaseException) -> NoReturn:
        _raise_mapped(error, deadline=self._deadline)


class AsyncStream:
    """Async version of `Stream`; use it in an `async with` block."""

    __slots__ = ("_response", "buffered", "chunks")

    def __init__(self, response: httpx.Response, deadline: Deadline | None = None) -> None:
        """Take over an open response that must end by its deadline."""
        self._response = response
        self.buffered = b""
        self.chunks: AsyncIterator[bytes] = (
            response.aiter_bytes() if _is_compressed(response) else aiter(response.stream)  # type: ignore[arg-type] # an async stream
        )
        if deadline is not None:
            self.chunks = deadline.aenforce(self.chunks)

    async def read(self, deadline: float | None = None) -> bytes | None:
        """Async version of `Stream.read`; the deadline always works."""
        seconds_left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(seconds_left) as limit:
                return await anext(self.chunks, None)
        except BaseException as error:  # noqa: BLE001 - closes, then `_raise_mapped` re-raises
            mark_broken(self._response)
            await self.close()
            if limit.expired() and isinstance(error, TimeoutError):
                return None
            _raise_mapped(error)

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
            _raise_mapped(error)


def send(request: Request, settings: Settings, token: SecretStr, pools: ConnectionPools) -> Reply:
    """Send a request and return the reply; an event stream is returned open.

    Raises:
        CozeConnectionError: The server could not be reached, or the connection broke.
        CozeTimeoutError: The server was silent for too long, or the deadline has passed.
    """
    deadline = None if request.deadline is None else Deadline(request.deadline, pools.timer)
    trace = None if deadline is None else deadline.trace
    try:
        client = settings.http_client
        if client is None:
            built = _build_own_request(request, settings, token, trace)
            response = pools.get_sync_pool(settings.base_url).handle_request(built, deadline)
        else:
            response = client.send(
                _build_client_request(client, request, settings, token, trace), stream=True
            )
        stream = Stream(response, pools.timer, deadline)
        reply = _build_reply(response, token)
        if _is_event_stream(request, reply):
            reply.stream = stream
        else:
            with stream:
                reply.body = b"".join(stream.chunks)
    except Exception as error:  # noqa: BLE001 - `_raise_mapped` re-raises
        if deadline is not None:
            deadline.cancel()
        get_route = functools.partial(describe_route, settings, settings.http_client)
        _raise_mapped(error, deadline=deadline, get_route=get_route)
    return reply


async def asend(
    request: Request, settings: Settings, token: SecretStr, pools: ConnectionPools
) -> Reply:
    """Async version of `send`."""
    deadline = None if request.deadline is None else Deadline(request.deadline, pools.timer)
    trace = None if deadline is None else deadline.atrace
    try:
        client = settings.http_async_client
        async with asyncio.timeout(None if deadline is None else deadline.seconds_left):
            if client is None:
                built = _build_own_request(request, settings, token, trace)
                pool = await pools.get_async_pool(settings.base_url)
                response = await pool.handle_async_request(built)
            else:
                response = await client.send(
                    _build_client_request(client, request, settings, token, trace), stream=True
                )
        stream = AsyncStream(response, deadline)
        reply = _build_reply(response, token)
        if _is_event_stream(request, reply):
            reply.stream = stream
        else:
            async with stream:
                reply.body = b"".join([part async for part in stream.chunks])
    except Exception as error:  # noqa: BLE001 - `_raise_mapped` re-raises
        get_route = functools.partial(describe_route, settings, settings.http_async_client)
        _raise_mapped(error, deadline=deadline, get_route=get_route)
    return reply


# --- Exceptions --------------------------------------------------------------------------------


def _raise_mapped(
    error: BaseException,
    *,
    deadline: Deadline | None = None,
    get_route: Callable[[], Route] | None = None,
) -> NoReturn:
    if deadline is not None and deadline.expired and isinstance(error, Exception):
        raise make_deadline_error(may_have_started=deadline.may_have_started) from error
    mapped = map_httpx_error(error, get_route)
    if mapped is error:
        raise error
    raise mapped from error
