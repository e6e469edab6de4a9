"""Convert LangChain messages to the messages of a Coze request. Pure.

Coze has two roles, user and assistant (wire section 2.1). Studio rejects all others, and treats an
assistant message without `type: answer` as a user message. It also loses the order of the messages
in a request, and the model node of its chatflows sees only the last one (wire section 8). A history
is therefore sent to Studio as a transcript.
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
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_MESSAGES = 100
"""The maximum number of messages in a request to a bot (wire section 2.1)."""

MAX_CHATFLOW_MESSAGES = 50
"""The maximum number of messages in a request to a chatflow (wire section 4.6)."""

_LABELS = {"system": "System: ", "user": "User: ", "assistant": "Assistant: ", "note": ""}
_TURNS_HEADER = "Earlier messages of this conversation:"
_QUESTION_HEADER = "The message to answer:"
_HANDOFF_BACK = "__is_handoff_back"  # langgraph-supervisor sets it on "Transferring back to …"

Part: TypeAlias = str | Attachment

SystemMessageMode: TypeAlias = Literal["context", "variable", "ignore", "raise"]
"""How system messages are sent; see `ChatCoze.system_message_mode`."""

HistoryFormat: TypeAlias = Literal["messages", "transcript", "one_message"]
"""How a history is sent: as separate messages; as a transcript followed by the question; or as one
message with both."""


class HistoryEntry(NamedTuple):
    """One message of a history.

    Attributes:
        role: The author. A `note` is a tool result or an answer of another agent, whose name is in
            its text.
        parts: The texts and files, in their original order.
        has_calls: Whether this is an answer with tool calls.
    """

    role: Literal["system", "user", "assistant", "note"]
    parts: Sequence[Part]
    has_calls: bool = False

    @property
    def is_turn(self) -> bool:
        """Whether this is a question or an answer; other entries may be moved before a question."""
        return self.role in {"user", "assistant"} and not self.has_calls

    @property
    def text(self) -> str:
        """The joined texts."""
        return "\n".join(part for part in self.parts if isinstance(part, str) and part)

    @property
    def files(self) -> list[Attachment]:
        """Its files."""
        return [part for part in self.parts if isinstance(part, Attachment)]


def select_entries(
    messages: Sequence[BaseMessage],
    *,
    system_mode: SystemMessageMode = "context",
    model_name: str | None = None,
    limit: int = MAX_MESSAGES,
    history_format: HistoryFormat = "messages",
) -> list[HistoryEntry]:
    """Return the entries of a request; the last message is the question.

    Args:
        messages: The conversation so far.
        system_mode: `context` sends each system message as a user message before the question; the
            other modes do not send them.
        model_name: The bot or chatflow that gets the request; answers of other agents are labelled.
        limit: The maximum number of messages; older ones are dropped, except in a transcript.
        history_format: How the messages before the question are sent.
    """
    entries = convert_history(messages, system_mode=system_mode, model_name=model_name)
    if history_format == "messages":
        entries = _trim_to_limit(entries, limit)
    else:
        entries = _join_history(entries, with_question=history_format == "one_message")
    _check_files_have_text(entries)
    return entries


def convert_history(
    messages: Sequence[BaseMessage], *, system_mode: SystemMessageMode, model_name: str | None
) -> list[HistoryEntry]:
    """Return the converted messages to send; the last one is the question."""
    messages = [_read_object_string(message) for message in messages]
    calls = {  # descriptions of the calls of this bot
        str(call["id"]): f"{call['name']}({json.dumps(call['args'], ensure_ascii=False)})"
        for message in messages
        if isinstance(message, AIMessage) and is_answer_of(message, model_name)
        for call in message.tool_calls
    }
    converted = [
        _convert_message(message, model_name, calls)
        for message in messages
        if system_mode == "context" or get_role(message) != "system"
    ]
    entries = _move_question_last([entry for entry in converted if entry is not None])
    if not entries:
        raise CozeInvalidRequestError("There is no message to send.", hint=hints.NO_HUMAN_MESSAGE)
    if entries[-1].role == "assistant":
        raise CozeInvalidRequestError(
            "The last message is an answer, so there is no question.", hint=hints.ANSWER_LAST
        )
    if not (entries[-1].files or entries[-1].text.strip()):
        raise CozeInvalidRequestError("The question is empty.", hint=hints.EMPTY_QUESTION)
    return entries


def convert_stored(messages: Sequence[BaseMessage]) -> list[HistoryEntry]:
    """Return messages that a new conversation begins with; no question has to be the last one."""
    converted = [_convert_message(message, None, {}) for message in messages]
    entries = [entry for entry in converted if entry is not None]
    _check_files_have_text(entries)
    return entries


def serialize_entries(
    entries: Sequence[HistoryEntry], file_ids: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return the `additional_messages` of a request; `file_ids` has ids by `Upload.digest`."""
    return [_serialize_entry(entry, file_ids) for entry in entries]


