r"""One turn of a bot as a state machine: bytes of its event stream in, message chunks out. No I/O.

What a turn says arrives as deltas and again as completed messages (wire section 2.4); several
answers may interleave; recalls, tool calls, suggestions and control messages stand between them. A
`Turn` sorts that out by type, never by position. It works in one of two ways:

* streaming: a chunk for each read, from the deltas;
* whole: deltas are passed over unread, one chunk at the end, from the completed messages.

Both keep the same order and give the same message in the end.
"""

from __future__ import annotations

from collections import ChainMap, deque
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_coze._api.models import Message, Usage, parse
from langchain_coze._chat.assembly import Answers, content_of
from langchain_coze._chat.stream import DELTA, Progress
from langchain_coze._convert.chunks import text_chunk
from langchain_coze._convert.from_coze import (
    Block,
    audio_block,
    call_block,
    card_block,
    is_interrupt,
    read_items,
    result_block,
    usage_metadata,
    whole_arguments,
)
from langchain_coze._convert.recall import read_recall, troubles
from langchain_coze._warnings import warn_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_core.outputs import ChatGenerationChunk

UNSAVED = "auto_save_history"
"""The key under which an answer that waits for its user tells that its chat was not saved."""

_DELTA_BEGIN = b"event:conversation.message.delta\ndata:"
_CONTENT = b'"content":"'
_NEVER = b"\0"
_NOTHING: tuple[ChatGenerationChunk, ...] = ()
_THINKS = b"reasoning_content"


