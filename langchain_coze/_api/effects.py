"""Effects: the requests, reads and waits that a flow yields to its driver.

This layer does no I/O. Each procedure is a *flow*: a generator that yields *effects* and receives
their results through `send()`:

    reply = yield Request(method="GET", path="/v3/chat/retrieve", query=ids)
    yield Sleep(1.0)

When an effect fails, the driver throws the exception into the flow, which may clean up or retry.
Flows call each other with `yield from`; the return value of the generator is the flow's result.

`Driver.run` and `Driver.arun` in `langchain_coze._api.driver` are the two drivers, one sync and
one async. Each procedure is therefore written once, and a test can run it without I/O: step the
generator, check each effect, and send a fake result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from langchain_coze._api.models import parse_json

if TYPE_CHECKING:
    from concurrent.futures import Future

_EMPTY: Mapping[str, str] = MappingProxyType({})


class Upload(NamedTuple):
    """A file to upload; the extension of its name shows the type."""

    name: str
    data: bytes
    mime_type: str = "application/octet-stream"

    @property
    def digest(self) -> str:
        """The SHA-256 hash of the name and the content."""
        return hashlib.sha256(b"\0".join([self.name.encode(), self.data])).hexdigest()


class Request(NamedTuple):
    """A request to send. Its result is a `Reply`.

    Attributes:
        path: The path below `base_url`, starting with `/`.
        body: The JSON body, or None.
        headers: Further headers, names in lower case.
        stream: Whether server-sent events are expected; None accepts events and JSON.
        read_timeout: Read timeout in seconds; applies only if shorter than the usual one.
        file: The `file` field of a multipart form, sent instead of a body.
        deadline: The time (`time.monotonic()`) by which the reply and its stream must be complete.
    """

    method: str
    path: str
    query: Mapping[str, str] = _EMPTY
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = _EMPTY
    stream: bool | None = False
    read_timeout: float | None = None
    file: Upload | None = None
    deadline: float | None = None


class Sleep(NamedTuple):
    """Sleep for some seconds. Its result is None."""

    seconds: float


class Read(NamedTuple):
    """Read the next bytes of a stream. Its result is bytes, or None at the end.

    At the deadline (`time.monotonic()`), the stream is closed and the result is None. Without a
    deadline, only the timeouts of the stream apply.
    """

    stream: Any
    deadline: float | None = None


class Close(NamedTuple):
    """Close a stream at once. Its result is None."""

    stream: Any


class Wait(NamedTuple):
    """Wait until another caller completes a future. Its result is False after a timeout.

    Attributes:
        seconds: The maximum time to wait; None for no limit.
        thread: The id of the thread that will complete the future, or 0 if unknown. The sync
            driver does not wait in that thread: it would wait for itself.
    """

    future: Future[Any]
    seconds: float | None
    thread: int = 0


class Notify(NamedTuple):
    """Report a message with the method `emit` (sync) or `aemit` (async). Its result is None."""

    reporter: Any
    message: Any


class CallBlocking(NamedTuple):
    """Call a function that blocks, in a thread if async. Its result is that of the function."""

    function: Callable[[], Any]


class GetAccountKey(NamedTuple):
    """Get a cache key for the account. Its result is a str that never contains the token.

    Attributes:
        deadline: When the token must be there, by `time.monotonic()`.
    """

    deadline: float | None = None


class RefreshToken:
    """Discard the current token. Its result is whether the token source can provide another."""


@dataclass(eq=False, repr=False)  # a repr would show the token
class Reply:
    """The reply to a request.

    Attributes:
        headers: The headers, names in lower case.
        body: The complete body; empty if `stream` is set.
        stream: The open stream of server-sent events, or None.
        token: The token of the request, to be redacted in errors about this reply.
        is_studio: Whether the server is a self-hosted Coze Studio.
    """

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: Any = None
    token: str = ""
    is_studio: bool = False

    @cached_property
    def json(self) -> Any:
        """The parsed JSON body, or None if it is not JSON."""
        return parse_json(self.body)

    @property
    def logid(self) -> str | None:
        """Coze's log id, from either of its headers (wire section 1.3)."""
        return self.headers.get("x-tt-logid") or self.headers.get("x-log-id")


Effect: TypeAlias = (
    Request | Sleep | Read | Close | Wait | Notify | CallBlocking | GetAccountKey | RefreshToken
)
T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Any, T]
