"""The bot of a server that is started without bots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.bots import LocalBot
from langchain_coze.local.runtime.text import is_chinese
from langchain_coze.local.samples.knowledge import create_sample_knowledge

if TYPE_CHECKING:
    from collections.abc import Sequence


def create_sample_bot() -> LocalBot:
    """Return a bot that answers questions about Coze and LangChain."""
    return LocalBot(
        name="Local Coze bot",
        description="Answers from a few built-in documents, in English and Chinese",
        knowledge=create_sample_knowledge(),
        follow_ups=_suggest_follow_ups,
    )


def _suggest_follow_ups(question: str) -> Sequence[str]:
    if is_chinese(question):
        return ("扣子的知识库是怎么检索的？", "怎样把工作流当作工具使用？")
    return ("How is a knowledge base searched?", "How do I use a workflow as a tool?")
