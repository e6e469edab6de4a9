"""Workflow metadata from Coze, as the name, description and inputs of tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.workflows import fetch_workflow_info, is_unsupported, list_workflows
from langchain_coze._warnings import warn_user
from langchain_coze._workflows.input_schema import build_json_schema, make_tool_name
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


def describe_workflow(
    workflow_id: str, known_fields: Mapping[str, Any], policy: RetryPolicy
) -> Flow[dict[str, Any]]:
    """Return the name, description and `args_schema` of a tool; known ones take precedence.

    Raises:
        CozeInvalidRequestError: Neither the server nor `known_fields` provides the inputs.
        CozeError: Any other error.
    """
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
            raise _make_inputs_error(workflow_id, unsupported) from unsupported
        fields["args_schema"] = build_json_schema(
            name, _get_mapping(inputs, "parameters"), description
        )
    return {**fields, "name": name, "description": description}


def describe_workspace_workflows(
    query: Mapping[str, str], known_fields: Mapping[str, Any], policy: RetryPolicy
) -> Flow[list[dict[str, Any]]]:
    """Return the id, name, description and `args_schema` of each workflow of a workspace.

    Unusable workflows are left out: unpublished ones silently, and with a warning those that the
    token may not see or whose inputs the server does not provide. Known fields, which all tools
    have, take precedence.

    Raises:
        CozeError: Coze reported an error or could not be reached.
    """
    tools: list[dict[str, Any]] = []
    for item in (yield from list_workflows(query, policy)):
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
    return [tool if names[tool["name"]] == 1 else _add_id_to_name(tool) for tool in tools]


def _add_id_to_name(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool with its id in its name, because other tools have the same name."""
    name = make_tool_name(tool["name"], tool["workflow_id"], with_id=True)
    schema = tool["args_schema"]
    titled = {**schema, "title": name} if isinstance(schema, dict) else schema
    return {**tool, "name": name, "args_schema": titled}


def _get_mapping(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = fields.get(key)
    return value if isinstance(value, Mapping) else {}


def _make_inputs_error(workflow_id: str, cause: CozeError | None) -> CozeInvalidRequestError:
    reason = f" ({cause.message})" if cause else ""
    return CozeInvalidRequestError(
        f"The server does not list the inputs of the workflow {workflow_id}{reason}. "
        "Coze Studio never lists them.",
        hint=hints.ARGS_SCHEMA,
    )
