"""Streams that only a decoder can tell from sound ones: a proxy that changes the bytes of replies.

`serve_with_faults(coze, "crlf,bom")` gives the address of a proxy in front of a local server.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx

from langchain_coze.local import LocalCoze

UNKNOWN = "local_unknown"
ERROR = {"code": 4100, "msg": "authentication is invalid"}
_DELTA, _COMPLETED = "conversation.message.delta", "conversation.message.completed"
_ENDS = {"done", "Done", "conversation.stream.done"}
_TERMINALS = _ENDS | {"conversation.chat.completed", "Error", "Interrupt"}


class StreamEvent(NamedTuple):
    """One event as it stands in the stream."""

    name: str
    text: str  # its lines, with the blank line at the end
    data: Any

    def with_data(self, data: Any) -> StreamEvent:
        """Return the event with other data."""
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        return StreamEvent(
            self.name, re.sub(r"data:( ?).*", lambda m: f"data:{m[1]}{text}", self.text), data
        )

    def with_name(self, name: str) -> StreamEvent:
        """Return the event with another name."""
        return StreamEvent(name, self.text.replace(f"{self.name}\n", f"{name}\n", 1), self.data)


def split_events(body: bytes) -> list[StreamEvent]:
    """Return the events of a stream."""
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        fields = dict(re.findall(r"(?m)^(\w+): ?(.*)$", block))
        try:
            data = json.loads(fields["data"])
        except ValueError:
            data = fields["data"]
        events.append(StreamEvent(fields["event"], block + "\n\n", data))
    return events


# --- Changes of events ----------------------------------------------------------------------------


def is_answer(event: StreamEvent) -> bool:
    kind = event.data.get("type") if isinstance(event.data, dict) else None
    return event.name in {_DELTA, "Message"} or (event.name == _COMPLETED and kind == "answer")


def read_recall(event: StreamEvent) -> dict[str, Any] | None:
    """Return the content of a recall message."""
    if event.name != _COMPLETED or event.data["type"] not in {"verbose", "knowledge"}:
        return None
    content = json.loads(event.data["content"])
    return content if content["msg_type"] == "knowledge_recall" else None


def insert_before_answer(
    events: list[StreamEvent], name: str, changes: dict[str, Any]
) -> list[StreamEvent]:
    """Insert a copy of the first event of an answer, with changes."""
    position = next(i for i, event in enumerate(events) if is_answer(event))
    inserted = events[position].with_data(events[position].data | changes).with_name(name)
    return [*events[:position], inserted, *events[position:]]


def end_before_answer(events: list[StreamEvent], name: str, data: Any) -> list[StreamEvent]:
    """Replace the answer, and all that follows, by one event."""
    position = next(i for i, event in enumerate(events) if is_answer(event))
    return [*events[:position], events[position].with_data(data).with_name(name)]


def change_recalls(
    events: list[StreamEvent], change: Callable[[StreamEvent, dict[str, Any]], list[StreamEvent]]
) -> list[StreamEvent]:
    changed = []
    for event in events:
        content = read_recall(event)
        changed += [event] if content is None else change(event, content)
    return changed


def with_content(event: StreamEvent, content: Any, **changes: str) -> StreamEvent:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return event.with_data(event.data | {"content": text} | changes)


def with_chunks(
    event: StreamEvent, content: dict[str, Any], chunks: Any, **changes: str
) -> StreamEvent:
    data = json.loads(content["data"]) | {"chunks": chunks}
    return with_content(event, content | {"data": json.dumps(data)}, **changes)


def split_chunks(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    chunks = json.loads(content["data"])["chunks"]
    return [
        with_chunks(event, content, [chunk], id=f"{event.data['id']}{number}")
        for number, chunk in enumerate(chunks)
    ]


def break_chunk(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    chunks = json.loads(content["data"])["chunks"]
    broken = {"slice": None, "score": "high", "meta": "none"}
    return [with_chunks(event, content, [broken, *chunks[1:]])]


def cut_chunk(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    text = content["data"]
    text = text[: text.rfind('"slice"') + len('"slice":"') + 1]
    return [with_content(event, content | {"data": text})]


def write_plain(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    chunks = json.loads(content["data"])["chunks"]
    slices = [f"---\nrecall slice {n}:{c['slice']}\n" for n, c in enumerate(chunks, 1)]
    return [with_content(event, "".join(slices), type="knowledge")]


def write_flat(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    chunks = json.loads(content["data"])["chunks"]
    return [with_content(event, {"verbose_type": "knowledge", "chunks": chunks})]


def write_object(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    return [with_content(event, content | {"data": json.loads(content["data"])})]


def write_null(event: StreamEvent, content: dict[str, Any]) -> list[StreamEvent]:
    return [with_chunks(event, content, None)]


def add_verbose(events: list[StreamEvent], content: str) -> list[StreamEvent]:
    return insert_before_answer(events, _COMPLETED, {"type": "verbose", "content": content})


def end_with_failure(events: list[StreamEvent], *, done: bool) -> list[StreamEvent]:
    chat = events[1].data | {"status": "failed", "last_error": {"code": 4028, "msg": "no quota"}}
    return end_before_answer(events, "conversation.chat.failed", chat) + events[-1:] * done


EVENT_FAULTS: dict[str, Callable[[list[StreamEvent]], list[StreamEvent]]] = {
    "no_deltas": lambda events: [e for e in events if e.name != _DELTA],
    "no_done": lambda events: [e for e in events if e.name not in _ENDS],
    "no_terminal": lambda events: [e for e in events if e.name not in _TERMINALS],
    "duplicate_completed": lambda es: [e for e in es for _ in range(1 + (e.name == _COMPLETED))],
    "unknown_event": lambda es: insert_before_answer(es, "conversation.local.unknown", {}),
    "unknown_type": lambda es: insert_before_answer(es, _COMPLETED, {"type": UNKNOWN}),
    "unknown_status": lambda events: [
        e.with_data(e.data | {"status": UNKNOWN}) if e.name.endswith(".in_progress") else e
        for e in events
    ],
    "unknown_msg_type": lambda es: add_verbose(es, '{"msg_type":"local_unknown","data":"{}"}'),
    "plain_verbose": lambda es: add_verbose(es, "empty result"),
    "failed_then_done": lambda es: end_with_failure(es, done=True),
    "failed_bare": lambda es: end_before_answer(
        es, "conversation.chat.failed", {"code": 701231, "msg": "error"}
    ),
    "error_event": lambda es: end_before_answer(es, "error", {"code": 5000, "msg": "broken"}),
    "error_event_empty": lambda es: end_before_answer(es, "error", {}),
    "recall_null": lambda es: change_recalls(es, write_null),
    "recall_split": lambda es: change_recalls(es, split_chunks),
    "recall_broken": lambda es: change_recalls(es, break_chunk),
    "recall_cut": lambda es: change_recalls(es, cut_chunk),
    "recall_plain": lambda es: change_recalls(es, write_plain),
    "recall_flat": lambda es: change_recalls(es, write_flat),
    "recall_object": lambda es: change_recalls(es, write_object),
}


# --- Changes of bytes -----------------------------------------------------------------------------


def replace_all(pattern: str, replacement: str) -> Callable[[list[bytes]], list[bytes]]:
    return lambda chunks: [
        re.sub(pattern.encode(), replacement.encode(), chunk, flags=re.MULTILINE)
        for chunk in chunks
    ]


def cut_in_character(chunks: list[bytes]) -> list[bytes]:
    body = b"".join(chunks)
    delta = body.index(b"message.delta")
    position = next(i for i in range(delta, len(body)) if body[i] >= 0x80)
    return [body[: position + 1]]


BYTE_FAULTS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "json_line": lambda _: [json.dumps(ERROR).encode()],
    "busy_line": lambda _: [json.dumps({"code": 4009, "msg": "busy"}).encode()],
    "empty_body": lambda _: [],
    "space": replace_all(r"^(event|data):(?! )", r"\1: "),
    "split_data": replace_all(r'^data:(\s?)\{"', r'data:\1{\ndata:\1"'),
    "comments": replace_all("^event:", ": still here\n:\nevent:"),
    "ping": replace_all("^event:", "event:PING\ndata:{}\n\nevent:"),
    "ping_no_data": replace_all("^event:", "event:PING\n\nevent:"),
    "crlf": replace_all("\n", "\r\n"),
    "bom": lambda chunks: [b"\xef\xbb\xbf" + chunks[0], *chunks[1:]],
    "cut_utf8": cut_in_character,
    "one_chunk": lambda chunks: [b"".join(chunks)],
    "one_byte": lambda chunks: [bytes([byte]) for byte in b"".join(chunks)],
}


def apply_faults(body: bytes, faults: str) -> list[bytes]:
    """Return the chunks of a stream with faults, joined by commas."""
    events, names = split_events(body), faults.split(",")
    for name in names:
        if name in EVENT_FAULTS:
            events = EVENT_FAULTS[name](events)
    chunks = [event.text.encode() for event in events]
    for name, change in BYTE_FAULTS.items():  # in this order
        if name in names:
            chunks = change(chunks)
    return chunks


class _FaultProxy(ThreadingHTTPServer):
    """Passes requests on, and changes the streams that come back."""

    daemon_threads = True

    def __init__(self, base_url: str, faults: str, times: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _FaultHandler)
        self.base_url, self.faults, self.times = base_url, faults, times
        unknown = set(faults.split(",")) - EVENT_FAULTS.keys() - BYTE_FAULTS.keys()
        assert not unknown

    def count_use(self) -> bool:
        """Return whether the faults still apply."""
        if self.times is not None:
            self.times -= 1
        return self.times is None or self.times >= 0


class _FaultHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _FaultProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        url = self.server.base_url + self.path
        reply = httpx.request(
            self.command, url, content=body, headers=headers, timeout=20, trust_env=False
        )
        kind = reply.headers["content-type"]
        chunks = [reply.content]
        if "event-stream" in kind and self.server.count_use():
            chunks = apply_faults(reply.content, self.server.faults)
            kind = "application/json" if "empty_body" in self.server.faults else kind
        self.send_response(reply.status_code)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        for name in ("X-Tt-Logid", "X-Log-ID"):
            if name in reply.headers:
                self.send_header(name, reply.headers[name])
        self.end_headers()
        for chunk in filter(None, chunks):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = _pass_on  # noqa: N815 - names of the standard library

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve_with_faults(coze: LocalCoze, faults: str, times: int | None = None) -> Iterator[str]:
    """Give the address of a proxy that changes the streams of a server.

    Args:
        coze: The server.
        faults: Names from `EVENT_FAULTS` and `BYTE_FAULTS`, joined by commas.
        times: How many streams are changed; all when None.
    """
    proxy = _FaultProxy(coze.base_url, faults, times)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
