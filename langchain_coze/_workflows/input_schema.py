"""What a workflow takes: its schema for models, its values checked, its files found. Pure.

Coze tells a workflow's inputs as a tree of types (wire section 4.7). They become a JSON schema,
with `coze_type` beside the type where JSON has none for it: files of all kinds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from langchain_coze._api.models import parse_json
from langchain_coze._workflows.errors import CozeWorkflowError

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
"""The types of Coze that are files."""

COZE_TYPE = "coze_type"
"""The key of a JSON schema that tells the type in Coze, for files."""

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
_MAX_DEPTH = 10  # levels of a schema; Coze has three
_MAX_NAME_LENGTH = 64  # characters that models take as the name of a tool
FILE_HINT = "a URL, or the id of an uploaded file"
"""What a model may give as a file."""


# --- Schema --------------------------------------------------------------------------------------


def build_json_schema(
    title: str, parameters: Mapping[str, Any], description: str = ""
) -> dict[str, Any]:
    """Return the JSON schema of a workflow's inputs.

    Args:
        title: The name of the tool.
        parameters: `input.parameters`, as Coze tells it.
        description: What the workflow is for.

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
    """Return the default of a field; Coze tells all of them as text, and none as an empty one."""
    if value is None or value == "":
        return None
    kind = schema.get("type")
    if isinstance(value, str) and kind not in {None, "string"}:
        value = parse_json(value.encode("utf-8", "replace"))
    return value if _matches(kind, value) else None


def build_fields_schema(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of the values that an input node asks for.

    Args:
        fields: `required_parameters` of an interrupt: what is told of each value, by name.
    """
    return {**_build_object_schema(fields, _MAX_DEPTH), "additionalProperties": True}


def make_tool_name(name: str, workflow_id: str, *, with_id: bool = False) -> str:
    """Return the name of a tool for a workflow: ASCII, and the same each time.

    Args:
        name: The workflow's name, in any language.
        workflow_id: The workflow.
        with_id: Whether its id is told in any case: another one has the same name.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "_", ascii_name).strip("_").lower()
    is_complete = not with_id and all(char.isascii() for char in name)
    if is_complete and slug and not slug[0].isdigit():
        return slug[:_MAX_NAME_LENGTH].strip("_")
    number = re.sub(r"[^A-Za-z0-9]+", "", workflow_id) or hashlib.sha256(name.encode()).hexdigest()
    head = slug if slug and not slug[0].isdigit() else "coze_workflow"
    return f"{head[: _MAX_NAME_LENGTH - 21]}_{number[-20:]}"


# --- Values --------------------------------------------------------------------------------------


def to_plain_data(value: Any) -> Any:
    """Return a value as plain data: what pydantic models hold, and what has a form in JSON.

    Bytes and paths stay: they are files.

    Args:
        value: A value, or values in dicts and lists.

    Raises:
        CozeWorkflowError: It has no form in JSON.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, exclude_none=True)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return {_to_key(key): to_plain_data(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain_data(inner) for inner in value]
    if value is None or isinstance(value, (str, bool, int, bytes, bytearray, PurePath)):
        return value
    return _to_json_value(value)


def _to_key(key: Any) -> str:
    return str(key.value if isinstance(key, Enum) else key)


def _to_json_value(value: Any) -> Any:
    """Return the form that a value has in JSON; a secret has none that would be of use."""
    json_value: Any = None
    secret = hasattr(value, "get_secret_value")
    if not secret and not (isinstance(value, float) and not math.isfinite(value)):
        with contextlib.suppress(ValueError):
            json_value = to_jsonable_python(value)
    if json_value is None:
        raise CozeWorkflowError(f"{short_repr(value)} cannot be sent: it has no form in JSON.")
    return json_value


def validate_inputs(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are sent, after a look at whether the workflow takes them.

    A value that is missing or None is left out; numbers and flags may come as text.

    Args:
        schema: The JSON schema of the tool.
        values: What it was called with.

    Raises:
        CozeWorkflowError: A value is missing, of the wrong type, or not known.
    """
    problems: list[str] = []
    validated = _validate_object(schema, values, "", problems)
    if problems:
        known = ", ".join(schema.get("properties") or {}) or "none"
        raise CozeWorkflowError(f"{'; '.join(problems)}. The parameters of the workflow: {known}.")
    return validated


def _validate_object(
    schema: Mapping[str, Any], values: Mapping[str, Any], path: str, problems: list[str]
) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    values_given = {name: value for name, value in values.items() if value is not None}
    problems += [
        f"{path}{name} is missing"
        for name in schema.get("required") or ()
        if name not in values_given and (properties.get(name) or {}).get("default") is None
    ]
    if schema.get("additionalProperties") is False:
        problems += [
            f"{path}{name} is not known" for name in values_given if name not in properties
        ]
    return {
        name: _validate_value(properties.get(name) or {}, value, f"{path}{name}", problems)
        for name, value in values_given.items()
    }


def _validate_value(schema: Mapping[str, Any], value: Any, path: str, problems: list[str]) -> Any:
    if COZE_TYPE in schema:
        return value  # a file: see `files`
    kind = schema.get("type")
    if not _matches(kind, value):
        value = _coerce(kind, value)
    if not _matches(kind, value):
        problems.append(f"{path} is {short_repr(value)}, but should be of type {kind}")
    elif kind == "object" and "properties" in schema:
        return _validate_object(schema, value, f"{path}.", problems)
    elif kind == "array":
        items = schema.get("items") or {}
        return [_validate_value(items, v, f"{path}[{n}]", problems) for n, v in enumerate(value)]
    return value


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: (
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
    ),
    "boolean": lambda v: isinstance(v, bool),
    "object": lambda v: isinstance(v, Mapping),
    "array": lambda v: isinstance(v, (list, tuple)),
}


def _matches(kind: Any, value: Any) -> bool:
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    return check is None or check(value)


def _coerce(kind: Any, value: Any) -> Any:
    """Return a value that is of another type than wanted, but says the same."""
    if isinstance(value, str) and kind != "string":
        parsed = parse_json(value.encode("utf-8", "replace"))
        return value if parsed is None else parsed
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def short_repr(value: Any) -> str:
    """Return a value for a message: short ones as they are, of others the type.

    Args:
        value: Any value.
    """
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"  # noqa: PLR2004 - a short line
