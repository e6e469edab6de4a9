"""The turn that follows a history; without a server."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langchain_coze._api.singleflight import TTLCache
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze._chat.history import (
    LastTurn,
    TurnPlan,
    needs_conversation,
    plan_turn,
)
from langchain_coze._chat.options import ChatOptions
from langchain_coze.errors import CozeInvalidRequestError
from tests.unit_tests.wire_fixtures import REQUIRES_ACTION, SERVER_TOOL, TURN

BOT = "7374724495711502387"
STATELESS, THREAD = ChatOptions(bot_id=BOT), ChatOptions(bot_id=BOT, is_thread=True)


def make_answer(text: str, chat: str = "c1", conversation: str = "v1", **more: Any) -> AIMessage:
    calls = [
        ToolCall(name="get_weather", args={"city": id_}, id=id_) for id_ in more.pop("calls", ())
    ]
    metadata = {
        "model_provider": "coze",
        "model_name": more.pop("model", BOT),
        "conversation_id": conversation,
        "chat_id": chat,
        "finish_reason": more.pop("finish", "tool_calls" if calls else "stop"),
        **more.pop("metadata", {}),
    }
    return AIMessage(text, tool_calls=calls, response_metadata=metadata, **more)


def make_tool_result(call: str, text: str = "sunny") -> ToolMessage:
    return ToolMessage(text, tool_call_id=call)


def get_texts(messages: Any) -> list[str]:
    return [message.text for message in messages]


Q1, Q2 = HumanMessage("q1"), HumanMessage("q2")


def test_stateless_sends_everything_and_names_no_conversation(
    recwarn: pytest.WarningsRecorder,
) -> None:
    plan = plan_turn([Q1, make_answer("a1"), Q2], STATELESS)
    assert (get_texts(plan.messages), plan.conversation_id, plan.expected_last_turn) == (
        ["q1", "a1", "q2"],
        None,
        None,
    )
    assert not recwarn


def test_a_thread_sends_the_messages_after_the_last_answer_of_this_bot() -> None:
    other = make_answer("b1", chat="c9", conversation="v9", model="7777")
    plan = plan_turn([Q1, make_answer("a1"), other, Q2], THREAD)
    assert (get_texts(plan.messages), plan.conversation_id) == (["b1", "q2"], "v1")
    assert plan.expected_last_turn == LastTurn(chat_id="c1", state="stop")
    assert get_texts(plan.for_new_conversation().messages) == ["q1", "a1", "b1", "q2"]
    assert plan.for_new_conversation().conversation_id is None


def test_a_thread_without_an_answer_of_this_bot_starts_a_conversation() -> None:
    foreign = AIMessage("x", response_metadata={"model_provider": "openai", "chat_id": "c1"})
    no_ids = make_answer("x", metadata={"conversation_id": ""})
    for answer in (foreign, no_ids, make_answer("x", model="7777")):
        plan = plan_turn([Q1, answer, Q2], THREAD)
        assert (len(plan.messages), plan.conversation_id) == (3, None)


def test_a_named_conversation_gets_the_messages_after_its_own_last_answer() -> None:
    history = [
        Q1,
        make_answer("a1", conversation="v1"),
        Q2,
        make_answer("a2", chat="c2", conversation="v2"),
    ]
    history.append(HumanMessage("q3"))
    for named, sent in (("v1", ["q2", "a2", "q3"]), ("v2", ["q3"]), ("v3", get_texts(history))):
        plan = plan_turn(history, ChatOptions(bot_id=BOT, conversation_id=named))
        assert (get_texts(plan.messages), plan.conversation_id, plan.expected_last_turn) == (
            sent,
            named,
            None,
        )


@pytest.mark.parametrize(
    "scope", [STATELESS, THREAD, ChatOptions(bot_id=BOT, conversation_id="v5")]
)
def test_results_go_to_the_chat_that_asked(scope: ChatOptions) -> None:
    history = [
        Q1,
        make_answer("", calls=["1", "2"]),
        make_tool_result("2", "rain"),
        make_tool_result("9"),
        make_tool_result("1"),
    ]
    plan = plan_turn([*history, SystemMessage("Be brief.")], scope)
    assert plan.outputs == {"1": "sunny", "2": "rain"}
    assert (plan.open_chat, plan.conversation_id) == (plan.expected_last_turn, "v1")
    assert plan.expected_last_turn == LastTurn(
        chat_id="c1", state="tool_calls", open_calls=frozenset({"1", "2"})
    )


def test_each_call_gets_an_output() -> None:
    asking = make_answer("", calls=["1", "2"])
    asking.invalid_tool_calls = [
        {"type": "invalid_tool_call", "id": "3", "name": "f", "args": "{oops", "error": None}
    ]
    failed = ToolMessage("no such city", tool_call_id="1", status="error")
    plan = plan_turn([Q1, asking, failed], STATELESS)
    assert plan.outputs == {
        "1": "no such city",
        "2": "(no result)",
        "3": "The arguments of this call are not valid JSON: {oops",
    }


def test_a_result_without_text_is_sent_as_json() -> None:
    data = ToolMessage([{"type": "json", "json": {"name": "茶"}}], tool_call_id="1")
    outputs = plan_turn([Q1, make_answer("", calls=["1"]), data], STATELESS).outputs
    assert outputs == {"1": '[{"type": "json", "json": {"name": "茶"}}]'}


@pytest.mark.parametrize(
    "went_on",
    [
        [Q2],
        [make_tool_result("1"), Q2],
        [Q2, make_tool_result("1")],
        [make_tool_result("1"), AIMessage("I take over.", name="other")],
    ],
)
def test_a_new_user_message_abandons_the_calls(went_on: list[BaseMessage]) -> None:
    history = [Q1, make_answer("a1"), Q2, make_answer("", chat="c2", calls=["1"]), *went_on]
    stateless, thread = (plan_turn(history, scope) for scope in (STATELESS, THREAD))
    for plan in (stateless, thread):
        assert plan.outputs is None
        assert plan.open_chat == LastTurn(
            chat_id="c2", state="tool_calls", open_calls=frozenset({"1"})
        )
    assert stateless.messages == history
    assert thread.messages == went_on
    assert thread.reopened_messages == [
        Q2,
        history[3],
        *went_on,
    ]  # when the turn is cancelled, it is forgotten


def test_a_cancelled_turn_is_sent_again_from_its_question_on() -> None:
    rounds = [
        make_answer("", chat="c2", calls=["1"]),
        make_tool_result("1"),
        make_answer("", chat="c2", calls=["2"]),
    ]
    history = [Q1, make_answer("a1"), Q2, *rounds, HumanMessage("stop")]
    assert plan_turn(history, THREAD).reopened_messages == [Q2, *rounds, history[-1]]


def test_open_calls_without_results_are_rejected_by_id() -> None:
    with pytest.raises(CozeInvalidRequestError, match=r"waits for the results .*: 1, 2\."):
        plan_turn([Q1, make_answer("", calls=["1", "2"])], STATELESS)


def test_a_result_of_an_unknown_call_is_rejected() -> None:
    for history in (
        [Q1, make_tool_result("x")],
        [Q1, make_answer("", calls=["1"]), make_tool_result("x")],
    ):
        with pytest.raises(CozeInvalidRequestError, match="result of the tool call 'x', which no"):
            plan_turn(history, STATELESS)


def test_a_handoff_by_another_agent_is_accepted() -> None:
    hand_over = AIMessage(
        "", name="supervisor", tool_calls=[ToolCall(name="transfer_to_bot", args={}, id="h")]
    )
    plan = plan_turn([Q1, hand_over, make_tool_result("h", "transferred")], THREAD)
    assert (plan.outputs, plan.conversation_id) == (None, None)


@pytest.mark.parametrize(
    ("metadata", "scope"),
    [
        ({"auto_save_history": False}, STATELESS),
        ({}, ChatOptions(bot_id=BOT, auto_save_history=False)),
    ],
)
def test_the_calls_of_a_chat_that_was_not_saved_cannot_be_answered(
    metadata: dict[str, Any], scope: ChatOptions
) -> None:
    history = [Q1, make_answer("", calls=["1"], metadata=metadata), make_tool_result("1")]
    with pytest.raises(CozeInvalidRequestError, match="was not saved") as caught:
        plan_turn(history, scope)
    assert caught.value.chat_id == "c1"
    assert "auto_save_history=True" in str(caught.value)
    # but the user may continue without them, and there is nothing to cancel
    plan = plan_turn([*history[:2], Q2], STATELESS)
    assert (plan.open_chat is None) == bool(metadata)


def test_an_interrupted_turn_continues_in_its_conversation_in_every_mode() -> None:
    question = make_answer("Which city?", finish="interrupt")
    plan = plan_turn([Q1, question, Q2], STATELESS)
    assert (get_texts(plan.messages), plan.conversation_id) == (["q2"], "v1")
    assert plan.expected_last_turn == LastTurn(chat_id="c1", state="interrupt")
    unsaved = make_answer("Which city?", finish="interrupt", metadata={"auto_save_history": False})
    with pytest.warns(UserWarning, match="asked its question in a chat that was not"):
        plan = plan_turn([Q1, unsaved, Q2], STATELESS)
    assert (len(plan.messages), plan.conversation_id) == (3, None)


def test_turns_of_a_conversation_are_not_cached() -> None:
    assert needs_conversation([Q1], THREAD)
    assert needs_conversation([Q1], ChatOptions(bot_id=BOT, conversation_id="v1"))
    assert needs_conversation([Q1, make_answer("", calls=["1"]), make_tool_result("1")], STATELESS)
    assert needs_conversation([Q1, make_answer("?", finish="interrupt"), Q2], STATELESS)
    assert not needs_conversation([Q1, make_answer("a1"), Q2], STATELESS)
    assert not needs_conversation([Q1], STATELESS)


def test_heads_forget_the_conversations_that_were_used_least() -> None:
    heads = TTLCache(max_size=2)
    for conversation in ("v1", "v2"):
        heads.store(("http://a", conversation), LastTurn(chat_id="c", state="stop"))
    heads.store(("http://a", "v1"), LastTurn(chat_id="d", state="stop"))
    heads.store(("http://b", "v1"), LastTurn(chat_id="e", state="stop"))
    found = [heads.get(key) for key in (("http://a", "v1"), ("http://a", "v2"), ("http://b", "v1"))]
    assert found == [LastTurn(chat_id="d", state="stop"), None, LastTurn(chat_id="e", state="stop")]


def test_only_a_turn_that_may_continue_keeps_the_ids_of_its_messages() -> None:
    """Ten thousand turns are remembered, so a finished one must be small."""
    waiting, finished = FastAnswerParser(BOT), FastAnswerParser(BOT)
    waiting.feed(SERVER_TOOL + REQUIRES_ACTION)
    finished.feed(SERVER_TOOL + TURN)
    turns = [waiting.build_last_turn(""), finished.build_last_turn("")]
    assert turns[0] is not None
    assert {"71", "72"} <= turns[0].message_ids
    assert turns[1] is not None
    assert (turns[1].state, turns[1].message_ids) == ("stop", frozenset())


def test_a_restarted_plan_sends_the_whole_history() -> None:
    assert TurnPlan(messages=[], full_history=[Q1]).for_new_conversation().messages == [Q1]
