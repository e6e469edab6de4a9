"""HTTP with httpx: sends requests, reads replies and streams, maps timeouts and exceptions.

Only this module and `langchain_coze._api.pool` import httpx. Each request has its token in a
header, so requests with different tokens share connections.
"""

from __future__ import annotations

import asyncio
import functools
import platform
from typing import TYPE_CHECKING, Any

import httpx

from langchain_coze import _hints as hints
from langchain_coze._api.deadlines import Deadline, compute_seconds_left
from langchain_coze._api.effects import Reply, Request
from langchain_coze._api.http_errors import raise_mapped
from langchain_coze._api.proxies import describe_route
from langchain_coze._api.replies import HTTP_ERROR, dump_json
from langchain_coze._api.settings import CONNECT_TIMEOUT, READ_TIMEOUT
from langchain_coze._api.streams import AsyncStream, Stream, is_compressed
from langchain_coze._version import __version__
from langchain_coze.errors import CozeServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from langchain_coze._api.pool import ConnectionPools
    from langchain_coze._api.settings import Settings

_USER_AGENT = f"langchain-coze/{__version__} python/{platform.python_version()}"


# --- Requests and replies ----------------------------------------------------------------------


def _build_headers(request: Request, settings: Settings, token: SecretStr) -> dict[str, str]:
    more = settings.headers() if callable(settings.headers) else settings.headers
    headers = {
        "accept-encoding": "identity",  # compression would delay events
        "user-agent": _USER_AGENT,
        **({} if request.body is None else {"content-type": "application/json"}),
        **{name.lower(): value for name, value in more.items()},
        **request.headers,
    }
    if request.file is not None:
        headers.pop("content-type", None)  # httpx adds the boundary of the form
    return headers | {"authorization": f"Bearer {token.get_secret_value()}"}


def _build_content(request: Request) -> dict[str, Any]:
    """Return the keyword arguments of `httpx.Request` for a body or a file."""
    if request.file is not None:
        return {"files": {"file": tuple(request.file)}}
    return {} if request.body is None else {"content": dump_json(request.body)}


def _build_prepared_request(
    method: str, url: httpx.URL, headers: dict[str, str], content: bytes, extensions: dict[str, Any]
) -> httpx.Request:
    """Return a request with all headers set: httpx needs three times as long to find them."""
    host, length = url.netloc.decode("ascii"), str(len(content))
    headers = {"host": host, **headers, "content-length": length}
    stream = httpx.ByteStream(content)
    request = httpx.Request(method, url, headers=headers, stream=stream, extensions=extensions)
    request.read()  # so that its content can be read, as in any other request
    return request


def _build_request(
    client: Any,
    request: Request,
    settings: Settings,
    token: SecretStr,
    trace: Callable[..., Any] | None,
) -> Any:
    """Return the request for a user-supplied client, or for this package's pools (None).

    The pools are used without an `httpx.Client`: its features (cookies, redirects, authentication
    flows) are not needed, and cost a third of the time to the first byte.
    """
    content = {"headers": _build_headers(request, settings, token), **_build_content(request)}
    extensions = {} if trace is None else {"trace": trace}
    if client is None:
        url = _parse_url(settings.base_url + request.path)
        if request.query:
            url = url.copy_merge_params(request.query)
        extensions["timeout"] = _resolve_timeout(settings, request).as_dict()
        if "content" in content:
            return _build_prepared_request(request.method, url, extensions=extensions, **content)
        return httpx.Request(request.method, url, extensions=extensions, **content)
    if settings.timeout is not ...:
        content["timeout"] = _resolve_timeout(settings, request)
    elif request.deadline is not None and isinstance(client.timeout, httpx.Timeout):
        content["timeout"] = _shorten(client.timeout, request.deadline)
    if extensions:
        content["extensions"] = extensions
    params, address = dict(request.query) or None, settings.base_url + request.path
    return client.build_request(request.method, address, params=params, **content)


