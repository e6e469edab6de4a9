"""A LangGraph graph of three nodes, served as a Coze bot by the package's own command.

Import it, or run it by hand, from the root of the repository, for any client that speaks the API:

    with served_graph() as graph:
        … graph.base_url, graph.token, graph.bot_id …

    python -m langchain_coze.local examples.serve_graph:graph

Asked "Where does tea grow?" the bot says `ANSWER` in deltas of one word, with pauses between them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TARGET = "examples.serve_graph:graph"
QUESTION = "Where does tea grow?"
ANSWER = "Tea grows on hills where the nights are cool. "
PATIENCE = 20  # seconds


class ServedGraph(NamedTuple):
    """Where the graph is, as the command has printed it."""

    base_url: str
    token: str
    bot_id: str


@contextmanager
def served_graph(target: str = TARGET) -> Iterator[ServedGraph]:
    """Run the command for as long as the block runs."""
    command = [sys.executable, "-m", "langchain_coze.local", target]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            told: dict[str, str] = {}
            while "BOT_ID" not in told:
                line = process.stdout.readline()
                assert line, "the command has ended"
                told.update(re.findall(r"export COZE_(\w+)=(\S+)", line))
            yield ServedGraph(told["API_BASE"], told["API_TOKEN"], told["BOT_ID"])
        finally:
            process.terminate()
            process.wait(PATIENCE)
