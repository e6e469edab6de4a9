"""The base of bots and chatflows, and helpers for the names and ids of served objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.runtime.replies import as_reply_source
from langchain_coze.local.wire.ids import get_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from langchain_coze.local.wire.recall import RecallMessage


@dataclass(eq=False, kw_only=True)
class ReplyingBot:
    """The base of bots and chatflows, with the settings that a chat reads."""

    name: str = ""
    description: str = ""
    follow_ups: Sequence[str] | Callable[[str], Sequence[str]] = ()
    published: bool = True
    delay: float = 0.0
    burst: int = 1
    quota: int | None = None
    faults: str | Sequence[str] = ()
    wire_id: str = field(default="", init=False, repr=False)
    bases: tuple[Any, ...] = field(default=(), init=False, repr=False)

    # Only bots have these: the nodes of a chatflow have their own prompts and searches.
    is_chatflow = True
    prompt = ""
    on_demand = False

    def search(self, question: str) -> AsyncIterator[RecallMessage]:
        """Search the knowledge bases, and yield the content of each recall message."""
        raise NotImplementedError

    def _set_reply(self, reply: Any, wire_id: str) -> None:
        """Store the reply and the id for requests; reject invalid settings."""
        self.wire_id = wire_id
        if self.burst < 1:
            raise ValueError("burst must be at least 1")
        self.reply_source = as_reply_source(reply)
        read_faults(self.faults)
        self.created_at = get_time()


def derive_name(function: Any) -> str:
    """Return the name of a reply or function, or of its class if it has none."""
    if function is None:
        return "local_bot"
    name = getattr(function, "__name__", None) or getattr(function, "name", None)
    return name if isinstance(name, str) and name else type(function).__name__


def check_unique_ids(plural: str, ids: Sequence[str]) -> None:
    """Raise if an id occurs twice; `plural` names the objects in the message."""
    for known in ids:
        if ids.count(known) > 1:
            raise ValueError(f"two {plural} have the id {known}: give them different names or ids")
