"""What a bot recalls for a question, from one knowledge base or from several."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from langchain_coze.local.wire.ids import derive_id
from langchain_coze.local.wire.recall import RecalledChunk, RecallMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

# How Coze names the plugin of an on-demand recall is not recorded: this name is ours.
ON_DEMAND_TOOL = "knowledge-recall"


class KnowledgeBase(Protocol):
    """A knowledge base that can be searched: a `LocalKnowledge`."""

    name: str
    dataset_id: str
    k: int

    async def asearch(self, query: str, k: int | None = None) -> list[RecalledChunk]:
        """Return the best passages for a question, best first."""
        ...

    def as_json(self, owner_id: str, space_id: str) -> dict[str, Any]:
        """Return the dataset object."""
        ...


@dataclass(frozen=True)
class KnowledgeSearch:
    """Which knowledge bases a bot searches, and how it sends what it finds.

    Attributes:
        bases: Its knowledge bases.
        k: The largest number of passages in a message; None: the largest `k` of the bases.
        recalls: `one` message for all of them, or one for `each`.
        on_demand: Whether the model calls the search like a plugin.

    Raises:
        ValueError: `k` is below 1, or `recalls` has another value.
    """

    bases: tuple[KnowledgeBase, ...] = ()
    k: int | None = None
    recalls: Literal["one", "each"] = "one"
    on_demand: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Reject values that are not allowed."""
        if self.recalls not in {"one", "each"}:
            raise ValueError(f"recalls is 'one' or 'each', not {self.recalls!r}")
        if self.k is not None and self.k < 1:
            raise ValueError("k must be at least 1")

    async def search(self, question: str) -> AsyncIterator[RecallMessage]:
        """Search for a question; yield what each message contains.

        Args:
            question: The question.
        """
        if self.recalls == "each":
            for base in self.bases:
                chunks = await base.asearch(question, self.k)
                yield RecallMessage(tuple(chunks), derive_id("agent", base.dataset_id))
        elif self.bases:
            results = await asyncio.gather(*(b.asearch(question, self.k) for b in self.bases))
            limit = self.k or max(base.k for base in self.bases)
            yield RecallMessage(sort_by_score(c for chunks in results for c in chunks)[:limit])


def sort_by_score(chunks: Iterable[RecalledChunk]) -> tuple[RecalledChunk, ...]:
    """Return passages sorted by score; those with equal scores keep their order.

    Args:
        chunks: Passages, also of several knowledge bases.
    """
    return tuple(sorted(chunks, key=lambda chunk: -chunk.score))
