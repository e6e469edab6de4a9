"""Convert the recall of a bot or workflow (`knowledge_recall` payloads) to documents. Pure.

A recall arrives as three levels of JSON in one message (wire section 3.1), in one of five forms
(wire section 3.3). A fourth level, `ori_req`, contains accounts and keys of the bot's owner. It is
never read, so it cannot leak.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages.content import Citation, create_citation
from pydantic_core import from_json

from langchain_coze import _hints as hints
from langchain_coze._api.models import parse_json
from langchain_coze._convert.from_coze import parse_object
from langchain_coze._convert.record_names import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:langchain-coze:recall")
_CHUNK_START = '{"slice"'
_TYPE_KEYS = frozenset({"msg_type", "verbose_type"})
_CITATION_FIELDS = ("score", "source", "dataset_id", "dataset_name", "document_id", "document_name")
_BARE_ESCAPE = re.compile(r"(?<=[?\w%=])u0026(?=\w+=)")


class Recall(NamedTuple):
    """One recall of a turn; its chunks have the fields of `langchain_core.documents.Document`.

    Attributes:
        chunks: The recalled chunks as dicts; empty if nothing was found.
        status_code: 0, or the error code of a failed search.
        parse_error: Why a part of the payload could not be parsed, or an empty string.
    """

    chunks: list[dict[str, Any]]
    status_code: int = 0
    parse_error: str = ""


def parse_recall(kind: str, content: str, *, rank: int = 1) -> Recall | None:
    """Return the recall in a message, or None if it has no recall (wire section 3.3).

    The intact chunks of a broken or truncated payload are kept. The first chunk gets the rank
    `rank`, for turns with several recalls.
    """
    if kind not in {"verbose", "knowledge"}:
        return None
    outer, is_truncated = _parse_partial_json(content, allow_partial="trailing-strings")
    fields = outer if isinstance(outer, dict) else {}
    if fields.get("msg_type") == "knowledge_recall":
        inner = fields.get("data")
        if isinstance(inner, str):
            inner, inner_is_truncated = _parse_partial_json(inner, allow_partial=True)
            is_truncated = is_truncated or inner_is_truncated
    elif fields.get("verbose_type") == "knowledge":
        inner = fields
    elif kind == "knowledge" and not _TYPE_KEYS & fields.keys() and content.strip():
        return Recall([_build_chunk(_read_fields({"slice": content}), {}, rank)])
    else:
        return None
    return parse_payload(inner, rank, is_truncated=is_truncated)


def parse_payload(payload: Any, rank: int = 1, *, is_truncated: bool = False) -> Recall:
    """Return the recall of a payload: a dict with `chunks` and `status_code` (wire section 3.2)."""
    if not isinstance(payload, dict):
        return Recall([], parse_error="it is not a JSON object")
    raw_chunks = payload.get("chunks")
    items = raw_chunks if isinstance(raw_chunks, list) else []
    readable = [item for item in map(_read_fields, items) if isinstance(item["slice"], str)]
    parse_error = ""
    if is_truncated:
        parse_error = "its JSON is broken"
    elif raw_chunks is not None and not isinstance(raw_chunks, list):
        parse_error = "its chunks are not a list"
    elif len(readable) < len(items):
        parse_error = f"{len(items) - len(readable)} of its {len(items)} chunks have no text"
    chunks = [_build_chunk(fields, {}, number) for number, fields in enumerate(readable, rank)]
    return Recall(chunks, int(_to_float(payload.get("status_code")) or 0), parse_error)


def list_warnings(recall: Recall) -> list[str]:
    """Return the warnings about a failed or damaged recall."""
    failed = hints.RECALL_FAILED.format(status_code=recall.status_code)
    damaged = hints.RECALL_DAMAGED.format(problem=recall.parse_error, count=len(recall.chunks))
    return [*([failed] if recall.status_code else []), *([damaged] if recall.parse_error else [])]


def parse_items(items: Sequence[Any]) -> Recall:
    """Return the recall in the output of a workflow (wire section 3.5).

    The items are the results of its knowledge node: texts, dicts with a text and its document
    (`output` and `documentId` from the node itself, other names from later nodes), or chunks in the
    format of a bot's recall. Other scalar values of a dict become metadata.
    """
    chunks: list[dict[str, Any]] = []
    for item in items:
        fields, extra = _read_item(item)
        if fields["slice"] and isinstance(fields["slice"], str):
            chunks.append(_build_chunk(fields, extra, len(chunks) + 1))
    lost = len(items) - len(chunks)
    parse_error = f"{lost} of its {len(items)} items have no text" if lost else ""
    return Recall(chunks, parse_error=parse_error)


def recalled_documents(message: BaseMessage) -> list[Document]:
    """Return the documents that the bot recalled for an answer.

    Works with any message from `ChatCoze`, streamed or not, even after a checkpoint.

    Args:
        message: An `AIMessage` from `ChatCoze`.

    Returns:
        One `Document` per recalled chunk, in the bot's order; empty if there are none. The metadata
        has `score`, `source`, `title`, `dataset_id`, `dataset_name`, `document_id`,
        `document_name`, `link`, `format_type`, `source_type` (each if the bot sent it), and `rank`.

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
    chunks = message.response_metadata.get("knowledge_recall")
    return to_documents(chunks if isinstance(chunks, list) else [])


