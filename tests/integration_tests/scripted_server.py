"""A server that answers each request with the bytes and pauses of a script."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

_HEAD = "HTTP/1.1 {} -\r\nContent-Type: {}\r\nX-Tt-Logid: 0217\r\nConnection: close\r\n{}\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_FINAL_STATUS = re.compile(rb"\AHTTP/1\.1 [2-5][^\r]*\r\n")  # only one request for a connection
_MAX_SECONDS = 30.0  # the longest that a connection is kept, in seconds

Step = bytes | float | BaseException


class ScriptedServer:
    """A server with a script: bytes are sent, numbers are seconds of silence.

    A step `ConnectionResetError()` resets the connection; after the last step it is closed.

    Attributes:
        bodies: The JSON of the requests.
        paths: The paths of the requests, with their queries.
        headers: The headers of the requests, names and values in lower case.
        step_times: When each step of the last request was done, by `time.monotonic()`.
        client_left: Set when a client has closed its connection before the last step.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        content_type: str,
        *,
        chunked: bool,
        replies: Sequence[bytes],
        raw_replies: Mapping[str, Sequence[Step]],
        status: int = 200,
        tls: ssl.SSLContext | None = None,
        headless: bool = False,
    ) -> None:
        self.tls = tls
        self.headless = headless
        self.steps = list(steps)
        self.raw_replies = raw_replies
        self.replies = list(replies)
        self.chunked = chunked
        self.head = _HEAD.format(status, content_type, _CHUNKED if chunked else "").encode()
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.step_times: list[float] = []
        self.client_left = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._answer, args=[client], daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(_MAX_SECONDS)
        if self.tls is not None:
            try:
                client = self.tls.wrap_socket(client, server_side=True)
            except OSError:  # the client does not trust the server, or the other way round
                return
        with client, suppress(OSError):
            self._read(client)
            self.step_times = []
            raw = self.raw_replies.get(self.paths[-1].partition("?")[0])
            chunked = self.chunked and raw is None
            steps = self._next_steps() if raw is None else raw
            if raw is None and not self.headless:
                client.sendall(self._choose_head(steps))
            for step in steps:
                if isinstance(step, bytes):
                    data = _FINAL_STATUS.sub(rb"\g<0>Connection: close\r\n", step, count=1)
                    client.sendall(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                elif isinstance(step, (int, float)):
                    if self._client_leaves(client, step):
                        return
                else:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                self.step_times.append(time.monotonic())

    def _next_steps(self) -> list[Step]:
        """Return the steps for the next request; the last reply is used for all others."""
        if not self.replies:
            return self.steps
        return [self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]]

    def _choose_head(self, steps: Sequence[Step]) -> bytes:
        """Return the head of a reply; among several replies, JSON has its own content type."""
        is_json = bool(self.replies) and isinstance(steps[0], bytes) and steps[0].startswith(b"{")
        return (
            self.head.replace(b"text/event-stream", b"application/json") if is_json else self.head
        )

    def _read(self, client: socket.socket) -> None:
        read = b""
        while b"\r\n\r\n" not in read:
            read += client.recv(65536)
        head, _, body = read.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += client.recv(65536)
        self.paths.append(head.split(b" ")[1].decode())
        self.headers.append({k.decode(): v.decode() for k, v in fields.items()})
        is_json = b"json" in fields.get(b"content-type", b"")
        self.bodies.append(json.loads(body) if is_json and body else None)

    def _client_leaves(self, client: socket.socket, seconds: float) -> bool:
        """Wait; return whether the client closes the connection in the meantime."""
        client.settimeout(seconds)
        try:
            gone = client.recv(1) == b""
        except TimeoutError:
            gone = False
        except OSError:
            gone = True
        client.settimeout(_MAX_SECONDS)
        if gone:
            self.client_left.set()
        return gone


@contextmanager
def serve_script(
    *steps: Step,
    content_type: str = "text/event-stream",
    chunked: bool = False,
    replies: Sequence[bytes] = (),
    status: int = 200,
    raw_replies: Mapping[str, Sequence[Step]] | None = None,
    tls: ssl.SSLContext | None = None,
    headless: bool = False,
) -> Iterator[ScriptedServer]:
    """Serve these steps for each request, or the replies one after the other.

    A chunked body is never completed. `raw_replies` are steps by path that include the head; with
    `headless`, so do all others.
    """
    server = ScriptedServer(
        steps,
        content_type,
        chunked=chunked,
        replies=replies,
        raw_replies=raw_replies or {},
        status=status,
        tls=tls,
        headless=headless,
    )
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(5)
