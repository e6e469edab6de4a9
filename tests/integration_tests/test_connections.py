"""Connections: shared, closed with an abandoned stream, correct across loops, pickles and forks."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import gzip
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField

from langchain_coze import (
    ChatCoze,
    CozeError,
    CozeInvalidRequestError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    _runtime,
)
from langchain_coze._api import pool, sse, streams
from langchain_coze.local import LocalBot, LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import (
    BACKEND_STYLES,
    BACKENDS,
    SINGLE_STYLES,
    CallStyle,
    ainvoke,
    ainvoke_aiohttp,
    invoke,
    use_aiohttp,
)
from tests.integration_tests.scripted_server import Step, serve_script
from tests.integration_tests.tea_bot import ANSWER, BOT, QUESTION
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

coze = serve(BOT)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_header_of_the_user_replaces_ours(coze: LocalCoze, ask: CallStyle) -> None:
    headers = {"User-Agent": "gateway/1", "CONTENT-TYPE": "application/json; charset=utf-8"}
    ask(make_chat(coze, default_headers=headers), QUESTION)
    (request,) = coze.requests
    assert request.headers["user-agent"] == "gateway/1"
    assert request.headers["content-type"] == "application/json; charset=utf-8"


class Tap:
    """A bare server that streams one delta and then watches the connection."""

    HEAD = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nset-cookie: session=1\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    DELTA = b'event:conversation.message.delta\ndata:{"id":"1","type":"answer","content":"a"}\n\n'

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.request_received = threading.Event()
        self.client_left = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10)
            connection.recv(65536)
            self.request_received.set()
            connection.sendall(self.HEAD + b"%x\r\n%s\r\n" % (len(self.DELTA), self.DELTA))
            try:
                while connection.recv(1024):
                    pass
            except ConnectionError:
                pass
            self.client_left.set()


@contextmanager
def run_tap() -> Iterator[Tap]:
    server = Tap()
    try:
        yield server
    finally:
        server.listener.close()
        server.thread.join(timeout=10)
        assert not server.thread.is_alive()


def make_model_at(server: Tap, **fields: Any) -> ChatCoze:
    return ChatCoze(bot_id="1", api_key="pat_x", base_url=server.base_url, timeout=5, **fields)


def test_an_error_status_is_no_stream_whatever_its_content_type() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/event-stream\r\n"
                    b"content-length: 27\r\nx-tt-logid: L1\r\n\r\n"
                    b'{"code":4000,"msg":"wrong"}'
                )

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(CozeInvalidRequestError) as caught:
            ChatCoze(bot_id="1", api_key="pat_x", base_url=url, timeout=5).invoke("Hi")
        thread.join(5)
    assert (caught.value.code, caught.value.status_code, caught.value.logid) == (4000, 400, "L1")


def test_leaving_a_stream_closes_the_connection_at_once() -> None:
    with run_tap() as server:
        for chunk in make_model_at(server).stream("Hi"):
            assert chunk.text == "a"
            break
        assert server.client_left.wait(2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_leaving_an_async_stream_closes_the_connection_at_once(backend: str) -> None:
    async def public(server: Tap) -> None:
        async for _ in make_model_at(server, http_backend=backend).astream("Hi"):
            break
        # langchain-core leaves the closing to the event loop, which runs meanwhile
        assert await asyncio.to_thread(server.client_left.wait, 2)

    async def ours(server: Tap) -> None:
        model = make_model_at(server, http_backend=backend)
        chunks: Any = model._astream([HumanMessage("Hi")])
        async with aclosing(chunks):
            await anext(chunks)
        assert await asyncio.to_thread(server.client_left.wait, 2)

    for run in (public, ours):
        with run_tap() as server:
            asyncio.run(run(server))


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelling_a_call_closes_the_connection_at_once(backend: str) -> None:
    async def run(server: Tap) -> None:
        task = asyncio.create_task(make_model_at(server, http_backend=backend).ainvoke("Hi"))
        assert await asyncio.to_thread(server.request_received.wait, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.client_left.wait, 2)

    with run_tap() as server:
        asyncio.run(run(server))


def test_no_cookie_passes_from_one_call_to_another(coze: LocalCoze) -> None:
    """Tokens share connections, so a cookie set for one of them must not reach another."""
    with run_tap() as server:  # it sets a cookie
        next(iter(make_model_at(server).stream("Hi")))
    assert invoke(make_chat(coze), QUESTION).text == ANSWER
    assert "cookie" not in coze.requests[-1].headers


def test_aiohttp_keeps_no_cookie_on_its_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nSet-Cookie: session=1\r\n"
    reply = head + b"Content-Length: %d\r\n\r\n" % len(TURN) + TURN

    async def run(model: ChatCoze) -> None:
        for _ in range(2):
            assert (await model.ainvoke(QUESTION)).text == TURN_TEXT

    with serve_script(raw_replies={"/v3/chat": [reply]}) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url, http_backend="aiohttp")
        asyncio.run(run(model))
    assert [headers.get("cookie") for headers in server.headers] == [None, None]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_connection_is_used_again(coze: LocalCoze, backend: str) -> None:
    model = make_chat(coze, http_backend=backend)
    model.close()
    opened = _count_connects(coze, lambda: [model.invoke(QUESTION) for _ in range(5)])
    assert opened == 1

    async def run() -> None:
        for _ in range(5):
            await model.ainvoke(QUESTION)

    assert _count_connects(coze, lambda: asyncio.run(run())) == 1


def _count_connects(coze: LocalCoze, work: Callable[[], Any]) -> int:
    """Count connections to the server; asyncio connects through the same method."""
    coze.reset()
    connects = 0
    original = socket.socket.connect

    def counted(self: socket.socket, address: Any) -> None:
        nonlocal connects
        connects += address[1] == coze.port
        original(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", counted)
        work()
    return connects


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_event_loops_leave_nothing_behind(coze: LocalCoze, backend: str) -> None:
    model = make_chat(coze, http_backend=backend)

    async def run() -> str:
        return (await model.ainvoke(QUESTION)).text

    asyncio.run(run())
    gc.collect()
    before = _open_files()
    for _ in range(30):
        assert asyncio.run(run()) == ANSWER
    gc.collect()
    assert _open_files() <= before + 2
    assert _runtime._pools is not None
    assert len(_runtime._pools._loop_pools) <= 2


def _open_files() -> int:
    """Return how many files and sockets this process has open, or 0 if that is unknown."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_150_calls_at_once_on_one_loop_are_answered(coze: LocalCoze, backend: str) -> None:
    """The default pool of httpx fails here: it has 100 connections and waits 5 s for one."""

    async def run() -> list[str]:
        model = make_chat(coze, http_backend=backend)
        answers = await asyncio.gather(*(model.ainvoke(QUESTION) for _ in range(150)))
        await model.aclose()
        return [answer.text for answer in answers]

    assert asyncio.run(run()) == [ANSWER] * 150


