"""Start a turn: lock its conversation, verify the history, upload files, send the request.

`start_turn` is a single flow: it also cancels an abandoned chat first. Sync and async callers
differ only in the client method that runs it. `TurnRun.finish` records how the turn ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from langchain_coze import _runtime
from langchain_coze._api.chats import (
    cancel_chat,
    create_conversation,
)
from langchain_coze._api.conversation_lock import LockHandle, acquire
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze._api.files import upload_all
from langchain_coze._api.models import Chat
from langchain_coze._api.polling import start_and_poll_chat
from langchain_coze._api.retry import mark_received, send_with_retry
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze._chat.continuation import (
    check_fork,
    find_last_turn,
    find_task,
    is_refusal_of_results,
    restart_if_forked,
)
from langchain_coze._chat.history import OPEN, LastTurn, TurnPlan, is_own_answer, plan_turn
from langchain_coze._chat.options import CONVERSATION_NAME
from langchain_coze._chat.request import build_request, draft_messages
from langchain_coze._chat.stream_parser import ChatStreamParser
from langchain_coze._convert.to_coze import list_attachments
from langchain_coze.errors import (
    CozeConversationBusyError,
    CozeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._chat.options import ChatOptions
    from langchain_coze._convert.to_coze import EnterMessage

_MAX_LOCK_WAIT = 600.0  # seconds to wait for other turns of the conversation

P = TypeVar("P", bound=ChatStreamParser)


class EarlierRounds(NamedTuple):
    """What the earlier rounds of a turn, before its tool outputs were submitted, have exchanged.

    Attributes:
        message_ids: Ids of the messages received.
        outputs: The tool outputs submitted.
    """

    message_ids: frozenset[str] = frozenset()
    outputs: tuple[str, ...] = ()


class TurnRun(Generic[P]):
    """The run of one turn, from before it starts until after it ends.

    Attributes:
        options: The options of the call.
        parser: The parser of its stream; None until the turn has started.
        stream: Its open stream; None if the turn was polled.
        chat: Polled turn: the chat in its final state, as Coze sent it.
        messages: Polled turn: its messages, as Coze sent them.
        token: The token that was sent.
        began_at: When the call began, by `time.monotonic()`.
        task: See `LastTurn`.
        requested_conversation_id: The conversation that the turn was to run in.
    """

    def __init__(
        self, options: ChatOptions, make_parser: Callable[[Reply, EarlierRounds], P]
    ) -> None:
        """Create a run without sending anything.

        Args:
            options: The options of the call.
            make_parser: Creates the stream parser from the reply that starts the turn and the
                earlier rounds of the turn.
        """
        self.options = options
        self.make_parser = make_parser
        self.parser: P | None = None
        self.stream: Any = None
        self.chat: Mapping[str, Any] = {}
        self.messages: Sequence[Any] = ()
        self.token = ""
        self.requested_conversation_id: str | None = None
        self.lock: LockHandle | None = None
        self.began_at = time.monotonic()
        self.task = ""
        self._started: dict[str, str] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """The `chat_id` and `conversation_id` of the turn, each once it is known."""
        return self._started if self.parser is None else {**self._started, **self.parser.ids}

    @property
    def is_finished(self) -> bool:
        """Whether Coze has reported the end of the turn."""
        return self.parser is not None and self.parser.is_finished

    def record_polled_start(self, reply: Reply, chat: Chat) -> None:
        """Record that Coze has started a polled turn."""
        self.token = reply.token
        self._started = {"chat_id": chat.id, "conversation_id": chat.conversation_id}

    def release_lock(self) -> None:
        """Let the next turn of the conversation start."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def finish(self) -> None:
        """Record how the turn ended, and let the next one of its conversation start."""
        if self.options.is_saved:
            ids, parser = self.ids, self.parser
            if ids.get("conversation_id") and ids.get("chat_id"):
                last_turn = LastTurn(ids["chat_id"], OPEN, task=self.task)
                if parser is not None:
                    last_turn = LastTurn(
                        ids["chat_id"],
                        parser.state,
                        parser.open_calls,
                        parser.message_ids,
                        self.task,
                    )
                # also for the requested one: if the server has lost it, the next turn must see that
                for conversation_id in {ids["conversation_id"], self.requested_conversation_id}:
                    if conversation_id is not None:
                        _runtime.last_turns.record(
                            self.options.base_url, conversation_id, last_turn
                        )
        self.release_lock()


