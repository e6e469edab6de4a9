"""Faults of recalls: transforms of a stream of events, as in `faults.stream`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.ids import generate_id

Payload: TypeAlias = dict[str, Any]
EventTransform: TypeAlias = Callable[[AsyncIterator[SseEvent]], AsyncIterator[SseEvent]]


class _RecallEvent(NamedTuple):
    """The event of a recall message, parsed."""

    name: str
    message: dict[str, Any]
    content: dict[str, Any]

    @property
    def payload(self) -> Payload:
        data = self.content.get("data")
        payload: Payload = json.loads(data) if isinstance(data, str) else self.content
        return payload

    @property
    def empty_chunks(self) -> list[Any] | None:
        """The `chunks` of a recall that found nothing, on this installation (wire 3.3)."""
        return None if self.message["type"] == "knowledge" else []

    def with_payload(self, payload: Payload, **changes: str) -> SseEvent:
        """Return the message with another payload."""
        content = go_json.dumps(self.content | {"data": go_json.dumps(payload)})
        return self.with_content(content, **changes)

    def with_content(self, content: str, **changes: str) -> SseEvent:
        """Return the message with another content."""
        return SseEvent(self.name, go_json.dumps(self.message | {"content": content} | changes))


def _parse_recall(event: SseEvent) -> _RecallEvent | None:
    """Return the recall of an event, if it is one; an answer may contain the word too."""
    if event.name != "conversation.message.completed":
        return None
    message = json.loads(event.data)
    if message.get("type") not in {"verbose", "knowledge"}:
        return None
    try:
        content = json.loads(message["content"])
    except ValueError:
        return None
    is_recall = isinstance(content, dict) and (
        content.get("msg_type") == "knowledge_recall" or content.get("verbose_type") == "knowledge"
    )
    return _RecallEvent(event.name, message, content) if is_recall else None


def _replace_recall(
    build: Callable[[_RecallEvent], Iterable[SseEvent]], interval: float = 0
) -> EventTransform:
    """Replace a recall with any number of messages, `interval` seconds apart."""

    async def transform(events: AsyncIterator[SseEvent]) -> AsyncIterator[SseEvent]:
        async for event in events:
            recall = _parse_recall(event)
            for number, changed in enumerate(build(recall) if recall else (event,)):
                if number:
                    await asyncio.sleep(interval)
                yield changed

    return transform


def _change_payload(build: Callable[[_RecallEvent], Payload]) -> EventTransform:
    """Change the payload of a recall; `build` returns the fields that differ."""
    return _replace_recall(lambda recall: [recall.with_payload(recall.payload | build(recall))])


def _split_chunks(recall: _RecallEvent) -> Iterable[SseEvent]:
    payload = recall.payload
    # Each chunk gets another message id: a client may ignore a message whose id it knows.
    for chunk in payload["chunks"] or ():
        yield recall.with_payload(payload | {"chunks": [chunk]}, id=generate_id())
    if not payload["chunks"]:
        yield recall.with_payload(payload)


def _break_first_chunk(recall: _RecallEvent) -> Payload:
    chunks = recall.payload["chunks"] or []
    return {"chunks": [{"slice": None, "score": "high", "meta": "none"}, *chunks[1:]]}


def pause_before(matches: Callable[[SseEvent], Any], seconds: float) -> EventTransform:
    """Pause before the first event of a kind.

    Args:
        matches: Whether an event is of that kind.
        seconds: For how long.
    """

    async def transform(events: AsyncIterator[SseEvent]) -> AsyncIterator[SseEvent]:
        paused = False
        async for event in events:
            if not paused and matches(event):
                paused = True
                await asyncio.sleep(seconds)
            yield event

    return transform


def _truncate(recall: _RecallEvent) -> Iterable[SseEvent]:
    """Truncate the innermost JSON: in the last chunk, or halfway when there are no chunks."""
    inner = recall.content.get("data")
    text: str = inner if isinstance(inner, str) else recall.message["content"]
    position = text.rfind('"slice"')
    text = text[: position + len('"slice":"') + 1] if position >= 0 else text[: len(text) // 2]
    if isinstance(inner, str):
        text = go_json.dumps(recall.content | {"data": text})
    return [recall.with_content(text)]


def _build_plain(recall: _RecallEvent) -> SseEvent:
    # One slice is in the reference; how several were joined is our guess.
    slices = [chunk["slice"] for chunk in recall.payload["chunks"] or []]
    text = "".join(f"---\nrecall slice {n}:{text}\n" for n, text in enumerate(slices, 1))
    return recall.with_content(text, type="knowledge")


def _build_flat(recall: _RecallEvent) -> SseEvent:
    chunks = recall.payload["chunks"]
    return recall.with_content(go_json.dumps({"verbose_type": "knowledge", "chunks": chunks}))


def _build_object(recall: _RecallEvent) -> SseEvent:
    return recall.with_content(go_json.dumps(recall.content | {"data": recall.payload}))


_VARIANTS = {"plain": _build_plain, "flat": _build_flat, "object": _build_object}

RECALL_FAULTS: Mapping[Fault, Callable[[str], EventTransform]] = {
    Fault.RECALL_EMPTY: lambda _: _change_payload(lambda _recall: {"chunks": []}),
    Fault.RECALL_NULL: lambda _: _change_payload(lambda _recall: {"chunks": None}),
    Fault.RECALL_FAILED: lambda code: _change_payload(
        lambda recall: {"chunks": recall.empty_chunks, "status_code": int(code)}
    ),
    Fault.RECALL_BROKEN: lambda _: _change_payload(_break_first_chunk),
    Fault.RECALL_SPLIT: lambda seconds: _replace_recall(_split_chunks, float(seconds)),
    Fault.RECALL_MISSING: lambda _: _replace_recall(lambda _recall: ()),
    Fault.RECALL_LATE: lambda seconds: pause_before(_parse_recall, float(seconds)),
    Fault.RECALL_VARIANT: lambda name: _replace_recall(lambda recall: [_VARIANTS[name](recall)]),
    Fault.RECALL_CUT: lambda _: _replace_recall(_truncate),
}
