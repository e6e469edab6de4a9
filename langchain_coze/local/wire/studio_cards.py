"""How Studio shows a question with options: as a card (wire 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEMPLATE_ID = 7383997384420262000
_NODE_ID = "400001"


def build_question_message(
    question: str, options: Sequence[str] = (), number: int = 0
) -> dict[str, Any]:
    """Return a question of a question node.

    Args:
        question: The question.
        options: Answers to choose from.
        number: How often the node has asked before.
    """
    content: Any = question
    if options:
        content = {"options": [{"name": option} for option in options], "question": question}
    return {
        "type": "question",
        "content_type": "option" if options else "text",
        "content": content,
        "id": f"{_NODE_ID}_{number}",
    }


def build_card(question: str, options: Sequence[str]) -> str:
    """Return the card of a chatflow.

    Its `data` draws the buttons and is left out here; clients read `x_properties`.

    Args:
        question: The question.
        options: Answers to choose from.
    """
    data = {"Title": question, "Options": [{"name": option} for option in options]}
    info = {"card_type": "QUESTION", "question_card_data": data}
    return go_json.dumps(
        {
            "card_type": 3,
            "content_type": 50,
            "response_type": "card",
            "template_id": _TEMPLATE_ID,
            "template_url": "",
            "data": go_json.dumps({"elements": {}, "rootID": "root", "variables": {}}),
            "x_properties": {"workflow_card_info": go_json.dumps(info)},
        }
    )


def build_interrupt_meta(question: str, options: Sequence[str]) -> dict[str, str]:
    """Return Studio's own pairs of an `interrupt` message: how it continues the run."""
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": None}}
    messages = {"messages": [build_question_message(question, options)]}
    event = {"node_key": _NODE_ID, "interrupt_data": go_json.dumps(messages), "event_type": 2}
    return {
        "requires_action": go_json.dumps(action),
        "resume_info": go_json.dumps({"InterruptType": 2, "ChatflowInterrupt": event}),
        "tool_calls_ids": "",
    }