def test_threads_and_batches_get_whole_answers(coze: LocalCoze) -> None:
    model = make_chat(coze)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda _: invoke(model, QUESTION).text, range(48))) == [ANSWER] * 48
    assert [m.text for m in model.batch([QUESTION] * 10)] == [ANSWER] * 10
    abatch = asyncio.run(model.abatch([QUESTION] * 10))
    assert [m.text for m in abatch] == [ANSWER] * 10


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_lets_running_streams_end(coze: LocalCoze, backend: str) -> None:
    model = make_chat(coze)
    stream = model.stream(QUESTION)
    text = next(stream).text
    model.close()
    assert text + "".join(chunk.text for chunk in stream) == ANSWER
    assert invoke(model, QUESTION).text == ANSWER  # a later call opens a new connection

    with make_chat(coze) as entered:
        assert invoke(entered, QUESTION).text == ANSWER

    async def run() -> None:
        async with make_chat(coze, http_backend=backend) as model:
            chunks = model.astream(QUESTION)
            text = (await anext(chunks)).text
            await model.aclose()
            assert text + "".join([chunk.text async for chunk in chunks]) == ANSWER

    asyncio.run(run())


@pytest.mark.parametrize("ask", BACKEND_STYLES)
@pytest.mark.parametrize(
    "change",
    [
        lambda model: pickle.loads(pickle.dumps(model)),
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(update={"user_id": "u2"}),
    ],
)
def test_a_used_model_can_be_copied(coze: LocalCoze, change: Any, ask: Any) -> None:
    model = make_chat(coze)
    assert ask(model, QUESTION).text == ANSWER
    again = change(model)
    assert ask(again, QUESTION).text == ANSWER


