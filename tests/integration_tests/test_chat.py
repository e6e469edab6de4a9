from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_coze import recalled_documents
from langchain_coze.local import (
    Card,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    NewAnswer,
    Reasoning,
    ServerTool,
)
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle, ainvoke, invoke
from tests.integration_tests.tea_bot import ANSWER, BOT, QUESTION

coze = serve(BOT)
IDS = {"logid", "chat_id", "conversation_id", "section_id", "message_id"}


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_message_has_the_whole_answer_and_only_the_answer(
    coze: LocalCoze, ask: CallStyle
) -> None:
    message = ask(make_chat(coze), QUESTION)
    assert message.content == ANSWER
    assert message.additional_kwargs == {"reasoning_content": "想一想。"}
    metadata = message.response_metadata
    assert {key: metadata[key] for key in metadata if key not in {*IDS, "knowledge_recall"}} == {
        "model_provider": "coze",
        "model_name": BOT.bot_id,
        "finish_reason": "stop",
        "normalized_finish_reason": "stop",
        "follow_up_questions": ["还有呢？"],
    }
    assert all(metadata[key] for key in IDS)
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] > 0
    assert message.id
    assert message.id.startswith("lc_run-")
    (document,) = recalled_documents(message)
    assert document.page_content == "茶树长在山上。"
    assert 0 < document.metadata["score"] <= 1
    assert "ori_req" not in str(message)
    assert "coze_api_key" not in str(message)


def list_plain_blocks(message: Any) -> list[dict[str, Any]]:
    """Return the blocks without what differs between calls: stream indices, message ids of Coze."""
    varying = {"index", "tool_call_id"}
    return [
        {
            key: value
            for key, value in block.items()
            if key not in varying and not (key == "id" and block["type"] == "server_tool_call")
        }
        for block in message.content_blocks
    ]


def test_blocks_agree_whichever_way_they_come(coze: LocalCoze) -> None:
    expected = invoke(make_chat(coze), QUESTION).content_blocks
    assert [block["type"] for block in expected] == ["reasoning", "text"]
    for ask in CALL_STYLES:
        assert ask(make_chat(coze), QUESTION).content_blocks == expected
        v1 = ask(make_chat(coze, output_version="v1"), QUESTION)
        assert isinstance(v1.content, list)
        assert list_plain_blocks(v1) == expected
    assert (
        list_plain_blocks(make_chat(coze).stream_events(QUESTION, version="v3").output) == expected
    )


def _busy(_: str) -> Any:
    yield ServerTool("weather-today", {"city": "杭州"}, "晴")
    yield "First."
    yield NewAnswer()
    yield Reasoning("Then.")
    yield "Second."
    yield Card('{"card_type":3}')


def test_blocks_agree_in_a_busy_turn() -> None:
    bot = LocalBot(_busy, name="busy", knowledge=LocalKnowledge(["hello"]))
    with LocalCoze(bot) as coze:
        model = make_chat(coze)
        message = invoke(model, "hello")
        expected = list_plain_blocks(message)
        assert message.content == "First.\n\nSecond."
        assert [block["type"] for block in expected] == [
            "server_tool_call",
            "server_tool_result",
            "text",
            "reasoning",
            "text",
            "non_standard",
        ]
        assert expected[0]["args"] == {"city": "杭州"}
        assert "annotations" in expected[4]
        v1 = model.model_copy(update={"output_version": "v1"})
        for ask in CALL_STYLES:
            assert list_plain_blocks(ask(model, "hello")) == expected
            assert list_plain_blocks(ask(v1, "hello")) == expected
        assert list_plain_blocks(model.stream_events("hello", version="v3").output) == expected
        call, result, *_ = message.content_blocks
        assert call["id"] == result["tool_call_id"]  # type: ignore[typeddict-item] # their types


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_request_is_what_coze_documents(coze: LocalCoze, ask: CallStyle) -> None:
    ask(
        make_chat(
            coze,
            custom_variables={"city": "杭州", "days": 3},
            meta_data={"a": "b"},
            extra_params={"latitude": "30"},
            parameters={"x": [1]},
            enable_card=True,
            connector_id="1024",
            user_id="u1",
        ),
        [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage(QUESTION)],
    )
    (request,) = coze.requests
    assert (request.method, request.path, request.query) == ("POST", "/v3/chat", {})
    assert request.headers["authorization"] == f"Bearer {coze.token}"
    assert request.headers["content-type"] == "application/json"
    text = {"content_type": "text"}
    assert request.body == {
        "bot_id": BOT.bot_id,
        "user_id": "u1",
        "stream": True,
        "auto_save_history": False,
        "additional_messages": [
            {"role": "user", "type": "question", "content": "Hi", **text},
            {"role": "assistant", "type": "answer", "content": "Hello", **text},
            {"role": "user", "type": "question", "content": QUESTION, **text},
        ],
        "custom_variables": {"city": "杭州", "days": "3"},
        "meta_data": {"a": "b"},
        "extra_params": {"latitude": "30"},
        "parameters": {"x": [1]},
        "enable_card": True,
        "connector_id": "1024",
    }


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_poll_mode_gives_the_same_message(coze: LocalCoze, ask: CallStyle) -> None:
    polled = ask(make_chat(coze, response_mode="poll"), QUESTION)
    create, *retrieves, listed = coze.requests
    ids = {k: polled.response_metadata[k] for k in ("chat_id", "conversation_id")}
    assert (create.method, create.path) == ("POST", "/v3/chat")
    assert create.body["stream"] is False
    assert create.body["auto_save_history"] is True
    assert retrieves
    for request in retrieves:
        assert (request.method, request.path) == ("GET", "/v3/chat/retrieve")
        assert request.query == ids
    assert (listed.method, listed.path, listed.query) == ("GET", "/v3/chat/message/list", ids)
    streamed = invoke(make_chat(coze), QUESTION)
    assert polled.content == streamed.content
    assert polled.content_blocks[-1] == streamed.content_blocks[-1]
    # A chat that is retrieved has no section_id (wire 2.8).
    assert set(streamed.response_metadata) - set(polled.response_metadata) == {"section_id"}


