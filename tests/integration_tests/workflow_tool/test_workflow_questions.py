"""The workflow tool: questions outside graphs, files, and lists of workflows; over sockets."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import pytest

from langchain_coze import (
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeServerError,
    CozeToolkit,
    CozeWorkflowError,
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
)
from langchain_coze.local import (
    AskInput,
    FileKind,
    LocalCoze,
    LocalWorkflow,
    TurnFile,
)
from tests.conftest import serve
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.workflow_tools import (
    BY_NAME,
    WORKFLOWS,
    ToolCallStyle,
    both_call_styles,
    both_resume_styles,
    count_started_runs,
    make_call,
    make_tool,
    text,
)

coze = serve(workflows=WORKFLOWS, profiles=["cloud", "studio"], stop_timeout=0)
cloud = serve(workflows=WORKFLOWS, stop_timeout=0)

# --- Questions ------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + b"tea"


@both_resume_styles
def test_a_run_that_asks_twice_is_resumed_twice(
    coze: LocalCoze, call_tool: ToolCallStyle, resume_run: ToolCallStyle
) -> None:
    made = make_tool(coze, "book", handle_tool_error=True)
    with pytest.raises(CozeWorkflowInterrupt, match="How many nights") as first:
        call_tool(made, make_call({"city": "杭州"}))
    interrupt = first.value
    assert (interrupt.type, interrupt.question, interrupt.workflow_id) == (
        2,
        "How many nights?",
        BY_NAME["book"].workflow_id,
    )
    assert interrupt.event_id
    assert interrupt.required_parameters == {}
    with pytest.raises(CozeWorkflowInterrupt) as second:
        resume_run(made, pickle.loads(pickle.dumps(interrupt)), "2")
    assert second.value.type == 5
    assert "guest" in second.value.required_parameters
    run = resume_run(made, second.value, {"guest": "李"})
    assert json.loads(run.content) == {"booked": "杭州 2 李"}
    assert (
        len(run.messages) > len(second.value.run["messages"]) > len(interrupt.run["messages"]) > 0
    )
    assert count_started_runs(coze) == 1
    resumes = [r.body for r in coze.requests if r.path == "/v1/workflow/stream_resume"]
    assert resumes[0] == {
        "workflow_id": BY_NAME["book"].workflow_id,
        "event_id": interrupt.event_id,
        "interrupt_type": 2,
        "resume_data": "2",
    }
    assert json.loads(resumes[1]["resume_data"]) == {"guest": "李"}


@both_resume_styles
def test_a_run_that_was_not_streamed_is_resumed_without_a_stream(
    cloud: LocalCoze, call_tool: ToolCallStyle, resume_run: ToolCallStyle
) -> None:
    for mode in ("sync", "async"):
        made = make_tool(cloud, "one_question", run_mode=mode)
        with pytest.raises(CozeWorkflowInterrupt) as caught:
            call_tool(made, {"city": "杭州"})
        assert "Is it 杭州?" in caught.value.question
        run = resume_run(made, caught.value, "yes")
        assert run.output == {"sure": "yes"}
    paths = [request.path for request in cloud.requests]
    assert paths.count("/v1/workflows/resume") == 2
    assert "/v1/workflow/stream_resume" not in paths


@both_resume_styles
def test_a_second_answer_to_a_question_is_refused(
    cloud: LocalCoze, call_tool: ToolCallStyle, resume_run: ToolCallStyle
) -> None:
    made = make_tool(cloud, "one_question")
    with pytest.raises(CozeWorkflowInterrupt) as caught:
        call_tool(made, {"city": "x"})
    resume_run(made, caught.value, "yes")
    with pytest.raises(CozeWorkflowError) as late:
        resume_run(made, caught.value, "no")
    assert late.value.code in {4000, 4315}
    assert "has already received it" in str(late.value)
    assert "start a new" not in str(late.value)


@both_resume_styles
def test_the_third_unusable_answer_ends_the_run(
    cloud: LocalCoze, call_tool: ToolCallStyle, resume_run: ToolCallStyle
) -> None:
    made = make_tool(cloud, "one_question")
    with pytest.raises(CozeWorkflowInterrupt) as caught:
        call_tool(made, {"city": "x"})
    interrupt = caught.value
    for _ in range(2):
        with pytest.raises(CozeWorkflowInterrupt) as again:
            resume_run(made, interrupt, "perhaps")
        interrupt = again.value
    with pytest.raises(CozeWorkflowError):
        resume_run(made, interrupt, "perhaps")
    assert count_started_runs(cloud) == 1


def test_an_answer_may_contain_files(cloud: LocalCoze) -> None:
    def show() -> Generator[Any, Any, dict[str, Any]]:
        form = yield AskInput({"photo": Annotated[TurnFile, FileKind("image")]})
        return {"bytes": len(form["photo"].data), "url": form["photo"].url}

    asking = LocalWorkflow(show)
    with LocalCoze(workflows=asking) as other:
        fields = {"workflow_id": asking.workflow_id, "base_url": other.base_url}
        made = make_tool(cloud, "text", **fields, api_key=other.token)
        for answer, expected in (
            ({"photo": PNG}, {"bytes": len(PNG), "url": ""}),
            ({"photo": "https://h/t.png"}, {"bytes": 0, "url": "https://h/t.png"}),
            (PNG, {"bytes": len(PNG), "url": ""}),  # the only required value
        ):
            with pytest.raises(CozeWorkflowInterrupt) as caught:
                made.invoke({})
            assert caught.value.question == "photo (image)"
            assert made.resume(caught.value, answer).output == expected


@both_call_styles
def test_a_sync_run_of_studio_cannot_ask(coze: LocalCoze, call_tool: ToolCallStyle) -> None:
    if coze.profile == "cloud":
        pytest.skip("the hosted service can (wire section 4.2)")
    with pytest.raises(CozeInvalidRequestError, match="run_mode='stream'") as caught:
        call_tool(make_tool(coze, "one_question", run_mode="sync"), {"city": "x"})
    assert caught.value.code == 6039


# --- Files ----------------------------------------------------------------------------------------


@both_call_styles
def test_parameters_accept_files_in_every_form(
    cloud: LocalCoze, call_tool: ToolCallStyle, tmp_path: Path
) -> None:
    path = tmp_path / "tea.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + call_tool.__name__.ljust(8).encode())
    flow = CozeWorkflowTool.from_workflow(
        BY_NAME["look"].workflow_id, api_key=cloud.token, base_url=cloud.base_url
    )
    cloud.reset()
    assert json.loads(call_tool(flow, {"photo": path}))["name"] == "tea.png"
    assert json.loads(call_tool(flow, {"photo": str(path)}))["bytes"] == 16
    assert json.loads(call_tool(flow, {"photo": path.read_bytes(), "note": "7"}))["bytes"] == 16
    uploads = [r for r in cloud.requests if r.path == "/v1/files/upload"]
    assert len(uploads) == 2  # the path once, the bytes under another name
    runs = [r.body["parameters"] for r in cloud.requests if r.path.endswith("stream_run")]
    reference = json.loads(runs[0]["photo"])
    assert list(reference) == ["file_id"]
    assert runs[2]["note"] == "7"
    assert json.loads(call_tool(flow, {"photo": reference["file_id"]}))["name"] == "tea.png"
    assert json.loads(call_tool(flow, {"photo": "https://h/t.png"}))["url"] == "https://h/t.png"
    message = call_tool(flow, make_call({"photo": str(path)}))
    assert message.status == "error"
    assert "Paths are accepted only from code" in message.content


# --- Names and parameters from Coze ---------------------------------------------------------------


def test_a_tool_takes_name_description_and_parameters_from_coze(cloud: LocalCoze) -> None:
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


def test_studio_needs_an_args_schema() -> None:
    with LocalCoze(workflows=WORKFLOWS, profile="studio") as studio:
        known = {"api_key": studio.token, "base_url": studio.base_url}
        workflow_id = BY_NAME["text"].workflow_id
        with pytest.raises(CozeInvalidRequestError, match="args_schema"):
            CozeWorkflowTool.from_workflow(workflow_id, **known)
        schema = {"title": "t", "type": "object", "properties": {"question": {"type": "string"}}}
        made = CozeWorkflowTool.from_workflow(workflow_id, args_schema=schema, name="t", **known)
        assert made.invoke({"question": "x"}) == "A: x"


def test_studio_lists_no_workflows() -> None:
    with LocalCoze(workflows=WORKFLOWS, profile="studio") as studio:
        toolkit = CozeToolkit(
            workspace_id="1", api_key=studio.token, base_url=studio.base_url, server="studio"
        )
        with pytest.raises(CozeNotFoundError, match="does not offer a list of workflows"):
            toolkit.get_tools()


def test_workflows_with_the_same_name_have_their_ids_in_their_tool_names() -> None:
    info = (
        '{"code":0,"data":{"workflow_detail":{"workflow_name":"Same"},"input":{"parameters":{}}}}'
    )
    items = ",".join(f'{{"workflow_id":"{n}","workflow_name":"Old {n}"}}' for n in "123")
    listed = f'{{"code":0,"data":{{"items":[{items}],"has_more":false}}}}'
    replies = [listed.encode(), info.encode(), b'{"code":99999,"msg":"odd"}', info.encode()]
    with serve_script(content_type="application/json", replies=replies) as server:
        toolkit = CozeToolkit(workspace_id="1", api_key="pat_x", base_url=server.base_url)
        with pytest.warns(UserWarning, match="Old 2 was skipped: odd"):
            tools = toolkit.get_tools()
    assert [made.name for made in tools] == ["same_1", "same_3"]


def test_errors_of_the_workflow_list_are_raised_unless_all_fields_are_given(
    cloud: LocalCoze,
) -> None:
    known = {"api_key": cloud.token, "base_url": cloud.base_url}
    cloud.faults = "error=5000,on=*"
    with pytest.raises(CozeServerError):
        CozeWorkflowTool.from_workflow(BY_NAME["text"].workflow_id, max_retries=0, **known)
    given = {"name": "n", "description": "d", "args_schema": {"type": "object", "properties": {}}}
    cloud.reset()
    assert CozeWorkflowTool.from_workflow("73", **given, **known).name == "n"
    assert cloud.requests == []


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_toolkit_has_a_tool_for_each_published_workflow(*, asynchronous: bool) -> None:
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
        assert paths.count("/v1/workflows") == 2  # 37 workflows on pages of 30
        assert paths[-1] == "/v1/workflow/run"
        assert many.token not in repr(toolkit)
