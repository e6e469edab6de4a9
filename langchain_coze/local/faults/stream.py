"""Faults as small transforms of a stream: of its events, then of its bytes.

A transform is a function from an async iterator to another one. The transforms of a request are
chained in the order of the table `FAULTS`. They change what the client receives, not the chat.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from langchain_coze.local.faults.recall import RECALL_FAULTS, EventTransform, pause_before
from langchain_coze.local.faults.specs import FAULTS, Fault, FaultSet
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.ids import generate_id

ItemT = TypeVar("ItemT")
ByteTransform: TypeAlias = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]

_DELTA, _COMPLETED = "conversation.message.delta", "conversation.message.completed"
_IN_PROGRESS = "conversation.chat.in_progress"
_DONE = SseEvent("done", '"[DONE]"')
_STUDIO_DONE = "conversation.stream.done"
_UNKNOWN_VALUE = "local_unknown"
ERROR_TEXT = "stream read failed: connection reset"
"""The data of an error event that is not JSON."""


def apply_event_faults(
    faults: FaultSet, events: AsyncIterator[SseEvent]
) -> AsyncIterator[SseEvent]:
    """Apply faults of events.

    Args:
        faults: The faults; those of other kinds are ignored.
        events: The events of a turn.
    """
    for fault in FAULTS:
        if fault in faults.values and fault in EVENT_FAULTS:
            events = EVENT_FAULTS[fault](faults.values[fault])(events)
    return events


def apply_byte_faults(faults: FaultSet, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Apply faults of bytes to encoded events.

    Args:
        faults: The faults; those of other kinds are ignored.
        chunks: Encoded events, one each.
    """
    for fault in FAULTS:
        if fault in faults.values and fault in BYTE_FAULTS:
            chunks = BYTE_FAULTS[fault](faults.values[fault])(chunks)
    return chunks


