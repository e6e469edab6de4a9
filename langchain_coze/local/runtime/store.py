"""Conversations and chats, kept in memory for the life of a server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.runtime.chat_run import ChatRun
    from langchain_coze.local.wire.chat_request import EnterMessage
    from langchain_coze.local.wire.files import StoredFile


def _now() -> int:
    return int(time.time())


@dataclass(slots=True)
class Mark:
    """What a stored message has besides its content."""

    id: str = field(default_factory=new_id)
    created_at: int = field(default_factory=_now)
    updated_at: int = field(default_factory=_now)
    meta_data: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class SavedTurn:
    """Messages of one turn that later turns of the conversation see.

    Those that were made by hand are a turn without a chat.
    """

    entries: list[EnterMessage]
    canceled: bool = False
    chat_id: str = ""
    bot_id: str = ""
    section_id: str = ""
    _marks: list[Mark] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give the messages their ids and times."""
        self._complete()

    @property
    def marks(self) -> list[Mark]:
        """One for each entry, in the same order."""
        self._complete()
        return self._marks

    def add(self, entry: EnterMessage, message_id: str = "") -> None:
        """Add a message, under the id by which the client knows it already."""
        self._complete()
        self.entries.append(entry)
        self._marks.append(Mark(message_id or new_id()))

    def _complete(self) -> None:
        self._marks += [Mark() for _ in self.entries[len(self._marks) :]]


@dataclass(slots=True)
class Conversation:
    """A conversation: its context and the chat that is running in it, if any.

    Attributes:
        paused: Replies that have asked the user a question, by the id of their bot.
    """

    owner: str
    id: str = field(default_factory=new_id)
    name: str = ""
    meta_data: Mapping[str, str] = field(default_factory=dict)
    created_at: int = field(default_factory=_now)
    section_id: str = ""
    turns: list[SavedTurn] = field(default_factory=list)
    running: ChatRun | None = None
    paused: dict[str, AsyncGenerator[Any, Any]] = field(default_factory=dict)
    bot_id: str = ""
    updated_at: int = field(default_factory=_now)
    cleared: int = 0

    def __post_init__(self) -> None:
        """The first section of a conversation carries the conversation's id, as on Coze."""
        self.section_id = self.section_id or self.id

    @property
    def history(self) -> list[EnterMessage]:
        """Saved messages, oldest first; a cancelled turn is no context (wire 2.8)."""
        section = self.turns[self.cleared :]
        return [entry for turn in section if not turn.canceled for entry in turn.entries]

    def clear(self) -> None:
        """Begin a new section: what was said before is kept, but is no context any more."""
        self.section_id = new_id()
        self.cleared = len(self.turns)
        self.paused.clear()

    def as_json(self) -> dict[str, Any]:
        """The conversation object of the API (wire 5.1)."""
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


class Store:
    """All conversations of a server, the chats that were saved, and the uploaded files."""

    def __init__(self) -> None:
        """Start empty."""
        self.files: dict[str, StoredFile] = {}
        self._conversations: dict[str, Conversation] = {}
        self._chats: dict[str, ChatRun] = {}
        self._unsaved: set[tuple[str, str, str]] = set()

    def files_of(self, owner: str) -> dict[str, StoredFile]:
        """The files that a user has uploaded and may use, by id (wire 5.3)."""
        return {file_id: file for file_id, file in self.files.items() if file.owner == owner}

    def add_conversation(self, conversation: Conversation) -> Conversation:
        """Keep a new conversation."""
        self._conversations[conversation.id] = conversation
        return conversation

    def conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Find a conversation.

        Raises:
            Problem: 4002, its owner has none with this id.
        """
        conversation = self._conversations.get(conversation_id)
        if conversation is None or conversation.owner != owner:
            raise Problem(4002, f"Invalid conversation: {conversation_id!r} does not exist")
        return conversation

    def conversations(self, owner: str) -> list[Conversation]:
        """All conversations of an owner, oldest first."""
        return [found for found in self._conversations.values() if found.owner == owner]

    def delete_conversation(self, conversation: Conversation) -> None:
        """Forget a conversation and its chats."""
        del self._conversations[conversation.id]
        for chat_id, run in list(self._chats.items()):
            if run.conversation is conversation:
                del self._chats[chat_id]

    def add_chat(self, run: ChatRun) -> None:
        """Keep a chat whose history is saved; of another one only that it was there."""
        if run.request.auto_save_history:
            self._chats[run.ids.chat_id] = run
        else:
            owner = run.conversation.owner
            self._unsaved.add((run.ids.conversation_id, run.ids.chat_id, owner))

    def was_not_saved(self, conversation_id: str, chat_id: str, owner: str) -> bool:
        """Whether a chat of this owner took place and left nothing behind."""
        return (conversation_id, chat_id, owner) in self._unsaved

    def chat(self, conversation_id: str, chat_id: str, owner: str) -> ChatRun:
        """Find a saved chat.

        Raises:
            Problem: 4001, it does not exist, was not saved, or belongs to another conversation or
                owner.
        """
        run = self._chats.get(chat_id)
        if run is None or run.conversation.id != conversation_id:
            raise Problem(4001)
        if run.conversation.owner != owner:
            raise Problem(4001)
        return run
