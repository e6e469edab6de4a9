"""Workflows that ask questions inside LangGraph: right answers, and one run for each call.

The cells of a table: how the calls are given to tasks, how many there are, how they are run, and
where threads are kept. Some of these deadlock, or answer wrongly, when built in other ways.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import Field

from langchain_coze import _runtime, create_coze_agent
from langchain_coze._workflows import langgraph_internals
from langchain_coze.local import ClientTool, LocalBot, LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.agent_fixtures import get_last_text, make_thread_config
from tests.integration_tests.flow_process import BUILDERS_BY_NAME, RUNNERS_BY_NAME
from tests.integration_tests.test_examples import ROOT, build_environment
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    GRAPH_BUILDERS,
    ONE_CALL,
    SAVERS,
    START_INPUT,
    THREAD_RUNNERS,
    THREE_CALLS,
    GraphBuilder,
    OpenSaver,
    ThreadRun,
    ThreadRunner,
    answer_each,
    build_send_graph,
    build_tool_node_graph,
    find_events_answered_twice,
    list_sent_answers,
    list_started_runs,
    make_call,
    make_tool,
    memory_saver,
    run_thread_async,
    sqlite_saver,
)

pytestmark = pytest.mark.timeout(60)

coze = serve(workflows=BOOK)


def check_answers_and_requests(coze: LocalCoze, calls: list[Any], done: ThreadRun) -> None:
    """Check that each call had one run, and each question its own answer, sent once."""
    expected = [
        {
            "name": call["args"]["name"],
            "answers": [
                f"A({call['args']['name']}: question {n + 1}?)"
                for n in range(call["args"].get("questions", 1))
            ],
        }
        for call in calls
    ]
    assert [json.loads(result) for result in done.tool_results] == expected
    assert sorted(run["name"] for run in list_started_runs(coze)) == [
        item["name"] for item in expected
    ]
    assert sorted(list_sent_answers(coze)) == sorted(
        a for item in expected for a in item["answers"]
    )
    assert find_events_answered_twice(coze) == []


@pytest.mark.parametrize("open_saver", SAVERS)
@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
@pytest.mark.parametrize("calls", [ONE_CALL, THREE_CALLS], ids=["1 call", "3 calls"])
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_every_call_is_run_once_and_gets_its_own_answers(
    coze: LocalCoze,
    build_graph: GraphBuilder,
    calls: list[Any],
    run_thread: ThreadRunner,
    open_saver: OpenSaver,
    tmp_path: Path,
) -> None:
    tool = make_tool(coze)
    done = run_thread(
        lambda saver: build_graph(tool, calls, saver), tmp_path, open_saver=open_saver
    )
    check_answers_and_requests(coze, calls, done)
    if (
        build_graph is build_send_graph and calls is THREE_CALLS
    ):  # all open questions are asked at once
        assert [sorted(round_) for round_ in done.questions] == [
            ["a: question 1?", "b: question 1?", "c: question 1?"],
            ["b: question 2?"],
        ]


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_more_calls_than_threads_do_not_deadlock(
    coze: LocalCoze, build_graph: GraphBuilder, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    calls = [make_call(id=f"c_{name}", name=name, questions=1) for name in "abcdefgh"]
    tool = make_tool(coze)
    config = {"configurable": {"thread_id": "t"}, "max_concurrency": 2}
    done = run_thread(lambda saver: build_graph(tool, calls, saver), tmp_path, config=config)
    check_answers_and_requests(coze, calls, done)


def planner(_: str) -> Any:
    """Call one workflow several times at once."""
    calls = [ClientTool("book", call["args"]) for call in THREE_CALLS]
    answers = yield tuple(calls)
    yield " | ".join(answers)


PLANNER = LocalBot(planner, name="planner")


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_bot_calls_workflows_that_ask(run_thread: ThreadRunner, tmp_path: Path) -> None:
    with LocalCoze(PLANNER, workflows=BOOK) as coze:
        tool, bot = make_tool(coze), make_chat(coze, PLANNER)
        done = run_thread(
            lambda saver: create_coze_agent(bot, [tool], name="planner", checkpointer=saver),
            tmp_path,
        )
        check_answers_and_requests(coze, THREE_CALLS, done)
    assert get_last_text(done.state) == " | ".join(done.tool_results)


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_person_agrees_to_a_call_before_it_asks(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    agree = middleware.HumanInTheLoopMiddleware(interrupt_on={"book": True})
    tool = make_tool(coze)

    def build(saver: Any) -> Any:
        return build_send_graph(tool, ONE_CALL, saver, middleware=[agree])

    def answer(waits: Any) -> Any:
        if "question" in waits[0].value:
            return answer_each(waits)
        assert list_started_runs(coze) == []
        return {"decisions": [{"type": "approve"}]}

    check_answers_and_requests(coze, ONE_CALL, run_thread(build, tmp_path, answers=answer))


# --- Another process -----------------------------------------------------------------------------


@pytest.mark.parametrize("build_graph", ["Send", "list"])
@pytest.mark.parametrize("run_thread", ["sync", "async"])
def test_another_process_may_answer(
    coze: LocalCoze, run_thread: str, build_graph: str, tmp_path: Path
) -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    tool = make_tool(coze)
    begun = RUNNERS_BY_NAME[run_thread](
        lambda saver: BUILDERS_BY_NAME[build_graph](tool, THREE_CALLS, saver),
        tmp_path,
        open_saver=sqlite_saver,
        max_answers=0,
    )
    assert begun.state["__interrupt__"]
    assert list_sent_answers(coze) == []
    command = [sys.executable, "-m", "tests.integration_tests.flow_process"]
    printed = subprocess.check_output(
        [*command, run_thread, build_graph, str(tmp_path)],
        cwd=ROOT,
        env=build_environment_of(coze),
        timeout=60,
    )
    results = json.loads(printed)
    done = ThreadRun({"messages": [ToolMessage(t, tool_call_id="c") for t in results["state"]]}, [])
    check_answers_and_requests(coze, THREE_CALLS, done)
    assert coze.token.encode() not in (tmp_path / "threads.db").read_bytes()


def build_environment_of(coze: LocalCoze) -> dict[str, str]:
    return build_environment(API_BASE=coze.base_url, API_TOKEN=coze.token)


# --- What is private in LangGraph ----------------------------------------------------------------


class ConfigRecorder(BaseTool):
    """A tool that keeps the configs it is called with."""

    name: str = "peek"
    description: str = "Peeks."
    configs: list[Any] = Field(default_factory=list)

    def _run(self, config: RunnableConfig) -> str:
        self.configs.append(config)
        return "seen"


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_langgraph_still_has_the_private_keys_that_are_used(
    run_thread: ThreadRunner, tmp_path: Path
) -> None:
    """If this fails, LangGraph has changed: see `langchain_coze._workflows.langgraph_internals`."""
    peek, savers = ConfigRecorder(), list[Any]()
    calls = [make_call("peek", id=f"c_{n}") for n in range(2)]

    def build(saver: Any) -> Any:
        savers.append(saver)
        return build_tool_node_graph(peek, calls, saver)

    run_thread(build, tmp_path, durability="sync")
    first, second = (config["configurable"] for config in peek.configs)
    assert isinstance(first["__pregel_task_id"], str)
    assert first["checkpoint_ns"] == f"tools:{first['__pregel_task_id']}"
    assert first["__pregel_checkpointer"] is savers[0]
    assert first["__pregel_durability"] == "sync"
    assert list(first["checkpoint_map"]) == [""]  # the id of the checkpoint, by namespace
    pad = first["__pregel_scratchpad"]
    assert dataclasses.is_dataclass(type(pad))
    assert (pad.subgraph_counter(), pad.subgraph_counter()) == (0, 1)
    assert second["__pregel_scratchpad"].subgraph_counter is pad.subgraph_counter
    made = langgraph_internals.build_child_config(peek.configs[0], "a:b|c")
    assert made is not None
    inside = made["configurable"]
    assert inside["checkpoint_ns"] == f"tools:{first['__pregel_task_id']}|coze_workflow:a_b_c"
    assert [inside["__pregel_scratchpad"].subgraph_counter() for _ in range(2)] == [0, 0]


def test_each_attempt_of_a_task_has_its_own_counter(tmp_path: Path) -> None:
    peek = ConfigRecorder()
    calls = [make_call("peek")]
    with memory_saver(tmp_path) as saver:
        graph = build_tool_node_graph(peek, calls, saver, interrupt_after=["model"])
        graph.invoke(START_INPUT, make_thread_config())
        waits = graph.get_state(make_thread_config()).config
        graph.invoke(None, waits)
        graph.invoke(None, waits)
    pads = [config["configurable"]["__pregel_scratchpad"] for config in peek.configs]
    assert pads[0].subgraph_counter is not pads[1].subgraph_counter


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_config_without_a_checkpointer_is_recognized(
    run_thread: ThreadRunner, tmp_path: Path
) -> None:
    peek = ConfigRecorder()
    run_thread(lambda _: build_tool_node_graph(peek, [make_call("peek")]), tmp_path)
    (config,) = peek.configs
    assert config["configurable"]["__pregel_task_id"]
    assert config["configurable"].get("__pregel_checkpointer") is None
    assert langgraph_internals.build_child_config(config, "c_a") is None


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_the_state_of_a_call_has_its_own_namespace(
    coze: LocalCoze, build_graph: GraphBuilder, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    tool = make_tool(coze)
    calls = [make_call(id=f"call|{name}:1", name=name) for name in "ab"]
    savers: list[Any] = []

    def build(saver: Any) -> Any:
        savers.append(saver)
        return build_graph(tool, calls, saver)

    check_answers_and_requests(coze, calls, run_thread(build, tmp_path))
    spaces = {kept.config["configurable"]["checkpoint_ns"] for kept in savers[0].list(None)}
    assert {space.partition("|")[2] for space in spaces if space} == {
        "coze_workflow:call_a_1",
        "coze_workflow:call_b_1",
    }


# --- Calls of one task, on an event loop -------------------------------------------------------


def make_two_calls(**waits: float) -> list[Any]:
    return [make_call(id=f"c_{name}", name=name, wait=wait) for name, wait in waits.items()]


def test_a_slow_call_is_not_lost_when_another_asks_first(coze: LocalCoze, tmp_path: Path) -> None:
    tool, calls = make_tool(coze), make_two_calls(a=0, b=0.3)
    done = run_thread_async(lambda saver: build_tool_node_graph(tool, calls, saver), tmp_path)
    check_answers_and_requests(coze, calls, done)


class SlowStart(AsyncCallbackHandler):
    """Delays the start of a call, like a slow tracer."""

    async def on_tool_start(self, serialized: Any, input_str: str, **_: Any) -> None:
        del serialized
        if "'b'" in input_str:
            await asyncio.sleep(0.2)  # a slow tracer


def test_a_call_that_starts_late_is_run_once(coze: LocalCoze, tmp_path: Path) -> None:
    tool, calls = make_tool(coze), make_two_calls(a=0, b=0.3)
    config = make_thread_config(callbacks=[SlowStart()])
    done = run_thread_async(
        lambda saver: build_tool_node_graph(tool, calls, saver), tmp_path, config=config
    )
    check_answers_and_requests(coze, calls, done)


def test_finished_calls_are_forgotten(coze: LocalCoze, tmp_path: Path) -> None:
    tool = make_tool(coze)
    calls = [make_call(id=f"c_{n}", name="a", questions=0) for n in range(4)]
    before = dict(_runtime.sibling_calls)
    run_thread_async(lambda saver: build_tool_node_graph(tool, calls, saver), tmp_path)
    assert _runtime.sibling_calls == before


def test_only_a_few_finished_attempts_are_remembered(
    coze: LocalCoze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(langgraph_internals, "_MAX_ATTEMPTS", 3)
    tool = make_tool(coze)
    calls = [make_call(id=f"c_{n}", name="a") for n in range(6)]
    done = run_thread_async(lambda saver: build_send_graph(tool, calls, saver), tmp_path)
    assert len(done.questions[0]) == 6
    assert len(_runtime.sibling_calls) <= 3
