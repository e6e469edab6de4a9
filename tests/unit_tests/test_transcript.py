"""Transcripts of histories, and the requests that have them (design: Coze Studio)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langchain_coze._convert.attachments import Attachment
from langchain_coze._convert.to_coze import (
    HistoryEntry,
    select_entries,
    serialize_entries,
    write_transcript,
)
from langchain_coze.errors import CozeInvalidRequestError

BOT = "7374724495711502387"
OURS = {"model_provider": "coze", "model_name": BOT, "chat_id": "c1", "conversation_id": "v1"}
IMAGE, AUDIO = Attachment("image", url="https://h/1.png"), Attachment("audio", file_id="9")


def convert(messages: list[BaseMessage], history_format: Any) -> list[dict[str, Any]]:
    sent = select_entries(messages, model_name=BOT, history_format=history_format)
    return serialize_entries(sent, {})


def get_texts(messages: list[BaseMessage], history_format: Any) -> list[str]:
    sent = convert(messages, history_format)
    assert {(entry["role"], entry["type"], entry["content_type"]) for entry in sent} == {
        ("user", "question", "text")
    }
    return [entry["content"] for entry in sent]


def make_image(url: str) -> dict[str, str]:
    return {"type": "image", "url": url}


def test_a_transcript_has_system_messages_turns_question_and_files_in_order() -> None:
    parts = write_transcript(
        [
            HistoryEntry("user", ["one", IMAGE]),
            HistoryEntry("assistant", ["first\nline"]),
            HistoryEntry("system", ["Be brief."]),
            HistoryEntry("note", ["[researcher] found"]),
            HistoryEntry("user", [AUDIO]),
        ],
        HistoryEntry("user", ["two", Attachment("file", file_id="8")]),
    )
    text = (
        "System: Be brief.\n\n"
        "Earlier messages of this conversation:\n\n"
        "User: one\n[image 1]\n\n"
        "Assistant: first\nline\n\n"
        "[researcher] found\n\n"
        "User: [audio 2]\n\n"
        "The message to answer:\n\n"
        "two"
    )
    assert parts == [text, IMAGE, AUDIO, Attachment("file", file_id="8")]


def test_a_transcript_without_a_question_ends_with_the_last_turn() -> None:
    (text,) = write_transcript([HistoryEntry("user", ["one"])])
    assert text == "Earlier messages of this conversation:\n\nUser: one"


HISTORY = [SystemMessage("Be brief."), HumanMessage("one"), AIMessage("first"), HumanMessage("two")]
EARLIER = (
    "System: Be brief.\n\nEarlier messages of this conversation:\n\nUser: one\n\nAssistant: first"
)


def test_a_history_is_a_transcript_and_the_question() -> None:
    assert get_texts(HISTORY, "transcript") == [EARLIER, "two"]


def test_a_chatflow_gets_both_in_one_message() -> None:
    assert get_texts(HISTORY, "one_message") == [f"{EARLIER}\n\nThe message to answer:\n\ntwo"]


@pytest.mark.parametrize("history_format", ["transcript", "one_message"])
def test_a_question_without_history_is_unchanged(history_format: Any) -> None:
    question = HumanMessage([{"type": "text", "text": "?"}, make_image("https://h/1.png")])
    assert convert([question], history_format) == convert([question], "messages")


def test_one_system_message_before_a_question_is_unchanged() -> None:
    system, question = SystemMessage("Be brief."), HumanMessage("one")
    assert get_texts([system, question], "transcript") == ["Be brief.", "one"]
    assert get_texts([system, system, question], "transcript") == [
        "System: Be brief.\n\nSystem: Be brief.",
        "one",
    ]
    assert get_texts([system, question], "one_message") == [
        "System: Be brief.\n\nThe message to answer:\n\none"
    ]


def test_files_of_earlier_turns_are_sent_with_the_transcript() -> None:
    first = HumanMessage([{"type": "text", "text": "a"}, make_image("https://h/1.png")])
    second = HumanMessage([make_image("https://h/2.png")])
    question = HumanMessage([{"type": "text", "text": "both?"}, make_image("https://h/3.png")])
    history: list[BaseMessage] = [first, AIMessage("yes"), second, question]
    transcript, asked = convert(history, "transcript")
    text = (
        "Earlier messages of this conversation:\n\n"
        "User: a\n[image 1]\n\nAssistant: yes\n\nUser: [image 2]"
    )
    images = [{"type": "image", "file_url": f"https://h/{n}.png"} for n in (1, 2, 3)]
    assert json.loads(transcript["content"]) == [{"type": "text", "text": text}, *images[:2]]
    assert json.loads(asked["content"]) == [{"type": "text", "text": "both?"}, images[2]]
    (joined,) = convert(history, "one_message")
    assert (joined["role"], joined["content_type"]) == ("user", "object_string")
    assert json.loads(joined["content"]) == [
        {"type": "text", "text": f"{text}\n\nThe message to answer:\n\nboth?"},
        *images,
    ]


def test_tool_results_and_other_agents_name_themselves() -> None:
    call = ToolCall(name="get_weather", args={"city": "杭州"}, id="1")
    history: list[BaseMessage] = [
        HumanMessage("Weather?"),
        AIMessage("I look.", tool_calls=[call], response_metadata=OURS),
        ToolMessage("22 degrees", tool_call_id="1"),
        AIMessage("22 degrees.", response_metadata=OURS),
        AIMessage("It rains.", name="researcher"),
        ChatMessage(content="note", role="observer"),
        HumanMessage("And now?"),
    ]
    transcript = (
        "Earlier messages of this conversation:\n\n"
        "User: Weather?\n\n"
        "Assistant: I look.\n\n"
        '[get_weather({"city": "杭州"})] 22 degrees\n\n'
        "Assistant: 22 degrees.\n\n"
        "[researcher] It rains.\n\n"
        "User: [observer] note"
    )
    assert get_texts(history, "transcript") == [transcript, "And now?"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("history_format", "count"), [("transcript", 2), ("one_message", 1)])
def test_a_transcript_drops_no_message(history_format: Any, count: int) -> None:
    pairs = [m for n in range(80) for m in (HumanMessage(f"q{n}."), AIMessage(f"a{n}."))]
    sent = get_texts([*pairs, HumanMessage("last")], history_format)
    assert len(sent) == count
    assert all(message.text in sent[0] for message in pairs)


@pytest.mark.parametrize("history_format", ["transcript", "one_message"])
def test_a_history_without_a_question_is_rejected(history_format: Any) -> None:
    with pytest.raises(CozeInvalidRequestError, match="no question"):
        convert(HISTORY[:3], history_format)
