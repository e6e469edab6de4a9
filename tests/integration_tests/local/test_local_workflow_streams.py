"""Streamed runs of workflows, their questions and answers, over a real socket (wire 4.4)."""

import json
import re
import threading
import time
from collections.abc import AsyncIterator, Generator
from typing import Any

import httpx
import pytest

from langchain_coze.local import (
    Ask,
    AskInput,
    ClientTool,
    Fail,
    LocalBot,
    LocalCoze,
    LocalOAuthApp,
    LocalWorkflow,
    Message,
    Output,
    Pause,
    TokenUsage,
)
from tests.conftest import serve, wait_until
from tests.integration_tests.local.local_client import LocalClient
from tests.integration_tests.local.test_local_oauth import exchange, signed

RELEASE = threading.Event()
FINISHED: list[str] = []


def joke(text: str) -> Generator[Any, None, dict[str, str]]:
    yield "为"
    yield f"什么 & {text}"
    yield Message("3 found", node_title="Search")
    yield TokenUsage(20, 60)
    yield TokenUsage(30, 40)
    return {"output": text}


def weather(city: str = "") -> Generator[Any, str, str]:
    city = city or (yield Ask("请问你想查看哪个城市的天气呢"))
    day = yield Ask("Which day?", ["today", "tomorrow"])
    return f"{city} {day}: rain"


def book() -> Generator[Any, Any, dict[str, Any]]:
    yield "looking"
    stay = yield AskInput({"city": str, "nights": (int, 1)})
    return {"booked": stay}


def endless() -> Generator[Any, str, None]:
    while True:
        yield Ask("More?")


async def counted(to: int) -> AsyncIterator[Any]:
    for number in range(to):
        yield Message(str(number), node_title="Count", finished=False)
    answer = yield Ask("Enough?")
    yield Output({"enough": answer})


def left() -> Generator[Any, None, str]:
    yield "working"
    RELEASE.wait(10)
    FINISHED.append("left")
    return "done"


WORKFLOWS = {
    workflow.name: workflow
    for workflow in (
        LocalWorkflow(joke),
        LocalWorkflow(lambda: "Tea grows. 茶", name="text", terminate_plan="use_answer_content"),
        LocalWorkflow(lambda: None, name="silent", terminate_plan="use_answer_content"),
        LocalWorkflow(weather),
        LocalWorkflow(book),
        LocalWorkflow(endless),
        LocalWorkflow(counted),
        LocalWorkflow(left),
        LocalWorkflow(lambda: (yield Fail(702093001, "node & failed")), name="fails"),
        LocalWorkflow(lambda: (yield ClientTool("x")), name="client_tool"),
        LocalWorkflow(lambda: (yield Pause(0.5)), name="quiet", ping=0.1),
        LocalWorkflow(joke, name="hidden", published=False),
        LocalWorkflow(joke, name="slow", delay=0.1),
        LocalWorkflow(joke, name="broken", faults="failed=4009,times=1"),
    )
}
APP = LocalOAuthApp()


coze = serve(
    LocalBot(lambda _: "bot", name="bot"),
    workflows=WORKFLOWS.values(),
    oauth_apps=APP,
    profiles=["cloud", "studio"],
)


def is_cloud(client: LocalClient) -> bool:
    return client.coze.profile == "cloud"


def stream(
    client: LocalClient, name: str, parameters: Any = None, fault: str = "", **fields: Any
) -> httpx.Response:
    body = {"workflow_id": WORKFLOWS[name].workflow_id, "parameters": parameters or {}} | fields
    headers = {"X-Local-Fault": fault} if fault else {}
    return client.http.post("/v1/workflow/stream_run", json=body, headers=headers)


def resume(
    client: LocalClient, name: str, interrupt: dict[str, Any], answer: Any, **fields: Any
) -> httpx.Response:
    body = {
        "workflow_id": WORKFLOWS[name].workflow_id,
        "event_id": interrupt["event_id"],
        "interrupt_type": interrupt["type"],
        "resume_data": answer,
    }
    return client.http.post("/v1/workflow/stream_resume", json=body | fields)


