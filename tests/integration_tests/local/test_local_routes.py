"""Every route and every error, over a real socket."""

import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from langchain_coze.local import (
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    Pause,
    Reasoning,
    ServerTool,
    Turn,
)
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, answers, events, user
from tests.integration_tests.local.polling import wait_for_chat

ECHO = LocalBot(lambda question: f"echo {question}", name="echo")
HIDDEN = LocalBot(lambda _: "secret", name="hidden", published=False)

coze = serve([ECHO, HIDDEN])


def test_create_reply_has_no_detail(client: LocalClient) -> None:
    response = client.chat(stream=False, meta_data={"k": "v"})
    reply = response.json()
    assert list(reply) == ["data", "code", "msg"]
    assert list(reply["data"]) == [
        *("id", "conversation_id", "bot_id", "created_at", "last_error", "status"),
    ]
    assert reply["data"]["status"] == "in_progress"
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert len(response.headers["x-tt-logid"]) == 34


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_chat_is_retrieved_with_get_and_post(client: LocalClient, verb: str) -> None:
    chat = client.created(meta_data={"k": "v"})
    wait_for_chat(client, chat)
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    response = client.http.request(verb, "/v3/chat/retrieve", params=ids)
    reply = response.json()
    assert reply["code"] == 0
    assert reply["detail"]["logid"] == response.headers["x-tt-logid"]
    assert reply["data"]["status"] == "completed"
    assert reply["data"]["meta_data"] == {"k": "v"}
    assert reply["data"]["usage"]["token_count"] > 0


def test_chat_of_another_conversation_is_not_found(client: LocalClient) -> None:
    chat, other = client.created(), client.created()
    mixed = {"conversation_id": other["conversation_id"], "chat_id": chat["id"]}
    assert client.get("/v3/chat/retrieve", **mixed)["code"] == 4001


def test_the_message_list_has_the_documented_order() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield ServerTool("a-b", {}, {"ok": 1})
        yield Reasoning("think")
        yield "answer"

    knowledge = LocalKnowledge(["hi there"])
    bot = LocalBot(reply, knowledge=knowledge, follow_ups=["more?"])
    with LocalCoze(bot) as coze, LocalClient(coze) as client:
        chat = client.created()
        wait_for_chat(client, chat)
        ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
        listed = client.get("/v3/chat/message/list", **ids)["data"]
    assert [message["type"] for message in listed] == [
        *("verbose", "function_call", "tool_response", "answer", "verbose", "follow_up"),
    ]
    assert listed[3]["reasoning_content"] == "think"
    assert listed[2]["content"] == '{"ok":1}'
    assert list(listed[0]) == sorted(listed[0])


def test_a_conversation_keeps_its_history() -> None:
    def recite(_question: str, turn: Turn) -> str:
        return " | ".join(message.text for message in turn.messages)

    bot = LocalBot(recite, name="recite")
    with LocalCoze(bot) as coze, LocalClient(coze) as own:
        made = own.http.post("/v1/conversation/create", json={"messages": [user("zero")]})
        conversation = made.json()["data"]["id"]
        first = own.chat(conversation_id=conversation, additional_messages=[user("one")])
        second = own.chat(conversation_id=conversation, additional_messages=[user("two")])
        unsaved = own.chat(
            conversation_id=conversation,
            additional_messages=[user("three")],
            auto_save_history=False,
        )
        again = own.chat(conversation_id=conversation, additional_messages=[])
        # In the body it does nothing: a new conversation starts.
        fresh = own.http.post("/v3/chat", json=own.body() | {"conversation_id": conversation})
    assert answers(first) == ["zero | one"]
    assert answers(second) == ["zero | one | zero | one | two"]
    assert answers(unsaved)[0].endswith("| two | zero | one | zero | one | two | three")
    assert "three" not in answers(again)[0]
    assert events(fresh)[0][1]["conversation_id"] != conversation
    assert answers(fresh) == ["hi"]


