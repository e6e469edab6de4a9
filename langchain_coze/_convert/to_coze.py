"""LangChain messages to the messages of a Coze request. Pure.

Coze knows two roles, user and assistant (wire section 2.1); Studio refuses all others, and takes an
assistant message without `type: answer` for a question of the user.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
)

from langchain_coze._convert.attachments import FILE_BLOCK_TYPES, Attachment, parse_block
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError, bilingual_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_MESSAGES = 100
"""How many messages a request to a bot takes (wire section 2.1)."""

MAX_CHATFLOW_MESSAGES = 50
"""How many messages a request to a chatflow takes (wire section 4.6)."""

_HANDOFF_BACK = "__is_handoff_back"  # langgraph-supervisor's mark of "Transferring back to …"

SystemMessageMode: TypeAlias = Literal["context", "variable", "ignore", "raise"]
"""How system messages are sent; see `ChatCoze.system_message_mode`."""

EnterMessage: TypeAlias = dict[str, Any]
"""A message of a request; where `content` is a list, its files have still to be uploaded."""


class _Entry(NamedTuple):
    """A message on its way, and what it is: system, said, or a note that may stand anywhere."""

    kind: Literal["system", "said", "note"]
    message: EnterMessage


def to_coze_messages(
    messages: Sequence[BaseMessage],
    *,
    system_mode: SystemMessageMode = "context",
    bot_id: str | None = None,
    limit: int = MAX_MESSAGES,
) -> list[EnterMessage]:
    """Return `additional_messages` for a request.

    Args:
        messages: The conversation so far; the last message is the question.
        system_mode: What becomes of system messages: `context` sends each as a user message of its
            own, before the question; in the other modes they are not sent.
        bot_id: The bot that is asked: answers of other models are told as such.
        limit: How many messages the request takes.

    Returns:
        The newest messages. Where one has files, its `content` is a list of its text and its
        `Attachment`s; `with_file_ids` makes what is sent of it.

    Raises:
        CozeInvalidRequestError: There is no question, or something in it cannot be sent.
    """
    sendable = (
        messages if system_mode == "context" else [m for m in messages if _get_role(m) != "system"]
    )
    calls = _describe_own_calls(messages, bot_id)
    entries = [
        entry
        for message in sendable
        if (entry := _convert_message(message, bot_id, calls)) is not None
    ]
    coze_messages = [entry.message for entry in _trim_to_limit(_move_question_last(entries), limit)]
    if not coze_messages:
        raise CozeInvalidRequestError(
            "There is no message to send.",
            hint=bilingual_hint("Give at least one HumanMessage.", "请至少提供一条 HumanMessage。"),
        )
    if coze_messages[-1]["role"] != "user":
        raise CozeInvalidRequestError(
            "The last message is an answer: there is no question.",
            hint=bilingual_hint(
                "End the messages with a HumanMessage.", "消息列表应以 HumanMessage 结尾。"
            ),
        )
    _check_files_have_text(coze_messages)
    return coze_messages


def list_attachments(coze_messages: Sequence[EnterMessage]) -> list[Attachment]:
    """Return the files of a request.

    Args:
        coze_messages: What `to_coze_messages` returns.
    """
    return [
        part
        for entry in coze_messages
        if isinstance(entry["content"], list)
        for part in entry["content"]
        if isinstance(part, Attachment)
    ]


def with_file_ids(
    coze_messages: Sequence[EnterMessage], file_ids: Mapping[str, str]
) -> list[EnterMessage]:
    """Return the messages as they are sent, files as items of an `object_string`.

    Args:
        coze_messages: What `to_coze_messages` returns.
        file_ids: The ids of uploaded files, by `Upload.digest`.
    """
    return [
        {**entry, "content": _to_object_string(entry["content"], file_ids)}
        if isinstance(entry["content"], list)
        else entry
        for entry in coze_messages
    ]


def _to_object_string(parts: Sequence[str | Attachment], file_ids: Mapping[str, str]) -> str:
    items = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else part.to_item(file_ids.get(part.upload.digest, "") if part.data else "")
        for part in parts
    ]
    return json.dumps(items, ensure_ascii=False, separators=(",", ":"))


def stringify_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a map of strings: what is not a string is written as JSON.

    Args:
        values: For instance `custom_variables` or `meta_data`.

    Raises:
        CozeInvalidRequestError: A value cannot be written as JSON.
    """
    try:
        return {
            str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in values.items()
        }
    except (TypeError, ValueError) as error:
        message = f"A value cannot be written as JSON: {error}"
        raise CozeInvalidRequestError(message) from error


