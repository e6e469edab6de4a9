"""The workflow tool: failing workflows, broken streams, other routes; over sockets."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_coze import (
    CozeAuthenticationError,
    CozeError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    CozeWorkflowError,
    CozeWorkflowTool,
)
from langchain_coze.local import (
    LocalCoze,
    LocalWorkflow,
)
from tests.conftest import serve, wait_until
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.integration_tests.stream_faults import serve_with_faults
from tests.integration_tests.workflow_tools import (
    BY_NAME,
    WORKFLOWS,
    ToolCallStyle,
    both_call_styles,
    count_started_runs,
    make_call,
    make_tool,
    make_tool_at,
    slow,
    text,
)

coze = serve(workflows=WORKFLOWS, profiles=["cloud", "studio"], stop_timeout=0)
cloud = serve(workflows=WORKFLOWS, stop_timeout=0)


@both_call_styles
@pytest.mark.parametrize("mode", ["stream", "sync", "async"])
def test_a_workflow_that_fails_is_raised_or_reported_to_the_model(
    coze: LocalCoze, call_tool: ToolCallStyle, mode: str
) -> None:
    made = make_tool(coze, "broken", run_mode=mode)
    with pytest.raises(CozeWorkflowError, match="the node is broken") as caught:
        call_tool(made, {"how": "raise"})
    assert caught.value.code
    assert caught.value.logid
    made = make_tool(coze, "broken", run_mode=mode, handle_tool_error=True)
    message = call_tool(made, make_call({"how": "raise"}))
    assert message.status == "error"
    assert str(caught.value.code) in message.content
    assert "the node is broken" in message.content
    if mode == "async":
        assert "debug_url" in message.content
    assert count_started_runs(coze) == 2


@both_call_styles
def test_errors_that_other_parameters_cannot_fix_are_raised(
    cloud: LocalCoze, call_tool: ToolCallStyle
) -> None:
    with pytest.raises(CozeQuotaError):
        call_tool(make_tool(cloud, "broken", handle_tool_error=True), {"how": "quota"})
    with pytest.raises(CozeNotFoundError):
        call_tool(make_tool(cloud, "hidden", handle_tool_error=True), {})
    with pytest.raises(CozeAuthenticationError):
        call_tool(
            make_tool(cloud, "text", api_key="pat_wrong", handle_tool_error=True), {"question": "x"}
        )


@both_call_styles
def test_wrong_parameters_without_a_schema_are_reported_to_the_model(
    cloud: LocalCoze, call_tool: ToolCallStyle
) -> None:
    message = call_tool(
        make_tool(cloud, "天气 weather", handle_tool_error=True), make_call({"days": 1})
    )
    assert message.status == "error"
    assert "city" in message.content


@both_call_styles
def test_wrong_parameters_are_reported_before_any_request(
    cloud: LocalCoze, call_tool: ToolCallStyle
) -> None:
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["天气 weather"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    cloud.reset()
    message = call_tool(flow, make_call({"days": "many", "colour": "red"}))
    assert message.status == "error"
    for problem in ("city is missing", "days is 'many'", "colour is unknown", "city, days"):
        assert problem in message.content
    assert cloud.requests == []


@both_call_styles
@pytest.mark.parametrize("fault", ["cut_at=150", "cut_mid_line"])
def test_a_stream_that_breaks_is_an_error_and_is_not_repeated(
    cloud: LocalCoze, call_tool: ToolCallStyle, fault: str
) -> None:
    cloud.faults = fault
    with pytest.raises(CozeStreamError):
        call_tool(make_tool(cloud, "天气 weather"), {"city": "x"})
    assert count_started_runs(cloud) == 1


@both_call_styles
@pytest.mark.parametrize(
    ("fault", "mode", "kind"),
    [
        ("no_terminal", "stream", CozeStreamError),
        ("empty_body", "stream", CozeServerError),
    ],
)
def test_a_stream_without_its_end_is_an_error(
    cloud: LocalCoze, call_tool: ToolCallStyle, fault: str, mode: str, kind: type[Exception]
) -> None:
    with serve_with_faults(cloud, fault) as base_url:
        tool = make_tool(cloud, "text", run_mode=mode, base_url=base_url)
        with pytest.raises(kind):
            call_tool(tool, {"question": "x"})
    assert count_started_runs(cloud) == 1


@both_call_styles
def test_temporary_refusals_are_repeated(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    cloud.faults = "http_429=0,times=1"
    assert call_tool(make_tool(cloud, "text"), {"question": "x"}) == "A: x"
    assert count_started_runs(cloud) == 2


@both_call_styles
def test_an_empty_reply_is_an_error(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    with serve_script(content_type="application/json", replies=[b""]) as server:
        tool = make_tool(cloud, "text", run_mode="sync", base_url=server.base_url)
        with pytest.raises(CozeServerError):
            call_tool(tool, {"question": "x"})


@both_call_styles
def test_a_gateway_timeout_is_not_repeated(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    hasty = LocalWorkflow(slow, name="hasty", gateway_timeout=0.2)
    with LocalCoze(workflows=hasty, stop_timeout=0) as other:
        fields = {"workflow_id": hasty.workflow_id, "base_url": other.base_url}
        made = make_tool(cloud, "slow", **fields, api_key=other.token, run_mode="sync")
        with pytest.raises(CozeError, match="was lost"):
            call_tool(made, {"seconds": 1})
        assert count_started_runs(other) == 1


@both_call_styles
def test_the_total_time_is_bounded(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    begin = time.monotonic()
    for mode in ("stream", "async"):
        with pytest.raises(CozeTimeoutError):
            call_tool(make_tool(cloud, "slow", max_duration=0.3, run_mode=mode), {"seconds": 20})
    with pytest.raises(CozeTimeoutError, match="poll_timeout"):
        call_tool(make_tool(cloud, "slow", poll_timeout=0.2, run_mode="async"), {"seconds": 20})
    assert time.monotonic() - begin < 5
    assert (
        call_tool(make_tool(cloud, "slow", max_duration=5), {"seconds": 0}) == '{"output": "done"}'
    )


@both_call_styles
def test_asynchronous_runs_need_a_paid_plan(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    free = LocalWorkflow(text, name="free", paid=False)
    with LocalCoze(workflows=free) as other:
        made = make_tool(cloud, "text", workflow_id=free.workflow_id, base_url=other.base_url)
        made = made.model_copy(update={"api_key": other.token, "run_mode": "async"})
        with pytest.warns(UserWarning, match="paid plan") as caught:
            answers = [call_tool(made, {"question": "x"}), call_tool(made, {"question": "x"})]
        assert [json.loads(answer) for answer in answers] == [{"output": "A: x"}] * 2
        assert len(caught) == 1
        assert [request.path.rpartition("/")[2] for request in other.requests] == [
            "run",
            "stream_run",
            "stream_run",
        ]


HISTORY = '{"code":0,"data":[{"execute_id":"7","execute_status":"%s","error_code":"%s"}]}'


@both_call_styles
@pytest.mark.parametrize("code", [6003, 702093001])
def test_an_asynchronous_run_that_fails_is_not_started_again(
    call_tool: ToolCallStyle, code: int
) -> None:
    begun = b'{"code":0,"msg":"","execute_id":"7","debug_url":"https://d"}'
    failed = (HISTORY % ("Fail", code)).encode()
    with serve_script(
        content_type="application/json", replies=[begun, b'{"code":4314}', failed]
    ) as server:
        made = make_tool_at(server.base_url, run_mode="async", poll_interval=0.01)
        with pytest.raises(CozeWorkflowError) as caught:
            call_tool(made, {})
        assert (caught.value.code, caught.value.debug_url) == (code, "https://d")
        assert [path for path in server.paths if "histor" not in path] == ["/v1/workflow/run"]


@both_call_styles
@pytest.mark.parametrize("junk", [b'{"code":0,"data":[null]}', b'{"code":0,"data":["x"]}'])
def test_a_run_that_is_still_running_is_not_retryable(
    call_tool: ToolCallStyle, junk: bytes
) -> None:
    begun = b'{"code":0,"msg":"","execute_id":"7","debug_url":"https://d"}'
    running = (HISTORY % ("Running", "")).encode()
    with serve_script(content_type="application/json", replies=[begun, junk, running]) as server:
        made = make_tool_at(server.base_url, run_mode="async", poll_interval=0.05, poll_timeout=0.4)
        with pytest.raises(CozeTimeoutError, match="poll_timeout") as caught:
            call_tool(made, {})
        assert not caught.value.is_retryable
        assert caught.value.debug_url == "https://d"


@both_call_styles
def test_the_endpoint_can_be_configured(call_tool: ToolCallStyle) -> None:
    reply = b'{"code":0,"msg":"","data":"{\\"output\\":\\"Tea.\\"}","debug_url":""}'
    with serve_script(reply, content_type="application/json") as server:
        made = make_tool_at(server.base_url, endpoint="/v3/workflows/run")
        assert json.loads(call_tool(made, {})) == {"output": "Tea."}
        assert server.paths == ["/v3/workflows/run"]
    stream = (
        b'id: 0\nevent: Message\ndata: {"content":"Tea.","node_title":"End",'
        b'"node_is_finish":true}\n\nid: 1\nevent: Done\ndata: {}\n\n'
    )
    for mode in ("auto", "stream"):
        with serve_script(stream) as server:
            made = make_tool_at(server.base_url, endpoint="/v3/workflows/run", run_mode=mode)
            assert call_tool(made, {}) == "Tea."


@both_call_styles
def test_a_run_is_over_although_its_connection_stays_open(call_tool: ToolCallStyle) -> None:
    stream = (
        b'event: Message\ndata: {"content":"Tea.","node_title":"End","node_is_finish":true}\n\n'
        b"event: Done\ndata: {}\n\n"
    )
    with serve_script(stream, 20.0) as server:
        begin = time.monotonic()
        assert call_tool(make_tool_at(server.base_url), {}) == "Tea."
        assert time.monotonic() - begin < 1
        assert server.client_left.wait(2)


def test_a_cancelled_call_closes_its_stream() -> None:
    async def run(server: ScriptedServer) -> None:
        task = asyncio.create_task(make_tool_at(server.base_url).ainvoke({}))
        await asyncio.to_thread(wait_until, lambda: server.step_times)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serve_script(b"event: PING\n\n", 20.0) as server:
        asyncio.run(run(server))
        assert server.client_left.wait(2)


@both_call_styles
def test_a_listener_that_fails_leaves_no_stream_open(call_tool: ToolCallStyle) -> None:
    class Stubborn(BaseCallbackHandler):
        raise_error = True

        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            raise LookupError(name, data)

    message = b'event: Message\ndata: {"content":"x","node_title":"A"}\n\n'
    with serve_script(message, 20.0) as server:
        made = make_tool_at(server.base_url).with_config(callbacks=[Stubborn()])
        with pytest.raises(LookupError):
            call_tool(made, {})
        assert server.client_left.wait(2)
