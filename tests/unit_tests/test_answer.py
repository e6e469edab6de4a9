from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_coze._chat.answer_parser import AnswerParser
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
    REASONING,
    RECALL,
    TURN,
    TURN_TEXT,
)


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


@pytest.mark.parametrize("number", ["1", ""])
def test_deltas_after_their_completed_message_are_not_repeated(number: str) -> None:
    late = make_delta(number, "one", content_type="text") if number else b""
    reads = [make_completed(number, "one"), late, late, make_completed("2", "two"), COMPLETED, DONE]
    for data in (reads, [b"".join(reads)]):
        assert read_stream(*data).content == "one\n\ntwo"
    assert read_whole(b"".join(reads)).content == "one\n\ntwo"


def test_the_first_ids_of_a_turn_count() -> None:
    """They are on the first chunk of a stream, so that a cancelled stream has them."""
    created = b'event:conversation.chat.created\ndata:{"id":"1","conversation_id":"2"}\n\n'
    reads = [created, make_delta("1", "a"), make_completed("1", "a"), COMPLETED, DONE]
    for message in (read_stream(*reads), read_whole(b"".join(reads))):
        assert message.response_metadata["chat_id"] == "1"
        assert message.response_metadata["conversation_id"] == "2"


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
        "normalized_finish_reason": "stop",
        "message_id": "7516861356495323187",
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


def test_ids_are_on_the_first_chunk_and_the_outcome_on_the_last() -> None:
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
    turn = AnswerParser(BOT)
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
    turn = AnswerParser(BOT)
    assert [c.text for c in turn.feed(make_delta("1", "a"))] == ["a"]
    assert turn.feed(make_delta("2", "x")) == []
    assert [c.text for c in turn.feed(make_delta("1", "b"))] == ["b"]
    assert [c.text for c in turn.feed(make_completed("1", "ab"))] == ["\n\nx"]
    assert [c.text for c in turn.feed(make_delta("2", "y"))] == ["y"]


def test_reasoning_is_not_part_of_the_text() -> None:
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
    assert message.response_metadata["normalized_finish_reason"] == "tool_call"


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
    metadata = read_whole(data).response_metadata
    assert metadata["finish_reason"] == "interrupt"
    assert "normalized_finish_reason" not in metadata


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
def test_unknown_events_and_messages_change_nothing(noise: bytes) -> None:
    assert summarize(read_whole(noise + TURN)) == summarize(read_whole(TURN))
    assert summarize(read_stream(noise + TURN)) == summarize(read_whole(TURN))


def test_the_whole_turn_has_the_completed_text_where_deltas_differ() -> None:
    data = make_delta("1", "He said “hi") + make_completed("1", "He said “hi”") + COMPLETED + DONE
    assert read_whole(data).content == "He said “hi”"
    assert read_stream(data).content == "He said “hi"


@pytest.mark.parametrize("whole", [True, False])
def test_the_time_for_a_turn_of_many_answers_is_linear(*, whole: bool) -> None:
    def measure(count: int) -> float:
        answers = [make_delta(str(n), "a") + make_completed(str(n), "a") for n in range(count)]
        data = [b"".join(answers) + COMPLETED + DONE]
        begin = time.process_time()
        parse_chunks(data, whole=whole)
        return time.process_time() - begin

    measure(100)  # builds the validators
    few, many = min(measure(1000) for _ in range(3)), min(measure(8000) for _ in range(2))
    assert many / few < 32  # 8 if linear, 64 if quadratic
