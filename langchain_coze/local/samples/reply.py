"""The reply of a bot that was given none: sentences from its knowledge base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.runtime.tokenize import (
    index_terms,
    is_chinese,
    query_terms,
    sentences,
    small_pieces,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_coze.local.turn_context import Turn
    from langchain_coze.local.wire.recall import RecalledChunk

_MOST_SENTENCES = 3


async def extractive_reply(question: str, turn: Turn) -> AsyncIterator[str]:
    """Answer with the recalled sentences that share most with the question.

    Args:
        question: The user's question.
        turn: Gives the recalled passages.

    Yields:
        Small pieces of an answer in the language of the question; the same question always gets the
        same answer. Without anything recalled, a sentence that says so.
    """
    for piece in small_pieces(_answer(question, turn)):
        yield piece


def _answer(question: str, turn: Turn) -> str:
    chinese = is_chinese(question)
    found = _best_sentences(question, turn.chunks)
    if not found:
        if chinese:
            return "我在知识库里没有找到与此有关的内容。"
        return "I found nothing in my knowledge base about this."
    name = turn.chunks[0].document_name
    if chinese:
        return f"根据知识库中的《{name}》：" + "".join(found)
    return f"According to “{name}” in my knowledge base: " + " ".join(found)


def _best_sentences(question: str, chunks: tuple[RecalledChunk, ...]) -> list[str]:
    """The best sentences of the best passage, in the order they stand there."""
    if not chunks:
        return []
    terms = set(query_terms(question))
    parts = sentences(chunks[0].slice)
    shared = [len(terms & set(index_terms(part))) for part in parts]
    ranked = sorted(range(len(parts)), key=lambda i: (-shared[i], i))[:_MOST_SENTENCES]
    return [parts[i] for i in sorted(ranked)]
