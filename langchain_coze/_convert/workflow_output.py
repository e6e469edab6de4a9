"""Read the output of a workflow: unwrap its JSON, and find a list in it by path. Pure.

A run's `data` is a JSON string, possibly with a second wrapper, or plain text (wire section 4.2).
Strings in an output are also searched if they contain JSON, as variables of an end node may.
"""

from __future__ import annotations

import json
from typing import Any

from langchain_coze import _hints as hints
from langchain_coze._api.models import parse_json
from langchain_coze.errors import CozeInvalidRequestError

KNOWLEDGE_OUTPUT_KEY = "outputList"
"""The name of a knowledge node's output variable (wire section 3.5)."""

_WRAPPER_KEYS = frozenset({"content_type", "data", "type_for_model"})
_MAX_DEPTH = 8  # levels of a workflow's output to search


def unwrap(data: str) -> Any:
    """Return the output of a run: the parsed JSON without its wrapper, or the plain text."""
    value = parse_json(data)
    if isinstance(value, dict) and value.keys() >= _WRAPPER_KEYS:
        return value["data"]
    return data if value is None else value


def find_list(output: Any, path: str | None = None) -> list[Any]:
    """Return the list in an output; a single text or object at the path counts as one item.

    The path has keys and indexes, separated by dots; None means `outputList`, or else the only
    list in the output. Raises `CozeInvalidRequestError` if there is no such list, or more than one.
    """
    output = _parse_nested_json(output)
    if path is None and isinstance(output, dict) and KNOWLEDGE_OUTPUT_KEY in output:
        path = KNOWLEDGE_OUTPUT_KEY
    if path is not None:
        return _follow_path(output, path)
    lists = dict(_find_lists(output, "", _MAX_DEPTH))
    suffix = f".{KNOWLEDGE_OUTPUT_KEY}"
    candidates = {name: lists[name] for name in lists if name.endswith(suffix)} or lists
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if not lists and isinstance(output, dict) and None in output.values():
        return []  # Go writes an empty list as null
    message = f"The workflow's output has no list: it is {_describe_type(output)}."
    if candidates:
        message = f"The workflow's output has several lists: {', '.join(sorted(candidates))}."
    raise CozeInvalidRequestError(message, hint=hints.OUTPUT_LIST.format(key=KNOWLEDGE_OUTPUT_KEY))


def _follow_path(value: Any, path: str) -> list[Any]:
    """Return the list at a path."""
    for part in path.split("."):
        inner = _parse_nested_json(value)
        if isinstance(inner, list) and part.isdecimal() and int(part) < len(inner):
            value = inner[int(part)]
        elif isinstance(inner, dict) and part in inner:
            value = inner[part]
        else:
            raise _make_path_error(path, part, inner)
    value = _parse_nested_json(value)
    if value is None or value == "":
        return []
    if not isinstance(value, (list, str, dict)):
        raise _make_path_error(path, path, value)
    return value if isinstance(value, list) else [value]


def _find_lists(value: Any, path: str, depth: int) -> list[tuple[str, list[Any]]]:
    """Return the lists in an output with their paths; lists inside lists are not searched."""
    value = _parse_nested_json(value)
    if value is None and path.endswith(f".{KNOWLEDGE_OUTPUT_KEY}"):
        value = []
    if isinstance(value, list):
        return [(path, value)]
    if not isinstance(value, dict) or not depth:
        return []
    return [
        inner_list
        for key, inner in value.items()
        for inner_list in _find_lists(inner, f"{path}.{key}".lstrip("."), depth - 1)
    ]


def _parse_nested_json(value: Any) -> Any:
    """Return the JSON object or array in a string; any other value unchanged."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    inner = parse_json(value)
    return value if inner is None else inner


def _make_path_error(path: str, part: str, value: Any) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        f"output_path={path!r} does not lead to a list in the workflow's output: {part!r} is "
        f"{_describe_type(value)}.",
        hint=hints.OUTPUT_PATH,
    )


def _describe_type(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(value)}" if value else "an empty object"
    if value is None or value == "":
        return "nothing"
    if isinstance(value, (str, list)):
        return "text" if isinstance(value, str) else "a list"
    return f"a value of type {type(value).__name__}"


def format_output(output: Any, data: str) -> str:
    """Return an output as text for a model.

    Text that happens to be JSON, such as the number `1.10`, is returned as in `data`, the unparsed
    output.
    """
    if isinstance(output, str):
        return output
    if not isinstance(output, (dict, list)):
        return "" if output is None else data
    try:
        return json.dumps(output, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return data
