"""What strangers, vanishing clients and slow ones cannot do to the local server."""

import asyncio
import contextlib
import gc
import json
import logging
import socket
import struct
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_coze.local import LocalBot, LocalCoze, LocalOAuthApp, Pause
from tests.conftest import wait_until
from tests.integration_tests.local.local_client import LocalClient, answers
from tests.integration_tests.local.test_local_faults_served import run_command

TOKEN = "pat_of_the_safety_tests_0123456789"
OTHER = "pat_of_somebody_else_0123456789"
RESET = struct.pack("ii", 1, 0)


async def slow(question: str) -> AsyncIterator[Any]:
    yield "half"
    yield Pause(float(question))
    yield " whole"


def echo(text: str = "") -> str:
    return text


def served(**fields: Any) -> LocalCoze:
    return LocalCoze(
        LocalBot(slow), chatflows=slow, workflows=echo, token=TOKEN, more_tokens=[OTHER], **fields
    )


@pytest.fixture(scope="module", params=["cloud", "studio"])
def coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    with served(profile=request.param, oauth_apps=LocalOAuthApp()) as running:
        yield running


@pytest.fixture
def http(coze: LocalCoze) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=coze.base_url, timeout=20, trust_env=False) as client:
        yield client


def routes(coze: LocalCoze) -> list[tuple[str, str]]:
    """Every route with a verb, ids filled in."""
    assert coze._server is not None
    found: dict[str, set[str]] = {}
    for route in coze._server.app.asgi.routes:
        for verb in getattr(route, "methods", ()):
            found.setdefault(getattr(route, "path", ""), set()).add(verb)
    made = [(v, p.replace("{", "").replace("}", "")) for p in found for v in sorted(found[p])]
    assert len(made) > 20  # the tests have something to walk
    return made


def is_open(path: str) -> bool:
    return path.startswith("/api/permission/oauth2/")


# --- Strangers -----------------------------------------------------------------------------------

