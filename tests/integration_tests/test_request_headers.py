"""`default_headers` as a function: called once for each request, of every class."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_coze import (
    ChatCozeSite,
    CozeBots,
    CozeConversations,
    CozeInvalidRequestError,
    CozeKnowledge,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeToolkit,
    CozeWorkflowTool,
)
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, LocalSite
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import ainvoke, invoke

NOTES = LocalKnowledge(["Tea grows on hills."], name="notes")


def find(city: str) -> str:
    """Find a city."""
    return city


coze = serve(LocalBot(knowledge=NOTES, name="notes"), workflows=find)


def count() -> Callable[[], dict[str, str]]:
    numbers = itertools.count(1)
    return lambda: {"Traceparent": f"00-{next(numbers)}"}


def list_headers(coze: LocalCoze | LocalSite) -> list[str]:
    return [request.headers["traceparent"] for request in coze.requests]


USES: dict[str, Callable[[LocalCoze, dict[str, Any]], Any]] = {
    "chat": lambda coze, fields: make_chat(coze, **fields).invoke("Hi"),
    "stream": lambda coze, fields: list(make_chat(coze, **fields).stream("Hi")),
    "poll": lambda coze, fields: make_chat(coze, response_mode="poll", **fields).invoke("Hi"),
    "retriever": lambda coze, fields: CozeRecallRetriever(
        bot_id=coze.bots[0].bot_id, **fields
    ).invoke("tea"),
    "tool": lambda coze, fields: CozeWorkflowTool.from_workflow(
        coze.workflows[0].workflow_id, **fields
    ).invoke({"city": "Hangzhou"}),
    "toolkit": lambda coze, fields: CozeToolkit(
        workspace_id=coze.workspace_id, **fields
    ).get_tools(),
    "knowledge": lambda _, fields: CozeKnowledge(dataset_id=NOTES.dataset_id, **fields).documents(),
    "bots": lambda coze, fields: CozeBots(workspace_id=coze.workspace_id, **fields).list(),
    "conversations": lambda coze, fields: CozeConversations(
        bot_id=coze.bots[0].bot_id, **fields
    ).list(),
}


@pytest.mark.parametrize("name", USES)
def test_each_request_has_headers_of_its_own(coze: LocalCoze, name: str) -> None:
    fields = {"api_key": coze.token, "base_url": coze.base_url, "default_headers": count()}
    USES[name](coze, fields)
    assert list_headers(coze) == [f"00-{n}" for n in range(1, len(coze.requests) + 1)]
    assert len(coze.requests) > (1 if name in {"poll", "tool", "toolkit"} else 0)


def test_requests_to_a_site_have_headers_of_their_own() -> None:
    with LocalSite(workflow=find) as site:
        fields: dict[str, Any] = {"api_key": site.token, "default_headers": count()}
        CozeSiteTool.from_site(site.base_url, **fields).invoke({"city": "Hangzhou"})
        assert list_headers(site) == ["00-1", "00-2"]
    with LocalSite() as site:
        fields = {"api_key": site.token, "default_headers": count()}
        ChatCozeSite(base_url=site.base_url, **fields).invoke("Hi")
        assert list_headers(site) == ["00-1"]


def test_a_retry_is_another_request(coze: LocalCoze) -> None:
    coze.faults = "error=4009,times=1"
    make_chat(coze, default_headers=count()).invoke("Hi")
    assert list_headers(coze) == ["00-1", "00-2"]


def test_async_calls_run_the_function_in_their_context(coze: LocalCoze) -> None:
    from contextvars import ContextVar  # noqa: PLC0415 - one use

    user: ContextVar[str] = ContextVar("user")
    bot = make_chat(coze, default_headers=lambda: {"Traceparent": user.get()})

    async def ask(name: str) -> None:
        user.set(name)
        await bot.ainvoke("Hi")

    async def ask_all() -> None:
        await asyncio.gather(*(ask(f"u{n}") for n in range(5)))

    asyncio.run(ask_all())
    assert sorted(list_headers(coze)) == [f"u{n}" for n in range(5)]


async def _later() -> dict[str, str]:
    return {}


def _bad_headers() -> Iterator[Any]:
    yield {"Authorization": "Bearer secret-word"}, "Authorization"
    yield {"X-Tea": "茶 secret-word"}, "X-Tea"
    yield {"X-Tea": 7}, "returned a value of type dict"
    yield None, "returned a value of type NoneType"
    yield "secret-word", "returned a value of type str"


@pytest.mark.parametrize(("headers", "problem"), list(_bad_headers()))
def test_headers_that_cannot_be_sent_are_refused(
    coze: LocalCoze, headers: Any, problem: str
) -> None:
    bot = make_chat(coze, default_headers=lambda: headers)
    for ask in (invoke, ainvoke):
        with pytest.raises(CozeInvalidRequestError, match=problem) as caught:
            ask(bot, "Hi")
        assert "secret-word" not in str(caught.value)
    assert coze.requests == []


def test_an_async_function_is_refused(coze: LocalCoze) -> None:
    with pytest.raises(CozeInvalidRequestError, match="returned a value of type coroutine"):
        make_chat(coze, default_headers=_later).invoke("Hi")


def test_an_assigned_function_is_used(coze: LocalCoze) -> None:
    bot = make_chat(coze)
    bot.default_headers = count()
    bot.invoke("Hi")
    bot.model_copy(update={"default_headers": {"Traceparent": "00-9"}}).invoke("Hi")
    assert list_headers(coze) == ["00-1", "00-9"]
    assert "function" not in repr(bot)
