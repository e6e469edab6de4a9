"""One call of a model, and the request that is made of it. Pure.

A bot is asked by `/v3/chat` (wire section 2.1), a chatflow by `/v1/workflows/chat`, which has other
fields and takes the conversation in its body (section 4.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from langchain_coze._api.chats import Polling, chat_request, chatflow_request, submit_request
from langchain_coze._api.effects import Request, RetryPolicy
from langchain_coze._api.models import Chat
from langchain_coze._base.unsupported import DEFAULT_USER, MAPS
from langchain_coze._chat.history import Plan, Scope
from langchain_coze._convert.to_coze import (
    MOST_CHATFLOW_MESSAGES,
    MOST_MESSAGES,
    EnterMessage,
    attachments,
    settled,
    system_variables,
    text_map,
    to_coze,
)
from langchain_coze.errors import CozeInvalidRequestError, hint_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._base.unsupported import SystemMessageMode

_BOTS_ONLY = ("custom_variables", "meta_data", "publish_status", "enable_card")


class Call(NamedTuple):
    """What one call of a model asks for; see the fields of `ChatCoze`.

    Attributes:
        bot_id: The bot.
        workflow_id: The chatflow that is asked in place of the bot, or the workflow that is run.
        app_id: The app that the chatflow belongs to.
        base_url: The server.
        user_id: The end user.
        stream: Whether the answer is streamed to us.
        saved: Whether Coze keeps the turn, as the user has it; None leaves it to `is_saved`.
        tools: Whether the bot's tool calls are run on our side.
        runs: Whether a `workflow_id` is that of a workflow, which runs without a conversation.
        conversation_id: The conversation that the user names.
        thread: Whether the conversation is found in the history.
        system_mode: What becomes of system messages.
        system_variable: The variable that takes them in mode `variable`.
        options: The `MAPS` and `OPTIONS` that are set.
        late_usage: Whether missing token counts are asked for at the end.
        policy: How often requests are repeated, and until when.
        polling: When a turn is asked for its state.
    """

    bot_id: str = ""
    workflow_id: str = ""
    app_id: str = ""
    base_url: str = ""
    user_id: str = DEFAULT_USER
    stream: bool = True
    saved: bool | None = None
    tools: bool = False
    runs: bool = False
    conversation_id: str | None = None
    thread: bool = False
    system_mode: SystemMessageMode = "context"
    system_variable: str | None = None
    options: Mapping[str, Any] = {}
    late_usage: bool = False
    policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()

    @property
    def model_name(self) -> str:
        """What answers: the chatflow or the bot."""
        return self.workflow_id or self.bot_id

    @property
    def is_saved(self) -> bool:
        """Whether Coze keeps the turn: where it must, and where the user wants it."""
        if self.saved is not None:
            return self.saved
        memory = self.thread or self.conversation_id is not None
        return not self.stream or memory or self.tools or bool(self.workflow_id)

    @property
    def scope(self) -> Scope:
        """What decides which conversation the call belongs to."""
        return Scope(self.model_name, self.thread, self.conversation_id, self.saved)


def check(call: Call) -> None:
    """Refuse a call that cannot be made.

    Raises:
        CozeInvalidRequestError: The message says why.
    """
    if call.workflow_id:
        _check_workflow(call)
        return
    if not call.bot_id:
        raise CozeInvalidRequestError(
            "No bot is set.",
            hint=hint_of(
                "Pass bot_id= or set COZE_BOT_ID: the number after /bot/ in the bot's address.",
                "请传入 bot_id= 或设置 COZE_BOT_ID：即智能体网址中 /bot/ 后面的数字。",
            ),
        )
    if call.saved is False and call.thread:
        raise CozeInvalidRequestError(
            "conversation='thread' lets Coze keep the history, which auto_save_history=False "
            "forbids.",
            hint=hint_of("Leave auto_save_history unset.", "请不要设置 auto_save_history。"),
        )
    if call.saved is False and not call.stream:
        raise CozeInvalidRequestError(
            "auto_save_history=False goes only with response_mode='stream': a chat that is not "
            "saved cannot be polled for.",
            code=4007,
            hint=hint_of(
                "Leave auto_save_history unset, or use response_mode='stream'.",
                "请不要设置 auto_save_history，或使用 response_mode='stream'。",
            ),
        )


def check_place(
    what: Literal["workflow", "chatflow"],
    bot_id: str | None,
    app_id: str | None,
    *,
    needed: bool,
) -> None:
    """Refuse a workflow or chatflow that would run in a bot and in an app at once.

    Args:
        what: What runs.
        bot_id: The bot that it runs in.
        app_id: The app that it belongs to.
        needed: Whether one of them must be named.

    Raises:
        CozeInvalidRequestError: Both are named, or neither where one must be.
    """
    both, neither = bot_id and app_id, not (bot_id or app_id)
    if both or (neither and needed):
        zh = {"workflow": "工作流", "chatflow": "对话流"}[what]
        given = "both bot_id and app_id are" if both else "neither bot_id nor app_id is"
        raise CozeInvalidRequestError(
            f"A {what} runs in a bot or in an app: {given} set.",
            code=4000,
            hint=hint_of(
                f"Give app_id= for a {what} of an app, bot_id= for one of a bot, not both.",
                f"应用中的{zh}请传入 app_id=，智能体中的请传入 bot_id=，不能同时传入。",
            ),
        )


def _check_workflow(call: Call) -> None:
    what: Literal["workflow", "chatflow"] = "workflow" if call.runs else "chatflow"
    check_place(what, call.bot_id, call.app_id, needed=not call.runs)
    if not call.stream:
        raise CozeInvalidRequestError(
            "A chatflow only streams, but response_mode is 'poll'.",
            hint=hint_of(
                "Leave response_mode unset: invoke() works with it.",
                "请不要设置 response_mode，invoke() 可直接使用。",
            ),
        )


def drafted(call: Call, plan: Plan) -> list[EnterMessage]:
    """Return the messages of a request, their files not yet uploaded.

    Raises:
        CozeInvalidRequestError: Something in them cannot be sent.
    """
    if plan.outputs is not None:
        return []
    chatflow = bool(call.workflow_id)
    sent = to_coze(
        plan.messages,
        system_mode=call.system_mode,
        bot_id=call.model_name,
        most=MOST_CHATFLOW_MESSAGES if chatflow else MOST_MESSAGES,
    )
    if chatflow and attachments(sent):
        raise CozeInvalidRequestError(
            "A chatflow takes text messages only.",
            hint=hint_of(
                "Give the file to a parameter of its start node, with parameters=.",
                "请通过 parameters= 将文件传给对话流开始节点的参数。",
            ),
        )
    return sent


def turn_request(
    call: Call,
    plan: Plan,
    sent: Sequence[EnterMessage],
    file_ids: Mapping[str, str] | None = None,
) -> Request:
    """Return the request that starts a turn, or goes on with it.

    Args:
        call: What is asked for.
        plan: Which turn it is.
        sent: What `drafted` returns.
        file_ids: The ids of uploaded files, by `Attachment.digest`.

    Raises:
        CozeInvalidRequestError: An option cannot be sent.
    """
    if plan.outputs is not None and plan.open_chat is not None:
        chat = Chat(id=plan.open_chat.chat_id, conversation_id=plan.conversation_id)
        return submit_request(chat, plan.outputs, stream=call.stream)
    messages = settled(sent, file_ids or {})
    variables = system_variables(plan.whole, call.system_mode, call.system_variable)
    options = _written(call)
    if call.workflow_id:
        body = _workflow_body(call, options, variables)
        return chatflow_request({**body, "additional_messages": messages}, plan.conversation_id)
    if variables:
        options["custom_variables"] = {**options.get("custom_variables", {}), **variables}
    body = {
        "bot_id": call.bot_id,
        "user_id": call.user_id,
        "additional_messages": messages,
        "stream": call.stream,
        "auto_save_history": call.is_saved,
        **options,
    }
    return chat_request(body, plan.conversation_id)


def _written(call: Call) -> dict[str, Any]:
    """Return the options of a call as they are sent."""
    return {
        name: text_map(value) if name in MAPS else value for name, value in call.options.items()
    }


def run_body(call: Call, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of the request that runs a workflow (wire section 4.2).

    Args:
        call: What is asked for.
        inputs: Values of the start node, besides the `parameters` of the call.

    Raises:
        CozeInvalidRequestError: An option cannot be sent.
    """
    return _workflow_body(call, _written(call), inputs)


def _workflow_body(
    call: Call, options: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what workflows and chatflows take alike."""
    wrong = [name for name in _BOTS_ONLY if name in options]
    if wrong:
        raise CozeInvalidRequestError(
            f"A {'workflow' if call.runs else 'chatflow'} does not take {', '.join(wrong)}.",
            hint=hint_of(
                "Give values of its start node with parameters=.",
                "请使用 parameters= 传入开始节点的参数。",
            ),
        )
    ext = dict(options.get("extra_params", {}))
    if call.user_id != DEFAULT_USER:
        ext.setdefault("user_id", call.user_id)
    body: dict[str, Any] = {
        "workflow_id": call.workflow_id,
        "parameters": {**options.get("parameters", {}), **inputs},
    }
    optional = {
        "bot_id": call.bot_id,
        "app_id": call.app_id,
        "ext": ext,
        "workflow_version": options.get("bot_version"),
        "connector_id": options.get("connector_id"),
    }
    return body | {name: value for name, value in optional.items() if value}