def told(response: httpx.Response) -> list[tuple[str, Any]]:
    """Names and data of a stream; its ids count from 0."""
    found = re.findall(r"id: (\d+)\nevent: (.*)\ndata: (.*)\n\n", response.text)
    whole = "".join(f"id: {i}\nevent: {n}\ndata: {d}\n\n" for i, n, d in found)
    assert whole == response.text
    assert [int(number) for number, _, _ in found] == list(range(len(found)))
    return [(name, json.loads(data) if data else None) for _, name, data in found]


def said(events: list[tuple[str, Any]]) -> list[tuple[str, str, str, bool]]:
    keys = ("node_title", "node_seq_id", "content", "node_is_finish")
    return [tuple(data[key] for key in keys) for name, data in events if name == "Message"]


def interrupt_of(response: httpx.Response) -> dict[str, Any]:
    name, data = told(response)[-1]
    assert name == "Interrupt", response.text
    found: dict[str, Any] = data["interrupt_data"]
    return found


def end_title(client: LocalClient) -> str:
    return "End" if is_cloud(client) else "结束"


def test_messages_come_node_by_node(client: LocalClient) -> None:
    response = stream(client, "joke", {"text": "尺子"})
    events = told(response)
    assert said(events) == [
        ("Message", "0", "为", False),
        ("Message", "1", "什么 & 尺子", False),
        ("Message", "2", "", True),
        ("Search", "0", "3 found", True),
        (end_title(client), "0", '{"output":"尺子"}', True),
    ]
    name, done = events[-1]
    assert name == "Done"
    assert f"&workflow_id={WORKFLOWS['joke'].workflow_id}" in done["debug_url"]
    last = events[-2][1]
    assert "token" not in last
    if is_cloud(client):
        assert last["usage"] == {"input_count": 50, "token_count": 150, "output_count": 100}
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert ("access-control-allow-origin" in response.headers) != is_cloud(client)


def test_a_node_that_runs_again_sends_a_new_message(client: LocalClient) -> None:
    def again() -> Generator[Any, None, None]:
        for text in ("a", "b", "c"):
            yield Message(text, node_title="Loop" if text != "b" else "Other")

    with (
        LocalCoze(workflows=again, profile=client.coze.profile) as coze,
        LocalClient(coze) as other,
    ):
        body = {"workflow_id": coze.workflows[0].workflow_id}
        response = other.http.post("/v1/workflow/stream_run", json=body)
    loop = [sequence for title, sequence, *_ in said(told(response)) if title == "Loop"]
    assert loop == (["0", "0"] if is_cloud(client) else ["0", "1"])


CLOUD_BYTES = r"""id: 0
event: Message
data: {"content_type":"text","node_is_finish":true,"node_seq_id":"0","node_title":"问答","content":"请问你想查看哪个城市的天气呢","node_type":"Question","node_id":"1NODE","node_execute_uuid":""}

id: 1
event: Interrupt
data: {"interrupt_data":{"data":"","event_id":"N/N","type":2},"node_title":"问答"}

"""  # noqa: E501 - as on the wire


def test_the_bytes_of_a_question(client: LocalClient) -> None:
    if not is_cloud(client):
        pytest.skip("test_local_studio_recordings compares them with a recording")
    text = re.sub(r"\d{19}", "N", stream(client, "weather").text)
    text = re.sub(r'"1\d{5}"', '"1NODE"', text)
    assert text == CLOUD_BYTES


def test_a_run_may_ask_two_questions_in_a_row(client: LocalClient) -> None:
    first = stream(client, "weather")
    second = resume(client, "weather", interrupt_of(first), "杭州")
    third = resume(client, "weather", interrupt_of(second), "today")
    assert interrupt_of(first)["event_id"] != interrupt_of(second)["event_id"]
    assert len({interrupt_of(r)["event_id"].split("/")[0] for r in (first, second)}) == 1
    assert said(told(third)) == [(end_title(client), "0", '{"output":"杭州 today: rain"}', True)]
    assert told(third)[-1][0] == "Done"


