"""The frames of an agent at coze.site become the chunks of one message, wherever a read ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_coze import (
    CozeChatError,
    CozeError,
    CozeInvalidRequestError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
)
from langchain_coze._site.answer_parser import SiteAnswerParser
from tests.benchmarks import wire
from tests.site_recordings import read_site_body, read_site_json


def read(
    reads: Iterable[bytes], *, single_chunk: bool = False
) -> tuple[str, AIMessage | None, Any]:
    """Parse some reads; return the streamed text, the message, and the error."""
    parser = SiteAnswerParser("tea", {"session_id": "s"}, single_chunk=single_chunk)
    chunks: list[ChatGenerationChunk] = []
    for data in reads:
        chunks += parser.feed(data)
    try:
        chunks += parser.finish()
    except CozeError as error:
        return "".join(chunk.text for chunk in chunks), None, error
    total = chunks[0].message
    for chunk in chunks[1:]:
        total += chunk.message
    message = message_chunk_to_message(total)
    assert isinstance(message, AIMessage)
    return "".join(chunk.text for chunk in chunks), message, None


def frame(kind: str, part: Any, **fields: Any) -> bytes:
    body = {"type": kind, "reply_id": "r", "content": {kind: part}, **fields}
    return f"event: message\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


END = frame("message_end", {"code": "0", "message": ""})
ANSWERS = {
    "R01_short_answer": "好的",
    "R02_tool": "晴",
    "03_agent_parallel_tools": "北京晴",
    "28_variant_nonstream_nodes": "第一段\n\n列表段",
    "34_agent_interrupt": "",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_the_same_at_every_split(name: str) -> None:
    body = read_site_body(name)
    text, message, _ = read([body])
    assert message is not None
    assert text == message.text == ANSWERS[name]
    for cut in range(1, len(body)):
        assert read([body[:cut], body[cut:]])[1] == message, cut
    assert read(bytes([byte]) for byte in body)[1] == message
    assert read([body], single_chunk=True)[1] == message


@pytest.mark.parametrize("name", [*ANSWERS, "06_agent_error_mid", "R06_error_start"])
def test_a_recording_cut_at_any_byte_is_no_answer(name: str) -> None:
    body = read_site_body(name)
    whole = read([body])[0]
    end = body.rindex(b"event: message")
    for cut in range(end):
        text, message, error = read([body[:cut]])
        assert message is None
        assert isinstance(error, CozeStreamError)
        assert not error.is_retryable
        assert whole.startswith(text)


def test_metadata_is_flat_and_there_is_no_usage_where_the_server_reports_zeros() -> None:
    message = read([read_site_body("R01_short_answer")])[1]
    assert message is not None
    assert message.usage_metadata is None
    assert message.response_metadata == {
        "model_provider": "coze",
        "model_name": "tea",
        "session_id": "s",
        "run_id": "fa4e291a-0ee5-4276-bace-8a2c22228923",
        "reply_id": "195c02c1-aeb8-4dc4-b5c4-d8e1b004e0fc",
        "logid": "20261130180000AB12",
        "finish_reason": "stop",
        "normalized_finish_reason": "stop",
    }


def test_tools_of_the_server_are_blocks_with_their_own_arguments() -> None:
    message = read([read_site_body("03_agent_parallel_tools")])[1]
    assert message is not None
    assert message.tool_calls == []
    calls = [block for block in message.content_blocks if block["type"] == "server_tool_call"]
    results = [block for block in message.content_blocks if block["type"] == "server_tool_result"]
    assert [call["args"] for call in calls] == [{"city": "北京"}, {"city": "上海"}]
    # in the order of completion, paired by id
    assert [result["tool_call_id"] for result in results] == [calls[1]["id"], calls[0]["id"]]
    assert json.loads(results[0]["output"])["city"] == "上海"


def test_text_before_a_tool_call_is_streamed_at_once_and_stays_first() -> None:
    first = frame("answer", "我查一下。", msg_id="a")
    call = frame(
        "tool_request", {"tool_call_id": "c", "tool_name": "f", "parameters": {"f": {"x": 1}}}
    )
    parser = SiteAnswerParser("tea", {})
    assert [chunk.text for chunk in parser.feed(first)] == ["我查一下。"]
    assert parser.feed(call)
    assert [chunk.text for chunk in parser.feed(frame("answer", "好", msg_id="b"))] == ["\n\n好"]
    message = read([first, call, frame("answer", "好", msg_id="b"), END])[1]
    assert message is not None
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["text", "server_tool_call", "text"]


TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=14)


@given(texts=TEXTS, is_compact=st.booleans(), last=st.sampled_from(["end", "type", '"', "\\", ""]))
def test_reads_of_one_frame_are_parsed_like_all_others(
    *, texts: list[str], is_compact: bool, last: str
) -> None:
    separators = (",", ":") if is_compact else (", ", ": ")
    frames = [
        b"event: message\ndata: %b\n\n"
        % json.dumps(
            {
                "type": "answer",
                "msg_id": "a" if number < 10 else "b",
                "sequence_id": number,
                "finish": number == 9,
                "content": {"answer": text, "thinking": None},
                "log_id": "1",
            },
            ensure_ascii=False,
            separators=separators,
        ).encode()
        for number, text in enumerate([*texts, last])
    ]
    text, message, _ = read([*frames, END])
    assert message is not None
    assert message == read([b"".join(frames) + END])[1]
    parts = [*texts, last]
    answers = ["".join(parts[:10]), "".join(parts[10:])]
    assert text == "\n\n".join(answer for answer in answers if answer)


PARTS = st.lists(st.sampled_from(["answer a", "answer b", "thinking a", "thinking t", "ping a"]))


@given(parts=PARTS, cuts=st.lists(st.integers(0, 3000)))
def test_frames_between_the_text_frames_are_never_skipped(
    *, parts: list[str], cuts: list[int]
) -> None:
    frames = [
        frame(kind, f"{number} ", msg_id=message_id, sequence_id=number)
        for number, (kind, message_id) in enumerate(part.split() for part in parts)
    ]
    data = b"".join([*frames, END])
    places = [0, *sorted(cuts), len(data)]
    reads = [data[a:b] for a, b in itertools.pairwise(places)]
    whole = read([data], single_chunk=True)[1]
    assert read([*frames, END])[1] == read(reads)[1] == whole


def test_frames_of_one_message_are_parsed_until_their_bytes_are_known() -> None:
    parsed = 0

    class CountingSiteParser(SiteAnswerParser):
        def _handle_frame(self, payload: bytes) -> None:
            nonlocal parsed
            parsed += 1
            super()._handle_frame(payload)

    answer = wire.answer("site", 40)  # with quotes and line ends in some texts
    parser = CountingSiteParser("tea", {})
    chunks = [chunk for data in (b"", *answer.events) for chunk in parser.feed(data)]
    chunks += parser.finish()
    assert "".join(chunk.text for chunk in chunks) == wire.text(40)
    assert parsed == len(answer.prologue) + 2 + len(answer.tail)


def test_interleaved_answers_do_not_mix() -> None:
    frames = [
        frame("answer", "a1 ", msg_id="a"),
        frame("answer", "b1 ", msg_id="b"),
        frame("answer", "a2", msg_id="a", finish=True),
        frame("answer", "b2", msg_id="b", finish=True),
    ]
    assert read([*frames, END])[0] == "a1 a2\n\nb1 b2"


def test_an_answer_that_continues_after_a_tool_call_is_complete() -> None:
    call = frame("tool_request", {"tool_call_id": "c", "tool_name": "f", "parameters": {"f": {}}})
    frames = [frame("answer", "a1", msg_id="a"), call, frame("answer", "a2", msg_id="a"), END]
    text, message, _ = read(frames)
    assert text == "a1\n\na2"
    assert message == read(frames, single_chunk=True)[1]


def test_reasoning_is_a_block_before_the_answer() -> None:
    thoughts = read_site_body("R03_thinking_constructed")
    message = read([thoughts, frame("answer", "好", msg_id="b", finish=True), END])[1]
    assert message is not None
    assert message.content == "好"
    assert message.additional_kwargs["reasoning_content"] == "先想想"
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["reasoning", "text"]


def test_reasoning_without_an_end_does_not_hold_the_answer_back() -> None:
    parser = SiteAnswerParser("tea", {})
    assert parser.feed(frame("thinking", "hm", msg_id="a"))
    assert [chunk.text for chunk in parser.feed(frame("answer", "yes", msg_id="b"))] == ["yes"]


def test_a_list_answer_keeps_its_text_and_its_other_blocks() -> None:
    blocks = [{"type": "text", "text": "看"}, {"type": "image_url", "image_url": {"url": "u"}}]
    message = read([frame("answer", blocks, msg_id="a", finish=True), END])[1]
    assert message is not None
    assert message.text == "看"
    assert message.content_blocks[1] == {"type": "non_standard", "value": blocks[1]}


def test_separators_of_lines_stay_inside_the_answer() -> None:
    text = read([read_site_body("37_line_separators")])[0]
    assert "\u2028" in text
    assert "\u0085" in text
    assert "<&>" in text


FAILURES: dict[str, tuple[type[CozeError], int | None, str | None, bool]] = {
    "05_agent_error_start_429": (CozeRateLimitError, 301002, None, True),
    "05b_agent_error_400": (CozeChatError, 900002, None, False),
    "05d_agent_error_quota": (CozeQuotaError, 604001, None, False),
    "06_agent_error_mid": (CozeServerError, 301001, None, False),  # after some text
    "08_agent_cancel": (CozeChatError, None, "1", False),
    "09_agent_timeout": (CozeTimeoutError, None, "TIMEOUT", False),
    "31_agent_error_frame": (CozeChatError, 101004, None, False),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_other_end_raises_after_its_text(name: str) -> None:
    error_class, code, reason, is_retryable = FAILURES[name]
    body = read_site_body(name)
    text, _, error = read([body])
    assert type(error) is error_class
    assert (error.code, error.reason, error.is_retryable) == (code, reason, is_retryable)
    assert error.session_id == "s"
    assert (error.hint or "").count("\n") == 1
    assert bool(text) == (name[:2] in {"06", "08", "09"})
    if name != "31_agent_error_frame":
        assert error.run_id
    for cut in range(1, len(body)):
        assert read([body[:cut], body[cut:]])[0] == text


def test_a_failed_turn_is_not_retried_in_a_session_that_keeps_its_question() -> None:
    parser = SiteAnswerParser("tea", {"session_id": "s"}, is_session_kept=True)
    parser.feed(read_site_body("05_agent_error_start_429"))
    with pytest.raises(CozeRateLimitError) as caught:
        list(parser.finish())
    assert not caught.value.is_retryable


def test_after_the_end_nothing_counts() -> None:
    late = frame("error", {"code": "101004", "error_msg": "late"})
    assert read([read_site_body("R01_short_answer"), late])[0] == "好的"
    parser = SiteAnswerParser("tea", {})
    parser.feed(END)
    parser.handle_connection_lost(CozeStreamError("reset"))
    assert list(parser.finish())


def test_frames_of_the_owner_are_ignored_but_do_not_make_an_answer() -> None:
    unknown = b'data: {"content":"hi","run_id":"1"}\n\ndata: [DONE]\n\n: note\n\n'
    assert read([unknown, frame("answer", "ok", msg_id="a"), unknown, END])[0] == "ok"
    _, _, error = read([unknown])
    assert isinstance(error, CozeStreamError)
    assert "empty stream" in error.message


def test_a_damaged_frame_is_no_answer() -> None:
    _, _, error = read([b'event: message\ndata: {"type": "answer", \n\n', END])
    assert isinstance(error, CozeStreamError)


def test_a_workflow_is_no_agent() -> None:
    _, _, error = read([read_site_body("10_wf_stream")])
    assert isinstance(error, CozeInvalidRequestError)
    assert "CozeSiteTool" in str(error)


def test_an_unknown_code_keeps_the_word_of_the_project() -> None:
    _, _, error = read([frame("message_end", {"code": "OOPS", "message": "no tea"})])
    assert type(error) is CozeChatError
    assert (error.code, error.reason, error.message) == (None, "OOPS", "no tea")


EXCEPTIONS = {
    "(RateLimitError): slow down": CozeRateLimitError,
    "(APITimeoutError): Request timed out.": CozeServerError,
    "(AuthenticationError): Error code: 401": CozeChatError,
}


@pytest.mark.parametrize("message", EXCEPTIONS)
def test_an_exception_unknown_to_the_server_is_identified_by_its_class(message: str) -> None:
    _, _, error = read([frame("message_end", {"code": "900002", "message": message})])
    assert type(error) is EXCEPTIONS[message]
    assert error.code == 900002


def test_a_state_becomes_the_same_blocks_with_its_usage() -> None:
    parser = SiteAnswerParser("tea", {}, single_chunk=True)
    parser.feed_state(read_site_json("19a_async_agent_done")["result"]["messages"])
    (chunk,) = parser.finish()
    message = message_chunk_to_message(chunk.message)
    assert isinstance(message, AIMessage)
    assert message.text == "北京晴"
    assert [block["type"] for block in message.content_blocks] == [
        "server_tool_call",
        "server_tool_result",
        "text",
    ]
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 36


def test_only_the_messages_after_the_question_belong_to_the_answer() -> None:
    parser = SiteAnswerParser("tea", {}, single_chunk=True)
    parser.feed_state(read_site_json("27c_run_history")["messages"])
    (chunk,) = parser.finish()
    assert chunk.text == "你好！(第2问)"
