"""What of a history Coze has not seen yet, and in which of its conversations it goes on.

LangChain owns the history (wire section 2.1 lets all of it be sent each time), or Coze does, in a
conversation. Which conversation a history belongs to, and which tool calls are still open, stands
in the history itself: each answer of ours carries its `conversation_id`, `chat_id` and
`finish_reason`. So a history can be forked, edited, stored and read by another process, and the
right turn follows. Pure, but for `heads`, which remembers how conversations ended.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from langchain_coze._api.sharing import Shared
from langchain_coze._chat.answer import UNSAVED
from langchain_coze._convert.chunks import PROVIDER
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError, hint_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPEN = "open"
"""The state of a turn whose end has not been seen."""

CALLS = "tool_calls"


class Seen(NamedTuple):
    """The last turn that is known of a conversation.

    Attributes:
        chat_id: The turn.
        state: Its finish reason, or `OPEN`.
        calls: The ids of the tool calls that it waits for: a turn may have several rounds.
        message_ids: The messages that it has told.
    """

    chat_id: str
    state: str
    calls: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()

    def is_now(self, other: Seen) -> bool:
        """Return whether nothing has happened in between."""
        return self[:3] == other[:3]


class Scope(NamedTuple):
    """What decides which conversation a call belongs to.

    Attributes:
        model_name: The bot or workflow that is asked.
        thread: Whether the conversation is found in the history.
        conversation_id: The conversation that the caller names, if any.
        saved: Whether Coze keeps the turn; None when the caller leaves it open.
    """

    model_name: str
    thread: bool = False
    conversation_id: str | None = None
    saved: bool | None = None


class Plan(NamedTuple):
    """The next turn.

    Attributes:
        messages: What is sent.
        conversation_id: The conversation in which it goes on; None for a new one, or for none.
        outputs: The results of the bot's tool calls, by call id: they are sent in place of
            messages.
        open_chat: The chat that waits for its user: for `outputs`, or to be cancelled.
        last: The turn that must be the last one of the conversation, if this is to be checked.
        whole: The whole history, which is sent where the conversation has gone on without it.
        since: The history from the question of `open_chat` on: what is sent when that has been
            cancelled, since Coze forgets the turn with it.
        named: The conversation that the caller names, which is not left.
    """

    messages: Sequence[BaseMessage]
    conversation_id: str | None = None
    outputs: Mapping[str, str] | None = None
    open_chat: Seen | None = None
    last: Seen | None = None
    whole: Sequence[BaseMessage] = ()
    since: Sequence[BaseMessage] = ()
    named: str | None = None

    def afresh(self) -> Plan:
        """Return the plan for a history that is not the conversation's any more."""
        if self.named is not None:
            return Plan(self.since, self.named, whole=self.whole)
        return Plan(self.whole, whole=self.whole)


def plan_turn(messages: Sequence[BaseMessage], scope: Scope) -> Plan:
    """Return what the next turn is.

    Args:
        messages: The whole history.
        scope: What decides which conversation it belongs to.

    Raises:
        CozeInvalidRequestError: It ends with the result of a tool call that nobody has made, or
            that cannot be answered.
    """
    _check_tail(messages)
    found = _last_own(messages, scope.model_name)
    if found < 0:
        return Plan(messages, scope.conversation_id, whole=messages)
    told = messages[found].response_metadata
    seen = _seen(messages[found])
    following = messages[found + 1 :]
    saved = told.get(UNSAVED) is not False
    waits = seen.state in {CALLS, "interrupt"} and saved
    if seen.state == "interrupt" and not saved:
        warn_user(
            "The bot had asked its user something in a chat that was not saved, so it begins "
            "anew. Use conversation='thread' or auto_save_history=True to let it go on. "
            "智能体的提问所在的对话未保存，将重新开始；请使用 conversation='thread' "
            "或 auto_save_history=True。"
        )
    open_chat = None
    if seen.state == CALLS and (asked := _asked(messages[found])):
        outputs = _outputs(asked, following)
        if outputs is not None:
            _check_saved(told, scope)
            conversation_id = told["conversation_id"]
            since = _since(messages, found, scope.model_name)
            named = scope.conversation_id
            return Plan(following, conversation_id, outputs, seen, seen, messages, since, named)
        _check_answered(asked, following)
        open_chat = seen if waits else None
    plan = _resumed(messages, scope, found, interrupted=waits and seen.state != CALLS)
    if open_chat is None:
        return plan
    since = _since(messages, found, scope.model_name) if plan.conversation_id else messages
    return plan._replace(open_chat=open_chat, since=since)


def _resumed(
    messages: Sequence[BaseMessage], scope: Scope, found: int, *, interrupted: bool
) -> Plan:
    """Return the turn of a user who says something new."""
    if scope.conversation_id:
        named = scope.conversation_id
        known = _last_own(messages, scope.model_name, named)
        return Plan(messages[known + 1 :], named, whole=messages, named=named)
    if not (scope.thread or interrupted):
        return Plan(messages, whole=messages)
    conversation_id = messages[found].response_metadata["conversation_id"]
    last = _seen(messages[found])
    return Plan(messages[found + 1 :], conversation_id, last=last, whole=messages)


def _seen(message: BaseMessage) -> Seen:
    """Return what a history knows of the turn of an answer."""
    told = message.response_metadata
    return Seen(told["chat_id"], str(told.get("finish_reason")), frozenset(_asked(message)))


