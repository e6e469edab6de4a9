"""The base of `ChatCoze` and `ChatCozeSite`: a chat model whose answers come from turns.

Outside a graph, a model cannot read the config of its call, and LangChain's tracers get the input
before the model does. Therefore each public method is wrapped. LangChain then calls `_generate` or
`_stream`, which call `_stream_turn`.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, Self

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.prompt_values import ChatPromptValue
from pydantic import model_validator

from langchain_coze import _hints as hints
from langchain_coze._base.bot import ABANDONED, CONFIG_KEY, USER_CONFIG_KEY, add_config_arguments
from langchain_coze._base.unsupported import drop_secrets, reject_structured_output
from langchain_coze._convert import block_order  # noqa: F401 - registers the block translator
from langchain_coze._convert.attachments import make_traceable
from langchain_coze._convert.chunks import awith_callbacks, to_chat_result, with_callbacks
from langchain_coze._version import __version__
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Generator,
        Iterator,
        Mapping,
        Sequence,
    )

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LangSmithParams
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow


class AnswerTurn(Protocol):
    """One turn of a chat model; `stream` is None if `start` waits for the whole answer."""

    stream: Any

    def start(self, messages: Sequence[BaseMessage]) -> Flow[Any]:
        """Start the turn, and return the parser of its stream."""

    def finish(self) -> None:
        """Record how the turn ended, and let the next turn of its conversation start."""


class TurnChatModel(BaseChatModel):
    """A chat model whose answers come from turns: see `AnswerTurn`."""

    streaming: bool | None = None
    """See `BaseChatModel`: whether `invoke` uses `stream`. None leaves it to LangChain."""

    _CACHE_KEY_FIELDS: ClassVar[tuple[str, ...]]
    _STRUCTURED_OUTPUT_HINT: ClassVar[str] = hints.STRUCTURED_OUTPUT

    _CONFIG_ARGUMENTS: ClassVar[Mapping[str, str]] = {
        CONFIG_KEY: "conversation_id",
        USER_CONFIG_KEY: "user_id",
    }

    if not TYPE_CHECKING:  # type checkers use the overloads of BaseChatModel

        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Call the bot; see `BaseChatModel.invoke`. The config may hold a conversation id."""
            return super().invoke(**self._prepare(input, config, kwargs))

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Async version of `invoke`."""
            return await super().ainvoke(**self._prepare(input, config, kwargs))

        def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Call the bot; see `BaseChatModel.stream`. The config may hold a conversation id."""
            return super().stream(**self._prepare(input, config, kwargs))

        def astream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Async version of `stream`."""
            return super().astream(**self._prepare(input, config, kwargs))

        def stream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Call the bot; see `BaseChatModel.stream_events`. For the config see `invoke`."""
            return super().stream_events(**self._prepare(input, config, kwargs))

        def astream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - Runnable's name
            """Call the bot; see `BaseChatModel.astream_events`. For the config see `invoke`."""
            return super().astream_events(**self._prepare(input, config, kwargs))

    def _prepare(
        self, model_input: Any, config: Mapping[str, Any] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of a call: traceable, without secrets, with ids from the config."""
        kwargs = drop_secrets(kwargs, owner=type(self).__name__)
        kwargs = add_config_arguments(config, kwargs, self._CONFIG_ARGUMENTS)
        return {"input": to_traceable(model_input), "config": config, **kwargs}

    if TYPE_CHECKING:  # methods of the classes with the fields

        def _make_driver(self) -> Driver: ...

        def _resolve_model_name(self, kwargs: Mapping[str, Any]) -> str: ...

    @model_validator(mode="after")
    def _set_coze_version(self) -> Self:
        self._add_version("langchain-coze", __version__)
        return self

    @property
    def _identifying_params(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self._CACHE_KEY_FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "coze"
        params["ls_model_type"] = "chat"
        params["ls_model_name"] = self._resolve_model_name(kwargs) or "unknown"
        params.pop("ls_temperature", None)  # these three are set in Coze
        params.pop("ls_max_tokens", None)
        params.pop("ls_stop", None)
        return params

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> NoReturn:
        """Raise an error: a request to Coze cannot set the format of the answer.

        Args:
            schema: Ignored.
            include_raw: Ignored.
            **kwargs: Ignored.

        Raises:
            CozeInvalidRequestError: Always; its hint lists the alternatives.
        """
        del schema, include_raw, kwargs
        reject_structured_output(self._STRUCTURED_OUTPUT_HINT)

    @abstractmethod
    def _create_turn(
        self, kwargs: Mapping[str, Any], stop: list[str] | None, *, single_chunk: bool
    ) -> AnswerTurn:
        """Create the turn of one call; nothing is sent yet."""

    @abstractmethod
    def _cancel_if_abandoned(self, driver: Driver, turn: Any) -> None:
        """Cancel an unfinished turn in the background if `cancel_on_close` is set."""

    @abstractmethod
    def _is_cacheable(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> bool:
        """Return whether an answer to this call can be reused from a cache."""

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
        """Return this model, or a copy without cache if the call is not cacheable."""
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

    def _stream_turn(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        single_chunk: bool = False,
    ) -> Generator[ChatGenerationChunk]:
        """Yield the chunks of a turn."""
        driver = self._make_driver()
        turn = self._create_turn(kwargs, stop, single_chunk=single_chunk)
        try:
            parser = driver.run(turn.start(messages))
            if turn.stream is not None:
                try:
                    with turn.stream as stream:
                        for data in stream.read_until_done(parser):
                            yield from parser.feed(data)
                except CozeError as error:
                    parser.handle_connection_lost(error)
            yield from parser.finish()
        except ABANDONED:
            self._cancel_if_abandoned(driver, turn)
            raise
        finally:
            turn.finish()

    async def _astream_turn(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        single_chunk: bool = False,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """Async version of `_stream_turn`."""
        driver = self._make_driver()
        turn = self._create_turn(kwargs, stop, single_chunk=single_chunk)
        try:
            parser = await driver.arun(turn.start(messages))
            if turn.stream is not None:
                try:
                    async with (
                        turn.stream as stream,
                        aclosing(stream.read_until_done(parser)) as reads,
                    ):
                        async for data in reads:
                            for chunk in parser.feed(data):
                                yield chunk
                except CozeError as error:
                    parser.handle_connection_lost(error)
            for chunk in parser.finish():
                yield chunk
        except ABANDONED:
            self._cancel_if_abandoned(driver, turn)
            raise
        finally:
            turn.finish()


def to_traceable(model_input: Any) -> Any:
    """Return the input of a chat model in a traceable form; see `attachments.make_traceable`."""
    messages = model_input.messages if isinstance(model_input, ChatPromptValue) else model_input
    if not isinstance(messages, (list, tuple)) or all(map(_has_plain_text, messages)):
        return model_input
    return make_traceable(convert_to_messages(messages))


def _has_plain_text(message: Any) -> bool:
    """Return whether a message, in any form that a chat model accepts, contains only text."""
    if isinstance(message, (str, BaseMessage)):
        return isinstance(getattr(message, "content", ""), str)
    return all(isinstance(value, str) for value in getattr(message, "values", lambda: message)())