def test_unsaved_chat_cannot_be_found(client: LocalClient) -> None:
    chat = events(client.chat(auto_save_history=False))[0][1]
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    assert client.get("/v3/chat/retrieve", **ids)["code"] == 4001
    assert client.get("/v3/chat/message/list", **ids)["code"] == 4001
    assert client.http.post("/v3/chat/cancel", json=ids).json()["code"] == 4001


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bot_id": "7000000000000000001"}, 4200),
        ({"bot_id": "no-such-bot"}, 4006),
        ({"bot_id": HIDDEN.bot_id}, 4015),
        ({"conversation_id": "7000000000000000001"}, 4002),
        ({"additional_messages": []}, 4000),
        ({"additional_messages": [user(role="assistant", type="answer")]}, 4000),
        ({"additional_messages": [user(role="system")]}, 4000),
        ({"additional_messages": [user()] * 101}, 4004),
        ({"meta_data": {"k": "v" * 513}}, 4003),
        ({"stream": False, "auto_save_history": False}, 4007),
        ({"publish_status": "unpublished_draft", "bot_version": "1"}, 4000),
    ],
)
def test_invalid_chats_are_refused(client: LocalClient, change: dict[str, Any], code: int) -> None:
    response = client.chat(**change)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    reply = response.json()
    assert list(reply) == ["code", "msg", "detail"]
    assert (reply["code"], reply["detail"]["logid"]) == (code, response.headers["x-tt-logid"])


