"""One turn of a bot or chatflow, from the history to the end of its stream.

`TurnRun.start` performs all steps in order: plan, lock, verify, cancel, send. The methods and
functions below it are these steps. It is one flow for sync and async callers (see `_api/effects`).
The caller then feeds the stream to the parser and calls `TurnRun.finish`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.chats import cancel_chat, create_conversation
from langchain_coze._api.files import upload_all
from langchain_coze._api.models import Chat
from langchain_coze._api.polling import poll_chat, read_started_chat
from langchain_coze._api.retry import mark_received, send_with_retry
from langchain_coze._chat.continuation import (
    check_fork,
    find_last_turn,
    find_task,
    is_refusal_of_results,
    restart_if_forked,
)
from langchain_coze._chat.history import TurnPlan, is_own_answer, plan_turn
from langchain_coze._chat.options import CONVERSATION_NAME, explain_bot_id
from langchain_coze._chat.request import build_request, draft_messages
from langchain_coze._chat.stream_parser import ChatStreamParser
from langchain_coze._chat.turn_lock import TurnLock
from langchain_coze._convert.tool_outputs import format_output, list_output_files
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeConversationBusyError, CozeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._chat.options import ChatOptions
    from langchain_coze._convert.to_coze import HistoryEntry

P = TypeVar("P", bound=ChatStreamParser)


class TurnRun(Generic[P]):
    """One turn: holds its lock, plan, parser and stream.

    Attributes:
        parser: The parser of the stream; None until Coze has started the turn.
        stream: The open stream; None if the turn was polled.
    """

    def __init__(self, options: ChatOptions, make_parser: Callable[..., P]) -> None:
        """Create a run without sending anything; for `make_parser` see `ChatStreamParser`."""
        self.parser: P | None = None
        self.stream: Any = None
        self.options = options
        self._make_parser = make_parser
        self._began_at = time.monotonic()
        self._task = ""  # see `LastTurn`
        self._requested_conversation_id: str | None = None
        self._lock = TurnLock(options.base_url, options.retry_policy.deadline)

    def start(self, messages: Sequence[BaseMessage]) -> Flow[P]:
        """Start the next turn of a history, and return its parser; a polled turn runs to its end.

        The caller must call `finish` afterwards, also after an error.
        """
        options = self.options
        plan = planned = plan_turn(messages, options)
        draft = draft_messages(options, plan)  # rejects invalid input before any request
        _warn_about_unsaved_conversation(options, plan)
        known_turn = find_last_turn(options, plan)
        self._task = find_task() if plan.answers_bot else ""

        yield from self._lock.hold(plan.conversation_id)
        plan = yield from restart_if_forked(options, plan, known_turn, self._began_at)
        yield from self._lock.hold(plan.conversation_id)
        plan, cancel_failed = yield from _cancel_open_chat(options, plan)
        if plan.messages is not planned.messages:
            draft = draft_messages(options, plan)
        parser: P | None = None
        try:
            parser = yield from self._send(plan, draft)
        except CozeError as error:
            if self.parser is not None:
                raise  # the turn has started
            is_busy = cancel_failed and isinstance(error, CozeConversationBusyError)
            is_blocked = is_busy and plan.explicit_conversation_id is None
            if plan.open_chat is not None and is_refusal_of_results(options, plan, error):
                yield from check_fork(options, plan, plan.open_chat.chat_id, self._began_at, error)
            elif not is_blocked:
                raise
        if parser is None:  # the conversation cannot be continued: send the history in a new one
            plan = plan.for_new_conversation()
            yield from self._lock.hold(plan.conversation_id)
            parser = yield from self._send(plan, draft_messages(options, plan))
        return parser

    def _send(self, plan: TurnPlan, draft: Sequence[HistoryEntry]) -> Flow[P]:
        """Upload the files and send the request; without streaming, poll until the turn ends."""
        options, policy = self.options, self.options.retry_policy
        plan = yield from _create_chatflow_conversation(options, plan)
        outputs = plan.outputs or {}
        attachments = [file for entry in draft for file in entry.files]
        attachments += list_output_files(outputs.values())
        files = [file.upload for file in attachments if file.data]
        cache = _runtime.uploaded_file_ids
        file_ids = yield from upload_all(files, cache, options.base_url, policy)
        texts = {call_id: format_output(output, file_ids) for call_id, output in outputs.items()}
        request = build_request(options, plan, draft, file_ids, texts)
        polled: tuple[Mapping[str, Any], Sequence[Any]] | None = None  # the chat, its messages
        try:
            reply = yield from send_with_retry(request, policy)
            self.stream = reply.stream
            self.parser = parser = self._create_parser(plan, reply, texts)
            if self.stream is None:
                chat = read_started_chat(request, reply)
                parser.record_ids(chat)
                polled = yield from poll_chat(chat, reply.logid, policy, options.polling)
        except CozeError as error:
            error = mark_received(explain_bot_id(options, error))
            if plan.outputs is not None and plan.open_chat is not None:
                ids = {"chat_id": plan.open_chat.chat_id, "conversation_id": plan.conversation_id}
                error = error.with_context(**ids)
            raise error from error.__cause__
        if polled is not None:
            parser.read_polled(*polled)
        return parser

    def _create_parser(self, plan: TurnPlan, reply: Reply, outputs: Mapping[str, str]) -> P:
        options = self.options
        self._requested_conversation_id = plan.conversation_id
        is_submit = plan.outputs is not None
        earlier = find_last_turn(options, plan) if is_submit else None
        has_history_there = options.is_thread or len(plan.messages) < len(plan.full_history)
        return self._make_parser(
            logid=reply.logid,
            token=reply.token,
            already_seen_ids=earlier.message_ids if earlier is not None else (),
            submitted_outputs=outputs.values(),
            expected_conversation_id=None if is_submit else plan.conversation_id,
            needs_conversation=options.is_studio and has_history_there,
        )

    def finish(self) -> None:
        """Record how the turn ended, and let the next turn of its conversation start."""
        last_turn = self.parser.build_last_turn(self._task) if self.parser is not None else None
        is_new = self._requested_conversation_id is None
        if last_turn is not None and is_new and not self.options.is_saved:
            unsaved = (self.options.base_url, last_turn.conversation_id)
            _runtime.unsaved_conversations.store(unsaved, last_turn.chat_id)
        if last_turn is not None and self.options.is_saved:
            # also for the requested conversation: if it is lost, the next turn must notice
            requested_id = self._requested_conversation_id or last_turn.conversation_id
            for place in {last_turn.conversation_id, requested_id}:
                _runtime.last_turns.store((self.options.base_url, place), last_turn)
        self._lock.release()


def _warn_about_unsaved_conversation(options: ChatOptions, plan: TurnPlan) -> None:
    """Warn once if the conversation that the caller names is that of an unsaved turn."""
    place = (options.base_url, plan.explicit_conversation_id)
    chat_id = _runtime.unsaved_conversations.get(place) if plan.explicit_conversation_id else None
    if chat_id is not None:
        _runtime.unsaved_conversations.discard(place, chat_id)
        warn_user(hints.UNSAVED_CONVERSATION.format(conversation_id=place[1]))


def _cancel_open_chat(options: ChatOptions, plan: TurnPlan) -> Flow[tuple[TurnPlan, bool]]:
    """Cancel a chat that the user has abandoned; return the new plan and whether this failed."""
    chat = plan.open_chat
    if chat is None or plan.outputs is not None:
        return plan, False
    if _runtime.last_turns.get((options.base_url, chat.conversation_id)) not in {None, chat}:
        return plan, False  # the chat has continued in another history
    try:
        ids = Chat(id=chat.chat_id, conversation_id=chat.conversation_id)
        yield from cancel_chat(ids, options.retry_policy)
    except CozeError:  # the chat may have expired; Coze documents 4104 for a waiting chat
        return plan, True
    return replace(plan, messages=plan.reopened_messages), False  # Coze forgets the cancelled turn


def _create_chatflow_conversation(options: ChatOptions, plan: TurnPlan) -> Flow[TurnPlan]:
    """Create the conversation of a chatflow's thread, as Studio requires (wire section 8).

    A conversation name finds or creates one, but only for the first turn: a history that no longer
    matches its conversation must not continue it.
    """
    if not (options.is_studio and options.workflow_id and options.is_thread and options.bot_id):
        return plan
    is_named = CONVERSATION_NAME in options.request_fields.get("parameters", {})
    is_first = not any(is_own_answer(m, options.model_name) for m in plan.full_history)
    if plan.conversation_id is not None or (is_named and is_first):
        return plan
    conversation_id = yield from create_conversation(options.bot_id, options.retry_policy)
    return replace(plan, conversation_id=conversation_id or None)
