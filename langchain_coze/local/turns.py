"""What a reply function gets to know about the turn it answers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_coze.local.chat_request import EnterMessage
from langchain_coze.local.knowledge import RecalledChunk

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_coze.local.bots import LocalBot

__all__ = ["Turn"]

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


@dataclass(frozen=True)
class Turn:
    """One question together with everything the server knows about it.

    Attributes:
        question: Text of the user's last message.
        bot: The bot that is asked.
        chunks: Passages that its knowledge base gave for the question, best first.
        has_knowledge: Whether the bot has a knowledge base at all.
        user_id: The caller's own key of the user.
        custom_variables: Values for the bot's prompt variables.
        parameters: Values for the start node of a chatflow bot.
        meta_data: The caller's own pairs.
        conversation_id: Conversation the turn belongs to.
        chat_id: Id of the turn.
        entries: The messages of the conversation as they came over the wire, oldest first.
    """

    question: str
    bot: "LocalBot"
    chunks: tuple[RecalledChunk, ...] = ()
    has_knowledge: bool = False
    user_id: str = ""
    custom_variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    conversation_id: str = ""
    chat_id: str = ""
    entries: tuple[EnterMessage, ...] = ()

    @cached_property
    def prompt(self) -> str:
        """The bot's prompt, its ``{{variables}}`` filled in from the request."""
        return _VARIABLE.sub(lambda m: self.custom_variables.get(m[1], ""), self.bot.prompt)

    @cached_property
    def messages(self) -> "list[BaseMessage]":
        """The conversation as LangChain messages, oldest first.

        A system message stands first when the bot has a prompt or its knowledge base gave
        something: the model of a Coze bot sees both, too.
        """
        from langchain_core.messages import (  # noqa: PLC0415 - plain replies do without
            AIMessage,
            HumanMessage,
            SystemMessage,
        )

        system = "\n\n".join(filter(None, [self.prompt, _recalled_text(self.chunks)]))
        messages: list[BaseMessage] = [SystemMessage(system)] if system else []
        for entry in self.entries:
            if entry.role == "user":
                messages.append(HumanMessage(_blocks(entry)))
            elif entry.type == "answer":
                messages.append(AIMessage(entry.text))
        return messages


def _recalled_text(chunks: Iterable[RecalledChunk]) -> str:
    passages = [f"[{n}] {c.document_name}\n{c.slice}" for n, c in enumerate(chunks, 1)]
    return "Recalled from the knowledge base:\n\n" + "\n\n".join(passages) if passages else ""


def _blocks(entry: EnterMessage) -> Any:
    if entry.content_type == "text":
        return entry.content
    blocks: list[dict[str, Any]] = []
    for item in entry.items:
        if item["type"] == "text":
            blocks.append({"type": "text", "text": str(item.get("text", ""))})
        elif item.get("file_url"):
            blocks.append({"type": item["type"], "url": item["file_url"]})
        else:
            blocks.append({"type": item["type"], "file_id": item["file_id"]})
    return blocks
