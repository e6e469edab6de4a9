"""Input that is nearly right: corrected, or refused with a sentence that names it; over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import textwrap
import types
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    ToolMessage,
)
from pydantic import SecretStr

from langchain_coze import (
    ChatCoze,
    ChatCozeSite,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeRecallRetriever,
    CozeSiteTool,
    CozeToolkit,
    CozeWorkflowTool,
    create_coze_agent,
)
from langchain_coze.local import LocalCoze, LocalSite
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle, ainvoke, invoke
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.integration_tests.tea_bot import BOT, QUESTION
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

coze = serve(BOT)


@contextlib.contextmanager
def serve_turn() -> Iterator[ScriptedServer]:
    with serve_script(TURN) as server:
        yield server


def make_model(server: ScriptedServer, **fields: Any) -> ChatCoze:
    return ChatCoze(**({"bot_id": "7", "api_key": "t", "base_url": server.base_url} | fields))


# --- Numbers and text ----------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_numbers_are_sent_as_text(ask: CallStyle) -> None:
    fields: dict[str, Any] = {"connector_id": 1024, "bot_version": 3, "user_id": 42}
    with serve_turn() as server:
        ask(make_model(server, **fields), QUESTION)
        ask(make_model(server), QUESTION, **fields)
        bodies = server.bodies
    for body in bodies:
        assert {name: body[name] for name in fields} == {
            "connector_id": "1024",
            "bot_version": "3",
            "user_id": "42",
        }


@pytest.mark.parametrize("ask", [invoke, ainvoke])
def test_numbers_of_a_workflow_are_sent_as_text(ask: CallStyle) -> None:
    done = b'id: 0\nevent: Done\ndata: {"debug_url":""}\n\n'
    with serve_script(done) as server:
        tool = CozeWorkflowTool(
            workflow_id=7,
            connector_id=1024,
            workflow_version=3,
            api_key="t",
            base_url=server.base_url,
        )
        ask(tool, {})
    (body,) = server.bodies
    assert (body["workflow_id"], body["connector_id"]) == ("7", "1024")
    assert body["workflow_version"] == "3"


@pytest.mark.parametrize("name", ["custom_variables", "meta_data", "extra_params", "parameters"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_text_in_place_of_a_dict_is_refused(coze: LocalCoze, ask: CallStyle, name: str) -> None:
    with pytest.raises(CozeInvalidRequestError, match=f"{name} is of type str, not a dict"):
        ask(make_chat(coze), QUESTION, **{name: "s"})
    assert coze.requests == []


@pytest.mark.parametrize("use_async", [False, True])
def test_a_text_in_place_of_a_dict_is_refused_in_a_context(
    coze: LocalCoze, *, use_async: bool
) -> None:
    agent = create_coze_agent(make_chat(coze), name="tea")
    with pytest.raises(
        CozeInvalidRequestError, match="custom_variables is of type str, not a dict"
    ):
        run_agent(agent, {"custom_variables": "s"}, use_async=use_async)


def run_agent(agent: Any, context: Any, *, use_async: bool) -> Any:
    messages = {"messages": [("user", QUESTION)]}
    if use_async:
        return asyncio.run(agent.ainvoke(messages, context=context))
    return agent.invoke(messages, context=context)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_numbers_that_json_does_not_have_are_refused(
    coze: LocalCoze, ask: CallStyle, value: float
) -> None:
    for name in ("parameters", "custom_variables"):
        with pytest.raises(CozeInvalidRequestError, match="cannot be converted to JSON"):
            ask(make_chat(coze), QUESTION, **{name: {"size": value}})
    assert coze.requests == []


# --- Messages in Coze's own format ---------------------------------------------------------------


COZE_ITEMS: list[Any] = [
    {"type": "text", "text": "What is it?"},
    {"type": "image", "file_url": "https://example.com/tea.png"},
    {"type": "file", "file_id": "7338"},
]


@pytest.mark.parametrize(
    "content", [COZE_ITEMS, json.dumps(COZE_ITEMS), json.dumps(COZE_ITEMS, indent=1)]
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_messages_may_have_coze_s_own_format(ask: CallStyle, content: Any) -> None:
    history = [
        {"role": "user", "type": "question", "content": "Hi", "content_type": "text"},
        {"role": "assistant", "type": "answer", "content": "Hello", "content_type": "text"},
        {"role": "user", "content": content, "content_type": "object_string"},
    ]
    with serve_turn() as server:
        assert ask(make_model(server), history).content == TURN_TEXT
        (body,) = server.bodies
    sent = body["additional_messages"]
    assert [entry["content"] for entry in sent[:2]] == ["Hi", "Hello"]
    assert [(entry["role"], entry["type"]) for entry in sent] == [
        ("user", "question"),
        ("assistant", "answer"),
        ("user", "question"),
    ]
    assert sent[2]["content_type"] == "object_string"
    assert json.loads(sent[2]["content"]) == COZE_ITEMS


@pytest.mark.parametrize("content", ["What is it?", "{}", "[1", "null"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_object_string_that_is_no_list_is_refused(
    coze: LocalCoze, ask: CallStyle, content: str
) -> None:
    message = {"role": "user", "content": content, "content_type": "object_string"}
    with pytest.raises(CozeInvalidRequestError, match="its content is not a list") as caught:
        ask(make_chat(coze), [message])
    assert "pass the list itself as content" in str(caught.value)
    assert coze.requests == []


# --- Names that are nearly right -----------------------------------------------------------------


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize(
    ("key", "near"), [("userid", "user_id"), ("conversationId", "conversation_id")]
)
def test_a_misspelt_key_of_a_context_is_refused(
    coze: LocalCoze, key: str, near: str, *, use_async: bool
) -> None:
    agent = create_coze_agent(make_chat(coze), name="tea")
    with pytest.raises(CozeInvalidRequestError, match=f"no argument '{key}'") as caught:
        run_agent(agent, {key: "42"}, use_async=use_async)
    assert f"Did you mean {near}?" in str(caught.value)
    assert coze.requests == []


@pytest.mark.parametrize("use_async", [False, True])
def test_other_keys_of_a_context_are_for_the_tools(coze: LocalCoze, *, use_async: bool) -> None:
    agent = create_coze_agent(make_chat(coze), name="tea")
    state = run_agent(agent, {"tenant": "a", "user_id": "42"}, use_async=use_async)
    assert state["messages"][-1].content
    assert coze.requests[0].body["user_id"] == "42"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("botid", "bot_id"), ("base_ulr", "base_url"), ("apikey", "api_key"), ("time_out", "timeout")],
)
@pytest.mark.parametrize("made", [ChatCoze, CozeRecallRetriever, CozeWorkflowTool, CozeToolkit])
def test_a_misspelt_field_is_refused(made: Any, wrong: str, near: str) -> None:
    known = {"workflow_id": "1"} if made is CozeWorkflowTool else {}
    known |= {"workspace_id": "1"} if made is CozeToolkit else {}
    if (made, wrong) == (CozeToolkit, "botid"):
        pytest.skip("a toolkit has no bot")
    with pytest.raises(ValueError, match=f"no argument '{wrong}'") as caught:
        made(**known, **{wrong: "x"})
    assert f"Did you mean {near}?" in str(caught.value)


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_misspelt_argument_of_a_call_is_refused(coze: LocalCoze, ask: CallStyle) -> None:
    with pytest.raises(CozeInvalidRequestError, match="no argument 'userid'"):
        ask(make_chat(coze), QUESTION, userid="42")
    with pytest.raises(CozeInvalidRequestError, match="no argument 'botid'"):
        ask(make_chat(coze), QUESTION, botid="42")
    assert coze.requests == []


@pytest.mark.parametrize(
    ("made", "name", "replacement"),
    [
        (ChatCoze, "auth", "api_key="),
        (ChatCoze, "token", "api_key="),
        (ChatCoze, "session_name", "api_key=auth.for_session(…)"),
        (ChatCoze, "chat_id", "conversation_id="),
        (ChatCoze, "additional_messages", "invoke([…])"),
        (CozeRecallRetriever, "auth", "api_key="),
        (CozeRecallRetriever, "additional_messages", "invoke(query)"),
        (CozeWorkflowTool, "user_id", "ext={'user_id': …}"),
        (CozeWorkflowTool, "is_async", "run_mode='async'"),
        (CozeWorkflowTool, "parameters", "invoke({…})"),
        (CozeToolkit, "space_id", "workspace_id="),
        (CozeToolkit, "user_id", "tool_options={'ext': {'user_id': …}}"),
        (CozeToolkit, "bot_id", "tool_options={'bot_id': …}"),
        (ChatCozeSite, "bot_id", "base_url="),
        (ChatCozeSite, "conversation_id", "session_id="),
        (ChatCozeSite, "session_name", "session_id="),
        (ChatCozeSite, "is_async", "response_mode='async'"),
        (CozeSiteTool, "workflow_id", "base_url="),
        (CozeSiteTool, "is_async", "run_mode='async'"),
    ],
)
def test_a_field_of_another_client_names_its_replacement(
    made: Any, name: str, replacement: str
) -> None:
    with pytest.raises(ValueError, match=f"{made.__name__} has no argument '{name}'") as caught:
        made(**{name: "x"})
    assert f"Hint: Use {replacement}.\n提示：请使用 {replacement}。" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("additional_messages", "invoke([…])"),
        ("auth", "api_key="),
        ("chat_id", "conversation_id="),
        ("session_name", "api_key=auth.for_session(…)"),
    ],
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_argument_of_another_client_names_its_replacement(
    coze: LocalCoze, ask: CallStyle, name: str, replacement: str
) -> None:
    with pytest.raises(CozeInvalidRequestError, match=f"no argument '{name}'") as caught:
        ask(make_chat(coze), QUESTION, **{name: "x"})
    assert f"Hint: Use {replacement}." in str(caught.value)
    assert coze.requests == []


def test_an_id_in_place_of_the_kind_of_conversation_names_its_field() -> None:
    with pytest.raises(ValueError, match="pass the id of a conversation as conversation_id="):
        ChatCoze(conversation="7374")


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_chat_id_in_place_of_a_conversation_id_is_explained(
    coze: LocalCoze, ask: CallStyle
) -> None:
    model = make_chat(coze)
    chat_id = model.invoke(QUESTION).response_metadata["chat_id"]
    with pytest.raises(CozeNotFoundError, match="not a chat_id") as caught:
        ask(model, QUESTION, conversation_id=chat_id)
    assert caught.value.code == 4002


@pytest.mark.parametrize("use_async", [False, True])
def test_a_wrong_workspace_is_named(coze: LocalCoze, *, use_async: bool) -> None:
    toolkit = CozeToolkit(workspace_id="1", api_key=coze.token, base_url=coze.base_url)
    with pytest.raises(CozePermissionError, match="Hint: Check workspace_id") as caught:
        _ = asyncio.run(toolkit.aget_tools()) if use_async else toolkit.get_tools()
    assert caught.value.code == 4101


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_token_and_the_address_of_a_site_name_the_class_for_it(
    coze: LocalCoze, ask: CallStyle
) -> None:
    with pytest.raises(CozeError, match="Check COZE_API_TOKEN or api_key=") as caught:
        ask(make_chat(coze, api_key="eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), QUESTION)
    assert "(eyJ…) only with ChatCozeSite" in str(caught.value)
    with LocalSite() as site, pytest.raises(CozeNotFoundError, match="use ChatCozeSite"):
        ask(ChatCoze(bot_id="7", api_key=site.token, base_url=site.base_url), QUESTION)


def test_other_unknown_arguments_are_ignored_with_a_warning(coze: LocalCoze) -> None:
    with pytest.warns(UserWarning, match="no argument elephants; ignored"):
        make_chat(coze, elephants=7)
    with pytest.warns(UserWarning, match="no argument stream_options; ignored"):
        invoke(make_chat(coze), QUESTION, stream_options={})
    with pytest.warns(UserWarning, match="temperature is set on the bot"):
        invoke(make_chat(coze), QUESTION, temperature=0.5)


# --- The end user --------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_end_user_can_be_named_in_each_way(ask: CallStyle) -> None:
    config = {"configurable": {"coze_user_id": "from config"}}
    with serve_turn() as server:
        model = make_model(server, user="field")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ask(model, QUESTION)
            ask(model, QUESTION, user="argument")
            ask(model, QUESTION, config=config)
            ask(model, QUESTION, config=config, user="argument")
            ask(model, QUESTION, user_id=7)
        users = [body["user_id"] for body in server.bodies]
    assert users == ["field", "argument", "from config", "argument", "7"]


@pytest.mark.parametrize("ask", [invoke, ainvoke])
def test_a_search_takes_the_end_user_of_the_config(coze: LocalCoze, ask: CallStyle) -> None:
    config = {"configurable": {"coze_user_id": "42", "coze_conversation_id": "9"}}
    retriever = CozeRecallRetriever(bot_id=BOT.bot_id, api_key=coze.token, base_url=coze.base_url)
    ask(retriever, QUESTION, config=config)
    assert coze.requests[0].body["user_id"] == "42"
    assert "conversation_id" not in coze.requests[0].query


def test_a_graph_passes_the_end_user_of_its_config_on(coze: LocalCoze) -> None:
    agent = create_coze_agent(make_chat(coze), name="tea")
    config: Any = {"configurable": {"coze_user_id": "42"}}
    agent.invoke({"messages": [("user", QUESTION)]}, config)
    assert coze.requests[0].body["user_id"] == "42"


# --- Defaults ------------------------------------------------------------------------------------


def test_none_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZE_API_TOKEN", "pat_env")
    monkeypatch.setenv("COZE_USER_ID", "env-user")
    monkeypatch.delenv("COZE_API_BASE", raising=False)
    model = ChatCoze(bot_id="7", base_url=None, api_key=None, user_id=None)
    assert model.base_url == "https://api.coze.cn"
    assert isinstance(model.api_key, SecretStr)
    assert model.api_key.get_secret_value() == "pat_env"
    assert model.user_id == "env-user"
    assert CozeRecallRetriever(bot_id="7", coze_api_base=None).base_url == "https://api.coze.cn"
    monkeypatch.setenv("COZE_API_BASE", "https://api.coze.com")
    assert CozeToolkit(workspace_id="7", base_url=None).base_url == "https://api.coze.com"


def test_the_id_of_the_bot_has_the_name_that_other_models_use(coze: LocalCoze) -> None:
    assert ChatCoze(model="123").model == "123"
    assert ChatCoze(bot_id="123", workflow_id="7").model == "7"
    assert make_chat(coze).model == BOT.bot_id


def test_tokens_are_estimated(coze: LocalCoze) -> None:
    assert 0 < make_chat(coze).get_num_tokens("The tea plant grows on hills.") < 20
    assert make_chat(coze).get_num_tokens("") < 5


# --- Messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_empty_question_is_refused(coze: LocalCoze, ask: CallStyle, text: str) -> None:
    for question in (text, [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage(text)]):
        with pytest.raises(CozeInvalidRequestError, match="The question is empty"):
            ask(make_chat(coze), question)
    assert coze.requests == []


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (FunctionMessage(content="sunny", name="weather"), "[weather] sunny"),
        (ChatMessage(content="sunny", role="tool"), "[tool] sunny"),
        (ChatMessage(content="sunny", role="function"), "[function] sunny"),
    ],
)
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_results_of_no_known_call_are_kept(ask: CallStyle, message: Any, text: str) -> None:
    with serve_turn() as server:
        ask(make_model(server), [HumanMessage("Hi"), message, HumanMessage("And now?")])
        ask(make_model(server), [HumanMessage("And now?"), message])
        contents = [[m["content"] for m in b["additional_messages"]] for b in server.bodies]
    assert contents == [["Hi", text, "And now?"], [text, "And now?"]]


def test_messages_without_content_for_the_bot_are_left_out() -> None:
    with serve_turn() as server:
        foreign = ToolMessage("of another agent", tool_call_id="x")
        history: list[Any] = [HumanMessage("Hi"), foreign, RemoveMessage("1"), HumanMessage("Now?")]
        assert invoke(make_model(server), history).content == TURN_TEXT
        (body,) = server.bodies
    assert [m["content"] for m in body["additional_messages"]] == ["Hi", "Now?"]


# --- Files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_file_name_that_cannot_be_encoded_is_corrected(coze: LocalCoze, ask: CallStyle) -> None:
    block = {"type": "file", "base64": ask.__name__.encode(), "filename": "a\ud800.md"}
    ask(make_chat(coze), [HumanMessage(["Read it.", block])])
    assert [r.path for r in coze.requests] == ["/v1/files/upload", "/v3/chat"]


@pytest.mark.parametrize("mime_type", ["text/plain\r\nX-Evil: 1", "text", "图片/png", "a/b c"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_invalid_mime_type_is_rejected(coze: LocalCoze, ask: CallStyle, mime_type: str) -> None:
    block = {"type": "file", "base64": b"x", "mime_type": mime_type}
    with pytest.raises(CozeInvalidRequestError, match="is not a MIME type"):
        ask(make_chat(coze), [HumanMessage(["Read it.", block])])
    assert coze.requests == []


@pytest.mark.parametrize("kind", [7, None])
def test_a_block_whose_type_is_no_text_is_refused(coze: LocalCoze, kind: Any) -> None:
    with pytest.raises(CozeError, match="which Coze does not accept"):
        invoke(make_chat(coze), [HumanMessage(["Hi", {"type": kind}])])
    history = [HumanMessage("Hi"), AIMessage([{"type": kind}]), HumanMessage("And now?")]
    assert invoke(make_chat(coze), history).content


# --- Clients and signatures ----------------------------------------------------------------------


def test_a_timeout_beside_a_client_of_a_fork_is_refused(
    coze: LocalCoze, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork = types.ModuleType("httpx2")

    class Client:
        """A client that does not descend from `httpx.Client`, as in forks of httpx."""

        timeout = object()

        def __init__(self) -> None:
            self.client = httpx.Client()

        def build_request(self, *args: Any, **kwargs: Any) -> Any:
            assert "timeout" not in kwargs
            return self.client.build_request(*args, **kwargs)

        def send(self, *args: Any, **kwargs: Any) -> Any:
            return self.client.send(*args, **kwargs)

    Client.__module__ = "httpx2._client"
    fork.Client = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "httpx2", fork)
    client = Client()
    known = {"bot_id": BOT.bot_id, "api_key": coze.token, "base_url": coze.base_url}
    with pytest.raises(ValueError, match="timeout cannot be used with a client of httpx2"):
        ChatCoze(**known, http_client=client, timeout=5)
    for fields in ({}, {"max_duration": 20}):
        assert invoke(ChatCoze(**known, http_client=client, **fields), QUESTION).content
    with httpx.Client() as usual:
        assert invoke(ChatCoze(**known, http_client=usual, timeout=5), QUESTION).content
    client.client.close()


@pytest.mark.parametrize(
    "name",
    [
        "ChatCoze",
        "ChatCozeSite",
        "CozeJWTAuth",
        "CozeRecallRetriever",
        "CozeSiteTool",
        "CozeToolkit",
        "CozeWorkflowTool",
    ],
)
def test_a_signature_shows_all_fields(name: str) -> None:
    program = f"""
        import inspect
        from langchain_coze import {name} as made
        names = set(inspect.signature(made).parameters)
        fields = {{n for n, field in made.model_fields.items() if field.init is not False}}
        assert names >= fields > {{"base_url"}}, fields - names
    """
    # in a process where no object has been made yet
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
