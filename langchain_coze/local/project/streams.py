"""The stream of one run: of an agent, or of a workflow (wire 9)."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage

from langchain_coze.local.faults.specs import FaultSet, SiteFault
from langchain_coze.local.project.failures import FailedRunError, Failure, classify_error
from langchain_coze.local.project.frames import (
    CANCELLED,
    SUCCESS,
    FrameWriter,
    MessageReader,
    dump_frame,
)
from langchain_coze.local.routes.stream_responses import insert_pings
from langchain_coze.local.wire.events import (
    SseEvent,
    create_numbered_encoder,
    encode_event_with_spaces,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from langchain_coze.local.project.project import Project

logger = logging.getLogger(__name__)

_PING: Final = object()
_FAULT_TEXT = "a fault of the local server"
_REMOTE = ("http://", "https://", "data:")
_IMAGE = re.compile(
    r"\.(?:apng|avif|bmp|gif|heic|ico|jpe?g|png|svg|tiff|webp)(?:\?|$)", re.IGNORECASE
)
_HANGING_CALL: Any = {"name": "hanging_tool", "args": {}, "id": "call_hangs"}


@dataclass(frozen=True)
class Run:
    """One run: its id, the log id of its request, and its settings.

    Attributes:
        timeout: Maximum seconds; checked at each output.
        ping: Seconds between two heartbeats of a workflow's stream.
        is_debug: Whether the stream of a workflow also reports its nodes.
        faults: The faults of the request.
    """

    run_id: str
    log_id: str
    timeout: float
    ping: float
    is_debug: bool = False
    faults: FaultSet = field(default_factory=FaultSet)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self.started_at

    def check_timeout(self) -> None:
        """Raise a `FailedRunError` if the run takes too long."""
        if self.seconds > self.timeout:
            text = f"Execution timeout: exceeded {self.timeout:g} seconds"
            raise FailedRunError("TIMEOUT", text)

    def apply_end_fault(self) -> None:
        """Raise a `FailedRunError` if the fault `end_code` is set."""
        if code := self.faults.values.get(SiteFault.END_CODE):
            raise FailedRunError(code, CANCELLED.message if code == CANCELLED.code else _FAULT_TEXT)

    async def wait_for_faults(self) -> None:
        """Wait for the seconds of a fault, or forever."""
        await asyncio.sleep(self.faults.get_seconds(SiteFault.SILENCE))
        if SiteFault.TOOL_HANGS in self.faults.values:
            await asyncio.Event().wait()


class AgentStream:
    """The frames of an agent's turn.

    Raises:
        Exception: The body has an invalid structure.
    """

    def __init__(self, project: Project, body: Any, run: Run) -> None:
        """Read the request."""
        self._project, self._run = project, run
        self._blocks = read_blocks(body)
        self._session_id = body.get("session_id", "")
        self._writer = FrameWriter(body, run.run_id, run.log_id)

    def encode_cancelled(self) -> bytes:
        """Return the frame that ends a cancelled run."""
        return _encode(self._writer.write_end(CANCELLED, self._run.seconds))

    async def iterate_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield the frames, encoded."""
        writer, end = self._writer, SUCCESS
        if code := self._run.faults.values.get(SiteFault.ERROR_FRAME):
            yield _encode(writer.write_error(Failure(code, _FAULT_TEXT)))
            return
        try:
            message = build_user_message(self._blocks)
        except Exception as error:  # noqa: BLE001 - any problem with a file
            yield _encode(writer.write_error(Failure(classify_error(error).code, str(error))))
            return
        yield _encode(writer.write_start())
        try:
            async with aclosing(self._iterate_frames(message)) as frames:
                async for frame in frames:
                    yield _encode(frame)
            self._run.apply_end_fault()
        except Exception as error:  # noqa: BLE001 - any exception of the agent
            end = _log_failure(error)
        yield _encode(writer.write_end(end, self._run.seconds))

    async def _iterate_frames(self, message: Any) -> AsyncGenerator[dict[str, Any], None]:
        reader, is_started = MessageReader(self._writer), False
        items = self._project.stream({"messages": [message]}, self._session_id)
        async with aclosing(items):
            async for item, metadata in items:
                self._run.check_timeout()
                if not is_started:
                    is_started = True
                    if SiteFault.TOOL_HANGS in self._run.faults.values:
                        for frame in reader.read(AIMessage("", tool_calls=[_HANGING_CALL]), {}):
                            yield frame
                    await self._run.wait_for_faults()
                for frame in reader.read(item, metadata):
                    yield frame


