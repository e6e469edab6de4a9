"""Replies and events of chats of self-hosted Coze Studio (wire 8, appendix B `studio`).

The formats come from the recordings in `tests/recordings/studio`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import (
    ChatInfo,
    CloudProfile,
    MessageIds,
    build_error_event,
    build_usage,
)
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.ids import derive_id, get_time
from langchain_coze.local.wire.recall import build_chunk
from langchain_coze.local.wire.studio_chatflows import (
    StudioChatflowProfile,
    build_question_message,
    build_studio_chat,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.wire.recall import RecallMessage
    from langchain_coze.local.wire.requests import EnterMessage

_CANNOT_BEGIN, _STEP_FAILED = 103100001, 103200002
_AUTHENTICATION = 700012006
_NOT_PUBLISHED = "invalid parameter : agent not published, agentID={} connectorID=1024"
# Studio adds its stack trace to many messages.
_STACK = (
    "\nstack=backend/pkg/errorx/internal/status.go:140 NewByCode\n"
    "backend/application/conversation/openapi_agent_run.go:664 (*OpenapiAgentRunApplication)"
)
# Errors of chat requests without streaming, by the code of the hosted service.
_CHAT_ERRORS = frozenset({400, 4000, 4002, 4003, 4004, 4005, 4006, 4007, 4015, 4200})
_BAD_REQUESTS = frozenset({400, 4000, 4003, 4004, 4005})
_AGENT_ERRORS = frozenset({4006, 4015, 4200})
_REPLIES: Mapping[tuple[int, str], tuple[int, dict[str, Any] | str]] = {
    (4001, "/v3/chat/retrieve"): (500, "record not found"),
    (4001, "/v3/chat/cancel"): (400, {"code": 400, "msg": "record not found"}),
    (4001, "/v3/chat/message/list"): (200, {"code": 0, "msg": "", "BaseResp": None}),
    (4104, "/v3/chat/cancel"): (
        400,
        {"code": 400, "msg": f"code=103200005 message=in progress can not be cancelled{_STACK}"},
    ),
}
_BOT_FIELDS = (
    *("bot_id", "name", "description", "icon_url", "create_time", "update_time", "version"),
    *("prompt_info", "bot_mode", "plugin_info_list", "workflow_info_list"),
)
_EMPTY_BOT_FIELDS = (
    *("shortcut_commands", "suggest_reply_info", "background_image_info", "variables"),
)
_CONVERSATION_FIELDS = ("id", "created_at", "meta_data", "connector_id", "last_section_id")
_LISTED_FIELDS = (
    *("id", "bot_id", "role", "content", "conversation_id", "meta_data", "created_at"),
    *("updated_at", "chat_id", "content_type", "type", "section_id", "reasoning_content"),
)
_IGNORED_FIELDS = ("auto_save_history", "meta_data", "publish_status", "bot_version", "enable_card")


class StudioProfile(CloudProfile):
    """Coze Studio."""

    name = "studio"
    is_studio = True
    logid_header = "X-Log-ID"
    recall_message_type = "knowledge"
    has_client_tools = False
    follow_ups_first = True
    lists_questions = True
    status_after_question = "completed"
    question_calls = ()
    message_fields = (
        *("id", "conversation_id", "bot_id", "role", "type", "content", "content_type"),
        *("meta_data", "chat_id", "section_id", "created_at", "reasoning_content"),
    )
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
    }

    @property
    @override
    def chatflow_profile(self) -> StudioChatflowProfile:
        return StudioChatflowProfile(self.base_url)

    # Requests and replies ---------------------------------------------------------------------

    @override
    def create_logid(self) -> str:
        return str(uuid.uuid4())

    @override
    def normalize_chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        normalized = {name: value for name, value in body.items() if name not in _IGNORED_FIELDS}
        for name in ("bot_id", "user_id"):
            if not normalized.get(name):
                text = "but the request body does not have this parameter"
                raise ApiError(400, f"'{name}' field is a 'required' parameter, {text} '{name}'")
        _check_number(normalized["bot_id"])
        # Studio streams, unless the value is exactly false.
        normalized["stream"] = normalized.get("stream") is not False
        messages = normalized.get("additional_messages")
        if isinstance(messages, list):
            normalized["additional_messages"] = [_normalize_message(m) for m in messages]
        return normalized

    @override
    def check_conversation_id(self, query: Mapping[str, str]) -> None:
        if "conversation_id" in query:
            _check_number(query["conversation_id"])

    @override
    def build_envelope(self, data: Any, path: str, logid: str) -> dict[str, Any]:
        end: dict[str, Any] = {"code": 0, "msg": "", "BaseResp": None}
        if path.startswith("/v1/conversation"):
            return _build_conversation_reply(data, path)
        if path == "/v3/chat/cancel":
            return {"ChatV3ChatDetail": data, "BaseResp": None}
        if path == "/v3/chat/message/list":
            return {"Messages": data} | end
        if path == "/v1/bot/get_online_info":
            return dict(data)
        if path == "/v1/files/upload":
            uri = f"bot_files/{derive_id('file', data['id'])}/{data['file_name']}"
            url = f"{self.base_url}/opencoze/{uri}?X-Amz-Expires=604800&X-Amz-Signature=0"
            start = {"uri": uri, "bytes": data["bytes"], "CreatedAt": data["created_at"]}
            data = start | {"file_name": data["file_name"], "url": url, "id": data["id"]}
        if path == "/v1/datasets":
            end["msg"] = "success"
        return {"data": data} | end

    @override
    def build_bot(self, fields: dict[str, Any]) -> dict[str, Any]:
        kept = {name: fields[name] for name in _BOT_FIELDS}
        memory = {"context_mode": 0, "history_round": 3}
        model = {"model_id": "0", "temperature": 0.8, "max_tokens": 4096, "top_p": 0.7}
        model |= {"short_memory_policy": memory, "response_format": 0}
        kept |= {"onboarding_info": {}, "model_info": model, "default_user_input_type": ""}
        return kept | dict.fromkeys(_EMPTY_BOT_FIELDS)

    @override
    def build_detail(self, logid: str) -> dict[str, Any]:
        return {}  # the log id is only in a header

    @override
    def create_token_error(self, path: str, authorization: str) -> ApiError:
        reason = "CheckPermission failed" if authorization else "missing authorization in header"
        return ApiError(_AUTHENTICATION, f"authentication failed: {reason}")

    @override
    def build_error(
        self, error: ApiError, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any] | str]:
        if (error.code, path) in _REPLIES:
            return _REPLIES[error.code, path]
        status, code, msg = 200, error.code, error.message
        if path == "/v3/chat" and code in _CHAT_ERRORS:
            status, code, msg = 400, 400, _describe_refusal(error)
        elif path.startswith("/v1/bot") and code in _AGENT_ERRORS:
            code, msg = 100000000, _NOT_PUBLISHED.format(error.resource_id)
        elif code == 4002:  # noqa: PLR2004 - Coze's codes, also below
            code, msg = 103000002, "conversation not found"
            if error.of_other_user:
                code, msg = 103000001, "unauthorized access : permission denied"
        elif path.startswith("/v1/workflow"):
            pass  # unchanged
        elif code == 5000:  # noqa: PLR2004 - as above
            status, code, msg = 500, 500, "internal server error"
        elif code in _BAD_REQUESTS:
            status, code = 400, 400
        return status, {"code": code, "msg": msg}

    @override
    def build_no_route(self, method: str, path: str, *, wrong_verb: bool) -> tuple[int, Any]:
        if wrong_verb:
            return 404, {"code": 404, "msg": "not found"}
        return 401, {"code": 401, "msg": "missing session_key in cookie"}

    # Chats ------------------------------------------------------------------------------------

    @override
    def build_done_event(self, ids: MessageIds) -> SseEvent:
        return SseEvent("conversation.stream.done", "")

    @override
    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        return build_studio_chat(info, "in_progress" if status == "created" else status)

    @override
    def build_retrieved_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        if status == "canceled":
            return self.build_cancelled_chat(info)
        chat = self.build_chat(info, status)
        section = chat.pop("section_id")
        if status == "completed" and any(info.usage):
            chat["usage"] = build_usage(*info.usage)
        return chat | {"section_id": section}

    @override
    def build_cancelled_chat(self, info: ChatInfo) -> dict[str, Any]:
        """Return the chat object of a cancelled chat that has not ended yet."""
        return self.build_chat(info, "canceled") | {"status": "conversation.chat.cancelled"}

    @override
    def build_start_reply(self, info: ChatInfo) -> dict[str, Any]:
        return self.build_envelope(self.build_chat(info, "in_progress"), "/v3/chat", "")

    @override
    def get_failed_status(self, code: int) -> str:
        """Return the status of a failed chat: Studio hides most failures."""
        return "failed" if code == _CANNOT_BEGIN else "completed"

    @override
    def build_failure_events(self, info: ChatInfo) -> list[SseEvent]:
        """Return an error event, followed by the usual end of a stream if the turn had started."""
        code, msg = info.last_error["code"], info.last_error["msg"]
        if code == _CANNOT_BEGIN:
            return [build_error_event(code, msg)]
        completed = self.build_chat_event(info, "completed")
        return [build_error_event(_STEP_FAILED, msg), completed, self.build_done_event(info.ids)]

    @override
    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        if error.code == 400:  # noqa: PLR2004 - an invalid body
            return []
        return [build_error_event(_CANNOT_BEGIN, _describe_refusal(error))]

    # Messages ---------------------------------------------------------------------------------

    @override
    def build_message(
        self,
        ids: MessageIds,
        message_id: str,
        fields: Mapping[str, Any],
        meta_data: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return a message object; a user's question has no `meta_data`.

        A workflow's questions have neither a time nor `reasoning_content`.
        """
        times: dict[str, Any] = {"created_at": 0}
        if not fields.get("is_question"):
            times["created_at"] = fields.get("created_at") or get_time()
            times["reasoning_content"] = fields.get("reasoning_content", "")
        state = {"bot_id": ids.bot_id, "agent_name": "", "agent_id": ids.bot_id}
        pairs = {"bot_state": go_json.dumps(state | {"awaiting": ids.bot_id}), **(meta_data or {})}
        message = super().build_message(
            ids, message_id, {**fields, **times}, dict(sorted(pairs.items()))
        )
        if message["role"] == "user":
            del message["meta_data"]
        return message

    @override
    def build_verbose_content(self, msg_type: str, data: str) -> str:
        return go_json.dumps({"msg_type": msg_type, "data": data, "from_unit": ""})

    @override
    def build_finish_content(self, reason: int = 0) -> str:
        """Return the content of the message after all answers; a question is a normal end, too."""
        data = go_json.dumps({"finish_reason": 0, "fin_data": ""})
        return self.build_verbose_content("generate_answer_finish", data)

    @override
    def build_card(self, question: str, options: Sequence[str]) -> str:
        return go_json.dumps(build_question_message(question, options)) if options else ""

    @override
    def build_question(self, entry: EnterMessage) -> dict[str, Any]:
        """Return the fields of a user message in a list; files are omitted."""
        content_type = "mix" if entry.items else entry.content_type
        return {"content": entry.text, "content_type": content_type}

    @override
    def build_stored_message(
        self, message: Mapping[str, Any], reasoning: str, *, of_chatflow: bool
    ) -> dict[str, Any]:
        fields = {
            **message,
            "meta_data": None if of_chatflow else message["meta_data"],
            "updated_at": int(message["updated_at"]),
            "reasoning_content": reasoning,
        }
        return {name: fields[name] for name in _LISTED_FIELDS}

    @override
    def build_recall_content(
        self, recall: RecallMessage, query: str, ids: MessageIds, user_id: str
    ) -> str:
        """Return the content of a `knowledge` message; if empty, none is sent."""
        if not recall.chunks and not recall.status_code:
            return ""
        chunks = [build_chunk(chunk) for chunk in recall.chunks]
        for chunk in chunks:  # Studio never fills these in
            chunk["meta"]["dataset"]["name"] = ""
            chunk["meta"]["document"] |= {"format_type": 0, "source_type": 0}
            chunk["meta"]["link"] = {"title": "", "url": ""}
            chunk["meta"]["card"] = {"title": "", "con": "", "index": ""}
        # Go writes an empty slice as null.
        payload = {"chunks": chunks or None, "ori_req": "", "status_code": recall.status_code}
        return go_json.dumps({"msg_type": "knowledge_recall", "data": go_json.dumps(payload)})

    @override
    def build_function_call(
        self, name: str, arguments: Mapping[str, Any], ids: tuple[str, str]
    ) -> str:
        """Return the content of a `function_call` message in the format of Studio's framework."""
        function = {"name": name, "arguments": go_json.dumps(arguments)}
        call = {"index": 0, "id": f"call_{ids[1]}", "type": "function", "function": function}
        return go_json.dumps(call)

    @override
    def build_tool_response(self, output: Any) -> str:
        return output if isinstance(output, str) else go_json.dumps(output)


