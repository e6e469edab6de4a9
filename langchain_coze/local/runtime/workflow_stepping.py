"""Running the function of a workflow: iterate over what it yields, then its output."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.stepping import (
    END,
    Deferred,
    ReplyThread,
    advance,
    close_iterator,
)
from langchain_coze.local.workflow_parts import Output

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


async def iterate_function(call: Callable[[], Any], *, is_async: bool) -> AsyncGenerator[Any, Any]:
    """Run one call of a workflow's function.

    Args:
        call: The call. A function that is not `async` runs in its own thread.
        is_async: Whether the function is `async`.

    Yields:
        What a generator yields, then an `Output`. After a part that needs an answer, send the
        answer: it becomes the value of the function's own `yield`.
    """
    iterator: Any = (
        iter((Deferred(call),)) if is_async else ReplyThread(lambda: _iterate_with_output(call))
    )
    answer = None
    try:
        while (item := await advance(iterator, answer)) is not END:
            if isinstance(item, Deferred):
                await close_iterator(iterator)
                iterator, answer = await _open_result(item.call()), None
            else:
                answer = yield item
    finally:
        await close_iterator(iterator)


async def _open_result(result: Any) -> Any:
    """Return an iterator over a result that needs the event loop."""
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterable):
        return aiter(result)
    return _iterate_with_output(lambda: result)


def _iterate_with_output(call: Callable[[], Any]) -> Generator[Any, Any, None]:
    """Yield what a generator yields, then the output; of any other result only the output."""
    result = call()
    if inspect.isawaitable(result) or isinstance(result, AsyncIterable):
        yield Deferred(lambda: result)
        return
    if inspect.isgenerator(result):
        result = yield from result
    yield result if isinstance(result, Output) else Output(result)
