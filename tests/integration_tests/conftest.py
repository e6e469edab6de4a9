from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from langchain_coze import ChatCoze
from langchain_coze.local import FollowUp, LocalBot, LocalCoze, LocalKnowledge, Reasoning

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


@pytest.fixture(scope="module")
def coze() -> Iterator[LocalCoze]:
    with LocalCoze(BOT) as server:
        yield server


@pytest.fixture
def chat(coze: LocalCoze) -> Iterator[Callable[..., ChatCoze]]:
    """Return what makes a ChatCoze for the server; faults are switched off afterwards."""

    def make(**fields: object) -> ChatCoze:
        return ChatCoze(
            **{
                "bot_id": BOT.bot_id,
                "api_key": coze.token,
                "base_url": coze.base_url,
                "timeout": 5,
                **fields,
            }
        )

    coze.reset()
    yield make
    coze.faults = ()
