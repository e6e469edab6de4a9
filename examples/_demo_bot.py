"""Which Coze the examples talk to: yours when its token is set, else a local server."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_coze import ChatCoze
from langchain_coze.local import LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = ("COZE_API_TOKEN", "COZE_BOT_ID")


@contextmanager
def coze_bot(local: Any = None) -> Iterator[ChatCoze]:
    """Give a bot to talk to.

    With `COZE_API_TOKEN` and `COZE_BOT_ID` set it is a bot in Coze (`COZE_API_BASE` says on which
    site), without them one on a local server, which needs no account and no network.

    Args:
        local: What the local server serves: a `LocalBot`, a function or a Runnable; None for a
            sample bot with a small knowledge base.
    """
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if not missing:
        with ChatCoze() as bot:  # reads all three from the environment
            print(f"Coze, bot {bot.bot_id} at {bot.base_url}\n")
            yield bot
        return
    with LocalCoze(local) as coze:
        print(f"Local Coze server at {coze.base_url}, no account needed / 本地服务，无需账号")
        print(f"To ask your own bot / 使用自己的智能体: set {', '.join(missing)}\n")
        with ChatCoze(
            bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url
        ) as bot:
            yield bot
