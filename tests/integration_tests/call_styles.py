"""The ways to call a model, so that a test can be run with each of them."""

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


def ainvoke_aiohttp(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    return ainvoke(use_aiohttp(model), question, **kwargs)


def astream_aiohttp(model: Any, question: Any, **kwargs: Any) -> AIMessage:
    return astream(use_aiohttp(model), question, **kwargs)


def use_aiohttp(model: Any) -> Any:
    """Return a copy of a model, retriever or tool that sends its async requests with aiohttp."""
    return model.model_copy(update={"http_backend": "aiohttp"})


CallStyle = Callable[..., AIMessage]
"""A function that takes the model, its input and the arguments of the call."""

CALL_STYLES: list[CallStyle] = [invoke, ainvoke, stream, astream]

BACKEND_STYLES: list[CallStyle] = [*CALL_STYLES, ainvoke_aiohttp, astream_aiohttp]
"""The call styles, with both HTTP backends of the async ones."""

SINGLE_STYLES: list[CallStyle] = [invoke, ainvoke, ainvoke_aiohttp]
"""The call styles without streaming, with both HTTP backends of the async one."""

BACKENDS = ["httpx", "aiohttp"]
"""The values of `http_backend`."""
