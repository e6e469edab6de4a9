"""Workflows that ask back, inside of LangGraph: right answers, and one run for one call.

The cells of a table: how the calls are given to tasks, how many there are, how they are run, and
where threads are kept. Some of these deadlock, or answer wrongly, when built in other ways.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler

from langchain_coze import workflow_graphs
from langchain_coze.local import LocalCoze
from tests.integration_tests.flows import (
    BOOK,
    MAKERS,
    ONE,
    SAVERS,
    THREE,
    WAYS,
    Kept,
    Maker,
    Talk,
    Way,
    answered_twice,
    atalk,
    called,
    listing,
    resumed,
    sending,
    started,
    thread,
    tool_of,
)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def coze() -> Iterator[LocalCoze]:
    with LocalCoze(workflows=BOOK) as server:
        yield server


@pytest.fixture(autouse=True)
def _fresh(coze: LocalCoze) -> None:
    coze.reset()


def assert_right(coze: LocalCoze, calls: list[Any], done: Talk) -> None:
    """Right answers to the right questions, one run for each call, one answer for each event."""
    expected = [
        {
            "name": call["args"]["name"],
            "answers": [
                f"A({call['args']['name']}: question {n + 1}?)"
                for n in range(call["args"].get("questions", 1))
            ],
        }
        for call in calls
    ]
    assert [json.loads(told) for told in done.told] == expected
    assert sorted(run["name"] for run in started(coze)) == [item["name"] for item in expected]
    assert sorted(resumed(coze)) == sorted(a for item in expected for a in item["answers"])
    assert answered_twice(coze) == []


@pytest.mark.parametrize("kept", SAVERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("calls", [ONE, THREE], ids=["1 call", "3 calls"])
@pytest.mark.parametrize("make", MAKERS)
def test_questions_of_calls(
    coze: LocalCoze, make: Maker, calls: list[Any], way: Way, kept: Kept, tmp_path: Path
) -> None:
    tool = tool_of(coze)
    done = way(lambda saver: make(tool, calls, saver), tmp_path, kept=kept)
    assert_right(coze, calls, done)
    if make is sending and calls is THREE:  # all questions that can be asked are asked at once
        assert [sorted(round_) for round_ in done.asked] == [
            ["a: question 1?", "b: question 1?", "c: question 1?"],
            ["b: question 2?"],
        ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", MAKERS)
def test_more_calls_than_threads(coze: LocalCoze, make: Maker, way: Way, tmp_path: Path) -> None:
    calls = [called(id=f"c_{name}", name=name, questions=1) for name in "abcdefgh"]
    tool = tool_of(coze)
    config = {"configurable": {"thread_id": "t"}, "max_concurrency": 2}
    done = way(lambda saver: make(tool, calls, saver), tmp_path, config=config)
    assert_right(coze, calls, done)


# --- Calls of one task, on an event loop -------------------------------------------------------


def two(**waits: float) -> list[Any]:
    return [called(id=f"c_{name}", name=name, wait=wait) for name, wait in waits.items()]


def test_no_call_is_left_behind_by_one_that_asks_sooner(coze: LocalCoze, tmp_path: Path) -> None:
    tool, calls = tool_of(coze), two(a=0, b=0.3)
    done = atalk(lambda saver: listing(tool, calls, saver), tmp_path)
    assert_right(coze, calls, done)


class SlowStart(AsyncCallbackHandler):
    """What makes calls begin late: tracers that take their time."""

    async def on_tool_start(self, serialized: Any, input_str: str, **_: Any) -> None:
        del serialized
        if "'b'" in input_str:
            await asyncio.sleep(0.2)


def test_a_call_that_begins_late_is_started_once(coze: LocalCoze, tmp_path: Path) -> None:
    tool, calls = tool_of(coze), two(a=0, b=0.3)
    config = thread(callbacks=[SlowStart()])
    done = atalk(lambda saver: listing(tool, calls, saver), tmp_path, config=config)
    assert_right(coze, calls, done)


def test_calls_that_have_come_to_rest_are_forgotten(coze: LocalCoze, tmp_path: Path) -> None:
    tool = tool_of(coze)
    calls = [called(id=f"c_{n}", name="a", questions=0) for n in range(4)]
    before = dict(workflow_graphs._groups)
    atalk(lambda saver: listing(tool, calls, saver), tmp_path)
    assert workflow_graphs._groups == before


def test_few_attempts_that_are_over_are_remembered(
    coze: LocalCoze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_graphs, "_MOST_GROUPS", 3)
    tool = tool_of(coze)
    calls = [called(id=f"c_{n}", name="a") for n in range(6)]
    done = atalk(lambda saver: sending(tool, calls, saver), tmp_path)
    assert len(done.asked[0]) == 6
    assert len(workflow_graphs._groups) <= 3
