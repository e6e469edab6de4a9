"""A process is killed while it starts or answers a workflow: no other one sends that again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy

from langchain_coze import (
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
    CozeUnknownResultError,
    CozeWorkflowInterrupt,
    create_workflow_graph,
    is_retryable,
)
from langchain_coze.local import LocalCoze
from tests.conftest import serve, wait_until
from tests.integration_tests.agent_fixtures import (
    INVOKE_STYLES,
    RunStyle,
    get_tool_messages,
    make_thread_config,
)
from tests.integration_tests.test_examples import ROOT, build_account_environment
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    RESUMED,
    START_INPUT,
    STARTED,
    build_send_graph,
    build_tool_node_graph,
    get_output,
    list_questions,
    list_sent_answers,
    list_started_runs,
    make_call,
    make_tool,
    sqlite_saver,
)

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite import SqliteSaver
else:
    pytest.importorskip("langgraph.checkpoint.sqlite")

from tests.integration_tests.killed_process import (
    BUILDERS,
    HOLD,
    HOST,
    make_graph_input,
)

pytestmark = pytest.mark.timeout(60)

coze = serve(HOST, workflows=[HOLD, BOOK])


@pytest.fixture(autouse=True)
def _use_server(coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings of the environment be those of the server, as in the other process."""
    for name, value in build_account_environment(coze).items():
        monkeypatch.setenv(name, value)


def run_until_killed(
    coze: LocalCoze, until: Callable[[], Any], folder: Path, *arguments: str
) -> None:
    """Run a thread in another process, and kill that when the request has arrived."""
    command = [sys.executable, "-m", "tests.integration_tests.killed_process"]
    runner, builder, durability, *answer = arguments
    with subprocess.Popen(
        [*command, runner, builder, durability, str(folder), *answer],
        cwd=ROOT,
        env=build_account_environment(coze),
    ) as process:
        try:
            wait_until(until, 30)
        finally:
            process.kill()


def open_graph(coze: LocalCoze, builder: str, saver: SqliteSaver, question: str = "go") -> Any:
    """Return the graph in this process, as another one would make it."""
    return BUILDERS[builder](make_tool(coze, HOLD), question, saver)


def check_unknown_result(raised: pytest.ExceptionInfo[CozeUnknownResultError], *parts: str) -> None:
    """Check that an error says what is known, and that nothing may be sent again."""
    assert not is_retryable(raised.value)
    text = str(raised.value)
    for part in (f"workflow_id {HOLD.workflow_id}", "time 20", "扣子", *parts):
        assert part in text
    assert "send the agent a new message" in text
    assert "start a new" not in text


KILLED = [
    *((builder, runner, runner) for builder in BUILDERS for runner in ("sync", "async")),
    ("create_coze_agent", "sync", "async"),
    ("create_coze_agent", "async", "sync"),
    *((builder, "sync", "slow") for builder in BUILDERS),
    *((builder, "async", "slow") for builder in ("create_coze_agent", "workflow graph")),
]


@pytest.mark.parametrize(("builder", "runner", "durability"), KILLED)
def test_a_run_is_started_once_although_its_process_is_killed(
    coze: LocalCoze, builder: str, runner: str, durability: str, tmp_path: Path
) -> None:
    run_until_killed(coze, lambda: list_started_runs(coze), tmp_path, runner, builder, durability)
    with sqlite_saver(tmp_path) as saver:
        graph = open_graph(coze, builder, saver)
        for _ in range(2):
            with pytest.raises(CozeUnknownResultError, match="may already have started") as raised:
                graph.invoke(None, make_thread_config())
            check_unknown_result(raised, "by the window")
    assert len(list_started_runs(coze)) == 1
    assert [request.path for request in coze.requests].count("/v3/chat") == (
        builder == "create_coze_agent"
    )


@pytest.mark.parametrize(
    ("builder", "runner", "durability"),
    [
        *((builder, "sync", "async") for builder in BUILDERS),
        ("create_coze_agent", "async", "sync"),
        ("create_coze_agent", "sync", "exit"),
        ("workflow graph", "async", "slow"),
    ],
)
def test_an_answer_is_sent_once_although_its_process_is_killed(
    coze: LocalCoze, builder: str, runner: str, durability: str, tmp_path: Path
) -> None:
    with sqlite_saver(tmp_path) as saver:
        graph = open_graph(coze, builder, saver, "ask")
        state = graph.invoke(make_graph_input(builder, "ask"), make_thread_config())
        assert list_questions(state) == ["Which day?"]
    run_until_killed(
        coze, lambda: list_sent_answers(coze), tmp_path, runner, builder, durability, "Friday"
    )
    with sqlite_saver(tmp_path) as saver:
        graph = open_graph(coze, builder, saver, "ask")
        inputs: list[Any] = [None, Command(resume="Friday")]
        for given in inputs:
            with pytest.raises(CozeUnknownResultError, match="may already have received") as raised:
                graph.invoke(given, make_thread_config())
            check_unknown_result(raised, "event_id")
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["Friday"])


# --- In one process ------------------------------------------------------------------------------

