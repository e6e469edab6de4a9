"""Polling: request the state of a chat or of an asynchronous run until it ends."""

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
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

_RUNNING = frozenset({"", "Running"})


class Polling(NamedTuple):
    """How often, and for how long, to poll the state of a chat or run.

    Attributes:
        interval: Seconds between status requests during the first 10 seconds.
        timeout: Seconds until polling fails.
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
        """Yield the pauses in seconds: constant for 10 s, then a tenth of the elapsed time.

        They are at most `max_pause`, but never shorter than `interval` and `min_interval`.
        """
        passed = 0.0
        steady = 10.0
        while True:
            growing = min(passed / 10, self.max_pause) if passed >= steady else 0.0
            pause = max(self.interval, growing, self.min_interval)
            passed += pause
            yield pause

    def iter_attempts(self, policy: RetryPolicy) -> Iterator[tuple[Sleep, float]]:
        """Yield the pause and the read timeout of each request, until `timeout` has elapsed."""
        ends_at = self.clock() + self.timeout
        for pause in self.iter_pauses():
            seconds_left = longest = ends_at - self.clock()
            if seconds_left <= 0:
                return
            if policy.deadline is not None:
                longest = min(seconds_left, policy.deadline - time.monotonic())
                if longest <= 0:
                    raise make_deadline_error(may_have_started=True)
            yield Sleep(min(pause, longest)), max(seconds_left, 1.0)


def read_started_chat(request: Request, reply: Reply) -> dict[str, Any]:
    """Return the chat that a request without streaming has started, unparsed."""
    chat = {"id": request.query.get("chat_id"), **request.query, **read_object(reply)}
    if not chat.get("id"):
        message = "Coze accepted the request but returned no chat id."
        raise CozeServerError(message, hint=hints.TRY_LATER, **collect_error_context(reply))
    return chat


def poll_chat(
    raw: Mapping[str, Any], logid: str | None, policy: RetryPolicy, polling: Polling
) -> Flow[tuple[Mapping[str, Any], list[Any]]]:
    """Poll a chat until it ends; return its final state and its messages (wire section 2.8).

    A failed turn does not raise: check its status.
    """
    chat = Chat.model_validate(raw)
    attempts = polling.iter_attempts(policy)
    try:
        while chat.status not in TERMINAL_STATUSES:
            pause, read_timeout = next(attempts, (None, 0.0))
            if pause is None:
                raise CozeTimeoutError(
                    f"The bot did not answer within poll_timeout={polling.timeout:g} s; it is "
                    "still running in Coze.",
                    hint=hints.POLL_OR_STREAM,
                )
            yield pause
            request = build_retrieve_request(chat)._replace(read_timeout=read_timeout)
            raw = {**raw, **(yield from fetch_object(request, policy))}
            chat = Chat.model_validate(raw)
        if chat.status not in {"completed", "requires_action"}:
            return raw, []
        listing = yield from send_with_retry(build_message_list_request(chat), policy)
    except CozeError as error:  # the turn has started: give the caller its ids
        raise error.with_context(
            logid=error.logid or logid,
            chat_id=error.chat_id or chat.id,
            conversation_id=error.conversation_id or chat.conversation_id,
        ) from error.__cause__
    messages = get_payload(listing.json)
    return raw, messages if isinstance(messages, list) else []


def poll_workflow_run(
    workflow_id: str, execute_id: str, policy: RetryPolicy, polling: Polling
) -> Flow[RunHistory]:
    """Poll an asynchronous run until it ends or is interrupted (wire section 4.3).

    A failed run does not raise: check its status.
    """

    def fetch(read_timeout: float) -> Flow[RunHistory | None]:
        history = yield from fetch_run_history(workflow_id, execute_id, policy, read_timeout)
        is_over = history and (history.interrupt or history.execute_status not in _RUNNING)
        return history if is_over else None

    return poll_run(fetch, policy, polling, f"in Coze (execute_id {execute_id})")


def poll_run(
    fetch: Callable[[float], Flow[T | None]], policy: RetryPolicy, polling: Polling, place: str
) -> Flow[T]:
    """Poll a run until it ends; `fetch` returns it, or None, within a read timeout.

    The timeout error names the `place` where the run continues.
    """
    for pause, read_timeout in polling.iter_attempts(policy):
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
