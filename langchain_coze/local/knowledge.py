"""A knowledge base that is searched with BM25, for English and Chinese text."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.text import (
    extract_index_terms,
    extract_query_terms,
    split_sentences,
)
from langchain_coze.local.wire.ids import derive_id
from langchain_coze.local.wire.recall import RecalledChunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.documents import Document

# Passages are short: whether a term occurs matters more than how often, and length hardly matters.
_K1, _B = 0.6, 0.4


class LocalKnowledge:
    """Documents that a `LocalBot` searches before it answers.

    Long texts are cut into passages at paragraph and sentence ends. The search uses BM25, with
    pairs of adjacent characters for Chinese and lower-cased words for other languages.

    Args:
        documents: LangChain `Document` objects or plain strings. These metadata are used: `title`
            (the document's name), `source` (its link if it is an http address, its name if there is
            no title), `document_id`, `format_type` and `source_type` (by default a text, from a web
            page if it has a link).
        name: Name of the knowledge base.
        dataset_id: The id, a decimal string; by default derived from the name.
        k: The maximum number of passages that a search returns.
        chunk_size: The maximum length of a passage, in characters.
        min_score: The minimum score of a passage; 0 keeps every passage that shares a term with the
            question.
        delay: Seconds by which a bot's search is delayed; `search` itself does not wait.

    Raises:
        ValueError: `k` or `chunk_size` is below 1, or `delay` below 0.
        TypeError: A document is neither a string nor a `Document`.

    Example:
        >>> knowledge = LocalKnowledge(["Tea grows on hills.", "茶叶长在山上。"], name="tea")
        >>> [chunk.slice for chunk in knowledge.search("茶叶在哪里？")]
        ['茶叶长在山上。']
    """

    def __init__(
        self,
        documents: Iterable[Document | str],
        *,
        name: str = "local_knowledge",
        dataset_id: str | None = None,
        k: int = 3,
        chunk_size: int = 400,
        min_score: float = 0.1,
        delay: float = 0.0,
    ) -> None:
        """Split the documents into passages; the first search builds the index."""
        if k < 1 or chunk_size < 1:
            raise ValueError("k and chunk_size must be at least 1")
        if delay < 0:
            raise ValueError("delay must not be below 0")
        self.name = name
        self.dataset_id = dataset_id or derive_id("dataset", name)
        self.k = k
        self.chunk_size = chunk_size
        self.min_score = min_score
        self.delay = delay
        self._passages = [
            passage
            for number, document in enumerate(documents, 1)
            for passage in self._split_document(document, number)
        ]
        self._index: Any = None
        self._frequency: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self._passages)

    def __repr__(self) -> str:
        """Return the name and the number of passages."""
        return f"LocalKnowledge(name={self.name!r}, passages={len(self)})"

    def as_json(self, owner_id: str, space_id: str) -> dict[str, Any]:
        """Return the dataset object of `GET /v1/datasets`."""
        names = list(dict.fromkeys(passage.document_name for passage in self._passages))
        size = sum(len(passage.slice.encode("utf-8", "replace")) for passage in self._passages)
        return {
            "dataset_id": self.dataset_id,
            "name": self.name,
            "file_list": names,
            "all_file_size": str(size),
            "bot_used_count": 1,
            "status": 1,
            "processing_file_list": [],
            "update_time": 0,
            "icon_url": "",
            "description": "",
            "icon_uri": "",
            "can_edit": True,
            "create_time": 0,
            "creator_id": owner_id,
            "space_id": space_id,
            "failed_file_list": None,
            "format_type": 0,
            "slice_count": len(self._passages),
            "hit_count": 0,
            "doc_count": len(names),
            "chunk_strategy": {"max_tokens": self.chunk_size, "chunk_type": 1},
            "processing_file_id_list": [],
            "project_id": "0",
        }

    def search(self, query: str, k: int | None = None) -> list[RecalledChunk]:
        """Return the passages that best match a question.

        Args:
            query: The question, in any mix of languages.
            k: The maximum number of passages; None uses the `k` of the knowledge base.

        Returns:
            Passages, best first. Empty when nothing matches. A score is the share of the question's
            rarity-weighted terms that the passage covers.

        Raises:
            ImportError: The search library is missing (extra `local`).

        Example:
            >>> LocalKnowledge(["Coze bots answer."]).search("weather tomorrow")
            []
        """
        terms = extract_query_terms(query)
        if not terms or not self._passages:
            return []
        self._build_index()
        known_terms = [term for term in terms if term in self._frequency]
        if not known_terms:
            return []
        # Terms of the question that occur in no passage lower every score.
        max_score = sum(map(self._compute_idf, terms))
        scores = self._index.get_scores(known_terms)
        ranked = sorted(
            ((float(s) / max_score, -i) for i, s in enumerate(scores) if s > 0), reverse=True
        )
        return [
            replace(self._passages[-position], score=round(min(score, 1.0), 4))
            for score, position in ranked[: k or self.k]
            if score >= self.min_score
        ]

    async def asearch(self, query: str, k: int | None = None) -> list[RecalledChunk]:
        """Async version of `search`; waits for `delay` seconds first.

        Args:
            query: The question, in any mix of languages.
            k: The maximum number of passages; None uses the `k` of the knowledge base.

        Raises:
            ImportError: The search library is missing (extra `local`).
        """
        if self.delay:
            await asyncio.sleep(self.delay)
        if self._index is not None or not self._passages:
            return self.search(query, k)
        # The first search builds the index and may take a while.
        return await asyncio.to_thread(self.search, query, k)

    def _split_document(self, document: Document | str, number: int) -> list[RecalledChunk]:
        text = document if isinstance(document, str) else getattr(document, "page_content", None)
        if not isinstance(text, str):
            raise TypeError(
                f"documents must be strings or Documents, not {type(document).__name__}"
            )
        metadata = getattr(document, "metadata", None) or {}
        source = str(metadata.get("source") or "")
        name = str(metadata.get("title") or source or f"{self.name}_{number}")
        document_id = str(
            metadata.get("document_id") or derive_id(self.dataset_id, str(number), name)
        )
        url = source if source.startswith(("http://", "https://")) else ""
        return [
            RecalledChunk(
                slice=part,
                score=0.0,
                document_id=document_id,
                document_name=name,
                url=url,
                index=index,
                dataset_id=self.dataset_id,
                dataset_name=self.name,
                format_type=_as_int(metadata.get("format_type"), 0),
                source_type=_as_int(metadata.get("source_type"), 1 if url else 0),
            )
            for index, part in enumerate(split_passages(text, self.chunk_size), 1)
        ]

    def _build_index(self) -> None:
        with self._lock:
            if self._index is not None:
                return
            try:
                import bm25s  # noqa: PLC0415 - imports numpy, which not every server needs
            except ImportError as error:
                raise ImportError(
                    "Searching a knowledge base needs bm25s: pip install bm25s"
                ) from error
            terms = [extract_index_terms(f"{p.document_name}\n{p.slice}") for p in self._passages]
            self._frequency = Counter(term for passage in terms for term in set(passage))
            index = bm25s.BM25(method="lucene", k1=_K1, b=_B)
            logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets it to DEBUG
            index.index(terms, show_progress=False)
            self._index = index

    def _compute_idf(self, term: str) -> float:
        """Return Lucene's inverse document frequency of a term."""
        count, total = self._frequency[term], len(self._passages)
        return math.log(1 + (total - count + 0.5) / (count + 0.5))


