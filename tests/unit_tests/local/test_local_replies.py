import asyncio
import json
import operator
import re
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_coze.local import (
    Ask,
    ClientTool,
    LocalBot,
    LocalKnowledge,
    NewAnswer,
    Reasoning,
    ServerTool,
    Turn,
)
from langchain_coze.local.reply_parts import needs_answer
from langchain_coze.local.samples.served import create_sample_bot
from langchain_coze.local.samples.site import answer_about_coze
from langchain_coze.local.wire.requests import EnterMessage


def turn_of(bot: LocalBot, question: str = "hi", **fields: Any) -> Turn:
    entry = EnterMessage("user", "question", question, "text")
    return Turn(question=question, bot=bot, entries=(entry,), **fields)


async def pieces_of(reply: Any, question: str = "hi") -> list[Any]:
    bot = LocalBot(reply, name="tested")
    return [piece async for piece in bot.reply_source(turn_of(bot, question))]


async def text_of(reply: Any, question: str = "hi") -> str:
    return "".join(piece for piece in await pieces_of(reply, question) if isinstance(piece, str))


async def test_plain_function_runs_in_a_thread() -> None:
    threads: list[str] = []

    def reply(question: str) -> str:
        threads.append(threading.current_thread().name)
        return f"you said {question}"

    pieces = await pieces_of(reply, "hello there")
    assert "".join(pieces) == "you said hello there"
    assert len(pieces) > 2
    assert threads == ["local-coze-reply"]


async def test_every_kind_of_function_can_reply() -> None:
    def generator(question: str) -> Iterator[Any]:
        yield Reasoning("hm")
        yield question

    async def coroutine(question: str) -> str:
        return question

    async def async_generator(question: str) -> AsyncIterator[Any]:
        yield question[:1]
        yield question[1:]

    class Callable:
        def __call__(self, question: str) -> list[Any]:
            return [question, NewAnswer(), question]

    assert await pieces_of(generator) == [Reasoning("hm"), "hi"]
    assert await pieces_of(coroutine) == ["hi"]
    assert await pieces_of(async_generator) == ["h", "i"]
    assert await pieces_of(Callable()) == ["hi", NewAnswer(), "hi"]
    assert await pieces_of(lambda _question: None) == []
    assert await pieces_of(lambda question: coroutine(question + "!")) == ["hi!"]
    assert (
        await text_of(lambda _question: RunnableLambda(lambda _: "from a chain")) == "from a chain"
    )


async def test_second_parameter_gets_the_turn() -> None:
    seen: list[Any] = []

    def wants(_question: str, turn: Turn) -> str:
        seen.append(turn)
        return turn.prompt

    bot = LocalBot(wants, prompt="Speak {{language}} to {{ who }}.")
    turn = turn_of(bot, custom_variables={"language": "中文"})
    assert "".join([p async for p in bot.reply_source(turn)]) == "Speak 中文 to ."  # type: ignore[misc]
    assert seen == [turn]
    assert await text_of(lambda q, n=3: q * n) == "hihihi"


async def test_generator_is_not_read_ahead_without_end_and_is_closed() -> None:
    closed = threading.Event()
    read: list[int] = []

    def endless(_question: str) -> Iterator[str]:
        try:
            while True:
                read.append(1)
                yield "x"
        finally:
            closed.set()

    bot = LocalBot(endless)
    source = bot.reply_source(turn_of(bot))
    assert await anext(source) == "x"
    await source.aclose()
    assert await asyncio.to_thread(closed.wait, 5)
    assert len(read) < 1000


@pytest.mark.parametrize("result", [3, object(), [1, 2]])
async def test_invalid_results_are_errors(result: Any) -> None:
    with pytest.raises(TypeError, match="a reply cannot"):
        await pieces_of(lambda _question: result)


@pytest.mark.parametrize("reply", ["text", 3, lambda: "no parameter"])
def test_replies_that_cannot_be_called_are_rejected(reply: Any) -> None:
    with pytest.raises(TypeError, match="reply"):
        LocalBot(reply, name="x")


async def test_errors_of_a_reply_reach_the_chat() -> None:
    def broken(_question: str) -> str:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await pieces_of(broken)


async def test_chat_model_streams_tokens_and_gets_the_recalled_text() -> None:
    asked: list[Any] = []
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three")]))

    def note(messages: Any) -> Any:
        asked.extend(messages)
        return messages

    knowledge = LocalKnowledge(["Tea grows on hills."], name="tea")
    bot = LocalBot(RunnableLambda(note) | model, knowledge=knowledge, name="tea bot")
    turn = turn_of(bot, "tea?", chunks=tuple(knowledge.search("tea")))
    assert [p async for p in bot.reply_source(turn)] == ["one", " ", "two", " ", "three"]
    assert [message.type for message in asked] == ["system", "human"]
    assert "Tea grows on hills." in asked[0].text


