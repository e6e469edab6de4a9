"""The calls of conversations as flows (wire sections 5.1 and 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from langchain_coze._api.accounts import fetch_pages
from langchain_coze._api.effects import Flow, Request
from langchain_coze._api.models import get_payload
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry

_MAX_LIMIT = 50
_MAX_PAGES = 1000


def create_conversation(body: Mapping[str, Any], policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Create a conversation and return it; `body` has `bot_id`, `name` and `messages`, if any."""
    request = Request(method="POST", path="/v1/conversation/create", body=body)
    return fetch_object(request, policy)


def list_conversations(bot_id: str, policy: RetryPolicy) -> Flow[list[Mapping[str, Any]]]:
    """Return the conversations of a bot, newest first."""
    query = {"bot_id": bot_id, "sort_order": "DESC"}
    return fetch_pages("/v1/conversations", query, policy, list_key="conversations")


def rename_conversation(
    conversation_id: str, name: str, policy: RetryPolicy
) -> Flow[Mapping[str, Any]]:
    """Rename a conversation and return it."""
    request = Request(method="PUT", path=_get_path(conversation_id), body={"name": name})
    return fetch_object(request, policy)


def clear_conversation(conversation_id: str, policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Start a new section: earlier messages stay, but the model no longer sees them."""
    request = Request(method="POST", path=f"{_get_path(conversation_id)}/clear", body={})
    return fetch_object(request, policy)


def delete_conversation(conversation_id: str, policy: RetryPolicy) -> Flow[None]:
    """Delete a conversation."""
    yield from send_with_retry(Request(method="DELETE", path=_get_path(conversation_id)), policy)


def list_messages(conversation_id: str, policy: RetryPolicy) -> Flow[list[Mapping[str, Any]]]:
    """Return the questions and answers of a conversation, oldest first."""
    by_id: dict[str, Mapping[str, Any]] = {}
    after_id = ""
    for _ in range(_MAX_PAGES):
        body = {"order": "desc", "limit": _MAX_LIMIT}
        request = Request(
            method="POST",
            path="/v1/conversation/message/list",
            query={"conversation_id": conversation_id},
            body=body | ({"after_id": after_id} if after_id else {}),
        )
        reply = yield from send_with_retry(request, policy)
        page = get_payload(reply.json)
        count = len(by_id)
        for item in page if isinstance(page, list) else []:
            if isinstance(item, Mapping) and item.get("id"):
                by_id.setdefault(str(item["id"]), item)
        after_id = str(reply.json.get("last_id") or "")
        if len(by_id) == count or not reply.json.get("has_more") or not after_id:
            break
    return list(by_id.values())[::-1]


def send_message_feedback(
    conversation_id: str, message_id: str, body: Mapping[str, Any], policy: RetryPolicy
) -> Flow[None]:
    """Rate an answer; a later rating replaces an earlier one."""
    path = f"{_get_path(conversation_id)}/messages/{quote(message_id, safe='')}/feedback"
    yield from send_with_retry(Request(method="POST", path=path, body=body), policy)


def _get_path(conversation_id: str) -> str:
    return f"/v1/conversations/{quote(conversation_id, safe='')}"
