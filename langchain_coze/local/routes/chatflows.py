"""The route of chatflows (wire 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import RequestContext, RouteSpec
from langchain_coze.local.routes.stream_responses import EventStreamResponse
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.conversation import Conversation
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.wire.chat_request import ChatRequest, read_chatflow_request
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.chatflows import LocalChatflow
    from langchain_coze.local.routes.state import ServerState

_UNKNOWN_CONVERSATION_NAME = 720702204


class ChatflowRoutes:
    """Chats with chatflows."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        self._state = state

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [RouteSpec("/v1/workflows/chat", ["POST"], self._create_chat)]

    async def _create_chat(self, context: RequestContext) -> Response:
        state, body = self._state, context.json_object
        request = read_chatflow_request(body)
        chatflow = state.get_chatflow(request.bot_id)
        self._check_parent(chatflow, body)
        profile = state.profile.chatflow_profile
        conversation = self._open_conversation(context, request)
        if conversation is None:
            events = EventQueue(enabled=True)
            events.put(profile.build_refusal_event(_UNKNOWN_CONVERSATION_NAME, "会话名不存在"))
            events.close()
            return EventStreamResponse(events, profile, context.faults, state.connections)
        if conversation.running_chat_id is not None:
            raise ApiError(4016)
        state.consume_quota(chatflow.workflow_id, chatflow.quota)
        run = ChatRun(
            chatflow, request, conversation, profile, state.store.get_files(context.owner)
        )
        state.store.add_chat(run)
        state.start_task(run.execute())
        return EventStreamResponse(run.events, profile, context.faults, state.connections)

    def _check_parent(self, chatflow: LocalChatflow, body: Mapping[str, Any]) -> None:
        """Check the bot or app that a chatflow runs in."""
        bot_id, app_id = body.get("bot_id"), body.get("app_id")
        if bool(bot_id) == bool(app_id):
            raise ApiError(4000, "one of app_id and bot_id is required, and only one")
        if chatflow.app_id and app_id != chatflow.app_id:
            raise ApiError(
                4000, f"the chatflow belongs to an app: app_id must be {chatflow.app_id}"
            )
        if bot_id:
            self._state.get_bot(str(bot_id))

    def _open_conversation(
        self, context: RequestContext, request: ChatRequest
    ) -> Conversation | None:
        """Return the conversation to run in; None when its name is unknown."""
        store, body = self._state.store, context.json_object
        if conversation_id := body.get("conversation_id"):
            return store.get_conversation(str(conversation_id), context.owner)
        name = request.parameters.get("CONVERSATION_NAME")
        conversations = store.list_conversations(context.owner)
        named = next((c for c in conversations if name and c.name == name), None)
        if self._state.profile.chatflow_profile.creates_named_conversations:
            if not name:
                raise ApiError(4000, "conversation name is required")
        elif body.get("app_id") and name:
            return named
        else:
            # Without a name this is the app's default conversation, which is not documented
            # further: here it is a new one, as for a bot.
            name, named = "", None
        new = Conversation(context.owner, name=str(name), bot_id=request.bot_id)
        return named or store.add_conversation(new)