def to_documents(chunks: Iterable[Mapping[str, Any]]) -> list[Document]:
    """Return the chunks of a `Recall` as documents."""
    return [
        Document(
            id=chunk.get("id"),
            page_content=chunk["page_content"],
            metadata=dict(chunk.get("metadata") or {}),
        )
        for chunk in chunks
        if isinstance(chunk, dict) and isinstance(chunk.get("page_content"), str)
    ]


def to_citations(chunks: Sequence[Mapping[str, Any]]) -> list[Citation]:
    """Return one citation per source of the recalled chunks, in their order."""
    by_source: dict[str, Citation] = {}
    for chunk in chunks:
        metadata = chunk.get("metadata") or {}
        names = ("link", "document_id", "source")
        source = next((str(metadata[n]) for n in names if metadata.get(n)), str(chunk.get("id")))
        if source in by_source:
            continue
        extras = {key: metadata[key] for key in _CITATION_FIELDS if key in metadata}
        by_source[source] = create_citation(
            id=chunk.get("id"),
            url=metadata.get("link") or None,
            title=metadata.get("title") or metadata.get("document_name") or None,
            cited_text=chunk.get("page_content") or None,
            **extras,
        )
    return list(by_source.values())


def _parse_partial_json(
    text: str, *, allow_partial: bool | Literal["trailing-strings"]
) -> tuple[Any, bool]:
    """Return the parsed JSON of a text up to any error, and whether there is one."""
    value = parse_json(text)
    if value is not None or not text.lstrip().startswith("{"):
        return value, value is None
    end = 0
    try:
        return json.loads(text, strict=False), False  # control characters in a string
    except json.JSONDecodeError as error:
        end = error.pos
    except RecursionError:
        pass
    with contextlib.suppress(ValueError):
        return from_json(text, allow_partial=allow_partial), True  # truncated
    with contextlib.suppress(ValueError):
        fields = from_json(text[:end], allow_partial=allow_partial)
        return {**fields, "chunks": _parse_each_chunk(text)} if "chunks" in fields else fields, True
    return None, True


def _parse_each_chunk(text: str) -> list[Any]:
    """Return the intact chunks of a payload that is broken in the middle."""
    decoder = json.JSONDecoder(strict=False)
    chunks = []
    for part in text.split(_CHUNK_START)[1:]:
        with contextlib.suppress(ValueError, RecursionError):
            chunks.append(decoder.raw_decode(_CHUNK_START + part)[0])
    return chunks


