r"""The fast path of a stream: recognise the deltas of an answer by their bytes, without parsing.

Most of a stream is deltas, and most reads hold exactly one. `AnswerParser` can read every stream by
itself: it splits each read into events, parses their JSON and emits the text. That costs several
times as much as reading the bytes. `FastAnswerParser` produces the same chunks at a lower cost.

Assumption: the deltas of one answer differ only in their text. From one delta that `AnswerParser`
    has parsed, the parser stores the bytes before and after the text. A read that starts and ends
    with these bytes is another delta of the answer if the bytes between them are the inside of one
    JSON string. A single chunk does not need the text of deltas, because the completed message
    contains all of it. Then the id of the answer is enough: deltas with this id are kept unparsed,
    in case no completed message arrives.

Fallback: all other bytes go through `AnswerParser`. Examples are the first
delta of an answer, a part of an event, reasoning, a second answer, `\r\n`, ids that are numbers,
and all events that are not deltas. If a read has several events, the decoder splits it first. The
stored bytes are dropped when a message is completed and when the turn ends.

Tests: `tests/unit_tests/test_fast_path.py` feeds the same streams to both parsers, split at every
    byte and with random texts, and compares the chunks. It also counts the parsed deltas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_coze._api.models import parse_json
from langchain_coze._chat.answer_parser import AnswerParser
from langchain_coze._chat.stream_parser import DELTA_EVENT
from langchain_coze._convert.chunks import build_text_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import ChatGenerationChunk

    from langchain_coze._api.models import CozeMessage

_PREFIX = b"event:conversation.message.delta\ndata:"
_CONTENT_KEY = b'"content":"'
_NO_MATCH = b"\0"
_REASONING_KEY = b"reasoning_content"


class FastAnswerParser(AnswerParser):
    """An `AnswerParser` that recognises most deltas by their bytes instead of parsing them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Create a parser; see `AnswerParser`."""
        super().__init__(*args, **kwargs)
        self._answer_id = ""  # the answer with the known bytes
        self._skipped: list[str | bytes] = []  # its unparsed deltas, if their text is not needed
        self._forget()

    def feed(self, data: bytes) -> Sequence[ChatGenerationChunk]:
        """Parse the next bytes of the stream; see `AnswerParser.feed`."""
        if self._decoder.at_event_boundary:
            text = self._recognise(data)
            if text is not None:
                return (build_text_chunk(text),) if text else ()
        return super().feed(data)

    def handle_event(self, name: str, payload: bytes) -> None:
        """Handle one event; see `ChatStreamParser.handle_event`."""
        if name != DELTA_EVENT:
            super().handle_event(name, payload)
            return
        text = self._recognise(_PREFIX + payload + b"\n\n")
        if text:
            self._assembler.add_text(self._answer_id, text)
        elif text is None:
            super().handle_event(name, payload)
            if self._before is _NO_MATCH and self._assembler.plain_answer_id:
                self._learn(payload, self._assembler.plain_answer_id)

    def _recognise(self, data: bytes) -> str | None:
        """Return the text of a delta with the known bytes (empty if not needed), or None."""
        if not (data.startswith(self._before) and data.endswith(self._after)):
            return None
        if self._single_chunk:
            if data.find(b"\n", len(_PREFIX)) != len(data) - 2 or _REASONING_KEY in data:
                return None  # several events, or reasoning, which may exist only in deltas
            self._skipped.append(data)
            return ""
        raw_text = data[len(self._before) : -len(self._after)]
        if b"\n" in raw_text:
            return None  # several events
        text: str | None = raw_text.decode("utf-8", "replace")
        if b'"' in raw_text or b"\\" in raw_text or not (text and text.isprintable()):
            text = parse_json(b'"%b"' % raw_text)  # None if this is not one string of JSON
        return text

    def _learn(self, payload: bytes, answer_id: str) -> None:
        """Store the bytes around the text of a delta of this answer, or the answer's id."""
        start = b'{"id":%b,' % to_json(answer_id)
        if not payload.startswith(start):
            return
        if self._single_chunk:
            self._before, self._after = _PREFIX + start, b"}\n\n"
            self._skipped = self._assembler.get_or_add_answer(answer_id).text_parts
            return
        self._answer_id = answer_id
        head, key, rest = payload.partition(_CONTENT_KEY)
        raw_text, quote, tail = rest.partition(b'"')
        delta = parse_json(payload)
        if (
            raw_text
            and delta["content"] == raw_text.decode("utf-8", "replace")
            and delta.get("type") == "answer"
            and delta.get("content_type") == "text"
            and not delta.get("reasoning_content")
        ):
            self._before, self._after = _PREFIX + head + key, quote + tail + b"\n\n"

    def _forget(self) -> None:
        self._before = self._after = _NO_MATCH

    def _handle_answer(self, message: CozeMessage) -> None:
        self._forget()
        super()._handle_answer(message)

    def _add_last_chunk(self) -> None:
        self._forget()
        super()._add_last_chunk()
