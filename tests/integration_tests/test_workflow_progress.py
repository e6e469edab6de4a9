"""Messages of a running workflow reach LangGraph's streams and LangChain's callbacks once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolRuntime
from langgraph.types import Command

from langchain_coze import create_workflow_graph
from langchain_coze._workflows.workflow_run import WorkflowState
from langchain_coze.local import Ask, LocalCoze, LocalWorkflow, Message
from tests.conftest import serve
from tests.integration_tests.agent_fixtures import make_thread_config, stream_v3_events
from tests.integration_tests.workflow_fixtures import (
    GRAPH_BUILDERS,
    START_INPUT,
    GraphBuilder,
    WorkflowSteps,
    build_send_graph,
    build_tool_node_graph,
    make_call,
    make_tool,
)

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:The v3 streaming protocol"),
]

RECEIVED = threading.Event()
DELTAS = hasattr(ToolRuntime, "emit_output_delta")  # langgraph 1.1 has no streams of tools
MODES = ["custom", "tools"] if DELTAS else ["custom"]
needs_deltas = pytest.mark.skipif(not DELTAS, reason="this langgraph has no streams of tools")


def brew(leaf: str) -> WorkflowSteps:
    """Make tea."""
    yield "The water "
    yield f"for {leaf} boils."
    milk = yield Ask("Milk?")
    yield Message(f"Milk: {milk}", node_title="Pour")
    return {"cup": leaf}


def pour(leaf: str, times: int = 3) -> WorkflowSteps:
    """Pour tea."""
    for number in range(times):
        yield Message(f"{leaf} {number}", node_title=f"Cup {number}")
    return {"cup": leaf}


def held(leaf: str) -> WorkflowSteps:
    """Wait until the message has been received."""
    yield Message("listen", node_title="Say")
    return {"leaf": leaf, "heard": RECEIVED.wait(5)}


BREW, POUR, HELD = (LocalWorkflow(one) for one in (brew, pour, held))
POURED = [("Cup 0", "oolong 0"), ("Cup 1", "oolong 1"), ("Cup 2", "oolong 2")]
POURED += [("End", '{"cup":"oolong"}')]
ASKED = [("Message", "The water "), ("Message", "for oolong boils."), ("Message", "")]
ASKED += [("问答", "Milk?")]
ANSWERED = [("Pour", "Milk: no"), ("End", '{"cup":"oolong"}')]

coze = serve(workflows=[BREW, POUR, HELD])


class Listener(BaseCallbackHandler):
    """Keeps the custom events of callbacks."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        assert name == "coze_workflow_message"
        self.events.append(data)