CUT = f"cut_at=20,on={STARTED},times=1"  # in the middle of the stream
BUSY = f"error=4009,on={STARTED},times=1"
CALLS = [make_call(name="a", questions=0)]


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_run_whose_connection_was_cut_is_started_again_only_on_request(
    coze: LocalCoze, run: RunStyle
) -> None:
    graph = build_tool_node_graph(make_tool(coze), CALLS, InMemorySaver())
    coze.faults = CUT
    with pytest.raises(CozeStreamError):
        run(graph, START_INPUT, make_thread_config())
    with pytest.raises(CozeUnknownResultError, match="tool_call_id c_a"):
        run(graph, None, make_thread_config())
    assert len(list_started_runs(coze)) == 1
    here = graph.get_state(make_thread_config()).config
    assert get_output(run(graph, None, here)) == {"name": "a", "answers": []}  # as the hint says
    assert len(list_started_runs(coze)) == 2


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_the_result_of_a_run_can_be_put_into_the_thread(coze: LocalCoze, run: RunStyle) -> None:
    graph = build_send_graph(make_tool(coze), CALLS, InMemorySaver())
    coze.faults = CUT
    with pytest.raises(CozeStreamError):
        run(graph, START_INPUT, make_thread_config())
    found = ToolMessage("booked", tool_call_id="c_a")
    graph.update_state(make_thread_config(), {"messages": [found]}, as_node="tools")
    state = run(graph, None, make_thread_config())
    assert [message.text for message in state["messages"][-2:]] == ["booked", "done"]
    assert len(list_started_runs(coze)) == 1


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_an_answer_that_did_not_arrive_can_be_sent_by_hand(coze: LocalCoze, run: RunStyle) -> None:
    tool = make_tool(coze)
    graph = build_tool_node_graph(tool, [make_call(name="a")], InMemorySaver())
    (wait,) = run(graph, START_INPUT, make_thread_config())["__interrupt__"]
    coze.faults = f"http_502,on={RESUMED},times=1"
    with pytest.raises(CozeServerError):
        run(graph, Command(resume="x"), make_thread_config())
    with pytest.raises(CozeUnknownResultError):
        run(graph, None, make_thread_config())
    assert list_sent_answers(coze) == ["x"]
    found = tool.resume(CozeWorkflowInterrupt(pending=wait.value), "x")  # as the docs say
    assert found.output == {"name": "a", "answers": ["x"]}


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_an_answer_that_is_refused_does_not_reach_the_model(coze: LocalCoze, run: RunStyle) -> None:
    tool = make_tool(coze)
    graph = build_send_graph(tool, [make_call(name="a")], InMemorySaver())
    (wait,) = run(graph, START_INPUT, make_thread_config())["__interrupt__"]
    tool.resume(CozeWorkflowInterrupt(pending=wait.value), "by another process")
    with pytest.raises(CozeUnknownResultError, match="has already received it") as raised:
        run(graph, Command(resume="x"), make_thread_config())
    assert not is_retryable(raised.value)
    assert get_tool_messages(graph.get_state(make_thread_config()).values) == []


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("alone", [True, False], ids=["workflow graph", "tool"])
def test_a_refused_start_may_be_repeated_by_another_process(
    coze: LocalCoze, run: RunStyle, *, alone: bool
) -> None:
    saver = InMemorySaver()

    def build() -> Any:
        tool = make_tool(coze, max_retries=0)
        if alone:
            return create_workflow_graph(tool, checkpointer=saver)
        return build_tool_node_graph(tool, CALLS, saver)

    coze.faults = BUSY
    with pytest.raises(CozeRateLimitError):
        run(
            build(),
            {"parameters": CALLS[0]["args"]} if alone else START_INPUT,
            make_thread_config(),
        )
    state = run(
        build(), None, make_thread_config()
    )  # a new graph remembers nothing, as another process
    assert (state["output"] if alone else get_output(state)) == {"name": "a", "answers": []}
    assert len(list_started_runs(coze)) == 2


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_retry_policy_repeats_only_refused_requests(coze: LocalCoze, run: RunStyle) -> None:
    tool, policy = make_tool(coze, max_retries=0), RetryPolicy(initial_interval=0.01, jitter=False)
    graph: Any = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([tool]), retry_policy=policy)
    graph = graph.add_edge(START, "tools").compile(checkpointer=InMemorySaver())
    given: Any = {"messages": [AIMessage("", tool_calls=CALLS)]}
    coze.faults = BUSY
    state = run(graph, given, make_thread_config("1"))
    assert get_output(state) == {"name": "a", "answers": []}
    coze.reset()
    coze.faults = CUT
    with pytest.raises(CozeUnknownResultError):
        run(graph, given, make_thread_config("2"))
    assert len(list_started_runs(coze)) == 1


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_tool_that_is_called_again_for_the_same_call_starts_nothing(
    coze: LocalCoze, run: RunStyle
) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    retry = middleware.ToolRetryMiddleware(
        retry_on=(Exception,), initial_delay=0.01, on_failure="error"
    )
    graph = build_send_graph(make_tool(coze), CALLS, InMemorySaver(), middleware=[retry])
    coze.faults = CUT
    with pytest.raises(CozeUnknownResultError):
        run(graph, START_INPUT, make_thread_config())
    assert len(list_started_runs(coze)) == 1
