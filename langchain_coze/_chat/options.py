"""`ChatOptions`: the validated options of one call of a bot, chatflow or workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_coze import _hints as hints
from langchain_coze._api.ids import validate_ids
from langchain_coze._api.polling import Polling
from langchain_coze._api.retry import RetryPolicy
from langchain_coze.errors import CozeError, CozeInvalidRequestError, CozeNotFoundError

if TYPE_CHECKING:
    from langchain_coze._convert.to_coze import SystemMessageMode

STRING_MAP_OPTIONS = ("custom_variables", "meta_data", "extra_params")
"""Options that are maps of str to str on the wire."""

PLAIN_OPTIONS = ("parameters", "bot_version", "publish_status", "enable_card", "connector_id")
"""Options that are sent unchanged."""

CONVERSATION_NAME = "CONVERSATION_NAME"
"""The chatflow parameter for the name of the conversation (wire section 4.6)."""

_ID_CODES = frozenset({4000, 4006})  # what Coze says of a bot id that is no number

DEFAULT_USER_ID = "langchain-coze"
"""The default end user."""


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """The options of one call; options that are not listed here are fields of `ChatCoze`.

    Attributes:
        auto_save_history: Whether Coze saves the turn, as set by the user; None: see `is_saved`.
        has_tools: Whether the client runs the bot's tool calls.
        is_workflow: Whether `workflow_id` is a workflow (no conversation) and not a chatflow.
        is_thread: Whether to take the conversation from the history.
        request_fields: The `STRING_MAP_OPTIONS` and `PLAIN_OPTIONS` that are set.
    """

    bot_id: str = ""
    workflow_id: str = ""
    app_id: str = ""
    base_url: str = ""
    is_studio: bool = False
    user_id: str = DEFAULT_USER_ID
    stream: bool = True
    auto_save_history: bool | None = None
    has_tools: bool = False
    is_workflow: bool = False
    conversation_id: str | None = None
    is_thread: bool = False
    system_message_mode: SystemMessageMode = "context"
    system_message_variable: str | None = None
    request_fields: Mapping[str, Any] = field(default_factory=dict)
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    polling: Polling = field(default_factory=Polling)

    @property
    def model_name(self) -> str:
        """The id of the chatflow or bot that answers."""
        return self.workflow_id or self.bot_id

    @property
    def is_saved(self) -> bool:
        """Whether the turn is saved; Coze Studio saves all of them (wire section 8)."""
        return self.is_studio or self.requests_saving

    @property
    def requests_saving(self) -> bool:
        """Whether the request makes Coze save the turn: set by the user, or because it must."""
        if self.auto_save_history is not None:
            return self.auto_save_history
        memory = self.is_thread or self.conversation_id is not None
        return not self.stream or memory or self.has_tools or bool(self.workflow_id)


def validate_options(options: ChatOptions) -> None:
    """Reject missing ids and incompatible options."""
    validate_ids(bot_id=options.bot_id, workflow_id=options.workflow_id, app_id=options.app_id)
    for name in (*STRING_MAP_OPTIONS, "parameters"):
        value = options.request_fields.get(name, {})
        if not isinstance(value, Mapping):
            raise CozeInvalidRequestError(
                f"{name} is of type {type(value).__name__}, not a dict.",
                hint=hints.NAMES_AND_VALUES.format(name=name),
            )
    if options.workflow_id:
        kind: Literal["workflow", "chatflow"] = "workflow" if options.is_workflow else "chatflow"
        required = not (options.is_workflow or options.is_studio)  # Studio finds it by name
        validate_bot_or_app(kind, options.bot_id, options.app_id, required=required)
        if not options.stream:
            raise CozeInvalidRequestError(
                "Chatflows support only streaming, but response_mode is 'poll'.",
                hint=hints.CHATFLOW_STREAMS,
            )
        return
    if not options.bot_id:
        raise CozeInvalidRequestError("No bot is set.", hint=hints.NO_BOT)
    if options.auto_save_history is False and options.is_thread:
        raise CozeInvalidRequestError(
            "conversation='thread' needs a history saved by Coze, but auto_save_history is False.",
            hint=hints.THREAD_IS_SAVED,
        )
    if options.auto_save_history is False and not options.stream:
        raise CozeInvalidRequestError(
            "auto_save_history=False requires response_mode='stream': a chat that is not saved "
            "cannot be polled.",
            code=4007,
            hint=hints.UNSAVED_STREAMS,
        )


def explain_bot_id(options: ChatOptions, error: CozeError) -> CozeError:
    """Return an error of a request with another hint if the bot id is, for instance, "gpt-4"."""
    is_about_id = isinstance(error, CozeNotFoundError) or error.code in _ID_CODES
    if options.workflow_id or options.bot_id.isdecimal() or not is_about_id:
        return error
    return error.with_context(hint=hints.MODEL_NAME.format(bot_id=options.bot_id))


def validate_bot_or_app(
    kind: Literal["workflow", "chatflow"],
    bot_id: str | None,
    app_id: str | None,
    *,
    required: bool,
) -> None:
    """Reject a workflow with both a bot and an app, or with neither although one is required."""
    both, neither = bot_id and app_id, not (bot_id or app_id)
    if both or (neither and required):
        problem = "both bot_id and app_id are" if both else "neither bot_id nor app_id is"
        raise CozeInvalidRequestError(
            f"A {kind} runs in a bot or in an app: {problem} set.",
            code=4000,
            hint=hints.BOT_OR_APP.format(kind=kind),
        )
