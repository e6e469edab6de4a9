"""Assemble the answers of one turn in order: text, reasoning and blocks in, message chunks out.

Answers may interleave on the wire (parallel workflow nodes, several agents). Emitting them as they
arrive would mix their texts. An answer that starts while another is unfinished is therefore
buffered, so that a stream adds up to the same message as a single chunk.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze._convert.block_order import MARKERS_KEY, SEPARATOR, BlockOrder, TextKind
from langchain_coze._convert.chunks import build_chunk, build_text_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.outputs import ChatGenerationChunk

# as langchain-core spells them; a question to the user has no such name
_NORMALIZED_REASONS = {"stop": "stop", "tool_calls": "tool_call"}
_JSON_TYPES = ("card", "object_string")  # a tuple: the type may be unhashable


@dataclass(slots=True, eq=False)
class AnswerMessage:
    """One answer message of a turn.

    Attributes:
        id: The message id; empty if the server sends none.
        is_waiting: Whether an earlier answer must end before this one is emitted.
        text_parts: Buffered texts of its deltas; bytes are unparsed events from the fast path.
        reasoning_parts: Buffered reasoning of its deltas.
        full_text: The text of its completed message; empty until that arrives.
        has_text: Whether any text has arrived.
        has_reasoning: Whether any reasoning has arrived.
        is_finished: Whether the answer is complete.
        is_whole: Whether the text of the completed message is used, so that later deltas are
            ignored.
    """

    id: str
    is_waiting: bool
    text_parts: list[str | bytes] = field(default_factory=list)
    reasoning_parts: list[str] = field(default_factory=list)
    full_text: str = ""
    has_text: bool = False
    has_reasoning: bool = False
    is_finished: bool = False
    is_whole: bool = False

    def get_text(self, parse: Callable[[bytes], Any]) -> str:
        """Return the text of the completed message, or of the deltas, whose JSON `parse` reads."""
        return self.full_text or "".join(
            get_delta_text(parse(text)) if isinstance(text, bytes) else text
            for part in self.text_parts
            for text in ([part] if isinstance(part, str) else _list_payloads(part))
        )


def _list_payloads(events: bytes) -> list[bytes]:
    """Return the data of events."""
    return [event.partition(b"data:")[2] for event in events.split(b"\n\n") if event]


def is_answer_delta(delta: Any) -> bool:
    """Return whether a delta may have text; other content arrives in the completed message."""
    return (
        isinstance(delta, dict)
        and delta.get("type", "answer") == "answer"
        and delta.get("content_type") not in _JSON_TYPES
    )


def get_delta_text(delta: Any) -> str:
    """Return the text that a delta adds to an answer."""
    text = delta.get("content") if is_answer_delta(delta) else ""
    return text if isinstance(text, str) else ""


class AnswerAssembler:
    """Collects the answers of one turn and builds message chunks from them.

    Attributes:
        plain_answer_id: Id of the answer whose deltas only add text; empty if there is none.
            In a stream this is the first answer, from its second delta to its end. With a single
            chunk it is any answer without an earlier one.
    """

    def __init__(
        self,
        first_metadata: Mapping[str, Any],
        *,
        single_chunk: bool = False,
        reuses_ids: bool = False,
    ) -> None:
        """Create an assembler without answers.

        `first_metadata` is the `response_metadata` of the first chunk. Keys that are added later go
        into the last chunk, which with `single_chunk` is the only one. With `reuses_ids`, a new
        answer may have the id of a finished one.
        """
        self.plain_answer_id = ""
        self._first_metadata = first_metadata
        self._sent_keys: set[str] = set()
        self._single_chunk = single_chunk
        self._reuses_ids = reuses_ids
        self._order = BlockOrder()
        self._by_id: dict[str, AnswerMessage] = {}
        self._queue: deque[AnswerMessage] = deque()
        self._current: AnswerMessage | None = None  # the answer that `_text` belongs to
        self._first_text_answer: AnswerMessage | None = None  # its text needs no markers
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._chunks: list[ChatGenerationChunk] = []

    @property
    def has_answers(self) -> bool:
        """Whether any answer has started."""
        return bool(self._by_id)

    @property
    def last_answer_id(self) -> str:
        """The id of the answer that started last; empty without one."""
        return next(reversed(self._by_id), "")

    def get_or_add_answer(self, message_id: str) -> AnswerMessage:
        """Return the answer with this id; a new answer waits for earlier ones.

        If the server sends no ids, or reuses them, text after a finished answer starts a new one.
        """
        answer = self._by_id.get(message_id)
        if answer is None or (answer.is_finished and (self._reuses_ids or not message_id)):
            answer = AnswerMessage(message_id, is_waiting=bool(self._queue))
            self._by_id[message_id] = answer
            self._queue.append(answer)
        return answer

    def add_text(self, message_id: str, text: str) -> None:
        """Add text to an answer."""
        answer = self.get_or_add_answer(message_id)
        if answer.is_whole:
            return
        answer.has_text = True
        if self._is_buffered(answer, "text"):
            answer.text_parts.append(text)
            if not answer.is_waiting:
                self.plain_answer_id = answer.id
            return
        if answer is not self._current:
            self.flush()
            self._current = answer
        self._text.append(text)

    def add_reasoning(self, message_id: str, text: str) -> None:
        """Add reasoning to an answer."""
        answer = self.get_or_add_answer(message_id)
        answer.has_reasoning = True
        if self._is_buffered(answer, "reasoning"):
            answer.reasoning_parts.append(text)
            return
        if answer is not self._current or self._text:
            self.flush()
            self._current = answer
        self._reasoning.append(text)

    def _is_buffered(self, answer: AnswerMessage, kind: TextKind) -> bool:
        """Return whether the text of an answer must be buffered; record its position if known."""
        if self._single_chunk and not answer.is_waiting:
            self._order.add_text(kind, answer, 0)
        return self._single_chunk or answer.is_waiting

    def finish_message(self, message_id: str, text: str, reasoning: str = "") -> None:
        """Finish an answer with its full text, without emitting the text of its deltas again."""
        answer = self.get_or_add_answer(message_id)
        if answer.is_finished:
            return
        if reasoning and not answer.has_reasoning:
            self.add_reasoning(message_id, reasoning)
        if text and not answer.has_text:
            self.add_text(message_id, text)
            answer.is_whole = True
        answer.full_text = text
        answer.is_finished = True
        self._advance()

    def finish_open(self) -> None:
        """Finish all answers: they get no more text."""
        for answer in self._queue:
            answer.is_finished = True
        self._advance()

    def add_block(self, block: Mapping[str, Any]) -> None:
        """Add a standard content block that is not text."""
        self.flush()
        markers = self._order.add_block(block)
        if not self._single_chunk:
            self._chunks.append(self._build_chunk("", additional_kwargs={MARKERS_KEY: markers}))

    def flush(self) -> None:
        """Build a chunk from the text and reasoning collected so far."""
        answer, text = self._current, "".join(self._text)
        if not self._reasoning:
            if not text:
                return
            if answer is self._first_text_answer:
                self._text.clear()
                self._chunks.append(build_text_chunk(text))
                return
        reasoning = "".join(self._reasoning)
        self._text.clear()
        self._reasoning.clear()
        markers = self._order.add_text("reasoning", answer, len(reasoning)) if reasoning else []
        if text and answer:
            is_new = not self._order.has_block("text", answer)
            markers = markers + self._order.add_text("text", answer, len(text))
            if is_new and self._first_text_answer is not None:
                text = SEPARATOR + text
            if self._order.is_first("text", answer):
                self._first_text_answer = answer
                self.plain_answer_id = "" if answer.is_finished else answer.id
        extra: dict[str, Any] = {"reasoning_content": reasoning} if reasoning else {}
        if markers:
            extra[MARKERS_KEY] = markers
        fields = {"additional_kwargs": extra} if extra else {}
        self._chunks.append(self._build_chunk(text, **fields))

    def take_chunks(self) -> list[ChatGenerationChunk]:
        """Return the chunks built since the last call."""
        self.flush()
        chunks, self._chunks = self._chunks, []
        return chunks

    def add_last_chunk(
        self,
        result: Mapping[str, Any],
        parse: Callable[[bytes], Any],
        *,
        cited: bool = False,
        **fields: Any,
    ) -> None:
        """Build the last chunk, with `result` as its `response_metadata`.

        For `parse` see `AnswerMessage.get_text`. With `cited`, its last text block has citations.
        """
        self.finish_open()
        self.flush()
        normalized = _NORMALIZED_REASONS.get(str(result.get("finish_reason")))
        if normalized:
            result = {**result, "normalized_finish_reason": normalized}
        text, extra = "", dict[str, Any]()
        if self._single_chunk:
            text, extra = self._join_answers(parse)
        elif cited and (markers := self._order.mark_citations()):
            extra = {MARKERS_KEY: markers}
        fields |= {"additional_kwargs": extra, "chunk_position": "last"}
        self._chunks.append(self._build_chunk(text, result, **fields))

    def _advance(self) -> None:
        """Emit waiting answers once all earlier answers have finished."""
        self.plain_answer_id = ""
        while self._queue and self._queue[0].is_finished:
            finished = self._queue.popleft()
            if finished.is_waiting:
                self._flush_waiting(finished)
        if self._queue and self._queue[0].is_waiting:
            self._flush_waiting(self._queue[0])

    def _flush_waiting(self, answer: AnswerMessage) -> None:
        """Emit the text that an answer buffered while it waited."""
        self.flush()
        answer.is_waiting = False
        self._current = answer
        if self._single_chunk:
            if answer.has_reasoning:
                self._order.add_text("reasoning", answer, 0)
            if answer.has_text:
                self._order.add_text("text", answer, 0)
            return
        self._reasoning += answer.reasoning_parts
        self._text += [part for part in answer.text_parts if isinstance(part, str)]
        self.flush()

    def _join_answers(self, parse: Callable[[bytes], Any]) -> tuple[str, dict[str, Any]]:
        """Return the joined text of all answers, and the `additional_kwargs` that belong to it."""
        texts = {a: a.get_text(parse) for a in self._order.list_owners("text")}
        reasoning = {a: "".join(a.reasoning_parts) for a in self._order.list_owners("reasoning")}
        lengths = {("text", a): len(t) for a, t in texts.items()}
        lengths |= {("reasoning", a): len(t) for a, t in reasoning.items()}
        extra: dict[str, Any] = {}
        if reasoning:
            extra["reasoning_content"] = "".join(reasoning.values())
        markers = self._order.list_markers(lengths)
        if markers:
            extra[MARKERS_KEY] = markers
        return SEPARATOR.join(texts.values()), extra

    def _build_chunk(
        self, text: str, last_metadata: Mapping[str, Any] | None = None, **fields: Any
    ) -> ChatGenerationChunk:
        """Return a chunk; the first and the last one contain the metadata, each key once."""
        metadata: dict[str, Any] = {}
        if last_metadata is not None or not self._sent_keys:
            known = self._first_metadata
            metadata = {key: known[key] for key in known if key not in self._sent_keys}
            self._sent_keys.update(metadata)
        metadata |= last_metadata or {}
        build = build_chunk if fields else build_text_chunk  # which takes no other fields
        return build(text, metadata, **fields)
