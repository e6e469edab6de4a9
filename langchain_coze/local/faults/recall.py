"""Faults of recalls: transforms of a stream of events, as in `faults.stream`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from langchain_coze.local.faults.specs import Fault
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud import Event
from langchain_coze.local.wire.ids import new_id

Payload: TypeAlias = dict[str, Any]
EventTransform: TypeAlias = Callable[[AsyncIterator[Event]], AsyncIterator[Event]]


class _Recall(NamedTuple):
    """A recall message, taken apart."""

    name: str
    message: dict[str, Any]
    content: dict[str, Any]

    @property
    def payload(self) -> Payload:
        data = self.content.get("data")
        found: Payload = json.loads(data) if isinstance(data, str) else self.content
        return found

    @property
    def nothing(self) -> list[Any] | None:
        """How its installation writes that nothing was found (wire 3.3)."""
        return None if self.message["type"] == "knowledge" else []

    def saying(self, payload: Payload, **changes: str) -> Event:
        """The same message with another payload."""
        content = go_json.dumps(self.content | {"data": go_json.dumps(payload)})
        return self.reading(content, **changes)

    def reading(self, content: str, **changes: str) -> Event:
        """The same message with another content."""
        return Event(self.name, go_json.dumps(self.message | {"content": content} | changes))


def _read(event: Event) -> _Recall | None:
    """The recall that an event tells; an answer may well contain the word."""
    if event.name != "conversation.message.completed":
        return None
    message = json.loads(event.data)
    if message.get("type") not in {"verbose", "knowledge"}:
        return None
    try:
        content = json.loads(message["content"])
    except ValueError:
        return None
    named = isinstance(content, dict) and (
        content.get("msg_type") == "knowledge_recall" or content.get("verbose_type") == "knowledge"
    )
    return _Recall(event.name, message, content) if named else None


def _change(make: Callable[[_Recall], Iterable[Event]], pause: float = 0) -> EventTransform:
    """Replace a recall by any number of messages, `pause` seconds apart."""

    async def transform(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        async for event in events:
            recall = _read(event)
            for number, changed in enumerate(make(recall) if recall else (event,)):
                if number:
                    await asyncio.sleep(pause)
                yield changed

    return transform


def _says(make: Callable[[_Recall], Payload]) -> EventTransform:
    """Change what a recall says; `make` gives the fields of its payload that differ."""
    return _change(lambda recall: [recall.saying(recall.payload | make(recall))])


def _split(recall: _Recall) -> Iterable[Event]:
    payload = recall.payload
    # Messages of their own: a client that knows an id already may take the rest for repetitions.
    for chunk in payload["chunks"] or ():
        yield recall.saying(payload | {"chunks": [chunk]}, id=new_id())
    if not payload["chunks"]:
        yield recall.saying(payload)


def _broken(recall: _Recall) -> Payload:
    chunks = recall.payload["chunks"] or []
    return {"chunks": [{"slice": None, "score": "high", "meta": "none"}, *chunks[1:]]}


def silence_before(is_it: Callable[[Event], Any], seconds: float) -> EventTransform:
    """Hold back the first event of a kind, and all after it.

    Args:
        is_it: Whether an event is of that kind.
        seconds: For how long.
    """

    async def transform(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        waited = False
        async for event in events:
            if not waited and is_it(event):
                waited = True
                await asyncio.sleep(seconds)
            yield event

    return transform


def _cut(recall: _Recall) -> Iterable[Event]:
    """End the innermost JSON too early: in the last chunk, or halfway when there is none."""
    inner = recall.content.get("data")
    text: str = inner if isinstance(inner, str) else recall.message["content"]
    last = text.rfind('"slice"')
    text = text[: last + len('"slice":"') + 1] if last >= 0 else text[: len(text) // 2]
    if isinstance(inner, str):
        text = go_json.dumps(recall.content | {"data": text})
    return [recall.reading(text)]


def _plain(recall: _Recall) -> Event:
    # One slice is in the reference; how several were joined is our guess.
    slices = [chunk["slice"] for chunk in recall.payload["chunks"] or []]
    text = "".join(f"---\nrecall slice {n}:{text}\n" for n, text in enumerate(slices, 1))
    return recall.reading(text, type="knowledge")


def _flat(recall: _Recall) -> Event:
    chunks = recall.payload["chunks"]
    return recall.reading(go_json.dumps({"verbose_type": "knowledge", "chunks": chunks}))


def _object(recall: _Recall) -> Event:
    return recall.reading(go_json.dumps(recall.content | {"data": recall.payload}))


_VARIANTS = {"plain": _plain, "flat": _flat, "object": _object}

RECALL_FAULTS: Mapping[Fault, Callable[[str], EventTransform]] = {
    Fault.RECALL_EMPTY: lambda _: _says(lambda _recall: {"chunks": []}),
    Fault.RECALL_NULL: lambda _: _says(lambda _recall: {"chunks": None}),
    Fault.RECALL_FAILED: lambda code: _says(
        lambda recall: {"chunks": recall.nothing, "status_code": int(code)}
    ),
    Fault.RECALL_BROKEN: lambda _: _says(_broken),
    Fault.RECALL_SPLIT: lambda seconds: _change(_split, float(seconds)),
    Fault.RECALL_MISSING: lambda _: _change(lambda _recall: ()),
    Fault.RECALL_LATE: lambda seconds: silence_before(_read, float(seconds)),
    Fault.RECALL_VARIANT: lambda name: _change(lambda recall: [_VARIANTS[name](recall)]),
    Fault.RECALL_CUT: lambda _: _change(_cut),
}