def _since(messages: Sequence[BaseMessage], found: int, model_name: str) -> Sequence[BaseMessage]:
    """Return what follows the last answer of another chat: the turn of an answer, and the rest."""
    chat_id = messages[found].response_metadata["chat_id"]
    known = found
    while known >= 0 and messages[known].response_metadata["chat_id"] == chat_id:
        known = _last_own(messages[:known], model_name)
    return messages[known + 1 :]


def belongs_to_coze(messages: Sequence[BaseMessage], scope: Scope) -> bool:
    """Return whether a call goes on with something that Coze keeps, so no cache can answer it.

    Args:
        messages: The whole history.
        scope: What decides which conversation it belongs to.
    """
    if scope.thread or scope.conversation_id:
        return True
    found = _last_own(messages, scope.model_name)
    state = messages[found].response_metadata.get("finish_reason") if found >= 0 else None
    return state in {CALLS, "interrupt"}


def is_own(message: BaseMessage, model_name: str) -> bool:
    """Return whether a bot or workflow has said this, and Coze told its ids.

    Args:
        message: Any message.
        model_name: The bot or workflow id.
    """
    told = message.response_metadata
    return (
        isinstance(message, AIMessage)
        and told.get("model_provider") == PROVIDER
        and told.get("model_name") == model_name
        and bool(told.get("chat_id") and told.get("conversation_id"))
    )


def _last_own(
    messages: Sequence[BaseMessage], model_name: str, conversation_id: str | None = None
) -> int:
    for number in reversed(range(len(messages))):
        message = messages[number]
        if is_own(message, model_name) and conversation_id in {
            None,
            message.response_metadata["conversation_id"],
        }:
            return number
    return -1


# --- Tool calls ----------------------------------------------------------------------------------


def _asked(message: BaseMessage) -> dict[str, str]:
    """Return the ids of all calls of an answer, and what is wrong with each, if anything."""
    if not isinstance(message, AIMessage):
        return {}
    wrong = {
        str(call["id"]): f"The arguments of this call are not valid JSON: {call['args']}"
        for call in message.invalid_tool_calls
    }
    return {str(call["id"]): "" for call in message.tool_calls} | wrong


def _outputs(asked: Mapping[str, str], following: Sequence[BaseMessage]) -> dict[str, str] | None:
    """Return an output for each call, or None when the user went on to something else."""
    given: dict[str, str] = {}
    for message in following:
        if isinstance(message, ToolMessage):
            given[message.tool_call_id] = message.text or _shown(message.content)
        elif not isinstance(message, SystemMessage):
            return None
    if not asked.keys() & given.keys():
        return None
    return {call: given.get(call, wrong or "(no result)") for call, wrong in asked.items()}


def _shown(content: Any) -> str:
    """Return what a result says that has no text."""
    return json.dumps(content, ensure_ascii=False, default=str) if content else ""


def _check_answered(asked: Mapping[str, str], following: Sequence[BaseMessage]) -> None:
    if not following:
        raise CozeInvalidRequestError(
            f"The bot waits for the results of its tool calls: {', '.join(asked)}.",
            hint=hint_of(
                "Add a ToolMessage for each call, or a HumanMessage to go on without them.",
                "请为每个调用添加 ToolMessage，或添加 HumanMessage 以放弃这些调用。",
            ),
        )


def _check_saved(told: Mapping[str, Any], scope: Scope) -> None:
    if told.get(UNSAVED) is False or scope.saved is False:
        raise CozeInvalidRequestError(
            "The bot's tool call cannot be answered: its chat was not saved in Coze "
            "(auto_save_history=False).",
            chat_id=told["chat_id"],
            conversation_id=told["conversation_id"],
            hint=hint_of(
                "Use bind_tools(…) or auto_save_history=True, and ask again from the question on.",
                "请使用 bind_tools(…) 或 auto_save_history=True，并从用户提问处重新开始。",
            ),
        )


def _check_tail(messages: Sequence[BaseMessage]) -> None:
    """Refuse a history that ends with the result of a call that stands nowhere in it."""
    last = messages[-1] if messages else None
    if not isinstance(last, ToolMessage):
        return
    calls = {id_ for message in messages for id_ in _asked(message)}
    if last.tool_call_id not in calls:
        raise CozeInvalidRequestError(
            f"The last message is the result of a tool call {last.tool_call_id!r} that no message "
            "before it makes.",
            hint=hint_of(
                "Keep the AIMessage with the tool_calls before its ToolMessages, for instance when "
                "trimming.",
                "请保留 ToolMessage 之前带有 tool_calls 的 AIMessage（例如裁剪历史时）。",
            ),
        )


# --- How conversations ended ---------------------------------------------------------------------


class Heads:
    """The last turn of each conversation, as far as this process has seen it."""

    def __init__(self, most: int = 10_000) -> None:
        """Take how many conversations are remembered."""
        self._seen = Shared(most)

    def note(self, base_url: str, conversation_id: str, seen: Seen) -> None:
        """Remember the last turn of a conversation."""
        self._seen.land((base_url, conversation_id), seen, math.inf)

    def find(self, base_url: str, conversation_id: str) -> Seen | None:
        """Return the last turn of a conversation, or None when it is not known."""
        found: Seen | None = self._seen.find((base_url, conversation_id))
        return found


heads = Heads()
"""The conversations of this process."""
