"""Conversations and chats, kept in memory for the life of a server."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.chat_request import EnterMessage
from langchain_coze.local.ids import new_id
from langchain_coze.local.problems import Problem

if TYPE_CHECKING:
    from langchain_coze.local.chat import ChatRun

__all__ = ["Conversation", "SavedTurn", "Store", "StoredFile"]


@dataclass(slots=True)
class SavedTurn:
    """Messages of one turn that later turns of the conversation see."""

    entries: list[EnterMessage]
    canceled: bool = False


@dataclass(slots=True)
class Conversation:
    """A conversation: its context and the chat that is running in it, if any."""

    id: str = field(default_factory=new_id)
    name: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)
    created_at: int = field(default_factory=lambda: int(time.time()))
    section_id: str = ""
    turns: list[SavedTurn] = field(default_factory=list)
    running: "ChatRun | None" = None

    def __post_init__(self) -> None:
        """The first section of a conversation carries the conversation's id, as on Coze."""
        self.section_id = self.section_id or self.id

    @property
    def history(self) -> list[EnterMessage]:
        """Saved messages, oldest first; a cancelled turn is no context (wire 2.8)."""
        return [entry for turn in self.turns if not turn.canceled for entry in turn.entries]

    def as_json(self, owner_id: str) -> dict[str, Any]:
        """The conversation object of the API (wire 5.1)."""
        return {
            "id": self.id,
            "name": self.name,
            "meta_data": dict(self.meta_data),
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "creator_id": owner_id,
            "connector_id": "1024",
            "last_section_id": self.section_id,
        }


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file (wire 5.3)."""

    id: str
    name: str
    data: bytes
    created_at: int
    owner: str = ""


class Store:
    """All conversations of a server, the chats that were saved, and the uploaded files."""

    def __init__(self) -> None:
        """Start empty."""
        self.files: dict[str, StoredFile] = {}
        self._conversations: dict[str, Conversation] = {}
        self._chats: dict[str, ChatRun] = {}

    def add_conversation(self, conversation: Conversation) -> Conversation:
        """Keep a new conversation."""
        self._conversations[conversation.id] = conversation
        return conversation

    def conversation(self, conversation_id: str) -> Conversation:
        """Find a conversation.

        Raises:
            Problem: 4002, it does not exist.
        """
        try:
            return self._conversations[conversation_id]
        except KeyError:
            raise Problem(
                4002, f"Invalid conversation: {conversation_id!r} does not exist"
            ) from None

    def add_chat(self, run: "ChatRun") -> None:
        """Keep a chat whose history is saved."""
        self._chats[run.ids.chat_id] = run

    def chat(self, conversation_id: str, chat_id: str) -> "ChatRun":
        """Find a saved chat.

        Raises:
            Problem: 4001, it does not exist, was not saved, or belongs to another conversation.
        """
        run = self._chats.get(chat_id)
        if run is None or run.ids.conversation_id != conversation_id:
            raise Problem(4001)
        return run
