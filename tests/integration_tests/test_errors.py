"""Every invalid input and every fault gives a typed error or the whole answer, nothing between."""

from __future__ import annotations

import pickle
import socket
import time
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import ValidationError

from langchain_coze import (
    ChatCoze,
    CozeAuthenticationError,
    CozeChatError,
    CozeConnectionError,
    CozeConversationBusyError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeRecallRetriever,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    CozeWorkflowTool,
    is_retryable,
)
from langchain_coze._api import streams
from langchain_coze.local import LocalBot, LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import (
    BACKEND_STYLES,
    SINGLE_STYLES,
    CallStyle,
    astream,
    astream_aiohttp,
    invoke,
    stream,
)
from tests.integration_tests.scripted_server import serve_script
from tests.integration_tests.stream_faults import serve_with_faults
from tests.integration_tests.tea_bot import ANSWER, BOT, QUESTION
from tests.unit_tests.answer_streams import COMPLETED, DONE, make_completed, make_delta
from tests.unit_tests.wire_fixtures import TURN, TURN_TEXT

coze = serve(BOT)


def catch_error(
    ask: CallStyle, model: ChatCoze, kind: type[CozeError], question: Any = QUESTION
) -> CozeError:
    with pytest.raises(CozeError) as info:
        ask(model, question)
    error = info.value
    assert type(error) is kind
    assert isinstance(error, ModelError)
    assert "pat_" not in f"{error!s}{error!r}{vars(error)}"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, str(error))
    return error


def has_hint(error: CozeError) -> bool:
    lines = str(error).splitlines()
    return any(line.startswith("Hint: ") for line in lines) and any(
        line.startswith("提示：") for line in lines
    )


# --- Ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", BACKEND_STYLES)
@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        (
            {"bot_id": "https://www.coze.cn/space/1/bot/7374724495711502387"},
            'the number after /bot/ in the address: bot_id="7374724495711502387"',
        ),
        (
            {
                "workflow_id": "https://www.coze.cn/work_flow?space_id=1&workflow_id=73",
                "bot_id": "1",
            },
            'the number after workflow_id= in the address: workflow_id="73"',
        ),
        ({"bot_id": "my bot"}, "bot_id is the number after /bot/ in the address"),
    ],
)
def test_an_address_or_a_name_in_place_of_an_id_is_refused_here(
    coze: LocalCoze, ask: CallStyle, fields: dict[str, str], hint: str
) -> None:
    model = ChatCoze(api_key=coze.token, base_url=coze.base_url, **fields)
    before = len(coze.requests)
    error = catch_error(ask, model, CozeInvalidRequestError)
    assert hint in str(error)
    assert has_hint(error)
    assert len(coze.requests) == before


@pytest.mark.parametrize("ask", BACKEND_STYLES)
@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_the_name_of_a_language_model_is_no_bot(coze: LocalCoze, ask: CallStyle, mode: Any) -> None:
    model = ChatCoze(model="gpt-4", api_key=coze.token, base_url=coze.base_url, response_mode=mode)
    with pytest.raises(CozeError) as info:
        ask(model, QUESTION)
    assert "'gpt-4' is not a number. bot_id (or model) is the id of a bot" in str(info.value)
    assert has_hint(info.value)
    with pytest.raises(CozeError) as info:
        ask(model, QUESTION, bot_id="7374724495711502387")
    assert "is not a number" not in str(info.value)


