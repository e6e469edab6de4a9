"""Replies and events of chatflows of Coze Studio (wire 8, appendix B `studio.chatflow`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import (
    ChatInfo,
    CloudChatflowProfile,
    MessageIds,
    build_usage,
)
from langchain_coze.local.wire.events import EventEncoder, SseEvent, create_numbered_encoder
from langchain_coze.local.wire.ids import derive_id
from langchain_coze.local.wire.studio_cards import build_card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_coze.local.wire.errors import ApiError


class StudioChatflowProfile(CloudChatflowProfile):
    """Chatflows of Coze Studio: with id lines from 1, and answers only."""

    is_studio = True
    question_calls = ()
    streams_only_answers = True
    drops_single_chunks = True
    message_fields = (
        *("id", "chat_id", "conversation_id", "bot_id", "role", "type", "content"),
        *("content_type", "section_id"),
    )

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: with event ids and spaces."""
        return create_numbered_encoder(1)

    def build_done_event(self, ids: MessageIds) -> SseEvent:
        """Return the last event: the address of the run's page."""
        execute_id = derive_id("execute", ids.chat_id)
        url = build_studio_debug_url(self.base_url, execute_id, ids.workflow_id)
        return SseEvent("done", go_json.dumps_raw({"debug_url": url}))

    def build_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:
        """Return a chat object; the sum of its tokens is wrong, as in Studio."""
        ids = info.ids
        chat: dict[str, Any] = {"id": ids.chat_id, "conversation_id": ids.conversation_id}
        if status == "completed":
            chat["bot_id"] = info.ids.bot_id
        chat["status"] = status
        if status == "completed":
            count, output = info.usage
            chat["usage"] = build_usage(count, output) | {"token_count": output + output}
        execute_id = derive_id("execute", info.ids.chat_id)
        return chat | {"execute_id": execute_id, "section_id": info.ids.section_id}

    def build_retrieved_chat(self, info: ChatInfo, status: str) -> dict[str, Any]:  # noqa: ARG002 - the status never changes
        """Return the chat object of `GET /v3/chat/retrieve`: it stays as it was created."""
        return {
            "id": info.ids.chat_id,
            "conversation_id": info.ids.conversation_id,
            "bot_id": info.ids.bot_id,
            "created_at": info.created_at,
            "completed_at": 0,
            "failed_at": 0,
            "status": "created",
            "section_id": info.ids.section_id,
        }

    def build_failure_events(self, info: ChatInfo) -> list[SseEvent]:
        """Return the events that end a failed turn."""
        error = {"code": str(info.last_error["code"]), "msg": info.last_error["msg"]}
        url = build_studio_debug_url(self.base_url)
        return [SseEvent("error", go_json.dumps_raw(error | {"debug_url": url}))]

    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:  # noqa: ARG002 - the cloud needs it
        """Return nothing: a request that cannot be run gets a JSON error."""
        return []

    def build_finish_content(self, reason: int = 0) -> str:  # noqa: ARG002 - the base class needs it
        """Return nothing: Studio's chatflows have no message after all answers."""
        return ""

    def build_interrupt_contents(self) -> list[str]:
        """Return nothing, as above."""
        return []

    def build_card(self, question: str, options: Sequence[str]) -> str:
        """Return the card of a question with options."""
        return build_card(question, options) if options else ""


def build_studio_debug_url(base_url: str, execute_id: str = "0", workflow_id: str = "0") -> str:
    """Return the address of the page that would show a run; before a run its ids are 0."""
    space_id = derive_id("workspace", "local") if workflow_id != "0" else "0"
    return (
        f"{base_url}/work_flow?execute_id={execute_id}&execute_mode=2"
        f"&space_id={space_id}&workflow_id={workflow_id}"
    )
