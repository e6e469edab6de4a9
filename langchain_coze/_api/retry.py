"""Send a request, detect errors in its reply, and retry if that is safe."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_coze._api.deadlines import compute_seconds_left, has_passed
from langchain_coze._api.effects import Close, Flow, Read, RefreshToken, Reply, Request, Sleep
from langchain_coze._api.error_codes import BUSY_CODES, make_deadline_error
from langchain_coze._api.models import find_failure
from langchain_coze._api.replies import find_error, find_special_hint, read_object
from langchain_coze._api.sse import Decoder, split_events
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    ErrorFinder = Callable[[Request, Reply], CozeError | None]

_FIRST_BYTES = b"event:conversation."  # of a turn that has started, so of no refusal
_MAX_RETRY_AFTER = 60.0  # seconds; a longer Retry-After is not waited for


class RetryPolicy(NamedTuple):
    """How often, and until when, to retry a request.

    Attributes:
        max_retries: Retries after the first attempt.
        backoff: Seconds before the first retry; doubled each time up to 8, with jitter.
        deadline: The time (`time.monotonic()`) by which all attempts must end; None for no limit.
    """

    max_retries: int = 2
    backoff: float = 0.5
    deadline: float | None = None

    @classmethod
    def for_call(cls, max_retries: int, max_duration: float | None) -> RetryPolicy:
        """Return the policy of a call that starts now and may take `max_duration` seconds."""
        deadline = None if max_duration is None else time.monotonic() + max_duration
        return cls(max_retries=max_retries, deadline=deadline)

    def get_pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after an attempt (the first is 0)."""
        if retry_after is not None:
            return retry_after
        return min(self.backoff * 2.0**attempt, 8.0) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def find_reported_error(request: Request, reply: Reply) -> CozeError | None:
    """Return the error that a complete reply of the Coze API reports, or None."""
    error = find_error(reply, stream=bool(request.stream))
    hint = error and find_special_hint(request, reply, error)
    return error.with_context(hint=hint) if error and hint else error


def send_with_retry(
    request: Request, policy: RetryPolicy, read_error: ErrorFinder = find_reported_error
) -> Flow[Reply]:
    """Send a request and return the reply; retry only if the request cannot have started anything.

    These are a failed connect, HTTP 429 and the "busy" codes; for a GET also lost connections and
    server errors. A rejected token is refreshed once. A stream is returned open, with the bytes
    read so far in `buffered`.
    """
    attempt, renewed = 0, False
    while True:
        reply, error = yield from _send_once(request, policy.deadline, read_error)
        if error is None:
            return reply
        if isinstance(error, CozeAuthenticationError) and not renewed:
            renewed = True
            if (yield RefreshToken()):
                continue
        if attempt >= policy.max_retries or not _may_retry(request, error):
            raise error
        pause = policy.get_pause(attempt, error.retry_after)
        if policy.deadline is not None and time.monotonic() + pause >= policy.deadline:
            raise error
        yield Sleep(pause)
        attempt += 1


def _send_once(
    request: Request, deadline: float | None, read_error: ErrorFinder
) -> Flow[tuple[Reply, CozeError | None]]:
    if has_passed(deadline):
        raise make_deadline_error()
    if deadline is not None:
        read_timeout = compute_seconds_left(deadline, request.read_timeout)
        request = request._replace(read_timeout=read_timeout, deadline=deadline)
    try:
        reply: Reply = yield request
    except CozeConnectionError as error:
        return Reply(status_code=0), error
    if reply.stream is not None:
        return (yield from _read_first_event(request, reply, read_error))
    return reply, read_error(request, reply)


def _read_first_event(
    request: Request, reply: Reply, read_error: ErrorFinder
) -> Flow[tuple[Reply, CozeError | None]]:
    """Read up to the first event; if it is an error, nothing has started."""
    decoder, head, event = Decoder(), bytearray(), None
    try:
        while event is None:
            data: bytes | None = yield Read(reply.stream)
            if not head and data is not None and data.startswith(_FIRST_BYTES):
                reply.stream.buffered = data
                return reply, None
            if data is None:
                event = next(iter(decoder.close()), None)
                break
            head += data
            event = next(split_events(decoder.take_complete(data)), None)
    except BaseException:
        yield Close(reply.stream)
        raise
    reply.stream.buffered = bytes(head)
    if event is None or event.name not in {"", "error"}:
        return reply, None
    error_reply = Reply(reply.status_code, reply.headers, event.data, token=reply.token)
    error = None
    if find_failure(error_reply.json) is not None:
        error = read_error(request._replace(stream=False), error_reply)
    if error is None:
        return reply, None
    yield Close(reply.stream)
    return error_reply, error


def _may_retry(request: Request, error: CozeError) -> bool:
    if error.retries_exhausted or (error.retry_after or 0.0) > _MAX_RETRY_AFTER:
        return False
    safe = request.method == "GET"
    if isinstance(error, CozeConnectionError):
        return safe or not error.may_have_started
    if error.code in BUSY_CODES or isinstance(error, CozeRateLimitError):
        return True
    return safe and isinstance(error, CozeServerError)


def mark_received(error: CozeError) -> CozeError:
    """Mark the error of a start: after a server error, it may have succeeded."""
    is_received = isinstance(error, (CozeServerError, CozeStreamError))
    return error.with_context(may_have_started=True) if is_received else error


def fetch_object(request: Request, policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Send a request and return the payload of its reply; empty if it is not an object."""
    return read_object((yield from send_with_retry(request, policy)))
