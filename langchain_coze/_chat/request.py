"""The options of one call, and the request built from them. Pure.

A bot is called through `/v3/chat` (wire section 2.1), a chatflow through `/v1/workflows/chat`,
which has other fields and takes the conversation in its body (wire section 4.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_coze._api.chats import (
    build_chat_request,
    build_chatflow_request,
    build_submit_request,
)
from langchain_coze._api.effects import Request, RetryPolicy
from langchain_coze._api.models import Chat
from langchain_coze._api.polling import Polling
from langchain_coze._chat.history import ConversationScope, TurnPlan
from langchain_coze._chat.options import DEFAULT_USER_ID, STRING_MAP_OPTIONS
from langchain_coze._convert.to_coze import (
    MAX_CHATFLOW_MESSAGES,
    MAX_MESSAGES,
    EnterMessage,
    collect_system_variables,
    list_attachments,
    stringify_values,
    to_coze_messages,
    with_file_ids,
)
from langchain_coze.errors import CozeInvalidRequestError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._convert.to_coze import SystemMessageMode

_BOT_ONLY_OPTIONS = ("custom_variables", "meta_data", "publish_status", "enable_card")


class ChatOptions(NamedTuple):
    """The options of one call; see the fields of `ChatCoze`.

    Attributes:
        bot_id: The bot.
        workflow_id: The chatflow to call instead of the bot, or the workflow to run.
        app_id: The app that the chatflow belongs to.
        base_url: The server.
        user_id: The end user.
        stream: Whether the answer is streamed.
        auto_save_history: Whether Coze saves the turn, as set by the user; None: see `is_saved`.
        has_tools: Whether the client runs the bot's tool calls.
        is_workflow: Whether `workflow_id` is a workflow (no conversation) and not a chatflow.
        conversation_id: The conversation that the user names.
        is_thread: Whether to take the conversation from the history.
        system_message_mode: How system messages are sent.
        system_message_variable: The prompt variable for them in mode `variable`.
        options: The `STRING_MAP_OPTIONS` and `PLAIN_OPTIONS` that are set.
        late_usage: Whether to request missing token counts at the end.
        retry_policy: How often requests are repeated, and until when.
        polling: When to request the state of a polled turn.
    """

    bot_id: str = ""
    workflow_id: str = ""
    app_id: str = ""
    base_url: str = ""
    user_id: str = DEFAULT_USER_ID
    stream: bool = True
    auto_save_history: bool | None = None
    has_tools: bool = False
    is_workflow: bool = False
    conversation_id: str | None = None
    is_thread: bool = False
    system_message_mode: SystemMessageMode = "context"
    system_message_variable: str | None = None
    options: Mapping[str, Any] = {}
    late_usage: bool = False
    retry_policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()

    @property
    def model_name(self) -> str:
        """The id of the chatflow or bot that answers."""
        return self.workflow_id or self.bot_id

    @property
    def is_saved(self) -> bool:
        """Whether Coze saves the turn: as the user sets it, else only if the turn requires it."""
        if self.auto_save_history is not None:
            return self.auto_save_history
        memory = self.is_thread or self.conversation_id is not None
        return not self.stream or memory or self.has_tools or bool(self.workflow_id)

    @property
    def scope(self) -> ConversationScope:
        """The settings that determine which conversation the call belongs to."""
        return ConversationScope(
            self.model_name, self.is_thread, self.conversation_id, self.auto_save_history
        )


def validate(options: ChatOptions) -> None:
    """Reject options that cannot be sent together.

    Raises:
        CozeInvalidRequestError: A required id is missing, or two options exclude each other.
    """
    if options.workflow_id:
        _validate_workflow(options)
        return
    if not options.bot_id:
        raise CozeInvalidRequestError(
            "No bot is set.",
            hint=bilingual_hint(
                "Pass bot_id= or set COZE_BOT_ID: the number after /bot/ in the bot's address.",
                "请传入 bot_id= 或设置 COZE_BOT_ID：即智能体网址中 /bot/ 后面的数字。",
            ),
        )
    if options.auto_save_history is False and options.is_thread:
        raise CozeInvalidRequestError(
            "conversation='thread' lets Coze keep the history, which auto_save_history=False "
            "forbids.",
            hint=bilingual_hint("Leave auto_save_history unset.", "请不要设置 auto_save_history。"),
        )
    if options.auto_save_history is False and not options.stream:
        raise CozeInvalidRequestError(
            "auto_save_history=False goes only with response_mode='stream': a chat that is not "
            "saved cannot be polled for.",
            code=4007,
            hint=bilingual_hint(
                "Leave auto_save_history unset, or use response_mode='stream'.",
                "请不要设置 auto_save_history，或使用 response_mode='stream'。",
            ),
        )


def validate_bot_or_app(
    kind: Literal["workflow", "chatflow"],
    bot_id: str | None,
    app_id: str | None,
    *,
    required: bool,
) -> None:
    """Reject a workflow or chatflow that would run both in a bot and in an app.

    Args:
        kind: The kind of workflow, for the error message.
        bot_id: The bot that it runs in.
        app_id: The app that it belongs to.
        required: Whether one of them must be set.

    Raises:
        CozeInvalidRequestError: Both are set, or neither although one is required.
    """
    both, neither = bot_id and app_id, not (bot_id or app_id)
    if both or (neither and required):
        zh = {"workflow": "工作流", "chatflow": "对话流"}[kind]
        problem = "both bot_id and app_id are" if both else "neither bot_id nor app_id is"
        raise CozeInvalidRequestError(
            f"A {kind} runs in a bot or in an app: {problem} set.",
            code=4000,
            hint=bilingual_hint(
                f"Give app_id= for a {kind} of an app, bot_id= for one of a bot, not both.",
                f"应用中的{zh}请传入 app_id=，智能体中的请传入 bot_id=，不能同时传入。",
            ),
        )


def _validate_workflow(options: ChatOptions) -> None:
    kind: Literal["workflow", "chatflow"] = "workflow" if options.is_workflow else "chatflow"
    validate_bot_or_app(kind, options.bot_id, options.app_id, required=not options.is_workflow)
    if not options.stream:
        raise CozeInvalidRequestError(
            "A chatflow only streams, but response_mode is 'poll'.",
            hint=bilingual_hint(
                "Leave response_mode unset: invoke() works with it.",
                "请不要设置 response_mode，invoke() 可直接使用。",
            ),
        )


def draft_messages(options: ChatOptions, plan: TurnPlan) -> list[EnterMessage]:
    """Return the messages of a request, before their files are uploaded.

    Raises:
        CozeInvalidRequestError: A message cannot be sent.
    """
    if plan.outputs is not None:
        return []
    chatflow = bool(options.workflow_id)
    messages = to_coze_messages(
        plan.messages,
        system_mode=options.system_message_mode,
        bot_id=options.model_name,
        limit=MAX_CHATFLOW_MESSAGES if chatflow else MAX_MESSAGES,
    )
    if chatflow and list_attachments(messages):
        raise CozeInvalidRequestError(
            "A chatflow takes text messages only.",
            hint=bilingual_hint(
                "Give the file to a parameter of its start node, with parameters=.",
                "请通过 parameters= 将文件传给对话流开始节点的参数。",
            ),
        )
    return messages


def build_request(
    options: ChatOptions,
    plan: TurnPlan,
    draft: Sequence[EnterMessage],
    file_ids: Mapping[str, str] | None = None,
) -> Request:
    """Return the request that starts or continues a turn.

    Args:
        options: The options of the call.
        plan: The plan for the turn.
        draft: The result of `draft_messages`.
        file_ids: Ids of uploaded files, by `Upload.digest`.

    Raises:
        CozeInvalidRequestError: An option cannot be sent.
    """
    if plan.outputs is not None and plan.open_chat is not None:
        chat = Chat(id=plan.open_chat.chat_id, conversation_id=plan.conversation_id)
        return build_submit_request(chat, plan.outputs, stream=options.stream)
    messages = with_file_ids(draft, file_ids or {})
    variables = collect_system_variables(
        plan.full_history, options.system_message_mode, options.system_message_variable
    )
    serialized = _serialize_options(options)
    if options.workflow_id:
        body = _build_workflow_body(options, serialized, variables)
        return build_chatflow_request(
            {**body, "additional_messages": messages}, plan.conversation_id
        )
    if variables:
        earlier = serialized.get("custom_variables", {})
        serialized["custom_variables"] = {**earlier, **variables}
    body = {
        "bot_id": options.bot_id,
        "user_id": options.user_id,
        "additional_messages": messages,
        "stream": options.stream,
        "auto_save_history": options.is_saved,
        **serialized,
    }
    return build_chat_request(body, plan.conversation_id)


def _serialize_options(options: ChatOptions) -> dict[str, Any]:
    """Return the options of a call in their wire format."""
    return {
        name: stringify_values(value) if name in STRING_MAP_OPTIONS else value
        for name, value in options.options.items()
    }


def build_run_body(options: ChatOptions, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the request that runs a workflow (wire section 4.2).

    Args:
        options: The options of the call.
        inputs: Start-node values, in addition to the `parameters` of the call.

    Raises:
        CozeInvalidRequestError: An option cannot be sent.
    """
    return _build_workflow_body(options, _serialize_options(options), inputs)


def _build_workflow_body(
    options: ChatOptions, serialized: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body fields that workflows and chatflows share."""
    unsupported = [name for name in _BOT_ONLY_OPTIONS if name in serialized]
    if unsupported:
        raise CozeInvalidRequestError(
            f"A {'workflow' if options.is_workflow else 'chatflow'} does not take "
            f"{', '.join(unsupported)}.",
            hint=bilingual_hint(
                "Give values of its start node with parameters=.",
                "请使用 parameters= 传入开始节点的参数。",
            ),
        )
    ext = dict(serialized.get("extra_params", {}))
    if options.user_id != DEFAULT_USER_ID:
        ext.setdefault("user_id", options.user_id)
    body: dict[str, Any] = {
        "workflow_id": options.workflow_id,
        "parameters": {**serialized.get("parameters", {}), **inputs},
    }
    optional = {
        "bot_id": options.bot_id,
        "app_id": options.app_id,
        "ext": ext,
        "workflow_version": serialized.get("bot_version"),
        "connector_id": serialized.get("connector_id"),
    }
    return body | {name: value for name, value in optional.items() if value}