def _as_int(value: Any, default: int) -> int:
    """Return an int unchanged, or the default: some loaders store strings under the same keys."""
    return value if isinstance(value, int) else default


def split_passages(text: str, size: int) -> list[str]:
    """Split a text at paragraph ends, then at sentence ends, then anywhere.

    Each passage has at most `size` characters.
    """
    passages: list[str] = []
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        passages.extend(_pack_sentences(paragraph.strip(), size))
    return _join_short(passages, size)


def _pack_sentences(paragraph: str, size: int) -> list[str]:
    if len(paragraph) <= size:
        return [paragraph] if paragraph else []
    packed: list[str] = []
    for sentence in split_sentences(paragraph):
        for start in range(0, len(sentence), size):
            part = sentence[start : start + size]
            space = " " if part.isascii() else ""
            if packed and start == 0 and len(packed[-1]) + len(space) + len(part) <= size:
                packed[-1] += space + part
            else:
                packed.append(part)
    return packed


def _join_short(passages: list[str], size: int) -> list[str]:
    """Join headings and one-line paragraphs with their neighbour, because they say little alone."""
    joined: list[str] = []
    for passage in passages:
        if joined and len(joined[-1]) + 1 + len(passage) <= size // 2:
            joined[-1] += "\n" + passage
        else:
            joined.append(passage)
    return joined


def as_knowledge_bases(knowledge: Any) -> tuple[LocalKnowledge, ...]:
    """Return a value of `LocalBot.knowledge` as a tuple of knowledge bases."""
    if knowledge is None:
        return ()
    if isinstance(knowledge, LocalKnowledge):
        return (knowledge,)
    items = [knowledge] if isinstance(knowledge, str) else list(knowledge)
    bases = tuple(item for item in items if isinstance(item, LocalKnowledge))
    if not bases:
        return (LocalKnowledge(items),)
    if len(bases) < len(items):
        raise TypeError("knowledge must be LocalKnowledge objects or documents, not both")
    return bases