@functools.lru_cache(maxsize=64)
def _parse_url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _resolve_timeout(settings: Settings, request: Request) -> Any:
    """Return the httpx timeout of one request."""
    timeout = settings.timeout
    if timeout is ...:  # only a client for the other kind of call (sync or async) is set
        timeout = READ_TIMEOUT
    if timeout is not None and not isinstance(timeout, (int, float)):
        return timeout if request.deadline is None else _shorten(timeout, request.deadline)
    if request.read_timeout is not None:
        timeout = request.read_timeout if timeout is None else min(timeout, request.read_timeout)
    return _to_httpx_timeout(timeout)


def _shorten(timeout: Any, deadline: float) -> httpx.Timeout:
    """Return an `httpx.Timeout` that waits no longer than until the deadline."""
    limits = httpx.Timeout(timeout).as_dict().items()
    return httpx.Timeout(**{name: compute_seconds_left(deadline, limit) for name, limit in limits})


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


def _build_reply(response: Any, settings: Settings, token: SecretStr) -> Reply:
    return Reply(
        status_code=response.status_code,
        headers={
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers.raw
        },
        token=token.get_secret_value(),
        is_studio=settings.is_studio,
    )


def _find_encoding_error(reply: Reply, request: Any) -> CozeServerError | None:
    """Return the error for an unrequested compressed response, which may expand to a huge size."""
    if not is_compressed(reply.headers):
        return None
    encoding = reply.headers["content-encoding"]
    if encoding.lower() in request.headers.get("accept-encoding", ""):
        return None
    return CozeServerError(
        f"The response is compressed ({encoding}), but compression was not requested.",
        status_code=reply.status_code,
        hint=hints.COMPRESSED.format(encoding=encoding),
        may_have_started=True,
    )


def send(request: Request, settings: Settings, token: SecretStr, pools: ConnectionPools) -> Reply:
    """Send a request and return the reply; an event stream is returned open."""
    deadline = None if request.deadline is None else Deadline(request.deadline, pools.timer)
    trace = None if deadline is None else deadline.trace
    try:
        client = settings.http_client
        built = _build_request(client, request, settings, token, trace)
        if client is None:
            response = pools.get_sync_pool(settings.base_url).handle_request(built, deadline)
        else:
            response = client.send(built, stream=True)
        reply = _build_reply(response, settings, token)
        stream = Stream(response, reply.headers, pools.timer, deadline)
        encoding_error = _find_encoding_error(reply, built)
        if encoding_error is None and _is_event_stream(request, reply):
            reply.stream = stream
        else:
            reply.body = stream.read_body(encoding_error)
    except Exception as error:  # noqa: BLE001 - `raise_mapped` re-raises
        if deadline is not None:
            deadline.cancel()
        get_route = functools.partial(describe_route, settings, settings.http_client)
        raise_mapped(error, deadline=deadline, get_route=get_route)
    return reply


async def asend(
    request: Request, settings: Settings, token: SecretStr, pools: ConnectionPools
) -> Reply:
    """Async version of `send`."""
    deadline = None if request.deadline is None else Deadline(request.deadline, pools.timer)
    trace = None if deadline is None else deadline.atrace
    try:
        client = settings.http_async_client
        built = _build_request(client, request, settings, token, trace)
        async with asyncio.timeout(compute_seconds_left(request.deadline)):
            if client is None:
                pool = await pools.get_async_pool(settings.base_url, settings.http_backend)
                response = await pool.handle_async_request(built)
            else:
                response = await client.send(built, stream=True)
        reply = _build_reply(response, settings, token)
        stream = AsyncStream(response, reply.headers, deadline)
        encoding_error = _find_encoding_error(reply, built)
        if encoding_error is None and _is_event_stream(request, reply):
            reply.stream = stream
        else:
            reply.body = await stream.read_body(encoding_error)
    except Exception as error:  # noqa: BLE001 - `raise_mapped` re-raises
        get_route = functools.partial(describe_route, settings, settings.http_async_client)
        raise_mapped(error, deadline=deadline, get_route=get_route)
    return reply