def _replace_each(
    replace: Callable[[ItemT], Iterable[ItemT]],
) -> Callable[[AsyncIterator[ItemT]], AsyncIterator[ItemT]]:
    """Return a transform that replaces each item with any number of items."""

    async def transform(items: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        async for item in items:
            for changed in replace(item):
                yield changed

    return transform


def _drop_events(*names: str) -> EventTransform:
    return _replace_each(lambda event: () if event.name in names else (event,))


# Event faults ---------------------------------------------------------------------------------


def _replace_answer(build: Callable[[dict[str, Any]], Iterable[SseEvent]]) -> EventTransform:
    """End the stream where the answer would start; `build` gets the chat object."""

    async def transform(events: AsyncIterator[SseEvent]) -> AsyncIterator[SseEvent]:
        chat: dict[str, Any] = {}
        async for event in events:
            if event.name == _IN_PROGRESS:
                chat = json.loads(event.data)
            elif _starts_answer(event):
                for last_event in build(chat):
                    yield last_event
                return
            yield event

    return transform


def _starts_answer(event: SseEvent) -> bool:
    return event.name == _DELTA or (event.name == _COMPLETED and '"type":"answer"' in event.data)


def _build_failed_event(chat: Mapping[str, Any], code: int) -> SseEvent:
    if "bot_id" not in chat:
        # A chatflow tells no chat, and the code as a string (wire 4.6).
        return SseEvent(
            "conversation.chat.failed",
            f'{{"code": "{code}","msg": {_encode_failure_message(code)}}}',
        )
    fields = dict(chat)
    section = {"section_id": fields.pop("section_id")} if "section_id" in fields else {}
    state = {key: fields.pop(key) for key in ("last_error", "status", "usage") if key in fields}
    ended_at = fields.get("created_at", 0)
    failed = {"last_error": {"code": code, "msg": _get_failure_message(code)}, "status": "failed"}
    data = fields | {"completed_at": ended_at, "failed_at": ended_at} | state | failed | section
    return SseEvent("conversation.chat.failed", go_json.dumps(data))


def _get_failure_message(code: int) -> str:
    return "event interval error" if code == 5000 else ApiError(code).message  # noqa: PLR2004 - recorded pair


def _encode_failure_message(code: int) -> str:
    return go_json.dumps(_get_failure_message(code))


def _build_code_event(name: str, code: int, msg: str) -> SseEvent:
    return SseEvent(name, go_json.dumps({"code": code, "msg": msg}))


def _insert_before_answer(build: Callable[[dict[str, Any]], SseEvent]) -> EventTransform:
    """Insert one event before the answer; `build` gets the chat object."""

    async def transform(events: AsyncIterator[SseEvent]) -> AsyncIterator[SseEvent]:
        chat: dict[str, Any] | None = None
        async for event in events:
            if event.name == _IN_PROGRESS:
                chat = json.loads(event.data)
            elif chat is not None and _starts_answer(event):
                yield build(chat)
                chat = None
            yield event

    return transform


def _build_message_event(chat: Mapping[str, Any], kind: str, content: str) -> SseEvent:
    # A chatflow tells no bot_id.
    ids = {name: chat[name] for name in ("conversation_id", "bot_id", "section_id") if name in chat}
    message = {"id": chat["id"], "role": "assistant", "type": kind, "content": content}
    message |= {"content_type": "text", "chat_id": chat["id"]} | ids
    return SseEvent(_COMPLETED, go_json.dumps(message))


def _build_unknown_verbose(chat: Mapping[str, Any]) -> SseEvent:
    content = {"msg_type": _UNKNOWN_VALUE, "data": "{}", "from_module": None, "from_unit": None}
    return _build_message_event(chat, "verbose", go_json.dumps(content))


def _set_unknown_status(event: SseEvent) -> Iterable[SseEvent]:
    if event.name != _IN_PROGRESS:
        return (event,)
    return (
        SseEvent(event.name, go_json.dumps(json.loads(event.data) | {"status": _UNKNOWN_VALUE})),
    )


def _append_second_answer(event: SseEvent) -> Iterable[SseEvent]:
    """Return the event; after the first answer also a complete answer with another id."""
    if event.name != _COMPLETED or (answer := json.loads(event.data)).get("type") != "answer":
        return (event,)
    second = go_json.dumps(
        answer | {"id": generate_id(), "content": "A second answer. 第二个回答。"}
    )
    return (event, SseEvent(_DELTA, second), SseEvent(_COMPLETED, second))


def _replace_first(replace: Callable[[SseEvent], Iterable[SseEvent]]) -> EventTransform:
    """Return a transform that replaces the first event for which `replace` returns another."""

    async def transform(events: AsyncIterator[SseEvent]) -> AsyncIterator[SseEvent]:
        replaced = False
        async for event in events:
            events_or_one = (event,) if replaced else tuple(replace(event))
            replaced = replaced or events_or_one != (event,)
            for item in events_or_one:
                yield item

    return transform


EVENT_FAULTS: Mapping[Fault, Callable[[str], EventTransform]] = {
    Fault.FAILED: lambda code: _replace_answer(lambda chat: [_build_failed_event(chat, int(code))]),
    Fault.FAILED_THEN_DONE: lambda code: _replace_answer(
        lambda chat: [_build_failed_event(chat, int(code)), _DONE]
    ),
    Fault.FAILED_BARE: lambda code: _replace_answer(
        lambda _chat: [_build_code_event("conversation.chat.failed", int(code), "error")]
    ),
    Fault.ERROR_EVENT: lambda code: _replace_answer(
        lambda _chat: [_build_code_event("error", int(code), ApiError(int(code)).message)]
    ),
    Fault.ERROR_EVENT_EMPTY: lambda _: _replace_answer(lambda _chat: [SseEvent("error", "{}")]),
    Fault.ERROR_EVENT_TEXT: lambda _: _replace_answer(
        lambda _chat: [SseEvent("error", ERROR_TEXT)]
    ),
    Fault.NO_DELTAS: lambda _: _drop_events(_DELTA),
    Fault.NO_DONE: lambda _: _drop_events("done", _STUDIO_DONE),
    Fault.NO_TERMINAL: lambda _: _drop_events(
        "done", _STUDIO_DONE, "conversation.chat.completed", "conversation.chat.failed"
    ),
    Fault.DUPLICATE_COMPLETED: lambda _: _replace_each(
        lambda event: (event, event) if event.name == _COMPLETED else (event,)
    ),
    Fault.TWO_ANSWERS: lambda _: _replace_first(_append_second_answer),
    Fault.UNKNOWN_EVENT: lambda _: _insert_before_answer(
        lambda chat: SseEvent("conversation.local.unknown", go_json.dumps({"id": chat["id"]}))
    ),
    Fault.UNKNOWN_TYPE: lambda _: _insert_before_answer(
        lambda chat: _build_message_event(chat, _UNKNOWN_VALUE, "?")
    ),
    Fault.UNKNOWN_STATUS: lambda _: _replace_each(_set_unknown_status),
    Fault.UNKNOWN_MSG_TYPE: lambda _: _insert_before_answer(_build_unknown_verbose),
    Fault.PLAIN_VERBOSE: lambda _: _insert_before_answer(
        lambda chat: _build_message_event(chat, "verbose", "empty result")
    ),
    **RECALL_FAULTS,
    Fault.IDLE: lambda seconds: pause_before(_starts_answer, float(seconds)),
}


# Byte faults ----------------------------------------------------------------------------------

_FIELD = re.compile(rb"(?m)^(event|data):(?! )")


def _replace_with_json_line(code: int) -> ByteTransform:
    async def transform(_chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield go_json.dumps({"code": code, "msg": ApiError(code).message}).encode()

    return transform


def _prefix_events(prefix: bytes) -> ByteTransform:
    """Insert bytes before each event, with spaces after colons where the stream has them."""
    spaced = prefix.replace(b"event:", b"event: ").replace(b"data:", b"data: ")
    return _replace_each(lambda chunk: ((spaced if b"event: " in chunk else prefix) + chunk,))


def _substitute(pattern: re.Pattern[bytes], replacement: bytes) -> ByteTransform:
    return _replace_each(lambda chunk: (pattern.sub(replacement, chunk),))


async def _prepend_bom(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    is_first = True
    async for chunk in chunks:
        yield b"\xef\xbb\xbf" + chunk if is_first else chunk
        is_first = False


def _truncate_at(limit: int) -> ByteTransform:
    async def transform(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        remaining = limit
        async for chunk in chunks:
            if len(chunk) >= remaining:
                yield chunk[:remaining]
                return
            remaining -= len(chunk)
            yield chunk

    return transform


_END_MARKERS = (
    *(b"conversation.chat.completed", b"conversation.chat.failed"),
    *(b"event: Done\n", b"event: Error\n", b"event: Interrupt\n"),
)


def _is_delta(chunk: bytes) -> bool:
    return b"conversation.message.delta" in chunk or b"event: Message\n" in chunk


def _ends_turn(chunk: bytes) -> bool:
    # A reply that is no stream is one JSON object.
    return chunk.startswith(b"{") or any(marker in chunk for marker in _END_MARKERS)


async def _truncate_in_line(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    deltas = 0
    async for chunk in chunks:
        deltas += _is_delta(chunk)
        # A turn with fewer than two deltas is cut in its last chat event.
        if deltas == 2 or _ends_turn(chunk):  # noqa: PLR2004 - the second
            # Between two characters: inside of one is another fault.
            yield chunk[: len(chunk) * 2 // 3].decode("utf-8", "ignore").encode()
            return
        yield chunk


async def _truncate_in_character(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    answering = False
    async for chunk in chunks:
        if answering and not chunk.isascii():
            position = next(i for i, byte in enumerate(chunk) if byte >= 0x80)  # noqa: PLR2004 - not ASCII
            yield chunk[: position + 1]
            return
        if _ends_turn(chunk):
            # Nothing but ASCII: there is no character to cut, so cut the line.
            yield chunk[: len(chunk) // 2]
            return
        answering = answering or _is_delta(chunk)
        yield chunk


async def _join_chunks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b"".join([chunk async for chunk in chunks])


BYTE_FAULTS: Mapping[Fault, Callable[[str], ByteTransform]] = {
    Fault.JSON_LINE: lambda code: _replace_with_json_line(int(code)),
    Fault.SPACE: lambda _: _substitute(_FIELD, rb"\1: "),
    Fault.SPLIT_DATA: lambda _: _substitute(
        re.compile(rb'(?m)^data:(\s?)\{"'), rb'data:\1{\ndata:\1"'
    ),
    Fault.COMMENTS: lambda _: _prefix_events(b": still here\n:\n"),
    Fault.PING: lambda _: _prefix_events(b"event:PING\ndata:{}\n\n"),
    Fault.PING_NO_DATA: lambda _: _prefix_events(b"event:PING\n\n"),
    Fault.CRLF: lambda _: _substitute(re.compile(rb"\n"), b"\r\n"),
    Fault.BOM: lambda _: _prepend_bom,
    Fault.CUT_AT: lambda limit: _truncate_at(int(limit)),
    Fault.CUT_MID_LINE: lambda _: _truncate_in_line,
    Fault.CUT_UTF8: lambda _: _truncate_in_character,
    Fault.ONE_CHUNK: lambda _: _join_chunks,
    Fault.ONE_BYTE: lambda _: _replace_each(lambda chunk: (bytes([byte]) for byte in chunk)),
}
