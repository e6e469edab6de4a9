"""The sample agent that a site has by default."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_coze.local.reply_parts import ServerTool
from langchain_coze.local.runtime.text import is_chinese
from langchain_coze.local.samples.greeting import greet
from langchain_coze.local.samples.knowledge import create_sample_knowledge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local.turn_context import Turn

_knowledge = lru_cache(create_sample_knowledge)


def answer_about_coze(question: str, turn: Turn) -> Iterator[Any]:
    """Search a few built-in documents on Coze and LangChain, and answer with the best passage."""
    found = _knowledge().search(question, 1)
    number = sum(message.type == "human" for message in turn.messages)
    yield ServerTool("search_documents", {"query": question}, [chunk.slice for chunk in found])
    if greeting := greet(question):
        yield greeting
    elif is_chinese(question):
        yield f"第 {number} 个问题："
        yield found[0].slice if found else "没有找到相关内容。"
    else:
        yield f"Question {number}: "
        yield found[0].slice if found else "I found nothing about this."
