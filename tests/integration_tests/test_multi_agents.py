"""Several bots: supervisors, swarms, and agents as parts of other graphs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command

from langchain_coze import create_coze_agent
from langchain_coze.local import ClientTool, LocalBot, LocalCoze, Turn
from tests.conftest import make_chat, serve
from tests.integration_tests.agent_fixtures import (
    AGENT_BUILDERS,
    AgentBuilder,
    RequestSummary,
    get_last_text,
    get_message_types,
    get_weather,
    list_request_kinds,
    make_input,
    make_thread_config,
    make_weather_call,
    stream_v3_events,
    summarize_requests,
)
from tests.integration_tests.test_agent_runs import ask_person_for_weather


def rainy(_: str) -> Generator[Any, Any, None]:
    yield f"It is {(yield make_weather_call('Hangzhou'))}"


def leading(_: str, turn: Turn) -> Generator[Any, Any, None]:
    """Hand over to each of the others once, like a bot with the transfers as local plugins."""
    new = " ".join(entry.text for entry in turn.entries[count_to_last_answer(turn) :])
    for name in ("bot_a", "bot_b"):
        if f"[{name}]" not in new:
            yield ClientTool(f"transfer_to_{name}")
    yield "all done"


def count_to_last_answer(turn: Turn) -> int:
    answers = [n for n, entry in enumerate(turn.entries) if entry.text == "all done"]
    return answers[-1] + 1 if answers else 0


def moving(question: str) -> Generator[Any, Any, None]:
    if question == "move":
        yield ClientTool("transfer_to_bot_b")
    yield f"A heard {question}"


A = LocalBot(lambda question: f"A heard {question}", name="A")
B = LocalBot(rainy, name="B")
LEADER = LocalBot(leading, name="leader")
MOVER = LocalBot(moving, name="mover")

coze = serve([A, B, LEADER, MOVER])


class RouterModel(BaseChatModel):
    """Hands over to bot_a, then to bot_b, then ends; in every turn."""

    @property
    def _llm_type(self) -> str:
        return "router"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        del tools, kwargs
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        del args, kwargs
        last_question = max(
            n for n, message in enumerate(messages) if isinstance(message, HumanMessage)
        )
        answered = {message.name for message in messages[last_question:] if message.text}
        remaining = [name for name in ("bot_a", "bot_b") if name not in answered]
        calls = [
            {"name": f"transfer_to_{name}", "args": {}, "id": f"{name}{last_question}"}
            for name in remaining[:1]
        ]
        answer = AIMessage("" if remaining else "all done", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def build_two_agents(
    coze: LocalCoze, build_agent: AgentBuilder = create_coze_agent, **fields: Any
) -> list[Any]:
    return [
        build_agent(make_chat(coze, A, **fields), name="bot_a"),
        build_agent(make_chat(coze, B, **fields), [get_weather], name="bot_b"),
    ]


def build_supervised_graph(agents: list[Any], **options: Any) -> Any:
    supervisor = pytest.importorskip("langgraph_supervisor")
    graph = supervisor.create_supervisor(agents, **{"model": RouterModel(), **options})
    return graph.compile(checkpointer=InMemorySaver())


def list_chats(coze: LocalCoze, bot: LocalBot) -> list[RequestSummary]:
    """Return the chats of one bot."""
    return [
        summary
        for summary, request in zip(summarize_requests(coze), coze.requests, strict=True)
        if summary[0] == "chat" and request.body["bot_id"] == bot.bot_id
    ]


def list_texts_by(state: Any, name: str) -> list[str]:
    return [message.text for message in state["messages"] if message.name == name and message.text]


# --- Supervisors ---------------------------------------------------------------------------------

MODES = ["last_message", "full_history"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_each_bot_is_asked_the_question_of_the_user(
    coze: LocalCoze, build_agent: AgentBuilder, mode: str
) -> None:
    graph = build_supervised_graph(build_two_agents(coze, build_agent), output_mode=mode)
    state = graph.invoke(make_input("hello"), make_thread_config())
    assert get_last_text(state) == "all done"
    assert list_texts_by(state, "bot_a")[0] == "A heard hello"
    assert list_texts_by(state, "bot_b")[0] == "It is sunny in Hangzhou"
    assert list_chats(coze, A) == [("chat", None, ["hello"])]
    assert list_chats(coze, B) == [("chat", None, ["[bot_a] A heard hello", "hello"])]
    assert list_request_kinds(coze) == ["chat", "chat", "submit"]


@pytest.mark.parametrize("mode", MODES)
def test_each_bot_keeps_its_own_conversation(coze: LocalCoze, mode: str) -> None:
    graph = build_supervised_graph(build_two_agents(coze, conversation="thread"), output_mode=mode)
    first = graph.invoke(make_input("hello"), make_thread_config())
    graph.invoke(make_input("second"), make_thread_config())
    known = {
        message.name: message.response_metadata["conversation_id"]
        for message in first["messages"]
        if "conversation_id" in message.response_metadata
    }
    assert known["bot_a"] != known["bot_b"]
    others = ["[bot_b] It is sunny in Hangzhou", "[supervisor] all done", "second"]
    assert list_chats(coze, A)[1:] == [("chat", known["bot_a"], others)]
    news = ["[supervisor] all done", "[bot_a] A heard second", "second"]
    assert list_chats(coze, B)[1:] == [("chat", known["bot_b"], news)]


@pytest.mark.parametrize("mode", MODES)
def test_a_bot_may_be_the_supervisor(coze: LocalCoze, mode: str) -> None:
    """The hand-overs are local plugins of the bot; after each it is called in a new chat."""
    graph = build_supervised_graph(
        build_two_agents(coze), model=make_chat(coze, LEADER), output_mode=mode
    )
    for question in ("hello", "second"):
        state = asyncio.run(graph.ainvoke(make_input(question), make_thread_config()))
        assert get_last_text(state) == "all done"
    assert len(list_chats(coze, LEADER)) == 6
    note = "[transfer_to_bot_a({})] Successfully transferred to bot_a"
    assert list_chats(coze, LEADER)[1] == ("chat", None, [note, "[bot_a] A heard hello", "hello"])
    assert len(list_texts_by(state, "bot_b")) == 4  # an answer and a closing message in each turn


# --- Swarms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_a_bot_hands_over_in_a_swarm(coze: LocalCoze, build_agent: AgentBuilder) -> None:
    swarm = pytest.importorskip("langgraph_swarm")
    away = swarm.create_handoff_tool(agent_name="bot_b")
    agents = [
        build_agent(make_chat(coze, MOVER), [away], name="bot_a"),
        build_agent(make_chat(coze, B), [get_weather], name="bot_b"),
    ]
    graph = swarm.create_swarm(agents, default_active_agent="bot_a").compile(
        checkpointer=InMemorySaver()
    )
    state = graph.invoke(make_input("hello"), make_thread_config())
    assert get_last_text(state) == "A heard hello"
    state = graph.invoke(make_input("move"), make_thread_config())
    assert (get_last_text(state), state["active_agent"]) == ("It is sunny in Hangzhou", "bot_b")
    assert list_chats(coze, B) == [("chat", None, ["hello", "[bot_a] A heard hello", "move"])]
    state = graph.invoke(make_input("more"), make_thread_config())
    assert list_chats(coze, B)[1][2][-1] == "more"
    assert len(list_chats(coze, MOVER)) == 2


# --- Parts of other graphs -----------------------------------------------------------------------


def build_outer_graph(agent: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("helper", agent)
    graph.add_edge(START, "helper")
    return graph.compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
def test_an_agent_may_be_a_node_of_a_graph(coze: LocalCoze, *, native: bool) -> None:
    graph = build_outer_graph(create_coze_agent(make_chat(coze, B), [get_weather], name="bot_b"))

    async def arun() -> list[Any]:
        parts = graph.astream(
            make_input("x"), make_thread_config(), stream_mode="messages", subgraphs=True
        )
        return [part async for part in parts]

    streamed = graph.stream(
        make_input("x"), make_thread_config(), stream_mode="messages", subgraphs=True
    )
    parts = asyncio.run(arun()) if native else list(streamed)
    chunks = [(path, chunk) for path, (chunk, _) in parts if chunk.type == "AIMessageChunk"]
    assert "".join(chunk.text for _, chunk in chunks) == "It is sunny in Hangzhou"
    assert all(re.match(r"helper:", path[0]) for path, _ in chunks)
    assert get_message_types(graph.get_state(make_thread_config()).values) == [
        "human",
        "ai",
        "tool",
        "ai",
    ]


def test_a_question_to_a_person_reaches_the_outer_graph(coze: LocalCoze) -> None:
    graph = build_outer_graph(
        create_coze_agent(make_chat(coze, B), [ask_person_for_weather], name="bot_b")
    )
    state = graph.invoke(make_input("x"), make_thread_config())
    (question,) = state["__interrupt__"]
    assert question.value == "How is the weather in Hangzhou?"
    assert get_last_text(graph.invoke(Command(resume="fine"), make_thread_config())) == "It is fine"
    assert list_request_kinds(coze) == ["chat", "submit"]


def test_version_3_events_name_an_agent_in_a_graph(coze: LocalCoze) -> None:
    graph = build_outer_graph(create_coze_agent(make_chat(coze, B), [get_weather], name="bot_b"))
    run = stream_v3_events(graph, make_input("x"), make_thread_config())
    streamed = [
        (part.graph_name, "".join("".join(message.text) for message in part.messages))
        for part in run.subgraphs
    ]
    assert streamed == [("helper", "It is sunny in Hangzhou")]


def test_a_bot_gets_the_answer_of_the_bot_before_it(coze: LocalCoze) -> None:
    graph = StateGraph(MessagesState)
    graph.add_sequence(list(zip(("a", "b"), build_two_agents(coze), strict=True)))
    graph.add_edge(START, "a")
    state = graph.compile().invoke(make_input("hello"))
    assert get_last_text(state) == "It is sunny in Hangzhou"
    assert list_chats(coze, B) == [("chat", None, ["[bot_a] A heard hello", "hello"])]
