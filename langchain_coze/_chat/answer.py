r"""One turn of a bot as a state machine: bytes of its event stream in, message chunks out. No I/O.

What a turn says arrives as deltas and again as completed messages (wire section 2.4); several
answers may interleave; recalls, tool calls, suggestions and control messages stand between them. A
`AnswerStream` sorts that out by type, never by position. It works in one of two ways:

* streaming: a chunk for each read, from the deltas;
* whole: deltas are passed over unread, one chunk at the end, from the completed messages.

Both keep the same order and give the same message in the end.
"""

from __future__ import annotations

from collections import ChainMap, deque
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_coze._api.models import CozeMessage, Usage, parse_json
from langchain_coze._chat.assembly import AnswerAssembler, get_delta_text
from langchain_coze._chat.stream import DELTA_EVENT, ChatStreamParser
from langchain_coze._convert.chunks import build_text_chunk
from langchain_coze._convert.from_coze import (
    Block,
    audio_block,
    call_block,
    card_block,
    is_interrupt,
    parse_object_string,
    prevent_repair,
    result_block,
    to_usage_metadata,
)
from langchain_coze._convert.recall import list_warnings, parse_recall
from langchain_coze._warnings import warn_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_core.outputs import ChatGenerationChunk

SAVED_KEY = "auto_save_history"
"""The key under which an answer that waits for its user tells that its chat was not saved."""

_DELTA_PREFIX = b"event:conversation.message.delta\ndata:"
_CONTENT_KEY = b'"content":"'
_NO_MATCH = b"\0"
_NO_CHUNKS: tuple[ChatGenerationChunk, ...] = ()
_REASONING_KEY = b"reasoning_content"


