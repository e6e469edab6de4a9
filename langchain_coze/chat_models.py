"""`ChatCoze`: a Coze bot as a LangChain chat model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage, message_chunk_to_message
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import AliasChoices, Field, PrivateAttr, model_validator

from langchain_coze._version import __version__
from langchain_coze.api.procedures import Polling, chat_request, poll
from langchain_coze.arguments import argument_names, warn_ignored
from langchain_coze.connection import Connection, env
from langchain_coze.errors import CozeError, CozeInvalidRequestError, hint_of
from langchain_coze.messages import SystemMessageMode, text_map, to_coze
from langchain_coze.turn import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

    from langchain_coze.api.commands import Reply, Request

_MAPS = ("custom_variables", "meta_data", "extra_params")
_OPTIONS = ("parameters", "bot_version", "publish_status", "enable_card", "connector_id")
_PER_CALL = frozenset({"bot_id", "model", "user_id", "auto_save_history", *_MAPS, *_OPTIONS})
_IDENTIFYING = (
    "bot_id",
    "base_url",
    "user_id",
    "response_mode",
    "system_message_mode",
    "system_message_variable",
    "auto_save_history",
    *_MAPS,
    *_OPTIONS,
)
_CORE_KWARGS = frozenset({"stream"})  # LangChain's own, read before our methods are called
_HOSTED = frozenset({"api.coze.cn", "api.coze.com"})


class ChatCoze(Connection, BaseChatModel):
    """A Coze bot as a LangChain chat model.

    The answer is text; what the bot recalled, its follow-up questions, its reasoning, tool calls
    and token usage come beside it.

    Setup:
        Publish a bot with the API channel, create a token, and set both:

        ```bash
        pip install langchain-coze
        export COZE_API_TOKEN="pat_…"
        export COZE_BOT_ID="7374724495711502387"
        ```

        Without an account, `python -m langchain_coze.local` (extra `local`) is a server to try.

    Key init args — bot:
        bot_id: The published bot.
        user_id: The end user.
        response_mode: `stream` (default) or `poll`.
        system_message_mode: What becomes of system messages.
        custom_variables: Values of the bot's prompt variables.

    Key init args — client:
        api_key: The token, or where it comes from.
        base_url: `https://api.coze.cn`, `https://api.coze.com`, or a Coze Studio.
        timeout: Seconds of silence.
        max_retries: Repetitions while nothing has been started.

    Instantiate:
        ```python
        from langchain_coze import ChatCoze
        from langchain_coze.local import LocalCoze

        coze = LocalCoze().start()
        bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        ```

    Invoke:
        ```python
        answer = bot.invoke("What is a Coze workflow?")
        print(answer.content)
        ```

    Stream:
        ```python
        for chunk in bot.stream("什么是扣子工作流？"):
            print(chunk.text, end="")
        ```

    Async:
        ```python
        answer = await bot.ainvoke("What is a Coze workflow?")
        async for chunk in bot.astream("What is a Coze workflow?"):
            print(chunk.text, end="")
        ```

    Sources:
        ```python
        from langchain_coze import recalled_documents

        for document in recalled_documents(answer):
            print(document.metadata["score"], document.metadata["source"])
        ```

    Token usage:
        ```python
        print(answer.usage_metadata)
        ```

    Response metadata:
        ```python
        print(answer.response_metadata["chat_id"], answer.response_metadata["follow_up_questions"])
        ```

    Raises:
        CozeError: On use, not on construction; one class for each condition.

    Source: Coze API, chat v3 (wire section 2).
    """

    bot_id: str | None = Field(
        default_factory=env("COZE_BOT_ID"),
        validation_alias=AliasChoices("bot_id", "model"),
        coerce_numbers_to_str=True,
    )
    """The published bot, a decimal id. Also accepted as `model`; per call too.
    Env `COZE_BOT_ID`."""

    user_id: str = Field(
        default_factory=env("COZE_USER_ID", default="langchain-coze"),
        validation_alias=AliasChoices("user_id", "user"),
    )
    """The end user: Coze keeps context, memory and database apart by it. Env `COZE_USER_ID`."""

    auto_save_history: bool | None = None
    """Whether Coze keeps the turn. None: only where it must, which is in poll mode."""

    response_mode: Literal["stream", "poll"] = "stream"
    """How the answer is fetched: one streaming request, or create, poll and list."""

    system_message_mode: SystemMessageMode = "context"
    """What becomes of system messages. Coze has no role for them: `context` sends each as an
    earlier user message, `variable` puts them into `system_message_variable`, `ignore` drops them,
    `raise` refuses them."""

    system_message_variable: str | None = None
    """The variable of the bot's prompt that takes system messages in mode `variable`."""

    custom_variables: Mapping[str, Any] | None = None
    """Values of the bot's prompt variables; what is not a str is sent as JSON. Per call too."""

    parameters: Mapping[str, Any] | None = None
    """Start-node values of a bot in chatflow mode. Per call too."""

    meta_data: Mapping[str, Any] | None = None
    """At most 16 pairs that Coze keeps with the turn. Per call too."""

    extra_params: Mapping[str, Any] | None = None
    """`latitude` and `longitude` for the bot's plugins. Per call too."""

    bot_version: str | None = None
    """A published version of the bot; None is the newest. Per call too."""

    publish_status: Literal["published_online", "unpublished_draft"] | None = None
    """Which state of the bot answers; None is the published one. Per call too."""

    enable_card: bool | None = None
    """Whether the bot may answer with cards, which come as content blocks. Per call too."""

    connector_id: str | None = None
    """The channel, for instance 1024 for the API. Per call too."""

    streaming: bool | None = None
    """LangChain's meaning: whether `invoke` goes through `stream`. None leaves it to LangChain."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Poll mode: seconds between two questions during the first 10 s; at least 1 on coze.cn and
    coze.com. Later it is a tenth of what has passed, at most 3."""

    poll_timeout: float = Field(default=600.0, gt=0)
    """Poll mode: seconds until `CozeTimeoutError`."""

    _warned: set[str] = PrivateAttr(default_factory=set)

    # --- Construction --------------------------------------------------------------------------

    @model_validator(mode="before")
    @classmethod
    def _warn_about_arguments(cls, values: Any) -> Any:
        if isinstance(values, dict):
            known = argument_names(cls)
            for name in sorted(set(values) - known):
                warn_ignored(name, known)
        return values

    @model_validator(mode="after")
    def _set_coze_version(self) -> Self:
        self._add_version("langchain-coze", __version__)
        return self

    # --- What LangChain asks about a model -------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "chat-coze"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable of each secret."""
        return {"api_key": "COZE_API_TOKEN"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: traces and cache keys show the model, without its token."""
        return True

    @property
    def _identifying_params(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _IDENTIFYING}
        return {name: value for name, value in values.items() if value is not None}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "coze"
        params["ls_model_type"] = "chat"
        params["ls_model_name"] = self._bot(kwargs) or "unknown"
        for name in ("ls_temperature", "ls_max_tokens", "ls_stop"):
            params.pop(name, None)  # type: ignore[misc] # a bot's settings stand in Coze
        return params

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Any = None) -> int:
        """Return about how many tokens some messages have; Coze tells only after a turn.

        Args:
            messages: Any messages.
            tools: Passed over.
        """
        del tools
        return count_tokens_approximately(messages)

    # --- One turn --------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        return _result(list(self._chunks(messages, stop, kwargs, whole=True)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        chunks = self._achunks(messages, stop, kwargs, whole=True)
        return _result([chunk async for chunk in chunks])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._chunks(messages, stop, kwargs)
        return _reported(chunks, run_manager) if run_manager else chunks

    def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._achunks(messages, stop, kwargs)
        return _areported(chunks, run_manager) if run_manager else chunks

    def _chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> Generator[ChatGenerationChunk]:
        client, request, bot = self._client(), *self._request(messages, stop, kwargs)
        if not request.stream:
            first, chat, listed = client.run(poll(request, client.policy, self._polling()))
            yield from self._turn(bot, first, whole=True).replay(chat, listed)
            return
        reply = client.open(request)
        turn = self._turn(bot, reply, whole=whole)
        try:
            with reply.stream as stream:
                yield from turn.receive(stream.head)
                for data in stream.parts:
                    yield from turn.receive(data)
        except CozeError as error:
            turn.broke(error)
        yield from turn.finish()

    async def _achunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        client, request, bot = self._client(), *self._request(messages, stop, kwargs)
        if not request.stream:
            flow = poll(request, client.policy, self._polling())
            first, chat, listed = await client.arun(flow)
            for chunk in self._turn(bot, first, whole=True).replay(chat, listed):
                yield chunk
            return
        reply = await client.aopen(request)
        turn = self._turn(bot, reply, whole=whole)
        try:
            async with reply.stream as stream:
                for chunk in turn.receive(stream.head):
                    yield chunk
                async for data in stream.parts:
                    for chunk in turn.receive(data):
                        yield chunk
        except CozeError as error:
            turn.broke(error)
        for chunk in turn.finish():
            yield chunk

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> tuple[Request, str]:
        """Return the request for a turn, and the bot that it goes to."""
        self._warn_about_call(stop, kwargs)
        bot = self._bot(kwargs)
        if not bot:
            raise CozeInvalidRequestError(
                "No bot is set.",
                hint=hint_of(
                    "Pass bot_id= or set COZE_BOT_ID: the number after /bot/ in the bot's address.",
                    "请传入 bot_id= 或设置 COZE_BOT_ID：即智能体网址中 /bot/ 后面的数字。",
                ),
            )
        sent, variables = to_coze(
            messages,
            system_mode=self.system_message_mode,
            system_variable=self.system_message_variable,
            bot_id=bot,
        )
        stream = self.response_mode == "stream"
        body: dict[str, Any] = {
            "bot_id": bot,
            "user_id": kwargs.get("user_id") or self.user_id,
            "additional_messages": sent,
            "stream": stream,
            "auto_save_history": self._saved(kwargs, stream=stream),
        }
        options = {name: kwargs.get(name, getattr(self, name)) for name in (*_MAPS, *_OPTIONS)}
        options["custom_variables"] = {**(options["custom_variables"] or {}), **variables} or None
        for name, value in options.items():
            if value is not None:
                body[name] = text_map(value) if name in _MAPS else value
        return chat_request(body), bot

    def _saved(self, kwargs: Mapping[str, Any], *, stream: bool) -> bool:
        saved: bool | None = kwargs.get("auto_save_history", self.auto_save_history)
        if saved is False and not stream:
            raise CozeInvalidRequestError(
                "auto_save_history=False goes only with response_mode='stream': a chat that is not "
                "saved cannot be polled for.",
                code=4007,
                hint=hint_of(
                    "Leave auto_save_history unset, or use response_mode='stream'.",
                    "请不要设置 auto_save_history，或使用 response_mode='stream'。",
                ),
            )
        return not stream if saved is None else saved

    def _bot(self, kwargs: Mapping[str, Any]) -> str | None:
        bot = kwargs.get("bot_id") or kwargs.get("model") or self.bot_id
        return str(bot).strip() or None if bot else None

    def _turn(self, bot: str, reply: Reply, *, whole: bool) -> Turn:
        return Turn(bot, logid=reply.logid, secret=reply.secret, whole=whole)

    def _polling(self) -> Polling:
        floor = 1.0 if urlsplit(self.base_url).hostname in _HOSTED else 0.0
        return Polling(interval=self.poll_interval, timeout=self.poll_timeout, floor=floor)

    def _warn_about_call(self, stop: list[str] | None, kwargs: Mapping[str, Any]) -> None:
        names = {name for name, value in kwargs.items() if value is not None} | (
            {"stop"} if stop else set()
        )
        for name in sorted(names - _PER_CALL - _CORE_KWARGS - self._warned):
            self._warned.add(name)
            warn_ignored(name, _PER_CALL, fixed=argument_names(type(self)))


def _reported(
    chunks: Generator[ChatGenerationChunk], run_manager: CallbackManagerForLLMRun
) -> Iterator[ChatGenerationChunk]:
    """Pass chunks on, and tell callbacks of each."""
    with closing(chunks):
        for chunk in chunks:
            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def _areported(
    chunks: AsyncGenerator[ChatGenerationChunk], run_manager: AsyncCallbackManagerForLLMRun
) -> AsyncIterator[ChatGenerationChunk]:
    """Pass chunks on, and tell callbacks of each."""
    async with aclosing(chunks):
        async for chunk in chunks:
            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _result(chunks: list[ChatGenerationChunk]) -> ChatResult:
    (chunk,) = chunks  # a whole turn makes one
    message = message_chunk_to_message(chunk.message)
    if not isinstance(message, AIMessage):  # pragma: no cover - chunks of ours are AI messages
        raise TypeError(type(message))
    return ChatResult(generations=[ChatGeneration(message=message)])
