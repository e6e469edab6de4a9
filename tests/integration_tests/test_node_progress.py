"""What the server sends counts as progress of a LangGraph node; silence does not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.graph import START, MessagesState, StateGraph

from langchain_coze import ChatCoze, CozeWorkflowTool
from langchain_coze.local import LocalBot, LocalCoze, LocalWorkflow, Output, Pause
from tests.conftest import make_chat, serve

pytestmark = pytest.mark.skipif(
    "timeout" not in inspect.signature(StateGraph.add_node).parameters,
    reason="this langgraph has no idle timeout",
)
IDLE = 0.5  # seconds that a node may be without progress


async def think(_: str) -> Any:
    for _number in range(4):
        yield Pause(0.3)
        yield "so "
    yield "green"


async def sleep(_: str) -> Any:
    yield Pause(1.5)
    yield "late"


async def slow(city: str) -> Any:
    """Take a while; the server sends heartbeats."""
    yield Pause(1.2)
    yield Output(city)


BOTS = [LocalBot(think, name="think"), LocalBot(sleep, name="sleep")]
coze = serve(BOTS, workflows=LocalWorkflow(slow, ping=0.2), stop_timeout=0.1)


def run_node(function: Callable[..., Any]) -> Any:
    """Run a graph of one node that may be idle for `IDLE` seconds."""
    from langgraph.types import TimeoutPolicy  # noqa: PLC0415 - langgraph 1.2

    # Only explicit heartbeats count, so that no callback of LangChain helps.
    policy = TimeoutPolicy(idle_timeout=IDLE, refresh_on="heartbeat")
    graph: Any = StateGraph(MessagesState)
    graph.add_node("ask", function, timeout=policy)
    graph.add_edge(START, "ask")
    return asyncio.run(graph.compile().ainvoke({"messages": [("user", "Hi")]}))


def ask(bot: ChatCoze) -> Callable[..., Any]:
    async def node(state: MessagesState) -> Any:
        return {"messages": [await bot.ainvoke(state["messages"])]}

    return node


@pytest.mark.parametrize("streaming", [None, True])
def test_pieces_of_an_answer_are_progress(coze: LocalCoze, streaming: Any) -> None:
    state = run_node(ask(make_chat(coze, BOTS[0], streaming=streaming)))
    assert state["messages"][-1].text == "so so so so green"


def test_replies_to_polls_are_progress(coze: LocalCoze) -> None:
    bot = make_chat(coze, BOTS[1], response_mode="poll", poll_interval=0.1)
    assert run_node(ask(bot))["messages"][-1].text == "late"


def test_heartbeats_of_a_workflow_are_progress(coze: LocalCoze) -> None:
    tool = CozeWorkflowTool.from_workflow(
        coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
    )

    async def node(_: MessagesState) -> Any:
        return {"messages": [("ai", str(await tool.ainvoke({"city": "Hangzhou"})))]}

    assert "Hangzhou" in run_node(node)["messages"][-1].text


def test_silence_is_no_progress(coze: LocalCoze) -> None:
    from langgraph.errors import NodeTimeoutError  # noqa: PLC0415 - langgraph 1.2

    with pytest.raises(NodeTimeoutError):
        run_node(ask(make_chat(coze, BOTS[1])))
