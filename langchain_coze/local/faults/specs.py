"""The faults of a local server: their names, their values, and how users write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Fault(StrEnum):
    """A fault by name; `FAULTS` describes each one.

    A fault is written as its name, or as `name=value` where it takes a value; several are
    separated by commas. Three places accept them: `LocalBot(faults=…)`, `LocalCoze(faults=…)`
    and the request header `X-Local-Fault`; chatflows and workflows have `faults` as bots have.
    Faults of events concern streams only, and a stream without the event in question stays as it
    is; a chat that fails for a client that polls is made with a reply that yields `Fail`. Of the
    faults of bytes `REPLY_FAULTS` hit replies that are no streams, too.

    Example:
        >>> Fault.CUT_MID_LINE == "cut_mid_line"
        True
    """

    ERROR = "error"
    HTTP_502 = "http_502"
    HTTP_429 = "http_429"
    CLOSE = "close"
    EMPTY_BODY = "empty_body"
    SLOW_START = "slow_start"
    FAILED = "failed"
    FAILED_THEN_DONE = "failed_then_done"
    FAILED_BARE = "failed_bare"
    ERROR_EVENT = "error_event"
    ERROR_EVENT_EMPTY = "error_event_empty"
    ERROR_EVENT_TEXT = "error_event_text"
    NO_DELTAS = "no_deltas"
    NO_DONE = "no_done"
    NO_TERMINAL = "no_terminal"
    DUPLICATE_COMPLETED = "duplicate_completed"
    TWO_ANSWERS = "two_answers"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_MSG_TYPE = "unknown_msg_type"
    PLAIN_VERBOSE = "plain_verbose"
    RECALL_EMPTY = "recall_empty"
    RECALL_NULL = "recall_null"
    RECALL_FAILED = "recall_failed"
    RECALL_BROKEN = "recall_broken"
    RECALL_SPLIT = "recall_split"
    RECALL_MISSING = "recall_missing"
    RECALL_LATE = "recall_late"
    RECALL_VARIANT = "recall_variant"
    RECALL_CUT = "recall_cut"
    IDLE = "idle"
    JSON_LINE = "json_line"
    SPACE = "space"
    SPLIT_DATA = "split_data"
    COMMENTS = "comments"
    PING = "ping"
    PING_NO_DATA = "ping_no_data"
    CRLF = "crlf"
    BOM = "bom"
    CUT_AT = "cut_at"
    CUT_MID_LINE = "cut_mid_line"
    CUT_UTF8 = "cut_utf8"
    CUT_HARD = "cut_hard"
    CUT_RESET = "cut_reset"
    ONE_CHUNK = "one_chunk"
    ONE_BYTE = "one_byte"
    TIMES = "times"
    ON = "on"


# name -> (default value, or None without a value; description). The order is the order in
# which they are applied.
FAULTS: Mapping[Fault, tuple[str | None, str]] = {
    # Instead of a reply; the chat is not started.
    Fault.ERROR: ("5000", "a JSON error with this code, also where a stream was asked for"),
    Fault.HTTP_502: (None, "an HTML page with status 502, as from a gateway"),
    Fault.HTTP_429: ("1", "status 429 as plain text with Retry-After: this many seconds"),
    Fault.CLOSE: (None, "the connection is closed before any byte of a reply"),
    Fault.EMPTY_BODY: (None, "status 200, content type JSON, no body"),
    Fault.SLOW_START: ("30", "this many seconds pass before the reply begins"),
    # Changes to the events of a stream.
    Fault.FAILED: ("5000", "chat.failed with this code where the answer would begin, then the end"),
    Fault.FAILED_THEN_DONE: ("5000", "as failed, and a done event after it"),
    Fault.FAILED_BARE: ("701231", "as failed, but its data is only {code, msg}"),
    Fault.ERROR_EVENT: ("5000", "an error event with this code where the answer would begin"),
    Fault.ERROR_EVENT_EMPTY: (None, "an error event with data {}"),
    Fault.ERROR_EVENT_TEXT: (None, "an error event whose data is plain text"),
    Fault.NO_DELTAS: (None, "no deltas; answers come only as completed messages"),
    Fault.NO_DONE: (None, "the stream ends without done"),
    Fault.NO_TERMINAL: (
        None,
        "the stream ends without chat.completed (or failed) and without done",
    ),
    Fault.DUPLICATE_COMPLETED: (None, "every completed message is sent twice"),
    Fault.TWO_ANSWERS: (None, "a second answer, with a message id of its own, after the first"),
    Fault.UNKNOWN_EVENT: (None, "an event with an unknown name before the answer"),
    Fault.UNKNOWN_TYPE: (None, "a message of an unknown type before the answer"),
    Fault.UNKNOWN_STATUS: (None, "the in_progress event carries an unknown status"),
    Fault.UNKNOWN_MSG_TYPE: (None, "a verbose message with an unknown msg_type before the answer"),
    Fault.PLAIN_VERBOSE: (None, "a verbose message whose content is not JSON before the answer"),
    Fault.RECALL_EMPTY: (None, "the recall has no chunks: []"),
    Fault.RECALL_NULL: (None, "the recall has no chunks: null"),
    Fault.RECALL_FAILED: ("708882003", "the recall has no chunks and this status_code"),
    Fault.RECALL_BROKEN: (None, "the first chunk of the recall has the wrong shape"),
    Fault.RECALL_SPLIT: ("0", "one recall message for each chunk, this many seconds apart"),
    Fault.RECALL_MISSING: (None, "no recall message"),
    Fault.RECALL_LATE: ("0.3", "this many seconds of silence before the recall"),
    Fault.RECALL_VARIANT: (
        "plain",
        "the recall in a form of other times (wire 3.3): plain text (C), flat (D), object (E)",
    ),
    Fault.RECALL_CUT: (None, "the JSON inside the recall ends in the middle of its last chunk"),
    Fault.IDLE: ("30", "this many seconds of silence before the answer"),
    # Changes to the bytes of a stream.
    Fault.JSON_LINE: ("4100", "the stream holds only a JSON error without field name or newline"),
    Fault.SPACE: (None, "a space after each colon, as workflow streams have it"),
    Fault.SPLIT_DATA: (None, "data spread over several data lines"),
    Fault.COMMENTS: (None, "comment lines between the events"),
    Fault.PING: (None, "PING events with data {} between the events"),
    Fault.PING_NO_DATA: (None, "PING events without a data line between the events"),
    Fault.CRLF: (None, "lines end in CR LF"),
    Fault.BOM: (None, "a byte order mark before the first event"),
    Fault.CUT_AT: ("", "the stream ends after this many bytes"),
    Fault.CUT_MID_LINE: (None, "the stream ends in the middle of the second delta's line"),
    Fault.CUT_UTF8: (None, "the stream ends inside a multi-byte character after the first delta"),
    Fault.CUT_HARD: (
        None,
        "with or without a cut: the connection closes, the HTTP body is unfinished",
    ),
    Fault.CUT_RESET: (None, "as cut_hard, by a TCP reset; bytes on their way may be lost"),
    Fault.ONE_CHUNK: (None, "the whole stream arrives as one piece, at its end"),
    Fault.ONE_BYTE: (None, "each byte arrives as a piece of its own"),
    # How often, and where.
    Fault.TIMES: ("1", "only the first so many requests are hit, then all is well"),
    Fault.ON: (
        "/v3/chat",
        "only this path is hit; unless given, all that begin a turn or a run; * for all",
    ),
}

REPLY_FAULTS = frozenset(
    {
        *(Fault.BOM, Fault.CUT_AT, Fault.CUT_MID_LINE, Fault.CUT_UTF8),
        *(Fault.CUT_HARD, Fault.CUT_RESET, Fault.ONE_BYTE),
    }
)
"""Faults of bytes that hit the JSON of replies, too."""

_START_PATHS = frozenset(
    {"/v3/chat", "/v1/workflows/chat", "/v1/workflow/run", "/v1/workflow/stream_run"}
)

# The values that are words; all others are numbers, but for the path of `Fault.ON`.
_SECONDS = {Fault.SLOW_START, Fault.RECALL_SPLIT, Fault.RECALL_LATE, Fault.IDLE, Fault.HTTP_429}
_CHOICES: Mapping[Fault, tuple[str, ...]] = {Fault.RECALL_VARIANT: ("plain", "flat", "object")}


@dataclass(frozen=True)
class FaultSet:
    """Faults that apply together.

    Attributes:
        values: The faults and their values; an empty string for a fault without a value.
        text: The faults as the user wrote them.
    """

    values: Mapping[Fault, str] = field(default_factory=dict)
    text: str = ""

    @property
    def times(self) -> int | None:
        """How many requests the faults apply to; None for all."""
        return int(self.values[Fault.TIMES]) if Fault.TIMES in self.values else None

    def applies_to(self, path: str) -> bool:
        """Return whether the faults apply to a path; by default to those that start something."""
        if Fault.ON in self.values:
            return self.values[Fault.ON] in {"*", path}
        return path in _START_PATHS


def read_faults(faults: str | Sequence[str]) -> FaultSet:
    """Read faults as a user writes them.

    Args:
        faults: `"cut_mid_line,times=2"`, or a sequence of such texts.

    Raises:
        ValueError: A name is not known, a value is missing, not wanted, or not a number.

    Example:
        >>> dict(read_faults(["error=4009", "times=2"]).values)
        {<Fault.ERROR: 'error'>: '4009', <Fault.TIMES: 'times'>: '2'}
    """
    return _parse_faults(faults if isinstance(faults, str) else ",".join(faults))


@lru_cache(maxsize=256)
def _parse_faults(text: str) -> FaultSet:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return FaultSet(dict(_parse_fault(part) for part in parts), text)


def _is_number(fault: Fault, value: str) -> bool:
    return (value.replace(".", "", 1) if fault in _SECONDS else value).isdecimal()


def _parse_fault(part: str) -> tuple[Fault, str]:
    name, separator, value = (item.strip() for item in part.partition("="))
    try:
        fault = Fault(name)
    except ValueError:
        names = ", ".join(FAULTS)
        raise ValueError(f"unknown fault {name!r}; known are: {names}") from None
    default, _description = FAULTS[fault]
    if default is None:
        if separator:
            raise ValueError(f"the fault {name} takes no value")
        return fault, ""
    value = value or default
    if fault in _CHOICES:
        if value not in _CHOICES[fault]:
            raise ValueError(f"the fault {name} is one of: {', '.join(_CHOICES[fault])}")
    elif fault is not Fault.ON and not _is_number(fault, value):
        kind = "number" if fault in _SECONDS else "whole number"
        raise ValueError(f"the fault {name} needs a {kind}: {name}=…")
    return fault, value
