"""Plan the next turn from the message history: what to send, and in which conversation. Pure.

Either LangChain keeps the history and sends all of it each time (wire section 2.1), or Coze keeps
it in a conversation. The history itself records its conversation and open tool calls: each answer
contains its `conversation_id`, `chat_id` and `finish_reason`. A history can therefore be forked,
edited, stored or read by another process, and the next turn is still planned correctly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from langchain_coze import _hints as hints
from langchain_coze._convert.to_coze import is_answer_of
from langchain_coze._convert.tool_outputs import ToolOutput, read_output
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._chat.options import ChatOptions

SAVED_KEY = "auto_save_history"
"""Key in `response_metadata`: False if an answer waits for the user in an unsaved chat."""

OPEN = "open"
"""State of a turn whose end has not been received."""

TOOL_CALLS = "tool_calls"
INTERRUPT = "interrupt"
STOP = "stop"


@dataclass(frozen=True, kw_only=True, slots=True)
class LastTurn:
    """The last known turn of a conversation; equal to the same turn in the same state.

    Attributes:
        state: Its finish reason, or `OPEN`.
        open_calls: Ids of the tool calls it waits for; a turn may have several rounds of calls.
        message_ids: Ids of the messages received so far, if more of this chat may come.
        task: The LangGraph task that answered the bot's call or question; empty if none did.
    """

    chat_id: str
    conversation_id: str = field(default="", compare=False)
    state: str = OPEN
    open_calls: frozenset[str] = frozenset()
    message_ids: frozenset[str] = field(default=frozenset(), compare=False)
    task: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class TurnPlan:
    """The plan for the next turn.

    Attributes:
        messages: The messages to send.
        conversation_id: The conversation to continue; None to start without one.
        outputs: Results of the bot's tool calls, by call id; sent instead of messages.
        open_chat: The chat that waits for its user: to receive `outputs`, or to be cancelled.
        expected_last_turn: The turn that must still be the last one of the conversation; None to
            skip this check.
        full_history: All messages; sent when the conversation has continued without this history.
        reopened_messages: The messages from the question of `open_chat` on; sent after that chat
            is cancelled, because Coze then forgets the turn.
        explicit_conversation_id: The conversation that the caller names; a restarted plan uses it.
    """

    messages: Sequence[BaseMessage]
    full_history: Sequence[BaseMessage]
    conversation_id: str | None = None
    outputs: Mapping[str, ToolOutput] | None = None
    open_chat: LastTurn | None = None
    expected_last_turn: LastTurn | None = None
    reopened_messages: Sequence[BaseMessage] = ()
    explicit_conversation_id: str | None = None

    @property
    def answers_bot(self) -> bool:
        """Whether the turn answers tool calls or a question of the bot."""
        last = self.expected_last_turn
        return self.outputs is not None or (last is not None and last.state == INTERRUPT)

    def for_new_conversation(self) -> TurnPlan:
        """Return a new plan for a history that no longer matches its conversation."""
        explicit = self.explicit_conversation_id
        return TurnPlan(
            messages=self.full_history if explicit is None else self.reopened_messages,
            full_history=self.full_history,
            conversation_id=explicit,
        )


def plan_turn(messages: Sequence[BaseMessage], options: ChatOptions) -> TurnPlan:
    """Return the plan for the next turn of a history.

    Raises:
        CozeInvalidRequestError: The history ends with tool calls without results, or with the
            result of a call that is unknown or cannot be answered.
    """
    _check_tail(messages)
    position = _find_last_answer(messages, options.model_name)
    if position < 0:
        return _plan_new_message(messages, options, position, continues=False)
    answer, following = messages[position], messages[position + 1 :]
    last_turn = _read_last_turn(answer)
    was_saved = answer.response_metadata.get(SAVED_KEY) is not False
    calls = _list_calls(answer) if last_turn.state == TOOL_CALLS else {}
    if calls:
        outputs = _collect_outputs(calls, following)
        if outputs is not None:
            return _plan_submit(messages, options, position, outputs)
        if not following:
            raise CozeInvalidRequestError(
                f"The bot waits for the results of its tool calls: {', '.join(calls)}.",
                hint=hints.UNANSWERED_CALLS,
            )
    is_interrupted = last_turn.state == INTERRUPT
    if is_interrupted and not was_saved:
        warn_user(hints.UNSAVED_QUESTION)
    plan = _plan_new_message(messages, options, position, continues=is_interrupted and was_saved)
    if not (calls and was_saved):
        return plan
    reopened = messages
    if plan.conversation_id:
        reopened = _find_messages_since(messages, position, options.model_name)
    return replace(
        plan,
        open_chat=last_turn,
        reopened_messages=reopened,
    )


def _plan_submit(
    messages: Sequence[BaseMessage],
    options: ChatOptions,
    position: int,
    outputs: Mapping[str, ToolOutput],
) -> TurnPlan:
    """Return the plan for the results of the tool calls of an answer."""
    last_turn = _read_last_turn(messages[position])
    was_saved = messages[position].response_metadata.get(SAVED_KEY) is not False
    if not was_saved or options.auto_save_history is False:
        raise CozeInvalidRequestError(
            "The bot's tool call cannot be answered: its chat was not saved in Coze "
            "(auto_save_history=False).",
            chat_id=last_turn.chat_id,
            conversation_id=last_turn.conversation_id,
            hint=hints.UNSAVED_CALL,
        )
    return TurnPlan(
        messages=messages[position + 1 :],
        full_history=messages,
        conversation_id=last_turn.conversation_id,
        outputs=outputs,
        open_chat=last_turn,
        expected_last_turn=last_turn,
        reopened_messages=_find_messages_since(messages, position, options.model_name),
        explicit_conversation_id=options.conversation_id,
    )


def _plan_new_message(
    messages: Sequence[BaseMessage], options: ChatOptions, position: int, *, continues: bool
) -> TurnPlan:
    """Return the plan for a new user message; `continues`: in the chat of the last answer."""
    explicit = options.conversation_id
    if explicit:
        position = _find_last_answer(messages, options.model_name, explicit)
    elif not (options.is_thread or continues):
        position = -1
    plan = TurnPlan(
        messages=messages[position + 1 :],
        full_history=messages,
        conversation_id=explicit,
        explicit_conversation_id=explicit,
    )
    if explicit or position < 0:
        return plan
    last = _read_last_turn(messages[position])
    return replace(plan, conversation_id=last.conversation_id, expected_last_turn=last)


def _read_last_turn(message: BaseMessage) -> LastTurn:
    """Return the turn of an answer from its metadata."""
    metadata = message.response_metadata
    return LastTurn(
        chat_id=metadata["chat_id"],
        conversation_id=metadata["conversation_id"],
        state=str(metadata.get("finish_reason")),
        open_calls=frozenset(_list_calls(message)),
    )


def _find_messages_since(
    messages: Sequence[BaseMessage], position: int, model_name: str
) -> Sequence[BaseMessage]:
    """Return the messages from the question of an answer's chat on."""
    chat_id = messages[position].response_metadata["chat_id"]
    earlier = position
    while earlier >= 0 and messages[earlier].response_metadata["chat_id"] == chat_id:
        earlier = _find_last_answer(messages[:earlier], model_name)
    return messages[earlier + 1 :]


