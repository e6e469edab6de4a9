"""From a history to an open turn: the requests before it, and what its end leaves behind.

Before a turn: wait for the other turns of its conversation, make sure that the history still is
that of the conversation, upload files, cancel a chat that was abandoned. All of it is one
procedure, `begin`; blocking and asyncio callers differ only in who carries it out.

Example:
    ```python
    from langchain_core.messages import HumanMessage

    from langchain_coze.requests import Call
    from langchain_coze.session import begin

    flow = begin(Call(bot_id="7374", base_url="https://api.coze.cn"), [HumanMessage("Hi")])
    assert next(flow).path == "/v3/chat"
    flow.close()
    ```
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_coze.api.commands import Flow, Identify, Reply, Upload
from langchain_coze.api.exchange import exchange
from langchain_coze.api.procedures import cancel, newest_chat, poll, retrieve, upload
from langchain_coze.api.schema import Chat
from langchain_coze.api.sharing import Place, Shared, Turnstiles, entered, shared
from langchain_coze.errors import (
    CozeConversationBusyError,
    CozeError,
    CozeNotFoundError,
    CozePermissionError,
)
from langchain_coze.memory import CALLS, OPEN, Plan, Seen, heads, plan_turn
from langchain_coze.messages import attachments
from langchain_coze.notices import warn_user
from langchain_coze.requests import drafted, turn_request
from langchain_coze.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_coze.api.commands import Policy
    from langchain_coze.attachments import Attachment
    from langchain_coze.messages import EnterMessage
    from langchain_coze.requests import Call

_LONGEST_QUEUE = 600.0  # seconds that a turn waits for the others of its conversation
_UPLOAD_KEPT = 24 * 3600.0  # seconds; Coze keeps files for three months

_turnstiles = Turnstiles()
_uploads = Shared()


class Begun:
    """A turn that has begun.

    Attributes:
        turn: What is told of it.
        stream: Its open stream, or None when it was polled for.
        chat: When it was polled for: the chat at its end, as Coze sent it.
        messages: When it was polled for: its messages, as Coze sent them.
        secret: The token that was sent.
    """

    def __init__(self, call: Call, place: Place | None) -> None:
        """Take the call and the place in the queue of its conversation."""
        self.call = call
        self.turn = Turn(call.model_name)
        self.stream: Any = None
        self.chat: Mapping[str, Any] = {}
        self.messages: Sequence[Any] = ()
        self.secret = ""
        self._place = place

    def give_up_place(self) -> None:
        """Let the next turn of the conversation begin."""
        if self._place is not None:
            self._place.leave()
            self._place = None

    def leave(self) -> None:
        """Note how the turn ended, and let the next one of its conversation begin."""
        ids = self.turn.ids
        if self.call.is_saved and "conversation_id" in ids and "chat_id" in ids:
            turn = self.turn
            seen = Seen(ids["chat_id"], turn.state, turn.open_calls, turn.message_ids)
            heads.note(self.call.base_url, ids["conversation_id"], seen)
        self.give_up_place()


def begin(call: Call, messages: Sequence[BaseMessage], *, whole: bool = False) -> Flow[Begun]:
    """Begin the next turn of a history.

    Args:
        call: What is asked for.
        messages: The whole history.
        whole: Whether the turn is told in one chunk.

    Raises:
        CozeError: The history cannot be sent, or Coze refuses.
    """
    plan = plan_turn(messages, call.scope)
    draft = plan.messages, drafted(call, plan)  # what is wrong is said before any request
    begun = Begun(call, (yield from _queued(call, plan)))
    try:
        plan = yield from _verified(call, plan)
        plan, refused = yield from _without_open_chat(call, plan)
        try:
            sent = draft[1] if plan.messages is draft[0] else drafted(call, plan)
            yield from _send(begun, plan, sent, whole=whole)
        except CozeConversationBusyError:
            if not refused or call.conversation_id:
                raise
            plan = plan.afresh()  # the chat that was abandoned keeps its conversation busy
            yield from _send(begun, plan, drafted(call, plan), whole=whole)
        if plan.conversation_id is None:
            begun.give_up_place()
    except BaseException as error:  # also when the driver is cancelled
        if isinstance(error, CozeError) and error.chat_id and error.conversation_id:
            heads.note(call.base_url, error.conversation_id, Seen(error.chat_id, OPEN))
        begun.give_up_place()
        raise
    return begun


def _queued(call: Call, plan: Plan) -> Flow[Place | None]:
    """Wait for the other turns of a conversation: Coze takes one at a time (4016)."""
    if plan.conversation_id is None:
        return None
    until = call.policy.until
    left = _LONGEST_QUEUE if until is None else min(until - time.monotonic(), _LONGEST_QUEUE)
    return (yield from entered(_turnstiles, (call.base_url, plan.conversation_id), left))


def _verified(call: Call, plan: Plan) -> Flow[Plan]:
    """Return the plan, or one from the beginning where the conversation has gone on without it.

    A fork, a replay or a step back in time has the same `conversation_id` as the history that it
    comes from, and must not hear of what was said later there.
    """
    if plan.last is None or plan.conversation_id is None:
        return plan
    head = heads.find(call.base_url, plan.conversation_id)
    if head is not None and head.is_now(plan.last):
        return plan
    if head is not None and head.chat_id == plan.last.chat_id:
        return plan.afresh()  # a step back into a turn that has gone on
    try:
        newest = yield from _is_newest(call, plan.conversation_id, plan.last)
    except CozePermissionError:
        warn_user(
            "The token has no permission listMessage, so it cannot be seen whether this history is "
            "still that of its conversation: a new conversation begins, with the whole history. "
            "令牌没有 listMessage 权限，无法确认会话状态，将新建会话并发送全部历史。"
        )
        newest = False
    except CozeError:
        newest = head is None  # nothing speaks against it
    return plan if newest else plan.afresh()


def _is_newest(call: Call, conversation_id: str, last: Seen) -> Flow[bool]:
    """Ask Coze whether a turn is the last one of its conversation."""
    if last.state == CALLS:
        chat = Chat(id=last.chat_id, conversation_id=conversation_id)
        chat = yield from retrieve(chat, call.policy)
        open_calls = chat.required_action.submit_tool_outputs.tool_calls
        return chat.status == "requires_action" and last.calls == {c.id for c in open_calls}
    newest = yield from newest_chat(conversation_id, call.policy)
    return newest == last.chat_id


def _without_open_chat(call: Call, plan: Plan) -> Flow[tuple[Plan, bool]]:
    """Cancel a chat that the user has abandoned; tell whether Coze refused that."""
    if plan.open_chat is None or plan.outputs is not None or not plan.since:
        return plan, False
    conversation_id = _conversation_of(plan, plan.open_chat.chat_id)
    head = heads.find(call.base_url, conversation_id)
    if head is not None and not head.is_now(plan.open_chat):
        return plan, False  # it has gone on in another history
    chat = Chat(id=plan.open_chat.chat_id, conversation_id=conversation_id)
    try:
        yield from cancel(chat, call.policy)
    except CozeError:  # it may have expired; Coze documents 4104 for a chat that waits
        return plan, True
    return plan._replace(messages=plan.since), False  # a cancelled turn is no context


def _conversation_of(plan: Plan, chat_id: str) -> str:
    """Return the conversation of a chat of the history, also where the new turn has none."""
    return next(
        str(message.response_metadata["conversation_id"])
        for message in reversed(plan.whole)
        if message.response_metadata.get("chat_id") == chat_id
    )


def _send(begun: Begun, plan: Plan, sent: Sequence[EnterMessage], *, whole: bool) -> Flow[None]:
    call = begun.call
    request = turn_request(call, plan, sent, (yield from _uploaded(call, sent)))
    told: frozenset[str] = frozenset()
    if plan.outputs is not None and plan.conversation_id is not None:
        head = heads.find(call.base_url, plan.conversation_id)
        told = head.message_ids if head is not None else told
    if request.stream:
        reply: Reply = yield from exchange(request, call.policy)
        begun.stream = reply.stream
    else:
        flow = poll(request, call.policy, call.polling)
        reply, begun.chat, begun.messages = yield from flow
    begun.secret = reply.secret
    begun.turn = Turn(
        call.model_name,
        logid=reply.logid,
        secret=reply.secret,
        whole=whole or not request.stream,
        saved=call.is_saved,
        told=told,
        late_usage=call.late_usage,
    )


def _uploaded(call: Call, sent: Sequence[EnterMessage]) -> Flow[dict[str, str]]:
    """Upload the files of a request, the same bytes once; return their ids."""
    files = [file for file in attachments(sent) if file.data]
    if not files:
        return {}
    account = yield Identify()
    ids: dict[str, str] = {}
    for file in files:
        key = (call.base_url, account, file.digest)
        make = partial(_upload, file, call.policy)
        ids[file.digest] = yield from shared(_uploads, key, make)
    return ids


def _upload(file: Attachment, policy: Policy) -> Flow[tuple[str, float]]:
    file_id = yield from upload(Upload(file.name, file.data, file.mime_type), policy)
    return file_id, _UPLOAD_KEPT


def add_usage(call: Call, turn: Turn) -> Flow[None]:
    """Ask once for the token counts of a turn whose stream has told none (Coze Studio)."""
    if not turn.lacks_usage or "chat_id" not in turn.ids:
        return
    chat = Chat(id=turn.ids["chat_id"], conversation_id=turn.ids.get("conversation_id"))
    try:
        turn.add_usage((yield from retrieve(chat, call.policy)).usage)
    except CozeError as error:
        if not isinstance(error, CozeNotFoundError):  # what was not saved cannot be asked for
            warn_user(f"The token counts of an answer could not be asked for: {error.message}")
