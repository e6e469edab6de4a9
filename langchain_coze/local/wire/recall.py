"""The content of a `knowledge_recall` message (wire 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json

if TYPE_CHECKING:
    from collections.abc import Iterable

# Invented accounts. Real recall messages contain such ids in ori_req, as numbers above 2**53; a
# client must keep them out of documents, traces and logs.
_FAKE_OWNER = 7_401_234_567_890_123_001
_FAKE_SPACE = 7_402_234_567_890_123_002
_FAKE_KEY = 7_403_234_567_890_123_003


@dataclass(frozen=True, slots=True)
class RecalledChunk:
    """One passage of a search result.

    Attributes:
        slice: The text of the passage.
        score: Relevance, above 0 and at most 1; higher is better.
        document_id: Id of its document, a decimal string.
        document_name: Name of that document.
        url: Link to the document; empty if unknown.
        index: Position of the passage within its document, from 1.
        dataset_id: Id of the knowledge base, a decimal string.
        dataset_name: Name of the knowledge base.
        format_type: 0 text, 1 table, 2 image (wire 3.2).
        source_type: 0 local file, 1 web page, 2 other, 5 uploaded file.
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
    """The content of one recall message; the search failed if `status_code` is not 0."""

    chunks: tuple[RecalledChunk, ...]
    agent_id: str = ""  # empty for the bot itself
    status_code: int = 0


def sort_by_score(chunks: Iterable[RecalledChunk]) -> tuple[RecalledChunk, ...]:
    """Return passages sorted by score, best first; equal scores keep their order."""
    return tuple(sorted(chunks, key=lambda chunk: -chunk.score))


def build_recall_payload(
    recall: RecallMessage, query: str, bot_id: str, user_id: str
) -> dict[str, Any]:
    """Return the `data` of a recall message; `chunks` is `[]` without results."""
    return {
        "chunks": [build_chunk(chunk) for chunk in recall.chunks],
        "ori_req": _build_original_request(query, bot_id, user_id, recall.agent_id or bot_id),
        "status_code": recall.status_code,
    }


def build_chunk(chunk: RecalledChunk) -> dict[str, Any]:
    """Return a passage of a recall (wire 3.2)."""
    score = int(chunk.score) if chunk.score.is_integer() else chunk.score
    return {
        "slice": chunk.slice,
        "score": score,
        "meta": {
            "dataset": {"id": chunk.dataset_id, "name": chunk.dataset_name},
            "document": {
                "id": chunk.document_id,
                "name": chunk.document_name,
                "format_type": chunk.format_type,
                "source_type": chunk.source_type,
            },
            "link": {"title": f"{chunk.dataset_name}_{chunk.document_name}", "url": chunk.url},
            "card": {"title": chunk.dataset_name, "con": chunk.slice, "index": str(chunk.index)},
        },
    }


def _build_original_request(query: str, bot_id: str, user_id: str, agent_id: str) -> str:
    numbers = [int(text) if text.isdecimal() else text for text in (bot_id, agent_id)]
    context = {
        "coze_api_key_id": _FAKE_KEY,
        "coze_api_key_owner_id": _FAKE_OWNER,
        "coze_token_space_id": _FAKE_SPACE,
        "space_id": _FAKE_SPACE,
        "bot_version": "1",
        "bot_name": "local",
    }
    return go_json.dumps(
        {
            "message": {"role": "user", "content": query},
            "bot_id": numbers[0],
            "connector_id": 1024,
            "connector_uid": user_id,
            "user_id": _FAKE_OWNER,
            "max_token": 4096,
            "scene_context": {
                "_WORKFLOW_INPUT": go_json.dumps({"USER_INPUT": query}),
                "agent_id": numbers[1],
                "bot_context": go_json.dumps(context),
            },
        }
    )
