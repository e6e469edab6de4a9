"""Routes of conversations and of the messages in them (wire 5.1 and 5.2)."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze.local.routes.request_context import (
    MAX_PAGE_SIZE,
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_data_response,
    build_json_response,
)
from langchain_coze.local.runtime.conversation import Conversation, MessageMeta, SavedTurn
from langchain_coze.local.wire.chat_request import EnterMessage, read_messages, read_meta_data
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.responses import Response

    from langchain_coze.local.routes.state import ServerState

_MAX_NAME_LENGTH = 100
_API_CHANNEL = "1024"
_LISTED_TYPES = frozenset({"question", "answer"})
_STEP_TYPES = frozenset({"function_call", "tool_output", "tool_response", "verbose"})
_NO_CURSORS = {None, "", "0"}
# For the check of a single message: one of files only needs a text message beside it.
_NEIGHBOUR_MESSAGE = {"role": "user", "content": "", "content_type": "text"}


class ConversationRoutes(RouteGroup):
    """Conversations: the context of chats."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        path = "/v1/conversations/{conversation_id}"
        return [
            RouteSpec("/v1/conversation/create", ["POST"], self._create),
            RouteSpec("/v1/conversation/retrieve", ["GET"], self._retrieve),
            RouteSpec("/v1/conversations", ["GET"], self._list),
            RouteSpec(path, ["PUT"], self._rename),
            RouteSpec(path, ["DELETE"], self._delete),
            RouteSpec(f"{path}/clear", ["POST"], self._clear),
        ]

    async def _create(self, context: RequestContext) -> Response:
        body = context.body if isinstance(context.body, dict) else {}
        name = _read_name(body.get("name"))
        bot_id = str(body.get("bot_id") or "")
        if bot_id:
            self._state.get_bot(bot_id)
        meta_data = read_meta_data(body.get("meta_data"))
        conversation = Conversation(context.owner, name=name, meta_data=meta_data, bot_id=bot_id)
        messages = read_messages(body.get("messages"), saved=True)
        if messages and not self._state.profile.is_studio:  # which ignores them
            turn = SavedTurn(list(messages), section_id=conversation.section_id)
            conversation.turns.append(turn)
        self._state.store.add_conversation(conversation)
        return build_data_response(conversation.as_json(), context)

    async def _retrieve(self, context: RequestContext) -> Response:
        return build_data_response(_get_conversation(self._state, context).as_json(), context)

    async def _list(self, context: RequestContext) -> Response:
        bot_id = context.require_query("bot_id")
        order = context.query.get("sort_order") or "DESC"
        if order not in {"ASC", "DESC"}:
            raise ApiError(4000, f"sort_order: {order!r} is not ASC or DESC")
        channel = context.query.get("connector_id") or _API_CHANNEL
        conversations = [
            conversation
            for conversation in self._state.store.list_conversations(context.owner)
            if conversation.bot_id == bot_id and channel == _API_CHANNEL
        ]
        if order == "DESC":
            conversations.reverse()
        size = min(context.read_positive_query("page_size", MAX_PAGE_SIZE), MAX_PAGE_SIZE)
        start = (context.read_positive_query("page_num", 1) - 1) * size
        items = [conversation.as_json() for conversation in conversations[start : start + size]]
        return build_data_response(
            {"has_more": len(conversations) > start + size, "conversations": items}, context
        )

    async def _rename(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        conversation.name = _read_name(context.json_object.get("name"))
        conversation.updated_at = int(time.time())
        return build_data_response(conversation.as_json(), context)

    async def _delete(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        if self._state.profile.is_studio:  # where it has no effect
            return build_json_response({"code": 0, "msg": "", "BaseResp": None})
        self._state.store.delete_conversation(conversation)
        return build_json_response(
            {"code": 0, "msg": "", **context.profile.build_detail(context.logid)}
        )

    async def _clear(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        conversation.clear()
        section = {"id": conversation.section_id, "conversation_id": conversation.id}
        return build_data_response(section, context)


class _StoredMessage(NamedTuple):
    """A message and its position in the conversation."""

    turn: SavedTurn
    position: int

    @property
    def entry(self) -> EnterMessage:
        return self.turn.entries[self.position]

    @property
    def meta(self) -> MessageMeta:
        return self.turn.message_metas[self.position]

    def as_json(self, conversation_id: str) -> dict[str, Any]:
        """Return the message object, with the key order of the API's samples."""
        entry, meta = self.entry, self.meta
        return {
            "bot_id": self.turn.bot_id,
            "chat_id": self.turn.chat_id,
            "content": entry.content,
            "content_type": entry.content_type,
            "conversation_id": conversation_id,
            "created_at": meta.created_at,
            "id": meta.id,
            "meta_data": dict(meta.meta_data),
            "role": entry.role,
            "section_id": self.turn.section_id,
            "type": entry.type if self.turn.chat_id else "",
            "updated_at": str(meta.updated_at),
        }


class MessageRoutes(RouteGroup):
    """The messages of a conversation."""

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [
            RouteSpec("/v1/conversation/message/create", ["POST"], self._create),
            RouteSpec("/v1/conversation/message/list", ["POST"], self._list),
            RouteSpec("/v1/conversation/message/retrieve", ["GET"], self._retrieve),
            RouteSpec("/v1/conversation/message/modify", ["POST"], self._modify),
            RouteSpec("/v1/conversation/message/delete", ["POST"], self._delete),
            RouteSpec(
                "/v1/conversations/{conversation_id}/messages/{message_id}/feedback",
                ["POST", "DELETE"],
                self._accept_feedback,
            ),
        ]

    async def _accept_feedback(self, context: RequestContext) -> Response:
        """Accept or remove feedback; it is not stored."""
        _find_message(_get_conversation(self._state, context), context)
        return build_data_response({}, context)

    async def _create(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        body = context.json_object
        entry = _read_message(body)
        meta_data = read_meta_data(body.get("meta_data"))
        turn = SavedTurn([entry], section_id=conversation.section_id)
        turn.message_metas[0].meta_data = meta_data
        conversation.turns.append(turn)
        return build_data_response(_StoredMessage(turn, 0).as_json(conversation.id), context)

    async def _list(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        body = context.body if isinstance(context.body, dict) else {}
        order = body.get("order") or "desc"
        if order not in {"asc", "desc"}:
            raise ApiError(4000, f"order: {order!r} is not asc or desc")
        messages = list(_iterate_messages(conversation))
        if chat_id := body.get("chat_id"):
            # The question is missing then, as users of the API report (wire 5.2).
            messages = [
                m for m in messages if m.turn.chat_id == chat_id and m.entry.type != "question"
            ]
        if order == "desc":
            messages.reverse()
        page, has_more = _select_messages(messages, body)
        ids = [message.meta.id for message in page] or ["0"]
        profile = context.profile
        items = [
            profile.build_stored_message(
                message.as_json(conversation.id),
                message.meta.reasoning,
                of_chatflow=message.turn.of_chatflow,
            )
            for message in page
        ]
        reply: dict[str, Any] = {"data": items} if items or not profile.is_studio else {}
        reply |= {"has_more": has_more, "first_id": ids[0], "last_id": ids[-1]}
        return build_json_response(
            reply | {"code": 0, "msg": "", **profile.build_detail(context.logid)}
        )

    async def _retrieve(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        return build_data_response(
            _find_message(conversation, context).as_json(conversation.id), context
        )

    async def _modify(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        message, body = _find_message(conversation, context), context.json_object
        if not any(body.get(name) for name in ("content", "content_type", "meta_data")):
            raise ApiError(4000, "one of content, content_type and meta_data is required")
        old = message.entry
        new = _read_message(
            {
                "role": old.role,
                "type": old.type,
                "content": body.get("content") or old.content,
                "content_type": body.get("content_type") or old.content_type,
            }
        )
        if body.get("meta_data"):
            message.meta.meta_data = read_meta_data(body["meta_data"])
        message.turn.entries[message.position] = replace(
            old, content=new.content, content_type=new.content_type, items=new.items
        )
        message.meta.updated_at = int(time.time())
        item = message.as_json(conversation.id)
        return build_json_response(
            {"code": 0, "message": item, "msg": "", "detail": {"logid": context.logid}}
        )

    async def _delete(self, context: RequestContext) -> Response:
        conversation = _get_conversation(self._state, context)
        message = _find_message(conversation, context)
        item = message.as_json(conversation.id)
        if message.turn.chat_id:
            with contextlib.suppress(ApiError):  # it may belong to a chat that is not kept
                run = self._state.store.get_chat(
                    conversation.id, message.turn.chat_id, context.owner
                )
                types = _STEP_TYPES if message.entry.type == "answer" else frozenset()
                run.delete_messages(message.meta.id, types)
        del message.turn.message_metas[message.position], message.turn.entries[message.position]
        return build_data_response(item, context)


def _read_name(value: Any) -> str:
    name = value or ""
    if not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH:
        raise ApiError(4000, f"name must be a string of at most {_MAX_NAME_LENGTH} characters")
    return name


def _get_conversation(state: ServerState, context: RequestContext) -> Conversation:
    return state.store.get_conversation(context.require_query("conversation_id"), context.owner)


def _read_message(body: Mapping[str, Any]) -> EnterMessage:
    try:
        return read_messages([body, _NEIGHBOUR_MESSAGE], saved=True)[0]
    except ApiError as error:
        text = error.message.replace("additional_messages[0].", "")
        raise ApiError(error.code, text) from None


def _iterate_messages(conversation: Conversation) -> Iterator[_StoredMessage]:
    """Yield questions and answers, oldest first, without tool calls and other steps."""
    for turn in conversation.turns:
        for position, entry in enumerate(turn.entries):
            if entry.type in _LISTED_TYPES:
                yield _StoredMessage(turn, position)


def _find_message(conversation: Conversation, context: RequestContext) -> _StoredMessage:
    message_id = context.require_query("message_id")
    for message in _iterate_messages(conversation):
        if message.meta.id == message_id:
            return message
    raise ApiError(4005, f"message_id {message_id!r} does not exist in this conversation")


def _select_messages(
    messages: Sequence[_StoredMessage], body: Mapping[str, Any]
) -> tuple[Sequence[_StoredMessage], bool]:
    """Return the messages of the requested page, and whether there are more."""
    limit = body.get("limit") or MAX_PAGE_SIZE
    if not isinstance(limit, int) or limit < 1:
        raise ApiError(4000, "limit must be a whole number from 1")
    limit = min(limit, MAX_PAGE_SIZE)
    before, after = body.get("before_id"), body.get("after_id")
    start = 0 if after in _NO_CURSORS else _find_position(messages, after, "after_id") + 1
    if before in _NO_CURSORS:
        return messages[start : start + limit], len(messages) > start + limit
    end = _find_position(messages, before, "before_id")
    return messages[max(start, end - limit) : end], end - limit > start


def _find_position(messages: Sequence[_StoredMessage], message_id: Any, name: str) -> int:
    for position, message in enumerate(messages):
        if message.meta.id == message_id:
            return position
    raise ApiError(4005, f"{name} {message_id!r} is not in this list")
