from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_coze._chat.answer import AnswerStream
from langchain_coze.errors import (
    CozeChatError,
    CozeInvalidRequestError,
    CozeQuotaError,
    CozeServerError,
    CozeStreamError,
)
from tests.unit_tests.wire_fixtures import (
    CHATFLOW_FAILED,
    FAILED,
    REASONING,
    RECALL,
    REQUIRES_ACTION,
    SERVER_TOOL,
    STUDIO_END,
    TURN,
    TURN_TEXT,
)

BOT = "7497178257633607721"
COMPLETED = (
    b'event:conversation.chat.completed\ndata:{"id":"7","conversation_id":"9","status":"completed",'
    b'"usage":{"token_count":3,"output_count":1,"input_count":2}}\n\n'
)
DONE = b'event:done\ndata:"[DONE]"\n\n'


def make_delta(number: str, text: str, **extra: str) -> bytes:
    body = {"id": number, "role": "assistant", "type": "answer", "content": text, **extra}
    return (
        b"event:conversation.message.delta\ndata:"
        + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        + b"\n\n"
    )


def make_completed(number: str, text: str, kind: str = "answer", **extra: str) -> bytes:
    body = {"id": number, "role": "assistant", "type": kind, "content": text, **extra}
    return b"event:conversation.message.completed\ndata:" + json.dumps(body).encode() + b"\n\n"


def make_card(number: str) -> bytes:
    return make_completed(number, '{"card_type":3}', content_type="card")


# Turns in which the order of events matters. Deltas and completed messages have the same text.
TURNS = {
    "recorded": TURN,
    "recalled": RECALL + TURN,
    "reasoning": REASONING + COMPLETED + DONE,
    "tools first": SERVER_TOOL + TURN,
    "tools between": make_delta("1", "a")
    + make_completed("1", "a")
    + SERVER_TOOL
    + make_delta("2", "b")
    + make_completed("2", "b")
    + COMPLETED
    + DONE,
    "two answers": RECALL
    + make_delta("1", "one")
    + make_delta("1", "!")
    + make_completed("1", "one!")
    + make_delta("2", "two")
    + make_completed("2", "two")
    + COMPLETED
    + DONE,
    "second without deltas": make_delta("1", "one")
    + make_completed("1", "one")
    + make_completed("2", "two")
    + COMPLETED
    + DONE,
    "interleaved": make_delta("1", "a")
    + make_delta("2", "x")
    + make_delta("1", "b")
    + make_delta("2", "y")
    + make_completed("2", "xy")
    + make_completed("1", "ab")
    + COMPLETED
    + DONE,
    "three interleaved, reasoning": make_delta("1", "a")
    + make_delta("2", "", reasoning_content="hm")
    + make_delta("3", "q")
    + make_delta("2", "x")
    + make_completed("3", "q")
    + make_completed("1", "a")
    + make_completed("2", "x")
    + RECALL
    + COMPLETED
    + DONE,
    "card": make_delta("1", "see:")
    + make_completed("1", "see:")
    + make_card("5")
    + COMPLETED
    + DONE,
    "card only": make_card("5") + COMPLETED + DONE,
    "completed twice": make_delta("1", "a")
    + make_completed("1", "a")
    + make_completed("1", "a")
    + COMPLETED
    + DONE,
    "completed missing": make_delta("1", "a") + make_delta("1", "b") + COMPLETED + DONE,
    "interleaved, completed missing": make_delta("1", "a")
    + make_delta("2", "x")
    + make_delta("3", "", reasoning_content="hm")
    + make_delta("3", "y")
    + COMPLETED
    + DONE,
    "reasoning on completed": make_completed("1", "a", reasoning_content="hm") + COMPLETED + DONE,
    "done missing": make_delta("1", "a") + make_completed("1", "a") + COMPLETED,
    "ended by done alone": make_delta("1", "a") + make_completed("1", "a") + DONE,
    "studio": make_delta("1", "a", reasoning_content="")
    + make_completed("1", "a")
    + COMPLETED
    + STUDIO_END,
    "plugin": RECALL + make_delta("1", "wait") + make_completed("1", "wait") + REQUIRES_ACTION,
    "nothing said": COMPLETED + DONE,
    "escapes": make_delta("1", "\u2028 “”\\n\n 👍🏽")
    + make_completed("1", "\u2028 “”\\n\n 👍🏽")
    + COMPLETED
    + DONE,
}


