"""The timer that ends sync reads: exact, and woken rarely."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

from langchain_coze._api.deadlines import SocketTimer

if TYPE_CHECKING:
    import pytest


def _read_until_end(connection: socket.socket, began: float) -> float:
    """Return when a read ended that only a shutdown can end, in seconds."""
    assert connection.recv(1) == b""
    return time.monotonic() - began


def test_a_socket_is_shut_down_at_its_deadline_also_between_the_looks_of_the_timer() -> None:
    timer = SocketTimer()
    for seconds in (0.02, 0.07, 0.2):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            began = time.monotonic()
            timer.start("key", began + seconds, ours)
            assert seconds <= _read_until_end(ours, began) < seconds + 1
            timer.stop("key")


def test_a_stopped_socket_is_left_alone() -> None:
    timer = SocketTimer()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timer.start("key", time.monotonic() + 0.05, ours)
        timer.stop("key")
        time.sleep(0.2)
        theirs.send(b"x")
        assert ours.recv(1) == b"x"


def test_a_request_needs_no_thread_while_the_interpreter_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python 3.12 starts no thread then; the timer starts one for the next request if it can."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    timer = SocketTimer()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            timer.start("key", time.monotonic() + 0.05, ours)
        began = time.monotonic()
        timer.start("key", began + 0.05, ours)
        assert _read_until_end(ours, began) < 1


def test_many_short_requests_do_not_wake_the_thread_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timer, wakes = SocketTimer(), list[float]()
    notify = timer._changed.notify

    def count() -> None:
        wakes.append(time.monotonic())
        notify()

    monkeypatch.setattr(timer._changed, "notify", count)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(200):
            timer.start("key", time.monotonic() + 0.05, ours)
            timer.stop("key")
            time.sleep(0.001)
    assert len(wakes) < 50  # once after each idle time


def test_an_idle_timer_sleeps() -> None:
    timer, looks = SocketTimer(), list[float | None]()
    wait = timer._changed.wait

    def count(timeout: float | None = None) -> bool:
        looks.append(timeout)
        return wait(timeout)

    timer._changed.wait = count  # type: ignore[method-assign]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timer.start("key", time.monotonic() + 30, ours)
        timer.stop("key")
        deadline = time.monotonic() + 5
        while looks[-1:] != [None] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert looks[-1] is None
        seen = len(looks)
        time.sleep(0.2)
        assert len(looks) == seen
