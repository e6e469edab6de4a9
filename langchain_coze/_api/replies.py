"""What a reply holds: its object, or the error that it reports (wire sections 1.4 and 1.5)."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from langchain_coze._api.error_codes import (
    GATEWAY_HINT,
    is_html,
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
    bilingual_hint,
    redact,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Reply, Request

_MAX_EXCERPT = 300
_MAX_BODY = 2000  # characters
_HTTP_OK = 200
_HTTP_TOO_LARGE = 413
_FILE_TOO_LARGE = 4302
_MAX_MASKED = 100_000  # bytes of a body that are looked at
HTTP_ERROR = 400
"""The lowest HTTP status that is an error."""
_HTTP_REDIRECT = 300
_NOT_IN_STUDIO = (
    ("/v3/chat/submit_tool_outputs", "results of tool calls (submit_tool_outputs)"),
    ("/v1/files/retrieve", "a look at an uploaded file"),
    ("/v1/workflows/resume", "answers to runs that are not streamed"),
    ("/v1/workflows?", "a list of workflows"),
)
_SUPPORT_HEADERS = ("content-type", "date", "retry-after", "x-tt-logid", "x-log-id")


def find_missing_route_hint(request: Request, error: CozeError, *, is_studio: bool) -> str | None:
    """Return the hint for an endpoint that the server does not have (wire sections 1.5 and 8).

    Where the server has the endpoint, `base_url` is wrong, as the hint of the error says.

    Args:
        request: The request.
        error: The error that the reply reports.
        is_studio: Whether the server is a Coze Studio.
    """
    path = f"{request.path}?"  # a `?` at the end of a table entry requires an exact match
    feature = next((what for prefix, what in _NOT_IN_STUDIO if path.startswith(prefix)), None)
    if feature is None or not (is_studio or is_studio_missing_route(error)):
        return error.hint
    return bilingual_hint(
        f"This server does not offer {feature}. Self-hosted Coze Studio does not; coze.cn and "
        "coze.com do.",
        f"该服务不提供 {request.path}：自建的 Coze Studio 没有此接口，coze.cn 和 coze.com 有。",
    )


def find_size_hint(request: Request, error: CozeError) -> str | None:
    """Return the hint for a request that is too large, with its size; None for other errors."""
    if error.status_code != _HTTP_TOO_LARGE and error.code != _FILE_TOO_LARGE:
        return None
    if request.file is not None:
        size = _format_size(len(request.file.data))
        return bilingual_hint(
            f"The file has {size}. Coze takes files of up to 512 MB, and a gateway may take less: "
            "shorten the file, or give a public link to it.",
            f"文件大小为 {size}。扣子的上限为 512 MB，网关的限制可能更小："
            "请缩小文件，或提供公开链接。",
        )
    size = _format_size(len(dump_json(request.body)))
    limit = "20 MB" if request.path.startswith("/v1/workflow") else "15 MB"
    return bilingual_hint(
        f"The request has {size}. Coze takes up to {limit} here, and a gateway may take less: "
        "send files as uploads or links, and shorten the messages or parameters.",
        f"请求大小为 {size}。扣子此接口的上限为 {limit}，网关的限制可能更小："
        "请以上传或链接方式发送文件，并缩短消息或参数。",
    )


def dump_json(body: Any) -> bytes:
    """Return a body as JSON; lone surrogates, which cannot be encoded, are replaced.

    Raises:
        CozeInvalidRequestError: It cannot be written as JSON.
    """
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"The request cannot be written as JSON: {error}"
        raise CozeInvalidRequestError(message) from error
    return text.encode("utf-8", "replace")


def _format_size(size: int) -> str:
    return f"{size / 1024:.1f} kB" if size < 1024**2 else f"{size / 1024**2:.1f} MB"


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
    body = _decode_masked(reply)
    text = shorten_message(body)[:_MAX_EXCERPT]
    if reply.status_code >= HTTP_ERROR:
        message = f"Coze answered with HTTP {reply.status_code}: {text}"
        error = make_error(None, message, **context)
        is_gateway = is_html(body) and isinstance(error, (CozePermissionError, CozeServerError))
        return error.with_context(hint=GATEWAY_HINT) if is_gateway else error
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
            text=_decode_masked(reply)[:_MAX_BODY],
        ),
    }


def build_event_response(text: str, token: str) -> ErrorResponse:
    """Return the response of an error that an event reports, with the event's data as its body.

    Args:
        text: The data of the event.
        token: The token to mask.
    """
    return ErrorResponse(status_code=_HTTP_OK, headers={}, text=redact(text, token)[:_MAX_BODY])


def _decode_masked(reply: Reply) -> str:
    """Return the start of a body as text. Mask before you cut: half a token is no token's form."""
    return redact(reply.body[:_MAX_MASKED].decode("utf-8", "replace"), reply.token)


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may be a number or a date."""
    if not value:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return seconds if 0 <= seconds < math.inf else None
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def read_object(reply: Reply) -> Mapping[str, Any]:
    """Return the payload of a reply; empty if it is not an object."""
    payload = get_payload(reply.json)
    return payload if isinstance(payload, Mapping) else {}
