"""Conversations and chats, kept in memory for the life of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from langchain_coze.local.runtime.chat_run import ChatRun
    from langchain_coze.local.runtime.conversation import Conversation
    from langchain_coze.local.wire.files import StoredFile


class Store:
    """All conversations of a server, the chats that were saved, and the uploaded files."""

    def __init__(self) -> None:
        """Start empty."""
        self.files: dict[str, StoredFile] = {}
        self._conversations: dict[str, Conversation] = {}
        self._chats: dict[str, ChatRun] = {}
        self._unsaved: set[tuple[str, str]] = set()

    def get_files(self, owner: str) -> dict[str, StoredFile]:
        """Return the files that a user has uploaded and may use, by id (wire 5.3)."""
        return {file_id: file for file_id, file in self.files.items() if file.owner == owner}

    def add_conversation(self, conversation: Conversation) -> Conversation:
        """Store a new conversation."""
        self._conversations[conversation.id] = conversation
        return conversation

    def get_conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Return a conversation; 4002 when its owner has none with this id."""
        conversation = self._conversations.get(conversation_id)
        if conversation is None or conversation.owner != owner:
            text = f"Invalid conversation: {conversation_id!r} does not exist"
            raise ApiError(4002, text, of_other_user=conversation is not None)
        return conversation

    def list_conversations(self, owner: str) -> list[Conversation]:
        """Return all conversations of an owner, oldest first."""
        return [c for c in self._conversations.values() if c.owner == owner]

    def delete_conversation(self, conversation: Conversation) -> None:
        """Delete a conversation and its chats."""
        del self._conversations[conversation.id]
        for chat_id, run in list(self._chats.items()):
            if run.conversation is conversation:
                del self._chats[chat_id]

    def add_chat(self, run: ChatRun) -> None:
        """Store a chat whose history is saved; of another one store only its ids."""
        if run.request.auto_save_history:
            self._chats[run.ids.chat_id] = run
        else:
            self._unsaved.add((run.ids.chat_id, run.conversation.owner))

    def was_unsaved(self, chat_id: str, owner: str) -> bool:
        """Return whether there was a chat of this owner that was not saved."""
        return (chat_id, owner) in self._unsaved

    def get_chat(self, conversation_id: str, chat_id: str, owner: str) -> ChatRun:
        """Return a saved chat; 4001 when this conversation and owner have none with this id."""
        run = self._chats.get(chat_id)
        if run and (run.conversation.id, run.conversation.owner) == (conversation_id, owner):
            return run
        raise ApiError(4001)
