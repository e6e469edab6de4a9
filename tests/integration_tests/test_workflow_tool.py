"""The workflow tool over sockets, outside of graphs: runs, questions, files, listings."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import ToolMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field

from langchain_coze import (
    CozeAuthenticationError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    CozeToolkit,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    WorkflowRun,
)
from langchain_coze.local import (
    Ask,
    AskInput,
    Fail,
    FileKind,
    LocalCoze,
    LocalWorkflow,
    Message,
    Pause,
    TokenUsage,
    TurnFile,
)
from tests.integration_tests.scripts import scripted

App = "7400000000000000001"
DONE = (
    b'event: Message\ndata: {"content":"Tea.","node_title":"End","node_is_finish":true}\n\n'
    b"event: Done\ndata: {}\n\n"
)
ASKS = b'event: Interrupt\ndata: {"interrupt_data":{"data":"?","event_id":"1/2","type":2}}\n\n'


def weather(city: str, days: int = 1) -> Generator[Any, Any, dict[str, Any]]:
    """Tell the weather.

    Args:
        city: Which city.
        days: For how many days.
    """
    yield Message(f"Looking at {city}", node_title="Look")
    yield TokenUsage(3, 4)
    return {"forecast": f"sunny in {city}", "days": days}


def text(question: str) -> str:
    """Answer with a text."""
    return f"A: {question}"


def book(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Book a room."""
    nights = yield Ask("How many nights?")
    form = yield AskInput({"guest": str})
    return {"booked": f"{city} {nights} {form['guest']}"}


def one_question(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Ask once."""
    sure = yield Ask(f"Is it {city}?", ["yes", "no"])
    return {"sure": sure}


def broken(how: str) -> Generator[Any, Any, str]:
    """Fail."""
    yield Message("Working", node_title="Work")
    if how == "quota":
        yield Fail(4028, "nothing left")
    raise RuntimeError("the node is broken")


def look(photo: Annotated[TurnFile, FileKind("image")], note: str = "") -> dict[str, Any]:
    """Look at a photo."""
    return {"bytes": len(photo.data), "name": photo.name, "url": photo.url, "note": note}


def slow(seconds: float) -> Generator[Any, Any, str]:
    """Take its time."""
    yield Message("Wait", node_title="Wait")
    yield Pause(seconds)
    return "done"


def odd(config: str, self_: str = "", values: str = "", run_manager: str = "") -> str:
    """Take parameters with the names of LangChain's own."""
    return f"{config}{self_}{values}{run_manager}"


FLOWS: list[LocalWorkflow] = [
    LocalWorkflow(weather, name="天气 weather"),
    LocalWorkflow(text, terminate_plan="use_answer_content"),
    *(LocalWorkflow(flow) for flow in (book, one_question, broken, look, slow, odd)),
    LocalWorkflow(lambda: "x", name="hidden", published=False),
    LocalWorkflow(lambda: "app", name="of_an_app", app_id=App),
]
BY_NAME = {flow.name: flow for flow in FLOWS}


@pytest.fixture(scope="module", params=["cloud", "studio"])
def coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    with LocalCoze(workflows=FLOWS, profile=request.param, stop_timeout=0) as server:
        yield server


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCoze]:
    with LocalCoze(workflows=FLOWS, stop_timeout=0) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    names = {"coze", "cloud"} & set(request.fixturenames)
    servers = [request.getfixturevalue(name) for name in names]
    for server in servers:
        server.reset()
    yield
    for server in servers:
        server.faults = ()


def tool(coze: LocalCoze, name: str, **fields: Any) -> CozeWorkflowTool:
    known = {
        "workflow_id": BY_NAME[name].workflow_id,
        "api_key": coze.token,
        "base_url": coze.base_url,
        "name": "tool",
        "description": "A workflow.",
        "timeout": 10,
        "poll_interval": 0.02,
        "handle_tool_error": False,
    }
    return CozeWorkflowTool(**{**known, **fields})


def by_hand(base_url: str, **fields: Any) -> CozeWorkflowTool:
    known: dict[str, Any] = {"workflow_id": "73", "api_key": "pat_x", "base_url": base_url}
    return CozeWorkflowTool(**{**known, "handle_tool_error": False, "timeout": 10, **fields})


def call(args: dict[str, Any]) -> dict[str, Any]:
    return {"name": "tool", "args": args, "id": "call_1", "type": "tool_call"}