class AnswerTurnRun(TurnRun[FastAnswerParser]):
    """The run of a turn that collects the answer."""

    def start(self, messages: Sequence[BaseMessage]) -> Flow[FastAnswerParser]:
        """Start the turn; see `start_turn`."""
        return start_turn(self, messages)

    def take_last_chunks(self) -> Sequence[ChatGenerationChunk]:
        """Return the chunks after those of the stream, or all chunks of a polled turn."""
        if self.parser is None:
            return ()
        if self.stream is None:
            return self.parser.feed_polled(self.chat, self.messages)
        return self.parser.finish()


def create_answer_turn(options: ChatOptions, *, single_chunk: bool = False) -> AnswerTurnRun:
    """Return the run of a turn that collects the answer.

    Args:
        options: The options of the call.
        single_chunk: Whether to return the answer in one chunk.
    """

    def make_parser(reply: Reply, earlier: EarlierRounds) -> FastAnswerParser:
        return FastAnswerParser(
            options.model_name,
            logid=reply.logid,
            token=reply.token,
            single_chunk=single_chunk or not options.stream,
            saved=options.is_saved,
            already_seen_ids=earlier.message_ids,
            submitted_outputs=earlier.outputs,
        )

    return AnswerTurnRun(options, make_parser)


def start_turn(turn: TurnRun[P], messages: Sequence[BaseMessage]) -> Flow[P]:
    """Start the next turn of a history.

    The caller must call `turn.finish` afterwards, also after an error.

    Args:
        turn: The turn; it receives the stream, the parser and the lock.
        messages: The full history.

    Returns:
        The parser of the turn.

    Raises:
        CozeError: The history cannot be sent, or Coze rejects it.
    """
    options = turn.options
    plan = plan_turn(messages, options.scope)
    planned_messages = plan.messages
    draft = draft_messages(options, plan)  # raises before any request
    known_turn = find_last_turn(options, plan)
    if plan.gives_what_bot_waits_for:
        turn.task = find_task()
    turn.lock = yield from acquire_turn_lock(
        options.base_url, plan.conversation_id, options.retry_policy.deadline
    )
    locked_conversation_id = plan.conversation_id
    plan = yield from restart_if_forked(options, plan, known_turn, turn.began_at)
    if plan.conversation_id not in {None, locked_conversation_id}:
        yield from _switch_lock(turn, plan)
    plan, cancel_failed = yield from _cancel_open_chat(options, plan)
    try:
        if plan.messages is not planned_messages:
            draft = draft_messages(options, plan)
        parser = yield from _send_turn(turn, plan, draft)
    except CozeError as error:
        busy = cancel_failed and isinstance(error, CozeConversationBusyError)
        if plan.open_chat is not None and is_refusal_of_results(options, plan, error):
            chat_id = plan.open_chat.chat_id
            yield from check_fork(options, plan, chat_id, turn.began_at, error)
        elif not busy or plan.explicit_conversation_id is not None:
            raise
        plan = plan.for_new_conversation()
        yield from _switch_lock(turn, plan)
        parser = yield from _send_turn(turn, plan, draft_messages(options, plan))
    if plan.conversation_id is None:
        turn.release_lock()
    return parser


def _switch_lock(turn: TurnRun[P], plan: TurnPlan) -> Flow[None]:
    """Release the lock of the turn and acquire that of the changed plan's conversation."""
    turn.release_lock()
    turn.lock = yield from acquire_turn_lock(
        turn.options.base_url, plan.conversation_id, turn.options.retry_policy.deadline
    )


def acquire_turn_lock(
    base_url: str, conversation_id: str | None, deadline: float | None
) -> Flow[LockHandle | None]:
    """Wait for other turns of a conversation: a server accepts one at a time (error 4016).

    Args:
        base_url: The server.
        conversation_id: The conversation, or the session of a site; None needs no lock.
        deadline: When to stop waiting, by `time.monotonic()`.

    Raises:
        CozeConversationBusyError: The wait was in vain.
        CozeTimeoutError: The deadline has passed.
    """
    if conversation_id is None:
        return None
    seconds_left = (
        _MAX_LOCK_WAIT if deadline is None else min(deadline - time.monotonic(), _MAX_LOCK_WAIT)
    )
    key = (base_url, conversation_id)
    try:
        return (yield from acquire(_runtime.conversation_locks, key, seconds_left))
    except CozeConversationBusyError:
        if deadline is not None and time.monotonic() >= deadline:
            raise make_deadline_error() from None
        raise


