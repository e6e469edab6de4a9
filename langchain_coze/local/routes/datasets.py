"""Routes of knowledge bases and their documents (wire 5.5).

The address of Coze Studio does not route calls for documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.knowledge import LocalKnowledge
from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, route
from langchain_coze.local.routes.state import OWNER_ID, WORKSPACE_ID, check_workspace
from langchain_coze.local.wire.datasets import (
    FILE_ID,
    IMAGE,
    TEXT,
    StoredDocument,
    UploadedDocument,
    read_documents,
    read_ids,
    read_name,
)
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import generate_id

if TYPE_CHECKING:
    from starlette.responses import Response

    from langchain_coze.local.faults.specs import FaultSet

_DATASET = "/v1/datasets/{dataset_id}"
_DOCUMENT = "/open_api/knowledge/document"
_MAX_PAGE = 300


class DatasetRoutes(RouteGroup):
    """Knowledge bases, and the documents in them; only their owner may change them."""

    @route("/v1/datasets", "GET", "GET")
    async def _list(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("space_id"))
        name, kind = context.query.get("name", ""), context.query.get("format_type") or None
        bases = [
            base
            for base in self._state.list_datasets()
            if name in base.name and kind in {None, str(base.format_type)}
        ]
        page, _ = context.select_page(bases, 10, max_size=_MAX_PAGE)
        items = [self._build_item(base, context) for base in page]
        return context.reply({"dataset_list": items, "total_count": len(bases)})

    def _build_item(self, base: LocalKnowledge, context: RequestContext) -> dict[str, Any]:
        item = base.as_json(base.owner or OWNER_ID, WORKSPACE_ID)
        if context.profile.is_studio:
            return item
        used = sum(base in bot.bases for bot in self._state.settings.bots)
        item |= {"bot_used_count": used, "failed_file_list": item["failed_file_list"] or []}
        item["can_edit"] = item["creator_id"] == context.owner
        return item | {"creator_name": "local", "avatar_url": ""}

    @route("/v1/datasets", "POST", "POST")
    async def _create(self, context: RequestContext) -> Response:
        body = context.json_object
        check_workspace(str(body.get("space_id") or ""))
        if body.get("format_type") not in {TEXT, IMAGE}:
            raise ApiError(4000, "format_type must be 0 for text or 2 for images")
        base = LocalKnowledge((), name=read_name(body), dataset_id=generate_id())
        base.description = str(body.get("description") or "")
        base.format_type, base.owner = body["format_type"], context.owner
        settings = self._state.settings
        settings.knowledge = (*settings.knowledge, base)
        return context.reply({"dataset_id": base.dataset_id})

    @route(_DATASET, "PUT", "PUT")
    async def _update(self, context: RequestContext) -> Response:
        base, body = self._get_base(context.require_query("dataset_id"), context), context.body
        base.name = read_name(context.json_object)
        base.description = str(body.get("description") or "")  # what is not given is reset
        return self._reply_done(context)

    @route(_DATASET, "DELETE", "DELETE")
    async def _delete(self, context: RequestContext) -> Response:
        base = self._get_base(context.require_query("dataset_id"), context)
        settings = self._state.settings
        settings.knowledge = tuple(other for other in settings.knowledge if other is not base)
        for bot in settings.bots:
            bot.unbind(base.dataset_id)
        return self._reply_done(context)

    @route(f"{_DATASET}/process", "POST", "POST")
    async def _list_progress(self, context: RequestContext) -> Response:
        base = self._get_base(context.require_query("dataset_id"), context)
        known = (base.documents.get(id_) for id_ in read_ids(context.json_object))
        return context.reply(
            {"data": [document.progress_as_json() for document in known if document]}
        )

    # Documents --------------------------------------------------------------------------------

    @route(f"{_DOCUMENT}/create", "POST")
    async def _add(self, context: RequestContext) -> Response:
        body = context.json_object
        documents = read_documents(body)
        base = self._get_base(str(body.get("dataset_id") or ""), context)
        is_image = documents[0].source_type == FILE_ID
        if (body.get("format_type") or TEXT) != base.format_type or is_image != bool(
            base.format_type
        ):
            raise ApiError(4000, "the files do not match the type of the knowledge base")
        strategy = body["chunk_strategy"]
        stored = [base.add(d, strategy, **_read_faults(d, context.faults)) for d in documents]
        return context.reply_plain(
            {
                "document_infos": [document.as_json() for document in stored],
                "code": 0,
                "msg": "",
                **context.profile.build_detail(context.logid),
            }
        )

    @route(f"{_DOCUMENT}/list", "POST")
    async def _list_documents(self, context: RequestContext) -> Response:
        body = context.json_object
        base = self._get_base(str(body.get("dataset_id") or ""), context)
        documents = list(base.documents.values())
        size = min(int(body.get("size") or 10), _MAX_PAGE)
        start = (max(int(body.get("page") or 1), 1) - 1) * size
        infos = [document.as_json() for document in documents[start : start + size]]
        return context.reply_plain(
            {"code": 0, "document_infos": infos, "msg": "", "total": len(documents)}
        )

    @route(f"{_DOCUMENT}/update", "POST")
    async def _rename_document(self, context: RequestContext) -> Response:
        body = context.json_object
        base, document = self._find_document(str(body.get("document_id") or ""), context)
        if body.get("document_name"):
            base.rename(document, str(body["document_name"]))
        if isinstance(rule := body.get("update_rule"), dict):
            interval = int(rule.get("update_interval") or 0)
            document.update_interval = interval if rule.get("update_type") else 0
        return self._reply_done(context)

    @route(f"{_DOCUMENT}/delete", "POST")
    async def _delete_documents(self, context: RequestContext) -> Response:
        found = [self._find_document(id_, context) for id_ in read_ids(context.json_object)]
        for base, document in found:
            base.documents.pop(document.id, None)
        return self._reply_done(context)

    def _get_base(self, dataset_id: str, context: RequestContext) -> LocalKnowledge:
        """Return a knowledge base of the caller.

        4200 when it does not exist, 4101 when it is another's: these codes are not recorded.
        """
        bases = self._state.list_datasets()
        base = next((base for base in bases if base.dataset_id == dataset_id), None)
        if base is None:
            text = f"Requested resource dataset_id={dataset_id} does not exist."
            raise ApiError(4200, text, resource_id=dataset_id)
        if (base.owner or OWNER_ID) != context.owner:
            raise ApiError(4101)
        return base

    def _find_document(
        self, document_id: str, context: RequestContext
    ) -> tuple[LocalKnowledge, StoredDocument]:
        for base in self._state.list_datasets():
            if document_id in base.documents:
                return self._get_base(base.dataset_id, context), base.documents[document_id]
        raise ApiError(4200, f"Requested resource document_id={document_id} does not exist.")

    def _reply_done(self, context: RequestContext) -> Response:
        return context.reply_plain(
            {"code": 0, "msg": "", **context.profile.build_detail(context.logid)}
        )


def _read_faults(document: UploadedDocument, faults: FaultSet) -> dict[str, Any]:
    fields: dict[str, Any] = {"seconds": faults.get_seconds(Fault.SLOW_PROCESSING)}
    text = faults.values.get(Fault.FAILED_PROCESSING)
    if text is not None and text in document.name:
        fields["problem"] = "the document could not be cut into slices"
    return fields
