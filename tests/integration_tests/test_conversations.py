"""History kept by Coze: conversations by id, by thread, and forked; over sockets."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_coze import (
    CozeConversationBusyError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeTimeoutError,
)
from langchain_coze.local import LocalBot, LocalCoze, RecordedRequest, Turn
from tests.conftest import forget_conversations, make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle


def remember(question: str, turn: Turn) -> Iterator[str]:
    """Repeat all messages of the user in this conversation."""
    yield " | ".join(entry.text for entry in turn.entries if entry.role == "user")
    if question == "fail":
        raise RuntimeError("as asked")


def slow(question: str) -> Generator[Any, Any, None]:
    for _ in range(5):
        time.sleep(0.02)  # a slow bot
        yield question


MEMORY = LocalBot(remember, name="memory")
OTHER = LocalBot(remember, name="other")
SLOW = LocalBot(slow, name="slow")

coze = serve([MEMORY, OTHER, SLOW])


def start_conversation(coze: LocalCoze) -> str:
    """Start a conversation with a first turn; return its id."""
    answer = make_chat(coze, auto_save_history=True).invoke("zero")
    coze.reset()
    return str(answer.response_metadata["conversation_id"])


def list_chats(coze: LocalCoze) -> list[RecordedRequest]:
    return [request for request in coze.requests if request.path == "/v3/chat"]


def get_sent_texts(request: RecordedRequest) -> list[str]:
    return [entry["content"] for entry in request.body["additional_messages"]]


# --- Named conversations -------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_conversation_that_was_not_saved_is_warned_about(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze)
    first = ask(model, "one")
    named = first.response_metadata["conversation_id"]
    with pytest.warns(UserWarning, match=f"no messages in the conversation {named}") as caught:
        second = ask(model, "two", conversation_id=named)
    assert "auto_save_history=True" in str(caught[0].message)
    assert second.content == "two"
    with warnings.catch_warnings():  # from now on Coze saves it
        warnings.simplefilter("error")
        assert ask(model, "three", conversation_id=named).content == "two | three"
        ask(model, "four", conversation_id=named, auto_save_history=False)
        assert ask(model, "five", conversation_id=named).content == "two | three | five"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_conversation_may_start_with_a_saved_turn(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze)
    first = ask(model, "one", auto_save_history=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = ask(model, "two", conversation_id=first.response_metadata["conversation_id"])
    assert second.content == "one | two"


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_named_conversation_is_continued(coze: LocalCoze, ask: CallStyle, mode: str) -> None:
    named = start_conversation(coze)
    model = make_chat(coze, conversation_id=named, response_mode=mode)
    first = ask(model, "one")
    assert first.content == "zero | one"
    second = ask(model, [HumanMessage("one"), first, HumanMessage("two")])
    assert second.content == "zero | one | two"
    assert [get_sent_texts(request) for request in list_chats(coze)] == [["one"], ["two"]]
    for request in list_chats(coze):  # wire section 2.1: in the query, not in the body
        assert request.query == {"conversation_id": named}
        assert request.body == {
            "bot_id": MEMORY.bot_id,
            "user_id": "langchain-coze",
            "additional_messages": request.body["additional_messages"],
            "stream": mode == "stream",
            "auto_save_history": True,
        }


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_call_goes_before_the_config_and_the_config_before_the_field(
    coze: LocalCoze, ask: CallStyle
) -> None:
    by_call, by_config, by_field = (start_conversation(coze) for _ in range(3))
    model = make_chat(coze, conversation_id=by_field)
    config: RunnableConfig = {"configurable": {"coze_conversation_id": by_config}}
    per_bot: RunnableConfig = {
        "configurable": {"coze_conversation_id": {MEMORY.bot_id: by_config, "7": "8"}}
    }
    ask(model, "a", config=config, conversation_id=by_call)
    ask(model, "b", config=config)
    ask(model, "c", config=per_bot)
    ask(model, "d", config={"configurable": {"coze_conversation_id": {"7": "8"}}})
    named = [request.query["conversation_id"] for request in list_chats(coze)]
    assert named == [by_call, by_config, by_config, by_field]


def test_a_config_reaches_the_bot_through_chains(coze: LocalCoze) -> None:
    named = start_conversation(coze)
    config: RunnableConfig = {"configurable": {"coze_conversation_id": named}}
    model = make_chat(coze)
    chain: Any = RunnableLambda(model.invoke)

    async def ask(text: str) -> AIMessage:
        return await model.ainvoke(text)

    assert chain.invoke("one", config).content == "zero | one"
    assert asyncio.run(RunnableLambda(ask).ainvoke("two", config)).content == "zero | one | two"
    streamed = (RunnableLambda(lambda text: text) | model).stream("three", config)
    assert "".join(chunk.text for chunk in streamed) == "zero | one | two | three"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_invalid_conversation_id_is_an_error(coze: LocalCoze, ask: CallStyle) -> None:
    with pytest.raises(CozeNotFoundError, match="code 4002"):
        ask(make_chat(coze, conversation_id="123"), "one")
    with pytest.raises(CozeInvalidRequestError, match="coze_conversation_id is of type list"):
        ask(make_chat(coze), "one", config={"configurable": {"coze_conversation_id": ["1"]}})


def test_every_method_of_the_model_uses_the_conversation_of_the_config(coze: LocalCoze) -> None:
    named = start_conversation(coze)
    config: RunnableConfig = {"configurable": {"coze_conversation_id": named}}
    model = make_chat(coze)

    async def events() -> None:
        stream = await model.astream_events("c", config, version="v3")
        await stream.output
        async for _ in model.astream_events("d", config, version="v2"):
            pass

    assert model.stream_events("a", config, version="v3").output.text == "zero | a"
    assert model.invoke("b", config).text == "zero | a | b"
    asyncio.run(events())
    model.batch(["e"], config)
    assert [request.query for request in list_chats(coze)] == [{"conversation_id": named}] * 5


# --- Conversations found in the history ----------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_sends_only_new_messages(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, conversation="thread")
    history: list[BaseMessage] = [SystemMessage("Be brief.")]
    for question in ("one", "two", "three"):
        history.append(HumanMessage(question))
        history.append(ask(model, history))
    assert history[-1].content == "Be brief. | one | two | three"
    assert [get_sent_texts(request) for request in list_chats(coze)] == [
        ["Be brief.", "one"],
        ["two"],
        ["three"],
    ]
    first, *later = [request.query.get("conversation_id") for request in list_chats(coze)]
    assert (first, len(set(later))) == (None, 1)
    assert len(coze.requests) == 3  # the last turn is known, so it is not requested


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_forks_and_replays_do_not_see_later_messages(
    coze: LocalCoze, ask: CallStyle, *, known: bool
) -> None:
    model = make_chat(coze, conversation="thread")
    history: list[BaseMessage] = [HumanMessage("one")]
    history.append(ask(model, history))
    past = [*history]
    history.append(HumanMessage("two"))
    history.append(ask(model, history))
    if not known:
        forget_conversations()
    fork = [*past, HumanMessage("fork")]
    fork.append(ask(model, fork))
    assert fork[-1].content == "one | fork"
    fork.append(HumanMessage("on"))
    assert ask(model, fork).content == "one | fork | on"
    if not known:
        forget_conversations()
    history.append(HumanMessage("three"))
    assert ask(model, history).content == "one | two | three"
    replay = [*past, HumanMessage("two")]
    assert ask(model, replay).content == "one | two"
    used = [request.query.get("conversation_id") for request in list_chats(coze)]
    assert len({request for request in used if request}) == 2


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_continues_in_another_process(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze, conversation="thread")
    history: list[BaseMessage] = [HumanMessage("one")]
    history += [ask(model, history), HumanMessage("two")]
    forget_conversations()
    assert ask(model, history).content == "one | two"
    request = coze.requests[1]
    assert (request.path, request.body) == (
        "/v1/conversation/message/list",
        {"order": "desc", "limit": 1},
    )
    assert get_sent_texts(list_chats(coze)[-1]) == ["two"]


@pytest.mark.parametrize("fault", ["error=4101", "error=5000", "http_502", "close"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_conversation_begins_where_the_last_turn_cannot_be_verified(
    coze: LocalCoze, ask: CallStyle, fault: str
) -> None:
    model = make_chat(coze, conversation="thread", max_retries=0)
    history: list[BaseMessage] = [HumanMessage("one")]
    history += [ask(model, history), HumanMessage("two")]
    forget_conversations()
    coze.faults = f"{fault},on=/v1/conversation/message/list"
    with pytest.warns(UserWarning, match="could not be read .*add it"):
        assert ask(model, history).content == "one | two"
    assert get_sent_texts(list_chats(coze)[-1]) == ["one", "one", "two"]
    assert list_chats(coze)[-1].query == {}


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_turn_that_was_cut_off_is_not_repeated_in_its_conversation(
    coze: LocalCoze, ask: CallStyle
) -> None:
    model = make_chat(coze, conversation="thread")
    history: list[BaseMessage] = [HumanMessage("one")]
    history.append(ask(model, history))
    with pytest.raises(CozeError):
        ask(model, [*history, HumanMessage("fail")])
    again = ask(model, [*history, HumanMessage("two")])
    assert again.content == "one | two"  # and not "one | fail | two"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_abandoned_turn_is_not_repeated_in_its_conversation(
    coze: LocalCoze, ask: CallStyle
) -> None:
    fields: Any = {"bot": SLOW, "conversation": "thread", "response_mode": "poll"}
    history: list[BaseMessage] = [HumanMessage("one")]
    history.append(ask(make_chat(coze, **fields), history))
    with pytest.raises(CozeTimeoutError):
        ask(make_chat(coze, **fields, poll_timeout=0.01), [*history, HumanMessage("late")])
    again = ask(make_chat(coze, **fields), [*history, HumanMessage("two")])
    conversations = [a.response_metadata["conversation_id"] for a in (history[-1], again)]
    assert len(set(conversations)) == 2
    assert get_sent_texts(list_chats(coze)[-1]) == ["one", "one" * 5, "two"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_two_bots_of_one_history_keep_their_own_conversations(
    coze: LocalCoze, ask: CallStyle
) -> None:
    one, other = (make_chat(coze, conversation="thread", bot_id=b.bot_id) for b in (MEMORY, OTHER))
    history: list[BaseMessage] = [HumanMessage("one")]
    for model in (one, other, one, other):
        answer = ask(model, history)
        answer.name = "other" if model is other else "memory"
        history += [answer, HumanMessage(f"to {answer.name}")]
    requests = [(request.body["bot_id"], get_sent_texts(request)) for request in list_chats(coze)]
    assert requests[2] == (
        MEMORY.bot_id,
        ["to memory", f"[other] {history[3].content}", "to other"],
    )
    used = [request.query.get("conversation_id") for request in list_chats(coze)]
    assert used[:2] == [None, None]
    assert used[2] != used[3]


def test_threads_never_share_a_conversation_or_a_cached_answer(coze: LocalCoze) -> None:
    model = make_chat(coze, conversation="thread", cache=InMemoryCache())
    answers = [model.invoke("same"), asyncio.run(model.ainvoke("same"))]
    answers += model.batch(["same"] * 4)
    assert len({a.response_metadata["conversation_id"] for a in answers}) == 6
    named = make_chat(coze, conversation_id=start_conversation(coze), cache=InMemoryCache())
    assert [named.invoke("same").content for _ in range(2)] == ["zero | same", "zero | same | same"]
    stateless = make_chat(coze, cache=InMemoryCache())
    assert stateless.invoke("same").response_metadata == (
        stateless.invoke("same").response_metadata
    )


@pytest.mark.parametrize("ask", CALL_STYLES[:2])
def test_sessions_of_an_app_never_share_a_cached_answer(coze: LocalCoze, ask: CallStyle) -> None:
    class Session:
        """A token source for one end user, like `CozeJWTAuth`."""

        def __init__(self, session_name: str | None) -> None:
            self.session_name = session_name
            self.token = coze.token

    cache = InMemoryCache()
    chat_ids = [
        ask(make_chat(coze, api_key=Session(name), cache=cache), "same").response_metadata[
            "chat_id"
        ]
        for name in ("a", "b", "a", None, None)
    ]
    assert len(set(chat_ids)) == 4


def test_a_thread_that_is_not_saved_is_refused(coze: LocalCoze) -> None:
    with pytest.raises(CozeInvalidRequestError, match="auto_save_history is False"):
        make_chat(coze, conversation="thread", auto_save_history=False).invoke("one")


# --- One turn at a time --------------------------------------------------------------------------


def test_turns_of_a_conversation_wait_for_each_other(coze: LocalCoze) -> None:
    model = make_chat(coze, SLOW, conversation_id=start_conversation(coze), max_retries=0)

    async def several() -> list[AIMessage]:
        return await asyncio.gather(*(model.ainvoke(str(number)) for number in range(4)))

    with ThreadPoolExecutor(5) as pool:
        blocking = [pool.submit(model.invoke, str(number)) for number in range(3)]
        loop = pool.submit(asyncio.run, several())
        answers = [future.result(20) for future in blocking] + loop.result(20)
    wanted = ["00000", "11111", "22222"] * 2 + ["33333"]
    assert sorted(answer.text for answer in answers) == sorted(wanted)
    assert len(list_chats(coze)) == 7  # and no 4016


def test_a_batch_of_one_conversation_has_one_turn_at_a_time(coze: LocalCoze) -> None:
    model = make_chat(coze, conversation_id=start_conversation(coze), max_retries=0)
    questions: list[Any] = [str(number) for number in range(24)]
    answers = model.batch(questions, {"max_concurrency": 4})
    assert sorted(len(answer.text.split(" | ")) for answer in answers) == list(range(2, 26))


def test_closing_a_stream_early_lets_the_next_turn_start(coze: LocalCoze) -> None:
    model = make_chat(coze, SLOW, conversation_id=start_conversation(coze), max_retries=4)
    for chunk in model.stream("a"):
        assert chunk.text == "a"
        break
    assert model.invoke("b").text == "bbbbb"  # after a few 4016: the bot had not ended


def test_the_time_of_a_turn_includes_the_queue(coze: LocalCoze) -> None:
    model = make_chat(coze, SLOW, conversation_id=start_conversation(coze))
    stream = model.stream("a")
    next(stream)
    hurried = model.model_copy(update={"max_duration": 0.05})
    with ThreadPoolExecutor(1) as pool, pytest.raises(CozeTimeoutError, match="max_duration"):
        pool.submit(hurried.invoke, "b").result(20)
    stream.close()  # type: ignore[attr-defined] # a generator


def test_a_turn_inside_a_turn_of_the_same_conversation_is_refused(coze: LocalCoze) -> None:
    model = make_chat(coze, SLOW, conversation_id=start_conversation(coze))
    stream = model.stream("a")
    next(stream)
    with pytest.raises(
        CozeConversationBusyError, match="Read the other stream to its end or close it first"
    ):
        model.invoke("b")
    assert "".join(chunk.text for chunk in stream) == "aaaa"
    assert [get_sent_texts(request) for request in list_chats(coze)] == [["a"]]


def test_a_busy_conversation_of_somebody_else_is_waited_for(coze: LocalCoze) -> None:
    model = make_chat(coze, SLOW, conversation_id=start_conversation(coze), max_retries=1)
    coze.faults = "error=4016,times=1"
    assert model.invoke("a").text == "aaaaa"
    coze.faults = "error=4016"
    with pytest.raises(CozeConversationBusyError):
        model.invoke("b")
