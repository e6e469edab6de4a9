"""The ways to ask a model, so that each test runs through all of them over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message

from langchain_coze import ChatCoze


def _sum(chunks: list[AIMessageChunk]) -> AIMessage:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    message = message_chunk_to_message(total)
    assert isinstance(message, AIMessage)
    return message


def invoke(model: ChatCoze, asked: Any, **kwargs: Any) -> AIMessage:
    return model.invoke(asked, **kwargs)


def ainvoke(model: ChatCoze, asked: Any, **kwargs: Any) -> AIMessage:
    return asyncio.run(model.ainvoke(asked, **kwargs))


def stream(model: ChatCoze, asked: Any, **kwargs: Any) -> AIMessage:
    return _sum(list(model.stream(asked, **kwargs)))


def astream(model: ChatCoze, asked: Any, **kwargs: Any) -> AIMessage:
    async def run() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(asked, **kwargs)]

    return _sum(asyncio.run(run()))


WAYS: list[Callable[..., AIMessage]] = [invoke, ainvoke, stream, astream]
