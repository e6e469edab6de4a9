"""The notebook runs, and its stored outputs are those that it prints today."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("nbclient", reason="the notebook needs the group `browser`")

import nbformat

from tests.notebook import TOUR, run_notebook

pytestmark = pytest.mark.slow


def get_outputs(notebook: Any) -> list[Any]:
    """Return the text, or the data, of each output of each cell."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[o.get("text") or dict(o["data"]) for o in cell.outputs] for cell in cells]


def test_the_stored_outputs_are_those_of_a_run() -> None:
    stored = nbformat.read(TOUR, as_version=4)
    assert get_outputs(run_notebook()) == get_outputs(stored), "run `python -m tests.notebook`"
    counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_it_can_be_read_without_running_it() -> None:
    text = TOUR.read_text("utf-8")
    assert "image/svg+xml" in text
    assert "1 night(s) in Hangzhou: book it?" in text
    # Nothing of one machine or one run.
    assert not re.search(r"127\.0\.0\.1:|/home/|/root/|/tmp/|Traceback|pat_", text)
    notebook = nbformat.read(TOUR, as_version=4)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert all(re.search(r"[\u4e00-\u9fff]", source) for source in prose)
