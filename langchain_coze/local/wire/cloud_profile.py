"""Replies and events of chats, in the format of a Coze installation.

`CloudProfile` has the formats and the key order of coze.cn and coze.com; `StudioProfile` overrides
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import (
    INCORRECT_AUTHENTICATION,
    INVALID_PARAMETERS,
    ApiError,
    get_http_status,
)
from langchain_coze.local.wire.events import (
    EventEncoder,
    SseEvent,
    encode_event,
    encode_event_with_spaces,
)
from langchain_coze.local.wire.ids import derive_id, generate_logid
from langchain_coze.local.wire.recall import build_recall_payload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.wire.recall import RecallMessage
    from langchain_coze.local.wire.requests import EnterMessage

_INVALID_TOKEN = 700012006
UNKNOWN_CONVERSATION_NAME = 720702204


@dataclass(frozen=True, slots=True)
class MessageIds:
    """The ids in every message of one turn.

    For a chatflow, `bot_id` is the id of the bot or app that it runs in; `workflow_id` is set only
    then.
    """

    conversation_id: str
    bot_id: str
    chat_id: str
    section_id: str
    workflow_id: str = ""


@dataclass(slots=True)
class ChatInfo:
    """The fields of a chat object except its status."""

    ids: MessageIds
    created_at: int  # Unix time in seconds
    ended_at: int = 0  # 0 until the chat ends
    meta_data: Mapping[str, str] = field(default_factory=dict)
    last_error: Mapping[str, Any] = field(default_factory=lambda: {"code": 0, "msg": ""})
    usage: tuple[int, int] = (0, 0)  # input and output tokens so far
    reasoning_tokens: int = 0  # of the output tokens
    tool_calls: Sequence[Mapping[str, Any]] = ()  # those without a result
    inserted_ids: Sequence[str] = ()  # of the user's messages


class CloudProfile:
    """coze.cn and coze.com (wire 2 and 3, appendix B `cloud.chat`)."""

    name = "cloud"  # the value of `LocalCoze.profile`
    is_studio = False
    recall_message_type = "verbose"
    has_client_tools = True  # whether a turn can contain client tool calls
    streams_only_answers = False  # answers and suggestions
    drops_single_chunks = False  # an answer with one delta is neither completed nor stored
    follow_ups_first = False  # suggestions precede the message after all answers
    lists_questions = False  # whether a chat's message list has the question (wire 2.8)
    logid_header = "X-Tt-Logid"
    status_after_question = "requires_action"  # after a question to the user
    # The entries of `tool_calls` for a question to the user (wire 2.6).
    question_calls: Sequence[Mapping[str, Any]] = (
        {"id": "", "type": "reply_message", "function": None, "require_info": None},
    )
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }
    message_fields: Sequence[str] = (
        *("id", "conversation_id", "bot_id", "role", "type", "content", "content_type", "chat_id"),
        *("section_id", "reasoning_content", "created_at", "updated_at"),
    )

    def __init__(self, base_url: str = "") -> None:
        """Store the address of the server."""
        self.base_url = base_url

    @property
    def chatflow_profile(self) -> CloudChatflowProfile:
        """The profile of chatflows of the same installation."""
        return CloudChatflowProfile(self.base_url)

    # Requests and replies ---------------------------------------------------------------------

    def create_logid(self) -> str:
        """Return a log id (wire 1.3)."""
        return generate_logid()

    def normalize_chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a chat request as this installation interprets it."""
        return body

    def check_conversation_id(self, query: Mapping[str, str]) -> None:
        """Validate the conversation id in a query; here any id is valid."""

    def build_envelope(self, data: Any, path: str, logid: str) -> dict[str, Any]:
        """Return a reply with a payload (wire 1.4)."""
        detail = self.build_detail(logid)
        if path == "/v3/chat/message/list":
            data = [dict(sorted(message.items())) for message in data]
            if not data:
                return {"code": 0, **detail, "msg": ""}
        return {"code": 0, "data": data, **detail, "msg": ""}

    def build_bot(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the information about a bot."""
        return fields

    def build_detail(self, logid: str) -> dict[str, Any]:
        """Return the fields that most replies have."""
        return {"detail": {"logid": logid}}

    def create_token_error(self, path: str, authorization: str) -> ApiError:  # noqa: ARG002 - Studio needs it
        """Return the error for a request without a valid token (wire 1.5)."""
        if path == "/v3/chat":
            return ApiError(4101, INCORRECT_AUTHENTICATION)
        return ApiError(_INVALID_TOKEN)

    def build_error(
        self, error: ApiError, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any] | str]:
        """Return the HTTP status and the body of an error (wire 1.5); a str is sent as plain text.

        With `real_status`, an error without a recorded status has the matching one.
        """
        del path
        body = {"code": error.code, "msg": error.message}
        if error.code == _INVALID_TOKEN:
            return 401, body
        body |= self.build_detail(logid)
        return (get_http_status(error.code) if real_status else 200), body

    def build_no_route(self, method: str, path: str, *, wrong_verb: bool) -> tuple[int, Any]:  # noqa: ARG002 - as above
        """Return the status and body of the reply to an unknown path (wire 1.5)."""
        text = (
            f"The requested API endpoint {method} {path} does not exist. Please verify the URL and "
            "try again. All available API paths are listed in the documentation: "
            "https://www.coze.cn/docs/developer_guides/api_overview"
        )
        return 404, {"code": 4000, "msg": text}

    # Chats ------------------------------------------------------------------------------------

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: no space after the colon, a single data line."""
        return encode_event

    def build_done_event(self, ids: MessageIds) -> SseEvent:  # noqa: ARG002 - chatflows need it
        """Return the last event of a stream."""
        return SseEvent("done", '"[DONE]"')

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object of a stream (wire 2.2)."""
        chat: dict[str, Any] = {
            "id": info.ids.chat_id,
            "conversation_id": info.ids.conversation_id,
            "bot_id": info.ids.bot_id,
            "created_at": info.created_at,
        }
        if info.ended_at:
            chat["completed_at"] = info.ended_at
        if status == "failed":
            chat["failed_at"] = info.ended_at
        if info.meta_data:
            chat["meta_data"] = dict(info.meta_data)
        chat |= {"last_error": dict(info.last_error), "status": status}
        chat["usage"] = build_usage(0, 0)
        if status == "completed":
            chat["usage"] = build_usage(*info.usage) | {
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": info.reasoning_tokens},
            }
        if status == "requires_action" and info.tool_calls:
            chat["required_action"] = {
                "type": "submit_tool_outputs",
                "submit_tool_outputs": {"tool_calls": list(info.tool_calls)},
            }
        chat["section_id"] = info.ids.section_id
        return chat

    def build_chat_event(self, info: ChatInfo, status: str) -> SseEvent:
        """Return the event that reports a status."""
        return SseEvent(f"conversation.chat.{status}", go_json.dumps(self.build_chat(info, status)))

    def build_retrieved_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return the chat object of `GET /v3/chat/retrieve` (wire 2.8)."""
        chat = self.build_chat(info, status)
        omitted = {"section_id"} if status == "failed" else {"section_id", "last_error"}
        if status != "completed":
            omitted.add("usage")
        if status == "requires_action":
            calls = [{**call, "require_info": {}} for call in info.tool_calls]
            chat["required_action"]["submit_tool_outputs"] = {"tool_calls": calls}
        return {name: chat[name] for name in sorted(chat) if name not in omitted}

    def build_cancelled_chat(self, info: ChatInfo) -> dict[str, Any]:
        """Return the chat object of the reply to a cancel request (wire 2.8).

        The format is that of Coze's sample, except for `last_error.code`: it is null there, which
        the official Python SDK rejects and no recording shows.
        """
        return self.build_chat(info, "canceled") | {"failed_at": None, "usage": {}}

    def build_start_reply(self, info: ChatInfo) -> dict[str, Any]:
        """Return the reply that starts or continues a chat without a stream (wire 2.8)."""
        chat = self.build_chat(info, "in_progress")
        omitted = {"usage", "section_id", "meta_data"}
        data = {name: value for name, value in chat.items() if name not in omitted}
        return {"data": data, "code": 0, "msg": ""}

    def get_failed_status(self, code: int) -> str:  # noqa: ARG002 - Studio needs it
        """Return the status of a chat that failed with a code."""
        return "failed"

    def build_failure_events(self, info: ChatInfo) -> list[SseEvent]:
        """Return the events that end a failed turn, with the reason in `last_error`."""
        return [self.build_chat_event(info, "failed")]

    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        """Return the events of a rejected stream request; if empty, the reply is a JSON error.

        For an occupied conversation, an event was recorded (wire 1.5).
        """
        return [build_error_event(4016, error.message)] if error.code == 4016 else []  # noqa: PLR2004 - Coze's

    # Messages ---------------------------------------------------------------------------------

    def build_message(
        self,
        ids: MessageIds,
        message_id: str,
        fields: Mapping[str, Any],
        meta_data: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return a message object.

        `fields` has its `type`, `content` and other `message_fields`, and `is_question` for a
        question of a workflow. `meta_data` is filled only by Studio.
        """
        message = {
            "id": message_id,
            "conversation_id": ids.conversation_id,
            "bot_id": ids.bot_id,
            "chat_id": ids.chat_id,
            "section_id": ids.section_id,
            "role": "assistant",
            "content_type": "text",
            "meta_data": meta_data,
            **fields,
        }
        return {name: message[name] for name in self.message_fields if name in message}

    def build_delta_frame(
        self, ids: MessageIds, message_id: str, meta_data: Mapping[str, str]
    ) -> tuple[str, str]:
        """Return the JSON text of an answer delta before and after its content.

        Hundreds of deltas of a turn differ in one field only; the other fields are encoded once.
        """
        fields = {"type": "answer", "content": "\n"}
        text = go_json.dumps(self.build_message(ids, message_id, fields, meta_data))
        prefix, _, suffix = text.partition('"\\n"')
        return prefix, suffix

    def build_stored_message(
        self,
        message: Mapping[str, Any],
        reasoning: str,  # noqa: ARG002 - Studio needs it
        *,
        of_chatflow: bool,  # noqa: ARG002 - as above
    ) -> dict[str, Any]:
        """Return a message for the list of a conversation."""
        return dict(message)

    def build_verbose_content(self, msg_type: str, data: str) -> str:
        """Return the content of a `verbose` message."""
        return go_json.dumps(
            {"msg_type": msg_type, "data": data, "from_module": None, "from_unit": None}
        )

    def build_finish_content(self, reason: int = 0) -> str:
        """Return the content of the message after all answers; empty for Studio's chatflows.

        The reason is 1 if a question to the user ended the turn (wire 2.5).
        """
        data = go_json.dumps({"finish_reason": reason, "FinData": ""})
        return self.build_verbose_content("generate_answer_finish", data)

    def build_interrupt_contents(self) -> list[str]:
        """Return the contents of the messages of a turn that waits for the client (wire 2.4)."""
        return [self.build_verbose_content("interrupt", ""), self.build_finish_content(reason=1)]

    def build_card(self, question: str, options: Sequence[str]) -> str:  # noqa: ARG002 - as above
        """Return the card of a question with options; empty if the question is sent as text."""
        return ""

    def build_question(self, entry: EnterMessage) -> dict[str, Any]:
        """Return the fields of a user message in a list."""
        return {"content": entry.content, "content_type": entry.content_type}

    def build_recall_content(
        self, recall: RecallMessage, query: str, ids: MessageIds, user_id: str
    ) -> str:
        """Return the content of a `knowledge_recall` message; `chunks` is `[]` without results."""
        payload = build_recall_payload(recall, query, ids.bot_id, user_id)
        return self.build_verbose_content("knowledge_recall", go_json.dumps(payload))

    def build_function_call(
        self, name: str, arguments: Mapping[str, Any], ids: tuple[str, str]
    ) -> str:
        """Return the content of a `function_call` message; `ids` are plugin id and API id."""
        plugin, _, api = name.partition("-")
        return go_json.dumps(_build_call(name, arguments, ids, (plugin, api or plugin)))

    def build_client_call(self, name: str, arguments: Mapping[str, Any] | str) -> str:
        """Return the content of a `function_call` message of a local plugin (wire 2.3)."""
        ids = derive_id("plugin", name), derive_id("api", name)
        call = _build_call(f"ts-{name}-{name}", arguments, ids, (name, name))
        return go_json.dumps(call | {"plugin_type": 6})

    def build_tool_response(self, output: Any) -> str:
        """Return the content of a `tool_response` message: wrapped text, or JSON."""
        if isinstance(output, str):
            output = {"content_type": 1, "response_for_model": output, "type_for_model": 1}
        return go_json.dumps(output)


class CloudChatflowProfile(CloudProfile):
    """Chatflows of coze.cn and coze.com (wire 4.6, appendix B `cloud.chatflow`).

    Objects have no `bot_id`. The random key order of Coze is not reproduced.
    """

    has_client_tools = False
    message_fields = tuple(name for name in CloudProfile.message_fields if name != "bot_id")

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: with a space after the colon."""
        return encode_event_with_spaces

    def build_done_event(self, ids: MessageIds) -> SseEvent:
        """Return the last event, with the URL of the run's trace."""
        url = build_debug_url(derive_id("execute", ids.chat_id), ids.workflow_id)
        return SseEvent("done", go_json.dumps({"debug_url": url}))

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object."""
        chat = super().build_chat(info, status)
        del chat["bot_id"]
        return chat | {"inserted_additional_messages": [{"id": id_} for id_ in info.inserted_ids]}

    def build_failure_events(self, info: ChatInfo) -> list[SseEvent]:
        """Return the events that end a failed turn, without a chat; the code is a string."""
        return [_build_failed_event(info.last_error["code"], info.last_error["msg"])]

    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        """Return the only event of a rejected request (wire 4.6)."""
        if error.code not in {4000, UNKNOWN_CONVERSATION_NAME}:
            return []
        text = INVALID_PARAMETERS if error.code == 4000 else error.message  # noqa: PLR2004 - Coze's
        return [_build_failed_event(error.code, text)]


def _build_call(
    name: str, arguments: Any, ids: tuple[str, str], names: tuple[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "arguments": arguments,
        "plugin_id": int(ids[0]),
        "plugin_name": names[0],
        "api_id": int(ids[1]),
        "api_name": names[1],
        "plugin_type": 1,
        "thought": "",
    }


def build_debug_url(execute_id: str, workflow_id: str) -> str:
    """Return the URL of the trace of a workflow or chatflow run; the page does not exist."""
    return (
        f"https://www.coze.cn/work_flow?execute_id={execute_id}"
        f"&space_id={derive_id('workspace', 'local')}&workflow_id={workflow_id}&execute_mode=2"
    )


def _build_failed_event(code: int, msg: str) -> SseEvent:
    data = f'{{"code": "{code}","msg": {go_json.dumps(msg)}}}'
    return SseEvent("conversation.chat.failed", data)


def build_error_event(code: int, msg: str) -> SseEvent:
    """Return an `error` event."""
    return SseEvent("error", go_json.dumps({"code": code, "msg": msg}))


def build_usage(input_count: int, output_count: int) -> dict[str, Any]:
    """Return the token counts of a chat object."""
    return {
        "token_count": input_count + output_count,
        "output_count": output_count,
        "input_count": input_count,
    }
