"""Faults as a client meets them, and what the server survives."""

import asyncio
import gc
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_coze.local import LocalBot, LocalCoze, Pause
from langchain_coze.local.routes.state import WORKSPACE_ID
from tests.conftest import serve, wait_until
from tests.integration_tests.local.local_client import LocalClient, answers, events
from tests.integration_tests.local.polling import wait_for_chat

BOT = LocalBot(lambda _: "茶叶长在山上。", name="faulty")
ROOT = Path(__file__).resolve().parents[3]
WHOLE = b'event:done\ndata:"[DONE]"\n\n'

coze = serve(BOT)


def test_json_error_on_a_stream_request(client: LocalClient) -> None:
    response = client.chat(fault="error=4009")
    assert (response.status_code, response.json()["code"]) == (200, 4009)
    refused = client.chat(fault="error=700012006")
    assert (refused.status_code, refused.json()["msg"]) == (401, "access token invalid")


def test_gateway_faults_have_the_replies_of_a_gateway(client: LocalClient) -> None:
    page = client.chat(fault="http_502")
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert "<html>" in page.text
    busy = client.chat(fault="http_429=7")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")


def test_connection_closed_before_any_byte(client: LocalClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.chat(fault="close")
    assert answers(client.chat()) == ["茶叶长在山上。"]


@pytest.mark.parametrize("fault", ["cut_mid_line", "cut_at=700"])
def test_soft_cuts_end_the_body_properly(client: LocalClient, fault: str) -> None:
    content = client.chat(fault=fault).content
    assert content
    assert not content.endswith(b"\n\n")
    if fault == "cut_at=700":
        assert len(content) == 700


def read_stream(client: LocalClient, fault: str, into: list[bytes]) -> None:
    headers = {"X-Local-Fault": fault}
    with client.http.stream("POST", "/v3/chat", json=client.body(), headers=headers) as response:
        into.extend(response.iter_raw())


@pytest.mark.parametrize("fault", ["cut_mid_line,cut_reset", "cut_reset", "cut_at=700,cut_reset"])
def test_hard_cuts_break_the_connection(client: LocalClient, fault: str) -> None:
    got: list[bytes] = []
    with pytest.raises(httpx.TransportError):
        read_stream(client, fault, got)
    stream = b"".join(got)
    assert stream.endswith(WHOLE) == (fault == "cut_reset")
    assert stream


def test_a_chat_fails_for_clients_that_stream_and_that_poll(client: LocalClient) -> None:
    names = [name for name, _ in events(client.chat(fault="failed=4028"))]
    assert [name.rpartition(".")[2] for name in names] == ["created", "in_progress", "failed"]
    created = client.chat(fault="failed=4028", stream=False).json()["data"]
    assert wait_for_chat(client, created)["data"]["last_error"]["code"] == 4028


def test_idle_and_slow_start_delay_the_reply(client: LocalClient) -> None:
    for fault in ("idle=0.2", "slow_start=0.2"):
        begin = time.monotonic()
        client.chat(fault=fault)
        assert 0.2 <= time.monotonic() - begin < 5


def test_a_fault_with_times_ends_after_so_many_requests(client: LocalClient) -> None:
    codes = [client.chat(fault="error=4009,times=2", stream=False).json()["code"] for _ in range(4)]
    assert codes == [4009, 4009, 0, 0]


def test_faults_apply_to_their_bot_server_or_path() -> None:
    bot = LocalBot(lambda _: "x", name="b", faults="error=4013,times=1")
    with LocalCoze(bot, faults=["error=5000,on=/v1/users/me"]) as coze, LocalClient(coze) as client:
        assert client.get("/v1/users/me")["code"] == 5000
        assert client.get("/v1/workspaces")["code"] == 0
        assert client.chat(stream=False).json()["code"] == 4013
        assert client.chat(stream=False).json()["code"] == 0
        coze.faults = "error=4011"
        assert client.chat(stream=False).json()["code"] == 4011
        unknown = client.chat(stream=False, fault="nonsense").json()
    assert unknown["code"] == 4000
    assert "unknown fault 'nonsense'" in unknown["msg"]


def test_a_client_that_vanishes_does_not_cancel_the_chat() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield "half"
        yield Pause(0.2)
        yield " whole"

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        with client.http.stream("POST", "/v3/chat", json=client.body()) as response:
            first = next(response.iter_raw())
        chat = events(httpx.Response(200, content=first))[0][1]
        ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
        wait_for_chat(client, chat)
        listed = client.get("/v3/chat/message/list", **ids)["data"]
    assert "half whole" in [message["content"] for message in listed]


async def test_five_hundred_streams_at_once_are_served() -> None:
    async def reply(question: str) -> AsyncIterator[Any]:
        yield question
        yield Pause(0.5)
        yield " done"

    async def ask(http: httpx.AsyncClient, client: LocalClient, number: int) -> str:
        body = client.body()
        body["additional_messages"][0]["content"] = str(number)
        return answers(await http.post("/v3/chat", json=body))[0]

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        # httpx's pool is slow when it is large: several small ones stand for many clients.
        pools = [
            httpx.AsyncClient(
                base_url=coze.base_url, headers=client.http.headers, timeout=60, trust_env=False
            )
            for _ in range(10)
        ]
        got = await asyncio.gather(*(ask(pools[n % 10], client, n) for n in range(500)))
        await asyncio.gather(*(pool.aclose() for pool in pools))
    assert got == [f"{n} done" for n in range(500)]


def test_stop_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def endless(_question: str) -> AsyncIterator[Any]:
        yield "x"
        yield Pause(3600)

    def blocking(_question: str) -> Iterator[Any]:
        while True:
            yield "y"

    before = threading.active_count()
    caplog.set_level(logging.WARNING)
    coze = LocalCoze([LocalBot(endless), LocalBot(blocking)], stop_timeout=0.1).start()
    streams = []
    for bot in coze.bots:
        client = LocalClient(coze, bot)
        stream = client.http.stream("POST", "/v3/chat", json=client.body())
        response = stream.__enter__()
        next(response.iter_raw())
        streams.append((client, stream))
    begin = time.monotonic()
    coze.stop()
    assert time.monotonic() - begin < 3
    for client, stream in streams:
        stream.__exit__(None, None, None)
        client.http.close()
    wait_until(lambda: threading.active_count() <= before)
    with pytest.raises(OSError, match=r"."):
        socket.create_connection((coze.host, coze.port), timeout=1).close()
    gc.collect()
    assert caplog.records == []


def test_stop_ends_requests_that_wait(caplog: pytest.LogCaptureFixture) -> None:
    with LocalCoze(BOT, stop_timeout=0.05) as coze, LocalClient(coze) as client:
        dropped: list[str] = []
        for fault in ("slow_start=3600", "slow_start=3601"):
            arguments = (client, fault, dropped)
            threading.Thread(target=note_drop, args=arguments, daemon=True).start()
        wait_until(lambda: len(coze.requests) == 2)
        begin = time.monotonic()
        coze.stop()
        wait_until(lambda: len(dropped) == 2)
        assert time.monotonic() - begin < 5
    assert caplog.records == []


def note_drop(client: LocalClient, fault: str, into: list[str]) -> None:
    with pytest.raises(httpx.TransportError):
        client.chat(fault=fault)
    into.append(fault)


def test_a_server_can_start_again_but_not_on_a_busy_port() -> None:
    coze = LocalCoze(BOT)
    coze.start()
    with pytest.raises(OSError, match=r"."):
        LocalCoze(BOT, port=coze.port).start()
    assert coze.start() is coze
    coze.stop()
    coze.stop()
    with coze, LocalClient(coze) as client:
        assert answers(client.chat()) == ["茶叶长在山上。"]


def run_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "langchain_coze.local", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(number: signal.Signals) -> None:
    target = "tests.integration_tests.local.test_local_faults_served:BOT"
    process = run_command("--token", "pat_mine", target)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in lines if "export " in line
    )
    assert exports["COZE_API_TOKEN"] == "pat_mine"
    assert exports["COZE_BOT_ID"] == BOT.bot_id
    assert exports["COZE_WORKSPACE_ID"] == WORKSPACE_ID
    reply = httpx.get(
        f"{exports['COZE_API_BASE']}/v1/users/me", headers={"Authorization": "Bearer pat_mine"}
    )
    assert reply.json()["code"] == 0
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert re.fullmatch(r"GET /v1/users/me 200 0 \d+ ms\n", errors)


def test_the_command_reports_errors_in_one_sentence(coze: LocalCoze) -> None:
    problems = [
        (("--port", str(coze.port)), "already in use", "已被占用"),
        (("no_such_module:bot",), "no_such_module", ""),
        (
            ("langchain_coze.local",),
            "does not have the form module:object",
            "应为 module:object 的形式",
        ),
        (("--profile", "stadium"), "profile", ""),
    ]
    for arguments, english, chinese in problems:
        process = run_command(*arguments)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output) == (1, "")
        assert english in errors
        assert chinese in errors
        assert "Traceback" not in errors