async def test_a_tool_and_a_retriever_refuse_an_address_too(coze: LocalCoze) -> None:
    account: dict[str, Any] = {"api_key": coze.token, "base_url": coze.base_url}
    address = "https://www.coze.cn/work_flow?space_id=1&workflow_id=73"
    with pytest.raises(CozeInvalidRequestError, match='workflow_id="73"'):
        CozeWorkflowTool.from_workflow(address, **account)
    with pytest.raises(CozeInvalidRequestError, match='workflow_id="73"'):
        await CozeWorkflowTool.afrom_workflow(address, **account)
    tool = CozeWorkflowTool(workflow_id=address, **account)
    with pytest.raises(CozeInvalidRequestError, match='workflow_id="73"'):
        await tool.ainvoke({})
    retriever = CozeRecallRetriever(bot_id="https://www.coze.cn/space/1/bot/73", **account)
    with pytest.raises(CozeInvalidRequestError, match='bot_id="73"'):
        await retriever.ainvoke(QUESTION)
    with pytest.raises(CozeError, match="'gpt-4' is not a number"):
        CozeRecallRetriever(bot_id="gpt-4", **account).invoke(QUESTION)


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_missing_token_is_an_authentication_error(
    coze: LocalCoze, monkeypatch: pytest.MonkeyPatch, ask: CallStyle
) -> None:
    monkeypatch.delenv("COZE_API_TOKEN", raising=False)
    monkeypatch.delenv("COZE_API_KEY", raising=False)
    error = catch_error(ask, make_chat(coze, api_key=None), CozeAuthenticationError)
    assert has_hint(error)
    assert "COZE_API_TOKEN" in str(error)


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_wrong_token_is_an_authentication_error_and_not_tried_twice(
    coze: LocalCoze, ask: CallStyle, mode: str
) -> None:
    error = catch_error(
        ask, make_chat(coze, api_key="pat_wrong", response_mode=mode), CozeAuthenticationError
    )
    assert error.code == 4101
    assert error.logid
    assert f"logid {error.logid}" in str(error)
    assert error.request_id == error.logid
    assert isinstance(error, ValueError)
    assert "https://api.coze.com" in str(error)  # the hint about the site
    assert has_hint(error)
    assert len(coze.requests) == 1  # a fixed token is not tried twice


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"bot_id": "7000000000000000009"}, CozeNotFoundError, None),
        (
            {"bot_version": "1", "publish_status": "unpublished_draft"},
            CozeInvalidRequestError,
            4000,
        ),
        ({"meta_data": {str(i): "x" for i in range(17)}}, CozeInvalidRequestError, 4003),
    ],
)
@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_refusals_of_coze_are_typed_and_not_retryable(
    coze: LocalCoze, fields: dict[str, Any], kind: type[CozeError], code: int | None, mode: str
) -> None:
    for ask in BACKEND_STYLES:
        error = catch_error(ask, make_chat(coze, response_mode=mode, **fields), kind)
        assert error.code == code or code is None
        assert error.logid
        assert has_hint(error)
        assert not is_retryable(error)


@pytest.mark.parametrize("status", ["200", "real"])
def test_unpublished_bots_and_used_up_quotas_have_their_own_errors(status: str) -> None:
    bots = (LocalBot(name="draft", published=False), LocalBot(name="used", quota=0))
    with LocalCoze(bots, error_status=status) as coze:
        for ask in BACKEND_STYLES:
            draft, used = (make_chat(coze, bot) for bot in bots)
            error = catch_error(ask, draft, CozeNotFoundError)
            assert error.code == 4015
            assert "Publish it in Coze" in str(error)
            error = catch_error(ask, used, CozeQuotaError)
            assert error.code == 4028
            assert has_hint(error)


