"""Polling: start a chat without streaming and wait for its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze._api.chats import (
    build_message_list_request,
    build_retrieve_request,
    fetch_object,
    read_object,
)
from langchain_coze._api.effects import Flow, Reply, Request, RetryPolicy, Sleep
from langchain_coze._api.models import TERMINAL_STATUSES, Chat, get_payload
from langchain_coze._api.retry import collect_error_context, send_with_retry
from langchain_coze.errors import CozeError, CozeServerError, CozeTimeoutError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Polling(NamedTuple):
    """When a turn is asked for its state.

    Attributes:
        interval: Seconds between two questions during the first 10 seconds.
        timeout: Seconds until it is given up.
        min_interval: Seconds that are never undercut: 1.0 on coze.cn and coze.com.
        clock: Seconds from any fixed point.
    """

    interval: float = 1.0
    timeout: float = 600.0
    min_interval: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def iter_pauses(self) -> Iterator[float]:
        """Yield the seconds to wait: constant for 10 s, then a tenth of what passed, up to 3."""
        passed = 0.0
        steady, max_pause = 10.0, 3.0
        while True:
            growing = min(passed / 10, max_pause) if passed >= steady else 0.0
            pause = max(self.interval, growing, self.min_interval)
            passed += pause
            yield pause


def run_polled(
    request: Request,
    policy: RetryPolicy,
    polling: Polling,
    on_started: Callable[[Reply, Chat], None] | None = None,
) -> Flow[tuple[Reply, Any, list[Any]]]:
    """Start a turn without streaming and wait for its end (wire section 2.8).

    Args:
        request: What `build_chat_request` gives, with `stream` false.
        policy: How often to repeat each request.
        polling: When to ask, and for how long.
        on_started: What is told, at once, that the turn has started.

    Returns:
        The reply that started the turn, the chat at its end and its messages, as Coze sent them.

    Raises:
        CozeTimeoutError: The turn had not ended within `polling.timeout` seconds.
        CozeError: What else Coze reports. The outcome of the turn itself is not judged here.
    """
    started_at = polling.clock()
    first = yield from send_with_retry(request, policy)
    chat_ids = {"id": request.query.get("chat_id"), **request.query}  # where a turn goes on
    raw: Mapping[str, Any] = {**chat_ids, **read_object(first)}
    chat = Chat.model_validate(raw)
    if not chat.id:
        raise CozeServerError(
            "Coze accepted the request but named no chat to ask for.",
            **(
                collect_error_context(first)
                | {"hint": bilingual_hint("Try again a little later.", "请稍后重试。")}
            ),
        )
    if on_started is not None:
        on_started(first, chat)
    try:
        for pause in polling.iter_pauses():
            if chat.status in TERMINAL_STATUSES:
                break
            seconds_left = started_at + polling.timeout - polling.clock()
            if seconds_left <= 0:
                raise _make_poll_timeout(first, polling)
            until_deadline = (
                seconds_left if policy.deadline is None else policy.deadline - time.monotonic()
            )
            yield Sleep(max(min(pause, seconds_left, until_deadline), 0.0))
            request_state = build_retrieve_request(chat)._replace(
                read_timeout=max(seconds_left, 1.0)
            )
            raw = {**raw, **(yield from fetch_object(request_state, policy))}
            chat = Chat.model_validate(raw)
        if chat.status not in {"completed", "requires_action"}:
            return first, raw, []
        messages = get_payload(
            (yield from send_with_retry(build_message_list_request(chat), policy)).json
        )
    except CozeError as error:  # the turn had started: whoever catches this can look for it
        error.chat_id = error.chat_id or chat.id
        error.conversation_id = error.conversation_id or chat.conversation_id
        raise
    return first, raw, messages if isinstance(messages, list) else []


def _make_poll_timeout(first: Reply, polling: Polling) -> CozeTimeoutError:
    return CozeTimeoutError(
        f"The bot had not answered within poll_timeout={polling.timeout:g} s; it goes on in Coze.",
        logid=first.logid,
        hint=bilingual_hint(
            "Raise poll_timeout, or leave response_mode='stream', which needs no polling.",
            "请调大 poll_timeout，或使用默认的 response_mode='stream'（无需轮询）。",
        ),
    )
