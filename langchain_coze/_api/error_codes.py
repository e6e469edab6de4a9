"""Coze's error codes with their exception classes and hints, and functions that build errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze import _hints as hints
from langchain_coze import _knowledge_hints as knowledge_hints
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeChatError,
    CozeContentError,
    CozeContextLengthError,
    CozeConversationBusyError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class _CodeInfo(NamedTuple):
    error: type[CozeError]
    hint: str


_AUTH = _CodeInfo(CozeAuthenticationError, hints.AUTHENTICATION)
_BILL = _CodeInfo(CozeQuotaError, hints.BILL)
_CONTENT = _CodeInfo(CozeContentError, hints.CONTENT)
_CONVERSATION = _CodeInfo(CozeNotFoundError, hints.CONVERSATION)
_GATEWAY = _CodeInfo(CozeServerError, hints.GATEWAY)
_ID = _CodeInfo(CozeNotFoundError, hints.ID)
_NOT_RUNNING = _CodeInfo(CozeInvalidRequestError, hints.NOT_RUNNING)
_PERMISSION = _CodeInfo(CozePermissionError, hints.PERMISSION)
_PUBLISH = _CodeInfo(CozeNotFoundError, hints.PUBLISH)
_QUOTA = _CodeInfo(CozeQuotaError, hints.QUOTA)
_RATE = _CodeInfo(CozeRateLimitError, hints.RATE)
_REQUEST = _CodeInfo(CozeInvalidRequestError, hints.PARAMETERS)
_SERVER = _CodeInfo(CozeServerError, hints.SERVER)
_UPLOAD = _CodeInfo(CozeInvalidRequestError, hints.UPLOAD)
_WRONG_URL = _CodeInfo(CozeNotFoundError, hints.WRONG_URL)

CODES: Mapping[int, _CodeInfo] = {
    4000: _REQUEST,
    4001: _ID,
    4002: _CONVERSATION,
    4003: _CodeInfo(CozeInvalidRequestError, hints.META_DATA),
    4004: _CodeInfo(CozeInvalidRequestError, hints.TOO_MANY_MESSAGES),
    4005: _REQUEST,
    4006: _ID,
    4007: _CodeInfo(CozeInvalidRequestError, hints.POLLED_IS_SAVED),
    4008: _CodeInfo(CozeRateLimitError, hints.RATE_OR_DAILY_LIMIT),
    4009: _RATE,
    4010: _CodeInfo(CozeContextLengthError, hints.CONTEXT_LENGTH),
    4011: _BILL,
    4012: _CodeInfo(CozeInvalidRequestError, hints.MODEL),
    4013: _SERVER,
    4014: _CONTENT,
    4015: _PUBLISH,
    4016: _CodeInfo(CozeConversationBusyError, hints.BUSY),
    4019: _BILL,
    4020: _RATE,
    4021: _CodeInfo(CozeInvalidRequestError, hints.NO_WORKFLOW),
    4022: _BILL,
    4027: _QUOTA,
    4028: _QUOTA,
    4100: _AUTH,
    4101: _PERMISSION,
    4102: _CONTENT,
    4104: _NOT_RUNNING,
    4105: _CONTENT,
    4200: _CodeInfo(CozeNotFoundError, hints.PUBLISH_OR_SITE),
    4201: _REQUEST,
    **dict.fromkeys(range(4300, 4305), _UPLOAD),
    4305: _CodeInfo(CozeInvalidRequestError, knowledge_hints.PAGE_UNREADABLE),
    4314: _CodeInfo(CozeNotFoundError, hints.NO_RECORD),
    4315: _CodeInfo(CozeInvalidRequestError, hints.RUN_ENDED),
    5000: _SERVER,
    6003: _CodeInfo(CozeInvalidRequestError, hints.ASYNC_PLAN),
    6031: _PUBLISH,  # from here on also codes of Coze Studio (wire section 8)
    6039: _CodeInfo(CozeInvalidRequestError, hints.SYNC_QUESTION),
    100000000: _PUBLISH,
    103000001: _PERMISSION,
    103000002: _ID,
    103200002: _CodeInfo(CozeChatError, hints.AGENT_STEP),
    103200005: _NOT_RUNNING,
    700012006: _AUTH,
    720702004: _ID,
    720702011: _PUBLISH,
    720702204: _CodeInfo(CozeInvalidRequestError, hints.CONVERSATION_NAME),
}
"""The exception class and hint of each of Coze's error codes (wire section 7.1)."""

_MISSING_ROUTE = "missing session_key in cookie"  # Coze Studio's reply instead of 404

_ENTRIES_BY_TEXT: tuple[tuple[int | None, str, _CodeInfo], ...] = (
    (4101, "token you entered is incorrect", _AUTH),
    (401, _MISSING_ROUTE, _CodeInfo(CozeNotFoundError, hints.NO_ROUTE)),
    (777777775, "conversation name", _CodeInfo(CozeInvalidRequestError, hints.NO_CONVERSATION)),
    (777777775, "conversation", _CONVERSATION),
    (None, "does not have access to", _PERMISSION),
    (None, "panic error:", _CodeInfo(CozeServerError, hints.CRASHED)),
    (None, "is not interrupted", _CodeInfo(CozeInvalidRequestError, hints.ALREADY_RESUMED)),
)
"""Errors that are identified only by their text: code (None for any), text, entry."""

