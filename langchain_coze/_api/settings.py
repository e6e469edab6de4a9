"""Connection settings of a server, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HttpBackend: TypeAlias = Literal["httpx", "aiohttp"]
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 120.0
MAX_BODY_SIZE = 128 << 20  # bytes of a response that is not a stream
MAX_EVENT_SIZE = 64 << 20  # bytes of one event in a stream
LAST_EVENT_SECONDS = 5.0  # for `done` after the event that ends the turn
DRAIN_SECONDS = 0.05  # from the last event to the end of a response, to reuse its connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to reach a server; see the fields of `ConnectionFields`.

    Attributes:
        base_url: The base URL, without a trailing slash.
        timeout: As in the field; `...` keeps the timeout of a user-supplied client.
        headers: The `default_headers`.
    """

    base_url: str
    is_studio: bool = False
    timeout: Any = READ_TIMEOUT
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] = field(
        default_factory=dict,
        repr=False,  # may hold secrets
    )
    http_client: Any = None
    http_async_client: Any = None
    http_backend: HttpBackend = "httpx"
