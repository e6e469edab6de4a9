"""What the built-in bot and the built-in agent of a site say to a greeting."""

from __future__ import annotations

import re

from langchain_coze.local.runtime.text import is_chinese

_GREETING = re.compile(
    r"(hi|hello|hey|help|who are you|what can you do|[你您]好|嗨|帮助|[你您]是谁"
    r"|[你您](能|会|可以)(做|干|回答)?(什么|些什么|哪些问题))\W*(there|吗|呢)?\W*",
    re.IGNORECASE,
)


def suggest_questions(question: str) -> tuple[str, str]:
    """Return two questions that the built-in documents answer, in the language of the question."""
    if is_chinese(question):
        return "扣子的知识库是怎么检索的？", "怎样把工作流当作工具使用？"
    return "How is a knowledge base searched?", "How do I use a workflow as a tool?"


def greet(question: str) -> str:
    """Return the answer to a greeting or to "What can you do?"; empty for any other question."""
    if not _GREETING.fullmatch(question.strip()):
        return ""
    first, second = suggest_questions(question)
    if is_chinese(question):
        return (
            "您好！我根据几篇内置文档回答有关扣子和 LangChain 的问题。"
            f"您可以问：“{first}”或“{second}”"
        )
    return (
        "Hello! I answer questions about Coze and LangChain from a few built-in documents. "
        f"Ask me, for example: “{first}” or “{second}”"
    )
