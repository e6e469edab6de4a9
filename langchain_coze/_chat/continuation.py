"""Tell a fork of a history from one that another process or call continues at the same time.

Both find a conversation that has gone on without this history. A fork (also a replay or a step
back in time) begins a new conversation with the whole history. But if two calls give the bot what
it waits for, for instance after a double click, the second one must not: the bot would begin its
task anew, with every workflow that it has started.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from langchain_core.runnables import ensure_config

from langchain_coze import _runtime
from langchain_coze._api.chats import build_retrieve_request, find_newest_chat
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.models import TERMINAL_STATUSES, Chat
from langchain_coze._api.replies import read_object
from langchain_coze._api.retry import send_with_retry
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    bilingual_hint,
    convert_error,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._chat.history import LastTurn, TurnPlan
    from langchain_coze._chat.options import ChatOptions

_CLOCK_STEP = 1  # seconds; Coze tells times in whole seconds
_CHECKPOINTER = "__pregel_checkpointer"  # tests/integration_tests/test_workflow_graphs.py checks it
_CONTINUED = bilingual_hint(
    "Nothing was started. The other call has the result; in LangGraph it is a checkpoint in "
    "graph.get_state_history(config). If that call failed or its process ended, continue with a "
    "new message. For a fork in LangGraph, name its checkpoint_id in the config.",
    "没有启动任何内容。结果在另一处调用中；在 LangGraph 中是 graph.get_state_history(config) "
    "里的一个检查点。如果那次调用失败或其进程已退出，请以新的消息继续。"
    "如需在 LangGraph 中分叉，请在 config 中给出 checkpoint_id。",
)


def find_last_turn(options: ChatOptions, plan: TurnPlan) -> LastTurn | None:
    """Return the last turn of a plan's conversation, as far as this process knows it."""
    if plan.conversation_id is None:
        return None
    last_turn: LastTurn | None = _runtime.last_turns.get(options.base_url, plan.conversation_id)
    return last_turn


def restart_if_forked(
    options: ChatOptions, plan: TurnPlan, earlier: LastTurn | None, began_at: float
) -> Flow[TurnPlan]:
    """Return the plan, restarted if the conversation has continued without this history.

    A fork, a replay or a step back in time has the `conversation_id` of the original history. The
    bot must not see the messages that were added there later.

    Args:
        options: The options of the call.
        plan: The plan.
        earlier: The last turn that this process knew when the call began.
        began_at: When the call began, by `time.monotonic()`.

    Raises:
        CozeInvalidRequestError: Another call gives the bot what it waits for.
    """
    if plan.expected_last_turn is None or plan.conversation_id is None:
        return plan
    last_turn = find_last_turn(options, plan)
    if last_turn is not None and last_turn.is_same_turn(plan.expected_last_turn):
        return plan
    if plan.gives_what_bot_waits_for and last_turn is not None:
        changed_meanwhile = last_turn != earlier  # while this call waited for its lock
        by_other_task = last_turn.task not in {"", find_task()} and _continues_thread()
        if changed_meanwhile or by_other_task:
            raise _make_continued_error(plan)
    if last_turn is not None and last_turn.chat_id == plan.expected_last_turn.chat_id:
        return plan.for_new_conversation()  # a step back into a turn that has continued
    if plan.outputs is not None:
        return plan  # Coze itself rejects results that it does not wait for
    return (yield from _restart_if_newer_chat(options, plan, began_at))


def _restart_if_newer_chat(options: ChatOptions, plan: TurnPlan, began_at: float) -> Flow[TurnPlan]:
    """Return the plan, restarted if Coze has a newer chat in its conversation."""
    if plan.expected_last_turn is None or plan.conversation_id is None:
        return plan
    try:
        newest = yield from find_newest_chat(plan.conversation_id, options.retry_policy)
    except CozeError as error:
        warn_user(
            "It cannot be seen whether this history is still that of its conversation "
            f"({error.message}): a new conversation begins, with the whole history. Where it is "
            "the token that may not, give it the permission listMessage. "
            "无法确认会话状态，将新建会话并发送全部历史；如为权限问题，请为令牌勾选 listMessage。"
        )
        return plan.for_new_conversation()
    if newest == plan.expected_last_turn.chat_id:
        return plan
    if plan.gives_what_bot_waits_for and newest:
        yield from check_fork(options, plan, newest, began_at)
    return plan.for_new_conversation()


def is_refusal_of_results(options: ChatOptions, plan: TurnPlan, error: CozeError) -> bool:
    """Return whether Coze rejects results because it no longer waits for them.

    That happens after a step back into a turn that has continued, unseen by this process, and if
    another process has given the results.

    Args:
        options: The options of the call.
        plan: The plan.
        error: The error of the request.
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
    """Reject a history that another process continues at the same time, because it is no fork.

    Three facts tell that: the history is that of a LangGraph thread, continued from its newest
    checkpoint; the chat that has continued the conversation still runs; or it has ended after this
    call began. The last two take one request.

    Args:
        options: The options of the call.
        plan: The plan.
        chat_id: The chat that has continued the conversation.
        began_at: When the call began, by `time.monotonic()`.
        refusal: The error by which Coze rejected the results, if it did.

    Raises:
        CozeInvalidRequestError: Another process has continued the conversation.
        CozeError: That cannot be seen.
    """
    if _continues_thread():
        raise _make_continued_error(plan, refusal) from refusal
    chat = Chat(id=chat_id, conversation_id=plan.conversation_id)
    try:
        reply = yield from send_with_retry(build_retrieve_request(chat), options.retry_policy)
    except (CozeInvalidRequestError, CozeNotFoundError):
        return  # nobody continues a chat that is gone
    except CozeError as error:
        raise refusal or error from error
    chat = Chat.model_validate(read_object(reply))
    still_runs = bool(chat.status) and chat.status not in TERMINAL_STATUSES
    if still_runs or chat.completed_at > _find_server_time(reply, began_at) + _CLOCK_STEP:
        raise _make_continued_error(plan, refusal) from refusal


def find_task() -> str:
    """Return the LangGraph task that this is part of; empty outside LangGraph."""
    return str(ensure_config().get("metadata", {}).get("langgraph_checkpoint_ns", ""))


def _continues_thread() -> bool:
    """Return whether this is a run of LangGraph that continues a thread where it ended.

    A run from an older checkpoint has a `checkpoint_id`, which LangChain copies to the metadata.
    """
    config = ensure_config()
    is_thread = bool(config.get("configurable", {}).get(_CHECKPOINTER))
    return is_thread and not config.get("metadata", {}).get("checkpoint_id")


def _find_server_time(reply: Reply, moment: float) -> float:
    """Return a moment of `time.monotonic()` by the clock of the server, as a Unix time."""
    try:
        now = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        now = time.time()
    return now - (time.monotonic() - moment)


def _make_continued_error(
    plan: TurnPlan, refusal: CozeError | None = None
) -> CozeInvalidRequestError:
    error = refusal or CozeInvalidRequestError()
    told = f" (Coze: {error.message})" if error.message else ""
    turn = plan.expected_last_turn
    return convert_error(
        error,
        CozeInvalidRequestError,
        message="Another process or call has continued this chat already, for instance after a "
        f"double click, so what this one gives was not taken{told}.",
        hint=_CONTINUED,
        conversation_id=plan.conversation_id,
        chat_id=error.chat_id if turn is None else turn.chat_id,
    )
