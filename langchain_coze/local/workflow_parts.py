"""The objects that a workflow function gets and yields, apart from text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pydantic_core import core_schema

from langchain_coze.local.reply_parts import WorkflowQuestion
from langchain_coze.local.turn_context import TurnFile
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.parameters import Parameter, build_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from langchain_coze.local.wire.files import StoredFile

MESSAGE_NODE = "Message"
_FILE_HINT = 'pass a file as a URL, or as the JSON text {"file_id":"…"}'


@dataclass(frozen=True, slots=True)
class Message:
    """A message of an output node: a `Message` event of a streamed run (wire 4.4).

    A plain string is a message of the node `Message`, which accepts more messages.

    Attributes:
        text: The text of the message.
        node_title: The title of the node that sends it. A new title ends the previous node.
        finished: Whether this is the node's last message.

    Example:
        >>> Message("3 rooms found", node_title="Search").finished
        True
    """

    text: str
    node_title: str = MESSAGE_NODE
    finished: bool = True


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Token counts of a model, for the `usage` of the run.

    Attributes:
        input_count: Input tokens.
        output_count: Output tokens.

    Example:
        >>> TokenUsage(50, 100).input_count
        50
    """

    input_count: int
    output_count: int


@dataclass(frozen=True)
class AskInput(WorkflowQuestion):
    """A form for the user, like that of an input node: an interrupt of type 5 (wire 4.4).

    The run is interrupted. When it is resumed, `answer = yield AskInput(…)` returns a dict of
    values.

    Attributes:
        fields: The type of each value by its name, or a tuple of a type and a default.

    Raises:
        TypeError: A type cannot be validated.

    Example:
        >>> [parameter.name for parameter in AskInput({"city": str, "nights": (int, 1)}).parameters]
        ['city', 'nights']
    """

    fields: Mapping[str, Any]
    parameters: tuple[Parameter, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reject types that cannot be validated."""
        object.__setattr__(self, "parameters", build_parameters(self.fields))

    def read_answer(self, text: str, uploads: Mapping[str, StoredFile]) -> dict[str, Any]:
        """Return the values in an answer, which must be the JSON text of an object."""
        values = go_json.loads(text)
        if not isinstance(values, dict):
            raise ApiError(4000, "resume_data must be the JSON text of an object")
        return {p.name: p.read_value(values, uploads) for p in self.parameters}


@dataclass(frozen=True, slots=True)
class Output:
    """The end of a run: the output of its End node.

    For async generators, which cannot return a value; other functions return it.

    Attributes:
        value: A mapping is the End node's variables; any other value is its variable `output`.

    Example:
        >>> Output({"city": "Hangzhou"}).value
        {'city': 'Hangzhou'}
    """

    value: Any


class WorkflowInfo(Protocol):
    """The attributes of a `LocalWorkflow` that its function can read."""

    workflow_id: str
    name: str
    description: str
    app_id: str


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run of a workflow function: everything except its parameters.

    The server passes it to a parameter annotated with this class; clients do not see that
    parameter.

    Attributes:
        workflow: The `LocalWorkflow` that runs.
        execute_id: The id of the run.
        parameters: The parameters of the request, before validation.
        bot_id: The bot that the run is bound to, or an empty string.
        app_id: The app that the run belongs to, or an empty string.
        ext: The `ext` of the request: `user_id`, `latitude`, `longitude`.
        profile: `"cloud"` or `"studio"`.

    Example:
        >>> def whose(context: RunContext) -> str:
        ...     return context.ext.get("user_id", "nobody")
    """

    workflow: WorkflowInfo
    execute_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bot_id: str = ""
    app_id: str = ""
    ext: Mapping[str, str] = field(default_factory=dict)
    profile: str = "cloud"


@dataclass(frozen=True, slots=True)
class FileKind:
    """Marks a parameter of a workflow as a file.

    The function gets a `TurnFile`. Clients send the address of the file, or the JSON text
    `{"file_id":"…"}` of an upload.

    Attributes:
        kind: The type in the workflow's schema. Coze documents `image`, but no other names.

    Source: Coze API, workflow run and workflow info (wire 4.2, 4.7).

    Example:
        >>> from typing import Annotated
        >>> def describe(photo: Annotated[TurnFile, FileKind("image")]) -> str:
        ...     return photo.url
    """

    kind: str = "file"

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that reads the value of a request."""
        return core_schema.with_info_plain_validator_function(self._read_file)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema with Coze's name of the type."""
        return {"type": self.kind}

    def _read_file(self, value: Any, info: core_schema.ValidationInfo) -> TurnFile:
        if not isinstance(value, dict | str) or not value:
            raise ValueError(_FILE_HINT)
        if isinstance(value, str):  # an object in the values of a form (wire 4.4)
            if value.startswith(("http://", "https://")):
                return TurnFile(self.kind, url=value)
            value = go_json.loads(value)
        uploads: Mapping[str, StoredFile] = info.context or {}
        stored = uploads.get(str(value.get("file_id"))) if isinstance(value, dict) else None
        if stored is None:
            raise ValueError(f"there is no uploaded file with this file_id; {_FILE_HINT}")
        return TurnFile(self.kind, stored.name, stored.data)
