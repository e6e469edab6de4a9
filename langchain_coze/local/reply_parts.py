"""The parts of a reply, besides plain text.

A reply function that is a generator yields these, mixed with `str` (text of the answer). At
`ClientTool` and `Ask` the generator waits: `output = yield ClientTool(…)` continues when the client
has answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class WorkflowQuestion:
    """A part that needs an answer; the base of those that are defined elsewhere."""

    __slots__ = ()


class Part:
    """The base of all parts but text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reasoning(Part):
    """Reasoning text of the model: deltas with `reasoning_content` and empty `content`.

    Attributes:
        text: A delta of the reasoning; several may follow each other.

    Example:
        >>> Reasoning("The user greets me.").text
        'The user greets me.'
    """

    text: str


@dataclass(frozen=True, slots=True)
class NewAnswer(Part):
    """Close the answer message that is open; text that follows goes to another message id.

    Example:
        >>> NewAnswer()
        NewAnswer()
    """


@dataclass(frozen=True, slots=True)
class ServerTool(Part):
    """A plugin that the bot called on the server: messages `function_call` and `tool_response`.

    Attributes:
        name: `plugin-api`, as Coze names it; without a hyphen plugin and API are named alike.
        arguments: The arguments of the call.
        output: Its output. A string is wrapped as Coze's own plugins wrap text
            (`response_for_model`); anything else is sent as its JSON.

    Example:
        >>> ServerTool("weather-today", {"city": "杭州"}, "22 degrees").name
        'weather-today'
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: Any = ""


@dataclass(frozen=True, slots=True)
class ClientTool(Part):
    """A call of a tool that the client runs: a local plugin (wire 2.6).

    The turn stops with `conversation.chat.requires_action`. When the client has submitted the
    result, the generator continues: `output = yield ClientTool(…)` is that result, a string. A
    tuple of them makes several calls at once and returns the list of their results, in order.

    Attributes:
        name: The name of the tool.
        arguments: The arguments of the call. A string is sent as is, which allows arguments that
            are not valid JSON.

    Example:
        >>> ClientTool("get_weather", {"city": "杭州"}).arguments
        {'city': '杭州'}
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask(Part):
    """A question to the user, as the question node of a workflow sends it (wire 2.5, 4.6).

    The turn ends with the question as its answer, and a `verbose` message `interrupt`. The next
    message of the user in the same conversation resumes the generator: `answer = yield Ask(…)` is
    its text.

    Attributes:
        question: The question.
        options: Answers to choose from. They are below the question, one per line; how Coze
            writes them as text is not recorded.

    Example:
        >>> Ask("Which city?", ["Hangzhou", "Suzhou"]).text.splitlines()
        ['Which city?', 'Hangzhou', 'Suzhou']
    """

    question: str
    options: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The question and its options."""
        return "\n".join([self.question, *self.options])


@dataclass(frozen=True, slots=True)
class FollowUp(Part):
    """A question the user might ask next; sent after all answers, as on Coze.

    Attributes:
        text: The question.

    Example:
        >>> FollowUp("And tomorrow?").text
        'And tomorrow?'
    """

    text: str


@dataclass(frozen=True, slots=True)
class Card(Part):
    """An answer with `content_type` card: sent once, complete, with another message id.

    Attributes:
        content: The card's JSON text, or any JSON value.

    Example:
        >>> Card({"card_type": 3}).content
        {'card_type': 3}
    """

    content: Any


@dataclass(frozen=True, slots=True)
class Media(Part):
    """An answer with images, files or audio: `content_type` object_string, sent complete.

    Attributes:
        items: As on the wire: each has a `type` (text, image, file or audio) and `text`,
            `file_url` or `file_id` (wire 2.1). That a bot's answers have this form is an
            assumption: the API's pages document it for questions.

    Raises:
        ValueError: An item has no known type.

    Example:
        >>> Media([{"type": "image", "file_url": "https://example.com/tea.png"}]).items[0]["type"]
        'image'
    """

    items: Sequence[Mapping[str, str]]

    def __post_init__(self) -> None:
        """Reject items that no client can read."""
        for item in self.items:
            if item.get("type") not in {"text", "image", "file", "audio"}:
                raise ValueError(f"an item's type is text, image, file or audio: {item!r}")


@dataclass(frozen=True, slots=True)
class Speech(Part):
    """Spoken sound: `conversation.audio.delta` after `chat.completed` (wire 2.4).

    Attributes:
        data: A part of the sound; Coze sends raw 16-bit samples at 24 kHz, one channel.

    Example:
        >>> len(Speech(bytes(480)).data)
        480
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Verbose(Part):
    """A `verbose` message of any kind.

    Attributes:
        msg_type: For example `multi_agents_jump_to_agent`.
        data: A string is sent as it is, anything else as its JSON text.

    Example:
        >>> Verbose("time_capsule_recall", "").msg_type
        'time_capsule_recall'
    """

    msg_type: str
    data: Any = ""


@dataclass(frozen=True, slots=True)
class Pause(Part):
    """Silence in the middle of the turn.

    Attributes:
        seconds: How long.

    Example:
        >>> Pause(0.5).seconds
        0.5
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail(Part):
    """End the turn with `conversation.chat.failed`; nothing after it is sent.

    Attributes:
        code: The code of `last_error`.
        msg: Its message.

    Example:
        >>> Fail(4014, "cannot answer").code
        4014
    """

    code: int = 5000
    msg: str = "event interval error"


# A tuple is several calls at once, see `needs_answer`.
ReplyPart: TypeAlias = str | Part | tuple[ClientTool, ...]
PART_TYPES = (str, Part)


def needs_answer(item: Any) -> bool:
    """Return whether a reply that yields `item` waits for an answer to it."""
    if isinstance(item, tuple):
        return bool(item) and all(isinstance(call, ClientTool) for call in item)
    return isinstance(item, ClientTool | Ask | WorkflowQuestion)
