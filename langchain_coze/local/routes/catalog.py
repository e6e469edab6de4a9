"""Routes of bots, workspaces and the user (wire 5.4), and of workflows (wire 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.bots import LocalChatflow
from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, route
from langchain_coze.local.routes.state import OWNER_ID, WORKSPACE_ID, check_workspace, find_by_id
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.workflow_replies import get_workflow_profile

if TYPE_CHECKING:
    from starlette.responses import Response

    from langchain_coze.local.workflows import LocalWorkflow

_MAX_WORKFLOWS = 30
_NOT_A_CHATFLOW = 777777780  # a code of Studio
_WORKSPACE = {
    "id": WORKSPACE_ID,
    "name": "Local Coze",
    "icon_url": "",
    "role_type": "owner",
    "workspace_type": "personal",
    "enterprise_id": "",
}


class CatalogRoutes(RouteGroup):
    """Lists and details of bots, workflows, workspaces and the user."""

    @route("/v1/bots/{bot_id}", "GET", "GET")
    async def _retrieve_bot(self, context: RequestContext) -> Response:
        bot = self._state.get_bot(context.require_query("bot_id"))
        if not bot.published and context.query.get("is_published", "true").lower() != "false":
            raise ApiError(4015, resource_id=bot.bot_id)
        return context.reply(context.profile.build_bot(bot.as_json()))

    # The official Python SDK calls this older route first, and the older list route, too.
    @route("/v1/bot/get_online_info", "GET", "GET")
    async def _retrieve_online_info(self, context: RequestContext) -> Response:
        if context.profile.is_studio and not context.query.get("connector_id"):
            raise ApiError(5000)
        return await self._retrieve_bot(context)

    @route("/v1/bots", "GET")
    async def _list_bots(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("workspace_id"))
        bots = [bot for bot in self._state.settings.bots if _has_status(bot, context)]
        page, _ = context.select_page(bots, 20)
        items = [bot.as_list_item(OWNER_ID) for bot in page]
        return context.reply({"items": items, "total": len(bots)})

    @route("/v1/space/published_bots_list", "GET")
    async def _list_published_bots(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("space_id"))
        bots = [bot for bot in self._state.settings.bots if bot.published]
        page, _ = context.select_page(bots, 20, number="page_index")
        items = [bot.as_published_item() for bot in page]
        return context.reply({"space_bots": items, "total": len(bots)})

    @route("/v1/workspaces", "GET")
    async def _list_workspaces(self, context: RequestContext) -> Response:
        page, _ = context.select_page([_WORKSPACE], 20)
        return context.reply({"workspaces": page, "total_count": 1})

    @route("/v1/users/me", "GET")
    async def _retrieve_user(self, context: RequestContext) -> Response:
        names = {"user_name": "local", "nick_name": "Local", "avatar_url": ""}
        return context.reply({"user_id": context.owner, **names})

    @route("/v1/workflows", "GET")
    async def _list_workflows(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("workspace_id"))
        context.require_query("page_num")
        settings, mode = self._state.settings, context.query.get("workflow_mode")
        app_id = context.query.get("app_id")
        workflows: list[LocalWorkflow | LocalChatflow] = [
            *(settings.workflows if mode != "chatflow" else ()),
            *(settings.chatflows if mode != "workflow" else ()),
        ]
        page, has_more = context.select_page(
            [w for w in workflows if app_id in (None, "", w.app_id) and _has_status(w, context)],
            10,
            max_size=_MAX_WORKFLOWS,
        )
        # Times are strings here (wire 1.6).
        items = [_build_detail(w, str(w.created_at)) for w in page]
        return context.reply({"items": items, "has_more": has_more})

    @route("/v1/workflows/{workflow_id}", "GET", "GET")
    async def _retrieve_workflow(self, context: RequestContext) -> Response:
        workflow_id, settings = context.require_query("workflow_id"), self._state.settings
        workflow = find_by_id(settings.workflows, workflow_id)
        found = workflow or find_by_id(settings.chatflows, workflow_id)
        if found is None:
            raise get_workflow_profile(context.profile).create_lookup_error(
                workflow_id, exists=False, streamed=True
            )
        if context.profile.is_studio:  # Studio describes only chatflows, and has none here
            if workflow:
                raise ApiError(_NOT_A_CHATFLOW, "ChatFlowRole operation failure: {cause}")
            return context.reply_plain({"BaseResp": None})
        info: dict[str, Any] = {"workflow_detail": _build_detail(found, found.created_at)}
        if context.query.get("include_input_output", "").lower() == "true":
            info |= _build_schema(found)
        return context.reply(info)


def _has_status(served: Any, context: RequestContext) -> bool:
    """Return whether a bot or workflow has the `publish_status` of the query."""
    status = context.query.get("publish_status") or "published_online"
    return status == "all" or served.published == (status != "unpublished_draft")


def _build_detail(workflow: LocalWorkflow | LocalChatflow, time: int | str) -> dict[str, Any]:
    return {
        "workflow_id": workflow.workflow_id,
        "workflow_name": workflow.name,
        "app_id": workflow.app_id or "0",
        "description": workflow.description,
        "icon_url": "",
        "creator": {"id": OWNER_ID, "name": "local"},
        "created_at": time,
        "updated_at": time,
    }


def _build_schema(workflow: LocalWorkflow | LocalChatflow) -> dict[str, Any]:
    if isinstance(workflow, LocalChatflow):
        # The parameters that every chatflow has; the server does not know others.
        names = ("CONVERSATION_NAME", "USER_INPUT")
        inputs: dict[str, Any] = {name: {"type": "string", "required": False} for name in names}
        return {"input": {"parameters": inputs}}
    output: dict[str, Any] = {
        "parameters": workflow.signature.outputs_as_json(),
        "terminate_plan": workflow.terminate_plan,
    }
    if workflow.returns_text:
        output["parameters"] = {"output": {"type": "string"}}
        output["content"] = "{{output}}"
    return {"input": {"parameters": workflow.signature.inputs_as_json()}, "output": output}
