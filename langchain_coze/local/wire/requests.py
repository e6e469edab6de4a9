"""Parse and validate request bodies; an invalid field raises error 4000 with its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import INVALID_BODY, ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

FieldT = TypeVar("FieldT")

_MAX_MESSAGES, _MAX_CHATFLOW_MESSAGES = 100, 50
_MAX_META_DATA_PAIRS, _MAX_META_DATA_KEY, _MAX_META_DATA_VALUE = 16, 64, 512
_SAVED_TYPES = frozenset({"question", "answer"})
_UNSAVED_TYPES = _SAVED_TYPES | {"function_call", "tool_output", "tool_response"}
_KINDS = {str: "a string", bool: "true or false", dict: "an object"}
_ITEM_TYPES = frozenset({"text", "file", "image", "audio"})


@dataclass(frozen=True, slots=True)
class EnterMessage:
    """One message of the request."""

    role: str
    type: str
    content: str
    content_type: str
    items: tuple[Mapping[str, Any], ...] = ()  # of an `object_string`
    tool_call_id: str = ""  # of a saved client tool call and its result

    @property
    def text(self) -> str:
        """The text of the message, without its files."""
        if self.content_type == "text":
            return self.content
        return "\n".join(str(i.get("text", "")) for i in self.items if i["type"] == "text")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A validated request for a chat; field names as on the wire.

    For a chatflow, `bot_id` is the `workflow_id`, and `parent_id` the id of its bot or app.
    """

    bot_id: str
    user_id: str
    additional_messages: tuple[EnterMessage, ...]
    stream: bool
    auto_save_history: bool
    parameters: Mapping[str, Any]
    custom_variables: Mapping[str, str] = field(default_factory=dict)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    publish_status: str = "published_online"
    parent_id: str = ""
    extra_params: Mapping[str, str] = field(default_factory=dict)


def read_chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Return the validated body of `POST /v3/chat` (wire 2.1).

    Unknown fields are ignored, as on Coze, including `conversation_id`, which belongs in the query.
    """
    check_strings(body, "bot_id", "user_id", "connector_id", "bot_version", "publish_status")
    stream = _read_field(body, "stream", default=False)
    saved = _read_field(body, "auto_save_history", default=True)
    if not stream and not saved:
        raise ApiError(4007)
    status = body.get("publish_status") or "published_online"
    if status not in {"published_online", "unpublished_draft"}:
        raise ApiError(4000, f"publish_status: {status!r} is unknown")
    if body.get("bot_version") and status == "unpublished_draft":
        raise ApiError(4000, "bot_version cannot be combined with publish_status unpublished_draft")
    return ChatRequest(
        bot_id=_require_string(body, "bot_id"),
        user_id=_require_string(body, "user_id"),
        additional_messages=read_messages(body.get("additional_messages"), saved=saved),
        stream=stream,
        auto_save_history=saved,
        custom_variables=_read_string_map(body, "custom_variables"),
        meta_data=read_meta_data(body.get("meta_data")),
        parameters=_read_field(body, "parameters", default={}),
        publish_status=status,
        extra_params=_read_string_map(body, "extra_params"),
    )


def check_strings(body: Mapping[str, Any], *names: str) -> None:
    """Check that the fields that are present are strings: Coze rejects numbers (wire 1.6)."""
    if any(not isinstance(body.get(name) or "", str) for name in names):
        raise ApiError(4000, INVALID_BODY)


def read_chatflow_request(body: Mapping[str, Any], *, takes_files: bool = False) -> ChatRequest:
    """Return the validated body of `POST /v1/workflows/chat` (wire 4.6): a streamed, saved chat.

    The route checks the account and the conversation. With `takes_files` (Studio), messages may
    have files.
    """
    check_strings(body, "workflow_id", "bot_id", "app_id", "connector_id", "workflow_version")
    messages = read_messages(
        body.get("additional_messages"), saved=False, limit=_MAX_CHATFLOW_MESSAGES
    )
    if not messages:
        raise ApiError(4000, "additional_messages is required")
    if messages[-1].role != "user":
        raise ApiError(4000, "the last of additional_messages must have the role user")
    if any(message.content_type != "text" for message in messages) and not takes_files:
        raise ApiError(4000, "additional_messages: a chatflow accepts only text")
    if not takes_files and not all(message.content for message in messages):
        raise ApiError(4000, "additional_messages: content must not be empty")
    # The documentation requires it, but the official Python SDK sends null by default.
    if "parameters" not in body or not isinstance(body["parameters"] or {}, dict):
        raise ApiError(4000, "parameters is required and must be an object")
    return ChatRequest(
        bot_id=_require_string(body, "workflow_id"),
        user_id=_read_string_map(body, "ext").get("user_id", ""),
        additional_messages=messages,
        stream=True,
        auto_save_history=True,
        parameters=body["parameters"] or {},
        parent_id=str(body.get("app_id") or body.get("bot_id") or ""),
    )


def read_messages(
    value: Any, *, saved: bool, limit: int = _MAX_MESSAGES
) -> tuple[EnterMessage, ...]:
    """Return the validated `additional_messages`, or the `messages` of a new conversation.

    With `saved`, fewer message types are allowed.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ApiError(4000, "additional_messages must be a list")
    if len(value) > limit:
        raise ApiError(4004, f"additional_messages over the limit of {limit}")
    allowed_types = _SAVED_TYPES if saved else _UNSAVED_TYPES
    messages = tuple(
        _read_message(item, f"additional_messages[{i}]", allowed_types)
        for i, item in enumerate(value)
    )
    _check_files_have_text(messages)
    return messages


