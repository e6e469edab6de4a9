r"""The fast path of a stream: recognise the deltas of an answer by their bytes, without parsing.

Most of a stream is deltas. With httpx most reads hold exactly one, with aiohttp as many as have
arrived. `AnswerParser` can read every stream by itself: it splits each read into events, parses
their JSON and emits the text. That costs several times as much as reading the bytes.
`FastAnswerParser` produces the same chunks at a lower cost.

Assumption: the deltas of one answer differ only in their text. From one delta that `AnswerParser`
    has parsed, the parser stores the bytes before and after the text. A read that starts and ends
    with these bytes is another delta of the answer if the bytes between them are the inside of one
    JSON string, or several such deltas if this is true of each event. A single chunk does not need
    the text of deltas, because the completed message contains all of it. Then the id of the answer
    is enough: deltas with this id are kept unparsed, in case no completed message arrives.

Fallback: all other bytes go through `AnswerParser`. Examples are the first
delta of an answer, a part of an event, reasoning, a second answer, `\r\n`, ids that are numbers,
and all events that are not deltas. If one of several events is not recognised, each is tried on its
own. The stored bytes are dropped when a message is completed and when the turn ends.

Tests: `tests/unit_tests/test_fast_path.py` feeds the same streams to both parsers, split at every
    byte and with random texts, and compares the chunks. It also counts the parsed deltas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from langchain_coze._api.models import parse_json
from langchain_coze._api.sse import split_events
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
_LINES = 3  # of an event: name, data, and the empty one


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
        if self._decoder.at_event_boundary and self._assembler.plain_answer_id == self._answer_id:
            text = self._recognise(data)
            if text is not None:
                return (build_text_chunk(text),) if text else ()
        self._handle_events(self._decoder.take_complete(data))
        return self._assembler.take_chunks()

    def _handle_events(self, data: bytes) -> None:
        """Handle complete events: all deltas in a row at once, if their bytes are known."""
        start = untried = 0
        while start < len(data) and not self._has_last_chunk:
            end = self._find_end_of_deltas(data, start) if start >= untried else 0
            text = self._recognise(data[start:end]) if end else None
            if text:
                self._assembler.add_text(self._answer_id, text)
            elif text is None:
                untried = end  # these deltas differ: handle each event on its own
                end = _find_end(data, start)
                for name, payload in split_events(data[start:end]):
                    self.handle_event(name, payload)
            start = end

    def _find_end_of_deltas(self, data: bytes, start: int) -> int:
        """Return the end of the last delta with the known bytes, if one starts here; else 0."""
        if not data.startswith(self._before, start):
            return 0
        return _find_end(data, data.rindex(self._before))

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
            if self._before is _NO_MATCH:
                self._learn(payload)

    def _recognise(self, data: bytes) -> str | None:
        """Return the text of deltas with the known bytes (empty if not needed), or None."""
        if not (data.startswith(self._before) and data.endswith(self._after)):
            return None
        is_one = data.find(b"\n", len(_PREFIX)) == len(data) - 2
        if self._single_chunk:
            if not is_one:
                count = data.count(self._after + self._before) + 1
                is_one = data.count(b"\n") == _LINES * count
            if not is_one or _REASONING_KEY in data:
                return None  # other events, or reasoning, which may exist only in deltas
            self._skipped.append(data)
            return ""
        if not is_one:
            return self._recognise_all(data)
        raw_text = data[len(self._before) : -len(self._after)]
        if len(data) < len(self._before) + len(self._after):
            return None  # they overlap
        text: str | None = raw_text.decode("utf-8", "replace")
        if b'"' in raw_text or b"\\" in raw_text or not (text and text.isprintable()):
            text = parse_json(b'"%b"' % raw_text)  # None if this is not one string of JSON
        return text

    def _recognise_all(self, data: bytes) -> str | None:
        """Return the text of several deltas with the known bytes, or None if one of them differs.

        Their texts are strings of JSON in a row. A line end between two of them makes sure that
        none contains the end of another: inside of a string it is not JSON.
        """
        before, after = self._before, self._after[:-2]
        events = data[:-2].split(b"\n\n")
        if min(map(len, events)) < len(before) + len(after):
            return None  # they overlap
        raw_texts = [
            event[len(before) : -len(after)]
            for event in events
            if event.startswith(before) and event.endswith(after)
        ]
        texts = parse_json(b'["%b"]' % b'",\n"'.join(raw_texts))
        is_plain = isinstance(texts, list) and len(texts) == len(raw_texts) == len(events)
        return "".join(texts) if is_plain else None

    def _learn(self, payload: bytes) -> None:
        """Store the bytes around the text of a delta of this answer, or the answer's id."""
        if self._single_chunk:
            self._learn_id(payload, self._assembler.plain_answer_id)
            return
        head, key, rest = payload.partition(_CONTENT_KEY)
        raw_text, quote, tail = rest.partition(b'"')
        delta = parse_json(payload) if raw_text else None
        if (
            delta
            and delta["content"] == raw_text.decode("utf-8", "replace")
            and delta.get("type") == "answer"
            and delta.get("content_type") == "text"
            and not delta.get("reasoning_content")
        ):
            self._answer_id = str(delta.get("id") or "")
            self._before, self._after = _PREFIX + head + key, quote + tail + b"\n\n"

    def _learn_id(self, payload: bytes, answer_id: str) -> None:
        """Keep the bytes before the text of a delta that belongs to this answer."""
        start = b'{"id":%b,' % to_json(answer_id)
        if answer_id and payload.startswith(start):
            self._answer_id = answer_id
            self._before, self._after = _PREFIX + start, b"}\n\n"
            self._skipped = self._assembler.get_or_add_answer(answer_id).text_parts

    def _forget(self) -> None:
        self._before = self._after = _NO_MATCH

    def _handle_answer(self, message: CozeMessage) -> None:
        self._forget()
        super()._handle_answer(message)

    def _add_last_chunk(self) -> None:
        self._forget()
        super()._add_last_chunk()


def _find_end(data: bytes, start: int) -> int:
    """Return the end of the event that starts here; a third line end in a row is an event too."""
    end = data.find(b"\n\n", start)
    return len(data) if end < 0 else end + 2
