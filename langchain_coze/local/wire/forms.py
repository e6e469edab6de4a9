"""The form of an input node, as its interrupt tells it (wire 4.2, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_coze.local.runtime.signature import Parameter

# Names of types in a workflow's canvas where they are not those of the API's schema, and what kind
# of file a string stands for: both from Coze Studio.
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


def form_items(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    """The fields of a form.

    Args:
        parameters: What is asked for.

    Example:
        >>> from langchain_coze.local.runtime.signature import parameters_of
        >>> form_items(parameters_of({"nights": (float, 1)}))
        [{'type': 'float', 'name': 'nights', 'required': False}]
    """
    return [_item(parameter.name, parameter.as_json()) for parameter in parameters]


def _item(name: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    item = _typed(shape, {"name": name, "required": shape.get("required", False)})
    if shape.get("description"):
        item["description"] = shape["description"]
    return item


def _typed(shape: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    kind = shape["type"]
    if kind not in _PLAIN_TYPES:
        return {"type": "string", **rest, "assistType": _FILE_TYPES.get(kind, _ANY_FILE)}
    item = {"type": _CANVAS_TYPES.get(kind, kind), **rest}
    if kind == "array":
        item["schema"] = _typed(shape["items"], {})
    elif shape.get("properties"):
        item["schema"] = [_item(name, inner) for name, inner in shape["properties"].items()]
    return item
