"""Pydantic fields for reaching Coze: base URL, credentials, timeouts, connections."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.polling import Polling
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._api.settings import HttpBackend, Settings
from langchain_coze._api.token_sources import make_token_source
from langchain_coze._base.unsupported import (
    FieldSignature,
    get_argument_names,
    handle_unknown_argument,
)
from langchain_coze._environment import (
    DEFAULT_BASE_URL,
    check_backend,
    clean_base_url,
    from_env,
    is_coze_host,
    is_studio,
    secret_from_env,
)
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_coze._api.driver import Driver


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CLIENTS = {"http_client": "Client", "http_async_client": "AsyncClient"}
_DEFAULT_IF_NONE = frozenset(
    {"api_key", "coze_api_key", "base_url", "coze_api_base", "server", "user_id", "user"}
)


def _to_time_limit(value: Any) -> Any:
    """Return a value unchanged, or None if it exceeds the maximum of Python's timers."""
    is_endless = isinstance(value, (int, float)) and value > threading.TIMEOUT_MAX
    return None if is_endless else value


TimeLimit = Annotated[float | None, BeforeValidator(_to_time_limit)]
"""A time limit in seconds; None, infinity and values too large for a timer mean no limit."""


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return default headers that can be sent; errors never quote values, which may be secret."""
    for name, value in headers.items():
        if name.strip().lower() == "authorization":
            raise ValueError(hints.HEADER_AUTHORIZATION)
        is_plain = value.isascii() and value.isprintable() and value == value.strip()
        if not is_plain or not _HEADER_NAME.fullmatch(name):
            raise ValueError(hints.HEADER_FORM.format(name=name))
    return headers


def _call_headers(function: Callable[[], Any]) -> Mapping[str, str]:
    """Return the headers of one request from the user's function."""
    headers = function()
    if inspect.iscoroutine(headers):
        headers.close()
    if not isinstance(headers, Mapping) or not all(isinstance(v, str) for v in headers.values()):
        raise CozeInvalidRequestError(
            f"default_headers returned a value of type {type(headers).__name__}, "
            "not a mapping of str to str.",
            hint=hints.HEADER_FUNCTION,
        )
    try:
        return _check_headers(headers)
    except ValueError as error:
        raise CozeInvalidRequestError(str(error)) from None


