"""Convert LangChain messages to the messages of a Coze request. Pure.

Coze has two roles, user and assistant (wire section 2.1). Studio rejects all others, and treats an
assistant message without `type: answer` as a question of the user.
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
    ToolMessage,
)

from langchain_coze import _hints as hints
from langchain_coze._convert.attachments import FILE_BLOCK_TYPES, Attachment, parse_block
from langchain_coze._convert.chunks import PROVIDER
from langchain_coze._convert.transcript import Part, TranscriptEntry, write_transcript
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_MESSAGES = 100
"""The maximum number of messages in a request to a bot (wire section 2.1)."""

MAX_CHATFLOW_MESSAGES = 50
"""The maximum number of messages in a request to a chatflow (wire section 4.6)."""

_HANDOFF_BACK = "__is_handoff_back"  # langgraph-supervisor sets it on "Transferring back to …"

SystemMessageMode: TypeAlias = Literal["context", "variable", "ignore", "raise"]
"""How system messages are sent; see `ChatCoze.system_message_mode`."""

HistoryFormat: TypeAlias = Literal["messages", "transcript", "one_message"]
"""How a history is sent: each message as it is; the earlier ones as a transcript, followed by the
question; or transcript and question in one message."""

EnterMessage: TypeAlias = dict[str, Any]
"""A message of a request; if `content` is a list, its files have not been uploaded yet."""


EntryKind: TypeAlias = Literal["system", "message", "context"]


class HistoryEntry(NamedTuple):
    """A converted message.

    Attributes:
        kind: A system message, another message, or context, which may move before a question.
        message: The message in Coze's format.
        parts: The texts and files of a user message, as the user ordered them.
    """

    kind: EntryKind
    message: EnterMessage
    parts: Sequence[Part] = ()


def to_coze_messages(
    messages: Sequence[BaseMessage],
    *,
    system_mode: SystemMessageMode = "context",
    model_name: str | None = None,
    limit: int = MAX_MESSAGES,
    history_format: HistoryFormat = "messages",
) -> list[EnterMessage]:
    """Return the `additional_messages` of a request.

    Args:
        messages: The conversation so far; the last message is the question.
        system_mode: How system messages are sent: `context` sends each as a separate user message,
            before the question; in the other modes they are not sent.
        model_name: The bot or chatflow that gets the request; answers of other agents are labelled
            with their name.
        limit: The maximum number of messages in the request.
        history_format: How the messages before the question are sent.

    Returns:
        The newest messages; with a transcript, all of them. If one has files, its `content` is a
        list of its text and its `Attachment`s, which `with_file_ids` converts.

    Raises:
        CozeInvalidRequestError: There is no question, or a message cannot be sent.
    """
    entries = convert_history(messages, system_mode=system_mode, model_name=model_name)
    if history_format == "messages":
        entries = _trim_to_limit(entries, limit)
    else:
        entries = _join_history(entries, with_question=history_format == "one_message")
    coze_messages = [entry.message for entry in entries]
    _check_files_have_text(coze_messages)
    return coze_messages


def convert_history(
    messages: Sequence[BaseMessage], *, system_mode: SystemMessageMode, model_name: str | None
) -> list[HistoryEntry]:
    """Return the messages to send, converted one by one; the last one is the question.

    Raises:
        CozeInvalidRequestError: There is no question, or a message cannot be sent.
    """
    calls = _describe_own_calls(messages, model_name)
    converted = [
        _convert_message(message, model_name, calls)
        for message in messages
        if system_mode == "context" or get_role(message) != "system"
    ]
    entries = _move_question_last([entry for entry in converted if entry is not None])
    _check_question(entries)
    return entries


def _check_question(entries: Sequence[HistoryEntry]) -> None:
    """Reject a history that does not end with a question."""
    if not entries:
        raise CozeInvalidRequestError("There is no message to send.", hint=hints.NO_HUMAN_MESSAGE)
    if entries[-1].message["role"] != "user":
        raise CozeInvalidRequestError(
            "The last message is an answer: there is no question.", hint=hints.ANSWER_LAST
        )
    content = entries[-1].message["content"]
    if isinstance(content, str) and not content.strip():
        raise CozeInvalidRequestError("The question is empty.", hint=hints.EMPTY_QUESTION)


def list_attachments(coze_messages: Sequence[EnterMessage]) -> list[Attachment]:
    """Return the files of a request."""
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
    """Return the messages in their wire format; uploaded files have ids by `Upload.digest`."""
    return [
        {**entry, "content": _to_object_string(entry["content"], file_ids)}
        if isinstance(entry["content"], list)
        else entry
        for entry in coze_messages
    ]


def _to_object_string(parts: Sequence[Part], file_ids: Mapping[str, str]) -> str:
    items = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else part.to_item(file_ids.get(part.upload.digest, "") if part.data else "")
        for part in parts
    ]
    return json.dumps(items, ensure_ascii=False, separators=(",", ":"))


def stringify_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a map of strings, with all other values as JSON.

    Raises:
        CozeInvalidRequestError: A value cannot be written as JSON.
    """
    try:
        return {
            str(key): value
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False, allow_nan=False)
            for key, value in values.items()
        }
    except (TypeError, ValueError) as error:
        message = f"A value cannot be written as JSON: {error}"
        raise CozeInvalidRequestError(message) from error


