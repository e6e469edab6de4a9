"""Runs of workflows that are not streamed, over a real socket (wire 4.2, 4.8, 8)."""

import asyncio
import functools
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Annotated, Any

import httpx
import pytest
from langchain_core.documents import Document

from langchain_coze.local import (
    AskInput,
    Fail,
    FileKind,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalOAuthApp,
    LocalWorkflow,
    Output,
    Pause,
    RunContext,
    TurnFile,
    knowledge_workflow,
)
from tests.conftest import serve, wait_until
from tests.integration_tests.local.local_client import LocalClient
from tests.integration_tests.local.test_local_faults_served import run_command
from tests.integration_tests.local.test_local_oauth import exchange, signed

APP = "7400000000000000001"
FINISHED: list[str] = []


def locate(city: str, digits: int = 1) -> dict[str, Any]:
    return {"output": f"{city}的经度为{116.4074:.{digits}f}°E & <N>"}


def fails(how: str) -> Any:
    if how == "raise":
        raise ValueError("no room in 杭州")
    return Fail(702093001, "node & failed") if how == "fail" else float("nan")


async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)  # a slow workflow
    FINISHED.append("slow")
    return "late"


async def stepwise(text: str) -> AsyncIterator[Any]:
    yield Pause(0.01)
    yield Output({"text": text, "count": 2})


def who(context: RunContext) -> dict[str, Any]:
    return {"ext": context.ext, "bot": context.bot_id, "app": context.app_id}


def look(photo: Annotated[TurnFile, FileKind("image")]) -> str:
    return f"{photo.kind} {photo.name} {photo.data.decode()} {photo.url}"


WORKFLOWS = {
    workflow.name: workflow
    for workflow in (
        LocalWorkflow(locate),
        LocalWorkflow(lambda: "a & 茶", name="text", terminate_plan="use_answer_content"),
        LocalWorkflow(
            lambda: "a & 茶", name="bare", terminate_plan="use_answer_content", wrapped=False
        ),
        LocalWorkflow(lambda: [1, None], name="values"),
        LocalWorkflow(lambda: [1], name="number", terminate_plan="use_answer_content"),
        LocalWorkflow(lambda: None, name="nothing"),
        LocalWorkflow(fails),
        LocalWorkflow(slow, gateway_timeout=0.1),
        LocalWorkflow(stepwise),
        LocalWorkflow(who, app_id=APP),
        LocalWorkflow(who, name="free"),
        LocalWorkflow(look),
        LocalWorkflow(locate, name="hidden", published=False),
        LocalWorkflow(locate, name="twice", quota=2),
        LocalWorkflow(locate, name="broken", faults="error=4009,times=1"),
        knowledge_workflow(LocalKnowledge(["Tea grows on hills.", "茶叶长在山上。"], name="tea")),
        knowledge_workflow(["Tea."], name="renamed", parameter="q", output="found"),
    )
}

GREETING = WORKFLOWS["locate"]


coze = serve(
    LocalBot(lambda _: "bot", name="bot"),
    workflows=WORKFLOWS.values(),
    profiles=["cloud", "studio"],
)


def run(client: LocalClient, name: str, parameters: Any = None, **fields: Any) -> httpx.Response:
    headers = fields.pop("headers", {})
    body = {"workflow_id": WORKFLOWS[name].workflow_id, "parameters": parameters or {}}
    return client.http.post("/v1/workflow/run", json=body | fields, headers=headers)


def data(client: LocalClient, name: str, parameters: Any = None, **fields: Any) -> Any:
    return json.loads(run(client, name, parameters, **fields).json()["data"])


def code(response: httpx.Response) -> Any:
    return response.json()["code"]


def is_cloud(client: LocalClient) -> bool:
    return client.coze.profile == "cloud"


# As recorded in 2026: raw in the plain replies of the hosted service.
URL = "https://www.coze.cn/work_flow?execute_id=N&space_id=N&workflow_id=N&execute_mode=2"


