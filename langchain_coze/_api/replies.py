"""Parse replies: return the payload or the reported error (wire sections 1.4 and 1.5)."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import (
    is_html,
    is_missing_route,
    is_studio_missing_route,
    make_error,
    shorten_message,
)
from langchain_coze._api.models import find_failure, get_payload
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozePermissionError,
    CozeServerError,
    ErrorResponse,
    redact,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Reply, Request

_MAX_EXCERPT = 300
_MAX_BODY = 2000  # characters
_HTTP_OK = 200
_HTTP_TOO_LARGE = 413
_FILE_TOO_LARGE = 4302
_MAX_MASKED = 100_000  # bytes of a body to mask for an error
HTTP_ERROR = 400
"""The lowest HTTP status of an error."""
_HTTP_REDIRECT = 300
_NOT_IN_STUDIO = (  # a `?` at the end requires an exact match
    ("/v3/chat/submit_tool_outputs", "results of tool calls"),
    ("/v1/files/retrieve", "details of uploaded files"),
    ("/v1/workflows/resume", "answers to runs that are not streamed"),
    ("/v1/workflows?", "a list of workflows"),
    ("/v1/bots?", "a list of bots"),
    ("/v1/conversations/", "feedback on answers"),
)
_SUPPORT_HEADERS = ("content-type", "date", "retry-after", "x-tt-logid", "x-log-id")


def find_special_hint(request: Request, reply: Reply, error: CozeError) -> str | None:
    """Return a hint about a feature that Studio lacks, or about the size of a large request."""
    if is_missing_route(error):
        path = f"{request.path}?"
        feature = next((text for prefix, text in _NOT_IN_STUDIO if path.startswith(prefix)), None)
        if feature is None or not (reply.is_studio or is_studio_missing_route(error)):
            return None
        return hints.NOT_IN_STUDIO.format(feature=feature, path=request.path)
    if error.status_code != _HTTP_TOO_LARGE and error.code != _FILE_TOO_LARGE:
        return None
    if request.file is not None:
        return hints.FILE_TOO_LARGE.format(size=_format_size(len(request.file.data)))
    limit = "20 MB" if request.path.startswith("/v1/workflow") else "15 MB"
    size = _format_size(len(dump_json(request.body)))
    return hints.BODY_TOO_LARGE.format(size=size, limit=limit)


def dump_json(body: Any) -> bytes:
    """Return a body as JSON; replace lone surrogates, which cannot be encoded."""
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"The request cannot be converted to JSON: {error}"
        raise CozeInvalidRequestError(message) from error
    return text.encode("utf-8", "replace")


def _format_size(size: int) -> str:
    return f"{size / 1024:.1f} kB" if size < 1024**2 else f"{size / 1024**2:.1f} MB"


def find_error(reply: Reply, *, stream: bool) -> CozeError | None:
    """Return the error that a complete reply reports, or None (wire section 1.5).

    An error in the JSON body takes precedence over the HTTP status. If a stream was requested, any
    body is an error.
    """
    failure = find_failure(reply.json)
    is_object = isinstance(reply.json, Mapping)
    if failure is None and is_object and not stream and reply.status_code < _HTTP_REDIRECT:
        return None
    context = collect_error_context(reply)
    if failure is not None:
        context["logid"] = context["logid"] or failure.logid or None
        context["debug_url"] = failure.debug_url or None
        return make_error(failure.code or None, redact(failure.message, reply.token), **context)
    body = decode_masked(reply)
    text = shorten_message(body)[:_MAX_EXCERPT]
    answer = f"Coze answered with HTTP {reply.status_code}"
    if reply.status_code >= HTTP_ERROR:
        error = make_error(None, f"{answer}: {text}", **context)
        is_gateway = is_html(body) and isinstance(error, (CozePermissionError, CozeServerError))
        return error.with_context(hint=hints.GATEWAY) if is_gateway else error
    error_class: type[CozeError] = CozeInvalidRequestError
    hint = hints.API_ADDRESS
    if reply.status_code >= _HTTP_REDIRECT:
        message = f"{answer}, a redirect, and redirects are not followed."
    elif not reply.body:
        error_class, message = CozeServerError, "Coze answered with an empty body."
    else:
        expected = "a stream of events" if stream else "JSON"
        message = f"Coze should have sent {expected}, but sent: {text}"
        if reply.json is None and "json" in reply.headers.get("content-type", ""):
            hint = hints.TRUNCATED  # the API has answered
    return error_class(message, hint=hint, **context)


def collect_error_context(reply: Reply) -> dict[str, Any]:
    """Return the error attributes that any reply provides: status, log id, Retry-After, excerpt."""
    return {
        "status_code": reply.status_code or None,
        "logid": reply.logid,
        "retry_after": _parse_retry_after(reply.headers.get("retry-after")),
        "response": ErrorResponse(
            status_code=reply.status_code,
            headers={k: reply.headers[k] for k in _SUPPORT_HEADERS if k in reply.headers},
            text=decode_masked(reply)[:_MAX_BODY],
        ),
    }


def build_event_response(text: str, token: str) -> ErrorResponse:
    """Return the response for an error that an event reports, with the event's data as its body."""
    return ErrorResponse(status_code=_HTTP_OK, headers={}, text=redact(text, token)[:_MAX_BODY])


def decode_masked(reply: Reply) -> str:
    """Return the start of a body as text. Mask first: a cut token is not recognized."""
    return redact(reply.body[:_MAX_MASKED].decode("utf-8", "replace"), reply.token)


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    if not value:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return seconds if 0 <= seconds < math.inf else None
    date = parse_date(value)
    return None if date is None else max(date - time.time(), 0.0)


def parse_date(value: str | None) -> float | None:
    """Return the Unix time of a date in a header; None if it is missing or invalid."""
    try:
        return parsedate_to_datetime(value or "").timestamp()
    except ValueError:
        return None


def read_object(reply: Reply) -> Mapping[str, Any]:
    """Return the payload of a reply; empty if it is not an object."""
    payload = get_payload(reply.json)
    return payload if isinstance(payload, Mapping) else {}
