"""Questions to the user, media, speech and files, over a real socket."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.runnables import RunnableLambda

from langchain_coze.local import Ask, LocalBot, LocalCoze, Media, Speech, Turn, TurnFile
from tests.integration_tests.local.local_client import LocalClient, answers, events, user


def order(question: str) -> Iterator[Any]:
    city = yield Ask("Where to?", ["杭州", "苏州"])
    day = yield Ask("When?")
    yield f"{question}: {city}, {day}"


async def order_in_loop(question: str) -> AsyncIterator[Any]:
    city = yield Ask("Where to?", ["杭州", "苏州"])
    day = yield Ask("When?")
    yield f"{question}: {city}, {day}"


def talk(client: LocalClient, *texts: str, **changes: Any) -> list[Any]:
    """Ask one thing after the other in one conversation."""
    conversation = client.http.post("/v1/conversation/create").json()["data"]["id"]
    return [
        client.chat(conversation_id=conversation, additional_messages=[user(text)], **changes)
        for text in texts
    ]


def test_a_question_ends_the_turn_and_the_next_message_answers_it() -> None:
    with LocalCoze([LocalBot(order), LocalBot(order_in_loop)]) as coze, LocalClient(coze) as client:
        first, second, third, fresh = talk(client, "go", "苏州", "today", "again")
        other = talk(client, "go", "苏州", "today", bot_id=coze.bots[1].bot_id)
    shown = [
        (name.rpartition(".")[2], json.loads(data["content"]) if data.get("type") else data)
        for name, data in events(first)
        if name == "conversation.message.completed" and data["type"] == "verbose"
    ]
    assert answers(first) == ["Where to?\n杭州\n苏州"]
    assert [content["msg_type"] for _, content in shown] == ["interrupt", "generate_answer_finish"]
    assert shown[0][1] == {
        "msg_type": "interrupt",
        "data": "",
        "from_module": None,
        "from_unit": None,
    }
    assert json.loads(shown[1][1]["data"]) == {"finish_reason": 1, "FinData": ""}
    (name, chat), (end, _) = events(first)[-2:]
    assert (name, end) == ("conversation.chat.requires_action", "done")
    assert chat["required_action"] == {  # wire section 2.6
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [
                {"id": "", "type": "reply_message", "function": None, "require_info": None}
            ]
        },
    }
    assert answers(second) == ["When?"]
    assert answers(third) == ["go: 苏州, today"]
    assert answers(fresh) == ["Where to?\n杭州\n苏州"]
    assert [answers(turn) for turn in other] == [answers(t) for t in (first, second, third)]


def test_a_question_waits_only_in_its_conversation_and_bot_and_when_saved() -> None:
    bots = [LocalBot(order), LocalBot(lambda question: f"echo {question}", name="echo")]
    with LocalCoze(bots) as coze, LocalClient(coze) as client:
        conversation = client.http.post("/v1/conversation/create").json()["data"]["id"]
        here = {"conversation_id": conversation}
        client.chat(**here)
        elsewhere = client.chat()
        echo = client.chat(bot_id=coze.bots[1].bot_id, **here)
        answered = client.chat(additional_messages=[user("苏州")], **here)
        unsaved = talk(client, "go", "苏州", auto_save_history=False)
    assert answers(elsewhere) == ["Where to?\n杭州\n苏州"]
    assert answers(echo) == ["echo hi"]
    assert answers(answered) == ["When?"]
    assert [answers(turn)[0][:6] for turn in unsaved] == ["Where ", "Where "]


def test_media_and_speech_are_sent_as_messages() -> None:
    async def reply(_question: str) -> AsyncIterator[Any]:
        yield "Look:"
        yield Speech(b"\x00\x01")
        yield Media([{"type": "image", "file_url": "https://h/a?b=1&c=2"}])
        await asyncio.sleep(0)  # let other tasks run
        yield Speech(b"\x02")

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        response = client.chat()
    got = events(response)
    # Escaped at both levels, as all JSON of Coze.
    assert answers(response) == [
        *("Look:", '[{"type":"image","file_url":"https://h/a?b=1\\u0026c=2"}]'),
    ]
    media = next(data for _, data in got if data.get("content_type") == "object_string")
    assert media["type"] == "answer"
    # Wire 2.4: the sound follows chat.completed, under the id of the answer.
    names = [name for name, _ in got]
    assert names[-4:] == [
        *("conversation.chat.completed", "conversation.audio.delta", "conversation.audio.delta"),
        "done",
    ]
    sound = [data for name, data in got if name == "conversation.audio.delta"]
    assert [base64.b64decode(data["content"]) for data in sound] == [b"\x00\x01", b"\x02"]
    assert {data["content_type"] for data in sound} == {"audio"}
    text = next(data for _, data in got if data.get("content") == "Look:")
    assert {data["id"] for data in sound} == {text["id"]}


def items(*values: dict[str, str]) -> dict[str, Any]:
    return user(json.dumps(values), content_type="object_string")


def test_uploaded_files_reach_the_reply() -> None:
    seen: list[Any] = []

    def look(question: str, turn: Turn) -> str:
        seen.append(turn.files)
        return question

    model: RunnableLambda[Any, str] = RunnableLambda(
        lambda messages: json.dumps(messages[-1].content)
    )
    bots = [LocalBot(look), LocalBot(model, name="model")]
    with LocalCoze(bots) as coze, LocalClient(coze) as client:
        uploaded = client.http.post(
            "/v1/files/upload", files={"file": ("a.png", b"\x89PNG\r\n\x1a\n")}
        )
        question = items(
            {"type": "text", "text": "What is it?"},
            {"type": "image", "file_id": uploaded.json()["data"]["id"]},
            {"type": "file", "file_url": "https://example.com/b.pdf"},
        )
        told = client.chat(additional_messages=[question])
        blocks = client.chat(additional_messages=[question], bot_id=coze.bots[1].bot_id)
        unknown = client.chat(additional_messages=[user(), items(lost := FILE_OF_NOBODY)])
    assert answers(told) == ["What is it?"]
    assert seen == [
        (
            TurnFile("image", name="a.png", data=b"\x89PNG\r\n\x1a\n"),
            TurnFile("file", url="https://example.com/b.pdf"),
        )
    ]
    assert json.loads(answers(blocks)[0]) == [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
        {"type": "file", "url": "https://example.com/b.pdf"},
    ]
    refused = unknown.json()
    assert (refused["code"], lost["file_id"] in refused["msg"]) == (4000, True)


FILE_OF_NOBODY = {"type": "image", "file_id": "7000000000000000001"}
