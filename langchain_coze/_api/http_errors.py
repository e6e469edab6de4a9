"""Map the exceptions of an HTTP client to the errors of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze.errors import (
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.proxies import Route

_HTTPX_ERRORS = frozenset({"HTTPError", "InvalidURL", "StreamError"})
_INVALID = frozenset(  # the last two: a host or port of a user-supplied client, or its proxy
    {"InvalidURL", "UnsupportedProtocol", "LocalProtocolError", "UnicodeError", "OverflowError"}
)
_UNREACHABLE = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def map_httpx_error(
    error: BaseException, get_route: Callable[[], Route] | None = None
) -> BaseException:
    """Return the error for an exception of an HTTP client; return anything else unchanged.

    Classes are matched by name: a user-supplied client may come from a fork of httpx. While a
    request is sent, `get_route` returns how it reaches its server; afterwards it is None.
    """
    cause = error
    while isinstance(cause, BaseExceptionGroup):  # of anyio, which tries several addresses
        cause = cause.exceptions[0]
    names = {error_class.__name__ for error_class in type(cause).__mro__}
    details = f"{type(cause).__name__}: {cause}".rstrip(": ")
    if get_route is None:
        return _map_stream_error(names, details) if names & _HTTPX_ERRORS else error
    if isinstance(error, CozeError) or not names & (_HTTPX_ERRORS | _INVALID):
        return error
    route = get_route()
    way = f"{route.address}, {route.proxy}"
    if names & _INVALID:  # its text may quote a header, and thus the token
        message = f"No request can be sent to {way} ({type(cause).__name__})."
        return CozeInvalidRequestError(message, hint=hints.UNSENDABLE)
    if names & _UNREACHABLE:
        message = f"Coze could not be reached at {way} ({details})."
        hint = hints.UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in details else route.hint
        return CozeConnectionError(message, hint=hint)
    if "TimeoutException" in names:
        return _make_timeout(details)
    message = f"The connection to Coze broke: {way} ({details})."
    return CozeConnectionError(message, hint=route.hint, may_have_started=True)


def _map_stream_error(names: set[str], details: str) -> CozeError:
    if "TimeoutException" in names:
        return _make_timeout(details)
    return make_truncated_error(f"The connection broke in the middle of the stream ({details}).")


def _make_timeout(details: str) -> CozeTimeoutError:
    message = f"Coze was silent for too long ({details})."
    return CozeTimeoutError(message, hint=hints.READ_TIMEOUT, may_have_started=True)
