"""From a history to an open turn: the requests before it, and what its end leaves behind.

Before a turn: wait for the other turns of its conversation, make sure that the history still is
that of the conversation, upload files, cancel a chat that was abandoned. All of it is one
procedure, `begin`; blocking and asyncio callers differ only in who carries it out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_coze._api.chats import cancel, newest_chat, poll, retrieve
from langchain_coze._api.error_codes import too_late
from langchain_coze._api.models import Chat
from langchain_coze._api.retry import exchange
from langchain_coze._api.sharing import Place, Turnstiles, entered
from langchain_coze._api.uploads import uploaded
from langchain_coze._chat.answer import Turn
from langchain_coze._chat.history import OPEN, Plan, Seen, heads, plan_turn
from langchain_coze._chat.request import drafted, turn_request
from langchain_coze._chat.stream import Progress
from langchain_coze._convert.to_coze import attachments
from langchain_coze._warnings import warn_user
from langchain_coze.errors import (
    CozeConversationBusyError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeServerError,
    CozeStreamError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._chat.request import Call
    from langchain_coze._convert.to_coze import EnterMessage

_LONGEST_QUEUE = 600.0  # seconds that a turn waits for the others of its conversation

P = TypeVar("P", bound=Progress)

_turnstiles = Turnstiles()


class Session(Generic[P]):
    """One turn, from before its beginning until after its end.

    Attributes:
        call: What is asked for.
        turn: Who listens to it, from its beginning on.
        stream: Its open stream, or None when it was polled for.
        chat: When it was polled for: the chat at its end, as Coze sent it.
        messages: When it was polled for: its messages, as Coze sent them.
        secret: The token that was sent.
    """

    def __init__(self, call: Call, listen: Callable[[Reply, frozenset[str]], P]) -> None:
        """Take the call; nothing has begun yet.

        Args:
            call: What is asked for.
            listen: Makes who listens, of the reply that begins the turn and the ids of the messages
                that have been told before.
        """
        self.call = call
        self.listen = listen
        self.turn: P | None = None
        self.stream: Any = None
        self.chat: Mapping[str, Any] = {}
        self.messages: Sequence[Any] = ()
        self.secret = ""
        self.place: Place | None = None
        self._started: dict[str, str] = {}

    @property
    def ids(self) -> Mapping[str, str]:
        """The `chat_id` and `conversation_id` of the turn, as far as they are known."""
        return self._started if self.turn is None else {**self._started, **self.turn.ids}

    @property
    def over(self) -> bool:
        """Whether the bot has said that the turn is over."""
        return self.turn is not None and self.turn.finished

    def started(self, reply: Reply, chat: Chat) -> None:
        """Note that Coze has started a turn that is polled for."""
        self.secret = reply.secret
        self._started = {"chat_id": chat.id, "conversation_id": chat.conversation_id}

    def give_up_place(self) -> None:
        """Let the next turn of the conversation begin."""
        if self.place is not None:
            self.place.leave()
            self.place = None

    def leave(self) -> None:
        """Note how the turn ended, and let the next one of its conversation begin."""
        if self.call.is_saved:
            ids, turn = self.ids, self.turn
            if ids.get("conversation_id") and ids.get("chat_id"):
                seen = Seen(ids["chat_id"], OPEN)
                if turn is not None:
                    seen = Seen(ids["chat_id"], turn.state, turn.open_calls, turn.message_ids)
                heads.note(self.call.base_url, ids["conversation_id"], seen)
        self.give_up_place()


def answering(call: Call, *, whole: bool = False) -> Session[Turn]:
    """Return the session of a turn whose answer is wanted.

    Args:
        call: What is asked for.
        whole: Whether the turn is told in one chunk.
    """

    def listen(reply: Reply, told: frozenset[str]) -> Turn:
        return Turn(
            call.model_name,
            logid=reply.logid,
            secret=reply.secret,
            whole=whole or not call.stream,
            saved=call.is_saved,
            told=told,
            late_usage=call.late_usage,
        )

    return Session(call, listen)


def begin(session: Session[P], messages: Sequence[BaseMessage]) -> Flow[P]:
    """Begin the next turn of a history; however that ends, the session must be left.

    Args:
        session: What is asked for, and what becomes of it.
        messages: The whole history.

    Returns:
        Who listens to the turn.

    Raises:
        CozeError: The history cannot be sent, or Coze refuses.
    """
    call = session.call
    plan = plan_turn(messages, call.scope)
    draft = plan.messages, drafted(call, plan)  # what is wrong is said before any request
    session.place = yield from _queued(call, plan)
    queued_for = plan.conversation_id
    plan = yield from _verified(call, plan)
    if plan.conversation_id not in {None, queued_for}:
        yield from _requeued(session, plan)
    plan, refused = yield from _without_open_chat(call, plan)
    try:
        sent = draft[1] if plan.messages is draft[0] else drafted(call, plan)
        turn = yield from _send(session, plan, sent)
    except CozeError as error:
        busy = refused and isinstance(error, CozeConversationBusyError)
        if not (busy and plan.named is None) and not _was_answered(call, plan, error):
            raise
        plan = plan.afresh()
        yield from _requeued(session, plan)
        turn = yield from _send(session, plan, drafted(call, plan))
    if plan.conversation_id is None:
        session.give_up_place()
    return turn


def _requeued(session: Session[P], plan: Plan) -> Flow[None]:
    """Leave the queue of one conversation for that of another, where the plan has changed."""
    session.give_up_place()
    session.place = yield from _queued(session.call, plan)


def _was_answered(call: Call, plan: Plan, error: CozeError) -> bool:
    """Return whether Coze refuses results because it does not wait for them any more.

    That is a step back into a turn that has gone on, which this process did not see.
    """
    if plan.outputs is None or plan.last is None or plan.conversation_id is None:
        return False
    head = heads.find(call.base_url, plan.conversation_id)
    unseen = head is None or head.chat_id != plan.last.chat_id
    refused = isinstance(error, (CozeInvalidRequestError, CozeNotFoundError))
    return unseen and refused and error.code is not None


def _queued(call: Call, plan: Plan) -> Flow[Place | None]:
    """Wait for the other turns of a conversation: Coze takes one at a time (4016)."""
    if plan.conversation_id is None:
        return None
    until = call.policy.until
    left = _LONGEST_QUEUE if until is None else min(until - time.monotonic(), _LONGEST_QUEUE)
    try:
        return (yield from entered(_turnstiles, (call.base_url, plan.conversation_id), left))
    except CozeConversationBusyError:
        if until is not None and time.monotonic() >= until:
            raise too_late() from None
        raise


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
    if plan.outputs is not None:
        return plan  # Coze refuses results that it does not wait for
    try:
        newest = yield from newest_chat(plan.conversation_id, call.policy)
    except CozeError as error:
        warn_user(
            "It cannot be seen whether this history is still that of its conversation "
            f"({error.message}): a new conversation begins, with the whole history. Where it is "
            "the token that may not, give it the permission listMessage. "
            "无法确认会话状态，将新建会话并发送全部历史；如为权限问题，请为令牌勾选 listMessage。"
        )
        return plan.afresh()
    return plan if newest == plan.last.chat_id else plan.afresh()


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


def _send(session: Session[P], plan: Plan, sent: Sequence[EnterMessage]) -> Flow[P]:
    call = session.call
    request = turn_request(
        call, plan, sent, (yield from uploaded(attachments(sent), call.base_url, call.policy))
    )
    told: frozenset[str] = frozenset()
    if plan.outputs is not None and plan.conversation_id is not None:
        head = heads.find(call.base_url, plan.conversation_id)
        told = head.message_ids if head is not None else told
    try:
        reply: Reply
        if request.stream:
            reply = yield from exchange(request, call.policy)
            session.stream = reply.stream
        else:
            flow = poll(request, call.policy, call.polling, started=session.started)
            reply, session.chat, session.messages = yield from flow
    except CozeError as error:
        if isinstance(error, (CozeServerError, CozeStreamError)):
            error.sent = True  # Coze had the request: the turn may have started
        if plan.outputs is not None and plan.open_chat is not None:
            error.chat_id, error.conversation_id = plan.open_chat.chat_id, plan.conversation_id
        raise
    session.secret = reply.secret
    session.turn = turn = session.listen(reply, told)
    return turn


def add_usage(session: Session[Turn]) -> Flow[None]:
    """Ask once for the token counts of a turn whose stream has told none (Coze Studio)."""
    turn, ids = session.turn, session.ids
    if turn is None or not turn.lacks_usage or not ids.get("chat_id"):
        return
    chat = Chat(id=ids["chat_id"], conversation_id=ids.get("conversation_id"))
    try:
        chat = yield from retrieve(chat, session.call.policy)
        turn.add_usage(chat.usage)
    except CozeError as error:
        warn_user(f"The token counts of an answer could not be asked for: {error.message}")
