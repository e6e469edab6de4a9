"""What a workflow puts out: its JSON string unwrapped, and the list that a path leads to. Pure.

A run's `data` is a JSON string, which may hold a second wrapper, or plain text (wire section 4.2).
"""

from __future__ import annotations

from typing import Any

from langchain_coze._api.models import parse
from langchain_coze.errors import CozeInvalidRequestError, hint_of

KNOWLEDGE = "outputList"
"""The name under which a knowledge node puts out what it found (wire section 3.5)."""

_WRAPPER = frozenset({"content_type", "data", "type_for_model"})
_DEEPEST = 8  # levels of a workflow's output that are searched


def unwrapped(data: str) -> Any:
    """Return what a run put out: JSON as its value, without its wrapper; or the text.

    Args:
        data: The `data` of a run.

    Source: wire section 4.2.
    """
    value = parse(data.encode("utf-8", "replace"))
    if isinstance(value, dict) and value.keys() >= _WRAPPER:
        return value["data"]
    return data if value is None else value


def listed(output: Any, path: str | None = None) -> list[Any]:
    """Return the list of an output.

    JSON that stands in a string, as the variables of an end node may have it, is looked into.

    Args:
        output: What `unwrapped` returned.
        path: Where the list is: keys and positions, with dots between them. None for `outputList`,
            or else the only list that there is.

    Raises:
        CozeInvalidRequestError: There is no list there, or it is not clear which one is meant.
    """
    output = _read(output)
    if path is not None:
        return _as_list(_at(output, path), path)
    if isinstance(output, dict) and KNOWLEDGE in output:
        return _as_list(output[KNOWLEDGE], KNOWLEDGE)
    found = dict(_lists(output, "", _DEEPEST))
    named = {where: value for where, value in found.items() if where.endswith(f".{KNOWLEDGE}")}
    choice = named or found
    if len(choice) == 1:
        return next(iter(choice.values()))
    if not found and isinstance(output, dict) and None in output.values():
        return []  # an empty list of Go
    raise _unclear(output, sorted(choice))


def _at(value: Any, path: str) -> Any:
    """Return what a path leads to."""
    for part in path.split("."):
        inner = _read(value)
        if isinstance(inner, list) and part.isdecimal() and int(part) < len(inner):
            value = inner[int(part)]
        elif isinstance(inner, dict) and part in inner:
            value = inner[part]
        else:
            raise _missing(path, part, inner)
    return value


def _as_list(value: Any, path: str) -> list[Any]:
    """Return a value as the list of what was found: one text, or one object, is one item."""
    value = _read(value)
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, (str, dict)):
        return [value]
    raise _missing(path, path, value)


def _lists(value: Any, where: str, depth: int) -> list[tuple[str, list[Any]]]:
    """Return the lists of an output, with their paths; what is inside of lists is not searched."""
    value = _read(value)
    if isinstance(value, list):
        return [(where, value)]
    if value is None and where.endswith(f".{KNOWLEDGE}"):
        return [(where, [])]
    if not isinstance(value, dict) or not depth:
        return []
    places = [(f"{where}.{key}".lstrip("."), inner) for key, inner in value.items()]
    return [found for place, inner in places for found in _lists(inner, place, depth - 1)]


def _read(value: Any) -> Any:
    """Return the object or list that a string holds as JSON; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    inner = parse(value.encode("utf-8", "replace"))
    return inner if isinstance(inner, (dict, list)) else value


def _missing(path: str, part: str, value: Any) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        f"output_path={path!r} leads to no list in the workflow's output: at {part!r} there is "
        f"{_kind(value)}.",
        hint=hint_of(
            "Correct output_path=, or the outputs of the workflow's end node.",
            "请修改 output_path=，或工作流结束节点的输出。",
        ),
    )


def _unclear(output: Any, places: list[str]) -> CozeInvalidRequestError:
    if places:
        told = f"The workflow's output has several lists: {', '.join(places)}."
    else:
        told = f"The workflow's output has no list: it is {_kind(output)}."
    return CozeInvalidRequestError(
        told,
        hint=hint_of(
            f"Return the {KNOWLEDGE} of the knowledge node as a variable of the end node, or say "
            "with output_path= where the list is.",
            f"请将知识库检索节点的 {KNOWLEDGE} 设为结束节点的返回变量，"
            "或用 output_path= 指定列表位置。",
        ),
    )


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(value)}" if value else "an empty object"
    if value == "":
        return "nothing"
    names = {str: "text", type(None): "nothing", list: "a list"}
    return names.get(type(value), f"a {type(value).__name__}")
