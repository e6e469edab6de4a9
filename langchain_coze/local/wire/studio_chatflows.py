"""Replies and events of Coze Studio's chatflows, and its cards (wire 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import (
    ChatInfo,
    CloudChatflowProfile,
    MessageIds,
    build_usage,
)
from langchain_coze.local.wire.events import EventEncoder, SseEvent, create_numbered_encoder
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_coze.local.wire.errors import ApiError

_TEMPLATE_ID = 7383997384420262000
_NODE_ID = "400001"


class StudioChatflowProfile(CloudChatflowProfile):
    """Chatflows of Coze Studio (appendix B `studio.chatflow`); only answers are sent."""

    is_studio = True
    question_calls = ()
    streams_only_answers = True
    drops_single_chunks = True
    message_fields = (
        *("id", "chat_id", "conversation_id", "bot_id", "role", "type", "content"),
        *("content_type", "section_id"),
    )

    @override
    def create_encoder(self) -> EventEncoder:
        return create_numbered_encoder(1)

    @override
    def build_done_event(self, ids: MessageIds) -> SseEvent:
        execute_id = derive_id("execute", ids.chat_id)
        url = build_studio_debug_url(self.base_url, execute_id, ids.workflow_id)
        return SseEvent("done", go_json.dumps_raw({"debug_url": url}))

    @override
    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object; the total token count is wrong, as in Studio."""
        ids = info.ids
        chat: dict[str, Any] = {"id": ids.chat_id, "conversation_id": ids.conversation_id}
        if status == "completed":
            chat["bot_id"] = ids.bot_id
        chat["status"] = status
        if status == "completed":
            count, output = info.usage
            chat["usage"] = build_usage(count, output) | {"token_count": output + output}
        execute_id = derive_id("execute", ids.chat_id)
        return chat | {"execute_id": execute_id, "section_id": ids.section_id}

    @override
    def build_retrieved_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return the chat object of `GET /v3/chat/retrieve`, which never changes."""
        return build_studio_chat(info, "created")

    @override
    def build_failure_events(self, info: ChatInfo) -> list[SseEvent]:
        error = {"code": str(info.last_error["code"]), "msg": info.last_error["msg"]}
        url = build_studio_debug_url(self.base_url)
        return [SseEvent("error", go_json.dumps_raw(error | {"debug_url": url}))]

    @override
    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        return []

    @override
    def build_finish_content(self, reason: int = 0) -> str:
        return ""

    @override
    def build_interrupt_contents(self) -> list[str]:
        return []

    @override
    def build_card(self, question: str, options: Sequence[str]) -> str:
        """Return the card of a question with options.

        Its `data`, which describes the layout, is omitted here; clients read `x_properties`.
        """
        if not options:
            return ""
        data = {"Title": question, "Options": [{"name": option} for option in options]}
        info = {"card_type": "QUESTION", "question_card_data": data}
        return go_json.dumps(
            {
                "card_type": 3,
                "content_type": 50,
                "response_type": "card",
                "template_id": _TEMPLATE_ID,
                "template_url": "",
                "data": go_json.dumps({"elements": {}, "rootID": "root", "variables": {}}),
                "x_properties": {"workflow_card_info": go_json.dumps(info)},
            }
        )


def build_studio_debug_url(base_url: str, execute_id: str = "0", workflow_id: str = "0") -> str:
    """Return the URL of the trace of a run; its ids are 0 before the run."""
    space_id = derive_id("workspace", "local") if workflow_id != "0" else "0"
    return (
        f"{base_url}/work_flow?execute_id={execute_id}&execute_mode=2"
        f"&space_id={space_id}&workflow_id={workflow_id}"
    )


def build_studio_chat(info: ChatInfo, status: str) -> dict[str, Any]:
    """Return a chat object; it has no usage."""
    return {
        "id": info.ids.chat_id,
        "conversation_id": info.ids.conversation_id,
        "bot_id": info.ids.bot_id,
        "created_at": info.created_at,
        "completed_at": info.ended_at if status == "completed" else 0,
        "failed_at": info.ended_at if status == "failed" else 0,
        "status": status,
        "section_id": info.ids.section_id,
    }


def build_question_message(
    question: str, options: Sequence[str] = (), number: int = 0
) -> dict[str, Any]:
    """Return the message of a question node that has asked `number` questions before."""
    content: Any = question
    if options:
        content = {"options": [{"name": option} for option in options], "question": question}
    kind = "option" if options else "text"
    message_id = f"{_NODE_ID}_{number}"
    return {"type": "question", "content_type": kind, "content": content, "id": message_id}


def build_interrupt_meta(question: str, options: Sequence[str]) -> dict[str, str]:
    """Return Studio's `meta_data` of an `interrupt` message, by which it resumes the run."""
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": None}}
    messages = {"messages": [build_question_message(question, options)]}
    event = {"node_key": _NODE_ID, "interrupt_data": go_json.dumps(messages), "event_type": 2}
    return {
        "requires_action": go_json.dumps(action),
        "resume_info": go_json.dumps({"InterruptType": 2, "ChatflowInterrupt": event}),
        "tool_calls_ids": "",
    }
