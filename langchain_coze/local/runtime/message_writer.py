"""The messages of one turn: written from the parts of a reply, stored, and sent as events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local import reply_parts
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.text import count_tokens
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.chat_request import EnterMessage
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.ids import derive_id, generate_id

if TYPE_CHECKING:
    from langchain_coze.local.runtime.conversation import SavedTurn
    from langchain_coze.local.wire.cloud_profile import CloudProfile, MessageIds

# In the list of a finished chat, tool calls and verbose messages precede the answer.
_LIST_ORDER = {"function_call": 0, "tool_response": 0, "verbose": 1, "answer": 2, "follow_up": 3}
_DELTA, _COMPLETED = "conversation.message.delta", "conversation.message.completed"


@dataclass
class _OpenAnswer:
    """The answer message that is being written."""

    id: str
    delta_frame: tuple[str, str]
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)


class MessageWriter:
    """Writes the messages of a turn from the parts of a reply.

    Args:
        profile: The profile of the messages.
        ids: The ids of the turn.
        saved_turn: Stores the answers for later turns.
        pace: Seconds between two deltas, and the largest number of deltas in one network write.

    Attributes:
        events: The events; a turn that is continued later gets another queue.
        messages: The messages so far.
        output_tokens: Tokens of the answers so far.
    """

    def __init__(
        self, profile: CloudProfile, ids: MessageIds, saved_turn: SavedTurn, pace: tuple[float, int]
    ) -> None:
        """Start without messages."""
        self.events = EventQueue(enabled=False)
        self.messages: list[dict[str, Any]] = []
        self.output_tokens = 0
        self._profile, self._ids, self._saved_turn = profile, ids, saved_turn
        self._delay, self._burst = pace
        # The first answer's id is older than those of the steps before it: ids are not in order.
        self._first_answer_id = generate_id()
        self._answer: _OpenAnswer | None = None
        self._last_answer_id = self._first_answer_id
        self._deltas_since_pause = 0

    def list_messages(self) -> list[dict[str, Any]]:
        """Return the messages as `GET /v3/chat/message/list` does (wire 2.8 and 8)."""
        if self._profile.lists_questions:
            return [*self._list_questions(), *self.messages]
        return sorted(self.messages, key=lambda message: _LIST_ORDER.get(message["type"], 2))

    def delete_messages(self, message_id: str, types: frozenset[str]) -> None:
        """Delete a message, and all messages of some types."""
        self.messages = [
            m for m in self.messages if m["id"] != message_id and m["type"] not in types
        ]

    async def write_text(self, text: str) -> None:
        """Write a delta of the answer."""
        if not text:
            return
        answer = self._answer or self._open_answer()
        answer.text.append(text)
        prefix, suffix = answer.delta_frame
        self.events.put(SseEvent(_DELTA, prefix + go_json.dumps(text) + suffix))
        await self._pause()

    async def write_reasoning(self, text: str) -> None:
        """Write a delta of the reasoning; it has the message id of the answer that follows."""
        answer = self._answer or self._open_answer()
        answer.reasoning.append(text)
        if self._profile.streams_only_answers:
            return
        fields = {"type": "answer", "content": "", "reasoning_content": text}
        message = self._profile.build_message(self._ids, answer.id, fields)
        self.events.put(SseEvent(_DELTA, go_json.dumps(message)))
        await self._pause()

    def close_answer(self) -> None:
        """Complete the answer that is open, if there is one."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        text, reasoning = "".join(answer.text), "".join(answer.reasoning)
        self.output_tokens += count_tokens(text) + count_tokens(reasoning)
        fields: dict[str, Any] = {"type": "answer", "content": text, "created_at": int(time.time())}
        message = self._profile.build_message(self._ids, answer.id, fields)
        self.events.put(SseEvent(_COMPLETED, go_json.dumps(message)))
        if reasoning:
            # Streams leave it out of the completed message, stored messages carry it.
            fields["reasoning_content"] = reasoning
        self.messages.append(self._profile.build_message(self._ids, answer.id, fields))
        self._saved_turn.add_message(EnterMessage("assistant", "answer", text, "text"), answer.id)

    def write_message(self, kind: str, content: str, content_type: str = "text") -> str:
        """Write a complete message; return its id."""
        now = int(time.time())
        fields = {
            "type": kind,
            "content": content,
            "content_type": content_type,
            "created_at": now,
            "updated_at": now,
        }
        message_id = generate_id()
        message = self._profile.build_message(self._ids, message_id, fields)
        self.messages.append(message)
        if kind in {"answer", "follow_up"} or not self._profile.streams_only_answers:
            self.events.put(SseEvent(_COMPLETED, go_json.dumps(message)))
        return message_id

    def write_verbose(self, part: reply_parts.Verbose) -> None:
        """Write a control message; it does not end the open answer."""
        data = part.data if isinstance(part.data, str) else go_json.dumps(part.data)
        self.write_message("verbose", self._profile.build_verbose_content(part.msg_type, data))

    def write_tool(self, part: reply_parts.ServerTool) -> None:
        """Write a call of a tool on the server, and its result."""
        self.write_tool_call(part)
        self.write_tool_result(part.output)

    def write_tool_call(self, part: reply_parts.ServerTool) -> None:
        """Write a call of a tool on the server."""
        self.close_answer()
        plugin = derive_id("plugin", part.name.partition("-")[0])
        ids = (plugin, derive_id("api", part.name))
        call = self._profile.build_function_call(part.name, part.arguments, ids)
        self.write_message("function_call", call)

    def write_tool_result(self, output: Any) -> None:
        """Write the result of a tool on the server."""
        self.write_message("tool_response", self._profile.build_tool_response(output))

    def write_complete_answer(self, part: reply_parts.Card | reply_parts.Media) -> None:
        """Write an answer that is sent complete, with another message id."""
        self.close_answer()
        if isinstance(part, reply_parts.Media):
            items = [dict(item) for item in part.items]
            content = go_json.dumps(items)
            message_id = self.write_message("answer", content, "object_string")
            entry = EnterMessage("assistant", "answer", content, "object_string", tuple(items))
            self._saved_turn.add_message(entry, message_id)
        else:
            content = part.content
            self.write_message(
                "answer", content if isinstance(content, str) else go_json.dumps(content), "card"
            )

    def write_speech(self, content: str) -> None:
        """Write a part of the spoken answer; it has the message id of the last written one."""
        fields = {"type": "answer", "content": content, "content_type": "audio"}
        message = self._profile.build_message(self._ids, self._last_answer_id, fields)
        self.events.put(SseEvent("conversation.audio.delta", go_json.dumps(message)))

    def _list_questions(self) -> list[dict[str, Any]]:
        """Return the user's messages of this turn."""
        saved = zip(self._saved_turn.entries, self._saved_turn.message_metas, strict=True)
        return [
            self._profile.build_message(
                self._ids,
                meta.id,
                {
                    "role": "user",
                    "type": "question",
                    "content": entry.content,
                    "content_type": entry.content_type,
                    "created_at": meta.created_at,
                },
            )
            for entry, meta in saved
            if entry.role == "user"
        ]

    def _open_answer(self) -> _OpenAnswer:
        message_id, self._first_answer_id = self._first_answer_id or generate_id(), ""
        self._last_answer_id = message_id
        self._answer = _OpenAnswer(
            message_id, self._profile.build_delta_frame(self._ids, message_id)
        )
        return self._answer

    async def _pause(self) -> None:
        """Let the client's stream, and other chats, run after every burst of deltas."""
        self._deltas_since_pause += 1
        if self._delay or self._deltas_since_pause >= self._burst:
            self._deltas_since_pause = 0
            await asyncio.sleep(self._delay)
