"""Our errors for the exceptions of an HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze.errors import (
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeTimeoutError,
    bilingual_hint,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.proxies import Route

_CHECK_REQUEST = bilingual_hint(
    "Check base_url (it starts with https:// or http://), the proxy, and that the token and "
    "default_headers are plain ASCII.",
    "请检查 base_url（以 https:// 或 http:// 开头）和代理；"
    "令牌和 default_headers 只能含 ASCII 字符。",
)
_TIMED_OUT = bilingual_hint(
    "Raise timeout=, or look in Coze at what the bot is waiting for.",
    "请调大 timeout=，或在扣子中查看智能体在等待什么。",
)
_UNTRUSTED = bilingual_hint(
    "The certificate of the server (or of a proxy that inspects traffic) is not trusted here. For "
    "a private certificate authority set SSL_CERT_FILE to a PEM file with its certificate (it "
    "replaces the public ones) before the program starts, or pass "
    "http_client=httpx.Client(verify=ssl_context).",
    "服务器（或检查流量的代理）的证书在本机不受信任。若使用私有 CA，请在程序启动前将 SSL_CERT_FILE "
    "设为包含其证书的 PEM 文件（它会取代公共证书），"
    "或传入 http_client=httpx.Client(verify=ssl_context)。",
)
_HTTPX_ERRORS = frozenset({"HTTPError", "InvalidURL", "StreamError"})
_INVALID = frozenset(  # the last two: a host or port of a user-supplied client, or its proxy
    {"InvalidURL", "UnsupportedProtocol", "LocalProtocolError", "UnicodeError", "OverflowError"}
)
_UNREACHABLE = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"})


def map_httpx_error(
    error: BaseException, get_route: Callable[[], Route] | None = None
) -> BaseException:
    """Return our error for an exception of an HTTP client; return anything else unchanged.

    Classes are matched by name: a user-supplied client may come from a fork of httpx.

    Args:
        error: The exception.
        get_route: Returns how the request reaches its server; None if the response has begun.
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
        return CozeInvalidRequestError(message, hint=_CHECK_REQUEST)
    if names & _UNREACHABLE:
        message = f"Coze could not be reached at {way} ({details})."
        hint = _UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in details else route.hint
        return CozeConnectionError(message, hint=hint)
    if "TimeoutException" in names:
        return _make_timeout(details)
    message = f"The connection to Coze broke: {way} ({details})."
    return CozeConnectionError(message, hint=route.hint, may_have_started=True)


def _map_stream_error(names: set[str], details: str) -> CozeError:
    """Return the error for a response that has begun and does not end."""
    if "TimeoutException" in names:
        return _make_timeout(details)
    return make_truncated_error(f"The connection broke in the middle of the stream ({details}).")


def _make_timeout(details: str) -> CozeTimeoutError:
    message = f"Coze was silent for too long ({details})."
    return CozeTimeoutError(message, hint=_TIMED_OUT, may_have_started=True)
