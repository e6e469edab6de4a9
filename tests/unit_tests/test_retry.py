"""Requests with retries and polling, step by step, without I/O."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import pytest

from langchain_coze._api.chats import (
    build_chat_request,
    cancel_chat,
)
from langchain_coze._api.effects import Close, Flow, Read, RefreshToken, Reply, Request, Sleep
from langchain_coze._api.models import Chat
from langchain_coze._api.polling import Polling, poll_chat, read_started_chat
from langchain_coze._api.replies import find_error
from langchain_coze._api.retry import RetryPolicy, send_with_retry
from langchain_coze.errors import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeRateLimitError,
    CozeServerError,
    CozeTimeoutError,
)

POST = Request(method="POST", path="/v3/chat", body={})
GET = Request(method="GET", path="/v3/chat/retrieve")
STREAM = Request(method="POST", path="/v3/chat", body={}, stream=True)
OK = Reply(status_code=200, body=b'{"code":0,"data":{"id":"7"}}')
UNREACHABLE = CozeConnectionError("no route")
BROKEN = CozeConnectionError("reset", may_have_started=True)


def make_refusal(code: int, status: int = 200, **headers: str) -> Reply:
    body = b'{"code":%d,"msg":"m","detail":{"logid":"L"}}' % code
    return Reply(status_code=status, body=body, headers=headers)


class FakeStream:
    def __init__(self, *reads: bytes) -> None:
        self.reads = [*reads, None]
        self.buffered = b""


def drive(flow: Generator[Any, Any, Any], answers: list[Any]) -> tuple[list[Any], Any]:
    """Answer requests from a list; return all commands and the result or the error."""
    commands: list[Any] = []
    pending = iter(answers)
    result: Any = None
    try:
        command = next(flow)
        while True:
            commands.append(command)
            if isinstance(command, Read):
                command = flow.send(command.stream.reads.pop(0))
                continue
            answer = next(pending) if isinstance(command, (Request, RefreshToken)) else None
            command = flow.throw(answer) if isinstance(answer, CozeError) else flow.send(answer)
    except StopIteration as done:
        result = done.value
    except CozeError as error:
        result = error
    assert next(pending, None) is None
    return commands, result


@pytest.mark.parametrize(
    ("request_", "failure", "repeated"),
    [
        (POST, UNREACHABLE, True),
        (POST, BROKEN, False),
        (GET, BROKEN, True),
        (POST, make_refusal(4009), True),
        (POST, make_refusal(4016), True),
        (POST, make_refusal(4020), True),
        (POST, Reply(status_code=429, body=b"slow down"), True),
        (POST, make_refusal(4013), False),
        (POST, make_refusal(5000), False),
        (POST, Reply(status_code=502, body=b"<html>"), False),
        (POST, Reply(status_code=503, body=b""), False),
        (GET, make_refusal(4013), True),
        (GET, make_refusal(5000), True),
        (GET, Reply(status_code=502, body=b"<html>"), True),
        (POST, make_refusal(4000), False),
        (GET, make_refusal(4000), False),
        (GET, make_refusal(4200), False),
        (STREAM, make_refusal(4009), True),
        (STREAM, make_refusal(5000), False),
    ],
)
def test_only_requests_that_started_nothing_are_retried(
    request_: Request, failure: Any, *, repeated: bool
) -> None:
    stream = FakeStream(b"event:x\ndata:1\n\n")
    good = Reply(status_code=200, stream=stream) if request_.stream else OK
    answers = [failure, good] if repeated else [failure]
    commands, result = drive(send_with_retry(request_, RetryPolicy(max_retries=2)), answers)
    assert isinstance(result, Reply) == repeated
    assert sum(isinstance(command, Sleep) for command in commands) == repeated


def test_requests_are_retried_at_most_max_retries_times() -> None:
    commands, result = drive(
        send_with_retry(POST, RetryPolicy(max_retries=2)), [make_refusal(4009)] * 3
    )
    assert isinstance(result, CozeRateLimitError)
    pauses = [command.seconds for command in commands if isinstance(command, Sleep)]
    assert len(pauses) == 2
    assert 0.25 <= pauses[0] <= 0.5
    assert 0.5 <= pauses[1] <= 1.0


def test_pauses_double_up_to_8_seconds_with_jitter() -> None:
    for attempt, longest in ((0, 0.5), (1, 1.0), (2, 2.0), (4, 8.0), (9, 8.0)):
        pauses = [RetryPolicy().get_pause(attempt, None) for _ in range(200)]
        assert longest / 2 <= min(pauses) < longest * 0.6
        assert longest * 0.9 < max(pauses) <= longest


def test_retry_after_is_honoured_in_both_forms() -> None:
    commands, _ = drive(
        send_with_retry(POST, RetryPolicy()), [make_refusal(4009, 429, **{"retry-after": "7"}), OK]
    )
    assert commands[1] == Sleep(7.0)
    past = {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}
    commands, _ = drive(send_with_retry(POST, RetryPolicy()), [make_refusal(4009, 429, **past), OK])
    assert commands[1] == Sleep(0.0)
    commands, result = drive(
        send_with_retry(POST, RetryPolicy()), [make_refusal(4009, 429, **{"retry-after": "61"})]
    )
    assert result.retry_after == 61
    odd = {"retry-after": "soon"}
    commands, _ = drive(send_with_retry(POST, RetryPolicy()), [make_refusal(4009, 429, **odd), OK])
    assert 0 < commands[1].seconds <= 0.5


@pytest.mark.parametrize("code", [4100, 700012006])
def test_a_refused_token_is_renewed_once(code: int) -> None:
    commands, result = drive(send_with_retry(POST, RetryPolicy()), [make_refusal(code), True, OK])
    assert [type(command) for command in commands] == [Request, RefreshToken, Request]
    assert isinstance(result, Reply)
    commands, result = drive(
        send_with_retry(POST, RetryPolicy()), [make_refusal(code), True, make_refusal(code)]
    )
    assert isinstance(result, CozeAuthenticationError)
    commands, result = drive(send_with_retry(POST, RetryPolicy()), [make_refusal(code), False])
    assert isinstance(result, CozeAuthenticationError)


def test_a_stream_is_looked_at_up_to_its_first_event() -> None:
    stream = FakeStream(b"event:conversa", b"tion.chat.created\n", b"data:{}\n\nevent:x", b"more")
    reply = Reply(status_code=200, stream=stream)
    _, result = drive(send_with_retry(STREAM, RetryPolicy()), [reply])
    assert result.stream is stream
    assert stream.buffered == b"event:conversation.chat.created\ndata:{}\n\nevent:x"
    assert stream.reads == [b"more", None]


@pytest.mark.parametrize(
    "sent",
    [b'{"code":4100,"msg":"authentication is invalid"}', b'event:error\ndata:{"code":4100}\n\n'],
)
def test_an_error_in_place_of_the_first_event_is_that_error(sent: bytes) -> None:
    stream = FakeStream(sent)
    commands, result = drive(
        send_with_retry(STREAM, RetryPolicy()), [Reply(status_code=200, stream=stream), False]
    )
    assert isinstance(result, CozeAuthenticationError)
    assert Close(stream) in commands


def test_an_empty_stream_is_left_to_the_turn() -> None:
    stream = FakeStream()
    _, result = drive(
        send_with_retry(STREAM, RetryPolicy()), [Reply(status_code=200, stream=stream)]
    )
    assert result.stream is stream


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    ("path", "is_studio", "hint"),
    [
        ("/v1/workflows", True, "does not offer a list of workflows (/v1/workflows): self-hosted"),
        ("/v1/workflows", False, "Check base_url"),
        ("/v3/chat/submit_tool_outputs", True, "does not offer results of tool calls"),
        ("/v3/chat/submit_tool_outputs", False, "Check base_url"),
        ("/v3/chat", True, "Check base_url"),  # every Studio has it
        ("/v3/chat", False, "Check base_url"),
    ],
)
def test_the_meaning_of_a_missing_route_depends_on_the_server(
    status: int, path: str, hint: str, *, is_studio: bool
) -> None:
    reply = Reply(status_code=status, body=b"page not found")
    reply.is_studio = is_studio
    flow = send_with_retry(Request(method="POST", path=path), RetryPolicy(0))
    _, error = drive(flow, [reply])
    assert isinstance(error, CozeNotFoundError)
    assert hint in str(error.hint)


def test_studio_itself_reports_a_missing_route() -> None:
    body = b'{"code":401,"msg":"missing session_key in cookie"}'  # recording 11
    reply = Reply(status_code=401, body=body)
    flow = send_with_retry(Request(method="GET", path="/v1/workflows"), RetryPolicy(0))
    _, error = drive(flow, [reply])
    assert isinstance(error, CozeNotFoundError)
    assert "does not offer a list of workflows" in str(error.hint)


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (make_refusal(4000), CozeInvalidRequestError, 4000),
        (make_refusal(4100, 401), CozeAuthenticationError, 4100),
        (make_refusal(400, 400), CozeInvalidRequestError, 400),  # Studio
        (make_refusal(500, 500), CozeServerError, 500),  # Studio
        (Reply(status_code=404, body=b"404 page not found"), CozeNotFoundError, None),
        (Reply(status_code=200, body=b""), CozeServerError, None),
        (Reply(status_code=200, body=b"<html>hi</html>"), CozeInvalidRequestError, None),
        (Reply(status_code=302, body=b""), CozeInvalidRequestError, None),
        (
            Reply(status_code=400, body=b'{"error_code":"invalid_client","error_message":"no"}'),
            CozeInvalidRequestError,
            None,
        ),
        (Reply(status_code=200, body=b'{"code":"720702204","msg":"m"}'), CozeError, 720702204),
    ],
)
def test_replies_with_errors_give_typed_errors(
    reply: Reply, kind: type[CozeError], code: int | None
) -> None:
    error = find_error(reply, stream=False)
    assert isinstance(error, kind)
    assert error.code == code
    assert error.status_code == reply.status_code


@pytest.mark.parametrize(
    "body", [b'{"code":0}', b'{"msg":"","execute_id":"7"}', b'{"code":null}', b'{"code":"0"}']
)
def test_replies_without_an_error_give_none(body: bytes) -> None:
    assert find_error(Reply(status_code=200, body=body), stream=False) is None


def test_json_instead_of_a_requested_stream_is_an_error() -> None:
    assert isinstance(find_error(OK, stream=True), CozeInvalidRequestError)


def test_the_log_id_is_read_from_any_of_its_places() -> None:
    for reply in (
        make_refusal(4000),
        make_refusal(4000, 200, **{"x-tt-logid": "L"}),
        make_refusal(4000, 200, **{"x-log-id": "L"}),
    ):
        error = find_error(reply, stream=False)
        assert error is not None
        assert error.logid == "L"


def test_a_token_in_an_answer_goes_nowhere() -> None:
    body = b'{"code":4100,"msg":"token pat_abcdef123456 (Bearer czs_abcdef123456) is invalid"}'
    error = find_error(Reply(status_code=200, body=body), stream=False)
    assert error is not None
    assert "abcdef" not in f"{error} {error!r} {error.response} {vars(error)}"


def test_a_sent_token_of_any_form_is_masked() -> None:
    for body in (b'{"code":4100,"msg":"bad opaque-gateway-key"}', b"bad opaque-gateway-key"):
        error = find_error(Reply(401, body=body, token="opaque-gateway-key"), stream=False)
        assert "opaque" not in f"{error} {error!r} {vars(error)}"
    stream = FakeStream(b'{"code":4000,"msg":"bad opaque-gateway-key"}')
    _, error = drive(
        send_with_retry(STREAM, RetryPolicy()),
        [Reply(200, stream=stream, token="opaque-gateway-key")],
    )
    assert "opaque" not in f"{error} {error!r} {vars(error)}"


def test_every_error_of_a_reply_has_a_hint() -> None:
    for reply in (Reply(200), Reply(302), Reply(418), Reply(200, body=b"{"), make_refusal(701231)):
        error = find_error(reply, stream=False)
        assert error is not None
        assert error.hint


def test_chat_request_has_the_conversation_in_the_query() -> None:
    request = build_chat_request({"stream": True}, "c1")
    assert request.query == {"conversation_id": "c1"}
    assert request.stream
    assert request.body == {"stream": True}
    assert build_chat_request({"stream": False}).query == {}


def test_a_cancel_names_the_chat() -> None:
    chat = Chat(id="7", conversation_id="9")
    canceled = b'{"ChatV3ChatDetail":{"id":"7","status":"cancelled"},"BaseResp":null}'  # Studio
    commands, state = drive(
        cancel_chat(chat, RetryPolicy()), [Reply(status_code=200, body=canceled)]
    )
    assert commands[0].path == "/v3/chat/cancel"
    assert commands[0].body == {"conversation_id": "9", "chat_id": "7"}
    assert state.status == "canceled"


def make_state_reply(status: str) -> Reply:
    body = b'{"code":0,"data":{"id":"7","conversation_id":"9","status":"%s"}}' % status.encode()
    return Reply(status_code=200, body=body)


LISTED = Reply(status_code=200, body=b'{"code":0,"data":[{"id":"1"}]}')


def start_and_poll(polling: Polling) -> Flow[Any]:
    policy = RetryPolicy(max_retries=0)
    reply = yield from send_with_retry(POST, policy)
    return (yield from poll_chat(read_started_chat(POST, reply), reply.logid, policy, polling))


def run_polling(*answers: Any, **options: Any) -> tuple[list[Any], Any]:
    return drive(start_and_poll(Polling(**options)), list(answers))


@pytest.mark.parametrize("status", ["completed", "requires_action", "required_action"])
def test_polling_ends_with_the_messages(status: str) -> None:
    commands, (raw, messages) = run_polling(
        make_state_reply("in_progress"),
        make_state_reply("created"),
        make_state_reply(status),
        LISTED,
    )
    sent = [command.path for command in commands if isinstance(command, Request)]
    assert sent == [
        "/v3/chat",
        "/v3/chat/retrieve",
        "/v3/chat/retrieve",
        "/v3/chat/message/list",
    ]
    assert [command for command in commands if isinstance(command, Sleep)] == [Sleep(1.0)] * 2
    assert raw["status"] == status
    assert messages == [{"id": "1"}]


@pytest.mark.parametrize("status", ["failed", "canceled", "cancelled", "expired"])
def test_polling_ends_on_every_bad_end(status: str) -> None:
    _, (raw, messages) = run_polling(make_state_reply("in_progress"), make_state_reply(status))
    assert raw["status"] == status
    assert messages == []


def test_polling_knows_studio_s_list() -> None:
    listed = Reply(status_code=200, body=b'{"Messages":[{"id":"1"}],"code":0,"msg":""}')
    assert run_polling(make_state_reply("completed"), listed)[1][1] == [{"id": "1"}]


def test_polling_gives_up_in_time() -> None:
    now = itertools.count(0, 4)
    commands, error = run_polling(
        make_state_reply("in_progress"),
        make_state_reply("in_progress"),
        make_state_reply("in_progress"),
        timeout=10,
        clock=lambda: next(now),
    )
    assert isinstance(error, CozeTimeoutError)
    assert (error.chat_id, error.conversation_id) == ("7", "9")
    assert [c.seconds for c in commands if isinstance(c, Sleep)] == [1.0, 1.0]


def test_a_reply_without_a_chat_id_is_not_polled() -> None:
    commands, error = run_polling(Reply(200, {"x-tt-logid": "L"}, b'{"code":0,"msg":""}'))
    assert isinstance(error, CozeServerError)
    assert error.logid == "L"
    assert error.hint
    assert len(commands) == 1


def test_a_question_waits_no_longer_than_the_whole_poll() -> None:
    commands, _ = run_polling(
        make_state_reply("in_progress"), make_state_reply("completed"), LISTED, timeout=7
    )
    (sent,) = [c for c in commands if isinstance(c, Request) and "retrieve" in c.path]
    assert sent.read_timeout is not None
    assert 1.0 <= sent.read_timeout <= 7


def test_the_pauses_of_polling_grow_with_a_limit() -> None:
    pauses = list(itertools.islice(Polling(interval=1.0).iter_pauses(), 60))
    assert pauses[:10] == [1.0] * 10
    assert pauses[10] == 1.0
    assert pauses[20] > 1.5
    assert max(pauses) == 3.0
    assert next(Polling(interval=0.01, min_interval=1.0).iter_pauses()) == 1.0
    assert next(Polling(interval=0.01).iter_pauses()) == 0.01
    assert max(itertools.islice(Polling(interval=5).iter_pauses(), 60)) == 5
