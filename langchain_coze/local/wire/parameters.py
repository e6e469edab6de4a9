"""Parameters of a workflow: the check of their values, and their schema as the API returns it."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.wire.files import StoredFile

REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a workflow's start node, or one field of a form.

    Attributes:
        name: Its name.
        adapter: Checks and converts its values; None accepts any value.
        default: The value used when a request has none.
        description: What it is for.
    """

    name: str
    adapter: TypeAdapter[Any] | None
    default: Any = REQUIRED
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether a request must have a value."""
        return self.default is REQUIRED

    def as_json(self) -> dict[str, Any]:
        """Return the parameter in the schema of `GET /v1/workflows/{workflow_id}` (wire 4.7)."""
        schema: dict[str, Any] = {"type": "string"}
        if self.adapter is not None:
            schema = build_schema(self.adapter)
        schema["required"] = self.required
        if self.description:
            schema["description"] = self.description
        if not self.required and (default := _format_default(self.default)) is not None:
            schema["default_value"] = default
        return schema

    def read_value(self, values: Mapping[str, Any], uploads: Mapping[str, StoredFile]) -> Any:
        """Return the checked value of this parameter.

        Args:
            values: The values of all parameters, by name.
            uploads: The files that the caller has uploaded, by id.

        Raises:
            ApiError: 4000, the value is missing or has the wrong type.
        """
        value = values.get(self.name, REQUIRED)
        if value is REQUIRED or (value is None and not self.required):
            if self.required:
                raise ApiError(4000, f"parameters.{self.name} is required")
            return self.default
        if self.adapter is None:
            return value
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True, context=uploads)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in details["loc"])
            text = details["msg"].removeprefix("Value error, ")
            raise ApiError(4000, f"parameters.{self.name}{path}: {text}") from None


def build_parameters(fields: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Build parameters from their types.

    Args:
        fields: A type by name, or a tuple of a type and a default.

    Raises:
        TypeError: A type cannot be checked.
    """
    parameters = []
    for name, field in fields.items():
        annotation, default = field if isinstance(field, tuple) else (field, REQUIRED)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameter = inspect.Parameter(name, kind, annotation=annotation, default=default)
        parameters.append(build_parameter(parameter))
    return tuple(parameters)


def build_parameter(parameter: inspect.Parameter, description: str = "") -> Parameter:
    """Build the workflow parameter for a parameter of a function.

    Args:
        parameter: The parameter of the function.
        description: Its description; one in `Annotated` has precedence.

    Raises:
        TypeError: Its type cannot be checked.
    """
    annotation, default = parameter.annotation, parameter.default
    if annotation is REQUIRED and default is not REQUIRED and default is not None:
        annotation = type(default)
    if annotation is REQUIRED or annotation is Any:
        return Parameter(parameter.name, None, default, description)
    if get_origin(annotation) is Annotated:
        texts = (item for item in get_args(annotation)[1:] if isinstance(item, str))
        description = next(texts, description)
    try:
        adapter = TypeAdapter[Any](annotation)
        build_schema(adapter)  # a type without a schema is rejected now, not at the first request
    except PydanticUserError as error:
        raise TypeError(f"{parameter.name}: {error.message}") from None
    return Parameter(parameter.name, adapter, default, description)


def build_schema(adapter: TypeAdapter[Any], mode: Any = "validation") -> dict[str, Any]:
    """Return the schema of a type in the form of wire 4.7."""
    schema = adapter.json_schema(mode=mode)
    return _convert_schema(schema, schema.get("$defs", {}), frozenset())


def _format_default(default: Any) -> str | None:
    """Return a default as the schema has it: always a string (wire 4.7)."""
    if default is None or isinstance(default, str):
        return default
    try:
        return go_json.dumps(default)
    except (TypeError, ValueError):
        return None


def _convert_schema(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], parents: frozenset[str]
) -> dict[str, Any]:
    """Convert a JSON schema; `parents` are the definitions that contain it."""
    schema, parents = _resolve_schema(schema, definitions, parents)
    kind = schema.get("type", "string")
    converted: dict[str, Any] = {"type": kind}
    if kind == "array":
        converted["items"] = _convert_schema(schema.get("items", {}), definitions, parents)
    if kind == "object" and schema.get("properties"):
        converted["properties"] = {
            name: _convert_property(name, schema, _convert_schema(inner, definitions, parents))
            for name, inner in schema["properties"].items()
        }
    return converted


def _convert_property(
    name: str, schema: Mapping[str, Any], converted: dict[str, Any]
) -> dict[str, Any]:
    original = schema["properties"][name]
    converted["required"] = name in schema.get("required", ())
    if original.get("description"):
        converted["description"] = original["description"]
    if original.get("default") is not None:
        converted["default_value"] = _format_default(original["default"])
    return converted


def _resolve_schema(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], parents: frozenset[str]
) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Follow references and alternatives; Coze has neither, nor types that contain themselves."""
    while True:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in parents:
                return {"type": "object"}, parents
            schema, parents = definitions[name], parents | {name}
        elif alternatives := schema.get("anyOf") or schema.get("allOf") or schema.get("oneOf"):
            schema = next((item for item in alternatives if item.get("type") != "null"), {})
        else:
            return schema, parents