@pytest.mark.parametrize(
    ("fields", "question"),
    [
        ({}, []),
        ({"bot_id": None}, QUESTION),
        ({"response_mode": "poll", "auto_save_history": False}, QUESTION),
        ({"system_message_mode": "raise"}, [("system", "Be brief."), ("human", "Hi")]),
        ({"system_message_mode": "variable"}, [("system", "Be brief."), ("human", "Hi")]),
        ({"system_message_mode": "ignore"}, [("system", "Be brief.")]),
        ({}, [("human", "Hi"), ("ai", "Hello")]),
        ({}, [HumanMessage([{"type": "image", "url": "https://h/i.png"}])]),
        ({}, [("human", "Hi")] + [("system", "x")] * 100 + [("human", "Hi")]),
        ({"parameters": {"x": object()}}, QUESTION),
        ({"custom_variables": {"x": object()}}, QUESTION),
    ],
)
def test_invalid_input_is_refused_before_any_request(
    coze: LocalCoze,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    question: Any,
) -> None:
    monkeypatch.delenv("COZE_BOT_ID", raising=False)
    for ask in BACKEND_STYLES:
        catch_error(ask, make_chat(coze, **fields), CozeInvalidRequestError, question)
    assert coze.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "api.coze.cn",
        "ftp://api.coze.cn",
        "",
        "https://",
        "https://api..coze.cn",
        "https://.coze.cn",
        f"https://{'a' * 64}.cn",
        f"https://{'例' * 60}.cn",
        "https://xn--a",
        "https://xn--a.cn",
        "https://☃.cn",
        "https://api coze.cn",
        "https://api.co\tze.cn",
        "https://a<b.cn",
        "https://1.2.3.400",
        "https://[::1",
        "https://api.coze.cn:99999",
        "https://api.coze.cn:0",
        "https://api.coze.cn:-1",
        "https://api.coze.cn:abc",
    ],
)
def test_base_url_is_checked_at_once(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url must be an address like") as caught:
        ChatCoze(bot_id="1", api_key="pat_x", base_url=url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://API.coze.cn",
        "http://127.0.0.1:8888",
        "http://[::1]:8888",
        "http://coze_studio:8888/prefix",
        "https://例子.cn",
        "https://xn--fsqu00a.cn",
        "https://gateway.example/@team",
    ],
)
def test_addresses_of_all_kinds_are_accepted(url: str) -> None:
    assert ChatCoze(bot_id="1", api_key="pat_x", base_url=f" {url}/ ").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@host",
        "https://user:hunter/2@host",
        "user:hunter2@host",
        "https://user:hunter2@ho..st",
        "https://host?key=hunter2",
        "https://host:99999/a#hunter2",
    ],
)
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url must not contain") as caught:
        ChatCoze(bot_id="1", api_key="pat_x", base_url=url)
    assert "hunter" not in str(caught.value)


def test_tokens_with_invalid_characters_are_refused(coze: LocalCoze) -> None:
    for token in ("pat_“quoted”", "pat_two words", "pat_line\nbreak", " "):
        catch_error(invoke, make_chat(coze, api_key=token), CozeAuthenticationError)


# --- The server misbehaves ------------------------------------------------------------------------

HARMLESS = [
    "no_deltas",
    "no_done",
    "duplicate_completed",
    "unknown_event",
    "unknown_type",
    "unknown_status",
    "unknown_msg_type",
    "plain_verbose",
    "recall_null",
    "recall_split",
    "recall_broken",
    "space",
    "split_data",
    "comments",
    "ping",
    "ping_no_data",
    "crlf",
    "bom",
    "one_chunk",
    "one_byte",
    "crlf,bom,comments,split_data,space,one_byte",
]


def check_answer(message: AIMessage) -> None:
    assert message.content == ANSWER
    assert message.response_metadata["follow_up_questions"] == ["还有呢？"]
    assert message.usage_metadata is not None


@pytest.mark.parametrize("fault", HARMLESS)
def test_unusual_streams_leave_the_answer_whole(coze: LocalCoze, fault: str) -> None:
    with serve_with_faults(coze, fault) as base_url:
        for ask in BACKEND_STYLES:
            check_answer(ask(make_chat(coze, base_url=base_url), QUESTION))


@pytest.mark.parametrize("fault", ["recall_empty", "recall_missing", "recall_late", "idle=0.05"])
def test_harmless_faults_leave_the_answer_whole(coze: LocalCoze, fault: str) -> None:
    coze.faults = fault
    for ask in BACKEND_STYLES:
        check_answer(ask(make_chat(coze), QUESTION))


