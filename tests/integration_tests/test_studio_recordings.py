"""Replies of a real Coze Studio server, replayed over a socket."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.tools import tool

from langchain_coze import (
    CozeChatError,
    CozePermissionError,
    CozeRecallRetriever,
    CozeStreamError,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    create_coze_agent,
    is_retryable,
)
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.integration_tests.studio_recordings import (
    make_model,
    make_poll_replies,
    read_recording,
    with_head,
)

NO_ANSWER = "completed without an answer"


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
def test_an_empty_answer_of_a_model_is_not_an_error(ask: CallStyle) -> None:
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
def test_a_failed_asynchronous_run_is_reported_to_the_model(*, use_async: bool) -> None:
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
) -> None:
    with serve_script(read_recording(name)) as server:
        message = ask(make_model(server, **fields), "q")
    assert message.usage_metadata is not None
    assert len(server.paths) == 1
    usage = message.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"]) == counts
    assert usage["total_tokens"] == sum(counts)


# --- Streams instead of JSON ----------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_poll_mode_reads_a_stream_that_the_server_sends(ask: CallStyle) -> None:
    """The turn is started and billed: its answer must not be lost."""
    recording = read_recording("01-chat-stream")
    with serve_script(recording) as server:
        streamed = ask(make_model(server), "q")
    with serve_script(recording) as server:
        polled = ask(make_model(server, response_mode="poll"), "q")
    assert server.bodies[0]["stream"] is False
    assert len(server.paths) == 1
    assert polled.content == streamed.content == "你好！(第1问)"
    assert polled.usage_metadata == streamed.usage_metadata
    assert polled.response_metadata == streamed.response_metadata
    assert polled.content_blocks == streamed.content_blocks


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_stream_for_poll_mode_that_fails_is_an_error_of_the_turn(ask: CallStyle) -> None:
    recording = read_recording("01-chat-stream")
    cut = recording[: recording.index(b"event:conversation.message.completed")]
    with (
        serve_script(cut) as server,
        pytest.raises(CozeStreamError, match="before the turn was over") as caught,
    ):
        ask(make_model(server, response_mode="poll"), "q")
    assert caught.value.chat_id
    assert not is_retryable(caught.value)
    error = b'event:error\ndata:{"code":4101,"msg":"no permission"}\n\n'
    with serve_script(error) as server, pytest.raises(CozePermissionError):
        ask(make_model(server, response_mode="poll"), "q")


@pytest.mark.parametrize("use_async", [False, True])
def test_a_polled_chat_that_streams_the_rest_of_a_tool_turn_is_read(*, use_async: bool) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Return the weather of a city."""
        return f"sunny in {city}"

    function = {"name": "get_weather", "arguments": '{"city":"杭州"}'}
    call = {"id": "c1", "type": "function", "function": function}
    chat = {"id": "7713922505482715136", "status": "requires_action"}
    chat |= {"conversation_id": "7713922279444316160"}  # of the recorded stream
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
    start = json.dumps({"code": 0, "msg": "", "data": {**chat, "required_action": action}}).encode()
    listing = json.dumps({"code": 0, "msg": "", "data": []}).encode()
    bodies = [start, listing, read_recording("01-chat-stream")]
    with serve_script(replies=[with_head(body) for body in bodies]) as server:
        server.head = b""  # each reply has its own
        agent = create_coze_agent(
            make_model(server, response_mode="poll"), [get_weather], name="weather"
        )
        question: Any = {"messages": [("user", "q")]}
        state = asyncio.run(agent.ainvoke(question)) if use_async else agent.invoke(question)
    assert state["messages"][-1].content == "你好！(第1问)"
    assert [path.partition("?")[0] for path in server.paths] == [
        "/v3/chat",
        "/v3/chat/message/list",
        "/v3/chat/submit_tool_outputs",
    ]
    assert server.bodies[-1]["stream"] is False


