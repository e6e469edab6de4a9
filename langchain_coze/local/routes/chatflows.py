"""The route of chatflows (wire 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, RouteSpec
from langchain_coze.local.routes.stream_responses import EventStreamResponse
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.conversation import Conversation
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.wire.chat_request import ChatRequest, read_chatflow_request
from langchain_coze.local.wire.cloud_profile import UNKNOWN_CONVERSATION_NAME
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.studio_workflows import get_workflow_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.chatflows import LocalChatflow

_STUDIO_FAILURE, _FAILURE = 777777775, "Workflow operation failure"


class ChatflowRoutes(RouteGroup):
    """Chats with chatflows."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [RouteSpec("/v1/workflows/chat", ["POST"], self._create_chat)]

    async def _create_chat(self, context: RequestContext) -> Response:
        profile = self._state.profile.chatflow_profile
        try:
            events = self._start_chat(context).events
        except ApiError as error:
            if not (refusal := profile.build_refusal_events(error)):
                raise
            events = EventQueue.of(refusal)
        return EventStreamResponse(events, profile, context.faults, self._state.connections)

    def _start_chat(self, context: RequestContext) -> ChatRun:
        state, body = self._state, context.json_object
        profile = state.profile.chatflow_profile
        request = read_chatflow_request(body, takes_files=profile.is_studio)
        chatflow = state.find_chatflow(request.bot_id)
        if chatflow is None or not chatflow.published:
            raise get_workflow_profile(state.profile).create_lookup_error(
                request.bot_id, exists=chatflow is not None, streamed=True
            )
        self._check_parent(chatflow, body)
        conversation = self._open_conversation(context, request)
        if conversation.running_chat_id is not None and not profile.is_studio:
            raise ApiError(4016)
        uploads = state.store.get_files(context.owner)
        faults = context.faults
        if not state.consume_quota(chatflow.workflow_id, chatflow.quota):
            faults = faults.with_failure(4028)
        run = ChatRun(chatflow, request, conversation, profile, uploads, faults)
        state.store.add_chat(run)
        state.start_task(run.execute())
        return run

    def _check_parent(self, chatflow: LocalChatflow, body: Mapping[str, Any]) -> None:
        """Check the bot or app that a chatflow runs in."""
        bot_id, app_id = body.get("bot_id"), body.get("app_id")
        if (bot_id and app_id) or not (bot_id or app_id or self._state.profile.is_studio):
            raise ApiError(4000, "one of app_id and bot_id is required, and only one")
        if chatflow.app_id and app_id != chatflow.app_id:
            raise ApiError(
                4000, f"the chatflow belongs to an app: app_id must be {chatflow.app_id}"
            )
        if bot_id:
            self._state.get_bot(str(bot_id))

    def _open_conversation(self, context: RequestContext, request: ChatRequest) -> Conversation:
        """Return the conversation to run in."""
        store, body = self._state.store, context.json_object
        is_studio = self._state.profile.is_studio
        conversations = store.list_conversations(context.owner)
        if conversation_id := body.get("conversation_id"):
            found = [c for c in conversations if c.id == conversation_id and c.name]
            if is_studio and not body.get("bot_id") and not found:
                raise ApiError(_STUDIO_FAILURE, f"{_FAILURE}: conversation not found")
            return store.get_conversation(str(conversation_id), context.owner)
        name = request.parameters.get("CONVERSATION_NAME")
        named = next((c for c in conversations if name and c.name == name), None)
        if is_studio and not name:
            raise ApiError(_STUDIO_FAILURE, f"{_FAILURE}: conversation name is requried")
        if not is_studio and body.get("app_id") and name:
            if named is None:
                raise ApiError(UNKNOWN_CONVERSATION_NAME, "会话名不存在")
            return named
        if not is_studio:
            # Without a name this is the app's default conversation, which is not documented
            # further: here it is a new one, as for a bot.
            name, named = "", None
        new = Conversation(context.owner, name=str(name), bot_id=request.bot_id)
        return named or store.add_conversation(new)