async def test_the_reasoning_of_a_model_is_sent() -> None:
    message = AIMessage("yes", additional_kwargs={"reasoning_content": "think"})
    assert await pieces_of(RunnableLambda(lambda _: message)) == [Reasoning("think"), "yes"]


class AppendingState(TypedDict):
    messages: Annotated[list[AnyMessage], operator.add]


def agent() -> Any:
    call = {"name": "weather-today", "args": {"city": "杭州"}, "id": "c1", "type": "tool_call"}

    def plan(state: AppendingState) -> Any:  # noqa: ARG001 - langgraph's types want this name
        return {"messages": [AIMessage("Let me look.", tool_calls=[call], id="a1")]}

    def tool(state: AppendingState) -> Any:  # noqa: ARG001 - as above
        return {"messages": [ToolMessage("22 degrees", tool_call_id="c1", name="weather-today")]}

    def answer(state: AppendingState) -> Any:  # noqa: ARG001 - as above
        return {"messages": [AIMessage("It is 22 degrees.", id="a2")]}

    graph = StateGraph(AppendingState)
    graph.add_node("plan", plan)
    graph.add_node("tool", tool)
    graph.add_node("answer", answer)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "tool")
    graph.add_edge("tool", "answer")
    graph.add_edge("answer", END)
    return graph.compile()


async def test_graph_gives_answers_and_tools() -> None:
    assert await pieces_of(agent()) == [
        "Let me look.",
        ServerTool("weather-today", {"city": "杭州"}, "22 degrees"),
        NewAnswer(),
        "It is 22 degrees.",
    ]


