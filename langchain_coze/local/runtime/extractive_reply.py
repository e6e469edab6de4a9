"""The default reply of a bot: sentences from its knowledge base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.runtime.text import (
    extract_index_terms,
    extract_query_terms,
    is_chinese,
    split_deltas,
    split_sentences,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_coze.local.turn_context import Turn
    from langchain_coze.local.wire.recall import RecalledChunk

_MAX_SENTENCES = 3


async def extract_reply(question: str, turn: Turn) -> AsyncIterator[str]:
    """Answer with the recalled sentences that have most terms in common with the question.

    Args:
        question: The user's question.
        turn: Its `chunks` are the recalled passages.

    Yields:
        The deltas of an answer in the language of the question; the same question always gets the
        same answer. Without passages it says that nothing was found.
    """
    for delta in split_deltas(_build_answer(question, turn)):
        yield delta


def _build_answer(question: str, turn: Turn) -> str:
    chinese = is_chinese(question)
    sentences = _select_sentences(question, turn.chunks)
    if not sentences:
        if chinese:
            return "我在知识库里没有找到与此有关的内容。"
        return "I found nothing in my knowledge base about this."
    name = turn.chunks[0].document_name
    if chinese:
        return f"根据知识库中的《{name}》：" + "".join(sentences)
    return f"According to “{name}” in my knowledge base: " + " ".join(sentences)


def _select_sentences(question: str, chunks: tuple[RecalledChunk, ...]) -> list[str]:
    """Return the best sentences of the best passage, in their original order."""
    if not chunks:
        return []
    terms = set(extract_query_terms(question))
    sentences = split_sentences(chunks[0].slice)
    matches = [len(terms & set(extract_index_terms(sentence))) for sentence in sentences]
    ranked = sorted(range(len(sentences)), key=lambda i: (-matches[i], i))[:_MAX_SENTENCES]
    return [sentences[i] for i in sorted(ranked)]
