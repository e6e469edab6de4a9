"""Every fault as bytes on a socket, in every kind of stream."""

import contextlib
import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from langchain_coze.local import LocalBot, LocalChatflow, LocalCoze, LocalWorkflow
from tests.conftest import serve
from tests.integration_tests.local.local_client import masked, user


def reply(_question: str) -> Iterator[str]:
    yield from ("茶叶", "长在", "山上。")


def run() -> Generator[str, None, str]:
    yield from ("茶叶", "长在", "山上。")
    return "完"


BOT = LocalBot(reply, name="bot", knowledge=["茶叶长在山上。"], follow_ups=["还有呢？"])
FLOW, WORKFLOW = LocalChatflow(reply, name="flow"), LocalWorkflow(run)
KINDS = ("chat", "chatflow", "workflow")

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
    return re.sub(r"time_cost(\W+)[\d.]+", "time_cost", masked("\n".join(lines).encode()))


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
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {coze.token}"]
    lines += [f"X-Local-Fault: {fault}", f"Content-Length: {len(content)}", "Connection: close"]
    begin = time.monotonic()
    with socket.create_connection((coze.host, coze.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        received = receive(client)
    seconds = time.monotonic() - begin
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return Raw(head.decode(), [rest], complete=True, seconds=seconds)
    chunks, complete = unchunked(rest)
    return Raw(head.decode(), chunks, complete, seconds)


def receive(client: socket.socket) -> bytes:
    """Read until the connection ends, however it ends."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received += chunk
    return received


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


# --- What each fault does to the bytes ------------------------------------------------------------

Check = Callable[[Raw, Raw, str], None]
CHECKS: dict[str, Check] = {}


def check(fault: str) -> Callable[[Check], Check]:
    def keep(function: Check) -> Check:
        CHECKS[fault] = function
        return function

    return keep


@check("cut_mid_line")
def cut_mid_line(raw: Raw, sound: Raw, kind: str) -> None:
    *events, last = raw.body.decode().split("\n\n")
    assert comparable(parsed("\n\n".join(events).encode())) in comparable(sound.events)
    line = last.split("\n")[-1]
    assert line.startswith("data:")
    with pytest.raises(ValueError, match=r"."):
        json.loads(line.removeprefix("data:"))
    assert (kind, raw.complete) == (kind, True)


@check("cut_mid_line,cut_reset")
def cut_reset(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert not raw.body.endswith(b"\n")
    assert not raw.complete


@check("error=4009")
def json_error(raw: Raw, _sound: Raw, _kind: str) -> None:
    assert raw.head.startswith("HTTP/1.1 200 ")
    assert "content-type: application/json" in raw.head
    assert json.loads(raw.body)["code"] == 4009


@check("idle=0.3")
def idle(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events)
    assert sound.seconds + 0.2 < raw.seconds
    assert raw.seconds >= 0.3


@check("no_done")
def no_done(raw: Raw, sound: Raw, _kind: str) -> None:
    assert comparable(raw.events) == comparable(sound.events[:-1])


@check("failed=720712000")
def failed(raw: Raw, _sound: Raw, kind: str) -> None:
    assert "720712000" in raw.body.decode()
    if kind != "workflow":
        assert "conversation.message.delta" not in raw.body.decode()


def recalled(raw: Raw) -> list[Any]:
    contents = [d["content"] for _, d in raw.events if isinstance(d, dict) and "recall" in str(d)]
    return [json.loads(json.loads(content)["data"]) for content in contents]


@check("recall_empty")
def recall_empty(raw: Raw, sound: Raw, kind: str) -> None:
    # A chatflow and a workflow tell no recall, and Studio tells none that found nothing.
    assert [payload["chunks"] for payload in recalled(raw)] in ([[]], [])
    assert len(recalled(sound)) == (kind == "chat")


@check("recall_failed")
def recall_failed(raw: Raw, _sound: Raw, kind: str) -> None:
    codes = [payload["status_code"] for payload in recalled(raw)]
    assert codes == ([708882003] if kind == "chat" else [])


@check("recall_missing")
def recall_missing(raw: Raw, sound: Raw, kind: str) -> None:
    assert recalled(raw) == []
    assert len(raw.events) == len(sound.events) - (kind == "chat")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", list(CHECKS))
def test_every_fault_has_the_documented_bytes(coze: LocalCoze, kind: str, fault: str) -> None:
    if coze.profile == "studio" and kind == "chat" and fault.startswith("failed"):
        pytest.skip("Studio hides the code: test_local_studio_recordings has its bytes")
    sound = ask(coze, kind)
    assert sound.complete
    CHECKS[fault](ask(coze, kind, fault), sound, kind)


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
        serving |= PLACES[place]("cut_at=30")
    elif place == "server":
        serving |= {"faults": ["cut_at=30", "times=1"]}
    with LocalCoze(**serving) as coze:
        if place == "while it runs":
            coze.faults = "cut_at=30"
        got = ask(coze, kind, "cut_at=30" if place == "header" else "")
        assert (len(got.body) == 30) == (place not in PLACES or place == kind)
        assert (len(ask(coze, kind).body) == 30) == (place in {kind, "while it runs"})


@pytest.mark.parametrize("fault", ["cut_at=20", "cut_mid_line"])
def test_replies_without_a_stream_have_faults_too(coze: LocalCoze, fault: str) -> None:
    for kind in ("chat", "run"):
        path_of = {"chat": "/v3/chat", "run": "/v1/workflow/run"}
        whole = plain(coze, path_of[kind], "")
        got = plain(coze, path_of[kind], fault)
        assert json.loads(whole.body)["code"] == 0
        assert got.complete
        with pytest.raises(ValueError, match=r"."):
            json.loads(got.body.decode("utf-8"))
        assert not plain(coze, path_of[kind], f"{fault},cut_reset").complete


def plain(coze: LocalCoze, path: str, fault: str) -> Raw:
    if path == "/v3/chat":
        return ask(coze, "chat", fault, stream=False)
    body = json.dumps({"workflow_id": WORKFLOW.workflow_id}).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {coze.token}"]
    lines += [f"X-Local-Fault: {fault}", f"Content-Length: {len(body)}", "Connection: close"]
    with socket.create_connection((coze.host, coze.port), timeout=10) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        received = receive(client)
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return Raw(head.decode(), [rest], complete=True, seconds=0)
    return Raw(head.decode(), *unchunked(rest), seconds=0)
