"""The state of a run as plain data: of a workflow's graph, and of a run outside a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import CozeError, CozeWorkflowError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

_ERROR_FIELDS = ("message", "code", "status_code", "logid", "debug_url", "hint")


class WorkflowInput(TypedDict, total=False):
    """Input of a workflow's graph: values for the start node."""

    parameters: dict[str, Any]


class WorkflowOutput(TypedDict, total=False):
    """Output of a workflow's graph: the workflow's output, and its `WorkflowRun` as a dict."""

    output: Any
    run: dict[str, Any]


class OutputWithFailure(WorkflowOutput, total=False):
    """Output of the graph of a tool call: also the failure of a run, see `dump_failure`."""

    failure: dict[str, Any] | None


class WorkflowState(WorkflowInput, OutputWithFailure, total=False):
    """State of a workflow's graph: plain data, so that any checkpointer can store it.

    Attributes:
        pending: The interrupt that the run waits on, or None. It stays until the result of its
            answer is known.
        answer: The answer of the user.
        attempt: The request that may be on its way; see `attempts`.
    """

    pending: dict[str, Any] | None
    answer: Any
    attempt: dict[str, Any] | None


def dump_failure(error: CozeError) -> dict[str, Any]:
    """Return the failure of a run as plain data, for `read_run`."""
    failure = {name: getattr(error, name) for name in _ERROR_FIELDS}
    if error.response is not None:
        status, headers, text = error.response
        failure["response"] = [status, dict(headers), text]
    return failure


def read_run(state: Mapping[str, Any]) -> WorkflowRun:
    """Return the run of a state.

    Raises:
        CozeWorkflowError: The run failed.
    """
    failure = state.get("failure")
    if failure:
        response = failure.get("response")
        fields = {**failure, "response": ErrorResponse(*response) if response else None}
        raise CozeWorkflowError(**fields)
    return WorkflowRun.model_validate(state["run"])
