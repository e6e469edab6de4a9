"""`max_duration` limits each phase of a call: one row for each phase; over sockets."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage

from langchain_coze import (
    ChatCoze,
    CozeJWTAuth,
    CozeRecallRetriever,
    CozeTimeoutError,
    CozeWorkflowTool,
    _runtime,
)
from langchain_coze.local import LocalOAuthApp
from tests.conftest import wait_until
from tests.integration_tests.call_styles import (
    BACKEND_STYLES,
    SINGLE_STYLES,
    CallStyle,
    ainvoke,
    astream,
    invoke,
    stream,
    use_aiohttp,
)
from tests.integration_tests.scripted_server import ScriptedServer, Step, serve_script
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

LIMIT = 0.4
HEAD = b"HTTP/1.1 200 OK\r\nX-Slow: "
TRICKLE: list[Step] = [b"a", 0.05] * 100
SLOW_HEAD: list[Step] = [HEAD, *TRICKLE]
PROCESSING: list[Step] = [b"HTTP/1.1 102 Processing\r\n\r\n", 0.05] * 100
SILENCE: list[Step] = [10.0]
SLOW_JSON: list[Step] = [
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
    *TRICKLE,
]
HEARTBEATS: list[Step] = [b":\n\n", 0.05] * 100
SLOW_EVENTS: list[Step] = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    *HEARTBEATS,
]
PHASES = {
    "head": SLOW_HEAD,
    "1xx replies": PROCESSING,
    "no head": SILENCE,
    "JSON body": SLOW_JSON,
    "events": SLOW_EVENTS,
}
CHAT, RUN, UPLOAD = "/v3/chat", "/v1/workflow/stream_run", "/v1/files/upload"
TOKEN = "/api/permission/oauth2/token"
APP = LocalOAuthApp("310000000777")
IMAGE = HumanMessage(
    [
        {"type": "text", "text": "What is this?"},
        {
            "type": "image",
            "base64": base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode(),
            "mime_type": "image/png",
        },
    ]
)


@contextmanager
def serve_raw(replies: Mapping[str, Sequence[Step]]) -> Iterator[ScriptedServer]:
    with serve_script(raw_replies=replies) as server:
        yield server


def make_model(base_url: str, **fields: Any) -> ChatCoze:
    known = {"bot_id": "7", "api_key": "t", "max_duration": LIMIT, "max_retries": 0}
    return ChatCoze(**(known | {"base_url": base_url} | fields))


def make_auth() -> CozeJWTAuth:
    return CozeJWTAuth(
        client_id=APP.client_id, public_key_id=APP.key_id, private_key=APP.private_key
    )


def expect_deadline(call: Callable[[], Any], *, may_have_started: bool) -> None:
    begin = time.monotonic()
    with pytest.raises(CozeTimeoutError, match="longer than max_duration allows") as caught:
        call()
    assert LIMIT * 0.9 < time.monotonic() - begin < LIMIT + 1
    assert caught.value.may_have_started is may_have_started


@pytest.fixture(autouse=True)
def _forget_tokens() -> Iterator[None]:
    yield
    _runtime.oauth_tokens.clear()
    _runtime.uploaded_file_ids.clear()


# --- Each phase ----------------------------------------------------------------------------------


@pytest.fixture
def full_listener() -> Iterator[str]:
    """Yield the address of a server that does not accept connections."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # fill its queue
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_deadline_ends_connecting(full_listener: str, ask: CallStyle) -> None:
    expect_deadline(lambda: ask(make_model(full_listener), "Hi"), may_have_started=False)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_deadline_ends_the_reply_of_a_chat(ask: CallStyle, phase: str) -> None:
    with serve_raw({CHAT: PHASES[phase]}) as server:
        model = make_model(server.base_url)
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=True)
        assert server.client_left.wait(3)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_the_reply_of_a_polled_chat(ask: CallStyle, phase: str) -> None:
    with serve_raw({CHAT: PHASES[phase]}) as server:
        model = make_model(server.base_url, response_mode="poll")
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=True)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_the_reply_of_a_workflow(ask: CallStyle, phase: str) -> None:
    with serve_raw({RUN: PHASES[phase]}) as server:
        tool = CozeWorkflowTool(
            workflow_id="7",
            name="tea",
            description="Tea.",
            args_schema={"type": "object", "properties": {}},
            api_key="t",
            base_url=server.base_url,
            max_duration=LIMIT,
        )
        expect_deadline(lambda: ask(tool, {}), may_have_started=True)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_the_reply_of_a_search(ask: CallStyle, phase: str) -> None:
    with serve_raw({CHAT: PHASES[phase]}) as server:
        retriever = CozeRecallRetriever(
            bot_id="7", api_key="t", base_url=server.base_url, max_duration=LIMIT
        )
        expect_deadline(lambda: ask(retriever, "Hi"), may_have_started=True)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_the_head_on_a_connection_that_is_reused(ask: CallStyle) -> None:
    requests = 0

    def answer() -> None:
        nonlocal requests
        client, _ = listener.accept()
        with client:
            while client.recv(65536):
                requests += 1
                if requests == 1:
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(TURN) + TURN)
                    continue
                client.sendall(HEAD)
                for _ in range(100):
                    try:
                        client.sendall(b"a")
                    except OSError:
                        return
                    time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        model = make_model(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def call_twice() -> None:
            assert ask(model, "Hi").content == TURN_TEXT
            ask(model, "Hi")

        if ask in (invoke, stream):  # the async ones have a new loop, thus a new connection
            expect_deadline(call_twice, may_have_started=True)
        else:
            if ask not in (ainvoke, astream):
                model = use_aiohttp(model)
            expect_deadline(lambda: asyncio.run(_call_twice_async(model)), may_have_started=True)
        assert requests == 2
        thread.join(5)
        assert not thread.is_alive()


async def _call_twice_async(model: ChatCoze) -> None:
    assert (await model.ainvoke("Hi")).content == TURN_TEXT
    await model.ainvoke("Hi")


# --- What comes before the request ---------------------------------------------------------------


@pytest.mark.parametrize("phase", ["head", "1xx replies", "no head", "JSON body"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_the_token_of_an_oauth_app(ask: CallStyle, phase: str) -> None:
    with serve_raw({TOKEN: PHASES[phase]}) as server:
        model = make_model(server.base_url, api_key=make_auth())
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=False)
        assert server.paths == [TOKEN]


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_the_token_that_another_caller_fetches(ask: CallStyle) -> None:
    with serve_raw({TOKEN: [1.5]}) as server, ThreadPoolExecutor() as pool:
        patient = make_model(server.base_url, api_key=make_auth(), max_duration=None)
        other = pool.submit(patient.invoke, "Hi")
        wait_until(lambda: server.paths)
        model = make_model(server.base_url, api_key=make_auth())
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=False)
        assert not other.done()
        assert server.paths == [TOKEN]
        assert "max_duration" not in str(other.exception(10))


def test_a_deadline_is_no_error_for_others_who_wait_for_the_token() -> None:
    reply = b'{"access_token":"czs_1","expires_in":900,"token_type":"Bearer"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    turn = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + TURN
    token: list[Step] = [0.8, head % len(reply) + reply]
    with serve_raw({TOKEN: token, CHAT: [turn]}) as server, ThreadPoolExecutor() as pool:
        hasty = pool.submit(make_model(server.base_url, api_key=make_auth()).invoke, "Hi")
        wait_until(lambda: server.paths)
        patient = make_model(server.base_url, api_key=make_auth(), max_duration=None)
        assert patient.invoke("Hi").content == TURN_TEXT
        assert isinstance(hasty.exception(5), CozeTimeoutError)


@pytest.mark.parametrize("question", ["Hi", [IMAGE]], ids=["text", "upload"])
def test_the_token_of_an_async_function(question: Any) -> None:
    async def fetch_token() -> str:
        await asyncio.sleep(10)
        return "t"

    model = make_model("http://127.0.0.1:1", api_key=fetch_token)
    expect_deadline(lambda: asyncio.run(model.ainvoke(question)), may_have_started=False)


@pytest.mark.parametrize("phase", ["head", "1xx replies", "no head", "JSON body"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_deadline_ends_an_upload(ask: CallStyle, phase: str) -> None:
    with serve_raw({UPLOAD: PHASES[phase]}) as server:
        model = make_model(server.base_url)
        expect_deadline(lambda: ask(model, [IMAGE]), may_have_started=False)
        assert server.paths == [UPLOAD]


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_deadline_ends_the_wait_for_the_upload_of_another_caller(ask: CallStyle) -> None:
    with serve_raw({UPLOAD: [1.5]}) as server, ThreadPoolExecutor() as pool:
        other = pool.submit(make_model(server.base_url, max_duration=None).invoke, [IMAGE])
        wait_until(lambda: server.paths)
        model = make_model(server.base_url)
        expect_deadline(lambda: ask(model, [IMAGE]), may_have_started=False)
        assert server.paths == [UPLOAD]
        assert other.exception(10) is not None


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_the_turn_of_another_caller_in_the_conversation(ask: CallStyle) -> None:
    with serve_raw({CHAT: [1.5]}) as server, ThreadPoolExecutor() as pool:
        patient = make_model(server.base_url, max_duration=None, conversation_id="9")
        other = pool.submit(patient.invoke, "Hi")
        wait_until(lambda: server.paths)
        model = make_model(server.base_url, conversation_id="9")
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=False)
        assert len(server.paths) == 1
        assert other.exception(10) is not None


# --- Clients of the user -------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [30.0, None])
@pytest.mark.parametrize("phase", PHASES)
def test_deadlines_apply_to_a_user_supplied_client(phase: str, timeout: Any) -> None:
    with serve_raw({CHAT: PHASES[phase]}) as server, httpx.Client(timeout=timeout) as client:
        model = make_model(server.base_url, http_client=client)
        expect_deadline(lambda: model.invoke("Hi"), may_have_started=True)


@pytest.mark.parametrize("phase", PHASES)
def test_deadlines_apply_to_a_user_supplied_async_client(phase: str) -> None:
    async def run(base_url: str) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            await make_model(base_url, http_async_client=client).ainvoke("Hi")

    with serve_raw({CHAT: PHASES[phase]}) as server:
        expect_deadline(lambda: asyncio.run(run(server.base_url)), may_have_started=True)


def test_connecting_with_a_client_of_the_user(full_listener: str) -> None:
    with httpx.Client(timeout=60) as client:
        model = make_model(full_listener, http_client=client)
        expect_deadline(lambda: model.invoke("Hi"), may_have_started=False)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_deadlines_apply_with_an_httpx_timeout(ask: CallStyle) -> None:
    with serve_raw({CHAT: SILENCE}) as server:
        model = make_model(server.base_url, timeout=httpx.Timeout(30.0))
        expect_deadline(lambda: ask(model, "Hi"), may_have_started=True)


# --- One thread for all --------------------------------------------------------------------------


def test_one_thread_ends_all_calls_in_time() -> None:
    with serve_raw({CHAT: SLOW_HEAD}) as server, ThreadPoolExecutor(20) as pool:
        limits = [0.3 + 0.02 * number for number in range(20)]
        begin = time.monotonic()

        def call(limit: float) -> float:
            with pytest.raises(CozeTimeoutError):
                make_model(server.base_url, max_duration=limit).invoke("Hi")
            return time.monotonic() - begin

        took = list(pool.map(call, limits))
        assert [t.name for t in threading.enumerate()].count("coze-timer") == 1
    assert all(
        limit * 0.9 < seconds < limit + 1 for limit, seconds in zip(limits, took, strict=True)
    )
