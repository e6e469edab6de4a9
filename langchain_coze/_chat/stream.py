"""How far one chat has come: its ids, its state, its errors, from the events of its stream. No I/O.

What a chat says is sorted out by those who listen: `Turn` for an answer, `Search` for a recall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_coze._api.error_codes import cut_error, error_for
from langchain_coze._api.models import Chat, Failure, Message, failure_in, parse
from langchain_coze._api.sse import Decoder
from langchain_coze.errors import CozeChatError, CozeError, ErrorResponse, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DELTA = "conversation.message.delta"
"""The name of the event with a piece of an answer."""

COMPLETED = "conversation.message.completed"
"""The name of the event with a whole message."""

_IDS = {"conversation_id": "conversation_id", "id": "chat_id", "section_id": "section_id"}
_NO_CHAT = Chat()  # of which nothing is known
_HTTP_OK = 200
_BODY_KEPT = 2000  # characters
_BESIDE = frozenset({"verbose", "knowledge"})  # the types of messages for programs
_BAD_ENDS = frozenset({"failed", "canceled", "expired"})


class Progress:
    """How far one chat has come.

    Attributes:
        ids: `conversation_id`, `chat_id` and `section_id`, as far as they are known.
        finished: Whether the bot has said that the turn is over.
    """

    def __init__(
        self, *, logid: str | None = None, secret: str = "", told: Iterable[str] = ()
    ) -> None:
        """Begin with a chat of which nothing has been seen yet.

        Args:
            logid: The log id of the response.
            secret: The token, which must not appear in errors.
            told: Ids of messages that are to be passed over.
        """
        self.ids: dict[str, str] = {}
        self.finished = False
        self._logid = logid
        self._secret = secret
        self._decoder = Decoder()
        self._told = frozenset(told)
        self._seen: set[str] = set(self._told)
        self._result: dict[str, Any] = {"finish_reason": "stop"}
        self._chat = _NO_CHAT

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

    # --- What comes in -------------------------------------------------------------------------

    def event(self, name: str, payload: bytes) -> None:
        """Take an event that is no delta.

        Args:
            name: Its name, or an empty string.
            payload: Its data.

        Raises:
            CozeError: The bot, or Coze, reports an error.
        """
        body = self._parsed(payload) if name == COMPLETED else parse(payload)
        handler = self._EVENTS.get(name)
        if handler is not None:
            handler(self, body)
        elif name in {"", "error"}:
            if name or failure_in(body) is not None:
                self._failed(body if isinstance(body, dict) else {"msg": _text(payload)})
        elif name.startswith("conversation.chat.") and chat_of(body).status in _BAD_ENDS:
            self._failed(body)

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            CozeStreamError: The stream was cut: the turn has not come to its end.
            CozeError: Its last bytes report an error.
        """
        for name, payload, _ in self._decoder.close():
            self.event(name, payload)
        if not self.finished:
            seen = "before the turn was over" if self.ids else "before anything was said"
            raise cut_error(f"The stream ended {seen}.", **self.facts())

    def broke(self, error: CozeError) -> None:
        """Take a broken connection: raise its error, unless the turn was over anyway.

        Args:
            error: Why nothing more can be read.

        Raises:
            CozeError: The same error, with the ids of the turn.
        """
        if not self.finished:
            for name, value in self.facts().items():
                setattr(error, name, value)
            raise error

    def facts(self) -> dict[str, Any]:
        """Return what every error of this turn tells."""
        return {
            "logid": self._logid,
            "chat_id": self.ids.get("chat_id"),
            "conversation_id": self.ids.get("conversation_id"),
        }

    # --- Events --------------------------------------------------------------------------------

    def _parsed(self, payload: bytes) -> Any:
        """Return the JSON of a piece of an answer: an unreadable one must not go unnoticed."""
        body = parse(payload)
        if body is None and payload.strip() != b"null":
            message = "The stream has a piece of an answer that is not JSON."
            raise cut_error(message, **self.facts())
        return body

    def _identify(self, body: Any) -> None:
        """Note the ids of the turn."""
        if isinstance(body, dict):
            for key, name in _IDS.items():
                value = body.get(key)
                if value and isinstance(value, (str, int)):
                    self.ids[name] = str(value)

    def _completed(self, body: Any) -> None:
        if not isinstance(body, dict):
            return
        message = Message.model_validate(body)
        if message.role == "user":
            return  # Studio lists the user's question among the messages of a turn
        # several messages beside the answer may share an id
        beside = message.type in _BESIDE and message.id not in self._told
        mark = f"{message.id} {message.content}" if beside else message.id
        if message.id and mark in self._seen:
            return
        self._seen |= {message.id, mark}
        handler = self._MESSAGES.get(message.type)
        if handler is not None:
            handler(self, message)
        else:
            self._other(message)

    def _other(self, message: Message) -> None:
        """Take a message of a type that nobody listens for."""

    def _requires_action(self, body: Any) -> None:
        self._close(body)
        self._wait_for_user()

    def _wait_for_user(self) -> None:
        """Note what the bot waits for: results of its calls, or, without calls, an answer."""
        calls = self._chat.required_action.submit_tool_outputs.tool_calls
        self._result["finish_reason"] = "tool_calls" if calls else "interrupt"

    def _close(self, body: Any) -> None:
        """Take the word that the turn is over; more messages, or `done`, may follow."""
        self._chat = chat_of(body)
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
        words = words or f"The chat has ended: {chat_of(body).status or 'error'}."
        told = redact(to_json(body).decode()[:_BODY_KEPT], self._secret)
        facts = {
            **self.facts(),
            "debug_url": failure.debug_url or None,
            "response": ErrorResponse(status_code=_HTTP_OK, headers={}, text=told),
        }
        raise error_for(failure.number or None, words, default=CozeChatError, **facts)

    def _done(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("debug_url"), str):
            self._result["debug_url"] = body["debug_url"]
        if self._seen:  # else it is the end of nothing: see `close`
            self.finished = True

    _EVENTS: ClassVar[Mapping[str, Callable[[Any, Any], None]]] = {
        "conversation.chat.created": _identify,
        "conversation.chat.in_progress": _identify,
        COMPLETED: _completed,
        "conversation.chat.completed": _close,
        "conversation.chat.requires_action": _requires_action,
        "conversation.chat.required_action": _requires_action,
        "conversation.chat.failed": _failed,
        "done": _done,
        "Done": _done,
        "conversation.stream.done": _done,
    }

    _MESSAGES: ClassVar[Mapping[str, Callable[[Any, Message], None]]] = {}


def chat_of(body: Any) -> Chat:
    """Return the chat that a body describes, as far as it does.

    Args:
        body: JSON, or None.
    """
    return Chat.model_validate(body if isinstance(body, dict) else {})


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace").strip()
