"""The faults of a local server: their names, their values, and how users write them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Fault(StrEnum):
    """A fault by name; `FAULTS` describes each one.

    A fault is written as its name, or as `name=value` where it takes a value; several are
    separated by commas. Three places accept them: `LocalBot(faults=…)`, `LocalCoze(faults=…)`
    and the request header `X-Local-Fault`; chatflows and workflows have `faults` as bots have.

    Example:
        >>> Fault.CUT_MID_LINE == "cut_mid_line"
        True
    """

    ERROR = "error"
    HTTP_502 = "http_502"
    HTTP_429 = "http_429"
    CLOSE = "close"
    SLOW_START = "slow_start"
    FAILED = "failed"
    IDLE = "idle"
    NO_ACTION = "no_action"
    NO_DONE = "no_done"
    RECALL_EMPTY = "recall_empty"
    RECALL_FAILED = "recall_failed"
    RECALL_MISSING = "recall_missing"
    RECALL_LATE = "recall_late"
    CUT_AT = "cut_at"
    CUT_MID_LINE = "cut_mid_line"
    CUT_RESET = "cut_reset"
    TIMES = "times"
    ON = "on"


class SiteFault(StrEnum):
    """A fault of a `LocalSite` by name; `SITE_FAULTS` describes each one.

    Example:
        >>> SiteFault.END_CODE == "end_code"
        True
    """

    END_CODE = "end_code"
    ERROR_FRAME = "error_frame"
    CUT = "cut"
    SILENCE = "silence"
    TOOL_HANGS = "tool_hangs"
    HTTP_401 = "http_401"
    HTTP_504 = "http_504"
    NO_ASYNC = "no_async"
    TIMES = "times"
    ON = "on"


# name -> (default value, or None without a value; description).
FAULTS: Mapping[Fault, tuple[str | None, str]] = {
    # Instead of a reply; the chat or run is not started.
    Fault.ERROR: ("5000", "a JSON error with this code, also where a stream was asked for"),
    Fault.HTTP_502: (None, "an HTML page with status 502, as from a gateway"),
    Fault.HTTP_429: ("1", "status 429 as plain text with Retry-After: this many seconds"),
    Fault.CLOSE: (None, "the connection is closed before any byte of a reply"),
    Fault.SLOW_START: ("30", "this many seconds pass before the reply begins"),
    # What happens in a chat or run.
    Fault.FAILED: (
        "5000",
        "the chat or run starts and fails with this code; from 700000000 a node has failed",
    ),
    Fault.IDLE: ("30", "this many seconds of silence before the answer or the first message"),
    Fault.NO_ACTION: (None, "a question to the user without the event requires_action (wire 4.6)"),
    Fault.NO_DONE: (None, "a stream without its last event, done"),
    Fault.RECALL_EMPTY: (None, "the recall has no chunks"),
    Fault.RECALL_FAILED: ("708882003", "the recall has no chunks and this status_code"),
    Fault.RECALL_MISSING: (None, "no recall message"),
    Fault.RECALL_LATE: ("0.3", "this many seconds of silence before the recall"),
    # What the network does to the reply.
    Fault.CUT_AT: ("", "the reply ends after this many bytes"),
    Fault.CUT_MID_LINE: (None, "the reply ends in the middle of the second delta's line"),
    Fault.CUT_RESET: (
        None,
        "with or without a cut: a TCP reset; the body is unfinished, its last bytes may be lost",
    ),
    # How often, and where.
    Fault.TIMES: ("1", "only the first so many requests are hit, then all is well"),
    Fault.ON: (
        "/v3/chat",
        "only this path is hit; unless given, all that begin a turn or a run; * for all",
    ),
}

SITE_FAULTS: Mapping[SiteFault, tuple[str | None, str]] = {
    SiteFault.END_CODE: (
        "301001",
        "the run ends with this code instead of success, after its answer was streamed",
    ),
    SiteFault.ERROR_FRAME: ("101004", "a stream is one error with this code; nothing is run"),
    SiteFault.CUT: ("2", "a stream ends after this many frames, other replies in the middle"),
    SiteFault.SILENCE: (
        "30",
        "this many seconds without a byte, in a stream after its first frame",
    ),
    SiteFault.TOOL_HANGS: (None, "a tool is called, or a node started, that never ends"),
    SiteFault.HTTP_401: (None, "status 401, as from the gateway without a valid token"),
    SiteFault.HTTP_504: (None, "status 504 as plain text, as from the gateway; nothing is run"),
    SiteFault.NO_ASYNC: (None, "an older project: it has no /async_run and no /task"),
    SiteFault.TIMES: ("1", "only the first so many requests are hit, then all is well"),
    SiteFault.ON: ("/stream_run", "only this path is hit; unless given, all that start a run"),
}

CUTS = frozenset({Fault.CUT_AT, Fault.CUT_MID_LINE, Fault.CUT_RESET})
"""Faults of the bytes of a reply."""

_START_PATHS = frozenset(
    {"/v3/chat", "/v1/workflows/chat", "/v1/workflow/run", "/v1/workflow/stream_run"}
) | {"/stream_run", "/run", "/async_run"}

_SECONDS = {Fault.SLOW_START, Fault.RECALL_LATE, Fault.IDLE, Fault.HTTP_429, SiteFault.SILENCE}
_TEXTS = {Fault.ON, SiteFault.ON, SiteFault.END_CODE}


@dataclass(frozen=True)
class FaultSet:
    """Faults that apply together.

    Attributes:
        values: The faults and their values; an empty string for a fault without a value.
        text: The faults as the user wrote them.
    """

    values: Mapping[Any, str] = field(default_factory=dict)
    text: str = ""

    @property
    def times(self) -> int | None:
        """How many requests the faults apply to; None for all."""
        return int(self.values[Fault.TIMES]) if Fault.TIMES in self.values else None

    @property
    def failure_code(self) -> int | None:
        """The code with which the chat or run fails."""
        return int(self.values[Fault.FAILED]) if Fault.FAILED in self.values else None

    def get_seconds(self, fault: str) -> float:
        """Return the value of a fault in seconds; 0 without it."""
        return float(self.values.get(fault, 0))

    def with_failure(self, code: int) -> FaultSet:
        """Return these faults and `failed` with a code."""
        return FaultSet({**self.values, Fault.FAILED: str(code)})

    def applies_to(self, path: str) -> bool:
        """Return whether the faults apply to a path; by default to those that start something."""
        if Fault.ON in self.values:
            return self.values[Fault.ON] in {"*", path}
        return path in _START_PATHS


def read_faults(
    faults: str | Sequence[str], known: Mapping[Any, tuple[str | None, str]] = FAULTS
) -> FaultSet:
    """Read faults as a user writes them.

    Args:
        faults: `"cut_mid_line,times=2"`, or a sequence of such texts.
        known: The faults that there are: those of a `LocalCoze`, or of a `LocalSite`.

    Raises:
        ValueError: A name is not known, a value is missing, not wanted, or not a number.

    Example:
        >>> dict(read_faults(["error=4009", "times=2"]).values)
        {<Fault.ERROR: 'error'>: '4009', <Fault.TIMES: 'times'>: '2'}
    """
    text = faults if isinstance(faults, str) else ",".join(faults)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return FaultSet(dict(_parse_fault(part, known) for part in parts), text)


def _is_number(fault: str, value: str) -> bool:
    return (value.replace(".", "", 1) if fault in _SECONDS else value).isdecimal()


def _parse_fault(part: str, known: Mapping[Any, tuple[str | None, str]]) -> tuple[Any, str]:
    name, separator, value = (item.strip() for item in part.partition("="))
    fault = next((fault for fault in known if fault == name), None)
    if fault is None:
        raise ValueError(f"unknown fault {name!r}; known are: {', '.join(known)}")
    default, _description = known[fault]
    if default is None:
        if separator:
            raise ValueError(f"the fault {name} takes no value")
        return fault, ""
    value = value or default
    if fault not in _TEXTS and not _is_number(fault, value):
        kind = "number" if fault in _SECONDS else "whole number"
        raise ValueError(f"the fault {name} needs a {kind}: {name}=…")
    return fault, value
