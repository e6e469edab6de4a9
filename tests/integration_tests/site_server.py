"""A small coze.site project with a memory, for tests that need one.

Its frames have the keys of the recordings. Like the real server it keeps the question of a failed
turn, shares the memory between `/stream_run` and `/run`, and gives a task its own memory.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Said = tuple[str, str]
PARTS = (
    "answer",
    "thinking",
    "tool_request",
    "tool_response",
    "error",
    "message_start",
    "message_end",
)


class SiteServer:
    """A project whose agent answers `<number>: <question>`.

    Attributes:
        seen: What the model has seen in each turn: pairs of role and text.
        requests: Method, path, headers and body of each request.
        failures: How the next turns fail: an HTTP status, an end code, `cut`, `hang` after
            the first text, or `silent` before any byte. For tasks:
            `lost` (stored, without a reply) or `dropped` (neither).
        reads_run_id: Whether `/run` takes its id from the header, unlike an old project.
        started: Set when a turn has started.
        released: Lets a turn that hangs continue.
    """

    def __init__(self) -> None:
        self.base_url = ""
        self.sessions: dict[str, list[Said]] = {}
        self.tasks: dict[str, Any] = {}
        self.seen: list[list[Said]] = []
        self.requests: list[tuple[str, str, Mapping[str, str], Any]] = []
        self.failures: list[Any] = []
        self.reads_run_id = True
        self.count = 0
        self.running: dict[str, int] = {}
        self.overlaps = 0
        self.started = threading.Event()
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, _, body in self.requests]

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.requests]

    def restart(self) -> None:
        """Lose the memory, as a process without a database does."""
        self.sessions.clear()

    def answer(self, session_id: str, messages: list[Said]) -> str:
        """Let the model answer; the question of a failed turn stays in the memory."""
        memory = self.sessions.setdefault(session_id, [])
        with self.lock:
            self.overlaps += bool(self.running.get(session_id))
            self.running[session_id] = self.running.get(session_id, 0) + 1
            memory += messages
            self.seen.append(list(memory))
            self.count += 1
            return f"{self.count}: {messages[-1][1][-20:]}"

    def finish(self, session_id: str, text: str | None) -> None:
        with self.lock:
            self.running[session_id] -= 1
            if text is not None:
                self.sessions.setdefault(session_id, []).append(("assistant", text))


def read_prompt(body: Mapping[str, Any]) -> str:
    prompt = body["content"]["query"]["prompt"]
    return "\n".join(part["content"].get("text") or json.dumps(part) for part in prompt)


def make_frame(kind: str, part: Any, session_id: str, **fields: Any) -> bytes:
    content = dict.fromkeys(PARTS) | {kind: part}
    frame = {"type": kind, "session_id": session_id, **fields, "content": content, "log_id": "0217"}
    return f"event: message\ndata: {json.dumps(frame, ensure_ascii=False)}\n\n".encode()


class _SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: SiteServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._record(None)
        task = self.site.tasks.get(self.path.removeprefix("/task/"))
        if task is None:
            self._reply(404, {"detail": "task not found"})
        else:
            self._reply(200, {"status": "completed", "result": task, "error": None})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "null")
        self._record(body)
        if self.path.startswith("/cancel/"):
            self._reply(200, {"status": "success", "run_id": self.path[8:], "message": ""})
            return
        failure = self.site.failures.pop(0) if self.site.failures else None
        if isinstance(failure, int):
            self._reply(failure, {"msg": "not now"})
        elif self.path == "/stream_run":
            self._stream(body, failure)
        else:
            self._run(body, failure)

    def _record(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.requests.append((self.command, self.path, headers, body))

    def _run(self, body: Any, failure: Any) -> None:
        header = self.headers.get("x-run-id")
        if failure in {"lost", "dropped"}:
            if failure == "lost":
                self.site.tasks[str(header)] = {"sum": body["a"] + body["b"]}
            self.close_connection = True
            return
        if "messages" not in body:
            self.site.tasks[str(header)] = {"sum": body["a"] + body["b"]}
            self._reply(200, {"task_id": header, "status": "pending"})
            return
        run_id = header if header and self.site.reads_run_id else uuid.uuid4().hex
        messages = [(message["role"], message["content"]) for message in body["messages"]]
        if failure == "silent":
            self._hang()
        text = self.site.answer(run_id, messages)
        self.site.finish(run_id, None if failure else text)
        if failure:
            detail = {"error_code": int(failure), "error_message": "oh", "stack_trace": ["secret"]}
            self._reply(500, {"detail": detail})
            return
        state: list[dict[str, Any]] = [
            {"type": {"user": "human", "assistant": "ai"}.get(role, role), "content": said}
            for role, said in self.site.sessions[run_id]
        ]
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        state[-1] |= {"id": f"lc_run--{uuid.uuid4()}", "usage_metadata": usage}
        output = {"messages": state}
        if self.path == "/async_run":
            self.site.tasks[run_id] = output
            self._reply(200, {"task_id": run_id, "status": "pending"})
        else:
            self._reply(200, {**output, "run_id": run_id})

    def _stream(self, body: Any, failure: Any) -> None:
        session_id = body["session_id"]
        text = self.site.answer(session_id, [("user", read_prompt(body))])
        if failure == "silent":
            self._hang()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        ids = {"reply_id": str(uuid.uuid4()), "msg_id": "m"}
        run_id = f"run-{len(self.site.requests)}" if failure != "silent" else None
        self._send(make_frame("message_start", {"execute_id": run_id}, session_id, **ids))
        self.site.started.set()
        try:
            self._send(make_frame("answer", text[:2], session_id, **ids))
            if failure == "hang":
                self.site.released.wait(10)
            if failure not in {None, "hang"}:
                if failure != "cut":
                    end = {"code": failure, "message": "oh"}
                    self._send(make_frame("message_end", end, session_id, **ids))
                self.site.finish(session_id, None)
                self.close_connection = True
                return
            self._send(make_frame("answer", text[2:], session_id, **ids, finish=True))
            self._send(make_frame("message_end", {"code": "0", "message": ""}, session_id, **ids))
            self._send(b"")
            self.site.finish(session_id, text)
        except OSError:  # the client has left
            self.site.finish(session_id, None)
            self.close_connection = True

    def _hang(self) -> None:
        self.site.started.set()
        self.site.released.wait(10)

    def _send(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _reply(self, status: int, body: Any) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that have left."""


@contextmanager
def run_site() -> Iterator[SiteServer]:
    """Run a project."""
    site = SiteServer()
    handler = type("SiteHandler", (_SiteHandler,), {"site": site})
    server = _QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        site.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
