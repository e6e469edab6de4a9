"""A workflow that searches a knowledge base, for a retriever (wire 3.5)."""

from __future__ import annotations

import inspect
from typing import Any

from langchain_coze.local.knowledge import LocalKnowledge
from langchain_coze.local.wire.ids import derive_id
from langchain_coze.local.workflow_parts import RunContext
from langchain_coze.local.workflows import LocalWorkflow


def knowledge_workflow(
    knowledge: Any, *, parameter: str = "input", output: str = "outputList", **fields: Any
) -> LocalWorkflow:
    """Return a workflow with a start node, a knowledge node and an End node.

    Args:
        knowledge: A `LocalKnowledge`, or documents or texts for a new one.
        parameter: The name of the start node's parameter for the question, a string.
        output: The name of the End node's variable: a list of `{"documentId": …, "output": …}`,
            best first; `output` is the slice. If nothing is found, the list is empty, or null on
            Studio.
        **fields: Other fields of the `LocalWorkflow`; `name` defaults to the name of the knowledge
            base.

    Source: the knowledge node of Coze Studio (wire 3.5); the hosted service probably returns the
    same.

    Example:
        >>> workflow = knowledge_workflow(["Tea grows on hills."], name="find_tea")
        >>> list(workflow.signature.inputs_as_json())
        ['input']
    """
    base = knowledge if isinstance(knowledge, LocalKnowledge) else LocalKnowledge(knowledge)

    def search(_run: RunContext, **inputs: Any) -> dict[str, Any]:
        chunks = base.search(inputs[parameter])
        items = [
            {"documentId": _parse_document_id(c.document_id), "output": c.slice} for c in chunks
        ]
        # Go writes an empty slice as null.
        return {output: items or (None if _run.profile == "studio" else [])}

    parameter_class = inspect.Parameter
    search.__dict__["__signature__"] = inspect.Signature(
        [
            parameter_class("_run", parameter_class.KEYWORD_ONLY, annotation=RunContext),
            parameter_class(parameter, parameter_class.KEYWORD_ONLY, annotation=str),
        ],
        return_annotation=dict[str, Any],
    )
    defaults = {"name": base.name, "description": f"Searches the knowledge base {base.name}"}
    return LocalWorkflow(search, **(defaults | fields))


def _parse_document_id(document_id: str) -> int:
    """Return a document id as a number, as Studio does; it is too large for a double."""
    return int(document_id if document_id.isdecimal() else derive_id("document", document_id))
