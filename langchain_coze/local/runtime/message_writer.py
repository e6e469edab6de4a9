"""Builds the messages of one turn from the parts of a reply, stores them and sends their events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local import reply_parts
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.text import count_tokens
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.ids import derive_id, generate_id, get_time
from langchain_coze.local.wire.requests import EnterMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.runtime.conversation import SavedTurn
    from langchain_coze.local.wire.cloud_profile import CloudProfile, MessageIds

# The messages to which Studio adds the duration of a step.
_TIMED_TYPES = frozenset({"function_call", "tool_response", "knowledge"})
_DELTA, _COMPLETED = "conversation.message.delta", "conversation.message.completed"


@dataclass
class _OpenAnswer:
    """The answer message that is being written."""

    id: str
    delta_frame: tuple[str, str]
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)


class MessageWriter:
    """Writes the messages of a turn from the parts of a reply."""

    def __init__(
        self, profile: CloudProfile, ids: MessageIds, saved_turn: SavedTurn, pace: tuple[float, int]
    ) -> None:
        """Start without messages; `pace` is the `delay` and `burst` of the bot."""
        self.events = EventQueue(enabled=False)  # replaced when the turn is continued
        self.input_tokens = self.output_tokens = self.reasoning_tokens = 0
        self.called_model = False  # False for a question of a workflow
        self.extra_params: Mapping[str, str] = {}  # Studio returns them in `meta_data`
        self._messages: list[dict[str, Any]] = []
        self._profile, self._ids, self._saved_turn = profile, ids, saved_turn
        self._delay, self._burst = pace
        # The id of the first answer is older than those of the earlier steps: ids are not in order.
        self._first_answer_id = generate_id()
        self._answer: _OpenAnswer | None = None
        self._last_answer_id = self._first_answer_id
        self._deltas_since_pause = 0
        self._started_at = time.monotonic()

    def list_messages(self) -> list[dict[str, Any]]:
        """Return the messages as `GET /v3/chat/message/list` does (wire 2.8 and 8)."""
        if not self._profile.lists_questions:
            return self._messages
        questions = []
        for message in self._saved_turn.messages:
            if message.entry.role == "user":
                fields: dict[str, Any] = {"role": "user", "type": "question"}
                fields |= self._profile.build_question(message.entry)
                fields["created_at"] = message.created_at
                questions.append(self._profile.build_message(self._ids, message.id, fields))
        return questions + self._messages

    def delete_messages(self, message_id: str, types: frozenset[str]) -> None:
        """Delete a message, and all messages of the given types."""
        self._messages = [
            m for m in self._messages if m["id"] != message_id and m["type"] not in types
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
        """Write a delta of the reasoning, with the message id of the following answer."""
        answer = self._answer or self._open_answer()
        answer.reasoning.append(text)
        if self._profile.streams_only_answers:
            return
        self._send_delta(answer.id, {"type": "answer", "content": "", "reasoning_content": text})
        await self._pause()

    def close_answer(self) -> None:
        """Complete the open answer, if there is one."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        text, reasoning = "".join(answer.text), "".join(answer.reasoning)
        self.called_model = True
        self.reasoning_tokens += count_tokens(reasoning)
        self.output_tokens += count_tokens(text) + count_tokens(reasoning)
        if not (self._profile.drops_single_chunks and len(answer.text) == 1):
            # Streams omit the reasoning from the completed message, stored messages contain it.
            fields = {"type": "answer", "content": text}
            self._complete_answer(answer.id, fields, {"reasoning_content": reasoning})

    def write_question(self, question: str, options: Sequence[str]) -> None:
        """Write a workflow's question to the user, as text or as a card."""
        card = self._profile.build_card(question, options)
        answer, self._answer = self._open_answer(), None
        fields = {"type": "answer", "content": card or "\n".join([question, *options])}
        fields["content_type"] = "card" if card else "text"
        if not (card and self._profile.streams_only_answers):
            self._send_delta(answer.id, fields | {"is_question": True})
        if not self._profile.is_studio:
            self.output_tokens += count_tokens(fields["content"])
        self._complete_answer(answer.id, fields, {}, is_question=True)

    def write_message(
        self,
        kind: str,
        content: str,
        content_type: str = "text",
        meta_data: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Write a complete message, and return it."""
        now = get_time()
        fields = {"type": kind, "content": content, "content_type": content_type}
        meta = dict(meta_data or {})
        if kind in _TIMED_TYPES:
            meta["time_cost"] = self._measure_time()
        times = {"created_at": now, "updated_at": now}
        message = self._profile.build_message(self._ids, generate_id(), fields | times, meta)
        self._messages.append(message)
        if kind in {"answer", "follow_up"} or not self._profile.streams_only_answers:
            self.events.put(SseEvent(_COMPLETED, go_json.dumps(message)))
        return message

    def write_part(self, part: reply_parts.ReplyPart) -> None:
        """Write a part that is a complete message, or start another answer.

        All messages except control messages end the open answer.
        """
        if isinstance(part, reply_parts.Verbose):
            content = self._profile.build_verbose_content(part.msg_type, _as_text(part.data))
            self.write_message("verbose", content)
            return
        self.close_answer()
        if isinstance(part, reply_parts.ServerTool):
            self.write_tool_call(part)
            self.write_tool_result(part.output)
        elif isinstance(part, reply_parts.Media):
            items = [dict(item) for item in part.items]
            content, meta = go_json.dumps(items), self._build_answer_meta()
            message = self.write_message("answer", content, "object_string", meta)
            entry = EnterMessage("assistant", "answer", content, "object_string", tuple(items))
            self._saved_turn.add(entry, message)
        elif isinstance(part, reply_parts.Card):
            content, meta = _as_text(part.content), self._build_answer_meta()
            self.write_message("answer", content, "card", meta)

    def write_tool_call(self, part: reply_parts.ServerTool) -> None:
        """Write a call of a tool on the server."""
        self.close_answer()
        self.called_model = True
        plugin = derive_id("plugin", part.name.partition("-")[0])
        ids = (plugin, derive_id("api", part.name))
        call = self._profile.build_function_call(part.name, part.arguments, ids)
        self.write_message(
            "function_call", call, meta_data={"plugin": part.name, "tool_name": part.name}
        )

    def write_tool_result(self, output: Any) -> None:
        """Write the result of a tool on the server."""
        self.write_message("tool_response", self._profile.build_tool_response(output))

    def write_speech(self, content: str) -> None:
        """Write a piece of the spoken answer, with the message id of the last written answer."""
        fields = {"type": "answer", "content": content, "content_type": "audio"}
        message = self._profile.build_message(self._ids, self._last_answer_id, fields)
        self.events.put(SseEvent("conversation.audio.delta", go_json.dumps(message)))

    def _send_delta(self, message_id: str, fields: Mapping[str, Any]) -> None:
        message = self._profile.build_message(self._ids, message_id, fields, self.extra_params)
        self.events.put(SseEvent(_DELTA, go_json.dumps(message)))

    def _open_answer(self) -> _OpenAnswer:
        message_id, self._first_answer_id = self._first_answer_id or generate_id(), ""
        self._last_answer_id = message_id
        frame = self._profile.build_delta_frame(self._ids, message_id, self.extra_params)
        self._answer = _OpenAnswer(message_id, frame)
        return self._answer

    def _complete_answer(
        self,
        message_id: str,
        fields: Mapping[str, Any],
        stored_fields: Mapping[str, Any],
        *,
        is_question: bool = False,
    ) -> None:
        """Send the completed answer; store it for message lists and later turns."""
        fields = {**fields, "created_at": get_time()}
        meta = self._build_answer_meta()
        message = self._profile.build_message(
            self._ids, message_id, {**fields, "is_question": is_question}, meta
        )
        self.events.put(SseEvent(_COMPLETED, go_json.dumps(message)))
        stored = self._profile.build_message(
            self._ids, message_id, {**fields, **stored_fields}, meta
        )
        self._messages.append(stored)
        content_type = fields.get("content_type", "text")
        entry = EnterMessage("assistant", "answer", fields["content"], content_type)
        self._saved_turn.add(entry, stored)

    def _build_answer_meta(self) -> dict[str, str]:
        """Return Studio's `meta_data` of an answer, with token counts if a model was called."""
        meta = {**self.extra_params, "time_cost": self._measure_time()}
        if self.called_model:
            counts = (self.input_tokens, self.output_tokens)
            meta |= {"input_tokens": str(counts[0]), "output_tokens": str(counts[1])}
            meta["token"] = str(sum(counts))
        return meta

    def _measure_time(self) -> str:
        return f"{time.monotonic() - self._started_at:.1f}"

    async def _pause(self) -> None:
        """Yield to the client's stream and to other chats after every burst of deltas."""
        self._deltas_since_pause += 1
        if self._delay or self._deltas_since_pause >= self._burst:
            self._deltas_since_pause = 0
            await asyncio.sleep(self._delay)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else go_json.dumps(value)
