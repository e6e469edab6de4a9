from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_coze import CozeError, CozeQuotaError, CozeStreamError, CozeWorkflowError
from langchain_coze._api.models import RunHistory, RunInterrupt, RunReply
from langchain_coze._convert.questions import name_answer, serialize_answer
from langchain_coze._convert.workflow_output import format_output
from langchain_coze._workflows.run_parser import RunParser
from langchain_coze._workflows.workflow_run import WorkflowRun
from tests.unit_tests.wire_fixtures import WORKFLOW

# wire 4.4: the events of the fixture of the official Python SDK, the result among them
JOKE = (
    "id: 5\nevent: Message\n"
    'data: {"content":"{\\"output\\":\\"为什么小明要带一把尺子去看电影？\\"}","cost":"0.00",'
    '"node_is_finish":true,"node_seq_id":"0","node_title":"","token":0}\n\n'
).encode()
SPOKEN = WORKFLOW[: WORKFLOW.index(b"id: 0\nevent: Error")]
ERROR = WORKFLOW[len(SPOKEN) : WORKFLOW.index(b"id: 6")]
DONE = WORKFLOW[WORKFLOW.index(b"id: 6") :]
ASKED = (
    "id: 1\nevent: Interrupt\n"
    'data: {"interrupt_data":{"data":"","event_id":"7404830425073352713/2769808280134765896",'
    '"type":2},"node_title":"问答"}\n\n'
).encode()


def make_message(text: str, title: str, *, last: bool = True, seq: int = 0, **more: Any) -> bytes:
    body = {"content": text, "node_title": title, "node_is_finish": last, "node_seq_id": str(seq)}
    return b"event: Message\ndata: " + json.dumps({**body, **more}).encode() + b"\n\n"


def read_run_stream(*reads: bytes) -> RunParser:
    parser = RunParser(logid="0217")
    for read in reads:
        parser.feed(read)
    parser.close()
    return parser


def read_run(*reads: bytes) -> WorkflowRun:
    return read_run_stream(*reads).build_run("73")


def test_the_recorded_run_gives_output_and_messages() -> None:
    run = read_run(SPOKEN, JOKE, DONE)
    assert run.output == {"output": "为什么小明要带一把尺子去看电影？"}
    assert json.loads(run.content) == run.output
    assert [item["node_title"] for item in run.messages] == ["Message", "Message", ""]
    assert (run.workflow_id, run.logid, run.usage) == ("73", "0217", None)


def test_any_split_gives_the_same_run() -> None:
    stream = SPOKEN + JOKE + DONE
    expected = read_run(stream)
    for cut in range(len(stream)):
        assert read_run(stream[:cut], stream[cut:]) == expected


@given(st.lists(st.integers(0, len(SPOKEN + ASKED)), max_size=5))
def test_any_splits_give_the_same_question(cuts: list[int]) -> None:
    stream = SPOKEN + ASKED
    edges = [0, *sorted(cuts), len(stream)]
    parser = read_run_stream(*(stream[a:b] for a, b in itertools.pairwise(edges)))
    assert parser.build_interrupt("73") == read_run_stream(stream).build_interrupt("73")


def test_messages_are_emitted_as_they_arrive() -> None:
    parser = RunParser()
    assert [m["content"] for m in parser.feed(SPOKEN)] == ["msg", "坐不下！"]
    assert parser.feed(b"event: PING\n\n") == []
    assert len(parser.feed(JOKE + DONE)) == 1


@pytest.mark.parametrize("title", ["End", "", "结束"])
def test_the_output_of_the_end_node_is_the_result_at_any_position(title: str) -> None:
    stream = (
        make_message("Tea", title, last=False),
        make_message("!", title, seq=1),
        make_message("after", "Log"),
    )
    assert read_run(*stream, DONE).output == "Tea!"


def test_without_an_end_node_the_output_of_the_last_node_is_the_result() -> None:
    stream = (
        make_message("a", "A"),
        make_message("b", "B", last=False),
        make_message("c", "B", seq=1),
    )
    assert read_run(*stream, DONE).content == "bc"


def test_interleaved_messages_of_nodes_are_kept_apart() -> None:
    stream = (
        make_message("1", "End", last=False, node_id="1"),
        make_message("x", "Log", node_id="2"),
        make_message("2", "End", seq=1, node_id="1"),
        make_message("3", "End", node_id="1"),
    )
    assert read_run(*stream, DONE).content == "3"
    assert read_run(*stream[:3], DONE).content == "12"


def test_the_end_node_of_studio_is_found_by_its_type() -> None:
    stream = (
        make_message("result", "收尾", node_type="End"),
        make_message("x", "Log", node_type="Output"),
    )
    assert read_run(*stream, DONE).content == "result"


