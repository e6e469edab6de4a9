"""The sample bot and workflows that a server has by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.bots import LocalBot
from langchain_coze.local.knowledge_workflows import knowledge_workflow
from langchain_coze.local.reply_parts import Ask
from langchain_coze.local.runtime.extractive_reply import extract_reply
from langchain_coze.local.runtime.text import is_chinese
from langchain_coze.local.samples.greeting import greet, suggest_questions
from langchain_coze.local.samples.knowledge import create_sample_knowledge
from langchain_coze.local.workflow_parts import AskInput, Message
from langchain_coze.local.workflows import LocalWorkflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from langchain_coze.local.turn_context import Turn


def create_sample_bot() -> LocalBot:
    """Return a bot that answers questions about Coze and LangChain."""
    return LocalBot(
        name="Local Coze bot",
        description="Answers from a few built-in documents, in English and Chinese",
        knowledge=create_sample_knowledge(),
        reply=_answer,
        follow_ups=suggest_questions,
    )


async def _answer(question: str, turn: Turn) -> AsyncIterator[str]:
    if greeting := greet(question):
        yield greeting
        return
    async for delta in extract_reply(question, turn):
        yield delta


def create_sample_workflows() -> tuple[LocalWorkflow, ...]:
    """Return the built-in workflows."""
    search = knowledge_workflow(
        create_sample_knowledge(),
        name="search_knowledge",
        description="Searches a few built-in documents on Coze and LangChain",
    )
    return LocalWorkflow(count_words), LocalWorkflow(book_room), search


def count_words(text: str, longest_only: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - a parameter of the workflow
    """Count the words and the characters of a text.

    Args:
        text: Any text.
        longest_only: Whether to return only the longest word.
    """
    words = text.split()
    longest = max(words, key=len, default="")
    if longest_only:
        return {"longest": longest}
    return {"words": len(words), "characters": len(text), "longest": longest}


def book_room(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Book a hotel room: request the guest and the number of nights, then a confirmation.

    Args:
        city: The city of the hotel.
    """
    chinese = is_chinese(city)
    if chinese:
        yield Message(f"正在查找{city}的房间", node_title="查找房间")
    else:
        yield Message(f"Looking for rooms in {city}", node_title="Search")
    values: dict[str, Any] = yield AskInput({"guest": str, "nights": (int, 1)})
    if chinese:
        answer: str = yield Ask(f"在{city}住 {values['nights']} 晚，确认预订吗？", ["是", "否"])
    else:
        answer = yield Ask(f"{values['nights']} night(s) in {city}: book it?", ["yes", "no"])
    return {"booked": answer in {"yes", "是"}, "city": city, **values}
