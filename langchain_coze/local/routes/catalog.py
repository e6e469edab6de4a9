"""Routes of bots, workspaces and the user (wire 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_data_response,
    select_page,
)
from langchain_coze.local.routes.state import OWNER_ID, WORKSPACE_ID, check_workspace
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from starlette.responses import Response


class CatalogRoutes(RouteGroup):
    """Bots, workspaces and the user."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [
            RouteSpec("/v1/bots", ["GET"], self._list_bots),
            RouteSpec("/v1/bots/{bot_id}", ["GET"], self._retrieve_bot),
            # Older versions of the two above; the official Python SDK still calls them first.
            RouteSpec("/v1/space/published_bots_list", ["GET"], self._list_published_bots),
            RouteSpec("/v1/bot/get_online_info", ["GET"], self._retrieve_online_info),
            RouteSpec("/v1/workspaces", ["GET"], self._list_workspaces),
            RouteSpec("/v1/users/me", ["GET"], self._retrieve_user),
            RouteSpec("/v1/datasets", ["GET"], self._list_datasets),
        ]

    async def _retrieve_bot(self, context: RequestContext) -> Response:
        bot = self._state.get_bot(context.require_query("bot_id"))
        if not bot.published and context.query.get("is_published", "true").lower() != "false":
            raise ApiError(4015, resource_id=bot.bot_id)
        return build_data_response(context.profile.build_bot(bot.as_json()), context)

    async def _retrieve_online_info(self, context: RequestContext) -> Response:
        if context.profile.is_studio and not context.query.get("connector_id"):
            raise ApiError(5000)
        return await self._retrieve_bot(context)

    async def _list_datasets(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("space_id"))
        bots = self._state.settings.bots
        bases = {base.dataset_id: base for bot in bots for base in bot.recall_settings.bases}
        items = [base.as_json(OWNER_ID, WORKSPACE_ID) for base in bases.values()]
        page = select_page(items, context, 10)
        return build_data_response({"dataset_list": page, "total_count": len(items)}, context)

    async def _list_bots(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("workspace_id"))
        status = context.query.get("publish_status") or "published_online"
        bots = [
            bot
            for bot in self._state.settings.bots
            if status == "all" or bot.published == (status != "unpublished_draft")
        ]
        items = [bot.as_list_item(OWNER_ID) for bot in select_page(bots, context, 20)]
        return build_data_response({"items": items, "total": len(bots)}, context)

    async def _list_published_bots(self, context: RequestContext) -> Response:
        check_workspace(context.require_query("space_id"))
        bots = [bot for bot in self._state.settings.bots if bot.published]
        items = [
            bot.as_published_item() for bot in select_page(bots, context, 20, number="page_index")
        ]
        return build_data_response({"space_bots": items, "total": len(bots)}, context)

    async def _list_workspaces(self, context: RequestContext) -> Response:
        workspace = {
            "id": WORKSPACE_ID,
            "name": "Local Coze",
            "icon_url": "",
            "role_type": "owner",
            "workspace_type": "personal",
            "enterprise_id": "",
        }
        return build_data_response(
            {"workspaces": select_page([workspace], context, 20), "total_count": 1}, context
        )

    async def _retrieve_user(self, context: RequestContext) -> Response:
        user = {
            "user_id": context.owner,
            "user_name": "local",
            "nick_name": "Local",
            "avatar_url": "",
        }
        return build_data_response(user, context)
