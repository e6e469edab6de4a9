"""A Coze bot calls tools that run here: two at once, one of which asks a person first.

Run it with `python examples/agent_tools.py`. A bot of your own needs two local plugins (端插件)
with the names and parameters of the tools below.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

from langchain_coze import CozeError, create_coze_agent
from langchain_coze.local import ClientTool

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from langchain_core.runnables import RunnableConfig

QUESTION = "Is it a day for the garden? If so, a table for two please."


@tool
def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"sunny in {city}"


@tool
def book_table(people: int) -> str:
    """Book a table in the garden, if a person agrees."""
    if interrupt(f"Book a table for {people}?") != "yes":
        return "not booked: the guest has changed their mind"
    return f"table for {people} booked"


def host(_: str) -> Generator[Any, Any, None]:
    """Answer on the local server: call both tools at once, then tell what came of it."""
    weather, table = yield (
        ClientTool("get_weather", {"city": "杭州"}),
        ClientTool("book_table", {"people": 2}),
    )
    yield f"It is {weather}. I have asked for your table: {table}."


def agree(question: str) -> str:
    """Ask the person at the terminal; without one, agree."""
    print(f"? {question} ", end="", flush=True)
    if sys.stdin.isatty():
        return input("(yes/no) ")
    print("yes")
    return "yes"


def main() -> None:
    """Run the agent until it has no more questions; stream what it says."""
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with coze_bot(host) as bot:
        tools = [get_weather, book_table]
        agent = create_coze_agent(bot, tools, name="host", checkpointer=InMemorySaver())
        print(f"> {QUESTION}")
        given: Any = {"messages": [("user", QUESTION)]}
        while given is not None:
            parts: Iterator[Any] = agent.stream(given, config, stream_mode="messages")
            for chunk, _ in parts:
                print(chunk.text, end="\n" if chunk.type == "tool" else "", flush=True)
            asked = agent.get_state(config).interrupts
            answers = {question.id: agree(question.value) for question in asked}
            given = Command(resume=answers) if answers else None
        print()


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