def test_the_bytes_of_a_reply(client: LocalClient) -> None:
    response = run(client, "locate", {"city": "北京", "digits": 4})
    output = r'"{\"output\":\"北京的经度为116.4074°E \\u0026 \\u003cN\\u003e\"}"'
    usage = '"usage":{"input_count":0,"token_count":0,"output_count":0}'
    cloud = (
        f'{{"code":0,"msg":"","data":{output},"debug_url":"{URL}",{usage},"execute_id":"N",'
        '"detail":{"logid":"L"}}'
    )
    if is_cloud(client):  # test_local_studio_recordings compares Studio's with a recording
        text = re.sub(r'"logid":"\w+"', '"logid":"L"', response.text)
        assert re.sub(r"\d{19}", "N", text) == cloud
    assert WORKFLOWS["locate"].workflow_id in response.json()["debug_url"]
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-tt-logid" if is_cloud(client) else "x-log-id"]


def test_a_text_is_returned_in_a_wrapper(client: LocalClient) -> None:
    original = {"original_result": None} if is_cloud(client) else {}
    wrapper = {"content_type": 1, "data": "a & 茶", **original, "type_for_model": 2}
    assert list(data(client, "text").items()) == list(wrapper.items())
    assert data(client, "number")["data"] == "[1]"
    assert run(client, "bare").json()["data"] == "a & 茶"


def test_a_function_may_return_values_dicts_or_outputs(client: LocalClient) -> None:
    assert data(client, "values") == {"output": [1, None]}
    assert data(client, "nothing") == {}
    assert data(client, "stepwise", {"text": "茶"}) == {"text": "茶", "count": 2}


async def gives_a_generator() -> Any:
    def steps() -> Iterator[Any]:
        yield "said"
        yield Output({"late": True})
        raise AssertionError("after the end")

    return steps()


@pytest.mark.parametrize(
    ("function", "output"),
    [
        (lambda: Output(3), {"output": 3}),
        (lambda: gives_a_generator(), {"late": True}),  # noqa: PLW0108 - not async itself
        (gives_a_generator, {"late": True}),
        (functools.partial(locate, "x", digits=0), {"output": "x的经度为116°E & <N>"}),
        (lambda: (yield Pause(0)), {}),
        (lambda: {date(2026, 5, 1): {1}}, {"2026-05-01": [1]}),
    ],
)
def test_functions_of_every_kind_are_run(function: Any, output: Any) -> None:
    workflow = LocalWorkflow(function, name="any")
    with LocalCoze(workflows=workflow) as coze, LocalClient(coze) as client:
        body = {"workflow_id": workflow.workflow_id}
        reply = client.http.post("/v1/workflow/run", json=body).json()
    assert json.loads(reply["data"]) == output


def test_requests_may_have_20_mb(client: LocalClient) -> None:
    large = run(client, "locate", {"city": "x", "more": "x" * 16_000_000})
    assert code(large) == 0
    too_large = run(client, "locate", {"city": "x", "more": "x" * 21_000_000}).json()
    assert "20 MB" in too_large["msg"]


def test_parameters_may_be_json_text(client: LocalClient) -> None:
    assert "北京" in data(client, "locate", '{"city":"北京"}')["output"]
    assert code(run(client, "locate", "{")) == 4000
    assert code(run(client, "locate", "[]")) == 4000


@pytest.mark.parametrize(
    ("name", "fields", "cloud", "studio"),
    [
        ("locate", {"parameters": {}}, 4000, 4000),
        ("locate", {"parameters": {"city": 3}}, 4000, 4000),
        ("locate", {"workflow_id": ""}, 4000, 4000),
        ("locate", {"workflow_id": 7}, 4000, 4000),
        ("locate", {"workflow_id": "7000000000000000001"}, 4200, 720702004),
        ("locate", {"workflow_id": "locate"}, 4200, 720702004),
        ("hidden", {}, 4200, 6031),
        ("free", {"bot_id": "7000000000000000001"}, 4200, 4200),
        ("free", {"bot_id": "7", "app_id": APP}, 4000, 4000),
        ("free", {"ext": {"user_id": 3}}, 4000, 4000),
        ("who", {}, 4000, 4000),
        ("who", {"app_id": "7400000000000000002"}, 4000, 4000),
        ("fails", {"parameters": {"how": "raise"}}, 720701013, 720701013),
        ("fails", {"parameters": {"how": "fail"}}, 702093001, 702093001),
        ("fails", {"parameters": {"how": "nan"}}, 720701013, 720701013),
    ],
)
def test_refusals_and_failures_have_their_codes(
    client: LocalClient, name: str, fields: dict[str, Any], cloud: int, studio: int
) -> None:
    response = run(client, name, **fields)
    assert code(response) == (cloud if is_cloud(client) else studio)
    assert response.json()["msg"]
    assert ("detail" in response.json()) == is_cloud(client)


