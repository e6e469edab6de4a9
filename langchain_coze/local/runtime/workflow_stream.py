"""Sending the events of a run over HTTP: heartbeats, and what may go wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from langchain_coze.local.faults.specs import FAULTS, Fault
from langchain_coze.local.faults.stream import ERROR_TEXT, with_byte_faults
from langchain_coze.local.routes.responses import Connections, EventStream
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud import Event
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from langchain_coze.local.routes.context import Call
    from langchain_coze.local.runtime.workflow_run import WorkflowRun

Events: TypeAlias = AsyncIterator[Event]
Batches: TypeAlias = AsyncGenerator[list[Event], None]

_PING = Event("PING", "")
_ENDS = frozenset({"Done", "Error", "Interrupt"})


class RunStream(EventStream):
    """A run as `text/event-stream`.

    Args:
        run: The run.
        call: The request.
        connections: To drop the connection when that is asked for.
    """

    def __init__(self, run: WorkflowRun, call: Call, connections: Connections) -> None:
        """Prepare the headers; nothing is sent yet."""
        super().__init__(run.outbox, run.shapes, call.plan, connections)
        self._ping = run.workflow.ping if run.shapes.pings else 0.0

    def _batches(self) -> Batches:
        batches = super()._batches()
        return _with_pings(batches, self._ping) if self._ping else batches

    def _damaged(self) -> AsyncIterator[bytes]:
        events: Events = self._events()
        for fault in FAULTS:
            if fault in self._plan.values and fault in _EVENT_FAULTS:
                events = _EVENT_FAULTS[fault](self._plan.values[fault], events)
        return with_byte_faults(self._plan, self._encoded(events))


async def _with_pings(batches: Batches, seconds: float) -> Batches:
    """Batches, with a heartbeat whenever nothing comes for so long."""
    coming = asyncio.ensure_future(anext(batches, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=seconds)
            if not coming.done():
                yield [_PING]
                continue
            if (batch := coming.result()) is None:
                return
            coming = asyncio.ensure_future(anext(batches, None))
            yield batch
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await coming
        await batches.aclose()


# Faults -------------------------------------------------------------------------------------------


async def _error_instead(event: Event, events: Events) -> Events:
    """End the stream where the first message would begin."""
    async for found in events:
        if found.name in {"Message", *_ENDS}:
            yield event
            return
        yield found


def _failed(code: str, events: Events) -> Events:
    data = {"error_code": int(code), "error_message": Problem(int(code)).message}
    return _error_instead(Event("Error", go_json.dumps(data)), events)


async def _then_done(events: Events) -> Events:
    async for event in events:
        yield event
    yield Event("Done", "{}")


async def _twice(events: Events) -> Events:
    """The last piece of every node again."""
    async for event in events:
        yield event
        if event.name == "Message" and json.loads(event.data).get("node_is_finish"):
            yield event


async def _without(names: frozenset[str], events: Events) -> Events:
    async for event in events:
        if event.name not in names:
            yield event


def _unknown_message() -> Event:
    """What a node of an unknown kind says, in a form that is not known."""
    known = {"node_is_finish": True, "node_seq_id": "0", "node_title": "LocalUnknown"}
    return Event(
        "Message", go_json.dumps({"content": "?", "content_type": "local_unknown", **known})
    )


async def _before_message(seconds: float, inserted: list[Event], events: Events) -> Events:
    """Something in front of the first message."""
    first = True
    async for event in events:
        if first and event.name == "Message":
            first = False
            await asyncio.sleep(seconds)
            for one in inserted:
                yield one
        yield event


_EVENT_FAULTS: Mapping[Fault, Callable[[str, Events], Events]] = {
    Fault.FAILED: _failed,
    Fault.FAILED_THEN_DONE: lambda code, events: _then_done(_failed(code, events)),
    Fault.FAILED_BARE: _failed,
    Fault.ERROR_EVENT: _failed,
    Fault.ERROR_EVENT_EMPTY: lambda _, events: _error_instead(Event("Error", "{}"), events),
    Fault.ERROR_EVENT_TEXT: lambda _, events: _error_instead(Event("error", ERROR_TEXT), events),
    Fault.DUPLICATE_COMPLETED: lambda _, events: _twice(events),
    Fault.UNKNOWN_TYPE: lambda _, events: _before_message(0, [_unknown_message()], events),
    Fault.NO_DONE: lambda _, events: _without(frozenset({"Done"}), events),
    Fault.NO_TERMINAL: lambda _, events: _without(_ENDS, events),
    Fault.UNKNOWN_EVENT: lambda _, events: _before_message(
        0, [Event("LocalUnknown", "{}")], events
    ),
    Fault.IDLE: lambda seconds, events: _before_message(float(seconds), [], events),
}
