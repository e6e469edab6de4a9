"""LangChain Runnables as replies: chat models, chains, LangGraph graphs."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from langchain_coze.local.pieces import NewAnswer, Piece, Reasoning, ServerTool
from langchain_coze.local.turns import Turn

__all__ = ["blocking_pieces", "is_runnable", "runnable_pieces"]


def is_runnable(value: Any) -> bool:
    """Whether ``value`` has the methods of a LangChain Runnable (told without importing it)."""
    return not isinstance(value, type) and hasattr(value, "astream") and hasattr(value, "ainvoke")


async def runnable_pieces(runnable: Any, turn: Turn) -> AsyncGenerator[Piece, None]:
    """Stream a Runnable's reply.

    Args:
        runnable: Called with the list of messages; a LangGraph graph whose state has ``messages``
            with ``{"messages": [...]}``.
        turn: The turn to answer.

    Yields:
        Text and reasoning as they are generated. Of a graph also the tools it ran; text of another
        AI message goes to another answer.

    Raises:
        TypeError: The Runnable gave something that is neither text nor a message.
    """
    if "messages" in (getattr(runnable, "channels", None) or {}):
        reader = _GraphReader()
        stream = runnable.astream({"messages": turn.messages}, stream_mode="messages")
        async for message, _metadata in stream:
            for piece in reader.read(message):
                yield piece
        return
    async for item in runnable.astream(turn.messages):
        for piece in _pieces_of(item):
            yield piece


def blocking_pieces(runnable: Any, turn: Turn) -> Iterator[Piece]:
    """Do what `runnable_pieces` does for a Runnable that has only a blocking way."""
    for item in runnable.stream(turn.messages):
        yield from _pieces_of(item)


def _pieces_of(item: Any) -> Iterator[Piece]:
    if isinstance(item, Piece):
        yield item
    elif hasattr(item, "content"):
        yield from _message_pieces(item)
    elif isinstance(item, Mapping) and isinstance(text := _text_of_mapping(item), str):
        yield text
    elif isinstance(item, Mapping) and isinstance(item.get("messages"), list):
        yield from _message_pieces(item["messages"][-1])
    else:
        raise TypeError(
            f"the Runnable gave a {type(item).__name__}; it must end in text or a message"
        )


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
    """Reads a graph's message stream: answers apart, tool calls joined with their results."""

    def __init__(self) -> None:
        self._answer_id: str | None = None
        self._partial: dict[str, Any] = {}
        self._arguments: dict[str, Mapping[str, Any]] = {}

    def read(self, message: Any) -> Iterator[Piece]:
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
        if getattr(message, "tool_call_chunks", None):
            # Arguments of a streamed call are complete only in the sum of its chunks.
            known = self._partial.get(message.id)
            message = self._partial[message.id] = message if known is None else known + message
        for call in message.tool_calls:
            if call["id"]:
                self._arguments[call["id"]] = call["args"]