def parse_chunks(reads: list[bytes], *, whole: bool = False) -> list[ChatGenerationChunk]:
    turn = AnswerStream(BOT, logid="log1", single_chunk=whole)
    chunks = [chunk for read in reads for chunk in turn.feed(read)]
    return chunks + turn.finish()


def add_chunks(chunks: list[ChatGenerationChunk]) -> AIMessageChunk:
    message = chunks[0].message
    for chunk in chunks[1:]:
        message = message + chunk.message
    assert isinstance(message, AIMessageChunk)
    return message


def read_stream(*reads: bytes) -> AIMessageChunk:
    return add_chunks(parse_chunks(list(reads)))


def read_whole(data: bytes) -> AIMessage:
    (chunk,) = parse_chunks([data], whole=True)
    message = message_chunk_to_message(chunk.message)
    assert isinstance(message, AIMessage)
    return message


def summarize(message: AIMessage) -> dict[str, Any]:
    return {
        "content": message.content,
        "additional_kwargs": message.additional_kwargs,
        "response_metadata": message.response_metadata,
        "tool_calls": message.tool_calls,
        "usage_metadata": message.usage_metadata,
        "content_blocks": message.content_blocks,
    }


@pytest.mark.parametrize("name", TURNS)
def test_a_stream_adds_up_to_the_whole_turn(name: str) -> None:
    assert summarize(read_stream(TURNS[name])) == summarize(read_whole(TURNS[name]))


@pytest.mark.parametrize("name", TURNS)
def test_every_cut_gives_the_same_message(name: str) -> None:
    data = TURNS[name]
    expected = summarize(read_whole(data))
    for cut in range(0, len(data), 7):
        assert summarize(read_stream(data[:cut], data[cut:])) == expected
    assert summarize(read_stream(*(data[i : i + 1] for i in range(len(data))))) == expected


@given(name=st.sampled_from(sorted(TURNS)), cuts=st.lists(st.integers(min_value=0), max_size=20))
def test_any_split_gives_the_same_message(name: str, cuts: list[int]) -> None:
    data = TURNS[name]
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    reads = [data[a:b] for a, b in itertools.pairwise(places)]
    assert summarize(read_stream(*reads)) == summarize(read_whole(data))


@pytest.mark.parametrize("name", TURNS)
def test_blocks_of_streamed_chunks_add_up_as_langchain_merges_them(name: str) -> None:
    """Like `output_version="v1"`: the content of each chunk becomes its blocks, then they merge."""
    message = None
    for chunk in parse_chunks([TURNS[name][i : i + 200] for i in range(0, len(TURNS[name]), 200)]):
        part = chunk.message
        part = part.model_copy(
            update={
                "content": part.content_blocks,
                "response_metadata": {**part.response_metadata, "output_version": "v1"},
            }
        )
        message = part if message is None else message + part
    assert isinstance(message, AIMessageChunk)
    blocks = [
        {key: value for key, value in block.items() if key != "index"}
        for block in message.content_blocks
    ]
    assert blocks == read_whole(TURNS[name]).content_blocks


@given(
    texts=st.lists(st.text(max_size=12), min_size=1, max_size=12),
    escape=st.booleans(),
    together=st.booleans(),
)
def test_any_texts_arrive_as_they_were_sent(
    texts: list[str], *, escape: bool, together: bool
) -> None:
    """Plain deltas are read by their bytes: quotes, escapes and odd characters must not matter."""
    text = "".join(texts)
    end = make_completed("1", text) + COMPLETED + DONE
    for separators in ((", ", ": "), (",", ":")):
        sent = []
        for part in texts:
            body = {"id": "1", "role": "assistant", "type": "answer", "content": part}
            body |= {"content_type": "text", "chat_id": "7"}
            payload = json.dumps(body, ensure_ascii=escape, separators=separators)
            event = f"event:conversation.message.delta\ndata:{payload}\n\n"
            sent.append(event.encode("utf-8", "replace"))
        whole_reads = [b"".join(sent), end] if together else [*sent, end]
        message = read_stream(*whole_reads)
        if escape:
            assert message.content == text
        else:  # lone surrogates have no UTF-8 form
            assert message.content == text.encode("utf-8", "replace").decode()


