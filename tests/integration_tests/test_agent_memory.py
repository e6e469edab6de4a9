"""Agents that remember: threads, checkpointers, forks, replays and restarts of the program."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import trim_messages
from langgraph.checkpoint.memory import InMemorySaver

from langchain_coze import create_coze_agent
from langchain_coze.local import LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.agent_fixtures import (
    AGENT_BUILDERS,
    WEATHER,
    AgentBuilder,
    build_langchain_agent,
    get_last_text,
    get_weather,
    list_request_kinds,
    make_input,
    make_thread_config,
    summarize_requests,
)

ROOT = Path(__file__).parent.parent.parent
NEWEST = "/v1/conversation/message/list"
NOTE = '[get_weather({"city": "Hangzhou"})] sunny in Hangzhou'

coze = serve(WEATHER)


@pytest.fixture(params=["memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
    with ExitStack() as stack:
        yield stack.enter_context(sqlite.SqliteSaver.from_conn_string(str(tmp_path / "c.db")))


def get_metadata(state: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = state["messages"][-1].response_metadata
    return metadata


def list_chats(coze: LocalCoze) -> list[Any]:
    return [request for request in summarize_requests(coze) if request[0] == "chat"]


def get_conversation_id(state: Any) -> str:
    return str(get_metadata(state)["conversation_id"])


def find_checkpoint_after(agent: Any, messages: int, config: Any) -> Any:
    """Return the checkpoint of a finished run with so many messages."""
    return next(
        state.config
        for state in agent.get_state_history(config)
        if not state.next and len(state.values["messages"]) == messages
    )


def find_checkpoint_before_model(agent: Any, messages: int, config: Any) -> Any:
    """Return the checkpoint before a model call with so many messages."""
    return next(
        state.config
        for state in agent.get_state_history(config)
        if state.next == ("model",) and len(state.values["messages"]) == messages
    )


# --- One thread, one conversation ----------------------------------------------------------------


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_coze_keeps_the_history_of_a_thread(
    coze: LocalCoze, build_agent: AgentBuilder, saver: Any
) -> None:
    model = make_chat(coze, conversation="thread")
    agent = build_agent(model, [get_weather], name="weather", checkpointer=saver)
    first = agent.invoke(make_input("one"), make_thread_config())
    second = agent.invoke(make_input("and now?"), make_thread_config())
    known = get_conversation_id(first)
    assert get_conversation_id(second) == known
    assert summarize_requests(coze) == [
        ("chat", None, ["one"]),
        ("submit", first["messages"][1].response_metadata["chat_id"], ["sunny in Hangzhou"]),
        ("chat", known, ["and now?"]),
    ]
    assert get_last_text(second) == "asked: one | and now?"  # Coze has kept what was not sent again


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_threads_never_share_a_conversation(coze: LocalCoze, build_agent: AgentBuilder) -> None:
    model = make_chat(coze, conversation="thread")
    agent = build_agent(model, name="weather", checkpointer=InMemorySaver())
    rounds = [
        {
            name: agent.invoke(make_input(f"{name} {number}"), make_thread_config(name))
            for name in ("a", "b")
        }
        for number in (1, 2)
    ]
    first, second = (
        {name: get_conversation_id(s) for name, s in states.items()} for states in rounds
    )
    assert first == second
    assert len(set(first.values())) == 2
    assert get_last_text(rounds[1]["a"]) == "asked: a 1 | a 2"
    assert get_last_text(rounds[1]["b"]) == "asked: b 1 | b 2"


def test_a_config_names_the_conversation(coze: LocalCoze) -> None:
    known = make_chat(coze, auto_save_history=True).invoke("hello").response_metadata
    agent = create_coze_agent(make_chat(coze), name="weather")
    named: Any = {"configurable": {"coze_conversation_id": known["conversation_id"]}}
    assert get_last_text(agent.invoke(make_input("again"), named)) == "asked: hello | again"
    assert summarize_requests(coze)[-1] == ("chat", known["conversation_id"], ["again"])


# --- Forks and replays ---------------------------------------------------------------------------


def run_three_turns(coze: LocalCoze, build_agent: AgentBuilder, saver: Any) -> tuple[Any, Any]:
    """Return an agent after the turns q1, q2 and q3 of one conversation, and its last state."""
    model = make_chat(coze, conversation="thread")
    agent = build_agent(model, name="weather", checkpointer=saver)
    states = [
        agent.invoke(make_input(question), make_thread_config()) for question in ("q1", "q2", "q3")
    ]
    assert len({get_conversation_id(state) for state in states}) == 1
    coze.reset()
    return agent, states[-1]


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_a_fork_does_not_see_later_turns(
    coze: LocalCoze, build_agent: AgentBuilder, saver: Any
) -> None:
    agent, end = run_three_turns(coze, build_agent, saver)
    fork = agent.invoke(make_input("fork"), find_checkpoint_after(agent, 2, make_thread_config()))
    assert list_chats(coze) == [("chat", None, ["q1", "asked: q1", "fork"])]
    assert get_conversation_id(fork) != get_conversation_id(end)
    assert get_last_text(fork) == "asked: q1 | fork"
    again = agent.invoke(make_input("fork 2"), make_thread_config())
    assert list_chats(coze)[1:] == [("chat", get_conversation_id(fork), ["fork 2"])]
    assert get_last_text(again) == "asked: q1 | fork | fork 2"


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_the_first_branch_continues_in_its_conversation(
    coze: LocalCoze, build_agent: AgentBuilder
) -> None:
    agent, end = run_three_turns(coze, build_agent, InMemorySaver())
    tip = agent.get_state(make_thread_config()).config
    agent.invoke(make_input("fork"), find_checkpoint_after(agent, 2, make_thread_config()))
    state = agent.invoke(make_input("q4"), tip)
    assert summarize_requests(coze)[-1] == ("chat", get_conversation_id(end), ["q4"])
    assert get_last_text(state) == "asked: q1 | q2 | q3 | q4"


@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_a_replay_is_not_sent_twice(coze: LocalCoze, build_agent: AgentBuilder, saver: Any) -> None:
    agent, end = run_three_turns(coze, build_agent, saver)
    state = agent.invoke(None, find_checkpoint_before_model(agent, 3, make_thread_config()))
    assert list_chats(coze) == [("chat", None, ["q1", "asked: q1", "q2"])]
    assert get_conversation_id(state) != get_conversation_id(end)
    assert get_last_text(state) == "asked: q1 | q2"


@pytest.mark.parametrize("kept", ["stateless", "thread"])
@pytest.mark.parametrize("build_agent", AGENT_BUILDERS)
def test_time_travel_before_answered_calls_starts_a_new_chat(
    coze: LocalCoze, build_agent: AgentBuilder, kept: str
) -> None:
    """Coze accepts results only once, so the question is sent again in a new chat."""
    model = make_chat(coze, conversation=kept)
    agent = build_agent(model, [get_weather], name="weather", checkpointer=InMemorySaver())
    done = agent.invoke(make_input("one"), make_thread_config())
    coze.reset()
    state = agent.invoke(None, find_checkpoint_before_model(agent, 3, make_thread_config()))
    assert get_last_text(state) == "It is sunny in Hangzhou."
    assert get_metadata(state)["chat_id"] != get_metadata(done)["chat_id"]
    assert summarize_requests(coze)[0] == ("chat", None, [NOTE, "one"])
    assert (
        "submit",
        get_metadata(done)["chat_id"],
        ["sunny in Hangzhou"],
    ) not in summarize_requests(coze)


# --- Shortened histories -------------------------------------------------------------------------


def test_a_trimmed_history_starts_a_conversation(coze: LocalCoze) -> None:
    shorten = trim_messages(max_tokens=1, token_counter=len, strategy="last", start_on="human")
    model = shorten | make_chat(coze, conversation="thread")
    agent = create_coze_agent(model, name="weather", checkpointer=InMemorySaver())
    first, second = (
        agent.invoke(make_input(question), make_thread_config()) for question in ("q1", "q2")
    )
    assert get_conversation_id(first) != get_conversation_id(second)
    assert summarize_requests(coze)[1] == ("chat", None, ["q2"])
    assert get_last_text(second) == "asked: q2"


def test_a_summary_starts_a_conversation(coze: LocalCoze) -> None:
    middleware = pytest.importorskip("langchain.agents.middleware")
    summarize = middleware.SummarizationMiddleware(
        FakeListChatModel(responses=["They talked."]), trigger=("messages", 3), keep=("messages", 1)
    )
    agent = build_langchain_agent(
        make_chat(coze, conversation="thread"), checkpointer=InMemorySaver(), middleware=[summarize]
    )
    states = [agent.invoke(make_input(question), make_thread_config()) for question in ("q1", "q2")]
    assert get_conversation_id(states[0]) != get_conversation_id(states[1])
    summary, question = summarize_requests(coze)[1][2]
    assert summarize_requests(coze)[1][1] is None
    assert ("They talked." in summary, question) == (True, "q2")


# --- Restarts ------------------------------------------------------------------------------------

PROGRAM = """
import sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_coze import ChatCoze, create_coze_agent

