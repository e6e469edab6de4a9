"""Cancel an abandoned chat in the background.

A request from the `finally` of a cancelled task is lost when its scope or loop ends. A small thread
pool sends it instead. At exit, the interpreter waits for these threads, for at most `_TIMEOUT`.
"""

from __future__ import annotations

import contextlib
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from langchain_coze import _runtime
from langchain_coze._api.chats import cancel_chat
from langchain_coze._api.models import Chat
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._api.token_sources import StaticToken
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow
    from langchain_coze._api.settings import Settings

_TIMEOUT = 3.0  # seconds after the stream was closed; unsent requests are then dropped


def cancel_in_background(settings: Settings, token: str, ids: Mapping[str, str]) -> None:
    """Cancel a chat in Coze without waiting for the result.

    Do nothing if its ids are unknown, or if the interpreter is ending: a stream that a program
    still holds then is closed too late to send anything.

    Source: Coze API, cancel chat (wire section 2.8).
    """
    if "chat_id" in ids and "conversation_id" in ids and not sys.is_finalizing():
        chat = Chat(id=ids["chat_id"], conversation_id=ids["conversation_id"])
        driver = _runtime.make_driver(settings, StaticToken(SecretStr(token)))
        send_in_background(driver, partial(cancel_chat, chat))


def send_in_background(driver: Driver, cancel: Callable[[RetryPolicy], Flow[Any]]) -> None:
    """Run the flow that `cancel` returns in the background, and ignore its errors.

    Do nothing if the interpreter is ending.
    """
    policy = RetryPolicy(max_retries=0, deadline=time.monotonic() + _TIMEOUT)

    def send() -> None:
        with contextlib.suppress(CozeError):  # the chat may have ended already
            driver.run(cancel(policy))

    with contextlib.suppress(RuntimeError):  # no thread starts while the interpreter ends
        _runtime.cancel_executor.submit(send)
