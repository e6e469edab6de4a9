"""The parts of a reply, besides plain text.

A reply generator yields these parts, mixed with `str` (text of the answer). At a `ClientTool` or an
`Ask` it is paused: `output = yield ClientTool(…)` continues after the client has answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class WorkflowQuestion:
    """The base of questions to the user that are defined in other modules."""

    __slots__ = ()


class Part:
    """The base of all parts except text."""

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
    """Close the open answer message; the following text gets another message id.

    Example:
        >>> NewAnswer()
        NewAnswer()
    """


@dataclass(frozen=True, slots=True)
class ServerTool(Part):
    """A plugin call on the server: the messages `function_call` and `tool_response`.

    Attributes:
        name: `plugin-api`, as Coze names it; without a hyphen, both have this name.
        arguments: The arguments of the call.
        output: The output. A string is wrapped like the text of Coze's plugins
            (`response_for_model`); any other value is sent as JSON.

    Example:
        >>> ServerTool("weather-today", {"city": "杭州"}, "22 degrees").name
        'weather-today'
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: Any = ""


@dataclass(frozen=True, slots=True)
class ClientTool(Part):
    """A call of a local plugin, a tool that the client runs (wire 2.6).

    The turn stops with `conversation.chat.requires_action`. After the client has submitted the
    result, the generator continues: `output = yield ClientTool(…)` returns the result as a string.
    A tuple of calls makes them at once and returns a list of their results, in order.

    Attributes:
        name: The name of the tool.
        arguments: The arguments of the call. A string is sent unchanged, so it may be invalid JSON.

    Example:
        >>> ClientTool("get_weather", {"city": "杭州"}).arguments
        {'city': '杭州'}
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask(Part):
    """A question to the user, like that of a workflow's question node (wire 2.5, 4.6).

    The turn ends with the question as its answer, and with a `verbose` message `interrupt`. The
    user's next message in the same conversation resumes the generator: `answer = yield Ask(…)`
    returns its text.

    Attributes:
        question: The question.
        options: Answers to choose from, appended to the question, one per line. No recording shows
            how Coze writes them as text.

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
    """A suggested question; sent after all answers, as on Coze.

    Attributes:
        text: The question.

    Example:
        >>> FollowUp("And tomorrow?").text
        'And tomorrow?'
    """

    text: str


@dataclass(frozen=True, slots=True)
class Card(Part):
    """An answer with `content_type` card: sent in one piece, with another message id.

    Attributes:
        content: The card's JSON text, or any JSON value.

    Example:
        >>> Card({"card_type": 3}).content
        {'card_type': 3}
    """

    content: Any


@dataclass(frozen=True, slots=True)
class Media(Part):
    """An answer with images, files or audio: `content_type` object_string, sent in one piece.

    Attributes:
        items: The items in wire format: each has a `type` (text, image, file or audio) and `text`,
            `file_url` or `file_id` (wire 2.1). It is an assumption that answers have this form:
            Coze documents it only for questions.

    Raises:
        ValueError: The type of an item is unknown.

    Example:
        >>> Media([{"type": "image", "file_url": "https://example.com/tea.png"}]).items[0]["type"]
        'image'
    """

    items: Sequence[Mapping[str, str]]

    def __post_init__(self) -> None:
        """Reject items with an unknown type."""
        for item in self.items:
            if item.get("type") not in {"text", "image", "file", "audio"}:
                raise ValueError(f"an item must have the type text, image, file or audio: {item!r}")


@dataclass(frozen=True, slots=True)
class Speech(Part):
    """Spoken audio: `conversation.audio.delta` after `chat.completed` (wire 2.4).

    Attributes:
        data: A piece of audio; Coze sends raw 16-bit samples at 24 kHz, one channel.

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
        data: A string is sent unchanged, any other value as JSON.

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
        seconds: The duration.

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


# A tuple means several calls at once; see `needs_answer`.
ReplyPart: TypeAlias = str | Part | tuple[ClientTool, ...]
PART_TYPES = (str, Part)


def needs_answer(item: Any) -> bool:
    """Return whether a reply that yields `item` waits for an answer to it."""
    if isinstance(item, tuple):
        return bool(item) and all(isinstance(call, ClientTool) for call in item)
    return isinstance(item, ClientTool | Ask | WorkflowQuestion)
