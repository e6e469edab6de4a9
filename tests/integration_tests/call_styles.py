"""The four ways to call a model, so that a test can be run with each of them."""

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


def invoke(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    answer: AIMessage = model.invoke(question, **kwargs)
    return answer


def ainvoke(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    answer: AIMessage = asyncio.run(model.ainvoke(question, **kwargs))
    return answer


def stream(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    return _merge_chunks(list(model.stream(question, **kwargs)))


def astream(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    async def run() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(question, **kwargs)]

    return _merge_chunks(asyncio.run(run()))


CallStyle = Callable[..., AIMessage]
"""A function that takes the model, its input and the arguments of the call."""

CALL_STYLES: list[CallStyle] = [invoke, ainvoke, stream, astream]