def get_weather(city: str) -> str:
    "Return the weather of a city."
    return f"sunny in {city}"

database, base_url, token, bot_id, kept, stop, question = sys.argv[1:]
bot = ChatCoze(bot_id=bot_id, api_key=token, base_url=base_url, conversation=kept)
with SqliteSaver.from_conn_string(database) as saver:
    agent = create_coze_agent(
        bot, [get_weather], name="weather", checkpointer=saver,
        interrupt_before=["tools"] if stop else None,
    )
    given = {"messages": [("user", question)]} if question else None
    agent.invoke(given, {"configurable": {"thread_id": "t"}})
"""


@pytest.fixture
def program(coze: LocalCoze, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs a turn in another process."""
    pytest.importorskip("langgraph.checkpoint.sqlite")
    account = [coze.base_url, coze.token, WEATHER.bot_id]

    def run(question: str = "", *, kept: str = "thread", stop: bool = False) -> None:
        options = [kept, "stop" if stop else "", question]
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "t.db"), *account, *options]
        subprocess.run(command, check=True, timeout=60)

    return run


def resume_here(coze: LocalCoze, path: Path, kept: str, given: Any, config: Any = None) -> Any:
    """Continue in this process, which has not seen the thread before."""
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 - may be missing

    with SqliteSaver.from_conn_string(str(path / "t.db")) as saver:
        model = make_chat(coze, conversation=kept)
        agent = create_coze_agent(model, [get_weather], name="weather", checkpointer=saver)
        if callable(config):
            config = config(agent)
        return agent.invoke(given, config or make_thread_config())


