"""A self-hosted server: private certificate authorities, client certificates, proxies; over TLS."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from langchain_coze import ChatCoze, CozeConnectionError, CozeTimeoutError, _runtime
from langchain_coze._api import pool
from tests.integration_tests.call_styles import BACKEND_STYLES, CallStyle
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

HOST = "studio.example"
PASSWORD = "proxy-pa55word"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _forget_connections() -> Iterator[None]:
    """Forget what the process has read from the environment, as in a new process."""

    def forget() -> None:
        pool._create_ssl_context.cache_clear()
        if _runtime._pools is not None:
            _runtime._pools.close()

    forget()
    yield
    forget()


@contextmanager
def serve_tls(
    authority: trustme.CA, *, require_client: bool = False, steps: Any = (TURN,)
) -> Iterator[ScriptedServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", HOST).configure_cert(context)
    if require_client:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    with serve_script(*steps, tls=context) as server:
        yield server


def make_model(base_url: str, **fields: Any) -> ChatCoze:
    known: dict[str, Any] = {"bot_id": "7", "api_key": "pat_secret", "max_retries": 0}
    return ChatCoze(**(known | {"base_url": base_url} | fields))


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_private_authority_is_named_by_the_environment(
    ask: CallStyle, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serve_tls(authority) as server:
        assert ask(make_model(server.base_url), "q").content == TURN_TEXT


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_an_untrusted_certificate_is_explained(ask: CallStyle, authority: trustme.CA) -> None:
    with serve_tls(authority) as server, pytest.raises(CozeConnectionError) as caught:
        ask(make_model(server.base_url), "q")
    text = str(caught.value)
    assert f"127.0.0.1:{server.port}" in text
    assert "SSL_CERT_FILE" in text
    assert "httpx.Client(verify=ssl_context)" in text
    assert not caught.value.may_have_started
    assert server.paths == []


def make_client_context(authority: trustme.CA, *, with_certificate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if with_certificate:
        authority.issue_cert("client@example.com").configure_cert(context)
    return context


def test_a_client_certificate_comes_with_a_client_of_the_user(authority: trustme.CA) -> None:
    context = make_client_context(authority, with_certificate=True)
    with serve_tls(authority, require_client=True) as server:
        with httpx.Client(verify=context) as client:
            model = make_model(server.base_url, http_client=client)
            assert model.invoke("q").content == TURN_TEXT

        async def run() -> Any:
            async with httpx.AsyncClient(verify=context) as client:
                return await make_model(server.base_url, http_async_client=client).ainvoke("q")

        assert asyncio.run(run()).content == TURN_TEXT


def test_a_missing_client_certificate_is_an_error(authority: trustme.CA) -> None:
    context = make_client_context(authority, with_certificate=False)
    with (
        serve_tls(authority, require_client=True) as server,
        httpx.Client(verify=context) as client,
        pytest.raises(CozeConnectionError, match=f"127.0.0.1:{server.port}"),
    ):
        make_model(server.base_url, http_client=client).invoke("q")


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_max_duration_ends_a_slow_head_over_tls(
    ask: CallStyle, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    steps = [b": wait\n\n", 0.05] * 100
    with serve_tls(authority, steps=steps) as server:
        with pytest.raises(CozeTimeoutError, match="max_duration"):
            ask(make_model(server.base_url, max_duration=0.4), "q")
        assert server.client_left.wait(3)


# --- A proxy with authentication -----------------------------------------------------------------


@contextmanager
def run_proxy(port: int) -> Iterator[tuple[int, list[bytes]]]:
    """Run a proxy that asks for a password and connects to a port of this machine."""
    heads: list[bytes] = []
    wanted = b"basic " + base64.b64encode(f"ada:{PASSWORD}".encode())

    def connect(client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            heads.append(head.split(b"\r\n")[0])
            if wanted.lower() not in head.lower():
                client.sendall(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
                )
                return
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as server:
                pipes = [(client, server), (server, client)]
                threads = [threading.Thread(target=pipe, args=each, daemon=True) for each in pipes]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(20)

    def pipe(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=connect, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        yield listener.getsockname()[1], heads
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxied(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, list[bytes]]]:
    """Run a server behind a proxy; yield the port of the proxy and the requests to it."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve_tls(authority) as server, run_proxy(server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_proxy_gets_the_password_of_the_environment(
    ask: CallStyle, proxied: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, heads = proxied
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PASSWORD}@127.0.0.1:{port}")
    assert ask(make_model(f"https://{HOST}"), "q").content == TURN_TEXT
    assert heads == [f"CONNECT {HOST}:443 HTTP/1.1".encode()]


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_wrong_password_of_a_proxy_is_an_error_without_it(
    ask: CallStyle, proxied: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, _ = proxied
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:wrong-{PASSWORD}@127.0.0.1:{port}")
    with pytest.raises(CozeConnectionError, match="407") as caught:
        ask(make_model(f"https://{HOST}"), "q")
    text = str(caught.value)
    assert f"through the proxy http://127.0.0.1:{port} (HTTPS_PROXY)" in text
    assert f"{HOST}:443" in text
    assert PASSWORD not in text
    assert not caught.value.may_have_started
