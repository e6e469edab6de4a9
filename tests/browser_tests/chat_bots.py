"""What the browser tests serve."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

from langchain_core.documents import Document

from langchain_coze.local import (
    AskInput,
    ClientTool,
    Fail,
    FollowUp,
    LocalBot,
    LocalKnowledge,
    LocalWorkflow,
    Message,
    Pause,
    Reasoning,
    ServerTool,
    Turn,
)
from langchain_coze.local.reply_parts import Ask

HTML = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>'
MEGABYTE = 1_000_000
LINE = "A line of a long answer, one of very many.\n"

gates = {word: threading.Event() for word in ("one", "two", "three")}


async def step(_: str) -> AsyncIterator[str]:
    """Answer in three steps; each waits until the test opens the next gate."""
    for word, gate in gates.items():
        while not gate.is_set():  # noqa: ASYNC110 - the test opens it from another thread
            await asyncio.sleep(0.005)
        yield f"{word} "


def endless(_: str) -> Iterator[Any]:
    """Answer without an end."""
    for number in range(100_000):
        yield f"{number} "
        yield Pause(0.02)


def remember(_: str, turn: Turn) -> str:
    """Say what the conversation holds."""
    said = [message.text for message in turn.messages if message.type == "human"]
    return "You said: " + " | ".join(said)


def use_tools(_: str) -> Iterator[Any]:
    """Think, call a plugin, then a tool of the client."""
    yield Reasoning("First the weather, ")
    yield Reasoning("then the table.")
    yield ServerTool("weather-today", {"city": "杭州"}, {"degrees": 22})
    table = yield ClientTool("book_table", {"people": 2})
    yield f"Your table: {table}"
    yield FollowUp("And tomorrow?")


def linger(question: str) -> Iterator[Any]:
    """Answer, and take a moment to end."""
    yield f"You said: {question}"
    yield Pause(0.3)


def fail(_: str) -> Iterator[Any]:
    """Fail after a few words."""
    yield "I begin, "
    yield Fail(4014, "the model cannot answer")


def inject(_: str) -> Iterator[Any]:
    """Answer with HTML everywhere."""
    yield Reasoning(HTML)
    yield ServerTool(HTML, {HTML: HTML}, HTML)
    yield HTML
    yield FollowUp(HTML)


def write_megabyte(_: str) -> Iterator[str]:
    """Answer with a megabyte."""
    yield from [LINE] * (MEGABYTE // len(LINE) + 1)


def book(
    city: str,
    nights: int = 1,
    breakfast: bool = False,  # noqa: FBT001, FBT002 - a parameter of the workflow
) -> Generator[Any, Any, dict[str, Any]]:
    """Book a room.

    Args:
        city: Where to sleep.
    """
    yield Message(f"Looking in {city}", node_title="Search")
    values = yield AskInput({"guest": str})
    answer = yield Ask(f"{nights} night(s) for {values['guest']}?", ["yes", "no"])
    return {"booked": answer, "city": city, "breakfast": breakfast}


def break_down(text: str) -> str:
    """Fail in a node."""
    raise ValueError(f"cannot read {text}")


EVIL_DOCUMENTS = LocalKnowledge(
    [
        Document(
            "Tea grows on hills.", metadata={"title": HTML, "source": "https://tea.example/a"}
        ),
        Document(
            "Tea is green.", metadata={"title": "bad", "source": "javascript:window.hacked=1"}
        ),
    ],
    name=HTML,
)
STEPS, ENDLESS, MEMORY = LocalBot(step), LocalBot(endless), LocalBot(remember)
TOOLS, FAILING, LONG = LocalBot(use_tools), LocalBot(fail), LocalBot(write_megabyte)
EVIL = LocalBot(inject, name=f"evil {HTML}", description=HTML, knowledge=EVIL_DOCUMENTS)
LINGERING = LocalBot(linger)
BOTS = [MEMORY, LINGERING, STEPS, ENDLESS, TOOLS, FAILING, LONG, EVIL]
WORKFLOWS = [LocalWorkflow(book), LocalWorkflow(break_down)]
