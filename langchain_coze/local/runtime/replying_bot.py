"""What bots and chatflows share: the source of their replies, and how a reply is sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.runtime.replies import as_reply_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_coze.local.runtime.recall import KnowledgeSearch


class ReplyingBot:
    """The base of bots and chatflows; a chat reads these settings."""

    name: str
    description: str
    prompt: str
    recall_settings: KnowledgeSearch
    follow_ups: Sequence[str] | Callable[[str], Sequence[str]]
    delay: float
    burst: int
    faults: str | Sequence[str]
    is_chatflow = False

    @property
    def wire_id(self) -> str:
        """The id that its chats carry."""
        raise NotImplementedError

    def _set_reply(self, reply: Any) -> None:
        """Store the reply; reject settings that cannot be used."""
        if self.burst < 1:
            raise ValueError("burst must be at least 1")
        self.reply_source = as_reply_source(reply)
        read_faults(self.faults)
        self.created_at = int(time.time())

    def suggest_follow_ups(self, question: str) -> Sequence[str]:
        """Return the follow-up questions for a question."""
        return self.follow_ups(question) if callable(self.follow_ups) else self.follow_ups
