"""JSON schemas of a workflow's inputs, and names of its tool.

Coze describes the inputs as a tree of types (wire section 4.7). A file, for which JSON has no type,
becomes a string whose key `coze_type` holds Coze's type.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from langchain_coze._api.models import parse_json
from langchain_coze._workflows.validation import COZE_TYPE, matches_type

FILE_KINDS = frozenset(
    {
        "audio",
        "code",
        "default",
        "doc",
        "document",
        "excel",
        "file",
        "image",
        "ppt",
        "svg",
        "txt",
        "video",
        "voice",
        "zip",
    }
)
"""Coze's types that are files."""

_TYPES = {
    "string": "string",
    "time": "string",
    "integer": "integer",
    "number": "number",
    "float": "number",
    "boolean": "boolean",
    "object": "object",
    "array": "array",
    "list": "array",
}
_MAX_DEPTH = 10  # nesting levels of a schema; Coze has three
_MAX_NAME_LENGTH = 64  # characters; the limit of models for tool names
FILE_HINT = "a URL, or the id of an uploaded file"
"""The forms in which a model may pass a file."""


def build_json_schema(
    title: str, parameters: Mapping[str, Any], description: str = ""
) -> dict[str, Any]:
    """Return the JSON schema of a workflow's inputs.

    Args:
        title: The name of the tool.
        parameters: `input.parameters` of the workflow metadata.
        description: The description of the tool.

    Source: wire section 4.7.
    """
    schema = _build_object_schema(parameters, _MAX_DEPTH)
    return {"title": title, "description": description, **schema}


def _build_object_schema(parameters: Mapping[str, Any], depth: int) -> dict[str, Any]:
    fields = {str(k): v if isinstance(v, Mapping) else {} for k, v in parameters.items()}
    required = [name for name, field in fields.items() if field.get("required") is True]
    return {
        "type": "object",
        "properties": {
            name: _build_property_schema(field, depth - 1) for name, field in fields.items()
        },
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _build_property_schema(field: Mapping[str, Any], depth: int) -> dict[str, Any]:
    kind = str(field.get("type") or "").lower()
    description = str(field.get("description") or "")
    schema: dict[str, Any] = {}
    if kind in FILE_KINDS:
        schema = {"type": "string", COZE_TYPE: kind}
        description = f"{description} ({kind}: {FILE_HINT})".strip()
    elif kind in _TYPES:
        schema = {"type": _TYPES[kind]}
    if description:
        schema["description"] = description
    inner, items = field.get("properties"), field.get("items")
    if schema.get("type") == "object" and isinstance(inner, Mapping) and inner and depth:
        schema |= _build_object_schema(inner, depth)
    if schema.get("type") == "array":
        schema["items"] = (
            _build_property_schema(items, depth - 1) if isinstance(items, Mapping) and depth else {}
        )
    default = _parse_default(field.get("default_value"), schema)
    return schema if default is None else {**schema, "default": default}


def _parse_default(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the default of a field, or None; Coze sends each default as text, empty if unset."""
    if value is None or value == "":
        return None
    kind = schema.get("type")
    if isinstance(value, str) and kind not in {None, "string"}:
        value = parse_json(value.encode("utf-8", "replace"))
    return value if matches_type(kind, value) else None


def build_fields_schema(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the fields of an input node.

    Args:
        fields: `required_parameters` of an interrupt: the description of each field, by name.
    """
    return {**_build_object_schema(fields, _MAX_DEPTH), "additionalProperties": True}


def make_tool_name(name: str, workflow_id: str, *, with_id: bool = False) -> str:
    """Return the name of a workflow's tool: ASCII, and the same each time.

    Args:
        name: The name of the workflow, in any language.
        workflow_id: The workflow.
        with_id: Whether to add the id in any case, because another workflow has the same name.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "_", ascii_name).strip("_").lower()
    is_complete = not with_id and all(char.isascii() for char in name)
    if is_complete and slug and not slug[0].isdigit():
        return slug[:_MAX_NAME_LENGTH].strip("_")
    number = re.sub(r"[^A-Za-z0-9]+", "", workflow_id) or hashlib.sha256(name.encode()).hexdigest()
    head = slug if slug and not slug[0].isdigit() else "coze_workflow"
    return f"{head[: _MAX_NAME_LENGTH - 21]}_{number[-20:]}"
