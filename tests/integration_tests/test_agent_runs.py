"""Agents with one bot: human in the loop, contexts and configured models."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState
from langgraph.prebuilt import InjectedState, InjectedStore
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt

from langchain_coze import create_coze_agent
from langchain_coze.local import LocalBot, LocalCoze, Pause
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
    summarize_requests,
)


def slow(_: str) -> Iterator[Any]:
    yield Pause(0.3)
    yield "At last."


OTHER, SLOW = LocalBot(lambda question: f"other: {question}", name="other"), LocalBot(slow)

coze = serve([WEATHER, OTHER, SLOW])


# --- People in the loop --------------------------------------------------------------------------


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_a_run_that_stops_before_the_tools_can_be_continued(
    coze: LocalCoze, build_agent: AgentBuilder, run: RunStyle
) -> None:
    agent = build_agent(
        make_chat(coze),
        [get_weather],
        name="weather",
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
    )
    state = run(agent, make_input("both"), make_thread_config())
    assert get_message_types(state) == ["human", "ai"]
    assert list_request_kinds(coze) == ["chat"]
    state = run(agent, None, make_thread_config())
    assert get_last_text(state) == "It is sunny in Hangzhou and sunny in Suzhou."
    assert list_request_kinds(coze) == ["chat", "submit"]


def test_a_run_that_stops_after_the_tools_can_be_continued(coze: LocalCoze) -> None:
    agent = create_coze_agent(
        make_chat(coze),
        [get_weather],
        name="weather",
        checkpointer=InMemorySaver(),
        interrupt_after=["tools"],
    )
    assert get_message_types(agent.invoke(make_input("one"), make_thread_config())) == [
        "human",
        "ai",
        "tool",
    ]
    assert list_request_kinds(coze) == ["chat"]
    assert get_last_text(agent.invoke(None, make_thread_config())) == "It is sunny in Hangzhou."


def test_results_may_be_given_in_place_of_the_tools(coze: LocalCoze) -> None:
    agent = create_coze_agent(
        make_chat(coze),
        [get_weather],
        name="weather",
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
    )
    state = agent.invoke(make_input("one"), make_thread_config())
    (call,) = state["messages"][-1].tool_calls
    results = [ToolMessage("rainy", tool_call_id=call["id"])]
    agent.update_state(make_thread_config(), {"messages": results}, as_node="model")
    assert get_last_text(agent.invoke(None, make_thread_config())) == "It is rainy."
    assert summarize_requests(coze)[1][2] == ["rainy"]


@tool("get_weather")
def ask_person_for_weather(city: str) -> str:
    """Ask a person for the weather."""
    return str(interrupt(f"How is the weather in {city}?"))


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_parallel_tools_may_each_ask_a_person(
    coze: LocalCoze, build_agent: AgentBuilder, run: RunStyle
) -> None:
    agent = build_agent(
        make_chat(coze), [ask_person_for_weather], name="weather", checkpointer=InMemorySaver()
    )
    state = run(agent, make_input("both"), make_thread_config())
    assert list_request_kinds(coze) == ["chat"]
    questions = {question.value: question.id for question in state["__interrupt__"]}
    answers = {
        questions["How is the weather in Suzhou?"]: "wet",
        questions["How is the weather in Hangzhou?"]: "dry",
    }
    state = run(agent, Command(resume=answers), make_thread_config())
    assert get_last_text(state) == "It is dry and wet."
    assert summarize_requests(coze)[1][2] == ["dry", "wet"]
    assert len(summarize_requests(coze)) == 2


@pytest.mark.parametrize(
    ("decision", "outputs"),
    [
        ({"type": "approve"}, ["sunny in Hangzhou"]),
        (
            {"type": "edit", "edited_action": {"name": "get_weather", "args": {"city": "Rome"}}},
            ["sunny in Rome"],
        ),
        ({"type": "reject", "message": "not today"}, ["not today"]),
    ],
    ids=["approve", "edit", "reject"],
)
def test_decisions_of_a_person_reach_the_bot(
    coze: LocalCoze, decision: Any, outputs: list[str]
) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    agent = build_langchain_agent(
        make_chat(coze),
        [get_weather],
        checkpointer=InMemorySaver(),
        middleware=[middleware.HumanInTheLoopMiddleware({"get_weather": True})],
    )
    state = agent.invoke(make_input("one"), make_thread_config())
    assert "__interrupt__" in state
    state = agent.invoke(Command(resume={"decisions": [decision]}), make_thread_config())
    (first, submit) = summarize_requests(coze)
    assert first == ("chat", None, ["one"])
    assert outputs[0] in submit[2][0]  # the model is told about edits as well
    assert get_last_text(state) == f"It is {submit[2][0]}."


# --- Tools, contexts, models ---------------------------------------------------------------------


class Cities(MessagesState):
    visited: str


def test_tools_may_read_the_state(coze: LocalCoze) -> None:
    @tool("get_weather")
    def reading(city: str, visited: Annotated[str, InjectedState("visited")]) -> str:
        """Return the weather of a city."""
        return f"{city} after {visited}"

    agent = create_coze_agent(make_chat(coze), [reading], name="weather", state_schema=Cities)
    state = agent.invoke({**make_input("both"), "visited": "Rome"})
    assert get_last_text(state) == "It is Hangzhou after Rome and Suzhou after Rome."


def test_tools_may_use_the_store(coze: LocalCoze) -> None:
    @tool("get_weather")
    def noting(city: str, store: Annotated[BaseStore, InjectedStore()]) -> str:
        """Return the weather of a city, and record the question."""
        store.put(("cities",), city, {"asked": True})
        return f"sunny in {city}"

    store = InMemoryStore()
    create_coze_agent(make_chat(coze), [noting], name="weather", store=store).invoke(
        make_input("both")
    )
    assert {item.key for item in store.search(("cities",))} == {"Hangzhou", "Suzhou"}


def test_the_event_loop_is_not_blocked(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze, SLOW), name="slow")

    async def run() -> int:
        asking = asyncio.create_task(agent.ainvoke(make_input("hello")))
        ticks = 0
        while not asking.done():
            await asyncio.sleep(0.01)  # the other work of this loop
            ticks += 1
        await asking
        return ticks

    assert asyncio.run(run()) > 5


def test_a_run_ends_with_a_tool_that_returns_directly(coze: LocalCoze) -> None:
    @tool("get_weather", return_direct=True)
    def final(city: str) -> str:
        """Return the weather of a city."""
        return f"sunny in {city}"

    agent = create_coze_agent(
        make_chat(coze), [final], name="weather", checkpointer=InMemorySaver()
    )
    assert get_message_types(agent.invoke(make_input("both"), make_thread_config())) == [
        "human",
        "ai",
        "tool",
        "tool",
    ]
    assert list_request_kinds(coze) == ["chat"]


@dataclass
class Customer:
    user_id: str
    level: str = "gold"


CONTEXT = {
    "user_id": "42",
    "custom_variables": {"city": "杭州"},
    "parameters": {"days": 3},
}


@pytest.mark.parametrize("run", RUN_STYLES)
def test_the_context_of_a_run_is_sent_to_coze(coze: LocalCoze, run: RunStyle) -> None:
    agent = create_coze_agent(make_chat(coze), [get_weather], name="weather")
    run(agent, make_input("hello"), context=CONTEXT)
    run(agent, make_input("hello"))
    with_context, without = (request.body for request in coze.requests)
    assert {key: with_context[key] for key in CONTEXT} == CONTEXT
    assert without["user_id"] == "langchain-coze"
    assert "custom_variables" not in without


def test_a_context_may_name_the_conversation(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze), name="weather")
    state = agent.invoke(make_input("hello"), context={})
    known = make_chat(coze, auto_save_history=True).invoke("hello").response_metadata
    coze.reset()
    for named in (known["conversation_id"], {WEATHER.bot_id: known["conversation_id"]}):
        state = agent.invoke(make_input("again"), context={"conversation_id": named})
        assert summarize_requests(coze)[-1] == ("chat", known["conversation_id"], ["again"])
    assert get_last_text(state) == "asked: hello | again | again"


def test_a_context_may_have_a_schema_of_the_user(
    coze: LocalCoze, recwarn: pytest.WarningsRecorder
) -> None:
    agent = create_coze_agent(make_chat(coze), name="weather", context_schema=Customer)
    agent.invoke(make_input("hello"), context=Customer("43"))
    assert coze.requests[0].body["user_id"] == "43"
    assert "level" not in coze.requests[0].body
    assert not recwarn.list  # the model gets no field that it does not have


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_bound_arguments_of_a_model_are_kept(coze: LocalCoze, run: RunStyle) -> None:
    model = make_chat(coze).bind(user_id="44").with_config(tags=["mine"])
    state = run(create_coze_agent(model, [get_weather], name="weather"), make_input("one"))
    assert coze.requests[0].body["user_id"] == "44"
    assert coze.requests[0].body["auto_save_history"] is True  # the tools are bound as well
    assert get_last_text(state) == "It is sunny in Hangzhou."


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_a_model_may_be_configured_for_a_run(coze: LocalCoze, run: RunStyle) -> None:
    model = make_chat(coze).configurable_fields(bot_id=ConfigurableField("bot_id"))
    agent = create_coze_agent(model, [get_weather], name="weather")
    assert get_last_text(run(agent, make_input("one"))) == "It is sunny in Hangzhou."
    other = run(agent, make_input("one"), {"configurable": {"bot_id": OTHER.bot_id}})
    assert get_last_text(other) == "other: one"


def test_another_chat_model_may_be_the_model() -> None:
    class Scripted(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            assert [each.name for each in tools] == ["get_weather"]
            return self.bind(**kwargs)

    made = {"name": "get_weather", "args": {"city": "Rome"}, "id": "1"}
    script = iter([AIMessage("", tool_calls=[made]), AIMessage("done")])
    agent = create_coze_agent(Scripted(messages=script), [get_weather], name="scripted")
    state = agent.invoke({"messages": [HumanMessage("hi")]})
    assert [message.text for message in get_tool_messages(state)] == ["sunny in Rome"]
    assert get_last_text(state) == "done"


def test_langchain_is_not_needed() -> None:
    code = (
        "import sys\n"
        "sys.modules['langchain'] = None\n"
        "from langchain_coze import ChatCoze, create_coze_agent\n"
        "create_coze_agent(ChatCoze(bot_id='1', api_key='pat_x'), name='coze')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
