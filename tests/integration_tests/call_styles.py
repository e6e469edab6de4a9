"""The ways to ask a model, so that each test runs through all of them over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message


def _merge_chunks(chunks: list[AIMessageChunk]) -> AIMessage:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    message = message_chunk_to_message(total)
    assert isinstance(message, AIMessage)
    return message


def invoke(model: Any, asked: Any, **kwargs: Any) -> AIMessage:
    answer: AIMessage = model.invoke(asked, **kwargs)
    return answer


def ainvoke(model: Any, asked: Any, **kwargs: Any) -> AIMessage:
    answer: AIMessage = asyncio.run(model.ainvoke(asked, **kwargs))
    return answer


def stream(model: Any, asked: Any, **kwargs: Any) -> AIMessage:
    return _merge_chunks(list(model.stream(asked, **kwargs)))


def astream(model: Any, asked: Any, **kwargs: Any) -> AIMessage:
    async def run() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(asked, **kwargs)]

    return _merge_chunks(asyncio.run(run()))


CallStyle = Callable[..., AIMessage]
"""How a test asks: a function of the model, the messages and the arguments of the call."""

CALL_STYLES: list[CallStyle] = [invoke, ainvoke, stream, astream]
