"""The bytes and manners of Coze Studio, over a real socket (wire 8, appendix B)."""

import json
import re
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

from langchain_coze import ChatCoze
from langchain_coze.local import (
    Ask,
    ClientTool,
    Fail,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalKnowledge,
    Pause,
    Reasoning,
    ServerTool,
    Turn,
)
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, masked, user
from tests.integration_tests.local.polling import wait_for_chat
from tests.integration_tests.local.test_local_faults_served import run_command


async def reply(_question: str) -> AsyncIterator[Any]:
    yield Reasoning("好的")
    yield "您 & 我"


def recite(_question: str, turn: Turn) -> str:
    return " | ".join(f"{message.type} {message.text}" for message in turn.messages)


PAGE = Document("green tea", metadata={"title": "doc", "source": "https://h/p?a=1&b=2"})
BOTS = [
    LocalBot(reply),
    LocalBot(recite),
    LocalBot(lambda _: "x", name="kb", knowledge=LocalKnowledge([PAGE], name="kb")),
    LocalBot(
        lambda _: [ServerTool("weather-today", {"a": 1}, "22"), Fail(4013, "no model")], name="f"
    ),
    LocalBot(lambda _: [ClientTool("x")], name="client tool"),
    LocalBot(lambda _: [Pause(30)], name="slow"),
]
FLOW = LocalChatflow(
    lambda q: (yield f"you said {(yield Ask('Which one?')) or q}"),
    name="flow",
    follow_ups=["more?"],
)

coze = serve(BOTS, chatflows=FLOW, profiles=["studio"], stop_timeout=0)


def plain(response: httpx.Response) -> list[tuple[str, Any]]:
    """Names and data of a stream; the end has no data."""
    found = re.findall(r"event:(.*)\ndata:(.*)\n\n", response.text)
    assert "".join(f"event:{n}\ndata:{d}\n\n" for n, d in found) == response.text
    return [(name, json.loads(data) if data else None) for name, data in found]


def chat(client: LocalClient, bot: int, **changes: Any) -> httpx.Response:
    return client.chat(bot_id=BOTS[bot].bot_id, **changes)


META = (
    '"meta_data":{"bot_state":"{\\"bot_id\\":\\"<2>\\",\\"agent_name\\":\\"\\",\\"agent_id\\":\\"0\\",'
    '\\"awaiting\\":\\"<2>\\"}","time_cost":"0.1","token":"0"}'
)
TURN = """event:conversation.chat.created
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"completed_at":0,"failed_at":0,"status":"created","section_id":"<1>"}

event:conversation.chat.in_progress
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"completed_at":0,"failed_at":0,"status":"in_progress","section_id":"<1>"}

event:conversation.message.delta
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"","content_type":"text",%META%,"chat_id":"<0>","created_at":0,"reasoning_content":"好的"}

event:conversation.message.delta
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"您 \\u0026 我","content_type":"text",%META%,"chat_id":"<0>","created_at":0,"reasoning_content":""}

event:conversation.message.completed
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"您 \\u0026 我","content_type":"text",%META%,"chat_id":"<0>","created_at":0,"reasoning_content":""}

event:conversation.message.completed
data:{"id":"<4>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"verbose","content":"{\\"msg_type\\":\\"generate_answer_finish\\",\\"data\\":\\"{\\\\\\"finish_reason\\\\\\":0,\\\\\\"fin_data\\\\\\":\\\\\\"\\\\\\"}\\",\\"from_module\\":null,\\"from_unit\\":\\"\\"}","content_type":"text",%META%,"chat_id":"<0>","created_at":0,"reasoning_content":""}

event:conversation.chat.completed
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"completed_at":0,"failed_at":0,"status":"completed","section_id":"<1>"}

event:conversation.stream.done
data:

""".replace("%META%", META)  # noqa: E501 - lines of the wire are as long as they are


def test_a_turn_byte_for_byte(client: LocalClient) -> None:
    response = chat(client, 0)
    assert masked(response.content) == TURN
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    assert "x-tt-logid" not in response.headers
    assert uuid.UUID(response.headers["x-log-id"])


