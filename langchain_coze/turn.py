r"""One turn of a bot as a state machine: bytes of its event stream in, message chunks out. No I/O.

What a turn says arrives as deltas and again as completed messages (wire section 2.4); several
answers may interleave; recalls, tool calls, suggestions and control messages stand between them. A
`Turn` sorts that out by type, never by position. It works in one of two ways:

* streaming: a chunk for each read, from the deltas;
* whole: deltas are passed over unread, one chunk at the end, from the completed messages.

Both keep the same order and give the same message in the end.

Example:
    ```python
    from langchain_coze.turn import Turn

    turn = Turn(model_name="7374724495711502387")
    stream = (
        b"event:conversation.message.delta\n"
        b'data:{"id":"1","type":"answer","content":"Hi","content_type":"text"}\n\n'
        b'event:conversation.chat.completed\ndata:{"id":"2","status":"completed"}\n\n'
        b'event:done\ndata:"[DONE]"\n\n'
    )
    chunks = turn.receive(stream) + turn.finish()
    assert chunks[0].text == "Hi"
    assert chunks[-1].message.response_metadata["finish_reason"] == "stop"
    ```
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_coze.answers import Answers, content_of
from langchain_coze.api.schema import Chat, Failure, Message, Usage, failure_in, parse
from langchain_coze.api.sse import Decoder
from langchain_coze.chunks import text_chunk
from langchain_coze.codes import cut_error, error_for
from langchain_coze.contents import (
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
from langchain_coze.errors import CozeChatError, CozeError, ErrorResponse, redact
from langchain_coze.notices import warn_user
from langchain_coze.recall import read_recall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_core.outputs import ChatGenerationChunk

UNSAVED = "auto_save_history"
"""The key under which an answer that waits for its user tells that its chat was not saved."""

_DELTA = "conversation.message.delta"
_COMPLETED = "conversation.message.completed"
_DELTA_BEGIN = b"event:conversation.message.delta\ndata:"
_CONTENT = b'"content":"'
_NEVER = b"\0"
_NOTHING: tuple[ChatGenerationChunk, ...] = ()
_IDS = {"conversation_id": "conversation_id", "id": "chat_id", "section_id": "section_id"}
_NO_CHAT = Chat()  # of which nothing is known
_HTTP_OK = 200
_BODY_KEPT = 2000  # characters
_BAD_ENDS = frozenset({"failed", "canceled", "expired"})
_THINKS = b"reasoning_content"


class Turn:
    """What has been seen of one turn, and what is to be told of it.

    Attributes:
        ids: `conversation_id`, `chat_id` and `section_id`, as far as they are known.
        finished: Whether the bot has said that the turn is over.
    """

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
        self._saved = saved
        self._late_usage = late_usage
        self._secret = secret
        self.ids: dict[str, str] = {}
        self.finished = False
        self._logid = logid
        self._about = {"model_name": model_name}
        if logid:
            self._about["logid"] = logid
        self._whole = whole
        self._decoder = Decoder()
        self._answers = Answers(self._about, whole=whole)
        self._begin = _DELTA_BEGIN  # how a read begins that is one delta, or one to be passed over
        self._skipped: list[bytes] = []
        self._before = self._after = _NEVER  # what surrounds the text of a plain delta
        self._seen: set[str] = set(told)
        self._calls: deque[str] = deque()
        self._sounds: list[str] = []
        self._recalled: list[dict[str, Any]] = []
        self._follow_ups: list[str] = []
        self._result: dict[str, Any] = {"finish_reason": "stop"}
        self._chat = _NO_CHAT
        self._ended = False

    @property
    def state(self) -> str:
        """The finish reason, or `open` as long as the turn is not over."""
        return str(self._result["finish_reason"]) if self.finished else "open"

    @property
    def open_calls(self) -> frozenset[str]:
        """The ids of the tool calls that the bot waits for."""
        calls = self._chat.required_action.submit_tool_outputs.tool_calls
        return frozenset(call.id for call in calls if self.state == "tool_calls")

    @property
    def message_ids(self) -> frozenset[str]:
        """The ids of the messages that the turn has told."""
        return frozenset(self._seen)

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
            if name != _DELTA:
                self._event(name, payload)
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
        for name, payload, _ in self._decoder.close():
            self._event(name, payload)
        if not self.finished:
            seen = "before the turn was over" if self.ids else "before anything was said"
            raise cut_error(f"The stream ended {seen}.", **self._facts())
        self._end()
        return self._answers.told()

    def broke(self, error: CozeError) -> None:
        """Take a broken connection: raise its error, unless the turn was over anyway.

        Args:
            error: Why nothing more can be read.

        Raises:
            CozeError: The same error, with the ids of the turn.
        """
        if not self.finished:
            for name, value in self._facts().items():
                setattr(error, name, value)
            raise error

    # --- Events --------------------------------------------------------------------------------

    def _event(self, name: str, payload: bytes) -> None:
        body = self._parsed(payload) if name == _COMPLETED else parse(payload)
        handler = self._EVENTS.get(name)
        if handler is not None:
            handler(self, body)
        elif name in {"", "error"}:
            if name or failure_in(body) is not None:
                self._failed(body if isinstance(body, dict) else {"msg": _text(payload)})
        elif name.startswith("conversation.chat.") and _chat(body).status in _BAD_ENDS:
            self._failed(body)

    def _identify(self, body: Any) -> None:
        """Note the ids of the turn."""
        if isinstance(body, dict):
            for key, name in _IDS.items():
                value = body.get(key)
                if value and isinstance(value, (str, int)):
                    self._about[name] = self.ids[name] = str(value)

    def _parsed(self, payload: bytes) -> Any:
        """Return the JSON of a piece of an answer: an unreadable one must not go unnoticed."""
        body = parse(payload)
        if body is None:
            message = "The stream has a piece of an answer that is not JSON."
            raise cut_error(message, **self._facts())
        return body

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

    def _completed(self, body: Any) -> None:
        if not isinstance(body, dict):
            return
        message = Message.model_validate(body)
        if message.role == "user" or (message.id and message.id in self._seen):
            return  # Studio lists the user's question among the messages of a turn
        self._seen.add(message.id)
        handler = self._MESSAGES.get(message.type)
        if handler is not None:
            handler(self, message)

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
            if recall.status_code:
                warn_user(
                    "The search in the bot's knowledge base failed (status_code "
                    f"{recall.status_code}): the answer has no sources. "
                    "知识库检索失败，回答没有引用来源。"
                )
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

    def _requires_action(self, body: Any) -> None:
        self._close(body)
        self._wait_for_user()

    def _wait_for_user(self) -> None:
        """Note what the bot waits for: results of its calls, or, without calls, an answer."""
        calls = self._chat.required_action.submit_tool_outputs.tool_calls
        self._result["finish_reason"] = "tool_calls" if calls else "interrupt"

    def _close(self, body: Any) -> None:
        """Take the word that the turn is over; more messages, or `done`, may follow."""
        self._chat = _chat(body)
        if self._chat.status in _BAD_ENDS:
            self._failed(body)
        if self._chat.status == "requires_action":
            self._wait_for_user()
        elif self._result["finish_reason"] == "tool_calls":
            self._result["finish_reason"] = "stop"  # it went on without us
        self._identify(body)
        self.finished = True

    def _failed(self, body: Any) -> None:
        if self.finished and self.state != "tool_calls":
            return  # the bot has given its whole answer
        self._identify(body)
        failure = Failure.model_validate(body if isinstance(body, dict) else {})
        words = redact(failure.words, self._secret)
        words = words or f"The chat has ended: {_chat(body).status or 'error'}."
        told = redact(to_json(body).decode()[:_BODY_KEPT], self._secret)
        facts = {
            **self._facts(),
            "debug_url": failure.debug_url or None,
            "response": ErrorResponse(status_code=_HTTP_OK, headers={}, text=told),
        }
        raise error_for(failure.number or None, words, default=CozeChatError, **facts)

    def _done(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("debug_url"), str):
            self._result["debug_url"] = body["debug_url"]
        if self._seen or self._answers.begun:  # else it is the end of nothing: see `finish`
            self.finished = True
        if self.finished and not self._late_usage:
            self._end()

    _EVENTS: ClassVar[Mapping[str, Callable[[Turn, Any], None]]] = {
        "conversation.chat.created": _identify,
        "conversation.chat.in_progress": _identify,
        _COMPLETED: _completed,
        "conversation.audio.delta": _audio,
        "conversation.chat.completed": _close,
        "conversation.chat.requires_action": _requires_action,
        "conversation.chat.required_action": _requires_action,
        "conversation.chat.failed": _failed,
        "done": _done,
        "Done": _done,
        "conversation.stream.done": _done,
    }

    _MESSAGES: ClassVar[Mapping[str, Callable[[Turn, Message], None]]] = {
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

    def _facts(self) -> dict[str, Any]:
        """Return what every error of this turn tells."""
        return {
            "logid": self._logid,
            "chat_id": self.ids.get("chat_id"),
            "conversation_id": self.ids.get("conversation_id"),
        }


def _chat(body: Any) -> Chat:
    return Chat.model_validate(body if isinstance(body, dict) else {})


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").strip()
