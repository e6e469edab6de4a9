"""Convert workflow metadata from Coze to the name, description and inputs of tools."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.ids import validate_ids
from langchain_coze._api.workflows import fetch_workflow_info, is_unsupported, list_workflows
from langchain_coze._warnings import warn_user
from langchain_coze._workflows.parameters import build_json_schema
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow
    from langchain_coze._api.retry import RetryPolicy

_ERRORS_OF_ONE_WORKFLOW = {CozePermissionError, CozeInvalidRequestError, CozeError}
_FIELDS = ("name", "description", "args_schema")

_MAX_NAME_LENGTH = 64  # characters; the limit of models for tool names


def describe_workflow(
    workflow_id: str, known_fields: Mapping[str, Any], policy: RetryPolicy
) -> Flow[dict[str, Any]]:
    """Return the name, description and `args_schema` of a tool; known values take precedence."""
    validate_ids(workflow_id=workflow_id)
    fields = {
        name: value for name in _FIELDS if (value := known_fields.get(name)) not in (None, "")
    }
    if len(fields) == len(_FIELDS):
        return fields
    info: Mapping[str, Any] = {}
    unsupported: CozeError | None = None
    try:
        info = yield from fetch_workflow_info(workflow_id, policy)
    except CozeError as error:
        if not is_unsupported(error):
            raise
        unsupported = error
    detail, inputs = _get_mapping(info, "workflow_detail"), _get_mapping(info, "input")
    title = str(detail.get("workflow_name") or "")
    name = fields.get("name") or make_tool_name(title, workflow_id)
    summary = str(detail.get("description") or "") or title
    description = fields.get("description") or summary or f"Runs the Coze workflow {workflow_id}."
    if "args_schema" not in fields:
        if "parameters" not in inputs:
            reason = f" ({unsupported.message})" if unsupported else ""
            raise CozeInvalidRequestError(
                f"The server does not list the inputs of the workflow {workflow_id}{reason}. "
                "Coze Studio never lists them.",
                hint=hints.ARGS_SCHEMA,
            ) from unsupported
        parameters = _get_mapping(inputs, "parameters")
        fields["args_schema"] = build_json_schema(name, parameters, description)
    return {**fields, "name": name, "description": description}


def describe_workspace_workflows(
    query: Mapping[str, str], known_fields: Mapping[str, Any], policy: RetryPolicy
) -> Flow[list[dict[str, Any]]]:
    """Return the id, name, description and `args_schema` of each workflow of a workspace.

    Unusable workflows are omitted: unpublished ones silently, others with a warning (the token
    lacks access, or the server does not provide the inputs).
    """
    tools: list[dict[str, Any]] = []
    try:
        items = yield from list_workflows(query, policy)
    except (CozeNotFoundError, CozePermissionError) as error:
        if is_unsupported(error) or error.code is None:  # not from Coze, for instance a gateway
            raise
        raise error.with_context(hint=hints.WORKSPACE) from error.__cause__
    for item in items:
        workflow_id = str(item["workflow_id"])
        try:
            fields = yield from describe_workflow(workflow_id, known_fields, policy)
        except CozeNotFoundError:
            continue  # not published
        except CozeError as error:
            if type(error) not in _ERRORS_OF_ONE_WORKFLOW:
                raise
            title = str(item.get("workflow_name") or workflow_id)
            warn_user(hints.WORKFLOW_LEFT_OUT.format(title=title, problem=error.message))
            continue
        tools.append({"workflow_id": workflow_id, **fields})
    names = Counter(tool["name"] for tool in tools)
    for tool in tools:
        if names[tool["name"]] > 1:
            tool["name"] = make_tool_name(tool["name"], tool["workflow_id"], with_id=True)
            if isinstance(tool["args_schema"], dict):
                tool["args_schema"] = {**tool["args_schema"], "title": tool["name"]}
    return tools


def _get_mapping(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = fields.get(key)
    return value if isinstance(value, Mapping) else {}


def make_tool_name(name: str, workflow_id: str, *, with_id: bool = False) -> str:
    """Return a stable ASCII name for the tool of a workflow.

    The name contains the id if the workflow's name is not a valid tool name or not unique.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "_", ascii_name).strip("_").lower()
    is_name = slug[:1].isalpha()
    if is_name and name.isascii() and not with_id:
        return slug[:_MAX_NAME_LENGTH].strip("_")
    number = re.sub(r"[^A-Za-z0-9]+", "", workflow_id) or hashlib.sha256(name.encode()).hexdigest()
    head = slug if is_name else "coze_workflow"
    return f"{head[: _MAX_NAME_LENGTH - 21]}_{number[-20:]}"
