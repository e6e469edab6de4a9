"""The lock of a turn: a server accepts one turn at a time in a conversation (error 4016)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from langchain_coze import _runtime
from langchain_coze._api.conversation_lock import LockHandle, acquire
from langchain_coze._api.deadlines import has_passed
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze.errors import CozeConversationBusyError

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow

_MAX_WAIT = 600.0  # seconds to wait for other turns of the conversation


class TurnLock:
    """The lock of the conversation, or of the session of a site, that a turn runs in."""

    def __init__(self, base_url: str, deadline: float | None) -> None:
        """Hold no lock yet.

        Args:
            base_url: The server.
            deadline: When to stop waiting, by `time.monotonic()`.
        """
        self._base_url, self._deadline = base_url, deadline
        self._handle: LockHandle | None = None
        self._conversation_id: str | None = None

    def hold(self, conversation_id: str | None) -> Flow[None]:
        """Hold the lock of a conversation, and no other; None needs no lock.

        Raises:
            CozeConversationBusyError: Another turn did not end in time.
            CozeTimeoutError: The deadline has passed.
        """
        if conversation_id == self._conversation_id:
            return
        self.release()
        if conversation_id is not None:
            seconds_left = _MAX_WAIT
            if self._deadline is not None:
                seconds_left = min(self._deadline - time.monotonic(), _MAX_WAIT)
            key = (self._base_url, conversation_id)
            try:
                self._handle = yield from acquire(_runtime.conversation_locks, key, seconds_left)
            except CozeConversationBusyError:
                if has_passed(self._deadline):
                    raise make_deadline_error() from None
                raise
        self._conversation_id = conversation_id

    def release(self) -> None:
        """Let the next turn of the conversation start."""
        if self._handle is not None:
            self._handle.release()
        self._handle = self._conversation_id = None
