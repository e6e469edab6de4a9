"""Polling: start a chat without streaming and poll it until it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze._api.chats import build_message_list_request, build_retrieve_request
from langchain_coze._api.effects import Flow, Reply, Request, Sleep
from langchain_coze._api.error_codes import make_deadline_error
from langchain_coze._api.models import TERMINAL_STATUSES, Chat, RunHistory, get_payload
from langchain_coze._api.replies import collect_error_context, read_object
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry
from langchain_coze._api.workflows import RUN_NOT_FOUND, RunNotFoundYetError, fetch_run_history
from langchain_coze.errors import CozeError, CozeServerError, CozeTimeoutError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
        hint = bilingual_hint("Try again a little later.", "请稍后重试。")
        message = "Coze accepted the request but named no chat to ask for."
        raise CozeServerError(message, **(collect_error_context(first) | {"hint": hint}))
    if on_started is not None:
        on_started(first, chat)
    try:
        ended = yield from _poll_chat(raw, started_at + polling.timeout, policy, polling)
        if ended is None:
            raise _make_poll_timeout(first, polling)
        if Chat.model_validate(ended).status not in {"completed", "requires_action"}:
            return first, ended, []
        listing = yield from send_with_retry(build_message_list_request(chat), policy)
    except CozeError as error:  # the turn has started: give the caller its ids
        raise error.with_context(
            chat_id=error.chat_id or chat.id,
            conversation_id=error.conversation_id or chat.conversation_id,
        ) from error.__cause__
    messages = get_payload(listing.json)
    return first, ended, messages if isinstance(messages, list) else []


def _poll_chat(
    raw: dict[str, Any], gives_up_at: float, policy: RetryPolicy, polling: Polling
) -> Flow[dict[str, Any] | None]:
    """Poll the state of a chat until it is final; return it, or None if polling gives up."""
    for pause in polling.iter_pauses():
        chat = Chat.model_validate(raw)
        if chat.status in TERMINAL_STATUSES:
            return raw
        seconds_left = gives_up_at - polling.clock()
        if seconds_left <= 0:
            break
        yield limit_pause(pause, seconds_left, policy)
        request = build_retrieve_request(chat)._replace(read_timeout=max(seconds_left, 1.0))
        raw = {**raw, **(yield from fetch_object(request, policy))}
    return None


def limit_pause(pause: float, seconds_left: float, policy: RetryPolicy) -> Sleep:
    """Return a pause that ends no later than polling and the deadline.

    Args:
        pause: The seconds to wait.
        seconds_left: The seconds until polling gives up.
        policy: The retry policy, with the deadline.
    """
    if policy.deadline is not None:
        seconds_left = min(seconds_left, policy.deadline - time.monotonic())
    return Sleep(max(min(pause, seconds_left), 0.0))


def _make_poll_timeout(first: Reply, polling: Polling) -> CozeTimeoutError:
    return CozeTimeoutError(
        f"The bot had not answered within poll_timeout={polling.timeout:g} s; "
        "it is still running in Coze.",
        logid=first.logid,
        hint=bilingual_hint(
            "Raise poll_timeout, or leave response_mode='stream', which needs no polling.",
            "请调大 poll_timeout，或使用默认的 response_mode='stream'（无需轮询）。",
        ),
    )


_RUNNING = frozenset({"", "Running"})


def poll_workflow_run(
    workflow_id: str, execute_id: str, policy: RetryPolicy, polling: Polling
) -> Flow[tuple[Reply, RunHistory]]:
    """Poll an asynchronous run until it ends or is interrupted (wire section 4.3).

    Args:
        workflow_id: The workflow.
        execute_id: The run.
        policy: The retry policy of each request.
        polling: How often, and for how long, to poll.

    Raises:
        CozeTimeoutError: The run did not end within `polling.timeout` seconds or by the deadline.
        CozeError: Any other error of a request. A failed run does not raise: check its status.
    """
    started_at = polling.clock()
    for pause in polling.iter_pauses():
        seconds_left = started_at + polling.timeout - polling.clock()
        if seconds_left <= 0:
            break
        if policy.deadline is not None and policy.deadline <= time.monotonic():
            raise make_deadline_error(may_have_started=True)
        yield limit_pause(pause, seconds_left, policy)
        try:
            read_timeout = max(seconds_left, 1.0)
            flow = fetch_run_history(workflow_id, execute_id, policy, read_timeout=read_timeout)
            reply, history = yield from flow
        except CozeError as error:
            if error.code != RUN_NOT_FOUND and not isinstance(error, RunNotFoundYetError):
                raise error.with_context(may_have_started=True) from error.__cause__
            continue
        if history.interrupt or history.execute_status not in _RUNNING:
            return reply, history
    raise CozeTimeoutError(
        f"The run had not ended within poll_timeout={polling.timeout:g} s; "
        f"it is still running in Coze (execute_id {execute_id}).",
        hint=bilingual_hint("Raise poll_timeout.", "请调大 poll_timeout。"),
        may_have_started=True,
    )