def get_role(message: BaseMessage) -> str:
    """Return the role of a message: user, assistant, system, tool, function, or a custom role."""
    if isinstance(message, HumanMessage):
        return "user"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, ChatMessage):
        return {"human": "user", "ai": "assistant"}.get(message.role, message.role)
    return message.type


def _describe_own_calls(messages: Sequence[BaseMessage], model_name: str | None) -> dict[str, str]:
    """Return a description of each tool call of this bot, by call id."""
    return {
        str(call["id"]): f"{call['name']}({json.dumps(call['args'], ensure_ascii=False)})"
        for message in messages
        if isinstance(message, AIMessage) and is_answer_of(message, model_name)
        for call in message.tool_calls
    }


def _convert_message(
    message: BaseMessage, model_name: str | None, calls: Mapping[str, str]
) -> HistoryEntry | None:
    """Return one message in Coze's format, or None if the bot does not need it."""
    role = get_role(message)
    if isinstance(message, ToolMessage):
        call = calls.get(message.tool_call_id)  # of an ended chat
        result = _build_user_message(f"[{call}] {message.text}")
        return HistoryEntry("context", result) if call else None
    if role == "assistant":
        return _convert_assistant(message, model_name)
    if role == "user":
        content = message.content
        parts = [content] if isinstance(content, str) else [parse_block(b) for b in content]
        return HistoryEntry("message", _build_user_message(*parts), parts)
    if role == "system":
        return HistoryEntry("system", _build_user_message(str(message.text)))
    if role == "remove":
        return None  # an instruction for a graph, without content
    text = f"[{message.name or role}] {message.text}"
    is_result = role in {"tool", "function"}  # of no known call
    return HistoryEntry("context" if is_result else "message", _build_user_message(text))


def _convert_assistant(message: BaseMessage, model_name: str | None) -> HistoryEntry | None:
    """Convert an assistant message; to this bot, another agent is a user."""
    blocks = [block for block in message.content if isinstance(block, dict)]
    if any(str(block.get("type")) in FILE_BLOCK_TYPES for block in blocks):
        warn_user(hints.ANSWER_FILES)
    if not message.text or message.response_metadata.get(_HANDOFF_BACK):
        return None  # only a handoff
    if message.name and not is_answer_of(message, model_name):  # context, not a question itself
        return HistoryEntry("context", _build_user_message(f"[{message.name}] {message.text}"))
    answer = {"role": "assistant", "type": "answer", "content_type": "text"}
    is_context = isinstance(message, AIMessage) and bool(message.tool_calls)
    kind: EntryKind = "context" if is_context else "message"
    return HistoryEntry(kind, {**answer, "content": str(message.text)})


def _build_user_message(*parts: Part) -> EnterMessage:
    """Return a user message: only text, or one text and files."""
    texts = [part for part in parts if isinstance(part, str) and part]
    files = [part for part in parts if isinstance(part, Attachment)]
    text = "\n".join(texts)
    content: Any = [*([text] if text else []), *files] if files else text
    kind = "object_string" if files else "text"
    return {"role": "user", "type": "question", "content": content, "content_type": kind}


