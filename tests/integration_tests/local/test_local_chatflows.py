"""Chatflows, over a real socket (wire 4.6)."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from langchain_coze.local import (
    Ask,
    ClientTool,
    Fail,
    FollowUp,
    LocalBot,
    LocalChatflow,
    LocalCoze,
    Turn,
)
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, user

APP = "7400000000000000001"


async def echo(question: str, turn: Turn) -> AsyncIterator[Any]:
    yield f"{turn.user_id}: "
    yield f"{question} & {turn.parameters.get('city', '')} {len(turn.messages)}"
    yield FollowUp("more?")


def ask(question: str) -> Iterator[Any]:
    city = yield Ask("Where to?")
    yield f"{question} {city}"


FLOWS = [
    LocalChatflow(echo),
    LocalChatflow(echo, name="of app", app_id=APP),
    LocalChatflow(ask),
    LocalChatflow(lambda _: [Fail(5000, "node & failed")], name="fails"),
    LocalChatflow(lambda _: [ClientTool("x")], name="client tool"),
    LocalChatflow(lambda _: "x", name="hidden", published=False),
    LocalChatflow(lambda _: "x", name="cut", faults="failed=4013"),
]

coze = serve(LocalBot(lambda _: "bot", name="bot"), chatflows=FLOWS)


def run(client: LocalClient, flow: LocalChatflow, **changes: Any) -> httpx.Response:
    body: dict[str, Any] = {
        "workflow_id": flow.workflow_id,
        "bot_id": client.bot.bot_id,
        "additional_messages": [user()],
        "parameters": {},
    }
    return client.http.post("/v1/workflows/chat", json=body | changes)


def spaced(response: httpx.Response) -> list[tuple[str, Any]]:
    """Names and data of a stream in the dialect with spaces and without ids."""
    found = re.findall(r"event: (.*)\ndata: (.*)\n\n", response.text)
    assert "".join(f"event: {n}\ndata: {d}\n\n" for n, d in found) == response.text
    return [(name, json.loads(data)) for name, data in found]


def answers(response: httpx.Response) -> list[str]:
    completed = [d for n, d in spaced(response) if n == "conversation.message.completed"]
    return [d["content"] for d in completed if d["type"] == "answer"]


def test_a_turn_has_the_events_of_a_chatflow(client: LocalClient) -> None:
    response = run(client, FLOWS[0], parameters={"city": "杭州"}, ext={"user_id": "ada"})
    got = spaced(response)
    assert [name.partition("conversation.")[2] or name for name, _ in got] == [
        *("chat.created", "chat.in_progress", "message.delta", "message.delta"),
        *("message.completed", "message.completed", "message.completed", "chat.completed", "done"),
    ]
    assert answers(response) == ["ada: hi & 杭州 1"]
    assert [d.get("type") for _, d in got[4:7]] == ["answer", "verbose", "follow_up"]
    assert not any("bot_id" in data for _, data in got)
    created, completed = got[0][1], got[-2][1]
    assert created.keys() == {
        *("id", "conversation_id", "created_at", "last_error", "status", "usage", "section_id"),
        "inserted_additional_messages",
    }
    inserted = [data["inserted_additional_messages"] for _, data in got if "status" in data]
    assert len(inserted) == 3
    assert all(re.fullmatch(r"\d+", ids[0]["id"]) and len(ids) == 1 for ids in inserted)
    assert completed["usage"]["token_count"] > 0
    assert completed["usage"].keys() >= {"token_count", "output_count", "input_count"}
    assert re.fullmatch(
        r"https://www\.coze\.cn/work_flow\?execute_id=\d+\\u0026space_id=\d+"
        rf"\\u0026workflow_id={FLOWS[0].workflow_id}\\u0026execute_mode=2",
        re.findall(r'event: done\ndata: {"debug_url":"(.*)"}\n\n$', response.text)[0],
    )


def test_a_question_ends_with_requires_action(client: LocalClient) -> None:
    first = run(client, FLOWS[2])
    got = spaced(first)
    assert [name.rpartition(".")[2] for name, _ in got] == [
        *("created", "in_progress", "delta", "completed", "completed", "completed"),
        *("requires_action", "done"),
    ]
    assert got[6][1]["required_action"]["submit_tool_outputs"]["tool_calls"] == [
        {"id": "", "type": "reply_message", "function": None, "require_info": None}  # wire 4.6
    ]
    interrupt, finish = (json.loads(data["content"]) for _, data in got[4:6])
    assert (interrupt["msg_type"], interrupt["data"]) == ("interrupt", "")
    assert json.loads(finish["data"])["finish_reason"] == 1
    again = run(
        client,
        FLOWS[2],
        conversation_id=got[0][1]["conversation_id"],
        additional_messages=[user("苏州")],
    )
    assert answers(first) == ["Where to?"]
    assert answers(again) == ["hi 苏州"]


def test_a_conversation_keeps_its_turns(client: LocalClient) -> None:
    conversation = spaced(run(client, FLOWS[0]))[0][1]["conversation_id"]
    again = run(client, FLOWS[0], conversation_id=conversation)
    assert answers(again) == [": hi &  3"]


def test_failures_end_the_stream_with_their_code(client: LocalClient) -> None:
    assert spaced(run(client, FLOWS[3]))[-1] == (
        "conversation.chat.failed",
        {"code": "5000", "msg": "node & failed"},
    )
    name, data = spaced(run(client, FLOWS[4]))[-1]
    assert (name, "client tools" in data["msg"]) == ("conversation.chat.failed", True)
    assert spaced(run(client, FLOWS[6]))[-1][1]["code"] == "4013"


def test_a_conversation_is_found_by_its_name(client: LocalClient) -> None:
    named = {"bot_id": None, "app_id": APP, "parameters": {"CONVERSATION_NAME": "会话"}}
    unknown = run(client, FLOWS[1], **named)
    made = client.http.post("/v1/conversation/create", json={"name": "会话"}).json()["data"]
    known = run(client, FLOWS[1], **named)
    assert unknown.text == (
        'event: conversation.chat.failed\ndata: {"code": "720702204","msg": "会话名不存在"}\n\n'
    )
    assert unknown.headers["content-type"].startswith("text/event-stream")
    assert spaced(known)[0][1]["conversation_id"] == made["id"]


def test_parameters_may_be_null(client: LocalClient) -> None:
    """The official Python SDK sends null where it is given none."""
    response = run(client, FLOWS[0], parameters=None)
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("flow", "changes", "code"),
    [
        (0, {"workflow_id": "7000000000000000001"}, 4200),
        (5, {}, 4200),
        (0, {"additional_messages": [user()] * 51}, 4004),
        (0, {"bot_id": "7000000000000000001"}, 4200),
        (0, {"conversation_id": "7000000000000000001"}, 4002),
    ],
)
def test_invalid_requests_are_refused_without_a_stream(
    client: LocalClient, flow: int, changes: dict[str, Any], code: int
) -> None:
    response = run(client, FLOWS[flow], **changes)
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["code"] == code


@pytest.mark.parametrize(
    ("flow", "changes"),
    [
        (0, {"additional_messages": []}),
        (0, {"additional_messages": [user("")]}),
        (0, {"additional_messages": [user(content_type=None)]}),
        (0, {"additional_messages": [user(role=None)]}),
        (0, {"additional_messages": [user(role="assistant", type="answer")]}),
        (0, {"additional_messages": [user("[]", content_type="object_string")]}),
        (0, {"parameters": "x"}),
        (0, {"connector_id": 1024}),
        (0, {"app_id": APP}),
        (0, {"bot_id": None}),
        (1, {}),
    ],
)
def test_invalid_parameters_fail_in_the_stream(
    client: LocalClient, flow: int, changes: dict[str, Any]
) -> None:
    assert run(client, FLOWS[flow], **changes).text == (
        'event: conversation.chat.failed\ndata: {"code": "4000","msg": "Invalid request '
        "parameters. Please check your input and ensure all required fields are correctly "
        'formatted and within allowed ranges."}\n\n'
    )


def test_faults_hit_the_chatflow_and_not_the_bot_it_runs_in(
    client: LocalClient, coze: LocalCoze
) -> None:
    coze.faults = "error=4009,on=/v3/chat"
    try:
        assert client.chat().json()["code"] == 4009
        assert answers(run(client, FLOWS[0])) == [": hi &  1"]
    finally:
        coze.faults = ()
    coze.faults = "failed=720712000,on=/v1/workflows/chat"
    try:
        *_, (name, data) = spaced(run(client, FLOWS[0]))
    finally:
        coze.faults = ()
    assert (name, data["code"]) == ("conversation.chat.failed", "720712000")


def test_two_chatflows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two chatflows"):
        LocalCoze(chatflows=[LocalChatflow(echo), LocalChatflow(echo)])
    with pytest.raises(TypeError):
        LocalCoze(chatflows=3)