def test_the_draft_of_an_unpublished_bot_can_be_tried(client: LocalClient) -> None:
    response = client.chat(bot_id=HIDDEN.bot_id, publish_status="unpublished_draft")
    assert answers(response) == ["secret"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer pat_x"}, {"Authorization": "x"}])
def test_a_wrong_token_is_refused(coze: LocalCoze, header: dict[str, str]) -> None:
    # As probed in 2026-10: 4101 with status 200 for a chat, 401 for all other calls (wire 1.5).
    chat = httpx.post(f"{coze.base_url}/v3/chat", json={"bot_id": ECHO.bot_id}, headers=header)
    reply = chat.json()
    assert (chat.status_code, reply["code"]) == (200, 4101)
    assert reply["msg"].startswith("The token you entered is incorrect. Please double-check")
    assert list(reply) == ["code", "msg", "detail"]
    other = httpx.get(f"{coze.base_url}/v3/chat/retrieve", headers=header)
    assert (other.status_code, other.json()) == (
        *(401,),
        {"code": 700012006, "msg": "access token invalid"},
    )


def test_an_unknown_bot_is_reported_before_a_wrong_token(coze: LocalCoze) -> None:
    headers = {"Authorization": "Bearer pat_x"}
    reply = httpx.post(f"{coze.base_url}/v3/chat", json={"bot_id": "1"}, headers=headers).json()
    assert reply["code"] == 4200
    assert reply["msg"] == (
        "Requested resource bot_id=1 does not exist. Ensure you are the correct resource "
        "identifier."
    )


@pytest.mark.parametrize(
    "field", [{"user_id": 42}, {"bot_id": 7}, {"connector_id": 1024}, {"bot_version": 3}]
)
def test_a_number_is_no_string(client: LocalClient, field: dict[str, Any]) -> None:
    reply = client.chat(**field).json()
    assert reply["code"] == 4000
    assert reply["msg"] == (
        "The field http body provided is not a valid json or chat request. Please check your input."
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_bodies_that_are_not_json_objects_are_refused(client: LocalClient, body: bytes) -> None:
    assert client.http.post("/v3/chat", content=body).json()["code"] == 4000


def test_a_body_over_the_limit_is_refused(client: LocalClient) -> None:
    reply = client.http.post("/v3/chat", content=b" " * (15 * 1024 * 1024 + 1)).json()
    assert reply["code"] == 4000
    assert "15 MB" in reply["msg"]


def test_replies_on_a_kept_connection_are_not_delayed(client: LocalClient) -> None:
    client.get("/v1/users/me")
    begin = time.monotonic()
    for _ in range(20):
        client.get("/v1/users/me")
    # With Nagle's algorithm on, each takes 40 ms.
    assert time.monotonic() - begin < 0.6


def test_unknown_routes_are_404(client: LocalClient) -> None:
    reply = client.http.post("/v2/chat")
    assert (reply.status_code, reply.json()) == (
        404,
        {
            "code": 4000,
            "msg": "The requested API endpoint POST /v2/chat does not exist. Please verify the "
            "URL and try again. All available API paths are listed in the documentation: "
            "https://www.coze.cn/docs/developer_guides/api_overview",
        },
    )
    assert client.http.get("/v3/chat").status_code == 404


def test_a_conversation_has_one_chat_at_a_time_until_it_is_cancelled() -> None:
    started = threading.Event()

    async def reply(question: str) -> AsyncIterator[Any]:
        yield "half"
        started.set()
        yield Pause(0 if question == "quick" else 0.3)
        yield " whole"

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        conversation = client.http.post("/v1/conversation/create").json()["data"]["id"]
        with client.http.stream(
            "POST", "/v3/chat", json=client.body(), params={"conversation_id": conversation}
        ) as response:
            assert started.wait(5)
            ((name, busy),) = events(client.chat(conversation_id=conversation))
            assert (name, busy["code"]) == ("error", 4016)
            polled = client.chat(conversation_id=conversation, stream=False)
            assert polled.json()["code"] == 4016
            chunks = response.iter_raw()
            first = next(chunks).decode()
            chat_id = json.loads(first.split("data:")[1].split("\n")[0])["id"]
            ids = {"conversation_id": conversation, "chat_id": chat_id}
            cancelled = client.http.post("/v3/chat/cancel", json=ids).json()["data"]
            # Cancelling frees the conversation, and does not end the stream (wire 2.8).
            quick = client.chat(conversation_id=conversation, additional_messages=[user("quick")])
            rest = b"".join(chunks).decode()
        again = client.http.post("/v3/chat/cancel", json=ids).json()
        kept = client.get("/v3/chat/retrieve", **ids)["data"]
    assert (cancelled["status"], cancelled["failed_at"], cancelled["usage"]) == (
        "canceled",
        None,
        {},
    )
    assert answers(quick) == ["half whole"]
    # One question of its own; the cancelled turn is no context.
    assert events(quick)[-2][1]["usage"]["input_count"] == 2
    assert "half whole" in rest
    assert rest.endswith('event:done\ndata:"[DONE]"\n\n')
    assert again["code"] == 4104
    assert kept["status"] == "canceled"


def test_a_running_chat_that_is_not_saved_can_be_cancelled() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield "half"
        yield Pause(0.3)
        yield " whole"

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        body = client.body() | {"auto_save_history": False}
        with client.http.stream("POST", "/v3/chat", json=body) as response:
            chunks = response.iter_raw()
            created = json.loads(next(chunks).decode().split("data:")[1].split("\n")[0])
            ids = {"conversation_id": created["conversation_id"], "chat_id": created["id"]}
            cancelled = client.http.post("/v3/chat/cancel", json=ids).json()
            assert (cancelled["code"], cancelled["data"]["status"]) == (0, "canceled")
            other = client.http.post("/v3/chat/cancel", json=ids | {"conversation_id": "1"}).json()
            assert other["code"] == 4001
            list(chunks)


def test_a_finished_chat_cannot_be_cancelled(client: LocalClient) -> None:
    chat = client.created()
    wait_for_chat(client, chat)
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    assert client.http.post("/v3/chat/cancel", json=ids).json()["code"] == 4104


def test_quotas_of_bot_and_server_are_enforced() -> None:
    limited = LocalBot(lambda _: "x", name="limited", quota=1)
    with LocalCoze([limited, ECHO], quota=3) as coze, LocalClient(coze) as client:

        def ask(bot: LocalBot) -> int:
            chat = events(client.chat(bot_id=bot.bot_id))[-1]
            return 0 if chat[0] == "done" else chat[1]["last_error"]["code"]

        codes = [ask(limited) for _ in range(2)]
        other = [ask(ECHO) for _ in range(3)]
        assert (codes, other) == ([0, 4028], [0, 0, 4028])
        created = client.created()  # it starts all the same, as on Coze
        failed = wait_for_chat(client, created)["data"]
        assert (failed["status"], failed["last_error"]["code"]) == ("failed", 4028)
        assert "Your free quota has been used up" in failed["last_error"]["msg"]
        coze.reset()
        assert ask(limited) == 0


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"bot_id": "7000000000000000001"}, 404),
        ({"additional_messages": []}, 400),
    ],
)
def test_errors_may_have_real_http_statuses(change: dict[str, Any], status: int) -> None:
    with LocalCoze(ECHO, error_status="real") as coze, LocalClient(coze) as client:
        assert client.chat(**change).status_code == status
        assert httpx.get(f"{coze.base_url}/v1/users/me").status_code == 401