_ITEM_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("slice", "output", "content", "text", "pagecontent"), "slice"),
    **dict.fromkeys(("documentid", "docid"), "document_id"),
    **dict.fromkeys(("documentname", "docname", "filename"), "document_name"),
    **dict.fromkeys(("datasetid", "knowledgeid"), "dataset_id"),
    **dict.fromkeys(("datasetname", "knowledgename"), "dataset_name"),
    "score": "score",
    "title": "title",
    "url": "link",
    "link": "link",
}
"""The fields of a chunk, by the key of a workflow's item in lower case without `_`."""

_NODE_ITEM = frozenset({"documentId", "output"})
_PRIVATE = ("orireq", "userid", "connector", "space", "coze", "botcontext", "scenecontext", "meta")
"""Prefixes of keys whose values identify accounts (wire section 3.2)."""


def _read_fields(item: Any) -> dict[str, Any]:
    """Return the fields of a bot's chunk; missing ones are None (wire section 3.2)."""
    chunk = item if isinstance(item, dict) else {}
    meta = _get_dict(chunk, "meta")
    dataset, document, link = (_get_dict(meta, name) for name in ("dataset", "document", "link"))
    return {
        "slice": chunk.get("slice"),
        "score": chunk.get("score"),
        "title": link.get("title"),
        "link": link.get("url"),
        **{f"dataset_{name}": dataset.get(name) for name in ("id", "name")},
        **{f"document_{name}": document.get(name) for name in ("id", "name")},
        **{name: document.get(name) for name in ("format_type", "source_type")},
    }


def _read_item(item: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a workflow's item as the fields of a bot's chunk, and its other values."""
    if isinstance(item, str):
        parsed = parse_object(item)
        item = parsed if parsed.keys() >= _NODE_ITEM else {"slice": item}
    fields, extra = _read_fields(item), dict[str, Any]()
    for key, value in item.items() if isinstance(item, dict) else ():
        name = key.replace("_", "").lower()
        if name in _ITEM_FIELDS and value is not None:
            if fields[_ITEM_FIELDS[name]] is None:
                fields[_ITEM_FIELDS[name]] = value
        elif not name.startswith(_PRIVATE) and (
            isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
        ):
            extra[key] = value
    return fields, extra


def _build_chunk(fields: Mapping[str, Any], extra: Mapping[str, Any], rank: int) -> dict[str, Any]:
    url, document_name = _clean_url(fields["link"]), _to_name(fields["document_name"])
    metadata: dict[str, Any] = {
        **extra,
        "score": _to_float(fields["score"]),
        "source": url or document_name or None,
        "title": _to_name(fields["title"]) or document_name,
        **{name: _to_str(fields[name]) for name in ("dataset_id", "dataset_name", "document_id")},
        "document_name": document_name,
        "link": url,
        **{name: _to_enum(fields[name]) for name in ("format_type", "source_type")},
        "rank": rank,
    }
    text: str = fields["slice"]
    key = "\n".join((metadata["dataset_id"] or "", metadata["document_id"] or "", text))
    return {
        "id": str(uuid.uuid5(_NAMESPACE, key)),
        "page_content": text,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }


def _get_dict(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = item.get(key)
    return part if isinstance(part, dict) else {}


def _to_name(value: Any) -> str | None:
    """Return a name without the id that `CozeKnowledge` adds."""
    name = _to_str(value)
    return clean_name(name) if name else name


def _to_enum(value: Any) -> int | str | None:
    """Return the value of an enum, which may be a number or a name."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _to_str(value: Any) -> str | None:
    """Return an id or a name as text: ids may be numbers."""
    value = _to_enum(value)
    return None if value is None else str(value)


def _to_float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _clean_url(value: Any) -> str | None:
    """Return a link with unescaped `&` (wire section 3.4)."""
    if not isinstance(value, str):
        return None
    url = value.replace("\\u0026", "&")
    return url if "&" in url else _BARE_ESCAPE.sub("&", url)