def test_a_run_has_its_usage_and_its_debug_url() -> None:
    done = (
        b'event: Done\ndata: {"debug_url":"https://www.coze.cn/work_flow?execute_id=741\\u0026'
        b'space_id=1"}\n\n'
    )
    usage = {"input_count": 50, "token_count": 150, "output_count": 100}
    run = read_run(make_message("x", "End", usage=usage), done)
    assert run.usage == {"input_tokens": 50, "output_tokens": 100, "total_tokens": 150}
    assert run.execute_id == "741"
    assert run.debug_url == "https://www.coze.cn/work_flow?execute_id=741&space_id=1"
    old = read_run(make_message("x", "End", token=7), done).usage
    assert old is not None
    assert old["total_tokens"] == 7


# --- Failures ------------------------------------------------------------------------------------


def test_a_run_that_fails_raises_its_error() -> None:
    with pytest.raises(CozeWorkflowError, match="Request parameter error") as caught:
        read_run_stream(SPOKEN, ERROR)
    assert (caught.value.code, caught.value.logid) == (4000, "0217")


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        (b'event: Error\ndata: {"error_code":4028,"error_message":"x"}\n\n', CozeQuotaError, 4028),
        (
            b'event: Error\ndata: {"error_code":5000,"error_message":"x"}\n\n',
            CozeWorkflowError,
            5000,
        ),
        (b'event: Error\ndata: {"error_code":"720701013"}\n\n', CozeWorkflowError, 720701013),
        (b"event: Error\ndata: {}\n\n", CozeWorkflowError, None),
        (b"event: error\ndata: the graph broke\n\n", CozeWorkflowError, None),
        (b'{"code":4200,"msg":"not published"}\n\n', CozeError, 4200),
    ],
)
def test_failures_have_the_class_of_their_code(
    event: bytes, kind: type[CozeError], code: int | None
) -> None:
    with pytest.raises(kind) as caught:
        read_run_stream(event)
    assert caught.value.code == code


def test_a_failure_has_the_debug_url() -> None:
    event = b'event: Error\ndata: {"error_code":1,"error_message":"x","debug_url":"https://d"}\n\n'
    with pytest.raises(CozeWorkflowError) as caught:
        read_run_stream(event)
    assert caught.value.debug_url == "https://d"


def test_a_failure_does_not_show_the_token() -> None:
    parser = RunParser(token="sesame-open-now")
    with pytest.raises(CozeWorkflowError) as caught:
        parser.feed(b'event: Error\ndata: {"error_message":"sesame-open-now is wrong"}\n\n')
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("stream", [b"", SPOKEN, SPOKEN + JOKE, JOKE[:-30], DONE[:9]])
def test_a_stream_that_is_cut_is_an_error(stream: bytes) -> None:
    with pytest.raises(CozeStreamError):
        read_run_stream(stream)


def test_a_message_that_is_not_json_is_an_error() -> None:
    with pytest.raises(CozeStreamError):
        read_run_stream(b"event: Message\ndata: {half\n\n", DONE)


def test_nothing_counts_after_the_end() -> None:
    assert read_run(JOKE, DONE, ERROR, make_message("x", "End")).output["output"]


# --- Questions -----------------------------------------------------------------------------------


def make_question(**interrupt: Any) -> dict[str, Any]:
    body = {"interrupt_data": {"event_id": "1/2", "type": 2, **interrupt}, "node_title": "Ask"}
    event = b"event: Interrupt\ndata: " + json.dumps(body).encode() + b"\n\n"
    question = read_run_stream(make_message("Which city?", "Ask"), event).build_interrupt("73")
    assert question is not None
    return question


def test_the_recorded_question_gives_an_interrupt() -> None:
    parser = read_run_stream(make_message("Which city?", "问答"), ASKED)
    assert parser.build_interrupt("73") == {
        "event_id": "7404830425073352713/2769808280134765896",
        "type": 2,
        "question": "Which city?",
        "options": [],
        "node": "问答",
        "required_parameters": {},
        "workflow_id": "73",
    }
    assert parser.build_run("73").output is None


def test_a_question_of_studio_is_the_last_of_its_node() -> None:
    messages = [
        {"type": "question", "content_type": "text", "content": "Which city?"},
        {"type": "answer", "content_type": "text", "content": "?"},
        {"type": "question", "content_type": "text", "content": "The city, please?"},
    ]
    assert make_question(data=json.dumps({"messages": messages}))["question"] == "The city, please?"


@pytest.mark.parametrize("as_text", [True, False])
def test_a_question_has_its_options(*, as_text: bool) -> None:
    content: Any = {"options": [{"name": "A"}, {"name": "B"}], "question": "Which?"}
    reported = json.dumps(content) if as_text else content
    item = {"type": "question", "content_type": "option", "content": reported}
    interrupt = make_question(data=json.dumps({"messages": [item]}))
    assert (interrupt["question"], interrupt["options"]) == ("Which?", ["A", "B"])


