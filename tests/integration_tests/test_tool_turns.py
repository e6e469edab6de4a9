"""Calls of local plugins, answered in the same chat; over sockets."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_coze import (
    ChatCoze,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeServerError,
    create_coze_agent,
    is_retryable,
)
from langchain_coze.local import Ask, ClientTool, LocalBot, LocalCoze, RecordedRequest, Turn
from tests.conftest import forget_conversations, make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle, ainvoke, invoke
from tests.integration_tests.scripted_server import serve_script

TOOL = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
QUESTION = HumanMessage("Weather?")


class Place(BaseModel):
    """A place."""

    name: str


def weather(question: str, turn: Turn) -> Generator[Any, Any, None]:
    """Ask for two cities at once, then for a third one."""
    if question != QUESTION.text:
        yield f"{len(turn.entries)} messages"
        return
    yield "Let me see. "
    one, other = yield (
        ClientTool("get_weather", {"city": "杭州"}),
        ClientTool("get_weather", {"city": "北京"}),
    )
    third = yield ClientTool("get_weather", {"city": "上海"})
    yield f"杭州 {one}, 北京 {other}, 上海 {third}."


def careless(_: str) -> Generator[Any, Any, None]:
    result = yield ClientTool("get_weather", "city: 杭州")
    yield f"I heard: {result}"


WEATHER, CARELESS = LocalBot(weather, name="weather"), LocalBot(careless, name="careless")

coze = serve([WEATHER, CARELESS])


def answer_calls(asking: AIMessage) -> list[ToolMessage]:
    return [
        ToolMessage(f"sunny in {call['args']['city']}", tool_call_id=str(call["id"]))
        for call in asking.tool_calls
    ]


def list_paths(coze: LocalCoze) -> list[str]:
    return [request.path for request in coze.requests]


def list_submits(coze: LocalCoze) -> list[RecordedRequest]:
    return [request for request in coze.requests if request.path.endswith("submit_tool_outputs")]


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_two_rounds_of_calls_stay_in_one_chat(coze: LocalCoze, ask: CallStyle, mode: str) -> None:
    model = make_chat(coze, response_mode=mode).bind_tools([TOOL])
    history: list[BaseMessage] = [QUESTION]
    asking = ask(model, history)
    assert [call["args"]["city"] for call in asking.tool_calls] == ["杭州", "北京"]
    assert asking.content == "Let me see. "
    history += [asking, *answer_calls(asking)]
    again = ask(model, history)
    assert (again.content, [c["args"]["city"] for c in again.tool_calls]) == ("", ["上海"])
    history += [again, *answer_calls(again)]
    done = ask(model, history)
    assert done.content == "杭州 sunny in 杭州, 北京 sunny in 北京, 上海 sunny in 上海."
    assert done.response_metadata["finish_reason"] == "stop"
    # Coze repeats the outputs (wire section 2.6); they are in the history already
    assert {block["type"] for m in (again, done) for block in m.content_blocks} == {
        *("text", "tool_call")
    }
    chat_ids = {m.response_metadata["chat_id"] for m in (asking, again, done)}
    assert len(chat_ids) == 1
    started = [request for request in coze.requests if request.path == "/v3/chat"]
    assert (len(started), len(list_submits(coze))) == (1, 2)
    assert started[0].body["auto_save_history"] is True


def book(question: str) -> Generator[Any, Any, None]:
    day = yield Ask("Which day?", ["Friday", "Saturday"])
    yield f"{question} Booked for {day}."


BOOK = LocalBot(book, name="book")


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_question_is_no_tool_call_and_the_next_message_answers_it(
    ask: CallStyle, mode: str
) -> None:
    with LocalCoze(BOOK) as coze:
        model = make_chat(coze, response_mode=mode, conversation="thread")
        question = ask(model, [QUESTION])
        answer = ask(model, [QUESTION, question, HumanMessage("Friday")])
    assert (question.content, question.tool_calls) == ("Which day?\nFriday\nSaturday", [])
    assert question.response_metadata["finish_reason"] == "interrupt"
    assert answer.content == "Weather? Booked for Friday."
    posts = [request for request in coze.requests if request.method == "POST"]
    paths = [p.path for p in posts if not p.path.startswith("/v1/conversation/")]
    assert paths == ["/v3/chat", "/v3/chat"]
    sent = posts[-1].body["additional_messages"]
    assert [message["content"] for message in sent] == ["Friday"]


def test_an_agent_passes_a_question_to_its_user() -> None:
    def get_weather(city: str) -> str:
        """Get the weather."""
        return f"sunny in {city}"

    with LocalCoze(BOOK) as coze:
        saver = InMemorySaver()
        agent = create_coze_agent(make_chat(coze), [get_weather], name="a", checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        asked = agent.invoke({"messages": [QUESTION]}, config)["messages"]
        answered = agent.invoke({"messages": [HumanMessage("Friday")]}, config)["messages"]
    assert [message.text for message in asked] == ["Weather?", "Which day?\nFriday\nSaturday"]
    assert answered[-1].text == "Weather? Booked for Friday."
    assert not list_submits(coze)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_submit_request_is_what_coze_documents(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    ask(model, [QUESTION, asking, *answer_calls(asking)])
    (request,) = list_submits(coze)
    metadata = asking.response_metadata
    assert (request.method, request.path) == ("POST", "/v3/chat/submit_tool_outputs")
    assert request.query == {
        "conversation_id": metadata["conversation_id"],
        "chat_id": metadata["chat_id"],
    }
    assert request.body == {  # wire section 2.6
        "tool_outputs": [
            {"tool_call_id": asking.tool_calls[0]["id"], "output": "sunny in 杭州"},
            {"tool_call_id": asking.tool_calls[1]["id"], "output": "sunny in 北京"},
        ],
        "stream": True,
    }


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_calls_survive_a_checkpoint_and_another_process(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    stored = load(dumpd([QUESTION, asking, *answer_calls(asking)]), allowed_objects="all")
    forget_conversations()
    again = ask(model, stored)
    assert [call["args"]["city"] for call in again.tool_calls] == ["上海"]
    assert list_paths(coze) == ["/v3/chat", "/v3/chat/submit_tool_outputs"]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_step_back_into_a_submitted_turn_starts_a_new_one(
    coze: LocalCoze, ask: CallStyle, *, known: bool
) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    history: list[BaseMessage] = [QUESTION]
    asking = ask(model, history)
    history += [asking, *answer_calls(asking)]
    ask(model, history)
    if not known:
        forget_conversations()
    coze.reset()
    again = ask(model, history)
    assert again.response_metadata["chat_id"] != asking.response_metadata["chat_id"]
    assert list_paths(coze)[-1] == "/v3/chat"
    texts = [entry["content"] for entry in coze.requests[-1].body["additional_messages"]]
    assert texts == [
        "Let me see. ",
        '[get_weather({"city": "杭州"})] sunny in 杭州',
        '[get_weather({"city": "北京"})] sunny in 北京',
        QUESTION.text,
    ]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_invalid_arguments_are_reported_to_the_bot(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, CARELESS).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    (wrong,) = asking.invalid_tool_calls
    assert (asking.tool_calls, wrong["args"]) == ([], "city: 杭州")
    refused = ToolMessage("no JSON", tool_call_id=str(wrong["id"]), status="error")
    assert ask(model, [QUESTION, asking, refused]).content == "I heard: no JSON"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_new_message_of_the_user_abandons_the_call(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    done = ask(model, [QUESTION, asking, HumanMessage("Never mind.")])
    assert list_paths(coze) == ["/v3/chat", "/v3/chat/cancel", "/v3/chat"]
    metadata = asking.response_metadata
    assert coze.requests[1].body == {
        "conversation_id": metadata["conversation_id"],
        "chat_id": metadata["chat_id"],
    }
    assert done.content == "3 messages"  # the cancel is refused (4104): the history is whole


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_call_that_was_answered_in_another_history_is_not_cancelled(
    coze: LocalCoze, ask: CallStyle
) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    again = ask(model, [QUESTION, asking, *answer_calls(asking)])  # waits for its second round
    ask(model, [QUESTION, asking, HumanMessage("Never mind.")])
    assert "/v3/chat/cancel" not in list_paths(coze)
    history = [QUESTION, asking, *answer_calls(asking), again, *answer_calls(again)]
    assert ask(model, history).text.startswith("杭州 sunny in 杭州")


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_named_conversation_is_not_left_by_a_step_back(coze: LocalCoze, ask: CallStyle) -> None:
    named = ask(make_chat(coze, auto_save_history=True), "Hi").response_metadata["conversation_id"]
    model = make_chat(coze, conversation_id=named).bind_tools([TOOL])
    asking = ask(model, [HumanMessage("Hi"), QUESTION])
    history = [HumanMessage("Hi"), QUESTION, asking, *answer_calls(asking)]
    ask(model, history)
    coze.reset()
    ask(model, history)
    (request,) = coze.requests
    assert (request.path, request.query) == ("/v3/chat", {"conversation_id": named})


@pytest.mark.parametrize("fault", ["error=4101", "error=4009", "error=5000", "http_502"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_other_refusals_of_results_are_raised(coze: LocalCoze, ask: CallStyle, fault: str) -> None:
    model = make_chat(coze, max_retries=0).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    forget_conversations()
    coze.faults = f"{fault},on=/v3/chat/submit_tool_outputs"
    with pytest.raises(CozeError):
        ask(model, [QUESTION, asking, *answer_calls(asking)])
    assert list_paths(coze) == ["/v3/chat", "/v3/chat/submit_tool_outputs"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_abandoned_call_that_keeps_its_conversation_busy_is_left_behind(
    coze: LocalCoze, ask: CallStyle
) -> None:
    model = make_chat(coze, conversation="thread", max_retries=0).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    coze.faults = "error=4016,on=/v3/chat,times=1"
    done = ask(model, [QUESTION, asking, HumanMessage("Never mind.")])
    metadata, new = asking.response_metadata, done.response_metadata
    assert new["conversation_id"] != metadata["conversation_id"]
    assert done.content == "3 messages"  # the new conversation has the whole history
    tried = [request.query for request in coze.requests if request.path == "/v3/chat"]
    assert tried == [{}, {"conversation_id": metadata["conversation_id"]}, {}]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chat_that_was_not_saved_cannot_be_answered(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze)
    asking = ask(model, [QUESTION])
    assert asking.tool_calls
    with pytest.raises(CozeInvalidRequestError, match="was not saved in Coze"):
        ask(model.bind_tools([TOOL]), [QUESTION, asking, *answer_calls(asking)])
    assert list_paths(coze) == ["/v3/chat"]


def test_invalid_tool_messages_and_choices_are_refused_before_any_request(coze: LocalCoze) -> None:
    model = make_chat(coze)
    with pytest.raises(CozeInvalidRequestError, match="no earlier message contains"):
        model.invoke([QUESTION, ToolMessage("x", tool_call_id="unknown")])
    for choice in ("any", "get_weather", "none", {"type": "function"}):
        with pytest.raises(CozeInvalidRequestError, match="decides which tools"):
            model.bind_tools([TOOL], tool_choice=choice)  # type: ignore[arg-type] # a dict
        with pytest.raises(ValueError, match="decides which tools"):
            model.invoke("Hi", tool_choice=choice)
    with pytest.raises(CozeInvalidRequestError, match="cannot return structured output"):
        model.with_structured_output(TOOL)
    with pytest.raises(CozeInvalidRequestError, match="cannot return structured output"):
        model.bind_tools([], response_format=TOOL)
    with pytest.raises(CozeInvalidRequestError, match="cannot return structured output"):
        model.bind_tools([Place], tool_choice="Place")
    assert list_paths(coze) == []
    assert model.bind_tools([TOOL], tool_choice="auto")
    assert model.profile
    assert (model.profile["tool_calling"], model.profile["structured_output"]) == (True, False)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_tool_turn_is_never_answered_from_a_cache(coze: LocalCoze, ask: CallStyle) -> None:
    cache = InMemoryCache()
    model = make_chat(coze, cache=cache).bind_tools([TOOL])
    first, second = ask(model, [QUESTION]), ask(model, [QUESTION])
    assert first.response_metadata["chat_id"] != second.response_metadata["chat_id"]
    unbound = make_chat(coze, cache=cache)
    history = [QUESTION, first, *answer_calls(first)]
    assert ask(unbound, history).tool_calls[0]["args"] == {"city": "上海"}
    assert not cache._cache


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_server_without_submit_gives_a_hint_about_studio(coze: LocalCoze, ask: CallStyle) -> None:
    asking = ask(make_chat(coze).bind_tools([TOOL]), [QUESTION])
    with LocalCoze(WEATHER, profile="studio") as studio:
        model = make_chat(studio).bind_tools([TOOL])
        with pytest.raises(CozeNotFoundError) as caught:
            ask(model, [QUESTION, asking, *answer_calls(asking)])
    assert "Coze Studio does not" in str(caught.value)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_failed_submit_is_not_sent_twice(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze).bind_tools([TOOL])
    asking = ask(model, [QUESTION])
    coze.faults = "error=5000,on=/v3/chat/submit_tool_outputs"
    with pytest.raises(CozeServerError) as caught:
        ask(model, [QUESTION, asking, *answer_calls(asking)])
    assert len(list_submits(coze)) == 1
    metadata = asking.response_metadata
    assert caught.value.chat_id == metadata["chat_id"]
    assert caught.value.conversation_id == metadata["conversation_id"]
    assert not is_retryable(caught.value)


@pytest.mark.parametrize("ask", [invoke, ainvoke])
def test_results_that_were_accepted_are_not_sent_in_a_new_conversation(ask: CallStyle) -> None:
    """A status request that fails afterwards does not mean that Coze rejects the results."""
    asking = AIMessage(
        "",
        tool_calls=[{"name": "get_weather", "args": {}, "id": "call1"}],
        response_metadata={
            "model_provider": "coze",
            "model_name": "7001",
            "chat_id": "7002",
            "conversation_id": "7003",
            "finish_reason": "tool_calls",
        },
    )
    accepted = (
        b'{"code":0,"msg":"","data":{"id":"7002","conversation_id":"7003","status":"in_progress"}}'
    )
    missing = b'{"code":4200,"msg":"Requested resource chat_id=7002 does not exist."}'
    with serve_script(replies=[accepted, missing]) as server:
        model = ChatCoze(
            bot_id="7001",
            api_key="pat_example",
            base_url=server.base_url,
            response_mode="poll",
            poll_interval=0.01,
        )
        with pytest.raises(CozeNotFoundError) as caught:
            ask(model, [QUESTION, asking, ToolMessage("sunny", tool_call_id="call1")])
    assert (caught.value.code, caught.value.chat_id) == (4200, "7002")
    assert [path.partition("?")[0] for path in server.paths] == [
        "/v3/chat/submit_tool_outputs",
        "/v3/chat/retrieve",
    ]
