"""What the function of a workflow may yield, besides text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.reply_parts import Waiting
from langchain_coze.local.runtime.signature import Parameter, parameters_of
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.wire.files import StoredFile

MESSAGE_NODE = "Message"


@dataclass(frozen=True, slots=True)
class Message:
    """A piece of what an output node says: a `Message` event of a streamed run (wire 4.4).

    A plain string is a piece of the node `Message`, which stays open for more.

    Attributes:
        text: The piece.
        node_title: The node that says it. Another title ends the node before it.
        finished: Whether the node has nothing more to say.

    Example:
        >>> Message("3 rooms found", node_title="Search").finished
        True
    """

    text: str
    node_title: str = MESSAGE_NODE
    finished: bool = True


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens that a model took, for the `usage` of the run.

    Attributes:
        input_count: Tokens that went in.
        output_count: Tokens that came out.

    Example:
        >>> TokenUsage(50, 100).input_count
        50
    """

    input_count: int
    output_count: int


@dataclass(frozen=True)
class AskInput(Waiting):
    """A form for the user, as an input node shows it: an interrupt of type 5 (wire 4.4).

    The run stops. When it is resumed, `answer = yield AskInput(…)` is a dictionary of the values.

    Attributes:
        fields: The type of each value by its name, or a tuple of a type and a default.

    Raises:
        TypeError: No value can be checked by a type.

    Example:
        >>> [parameter.name for parameter in AskInput({"city": str, "nights": (int, 1)}).parameters]
        ['city', 'nights']
    """

    fields: Mapping[str, Any]
    parameters: tuple[Parameter, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse early what could not be checked."""
        object.__setattr__(self, "parameters", parameters_of(self.fields))

    def read(self, text: str, uploads: Mapping[str, StoredFile]) -> dict[str, Any]:
        """The values of an answer: the JSON text of an object.

        Raises:
            Problem: 4000, it is none, or a value is missing or not of its type.
        """
        try:
            given = json.loads(text)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise Problem(4000, "resume_data must be the JSON text of an object")
        return {p.name: p.read_from(given, uploads) for p in self.parameters}
