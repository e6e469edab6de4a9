"""Two processes, or two calls, give a bot what it waits for: no one is asked again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_coze import CozeInvalidRequestError, CozePermissionError, is_retryable
from langchain_coze.local import Ask, ClientTool, LocalBot, LocalCoze, Pause
from tests.conftest import forget_conversations, make_chat, serve, wait_until
from tests.integration_tests.agent_fixtures import (
    INVOKE_STYLES,
    RunStyle,
    get_last_text,
    make_input,
    make_thread_config,
)
from tests.integration_tests.answering_process import HOST, build_agent
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.local.local_client import LocalClient
from tests.integration_tests.test_examples import ROOT, build_account_environment
from tests.integration_tests.workflow_fixtures import sqlite_saver

pytestmark = pytest.mark.timeout(60)

LEG_SECONDS = 0.5  # from the results to the end of the answer
SUBMIT = "/v3/chat/submit_tool_outputs"
QUESTION = HumanMessage("A table, please")
TOOL = {"name": "book", "description": "Books.", "parameters": {"type": "object"}}
CONTINUED = "Another process or call has already continued this chat"


def slow(_: str) -> Generator[Any, Any, None]:
    told = yield ClientTool("book", {})
    yield Pause(LEG_SECONDS)
    yield f"Done: {told}"


def asking(_: str) -> Generator[Any, Any, None]:
    day = yield Ask("Which day?")
    yield Pause(LEG_SECONDS)
    yield f"Booked for {day}"


SLOW, ASKING = LocalBot(slow, name="slow"), LocalBot(asking, name="asking")

coze = serve([HOST, SLOW, ASKING])


@pytest.fixture(autouse=True)
def _use_server(coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings of the environment be those of the server, as in the other processes."""
    for name, value in build_account_environment(coze).items():
        monkeypatch.setenv(name, value)


def list_paths(coze: LocalCoze) -> list[str]:
    return [request.path for request in coze.requests]


def ask_and_answer(model: Any, ask: CallStyle) -> list[Any]:
    """Return a history that ends with the result of the bot's call."""
    answer = ask(model, [QUESTION])
    (call,) = answer.tool_calls
    return [QUESTION, answer, ToolMessage("Friday", tool_call_id=str(call["id"]))]


def submit_elsewhere(client: LocalClient, asked: AIMessage, *, stream: bool = False) -> None:
    """Submit the results of the calls, as another process would."""
    ids = {key: asked.response_metadata[key] for key in ("conversation_id", "chat_id")}
    outputs = [{"tool_call_id": call["id"], "output": "Friday"} for call in asked.tool_calls]
    body = {"tool_outputs": outputs, "stream": stream}
    assert client.http.post(SUBMIT, params=ids, json=body).status_code == 200
    forget_conversations()


