"""A chat model that parses nothing: the floor of every LangChain model on httpx."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from langchain_coze._convert.chunks import build_text_chunk


class UnparsedChatModel(BaseChatModel):
    """Yields a chunk of one letter for each read of `reads` (sync) or `areads` (async)."""

    reads: Any
    areads: Any

    @property
    def _llm_type(self) -> str:
        return "unparsed"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        for _ in self.reads(messages[0].content):
            yield build_text_chunk("x")

    async def _astream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for _ in self.areads(messages[0].content):
            yield build_text_chunk("x")
