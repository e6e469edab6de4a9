"""Distinguish a fork of a history from a double answer: two concurrent calls that continue it.

In both cases the conversation has continued without this history. A fork (also a replay or time
travel) starts a new conversation with the whole history. A double answer answers the bot a second
time, for instance after a double click. It must not start a new conversation: there the bot would
repeat its task, including all workflows.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from langchain_core.runnables import ensure_config

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.chats import build_retrieve_request, find_newest_chat
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.models import TERMINAL_STATUSES, Chat
from langchain_coze._api.replies import parse_date, read_object
from langchain_coze._api.retry import send_with_retry
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    convert_error,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._chat.history import LastTurn, TurnPlan
    from langchain_coze._chat.options import ChatOptions

_CLOCK_STEP = 1  # seconds; Coze returns times in whole seconds
_CHECKPOINTER = "__pregel_checkpointer"  # tests/integration_tests/test_workflow_graphs.py checks it


def find_last_turn(options: ChatOptions, plan: TurnPlan) -> LastTurn | None:
    """Return the last turn of a plan's conversation, as far as this process knows it."""
    if plan.conversation_id is None:
        return None
    last_turn: LastTurn | None = _runtime.last_turns.get((options.base_url, plan.conversation_id))
    return last_turn


def restart_if_forked(
    options: ChatOptions, plan: TurnPlan, earlier: LastTurn | None, began_at: float
) -> Flow[TurnPlan]:
    """Return the plan, restarted if the conversation has continued without this history.

    The bot must not see messages that were added to the conversation later. `earlier` is the last
    turn known to this process when the call started at `began_at`.

    Raises:
        CozeInvalidRequestError: Another call answers the bot at the same time.
    """
    expected = plan.expected_last_turn
    if expected is None or plan.conversation_id is None:
        return plan
    last_turn = find_last_turn(options, plan)
    if last_turn is not None:
        if last_turn == expected:
            return plan
        if plan.answers_bot:
            changed_meanwhile = last_turn is not earlier  # while this call was waiting for its lock
            by_other_task = last_turn.task not in {"", find_task()} and _continues_thread()
            if changed_meanwhile or by_other_task:
                raise _make_continued_error(plan)
        if last_turn.chat_id == expected.chat_id:
            return plan.for_new_conversation()  # time travel to a turn that has continued
    if plan.outputs is not None:
        return plan  # Coze rejects results that it does not wait for
    newest = yield from _find_newest_chat(options, plan.conversation_id)
    if newest == expected.chat_id:
        return plan
    if plan.answers_bot and newest:
        yield from check_fork(options, plan, newest, began_at)
    return plan.for_new_conversation()


def _find_newest_chat(options: ChatOptions, conversation_id: str) -> Flow[str]:
    """Return the id of the newest chat in a conversation; empty, with a warning, if unknown."""
    try:
        return (yield from find_newest_chat(conversation_id, options.retry_policy))
    except CozeError as error:
        warn_user(hints.TURN_UNREADABLE.format(problem=error.message))
        return ""


def is_refusal_of_results(options: ChatOptions, plan: TurnPlan, error: CozeError) -> bool:
    """Return whether Coze rejected results because it no longer waits for them.

    This happens after time travel to a turn that has continued in another process, and if another
    process has already sent the results.
    """
    if plan.outputs is None or plan.expected_last_turn is None:
        return False
    last_turn = find_last_turn(options, plan)
    unseen = last_turn is None or last_turn.chat_id != plan.expected_last_turn.chat_id
    refused = isinstance(error, (CozeInvalidRequestError, CozeNotFoundError))
    return unseen and refused and error.code is not None and not is_missing_route(error)


def check_fork(
    options: ChatOptions,
    plan: TurnPlan,
    chat_id: str,
    began_at: float,
    refusal: CozeError | None = None,
) -> Flow[None]:
    """Reject a plan if another process continues the same history at the same time.

    This is detected if LangGraph continues a thread from its newest checkpoint, or if the chat that
    continued the conversation is still running or ended after the start of this call. Checking the
    chat takes one request. `refusal` is the error with which Coze rejected the results.

    Raises:
        CozeInvalidRequestError: Another process has continued the conversation.
        CozeError: The state of the chat could not be read.
    """
    if _continues_thread():
        raise _make_continued_error(plan, refusal) from refusal
    chat = Chat(id=chat_id, conversation_id=plan.conversation_id)
    try:
        reply = yield from send_with_retry(build_retrieve_request(chat), options.retry_policy)
    except (CozeInvalidRequestError, CozeNotFoundError):
        return  # the chat no longer exists
    except CozeError as error:
        raise refusal or error from error
    chat = Chat.model_validate(read_object(reply))
    still_runs = bool(chat.status) and chat.status not in TERMINAL_STATUSES
    if still_runs or chat.completed_at > _find_server_time(reply, began_at) + _CLOCK_STEP:
        raise _make_continued_error(plan, refusal) from refusal


def find_task() -> str:
    """Return the LangGraph task of this call; empty outside LangGraph."""
    return str(ensure_config().get("metadata", {}).get("langgraph_checkpoint_ns", ""))


def _continues_thread() -> bool:
    """Return whether this call continues a LangGraph thread from its newest checkpoint.

    A run from an older checkpoint has a `checkpoint_id`, which LangChain copies to the metadata.
    """
    config = ensure_config()
    is_thread = bool(config.get("configurable", {}).get(_CHECKPOINTER))
    return is_thread and not config.get("metadata", {}).get("checkpoint_id")


def _find_server_time(reply: Reply, moment: float) -> float:
    """Convert a time of `time.monotonic()` to a Unix time by the server's clock."""
    now = parse_date(reply.headers.get("date")) or time.time()
    return now - (time.monotonic() - moment)


def _make_continued_error(
    plan: TurnPlan, refusal: CozeError | None = None
) -> CozeInvalidRequestError:
    error = refusal or CozeInvalidRequestError()
    reason = f" (Coze: {error.message})" if error.message else ""
    turn = plan.expected_last_turn
    return convert_error(
        error,
        CozeInvalidRequestError,
        message="Another process or call has already continued this chat, for instance after a "
        f"double click. The input of this call was not used{reason}.",
        hint=hints.ALREADY_CONTINUED,
        conversation_id=plan.conversation_id,
        chat_id=error.chat_id if turn is None else turn.chat_id,
    )
