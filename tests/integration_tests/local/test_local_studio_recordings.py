"""The studio profile against recordings of a real Coze Studio: events, keys, types and status.

Values are not compared: a shape replaces each one by its type, also inside JSON texts.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from langchain_coze.local import (
    Ask,
    AskInput,
    Fail,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalWorkflow,
    Message,
    Pause,
    Reasoning,
    ServerTool,
    TokenUsage,
    Turn,
)
from langchain_coze.local.routes.state import WORKSPACE_ID
from tests.conftest import serve, wait_until
from tests.integration_tests.local.local_client import LocalClient, user

FOLDER = Path(__file__).parents[2] / "recordings" / "studio"
PIECES = ("你", "好", "！", "(第1问)")
OTHER_TOKEN = "pat_of_another_user"
UNKNOWN = "123"
ENDS = {"completed", "failed"}


# --- What is served -------------------------------------------------------------------------------


def greet(_question: str) -> Iterator[str]:
    yield from PIECES


def think(_question: str) -> Iterator[Any]:
    yield from (Reasoning("先"), Reasoning("想想"), "好", "的")


def call_plugin(_question: str) -> Iterator[Any]:
    yield ServerTool("get_weather", {"city": "北京"}, {"weather": "晴", "city": "北京", "temp": 25})
    yield from ("北京", "晴")


def break_plugin(_question: str) -> Iterator[Any]:
    yield ServerTool("boom")  # its result is never told
    yield Fail(103200002, "execute tool failed")


def fail(_question: str) -> Fail:
    return Fail(103200002, "Internal Server Error")


def fail_midway(_question: str) -> Iterator[Any]:
    yield from ("答案前半", Fail(103200002, "Internal Server Error"))


def miss_model(_question: str) -> Fail:
    return Fail(103100001, "get model by id failed: model 999 not found")


def say_nothing(_question: str) -> None:
    return None


def call_workflow(_question: str) -> Iterator[Any]:
    yield ServerTool("ts_llmvars_llmvars", {"input": "从智能体来"}, {"output": "你好！"})
    yield from ("北京", "晴")


def ask_by_tool(_question: str) -> Iterator[Any]:
    yield ServerTool("ts_qa_qa", {"input": "从智能体来"}, "directly streaming reply")
    yield Ask("你叫什么？")
    yield ServerTool("ts_qa_qa", {"input": "从智能体来"}, {"output": "小明"})
    yield from ("北京", "晴")


def ask_option(_question: str) -> Iterator[Any]:
    yield Ask("选哪个？", ["甲", "乙"])


def ask_name(_question: str) -> Iterator[Any]:
    name = yield Ask("你叫什么？")
    yield from ("你好，", name)


def see_image(_question: str, turn: Turn) -> list[str]:
    parts = [{"type": "text", "text": "看图"}, {"type": "text", "text": turn.files[0].url}]
    return [json.dumps([{"role": "user", "content": parts}])]


async def linger(_question: str) -> AsyncIterator[Any]:
    yield "0 "
    yield Pause(0.3)
    yield "1 "


REPLIES: list[Callable[..., Any]] = [
    *(
        greet,
        think,
        call_plugin,
        call_workflow,
        break_plugin,
        fail,
        fail_midway,
        miss_model,
        say_nothing,
    ),
    *(ask_by_tool, ask_option, linger),
]
BOTS = {
    **{reply.__name__: LocalBot(reply) for reply in REPLIES},
    "suggest": LocalBot(greet, name="suggest", follow_ups=["问题一？", "问题二？", "问题三？"]),
    "kb": LocalBot(greet, name="kb", knowledge=["绿茶要用八十度的水冲泡。"]),
}
FLOWS = {
    "greet": LocalChatflow(greet),
    "short": LocalChatflow(lambda _: ['[{"role":"user","content":"ECHOALL"}]'], name="short"),
    "image": LocalChatflow(see_image, name="image"),
    "think": LocalChatflow(think),
    "fail": LocalChatflow(fail),
    "ask_name": LocalChatflow(ask_name),
    "ask_option": LocalChatflow(ask_option),
}


def echo(input: str) -> str:  # noqa: A002 - as recorded
    return input


def stream_text(input: str) -> Generator[Any, Any, str]:  # noqa: A002 - as recorded
    if input == "E401":
        yield Fail(720701013, "Workflow execution failure: 401")
    yield TokenUsage(11, 7)
    return "你好！"


def emit(input: str) -> Generator[Any, Any, str]:  # noqa: A002 - as recorded
    for number, piece in enumerate(("中间：", *PIECES)):
        yield Message(piece, "输出", finished=number == 4)
    yield Message("静态：", "输出二", finished=False)
    yield Message(input, "输出二")
    return "终："


def ask_in_run(input: str) -> Generator[Any, Any, Any]:  # noqa: A002 - as recorded
    return (yield Ask("你叫什么？", ["甲", "乙"] if input == "options" else []))


def ask_form(input: str) -> Generator[Any, Any, str]:  # noqa: A002 - as recorded
    answer = yield AskInput({"city": str, "days": (int, 1)})
    return f"{answer['city']} {input}"


TEXT = "use_answer_content"
WORKFLOWS = {
    "echo": LocalWorkflow(echo),
    "text": LocalWorkflow(stream_text, terminate_plan=TEXT),
    "emit": LocalWorkflow(emit, terminate_plan=TEXT),
    "ask": LocalWorkflow(ask_in_run),
    "form": LocalWorkflow(ask_form),
    "hidden": LocalWorkflow(echo, name="hidden", published=False),
}

coze = serve(
    list(BOTS.values()),
    chatflows=list(FLOWS.values()),
    workflows=list(WORKFLOWS.values()),
    profiles=["studio"],
    more_tokens=[OTHER_TOKEN],
    stop_timeout=0,
)


# --- Shapes ---------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """What is compared of a reply."""

    status: int
    content_type: str
    body: Any


# Only their existence matters: what draws a card, and what continues a run.
_OPAQUE = frozenset({"resume_info", "elements", "variables"})


def shape(value: Any, key: str = "") -> Any:
    """Return a value with each text, number and flag replaced by its type."""
    if key in _OPAQUE:
        return "opaque"
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        return ["json", shape(json.loads(value))]
    if isinstance(value, bool) or value is None:
        return repr(type(value))
    return "text" if isinstance(value, str) else "number"


def shape_body(content_type: str, text: str) -> Any:
    if "json" in content_type:
        return shape(json.loads(text))
    if "event-stream" not in content_type:
        return text
    events = re.findall(r"(?:id: (\d+)\n)?event:( ?)(.*)\ndata: ?(.*)\n\n", text)
    return [
        (i, space, name, shape(json.loads(data)) if data else "") for i, space, name, data in events
    ]


def read_recording(name: str) -> Shape:
    status, *lines = (FOLDER / "heads" / f"{name}.head").read_text("utf-8").splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    (path,) = FOLDER.glob(f"{name}.*")
    body = shape_body(headers["Content-Type"], path.read_text("utf-8"))
    return Shape(int(status.split(" ")[1]), headers["Content-Type"], body)


def read_reply(reply: httpx.Response) -> Shape:
    content_type = reply.headers["content-type"]
    return Shape(reply.status_code, content_type, shape_body(content_type, reply.text))


# --- Situations -----------------------------------------------------------------------------------


class Situations:
    """Makes each recorded situation; the methods are named after the recordings."""

    def __init__(self, client: LocalClient) -> None:
        self.client = client
        self.http = client.http

    def chat(self, bot: str, text: str = "你好", **changes: Any) -> httpx.Response:
        known = BOTS[bot].bot_id if bot in BOTS else bot
        message = {"additional_messages": [user(text)]}
        return self.client.chat(bot_id=known, **(message | changes))

    def start(self, bot: str, **changes: Any) -> Any:
        return self.chat(bot, stream=False, **changes).json()["data"]

    def find(
        self, data: Any, path: str = "/v3/chat/retrieve", *, wait: bool = True
    ) -> httpx.Response:
        ids = {"conversation_id": data["conversation_id"], "chat_id": data["id"]}
        if wait:
            wait_until(
                lambda: self.client.get("/v3/chat/retrieve", **ids)["data"]["status"] in ENDS
            )
        return self.http.get(path, params=ids)

    def list_chat(self, bot: str, **changes: Any) -> httpx.Response:
        return self.find(self.start(bot, **changes), "/v3/chat/message/list")

    def cancel(self, data: Any, **changes: Any) -> httpx.Response:
        ids = {"conversation_id": data["conversation_id"], "chat_id": data["id"]}
        return self.http.post("/v3/chat/cancel", json=ids | changes)

    def create(self, **body: Any) -> Any:
        return self.http.post("/v1/conversation/create", json=body).json()["data"]

    def list_conversation(self, conversation_id: str, **body: Any) -> httpx.Response:
        params = {"conversation_id": conversation_id}
        return self.http.post("/v1/conversation/message/list", params=params, json=body)

    def run(self, workflow: str, path: str = "run", **changes: Any) -> httpx.Response:
        known = WORKFLOWS[workflow].workflow_id if workflow in WORKFLOWS else workflow
        body = {"workflow_id": known, "parameters": {"input": "hi"}}
        return self.http.post(f"/v1/workflow/{path}", json=body | changes)

    def stream(self, workflow: str, **parameters: Any) -> httpx.Response:
        return self.run(workflow, "stream_run", parameters={"input": "hi"} | parameters)

    def resume(self, workflow: str, kind: int, text: str, times: int = 1) -> httpx.Response:
        event = self.stream(workflow).text.rpartition("data: ")[2]
        body = {"event_id": json.loads(event)["interrupt_data"]["event_id"]}
        body |= {"workflow_id": WORKFLOWS[workflow].workflow_id, "interrupt_type": kind}
        replies = [
            self.http.post("/v1/workflow/stream_resume", json=body | {"resume_data": text})
            for _ in range(times)
        ]
        return replies[-1]

    def history(self, workflow: str, ended: str = "Success", **parameters: Any) -> httpx.Response:
        parameters = {"input": "hi"} | parameters
        started = self.run(workflow, is_async=True, parameters=parameters).json()
        ids = {"workflow_id": WORKFLOWS[workflow].workflow_id, "execute_id": started["execute_id"]}
        for _ in range(200):
            reply = self.http.get("/v1/workflow/get_run_history", params=ids)
            if reply.json()["data"][0]["execute_status"] == ended:
                return reply
        raise AssertionError(reply.text)

    def flow(self, flow: str, **changes: Any) -> httpx.Response:
        known = FLOWS[flow].workflow_id if flow in FLOWS else flow
        body: dict[str, Any] = {"workflow_id": known, "additional_messages": [user("你好")]}
        place = {"parameters": {"CONVERSATION_NAME": "n1"}}
        return self.http.post("/v1/workflows/chat", json=body | place | changes)

    def flow_in_bot(self, flow: str, **changes: Any) -> httpx.Response:
        made = {"conversation_id": self.create()["id"], "bot_id": BOTS["greet"].bot_id}
        return self.flow(flow, **({"parameters": {}} | made | changes))

    def upload(self, part: str, name: str, content: bytes) -> httpx.Response:
        return self.http.post("/v1/files/upload", files={part: (name, content)})

    def as_stranger(
        self, method: str, path: str, token: str | None, **fields: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(
            method, f"{self.client.coze.base_url}{path}", headers=headers, **fields
        )


IMAGE = '[{"type":"text","text":"看图"},{"type":"image","file_url":"https://h/a.png"}]'
IMAGE_MESSAGE: dict[str, Any] = {"additional_messages": [user(IMAGE, content_type="object_string")]}


def ask_twice(s: Situations) -> httpx.Response:
    first = s.chat("ask_by_tool")
    found = re.search(r'"conversation_id":"(\d+)"', first.text)
    assert found
    return s.chat("ask_by_tool", "小明", conversation_id=found[1])


def reuse_named(s: Situations) -> httpx.Response:
    found = re.search(r'"conversation_id":"(\d+)"', s.flow("greet").text)
    assert found
    return s.flow("short", parameters={}, conversation_id=found[1])


def list_named(s: Situations) -> httpx.Response:
    place = {"parameters": {"CONVERSATION_NAME": "listed"}}
    found = re.search(r'"conversation_id":"(\d+)"', s.flow("greet", **place).text)
    assert found
    s.flow("short", parameters={}, conversation_id=found[1])
    return s.list_conversation(found[1], limit=3)


def retrieve_flow(s: Situations) -> httpx.Response:
    text = s.flow("greet").text
    data = json.loads(text.partition("data: ")[2].partition("\n")[0])
    return s.find(data, wait=False)


def cancelled(s: Situations, *, later: bool) -> httpx.Response:
    data = s.start("linger")
    s.cancel(data)
    return s.find(data, wait=later)


def delete(s: Situations) -> str:
    conversation_id: str = s.create(meta_data={"a": "b"})["id"]
    s.http.delete(f"/v1/conversations/{conversation_id}")
    return conversation_id


SITUATIONS: dict[str, Callable[[Situations], httpx.Response]] = {
    "01-chat-stream": lambda s: s.chat("greet"),
    "03-think-stream": lambda s: s.chat("think"),
    "04-nostream-create": lambda s: s.chat("greet", stream=False),
    "05-retrieve": lambda s: s.find(s.start("greet")),
    "06-chat-message-list": lambda s: s.list_chat("greet"),
    "08-conv-message-list-all": lambda s: s.list_conversation(
        json.loads(s.find(s.start("greet")).text)["data"]["conversation_id"]
    ),
    "09-conv-retrieve": lambda s: s.http.get(
        "/v1/conversation/retrieve", params={"conversation_id": s.create()["id"]}
    ),
    "10-retrieve-post": lambda s: s.http.post("/v3/chat/retrieve"),
    "11-submit": lambda s: s.http.post("/v3/chat/submit_tool_outputs", json={}),
    "100-suggest": lambda s: s.chat("suggest"),
    "101-plugin-tool": lambda s: s.chat("call_plugin"),
    "106-E401": lambda s: s.chat("fail"),
    "109-MIDERR": lambda s: s.chat("fail_midway"),
    "111-emptyans": lambda s: s.chat("say_nothing"),
    "114-unknown-bot": lambda s: s.chat(UNKNOWN),
    "115-nonnumeric-bot": lambda s: s.chat("abc"),
    "117-badtoken": lambda s: s.as_stranger("POST", "/v3/chat", "wrong", json={}),
    "118-notoken": lambda s: s.as_stranger("POST", "/v3/chat", None, json={}),
    "119-empty-content": lambda s: s.chat("greet", ""),
    "122-unknown-conv": lambda s: s.chat("greet", conversation_id=UNKNOWN),
    "123-autosave-meta": lambda s: s.chat("greet", auto_save_history=False, meta_data={"k": "v"}),
    "125-nostream-unknownbot": lambda s: s.chat(UNKNOWN, stream=False),
    "126-retrieve-after-err": lambda s: s.find(s.start("fail")),
    "127-list-after-err": lambda s: s.list_chat("fail"),
    "130-list-plugin": lambda s: s.list_chat("call_plugin"),
    "131-list-think": lambda s: s.list_chat("think"),
    "136-retrieve-plugin-boom": lambda s: s.find(s.start("break_plugin")),
    "141-cancel": lambda s: s.cancel(s.start("linger")),
    "142-retrieve-cancelled": lambda s: cancelled(s, later=False),
    "147-retrieve-cancelled-later": lambda s: cancelled(s, later=True),
    "148-cancel-again": lambda s: s.cancel(s.find(s.start("greet")).json()["data"]),
    "149-cancel-unknown": lambda s: s.cancel(s.start("greet"), chat_id=UNKNOWN),
    "150-retrieve-unknown": lambda s: s.find(s.start("greet") | {"id": UNKNOWN}, wait=False),
    "151-list-unknown": lambda s: s.find(
        s.start("greet") | {"id": UNKNOWN}, "/v3/chat/message/list", wait=False
    ),
    "153-conv-list-unknown": lambda s: s.list_conversation(UNKNOWN),
    "160-bot-online-info": lambda s: s.http.get(
        "/v1/bot/get_online_info", params={"bot_id": BOTS["greet"].bot_id}
    ),
    "164-bots-id-unknown": lambda s: s.http.get(f"/v1/bots/{UNKNOWN}"),
    "172-conv-create-msgs": lambda s: s.http.post(
        "/v1/conversation/create", json={"meta_data": {"a": "b"}, "messages": [user()]}
    ),
    "173-conv-list-after-create": lambda s: s.list_conversation(s.create(messages=[user()])["id"]),
    "175-conv-clear": lambda s: s.http.post(f"/v1/conversations/{s.create()['id']}/clear"),
    "176-conv-delete": lambda s: s.http.delete(f"/v1/conversations/{s.create()['id']}"),
    "177-conv-retrieve-deleted": lambda s: s.http.get(
        "/v1/conversation/retrieve", params={"conversation_id": delete(s)}
    ),
    "185-empty-body": lambda s: s.http.post("/v3/chat"),
    "187-role-system": lambda s: s.chat(
        "greet", additional_messages=[user("x", role="system", type=None)]
    ),
    "190-upload-png": lambda s: s.upload("file", "a.png", b"x"),
    "192-upload-xyz": lambda s: s.upload("file", "b.xyz", b"x"),
    "193-upload-wrongfield": lambda s: s.upload("f", "a.txt", b"x"),
    "200-image": lambda s: s.chat("greet", **IMAGE_MESSAGE),
    "207-list-image": lambda s: s.list_chat("greet", **IMAGE_MESSAGE),
    "210-kb-hit": lambda s: s.chat("kb", "绿茶怎么泡"),
    "211-kb-miss": lambda s: s.chat("kb", "zzzz"),
    "213-list-kb": lambda s: s.list_chat("kb", additional_messages=[user("绿茶怎么泡")]),
    "220-wf-agent": lambda s: s.chat("call_workflow"),
    "223-wf-agent-qa": lambda s: s.chat("ask_by_tool"),
    "224-wf-agent-qa-answer": ask_twice,
    "225-retrieve-interrupted": lambda s: s.find(s.start("ask_by_tool")),
    "226-list-interrupted": lambda s: s.list_chat("ask_by_tool"),
    "250-empty-conversation-id": lambda s: s.http.post(
        "/v3/chat?conversation_id=", json=s.client.body()
    ),
    "259-extra-params": lambda s: s.chat("greet", extra_params={"a": "b"}),
    "297-mode-qaopt": lambda s: s.chat("ask_option"),
    "300-badmodel": lambda s: s.chat("miss_model"),
    "301-badmodel-retrieve": lambda s: s.find(s.start("miss_model")),
    "312-other-user-list": lambda s: s.as_stranger(
        "POST",
        f"/v1/conversation/message/list?conversation_id={s.create()['id']}",
        OTHER_TOKEN,
        json={},
    ),
    "216-online-info-connector": lambda s: s.http.get(
        "/v1/bot/get_online_info", params={"bot_id": BOTS["kb"].bot_id, "connector_id": "1024"}
    ),
    # Workflows
    "20-wf-run-echo": lambda s: s.run("echo"),
    "21-wf-run-echotext": lambda s: s.run("text"),
    "22-wf-run-llm": lambda s: s.run("text"),
    "23-wf-stream-echo": lambda s: s.stream("echo"),
    "26-wf-run-llm-E401": lambda s: s.run("text", parameters={"input": "E401"}),
    "27-wf-stream-llm-E401": lambda s: s.stream("text", input="E401"),
    "28-wf-run-async": lambda s: s.run("text", is_async=True),
    "29-wf-run-qa": lambda s: s.run("ask"),
    "30-wf-stream-qa": lambda s: s.stream("ask"),
    "31-wf-stream-qaopt": lambda s: s.stream("ask", input="options"),
    "32-wf-stream-input": lambda s: s.stream("form"),
    "33-wf-run-unknown": lambda s: s.run(UNKNOWN),
    "34-wf-stream-unknown": lambda s: s.run(UNKNOWN, "stream_run"),
    "36-wf-run-unpublished": lambda s: s.run("hidden"),
    "37-wf-run-badtoken": lambda s: s.as_stranger("POST", "/v1/workflow/run", "wrong", json={}),
    "38-wf-stream-badtoken": lambda s: s.as_stranger(
        "POST", "/v1/workflow/stream_run", "wrong", json={}
    ),
    "40-wf-types-missing": lambda s: s.run("echo", parameters={"n": 1.5}),
    "42-wf-stream-unpublished": lambda s: s.run("hidden", "stream_run"),
    "44-run-history-echo": lambda s: s.history("echo"),
    "50-run-history": lambda s: s.history("text"),
    "51-run-history-failed": lambda s: s.history("text", "Fail", input="E401"),
    "52-run-history-unknown": lambda s: s.http.get(
        "/v1/workflow/get_run_history",
        params={"workflow_id": WORKFLOWS["echo"].workflow_id, "execute_id": UNKNOWN},
    ),
    "54-run-history-interrupted": lambda s: s.history("ask", "<UNSET>"),
    "58-wf-resume-qa": lambda s: s.resume("ask", 2, "我叫小明"),
    "59-wf-resume-again": lambda s: s.resume("ask", 2, "我叫小明", times=2),
    "63-wf-resume-input": lambda s: s.resume("form", 5, '{"city":"北京","days":3}'),
    "66-wf-info": lambda s: s.http.get(f"/v1/workflows/{WORKFLOWS['text'].workflow_id}"),
    "67-cf-info": lambda s: s.http.get(f"/v1/workflows/{FLOWS['greet'].workflow_id}"),
    "68-wf-info-unknown": lambda s: s.http.get(f"/v1/workflows/{UNKNOWN}"),
    "69-wf-list": lambda s: s.http.get("/v1/workflows", params={"workspace_id": WORKSPACE_ID}),
    # Chatflows
    "70-cf-noconv": lambda s: s.flow("greet", parameters={}),
    "71-cf-name": lambda s: s.flow("greet"),
    "72-conv-create": lambda s: s.http.post("/v1/conversation/create", json={}),
    "73-cf-conv": lambda s: s.flow("greet", parameters={}, conversation_id=s.create()["id"]),
    "73-cf-conv-bot": lambda s: s.flow_in_bot("greet"),
    "73b-cf-named-conv-reused": reuse_named,
    "75-cf-err": lambda s: s.flow_in_bot("fail"),
    "77-cf-qa": lambda s: s.flow_in_bot("ask_name"),
    "79-cf-qaopt": lambda s: s.flow_in_bot("ask_option"),
    "86-cf-unknown": lambda s: s.flow(UNKNOWN),
    "270-cf-object-string": lambda s: s.flow("image", **IMAGE_MESSAGE),
    "278-retrieve-cf-chat": retrieve_flow,
    "280-convlist-cf": list_named,
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_reply_has_the_shape_of_its_recording(client: LocalClient, name: str) -> None:
    assert read_reply(SITUATIONS[name](Situations(client))) == read_recording(name)


def test_datasets_have_the_fields_of_the_recording(client: LocalClient) -> None:
    recorded = json.loads((FOLDER / "214-datasets.json").read_text("utf-8"))
    reply = client.get("/v1/datasets", space_id=WORKSPACE_ID)
    assert list(reply) == list(recorded)
    assert list(reply["data"]) == list(recorded["data"])
    (item,) = reply["data"]["dataset_list"]
    assert list(item) == list(recorded["data"]["dataset_list"][0])
    assert item["doc_count"] == 1


def test_addresses_belong_to_the_server(coze: LocalCoze, client: LocalClient) -> None:
    situations = Situations(client)
    streamed, plain = situations.stream("echo"), situations.run("echo")
    assert f'"debug_url":"{coze.base_url}/work_flow?execute_id=' in streamed.text
    assert "&execute_mode=2&space_id=" in streamed.text  # raw in streams
    assert "\\u0026execute_mode=2\\u0026space_id=" in plain.text
    assert coze.base_url in situations.flow("greet").text


def test_a_cancelled_chat_continues_its_stream(client: LocalClient) -> None:
    situations = Situations(client)
    data = situations.start("linger")
    situations.cancel(data)
    listed = situations.find(data, "/v3/chat/message/list").json()["Messages"]
    assert "0 1 " in [message["content"] for message in listed]
