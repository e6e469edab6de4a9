"""The form of an input node, as its interrupt contains it (wire 4.2, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names of types in a workflow's canvas where they differ from the API's schema, and the kind of
# file a string stands for: both from Coze Studio.
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
