"""Tolerant pydantic models of Coze's objects: an invalid field does not affect the others.

Numbers may be digit strings, any value may be null or missing, enumerations may have unknown
values, and the payload of a reply may be under another key (wire sections 1.4, 1.6, 2.2, 2.3, 8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import from_json, to_json


def _to_str(value: Any) -> str:
    """Return a value as text: empty for null, digits for a number, JSON for an object."""
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        return to_json(value).decode()
    return str(value)


def _to_int(value: Any) -> int:
    """Return a count or a code as an int; null and non-numeric text become 0."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _keep_objects(value: Any) -> list[Any]:
    """Return the objects in a list; drop anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _to_status(value: Any) -> str:
    """Return the status of a chat as the hosted service spells it."""
    status = _to_str(value).removeprefix(_STATUS_PREFIX)
    return _STATUS_ALIASES.get(status, status)


LenientStr = Annotated[str, BeforeValidator(_to_str)]
LenientInt = Annotated[int, BeforeValidator(_to_int)]

_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_STATUS_PREFIX = "conversation.chat."  # Studio uses the event's name as a status
_STATUS_ALIASES = {
    "cancelled": "canceled",
    "required_action": "requires_action",
    "compleated": "completed",
}
TERMINAL_STATUSES = frozenset({"completed", "failed", "requires_action", "canceled", "expired"})
"""The chat statuses that do not change without another request."""


class CozeModel(BaseModel):
    """Base of Coze's objects: ignores unknown keys; an invalid field gets its default."""

    # defer_build: validators are built on first use, which keeps the import fast
    model_config = ConfigDict(extra="ignore", defer_build=True)

    @classmethod
    def parse(cls, body: Any) -> Self:
        """Parse a body; all fields have their defaults if it is not an object."""
        return cls.model_validate(body if isinstance(body, Mapping) else {})

    @field_validator("*", mode="wrap")
    @classmethod
    def _tolerate(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        try:
            return handler(value)
        except (ValidationError, ValueError, TypeError):
            return cls.model_fields[info.field_name or ""].get_default(call_default_factory=True)


class TokenDetails(CozeModel):
    """The input tokens that were cached, and the output tokens spent on reasoning."""

    cached_tokens: LenientInt = 0
    reasoning_tokens: LenientInt = 0


class Usage(CozeModel):
    """The token counts of a turn or run; all 0 until it is completed (wire section 2.2).

    Coze Studio has other names for the counts of an answer (wire section 8).
    """

    token_count: LenientInt = Field(0, validation_alias=AliasChoices("token_count", "token"))
    output_count: LenientInt = Field(
        0, validation_alias=AliasChoices("output_count", "output_tokens")
    )
    input_count: LenientInt = Field(0, validation_alias=AliasChoices("input_count", "input_tokens"))
    input_tokens_details: TokenDetails | None = None
    output_tokens_details: TokenDetails | None = None


class ToolCall(CozeModel):
    """An entry of `tool_calls`: by its type, a tool call or a question (wire section 2.6).

    `arguments` is a JSON string.
    """

    id: LenientStr = ""
    type: LenientStr = ""
    name: LenientStr = Field("", validation_alias=AliasPath("function", "name"))
    arguments: Annotated[LenientStr, Field(validation_alias=AliasPath("function", "arguments"))] = (
        ""
    )


class Chat(CozeModel):
    """One turn of a bot; its required action may be present but empty (wire section 2.2)."""

    id: LenientStr = ""
    conversation_id: LenientStr = ""
    status: Annotated[str, BeforeValidator(_to_status)] = ""
    completed_at: LenientInt = 0
    tool_calls: Annotated[list[ToolCall], BeforeValidator(_keep_objects)] = Field(
        default_factory=list,
        validation_alias=AliasPath("required_action", "submit_tool_outputs", "tool_calls"),
    )
    usage: Usage = Field(default_factory=Usage)

    @property
    def function_calls(self) -> list[ToolCall]:
        """The calls that the client must run; other types (`reply_message`) ask the user."""
        return [c for c in self.tool_calls if c.type == "function" or (not c.type and c.name)]


class CozeMessage(CozeModel):
    """One message of a turn (wire section 2.3)."""

    id: LenientStr = ""
    chat_id: LenientStr = ""
    role: LenientStr = ""
    type: LenientStr = ""
    content: LenientStr = ""
    content_type: LenientStr = ""
    reasoning_content: LenientStr = ""
    meta_data: Usage = Field(default_factory=Usage)


class RunInterrupt(CozeModel):
    """An interrupt of a run (wire sections 4.2 and 4.4); answers repeat `type` and `event_id`."""

    data: LenientStr = ""
    event_id: LenientStr = ""
    type: LenientInt = 0
    required_parameters: dict[str, Any] = Field(default_factory=dict)


class _RunInfo(CozeModel):
    """The fields that replies, histories and last events of a run have in common."""

    execute_id: LenientStr = ""
    debug_url: LenientStr = ""
    usage: Usage = Field(default_factory=Usage)
    token: LenientInt = 0
    interrupt_data: RunInterrupt | None = None

    @property
    def interrupt(self) -> RunInterrupt | None:
        """The interrupt, or None; one without an `event_id` cannot be answered."""
        interrupt = self.interrupt_data
        return interrupt if interrupt is not None and interrupt.event_id else None


class RunReply(_RunInfo):
    """A workflow run, from its reply or its last event (wire section 4.2)."""

    data: LenientStr = ""


class RunHistory(_RunInfo):
    """A workflow run, from its run history (wire section 4.3)."""

    execute_status: LenientStr = ""
    output: LenientStr = ""
    error_code: LenientStr = ""
    error_message: LenientStr = Field(
        "", validation_alias=AliasChoices("error_message", "error_msg")
    )


class NodeMessage(CozeModel):
    """A chunk of a workflow node's output: the data of a `Message` event (wire section 4.4)."""

    content: LenientStr = ""
    node_title: LenientStr = ""
    node_is_finish: bool = False
    node_id: LenientStr = ""
    node_type: LenientStr = ""
    node_execute_uuid: LenientStr = ""
    usage: Usage = Field(default_factory=Usage)
    token: LenientInt = 0


class ErrorReport(CozeModel):
    """An error in a body: a reply, an `error` event, a workflow, OAuth (wire section 1.4)."""

    own_code: LenientInt = Field(0, validation_alias="code")
    msg: LenientStr = ""
    error_code: LenientStr = ""
    error_message: LenientStr = ""
    last_code: LenientInt = Field(0, validation_alias=AliasPath("last_error", "code"))
    last_msg: LenientStr = Field("", validation_alias=AliasPath("last_error", "msg"))
    detail: dict[str, Any] = Field(default_factory=dict)
    error: dict[str, Any] = Field(default_factory=dict)
    debug_url: LenientStr = ""

    @property
    def code(self) -> int:
        """The code; 0 if it is missing or not a number."""
        return self.own_code or self.last_code or _to_int(self.error_code)

    @property
    def message(self) -> str:
        """The message, preceded by the code if that is a word."""
        message = self.msg or self.last_msg or self.error_message
        word = self.error_code if not _to_int(self.error_code) else ""
        return f"{word}: {message}" if word and message else message or word

    @property
    def logid(self) -> str:
        """The log id, or an empty string."""
        return _to_str(self.detail.get("logid") or self.error.get("logid"))


def parse_json(body: bytes | str) -> Any:
    """Return the parsed JSON of a body, or None if it is not JSON.

    Invalid UTF-8 and lone surrogates become U+FFFD or `?`, so that the rest stays readable.
    """
    try:
        return from_json(body)
    except (ValueError, TypeError):  # a TypeError: a str with a lone surrogate
        body = body.encode("utf-8", "replace") if isinstance(body, str) else body
    try:
        return from_json(_LONE_SURROGATE.sub(r"\\ufffd", body.decode("utf-8", "replace")))
    except ValueError:
        return None


def find_failure(body: Any) -> ErrorReport | None:
    """Return the failure that a parsed JSON body reports, or None."""
    failure = ErrorReport.parse(body)
    return failure if failure.code or failure.error_code else None


_PAYLOAD_KEYS = ("data", "message", "Messages", "ConversationData", "ChatV3ChatDetail")


def get_payload(body: Any) -> Any:
    """Return the payload of a reply from any of its possible keys (wire sections 1.4 and 8)."""
    if isinstance(body, Mapping):
        for key in _PAYLOAD_KEYS:
            if body.get(key) is not None:
                return body[key]
    return None
