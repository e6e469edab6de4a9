"""Routes of chats (wire 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.routes.context import Call, RouteEntry, Site, as_json, ok
from langchain_coze.local.routes.responses import EventStream
from langchain_coze.local.runtime.chat_run import ChatRun
from langchain_coze.local.runtime.store import Conversation
from langchain_coze.local.wire.chat_request import ChatRequest, read_chat_request, read_tool_outputs
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.wire.files import StoredFile


class ChatRoutes:
    """Chats with bots."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v3/chat", ["POST"], self._chat),
            # The docs GET it, the official Python and JavaScript SDKs POST it (wire 2.8).
            RouteEntry("/v3/chat/retrieve", ["GET", "POST"], self._retrieve),
            RouteEntry("/v3/chat/message/list", ["GET"], self._list_messages),
            RouteEntry("/v3/chat/cancel", ["POST"], self._cancel),
            RouteEntry("/v3/chat/submit_tool_outputs", ["POST"], self._submit),
        ]

    async def _chat(self, call: Call) -> Response:
        profile = self._site.profile
        request = read_chat_request(profile.chat_body(call.json_object))
        bot = self._site.bot(request.bot_id)
        if not bot.published and request.publish_status != "unpublished_draft":
            raise Problem(4015)
        self._site.count_chat(bot.bot_id, bot.quota)
        conversation = self._conversation_for(call, request)
        uploads = self._site.store.files_of(call.owner)
        _check_files(request, uploads)
        run = ChatRun(bot, request, conversation, self._site.profile, uploads)
        self._site.store.add_chat(run)
        self._site.start(run.execute())
        if request.stream:
            return EventStream(run.outbox, self._site.profile, call.plan, self._site.connections)
        return as_json({"data": run.as_short_json(), "code": 0, "msg": "", **profile.reply_end})

    def _conversation_for(self, call: Call, request: ChatRequest) -> Conversation:
        messages, asked_for = request.additional_messages, call.query.get("conversation_id")
        if messages and messages[-1].role != "user":
            raise Problem(4000, "the last of additional_messages must have the role user")
        store = self._site.store
        if asked_for:
            self._site.profile.check_id("conversation_id", asked_for)
        conversation = (
            store.conversation(asked_for, call.owner)
            if asked_for
            else Conversation(call.owner, bot_id=request.bot_id)
        )
        if not messages and not conversation.history:
            raise Problem(4000, "additional_messages is empty and the conversation has no messages")
        if conversation.running is not None:
            raise Problem(4016)
        return conversation if asked_for else store.add_conversation(conversation)

    async def _retrieve(self, call: Call) -> Response:
        return ok(self._run_of(call).as_json(), call)

    async def _list_messages(self, call: Call) -> Response:
        return ok(self._run_of(call).listed_messages(), call)

    def _run_of(self, call: Call) -> ChatRun:
        ids = call.required("conversation_id"), call.required("chat_id")
        return self._site.store.chat(*ids, call.owner)

    async def _cancel(self, call: Call) -> Response:
        body = call.json_object
        ids = str(body.get("conversation_id")), str(body.get("chat_id"))
        run = self._site.store.chat(*ids, call.owner)
        if not run.running:
            raise Problem(4104)
        run.cancel()
        # As in the API's own sample (wire 2.8), save that last_error.code is null there: the
        # official Python SDK refuses that, and no recording shows it.
        return ok(run.as_json() | {"failed_at": None, "usage": {}}, call)

    async def _submit(self, call: Call) -> Response:
        ids = call.required("conversation_id"), call.required("chat_id")
        stream, outputs = read_tool_outputs(call.json_object)
        if self._site.store.was_not_saved(*ids, call.owner):
            raise Problem(5000, "tool outputs need a chat with auto_save_history=true")
        run = self._site.store.chat(*ids, call.owner)
        run.submit(outputs, stream=stream)
        self._site.start(run.execute())
        if stream:
            return EventStream(run.outbox, self._site.profile, call.plan, self._site.connections)
        return ok(run.as_short_json(), call)


def _check_files(request: ChatRequest, uploads: Mapping[str, StoredFile]) -> None:
    """Only uploads of the same account can be used (wire 5.3)."""
    for message in request.additional_messages:
        for file_id in filter(None, (item.get("file_id") for item in message.items)):
            if file_id not in uploads:
                raise Problem(4000, f"file_id {file_id!r} does not exist")