def _serialize_entry(entry: HistoryEntry, file_ids: Mapping[str, str]) -> dict[str, str]:
    is_answer = entry.role == "assistant"
    role, kind = ("assistant", "answer") if is_answer else ("user", "question")
    message = {"role": role, "type": kind, "content": entry.text, "content_type": "text"}
    if not entry.files:
        return message
    items = [{"type": "text", "text": entry.text}] if entry.text else []
    items += [file.to_item(file_ids) for file in entry.files]
    content = json.dumps(items, ensure_ascii=False, separators=(",", ":"))
    return {**message, "content": content, "content_type": "object_string"}


def stringify_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a map of strings, with all other values as JSON."""
    try:
        return {
            str(key): value
            if isinstance(value, str)
            else json.dumps(value, ensure_ascii=False, allow_nan=False)
            for key, value in values.items()
        }
    except (TypeError, ValueError) as error:
        message = f"A value cannot be converted to JSON: {error}"
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


def _read_object_string(message: BaseMessage) -> BaseMessage:
    """Return a message whose content is a list, if it was given as JSON in Coze's own format.

    LangChain keeps the `content_type` of a dict like `{"role": …, "content": …}`.

    Raises:
        CozeInvalidRequestError: The content is not a list of items as JSON.
    """
    content = message.content
    is_object_string = message.additional_kwargs.get("content_type") == "object_string"
    if not is_object_string or not isinstance(content, str):
        return message
    try:
        items = json.loads(content)
    except ValueError:
        items = None
    if not isinstance(items, list):
        raise CozeInvalidRequestError(
            "A message has content_type 'object_string', but its content is not a list as JSON.",
            hint=hints.OBJECT_STRING,
        )
    return message.model_copy(update={"content": items})


def _convert_message(
    message: BaseMessage, model_name: str | None, calls: Mapping[str, str]
) -> HistoryEntry | None:
    """Return the entry of a message, or None if the message is not for the bot."""
    role = get_role(message)
    if isinstance(message, ToolMessage):
        call = calls.get(message.tool_call_id)  # the chat of the call has ended
        return HistoryEntry("note", [f"[{call}] {message.text}"]) if call else None
    if role == "assistant":
        return _convert_assistant(message, model_name)
    if role == "user":
        content = message.content
        parts = [content] if isinstance(content, str) else [parse_block(b) for b in content]
        return HistoryEntry("user", parts)
    if role == "system":
        return HistoryEntry("system", [str(message.text)])
    if role == "remove":
        return None  # a graph instruction without content
    is_result = role in {"tool", "function"}  # the result of an unknown call
    text = f"[{message.name or role}] {message.text}"
    return HistoryEntry("note" if is_result else "user", [text])


def _convert_assistant(message: BaseMessage, model_name: str | None) -> HistoryEntry | None:
    """Convert an assistant message; answers of other agents become notes."""
    blocks = [block for block in message.content if isinstance(block, dict)]
    if any(str(block.get("type")) in FILE_BLOCK_TYPES for block in blocks):
        warn_user(hints.ANSWER_FILES)
    if not message.text or message.response_metadata.get(_HANDOFF_BACK):
        return None  # only a handoff
    if message.name and not is_answer_of(message, model_name):
        return HistoryEntry("note", [f"[{message.name}] {message.text}"])
    has_calls = isinstance(message, AIMessage) and bool(message.tool_calls)
    return HistoryEntry("assistant", [str(message.text)], has_calls)


def _check_files_have_text(entries: Sequence[HistoryEntry]) -> None:
    """Reject files without adjacent text, for which Coze returns error 4000 (wire 2.1)."""
    for number, entry in enumerate(entries):
        if entry.text or all(file.kind == "audio" for file in entry.files):
            continue
        if all(other.files for other in entries[max(number - 1, 0) : number + 2]):
            raise CozeInvalidRequestError(
                "A message has files but no text, and no adjacent message has text.",
                code=4000,
                hint=hints.FILE_WITHOUT_TEXT,
            )


def is_answer_of(message: BaseMessage, model_name: str | None) -> bool:
    """Return whether an answer comes from this bot, chatflow or coze.site project."""
    metadata = message.response_metadata
    return metadata.get("model_provider") == PROVIDER and metadata.get("model_name") == model_name


def collect_system_variables(
    messages: Sequence[BaseMessage], mode: SystemMessageMode, variable: str | None
) -> dict[str, str]:
    """Return the prompt variable for the system messages of a history; empty in other modes."""
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
    """Move trailing system messages and notes before the question, which the recall uses."""
    last = next((n for n in reversed(range(len(entries))) if entries[n].is_turn), None)
    if last is None or entries[last].role != "user":
        return entries
    return [*entries[:last], *entries[last + 1 :], entries[last]]


def _join_history(entries: list[HistoryEntry], *, with_question: bool) -> list[HistoryEntry]:
    """Return the history as one message, with the question in a second or in the same message.

    A single system message before the question is sent unchanged: the order of two messages is
    kept.
    """
    *earlier, question = entries
    is_only_system = len(earlier) == 1 and earlier[0].role == "system"
    if not earlier or (is_only_system and not with_question):
        return entries
    if with_question:
        return [HistoryEntry("user", write_transcript(earlier, question))]
    return [HistoryEntry("user", write_transcript(earlier)), question]


def _trim_to_limit(entries: list[HistoryEntry], limit: int) -> list[HistoryEntry]:
    """Return up to `limit` messages: all system ones, and the newest others from a question on."""
    surplus = len(entries) - limit
    if surplus <= 0:
        return entries
    system = sum(entry.role == "system" for entry in entries)
    if system >= limit:
        raise CozeInvalidRequestError(
            f"There are {system} system messages, but Coze accepts {limit} messages in total.",
            hint=hints.TOO_MANY_SYSTEM_MESSAGES,
        )
    kept: list[HistoryEntry] = []
    for entry in entries:
        lacks_question = entry.role == "assistant" and not any(other.is_turn for other in kept)
        if entry.role != "system" and (surplus > 0 or lacks_question):
            surplus -= 1  # too old, or an answer without its question
        else:
            kept.append(entry)
    left_out = len(entries) - len(kept)
    warn_user(hints.MESSAGES_LEFT_OUT.format(limit=limit, surplus=left_out, total=len(entries)))
    return kept


def write_transcript(
    earlier: Sequence[HistoryEntry], question: HistoryEntry | None = None
) -> list[Part]:
    """Return a text with the system messages, earlier turns and the question, and all files.

    The text marks the position of each file of an earlier message.
    """
    files: list[Attachment] = []
    system: list[str] = []
    turns: list[str] = []
    for entry in earlier:
        lines = [entry.text] if entry.text else []
        for file in entry.files:
            files.append(file)
            lines.append(f"[{file.kind} {len(files)}]")
        paragraphs = system if entry.role == "system" else turns
        paragraphs.append(_LABELS[entry.role] + "\n".join(lines))
    sections = [*system, *([_TURNS_HEADER, *turns] if turns else [])]
    if question:
        sections += [_QUESTION_HEADER, *([question.text] if question.text else [])]
        files += question.files
    return ["\n\n".join(sections), *files]
