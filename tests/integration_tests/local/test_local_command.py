"""What the command logs, which hosts it answers, and what the request log keeps."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from langchain_coze.local import LocalBot, LocalCoze, LocalWorkflow
from langchain_coze.local.request_log import RecordedRequest, RequestLog
from tests.integration_tests.local.local_client import LocalClient, user
from tests.integration_tests.local.test_local_faults_served import ROOT, run_command

HERE = "tests.integration_tests.local.test_local_command"


def break_down(question: str) -> str:
    raise KeyError(f"no answer to {question}")


def break_workflow() -> str:
    raise KeyError("no output")


BOT = LocalBot(break_down)
SERVER = LocalCoze(BOT, workflows=LocalWorkflow(break_workflow))


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run the command; give its address, and end it."""
    process = run_command("--token", "pat_mine", *arguments)
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().strip().rpartition(" ")[2]
        yield base_url, process
    finally:
        process.send_signal(signal.SIGTERM)


def post(base_url: str, path: str, **body: object) -> httpx.Response:
    headers = {"Authorization": "Bearer pat_mine"}
    return httpx.post(base_url + path, json=body, headers=headers, timeout=20)


posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def use(base_url: str) -> None:
    post(
        base_url,
        "/v3/chat",
        bot_id=BOT.bot_id,
        user_id="u",
        stream=True,
        additional_messages=[user("x")],
    )
    post(base_url, "/v1/workflow/run", workflow_id=SERVER.workflows[0].workflow_id)
    post(base_url, "/no/such/path")


@posix
def test_the_command_logs_requests_and_tracebacks() -> None:
    with running(f"{HERE}:SERVER") as (base_url, process):
        use(base_url)
    _, errors = process.communicate(timeout=10)
    assert "KeyError: 'no answer to x'" in errors
    assert "KeyError: 'no output'" in errors
    assert errors.count("Traceback (most recent call last)") == 2
    assert 'raise KeyError(f"no answer to {question}")' in errors
    lines = [line for line in errors.splitlines() if line.startswith("POST ")]
    assert [re.sub(r"\d+ ms", "N ms", line) for line in lines] == [
        "POST /v3/chat 200 - N ms",
        "POST /v1/workflow/run 200 720701013 N ms",
        "POST /no/such/path 404 4000 N ms",
    ]
    assert "pat_mine" not in errors


@posix
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_the_command_prints_where_chinese_cannot_be_written(encoding: str) -> None:
    """As in a redirect to a file on a western Windows."""
    command = [sys.executable, "-m", "langchain_coze.local", "--help"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    ended = subprocess.run(
        command, check=True, capture_output=True, timeout=60, cwd=ROOT, env=environment
    )
    assert b"--profile" in ended.stdout
    assert b"\\u" in ended.stdout


def test_a_quiet_command_logs_nothing() -> None:
    with running("--quiet", f"{HERE}:SERVER") as (base_url, process):
        use(base_url)
    _, errors = process.communicate(timeout=10)
    assert errors == ""


def ask_host(base_url: str, host: str) -> int:
    headers = {"Authorization": "Bearer pat_mine", "Host": host}
    return httpx.get(f"{base_url}/v1/users/me", headers=headers).status_code


LOOPBACK = ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:1", "127.8.8.8", "[::1]:9"]
STRANGE = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "localhost.x"]


def test_only_names_of_this_machine_are_hosts() -> None:
    with LocalCoze(BOT, token="pat_mine") as coze:
        assert {ask_host(coze.base_url, host) for host in LOOPBACK} == {200}
        assert {ask_host(coze.base_url, host) for host in STRANGE} == {400}
        assert len(coze.requests) == len(LOOPBACK)
    with LocalCoze(BOT, token="pat_mine", any_host=True) as coze:
        assert {ask_host(coze.base_url, host) for host in STRANGE} == {200}


@posix
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - as a user gives it
def test_a_host_on_the_command_line_allows_every_name(address: str) -> None:
    with running("--host", address, f"{HERE}:BOT") as (base_url, process):
        assert ask_host(base_url, "evil.example") == 200
    process.communicate(timeout=10)
    with running(f"{HERE}:BOT") as (base_url, process):
        assert ask_host(base_url, "evil.example") == 400
    _, errors = process.communicate(timeout=10)
    assert re.search(r"GET /v1/users/me 400 - \d+ ms", errors)


def test_the_request_log_is_bounded_in_bytes() -> None:
    def record(size: int) -> RecordedRequest:
        return RecordedRequest("POST", "/", {}, {}, b"x" * size)

    log = RequestLog(100)
    for _ in range(40):
        log.append(record(14_000_000))
    assert [len(request.content) for request in log.requests] == [14_000_000] * 2
    log.append(record(50_000_000))  # the last one is always kept
    assert [len(request.content) for request in log.requests] == [50_000_000]
    log.clear()
    for _ in range(200):
        log.append(record(1))
    assert len(log.requests) == 100


def test_recorded_requests_have_their_body() -> None:
    with LocalCoze(BOT) as coze, LocalClient(coze) as client:
        client.chat(user_id="用户")
        client.http.post("/v3/chat", content=b"{")
        first, second = coze.requests
    assert first.body["user_id"] == "用户"
    assert (second.body, second.content) == (None, b"{")