def test_a_question_lists_its_options(client: LocalClient) -> None:
    response = stream(client, "weather", {"city": "x"})
    interrupt, asked = interrupt_of(response), said(told(response))[0][2]
    if is_cloud(client):
        assert (interrupt["data"], asked) == ("", "Which day?\ntoday\ntomorrow")
        return
    assert asked == interrupt["data"]
    assert json.loads(asked)["messages"] == [
        {
            "type": "question",
            "content_type": "option",
            "content": {
                "options": [{"name": "today"}, {"name": "tomorrow"}],
                "question": "Which day?",
            },
            "id": "400001_0",
        }
    ]


def test_an_input_node_lists_its_parameters(client: LocalClient) -> None:
    response = stream(client, "book")
    interrupt = interrupt_of(response)
    assert interrupt["type"] == 5
    assert json.loads(interrupt["data"]) == {
        "content_type": "text" if is_cloud(client) else "form_schema",
        "content": '[{"type":"string","name":"city","required":true},'
        '{"type":"integer","name":"nights","required":false}]',
    }
    if is_cloud(client):
        assert list(interrupt) == ["data", "event_id", "required_parameters", "type"]
        assert interrupt["required_parameters"] == {
            "city": {"type": "string", "required": True},
            "nights": {"type": "integer", "required": False, "default_value": "1"},
        }
    answered = resume(client, "book", interrupt, '{"city":"杭州","nights":2}')
    (end,) = said(told(answered))
    assert end == (end_title(client), "0", '{"booked":{"city":"杭州","nights":2}}', True)


@pytest.mark.parametrize(
    ("name", "parameters", "bad", "good"),
    [
        ("book", {}, ["杭州", '{"nights":2}'], '{"city":"杭州"}'),
        ("weather", {"city": "x"}, ["yesterday", "Today"], "tomorrow"),
    ],
)
def test_an_unusable_answer_is_asked_again(
    client: LocalClient, name: str, parameters: Any, bad: list[str], good: str
) -> None:
    interrupt = interrupt_of(stream(client, name, parameters))
    for answer in bad:
        again = interrupt_of(resume(client, name, interrupt, answer))
        assert again["event_id"] != interrupt["event_id"]
        interrupt = again
    if not is_cloud(client) and name == "weather":
        kinds = [message["type"] for message in json.loads(interrupt["data"])["messages"]]
        assert kinds == ["question", "answer", "question", "answer", "question"]
    assert told(resume(client, name, interrupt, good))[-1][0] == "Done"


def test_an_empty_answer_repeats_the_question(client: LocalClient) -> None:
    interrupt = interrupt_of(stream(client, "weather"))
    again = resume(client, "weather", interrupt, " \n")
    assert "请问你想查看哪个城市的天气呢" in said(told(again))[0][2]


def test_a_third_unusable_answer_fails_the_run(client: LocalClient) -> None:
    interrupt = interrupt_of(stream(client, "book"))
    for _ in range(2):
        interrupt = interrupt_of(resume(client, "book", interrupt, "?"))
    response = resume(client, "book", interrupt, "?")
    (name, error), *rest = told(response)
    assert (name, len(rest)) == ("Error", is_cloud(client))
    assert "720701013" in f"{error['error_code']} {error['error_message']}"
    assert "3 invalid answers" in error["error_message"]
    refused(resume(client, "book", interrupt, '{"city":"x"}'), 4315, 720701013)


def test_a_run_is_resumed_three_times_at_most(client: LocalClient) -> None:
    interrupt = interrupt_of(stream(client, "endless"))
    for _ in range(2):
        interrupt = interrupt_of(resume(client, "endless", interrupt, "yes"))
    names = [name for name, _ in told(resume(client, "endless", interrupt, "yes"))]
    assert names[-2:] == (["Error", "Done"] if is_cloud(client) else ["Message", "Interrupt"])


def refused(response: httpx.Response, *codes: int) -> None:
    """No stream but an error."""
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["code"] in codes


