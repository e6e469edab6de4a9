"""The state of a workflow's graph."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class WorkflowInput(TypedDict, total=False):
    """Input of a workflow's graph: values for the start node."""

    parameters: dict[str, Any]


class WorkflowOutput(TypedDict, total=False):
    """Output of a workflow's graph: the workflow's output, and its `WorkflowRun` as a dict."""

    output: Any
    run: dict[str, Any]


class OutputWithFailure(WorkflowOutput, total=False):
    """Output of the graph of a tool call: also the failure of a run, as plain data."""

    failure: dict[str, Any] | None


class WorkflowState(WorkflowInput, OutputWithFailure, total=False):
    """State of a workflow's graph: plain data, so that any checkpointer can store it."""

    pending: dict[str, Any] | None
    answer: Any
    attempt: dict[str, Any] | None
