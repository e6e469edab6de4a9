"""Fair locks by key that work across threads and event loops."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from langchain_coze import _hints as hints
from langchain_coze._api.deadlines import compute_seconds_left, has_passed
from langchain_coze._api.effects import Flow, Wait
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze.errors import CozeConversationBusyError

if TYPE_CHECKING:
    from collections.abc import Hashable

_BUSY = 4016
_MAX_WAIT = 600.0  # seconds


class ConversationLocks:
    """A lock for each key; waiting callers acquire it in the order of their requests."""

    def __init__(self) -> None:
        """Create an empty collection of locks."""
        self.clear()

    def clear(self) -> None:
        """Forget all holders and waiters."""
        self._mutex = threading.Lock()
        self._waiters: dict[Hashable, deque[Future[None]]] = {}
        self._holder_threads: dict[Hashable, int] = {}

    def try_acquire(self, key: Hashable) -> tuple[Future[None] | None, int]:
        """Take the lock, or join its queue; return the future to wait for and the holder's thread.

        The future is None if the lock was free.
        """
        with self._mutex:
            waiters = self._waiters.get(key)
            if waiters is None:
                self._waiters[key] = deque()
                self._holder_threads[key] = threading.get_ident()
                return None, 0
            waiter: Future[None] = Future()
            waiters.append(waiter)
            return waiter, self._holder_threads[key]

    def set_holder(self, key: Hashable) -> None:
        """Record that this thread now holds the lock."""
        with self._mutex:
            self._holder_threads[key] = threading.get_ident()

    def release(self, key: Hashable, waiter: Future[None] | None = None) -> None:
        """Pass the lock to the next caller; only dequeue a `waiter` that is still waiting."""
        with self._mutex:
            waiters = self._waiters.get(key)
            if waiters is None:
                return
            if waiter is not None and not waiter.done():
                waiters.remove(waiter)
                return
            if not waiters:
                del self._waiters[key], self._holder_threads[key]
                return
            following = waiters.popleft()
            self._holder_threads[key] = 0  # unknown until the next caller runs
            following.set_result(None)


def acquire(
    locks: ConversationLocks,
    key: Hashable,
    deadline: float | None,
    max_wait: float = _MAX_WAIT,
) -> Flow[None]:
    """Wait for a lock until a deadline (`time.monotonic()`); the caller must release it.

    Raises:
        CozeConversationBusyError: `max_wait` seconds have passed, or this thread holds the lock.
        CozeTimeoutError: The deadline has passed.
    """
    waiter, holder_thread = locks.try_acquire(key)
    if waiter is not None:
        try:
            seconds = compute_seconds_left(deadline, max_wait)
            in_time = yield Wait(waiter, seconds, holder_thread)
        except BaseException:  # also when the driver is cancelled
            locks.release(key, waiter)
            raise
        if not in_time:
            locks.release(key, waiter)
            if has_passed(deadline):
                raise make_deadline_error()
            raise CozeConversationBusyError(
                "Another call on this conversation has not ended yet.",
                code=_BUSY,
                hint=hints.OTHER_STREAM,
            )
        locks.set_holder(key)