def test_a_delta_that_only_looks_plain_is_read() -> None:
    plain = make_delta("1", "a", content_type="text")
    thinks = make_delta("1", "b", content_type="text", reasoning_content="hm")
    other = make_delta("2", "c", content_type="text")
    raw_line_end = plain.replace(b'"content":"a"', b'"content":"a\n"')
    turn = AnswerStream(BOT)
    for _ in range(3):
        assert [c.text for c in turn.feed(plain)] == ["a"]
    (chunk,) = turn.feed(thinks)
    assert (chunk.text, chunk.message.additional_kwargs["reasoning_content"]) == ("b", "hm")
    assert turn.feed(other) == []
    assert turn.feed(plain.replace(b'"content":"a"', b'"content":""')) == []
    assert [c.text for c in turn.feed(plain + plain)] == ["aa"]
    assert [c.text for c in turn.feed(plain.replace(b'"a"', b'"\\u0026"'))] == ["&"]
    with pytest.raises(CozeStreamError):
        turn.feed(raw_line_end)


def test_a_recorded_turn_gives_text_metadata_and_usage() -> None:
    message = read_stream(TURN)
    assert message.content == TURN_TEXT
    assert message.additional_kwargs == {}
    assert message.response_metadata == {
        "model_provider": "coze",
        "model_name": BOT,
        "logid": "log1",
        "conversation_id": "7516861345346813988",
        "chat_id": "7516861354884710427",
        "section_id": "7516861345346813988",
        "finish_reason": "stop",
        "follow_up_questions": ["提供一些处理退货运费的话术"],
        "knowledge_recall": [],
    }
    assert message.usage_metadata == {
        "input_tokens": 1761,
        "output_tokens": 1334,
        "total_tokens": 3095,
        "input_token_details": {"cache_read": 0},
    }
    assert message.content_blocks == [{"type": "text", "text": TURN_TEXT}]


def test_ids_stand_on_the_first_chunk_and_the_outcome_on_the_last() -> None:
    first, *between, last = parse_chunks([TURN[i : i + 300] for i in range(0, len(TURN), 300)])
    assert first.message.response_metadata["chat_id"] == "7516861354884710427"
    assert first.message.response_metadata["logid"] == "log1"
    assert first.text
    assert "finish_reason" not in first.message.response_metadata
    assert all(c.message.response_metadata == {"model_provider": "coze"} for c in between)
    assert isinstance(last.message, AIMessageChunk)
    assert last.message.chunk_position == "last"
    assert "chat_id" not in last.message.response_metadata
    assert last.message.usage_metadata is not None


def test_deltas_of_one_read_are_one_chunk() -> None:
    chunks = parse_chunks(
        [make_delta("1", "a") + make_delta("1", "b"), make_completed("1", "ab") + COMPLETED + DONE]
    )
    assert [chunk.text for chunk in chunks] == ["ab", ""]


def test_the_last_chunk_comes_with_done_and_not_later() -> None:
    turn = AnswerStream(BOT)
    turn.feed(TURN[: -len(DONE)])
    (last,) = turn.feed(DONE)
    assert isinstance(last.message, AIMessageChunk)
    assert last.message.chunk_position == "last"
    assert turn.finish() == []


def test_interleaved_answers_are_streamed_in_order() -> None:
    message = read_whole(TURNS["three interleaved, reasoning"])
    assert message.content == "a\n\nx\n\nq"
    assert [block["type"] for block in message.content_blocks] == [
        "text",
        "reasoning",
        "text",
        "text",
    ]
    texts = [block for block in message.content_blocks if block["type"] == "text"]
    assert [block["text"] for block in texts] == ["a", "x", "q"]
    assert ["annotations" in block for block in texts] == [False, False, True]


def test_the_first_answer_is_streamed_while_another_waits() -> None:
    turn = AnswerStream(BOT)
    assert [c.text for c in turn.feed(make_delta("1", "a"))] == ["a"]
    assert turn.feed(make_delta("2", "x")) == []
    assert [c.text for c in turn.feed(make_delta("1", "b"))] == ["b"]
    assert [c.text for c in turn.feed(make_completed("1", "ab"))] == ["\n\nx"]
    assert [c.text for c in turn.feed(make_delta("2", "y"))] == ["y"]


