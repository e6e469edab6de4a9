"""The lock of a turn: a server accepts one turn at a time in a conversation (error 4016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze import _runtime
from langchain_coze._api.conversation_lock import acquire

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow


class TurnLock:
    """The lock of the conversation, or of the session of a site, that a turn runs in."""

    def __init__(self, base_url: str, deadline: float | None) -> None:
        """Hold no lock yet; `deadline` ends the wait for one, by `time.monotonic()`."""
        self._base_url, self._deadline = base_url, deadline
        self._conversation_id: str | None = None

    def hold(self, conversation_id: str | None) -> Flow[None]:
        """Hold the lock of a conversation, and no other; None needs no lock. See `acquire`."""
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