@pytest.mark.parametrize("run_mode", ["sync", "async"])
@pytest.mark.parametrize("use_async", [False, True])
def test_a_workflow_run_reads_a_stream_that_the_server_sends(
    run_mode: Any, *, use_async: bool
) -> None:
    with serve_script(read_recording("23-wf-stream-echo")) as server:
        made = CozeWorkflowTool(
            workflow_id="7713922451695992832",
            name="wf",
            description="d",
            args_schema=SCHEMA,
            run_mode=run_mode,
            api_key="t",
            base_url=server.base_url,
        )
        message = run_tool(made, use_async=use_async)
    assert json.loads(message.content) == {"output": "你好 a&b<c>"}  # as with run_mode="stream"
    assert server.paths == ["/v1/workflow/run"]


# --- Tolerated forms ------------------------------------------------------------------------------

ANSWER = "你好！(第1问)"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_turn_may_be_created_in_progress(ask: CallStyle) -> None:
    assert b'"status":"in_progress"' in read_recording("01-chat-stream").partition(b"\n\n")[0]
    with serve_script(read_recording("01-chat-stream")) as server:
        message = ask(make_model(server), "q")
    assert message.content == ANSWER
    metadata = message.response_metadata
    assert metadata["finish_reason"] == "stop"
    assert metadata["chat_id"] in read_recording("01-chat-stream").decode()


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_function_call_may_have_an_index(ask: CallStyle) -> None:
    with serve_script(read_recording("101-plugin-tool")) as server:
        message = ask(make_model(server), "q")
    call, result, text = message.content_blocks
    assert call["type"] == "server_tool_call"
    assert (call["name"], call["args"]) == ("get_weather", {"city": "北京"})
    assert (result["type"], text["type"]) == ("server_tool_result", "text")
    assert message.tool_calls == []


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_that_completes_twice_is_one_answer(ask: CallStyle) -> None:
    with serve_script(read_recording("290-mode-llm")) as server:
        message = ask(make_model(server), "q")
    assert message.content == ANSWER
    assert [block["type"] for block in message.content_blocks] == ["text"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_of_one_delta_may_lack_its_completed_message(ask: CallStyle) -> None:
    with serve_script(read_recording("73b-cf-named-conv-reused")) as server:
        message = ask(make_model(server, **FLOW), "q")
    assert message.content == '[{"role": "user", "content": "ECHOALL"}]'


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_reasoning_survives_a_completed_answer_without_it(ask: CallStyle) -> None:
    with serve_script(read_recording("03-think-stream")) as server:
        message = ask(make_model(server), "q")
    assert message.content == "好的"
    assert message.additional_kwargs["reasoning_content"] == "先想想"
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_empty_stream_is_an_error(ask: CallStyle) -> None:
    assert read_recording("121d-long-100k") == b""
    with (
        serve_script(read_recording("121d-long-100k")) as server,
        pytest.raises(CozeStreamError, match="ended before the turn started"),
    ):
        ask(make_model(server), "q")
    assert len(server.paths) == 1


# --- Searches -------------------------------------------------------------------------------------


def search(server: ScriptedServer, *, use_async: bool, **fields: Any) -> list[str]:
    known = {"bot_id": "7713923391371083776", "api_key": "t", "base_url": server.base_url}
    retriever = CozeRecallRetriever(**(known | fields))
    found = asyncio.run(retriever.ainvoke("q")) if use_async else retriever.invoke("q")
    return [document.page_content for document in found]


@pytest.mark.parametrize("use_async", [False, True])
def test_a_search_that_finds_nothing_warns_once_per_bot(*, use_async: bool) -> None:
    with serve_script(read_recording("211-kb-miss")) as server:
        with pytest.warns(UserWarning, match="The bot 7713923391371083776 sent no recall") as told:
            assert search(server, use_async=use_async) == []
        for words in (
            "nothing was found",
            "no knowledge base is bound",
            "没有检索到",
            "未绑定知识库",
        ):
            assert words in str(told[0].message)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert search(server, use_async=use_async) == []
        with pytest.warns(UserWarning, match="The bot 1 sent no recall"):
            search(server, use_async=use_async, bot_id="1")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("use_async", [False, True])
def test_a_bot_that_has_recalled_something_is_not_warned_about(*, use_async: bool) -> None:
    replies = [read_recording("210-kb-hit"), read_recording("211-kb-miss")]
    with serve_script(replies=replies) as server:
        assert len(search(server, use_async=use_async)) == 1
        assert search(server, use_async=use_async) == []
