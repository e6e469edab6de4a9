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
from langchain_coze._workflows.validation import COZE_TYPE, JSON_TYPES, matches_type

# Coze's types that are files, and those that have another name in JSON schemas.
_MEDIA_TYPES = {"audio", "image", "svg", "video", "voice"}
_DOCUMENT_TYPES = {"code", "default", "doc", "document", "excel", "file", "ppt", "txt", "zip"}
_RENAMED_TYPES = {"time": "string", "float": "number", "list": "array"}

_MAX_NAME_LENGTH = 64  # characters; the limit of models for tool names
FILE_HINT = "a URL, or the id of an uploaded file"
"""The forms in which a model may pass a file."""


def build_json_schema(
    title: str, parameters: Mapping[str, Any], description: str = ""
) -> dict[str, Any]:
    """Return the JSON schema of a tool, from `input.parameters` of the workflow metadata."""
    return {"title": title, "description": description, **_build_object_schema(parameters)}


def _build_object_schema(parameters: Mapping[str, Any]) -> dict[str, Any]:
    fields = {str(k): v if isinstance(v, Mapping) else {} for k, v in parameters.items()}
    required = [name for name, field in fields.items() if field.get("required") is True]
    return {
        "type": "object",
        "properties": {name: _build_property_schema(field) for name, field in fields.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _build_property_schema(field: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(field.get("type") or "").lower()
    description = str(field.get("description") or "")
    schema: dict[str, Any] = {}
    if kind in _MEDIA_TYPES | _DOCUMENT_TYPES:
        schema = {"type": "string", COZE_TYPE: kind}
        description = f"{description} ({kind}: {FILE_HINT})".strip()
    elif (json_type := _RENAMED_TYPES.get(kind, kind)) in JSON_TYPES:
        schema = {"type": json_type}
    if description:
        schema["description"] = description
    inner, items = field.get("properties"), field.get("items")
    if schema.get("type") == "object" and isinstance(inner, Mapping) and inner:
        schema |= _build_object_schema(inner)
    if schema.get("type") == "array":
        schema["items"] = _build_property_schema(items) if isinstance(items, Mapping) else {}
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
    """Return the JSON schema of an input node: the `required_parameters` of an interrupt."""
    return {**_build_object_schema(fields), "additionalProperties": True}


def make_tool_name(name: str, workflow_id: str, *, with_id: bool = False) -> str:
    """Return the name of a workflow's tool: ASCII, and the same each time.

    Args:
        name: The name of the workflow, in any language.
        workflow_id: The workflow.
        with_id: Whether to add the id in any case, because another workflow has the same name.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "_", ascii_name).strip("_").lower()
    is_name = slug[:1].isalpha()
    if is_name and name.isascii() and not with_id:
        return slug[:_MAX_NAME_LENGTH].strip("_")
    number = re.sub(r"[^A-Za-z0-9]+", "", workflow_id) or hashlib.sha256(name.encode()).hexdigest()
    head = slug if is_name else "coze_workflow"
    return f"{head[: _MAX_NAME_LENGTH - 21]}_{number[-20:]}"
