"""Routes of chats with bots (wire 2) and with chatflows (wire 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import RequestContext, RouteGroup, route
from langchain_coze.local.routes.state import find_by_id
from langchain_coze.local.routes.stream_responses import EventStreamResponse
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.conversation import Conversation
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.wire.cloud_profile import UNKNOWN_CONVERSATION_NAME, CloudProfile
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.requests import (
    ChatRequest,
    read_chat_request,
    read_chatflow_request,
    read_tool_outputs,
)
from langchain_coze.local.wire.workflow_replies import get_workflow_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.bots import LocalChatflow
    from langchain_coze.local.runtime.replying_bot import ReplyingBot

_STUDIO_FAILURE, _FAILURE = 777777775, "Workflow operation failure"


class ChatRoutes(RouteGroup):
    """Chats with bots and chatflows."""

    @route("/v3/chat", "POST", "POST")
    async def _create_chat(self, context: RequestContext) -> Response:
        profile, body = context.profile, context.json_object
        # Studio streams, unless `stream` is exactly false.
        streamed = body.get("stream") is not False if profile.is_studio else body.get("stream")
        try:
            run = self._start_chat(context)
        except ApiError as error:
            events = profile.build_refusal_events(error) if streamed else []
            if not events:
                raise
            return self._stream(EventQueue.of(events), profile, context)
        if run.request.stream:
            return self._stream(run.events, profile, context)
        return context.reply_plain(run.profile.build_start_reply(run.info))

    @route("/v1/workflows/chat", "POST", "POST")
    async def _create_chatflow_chat(self, context: RequestContext) -> Response:
        profile = context.profile.chatflow_profile
        try:
            events = self._start_chatflow_chat(context, profile).events
        except ApiError as error:
            if not (refusal := profile.build_refusal_events(error)):
                raise
            events = EventQueue.of(refusal)
        return self._stream(events, profile, context)

    # GET in the docs; the official Python and JavaScript SDKs POST (wire 2.8).
    @route("/v3/chat/retrieve", "GET POST", "GET")
    async def _retrieve(self, context: RequestContext) -> Response:
        run = self._get_run(context)
        return context.reply(run.profile.build_retrieved_chat(run.info, run.status))

    @route("/v3/chat/message/list", "GET", "GET")
    async def _list_messages(self, context: RequestContext) -> Response:
        return context.reply(self._get_run(context).writer.list_messages())

    @route("/v3/chat/cancel", "POST", "POST")
    async def _cancel(self, context: RequestContext) -> Response:
        body = context.json_object
        ids = str(body.get("conversation_id")), str(body.get("chat_id"))
        run = self._state.get_running_chat(*ids, context.owner)
        run.cancel()
        return context.reply(run.profile.build_cancelled_chat(run.info))

    @route("/v3/chat/submit_tool_outputs", "POST")
    async def _submit_tool_outputs(self, context: RequestContext) -> Response:
        ids = context.require_query("conversation_id"), context.require_query("chat_id")
        stream, outputs = read_tool_outputs(context.json_object)
        if (ids[1], context.owner) in self._state.unsaved:
            raise ApiError(5000, "tool outputs need a chat with auto_save_history=true")
        run = self._state.get_chat(*ids, context.owner)
        run.submit_tool_outputs(outputs, stream=stream)
        self._state.start_task(run.execute())
        if stream:
            return self._stream(run.events, context.profile, context)
        return context.reply_plain(run.profile.build_start_reply(run.info))

    def _stream(
        self, events: EventQueue, profile: CloudProfile, context: RequestContext
    ) -> Response:
        return EventStreamResponse(events, profile, context.faults, self._state.connections)

    def _get_run(self, context: RequestContext) -> ChatRun:
        ids = context.require_query("conversation_id"), context.require_query("chat_id")
        return self._state.get_chat(*ids, context.owner)

    def _start_chat(self, context: RequestContext) -> ChatRun:
        profile = context.profile
        request = read_chat_request(profile.normalize_chat_body(context.json_object))
        profile.check_conversation_id(context.query)
        bot = self._state.get_bot(request.bot_id)
        if not bot.published and request.publish_status != "unpublished_draft":
            raise ApiError(4015, resource_id=bot.bot_id)
        conversation = self._open_conversation(context, request)
        uploads = self._state.get_files(context.owner)
        items = [item for message in request.additional_messages for item in message.items]
        for file_id in filter(None, (item.get("file_id") for item in items)):
            if file_id not in uploads:  # uploads belong to an account (wire 5.3)
                raise ApiError(4000, f"file_id {file_id!r} does not exist")
        return self._start_run(bot, request, conversation, profile, context)

    def _start_chatflow_chat(self, context: RequestContext, profile: CloudProfile) -> ChatRun:
        body = context.json_object
        request = read_chatflow_request(body, takes_files=profile.is_studio)
        chatflow = find_by_id(self._state.settings.chatflows, request.bot_id)
        if chatflow is None or not chatflow.published:
            raise get_workflow_profile(context.profile).create_lookup_error(
                request.bot_id, exists=chatflow is not None, streamed=True
            )
        self._check_parent(chatflow, body)
        conversation = self._open_flow_conversation(context, request)
        if conversation.running_chat_id is not None and not profile.is_studio:
            raise ApiError(4016)
        return self._start_run(chatflow, request, conversation, profile, context)

    def _start_run(
        self,
        bot: ReplyingBot,
        request: ChatRequest,
        conversation: Conversation,
        profile: CloudProfile,
        context: RequestContext,
    ) -> ChatRun:
        state, faults = self._state, context.faults
        if not state.consume_quota(bot.wire_id, bot.quota):
            faults = faults.with_failure(4028)
        uploads = state.get_files(context.owner)
        run = ChatRun(bot, request, conversation, profile, uploads, faults)
        state.add_chat(run)
        state.start_task(run.execute())
        return run

    def _open_conversation(self, context: RequestContext, request: ChatRequest) -> Conversation:
        messages, is_studio = request.additional_messages, context.profile.is_studio
        if messages and messages[-1].role != "user":
            raise ApiError(4000, "the last of additional_messages must have the role user")
        store = self._state
        conversation: Conversation | None = None
        if conversation_id := context.query.get("conversation_id"):
            try:
                conversation = store.get_conversation(conversation_id, context.owner)
            except ApiError:
                if not is_studio:  # Studio silently starts a new one
                    raise
        if not (is_studio or messages or (conversation and conversation.history)):
            raise ApiError(
                4000, "additional_messages is empty and the conversation has no messages"
            )
        if not is_studio and conversation and conversation.running_chat_id is not None:
            raise ApiError(4016)
        new = Conversation(context.owner, bot_id=request.bot_id)
        return conversation or store.add_conversation(new)

    def _check_parent(self, chatflow: LocalChatflow, body: Mapping[str, Any]) -> None:
        """Validate the bot or app that a chatflow runs in."""
        bot_id, app_id = body.get("bot_id"), body.get("app_id")
        if (bot_id and app_id) or not (bot_id or app_id or self._state.profile.is_studio):
            raise ApiError(4000, "exactly one of app_id and bot_id is required")
        if chatflow.app_id and app_id != chatflow.app_id:
            raise ApiError(
                4000, f"the chatflow belongs to an app: app_id must be {chatflow.app_id}"
            )
        if bot_id:
            self._state.get_bot(str(bot_id))

    def _open_flow_conversation(
        self, context: RequestContext, request: ChatRequest
    ) -> Conversation:
        store, body, is_studio = self._state, context.json_object, context.profile.is_studio
        conversations = store.list_conversations(context.owner)
        if conversation_id := body.get("conversation_id"):
            is_named = any(c.id == conversation_id and c.name for c in conversations)
            if is_studio and not body.get("bot_id") and not is_named:
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
            # further. This server creates a new one, as for a bot.
            name, named = "", None
        new = Conversation(context.owner, name=str(name), bot_id=request.bot_id)
        return named or store.add_conversation(new)
