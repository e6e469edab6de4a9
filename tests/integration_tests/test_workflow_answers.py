"""Questions of workflows inside LangGraph: which answers are accepted, when, and where."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from langchain_coze import CozeRateLimitError, CozeWorkflowError, CozeWorkflowInterrupt
from langchain_coze._workflows.parameters import build_json_schema
from langchain_coze.local import Ask, AskInput, Fail, FileKind, LocalCoze, LocalWorkflow, TurnFile
from tests.conftest import serve
from tests.integration_tests.agent_fixtures import (
    INVOKE_STYLES,
    RunStyle,
    get_tool_messages,
    make_thread_config,
)
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    BREAKS,
    GRAPH_BUILDERS,
    ONE_QUESTION,
    RESUMED,
    SAVERS,
    START_INPUT,
    THREAD_RUNNERS,
    GraphBuilder,
    OpenSaver,
    ThreadRunner,
    WorkflowSteps,
    answer_all_with,
    build_send_graph,
    build_tool_node_graph,
    find_events_answered_twice,
    get_output,
    list_questions,
    list_sent_answers,
    list_started_runs,
    make_call,
    make_tool,
)

pytestmark = pytest.mark.timeout(60)


def form(guest: str) -> WorkflowSteps:
    """Book a room."""
    given = yield AskInput({"city": str, "nights": int})
    return {"guest": guest, **given}


def choose() -> WorkflowSteps:
    """Offer a choice."""
    chosen = yield Ask("Tea?", ["yes", "no"])
    return {"chosen": chosen}


def fails() -> WorkflowSteps:
    """Fail at once."""
    yield Fail(720701013, "the kitchen is closed")


def frame(photo: Annotated[TurnFile, FileKind("image")]) -> WorkflowSteps:
    """Frame a photo."""
    colour = yield Ask("Which colour?")
    return {"photo": photo.name, "colour": colour}


FORM, CHOOSE, FAILS, FRAME = (LocalWorkflow(one) for one in (form, choose, fails, frame))

coze = serve(workflows=[BOOK, FORM, CHOOSE, BREAKS, FAILS, FRAME], profiles=["cloud", "studio"])


# --- Answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_a_plain_answer_resumes_the_run(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    graph = build_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    assert list_questions(run(graph, START_INPUT, make_thread_config())) == ["a: question 1?"]
    state = run(graph, Command(resume="x"), make_thread_config())
    assert get_output(state) == {"name": "a", "answers": ["x"]}
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["x"])


def test_the_interrupt_has_the_question_as_plain_data(coze: LocalCoze) -> None:
    graph = build_tool_node_graph(
        make_tool(coze, FORM), [make_call("form", guest="Li")], InMemorySaver()
    )
    (wait,) = graph.invoke(START_INPUT, make_thread_config())["__interrupt__"]
    assert wait.value["type"] == 5
    assert wait.value["workflow_id"] == FORM.workflow_id
    assert sorted(wait.value["required_parameters"]) == ["city", "nights"]
    assert wait.value["event_id"]
    json.dumps(wait.value)  # plain data, for any checkpointer and any front end


def test_the_interrupt_has_the_options_of_a_question(coze: LocalCoze) -> None:
    graph = build_tool_node_graph(make_tool(coze, CHOOSE), [make_call("choose")], InMemorySaver())
    (wait,) = graph.invoke(START_INPUT, make_thread_config())["__interrupt__"]
    assert wait.value["type"] == 2
    if coze.profile == "studio":
        assert (wait.value["question"], wait.value["options"]) == ("Tea?", ["yes", "no"])
    else:  # coze.cn has them only in the text of the question
        assert wait.value["question"] == "Tea?\nyes\nno"


@pytest.mark.parametrize("by_id", [False, True], ids=["plain", "by id"])
@pytest.mark.parametrize(
    ("answer", "sent"), [("", ""), (False, "false"), (0, "0"), ([], "[]")], ids=repr
)
def test_falsy_answers_are_sent(coze: LocalCoze, answer: Any, sent: str, *, by_id: bool) -> None:
    graph = build_tool_node_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    state = graph.invoke(START_INPUT, make_thread_config())
    resume = answer_all_with(answer)(state["__interrupt__"]) if by_id else answer
    state = graph.invoke(Command(resume=resume), make_thread_config())
    assert list_sent_answers(coze) == [sent]
    if sent:
        assert get_output(state) == {"name": "a", "answers": [sent]}
    else:  # Coze repeats the question after an empty answer
        assert list_questions(state) == ["a: question 1?"]


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_an_input_node_takes_a_dict_of_values(coze: LocalCoze, run: RunStyle) -> None:
    graph = build_tool_node_graph(
        make_tool(coze, FORM), [make_call("form", guest="Li")], InMemorySaver()
    )
    run(graph, START_INPUT, make_thread_config())
    state = run(graph, Command(resume={"city": "杭州", "nights": 2}), make_thread_config())
    assert get_output(state) == {"guest": "Li", "city": "杭州", "nights": 2}
    assert [json.loads(sent) for sent in list_sent_answers(coze)] == [{"city": "杭州", "nights": 2}]


def test_an_answer_may_name_its_event(coze: LocalCoze) -> None:
    graph = build_tool_node_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    (wait,) = graph.invoke(START_INPUT, make_thread_config())["__interrupt__"]
    answer = {"event_id": wait.value["event_id"], "answer": "x"}
    assert get_output(graph.invoke(Command(resume=answer), make_thread_config()))["answers"] == [
        "x"
    ]
    assert list_sent_answers(coze) == ["x"]


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_an_answer_to_another_event_is_not_sent(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    graph = build_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    run(graph, START_INPUT, make_thread_config())
    wrong = {"event_id": "1/2", "answer": "not for you"}
    state = run(graph, Command(resume=wrong), make_thread_config())
    assert list_questions(state) == ["a: question 1?"]
    assert list_sent_answers(coze) == []
    state = run(graph, Command(resume="x"), make_thread_config())
    assert get_output(state)["answers"] == ["x"]
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["x"])


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_answers_that_name_their_events_reach_the_right_calls(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    calls = [make_call(id=f"c_{name}", name=name, questions=1) for name in "abc"]
    tool = make_tool(coze)

    def answer(waits: Any) -> Any:  # without the id of an interrupt: one question at a time
        (wait,) = waits
        return {"event_id": wait.value["event_id"], "answer": f"A({wait.value['question']})"}

    # LangGraph gives such an answer to the call that asks first. If it names another event, the
    # call asks again; on a busy machine it may take many rounds until each answer is in its place.
    done = run_thread(
        lambda saver: build_tool_node_graph(tool, calls, saver),
        tmp_path,
        answers=answer,
        max_answers=60,
    )
    assert [json.loads(one)["answers"] for one in done.tool_results] == [
        [f"A({name}: question 1?)"] for name in "abc"
    ]
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (3, 3, [])


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_the_third_unusable_answer_fails_the_run(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    tool = make_tool(coze, CHOOSE)
    done = run_thread(
        lambda saver: build_send_graph(tool, [make_call("choose")], saver),
        tmp_path,
        answers=answer_all_with("maybe"),
    )
    assert [question.split("\n")[0] for (question,) in done.questions] == ["Tea?"] * 3
    (message,) = get_tool_messages(done.state)
    assert (message.status, done.state["messages"][-1].text) == ("error", "done")
    assert "720701013" in message.text
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["maybe"] * 3)
    assert find_events_answered_twice(coze) == []


# --- Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_a_run_that_fails_when_resumed_is_reported_to_the_model(
    coze: LocalCoze, build_graph: GraphBuilder, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    tool = make_tool(coze, BREAKS)
    done = run_thread(
        lambda saver: build_graph(tool, [make_call("breaks")], saver),
        tmp_path,
        answers=answer_all_with("9"),
    )
    (message,) = get_tool_messages(done.state)
    assert message.status == "error"
    assert "there is no table 9" in message.text
    assert "720701013" in message.text
    assert coze.token not in str(done.state)
    if build_graph is build_send_graph:
        assert done.state["messages"][-1].text == "done"
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["9"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_a_failure_that_is_raised_stays_the_result(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    tool = make_tool(coze, BREAKS, handle_tool_error=False)
    graph = build_graph(tool, [make_call("breaks")], InMemorySaver())
    run(graph, START_INPUT, make_thread_config())
    tries: list[Any] = [Command(resume="9"), None]  # run again, it sends nothing
    for given in tries:
        with pytest.raises(CozeWorkflowError, match="there is no table 9") as raised:
            run(graph, given, make_thread_config())
        assert raised.value.code == 720701013
        assert raised.value.logid
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["9"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_an_answer_that_coze_did_not_accept_is_sent_again(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    graph = build_graph(make_tool(coze, max_retries=0), ONE_QUESTION, InMemorySaver())
    run(graph, START_INPUT, make_thread_config())
    coze.faults = f"http_429,on={RESUMED}"
    try:
        with pytest.raises(CozeRateLimitError):
            run(graph, Command(resume="x"), make_thread_config())
    finally:
        coze.faults = ()
    state = run(graph, None, make_thread_config())  # no question is asked again
    assert get_output(state)["answers"] == ["x"]
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["x", "x"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_failure_at_once_may_be_raised_and_run_again(coze: LocalCoze, run: RunStyle) -> None:
    tool = make_tool(coze, FAILS, handle_tool_error=False)
    graph = build_tool_node_graph(tool, [make_call("fails")], InMemorySaver())
    tries: list[Any] = [START_INPUT, None]  # the way to make LangGraph try again
    for given in tries:
        with pytest.raises(CozeWorkflowError, match="the kitchen is closed"):
            run(graph, given, make_thread_config())
    assert len(list_started_runs(coze)) == 2


@pytest.mark.parametrize("open_saver", SAVERS)
@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_refusal_is_kept_beside_one_that_asks(
    coze: LocalCoze, run_thread: ThreadRunner, open_saver: OpenSaver, tmp_path: Path
) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio refuses with a body that is empty")
    loose = {"title": "book", "description": "Books.", "type": "object", "properties": {}}
    tool = make_tool(coze, args_schema=loose)
    calls = [make_call(id="c_a", name="a"), make_call(id="c_b", name="b", questions="many")]
    done = run_thread(
        lambda saver: build_tool_node_graph(tool, calls, saver), tmp_path, open_saver=open_saver
    )
    answered, refused = get_tool_messages(done.state)
    assert json.loads(answered.text)["answers"] == ["A(a: question 1?)"]
    assert refused.status == "error"
    assert "4000" in refused.text
    assert len(list_started_runs(coze)) == 2


@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
def test_a_call_that_fails_does_not_stop_one_that_asks(
    coze: LocalCoze, run_thread: ThreadRunner, tmp_path: Path
) -> None:
    tools = [make_tool(coze), make_tool(coze, FAILS)]
    calls = [
        make_call("fails", id="c_0"),
        make_call(id="c_a", name="a"),
        make_call("fails", id="c_1"),
    ]
    done = run_thread(lambda saver: build_tool_node_graph(tools, calls, saver), tmp_path)
    first, answered, last = get_tool_messages(done.state)
    assert [message.status for message in (first, answered, last)] == ["error", "success", "error"]
    assert "the kitchen is closed" in first.text
    assert json.loads(answered.text)["answers"] == ["A(a: question 1?)"]
    assert sorted(map(str, list_started_runs(coze))) == ["{'name': 'a'}", "{}", "{}"]
    assert len(list_sent_answers(coze)) == 1


# --- Without a checkpointer ----------------------------------------------------------------------


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_a_question_without_a_checkpointer_is_raised(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    tool = make_tool(coze)
    with pytest.raises(CozeWorkflowInterrupt, match="checkpointer") as raised:
        run(build_graph(tool, ONE_QUESTION), START_INPUT)
    assert raised.value.question == "a: question 1?"
    assert tool.resume(raised.value, "x").output == {"name": "a", "answers": ["x"]}
    assert len(list_started_runs(coze)) == 1


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_graph_without_a_checkpointer_runs_workflows_without_questions(
    coze: LocalCoze, run: RunStyle
) -> None:
    graph = build_tool_node_graph(make_tool(coze), [make_call(name="a", questions=0)])
    assert get_output(run(graph, START_INPUT)) == {"name": "a", "answers": []}
    assert len(list_started_runs(coze)) == 1


# --- Where a tool may stand ----------------------------------------------------------------------


class TwoOutputs(TypedDict, total=False):
    first: Any
    second: Any


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_files_are_read_and_uploaded_once(coze: LocalCoze, run: RunStyle, tmp_path: Path) -> None:
    schema = build_json_schema("frame", {"photo": {"type": "image", "required": True}})
    tool, photo = make_tool(coze, FRAME, args_schema=schema), tmp_path / "tea.png"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(tmp_path))  # none has been uploaded before

    def node(_: TwoOutputs) -> Any:
        return {"first": tool.invoke({"photo": str(photo)})}

    async def anode(_: TwoOutputs) -> Any:
        return {"first": await tool.ainvoke({"photo": str(photo)})}

    made = StateGraph(TwoOutputs)
    made.add_node("tools", RunnableLambda(node, anode))
    graph = made.add_edge(START, "tools").compile(checkpointer=InMemorySaver())
    run(graph, {}, make_thread_config())
    photo.unlink()
    state = run(graph, Command(resume="red"), make_thread_config())
    assert json.loads(state["first"])["colour"] == "red"
    assert [r.path for r in coze.requests].count("/v1/files/upload") == 1
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (1, ["red"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_tool_may_be_called_twice_in_a_node_of_the_user(coze: LocalCoze, run: RunStyle) -> None:
    tool = make_tool(coze)

    def node(_: TwoOutputs) -> Any:
        return {"first": tool.invoke({"name": "a"}), "second": tool.invoke({"name": "b"})}

    async def anode(_: TwoOutputs) -> Any:
        first = await tool.ainvoke({"name": "a"})
        return {"first": first, "second": await tool.ainvoke({"name": "b"})}

    made = StateGraph(TwoOutputs)
    made.add_node("tools", RunnableLambda(node, anode))
    graph = made.add_edge(START, "tools").compile(checkpointer=InMemorySaver())
    assert list_questions(run(graph, {}, make_thread_config())) == ["a: question 1?"]
    assert list_questions(run(graph, Command(resume="x"), make_thread_config())) == [
        "b: question 1?"
    ]
    state = run(graph, Command(resume="y"), make_thread_config())
    assert [json.loads(state[key])["answers"] for key in ("first", "second")] == [["x"], ["y"]]
    assert [given["name"] for given in list_started_runs(coze)] == ["a", "b"]
    assert list_sent_answers(coze) == ["x", "y"]


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_an_agent_may_ask_inside_another_graph(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    calls = [make_call(id=f"c_{name}", name=name, questions=2) for name in "ab"]
    inner = build_graph(make_tool(coze), calls)
    outer = StateGraph(MessagesState)
    outer.add_node("agent", inner)
    graph = outer.add_edge(START, "agent").compile(checkpointer=InMemorySaver())
    state = run(graph, START_INPUT, make_thread_config())
    while waits := state.get("__interrupt__"):
        answers = {wait.id: f"A({wait.value['question']})" for wait in waits}
        state = run(graph, Command(resume=answers), make_thread_config())
    assert [json.loads(message.text)["answers"] for message in get_tool_messages(state)] == [
        [f"A({name}: question {n}?)" for n in (1, 2)] for name in "ab"
    ]
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (2, 4, [])


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("run_thread", THREAD_RUNNERS)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_each_question_is_asked_once_with_every_durability(
    coze: LocalCoze,
    build_graph: GraphBuilder,
    run_thread: ThreadRunner,
    durability: str,
    tmp_path: Path,
) -> None:
    calls = [make_call(name="a", questions=2)]
    tool = make_tool(coze)
    done = run_thread(
        lambda saver: build_graph(tool, calls, saver), tmp_path, durability=durability
    )
    assert [json.loads(one)["answers"] for one in done.tool_results] == [
        ["A(a: question 1?)", "A(a: question 2?)"]
    ]
    assert (
        len(list_started_runs(coze)),
        len(list_sent_answers(coze)),
        find_events_answered_twice(coze),
    ) == (1, 2, [])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_the_same_call_id_in_another_thread_is_another_run(coze: LocalCoze, run: RunStyle) -> None:
    graph = build_tool_node_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    for name in ("t1", "t2"):
        run(graph, START_INPUT, make_thread_config(name))
    for name in ("t2", "t1"):
        state = run(graph, Command(resume=name), make_thread_config(name))
        assert get_output(state)["answers"] == [name]
    assert (len(list_started_runs(coze)), find_events_answered_twice(coze)) == (2, [])


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_the_same_call_id_in_a_later_turn_is_another_run(coze: LocalCoze, run: RunStyle) -> None:
    graph = build_tool_node_graph(
        make_tool(coze), ONE_QUESTION, InMemorySaver()
    )  # models that number their calls repeat the ids
    for answer in ("one", "two"):
        assert list_questions(run(graph, START_INPUT, make_thread_config())) == ["a: question 1?"]
        state = run(graph, Command(resume=answer), make_thread_config())
        assert json.loads(get_tool_messages(state)[-1].text)["answers"] == [answer]
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (2, ["one", "two"])


def test_a_run_in_sync_mode_may_ask(coze: LocalCoze) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio runs nothing that asks without a stream (6039)")
    graph = build_tool_node_graph(make_tool(coze, run_mode="sync"), ONE_QUESTION, InMemorySaver())
    assert list_questions(graph.invoke(START_INPUT, make_thread_config())) == ["a: question 1?"]
    state = asyncio.run(graph.ainvoke(Command(resume="x"), make_thread_config()))
    assert get_output(state)["answers"] == ["x"]
    paths = [request.path for request in coze.requests if request.method == "POST"]
    assert paths == ["/v1/workflow/run", RESUMED.replace("workflow/stream_", "workflows/")]
