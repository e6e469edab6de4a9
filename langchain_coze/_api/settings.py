"""How to reach a server, as plain data: base URL, timeouts, headers, token source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 120.0


class TokenSource(Protocol):
    """Where the token of each request comes from."""

    @property
    def cache_key(self) -> str | None:
        """What tells whose tokens they are although they change, or None."""

    def get(self) -> str:
        """Return the token."""

    async def aget(self) -> str:
        """Return the token without blocking the event loop."""

    def invalidate(self) -> bool:
        """Forget the token; return whether `get` may now give another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to reach a server.

    Attributes:
        base_url: Its address, without a slash at the end.
        timeout: Seconds of silence between bytes, an `httpx.Timeout`, or None for no limit;
            `...` leaves it to a client of the user's.
        headers: Further headers for each request.
        http_client: A blocking httpx client of the user's, or None.
        http_async_client: An asyncio httpx client of the user's, or None.
    """

    base_url: str
    timeout: Any = READ_TIMEOUT
    headers: Mapping[str, str] = field(default_factory=dict)
    http_client: Any = None
    http_async_client: Any = None
