"""What a bot recalls for a question, from one knowledge base or from several."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_coze.local.knowledge import LocalKnowledge
from langchain_coze.local.wire.ids import stable_id
from langchain_coze.local.wire.recall import RecalledChunk, RecallMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

# How Coze names the plugin of an on-demand recall is not recorded: the name is ours.
ON_DEMAND_TOOL = "knowledge-recall"


@dataclass(frozen=True)
class RecallPlan:
    """Where a bot searches, and in how many messages it tells what it found.

    Attributes:
        bases: Its knowledge bases.
        k: How many passages a message has at most; None: the largest `k` of the bases.
        recalls: `one` message for all of them, or one for `each`.
        on_demand: Whether the model calls for the search as it calls for a plugin.

    Raises:
        ValueError: `k` is below 1, or `recalls` is none of its words.
    """

    bases: tuple[LocalKnowledge, ...] = ()
    k: int | None = None
    recalls: Literal["one", "each"] = "one"
    on_demand: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse early what could not be searched."""
        if self.recalls not in {"one", "each"}:
            raise ValueError(f"recalls is 'one' or 'each', not {self.recalls!r}")
        if self.k is not None and self.k < 1:
            raise ValueError("k must be at least 1")

    async def search(self, question: str) -> AsyncIterator[RecallMessage]:
        """Search for a question; one recall for each message to send.

        Args:
            question: The question.
        """
        if self.recalls == "each":
            for base in self.bases:
                found = await base.asearch(question, self.k)
                yield RecallMessage(tuple(found), stable_id("agent", base.dataset_id))
        elif self.bases:
            several = await asyncio.gather(*(b.asearch(question, self.k) for b in self.bases))
            most = self.k or max(base.k for base in self.bases)
            yield RecallMessage(best_first(chunk for found in several for chunk in found)[:most])


def best_first(chunks: Iterable[RecalledChunk]) -> tuple[RecalledChunk, ...]:
    """Order passages by score; equal ones stay in the order in which they are given.

    Args:
        chunks: Passages, also of several knowledge bases.
    """
    return tuple(sorted(chunks, key=lambda chunk: -chunk.score))


def knowledge_bases(given: Any) -> tuple[LocalKnowledge, ...]:
    """Make knowledge bases of whatever a bot may be given.

    Args:
        given: None; a `LocalKnowledge`, or several; documents or texts to make one of.

    Raises:
        TypeError: Knowledge bases and documents are mixed, or something is neither.

    Example:
        >>> [base.name for base in knowledge_bases(["Tea grows on hills."])]
        ['local_knowledge']
    """
    if given is None:
        return ()
    if isinstance(given, LocalKnowledge):
        return (given,)
    items = [given] if isinstance(given, str) else list(given)
    bases = tuple(item for item in items if isinstance(item, LocalKnowledge))
    if not bases:
        return (LocalKnowledge(items),)
    if len(bases) < len(items):
        raise TypeError("knowledge is one or several LocalKnowledge, or documents: not both")
    return bases
