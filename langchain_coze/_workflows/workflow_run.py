"""`WorkflowRun`: the result of one run of a workflow, which tools return as their artifact."""

from __future__ import annotations

from typing import Any

from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict


class WorkflowRun(BaseModel):
    """A workflow run, finished or so far; the artifact of `CozeWorkflowTool`.

    After a checkpoint the artifact of a `ToolMessage` is a dict with the same keys, because that is
    how LangGraph stores messages.

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
    """Coze's log id, which Coze support asks for."""