STRANGERS = [
    *("", "Bearer", "Bearer pat_x", TOKEN, f"bearer {TOKEN}", f"Basic {TOKEN}"),
    *(f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer  {TOKEN}", f"Bearer {TOKEN} {TOKEN}"),
    *(f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe", "Bearer None"),
]


@pytest.mark.parametrize("authorization", STRANGERS)
def test_no_route_answers_strangers(
    coze: LocalCoze, http: httpx.Client, authorization: str
) -> None:
    headers = {b"Authorization": authorization.encode("latin-1")} if authorization else {}
    for verb, path in routes(coze):
        reply = http.request(verb, path, headers=headers, content=b'{"stream":true}')
        if verb == "HEAD":
            assert reply.content == b""
        elif is_open(path):
            assert reply.json()["error_code"] in {"invalid_request", "invalid_client"}, path
        else:
            is_chat = coze.profile == "cloud" and path == "/v3/chat"
            assert reply.json()["code"] == (4101 if is_chat else 700012006), (verb, path)
        assert TOKEN not in reply.text + str(reply.headers)
    assert {request.body for request in coze.requests if not is_open(request.path)} == {None}


def test_no_route_takes_another_verb(coze: LocalCoze, http: httpx.Client) -> None:
    # These two can be read as ids of workflows.
    known = {*routes(coze), ("GET", "/v1/workflows/chat"), ("GET", "/v1/workflows/resume")}
    http.headers["Authorization"] = f"Bearer {TOKEN}"
    for path in {path for _, path in known}:
        for verb in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "LOCAL"):
            if (verb, path) not in known:
                reply = http.request(verb, path)
                assert (reply.status_code, "allow" in reply.headers) == (404, False), (verb, path)
    # no redirect to where a Host header says
    assert http.get("/v1/bots/").status_code == {"cloud": 404, "studio": 401}[coze.profile]


@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
def test_every_body_has_a_limit(
    coze: LocalCoze, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    monkeypatch.setattr("langchain_coze.local.app._MAX_BODY_SIZE", 100_000)
    monkeypatch.setattr("langchain_coze.local.app._MAX_RUN_BODY_SIZE", 100_000)
    body = b'{"x":"' + b" " * 100_000 + b'"}'
    http.headers.update({"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    walked = [(v, p) for v, p in routes(coze) if v in {"POST", "PUT"}]
    for verb, path in walked:
        content: Any = iter([body[:9], body[9:]]) if chunked else body
        reply = http.request(verb, path, content=content).json()
        assert "MB" in reply["msg"], (verb, path)
    assert len(walked) >= 7


def test_a_form_is_read_only_where_files_are_taken(coze: LocalCoze, http: httpx.Client) -> None:
    http.headers["Authorization"] = f"Bearer {TOKEN}"
    form = {"file": ("x.txt", b"x" * 1_000_000)}
    for verb, path in routes(coze):
        if verb == "POST" and not is_open(path) and "files" not in path:
            assert http.post(path, files=form).status_code < 500, path
    assert http.post("/v1/files/upload", files=form).json()["code"] == 0


def test_secrets_are_in_no_log_no_error_and_no_repr(
    coze: LocalCoze, http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for token in (TOKEN, OTHER):
        for fault in ("", "error=5000", "nonsense", "http_502"):
            headers = {"Authorization": f"Bearer {token}", "X-Local-Fault": f"{fault},on=*"}
            for verb, path in routes(coze):
                reply = http.request(verb, path, headers=headers, json=[token[:3]])
                told.append(reply.text + str(reply.headers))
    assert coze._server is not None
    state = coze._server.app.state
    told += [repr(coze), str(coze), repr(coze.requests), repr(state), str(coze._server)]
    told += [record.getMessage() + str(record.exc_text) for record in caplog.records]
    assert not [text for text in told if TOKEN in text or OTHER in text]


def test_tokens_of_users_differ() -> None:
    for tokens in (["pat_a", "pat_a"], [""], [TOKEN]):
        with pytest.raises(ValueError, match="a different token"):
            LocalCoze(token=TOKEN, more_tokens=tokens)


# --- Clients that vanish ------------------------------------------------------------------------


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def head(coze: LocalCoze, path: str, size: int, kind: str = "application/json") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {coze.host}", f"Authorization: Bearer {coze.token}"]
    lines += [f"Content-Type: {kind}", f"Content-Length: {size}", "", ""]
    return "\r\n".join(lines).encode()


def question(coze: LocalCoze, seconds: float) -> bytes:
    message = {"role": "user", "type": "question", "content": str(seconds), "content_type": "text"}
    body = {"bot_id": coze.bots[0].bot_id, "user_id": "u", "stream": True}
    return json.dumps(body | {"additional_messages": [message]}).encode()


def asked(coze: LocalCoze, seconds: float) -> bytes:
    body = question(coze, seconds)
    return head(coze, "/v3/chat", len(body)) + body


def half_upload(coze: LocalCoze) -> bytes:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    kind = "multipart/form-data; boundary=b"
    return head(coze, "/v1/files/upload", 9_000_000, kind) + form + b"x" * 2_000_000


def connected(coze: LocalCoze) -> socket.socket:
    return socket.create_connection((coze.host, coze.port), timeout=5)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def is_quiet(coze: LocalCoze) -> bool:
    assert coze._server is not None
    state = coze._server.app.state
    server = coze._server.server_state
    running = state.running_tasks or state.connections.streams
    return not (server.connections or server.tasks or running)


def busy_threads() -> int:
    """How many threads there are, without the spare ones that AnyIO keeps for ten seconds."""
    return sum(thread.name != "AnyIO worker thread" for thread in threading.enumerate())


def test_hundreds_of_clients_vanish_abruptly(caplog: pytest.LogCaptureFixture) -> None:
    with served() as coze, LocalClient(coze) as client:
        parts = [b"", b"POST /v3/ch", head(coze, "/v3/chat", 500), asked(coze, 0)[:-20]]
        parts += [half_upload(coze), asked(coze, 0.05), asked(coze, 0)]
        files, threads = open_files(), busy_threads()
        for number in range(60 * len(parts)):
            gone = connected(coze)
            gone.sendall(parts[number % len(parts)])
            if number % len(parts) >= 5:
                gone.recv(1 + number % 3)
            reset(gone)
        wait_until(lambda: is_quiet(coze))
        assert answers(client.chat(additional_messages=[user_says("0")])) == ["half whole"]
        client.http.close()
        wait_until(lambda: open_files() <= files)
        wait_until(lambda: busy_threads() <= threads)
    assert caplog.records == []


def user_says(text: str) -> dict[str, str]:
    return {"role": "user", "type": "question", "content": text, "content_type": "text"}


# --- Heads that are large --------------------------------------------


def is_closed(client: socket.socket) -> bool:
    """Whether the server has hung up; what it said before is read away."""
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
    ],
    ids=["header", "headers", "path", "two lengths", "negative length", "no http"],
)
def test_invalid_request_heads_close_the_connection(
    flood: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with served() as coze:
        with connected(coze) as client:
            with contextlib.suppress(OSError):
                client.sendall(flood)
            assert is_closed(client)
        wait_until(lambda: is_quiet(coze))
        with LocalClient(coze) as own:
            assert own.get("/v1/users/me")["code"] == 0
    told = {record.getMessage() for record in caplog.records if record.name != "httpx"}
    assert told <= {"Invalid HTTP request received."}


# --- Stopping ------------------------------------------------------------------------------------


def test_stop_closes_all_connections(caplog: pytest.LogCaptureFixture) -> None:
    files, threads = open_files(), busy_threads()
    coze = served(stop_timeout=0.05).start()
    parts = [b"", b"POST /v3/ch", head(coze, "/v3/chat", 500), half_upload(coze)]
    parts += [asked(coze, 60)] * 20
    clients = [connected(coze) for _ in parts]
    for client, part in zip(clients, parts, strict=True):
        client.sendall(part)
    for client in clients[-20:]:
        assert client.recv(10)
    state = coze._server.app.state if coze._server else None
    begin = time.monotonic()
    coze.stop()
    assert time.monotonic() - begin < 3
    for client in clients:
        assert is_closed(client)
        client.close()
    assert state is not None
    assert (state.running_tasks, state.connections.streams) == (set(), set())
    wait_until(lambda: open_files() <= files)
    wait_until(lambda: threading.active_count() <= threads)
    assert caplog.records == []


async def test_starting_and_stopping_leaks_nothing() -> None:
    files, threads = open_files(), busy_threads()
    for _ in range(10):
        await asyncio.to_thread(lambda: served().start().stop())
    assert open_files() <= files + 3  # the pool of threads of this loop
    assert threading.active_count() <= threads + 2


# --- Who is let in -------------------------------------------------------------------------------


def test_a_connection_that_arrives_during_the_stop_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """asyncio would leave it open for ever, and warn when it is collected."""
    leaks: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda leak: leaks.append(leak.exc_value))
    for _ in range(20):
        coze = LocalCoze(LocalBot()).start()
        address = ("127.0.0.1", int(coze.base_url.rpartition(":")[2]))

        def connect(address: tuple[str, int] = address) -> None:
            with contextlib.suppress(OSError):  # the server has stopped
                while True:
                    socket.create_connection(address, timeout=5).close()

        client = threading.Thread(target=connect)
        client.start()
        coze.stop()
        client.join()
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            gc.collect()
    assert not leaks


def test_only_this_machine_is_served() -> None:
    with served() as coze:
        assert coze.base_url.startswith("http://127.0.0.1:")
        assert coze._server is not None
        bound = coze._server._listener.getsockname()
        assert bound[0] == "127.0.0.1"


def test_a_server_for_other_machines_is_reached_from_here() -> None:
    with served(host="0.0.0.0") as coze, LocalClient(coze) as client:  # noqa: S104 - that is the test
        assert coze.base_url == f"http://127.0.0.1:{coze.port}"
        assert client.get("/v1/users/me")["code"] == 0


def test_the_command_warns_when_other_machines_are_let_in() -> None:
    process = run_command("--host", "0.0.0.0")  # noqa: S104 - as above
    assert process.stdout is not None
    assert process.stderr is not None
    told = [process.stderr.readline() for _ in range(2)]
    process.terminate()
    process.communicate(timeout=10)
    assert "Warning: other machines can reach 0.0.0.0:" in told[0]
    assert "其他机器可以访问" in told[1]
