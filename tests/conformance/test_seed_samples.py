"""The code samples of the two documents that the project began with, against the local server.

SEED-A is a blog post with Python code for the bot API, SEED-B a skill file for agents. Their
substance is typed anew here with httpx: a streamed chat, a polled one, the parsing of a recall and
the run of a workflow. Where the documents are wrong a comment says what they claim (wire 0, 2.1,
3.4, 4.1 and appendix C), and the test asserts what really happens.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, Turn

QUESTION = "How do I brew green tea?"
ADDRESS = "https://example.com/tea?kind=green&water=80"
# The name of this page has the letters that the samples replace.
PLAIN_ADDRESS = "https://example.com/wiki?page=u0026"
SLICES = ["Brew green tea at 80 degrees.", "How green tea is named."]


def count(_question: str, turn: Turn) -> Iterator[str]:
    yield "message "
    yield str(len(turn.entries))


def served(profile: str = "cloud", **settings: Any) -> LocalCoze:
    pages = zip(SLICES, (ADDRESS, PLAIN_ADDRESS), strict=True)
    documents = [Document(text, metadata={"source": link}) for text, link in pages]
    bot = LocalBot(count, knowledge=LocalKnowledge(documents), **settings)

    def brew(kind: str) -> str:
        return f"{kind} tea"

    return LocalCoze(bot, workflows=brew, profile=profile)


def client_of(coze: LocalCoze) -> httpx.Client:
    headers = {"Authorization": f"Bearer {coze.token}", "Content-Type": "application/json"}
    return httpx.Client(base_url=coze.base_url, headers=headers, trust_env=False)


def chat_body(coze: LocalCoze, **changes: Any) -> dict[str, Any]:
    question = {"role": "user", "content": QUESTION, "content_type": "text"}
    body = {"bot_id": coze.bots[0].bot_id, "user_id": "123", "additional_messages": [question]}
    return body | {"stream": False, "auto_save_history": True} | changes


def events(client: httpx.Client, body: dict[str, Any], **query: str) -> list[tuple[str, Any]]:
    """The loop of SEED-A: the name of the event is kept until its data comes."""
    found, name = [], ""
    with client.stream("POST", "/v3/chat", params=query, json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line.removeprefix("event:")
            elif line.startswith("data:"):
                text = line.removeprefix("data:")
                found.append((name, json.loads(text) if text else None))
    return found


def answer_of(told: list[tuple[str, Any]]) -> str:
    return "".join(data["content"] for name, data in told if name == "conversation.message.delta")


def polled(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The three steps of SEED-A: create, retrieve until it has ended, list the messages."""
    made = client.post("/v3/chat", json=body).json()["data"]
    ids = {"conversation_id": made["conversation_id"], "chat_id": made["id"]}
    status = made["status"]
    for _ in range(200):
        if status not in {"created", "in_progress"}:
            break
        time.sleep(0.02)  # the samples wait for a second
        status = client.get("/v3/chat/retrieve", params=ids).json()["data"]["status"]
    assert status == "completed"
    listed: list[dict[str, Any]] = client.get("/v3/chat/message/list", params=ids).json()["data"]
    return listed


