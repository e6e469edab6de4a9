"""Both classes of coze.site against the local server, which was written from the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_coze import (
    ChatCozeSite,
    CozeAuthenticationError,
    CozeError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeSiteTool,
    CozeStreamError,
    CozeTimeoutError,
)
from langchain_coze.local import LocalSite, Turn
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle


def remember(question: str, turn: Turn) -> str:
    return " | ".join([*(str(message.text) for message in turn.messages[:-1]), question])


def add(a: float, b: float = 2) -> dict[str, float]:
    """Add two numbers."""
    return {"total": a + b}


@pytest.fixture(scope="module")
def agent() -> Iterator[LocalSite]:
    with LocalSite(agent=remember) as site:
        yield site


def make_model(site: LocalSite, **fields: Any) -> ChatCozeSite:
    known = {"api_key": site.token, "timeout": 2, "poll_interval": 0.05, "max_retries": 0}
    return ChatCozeSite(base_url=site.base_url, **(known | fields))


@pytest.mark.parametrize("call", CALL_STYLES)
@pytest.mark.parametrize("mode", ["stream", "run", "async"])
def test_each_mode_answers(agent: LocalSite, mode: Any, call: CallStyle) -> None:
    answer = call(make_model(agent, response_mode=mode), "hello")
    assert answer.text == "hello"
    assert answer.response_metadata["run_id"]
    assert (answer.usage_metadata is None) == (mode == "stream")


@pytest.mark.parametrize("mode", ["stream", "run"])
def test_a_thread_is_one_session(agent: LocalSite, mode: Any) -> None:
    model = make_model(agent, session="thread", response_mode=mode)
    history: list[BaseMessage] = [HumanMessage("one")]
    for question in ("two", "three"):
        history += [model.invoke(history), HumanMessage(question)]
    assert model.invoke(history).text == " | ".join(str(message.text) for message in history)


FAULTS: dict[str, type[CozeError]] = {
    "end_code=604001": CozeQuotaError,
    "end_code=TIMEOUT": CozeTimeoutError,
    "cut": CozeStreamError,
    "silence": CozeTimeoutError,
    "http_401": CozeAuthenticationError,
    "http_504": CozeTimeoutError,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_a_typed_error(fault: str) -> None:
    with (
        LocalSite(agent=remember, faults=fault, stop_timeout=0) as site,
        pytest.raises(FAULTS[fault]) as caught,
    ):
        make_model(site, timeout=0.5).invoke("hello")
    assert site.token not in str(caught.value)


@pytest.mark.parametrize("mode", ["run", "stream", "async"])
def test_each_way_to_run_a_workflow(mode: Any) -> None:
    with LocalSite(workflow=add) as site:
        fields: dict[str, Any] = {"api_key": site.token, "poll_interval": 0.05}
        tool = CozeSiteTool.from_site(site.base_url, run_mode=mode, **fields)
        assert tool.invoke({"a": 1}) == '{"total": 3.0}'


def test_a_project_without_tasks_is_reported() -> None:
    with (
        LocalSite(workflow=add, faults="no_async") as site,
        pytest.raises(CozeNotFoundError, match="no route POST /async_run"),
    ):
        CozeSiteTool(base_url=site.base_url, api_key=site.token, run_mode="async").invoke({"a": 1})
