"""Build the chunks of a streamed answer quickly.

A stream has one chunk per delta, and validating two pydantic objects takes longer than parsing the
delta. Text-only chunks are therefore built without validation. A check on import compares such a
chunk with a validated one. If they differ (after a change in pydantic or langchain-core), all
chunks are validated.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

PROVIDER = "coze"
"""The name of this provider in `response_metadata["model_provider"]`."""


def build_chunk(
    content: str, more_metadata: Mapping[str, Any] | None = None, **fields: Any
) -> ChatGenerationChunk:
    """Return a validated chunk with any fields of `AIMessageChunk`.

    Every chunk names its provider, by which LangChain finds the block translator.
    """
    metadata = {"model_provider": PROVIDER, **(more_metadata or {})}
    message = AIMessageChunk(content=content, response_metadata=metadata, **fields)
    return ChatGenerationChunk(message=message)


# Setters for the slots of a pydantic object that bypass its __setattr__.
_set_dict = BaseModel.__dict__["__dict__"].__set__
_set_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
_set_private = BaseModel.__dict__["__pydantic_private__"].__set__
_new = object.__new__


def _build_text_chunk_fast(
    content: str, more_metadata: Mapping[str, Any] | None = None
) -> ChatGenerationChunk:
    """Return a chunk with only text and metadata, built without validation."""
    metadata = {"model_provider": PROVIDER}
    if more_metadata:
        metadata.update(more_metadata)
    message = _new(AIMessageChunk)
    _set_dict(
        message,
        {
            "content": content,
            "additional_kwargs": {},
            "response_metadata": metadata,
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


def _get_state(value: Any) -> tuple[Any, ...]:
    """Return the type, all slots and the field order of a pydantic object."""
    return type(value), value.__getstate__(), list(value.__dict__)


def _fast_path_is_valid() -> bool:
    """Return whether a chunk built without validation equals a validated one."""
    try:
        values = "probe", {"model_name": "probe"}
        built, right = _build_text_chunk_fast(*values), build_chunk(*values)
        pairs = ((built, right), (built.message, right.message), (built + built, right + right))
        return all(_get_state(one) == _get_state(other) for one, other in pairs)
    except Exception:  # noqa: BLE001 - on any failure, chunks are validated
        return False


build_text_chunk = _build_text_chunk_fast if _fast_path_is_valid() else build_chunk
"""Return a chunk with only text and metadata."""


def to_chat_result(chunks: list[ChatGenerationChunk]) -> ChatResult:
    """Return the result of a turn in single-chunk mode."""
    (chunk,) = chunks
    message = message_chunk_to_message(chunk.message)
    return ChatResult(generations=[ChatGeneration(message=message)])


def with_callbacks(
    chunks: Generator[ChatGenerationChunk], run_manager: CallbackManagerForLLMRun
) -> Iterator[ChatGenerationChunk]:
    """Yield chunks, and report each one to the callbacks.

    LangChain reports the chunks of `stream` itself, and passes a run manager only for its events.
    """
    with closing(chunks):
        for chunk in chunks:
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def awith_callbacks(
    chunks: AsyncGenerator[ChatGenerationChunk], run_manager: AsyncCallbackManagerForLLMRun
) -> AsyncIterator[ChatGenerationChunk]:
    """Async version of `with_callbacks`."""
    async with aclosing(chunks):
        async for chunk in chunks:
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