def test_a_recall_has_the_form_of_studio(client: LocalClient) -> None:
    found = plain(chat(client, 2, additional_messages=[user("tea")]))[2][1]
    nothing = plain(chat(client, 2, additional_messages=[user("coffee")]))[2][1]
    content = json.loads(found["content"])
    assert (found["type"], list(content)) == ("knowledge", ["msg_type", "data"])
    payload = json.loads(content["data"])
    assert (payload["ori_req"], payload["status_code"]) == ("", 0)
    assert payload["chunks"][0]["meta"]["link"] == {"title": "", "url": ""}
    assert payload["chunks"][0]["meta"]["document"]["source_type"] == 0
    assert json.loads(json.loads(nothing["content"])["data"])["chunks"] is None


def test_a_chat_is_streamed_unless_stream_is_exactly_false(client: LocalClient) -> None:
    body = client.body()
    del body["stream"]
    assert plain(client.http.post("/v3/chat", json=body))[-1] == ("conversation.stream.done", None)
    assert plain(chat(client, 0, stream=None))
    created = chat(client, 0, stream=False, auto_save_history=False).json()
    assert list(created) == ["data", "code", "msg", "BaseResp"]


def ended(client: LocalClient, data: Any) -> tuple[Any, Any]:
    ids = {"conversation_id": data["conversation_id"], "chat_id": data["id"]}
    return ids, wait_for_chat(client, data)


def test_polling_has_the_usage_and_lists_the_question(client: LocalClient) -> None:
    ids, found = ended(client, chat(client, 0, stream=False, meta_data={"k": "v"}).json()["data"])
    listed = client.get("/v3/chat/message/list", **ids)
    posted = client.http.post("/v3/chat/retrieve", params=ids)
    unknown = client.http.get("/v3/chat/retrieve", params=ids | {"chat_id": "7000000000000000001"})
    assert list(found) == ["data", "code", "msg", "BaseResp"]
    assert found["data"]["usage"]["token_count"] > 0
    assert "meta_data" not in found["data"]
    assert list(listed) == ["Messages", "code", "msg", "BaseResp"]
    shown = [(m["role"], m["type"], m["content"]) for m in listed["Messages"]]
    assert shown[:2] == [("user", "question", "hi"), ("assistant", "answer", "您 & 我")]
    assert (posted.status_code, posted.text) == (404, "404 page not found")
    assert "allow" not in posted.headers
    assert (unknown.status_code, unknown.json()["code"]) == (500, 500)


def test_a_chat_can_be_cancelled(client: LocalClient) -> None:
    data = chat(client, 5, stream=False).json()["data"]
    ids = {"conversation_id": data["conversation_id"], "chat_id": data["id"]}
    cancelled = client.http.post("/v3/chat/cancel", json=ids).json()
    assert list(cancelled) == ["ChatV3ChatDetail", "BaseResp"]
    assert cancelled["ChatV3ChatDetail"]["status"] == "cancelled"


def test_errors_in_a_run_are_events_of_studio(client: LocalClient) -> None:
    got = plain(chat(client, 3))
    call = json.loads(next(d for _, d in got[2:] if d["type"] == "function_call")["content"])
    broken = plain(chat(client, 4))
    assert call["function"] == {"name": "weather-today", "arguments": '{"a":1}'}
    assert next(d for _, d in got[3:])["content"] == "22"
    # After an error of the model the stream still ends as if all were well (wire 8).
    assert got[-3] == ("error", {"code": 4013, "msg": "no model"})
    assert [name for name, _ in got[-2:]] == [
        *("conversation.chat.completed", "conversation.stream.done"),
    ]
    assert (broken[-1][0], broken[-1][1]["code"]) == ("error", 103200002)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"additional_messages": [user(role="system")]}, 400, 400),
        ({"bot_id": "helper"}, 400, 400),
        ({"bot_id": "7000000000000000001"}, 200, 103200002),
        ({"conversation_id": "x"}, 400, 400),
        ({"user_id": None}, 400, 400),
    ],
)
def test_invalid_requests_are_refused_with_studio_s_status(
    client: LocalClient, changes: dict[str, Any], status: int, code: int
) -> None:
    response = client.chat(**changes)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert list(response.json()) == ["code", "msg"]


def test_a_wrong_token_is_refused_with_studio_s_code(coze: LocalCoze) -> None:
    response = httpx.post(
        f"{coze.base_url}/v3/chat", json={}, headers={"Authorization": "Bearer x"}
    )
    assert (response.status_code, response.json()["code"]) == (200, 700012006)
    assert response.json()["msg"].startswith("authentication failed: ")