def test_reasoning_stands_beside_the_answer() -> None:
    message = read_whole(REASONING + COMPLETED + DONE)
    assert message.content == "\n\n你好"
    assert message.additional_kwargs == {"reasoning_content": "好的，用户"}
    assert message.content_blocks == [
        {"type": "reasoning", "reasoning": "好的，用户"},
        {"type": "text", "text": "\n\n你好"},
    ]


def test_server_tools_are_blocks_with_matching_ids() -> None:
    call, result, text = read_whole(TURNS["tools first"]).content_blocks
    assert call == {
        "type": "server_tool_call",
        "id": "71",
        "name": "toutiaosousuo-search",
        "args": {"input_query": "coze"},
    }
    assert result == {
        "type": "server_tool_result",
        "tool_call_id": "71",
        "status": "success",
        "output": "found",
    }
    assert text == {"type": "text", "text": TURN_TEXT}


def test_cards_stay_out_of_the_text() -> None:
    message = read_whole(TURNS["card"])
    assert message.content == "see:"
    assert message.content_blocks[1] == {
        "type": "non_standard",
        "value": {"type": "card", "content": {"card_type": 3}},
    }


def test_sources_are_cited_once_each_on_the_last_answer() -> None:
    again = RECALL.replace(b"7516861350000000001", b"7516861350000000002")
    message = read_whole(RECALL + again + TURN)
    block: Any
    (block,) = message.content_blocks
    (citation,) = block["annotations"]
    assert citation["url"] == "https://h/p?a=1&b=2"
    assert citation["title"] == "kb_doc"
    assert citation["cited_text"] == "text"
    assert [c["metadata"]["rank"] for c in message.response_metadata["knowledge_recall"]] == [1, 2]


def test_a_local_plugin_gives_tool_calls() -> None:
    message = read_stream(TURNS["plugin"])
    assert message.tool_calls == [
        {
            "name": "local_data_assistant",
            "args": {"location": "南京", "type": 0},
            "id": "BUJJF0dAQ0NAEBVeQkVKEV5HFURFXhFCEhFeFxdHShcSQEtFSxYRSUI=",
            "type": "tool_call",
        }
    ]
    assert message.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "verbose",
    [
        {"msg_type": "interrupt", "data": ""},
        {"msg_type": "generate_answer_finish", "data": '{"finish_reason":1}'},
    ],
)
def test_an_interrupt_is_in_the_metadata(verbose: dict[str, str]) -> None:
    data = (
        make_completed("1", "Which?") + make_completed("2", json.dumps(verbose), "verbose") + DONE
    )
    assert read_whole(data).response_metadata["finish_reason"] == "interrupt"


@pytest.mark.parametrize(
    "noise",
    [
        make_completed("8", "empty result", "verbose"),
        make_completed("8", "", "verbose"),
        make_completed("8", '{"msg_type":"time_capsule_recall","data":"{}"}', "verbose"),
        make_completed("8", '{"msg_type":"brand new","data":7}', "verbose"),
        make_completed("8", "x", "brand_new_type"),
        make_completed("8", "the question", "question", role="user"),
        make_delta("8", "x", type="brand_new_type"),
        b"event:brand.new\ndata:{}\n\n",
        b"event:conversation.chat.brand_new\ndata:{}\n\n",
        b"event:conversation.message.completed\ndata:7\n\n",
        b"event:PING\n\n",
        b": comment\n\n",
        b'{"code":0,"msg":""}\n\n',
        b'event:conversation.message.delta\ndata:{"id":null,"content":null}\n\n',
    ],
)
def test_what_is_not_known_changes_nothing(noise: bytes) -> None:
    assert summarize(read_whole(noise + TURN)) == summarize(read_whole(TURN))
    assert summarize(read_stream(noise + TURN)) == summarize(read_whole(TURN))


def test_the_whole_turn_has_the_completed_text_where_deltas_differ() -> None:
    data = make_delta("1", "He said “hi") + make_completed("1", "He said “hi”") + COMPLETED + DONE
    assert read_whole(data).content == "He said “hi”"
    assert read_stream(data).content == "He said “hi"


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
def test_what_is_no_character_loses_nothing_else(name: str, written: bytes, text: str) -> None:
    event = b'event:conversation.message.%s\ndata:{"id":"1","type":"answer","content":%s}\n\n'
    data = event % (name.encode(), written) + COMPLETED + DONE
    assert read_whole(data).content == text
    assert read_stream(data).content == text


