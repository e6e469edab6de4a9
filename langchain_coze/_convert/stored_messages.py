"""Convert messages between LangChain and a conversation that Coze keeps (wire 5.2). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_coze._api.models import CozeMessage
from langchain_coze._convert.chunks import PROVIDER
from langchain_coze._convert.from_coze import build_card_block, parse_object_string
from langchain_coze._convert.questions import read_card_question

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def to_langchain_messages(
    items: Iterable[Mapping[str, Any]], conversation_id: str, bot_id: str
) -> list[BaseMessage]:
    """Return the messages of a conversation as LangChain messages, in their order.

    Args:
        items: The messages as Coze lists them.
        conversation_id: Their conversation.
        bot_id: Its bot, for answers that do not name theirs.
    """
    return [_to_message(item, conversation_id, bot_id) for item in items]


def _to_message(item: Mapping[str, Any], conversation_id: str, bot_id: str) -> BaseMessage:
    message = CozeMessage.model_validate(item)
    content = _read_content(message)
    if message.role != "assistant":
        return HumanMessage(content=content, id=message.id)
    metadata = {
        "model_provider": PROVIDER,
        "model_name": str(item.get("bot_id") or bot_id),
        "finish_reason": "stop",
        "conversation_id": conversation_id,
        "chat_id": message.chat_id,
        "message_id": message.id,
    }
    reasoning = message.reasoning_content
    return AIMessage(
        content=content,
        id=message.id,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        response_metadata={key: value for key, value in metadata.items() if value},
    )


def _read_content(message: CozeMessage) -> Any:
    """Return the text of a message, or its content blocks if it has others than text."""
    text, blocks = message.content, list[Any]()
    if message.content_type == "object_string":
        text, blocks = parse_object_string(message.content)
    elif message.content_type == "card":
        text, blocks = read_card_question(text), [build_card_block(text)]
    if not blocks:
        return text
    return [*([{"type": "text", "text": text}] if text else []), *blocks]
