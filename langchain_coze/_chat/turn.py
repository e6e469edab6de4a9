"""One turn of a bot or chatflow, from the history to an open stream, and to its end.

`start_turn` is the whole start in order: plan, lock, verify, cancel, upload, send. The functions
below it are its steps. It is one flow for sync and async callers (see `_api/effects`). The caller
then gives the bytes of the stream to the parser and calls `TurnRun.finish`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_coze import _runtime
from langchain_coze._api.chats import cancel_chat, create_conversation
from langchain_coze._api.files import upload_all
from langchain_coze._api.models import Chat
from langchain_coze._api.polling import start_and_poll_chat
from langchain_coze._api.retry import mark_received, send_with_retry
from langchain_coze._chat.continuation import (
    check_fork,
    find_last_turn,
    find_task,
    is_refusal_of_results,
    restart_if_forked,
)
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze._chat.history import LastTurn, TurnPlan, is_own_answer, plan_turn
from langchain_coze._chat.options import CONVERSATION_NAME
from langchain_coze._chat.request import build_request, draft_messages
from langchain_coze._chat.stream_parser import ChatStreamParser
from langchain_coze._chat.turn_lock import TurnLock
from langchain_coze.errors import CozeConversationBusyError, CozeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_coze._api.effects import Flow, Reply, Request
    from langchain_coze._chat.options import ChatOptions
    from langchain_coze._convert.to_coze import HistoryEntry

P = TypeVar("P", bound=ChatStreamParser)


class TurnRun(Generic[P]):
    """The run of one turn, from before it starts until after it ends.

    Attributes:
        options: The options of the call.
        make_parser: Creates the parser of the stream; see `ChatStreamParser`.
        parser: That parser; None until the turn has started.
        stream: The open stream; None if the turn was polled.
        chat: Polled turn: the chat in its final state, as Coze sent it.
        messages: Polled turn: its messages, as Coze sent them.
        token: The token that was sent.
        began_at: When the call began, by `time.monotonic()`.
        task: See `LastTurn`.
        requested_conversation_id: The conversation that the turn was to run in.
        lock: The lock of that conversation.
    """

    def __init__(self, options: ChatOptions, make_parser: Callable[..., P]) -> None:
        """Create a run without sending anything."""
        self.options = options
        self.make_parser = make_parser
        self.parser: P | None = None
        self.stream: Any = None
        self.chat: Mapping[str, Any] = {}
        self.messages: Sequence[Any] = ()
        self.token = ""
        self.requested_conversation_id: str | None = None
        self.began_at = time.monotonic()
        self.task = ""
        self.lock = TurnLock(options.base_url, options.retry_policy.deadline)
        self._polled_ids: dict[str, str] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """The `chat_id` and `conversation_id` of the turn, each once it is known."""
        return self._polled_ids if self.parser is None else {**self._polled_ids, **self.parser.ids}

    @property
    def is_finished(self) -> bool:
        """Whether Coze has reported the end of the turn."""
        return self.parser is not None and self.parser.is_finished

    def record_polled_start(self, reply: Reply, chat: Chat) -> None:
        """Record that Coze has started a polled turn."""
        self.token = reply.token
        self._polled_ids = {"chat_id": chat.id, "conversation_id": chat.conversation_id}

    def finish(self) -> None:
        """Record how the turn ended, and let the next one of its conversation start."""
        chat_id, conversation_id = self.ids.get("chat_id"), self.ids.get("conversation_id")
        if self.options.is_saved and chat_id and conversation_id:
            state = {} if self.parser is None else self.parser.describe_state()
            last_turn = LastTurn(chat_id=chat_id, task=self.task, **state)
            # also for the requested one: if the server has lost it, the next turn must see that
            for place in {conversation_id, self.requested_conversation_id or conversation_id}:
                _runtime.last_turns.record(self.options.base_url, place, last_turn)
        self.lock.release()


class AnswerTurnRun(TurnRun[FastAnswerParser]):
    """The run of a turn that collects the answer."""

    def __init__(self, options: ChatOptions, *, single_chunk: bool = False) -> None:
        """Create a run that returns the answer in chunks, or in a single one."""
        make_parser = partial(
            FastAnswerParser,
            options.model_name,
            single_chunk=single_chunk or not options.stream,
            saved=options.is_saved,
        )
        super().__init__(options, make_parser)

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


def start_turn(turn: TurnRun[P], messages: Sequence[BaseMessage]) -> Flow[P]:
    """Start the next turn of a history and return its parser.

    The caller must call `turn.finish` afterwards, also after an error.

    Args:
        turn: The turn; it receives the stream, the parser and the lock.
        messages: The full history.

    Raises:
        CozeError: The history cannot be sent, or Coze rejects it.
    """
    options = turn.options
    plan = planned = plan_turn(messages, options)
    draft = draft_messages(options, plan)  # rejects wrong input before any request
    known_turn = find_last_turn(options, plan)
    turn.task = find_task() if plan.answers_bot else ""

    yield from turn.lock.hold(plan.conversation_id)
    plan = yield from restart_if_forked(options, plan, known_turn, turn.began_at)
    yield from turn.lock.hold(plan.conversation_id)
    plan, cancel_failed = yield from _cancel_open_chat(options, plan)
    try:
        if plan.messages is not planned.messages:
            draft = draft_messages(options, plan)
        return (yield from _send_turn(turn, plan, draft))
    except CozeError as error:
        is_blocked = cancel_failed and isinstance(error, CozeConversationBusyError)
        if plan.open_chat is not None and is_refusal_of_results(options, plan, error):
            yield from check_fork(options, plan, plan.open_chat.chat_id, turn.began_at, error)
        elif not is_blocked or plan.explicit_conversation_id is not None:
            raise
    # the conversation cannot be continued: send the whole history in a new one
    plan = plan.for_new_conversation()
    yield from turn.lock.hold(plan.conversation_id)
    return (yield from _send_turn(turn, plan, draft_messages(options, plan)))


def _cancel_open_chat(options: ChatOptions, plan: TurnPlan) -> Flow[tuple[TurnPlan, bool]]:
    """Cancel a chat that the user has abandoned; also return whether that failed."""
    if plan.open_chat is None or plan.outputs is not None:
        return plan, False
    last_turn = _runtime.last_turns.get(options.base_url, plan.open_conversation_id)
    if last_turn not in {None, plan.open_chat}:
        return plan, False  # the chat has continued in another history
    chat = Chat(id=plan.open_chat.chat_id, conversation_id=plan.open_conversation_id)
    try:
        yield from cancel_chat(chat, options.retry_policy)
    except CozeError:  # it may have expired; Coze documents 4104 for a waiting chat
        return plan, True
    return replace(plan, messages=plan.reopened_messages), False  # Coze forgets the cancelled turn


def _send_turn(turn: TurnRun[P], plan: TurnPlan, draft: Sequence[HistoryEntry]) -> Flow[P]:
    """Upload the files, send the request, and create the parser of its reply."""
    options = turn.options
    plan = yield from _create_chatflow_conversation(options, plan)
    files = [file.upload for entry in draft for file in entry.files if file.data]
    file_ids = yield from upload_all(
        files, _runtime.uploaded_file_ids, options.base_url, options.retry_policy
    )
    request = build_request(options, plan, draft, file_ids)
    try:
        reply = yield from _send_request(turn, request)
    except CozeError as error:
        error = mark_received(error)
        if plan.outputs is not None and plan.open_chat is not None:
            ids = {"chat_id": plan.open_chat.chat_id, "conversation_id": plan.conversation_id}
            error = error.with_context(**ids)
        raise error from error.__cause__
    turn.stream = reply.stream
    turn.token = reply.token
    turn.requested_conversation_id = plan.conversation_id
    earlier = find_last_turn(options, plan) if plan.outputs is not None else None
    turn.parser = parser = turn.make_parser(
        logid=reply.logid,
        token=reply.token,
        already_seen_ids=earlier.message_ids if earlier is not None else (),
        submitted_outputs=(plan.outputs or {}).values(),
    )
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
    return replace(plan, conversation_id=conversation_id or None)


def _send_request(turn: TurnRun[P], request: Request) -> Flow[Reply]:
    """Send the request of a turn; without streaming, poll until the turn ends."""
    policy = turn.options.retry_policy
    if request.stream:
        return (yield from send_with_retry(request, policy))
    reply, turn.chat, turn.messages = yield from start_and_poll_chat(
        request, policy, turn.options.polling, on_started=turn.record_polled_start
    )
    return reply
