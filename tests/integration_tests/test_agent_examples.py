"""The examples with agents print what they promise, run as separate programs on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_coze.local import LocalBot, LocalCoze
from tests.conftest import find_free_port, serve, wait_until
from tests.integration_tests.agent_fixtures import list_request_kinds, summarize_requests
from tests.integration_tests.test_examples import (
    ROOT,
    build_account_environment,
    build_environment,
    run_example,
)

pytestmark = pytest.mark.slow

DEV = ROOT / "examples" / "langgraph_dev"
MAX_START_SECONDS = 60  # seconds


def test_agent_tools_run_here_after_a_person_agrees() -> None:
    done = run_example("agent_tools.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split("> ")[1].splitlines()
    assert lines[1:] == [
        "sunny in 杭州",
        "? Book a table for 2? yes",
        "table for 2 booked",
        "It is sunny in 杭州. I have asked for your table: table for 2 booked.",
    ]


def test_the_retriever_is_a_tool_of_an_agent() -> None:
    pytest.importorskip("langchain.agents")
    done = run_example("retriever_tool.py")
    assert (done.returncode, done.stderr) == (0, "")
    question, call, found, answer = done.stdout.splitlines()[-4:]
    text = question.removeprefix("human: ")
    assert call == f"agent calls / agent 调用: search_knowledge({text!r})"
    assert found == "tool / 工具: 2 documents / 文档"
    assert answer.startswith("ai: I have looked it up: A Coze workflow joins nodes")
    assert answer.endswith("(https://www.coze.com/open/docs/guides/workflow)")


def test_an_agent_corrects_its_call_of_a_workflow() -> None:
    pytest.importorskip("langchain.agents")
    done = run_example("workflow_agent.py")
    assert (done.returncode, done.stderr) == (0, "")
    steps = [line.partition(": ") for line in done.stdout.splitlines() if ": " in line]
    steps_without_hints = [
        (who, what) for who, _, what in steps if not who.startswith(("Hint", "提示"))
    ]
    assert steps_without_hints[1] == (
        "agent calls / agent 调用",
        "plan_trip({'city': 'Hangzhou', 'days': 20})",
    )
    assert steps_without_hints[2][0] == "tool / 工具 (error)"
    assert "days is 20, but must be from 1 to 3" in steps_without_hints[2][1]
    plan = '{"plan": ["Day 1: West Lake", "Day 2: Lingyin Temple"]}'
    assert steps_without_hints[3:] == [
        ("agent calls / agent 调用", "plan_trip({'city': 'Hangzhou', 'days': 2})"),
        ("  Search", "Looking for sights in Hangzhou"),
        ("  Plan", "Planning 2 days"),
        ("  End", plan.replace('": [', '":[').replace('", "', '","')),
        ("tool / 工具 (success)", plan),
        ("agent", f"Here you are: {plan}"),
    ]


def test_a_booking_asks_a_person_and_is_run_once() -> None:
    done = run_example("booking.py")
    assert (done.returncode, done.stderr) == (0, "")
    booked = '{"booked": true, "city": "Hangzhou", "guest": "Ada", "nights": 2}'
    assert done.stdout.splitlines() == [
        "user: A room in Hangzhou, please.",
        "? guest (string): Ada",
        "? nights (integer): 2",
        "? 2 night(s) in Hangzhou: book it? / yes / no yes",
        f"agent: The workflow says: {booked}",
        "requests / 请求: /v1/workflow/stream_run" + " /v1/workflow/stream_resume" * 2,
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal")
def test_a_booking_reads_answers_from_the_terminal() -> None:
    import pty  # noqa: PLC0415 - not on Windows

    ours, theirs = pty.openpty()
    program = [sys.executable, "-W", "error", str(ROOT / "examples" / "booking.py")]
    with subprocess.Popen(
        program, env=build_environment(), stdin=theirs, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        os.write(ours, "小明\n\nno\n".encode())  # the number of nights has a default
        output, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    assert "? 1 night(s) in Hangzhou: book it?" in output
    wanted = '{"booked": false, "city": "Hangzhou", "guest": "小明", "nights": 1}'
    assert f"agent: The workflow says: {wanted}\n" in output


def test_the_supervisor_is_a_bot() -> None:
    pytest.importorskip("langgraph_supervisor")
    program = [
        sys.executable,
        str(ROOT / "examples" / "supervisor.py"),
    ]  # the package itself emits warnings
    done = subprocess.run(
        program,
        env=build_environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    question, *_, summary = done.stdout.splitlines()
    text = question.removeprefix("user: ")
    assert f"weather: Tomorrow is sunny. (asked: {text})" in done.stdout
    assert f"travel: Take a boat on West Lake. (asked: {text} told: [weather]" in done.stdout
    assert summary == "supervisor: To sum up: sun, and a boat on West Lake."


def test_memory_survives_a_restart() -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    done = run_example("memory_sqlite.py")
    assert (done.returncode, done.stderr) == (0, "")
    found = re.findall(r"process (\d+), conversation (\d+)", done.stdout)
    processes, conversations = zip(*found, strict=True)
    assert len(set(processes)) == 2
    assert len(set(conversations)) == 1
    assert "So far you have said: My name is 小明. What is my name?" in done.stdout


def test_memory_sends_only_new_messages() -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    with LocalCoze(LocalBot(lambda question: question, name="echo")) as coze:
        done = run_example("memory_sqlite.py", env=build_account_environment(coze))
        first, second = (request for request in summarize_requests(coze) if request[0] == "chat")
    assert (done.returncode, done.stderr) == (0, "")
    assert (first[1], first[2], second[2]) == (None, ["My name is 小明."], ["What is my name?"])
    assert second[1] in done.stdout
    assert coze.token not in done.stdout


# --- langgraph dev -------------------------------------------------------------------------------


coze = serve(LocalBot(lambda question: question.upper(), name="loud"), scope="function")


@pytest.fixture
def dev_server(coze: LocalCoze, tmp_path: Path) -> Iterator[str]:
    """Serve a copy of the example with `langgraph dev`; yield its address."""
    shutil.copytree(DEV, tmp_path, dirs_exist_ok=True)
    with run_langgraph_dev(tmp_path, build_account_environment(coze)) as url:
        yield url


@contextmanager
def run_langgraph_dev(folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Serve the graphs of a folder with `langgraph dev`; yield its address."""
    pytest.importorskip("langgraph_cli", reason="langgraph-cli is not installed")
    pytest.importorskip("langgraph_api", reason="langgraph-cli has not its extra inmem")
    port = find_free_port()
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {
        "LANGGRAPH_NO_VERSION_CHECK": "1",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGSMITH_TRACING": "false",
    }
    log = folder / "dev.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [sys.executable, "-m", "langgraph_cli", "dev", *options, "--n-jobs-per-worker", "2"],
            cwd=folder,
            env={**env, **quiet},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield wait_for_server(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.terminate()
            process.wait(20)


def wait_for_server(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    def is_ready() -> bool:
        assert process.poll() is None
        with suppress(httpx.TransportError):
            return httpx.get(f"{url}/ok", timeout=1).is_success
        return False

    try:
        wait_until(is_ready, MAX_START_SECONDS, interval=0.1)
    except AssertionError:
        raise AssertionError(log.read_text("utf-8")) from None
    return url


def test_the_graph_of_langgraph_dev_needs_no_account() -> None:
    code = (
        "from graph import agent\n"
        "state = agent.invoke({'messages': [('user', 'What is a Coze workflow?')]})\n"
        "print(state['messages'][-1].text)\n"
    )
    program = [sys.executable, "-W", "error", "-c", code]
    output = subprocess.check_output(
        program, cwd=DEV, env=build_environment(), encoding="utf-8", timeout=60
    )
    assert output.startswith("According to “Workflows in Coze”")


def test_langgraph_dev_serves_the_bot(coze: LocalCoze, dev_server: str, tmp_path: Path) -> None:
    graph_input = {"messages": [{"role": "user", "content": "hello"}]}
    run_of_coze = {"assistant_id": "coze", "input": graph_input, "context": {"user_id": "42"}}
    answer = httpx.post(f"{dev_server}/runs/wait", json=run_of_coze, timeout=30).json()
    assert [message["content"] for message in answer["messages"]] == ["hello", "HELLO"]
    assert answer["messages"][-1]["name"] == "coze"
    assert list_request_kinds(coze) == ["chat"]
    assert coze.requests[0].body["user_id"] == "42"
    assert "BlockingError" not in (tmp_path / "dev.log").read_text("utf-8")


def test_the_workflow_of_langgraph_dev_needs_no_account() -> None:
    code = (
        "from graph import workflow\n"
        "from langgraph.checkpoint.memory import InMemorySaver\n"
        "workflow.checkpointer = InMemorySaver()\n"
        "config = {'configurable': {'thread_id': '1'}}\n"
        "state = workflow.invoke({'parameters': {'city': 'Hangzhou'}}, config)\n"
        "print(*state['__interrupt__'][0].value['required_parameters'])\n"
    )
    program = [sys.executable, "-W", "error", "-c", code]
    output = subprocess.check_output(
        program, cwd=DEV, env=build_environment(), encoding="utf-8", timeout=60
    )
    assert output == "guest nights\n"


def test_langgraph_dev_serves_a_workflow_that_asks(dev_server: str, tmp_path: Path) -> None:
    with httpx.Client(base_url=dev_server, timeout=30) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]

        def wait(**given: object) -> dict[str, Any]:
            body = {"assistant_id": "workflow", **given}
            state: dict[str, Any] = client.post(f"/threads/{thread}/runs/wait", json=body).json()
            return state

        form = wait(input={"parameters": {"city": "Hangzhou"}})["__interrupt__"][0]["value"]
        assert list(form["required_parameters"]) == ["guest", "nights"]
        stay = {"guest": "Ada", "nights": 2}
        question = wait(command={"resume": stay})["__interrupt__"][0]["value"]
        assert question["question"].startswith("2 night(s) in Hangzhou: book it?")
        done = wait(command={"resume": "yes"})
    assert done["output"] == {"booked": True, "city": "Hangzhou", **stay}
    assert done["run"]["execute_id"]
    assert "BlockingError" not in (tmp_path / "dev.log").read_text("utf-8")
