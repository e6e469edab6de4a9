"""Replies of a real Coze Studio server, replayed over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langchain_coze import (
    ChatCoze,
    CozeChatError,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    is_retryable,
)
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import ScriptedServer, serve_script

FOLDER = Path(__file__).parent.parent / "recordings" / "studio"
NO_ANSWER = "completed without an answer"


def read_recording(name: str) -> bytes:
    (path,) = FOLDER.glob(f"{name}.*")
    return path.read_bytes()


def make_model(server: ScriptedServer, **fields: Any) -> ChatCoze:
    known: dict[str, Any] = {"api_key": "t", "base_url": server.base_url, "poll_interval": 0.01}
    place = {} if "workflow_id" in fields else {"bot_id": "7713922228458356736"}
    return ChatCoze(**(known | place | fields))


def make_poll_replies(retrieve: str, messages: str) -> list[bytes]:
    """Return the replies of a polled turn: its start, its end, its messages."""
    end = json.loads(read_recording(retrieve))
    start = end | {"data": end["data"] | {"status": "in_progress"}}
    return [json.dumps(start).encode(), read_recording(retrieve), read_recording(messages)]


# --- Turns without an answer ----------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_turn_without_an_answer_is_an_error(ask: CallStyle) -> None:
    with (
        serve_script(read_recording("119-empty-content")) as server,
        pytest.raises(CozeChatError, match=NO_ANSWER) as caught,
    ):
        ask(make_model(server), "q")
    assert caught.value.chat_id == "7713922856156921856"
    assert caught.value.conversation_id == "7713922856131756032"


@pytest.mark.parametrize(
    ("retrieve", "messages"),
    [
        ("126-retrieve-after-err", "127-list-after-err"),
        ("136-retrieve-plugin-boom", "137-list-plugin-boom"),  # it called a plugin
    ],
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_polled_turn_without_an_answer_is_an_error(
    ask: CallStyle, retrieve: str, messages: str
) -> None:
    replies = make_poll_replies(retrieve, messages)
    with (
        serve_script(content_type="application/json", replies=replies) as server,
        pytest.raises(CozeChatError, match=NO_ANSWER) as caught,
    ):
        ask(make_model(server, response_mode="poll"), "q")
    assert caught.value.chat_id == json.loads(replies[1])["data"]["id"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_model_that_says_nothing_is_no_error(ask: CallStyle) -> None:
    with serve_script(read_recording("111-emptyans")) as server:
        message = ask(make_model(server), "q")
    assert (message.content, message.response_metadata["finish_reason"]) == ("", "stop")


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_polled_answer_is_returned(ask: CallStyle) -> None:
    replies = make_poll_replies("05-retrieve", "06-chat-message-list")
    with serve_script(content_type="application/json", replies=replies) as server:
        assert ask(make_model(server, response_mode="poll"), "q").content == "你好！(第1问)"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_cancelled_turn_ends_polling(ask: CallStyle) -> None:
    replies = make_poll_replies("142-retrieve-cancelled", "127-list-after-err")
    with (
        serve_script(content_type="application/json", replies=replies) as server,
        pytest.raises(CozeChatError, match="canceled"),
    ):
        ask(make_model(server, response_mode="poll", poll_timeout=5), "q")
    assert len(server.paths) == 2


# --- Asynchronous runs ---------------------------------------------------------------------------

SCHEMA = {"title": "wf", "type": "object", "properties": {"input": {"type": "string"}}}
NO_ROUTE = b'{"code":401,"msg":"missing session_key in cookie"}'


@contextmanager
def serve_run(history: str) -> Iterator[tuple[CozeWorkflowTool, ScriptedServer]]:
    """Serve an asynchronous run with this history; return the tool that runs it."""
    replies = [read_recording("28-wf-run-async"), NO_ROUTE, read_recording(history)]
    with serve_script(content_type="application/json", replies=replies) as server:
        yield (
            CozeWorkflowTool(
                workflow_id="7713922451695992832",
                name="wf",
                description="d",
                args_schema=SCHEMA,
                run_mode="async",
                api_key="t",
                base_url=server.base_url,
                poll_interval=0.01,
            ),
            server,
        )


def run_tool(tool: CozeWorkflowTool, *, use_async: bool) -> Any:
    call = {"type": "tool_call", "id": "1", "name": "wf", "args": {"input": "hi"}}
    return asyncio.run(tool.ainvoke(call)) if use_async else tool.invoke(call)


@pytest.mark.parametrize("use_async", [False, True])
def test_an_asynchronous_run_reads_the_history_of_studio(*, use_async: bool) -> None:
    with serve_run("50-run-history") as (tool, server):
        message = run_tool(tool, use_async=use_async)
    assert message.content == "你好！(第1问)"
    assert message.artifact.data == '{"output":"你好！(第1问)"}'
    assert [path.partition("?")[0] for path in server.paths] == [
        "/v1/workflow/run",
        "/v1/workflows/7713922451695992832/run_histories/7713922506867867648",
        "/v1/workflow/get_run_history",
    ]


@pytest.mark.parametrize("use_async", [False, True])
def test_an_asynchronous_run_that_waits_is_an_interrupt(*, use_async: bool) -> None:
    with (
        serve_run("54-run-history-interrupted") as (tool, _),
        pytest.raises(CozeWorkflowInterrupt, match="7713922635536531456") as caught,
    ):
        run_tool(tool, use_async=use_async)
    assert "run_mode='stream'" in str(caught.value)
    assert not is_retryable(caught.value)


@pytest.mark.parametrize("use_async", [False, True])
def test_an_asynchronous_run_that_failed_is_told_to_the_model(*, use_async: bool) -> None:
    with serve_run("51-run-history-failed") as (tool, _):
        message = run_tool(tool, use_async=use_async)
    assert message.status == "error"
    assert "720701013" in message.content
    assert "Unauthorized" in message.content


# --- Questions to the user ------------------------------------------------------------------------

FLOW = {"workflow_id": "7713922453096890368", "bot_id": "7713922228458356736"}
OPTIONS, FORM = "选哪个？\n甲\n乙", "city (string), days (integer)"


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("79-cf-qaopt", FLOW, OPTIONS),
        ("81-cf-input", FLOW, FORM),
        ("297-mode-qaopt", {}, OPTIONS),
        ("227-wf-agent-input", {}, FORM),
    ],
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_question_on_a_card_has_text(
    ask: CallStyle, name: str, fields: dict[str, str], text: str
) -> None:
    with serve_script(read_recording(name)) as server:
        message = ask(make_model(server, **fields), "q")
    assert message.content == text
    assert message.response_metadata["finish_reason"] == "interrupt"
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds[-2:] == ["text", "non_standard"]


# --- Token counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_usage", [True, False])
@pytest.mark.parametrize(
    ("name", "fields", "counts"),
    [
        ("01-chat-stream", {}, (11, 7)),
        ("101-plugin-tool", {}, (11, 7)),
        ("290-mode-llm", {}, (11, 7)),
        ("71-cf-name", FLOW, (11, 7)),  # its token_count says 14
    ],
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_token_counts_need_no_further_request(
    ask: CallStyle,
    name: str,
    fields: dict[str, str],
    counts: tuple[int, int],
    *,
    stream_usage: bool,
) -> None:
    with serve_script(read_recording(name)) as server:
        message = ask(make_model(server, stream_usage=stream_usage, **fields), "q")
    assert message.usage_metadata is not None
    assert len(server.paths) == 1
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == counts
    assert usage["total_tokens"] == sum(counts)
