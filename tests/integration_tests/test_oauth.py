"""CozeJWTAuth over sockets: shared exchanges, a token for each session, renewal in time."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import os
import pickle
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jwt
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tracers.context import collect_runs

from langchain_coze import (
    ChatCoze,
    CozeAuthenticationError,
    CozeConnectionError,
    CozeJWTAuth,
    CozeNotFoundError,
    CozeRateLimitError,
)
from langchain_coze.errors import CozeInvalidRequestError
from langchain_coze.local import LocalBot, LocalCoze, LocalOAuthApp, Turn
from tests.conftest import find_free_port, make_chat, wait_until
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle, ainvoke, invoke

ENDPOINT = "/api/permission/oauth2/token"
PAIR = LocalOAuthApp()
BOT = LocalBot(lambda question: f"echo {question}", name="echo")
numbers = itertools.count(310000000001)


def make_app(**fields: Any) -> LocalOAuthApp:
    """Return an app that no other test uses, so that it has no token yet."""
    return LocalOAuthApp(str(next(numbers)), public_key=PAIR.public_key, **fields)


def make_auth(app: LocalOAuthApp, **fields: Any) -> CozeJWTAuth:
    known = {"client_id": app.client_id, "public_key_id": app.key_id}
    return CozeJWTAuth(**(known | {"private_key": PAIR.private_key} | fields))


def list_requests(coze: LocalCoze, path: str = ENDPOINT) -> list[Any]:
    return [request for request in coze.requests if request.path == path]


def list_sent_tokens(coze: LocalCoze, path: str = "/v3/chat") -> list[str]:
    return [r.headers["authorization"].removeprefix("Bearer ") for r in list_requests(coze, path)]


@pytest.fixture
def app() -> LocalOAuthApp:
    return make_app()


@pytest.fixture
def coze(app: LocalOAuthApp) -> Iterator[LocalCoze]:
    with LocalCoze(BOT, oauth_apps=app) as running:
        yield running


# --- One exchange --------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_token_is_fetched_once_and_used(
    coze: LocalCoze, app: LocalOAuthApp, ask: CallStyle
) -> None:
    model = make_chat(coze, api_key=make_auth(app))
    assert ask(model, "a").text == "echo a"
    assert ask(model, "b").text == "echo b"
    assert [r.path for r in coze.requests] == [ENDPOINT, "/v3/chat", "/v3/chat"]
    first, second = list_sent_tokens(coze)
    assert first == second
    assert first.startswith("czs_")
    request = list_requests(coze)[0]
    claims = jwt.decode(
        request.headers["authorization"].removeprefix("Bearer "),
        PAIR.public_key,
        algorithms=["RS256"],
        audience=coze.base_url.removeprefix("http://"),
    )
    assert claims["iss"] == app.client_id
    assert request.body["duration_seconds"] == 900


def test_threads_and_tasks_make_one_exchange(coze: LocalCoze, app: LocalOAuthApp) -> None:
    coze.faults = f"slow_start=0.5,on={ENDPOINT}"
    found = fetch_all_at_once(make_auth(app, base_url=coze.base_url))
    assert len(found) == 70
    assert len(set(found)) == 1
    assert found[0].startswith("czs_")
    assert len(list_requests(coze)) == 1


def test_threads_and_tasks_share_a_refusal(coze: LocalCoze, app: LocalOAuthApp) -> None:
    coze.faults = f"slow_start=0.5,on={ENDPOINT}"
    found = fetch_all_at_once(make_auth(app, base_url=coze.base_url, public_key_id="7"))
    assert len(found) == 70
    assert len(set(found)) == 1
    assert "invalid_client: invalid jwt: kid not been registred." in found[0]
    assert len(list_requests(coze)) == 1


def fetch_all_at_once(auth: CozeJWTAuth) -> list[str]:
    """Fetch tokens or error messages in 20 threads and, on one more, in 50 tasks."""
    together = threading.Barrier(21)

    def blocking() -> str:
        together.wait(10)
        try:
            return auth()
        except CozeAuthenticationError as error:
            return str(error)

    async def waiting() -> str:
        try:
            return await auth.atoken()
        except CozeAuthenticationError as error:
            return str(error)

    async def tasks() -> list[str]:
        await asyncio.to_thread(together.wait, 10)
        return await asyncio.gather(*(waiting() for _ in range(50)))

    with ThreadPoolExecutor(21) as pool:
        threads = [pool.submit(blocking) for _ in range(20)]
        loop = pool.submit(lambda: asyncio.run(tasks()))
        return [*(thread.result(20) for thread in threads), *loop.result(20)]


def test_copies_and_other_loops_share_the_token(coze: LocalCoze, app: LocalOAuthApp) -> None:
    auth = make_auth(app)
    model = make_chat(coze, api_key=auth)
    for each in (model, pickle.loads(pickle.dumps(model)), make_chat(coze, api_key=make_auth(app))):
        assert invoke(each, "a").text == "echo a"
        assert ainvoke(each, "a").text == "echo a"
    assert make_auth(app, base_url=coze.base_url).token == list_sent_tokens(coze)[0]
    assert len(list_requests(coze)) == 1


def test_a_cancelled_fetch_is_repeated_by_the_next_caller(
    coze: LocalCoze, app: LocalOAuthApp
) -> None:
    coze.faults = f"slow_start=0.5,on={ENDPOINT}"
    auth = make_auth(app, base_url=coze.base_url)

    async def run() -> str:
        first = asyncio.create_task(auth.atoken())
        await asyncio.to_thread(wait_until, lambda: list_requests(coze))
        second = asyncio.create_task(auth.atoken())
        await asyncio.sleep(0)  # it runs until it waits for the first
        first.cancel()
        return await asyncio.wait_for(second, 5)

    assert asyncio.run(run()).startswith("czs_")
    assert len(list_requests(coze)) == 2


def test_a_blocking_call_inside_a_loop_does_not_wait_for_itself(
    coze: LocalCoze, app: LocalOAuthApp
) -> None:
    coze.faults = f"slow_start=0.3,on={ENDPOINT}"
    auth = make_auth(app, base_url=coze.base_url)

    async def run() -> tuple[str, str]:
        fetching = asyncio.create_task(auth.atoken())
        await asyncio.to_thread(wait_until, lambda: list_requests(coze))
        return auth.token, await fetching

    began = time.monotonic()
    assert all(token.startswith("czs_") for token in asyncio.run(run()))
    assert time.monotonic() - began < 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_fetches_its_own_token(coze: LocalCoze, app: LocalOAuthApp) -> None:
    auth = make_auth(app, base_url=coze.base_url)
    ours = auth.token
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the other process
        try:
            os.write(write, auth.token.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read().decode()
    os.waitpid(child, 0)
    assert theirs.startswith("czs_")
    assert theirs != ours
    assert auth.token == ours


def test_a_coroutine_function_may_return_the_token(coze: LocalCoze, app: LocalOAuthApp) -> None:
    auth = make_auth(app, base_url=coze.base_url)

    async def key() -> str:
        return await auth.atoken()

    assert ainvoke(make_chat(coze, api_key=key), "a").text == "echo a"
    assert invoke(make_chat(coze, api_key=auth.for_session("x").__call__), "a").text == "echo a"


# --- Sessions ------------------------------------------------------------------------------------


def test_each_session_has_its_own_token_and_conversations() -> None:
    def count(_question: str, turn: Turn) -> str:
        return str(len(turn.messages))

    app, bot = make_app(), LocalBot(count, name="count")
    with LocalCoze(bot, oauth_apps=app) as coze:
        auth = make_auth(app)
        ada, ben = (
            make_chat(coze, api_key=auth.for_session(name), bot_id=bot.bot_id)
            for name in ("ada", "ben")
        )
        first = invoke(ada, "a", auto_save_history=True)
        place = first.response_metadata["conversation_id"]
        assert invoke(ada, "b", conversation_id=place).text == "3"
        with pytest.raises((CozeNotFoundError, CozeInvalidRequestError), match="4002"):
            invoke(ben, "c", conversation_id=place)
        names = [
            jwt.decode(token, options={"verify_signature": False})["session_name"]
            for token in list_sent_tokens(coze, ENDPOINT)
        ]
    assert names == ["ada", "ben"]


current_user: contextvars.ContextVar[str | None] = contextvars.ContextVar("user", default=None)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_function_names_the_session_of_each_request(
    coze: LocalCoze, app: LocalOAuthApp, ask: CallStyle
) -> None:
    model = make_chat(coze, api_key=make_auth(app, session_name=current_user.get))
    for name in ("ada", "ben", "ada", None):
        context = contextvars.copy_context()
        context.run(current_user.set, name)
        assert context.run(ask, model, "a").text == "echo a"
    one, two, three, four = list_sent_tokens(coze)
    assert one == three
    assert len({one, two, four}) == 3


# --- Renewal -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [4100, 700012006])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_refused_token_is_renewed_once(
    coze: LocalCoze, app: LocalOAuthApp, ask: CallStyle, code: int
) -> None:
    model = make_chat(coze, api_key=make_auth(app))
    coze.faults = f"error={code},times=1"
    assert ask(model, "a").text == "echo a"
    assert [r.path for r in coze.requests] == [ENDPOINT, "/v3/chat"] * 2
    assert len(set(list_sent_tokens(coze))) == 2
    assert len({*list_sent_tokens(coze, ENDPOINT)}) == 2  # no JWT is sent twice
    coze.reset()
    coze.faults = f"error={code}"
    with pytest.raises(CozeAuthenticationError, match=str(code)):
        ask(model, "a")
    assert [r.path for r in coze.requests] == ["/v3/chat", ENDPOINT, "/v3/chat"]


@pytest.mark.parametrize("callers", [1, 20])
def test_a_server_that_forgot_its_tokens_gives_one_new_token(
    app: LocalOAuthApp, callers: int
) -> None:
    together = threading.Barrier(callers)

    def ask() -> str:
        together.wait(10)
        return invoke(model, "a").text

    port = find_free_port()
    with LocalCoze(BOT, oauth_apps=app, port=port) as coze:
        model = make_chat(coze, api_key=make_auth(app))
        assert invoke(model, "a").text == "echo a"
    with LocalCoze(BOT, oauth_apps=app, port=port) as coze, ThreadPoolExecutor(callers) as pool:
        answers = [each.result(20) for each in [pool.submit(ask) for _ in range(callers)]]
        assert answers == ["echo a"] * callers
        assert len(list_requests(coze)) == 1


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_files_outlive_the_token_but_not_the_session(
    coze: LocalCoze, app: LocalOAuthApp, ask: CallStyle
) -> None:
    picture = {"type": "file", "base64": "dGVh", "mime_type": "text/plain"}
    question = [HumanMessage([{"type": "text", "text": "a"}, picture])]
    ada = make_chat(coze, api_key=make_auth(app, session_name="ada"))
    ask(ada, question)
    coze.faults = "error=4100,times=1"
    for _ in range(2):
        assert ask(ada, question).text == "echo a"
    assert len(set(list_sent_tokens(coze))) == 2
    assert len(list_requests(coze, "/v1/files/upload")) == 1
    ben = make_chat(coze, api_key=make_auth(app, session_name="ben"))
    assert ask(ben, question).text == "echo a"
    assert len(list_requests(coze, "/v1/files/upload")) == 2


def test_a_token_is_renewed_before_it_expires() -> None:
    app = make_app(max_seconds=3)
    with LocalCoze(BOT, oauth_apps=app) as coze:
        model = make_chat(coze, api_key=make_auth(app))
        calls, until = 0, time.monotonic() + 4
        while time.monotonic() < until:
            invoke(model, "a")
            calls += 1
            time.sleep(0.05)  # a program that makes a call now and then
        assert len(list_requests(coze)) >= 2
        assert len(list_requests(coze, "/v3/chat")) == calls  # none was refused


# --- Errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
@pytest.mark.parametrize(
    "change", [{"client_id": "7"}, {"public_key_id": "7"}, {"private_key": None}]
)
def test_an_unknown_app_is_an_authentication_error(
    coze: LocalCoze, app: LocalOAuthApp, ask: CallStyle, change: dict[str, Any]
) -> None:
    if "private_key" in change:
        change = {"private_key": LocalOAuthApp().private_key}
    with pytest.raises(CozeAuthenticationError, match="invalid_client") as caught:
        ask(make_chat(coze, api_key=make_auth(app, **change)), "a")
    assert "public_key_id" in (caught.value.hint or "")
    assert caught.value.logid
    assert [r.path for r in coze.requests] == [ENDPOINT]  # and the exchange is not repeated


@pytest.mark.parametrize(
    ("offset", "message"), [(3600, "s behind Coze's"), (-3600, "s ahead of Coze's")]
)
def test_a_wrong_clock_is_reported(
    coze: LocalCoze, app: LocalOAuthApp, offset: float, message: str
) -> None:
    coze.clock_offset = offset
    with pytest.raises(CozeAuthenticationError, match=message) as caught:
        invoke(make_chat(coze, api_key=make_auth(app)), "a")
    assert "NTP" in (caught.value.hint or "")


def test_a_small_clock_skew_is_tolerated(coze: LocalCoze, app: LocalOAuthApp) -> None:
    auth = make_auth(app, base_url=coze.base_url, duration_seconds=40)
    for offset in (45, -45):
        coze.clock_offset = offset
        one = auth.for_session(str(offset))
        assert one.token == one.token


def test_a_jwt_for_another_site_is_refused(coze: LocalCoze, app: LocalOAuthApp) -> None:
    auth = make_auth(app)._sign_jwt("api.coze.com", None)
    reply = httpx.post(
        coze.base_url + ENDPOINT, headers={"Authorization": f"Bearer {auth}"}, trust_env=False
    )
    assert "aud must be" in reply.json()["error_message"]


def test_studio_without_oauth_is_explained(app: LocalOAuthApp) -> None:
    with LocalCoze(BOT, oauth_apps=app, profile="studio") as coze:
        with pytest.raises(CozeAuthenticationError, match="missing session_key") as caught:
            invoke(make_chat(coze, api_key=make_auth(app)), "a")
        assert "Studio" in (caught.value.hint or "")
        assert "个人访问令牌" in (caught.value.hint or "")
        assert len(coze.requests) <= 1


class CountingTransport(httpx.BaseTransport):
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.paths: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if isinstance(self.answer, Exception):
            raise self.answer
        assert isinstance(self.answer, httpx.Response)
        return httpx.Response(self.answer.status_code, headers=self.answer.headers, content=b"")


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.ConnectError("no route"), CozeConnectionError),
        (httpx.Response(429, headers={"retry-after": "0"}), CozeRateLimitError),
    ],
)
def test_a_failed_exchange_is_retried_at_most_max_retries_times(
    app: LocalOAuthApp, answer: Any, kind: type[Exception], retries: int
) -> None:
    transport = CountingTransport(answer)
    with httpx.Client(transport=transport) as client:
        model = ChatCoze(
            bot_id="1", api_key=make_auth(app), http_client=client, max_retries=retries
        )
        with pytest.raises(kind):
            invoke(model, "a")
    assert transport.paths == [ENDPOINT] * (retries + 1)


def test_headers_for_a_gateway_are_not_sent_to_coze(coze: LocalCoze, app: LocalOAuthApp) -> None:
    with LocalCoze(BOT) as gateway:
        auth = make_auth(app, base_url=coze.base_url)
        model = make_chat(gateway, api_key=auth, default_headers={"x-gateway": "1"})
        with pytest.raises(CozeAuthenticationError):
            invoke(model, "a")
        assert [r.headers.get("x-gateway") for r in gateway.requests] == ["1", "1"]
        assert [r.headers.get("x-gateway") for r in coze.requests] == [None, None]
    invoke(make_chat(coze, api_key=make_auth(app), default_headers={"x-gateway": "1"}), "a")
    assert coze.requests[-1].headers["x-gateway"] == "1"


def test_no_secret_is_shown(
    coze: LocalCoze, app: LocalOAuthApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = make_auth(app)
    model = make_chat(coze, api_key=auth)
    with collect_runs() as collected:
        invoke(model, "a")
    texts = [repr(model), repr(auth), str(vars(auth)), str(collected.traced_runs[0].model_dump())]
    coze.faults = "error=4100"
    for each in (model, make_chat(coze, api_key=make_auth(app, public_key_id="7"))):
        with pytest.raises(CozeAuthenticationError) as caught:
            invoke(each, "a")
        error = caught.value
        texts += [repr(error), str(error), str(vars(error)), repr(pickle.dumps(error))]
        texts += traceback.format_exception(error)
    secrets = [
        PAIR.private_key.splitlines()[3],
        *list_sent_tokens(coze),
        *list_sent_tokens(coze, ENDPOINT),
    ]
    assert len(secrets) >= 6
    # the secret part of a JWT is its signature
    parts = [secret.rpartition(".")[2] for secret in secrets]
    assert not [text for text in [*texts, caplog.text] for part in parts if part in text]