def recalled(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chunks of the recall, found by what a message is and not by where it stands."""
    contents = [json.loads(one["content"]) for one in messages if one["type"] == "verbose"]
    found = [json.loads(c["data"]) for c in contents if c["msg_type"] == "knowledge_recall"]
    return [chunk for recall in found for chunk in recall["chunks"]]


def test_a_streamed_chat_has_the_answer_and_its_end() -> None:
    with served() as coze, client_of(coze) as client:
        told = events(client, chat_body(coze, stream=True, auto_save_history=False))
    completed = [data for name, data in told if name == "conversation.message.completed"]
    assert answer_of(told) == "message 1"
    assert [one["content"] for one in completed if one["type"] == "answer"] == ["message 1"]
    assert told[-1] == ("done", "[DONE]")  # in quotes on the wire: a JSON string


def test_streaming_does_not_forbid_to_keep_the_history() -> None:
    """Both documents: stream=true requires auto_save_history=false. Only the reverse pair is so."""
    with served() as coze, client_of(coze) as client:
        told = events(client, chat_body(coze, stream=True, auto_save_history=True))
        chat = next(data for name, data in told if name == "conversation.chat.completed")
        ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
        kept = client.get("/v3/chat/message/list", params=ids).json()
        refused = client.post("/v3/chat", json=chat_body(coze, auto_save_history=False)).json()
    assert answer_of(told) == "message 1"
    assert "message 1" in [message["content"] for message in kept["data"]]
    assert refused["code"] == 4007


def test_a_polled_chat_has_the_answer() -> None:
    with served() as coze, client_of(coze) as client:
        messages = polled(client, chat_body(coze))
    assert [one["content"] for one in messages if one["type"] == "answer"] == ["message 1"]
    assert messages[0]["type"] != "answer"
    assert messages[-1]["type"] == "verbose"  # with suggestions they come last


def test_a_recall_has_its_chunks_with_links() -> None:
    with served() as coze, client_of(coze) as client:
        chunks = recalled(polled(client, chat_body(coze)))
    assert [chunk["slice"] for chunk in chunks] == SLICES
    assert [chunk["meta"]["link"]["url"] for chunk in chunks] == [ADDRESS, PLAIN_ADDRESS]
    assert all(0 < chunk["score"] <= 1 for chunk in chunks)


def test_the_recall_is_not_always_the_first_message() -> None:
    """SEED-A takes data[0] of the list for the recall."""
    with served(on_demand=True) as coze, client_of(coze) as client:
        messages = polled(client, chat_body(coze))
    assert messages[0]["type"] == "function_call"
    assert "knowledge_recall" not in messages[0]["content"]
    assert [chunk["slice"] for chunk in recalled(messages)] == SLICES


def test_addresses_need_no_replacement() -> None:
    """SEED-A replaces u0026 by & in addresses: parsing does that, and other letters are hurt."""
    with served() as coze, client_of(coze) as client:
        body = chat_body(coze, stream=True, auto_save_history=False)
        raw = client.post("/v3/chat", json=body).text
        parsed = recalled([data for name, data in events(client, body) if "message" in name])
    assert r"kind=green\\\\u0026water" in raw  # three levels of JSON text
    assert ADDRESS not in raw
    first, second = (chunk["meta"]["link"]["url"] for chunk in parsed)
    assert first == first.replace("u0026", "&") == ADDRESS
    assert second == PLAIN_ADDRESS != second.replace("u0026", "&")


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_messages_with_the_role_system_are_refused(profile: str) -> None:
    """SEED-A sends the role system. No document has it, so our cloud refuses it as Studio does.

    Whether the hosted service takes it is not known.
    """
    with served(profile) as coze, client_of(coze) as client:
        body = chat_body(coze, stream=True)
        body["additional_messages"].insert(0, {"role": "system", "content": "Be brief."})
        answer = client.post("/v3/chat", json=body)
    assert answer.status_code == 200
    if profile == "cloud":
        assert answer.headers["content-type"].startswith("application/json")
        assert (answer.json()["code"], "role" in answer.json()["msg"]) == (4000, True)
    else:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.text.startswith('event:error\ndata:{"code":103100001,"msg":"additional')


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_a_conversation_is_named_in_the_query(profile: str) -> None:
    """SEED-B puts conversation_id into the body, where it does nothing, without a word."""
    with served(profile) as coze, client_of(coze) as client:
        made = client.post("/v1/conversation/create", json={}).json()["data"]["id"]
        body = chat_body(coze, stream=True)
        lost = [events(client, body | {"conversation_id": made}) for _ in range(2)]
        kept = [events(client, body, conversation_id=made) for _ in range(2)]
    of_chats = [told[0][1]["conversation_id"] for told in (*lost, *kept)]
    assert of_chats[2:] == [made, made]
    assert len({made, *of_chats[:2]}) == 3
    assert [answer_of(told) for told in lost] == ["message 1", "message 1"]
    assert [answer_of(told) for told in kept] == ["message 1", "message 3"]


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_a_workflow_runs_at_the_v1_route_only(profile: str) -> None:
    """SEED-B runs workflows at /v3/workflows/run, which does not exist."""
    with served(profile) as coze, client_of(coze) as client:
        body = {"workflow_id": coze.workflows[0].workflow_id, "parameters": {"kind": "green"}}
        wrong = client.post("/v3/workflows/run", json=body)
        run = client.post("/v1/workflow/run", json=body).json()
    assert run["code"] == 0
    assert json.loads(run["data"]) == {"output": "green tea"}  # a JSON text, not an object
    if profile == "cloud":
        assert (wrong.status_code, wrong.json()["code"]) == (404, 4000)
        assert "POST /v3/workflows/run does not exist" in wrong.json()["msg"]
    else:
        assert wrong.status_code == 401
