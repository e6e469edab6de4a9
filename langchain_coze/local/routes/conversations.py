"""Routes of conversations and of the messages in them (wire 5.1 and 5.2)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_coze.local.routes.request_context import (
    MAX_PAGE_SIZE,
    RequestContext,
    RouteGroup,
    route,
)
from langchain_coze.local.runtime.conversation import Conversation, SavedTurn, StoredMessage
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import get_time
from langchain_coze.local.wire.requests import EnterMessage, read_messages, read_meta_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

_MAX_NAME_LENGTH = 100
_API_CHANNEL = "1024"
_LISTED_TYPES = frozenset({"question", "answer"})
_STEP_TYPES = frozenset({"function_call", "tool_output", "tool_response", "verbose"})
_NO_CURSORS = {None, "", "0"}
# A placeholder to validate a single message: one with only files needs a text message next to it.
_NEIGHBOUR_MESSAGE = {"role": "user", "content": "", "content_type": "text"}
_CONVERSATION = "/v1/conversations/{conversation_id}"
_MESSAGE = "/v1/conversation/message"

_TurnMessage: TypeAlias = tuple[SavedTurn, StoredMessage]


class ConversationRoutes(RouteGroup):
    """Conversations and their messages, which are the context of chats."""

    @route("/v1/conversation/create", "POST", "POST")
    async def _create(self, context: RequestContext) -> Response:
        body = context.optional_object
        name = _read_name(body.get("name"))
        if bot_id := str(body.get("bot_id") or ""):
            self._state.get_bot(bot_id)
        meta_data = read_meta_data(body.get("meta_data"))
        conversation = Conversation(context.owner, name=name, meta_data=meta_data, bot_id=bot_id)
        entries = read_messages(body.get("messages"), saved=True)
        if entries and not context.profile.is_studio:  # Studio ignores them
            turn = SavedTurn(list(map(StoredMessage, entries)), section_id=conversation.section_id)
            conversation.turns.append(turn)
        self._state.add_conversation(conversation)
        return context.reply(conversation.as_json())

    @route("/v1/conversation/retrieve", "GET", "GET")
    async def _retrieve(self, context: RequestContext) -> Response:
        return context.reply(self._get_conversation(context).as_json())

    @route("/v1/conversations", "GET", "GET")
    async def _list(self, context: RequestContext) -> Response:
        bot_id = context.require_query("bot_id")
        order = context.query.get("sort_order") or "DESC"
        if order not in {"ASC", "DESC"}:
            raise ApiError(4000, f"sort_order: {order!r} is not ASC or DESC")
        channel = context.query.get("connector_id") or _API_CHANNEL
        conversations = [
            conversation
            for conversation in self._state.list_conversations(context.owner)
            if conversation.bot_id == bot_id and channel == _API_CHANNEL
        ]
        page, has_more = context.select_page(
            conversations if order == "ASC" else conversations[::-1]
        )
        items = [conversation.as_json() for conversation in page]
        return context.reply({"has_more": has_more, "conversations": items})

    @route(_CONVERSATION, "PUT", "PUT")
    async def _rename(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        conversation.name = _read_name(context.json_object.get("name"))
        conversation.updated_at = get_time()
        return context.reply(conversation.as_json())

    @route(_CONVERSATION, "DELETE", "DELETE")
    async def _delete(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        reply: dict[str, Any] = {"code": 0, "msg": ""}
        if context.profile.is_studio:  # no effect in Studio
            return context.reply_plain(reply | {"BaseResp": None})
        self._state.delete_conversation(conversation)
        return context.reply_plain(reply | context.profile.build_detail(context.logid))

    @route(f"{_CONVERSATION}/clear", "POST", "POST")
    async def _clear(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        conversation.clear()
        section = {"id": conversation.section_id, "conversation_id": conversation.id}
        return context.reply(section)

    # Messages ---------------------------------------------------------------------------------

    @route(f"{_CONVERSATION}/messages/{{message_id}}/feedback", "POST DELETE")
    async def _accept_feedback(self, context: RequestContext) -> Response:
        """Accept or remove feedback; it is not stored."""
        _find_message(self._get_conversation(context), context)
        return context.reply({})

    @route(f"{_MESSAGE}/create", "POST")
    async def _create_message(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        body = context.json_object
        entry, meta_data = _read_message(body), read_meta_data(body.get("meta_data"))
        message = StoredMessage(entry, meta_data=meta_data)
        turn = SavedTurn([message], section_id=conversation.section_id)
        conversation.turns.append(turn)
        return context.reply(turn.message_as_json(message, conversation.id))

    @route(f"{_MESSAGE}/list", "POST", "POST")
    async def _list_messages(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        body, profile = context.optional_object, context.profile
        order, chat_id = body.get("order") or "desc", body.get("chat_id")
        if order not in {"asc", "desc"}:
            raise ApiError(4000, f"order: {order!r} is not asc or desc")
        # With a chat_id the list lacks the question, as users of the API report (wire 5.2).
        messages = [
            (turn, message)
            for turn, message in _list_messages(conversation)
            if not chat_id or (turn.chat_id == chat_id and message.entry.type != "question")
        ]
        if order == "desc":
            messages.reverse()
        page, has_more = _select_messages(messages, body)
        ids = [message.id for _, message in page] or ["0"]
        items = [
            profile.build_stored_message(
                turn.message_as_json(message, conversation.id),
                message.reasoning,
                of_chatflow=turn.of_chatflow,
            )
            for turn, message in page
        ]
        reply: dict[str, Any] = {"data": items} if items or not profile.is_studio else {}
        reply |= {"has_more": has_more, "first_id": ids[0], "last_id": ids[-1]}
        return context.reply_plain(
            reply | {"code": 0, "msg": "", **profile.build_detail(context.logid)}
        )

    @route(f"{_MESSAGE}/retrieve", "GET")
    async def _retrieve_message(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        turn, message = _find_message(conversation, context)
        return context.reply(turn.message_as_json(message, conversation.id))

    @route(f"{_MESSAGE}/modify", "POST")
    async def _modify_message(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        (turn, message), body = _find_message(conversation, context), context.json_object
        changes = {n: body[n] for n in ("content", "content_type", "meta_data") if body.get(n)}
        if not changes:
            raise ApiError(4000, "one of content, content_type and meta_data is required")
        old, meta_data = message.entry, changes.pop("meta_data", None)
        fields = {"content": old.content, "content_type": old.content_type}
        new = _read_message({"role": old.role, "type": old.type} | fields | changes)
        if meta_data:
            message.meta_data = read_meta_data(meta_data)
        message.entry = replace(new, tool_call_id=old.tool_call_id)
        message.updated_at = get_time()
        item = turn.message_as_json(message, conversation.id)
        return context.reply_plain(
            {"code": 0, "message": item, "msg": "", "detail": {"logid": context.logid}}
        )

    @route(f"{_MESSAGE}/delete", "POST")
    async def _delete_message(self, context: RequestContext) -> Response:
        conversation = self._get_conversation(context)
        turn, message = _find_message(conversation, context)
        if turn.chat_id:
            with contextlib.suppress(ApiError):  # its chat may not be stored
                run = self._state.get_chat(conversation.id, turn.chat_id, context.owner)
                types = _STEP_TYPES if message.entry.type == "answer" else frozenset()
                run.writer.delete_messages(message.id, types)
        turn.messages.remove(message)
        return context.reply(turn.message_as_json(message, conversation.id))

    def _get_conversation(self, context: RequestContext) -> Conversation:
        conversation_id = context.require_query("conversation_id")
        return self._state.get_conversation(conversation_id, context.owner)


def _read_name(value: Any) -> str:
    name = value or ""
    if not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH:
        raise ApiError(4000, f"name must be a string of at most {_MAX_NAME_LENGTH} characters")
    return name


def _read_message(body: Mapping[str, Any]) -> EnterMessage:
    try:
        return read_messages([body, _NEIGHBOUR_MESSAGE], saved=True)[0]
    except ApiError as error:
        text = error.message.replace("additional_messages[0].", "")
        raise ApiError(error.code, text) from None


def _list_messages(conversation: Conversation) -> list[_TurnMessage]:
    """Return questions and answers, oldest first, without tool calls and other steps."""
    return [
        (turn, message)
        for turn in conversation.turns
        for message in turn.messages
        if message.entry.type in _LISTED_TYPES
    ]


def _find_message(conversation: Conversation, context: RequestContext) -> _TurnMessage:
    message_id = context.require_query("message_id")
    for turn, message in _list_messages(conversation):
        if message.id == message_id:
            return turn, message
    raise ApiError(4005, f"message_id {message_id!r} does not exist in this conversation")


def _select_messages(
    messages: Sequence[_TurnMessage], body: Mapping[str, Any]
) -> tuple[Sequence[_TurnMessage], bool]:
    """Return the messages of the requested page, and whether there are more."""
    limit = body.get("limit") or MAX_PAGE_SIZE
    if not isinstance(limit, int) or limit < 1:
        raise ApiError(4000, "limit must be an integer of at least 1")
    limit = min(limit, MAX_PAGE_SIZE)

    def find_position(name: str) -> int:
        for position, (_, message) in enumerate(messages):
            if message.id == body[name]:
                return position
        raise ApiError(4005, f"{name} {body[name]!r} is not in this list")

    start = 0 if body.get("after_id") in _NO_CURSORS else find_position("after_id") + 1
    if body.get("before_id") in _NO_CURSORS:
        return messages[start : start + limit], len(messages) > start + limit
    end = find_position("before_id")
    return messages[max(start, end - limit) : end], end - limit > start