def test_answers_without_a_waiting_run_are_refused(client: LocalClient) -> None:
    interrupt = interrupt_of(stream(client, "weather"))
    unknown = "7000000000000000001/7000000000000000002"
    refused(resume(client, "weather", interrupt, "x", event_id=unknown), 4314)
    refused(resume(client, "book", interrupt, "x"), 4314)
    refused(resume(client, "weather", interrupt, "x", interrupt_type=5), 4000)
    second = interrupt_of(resume(client, "weather", interrupt, "x"))
    refused(resume(client, "weather", interrupt, "x"), 4000)
    assert told(resume(client, "weather", second, "today"))[-1][0] == "Done"
    refused(resume(client, "weather", second, "today"), 4315, 720701013)


@pytest.mark.parametrize(
    "fields",
    [{"event_id": ""}, {"interrupt_type": "2"}, {"resume_data": {"a": 1}}, {"workflow_id": None}],
)
def test_an_incomplete_resume_is_refused(client: LocalClient, fields: dict[str, Any]) -> None:
    response = resume(client, "weather", {"event_id": "1/2", "type": 2}, "x", **fields)
    refused(response, 4000)


def test_a_text_of_the_end_node_comes_in_pieces(client: LocalClient) -> None:
    pieces = said(told(stream(client, "text")))
    assert len(pieces) > 3
    assert "".join(text for _, _, text, _ in pieces) == "Tea grows. 茶"
    assert [finished for *_, finished in pieces] == [False] * (len(pieces) - 1) + [True]
    assert [int(sequence) for _, sequence, _, _ in pieces] == list(range(len(pieces)))
    assert said(told(stream(client, "silent"))) == [(end_title(client), "0", "", True)]


def test_an_async_generator_may_ask(client: LocalClient) -> None:
    response = stream(client, "counted", {"to": 2})
    assert [text for title, _, text, _ in said(told(response)) if title == "Count"] == [
        "0",
        "1",
        "",
    ]
    answered = resume(client, "counted", interrupt_of(response), "yes")
    assert said(told(answered))[-1][2] == '{"enough":"yes"}'


def test_a_failure_ends_the_stream_with_an_error_event(client: LocalClient) -> None:
    events = told(stream(client, "fails"))
    # On the hosted service the code of the node is in the text, and Done follows (wire 4.4).
    assert [name for name, _ in events] == (["Error", "Done"] if is_cloud(client) else ["Error"])
    error = events[0][1]
    assert error["debug_url"]
    expected = (702093001, "node & failed")
    if is_cloud(client):
        expected = (5000, "[702093001] node & failed")
    assert (error["error_code"], error["error_message"]) == expected
    name, error = told(stream(client, "client_tool"))[0]
    assert (name, "720701013" in str(error)) == ("Error", True)


@pytest.mark.parametrize(
    ("name", "fields", "cloud_code", "studio_code"),
    [
        ("hidden", {}, 4200, 720702011),
        ("joke", {}, 4000, 4000),
        ("joke", {"parameters": {"text": 3}}, 4000, 4000),
    ],
)
def test_invalid_runs_are_refused(
    client: LocalClient, name: str, fields: dict[str, Any], cloud_code: int, studio_code: int
) -> None:
    response = stream(client, name, **fields)
    if not is_cloud(client):
        refused(response, studio_code)
        return
    ((event, error),) = told(response)
    assert (event, error["error_code"], list(error)) == (
        *("Error", cloud_code),
        ["node_execute_uuid", "error_message", "error_code"],
    )


def test_only_the_cloud_sends_heartbeats(client: LocalClient) -> None:
    response = stream(client, "quiet")
    names = [name for name, _ in told(response)]
    assert names[-2:] == ["Message", "Done"]
    assert (names.count("PING") >= 2) == is_cloud(client)
    ping = 'id: 0\nevent: PING\ndata: {"content":"{}","node_execute_uuid":""}\n\n'
    assert response.text.startswith(ping) == is_cloud(client)


