"""Start a turn of an agent: lock its session, check the history, send the request.

`start_site_turn` is a single flow for sync and async callers, and for all three routes.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_coze import _runtime
from langchain_coze import _site_hints as site_hints
from langchain_coze._api.polling import Polling
from langchain_coze._api.retry import RetryPolicy, mark_received
from langchain_coze._api.site import (
    RUN_ID,
    build_stream_request,
    run_project,
    run_task,
    send_to_site,
)
from langchain_coze._chat.turn import acquire_turn_lock
from langchain_coze._convert.to_coze import collect_system_variables
from langchain_coze._site.answer_parser import SiteAnswerParser
from langchain_coze._site.history import (
    OPEN_TURN,
    LastSiteTurn,
    SitePlan,
    get_history_fingerprint,
    get_text_fingerprint,
    plan_site_turn,
)
from langchain_coze._site.request import draft_turn
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_coze._api.conversation_lock import LockHandle
    from langchain_coze._api.effects import Flow, Reply
    from langchain_coze._convert.to_coze import SystemMessageMode


class SiteOptions(NamedTuple):
    """The options of one call; see the fields of `ChatCozeSite`.

    Attributes:
        base_url: The address of the project.
        model_name: The name of the project.
        mode: The route.
        is_thread: Whether to take the session from the history.
        session_id: The session that the caller names.
        system_mode: How system messages are sent.
        project_id: The id of the project, which the server does not use today.
        retry_policy: How often requests are repeated, and until when.
        polling: How to poll a task.
    """

    base_url: str
    model_name: str
    mode: Literal["stream", "run", "async"] = "stream"
    is_thread: bool = False
    session_id: str | None = None
    system_mode: SystemMessageMode = "context"
    project_id: int | None = None
    retry_policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()


class SiteTurn:
    """One turn, from before it starts until after it ends.

    Attributes:
        options: The options of the call.
        parser: The parser of the answer; None until the server has replied.
        stream: The open stream; None in the other modes.
        run_id: The id that the run was asked to have.
    """

    def __init__(self, options: SiteOptions, *, single_chunk: bool = False) -> None:
        """Create a turn without sending anything."""
        self.options = options
        self.single_chunk = single_chunk or options.mode != "stream"
        self.parser: SiteAnswerParser | None = None
        self.stream: Any = None
        self.lock: LockHandle | None = None
        self.plan = SitePlan(())
        self.session_id: str | None = None
        self.run_id: str | None = None

    @property
    def cancel_id(self) -> str | None:
        """The id of the run, for `/cancel`; None of a task, which cannot be cancelled."""
        return (self.parser and self.parser.ids.get("run_id")) or self.run_id

    @property
    def is_finished(self) -> bool:
        """Whether the server has reported the end of the turn."""
        return self.parser is not None and self.parser.is_finished

    def make_parser(self, reply: Reply, ids: Mapping[str, str | None]) -> SiteAnswerParser:
        """Create the parser of the answer from the reply that holds or begins it."""
        self.stream = reply.stream
        known = {"session_id": self.session_id, **ids, "logid": reply.logid}
        self.parser = SiteAnswerParser(
            self.options.model_name,
            {name: value for name, value in known.items() if value},
            token=reply.token,
            single_chunk=self.single_chunk,
            is_session_kept=self.options.session_id is not None,
        )
        return self.parser

    def start(self, messages: Sequence[BaseMessage]) -> Flow[SiteAnswerParser]:
        """Start the turn; see `start_site_turn`."""
        return start_site_turn(self, messages)

    def take_last_chunks(self) -> Iterable[ChatGenerationChunk]:
        """Return the chunks after those of the stream, or all chunks of another mode."""
        return () if self.parser is None else self.parser.finish()

    def finish(self) -> None:
        """Record how the turn ended, and let the next one of its session start."""
        parser = self.parser
        session_id = parser.ids.get("session_id") if parser is not None else None
        if self.options.is_thread and parser is not None and parser.succeeded and session_id:
            last_turn = LastSiteTurn(
                parser.ids.get("reply_id", ""),
                get_text_fingerprint("".join(parser.texts)),
                get_history_fingerprint(self.plan.full_history),
            )
            _runtime.last_turns.record(self.options.base_url, session_id, last_turn)
        self.release_lock()

    def release_lock(self) -> None:
        """Let the next turn of the session start."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None