def _describe_refusal(error: ApiError) -> str:
    if error.code in _AGENT_ERRORS:
        return f"code=100000000 message={_NOT_PUBLISHED.format(error.resource_id)}{_STACK}"
    return error.message


def _check_number(value: Any) -> None:
    if not (isinstance(value, str) and value.isdecimal()):
        text = f'strconv.ParseInt: parsing "{value}": invalid syntax'
        raise ApiError(400, f"unable to decode '{value}' as int64: {text}")


def _normalize_message(message: Any) -> Any:
    """Return a message in the form that Studio stores.

    Without a type it becomes a question, and without a content type it loses its text.
    """
    if not isinstance(message, dict):
        return message
    if message.get("role") not in {"user", "assistant"}:
        raise ApiError(4000, "additional message role only support user and assistant")
    if not message.get("content_type"):
        message = message | {"content": "", "content_type": "text"}
    if message.get("type"):
        return message
    return message | {"role": "user", "type": "question"}


def _build_conversation_reply(data: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the reply of a conversation route, from the payload of the hosted service."""
    end: dict[str, Any] = {"code": 0, "msg": ""}
    if path == "/v1/conversation/create":
        return end | {"data": _build_conversation(data) | {"user_id": ""}}
    if path == "/v1/conversation/retrieve":
        names = {"creator_d": data["creator_id"], "name": data["name"]}
        return {"ConversationData": _build_conversation(data) | names} | end | {"BaseResp": None}
    if "conversations" in data:
        items = [_build_conversation(c) | {"name": c["name"]} for c in data["conversations"]]
        data = {**data, "conversations": items}
    elif "last_section_id" in data:
        data = _build_conversation(data) | {"name": data["name"]}
    return end | {"data": dict(data), "BaseResp": None}


def _build_conversation(fields: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**fields, "meta_data": fields["meta_data"] or None}
    return {name: fields[name] for name in _CONVERSATION_FIELDS}
