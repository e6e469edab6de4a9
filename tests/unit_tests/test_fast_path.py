"""The fast path gives the chunks of the way that parses everything, for any bytes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.outputs import ChatGenerationChunk

from langchain_coze._chat.answer_parser import AnswerParser
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze.errors import CozeStreamError
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
)


class CountingParser(FastAnswerParser):
    """Counts the deltas that are parsed."""

    parsed = 0

    def _handle_delta(self, body: Any) -> None:
        self.parsed += 1
        super()._handle_delta(body)


def parse_fully(reads: list[bytes], *, whole: bool) -> list[ChatGenerationChunk]:
    turn = AnswerParser(BOT, logid="log1", single_chunk=whole)
    chunks = [chunk for read in reads for chunk in turn.feed(read)]
    return chunks + turn.finish()


def split_events(data: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in data.split(b"\n\n") if event]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", TURNS)
def test_both_ways_give_the_same_chunks_wherever_a_read_ends(name: str, *, whole: bool) -> None:
    data = TURNS[name]
    events = split_events(data)
    pairs = [b"".join(events[n : n + 2]) for n in range(0, len(events), 2)]
    cuts = [[data[:cut], data[cut:]] for cut in range(0, len(data), 7)]
    late_ends = [
        [*events[:n], event[:-1], event[-1:], *events[n + 1 :]] for n, event in enumerate(events)
    ]
    for reads in (events, pairs, *cuts, *late_ends):
        assert parse_chunks(reads, whole=whole) == parse_fully(reads, whole=whole)


@pytest.mark.parametrize("whole", [False, True])
@given(data=st.data())
def test_both_ways_give_the_same_chunks_for_any_reads(data: st.DataObject, *, whole: bool) -> None:
    turn = TURNS[data.draw(st.sampled_from(sorted(TURNS)))]
    cuts = data.draw(st.lists(st.integers(0, len(turn)), max_size=20))
    reads = [turn[a:b] for a, b in itertools.pairwise(sorted({0, len(turn), *cuts}))]
    assert parse_chunks(reads, whole=whole) == parse_fully(reads, whole=whole)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_few_deltas_are_parsed(*, whole: bool, together: bool) -> None:
    texts = ["a", "b", "扣子", "\n", '"raw"', "R\\u0026D", "c"] * 10
    deltas = [make_delta("1", text, content_type="text") for text in texts]
    end = make_completed("1", "".join(texts)) + COMPLETED + DONE
    turn = CountingParser(BOT, single_chunk=whole)
    turn.feed(deltas[0])
    for read in [b"".join(deltas[1:])] if together else deltas[1:]:
        turn.feed(read)
    assert turn.feed(end)
    assert turn.parsed == 1


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


def test_a_delta_that_only_looks_plain_is_parsed() -> None:
    plain = make_delta("1", "a", content_type="text")
    thinks = make_delta("1", "b", content_type="text", reasoning_content="hm")
    other = make_delta("2", "c", content_type="text")
    raw_line_end = plain.replace(b'"content":"a"', b'"content":"a\n"')
    turn = FastAnswerParser(BOT)
    for _ in range(3):
        assert [c.text for c in turn.feed(plain)] == ["a"]
    (chunk,) = turn.feed(thinks)
    assert (chunk.text, chunk.message.additional_kwargs["reasoning_content"]) == ("b", "hm")
    assert turn.feed(other) == []
    assert not turn.feed(plain.replace(b'"content":"a"', b'"content":""'))
    assert [c.text for c in turn.feed(plain + plain)] == ["aa"]
    assert [c.text for c in turn.feed(plain.replace(b'"a"', b'"\\u0026"'))] == ["&"]
    with pytest.raises(CozeStreamError):
        turn.feed(raw_line_end)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    "texts",
    [
        [b"b\\", b"c"],
        [b",", b"c"],
        [b"b\\", b'c","d'],
        [b'b","x":"c', b"d"],
        [b"b\n", b"c"],
        [b"\\ud83d", b"\\ude00"],
        [b"\xff", b"b"],
        [b"b\\n\\u0026", b""],
    ],
)
def test_damaged_deltas_in_one_read_are_found(texts: list[bytes], *, whole: bool) -> None:
    plain = make_delta("1", "a", content_type="text")
    read = b"".join(plain.replace(b'"content":"a"', b'"content":"%b"' % text) for text in texts)
    read = read.replace(b'":",",', b'":",')  # a quote is missing
    reads = [plain, plain, read, read, COMPLETED + DONE]

    def outcome(parse: Any) -> Any:
        try:
            return parse(reads, whole=whole)
        except CozeStreamError as error:
            return str(error).partition("(")[0]  # the ids may be known later

    assert outcome(parse_chunks) == outcome(parse_fully)


def test_deltas_keep_their_order_whatever_is_parsed() -> None:
    """Without a completed message; a delta with the key of reasoning is parsed at once."""
    reads = [
        make_delta("1", "a"),
        make_delta("1", "b"),
        make_delta("1", "c", reasoning_content=""),
        make_delta("1", "d"),
        COMPLETED,
        DONE,
    ]
    assert read_whole(b"".join(reads)).content == "abcd" == read_stream(*reads).content


def test_a_damaged_delta_does_not_matter_if_it_is_skipped() -> None:
    """Also if many deltas arrive in one read."""
    broken = make_delta("1", "b").replace(b'"content"', b'"content')
    data = make_delta("1", "a") + broken + broken + make_completed("1", "abb") + COMPLETED + DONE
    assert read_whole(data).content == "abb"
    with pytest.raises(CozeStreamError):
        read_stream(data)
