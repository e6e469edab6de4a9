"""Token sources for static tokens and for functions; OAuth is in `langchain_coze.auth`."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from langchain_coze import _hints as hints
from langchain_coze._api.deadlines import compute_seconds_left
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze.errors import CozeAuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.retry import RetryPolicy
    from langchain_coze._api.settings import Settings

_NOT_IN_TOKEN = re.compile(r"[^!-~]")  # a token is printable ASCII without spaces
_PASTED_CHARACTERS = " \t\r\n\"'`“”‘’"  # pasted around a token: white space and quotes


class TokenSource(Protocol):
    """Provides the token of each request."""

    @property
    def cache_key(self) -> str | None:
        """A key for the account that does not change with the token, or None."""

    def get(self, deadline: float | None = None) -> SecretStr:
        """Return the token before a deadline (`time.monotonic()`)."""

    async def aget(self, deadline: float | None = None) -> SecretStr:
        """Return the token without blocking the event loop."""

    def invalidate(self) -> bool:
        """Discard the token; return whether `get` may now return another one."""


class CallableToken:
    """A token source that calls a function for each request.

    The function may be async if only `ainvoke` and `astream` are used. Its result is not cached
    here: a function that fetches a token should cache it.
    """

    cache_key = None

    def __init__(self, function: Any) -> None:
        """Create a source; the function returns a str, a SecretStr or an awaitable."""
        self._function = function

    def get(self, deadline: float | None = None) -> SecretStr:
        """Return the token from the function, which a deadline cannot interrupt."""
        del deadline
        value = _to_secret(self._function())
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            message = "api_key is a coroutine function, which works only with ainvoke and astream."
            raise CozeAuthenticationError(message, hint=hints.NO_API_KEY)
        return _validate_token(value)

    async def aget(self, deadline: float | None = None) -> SecretStr:
        """Async version of `get`; also accepts an awaitable, which a deadline interrupts."""
        value = _to_secret(self._function())
        if inspect.isawaitable(value):
            try:
                async with asyncio.timeout(compute_seconds_left(deadline)) as limit:
                    value = _to_secret(await value)
            except TimeoutError:
                if limit.expired():
                    raise make_deadline_error() from None
                raise
        return _validate_token(value)

    def invalidate(self) -> bool:
        """Return True: the next request calls the function again."""
        return True


class StaticToken(CallableToken):
    """A token that never changes: a personal or service access token (wire section 6)."""

    def __init__(self, token: SecretStr) -> None:
        """Create a source; surrounding white space, quotes and a pasted `Bearer ` are dropped."""
        self._token = _validate_token(token)
        super().__init__(lambda: self._token)

    def get(self, deadline: float | None = None) -> SecretStr:
        """Return the token."""
        del deadline
        return self._token

    async def aget(self, deadline: float | None = None) -> SecretStr:
        """Return the token."""
        return self.get(deadline)

    def invalidate(self) -> bool:
        """Return False: there is no other token."""
        return False


def make_token_source(
    api_key: Any, settings: Settings | None = None, policy: RetryPolicy | None = None
) -> TokenSource:
    """Return the token source for an `api_key`.

    It is a str or SecretStr, a function that returns one (or an awaitable of one, for async calls
    only), an object with such a `token` attribute, or a `CozeJWTAuth`, which requests its tokens.
    """
    api_key = _to_secret(api_key)
    if isinstance(api_key, SecretStr):
        return StaticToken(api_key)
    build_source: Callable[..., TokenSource] | None = getattr(api_key, "make_token_source", None)
    if build_source is not None:  # a CozeJWTAuth: this layer must not import it
        return build_source(settings, policy)
    if callable(api_key):
        return CallableToken(api_key)
    if hasattr(api_key, "token"):
        return CallableToken(lambda: _read_attribute(api_key))
    raise CozeAuthenticationError("No Coze token is set.", hint=hints.NO_API_KEY)


def _read_attribute(source: Any) -> Any:
    token = source.token
    return token() if callable(token) else token


def _to_secret(value: Any) -> Any:
    """Return a str as a `SecretStr`, so that no traceback shows a token."""
    return SecretStr(value) if isinstance(value, str) else value


def _validate_token(value: Any) -> SecretStr:
    """Return the token without surrounding white space, quotes and a pasted `Bearer `.

    No local variable of this module contains the text: a traceback may show local variables.
    """
    token = SecretStr(_strip(value.get_secret_value() if isinstance(value, SecretStr) else ""))
    if not token:
        raise CozeAuthenticationError("No Coze token is set.", hint=hints.NO_API_KEY)
    if wrong := _NOT_IN_TOKEN.findall(token.get_secret_value()):
        message = f"The Coze token contains {wrong[0]!r}, which a token cannot have."
        raise CozeAuthenticationError(message, hint=hints.WRONG_CHARACTER)
    return token


def _strip(text: str) -> str:
    return text.strip(_PASTED_CHARACTERS).removeprefix("Bearer ").strip(_PASTED_CHARACTERS)
