"""Convert the recall of a bot or workflow (`knowledge_recall` payloads) to documents. Pure.

A recall arrives as three levels of JSON in one message (wire section 3.1), in one of five forms
(wire section 3.3). Its fourth level, `ori_req`, contains accounts and keys of the bot's owner. It
is never read here, so it cannot leak.
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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:langchain-coze:recall")
_CHUNK_START = '{"slice"'
_TYPE_KEYS = frozenset({"msg_type", "verbose_type"})
_BARE_ESCAPE = re.compile(r"(?<=[?\w%=])u0026(?=\w+=)")


class Recall(NamedTuple):
    """One recall of a turn.

    Attributes:
        chunks: The recalled chunks, each a dict with `id`, `page_content` and flat `metadata`, the
            fields of `langchain_core.documents.Document`. Empty if nothing was found.
        status_code: 0, or the error code of a failed search.
        parse_error: Which part of the payload could not be parsed, or an empty string.
    """

    chunks: list[dict[str, Any]]
    status_code: int = 0
    parse_error: str = ""


def parse_recall(kind: str, content: str, *, rank: int = 1) -> Recall | None:
    """Return the recall in a message, or None if it has no recall.

    One broken chunk never loses the others, nor does a truncated payload.

    Args:
        kind: The message's `type`.
        content: Its `content`.
        rank: The rank of the first chunk, for turns with several recalls.

    Source: wire section 3.3.
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
        return Recall([_build_chunk({"slice": content}, rank)])
    else:
        return None
    return parse_payload(inner, rank, is_truncated=is_truncated)


def parse_payload(payload: Any, rank: int = 1, *, is_truncated: bool = False) -> Recall:
    """Return the recall of a payload: a dict with `chunks` and `status_code` (wire section 3.2).

    `rank` is that of the first chunk; a truncated payload could be parsed only in part.
    """
    if not isinstance(payload, dict):
        return Recall([], parse_error="it is not a JSON object")
    raw_chunks = payload.get("chunks")
    items = raw_chunks if isinstance(raw_chunks, list) else []
    readable = [item for item in items if _has_text(item)]
    parse_error = ""
    if is_truncated:
        parse_error = "its JSON is broken"
    elif raw_chunks is not None and not isinstance(raw_chunks, list):
        parse_error = "its chunks are not a list"
    elif len(readable) < len(items):
        parse_error = f"{len(items) - len(readable)} of its {len(items)} chunks have no text"
    chunks = [_build_chunk(item, number) for number, item in enumerate(readable, rank)]
    return Recall(chunks, int(_to_float(payload.get("status_code")) or 0), parse_error)


def list_warnings(recall: Recall) -> list[str]:
    """Return the warnings about a failed or damaged recall, in English and Chinese."""
    messages = []
    if recall.status_code:
        messages.append(hints.RECALL_FAILED.format(status_code=recall.status_code))
    if recall.parse_error:
        messages.append(
            hints.RECALL_DAMAGED.format(problem=recall.parse_error, count=len(recall.chunks))
        )
    return messages


def parse_items(items: Sequence[Any]) -> Recall:
    """Return the recall in the output of a workflow.

    Args:
        items: The results of its knowledge node: texts, dicts of a text with its document (`output`
            and `documentId` from the node itself, other names from later nodes), or chunks in the
            format of a bot's recall. Further scalar values of a dict are kept as metadata.

    Source: wire section 3.5.
    """
    chunks: list[dict[str, Any]] = []
    for item in items:
        chunk, extra = _normalize_item(_parse_item(item))
        if _has_text(chunk) and chunk["slice"]:
            read = _build_chunk(chunk, len(chunks) + 1)
            read["metadata"] = {**extra, **read["metadata"]}
            chunks.append(read)
    lost = len(items) - len(chunks)
    parse_error = f"{lost} of its {len(items)} items have no text" if lost else ""
    return Recall(chunks, parse_error=parse_error)


