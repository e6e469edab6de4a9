"""Map the exceptions of an HTTP client to the errors of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import make_deadline_error, make_truncated_error
from langchain_coze.errors import (
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.deadlines import Deadline

    GetRoute = Callable[[], tuple[str, str]]

_HTTPX_ERRORS = frozenset({"HTTPError", "InvalidURL", "StreamError"})
_INVALID = frozenset(  # the last two: a host or port of a user-supplied client, or its proxy
    {"InvalidURL", "UnsupportedProtocol", "LocalProtocolError", "UnicodeError", "OverflowError"}
)
_HTTPX_NAMES = {  # of the exceptions of aiohttp: the first class that stands here decides
    "ConnectionTimeoutError": "ConnectTimeout",
    "ServerTimeoutError": "ReadTimeout",
    "ClientHttpProxyError": "ProxyError",
    "ClientConnectorError": "ConnectError",
    "InvalidURL": "UnsupportedProtocol",
    "ClientError": "RemoteProtocolError",
}
_UNREACHABLE = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def raise_mapped(
    error: BaseException, *, deadline: Deadline | None = None, get_route: GetRoute | None = None
) -> NoReturn:
    """Raise the error for an exception of an HTTP client or a deadline, or the exception itself.

    While a request is being sent, `get_route` describes its route; see `describe_route`.
    """
    if deadline is not None and deadline.expired and isinstance(error, Exception):
        raise make_deadline_error(may_have_started=deadline.may_have_started) from error
    mapped = _map_httpx_error(error, get_route)
    if mapped is error:
        raise error
    raise mapped from error


def _map_httpx_error(error: BaseException, get_route: GetRoute | None) -> BaseException:
    """Return the error for an exception of an HTTP client; return anything else unchanged.

    Classes are matched by name: a user-supplied client may come from a fork of httpx.
    """
    cause = error
    while isinstance(cause, BaseExceptionGroup):  # of anyio, which tries several addresses
        cause = cause.exceptions[0]
    cause, name, names = _name_classes(cause)
    details = f"{name}: {cause}".rstrip(": ")
    known = _HTTPX_ERRORS if get_route is None else _HTTPX_ERRORS | _INVALID
    if isinstance(error, CozeError) or not names & known:
        return error
    if "TimeoutException" in names and not names & _UNREACHABLE:
        message = f"Coze sent nothing for too long ({details})."
        return CozeTimeoutError(message, hint=hints.READ_TIMEOUT, may_have_started=True)
    if get_route is None:
        message = f"The connection was lost in the middle of the stream ({details})."
        return make_truncated_error(message)
    way, hint = get_route()
    if names & _INVALID:  # its text may quote a header, which may be the token
        message = f"No request can be sent to {way} ({name})."
        return CozeInvalidRequestError(message, hint=hints.UNSENDABLE)
    if names & _UNREACHABLE:
        message = f"Coze could not be reached at {way} ({details})."
        hint = hints.UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in details else hint
        return CozeConnectionError(message, hint=hint)
    message = f"The connection to Coze was lost: {way} ({details})."
    return CozeConnectionError(message, hint=hint, may_have_started=True)


def _name_classes(error: BaseException) -> tuple[BaseException, str, set[str]]:
    """Return an exception, and the names of its class and of all its classes in httpx.

    `httpx_aiohttp` takes a connection that breaks after the request for one that was never made, so
    the exception of aiohttp behind its own decides.
    """
    for cause in (error, error.__cause__):
        if cause is not None and type(cause).__module__.startswith("aiohttp."):
            classes = [error_class.__name__ for error_class in type(cause).__mro__]
            name = next((_HTTPX_NAMES[c] for c in classes if c in _HTTPX_NAMES), classes[0])
            kinds = {name, "HTTPError"} | ({"TimeoutException"} if "Timeout" in name else set())
            return cause, name, kinds
    names = {error_class.__name__ for error_class in type(error).__mro__}
    return error, type(error).__name__, names