def test_an_input_node_has_its_required_parameters() -> None:
    # wire 4.2, the sample of the API page
    data = (
        '{"content_type":"text","content":"[{\\"type\\":\\"string\\",\\"name\\":\\"img\\",'
        '\\"required\\":true,\\"assistType\\":2}]"}'
    )
    wanted = {"img": {"required": True, "type": "image"}}
    interrupt = make_question(data=data, type=5, required_parameters=wanted)
    assert (interrupt["question"], interrupt["required_parameters"]) == ("Which city?", wanted)
    interrupt = make_question(data=data, type=5)
    assert interrupt["required_parameters"]["img"]["type"] == "string"
    body = {"interrupt_data": {"event_id": "1", "type": 5, "data": data}}
    event = b"event: Interrupt\ndata: " + json.dumps(body).encode() + b"\n\n"
    # the fields are in the text of the message
    asked_in_message = read_run_stream(make_message(data, "Form"), event).build_interrupt("73")
    assert asked_in_message is not None
    assert asked_in_message["question"] == "img (string)"
    parser = RunParser()
    parser.feed_reply(RunReply(interrupt_data=RunInterrupt(data=data, event_id="1", type=5)))
    asked_alone = parser.build_interrupt("73")
    assert asked_alone is not None
    assert asked_alone["question"] == "img (string)"


@pytest.mark.parametrize("data", ["Which city?", ' "quoted" ', "[]", "{}", "null", "7", "{broken"])
def test_any_data_of_a_question_is_accepted(data: str) -> None:
    assert isinstance(make_question(data=data)["question"], str)


@pytest.mark.parametrize(
    ("pending", "answer", "sent"),
    [
        ({"type": 2}, "Hangzhou", "Hangzhou"),
        ({"type": 2}, "", ""),
        ({"type": 2}, 7, "7"),
        ({"type": 2}, True, "true"),
        ({"type": 2}, ["杭州"], '["杭州"]'),
        ({"type": 5}, {"city": "杭州"}, '{"city": "杭州"}'),
        ({"type": 5, "required_parameters": {"city": {}}}, "杭州", '{"city": "杭州"}'),
        ({"type": 5, "required_parameters": {"city": {}}}, '{"city":"x"}', '{"city":"x"}'),
        ({"type": 5, "required_parameters": {"a": {}, "b": {}}}, "x", "x"),
    ],
)
def test_answers_are_sent_as_text(pending: dict[str, Any], answer: Any, sent: str) -> None:
    assert serialize_answer(name_answer(pending, answer)) == sent


# --- Replies and histories -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "output", "content"),
    [
        ('{"output":"Tea."}', {"output": "Tea."}, '{"output": "Tea."}'),
        (
            '{"content_type":1,"data":"Tea.","original_result":null,"type_for_model":2}',
            "Tea.",
            "Tea.",
        ),
        ("Tea.", "Tea.", "Tea."),
        ("123", 123, "123"),
        ("1.10", 1.1, "1.10"),
        ("1e3", 1000.0, "1e3"),
        ("true", True, "true"),
        ("[1]", [1], "[1]"),
        ("", "", ""),
    ],
)
def test_every_form_of_a_reply_is_read(data: str, output: Any, content: str) -> None:
    parser = RunParser()
    parser.feed_reply(RunReply(data=data))
    run = parser.build_run("73")
    assert (run.output, run.content, run.data) == (output, content, data)


def test_a_history_has_three_levels() -> None:
    # wire 4.3
    inner = '{"content_type":1,"data":"Tea.","original_result":null,"type_for_model":2}'
    reported = RunHistory(
        execute_status="Success", execute_id="7", output=json.dumps({"Output": inner})
    )
    parser = RunParser()
    parser.feed_history(reported)
    assert (parser.build_run("73").output, parser.build_run("73").execute_id) == ("Tea.", "7")
    parser.feed_history(RunHistory(execute_status="Success", output='{"Output":"{\\"a\\":1}"}'))
    assert parser.build_run("73").output == {"a": 1}
    parser.feed_history(RunHistory(execute_status="Success", output='{"Output":{"a":1}}'))
    assert parser.build_run("73").output == {"a": 1}
    parser.feed_history(
        RunHistory(execute_status="Success", output='{"a":"1","b":"2"}')
    )  # Coze Studio
    assert parser.build_run("73").output == {"a": "1", "b": "2"}
    parser.feed_history(RunHistory(execute_status="Success", output="text"))
    assert parser.build_run("73").output == "text"


@pytest.mark.parametrize("status", ["Fail", "Cancel", "new"])
def test_a_failure_in_a_history_raises_its_error(status: str) -> None:
    reported = {"execute_status": status, "error_code": "720701013", "error_msg": "the node broke"}
    with pytest.raises(CozeWorkflowError, match="the node broke") as caught:
        RunParser().feed_history(RunHistory.model_validate(reported))
    assert caught.value.code == 720701013


def test_an_output_is_formatted_for_models() -> None:
    assert format_output({"城市": "杭州"}, "") == '{"城市": "杭州"}'
    assert format_output(None, "null") == ""
    assert format_output({"a": float("inf")}, '{"a":1e999}') == '{"a":1e999}'


def test_a_run_can_be_stored_as_json() -> None:
    run = read_run(SPOKEN, JOKE, DONE)
    assert WorkflowRun.model_validate(json.loads(run.model_dump_json())) == run
