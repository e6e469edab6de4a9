"""Read the output of a workflow: unwrap its JSON, and find a list in it by path. Pure.

A run's `data` is a JSON string, possibly with a second wrapper, or plain text (wire section 4.2).
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
    """Return the output of a run: the parsed JSON without its wrapper, or the plain text.

    Source: wire section 4.2.
    """
    value = parse_json(data.encode("utf-8", "replace"))
    if isinstance(value, dict) and value.keys() >= _WRAPPER_KEYS:
        return value["data"]
    return data if value is None else value


def find_list(output: Any, path: str | None = None) -> list[Any]:
    """Return the list in an output.

    Strings are searched too if they contain JSON, as the variables of an end node may.

    Args:
        output: The result of `unwrap`.
        path: The path of the list: keys and indexes, separated by dots. None for `outputList`, or
            else the only list in the output.

    Raises:
        CozeInvalidRequestError: There is no such list, or the choice is ambiguous.
    """
    output = _parse_nested_json(output)
    if path is not None:
        return _to_list(_follow_path(output, path), path)
    if isinstance(output, dict) and KNOWLEDGE_OUTPUT_KEY in output:
        return _to_list(output[KNOWLEDGE_OUTPUT_KEY], KNOWLEDGE_OUTPUT_KEY)
    lists = dict(_find_lists(output, "", _MAX_DEPTH))
    suffix = f".{KNOWLEDGE_OUTPUT_KEY}"
    candidates = {name: lists[name] for name in lists if name.endswith(suffix)} or lists
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    if not lists and isinstance(output, dict) and None in output.values():
        return []  # Go writes an empty list as null
    raise _make_choice_error(output, sorted(candidates))


def _follow_path(value: Any, path: str) -> Any:
    """Return the value at a path."""
    for part in path.split("."):
        inner = _parse_nested_json(value)
        if isinstance(inner, list) and part.isdecimal() and int(part) < len(inner):
            value = inner[int(part)]
        elif isinstance(inner, dict) and part in inner:
            value = inner[part]
        else:
            raise _make_path_error(path, part, inner)
    return value


def _to_list(value: Any, path: str) -> list[Any]:
    """Return a value as a list of items; a single text or object is one item."""
    value = _parse_nested_json(value)
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, (str, dict)):
        return [value]
    raise _make_path_error(path, path, value)


def _find_lists(value: Any, path: str, depth: int) -> list[tuple[str, list[Any]]]:
    """Return the lists in an output with their paths; lists inside lists are not searched."""
    value = _parse_nested_json(value)
    if isinstance(value, list):
        return [(path, value)]
    if value is None and path.endswith(f".{KNOWLEDGE_OUTPUT_KEY}"):
        return [(path, [])]
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
    inner = parse_json(value.encode("utf-8", "replace"))
    return inner if isinstance(inner, (dict, list)) else value


def _make_path_error(path: str, part: str, value: Any) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        f"output_path={path!r} does not lead to a list in the workflow's output: at {part!r} there "
        f"is {_describe_type(value)}.",
        hint=hints.OUTPUT_PATH,
    )


def _make_choice_error(output: Any, paths: list[str]) -> CozeInvalidRequestError:
    if paths:
        message = f"The workflow's output has several lists: {', '.join(paths)}."
    else:
        message = f"The workflow's output has no list: it is {_describe_type(output)}."
    return CozeInvalidRequestError(message, hint=hints.OUTPUT_LIST.format(key=KNOWLEDGE_OUTPUT_KEY))


def _describe_type(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(value)}" if value else "an empty object"
    if value == "":
        return "nothing"
    names = {str: "text", type(None): "nothing", list: "a list"}
    return names.get(type(value), f"a {type(value).__name__}")


def format_output(output: Any, data: str) -> str:
    """Return an output as text for a model.

    Args:
        output: The output of a workflow.
        data: The same output as Coze sent it. It is used for text that is JSON by chance, such as
            numbers: `1.10` stays `1.10`.
    """
    if isinstance(output, str):
        return output
    if not isinstance(output, (dict, list)):
        return "" if output is None else data
    try:
        return json.dumps(output, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return data
