"""Chunks of a streamed answer, made quickly.

A stream makes one chunk for each delta, and validating two pydantic objects costs more than reading
the delta. What is known to be right is therefore put together by hand, from a validated template.
Whether the result equals a validated chunk is checked once, at import: where it does not (another
pydantic, another langchain-core), chunks are validated as usual.

Example:
    ```python
    from langchain_coze.chunks import text_chunk

    chunk = text_chunk("Hi") + text_chunk("!")
    assert chunk.message.content == "Hi!"
    ```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "coze"
"""Our name in `response_metadata["model_provider"]`."""

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_new = object.__new__
_set = object.__setattr__


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


_GENERATION = validated_chunk("")
_MESSAGE = _GENERATION.message
_MESSAGE_FIELDS = dict(_MESSAGE.__dict__)
_MESSAGE_SET = frozenset(_MESSAGE.__pydantic_fields_set__)
_MESSAGE_EXTRA = _MESSAGE.__pydantic_extra__
_GENERATION_FIELDS = dict(_GENERATION.__dict__)
_GENERATION_SET = frozenset(_GENERATION.__pydantic_fields_set__)
_GENERATION_EXTRA = _GENERATION.__pydantic_extra__


def _built_chunk(content: str) -> ChatGenerationChunk:
    """Return a chunk of text alone, put together by hand."""
    message = _new(AIMessageChunk)
    fields = _MESSAGE_FIELDS.copy()
    fields["content"] = content
    fields["additional_kwargs"] = {}
    fields["response_metadata"] = {"model_provider": PROVIDER}
    fields["tool_calls"] = []
    fields["invalid_tool_calls"] = []
    fields["tool_call_chunks"] = []
    _set(message, "__dict__", fields)
    _set(message, "__pydantic_fields_set__", set(_MESSAGE_SET))
    _set(message, "__pydantic_extra__", None if _MESSAGE_EXTRA is None else {})
    _set(message, "__pydantic_private__", None)
    generation = _new(ChatGenerationChunk)
    fields = _GENERATION_FIELDS.copy()
    fields["text"] = content
    fields["message"] = message
    _set(generation, "__dict__", fields)
    _set(generation, "__pydantic_fields_set__", set(_GENERATION_SET))
    _set(generation, "__pydantic_extra__", None if _GENERATION_EXTRA is None else {})
    _set(generation, "__pydantic_private__", None)
    return generation


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
