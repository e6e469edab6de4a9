"""Routes of chats (wire 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_data_response,
    build_json_response,
)
from langchain_coze.local.routes.stream_responses import EventStreamResponse
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.conversation import Conversation
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.wire.chat_request import ChatRequest, read_chat_request, read_tool_outputs
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.wire.files import StoredFile


class ChatRoutes(RouteGroup):
    """Chats with bots."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [
            RouteSpec("/v3/chat", ["POST"], self._create_chat),
            # GET in the docs; the official Python and JavaScript SDKs POST (wire 2.8).
            RouteSpec("/v3/chat/retrieve", ["GET", "POST"], self._retrieve),
            RouteSpec("/v3/chat/message/list", ["GET"], self._list_messages),
            RouteSpec("/v3/chat/cancel", ["POST"], self._cancel),
            RouteSpec("/v3/chat/submit_tool_outputs", ["POST"], self._submit_tool_outputs),
        ]

    async def _create_chat(self, context: RequestContext) -> Response:
        profile, body = self._state.profile, context.json_object
        # Studio streams, unless `stream` is exactly false.
        streamed = body.get("stream") is not False if profile.is_studio else body.get("stream")
        try:
            run = self._start_chat(context)
        except ApiError as error:
            events = profile.build_refusal_events(error) if streamed else []
            if not events:
                raise
            return self._stream(EventQueue.of(events), context)
        if run.request.stream:
            return self._stream(run.events, context)
        return build_json_response(run.build_start_reply())

    def _start_chat(self, context: RequestContext) -> ChatRun:
        state, profile = self._state, self._state.profile
        request = read_chat_request(profile.normalize_chat_body(context.json_object))
        profile.check_conversation_id(context.query)
        bot = state.get_bot(request.bot_id)
        if not bot.published and request.publish_status != "unpublished_draft":
            raise ApiError(4015, resource_id=bot.bot_id)
        conversation = self._open_conversation(context, request)
        uploads = state.store.get_files(context.owner)
        _check_files(request, uploads)
        faults = context.faults
        if not state.consume_quota(bot.bot_id, bot.quota):
            faults = faults.with_failure(4028)
        run = ChatRun(bot, request, conversation, profile, uploads, faults)
        state.store.add_chat(run)
        state.start_task(run.execute())
        return run

    def _stream(self, events: EventQueue, context: RequestContext) -> Response:
        state = self._state
        return EventStreamResponse(events, state.profile, context.faults, state.connections)

    def _open_conversation(self, context: RequestContext, request: ChatRequest) -> Conversation:
        messages, profile = request.additional_messages, self._state.profile
        if messages and messages[-1].role != "user":
            raise ApiError(4000, "the last of additional_messages must have the role user")
        store = self._state.store
        conversation: Conversation | None = None
        if conversation_id := context.query.get("conversation_id"):
            try:
                conversation = store.get_conversation(conversation_id, context.owner)
            except ApiError:
                if not profile.is_studio:  # which starts a new one without a word
                    raise
        if profile.is_studio:
            return conversation or self._add_conversation(context, request)
        if not messages and not (conversation and conversation.history):
            raise ApiError(
                4000, "additional_messages is empty and the conversation has no messages"
            )
        if conversation is not None and conversation.running_chat_id is not None:
            raise ApiError(4016)
        return conversation or self._add_conversation(context, request)

    def _add_conversation(self, context: RequestContext, request: ChatRequest) -> Conversation:
        new = Conversation(context.owner, bot_id=request.bot_id)
        return self._state.store.add_conversation(new)

    async def _retrieve(self, context: RequestContext) -> Response:
        return build_data_response(self._get_run(context).as_json(), context)

    async def _list_messages(self, context: RequestContext) -> Response:
        return build_data_response(self._get_run(context).list_messages(), context)

    def _get_run(self, context: RequestContext) -> ChatRun:
        ids = context.require_query("conversation_id"), context.require_query("chat_id")
        return self._state.store.get_chat(*ids, context.owner)

    async def _cancel(self, context: RequestContext) -> Response:
        body = context.json_object
        ids = str(body.get("conversation_id")), str(body.get("chat_id"))
        run = self._state.store.get_chat(*ids, context.owner)
        if not run.is_cancelable:
            raise ApiError(4104)
        run.cancel()
        return build_data_response(run.build_cancel_reply(), context)

    async def _submit_tool_outputs(self, context: RequestContext) -> Response:
        ids = context.require_query("conversation_id"), context.require_query("chat_id")
        stream, outputs = read_tool_outputs(context.json_object)
        if self._state.store.was_unsaved(*ids, context.owner):
            raise ApiError(5000, "tool outputs need a chat with auto_save_history=true")
        run = self._state.store.get_chat(*ids, context.owner)
        run.submit_tool_outputs(outputs, stream=stream)
        self._state.start_task(run.execute())
        if stream:
            return self._stream(run.events, context)
        return build_json_response(run.build_start_reply())


def _check_files(request: ChatRequest, uploads: Mapping[str, StoredFile]) -> None:
    """Check that the files are uploads of the same account (wire 5.3)."""
    for message in request.additional_messages:
        for file_id in filter(None, (item.get("file_id") for item in message.items)):
            if file_id not in uploads:
                raise ApiError(4000, f"file_id {file_id!r} does not exist")
