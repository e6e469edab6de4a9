"""A conversation: its saved messages and its running chat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.ids import generate_id, get_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.wire.requests import EnterMessage


@dataclass(slots=True)
class StoredMessage:
    """A message of a conversation, with the fields that the server adds."""

    entry: EnterMessage
    id: str = field(default_factory=generate_id)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    reasoning: str = ""
    created_at: int = field(default_factory=get_time)
    updated_at: int = field(default_factory=get_time)


@dataclass(slots=True)
class SavedTurn:
    """The messages of one turn, which later turns of the conversation see.

    A message that was created without a chat is a turn without a `chat_id`.
    """

    messages: list[StoredMessage]
    canceled: bool = False
    chat_id: str = ""
    bot_id: str = ""
    section_id: str = ""
    of_chatflow: bool = False

    def add(self, entry: EnterMessage, message: Mapping[str, Any] | None = None) -> None:
        """Add a message; `message` is the object that the client has already received, if any."""
        known = message or {"id": generate_id()}
        meta_data, reasoning = known.get("meta_data", {}), known.get("reasoning_content", "")
        self.messages.append(StoredMessage(entry, known["id"], meta_data, reasoning))

    def message_as_json(self, message: StoredMessage, conversation_id: str) -> dict[str, Any]:
        """Return the API object of a message, with the key order of Coze's samples."""
        return {
            "bot_id": self.bot_id,
            "chat_id": self.chat_id,
            "content": message.entry.content,
            "content_type": message.entry.content_type,
            "conversation_id": conversation_id,
            "created_at": message.created_at,
            "id": message.id,
            "meta_data": dict(message.meta_data),
            "role": message.entry.role,
            "section_id": self.section_id,
            "type": message.entry.type if self.chat_id else "",
            "updated_at": str(message.updated_at),
        }


@dataclass(slots=True)
class Conversation:
    """A conversation with its turns, its paused replies and its running chat, if any."""

    owner: str
    id: str = field(default_factory=generate_id)
    name: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)
    created_at: int = field(default_factory=get_time)
    section_id: str = ""
    turns: list[SavedTurn] = field(default_factory=list)
    running_chat_id: str | None = None
    # Replies that wait for the user's answer, by bot id.
    paused: dict[str, AsyncGenerator[Any, Any]] = field(default_factory=dict)
    bot_id: str = ""
    updated_at: int = field(default_factory=get_time)
    cleared_turns: int = 0

    def __post_init__(self) -> None:
        """Set the id of the first section: that of the conversation, as on Coze."""
        self.section_id = self.section_id or self.id

    @property
    def history(self) -> list[EnterMessage]:
        """The saved messages, oldest first, without those of cancelled turns (wire 2.8)."""
        turns = [turn for turn in self.turns[self.cleared_turns :] if not turn.canceled]
        return [message.entry for turn in turns for message in turn.messages]

    def clear(self) -> None:
        """Start a new section: earlier messages are kept, but are no longer context."""
        self.section_id = generate_id()
        self.cleared_turns = len(self.turns)
        self.paused.clear()

    def as_json(self) -> dict[str, Any]:
        """Return the conversation object of the API (wire 5.1)."""
        return {
            "id": self.id,
            "name": self.name,
            "meta_data": dict(self.meta_data),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "creator_id": self.owner,
            "connector_id": "1024",
            "last_section_id": self.section_id,
        }