class AnswerStream(ChatStreamParser):
    """What has been seen of one turn, and what is to be told of it."""

    def __init__(
        self,
        model_name: str,
        *,
        logid: str | None = None,
        token: str = "",
        single_chunk: bool = False,
        saved: bool = True,
        already_seen_ids: Iterable[str] = (),
        late_usage: bool = False,
    ) -> None:
        """Begin a turn of which nothing has been seen yet.

        Args:
            model_name: The bot or workflow id, told in `response_metadata`.
            logid: The log id of the response.
            token: The token, which must not appear in errors.
            single_chunk: Give one chunk at the end instead of a chunk for each read.
            saved: Whether Coze keeps the turn; an answer that waits for its user tells if not.
            already_seen_ids: Ids of messages that are not to be told again.
            late_usage: Hold the last chunk back until `finish`, so that `add_usage` can be called.
        """
        super().__init__(logid=logid, token=token, already_seen_ids=already_seen_ids)
        self._saved = saved
        self._late_usage = late_usage
        metadata = {"model_name": model_name, **({"logid": logid} if logid else {})}
        self._single_chunk = single_chunk
        self._assembler = AnswerAssembler(ChainMap(self.ids, metadata), single_chunk=single_chunk)
        self._skip_prefix = (
            _DELTA_PREFIX  # how a read begins that is one delta, or one to be passed over
        )
        self._skipped_deltas: list[bytes] = []
        self._frame_start = self._frame_end = _NO_MATCH  # what surrounds the text of a plain delta
        self._pending_call_ids: deque[str] = deque()
        self._audio_parts: list[str] = []
        self._recalled_chunks: list[dict[str, Any]] = []
        self._follow_ups: list[str] = []
        self._ended = False

    @property
    def is_missing_usage(self) -> bool:
        """Whether the turn has ended well and nothing has told its token counts."""
        is_needed = self._late_usage and self.state == "stop"
        return is_needed and to_usage_metadata(self._chat.usage) is None

    def add_usage(self, usage: Usage) -> None:
        """Take token counts that the stream did not tell (Coze Studio)."""
        self._chat = self._chat.model_copy(update={"usage": usage})

    # --- What comes in -------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[ChatGenerationChunk]:
        """Take the next bytes of the stream and return the chunks that they make.

        Args:
            data: Bytes as they were read; any length.

        Raises:
            CozeError: The bot, or Coze, reports an error.
        """
        # Nearly all reads of a stream are one delta: they are told apart here, by their bytes.
        # The deltas of one answer differ in nothing but their text.
        if (
            data.startswith(self._frame_start)
            and data.endswith(self._frame_end)
            and self._decoder.at_event_boundary
        ):
            raw_text = data[len(self._frame_start) : -len(self._frame_end)]
            if (
                raw_text
                and b'"' not in raw_text
                and b"\\" not in raw_text
                and b"\n" not in raw_text
            ):
                return (build_text_chunk(raw_text.decode("utf-8", "replace")),)
            text = parse_json(b'"%s"' % raw_text)  # with escapes; None where it is not one string
            if text:
                return (build_text_chunk(text),)
        if (
            data.startswith(self._skip_prefix)
            and data.endswith(b"}\n\n")
            and data.find(b"\n", len(_DELTA_PREFIX)) == len(data) - 2
            and self._decoder.at_event_boundary
        ):
            if self._may_skip(data):
                self._skipped_deltas.append(data)
                return _NO_CHUNKS
            return self._feed_single_delta(data[len(_DELTA_PREFIX) :])
        for name, payload in self._decoder.feed(data):
            if self._ended:
                break
            if name != DELTA_EVENT:
                self.handle_event(name, payload)
            elif (raw_delta := _DELTA_PREFIX + payload).startswith(
                self._skip_prefix
            ) and self._may_skip(raw_delta):
                self._skipped_deltas.append(raw_delta)
            else:
                self._handle_delta(self._parse_message(payload), payload)
        return self._assembler.take_chunks()

    def _may_skip(self, raw_delta: bytes) -> bool:
        """Return whether a delta of the right beginning need not be looked into."""
        return self._skip_prefix is not _DELTA_PREFIX and _REASONING_KEY not in raw_delta

    def _feed_single_delta(self, payload: bytes) -> Sequence[ChatGenerationChunk]:
        """Take a delta that came alone; most need nothing but a chunk with their text."""
        delta = self._parse_message(payload)
        try:
            if (
                delta["id"] == self._assembler.fast_path_id
                and delta["type"] == "answer"
                and delta["content_type"] == "text"
                and not delta.get("reasoning_content")
            ):
                text = delta["content"]
                if text and isinstance(text, str):
                    if self._frame_start is _NO_MATCH:
                        self._learn_frame(payload, text)
                    return (build_text_chunk(text),)
        except (KeyError, TypeError):
            pass  # another shape
        if not self._ended:
            self._handle_delta(delta, payload)
        return self._assembler.take_chunks()

    def _learn_frame(self, payload: bytes, text: str) -> None:
        """Note what stands before and after the text of a plain delta."""
        start = payload.find(_CONTENT_KEY) + len(_CONTENT_KEY)
        end = payload.find(b'"', start)
        if payload[start:end] == text.encode("utf-8", "replace"):
            self._frame_start = _DELTA_PREFIX + payload[:start]
            self._frame_end = payload[end:]

    def feed_polled(
        self, chat: Mapping[str, Any], messages: Iterable[Any]
    ) -> list[ChatGenerationChunk]:
        """Take a turn that was polled for, and return its chunks.

        Args:
            chat: The chat at its end, as Coze sent it.
            messages: Its messages, as Coze sent them, in any order.

        Raises:
            CozeError: The turn did not succeed.
        """
        self._record_ids(chat)
        for message in messages:
            self._handle_completed(message)
        self._handle_chat_end(chat)
        return self.finish()

    def finish(self) -> list[ChatGenerationChunk]:
        """Take the end of the stream and return the last chunks.

        Raises:
            CozeStreamError: The stream was cut: the turn has not come to its end.
            CozeError: Its last bytes report an error.
        """
        self.close()
        self._emit_last_chunk()
        return self._assembler.take_chunks()

    # --- Events --------------------------------------------------------------------------------

    def _handle_delta(self, delta: Any, payload: bytes) -> None:
        """Take a piece of an answer."""
        if not isinstance(delta, dict) or delta.get("type", "answer") != "answer":
            return
        if delta.get("content_type") in {"card", "object_string"}:
            return  # JSON, which the completed message has in one piece
        if not self.ids:
            self._record_ids({**delta, "id": delta.get("chat_id")})
        raw_id = delta.get("id")
        message_id = "" if raw_id is None else str(raw_id)
        reasoning = delta.get("reasoning_content")
        if reasoning and isinstance(reasoning, str):
            self._assembler.add_reasoning(message_id, reasoning)
        text = get_delta_text(delta)
        if text:
            answer = self._assembler.add_text(message_id, text)
            if (
                self._single_chunk and not answer.waiting
            ):  # its completed message will have all of it
                prefix = b'{"id":' + to_json(raw_id) + b","
                if payload.startswith(prefix):
                    self._skip_prefix = _DELTA_PREFIX + prefix
                    self._skipped_deltas = answer.raw_deltas

    def _handle_answer(self, message: CozeMessage) -> None:
        self._skip_prefix = _DELTA_PREFIX
        self._frame_start = _NO_MATCH
        if message.content_type == "card":
            self._assembler.add_block(card_block(message.content))
            return
        text, blocks = message.content, list[Block]()
        if message.content_type == "object_string":
            text, blocks = parse_object_string(message.content)
        if text or not blocks:
            self._assembler.finish_message(message.id, text, message.reasoning_content)
        for block in blocks:
            self._assembler.add_block(block)

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
        if is_interrupt(message.content):
            self._result["finish_reason"] = "interrupt"

    def _handle_follow_up(self, message: CozeMessage) -> None:
        self._follow_ups.append(message.content)

    def _handle_function_call(self, message: CozeMessage) -> None:
        self._pending_call_ids.append(message.id)
        self._assembler.add_block(call_block(message.id, message.content))

    def _handle_tool_output(self, message: CozeMessage) -> None:
        # the wire names no call: results come in the order of the calls
        call_id = self._pending_call_ids.popleft() if self._pending_call_ids else message.id
        self._assembler.add_block(result_block(call_id, message.content))

    def _handle_done(self, body: Any) -> None:
        super()._handle_done(body)
        self.finished = self.finished or self._assembler.has_answers
        if self.finished and not self._late_usage:
            self._emit_last_chunk()

    _EVENT_HANDLERS: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {
        **ChatStreamParser._EVENT_HANDLERS,  # noqa: SLF001 - what this class is made for
        "conversation.audio.delta": _handle_audio,
        **dict.fromkeys(("done", "Done", "conversation.stream.done"), _handle_done),
    }

    _MESSAGE_HANDLERS: ClassVar[Mapping[str, Callable[[Any, CozeMessage], None]]] = {
        "answer": _handle_answer,
        "follow_up": _handle_follow_up,
        "verbose": _handle_verbose,
        "knowledge": _handle_verbose,
        "function_call": _handle_function_call,
        "tool_output": _handle_tool_output,
        "tool_response": _handle_tool_output,
    }

    # --- What goes out -------------------------------------------------------------------------

    def _emit_last_chunk(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._frame_start = _NO_MATCH
        audio = audio_block(self._audio_parts)
        if audio:
            self._assembler.add_block(audio)
        if not self._saved and self._result["finish_reason"] != "stop":
            self._result[SAVED_KEY] = False  # so it cannot be gone on with: see `memory`
        self._result["follow_up_questions"] = self._follow_ups
        self._result["knowledge_recall"] = self._recalled_chunks
        calls = self._chat.required_action.submit_tool_outputs.tool_calls
        has_calls = self._result["finish_reason"] == "tool_calls"
        self._assembler.finish(
            self._result,
            cited=bool(self._recalled_chunks),
            usage_metadata=to_usage_metadata(self._chat.usage),
            tool_call_chunks=[
                {
                    "type": "tool_call_chunk",
                    "id": call.id,
                    "name": call.function.name,
                    "args": prevent_repair(call.function.arguments),
                    "index": index,
                }
                for index, call in enumerate(calls if has_calls else ())
            ],
        )
