"""Answer the interrupt of an agent's tool, and print what the agent says or raises.

python -m tests.integration_tests.answering_process FOLDER SECONDS

The process prints "ready", waits for a line, and answers; its tool takes so many seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from langgraph.types import Command, interrupt

from langchain_coze import ChatCoze, CozeError, create_coze_agent
from langchain_coze.local import ClientTool, LocalBot
from tests.integration_tests.agent_fixtures import get_last_text, make_thread_config
from tests.integration_tests.workflow_fixtures import sqlite_saver


def host(_: str) -> Generator[Any, Any, None]:
    told = yield ClientTool("book", {"table": "by the window"})
    yield f"Done: {told}"


HOST = LocalBot(host, name="host")


def build_agent(saver: Any, seconds: float = 0) -> Any:
    """Return an agent whose tool asks a person, and takes so many seconds after the answer."""

    def book(table: str) -> str:
        """Book a table."""
        day = interrupt("Which day?")
        time.sleep(seconds)
        return f"{table} on {day}"

    return create_coze_agent(ChatCoze(), [book], name="host", checkpointer=saver)


def main(folder: str, seconds: str) -> None:
    with sqlite_saver(Path(folder)) as saver:
        agent = build_agent(saver, float(seconds))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        try:
            state = agent.invoke(Command(resume="Friday"), make_thread_config())
            told = "asked again" if "__interrupt__" in state else get_last_text(state)
        except CozeError as error:
            told = f"{type(error).__name__}: {error.message}"
        sys.stdout.write(told)


if __name__ == "__main__":
    main(*sys.argv[1:])
