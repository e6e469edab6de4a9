"""The benchmark measures what it says: its bytes, its server and its arithmetic."""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks import jobs, naive, server, wire
from tests.benchmarks.clients import Coze, RawHttpx, RawSite, refused
from tests.benchmarks.fleet import Child
from tests.benchmarks.jobs import Job, Sample
from tests.benchmarks.scenarios import COZE, OPENAI, RAW, Cell, Goal, Scenario, all_scenarios
from tests.benchmarks.table import Results, document, judge, number


def parse_events(data: bytes) -> list[tuple[str, Any]]:
    events = []
    for block in data.decode().split("\n\n")[:-1]:
        name, payload = block.split("\n")
        events.append((name.removeprefix("event:"), json.loads(payload.removeprefix("data:"))))
    return events


def test_coze_stream_is_a_whole_turn() -> None:
    events = parse_events(wire.stream_bytes("coze", 40))
    deltas = [
        x["content"]
        for name, x in events
        if name == "conversation.message.delta" and isinstance(x, dict)
    ]
    assert "".join(deltas) == wire.text(40)
    assert [name for name, _ in events[:2]] == [
        "conversation.chat.created",
        "conversation.chat.in_progress",
    ]
    completed = next(x for name, x in events if name == "conversation.message.completed")
    assert isinstance(completed, dict)
    assert completed["content"] == wire.text(40)
    assert events[-1] == ("done", "[DONE]")


def test_coze_bytes_are_escaped_as_go_does() -> None:
    data = wire.stream_bytes("coze", 40)
    assert b"R\\u0026D" in data
    assert b"\\u003cb\\u003e" in data
    assert "知识库".encode() in data
    assert b"&" not in data


def test_site_stream_is_a_whole_turn() -> None:
    frames = [frame for _, frame in parse_events(wire.stream_bytes("site", 40))]
    assert [frame["sequence_id"] for frame in frames] == list(range(1, 44))
    assert "".join(frame["content"]["answer"] or "" for frame in frames) == wire.text(40)
    kinds = [frame["type"] for frame in frames]
    assert (kinds[0], set(kinds[1:-1]), kinds[-1]) == ("message_start", {"answer"}, "message_end")


@pytest.mark.parametrize("dialect", ["openai", "mistral"])
def test_peers_get_the_same_text(dialect: str) -> None:
    lines = wire.stream_bytes(dialect, 40).decode().split("\n\n")[:-1]
    assert lines.pop() == "data: [DONE]"
    choices = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines]
    assert "".join(x["delta"].get("content", "") for x in choices) == wire.text(40)
    assert choices[-1]["finish_reason"] == "stop"
    body = json.loads(wire.whole(dialect, 40))
    assert body["choices"][0]["message"]["content"] == wire.text(40)


def test_question_survives_a_request_body() -> None:
    body = json.dumps(naive.request_body(wire.ask("gate", 10, 200))).encode()
    assert wire.understand(body) == wire.Question("gate", 10, 200, stream=True)
    assert wire.understand(b'{"content":"bench-never-1-1"}') is None
    assert wire.understand(b"{}") is None


def test_server_sends_one_chunk_per_event() -> None:
    child = Child(sys.executable, ["tests.benchmarks.server"])
    try:
        connection = http.client.HTTPConnection("127.0.0.1", int(child.receive()), timeout=10)
        for mode in ("burst", "paced", "gate"):
            body = json.dumps(naive.request_body(wire.ask(mode, 5)))
            connection.request("POST", "/v3/chat", body)
            response = connection.getresponse()
            assert response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
            assert response.read() == wire.stream_bytes("coze", 5)
        connection.request("POST", "/stream_run", json.dumps(RawSite._body(wire.ask("burst", 5))))
        assert connection.getresponse().read() == wire.stream_bytes("site", 5)
        connection.request("POST", "/mistral/v1/chat/completions", wire.ask("burst", 5))
        assert connection.getresponse().read() == wire.whole("mistral", 5)
        connection.close()
    finally:
        child.close()
    assert server.framed(b"abc") == b"3\r\nabc\r\n"


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    child = Child(sys.executable, ["tests.benchmarks.server"])
    yield int(child.receive())
    child.close()


