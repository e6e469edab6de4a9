"""Reading the fields of a JSON body; a field of another type is an error 4000 that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_string(body: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """Return a string; an empty one when it is missing and not required."""
    value = body.get(name) or ""
    if required and not (isinstance(value, str) and value):
        raise ApiError(4000, f"{name} is required and must be a string")
    if not isinstance(value, str):
        raise ApiError(4000, f"{name} must be a string")
    return value


def read_boolean(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return a boolean."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ApiError(4000, f"{name} must be true or false")
    return value


def read_object(value: Any, name: str) -> Mapping[str, Any]:
    """Return an object; an empty one for null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(4000, f"{name} must be an object")
    return value


def read_string_map(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return an object of strings."""
    pairs = read_object(body.get(name), name)
    if not all(isinstance(value, str) for value in pairs.values()):
        raise ApiError(4000, f"{name}: every value must be a string")
    return dict(pairs)
