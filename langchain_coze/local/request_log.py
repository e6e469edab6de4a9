"""The requests that a server received, bounded in number and bytes."""

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
    """A request that the server received.

    Attributes:
        method: `GET` or `POST`.
        path: Path without query.
        query: Query parameters.
        headers: Headers, with lower-case names.
        content: The bytes of the body; empty for files, and without a valid token.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)  # they include a token
    content: bytes = field(repr=False)

    @property
    def body(self) -> Any:
        """The decoded JSON; None when the body is empty or not JSON."""
        return decode_json(self.content)


class RequestLog:
    """The last `max_requests` requests, oldest first.

    It keeps fewer when their bodies have more than 32 MB, but always the last one.
    """

    def __init__(self, max_requests: int) -> None:
        """Start empty."""
        self._max_requests = max_requests
        self._size = 0
        self.requests: deque[RecordedRequest] = deque()

    def append(self, request: RecordedRequest) -> None:
        """Add a request; forget the oldest ones when there are too many."""
        self.requests.append(request)
        self._size += len(request.content)
        while len(self.requests) > self._max_requests or (
            self._size > _MAX_BYTES and len(self.requests) > 1
        ):
            self._size -= len(self.requests.popleft().content)

    def clear(self) -> None:
        """Forget all requests."""
        self.requests.clear()
        self._size = 0


def decode_json(content: bytes) -> Any:
    """Return the decoded JSON of a body; None when it is empty or not JSON."""
    try:
        return json.loads(content) if content else None
    except (ValueError, RecursionError):
        return None
