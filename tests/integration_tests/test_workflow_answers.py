"""What a workflow asks inside of LangGraph, and what may be answered, when, and from where."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from packaging.version import Version
from typing_extensions import TypedDict

from langchain_coze import CozeRateLimitError, CozeWorkflowError, CozeWorkflowInterrupt
from langchain_coze._workflows.input_schema import json_schema
from langchain_coze.local import Ask, AskInput, Fail, FileKind, LocalCoze, LocalWorkflow, TurnFile
from tests.conftest import serve
from tests.integration_tests.agent_fixtures import EITHER, Run
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    BREAKS,
    GO,
    MAKERS,
    RESUMED,
    SAVERS,
    WAYS,
    Kept,
    Maker,
    Play,
    Way,
    always,
    answered_twice,
    called,
    listing,
    resumed,
    sending,
    started,
    thread,
    tool_of,
)

pytestmark = pytest.mark.timeout(60)


def form(guest: str) -> Play:
    """Book a room."""
    given = yield AskInput({"city": str, "nights": int})
    return {"guest": guest, **given}


def choose() -> Play:
    """Let somebody choose."""
    chosen = yield Ask("Tea?", ["yes", "no"])
    return {"chosen": chosen}


def fails() -> Play:
    """Fail at once."""
    yield Fail(720701013, "the kitchen is closed")


def frame(photo: Annotated[TurnFile, FileKind("image")]) -> Play:
    """Frame a photo."""
    colour = yield Ask("Which colour?")
    return {"photo": photo.name, "colour": colour}


FORM, CHOOSE, FAILS, FRAME = (LocalWorkflow(one) for one in (form, choose, fails, frame))
ASKS = [called(name="a", questions=1)]

coze = serve(workflows=[BOOK, FORM, CHOOSE, BREAKS, FAILS, FRAME], profiles=["cloud", "studio"])


def told(state: Any) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def output(state: Any) -> Any:
    """Return what the one call of a graph has put out."""
    (message,) = told(state)
    return json.loads(str(message.content))


def questions(state: Any) -> list[str]:
    return [wait.value["question"] for wait in state.get("__interrupt__", ())]


# --- Answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_a_plain_answer(coze: LocalCoze, make: Maker, run: Run) -> None:
    graph = make(tool_of(coze), ASKS, InMemorySaver())
    assert questions(run(graph, GO, thread())) == ["a: question 1?"]
    state = run(graph, Command(resume="x"), thread())
    assert output(state) == {"name": "a", "answers": ["x"]}
    assert (len(started(coze)), resumed(coze)) == (1, ["x"])


def test_what_is_asked(coze: LocalCoze) -> None:
    graph = listing(tool_of(coze, FORM), [called("form", guest="Li")], InMemorySaver())
    (wait,) = graph.invoke(GO, thread())["__interrupt__"]
    assert wait.value["type"] == 5
    assert wait.value["workflow_id"] == FORM.workflow_id
    assert sorted(wait.value["required_parameters"]) == ["city", "nights"]
    assert wait.value["event_id"]
    json.dumps(wait.value)  # plain data: any checkpointer and any front end can take it


def test_the_options_of_a_question(coze: LocalCoze) -> None:
    graph = listing(tool_of(coze, CHOOSE), [called("choose")], InMemorySaver())
    (wait,) = graph.invoke(GO, thread())["__interrupt__"]
    assert wait.value["type"] == 2
    if coze.profile == "studio":
        assert (wait.value["question"], wait.value["options"]) == ("Tea?", ["yes", "no"])
    else:  # coze.cn tells them in the text of the question only
        assert wait.value["question"] == "Tea?\nyes\nno"


@pytest.mark.parametrize("by_id", [False, True], ids=["plain", "by id"])
@pytest.mark.parametrize(
    ("answer", "sent"), [("", ""), (False, "false"), (0, "0"), ([], "[]")], ids=repr
)
def test_falsy_answers_are_sent(coze: LocalCoze, answer: Any, sent: str, *, by_id: bool) -> None:
    graph = listing(tool_of(coze), ASKS, InMemorySaver())
    state = graph.invoke(GO, thread())
    resume = always(answer)(state["__interrupt__"]) if by_id else answer
    state = graph.invoke(Command(resume=resume), thread())
    assert resumed(coze) == [sent]
    if sent:
        assert output(state) == {"name": "a", "answers": [sent]}
    else:  # Coze asks again for an answer that is empty
        assert questions(state) == ["a: question 1?"]


@pytest.mark.parametrize("run", EITHER)
def test_the_values_of_an_input_node(coze: LocalCoze, run: Run) -> None:
    graph = listing(tool_of(coze, FORM), [called("form", guest="Li")], InMemorySaver())
    run(graph, GO, thread())
    state = run(graph, Command(resume={"city": "杭州", "nights": 2}), thread())
    assert output(state) == {"guest": "Li", "city": "杭州", "nights": 2}
    assert [json.loads(sent) for sent in resumed(coze)] == [{"city": "杭州", "nights": 2}]


def test_an_answer_that_names_its_event(coze: LocalCoze) -> None:
    graph = listing(tool_of(coze), ASKS, InMemorySaver())
    (wait,) = graph.invoke(GO, thread())["__interrupt__"]
    answer = {"event_id": wait.value["event_id"], "answer": "x"}
    assert output(graph.invoke(Command(resume=answer), thread()))["answers"] == ["x"]
    assert resumed(coze) == ["x"]


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_to_another_event_is_not_sent(coze: LocalCoze, make: Maker, run: Run) -> None:
    graph = make(tool_of(coze), ASKS, InMemorySaver())
    run(graph, GO, thread())
    wrong = {"event_id": "1/2", "answer": "not for you"}
    state = run(graph, Command(resume=wrong), thread())
    assert questions(state) == ["a: question 1?"]
    assert resumed(coze) == []
    state = run(graph, Command(resume="x"), thread())
    assert output(state)["answers"] == ["x"]
    assert (len(started(coze)), resumed(coze)) == (1, ["x"])


@pytest.mark.parametrize("way", WAYS)
def test_answers_that_name_their_events_reach_the_right_calls(
    coze: LocalCoze, way: Way, tmp_path: Path
) -> None:
    calls = [called(id=f"c_{name}", name=name, questions=1) for name in "abc"]
    tool = tool_of(coze)

    def answer(waits: Any) -> Any:  # plain, with no id of an interrupt: one question at a time
        (wait,) = waits
        return {"event_id": wait.value["event_id"], "answer": f"A({wait.value['question']})"}

    done = way(lambda saver: listing(tool, calls, saver), tmp_path, answers=answer)
    assert [json.loads(one)["answers"] for one in done.told] == [
        [f"A({name}: question 1?)"] for name in "abc"
    ]
    assert (len(started(coze)), len(resumed(coze)), answered_twice(coze)) == (3, 3, [])


@pytest.mark.parametrize("way", WAYS)
def test_a_third_answer_that_cannot_be_used(coze: LocalCoze, way: Way, tmp_path: Path) -> None:
    tool = tool_of(coze, CHOOSE)
    done = way(
        lambda saver: sending(tool, [called("choose")], saver), tmp_path, answers=always("maybe")
    )
    assert [question.split("\n")[0] for (question,) in done.asked] == ["Tea?"] * 3
    (message,) = told(done.state)
    assert (message.status, done.state["messages"][-1].text) == ("error", "done")
    assert "720701013" in message.text
    assert (len(started(coze)), resumed(coze)) == (1, ["maybe"] * 3)
    assert answered_twice(coze) == []


# --- Failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", MAKERS)
def test_a_run_that_fails_while_it_is_resumed(
    coze: LocalCoze, make: Maker, way: Way, tmp_path: Path
) -> None:
    tool = tool_of(coze, BREAKS)
    done = way(lambda saver: make(tool, [called("breaks")], saver), tmp_path, answers=always("9"))
    (message,) = told(done.state)
    assert message.status == "error"
    assert "there is no table 9" in message.text
    assert "720701013" in message.text
    assert coze.token not in str(done.state)
    if make is sending:
        assert done.state["messages"][-1].text == "done"
    assert (len(started(coze)), resumed(coze)) == (1, ["9"])


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_a_failure_may_be_raised_and_stays_what_it_was(
    coze: LocalCoze, make: Maker, run: Run
) -> None:
    tool = tool_of(coze, BREAKS, handle_tool_error=False)
    graph = make(tool, [called("breaks")], InMemorySaver())
    run(graph, GO, thread())
    tries: list[Any] = [Command(resume="9"), None]  # asked to go on, it sends nothing
    for given in tries:
        with pytest.raises(CozeWorkflowError, match="there is no table 9") as raised:
            run(graph, given, thread())
        assert raised.value.code == 720701013
        assert raised.value.logid
    assert (len(started(coze)), resumed(coze)) == (1, ["9"])


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_that_was_not_taken_is_kept(coze: LocalCoze, make: Maker, run: Run) -> None:
    graph = make(tool_of(coze, max_retries=0), ASKS, InMemorySaver())
    run(graph, GO, thread())
    coze.faults = f"http_429,on={RESUMED}"
    try:
        with pytest.raises(CozeRateLimitError):
            run(graph, Command(resume="x"), thread())
    finally:
        coze.faults = ()
    state = run(graph, None, thread())  # nobody is asked again
    assert output(state)["answers"] == ["x"]
    assert (len(started(coze)), resumed(coze)) == (1, ["x", "x"])


@pytest.mark.parametrize("run", EITHER)
def test_a_failure_at_once_may_be_raised_and_run_again(coze: LocalCoze, run: Run) -> None:
    tool = tool_of(coze, FAILS, handle_tool_error=False)
    graph = listing(tool, [called("fails")], InMemorySaver())
    tries: list[Any] = [GO, None]  # that is how LangGraph is asked to try again
    for given in tries:
        with pytest.raises(CozeWorkflowError, match="the kitchen is closed"):
            run(graph, given, thread())
    assert len(started(coze)) == 2


@pytest.mark.parametrize("kept", SAVERS)
@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_kept_beside_one_that_asks(
    coze: LocalCoze, way: Way, kept: Kept, tmp_path: Path
) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio refuses with a body that is empty")
    loose = {"title": "book", "description": "Books.", "type": "object", "properties": {}}
    tool = tool_of(coze, args_schema=loose)
    calls = [called(id="c_a", name="a"), called(id="c_b", name="b", questions="many")]
    done = way(lambda saver: listing(tool, calls, saver), tmp_path, kept=kept)
    asked, refused = told(done.state)
    assert json.loads(asked.text)["answers"] == ["A(a: question 1?)"]
    assert refused.status == "error"
    assert "4000" in refused.text
    assert len(started(coze)) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_fails_beside_one_that_asks(coze: LocalCoze, way: Way, tmp_path: Path) -> None:
    tools = [tool_of(coze), tool_of(coze, FAILS)]
    calls = [called("fails", id="c_0"), called(id="c_a", name="a"), called("fails", id="c_1")]
    done = way(lambda saver: listing(tools, calls, saver), tmp_path)
    first, asked, last = told(done.state)
    assert [message.status for message in (first, asked, last)] == ["error", "success", "error"]
    assert "the kitchen is closed" in first.text
    assert json.loads(asked.text)["answers"] == ["A(a: question 1?)"]
    assert sorted(map(str, started(coze))) == ["{'name': 'a'}", "{}", "{}"]
    assert len(resumed(coze)) == 1


# --- Where nobody can be asked -------------------------------------------------------------------


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_a_graph_without_a_checkpointer(coze: LocalCoze, make: Maker, run: Run) -> None:
    tool = tool_of(coze)
    with pytest.raises(CozeWorkflowInterrupt, match="checkpointer") as raised:
        run(make(tool, ASKS), GO)
    assert raised.value.question == "a: question 1?"
    assert tool.resume(raised.value, "x").output == {"name": "a", "answers": ["x"]}
    assert len(started(coze)) == 1


@pytest.mark.parametrize("run", EITHER)
def test_a_graph_without_a_checkpointer_runs_what_does_not_ask(coze: LocalCoze, run: Run) -> None:
    graph = listing(tool_of(coze), [called(name="a", questions=0)])
    assert output(run(graph, GO)) == {"name": "a", "answers": []}
    assert len(started(coze)) == 1


# --- Where a tool may stand ----------------------------------------------------------------------


class Asked(TypedDict, total=False):
    first: Any
    second: Any


@pytest.mark.parametrize("run", EITHER)
def test_files_are_read_and_uploaded_once(coze: LocalCoze, run: Run, tmp_path: Path) -> None:
    schema = json_schema("frame", {"photo": {"type": "image", "required": True}})
    tool, photo = tool_of(coze, FRAME, args_schema=schema), tmp_path / "tea.png"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(tmp_path))  # none has been uploaded before

    def node(_: Asked) -> Any:
        return {"first": tool.invoke({"photo": str(photo)})}

    async def anode(_: Asked) -> Any:
        return {"first": await tool.ainvoke({"photo": str(photo)})}

    made = StateGraph(Asked)
    made.add_node("tools", RunnableLambda(node, anode))
    graph = made.add_edge(START, "tools").compile(checkpointer=InMemorySaver())
    run(graph, {}, thread())
    photo.unlink()
    state = run(graph, Command(resume="red"), thread())
    assert json.loads(state["first"])["colour"] == "red"
    assert [r.path for r in coze.requests].count("/v1/files/upload") == 1
    assert (len(started(coze)), resumed(coze)) == (1, ["red"])


@pytest.mark.parametrize("run", EITHER)
def test_a_tool_in_a_node_of_ones_own(coze: LocalCoze, run: Run) -> None:
    tool = tool_of(coze)

    def node(_: Asked) -> Any:
        return {"first": tool.invoke({"name": "a"}), "second": tool.invoke({"name": "b"})}

    async def anode(_: Asked) -> Any:
        first = await tool.ainvoke({"name": "a"})
        return {"first": first, "second": await tool.ainvoke({"name": "b"})}

    made = StateGraph(Asked)
    made.add_node("tools", RunnableLambda(node, anode))
    graph = made.add_edge(START, "tools").compile(checkpointer=InMemorySaver())
    assert questions(run(graph, {}, thread())) == ["a: question 1?"]
    assert questions(run(graph, Command(resume="x"), thread())) == ["b: question 1?"]
    state = run(graph, Command(resume="y"), thread())
    assert [json.loads(state[key])["answers"] for key in ("first", "second")] == [["x"], ["y"]]
    assert [given["name"] for given in started(coze)] == ["a", "b"]
    assert resumed(coze) == ["x", "y"]


@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_an_agent_in_a_graph(coze: LocalCoze, make: Maker, run: Run) -> None:
    calls = [called(id=f"c_{name}", name=name, questions=2) for name in "ab"]
    inner = make(tool_of(coze), calls)
    outer = StateGraph(MessagesState)
    outer.add_node("agent", inner)
    graph = outer.add_edge(START, "agent").compile(checkpointer=InMemorySaver())
    state = run(graph, GO, thread())
    while waits := state.get("__interrupt__"):
        answers = {wait.id: f"A({wait.value['question']})" for wait in waits}
        state = run(graph, Command(resume=answers), thread())
    assert [json.loads(message.text)["answers"] for message in told(state)] == [
        [f"A({name}: question {n}?)" for n in (1, 2)] for name in "ab"
    ]
    assert (len(started(coze)), len(resumed(coze)), answered_twice(coze)) == (2, 4, [])


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", MAKERS)
def test_durability(
    coze: LocalCoze, make: Maker, way: Way, durability: str, tmp_path: Path
) -> None:
    calls = [called(name="a", questions=2)]
    tool = tool_of(coze)
    done = way(lambda saver: make(tool, calls, saver), tmp_path, durability=durability)
    assert [json.loads(one)["answers"] for one in done.told] == [
        ["A(a: question 1?)", "A(a: question 2?)"]
    ]
    assert (len(started(coze)), len(resumed(coze)), answered_twice(coze)) == (1, 2, [])


@pytest.mark.parametrize("run", EITHER)
def test_a_second_call_with_the_same_id_in_another_thread(coze: LocalCoze, run: Run) -> None:
    graph = listing(tool_of(coze), ASKS, InMemorySaver())
    for name in ("t1", "t2"):
        run(graph, GO, thread(name))
    for name in ("t2", "t1"):
        state = run(graph, Command(resume=name), thread(name))
        assert output(state)["answers"] == [name]
    assert (len(started(coze)), answered_twice(coze)) == (2, [])


@pytest.mark.parametrize("run", EITHER)
def test_a_second_call_with_the_same_id_in_one_thread(coze: LocalCoze, run: Run) -> None:
    graph = listing(tool_of(coze), ASKS, InMemorySaver())  # models that count repeat their ids
    for answer in ("one", "two"):
        assert questions(run(graph, GO, thread())) == ["a: question 1?"]
        state = run(graph, Command(resume=answer), thread())
        assert json.loads(told(state)[-1].text)["answers"] == [answer]
    assert (len(started(coze)), resumed(coze)) == (2, ["one", "two"])


# --- Time travel ---------------------------------------------------------------------------------

travels = pytest.mark.skipif(
    Version(version("langgraph")) < Version("1.1.9"),
    reason="earlier ones run nested graphs afresh, whatever checkpoint they are given",
)


def _answered(graph: Any, run: Run) -> Any:
    """Ask and answer; return the config of the checkpoint that waited."""
    run(graph, GO, thread())
    waited = graph.get_state(thread()).config
    assert output(run(graph, Command(resume="first"), thread()))["answers"] == ["first"]
    return waited


@travels
@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_another_answer_to_an_old_checkpoint_sends_nothing(
    coze: LocalCoze, make: Maker, run: Run
) -> None:
    graph = make(tool_of(coze), ASKS, InMemorySaver())
    waited = _answered(graph, run)
    coze.reset()
    state = run(graph, Command(resume="second"), waited)
    assert output(state)["answers"] == ["first"]  # the run has ended: its event is used up
    assert coze.requests == []


@travels
@pytest.mark.parametrize("run", EITHER)
@pytest.mark.parametrize("make", MAKERS)
def test_going_on_from_an_old_checkpoint_asks_anew(coze: LocalCoze, make: Maker, run: Run) -> None:
    graph = make(tool_of(coze), ASKS, InMemorySaver())
    waited = _answered(graph, run)
    state = run(graph, None, waited)
    assert questions(state) == ["a: question 1?"]
    assert (len(started(coze)), resumed(coze)) == (2, ["first"])
    newest = graph.get_state(thread()).config
    assert output(run(graph, Command(resume="second"), newest))["answers"] == ["second"]
    assert answered_twice(coze) == []


def test_a_run_is_not_streamed_and_asks(coze: LocalCoze) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio runs nothing that asks without a stream (6039)")
    graph = listing(tool_of(coze, run_mode="sync"), ASKS, InMemorySaver())
    assert questions(graph.invoke(GO, thread())) == ["a: question 1?"]
    state = asyncio.run(graph.ainvoke(Command(resume="x"), thread()))
    assert output(state)["answers"] == ["x"]
    paths = [request.path for request in coze.requests if request.method == "POST"]
    assert paths == ["/v1/workflow/run", RESUMED.replace("workflow/stream_", "workflows/")]
