"""Attempts to start or resume a run, each announced in a checkpoint before its request is sent.

A process that dies while the request is on its way leaves only the announcement. Whoever continues
the thread from there must not send the request again: Coze may have received it. So an attempt can
only be sent by the process that has announced it, and only once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

from langchain_coze._workflows.errors import make_unknown_result
from langchain_coze._workflows.workflow_run import dump_failure
from langchain_coze.errors import (
    CozeError,
    CozeUnknownResultError,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    convert_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze._workflows.workflow_run import WorkflowState


class Attempts:
    """The attempts that this process has announced.

    The key `attempt` of a state holds the last one as plain data until its result is known. It
    answers a question if the state is `pending`; otherwise it starts a run.
    """

    def __init__(self) -> None:
        """Create an empty collection."""
        self._unsent: set[str] = set()
        self._errors: dict[str, CozeError] = {}

    def announce(self, workflow_id: str, tool_call_id: str | None) -> dict[str, Any]:
        """Return a new attempt, for a checkpoint."""
        id_ = uuid.uuid4().hex
        self._unsent.add(id_)
        return {
            "id": id_,
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "workflow_id": workflow_id,
            "tool_call_id": tool_call_id,
        }

    @contextlib.contextmanager
    def send(self, state: WorkflowState, *, keep_failure: bool) -> Iterator[WorkflowState]:
        """Return the context in which the request of the announced attempt is sent.

        Its value is the update of the state, to be filled with the result. If nothing runs in Coze
        after an error, the context suppresses it, and the update holds the failure of the run or
        the failed attempt; see `raise_error`.

        Args:
            state: The state of the graph.
            keep_failure: Whether the failure of a run becomes part of the state.

        Raises:
            CozeUnknownResultError: The attempt has been sent, or was announced by another process;
                or Coze refused an answer that it may have received before.
        """
        attempt = state["attempt"] or {}
        try:
            self._unsent.remove(attempt["id"])
        except KeyError:
            raise make_unknown_result(state) from None
        update: WorkflowState = {}
        try:
            yield update
        except CozeWorkflowInterrupt:
            raise
        except CozeError as error:
            is_run_failure = keep_failure and isinstance(error, CozeWorkflowError)
            if error.may_have_started and is_run_failure:  # an answer: no model may act on this
                debug_url = error.debug_url or (state.get("run") or {}).get("debug_url")
                raise convert_error(error, CozeUnknownResultError, debug_url=debug_url) from error
            if error.may_have_started:
                raise
            if is_run_failure:
                failure = dump_failure(error)
                update.update({"failure": failure, "pending": None, "attempt": None})
            else:
                self._errors[attempt["id"]] = error
                update["attempt"] = {**attempt, "failed": True}

    def raise_error(self, state: WorkflowState) -> None:
        """Raise the error of a failed attempt the first time; do nothing afterwards."""
        error = self._errors.pop((state["attempt"] or {})["id"], None)
        if error is not None:
            raise error


def check_settled(state: WorkflowState) -> None:
    """Reject a new attempt while the result of the last one is not known.

    Raises:
        CozeUnknownResultError: The last attempt may have started something.
    """
    attempt = state.get("attempt")
    if attempt and not attempt.get("failed"):
        raise make_unknown_result(state)