def _cancel_open_chat(options: ChatOptions, plan: TurnPlan) -> Flow[tuple[TurnPlan, bool]]:
    """Cancel a chat that the user has abandoned; also return whether that failed."""
    if plan.open_chat is None or plan.outputs is not None or not plan.reopened_messages:
        return plan, False
    conversation_id = _find_conversation_id(plan, plan.open_chat.chat_id)
    last_turn = _runtime.last_turns.get(options.base_url, conversation_id)
    if last_turn is not None and not last_turn.is_same_turn(plan.open_chat):
        return plan, False  # it has continued in another history
    chat = Chat(id=plan.open_chat.chat_id, conversation_id=conversation_id)
    try:
        yield from cancel_chat(chat, options.retry_policy)
    except CozeError:  # it may have expired; Coze documents 4104 for a waiting chat
        return plan, True
    return plan._replace(messages=plan.reopened_messages), False  # Coze forgets the cancelled turn


def _find_conversation_id(plan: TurnPlan, chat_id: str) -> str:
    """Return the conversation of a chat in the history, even if the new turn has none."""
    return next(
        str(message.response_metadata["conversation_id"])
        for message in reversed(plan.full_history)
        if message.response_metadata.get("chat_id") == chat_id
    )


def _send_turn(turn: TurnRun[P], plan: TurnPlan, draft: Sequence[EnterMessage]) -> Flow[P]:
    options = turn.options
    plan = yield from _create_chatflow_conversation(options, plan)
    files = [attachment.upload for attachment in list_attachments(draft) if attachment.data]
    file_ids = yield from upload_all(
        files, _runtime.uploaded_file_ids, options.base_url, options.retry_policy
    )
    request = build_request(options, plan, draft, file_ids)
    earlier = EarlierRounds()
    if plan.outputs is not None and plan.conversation_id is not None:
        last_turn = _runtime.last_turns.get(options.base_url, plan.conversation_id)
        seen_ids = last_turn.message_ids if last_turn is not None else earlier.message_ids
        earlier = EarlierRounds(seen_ids, tuple(plan.outputs.values()))
    try:
        reply: Reply
        if request.stream:
            reply = yield from send_with_retry(request, options.retry_policy)
        else:
            flow = start_and_poll_chat(
                request, options.retry_policy, options.polling, on_started=turn.record_polled_start
            )
            reply, turn.chat, turn.messages = yield from flow
        turn.stream = reply.stream
    except CozeError as error:
        error = mark_received(error)
        if plan.outputs is not None and plan.open_chat is not None:
            ids = {"chat_id": plan.open_chat.chat_id, "conversation_id": plan.conversation_id}
            error = error.with_context(**ids)
        raise error from error.__cause__
    turn.token = reply.token
    turn.requested_conversation_id = plan.conversation_id
    turn.parser = parser = turn.make_parser(reply, earlier)
    if plan.outputs is None:
        has_history_there = options.is_thread or len(plan.messages) < len(plan.full_history)
        parser.expect_conversation(
            plan.conversation_id, needed=options.is_studio and has_history_there
        )
    return parser


def _create_chatflow_conversation(options: ChatOptions, plan: TurnPlan) -> Flow[TurnPlan]:
    """Create the conversation of a chatflow's thread on Studio, which does not (wire section 8).

    A name finds or creates one, but only for the first turn: a history that no longer matches its
    conversation must not return to it.
    """
    if not (options.is_studio and options.workflow_id and options.is_thread and options.bot_id):
        return plan
    is_named = CONVERSATION_NAME in options.request_fields.get("parameters", {})
    is_first = not any(is_own_answer(m, options.model_name) for m in plan.full_history)
    if plan.conversation_id is not None or (is_named and is_first):
        return plan
    conversation_id = yield from create_conversation(options.bot_id, options.retry_policy)
    return plan._replace(conversation_id=conversation_id or None)