def test_a_copy_with_another_token_uses_it(coze: LocalCoze) -> None:
    model = make_chat(coze, api_key="pat_wrong")
    with pytest.raises(CozeError):
        model.invoke(QUESTION)
    assert model.model_copy(update={"api_key": coze.token}).invoke(QUESTION).text == ANSWER


def test_configurable_fields_keep_streaming(coze: LocalCoze) -> None:
    model = make_chat(coze).configurable_fields(user_id=ConfigurableField(id="user"))
    chunks = list(model.stream(QUESTION, config={"configurable": {"user": "u3"}}))
    assert len(chunks) > 3


def test_a_fork_shares_no_connection(coze: LocalCoze) -> None:
    model = make_chat(coze)
    assert invoke(model, QUESTION).text == ANSWER
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the other process
        try:
            os.write(write, invoke(model, QUESTION).text.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read().decode() == ANSWER
    os.waitpid(child, 0)
    assert invoke(model, QUESTION).text == ANSWER


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fork_leaves_the_loop_of_its_parent_alone(coze: LocalCoze, backend: str) -> None:
    """A child that closed connections would take their sockets from the loop of its parent."""
    model = make_chat(coze, http_backend=backend)

    async def run() -> None:
        assert (await model.ainvoke(QUESTION)).text == ANSWER
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        child = os.fork()
        if child == 0:  # pragma: no cover - the other process
            gc.collect()
            os._exit(len(complaints))
        assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        assert (await model.ainvoke(QUESTION)).text == ANSWER

    asyncio.run(run())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_that_was_closed_in_a_hurry_is_forgotten(coze: LocalCoze, backend: str) -> None:
    model = make_chat(coze, http_backend=backend)
    complaints: list[Any] = []
    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda _, told: complaints.append(told))
        assert loop.run_until_complete(model.ainvoke(QUESTION)).text == ANSWER
        loop.close()  # without `shutdown_asyncgens`
    assert ainvoke(model, QUESTION).text == ANSWER
    gc.collect()
    assert complaints == []
    assert _runtime._pools is not None
    assert len(_runtime._pools._loop_pools) <= 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_connection_that_the_server_has_closed_is_not_used(backend: str) -> None:
    """Neither if the loop was busy, and could not see it."""

    def answer() -> None:
        for _ in range(2):
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(TURN) + TURN)
                time.sleep(0.2)

    async def run(model: ChatCoze) -> None:
        assert (await model.ainvoke("Hi")).text == TURN_TEXT
        time.sleep(1.2)  # noqa: ASYNC251 - blocks the loop
        assert (await model.ainvoke("Hi")).text == TURN_TEXT

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        model = ChatCoze(bot_id="7", api_key="t", base_url=url, http_backend=backend, max_retries=0)
        asyncio.run(run(model))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_that_stops_reading_is_a_timeout(backend: str) -> None:
    """aiohttp itself has no time limit for writing."""
    fields: dict[str, Any] = {"timeout": 0.3, "http_backend": backend, "max_retries": 0}
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20_000_000)).decode()
    blocks: list[str | dict[Any, Any]] = [
        {"type": "text", "text": "?"},
        {"type": "image", "base64": image, "mime_type": "image/png"},
    ]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        model = ChatCoze(bot_id="7", api_key="t", base_url=url, **fields)
        for question in (HumanMessage(blocks), "x" * 20_000_000):
            begin = time.monotonic()
            with pytest.raises(CozeTimeoutError, match="sent nothing for too long"):
                asyncio.run(model.ainvoke([question]))
            assert time.monotonic() - begin < 5