def test_a_failed_search_is_warned_about(coze: LocalCoze) -> None:
    coze.faults = "recall_failed"
    for ask in BACKEND_STYLES:
        with pytest.warns(UserWarning, match="failed \\(status_code 708882003\\)"):
            message = ask(make_chat(coze), QUESTION)
        assert message.content == ANSWER
        assert message.response_metadata["knowledge_recall"] == []


CUTS = ["cut_mid_line", "cut_at=1", "cut_at=900", "cut_at=0"]


@pytest.mark.parametrize("fault", ["no_terminal", "cut_utf8"])
def test_a_stream_without_its_end_is_never_a_success(coze: LocalCoze, fault: str) -> None:
    with serve_with_faults(coze, fault) as base_url:
        for ask in BACKEND_STYLES:
            model = make_chat(coze, base_url=base_url, max_retries=0)
            assert has_hint(catch_error(ask, model, CozeStreamError))
    assert len(coze.requests) == len(BACKEND_STYLES)


@pytest.mark.parametrize("end", ["", ",cut_reset"])
@pytest.mark.parametrize("fault", CUTS)
def test_a_cut_stream_is_never_a_success(coze: LocalCoze, fault: str, end: str) -> None:
    coze.faults = fault + end
    for ask in BACKEND_STYLES:
        error = catch_error(ask, make_chat(coze, max_retries=0), CozeStreamError)
        assert has_hint(error)
    assert len(coze.requests) == len(BACKEND_STYLES)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_delta_that_is_not_json_is_never_left_out(ask: CallStyle) -> None:
    broken = make_delta("1", "not ").replace(b'"not "', b'"n"ot "')
    deltas = make_delta("1", "You must ") + broken + make_delta("1", "press the button")
    completed = make_completed("1", "You must not press the button")
    with serve_script(deltas + COMPLETED + DONE) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url, max_retries=0)
        error = catch_error(ask, model, CozeStreamError)
    assert has_hint(error)
    with serve_script(deltas + completed + COMPLETED + DONE) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url)
        # the completed message has the whole text
        assert invoke(model, QUESTION).content == "You must not press the button"


HEARTBEATS: list[bytes | float] = [b":\n\n", 0.05] * 200


@pytest.mark.parametrize("rest", [[20.0], HEARTBEATS], ids=["silence", "heartbeats"])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_completed_turn_waits_only_a_short_time_for_done(
    ask: CallStyle, rest: list[bytes | float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LAST_EVENT_SECONDS", 0.3)
    with serve_script(TURN[: TURN.index(b"event:done")], *rest, chunked=True) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url)
        begin = time.monotonic()
        assert ask(model, QUESTION).content == TURN_TEXT
        assert 0.25 < time.monotonic() - begin < 3
        assert server.client_left.wait(3)


@pytest.mark.parametrize("rest", [[20.0], HEARTBEATS], ids=["silence", "heartbeats"])
@pytest.mark.parametrize("split", [0, TURN.index(b"event:done")])
@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_turn_is_over_when_done_has_arrived(
    ask: CallStyle, split: int, rest: list[bytes | float]
) -> None:
    reads = [TURN[:split], 0.05, TURN[split:]] if split else [TURN]
    with serve_script(*reads, *rest, chunked=True) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url)
        begin = time.monotonic()
        assert ask(model, QUESTION).content == TURN_TEXT
        assert time.monotonic() - begin < 3
        assert server.client_left.wait(3)