def read_meta_data(value: Any) -> dict[str, str]:
    """Return a validated `meta_data` map; error 4003 if it is too large."""
    pairs = _read_string_map({"meta_data": value}, "meta_data")
    if len(pairs) > _MAX_META_DATA_PAIRS:
        raise ApiError(4003)
    for key, text in pairs.items():
        if not (1 <= len(key) <= _MAX_META_DATA_KEY and 1 <= len(text) <= _MAX_META_DATA_VALUE):
            raise ApiError(4003)
    return pairs


def read_tool_outputs(body: Mapping[str, Any]) -> tuple[bool, dict[str, str]]:
    """Return whether to stream, and the outputs by call id (wire 2.6)."""
    stream = _read_field(body, "stream", default=False)
    items = body.get("tool_outputs")
    if not isinstance(items, list) or not items:
        raise ApiError(4000, "tool_outputs is required and must be a list")
    outputs: dict[str, str] = {}
    for position, item in enumerate(items):
        field = f"tool_outputs[{position}]"
        output: Mapping[str, Any] = _read_field({field: item}, field, default={})
        call_id, text = output.get("tool_call_id"), output.get("output")
        if not isinstance(call_id, str) or not call_id:
            raise ApiError(4000, f"{field}.tool_call_id is required and must be a string")
        if not isinstance(text, str):
            raise ApiError(4000, f"{field}.output must be a string")
        if call_id in outputs:
            raise ApiError(4000, f"{field}.tool_call_id: {call_id!r} occurs twice")
        outputs[call_id] = text
    return stream, outputs


def _read_message(value: Any, field: str, allowed_types: frozenset[str]) -> EnterMessage:
    message: Mapping[str, Any] = _read_field({field: value}, field, default={})
    role, content = message.get("role"), message.get("content")
    if role not in {"user", "assistant"}:
        raise ApiError(4000, f"{field}.role: only user and assistant are supported, not {role!r}")
    kind = message.get("type") or ("question" if role == "user" else "answer")
    if kind not in allowed_types:
        raise ApiError(4000, f"{field}.type: {kind!r} is not allowed here")
    if kind == "question" and role != "user":
        raise ApiError(4000, f"{field}.type: question needs the role user")
    if not isinstance(content, str):
        raise ApiError(4000, f"{field}.content must be a string")
    content_type = message.get("content_type")
    if content_type not in {"text", "object_string"}:
        raise ApiError(4000, f"{field}.content_type: {content_type!r} is not text or object_string")
    read_meta_data(message.get("meta_data"))
    items = _read_items(content, field) if content_type == "object_string" else ()
    return EnterMessage(role, kind, content, content_type, items)


