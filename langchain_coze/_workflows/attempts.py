"""Attempts to start or resume a run, announced in a checkpoint before the request is sent.

If the process dies during the request, only the announcement remains, and Coze may have received
the request. Therefore only the process that announced an attempt can send it, and only once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import uuid
from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._workflows.workflow_run import dump_failure
from langchain_coze.errors import (
    CozeError,
    CozeUnknownResultError,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    convert_error,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_coze._workflows.workflow_run import WorkflowState

_MAX_PARAMETERS = 300  # characters of the parameters that an error quotes


class Attempts:
    """The attempts that this process has announced.

    The key `attempt` of a state contains the last one as plain data until its result is known. If
    the state is `pending`, the attempt answers a question; otherwise it starts a run.
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
        """Yield a state update, which the caller fills with the result of the announced attempt.

        If nothing is running in Coze after an error, the error is suppressed. The update then
        contains the failure of the run (with `keep_failure`) or the failed attempt; see
        `raise_error`.

        Raises:
            CozeUnknownResultError: The attempt has already been sent, or was announced by another
                process; or Coze rejected an answer that it may have received before.
        """
        attempt = state["attempt"] or {}
        try:
            self._unsent.remove(attempt["id"])
        except KeyError:
            raise _make_unknown_result(state) from None
        update: WorkflowState = {}
        try:
            yield update
        except CozeWorkflowInterrupt:
            raise
        except CozeError as error:
            is_run_failure = keep_failure and isinstance(error, CozeWorkflowError)
            if error.may_have_started and is_run_failure:  # an answer: not for a model
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
        """Raise the error of a failed attempt, but only once."""
        error = self._errors.pop((state["attempt"] or {})["id"], None)
        if error is not None:
            raise error


def check_settled(state: WorkflowState) -> None:
    """Raise `CozeUnknownResultError` if the last attempt may have started something."""
    attempt = state.get("attempt")
    if attempt and not attempt.get("failed"):
        raise _make_unknown_result(state)


def _make_unknown_result(state: WorkflowState) -> CozeUnknownResultError:
    """Return the error for the announced attempt of a state, whose result is not known."""
    attempt, pending = state["attempt"] or {}, state.get("pending")
    run: Mapping[str, Any] = (state.get("run") or {}) if pending else {}
    details = {"workflow_id": attempt["workflow_id"], "time": attempt["time"]}
    if pending:
        details |= {"execute_id": run.get("execute_id"), "event_id": pending.get("event_id")}
    else:
        values = json.dumps(state.get("parameters") or {}, ensure_ascii=False, default=str)
        details["parameters"] = redact(values)[:_MAX_PARAMETERS]
    details["tool_call_id"] = attempt["tool_call_id"]
    known = ", ".join(f"{name} {value}" for name, value in details.items() if value)
    action = "received the answer" if pending else "started the run"
    return CozeUnknownResultError(
        f"Coze may already have {action}, but the result is unknown ({known}).",
        hint=hints.UNKNOWN_ANSWER if pending else hints.UNKNOWN_START,
        debug_url=run.get("debug_url"),
        logid=run.get("logid"),
        may_have_started=True,
    )
