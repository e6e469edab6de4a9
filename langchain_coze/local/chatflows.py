"""The chatflows that a local server has."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.naming import derive_name
from langchain_coze.local.runtime.replying_bot import ReplyingBot
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(eq=False)
class LocalChatflow(ReplyingBot):
    """A chatflow of a `LocalCoze` server (wire 4.6).

    Attributes:
        reply: Its reply, as that of a `LocalBot`. `Turn.parameters` has the
            values of its start node.
        workflow_id: Its id; by default a decimal string of 19 digits made from the name.
        name: Its name; by default the function's name.
        app_id: The app that it belongs to; requests must name it. A chatflow without one is from
            the library: requests name a bot of the server, or any app.
        description: What it is for.
        follow_ups: Questions to suggest after each answer, or a function from the question to them.
        published: False: requests fail with 4200.
        delay: Seconds between two deltas.
        burst: How many deltas may reach the client in one network write.
        quota: After this many runs, requests fail with 4028; None: never.
        faults: Faults of its replies, see `Fault`.

    Raises:
        TypeError: `reply` cannot be used as a reply.
        ValueError: A fault is unknown, or `burst` is below 1.

    Example:
        >>> def order(question: str) -> str:
        ...     return "Ordered: " + question
        >>> LocalChatflow(order).name
        'order'
    """

    reply: Any
    _: KW_ONLY
    workflow_id: str = ""
    name: str = ""
    app_id: str = ""
    description: str = ""
    follow_ups: Sequence[str] | Callable[[str], Sequence[str]] = ()
    published: bool = True
    delay: float = 0.0
    burst: int = 1
    quota: int | None = None
    faults: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        """Set the name and id; reject settings that cannot be used."""
        self.name = self.name or derive_name(self.reply)
        self.workflow_id = self.workflow_id or derive_id("chatflow", self.name)
        self._set_reply(self.reply)

    @property
    def wire_id(self) -> str:
        """The id that its chats carry."""
        return self.workflow_id
