"""Read the event stream of a run, and report its progress."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol

from langchain_coze._api.effects import Close, Flow, Notify, Read
from langchain_coze._api.settings import DRAIN_SECONDS
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Parser(Protocol):
    is_finished: bool

    def feed(self, data: bytes) -> Iterable[Any]: ...

    def close(self) -> None: ...


def read_run_stream(parser: _Parser, stream: Any, reporter: Any) -> Flow[None]:
    """Read a stream until the run ends or is interrupted, and close it; report what is parsed.

    Raises:
        CozeError: The run failed, or the stream ended before it.
    """
    data: bytes | None = stream.buffered
    try:
        while data is not None:
            for message in parser.feed(data):
                if reporter is not None:
                    yield Notify(reporter, message)
            if parser.is_finished:
                break
            data = yield Read(stream)
        parser.close()
        with contextlib.suppress(CozeError):  # drain the end of the response
            yield Read(stream, time.monotonic() + DRAIN_SECONDS)
    except BaseException:
        yield Close(stream)
        raise
    yield Close(stream)
