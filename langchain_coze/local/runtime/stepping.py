"""Iterate over a reply, and send it the answers that it waits for."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from langchain_coze.local.reply_parts import PART_TYPES, needs_answer
from langchain_coze.local.runtime.text import split_deltas

# How many items a generator in a thread may be ahead of the stream.
_MAX_READ_AHEAD = 256
END: Final = object()


def is_runnable(value: Any) -> bool:
    """Return whether `value` has the methods of a LangChain Runnable, without importing it."""
    return not isinstance(value, type) and hasattr(value, "astream") and hasattr(value, "ainvoke")


def is_async_function(function: Any) -> bool:
    """Return whether a function, or the `__call__` of an object, is `async`."""
    plain = inspect.isroutine(function)
    body = function if plain else getattr(function, "__call__", None)  # noqa: B004 - the method itself is inspected
    return inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body)


@dataclass(frozen=True, slots=True)
class Deferred:
    """A call that must run in the event loop."""

    call: Callable[[], Any]


def as_items(result: Any) -> Iterable[Any]:
    """Return the parts of a reply function's result."""
    if result is None:
        return ()
    if isinstance(result, str):
        return split_deltas(result)
    if isinstance(result, PART_TYPES):
        return (result,)
    if isinstance(result, Iterable):
        return result
    raise TypeError(f"a reply cannot be of type {type(result).__name__}")


async def iterate_call(
    call: Callable[[], Any],
    open_result: Callable[[Any], Any],
    *,
    in_loop: bool,
    check: Callable[[Any], None] = lambda _item: None,
) -> AsyncGenerator[Any, Any]:
    """Yield the items of a call; a value sent to this generator becomes the value of its `yield`.

    A call that is not `in_loop` runs in its own thread. `open_result` returns an iterator over a
    result that needs the event loop; `check` raises for invalid items.
    """
    iterator: Any = iter((Deferred(call),)) if in_loop else ReplyThread(call)
    answer = None
    try:
        while (item := await advance(iterator, answer)) is not END:
            if isinstance(item, Deferred):
                await close_iterator(iterator)
                result = item.call()
                if inspect.isawaitable(result):
                    result = await result
                iterator, answer = open_result(result), None
            else:
                check(item)
                answer = yield item
    finally:
        await close_iterator(iterator)


async def advance(iterator: Any, answer: Any) -> Any:
    """Return the next item of any iterator, or `END`; send `answer` to a generator."""
    if isinstance(iterator, Iterator):
        return _get_next(iterator, answer)
    try:
        if hasattr(iterator, "asend"):
            return await iterator.asend(answer)
        return await anext(iterator)
    except StopAsyncIteration:
        return END


def _get_next(iterator: Iterator[Any], answer: Any) -> Any:
    try:
        return iterator.send(answer) if isinstance(iterator, Generator) else next(iterator)
    except StopIteration:
        return END


async def close_iterator(iterator: Any) -> None:
    """Close a generator; do nothing for other iterators."""
    if isinstance(iterator, Generator):
        iterator.close()
    elif hasattr(iterator, "aclose"):
        await iterator.aclose()


class ReplyThread:
    """Runs a blocking function in its own thread, and returns its items as they are yielded.

    Each call has its own thread instead of a pool: slow replies must not wait for each other, and a
    daemon thread that never returns does not keep the process alive.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        """Store the function; the thread starts with the first `asend`."""
        self._call = call
        self._items: asyncio.Queue[Any] | None = None
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._free_slots = threading.Semaphore(_MAX_READ_AHEAD)
        self._error: BaseException | None = None
        self._is_waiting = False

    async def asend(self, answer: Any) -> Any:
        """Return the next item, or `END`; send `answer` to a generator that waits for one."""
        if self._items is None:
            self._items = self._start()
        if self._is_waiting:
            self._answers.put(answer)
        item = await self._items.get()
        self._is_waiting = needs_answer(item)
        if item is END and self._error is not None:
            raise self._error
        self._free_slots.release()
        return item

    async def aclose(self) -> None:
        """Stop the thread, without waiting for it."""
        self._stopped.set()
        self._free_slots.release()
        self._answers.put(None)

    def _start(self) -> asyncio.Queue[Any]:
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[Any] = asyncio.Queue()

        def put_item(item: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(items.put_nowait, item)

        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._run, put_item), name="local-coze-reply", daemon=True
        ).start()
        return items

    def _run(self, put_item: Callable[[Any], None]) -> None:
        try:
            self._iterate(put_item)
        except Exception as error:  # noqa: BLE001 - raised again where the reply is awaited
            self._error = error
        finally:
            put_item(END)

    def _iterate(self, put_item: Callable[[Any], None]) -> None:
        result = self._call()
        if inspect.isawaitable(result) or is_runnable(result) or isinstance(result, AsyncIterable):
            put_item(Deferred(lambda: result))
            return
        iterator = iter(as_items(result))
        answer = None
        while (item := _get_next(iterator, answer)) is not END:
            self._free_slots.acquire()
            if not self._stopped.is_set():
                put_item(item)
                answer = self._answers.get() if needs_answer(item) else None
            if self._stopped.is_set():
                break
        if inspect.isgenerator(iterator):
            iterator.close()
