"""The soak of the local server runs, and would tell a leak."""

import dataclasses
import subprocess
import sys

import pytest

from tests.benchmarks.fleet import ROOT
from tests.benchmarks.soak import Figures, judged

BEFORE = Figures(rss_kb=40_000, files=8, threads=2, tasks=1, streams=0)


def test_fifty_streams_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.soak", "--quick"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing is left behind\n")
    assert done.stdout.count("50 of 50") == 2
    # All of them were open at once; a stream of a workflow has a task for its heartbeats.
    assert "| 161 | 50 |" in done.stdout


@pytest.mark.parametrize("name", ["files", "threads", "tasks", "streams"])
def test_every_leak_is_reported(name: str) -> None:
    after = dataclasses.replace(BEFORE, **{name: getattr(BEFORE, name) + 1})
    (told,) = judged([BEFORE, BEFORE, after], 50, [50, 50])
    assert told.startswith(f"{name}: ")
    assert judged([after, after, BEFORE], 50, [50, 50]) == []


def test_growing_memory_is_reported() -> None:
    def grown(kilobytes: int) -> Figures:
        return dataclasses.replace(BEFORE, rss_kb=BEFORE.rss_kb + kilobytes)

    # What the first two rounds fill is no leak.
    assert judged([BEFORE, grown(9000), grown(20_000), grown(20_500)], 100, [100] * 3) == []
    (told,) = judged([BEFORE, BEFORE, BEFORE, grown(2000)], 100, [100] * 3)
    assert told == "memory: 20.0 KB more with every stream"


def test_cut_streams_are_reported() -> None:
    assert judged([BEFORE] * 3, 50, [50, 49]) == ["round 2: 49 of 50 whole"]
