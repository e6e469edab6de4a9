"""Validate the parameters of a workflow against its JSON schema. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from langchain_coze._api.models import parse_json
from langchain_coze._workflows.plain_data import shorten_repr
from langchain_coze.errors import CozeWorkflowError

COZE_TYPE = "coze_type"
"""The key of a JSON schema that holds Coze's type of a file."""


def validate_inputs(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validate parameters against a JSON schema; return those to send.

    None values are left out. Numbers and flags may be passed as text.

    Raises:
        CozeWorkflowError: A parameter is missing, of the wrong type, or unknown.
    """
    problems: list[str] = []
    validated = _validate_object(schema, values, "", problems)
    if problems:
        names = ", ".join(schema.get("properties") or {}) or "none"
        raise CozeWorkflowError(f"{'; '.join(problems)}. The parameters of the workflow: {names}.")
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
        return value  # a file, which `file_parameters.parse_file` validates
    kind = schema.get("type")
    if not matches_type(kind, value):
        value = _coerce(kind, value)
    if not matches_type(kind, value):
        problems.append(f"{path} is {shorten_repr(value)}, but should be of type {kind}")
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
JSON_TYPES = _CHECKS.keys()


def matches_type(kind: Any, value: Any) -> bool:
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    return check is None or check(value)


def _coerce(kind: Any, value: Any) -> Any:
    """Return a value of the wrong type as the expected type if it can be converted."""
    if isinstance(value, str) and kind != "string":
        parsed = parse_json(value.encode("utf-8", "replace"))
        return value if parsed is None else parsed
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
