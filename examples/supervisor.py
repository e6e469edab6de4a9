"""Three Coze bots: one leads, the other two work for it.

Run it with `python examples/supervisor.py`; it needs `pip install langgraph-supervisor`. The bot
that leads hands over by local plugins (端插件): a bot of your own must have some that are named
`transfer_to_weather` and `transfer_to_travel`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage

from langchain_coze import ChatCoze, CozeError, create_coze_agent
from langchain_coze.local import ClientTool, LocalBot, LocalCoze

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_coze.local import Turn

try:
    from langgraph_supervisor import create_supervisor
except ImportError:
    sys.exit("This example needs one more package: pip install langgraph-supervisor")

QUESTION = "What shall we do in Hangzhou tomorrow?"


def lead(_: str, turn: Turn) -> Generator[Any, Any, None]:
    """Ask each of the others once, then sum up."""
    heard = [message.text for message in turn.messages if message.text.startswith("[")]
    for name in ("weather", "travel"):
        if not any(text.startswith(f"[{name}]") for text in heard):
            yield ClientTool(f"transfer_to_{name}")
    yield "To sum up: sun, and a boat on West Lake."


def weather(question: str) -> str:
    """Answer the question of the user."""
    return f"Tomorrow is sunny. (asked: {question})"


def travel(question: str, turn: Turn) -> str:
    """Answer with what the other bot has said in view."""
    told = next(m.text for m in turn.messages if m.text.startswith("[weather]"))
    return f"Take a boat on West Lake. (asked: {question} told: {told})"


def main() -> None:
    """Ask the team, and show who says what."""
    with LocalCoze([LocalBot(lead), LocalBot(weather), LocalBot(travel)]) as coze:
        leader, *workers = (
            ChatCoze(bot_id=bot.bot_id, api_key=coze.token, base_url=coze.base_url)
            for bot in coze.bots
        )
        agents: list[Any] = [
            create_coze_agent(worker, name=bot.name)
            for worker, bot in zip(workers, coze.bots[1:], strict=True)
        ]
        graph = create_supervisor(agents, model=leader, add_handoff_back_messages=False).compile()
        state = graph.invoke({"messages": [HumanMessage(QUESTION)]})
        for message in state["messages"]:
            if message.text:
                print(f"{message.name or 'user'}: {message.text}")


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
