from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_coze._chat.search import RecallParser
from langchain_coze.errors import CozeChatError, CozeError, CozeQuotaError, CozeStreamError
from tests.unit_tests.wire_fixtures import FAILED, RECALL, SERVER_TOOL, STUDIO_END, TURN

CREATED = TURN[: TURN.index(b"event:conversation.message.delta")]
REST = TURN[len(CREATED) :]
MORE = RECALL.replace(b"7516861350000000001", b"2").replace(b'"text', b'"more')
DELTA = REST[: REST.index(b"event:", 1)]


def make_message(kind: str, content: str, number: str = "5") -> bytes:
    body = {"id": number, "role": "assistant", "type": kind, "content": content}
    return b"event:conversation.message.completed\ndata:" + json.dumps(body).encode() + b"\n\n"


def make_verbose(msg_type: str, data: str = "", number: str = "6") -> bytes:
    return make_message("verbose", json.dumps({"msg_type": msg_type, "data": data}), number)


def make_recall(*slices: str, number: str = "8") -> bytes:
    data = json.dumps({"chunks": [{"slice": text} for text in slices], "status_code": 0})
    return make_verbose("knowledge_recall", data, number)


def read_recalls(*reads: bytes) -> RecallParser:
    search = RecallParser(logid="0217")
    for read in reads:
        search.feed(read)
    return search


def get_texts(search: RecallParser) -> list[str]:
    return [chunk["page_content"] for recalled in search.recalls for chunk in recalled.chunks]


def test_a_recall_as_coze_sends_it_is_complete_with_the_next_event() -> None:
    search = read_recalls(CREATED, RECALL)
    assert get_texts(search) == ["text"]
    assert not search.is_complete
    search.feed(DELTA)
    assert search.is_complete
    assert search.ids["chat_id"] == "7516861354884710427"
    assert search.recalls[0].chunks[0]["metadata"]["link"] == "https://h/p?a=1&b=2"


def test_any_split_finds_the_same() -> None:
    stream = CREATED + RECALL + make_recall("two", "three") + REST
    for cut in range(len(stream)):
        search = read_recalls(stream[:cut], stream[cut:])
        assert get_texts(search) == ["text", "two", "three"]
        assert search.is_complete


@given(st.lists(st.integers(0, len(CREATED + RECALL + REST)), max_size=6))
def test_any_splits_find_the_same(cuts: list[int]) -> None:
    stream = CREATED + RECALL + REST
    edges = [0, *sorted(cuts), len(stream)]
    search = read_recalls(*(stream[a:b] for a, b in itertools.pairwise(edges)))
    assert get_texts(search) == ["text"]
    assert search.is_complete


@pytest.mark.parametrize(
    "follows",
    [
        DELTA,
        SERVER_TOOL,
        make_message("answer", "Hi"),
        make_message("function_call", "{}"),
        make_message("follow_up", "And?"),
        make_message("something_new", "?"),
        make_verbose("generate_answer_finish", '{"finish_reason":0}'),
        make_verbose("time_capsule_recall", '{"wraped_text":""}'),
        b'event:conversation.chat.completed\ndata:{"id":"7","status":"completed"}\n\n',
        b"event:conversation.chat.failed\ndata:" + FAILED.split(b"data:")[-1],
        b'event:error\ndata:{"code":5000,"msg":"oh"}\n\n',
        b'event:done\ndata:"[DONE]"\n\n',
        b"event:something.new\ndata:{}\n\n",
        STUDIO_END,
    ],
)
def test_whatever_else_follows_completes_a_recall(follows: bytes) -> None:
    search = read_recalls(RECALL, follows)
    assert search.is_complete
    assert get_texts(search) == ["text"]


@pytest.mark.parametrize(
    "follows",
    [
        b": comment\n\n",
        b"event: PING\ndata:\n\n",
        b"event: PING\n\n",
        b"retry: 3\n\n",
        make_verbose("multi_agents_jump_to_agent", '{"agent_name":"b"}'),
        make_recall(),
    ],
)
def test_heartbeats_and_other_agents_do_not_complete_a_recall(follows: bytes) -> None:
    search = read_recalls(RECALL, follows)
    assert not search.is_complete
    search.feed(make_recall("more", number="9"))
    assert get_texts(search) == ["text", "more"]


