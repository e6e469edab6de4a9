"""Python values as plain data: for JSON, for checkpoints, and for messages."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from langchain_coze.errors import CozeWorkflowError


def to_plain_data(value: Any) -> Any:
    """Return a value as plain data: convert pydantic models, dataclasses, enums and JSON types.

    Bytes and paths stay: they are files.

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
    return _to_json_value(value)


def _to_json_value(value: Any) -> Any:
    """Return the JSON form of a value; reject secrets, because theirs is masked."""
    json_value: Any = None
    secret = hasattr(value, "get_secret_value")
    if not secret and not (isinstance(value, float) and not math.isfinite(value)):
        with contextlib.suppress(ValueError):
            json_value = to_jsonable_python(value)
    if json_value is None:
        raise CozeWorkflowError(
            f"{shorten_repr(value)} cannot be sent: it cannot be converted to JSON."
        )
    return json_value


def shorten_repr(value: Any) -> str:
    """Return the repr of a value for an error message, or its type if the repr is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"  # noqa: PLR2004 - characters


def make_serializable(values: Any) -> Any:
    """Return plain data in a form for checkpoints and traces: no bytes and no `Path` objects."""
    if isinstance(values, Mapping):
        return {str(key): make_serializable(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [make_serializable(value) for value in values]
    if isinstance(values, (bytes, bytearray)):
        return f"<{len(values)} bytes>"
    return str(values) if isinstance(values, PurePath) else values