def hide_secrets(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of another object, by name, with secrets wrapped."""
    return {name: clean_field(name, value) for name, value in options.items()}


_CLEANERS: Mapping[str, Callable[[Any], Any]] = {
    "api_key": lambda value: SecretStr(value) if isinstance(value, str) else value,
    "default_headers": lambda value: value if callable(value) else _check_headers(value),
    "tool_options": hide_secrets,
    "http_backend": check_backend,
}
_OTHER_NAMES = {"coze_api_key": "api_key", "coze_api_base": "base_url"}


def clean_field(name: str, value: Any, clean_url: Callable[[str], str] = clean_base_url) -> Any:
    """Return the value of a field in the form that the constructor stores.

    Pydantic validates constructor arguments, but neither assignments nor the `update` of
    `model_copy`: a token would stay a plain str, which `vars` and `model_dump` show.
    """
    name = _OTHER_NAMES.get(name, name)
    clean = clean_url if name == "base_url" else _CLEANERS.get(name)
    if clean is None or value is None:
        return value
    try:
        return clean(value)
    except ValueError as error:
        raise CozeInvalidRequestError(str(error)) from None


class ConnectionFields(BaseModel):
    """The fields that define how to reach a server, and methods to close the connections.

    No field holds a client or a socket, except a client that you pass. Objects can therefore be
    pickled, copied, and used from several threads and event loops.
    """

    # hide_input_in_errors: an invalid value may be, or contain, a secret
    model_config = ConfigDict(
        arbitrary_types_allowed=True, defer_build=True, hide_input_in_errors=True
    )

    if not TYPE_CHECKING:
        __signature__ = FieldSignature()

    if TYPE_CHECKING:  # subclasses define them, with their own defaults
        api_key: SecretStr | Callable[[], Any] | Any
        base_url: str

    timeout: Any = Field(default=120.0, validation_alias=AliasChoices("timeout", "request_timeout"))
    """Read timeout in seconds, an `httpx.Timeout`, or None for no limit. Unless you pass an
    `httpx.Timeout`, connecting may take at most 10 s."""

    max_retries: int = Field(default=2, ge=0)
    """The maximum number of retries of a request, as long as it cannot have started anything."""

    http_client: Any = Field(default=None, exclude=True, repr=False)
    """Your `httpx.Client` for sync calls; used as is and never closed by this package."""

    http_async_client: Any = Field(default=None, exclude=True, repr=False)
    """Your `httpx.AsyncClient` for async calls; used as is and never closed by this package."""

    http_backend: HttpBackend = "httpx"
    """What carries async requests: `httpx`, or `aiohttp` (extra `aiohttp`), which takes about half
    the CPU time. Sync calls, your own client and SOCKS proxies always use httpx."""

    default_headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = Field(
        default=None, exclude=True, repr=False
    )
    """Additional headers of each request, for instance for a gateway, or a function that returns
    them and is called once for each request, for instance for trace headers. They replace headers
    of the same name (case-insensitive). `Authorization` is not allowed, because it contains the
    token."""

    @model_validator(mode="before")
    @classmethod
    def _prepare_fields(cls, values: Any) -> Any:
        """Reject or report unknown arguments; in some fields, replace None by the default."""
        if not isinstance(values, dict):
            return values
        accepted = get_argument_names(cls)
        for name in sorted(values.keys() - accepted.keys()):
            handle_unknown_argument(name, accepted, owner=cls.__name__)
        return {
            name: value
            for name, value in values.items()
            if value is not None or name not in _DEFAULT_IF_NONE
        }

    @field_validator("base_url", "default_headers", check_fields=False)
    @classmethod
    def _clean_value(cls, value: Any, info: ValidationInfo) -> Any:
        return clean_field(info.field_name or "", value, cls._clean_url)

    @field_validator("http_backend", mode="before")
    @classmethod
    def _check_backend(cls, value: Any) -> Any:
        return check_backend(value)

    @staticmethod
    def _clean_url(value: str) -> str:
        """Return a valid `base_url`."""
        return clean_base_url(value)

    @field_validator("timeout")
    @classmethod
    def _check_timeout(cls, value: Any) -> Any:
        value = _to_time_limit(value)
        seconds = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is None or (seconds and value > 0) or hasattr(value, "as_dict"):
            return value
        raise ValueError(hints.TIMEOUT_FORM.format(value=value))

    @model_validator(mode="after")
    def _check_clients(self) -> Self:
        for name, expected in _CLIENTS.items():
            client = getattr(self, name)
            if client is None:
                continue
            if hasattr(client, "aclose") != (expected == "AsyncClient"):
                raise ValueError(hints.CLIENT_KIND.format(name=name, expected=expected))
            # a client of an httpx fork does not accept httpx timeouts
            classes = {
                f"{c.__module__.partition('.')[0]}.{c.__name__}" for c in type(client).__mro__
            }
            if "timeout" in self.model_fields_set and f"httpx.{expected}" not in classes:
                package = type(client).__module__.partition(".")[0]
                raise ValueError(hints.TIMEOUT_OF_FORK.format(package=package, name=name))
        return self

    if not TYPE_CHECKING:  # type checkers would accept any attribute

        def __setattr__(self, name: str, value: Any) -> None:
            """Set an attribute; a token becomes a secret, the address and headers are validated."""
            super().__setattr__(name, clean_field(name, value, self._clean_url))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; see `BaseModel.model_copy`. New values are cleaned as in an assignment.

        Args:
            update: The new values, by any name that the constructor accepts.
            deep: Whether to copy the values as well.

        Raises:
            CozeInvalidRequestError: The address or a header is invalid.
        """
        names = get_argument_names(type(self))
        cleaned = {
            names.get(name, name): clean_field(name, value, self._clean_url)
            for name, value in (update or {}).items()
        }
        return super().model_copy(update=cleaned, deep=deep)

    @property
    def _is_studio(self) -> bool:
        return False

    def _make_driver(self) -> Driver:
        """Return a driver for the server; it holds no connection, so creating one is cheap."""
        uses_our_connections = self.http_client is None and self.http_async_client is None
        headers = self.default_headers
        settings = Settings(
            base_url=self.base_url,
            is_studio=self._is_studio,
            timeout=self.timeout
            if uses_our_connections or "timeout" in self.model_fields_set
            else ...,
            headers=partial(_call_headers, headers) if callable(headers) else headers or {},
            http_client=self.http_client,
            http_async_client=self.http_async_client,
            http_backend=self.http_backend,
        )
        policy = RetryPolicy(max_retries=self.max_retries)
        return _runtime.make_driver(settings, make_token_source(self.api_key, settings, policy))

    def _build_polling(self, interval: float, timeout: float) -> Polling:
        """Return the polling settings, with a minimum interval of 1 s on Coze's hosts."""
        floor = 1.0 if is_coze_host(urlsplit(self.base_url).hostname or "") else 0.0
        limit = min(timeout, threading.TIMEOUT_MAX)
        return Polling(interval=interval, timeout=limit, min_interval=floor)

    def close(self) -> None:
        """Close the sync connections to the server; a later call opens new ones.

        They belong to the process, not to this object: other objects reconnect when needed, and
        open streams are allowed to finish.
        """
        self._make_driver().close()

    async def aclose(self) -> None:
        """Close the running event loop's connections to the server; see `close`."""
        await self._make_driver().aclose()

    def __enter__(self) -> Self:
        """Return this object; leaving the `with` block closes the connections."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    async def __aenter__(self) -> Self:
        """Return this object; leaving the `async with` block closes the connections."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    def __getstate__(self) -> dict[Any, Any]:
        """Return the state for pickling.

        Raises:
            TypeError: The object holds a user-supplied HTTP client, which cannot be pickled.
        """
        for name in _CLIENTS:
            if getattr(self, name) is not None:
                raise TypeError(hints.CLIENT_IN_PICKLE.format(name=name))
        return super().__getstate__()


class CozeConnectionFields(ConnectionFields):
    """The fields that define how to reach the Coze API."""

    api_key: SecretStr | Callable[[], Any] | Any = Field(
        default_factory=secret_from_env("COZE_API_TOKEN", "COZE_API_KEY"),
        validation_alias=AliasChoices("api_key", "coze_api_key"),
        repr=False,
    )
    """The token: a str, a function that returns one, an object with a `token` attribute, or a
    `CozeJWTAuth`. Env `COZE_API_TOKEN`, then `COZE_API_KEY`."""

    base_url: str = Field(
        default_factory=from_env("COZE_API_BASE", default=DEFAULT_BASE_URL),
        validate_default=True,
        validation_alias=AliasChoices("base_url", "coze_api_base"),
    )
    """The server: `https://api.coze.cn`, `https://api.coze.com`, or your Coze Studio.
    Env `COZE_API_BASE`."""

    server: Literal["auto", "cloud", "studio"] = "auto"
    """Which server answers at `base_url`: `cloud` is coze.cn or coze.com, `studio` a self-hosted
    Coze Studio. `auto`: coze.cn, coze.com, their subdomains and loopback addresses are `cloud`;
    port 8888 of a loopback address and all other addresses are `studio`."""

    @field_validator("server", mode="before")
    @classmethod
    def _check_server(cls, value: Any) -> Any:
        if isinstance(value, str) and value in {"auto", "cloud", "studio"}:
            return value
        raise ValueError(hints.SERVER_CHOICE.format(value=value))

    @property
    def _is_studio(self) -> bool:
        """Whether the server is a self-hosted Coze Studio."""
        return is_studio(self.server, self.base_url)
