"""How a turn ends: cut, failed, broken, polled, ended twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze.errors import (
    CozeChatError,
    CozeInvalidRequestError,
    CozeQuotaError,
    CozeServerError,
    CozeStreamError,
)
from tests.unit_tests.answer_streams import (
    BOT,
    COMPLETED,
    DONE,
    TURNS,
    make_completed,
    make_delta,
    parse_chunks,
    read_stream,
    read_whole,
    summarize,
)
from tests.unit_tests.wire_fixtures import (
    CHATFLOW_FAILED,
    FAILED,
    REQUIRES_ACTION,
    STUDIO_END,
    TURN,
    TURN_TEXT,
)


@pytest.mark.parametrize("last", [b"", make_completed("1", "")])
@pytest.mark.parametrize("as_whole", [False, True])
def test_a_delta_that_is_not_json_is_an_error_without_the_completed_text(
    last: bytes, *, as_whole: bool
) -> None:
    broken = make_delta("1", "not ").replace(b'"not "', b'"n"ot "')
    reads = [make_delta("1", "You must "), broken, make_delta("1", "press"), last, COMPLETED, DONE]
    with pytest.raises(CozeStreamError, match="not JSON") as caught:
        parse_chunks(reads, whole=as_whole)
    assert caught.value.logid == "log1"


@pytest.mark.parametrize("before", range(1937, 1956, 3))
def test_a_token_at_the_cut_of_an_error_body_is_masked_first(before: int) -> None:
    token = "opaque-gateway-key"
    failed = {"code": 5000, "msg": "no", "padding": "x" * before, "echo": token}
    turn = FastAnswerParser(BOT, token=token)
    with pytest.raises(CozeServerError) as caught:
        turn.feed(f"event:conversation.chat.failed\ndata:{json.dumps(failed)}\n\n".encode())
    assert caught.value.response is not None
    assert token[:4] not in caught.value.response.text


@pytest.mark.parametrize("content_type", [{}, [], 7])
def test_a_content_type_of_any_kind_is_tolerated(content_type: Any) -> None:
    data = make_delta("1", "a", content_type=content_type) + COMPLETED + DONE
    assert read_stream(data).content == read_whole(data).content == "a"


@pytest.mark.parametrize("extra", [{"content_type": "card"}, {"type": "brand_new"}])
def test_deltas_of_cards_and_unknown_types_are_never_content(extra: dict[str, str]) -> None:
    other = make_delta("1", '{"card":1}', **extra)
    data = [make_delta("1", "a"), make_delta("1", "b"), other, make_delta("1", "c"), COMPLETED]
    assert read_stream(*data, DONE).content == "abc"
    assert read_whole(b"".join(data) + DONE).content == "abc"


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("as_whole", [False, True])
def test_a_cut_stream_is_never_a_success(name: str, *, as_whole: bool) -> None:
    data = TURNS[name]
    end = data.rfind(b"event:conversation.chat.")
    end = data.rfind(b"event:done") if end < 0 else data.index(b"\n\n", end) + 2
    for cut in range(0, end, 3):
        with pytest.raises(CozeStreamError) as caught:
            parse_chunks([data[:cut]], whole=as_whole)
        assert "logid log1" in str(caught.value)
        assert "Hint:" in str(caught.value)
        assert "提示：" in str(caught.value)


def test_a_cut_stream_names_its_chat() -> None:
    with pytest.raises(CozeStreamError) as caught:
        parse_chunks([TURN[:900]])
    assert caught.value.chat_id == "7516861354884710427"
    assert caught.value.conversation_id == "7516861345346813988"


def test_a_failed_turn_raises_its_error() -> None:
    with pytest.raises(CozeServerError) as caught:
        parse_chunks([FAILED + DONE])
    assert caught.value.code == 5000
    assert caught.value.chat_id == "7390342853760696354"
    assert caught.value.logid == "log1"
    assert "event interval error" in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "error", "code"),
    [
        (CHATFLOW_FAILED, CozeInvalidRequestError, 720702204),
        (b'event:error\ndata:{"code":4028,"msg":"quota"}\n\n', CozeQuotaError, 4028),
        (b'event:error\ndata:{"code":701231,"msg":"error"}\n\n', CozeChatError, 701231),
        (b"event:error\ndata:{}\n\n", CozeChatError, None),
        (b"event:error\ndata:boom\n\n", CozeChatError, None),
        (b'event:conversation.chat.failed\ndata:{"status":"failed"}\n\n', CozeChatError, None),
        (b'event:conversation.chat.canceled\ndata:{"status":"canceled"}\n\n', CozeChatError, None),
        (b'event:conversation.chat.x\ndata:{"status":"expired"}\n\n', CozeChatError, None),
        (b'{"code":4028,"msg":"quota"}', CozeQuotaError, 4028),
    ],
)
def test_every_form_of_a_failure_raises_its_error(
    sent: bytes, error: type[Exception], code: int | None
) -> None:
    for as_whole in (False, True):
        with pytest.raises(error) as caught:
            parse_chunks([sent], whole=as_whole)
        assert getattr(caught.value, "code", None) == code


def test_an_error_after_the_end_does_not_take_the_answer_back() -> None:
    data = TURN[: -len(DONE)] + b'event:error\ndata:{"code":5000}\n\n' + DONE
    assert read_whole(data).content == TURN_TEXT


@pytest.mark.parametrize("as_whole", [False, True])
@pytest.mark.parametrize("name", ["delta", "completed"])
@pytest.mark.parametrize("payload", [b'{"id":"1","type":"answer","content":"a', b"", b"not json"])
def test_a_broken_piece_of_an_answer_is_an_error(
    name: str, payload: bytes, *, as_whole: bool
) -> None:
    event = b"event:conversation.message.%s\ndata:%s\n\n" % (name.encode(), payload)
    with pytest.raises(CozeStreamError) as caught:
        parse_chunks([TURN[:900], b"\n\n", event + COMPLETED + DONE], whole=as_whole)
    assert caught.value.logid == "log1"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b'"a\\ud83d"', "a\ufffd"),
        (b'"\\udf75b"', "\ufffdb"),
        (b'"\\ud83c\\udf75 \\ud83d"', "🍵 \ufffd"),
        (b'"a\xff"', "a\ufffd"),
    ],
)
@pytest.mark.parametrize("name", ["delta", "completed"])
def test_an_invalid_character_loses_no_other_text(name: str, written: bytes, text: str) -> None:
    event = b'event:conversation.message.%s\ndata:{"id":"1","type":"answer","content":%s}\n\n'
    data = event % (name.encode(), written) + COMPLETED + DONE
    assert read_whole(data).content == text
    assert read_stream(data).content == text


@pytest.mark.parametrize("number", [b'"id":123,', b'"id":null,', b""])
def test_odd_or_missing_ids_repeat_no_text(number: bytes) -> None:
    def event(kind: bytes, text: bytes) -> bytes:
        body = b'{%s"type":"answer","content":"%s","content_type":"text"}' % (number, text)
        return b"event:conversation.message.%s\ndata:%s\n\n" % (kind, body)

    pieces = [event(b"delta", b"a"), event(b"delta", b"b"), event(b"completed", b"ab")]
    assert read_stream(*pieces, COMPLETED + DONE).content == "ab"
    assert read_whole(b"".join(pieces) + COMPLETED + DONE).content == "ab"


def test_answers_without_ids_are_separated_by_their_ends() -> None:
    data = b"".join(
        event.replace(b'"id": "1", ', b"").replace(b'"id":"1",', b"")
        for event in (
            make_delta("1", "a"),
            make_completed("1", "a"),
            make_delta("1", "b"),
            make_completed("1", "b"),
        )
    )
    assert b'"id"' not in data
    assert read_stream(data + COMPLETED + DONE).content == "a\n\nb"
    assert read_whole(data + COMPLETED + DONE).content == "a\n\nb"


@pytest.mark.parametrize("status", ["failed", "canceled", "cancelled", "expired"])
def test_an_end_with_a_failed_status_is_a_failure(status: str) -> None:
    end = b'event:conversation.chat.completed\ndata:{"id":"7","status":"%s"}\n\n'
    with pytest.raises(CozeChatError) as caught:
        parse_chunks([make_delta("1", "a") + end % status.encode() + DONE])
    assert caught.value.chat_id == "7"


@pytest.mark.parametrize("name", [b"requires_action", b"required_action", b"completed"])
def test_every_spelling_of_a_required_action_gives_tool_calls(name: bytes) -> None:
    data = REQUIRES_ACTION.replace(b"chat.requires_action", b"chat." + name)
    message = read_whole(data)
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert len(message.tool_calls) == 1


@pytest.mark.parametrize("sent", [DONE, TURN[:480] + b"\n\n" + DONE])
def test_an_end_without_messages_is_an_error(sent: bytes) -> None:
    with pytest.raises(CozeStreamError):
        parse_chunks([sent])


def test_server_tools_of_studio_are_blocks_too() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "fn", "arguments": '{"q":1}'}}
    data = (
        make_completed("1", json.dumps(call), "function_call")
        + make_completed("2", "x")
        + COMPLETED
    )
    block: Any = read_whole(data + STUDIO_END).content_blocks[0]
    assert (block["name"], block["args"]) == ("fn", {"q": 1})


def test_the_token_that_was_sent_is_masked_in_errors() -> None:
    turn = FastAnswerParser(BOT, token="opaque-gateway-key")
    with pytest.raises(CozeQuotaError) as caught:
        turn.feed(b'event:error\ndata:{"code":4028,"msg":"key opaque-gateway-key"}\n\n')
    assert "opaque" not in str(caught.value)


def test_a_broken_connection_after_the_end_is_ignored() -> None:
    turn = FastAnswerParser(BOT)
    turn.feed(TURN[: -len(DONE)])
    turn.handle_connection_lost(CozeStreamError("reset"))
    (last,) = turn.finish()
    assert last.message.response_metadata["finish_reason"] == "stop"


def test_a_broken_connection_before_the_end_has_the_ids() -> None:
    turn = FastAnswerParser(BOT, logid="log1")
    turn.feed(TURN[:900])
    with pytest.raises(CozeStreamError) as caught:
        turn.handle_connection_lost(CozeStreamError("reset"))
    assert caught.value.chat_id == "7516861354884710427"
    assert caught.value.logid == "log1"


def test_a_polled_turn_is_the_same_message() -> None:
    """Messages of a list come in another order than events do (wire 2.8)."""
    blocks = [block for block in TURN.split(b"\n\n") if b"message.completed" in block]
    messages = [json.loads(block.split(b"\ndata:")[1]) for block in blocks]
    chat = json.loads(TURN.split(b"\n\n")[-3].split(b"\ndata:")[1])
    question = {"id": "1", "role": "user", "type": "question", "content": "运费？"}
    listed = [question, *messages[1:], messages[0]]
    parser = FastAnswerParser(BOT, logid="log1", single_chunk=True)
    parser.read_polled(chat, listed)
    (chunk,) = parser.finish()
    assert isinstance(chunk.message, AIMessageChunk)
    assert summarize(chunk.message) == summarize(read_whole(TURN))


@pytest.mark.parametrize("status", ["failed", "canceled", "cancelled", "expired"])
def test_a_polled_turn_that_failed_raises_its_error(status: str) -> None:
    chat = {"id": "7", "conversation_id": "9", "status": status, "last_error": {"code": 0}}
    with pytest.raises(CozeChatError) as caught:
        FastAnswerParser(BOT, single_chunk=True).read_polled(chat, [])
    assert caught.value.chat_id == "7"


@pytest.mark.parametrize("as_whole", [False, True])
def test_nothing_is_emitted_after_the_end(*, as_whole: bool) -> None:
    turn = FastAnswerParser(BOT, single_chunk=as_whole)
    turn.feed(make_delta("1", "a"))
    turn.feed(make_delta("1", "b", content_type="text"))
    assert turn.feed(DONE)
    assert list(turn.feed(make_delta("1", "c", content_type="text"))) == []
    assert list(turn.feed(make_delta("1", "d") + make_delta("2", "e"))) == []
    assert turn.finish() == []


def test_many_chunks_keep_no_state_in_common() -> None:
    first, second, _ = parse_chunks(
        [make_delta("1", "a"), make_delta("1", "b"), make_completed("1", "ab") + COMPLETED + DONE]
    )
    second.message.response_metadata["x"] = 1
    third = parse_chunks([make_delta("1", "a"), make_delta("1", "b"), DONE])[1]
    assert "x" not in third.message.response_metadata
    assert "x" not in first.message.response_metadata
