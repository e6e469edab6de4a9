"""Runs that are polled, runs that wait without a stream, and lists of workflows (wire 4.2-4.7)."""

import json
import re
import threading
from collections.abc import Generator, Iterator
from typing import Annotated, Any

import httpx
import pytest

from langchain_coze.local import (
    Ask,
    AskInput,
    FileKind,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalWorkflow,
    Message,
    TokenUsage,
    TurnFile,
)
from langchain_coze.local.routes.state import WORKSPACE_ID
from tests.conftest import serve, wait_until
from tests.integration_tests.local.local_client import LocalClient

APP = "7400000000000000001"
RELEASE = threading.Event()


def held(word: str = "x") -> str:
    RELEASE.wait(10)
    return word


def spoken() -> Generator[Any, None, str]:
    yield "one "
    yield "two"
    yield Message("three", node_title="Output_1")
    yield TokenUsage(50, 100)
    return "来找姐姐有什么事呀 & ?"


def book(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Book a room."""
    stay = yield AskInput({"img": Annotated[TurnFile, FileKind("image")]})
    answer = yield Ask("Sure?", ["yes", "no"])
    return {"city": city, "img": stay["img"].url, "answer": answer}


def fails() -> str:
    raise ValueError("no room")


WORKFLOWS = {
    workflow.name: workflow
    for workflow in (
        LocalWorkflow(held),
        LocalWorkflow(spoken, terminate_plan="use_answer_content"),
        LocalWorkflow(book, description="Books"),
        LocalWorkflow(fails),
        LocalWorkflow(held, name="unpaid", paid=False),
        LocalWorkflow(held, name="of_app", app_id=APP),
        LocalWorkflow(held, name="draft", published=False),
    )
}
FLOW = LocalChatflow(lambda _: "x", name="flow")


coze = serve(
    LocalBot(lambda _: "bot", name="bot"),
    workflows=WORKFLOWS.values(),
    chatflows=FLOW,
    profiles=["cloud", "studio"],
)


@pytest.fixture
def client(coze: LocalCoze) -> Iterator[LocalClient]:
    RELEASE.set()
    with LocalClient(coze) as made:
        yield made


def served(profile: str) -> Iterator[LocalClient]:
    RELEASE.set()
    with (
        LocalCoze(workflows=WORKFLOWS.values(), chatflows=FLOW, profile=profile) as running,
        LocalClient(running) as made,
    ):
        yield made


@pytest.fixture
def cloud() -> Iterator[LocalClient]:
    yield from served("cloud")


@pytest.fixture
def studio() -> Iterator[LocalClient]:
    yield from served("studio")


def is_cloud(client: LocalClient) -> bool:
    return client.coze.profile == "cloud"


def run(client: LocalClient, name: str, parameters: Any = None, **fields: Any) -> httpx.Response:
    body = {"workflow_id": WORKFLOWS[name].workflow_id, "parameters": parameters or {}}
    return client.http.post("/v1/workflow/run", json=body | fields)


def start(client: LocalClient, name: str, parameters: Any = None, **fields: Any) -> str:
    execute_id: str = run(client, name, parameters, is_async=True, **fields).json()["execute_id"]
    return execute_id


def look(client: LocalClient, name: str, execute_id: str) -> httpx.Response:
    workflow_id = WORKFLOWS[name].workflow_id
    if is_cloud(client):
        return client.http.get(f"/v1/workflows/{workflow_id}/run_histories/{execute_id}")
    params = {"workflow_id": workflow_id, "execute_id": execute_id}
    return client.http.get("/v1/workflow/get_run_history", params=params)


def history(client: LocalClient, name: str, execute_id: str, until: str = "") -> dict[str, Any]:
    """The one entry of a history, once it has a status or holds a key."""

    def find_entry() -> dict[str, Any] | None:
        (entry,) = look(client, name, execute_id).json()["data"]
        return entry if until in {"", entry["execute_status"]} or until in entry else None

    entry = wait_until(find_entry)
    assert entry
    return entry


def test_the_bytes_of_a_started_run(cloud: LocalClient) -> None:
    url = '"https://www.coze.cn/work_flow?execute_id=N&space_id=N&workflow_id=N&execute_mode=2"'
    text = re.sub(r"\d{19}", "N", run(cloud, "held", is_async=True).text)
    assert text == f'{{"code":0,"debug_url":{url},"execute_id":"N","msg":"Success"}}'


def test_a_run_is_running_and_then_a_success(client: LocalClient) -> None:
    RELEASE.clear()
    execute_id = start(client, "held", {"word": "茶"})
    running = history(client, "held", execute_id)
    assert running["execute_status"] == "Running"
    assert not running["output"]
    RELEASE.set()
    done = history(client, "held", execute_id, "Success")
    assert done["run_mode"] == 2
    if is_cloud(client):
        assert json.loads(json.loads(done["output"])["Output"]) == {"output": "茶"}
        assert done["execute_id"] == execute_id
        assert (done["error_code"], done["bot_id"], done["connector_id"]) == ("0", "0", "1024")
        assert len(done["logid"]) == 34
    else:
        assert done["output"] == '{"output":"茶"}'
        assert done["execute_id"] == int(execute_id)
        assert json.loads(done["input"]) == {"word": "茶"}
        assert (done["cost"], done["connector_id"]) == ("0.00000", 1024)


def test_a_history_has_the_texts_and_outputs_of_its_nodes(client: LocalClient) -> None:
    bot_id = client.bot.bot_id
    fields = {"bot_id": bot_id, "ext": {"user_id": "ada"}}
    done = history(client, "spoken", start(client, "spoken", **fields), "Success")
    assert done["connector_uid"] == "ada"
    if not is_cloud(client):
        # A text has the form of a single variable.
        assert json.loads(done["output"]) == {"output": "来找姐姐有什么事呀 & ?"}
        assert done["token"] == 150
        assert done["bot_id"] == int(bot_id)
        return
    output = json.loads(done["output"])
    end = json.loads(output.pop("Output"))
    assert output == {"node_status": "{}", "Message": "one two", "Output_1": "three"}
    assert end["data"] == "来找姐姐有什么事呀 & ?"
    assert done["usage"] == {"input_count": 50, "token_count": 150, "output_count": 100}
    assert (done["token"], done["bot_id"], done["node_execute_status"]) == ("0", bot_id, {})


def test_a_history_has_the_error_of_a_failed_run(client: LocalClient) -> None:
    failed = history(client, "fails", start(client, "fails"), "Fail")
    message = failed["error_message" if is_cloud(client) else "error_msg"]
    assert (failed["error_code"], message) == ("720701013", "ValueError: no room")


def test_unknown_runs_have_no_history(client: LocalClient) -> None:
    execute_id = start(client, "held")
    code = 4314 if is_cloud(client) else 777777775
    assert look(client, "held", "7000000000000000001").json()["code"] == code
    assert look(client, "fails", execute_id).json()["code"] == code


def test_runs_of_every_mode_have_a_history(cloud: LocalClient) -> None:
    url = run(cloud, "held").json()["debug_url"]
    execute_id = re.findall(r"execute_id=(\d+)", url)[0]
    assert history(cloud, "held", execute_id)["run_mode"] == 0


def test_asynchronous_runs_need_a_paid_plan(client: LocalClient) -> None:
    response = run(client, "unpaid", is_async=True).json()
    if is_cloud(client):
        assert response["code"] == 6003
        assert "premium feature" in response["msg"]
    else:
        assert response["code"] == 0
    assert run(client, "unpaid").json()["code"] == 0
    assert run(client, "held", is_async="yes").json()["code"] == 4000


# Questions without a stream ---------------------------------------------------------------------


def resume(
    client: LocalClient, name: str, interrupt: dict[str, Any], answer: str
) -> httpx.Response:
    body = {
        "workflow_id": WORKFLOWS[name].workflow_id,
        "event_id": interrupt["event_id"],
        "interrupt_type": interrupt["type"],
        "resume_data": answer,
    }
    return client.http.post("/v1/workflows/resume", json=body)


WAITING_BYTES = (
    r'{"code":0,"msg":"","debug_url":"https://www.coze.cn/work_flow?execute_id=N&space_id=N'
    r'&workflow_id=N&execute_mode=2","interrupt_data":{"data":"{\"content_type\":\"text\",\"content\":\"'
    r"[{\\\"type\\\":\\\"string\\\",\\\"name\\\":\\\"img\\\",\\\"required\\\":true,"
    r'\\\"assistType\\\":2}]\"}","required_parameters":{"img":{"type":"image","required":true}},'
    r'"event_id":"N/N","type":5},"execute_id":"N","detail":{"logid":"L"}}'
)


def test_the_bytes_of_a_run_that_waits(cloud: LocalClient) -> None:
    text = re.sub(r'"logid":"\w{34}"', '"logid":"L"', run(cloud, "book", {"city": "x"}).text)
    assert re.sub(r"\d{19}", "N", text) == WAITING_BYTES


def test_a_run_is_resumed_without_a_stream(cloud: LocalClient) -> None:
    form = run(cloud, "book", {"city": "杭州"}).json()
    question = resume(
        cloud, "book", form["interrupt_data"], '{"img":"https://example.com/a.png"}'
    ).json()
    assert question["execute_id"] == form["execute_id"]
    assert json.loads(question["interrupt_data"]["data"]) == {
        "content_type": "text",
        "content": "Sure?\nyes\nno",
    }
    done = resume(cloud, "book", question["interrupt_data"], "yes").json()
    assert json.loads(done["data"]) == {
        "city": "杭州",
        "img": "https://example.com/a.png",
        "answer": "yes",
    }
    assert resume(cloud, "book", question["interrupt_data"], "yes").json()["code"] == 4315


def test_the_third_unusable_answer_fails_a_run_without_a_stream(cloud: LocalClient) -> None:
    interrupt = run(cloud, "book", {"city": "x"}).json()["interrupt_data"]
    for answer in ("?", '{"img":"?"}'):
        interrupt = resume(cloud, "book", interrupt, answer).json()["interrupt_data"]
    failed = resume(cloud, "book", interrupt, "?").json()
    assert (failed["code"], "invalid answers" in failed["msg"]) == (720701013, True)


def test_a_run_that_is_polled_is_resumed_and_polled(cloud: LocalClient) -> None:
    execute_id = start(cloud, "book", {"city": "x"})
    waiting = history(cloud, "book", execute_id, "interrupt_data")
    assert waiting["execute_status"] == "Running"
    picture = '{"img":"https://example.com/a.png"}'
    begun = resume(cloud, "book", waiting["interrupt_data"], picture).json()
    assert begun.keys() == {"code", "debug_url", "execute_id", "msg"}
    first = waiting["interrupt_data"]["event_id"]

    def find_second_question() -> Any:
        question = history(cloud, "book", execute_id, "interrupt_data")["interrupt_data"]
        return question if question["event_id"] != first else None

    resume(cloud, "book", wait_until(find_second_question), "no")
    done = history(cloud, "book", execute_id, "Success")
    assert json.loads(json.loads(done["output"])["Output"])["answer"] == "no"


def test_each_run_mode_has_its_own_resume(cloud: LocalClient) -> None:
    interrupt = run(cloud, "book", {"city": "x"}).json()["interrupt_data"]
    body = {
        "workflow_id": WORKFLOWS["book"].workflow_id,
        "event_id": interrupt["event_id"],
        "interrupt_type": 5,
        "resume_data": "{}",
    }
    streamed = cloud.http.post("/v1/workflow/stream_resume", json=body).json()
    assert streamed["code"] == 4000
    assert "/v1/workflows/resume" in streamed["msg"]


def test_studio_cannot_wait_without_a_stream(studio: LocalClient) -> None:
    response = run(studio, "book", {"city": "x"})
    assert (response.status_code, response.json()["code"]) == (200, 6039)
    plural = studio.http.post("/v1/workflows/resume", json={})
    assert plural.status_code in {404, 405}


# Lists ------------------------------------------------------------------------------------------


def listed(client: LocalClient, **params: str) -> Any:
    params = {"workspace_id": WORKSPACE_ID, "page_num": "1"} | params
    return client.get("/v1/workflows", **params)


def names(client: LocalClient, **params: str) -> list[str]:
    return [item["workflow_name"] for item in listed(client, **params)["data"]["items"]]


def test_the_list_of_workflows_can_be_filtered(cloud: LocalClient) -> None:
    every = ["held", "spoken", "book", "fails", "unpaid", "of_app"]
    assert names(cloud) == [*every, "flow"]
    assert names(cloud, workflow_mode="workflow") == every
    assert names(cloud, workflow_mode="chatflow") == ["flow"]
    assert names(cloud, app_id=APP) == ["of_app"]
    assert names(cloud, publish_status="unpublished_draft") == ["draft"]
    assert "draft" in names(cloud, publish_status="all")
    item = listed(cloud)["data"]["items"][2]
    assert item.pop("created_at").isdecimal()
    assert item.pop("updated_at").isdecimal()
    assert item.pop("creator").keys() == {"id", "name"}
    assert item == {
        "workflow_id": WORKFLOWS["book"].workflow_id,
        "workflow_name": "book",
        "app_id": "0",
        "description": "Books",
        "icon_url": "",
    }


def test_the_list_of_workflows_has_pages(cloud: LocalClient) -> None:
    first, second = (listed(cloud, page_size="4", page_num=n)["data"] for n in ("1", "2"))
    assert (len(first["items"]), first["has_more"]) == (4, True)
    assert (len(second["items"]), second["has_more"]) == (3, False)
    assert listed(cloud, page_size="7")["data"]["has_more"] is False


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"page_num": ""}, 4000),
        ({"page_size": "0"}, 4000),
        ({"page_size": "100"}, 0),  # as the official SDKs ask by default: fewer come
        ({"workspace_id": ""}, 4000),
        ({"workspace_id": "7000000000000000001"}, 4101),
    ],
)
def test_invalid_list_requests_are_refused(
    cloud: LocalClient, params: dict[str, str], code: int
) -> None:
    assert listed(cloud, **params)["code"] == code


def test_a_workflow_is_retrieved_with_its_schema(cloud: LocalClient) -> None:
    path = "/v1/workflows/" + WORKFLOWS["book"].workflow_id
    plain = cloud.get(path)["data"]
    assert plain.keys() == {"workflow_detail"}
    assert isinstance(plain["workflow_detail"]["created_at"], int)
    full = cloud.get(path, include_input_output="true")["data"]
    assert full["input"] == {"parameters": {"city": {"type": "string", "required": True}}}
    assert full["output"] == {"parameters": {}, "terminate_plan": "return_variables"}
    text = "/v1/workflows/" + WORKFLOWS["spoken"].workflow_id
    assert cloud.get(text, include_input_output="true")["data"]["output"] == {
        "parameters": {"output": {"type": "string"}},
        "terminate_plan": "use_answer_content",
        "content": "{{output}}",
    }
    chatflow = cloud.get("/v1/workflows/" + FLOW.workflow_id, include_input_output="true")["data"]
    assert "USER_INPUT" in chatflow["input"]["parameters"]
    assert cloud.get("/v1/workflows/7000000000000000001")["code"] == 4200


def test_studio_has_no_route_for_the_schema(studio: LocalClient) -> None:
    path = "/v1/workflows/" + WORKFLOWS["book"].workflow_id
    told = studio.get(path, include_input_output="true")
    assert told["code"] == 777777780
    assert "input" not in told
    assert studio.get("/v1/workflows/" + FLOW.workflow_id) == {"BaseResp": None}
    assert studio.http.get("/v1/workflows").status_code == 401
