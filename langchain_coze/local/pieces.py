"""What a reply may consist of, besides plain text.

A reply function that is a generator yields these, mixed with ``str`` (text of the answer).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "Card",
    "Fail",
    "FollowUp",
    "NewAnswer",
    "Pause",
    "Piece",
    "Reasoning",
    "ServerTool",
    "Verbose",
]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thinking text of the model: deltas with ``reasoning_content`` and empty ``content``.

    Attributes:
        text: A piece of the thinking; several may follow each other.

    Example:
        >>> Reasoning("The user greets me.").text
        'The user greets me.'
    """

    text: str


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """Close the answer message that is open; text that follows goes to another message id.

    Example:
        >>> NewAnswer()
        NewAnswer()
    """


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A plugin that the bot called on the server: messages ``function_call`` and ``tool_response``.

    Attributes:
        name: ``plugin-api``, as Coze names it; without a hyphen plugin and API are named alike.
        arguments: What the plugin was called with.
        output: What it gave. A string is wrapped as Coze's own plugins wrap text
            (``response_for_model``); anything else is sent as its JSON.

    Example:
        >>> ServerTool("weather-today", {"city": "杭州"}, "22 degrees").name
        'weather-today'
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: Any = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question the user might ask next; sent after all answers, as on Coze.

    Attributes:
        text: The question.

    Example:
        >>> FollowUp("And tomorrow?").text
        'And tomorrow?'
    """

    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """An answer with ``content_type`` card: sent once, complete, under a message id of its own.

    Attributes:
        content: The card's JSON text, or any JSON value.

    Example:
        >>> Card({"card_type": 3}).content
        {'card_type': 3}
    """

    content: Any


@dataclass(frozen=True, slots=True)
class Verbose:
    """A ``verbose`` message of any kind.

    Attributes:
        msg_type: For example ``multi_agents_jump_to_agent``.
        data: A string is sent as it is, anything else as its JSON text.

    Example:
        >>> Verbose("time_capsule_recall", "").msg_type
        'time_capsule_recall'
    """

    msg_type: str
    data: Any = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence in the middle of the turn.

    Attributes:
        seconds: How long.

    Example:
        >>> Pause(0.5).seconds
        0.5
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """End the turn with ``conversation.chat.failed``; nothing after it is sent.

    Attributes:
        code: The code of ``last_error``.
        msg: Its message.

    Example:
        >>> Fail(4014, "cannot answer").code
        4014
    """

    code: int = 5000
    msg: str = "event interval error"


Piece: TypeAlias = (
    str | Reasoning | NewAnswer | ServerTool | FollowUp | Card | Verbose | Pause | Fail
)
