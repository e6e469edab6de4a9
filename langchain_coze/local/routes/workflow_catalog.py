"""Routes that tell which workflows a server has, and what they take (wire 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.chatflows import LocalChatflow
from langchain_coze.local.routes.context import (
    OWNER_ID,
    Call,
    RouteEntry,
    Site,
    check_workspace,
    ok,
)
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.workflows import LocalWorkflow

if TYPE_CHECKING:
    from starlette.responses import Response

_USUAL_PAGE, _LARGEST_PAGE = 10, 30
# Studio's own.
_NO_WORKFLOW, _NO_CHATFLOW = 720702004, 777777780


class WorkflowListingRoutes:
    """Workflows and chatflows."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/workflows", ["GET"], self._list),
            RouteEntry("/v1/workflows/{workflow_id}", ["GET"], self._retrieve),
        ]

    async def _list(self, call: Call) -> Response:
        check_workspace(call.required("workspace_id"))
        call.required("page_num")
        size = call.number("page_size", _USUAL_PAGE)
        if size > _LARGEST_PAGE:
            raise Problem(4000, f"query parameter page_size must be from 1 to {_LARGEST_PAGE}")
        start = (call.number("page_num", 1) - 1) * size
        flows = self._wanted(call)
        items = [_as_listed(flow) for flow in flows[start : start + size]]
        return ok({"items": items, "has_more": start + size < len(flows)}, call)

    def _wanted(self, call: Call) -> list[LocalWorkflow | LocalChatflow]:
        """What the query asks for; without a mode both kinds."""
        settings, query = self._site.settings, call.query
        mode, app_id = query.get("workflow_mode"), query.get("app_id")
        status = query.get("publish_status") or "published_online"
        flows: list[LocalWorkflow | LocalChatflow] = []
        if mode != "chatflow":
            flows += settings.workflows
        if mode != "workflow":
            flows += settings.chatflows
        return [
            flow
            for flow in flows
            if (not app_id or flow.app_id == app_id)
            and (status == "all" or flow.published == (status != "unpublished_draft"))
        ]

    async def _retrieve(self, call: Call) -> Response:
        workflow_id = call.required("workflow_id")
        flow = self._site.find_workflow(workflow_id) or self._site.find_chatflow(workflow_id)
        studio = self._site.profile.name == "studio"
        if flow is None:
            code = _NO_WORKFLOW if studio else 4200
            raise Problem(code, f"workflow_id {workflow_id!r} does not exist")
        if studio:
            return self._role(flow, call)
        info: dict[str, Any] = {"workflow_detail": _as_detail(flow)}
        if call.query.get("include_input_output", "").lower() == "true":
            info |= _as_schema(flow)
        return ok(info, call)

    def _role(self, flow: LocalWorkflow | LocalChatflow, call: Call) -> Response:
        """Studio tells only what a chatflow looks like to its users: nothing here."""
        if isinstance(flow, LocalWorkflow):
            raise Problem(_NO_CHATFLOW, f"workflow {flow.workflow_id} is not a chat flow")
        return ok({}, call)


def _as_detail(flow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    return {
        "workflow_id": flow.workflow_id,
        "workflow_name": flow.name,
        "app_id": flow.app_id or "0",
        "description": flow.description,
        "icon_url": "",
        "creator": {"id": OWNER_ID, "name": "local"},
        "created_at": flow.created_at,
        "updated_at": flow.created_at,
    }


def _as_listed(flow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    """A workflow in a list, where times are strings (wire 1.6)."""
    time = str(flow.created_at)
    return _as_detail(flow) | {"created_at": time, "updated_at": time}


def _as_schema(flow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    if isinstance(flow, LocalChatflow):
        # What every chatflow begins with; which values of its own it takes is not known here.
        inputs: dict[str, Any] = {
            "CONVERSATION_NAME": {"type": "string", "required": False},
            "USER_INPUT": {"type": "string", "required": False},
        }
        return {"input": {"parameters": inputs}}
    output: dict[str, Any] = {
        "parameters": flow.signature.outputs_as_json(),
        "terminate_plan": flow.terminate_plan,
    }
    if flow.gives_text:
        output["parameters"] = {"output": {"type": "string"}}
        output["content"] = "{{output}}"
    return {"input": {"parameters": flow.signature.inputs_as_json()}, "output": output}
