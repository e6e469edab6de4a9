"""`CozeSiteTool` over a socket: recorded bytes of the server, and a project that loses replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from langchain_coze import (
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeRateLimitError,
    CozeServerError,
    CozeSiteTool,
    CozeStreamError,
    CozeTimeoutError,
    CozeWorkflowError,
    WorkflowRun,
)
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.site_server import run_site
from tests.site_recordings import read_site_json, read_site_reply

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2ln"
INPUTS = {"a": 1, "b": 2}
OUTPUT = {"sum_result": 3.0, "note": "完成：3.0"}
SCHEMAS = "/graph_parameter"
Call = Callable[[CozeSiteTool, Any], Any]


def make_tool(base_url: str, **fields: Any) -> CozeSiteTool:
    known = {"api_key": TOKEN, "timeout": 5, "poll_interval": 0.01, "max_retries": 1}
    return CozeSiteTool(base_url=base_url, **(known | fields))


def replay(**names: str) -> Any:
    """Serve recorded replies by the name of their route."""
    replies = {f"/{path}": [read_site_reply(name)] for path, name in names.items()}
    return serve_script(raw_replies=replies)


def invoke(tool: CozeSiteTool, inputs: Any) -> Any:
    return tool.invoke(inputs)


def ainvoke(tool: CozeSiteTool, inputs: Any) -> Any:
    return asyncio.run(tool.ainvoke(inputs))


EACH_CALL = pytest.mark.parametrize("call", [invoke, ainvoke])


def to_call(inputs: Any) -> dict[str, Any]:
    return {"name": "t", "args": inputs, "id": "1", "type": "tool_call"}


# --- Metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_a_tool_is_made_from_the_schemas_of_the_project(is_async: bool) -> None:  # noqa: FBT001
    with replay(graph_parameter="16b_graph_parameter_wf") as server:
        if is_async:
            tool = asyncio.run(CozeSiteTool.afrom_site(server.base_url, api_key=TOKEN))
        else:
            tool = CozeSiteTool.from_site(server.base_url, api_key=TOKEN)
    assert tool.description == "两数相加的输入"
    assert tool.name == "coze_workflow_127001"
    schema: Any = tool.args_schema
    assert schema["required"] == ["a", "b"]
    assert schema["properties"]["a"] == {"type": "number", "description": "第一个数"}
    assert schema["properties"]["mode"]["default"] == "ok"
    assert schema["properties"]["doc"]["type"] == "string"
    assert "http" in schema["properties"]["doc"]["description"]
    assert "$ref" not in json.dumps(schema)
    assert tool.result_schema is not None
    assert tool.tool_call_schema


def test_given_fields_take_precedence() -> None:
    with replay(graph_parameter="16b_graph_parameter_wf") as server:
        tool = CozeSiteTool.from_site(
            server.base_url, api_key=TOKEN, name="add", description="Adds numbers."
        )
    assert (tool.name, tool.description) == ("add", "Adds numbers.")


def test_the_name_comes_from_the_host() -> None:
    assert make_tool("https://ct-search.coze.site").name == "ct_search"


def test_an_agent_is_no_tool() -> None:
    with (
        replay(graph_parameter="16_graph_parameter_agent") as server,
        pytest.raises(CozeInvalidRequestError, match="ChatCozeSite"),
    ):
        CozeSiteTool.from_site(server.base_url, api_key=TOKEN)


@EACH_CALL
@pytest.mark.parametrize(
    ("mode", "path", "name"),
    [("run", "run", "15_agent_run"), ("stream", "stream_run", "R01_short_answer")],
)
def test_an_agent_that_is_run_as_a_workflow_is_named(
    mode: Any, path: str, name: str, call: Call
) -> None:
    with (
        replay(**{path: name}) as server,
        pytest.raises(CozeInvalidRequestError, match="ChatCozeSite"),
    ):
        call(make_tool(server.base_url, run_mode=mode, result_schema={}), INPUTS)


# --- Runs ----------------------------------------------------------------------------------------


@EACH_CALL
def test_a_run_returns_the_output_and_the_run(call: Call) -> None:
    with replay(run="13_wf_run") as server:
        message: ToolMessage = call(make_tool(server.base_url), to_call(INPUTS))
    assert json.loads(str(message.content)) == OUTPUT
    run: WorkflowRun = message.artifact
    assert run.output == OUTPUT
    assert run.execute_id == "409e7192-0529-437b-a1ad-021d03df9e65"
    assert server.bodies == [INPUTS]
    assert server.headers[0]["x-run-id"]


@EACH_CALL
@pytest.mark.parametrize("name", ["10b_wf_stream_debug", "R10_wf_ping"])
def test_a_stream_returns_the_same_output(name: str, call: Call) -> None:
    with replay(stream_run=name, graph_parameter="16b_graph_parameter_wf") as server:
        tool = CozeSiteTool.from_site(server.base_url, api_key=TOKEN, run_mode="stream")
        message: ToolMessage = call(tool, to_call(INPUTS))
    assert message.artifact.output == OUTPUT
    assert message.artifact.execute_id
    assert server.headers[-1]["x-workflow-stream-mode"] == "debug"


def test_a_stream_without_known_outputs_asks_for_them() -> None:
    with replay(
        stream_run="10b_wf_stream_debug", graph_parameter="16b_graph_parameter_wf"
    ) as server:
        text = make_tool(server.base_url, run_mode="stream").invoke(INPUTS)
    assert json.loads(text) == OUTPUT  # without `part`, which only the nodes share
    assert server.paths == [SCHEMAS, "/stream_run"]


def test_the_outputs_of_parallel_end_nodes_are_merged() -> None:
    nodes = (
        b'data: {"type":"node_end","node_name":"%b","output":{"%b":"%b","part":1}}\n\n'
        % (name, name, name)
        for name in (b"left", b"right")
    )
    end = read_site_reply("35_wf_parallel_stream").partition(b"\r\n\r\n")[2]
    exact = read_site_json("35b_wf_parallel_run")
    schema = {"properties": {"left": {}, "right": {}}, "required": ["left", "right"]}
    with serve_script(*nodes, end) as server:
        tool = make_tool(server.base_url, run_mode="stream", result_schema=schema)
        output = tool.invoke(to_call(INPUTS)).artifact.output
    assert {**output, "run_id": exact["run_id"]} == {**exact, "left": "left"}


def test_progress_reaches_a_graph_and_callbacks() -> None:
    events: list[Any] = []

    class NodeEvents(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            events.append((name, data["node"], data["is_finish"]))

    with replay(
        stream_run="10b_wf_stream_debug", graph_parameter="16b_graph_parameter_wf"
    ) as server:
        tool = CozeSiteTool.from_site(server.base_url, api_key=TOKEN, run_mode="stream", name="add")
        graph = StateGraph(MessagesState).add_node("tools", ToolNode([tool]))
        graph.add_edge(START, "tools").add_edge("tools", END)
        ask = AIMessage("", tool_calls=[{"name": "add", "args": INPUTS, "id": "7"}])
        parts = list(
            graph.compile().stream(
                {"messages": [ask]}, {"callbacks": [NodeEvents()]}, stream_mode="custom"
            )
        )
    nodes = [(part["node"], part["is_finish"]) for part in parts]
    assert nodes == [("add", False), ("add", True), ("fmt", False), ("fmt", True)]
    assert parts[0]["tool_call_id"] == "7"
    assert [event[1:] for event in events] == nodes


def test_parameters_are_checked_before_the_request() -> None:
    with replay(graph_parameter="16b_graph_parameter_wf", run="13_wf_run") as server:
        tool = CozeSiteTool.from_site(server.base_url, api_key=TOKEN)
        for inputs, words in (({"a": 1}, "b is missing"), ({**INPUTS, "c": 1}, "c is unknown")):
            assert words in tool.invoke(inputs)
        for path in ("/etc/passwd", "file:///etc/passwd", {"url": "x"}):
            assert "http(s)" in tool.invoke({**INPUTS, "doc": path})
        assert server.paths == [SCHEMAS]
        tool.invoke({**INPUTS, "doc": "https://example.com/a.pdf"})
    assert server.bodies[-1]["doc"] == {"url": "https://example.com/a.pdf"}


# --- Failures ------------------------------------------------------------------------------------

FAILURES: dict[str, tuple[str, str, type[CozeError], int | None, str | None]] = {
    "node": ("run", "13b_wf_run_error", CozeWorkflowError, 201003, None),
    "missing input": ("run", "13c_wf_run_missing", CozeWorkflowError, 201001, None),
    "cancelled run": ("run", "13f_wf_run_timeout", CozeTimeoutError, None, "cancelled"),
    "stream node": ("stream", "12_wf_stream_error", CozeWorkflowError, 201003, None),
    "stream timeout": ("stream", "11_wf_stream_ping", CozeTimeoutError, None, "TIMEOUT"),
    "stream cancelled": ("stream", "12e_wf_stream_cancelled", CozeWorkflowError, None, "CANCELED"),
}


@EACH_CALL
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_has_its_class_and_its_run(name: str, call: Call) -> None:
    mode, recording, error_class, code, reason = FAILURES[name]
    path = "run" if mode == "run" else "stream_run"
    fields = {"run_mode": mode, "result_schema": {}, "handle_tool_error": False}
    with replay(**{path: recording}) as server, pytest.raises(error_class) as caught:
        call(make_tool(server.base_url, **fields), INPUTS)
    error = caught.value
    assert (error.code, error.reason) == (code, reason)
    assert not error.is_retryable
    assert "main.py" not in str(error)
    assert "Traceback" not in str(error)
    if mode == "stream":
        assert error.run_id


def test_a_model_reads_the_failure_without_its_stack_trace() -> None:
    with replay(run="13b_wf_run_error") as server:
        message = make_tool(server.base_url).invoke(to_call(INPUTS))
    assert message.status == "error"
    assert "除数不能为零" in message.content
    assert "201003" in message.content
    assert "main.py" not in message.content


def test_quota_and_rate_errors_are_raised() -> None:
    frame = b'data: {"type":"error","run_id":"r","code":"301002","error_msg":"429"}\n\n'
    with serve_script(frame) as server, pytest.raises(CozeRateLimitError):
        make_tool(server.base_url, run_mode="stream", result_schema={}).invoke(INPUTS)


def test_a_stream_cut_at_any_event_is_no_output() -> None:
    body = read_site_reply("10b_wf_stream_debug").partition(b"\r\n\r\n")[2]
    events = [part + b"\n\n" for part in body.split(b"\n\n")][:-2]
    for count in range(len(events)):
        with serve_script(*events[:count]) as server, pytest.raises(CozeStreamError):
            make_tool(server.base_url, run_mode="stream", result_schema={}).invoke(INPUTS)


INTERRUPT = b'{"__interrupt__":[{"value":"Sure?","id":"1"}],"run_id":"r"}'
WORKFLOW_END = b'data: {"type":"workflow_end","run_id":"r","output":%s}\n\n'


@pytest.mark.parametrize("output", [b"{}", b"[\"(Interrupt(value='Sure?'),)\"]", b'{"part":1}'])
def test_a_stream_that_stopped_at_a_question_cannot_be_resumed(output: bytes) -> None:
    schema = {"properties": {"sum_result": {}}, "required": ["sum_result"]}
    with serve_script(WORKFLOW_END % output) as server:
        text = make_tool(server.base_url, run_mode="stream", result_schema=schema).invoke(INPUTS)
    assert "cannot be resumed" in text


def test_a_run_that_stopped_at_a_question_cannot_be_resumed() -> None:
    with serve_script(INTERRUPT, content_type="application/json") as server:
        text = make_tool(server.base_url).invoke(INPUTS)
    assert "cannot be resumed" in text
    assert "Sure?" in text


# --- Tasks ---------------------------------------------------------------------------------------


@EACH_CALL
def test_a_task_is_polled_under_its_own_id(call: Call) -> None:
    with run_site() as site:
        message = call(make_tool(site.base_url, run_mode="async"), to_call(INPUTS))
    assert message.artifact.output == {"sum": 3}
    submitted, looked_up = site.requests
    assert submitted[2]["x-run-id"] == message.artifact.execute_id
    assert looked_up[1] == f"/task/{message.artifact.execute_id}"


@EACH_CALL
@pytest.mark.parametrize(("failure", "submissions"), [("lost", 1), ("dropped", 2)])
def test_a_lost_submission_is_looked_up_before_it_is_repeated(
    failure: str, submissions: int, call: Call
) -> None:
    with run_site() as site:
        site.failures = [failure]
        message = call(make_tool(site.base_url, run_mode="async"), to_call(INPUTS))
    assert message.artifact.output == {"sum": 3}
    assert site.paths.count("/async_run") == submissions
    ids = {headers["x-run-id"] for _, path, headers, _ in site.requests if path == "/async_run"}
    assert ids == {message.artifact.execute_id}


def test_a_task_that_was_never_stored_may_be_started_again_by_the_caller() -> None:
    with run_site() as site:
        site.failures = ["dropped"]
        with pytest.raises(CozeConnectionError) as caught:
            make_tool(site.base_url, run_mode="async", max_retries=0).invoke(INPUTS)
    assert caught.value.is_retryable
    assert site.paths[0] == "/async_run"
    assert len(site.paths) == 2


def serve_task(name: str) -> Any:
    """Serve a recorded submission, and a recorded state for any task."""
    submit = [read_site_reply("17_async_submit_wf")]
    return serve_script(read_site_reply(name), raw_replies={"/async_run": submit}, headless=True)


TASKS: dict[str, tuple[type[CozeError], str]] = {
    "18a_async_task_failed": (CozeWorkflowError, "ValueError"),
    "18k_task_timeout": (CozeTimeoutError, "deadline_exceeded"),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_failed_keeps_the_word_for_it(name: str) -> None:
    error_class, reason = TASKS[name]
    with serve_task(name) as server, pytest.raises(error_class) as caught:
        make_tool(server.base_url, run_mode="async", handle_tool_error=False).invoke(INPUTS)
    assert (caught.value.code, caught.value.reason) == (None, reason)
    assert caught.value.run_id == server.headers[0]["x-run-id"]
    assert not caught.value.is_retryable


def test_a_finished_task_of_the_real_server() -> None:
    with serve_task("17c_async_task_done") as server:
        text = make_tool(server.base_url, run_mode="async").invoke(INPUTS)
    assert json.loads(text) == OUTPUT


def test_polling_of_an_endless_task_times_out() -> None:
    with serve_task("17a_async_task_running") as server, pytest.raises(CozeTimeoutError) as caught:
        make_tool(server.base_url, run_mode="async", poll_timeout=0.1).invoke(INPUTS)
    assert "poll_timeout" in str(caught.value)
    assert caught.value.run_id


def test_a_project_without_a_database_has_no_tasks() -> None:
    with (
        replay(async_run="18i_async_no_db") as server,
        pytest.raises(CozeServerError, match="database"),
    ):
        make_tool(server.base_url, run_mode="async", max_retries=0).invoke(INPUTS)
    assert server.paths[0] == "/async_run"


def test_an_older_project_has_no_tasks() -> None:
    with (
        replay(async_run="07g_models") as server,
        pytest.raises(CozeNotFoundError, match="no route POST /async_run"),
    ):
        make_tool(server.base_url, run_mode="async").invoke(INPUTS)
    assert server.paths == ["/async_run"]
