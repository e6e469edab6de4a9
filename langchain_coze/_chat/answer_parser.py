"""Parse the event stream of one turn into LangChain message chunks. No I/O.

An answer arrives twice: as deltas and as a completed message (wire section 2.4). Several answers
may interleave with each other and with recalls, tool calls, suggestions and control messages.
`AnswerParser` selects by message type, never by position. It has two modes, which produce the same
message:

* streaming: each read returns chunks, built from the deltas;
* single chunk: one chunk at the end, built from the completed messages.

`FastAnswerParser` (`fast_path`) does the same faster.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_coze import _hints as hints
from langchain_coze._chat.assembly import AnswerAssembler, get_delta_text, is_answer_delta
from langchain_coze._chat.history import INTERRUPT, SAVED_KEY, STOP, TOOL_CALLS
from langchain_coze._chat.stream_parser import DELTA_EVENT, ChatStreamParser
from langchain_coze._convert.from_coze import (
    Block,
    build_audio_block,
    build_call_block,
    build_card_block,
    build_result_block,
    is_answer_finish,
    is_interrupt,
    is_local_plugin,
    parse_object_string,
    prevent_repair,
    to_usage_metadata,
)
from langchain_coze._convert.questions import read_card_question
from langchain_coze._convert.recall import list_warnings, parse_recall
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeChatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.outputs import ChatGenerationChunk

    from langchain_coze._api.models import CozeMessage


class AnswerParser(ChatStreamParser):
    """Stream parser that returns the answer of one turn as message chunks."""

    def __init__(
        self,
        model_name: str,
        *,
        single_chunk: bool = False,
        saved: bool = True,
        logid: str | None = None,
        **parser_options: Any,
    ) -> None:
        """Create a parser for one turn; `saved` is whether Coze saves it, see `SAVED_KEY`."""
        super().__init__(logid=logid, **parser_options)
        self._saved = saved
        self._first_metadata = {"model_name": model_name, **({"logid": logid} if logid else {})}
        self._single_chunk = single_chunk
        self._assembler = AnswerAssembler(self._first_metadata, single_chunk=single_chunk)
        self._pending_call_ids: deque[str] = deque()
        self._audio_parts: list[str] = []
        self._last_answer_id = ""
        # An answer, a card, or the message that reports a finished answer has arrived.
        self._has_completed_answer = False
        self._recalled_chunks: list[dict[str, Any]] = []
        self._follow_ups: list[str] = []
        self._has_last_chunk = False

    # --- Input ---------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[ChatGenerationChunk]:
        """Parse the next bytes of the stream and return the chunks; raise a reported error."""
        for name, payload in self._decoder.feed(data):
            if self._has_last_chunk:
                break
            self.handle_event(name, payload)
        return self._assembler.take_chunks()

    def finish(self) -> list[ChatGenerationChunk]:
        """Handle the end of the stream and return the last chunks; see `require_end`."""
        self.require_end()
        self._add_last_chunk()
        return self._assembler.take_chunks()

    # --- Events --------------------------------------------------------------------------------

    def record_ids(self, body: Any) -> None:
        """Record the ids of the turn, also for the metadata of the answer."""
        super().record_ids(body)
        self._first_metadata |= self.ids

    def _handle_delta(self, body: Any) -> None:
        if not is_answer_delta(body):
            return
        if not self.ids:
            self.record_ids({**body, "id": body.get("chat_id")})
        message_id = str(body.get("id") or "")
        reasoning = body.get("reasoning_content")
        if reasoning and isinstance(reasoning, str):
            self._assembler.add_reasoning(message_id, reasoning)
        text = get_delta_text(body)
        if text:
            self._assembler.add_text(message_id, text)

    def _handle_answer(self, message: CozeMessage) -> None:
        self._has_completed_answer = True
        self._last_answer_id = message.id
        if message.content_type == "card":
            question = read_card_question(message.content)
            if question:
                self._assembler.finish_message(message.id, question)
            self._assembler.add_block(build_card_block(message.content))
            return
        text, blocks = message.content, list[Block]()
        if message.content_type == "object_string":
            text, blocks = parse_object_string(message.content)
        if text or not blocks:
            self._assembler.finish_message(message.id, text, message.reasoning_content)
        for block in blocks:
            self._assembler.add_block(block)

    def _set_pending_reason(self) -> None:
        super()._set_pending_reason()
        self._has_completed_answer = True  # a call or a question counts as an answer

    def _handle_audio(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("content"), str):
            self._audio_parts.append(body["content"])

    def _handle_verbose(self, message: CozeMessage) -> None:
        recall = parse_recall(message.type, message.content, rank=len(self._recalled_chunks) + 1)
        if recall is not None:
            self._recalled_chunks += recall.chunks
            for warning in list_warnings(recall):
                warn_user(warning)
            return
        self._has_completed_answer = self._has_completed_answer or is_answer_finish(message.content)
        if is_interrupt(message.content):
            self._last_metadata["finish_reason"] = INTERRUPT

    def _handle_follow_up(self, message: CozeMessage) -> None:
        self._follow_ups.append(message.content)

    def _handle_function_call(self, message: CozeMessage) -> None:
        if is_local_plugin(message.content):
            return  # a client call: the end of the turn contains it as a tool call
        self._pending_call_ids.append(message.id)
        self._assembler.add_block(build_call_block(message.id, message.content))

    def _handle_tool_output(self, message: CozeMessage) -> None:
        is_unmatched = bool(self._submitted_outputs) and not self._pending_call_ids
        if is_unmatched or message.content in self._submitted_outputs:
            return  # a submitted output, sent again by Coze (wire 2.6); it is in the history
        # results have no call id: they arrive in the order of the calls
        call_id = self._pending_call_ids.popleft() if self._pending_call_ids else message.id
        self._assembler.add_block(build_result_block(call_id, message.content))

    def _handle_done(self, body: Any) -> None:
        super()._handle_done(body)
        self.is_finished = self.is_done = self.is_finished or self._assembler.has_answers
        if self.is_finished:
            self._add_last_chunk()

    EVENT_HANDLERS: ClassVar[Mapping[str, str]] = {
        **ChatStreamParser.EVENT_HANDLERS,
        DELTA_EVENT: "_handle_delta",
        "conversation.audio.delta": "_handle_audio",
    }

    MESSAGE_HANDLERS: ClassVar[Mapping[str, str]] = {
        "answer": "_handle_answer",
        "follow_up": "_handle_follow_up",
        "verbose": "_handle_verbose",
        "knowledge": "_handle_verbose",
        "function_call": "_handle_function_call",
        "tool_output": "_handle_tool_output",
        "tool_response": "_handle_tool_output",
    }

    # --- Output --------------------------------------------------------------------------------

    def _require_answer(self) -> None:
        """Raise if the turn has completed without an answer.

        Coze Studio hides failures of its model this way (wire section 8). If the turn has submitted
        tool outputs, an earlier round may contain the answer.
        """
        has_answer = self._has_completed_answer or self._assembler.has_answers or self._audio_parts
        if has_answer or self._submitted_outputs or self._chat.status != "completed":
            return
        if self._last_metadata["finish_reason"] != STOP:
            return
        raise CozeChatError(
            "The turn completed without an answer.",
            hint=hints.NO_ANSWER,
            **self.collect_error_context(),
        )

    def _add_last_chunk(self) -> None:
        if self._has_last_chunk:
            return
        self._require_answer()
        audio = build_audio_block(self._audio_parts)
        if audio:
            self._assembler.add_block(audio)
        if not self._saved and self._last_metadata["finish_reason"] != STOP:
            self._last_metadata[SAVED_KEY] = False  # cannot be continued: see `history`
        if answer_id := self._last_answer_id or self._assembler.last_answer_id:
            self._last_metadata["message_id"] = answer_id  # for feedback
        self._last_metadata["follow_up_questions"] = self._follow_ups
        self._last_metadata["knowledge_recall"] = self._recalled_chunks
        has_calls = self._last_metadata["finish_reason"] == TOOL_CALLS
        self._assembler.add_last_chunk(
            self._last_metadata,
            self._parse_message,
            cited=bool(self._recalled_chunks),
            usage_metadata=to_usage_metadata(self._chat.usage)
            or to_usage_metadata(self._answer_usage),  # from Coze Studio
            tool_call_chunks=[
                {
                    "type": "tool_call_chunk",
                    "id": call.id,
                    "name": call.name,
                    "args": prevent_repair(call.arguments),
                    "index": index,
                }
                for index, call in enumerate(self._chat.function_calls if has_calls else ())
            ],
        )
        self._has_last_chunk = True  # set last: an invalid delta must raise every time
