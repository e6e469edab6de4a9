r"""The answers of one turn, told in order: text, reasoning and blocks in, message chunks out.

Answers may interleave on the wire (parallel nodes of a workflow, several agents). Told as they
come, their texts would be shuffled; here an answer that begins while another is unfinished waits
for its turn, so that a stream adds up to the same message that a whole turn gives.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from langchain_coze._api.models import parse
from langchain_coze._convert.chunks import text_chunk, validated_chunk
from langchain_coze._convert.content_blocks import MARKS, SEPARATOR, Layout, Mark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.outputs import ChatGenerationChunk


class Answer:
    """One answer message of the turn.

    Attributes:
        id: The message's id; empty when the server gives none.
        parts: The texts of its deltas that are still needed.
        unread: Reads with one delta each that have not been looked into, after `parts`.
        thoughts: The same as `parts`, of its reasoning.
        whole: The text of its completed message, or None before that.
        spoke: Whether it has said anything.
        thought: Whether it has reasoned.
        waiting: Whether another answer has to end before this one is told.
        done: Whether nothing more comes.
    """

    __slots__ = (
        "done",
        "id",
        "parts",
        "spoke",
        "thought",
        "thoughts",
        "unread",
        "waiting",
        "whole",
    )

    def __init__(self, message_id: str, *, waiting: bool) -> None:
        """Begin with nothing said."""
        self.id = message_id
        self.parts: list[str] = []
        self.unread: list[bytes] = []
        self.thoughts: list[str] = []
        self.whole: str | None = None
        self.spoke = False
        self.thought = False
        self.waiting = waiting
        self.done = False

    def text(self) -> str:
        """Return what this answer says: the completed text where there is one."""
        if self.whole:
            return self.whole
        self.read()
        return "".join(self.parts)

    def read(self) -> None:
        """Look into what has not been looked into."""
        deltas = (parse(data.partition(b"data:")[2]) for data in self.unread)
        self.parts += [content_of(delta) for delta in deltas]
        self.unread.clear()


_NONE = object()


def content_of(delta: Any) -> str:
    """Return the text of a delta; null is none."""
    text = delta.get("content") if isinstance(delta, dict) else None
    return text if isinstance(text, str) else ""


class Answers:
    """The answers of one turn.

    Attributes:
        plain_id: The id of the answer of which a delta, when nothing is collected, needs nothing
            but a chunk with its text: the first answer, from its second piece to its end.

    Args:
        about: What the first chunk tells in `response_metadata`. It may still grow: what is not
            known by then, the last chunk tells.
        whole: Make one chunk at the end instead of chunks on the way.
    """

    __slots__ = (
        "_about",
        "_by_id",
        "_chunks",
        "_layout",
        "_now",
        "_queue",
        "_settled",
        "_text",
        "_thoughts",
        "_told",
        "_whole",
        "plain_id",
    )

    def __init__(self, about: Mapping[str, Any], *, whole: bool = False) -> None:
        """Begin with no answer."""
        self._about = about
        self._told: set[str] = set()
        self._whole = whole
        self._layout = Layout()
        self._by_id: dict[str, Answer] = {}
        self._queue: deque[Answer] = deque()
        self._now: Answer | None = None  # whose text is being collected
        self._settled: Answer | None = None  # whose text needs no marks
        self.plain_id: Any = _NONE
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._chunks: list[ChatGenerationChunk] = []

    @property
    def begun(self) -> bool:
        """Whether any answer has begun."""
        return bool(self._by_id)

    def answer(self, message_id: str) -> Answer:
        """Return the answer with an id; a new one waits for those before it.

        Where the server gives no ids, what follows an ended answer belongs to the next one.
        """
        answer = self._by_id.get(message_id)
        if answer is None or (answer.done and not message_id):
            answer = self._by_id[message_id] = Answer(message_id, waiting=bool(self._queue))
            self._queue.append(answer)
        return answer

    def say(self, message_id: str, text: str) -> Answer:
        """Add text to an answer, and return the answer."""
        answer = self.answer(message_id)
        answer.spoke = True
        if answer.waiting or self._whole:
            answer.parts.append(text)
            if not answer.waiting:
                self._layout.say("text", answer, 0)
            return answer
        if answer is not self._now:
            self.flush()
            self._now = answer
        self._text.append(text)
        return answer

    def think(self, message_id: str, text: str) -> None:
        """Add reasoning to an answer."""
        answer = self.answer(message_id)
        answer.thought = True
        if answer.waiting or self._whole:
            answer.thoughts.append(text)
            if not answer.waiting:
                self._layout.say("reasoning", answer, 0)
            return
        if answer is not self._now or self._text:
            self.flush()
            self._now = answer
        self._thoughts.append(text)

    def complete(self, message_id: str, text: str, reasoning: str = "") -> None:
        """End an answer with its whole text; what its deltas told is not told again."""
        answer = self.answer(message_id)
        if answer.done:
            return
        if reasoning and not answer.thought:
            self.think(message_id, reasoning)
        if text and not answer.spoke:
            self.say(message_id, text)
        answer.whole = text
        answer.done = True
        self.plain_id = _NONE
        self._advance()

    def place(self, block: Mapping[str, Any]) -> None:
        """Add a block that is no text.

        Args:
            block: A standard content block.
        """
        self.flush()
        marks = self._layout.place(block)
        if not self._whole:
            self._chunks.append(self._chunk("", additional_kwargs={MARKS: marks}))

    def flush(self) -> None:
        """Make a chunk of what has been collected."""
        answer, text = self._now, "".join(self._text)
        if not self._thoughts:
            if not text:
                return
            if answer is self._settled:
                self._text.clear()
                self._chunks.append(text_chunk(text))
                return
        thoughts = "".join(self._thoughts)
        self._text.clear()
        self._thoughts.clear()
        marks = self._layout.say("reasoning", answer, len(thoughts)) if thoughts else []
        if text and answer:
            later = not self._layout.knows("text", answer) and self._settled is not None
            marks = marks + self._layout.say("text", answer, len(text))
            text = SEPARATOR + text if later else text
            if self._layout.is_first("text", answer):
                self._settled = answer
                self.plain_id = answer.id or _NONE
        extra: dict[str, Any] = {"reasoning_content": thoughts} if thoughts else {}
        if marks:
            extra[MARKS] = marks
        self._chunks.append(self._chunk(text, additional_kwargs=extra))

    def told(self) -> list[ChatGenerationChunk]:
        """Return the chunks made since the last call."""
        self.flush()
        chunks, self._chunks = self._chunks, []
        return chunks

    def end(self, result: Mapping[str, Any], *, cited: bool = False, **fields: Any) -> None:
        """Make the last chunk.

        Args:
            result: What it tells in `response_metadata`.
            cited: Whether the answer has sources, which stand on its last text.
            **fields: Further fields of `AIMessageChunk`.
        """
        for answer in self._queue:
            answer.done = True
        self.plain_id = _NONE
        self._advance()
        self.flush()
        text, extra = self._sum() if self._whole else ("", self._marked(cited=cited))
        self._chunks.append(
            self._chunk(text, result, additional_kwargs=extra, chunk_position="last", **fields)
        )

    def _advance(self) -> None:
        """Let the next answers speak when those before them have ended."""
        while self._queue and self._queue[0].done:
            ended = self._queue.popleft()
            if ended.waiting:
                self._catch_up(ended)
        if self._queue and self._queue[0].waiting:
            self._catch_up(self._queue[0])

    def _catch_up(self, answer: Answer) -> None:
        """Tell what an answer has said while it waited."""
        self.flush()
        answer.waiting = False
        self._now = answer
        if self._whole:
            for kind, spoke in (("reasoning", answer.thought), ("text", answer.spoke)):
                if spoke:
                    self._layout.say(kind, answer, 0)  # type: ignore[arg-type] # one of the two
            return
        self._thoughts += answer.thoughts
        self._text += answer.parts
        self.flush()

    def _sum(self) -> tuple[str, dict[str, Any]]:
        """Return the text of all answers and what goes beside it."""
        texts = {answer: answer.text() for answer in self._layout.owners("text")}
        thoughts = {answer: "".join(answer.thoughts) for answer in self._layout.owners("reasoning")}
        lengths = {("text", a): len(t) for a, t in texts.items()}
        lengths |= {("reasoning", a): len(t) for a, t in thoughts.items()}
        extra: dict[str, Any] = {}
        if thoughts:
            extra["reasoning_content"] = "".join(thoughts.values())
        marks = self._layout.whole(lengths)
        if marks:
            extra[MARKS] = marks
        return SEPARATOR.join(texts.values()), extra

    def _marked(self, *, cited: bool) -> dict[str, Any]:
        marks: list[Mark] = self._layout.cite() if cited else []
        return {MARKS: marks} if marks else {}

    def _chunk(
        self, text: str, told: Mapping[str, Any] | None = None, **fields: Any
    ) -> ChatGenerationChunk:
        """Return a chunk; the first and the last one tell about the turn, each fact once."""
        metadata: dict[str, Any] = {}
        if told is not None or not self._told:
            metadata = {key: self._about[key] for key in self._about if key not in self._told}
            self._told.update(metadata)
        return validated_chunk(text, {**metadata, **(told or {})}, **fields)