Way = Callable[..., Any]


def invoke(tool: Runnable[Any, Any], args: Any) -> Any:
    return tool.invoke(args)


def ainvoke(tool: Runnable[Any, Any], args: Any) -> Any:
    return asyncio.run(tool.ainvoke(args))


def resume(tool: CozeWorkflowTool, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
    return tool.resume(interrupt, answer)


def aresume(tool: CozeWorkflowTool, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
    return asyncio.run(tool.aresume(interrupt, answer))


both = pytest.mark.parametrize("way", [invoke, ainvoke])
both_resume = pytest.mark.parametrize(("way", "go_on"), [(invoke, resume), (ainvoke, aresume)])


def started(coze: LocalCoze) -> int:
    paths = {"/v1/workflow/run", "/v1/workflow/stream_run"}
    return sum(request.path in paths for request in coze.requests)


# --- Runs ----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("mode", ["auto", "stream", "sync", "async"])
def test_every_mode_gives_the_same_result(coze: LocalCoze, way: Way, mode: str) -> None:
    message = way(tool(coze, "天气 weather", run_mode=mode), call({"city": "杭州", "days": 2}))
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
    told = [told["content"] for told in run.messages if told["node_title"] == "Look"]
    assert told == (["Looking at 杭州"] if mode in {"auto", "stream"} else [])
    assert started(coze) == 1


@both
@pytest.mark.parametrize("mode", ["stream", "sync", "async"])
def test_a_text_is_a_text(coze: LocalCoze, way: Way, mode: str) -> None:
    assert way(tool(coze, "text", run_mode=mode), {"question": "茶?"}) == "A: 茶?"


@both
def test_what_is_sent(cloud: LocalCoze, way: Way) -> None:
    fields = {"bot_id": None, "app_id": App, "ext": {"latitude": 1.5}, "connector_id": "1024"}
    way(tool(cloud, "of_an_app", workflow_version="v1", **fields), {})
    (request,) = cloud.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/workflow/stream_run", {})
    assert request.body == {
        "workflow_id": BY_NAME["of_an_app"].workflow_id,
        "parameters": {},
        "app_id": App,
        "ext": {"latitude": "1.5"},
        "workflow_version": "v1",
        "connector_id": "1024",
    }


@both
def test_both_a_bot_and_an_app_are_refused_before_any_request(coze: LocalCoze, way: Way) -> None:
    with pytest.raises(CozeInvalidRequestError, match="both bot_id and app_id"):
        way(tool(coze, "text", bot_id="1", app_id="2"), {"question": "x"})
    assert coze.requests == []


@both
def test_parameters_of_any_name(coze: LocalCoze, way: Way) -> None:
    values = {"config": "a", "self_": "b", "values": "c", "run_manager": "d"}
    assert json.loads(way(tool(coze, "odd"), values)) == {"output": "abcd"}


@both
def test_a_text_is_the_only_parameter(cloud: LocalCoze, way: Way) -> None:
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["text"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    assert way(flow, "茶?") == "A: 茶?"
    with pytest.raises(CozeInvalidRequestError, match="takes 0 parameters"):
        way(tool(cloud, "text"), "茶?")


@both
def test_arguments_of_a_pydantic_model(coze: LocalCoze, way: Way) -> None:
    class Arguments(BaseModel):
        """Which weather."""

        city: str
        days: int = Field(3, ge=1)

    made = tool(coze, "天气 weather", args_schema=Arguments)
    assert json.loads(way(made, {"city": "x"}))["days"] == 3
    with pytest.raises(ValueError, match="days"):
        way(made, {"city": "x", "days": 0})


class Guest(BaseModel):
    """Who sleeps there."""

    name: str
    born: date


class Stay(BaseModel):
    """A stay."""

    model_config = ConfigDict(populate_by_name=True)

    city: str = Field(alias="城市")
    guests: list[Guest]


@both
def test_arguments_of_nested_models(way: Way) -> None:
    with scripted(DONE) as server:
        made = by_hand(server.base_url, args_schema=Stay)
        guests = [{"name": "Li", "born": "1990-01-02"}]
        assert way(made, {"city": "杭州", "guests": guests}) == "Tea."
        assert server.bodies[0]["parameters"] == {"城市": "杭州", "guests": guests}


@both
@pytest.mark.parametrize("end", [DONE, ASKS])
def test_a_run_that_has_said_all_survives_its_connection(way: Way, end: bytes) -> None:
    for cut in (0.0, 0.02):
        steps: list[Any] = [end, cut, ConnectionResetError()] if cut else [end]
        with scripted(*steps, chunked=True) as server:
            if end is DONE:
                assert way(by_hand(server.base_url), {}) == "Tea."
            else:
                with pytest.raises(CozeWorkflowInterrupt):
                    way(by_hand(server.base_url), {})


@both
@pytest.mark.parametrize("interrupt", ["{}", '{"event_id":""}', '"x"', "null"])
def test_what_gives_no_event_is_no_question(way: Way, interrupt: str) -> None:
    reply = f'{{"code":0,"data":"{{\\"o\\":1}}","interrupt_data":{interrupt}}}'.encode()
    with scripted(reply, kind="application/json") as server:
        assert way(by_hand(server.base_url, run_mode="sync"), {}) == '{"o": 1}'
    event = f'event: Interrupt\ndata: {{"interrupt_data":{interrupt}}}\n\n'.encode()
    with scripted(event) as server, pytest.raises(CozeStreamError, match="without an event_id"):
        way(by_hand(server.base_url), {})


def test_the_answer_goes_to_the_workflow_that_asked() -> None:
    with scripted(ASKS) as server:
        one, other = by_hand(server.base_url), by_hand(server.base_url, workflow_id="99")
        with pytest.raises(CozeWorkflowInterrupt) as caught:
            one.invoke({})
        with pytest.raises(CozeWorkflowInterrupt):
            other.resume(caught.value, "x")
        assert server.bodies[1]["workflow_id"] == "73"
        for answer, asked in ((None, caught.value), ("x", CozeWorkflowInterrupt("?"))):
            with pytest.raises(CozeInvalidRequestError, match="There is no"):
                one.resume(asked, answer)
        assert len(server.bodies) == 2


def test_thousands_of_messages_take_no_time() -> None:
    said = b"".join(
        b'event: Message\ndata: {"content":"x","node_title":"A","node_is_finish":%s}\n\n' % end
        for end in (b"true", b"false")
        for _ in range(10_000)
    )
    begin = time.process_time()
    with scripted(said + DONE) as server:
        assert by_hand(server.base_url).invoke({}) == "Tea."
    assert time.process_time() - begin < 4


@both
def test_heartbeats_and_slow_runs(cloud: LocalCoze, way: Way) -> None:
    patient = LocalWorkflow(slow, name="patient", ping=0.05)
    with LocalCoze(workflows=patient, stop_timeout=0) as other:
        made = tool(cloud, "slow", workflow_id=patient.workflow_id, base_url=other.base_url)
        made.api_key = other.token
        assert json.loads(way(made, {"seconds": 0.3})) == {"output": "done"}


# --- Failures ------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("mode", ["stream", "sync", "async"])
def test_a_workflow_that_fails(coze: LocalCoze, way: Way, mode: str) -> None:
    made = tool(coze, "broken", run_mode=mode)
    with pytest.raises(CozeWorkflowError, match="the node is broken") as caught:
        way(made, {"how": "raise"})
    assert caught.value.code
    assert caught.value.logid
    made = tool(coze, "broken", run_mode=mode, handle_tool_error=True)
    message = way(made, call({"how": "raise"}))
    assert message.status == "error"
    assert str(caught.value.code) in message.content
    assert "the node is broken" in message.content
    if mode == "async":
        assert "debug_url" in message.content
    assert started(coze) == 2


@both
def test_what_parameters_cannot_mend_is_raised(cloud: LocalCoze, way: Way) -> None:
    with pytest.raises(CozeQuotaError):
        way(tool(cloud, "broken", handle_tool_error=True), {"how": "quota"})
    with pytest.raises(CozeNotFoundError):
        way(tool(cloud, "hidden", handle_tool_error=True), {})
    with pytest.raises(CozeAuthenticationError):
        way(tool(cloud, "text", api_key="pat_wrong", handle_tool_error=True), {"question": "x"})


@both
def test_wrong_parameters_without_a_schema_are_read_by_the_agent(
    cloud: LocalCoze, way: Way
) -> None:
    message = way(tool(cloud, "天气 weather", handle_tool_error=True), call({"days": 1}))
    assert message.status == "error"
    assert "city" in message.content


@both
def test_wrong_parameters_are_said_before_any_request(cloud: LocalCoze, way: Way) -> None:
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["天气 weather"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    cloud.reset()
    message = way(flow, call({"days": "many", "colour": "red"}))
    assert message.status == "error"
    for told in ("city is missing", "days is 'many'", "colour is not known", "city, days"):
        assert told in message.content
    assert cloud.requests == []


@both
@pytest.mark.parametrize("fault", ["cut_at=150", "cut_mid_line", "no_terminal"])
def test_a_stream_that_breaks_is_no_result_and_is_not_repeated(
    cloud: LocalCoze, way: Way, fault: str
) -> None:
    cloud.faults = fault
    with pytest.raises(CozeStreamError):
        way(tool(cloud, "天气 weather"), {"city": "x"})
    assert started(cloud) == 1


@both
def test_refusals_that_may_pass_are_repeated(cloud: LocalCoze, way: Way) -> None:
    cloud.faults = "http_429=0,times=1"
    assert way(tool(cloud, "text"), {"question": "x"}) == "A: x"
    assert started(cloud) == 2


@both
def test_an_empty_reply_is_no_empty_result(cloud: LocalCoze, way: Way) -> None:
    cloud.faults = "empty_body"
    for mode in ("stream", "sync"):
        with pytest.raises(CozeServerError):
            way(tool(cloud, "text", run_mode=mode), {"question": "x"})


@both
def test_a_gateway_that_gives_up(cloud: LocalCoze, way: Way) -> None:
    hasty = LocalWorkflow(slow, name="hasty", gateway_timeout=0.2)
    with LocalCoze(workflows=hasty, stop_timeout=0) as other:
        fields = {"workflow_id": hasty.workflow_id, "base_url": other.base_url}
        made = tool(cloud, "slow", **fields, api_key=other.token, run_mode="sync")
        with pytest.raises(CozeError, match="broke"):
            way(made, {"seconds": 1})
        assert started(other) == 1


@both
def test_the_total_time_is_bounded(cloud: LocalCoze, way: Way) -> None:
    begin = time.monotonic()
    for mode in ("stream", "async"):
        with pytest.raises(CozeTimeoutError):
            way(tool(cloud, "slow", max_duration=0.3, run_mode=mode), {"seconds": 20})
    with pytest.raises(CozeTimeoutError, match="poll_timeout"):
        way(tool(cloud, "slow", poll_timeout=0.2, run_mode="async"), {"seconds": 20})
    assert time.monotonic() - begin < 5


@both
def test_asynchronous_runs_need_a_paid_plan(cloud: LocalCoze, way: Way) -> None:
    free = LocalWorkflow(text, name="free", paid=False)
    with LocalCoze(workflows=free) as other:
        made = tool(cloud, "text", workflow_id=free.workflow_id, base_url=other.base_url)
        made = made.model_copy(update={"api_key": other.token, "run_mode": "async"})
        with pytest.warns(UserWarning, match="paid plan") as caught:
            answers = [way(made, {"question": "x"}), way(made, {"question": "x"})]
        assert [json.loads(answer) for answer in answers] == [{"output": "A: x"}] * 2
        assert len(caught) == 1
        assert [request.path.rpartition("/")[2] for request in other.requests] == [
            "run",
            "stream_run",
            "stream_run",
        ]


@both
def test_another_path(way: Way) -> None:
    reply = b'{"code":0,"msg":"","data":"{\\"output\\":\\"Tea.\\"}","debug_url":""}'
    with scripted(reply, kind="application/json") as server:
        made = by_hand(server.base_url, endpoint="/v3/workflows/run")
        assert json.loads(way(made, {})) == {"output": "Tea."}
        assert server.paths == ["/v3/workflows/run"]
    stream = (
        b'id: 0\nevent: Message\ndata: {"content":"Tea.","node_title":"End",'
        b'"node_is_finish":true}\n\nid: 1\nevent: Done\ndata: {}\n\n'
    )
    for mode in ("auto", "stream"):
        with scripted(stream) as server:
            made = by_hand(server.base_url, endpoint="/v3/workflows/run", run_mode=mode)
            assert way(made, {}) == "Tea."


@both
def test_an_end_that_keeps_the_connection_open(way: Way) -> None:
    stream = (
        b'event: Message\ndata: {"content":"Tea.","node_title":"End","node_is_finish":true}\n\n'
        b"event: Done\ndata: {}\n\n"
    )
    with scripted(stream, 20.0) as server:
        begin = time.monotonic()
        assert way(by_hand(server.base_url), {}) == "Tea."
        assert time.monotonic() - begin < 1
        assert server.left.wait(2)


def test_a_cancelled_call_closes_its_stream() -> None:
    async def run(base_url: str) -> None:
        task = asyncio.create_task(by_hand(base_url).ainvoke({}))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with scripted(b"event: PING\n\n", 20.0) as server:
        asyncio.run(run(server.base_url))
        assert server.left.wait(2)


@both
def test_a_listener_that_fails_leaves_no_stream_open(way: Way) -> None:
    class Stubborn(BaseCallbackHandler):
        raise_error = True

        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            raise LookupError(name, data)

    message = b'event: Message\ndata: {"content":"x","node_title":"A"}\n\n'
    with scripted(message, 20.0) as server:
        made = by_hand(server.base_url).with_config(callbacks=[Stubborn()])
        with pytest.raises(LookupError):
            way(made, {})
        assert server.left.wait(2)


# --- Questions -----------------------------------------------------------------------------------


@both_resume
def test_a_run_that_asks_twice(coze: LocalCoze, way: Way, go_on: Way) -> None:
    made = tool(coze, "book", handle_tool_error=True)
    with pytest.raises(CozeWorkflowInterrupt, match="How many nights") as first:
        way(made, call({"city": "杭州"}))
    asked = first.value
    assert (asked.type, asked.question, asked.workflow_id) == (
        2,
        "How many nights?",
        BY_NAME["book"].workflow_id,
    )
    assert asked.event_id
    assert asked.required_parameters == {}
    with pytest.raises(CozeWorkflowInterrupt) as second:
        go_on(made, pickle.loads(pickle.dumps(asked)), "2")
    assert second.value.type == 5
    assert "guest" in second.value.required_parameters
    run = go_on(made, second.value, {"guest": "李"})
    assert json.loads(run.content) == {"booked": "杭州 2 李"}
    assert len(run.messages) > len(second.value.run["messages"]) > len(asked.run["messages"]) > 0
    assert started(coze) == 1
    resumes = [r.body for r in coze.requests if r.path == "/v1/workflow/stream_resume"]
    assert resumes[0] == {
        "workflow_id": BY_NAME["book"].workflow_id,
        "event_id": asked.event_id,
        "interrupt_type": 2,
        "resume_data": "2",
    }
    assert json.loads(resumes[1]["resume_data"]) == {"guest": "李"}


@both_resume
def test_a_run_that_was_not_streamed_is_resumed_its_own_way(
    cloud: LocalCoze, way: Way, go_on: Way
) -> None:
    for mode in ("sync", "async"):
        made = tool(cloud, "one_question", run_mode=mode)
        with pytest.raises(CozeWorkflowInterrupt) as caught:
            way(made, {"city": "杭州"})
        assert "Is it 杭州?" in caught.value.question
        run = go_on(made, caught.value, "yes")
        assert run.output == {"sure": "yes"}
    paths = [request.path for request in cloud.requests]
    assert paths.count("/v1/workflows/resume") == 2
    assert "/v1/workflow/stream_resume" not in paths


@both_resume
def test_answers_that_come_too_late(cloud: LocalCoze, way: Way, go_on: Way) -> None:
    made = tool(cloud, "one_question")
    with pytest.raises(CozeWorkflowInterrupt) as caught:
        way(made, {"city": "x"})
    go_on(made, caught.value, "yes")
    with pytest.raises(CozeWorkflowError) as late:
        go_on(made, caught.value, "no")
    assert late.value.code in {4000, 4315}


@both_resume
def test_the_third_answer_that_says_nothing_ends_the_run(
    cloud: LocalCoze, way: Way, go_on: Way
) -> None:
    made = tool(cloud, "one_question")
    with pytest.raises(CozeWorkflowInterrupt) as caught:
        way(made, {"city": "x"})
    asked = caught.value
    for _ in range(2):
        with pytest.raises(CozeWorkflowInterrupt) as again:
            go_on(made, asked, "perhaps")
        asked = again.value
    with pytest.raises(CozeWorkflowError):
        go_on(made, asked, "perhaps")
    assert started(cloud) == 1


def test_files_in_answers(cloud: LocalCoze) -> None:
    def show() -> Generator[Any, Any, dict[str, Any]]:
        form = yield AskInput({"photo": Annotated[TurnFile, FileKind("image")]})
        return {"bytes": len(form["photo"].data), "url": form["photo"].url}

    asking = LocalWorkflow(show)
    with LocalCoze(workflows=asking) as other:
        fields = {"workflow_id": asking.workflow_id, "base_url": other.base_url}
        made = tool(cloud, "text", **fields, api_key=other.token)
        for answer, seen in (
            ({"photo": b"tea"}, {"bytes": 3, "url": ""}),
            ({"photo": "https://h/t.png"}, {"bytes": 0, "url": "https://h/t.png"}),
            (b"tea", {"bytes": 3, "url": ""}),  # the only value that is asked for
        ):
            with pytest.raises(CozeWorkflowInterrupt) as caught:
                made.invoke({})
            assert caught.value.question == "photo (image)"
            assert made.resume(caught.value, answer).output == seen


@both
def test_a_sync_run_of_studio_cannot_ask(coze: LocalCoze, way: Way) -> None:
    if coze.profile == "cloud":
        pytest.skip("the hosted service can (wire section 4.2)")
    with pytest.raises(CozeWorkflowError) as caught:
        way(tool(coze, "one_question", run_mode="sync"), {"city": "x"})
    assert caught.value.code == 6039


# --- Files ---------------------------------------------------------------------------------------


@both
def test_files_in_every_form(cloud: LocalCoze, way: Way, tmp_path: Path) -> None:
    path = tmp_path / "tea.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + way.__name__.ljust(8).encode())
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["look"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    cloud.reset()
    assert json.loads(way(flow, {"photo": path}))["name"] == "tea.png"
    assert json.loads(way(flow, {"photo": str(path)}))["bytes"] == 16
    assert json.loads(way(flow, {"photo": path.read_bytes(), "note": "7"}))["bytes"] == 16
    uploads = [r for r in cloud.requests if r.path == "/v1/files/upload"]
    assert len(uploads) == 2  # the path once, the bytes under a name of their own
    runs = [r.body["parameters"] for r in cloud.requests if r.path.endswith("stream_run")]
    reference = json.loads(runs[0]["photo"])
    assert list(reference) == ["file_id"]
    assert runs[2]["note"] == "7"
    assert json.loads(way(flow, {"photo": reference["file_id"]}))["name"] == "tea.png"
    assert json.loads(way(flow, {"photo": "https://h/t.png"}))["url"] == "https://h/t.png"
    message = way(flow, call({"photo": str(path)}))
    assert message.status == "error"
    assert "Paths are for programs" in message.content


# --- What Coze tells of workflows ----------------------------------------------------------------


def test_a_tool_from_what_coze_tells(cloud: LocalCoze) -> None:
    known = {"api_key": cloud.token, "base_url": cloud.base_url}
    workflow_id = BY_NAME["天气 weather"].workflow_id
    made = CozeWorkflowTool.from_workflow(workflow_id, **known)
    assert made.name == f"weather_{workflow_id}"
    assert made.description == "Tell the weather."
    assert made.args == {
        "city": {"type": "string", "description": "Which city."},
        "days": {"type": "integer", "description": "For how many days.", "default": 1},
    }
    assert asyncio.run(CozeWorkflowTool.afrom_workflow(workflow_id, **known)) == made
    named = CozeWorkflowTool.from_workflow(workflow_id, name="w", description="d", **known)
    assert (named.name, named.description) == ("w", "d")
    assert isinstance(named.args_schema, dict)
    assert named.args_schema["title"] == "w"


def test_studio_tells_no_inputs() -> None:
    with LocalCoze(workflows=FLOWS, profile="studio") as studio:
        known = {"api_key": studio.token, "base_url": studio.base_url}
        workflow_id = BY_NAME["text"].workflow_id
        with pytest.raises(CozeInvalidRequestError, match="args_schema"):
            CozeWorkflowTool.from_workflow(workflow_id, **known)
        schema = {"title": "t", "type": "object", "properties": {"question": {"type": "string"}}}
        made = CozeWorkflowTool.from_workflow(workflow_id, args_schema=schema, name="t", **known)
        assert made.invoke({"question": "x"}) == "A: x"


def test_studio_lists_no_workflows() -> None:
    with LocalCoze(workflows=FLOWS, profile="studio") as studio:
        toolkit = CozeToolkit(workspace_id="1", api_key=studio.token, base_url=studio.base_url)
        with pytest.raises(CozeNotFoundError, match="does not offer a list of workflows"):
            toolkit.get_tools()


def test_what_a_server_tells_wrong_is_told_as_it_is(cloud: LocalCoze) -> None:
    known = {"api_key": cloud.token, "base_url": cloud.base_url}
    cloud.faults = "error=5000,on=*"
    with pytest.raises(CozeServerError):
        CozeWorkflowTool.from_workflow(BY_NAME["text"].workflow_id, max_retries=0, **known)
    given = {"name": "n", "description": "d", "args_schema": {"type": "object", "properties": {}}}
    cloud.reset()
    assert CozeWorkflowTool.from_workflow("73", **given, **known).name == "n"
    assert cloud.requests == []


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_toolkit(*, asynchronous: bool) -> None:
    flows = [LocalWorkflow(text, name=f"flow {n}") for n in range(34)]
    twins = [LocalWorkflow(text, name="a b"), LocalWorkflow(text, name="a_b")]
    hidden = BY_NAME["hidden"]
    with LocalCoze(workflows=[*flows, *twins, hidden]) as many:
        toolkit = CozeToolkit(
            workspace_id=many.workspace_id,
            api_key=many.token,
            base_url=many.base_url,
            tool_options={"run_mode": "sync"},
        )
        tools = asyncio.run(toolkit.aget_tools()) if asynchronous else toolkit.get_tools()
        numbered = {made.name for made in tools if made.name.startswith("a_b")}
        assert numbered == {f"a_b_{twin.workflow_id}" for twin in twins}
        assert len({made.name for made in tools}) == len(tools) == 36
        assert json.loads(tools[0].invoke({"question": "x"})) == {"output": "A: x"}
        paths = [request.path for request in many.requests]
        assert paths.count("/v1/workflows") == 2
        assert paths[-1] == "/v1/workflow/run"
        assert many.token not in repr(toolkit)


# --- A tool like any other -----------------------------------------------------------------------


def test_names_are_made_where_none_are_given() -> None:
    made = CozeWorkflowTool(workflow_id="7374", api_key="pat_x")
    assert (made.name, made.description) == (
        "coze_workflow_7374",
        "Runs the Coze workflow 7374.",
    )
    given = CozeWorkflowTool(workflow_id=7374, name="n", description="d", api_key="pat_x")
    assert (given.workflow_id, given.name, given.description) == ("7374", "n", "d")


def test_a_misspelt_field_is_told() -> None:
    with pytest.warns(UserWarning, match=r"CozeWorkflowTool has no argument run_mod.*run_mode\?"):
        CozeWorkflowTool(workflow_id="7374", api_key="pat_x", run_mod="sync")


def test_no_token_is_shown(cloud: LocalCoze) -> None:
    made = tool(cloud, "text")
    assert cloud.token not in f"{made!r} {made}"


def test_it_can_be_copied_and_pickled(cloud: LocalCoze) -> None:
    made = tool(cloud, "text")
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert other.invoke({"question": "x"}) == "A: x"


def test_many_at_once(cloud: LocalCoze) -> None:
    made = tool(cloud, "text")
    asked: list[Any] = [{"question": str(n)} for n in range(40)]
    assert made.batch(asked) == [f"A: {n}" for n in range(40)]
    assert asyncio.run(made.abatch(asked)) == [f"A: {n}" for n in range(40)]


@both
def test_what_it_says_on_the_way_is_told_to_callbacks(cloud: LocalCoze, way: Way) -> None:
    class Ear(BaseCallbackHandler):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
            self.heard.append((name, data))

    ear = Ear()
    way(tool(cloud, "天气 weather").with_config(callbacks=[ear]), call({"city": "x"}))
    assert [name for name, _ in ear.heard] == ["coze_workflow_message"] * 2
    assert ear.heard[0][1] == {
        "type": "coze_workflow_message",
        "tool_call_id": "call_1",
        "workflow_id": BY_NAME["天气 weather"].workflow_id,
        "node": "Look",
        "content": "Looking at x",
        "is_finish": True,
    }


def test_nothing_is_warned_about(cloud: LocalCoze) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tool(cloud, "text").invoke({"question": "x"})
