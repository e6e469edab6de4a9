"""The manners of Coze Studio that no recording has; test_local_studio_recordings has the others."""

import json
import re
import signal
import sys
import uuid
from typing import Any

import httpx
import pytest

from langchain_coze import ChatCoze
from langchain_coze.local import ClientTool, LocalBot, LocalChatflow, LocalCoze, Reasoning, Turn
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, user
from tests.integration_tests.local.test_local_faults_served import run_command


def recite(_question: str, turn: Turn) -> str:
    return " | ".join(f"{message.type} {message.text}" for message in turn.messages)


BOTS = [
    LocalBot(lambda _: [Reasoning("好的"), "您 & 我"], name="think"),
    LocalBot(recite),
    LocalBot(lambda _: [ClientTool("x")], name="client tool"),
]
FLOW = LocalChatflow(lambda question: ["you said ", question], name="flow", follow_ups=["more?"])

coze = serve(BOTS, chatflows=FLOW, profiles=["studio"])


def plain(response: httpx.Response) -> list[tuple[str, Any]]:
    """Names and data of a stream; the end has no data."""
    found = re.findall(r"event:(.*)\ndata:(.*)\n\n", response.text)
    assert "".join(f"event:{n}\ndata:{d}\n\n" for n, d in found) == response.text
    return [(name, json.loads(data) if data else None) for name, data in found]


def test_a_chat_is_streamed_unless_stream_is_exactly_false(client: LocalClient) -> None:
    body = client.body()
    del body["stream"]
    response = client.http.post("/v3/chat", json=body)
    assert plain(response)[-1] == ("conversation.stream.done", None)
    assert plain(client.chat(stream=None))
    assert response.headers["x-accel-buffering"] == "no"
    assert "x-tt-logid" not in response.headers
    assert uuid.UUID(response.headers["x-log-id"])
    created = client.chat(stream=False, auto_save_history=False).json()
    assert list(created) == ["data", "code", "msg", "BaseResp"]


def test_an_assistant_message_without_type_becomes_a_question(client: LocalClient) -> None:
    typed = user("two", role="assistant", type="answer")
    untyped = user("two", role="assistant", type=None)
    asked = [
        client.chat(
            bot_id=BOTS[1].bot_id, additional_messages=[user("one"), message, user("three")]
        )
        for message in (typed, untyped)
    ]
    told = [plain(response)[-4][1]["content"] for response in asked]
    assert told == ["human one | ai two | human three", "human one | human two | human three"]


def test_two_chats_run_in_one_conversation(client: LocalClient) -> None:
    conversation = client.created()["conversation_id"]
    for _ in range(2):
        reply = client.chat(stream=False, conversation_id=conversation).json()
        assert reply["data"]["conversation_id"] == conversation


def test_a_tool_of_the_client_fails_the_turn(client: LocalClient) -> None:
    events = plain(client.chat(bot_id=BOTS[2].bot_id))
    assert [(name, (data or {}).get("code")) for name, data in events[-3:]] == [
        *(("error", 103200002), ("conversation.chat.completed", None)),
        ("conversation.stream.done", None),
    ]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/v1/workspaces"),
        ("GET", "/v1/users/me"),
        ("GET", "/v1/bots"),
        ("GET", "/v1/files/retrieve"),
        ("POST", "/v1/conversation/message/create"),
        ("POST", "/api/permission/oauth2/token"),
    ],
)
def test_routes_that_studio_lacks_are_401(client: LocalClient, verb: str, path: str) -> None:
    response = client.http.request(verb, path)
    assert (response.status_code, response.json()) == (
        *(401,),
        {"code": 401, "msg": "missing session_key in cookie"},
    )


def test_follow_ups_of_a_chatflow_come_before_its_end(client: LocalClient) -> None:
    body = {
        "workflow_id": FLOW.workflow_id,
        "additional_messages": [user()],
        "parameters": {"CONVERSATION_NAME": "Default"},
    }
    text = client.http.post("/v1/workflows/chat", json=body).text
    assert text.index('"type":"follow_up"') < text.index("event: conversation.chat.completed")


def test_chat_coze_works_with_it(coze: LocalCoze) -> None:
    bot = ChatCoze(bot_id=BOTS[0].bot_id, api_key=coze.token, base_url=coze.base_url)
    answer = bot.invoke("hi")
    assert answer.content == "您 & 我"
    assert answer.additional_kwargs["reasoning_content"] == "好的"
    assert answer.usage_metadata


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
    assert wrong.status_code == 401
