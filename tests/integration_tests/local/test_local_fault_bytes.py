"""Every fault of the list in wire appendix B, as bytes on a socket, in every kind of stream."""

import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from langchain_coze.local import FAULTS, Fault, LocalBot, LocalChatflow, LocalCoze, LocalWorkflow
from langchain_coze.local.faults.stream import BYTE_FAULTS, EVENT_FAULTS
from langchain_coze.local.faults.workflow_stream import WORKFLOW_EVENT_FAULTS
from tests.conftest import serve
from tests.integration_tests.local.local_client import masked, user

DOCS = Path(__file__).resolve().parents[3] / "docs"


def reply(_question: str) -> Iterator[str]:
    yield from ("茶叶", "长在", "山上。")


def run() -> Generator[str, None, str]:
    yield from ("茶叶", "长在", "山上。")
    return "完"


BOT = LocalBot(reply, name="bot", knowledge=["茶叶长在山上。"], follow_ups=["还有呢？"])
FLOW, WORKFLOW = LocalChatflow(reply, name="flow"), LocalWorkflow(run)
KINDS = ("chat", "chatflow", "workflow")
CHAT_ENDS = {"conversation.chat.completed", "conversation.chat.failed"}
MESSAGE_ENDS = {"conversation.message.completed"}

coze = serve(BOT, chatflows=FLOW, workflows=WORKFLOW, profiles=["cloud", "studio"])


@dataclass
class Raw:
    """A reply as it came over the socket."""

    head: str
    chunks: list[bytes]
    complete: bool
    seconds: float

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def events(self) -> list[tuple[str, Any]]:
        return parsed(self.body)


def parsed(body: bytes) -> list[tuple[str, Any]]:
    """Names and data; written for these tests and stricter than any client."""
    found = []
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        fields = {}
        for line in block.split("\n"):
            name, value = re.findall(r"^(\w+): ?(.*)$", line)[0]
            fields[name] = value
        try:
            data = json.loads(fields["data"])
        except ValueError:
            data = fields["data"]
        found.append((fields["event"], data))
    return found


def comparable(events: list[tuple[str, Any]]) -> str:
    """Events without what differs from turn to turn: ids, times, order of keys."""
    lines = [n + json.dumps(d, sort_keys=True, separators=(",", ":")) for n, d in events]
    return masked("\n".join(lines).encode())


def target(kind: str) -> tuple[str, dict[str, Any]]:
    # Studio wants a name: a new one, for a conversation without history.
    place: dict[str, Any] = {"parameters": {"CONVERSATION_NAME": secrets.token_hex(4)}}
    if kind == "workflow":
        return "/v1/workflow/stream_run", {"workflow_id": WORKFLOW.workflow_id}
    if kind == "chatflow":
        body = {"workflow_id": FLOW.workflow_id, "bot_id": BOT.bot_id}
        return "/v1/workflows/chat", body | place | {"additional_messages": [user()]}
    asked = [user("茶叶")]
    return "/v3/chat", {
        "bot_id": BOT.bot_id,
        "user_id": "u",
        "stream": True,
        "additional_messages": asked,
    }


