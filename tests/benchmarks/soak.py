"""Many streams at once on the local server, round after round: does anything stay behind?

    python -m tests.benchmarks.soak            # 500 streams, 5 rounds
    python -m tests.benchmarks.soak --quick    # 50 streams, 2 rounds

A server in a process of its own serves bots, chatflows and workflows. In every round all streams
are opened first, and a gate holds them open until every one of them has begun; then some clients
vanish by a TCP reset, and the rest reads to the end. Before and after, the server tells its memory,
files, threads and tasks. It exits with 1 when something is left, or when a stream was not whole.
"""

import argparse
import asyncio
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.fleet import Child

PATIENCE = 120.0  # seconds for a round
RESET = struct.pack("ii", 1, 0)
KINDS = ("chat", "chatflow", "workflow", "vanish", "chat")
GATE = threading.Event()
# Finished chats and runs are kept on purpose, for the life of the server: what one may take.
KILOBYTES_PER_STREAM = 16.0
WARM = 2  # rounds after which memory is compared: pools and caches are filled then


@dataclass(frozen=True)
class Figures:
    """What a server holds."""

    rss_kb: int
    files: int
    threads: int
    tasks: int
    streams: int


# --- The server ----------------------------------------------------------------------------------


async def held(_question: str) -> AsyncIterator[Any]:
    """Begin to answer; go on when the gate is open."""
    from langchain_coze.local import Pause  # noqa: PLC0415 - only the server's process needs it

    yield "half"
    while not GATE.is_set():
        yield Pause(0.05)
    yield " whole"


async def flow(text: str = "") -> AsyncIterator[Any]:
    """Do the same in a workflow."""
    from langchain_coze.local import Output  # noqa: PLC0415 - as above

    async for piece in held(text):
        yield piece
    yield Output("whole")


def figures(coze: Any) -> Figures:
    """Count what the server of this process holds."""
    fds, status = Path("/proc/self/fd"), Path("/proc/self/status")
    lines = status.read_text("utf-8").splitlines() if status.exists() else []
    rss = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
    server = coze._server
    return Figures(
        rss_kb=rss,
        files=len(list(fds.iterdir())) if fds.exists() else 0,
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks(server._loop)),
        streams=len(server.app.state.connections.streams),
    )


def serve() -> None:
    """Serve, and do what the lines of the standard input say."""
    from langchain_coze.local import LocalBot, LocalCoze  # noqa: PLC0415 - as above

    with LocalCoze(LocalBot(held, name="soak"), chatflows=held, workflows=flow) as coze:
        ids = [coze.bots[0].bot_id, coze.chatflows[0].workflow_id, coze.workflows[0].workflow_id]
        say({"port": coze.port, "token": coze.token, "ids": ids})
        for line in sys.stdin:
            word = line.strip()
            if word in {"open", "close"}:
                GATE.set() if word == "open" else GATE.clear()
            say(asdict(figures(coze)))


