"""Plan the next turn of a history: which messages to send, and in which session. Pure.

The server keeps the memory of a session. No route reads, forks or checks it, and the question of a
failed turn stays in it (wire section 9.6). A session is therefore continued only if this process
knows that it ends where the history does; otherwise the whole history is sent to a new session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.site import SiteOptions
from langchain_coze._convert.to_coze import get_role, is_answer_of
from langchain_coze._warnings import warn_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_coze._convert.to_coze import SystemMessageMode


@dataclass(frozen=True, kw_only=True)
class AgentOptions(SiteOptions):
    """The options of one call of an agent; options that are not listed are fields of the model.

    Attributes:
        is_thread: Whether to take the session from the history.
        session_id: The session id of the caller, or None.
    """

    base_url: str
    is_thread: bool
    session_id: str | None
    system_mode: SystemMessageMode
    project_id: int | None


class LastSiteTurn(NamedTuple):
    """The last turn of a session, if it succeeded.

    Attributes:
        reply_id: The id of its answer.
        answer: A fingerprint of the text of its answer.
        history: A fingerprint of each message before its answer.
    """

    reply_id: str
    answer: int
    history: tuple[int, ...]


OPEN_TURN = LastSiteTurn("", 0, ())
"""The last turn of a session if it failed or its end has not been received."""


class SitePlan(NamedTuple):
    """The plan for the next turn.

    Attributes:
        messages: The messages to send.
        full_history: All messages; sent to a new session.
        session_id: The session to continue; None to start a new one.
        expected_last_turn: The turn that must be the last one of the session; None for a session of
            the caller, for which this is not checked.
        has_other_agents: Whether named answers of the project come from other agents.
    """

    messages: Sequence[BaseMessage]
    full_history: Sequence[BaseMessage]
    session_id: str | None = None
    expected_last_turn: LastSiteTurn | None = None
    has_other_agents: bool = False

    def for_new_session(self) -> SitePlan:
        """Return the plan for a history that no longer matches its session."""
        return self._replace(messages=self.full_history, session_id=None, expected_last_turn=None)

    def matches(self, last_turn: LastSiteTurn | None) -> bool:
        """Return whether the session ends where the history does.

        Args:
            last_turn: The last turn of the session that this process knows. Its history may be
                longer, because callers may trim the oldest messages.
        """
        expected = self.expected_last_turn
        if expected is None or last_turn is None or not expected.reply_id:
            return False
        start = len(last_turn.history) - len(expected.history)
        return (
            expected[:2] == last_turn[:2]
            and start >= 0
            and expected.history == last_turn.history[start:]
        )


def plan_site_turn(messages: Sequence[BaseMessage], options: AgentOptions) -> SitePlan:
    """Return the plan for the next turn of a history."""
    session_id = options.session_id
    position = _find_last_answer(messages, options.name, session_id)
    plan, new = SitePlan(messages, messages, session_id), messages[position + 1 :]
    has_question = any(get_role(message) == "user" for message in new)
    if position >= 0 and not has_question:  # another agent of the same project has answered
        if session_id is not None:
            questions = [n for n, m in enumerate(messages) if get_role(m) == "user"]
            plan = plan._replace(messages=messages[max(questions, default=0) :])
        return plan._replace(has_other_agents=True)
    if session_id is not None:
        return plan._replace(messages=_omit_system_messages(messages, new, options.system_mode))
    metadata = messages[position].response_metadata if position >= 0 else {}
    if not (options.is_thread and metadata.get("session_id")):
        return plan
    answer = str(messages[position].text)
    expected = describe_turn(metadata.get("reply_id"), answer, messages[:position])
    return SitePlan(new, messages, metadata["session_id"], expected)


def _omit_system_messages(
    messages: Sequence[BaseMessage], new: Sequence[BaseMessage], system_mode: SystemMessageMode
) -> Sequence[BaseMessage]:
    """Return the new messages for a caller's session; system ones only in its first turn."""
    has_answer = any(isinstance(message, AIMessage) for message in messages)
    has_system = any(isinstance(message, SystemMessage) for message in messages)
    if not (has_answer and has_system):
        return new
    if system_mode == "context":
        warn_user(site_hints.SYSTEM_MESSAGE)
    return [message for message in new if not isinstance(message, SystemMessage)]


def _find_last_answer(
    messages: Sequence[BaseMessage], model_name: str, session_id: str | None = None
) -> int:
    """Return the position of the last answer of a project or session, or -1."""
    for position in reversed(range(len(messages))):
        message = messages[position]
        is_own = isinstance(message, AIMessage) and is_answer_of(message, model_name)
        if is_own and session_id in {None, message.response_metadata.get("session_id")}:
            return position
    return -1


def describe_turn(reply_id: str | None, text: str, history: Sequence[BaseMessage]) -> LastSiteTurn:
    """Return the record of a successful turn, with fingerprints of its answer and history."""
    fingerprints = tuple(
        _hash_text(str(message.text))
        if isinstance(message, AIMessage)
        else hash((message.type, repr(message.content)))
        for message in history
    )
    return LastSiteTurn(reply_id or "", _hash_text(text), fingerprints)


def _hash_text(text: str) -> int:
    """Return a hash of the text of an answer, ignoring white space."""
    return hash("".join(text.split()))
