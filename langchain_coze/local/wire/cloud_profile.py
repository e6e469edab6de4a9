"""Replies and events of chats, as a Coze installation writes them.

`CloudProfile` is that of coze.cn and coze.com, `CloudChatflowProfile` that of their chatflows.
The key order is theirs. `langchain_coze.local.wire.studio_profile` has the profiles of Coze Studio.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError, get_http_status
from langchain_coze.local.wire.events import (
    EventEncoder,
    SseEvent,
    encode_event,
    encode_event_with_spaces,
)
from langchain_coze.local.wire.ids import derive_id, generate_logid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.wire.recall import RecalledChunk, RecallMessage

# Accounts that never existed. Real recall messages carry such numbers in ori_req, bare and above
# 2**53; a client must keep them out of documents, traces and logs.
_FAKE_OWNER = 7_401_234_567_890_123_001
_FAKE_SPACE = 7_402_234_567_890_123_002
_FAKE_KEY = 7_403_234_567_890_123_003


@dataclass(frozen=True, slots=True)
class MessageIds:
    """The ids that every message of one turn carries.

    For a chatflow, `bot_id` is the id of the workflow, which is not in its messages, and
    `parent_id` that of the bot or app that it runs in.
    """

    conversation_id: str
    bot_id: str
    chat_id: str
    section_id: str
    parent_id: str = ""


@dataclass(slots=True)
class ChatInfo:
    """What a chat object contains besides its status.

    Attributes:
        ids: The ids of the chat.
        created_at: Unix time in seconds.
        ended_at: Unix time in seconds; 0 until it ends.
        meta_data: The caller's own pairs.
        last_error: `code` and `msg`.
        usage: Input and output tokens so far.
        tool_calls: The calls that wait for the client, as on the wire.
    """

    ids: MessageIds
    created_at: int
    ended_at: int = 0
    meta_data: Mapping[str, str] = field(default_factory=dict)
    last_error: Mapping[str, Any] = field(default_factory=lambda: {"code": 0, "msg": ""})
    usage: tuple[int, int] = (0, 0)
    tool_calls: Sequence[Mapping[str, Any]] = ()


class CloudProfile:
    """coze.cn and coze.com (wire 2 and 3, appendix B `cloud.chat`).

    Attributes:
        name: The value of `LocalCoze.profile`.
        recall_message_type: The type of recall messages.
        has_client_tools: Whether a turn can ask the client to run a tool.
        lists_questions: Whether the list of a chat's messages has the question too.
        streams_only_answers: Whether streams have answers and suggestions only.
        creates_named_conversations: Whether a chatflow requires the name of its conversation, and
            creates the conversation when it does not exist.
        logid_header: The header with the log id.
        status_after_question: The status event after a question to the user.
        question_calls: The entries of `tool_calls` for a question to the user (wire 2.6).
        extra_reply_fields: Additional fields of the reply that starts a chat.
        stream_headers: Headers of every stream.
    """

    name = "cloud"
    recall_message_type = "verbose"
    has_client_tools = True
    lists_questions = False
    streams_only_answers = False
    creates_named_conversations = False
    logid_header = "X-Tt-Logid"
    status_after_question: str = "requires_action"
    question_calls: Sequence[Mapping[str, Any]] = (
        {"id": "", "type": "reply_message", "function": None, "require_info": None},
    )
    extra_reply_fields: Mapping[str, None] = {}
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
    }

    @property
    def chatflow_profile(self) -> CloudChatflowProfile:
        """The profile of chatflows of the same installation."""
        return CloudChatflowProfile()

    # Requests and replies ---------------------------------------------------------------------

    def filter_methods(self, path: str, methods: list[str]) -> list[str]:  # noqa: ARG002 - Studio needs it
        """Return the methods that a path has here; none when the path does not exist."""
        return methods

    def create_logid(self) -> str:
        """Return a log id (wire 1.3)."""
        return generate_logid()

    def normalize_chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body of a chat as this installation reads it."""
        return body

    def check_id(self, name: str, value: str) -> None:
        """Check the form of an id; here every form is valid."""

    def build_envelope(self, data: Any, path: str, logid: str) -> dict[str, Any]:  # noqa: ARG002 - Studio needs it
        """Return a reply with its payload (wire 1.4)."""
        return {"code": 0, "msg": "", "data": data, **self.build_detail(logid)}

    def build_detail(self, logid: str) -> dict[str, Any]:
        """Return the fields that every reply has."""
        return {"detail": {"logid": logid}}

    def build_error(
        self, error: ApiError, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body of an error (wire 1.5).

        Args:
            error: The error.
            path: The path of the request.
            logid: The log id.
            real_status: Whether the status is the matching one instead of 200.
        """
        del path
        body = {"code": error.code, "msg": error.message, **self.build_detail(logid)}
        return (get_http_status(error.code) if real_status else 200), body

    def build_no_route_body(self, method: str, path: str, logid: str) -> dict[str, Any] | str:
        """Return the body of the reply to an unknown path."""
        text = f"this local server does not answer {method} {path}"
        return {"code": 4200, "msg": text, **self.build_detail(logid)}

    # Streams ----------------------------------------------------------------------------------

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: no space after the colon, one data line."""
        return encode_event

    def build_done_event(self, ids: MessageIds) -> SseEvent:  # noqa: ARG002 - chatflows need it
        """Return the last event of a stream."""
        return SseEvent("done", '"[DONE]"')

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object (wire 2.2)."""
        chat: dict[str, Any] = {
            "id": info.ids.chat_id,
            "conversation_id": info.ids.conversation_id,
            "bot_id": info.ids.bot_id,
            "created_at": info.created_at,
        }
        if status in {"completed", "failed"}:
            chat["completed_at"] = info.ended_at
        if status == "failed":
            chat["failed_at"] = info.ended_at
        if info.meta_data:
            chat["meta_data"] = dict(info.meta_data)
        chat |= {"last_error": dict(info.last_error), "status": status}
        chat["usage"] = build_usage(0, 0)
        if status == "completed":
            cached = {"input_tokens_details": {"cached_tokens": 0}}
            chat["usage"] = build_usage(*info.usage) | cached
        if status == "requires_action" and info.tool_calls:
            chat["required_action"] = {
                "type": "submit_tool_outputs",
                "submit_tool_outputs": {"tool_calls": list(info.tool_calls)},
            }
        chat["section_id"] = info.ids.section_id
        return chat

    def build_chat_event(self, info: ChatInfo, status: str) -> SseEvent:
        """Return the event of a status."""
        return SseEvent(f"conversation.chat.{status}", go_json.dumps(self.build_chat(info, status)))

    def build_failure_events(self, info: ChatInfo, *, expected: bool) -> list[SseEvent]:  # noqa: ARG002 - as above
        """Return the events that end a failed turn.

        Args:
            info: The chat; its `last_error` is the reason.
            expected: Whether the reply itself has yielded `Fail`.
        """
        return [self.build_chat_event(info, "failed")]

    def build_short_chat(self, info: ChatInfo) -> dict[str, Any]:
        """Return the chat object of the reply that starts a chat without a stream (wire 2.8)."""
        chat = self.build_chat(info, "in_progress")
        omitted = {"usage", "section_id", "meta_data"}
        return {name: value for name, value in chat.items() if name not in omitted}

    def build_message(
        self, ids: MessageIds, message_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a message object.

        Args:
            ids: Ids of its turn.
            message_id: Its own id.
            fields: `type`, `content`, and optionally `role`, `content_type`,
                `reasoning_content`, `created_at` and `updated_at`; the last three are
                optional in the message too.
        """
        message: dict[str, Any] = {
            "id": message_id,
            "conversation_id": ids.conversation_id,
            "bot_id": ids.bot_id,
            "role": fields.get("role", "assistant"),
            "type": fields["type"],
            "content": fields["content"],
            "content_type": fields.get("content_type", "text"),
            "chat_id": ids.chat_id,
            "section_id": ids.section_id,
        }
        for name in ("reasoning_content", "created_at", "updated_at"):
            if name in fields:
                message[name] = fields[name]
        return message

    def build_delta_frame(self, ids: MessageIds, message_id: str) -> tuple[str, str]:
        """Return the JSON text of an answer delta before and after its content.

        A turn has hundreds of deltas that differ in one field; the other fields are encoded once.
        """
        text = go_json.dumps(
            self.build_message(ids, message_id, {"type": "answer", "content": "\n"})
        )
        prefix, _, suffix = text.partition('"\\n"')
        return prefix, suffix

    def build_verbose_content(self, msg_type: str, data: str) -> str:
        """Return the content of a `verbose` message."""
        return go_json.dumps(
            {"msg_type": msg_type, "data": data, "from_module": None, "from_unit": None}
        )

    def build_finish_content(self, reason: int = 0) -> str:
        """Return the content of the message after all answers; empty when there is none.

        Args:
            reason: 0 in general; 1 when a question to the user has stopped the turn (wire 2.5).
        """
        data = go_json.dumps({"finish_reason": reason, "FinData": ""})
        return self.build_verbose_content("generate_answer_finish", data)

    def build_question_contents(self) -> list[str]:
        """Return the contents of the messages after a question to the user (wire 4.6)."""
        return [self.build_verbose_content("interrupt", ""), self.build_finish_content(reason=1)]

    def build_recall_content(
        self, recall: RecallMessage, query: str, ids: MessageIds, user_id: str
    ) -> str:
        """Return the content of a `knowledge_recall` message; without results `chunks` is `[]`."""
        payload = {
            "chunks": [build_chunk(chunk) for chunk in recall.chunks],
            "ori_req": _build_original_request(query, ids, user_id, recall.agent_id or ids.bot_id),
            "status_code": 0,
        }
        return self.build_verbose_content("knowledge_recall", go_json.dumps(payload))

    def build_function_call(
        self, name: str, arguments: Mapping[str, Any], ids: tuple[str, str]
    ) -> str:
        """Return the content of a `function_call` message; `ids` are plugin id and API id."""
        plugin, _, api = name.partition("-")
        return go_json.dumps(
            {
                "name": name,
                "arguments": arguments,
                "plugin_id": int(ids[0]),
                "plugin_name": plugin,
                "api_id": int(ids[1]),
                "api_name": api or plugin,
                "plugin_type": 1,
                "thought": "",
            }
        )

    def build_tool_response(self, output: Any) -> str:
        """Return the content of a `tool_response` message: text is wrapped, the rest is JSON."""
        if isinstance(output, str):
            output = {"content_type": 1, "response_for_model": output, "type_for_model": 1}
        return go_json.dumps(output)


class CloudChatflowProfile(CloudProfile):
    """Chatflows of coze.cn and coze.com (wire 4.6, appendix B `cloud.chatflow`).

    Objects have no `bot_id`, and their keys are in random order.
    """

    has_client_tools = False

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: with a space after the colon."""
        return encode_event_with_spaces

    def build_done_event(self, ids: MessageIds) -> SseEvent:
        """Return the last event: the address of the run's page."""
        return SseEvent("done", go_json.dumps({"debug_url": build_debug_url(ids)}))

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object."""
        chat = super().build_chat(info, status)
        del chat["bot_id"]
        chat["usage"].pop("input_tokens_details", None)
        return _shuffle_keys(chat, f"{info.ids.chat_id} {status}")

    def build_failure_events(self, info: ChatInfo, *, expected: bool) -> list[SseEvent]:  # noqa: ARG002 - as above
        """Return the events that end a failed turn: not a chat, and the code is a string."""
        return [self.build_refusal_event(info.last_error["code"], info.last_error["msg"])]

    def build_refusal_event(self, code: int, msg: str) -> SseEvent:
        """Return the only event of a request that cannot be run."""
        data = f'{{"code": "{code}","msg": {go_json.dumps(msg)}}}'
        return SseEvent("conversation.chat.failed", data)

    def build_message(
        self, ids: MessageIds, message_id: str, fields: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a message object."""
        message = super().build_message(ids, message_id, fields)
        del message["bot_id"]
        return _shuffle_keys(message, message_id)


def build_debug_url(ids: MessageIds) -> str:
    """Return the address of the page that would show a run of a chatflow."""
    execute, space = derive_id("execute", ids.chat_id), derive_id("workspace", "local")
    return (
        "https://www.coze.cn/work_flow"
        f"?execute_id={execute}&space_id={space}&workflow_id={ids.bot_id}"
    )


def _shuffle_keys(fields: dict[str, Any], seed: str) -> dict[str, Any]:
    """Return the fields in random order; the order is the same for all deltas of a message."""
    names = list(fields)
    random.Random(seed).shuffle(names)  # noqa: S311 - not for security
    return {name: fields[name] for name in names}


def build_usage(input_count: int, output_count: int) -> dict[str, Any]:
    """Return the token counts of a chat object."""
    return {
        "token_count": input_count + output_count,
        "output_count": output_count,
        "input_count": input_count,
    }


def build_chunk(chunk: RecalledChunk) -> dict[str, Any]:
    """Return a passage of a recall (wire 3.2)."""
    score = int(chunk.score) if chunk.score.is_integer() else chunk.score
    return {
        "slice": chunk.slice,
        "score": score,
        "meta": {
            "dataset": {"id": chunk.dataset_id, "name": chunk.dataset_name},
            "document": {
                "id": chunk.document_id,
                "name": chunk.document_name,
                "format_type": chunk.format_type,
                "source_type": chunk.source_type,
            },
            "link": {"title": f"{chunk.dataset_name}_{chunk.document_name}", "url": chunk.url},
            "card": {"title": chunk.dataset_name, "con": chunk.slice, "index": str(chunk.index)},
        },
    }


def _parse_id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _build_original_request(query: str, ids: MessageIds, user_id: str, agent_id: str) -> str:
    context = {
        "coze_api_key_id": _FAKE_KEY,
        "coze_api_key_owner_id": _FAKE_OWNER,
        "coze_token_space_id": _FAKE_SPACE,
        "space_id": _FAKE_SPACE,
        "bot_version": "1",
        "bot_name": "local",
    }
    return go_json.dumps(
        {
            "message": {"role": "user", "content": query},
            "bot_id": _parse_id(ids.bot_id),
            "connector_id": 1024,
            "connector_uid": user_id,
            "user_id": _FAKE_OWNER,
            "max_token": 4096,
            "scene_context": {
                "_WORKFLOW_INPUT": go_json.dumps({"USER_INPUT": query}),
                "agent_id": _parse_id(agent_id),
                "bot_context": go_json.dumps(context),
            },
        }
    )