class Turn(Progress):
    """What has been seen of one turn, and what is to be told of it."""

    def __init__(
        self,
        model_name: str,
        *,
        logid: str | None = None,
        secret: str = "",
        whole: bool = False,
        saved: bool = True,
        told: Iterable[str] = (),
        late_usage: bool = False,
    ) -> None:
        """Begin a turn of which nothing has been seen yet.

        Args:
            model_name: The bot or workflow id, told in `response_metadata`.
            logid: The log id of the response.
            secret: The token, which must not appear in errors.
            whole: Give one chunk at the end instead of a chunk for each read.
            saved: Whether Coze keeps the turn; an answer that waits for its user tells if not.
            told: Ids of messages that are not to be told again.
            late_usage: Hold the last chunk back until `finish`, so that `add_usage` can be called.
        """
        super().__init__(logid=logid, secret=secret, told=told)
        self._saved = saved
        self._late_usage = late_usage
        about = {"model_name": model_name, **({"logid": logid} if logid else {})}
        self._whole = whole
        self._answers = Answers(ChainMap(self.ids, about), whole=whole)
        self._begin = _DELTA_BEGIN  # how a read begins that is one delta, or one to be passed over
        self._skipped: list[bytes] = []
        self._before = self._after = _NEVER  # what surrounds the text of a plain delta
        self._calls: deque[str] = deque()
        self._sounds: list[str] = []
        self._recalled: list[dict[str, Any]] = []
        self._follow_ups: list[str] = []
        self._ended = False

    @property
    def lacks_usage(self) -> bool:
        """Whether the turn has ended well and nothing has told its token counts."""
        wanted = self._late_usage and self.state == "stop"
        return wanted and usage_metadata(self._chat.usage) is None

    def add_usage(self, usage: Usage) -> None:
        """Take token counts that the stream did not tell (Coze Studio)."""
        self._chat = self._chat.model_copy(update={"usage": usage})

    # --- What comes in -------------------------------------------------------------------------

    def receive(self, data: bytes) -> Sequence[ChatGenerationChunk]:
        """Take the next bytes of the stream and return the chunks that they make.

        Args:
            data: Bytes as they were read; any length.

        Raises:
            CozeError: The bot, or Coze, reports an error.
        """
        # Nearly all reads of a stream are one delta: they are told apart here, by their bytes.
        # The deltas of one answer differ in nothing but their text.
        if data.startswith(self._before) and data.endswith(self._after) and self._decoder.idle:
            said = data[len(self._before) : -len(self._after)]
            if said and b'"' not in said and b"\\" not in said and b"\n" not in said:
                return (text_chunk(said.decode("utf-8", "replace")),)
            text = parse(b'"%s"' % said)  # with escapes; None where it is not one string
            if text:
                return (text_chunk(text),)
        if (
            data.startswith(self._begin)
            and data.endswith(b"}\n\n")
            and data.find(b"\n", len(_DELTA_BEGIN)) == len(data) - 2
            and self._decoder.idle
        ):
            if self._passes(data):
                self._skipped.append(data)
                return _NOTHING
            return self._receive_delta(data[len(_DELTA_BEGIN) :])
        for name, payload, _ in self._decoder.feed(data):
            if self._ended:
                break
            if name != DELTA:
                self.event(name, payload)
            elif (read := _DELTA_BEGIN + payload).startswith(self._begin) and self._passes(read):
                self._skipped.append(read)
            else:
                self._delta(self._parsed(payload), payload)
        return self._answers.told()

    def _passes(self, read: bytes) -> bool:
        """Return whether a delta of the right beginning need not be looked into."""
        return self._begin is not _DELTA_BEGIN and _THINKS not in read

    def _receive_delta(self, payload: bytes) -> Sequence[ChatGenerationChunk]:
        """Take a delta that came alone; most need nothing but a chunk with their text."""
        delta = self._parsed(payload)
        try:
            if (
                delta["id"] == self._answers.plain_id
                and delta["type"] == "answer"
                and delta["content_type"] == "text"
                and not delta.get("reasoning_content")
            ):
                text = delta["content"]
                if text and isinstance(text, str):
                    if self._before is _NEVER:
                        self._learn(payload, text)
                    return (text_chunk(text),)
        except (KeyError, TypeError):
            pass  # another shape
        if not self._ended:
            self._delta(delta, payload)
        return self._answers.told()

    def _learn(self, payload: bytes, text: str) -> None:
        """Note what stands before and after the text of a plain delta."""
        begin = payload.find(_CONTENT) + len(_CONTENT)
        end = payload.find(b'"', begin)
        if payload[begin:end] == text.encode("utf-8", "replace"):
            self._before = _DELTA_BEGIN + payload[:begin]
            self._after = payload[end:]

    def replay(self, chat: Mapping[str, Any], messages: Iterable[Any]) -> list[ChatGenerationChunk]:
        """Take a turn that was polled for, and return its chunks.

        Args:
            chat: The chat at its end, as Coze sent it.
            messages: Its messages, as Coze sent them, in any order.

        Raises:
            CozeError: The turn did not succeed.
        """
        self._identify(chat)
        for message in messages:
            self._completed(message)
        self._close(chat)
        return self.finish()

    def finish(self) -> list[ChatGenerationChunk]:
        """Take the end of the stream and return the last chunks.

        Raises:
            CozeStreamError: The stream was cut: the turn has not come to its end.
            CozeError: Its last bytes report an error.
        """
        self.close()
        self._end()
        return self._answers.told()

    # --- Events --------------------------------------------------------------------------------

    def _delta(self, delta: Any, payload: bytes) -> None:
        """Take a piece of an answer."""
        if not isinstance(delta, dict) or delta.get("type", "answer") != "answer":
            return
        if delta.get("content_type") in {"card", "object_string"}:
            return  # JSON, which the completed message has in one piece
        if not self.ids:
            self._identify({**delta, "id": delta.get("chat_id")})
        number = delta.get("id")
        message_id = "" if number is None else str(number)
        thought = delta.get("reasoning_content")
        if thought and isinstance(thought, str):
            self._answers.think(message_id, thought)
        text = content_of(delta)
        if text:
            answer = self._answers.say(message_id, text)
            if self._whole and not answer.waiting:  # its completed message will have all of it
                begin = b'{"id":' + to_json(number) + b","
                if payload.startswith(begin):
                    self._begin = _DELTA_BEGIN + begin
                    self._skipped = answer.unread

    def _answer(self, message: Message) -> None:
        self._begin = _DELTA_BEGIN
        self._before = _NEVER
        if message.content_type == "card":
            self._answers.place(card_block(message.content))
            return
        text, blocks = message.content, list[Block]()
        if message.content_type == "object_string":
            text, blocks = read_items(message.content)
        if text or not blocks:
            self._answers.complete(message.id, text, message.reasoning_content)
        for block in blocks:
            self._answers.place(block)

    def _audio(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("content"), str):
            self._sounds.append(body["content"])

    def _verbose(self, message: Message) -> None:
        recall = read_recall(message.type, message.content, rank=len(self._recalled) + 1)
        if recall is not None:
            self._recalled += recall.chunks
            for trouble in troubles(recall):
                warn_user(trouble)
            return
        if is_interrupt(message.content):
            self._result["finish_reason"] = "interrupt"

    def _follow_up(self, message: Message) -> None:
        self._follow_ups.append(message.content)

    def _function_call(self, message: Message) -> None:
        self._calls.append(message.id)
        self._answers.place(call_block(message.id, message.content))

    def _tool_output(self, message: Message) -> None:
        # the wire names no call: results come in the order of the calls
        call_id = self._calls.popleft() if self._calls else message.id
        self._answers.place(result_block(call_id, message.content))

    def _done(self, body: Any) -> None:
        super()._done(body)
        self.finished = self.finished or self._answers.begun
        if self.finished and not self._late_usage:
            self._end()

    _EVENTS: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {
        **Progress._EVENTS,  # noqa: SLF001 - what this class is made for
        "conversation.audio.delta": _audio,
        **dict.fromkeys(("done", "Done", "conversation.stream.done"), _done),
    }

    _MESSAGES: ClassVar[Mapping[str, Callable[[Any, Message], None]]] = {
        "answer": _answer,
        "follow_up": _follow_up,
        "verbose": _verbose,
        "knowledge": _verbose,
        "function_call": _function_call,
        "tool_output": _tool_output,
        "tool_response": _tool_output,
    }

    # --- What goes out -------------------------------------------------------------------------

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._before = _NEVER
        sound = audio_block(self._sounds)
        if sound:
            self._answers.place(sound)
        if not self._saved and self._result["finish_reason"] != "stop":
            self._result[UNSAVED] = False  # so it cannot be gone on with: see `memory`
        self._result["follow_up_questions"] = self._follow_ups
        self._result["knowledge_recall"] = self._recalled
        calls = self._chat.required_action.submit_tool_outputs.tool_calls
        asked = self._result["finish_reason"] == "tool_calls"
        self._answers.end(
            self._result,
            cited=bool(self._recalled),
            usage_metadata=usage_metadata(self._chat.usage),
            tool_call_chunks=[
                {
                    "type": "tool_call_chunk",
                    "id": call.id,
                    "name": call.function.name,
                    "args": whole_arguments(call.function.arguments),
                    "index": index,
                }
                for index, call in enumerate(calls if asked else ())
            ],
        )
