"""What a Coze Studio is asked: histories, chatflows, conversations; it replies with recordings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_coze import (
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeRecallRetriever,
    create_coze_agent,
    is_retryable,
)
from tests.conftest import forget_conversations
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.integration_tests.studio_recordings import (
    make_model,
    make_poll_replies,
    read_recording,
    with_head,
)

HISTORY = [SystemMessage("Be brief."), HumanMessage("one"), AIMessage("first"), HumanMessage("two")]
EARLIER = (
    "System: Be brief.\n\nEarlier messages of this conversation:\n\nUser: one\n\nAssistant: first"
)
FLOW = {"workflow_id": "7713922452702625792"}
BOT = "7713922228458356736"
NAMED = {"parameters": {"CONVERSATION_NAME": "n"}}


@contextmanager
def serve_recordings(*names: str | bytes) -> Iterator[ScriptedServer]:
    """Serve recordings, or bytes, one after the other; the last one again and again."""
    bodies = [read_recording(name) if isinstance(name, str) else name for name in names]
    with serve_script(replies=[with_head(body) for body in bodies]) as server:
        server.head = b""  # each reply has its own
        yield server


def list_sent(server: ScriptedServer, number: int = -1) -> list[str]:
    """Return the contents of the messages of a request."""
    return [message["content"] for message in server.bodies[number]["additional_messages"]]


# --- Histories ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_history_is_sent_as_a_transcript_and_the_question(ask: CallStyle) -> None:
    with serve_recordings("14-history-text") as server:
        ask(make_model(server, server="studio"), HISTORY)
    assert list_sent(server) == [EARLIER, "two"]
    question = {"role": "user", "type": "question", "content_type": "text", "content": "two"}
    assert server.bodies[0]["additional_messages"][1] == question


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_polled_history_is_sent_as_a_transcript(ask: CallStyle) -> None:
    replies = make_poll_replies("05-retrieve", "06-chat-message-list")
    with serve_recordings(*replies) as server:
        ask(make_model(server, server="studio", response_mode="poll"), HISTORY)
    assert list_sent(server, 0) == [EARLIER, "two"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chatflow_gets_history_and_question_in_one_message(ask: CallStyle) -> None:
    with serve_recordings("89b-cf-history-text-one") as server:
        ask(make_model(server, server="studio", **FLOW, **NAMED), HISTORY)
    assert list_sent(server) == [f"{EARLIER}\n\nThe message to answer:\n\ntwo"]


@pytest.mark.parametrize("server_kind", ["auto", "cloud"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_history_is_sent_as_messages_elsewhere(ask: CallStyle, server_kind: str) -> None:
    with serve_recordings("14-history-text") as server:
        ask(make_model(server, server=server_kind), HISTORY)
    assert list_sent(server) == ["Be brief.", "one", "first", "two"]


@pytest.mark.parametrize(
    ("name", "fields"), [("14-history-text", {}), ("89b-cf-history-text-one", {**FLOW, **NAMED})]
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_question_alone_is_sent_unchanged(
    ask: CallStyle, name: str, fields: dict[str, Any]
) -> None:
    with serve_recordings(name) as server:
        ask(make_model(server, server="studio", **fields), "two")
    assert list_sent(server) == ["two"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_sends_only_new_messages(ask: CallStyle) -> None:
    with serve_recordings("01-chat-stream") as server:
        model = make_model(server, server="studio", conversation="thread")
        history: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("one")]
        history += [ask(model, history), HumanMessage("two")]
        ask(model, history)
        assert [list_sent(server, n) for n in (0, 1)] == [["Be brief.", "one"], ["two"]]
        conversation_id = history[2].response_metadata["conversation_id"]
        assert server.paths == ["/v3/chat", f"/v3/chat?conversation_id={conversation_id}"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_fork_of_a_thread_replays_its_history_as_a_transcript(ask: CallStyle) -> None:
    with serve_recordings("01-chat-stream", "122-unknown-conv", "01-chat-stream") as server:
        model = make_model(server, server="studio", conversation="thread")
        first = ask(model, "one")
        metadata = {**first.response_metadata, "chat_id": "1"}  # an earlier turn
        earlier = first.model_copy(update={"response_metadata": metadata})
        nothing = b'{"code":0,"data":[]}'
        server.replies[:] = map(with_head, [nothing, read_recording("122-unknown-conv")])
        ask(model, [HumanMessage("one"), earlier, HumanMessage("fork")])
    assert server.paths[-1] == "/v3/chat"  # another conversation
    assert list_sent(server)[1:] == ["fork"]
    assert "User: one" in list_sent(server)[0]


@pytest.mark.parametrize("use_async", [False, True])
def test_an_agent_with_memory_sends_transcripts(*, use_async: bool) -> None:
    with serve_recordings("01-chat-stream") as server:
        agent = create_coze_agent(
            make_model(server, server="studio"), name="tea", checkpointer=InMemorySaver()
        )
        config: Any = {"configurable": {"thread_id": "1"}}
        for text in ("one", "two"):
            state: Any = {"messages": [HumanMessage(text)]}
            if use_async:
                asyncio.run(agent.ainvoke(state, config))
            else:
                agent.invoke(state, config)
    transcript = "Earlier messages of this conversation:\n\nUser: one\n\nAssistant: 你好！(第1问)"
    assert list_sent(server) == [transcript, "two"]


# --- Questions to the user ------------------------------------------------------------------------

AGENT = {"server": "studio", "bot_id": "7713923622670172160"}
CONVERSATION = "7713923881458728960"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("save", [None, False])  # Studio ignores the field
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_to_a_question_continues_its_conversation(
    ask: CallStyle, *, save: bool | None
) -> None:
    with serve_recordings("223-wf-agent-qa", "224-wf-agent-qa-answer", "14-history-text") as server:
        model = make_model(server, **AGENT, auto_save_history=save)
        history: list[BaseMessage] = [HumanMessage("TOOL FLOW")]
        for text in ("小明", "再来"):
            history += [ask(model, history), HumanMessage(text)]
        ask(model, history)
    asked, answered = history[1], history[3]
    assert (asked.content, asked.response_metadata["finish_reason"]) == ("你叫什么？", "interrupt")
    assert "auto_save_history" not in asked.response_metadata
    assert (answered.content, answered.response_metadata["finish_reason"]) == ("北京晴", "stop")
    path = f"/v3/chat?conversation_id={CONVERSATION}"
    assert server.paths == ["/v3/chat", path, "/v3/chat"]
    assert list_sent(server, 1) == ["小明"]
    assert list_sent(server)[1:] == ["再来"]  # without a question, LangChain keeps the history


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_in_another_process_continues_the_conversation(ask: CallStyle) -> None:
    messages = json.loads(read_recording("08-conv-message-list-all"))
    messages["data"][0]["chat_id"] = "7713923881492283392"  # that of the question
    listed = json.dumps(messages).encode()
    with serve_recordings("223-wf-agent-qa", listed, "224-wf-agent-qa-answer") as server:
        model = make_model(server, **AGENT)
        asked = ask(model, "TOOL FLOW")
        forget_conversations()
        assert ask(model, ["TOOL FLOW", asked, "小明"]).content == "北京晴"
    assert [path.partition("?")[2] for path in server.paths[1:]] == [
        f"conversation_id={CONVERSATION}"
    ] * 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_answer_to_a_polled_question_continues_its_conversation(ask: CallStyle) -> None:
    replies = make_poll_replies("225-retrieve-interrupted", "226-list-interrupted")
    with serve_recordings(*replies, *replies) as server:
        model = make_model(server, **AGENT, response_mode="poll")
        asked = ask(model, "TOOL FLOW")
        assert asked.response_metadata["finish_reason"] == "interrupt"
        ask(model, ["TOOL FLOW", asked, "小明"])
    assert server.paths[3] == f"/v3/chat?conversation_id={CONVERSATION}"
    assert list_sent(server, 3) == ["小明"]


# --- Conversations that Studio does not know ------------------------------------------------------

UNKNOWN = "122-unknown-conv"
RETURNED = "7713922966949462016"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_unknown_conversation_is_warned_about_by_its_id(ask: CallStyle) -> None:
    with serve_recordings(UNKNOWN) as server:
        model = make_model(server, server="studio", conversation_id="123")
        with pytest.warns(UserWarning, match="conversation 123.*conversation_id") as told:
            message = ask(model, "q")
    assert len(told) == 1
    assert told[0].filename.startswith(__file__.rpartition("/")[0])
    assert "会话 123" in str(told[0].message)
    assert message.content == "你好！(第1问)"
    assert message.response_metadata["conversation_id"] == RETURNED


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_unknown_conversation_of_a_polled_turn_is_warned_about(ask: CallStyle) -> None:
    replies = make_poll_replies("05-retrieve", "06-chat-message-list")
    with serve_recordings(*replies) as server:
        model = make_model(server, server="studio", response_mode="poll", conversation_id="123")
        with pytest.warns(UserWarning, match="conversation 123"):
            assert ask(model, "q").content == "你好！(第1问)"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_known_conversation_is_not_warned_about(ask: CallStyle) -> None:
    with serve_recordings(UNKNOWN) as server:
        ask(make_model(server, server="studio", conversation_id=RETURNED), "q")


@pytest.mark.parametrize("use_async", [False, True])
def test_a_search_in_an_unknown_conversation_is_warned_about(*, use_async: bool) -> None:
    with serve_recordings("210-kb-hit") as server:
        retriever = CozeRecallRetriever(
            bot_id=BOT, api_key="t", base_url=server.base_url, conversation_id="123"
        )
        with pytest.warns(UserWarning, match="conversation 123"):
            found = asyncio.run(retriever.ainvoke("q")) if use_async else retriever.invoke("q")
    assert len(found) == 1


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_thread_whose_conversation_is_lost_is_an_error(ask: CallStyle) -> None:
    names = ["01-chat-stream", UNKNOWN, "153-conv-list-unknown", "14-history-text"]
    with serve_recordings(*names) as server:
        model = make_model(server, server="studio", conversation="thread")
        first = ask(model, "one")
        lost = first.response_metadata["conversation_id"]
        history = ["one", first, "two"]
        with pytest.raises(CozeNotFoundError, match=f"the conversation {lost}") as caught:
            ask(model, history)
        error = caught.value
        assert (error.conversation_id, error.chat_id) == (RETURNED, "7713922966957850624")
        assert error.logid
        assert "Check the id" in str(error)
        assert "请检查会话 ID" in str(error)
        assert not is_retryable(error)
        with pytest.warns(UserWarning, match="in a new conversation"):
            ask(model, history)  # the next call starts over, with the whole history
    assert server.paths[-1] == "/v3/chat"
    assert list_sent(server)[1:] == ["two"]
    assert "User: one" in list_sent(server)[0]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_unknown_conversation_of_a_thread_is_an_error(ask: CallStyle) -> None:
    with serve_recordings(UNKNOWN) as server:
        model = make_model(server, server="studio", conversation="thread")
        config = {"configurable": {"coze_conversation_id": "123"}}
        with pytest.raises(CozeNotFoundError, match="the conversation 123"):
            ask(model, "q", config=config)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_elsewhere_another_conversation_of_a_thread_is_warned_about(ask: CallStyle) -> None:
    """Coze itself rejects an unknown conversation, so the answer is not thrown away there."""
    with serve_recordings(UNKNOWN) as server:
        model = make_model(server, server="cloud", conversation="thread", conversation_id="123")
        with pytest.warns(UserWarning, match="conversation 123"):
            assert ask(model, "q").content == "你好！(第1问)"


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_question_whose_conversation_is_lost_is_an_error(ask: CallStyle) -> None:
    with serve_recordings("223-wf-agent-qa", UNKNOWN) as server:
        model = make_model(server, **AGENT)
        asked = ask(model, "TOOL FLOW")
        with pytest.raises(CozeNotFoundError, match=f"the conversation {CONVERSATION}"):
            ask(model, ["TOOL FLOW", asked, "小明"])


# --- Chatflows ------------------------------------------------------------------------------------

CREATED = "7713922741195243520"


def make_created_reply() -> bytes:
    """Return the reply that creates the conversation of recording 73."""
    return read_recording("72-conv-create").replace(b"7713922642264195072", CREATED.encode())


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chatflow_needs_only_the_name_of_a_conversation(ask: CallStyle) -> None:
    with serve_recordings("71-cf-name") as server:
        message = ask(make_model(server, server="studio", **FLOW, **NAMED), "你好")
    assert message.content == "你好！(第1问)"
    (body,) = server.bodies
    assert not {"bot_id", "app_id", "conversation_id"} & body.keys()
    assert body["parameters"] == {"CONVERSATION_NAME": "n"}


@pytest.mark.parametrize("fields", [{}, {"bot_id": BOT}])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_studio_itself_rejects_a_chatflow_without_a_conversation(
    ask: CallStyle, fields: dict[str, str]
) -> None:
    with (
        serve_recordings("70-cf-noconv") as server,
        pytest.raises(CozeInvalidRequestError, match="conversation name is requried") as caught,
    ):
        ask(make_model(server, server="studio", **FLOW, **fields), "你好")
    assert caught.value.code == 777777775
    assert "CONVERSATION_NAME" in str(caught.value.hint)
    assert server.paths == ["/v1/workflows/chat"]


@pytest.mark.parametrize("server_kind", ["studio", "cloud"])
def test_a_chatflow_with_a_bot_and_an_app_is_rejected(server_kind: str) -> None:
    with serve_recordings("71-cf-name") as server:
        model = make_model(server, server=server_kind, **FLOW, bot_id=BOT, app_id="1")
        with pytest.raises(CozeInvalidRequestError, match="both bot_id and app_id"):
            model.invoke("q")
        assert server.paths == []


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_conversation_of_a_chatflow_is_created_first_and_kept(ask: CallStyle) -> None:
    with serve_recordings(make_created_reply(), "73-cf-conv-bot") as server:
        model = make_model(server, server="studio", **FLOW, bot_id=BOT, conversation="thread")
        first = ask(model, "你好")
        assert first.response_metadata["conversation_id"] == CREATED
        ask(model, ["你好", first, "two"])
    assert server.paths == ["/v1/conversation/create", *["/v1/workflows/chat"] * 2]
    assert server.bodies[0] == {"bot_id": BOT}
    assert [body["conversation_id"] for body in server.bodies[1:]] == [CREATED] * 2
    assert [list_sent(server, n) for n in (1, 2)] == [["你好"], ["two"]]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_fork_of_a_chatflow_s_thread_gets_its_own_conversation(ask: CallStyle) -> None:
    nothing = b'{"code":0,"data":[]}'
    with serve_recordings(
        "73-cf-conv-bot", nothing, make_created_reply(), "73-cf-conv-bot"
    ) as server:
        model = make_model(
            server, server="studio", **FLOW, **NAMED, bot_id=BOT, conversation="thread"
        )
        first = ask(model, "你好")
        metadata = {**first.response_metadata, "chat_id": "1"}  # an earlier turn
        earlier = first.model_copy(update={"response_metadata": metadata})
        ask(model, ["你好", earlier, "fork"])
    assert [path.partition("?")[0] for path in server.paths] == [
        "/v1/workflows/chat",  # the name finds the conversation
        "/v1/conversation/message/list",
        "/v1/conversation/create",
        "/v1/workflows/chat",
    ]
    (text,) = list_sent(server)
    assert text.endswith("fork")
    assert "User: 你好" in text


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chatflow_takes_images(ask: CallStyle) -> None:
    question = HumanMessage(
        [
            {"type": "text", "text": "看图ECHOALL"},
            {"type": "image", "file_id": "7713923311045967872"},
        ]
    )
    with serve_recordings("270-cf-object-string") as server:
        message = ask(make_model(server, server="studio", **FLOW, **NAMED), [question])
    assert "看图ECHOALL" in str(message.content)
    (sent,) = server.bodies[0]["additional_messages"]
    assert sent["content_type"] == "object_string"
    assert json.loads(sent["content"]) == [
        {"type": "text", "text": "看图ECHOALL"},
        {"type": "image", "file_id": "7713923311045967872"},
    ]
