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

from langchain_coze._api.chats import cancel_chat
from langchain_coze._api.effects import RetryPolicy
from langchain_coze._api.models import Chat
from langchain_coze._api.tokens import StaticToken
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze._api.transport import Settings

_MAX_WORKERS = 2
_TIMEOUT = 3.0

_executor: ThreadPoolExecutor | None = None


def cancel_in_background(
    settings: Settings, token: str, ids: Mapping[str, str]
) -> Future[None] | None:
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
    return _get_executor().submit(_send_cancel, settings, token, chat)


def _send_cancel(settings: Settings, token: str, chat: Any) -> None:
    from langchain_coze._api.client import Client  # noqa: PLC0415 - httpx costs 50 ms to import

    policy = RetryPolicy(max_retries=0, deadline=time.monotonic() + _TIMEOUT)
    with contextlib.suppress(CozeError):  # it may have ended in the meantime
        Client(settings, StaticToken(SecretStr(token)), policy).run(cancel_chat(chat, policy))


def _get_executor() -> ThreadPoolExecutor:
    global _executor  # noqa: PLW0603 - made when first needed, and anew after a fork
    if _executor is None:
        _executor = ThreadPoolExecutor(_MAX_WORKERS, thread_name_prefix="coze-cancel")
    return _executor


def _after_fork() -> None:
    global _executor  # noqa: PLW0603 - a child has none of its parent's threads
    _executor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
