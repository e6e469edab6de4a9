"""The parameters of a workflow: JSON schemas, and values as plain data. No I/O.

Coze describes the parameters as a tree of types (wire section 4.7). A file, for which JSON has no
type, becomes a string whose key `coze_type` holds Coze's type.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from langchain_coze import _hints as hints
from langchain_coze._api.models import parse_json
from langchain_coze.errors import CozeWorkflowError

COZE_TYPE = "coze_type"
"""The key of a JSON schema that holds Coze's type of a file."""

# Coze's file types, and the types with another name in JSON schemas.
_MEDIA_TYPES = {"audio", "image", "svg", "video", "voice"}
_DOCUMENT_TYPES = {"code", "default", "doc", "document", "excel", "file", "ppt", "txt", "zip"}
_RENAMED_TYPES = {"time": "string", "float": "number", "list": "array"}

FILE_HINT = "a URL, or the id of an uploaded file"
"""The forms in which a model may pass a file."""


# --- Schemas -------------------------------------------------------------------------------------


def build_json_schema(
    title: str, parameters: Mapping[str, Any], description: str = ""
) -> dict[str, Any]:
    """Return the JSON schema of the parameters in workflow metadata or an interrupt."""
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
    elif (json_type := _RENAMED_TYPES.get(kind, kind)) in _JSON_TYPES:
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
    """Return the default of a field, or None; Coze sends defaults as text, empty if unset."""
    if value is None or value == "":
        return None
    kind = schema.get("type")
    if isinstance(value, str) and kind not in {None, "string"}:
        value = parse_json(value)
    return value if _matches_type(kind, value) else None


# --- Values --------------------------------------------------------------------------------------


def to_plain_data(value: Any) -> Any:
    """Return a value as plain data: convert pydantic models, dataclasses, enums and JSON types.

    Bytes and paths are kept: they are files. Secrets are rejected, because their JSON is masked.

    Raises:
        CozeWorkflowError: The value cannot be converted to JSON.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, exclude_none=True)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return {
            str(key.value if isinstance(key, Enum) else key): to_plain_data(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain_data(inner) for inner in value]
    if value is None or isinstance(value, (str, bool, int, bytes, bytearray, PurePath)):
        return value
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if is_finite and not hasattr(value, "get_secret_value"):
        with contextlib.suppress(ValueError):
            return to_jsonable_python(value)
    raise CozeWorkflowError(
        f"{shorten_repr(value)} cannot be sent: it cannot be converted to JSON."
    )


def shorten_repr(value: Any) -> str:
    """Return the repr of a value for an error message, or its type if the repr is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"a value of type {type(value).__name__}"  # noqa: PLR2004 - characters


def validate_inputs(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validate parameters against a JSON schema; return the parameters to send.

    None values are omitted. Numbers and booleans may be passed as text.

    Raises:
        CozeWorkflowError: A parameter is missing, of the wrong type, or unknown.
    """
    problems: list[str] = []
    validated = _validate_object(schema, values, "", problems)
    if problems:
        names = ", ".join(schema.get("properties") or {}) or "none"
        raise CozeWorkflowError(
            f"{'; '.join(problems)}. The parameters of the workflow: {names}.",
            hint=hints.TOOL_PARAMETERS,
        )
    return validated


def _validate_object(
    schema: Mapping[str, Any], values: Mapping[str, Any], path: str, problems: list[str]
) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    values = {name: value for name, value in values.items() if value is not None}
    problems += [
        f"{path}{name} is missing"
        for name in schema.get("required") or ()
        if name not in values and (properties.get(name) or {}).get("default") is None
    ]
    if schema.get("additionalProperties") is False:
        problems += [f"{path}{name} is unknown" for name in values if name not in properties]
    return {
        name: _validate_value(properties.get(name) or {}, value, f"{path}{name}", problems)
        for name, value in values.items()
    }


def _validate_value(schema: Mapping[str, Any], value: Any, path: str, problems: list[str]) -> Any:
    if COZE_TYPE in schema:
        return value  # a file, which `file_parameters.parse_file` validates
    kind = schema.get("type")
    if not _matches_type(kind, value):
        value = _coerce(kind, value)
    if not _matches_type(kind, value):
        problems.append(f"{path} is {shorten_repr(value)}, but should be of type {kind}")
    elif kind == "object" and "properties" in schema:
        return _validate_object(schema, value, f"{path}.", problems)
    elif kind == "array":
        items = schema.get("items") or {}
        return [_validate_value(items, v, f"{path}[{n}]", problems) for n, v in enumerate(value)]
    return value


_JSON_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: (
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v)
    ),
    "boolean": lambda v: isinstance(v, bool),
    "object": lambda v: isinstance(v, Mapping),
    "array": lambda v: isinstance(v, (list, tuple)),
}


def _matches_type(kind: Any, value: Any) -> bool:
    check = _JSON_TYPES.get(kind) if isinstance(kind, str) else None
    return check is None or check(value)


def _coerce(kind: Any, value: Any) -> Any:
    """Convert a value to the expected type if possible."""
    if isinstance(value, str) and kind != "string":
        parsed = parse_json(value)
        return value if parsed is None else parsed
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
