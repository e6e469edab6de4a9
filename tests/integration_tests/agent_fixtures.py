"""Bots that call tools on this side, agents made of them, and what the server received."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.tools import tool

from langchain_coze import create_coze_agent
from langchain_coze.local import ClientTool, LocalBot, LocalCoze, Turn

MakeAgent = Callable[..., Any]
Run = Callable[..., Any]
Seen = tuple[Any, ...]


def call(city: str) -> ClientTool:
    return ClientTool("get_weather", {"city": city})


def weather(question: str, turn: Turn) -> Generator[Any, Any, None]:
    """Call tools as the question says, else tell what was asked so far."""
    if question == "one":
        yield f"It is {(yield call('Hangzhou'))}."
    elif question == "both":
        first, second = yield (call("Hangzhou"), call("Suzhou"))
        yield f"It is {first} and {second}."
    elif question == "twice":
        first = yield call("Hangzhou")
        second = yield call("Suzhou")
        yield f"It is {first}, then {second}."
    elif question == "broken":
        refused = yield ClientTool("get_weather", "city=Rome")
        yield f"{refused} / {(yield call('Hangzhou'))}"
    elif question == "half broken":
        refused, told = yield (ClientTool("get_weather", "city=Rome"), call("Hangzhou"))
        yield f"{refused} / {told}"
    elif question == "unknown":
        yield f"I was told: {(yield ClientTool('no_such_tool'))}"
    else:
        asked = [message.text for message in turn.messages if message.type == "human"]
        yield f"asked: {' | '.join(asked)}"


WEATHER = LocalBot(weather, name="weather")


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def langchain_agent(model: Any, tools: Sequence[Any] = (), **options: Any) -> Any:
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(model, list(tools), **options)


MAKERS = [
    pytest.param(create_coze_agent, id="create_coze_agent"),
    pytest.param(langchain_agent, id="create_agent"),
]


def ask(question: str) -> Any:
    return {"messages": [("user", question)]}


def thread(name: str = "t") -> Any:
    return {"configurable": {"thread_id": name}}


def last(state: Any) -> str:
    message: BaseMessage = state["messages"][-1]
    return str(message.text)


def kinds(state: Any) -> list[str]:
    return [message.type for message in state["messages"]]


def results(state: Any) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def events(graph: Any, given: Any, config: Any = None) -> Any:
    """Return a run as events of version 3, where this langgraph has them."""
    try:
        return graph.stream_events(given, config, version="v3")
    except NotImplementedError:
        return pytest.skip("this langgraph has no events of version 3")


def seen(coze: LocalCoze) -> list[Seen]:
    """Return the requests: chats with texts, submits with outputs, and whatever else there was."""
    return [_short(request.path, request.query, request.body) for request in coze.requests]


def _short(path: str, query: Mapping[str, str], body: Any) -> Seen:
    if path == "/v3/chat":
        texts = [message["content"] for message in body["additional_messages"]]
        return "chat", query.get("conversation_id"), texts
    if path == "/v3/chat/submit_tool_outputs":
        return "submit", query["chat_id"], [output["output"] for output in body["tool_outputs"]]
    return path, json.dumps(body) if body else dict(query)


def verbs(coze: LocalCoze) -> list[str]:
    return [request[0] for request in seen(coze)]


# --- The ways to run an agent --------------------------------------------------------------------


def invoke(agent: Any, given: Any, config: Any = None, **options: Any) -> Any:
    return agent.invoke(given, config, **options)


def ainvoke(agent: Any, given: Any, config: Any = None, **options: Any) -> Any:
    return asyncio.run(agent.ainvoke(given, config, **options))


def stream(agent: Any, given: Any, config: Any = None, **options: Any) -> Any:
    return list(agent.stream(given, config, stream_mode="values", **options))[-1]


def astream(agent: Any, given: Any, config: Any = None, **options: Any) -> Any:
    async def run() -> list[Any]:
        parts = agent.astream(given, config, stream_mode="values", **options)
        return [part async for part in parts]

    return asyncio.run(run())[-1]


RUNS = [invoke, ainvoke, stream, astream]
EITHER = [invoke, ainvoke]
