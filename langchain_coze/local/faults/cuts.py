"""Faults that end a response early by truncating its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_coze.local.faults.specs import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_coze.local.faults.specs import FaultSet

_DELTA_MARKERS = (b"conversation.message.delta", b"event: Message\n")
_END_MARKERS = (
    *(b"conversation.chat.completed", b"conversation.chat.failed"),
    *(b"event: Done\n", b"event: Error\n", b"event: Interrupt\n"),
)


def apply_cuts(faults: FaultSet, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the chunks of a body up to the cut; each chunk holds events or the JSON of a reply."""
    if Fault.CUT_AT in faults.values:
        chunks = _truncate_at(int(faults.values[Fault.CUT_AT]), chunks)
    if Fault.CUT_MID_LINE in faults.values:
        chunks = _truncate_in_line(chunks)
    return chunks


async def _truncate_at(limit: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    remaining = limit
    async for chunk in chunks:
        if len(chunk) >= remaining:
            yield chunk[:remaining]
            return
        remaining -= len(chunk)
        yield chunk


async def _truncate_in_line(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    deltas = 0
    async for chunk in chunks:
        deltas += any(marker in chunk for marker in _DELTA_MARKERS)
        # A turn with fewer than two deltas is cut in its last chat event; a reply without a stream
        # is one JSON object.
        ends = chunk.startswith(b"{") or any(marker in chunk for marker in _END_MARKERS)
        if deltas == 2 or ends:  # noqa: PLR2004 - the second
            # Never cut inside a character.
            yield chunk[: len(chunk) * 2 // 3].decode("utf-8", "ignore").encode()
            return
        yield chunk
