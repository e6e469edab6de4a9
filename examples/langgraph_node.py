"""A Coze bot as a node of a LangGraph graph: tokens streamed, history kept, failures repeated.

Run it with `python examples/langgraph_node.py`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy

from langchain_coze import ChatCoze, CozeError, is_retryable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    from langchain_coze.local import Turn


def remember(question: str, turn: Turn) -> str:
    """Answer on the local server: show that the whole history arrives."""
    asked = [message.text for message in turn.messages if message.type == "human"]
    return f"You asked {question!r}. That is question {len(asked)}; the first was {asked[0]!r}."


def graph_of(bot: ChatCoze) -> CompiledStateGraph[MessagesState, None, MessagesState]:
    """Build a graph with one node: the bot."""

    def ask(state: MessagesState) -> dict[str, list[object]]:
        return {"messages": [bot.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("bot", ask, retry_policy=RetryPolicy(max_attempts=3, retry_on=is_retryable))
    graph.add_edge(START, "bot")
    return graph.compile(checkpointer=InMemorySaver())


def main() -> None:
    """Ask two questions in one thread; LangGraph keeps the history, Coze keeps nothing."""
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with coze_bot(remember) as bot:
        graph = graph_of(bot)
        for question in ("What is LangGraph?", "And what did I ask before?"):
            print(f"> {question}")
            state: MessagesState = {"messages": [HumanMessage(question)]}
            tokens: Iterator[Any] = graph.stream(state, config, stream_mode="messages")
            for chunk, _ in tokens:
                print(chunk.text, end="", flush=True)
            print("\n")


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