def test_a_failure_has_the_message_of_its_exception(client: LocalClient) -> None:
    failed = run(client, "fails", {"how": "raise"}).json()
    assert failed["msg"] == "ValueError: no room in 杭州"
    assert failed["debug_url"]
    assert run(client, "fails", {"how": "fail"}).json()["msg"] == "node & failed"
    missing = run(client, "locate").json()["msg"]
    assert missing == "parameters.city is required"


def test_a_failure_has_the_http_status_of_its_profile(client: LocalClient) -> None:
    client.coze.error_status = "real"
    try:
        missing = run(client, "locate", workflow_id="7000000000000000001")
        failed = run(client, "fails", {"how": "raise"})
    finally:
        client.coze.error_status = "200"
    wanted = [404, 400] if is_cloud(client) else [200, 200]
    assert [missing.status_code, failed.status_code] == wanted


def test_a_function_may_take_the_context_of_its_run(client: LocalClient) -> None:
    ext = {"user_id": "ada"}
    assert data(client, "who", app_id=APP, ext=ext) == {"ext": ext, "bot": "", "app": APP}
    bot_id = client.bot.bot_id
    assert data(client, "free", bot_id=bot_id) == {"ext": {}, "bot": bot_id, "app": ""}


def test_files_of_uploads_and_urls_reach_the_function(client: LocalClient) -> None:
    upload = client.http.post("/v1/files/upload", files={"file": ("tea.txt", b"png")})
    file_id = json.dumps({"file_id": upload.json()["data"]["id"]})
    assert data(client, "look", {"photo": file_id}) == {"output": "image tea.txt png "}
    url = "https://example.com/tea.png?a=1&b=2"
    assert data(client, "look", {"photo": url}) == {"output": f"image   {url}"}
    assert code(run(client, "look", {"photo": '{"file_id":"7"}'})) == 4000


def test_a_slow_run_outlives_its_connection(client: LocalClient) -> None:
    FINISHED.clear()
    with pytest.raises(httpx.RemoteProtocolError):
        run(client, "slow", {"seconds": 0.3})
    assert FINISHED == []
    wait_until(lambda: FINISHED)
    assert FINISHED == ["slow"]


def test_the_quota_of_a_workflow_is_enforced(client: LocalClient) -> None:
    codes = [code(run(client, "twice", {"city": "x"})) for _ in range(3)]
    assert codes == [0, 0, 4028]
    assert code(run(client, "locate", {"city": "x"})) == 0


def test_faults_apply_to_a_workflow_or_a_path(client: LocalClient) -> None:
    assert [code(run(client, "broken", {"city": "x"})) for _ in range(2)] == [4009, 0]
    aimed = {"X-Local-Fault": "http_502,on=/v1/workflow/run"}
    assert run(client, "locate", {"city": "x"}, headers=aimed).status_code == 502
    elsewhere = {"X-Local-Fault": "http_502,on=/v3/chat"}
    assert code(run(client, "locate", {"city": "x"}, headers=elsewhere)) == 0


def test_a_token_is_needed(client: LocalClient) -> None:
    response = run(client, "locate", {"city": "x"}, headers={"Authorization": "Bearer pat_other"})
    assert code(response) == 700012006
    assert response.status_code == (401 if is_cloud(client) else 200)


def test_a_knowledge_workflow_finds_passages(client: LocalClient) -> None:
    response = run(client, "tea", {"input": "茶叶在哪里？"})
    found = json.loads(response.json()["data"])["outputList"]
    assert [passage["output"] for passage in found] == ["茶叶长在山上。"]
    assert found[0].keys() == {"documentId", "output"}
    assert isinstance(found[0]["documentId"], int)
    assert found[0]["documentId"] > 2**53
    nothing = data(client, "tea", {"input": "zzz"})
    assert nothing == {"outputList": [] if is_cloud(client) else None}
    assert data(client, "renamed", {"q": "tea"})["found"][0]["output"] == "Tea."
    assert code(run(client, "renamed", {"input": "tea"})) == 4000