def _check_files_have_text(coze_messages: Sequence[EnterMessage]) -> None:
    """Reject files without any text next to them: Coze returns error 4000 for them (wire 2.1)."""
    for number, entry in enumerate(coze_messages):
        files = entry["content"]
        if isinstance(files, str) or isinstance(files[0], str):
            continue
        is_question = all(file.kind == "audio" for file in files)
        neighbors = coze_messages[max(number - 1, 0) : number + 2]
        if not is_question and all(other["content_type"] != "text" for other in neighbors):
            raise CozeInvalidRequestError(
                "A message has files but no text, and no message beside it has text.",
                code=4000,
                hint=hints.FILE_WITHOUT_TEXT,
            )


def is_answer_of(message: BaseMessage, model_name: str | None) -> bool:
    """Return whether an answer is that of a bot, chatflow or project of coze.site."""
    metadata = message.response_metadata
    return metadata.get("model_provider") == PROVIDER and metadata.get("model_name") == model_name


def collect_system_variables(
    messages: Sequence[BaseMessage], mode: SystemMessageMode, variable: str | None
) -> dict[str, str]:
    """Return the prompt variable with the system messages of a history; empty in other modes.

    Raises:
        CozeInvalidRequestError: There are system messages, and the mode is `raise` or the name is
            missing.
    """
    system = [message for message in messages if get_role(message) == "system"]
    if not system or mode in {"context", "ignore"}:
        return {}
    if mode == "raise":
        raise CozeInvalidRequestError(
            "There is a system message, and system_message_mode is 'raise'.",
            hint=hints.SYSTEM_MESSAGE,
        )
    if not variable:
        raise CozeInvalidRequestError(
            "system_message_mode='variable' needs system_message_variable.",
            hint=hints.SYSTEM_VARIABLE,
        )
    return {variable: "\n\n".join(message.text for message in system)}


def _move_question_last(entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """Move trailing system messages and context before the question, which drives the recall."""
    positions = [number for number, entry in enumerate(entries) if entry.kind == "message"]
    if not positions or entries[positions[-1]].message["role"] != "user":
        return entries
    last = positions[-1]
    return [*entries[:last], *entries[last + 1 :], entries[last]]


def _join_history(entries: list[HistoryEntry], *, with_question: bool) -> list[HistoryEntry]:
    """Return the history as one message, and the question as another or in the same one.

    A system message that stands alone before the question is sent as it is: two messages keep
    their order.
    """
    *earlier, question = entries
    is_only_system = len(earlier) == 1 and earlier[0].kind == "system"
    if not earlier or (is_only_system and not with_question):
        return entries
    transcript = write_history(entries if with_question else earlier, with_question=with_question)
    joined = HistoryEntry("message", _build_user_message(*transcript))
    return [joined] if with_question else [joined, question]


def write_history(entries: Sequence[HistoryEntry], *, with_question: bool = True) -> list[Part]:
    """Return a history as one text, followed by its files."""
    earlier = entries[:-1] if with_question else entries
    question = get_parts(entries[-1]) if with_question else ()
    return write_transcript([_to_transcript_entry(entry) for entry in earlier], question)


def _to_transcript_entry(entry: HistoryEntry) -> TranscriptEntry:
    role = entry.message["role"]
    if entry.kind == "system":
        role = "system"
    elif entry.kind == "context" and role == "user":  # it names its agent or tool call
        role = "note"
    return TranscriptEntry(role, get_parts(entry))


def get_parts(entry: HistoryEntry) -> Sequence[Part]:
    """Return the text and the files of an entry."""
    content = entry.message["content"]
    return content if isinstance(content, list) else [content]


def _trim_to_limit(entries: list[HistoryEntry], limit: int) -> list[HistoryEntry]:
    """Return up to `limit` messages: all system ones, and the newest others from a question on."""
    surplus = len(entries) - limit
    if surplus <= 0:
        return entries
    system = sum(entry.kind == "system" for entry in entries)
    if system >= limit:
        raise CozeInvalidRequestError(
            f"There are {system} system messages; Coze accepts {limit} messages in total.",
            hint=hints.TOO_MANY_SYSTEM_MESSAGES,
        )
    kept: list[HistoryEntry] = []
    for entry in entries:
        is_answer = entry.message["role"] != "user"
        if entry.kind != "system" and (
            surplus > 0 or (is_answer and all(e.kind != "message" for e in kept))
        ):
            surplus -= 1  # too old, or an answer without its question
        else:
            kept.append(entry)
    warn_user(
        hints.MESSAGES_LEFT_OUT.format(
            limit=limit, surplus=len(entries) - len(kept), total=len(entries)
        )
    )
    return kept
