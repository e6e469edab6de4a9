"""The errors of coze.site, from runs and from a project's routes.

The codes differ from those of the Coze API (wire section 9.7). The server derives them from words
in the text of an exception, so they are only hints. Exceptions that it does not know are
distinguished by their class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import to_json

from langchain_coze import _hints as hints
from langchain_coze import _site_hints as site_hints
from langchain_coze._api.error_codes import is_html, shorten_message
from langchain_coze._api.replies import (
    HTTP_ERROR,
    build_event_response,
    collect_error_context,
    decode_masked,
)
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeChatError,
    CozeContentError,
    CozeContextLengthError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeTimeoutError,
    CozeWorkflowError,
    redact,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Reply, Request


_ErrorKind: TypeAlias = tuple[type[CozeError], str]

_PROJECT: _ErrorKind = (CozeChatError, site_hints.PROJECT)
_RATE = (CozeRateLimitError, site_hints.RATE)
_CONTENT = (CozeContentError, site_hints.CONTENT)
_SERVER = (CozeServerError, site_hints.SERVER)
_TIMEOUT = (CozeTimeoutError, site_hints.TIMEOUT)
_CANCELED = (CozeChatError, site_hints.CANCELED)
_BROKEN_SESSION = (CozeChatError, site_hints.BROKEN_SESSION)

_KINDS: Mapping[str, _ErrorKind] = {
    "301001": _SERVER,
    "301002": _RATE,
    "301003": (CozeContextLengthError, site_hints.CONTEXT_LENGTH),
    "301007": _CONTENT,
    "305004": _PROJECT,  # an invalid URL
    "305": _SERVER,
    "503002": _PROJECT,  # an invalid query
    "503": _SERVER,
    "604": (CozeQuotaError, site_hints.QUOTA),
    "1": _CANCELED,
    "CANCELED": _CANCELED,
    "TIMEOUT": _TIMEOUT,
    "deadline_exceeded": _TIMEOUT,
    "worker_heartbeat_lost": _SERVER,
}
"""The errors by code, or by the first three digits of a code (wire section 9.7)."""

_CLASS_KINDS: Mapping[str, _ErrorKind] = {
    "RateLimitError": _RATE,
    **dict.fromkeys(
        (
            "APIConnectionError",
            "APITimeoutError",
            "ConnectError",
            "ConnectTimeout",
            "InternalServerError",
            "ReadTimeout",
            "RemoteProtocolError",
        ),
        _SERVER,
    ),
}
"""The errors by exception class, for exceptions without a code of the server."""

_CLASS_NAME = re.compile(r"\((\w+)\): ")
_INTERNAL = re.compile(r",?:? *(?:traceback: )?\['Traceback.*|\n.*", re.DOTALL)
_MIN_CODE = 1000  # real codes have six digits; "1" is a status
_GATEWAY_TIMEOUT = 504
_HTTP_SERVER_ERROR = 500
_MISSING_ROUTE = ("Not Found", "Method Not Allowed")  # FastAPI's messages
_NO_STORAGE = "async-task storage unavailable"
_MISSING = frozenset({404, 405})
_STATUS_ERRORS: Mapping[int, _ErrorKind] = {
    401: (CozeAuthenticationError, site_hints.AUTHENTICATION),
    403: (CozePermissionError, site_hints.AUTHENTICATION),
    404: (CozeNotFoundError, site_hints.ADDRESS),
    405: (CozeNotFoundError, site_hints.ADDRESS),
    429: (CozeRateLimitError, site_hints.RATE),
    _GATEWAY_TIMEOUT: (CozeTimeoutError, site_hints.GATEWAY_TIMEOUT),
}
_STATUS_OF_CODE = {4100: 401, 4101: 403, 4200: 404}
"""The errors by HTTP status."""


def make_site_error(
    code: Any, message: str, *, is_workflow: bool = False, **context: Any
) -> CozeError:
    """Return the error that a run reports."""
    text = "" if code is None else str(code)
    number = int(text) if text.isdecimal() and int(text) >= _MIN_CODE else None
    kind = _KINDS.get(text) or _find_kind(text, message)
    error_class, hint = kind
    if is_workflow and error_class is CozeChatError:
        error_class = CozeWorkflowError
        hint = site_hints.WORKFLOW if kind is _PROJECT else hint
    reason = text if number is None else None
    message = shorten_message(message) or f"The run ended with code {text or 'none'}."
    return error_class(message, code=number, reason=reason or None, hint=hint, **context)


def make_event_error(
    event: Mapping[str, Any], code: Any, message: Any, token: str, **context: Any
) -> CozeError:
    """Return the error that an event of a stream reports."""
    response = build_event_response(to_json(event).decode(), token)
    return make_site_error(code, redact(str(message or ""), token), response=response, **context)


def _find_kind(code: str, message: str) -> _ErrorKind:
    """Return the kind of an error whose code is not in the table."""
    if code.startswith("9000") or not code.isdecimal():  # an exception, identified by its class
        named = _CLASS_NAME.match(message)
        name = named[1] if named else code
        if name == "BadRequestError" and "tool_call" in message:
            return _BROKEN_SESSION
        if "sensitive" in message.lower():
            return _CONTENT
        return _CLASS_KINDS.get(name, _PROJECT)
    return _KINDS.get(code[:3], _PROJECT)


def find_site_error(
    request: Request, reply: Reply, *, is_workflow: bool = False
) -> CozeError | None:
    """Return the error that a complete reply of a project reports, or None.

    The body of a successful reply is the output of the project and may have any keys.
    """
    body = reply.json if isinstance(reply.json, Mapping) else {}
    if reply.status_code < HTTP_ERROR and body and not request.stream:
        return None
    detail = body.get("detail")
    if isinstance(detail, Mapping) and "error_code" in detail:  # a failed run
        context = {**collect_error_context(reply), "is_workflow": is_workflow}
        message = redact(str(detail.get("error_message") or ""), reply.token)
        return make_site_error(detail["error_code"], message, may_have_started=True, **context)
    return _make_http_error(request, reply, body)


def _make_http_error(request: Request, reply: Reply, body: Mapping[str, Any]) -> CozeError:
    """Return the error for a reply that is neither a run nor a failed run."""
    context = collect_error_context(reply)
    raw = decode_masked(reply)
    texts = (body.get(key) for key in ("detail", "msg", "message", "error", "error_msg"))
    stated = next((text for text in texts if isinstance(text, str) and text), "")
    text = shorten_message(_INTERNAL.sub("", redact(stated, reply.token)) or raw)
    code = body.get("code") if isinstance(body.get("code"), int) else None
    status = _STATUS_OF_CODE.get(code or 0, reply.status_code)
    if status in _MISSING and stated in _MISSING_ROUTE:
        message = f"The project has no route {request.method} {request.path}."
        return CozeNotFoundError(message, code=code, hint=site_hints.NO_ROUTE, **context)
    error_class: type[CozeError]
    if status < HTTP_ERROR:
        expected = "a stream of events" if request.stream else "a JSON object"
        message = f"The project should have sent {expected}, but sent: {text or 'nothing'}"
        error_class = CozeInvalidRequestError if reply.body else CozeServerError
        return error_class(message, code=code or None, hint=site_hints.ADDRESS, **context)
    default = CozeServerError if status >= _HTTP_SERVER_ERROR else CozeInvalidRequestError
    error_class, hint = _STATUS_ERRORS.get(status, (default, None))
    if is_html(raw) and status not in _STATUS_ERRORS:
        hint = hints.GATEWAY
    elif stated.startswith(_NO_STORAGE):
        hint = site_hints.NO_STORAGE
    message = f"The project answered with HTTP {reply.status_code}: {text or 'nothing'}"
    may_have_started = status == _GATEWAY_TIMEOUT
    return error_class(message, code=code, hint=hint, may_have_started=may_have_started, **context)
