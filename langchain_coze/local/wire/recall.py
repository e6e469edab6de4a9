"""What a `knowledge_recall` message holds (wire 3.2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecalledChunk:
    """One passage of a search result.

    Attributes:
        slice: The text of the passage.
        score: Relevance, above 0 and at most 1; higher is better.
        document_id: Id of the document it was cut from, a decimal string.
        document_name: Name of that document.
        url: Where the document came from; empty when unknown.
        index: Position of the passage within its document, from 1.
        dataset_id: Id of the knowledge base, a decimal string.
        dataset_name: Name of the knowledge base.
        format_type: 0 text, 1 table, 2 image (wire 3.2).
        source_type: 0 local file, 1 web page, 2 another, 5 an uploaded file.
    """

    slice: str
    score: float
    document_id: str
    document_name: str
    url: str
    index: int
    dataset_id: str
    dataset_name: str
    format_type: int = 0
    source_type: int = 0


@dataclass(frozen=True, slots=True)
class RecallMessage:
    """The content of one recall message.

    Attributes:
        chunks: The passages, best first; empty when nothing was found.
        agent_id: The agent that searched; empty for the bot itself.
    """

    chunks: tuple[RecalledChunk, ...]
    agent_id: str = ""