def test_ranks_continue_over_several_recalls() -> None:
    search = read_recalls(make_recall("a", "b", number="1"), make_recall("c", number="2"))
    ranks = [chunk["metadata"]["rank"] for found in search.recalls for chunk in found.chunks]
    assert ranks == [1, 2, 3]


def test_a_recall_that_is_sent_twice_counts_once() -> None:
    assert get_texts(read_recalls(RECALL, RECALL)) == ["text"]


def test_a_late_recall_is_waited_for() -> None:
    search = read_recalls(CREATED, DELTA, SERVER_TOOL, make_message("answer", "Let me look."))
    assert not search.is_complete
    search.feed(RECALL)
    assert get_texts(search) == ["text"]
    assert not search.is_complete


def test_a_turn_without_a_recall_ends_when_the_bot_reports_it() -> None:
    search = read_recalls(TURN)
    assert (search.recalls, search.is_complete, search.is_finished) == ([], False, True)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (FAILED, CozeError),
        (b'event:error\ndata:{"code":4028,"msg":"quota"}\n\n', CozeQuotaError),
        (b'event:conversation.chat.failed\ndata:{"id":"1","status":"failed"}\n\n', CozeChatError),
    ],
)
def test_an_error_before_any_recall_is_that_error(stream: bytes, kind: type[CozeError]) -> None:
    with pytest.raises(kind):
        read_recalls(CREATED, stream)


@pytest.mark.parametrize("cut", [CREATED, CREATED + DELTA, CREATED + RECALL[:-40]])
def test_a_stream_that_ends_before_any_recall_is_cut(cut: bytes) -> None:
    search = read_recalls(cut)
    with pytest.raises(CozeStreamError) as caught:
        search.require_end()
    assert caught.value.chat_id == "7516861354884710427"
    assert caught.value.logid == "0217"


def test_the_end_of_the_stream_completes_a_recall() -> None:
    search = read_recalls(CREATED, RECALL)
    search.require_end()
    assert get_texts(search) == ["text"]


def test_a_broken_connection_loses_no_recall() -> None:
    search = read_recalls(CREATED)
    with pytest.raises(CozeStreamError):
        search.handle_connection_lost(CozeStreamError("reset"))
    search.feed(RECALL)
    with pytest.warns(UserWarning, match="ended early after its recall"):
        search.handle_connection_lost(CozeStreamError("reset"))
    assert get_texts(search) == ["text"]


@pytest.mark.parametrize(
    "kind_and_content",
    [
        ("knowledge", '{"msg_type":"knowledge_recall","data":"{\\"chunks\\":null}"}'),
        ("verbose", '{"msg_type":"knowledge_recall","data":""}'),
        ("verbose", '{"verbose_type":"knowledge","chunks":[]}'),
    ],
)
def test_a_recall_that_found_nothing_is_a_recall(kind_and_content: tuple[str, str]) -> None:
    search = read_recalls(make_message(*kind_and_content))
    assert len(search.recalls) == 1
    assert get_texts(search) == []


def test_other_messages_of_these_types_are_no_recalls() -> None:
    contents: list[Any] = ["", "empty result", "[]", "{}", '{"msg_type":7}']
    assert read_recalls(*(make_message("verbose", content) for content in contents)).recalls == []


@pytest.mark.parametrize("payload", [b"null", b"{tr", b"[]", b""])
def test_messages_that_cannot_be_read_do_not_hide_a_recall(payload: bytes) -> None:
    search = read_recalls(
        CREATED, b"event:conversation.message.completed\ndata:" + payload + b"\n\n"
    )
    search.feed(RECALL)
    assert get_texts(search) == ["text"]


def test_a_recall_in_invalid_json_is_damaged_and_not_missing() -> None:
    cut = RECALL.replace(b'"chat_id":', b'"chat_id"')
    search = read_recalls(CREATED, cut)
    assert [found.parse_error for found in search.recalls] == ["its message is not JSON"]


def test_two_recalls_with_one_id_are_two() -> None:
    assert get_texts(read_recalls(make_recall("a", number="0"), make_recall("b", number="0"))) == [
        "a",
        "b",
    ]


def test_half_a_recall_is_seen_to_be_on_its_way() -> None:
    search = read_recalls(RECALL)
    assert not search.has_partial_event
    search.feed(MORE[:90])
    assert search.has_partial_event
    with pytest.raises(CozeStreamError):
        search.require_end()
