"""Errors of workflow runs: a model sees a `CozeWorkflowError`, other classes reach the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.error_codes import is_listed, make_error
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeUnknownResultError,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    convert_error,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._workflows.workflow_run import WorkflowState

_NOT_FOR_MODELS = (
    CozeAuthenticationError,
    CozePermissionError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeRateLimitError,
)
_BAD_REQUEST = 4000
_MAX_PARAMETERS = 300  # characters of the parameters that an error quotes


def make_run_error(code: int | None, message: str, **context: Any) -> CozeError:
    """Return the error for a failure that a run reports, with Coze's code and message.

    It is a `CozeWorkflowError`, or has the class of its code if other parameters cannot help:
    token, permission, publishing, quota, rate.
    """
    error = make_error(code, message, default=CozeWorkflowError, **context)
    return error if isinstance(error, _NOT_FOR_MODELS) else _to_workflow_error(error)


def map_refusal(error: CozeError, *, is_answer: bool = False) -> CozeError:
    """Return the error for a start or an answer that Coze refused.

    It is a `CozeWorkflowError` if the parameters, a node or the answer are at fault, or if the run
    no longer waits for the answer; otherwise it is the same error.
    """
    if is_answer and isinstance(error, (CozeInvalidRequestError, CozeNotFoundError)):
        return convert_error(
            error, CozeWorkflowError, hint=hints.ANSWER_REFUSED, may_have_started=True
        )
    is_known = error.code is None or is_listed(error) or isinstance(error, CozeServerError)
    return error if is_known and error.code != _BAD_REQUEST else _to_workflow_error(error)


def make_unknown_result(state: WorkflowState) -> CozeUnknownResultError:
    """Return the error for the announced attempt of a state, whose result is not known."""
    attempt, pending = state["attempt"] or {}, state.get("pending")
    details = {"workflow_id": attempt["workflow_id"], "time": attempt["time"]}
    run: Mapping[str, Any] = {}
    if pending:
        run = state.get("run") or {}
        details |= {"execute_id": run.get("execute_id"), "event_id": pending.get("event_id")}
    else:
        values = json.dumps(state.get("parameters") or {}, ensure_ascii=False, default=str)
        details["parameters"] = redact(values)[:_MAX_PARAMETERS]
    details["tool_call_id"] = attempt["tool_call_id"]
    known = ", ".join(f"{name} {value}" for name, value in details.items() if value)
    action = "received the answer" if pending else "started the run"
    return CozeUnknownResultError(
        f"Coze may already have {action}; the result is not known ({known}).",
        hint=hints.UNKNOWN_ANSWER if pending else hints.UNKNOWN_START,
        debug_url=run.get("debug_url"),
        logid=run.get("logid"),
        may_have_started=True,
    )


def make_unknown_interrupt(execute_id: str, **context: Any) -> CozeWorkflowInterrupt:
    """Return the error of a run that asks a question, which the server does not return."""
    return CozeWorkflowInterrupt(
        "The workflow waits for an answer, but the server does not return the question "
        f"(execute_id {execute_id}).",
        hint=hints.UNKNOWN_QUESTION,
        **context,
    )


def _to_workflow_error(error: CozeError) -> CozeWorkflowError:
    hint = error.hint
    if not is_listed(error):  # the code comes from a node
        hint = hints.NODE_FAILED
    return convert_error(error, CozeWorkflowError, hint=hint)
