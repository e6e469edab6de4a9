"""`ChatCoze`: a Coze bot as a LangChain chat model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_core.language_models import ModelProfile
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, field_validator

from langchain_coze import _hints as hints
from langchain_coze._base.bot import CACHE_KEY_FIELDS, PER_CALL_FIELDS, BotFields
from langchain_coze._base.turn_model import TurnChatModel
from langchain_coze._base.unsupported import reject_forced_tool_choice, reject_structured_output
from langchain_coze._chat.fast_path import FastAnswerParser
from langchain_coze._chat.history import needs_conversation
from langchain_coze._chat.turn import TurnRun
from langchain_coze._convert.to_coze import SystemMessageMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

    from langchain_coze._chat.options import ChatOptions

# LangChain or its tracers read the last three
_KNOWN_ARGUMENTS = PER_CALL_FIELDS | {"stream", "tools", "tool_choice"}


class ChatCoze(BotFields, TurnChatModel):
    """A Coze bot as a LangChain chat model.

    The answer is plain text. Recalled documents, follow-up questions, reasoning, tool calls and
    token usage are available alongside it.

    Setup:
        Publish a bot with the API channel, create a token, and set both:

        ```bash
        export COZE_API_TOKEN="pat_…"
        export COZE_BOT_ID="7374724495711502387"
        ```

        Without an account, `python -m langchain_coze.local` (extra `local`) starts a test server.

    Key init args — bot:
        bot_id: The published bot.
        user_id: The end user.
        response_mode: `stream` (default) or `poll`.
        system_message_mode: How system messages are sent.
        custom_variables: Values of the bot's prompt variables.
        conversation: Where the history is kept: in LangChain (`stateless`, default) or in Coze
            (`thread`).
        workflow_id: A chatflow to run instead of a bot.

    Key init args — client:
        api_key: The token or its source, for example a `CozeJWTAuth`.
        base_url: `https://api.coze.cn`, `https://api.coze.com`, or a Coze Studio.
        timeout: The read timeout in seconds.
        max_retries: The maximum number of retries of requests that cannot have started anything.

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

    Tool calling:
        The bot calls its local plugins (端插件) as its prompt describes. See `bind_tools`, or
        `create_coze_agent` for the whole loop.

    Image input:
        ```python
        from langchain_core.messages import HumanMessage

        picture = {"type": "image", "url": "https://example.com/tea.png"}
        print(bot.invoke([HumanMessage([{"type": "text", "text": "What is it?"}, picture])]).text)
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
        CozeError: When called, not when constructed; one class per condition.

    Source: Coze API, chat v3 (wire section 2).
    """

    response_mode: Literal["stream", "poll"] = "stream"
    """How the answer is fetched: with one streaming request, or with create, poll and list
    requests."""

    system_message_mode: SystemMessageMode = "context"
    """How system messages are sent. Coze has no system role: `context` sends each as an earlier
    user message, `variable` puts them into `system_message_variable`, `ignore` drops them, `raise`
    raises an error."""

    system_message_variable: str | None = None
    """The bot's prompt variable for system messages in mode `variable`."""

    conversation: Literal["stateless", "thread"] = "stateless"
    """Where the history is kept. `stateless`: in LangChain, which sends all of it each time.
    `thread`: in Coze, in the conversation that the history itself records; forks get a new
    conversation."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Poll mode: seconds between status requests during the first 10 s; at least 1 on coze.cn and
    coze.com. The interval then grows to a tenth of the elapsed time, up to 3 s."""

    poll_timeout: float = Field(default=600.0, gt=0)
    """Poll mode: seconds before `CozeTimeoutError` is raised."""

    _CACHE_KEY_FIELDS: ClassVar[tuple[str, ...]] = (
        *CACHE_KEY_FIELDS,
        "conversation",
        "response_mode",
        "system_message_mode",
        "system_message_variable",
    )

    @field_validator("conversation", mode="before")
    @classmethod
    def _check_conversation(cls, value: Any) -> Any:
        if isinstance(value, str) and value in {"stateless", "thread"}:
            return value
        raise ValueError(hints.CONVERSATION_FIELD.format(value=value))

    # --- Information for LangChain ---------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "chat-coze"

    def _resolve_model_profile(self) -> ModelProfile | None:
        return ModelProfile(
            text_inputs=True,
            text_outputs=True,
            image_inputs=True,
            image_url_inputs=True,
            audio_inputs=True,
            tool_calling=True,
            tool_choice=False,
            structured_output=False,
        )

    # --- Tools -----------------------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Declare which of the bot's local plugins (端插件) run on the client.

        No definitions are sent: the bot's tools, and when it calls them, are configured in Coze, so
        the names must match the plugins there. With bound tools, Coze saves the turn, which is
        required to submit results, and agents can run the calls.

        Args:
            tools: Tools, functions, models or JSON schemas.
            tool_choice: None or `"auto"`.
            **kwargs: Arguments for each call.

        Raises:
            CozeInvalidRequestError: The arguments force a tool call or an answer format.

        Source: Coze API, submit tool outputs (wire section 2.6).
        """
        if kwargs.get("response_format") is not None:
            reject_structured_output()
        reject_forced_tool_choice(tool_choice, tools)
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    # --- One turn --------------------------------------------------------------------------------

    def _is_cacheable(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> bool:
        options = self._build_options(kwargs)
        session_name = getattr(self.api_key, "session_name", None)  # not in the cache key
        return not (session_name or options.has_tools or needs_conversation(messages, options))

    def _create_turn(
        self, kwargs: Mapping[str, Any], stop: list[str] | None, *, single_chunk: bool
    ) -> TurnRun[FastAnswerParser]:
        options = self._build_options(kwargs, stop=stop)
        make_parser = partial(
            FastAnswerParser,
            options.model_name,
            single_chunk=single_chunk or not options.stream,
            saved=options.is_saved,
        )
        return TurnRun(options, make_parser)

    def _build_options(
        self, kwargs: Mapping[str, Any], *, stop: list[str] | None = None, **model_options: Any
    ) -> ChatOptions:
        if kwargs or stop:
            names = {name for name, value in kwargs.items() if value is not None}
            self._warn_unknown_arguments(names | ({"stop"} if stop else set()), _KNOWN_ARGUMENTS)
            reject_forced_tool_choice(kwargs.get("tool_choice"))
        if self.response_mode == "poll":
            model_options["polling"] = self._build_polling(self.poll_interval, self.poll_timeout)
        return super()._build_options(
            kwargs,
            stream=self.response_mode == "stream",
            is_thread=self.conversation == "thread",
            system_message_mode=self.system_message_mode,
            system_message_variable=self.system_message_variable,
            **model_options,
        )
