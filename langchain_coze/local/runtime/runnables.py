"""LangChain Runnables as replies: chat models, chains, LangGraph graphs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from langchain_coze.local.reply_parts import (
    PIECES,
    ClientTool,
    NewAnswer,
    Piece,
    Reasoning,
    ServerTool,
)
from langchain_coze.local.runtime.stepping import END, ReplyThread

if TYPE_CHECKING:
    from langchain_coze.local.turn_context import Turn

_GRAPH_MODES = ["messages", "values"]


async def runnable_pieces(runnable: Any, turn: Turn) -> AsyncGenerator[Piece, Any]:
    """Stream a Runnable's reply.

    Tool calls that nobody has answered when the Runnable ends are for the client: they are yielded
    together, and the Runnable is called again with the results that this generator is sent.

    Args:
        runnable: Called with the list of messages; a LangGraph graph whose state has `messages`
            with `{"messages": [...]}`.
        turn: The turn to answer.

    Yields:
        Text and reasoning as they are generated. Of a graph also the tools it ran; text of another
        AI message goes to another answer.

    Raises:
        TypeError: The Runnable gave something that is neither text nor a message.
    """
    messages: list[Any] = list(turn.messages)
    is_graph = "messages" in (getattr(runnable, "channels", None) or {})
    while True:
        reader = _GraphReader(messages) if is_graph else _Reader(messages)
        asked = {"messages": messages} if is_graph else messages
        options = {"stream_mode": _GRAPH_MODES} if is_graph else {}
        async with aclosing(_streamed(runnable, asked, options)) as items:
            async for item in items:
                for piece in reader.read(item):
                    yield piece
        messages, calls = reader.so_far()
        if not calls:
            return
        outputs = yield tuple(ClientTool(call["name"], call["args"]) for call in calls)
        messages += _tool_messages(calls, outputs)


async def _streamed(
    runnable: Any, asked: Any, options: Mapping[str, Any]
) -> AsyncGenerator[Any, None]:
    """What a Runnable streams; one that cannot be awaited is read in a thread."""
    begun = False
    try:
        async for item in runnable.astream(asked, **options):
            begun = True
            yield item
    except NotImplementedError:
        if begun:
            raise
        async with aclosing(ReplyThread(lambda: runnable.stream(asked, **options))) as thread:
            while (item := await thread.asend(None)) is not END:
                yield item


def _tool_messages(calls: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
    from langchain_core.messages import ToolMessage  # noqa: PLC0415 - only where it is needed

    answered = zip(calls, outputs, strict=True)
    return [ToolMessage(text, tool_call_id=c["id"], name=c["name"]) for c, text in answered]


class _Reader:
    """Reads the stream of a chat model or chain."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages
        self._parts: list[Any] = []

    def read(self, item: Any) -> Iterator[Piece]:
        if isinstance(item, PIECES):
            yield item
        elif hasattr(item, "content"):
            self._parts.append(item)
            yield from _message_pieces(item)
        elif isinstance(item, Mapping) and isinstance(text := _text_of_mapping(item), str):
            yield text
        elif isinstance(item, Mapping) and isinstance(item.get("messages"), list):
            self._parts = item["messages"][-1:]
            yield from _message_pieces(item["messages"][-1])
        else:
            raise TypeError(
                f"the Runnable gave a {type(item).__name__}; it must end in text or a message"
            )

    def so_far(self) -> tuple[list[Any], list[Any]]:
        """The messages up to now, and the tool calls among them that wait for the client."""
        if not any(_calls(part) or _call_chunks(part) for part in self._parts):
            return self._messages, []
        message = _joined(self._parts)
        return [*self._messages, message], _calls(message)


def _calls(message: Any) -> list[Any]:
    """The calls of a message; those with arguments that are no JSON too, as they came."""
    broken = getattr(message, "invalid_tool_calls", None) or []
    return [*(getattr(message, "tool_calls", None) or []), *broken]


def _call_chunks(message: Any) -> list[Any]:
    return getattr(message, "tool_call_chunks", None) or []


def _joined(parts: Sequence[Any]) -> Any:
    from langchain_core.messages import (  # noqa: PLC0415 - only where it is needed
        AIMessageChunk,
        message_chunk_to_message,
    )

    first, *rest = parts
    for part in rest:
        first += part
    return message_chunk_to_message(first) if isinstance(first, AIMessageChunk) else first


def _text_of_mapping(item: Mapping[str, Any]) -> Any:
    return next((item[key] for key in ("answer", "output", "text") if key in item), None)


def _message_pieces(message: Any) -> Iterator[Piece]:
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
    """Reads a graph's streams: answers apart, tool calls joined with their results."""

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages
        self._answer_id: str | None = None
        self._partial: dict[str, Any] = {}
        self._arguments: dict[str, Mapping[str, Any]] = {}

    def read(self, item: Any) -> Iterator[Piece]:
        mode, value = item
        if mode == "values":
            self._messages = list(value.get("messages") or [])
        else:
            yield from self._read_message(value[0])

    def so_far(self) -> tuple[list[Any], list[Any]]:
        """The messages up to now, and the tool calls among them that wait for the client."""
        last = self._messages[-1] if self._messages else None
        return self._messages, _calls(last)

    def _read_message(self, message: Any) -> Iterator[Piece]:
        if message.type == "tool":
            yield ServerTool(
                message.name or "tool",
                self._arguments.pop(message.tool_call_id, {}),
                str(message.text),
            )
        elif message.type in {"ai", "AIMessageChunk"}:
            self._note_calls(message)
            for piece in _message_pieces(message):
                if self._answer_id not in {None, message.id}:
                    yield NewAnswer()
                self._answer_id = message.id
                yield piece

    def _note_calls(self, message: Any) -> None:
        if _call_chunks(message):
            # Arguments of a streamed call are complete only in the sum of its chunks.
            known = self._partial.get(message.id)
            message = self._partial[message.id] = message if known is None else known + message
        for call in message.tool_calls:
            if call["id"]:
                self._arguments[call["id"]] = call["args"]