def recalled_documents(message: BaseMessage) -> list[Document]:
    """Return the documents that the bot recalled for an answer.

    Works with any message from `ChatCoze`, streamed or not, also after a checkpoint.

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


_CITATION_FIELDS = ("score", "source", "dataset_id", "dataset_name", "document_id", "document_name")


def _parse_partial_json(
    text: str, *, allow_partial: bool | Literal["trailing-strings"]
) -> tuple[Any, bool]:
    """Return the parsed JSON of a text, and whether it is damaged.

    A damaged object is returned up to the damage. `allow_partial` is that of
    `pydantic_core.from_json`: True drops an unterminated string.
    """
    value = parse_json(text.encode("utf-8", "replace"))
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


_ITEM_FIELDS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("slice", "output", "content", "text", "pagecontent"), ("chunk", "slice")),
    "score": ("chunk", "score"),
    **dict.fromkeys(("documentid", "docid"), ("document", "id")),
    **dict.fromkeys(("documentname", "docname", "filename"), ("document", "name")),
    **dict.fromkeys(("datasetid", "knowledgeid"), ("dataset", "id")),
    **dict.fromkeys(("datasetname", "knowledgename"), ("dataset", "name")),
    "title": ("link", "title"),
    **dict.fromkeys(("url", "link"), ("link", "url")),
}
"""Where the values of a workflow's item go in a chunk, by name in lower case without `_`."""

_NODE_ITEM = frozenset({"documentId", "output"})
_PRIVATE = ("orireq", "userid", "connector", "space", "coze", "botcontext", "scenecontext", "meta")
"""Prefixes of the names of values that identify accounts (wire section 3.2)."""


def _parse_item(item: Any) -> Any:
    """Return an item as a dict; a text may be the JSON of a knowledge node's result."""
    if not isinstance(item, str):
        return item
    fields = parse_json(item.encode("utf-8", "replace")) if item.startswith("{") else None
    return fields if isinstance(fields, dict) and fields.keys() >= _NODE_ITEM else {"slice": item}


def _normalize_item(item: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return a workflow's item in the format of a bot's chunk, and its other values."""
    if not isinstance(item, dict):
        return item, {}
    meta = _get_dict(item, "meta")
    parts = {name: dict(_get_dict(meta, name)) for name in ("chunk", "document", "dataset", "link")}
    extra: dict[str, Any] = {}
    for key, value in item.items():
        name = key.replace("_", "").lower()
        if name in _ITEM_FIELDS and value is not None:
            part, field = _ITEM_FIELDS[name]
            parts[part].setdefault(field, value)
        elif _is_scalar(value) and not name.startswith(_PRIVATE):
            extra[key] = value
    return {**parts.pop("chunk"), "meta": parts}, extra


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _has_text(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("slice"), str)


def _build_chunk(item: Mapping[str, Any], rank: int) -> dict[str, Any]:
    meta = _get_dict(item, "meta")
    dataset, document = _get_dict(meta, "dataset"), _get_dict(meta, "document")
    link = _get_dict(meta, "link")
    url, document_name = _clean_url(link.get("url")), _to_str(document.get("name"))
    metadata: dict[str, Any] = {
        "score": _to_float(item.get("score")),
        "source": url or document_name or None,
        "title": _to_str(link.get("title")) or document_name,
        "dataset_id": _to_str(dataset.get("id")),
        "dataset_name": _to_str(dataset.get("name")),
        "document_id": _to_str(document.get("id")),
        "document_name": document_name,
        "link": url,
        "format_type": _to_enum(document.get("format_type")),
        "source_type": _to_enum(document.get("source_type")),
        "rank": rank,
    }
    text: str = item["slice"]
    key = "\n".join((metadata["dataset_id"] or "", metadata["document_id"] or "", text))
    return {
        "id": str(uuid.uuid5(_NAMESPACE, key)),
        "page_content": text,
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }


def _get_dict(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = item.get(key)
    return part if isinstance(part, dict) else {}


def _to_str(value: Any) -> str | None:
    """Return an id or a name as text: ids may be numbers."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):  # an int with thousands of digits
            return str(value)
    return None


def _to_enum(value: Any) -> int | str | None:
    """Return the value of an enum, which may be a number or a name."""
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _to_float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _clean_url(value: Any) -> str | None:
    """Return a link, with any escaped `&` restored (wire section 3.4)."""
    if not isinstance(value, str):
        return None
    url = value.replace("\\u0026", "&")
    return url if "&" in url else _BARE_ESCAPE.sub("&", url)
