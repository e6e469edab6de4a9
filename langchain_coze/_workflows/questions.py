"""Questions of a workflow and their answers: interrupt data to text, answer to resume data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_coze._api.models import (
    parse_json,
)

_INPUT_NODE = 5  # the interrupt type of an input node


def parse_question(data: str) -> tuple[str, list[str]]:
    """Return the question in the data of an interrupt, and its options.

    The data is text, the questions and answers of a node (the last one is open), or the fields of
    an input node, which are not a question (wire section 4.4).
    """
    body = parse_json(data.encode("utf-8", "replace"))
    if not isinstance(body, dict):
        is_json = data.lstrip().startswith(("{", "[")) or data.strip() == "null"
        return ("" if is_json else data.strip()), []
    messages = body.get("messages")
    item = messages[-1] if isinstance(messages, list) and messages else body
    content = item.get("content") if isinstance(item, Mapping) else None
    if isinstance(content, str) and item.get("content_type") == "option":
        content = parse_json(content.encode("utf-8", "replace"))
    if isinstance(content, Mapping):
        names = [_get_option_name(option) for option in _to_list(content.get("options"))]
        return str(content.get("question") or ""), [name for name in names if name]
    if not isinstance(content, str) or isinstance(parse_json(content.encode()), list):
        return "", []
    return content, []


def parse_fields(data: str) -> dict[str, Any]:
    """Return the fields of an input node by name, from the data of its interrupt."""
    body = parse_json(data.encode("utf-8", "replace"))
    content = body.get("content") if isinstance(body, dict) else body
    items = parse_json(content.encode("utf-8", "replace")) if isinstance(content, str) else content
    return {
        str(item["name"]): {k: v for k, v in item.items() if k != "name"}
        for item in _to_list(items)
        if isinstance(item, Mapping) and item.get("name")
    }


def describe_fields(fields: Mapping[str, Any]) -> str:
    """Return a question for an input node without one: the names and types of its fields."""
    descriptions = [
        f"{name} ({field.get('type', 'string')})" if isinstance(field, Mapping) else name
        for name, field in fields.items()
    ]
    return ", ".join(descriptions)


def _get_option_name(option: Any) -> str:
    named = option.get("name") if isinstance(option, Mapping) else option
    return named if isinstance(named, str) else ""


def _to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def name_answer(pending: Mapping[str, Any], answer: Any) -> Any:
    """Return an answer; if it is a plain value for an input node with one field, add its name.

    Args:
        pending: The interrupt that the run waits on.
        answer: Text, or a dict with the values of an input node's fields.
    """
    fields = pending.get("required_parameters") or {}
    if pending.get("type") != _INPUT_NODE or isinstance(answer, Mapping) or len(fields) != 1:
        return answer
    parsed = parse_json(answer.encode("utf-8", "replace")) if isinstance(answer, str) else None
    return answer if isinstance(parsed, dict) else {next(iter(fields)): answer}


def serialize_answer(answer: Any) -> str:
    """Return an answer in Coze's form: always a str (wire section 4.4).

    Args:
        answer: Text or plain data.
    """
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
