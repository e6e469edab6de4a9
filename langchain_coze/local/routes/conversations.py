"""Routes of conversations and of the messages in them (wire 5.1 and 5.2)."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze.local.routes.context import Call, RouteEntry, Site, as_json, ok
from langchain_coze.local.runtime.store import Conversation, Mark, SavedTurn
from langchain_coze.local.wire.chat_request import EnterMessage, read_messages, read_meta_data
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.responses import Response

_LONGEST_NAME = 100
_LARGEST_PAGE = 50
_API_CHANNEL = "1024"
_LISTED = frozenset({"question", "answer"})
_MIDDLE = frozenset({"function_call", "tool_output", "tool_response", "verbose"})
_START = {None, "", "0"}
# Beside a message that is made alone: it may consist of files, its neighbours are stored already.
_NEIGHBOUR = {"role": "user", "content": "", "content_type": "text"}


class ConversationRoutes:
    """Conversations: the context of chats."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        one = "/v1/conversations/{conversation_id}"
        return [
            RouteEntry("/v1/conversation/create", ["POST"], self._create),
            RouteEntry("/v1/conversation/retrieve", ["GET"], self._retrieve),
            RouteEntry("/v1/conversations", ["GET"], self._list),
            RouteEntry(one, ["PUT"], self._rename),
            RouteEntry(one, ["DELETE"], self._delete),
            RouteEntry(f"{one}/clear", ["POST"], self._clear),
        ]

    async def _create(self, call: Call) -> Response:
        body = call.body if isinstance(call.body, dict) else {}
        name = _name(body.get("name"))
        bot_id = str(body.get("bot_id") or "")
        if bot_id:
            self._site.bot(bot_id)
        meta_data = read_meta_data(body.get("meta_data"))
        conversation = Conversation(call.owner, name=name, meta_data=meta_data, bot_id=bot_id)
        if messages := read_messages(body.get("messages"), saved=True):
            turn = SavedTurn(list(messages), section_id=conversation.section_id)
            conversation.turns.append(turn)
        self._site.store.add_conversation(conversation)
        return ok(conversation.as_json(), call)

    async def _retrieve(self, call: Call) -> Response:
        return ok(_conversation(self._site, call).as_json(), call)

    async def _list(self, call: Call) -> Response:
        bot_id = call.required("bot_id")
        order = call.query.get("sort_order") or "DESC"
        if order not in {"ASC", "DESC"}:
            raise Problem(4000, f"sort_order: {order!r} is not ASC or DESC")
        channel = call.query.get("connector_id") or _API_CHANNEL
        found = [
            conversation
            for conversation in self._site.store.conversations(call.owner)
            if conversation.bot_id == bot_id and channel == _API_CHANNEL
        ]
        if order == "DESC":
            found.reverse()
        size = min(call.number("page_size", _LARGEST_PAGE), _LARGEST_PAGE)
        start = (call.number("page_num", 1) - 1) * size
        shown = [conversation.as_json() for conversation in found[start : start + size]]
        return ok({"has_more": len(found) > start + size, "conversations": shown}, call)

    async def _rename(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        conversation.name = _name(call.json_object.get("name"))
        conversation.updated_at = int(time.time())
        return ok(conversation.as_json(), call)

    async def _delete(self, call: Call) -> Response:
        self._site.store.delete_conversation(_conversation(self._site, call))
        return as_json({"code": 0, "msg": "", **call.profile.detail(call.logid)})

    async def _clear(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        conversation.clear()
        section = {"id": conversation.section_id, "conversation_id": conversation.id}
        return ok(section, call)


class _Stored(NamedTuple):
    """A message and where it is kept."""

    turn: SavedTurn
    position: int

    @property
    def entry(self) -> EnterMessage:
        return self.turn.entries[self.position]

    @property
    def mark(self) -> Mark:
        return self.turn.marks[self.position]

    def as_json(self, conversation_id: str) -> dict[str, Any]:
        """The message object, in the key order and with the string time of the API's samples."""
        entry, mark = self.entry, self.mark
        return {
            "bot_id": self.turn.bot_id,
            "chat_id": self.turn.chat_id,
            "content": entry.content,
            "content_type": entry.content_type,
            "conversation_id": conversation_id,
            "created_at": mark.created_at,
            "id": mark.id,
            "meta_data": dict(mark.meta_data),
            "role": entry.role,
            "section_id": self.turn.section_id,
            "type": entry.type if self.turn.chat_id else "",
            "updated_at": str(mark.updated_at),
        }


class MessageRoutes:
    """The messages of a conversation."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/conversation/message/create", ["POST"], self._create),
            RouteEntry("/v1/conversation/message/list", ["POST"], self._list),
            RouteEntry("/v1/conversation/message/retrieve", ["GET"], self._retrieve),
            RouteEntry("/v1/conversation/message/modify", ["POST"], self._modify),
            RouteEntry("/v1/conversation/message/delete", ["POST"], self._delete),
            RouteEntry(
                "/v1/conversations/{conversation_id}/messages/{message_id}/feedback",
                ["POST", "DELETE"],
                self._feedback,
            ),
        ]

    async def _feedback(self, call: Call) -> Response:
        """Take a like, or take it back; nothing is made of it."""
        _find(_conversation(self._site, call), call)
        return ok({}, call)

    async def _create(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        body = call.json_object
        entry = _read_message(body)
        meta_data = read_meta_data(body.get("meta_data"))
        turn = SavedTurn([entry], section_id=conversation.section_id)
        turn.marks[0].meta_data = meta_data
        conversation.turns.append(turn)
        return ok(_Stored(turn, 0).as_json(conversation.id), call)

    async def _list(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        body = call.body if isinstance(call.body, dict) else {}
        order = body.get("order") or "desc"
        if order not in {"asc", "desc"}:
            raise Problem(4000, f"order: {order!r} is not asc or desc")
        found = list(_stored(conversation))
        if chat_id := body.get("chat_id"):
            # The question is missing then, as users of the API report (wire 5.2).
            found = [m for m in found if m.turn.chat_id == chat_id and m.entry.type != "question"]
        if order == "desc":
            found.reverse()
        shown, has_more = _part(found, body)
        ids = [message.mark.id for message in shown] or ["0"]
        reply = {
            "code": 0,
            "data": [message.as_json(conversation.id) for message in shown],
            "first_id": ids[0],
            "has_more": has_more,
            "last_id": ids[-1],
            "msg": "",
            **call.profile.detail(call.logid),
        }
        return as_json(reply)

    async def _retrieve(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        return ok(_find(conversation, call).as_json(conversation.id), call)

    async def _modify(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        message, body = _find(conversation, call), call.json_object
        if not any(body.get(name) for name in ("content", "content_type", "meta_data")):
            raise Problem(4000, "one of content, content_type and meta_data is required")
        old = message.entry
        changed = _read_message(
            {
                "role": old.role,
                "type": old.type,
                "content": body.get("content") or old.content,
                "content_type": body.get("content_type") or old.content_type,
            }
        )
        if body.get("meta_data"):
            message.mark.meta_data = read_meta_data(body["meta_data"])
        message.turn.entries[message.position] = replace(
            old, content=changed.content, content_type=changed.content_type, items=changed.items
        )
        message.mark.updated_at = int(time.time())
        shown = message.as_json(conversation.id)
        return as_json({"code": 0, "message": shown, "msg": "", "detail": {"logid": call.logid}})

    async def _delete(self, call: Call) -> Response:
        conversation = _conversation(self._site, call)
        message = _find(conversation, call)
        shown = message.as_json(conversation.id)
        if message.turn.chat_id:
            with contextlib.suppress(Problem):  # it may belong to a chat that is not kept
                run = self._site.store.chat(conversation.id, message.turn.chat_id, call.owner)
                with_it = _MIDDLE if message.entry.type == "answer" else frozenset()
                run.forget(message.mark.id, with_it)
        del message.turn.marks[message.position], message.turn.entries[message.position]
        return ok(shown, call)


def _name(value: Any) -> str:
    name = value or ""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise Problem(4000, f"name must be a string of at most {_LONGEST_NAME} characters")
    return name


def _conversation(site: Site, call: Call) -> Conversation:
    return site.store.conversation(call.required("conversation_id"), call.owner)


def _read_message(body: Mapping[str, Any]) -> EnterMessage:
    try:
        return read_messages([body, _NEIGHBOUR], saved=True)[0]
    except Problem as problem:
        told = problem.message.replace("additional_messages[0].", "")
        raise Problem(problem.code, told) from None


def _stored(conversation: Conversation) -> Iterator[_Stored]:
    """Questions and answers, oldest first: no tool calls and other steps of a chat."""
    for turn in conversation.turns:
        for position, entry in enumerate(turn.entries):
            if entry.type in _LISTED:
                yield _Stored(turn, position)


def _find(conversation: Conversation, call: Call) -> _Stored:
    message_id = call.required("message_id")
    for message in _stored(conversation):
        if message.mark.id == message_id:
            return message
    raise Problem(4005, f"message_id {message_id!r} does not exist in this conversation")


def _part(found: Sequence[_Stored], body: Mapping[str, Any]) -> tuple[Sequence[_Stored], bool]:
    """The messages of the page that a request asks for, and whether there are more."""
    limit = body.get("limit") or _LARGEST_PAGE
    if not isinstance(limit, int) or not 1 <= limit <= _LARGEST_PAGE:
        raise Problem(4000, f"limit must be a whole number from 1 to {_LARGEST_PAGE}")
    before, after = body.get("before_id"), body.get("after_id")
    start = 0 if after in _START else _place(found, after, "after_id") + 1
    if before in _START:
        return found[start : start + limit], len(found) > start + limit
    end = _place(found, before, "before_id")
    return found[max(start, end - limit) : end], end - limit > start


def _place(found: Sequence[_Stored], message_id: Any, name: str) -> int:
    for place, message in enumerate(found):
        if message.mark.id == message_id:
            return place
    raise Problem(4005, f"{name} {message_id!r} is not in this list")