def check_continued(error: CozeInvalidRequestError, asked: AIMessage) -> None:
    assert error.chat_id == asked.response_metadata["chat_id"]
    assert error.conversation_id == asked.response_metadata["conversation_id"]
    assert not is_retryable(error)
    assert "未启动" in str(error)


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_results_that_another_process_has_submitted_start_no_chat(
    coze: LocalCoze, client: LocalClient, ask: CallStyle, mode: str
) -> None:
    model = make_chat(coze, SLOW, response_mode=mode).bind_tools([TOOL])
    history = ask_and_answer(model, ask)
    submit_elsewhere(client, history[1])
    with pytest.raises(CozeInvalidRequestError, match=CONTINUED) as raised:
        ask(model, history)
    check_continued(raised.value, history[1])
    assert list_paths(coze)[-2:] == [SUBMIT, "/v3/chat/retrieve"]
    assert list_paths(coze).count("/v3/chat") == 1


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_step_back_after_the_end_of_the_other_process_is_a_fork(
    coze: LocalCoze, client: LocalClient, ask: CallStyle
) -> None:
    model = make_chat(coze, SLOW).bind_tools([TOOL])
    history = ask_and_answer(model, ask)
    submit_elsewhere(client, history[1], stream=True)  # reads the whole answer
    again = ask(model, history)
    assert again.response_metadata["chat_id"] != history[1].response_metadata["chat_id"]
    assert list_paths(coze)[-3:] == [SUBMIT, "/v3/chat/retrieve", "/v3/chat"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chat_that_cannot_be_looked_up_is_not_replaced(
    coze: LocalCoze, client: LocalClient, ask: CallStyle
) -> None:
    model = make_chat(coze, SLOW).bind_tools([TOOL])
    history = ask_and_answer(model, ask)
    submit_elsewhere(client, history[1])
    coze.faults = "error=4101,on=/v3/chat/retrieve"
    with pytest.raises(CozeInvalidRequestError, match="waits for no tool outputs") as raised:
        ask(model, history)
    assert isinstance(raised.value.__cause__, CozePermissionError)
    assert list_paths(coze).count("/v3/chat") == 1


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_two_calls_of_one_process_submit_once(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, SLOW).bind_tools([TOOL])
    history = ask_and_answer(model, ask)

    def call(_: int) -> Any:
        try:
            return ask(model, history)
        except CozeInvalidRequestError as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        told = sorted(threads.map(call, range(2)), key=lambda one: isinstance(one, Exception))
    answer, error = told
    assert answer.text == "Done: Friday"
    assert CONTINUED in str(error)
    check_continued(error, history[1])
    assert (list_paths(coze).count("/v3/chat"), list_paths(coze).count(SUBMIT)) == (1, 1)


@pytest.mark.parametrize("known", [True, False], ids=["one process", "two processes"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_two_answers_to_a_question_of_a_bot_start_no_conversation(
    coze: LocalCoze, ask: CallStyle, *, known: bool
) -> None:
    model = make_chat(coze, ASKING, conversation="thread")
    question = ask(model, [QUESTION])
    history = [QUESTION, question, HumanMessage("Friday")]
    with ThreadPoolExecutor(1) as threads:
        if known:
            first: Any = threads.submit(ask, model, history)
        else:
            conversation = {"conversation_id": question.response_metadata["conversation_id"]}
            forget_conversations()
            body = {"role": "user", "type": "question", "content": "Friday", "content_type": "text"}
            client = LocalClient(coze, ASKING)
            first = threads.submit(client.chat, **conversation, additional_messages=[body])
        wait_until(lambda: list_paths(coze).count("/v3/chat") == 2)
        with pytest.raises(CozeInvalidRequestError, match=CONTINUED):
            ask(model, history)
        answered = first.result()
    if known:
        assert answered.text == "Booked for Friday"
    assert list_paths(coze).count("/v3/chat") == 2


# --- Agents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", ["0", "1.5"], ids=["at once", "much later"])
def test_two_processes_answer_one_interrupt(coze: LocalCoze, tmp_path: Path, seconds: str) -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite")
    with sqlite_saver(tmp_path) as saver:
        build_agent(saver).invoke(make_input("A table"), make_thread_config())
    command = [sys.executable, "-m", "tests.integration_tests.answering_process", str(tmp_path)]
    options: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    options |= {"cwd": ROOT, "env": build_account_environment(coze)}
    workers: list[Any] = [subprocess.Popen([*command, wait], **options) for wait in ("0", seconds)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    told = [worker.communicate(timeout=30)[0] for worker in workers]
    assert sorted(one.partition(":")[0] for one in told) == ["CozeInvalidRequestError", "Done"]
    assert any(CONTINUED in one for one in told)
    assert list_paths(coze).count("/v3/chat") == 1
    with sqlite_saver(tmp_path) as saver:
        history = build_agent(saver).get_state_history(make_thread_config())
        assert any("Done: by the window on Friday" in str(state.values) for state in history)


@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_two_requests_to_one_server_answer_one_interrupt(coze: LocalCoze, run: RunStyle) -> None:
    saver = InMemorySaver()
    first, second = build_agent(saver), build_agent(saver, seconds=0.7)
    first.invoke(make_input("A table"), make_thread_config())
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(run, second, Command(resume="Friday"), make_thread_config())
        time.sleep(0.2)
        state = run(first, Command(resume="Friday"), make_thread_config())
        with pytest.raises(CozeInvalidRequestError, match=CONTINUED):
            late.result()
    assert get_last_text(state) == "Done: by the window on Friday"
    assert list_paths(coze).count("/v3/chat") == 1


@pytest.mark.parametrize("known", [True, False], ids=["same process", "another process"])
@pytest.mark.parametrize("run", INVOKE_STYLES)
def test_time_travel_starts_a_new_chat(coze: LocalCoze, run: RunStyle, *, known: bool) -> None:
    agent = build_agent(InMemorySaver())
    agent.invoke(make_input("A table"), make_thread_config())
    asked = agent.get_state(make_thread_config()).config
    run(agent, Command(resume="Friday"), make_thread_config())
    before_model = next(
        state.config
        for state in agent.get_state_history(make_thread_config())
        if state.next == ("model",) and len(state.values["messages"]) == 3
    )
    travels: list[tuple[Any, Any]] = [(Command(resume="Sunday"), asked), (None, before_model)]
    for number, (given, config) in enumerate(travels, 2):
        if not known:
            forget_conversations()
        run(agent, given, config)
        assert list_paths(coze).count("/v3/chat") == number
