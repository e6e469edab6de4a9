"""Functions, generators and LangChain Runnables as streams of reply parts."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

from langchain_core.messages import AIMessageChunk, ToolMessage, message_chunk_to_message

from langchain_coze.local.reply_parts import (
    PART_TYPES,
    ClientTool,
    NewAnswer,
    Reasoning,
    ReplyPart,
    ServerTool,
    WorkflowQuestion,
    needs_answer,
)
from langchain_coze.local.runtime.stepping import (
    END,
    ReplyThread,
    as_items,
    is_async_function,
    is_runnable,
    iterate_call,
)
from langchain_coze.local.turn_context import Turn

_GRAPH_MODES = ["messages", "values"]

ReplySource: TypeAlias = Callable[[Turn], AsyncGenerator[ReplyPart, Any]]


def as_reply_source(reply: Any) -> ReplySource:
    """Return a function that streams the parts of a reply.

    `reply` has any form that `LocalBot` accepts. A sync function runs in its own thread. A second
    parameter gets the turn if it has no default or is named `turn`. After a part that needs an
    answer, send the answer, which becomes the value of `yield` in the reply.
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
    # A second parameter with a default (`lambda q, i=i: …`) belongs to the function itself.
    return any(p.default is p.empty or p.name == "turn" for p in positional[1:2])


def _check_part(item: Any) -> None:
    # Forms exist only in workflows: a chat cannot show one.
    is_part = isinstance(item, PART_TYPES) or needs_answer(item)
    if isinstance(item, WorkflowQuestion) or not is_part:
        raise TypeError(f"a reply cannot yield the type {type(item).__name__}")


async def stream_runnable(runnable: Any, turn: Turn) -> AsyncGenerator[ReplyPart, Any]:
    """Stream the reply of a Runnable; for a graph, also the tools that it ran.

    The Runnable gets the list of messages; a LangGraph graph whose state has `messages` gets
    `{"messages": [...]}`. Tool calls without a result at its end are for the client: they are
    yielded together, and the Runnable is called again with the results sent to this generator.
    """
    messages: list[Any] = list(turn.messages)
    is_graph = "messages" in (getattr(runnable, "channels", None) or {})
    while True:
        reader = _GraphReader(messages) if is_graph else _MessageReader(messages)
        value = {"messages": messages} if is_graph else messages
        options = {"stream_mode": _GRAPH_MODES} if is_graph else {}
        async with aclosing(stream_items(runnable, value, options)) as items:
            async for item in items:
                for part in reader.read(item):
                    yield part
        messages, calls = reader.get_messages_and_calls()
        if not calls:
            return
        outputs = yield tuple(ClientTool(call["name"], call["args"]) for call in calls)
        answered = zip(calls, outputs, strict=True)
        messages += [ToolMessage(o, tool_call_id=c["id"], name=c["name"]) for c, o in answered]


async def stream_items(
    runnable: Any, value: Any, options: Mapping[str, Any]
) -> AsyncGenerator[Any, None]:
    """Yield the stream of a Runnable; one without an async version runs in a thread."""
    started = False
    try:
        async for item in runnable.astream(value, **options):
            started = True
            yield item
    except NotImplementedError:
        if started:
            raise
        async with aclosing(ReplyThread(lambda: runnable.stream(value, **options))) as thread:
            while (item := await thread.asend(None)) is not END:
                yield item


class _MessageReader:
    """Reads the stream of a chat model or chain."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages
        self._chunks: list[Any] = []

    def read(self, item: Any) -> Iterator[ReplyPart]:
        if isinstance(item, PART_TYPES):
            yield item
        elif hasattr(item, "content"):
            self._chunks.append(item)
            yield from _read_parts(item)
        elif isinstance(item, Mapping) and (texts := _find_texts(item)):
            yield texts[0]
        elif isinstance(item, Mapping) and isinstance(item.get("messages"), list):
            self._chunks = item["messages"][-1:]
            yield from _read_parts(item["messages"][-1])
        else:
            raise TypeError(
                f"the Runnable returned a value of type {type(item).__name__}, "
                "not text or a message"
            )

    def get_messages_and_calls(self) -> tuple[list[Any], list[Any]]:
        """Return the messages so far, and the pending tool calls of the client."""
        if not any(
            _get_calls(part) or getattr(part, "tool_call_chunks", None) for part in self._chunks
        ):
            return self._messages, []
        message = functools.reduce(operator.add, self._chunks)
        if isinstance(message, AIMessageChunk):
            message = message_chunk_to_message(message)
        return [*self._messages, message], _get_calls(message)


def _get_calls(message: Any) -> list[Any]:
    """Return the calls of a message, including those with invalid JSON arguments."""
    invalid = getattr(message, "invalid_tool_calls", None) or []
    return [*(getattr(message, "tool_calls", None) or []), *invalid]


def _find_texts(item: Mapping[str, Any]) -> list[str]:
    return [v for key in ("answer", "output", "text") if isinstance(v := item.get(key), str)]


def _read_parts(message: Any) -> Iterator[ReplyPart]:
    reasoning = message.additional_kwargs.get("reasoning_content")
    if isinstance(reasoning, str) and reasoning:
        yield Reasoning(reasoning)
    if isinstance(message.content, list):
        for block in message.content:
            if isinstance(block, dict) and block.get("type") in {"reasoning", "thinking"}:
                text = block.get("reasoning") or block.get("thinking")
                if isinstance(text, str) and text:
                    yield Reasoning(text)
    if text := str(message.text):
        yield text


class _GraphReader:
    """Reads the streams of a graph: separates answers, and joins tool calls with their results."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages
        self._answer_id: str | None = None
        self._partial_messages: dict[str, Any] = {}
        self._call_arguments: dict[str, Mapping[str, Any]] = {}

    def read(self, item: Any) -> Iterator[ReplyPart]:
        mode, value = item
        if mode == "values":
            self._messages = list(value.get("messages") or [])
        else:
            yield from self._read_message(value[0])

    def get_messages_and_calls(self) -> tuple[list[Any], list[Any]]:
        """Return the messages so far, and the pending tool calls of the client."""
        last = self._messages[-1] if self._messages else None
        return self._messages, _get_calls(last)

    def _read_message(self, message: Any) -> Iterator[ReplyPart]:
        if message.type == "tool":
            yield ServerTool(
                message.name or "tool",
                self._call_arguments.pop(message.tool_call_id, {}),
                str(message.text),
            )
        elif message.type in {"ai", "AIMessageChunk"}:
            self._record_calls(message)
            for part in _read_parts(message):
                if self._answer_id not in {None, message.id}:
                    yield NewAnswer()
                self._answer_id = message.id
                yield part

    def _record_calls(self, message: Any) -> None:
        if getattr(message, "tool_call_chunks", None):
            # The arguments of a streamed call are complete only once its chunks are added.
            earlier = self._partial_messages.get(message.id)
            message = self._partial_messages[message.id] = (
                message if earlier is None else earlier + message
            )
        for call in message.tool_calls:
            if call["id"]:
                self._call_arguments[call["id"]] = call["args"]
