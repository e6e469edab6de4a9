"""The calls of knowledge bases (datasets) as flows; see `langchain_coze._api.effects`.

Source: wire section 5.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze import _knowledge_hints as knowledge_hints
from langchain_coze._api.effects import Flow, Reply, Request
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.models import CozeModel, LenientInt, LenientStr, get_payload
from langchain_coze._api.retry import RetryPolicy, fetch_object, mark_received, send_with_retry
from langchain_coze.errors import (
    CozeContentError,
    CozeError,
    CozeNotFoundError,
    CozePermissionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PROCESSING, DONE, FAILED = 0, 1, 9
"""The status of a document."""

MAX_DOCUMENTS = 10
"""The most documents that one request adds."""

_BAD_REQUEST = 4000
_MAX_IDS = 100
_PAGE_SIZE = 100
_MAX_PAGES = 1000
_DOCUMENTS = "/open_api/knowledge/document"
_HEADERS = {"agw-js-conv": "str"}  # keeps 64-bit ids as strings (wire section 1.2)


class DocumentInfo(CozeModel):
    """A document of a knowledge base."""

    document_id: LenientStr = ""
    name: LenientStr = ""
    status: LenientInt = PROCESSING
    slice_count: LenientInt = 0
    char_count: LenientInt = 0
    create_time: LenientInt = 0


class DocumentProgress(CozeModel):
    """How far the processing of a document is; `status_descript` says why it failed."""

    document_id: LenientStr = ""
    status: LenientInt = PROCESSING
    progress: LenientInt = 0
    status_descript: LenientStr = ""


def create_dataset(body: Mapping[str, Any], policy: RetryPolicy) -> Flow[str]:
    """Create a knowledge base and return its id.

    Args:
        body: `name`, `space_id`, `format_type`, and optionally `description`.
        policy: The retry policy.
    """
    request = Request(method="POST", path="/v1/datasets", body=body)
    try:
        return str((yield from fetch_object(request, policy)).get("dataset_id") or "")
    except CozePermissionError as error:
        raise error.with_context(hint=knowledge_hints.OWNER) from error.__cause__


def create_documents(body: Mapping[str, Any], policy: RetryPolicy) -> Flow[list[DocumentInfo]]:
    """Add documents to a knowledge base and return what Coze says of them.

    Args:
        body: `dataset_id`, `document_bases`, `chunk_strategy` and `format_type`.
        policy: The retry policy.
    """
    try:
        reply = yield from _send("create", body, policy)
    except CozeError as error:
        refused = error.code == _BAD_REQUEST and not is_missing_route(error)
        if refused or isinstance(error, CozeContentError):
            error = error.with_context(hint=knowledge_hints.REFUSED)
        raise mark_received(error) from error.__cause__
    return _read_infos(reply)


def list_documents(
    dataset_id: str, policy: RetryPolicy, keep: Callable[[DocumentInfo], bool] | None = None
) -> Flow[list[DocumentInfo]]:
    """Return the documents of a knowledge base, from all pages: all of them, or those to `keep`."""
    seen: set[str] = set()
    kept: list[DocumentInfo] = []
    for number in range(1, _MAX_PAGES + 1):
        body = {"dataset_id": dataset_id, "page": number, "size": _PAGE_SIZE}
        reply = yield from _send("list", body, policy)
        new = [info for info in _read_infos(reply) if info.document_id not in seen]
        seen.update(info.document_id for info in new)
        kept += new if keep is None else filter(keep, new)
        total = reply.json.get("total") if isinstance(reply.json, dict) else None
        if not new or (isinstance(total, int) and len(seen) >= total):
            break  # a server may repeat its last page
    return kept


def fetch_progress(
    dataset_id: str, document_ids: Sequence[str], policy: RetryPolicy
) -> Flow[dict[str, DocumentProgress]]:
    """Return how far the processing of documents is, by id; unknown documents are missing."""
    found: dict[str, DocumentProgress] = {}
    for ids in _split(document_ids):
        path = f"/v1/datasets/{dataset_id}/process"
        request = Request(method="POST", path=path, body={"document_ids": ids})
        payload = get_payload((yield from _send_request(request, policy)).json)
        for item in _read_list(payload, "data"):
            progress = DocumentProgress.model_validate(item)
            found[progress.document_id] = progress
    return found


def delete_documents(document_ids: Sequence[str], policy: RetryPolicy) -> Flow[None]:
    """Delete documents by Coze's ids."""
    for ids in _split(document_ids):
        yield from _send("delete", {"document_ids": ids}, policy)


def _split(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _MAX_IDS] for start in range(0, len(ids), _MAX_IDS))


def _send(verb: str, body: Mapping[str, Any], policy: RetryPolicy) -> Flow[Reply]:
    path = f"{_DOCUMENTS}/{verb}"
    request = Request(method="POST", path=path, body=body, headers=_HEADERS)
    return (yield from _send_request(request, policy))


def _send_request(request: Request, policy: RetryPolicy) -> Flow[Reply]:
    """Send a request; its errors speak of the knowledge base."""
    try:
        return (yield from send_with_retry(request, policy))
    except CozePermissionError as error:
        raise error.with_context(hint=knowledge_hints.OWNER) from error.__cause__
    except CozeNotFoundError as error:
        if is_missing_route(error):
            raise
        raise error.with_context(hint=knowledge_hints.DATASET_ID) from error.__cause__


def _read_infos(reply: Reply) -> list[DocumentInfo]:
    return [DocumentInfo.model_validate(item) for item in _read_list(reply.json, "document_infos")]


def _read_list(value: Any, key: str) -> list[Any]:
    items = value.get(key) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
