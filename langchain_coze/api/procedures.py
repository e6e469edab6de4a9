"""The calls of the Coze API, each written once, without I/O.

A procedure is a plain generator: it yields commands (a `Request` to send, seconds to `Sleep`, a
stream to `Read`) and is sent their results. `langchain_coze.api.client` has the two small loops
that carry commands out, one blocking and one for asyncio, so that nothing here exists twice.

Example:
    ```python
    from langchain_coze.api.procedures import Policy, Reply, Request, exchange

    flow = exchange(Request(method="GET", path="/v1/users/me"), Policy())
    request = next(flow)
    assert (request.method, request.path) == ("GET", "/v1/users/me")
    try:
        flow.send(Reply(status_code=200, body=b'{"code":0,"data":{"user_id":"1"}}'))
    except StopIteration as done:
        assert done.value.json["data"] == {"user_id": "1"}
    ```
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

from langchain_coze.api.schema import TERMINAL, Chat, failure_in, parse, payload_of
from langchain_coze.api.sse import Decoder, Event
from langchain_coze.errors import (
    BUSY_CODES,
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeRateLimitError,
    CozeServerError,
    CozeTimeoutError,
    ErrorResponse,
    error_for,
    hint_of,
    redact,
)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_EXCERPT = 300
_BODY_KEPT = 2000
HTTP_ERROR = 400
"""The HTTP statuses from here on are errors."""

_HTTP_REDIRECT = 300
_LONGEST_WAIT = 60.0  # seconds of Retry-After that we are ready to wait
_SUPPORT_HEADERS = ("content-type", "retry-after", "x-tt-logid", "x-log-id")


class Request(NamedTuple):
    """A request to send. Its result is a `Reply`.

    Attributes:
        method: The HTTP method.
        path: The path below `base_url`, starting with `/`.
        query: Query parameters.
        body: What is sent as JSON, or None.
        stream: Whether server-sent events are expected.
        patience: Seconds of silence at most, where that is less than usual.
    """

    method: str
    path: str
    query: Mapping[str, str] = _NOTHING
    body: Mapping[str, Any] | None = None
    stream: bool = False
    patience: float | None = None


class Sleep(NamedTuple):
    """Wait some seconds. Its result is None."""

    seconds: float


class Read(NamedTuple):
    """Read what comes next on a stream. Its result is bytes, or None at the end."""

    stream: Any


class Close(NamedTuple):
    """Close a stream at once. Its result is None."""

    stream: Any


class Renew:
    """Get a fresh token. Its result says whether the source can give one."""


class Reply:
    """What came back for a request.

    Attributes:
        status_code: The HTTP status.
        headers: The headers, names in lower case.
        body: The whole body; empty when `stream` is set.
        stream: The open stream of server-sent events, or None.
        secret: The token that was sent, which must not appear in what is told of this.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str] = _NOTHING,
        body: bytes = b"",
        stream: Any = None,
        secret: str = "",
    ) -> None:
        """Take what came back."""
        self.secret = secret
        self.status_code = status_code
        self.headers = headers
        self.body = body
        self.stream = stream

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON."""
        return parse(self.body)

    @property
    def logid(self) -> str | None:
        """Coze's log id, from whichever header has it (wire section 1.3)."""
        return self.headers.get("x-tt-logid") or self.headers.get("x-log-id")


Command: TypeAlias = Request | Sleep | Read | Close | Renew
T = TypeVar("T")
Flow: TypeAlias = Generator[Command, Any, T]


