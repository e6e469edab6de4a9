"""A knowledge base that is searched with BM25, for English and Chinese text."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.passage_index import PassageIndex
from langchain_coze.local.runtime.text import split_sentences
from langchain_coze.local.wire.datasets import StoredDocument
from langchain_coze.local.wire.ids import derive_id, get_time
from langchain_coze.local.wire.recall import RecalledChunk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from langchain_core.documents import Document

    from langchain_coze.local.wire.datasets import UploadedDocument


class LocalKnowledge:
    """Documents that a `LocalBot` searches before it answers.

    Long texts are cut into passages at paragraph and sentence ends. The search uses BM25, with
    pairs of adjacent characters for Chinese and lower-cased words for other languages. Clients of a
    server can add and delete documents (wire 5.5).

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
        self.description = ""
        self.owner = ""  # the account that made it over the API
        self.format_type = 0
        self.created_at = get_time()
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
        stored = (self._read_document(item, number) for number, item in enumerate(documents, 1))
        self.documents: dict[str, StoredDocument] = {}
        for document in stored:  # documents of one id are parts of one document
            known = self.documents.setdefault(document.id, document)
            if known is not document:
                known.passages = (*known.passages, *document.passages)
                known.size, known.char_count = (
                    known.size + document.size,
                    known.char_count + document.char_count,
                )
        self._index: tuple[Collection[str], PassageIndex] | None = None  # with the ids indexed
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of passages that can be found."""
        return sum(len(document.passages) for document in self._list_ready())

    def __repr__(self) -> str:
        """Return the name and the number of passages."""
        return f"LocalKnowledge(name={self.name!r}, passages={len(self)})"

    def as_json(self, owner_id: str, space_id: str) -> dict[str, Any]:
        """Return the dataset object of `GET /v1/datasets`."""
        documents = list(self.documents.values())
        processing = [document for document in documents if document.status == 0]
        return {
            "dataset_id": self.dataset_id,
            "name": self.name,
            "file_list": [document.name for document in documents],
            "all_file_size": str(sum(document.size for document in documents)),
            "bot_used_count": 1,
            "status": 1,
            "processing_file_list": [document.name for document in processing],
            "update_time": self.created_at,
            "icon_url": "",
            "description": self.description,
            "icon_uri": "",
            "can_edit": True,
            "create_time": self.created_at,
            "creator_id": owner_id,
            "space_id": space_id,
            "failed_file_list": [d.name for d in documents if d.problem and d.status] or None,
            "format_type": self.format_type,
            "slice_count": len(self),
            "hit_count": 0,
            "doc_count": len(documents),
            "chunk_strategy": {"max_tokens": self.chunk_size, "chunk_type": 1},
            "processing_file_id_list": [document.id for document in processing],
            "project_id": "0",
        }

    # Documents that clients add --------------------------------------------------------------

    def add(
        self, uploaded: UploadedDocument, strategy: Mapping[str, Any], **fields: Any
    ) -> StoredDocument:
        """Add a document; searches find it once it has been processed.

        Args:
            uploaded: A text, or a file of another type or a web page, which is found by its name
                or address: contents of such files are not read, and pages not downloaded.
            strategy: How to cut it into passages (`chunk_strategy`).
            **fields: `seconds` that the processing takes, and the `problem` that it ends with.
        """
        text = uploaded.data.decode("utf-8", "replace").lstrip("\ufeff")
        if uploaded.kind != "txt":
            text = uploaded.url or uploaded.name
        if not uploaded.data and not uploaded.url:
            fields["problem"] = "the document is empty"
        document = StoredDocument(
            name=uploaded.name,
            kind=uploaded.kind,
            size=len(uploaded.data),
            char_count=len(text),
            source_type=uploaded.source_type,
            url=uploaded.url,
            update_interval=uploaded.update_interval,
            chunk_strategy=strategy,
            format_type=self.format_type,
            **fields,
        )
        document.passages = self._build_passages(self._split_text(text, strategy), document)
        self.documents[document.id] = document
        return document

    def _split_text(self, text: str, strategy: Mapping[str, Any]) -> list[str]:
        if strategy.get("chunk_type") != 1:
            return split_passages(text, self.chunk_size)
        parts = text.split(strategy["separator"])
        return [p for part in parts for p in split_passages(part, strategy["max_tokens"])]

    def rename(self, document: StoredDocument, name: str) -> None:
        """Rename a document."""
        document.name = name
        document.passages = [replace(p, document_name=name) for p in document.passages]
        self._index = None

    # Searching --------------------------------------------------------------------------------

    def search(self, query: str, k: int | None = None) -> list[RecalledChunk]:
        """Return the passages that best match a question.

        Args:
            query: The question, in any mix of languages.
            k: The maximum number of passages; None uses the `k` of the knowledge base.

        Returns:
            Passages, best first. Empty when nothing matches. A score is the share of the question's
            rarity-weighted terms that the passage covers, times 0.9 if the passage is not in the
            language of the question.

        Raises:
            ImportError: The search library is missing (extra `local`).

        Example:
            >>> LocalKnowledge(["Coze bots answer."]).search("weather tomorrow")
            []
        """
        index = self._get_index()
        return index.search(query, k or self.k, self.min_score) if index else []

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
        if self._is_indexed():
            return self.search(query, k)
        # A search after a change builds the index and may take a while.
        return await asyncio.to_thread(self.search, query, k)

    def _list_ready(self) -> list[StoredDocument]:
        return [document for document in list(self.documents.values()) if document.is_ready]

    def _is_indexed(self) -> bool:
        index = self._index
        return index is not None and index[0] == {d.id for d in self._list_ready()}

    def _get_index(self) -> PassageIndex | None:
        """Return the index of the documents that have been processed by now."""
        with self._lock:
            ready = self._list_ready()
            ids = {document.id for document in ready}
            if self._index is None or self._index[0] != ids:
                passages = [passage for document in ready for passage in document.passages]
                self._index = (ids, PassageIndex(passages)) if passages else None
            return self._index[1] if self._index else None

    def _read_document(self, document: Document | str, number: int) -> StoredDocument:
        text = document if isinstance(document, str) else getattr(document, "page_content", None)
        if not isinstance(text, str):
            raise TypeError(
                f"documents must be strings or Documents, not {type(document).__name__}"
            )
        metadata = getattr(document, "metadata", None) or {}
        source = str(metadata.get("source") or "")
        name = str(metadata.get("title") or source or f"{self.name}_{number}")
        url = source if source.startswith(("http://", "https://")) else ""
        stored = StoredDocument(
            id=str(metadata.get("document_id") or derive_id(self.dataset_id, str(number), name)),
            name=name,
            size=len(text.encode("utf-8", "replace")),
            char_count=len(text),
            url=url,
            format_type=_as_int(metadata.get("format_type"), 0),
            source_type=_as_int(metadata.get("source_type"), 1 if url else 0),
        )
        stored.passages = self._build_passages(split_passages(text, self.chunk_size), stored)
        return stored

    def _build_passages(
        self, parts: Iterable[str], document: StoredDocument
    ) -> list[RecalledChunk]:
        return [
            RecalledChunk(
                slice=part,
                score=0.0,
                document_id=document.id,
                document_name=document.name,
                url=document.url,
                index=index,
                dataset_id=self.dataset_id,
                dataset_name=self.name,
                format_type=document.format_type,
                source_type=document.source_type,
            )
            for index, part in enumerate(parts, 1)
        ]


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