def test_ids_of_documents_are_numbers() -> None:
    pages = [Document("tea a", metadata={"document_id": text}) for text in ("1001", "page")]
    workflow = knowledge_workflow(pages, name="ids")
    with LocalCoze(workflows=workflow) as coze, LocalClient(coze) as client:
        body = {"workflow_id": workflow.workflow_id, "parameters": {"input": "tea"}}
        reply = client.http.post("/v1/workflow/run", json=body).json()
    ids = sorted(found["documentId"] for found in json.loads(reply["data"])["outputList"])
    assert ids[0] == 1001
    assert len(str(ids[1])) == 19


def test_files_of_others_cannot_be_used() -> None:
    app = LocalOAuthApp()
    with (
        LocalCoze(workflows=WORKFLOWS["look"], oauth_apps=app) as coze,
        LocalClient(coze) as client,
    ):
        upload = client.http.post("/v1/files/upload", files={"file": ("tea.txt", b"png")})
        photo = json.dumps({"file_id": upload.json()["data"]["id"]})
        mine = run(client, "look", {"photo": photo})
        token = exchange(coze, signed(coze, app, session_name="other")).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        other = run(client, "look", {"photo": photo}, headers=headers)
    assert [code(mine), code(other)] == [0, 4000]


def test_a_server_that_stops_ends_its_runs() -> None:
    begun = time.monotonic()
    workflow = LocalWorkflow(slow, name="endless")
    with LocalCoze(workflows=workflow, stop_timeout=0) as coze, LocalClient(coze) as client:
        body = {"workflow_id": workflow.workflow_id, "parameters": {"seconds": 60}}
        with pytest.raises(httpx.ReadTimeout):
            client.http.post("/v1/workflow/run", json=body, timeout=0.2)
    assert time.monotonic() - begun < 10


def test_a_chat_cannot_ask_for_inputs() -> None:
    with (
        LocalCoze(LocalBot(lambda _: [AskInput({"city": str})])) as coze,
        LocalClient(coze) as client,
    ):
        last = client.chat().text
    assert "cannot yield the type AskInput" in last


def test_the_sample_workflows_are_served_with_the_sample_bot() -> None:
    with LocalCoze() as coze, LocalClient(coze) as client:
        ids = {workflow.name: workflow.workflow_id for workflow in coze.workflows}

        def post(path: str, name: str, **fields: Any) -> Any:
            body = {"workflow_id": ids[name]} | fields
            return client.http.post(f"/v1/{path}", json=body).json()

        counted = post("workflow/run", "count_words", parameters={"text": "tea 茶叶 grows"})
        found = post("workflow/run", "search_knowledge", parameters={"input": "怎么发布智能体？"})
        asked = post("workflow/run", "book_room", parameters={"city": "杭州"})["interrupt_data"]
        for answer in ('{"guest":"Ada","nights":2}', "是"):
            reply = post(
                "workflows/resume",
                "book_room",
                event_id=asked["event_id"],
                interrupt_type=asked["type"],
                resume_data=answer,
            )
            asked = reply.get("interrupt_data")
    assert json.loads(counted["data"]) == {"words": 3, "characters": 12, "longest": "grows"}
    assert "勾选" in json.loads(found["data"])["outputList"][0]["output"]
    booked = {"booked": True, "city": "杭州", "guest": "Ada", "nights": 2}
    assert json.loads(reply["data"]) == booked


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (["tests.integration_tests.local.test_local_workflows:GREETING"], ["locate"]),
        ([], ["count_words", "book_room", "search_knowledge"]),
    ],
)
def test_the_command_may_serve_workflows(target: list[str], wanted: list[str]) -> None:
    process = run_command(*target)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    first = lines.index("Workflows / 工作流:") + 1
    listed = [line.split() for line in lines[first : first + len(wanted)]]
    assert [name for _, name in listed] == wanted
    assert all(len(number) == 19 for number, _ in listed)