class Policy(NamedTuple):
    """How often a request is repeated.

    Attributes:
        max_retries: Repetitions after the first attempt.
        backoff: Seconds before the first repetition; doubled each time, with jitter.
    """

    max_retries: int = 2
    backoff: float = 0.5

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after attempt number `attempt` (from 0)."""
        if retry_after is not None:
            return retry_after
        return min(self.backoff * 2.0**attempt, 8.0) * random.uniform(0.5, 1.0)  # noqa: S311


def exchange(request: Request, policy: Policy) -> Flow[Reply]:
    """Send a request and return the reply; repeat it only while nothing can have been started.

    That is: after a failed connect, HTTP 429 and the codes that say "not now", and for GETs also
    after broken connections and server errors. A refused token is renewed once. For a stream
    request the reply has the open stream, still whole.

    Args:
        request: What to send.
        policy: How often to repeat.

    Raises:
        CozeError: The error that Coze reports, or why it could not be reached.
    """
    renewed = False
    for attempt in itertools.count():
        reply, error = yield from _attempt(request)
        if error is None:
            return reply
        if isinstance(error, CozeAuthenticationError) and not renewed:
            renewed = True
            if (yield Renew()):
                continue
        if attempt >= policy.max_retries or not _may_repeat(request, error):
            raise error
        yield Sleep(policy.pause(attempt, error.retry_after))
    raise AssertionError  # pragma: no cover - count() does not end


def _attempt(request: Request) -> Flow[tuple[Reply, CozeError | None]]:
    try:
        reply: Reply = yield request
    except CozeConnectionError as error:
        return Reply(status_code=0), error
    if reply.stream is None:
        return reply, error_in(reply, stream=request.stream)
    return (yield from _first_event(reply))


def _first_event(reply: Reply) -> Flow[tuple[Reply, CozeError | None]]:
    """Read up to the first event: an error there means that nothing has been started."""
    decoder, head, events = Decoder(), bytearray(), list[Event]()
    while not events:
        data: bytes | None = yield Read(reply.stream)
        if data is None:
            events = decoder.close()
            break
        head += data
        events = decoder.feed(data)
    reply.stream.head = bytes(head)
    if not events or events[0].name not in {"", "error"}:
        return reply, None
    told = Reply(reply.status_code, reply.headers, events[0].data, secret=reply.secret)
    if failure_in(told.json) is None:
        return reply, None
    yield Close(reply.stream)
    return told, error_in(told, stream=False)


def _may_repeat(request: Request, error: CozeError) -> bool:
    if error.retry_after is not None and error.retry_after > _LONGEST_WAIT:
        return False
    safe = request.method == "GET"
    if isinstance(error, CozeConnectionError):
        return safe or not error.sent
    if error.code in BUSY_CODES or isinstance(error, CozeRateLimitError):
        return True
    return safe and isinstance(error, CozeServerError)


def error_in(reply: Reply, *, stream: bool) -> CozeError | None:
    """Return the error that a whole reply reports, or None (wire section 1.5).

    The JSON decides first, whatever the HTTP status; the status is what is left.

    Args:
        reply: A reply with its body.
        stream: Whether events had been asked for, so that a body of any other kind is an error.
    """
    facts = _facts(reply)
    failure = failure_in(reply.json)
    if failure is not None:
        facts["logid"] = facts["logid"] or failure.logid or None
        facts["debug_url"] = failure.debug_url or None
        return error_for(failure.number or None, redact(failure.words, reply.secret), **facts)
    text = redact(reply.body[:_EXCERPT].decode("utf-8", "replace"), reply.secret).strip()
    if reply.status_code >= HTTP_ERROR:
        return error_for(None, f"Coze answered with HTTP {reply.status_code}: {text}", **facts)
    hint = hint_of(
        "Check base_url: it is the address of the API, for instance https://api.coze.cn, "
        "not that of the website.",
        "请检查 base_url：应为 API 地址，例如 https://api.coze.cn，而不是网站地址。",
    )
    if reply.status_code >= _HTTP_REDIRECT:
        told = f"Coze answered with HTTP {reply.status_code}, a redirect, which is not followed."
        return CozeInvalidRequestError(told, hint=hint, **facts)
    if not reply.body:
        return CozeServerError("Coze answered with an empty body.", hint=hint, **facts)
    if stream or not isinstance(reply.json, Mapping):
        wanted = "a stream of events" if stream else "JSON"
        message = f"Coze was expected to answer with {wanted}, but sent: {text}"
        return CozeInvalidRequestError(message, hint=hint, **facts)
    return None


def _facts(reply: Reply) -> dict[str, Any]:
    return {
        "status_code": reply.status_code or None,
        "logid": reply.logid,
        "retry_after": _seconds(reply.headers.get("retry-after")),
        "response": ErrorResponse(
            status_code=reply.status_code,
            headers={k: reply.headers[k] for k in _SUPPORT_HEADERS if k in reply.headers},
            text=redact(reply.body[:_BODY_KEPT].decode("utf-8", "replace"), reply.secret),
        ),
    }


def _seconds(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which may also be a date."""
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


# --- Chat (wire section 2) ---------------------------------------------------------------------


def chat_request(body: Mapping[str, Any], conversation_id: str | None = None) -> Request:
    """Return the request that starts a turn; the conversation goes into the query (wire 2.1)."""
    query = {"conversation_id": conversation_id} if conversation_id else {}
    return Request(
        method="POST", path="/v3/chat", query=query, body=body, stream=bool(body.get("stream"))
    )


def retrieve_request(chat: Chat) -> Request:
    """Return the request for the state of a turn: GET, because Studio has no POST (wire 2.8)."""
    return Request(method="GET", path="/v3/chat/retrieve", query=_ids(chat))


