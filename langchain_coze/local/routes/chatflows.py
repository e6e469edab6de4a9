"""The route of chatflows (wire 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.context import Call, RouteEntry, Site
from langchain_coze.local.routes.responses import EventStream
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.event_queue import Outbox
from langchain_coze.local.runtime.store import Conversation
from langchain_coze.local.wire.chat_request import ChatRequest, read_chatflow_request
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.chatflows import LocalChatflow

_NO_SUCH_NAME = 720702204


class ChatflowRoutes:
    """Chats with chatflows."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [RouteEntry("/v1/workflows/chat", ["POST"], self._chat)]

    async def _chat(self, call: Call) -> Response:
        site, body = self._site, call.json_object
        request = read_chatflow_request(body)
        flow = site.chatflow(request.bot_id)
        self._check_home(flow, body)
        profile = site.profile.chatflow
        conversation = self._conversation(call, request)
        if conversation is None:
            outbox = Outbox(wanted=True)
            outbox.put(profile.refusal(_NO_SUCH_NAME, "会话名不存在"))
            outbox.close()
            return EventStream(outbox, profile, call.plan, site.connections)
        if conversation.running is not None:
            raise Problem(4016)
        site.count_chat(flow.workflow_id, flow.quota)
        run = ChatRun(flow, request, conversation, profile, site.store.files_of(call.owner))
        site.store.add_chat(run)
        site.start(run.execute())
        return EventStream(run.outbox, profile, call.plan, site.connections)

    def _check_home(self, flow: LocalChatflow, body: Mapping[str, Any]) -> None:
        """A chatflow of an app runs in its app; one of the library in a bot or in an app."""
        bot_id, app_id = body.get("bot_id"), body.get("app_id")
        if bool(bot_id) == bool(app_id):
            raise Problem(4000, "one of app_id and bot_id is required, and only one")
        if flow.app_id and app_id != flow.app_id:
            raise Problem(4000, f"the chatflow belongs to an app: app_id must be {flow.app_id}")
        if bot_id:
            self._site.bot(str(bot_id))

    def _conversation(self, call: Call, request: ChatRequest) -> Conversation | None:
        """The conversation to run in; None when its name is not known."""
        store, body = self._site.store, call.json_object
        if asked_for := body.get("conversation_id"):
            return store.conversation(str(asked_for), call.owner)
        name = request.parameters.get("CONVERSATION_NAME")
        mine = store.conversations(call.owner)
        known = next((found for found in mine if name and found.name == name), None)
        if self._site.profile.chatflow.makes_named_conversations:
            if not name:
                raise Problem(4000, "conversation name is required")
        elif body.get("app_id") and name:
            return known
        else:
            # Without a name an app's default conversation is meant, which is not documented
            # further: a new one plays it, as for a bot.
            name, known = "", None
        made = Conversation(call.owner, name=str(name), bot_id=request.bot_id)
        return known or store.add_conversation(made)