def test_clients_of_the_user_are_used_and_left_open(coze: LocalCoze) -> None:
    requests: list[Any] = []
    with httpx.Client(event_hooks={"request": [requests.append]}) as client:
        model = ChatCoze(http_client=client, **_get_address(make_chat(coze)))
        assert invoke(model, QUESTION).text == ANSWER
        assert ainvoke(model, QUESTION).text == ANSWER  # the user gave no client for this
        model.close()
        assert not client.is_closed
        assert len(requests) == 1
        with pytest.raises(TypeError, match=r"http_client=.*cannot be pickled"):
            pickle.dumps(model)

    async def run() -> None:
        async def hook(request: Any) -> None:
            requests.append(request)

        async with httpx.AsyncClient(event_hooks={"request": [hook]}) as client:
            model = make_chat(coze, http_async_client=client)
            assert (await model.ainvoke(QUESTION)).text == ANSWER
            assert len(requests) == 2

    asyncio.run(run())


def test_a_client_of_the_user_keeps_its_timeout_unless_one_is_given(coze: LocalCoze) -> None:
    coze.faults = "idle=5"
    with httpx.Client(timeout=0.2) as client, pytest.raises(CozeTimeoutError):
        invoke(ChatCoze(http_client=client, **_get_address(make_chat(coze))), QUESTION)
    with httpx.Client(timeout=30) as client, pytest.raises(CozeTimeoutError):
        invoke(ChatCoze(http_client=client, timeout=0.2, **_get_address(make_chat(coze))), QUESTION)


def test_timeouts_of_httpx_are_accepted(coze: LocalCoze) -> None:
    patient = make_chat(coze, timeout=httpx.Timeout(5, connect=1))
    impatient = make_chat(coze, timeout=httpx.Timeout(5, read=0.2))
    unlimited = make_chat(coze, timeout=None)
    for ask in SINGLE_STYLES:
        assert ask(patient, QUESTION).text == ANSWER
        assert ask(unlimited, QUESTION).text == ANSWER
    coze.faults = "idle=5"
    for ask in SINGLE_STYLES:
        with pytest.raises(CozeTimeoutError):
            ask(impatient, QUESTION)


def _get_address(model: ChatCoze) -> dict[str, Any]:
    """Return the fields that address a bot, without its timeout."""
    return {"bot_id": model.bot_id, "api_key": model.api_key, "base_url": model.base_url}


def test_clients_of_the_wrong_kind_are_refused_at_once(coze: LocalCoze) -> None:
    with pytest.raises(ValueError, match=r"must be an httpx\.Client"):
        make_chat(coze, http_client=httpx.AsyncClient())
    with (
        httpx.Client() as client,
        pytest.raises(ValueError, match=r"must be an httpx\.AsyncClient"),
    ):
        make_chat(coze, http_async_client=client)


def test_the_first_free_connection_is_used_so_that_others_become_idle() -> None:
    slots = pool.ConnectionPool(object)
    taken = [slots.acquire() for _ in range(3)]
    assert [slot.number for slot in taken] == [0, 1, 2]
    transports = [slot.transport for slot in taken]
    for slot in reversed(taken):
        assert slots.release(slot) == []
    assert slots.acquire() is taken[0]
    taken[2].released_at -= 100
    assert slots.take_idle(30) == [transports[2]]
    assert slots.release(taken[0]) == []
    assert slots.acquire() is taken[0]
    assert slots.close() == [transports[1]]
    # a connection in use is closed when it is released
    assert slots.release(taken[0]) == [transports[0]]


def _call_each(servers: Sequence[LocalCoze], ask: CallStyle, pause: float = 0) -> list[int]:
    """Call each server; return how many files are open after each call."""
    open_files: list[int] = []
    models = [make_chat(server) for server in servers]
    if _runtime._pools is not None:
        _runtime._pools.close()  # the connections of other tests

    def count() -> None:
        open_files.append(_open_files())
        time.sleep(pause)

    async def call_on_one_loop() -> None:
        for model in models:
            await model.ainvoke(QUESTION)
            count()

    if ask is ainvoke_aiohttp:
        models = [use_aiohttp(model) for model in models]
    if ask is invoke:
        for model in models:
            model.invoke(QUESTION)
            count()
    else:
        asyncio.run(call_on_one_loop())
    return open_files


