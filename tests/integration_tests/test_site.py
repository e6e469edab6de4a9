"""`ChatCozeSite` over a socket: the recorded bytes of the server, and a project with a memory."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from langchain_coze import (
    ChatCozeSite,
    CozeAuthenticationError,
    CozeChatError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozePermissionError,
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
)
from tests.conftest import finish_cancels, wait_until
from tests.integration_tests.call_styles import BACKEND_STYLES, CallStyle, ainvoke, invoke, stream
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.integration_tests.site_server import SiteServer, run_site
from tests.site_recordings import read_site_reply

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2ln"
STREAM = "/stream_run"
EACH_STYLE = pytest.mark.parametrize("call", BACKEND_STYLES)


def make_site(base_url: str, **fields: Any) -> ChatCozeSite:
    known = {"api_key": TOKEN, "timeout": 5, "poll_interval": 0.01}
    return ChatCozeSite(base_url=base_url, **(known | fields))


@contextmanager
def replay(name: str, path: str = STREAM) -> Iterator[ScriptedServer]:
    """Serve the untouched bytes of a recorded reply."""
    with serve_script(raw_replies={path: [read_site_reply(name)]}) as server:
        yield server


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with run_site() as server:
        yield server


# --- Streams -------------------------------------------------------------------------------------


@EACH_STYLE
def test_a_recorded_answer_is_whole(call: CallStyle) -> None:
    with replay("R02_tool") as server:
        message = call(make_site(server.base_url), "北京天气")
    assert message.content == "晴"
    assert message.tool_calls == []
    assert message.usage_metadata is None
    assert message.response_metadata["model_name"] == "127.0.0.1"
    assert message.response_metadata["run_id"] == "4b2a6b49-253e-4445-a599-caf5236b5399"
    (body,) = server.bodies
    assert body["content"]["query"]["prompt"] == [{"type": "text", "content": {"text": "北京天气"}}]
    assert body["session_id"] == message.response_metadata["session_id"]
    assert set(body) == {"content", "type", "session_id"}


def test_an_answer_streams_frame_by_frame_and_its_ids_come_first() -> None:
    reply = read_site_reply("R02_tool")
    cut = reply.rindex(b'event: message\ndata: {"type": "message_end"')
    with serve_script(raw_replies={STREAM: [reply[:cut], 0.5, reply[cut:]]}) as server:
        started = time.monotonic()
        chunks = make_site(server.base_url).stream("北京天气")
        first = next(chunks)
        assert time.monotonic() - started < 0.4
        assert first.response_metadata["run_id"]
        assert first.response_metadata["session_id"]
        assert list(chunks)[-1].chunk_position == "last"


@pytest.mark.parametrize("name", ["R02_tool", "28_variant_nonstream_nodes"])
def test_every_way_to_call_gives_the_same_blocks(name: str) -> None:
    def list_blocks(message: Any) -> list[Any]:
        return [{k: v for k, v in b.items() if k != "index"} for b in message.content_blocks]

    with replay(name) as server:
        model = make_site(server.base_url)
        expected = list_blocks(model.invoke("hi"))
        assert list_blocks(stream(model, "hi")) == expected
        assert list_blocks(model.stream_events("hi", version="v3").output) == expected
        standard = make_site(server.base_url, output_version="v1").invoke("hi")
        assert standard.content == expected
    assert "server_tool_call" in [block["type"] for block in expected]


def test_project_id_is_sent_as_a_number() -> None:
    with replay("R01_short_answer") as server:
        make_site(server.base_url, project_id="7600000000000000001").invoke("hi")
    assert server.bodies[0]["project_id"] == 7600000000000000001


ENDS: dict[str, tuple[type[CozeError], str]] = {
    "06_agent_error_mid": (CozeServerError, "答案前半"),
    "08_agent_cancel": (CozeChatError, "0 1 2 "),
    "31_agent_error_frame": (CozeChatError, ""),
    "07c_list_body": (CozeStreamError, ""),
}


@EACH_STYLE
@pytest.mark.parametrize("name", ENDS)
def test_every_end_that_is_no_success_raises(name: str, call: CallStyle) -> None:
    with replay(name) as server, pytest.raises(ENDS[name][0]) as caught:
        call(make_site(server.base_url), "hi")
    assert caught.value.session_id == server.bodies[0]["session_id"]
    assert not caught.value.is_retryable
    assert len(server.bodies) == 1


def test_the_text_before_a_failure_is_streamed() -> None:
    texts: list[str] = []
    with replay("06_agent_error_mid") as server, pytest.raises(CozeServerError):
        texts.extend(chunk.text for chunk in make_site(server.base_url).stream("hi"))
    assert "".join(texts)


def test_a_connection_that_breaks_after_the_end_does_not_matter() -> None:
    reply = read_site_reply("R01_short_answer").removesuffix(b"0\r\n\r\n")
    with serve_script(raw_replies={STREAM: [reply, ConnectionResetError()]}) as server:
        assert make_site(server.base_url).invoke("hi").content == "好的"


@EACH_STYLE
def test_an_empty_stream_is_an_error(call: CallStyle) -> None:
    with serve_script() as server, pytest.raises(CozeStreamError, match="empty stream"):
        call(make_site(server.base_url), "hi")


# --- Refusals ------------------------------------------------------------------------------------

JSON = "application/json"
MISSING = b'{"msg":"Missing authorization header. Please provide a valid Bearer token"}'
REFUSALS: dict[str, tuple[int, str, bytes, type[CozeError], str]] = {
    "401": (401, JSON, MISSING, CozeAuthenticationError, "COZE_SITE_TOKEN"),
    "401 code": (401, JSON, b'{"code":4100,"msg":"no"}', CozeAuthenticationError, "eyJ"),
    "403": (403, JSON, b'{"code":4101,"msg":"no"}', CozePermissionError, "COZE_SITE_TOKEN"),
    "404": (404, "text/html", b"<html>nothing</html>", CozeNotFoundError, "base_url"),
    "404 route": (404, JSON, b'{"detail":"Not Found"}', CozeNotFoundError, "older"),
    "429": (429, JSON, b"{}", CozeRateLimitError, "rate_limiter"),
    "500": (500, "text/plain", b"Internal Server Error", CozeServerError, ""),
    "504": (504, "text/plain", b"upstream failed to respond", CozeTimeoutError, "'async'"),
    "html": (200, "text/html", b"<!DOCTYPE html><p>hi</p>", CozeInvalidRequestError, "base_url"),
    "json": (200, JSON, b'{"code":4100,"msg":"no"}', CozeAuthenticationError, "eyJ"),
    "empty": (200, JSON, b"", CozeServerError, "base_url"),
}


@pytest.mark.parametrize("call", [invoke, ainvoke])
@pytest.mark.parametrize("mode", ["stream", "run"])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_a_typed_error_without_the_token(
    name: str, mode: str, call: CallStyle
) -> None:
    status, content_type, body, error_class, word = REFUSALS[name]
    if (name, mode) == ("json", "run"):
        error_class, word = CozeInvalidRequestError, "CozeSiteTool"
    body = body.replace(b"no", TOKEN.encode())
    script = serve_script(body, content_type=content_type, status=status)
    with script as server, pytest.raises(error_class) as caught:
        call(make_site(server.base_url, response_mode=mode, max_retries=0), "hi")
    error = caught.value
    assert type(error) is error_class
    assert word in str(error)
    assert "eyJhb" not in str(error) + repr(error) + repr(vars(error))


def test_a_failed_run_keeps_its_stack_trace_out_of_the_message() -> None:
    with replay("13b_wf_run_error", "/run") as server, pytest.raises(CozeChatError) as caught:
        make_site(server.base_url, response_mode="run").invoke("hi")
    assert (caught.value.code, caught.value.status_code) == (201003, 500)
    assert "main.py" not in str(caught.value)
    assert caught.value.response is not None
    assert "main.py" in caught.value.response.text
    assert not caught.value.is_retryable


def test_a_rejected_token_is_renewed_once() -> None:
    tokens = iter(["eyJold000", "eyJnew000"])
    with serve_script(MISSING, content_type=JSON, status=401) as server:
        model = make_site(server.base_url, api_key=lambda: next(tokens))
        with pytest.raises(CozeAuthenticationError):
            model.invoke("hi")
    sent = [headers["authorization"] for headers in server.headers]
    assert sent == ["bearer eyjold000", "bearer eyjnew000"]


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("https://abc.coze.site/stream_run", "base_url='https://abc.coze.site'"),
        ("https://www.coze.cn", "deployment page"),
        ("https://code.coze.cn", "deployment page"),
        ("https://api.coze.cn", "deployment page"),
        ("https://coze.site", "deployment page"),
        ("abc.coze.site", "https://abcdefghij.coze.site"),
        ("", "COZE_SITE_BASE"),
    ],
)
def test_a_wrong_address_is_named_at_once(base_url: str, words: str) -> None:
    with pytest.raises(ValidationError, match="base_url") as caught:
        make_site(base_url)
    assert words in str(caught.value)
    with pytest.raises(CozeInvalidRequestError):
        make_site("https://abc.coze.site").model_copy(update={"base_url": base_url})


def test_the_token_of_the_coze_api_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COZE_API_TOKEN", "pat_other")
    monkeypatch.setenv("COZE_SITE_BASE", "https://abc.coze.site")
    monkeypatch.delenv("COZE_SITE_TOKEN", raising=False)
    with pytest.raises(CozeAuthenticationError, match="COZE_SITE_TOKEN"):
        ChatCozeSite().invoke("hi")


def test_no_form_of_a_model_shows_its_token() -> None:
    model = make_site("https://abc.coze.site")
    for text in (repr(model), str(model), str(model.model_dump()), str(vars(model))):
        assert "eyJhb" not in text
    again = pickle.loads(pickle.dumps(model))
    assert again.api_key.get_secret_value() == TOKEN
    assert copy.deepcopy(model).base_url == model.base_url


# --- Histories -----------------------------------------------------------------------------------

HISTORY: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("I am Tom."),
    AIMessage("Hello Tom."),
    HumanMessage("Who am I?"),
]


def test_a_stream_gets_the_history_as_one_message(site: SiteServer) -> None:
    message = make_site(site.base_url).invoke(HISTORY)
    ((role, text),) = site.seen[0]
    assert role == "user"
    positions = [text.index(part) for part in ("Be brief.", "I am Tom.", "Hello Tom.", "Who am I?")]
    assert positions == sorted(positions)
    assert "Assistant: Hello Tom." in text
    assert message.response_metadata["session_id"] == site.bodies[0]["session_id"]


@pytest.mark.parametrize("mode", ["run", "async"])
@EACH_STYLE
def test_the_other_modes_send_messages_with_their_roles(
    site: SiteServer, mode: Any, call: CallStyle
) -> None:
    message = call(make_site(site.base_url, response_mode=mode), HISTORY)
    assert site.seen[0] == [
        ("system", "Be brief."),
        ("user", "I am Tom."),
        ("assistant", "Hello Tom."),
        ("user", "Who am I?"),
    ]
    assert message.text == "1: Who am I?"
    assert message.usage_metadata == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    assert "session_id" not in message.response_metadata
    assert message.response_metadata["run_id"] == site.requests[0][2]["x-run-id"]
    assert message.response_metadata["finish_reason"] == "stop"


def test_each_stateless_call_has_its_own_session(site: SiteServer) -> None:
    model = make_site(site.base_url)
    model.batch(["a", "b", "c"])
    assert len({body["session_id"] for body in site.bodies}) == 3
    assert sorted(len(seen) for seen in site.seen) == [1, 1, 1]


def test_system_messages_may_be_ignored_or_refused(site: SiteServer) -> None:
    make_site(site.base_url, system_message_mode="ignore").invoke(HISTORY[:2])
    assert site.seen[0] == [("user", "I am Tom.")]
    with pytest.raises(CozeInvalidRequestError, match="system message"):
        make_site(site.base_url, system_message_mode="raise").invoke(HISTORY)
    assert len(site.seen) == 1


@pytest.mark.parametrize("mode", ["stream", "run"])
@EACH_STYLE
def test_a_thread_sends_only_new_messages(site: SiteServer, mode: Any, call: CallStyle) -> None:
    model = make_site(site.base_url, session="thread", response_mode=mode)
    history: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("one")]
    for question in ("two", "three"):
        history += [call(model, history), HumanMessage(question)]
    call(model, history)
    assert len(site.sessions) == 1
    assert [said for role, said in site.seen[2] if role == "user"][1:] == ["two", "three"]
    sizes = [len(str(body)) for body in site.bodies]
    assert sizes[1] < sizes[0]


def test_a_thread_continues_in_the_other_mode(site: SiteServer) -> None:
    streamed = make_site(site.base_url, session="thread")
    run = streamed.model_copy(update={"response_mode": "run"})
    history: list[BaseMessage] = [HumanMessage("one")]
    for model, question in ((streamed, "two"), (run, "three"), (streamed, "four")):
        history += [model.invoke(history), HumanMessage(question)]
    run.invoke(history)
    assert len(site.sessions) == 1
    assert [text for _, text in site.seen[-1]] == [message.text for message in history]


def test_an_old_project_that_ignores_the_run_id_still_sees_the_history(site: SiteServer) -> None:
    model = make_site(site.base_url, session="thread")
    history = [HumanMessage("one"), model.invoke("one"), HumanMessage("two")]
    site.reads_run_id = False
    run = model.model_copy(update={"response_mode": "run"})
    answer = run.invoke(history)
    assert [text for _, text in site.seen[-1]] == ["one", history[1].text, "two"]
    assert "session_id" not in answer.response_metadata
    run.invoke([*history, answer, HumanMessage("three")])
    assert [text for _, text in site.seen[-1]][-3:] == ["two", answer.text, "three"]


def test_an_edited_history_is_another_one(site: SiteServer) -> None:
    model = make_site(site.base_url, session="thread")
    answer = model.invoke("one")
    model.invoke([HumanMessage("ONE"), answer, HumanMessage("two")])
    assert len(site.sessions) == 2
    assert "User: ONE" in site.seen[-1][0][1]
    answer.content = "redacted"
    model.invoke([HumanMessage("one"), answer, HumanMessage("two")])
    assert "Assistant: redacted" in site.seen[-1][0][1]


def test_a_trimmed_history_continues_its_session(site: SiteServer) -> None:
    model = make_site(site.base_url, session="thread")
    answer = model.invoke("one")
    model.invoke([answer, HumanMessage("two")])
    assert [text for _, text in site.seen[-1]] == ["one", answer.text, "two"]


def test_a_named_session_gets_only_new_messages(site: SiteServer) -> None:
    model = make_site(site.base_url)
    history: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("one")]
    history += [model.invoke(history, session_id="mine"), HumanMessage("two")]
    assert "Be brief." in site.seen[0][0][1]
    config: Any = {"configurable": {"coze_session_id": "mine"}}
    with pytest.warns(UserWarning, match="only before the first answer"):
        answer = model.invoke(history, config=config)
    assert site.seen[1][-1] == ("user", "two")
    assert answer.response_metadata["session_id"] == "mine"
    field = model.model_copy(update={"session_id": "mine"})
    field.invoke([*history[1:], answer, HumanMessage("three")])
    assert site.seen[2][-1] == ("user", "three")
    assert set(site.sessions) == {"mine"}


def test_the_config_is_read_inside_a_runnable(site: SiteServer) -> None:
    model = make_site(site.base_url)
    chain = RunnableLambda(model.invoke)
    chain.invoke("hi", config={"configurable": {"coze_session_id": "inner"}})
    assert site.bodies[0]["session_id"] == "inner"


def test_calls_on_one_session_wait_for_each_other(site: SiteServer) -> None:
    model = make_site(site.base_url, session_id="mine")
    model.batch([f"q{number}" for number in range(6)])
    assert site.overlaps == 0
    assert len(site.sessions["mine"]) == 12


async def test_two_calls_with_one_history_never_share_a_session(site: SiteServer) -> None:
    model = make_site(site.base_url, session="thread")
    history = [HumanMessage("one"), await model.ainvoke("one")]
    await asyncio.gather(
        *(model.ainvoke([*history, HumanMessage(f"q{number}")]) for number in range(4))
    )
    assert site.overlaps == 0
    assert len(site.sessions) == 4  # one of them continues the first session
    for seen in site.seen[1:]:
        assert "q" in seen[-1][1]
        assert "one" in seen[0][1]


def test_a_stream_that_is_still_open_does_not_block_its_history(site: SiteServer) -> None:
    model = make_site(site.base_url, session="thread")
    history = [HumanMessage("one"), model.invoke("one"), HumanMessage("two")]
    site.failures = ["hang"]
    chunks: Any = model.stream(history)
    next(chunks)
    assert model.invoke(history).text
    assert len(site.sessions) == 2
    site.released.set()
    chunks.close()


def test_async_mode_has_no_sessions() -> None:
    for fields in ({"session": "thread"}, {"session_id": "mine"}):
        with pytest.raises(ValidationError, match="async"):
            make_site("https://abc.coze.site", response_mode="async", **fields)
    model = make_site("https://abc.coze.site", response_mode="async")
    with pytest.raises(CozeInvalidRequestError, match="async"):
        model.invoke("hi", session_id="mine")


# --- Files ---------------------------------------------------------------------------------------

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
FILES = [
    ({"type": "image", "url": "https://example.com/a.png?sign=1"}, "a.png"),
    ({"type": "image", "url": "https://example.com/a"}, "a.png"),
    ({"type": "image_url", "image_url": {"url": "https://example.com/"}}, "image.png"),
    ({"type": "file", "url": "https://example.com/x", "mime_type": "application/pdf"}, "x.pdf"),
    ({"type": "file", "url": "https://example.com/x", "filename": "报告.docx"}, "报告.docx"),
]


@pytest.mark.parametrize(("block", "name"), FILES)
def test_a_link_is_sent_with_a_file_name(
    block: dict[str, Any], name: str, site: SiteServer
) -> None:
    question = HumanMessage([{"type": "text", "text": "看"}, block, {"type": "text", "text": "?"}])
    make_site(site.base_url).invoke([question])
    text, file, mark = site.bodies[0]["content"]["query"]["prompt"]
    assert (text["content"]["text"], mark["content"]["text"]) == ("看", "?")
    assert file["type"] == "upload_file"
    assert file["content"]["upload_file"]["file_name"] == name
    assert file["content"]["upload_file"]["url"].startswith("https://example.com/")


def test_files_of_a_history_stay_in_order(site: SiteServer) -> None:
    first = HumanMessage(["look", {"type": "image", "url": "https://example.com/1.png"}])
    second = HumanMessage(["and this", {"type": "image", "url": "https://example.com/2.png"}])
    make_site(site.base_url).invoke([first, AIMessage("ok"), second])
    prompt = site.bodies[0]["content"]["query"]["prompt"]
    files = [part["content"]["upload_file"]["url"][-5:] for part in prompt[1:]]
    assert files == ["1.png", "2.png"]


@pytest.mark.parametrize("mode", ["run", "async"])
def test_base64_images_need_another_mode(mode: Any, site: SiteServer) -> None:
    image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    question = [HumanMessage([{"type": "text", "text": "看"}, image])]
    with pytest.raises(CozeInvalidRequestError, match="response_mode='run'"):
        make_site(site.base_url).invoke(question)
    assert site.requests == []
    make_site(site.base_url, response_mode=mode).invoke(question)
    part = site.bodies[0]["messages"][0]["content"][1]
    assert part["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("mode", ["stream", "run"])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "file", "url": "file:///etc/passwd"},
        {"type": "file", "url": "/etc/hostname"},
        {"type": "file", "base64": "aGk=", "mime_type": "text/plain"},
        {"type": "image", "file_id": "741"},
    ],
)
def test_other_files_are_rejected_before_the_request(
    block: dict[str, Any], mode: Any, site: SiteServer
) -> None:
    with pytest.raises(CozeInvalidRequestError):
        make_site(site.base_url, response_mode=mode).invoke([HumanMessage(["看", block])])
    assert site.requests == []


# --- Leaving -------------------------------------------------------------------------------------


def test_leaving_a_stream_cancels_its_run(site: SiteServer) -> None:
    site.failures = ["hang"]
    for _ in make_site(site.base_url).stream("hi"):
        break
    wait_until(lambda: "/cancel/run-1" in site.paths)


async def test_leaving_an_async_stream_cancels_its_run(site: SiteServer) -> None:
    site.failures = ["hang"]
    task = asyncio.create_task(make_site(site.base_url).ainvoke("hi"))
    await asyncio.to_thread(site.started.wait)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(wait_until, lambda: "/cancel/run-1" in site.paths)


@pytest.mark.parametrize("mode", ["stream", "run"])
async def test_a_silent_run_is_cancelled_by_the_id_that_it_was_given(
    site: SiteServer, mode: Any
) -> None:
    site.failures = ["silent"]
    task = asyncio.create_task(make_site(site.base_url, response_mode=mode).ainvoke("hi"))
    await asyncio.to_thread(site.started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    run_id = site.requests[0][2]["x-run-id"]
    await asyncio.to_thread(wait_until, lambda: f"/cancel/{run_id}" in site.paths)


def test_a_run_is_not_cancelled_where_that_is_off_or_it_has_ended(site: SiteServer) -> None:
    list(make_site(site.base_url).stream("hi"))
    site.failures = ["hang"]
    for _ in make_site(site.base_url, cancel_on_close=False).stream("hi"):
        break
    finish_cancels()
    assert site.paths == [STREAM, STREAM]


@pytest.mark.parametrize("call", [invoke, ainvoke])
def test_max_duration_ends_a_turn(site: SiteServer, call: CallStyle) -> None:
    site.failures = ["hang"]
    started = time.monotonic()
    with pytest.raises(CozeTimeoutError, match="max_duration"):
        call(make_site(site.base_url, max_duration=0.3), "hi")
    assert time.monotonic() - started < 2
    wait_until(lambda: "/cancel/run-1" in site.paths)


def test_a_cancelled_run_of_one_request_is_a_timeout() -> None:
    with replay("13f_wf_run_timeout", "/run") as server, pytest.raises(CozeTimeoutError) as caught:
        make_site(server.base_url, response_mode="run").invoke("hi")
    assert caught.value.reason == "cancelled"
    assert caught.value.run_id == "c0912432-112a-4c10-ada6-97be4ceafbe0"


# --- What LangChain knows ------------------------------------------------------------------------


def test_the_name_of_the_project_is_the_name_of_the_model() -> None:
    model = make_site("https://abcdefghij.coze.site/")
    assert model._get_ls_params()["ls_model_name"] == "abcdefghij"
    assert model._get_ls_params(model="other")["ls_model_name"] == "other"
    assert make_site("https://agent.example.com")._project_name == "agent.example.com"


def test_arguments_of_other_models_are_ignored_with_a_warning(site: SiteServer) -> None:
    model = make_site(site.base_url)
    with pytest.warns(UserWarning, match="temperature"):
        model.invoke("hi", temperature=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.invoke("hi", temperature=0.5)  # once
