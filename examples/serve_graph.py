"""A LangGraph graph of three nodes served as a Coze bot: its tokens are streamed as they come.

    python -m langchain_coze.local examples.serve_graph:graph    # serve until Ctrl-C
    python examples/serve_graph.py                               # serve, ask once, end

Put your own chat model in the place of `Typist`, which types one word after the other. What a model
says in a node is the bot's answer; what the other nodes find stays in the state.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_coze import ChatCoze
from langchain_coze.local import LocalBot, LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = {
    "tea": "Tea grows on hills where the nights are cool.",
    "rice": "Rice grows in fields that stand under water.",
}


class Typist(BaseChatModel):
    """Stands in for a model: it says what the system message tells it, word by word."""

    pause: float = 0.02

    @property
    def _llm_type(self) -> str:
        return "typist"

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        for word in messages[0].text.split():
            time.sleep(self.pause)
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        chunks = list(self._stream(messages))
        text = "".join(chunk.text for chunk in chunks)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


class State(MessagesState):
    """What the nodes share."""

    topic: str
    fact: str


def understand(state: State) -> dict[str, str]:
    """Find out what the question is about."""
    words = state["messages"][-1].text.lower().strip("?").split()
    return {"topic": next((word for word in words if word in FACTS), "")}


def look_up(state: State) -> dict[str, str]:
    """Find what is known of it."""
    return {"fact": FACTS.get(state["topic"], "I know of tea and of rice only.")}


def answer(state: State) -> dict[str, list[BaseMessage]]:
    """Let the model say it."""
    return {"messages": [Typist().invoke([SystemMessage(state["fact"]), *state["messages"]])]}


builder = StateGraph(State)
builder.add_node("understand", understand)
builder.add_node("look_up", look_up)
builder.add_node("answer", answer)
builder.add_edge(START, "understand")
builder.add_edge("understand", "look_up")
builder.add_edge("look_up", "answer")
builder.add_edge("answer", END)
graph = builder.compile(name="farmer")


if __name__ == "__main__":
    with LocalCoze(LocalBot(graph)) as coze:
        bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        for chunk in bot.stream("Where does tea grow?"):
            print(chunk.text, end="", flush=True)
        print()
