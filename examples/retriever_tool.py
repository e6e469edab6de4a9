"""An agent that searches a Coze knowledge base: the retriever as a tool.

Run it with `python examples/retriever_tool.py`; it needs `pip install langchain`. With
COZE_API_TOKEN and COZE_BOT_ID set it searches the knowledge base of your bot in Coze.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from _demo_bot import coze_bot
from langchain_core.prompts import PromptTemplate
from langchain_core.tools import create_retriever_tool

from langchain_coze import ChatCoze, CozeError, CozeRecallRetriever
from langchain_coze.local import ClientTool, LocalCoze

if TYPE_CHECKING:
    from collections.abc import Generator

try:
    from langchain.agents import create_agent
except ImportError:
    sys.exit("This example needs one more package: pip install langchain")

QUESTION = "What is a Coze workflow?"


def search_first(question: str) -> Generator[Any, Any, None]:
    """Play the agent's model on a local server: search, then answer from what was found."""
    found = yield ClientTool("search_knowledge", {"query": question})
    yield f"I have looked it up: {found.splitlines()[0]}"


def main() -> None:
    """Let the agent search and answer; show each step."""
    with coze_bot() as bot, LocalCoze(search_first) as scripted:
        retriever = CozeRecallRetriever(
            bot_id=bot.bot_id, api_key=bot.api_key, base_url=bot.base_url, k=2
        )
        # The name and description are what the model chooses by.
        tool = create_retriever_tool(
            retriever,
            "search_knowledge",
            "Searches the handbook on Coze, bots and workflows. Give a full question.",
            document_prompt=PromptTemplate.from_template("{page_content} ({source})"),
            response_format="content_and_artifact",
        )
        # Any chat model that calls tools goes here; this one plays a script on this machine.
        model = ChatCoze(
            bot_id=scripted.bots[0].bot_id, api_key=scripted.token, base_url=scripted.base_url
        )
        agent = create_agent(model, [tool])
        asked: Any = {"messages": [("user", QUESTION)]}
        for message in agent.invoke(asked)["messages"]:
            for call in getattr(message, "tool_calls", []):
                print(f"agent calls / agent 调用: {call['name']}({call['args']['query']!r})")
            if message.type == "tool":
                print(f"tool / 工具: {len(message.artifact)} documents / 文档")
            elif message.text:
                print(f"{message.type}: {message.text}")


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