def test_the_head_of_a_silent_run_comes_with_its_first_heartbeat(client: LocalClient) -> None:
    if not is_cloud(client):
        pytest.skip("Studio sends no heartbeats")
    begun = time.monotonic()
    body = {"workflow_id": WORKFLOWS["quiet"].workflow_id}
    with client.http.stream("POST", "/v1/workflow/stream_run", json=body) as response:
        assert time.monotonic() - begun >= 0.1
        arrived = [time.monotonic() for line in response.iter_lines() if line == "event: PING"]
    later = len(arrived) - 1
    assert later >= 1
    assert arrived[-1] - begun >= 0.1 + later * 0.1 * 35 / 30  # 30 s, then 35 s each


def test_by_default_the_first_heartbeat_comes_after_thirty_seconds() -> None:
    assert LocalWorkflow(joke).ping == 30


def test_messages_arrive_while_the_run_continues(client: LocalClient) -> None:
    begun, arrived = time.monotonic(), list[float]()
    body = {"workflow_id": WORKFLOWS["slow"].workflow_id, "parameters": {"text": "x"}}
    with client.http.stream("POST", "/v1/workflow/stream_run", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("event: Message"):
                arrived.append(time.monotonic() - begun)
    assert len(arrived) == 5
    assert arrived[-1] - arrived[0] > 0.25


def test_a_run_continues_when_its_client_is_gone(client: LocalClient) -> None:
    RELEASE.clear()
    FINISHED.clear()
    body = {"workflow_id": WORKFLOWS["left"].workflow_id}
    with client.http.stream("POST", "/v1/workflow/stream_run", json=body) as response:
        assert "working" in next(chunk for chunk in response.iter_text() if chunk)
    RELEASE.set()
    wait_until(lambda: FINISHED)
    assert FINISHED == ["left"]


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("failed=4009", ["Error"]),
        ("idle=0.1", [*["Message"] * 5, "Done"]),
        ("error=5000,on=/v3/chat", [*["Message"] * 5, "Done"]),
    ],
)
def test_faults_change_the_events_of_a_run(
    client: LocalClient, fault: str, names: list[str]
) -> None:
    response = stream(client, "joke", {"text": "x"}, fault=fault)
    after = ["Done"] if is_cloud(client) and fault == "failed=4009" else []
    assert [name for name, _ in told(response)] == names + after
    if fault == "failed=4009":
        assert told(response)[0][1]["error_code"] == 4009


@pytest.mark.parametrize("fault", ["cut_mid_line", "cut_at=200"])
def test_cut_streams_have_no_done(client: LocalClient, fault: str) -> None:
    text = stream(client, "joke", {"text": "尺子"}, fault=fault).content
    assert b"event: Message" in text
    assert b"event: Done" not in text
    assert not text.endswith(b"\n\n")


def test_a_workflow_may_have_its_own_faults(client: LocalClient) -> None:
    names = [told(stream(client, "broken", {"text": "x"}))[0][0] for _ in range(2)]
    assert names == ["Error", "Message"]


def test_a_run_belongs_to_its_token() -> None:
    with (
        LocalCoze(workflows=WORKFLOWS["weather"], oauth_apps=APP) as coze,
        LocalClient(coze) as client,
    ):
        interrupt = interrupt_of(stream(client, "weather"))
        jwt = signed(coze, APP, session_name="other")
        token = exchange(coze, jwt).json()["access_token"]
        mine, client.http.headers["Authorization"] = (
            client.http.headers["Authorization"],
            f"Bearer {token}",
        )
        refused(resume(client, "weather", interrupt, "x"), 4314)
        history = f"/v1/workflows/{WORKFLOWS['weather'].workflow_id}/run_histories/"
        execute_id = interrupt["event_id"].partition("/")[0]
        assert client.get(history + execute_id)["code"] == 4314
        client.http.headers["Authorization"] = mine
        assert client.get(history + execute_id)["code"] == 0
        assert interrupt_of(resume(client, "weather", interrupt, "杭州"))
