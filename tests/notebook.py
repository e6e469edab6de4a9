"""Runs the notebook of the examples; `python -m tests.notebook` stores its outputs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parent.parent / "examples" / "tour.ipynb"
MAX_SECONDS = 60  # of a cell


def run_notebook(path: Path = TOUR) -> Any:
    """Run all cells in a new kernel and return the notebook with its outputs.

    Raises:
        CellExecutionError: A cell has failed.
    """
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=MAX_SECONDS, resources=folder, record_timing=False)
    # A bar that a library would draw with ipywidgets warns with a path of this machine.
    client.execute(env=os.environ | {"PYTHONWARNINGS": "ignore"})
    return notebook


if __name__ == "__main__":
    nbformat.write(run_notebook(), TOUR)