def _get_role(message: BaseMessage) -> str:
    """Return the role of a message: user, assistant, system, tool, or a name of the user's."""
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, ChatMessage):
        return {"human": "user", "ai": "assistant"}.get(message.role, message.role)
    return "tool"


def _describe_own_calls(messages: Sequence[BaseMessage], bot_id: str | None) -> dict[str, str]:
    """Return the tool calls that this bot has made: ids, and how each is told."""
    return {
        str(call["id"]): f"{call['name']}({json.dumps(call['args'], ensure_ascii=False)})"
        for message in messages
        if isinstance(message, AIMessage) and _is_own(message, bot_id)
        for call in message.tool_calls
    }


def _convert_message(
    message: BaseMessage, bot_id: str | None, calls: Mapping[str, str]
) -> _Entry | None:
    """Return one message as Coze takes it, or None when it says nothing to the bot."""
    role = _get_role(message)
    if role == "tool":
        call = calls.get(getattr(message, "tool_call_id", ""))  # of a chat that is over
        return _Entry("note", _build_user_message(f"[{call}] {message.text}")) if call else None
    if role == "assistant":
        return _convert_assistant(message, bot_id)
    if role == "user":
        return _Entry("said", _build_user_message(*_read_parts(message)))
    if role == "system":
        return _Entry("system", _build_user_message(str(message.text)))
    return _Entry("said", _build_user_message(f"[{role}] {message.text}"))


def _convert_assistant(message: BaseMessage, bot_id: str | None) -> _Entry | None:
    """Return what an assistant said: this bot, or another agent, which is a user to this one."""
    if not isinstance(message.content, str) and any(map(_is_file, message.content)):
        warn_user(
            "Coze takes files from users only: those of an AIMessage are not sent. "
            "扣子只接受用户消息中的文件，AIMessage 中的文件未发送。"
        )
    if not message.text or message.response_metadata.get(_HANDOFF_BACK):
        return None  # a bare hand-off
    if _is_foreign(message, bot_id):  # it helps to answer the user's question, and is none itself
        return _Entry("note", _build_user_message(f"[{message.name}] {message.text}"))
    note = isinstance(message, AIMessage) and bool(message.tool_calls)
    return _Entry("note" if note else "said", _build_answer(str(message.text)))


