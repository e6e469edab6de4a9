"""Documents of knowledge bases, and the requests that add them (wire 5.5)."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import generate_id, get_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.wire.recall import RecalledChunk

TEXT, IMAGE = 0, 2
"""The format types of a knowledge base that can be created."""

LOCAL_FILE, WEB_PAGE, FILE_ID = 0, 1, 5
_PROCESSING, _DONE, _FAILED = 0, 1, 9
_KINDS = ("pdf", "txt", "doc", "docx")  # the files that a text knowledge base accepts
_MAX_DOCUMENTS, _MAX_IDS = 10, 100
_MIN_TOKENS, _MAX_TOKENS = 100, 2000


@dataclass(frozen=True, slots=True)
class UploadedDocument:
    """One document of a request; a web page has an address instead of bytes."""

    name: str
    kind: str = ""  # its file type
    data: bytes = field(default=b"", repr=False)
    url: str = ""
    source_type: int = LOCAL_FILE
    update_interval: int = 0  # hours between two readings of a web page; 0 for none


@dataclass(eq=False, slots=True, kw_only=True)
class StoredDocument:
    """A document of a knowledge base, and how far its processing is."""

    id: str = field(default_factory=generate_id)
    name: str
    kind: str = "txt"
    size: int = 0
    char_count: int = 0
    passages: Sequence[RecalledChunk] = field(default=(), repr=False)
    format_type: int = TEXT
    source_type: int = LOCAL_FILE
    url: str = ""
    update_interval: int = 0
    chunk_strategy: Mapping[str, Any] = field(default_factory=lambda: {"chunk_type": 0})
    seconds: float = 0.0  # how long its processing takes
    problem: str = ""  # why it fails
    created_at: int = field(default_factory=get_time)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def progress(self) -> int:
        """How much of the document has been processed, in percent."""
        elapsed = time.monotonic() - self.started_at
        return 100 if elapsed >= self.seconds else int(100 * elapsed / self.seconds)

    @property
    def status(self) -> int:
        """0 while it is processed, 1 when that is done, 9 when it has failed."""
        if self.progress < 100:  # noqa: PLR2004 - per cent
            return _PROCESSING
        return _FAILED if self.problem else _DONE

    @property
    def is_ready(self) -> bool:
        """Whether searches find it."""
        return self.status == _DONE

    def as_json(self) -> dict[str, Any]:
        """Return the document object of the API."""
        is_ready = self.is_ready
        return {
            "char_count": self.char_count if is_ready else 0,
            "chunk_strategy": dict(self.chunk_strategy),
            "create_time": self.created_at,
            "document_id": self.id,
            "format_type": self.format_type,
            "hit_count": 0,
            "name": self.name,
            "size": self.size,
            "slice_count": len(self.passages) if is_ready else 0,
            "source_type": self.source_type,
            "status": self.status,
            "type": self.kind,
            "update_interval": self.update_interval,
            "update_time": self.created_at,
            "update_type": int(self.update_interval > 0),
        }

    def progress_as_json(self) -> dict[str, Any]:
        """Return the progress object of the API."""
        progress = self.progress
        item: dict[str, Any] = {
            "progress": progress,
            "update_interval": self.update_interval,
            "status": self.status,
            "type": self.kind,
            "update_type": int(self.update_interval > 0),
            "document_id": self.id,
            "remaining_time": round(self.seconds * (100 - progress) / 100),
            "size": self.size,
            "document_name": self.name,
            "url": self.url,
        }
        if self.status == _FAILED:
            item["status_descript"] = self.problem
        return item


def read_documents(body: Mapping[str, Any]) -> list[UploadedDocument]:
    """Return the documents of an upload request; 4000 for one that Coze does not accept."""
    _check_strategy(body.get("chunk_strategy"))
    bases = body.get("document_bases")
    if not isinstance(bases, list) or not 1 <= len(bases) <= _MAX_DOCUMENTS:
        raise ApiError(4000, f"document_bases must have 1 to {_MAX_DOCUMENTS} documents")
    documents = [_read_document(base, number) for number, base in enumerate(bases)]
    if len({document.source_type for document in documents}) > 1:
        raise ApiError(4000, "document_bases: one request has one kind of upload")
    return documents


def read_ids(body: Mapping[str, Any]) -> list[str]:
    """Return the `document_ids` of a request."""
    ids = body.get("document_ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= _MAX_IDS:
        raise ApiError(4000, f"document_ids must have 1 to {_MAX_IDS} ids")
    return [str(id_) for id_ in ids]


def read_name(body: Mapping[str, Any]) -> str:
    """Return the name of a knowledge base."""
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 100:  # noqa: PLR2004 - wire 5.5
        raise ApiError(4000, "name must have 1 to 100 characters")
    return name


def _check_strategy(strategy: Any) -> None:
    if not isinstance(strategy, dict):
        raise ApiError(4000, "chunk_strategy is required")
    tokens = strategy.get("max_tokens") or 0
    is_custom = strategy.get("chunk_type") == 1
    if is_custom and not (strategy.get("separator") and _MIN_TOKENS <= tokens <= _MAX_TOKENS):
        text = f"chunk_strategy: separator and max_tokens of {_MIN_TOKENS} to {_MAX_TOKENS}"
        raise ApiError(4000, f"{text} are required for chunk_type 1")


def _read_document(base: Any, number: int) -> UploadedDocument:
    where = f"document_bases[{number}]"
    if not isinstance(base, dict) or not isinstance(base.get("source_info"), dict):
        raise ApiError(4000, f"{where}.source_info is required")
    name, source = base.get("name"), base["source_info"]
    if not isinstance(name, str) or not name:
        raise ApiError(4000, f"{where}.name is required")
    if source.get("web_url"):
        rule = base.get("update_rule") or {}
        interval = int(rule.get("update_interval") or 0) if rule.get("update_type") else 0
        url = str(source["web_url"])
        return UploadedDocument(name, "", b"", url, source_type=WEB_PAGE, update_interval=interval)
    if source.get("source_file_id"):
        return UploadedDocument(name, source_type=FILE_ID)
    kind = str(source.get("file_type") or "").lower()
    if kind not in _KINDS:
        raise ApiError(4000, f"{where}.source_info.file_type must be one of {', '.join(_KINDS)}")
    try:
        data = base64.b64decode(str(source.get("file_base64") or ""), validate=True)
    except binascii.Error:
        raise ApiError(4000, f"{where}.source_info.file_base64 is not base64") from None
    return UploadedDocument(name, kind, data)