def start_site_turn(turn: SiteTurn, messages: Sequence[BaseMessage]) -> Flow[SiteAnswerParser]:
    """Start the next turn of a history; in the modes without a stream, also wait for its end.

    The caller must call `turn.finish` afterwards, also after an error.
    """
    options = turn.options
    turn.plan = plan_site_turn(
        messages,
        options.model_name,
        is_thread=options.is_thread,
        session_id=options.session_id,
        system_mode=options.system_mode,
    )
    collect_system_variables(messages, options.system_mode, None)  # raises in the mode `raise`
    planned, body = turn.plan, _draft(options, turn.plan)  # raises before any request
    yield from _claim_session(turn)
    if turn.plan.messages is not planned.messages:
        body = _draft(options, turn.plan)
    try:
        return (yield from _send_turn(turn, body))
    except CozeError as error:
        raise mark_received(error).with_context(
            session_id=error.session_id or turn.session_id
        ) from error.__cause__


def _draft(options: SiteOptions, plan: SitePlan) -> dict[str, Any]:
    return draft_turn(
        plan.messages,
        is_stream=options.mode == "stream",
        system_mode=options.system_mode,
        model_name=None if plan.has_other_agents else options.model_name,
    )


def _claim_session(turn: SiteTurn) -> Flow[None]:
    """Lock the session to continue; start a new one if it does not end where the history does."""
    options, session_id = turn.options, turn.plan.session_id
    if session_id is not None and _is_current(turn):
        turn.lock = yield from acquire_turn_lock(
            options.base_url, session_id, options.retry_policy.deadline
        )
        if _is_current(turn):  # no other call has continued it in the meantime
            if options.session_id is None:
                _runtime.last_turns.record(options.base_url, session_id, OPEN_TURN)
            turn.session_id = session_id
            return
        turn.release_lock()
    _start_session(turn)


def _start_session(turn: SiteTurn) -> None:
    """Change the plan to a new session with the whole history."""
    turn.plan = turn.plan.for_new_session()
    has_session = turn.options.mode == "stream" or turn.options.is_thread
    turn.session_id = str(uuid.uuid4()) if has_session else None


def _is_current(turn: SiteTurn) -> bool:
    """Return whether the session belongs to the caller, or ends where the history does."""
    options, plan = turn.options, turn.plan
    if options.session_id is not None or plan.session_id is None:
        return True
    return plan.matches(_runtime.last_turns.get(options.base_url, plan.session_id))


def _send_turn(turn: SiteTurn, body: dict[str, Any]) -> Flow[SiteAnswerParser]:
    options = turn.options
    if options.mode == "stream":
        body["session_id"] = turn.session_id
        if options.project_id is not None:
            body["project_id"] = options.project_id
        turn.run_id = str(uuid.uuid4())  # an old project chooses another one, and reports it
        request = build_stream_request(body, {RUN_ID: turn.run_id})
        reply: Reply = yield from send_to_site(request, options.retry_policy)
        return turn.make_parser(reply, {})
    if options.mode == "run":
        return (yield from _run(turn, body))
    task_id = uuid.uuid4().hex
    reply, output = yield from run_task(body, task_id, options.retry_policy, options.polling)
    return _read_output(turn, reply, output, task_id)


def _run(turn: SiteTurn, body: Mapping[str, Any]) -> Flow[SiteAnswerParser]:
    """Run a turn with one request. Its run id is its session id: so they share a memory."""
    run_id = turn.session_id or str(uuid.uuid4())
    turn.run_id = run_id
    try:
        reply, output = yield from run_project(body, run_id, turn.options.retry_policy)
    except CozeError as error:
        raise error.with_context(run_id=error.run_id or run_id) from error.__cause__
    actual_id = str(output.get("run_id") or run_id)
    if actual_id != run_id and turn.session_id is not None:
        return (yield from _run_without_session(turn, reply, output, actual_id))
    return _read_output(turn, reply, output, actual_id)


def _run_without_session(
    turn: SiteTurn, reply: Reply, output: Mapping[str, Any], run_id: str
) -> Flow[SiteAnswerParser]:
    """Handle the reply of an older project, which ignores the session of a run."""
    if turn.options.session_id is not None:
        raise CozeInvalidRequestError(
            "The project ignores sessions in response_mode='run': it chose the id of the run.",
            run_id=run_id,
            hint=site_hints.RUN_IGNORES_SESSION,
        )
    if turn.plan.expected_last_turn is not None:  # it has not seen the history
        _start_session(turn)
        return (yield from _run(turn, _draft(turn.options, turn.plan)))
    turn.session_id = None  # nothing to continue
    return _read_output(turn, reply, output, run_id)


def _read_output(turn: SiteTurn, reply: Reply, output: Any, run_id: str) -> SiteAnswerParser:
    """Read the state of the agent's graph after a turn."""
    messages = output.get("messages") if isinstance(output, dict) else None
    parser = turn.make_parser(reply, {"run_id": run_id})
    if not isinstance(messages, list):
        raise CozeInvalidRequestError(
            "The project returned no messages, so it is no agent.",
            run_id=run_id,
            hint=site_hints.NO_AGENT,
        )
    parser.feed_state(messages)
    return parser
