"""Working off the function of a workflow: what it yields on its way, and what it ends with."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.stepping import END, Deferred, ReplyThread, advance, close

if TYPE_CHECKING:
    from langchain_coze.local.workflows import LocalWorkflow


@dataclass(frozen=True, slots=True)
class Output:
    """The end of a run: what its End node gives.

    A function returns its value; only an async generator, which can return none, yields this.

    Attributes:
        value: A mapping is the End node's variables; any other value is its variable `output`.

    Example:
        >>> Output({"city": "Hangzhou"}).value
        {'city': 'Hangzhou'}
    """

    value: Any


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a workflow's function gets to know about its run, besides its parameters.

    A parameter that is annotated with this class is filled in by the server; clients do not see it.

    Attributes:
        workflow: The workflow that runs.
        execute_id: The id of the run.
        parameters: The parameters as they came over the wire.
        bot_id: The bot that the run is bound to; empty when there is none.
        app_id: The app that the run belongs to; empty when there is none.
        ext: The caller's own pairs: `user_id`, `latitude`, `longitude`.
        profile: `"cloud"` or `"studio"`.

    Example:
        >>> def whose(context: RunContext) -> str:
        ...     return context.ext.get("user_id", "nobody")
    """

    workflow: LocalWorkflow
    execute_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bot_id: str = ""
    app_id: str = ""
    ext: Mapping[str, str] = field(default_factory=dict)
    profile: str = "cloud"


async def run_steps(call: Callable[[], Any], *, in_loop: bool) -> AsyncGenerator[Any, Any]:
    """Work off one call of a workflow's function.

    Args:
        call: The call. A function that is not `async` runs in a thread of its own.
        in_loop: Whether the function is `async`.

    Yields:
        What a generator yields, then an `Output`. After a piece that waits this must be sent the
        answer: it becomes the value of the function's own `yield`.
    """
    iterator: Any = iter((Deferred(call),)) if in_loop else ReplyThread(lambda: _with_output(call))
    answer = None
    try:
        while (item := await advance(iterator, answer)) is not END:
            if isinstance(item, Deferred):
                await close(iterator)
                iterator, answer = await _opened(item.call()), None
            else:
                answer = yield item
    finally:
        await close(iterator)


async def _opened(result: Any) -> Any:
    """An iterator over what only the event loop can work off."""
    if inspect.isawaitable(result):
        result = await result
    return aiter(result) if isinstance(result, AsyncIterable) else _with_output(lambda: result)


def _with_output(call: Callable[[], Any]) -> Generator[Any, Any, None]:
    """The steps of a call: of a generator its own, of anything else only the value."""
    result = call()
    if inspect.isawaitable(result) or isinstance(result, AsyncIterable):
        yield Deferred(lambda: result)
        return
    if inspect.isgenerator(result):
        result = yield from result
    yield result if isinstance(result, Output) else Output(result)
