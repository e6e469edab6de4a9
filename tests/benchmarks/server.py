"""The server of the benchmark: its own process, sockets and ready-made bytes.

HTTP/1.1 with keep-alive and chunked transfer encoding, one chunk per event. Prints its
port on the first line and lives as long as its standard input is open.
"""

import asyncio
import os
import resource
import socket
import sys
import threading
from functools import lru_cache

from tests.benchmarks import wire

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\n"
    b"X-Tt-Logid: 20250617182108A1B2C3D4E5F60718293A\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
_GATE_PATIENCE = 3.0  # seconds without a new request after which a gate turns all away


def framed(event: bytes) -> bytes:
    """Return `event` as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(event), event)


@lru_cache(maxsize=64)
def _steps(dialect: str, count: int, mode: str) -> tuple[bytes, ...]:
    """Return what is written at each moment: all at once, per event, or per delta."""
    answer = wire.answer(dialect, count)
    if mode == "paced":
        chunks = [framed(event) for event in answer.events]
        return (_STREAM_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + _END)
    prologue = _STREAM_HEAD + b"".join(map(framed, answer.prologue))
    deltas = [framed(event) for event in answer.deltas]
    tail = b"".join(map(framed, answer.tail)) + _END
    if mode == "slow":
        return (prologue, *deltas[:-1], deltas[-1] + tail)
    return (prologue + b"".join(deltas) + tail,)


@lru_cache(maxsize=64)
def _recall_steps(count: int) -> tuple[bytes, bytes, tuple[bytes, ...], bytes]:
    """Return what comes before a recall, the recall, the answer's deltas, and the end."""
    recall, answer = wire.answer("recall", 0), wire.answer("coze", count)
    return (
        _STREAM_HEAD + b"".join(map(framed, recall.prologue)),
        framed(recall.deltas[0]),
        tuple(map(framed, answer.deltas)),
        b"".join(map(framed, answer.tail)) + _END,
    )


def _plain(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Gate:
    """Holds answers back until as many requests as agreed are in flight together.

    A client that never has so many open gets 503: its figure would be for something else.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._timer: asyncio.TimerHandle | None = None

    def join(self, transport: asyncio.Transport, data: bytes, width: int) -> None:
        self._waiting.append((transport, data))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(self._waiting) >= width:
            for waiting, answer in self._take():
                waiting.write(answer)
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_GATE_PATIENCE, self._refuse, width)

    def _take(self) -> list[tuple[asyncio.Transport, bytes]]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _refuse(self, width: int) -> None:
        self._timer = None
        waiting = self._take()
        told = f"only {len(waiting)} of {width} requests were in flight together"
        for transport, _ in waiting:
            transport.write(_plain("503 Service Unavailable", wire.refusal(told)))


GATE = Gate()


class Connection(asyncio.Protocol):
    """One client connection; requests come one after the other."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(x[15:]) for x in lines if x.startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._answer(head.split(b" ", 2)[1].decode(), rest[:length])

    def _answer(self, path: str, body: bytes) -> None:
        asked = wire.understand(body)
        dialect = path.split("/")[1] if "/chat/completions" in path else "coze"
        dialect = "site" if path == "/stream_run" else dialect
        if asked is None or dialect not in {"coze", "site", "openai", "mistral"}:
            self._transport.write(_plain("404 Not Found", b'{"code":4200,"msg":"unknown"}'))
        elif not asked.stream and dialect != "site":
            self._transport.write(_plain("200 OK", wire.whole(dialect, asked.deltas)))
        else:
            self._stream(dialect, asked)

    def _stream(self, dialect: str, asked: wire.Question) -> None:
        steps = _steps(dialect, asked.deltas, asked.mode)
        if asked.mode == "gate":
            GATE.join(self._transport, steps[0], asked.width)
        elif asked.mode == "paced":
            self._walk(steps, 0)
        elif asked.mode in {"recall", "silence"}:
            self._recall(asked)
        elif asked.mode == "slow":
            self._march(steps, 0, asyncio.get_running_loop().time())
        else:
            self._transport.write(steps[0])

    def _walk(self, steps: tuple[bytes, ...], index: int) -> None:
        """Write a step, the next one a moment after: two never share a segment."""
        if self._transport.is_closing():
            return
        self._transport.write(steps[index])
        if index + 1 < len(steps):
            loop = asyncio.get_running_loop()
            loop.call_later(wire.PACED_INTERVAL, self._walk, steps, index + 1)

    def _recall(self, asked: wire.Question) -> None:
        """Write a recall, then hold the answer back; a client that has gone needs no answer."""
        prologue, recall, deltas, tail = _recall_steps(asked.deltas)
        early = 1 if asked.mode == "recall" else 0
        self._transport.write(prologue)
        self._transport.write(wire.send_now(recall))
        for delta in deltas[:early]:
            self._transport.write(delta)
        rest = b"".join(deltas[early:]) + tail
        asyncio.get_running_loop().call_later(asked.width / 1000, self._finish, rest)

    def _finish(self, rest: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(rest)

    def _march(self, steps: tuple[bytes, ...], index: int, start: float) -> None:
        """Write a step when its time has come by the clock, however slow the reader."""
        if self._transport.is_closing():
            return
        self._transport.write(steps[index])
        if index + 1 < len(steps):
            due = start + (index + 1) * wire.SLOW_INTERVAL
            asyncio.get_running_loop().call_at(due, self._march, steps, index + 1, start)


def allow_many_sockets() -> None:
    """Raise this process's limit of open files as far as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _die_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


async def serve() -> None:
    """Serve for ever on a free port of the loopback."""
    allow_many_sockets()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
