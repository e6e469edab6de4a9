"""A LangChain Runnable served as a Coze bot, to any client that speaks the Coze API.

    python -m langchain_coze.local examples.serve_runnable:bot    # serve until Ctrl-C
    python examples/serve_runnable.py                             # serve, ask once, end

Put your own chain, agent or LangGraph graph in the place of `chain`: the server calls it with the
messages of the conversation, and streams what it gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.runnables import RunnableGenerator, RunnableLambda

from langchain_coze import ChatCoze
from langchain_coze.local import LocalBot, LocalCoze

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_core.messages import BaseMessage


def last_question(messages: list[BaseMessage]) -> str:
    """Return the text of the last message."""
    return messages[-1].text


async def backwards(questions: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the words of a question from the last to the first."""
    async for question in questions:
        for word in reversed(question.split()):
            yield f"{word} "


chain = RunnableLambda(last_question) | RunnableGenerator(backwards)
bot = LocalBot(chain, name="backwards", follow_ups=["And once more?"])


if __name__ == "__main__":
    with LocalCoze(bot) as coze:
        client = ChatCoze(bot_id=bot.bot_id, api_key=coze.token, base_url=coze.base_url)
        for chunk in client.stream("one two three"):
            print(chunk.text, end="", flush=True)
        print()