async def test_graph_streams_the_tokens_of_its_model() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two")]))

    async def node(state: AppendingState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(AppendingState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    assert await pieces_of(graph.compile()) == ["one", " ", "two"]


@pytest.mark.parametrize(
    ("question", "begin", "needle"),
    [
        ("Where does tea grow?", "According to “tea_1”", "on hills"),
        ("茶叶长在哪里？", "根据知识库中的《tea_2》：", "山上"),
        ("How are cars built?", "I found nothing", "knowledge base"),
        ("汽车怎么制造？", "我在知识库中没有找到", "内容"),
    ],
)
async def test_default_reply_is_extractive(question: str, begin: str, needle: str) -> None:
    knowledge = LocalKnowledge(["Tea grows on hills.", "茶叶长在山上。"], name="tea")
    bot = LocalBot(knowledge=knowledge)
    turn = turn_of(bot, question, chunks=tuple(knowledge.search(question)))
    text = "".join([p async for p in bot.reply_source(turn)])  # type: ignore[misc]
    assert text.startswith(begin)
    assert needle in text


@pytest.mark.parametrize(
    ("question", "begin"),
    [
        *((text, "Hello! I answer") for text in ("hi", "Hello there!", "What can you do?")),
        *((text, "您好！") for text in ("你好", "您好！", "你能做什么？", "您可以回答哪些问题？")),
        ("hi, how is the weather?", "I found nothing"),
        ("你好像不对", "我在知识库中没有找到"),
        ("What is LangChain?", "According to “What LangChain is”"),
    ],
)
async def test_the_sample_bot_greets_and_suggests_questions_that_it_can_answer(
    question: str, begin: str
) -> None:
    bot = create_sample_bot()
    assert isinstance(bot.knowledge, LocalKnowledge)
    turn = turn_of(bot, question, chunks=tuple(bot.knowledge.search(question)))
    text = "".join([p async for p in bot.reply_source(turn)])  # type: ignore[misc]
    assert text.startswith(begin)
    for suggested in re.findall("“(.*?[?？])”", text):
        assert bot.knowledge.search(suggested)


def test_the_sample_agent_of_a_site_greets_too() -> None:
    pieces = list(answer_about_coze("hello", turn_of(LocalBot(name="site"), "hello")))
    assert pieces[-1].startswith("Hello! I answer")


async def test_a_runnable_with_only_a_blocking_way_is_read_in_a_thread() -> None:
    def shout(items: Iterator[Any]) -> Iterator[str]:
        for messages in items:
            yield from (messages[-1].content.upper(), "!")

    assert await pieces_of(RunnableGenerator(shout)) == ["HI", "!"]


def test_knowledge_may_be_given_as_documents() -> None:
    bot = LocalBot(name="documents", knowledge=[Document("Tea grows on hills."), "Rice in water."])
    assert isinstance(bot.knowledge, LocalKnowledge)
    assert bot.knowledge.search("tea")[0].slice.startswith("Tea")


async def played(reply: Any, *answers: Any) -> list[Any]:
    """The pieces of a reply that is sent these answers to the pieces that wait."""
    bot, left = LocalBot(reply, name="tested"), iter(answers)
    pieces = bot.reply_source(turn_of(bot))
    seen, answer = [], None
    while True:
        try:
            seen.append(await pieces.asend(answer))
        except StopAsyncIteration:
            return seen
        answer = next(left) if needs_answer(seen[-1]) else None


async def test_answers_reach_every_kind_of_generator() -> None:
    def in_thread(_question: str) -> Iterator[Any]:
        assert (yield "text") is None
        yield (yield ClientTool("a"))
        yield str((yield (ClientTool("b"), ClientTool("c"))))

    async def in_loop(_question: str) -> AsyncIterator[Any]:
        assert (yield "text") is None
        yield (yield ClientTool("a"))
        yield str((yield (ClientTool("b"), ClientTool("c"))))

    async def returned(question: str) -> Any:
        return in_thread(question)

    wanted = [
        *("text", ClientTool("a"), "one"),
        *((ClientTool("b"), ClientTool("c")), "['two', 'three']"),
    ]

    def handed_on(question: str) -> Any:
        return in_loop(question)

    for reply in (in_thread, in_loop, returned, handed_on):
        assert await played(reply, "one", ["two", "three"]) == wanted


async def test_a_thread_that_waits_ends_when_its_reply_is_closed() -> None:
    ended = threading.Event()

    def reply(_question: str) -> Iterator[Any]:
        try:
            yield Ask("?")
        finally:
            ended.set()

    bot = LocalBot(reply, name="tested")
    pieces = bot.reply_source(turn_of(bot))
    assert await anext(pieces) == Ask("?")
    await pieces.aclose()
    assert await asyncio.to_thread(ended.wait, 5)


async def test_a_tuple_of_other_things_is_no_piece() -> None:
    for wrong in ((), ("text",), (ClientTool("a"), "text")):
        with pytest.raises(TypeError, match="tuple"):
            await pieces_of(lambda _question, wrong=wrong: [wrong])


def history(*entries: EnterMessage) -> list[Any]:
    return Turn("hi", LocalBot(len, name="tested"), entries=entries).messages


def entry(kind: str, content: str, call_id: str = "") -> EnterMessage:
    role = "user" if kind == "question" else "assistant"
    return EnterMessage(role, kind, content, "text", (), call_id)


CALL = entry("function_call", '{"name":"a","arguments":{"x":1}}')


def test_calls_of_the_history_are_paired_with_their_results() -> None:
    human, text, one, other, answer = history(
        entry("question", "q"),
        entry("answer", "Let me look."),
        CALL,
        CALL,
        entry("tool_output", "1"),
        entry("tool_response", "2"),
        entry("answer", "done"),
    )
    assert human.type == "human"
    assert [call["args"] for call in text.tool_calls] == [{"x": 1}, {"x": 1}]
    assert [one.tool_call_id, other.tool_call_id] == [call["id"] for call in text.tool_calls]
    assert (one.content, other.content, answer.content) == ("1", "2", "done")


def test_calls_without_results_and_results_without_calls_are_left_out() -> None:
    kept = history(
        entry("question", "q"),
        entry("tool_response", "of nothing"),
        entry("function_call", '{"name":"a","arguments":"{broken"}', "c1"),
        entry("function_call", "no JSON", "c2"),
        entry("tool_response", "2", "c2"),
        entry("question", "q"),
        CALL,
    )
    assert [message.type for message in kept] == ["human", "ai", "tool", "human"]
    assert [call["id"] for call in kept[1].tool_calls] == ["c2"]


def test_a_turn_has_the_files_of_its_question_only() -> None:
    def asked(number: int) -> EnterMessage:
        item = {"type": "image", "file_url": f"https://h/{number}"}
        return EnterMessage("user", "question", json.dumps([item]), "object_string", (item,))

    entries = (asked(1), entry("answer", "x"), asked(2), entry("question", "q"), asked(3))
    turn = Turn("hi", LocalBot(len, name="tested"), entries=entries)
    assert [file.url for file in turn.files] == ["https://h/2", "https://h/3"]
