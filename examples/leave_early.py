"""Leaving before the end: break out of a stream, bound a turn, cancel it in Coze.

Run it with `python examples/leave_early.py`. It asks a local server, and prints what that saw.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from langchain_coze import ChatCoze, CozeTimeoutError
from langchain_coze.local import LocalBot, LocalCoze, Pause

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from langchain_core.messages import AIMessageChunk

LONGEST_WAIT = 5.0  # seconds for a cancel request, which is sent in the background


def ramble(_: str) -> Iterator[str | Pause]:
    """Answer on the local server: count for ten seconds."""
    for number in range(200):
        yield f"{number} "
        yield Pause(0.05)


def told(coze: LocalCoze, requests: int) -> list[str]:
    """Return what the server saw, when it has seen so many requests, and forget it."""
    until = time.monotonic() + LONGEST_WAIT
    while len(coze.requests) < requests and time.monotonic() < until:
        time.sleep(0.01)
    paths = [request.path for request in coze.requests]
    coze.reset()
    return paths


async def first_words(bot: ChatCoze) -> str:
    """Return the beginning of an answer; `aclosing` ends the stream at once."""
    said = ""
    # what LangChain declares as an iterator is a generator
    stream: AsyncGenerator[AIMessageChunk] = bot.astream("Tell me all.")  # type: ignore[assignment]
    async with aclosing(stream) as chunks:
        async for chunk in chunks:
            said += chunk.text
            if "3 " in said:
                break
    return said


def main() -> None:
    """Leave in four ways."""
    with LocalCoze(LocalBot(ramble)) as coze:
        bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        for chunk in bot.stream("Tell me all."):
            if "3 " in chunk.text:
                break
        print("break:", *told(coze, 1))

        cancelling = bot.model_copy(update={"cancel_on_close": True})
        for chunk in cancelling.stream("Tell me all."):
            if "3 " in chunk.text:
                break
        print("break, cancel_on_close:", *told(coze, 2))

        asyncio.run(first_words(cancelling))
        print("async, cancel_on_close:", *told(coze, 2))

        bounded = cancelling.model_copy(update={"max_duration": 0.5})
        try:
            bounded.invoke("Tell me all.")
        except CozeTimeoutError as error:
            print("max_duration:", error.message)
        print("max_duration, cancel_on_close:", *told(coze, 2))


if __name__ == "__main__":
    main()
