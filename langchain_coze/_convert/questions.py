"""Questions to the user and their answers: interrupt data and cards to text, answers to data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_coze._api.models import parse_json

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


def read_card_question(content: str) -> str:
    """Return the text of a question that is a card: with its options, or the fields of a form."""
    body = parse_json(content.encode("utf-8", "replace"))
    if not isinstance(body, dict):
        return ""
    properties = body.get("x_properties")
    info = properties.get("workflow_card_info") if isinstance(properties, dict) else None
    card = parse_json(info.encode("utf-8", "replace")) if isinstance(info, str) else None
    if isinstance(card, dict):  # a chatflow
        question, fields = card.get("question_card_data"), card.get("input_card_data")
        if isinstance(question, dict):
            names = [_get_option_name(option) for option in _to_list(question.get("Options"))]
            return "\n".join(filter(None, [str(question.get("Title") or ""), *names]))
        return describe_fields(_index_fields(fields))
    if body.get("content_type") == "form_schema":  # an agent
        return describe_fields(parse_fields(content))
    if body.get("type") != "question":
        return ""
    text, options = parse_question(content)
    return "\n".join(filter(None, [text, *options]))


def parse_fields(data: str) -> dict[str, Any]:
    """Return the fields of an input node by name, from the data of its interrupt."""
    body = parse_json(data.encode("utf-8", "replace"))
    content = body.get("content") if isinstance(body, dict) else body
    items = parse_json(content.encode("utf-8", "replace")) if isinstance(content, str) else content
    return _index_fields(items)


def _index_fields(items: Any) -> dict[str, Any]:
    """Return the fields of a form by name."""
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
    """Return an answer; if it is a plain value for an input node with one field, add its name."""
    fields = pending.get("required_parameters") or {}
    if pending.get("type") != _INPUT_NODE or isinstance(answer, Mapping) or len(fields) != 1:
        return answer
    parsed = parse_json(answer.encode("utf-8", "replace")) if isinstance(answer, str) else None
    return answer if isinstance(parsed, dict) else {next(iter(fields)): answer}


def serialize_answer(answer: Any) -> str:
    """Return an answer in Coze's form: always a str (wire section 4.4)."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
