"""Parse the state of one chat from its event stream: ids, status, errors. No I/O.

Subclasses handle the messages: `AnswerParser` for answers, `RecallParser` for recalls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import to_json

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import make_error, make_truncated_error
from langchain_coze._api.models import (
    Chat,
    CozeMessage,
    ErrorReport,
    Usage,
    find_failure,
    parse_json,
)
from langchain_coze._api.replies import build_event_response
from langchain_coze._api.sse import Decoder
from langchain_coze._chat.history import INTERRUPT, OPEN, STOP, TOOL_CALLS, LastTurn
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeChatError, CozeError, CozeNotFoundError, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DELTA_EVENT = "conversation.message.delta"
"""The name of the event with a delta of an answer."""

COMPLETED_EVENT = "conversation.message.completed"
"""The name of the event with a complete message."""

_MESSAGE_EVENTS = frozenset({DELTA_EVENT, COMPLETED_EVENT})
_ID_KEYS = {"conversation_id": "conversation_id", "id": "chat_id", "section_id": "section_id"}
_NO_IDS: frozenset[str] = frozenset()  # one for all turns: Python makes a new one for each call
_UNKNOWN_CHAT = Chat()  # until the turn ends
_SIDE_CHANNEL_TYPES = frozenset({"verbose", "knowledge"})  # messages for programs, not users
_FAILED_STATUSES = frozenset({"failed", "canceled", "expired"})


class ChatStreamParser:
    """Parser for the event stream of one chat.

    Attributes:
        ids: `conversation_id`, `chat_id` and `section_id`, as far as known.
        is_finished: Whether Coze has reported the end of the turn.
        is_done: Whether the turn has ended and `done`, the last event, has arrived.
    """

    def __init__(
        self,
        *,
        logid: str | None = None,
        token: str = "",
        already_seen_ids: Iterable[str] = (),
        submitted_outputs: Iterable[str] = (),
        expected_conversation_id: str | None = None,
        needs_conversation: bool = False,
    ) -> None:
        """Create a parser for one chat.

        Args:
            logid: The log id of the response.
            token: The token of the request, to mask in errors.
            already_seen_ids: Ids of messages from earlier rounds of the turn, to skip.
            submitted_outputs: The submitted tool outputs, which Coze sends again.
            expected_conversation_id: The requested conversation; None for any. For an unknown
                conversation, Coze Studio runs the turn in a new one, while Coze rejects the
                request.
            needs_conversation: Whether the turn depends on earlier turns of that conversation.
        """
        self.ids: dict[str, str] = {}
        self.is_finished = False
        self.is_done = False
        self._logid = logid
        self.token = token
        self._decoder = Decoder()
        self._already_seen_ids = frozenset(already_seen_ids)
        self._seen_ids: set[str] = set(self._already_seen_ids)
        self._submitted_outputs = frozenset(submitted_outputs)
        self._last_metadata: dict[str, Any] = {"finish_reason": STOP}
        self._chat = _UNKNOWN_CHAT
        self._answer_usage = Usage()
        self._expected_conversation_id = expected_conversation_id
        self._needs_conversation = needs_conversation

    @property
    def state(self) -> str:
        """The finish reason, or `OPEN` until the turn ends."""
        return str(self._last_metadata["finish_reason"]) if self.is_finished else OPEN

    def build_last_turn(self, task: str) -> LastTurn | None:
        """Return the turn in its current state; None if its ids are not known yet."""
        if "chat_id" not in self.ids or "conversation_id" not in self.ids:
            return None
        calls = self._chat.function_calls if self.state == TOOL_CALLS else ()
        may_continue = self.state in {OPEN, TOOL_CALLS}
        return LastTurn(
            chat_id=self.ids["chat_id"],
            conversation_id=self.ids["conversation_id"],
            state=self.state,
            open_calls=frozenset(call.id for call in calls) or _NO_IDS,
            message_ids=frozenset(self._seen_ids) if may_continue else _NO_IDS,
            task=task,
        )

    # --- Input ---------------------------------------------------------------------------------

    def read_polled(self, chat: Mapping[str, Any], messages: Iterable[Any]) -> None:
        """Handle the final state and the messages of a polled turn; raise if it has failed."""
        self.record_ids(chat)
        for message in messages:
            self._handle_completed(message)
        self._handle_chat_end(chat)

    def handle_event(self, name: str, payload: bytes) -> None:
        """Handle one event; raise the error that it reports. A raw JSON line has no name."""
        parse = self._parse_message if name in _MESSAGE_EVENTS else parse_json
        body = parse(payload)
        handler = self.EVENT_HANDLERS.get(name)
        if handler is not None:
            getattr(self, handler)(body)
        elif name in {"", "error"}:
            if name or find_failure(body) is not None:
                text = payload.decode("utf-8", "replace").strip()
                self._handle_failure(body if isinstance(body, dict) else {"msg": text})
        elif name.startswith("conversation.chat.") and Chat.parse(body).status in _FAILED_STATUSES:
            self._handle_failure(body)

    def require_end(self) -> None:
        """Handle the end of the stream; raise if it reports an error or the turn has not ended."""
        for name, payload in self._decoder.close():
            self.handle_event(name, payload)
        if not self.is_finished:
            progress = "before the turn was over" if self.ids else "before the turn started"
            raise make_truncated_error(
                f"The stream ended {progress}.", **self.collect_error_context()
            )

    def handle_connection_lost(self, error: CozeError) -> None:
        """Raise the error of a lost connection, with the ids, unless the turn has already ended."""
        if not self.is_finished:
            raise error.with_context(**self.collect_error_context()) from error.__cause__

    def collect_error_context(self) -> dict[str, Any]:
        """Return the log id and the ids that every error of this turn carries."""
        return {
            "logid": self._logid,
            "chat_id": self.ids.get("chat_id"),
            "conversation_id": self.ids.get("conversation_id"),
        }

    # --- Events --------------------------------------------------------------------------------

    def _parse_message(self, payload: bytes) -> Any:
        """Return the JSON of a message; raise if it is invalid, so that no text is lost."""
        body = parse_json(payload)
        if body is None and payload.strip() != b"null":
            message = "The stream contains a delta of an answer that is not JSON."
            raise make_truncated_error(message, **self.collect_error_context())
        return body

    def record_ids(self, body: Any) -> None:
        """Record the ids of the turn; keep the first ones, because they have been emitted."""
        if isinstance(body, dict):
            for key, name in _ID_KEYS.items():
                value = body.get(key)
                if value and isinstance(value, (str, int)):
                    self.ids.setdefault(name, str(value))
            self._check_conversation()

    def _check_conversation(self) -> None:
        """Raise, or warn once, if the turn does not run in the requested conversation."""
        expected, actual = self._expected_conversation_id, self.ids.get("conversation_id")
        if expected is None or actual is None:
            return
        self._expected_conversation_id = None
        if actual == expected:
            return
        if self._needs_conversation:
            raise CozeNotFoundError(
                f"The server does not know the conversation {expected}: this turn ran in a new "
                f"one, {actual}, without the earlier messages.",
                hint=hints.CONVERSATION_UNKNOWN,
                **self.collect_error_context(),
            )
        warn_user(hints.CONVERSATION_LOST.format(expected=expected, actual=actual))

    def _handle_completed(self, body: Any) -> None:
        if not isinstance(body, dict):
            return
        message = CozeMessage.model_validate(body)
        if message.role == "user":
            return  # Studio lists the user's question among the messages of a turn
        if message.meta_data.output_count:  # Studio repeats an answer, with its token counts
            self._answer_usage = message.meta_data
        # several side-channel messages may share an id
        is_side_channel = (
            message.type in _SIDE_CHANNEL_TYPES and message.id not in self._already_seen_ids
        )
        # a hash, because ids are stored as long as the conversation
        key = f"{message.id} {hash(message.content)}" if is_side_channel else message.id
        if message.id and key in self._seen_ids:
            return
        self._seen_ids |= {message.id, key}
        getattr(self, self.MESSAGE_HANDLERS.get(message.type, "_handle_other"))(message)

    def _handle_other(self, message: CozeMessage) -> None:
        """Handle a message of any other type; does nothing unless overridden."""

    def _handle_requires_action(self, body: Any) -> None:
        self._handle_chat_end(body)
        self._set_pending_reason()

    def _set_pending_reason(self) -> None:
        """Record what the bot waits for: results if it has made calls, else an answer."""
        has_calls = bool(self._chat.function_calls)
        self._last_metadata["finish_reason"] = TOOL_CALLS if has_calls else INTERRUPT

    def _handle_chat_end(self, body: Any) -> None:
        """Handle the event that ends the turn; more messages, or `done`, may follow."""
        self._chat = Chat.parse(body)
        if self._chat.status in _FAILED_STATUSES:
            self._handle_failure(body)
        if self._chat.status == "requires_action":
            self._set_pending_reason()
        elif self._last_metadata["finish_reason"] == TOOL_CALLS:
            self._last_metadata["finish_reason"] = STOP  # the turn continued without results
        self.record_ids(body)
        self.is_finished = True

    def _handle_failure(self, body: Any) -> None:
        if self.is_finished and self.state != TOOL_CALLS:
            return  # the answer is already complete
        self.record_ids(body)
        failure = ErrorReport.parse(body)
        message = redact(failure.message, self.token)
        message = message or f"The chat has ended: {Chat.parse(body).status or 'error'}."
        context = {
            **self.collect_error_context(),
            "debug_url": failure.debug_url or None,
            "response": build_event_response(to_json(body).decode(), self.token),
        }
        raise make_error(failure.code or None, message, default=CozeChatError, **context)

    def _handle_done(self, body: Any) -> None:
        if isinstance(body, dict) and isinstance(body.get("debug_url"), str):
            self._last_metadata["debug_url"] = body["debug_url"]
        if self._seen_ids:  # `done` without messages does not end a turn: see `require_end`
            self.is_finished = True
        self.is_done = self.is_finished

    EVENT_HANDLERS: ClassVar[Mapping[str, str]] = {
        "conversation.chat.created": "record_ids",
        "conversation.chat.in_progress": "record_ids",
        COMPLETED_EVENT: "_handle_completed",
        "conversation.chat.completed": "_handle_chat_end",
        "conversation.chat.requires_action": "_handle_requires_action",
        "conversation.chat.required_action": "_handle_requires_action",
        "conversation.chat.failed": "_handle_failure",
        "done": "_handle_done",
        "Done": "_handle_done",
        "conversation.stream.done": "_handle_done",
    }
    """The names of the methods that handle events, by event name."""

    MESSAGE_HANDLERS: ClassVar[Mapping[str, str]] = {}
    """The names of the methods that handle complete messages, by message type."""
