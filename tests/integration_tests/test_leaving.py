"""Turns that are abandoned or take too long; over sockets."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from langchain_coze import ChatCoze, CozeError, CozeTimeoutError
from langchain_coze.local import ClientTool, LocalBot, LocalCoze, Pause
from tests.conftest import finish_cancels, make_chat, serve, wait_until
from tests.integration_tests.call_styles import BACKEND_STYLES, CallStyle, use_aiohttp
from tests.integration_tests.scripted_server import serve_script
from tests.unit_tests.wire_fixtures import TURN

LONG = 20.0
numbers_said = Counter[str]()  # how many numbers the bot has said, by question
questions = (f"Question {number}" for number in itertools.count())


async def talk(question: str) -> AsyncIterator[Any]:
    for number in range(400):
        yield f"{number} "
        numbers_said[question] += 1
        yield Pause(0.05)


async def fall_silent(_: str) -> AsyncIterator[Any]:
    yield "Well, "
    yield Pause(LONG)


def think(_: str) -> Any:
    time.sleep(0.2)  # a bot that takes a moment
    return "Done."


def ask_back(_: str) -> Iterator[Any]:
    yield ClientTool("f", {})


TALK, SILENT = LocalBot(talk, name="talk"), LocalBot(fall_silent, name="silent")
THINK, ASKS = LocalBot(think, name="think"), LocalBot(ask_back, name="asks")

coze = serve([TALK, SILENT, THINK, ASKS], stop_timeout=0)


def list_cancels(coze: LocalCoze) -> list[Any]:
    return [request.body for request in coze.requests if request.path == "/v3/chat/cancel"]


# --- Cancelling ----------------------------------------------------------------------------------


def leave_stream(model: ChatCoze) -> Any:
    for chunk in model.stream("Hi"):
        return chunk
    raise AssertionError


def leave_astream(model: ChatCoze) -> Any:
    async def run() -> Any:
        async with aclosing(model.astream("Hi")) as chunks:  # type: ignore[type-var] # a generator
            async for chunk in chunks:
                return chunk
        raise AssertionError

    return asyncio.run(run())


def cancel_ainvoke(model: ChatCoze, is_known: Callable[[], Any] | None = None) -> None:
    """Cancel a call when its turn is known: by default when three numbers have been said."""
    question = next(questions)

    async def run() -> None:
        task = asyncio.create_task(model.ainvoke(question))
        await asyncio.to_thread(wait_until, is_known or (lambda: numbers_said[question] >= 3))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def give_up_astream(model: ChatCoze) -> None:
    async def read_until_the_time_is_up() -> None:
        async with asyncio.timeout(None) as limit:
            async for _ in model.astream("Hi"):
                limit.reschedule(0)  # time out at the first chunk

    with pytest.raises(TimeoutError):
        asyncio.run(read_until_the_time_is_up())


def leave_astream_aiohttp(model: ChatCoze) -> Any:
    return leave_astream(use_aiohttp(model))


def cancel_ainvoke_aiohttp(model: ChatCoze) -> None:
    cancel_ainvoke(use_aiohttp(model))


def give_up_astream_aiohttp(model: ChatCoze) -> None:
    give_up_astream(use_aiohttp(model))


WAYS_TO_LEAVE: list[Callable[[ChatCoze], Any]] = [
    leave_stream,
    leave_astream,
    cancel_ainvoke,
    give_up_astream,
    leave_astream_aiohttp,
    cancel_ainvoke_aiohttp,
    give_up_astream_aiohttp,
]


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
def test_leaving_cancels_the_turn_with_cancel_on_close(
    coze: LocalCoze, leave: Callable[[ChatCoze], Any]
) -> None:
    leave(make_chat(coze, cancel_on_close=True, auto_save_history=True))
    wait_until(lambda: list_cancels(coze))
    (body,) = list_cancels(coze)
    assert body.keys() == {"conversation_id", "chat_id"}  # wire section 2.8
    begun = coze.requests[-1]
    assert begun.headers["authorization"] == f"Bearer {coze.token}"


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
def test_leaving_cancels_nothing_by_default(
    coze: LocalCoze, leave: Callable[[ChatCoze], Any]
) -> None:
    leave(make_chat(coze, auto_save_history=True))
    finish_cancels()
    assert list_cancels(coze) == []


def test_a_turn_that_has_ended_or_failed_is_not_cancelled(coze: LocalCoze) -> None:
    make_chat(coze, THINK, cancel_on_close=True).invoke("Hi")
    make_chat(coze, ASKS, cancel_on_close=True).invoke("Hi")
    coze.faults = "failed"
    with pytest.raises(CozeError):
        make_chat(coze, THINK, cancel_on_close=True).invoke("Hi")
    finish_cancels()
    assert list_cancels(coze) == []


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_polled_turn_is_cancelled_too(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, SILENT, response_mode="poll", cancel_on_close=True)
    hurried = model.model_copy(update={"max_duration": 0.3})
    with pytest.raises(CozeTimeoutError) as caught:
        ask(hurried, "Hi")
    wait_until(lambda: list_cancels(coze))
    assert list_cancels(coze)[0]["chat_id"] == caught.value.chat_id


def test_a_polled_turn_of_a_cancelled_task_is_cancelled(coze: LocalCoze) -> None:
    model = make_chat(coze, SILENT, response_mode="poll", cancel_on_close=True)
    cancel_ainvoke(model, lambda: "/v3/chat/retrieve" in [r.path for r in coze.requests])
    wait_until(lambda: list_cancels(coze))


def test_a_cancel_arrives_although_the_program_ends(coze: LocalCoze) -> None:
    program = f"""
        from langchain_coze import ChatCoze
        bot = ChatCoze(bot_id={TALK.bot_id!r}, api_key={coze.token!r}, base_url={coze.base_url!r},
                       cancel_on_close=True, auto_save_history=True)
        for chunk in bot.stream("Hi"):
            break
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    assert subprocess.run(command, timeout=LONG, check=False).returncode == 0
    assert len(list_cancels(coze)) == 1