def ask(coze: LocalCoze, kind: str, fault: str = "", **fields: Any) -> Raw:
    path, body = target(kind)
    content = json.dumps(body | fields).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {coze.token}"]
    lines += [f"X-Local-Fault: {fault}", f"Content-Length: {len(content)}", "Connection: close"]
    begin = time.monotonic()
    with socket.create_connection((coze.host, coze.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    seconds = time.monotonic() - begin
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return Raw(head.decode(), [rest], complete=True, seconds=seconds)
    chunks, complete = unchunked(rest)
    return Raw(head.decode(), chunks, complete, seconds)


def unchunked(rest: bytes) -> tuple[list[bytes], bool]:
    chunks: list[bytes] = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            assert rest == b"\r\n"
            return chunks, True
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return chunks, False


# --- What each fault of the list must do to the bytes --------------------------------------------

Check = Callable[[Raw, Raw, str], None]
CHECKS: dict[str, tuple[str, Check]] = {}  # the words of appendix B, and the fault


def check(words: str, fault: str) -> Callable[[Check], Check]:
    def keep(function: Check) -> Check:
        CHECKS[f"{words}: {fault}"] = fault, function
        return function

    return keep


def undone(raw: Raw, pattern: bytes, by: bytes = b"") -> str:
    assert re.search(pattern, raw.body)
    return comparable(parsed(re.sub(pattern, by, raw.body)))


@check("cut mid-line", "cut_mid_line")
def cut_mid_line(raw: Raw, sound: Raw, kind: str) -> None:
    *events, last = raw.body.decode().split("\n\n")
    assert comparable(parsed("\n\n".join(events).encode())) in comparable(sound.events)
    line = last.split("\n")[-1]
    assert line.startswith("data:")
    with pytest.raises(ValueError, match=r"."):
        json.loads(line.removeprefix("data:"))
    assert (kind, raw.complete) == (kind, True)


@check("cut hard", "cut_mid_line,cut_hard")
def cut_hard(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert not raw.body.endswith(b"\n")
    assert not raw.complete


@check("cut in a UTF-8 sequence", "cut_utf8")
def cut_utf8(raw: Raw, _sound: Raw, _kind: str) -> None:
    with pytest.raises(UnicodeDecodeError) as caught:
        raw.body.decode()
    assert caught.value.reason == "unexpected end of data"


@check("JSON error with 200", "error=4009")
def json_error(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert raw.head.startswith("HTTP/1.1 200 ")
    assert "content-type: application/json" in raw.head
    assert json.loads(raw.body)["code"] in {4009, 400}


@check("JSON error in the stream", "json_line=4009")
def json_line(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert "content-type: text/event-stream" in raw.head
    assert json.loads(raw.body)["code"] == 4009
    assert not raw.body.endswith(b"\n")


@check("\\r\\n", "crlf")
def crlf(raw: Raw, sound: Raw, _kind: str) -> None:
    assert raw.body.count(b"\n") == raw.body.count(b"\r\n") > 10
    assert undone(raw, rb"\r\n", b"\n") == comparable(sound.events)


@check("comment lines", "comments")
def comments(raw: Raw, sound: Raw, _kind: str) -> None:
    assert undone(raw, rb"(?m)^:.*\n") == comparable(sound.events)


@check("PING with data", "ping")
def ping(raw: Raw, sound: Raw, kind: str) -> None:
    space = b"" if kind == "chat" else b" "
    pattern = b"event:" + space + b"PING\ndata:" + space + rb"\{\}\n\n"
    assert undone(raw, pattern) == comparable(sound.events)


@check("PING without data", "ping_no_data")
def ping_no_data(raw: Raw, sound: Raw, _kind: str) -> None:
    assert undone(raw, rb"event: ?PING\n\n") == comparable(sound.events)


def inserted(raw: Raw, sound: Raw, test: Callable[[str, Any], bool]) -> int:
    """How many events pass a test; without them the stream is the sound one."""
    rest = [(name, data) for name, data in raw.events if not test(name, data)]
    assert comparable(rest) == comparable(sound.events)
    return len(raw.events) - len(rest)


@check("unknown event", "unknown_event")
def unknown_event(raw: Raw, sound: Raw, _kind: str) -> None:
    assert inserted(raw, sound, lambda name, _: "unknown" in name.lower()) == 1


@check("unknown type", "unknown_type")
def unknown_type(raw: Raw, sound: Raw, _kind: str) -> None:
    def is_unknown(_name: str, data: Any) -> bool:
        told = data if isinstance(data, dict) else {}
        return "local_unknown" in {told.get("type"), told.get("content_type")}

    assert inserted(raw, sound, is_unknown) == 1


@check("unknown msg_type", "unknown_msg_type")
def unknown_msg_type(raw: Raw, sound: Raw, kind: str) -> None:
    found = inserted(raw, sound, lambda _, d: '"msg_type":"local_unknown"' in str(d))
    assert found == (kind != "workflow")


@check("unknown status", "unknown_status")
def unknown_status(raw: Raw, sound: Raw, kind: str) -> None:
    known = raw.body.replace(b"local_unknown", b"in_progress")
    assert (known != raw.body) == (kind != "workflow")
    assert comparable(parsed(known)) == comparable(sound.events)


@check("missing done", "no_done")
def no_done(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events[:-1])


@check("done after failed", "failed_then_done=4009")
def failed_then_done(raw: Raw, _sound: Raw, kind: str) -> None:
    wanted = ["Error", "Done"] if kind == "workflow" else ["conversation.chat.failed", "done"]
    assert [name for name, _ in raw.events[-2:]] == wanted
    assert "4009" in str(raw.events[-2][1])


@check("duplicated completed", "duplicate_completed")
def duplicate_completed(raw: Raw, sound: Raw, kind: str) -> None:
    doubled = []
    for name, data in sound.events:
        last = data.get("node_is_finish") if kind == "workflow" else name in MESSAGE_ENDS
        doubled += [(name, data)] * (2 if last else 1)
    assert len(doubled) > len(sound.events)
    assert comparable(raw.events) == comparable(doubled)


@check("two answers", "two_answers")
def two_answers(raw: Raw, sound: Raw, kind: str) -> None:
    assert inserted(raw, sound, lambda _, d: "第二个" in str(d)) == (0 if kind == "workflow" else 2)
    done = [d for n, d in raw.events if n in MESSAGE_ENDS and d["type"] == "answer"]
    assert len({answer["id"] for answer in done}) == len(done) == (0 if kind == "workflow" else 2)


def recalled(raw: Raw) -> Any:
    (content,) = [d["content"] for _, d in raw.events if "recall" in str(d) or '"chunks' in str(d)]
    return json.loads(json.loads(content)["data"])["chunks"]


@check("recall with empty chunks", "recall_empty")
def recall_empty(raw: Raw, sound: Raw, kind: str) -> None:
    # A chatflow and a workflow tell no recall.
    if kind == "chat":
        assert (recalled(raw), len(recalled(sound))) == ([], 1)
    else:
        assert comparable(raw.events) == comparable(sound.events)


@check("recall with null chunks", "recall_null")
def recall_null(raw: Raw, sound: Raw, kind: str) -> None:
    if kind == "chat":
        assert recalled(raw) is None
    else:
        assert comparable(raw.events) == comparable(sound.events)


@check("long idle", "idle=0.3")
def idle(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events)
    assert sound.seconds + 0.2 < raw.seconds
    assert raw.seconds >= 0.3


@check("one giant chunk", "one_chunk")
def one_chunk(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events)
    assert len(raw.chunks) == 1 < len(sound.chunks)


@check("one byte per chunk", "one_byte")
def one_byte(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events)
    assert {len(chunk) for chunk in raw.chunks} == {1}


# What the client's own tests need besides.


@check("error event with text", "error_event_text")
def error_event_text(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert raw.events[-1][0] == "error"
    assert isinstance(raw.events[-1][1], str)


@check("error event without fields", "error_event_empty")
def error_event_empty(raw: Raw, _sound: Raw, kind: str) -> None:
    assert raw.events[-1] == ("Error" if kind == "workflow" else "error", {})


@check("no end at all", "no_terminal")
def no_terminal(raw: Raw, sound: Raw, kind: str) -> None:
    ends = {"Done"} if kind == "workflow" else {*CHAT_ENDS, "done", "conversation.stream.done"}
    kept = [(name, data) for name, data in sound.events if name not in ends]
    assert comparable(raw.events) == comparable(kept)
    assert len(kept) < len(sound.events)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(CHECKS))
def test_every_fault_has_the_documented_bytes(coze: LocalCoze, kind: str, name: str) -> None:
    fault, function = CHECKS[name]
    sound = ask(coze, kind)
    assert sound.complete
    function(ask(coze, kind, fault), sound, kind)


def test_every_fault_of_appendix_b_is_checked() -> None:
    words = {name.rpartition(": ")[0] for name in CHECKS}
    assert words >= {
        *("cut mid-line", "cut in a UTF-8 sequence", "JSON error with 200", "\\r\\n"),
        *("comment lines", "PING with data", "PING without data", "unknown event", "unknown type"),
        *("unknown status", "unknown msg_type", "missing done", "done after failed"),
        *("duplicated completed", "two answers", "recall with empty chunks"),
        *("recall with null chunks", "long idle", "one giant chunk", "one byte per chunk"),
    }


# --- Where faults are set, and what they hit -----------------------------------------------------

PLACES: dict[str, Any] = {
    "chat": lambda fault: {"bots": LocalBot(reply, name="bot", faults=fault)},
    "chatflow": lambda fault: {"chatflows": LocalChatflow(reply, name="flow", faults=fault)},
    "workflow": lambda fault: {"workflows": LocalWorkflow(run, faults=fault)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [*KINDS, "server", "header", "while it runs"])
def test_a_fault_can_be_set_in_every_documented_place(kind: str, place: str) -> None:
    serving: dict[str, Any] = {"bots": BOT, "chatflows": FLOW, "workflows": WORKFLOW}
    if place in PLACES:
        serving |= PLACES[place]("crlf")
    elif place == "server":
        serving |= {"faults": ["crlf", "comments"]}
    with LocalCoze(**serving) as coze:
        if place == "while it runs":
            coze.faults = "crlf"
        got = ask(coze, kind, "crlf" if place == "header" else "")
        assert (b"\r\n" in got.body) == (place not in PLACES or place == kind)
        assert (b": still here" in got.body) == (place == "server")


@pytest.mark.parametrize("fault", ["cut_at=20", "cut_mid_line", "cut_utf8", "one_byte", "bom"])
def test_replies_without_a_stream_have_faults_too(coze: LocalCoze, fault: str) -> None:
    for kind in ("chat", "run"):
        path_of = {"chat": "/v3/chat", "run": "/v1/workflow/run"}
        whole = plain(coze, path_of[kind], "")
        got = plain(coze, path_of[kind], fault)
        assert json.loads(whole.body)["code"] == 0
        assert got.complete
        if fault == "one_byte":
            assert {len(chunk) for chunk in got.chunks} == {1}
            assert json.loads(got.body)["code"] == 0
        else:
            with pytest.raises(ValueError, match=r"."):
                json.loads(got.body.decode("utf-8"))
        assert not plain(coze, path_of[kind], f"{fault},cut_hard").complete


def plain(coze: LocalCoze, path: str, fault: str) -> Raw:
    if path == "/v3/chat":
        return ask(coze, "chat", fault, stream=False)
    body = json.dumps({"workflow_id": WORKFLOW.workflow_id}).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {coze.token}"]
    lines += [f"X-Local-Fault: {fault}", f"Content-Length: {len(body)}", "Connection: close"]
    with socket.create_connection((coze.host, coze.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return Raw(head.decode(), [rest], complete=True, seconds=0)
    return Raw(head.decode(), *unchunked(rest), seconds=0)


# --- The documentation ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_docs_list_the_faults_of_workflows(language: str) -> None:
    page = (DOCS / language / "local-server.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip(" `"): row[-1].strip() for row in rows if len(row) == 4}
    assert told.keys() >= set(FAULTS)
    of_events = {fault.value for fault in EVENT_FAULTS}
    for name in of_events:
        assert told[name] == ("✓" if Fault(name) in WORKFLOW_EVENT_FAULTS else ""), name
    assert {told[fault.value] for fault in BYTE_FAULTS} == {"✓"}
