"""The turn that a reply function answers."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from langchain_coze.local.wire import go_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.wire.recall import RecalledChunk
    from langchain_coze.local.wire.requests import EnterMessage

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class TurnFile:
    """A file, image or audio of a question.

    Attributes:
        kind: `file`, `image` or `audio`.
        name: The name of an uploaded file; empty for a URL.
        data: The bytes of an uploaded file; empty for a URL.
        url: The URL of the file; empty for an uploaded file.

    Example:
        >>> TurnFile("image", url="https://example.com/tea.png").data
        b''
    """

    kind: str
    name: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = ""


class BotInfo(Protocol):
    """The attributes of a `LocalBot` or `LocalChatflow` that its reply can read."""

    name: str
    description: str
    prompt: str


@dataclass(frozen=True)
class Turn:
    """One question and its context, for a reply function.

    Attributes:
        question: Text of the user's last message.
        bot: The `LocalBot` or `LocalChatflow`.
        chunks: The recalled passages of its knowledge bases, best first.
        has_knowledge: Whether the bot has a knowledge base.
        user_id: The `user_id` of the request.
        custom_variables: Values for the bot's prompt variables.
        parameters: The `parameters` of the request, for the start node of a chatflow.
        meta_data: The `meta_data` of the request.
        conversation_id: The id of the conversation.
        chat_id: The id of the chat.
        entries: The messages of the conversation in request format, oldest first.
        uploads: The user's uploaded files, by file id.
    """

    question: str
    bot: BotInfo
    chunks: tuple[RecalledChunk, ...] = ()
    has_knowledge: bool = False
    user_id: str = ""
    custom_variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    conversation_id: str = ""
    chat_id: str = ""
    entries: tuple[EnterMessage, ...] = ()
    uploads: Mapping[str, StoredFile] = field(default_factory=dict, repr=False)

    @cached_property
    def files(self) -> tuple[TurnFile, ...]:
        """The files of the question, from the user's messages after the last answer."""
        files: deque[TurnFile] = deque()
        for entry in reversed(self.entries):
            if entry.role != "user":
                break
            for item in reversed(entry.items):
                if stored := self.uploads.get(item.get("file_id") or ""):
                    files.appendleft(TurnFile(item["type"], stored.name, stored.data))
                elif item["type"] != "text":
                    files.appendleft(TurnFile(item["type"], url=str(item.get("file_url") or "")))
        return tuple(files)

    @cached_property
    def prompt(self) -> str:
        """The bot's prompt, with its `{{variables}}` replaced by values of the request."""
        return _VARIABLE.sub(lambda m: self.custom_variables.get(m[1], ""), self.bot.prompt)

    @cached_property
    def messages(self) -> list[BaseMessage]:
        """The conversation as LangChain messages, oldest first.

        The first one is a system message if the bot has a prompt or recalled something, because the
        model of a Coze bot sees both.
        """
        passages = [f"[{n}] {c.document_name}\n{c.slice}" for n, c in enumerate(self.chunks, 1)]
        recalled = ["Recalled from the knowledge base:", *passages] if passages else []
        system = "\n\n".join(filter(None, [self.prompt, *recalled]))
        messages: list[BaseMessage] = [SystemMessage(system)] if system else []
        for entry in self.entries:
            if entry.role == "user":
                blocks: Any = [_build_block(item, self.uploads) for item in entry.items]
                messages.append(HumanMessage(blocks or entry.content))
            elif entry.type == "answer":
                messages.append(AIMessage(entry.text))
            else:
                _add_tool_step(messages, entry)
        return _drop_open_calls(messages)


def _build_block(item: Mapping[str, Any], uploads: Mapping[str, StoredFile]) -> dict[str, Any]:
    if item["type"] == "text":
        return {"type": "text", "text": str(item.get("text", ""))}
    if item.get("file_url"):
        return {"type": item["type"], "url": item["file_url"]}
    stored = uploads.get(item["file_id"])
    if stored is None:
        return {"type": item["type"], "file_id": item["file_id"]}
    mime_type = mimetypes.guess_type(stored.name)[0] or "application/octet-stream"
    data = base64.b64encode(stored.data).decode()
    return {"type": item["type"], "base64": data, "mime_type": mime_type}


def _add_tool_step(messages: list[BaseMessage], entry: EnterMessage) -> None:
    """Add a call to the previous AI message, or add the result of the oldest pending call."""
    if entry.type == "function_call":
        if not (messages and isinstance(messages[-1], AIMessage)):
            messages.append(AIMessage(""))
        calling = messages[-1]
        number = sum(len(m.tool_calls) for m in messages if isinstance(m, AIMessage))
        name, arguments = _parse_call(entry.content)
        call = ToolCall(
            name=name, args=arguments, id=entry.tool_call_id or f"call_{number}", type="tool_call"
        )
        calls = [*getattr(calling, "tool_calls", ()), call]
        messages[-1] = calling.model_copy(update={"tool_calls": calls})
    elif open_calls := _find_open_calls(messages):
        call_id = entry.tool_call_id or open_calls[0]
        messages.append(ToolMessage(entry.content, tool_call_id=call_id))


def _parse_call(content: str) -> tuple[str, dict[str, Any]]:
    call = go_json.loads(content)
    if not isinstance(call, dict):
        return "tool", {}
    arguments = call.get("arguments")
    return str(call.get("name") or "tool"), arguments if isinstance(arguments, dict) else {}


def _find_open_calls(messages: list[BaseMessage]) -> list[str]:
    answered = {getattr(message, "tool_call_id", None) for message in messages}
    calls = [call for message in messages for call in getattr(message, "tool_calls", ())]
    return [call["id"] for call in calls if call["id"] not in answered]


def _drop_open_calls(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Drop calls without a result: models reject a history that contains them."""
    open_ids = set(_find_open_calls(messages))
    remaining: list[BaseMessage] = []
    for message in messages:
        calls = getattr(message, "tool_calls", [])
        answered = [call for call in calls if call["id"] not in open_ids]
        if len(answered) < len(calls):
            message = message.model_copy(update={"tool_calls": answered})  # noqa: PLW2901 - a copy
        if answered or message.content or not calls:
            remaining.append(message)
    return remaining