def test_a_stream_that_is_open_when_the_program_ends_prints_nothing(coze: LocalCoze) -> None:
    program = f"""
        from langchain_coze import ChatCoze
        bot = ChatCoze(bot_id={TALK.bot_id!r}, api_key={coze.token!r}, base_url={coze.base_url!r},
                       cancel_on_close=True, auto_save_history=True)
        stream = bot.stream("Hi")
        print(next(stream).content != "never")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, timeout=LONG, check=True, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_cancels_that_do_not_get_through_are_dropped_together() -> None:
    chat: list[Any] = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        TURN[: TURN.index(b"event:conversation.chat.completed")],
        LONG,
    ]
    replies = {"/v3/chat": chat, "/v3/chat/cancel": [LONG]}
    with serve_script(raw_replies=replies) as server:
        program = f"""
            import time
            from langchain_coze import ChatCoze
            bot = ChatCoze(bot_id="7", api_key="t", base_url={server.base_url!r},
                           cancel_on_close=True)
            for _ in range(12):
                for chunk in bot.stream("Hi"):
                    break
            print(time.time())
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        ended = subprocess.run(command, timeout=LONG, check=True, capture_output=True)
        assert time.time() - float(ended.stdout) < 8  # not 3 s for each of them
        assert "/v3/chat/cancel" in server.paths


# --- Time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("local", [TALK, SILENT], ids=["talk", "silent"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_turn_ends_when_its_time_is_up(coze: LocalCoze, ask: CallStyle, local: LocalBot) -> None:
    model = make_chat(coze, local, max_duration=0.4, cancel_on_close=True, auto_save_history=True)
    begin = time.monotonic()
    with pytest.raises(CozeTimeoutError, match="longer than max_duration allows") as caught:
        ask(model, "Hi")
    assert 0.35 < time.monotonic() - begin < 2.0
    error = caught.value
    assert error.chat_id
    assert error.conversation_id
    assert error.logid
    wait_until(lambda: list_cancels(coze))
    assert list_cancels(coze) == [
        {"conversation_id": error.conversation_id, "chat_id": error.chat_id}
    ]


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_max_duration_includes_the_wait_for_a_reply(coze: LocalCoze, ask: CallStyle) -> None:
    coze.faults = "slow_start=5"
    begin = time.monotonic()
    with pytest.raises(CozeTimeoutError, match="longer than max_duration allows"):
        ask(make_chat(coze, THINK, max_duration=0.3), "Hi")
    assert time.monotonic() - begin < 2.0


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_max_duration_includes_retries(coze: LocalCoze, ask: CallStyle) -> None:
    coze.faults = "error=4009"
    begin = time.monotonic()
    with pytest.raises(CozeError, match="code 4009"):
        ask(make_chat(coze, THINK, max_duration=0.6, max_retries=50), "Hi")
    assert time.monotonic() - begin < 2.0


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_max_duration_limits_polling(coze: LocalCoze, ask: CallStyle) -> None:
    begin = time.monotonic()
    with pytest.raises(CozeTimeoutError, match="max_duration") as caught:
        ask(make_chat(coze, SILENT, max_duration=0.4, response_mode="poll"), "Hi")
    assert time.monotonic() - begin < 2.0
    assert caught.value.chat_id


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_long_max_duration_changes_nothing(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, THINK, max_duration=30)
    before = threading.active_count()
    assert [ask(model, "Hi").content for _ in range(3)] == ["Done."] * 3
    wait_until(lambda: threading.active_count() <= before + 1)  # the executor of asyncio, if any


def test_max_duration_limits_clients_of_the_user(coze: LocalCoze) -> None:
    with httpx.Client() as client:
        model = make_chat(coze, SILENT, max_duration=0.4, http_client=client)
        begin = time.monotonic()
        with pytest.raises(CozeTimeoutError, match="max_duration"):
            model.invoke("Hi")
        assert time.monotonic() - begin < 2.0

    async def run() -> None:
        async with httpx.AsyncClient() as client:
            model = make_chat(coze, SILENT, max_duration=0.4, http_async_client=client)
            with pytest.raises(CozeTimeoutError, match="max_duration"):
                await model.ainvoke("Hi")

    asyncio.run(run())


def test_max_duration_is_checked_on_every_event_without_a_socket() -> None:
    class Slow(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(100):
                time.sleep(0.05)  # a slow server
                yield b": wait\n\n"

    def reply(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Slow())

    with httpx.Client(transport=httpx.MockTransport(reply)) as client:
        model = ChatCoze(bot_id="7", api_key="pat_example", http_client=client, max_duration=0.3)
        with pytest.raises(CozeTimeoutError, match="max_duration"):
            model.invoke("Hi")
