"""Bots with client-side tools, agents made of them, and the requests that the server received."""

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

AgentBuilder = Callable[..., Any]
RunStyle = Callable[..., Any]
RequestSummary = tuple[Any, ...]


def make_weather_call(city: str) -> ClientTool:
    return ClientTool("get_weather", {"city": city})


def weather(question: str, turn: Turn) -> Generator[Any, Any, None]:
    """Call tools as the question says, or else repeat all questions."""
    if question == "one":
        yield f"It is {(yield make_weather_call('Hangzhou'))}."
    elif question == "both":
        first, second = yield (make_weather_call("Hangzhou"), make_weather_call("Suzhou"))
        yield f"It is {first} and {second}."
    elif question == "twice":
        first = yield make_weather_call("Hangzhou")
        second = yield make_weather_call("Suzhou")
        yield f"It is {first}, then {second}."
    elif question == "broken":
        refused = yield ClientTool("get_weather", "city=Rome")
        yield f"{refused} / {(yield make_weather_call('Hangzhou'))}"
    elif question == "half broken":
        refused, answered = yield (
            ClientTool("get_weather", "city=Rome"),
            make_weather_call("Hangzhou"),
        )
        yield f"{refused} / {answered}"
    elif question == "unknown":
        yield f"I was told: {(yield ClientTool('no_such_tool'))}"
    else:
        questions = [message.text for message in turn.messages if message.type == "human"]
        yield f"asked: {' | '.join(questions)}"


WEATHER = LocalBot(weather, name="weather")


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


def build_langchain_agent(model: Any, tools: Sequence[Any] = (), **options: Any) -> Any:
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(model, list(tools), **options)


AGENT_BUILDERS = [
    pytest.param(create_coze_agent, id="create_coze_agent"),
    pytest.param(build_langchain_agent, id="create_agent"),
]


def make_input(question: str) -> Any:
    return {"messages": [("user", question)]}


def make_thread_config(name: str = "t", **fields: Any) -> Any:
    return {"configurable": {"thread_id": name}, **fields}


def get_last_text(state: Any) -> str:
    message: BaseMessage = state["messages"][-1]
    return str(message.text)


def get_message_types(state: Any) -> list[str]:
    return [message.type for message in state["messages"]]


def get_tool_messages(state: Any) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def stream_v3_events(graph: Any, graph_input: Any, config: Any = None) -> Any:
    """Stream a run as events of version 3; skip the test if this langgraph has none."""
    try:
        return graph.stream_events(graph_input, config, version="v3")
    except NotImplementedError:
        return pytest.skip("this langgraph has no events of version 3")


def summarize_requests(coze: LocalCoze) -> list[RequestSummary]:
    """Return the requests: chats with their texts, submits with their outputs, and all others."""
    return [_summarize(request.path, request.query, request.body) for request in coze.requests]


def _summarize(path: str, query: Mapping[str, str], body: Any) -> RequestSummary:
    if path == "/v3/chat":
        texts = [message["content"] for message in body["additional_messages"]]
        return "chat", query.get("conversation_id"), texts
    if path == "/v3/chat/submit_tool_outputs":
        return "submit", query["chat_id"], [output["output"] for output in body["tool_outputs"]]
    return path, json.dumps(body) if body else dict(query)


def list_request_kinds(coze: LocalCoze) -> list[str]:
    return [request[0] for request in summarize_requests(coze)]


# --- Ways to run an agent --------------------------------------------------------------------


def invoke(agent: Any, graph_input: Any, config: Any = None, **options: Any) -> Any:
    return agent.invoke(graph_input, config, **options)


def ainvoke(agent: Any, graph_input: Any, config: Any = None, **options: Any) -> Any:
    return asyncio.run(agent.ainvoke(graph_input, config, **options))


def stream(agent: Any, graph_input: Any, config: Any = None, **options: Any) -> Any:
    return list(agent.stream(graph_input, config, stream_mode="values", **options))[-1]


def astream(agent: Any, graph_input: Any, config: Any = None, **options: Any) -> Any:
    async def run() -> list[Any]:
        parts = agent.astream(graph_input, config, stream_mode="values", **options)
        return [part async for part in parts]

    return asyncio.run(run())[-1]


RUN_STYLES = [invoke, ainvoke, stream, astream]
INVOKE_STYLES = [invoke, ainvoke]
