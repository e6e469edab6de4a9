"""Both classes of coze.site against an agent and a workflow that the real package serves."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_coze import (
    ChatCozeSite,
    CozeChatError,
    CozeInvalidRequestError,
    CozeSiteTool,
    CozeWorkflowError,
)
from tests.conformance.install import SERVERS, python_of
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(os.environ.get("COZE_CONFORMANCE_SITE_VENV") or ROOT / ".venv-conformance-site")
FIELDS: dict[str, Any] = {"api_key": "eyJtoken0000", "timeout": 20}


@contextmanager
def serve_project(kind: str) -> Iterator[str]:
    if problem := SERVERS["coze-site"].why_not_ready(ENVIRONMENT):
        pytest.skip(problem)
    command = [str(python_of(ENVIRONMENT)), str(Path(__file__).with_name("site_project.py")), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as project:
        try:
            assert project.stdout is not None
            yield f"http://127.0.0.1:{project.stdout.readline().strip()}"
        finally:
            project.terminate()


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    with serve_project("agent") as base_url:
        yield base_url


@pytest.fixture(scope="module")
def workflow() -> Iterator[str]:
    with serve_project("workflow") as base_url:
        yield base_url


def read_seen(answer: AIMessage) -> list[list[str]]:
    """Return what the model of the agent saw: it answers with that."""
    text = str(answer.text)
    seen: list[list[str]] = json.loads(text[text.index("[[") :])
    return seen


# --- Agents --------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALL_STYLES)
@pytest.mark.parametrize("mode", ["stream", "run"])
def test_an_answer_with_a_tool(agent: str, mode: Any, call: CallStyle) -> None:
    answer = call(ChatCozeSite(base_url=agent, response_mode=mode, **FIELDS), "TOOL")
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds == ["text", "server_tool_call", "server_tool_result", "text"]
    call_block: Any = answer.content_blocks[1]
    assert call_block["args"] == {"city": "杭州"}
    assert answer.text.startswith("我查一下。")
    assert answer.response_metadata["run_id"]
    assert (answer.usage_metadata is None) == (mode == "stream")


@pytest.mark.parametrize("mode", ["stream", "run"])
def test_the_model_sees_the_whole_history(agent: str, mode: Any) -> None:
    history = [SystemMessage("short"), HumanMessage("one"), AIMessage("1"), HumanMessage("two")]
    model = ChatCozeSite(base_url=agent, response_mode=mode, **FIELDS)
    seen = read_seen(model.invoke(history))
    texts = " ".join(text for _, text in seen)
    assert all(message.text in texts for message in history)
    assert len(seen) == (1 if mode == "stream" else 4)


@pytest.mark.parametrize("first", ["stream", "run"])
def test_both_routes_share_the_memory_of_a_thread(agent: str, first: Any) -> None:
    model = ChatCozeSite(base_url=agent, session="thread", response_mode=first, **FIELDS)
    second = "run" if first == "stream" else "stream"
    history: list[BaseMessage] = [HumanMessage("one")]
    for mode, question in ((first, "two"), (second, "three"), (first, "four")):
        answer = model.model_copy(update={"response_mode": mode}).invoke(history)
        history += [answer, HumanMessage(question)]
    seen = read_seen(model.invoke(history))
    assert seen == [[message.type, str(message.text)] for message in history]


def test_a_named_session_gets_only_new_messages(agent: str) -> None:
    model = ChatCozeSite(base_url=agent, session_id="named-1", **FIELDS)
    history = [HumanMessage("one"), model.invoke("one"), HumanMessage("two")]
    seen = read_seen(model.invoke(history))
    assert [text for kind, text in seen if kind == "human"] == ["one", "two"]


@pytest.mark.parametrize("mode", ["stream", "run"])
def test_a_failed_run_raises(agent: str, mode: Any) -> None:
    model = ChatCozeSite(base_url=agent, response_mode=mode, **FIELDS)
    with pytest.raises(CozeChatError) as caught:
        model.invoke("FAIL")
    assert caught.value.code == 701001
    assert caught.value.run_id


# --- Workflows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "stream"])
def test_a_workflow_returns_its_whole_output(workflow: str, mode: Any) -> None:
    tool = CozeSiteTool.from_site(workflow, run_mode=mode, **FIELDS)
    assert tool.description == "两数相加的输入"
    call = {"name": tool.name, "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}
    run = tool.invoke(call).artifact
    assert run.output == {"total": 3.0, "note": "完成：3.0"}
    assert run.execute_id


@pytest.mark.parametrize("mode", ["run", "stream"])
def test_a_failed_workflow_raises(workflow: str, mode: Any) -> None:
    tool = CozeSiteTool.from_site(workflow, run_mode=mode, handle_tool_error=False, **FIELDS)
    with pytest.raises(CozeWorkflowError, match="负数") as caught:
        tool.invoke({"a": 1, "b": -1})
    assert caught.value.code == 201003


def test_the_two_kinds_of_projects_are_distinguished(agent: str, workflow: str) -> None:
    with pytest.raises(CozeInvalidRequestError, match="ChatCozeSite"):
        CozeSiteTool.from_site(agent, **FIELDS)
    with pytest.raises(CozeInvalidRequestError, match="CozeSiteTool"):
        ChatCozeSite(base_url=workflow, **FIELDS).invoke("hi")
