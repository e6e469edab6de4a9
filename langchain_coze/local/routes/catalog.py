"""Routes that tell what a server serves: bots, workspaces, the user (wire 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.routes.context import (
    OWNER_ID,
    WORKSPACE_ID,
    Call,
    RouteEntry,
    Site,
    check_workspace,
    ok,
    page,
)
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from starlette.responses import Response


class ListingRoutes:
    """Bots, workspaces and the user."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/bots", ["GET"], self._list_bots),
            RouteEntry("/v1/bots/{bot_id}", ["GET"], self._retrieve_bot),
            # The older twins of the two above; the official Python SDK still calls them first.
            RouteEntry("/v1/space/published_bots_list", ["GET"], self._list_published_bots),
            RouteEntry("/v1/bot/get_online_info", ["GET"], self._retrieve_bot),
            RouteEntry("/v1/workspaces", ["GET"], self._list_workspaces),
            RouteEntry("/v1/users/me", ["GET"], self._me),
        ]

    async def _retrieve_bot(self, call: Call) -> Response:
        bot = self._site.bot(call.required("bot_id"))
        if not bot.published and call.query.get("is_published", "true").lower() != "false":
            raise Problem(4015)
        return ok(bot.as_json(), call)

    async def _list_bots(self, call: Call) -> Response:
        check_workspace(call.required("workspace_id"))
        wanted = call.query.get("publish_status") or "published_online"
        bots = [
            bot
            for bot in self._site.settings.bots
            if wanted == "all" or bot.published == (wanted != "unpublished_draft")
        ]
        items = [bot.as_list_item(OWNER_ID) for bot in page(bots, call, 20)]
        return ok({"items": items, "total": len(bots)}, call)

    async def _list_published_bots(self, call: Call) -> Response:
        check_workspace(call.required("space_id"))
        bots = [bot for bot in self._site.settings.bots if bot.published]
        items = [bot.as_published_item() for bot in page(bots, call, 20, number="page_index")]
        return ok({"space_bots": items, "total": len(bots)}, call)

    async def _list_workspaces(self, call: Call) -> Response:
        workspace = {
            "id": WORKSPACE_ID,
            "name": "Local Coze",
            "icon_url": "",
            "role_type": "owner",
            "workspace_type": "personal",
            "enterprise_id": "",
        }
        return ok({"workspaces": page([workspace], call, 20), "total_count": 1}, call)

    async def _me(self, call: Call) -> Response:
        user = {"user_id": call.owner, "user_name": "local", "nick_name": "Local", "avatar_url": ""}
        return ok(user, call)