@pytest.mark.parametrize(("mode", "at_once"), [("recall", True), ("silence", False)])
def test_a_recall_is_sent_and_then_the_answer_held_back(
    server_port: int, mode: str, *, at_once: bool
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server_port, timeout=10)
    body = json.dumps(naive.request_body(wire.ask(mode, 5, 300)))
    start = time.monotonic()
    connection.request("POST", "/v3/chat", body)
    response = connection.getresponse()
    read, came = b"", dict[str, float]()
    while piece := response.read1():
        read += piece
        for mark in ("knowledge_recall", "message.delta", "done"):
            if mark.encode() in read:
                came.setdefault(mark, time.monotonic())
    connection.close()
    names = wire.recalled(read)
    sent = wire.sent_at(names[0])
    assert start < sent < came["knowledge_recall"] < sent + 0.2
    assert (came["message.delta"] < sent + 0.2) is at_once
    assert came["done"] >= sent + 0.299
    events = parse_events(read)
    verbose = events.pop(2)[1]
    assert isinstance(verbose, dict)
    payload = json.loads(json.loads(verbose["content"])["data"])
    assert [chunk["meta"]["document"]["name"] for chunk in payload["chunks"]] == names
    assert len(names) == wire.CHUNKS
    assert "&lang" in payload["chunks"][0]["meta"]["link"]["url"]
    assert b"&" not in read
    assert events == parse_events(wire.stream_bytes("coze", 5))


async def test_the_clock_of_a_recall_stops_once_documents_are_returned(server_port: int) -> None:
    job = jobs.Job("recall", mode="recall", deltas=3, width=300, repeat=3)
    left = jobs.recall(RawHttpx(server_port), job)
    also = await jobs.arecall(RawHttpx(server_port), job)
    waited = jobs.recall(Coze(server_port), jobs.Job("recall", mode="silence", deltas=3, width=300))
    for sample in (left, also):
        assert (sample.good, sample.total) == (3, 3)
        assert 0 < sample.figures["after"] < 200
        assert sample.figures["after"] < sample.figures["us"] / 1e3
    assert waited.good == 1
    assert waited.figures["after"] >= 299


def test_recalls_without_documents_are_no_good() -> None:
    recalls = jobs._Recalls()
    recalls.add(0.0, 1.0, [])
    assert recalls.sample().good == 0
    assert wire.recalled(wire.answer("recall", 0).deltas[0][:-1]) == []


def test_only_a_failed_connection_counts_as_having_reached_tls() -> None:
    def early() -> None:
        raise AttributeError

    def late() -> None:
        raise RuntimeError from ConnectionRefusedError()

    assert refused(late)
    assert not refused(early)
    assert not refused(lambda: None)


def make_results(*, top: list[float], bottom: list[float], good: int = 1) -> Results:
    job = Job("stream")
    cells = (Cell(COZE, COZE, job), Cell(OPENAI, OPENAI, job))
    made = Results(Scenario("x", "X", "CPU µs per delta", cells, (), 1, bases=(OPENAI,)))
    for mine, other in zip(top, bottom, strict=True):
        made.add(cells[0], Sample({"us": mine, "failed": 1.0 - good}, good, 1))
        made.add(cells[1], Sample({"us": other, "failed": 0.0}, 1, 1))
    return made


def test_ratio_is_taken_within_each_round() -> None:
    made = make_results(top=[1.0, 20.0, 3.0], bottom=[10.0, 100.0, 10.0])
    assert made.ratio(COZE, OPENAI) == pytest.approx(0.2)
    verdict = judge(made, Goal("x", 0.2, bottom=OPENAI))
    assert (verdict.measured, verdict.outcome) == ("0.200×", "met")
    assert judge(made, Goal("x", 0.19, bottom=OPENAI)).outcome == "**NOT MET**"


def test_absolute_goals_need_no_peer() -> None:
    made = make_results(top=[90.0, 110.0, 95.0], bottom=[1.0, 1.0, 1.0])
    assert judge(made, Goal("x", 100)).outcome == "met"
    assert judge(made, Goal("x", 0, figure="failed")).outcome == "met"


def test_incomplete_answers_void_a_row_and_missing_clients_are_named() -> None:
    made = make_results(top=[1.0], bottom=[10.0], good=0)
    assert "VOID" in judge(made, Goal("x", 1, bottom=OPENAI)).outcome
    assert judge(made, Goal("x", 0, figure="failed")).outcome == "**NOT MET**"
    assert "MISSING" in judge(made, Goal("x", 1, bottom=RAW)).outcome
    report = document([made], ["- one machine"], {"cozepy": "no environment"})
    assert "**cozepy**: no environment" in report
    assert "0 of 1" in report


def test_numbers_have_three_figures() -> None:
    shown = [number(x) for x in (0.0, 0.01234, 1.5, 12.345, 1234.5, 3.0)]
    assert shown == ["0", "0.0123", "1.50", "12.3", "1,234", "3"]


@pytest.mark.parametrize("quick", [True, False])
def test_every_goal_and_base_names_a_cell(*, quick: bool) -> None:
    offered = all_scenarios(quick=quick)
    assert len({scenario.name for scenario in offered}) == len(offered)
    for scenario in offered:
        keys = {cell.key for cell in scenario.cells}
        named = {x for goal in scenario.goals for x in (goal.top, goal.bottom)} - {""}
        assert named | set(scenario.bases) <= keys