@pytest.mark.parametrize("number", [b'"id":123,', b'"id":null,', b""])
def test_odd_or_missing_ids_double_nothing(number: bytes) -> None:
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
def test_an_end_that_says_that_it_failed_is_a_failure(status: str) -> None:
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
def test_the_end_of_nothing_is_no_success(sent: bytes) -> None:
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
    turn = AnswerStream(BOT, token="opaque-gateway-key")
    with pytest.raises(CozeQuotaError) as caught:
        turn.feed(b'event:error\ndata:{"code":4028,"msg":"key opaque-gateway-key"}\n\n')
    assert "opaque" not in str(caught.value)


def test_a_broken_connection_after_the_end_is_ignored() -> None:
    turn = AnswerStream(BOT)
    turn.feed(TURN[: -len(DONE)])
    turn.connection_lost(CozeStreamError("reset"))
    (last,) = turn.finish()
    assert last.message.response_metadata["finish_reason"] == "stop"


def test_a_broken_connection_before_the_end_has_the_ids() -> None:
    turn = AnswerStream(BOT, logid="log1")
    turn.feed(TURN[:900])
    with pytest.raises(CozeStreamError) as caught:
        turn.connection_lost(CozeStreamError("reset"))
    assert caught.value.chat_id == "7516861354884710427"
    assert caught.value.logid == "log1"


def test_a_polled_turn_is_the_same_message() -> None:
    """Messages of a list come in another order than events do (wire 2.8)."""
    blocks = [block for block in TURN.split(b"\n\n") if b"message.completed" in block]
    messages = [json.loads(block.split(b"\ndata:")[1]) for block in blocks]
    chat = json.loads(TURN.split(b"\n\n")[-3].split(b"\ndata:")[1])
    question = {"id": "1", "role": "user", "type": "question", "content": "运费？"}
    listed = [question, *messages[1:], messages[0]]
    (chunk,) = AnswerStream(BOT, logid="log1", single_chunk=True).feed_polled(chat, listed)
    assert isinstance(chunk.message, AIMessageChunk)
    assert summarize(chunk.message) == summarize(read_whole(TURN))


@pytest.mark.parametrize("status", ["failed", "canceled", "cancelled", "expired"])
def test_a_polled_turn_that_failed_raises_its_error(status: str) -> None:
    chat = {"id": "7", "conversation_id": "9", "status": status, "last_error": {"code": 0}}
    with pytest.raises(CozeChatError) as caught:
        AnswerStream(BOT, single_chunk=True).feed_polled(chat, [])
    assert caught.value.chat_id == "7"


@pytest.mark.parametrize("as_whole", [False, True])
def test_nothing_is_emitted_after_the_end(*, as_whole: bool) -> None:
    turn = AnswerStream(BOT, single_chunk=as_whole)
    turn.feed(make_delta("1", "a"))
    turn.feed(make_delta("1", "b", content_type="text"))
    assert turn.feed(DONE)
    assert list(turn.feed(make_delta("1", "c", content_type="text"))) == []
    assert list(turn.feed(make_delta("1", "d") + make_delta("2", "e"))) == []
    assert turn.finish() == []


def test_deltas_are_passed_over_in_one_large_read_too() -> None:
    """Their content is not parsed when a completed message follows."""
    broken = make_delta("1", "b").replace(b'"content"', b'"content')
    data = make_delta("1", "a") + broken + broken + make_completed("1", "abb") + COMPLETED + DONE
    assert read_whole(data).content == "abb"
    with pytest.raises(CozeStreamError):
        read_stream(data)


def test_many_chunks_keep_no_state_in_common() -> None:
    first, second, _ = parse_chunks(
        [make_delta("1", "a"), make_delta("1", "b"), make_completed("1", "ab") + COMPLETED + DONE]
    )
    second.message.response_metadata["x"] = 1
    third = parse_chunks([make_delta("1", "a"), make_delta("1", "b"), DONE])[1]
    assert "x" not in third.message.response_metadata
    assert "x" not in first.message.response_metadata
