"""CozeBots, CozeConversations and send_feedback against the local server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

import langchain_coze
from langchain_coze import (
    BotPart,
    ChatCoze,
    CozeBots,
    CozeConversations,
    CozeInvalidRequestError,
    CozeNotFoundError,
)
from langchain_coze.local import (
    LocalBot,
    LocalChatflow,
    LocalCoze,
    LocalKnowledge,
    NewAnswer,
    Turn,
)
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import serve_script


def recite(_: str, turn: Turn) -> str:
    return " | ".join(message.text for message in turn.messages)


def twice(question: str) -> Iterator[Any]:
    yield f"One: {question}"
    yield NewAnswer()
    yield "Two"


BOTS = [
    LocalBot(recite, name="recite"),
    LocalBot(twice, name="twice", prompt="Be brief.", knowledge=LocalKnowledge(["a"], name="b")),
    LocalBot(recite, name="draft", published=False),
]
coze = serve(BOTS, chatflows=LocalChatflow(twice, name="flow"), scope="function")
studio = serve(BOTS, profiles=["studio"], scope="function")


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method or function, or its asynchronous twin."""

    def run(target: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(target, name)(*args, **kwargs)
        return asyncio.run(getattr(target, f"a{name}")(*args, **kwargs))

    return run


def account(coze: LocalCoze) -> dict[str, Any]:
    return {"api_key": coze.token, "base_url": coze.base_url, "server": coze.profile}


def conversations_of(coze: LocalCoze, **fields: Any) -> CozeConversations:
    return CozeConversations(**{"bot_id": BOTS[0].bot_id, **account(coze), **fields})


# --- Bots ----------------------------------------------------------------------------------------


def test_bots_are_listed_and_described(call: Callable[..., Any], coze: LocalCoze) -> None:
    bots = CozeBots(workspace_id=coze.workspace_id, **account(coze))
    assert [bot.name for bot in call(bots, "list")] == ["recite", "twice"]
    drafts = call(bots, "list", publish_status="unpublished_draft")
    assert [(bot.name, bot.is_published) for bot in drafts] == [("draft", False)]
    described = call(bots, "describe", BOTS[1].bot_id)
    assert (described.id, described.name, described.prompt) == (
        BOTS[1].bot_id,
        "twice",
        "Be brief.",
    )
    assert [(base.id, base.name) for base in described.knowledge] == [
        (BOTS[1].bases[0].dataset_id, "b")
    ]
    with pytest.raises(CozeNotFoundError, match="not been published"):
        call(bots, "describe", BOTS[2].bot_id)


def test_all_pages_of_bots_are_listed() -> None:
    bots = [LocalBot(recite, name=f"bot {n}") for n in range(120)]
    with LocalCoze(bots) as coze:
        found = CozeBots(workspace_id=coze.workspace_id, **account(coze)).list()
        assert [bot.id for bot in found] == [bot.bot_id for bot in bots]
        assert len(coze.requests) == 3


def test_a_bot_is_described_with_its_parts(call: Callable[..., Any]) -> None:
    # The sample of the page "view bot configurations" (wire 5.4), shortened.
    api = {"api_id": "0", "name": "browse", "description": "…"}
    plugin = {"plugin_id": "7372", "name": "头条搜索", "description": "…", "api_info_list": [api]}
    variable = {"keyword": "name", "default_value": "-", "description": "姓名", "enable": True}
    data = {
        "bot_id": "7515",
        "name": "owner_1",
        "description": "***",
        "prompt_info": {"prompt": ""},
        "model_info": {"model_name": "ep-2025", "temperature": 0.8},
        "knowledge": {"knowledge_infos": []},
        "plugin_info_list": [plugin],
        "workflow_info_list": [{"id": "7460", "name": "示例工作流", "description": "工作流示例"}],
        "variables": [variable],
    }
    reply = json.dumps({"code": 0, "data": data, "msg": ""}).encode()
    with serve_script(replies=[reply], content_type="application/json") as server:
        bots = CozeBots(workspace_id="1", api_key="pat_example", base_url=server.base_url)
        described = call(bots, "describe", "7515")
    assert described.model == "ep-2025"
    assert described.plugins == (
        BotPart(id="7372", name="头条搜索", description="…", tools=("browse",)),
    )
    assert described.workflows[0].id == "7460"
    assert described.variables == (BotPart(name="name", description="姓名", default="-"),)
    assert described.knowledge == ()


def test_studio_describes_bots_and_lists_none(call: Callable[..., Any], studio: LocalCoze) -> None:
    bots = CozeBots(workspace_id="7", **account(studio))
    assert call(bots, "describe", BOTS[0].bot_id).name == "recite"
    with pytest.raises(CozeNotFoundError, match="does not offer a list of bots"):
        call(bots, "list")


# --- Conversations -------------------------------------------------------------------------------


def test_a_conversation_from_its_beginning_to_its_end(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    conversations = conversations_of(coze)
    made = call(conversations, "create", [("user", "zero"), ("ai", "nothing")], name="one")
    assert (made.id.isdecimal(), made.name, made.section_id) == (True, "one", made.id)
    bot = make_chat(coze, conversation_id=made.id)
    assert bot.invoke("two").text == "zero | nothing | two"
    renamed = call(conversations, "rename", made, "second")
    assert (renamed.id, renamed.name) == (made.id, "second")
    messages = call(conversations, "messages", made.id)
    assert [(message.type, message.text) for message in messages] == [
        ("human", "zero"),
        ("ai", "nothing"),
        ("human", "two"),
        ("ai", "zero | nothing | two"),
    ]
    answer = messages[-1]
    assert answer.response_metadata["model_name"] == BOTS[0].bot_id
    assert answer.response_metadata["message_id"] == answer.id
    # In thread mode the stored history continues in its conversation.
    thread = make_chat(coze, conversation="thread")
    again = thread.invoke([*messages, HumanMessage("three")])
    assert again.response_metadata["conversation_id"] == made.id
    call(conversations, "clear", made)
    assert bot.invoke("four").text == "four"
    assert len(call(conversations, "messages", made)) == 8
    call(conversations, "delete", made)
    with pytest.raises(CozeNotFoundError):
        call(conversations, "messages", made)


def test_all_pages_are_fetched(coze: LocalCoze) -> None:
    conversations = conversations_of(coze)
    made = [conversations.create(name=str(n)).id for n in range(60)]
    assert [c.id for c in conversations.list()] == made[::-1]
    long = conversations.create([("user", str(n)) for n in range(90)])
    coze.reset()
    assert [message.text for message in conversations.messages(long)] == [str(n) for n in range(90)]
    assert len(coze.requests) == 2


def test_files_of_a_conversation_are_uploaded_and_read(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    conversations = conversations_of(coze)
    file = {"type": "file", "base64": "VGVh", "mime_type": "text/plain", "filename": "tea.txt"}
    question = HumanMessage([{"type": "text", "text": "Read this."}, file])
    made = call(conversations, "create", [SystemMessage("Be brief."), question])
    assert "/v1/files/upload" in [request.path for request in coze.requests]
    first, second = call(conversations, "messages", made)
    assert first.text == "Be brief."
    assert second.text == "Read this."
    assert [block["type"] for block in second.content] == ["text", "file"]


@pytest.mark.parametrize("name", ["", "n" * 101, 7])
def test_a_bad_name_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, name: Any
) -> None:
    conversations = conversations_of(coze)
    with pytest.raises(CozeInvalidRequestError, match="The name is"):
        call(conversations, "create", name=name)
    with pytest.raises(CozeInvalidRequestError, match="The name is"):
        call(conversations, "rename", "7400", name)
    with pytest.raises(CozeInvalidRequestError, match="a name of 1 to 100 characters"):
        call(conversations, "rename", "7400", name)
    assert coze.requests == []


NO_IDS = ["", None, "../x", "..", "a b", "5?x=1", "5#", "5%2f", "5\x00", True, ["5"], 5.0]


@pytest.mark.parametrize("wrong", NO_IDS)
@pytest.mark.parametrize("name", ["rename", "clear", "delete", "messages"])
def test_what_is_no_id_of_a_conversation_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, name: str, wrong: Any
) -> None:
    arguments = ["new"] if name == "rename" else []
    with pytest.raises(CozeInvalidRequestError) as raised:
        call(conversations_of(coze), name, wrong, *arguments)
    assert raised.value.message == f"conversation_id={wrong!r} is not an id."
    assert "the id that Coze has returned" in str(raised.value)
    assert coze.requests == []


@pytest.mark.parametrize("wrong", NO_IDS)
def test_what_is_no_id_of_a_bot_or_workspace_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, wrong: Any
) -> None:
    bots = CozeBots(workspace_id=coze.workspace_id, **account(coze))
    with pytest.raises(CozeInvalidRequestError) as raised:
        call(bots, "describe", wrong)
    assert raised.value.message == f"bot_id={wrong!r} is not an id."
    assert "the number after /bot/" in str(raised.value)
    if wrong and type(wrong) is str:
        with pytest.raises(CozeInvalidRequestError, match="the number after /space/"):
            call(CozeBots(workspace_id=wrong, **account(coze)), "list")
        for name in ("list", "create"):
            with pytest.raises(CozeInvalidRequestError, match="the number after /bot/"):
                call(conversations_of(coze, bot_id=wrong), name)
    assert coze.requests == []


