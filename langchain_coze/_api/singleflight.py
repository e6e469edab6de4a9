"""A cache that creates a missing value only once for all concurrent callers.

It works across threads and event loops: a caller that must wait yields a `Wait` effect, for which
the sync driver blocks its thread and the async driver does not.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from langchain_coze._api.deadlines import compute_seconds_left, has_passed
from langchain_coze._api.effects import Flow, T, Wait
from langchain_coze._api.error_codes import make_deadline_error

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_MAX_WAIT_SECONDS = 60.0  # for a value that another caller is creating


class TTLCache:
    """Values by key, each with an expiry time; the least recently used are dropped first."""

    def __init__(self, max_size: int = 1000) -> None:
        """Create an empty cache."""
        self._max_size = max_size
        self.clear()

    def clear(self) -> None:
        """Drop all values and all pending creations."""
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._in_flight: dict[Hashable, Future[None]] = {}

    def get(self, key: Hashable) -> Any:
        """Return the value of a key, or None if it is missing or expired."""
        with self._lock:
            value, expires_at = self._values.get(key, (None, 0.0))
            if value is None or expires_at <= time.monotonic():
                return None
            self._values.move_to_end(key)
            return value

    def discard(self, key: Hashable, value: Any) -> None:
        """Drop the value of a key unless it has been replaced."""
        with self._lock:
            if self._values.get(key, (None,))[0] == value:
                del self._values[key]

    def reserve(self, key: Hashable) -> Future[None] | None:
        """Return a future to wait for, or None if the caller must create the value."""
        with self._lock:
            in_flight = self._in_flight.get(key)
            if in_flight is None:
                self._in_flight[key] = Future()
            return in_flight

    def store(self, key: Hashable, value: Any, seconds: float = math.inf) -> None:
        """Store a value for some seconds (None stores nothing), and wake the waiting callers."""
        with self._lock:
            if value is not None:
                self._values[key] = value, time.monotonic() + seconds
                self._values.move_to_end(key)
                while len(self._values) > self._max_size:
                    self._values.popitem(last=False)
            in_flight = self._in_flight.pop(key, None)
        if in_flight is not None:
            in_flight.set_result(None)


def get_or_create(
    cache: TTLCache,
    key: Hashable,
    create: Callable[[], Flow[tuple[T, float]]],
    *,
    deadline: float | None = None,
) -> Flow[T]:
    """Return a value from the cache, or create it once for all concurrent callers.

    `create` returns the value (not None) and its lifetime in seconds. If it fails, its caller gets
    the error and the next caller tries again. The deadline ends the wait for another caller.
    """
    while (value := cache.get(key)) is None:
        in_flight = cache.reserve(key)
        if in_flight is None:
            created: T | None = None
            seconds = 0.0
            try:
                created, seconds = yield from create()
            finally:  # also when the driver is cancelled
                cache.store(key, created, seconds)
            return created
        if not (yield Wait(in_flight, compute_seconds_left(deadline, _MAX_WAIT_SECONDS))):
            if has_passed(deadline):
                raise make_deadline_error()
            return (yield from create())[0]  # waited too long
    shared: T = value
    return shared