def test_chunks_before_the_cut_are_kept(coze: LocalCoze) -> None:
    coze.faults = "cut_mid_line"
    came: list[Any] = []
    with pytest.raises(CozeStreamError) as info:
        came.extend(make_chat(coze).stream(QUESTION))
    assert [chunk.additional_kwargs for chunk in came] == [{"reasoning_content": "想一想。"}]
    assert came[0].response_metadata["chat_id"] == info.value.chat_id
    assert info.value.conversation_id
    assert info.value.logid


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("error=4000", CozeInvalidRequestError, 4000),
        ("error=4013", CozeServerError, 4013),
        ("error=5000", CozeServerError, 5000),
        ("error=702242001", CozeError, 702242001),
        ("http_502", CozeServerError, None),
        ("close", CozeConnectionError, None),
        ("failed=5000", CozeServerError, 5000),
        ("failed=4028", CozeQuotaError, 4028),
        ("idle=9", CozeTimeoutError, None),
        ("slow_start=9", CozeTimeoutError, None),
    ],
)
def test_failures_are_typed_and_not_repeated(
    coze: LocalCoze, fault: str, kind: type[CozeError], code: int | None
) -> None:
    """A POST that may have started something is never sent twice (design 4.7)."""
    coze.faults = fault
    for ask in BACKEND_STYLES:
        coze.reset()
        error = catch_error(ask, make_chat(coze, timeout=0.3), kind)
        assert error.code == code
        assert has_hint(error)
        assert len(coze.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("empty_body", CozeServerError, None),
        ("failed_then_done", CozeQuotaError, 4028),
        ("failed_bare", CozeChatError, 701231),
        ("error_event", CozeServerError, 5000),
        ("error_event_empty", CozeChatError, None),
        ("json_line", CozeAuthenticationError, 4100),
    ],
)
def test_streams_that_fail_are_typed_and_not_repeated(
    coze: LocalCoze, fault: str, kind: type[CozeError], code: int | None
) -> None:
    with serve_with_faults(coze, fault) as base_url:
        for ask in BACKEND_STYLES:
            coze.reset()
            error = catch_error(ask, make_chat(coze, base_url=base_url), kind)
            assert (error.code, has_hint(error), len(coze.requests)) == (code, True, 1)


@pytest.mark.parametrize("fault", ["close", "slow_start=9"])
def test_requests_that_may_have_started_a_turn_are_not_retryable(
    coze: LocalCoze, fault: str
) -> None:
    coze.faults = fault
    for ask in BACKEND_STYLES:
        with pytest.raises(CozeError) as info:
            ask(make_chat(coze, timeout=0.3), QUESTION)
        assert not is_retryable(info.value)


def check_names_its_turn(ask: CallStyle, model: ChatCoze) -> None:
    error = catch_error(ask, model, type(_get_error(ask, model)))
    assert error.chat_id
    assert error.conversation_id
    assert f"chat_id {error.chat_id}" in str(error)
    assert error.logid
    assert not is_retryable(error)


@pytest.mark.parametrize("fault", ["failed=4028", "idle=9"])
def test_errors_of_a_turn_that_had_started_name_it(coze: LocalCoze, fault: str) -> None:
    coze.faults = fault
    for ask in BACKEND_STYLES:
        check_names_its_turn(ask, make_chat(coze, timeout=0.3))


@pytest.mark.parametrize("fault", ["failed_bare", "error_event"])
def test_error_events_name_the_turn_that_had_started(coze: LocalCoze, fault: str) -> None:
    with serve_with_faults(coze, fault) as base_url:
        for ask in BACKEND_STYLES:
            check_names_its_turn(ask, make_chat(coze, base_url=base_url))


def _get_error(ask: CallStyle, model: ChatCoze) -> CozeError:
    with pytest.raises(CozeError) as info:
        ask(model, QUESTION)
    return info.value


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error=4009", CozeRateLimitError),
        ("error=4016", CozeConversationBusyError),
        ("error=4020", CozeRateLimitError),
        ("http_429=0.01", CozeRateLimitError),
    ],
)
def test_requests_that_have_started_nothing_are_repeated(
    coze: LocalCoze, fault: str, kind: type[CozeError]
) -> None:
    for ask in (invoke, astream, astream_aiohttp):
        coze.reset()
        coze.faults = f"{fault},times=1"
        assert ask(make_chat(coze, max_retries=1), QUESTION).content == ANSWER
        assert len(coze.requests) == 2
        coze.reset()
        coze.faults = fault
        error = catch_error(ask, make_chat(coze, max_retries=1), kind)
        assert is_retryable(error)
        assert len(coze.requests) == 2


