"""What a procedure asks for, and what it is answered: the vocabulary of the sans-I/O layer.

A procedure is a plain generator: it yields commands (a `Request` to send, seconds to `Sleep`, a
stream to `Read`) and is sent their results. `langchain_coze._api.client` has the two small loops
that carry commands out, one blocking and one for asyncio, so that nothing exists twice.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from langchain_coze._api.models import parse_json

if TYPE_CHECKING:
    from concurrent.futures import Future

_EMPTY: Mapping[str, str] = MappingProxyType({})


class Upload(NamedTuple):
    """A file to send.

    Attributes:
        name: Its name, with the ending that tells its type.
        data: Its bytes.
        mime_type: Its MIME type.
    """

    name: str
    data: bytes
    mime_type: str = "application/octet-stream"

    @property
    def digest(self) -> str:
        """Identifies the bytes together with the name."""
        return hashlib.sha256(b"\0".join([self.name.encode(), self.data])).hexdigest()


class Request(NamedTuple):
    """A request to send. Its result is a `Reply`.

    Attributes:
        method: The HTTP method.
        path: The path below `base_url`, starting with `/`.
        query: Query parameters.
        body: What is sent as JSON, or None.
        stream: Whether server-sent events are expected; None accepts events and JSON.
        read_timeout: Seconds between bytes, where that is less than usual.
        file: What is sent as the `file` of a form, in place of a body.
        deadline: When the reply, with its stream, must be over, by `time.monotonic()`.
    """

    method: str
    path: str
    query: Mapping[str, str] = _EMPTY
    body: Mapping[str, Any] | None = None
    stream: bool | None = False
    read_timeout: float | None = None
    file: Upload | None = None
    deadline: float | None = None


class Sleep(NamedTuple):
    """Wait some seconds. Its result is None."""

    seconds: float


class Read(NamedTuple):
    """Read what comes next on a stream. Its result is bytes, or None at the end.

    Attributes:
        stream: The stream.
        deadline: When to stop waiting, by `time.monotonic()`: the stream is then closed and the
            result is None. None to wait as long as the stream allows.
    """

    stream: Any
    deadline: float | None = None


class Close(NamedTuple):
    """Close a stream at once. Its result is None."""

    stream: Any


class Wait(NamedTuple):
    """Wait until somebody else is done. Its result is whether that was in time.

    How it ended for them is not told: look at the future.

    Attributes:
        future: What they complete.
        seconds: The longest to wait.
        thread: The thread whose caller completes it, if that is known: it cannot wait for itself.
    """

    future: Future[Any]
    seconds: float
    thread: int = 0


class Notify(NamedTuple):
    """Tell somebody what has happened, before going on. Its result is None.

    Attributes:
        reporter: Who has `emit` and, for asyncio, `aemit`.
        message: What they are told.
    """

    reporter: Any
    message: Any


class GetAccountKey:
    """Tell whose token is used. Its result is a str that does not tell the token."""


class RefreshToken:
    """Get a fresh token. Its result says whether the source can give one."""


class Reply:
    """What came back for a request.

    Attributes:
        status_code: The HTTP status.
        headers: The headers, names in lower case.
        body: The whole body; empty when `stream` is set.
        stream: The open stream of server-sent events, or None.
        token: The token that was sent, which must not appear in what is told of this.
    """

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str] = _EMPTY,
        body: bytes = b"",
        stream: Any = None,
        token: str = "",
    ) -> None:
        """Take what came back."""
        self.token = token
        self.status_code = status_code
        self.headers = headers
        self.body = body
        self.stream = stream

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON."""
        return parse_json(self.body)

    @property
    def logid(self) -> str | None:
        """Coze's log id, from whichever header has it (wire section 1.3)."""
        return self.headers.get("x-tt-logid") or self.headers.get("x-log-id")


Effect: TypeAlias = Request | Sleep | Read | Close | Wait | Notify | GetAccountKey | RefreshToken
T = TypeVar("T")
Flow: TypeAlias = Generator[Effect, Any, T]


class RetryPolicy(NamedTuple):
    """How often a request is repeated.

    Attributes:
        max_retries: Repetitions after the first attempt.
        backoff: Seconds before the first repetition; doubled each time, with jitter.
        deadline: When everything must be over, by `time.monotonic()`; None for no limit.
    """

    max_retries: int = 2
    backoff: float = 0.5
    deadline: float | None = None

    def get_pause(self, attempt: int, retry_after: float | None) -> float:
        """Return the seconds to wait after attempt number `attempt` (from 0)."""
        if retry_after is not None:
            return retry_after
        return min(self.backoff * 2.0**attempt, 8.0) * random.uniform(0.5, 1.0)  # noqa: S311
