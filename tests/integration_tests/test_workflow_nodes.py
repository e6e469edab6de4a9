"""`create_workflow_graph`: a workflow as a graph and as a node of another graph."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from langchain_coze import (
    CozeInvalidRequestError,
    CozeWorkflowError,
    WorkflowRun,
    create_workflow_graph,
)
from langchain_coze.local import AskInput, FileKind, LocalCoze, LocalWorkflow, TurnFile
from tests.conftest import serve
from tests.integration_tests.agent_fixtures import INVOKE_STYLES, RunStyle, make_thread_config
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    BREAKS,
    SAVERS,
    THREAD_RUNNERS,
    OpenSaver,
    ThreadRunner,
    WorkflowSteps,
    answer_all_with,
    find_events_answered_twice,
    list_sent_answers,
    list_started_runs,
    make_tool,
)

pytestmark = pytest.mark.timeout(60)

INPUT = {"parameters": {"name": "a", "questions": 2}}
ANSWERED = {"name": "a", "answers": ["A(a: question 1?)", "A(a: question 2?)"]}

coze = serve(workflows=[BOOK, BREAKS], profiles=["cloud", "studio"])


class Trip(TypedDict, total=False):
    parameters: dict[str, Any]
    output: Any
    run: dict[str, Any]
    summary: str


def build_outer_graph(workflow: Any, checkpointer: Any) -> Any:
    """Return a graph with a workflow as a node, followed by one that reads its output."""

    def summarize(state: Trip) -> Trip:
        return {"summary": json.dumps(state["output"])}

    graph = StateGraph(Trip)
    graph.add_node("book", workflow)
    graph.add_node("tell", summarize)
    graph.add_edge(START, "book")
    graph.add_edge("book", "tell")
    return graph.compile(checkpointer=checkpointer)


# --- Alone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_saver", SAVERS)
@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_workflow_graph_asks_and_returns_its_output(
    coze: LocalCoze, run_thread: ThreadRunner, open_saver: OpenSaver, tmp_path: Path
) -> None:
    tool = make_tool(coze)
    done = run_thread(
        lambda saver: create_workflow_graph(tool, checkpointer=saver),
        tmp_path,
        open_saver=open_saver,
        graph_input=INPUT,
    )
    assert done.questions == [["a: question 1?"], ["a: question 2?"]]
    assert set(done.state) == {"output", "run"}
    assert done.state["output"] == ANSWERED
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (1, 2, [])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_the_run_is_plain_data(coze: LocalCoze, run: RunStyle) -> None:
    graph = create_workflow_graph(make_tool(coze))
    state = run(graph, {"parameters": {"name": "a", "questions": 0}})
    workflow_run = WorkflowRun.model_validate(json.loads(json.dumps(state["run"])))
    assert workflow_run.output == state["output"] == {"name": "a", "answers": []}
    assert workflow_run.debug_url
    assert workflow_run.workflow_id == BOOK.workflow_id


def test_the_run_has_the_messages_before_and_after_a_question(coze: LocalCoze) -> None:
    graph = create_workflow_graph(make_tool(coze), checkpointer=InMemorySaver())
    graph.invoke({"parameters": {"name": "a"}}, make_thread_config())
    messages = graph.invoke(Command(resume="x"), make_thread_config())["run"]["messages"]
    titles = [message["node_title"] for message in messages]
    end = "结束" if coze.profile == "studio" else "End"
    assert (titles[0], titles[2:]) == ("Look", ["Heard 1", end])


def test_the_state_shows_the_pending_question(coze: LocalCoze) -> None:
    graph = create_workflow_graph(make_tool(coze), checkpointer=InMemorySaver())
    graph.invoke(INPUT, make_thread_config())
    state = graph.get_state(make_thread_config())
    assert state.next == ("ask",)
    assert state.values["pending"]["question"] == "a: question 1?"
    assert [wait.value["event_id"] for wait in state.interrupts] == [
        state.values["pending"]["event_id"]
    ]


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_run_that_fails_is_an_error(coze: LocalCoze, run: RunStyle) -> None:
    graph = create_workflow_graph(make_tool(coze, BREAKS), checkpointer=InMemorySaver())
    run(graph, {"parameters": {}}, make_thread_config())
    with pytest.raises(CozeWorkflowError, match="there is no table 9") as raised:
        run(graph, Command(resume="9"), make_thread_config())
    assert raised.value.code == 720701013
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["9"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_invalid_parameters_are_refused_before_any_request(coze: LocalCoze, run: RunStyle) -> None:
    schema = {
        "title": "book",
        "description": "Books.",
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    graph = create_workflow_graph(make_tool(coze, args_schema=schema))
    for given in ({}, {"parameters": {"name": 5}}, {"parameters": {"name": "a", "other": 1}}):
        with pytest.raises(CozeWorkflowError, match="name"):
            run(graph, given)
    assert list_started_runs(coze) == []


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_question_cannot_be_answered_twice(coze: LocalCoze, run: RunStyle) -> None:
    graph = create_workflow_graph(make_tool(coze), checkpointer=InMemorySaver())
    run(graph, {"parameters": {"name": "a"}}, make_thread_config())
    waited = graph.get_state(make_thread_config()).config
    assert run(graph, Command(resume="x"), make_thread_config())["output"]["answers"] == ["x"]
    with pytest.raises(CozeWorkflowError):  # an event takes one answer
        run(graph, Command(resume="y"), waited)
    assert len(list_started_runs(coze)) == 1


def test_a_graph_has_the_name_of_its_tool_unless_another_is_given(coze: LocalCoze) -> None:
    tool = make_tool(coze)
    assert create_workflow_graph(tool).name == tool.name == "book"
    assert create_workflow_graph(tool, name="booking").name == "booking"
    for name in ("", "a|b", "a:b"):
        with pytest.raises(CozeInvalidRequestError, match="name="):
            create_workflow_graph(tool, name=name)


# --- A node --------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_saver", SAVERS)
@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_workflow_graph_may_be_a_node(
    coze: LocalCoze, run_thread: ThreadRunner, open_saver: OpenSaver, tmp_path: Path
) -> None:
    tool = make_tool(coze)
    done = run_thread(
        lambda saver: build_outer_graph(create_workflow_graph(tool), saver),
        tmp_path,
        open_saver=open_saver,
        graph_input=INPUT,
    )
    assert done.questions == [["a: question 1?"], ["a: question 2?"]]
    assert done.state["output"] == ANSWERED
    assert json.loads(done.state["summary"]) == ANSWERED
    assert done.state["run"]["workflow_id"] == BOOK.workflow_id
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (1, 2, [])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_the_outer_graph_shows_the_pending_question(coze: LocalCoze, run: RunStyle) -> None:
    graph = build_outer_graph(create_workflow_graph(make_tool(coze)), InMemorySaver())
    run(graph, INPUT, make_thread_config())
    (task,) = graph.get_state(make_thread_config(), subgraphs=True).tasks
    assert (task.name, task.state.next) == ("book", ("ask",))
    assert task.state.values["pending"]["question"] == "a: question 1?"
    run(graph, Command(resume="x"), make_thread_config())
    (task,) = graph.get_state(make_thread_config(), subgraphs=True).tasks
    assert task.state.values["pending"]["question"] == "a: question 2?"


class Several(TypedDict, total=False):
    one: Any
    two: Any


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_parallel_nodes_ask_at_the_same_time(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    workflow = create_workflow_graph(make_tool(coze))

    def build(saver: Any) -> Any:
        graph = StateGraph(Several)
        for name in ("one", "two"):
            graph.add_node(name, build_node(workflow, name))
            graph.add_edge(START, name)
        return graph.compile(checkpointer=saver)

    done = run_thread(build, tmp_path, graph_input={})
    assert sorted(done.questions[0]) == ["one: question 1?", "two: question 1?"]
    assert done.state["one"]["answers"] == ["A(one: question 1?)"]
    assert done.state["two"]["answers"] == ["A(two: question 1?)"]
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (2, 2, [])


def build_node(workflow: Any, name: str) -> Any:
    """Return a node that converts the state for a workflow and back."""

    def given(_: Any) -> Any:
        return {"parameters": {"name": name}}

    return given | workflow | (lambda state: {name: state["output"]})


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_more_than_three_questions_are_an_error(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio may be resumed as often as its workflow asks")
    tool = make_tool(coze)
    given = {"parameters": {"name": "a", "questions": 4}}
    with pytest.raises(CozeWorkflowError, match="after 3 resumes"):
        run_thread(
            lambda saver: create_workflow_graph(tool, checkpointer=saver),
            tmp_path,
            graph_input=given,
            answers=answer_all_with("x"),
        )
    assert (len(list_started_runs(coze)), len(list_sent_answers(coze))) == (1, 3)


def test_a_graph_is_used_from_several_event_loops(coze: LocalCoze) -> None:
    graph = create_workflow_graph(make_tool(coze), checkpointer=InMemorySaver())
    asyncio.run(graph.ainvoke({"parameters": {"name": "a"}}, make_thread_config()))
    state = asyncio.run(graph.ainvoke(Command(resume="x"), make_thread_config()))
    assert state["output"] == {"name": "a", "answers": ["x"]}


def photo_form() -> WorkflowSteps:
    """Ask for a photo."""
    form = yield AskInput({"photo": Annotated[TurnFile, FileKind("image")]})
    return {"url": form["photo"].url}


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_an_answer_that_cannot_be_sent_is_requested_again(run: RunStyle, tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_text("SECRET")
    flow = LocalWorkflow(photo_form)
    with LocalCoze(workflows=flow) as cloud:
        graph = create_workflow_graph(make_tool(cloud, flow), checkpointer=InMemorySaver())
        run(graph, {"parameters": {}}, make_thread_config())
        state = run(graph, Command(resume={"photo": str(path)}), make_thread_config())
        (wait,) = state["__interrupt__"]
        assert "Paths are accepted only from code" in wait.value["error"]
        state = run(graph, Command(resume={"photo": "https://h/t.png"}), make_thread_config())
        assert state["output"] == {"url": "https://h/t.png"}
        assert (len(list_started_runs(cloud)), len(list_sent_answers(cloud))) == (1, 1)
        assert [r.path for r in cloud.requests].count("/v1/files/upload") == 0
