"""A bot that answers one question from its knowledge base, for tests that need any answer."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_coze.local import FollowUp, LocalBot, LocalKnowledge, Reasoning

QUESTION = "茶树长在哪里？"
ANSWER = "茶树长在山上。<Tea> & 🍵 grows on hills."


def _answer(_: str) -> Iterator[str | Reasoning | FollowUp]:
    yield Reasoning("想一想。")
    yield from ("茶树", "长在", "山上。", "<Tea> & ", "🍵", " grows on hills.")
    yield FollowUp("还有呢？")


BOT = LocalBot(
    _answer,
    name="tea",
    knowledge=LocalKnowledge(["茶树长在山上。", "Rice grows in water. 水稻长在水里。"]),
)