def _read_items(content: str, field: str) -> tuple[Mapping[str, Any], ...]:
    items = go_json.loads(content)
    if not isinstance(items, list) or not items or not all(isinstance(i, dict) for i in items):
        raise ApiError(
            4000, f"{field}.content: an object_string must be the JSON text of a list of objects"
        )
    for item in items:
        if item.get("type") not in _ITEM_TYPES:
            raise ApiError(4000, f"{field}.content: item type {item.get('type')!r} is unknown")
        if item["type"] != "text" and not (item.get("file_id") or item.get("file_url")):
            raise ApiError(
                4000, f"{field}.content: a {item['type']} item needs file_id or file_url"
            )
    texts = sum(item["type"] == "text" for item in items)
    if texts > 1:
        raise ApiError(4000, f"{field}.content: at most one text item")
    if texts == len(items):
        raise ApiError(4000, f"{field}.content: text alone must use content_type text")
    return tuple(items)


def _check_files_have_text(messages: tuple[EnterMessage, ...]) -> None:
    for position, message in enumerate(messages):
        only_audio = all(item["type"] == "audio" for item in message.items)  # it is the question
        if message.content_type == "text" or message.text or only_audio:
            continue
        neighbours = (
            messages[max(position - 1, 0) : position] + messages[position + 1 : position + 2]
        )
        if not any(neighbour.content_type == "text" for neighbour in neighbours):
            raise ApiError(4000, "a message with only files needs a text message next to it")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A validated request for a run; field names as on the wire."""

    workflow_id: str
    parameters: Mapping[str, Any]
    bot_id: str = ""
    app_id: str = ""
    ext: Mapping[str, str] = field(default_factory=dict)
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A validated request to resume a run; field names as on the wire."""

    workflow_id: str
    event_id: str
    interrupt_type: int
    resume_data: str


def read_run_request(body: Mapping[str, Any]) -> RunRequest:
    """Return the validated body of a request that starts a run (wire 4.2)."""
    request = RunRequest(
        workflow_id=_require_string(body, "workflow_id"),
        parameters=_read_parameters(body.get("parameters")),
        bot_id=_read_field(body, "bot_id", default=""),
        app_id=_read_field(body, "app_id", default=""),
        ext=_read_string_map(body, "ext"),
        is_async=_read_field(body, "is_async", default=False),
    )
    if request.bot_id and request.app_id:
        raise ApiError(4000, "bot_id and app_id cannot be combined")
    return request


def read_resume_request(body: Mapping[str, Any]) -> ResumeRequest:
    """Return the validated body of a request that resumes a run (wire 4.4, 4.5)."""
    kind = body.get("interrupt_type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise ApiError(4000, "interrupt_type is required and must be an integer")
    if not isinstance(body.get("resume_data"), str):
        raise ApiError(4000, "resume_data is required and must be a string")
    return ResumeRequest(
        workflow_id=_require_string(body, "workflow_id"),
        event_id=_require_string(body, "event_id"),
        interrupt_type=kind,
        resume_data=body["resume_data"],
    )


def _read_parameters(value: Any) -> Mapping[str, Any]:
    """Return the parameters: an object, or its JSON text, which Coze documents, too."""
    if value in (None, ""):
        return {}
    value = go_json.loads(value) if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise ApiError(4000, "parameters must be an object, or the JSON text of one")
    return value


def _read_field(body: Mapping[str, Any], name: str, *, default: FieldT) -> FieldT:
    """Return a field, which must have the type of its default; null means the default."""
    value, kind = body.get(name), type(default)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ApiError(4000, f"{name} must be {_KINDS[kind]}")
    return value


def _require_string(body: Mapping[str, Any], name: str) -> str:
    if value := _read_field(body, name, default=""):
        return value
    raise ApiError(4000, f"{name} is required and must be a string")


def _read_string_map(body: Mapping[str, Any], name: str) -> dict[str, str]:
    pairs: dict[str, Any] = _read_field(body, name, default={})
    if not all(isinstance(value, str) for value in pairs.values()):
        raise ApiError(4000, f"{name}: every value must be a string")
    return pairs
