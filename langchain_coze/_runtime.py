"""The state of this process: connections, tokens, uploads, last turns, locks, searched bots.

All state that outlives a call is kept here, so that models are plain data and can be pickled,
copied and used from several threads and event loops. A forked child starts with empty state: it
must not use its parent's connections, threads and locks.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from langchain_coze._api.conversation_lock import ConversationLocks
from langchain_coze._api.singleflight import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.pool import ConnectionPools
    from langchain_coze._api.settings import Settings
    from langchain_coze._api.token_sources import TokenSource


oauth_tokens = TTLCache()
"""Access tokens of OAuth apps, by the digest of their token request."""

uploaded_file_ids = TTLCache()
"""Ids of uploaded files, by server, account and digest."""

last_turns = TTLCache(10_000)
"""The last known turn of each conversation, by server and conversation id."""

unsaved_conversations = TTLCache(10_000)
"""Conversations of turns that Coze has not saved, by server and conversation id."""

conversation_locks = ConversationLocks()
"""One turn at a time in each conversation, by server and conversation id."""

searched_bots = TTLCache(10_000)
"""Bots that have sent a recall, or have been warned about, by server and id."""

sibling_calls: dict[Any, Any] = {}
"""Tool calls that run in one LangGraph task; see `_workflows.langgraph_internals`."""


def _create_cancel_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="coze-cancel")  # starts no thread yet


cancel_executor = _create_cancel_executor()
"""The threads that cancel abandoned chats in the background."""

_lock = threading.Lock()
_pools: ConnectionPools | None = None


def make_driver(settings: Settings, token_source: TokenSource) -> Driver:
    """Return a driver that uses the connections of this process.

    It holds no connection itself, so creating one is cheap.
    """
    global _pools  # noqa: PLW0603 - created on first use
    from langchain_coze._api import driver, pool  # noqa: PLC0415 - importing httpx takes 50 ms

    with _lock:
        if _pools is None:
            _pools = pool.ConnectionPools()
    return driver.Driver(settings, token_source, _pools, _find_heartbeat())


def _find_heartbeat() -> Callable[[], None] | None:
    """Return the function that tells LangGraph that the running node makes progress, if any.

    Only a node with an idle timeout needs it (langgraph 1.2).
    """
    runtime = sys.modules.get("langgraph.runtime")
    if runtime is None:
        return None  # no graph can be running
    try:
        heartbeat = getattr(runtime.get_runtime(), "heartbeat", None)
    except (RuntimeError, KeyError, AttributeError):  # not in a node
        return None
    return None if heartbeat is getattr(runtime, "_no_op_heartbeat", None) else heartbeat


def reset() -> None:
    """Drop all state, for a forked child or a test.

    Nothing is closed: in a child, the connections belong to the parent.
    """
    global _lock, _pools, cancel_executor  # noqa: PLW0603 - the state itself
    _lock = threading.Lock()  # a thread of the parent may have held it
    _pools, cancel_executor = None, _create_cancel_executor()
    for state in (
        oauth_tokens,
        uploaded_file_ids,
        last_turns,
        unsaved_conversations,
        conversation_locks,
        searched_bots,
        sibling_calls,
    ):
        state.clear()


@atexit.register
def _close_connections() -> None:
    if _pools is not None:
        _pools.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset)