def test_stream_in_poll_mode_is_one_chunk(coze: LocalCoze) -> None:
    chunks = list(make_chat(coze, response_mode="poll").stream(QUESTION))
    assert [chunk.text for chunk in chunks] == [ANSWER]
    assert chunks[0].chunk_position == "last"


def test_arguments_of_a_call_replace_the_fields(coze: LocalCoze) -> None:
    model = make_chat(coze, bot_id="1", user_id="field")
    message = model.invoke(QUESTION, model=BOT.bot_id, user_id="call", custom_variables={"a": 1})
    assert message.response_metadata["model_name"] == BOT.bot_id
    (request,) = coze.requests
    assert request.body["bot_id"] == BOT.bot_id
    assert request.body["user_id"] == "call"
    assert request.body["custom_variables"] == {"a": "1"}
    model.bind(bot_id=BOT.bot_id, auto_save_history=True).invoke(QUESTION)
    assert coze.requests[-1].body["auto_save_history"] is True


def test_a_chain_invokes_streams_and_batches(coze: LocalCoze) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
    chain = prompt | make_chat(coze) | StrOutputParser()
    assert chain.invoke({"question": QUESTION}) == ANSWER
    assert "".join(chain.stream({"question": QUESTION})) == ANSWER
    assert chain.batch([{"question": QUESTION}] * 3) == [ANSWER] * 3


SYSTEM = [SystemMessage("Be brief."), HumanMessage(QUESTION)]


@pytest.mark.parametrize(
    ("fields", "contents", "variables"),
    [
        ({}, ["Be brief.", QUESTION], None),
        ({"system_message_mode": "ignore"}, [QUESTION], None),
        (
            {"system_message_mode": "variable", "system_message_variable": "rules"},
            [QUESTION],
            {"rules": "Be brief."},
        ),
    ],
)
def test_system_messages_are_sent_as_the_mode_says(
    coze: LocalCoze, fields: dict[str, Any], contents: list[str], variables: Any
) -> None:
    make_chat(coze, **fields).invoke(SYSTEM)
    (request,) = coze.requests
    assert [m["content"] for m in request.body["additional_messages"]] == contents
    assert {m["role"] for m in request.body["additional_messages"]} == {"user"}
    assert request.body.get("custom_variables") == variables


def test_the_question_is_last_although_an_instruction_follows_it(coze: LocalCoze) -> None:
    """Coze searches for the last message, but the node of a graph may append its instruction."""
    make_chat(coze).invoke([SystemMessage("S1"), HumanMessage(QUESTION), SystemMessage("S2")])
    sent = [m["content"] for m in coze.requests[-1].body["additional_messages"]]
    assert sent == ["S1", "S2", QUESTION]
    make_chat(coze).invoke(
        [HumanMessage("q"), AIMessage("a"), SystemMessage("S1"), SystemMessage("S2")]
    )
    sent = [m["content"] for m in coze.requests[-1].body["additional_messages"]]
    assert sent == ["q", "a", "S1", "S2"]


def test_messages_of_other_models_are_sent_with_their_names(coze: LocalCoze) -> None:
    call = {"name": "transfer_to_tea", "args": {}, "id": "1"}
    make_chat(coze).invoke(
        [
            HumanMessage(QUESTION),
            AIMessage("I ask the expert.", name="supervisor", tool_calls=[call]),
            ToolMessage("Transferred.", tool_call_id="1"),
            AIMessage("", name="supervisor", tool_calls=[call]),
        ]
    )
    sent = coze.requests[0].body["additional_messages"]
    assert [(m["role"], m["content"]) for m in sent] == [
        ("user", "[supervisor] I ask the expert."),
        ("user", QUESTION),  # the bot searches for this and answers it
    ]


def test_too_many_messages_are_cut_at_a_question(coze: LocalCoze) -> None:
    history = [SystemMessage("Be brief.")]
    for number in range(60):
        history += [HumanMessage(f"q{number}"), AIMessage(f"a{number}")]  # type: ignore[list-item] # mixed
    with pytest.warns(UserWarning, match="at most 100 messages") as caught:
        make_chat(coze).invoke([*history, HumanMessage(QUESTION)])
    assert len(caught) == 1
    sent = coze.requests[0].body["additional_messages"]
    assert len(sent) <= 100
    assert sent[0]["content"] == "Be brief."
    assert sent[1]["content"] == "q11"
    assert sent[-1]["content"] == QUESTION


def test_only_poll_mode_saves_the_history_by_default(coze: LocalCoze) -> None:
    """Nothing is stored by default; poll mode has to save the history."""
    invoke(make_chat(coze), QUESTION)
    ainvoke(make_chat(coze, response_mode="poll"), QUESTION)
    saved = [r.body["auto_save_history"] for r in coze.requests if r.path == "/v3/chat"]
    assert saved == [False, True]


def test_a_checkpoint_keeps_the_sources(coze: LocalCoze) -> None:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer  # noqa: PLC0415

    message = make_chat(coze).invoke(QUESTION)
    serde = JsonPlusSerializer()
    again = serde.loads_typed(serde.dumps_typed(message))
    assert recalled_documents(again) == recalled_documents(message)
    assert again.content_blocks == message.content_blocks
    assert json.loads(json.dumps(message.response_metadata)) == message.response_metadata
