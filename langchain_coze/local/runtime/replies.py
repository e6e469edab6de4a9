"""Functions, generators and LangChain Runnables as streams of reply parts."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, TypeAlias

from langchain_coze.local.reply_parts import PART_TYPES, ReplyPart, WorkflowQuestion, needs_answer
from langchain_coze.local.runtime.runnables import stream_runnable
from langchain_coze.local.runtime.stepping import (
    as_items,
    is_async_function,
    is_runnable,
    iterate_call,
)
from langchain_coze.local.turn_context import Turn

ReplySource: TypeAlias = Callable[[Turn], AsyncGenerator[ReplyPart, Any]]


def as_reply_source(reply: Any) -> ReplySource:
    """Return a function that streams the parts of a reply.

    `reply` is what `LocalBot` accepts; a function that is not `async` runs in its own thread, and
    a second parameter gets the turn if it has no default or is named `turn`. After a part that
    needs an answer, send the answer: it becomes the value of the reply's own `yield`.
    """
    if is_runnable(reply):
        return lambda turn: stream_runnable(reply, turn)
    if not callable(reply):
        raise TypeError(
            f"reply must be a function or a LangChain Runnable, not {type(reply).__name__}"
        )
    wants_turn, in_loop = _takes_turn(reply), is_async_function(reply)

    def iterate_reply(turn: Turn) -> AsyncGenerator[ReplyPart, Any]:
        def call() -> Any:
            return reply(turn.question, turn) if wants_turn else reply(turn.question)

        def open_result(result: Any) -> Any:
            if is_runnable(result):
                return stream_runnable(result, turn)
            return aiter(result) if isinstance(result, AsyncIterable) else iter(as_items(result))

        return iterate_call(call, open_result, in_loop=in_loop, check=_check_part)

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


def _check_part(item: Any) -> None:
    # Forms are for workflows only: a chat cannot show one.
    is_part = isinstance(item, PART_TYPES) or needs_answer(item)
    if isinstance(item, WorkflowQuestion) or not is_part:
        raise TypeError(f"a reply cannot yield a {type(item).__name__}")
