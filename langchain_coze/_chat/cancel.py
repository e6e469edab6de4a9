"""Cancelling a turn whose reader has left.

A request in the `finally` of a cancelled task is lost when its scope or loop ends, so a tiny pool
of threads sends it, which also outlives the end of the program by as long as that takes.
"""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from langchain_coze._api.chats import cancel
from langchain_coze._api.effects import RetryPolicy
from langchain_coze._api.models import Chat
from langchain_coze._api.tokens import FixedToken
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._api.transport import Settings

_THREADS = 2
_SECONDS = 3.0

_pool: ThreadPoolExecutor | None = None


def cancel_later(settings: Settings, token: str, ids: Mapping[str, str]) -> Future[None] | None:
    """Cancel a turn in Coze, without waiting for it.

    Args:
        settings: How to reach the server.
        token: The token that began the turn.
        ids: The `chat_id` and `conversation_id` of the turn.

    Returns:
        What ends with the request, or None when the turn is not known yet.

    Source: Coze API, cancel chat (wire section 2.8).
    """
    if "chat_id" not in ids or "conversation_id" not in ids:
        return None
    chat = Chat(id=ids["chat_id"], conversation_id=ids["conversation_id"])
    return _threads().submit(_cancel, settings, token, chat)


def _cancel(settings: Settings, token: str, chat: Any) -> None:
    from langchain_coze._api.client import Client  # noqa: PLC0415 - httpx costs 50 ms to import

    policy = RetryPolicy(max_retries=0, until=time.monotonic() + _SECONDS)
    with contextlib.suppress(CozeError):  # it may have ended in the meantime
        Client(settings, FixedToken(SecretStr(token)), policy).run(cancel(chat, policy))


def _threads() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603 - made when first needed, and anew after a fork
    if _pool is None:
        _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="coze-cancel")
    return _pool


def _after_fork() -> None:
    global _pool  # noqa: PLW0603 - a child has none of its parent's threads
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