def test_numbers_are_ids(call: Callable[..., Any], coze: LocalCoze) -> None:
    made = call(conversations_of(coze), "create")
    call(conversations_of(coze), "delete", int(made.id))
    bots = CozeBots(workspace_id=int(coze.workspace_id), **account(coze))
    assert call(bots, "describe", int(BOTS[0].bot_id or 0)).name == "recite"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ("hi", "messages='hi' is not a list of messages"),
        (b"hi", "messages=b'hi' is not a list"),
        (HumanMessage("hi"), "messages=HumanMessage.* is not a list"),
        ({"role": "user", "content": "hi"}, "messages={.* is not a list"),
        (5, "messages=5 is not a list"),
        (None, "messages=None is not a list"),
        ([5], r"messages cannot be read \(NotImplementedError\): \[5\]"),
        ([("nobody", "hi")], r"messages cannot be read \(ValueError\)"),
    ],
)
def test_what_is_no_list_of_messages_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, messages: Any, problem: str
) -> None:
    with pytest.raises(CozeInvalidRequestError, match=problem) as raised:
        call(conversations_of(coze), "create", messages)
    assert "Pass a list of messages" in str(raised.value)
    assert coze.requests == []


def test_listing_needs_a_bot(
    call: Callable[..., Any], coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COZE_BOT_ID", raising=False)
    with pytest.raises(CozeInvalidRequestError, match="No bot is set"):
        call(conversations_of(coze, bot_id=None), "list")


def test_conversations_of_studio(call: Callable[..., Any], studio: LocalCoze) -> None:
    conversations = conversations_of(studio)
    with pytest.raises(CozeInvalidRequestError, match="cannot have messages"):
        call(conversations, "create", ["hello"])
    assert studio.requests == []
    made = call(conversations, "create")
    make_chat(studio, conversation_id=made.id).invoke("one")
    assert [message.text for message in call(conversations, "messages", made)] == ["one", "one"]
    assert [c.id for c in call(conversations, "list")] == [made.id]
    call(conversations, "clear", made)


# --- Feedback ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_the_last_answer_is_rated(coze: LocalCoze, ask: CallStyle, mode: Any) -> None:
    bot = make_chat(coze, BOTS[1], auto_save_history=True, response_mode=mode)
    answer = ask(bot, "Hi")
    assert answer.text == "One: Hi\n\nTwo"
    metadata = answer.response_metadata
    stored = conversations_of(coze).messages(metadata["conversation_id"])
    assert metadata["message_id"] == stored[-1].id
    langchain_coze.send_feedback(
        answer, "unlike", reason_types=["事实性错误"], comment="No.", model=bot
    )
    request = coze.requests[-1]
    assert request.path.endswith(f"/messages/{stored[-1].id}/feedback")
    assert request.body == {
        "feedback_type": "unlike",
        "reason_types": ["事实性错误"],
        "comment": "No.",
    }


def test_an_answer_is_rated_with_the_account_of_the_environment(
    call: Callable[..., Any], coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in coze.environment.items():
        monkeypatch.setenv(name, value)
    answer = ChatCoze(auto_save_history=True).invoke("Hi")
    call(langchain_coze, "send_feedback", answer, "like")
    assert coze.requests[-1].body == {"feedback_type": "like"}
    stored = CozeConversations().messages(answer.response_metadata["conversation_id"])[-1]
    call(langchain_coze, "send_feedback", stored, "like")


def test_the_answer_of_a_chatflow_is_rated(coze: LocalCoze) -> None:
    flow = make_chat(coze, BOTS[0], workflow_id=coze.chatflows[0].workflow_id)
    answer = flow.invoke("Hi")
    langchain_coze.send_feedback(answer, "like", model=flow)


def build_answer(conversation_id: Any, message_id: Any) -> AIMessage:
    metadata = {"conversation_id": conversation_id, "message_id": message_id}
    return AIMessage("Hi", response_metadata=metadata)


GOOD = build_answer("7400", "7401")
BOUND = ChatCoze(bot_id="5", api_key="pat_example").bind(user_id="ada")


@pytest.mark.parametrize(
    ("message", "feedback", "options", "problem"),
    [
        (GOOD, "love", {}, "The feedback is 'love'"),
        (AIMessage("Hi"), "like", {}, "names no answer"),
        (HumanMessage("Hi"), "like", {}, "names no answer"),
        (GOOD, "like", {"reason_types": ["r"] * 11}, "11 reasons"),
        (GOOD, "like", {"reason_types": ["r" * 31]}, "1 of them too long"),
        (GOOD, "like", {"comment": "c" * 251}, "251 characters"),
        (GOOD, "like", {"reason_types": ["r" * 31] * 1}, "1 reason, 1 of them"),
        (GOOD, "like", {"reason_types": [5]}, r"reason_types=\[5\] is not a list of texts"),
        (GOOD, "like", {"reason_types": None}, "reason_types=None is not"),
        (GOOD, "like", {"reason_types": 5}, "reason_types=5 is not"),
        (GOOD, "like", {"comment": 5}, "comment=5 is not a text"),
        (GOOD, "like", {"model": "coze"}, "model is of the type str, which does not say how"),
        (GOOD, "like", {"model": BOUND}, "model is of the type RunnableBinding, which"),
        (build_answer("../x", "7401"), "like", {}, "conversation_id='../x' is not an id"),
        (build_answer("7400", ".."), "like", {}, "message_id='..' is not an id"),
        (build_answer("7400", ["7"]), "like", {}, r"message_id=\['7'\] is not an id"),
    ],
)
def test_what_cannot_be_rated_is_refused_before_anything_is_sent(
    call: Callable[..., Any],
    coze: LocalCoze,
    message: Any,
    feedback: str,
    options: dict[str, Any],
    problem: str,
) -> None:
    options = {"model": make_chat(coze), **options}
    with pytest.raises(CozeInvalidRequestError, match=problem):
        call(langchain_coze, "send_feedback", message, feedback, **options)
    assert coze.requests == []


def test_an_answer_that_coze_has_not_saved(call: Callable[..., Any], coze: LocalCoze) -> None:
    bot = make_chat(coze)
    answer = bot.invoke("Hi")
    with pytest.raises((CozeInvalidRequestError, CozeNotFoundError), match="only for turns"):
        call(langchain_coze, "send_feedback", answer, "like", model=bot)


def test_studio_takes_no_feedback(call: Callable[..., Any], studio: LocalCoze) -> None:
    bot = make_chat(studio)
    answer = bot.invoke("Hi")
    with pytest.raises(CozeNotFoundError, match="does not offer feedback on answers"):
        call(langchain_coze, "send_feedback", answer, "like", model=bot)
