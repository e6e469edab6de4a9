"""Conversations and their messages as Studio writes them (wire 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTED_FIELDS = (
    *("id", "bot_id", "role", "content", "conversation_id", "meta_data", "created_at"),
    *("updated_at", "chat_id", "content_type", "type", "section_id", "reasoning_content"),
)


def build_conversation_reply(data: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the reply of a route of conversations.

    Args:
        data: The payload as the cloud sends it.
        path: The path of the request.
    """
    end: dict[str, Any] = {"code": 0, "msg": ""}
    if path == "/v1/conversation/create":
        return end | {"data": _build_conversation(data) | {"user_id": ""}}
    if path == "/v1/conversation/retrieve":
        creator, name = {"creator_d": data["creator_id"]}, {"name": data["name"]}
        fields = _build_conversation(data)
        start = {key: fields.pop(key) for key in ("id", "created_at", "meta_data")}
        return {"ConversationData": start | creator | fields | name} | end | {"BaseResp": None}
    if "conversations" in data:
        items = [
            _build_conversation(item) | {"name": item["name"]} for item in data["conversations"]
        ]
        data = {**data, "conversations": items}
    elif "last_section_id" in data:
        data = _build_conversation(data) | {"name": data["name"]}
    return end | {"data": dict(data), "BaseResp": None}


def build_listed_message(
    message: Mapping[str, Any], reasoning: str, *, of_chatflow: bool
) -> dict[str, Any]:
    """Return a message of a conversation's list.

    Args:
        message: The message as the cloud lists it.
        reasoning: The reasoning before an answer.
        of_chatflow: Whether it belongs to a chatflow, whose messages have no `meta_data`.
    """
    changed = {
        "meta_data": None if of_chatflow else message["meta_data"],
        "updated_at": int(message["updated_at"]),
        "reasoning_content": reasoning,
    }
    fields = {**message, **changed}
    return {name: fields[name] for name in _LISTED_FIELDS}


def _build_conversation(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": fields["id"],
        "created_at": fields["created_at"],
        "meta_data": fields["meta_data"] or None,
        "connector_id": fields["connector_id"],
        "last_section_id": fields["last_section_id"],
    }
