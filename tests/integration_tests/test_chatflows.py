"""Chatflows: their route, events and fields, and their questions; over sockets."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_coze import ChatCoze, CozeError, CozeInvalidRequestError
from langchain_coze.local import Ask, LocalBot, LocalChatflow, LocalCoze, RecordedRequest, Turn
from tests.conftest import forget_conversations, make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle

_numbers = itertools.count()


def order(_: str, turn: Turn) -> Generator[Any, Any, None]:
    """Ask twice, then sum up."""
    what = turn.parameters.get("what", "tea")
    city = yield Ask("Which city?", ["杭州", "北京"])
    street = yield Ask("Which street?")
    yield f"{what} <to> {street}, {city} & thanks"


def echo(question: str, turn: Turn) -> str:
    return f"{question} {dict(turn.parameters)} {len(turn.entries)}"


def fail(_: str) -> str:
    raise RuntimeError("node failed")


ORDER = LocalChatflow(order, name="order")
ECHO = LocalChatflow(echo, name="echo", app_id="7500000000000000001")
FAIL = LocalChatflow(fail, name="fail")
BOT = LocalBot(echo, name="shop")

coze = serve(BOT, chatflows=[ORDER, ECHO, FAIL], profiles=["cloud", "studio"])


def make_flow(coze: LocalCoze, local: LocalChatflow = ORDER, **fields: Any) -> ChatCoze:
    place = {"app_id": local.app_id} if local.app_id else {"bot_id": BOT.bot_id}
    known = {"workflow_id": local.workflow_id, "api_key": coze.token, "base_url": coze.base_url}
    known["server"] = coze.profile
    return ChatCoze(**{**known, **place, "timeout": 5, **fields})


def make_conversation_name() -> dict[str, str]:
    """Return the name of a new conversation: Studio keeps one for each name."""
    return {"CONVERSATION_NAME": f"conversation {next(_numbers)}"}


def list_chat_requests(coze: LocalCoze) -> list[RecordedRequest]:
    return [request for request in coze.requests if request.path == "/v1/workflows/chat"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chatflow_asks_questions_and_continues(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_flow(coze, parameters={"what": "cake", **make_conversation_name()})
    history: list[BaseMessage] = [HumanMessage("I want to order.")]
    answers: list[AIMessage] = []
    for answer in ("杭州", "Main Street", None):
        answers.append(ask(model, history))
        history += [answers[-1], HumanMessage(answer or "")]
    assert [message.text for message in answers] == [
        "Which city?\n杭州\n北京",
        "Which street?",
        "cake <to> Main Street, 杭州 & thanks",
    ]
    finished = [message.response_metadata["finish_reason"] for message in answers]
    assert finished == ["interrupt", "interrupt", "stop"]
    assert answers[0].tool_calls == []
    for message in answers:
        assert message.response_metadata["model_name"] == ORDER.workflow_id
        place = coze.base_url if coze.profile == "studio" else "https://www.coze.cn"
        assert message.response_metadata["debug_url"].startswith(f"{place}/work_flow?")
        assert "&" in message.response_metadata["debug_url"]
    first, *later = list_chat_requests(coze)
    assert "conversation_id" not in first.body
    named = answers[0].response_metadata["conversation_id"]
    assert [request.body["conversation_id"] for request in later] == [named, named]
    sent = [
        [m["content"] for m in request.body["additional_messages"]]
        for request in list_chat_requests(coze)
    ]
    assert sent == [["I want to order."], ["杭州"], ["Main Street"]]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_request_is_what_coze_documents(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_flow(
        coze,
        ECHO,
        user_id="42",
        parameters={"CONVERSATION_NAME": "Default", "n": 3},
        extra_params={"latitude": 30.2},
        connector_id="1024",
        bot_version="v0.0.1",
        conversation_id=None,
    )
    ask(
        make_flow(coze, parameters={"CONVERSATION_NAME": "Default"}), "open"
    )  # a first conversation
    conversation = list_chat_requests(coze)[0]
    coze.reset()
    made = ask(make_flow(coze, parameters={"CONVERSATION_NAME": "Default"}), "open")
    named = made.response_metadata["conversation_id"]
    coze.reset()
    answer = ask(model, [SystemMessage("Be brief."), HumanMessage("Hi")], conversation_id=named)
    assert "Hi {'CONVERSATION_NAME': 'Default', 'n': 3}" in answer.text
    (request,) = list_chat_requests(coze)
    question = {"role": "user", "type": "question", "content_type": "text"}
    contents = ["Be brief.", "Hi"]
    if coze.profile == "studio":  # its model node sees one message (wire section 8)
        contents = ["System: Be brief.\n\nThe message to answer:\n\nHi"]
    assert (request.method, dict(request.query)) == ("POST", {})
    assert request.body == {  # wire section 4.6: the conversation id is in the body
        "workflow_id": ECHO.workflow_id,
        "app_id": ECHO.app_id,
        "conversation_id": named,
        "additional_messages": [{**question, "content": content} for content in contents],
        "parameters": {"CONVERSATION_NAME": "Default", "n": 3},
        "ext": {"latitude": "30.2", "user_id": "42"},
        "workflow_version": "v0.0.1",
        "connector_id": "1024",
    }
    assert conversation.body.keys() == {
        "workflow_id",
        "bot_id",
        "additional_messages",
        "parameters",
    }


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_interrupted_chatflow_continues_in_another_process(
    coze: LocalCoze, ask: CallStyle
) -> None:
    model = make_flow(coze, parameters=make_conversation_name())
    first = ask(model, "Order")
    forget_conversations()
    second = ask(model, [HumanMessage("Order"), first, HumanMessage("杭州")])
    assert second.text == "Which street?"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_of_a_chatflow_stays_in_one_conversation(coze: LocalCoze, ask: CallStyle) -> None:
    parameters = make_conversation_name()
    model = make_flow(coze, ORDER, conversation="thread", parameters=parameters)
    history: list[BaseMessage] = [HumanMessage("Order")]
    for answer in ("杭州", "Main Street", "Again"):
        history += [ask(model, history), HumanMessage(answer)]
    assert ask(model, history).text.startswith("Which city?")
    named = {request.body.get("conversation_id") for request in list_chat_requests(coze)[1:]}
    assert len(named) == 1


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_failures_are_raised_with_their_code(coze: LocalCoze, ask: CallStyle) -> None:
    parameters = make_conversation_name()
    with pytest.raises(CozeError) as caught:
        ask(make_flow(coze, FAIL, parameters=parameters), "Hi")
    assert caught.value.code
    assert "node failed" in str(caught.value)
    if coze.profile == "cloud":
        with pytest.raises(CozeInvalidRequestError, match="会话名不存在") as caught:
            ask(make_flow(coze, ECHO, parameters={"CONVERSATION_NAME": "unknown"}), "Hi")
        assert caught.value.code == 720702204


def test_unsupported_arguments_are_refused_before_any_request(coze: LocalCoze) -> None:
    image = HumanMessage([{"type": "text", "text": "?"}, {"type": "image", "url": "https://h/p"}])
    only_cloud: list[Any] = [
        (make_flow(coze, bot_id=None), "Hi", "neither bot_id nor app_id is set"),
        (make_flow(coze), [image], "accepts only text messages"),
    ]
    for model, question, message in (
        (make_flow(coze, app_id="7500000000000000001"), "Hi", "both bot_id and app_id are set"),
        (make_flow(coze, response_mode="poll"), "Hi", "support only streaming"),
        (make_flow(coze, custom_variables={"a": 1}), "Hi", "does not support custom_variables"),
        *(only_cloud if coze.profile == "cloud" else ()),
    ):
        with pytest.raises(CozeInvalidRequestError, match=message):
            model.invoke(question)
    assert coze.requests == []


def test_a_bot_of_the_environment_gives_way_to_the_app(
    coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COZE_BOT_ID", BOT.bot_id)
    model = make_flow(coze, ECHO, parameters={"CONVERSATION_NAME": "Default"})
    request = model._build_options({})
    assert (request.bot_id, request.app_id) == ("", ECHO.app_id)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chatflow_can_be_named_by_a_call(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze)
    parameters = make_conversation_name()
    answer = ask(model, "Order", workflow_id=ORDER.workflow_id, parameters=parameters)
    assert answer.text.startswith("Which city?")
