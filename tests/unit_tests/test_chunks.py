"""Chunks built without validation equal validated ones; otherwise they are validated."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_coze._convert import chunks
from langchain_coze._convert.chunks import build_chunk, build_text_chunk


@pytest.mark.parametrize("metadata", [None, {"model_name": "7374", "logid": "2025"}])
def test_a_built_chunk_equals_a_validated_one_down_to_its_slots(
    metadata: dict[str, str] | None,
) -> None:
    built, right = build_text_chunk("Hi", metadata), build_chunk("Hi", metadata)
    assert built == right
    for one, other in ((built, right), (built.message, right.message)):
        assert one.__getstate__() == other.__getstate__()
    assert built.model_dump() == right.model_dump()
    assert pickle.loads(pickle.dumps(built)) == right
    assert copy.deepcopy(built) == right
    assert (built + built) == (right + right)
    assert repr(built) == repr(right)


def test_built_chunks_are_in_use_here() -> None:
    assert build_text_chunk is chunks._build_text_chunk_fast


def test_chunks_share_nothing() -> None:
    one, other = build_text_chunk("a").message, build_text_chunk("b").message
    assert isinstance(one, AIMessageChunk)
    assert isinstance(other, AIMessageChunk)
    for name in ("additional_kwargs", "response_metadata", "tool_calls", "tool_call_chunks"):
        assert getattr(one, name) is not getattr(other, name)
    one.id = "x"
    assert other.id is None


def test_another_langchain_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new field, default or set of fields makes chunks be validated again."""
    assert chunks._fast_path_is_valid()
    original = chunks.build_chunk
    changes: list[dict[str, Any]] = [{"a_new_field": 1}, {"usage_metadata": {}}, {"name": ""}]
    for change in changes:

        def changed(content: str, metadata: Any, fields: dict[str, Any] = change) -> Any:
            chunk = original(content, metadata)
            chunk.message.__dict__.update(fields)
            return chunk

        with monkeypatch.context() as patch:
            patch.setattr(chunks, "build_chunk", changed)
            assert not chunks._fast_path_is_valid()
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "_set_extra", lambda *_: None)
        assert not chunks._fast_path_is_valid()
    assert chunks._fast_path_is_valid()
