"""Start a turn of an agent: lock its session, check the history, send the request.

`start_site_turn` is a single flow for sync and async callers, and for all three routes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from langchain_coze import _runtime
from langchain_coze import _site_hints as site_hints
from langchain_coze._api.retry import mark_received
from langchain_coze._api.site import ProjectRun, open_stream, run_project
from langchain_coze._chat.turn_lock import TurnLock
from langchain_coze._convert.to_coze import collect_system_variables
from langchain_coze._site.answer_parser import SiteAnswerParser
from langchain_coze._site.history import (
    OPEN_TURN,
    AgentOptions,
    SitePlan,
    describe_turn,
    plan_site_turn,
)
from langchain_coze._site.request import draft_turn
from langchain_coze.errors import CozeError, CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_coze._api.effects import Flow, Reply


class SiteTurn:
    """One turn: holds its lock, session, parser and stream.

    Attributes:
        options: The options of the call.
        parser: The parser of the answer; None until the server has replied.
        stream: The open stream; None in the other modes.
        lock: The lock of the session.
        session_id: The session that the turn runs in.
        run_id: The requested id of the run; None for a task, which cannot be cancelled.
    """

    def __init__(self, options: AgentOptions, *, single_chunk: bool = False) -> None:
        """Create a turn without sending anything."""
        self.options = options
        self.single_chunk = single_chunk or options.mode != "stream"
        self.parser: SiteAnswerParser | None = None
        self.stream: Any = None
        self.lock = TurnLock(options.base_url, options.retry_policy.deadline)
        self.plan = SitePlan((), ())
        self.session_id: str | None = None
        self.run_id: str | None = None

    @property
    def cancel_id(self) -> str | None:
        """The id of the run, for `/cancel`."""
        return (self.parser and self.parser.ids.get("run_id")) or self.run_id

    @property
    def is_finished(self) -> bool:
        """Whether the server has reported the end of the turn."""
        return self.parser is not None and self.parser.is_finished

    def make_parser(self, reply: Reply, run_id: str | None = None) -> SiteAnswerParser:
        """Create the parser of the answer from the reply with the answer or its start."""
        self.stream = reply.stream
        ids = {"session_id": self.session_id, "run_id": run_id, "logid": reply.logid}
        self.parser = SiteAnswerParser(
            self.options.name,
            {name: value for name, value in ids.items() if value},
            token=reply.token,
            single_chunk=self.single_chunk,
            is_session_kept=self.options.session_id is not None,
        )
        return self.parser

    def start(self, messages: Sequence[BaseMessage]) -> Flow[SiteAnswerParser]:
        """Start the turn; see `start_site_turn`."""
        return start_site_turn(self, messages)

    def finish(self) -> None:
        """Record how the turn ended, and let the next turn of its session start."""
        parser = self.parser
        session_id = parser.ids.get("session_id") if parser is not None else None
        if self.options.is_thread and parser is not None and parser.succeeded and session_id:
            reply_id, text = parser.ids.get("reply_id"), "".join(parser.texts)
            last_turn = describe_turn(reply_id, text, self.plan.full_history)
            _runtime.last_turns.store((self.options.base_url, session_id), last_turn)
        self.lock.release()


def start_site_turn(turn: SiteTurn, messages: Sequence[BaseMessage]) -> Flow[SiteAnswerParser]:
    """Start the next turn of a history; without a stream, also wait for its end.

    The caller must call `turn.finish` afterwards, also after an error.
    """
    options = turn.options
    turn.plan = planned = plan_site_turn(messages, options)
    collect_system_variables(messages, options.system_mode, None)  # raises in the mode `raise`
    body = draft_turn(planned, options)  # raises before any request
    yield from _claim_session(turn)
    if turn.plan.messages is not planned.messages:
        body = draft_turn(turn.plan, options)
    try:
        return (yield from _send_turn(turn, body))
    except CozeError as error:
        session_id = error.session_id or turn.session_id
        raise mark_received(error).with_context(session_id=session_id) from error.__cause__


def _claim_session(turn: SiteTurn) -> Flow[None]:
    """Lock the session to continue; start a new session if its end differs from the history's."""
    options, session_id = turn.options, turn.plan.session_id
    if session_id is not None and _is_current(turn, session_id):
        yield from turn.lock.hold(session_id)
        if _is_current(turn, session_id):  # no other call has continued it in the meantime
            if options.session_id is None:
                _runtime.last_turns.store((options.base_url, session_id), OPEN_TURN)
            turn.session_id = session_id
            return
        turn.lock.release()
    _start_session(turn)


def _start_session(turn: SiteTurn) -> None:
    """Change the plan to a new session with the whole history."""
    turn.plan = turn.plan.for_new_session()
    has_session = turn.options.mode == "stream" or turn.options.is_thread
    turn.session_id = str(uuid.uuid4()) if has_session else None


def _is_current(turn: SiteTurn, session_id: str) -> bool:
    """Return whether the session is the caller's, or ends where the history does."""
    last_turn = _runtime.last_turns.get((turn.options.base_url, session_id))
    return turn.options.session_id is not None or turn.plan.matches(last_turn)


def _send_turn(turn: SiteTurn, body: dict[str, Any]) -> Flow[SiteAnswerParser]:
    options, run_id = turn.options, str(uuid.uuid4())
    if options.mode == "stream":
        body["session_id"] = turn.session_id
        if options.project_id is not None:
            body["project_id"] = options.project_id
        turn.run_id = run_id
        return turn.make_parser((yield from open_stream(body, options, run_id)))
    if options.mode == "run":
        turn.run_id = run_id = turn.session_id or run_id  # the run id is also the session id
    run = yield from run_project(body, options, run_id)
    if turn.session_id in {None, run.id}:
        return _read_run(turn, run)
    if options.session_id is not None:  # an older project, which ignores the session in this mode
        raise CozeInvalidRequestError(
            "The project ignored the session in response_mode='run': the run got another id.",
            run_id=run.id,
            hint=site_hints.RUN_IGNORES_SESSION,
        )
    if turn.plan.expected_last_turn is not None:  # the project has not seen the history
        _start_session(turn)
        return (yield from _send_turn(turn, draft_turn(turn.plan, options)))
    turn.session_id = None  # there is no session to continue
    return _read_run(turn, run)


def _read_run(turn: SiteTurn, run: ProjectRun) -> SiteAnswerParser:
    """Read the state of the agent's graph after a turn."""
    messages = run.output.get("messages") if isinstance(run.output, dict) else None
    parser = turn.make_parser(run.reply, run.id)
    if not isinstance(messages, list):
        raise CozeInvalidRequestError(
            "The project returned no messages, so it is not an agent.",
            run_id=run.id,
            hint=site_hints.WORKFLOW_PROJECT,
        )
    parser.feed_state(messages)
    return parser