@pytest.mark.parametrize("kept", ["stateless", "thread"])
def test_results_are_submitted_by_another_process(
    coze: LocalCoze, program: Callable[..., Any], tmp_path: Path, kept: str
) -> None:
    program("both", kept=kept, stop=True)
    assert list_request_kinds(coze) == ["chat"]
    state = resume_here(coze, tmp_path, kept, None)
    assert get_last_text(state) == "It is sunny in Hangzhou and sunny in Suzhou."
    assert list_request_kinds(coze) == ["chat", "submit"]


def test_a_thread_continues_in_another_process(
    coze: LocalCoze, program: Callable[..., Any], tmp_path: Path
) -> None:
    program("q1")
    program("q2")
    state = resume_here(coze, tmp_path, "thread", make_input("q3"))
    known = get_conversation_id(state)
    assert list_chats(coze) == [
        ("chat", None, ["q1"]),
        ("chat", known, ["q2"]),
        ("chat", known, ["q3"]),
    ]
    assert list_request_kinds(coze).count(NEWEST) == 2
    assert get_last_text(state) == "asked: q1 | q2 | q3"


def test_a_fork_in_another_process_does_not_see_later_turns(
    coze: LocalCoze, program: Callable[..., Any], tmp_path: Path
) -> None:
    program("q1")
    program("q2")
    state = resume_here(
        coze,
        tmp_path,
        "thread",
        make_input("fork"),
        lambda agent: find_checkpoint_after(agent, 2, make_thread_config()),
    )
    assert summarize_requests(coze)[-1] == ("chat", None, ["q1", "asked: q1", "fork"])
    assert get_last_text(state) == "asked: q1 | fork"


def test_an_asynchronous_checkpointer_keeps_the_conversation(
    coze: LocalCoze, tmp_path: Path
) -> None:
    sqlite = pytest.importorskip("langgraph.checkpoint.sqlite.aio")

    async def run() -> list[Any]:
        async with sqlite.AsyncSqliteSaver.from_conn_string(str(tmp_path / "a.db")) as saver:
            model = make_chat(coze, conversation="thread")
            agent = create_coze_agent(model, [get_weather], name="weather", checkpointer=saver)
            return [
                await agent.ainvoke(make_input(question), make_thread_config())
                for question in ("one", "q2")
            ]

    first, second = asyncio.run(run())
    assert get_conversation_id(first) == get_conversation_id(second)
    assert summarize_requests(coze)[-1] == ("chat", get_conversation_id(first), ["q2"])
