"""Shared values and locks across threads, tasks and forks."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_coze import _runtime
from langchain_coze._api.conversation_lock import ConversationLocks, acquire
from langchain_coze._api.effects import Flow, Sleep
from langchain_coze._api.settings import Settings
from langchain_coze._api.singleflight import TTLCache, get_or_create
from langchain_coze._api.token_sources import make_token_source
from langchain_coze._runtime import make_driver
from langchain_coze.errors import CozeConversationBusyError, CozeError, CozeServerError

CLIENT = make_driver(Settings(base_url="http://127.0.0.1:1"), make_token_source("pat_example"))
LONG = 10.0


class CountingFactory:
    """Creates numbers, slowly, and counts how often."""

    def __init__(self, seconds: float = 60.0, fail: int = 0) -> None:
        self.made = 0
        self.seconds = seconds
        self.fail = fail

    def __call__(self) -> Flow[tuple[int, float]]:
        self.made += 1
        number = self.made
        yield Sleep(0.05)
        if number <= self.fail:
            raise CozeServerError("not now")
        return number, self.seconds


def test_threads_and_tasks_share_a_created_value() -> None:
    cache, make = TTLCache(), CountingFactory()

    async def several() -> list[int]:
        return await asyncio.gather(
            *(CLIENT.arun(get_or_create(cache, "k", make)) for _ in range(20))
        )

    with ThreadPoolExecutor(12) as pool:
        blocking = [pool.submit(CLIENT.run, get_or_create(cache, "k", make)) for _ in range(8)]
        loops = [pool.submit(asyncio.run, several()) for _ in range(2)]
        assert [future.result(LONG) for future in blocking] == [1] * 8
        assert [future.result(LONG) for future in loops] == [[1] * 20] * 2
    assert make.made == 1
    assert CLIENT.run(get_or_create(cache, "other", make)) == 2


def test_a_value_is_made_again_when_its_time_is_over_or_it_was_dropped() -> None:
    cache, make = TTLCache(), CountingFactory(seconds=0.0)
    assert [CLIENT.run(get_or_create(cache, "k", make)) for _ in range(2)] == [1, 2]
    make.seconds = 60.0
    assert [CLIENT.run(get_or_create(cache, "k", make)) for _ in range(2)] == [3, 3]
    cache.discard("k", 99)
    assert CLIENT.run(get_or_create(cache, "k", make)) == 3
    cache.discard("k", 3)
    assert CLIENT.run(get_or_create(cache, "k", make)) == 4


def test_a_failed_caller_gets_the_error_and_the_next_one_tries() -> None:
    cache, make = TTLCache(), CountingFactory(fail=1)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(CLIENT.run, get_or_create(cache, "k", make)) for _ in range(5)]
        errors = [future.exception(LONG) for future in futures]
    assert [type(error) for error in errors if error] == [CozeServerError]
    assert make.made == 2


def test_a_cancelled_maker_leaves_it_to_the_next_one() -> None:
    cache, make = TTLCache(), CountingFactory()

    async def run() -> int:
        first = asyncio.create_task(CLIENT.arun(get_or_create(cache, "k", make)))
        await asyncio.sleep(0)  # let it run until it waits
        second = asyncio.create_task(CLIENT.arun(get_or_create(cache, "k", make)))
        await asyncio.sleep(0)  # let it run until it waits
        first.cancel()
        return await asyncio.wait_for(second, LONG)

    assert asyncio.run(run()) == 2


def test_a_blocking_call_on_the_loop_s_thread_does_not_wait_for_the_loop() -> None:
    cache, make = TTLCache(), CountingFactory()

    async def run() -> tuple[int, int]:
        task = asyncio.create_task(CLIENT.arun(get_or_create(cache, "k", make)))
        await asyncio.sleep(0)  # let it run until it waits
        blocking = CLIENT.run(get_or_create(cache, "k", make))
        return blocking, await task

    assert asyncio.run(run()) == (2, 1)


def test_the_least_used_values_go() -> None:
    cache, make = TTLCache(max_size=2), CountingFactory()
    for key in ("a", "b", "a", "c"):
        CLIENT.run(get_or_create(cache, key, make))
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def hold_lock(locks: ConversationLocks, log: list[str], name: str) -> None:
    CLIENT.run(acquire(locks, "v1", None, LONG))
    log.append(f"{name} in")
    time.sleep(0.02)  # hold the lock for a while
    log.append(f"{name} out")
    locks.release("v1")


async def hold_lock_async(locks: ConversationLocks, log: list[str], name: str) -> None:
    await CLIENT.arun(acquire(locks, "v1", None, LONG))
    log.append(f"{name} in")
    await asyncio.sleep(0.02)  # hold the lock for a while
    log.append(f"{name} out")
    locks.release("v1")


def test_a_lock_has_one_holder_across_threads_and_loops() -> None:
    locks, log = ConversationLocks(), list[str]()

    async def several(name: str) -> None:
        await asyncio.gather(*(hold_lock_async(locks, log, f"{name}{n}") for n in range(4)))

    with ThreadPoolExecutor(6) as pool:
        futures: list[Any] = [pool.submit(hold_lock, locks, log, f"t{n}") for n in range(4)]
        futures += [pool.submit(asyncio.run, several(name)) for name in ("x", "y")]
        for future in futures:
            future.result(LONG)
    assert len(log) == 24
    for came, went in zip(log[::2], log[1::2], strict=True):
        assert came.removesuffix(" in") == went.removesuffix(" out")
    assert locks.try_acquire("v1")[0] is None  # it is free again


def test_other_keys_do_not_wait() -> None:
    locks = ConversationLocks()
    for key in ("v1", "v2"):
        CLIENT.run(acquire(locks, key, None, 0.0))


def test_the_holder_of_a_lock_cannot_wait_for_itself() -> None:
    locks = ConversationLocks()
    CLIENT.run(acquire(locks, "v1", None, LONG))
    before = time.monotonic()
    with pytest.raises(CozeConversationBusyError, match="has not ended yet") as caught:
        CLIENT.run(acquire(locks, "v1", None, LONG))
    assert time.monotonic() - before < LONG / 2
    assert caught.value.code == 4016
    locks.release("v1")
    CLIENT.run(acquire(locks, "v1", None, LONG))


def test_the_last_holder_of_a_lock_may_queue_again() -> None:
    locks = ConversationLocks()
    CLIENT.run(acquire(locks, "v1", None, LONG))
    ticket, _ = locks.try_acquire("v1")
    locks.release("v1")  # the next one has the lock, but it has not woken up yet
    assert ticket is not None
    assert ticket.done()
    _, thread = locks.try_acquire("v1")
    assert thread != threading.get_ident()


def test_waiters_that_time_out_or_are_cancelled_do_not_block_the_others() -> None:
    locks = ConversationLocks()

    async def run() -> None:
        await CLIENT.arun(acquire(locks, "v1", None, LONG))
        with pytest.raises(CozeConversationBusyError):
            await CLIENT.arun(acquire(locks, "v1", None, 0.02))
        gone = asyncio.create_task(CLIENT.arun(acquire(locks, "v1", None, LONG)))
        late = asyncio.create_task(CLIENT.arun(acquire(locks, "v1", None, LONG)))
        await asyncio.sleep(0)  # let it run until it waits
        gone.cancel()
        locks.release("v1")
        await asyncio.wait_for(late, LONG)
        locks.release("v1")
        # cancelled just after it got the lock: the next one gets it
        await CLIENT.arun(acquire(locks, "v1", None, LONG))
        gone = asyncio.create_task(CLIENT.arun(acquire(locks, "v1", None, LONG)))
        late = asyncio.create_task(CLIENT.arun(acquire(locks, "v1", None, LONG)))
        await asyncio.sleep(0)  # let it run until it waits
        locks.release("v1")
        gone.cancel()
        await asyncio.wait_for(late, LONG)
        locks.release("v1")

    asyncio.run(run())
    assert locks.try_acquire("v1")[0] is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_wait_for_its_parent() -> None:
    locks, cache = _runtime.conversation_locks, _runtime.uploaded_file_ids
    CLIENT.run(acquire(locks, "v1", None, LONG))
    assert cache.reserve("k") is None  # a thread of the parent creates it
    child = os.fork()
    if not child:
        try:
            CLIENT.run(acquire(locks, "v1", None, 1.0))
            good = CLIENT.run(get_or_create(cache, "k", CountingFactory())) == 1
        except CozeError:
            good = False
        os._exit(0 if good else 1)
    locks.release("v1")
    cache.store("k", None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
