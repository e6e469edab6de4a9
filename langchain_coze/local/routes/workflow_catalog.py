"""Routes that list workflows and their parameters (wire 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.chatflows import LocalChatflow
from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_data_response,
    build_json_response,
)
from langchain_coze.local.routes.state import OWNER_ID, check_workspace
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.studio_workflows import get_workflow_profile
from langchain_coze.local.workflows import LocalWorkflow

if TYPE_CHECKING:
    from starlette.responses import Response

_DEFAULT_PAGE_SIZE, _MAX_PAGE_SIZE = 10, 30
_NOT_A_CHATFLOW = 777777780  # Studio's own


class WorkflowCatalogRoutes(RouteGroup):
    """Workflows and chatflows."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [
            RouteSpec("/v1/workflows", ["GET"], self._list),
            RouteSpec("/v1/workflows/{workflow_id}", ["GET"], self._retrieve),
        ]

    async def _list(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("workspace_id"))
        context.require_query("page_num")
        size = min(context.read_positive_query("page_size", _DEFAULT_PAGE_SIZE), _MAX_PAGE_SIZE)
        start = (context.read_positive_query("page_num", 1) - 1) * size
        workflows = self._filter_workflows(context)
        items = [_build_list_item(workflow) for workflow in workflows[start : start + size]]
        return build_data_response(
            {"items": items, "has_more": start + size < len(workflows)}, context
        )

    def _filter_workflows(self, context: RequestContext) -> list[LocalWorkflow | LocalChatflow]:
        """Return the workflows that match the query; without a mode also chatflows."""
        settings, query = self._state.settings, context.query
        mode, app_id = query.get("workflow_mode"), query.get("app_id")
        status = query.get("publish_status") or "published_online"
        workflows: list[LocalWorkflow | LocalChatflow] = []
        if mode != "chatflow":
            workflows += settings.workflows
        if mode != "workflow":
            workflows += settings.chatflows
        return [
            workflow
            for workflow in workflows
            if (not app_id or workflow.app_id == app_id)
            and (status == "all" or workflow.published == (status != "unpublished_draft"))
        ]

    async def _retrieve(self, context: RequestContext) -> Response:
        workflow_id = context.require_query("workflow_id")
        workflow = self._state.find_workflow(workflow_id) or self._state.find_chatflow(workflow_id)
        if workflow is None:
            raise get_workflow_profile(self._state.profile).create_lookup_error(
                workflow_id, exists=False, streamed=True
            )
        if self._state.profile.is_studio:  # only chatflows have information, and here none
            if isinstance(workflow, LocalWorkflow):
                raise ApiError(_NOT_A_CHATFLOW, "ChatFlowRole operation failure: {cause}")
            return build_json_response({"BaseResp": None})
        info: dict[str, Any] = {"workflow_detail": _build_detail(workflow)}
        if context.query.get("include_input_output", "").lower() == "true":
            info |= _build_schema(workflow)
        return build_data_response(info, context)


def _build_detail(workflow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    return {
        "workflow_id": workflow.workflow_id,
        "workflow_name": workflow.name,
        "app_id": workflow.app_id or "0",
        "description": workflow.description,
        "icon_url": "",
        "creator": {"id": OWNER_ID, "name": "local"},
        "created_at": workflow.created_at,
        "updated_at": workflow.created_at,
    }


def _build_list_item(workflow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    """Return a workflow of a list, where times are strings (wire 1.6)."""
    time = str(workflow.created_at)
    return _build_detail(workflow) | {"created_at": time, "updated_at": time}


def _build_schema(workflow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    if isinstance(workflow, LocalChatflow):
        # The parameters that every chatflow has; its others are unknown here.
        inputs: dict[str, Any] = {
            "CONVERSATION_NAME": {"type": "string", "required": False},
            "USER_INPUT": {"type": "string", "required": False},
        }
        return {"input": {"parameters": inputs}}
    output: dict[str, Any] = {
        "parameters": workflow.signature.outputs_as_json(),
        "terminate_plan": workflow.terminate_plan,
    }
    if workflow.returns_text:
        output["parameters"] = {"output": {"type": "string"}}
        output["content"] = "{{output}}"
    return {"input": {"parameters": workflow.signature.inputs_as_json()}, "output": output}
