"""Pydantic fields that select and configure a bot or chatflow, with the options of one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.runnables import ensure_config
from pydantic import AliasChoices, Field

from langchain_coze import _hints as hints
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields, TimeLimit
from langchain_coze._base.unsupported import CallArguments
from langchain_coze._chat.cancel import cancel_in_background
from langchain_coze._chat.options import (
    DEFAULT_USER_ID,
    PLAIN_OPTIONS,
    STRING_MAP_OPTIONS,
    ChatOptions,
    validate_options,
)
from langchain_coze._environment import from_env
from langchain_coze.errors import CozeInvalidRequestError, CozeTimeoutError

if TYPE_CHECKING:
    from langchain_coze._api.driver import Driver
    from langchain_coze._chat.turn import TurnRun

_OPTION_FIELDS = (*STRING_MAP_OPTIONS, *PLAIN_OPTIONS)

PER_CALL_FIELDS = frozenset(
    {
        "app_id",
        "auto_save_history",
        "bot_id",
        "conversation_id",
        "model",
        "user",
        "user_id",
        "workflow_id",
        *_OPTION_FIELDS,
    }
)
"""The fields that a single call can override."""

CACHE_KEY_FIELDS = (
    "bot_id",
    "workflow_id",
    "app_id",
    "base_url",
    "server",
    "user_id",
    "conversation_id",
    "auto_save_history",
    *_OPTION_FIELDS,
)
"""The fields that affect an answer, for traces and cache keys."""

CONFIG_KEY = "coze_conversation_id"
"""The key of the conversation id in the `configurable` part of a config."""

USER_CONFIG_KEY = "coze_user_id"
"""The key of the end user in the `configurable` part of a config."""

ABANDONED = (GeneratorExit, asyncio.CancelledError, KeyboardInterrupt, CozeTimeoutError)
"""Exceptions after which a call has ended but its turn continues in Coze."""

_NUMBER_LIKE_OPTIONS = frozenset({"bot_version", "connector_id"})  # Coze rejects JSON numbers


class BotFields(CallArguments, CozeConnectionFields):
    """The fields that select and configure a bot or a chatflow."""

    bot_id: str | None = Field(
        default_factory=from_env("COZE_BOT_ID"),
        validation_alias=AliasChoices("bot_id", "model"),
        coerce_numbers_to_str=True,
    )
    """The id of the published bot, a number. Also accepted as `model`. Can be set per call. Env
    `COZE_BOT_ID`."""

    workflow_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """A chatflow to run instead of a bot; set either `bot_id` or `app_id` as its context. On Coze
    Studio, the parameter `CONVERSATION_NAME` can replace both. Can be set per call."""

    app_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The app that a chatflow belongs to. Can be set per call."""

    user_id: str = Field(
        default_factory=from_env("COZE_USER_ID", default=DEFAULT_USER_ID),
        validation_alias=AliasChoices("user_id", "user"),
        coerce_numbers_to_str=True,
    )
    """The end user: Coze separates context, memory and database by user. Can be set per call, or as
    `config={"configurable": {"coze_user_id": …}}`. Env `COZE_USER_ID`."""

    conversation_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """A conversation stored by Coze: only messages that it does not contain yet are sent. Can be
    set per call, or as `config={"configurable": {"coze_conversation_id": …}}`."""

    auto_save_history: bool | None = None
    """Whether Coze saves the turn. None saves it only if needed: in poll mode, in a conversation,
    and with bound tools, whose results Coze waits for. Coze Studio saves every turn. Can be set per
    call."""

    custom_variables: Mapping[str, Any] | None = None
    """Values of the bot's prompt variables; values other than str are sent as JSON. Can be set per
    call."""

    parameters: Mapping[str, Any] | None = None
    """Values for the start node of a bot in chatflow mode. Can be set per call."""

    meta_data: Mapping[str, Any] | None = None
    """At most 16 key-value pairs that Coze stores with the turn. Can be set per call."""

    extra_params: Mapping[str, Any] | None = None
    """`latitude` and `longitude` for the bot's plugins. Can be set per call."""

    bot_version: str | None = Field(default=None, coerce_numbers_to_str=True)
    """A published version of the bot; None for the newest. Can be set per call."""

    publish_status: Literal["published_online", "unpublished_draft"] | None = None
    """Which state of the bot answers; None for the published one. Can be set per call."""

    enable_card: bool | None = None
    """Whether the bot may answer with cards, which become content blocks. Can be set per call."""

    connector_id: str | None = Field(default=None, coerce_numbers_to_str=True)
    """The channel, for instance 1024 for the API. Can be set per call."""

    max_duration: TimeLimit = Field(default=None, gt=0)
    """Maximum seconds for a whole turn, from the request for an OAuth token to the last byte; then
    `CozeTimeoutError` is raised. None for no limit."""

    cancel_on_close: bool = False
    """Cancel the chat in Coze when the consumer stops reading early. Output generated so far is
    still billed."""

    @property
    def model(self) -> str:
        """The id of the chatflow or bot, under the name that other chat models use."""
        return self._resolve_model_name({})

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable of each secret."""
        return {"api_key": "COZE_API_TOKEN"}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: traces and cache keys contain the fields, without the token."""
        return True

    def _cancel_if_abandoned(self, driver: Driver, turn: TurnRun[Any]) -> None:
        """Cancel an unfinished turn in the background if `cancel_on_close` is set."""
        if self.cancel_on_close and turn.parser is not None and not turn.parser.is_finished:
            cancel_in_background(driver.settings, turn.parser.token, turn.parser.ids)

    def _build_options(self, kwargs: Mapping[str, Any], **model_options: Any) -> ChatOptions:
        """Return the validated options of one call, with additional ones from the subclass."""
        fields = self.__dict__
        bot_id, workflow_id, app_id = self._resolve_target(kwargs)
        options = ChatOptions(
            bot_id=bot_id,
            workflow_id=workflow_id,
            app_id=app_id,
            base_url=self.base_url,
            is_studio=self._is_studio,
            user_id=self._resolve_user_id(kwargs),
            auto_save_history=kwargs.get("auto_save_history", self.auto_save_history),
            has_tools=bool(kwargs.get("tools")),
            conversation_id=self._resolve_conversation_id(kwargs, workflow_id or bot_id),
            request_fields={
                name: str(value) if name in _NUMBER_LIKE_OPTIONS else value
                for name in _OPTION_FIELDS
                if (value := kwargs.get(name, fields[name])) is not None
            },
            retry_policy=RetryPolicy.for_call(self.max_retries, self.max_duration),
            **model_options,
        )
        validate_options(options)
        return options

    def _resolve_target(self, kwargs: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return the ids of the bot, the chatflow and the app; empty if unset."""
        bot_id = _to_id(kwargs.get("bot_id") or kwargs.get("model") or self.bot_id)
        workflow_id = _to_id(kwargs.get("workflow_id") or self.workflow_id)
        app_id = _to_id(kwargs.get("app_id") or self.app_id) if workflow_id else ""
        is_explicit = bool(kwargs.get("bot_id") or kwargs.get("model"))
        if app_id and not is_explicit and "bot_id" not in self.model_fields_set:
            bot_id = ""  # only a default from the environment
        return bot_id, workflow_id, app_id

    def _resolve_model_name(self, kwargs: Mapping[str, Any]) -> str:
        """Return the id of the chatflow or bot that answers a call."""
        workflow_id = _to_id(kwargs.get("workflow_id") or self.workflow_id)
        return workflow_id or _to_id(kwargs.get("bot_id") or kwargs.get("model") or self.bot_id)

    def _resolve_user_id(self, kwargs: Mapping[str, Any]) -> str:
        """Return the end user of a call, from its arguments, its config or the field."""
        # a config sets `user_id`
        named = kwargs.get("user") or read_argument(kwargs, "user_id", USER_CONFIG_KEY)
        return _to_id(named) or self.user_id or DEFAULT_USER_ID

    def _resolve_conversation_id(self, kwargs: Mapping[str, Any], model_name: str) -> str | None:
        """Return the conversation id of a call, from its arguments, its config or the field."""
        conversation_id = read_argument(kwargs, "conversation_id", CONFIG_KEY)
        if isinstance(conversation_id, Mapping):  # conversation ids by bot
            conversation_id = conversation_id.get(model_name)
        if conversation_id is None:
            conversation_id = self.conversation_id
        if conversation_id is not None and not isinstance(conversation_id, (str, int)):
            raise CozeInvalidRequestError(
                f"{CONFIG_KEY} is of type {type(conversation_id).__name__}.",
                hint=hints.CONVERSATION_ID,
            )
        return _to_id(conversation_id) or None


def read_argument(kwargs: Mapping[str, Any], name: str, key: str) -> Any:
    """Return an argument of a call, or else the value of `key` in the config around the call.

    Inside a graph, the config comes from the context.
    """
    value = kwargs.get(name)
    return (ensure_config().get("configurable") or {}).get(key) if value is None else value


def add_config_arguments(
    config: Mapping[str, Any] | None, kwargs: dict[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments of a call and those from its config; the arguments take precedence.

    This is needed only outside a graph: inside, the config comes from the context. `names` maps
    keys of the `configurable` part to arguments.
    """
    configurable = (config.get("configurable") or {}) if config else {}
    found = {
        name: configurable[key] for key, name in names.items() if configurable.get(key) is not None
    }
    return {**found, **kwargs} if found else kwargs


def _to_id(value: Any) -> str:
    return "" if value is None else str(value).strip()
