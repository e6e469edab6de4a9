"""Convert questions (interrupt data and cards) to text, and answers to Coze's format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_coze._api.models import parse_json
from langchain_coze._convert.from_coze import parse_object

_INPUT_NODE = 5  # the interrupt type of an input node


def parse_question(data: str) -> tuple[str, list[str]]:
    """Return the question in the data of an interrupt, and its options (wire section 4.4).

    The data is text, the questions and answers of a node (the last question is open), or the fields
    of an input node, which are not a question.
    """
    body = parse_json(data)
    if not isinstance(body, dict):
        is_json = data.lstrip().startswith(("{", "[")) or data.strip() == "null"
        return ("" if is_json else data.strip()), []
    messages = body.get("messages")
    item = messages[-1] if isinstance(messages, list) and messages else body
    content = item.get("content") if isinstance(item, Mapping) else None
    if isinstance(content, str) and item.get("content_type") == "option":
        content = parse_json(content)
    if isinstance(content, Mapping):
        return str(content.get("question") or ""), _list_names(content.get("options"))
    if isinstance(content, str) and not isinstance(parse_json(content), list):
        return content, []
    return "", []


def read_card_question(content: str) -> str:
    """Return the text of a question card, with its options or the fields of its form."""
    body = parse_object(content)
    properties = body.get("x_properties")
    info = properties.get("workflow_card_info") if isinstance(properties, dict) else None
    text, options = "", list[str]()
    if isinstance(info, str):  # a chatflow
        card = parse_object(info)
        question = card.get("question_card_data")
        if not isinstance(question, dict):
            return describe_fields(_index_fields(card.get("input_card_data")))
        text, options = str(question.get("Title") or ""), _list_names(question.get("Options"))
    elif body.get("content_type") == "form_schema":  # an agent
        return describe_fields(parse_fields(content))
    elif body.get("type") == "question":
        text, options = parse_question(content)
    return "\n".join(filter(None, [text, *options]))


def parse_fields(data: str) -> dict[str, Any]:
    """Return the fields of an input node by name, from the data of its interrupt."""
    body = parse_json(data)
    content = body.get("content") if isinstance(body, dict) else body
    return _index_fields(parse_json(content) if isinstance(content, str) else content)


def _index_fields(items: Any) -> dict[str, Any]:
    """Return the fields of a form by name."""
    return {
        str(item["name"]): {k: v for k, v in item.items() if k != "name"}
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, Mapping) and item.get("name")
    }


def describe_fields(fields: Mapping[str, Any]) -> str:
    """Return a question for an input node without one: the names and types of its fields."""
    return ", ".join(
        f"{name} ({field.get('type', 'string')})" if isinstance(field, Mapping) else name
        for name, field in fields.items()
    )


def _list_names(options: Any) -> list[str]:
    """Return the names of the options of a question."""
    items = options if isinstance(options, list) else []
    names = [item.get("name") if isinstance(item, Mapping) else item for item in items]
    return [name for name in names if name and isinstance(name, str)]


def name_answer(pending: Mapping[str, Any], answer: Any) -> Any:
    """Return an answer; for an input node with one field, convert a plain value to a dict."""
    fields = pending.get("required_parameters") or {}
    if pending.get("type") != _INPUT_NODE or isinstance(answer, Mapping) or len(fields) != 1:
        return answer
    is_object = isinstance(answer, str) and isinstance(parse_json(answer), dict)
    return answer if is_object else {next(iter(fields)): answer}


def serialize_answer(answer: Any) -> str:
    """Return an answer in Coze's format, always a str (wire section 4.4)."""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
