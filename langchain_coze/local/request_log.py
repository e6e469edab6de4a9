"""The requests that a server has received, limited in number and bytes."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the server has received.

    Attributes:
        method: `GET` or `POST`.
        path: Path without query.
        query: Query parameters.
        headers: Headers, with lower-case names.
        content: The bytes of the body; empty for uploads, and for requests without a valid token.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)  # they contain a token
    content: bytes = field(repr=False)

    @property
    def body(self) -> Any:
        """The decoded JSON; None when the body is empty or not JSON."""
        return decode_json(self.content)


class RequestLog:
    """The last `max_requests` requests, oldest first.

    It keeps fewer if their bodies exceed 32 MB, but always the last one.
    """

    def __init__(self, max_requests: int) -> None:
        """Start empty."""
        self._max_requests = max_requests
        self._size = 0
        self.requests: deque[RecordedRequest] = deque()

    def append(self, request: RecordedRequest) -> None:
        """Add a request; drop the oldest ones above the limit."""
        self.requests.append(request)
        self._size += len(request.content)
        while len(self.requests) > self._max_requests or (
            self._size > _MAX_BYTES and len(self.requests) > 1
        ):
            self._size -= len(self.requests.popleft().content)

    def clear(self) -> None:
        """Drop all requests."""
        self.requests.clear()
        self._size = 0


def decode_json(content: bytes) -> Any:
    """Return the decoded JSON of a body; None when it is empty or not JSON."""
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None
