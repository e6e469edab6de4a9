"""The chat calls of the Coze API as flows; see `langchain_coze._api.effects`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_coze._api.effects import Flow, Request
from langchain_coze._api.models import Chat, CozeMessage, get_payload
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry


def build_chat_request(body: Mapping[str, Any], conversation_id: str | None = None) -> Request:
    """Return the request that starts a turn; the conversation goes into the query (wire 2.1).

    Some servers stream although the body requests JSON, so a polled turn accepts both.
    """
    query = {"conversation_id": conversation_id} if conversation_id else {}
    stream = True if body.get("stream") else None
    return Request(method="POST", path="/v3/chat", query=query, body=body, stream=stream)


def build_chatflow_request(body: Mapping[str, Any], conversation_id: str | None = None) -> Request:
    """Return the request that runs a chatflow; the conversation goes into the body (wire 4.6)."""
    if conversation_id:
        body = {**body, "conversation_id": conversation_id}
    return Request(method="POST", path="/v1/workflows/chat", body=body, stream=True)


def build_submit_request(chat: Chat, outputs: Mapping[str, str], *, stream: bool) -> Request:
    """Return the request that submits the results of a bot's tool calls, by id (wire 2.6)."""
    tool_outputs = [{"tool_call_id": id_, "output": output} for id_, output in outputs.items()]
    return Request(
        method="POST",
        path="/v3/chat/submit_tool_outputs",
        query=_to_id_pair(chat),
        body={"tool_outputs": tool_outputs, "stream": stream},
        stream=stream or None,
    )


def build_retrieve_request(chat: Chat) -> Request:
    """Return the request for the state of a turn: GET, because Studio has no POST (wire 2.8)."""
    return Request(method="GET", path="/v3/chat/retrieve", query=_to_id_pair(chat))


def build_message_list_request(chat: Chat) -> Request:
    """Return the request for the messages of a turn (wire section 2.8)."""
    return Request(method="GET", path="/v3/chat/message/list", query=_to_id_pair(chat))


def _to_id_pair(chat: Chat) -> dict[str, str]:
    return {"conversation_id": chat.conversation_id, "chat_id": chat.id}


def cancel_chat(chat: Chat, policy: RetryPolicy) -> Flow[Chat]:
    """Cancel a turn, which does not stop billing, and return its state (wire section 2.8)."""
    request = Request(method="POST", path="/v3/chat/cancel", body=_to_id_pair(chat))
    return Chat.model_validate((yield from fetch_object(request, policy)))


def create_conversation(bot_id: str, policy: RetryPolicy) -> Flow[str]:
    """Create a conversation of a bot and return its id (wire section 5.1)."""
    request = Request(method="POST", path="/v1/conversation/create", body={"bot_id": bot_id})
    return str((yield from fetch_object(request, policy)).get("id") or "")


def find_newest_chat(conversation_id: str, policy: RetryPolicy) -> Flow[str]:
    """Return the chat id of the newest message in a conversation (wire section 5.2).

    The id is empty if there is no message, or if the newest one was created without a chat.
    """
    request = Request(
        method="POST",
        path="/v1/conversation/message/list",
        query={"conversation_id": conversation_id},
        body={"order": "desc", "limit": 1},
    )
    messages = get_payload((yield from send_with_retry(request, policy)).json)
    newest = messages[0] if isinstance(messages, list) and messages else None
    return CozeMessage.model_validate(newest).chat_id if isinstance(newest, Mapping) else ""