def needs_conversation(messages: Sequence[BaseMessage], options: ChatOptions) -> bool:
    """Return whether a call continues a state in Coze, so that it must not be cached."""
    if options.is_thread or options.conversation_id:
        return True
    position = _find_last_answer(messages, options.model_name)
    state = messages[position].response_metadata.get("finish_reason") if position >= 0 else None
    return state in {TOOL_CALLS, INTERRUPT}


def is_own_answer(message: BaseMessage, model_name: str) -> bool:
    """Return whether a message is an answer of this bot or workflow, with its ids."""
    metadata = message.response_metadata
    return (
        isinstance(message, AIMessage)
        and is_answer_of(message, model_name)
        and bool(metadata.get("chat_id") and metadata.get("conversation_id"))
    )


def _find_last_answer(
    messages: Sequence[BaseMessage], model_name: str, conversation_id: str | None = None
) -> int:
    for number in reversed(range(len(messages))):
        message = messages[number]
        if is_own_answer(message, model_name) and conversation_id in {
            None,
            message.response_metadata["conversation_id"],
        }:
            return number
    return -1


# --- Tool calls ----------------------------------------------------------------------------------


def _list_calls(message: BaseMessage) -> dict[str, str]:
    """Return the ids of all calls of an answer, each with an error message or an empty string."""
    if not isinstance(message, AIMessage):
        return {}
    invalid = {
        str(call["id"]): f"The arguments of this call are not valid JSON: {call['args']}"
        for call in message.invalid_tool_calls
    }
    return {str(call["id"]): "" for call in message.tool_calls} | invalid


def _collect_outputs(
    calls: Mapping[str, str], following: Sequence[BaseMessage]
) -> dict[str, ToolOutput] | None:
    """Return an output for each call; None without results, or after a message of the user."""
    outputs: dict[str, ToolOutput] = {}
    for message in following:
        if isinstance(message, ToolMessage):
            outputs[message.tool_call_id] = read_output(message)
        elif not isinstance(message, SystemMessage):
            return None
    if not calls.keys() & outputs.keys():
        return None
    return {call: outputs.get(call, problem or "(no result)") for call, problem in calls.items()}


def _check_tail(messages: Sequence[BaseMessage]) -> None:
    """Reject a history that ends with the result of a call that is missing."""
    last = messages[-1] if messages else None
    if not isinstance(last, ToolMessage):
        return
    calls = {id_ for message in messages for id_ in _list_calls(message)}
    if last.tool_call_id not in calls:
        raise CozeInvalidRequestError(
            f"The last message is the result of the tool call {last.tool_call_id!r}, which no "
            "earlier message contains.",
            hint=hints.MISSING_CALL,
        )
