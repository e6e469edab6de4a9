"""What callers of one process share: values made once, and turns taken one by one.

Both work across threads and event loops: who has to wait yields a `Wait`, which the blocking driver
waits for with its thread and the asyncio one without.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from langchain_coze._api.effects import Flow, T, Wait
from langchain_coze.errors import CozeConversationBusyError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_MAX_WAIT_SECONDS = 60.0  # seconds that a caller waits for what another one is making
_BUSY = 4016
_all: WeakSet[Any] = WeakSet()


class TTLCache:
    """Values by key, each made by one caller at a time; the least used are dropped first."""

    def __init__(self, max_size: int = 1000) -> None:
        """Take how many values are kept."""
        self._max_size = max_size
        self.clear()
        _all.add(self)

    def clear(self) -> None:
        """Forget everything, also who is making what."""
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._in_flight: dict[Hashable, Future[None]] = {}

    def get(self, key: Hashable) -> Any:
        """Return the value of a key, or None when there is none that is still good."""
        with self._lock:
            value, until = self._values.get(key, (None, 0.0))
            if value is None or until <= time.monotonic():
                return None
            self._values.move_to_end(key)
            return value

    def discard(self, key: Hashable, value: Any) -> None:
        """Forget the value of a key, unless it is another one by now."""
        with self._lock:
            if self._values.get(key, (None,))[0] == value:
                del self._values[key]

    def begin(self, key: Hashable) -> Future[None] | None:
        """Return what to wait for, or None: then it is the caller who makes the value."""
        with self._lock:
            flight = self._in_flight.get(key)
            if flight is None:
                self._in_flight[key] = Future()
            return flight

    def complete(self, key: Hashable, value: Any = None, seconds: float = 0.0) -> None:
        """Keep a value for some seconds, or none, and let those go on who wait for it."""
        with self._lock:
            if value is not None:
                self._values[key] = value, time.monotonic() + seconds
                self._values.move_to_end(key)
                while len(self._values) > self._max_size:
                    self._values.popitem(last=False)
            flight = self._in_flight.pop(key, None)
        if flight is not None:
            flight.set_result(None)


def get_or_create(
    cache: TTLCache, key: Hashable, create: Callable[[], Flow[tuple[T, float]]]
) -> Flow[T]:
    """Return a value from the cache, or make it, once for all who ask at the same time.

    Where making it fails, the caller who made it gets the error and the next one tries.

    Args:
        cache: Where values are kept.
        key: Which value.
        create: The flow that makes it; returns the value (not None) and for how many seconds it is
            good.

    Raises:
        CozeError: What `make` raises.
    """
    while (value := cache.get(key)) is None:
        in_flight = cache.begin(key)
        if in_flight is None:
            return (yield from _create(cache, key, create))
        if not (yield Wait(in_flight, _MAX_WAIT_SECONDS)):
            return (yield from create())[0]  # better twice than never
    return value  # type: ignore[no-any-return] # what `make` has returned before


def _create(cache: TTLCache, key: Hashable, create: Callable[[], Flow[tuple[T, float]]]) -> Flow[T]:
    try:
        value, seconds = yield from create()
    except BaseException:  # also when the driver is cancelled
        cache.complete(key)
        raise
    cache.complete(key, value, seconds)
    return value


class KeyedLocks:
    """One caller at a time for each key, in the order in which they came."""

    def __init__(self) -> None:
        """Begin with nobody inside."""
        self.clear()
        _all.add(self)

    def clear(self) -> None:
        """Forget who is inside, and who waits."""
        self._lock = threading.Lock()
        self._queues: dict[Hashable, deque[Future[None]]] = {}
        self._threads: dict[Hashable, int] = {}

    def try_acquire(self, key: Hashable) -> tuple[Future[None] | None, int]:
        """Go in, or queue up; return what to wait for, or None, and the thread of who is inside."""
        with self._lock:
            queue = self._queues.get(key)
            if queue is None:
                self._queues[key] = deque()
                self._threads[key] = threading.get_ident()
                return None, 0
            waiter: Future[None] = Future()
            queue.append(waiter)
            return waiter, self._threads[key]

    def set_owner(self, key: Hashable) -> None:
        """Note that it is this thread's caller who is inside now."""
        with self._lock:
            self._threads[key] = threading.get_ident()

    def release(self, key: Hashable, waiter: Future[None] | None = None) -> None:
        """Let the next one in; with a ticket: stop waiting for it."""
        with self._lock:
            queue = self._queues.get(key)
            if queue is None:
                return
            if waiter is not None and not waiter.done():
                queue.remove(waiter)
                return
            if not queue:
                del self._queues[key], self._threads[key]
                return
            following = queue.popleft()
            self._threads[key] = 0  # until the next one has come in
            following.set_result(None)


class LockHandle:
    """A place behind the turnstile; `leave` gives it up, once."""

    __slots__ = ("_key", "_locks")

    def __init__(self, locks: KeyedLocks, key: Hashable) -> None:
        """Take the place."""
        self._locks: KeyedLocks | None = locks
        self._key = key

    def release(self) -> None:
        """Let the next one in."""
        locks, self._locks = self._locks, None
        if locks is not None:
            locks.release(self._key)


def acquire(locks: KeyedLocks, key: Hashable, seconds: float) -> Flow[LockHandle]:
    """Wait until nobody else is inside, and go in.

    Args:
        locks: The turnstiles.
        key: Which one.
        seconds: The longest to wait.

    Returns:
        The place, to be left.

    Raises:
        CozeConversationBusyError: It took too long, or the one inside is this very thread.
    """
    waiter, thread = locks.try_acquire(key)
    if waiter is not None:
        try:
            in_time = yield Wait(waiter, seconds, thread)
        except BaseException:  # also when the driver is cancelled
            locks.release(key, waiter)
            raise
        if not in_time:
            locks.release(key, waiter)
            raise CozeConversationBusyError(
                "Another call on this conversation has not ended yet.",
                code=_BUSY,
                hint=bilingual_hint(
                    "Read or close the other stream first; a conversation has one turn at a time.",
                    "请先读完或关闭另一个流：同一会话一次只能进行一轮对话。",
                ),
            )
        locks.set_owner(key)
    return LockHandle(locks, key)


def _after_fork() -> None:
    for each in _all:  # a child must not wait for its parent's threads
        each.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
