"""Conversations, their messages, and uploaded files, over a real socket."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, ServerTool, Turn
from tests.conftest import serve
from tests.integration_tests.local.local_client import LocalClient, answers, user


def recite(_question: str, turn: Turn) -> str:
    return " | ".join(message.text for message in turn.messages)


coze = serve([LocalBot(recite, name="recite"), LocalBot(name="other")])


def made(client: LocalClient, **body: Any) -> str:
    reply = client.http.post("/v1/conversation/create", json=body).json()
    assert reply["code"] == 0, reply
    return str(reply["data"]["id"])


def listed(client: LocalClient, conversation: str, **body: Any) -> Any:
    path = "/v1/conversation/message/list"
    return client.http.post(path, params={"conversation_id": conversation}, json=body).json()


def on_message(client: LocalClient, verb: str, ids: tuple[str, str], **body: Any) -> Any:
    params = dict(zip(("conversation_id", "message_id"), ids, strict=True))
    return client.http.post(f"/v1/conversation/message/{verb}", params=params, json=body).json()


def add(client: LocalClient, conversation: str, text: str, **fields: Any) -> Any:
    body = {"role": "user", "content": text, "content_type": "text"} | fields
    params = {"conversation_id": conversation}
    return client.http.post("/v1/conversation/message/create", params=params, json=body).json()


def texts(reply: Any) -> list[str]:
    assert reply["code"] == 0, reply
    return [message["content"] for message in reply["data"]]


# --- Conversations -------------------------------------------------------------------------------


def test_a_conversation_is_renamed_and_deleted(client: LocalClient) -> None:
    conversation = made(client, name="one", meta_data={"k": "v"})
    chat = client.created()
    renamed = client.http.put(f"/v1/conversations/{conversation}", json={"name": "two"}).json()
    assert renamed["data"]["name"] == "two"
    found = client.get("/v1/conversation/retrieve", conversation_id=conversation)["data"]
    assert found == renamed["data"]
    assert found["meta_data"] == {"k": "v"}
    assert found["last_section_id"] == conversation
    gone = client.http.delete(f"/v1/conversations/{conversation}").json()
    assert set(gone) == {"code", "msg", "detail"}
    assert client.get("/v1/conversation/retrieve", conversation_id=conversation)["code"] == 4002
    assert client.http.delete(f"/v1/conversations/{conversation}").json()["code"] == 4002
    # The chats of a conversation go with it, those of others stay.
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    assert client.get("/v3/chat/retrieve", **ids)["code"] == 0
    client.http.delete(f"/v1/conversations/{chat['conversation_id']}")
    assert client.get("/v3/chat/retrieve", **ids)["code"] == 4001


def test_a_name_that_is_too_long_is_refused(client: LocalClient) -> None:
    conversation = made(client)
    reply = client.http.put(f"/v1/conversations/{conversation}", json={"name": "n" * 101}).json()
    assert reply["code"] == 4000
    assert "name" in reply["msg"]


def test_conversations_of_a_bot_are_listed_in_pages() -> None:
    with LocalCoze([LocalBot(name="a"), LocalBot(name="b")]) as coze, LocalClient(coze) as client:
        first, second = coze.bots
        ours = [made(client, bot_id=first.bot_id, name=str(n)) for n in range(3)]
        made(client, bot_id=second.bot_id)
        made(client)
        client.chat()  # makes a conversation of the first bot

        def ask(**params: Any) -> Any:
            reply = client.get("/v1/conversations", bot_id=first.bot_id, **params)
            return [c["id"] for c in reply["data"]["conversations"]], reply["data"]["has_more"]

        newest, more = ask()
        assert newest[1:] == ours[::-1]
        assert more is False
        assert ask(sort_order="ASC", page_size="2") == (ours[:2], True)
        assert ask(sort_order="ASC", page_size="2", page_num="2") == ([ours[2], newest[0]], False)
        assert ask(connector_id="999") == ([], False)
        bad = client.get("/v1/conversations", bot_id=first.bot_id, sort_order="up")
        assert bad["code"] == client.get("/v1/conversations")["code"] == 4000


def test_clearing_begins_a_section_and_deletes_nothing(client: LocalClient) -> None:
    conversation = made(client)
    for text in ("one", "two"):
        before = client.chat(conversation_id=conversation, additional_messages=[user(text)])
    reply = client.http.post(f"/v1/conversations/{conversation}/clear").json()["data"]
    after = client.chat(conversation_id=conversation, additional_messages=[user("three")])
    assert reply["conversation_id"] == conversation
    assert reply["id"] not in {conversation, ""}
    assert answers(before) == ["one | one | two"]
    assert answers(after) == ["three"]
    assert f'"section_id":"{reply["id"]}"' in after.text
    assert len(texts(listed(client, conversation))) == 6
    found = client.get("/v1/conversation/retrieve", conversation_id=conversation)["data"]
    assert found["last_section_id"] == reply["id"]


# --- Messages ------------------------------------------------------------------------------------


def test_the_newest_message_names_the_last_chat(client: LocalClient) -> None:
    conversation = made(client, messages=[user("zero")])
    chats = []
    for text in ("one", "two"):
        reply = client.chat(conversation_id=conversation, additional_messages=[user(text)])
        chats.append(json.loads(reply.text.split("data:", 1)[1].split("\n", 1)[0])["id"])
    head = listed(client, conversation, order="desc", limit=1)
    assert [message["chat_id"] for message in head["data"]] == chats[1:]
    assert head["has_more"] is True
    assert head["first_id"] == head["last_id"] == head["data"][0]["id"]
    whole = listed(client, conversation)["data"]
    assert [m["chat_id"] for m in whole] == [chats[1], chats[1], chats[0], chats[0], ""]
    assert [m["type"] for m in whole] == ["answer", "question", "answer", "question", ""]
    assert [m["bot_id"] for m in whole] == [client.bot.bot_id] * 4 + [""]
    assert {type(m["created_at"]) for m in whole} == {int}
    assert {type(m["updated_at"]) for m in whole} == {str}
    # With chat_id the question is missing.
    assert texts(listed(client, conversation, chat_id=chats[0])) == ["zero | one"]


def test_messages_are_listed_in_pages(client: LocalClient) -> None:
    conversation = made(client)
    for n in range(5):
        add(client, conversation, str(n))
    assert texts(listed(client, conversation)) == ["4", "3", "2", "1", "0"]
    asked = {"order": "asc", "limit": 2, "before_id": None, "chat_id": None}
    seen, after = [], None
    for _ in range(3):
        page = listed(client, conversation, after_id=after, **asked)
        seen.append((texts(page), page["has_more"]))
        after = page["last_id"]
    assert seen == [(["0", "1"], True), (["2", "3"], True), (["4"], False)]
    back = listed(client, conversation, order="asc", limit=2, before_id=after)
    assert (texts(back), back["has_more"]) == (["2", "3"], True)
    back = listed(client, conversation, order="asc", limit=2, before_id=back["first_id"])
    assert (texts(back), back["has_more"]) == (["0", "1"], False)
    empty = listed(client, made(client))
    assert (empty["data"], empty["last_id"], empty["has_more"]) == ([], "0", False)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"limit": 100}, 0),  # fewer come
        ({"limit": 0}, 0),
        ({"limit": -1}, 4000),
        ({"limit": "5"}, 4000),
        ({"order": "up"}, 4000),
        ({"after_id": "7"}, 4005),
        ({"before_id": "7"}, 4005),
    ],
)
def test_invalid_pages_are_refused(client: LocalClient, body: dict[str, Any], code: int) -> None:
    assert listed(client, made(client), **body)["code"] == code


def test_a_message_is_made_by_hand_read_and_changed(client: LocalClient) -> None:
    conversation = made(client)
    reply = add(client, conversation, "tea", meta_data={"k": "v"})["data"]
    assert {"bot_id": "", "chat_id": "", "type": "", "role": "user"}.items() <= reply.items()
    assert reply["meta_data"] == {"k": "v"}
    ids = conversation, reply["id"]
    params = {"conversation_id": conversation, "message_id": reply["id"]}
    assert client.get("/v1/conversation/message/retrieve", **params)["data"] == reply
    changed = on_message(client, "modify", ids, content="rice", meta_data={"k": "w"})
    assert "data" not in changed
    assert changed["message"]["content"] == "rice"
    assert changed["message"]["meta_data"] == {"k": "w"}
    assert changed["message"]["id"] == reply["id"]
    said = client.chat(conversation_id=conversation, additional_messages=[user("hill")])
    assert answers(said) == ["rice | hill"]
    assert on_message(client, "modify", ids)["code"] == 4000
    assert on_message(client, "modify", (conversation, "7"), content="x")["code"] == 4005
    assert on_message(client, "modify", ids, content_type="card")["code"] == 4000


def test_likes_are_accepted(client: LocalClient) -> None:
    conversation = made(client)
    message_id = add(client, conversation, "tea")["data"]["id"]
    place = f"/v1/conversations/{conversation}/messages"
    liked = client.http.post(f"{place}/{message_id}/feedback", json={}).json()
    assert liked["code"] == 0
    assert client.http.delete(f"{place}/{message_id}/feedback").json()["code"] == 0
    assert client.http.post(f"{place}/1/feedback", json={}).json()["code"] == 4005


def test_a_picture_alone_is_a_message(client: LocalClient) -> None:
    content = json.dumps([{"type": "image", "file_url": "https://example.com/tea.png"}])
    reply = add(client, made(client), content, content_type="object_string")
    assert reply["data"]["content"] == content


def test_invalid_messages_are_refused(client: LocalClient) -> None:
    reply = add(client, made(client), "x", role="system")
    assert reply["code"] == 4000
    assert reply["msg"].startswith("role: only user and assistant")
    assert add(client, "7", "x")["code"] == 4002


def test_deleting_an_answer_takes_its_steps_with_it() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield ServerTool("a-b", {}, "ok")
        yield "tea"

    bot = LocalBot(reply, knowledge=LocalKnowledge(["hi there"]), follow_ups=["more?"])
    with LocalCoze(bot) as coze, LocalClient(coze) as client:
        sent = client.chat()
        chat = json.loads(sent.text.split("data:", 1)[1].split("\n", 1)[0])
        conversation = chat["conversation_id"]
        answer, question = listed(client, conversation)["data"]
        assert f'"id":"{answer["id"]}"' in sent.text  # the id that the stream told
        gone = on_message(client, "delete", (conversation, answer["id"]))
        ids = {"conversation_id": conversation, "chat_id": chat["id"]}
        left = client.get("/v3/chat/message/list", **ids)["data"]
        assert texts(listed(client, conversation)) == [question["content"]]
        again = on_message(client, "delete", (conversation, answer["id"]))
    assert gone["data"] == answer
    assert [message["type"] for message in left] == ["follow_up"]
    assert again["code"] == 4005


def test_steps_and_unsaved_chats_are_not_listed(client: LocalClient) -> None:
    conversation = made(client)
    client.chat(conversation_id=conversation, auto_save_history=False)
    assert texts(listed(client, conversation)) == []


# --- Files ---------------------------------------------------------------------------------------


def upload(client: LocalClient, *parts: tuple[str, Any]) -> Any:
    return client.http.post("/v1/files/upload", files=list(parts)).json()


def test_a_file_is_uploaded_and_found(client: LocalClient) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8192  # 2 MB: goes to disk on its way
    reply = upload(client, ("file", ("茶.png", data, "image/png")))
    assert reply["code"] == 0
    told = reply["data"]
    assert (told["bytes"], told["file_name"]) == (len(data), "茶.png")
    assert told["id"].isdecimal()
    assert client.get("/v1/files/retrieve", file_id=told["id"])["data"] == told


@pytest.mark.parametrize(
    ("name", "data", "fits"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", True),
        ("A.JPEG", b"\xff\xd8\xff\xe0", True),
        ("a.webp", b"RIFF0000WEBP", True),
        ("a.docx", b"PK\x03\x04", True),
        ("a.csv", b"a,b", True),
        ("noname", b"\xff\xd8\xff\xe0", True),
        ("a.png", b"\xff\xd8\xff\xe0", False),
        ("a.png", b"text", False),
        ("a.pdf", b"PK\x03\x04", False),
        ("file.bin", b"\xff\xd8\xff\xe0", False),
        ("file.bin", b"text", False),
    ],
)
def test_a_name_must_fit_the_bytes(
    client: LocalClient, name: str, data: bytes, *, fits: bool
) -> None:
    reply = upload(client, ("file", (name, data)))
    assert reply["code"] == (0 if fits else 4000)
    assert fits or "the file extension matches the file content" in reply["msg"]


def test_a_chat_gets_the_uploaded_bytes() -> None:
    def sizes(_question: str, turn: Turn) -> str:
        return ", ".join(f"{file.name} {len(file.data)}" for file in turn.files)

    with LocalCoze(LocalBot(sizes, name="sizes")) as coze, LocalClient(coze) as client:
        file_id = upload(client, ("file", ("a.txt", b"tea", "text/plain")))["data"]["id"]
        items = [{"type": "text", "text": "size?"}, {"type": "file", "file_id": file_id}]
        asked = user(json.dumps(items), content_type="object_string")
        assert answers(client.chat(additional_messages=[asked])) == ["a.txt 3"]
        items[1]["file_id"] = "7"
        asked = user(json.dumps(items), content_type="object_string")
        refused = client.chat(additional_messages=[asked]).json()
    assert refused["code"] == 4000
    assert "'7'" in refused["msg"]


TEA = ("file", ("a.txt", b"tea", "text/plain"))


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((("file", ("a.txt", b"", "text/plain")),), 4300),
        ((("data", ("a.txt", b"tea", "text/plain")),), 4300),
        ((TEA, TEA), 4301),
    ],
)
def test_invalid_uploads_are_refused(client: LocalClient, parts: Any, code: int) -> None:
    assert upload(client, *parts)["code"] == code


def test_an_upload_without_a_form_is_refused(client: LocalClient) -> None:
    path = "/v1/files/upload"
    assert client.http.post(path, json={}).json()["code"] == 4000
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert client.http.post(path, content=b"nothing", headers=kind).json()["code"] == 4304
    assert client.get("/v1/files/retrieve", file_id="7")["code"] == 4000


@pytest.mark.parametrize("size", [1001, 300_000])
def test_a_file_over_the_limit_is_refused(
    client: LocalClient, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("langchain_coze.local.routes.files.MAX_FILE_SIZE", 1000)
    assert upload(client, ("file", ("a.txt", b"x" * size, "text/plain")))["code"] == 4302
    assert upload(client, ("file", ("a.txt", b"x" * 1000, "text/plain")))["code"] == 0
