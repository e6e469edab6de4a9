"""The lock of a turn: a server accepts only one turn at a time per conversation (error 4016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze import _runtime
from langchain_coze._api.conversation_lock import acquire

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow


class TurnLock:
    """The lock of the conversation or site session that a turn runs in."""

    def __init__(self, base_url: str, deadline: float | None) -> None:
        """Create a handle without a lock; `deadline` (`time.monotonic()`) limits each wait."""
        self._base_url, self._deadline = base_url, deadline
        self._conversation_id: str | None = None

    def hold(self, conversation_id: str | None) -> Flow[None]:
        """Hold only the lock of this conversation; None holds no lock. See `acquire`."""
        if conversation_id == self._conversation_id:
            return
        self.release()
        if conversation_id is not None:
            key = (self._base_url, conversation_id)
            yield from acquire(_runtime.conversation_locks, key, self._deadline)
        self._conversation_id = conversation_id

    def release(self) -> None:
        """Let the next turn of the conversation start."""
        if self._conversation_id is not None:
            _runtime.conversation_locks.release((self._base_url, self._conversation_id))
        self._conversation_id = None