def say(told: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


# --- The clients ---------------------------------------------------------------------------------


class Server:
    """The server's process."""

    def __init__(self) -> None:
        """Start it."""
        self.child = Child(sys.executable, ["tests.benchmarks.soak", "--serve"])
        greeting = json.loads(self.child.receive())
        self.port, self.token, self.ids = greeting["port"], greeting["token"], greeting["ids"]

    def ask(self, word: str = "figures") -> Figures:
        """Say a word; get the figures."""
        self.child.send(word)
        return Figures(**json.loads(self.child.receive()))

    def request(self, kind: str) -> bytes:
        """The bytes that open a stream."""
        bot, chatflow, workflow = self.ids
        message = {"role": "user", "type": "question", "content": "x", "content_type": "text"}
        path, body = "/v3/chat", {"bot_id": bot, "user_id": "u", "stream": True}
        body["additional_messages"] = [message]
        if kind == "chatflow":
            path, body = "/v1/workflows/chat", {"workflow_id": chatflow, "bot_id": bot}
            body |= {"additional_messages": [message], "parameters": {}}
        elif kind == "workflow":
            path, body = "/v1/workflow/stream_run", {"workflow_id": workflow}
        content = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        lines += [f"Content-Length: {len(content)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode() + content


async def stream(server: Server, kind: str, begun: asyncio.Semaphore, go: asyncio.Event) -> bool:
    """Open a stream, wait for the others, and read it; whether it was whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(server.request(kind))
    await reader.readuntil(b"half")
    begun.release()
    await go.wait()
    if kind == "vanish":
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        return True
    rest = await reader.read(-1)
    writer.close()
    return b"whole" in rest and rest.endswith(b"\r\n0\r\n\r\n")


async def play(server: Server, count: int) -> tuple[int, Figures]:
    """One round: how many streams were whole, and the figures while all were open."""
    begun, go = asyncio.Semaphore(0), asyncio.Event()
    await asyncio.to_thread(server.ask, "close")
    kinds = [KINDS[number % len(KINDS)] for number in range(count)]
    tasks = [asyncio.create_task(stream(server, kind, begun, go)) for kind in kinds]
    for _ in tasks:
        await begun.acquire()
    at_peak = await asyncio.to_thread(server.ask, "figures")
    go.set()
    await asyncio.to_thread(server.ask, "open")
    return sum(await asyncio.gather(*tasks)), at_peak


def settled(server: Server, wanted: Figures) -> Figures:
    """The figures when the server has put everything away, or after a while."""
    deadline = time.monotonic() + 5
    while left_over(wanted, now := server.ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


# --- The judgement -------------------------------------------------------------------------------


def left_over(before: Figures, after: Figures) -> list[str]:
    """What has grown that must not, in words."""
    names = ("files", "threads", "tasks", "streams")
    told = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return [f"{name}: {old}, then {new}" for name, (old, new) in told.items() if new > old]


def judged(history: Sequence[Figures], count: int, whole: Sequence[int]) -> list[str]:
    """What is wrong, in words.

    Args:
        history: Figures before the first round and after each.
        count: Streams of a round.
        whole: How many were whole, round by round.
    """
    wrong = [f"round {n}: {got} of {count} whole" for n, got in enumerate(whole, 1) if got < count]
    wrong += left_over(history[0], history[-1])
    if (kept := kept_per_stream(history, count)) > KILOBYTES_PER_STREAM:
        wrong.append(f"memory: {kept:.1f} KB more with every stream")
    return wrong


def kept_per_stream(history: Sequence[Figures], count: int) -> float:
    """Kilobytes by which the server grew with every stream; 0 when there were too few rounds."""
    rounds = len(history) - 1 - WARM
    if rounds < 1:
        return 0.0
    return (history[-1].rss_kb - history[WARM].rss_kb) / (count * rounds)


def row(name: str, told: Figures, note: str = "") -> str:
    """A line of the table."""
    cells = [name, f"{told.rss_kb / 1024:.1f}", told.files, told.threads, told.tasks, told.streams]
    return "| " + " | ".join(map(str, [*cells, note])) + " |\n"


def soak(count: int, rounds: int) -> list[str]:
    """Play all rounds, print the figures, and tell what is wrong."""
    write = sys.stdout.write
    write("| | RSS (MB) | files | threads | tasks | streams | |\n|---|---|---|---|---|---|---|\n")
    server, whole = Server(), []
    try:
        history = [server.ask()]
        write(row("before", history[0]))
        for number in range(1, rounds + 1):
            start = time.monotonic()
            got, at_peak = asyncio.run(asyncio.wait_for(play(server, count), PATIENCE))
            took = time.monotonic() - start
            whole.append(got)
            history.append(settled(server, history[0]))
            write(row(f"round {number}, all open", at_peak))
            write(row(f"round {number}, after", history[-1], f"{got} of {count}, {took:.1f} s"))
            assert at_peak.streams == count
    finally:
        server.child.close()
    write(f"kept of every stream: {kept_per_stream(history, count):.1f} KB\n")
    return judged(history, count, whole)


def main() -> int:
    """Run it; 1 when something is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run")
    parser.add_argument("--streams", type=int, help="streams at once (500)")
    parser.add_argument("--rounds", type=int, help="rounds (5)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return 0
    count = arguments.streams or (50 if arguments.quick else 500)
    wrong = soak(count, arguments.rounds or (2 if arguments.quick else 5))
    sys.stdout.write("\n".join(wrong or ["nothing is left behind"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