def test_a_json_line_that_refuses_is_repeated(coze: LocalCoze) -> None:
    for ask in (invoke, astream, astream_aiohttp):
        with serve_with_faults(coze, "busy_line", times=1) as base_url:
            model = make_chat(coze, base_url=base_url, max_retries=1)
            assert ask(model, QUESTION).content == ANSWER


def test_a_long_retry_after_is_not_waited_for(coze: LocalCoze) -> None:
    coze.faults = "http_429=3600"
    error = catch_error(invoke, make_chat(coze), CozeRateLimitError)
    assert error.retry_after == 3600
    assert len(coze.requests) == 1


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_refused_connection_is_a_retryable_error(ask: CallStyle) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        model = ChatCoze(
            bot_id="1", api_key="pat_x", base_url=f"http://127.0.0.1:{port}", max_retries=0
        )
        error = catch_error(ask, model, CozeConnectionError)
        assert has_hint(error)
        assert is_retryable(error)


@pytest.mark.parametrize("ask", BACKEND_STYLES)
def test_a_reply_that_is_no_http_shows_no_token(ask: CallStyle) -> None:
    with serve_script(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", headless=True) as server:
        model = ChatCoze(bot_id="1", api_key="pat_x", base_url=server.base_url)
        error = catch_error(ask, model, CozeConnectionError)
    assert f"lost: 127.0.0.1:{server.port}, without a proxy (RemoteProtocolError: " in str(error)
    assert error.may_have_started
    assert len(server.paths) == 1
    cause: BaseException | None = error
    while cause is not None:  # tools that report errors show their causes too
        assert "pat_x" not in f"{cause!r}{cause.args!r}"
        cause = cause.__cause__ or cause.__context__


# --- Polling --------------------------------------------------------------------------------------


def make_poller(coze: LocalCoze, **fields: Any) -> ChatCoze:
    return make_chat(coze, response_mode="poll", **fields)


def test_polling_for_too_long_raises_a_timeout() -> None:
    slow = LocalBot(lambda _: "x", name="slow", delay=3)
    with LocalCoze(slow) as server:
        for ask in SINGLE_STYLES:
            model = make_poller(server, poll_timeout=0.1)
            error = catch_error(ask, model, CozeTimeoutError)
            assert error.chat_id
            assert "poll_timeout=0.1" in str(error)


@pytest.mark.parametrize("path", ["/v3/chat/retrieve", "/v3/chat/message/list"])
@pytest.mark.parametrize("fault", ["http_502", "close", "error=5000", "http_429=0.01"])
def test_a_get_that_fails_is_repeated(coze: LocalCoze, fault: str, path: str) -> None:
    for ask in SINGLE_STYLES:
        coze.reset()
        coze.faults = f"{fault},times=1,on={path}"
        assert ask(make_poller(coze), QUESTION).content == ANSWER


def test_a_get_that_keeps_failing_names_the_turn(coze: LocalCoze) -> None:
    coze.faults = "error=5000,on=/v3/chat/retrieve"
    error = catch_error(invoke, make_poller(coze, max_retries=0), CozeServerError)
    assert error.chat_id
    assert error.conversation_id


def test_a_polled_turn_that_failed_has_its_code() -> None:
    from langchain_coze.local import Fail  # noqa: PLC0415

    def fails(_: str) -> Any:
        yield Fail(4028, "quota")

    bot = LocalBot(fails, name="fails")
    with LocalCoze(bot) as server:
        for ask in (*SINGLE_STYLES, stream):
            error = catch_error(ask, make_poller(server), CozeQuotaError)
            assert error.code == 4028
            assert error.chat_id


def test_the_model_name_is_the_bot_id(coze: LocalCoze) -> None:
    assert invoke(make_chat(coze), QUESTION).response_metadata["model_name"] == BOT.bot_id
