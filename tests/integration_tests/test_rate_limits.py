"""A rate limiter delays each run of every component; the wait is no part of `max_duration`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.rate_limiters import BaseRateLimiter, InMemoryRateLimiter
from langchain_core.runnables import Runnable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_coze import (
    ChatCoze,
    ChatCozeSite,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    create_workflow_graph,
)
from langchain_coze.local import Ask, LocalBot, LocalCoze, LocalSite, knowledge_workflow

ARGUMENTS = {"type": "object", "properties": {"city": {"type": "string"}}}
WAIT = 1.0  # seconds; longer than `max_duration` below


class RecordingLimiter(BaseRateLimiter):
    """Counts how often it is asked, and waits a little each time."""

    def __init__(self, seconds: float = WAIT) -> None:
        self.count = 0
        self.seconds = seconds

    def acquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.count += 1
        time.sleep(self.seconds)
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        assert blocking
        self.count += 1
        await asyncio.sleep(self.seconds)
        return True


def greet(city: str) -> str:
    return f"hello {city}"


def ask(city: str) -> Any:
    day = yield Ask("Which day?")
    return f"{city} on {day}"


def make_components(coze: LocalCoze, agent: LocalSite, workflow: LocalSite) -> dict[str, Any]:
    bot_id = coze.bots[0].bot_id
    flow_id = coze.workflows[0].workflow_id
    search_id = coze.workflows[2].workflow_id
    coze_account = {"api_key": coze.token, "base_url": coze.base_url}
    tool = {"name": "greet", "description": "Greet.", "args_schema": ARGUMENTS}
    site = {"api_key": workflow.token, "base_url": workflow.base_url}
    return {
        "chat": (ChatCoze, {"bot_id": bot_id, **coze_account}, "hi"),
        "search": (CozeRecallRetriever, {"bot_id": bot_id, **coze_account}, "tea"),
        "workflow search": (CozeRecallRetriever, {"workflow_id": search_id, **coze_account}, "tea"),
        "workflow": (
            CozeWorkflowTool,
            {"workflow_id": flow_id, **tool, **coze_account},
            {"city": "Xi'an"},
        ),
        "site chat": (ChatCozeSite, {"base_url": agent.base_url, "api_key": agent.token}, "hi"),
        "site workflow": (CozeSiteTool, {**tool, **site}, {"city": "Xi'an"}),
    }


NAMES = ["chat", "search", "workflow search", "workflow", "site chat", "site workflow"]


@pytest.fixture(scope="module")
def servers() -> Any:
    bot = LocalBot(knowledge=["Longjing tea"], name="tea")
    search = knowledge_workflow(["Longjing tea"])
    with (
        LocalCoze(bot, workflows=[greet, ask, search]) as coze,
        LocalSite(agent=str.upper) as agent,
        LocalSite(workflow=greet) as workflow,
    ):
        # the first search of a process is slow
        CozeRecallRetriever(
            bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url
        ).invoke("tea")
        yield coze, agent, workflow


def call(component: Runnable[Any, Any], value: Any) -> None:
    component.invoke(value)


def call_async(component: Runnable[Any, Any], value: Any) -> None:
    asyncio.run(component.ainvoke(value))


@pytest.mark.parametrize("run", [call, call_async])
@pytest.mark.parametrize("name", NAMES)
def test_each_run_waits_once_and_keeps_its_time(
    servers: Any, name: str, run: Callable[[Any, Any], None]
) -> None:
    component, fields, value = make_components(*servers)[name]
    limiter = RecordingLimiter()
    limited = component(rate_limiter=limiter, max_duration=WAIT * 0.9, max_retries=0, **fields)
    began = time.monotonic()
    run(limited, value)
    assert limiter.count == 1
    assert time.monotonic() - began >= WAIT


@pytest.mark.parametrize("is_async", [False, True])
def test_a_start_and_an_answer_wait_each(servers: Any, *, is_async: bool) -> None:
    coze = servers[0]
    limiter = RecordingLimiter(seconds=0)
    tool = CozeWorkflowTool(
        workflow_id=coze.workflows[1].workflow_id,
        name="ask",
        description="Ask.",
        args_schema=ARGUMENTS,
        api_key=coze.token,
        base_url=coze.base_url,
        rate_limiter=limiter,
    )
    with pytest.raises(CozeWorkflowInterrupt) as raised:
        tool.invoke({"city": "Xi'an"})
    assert limiter.count == 1
    if is_async:
        run = asyncio.run(tool.aresume(raised.value, "Friday"))
    else:
        run = tool.resume(raised.value, "Friday")
    assert run.content
    assert limiter.count == 2

    graph = create_workflow_graph(tool, checkpointer=InMemorySaver(), name="ask")
    config: Any = {"configurable": {"thread_id": "1"}}
    graph.invoke({"parameters": {"city": "Xi'an"}}, config)
    assert limiter.count == 3
    graph.invoke(Command(resume="Friday"), config)
    assert limiter.count == 4


def test_a_limiter_of_langchain_spreads_the_searches_of_a_batch(servers: Any) -> None:
    component, fields, value = make_components(*servers)["search"]
    limiter = InMemoryRateLimiter(requests_per_second=20, check_every_n_seconds=0.01)
    retriever = component(rate_limiter=limiter, **fields)
    began = time.monotonic()
    assert all(retriever.batch([value] * 6))
    assert time.monotonic() - began >= 5 / 20