@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_connections_to_many_servers_are_limited(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_MAX_SERVERS", 2)
    with ExitStack() as stack:
        servers = [stack.enter_context(LocalCoze(BOT)) for _ in range(8)]
        open_files = _call_each(servers, ask)
    assert open_files[7] <= open_files[2] + 3  # a connection is two files: ours and the server's


@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_idle_connections_to_other_servers_are_closed(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_KEEP_ALIVE", 0.05)
    with ExitStack() as stack:
        servers = [stack.enter_context(LocalCoze(BOT)) for _ in range(8)]
        open_files = _call_each(servers, ask, pause=0.1)
    assert open_files[7] <= open_files[2] + 3


# --- Size and encoding of responses ------------------------------------------------------------


def _compress(data: bytes, content_type: str) -> dict[str, Sequence[Step]]:
    body = gzip.compress(data)
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}", "Content-Encoding: gzip"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return {"/v3/chat": [head.encode() + body]}


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_compressed_response_is_rejected_unless_it_was_requested(
    ask: CallStyle, content_type: str
) -> None:
    replies = _compress(TURN, content_type)
    with serve_script(raw_replies=replies) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url, max_retries=0)
        with pytest.raises(CozeServerError, match=r"compressed \(gzip\)") as caught:
            ask(model, QUESTION)
        assert 'default_headers={"accept-encoding": "gzip"}' in (caught.value.hint or "")
        assert caught.value.may_have_started


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_compressed_response_that_was_requested_is_read(ask: CallStyle) -> None:
    replies = _compress(TURN, "text/event-stream")
    with serve_script(raw_replies=replies) as server:
        model = ChatCoze(
            bot_id="7",
            api_key="t",
            base_url=server.base_url,
            default_headers={"Accept-Encoding": "gzip, br"},
        )
        assert ask(model, QUESTION).content == TURN_TEXT


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_response_that_expands_without_end_is_not_read(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_BODY_SIZE", 1 << 20)
    replies = _compress(b"{" + bytes(1 << 25), "application/json")
    headers = {"Accept-Encoding": "gzip"}
    with serve_script(raw_replies=replies) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url, default_headers=headers)
        with pytest.raises(CozeServerError, match="exceeds 1 MB"):
            ask(model, QUESTION)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_an_event_without_end_is_not_read(ask: CallStyle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_SIZE", 1 << 20)
    endless = b"event:conversation.message.delta\ndata:" + b"x" * (1 << 21)
    with serve_script(endless, 5.0) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url)
        with pytest.raises(CozeStreamError, match="exceeds 1 MB"):
            ask(model, QUESTION)
        assert server.client_left.wait(3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_warm_interpreter_ends_without_complaint(coze: LocalCoze, backend: str) -> None:
    """Sockets are closed with their loop and at exit, so `-W error` finds none open."""
    script = (
        "import asyncio, logging\n"
        "from langchain_coze import ChatCoze\n"
        "busy = 'Executing %s took'  # logged on a busy machine\n"
        "logging.getLogger('asyncio').addFilter(lambda entry: busy not in entry.msg)\n"
        f"bot = ChatCoze(timeout=5, http_backend={backend!r})\n"
        "assert bot.invoke('hi').text == asyncio.run(bot.ainvoke('hi')).text\n"
        "async def main():\n"
        "    async for _ in bot.astream('hi'): break\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", script],
        env=os.environ
        | {
            "COZE_BOT_ID": BOT.bot_id,
            "COZE_API_TOKEN": coze.token,
            "COZE_API_BASE": coze.base_url,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_blocking_call_returns_before_the_connection_is_closed() -> None:
    """The last chunk comes with `done`, although the connection stays open for a while."""
    bot = LocalBot(lambda _: "x", name="quick")
    with LocalCoze(bot) as coze:
        model = make_chat(coze)
        model.invoke("warm")
        started = time.monotonic()
        model.invoke("Hi")
        assert time.monotonic() - started < 1