def message_list_request(chat: Chat) -> Request:
    """Return the request for the messages of a turn (wire section 2.8)."""
    return Request(method="GET", path="/v3/chat/message/list", query=_ids(chat))


def cancel_request(chat: Chat) -> Request:
    """Return the request that cancels a turn; it does not stop the billing (wire section 2.8)."""
    return Request(method="POST", path="/v3/chat/cancel", body=_ids(chat))


def _ids(chat: Chat) -> dict[str, str]:
    return {"conversation_id": chat.conversation_id, "chat_id": chat.id}


def retrieve(chat: Chat, policy: Policy) -> Flow[Chat]:
    """Return the present state of a turn.

    Args:
        chat: A chat with its `id` and `conversation_id`.
        policy: How often to repeat.

    Raises:
        CozeError: What Coze reports.
    """
    return Chat.model_validate((yield from _payload(retrieve_request(chat), policy)))


def cancel(chat: Chat, policy: Policy) -> Flow[Chat]:
    """Cancel a turn and return its state.

    Args:
        chat: A chat with its `id` and `conversation_id`.
        policy: How often to repeat.

    Raises:
        CozeInvalidRequestError: It has ended already (4104).
        CozeError: What else Coze reports.
    """
    return Chat.model_validate((yield from _payload(cancel_request(chat), policy)))


def _payload(request: Request, policy: Policy) -> Flow[Mapping[str, Any]]:
    return _object((yield from exchange(request, policy)))


def _object(reply: Reply) -> Mapping[str, Any]:
    payload = payload_of(reply.json)
    return payload if isinstance(payload, Mapping) else {}


class Polling(NamedTuple):
    """When a turn is asked for its state.

    Attributes:
        interval: Seconds between two questions during the first 10 seconds.
        timeout: Seconds until it is given up.
        floor: Seconds that are never undercut: 1.0 on coze.cn and coze.com.
        clock: Seconds from any fixed point.
    """

    interval: float = 1.0
    timeout: float = 600.0
    floor: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait: constant for 10 s, then a tenth of what passed, up to 3."""
        passed = 0.0
        steady, longest = 10.0, 3.0
        while True:
            late = min(passed / 10, longest) if passed >= steady else 0.0
            pause = max(self.interval, late, self.floor)
            passed += pause
            yield pause


def poll(request: Request, policy: Policy, polling: Polling) -> Flow[tuple[Reply, Any, list[Any]]]:
    """Start a turn without streaming and wait for its end (wire section 2.8).

    Args:
        request: What `chat_request` gives, with `stream` false.
        policy: How often to repeat each request.
        polling: When to ask, and for how long.

    Returns:
        The reply that started the turn, the chat at its end and its messages, as Coze sent them.

    Raises:
        CozeTimeoutError: The turn had not ended within `polling.timeout` seconds.
        CozeError: What else Coze reports. The outcome of the turn itself is not judged here.
    """
    started = polling.clock()
    first = yield from exchange(request, policy)
    raw: Mapping[str, Any] = _object(first)
    chat = Chat.model_validate(raw)
    if not chat.id:
        raise CozeServerError(
            "Coze accepted the request but named no chat to ask for.",
            **(_facts(first) | {"hint": hint_of("Try again a little later.", "请稍后重试。")}),
        )
    try:
        for pause in polling.pauses():
            if chat.status in TERMINAL:
                break
            left = started + polling.timeout - polling.clock()
            if left <= 0:
                raise _gave_up(first, polling)
            yield Sleep(min(pause, left))
            asked = retrieve_request(chat)._replace(patience=max(left, 1.0))
            raw = {**raw, **(yield from _payload(asked, policy))}
            chat = Chat.model_validate(raw)
        if chat.status not in {"completed", "requires_action"}:
            return first, raw, []
        listed = payload_of((yield from exchange(message_list_request(chat), policy)).json)
    except CozeError as error:  # the turn had started: whoever catches this can look for it
        error.chat_id = error.chat_id or chat.id
        error.conversation_id = error.conversation_id or chat.conversation_id
        raise
    return first, raw, listed if isinstance(listed, list) else []


def _gave_up(first: Reply, polling: Polling) -> CozeTimeoutError:
    return CozeTimeoutError(
        f"The bot had not answered within poll_timeout={polling.timeout:g} s; it goes on in Coze.",
        logid=first.logid,
        hint=hint_of(
            "Raise poll_timeout, or leave response_mode='stream', which needs no polling.",
            "请调大 poll_timeout，或使用默认的 response_mode='stream'（无需轮询）。",
        ),
    )
