"""Adapters: functions, generators and LangChain Runnables as streams of reply parts."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeAlias

from langchain_coze.local.reply_parts import PART_TYPES, ReplyPart, WorkflowQuestion, needs_answer
from langchain_coze.local.runtime.runnables import stream_runnable
from langchain_coze.local.runtime.stepping import (
    END,
    Deferred,
    ReplyThread,
    advance,
    as_items,
    close_iterator,
    is_runnable,
)
from langchain_coze.local.turn_context import Turn

ReplySource: TypeAlias = Callable[[Turn], AsyncGenerator[ReplyPart, Any]]


def as_reply_source(reply: Any) -> ReplySource:
    """Return a function that streams the parts of a reply.

    Args:
        reply: A LangChain Runnable, which gets the messages of the conversation; or a function.
            A function with one positional parameter is called `reply(question)`; with a second
            one that has no default, or is named `turn`, `reply(question, turn)`. It may be
            `async`, may be a generator of either kind, and may return a string, parts, or a
            Runnable. A function that is not `async` runs in its own thread.

    Returns:
        A function from a turn to an async generator of parts. After a part that needs an answer,
        send the answer: it becomes the value of the reply's own `yield`.

    Raises:
        TypeError: `reply` is neither, or has no parameter.
    """
    if is_runnable(reply):
        return lambda turn: stream_runnable(reply, turn)
    if not callable(reply):
        raise TypeError(
            f"reply must be a function or a LangChain Runnable, not {type(reply).__name__}"
        )
    wants_turn = _takes_turn(reply)
    body = reply if inspect.isroutine(reply) else getattr(reply, "__call__", reply)  # noqa: B004 - its body is inspected
    in_loop = inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body)

    def iterate_reply(turn: Turn) -> AsyncGenerator[ReplyPart, Any]:
        def call() -> Any:
            return reply(turn.question, turn) if wants_turn else reply(turn.question)

        return _iterate_parts(iter((Deferred(call),)) if in_loop else ReplyThread(call), turn)

    return iterate_reply


def _takes_turn(reply: Callable[..., Any]) -> bool:
    parameters = inspect.signature(reply).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional:
        raise TypeError("a reply function needs a parameter for the question")
    # A second parameter with a default (`lambda q, i=i: …`) is the function's own affair.
    return any(p.default is p.empty or p.name == "turn" for p in positional[1:2])


async def _iterate_parts(iterator: Any, turn: Turn) -> AsyncGenerator[ReplyPart, Any]:
    """Yield the parts of any iterator, which receives what is sent to this generator."""
    answer = None
    try:
        while (item := await advance(iterator, answer)) is not END:
            if isinstance(item, Deferred):
                await close_iterator(iterator)
                iterator, answer = await _open_result(item.call(), turn), None
            else:
                answer = yield _check_part(item)
    finally:
        await close_iterator(iterator)


async def _open_result(result: Any, turn: Turn) -> Any:
    """Return an iterator over the result of a reply function."""
    if inspect.isawaitable(result):
        result = await result
    if is_runnable(result):
        result = stream_runnable(result, turn)
    return aiter(result) if isinstance(result, AsyncIterable) else iter(as_items(result))


def _check_part(item: Any) -> ReplyPart:
    # Forms are for workflows only: a chat cannot show one.
    if isinstance(item, WorkflowQuestion) or not (
        isinstance(item, PART_TYPES) or needs_answer(item)
    ):
        raise TypeError(f"a reply cannot yield a {type(item).__name__}")
    part: ReplyPart = item
    return part
