"""The chat model against a self-hosted Coze Studio (wire section 8); over sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_coze import (
    CozeAuthenticationError,
    CozeError,
    CozeStreamError,
    recalled_documents,
)
from langchain_coze.local import (
    Card,
    Fail,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    Reasoning,
    ServerTool,
    Turn,
)
from tests.conftest import forget_conversations, make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.stream_faults import serve_with_faults


def tea(question: str, turn: Turn) -> Iterator[Any]:
    yield Reasoning("想一想。")
    yield ServerTool("weather-today", {"city": "杭州"}, "22 degrees")
    if question == "fail":
        yield Fail(5000, "the model is gone")
    yield " | ".join(f"{entry.role}: {entry.text}" for entry in turn.entries)


BOT = LocalBot(tea, name="tea", knowledge=LocalKnowledge(["茶树长在山上。"]))

SHOW = LocalBot(lambda _: Card({"card_type": 3}), name="show")

studio = serve([BOT, SHOW], profiles=["studio"])


def list_paths(studio: LocalCoze) -> list[str]:
    return [f"{request.method} {request.path}" for request in studio.requests]


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_has_reasoning_tools_and_documents(
    studio: LocalCoze, ask: CallStyle, mode: str
) -> None:
    answer = ask(make_chat(studio, response_mode=mode), "茶树长在哪里？")
    assert answer.content == "user: 茶树长在哪里？"
    assert answer.additional_kwargs["reasoning_content"] == "想一想。"
    (document,) = recalled_documents(answer)
    assert document.page_content == "茶树长在山上。"
    kinds = [block["type"] for block in answer.content_blocks]
    assert sorted(kinds) == ["reasoning", "server_tool_call", "server_tool_result", "text"]
    call = next(b for b in answer.content_blocks if b["type"] == "server_tool_call")
    assert (call["name"], call["args"]) == ("weather-today", {"city": "杭州"})
    metadata = answer.response_metadata
    assert (metadata["finish_reason"], metadata["model_name"]) == ("stop", BOT.bot_id)
    assert metadata["logid"]
    assert answer.usage_metadata


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_token_counts_of_the_stream_need_no_request(studio: LocalCoze, ask: CallStyle) -> None:
    answer = ask(make_chat(studio), "Hi")
    assert answer.usage_metadata
    assert answer.usage_metadata["total_tokens"] > 0
    assert list_paths(studio) == ["POST /v3/chat"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_history_arrives_as_a_transcript(studio: LocalCoze, ask: CallStyle) -> None:
    history = [
        SystemMessage("Be brief."),
        HumanMessage("one"),
        AIMessage("first"),
        HumanMessage("two"),
    ]
    assert ask(make_chat(studio), history).content == (
        "user: System: Be brief.\n\nEarlier messages of this conversation:\n\n"
        "User: one\n\nAssistant: first | user: two"
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_is_continued(studio: LocalCoze, ask: CallStyle, *, known: bool) -> None:
    model = make_chat(studio, conversation="thread")
    history: list[BaseMessage] = [HumanMessage("one")]
    history += [ask(model, history), HumanMessage("two")]
    if not known:
        forget_conversations()
    assert ask(model, history).text.endswith("user: two")
    sent = [r.body["additional_messages"] for r in studio.requests if r.path == "/v3/chat"]
    assert [len(messages) for messages in sent] == [1, 1]
    fork = [*history[:2], HumanMessage("fork")]
    assert "two" not in ask(model, fork).text


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_errors_have_the_codes_of_studio(studio: LocalCoze, ask: CallStyle) -> None:
    with pytest.raises(CozeAuthenticationError) as caught:
        ask(make_chat(studio, api_key="pat_wrongwrong"), "Hi")
    assert caught.value.code == 700012006
    assert "pat_wrongwrong" not in str(caught.value)
    with pytest.raises(CozeError) as failed:
        ask(make_chat(studio), "fail")
    assert failed.value.chat_id
    assert failed.value.logid
    with (
        serve_with_faults(studio, "no_terminal") as base_url,
        pytest.raises(CozeStreamError),
    ):
        ask(make_chat(studio, base_url=base_url, max_retries=0), "Hi")
