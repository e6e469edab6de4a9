from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_coze._api.sse import Decoder, Event
from tests.unit_tests.wire_fixtures import CHATFLOW_FAILED, RECORDED, TURN, WORKFLOW


def decode(*reads: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for read in reads for event in decoder.feed(read)]
    return events + decoder.close()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def test_turn_has_its_events_in_order() -> None:
    assert [event.name for event in decode(TURN)] == [
        "conversation.chat.created",
        "conversation.chat.in_progress",
        "conversation.message.delta",
        "conversation.message.delta",
        "conversation.message.completed",
        "conversation.message.completed",
        "conversation.message.completed",
        "conversation.chat.completed",
        "done",
    ]
    assert decode(TURN)[-1].data == b'"[DONE]"'


def test_line_separators_of_unicode_end_no_line() -> None:
    delta = decode(TURN)[3].data.decode()
    assert "\u2028\u0085" in delta
    assert delta.endswith('"section_id":"7516861345346813988"}')


def test_dialect_with_spaces_and_ids() -> None:
    first, *_, last = decode(WORKFLOW)
    assert first == Event(
        "Message",
        b'{"content":"msg","node_is_finish":false,"node_seq_id":"0","node_title":"Message"}',
    )
    assert last == Event("Done", b"{}")
    assert decode(CHATFLOW_FAILED)[0].name == "conversation.chat.failed"


@pytest.mark.parametrize("name", RECORDED)
def test_every_single_cut_gives_the_same_events(name: str) -> None:
    data = RECORDED[name]
    whole = decode(data)
    assert whole
    for cut in range(len(data) + 1):
        assert decode(data[:cut], data[cut:]) == whole


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_every_single_cut_of_other_line_ends_gives_the_same_events(end: bytes) -> None:
    data = TURN.replace(b"\n", end)
    for cut in range(len(data) + 1):
        assert decode(data[:cut], data[cut:]) == decode(TURN)


@pytest.mark.parametrize("name", RECORDED)
def test_one_byte_per_read_gives_the_same_events(name: str) -> None:
    data = RECORDED[name]
    assert decode(*(data[i : i + 1] for i in range(len(data)))) == decode(data)


@given(
    name=st.sampled_from(sorted(RECORDED)),
    cuts=st.lists(st.integers(min_value=0), max_size=30),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    mark=st.booleans(),
    noise=st.sampled_from([b"", b": ping\n", b":\n\n", b"retry: 10\n", b"\n\n\n"]),
)
def test_any_split_line_end_mark_and_comment_gives_the_same_events(
    name: str, cuts: list[int], end: bytes, *, mark: bool, noise: bytes
) -> None:
    data = RECORDED[name]
    sent = (b"\xef\xbb\xbf" if mark else b"") + noise + data
    sent = sent.replace(b"\n", end)
    assert decode(*split(sent, cuts)) == decode(data)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_accepted(reads: list[bytes]) -> None:
    joined = decode(b"".join(reads))
    assert decode(*reads) == joined
    assert all(isinstance(event.data, bytes) for event in joined)


@pytest.mark.parametrize(
    ("sent", "event"),
    [
        (b"event:x\ndata:1\n\n", Event("x", b"1")),
        (b"event: x\ndata: 1\n\n", Event("x", b"1")),
        (b"event:  x \ndata:  1\n\n", Event("x", b" 1")),
        (b"data:1\nevent:x\n\n", Event("x", b"1")),
        (b"data:1\nid:7\nevent:x\n\n", Event("x", b"1")),
        (b"event:x\ndata:{\ndata:}\n\n", Event("x", b"{\n}")),
        (b"event:PING\n\n", Event("PING", b"")),
        (b"event:PING\ndata:\n\n", Event("PING", b"")),
        (b":c\nevent:x\n:c\ndata:1\nretry:3\nfoo:bar\n\n", Event("x", b"1")),
        (b"data:1\n\n", Event("", b"1")),
        (
            b'data:{"event":"x","data":{"a":"\xe4\xbd\xa0"}}\n\n',
            Event("x", b'{"a":"\xe4\xbd\xa0"}'),
        ),
        (b'data:{"event":"done","data":"[DONE]"}\n\n', Event("done", b"[DONE]")),
        (b'data:{"event":7}\n\n', Event("", b'{"event":7}')),
        (b'{"code":4100,"msg":"m"}\n\n', Event("", b'{"code":4100,"msg":"m"}')),
        (b'{\n "code": 4100\n}\n\n', Event("", b'{\n "code": 4100\n}')),
    ],
)
def test_every_form_of_an_event_is_read(sent: bytes, event: Event) -> None:
    assert decode(sent) == [event]


def test_raw_json_between_fields_loses_neither() -> None:
    sent = b'event:x\ndata:1\n{"code":4000}\n\n'
    assert decode(sent) == [Event("x", b"1"), Event("", b'{"code":4000}')]


def test_raw_json_without_any_line_end_comes_at_the_end() -> None:
    decoder = Decoder()
    assert decoder.feed(b'{"code":4100,"msg":"authentication is invalid"}') == []
    assert decoder.close() == [Event("", b'{"code":4100,"msg":"authentication is invalid"}')]


@pytest.mark.parametrize("tail", [b"event:done\ndata:1\n", b"event:done\ndata:1", b'{"code":41'])
def test_a_truncated_event_is_never_returned(tail: bytes) -> None:
    assert decode(b"event:x\ndata:1\n\n" + tail) == [Event("x", b"1")]


def test_a_failure_needs_no_blank_line() -> None:
    assert decode(b'event:error\ndata:{"code":4028}\n') == [Event("error", b'{"code":4028}')]


def test_comments_alone_are_no_event() -> None:
    assert decode(b": keep-alive\n\n: keep-alive\n\n") == []


def test_reading_one_large_event_byte_by_byte_stays_linear() -> None:
    # a decoder that searched its whole buffer again for each read would need 10**10 steps here
    data = b"event:x\ndata:" + b"a" * 100_000 + b"\n\n"
    (event,) = decode(*(data[i : i + 1] for i in range(len(data))))
    assert len(event.data) == 100_000
