"""What a bot recalled from its knowledge bases: payloads of `knowledge_recall` to documents.

A recall arrives as three JSON levels inside one message (wire section 3.1), in one of five forms
(wire section 3.3). Its fourth level, `ori_req`, names accounts and keys of the bot's owner: it is
never read here, and so never gets anywhere.

Example:
    ```python
    import json

    from langchain_coze.recall import read_recall

    data = {"chunks": [{"slice": "Bots answer.", "score": 0.5, "meta": {}}], "status_code": 0}
    content = json.dumps({"msg_type": "knowledge_recall", "data": json.dumps(data)})
    recall = read_recall("verbose", content)
    assert recall is not None
    assert recall.chunks[0]["page_content"] == "Bots answer."
    ```
"""

from __future__ import annotations

import math
import re
import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages.content import Citation, create_citation
from pydantic_core import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:langchain-coze:recall")
_BARE_ESCAPE = re.compile(r"(?<=[?\w%=])u0026(?=\w+=)")


class Recall(NamedTuple):
    """One recall of a turn.

    Attributes:
        chunks: What was found, each a dict with `id`, `page_content` and flat `metadata`, as
            `langchain_core.documents.Document` takes them. Empty when nothing was found.
        status_code: 0, or the reason why the search failed.
    """

    chunks: list[dict[str, Any]]
    status_code: int = 0


def read_recall(kind: str, content: str, *, rank: int = 1) -> Recall | None:
    """Return the recall that a message holds, or None when it holds none.

    Args:
        kind: The message's `type`.
        content: Its `content`.
        rank: The rank of the first chunk, for turns with several recalls.

    Source: wire section 3.3. One broken chunk never loses the others, nor does a cut payload.
    """
    if kind not in {"verbose", "knowledge"}:
        return None
    outer = _json(content, cut="trailing-strings")
    if isinstance(outer, dict) and outer.get("msg_type") == "knowledge_recall":
        data = outer.get("data")
        inner = _json(data, cut=True) if isinstance(data, str) else data
    elif isinstance(outer, dict) and outer.get("verbose_type") == "knowledge":
        inner = outer
    elif kind == "knowledge" and not isinstance(outer, dict) and content.strip():
        return Recall([_chunk({"slice": content}, rank)])
    else:
        return None
    if not isinstance(inner, dict):
        return Recall([])
    found = inner.get("chunks")
    items = [item for item in found if _readable(item)] if isinstance(found, list) else []
    chunks = [_chunk(item, number) for number, item in enumerate(items, rank)]
    return Recall(chunks, _whole(inner.get("status_code")))


def recalled_documents(message: BaseMessage) -> list[Document]:
    """Return what the bot recalled for an answer, as documents.

    Works on any message of ours, streamed or not, also after it has been through a checkpoint.

    Args:
        message: An `AIMessage` from `ChatCoze`.

    Returns:
        One `Document` for each recalled chunk, in the bot's order; empty when there are none. The
        metadata has `score`, `source`, `title`, `dataset_id`, `dataset_name`, `document_id`,
        `document_name`, `link`, `format_type`, `source_type` (each where the bot gave it), `rank`.

    Source: wire section 3.2.

    Example:
        ```python
        from langchain_coze import ChatCoze, recalled_documents
        from langchain_coze.local import LocalCoze

        with LocalCoze() as coze:
            bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
            answer = bot.invoke("What is a Coze workflow?")
        for document in recalled_documents(answer):
            print(document.metadata["score"], document.metadata["source"])
        ```
    """
    found = message.response_metadata.get("knowledge_recall")
    return documents(found if isinstance(found, list) else [])


def documents(chunks: Iterable[Mapping[str, Any]]) -> list[Document]:
    """Return chunks of a `Recall` as documents.

    Args:
        chunks: Dicts with `id`, `page_content` and `metadata`.
    """
    return [
        Document(
            id=chunk.get("id"),
            page_content=chunk.get("page_content") or "",
            metadata=dict(chunk.get("metadata") or {}),
        )
        for chunk in chunks
    ]


def citations(chunks: Sequence[Mapping[str, Any]]) -> list[Citation]:
    """Return one citation for each source among recalled chunks, best chunk first.

    Args:
        chunks: Dicts with `id`, `page_content` and `metadata`.
    """
    found: dict[str, Citation] = {}
    for chunk in chunks:
        metadata = chunk.get("metadata") or {}
        source = str(metadata.get("source") or metadata.get("document_id") or chunk.get("id"))
        if source in found:
            continue
        extras = {key: metadata[key] for key in _CITED if key in metadata}
        found[source] = create_citation(
            id=chunk.get("id"),
            url=metadata.get("link") or None,
            title=metadata.get("title") or metadata.get("document_name") or None,
            cited_text=chunk.get("page_content") or None,
            **extras,
        )
    return list(found.values())


_CITED = ("score", "source", "dataset_id", "dataset_name", "document_id", "document_name")


def _json(text: str, *, cut: bool | Literal["trailing-strings"]) -> Any:
    """Return the JSON of a text, or of its readable beginning if it is cut, or None.

    `cut` says what becomes of a string that ends too early: True drops it.
    """
    try:
        return from_json(text)
    except ValueError:
        pass
    if not text.lstrip().startswith("{"):
        return None
    try:
        return from_json(text, allow_partial=cut)
    except ValueError:
        return None


def _readable(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("slice"), str)


def _chunk(item: Mapping[str, Any], rank: int) -> dict[str, Any]:
    meta = _part(item, "meta")
    dataset, document = _part(meta, "dataset"), _part(meta, "document")
    link = _part(meta, "link")
    url = _url(link.get("url"))
    metadata: dict[str, Any] = {
        "score": _number(item.get("score")),
        "source": url or _word(document.get("name")) or None,
        "title": _word(link.get("title")) or _word(document.get("name")),
        "dataset_id": _word(dataset.get("id")),
        "dataset_name": _word(dataset.get("name")),
        "document_id": _word(document.get("id")),
        "document_name": _word(document.get("name")),
        "link": url,
        "format_type": document.get("format_type"),
        "source_type": document.get("source_type"),
        "rank": rank,
    }
    text: str = item["slice"]
    key = "\n".join((metadata["dataset_id"] or "", metadata["document_id"] or "", text))
    return {
        "id": str(uuid.uuid5(_NAMESPACE, key)),
        "page_content": text,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }


def _part(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = item.get(key)
    return part if isinstance(part, dict) else {}


def _word(value: Any) -> str | None:
    """Return an id or a name as text: ids may be numbers."""
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int:
    number = _number(value)
    return int(number) if number is not None else 0


def _url(value: Any) -> str | None:
    """Return a link; an `&` that was stored escaped is mended (wire section 3.4)."""
    if not isinstance(value, str):
        return None
    url = value.replace("\\u0026", "&")
    return url if "&" in url else _BARE_ESCAPE.sub("&", url)
