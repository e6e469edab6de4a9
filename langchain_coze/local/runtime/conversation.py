"""A conversation: its saved messages, and the chat that runs in it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.ids import generate_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.wire.chat_request import EnterMessage


def _get_time() -> int:
    return int(time.time())


@dataclass(slots=True)
class MessageMeta:
    """Id, times, `meta_data` and reasoning of a stored message."""

    id: str = field(default_factory=generate_id)
    created_at: int = field(default_factory=_get_time)
    updated_at: int = field(default_factory=_get_time)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    reasoning: str = ""


@dataclass(slots=True)
class SavedTurn:
    """Messages of one turn that later turns of the conversation see.

    Messages that were created without a chat are a turn without a `chat_id`.
    """

    entries: list[EnterMessage]
    canceled: bool = False
    chat_id: str = ""
    bot_id: str = ""
    section_id: str = ""
    of_chatflow: bool = False
    _message_metas: list[MessageMeta] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the ids and times of the messages."""
        self._add_missing_metas()

    @property
    def message_metas(self) -> list[MessageMeta]:
        """The ids and times of the messages, in their order."""
        self._add_missing_metas()
        return self._message_metas

    def add_message(self, entry: EnterMessage, message: Mapping[str, Any] | None = None) -> None:
        """Add a message, with the id that the client has already received."""
        self._add_missing_metas()
        self.entries.append(entry)
        message = message or {}
        self._message_metas.append(
            MessageMeta(
                message.get("id") or generate_id(),
                meta_data=message.get("meta_data", {}),
                reasoning=message.get("reasoning_content", ""),
            )
        )

    def _add_missing_metas(self) -> None:
        self._message_metas += [MessageMeta() for _ in self.entries[len(self._message_metas) :]]


@dataclass(slots=True)
class Conversation:
    """A conversation: its context and the chat that is running in it, if any.

    Attributes:
        paused: Replies that have asked the user a question, by the id of their bot.
    """

    owner: str
    id: str = field(default_factory=generate_id)
    name: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)
    created_at: int = field(default_factory=_get_time)
    section_id: str = ""
    turns: list[SavedTurn] = field(default_factory=list)
    running_chat_id: str | None = None
    paused: dict[str, AsyncGenerator[Any, Any]] = field(default_factory=dict)
    bot_id: str = ""
    updated_at: int = field(default_factory=_get_time)
    cleared_turns: int = 0

    def __post_init__(self) -> None:
        """Set the first section's id, which is the conversation's, as on Coze."""
        self.section_id = self.section_id or self.id

    @property
    def history(self) -> list[EnterMessage]:
        """The saved messages, oldest first, without those of cancelled turns (wire 2.8)."""
        section = self.turns[self.cleared_turns :]
        return [entry for turn in section if not turn.canceled for entry in turn.entries]

    def clear(self) -> None:
        """Start a new section: earlier messages are kept, but they are no longer context."""
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
