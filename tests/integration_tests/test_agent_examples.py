"""The examples with agents do what they promise, as programs of their own, on this machine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from langchain_coze.local import LocalBot, LocalCoze
from tests.integration_tests.agents import seen, verbs
from tests.integration_tests.test_examples import ROOT, account, environment, run

DEV = ROOT / "examples" / "langgraph_dev"
STARTING = 60  # seconds


def test_agent_tools_run_here_after_a_person_agrees() -> None:
    done = run("agent_tools.py")
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout.split("> ")[1].splitlines()
    assert told[1:] == [
        "sunny in 杭州",
        "? Book a table for 2? yes",
        "table for 2 booked",
        "It is sunny in 杭州. I have asked for your table: table for 2 booked.",
    ]


def test_the_retriever_is_a_tool_of_an_agent() -> None:
    pytest.importorskip("langchain.agents")
    done = run("retriever_tool.py")
    assert (done.returncode, done.stderr) == (0, "")
    question, call, found, answer = done.stdout.splitlines()[-4:]
    asked = question.removeprefix("human: ")
    assert call == f"agent calls / 调用: search_knowledge({asked!r})"
    assert found == "tool / 工具: 2 documents / 文档"
    assert answer.startswith("ai: I have looked it up: A Coze workflow joins nodes")
    assert answer.endswith("(https://www.coze.com/open/docs/guides/workflow)")


def test_the_supervisor_is_a_bot() -> None:
    pytest.importorskip("langgraph_supervisor")
    program = [
        sys.executable,
        str(ROOT / "examples" / "supervisor.py"),
    ]  # that package itself warns
    done = subprocess.run(
        program, env=environment(), capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    question, *_, summary = done.stdout.splitlines()
    asked = question.removeprefix("user: ")
    assert f"weather: Tomorrow is sunny. (asked: {asked})" in done.stdout
    assert f"travel: Take a boat on West Lake. (asked: {asked} told: [weather]" in done.stdout
    assert summary == "supervisor: To sum up: sun, and a boat on West Lake."


def test_memory_survives_processes() -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    done = run("memory_sqlite.py")
    assert (done.returncode, done.stderr) == (0, "")
    told = re.findall(r"process (\d+), conversation (\d+)", done.stdout)
    processes, conversations = zip(*told, strict=True)
    assert len(set(processes)) == 2
    assert len(set(conversations)) == 1
    assert "So far you have said: My name is 小明. What is my name?" in done.stdout


def test_memory_sends_only_what_is_new() -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    with LocalCoze(LocalBot(lambda question: question, name="echo")) as coze:
        done = run("memory_sqlite.py", env=account(coze))
        first, second = (request for request in seen(coze) if request[0] == "chat")
    assert (done.returncode, done.stderr) == (0, "")
    assert (first[1], first[2], second[2]) == (None, ["My name is 小明."], ["What is my name?"])
    assert second[1] in done.stdout
    assert coze.token not in done.stdout


# --- langgraph dev -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def coze() -> Iterator[LocalCoze]:
    with LocalCoze(LocalBot(lambda question: question.upper(), name="loud")) as server:
        yield server


@pytest.fixture
def dev_server(coze: LocalCoze, tmp_path: Path) -> Iterator[str]:
    """Serve a copy of the example with `langgraph dev`; give its address."""
    pytest.importorskip("langgraph_cli", reason="langgraph-cli is not installed")
    pytest.importorskip("langgraph_api", reason="langgraph-cli has not its extra inmem")
    shutil.copytree(DEV, tmp_path, dirs_exist_ok=True)
    port = free_port()
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGSMITH_TRACING": "false",
    }
    log = tmp_path / "dev.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", "dev", *options, "--n-jobs-per-worker", "2"],
            cwd=tmp_path,
            env=account(coze) | quiet,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield started(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.terminate()
            process.wait(20)


def started(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + STARTING
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            if httpx.get(f"{url}/ok", timeout=1).is_success:
                return url
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8"))


def test_the_graph_of_langgraph_dev_needs_no_account() -> None:
    code = (
        "from graph import agent\n"
        "state = agent.invoke({'messages': [('user', 'What is a Coze workflow?')]})\n"
        "print(state['messages'][-1].text)\n"
    )
    program = [sys.executable, "-W", "error", "-c", code]
    told = subprocess.check_output(
        program, cwd=DEV, env=environment(), encoding="utf-8", timeout=60
    )
    assert told.startswith("According to “Workflows in Coze”")


def test_langgraph_dev_serves_the_bot(coze: LocalCoze, dev_server: str, tmp_path: Path) -> None:
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    run_of_coze = {"assistant_id": "coze", "input": asked, "context": {"user_id": "42"}}
    answer = httpx.post(f"{dev_server}/runs/wait", json=run_of_coze, timeout=30).json()
    assert [message["content"] for message in answer["messages"]] == ["hello", "HELLO"]
    assert answer["messages"][-1]["name"] == "coze"
    assert verbs(coze) == ["chat"]
    assert coze.requests[0].body["user_id"] == "42"
    assert "BlockingError" not in (tmp_path / "dev.log").read_text("utf-8")
