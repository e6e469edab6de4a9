"""The workflow tool outside graphs: runs, and what any tool can do; over sockets."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import time
import warnings
from datetime import date
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import ToolMessage
from pydantic import BaseModel, ConfigDict, Field

from langchain_coze import (
    CozeInvalidRequestError,
    CozeStreamError,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    WorkflowRun,
)
from langchain_coze.local import (
    LocalCoze,
    LocalWorkflow,
)
from tests.conftest import serve
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.workflow_tools import (
    APP_ID,
    BY_NAME,
    DONE_EVENTS,
    INTERRUPT_EVENT,
    WORKFLOWS,
    ToolCallStyle,
    both_call_styles,
    count_started_runs,
    make_call,
    make_tool,
    make_tool_at,
    slow,
)

coze = serve(workflows=WORKFLOWS, profiles=["cloud", "studio"], stop_timeout=0)
cloud = serve(workflows=WORKFLOWS, stop_timeout=0)

# --- Secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api_key", "coze_api_key", "default_headers"])
@pytest.mark.parametrize(
    "call",
    [
        lambda tool, values, config, **secret: tool.invoke(values, config, **secret),
        lambda tool, values, config, **secret: asyncio.run(tool.ainvoke(values, config, **secret)),
        lambda tool, values, config, **secret: tool.run(values, **config, **secret),
        lambda tool, values, config, **secret: tool.bind(**secret).invoke(values, config),
    ],
)
def test_a_secret_of_a_call_reaches_no_tracer(cloud: LocalCoze, name: str, call: Any) -> None:
    seen: list[Any] = []

    class ToolRecorder(BaseCallbackHandler):
        def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

    config = {"callbacks": [ToolRecorder()]}
    with pytest.warns(
        UserWarning, match=f"CozeWorkflowTool accepts {name} only in its constructor"
    ):
        answer = call(make_tool(cloud, "text"), {"question": "茶?"}, config, **{name: "SECRET"})
    assert answer == "A: 茶?"
    assert len(seen) == 1
    assert "SECRET" not in repr(seen)


# --- Runs -----------------------------------------------------------------------------------------


@both_call_styles
@pytest.mark.parametrize("mode", ["auto", "stream", "sync", "async"])
def test_every_mode_gives_the_same_result(
    coze: LocalCoze, call_tool: ToolCallStyle, mode: str
) -> None:
    message = call_tool(
        make_tool(coze, "天气 weather", run_mode=mode), make_call({"city": "杭州", "days": 2})
    )
    assert isinstance(message, ToolMessage)
    assert json.loads(str(message.content)) == {"forecast": "sunny in 杭州", "days": 2}
    assert "杭州" in str(message.content)
    run = message.artifact
    assert isinstance(run, WorkflowRun)
    assert run.output == {"forecast": "sunny in 杭州", "days": 2}
    assert run.content == message.content
    assert run.debug_url
    assert run.execute_id
    assert run.logid
    if coze.profile == "cloud":
        assert run.usage is not None
        assert run.usage["total_tokens"] == 7
    texts = [item["content"] for item in run.messages if item["node_title"] == "Look"]
    assert texts == (["Looking at 杭州"] if mode in {"auto", "stream"} else [])
    assert count_started_runs(coze) == 1


@both_call_styles
@pytest.mark.parametrize("mode", ["stream", "sync", "async"])
def test_a_text_is_returned_unchanged(coze: LocalCoze, call_tool: ToolCallStyle, mode: str) -> None:
    assert call_tool(make_tool(coze, "text", run_mode=mode), {"question": "茶?"}) == "A: 茶?"


@both_call_styles
def test_the_request_is_what_coze_documents(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    fields = {"bot_id": None, "app_id": APP_ID, "ext": {"latitude": 1.5}, "connector_id": "1024"}
    call_tool(make_tool(cloud, "of_an_app", workflow_version="v1", **fields), {})
    (request,) = cloud.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/workflow/stream_run", {})
    assert request.body == {
        "workflow_id": BY_NAME["of_an_app"].workflow_id,
        "parameters": {},
        "app_id": APP_ID,
        "ext": {"latitude": "1.5"},
        "workflow_version": "v1",
        "connector_id": "1024",
    }


@both_call_styles
def test_both_a_bot_and_an_app_are_refused_before_any_request(
    coze: LocalCoze, call_tool: ToolCallStyle
) -> None:
    with pytest.raises(CozeInvalidRequestError, match="both bot_id and app_id"):
        call_tool(make_tool(coze, "text", bot_id="1", app_id="2"), {"question": "x"})
    assert coze.requests == []


@both_call_styles
def test_parameters_may_have_names_of_langchain(coze: LocalCoze, call_tool: ToolCallStyle) -> None:
    values = {"config": "a", "self_": "b", "values": "c", "run_manager": "d"}
    assert json.loads(call_tool(make_tool(coze, "odd"), values)) == {"output": "abcd"}


@both_call_styles
def test_a_string_is_the_value_of_the_only_parameter(
    cloud: LocalCoze, call_tool: ToolCallStyle
) -> None:
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["text"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    assert call_tool(flow, "茶?") == "A: 茶?"
    with pytest.raises(CozeInvalidRequestError, match="an unknown number of parameters"):
        call_tool(make_tool(cloud, "text"), "茶?")


@both_call_styles
def test_a_pydantic_model_may_be_the_schema(coze: LocalCoze, call_tool: ToolCallStyle) -> None:
    class Arguments(BaseModel):
        """Which weather."""

        city: str
        days: int = Field(3, ge=1)

    made = make_tool(coze, "天气 weather", args_schema=Arguments)
    assert json.loads(call_tool(made, {"city": "x"}))["days"] == 3
    with pytest.raises(ValueError, match="days"):
        call_tool(made, {"city": "x", "days": 0})


class BookingGuest(BaseModel):
    """A guest."""

    name: str
    born: date


class Booking(BaseModel):
    """A stay."""

    model_config = ConfigDict(populate_by_name=True)

    city: str = Field(alias="城市")
    guests: list[BookingGuest]


@both_call_styles
def test_nested_models_are_sent_by_alias_as_json(call_tool: ToolCallStyle) -> None:
    with serve_script(DONE_EVENTS) as server:
        made = make_tool_at(server.base_url, args_schema=Booking)
        guests = [{"name": "Li", "born": "1990-01-02"}]
        assert call_tool(made, {"city": "杭州", "guests": guests}) == "Tea."
        assert server.bodies[0]["parameters"] == {"城市": "杭州", "guests": guests}


@both_call_styles
@pytest.mark.parametrize("end", [DONE_EVENTS, INTERRUPT_EVENT])
def test_a_connection_lost_after_the_end_loses_nothing(
    call_tool: ToolCallStyle, end: bytes
) -> None:
    for cut in (0.0, 0.02):
        steps: list[Any] = [end, cut, ConnectionResetError()] if cut else [end]
        with serve_script(*steps, chunked=True) as server:
            if end is DONE_EVENTS:
                assert call_tool(make_tool_at(server.base_url), {}) == "Tea."
            else:
                with pytest.raises(CozeWorkflowInterrupt):
                    call_tool(make_tool_at(server.base_url), {})


@both_call_styles
@pytest.mark.parametrize("interrupt", ["{}", '{"event_id":""}', '"x"', "null"])
def test_an_interrupt_without_an_event_id_is_an_error(
    call_tool: ToolCallStyle, interrupt: str
) -> None:
    reply = f'{{"code":0,"data":"{{\\"o\\":1}}","interrupt_data":{interrupt}}}'.encode()
    with serve_script(reply, content_type="application/json") as server:
        assert call_tool(make_tool_at(server.base_url, run_mode="sync"), {}) == '{"o": 1}'
    event = f'event: Interrupt\ndata: {{"interrupt_data":{interrupt}}}\n\n'.encode()
    with serve_script(event) as server, pytest.raises(CozeStreamError, match="without an event_id"):
        call_tool(make_tool_at(server.base_url), {})


def test_the_answer_goes_to_the_workflow_that_asked() -> None:
    with serve_script(INTERRUPT_EVENT) as server:
        one, other = make_tool_at(server.base_url), make_tool_at(server.base_url, workflow_id="99")
        with pytest.raises(CozeWorkflowInterrupt) as caught:
            one.invoke({})
        with pytest.raises(CozeWorkflowInterrupt):
            other.resume(caught.value, "x")
        assert server.bodies[1]["workflow_id"] == "73"
        with pytest.raises(CozeInvalidRequestError, match="The answer is None"):
            one.resume(caught.value, None)
        with pytest.raises(CozeInvalidRequestError, match="The interrupt has no event_id"):
            one.resume(CozeWorkflowInterrupt("?"), "x")
        assert len(server.bodies) == 2


def test_thousands_of_messages_take_no_time() -> None:
    messages = b"".join(
        b'event: Message\ndata: {"content":"x","node_title":"A","node_is_finish":%s}\n\n' % end
        for end in (b"true", b"false")
        for _ in range(10_000)
    )
    begin = time.process_time()
    with serve_script(messages + DONE_EVENTS) as server:
        assert make_tool_at(server.base_url).invoke({}) == "Tea."
    assert time.process_time() - begin < 4


@both_call_styles
def test_heartbeats_keep_a_slow_run_alive(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    patient = LocalWorkflow(slow, name="patient", ping=0.05)
    with LocalCoze(workflows=patient, stop_timeout=0) as other:
        made = make_tool(cloud, "slow", workflow_id=patient.workflow_id, base_url=other.base_url)
        made.api_key = other.token
        assert json.loads(call_tool(made, {"seconds": 0.3})) == {"output": "done"}


# --- A tool like any other ------------------------------------------------------------------------


def test_a_tool_without_a_name_is_named_after_its_workflow() -> None:
    made = CozeWorkflowTool(workflow_id="7374", api_key="pat_x")
    assert (made.name, made.description) == (
        "coze_workflow_7374",
        "Runs the Coze workflow 7374.",
    )
    given = CozeWorkflowTool(workflow_id=7374, name="n", description="d", api_key="pat_x")
    assert (given.workflow_id, given.name, given.description) == ("7374", "n", "d")


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValueError, match="CozeWorkflowTool has no argument 'run_mod'") as caught:
        CozeWorkflowTool(workflow_id="7374", api_key="pat_x", run_mod="sync")
    assert "Did you mean run_mode?" in str(caught.value)


@both_call_styles
def test_arguments_of_a_call_are_not_ignored_silently(
    cloud: LocalCoze, call_tool: ToolCallStyle
) -> None:
    made = make_tool(cloud, "text")
    for name, replacement in {"is_async": "run_mode='async'", "token": "api_key="}.items():
        with pytest.raises(CozeInvalidRequestError, match=f"no argument '{name}'") as caught:
            call_tool(made.bind(**{name: "x"}), {"question": "x"})
        assert f"Hint: Use {replacement}." in str(caught.value)
    assert cloud.requests == []
    with pytest.warns(UserWarning, match="accepts bot_id only in its constructor"):
        assert call_tool(made.bind(bot_id="7"), {"question": "x"}) == "A: x"


@pytest.mark.parametrize("interrupt", ["7400/1", None, {"event_id": "7400/1"}])
def test_only_an_interrupt_can_be_resumed(cloud: LocalCoze, interrupt: Any) -> None:
    made = make_tool(cloud, "text")
    kind = type(interrupt).__name__
    with pytest.raises(CozeInvalidRequestError, match=f"of type {kind}, not CozeWork") as caught:
        made.resume(interrupt, "2")
    assert "Pass the CozeWorkflowInterrupt that was raised" in str(caught.value)
    with pytest.raises(CozeInvalidRequestError, match=f"of type {kind}, not CozeWork"):
        asyncio.run(made.aresume(interrupt, "2"))
    assert cloud.requests == []


def test_no_token_is_shown(cloud: LocalCoze) -> None:
    made = make_tool(cloud, "text")
    assert cloud.token not in f"{made!r} {made}"


def test_it_can_be_copied_and_pickled(cloud: LocalCoze) -> None:
    made = make_tool(cloud, "text")
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert other.invoke({"question": "x"}) == "A: x"


def test_batches_are_answered_in_order(cloud: LocalCoze) -> None:
    made = make_tool(cloud, "text")
    inputs: list[Any] = [{"question": str(n)} for n in range(40)]
    assert made.batch(inputs) == [f"A: {n}" for n in range(40)]
    assert asyncio.run(made.abatch(inputs)) == [f"A: {n}" for n in range(40)]


@both_call_styles
def test_messages_of_a_run_reach_callbacks(cloud: LocalCoze, call_tool: ToolCallStyle) -> None:
    class EventRecorder(BaseCallbackHandler):
        def __init__(self) -> None:
            self.events: list[Any] = []

        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            self.events.append((name, data))

    recorder = EventRecorder()
    call_tool(
        make_tool(cloud, "天气 weather").with_config(callbacks=[recorder]), make_call({"city": "x"})
    )
    assert [name for name, _ in recorder.events] == ["coze_workflow_message"] * 2
    assert recorder.events[0][1] == {
        "type": "coze_workflow_message",
        "tool_call_id": "call_1",
        "workflow_id": BY_NAME["天气 weather"].workflow_id,
        "node": "Look",
        "content": "Looking at x",
        "is_finish": True,
    }


def test_a_plain_call_gives_no_warning(cloud: LocalCoze) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_tool(cloud, "text").invoke({"question": "x"})
