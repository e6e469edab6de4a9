"""The official SDK behind the same calls; runs in the environment that has it."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.benchmarks import wire


class Cozepy:
    """cozepy's own streams, events parsed into its models."""

    def __init__(self, port: int) -> None:
        self._sdk = importlib.import_module("cozepy")
        self._url = f"http://127.0.0.1:{port}"
        self._delta = self._sdk.ChatEventType.CONVERSATION_MESSAGE_DELTA
        self._sync = self._make("Coze")
        self._async = self._make("AsyncCoze")

    def _make(self, kind: str) -> Any:
        auth = self._sdk.TokenAuth(wire.TOKEN)
        return getattr(self._sdk, kind)(auth=auth, base_url=self._url)

    def _arguments(self, question: str) -> dict[str, Any]:
        message = self._sdk.Message.build_user_question_text(question)
        return {"bot_id": wire.BOT_ID, "user_id": "bench", "additional_messages": [message]}

    def drain(self, question: str) -> list[Any]:
        return list(self._sync.chat.stream(**self._arguments(question)))

    async def adrain(self, question: str) -> list[Any]:
        return [x async for x in self._async.chat.stream(**self._arguments(question))]

    def stream(self, question: str) -> Iterator[Any]:
        return iter(self._sync.chat.stream(**self._arguments(question)))

    def astream(self, question: str) -> AsyncIterator[Any]:
        return self._async.chat.stream(**self._arguments(question))  # type: ignore[no-any-return]

    def invoke(self, question: str) -> str:
        return "".join(map(self.piece, self.drain(question)))

    async def ainvoke(self, question: str) -> str:
        return "".join(map(self.piece, await self.adrain(question)))

    async def abatch(self, questions: list[str]) -> list[str]:
        return list(await asyncio.gather(*map(self.ainvoke, questions)))

    def piece(self, item: Any) -> str:
        return str(item.message.content) if item.event == self._delta else ""

    def complete(self, items: list[Any], deltas: int) -> bool:
        return "".join(map(self.piece, items)) == wire.text(deltas)

    def construct(self) -> float:
        start = time.process_time()
        self._make("Coze")
        return time.process_time() - start

    def touch_tls(self) -> list[bool]:
        return []
