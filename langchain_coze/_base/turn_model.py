"""A chat model whose answers come from one generator for sync and one for async calls."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from langchain_core.globals import get_llm_cache
from langchain_core.messages.utils import count_tokens_approximately

from langchain_coze._base.config_aware_model import ConfigAwareChatModel
from langchain_coze._convert import block_order  # noqa: F401 - registers our block translator
from langchain_coze._convert.chunks import awith_callbacks, to_chat_result, with_callbacks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult


class TurnChatModel(ConfigAwareChatModel):
    """A chat model that implements LangChain's methods with `_stream_turn` and its async twin."""

    @abstractmethod
    def _stream_turn(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        single_chunk: bool = False,
    ) -> Generator[ChatGenerationChunk]:
        """Yield the chunks of a turn, or its only chunk."""

    @abstractmethod
    def _astream_turn(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        single_chunk: bool = False,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """Async version of `_stream_turn`."""

    @abstractmethod
    def _is_cacheable(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> bool:
        """Return whether a cached answer to a call cannot be wrong."""

    def get_num_tokens(self, text: str) -> int:
        """Return the approximate token count of a text; Coze reports it only after a turn.

        Args:
            text: Any text.
        """
        return count_tokens_approximately([text])

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Any = None) -> int:
        """Return the approximate token count of messages; Coze reports it only after a turn.

        Args:
            messages: Any messages.
            tools: Ignored.
        """
        del tools
        return count_tokens_approximately(messages)

    def _generate_with_cache(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        model = self._without_unsafe_cache(messages, **kwargs)
        return super(TurnChatModel, model)._generate_with_cache(messages, *args, **kwargs)

    async def _agenerate_with_cache(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> ChatResult:
        model = self._without_unsafe_cache(messages, **kwargs)
        return await super(TurnChatModel, model)._agenerate_with_cache(messages, *args, **kwargs)

    def _without_unsafe_cache(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Self:
        """Return this model, or a copy without cache if a cached answer could be wrong."""
        del stop, run_manager
        has_cache = self.cache is not False and (
            self.cache is not None or get_llm_cache() is not None
        )
        if not has_cache or self._is_cacheable(messages, kwargs):
            return self
        return self.model_copy(update={"cache": False})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        return to_chat_result(list(self._stream_turn(messages, stop, kwargs, single_chunk=True)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        chunks = self._astream_turn(messages, stop, kwargs, single_chunk=True)
        return to_chat_result([chunk async for chunk in chunks])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._stream_turn(messages, stop, kwargs)
        return with_callbacks(chunks, run_manager) if run_manager else chunks

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._astream_turn(messages, stop, kwargs)
        return awith_callbacks(chunks, run_manager) if run_manager else chunks
