"""Faults of the events of a workflow's stream, as in `faults.stream`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeAlias

from langchain_coze.local.faults.specs import FAULTS, Fault
from langchain_coze.local.faults.stream import ERROR_TEXT
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import SseEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from langchain_coze.local.faults.specs import FaultSet

    Events: TypeAlias = AsyncIterator[SseEvent]

_LAST_EVENTS = frozenset({"Done", "Error", "Interrupt"})


def apply_workflow_event_faults(faults: FaultSet, events: Events) -> Events:
    """Apply faults of events.

    Args:
        faults: The faults; those of other kinds are ignored.
        events: The events of a run.
    """
    for fault in FAULTS:
        if fault in faults.values and fault in WORKFLOW_EVENT_FAULTS:
            events = WORKFLOW_EVENT_FAULTS[fault](faults.values[fault], events)
    return events


async def _end_with_error(error: SseEvent, events: Events) -> Events:
    """End the stream with an error where the first message would be."""
    async for event in events:
        if event.name in {"Message", *_LAST_EVENTS}:
            yield error
            return
        yield event


def _fail(code: str, events: Events) -> Events:
    data = {"error_code": int(code), "error_message": ApiError(int(code)).message}
    return _end_with_error(SseEvent("Error", go_json.dumps(data)), events)


async def _append_done(events: Events) -> Events:
    async for event in events:
        yield event
    yield SseEvent("Done", "{}")


async def _repeat_last_messages(events: Events) -> Events:
    """Send the last message of every node twice."""
    async for event in events:
        yield event
        if event.name == "Message" and json.loads(event.data).get("node_is_finish"):
            yield event


async def _drop_events(names: frozenset[str], events: Events) -> Events:
    async for event in events:
        if event.name not in names:
            yield event


def _build_unknown_message() -> SseEvent:
    """Return a message of an unknown content type, of a node of an unknown kind."""
    node = {"node_is_finish": True, "node_seq_id": "0", "node_title": "LocalUnknown"}
    data = {"content": "?", "content_type": "local_unknown", **node}
    return SseEvent("Message", go_json.dumps(data))


async def _insert_before_message(
    seconds: float, inserted: list[SseEvent], events: Events
) -> Events:
    """Wait, then send other events, before the first message."""
    is_waiting = True
    async for event in events:
        if is_waiting and event.name == "Message":
            is_waiting = False
            await asyncio.sleep(seconds)
            for other in inserted:
                yield other
        yield event


WORKFLOW_EVENT_FAULTS: Mapping[Fault, Callable[[str, Events], Events]] = {
    Fault.FAILED: _fail,
    Fault.FAILED_THEN_DONE: lambda code, events: _append_done(_fail(code, events)),
    Fault.FAILED_BARE: _fail,
    Fault.ERROR_EVENT: _fail,
    Fault.ERROR_EVENT_EMPTY: lambda _, events: _end_with_error(SseEvent("Error", "{}"), events),
    Fault.ERROR_EVENT_TEXT: lambda _, events: _end_with_error(
        SseEvent("error", ERROR_TEXT), events
    ),
    Fault.DUPLICATE_COMPLETED: lambda _, events: _repeat_last_messages(events),
    Fault.UNKNOWN_TYPE: lambda _, events: _insert_before_message(
        0, [_build_unknown_message()], events
    ),
    Fault.NO_DONE: lambda _, events: _drop_events(frozenset({"Done"}), events),
    Fault.NO_TERMINAL: lambda _, events: _drop_events(_LAST_EVENTS, events),
    Fault.UNKNOWN_EVENT: lambda _, events: _insert_before_message(
        0, [SseEvent("LocalUnknown", "{}")], events
    ),
    Fault.IDLE: lambda seconds, events: _insert_before_message(float(seconds), [], events),
}
