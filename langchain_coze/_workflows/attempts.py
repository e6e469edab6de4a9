"""Attempts to start or resume a run, each announced in a checkpoint before its request is sent.

A process that dies while the request is on its way leaves only the announcement. Whoever continues
the thread from there must not send the request again: Coze may have received it. So an attempt can
only be sent by the process that has announced it, and only once.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

from langchain_coze._workflows.errors import make_unknown_result
from langchain_coze.errors import (
    CozeError,
    CozeUnknownResultError,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    convert_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._workflows.graph_state import WorkflowState

START_RUN: Final = "run_workflow"
"""The kind of an attempt to start a run, and the node that sends it."""

ANSWER: Final = "resume"
"""The kind of an attempt to answer a question, and the node that sends it."""

_ERROR_FIELDS = ("message", "code", "status_code", "logid", "debug_url", "hint")


class Attempts:
    """The attempts that this process has announced, as plain data of a graph's state.

    The key `attempt` of a state holds the last one until its result is known.
    """

    def __init__(self) -> None:
        """Create an empty collection."""
        self._unsent: set[str] = set()
        self._failures: dict[str, CozeError] = {}

    def announce(self, kind: str, workflow_id: str, tool_call_id: str | None) -> dict[str, Any]:
        """Return a new attempt, for a checkpoint.

        Args:
            kind: What it sends, `START_RUN` or `ANSWER`.
            workflow_id: The workflow.
            tool_call_id: The tool call that needs the run, or None.
        """
        id_ = uuid.uuid4().hex
        self._unsent.add(id_)
        return {
            "id": id_,
            "kind": kind,
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "workflow_id": workflow_id,
            "tool_call_id": tool_call_id,
        }

    def check_settled(self, state: Mapping[str, Any]) -> None:
        """Reject a new attempt while the result of the last one is not known.

        Args:
            state: The state of the graph.

        Raises:
            CozeUnknownResultError: The last attempt may have started something.
        """
        attempt = state.get("attempt")
        if attempt and not attempt.get("failed"):
            raise make_unknown_result(state, is_answer=attempt["kind"] == ANSWER)

    def send(self, state: Mapping[str, Any], *, keep_failure: bool) -> Sending:
        """Return the context in which the request of the announced attempt is sent.

        Args:
            state: The state of the graph.
            keep_failure: Whether the failure of the run becomes part of the state.
        """
        return Sending(self, state, keep_failure=keep_failure)

    def take(self, state: Mapping[str, Any]) -> None:
        """Mark the announced attempt as sent.

        Raises:
            CozeUnknownResultError: It has been sent, or was announced by another process.
        """
        try:
            self._unsent.remove(state["attempt"]["id"])
        except KeyError:
            is_answer = state["attempt"]["kind"] == ANSWER
            raise make_unknown_result(state, is_answer=is_answer) from None

    def record_failure(self, attempt: Mapping[str, Any], error: CozeError) -> dict[str, Any]:
        """Record an attempt after which nothing runs in Coze; return it for the state."""
        self._failures[attempt["id"]] = error
        return {**attempt, "failed": True}

    def raise_failure(self, state: Mapping[str, Any]) -> None:
        """Raise the error of a failed attempt the first time; do nothing afterwards."""
        error = self._failures.pop(state["attempt"]["id"], None)
        if error is not None:
            raise error


class Sending:
    """Context in which the request of an attempt is sent; it suppresses a final failure.

    Attributes:
        state: What a suppressed failure adds to the state: the failure of the run, or the failed
            attempt, whose error is then raised by `Attempts.raise_failure`.
    """

    def __init__(self, attempts: Attempts, state: Mapping[str, Any], *, keep_failure: bool) -> None:
        """Create the context; see `Attempts.send`."""
        self._attempts, self._given_state, self._keep = attempts, state, keep_failure
        self.state: WorkflowState = {}

    def __enter__(self) -> Self:
        """Mark the attempt as sent."""
        self._attempts.take(self._given_state)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        """Suppress an error after which nothing runs in Coze; keep it for the state."""
        if not isinstance(error, CozeError) or isinstance(error, CozeWorkflowInterrupt):
            return False
        is_run_failure = self._keep and isinstance(error, CozeWorkflowError)
        if error.may_have_started:
            if is_run_failure:  # a refused answer: no model may act on it
                run = self._given_state.get("run") or {}
                debug_url = error.debug_url or run.get("debug_url")
                raise convert_error(error, CozeUnknownResultError, debug_url=debug_url) from error
            return False
        if is_run_failure:
            self.state = {"failure": _to_failure(error), "pending": None, "attempt": None}
        else:
            attempt = self._attempts.record_failure(self._given_state["attempt"], error)
            self.state = {"attempt": attempt}
        return True


def _to_failure(error: CozeError) -> dict[str, Any]:
    """Return the failure of a run as plain data."""
    failure = {name: getattr(error, name) for name in _ERROR_FIELDS}
    if error.response is not None:
        status, headers, text = error.response
        failure["response"] = [status, dict(headers), text]
    return failure