def _is_file(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in FILE_BLOCK_TYPES


def _build_answer(text: str) -> EnterMessage:
    return {"role": "assistant", "type": "answer", "content": text, "content_type": "text"}


def _build_user_message(*parts: str | Attachment) -> EnterMessage:
    """Return a message of the user: text alone, or one text and files."""
    texts = [part for part in parts if isinstance(part, str) and part]
    files = [part for part in parts if isinstance(part, Attachment)]
    text = "\n".join(texts)
    content: Any = [*([text] if text else []), *files] if files else text
    kind = "object_string" if files else "text"
    return {"role": "user", "type": "question", "content": content, "content_type": kind}


def _read_parts(message: BaseMessage) -> list[str | Attachment]:
    """Return the texts and files of a message of the user."""
    if isinstance(message.content, str):
        return [message.content]
    return [parse_block(block) for block in message.content]


def _is_audio_only(parts: Sequence[Any]) -> bool:
    """Return whether a message is spoken: that is a question by itself."""
    return all(isinstance(part, Attachment) and part.kind == "audio" for part in parts)


def _check_files_have_text(coze_messages: Sequence[EnterMessage]) -> None:
    """Refuse files that have no text beside them, which Coze answers with 4000 (wire 2.1)."""
    for number, entry in enumerate(coze_messages):
        parts = entry["content"]
        if not isinstance(parts, list) or isinstance(parts[0], str) or _is_audio_only(parts):
            continue
        neighbors = [
            *coze_messages[max(number - 1, 0) : number],
            *coze_messages[number + 1 : number + 2],
        ]
        if not any(other["content_type"] == "text" for other in neighbors):
            raise CozeInvalidRequestError(
                "A message has files but no text, and no message beside it has text.",
                code=4000,
                hint=bilingual_hint(
                    "Say in a text block what the bot is to do with the file.",
                    "请添加文本内容块，说明希望智能体如何处理该文件。",
                ),
            )


def _is_own(message: BaseMessage, bot_id: str | None) -> bool:
    metadata = message.response_metadata
    return metadata.get("model_provider") == "coze" and metadata.get("model_name") == bot_id


def _is_foreign(message: BaseMessage, bot_id: str | None) -> bool:
    """Return whether another agent, not this bot, has said this."""
    return bool(message.name) and not _is_own(message, bot_id)


def collect_system_variables(
    messages: Sequence[BaseMessage], mode: SystemMessageMode, variable: str | None
) -> dict[str, str]:
    """Return the prompt variable that takes the system messages of a history, if any does.

    Args:
        messages: The whole history.
        mode: What becomes of system messages.
        variable: The name of the variable in mode `variable`.

    Raises:
        CozeInvalidRequestError: There are system messages in mode `raise`, or no name.
    """
    system = [message for message in messages if _get_role(message) == "system"]
    if not system or mode in {"context", "ignore"}:
        return {}
    if mode == "raise":
        raise CozeInvalidRequestError(
            "There is a system message, and system_message_mode is 'raise'.",
            hint=bilingual_hint(
                "A bot's system prompt stands in Coze: change it there, or choose another mode.",
                "智能体的系统提示词在扣子中设置：请在那里修改，或选择其他模式。",
            ),
        )
    if not variable:
        raise CozeInvalidRequestError(
            "system_message_mode='variable' needs system_message_variable.",
            hint=bilingual_hint(
                "Name the prompt variable of the bot that takes the system message.",
                "请指定智能体提示词中接收系统消息的变量名。",
            ),
        )
    return {variable: "\n\n".join(message.text for message in system)}


def _move_question_last(entries: list[_Entry]) -> list[_Entry]:
    """Move system messages and notes from the end to before the question, which drives recall."""
    positions = [number for number, entry in enumerate(entries) if entry.kind == "said"]
    if not positions or entries[positions[-1]].message["role"] != "user":
        return entries
    last = positions[-1]
    return [*entries[:last], *entries[last + 1 :], entries[last]]


def _trim_to_limit(entries: list[_Entry], limit: int) -> list[_Entry]:
    """Return at most `limit` messages: all system ones, and the newest others from a question on."""
    surplus = len(entries) - limit
    if surplus <= 0:
        return entries
    system = sum(entry.kind == "system" for entry in entries)
    if system >= limit:
        raise CozeInvalidRequestError(
            f"There are {system} system messages; Coze takes {limit} messages in all.",
            hint=bilingual_hint("Join them into one.", "请合并为一条。"),
        )
    kept: list[_Entry] = []
    for entry in entries:
        if entry.kind == "system":
            kept.append(entry)
        elif surplus > 0 or (
            entry.message["role"] != "user" and not any(e.kind == "said" for e in kept)
        ):
            surplus -= 1  # too old, or an answer whose question is gone
        else:
            kept.append(entry)
    warn_user(
        f"Coze takes at most {limit} messages: the oldest {len(entries) - len(kept)} of "
        f"{len(entries)} are not sent. Shorten the history yourself with trim_messages. "
        f"扣子最多接受 {limit} 条消息，最早的消息未发送。"
    )
    return kept
