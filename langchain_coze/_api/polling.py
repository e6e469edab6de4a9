"""Polling: start a chat without streaming, or follow an asynchronous run, until it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from langchain_coze import _hints as hints
from langchain_coze._api.chats import build_message_list_request, build_retrieve_request
from langchain_coze._api.effects import Flow, Reply, Request, Sleep
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze._api.models import TERMINAL_STATUSES, Chat, RunHistory, get_payload
from langchain_coze._api.replies import collect_error_context, read_object
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry
from langchain_coze._api.workflows import fetch_run_history
from langchain_coze.errors import CozeError, CozeServerError, CozeTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_RUNNING = frozenset({"", "Running"})


class Polling(NamedTuple):
    """How often, and for how long, the state of a chat or run is polled.

    Attributes:
        interval: Seconds between status requests during the first 10 seconds.
        timeout: Seconds until polling gives up.
        min_interval: Lower limit of the interval in seconds: 1.0 on coze.cn and coze.com.
        max_pause: Upper limit of a growing pause in seconds.
        clock: A monotonic clock in seconds.
    """

    interval: float = 1.0
    timeout: float = 600.0
    min_interval: float = 0.0
    max_pause: float = 3.0
    clock: Callable[[], float] = time.monotonic

    def iter_pauses(self) -> Iterator[float]:
        """Yield the pauses in seconds: constant for 10 s, then a tenth of the time so far.

        At most `max_pause`, but never shorter than `interval` and `min_interval`.
        """
        passed = 0.0
        steady = 10.0
        while True:
            growing = min(passed / 10, self.max_pause) if passed >= steady else 0.0
            pause = max(self.interval, growing, self.min_interval)
            passed += pause
            yield pause

    def iter_attempts(
        self, policy: RetryPolicy, started_at: float
    ) -> Iterator[tuple[Sleep, float]]:
        """Yield the pause before each request, and its read timeout, until `timeout` is over.

        Raises:
            CozeTimeoutError: The deadline of the policy has passed.
        """
        for pause in self.iter_pauses():
            seconds_left = longest = started_at + self.timeout - self.clock()
            if seconds_left <= 0:
                return
            if policy.deadline is not None:
                longest = min(seconds_left, policy.deadline - time.monotonic())
                if longest <= 0:
                    raise make_deadline_error(may_have_started=True)
            yield Sleep(min(pause, longest)), max(seconds_left, 1.0)


def start_and_poll_chat(
    request: Request,
    policy: RetryPolicy,
    polling: Polling,
    on_started: Callable[[Reply, Chat], None] | None = None,
) -> Flow[tuple[Reply, Any, list[Any]]]:
    """Start a turn without streaming and poll until it ends (wire section 2.8).

    Args:
        request: A request from `build_chat_request` or `build_submit_request`, not streaming.
        policy: The retry policy of each request.
        polling: How often, and for how long, to poll.
        on_started: Called with the first reply and the chat as soon as the turn has started.

    Returns:
        The first reply, the final state of the chat, and its messages, as Coze sent them. If the
        server streams the turn all the same, the reply has the open stream, and the rest is empty.

    Raises:
        CozeTimeoutError: The turn did not end within `polling.timeout` seconds or by the deadline.
        CozeError: Any other error of a request. A failed turn does not raise: check its status.
    """
    started_at = polling.clock()
    first = yield from send_with_retry(request, policy)
    if first.stream is not None:
        return first, {}, []
    chat_ids = {"id": request.query.get("chat_id"), **request.query}  # of a submit request
    raw = {**chat_ids, **read_object(first)}
    chat = Chat.model_validate(raw)
    if not chat.id:
        context = collect_error_context(first)
        message = "Coze accepted the request but returned no chat id."
        raise CozeServerError(message, hint=hints.TRY_LATER, **context)
    if on_started is not None:
        on_started(first, chat)
    try:
        ended = yield from _poll_chat(raw, started_at, policy, polling)
        if Chat.model_validate(ended).status not in {"completed", "requires_action"}:
            return first, ended, []
        listing = yield from send_with_retry(build_message_list_request(chat), policy)
    except CozeError as error:  # the turn has started: give the caller its ids
        raise error.with_context(
            logid=error.logid or first.logid,
            chat_id=error.chat_id or chat.id,
            conversation_id=error.conversation_id or chat.conversation_id,
        ) from error.__cause__
    messages = get_payload(listing.json)
    return first, ended, messages if isinstance(messages, list) else []


def _poll_chat(
    raw: dict[str, Any], started_at: float, policy: RetryPolicy, polling: Polling
) -> Flow[dict[str, Any]]:
    """Poll the state of a chat until it is final, and return it."""
    chat = Chat.model_validate(raw)
    if chat.status in TERMINAL_STATUSES:
        return raw
    for pause, read_timeout in polling.iter_attempts(policy, started_at):
        yield pause
        request = build_retrieve_request(chat)._replace(read_timeout=read_timeout)
        raw = {**raw, **(yield from fetch_object(request, policy))}
        chat = Chat.model_validate(raw)
        if chat.status in TERMINAL_STATUSES:
            return raw
    raise CozeTimeoutError(
        f"The bot did not answer within poll_timeout={polling.timeout:g} s; it is still running "
        "in Coze.",
        hint=hints.POLL_OR_STREAM,
    )


def poll_workflow_run(
    workflow_id: str, execute_id: str, policy: RetryPolicy, polling: Polling
) -> Flow[RunHistory]:
    """Poll an asynchronous run until it ends or is interrupted (wire section 4.3).

    Raises:
        CozeTimeoutError: The run did not end within `polling.timeout` seconds or by the deadline.
        CozeError: Any other error of a request. A failed run does not raise: check its status.
    """

    def fetch(read_timeout: float) -> Flow[RunHistory | None]:
        history = yield from fetch_run_history(workflow_id, execute_id, policy, read_timeout)
        is_over = history and (history.interrupt or history.execute_status not in _RUNNING)
        return history if is_over else None

    return poll_run(fetch, policy, polling, f"in Coze (execute_id {execute_id})")


def poll_run(
    fetch: Callable[[float], Flow[T | None]], policy: RetryPolicy, polling: Polling, place: str
) -> Flow[T]:
    """Poll a run until it ends.

    Args:
        fetch: Returns the ended run, or None; its argument is the read timeout.
        policy: The retry policy of each request.
        polling: How often, and for how long, to poll.
        place: Where it runs, for the error.

    Raises:
        CozeTimeoutError: The run did not end within `polling.timeout` seconds or by the deadline.
    """
    for pause, read_timeout in polling.iter_attempts(policy, polling.clock()):
        yield pause
        try:
            run = yield from fetch(read_timeout)
        except CozeError as error:
            raise error.with_context(may_have_started=True) from error.__cause__
        if run is not None:
            return run
    raise CozeTimeoutError(
        f"The run did not end within poll_timeout={polling.timeout:g} s; it is still running "
        f"{place}.",
        hint=hints.POLL_TIMEOUT,
        may_have_started=True,
    )
