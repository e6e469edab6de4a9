"""Chunks of a streamed answer, made quickly.

A stream makes one chunk for each delta, and validating two pydantic objects costs more than reading
the delta. What is known to be right is therefore put together by hand. Whether the result equals a
validated chunk is checked once, at import: where it does not (another pydantic, another
langchain-core), chunks are validated as usual.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

PROVIDER = "coze"
"""Our name in `response_metadata["model_provider"]`."""

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


def validated_chunk(
    content: str, told: Mapping[str, Any] | None = None, **fields: Any
) -> ChatGenerationChunk:
    """Return a chunk with anything in it, validated.

    Args:
        content: The text that this chunk adds.
        told: What it tells in `response_metadata`. Every chunk names its provider besides: that is
            how LangChain finds our translator of content blocks.
        **fields: Further fields of `AIMessageChunk`.
    """
    metadata = {"model_provider": PROVIDER, **(told or {})}
    message = AIMessageChunk(content=content, response_metadata=metadata, **fields)
    return ChatGenerationChunk(message=message)


# The slots of a pydantic object, set without its __setattr__.
_set_dict = BaseModel.__dict__["__dict__"].__set__
_set_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__
_new = object.__new__


def _built_chunk(content: str) -> ChatGenerationChunk:
    """Return a chunk of text alone, put together by hand."""
    message = _new(AIMessageChunk)
    _set_dict(
        message,
        {
            "content": content,
            "additional_kwargs": {},
            "response_metadata": {"model_provider": PROVIDER},
            "type": "AIMessageChunk",
            "name": None,
            "id": None,
            "tool_calls": [],
            "invalid_tool_calls": [],
            "usage_metadata": None,
            "tool_call_chunks": [],
            "chunk_position": None,
        },
    )
    _set_fields_set(message, {"content", "response_metadata"})
    _set_extra(message, {})
    _set_private(message, None)
    chunk = _new(ChatGenerationChunk)
    _set_dict(
        chunk,
        {
            "text": content,
            "generation_info": None,
            "type": "ChatGenerationChunk",
            "message": message,
        },
    )
    _set_fields_set(chunk, {"text", "message"})
    _set_extra(chunk, None)
    _set_private(chunk, None)
    return chunk


def _same(one: Any, other: Any) -> bool:
    """Return whether two pydantic objects are alike down to their slots."""
    return type(one) is type(other) and all(
        getattr(one, slot) == getattr(other, slot) for slot in _SLOTS
    )


def _reliable() -> bool:
    """Return whether a chunk built by hand is what validation would have made."""
    try:
        built, right = _built_chunk("probe"), validated_chunk("probe")
        return (
            _same(built, right)
            and _same(built.message, right.message)
            and _same(built + built, right + right)
            and list(built.__dict__) == list(right.__dict__)
            and list(built.message.__dict__) == list(right.message.__dict__)
        )
    except Exception:  # noqa: BLE001 - any surprise means: validate
        return False


text_chunk = _built_chunk if _reliable() else validated_chunk
"""Return a chunk that adds some text and nothing else."""


def whole_result(chunks: list[ChatGenerationChunk]) -> ChatResult:
    """Return the result of a turn that was told in one chunk.

    Args:
        chunks: That chunk.
    """
    (chunk,) = chunks  # a whole turn makes one
    message = message_chunk_to_message(chunk.message)
    if not isinstance(message, AIMessage):  # pragma: no cover - chunks of ours are AI messages
        raise TypeError(type(message))
    return ChatResult(generations=[ChatGeneration(message=message)])


def reported(
    chunks: Generator[ChatGenerationChunk], run_manager: CallbackManagerForLLMRun
) -> Iterator[ChatGenerationChunk]:
    """Pass chunks on, and tell callbacks of each."""
    with closing(chunks):
        for chunk in chunks:
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def areported(
    chunks: AsyncGenerator[ChatGenerationChunk], run_manager: AsyncCallbackManagerForLLMRun
) -> AsyncIterator[ChatGenerationChunk]:
    """Pass chunks on, and tell callbacks of each."""
    async with aclosing(chunks):
        async for chunk in chunks:
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
