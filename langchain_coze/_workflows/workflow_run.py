"""`WorkflowRun`, the artifact of a workflow tool; `WorkflowState`, a run as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from langchain_coze.errors import CozeError, CozeWorkflowError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

_ERROR_FIELDS = ("message", "code", "status_code", "logid", "debug_url", "hint")


class WorkflowRun(BaseModel):
    """A workflow run, finished or so far; the artifact of `CozeWorkflowTool`.

    After a checkpoint, the artifact of a `ToolMessage` is a dict with the same keys, because
    LangGraph stores it this way.

    Source: wire sections 4.2 to 4.4.
    """

    model_config = ConfigDict(defer_build=True)

    workflow_id: str = ""
    """The id of the workflow."""

    content: str = ""
    """The output as text: the content of the tool's message for the model."""

    output: Any = None
    """The output: a dict of variables, or text."""

    data: str = ""
    """The output as Coze sent it: JSON in a str, or text."""

    messages: list[dict[str, Any]] = []
    """The output chunks of all nodes, as Coze sent them."""

    execute_id: str | None = None
    """The id of the run, if Coze sent it."""

    debug_url: str | None = None
    """The URL of the run's trace, valid for 7 days."""

    usage: UsageMetadata | None = None
    """The token counts, if Coze sent them."""

    logid: str | None = None
    """Coze's log id, for Coze's support."""


class WorkflowInput(TypedDict, total=False):
    """Input of a workflow's graph: values for the start node."""

    parameters: dict[str, Any]


class WorkflowOutput(TypedDict, total=False):
    """Output of a workflow's graph: the workflow's output, and its `WorkflowRun` as a dict."""

    output: Any
    run: dict[str, Any]


class OutputWithFailure(WorkflowOutput, total=False):
    """Output of the graph of a tool call, which may be the failure of a run; see `dump_failure`."""

    failure: dict[str, Any] | None


class WorkflowState(WorkflowInput, OutputWithFailure, total=False):
    """State of a workflow's graph: plain data, so that any checkpointer can store it.

    Attributes:
        pending: The interrupt of the run, or None. It is kept until the result of its answer is
            known.
        answer: The answer of the user.
        attempt: The request that may have been sent; see `attempts`.
    """

    pending: dict[str, Any] | None
    answer: Any
    attempt: dict[str, Any] | None


def dump_failure(error: CozeError) -> dict[str, Any]:
    """Return the failure of a run as plain data, for `read_run`."""
    failure = {name: getattr(error, name) for name in _ERROR_FIELDS}
    response = error.response
    return {**failure, "response": response and [response[0], dict(response[1]), response[2]]}


def read_run(state: Mapping[str, Any]) -> WorkflowRun:
    """Return the run of a state, or raise its failure as a `CozeWorkflowError`."""
    failure = state.get("failure")
    if failure:
        response = failure["response"]
        raise CozeWorkflowError(**{**failure, "response": response and ErrorResponse(*response)})
    return WorkflowRun.model_validate(state["run"])