class WorkflowStream:
    """The events of a workflow's run."""

    def __init__(self, project: Project, body: Any, run: Run) -> None:
        """Store the request."""
        self._project, self._body, self._run = project, body, run
        self._output: Any = {}
        self._node_starts: dict[str, float] = {}

    def encode_cancelled(self) -> bytes:
        """Return the event that ends a cancelled run; it has no number."""
        event = self._build("error", code="CANCELED", error_msg=CANCELLED.message)
        return encode_event_with_spaces(event)

    async def iterate_bytes(self) -> AsyncGenerator[bytes, None]:
        """Yield the events, encoded."""
        if code := self._run.faults.values.get(SiteFault.ERROR_FRAME):
            event = self._build("error", code=code, error_msg=_FAULT_TEXT)
            yield encode_event_with_spaces(event)
            return
        encode = create_numbered_encoder(1)
        async with aclosing(insert_pings(self._iterate_events(), _PING, self._run.ping)) as events:
            async for event in events:
                yield encode(self._build("ping") if event is _PING else event)

    async def _iterate_events(self) -> AsyncGenerator[SseEvent, None]:
        run = self._run
        yield self._build("workflow_start")
        try:
            await run.wait_for_faults()
            mode = "debug" if run.is_debug else "updates"
            async with aclosing(self._project.stream(self._body, run.run_id, mode)) as items:
                async for item in items:
                    run.check_timeout()
                    if event := self._read_item(item):
                        yield event
            run.apply_end_fault()
        except Exception as error:  # noqa: BLE001 - any exception of the workflow
            code, text = _log_failure(error)
            key = "message" if code == "TIMEOUT" else "error_msg"
            yield self._build("error", code=code, **{key: text})
        else:
            cost = int(run.seconds * 1000)
            yield self._build("workflow_end", output=self._output, time_cost_ms=cost)

    def _read_item(self, item: Any) -> SseEvent | None:
        """Store the output of a node; return its event in debug mode."""
        if not self._run.is_debug:
            self._output = list(item.values())[-1] or {}
            return None
        payload = item["payload"]
        name = payload.get("name")
        if item["type"] == "task":
            self._node_starts[name] = time.monotonic()
            return self._build("node_start", node_name=name, input=payload["input"])
        if item["type"] != "task_result":
            return None
        output = payload["result"] or {}
        self._output = output.get("__end__", output)
        cost = int((time.monotonic() - self._node_starts.pop(name, time.monotonic())) * 1000)
        return self._build("node_end", node_name=name, output=self._output, time_cost_ms=cost)

    def _build(self, kind: str, **fields: Any) -> SseEvent:
        ids = {"log_id": self._run.log_id, "run_id": self._run.run_id}
        event = {"type": kind, "timestamp": int(time.time() * 1000), **ids, **fields}
        return SseEvent("message", dump_frame(event))


def _encode(frame: Mapping[str, Any]) -> bytes:
    return encode_event_with_spaces(SseEvent("message", dump_frame(frame)))


def _log_failure(error: Exception) -> Failure:
    if not isinstance(error, FailedRunError):
        logger.error("The run failed", exc_info=error)
    return classify_error(error)


def read_blocks(body: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and the content of each block of an agent's request.

    Raises:
        Exception: The body has an invalid structure.
    """
    blocks = body.get("content", {}).get("query", {}).get("prompt", [])
    pairs = [(block.get("type", "text"), block.get("content")) for block in blocks]
    return [(kind, content if isinstance(content, dict) else {}) for kind, content in pairs]


def build_user_message(blocks: Any) -> dict[str, Any]:
    """Return the blocks of a question as one message; files are converted but not downloaded.

    Args:
        blocks: The type and the content of each.

    Raises:
        AttributeError: A file has no URL.
    """
    content: list[dict[str, Any]] = []
    for kind, block in blocks:
        if kind == "text" and block.get("text"):
            content.append({"type": "text", "text": block["text"]})
        elif kind == "upload_file" and (file := block.get("upload_file")):
            url, name = file.get("url", ""), file.get("file_name", "")
            if url.startswith(_REMOTE) and (_IMAGE.search(url) or _IMAGE.search(name)):
                content.append({"type": "text", "text": url})
                content.append({"type": "image_url", "image_url": {"url": url}})
            else:
                content.append({"type": "text", "text": f"file name:{name}, url: {url}"})
    return {"role": "user", "content": content}
