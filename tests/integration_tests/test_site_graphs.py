"""Agents of coze.site in LangGraph: as a node, as a worker of a supervisor, in a swarm."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_coze import ChatCozeSite, CozeInvalidRequestError, create_coze_agent
from tests.conftest import wait_until
from tests.integration_tests.agent_fixtures import get_weather
from tests.integration_tests.site_server import SiteServer, run_site
from tests.integration_tests.test_multi_agents import RouterModel

pytest.importorskip("langchain", reason="the agents of the package langchain")
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with run_site() as server:
        yield server


def make_site(site: SiteServer, **fields: Any) -> ChatCozeSite:
    return ChatCozeSite(base_url=site.base_url, api_key="eyJtoken0000", timeout=5, **fields)


def make_chat_graph(site: SiteServer, **fields: Any) -> Any:
    model = make_site(site, **fields)

    def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("agent", answer)
    graph.add_edge(START, "agent").add_edge("agent", END)
    return graph.compile(checkpointer=InMemorySaver())


def test_tools_are_refused_with_a_sentence(site: SiteServer) -> None:
    from langchain.agents import create_agent  # noqa: PLC0415 - see the importorskip above

    model = make_site(site)
    with pytest.raises(CozeInvalidRequestError, match="does not accept client tools"):
        create_coze_agent(model, [get_weather], name="site")
    agent: Any = create_agent(model, [get_weather])
    with pytest.raises(CozeInvalidRequestError, match="does not accept client tools"):
        agent.invoke({"messages": [("user", "hi")]})
    with pytest.raises(CozeInvalidRequestError, match="cannot return structured output"):
        model.with_structured_output({"title": "x"})
    assert site.requests == []


@pytest.mark.parametrize("is_langchain", [False, True])
def test_an_agent_without_tools_answers(site: SiteServer, *, is_langchain: bool) -> None:
    from langchain.agents import create_agent  # noqa: PLC0415 - see the importorskip above

    model = make_site(site)
    agent: Any = create_agent(model) if is_langchain else create_coze_agent(model, name="site")
    state = agent.invoke({"messages": [("user", "hi")]})
    assert state["messages"][-1].text == "1: hi"


def test_a_node_streams_its_answer(site: SiteServer) -> None:
    graph = make_chat_graph(site)
    parts = list(graph.stream({"messages": [("user", "hello")]}, THREAD, stream_mode="messages"))
    texts = [chunk.text for chunk, _ in parts if chunk.text]
    assert texts == ["1:", " hello"]


@pytest.mark.parametrize("mode", ["stream", "run"])
def test_a_thread_of_the_graph_is_one_session(site: SiteServer, mode: Any) -> None:
    graph = make_chat_graph(site, session="thread", response_mode=mode)
    for question in ("one", "two", "three"):
        state = graph.invoke({"messages": [("user", question)]}, THREAD)
    assert len(site.sessions) == 1
    assert [text for _, text in site.seen[-1]] == [m.text for m in state["messages"][:-1]]


def test_time_travel_starts_a_new_session(site: SiteServer) -> None:
    graph = make_chat_graph(site, session="thread")
    for question in ("one", "two"):
        graph.invoke({"messages": [("user", question)]}, THREAD)
    first = next(
        snapshot
        for snapshot in graph.get_state_history(THREAD)
        if len(snapshot.values.get("messages", ())) == 2
    )
    graph.invoke({"messages": [("user", "other")]}, first.config)
    assert len(site.sessions) == 2
    ((_, seen),) = site.seen[-1]
    assert "one" in seen
    assert "two" not in seen


def test_a_failed_node_can_be_tried_again(site: SiteServer) -> None:
    graph = make_chat_graph(site, session="thread", max_retries=0)
    graph.invoke({"messages": [("user", "one")]}, THREAD)
    site.failures = ["301001"]
    with pytest.raises(Exception, match="301001"):
        graph.invoke({"messages": [("user", "two")]}, THREAD)
    state = graph.invoke(None, THREAD)  # resumes at the failed node
    assert state["messages"][-1].text.startswith("3: ")
    assert site.seen[-1][0][1].count("two") == 1
    assert len(site.seen[-1]) == 1


@pytest.mark.parametrize("session", ["stateless", "thread"])
def test_a_site_agent_is_a_worker_of_a_supervisor(site: SiteServer, session: Any) -> None:
    supervisor = pytest.importorskip("langgraph_supervisor")
    workers = [
        create_coze_agent(make_site(site, session=session), name=name)
        for name in ("bot_a", "bot_b")
    ]
    team = supervisor.create_supervisor(workers, model=RouterModel()).compile(
        checkpointer=InMemorySaver()
    )
    for number, question in enumerate(("first", "second"), 1):
        state = team.invoke({"messages": [("user", question)]}, THREAD)
        answers = [m.text for m in state["messages"] if m.name in {"bot_a", "bot_b"} and m.text]
        assert len([text for text in answers if "Transferring" not in text]) == 2 * number
    assert question in site.seen[-1][-1][1]


def test_a_site_agent_is_a_member_of_a_swarm(site: SiteServer) -> None:
    swarm = pytest.importorskip("langgraph_swarm")
    agents = [create_coze_agent(make_site(site, session="thread"), name=name) for name in "ab"]
    team = swarm.create_swarm(agents, default_active_agent="a").compile(
        checkpointer=InMemorySaver()
    )
    for question in ("one", "two"):
        state = team.invoke({"messages": [("user", question)]}, THREAD)
    assert state["messages"][-1].text == "2: two"
    assert len(site.sessions) == 1


async def test_leaving_a_graph_cancels_the_run(site: SiteServer) -> None:
    site.failures = ["hang"]
    graph = make_chat_graph(site)
    task = asyncio.create_task(graph.ainvoke({"messages": [HumanMessage("hi")]}, THREAD))
    await asyncio.to_thread(site.started.wait)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    site.released.set()


async def test_leaving_an_async_node_cancels_the_run(site: SiteServer) -> None:
    site.failures = ["hang"]
    agent = create_coze_agent(make_site(site), name="site")
    async for _ in agent.astream({"messages": [("user", "hi")]}, stream_mode="messages"):
        break
    await asyncio.to_thread(wait_until, lambda: "/cancel/run-1" in site.paths)
