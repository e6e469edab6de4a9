"""Parameters of a workflow: validation, schemas and forms."""

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

# Type names of a workflow's canvas that differ from the API's schema, and the file type that a
# string represents; both from Coze Studio.
_CANVAS_TYPES = {"number": "float", "array": "list"}
_PLAIN_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array"})
_FILE_TYPES = {
    "image": 2,
    "doc": 3,
    "code": 4,
    "ppt": 5,
    "txt": 6,
    "excel": 7,
    "audio": 8,
    "zip": 9,
    "video": 10,
    "svg": 11,
    "voice": 12,
}
_ANY_FILE = 1

REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a workflow's start node, or one field of a form."""

    name: str
    adapter: TypeAdapter[Any] | None  # validates and converts values; None accepts any
    default: Any = REQUIRED
    description: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the parameter in the schema of `GET /v1/workflows/{workflow_id}` (wire 4.7)."""
        schema: dict[str, Any] = {"type": "string"}
        if self.adapter is not None:
            schema = build_schema(self.adapter)
        schema["required"] = self.default is REQUIRED
        if self.description:
            schema["description"] = self.description
        if (default := _format_default(self.default)) is not None:
            schema["default_value"] = default
        return schema

    def read_value(self, values: Mapping[str, Any], uploads: Mapping[str, StoredFile]) -> Any:
        """Return the validated value of this parameter; `uploads` are the files of the caller."""
        value = values.get(self.name, self.default)
        if value is REQUIRED:
            raise ApiError(4000, f"parameters.{self.name} is required")
        if self.name not in values or (value is None and self.default is not REQUIRED):
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
    """Build parameters from types by name; a tuple has a type and a default."""
    kind, parameters = inspect.Parameter.KEYWORD_ONLY, []
    for name, field in fields.items():
        annotation, default = field if isinstance(field, tuple) else (field, REQUIRED)
        parameters.append(inspect.Parameter(name, kind, annotation=annotation, default=default))
    return tuple(map(build_parameter, parameters))


def build_parameter(parameter: inspect.Parameter, description: str = "") -> Parameter:
    """Build one from a function parameter; a description in `Annotated` takes precedence."""
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
        build_schema(adapter)  # reject a type without a schema now, not at the first request
    except PydanticUserError as error:
        raise TypeError(f"{parameter.name}: {error.message}") from None
    return Parameter(parameter.name, adapter, default, description)


def build_schema(adapter: TypeAdapter[Any], mode: Any = "validation") -> dict[str, Any]:
    """Return the schema of a type in the format of wire 4.7."""
    return convert_json_schema(adapter.json_schema(mode=mode))


def convert_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema in the format of wire 4.7."""
    return _convert_schema(schema, schema.get("$defs", {}), frozenset())


def _format_default(default: Any) -> str | None:
    """Return a default in the format of the schema, always a string (wire 4.7)."""
    try:
        text = default if isinstance(default, str) else go_json.dumps(default)
    except (TypeError, ValueError):  # also for REQUIRED
        text = None
    return None if default is None else text


def _convert_schema(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], parents: frozenset[str]
) -> dict[str, Any]:
    """Convert a JSON schema; `parents` are the definitions around it."""
    schema, parents = _resolve_schema(schema, definitions, parents)
    kind = schema.get("type", "string")
    converted: dict[str, Any] = {"type": kind}
    if kind == "array":
        converted["items"] = _convert_schema(schema.get("items", {}), definitions, parents)
    if kind == "object" and schema.get("properties"):
        properties = converted["properties"] = {}
        for name, inner in schema["properties"].items():
            field = properties[name] = _convert_schema(inner, definitions, parents)
            field["required"] = name in schema.get("required", ())
            if inner.get("description"):
                field["description"] = inner["description"]
            if inner.get("default") is not None:
                field["default_value"] = _format_default(inner["default"])
    return converted


def _resolve_schema(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], parents: frozenset[str]
) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Resolve references and alternatives; Coze supports neither, nor recursive types."""
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


def build_form(schemas: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the fields of a form from the schemas that `Parameter.as_json` returns."""
    return [_build_field(name, schema) for name, schema in schemas.items()]


def _build_field(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    field = _convert_type(schema, {"name": name, "required": schema.get("required", False)})
    if schema.get("description"):
        field["description"] = schema["description"]
    return field


def _convert_type(schema: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    kind = schema["type"]
    if kind not in _PLAIN_TYPES:
        return {"type": "string", **attributes, "assistType": _FILE_TYPES.get(kind, _ANY_FILE)}
    field = {"type": _CANVAS_TYPES.get(kind, kind), **attributes}
    if kind == "array":
        field["schema"] = _convert_type(schema["items"], {})
    elif schema.get("properties"):
        field["schema"] = [
            _build_field(name, inner) for name, inner in schema["properties"].items()
        ]
    return field
