"""Whole streams, byte for byte. What is expected is written out from the wire reference."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from langchain_core.documents import Document

from langchain_coze.local import (
    Card,
    Fail,
    FollowUp,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    NewAnswer,
    Reasoning,
    ServerTool,
    Verbose,
)
from tests.integration_tests.local.local_client import LocalClient, answers, events, masked, user

ZERO = '"usage":{"token_count":0,"output_count":0,"input_count":0}'

# The recorded turn of wire 2.4, its ids and times masked as the test masks ours.
NORMAL_TURN = (
    """event:conversation.chat.created
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"last_error":{"code":0,"msg":""},"status":"created",%ZERO%,"section_id":"<1>"}

event:conversation.chat.in_progress
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"last_error":{"code":0,"msg":""},"status":"in_progress",%ZERO%,"section_id":"<1>"}

event:conversation.message.delta
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"","content_type":"text","chat_id":"<0>","section_id":"<1>","reasoning_content":"好的"}

event:conversation.message.delta
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"您","content_type":"text","chat_id":"<0>","section_id":"<1>"}

event:conversation.message.delta
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":" \\u0026 \\u003cb\\u003e\\n","content_type":"text","chat_id":"<0>","section_id":"<1>"}

event:conversation.message.completed
data:{"id":"<3>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"answer","content":"您 \\u0026 \\u003cb\\u003e\\n","content_type":"text","chat_id":"<0>","section_id":"<1>","created_at":0}

event:conversation.message.completed
data:{"id":"<4>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"verbose","content":"{\\"msg_type\\":\\"generate_answer_finish\\",\\"data\\":\\"{\\\\\\"finish_reason\\\\\\":0,\\\\\\"FinData\\\\\\":\\\\\\"\\\\\\"}\\",\\"from_module\\":null,\\"from_unit\\":null}","content_type":"text","chat_id":"<0>","section_id":"<1>","created_at":0,"updated_at":0}

event:conversation.message.completed
data:{"id":"<5>","conversation_id":"<1>","bot_id":"<2>","role":"assistant","type":"follow_up","content":"提供一些话术","content_type":"text","chat_id":"<0>","section_id":"<1>","created_at":0,"updated_at":0}

event:conversation.chat.completed
data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,"completed_at":0,"last_error":{"code":0,"msg":""},"status":"completed","usage":{"token_count":6,"output_count":5,"input_count":1,"input_tokens_details":{"cached_tokens":0},"output_tokens_details":{"reasoning_tokens":2}},"section_id":"<1>"}

event:done
data:"[DONE]"

"""  # noqa: E501 - lines of the wire are as long as they are
).replace("%ZERO%", ZERO)

# Wire 3.1, with a web page as source and an ampersand in its address.
RECALL_CONTENT = (
    r'"content":"{\"msg_type\":\"knowledge_recall\",\"data\":\"{\\\"chunks\\\":[{\\\"slice\\\":'
    r"\\\"green tea\\\",\\\"score\\\":0.625,\\\"meta\\\":{\\\"dataset\\\":{\\\"id\\\":"
    r"\\\"<4>\\\",\\\"name\\\":\\\"kb\\\"},\\\"document\\\":{\\\"id\\\":\\\"<5>\\\",\\\"name\\\":"
    r"\\\"doc\\\",\\\"format_type\\\":0,\\\"source_type\\\":1},\\\"link\\\":{\\\"title\\\":"
    r"\\\"kb_doc\\\",\\\"url\\\":\\\"https://h/p?a=1\\\\u0026b=2\\\"},\\\"card\\\":{\\\"title\\\":"
    r"\\\"kb\\\",\\\"con\\\":\\\"green tea\\\",\\\"index\\\":\\\"1\\\"}}}],\\\"ori_req\\\":"
)


def test_normal_turn_byte_for_byte() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield Reasoning("好的")
        yield "您"
        yield " & <b>\n"
        yield FollowUp("提供一些话术")

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        response = client.chat()
    assert masked(response.content) == NORMAL_TURN
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert len(response.headers["x-tt-logid"]) == 34


def recall_of(data: Any) -> Any:
    return json.loads(json.loads(data["content"])["data"])


def test_recall_byte_for_byte_and_its_leak() -> None:
    page = Document("green tea", metadata={"title": "doc", "source": "https://h/p?a=1&b=2"})
    bot = LocalBot(lambda _: "x", knowledge=LocalKnowledge([page], name="kb"), name="kb bot")
    with LocalCoze(bot) as coze, LocalClient(coze) as client:
        response = client.chat(additional_messages=[user("tea")])
        nothing = client.chat(additional_messages=[user("coffee")])
    stream = masked(response.content)
    # One passage of average length that has the one term of the question: 1 / (1 + 0.6).
    assert RECALL_CONTENT in stream
    recall = recall_of(events(response)[2][1])
    assert list(recall) == ["chunks", "ori_req", "status_code"]
    context = json.loads(json.loads(recall["ori_req"])["scene_context"]["bot_context"])
    assert context["coze_api_key_owner_id"] > 2**53
    empty = recall_of(events(nothing)[2][1])
    assert (empty["chunks"], empty["status_code"]) == ([], 0)


def test_tools_answers_cards_and_verbose_in_order() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield ServerTool("weather-today", {"city": "杭州"}, "22 & sunny")
        yield "one"
        yield NewAnswer()
        yield "two"
        yield Card({"card_type": 3})
        yield Verbose("multi_agents_jump_to_agent", {"agent_id": "1"})

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        response = client.chat()
    got = [
        (n.rpartition(".")[2], d.get("type"), d.get("content")) for n, d in events(response)[2:-2]
    ]
    assert [item[:2] for item in got] == [
        ("completed", "function_call"),
        ("completed", "tool_response"),
        ("delta", "answer"),
        ("completed", "answer"),
        ("delta", "answer"),
        ("completed", "answer"),
        ("completed", "answer"),
        ("completed", "verbose"),
        ("completed", "verbose"),
    ]
    call = json.loads(got[0][2])
    assert call["arguments"] == {"city": "杭州"}
    assert (call["plugin_name"], call["api_name"]) == ("weather", "today")
    assert got[1][2] == (
        '{"content_type":1,"response_for_model":"22 \\u0026 sunny","type_for_model":1}'
    )
    assert answers(response) == ["one", "two", '{"card_type":3}']
    messages = [d for _, d in events(response)[2:-2]]
    assert messages[6]["content_type"] == "card"
    assert messages[2]["id"] == messages[3]["id"] != messages[4]["id"]
    # The first answer's id is smaller than that of the tool call before it.
    assert messages[2]["id"] < messages[0]["id"]


def test_a_failed_turn_ends_with_its_error() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield "half"
        yield Fail(4014, "cannot answer")

    def broken(_question: str) -> str:
        raise LookupError("no model")

    with LocalCoze([LocalBot(reply), LocalBot(broken)]) as coze, LocalClient(coze) as client:
        got = events(client.chat())
        other = events(client.chat(bot_id=coze.bots[1].bot_id))
    name, chat = got[-1]
    assert name == "conversation.chat.failed"
    assert chat["last_error"] == {"code": 4014, "msg": "cannot answer"}
    assert chat["failed_at"] == chat["completed_at"] >= chat["created_at"]
    assert list(chat) == [
        *("id", "conversation_id", "bot_id", "created_at", "completed_at", "failed_at"),
        *("last_error", "status", "usage", "section_id"),
    ]
    assert other[-1][1]["last_error"] == {"code": 5000, "msg": "LookupError: no model"}


def reads_with_deltas(client: LocalClient) -> list[bytes]:
    with client.http.stream("POST", "/v3/chat", json=client.body()) as response:
        return [chunk for chunk in response.iter_raw() if b"message.delta" in chunk]


def test_deltas_arrive_one_by_one_with_a_delay() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        for letter in "abcdef":
            yield letter

    with LocalCoze(LocalBot(reply, delay=0.02)) as coze, LocalClient(coze) as client:
        reads = reads_with_deltas(client)
    assert len(reads) == 6


def test_a_burst_joins_deltas() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        for letter in "abcdef":
            yield letter

    with LocalCoze(LocalBot(reply, burst=100)) as coze, LocalClient(coze) as client:
        reads = reads_with_deltas(client)
    assert reads[0].count(b"message.delta") == 6


def test_the_request_log_keeps_the_newest_requests() -> None:
    with (
        LocalCoze(LocalBot(lambda _: "x", name="b"), request_log=2) as coze,
        LocalClient(coze) as client,
    ):
        client.chat()
        client.chat(conversation_id="1", user_id="扣子")
        client.get("/v1/users/me", a="1")
        first, second = coze.requests
        assert (first.method, first.path, first.query) == (
            *("POST", "/v3/chat"),
            {"conversation_id": "1"},
        )
        assert first.body["user_id"] == "扣子"
        assert first.headers["authorization"] == f"Bearer {coze.token}"
        assert (second.path, second.query, second.body) == ("/v1/users/me", {"a": "1"}, None)
        coze.reset()
        assert coze.requests == []


def test_servers_side_by_side_are_independent() -> None:
    with LocalCoze() as one, LocalCoze() as two:
        assert one.base_url != two.base_url
        assert one.token != two.token
        wrong = httpx.get(
            f"{two.base_url}/v1/users/me", headers={"Authorization": f"Bearer {one.token}"}
        )
        assert wrong.json()["code"] == 700012006