class AsyncListener(AsyncCallbackHandler):
    """Keeps the custom events, on the event loop."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        assert name == "coze_workflow_message"
        await asyncio.sleep(0.01)  # a slow handler does not change the order
        self.events.append(data)


def list_messages(events: list[Any]) -> list[tuple[str, str]]:
    return [(event["node"], event["content"]) for event in events]


def stream_sync(graph: Any, given: Any, config: Any, **options: Any) -> list[Any]:
    return list(graph.stream(given, config, **options))


def stream_async(graph: Any, given: Any, config: Any, **options: Any) -> list[Any]:
    async def run() -> list[Any]:
        return [part async for part in graph.astream(given, config, **options)]

    return asyncio.run(run())


StreamStyle = Callable[..., list[Any]]
STREAM_STYLES = [pytest.param(stream_sync, id="sync"), pytest.param(stream_async, id="async")]


# --- LangGraph's streams -------------------------------------------------------------------------


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("stream", STREAM_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_messages_before_and_after_a_question_reach_every_channel_once(
    coze: LocalCoze, build_graph: GraphBuilder, stream: StreamStyle, *, subgraphs: bool
) -> None:
    graph = build_graph(make_tool(coze, BREW), [make_call("brew", leaf="oolong")], InMemorySaver())
    listener = Listener()
    config = make_thread_config(callbacks=[listener])
    for given, expected in ((START_INPUT, ASKED), (Command(resume="no"), ANSWERED)):
        listener.events.clear()
        streamed = stream(graph, given, config, stream_mode=MODES, subgraphs=subgraphs)
        if subgraphs:
            assert {space for space, *_ in streamed} == {()}
            streamed = [tuple(rest) for _, *rest in streamed]
        customs = [event for mode, event in streamed if mode == "custom"]
        deltas = [event for mode, event in streamed if mode == "tools" and "delta" in event]
        assert list_messages(customs) == expected
        assert list_messages(listener.events) == expected
        assert {event["tool_call_id"] for event in customs + deltas} == {"c_a"}
        if DELTAS:
            assert [event["delta"] for event in deltas] == [text for _, text in expected if text]
            assert {event["event"] for event in deltas} == {"tool-output-delta"}


def test_an_event_has_the_workflow_the_node_and_the_call(coze: LocalCoze) -> None:
    graph = build_tool_node_graph(
        make_tool(coze, BREW), [make_call("brew", leaf="oolong")], InMemorySaver()
    )
    first, *_, last = stream_sync(graph, START_INPUT, make_thread_config(), stream_mode="custom")
    about = {
        "type": "coze_workflow_message",
        "tool_call_id": "c_a",
        "workflow_id": BREW.workflow_id,
    }
    assert first == {**about, "node": "Message", "content": "The water ", "is_finish": False}
    assert last == {**about, "node": "问答", "content": "Milk?", "is_finish": True}
    json.dumps([first, last])


@pytest.mark.parametrize("stream", STREAM_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_events_have_the_id_of_their_call(
    coze: LocalCoze, build_graph: GraphBuilder, stream: StreamStyle
) -> None:
    leaves = ["oolong", "sencha", "assam"]
    calls = [make_call("pour", id=f"c_{leaf}", leaf=leaf) for leaf in leaves]
    graph = build_graph(make_tool(coze, POUR), calls)
    streamed = stream(graph, START_INPUT, make_thread_config(), stream_mode=MODES)
    for leaf in leaves:
        expected = [f"{leaf} {n}" for n in range(3)] + [f'{{"cup":"{leaf}"}}']
        mine = [event for _, event in streamed if event["tool_call_id"] == f"c_{leaf}"]
        assert [event["delta"] for event in mine if "delta" in event] == expected * DELTAS
        assert [event["content"] for event in mine if "content" in event] == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_messages_come_while_the_workflow_runs(
    coze: LocalCoze, build_graph: GraphBuilder, mode: str
) -> None:
    RECEIVED.clear()
    graph = build_graph(make_tool(coze, HELD), [make_call("held", leaf="oolong")], InMemorySaver())
    # "tools" alone is streamed at the end of a step: LangGraph does so with any tool
    for name, event in graph.stream(START_INPUT, make_thread_config(), stream_mode=MODES):
        if name == mode and "listen" in (event.get("content"), event.get("delta")):
            RECEIVED.set()
    (answer,) = (
        m for m in graph.get_state(make_thread_config()).values["messages"] if m.type == "tool"
    )
    assert json.loads(answer.content) == {"leaf": "oolong", "heard": True}


async def test_messages_come_while_the_workflow_runs_async(coze: LocalCoze) -> None:
    RECEIVED.clear()
    graph = build_tool_node_graph(
        make_tool(coze, HELD), [make_call("held", leaf="oolong")], InMemorySaver()
    )
    async for event in graph.astream(START_INPUT, make_thread_config(), stream_mode="custom"):
        if event["content"] == "listen":
            RECEIVED.set()
    state = await graph.aget_state(make_thread_config())
    assert json.loads(state.values["messages"][-1].content)["heard"] is True


@pytest.mark.parametrize("stream", STREAM_STYLES)
def test_a_graph_without_a_checkpointer_streams_messages(
    coze: LocalCoze, stream: StreamStyle
) -> None:
    graph = build_tool_node_graph(make_tool(coze, POUR), [make_call("pour", leaf="oolong")])
    listener = Listener()
    streamed = stream(graph, START_INPUT, {"callbacks": [listener]}, stream_mode=MODES)
    assert list_messages([event for mode, event in streamed if mode == "custom"]) == POURED
    deltas = [event["delta"] for _, event in streamed if "delta" in event]
    assert deltas == [text for _, text in POURED] * DELTAS
    assert list_messages(listener.events) == POURED


@pytest.mark.parametrize("stream", STREAM_STYLES)
def test_a_tool_in_a_node_of_the_user_streams_messages(
    coze: LocalCoze, stream: StreamStyle
) -> None:
    tool = make_tool(coze, POUR)

    def node(_: Any) -> Any:
        return {"output": tool.invoke({"leaf": "oolong"})}

    async def anode(_: Any) -> Any:
        return {"output": await tool.ainvoke({"leaf": "oolong"})}

    made = StateGraph(WorkflowState)
    made.add_node("pour", RunnableLambda(node, anode))
    graph = made.add_edge(START, "pour").compile(checkpointer=InMemorySaver())
    streamed = stream(graph, {}, make_thread_config(), stream_mode="custom")
    assert list_messages(streamed) == POURED
    assert {event["tool_call_id"] for event in streamed} == {None}


@pytest.mark.parametrize("stream", STREAM_STYLES)
def test_a_workflow_graph_streams_messages(coze: LocalCoze, stream: StreamStyle) -> None:
    graph = create_workflow_graph(make_tool(coze, BREW), checkpointer=InMemorySaver())
    listener = Listener()
    config = make_thread_config(callbacks=[listener])
    given = {"parameters": {"leaf": "oolong"}}
    assert list_messages(stream(graph, given, config, stream_mode="custom")) == ASKED
    assert (
        list_messages(stream(graph, Command(resume="no"), config, stream_mode="custom")) == ANSWERED
    )
    assert list_messages(listener.events) == ASKED + ANSWERED


@pytest.mark.parametrize("stream", STREAM_STYLES)
def test_a_workflow_graph_streams_messages_as_a_node(coze: LocalCoze, stream: StreamStyle) -> None:
    made = StateGraph(WorkflowState)
    made.add_node("pour", create_workflow_graph(make_tool(coze, POUR)))
    graph = made.add_edge(START, "pour").compile()
    given = {"parameters": {"leaf": "oolong"}}
    streamed = stream(graph, given, make_thread_config(), stream_mode="custom", subgraphs=True)
    assert list_messages([event for _, event in streamed]) == POURED
    assert {space[0].split(":")[0] for space, _ in streamed} == {"pour"}


# --- LangChain's events --------------------------------------------------------------------------


@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
async def test_version_2_events_belong_to_the_run_of_the_tool(
    coze: LocalCoze, build_graph: GraphBuilder
) -> None:
    graph = build_graph(make_tool(coze, BREW), [make_call("brew", leaf="oolong")], InMemorySaver())
    for given, expected in ((START_INPUT, ASKED), (Command(resume="no"), ANSWERED)):
        found = [
            event async for event in graph.astream_events(given, make_thread_config(), version="v2")
        ]
        customs = [event for event in found if event["event"] == "on_custom_event"]
        assert list_messages([event["data"] for event in customs]) == expected
        tools = {event["run_id"] for event in found if event["event"] == "on_tool_start"}
        assert {event["run_id"] for event in customs} == tools  # each belongs to the tool's run
        assert len(tools) == 1


@needs_deltas
def test_version_3_events_have_the_deltas_of_a_call(coze: LocalCoze) -> None:
    graph = build_send_graph(
        make_tool(coze, POUR), [make_call("pour", leaf="oolong")], InMemorySaver()
    )
    run = stream_v3_events(graph, START_INPUT, make_thread_config())
    deltas = [(call.tool_name, list(call.output_deltas)) for call in run.tool_calls]
    assert deltas == [("pour", [text for _, text in POURED])]


@needs_deltas
async def test_version_3_events_keep_parallel_calls_apart(coze: LocalCoze) -> None:
    leaves = ["oolong", "sencha", "assam"]
    calls = [make_call("pour", id=f"c_{leaf}", leaf=leaf) for leaf in leaves]
    graph = build_send_graph(make_tool(coze, POUR), calls, InMemorySaver())
    run = await graph.astream_events(START_INPUT, make_thread_config(), version="v3")

    async def read(call: Any) -> tuple[str, list[str]]:
        return call.tool_call_id, [delta async for delta in call.output_deltas]

    readers = [asyncio.create_task(read(call)) async for call in run.tool_calls]
    assert dict(await asyncio.gather(*readers)) == {
        f"c_{leaf}": [f"{leaf} {n}" for n in range(3)] + [f'{{"cup":"{leaf}"}}'] for leaf in leaves
    }


@needs_deltas
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_version_3_events_have_the_messages_as_custom_events(
    coze: LocalCoze, build_graph: GraphBuilder
) -> None:
    transformers = pytest.importorskip("langgraph.stream.transformers")
    graph = build_graph(make_tool(coze, POUR), [make_call("pour", leaf="oolong")], InMemorySaver())
    run = graph.stream_events(
        START_INPUT,
        make_thread_config(),
        version="v3",
        transformers=[transformers.CustomTransformer],
    )
    assert list_messages(list(run.custom)) == POURED


# --- Outside of graphs ---------------------------------------------------------------------------


@pytest.mark.parametrize("make_listener", [Listener, AsyncListener])
def test_a_tool_outside_a_graph_reports_to_callbacks(coze: LocalCoze, make_listener: Any) -> None:
    tool, listener = make_tool(coze, POUR), make_listener()
    config: Any = {"callbacks": [listener]}
    if make_listener is Listener:
        tool.invoke({"leaf": "oolong"}, config)
        assert list_messages(listener.events) == POURED
        listener.events.clear()
    asyncio.run(tool.ainvoke(make_call("pour", leaf="oolong"), config))
    assert list_messages(listener.events) == POURED
    assert {event["tool_call_id"] for event in listener.events} == {"c_a"}


def test_a_tool_in_a_chain_reports_to_callbacks(coze: LocalCoze) -> None:
    listener = Listener()
    named = RunnableLambda[str, dict[str, str]](lambda leaf: {"leaf": leaf})
    chain = named | make_tool(coze, POUR)
    assert json.loads(chain.invoke("oolong", {"callbacks": [listener]})) == {"cup": "oolong"}
    assert list_messages(listener.events) == POURED


def test_a_listener_that_fails_does_not_stop_the_run(coze: LocalCoze) -> None:
    class Failing(BaseCallbackHandler):
        def on_custom_event(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("not listening")

    result = make_tool(coze, POUR).invoke({"leaf": "oolong"}, {"callbacks": [Failing()]})
    assert json.loads(result) == {"cup": "oolong"}