NOT_FOUND_STATUSES = frozenset({404, 405})
"""The HTTP statuses of a server that does not have an endpoint."""

BUSY_CODES = frozenset({4009, 4016, 4020})
"""Codes for "busy": nothing has started in Coze, so even a POST may be retried."""

_STATUS: Mapping[int, _CodeInfo] = {
    400: _REQUEST,
    401: _AUTH,
    403: _PERMISSION,
    404: _WRONG_URL,
    405: _WRONG_URL,
    413: _CodeInfo(CozeInvalidRequestError, hints.TOO_LARGE),
    429: _RATE,
    **dict.fromkeys((502, 503, 504), _GATEWAY),
}
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500
_BAD_REQUEST = 4000
_INTERNAL = 5000
_STUDIO_ERROR = re.compile(r"code=(\d+) message=(.*)", re.DOTALL)
_NODE_ERROR = re.compile(r"\[(\d{5,})\]\s*(.+)", re.DOTALL)
_STACK = re.compile(r",?\s*\n(?:stack|cause|goroutine)\b.*", re.DOTALL)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MAX_MESSAGE = 500


def make_error(
    code: int | None,
    message: str,
    *,
    status_code: int | None = None,
    default: type[CozeError] = CozeError,
    **context: Any,
) -> CozeError:
    """Return the error for a Coze code, or for an HTTP status if the code is unknown.

    Tokens in the message must already be masked. `default` is the class if both are unknown.
    """
    code, message = _read_inner_error(code, message)
    unknown = _CodeInfo(default, hints.NO_CODE if code is None else hints.UNKNOWN_CODE)
    error, hint = _find_entry(code, message, status_code) or unknown
    return error(message, code=code, status_code=status_code, hint=hint, **context)


def _read_inner_error(code: int | None, message: str) -> tuple[int | None, str]:
    r"""Return the code and text inside a message, without the server's stack trace.

    Studio writes `code=N message=TEXT\nstack=…`; a failed node is 5000 with `[N] TEXT`.
    """
    wrapped = _STUDIO_ERROR.match(message)
    if wrapped is None and code == _INTERNAL:
        wrapped = _NODE_ERROR.match(message)
    if wrapped is not None:
        code, message = int(wrapped[1]), wrapped[2]
    return code, shorten_message(message)


def shorten_message(message: str) -> str:
    """Return a server message (tokens masked) without stack and HTML, up to 500 characters."""
    text = _STACK.sub("", message).strip()
    if is_html(text):
        text = " ".join(_TAG.sub(" ", text).split())
    if len(text) > _MAX_MESSAGE:
        text = text.partition("\n")[0]
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"


def is_html(text: str) -> bool:
    """Return whether a text is an HTML page; Coze itself never sends one."""
    return text[:200].lstrip().lower().startswith(("<!doctype", "<html"))


def _find_entry(code: int | None, message: str, status_code: int | None) -> _CodeInfo | None:
    """Return the entry of an error; None if neither code, nor text, nor HTTP status is known."""
    if status_code == _HTTP_TOO_MANY_REQUESTS:
        return _RATE  # for any code: nothing was started
    for known_code, text, entry in _ENTRIES_BY_TEXT:
        if known_code in {None, code} and text in message:
            return entry
    if status_code in NOT_FOUND_STATUSES and code == _BAD_REQUEST:
        return _WRONG_URL
    if code is not None and code in CODES:
        return CODES[code]
    status = status_code or 0
    return _STATUS.get(status, _SERVER if status >= _HTTP_SERVER_ERROR else None)


def is_listed(error: CozeError) -> bool:
    """Return whether an error has an entry with its own hint, by its code or text."""
    return _find_entry(error.code, error.message, None) is not None


def is_missing_route(error: CozeError) -> bool:
    """Return whether an error means that the server lacks an endpoint (wire sections 1.5 and 8)."""
    if error.status_code in NOT_FOUND_STATUSES:
        return error.code in {None, _BAD_REQUEST, *NOT_FOUND_STATUSES}
    return is_studio_missing_route(error)


def is_studio_missing_route(error: CozeError) -> bool:
    """Return whether an error is Coze Studio's reply for a missing endpoint: HTTP 401."""
    return _MISSING_ROUTE in error.message


def make_truncated_error(message: str, **context: Any) -> CozeStreamError:
    """Return the error for a stream that ended before its turn or run did."""
    return CozeStreamError(message, hint=hints.TRUNCATED, may_have_started=True, **context)


def make_deadline_error(*, may_have_started: bool = False) -> CozeTimeoutError:
    """Return the error for a call that took longer than `max_duration`."""
    return CozeTimeoutError(
        "The call took longer than max_duration allows.",
        hint=hints.MAX_DURATION,
        may_have_started=may_have_started,
    )
