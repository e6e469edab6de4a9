"""Agents with one bot: LangGraph runs its tool calls and returns the results to the same chat."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import ToolNode, create_react_agent
from pydantic import BaseModel

from langchain_coze import CozeInvalidRequestError, CozeNotFoundError, create_coze_agent
from langchain_coze.local import LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.agent_fixtures import (
    AGENT_BUILDERS,
    INVOKE_STYLES,
    RUN_STYLES,
    WEATHER,
    AgentBuilder,
    RunStyle,
    build_langchain_agent,
    get_last_text,
    get_message_types,
    get_tool_messages,
    get_weather,
    list_request_kinds,
    make_input,
    make_thread_config,
    stream_v3_events,
    summarize_requests,
)

coze = serve(WEATHER)


# --- The loop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("run", RUN_STYLES)
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_parallel_calls_are_answered_in_one_submit(
    coze: LocalCoze, build_agent: AgentBuilder, run: RunStyle
) -> None:
    state = run(build_agent(make_chat(coze), [get_weather], name="weather"), make_input("both"))
    assert get_message_types(state) == ["human", "ai", "tool", "tool", "ai"]
    assert get_last_text(state) == "It is sunny in Hangzhou and sunny in Suzhou."
    assert [message.name for message in state["messages"] if message.type == "ai"] == [
        "weather",
        "weather",
    ]
    first, submit = summarize_requests(coze)
    assert first == ("chat", None, ["both"])
    chat_id = state["messages"][1].response_metadata["chat_id"]
    assert submit == ("submit", chat_id, ["sunny in Hangzhou", "sunny in Suzhou"])


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_two_rounds_stay_in_one_chat(
    coze: LocalCoze, build_agent: AgentBuilder, run: RunStyle
) -> None:
    state = run(build_agent(make_chat(coze), [get_weather], name="weather"), make_input("twice"))
    assert get_last_text(state) == "It is sunny in Hangzhou, then sunny in Suzhou."
    answers = [message for message in state["messages"] if message.type == "ai"]
    (chat_id,) = {message.response_metadata["chat_id"] for message in answers}
    assert len({message.id for message in answers}) == 3
    assert summarize_requests(coze) == [
        ("chat", None, ["twice"]),
        ("submit", chat_id, ["sunny in Hangzhou"]),
        ("submit", chat_id, ["sunny in Suzhou"]),
    ]


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_the_second_turn_sends_the_history_of_the_first(
    coze: LocalCoze, build_agent: AgentBuilder
) -> None:
    agent = build_agent(
        make_chat(coze), [get_weather], name="weather", checkpointer=InMemorySaver()
    )
    agent.invoke(make_input("one"), make_thread_config())
    state = agent.invoke(make_input("and now?"), make_thread_config())
    note = '[get_weather({"city": "Hangzhou"})] sunny in Hangzhou'
    earlier = ["one", note, "It is sunny in Hangzhou."]
    assert summarize_requests(coze)[2:] == [("chat", None, [*earlier, "and now?"])]
    assert get_last_text(state).endswith(" | and now?")


# --- Streams -------------------------------------------------------------------------------------


async def collect_parts_async(agent: Any, question: str, mode: Any) -> list[Any]:
    return [part async for part in agent.astream(make_input(question), stream_mode=mode)]


def collect_parts(agent: Any, question: str, mode: Any, *, native: bool) -> list[Any]:
    if native:
        return asyncio.run(collect_parts_async(agent, question, mode))
    return list(agent.stream(make_input(question), stream_mode=mode))


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_messages_are_streamed_once(
    coze: LocalCoze, build_agent: AgentBuilder, *, native: bool
) -> None:
    agent = build_agent(make_chat(coze), [get_weather], name="weather")
    parts = collect_parts(agent, "both", "messages", native=native)
    text = "".join(
        chunk.text
        for chunk, metadata in parts
        if metadata["langgraph_node"] == "model" and chunk.type == "AIMessageChunk"
    )
    assert text == "It is sunny in Hangzhou and sunny in Suzhou."
    usage = [chunk.usage_metadata for chunk, _ in parts if getattr(chunk, "usage_metadata", None)]
    assert len(usage) == 1  # Coze counts the tokens of a whole chat, at its end
    calls = [piece for chunk, _ in parts for piece in getattr(chunk, "tool_call_chunks", ())]
    assert {piece["name"] for piece in calls} == {"get_weather"}
    assert len({piece["index"] for piece in calls}) == 2
    assert [chunk.type for chunk, _ in parts].count("tool") == 2


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_updates_are_streamed(coze: LocalCoze, build_agent: AgentBuilder, *, native: bool) -> None:
    agent = build_agent(make_chat(coze), [get_weather], name="weather")
    parts = collect_parts(agent, "both", "updates", native=native)
    assert [node for part in parts for node in part] == ["model", "tools", "tools", "model"]


def test_version_3_events_have_messages_and_tool_calls(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze), [get_weather], name="weather")
    run = stream_v3_events(agent, make_input("both"))
    texts = ["".join(message.text) for message in run.messages]
    assert texts == ["", "It is sunny in Hangzhou and sunny in Suzhou."]
    assert get_last_text(run.output) == texts[-1]
    assert list_request_kinds(coze) == ["chat", "submit"]


# --- What goes wrong -----------------------------------------------------------------------------


def test_a_call_with_invalid_json_is_answered_with_an_error(coze: LocalCoze) -> None:
    state = create_coze_agent(make_chat(coze), [get_weather], name="weather").invoke(
        make_input("broken")
    )
    (refused, answered) = get_tool_messages(state)
    assert (refused.status, refused.name) == ("error", "get_weather")
    assert refused.text == "The arguments of this call are not valid JSON: city=Rome"
    assert get_last_text(state) == f"{refused.text} / {answered.text}"
    assert [request[2] for request in summarize_requests(coze)[1:]] == [
        [refused.text],
        ["sunny in Hangzhou"],
    ]


def test_calls_beside_one_with_invalid_json_are_run(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze), [get_weather], name="weather")
    state = asyncio.run(agent.ainvoke(make_input("half broken")))
    assert [message.status for message in get_tool_messages(state)].count("error") == 1
    (_, submit) = summarize_requests(coze)
    refused = "The arguments of this call are not valid JSON: city=Rome"
    assert sorted(submit[2]) == [refused, "sunny in Hangzhou"]
    assert get_last_text(state) == f"{refused} / sunny in Hangzhou"


def test_the_agent_of_langchain_ends_at_a_call_with_invalid_json(coze: LocalCoze) -> None:
    agent = build_langchain_agent(make_chat(coze), [get_weather], checkpointer=InMemorySaver())
    state = agent.invoke(make_input("broken"), make_thread_config())
    assert state["messages"][-1].invalid_tool_calls
    state = agent.invoke(make_input("never mind"), make_thread_config())
    assert get_last_text(state) == "asked: broken | never mind"


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_an_unknown_tool_is_reported_to_the_bot(coze: LocalCoze, build_agent: AgentBuilder) -> None:
    state = build_agent(make_chat(coze), [get_weather], name="weather").invoke(
        make_input("unknown")
    )
    (refused,) = get_tool_messages(state)
    assert refused.status == "error"
    assert "no_such_tool" in refused.text
    assert summarize_requests(coze)[1][2] == [refused.text]
    assert get_last_text(state) == f"I was told: {refused.text}"


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_the_error_message_of_a_tool_is_submitted(
    coze: LocalCoze, build_agent: AgentBuilder
) -> None:
    @tool("get_weather")
    def failing(city: str) -> str:
        """Fail."""
        raise ToolException(f"no data for {city}")

    failing.handle_tool_error = True
    state = build_agent(make_chat(coze), [failing], name="weather").invoke(make_input("one"))
    assert summarize_requests(coze)[1][2] == ["no data for Hangzhou"]
    assert get_last_text(state) == "It is no data for Hangzhou."


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_the_exception_of_a_tool_is_raised_and_the_next_turn_works(
    coze: LocalCoze, build_agent: AgentBuilder
) -> None:
    broken = [True]

    @tool("get_weather")
    def breaking(city: str) -> str:
        """Break the first time."""
        if broken.pop():
            raise ZeroDivisionError
        return city

    agent = build_agent(make_chat(coze), [breaking], name="weather", checkpointer=InMemorySaver())
    with pytest.raises(ZeroDivisionError):
        agent.invoke(make_input("one"), make_thread_config())
    state = agent.invoke(make_input("hello"), make_thread_config())
    assert get_last_text(state) == "asked: one | hello"
    assert list_request_kinds(coze)[:1] == ["chat"]
    assert "submit" not in list_request_kinds(coze)


def test_a_tool_node_of_the_user_decides_how_errors_are_handled(coze: LocalCoze) -> None:
    @tool("get_weather")
    def breaking(city: str) -> str:
        """Break."""
        raise ZeroDivisionError(city)

    node = ToolNode([breaking], handle_tool_errors="out of order")
    state = create_coze_agent(make_chat(coze), node, name="weather").invoke(make_input("one"))
    assert get_last_text(state) == "It is out of order."


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_a_run_without_tools_ends_at_a_tool_call(
    coze: LocalCoze, build_agent: AgentBuilder
) -> None:
    """The run ends with an open chat; a later turn does not need it."""
    agent = build_agent(make_chat(coze), name="weather", checkpointer=InMemorySaver())
    state = agent.invoke(make_input("one"), make_thread_config())
    assert [call["name"] for call in state["messages"][-1].tool_calls] == ["get_weather"]
    assert state["messages"][-1].response_metadata["finish_reason"] == "tool_calls"
    assert (
        get_last_text(agent.invoke(make_input("hello"), make_thread_config()))
        == "asked: one | hello"
    )
    assert "submit" not in list_request_kinds(coze)


def test_a_saved_chat_that_was_left_open_is_cancelled(coze: LocalCoze) -> None:
    model = make_chat(coze, auto_save_history=True)
    agent = create_coze_agent(model, name="weather", checkpointer=InMemorySaver())
    agent.invoke(make_input("one"), make_thread_config())
    agent.invoke(make_input("hello"), make_thread_config())
    assert list_request_kinds(coze) == ["chat", "/v3/chat/cancel", "chat"]


def test_errors_of_the_bot_are_raised(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze, bot_id="1"), [get_weather], name="weather")
    with pytest.raises(CozeNotFoundError):
        agent.invoke(make_input("one"))


@pytest.mark.parametrize("name", ["", "  ", "a|b", "a:b", None])
def test_an_agent_needs_a_valid_name(coze: LocalCoze, name: Any) -> None:
    with pytest.raises(CozeInvalidRequestError, match="is not a valid name"):
        create_coze_agent(make_chat(coze), name=name)


def test_a_model_without_bind_tools_is_refused() -> None:
    with pytest.raises(CozeInvalidRequestError, match="does not support tools"):
        create_coze_agent(RunnableLambda(lambda _: "no"), [get_weather], name="weather")


class City(BaseModel):
    """A city, as structured output."""

    name: str


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("tools", [[], [get_weather]], ids=["no tools", "tools"])
@pytest.mark.parametrize("strategy", ["schema", "JSON schema", "auto", "tool", "provider"])
def test_structured_output_of_an_agent_is_refused_with_its_alternatives(
    coze: LocalCoze, strategy: str, tools: list[Any], run: RunStyle
) -> None:
    """LangChain forces the call of a tool for it, which the user never asked for."""
    structured = pytest.importorskip("langchain.agents.structured_output")
    response_format = {
        "schema": City,
        "JSON schema": {**City.model_json_schema(), "description": "A city"},
        "auto": structured.AutoStrategy(City),
        "tool": structured.ToolStrategy(City),
        "provider": structured.ProviderStrategy(City),
    }[strategy]
    agent = build_langchain_agent(make_chat(coze), tools, response_format=response_format)
    with pytest.raises(CozeInvalidRequestError, match="structured output") as caught:
        run(agent, make_input("hello"))
    assert "Omit response_format" in str(caught.value)
    assert "JsonOutputParser" in str(caught.value)
    assert "tool_choice" not in str(caught.value)
    assert coze.requests == []


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_structured_output_of_a_react_agent_is_refused(coze: LocalCoze, run: RunStyle) -> None:
    """This agent asks for it only after the turn."""
    agent = create_react_agent(make_chat(coze), [get_weather], response_format=City)
    with pytest.raises(CozeInvalidRequestError, match="structured output") as caught:
        run(agent, make_input("hello"))
    assert "Omit response_format" in str(caught.value)
