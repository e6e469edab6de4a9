"""The faults of a local server: names, default values, descriptions, and parsing."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class DescribedFault(StrEnum):
    """A fault with a description and a default value; the value is None if the fault takes none."""

    default: str | None
    description: str

    def __new__(cls, name: str, default: str | None, description: str) -> Self:
        """Create a member."""
        member = str.__new__(cls, name)
        member._value_, member.default, member.description = name, default, description
        return member


class Fault(DescribedFault):
    """A fault by name; `FAULTS` describes each one.

    Write a fault as `name`, or as `name=value` if it takes a value; separate several with commas.
    They can be set in `LocalBot(faults=…)`, in `LocalCoze(faults=…)` and in the request header
    `X-Local-Fault`. Chatflows and workflows have `faults`, too.

    Example:
        >>> Fault.CUT_MID_LINE == "cut_mid_line"
        True
    """

    # These replace the reply; no chat or run is started.
    ERROR = "error", "5000", "a JSON error with this code, even if a stream was requested"
    HTTP_502 = "http_502", None, "an HTML page with status 502, as from a gateway"
    HTTP_429 = "http_429", "1", "status 429 as plain text, with this Retry-After in seconds"
    CLOSE = "close", None, "the connection is closed before the first byte of the reply"
    SLOW_START = "slow_start", "30", "the reply starts after this many seconds"
    # These change the chat or run itself.
    FAILED = "failed", "5000", "the chat or run fails with this code, a node's from 700000000"
    IDLE = "idle", "30", "this many seconds of silence before the answer or the first message"
    NO_ACTION = "no_action", None, "a question to the user without requires_action (wire 4.6)"
    NO_DONE = "no_done", None, "a stream without its last event, done"
    RECALL_EMPTY = "recall_empty", None, "the recall has no chunks"
    RECALL_FAILED = "recall_failed", "708882003", "the recall has this status_code and no chunks"
    RECALL_MISSING = "recall_missing", None, "no recall message"
    RECALL_LATE = "recall_late", "0.3", "this many seconds of silence before the recall"
    # These affect documents that are added to a knowledge base.
    SLOW_PROCESSING = "slow_processing", "2", "each added document is processed this many seconds"
    FAILED_PROCESSING = (
        "failed_processing",
        "",
        "added documents whose name contains this text fail; all without a text",
    )
    # These damage the reply on its way to the client.
    CUT_AT = "cut_at", "", "the reply ends after this many bytes"
    CUT_MID_LINE = "cut_mid_line", None, "the reply ends in the middle of the second delta's line"
    CUT_RESET = "cut_reset", None, "a TCP reset, with or without a cut; the last bytes may be lost"
    # How many requests are affected, and which.
    TIMES = "times", "1", "only this many requests are affected, the first ones"
    ON = (
        "on",
        "/v3/chat",
        "only this path is affected, * for all; by default all paths that start a turn or run",
    )


class SiteFault(DescribedFault):
    """A fault of a `LocalSite` by name; `SITE_FAULTS` describes each one.

    Example:
        >>> SiteFault.END_CODE == "end_code"
        True
    """

    END_CODE = "end_code", "301001", "the run ends with this code after its answer was streamed"
    ERROR_FRAME = "error_frame", "101004", "the stream is one error with this code; nothing runs"
    CUT = "cut", "2", "a stream ends after this many frames; other replies end in the middle"
    SILENCE = "silence", "30", "silence for this many seconds, in a stream after its first frame"
    TOOL_HANGS = "tool_hangs", None, "a tool call or a node never ends"
    HTTP_401 = "http_401", None, "status 401, as from the gateway without a valid token"
    HTTP_504 = "http_504", None, "status 504 as plain text, as from the gateway; nothing runs"
    NO_ASYNC = "no_async", None, "an older project, without /async_run and /task"
    TIMES = "times", "1", "only this many requests are affected, the first ones"
    ON = "on", "/stream_run", "only this path is affected; by default all paths that start a run"


FAULTS: Mapping[Fault, tuple[str | None, str]] = {f: (f.default, f.description) for f in Fault}
"""The default value (None if it takes none) and the description of each fault."""

SITE_FAULTS: Mapping[SiteFault, tuple[str | None, str]] = {
    fault: (fault.default, fault.description) for fault in SiteFault
}
"""The same for the faults of a `LocalSite`."""

CUTS = frozenset({Fault.CUT_AT, Fault.CUT_MID_LINE, Fault.CUT_RESET})
"""Faults that change the bytes of a reply."""

_START_PATHS = frozenset(
    {"/v3/chat", "/v1/workflows/chat", "/v1/workflow/run", "/v1/workflow/stream_run"}
) | {"/stream_run", "/run", "/async_run"}

_ADD_PATH = "/open_api/knowledge/document/create"
_ADD_FAULTS = frozenset({Fault.SLOW_PROCESSING, Fault.FAILED_PROCESSING})

_SECONDS = {
    Fault.SLOW_PROCESSING,
    Fault.SLOW_START,
    Fault.RECALL_LATE,
    Fault.IDLE,
    Fault.HTTP_429,
    SiteFault.SILENCE,
}
_TEXTS = {Fault.FAILED_PROCESSING, Fault.ON, SiteFault.ON, SiteFault.END_CODE}


@dataclass(frozen=True)
class FaultSet:
    """Faults that apply together: their values, and the text that the user wrote."""

    values: Mapping[Any, str] = field(default_factory=dict)
    text: str = ""

    @property
    def times(self) -> int | None:
        """How many requests the faults apply to; None for all."""
        return int(self.values[Fault.TIMES]) if Fault.TIMES in self.values else None

    @property
    def failure_code(self) -> int | None:
        """The error code of the failed chat or run."""
        return int(self.values[Fault.FAILED]) if Fault.FAILED in self.values else None

    def get_seconds(self, fault: str) -> float:
        """Return the value of a fault in seconds, or 0 if the fault is not set."""
        return float(self.values.get(fault, 0))

    def with_failure(self, code: int) -> FaultSet:
        """Return a copy with the fault `failed` and this code."""
        return FaultSet({**self.values, Fault.FAILED: str(code)})

    def applies_to(self, path: str) -> bool:
        """Return whether the faults apply to a path.

        By default to those that start a run; faults of documents, to the one that adds them.
        """
        if Fault.ON in self.values:
            return self.values[Fault.ON] in {"*", path}
        if path == _ADD_PATH:
            return not _ADD_FAULTS.isdisjoint(self.values)
        return path in _START_PATHS


def read_faults(
    faults: str | Sequence[str], known: Mapping[Any, tuple[str | None, str]] = FAULTS
) -> FaultSet:
    """Parse faults: a string such as `"cut_mid_line,times=2"`, or a sequence of such strings.

    `known` contains the faults of a `LocalCoze` or of a `LocalSite`; any other raises `ValueError`.
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
        raise ValueError(f"unknown fault {name!r}; choose one of {', '.join(known)}")
    default, _description = known[fault]
    if default is None:
        if separator:
            raise ValueError(f"the fault {name} does not take a value")
        return fault, ""
    value = value or default
    if fault not in _TEXTS and not _is_number(fault, value):
        kind = "number" if fault in _SECONDS else "whole number"
        raise ValueError(f"the fault {name} needs a {kind}: {name}=…")
    return fault, value
