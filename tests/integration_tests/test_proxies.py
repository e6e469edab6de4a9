"""Proxies of the environment and of a user's client, and what an error says about them."""

from __future__ import annotations

import asyncio
import base64
import functools
import importlib.util
import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from langchain_coze import (
    ChatCoze,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeJWTAuth,
    CozeRecallRetriever,
    CozeWorkflowTool,
)
from langchain_coze.local import LocalCoze, LocalOAuthApp
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import (
    BACKEND_STYLES,
    SINGLE_STYLES,
    CallStyle,
    ainvoke,
    invoke,
)
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.tea_bot import ANSWER, BOT, QUESTION
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

coze = serve(BOT)

DEAD = "http://127.0.0.1:9"
DEAD_WITH_PASSWORD = "http://user:hunter2@127.0.0.1:9"
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _no_proxies_and_no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith("invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def make_host() -> str:
    """Return a host that does not exist; a new one has no connections with an earlier proxy."""
    return f"h{next(_numbers)}.invalid"


def catch(call: Callable[[], Any], kind: type[CozeError] = CozeConnectionError) -> str:
    with pytest.raises(CozeError) as caught:
        call()
    assert type(caught.value) is kind
    assert "hunter" not in f"{caught.value!s}{caught.value!r}{vars(caught.value)}"
    return str(caught.value)


def call_at(ask: CallStyle, base_url: str, **fields: Any) -> Callable[[], Any]:
    fields = {"bot_id": "1", "api_key": "pat_x", "max_retries": 0, **fields}
    return lambda: ask(ChatCoze(base_url=base_url, **fields), QUESTION)


def test_the_environment_names_the_proxy_but_never_for_this_machine(
    coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        model = make_chat(coze)
        model.close()
        assert invoke(model, QUESTION).text == ANSWER

        def answer() -> None:
            connection, _ = proxy.accept()
            with connection:
                request_lines.append(connection.recv(4096).split(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")

        request_lines: list[bytes] = []
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(CozeError):
            invoke(make_chat(coze, base_url="http://coze.example"), QUESTION)
        thread.join(5)
        assert request_lines == [b"POST http://coze.example/v3/chat HTTP/1.1"]


@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_a_proxy_without_a_tunnel_gets_its_password(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_script(TURN) as proxy:
        address = f"http://ada:h%C3%BCnter2@127.0.0.1:{proxy.port}"
        monkeypatch.setenv("HTTP_PROXY", address)
        assert call_at(ask, f"http://{make_host()}")().content == TURN_TEXT
    password = base64.b64encode("ada:hünter2".encode()).decode().lower()
    assert [h["proxy-authorization"] for h in proxy.headers] == [f"basic {password}"]
    assert proxy.paths[0].endswith(".invalid/v3/chat")


@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_a_socks_proxy_carries_the_requests_of_each_backend(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    greetings: list[bytes] = []

    def answer() -> None:
        connection, _ = proxy.accept()
        with connection:
            greetings.append(connection.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.getsockname()[1]}")
        catch(call_at(ask, f"http://{make_host()}"))
        thread.join(5)
    assert greetings == [b"\5"]  # the version of the protocol


def test_a_socks_proxy_without_its_package_is_explained(
    coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setattr(importlib.util, "find_spec", sys.modules.get)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.delenv("http_proxy", raising=False)
    for ask in SINGLE_STYLES:
        with pytest.raises(CozeError, match=r'pip install "httpx\[socks\]"'):
            ask(make_chat(coze, base_url="http://socks.coze.example"), QUESTION)


# --- What a connection error says ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_an_error_names_host_and_port(ask: CallStyle, mode: Any) -> None:
    host = make_host()
    addresses = {
        f"http://{host}": f"{host}:80",
        f"https://{host}": f"{host}:443",
        f"http://{host}:81/prefix": f"{host}:81",
        "http://127.0.0.1:9": "127.0.0.1:9",
        "http://[::1]:9": "[::1]:9",
    }
    for base_url, address in addresses.items():
        text = catch(call_at(ask, base_url, response_mode=mode))
        assert f"reached at {address}, without a proxy (ConnectError" in text


@pytest.mark.parametrize(
    ("scheme", "variable"),
    [
        ("http", "HTTP_PROXY"),
        ("http", "http_proxy"),
        ("https", "HTTPS_PROXY"),
        ("https", "https_proxy"),
        ("https", "ALL_PROXY"),
        ("http", "all_proxy"),
    ],
)
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_an_error_names_the_proxy_and_its_variable(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    host = make_host()
    monkeypatch.setenv(variable, DEAD_WITH_PASSWORD)
    text = catch(call_at(ask, f"{scheme}://{host}"))
    assert f"through the proxy {DEAD} ({variable})" in text
    assert f"add {host} to NO_PROXY" in text


@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_lower_case_and_the_scheme_take_precedence(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:7")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:8")
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")
    text = catch(call_at(ask, f"http://{make_host()}"))
    assert f"through the proxy {DEAD} (http_proxy)" in text


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_an_error_explains_why_the_proxy_is_not_used(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", DEAD_WITH_PASSWORD)
    monkeypatch.setenv(variable, "example.com,.invalid")
    text = catch(call_at(ask, f"http://{make_host()}"))
    assert f"without a proxy ({variable} exempts this host)" in text
    text = catch(call_at(ask, DEAD))
    assert "without a proxy (HTTP_PROXY does not apply to this machine)" in text


def test_an_error_names_the_proxy_of_a_client_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherTransport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("no way", request=request)

    base_url = f"http://{make_host()}"
    proxied = httpx.Client(proxy=DEAD_WITH_PASSWORD)
    aproxied = httpx.AsyncClient(proxy=DEAD_WITH_PASSWORD)
    for call in (
        call_at(invoke, base_url, http_client=proxied),
        call_at(ainvoke, base_url, http_async_client=aproxied),
    ):
        assert f"own HTTP client, through the proxy {DEAD} (set on the client)" in catch(call)
    direct = httpx.Client()
    assert "own HTTP client, without a proxy" in catch(
        call_at(invoke, base_url, http_client=direct)
    )
    strange = httpx.Client(transport=OtherTransport())
    text = catch(call_at(invoke, base_url, http_client=strange))
    assert "own HTTP client, whose proxy is unknown (ConnectError: no way)" in text
    monkeypatch.setenv("ALL_PROXY", DEAD_WITH_PASSWORD)
    following = httpx.Client()
    assert f"through the proxy {DEAD} (ALL_PROXY)" in catch(
        call_at(invoke, base_url, http_client=following)
    )
    for client in (proxied, direct, strange, following):
        client.close()
    asyncio.run(aproxied.aclose())


def test_every_kind_of_request_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", DEAD_WITH_PASSWORD)
    base_url = f"http://{make_host()}"
    fields: dict[str, Any] = {"api_key": "pat_x", "base_url": base_url, "max_retries": 0}
    app = LocalOAuthApp()
    auth = CozeJWTAuth(
        client_id=app.client_id,
        private_key=app.private_key,
        public_key_id=app.key_id,
        base_url=base_url,
    )
    image = {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"}
    upload = [("user", [{"type": "text", "text": "?"}, image])]
    model = ChatCoze(bot_id="1", **fields)
    retriever = CozeRecallRetriever(bot_id="1", **fields)
    tool = CozeWorkflowTool(workflow_id="1", **fields)
    aauth = auth.model_copy(update={"http_backend": "aiohttp"})
    calls: list[Callable[[], Any]] = [
        lambda: auth.token,
        lambda: asyncio.run(auth.atoken()),
        lambda: asyncio.run(aauth.atoken()),
        *(functools.partial(ask, model, upload) for ask in SINGLE_STYLES),
        *(functools.partial(ask, retriever, "Hi") for ask in SINGLE_STYLES),
        *(functools.partial(ask, tool, {}) for ask in SINGLE_STYLES),
    ]
    for call in calls:
        text = catch(call)
        assert f"{base_url.removeprefix('http://')}:80, through the proxy {DEAD}" in text


# --- Proxies that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("socks://user:hunter2@127.0.0.1:1080", "socks://***@127.0.0.1:1080"),
        ("socks4://127.0.0.1:1080", "socks4://127.0.0.1:1080"),
        ("ht!tp://??", "ht!tp://??"),
        ("ftp://user:hunter2@proxy:21", "ftp://***@proxy:21"),
        ("http://127.0.0.1:99999", "http://127.0.0.1:99999"),
        ("http://proxy:http", "http://proxy:http"),
        ("http://user:hunter#2@proxy:80", "http://***@proxy:80"),
        ("user:hunter2@pro xy:80", "http://***@pro xy:80"),
        ("http://pro..xy:80", "http://pro..xy:80"),
        ("http://xn--a:80", "http://xn--a:80"),
        ("http://", "http://"),
    ],
)
@pytest.mark.parametrize("ask", SINGLE_STYLES)
def test_a_proxy_that_cannot_be_used_is_named(
    ask: CallStyle, monkeypatch: pytest.MonkeyPatch, value: str, shown: str
) -> None:
    for variable in ("ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, value)
        text = catch(call_at(ask, f"http://{make_host()}"), CozeInvalidRequestError)
        assert f"{variable}={shown!r} is not a valid proxy address" in text
        assert "提示：" in text


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:99999", "http://pro..xy:1"])
def test_a_client_with_an_impossible_proxy_is_an_error_of_ours(proxy: str) -> None:
    base_url = f"http://{make_host()}"
    with httpx.Client(proxy=proxy) as client, pytest.raises(CozeError, match="through the proxy"):
        call_at(invoke, base_url, http_client=client)()
    aclient = httpx.AsyncClient(proxy=proxy)
    with pytest.raises(CozeError, match="through the proxy"):
        call_at(ainvoke, base_url, http_async_client=aclient)()
    asyncio.run(aclient.aclose())
