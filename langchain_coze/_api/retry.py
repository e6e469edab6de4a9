"""Send a request, detect the errors in its reply, and retry when that is safe."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from langchain_coze._api.effects import (
    Close,
    Flow,
    Read,
    RefreshToken,
    Reply,
    Request,
    RetryPolicy,
    Sleep,
)
from langchain_coze._api.error_codes import BUSY_CODES, make_deadline_error, make_error
from langchain_coze._api.models import find_failure
from langchain_coze._api.sse import Decoder, Event
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeRateLimitError,
    CozeServerError,
    ErrorResponse,
    bilingual_hint,
    redact,
)

_MAX_EXCERPT = 300
_MAX_BODY = 2000
HTTP_ERROR = 400
"""The lowest HTTP status that is an error."""

_HTTP_REDIRECT = 300
NOT_SUPPORTED_STATUSES = frozenset({404, 405})
"""The HTTP statuses of a server that does not have an endpoint."""

_NOT_IN_STUDIO = (
    ("/v3/chat/submit_tool_outputs", "results of tool calls (submit_tool_outputs)"),
    ("/v1/files/retrieve", "a look at an uploaded file"),
    ("/v1/workflows/resume", "answers to runs that are not streamed"),
    ("/v1/workflows?", "a list of workflows"),
)
_MAX_RETRY_AFTER = 60.0  # seconds; a longer Retry-After is not waited for
_SUPPORT_HEADERS = ("content-type", "date", "retry-after", "x-tt-logid", "x-log-id")


def send_with_retry(request: Request, policy: RetryPolicy) -> Flow[Reply]:
    """Send a request and return the reply; retry only if the request cannot have started anything.

    That is after a failed connect, HTTP 429 and the "busy" codes; for a GET also after broken
    connections and server errors. A rejected token is refreshed once. A stream is returned open;
    the bytes read so far are in its `buffered`.

    Args:
        request: The request.
        policy: The retry policy.

    Raises:
        CozeError: Coze reported an error or could not be reached.
    """
    renewed = False
    for attempt in itertools.count():
        reply, error = yield from _send_once(_with_deadline(request, policy.deadline))
        if error is None:
            return reply
        if isinstance(error, CozeAuthenticationError) and not renewed:
            renewed = True
            if (yield RefreshToken()):
                continue
        if attempt >= policy.max_retries or not _may_retry(request, error):
            raise error
        pause = policy.get_pause(attempt, error.retry_after)
        if policy.deadline is not None and time.monotonic() + pause >= policy.deadline:
            raise error
        yield Sleep(pause)
    raise AssertionError  # pragma: no cover - count() does not end


def _with_deadline(request: Request, deadline: float | None) -> Request:
    if deadline is None:
        return request
    seconds_left = deadline - time.monotonic()
    if seconds_left <= 0:
        raise make_deadline_error()
    read_timeout = (
        seconds_left if request.read_timeout is None else min(seconds_left, request.read_timeout)
    )
    return request._replace(read_timeout=read_timeout, deadline=deadline)


def _send_once(request: Request) -> Flow[tuple[Reply, CozeError | None]]:
    try:
        reply: Reply = yield request
    except CozeConnectionError as error:
        return Reply(status_code=0), error
    if reply.stream is not None:
        return (yield from _read_first_event(reply))
    reported = find_error(reply, stream=bool(request.stream))
    no_route = reply.status_code in NOT_SUPPORTED_STATUSES
    if reported is not None and no_route and reported.code in {None, *NOT_SUPPORTED_STATUSES}:
        reported.hint = _find_unsupported_hint(request) or reported.hint
    return reply, reported


def _find_unsupported_hint(request: Request) -> str | None:
    """Return the hint for an endpoint that Coze Studio does not have (wire section 8)."""
    path = f"{request.path}?"  # a `?` at the end of a table entry requires an exact match
    feature = next((what for prefix, what in _NOT_IN_STUDIO if path.startswith(prefix)), None)
    if feature is None:
        return None
    return bilingual_hint(
        f"This server does not offer {feature}. Self-hosted Coze Studio does not; coze.cn and "
        "coze.com do.",
        f"该服务不提供 {request.path}：自建的 Coze Studio 没有此接口，coze.cn 和 coze.com 有。",
    )


def _read_first_event(reply: Reply) -> Flow[tuple[Reply, CozeError | None]]:
    """Read up to the first event: if that is an error, nothing has been started."""
    decoder, head, events = Decoder(), bytearray(), list[Event]()
    try:
        while not events:
            data: bytes | None = yield Read(reply.stream)
            if data is None:
                events = decoder.close()
                break
            head += data
            events = decoder.feed(data)
    except BaseException:
        yield Close(reply.stream)
        raise
    reply.stream.buffered = bytes(head)
    if not events or events[0].name not in {"", "error"}:
        return reply, None
    error_reply = Reply(reply.status_code, reply.headers, events[0].data, token=reply.token)
    if find_failure(error_reply.json) is None:
        return reply, None
    yield Close(reply.stream)
    return error_reply, find_error(error_reply, stream=False)


def _may_retry(request: Request, error: CozeError) -> bool:
    if error.retries_exhausted or (error.retry_after or 0.0) > _MAX_RETRY_AFTER:
        return False
    safe = request.method == "GET"
    if isinstance(error, CozeConnectionError):
        return safe or not error.may_have_started
    if error.code in BUSY_CODES or isinstance(error, CozeRateLimitError):
        return True
    return safe and isinstance(error, CozeServerError)


def find_error(reply: Reply, *, stream: bool) -> CozeError | None:
    """Return the error that a complete reply reports, or None (wire section 1.5).

    An error in the JSON body takes precedence over the HTTP status.

    Args:
        reply: A reply with its body.
        stream: Whether the request expected events, so that any other body is an error.
    """
    context = collect_error_context(reply)
    failure = find_failure(reply.json)
    if failure is not None:
        context["logid"] = context["logid"] or failure.logid or None
        context["debug_url"] = failure.debug_url or None
        return make_error(failure.code or None, redact(failure.message, reply.token), **context)
    text = redact(reply.body[:_MAX_EXCERPT].decode("utf-8", "replace"), reply.token).strip()
    if reply.status_code >= HTTP_ERROR:
        return make_error(None, f"Coze answered with HTTP {reply.status_code}: {text}", **context)
    hint = bilingual_hint(
        "Check base_url: it is the address of the API, for instance https://api.coze.cn, "
        "not that of the website.",
        "请检查 base_url：应为 API 地址，例如 https://api.coze.cn，而不是网站地址。",
    )
    if reply.status_code >= _HTTP_REDIRECT:
        message = f"Coze answered with HTTP {reply.status_code}, a redirect, which is not followed."
        return CozeInvalidRequestError(message, hint=hint, **context)
    if not reply.body:
        return CozeServerError("Coze answered with an empty body.", hint=hint, **context)
    if stream or not isinstance(reply.json, Mapping):
        expected = "a stream of events" if stream else "JSON"
        message = f"Coze was expected to answer with {expected}, but sent: {text}"
        return CozeInvalidRequestError(message, hint=hint, **context)
    return None


def collect_error_context(reply: Reply) -> dict[str, Any]:
    """Return the error attributes that any reply provides: status, log id, Retry-After, excerpt."""
    return {
        "status_code": reply.status_code or None,
        "logid": reply.logid,
        "retry_after": _parse_retry_after(reply.headers.get("retry-after")),
        "response": ErrorResponse(
            status_code=reply.status_code,
            headers={k: reply.headers[k] for k in _SUPPORT_HEADERS if k in reply.headers},
            text=redact(reply.body[:_MAX_BODY].decode("utf-8", "replace"), reply.token),
        ),
    }


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