def test_an_assistant_message_without_type_becomes_a_question(client: LocalClient) -> None:
    typed = user("two", role="assistant", type="answer")
    untyped = user("two", role="assistant", type=None)
    asked = [
        chat(client, 1, additional_messages=[user("one"), message, user("three")])
        for message in (typed, untyped)
    ]
    told = [plain(response)[-4][1]["content"] for response in asked]
    assert told == ["human one | ai two | human three", "human one | human two | human three"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/v3/chat/submit_tool_outputs"),
        ("GET", "/v1/workspaces"),
        ("GET", "/v1/users/me"),
        ("GET", "/v1/bots"),
        ("GET", "/v1/files/retrieve"),
        ("POST", "/v1/conversation/message/create"),
        ("POST", "/api/permission/oauth2/token"),
    ],
)
def test_routes_that_studio_lacks_are_404(client: LocalClient, verb: str, path: str) -> None:
    response = client.http.request(verb, path)
    assert (response.status_code, response.text) == (404, "404 page not found")


def test_conversations_and_files_have_the_form_of_studio(client: LocalClient) -> None:
    made = client.http.post("/v1/conversation/create", json={}).json()
    found = client.get("/v1/conversation/retrieve", conversation_id=made["data"]["id"])
    listed = client.http.post(
        "/v1/conversation/message/list", params={"conversation_id": made["data"]["id"]}, json={}
    ).json()
    uploaded = client.http.post("/v1/files/upload", files={"file": ("a.txt", b"x")}).json()
    assert list(made) == ["data", "code", "msg", "BaseResp"]
    assert found["ConversationData"]["id"] == made["data"]["id"]
    assert "creator_d" in found["ConversationData"]
    assert "detail" not in listed
    assert uploaded["data"].keys() == {"uri", "bytes", "CreatedAt", "file_name", "url", "id"}


def flow(client: LocalClient, **changes: Any) -> httpx.Response:
    body = {
        "workflow_id": FLOW.workflow_id,
        "bot_id": BOTS[0].bot_id,
        "additional_messages": [user()],
        "parameters": {"CONVERSATION_NAME": "Default"},
    }
    return client.http.post("/v1/workflows/chat", json=body | changes)


def numbered(response: httpx.Response) -> list[tuple[str, Any]]:
    found = re.findall(r"id: (\d+)\nevent: (.*)\ndata: (.*)\n\n", response.text)
    assert [int(number) for number, _, _ in found] == list(range(1, len(found) + 1))
    assert "".join(f"id: {i}\nevent: {n}\ndata: {d}\n\n" for i, n, d in found) == response.text
    return [(name, json.loads(data)) for _, name, data in found]


def test_a_chatflow_asks_a_question(client: LocalClient) -> None:
    first = numbered(flow(client))
    # The name alone leads to the same conversation.
    second = numbered(flow(client, additional_messages=[user("b")]))
    nameless = flow(client, parameters={})
    assert [name.rpartition(".")[2] for name, _ in first] == [
        *("created", "in_progress", "delta", "completed", "requires_action", "done"),
    ]
    assert list(first[0][1]) == ["id", "conversation_id", "status", "execute_id", "section_id"]
    assert list(first[-1][1]) == ["debug_url"]
    assert [name.rpartition(".")[2] for name, _ in second] == [
        *("created", "in_progress", "delta", "completed", "completed", "completed", "done"),
    ]
    assert [data["content"] for _, data in second[3:5]] == ["you said b", "more?"]
    assert {data["bot_id"] for _, data in second[2:6]} == {BOTS[0].bot_id}
    usage = second[-2][1]["usage"]
    assert usage["token_count"] == 2 * usage["output_count"]
    assert nameless.status_code == 400


def test_chat_coze_works_with_it(coze: LocalCoze) -> None:
    bot = ChatCoze(bot_id=BOTS[0].bot_id, api_key=coze.token, base_url=coze.base_url)
    answer = bot.invoke("hi")
    assert answer.content == "您 & 我"
    assert answer.additional_kwargs["reasoning_content"] == "好的"
    assert answer.usage_metadata is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_command_serves_a_chatflow_as_studio() -> None:
    target = "tests.integration_tests.local.test_local_studio:FLOW"
    process = run_command("--profile", "studio", "--token", "pat_mine", target)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith("Ctrl-C"):
            break
    base_url = lines[0].rpartition(" ")[2]
    wrong = httpx.get(f"{base_url}/v1/users/me", headers={"Authorization": "Bearer pat_mine"})
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert f"{FLOW.workflow_id}  flow" in lines
    assert (wrong.status_code, wrong.text) == (404, "404 page not found")