def test_workspaces_and_bots_are_listed_in_pages(client: LocalClient) -> None:
    workspaces = client.get("/v1/workspaces")["data"]
    space = workspaces["workspaces"][0]["id"]
    assert workspaces["total_count"] == 1
    bots = client.get("/v1/bots", workspace_id=space)["data"]
    assert [bot["id"] for bot in bots["items"]] == [ECHO.bot_id]
    every = client.get("/v1/bots", workspace_id=space, publish_status="all", page_size="1")["data"]
    assert (len(every["items"]), every["total"]) == (1, 2)
    page = client.get("/v1/bots", workspace_id=space, publish_status="all", page_num="3")["data"]
    assert page["items"] == []
    old = client.get("/v1/space/published_bots_list", space_id=space)["data"]
    assert old["space_bots"][0]["bot_name"] == "echo"
    assert client.get("/v1/bots", workspace_id="1")["code"] == 4101
    assert client.get("/v1/bots")["code"] == 4000
    assert client.get("/v1/bots", workspace_id=space, page_num="x")["code"] == 4000
    assert client.get("/v1/users/me")["data"]["user_id"].isdecimal()


def test_a_bot_is_retrieved_by_its_id(client: LocalClient) -> None:
    found = client.get(f"/v1/bots/{ECHO.bot_id}")["data"]
    assert (found["bot_id"], found["name"], found["bot_mode"]) == (ECHO.bot_id, "echo", 0)
    assert client.get(f"/v1/bots/{HIDDEN.bot_id}")["code"] == 4015
    draft = client.get(f"/v1/bots/{HIDDEN.bot_id}", is_published="false")["data"]
    assert draft["name"] == "hidden"
    assert client.get("/v1/bot/get_online_info", bot_id=ECHO.bot_id)["data"]["name"] == "echo"


def test_a_conversation_is_created_and_retrieved(client: LocalClient) -> None:
    body = {"bot_id": ECHO.bot_id, "name": "n", "meta_data": {"k": "v"}}
    made = client.http.post("/v1/conversation/create", json=body).json()["data"]
    found = client.get("/v1/conversation/retrieve", conversation_id=made["id"])["data"]
    assert found == made
    assert (made["name"], made["meta_data"], made["connector_id"]) == ("n", {"k": "v"}, "1024")
    assert made["last_section_id"]
    assert client.get("/v1/conversation/retrieve", conversation_id="1")["code"] == 4002
    long = {"name": "n" * 101}
    assert client.http.post("/v1/conversation/create", json=long).json()["code"] == 4000
