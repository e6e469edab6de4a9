"""A soak reports what it is there to find, and a short one finds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.__main__ import Report
from tests.soak.calls import WrongAnswerError, check_text
from tests.soak.figures import Figures
from tests.soak.server import write_answer

RIGHT = write_answer("c7")


@pytest.mark.parametrize(
    ("text", "counter"),
    [
        ("", "lost"),
        (RIGHT[:-4], "lost"),
        (RIGHT + RIGHT, "doubled"),
        (write_answer("c8"), "mixed"),
        (f"{RIGHT} c8:3", "mixed"),
    ],
)
def test_a_wrong_answer_is_named(text: str, counter: str) -> None:
    with pytest.raises(WrongAnswerError, match=f"^{counter}$"):
        check_text(text, "c7")


def test_the_right_answer_passes() -> None:
    check_text(RIGHT, "c7")


def test_only_an_increase_is_reported() -> None:
    before = Figures(memory=90, files=12, threads=2, tasks=1)
    assert Figures(memory=300, files=12, threads=1, tasks=0).exceed(before) == []
    more = Figures(memory=90, files=13, threads=3, tasks=2)
    assert more.exceed(before) == ["files: 12, then 13", "threads: 2, then 3", "tasks: 1, then 2"]


def test_the_last_line_counts_all_defects() -> None:
    report = Report()
    report.calls = 3
    report.add("lost", "c1")
    report.add("leaked", "files")
    assert str(report) == "soak: 1 lost, 0 doubled, 0 mixed, 1 leaked in 3 calls"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_short_soak_finds_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "0.1", "--clients", "20"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("soak: 0 lost, 0 doubled, 0 mixed, 0 leaked in ")
    assert int(last.split()[-2]) >= 20
