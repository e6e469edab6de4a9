"""The server of a soak, in a process of its own.

Each served function begins with the name of its call, counts it, and answers with that name: so the
clients can see which answer belongs to which call, and the report which calls ran twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.documents import Document

from langchain_coze.local import (
    Ask,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalSite,
    LocalWorkflow,
    Message,
    Output,
    Pause,
    Turn,
)
from tests.soak.figures import measure

WORDS = 12  # pieces of an answer
TOPICS = 40
RUNS: Counter[str] = Counter()
LOCK = threading.Lock()


def write_answer(call: str) -> str:
    """Return the only right answer to a call."""
    return " ".join(f"{call}:{number}" for number in range(WORDS))


def count_run(call: str) -> None:
    """Record that a call has reached its function."""
    with LOCK:
        RUNS[call] += 1


async def answer(question: str, turn: Turn) -> AsyncIterator[Any]:
    """Answer as the bot, in pieces; with a file, tell its size."""
    call, *_ = question.split()
    count_run(call)
    for file in turn.files:
        yield f"{len(file.data)} bytes "
    text = write_answer(call)
    for start in range(0, len(text), 20):
        yield text[start : start + 20]
        yield Pause(random.random() * 0.05)


async def answer_site(question: str) -> AsyncIterator[str]:
    """Answer as an agent of coze.site."""
    call, *_ = question.split()
    count_run(call)
    text = write_answer(call)
    for start in range(0, len(text), 20):
        yield text[start : start + 20]
        await asyncio.sleep(random.random() * 0.05)


def book(call: str) -> Any:
    """Ask for a day, then book it."""
    count_run(call)
    yield Message("looking", node_title="Look")
    day = yield Ask("Which day?")
    yield Output(f"{write_answer(call)} on {day}")


def run_site(call: str) -> str:
    """Run as a workflow of coze.site."""
    count_run(call)
    return write_answer(call)


def report(coze: LocalCoze) -> dict[str, Any]:
    """Return the calls that ran more than once, and what this process holds."""
    with LOCK:
        repeated = sorted(call for call, runs in RUNS.items() if runs > 1)
    assert coze._server is not None
    streams = len(coze._server.app.state.connections.streams)
    return {"repeated": repeated, "streams": streams, "figures": measure(tasks=0)._asdict()}


def main() -> None:
    """Serve until the standard input ends; each line of it is answered with a report."""
    documents = [
        Document(f"The topic{number} is described here.", metadata={"title": f"topic{number}"})
        for number in range(TOPICS)
    ]
    bot = LocalBot(answer, name="soak", knowledge=LocalKnowledge(documents, name="topics"), k=1)
    with (
        LocalCoze(bot, workflows=LocalWorkflow(book, name="book")) as coze,
        LocalSite(agent=answer_site) as agent,
        LocalSite(workflow=run_site) as workflow,
        LocalSite(agent=answer_site, faults="cut=3") as broken,
    ):
        sites = [
            {"base_url": site.base_url, "api_key": site.token} for site in (agent, workflow, broken)
        ]
        greeting = {
            "coze": {"base_url": coze.base_url, "api_key": coze.token},
            "bot_id": coze.bots[0].bot_id,
            "workflow_id": coze.workflows[0].workflow_id,
            "sites": sites,
        }
        print(json.dumps(greeting), flush=True)
        for _ in sys.stdin:
            print(json.dumps(report(coze)), flush=True)


if __name__ == "__main__":
    main()
