"""The default reply of a bot: sentences from its knowledge base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.runtime import text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_coze.local.turn_context import Turn

_MAX_SENTENCES = 3


async def extract_reply(question: str, turn: Turn) -> AsyncIterator[str]:
    """Answer with the recalled sentences that share the most terms with the question.

    The answer is in the language of the question and deterministic.
    """
    for delta in text.split_deltas(_build_answer(question, turn)):
        yield delta


def _build_answer(question: str, turn: Turn) -> str:
    chinese, chunks = text.is_chinese(question), turn.chunks
    if not chunks:
        if chinese:
            return "我在知识库中没有找到相关内容。"
        return "I found nothing in my knowledge base about this."
    # The best sentences of the best passage, in their original order.
    terms = set(text.extract_query_terms(question))
    sentences = text.split_sentences(chunks[0].slice)
    matches = [len(terms & set(text.extract_index_terms(sentence))) for sentence in sentences]
    ranked = sorted(range(len(sentences)), key=lambda i: (-matches[i], i))[:_MAX_SENTENCES]
    best = [sentences[i] for i in sorted(ranked)]
    name = chunks[0].document_name.partition(" [lc:")[0]  # without the id that clients add
    if chinese:
        return f"根据知识库中的《{name}》：" + "".join(best)
    return f"According to “{name}” in my knowledge base: " + " ".join(best)
