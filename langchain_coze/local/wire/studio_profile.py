"""Replies and events of chats of a self-hosted Coze Studio (wire 8, appendix B `studio`).

What the reference does not contain, such as most error codes, is as in the hosted service.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import (
    ChatInfo,
    CloudChatflowProfile,
    CloudProfile,
    MessageIds,
    build_chunk,
    build_debug_url,
    build_usage,
)
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import EventEncoder, SseEvent
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.wire.recall import RecallMessage

_STATUSES = {"canceled": "cancelled", "requires_action": "required_action"}
_BAD_REQUESTS = frozenset({4000, 4003, 4004, 4005, 4006})
# One code of each range: the reference names the ranges only.
_CODES = {4002: 103100001, 4015: 103200002, 4016: 103200002, 4200: 103200002}
_RUN_FAILED = 103200002
_AUTHENTICATION = 700012006
_IGNORED_FIELDS = ("auto_save_history", "meta_data", "publish_status", "bot_version", "enable_card")
_ROUTES: Mapping[str, frozenset[str]] = {
    "/v3/chat": frozenset({"POST"}),
    "/v3/chat/cancel": frozenset({"POST"}),
    "/v3/chat/retrieve": frozenset({"GET"}),
    "/v3/chat/message/list": frozenset({"GET"}),
    "/v1/conversation/create": frozenset({"POST"}),
    "/v1/conversation/retrieve": frozenset({"GET"}),
    "/v1/conversation/message/list": frozenset({"POST"}),
    "/v1/conversations": frozenset({"GET"}),
    "/v1/conversations/{conversation_id}": frozenset({"PUT", "DELETE"}),
    "/v1/conversations/{conversation_id}/clear": frozenset({"POST"}),
    "/v1/workflow/run": frozenset({"POST"}),
    "/v1/workflow/stream_run": frozenset({"POST"}),
    "/v1/workflow/stream_resume": frozenset({"POST"}),
    "/v1/workflow/get_run_history": frozenset({"GET"}),
    "/v1/workflows/chat": frozenset({"POST"}),
    "/v1/workflows/{workflow_id}": frozenset({"GET"}),
    "/v1/bot/get_online_info": frozenset({"GET"}),
    "/v1/bots/{bot_id}": frozenset({"GET"}),
    "/v1/files/upload": frozenset({"POST"}),
}


class StudioProfile(CloudProfile):
    """Coze Studio."""

    name = "studio"
    logid_header = "X-Log-ID"
    recall_message_type = "knowledge"
    has_client_tools = False
    lists_questions = True
    status_after_question = "completed"
    question_calls = ()
    extra_reply_fields: Mapping[str, None] = {"BaseResp": None}
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
    }

    @property
    def chatflow_profile(self) -> StudioChatflowProfile:
        """The profile of chatflows of the same installation."""
        return StudioChatflowProfile()

    # Requests and replies ---------------------------------------------------------------------

    def filter_methods(self, path: str, methods: list[str]) -> list[str]:
        """Return the methods that a path has here; none when the path does not exist."""
        return [verb for verb in methods if verb in _ROUTES.get(path, ())]

    def create_logid(self) -> str:
        """Return a log id: a UUID."""
        return str(uuid.uuid4())

    def normalize_chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a chat as Studio reads it.

        Raises:
            ApiError: 4000, a role is not allowed, or an id is no number.
        """
        normalized = {name: value for name, value in body.items() if name not in _IGNORED_FIELDS}
        _check_number("bot_id", normalized.get("bot_id"))
        # Studio streams, unless the value is exactly false.
        normalized["stream"] = normalized.get("stream") is not False
        messages = normalized.get("additional_messages")
        if isinstance(messages, list):
            normalized["additional_messages"] = [
                _normalize_message(message) for message in messages
            ]
        return normalized

    def check_id(self, name: str, value: str) -> None:
        """Check that an id is a number.

        Raises:
            ApiError: 4000.
        """
        _check_number(name, value)

    def build_envelope(self, data: Any, path: str, logid: str) -> dict[str, Any]:  # noqa: ARG002 - the cloud needs it
        """Return a reply with its payload; three routes have other keys."""
        if path == "/v3/chat/cancel":
            return {"ChatV3ChatDetail": data, "BaseResp": None}
        end = {"code": 0, "msg": "", "BaseResp": None}
        if path == "/v3/chat/message/list":
            return {"Messages": data} | end
        if path == "/v1/conversation/retrieve":
            fields = {("creator_d" if k == "creator_id" else k): v for k, v in data.items()}
            return {"ConversationData": fields} | end
        if path == "/v1/files/upload":
            fields = dict(data)
            fields["CreatedAt"] = fields.pop("created_at")
            data = {"uri": f"local/{data['id']}", "url": ""} | fields
        return {"data": data} | end

    def build_detail(self, logid: str) -> dict[str, Any]:  # noqa: ARG002 - only in a header
        """Return nothing."""
        return {}

    def build_error(
        self, error: ApiError, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body of an error (wire 1.5)."""
        del logid, real_status
        if error.code in {4100, _AUTHENTICATION}:
            return 200, {
                "code": _AUTHENTICATION,
                "msg": f"authentication failed: {error.message}",
            }
        if error.code in _BAD_REQUESTS:
            return 400, {"code": 400, "msg": error.message}
        if error.code == 5000 or (path, error.code) == ("/v3/chat/retrieve", 4001):  # noqa: PLR2004 - Coze's codes
            return 500, {"code": 500, "msg": "internal server error"}
        return 200, {"code": _CODES.get(error.code, error.code), "msg": error.message}

    def build_no_route_body(self, method: str, path: str, logid: str) -> str:  # noqa: ARG002 - the cloud needs it
        """Return the reply of Studio's web framework to an unknown path: plain text."""
        return "404 page not found"

    # Streams ----------------------------------------------------------------------------------

    def build_done_event(self, ids: MessageIds) -> SseEvent:  # noqa: ARG002 - the cloud needs it
        """Return the last event of a stream; its data is empty."""
        return SseEvent("conversation.stream.done", "")

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object as `retrieve` does."""
        chat = self._build_streamed_chat(info, status)
        if status == "failed":
            chat["last_error"] = dict(info.last_error)
        if status == "completed":
            chat["usage"] = build_usage(*info.usage)
        return chat

    def build_chat_event(self, info: ChatInfo, status: str) -> SseEvent:
        """Return the event of a status; it has no usage."""
        chat = self._build_streamed_chat(info, status)
        return SseEvent(f"conversation.chat.{status}", go_json.dumps(chat))

    def _build_streamed_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        return {
            "id": info.ids.chat_id,
            "conversation_id": info.ids.conversation_id,
            "bot_id": info.ids.bot_id,
            "created_at": info.created_at,
            "completed_at": info.ended_at if status == "completed" else 0,
            "failed_at": info.ended_at if status == "failed" else 0,
            "status": _STATUSES.get(status, status),
            "section_id": info.ids.section_id,
        }

    def build_failure_events(self, info: ChatInfo, *, expected: bool) -> list[SseEvent]:
        """Return an error event; after an error of the model the stream still ends normally."""
        if not expected:
            return [_build_error_event(_RUN_FAILED, info.last_error["msg"])]
        error = _build_error_event(info.last_error["code"], info.last_error["msg"])
        return [error, self.build_chat_event(info, "completed"), self.build_done_event(info.ids)]

    def build_message(
        self, ids: MessageIds, message_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a message object; it contains internals that no client should rely on."""
        state = {"bot_id": ids.bot_id, "agent_name": "", "agent_id": "0", "awaiting": ids.bot_id}
        return {
            "id": message_id,
            "conversation_id": ids.conversation_id,
            "bot_id": ids.bot_id,
            "role": fields.get("role", "assistant"),
            "type": fields["type"],
            "content": fields["content"],
            "content_type": fields.get("content_type", "text"),
            "meta_data": {"bot_state": go_json.dumps(state), "time_cost": "0.1", "token": "0"},
            "chat_id": ids.chat_id,
            "created_at": fields.get("created_at", 0),
            "reasoning_content": fields.get("reasoning_content", ""),
        }

    def build_verbose_content(self, msg_type: str, data: str) -> str:
        """Return the content of a `verbose` message."""
        content = {"msg_type": msg_type, "data": data, "from_module": None, "from_unit": ""}
        return go_json.dumps(content)

    def build_finish_content(self, reason: int = 0) -> str:
        """Return the content of the message after all answers."""
        data = go_json.dumps({"finish_reason": reason, "fin_data": ""})
        return self.build_verbose_content("generate_answer_finish", data)

    def build_question_contents(self) -> list[str]:
        """Return the contents of the messages after a question to the user."""
        return [self.build_finish_content(reason=1)]

    def build_recall_content(
        self,
        recall: RecallMessage,
        query: str,  # noqa: ARG002 - not in Studio's recalls
        ids: MessageIds,  # noqa: ARG002 - not in Studio's recalls
        user_id: str,  # noqa: ARG002 - not in Studio's recalls
    ) -> str:
        """Return the content of a `knowledge` message; without results `chunks` is null."""
        chunks = [_blank_unused_fields(build_chunk(chunk)) for chunk in recall.chunks]
        payload = {"chunks": chunks or None, "ori_req": "", "status_code": 0}
        return go_json.dumps({"msg_type": "knowledge_recall", "data": go_json.dumps(payload)})

    def build_function_call(
        self, name: str, arguments: Mapping[str, Any], ids: tuple[str, str]
    ) -> str:
        """Return the content of a `function_call` message: the call of Studio's own framework."""
        function = {"name": name, "arguments": go_json.dumps(arguments)}
        return go_json.dumps({"id": f"call_{ids[1]}", "type": "function", "function": function})

    def build_tool_response(self, output: Any) -> str:
        """Return the content of a `tool_response` message: the tool's output."""
        return output if isinstance(output, str) else go_json.dumps(output)


class StudioChatflowProfile(CloudChatflowProfile):
    """Chatflows of Coze Studio: with id lines from 1, and answers only."""

    question_calls = ()
    streams_only_answers = True
    creates_named_conversations = True

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: with event ids and spaces."""
        number = 0

        def encode(event: SseEvent) -> bytes:
            nonlocal number
            number += 1
            text = f"id: {number}\nevent: {event.name}\ndata: {event.data}\n\n"
            return text.encode("utf-8", "replace")

        return encode

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object; the sum of its tokens is wrong, as in Studio."""
        chat: dict[str, Any] = {
            "id": info.ids.chat_id,
            "conversation_id": info.ids.conversation_id,
        }
        if status == "completed":
            chat["bot_id"] = info.ids.parent_id or "0"
        chat["status"] = status
        if status == "completed":
            count, output = info.usage
            chat["usage"] = build_usage(count, output) | {"token_count": output + output}
        return chat | {"execute_id": derive_id("execute", info.ids.chat_id), "section_id": ""}

    def build_failure_events(self, info: ChatInfo, *, expected: bool) -> list[SseEvent]:  # noqa: ARG002 - all look the same
        """Return the events that end a failed turn."""
        error = {"code": str(info.last_error["code"]), "msg": info.last_error["msg"]}
        return [SseEvent("error", go_json.dumps(error | {"debug_url": build_debug_url(info.ids)}))]

    def build_refusal_event(self, code: int, msg: str) -> SseEvent:
        """Return the only event of a request that cannot be run."""
        return SseEvent("error", go_json.dumps({"code": str(code), "msg": msg}))

    def build_message(
        self, ids: MessageIds, message_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a message object."""
        return {
            "id": message_id,
            "chat_id": ids.chat_id,
            "conversation_id": ids.conversation_id,
            "bot_id": ids.parent_id or "0",
            "role": "assistant",
            "type": fields["type"],
            "content": fields["content"],
            "content_type": fields.get("content_type", "text"),
            "section_id": "",
        }

    def build_finish_content(self, reason: int = 0) -> str:  # noqa: ARG002 - the base class needs it
        """Return nothing: Studio's chatflows have no message after all answers."""
        return ""

    def build_question_contents(self) -> list[str]:
        """Return nothing, as above."""
        return []


def _build_error_event(code: int, msg: str) -> SseEvent:
    return SseEvent("error", go_json.dumps({"code": code, "msg": msg}))


def _check_number(name: str, value: Any) -> None:
    if not (isinstance(value, str) and value.isdecimal()):
        raise ApiError(4000, f"{name} must be a number in a string, not {value!r}")


def _normalize_message(message: Any) -> Any:
    """Return a message as Studio stores it: without a type it is a question of the user."""
    if not isinstance(message, dict):
        return message
    if message.get("role") not in {"user", "assistant"}:
        raise ApiError(4000, "additional message role only support user and assistant")
    if message.get("type"):
        return message
    return message | {"role": "user", "type": "question"}


def _blank_unused_fields(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return a passage without the fields that Studio never fills in."""
    chunk["meta"]["document"] |= {"format_type": 0, "source_type": 0}
    empty = {"link": {"title": "", "url": ""}, "card": {"title": "", "con": "", "index": ""}}
    return chunk | {"meta": chunk["meta"] | empty}
