"""Conversion of LangChain messages for a request; `test_chat.py` checks real requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langchain_coze._convert.to_coze import (
    collect_system_variables,
    select_entries,
    serialize_entries,
)
from langchain_coze.errors import CozeInvalidRequestError

BOT = "7374724495711502387"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
OURS = {"model_provider": "coze", "model_name": BOT, "chat_id": "c1", "conversation_id": "v1"}


def convert(messages: list[BaseMessage], **options: Any) -> list[tuple[str, str, str]]:
    sent = serialize_entries(select_entries(messages, model_name=BOT, **options), {})
    return [(entry["role"], entry["type"], entry["content"]) for entry in sent]


def make_calling_message(text: str = "") -> AIMessage:
    call = ToolCall(name="get_weather", args={"city": "杭州"}, id="1")
    return AIMessage(text, tool_calls=[call], response_metadata=OURS)


def test_a_message_with_files_is_an_object_string_as_the_wire_has_it() -> None:
    question = HumanMessage(
        [
            {"type": "text", "text": "What is on it?"},
            {"type": "image", "file_id": "736949598110202"},
        ]
    )
    (entry,) = serialize_entries(select_entries([question]), {})
    assert entry == {  # wire section 2.1
        "role": "user",
        "type": "question",
        "content_type": "object_string",
        "content": '[{"type":"text","text":"What is on it?"},'
        '{"type":"image","file_id":"736949598110202"}]',
    }


def test_the_texts_of_a_message_are_joined_before_its_files() -> None:
    image = {"type": "image", "url": "https://h/p.png"}
    blocks: list[Any] = [
        image,
        {"type": "text", "text": "Look."},
        {"type": "image", "base64": PNG},
        "Well?",
    ]
    sent = select_entries([HumanMessage(blocks)])
    (upload,) = [file for file in sent[0].files if file.data]
    (entry,) = serialize_entries(sent, {upload.upload.digest: "77"})
    assert json.loads(entry["content"]) == [
        {"type": "text", "text": "Look.\nWell?"},
        {"type": "image", "file_url": "https://h/p.png"},
        {"type": "image", "file_id": "77"},
    ]
    texts_only: list[Any] = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert convert([HumanMessage(texts_only)]) == [("user", "question", "one\ntwo")]


def test_files_need_a_text_beside_them() -> None:
    image = HumanMessage([{"type": "image", "url": "https://h/p.png"}])
    with pytest.raises(CozeInvalidRequestError, match="files but no text") as caught:
        select_entries([image])
    assert caught.value.code == 4000
    assert len(select_entries([HumanMessage("Look:"), image])) == 2
    spoken = {"type": "audio", "url": "https://h/question.wav"}
    assert len(select_entries([HumanMessage([spoken])])) == 1  # a question alone
    with pytest.raises(CozeInvalidRequestError, match="files but no text"):
        select_entries([HumanMessage("Look:"), image, image])


def test_earlier_tool_results_of_the_bot_come_before_the_question() -> None:
    history = [
        HumanMessage("Weather?"),
        make_calling_message(),
        ToolMessage("sunny", tool_call_id="1"),
    ]
    note = ("user", "question", '[get_weather({"city": "杭州"})] sunny')
    question = ("user", "question", "Weather?")
    assert convert(history) == [note, question]
    history[1] = make_calling_message("Let me look.")
    assert convert(history) == [("assistant", "answer", "Let me look."), note, question]
    done = [*history, AIMessage("It is sunny.", response_metadata=OURS), HumanMessage("Thanks")]
    assert convert(done) == [
        question,
        ("assistant", "answer", "Let me look."),
        note,
        ("assistant", "answer", "It is sunny."),
        ("user", "question", "Thanks"),
    ]


def test_tool_calls_of_others_are_left_out() -> None:
    other = AIMessage("", tool_calls=[ToolCall(name="transfer", args={}, id="h")], name="boss")
    history = [
        HumanMessage("Weather?"),
        other,
        ToolMessage("transferred", tool_call_id="h"),
        FunctionMessage(content="old", name="f"),
    ]
    assert convert(history) == [("user", "question", "[f] old"), ("user", "question", "Weather?")]


def test_messages_of_other_agents_have_their_name() -> None:
    history = [
        HumanMessage("Hi"),
        AIMessage("I am the boss.", name="boss"),
        AIMessage("I am myself.", name="me", response_metadata=OURS),
        ChatMessage(content="noted", role="critic"),
        ChatMessage(content="And you?", role="human"),
    ]
    assert convert(history) == [
        ("user", "question", "Hi"),
        ("user", "question", "[boss] I am the boss."),
        ("assistant", "answer", "I am myself."),
        ("user", "question", "[critic] noted"),
        ("user", "question", "And you?"),
    ]


def test_messages_of_other_agents_do_not_displace_the_question() -> None:
    """Coze answers the last message and searches its knowledge bases for it."""
    back = {"__is_handoff_back": True}
    history = [
        HumanMessage("Tea?"),
        AIMessage("Tea grows on hills.", name="botanist"),
        AIMessage("Transferring back to supervisor", name="botanist", response_metadata=back),
    ]
    note = ("user", "question", "[botanist] Tea grows on hills.")
    assert convert(history) == [note, ("user", "question", "Tea?")]
    history.insert(1, AIMessage("I know.", response_metadata=OURS))
    assert convert(history)[-1] == note  # the question has been answered


def test_files_of_an_answer_are_dropped_with_a_warning() -> None:
    image = {"type": "image", "url": "https://h/p.png"}
    shown: list[Any] = [{"type": "text", "text": "Here."}, image]
    history = [HumanMessage("Draw."), AIMessage(shown), HumanMessage("Again.")]
    with pytest.warns(UserWarning, match="the files of an AIMessage are not sent"):
        assert convert(history)[1] == ("assistant", "answer", "Here.")


def test_a_chatflow_takes_fewer_messages() -> None:
    turns = [HumanMessage(str(number)) for number in range(60)]
    with pytest.warns(UserWarning, match="at most 50 messages"):
        sent = convert([SystemMessage("Be brief."), *turns], limit=50)
    assert len(sent) == 50
    assert (sent[0][2], sent[1][2], sent[-1][2]) == ("Be brief.", "11", "59")


def test_notes_of_old_tool_calls_are_cut_like_other_messages() -> None:
    old = [HumanMessage("old"), make_calling_message(), ToolMessage("sunny", tool_call_id="1")]
    turns = [HumanMessage(str(number)) for number in range(5)]
    with pytest.warns(UserWarning, match="at most 5 messages"):
        assert [text for *_, text in convert([*old, *turns], limit=5)] == list("01234")


def test_system_messages_as_a_variable_come_from_the_whole_history() -> None:
    history = [SystemMessage("Be brief."), HumanMessage("Hi"), SystemMessage("Be kind.")]
    assert collect_system_variables(history, "variable", "rules") == {
        "rules": "Be brief.\n\nBe kind."
    }
    assert collect_system_variables(history, "context", None) == {}
    assert convert(history, system_mode="variable") == [("user", "question", "Hi")]
    with pytest.raises(CozeInvalidRequestError, match="needs system_message_variable"):
        collect_system_variables(history, "variable", None)
    with pytest.raises(CozeInvalidRequestError, match="system_message_mode is 'raise'"):
        collect_system_variables(history, "raise", None)


@pytest.mark.parametrize("kind", [["image"], {"a": 1}])
def test_a_block_with_an_odd_type_is_not_a_file(kind: Any) -> None:
    history = [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("And now?")]
    history[1].content = [{"type": kind}]  # LangChain itself rejects it in a call
    assert [text for *_, text in convert(history)] == ["Hi", "And now?"]
    with pytest.raises(CozeInvalidRequestError, match="which Coze does not accept"):
        select_entries([HumanMessage(["Hi", {"type": kind}])])
