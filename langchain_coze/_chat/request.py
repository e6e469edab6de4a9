"""Build the request of a turn, and the body of a workflow run. Pure.

Bots use `/v3/chat` (wire section 2.1). Chatflows use `/v1/workflows/chat`, which has other fields
and expects the conversation id in the body (wire section 4.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze import _hints as hints
from langchain_coze._api.chats import (
    build_chat_request,
    build_chatflow_request,
    build_submit_request,
)
from langchain_coze._api.models import Chat
from langchain_coze._chat.options import DEFAULT_USER_ID, STRING_MAP_OPTIONS, ChatOptions
from langchain_coze._convert.to_coze import (
    MAX_CHATFLOW_MESSAGES,
    MAX_MESSAGES,
    HistoryFormat,
    collect_system_variables,
    select_entries,
    serialize_entries,
    stringify_values,
)
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze._api.effects import Request
    from langchain_coze._chat.history import TurnPlan
    from langchain_coze._convert.to_coze import HistoryEntry


_BOT_ONLY_OPTIONS = ("custom_variables", "meta_data", "publish_status", "enable_card")


def draft_messages(options: ChatOptions, plan: TurnPlan) -> list[HistoryEntry]:
    """Return the messages of a request with their files not yet uploaded; reject invalid ones."""
    if plan.outputs is not None:
        return []
    chatflow = bool(options.workflow_id)
    history_format: HistoryFormat = "messages"
    if options.is_studio:  # Studio does not accept a history as messages (wire section 8)
        history_format = "one_message" if chatflow else "transcript"
    entries = select_entries(
        plan.messages,
        system_mode=options.system_message_mode,
        model_name=options.model_name,
        limit=MAX_CHATFLOW_MESSAGES if chatflow else MAX_MESSAGES,
        history_format=history_format,
    )
    if chatflow and not options.is_studio and any(entry.files for entry in entries):
        raise CozeInvalidRequestError(
            "A chatflow accepts only text messages.", hint=hints.CHATFLOW_FILE
        )
    return entries


def build_request(
    options: ChatOptions,
    plan: TurnPlan,
    draft: Sequence[HistoryEntry],
    file_ids: Mapping[str, str],
    outputs: Mapping[str, str],
) -> Request:
    """Return the request that starts or continues a turn, with the ids of uploaded files.

    The `outputs` are those of the plan as text.
    """
    if plan.outputs is not None and plan.open_chat is not None:
        chat = Chat(id=plan.open_chat.chat_id, conversation_id=plan.conversation_id)
        return build_submit_request(chat, outputs, stream=options.stream)
    messages = serialize_entries(draft, file_ids)
    variables = collect_system_variables(
        plan.full_history, options.system_message_mode, options.system_message_variable
    )
    if options.workflow_id:
        body = {**build_run_body(options, variables), "additional_messages": messages}
        return build_chatflow_request(body, plan.conversation_id)
    serialized = _serialize_options(options)
    if variables:
        serialized["custom_variables"] = {**serialized.get("custom_variables", {}), **variables}
    body = {
        "bot_id": options.bot_id,
        "user_id": options.user_id,
        "additional_messages": messages,
        "stream": options.stream,
        "auto_save_history": options.requests_saving,
        **serialized,
    }
    return build_chat_request(body, plan.conversation_id)


def _serialize_options(options: ChatOptions) -> dict[str, Any]:
    """Return the options of a call in their wire format."""
    return {
        name: stringify_values(value) if name in STRING_MAP_OPTIONS else value
        for name, value in options.request_fields.items()
    }


def build_run_body(options: ChatOptions, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request that runs a workflow (wire section 4.2), also as a chatflow.

    The `inputs` of its start node are added to the `parameters` of the call.
    """
    serialized = _serialize_options(options)
    unsupported = [name for name in _BOT_ONLY_OPTIONS if name in serialized]
    if unsupported:
        raise CozeInvalidRequestError(
            f"A {'workflow' if options.is_workflow else 'chatflow'} does not support "
            f"{', '.join(unsupported)}.",
            hint=hints.CHATFLOW_PARAMETERS,
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
