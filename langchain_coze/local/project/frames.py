"""The frames of an agent's stream, from the messages of its graph (wire 9)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage

from langchain_coze.local.project.failures import Failure
from langchain_coze.local.reply_parts import Reasoning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


SUCCESS, CANCELLED = Failure("0", ""), Failure("1", "Stream cancelled by user")
_PARTS = (
    *("answer", "thinking", "tool_request", "tool_response"),
    *("error", "message_start", "message_end"),
)


def dump_frame(frame: Mapping[str, Any]) -> str:
    """Return a frame as JSON; values of other types become their `str`."""
    return json.dumps(frame, ensure_ascii=False, default=_to_plain)


def _to_plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump()
    return vars(value) if hasattr(value, "__dict__") else str(value)


class FrameWriter:
    """Builds and numbers the frames of one turn.

    Args:
        body: The request; its `session_id` and `local_msg_id` are repeated in each frame.
        run_id: The id of the run.
        log_id: The log id of the request.
    """

    def __init__(self, body: Mapping[str, Any], run_id: str, log_id: str) -> None:
        """Start before the first frame."""
        self._session_id = body.get("session_id", "")
        self._local_id = body.get("local_msg_id", "")
        self._run_id, self._log_id = run_id, log_id
        self._reply_id = str(uuid.uuid4())
        self._count = 0
        self._ids: dict[tuple[str, Any], str] = {}

    def write(
        self, kind: str, part: Any, key: Any = None, *, finish: bool = True
    ) -> dict[str, Any]:
        """Return the next frame.

        Args:
            kind: The type of the frame.
            part: The content.
            key: Frames with the same key have the same `msg_id`; without one, each frame gets a new
                id.
            finish: Whether this frame ends its message.
        """
        self._count += 1
        new_id = str(uuid.uuid4())
        return {
            "type": kind,
            "session_id": self._session_id,
            "query_msg_id": self._local_id,
            "reply_id": self._reply_id,
            "msg_id": self._ids.setdefault((kind, key or new_id), new_id),
            "sequence_id": self._count,
            "finish": finish,
            "content": dict.fromkeys(_PARTS) | {kind: part},
            "log_id": self._log_id,
        }

    def write_start(self) -> dict[str, Any]:
        """Return the first frame."""
        ids = {"local_msg_id": self._local_id, "msg_id": self._local_id}
        return self.write("message_start", {**ids, "execute_id": self._run_id})

    def write_end(self, end: Failure, seconds: float) -> dict[str, Any]:
        """Return the last frame; for a cancelled run it has no reply id."""
        cost = dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), 0)
        part = {"code": end.code, "message": end.message, "token_cost": cost}
        frame = self.write("message_end", part | {"time_cost_ms": int(seconds * 1000)})
        return frame | {"reply_id": "", "sequence_id": 1} if end == CANCELLED else frame

    def write_error(self, failure: Failure) -> dict[str, Any]:
        """Return the only frame of a turn that did not start."""
        part = {"local_msg_id": self._local_id, "code": failure.code}
        frame = self.write("error", part | {"error_msg": failure.message})
        return frame | {"reply_id": "", "msg_id": ""}


class MessageReader:
    """Converts the stream of a graph to frames.

    Tool calls are written once their arguments are complete. From a node named `tools`, only the
    results of tools are written.

    Args:
        writer: Writes the frames.
    """

    def __init__(self, writer: FrameWriter) -> None:
        """Start before the first message."""
        self._writer = writer
        self._calling: AIMessageChunk | None = None
        self._calling_ids: set[str | None] = set()
        self._finished_ids: set[str | None] = set()
        self._is_thinking = False

    def read(self, message: Any, metadata: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Return the frames of one message or chunk."""
        if isinstance(message, Reasoning):
            self._is_thinking = True
            yield self._writer.write("thinking", message.text, "thinking", finish=False)
            return
        if self._is_thinking:
            self._is_thinking = False
            yield self._writer.write("thinking", "", "thinking")
        if isinstance(message, ToolMessage):
            yield from self._flush_calls()
            yield self._write_result(message)
        elif metadata.get("langgraph_node") == "tools":
            return
        elif isinstance(message, AIMessageChunk):
            yield from self._read_chunk(message)
        elif isinstance(message, AIMessage):
            if message.content:
                yield self._writer.write("answer", message.content, message.id)
            yield from self._write_calls(message)

    def _read_chunk(self, chunk: AIMessageChunk) -> Iterator[dict[str, Any]]:
        if chunk.tool_call_chunks:
            self._calling = chunk if self._calling is None else self._calling + chunk
            self._calling_ids.add(chunk.id)
        else:
            yield from self._flush_calls()
        finish = chunk.chunk_position == "last" or bool(
            chunk.response_metadata.get("finish_reason")
        )
        is_end = finish and chunk.id not in self._calling_ids | self._finished_ids
        if chunk.content or is_end:
            text = chunk.content if isinstance(chunk.content, str) else str(chunk.content)
            yield self._writer.write("answer", text, chunk.id, finish=finish)
        if finish:
            self._finished_ids.add(chunk.id)

    def _flush_calls(self) -> Iterator[dict[str, Any]]:
        calling, self._calling = self._calling, None
        if calling is not None:
            yield from self._write_calls(calling)

    def _write_calls(self, message: AIMessage) -> Iterator[dict[str, Any]]:
        for call in [*message.tool_calls, *message.invalid_tool_calls]:
            name, args = call["name"] or "", call["args"]
            # Arguments are wrapped once more; arguments that are not a JSON object are lost.
            parameters = {name: args if isinstance(args, dict) else {}}
            ids = {"tool_call_id": call["id"] or "", "tool_name": name}
            yield self._writer.write("tool_request", {**ids, "parameters": parameters}, call["id"])

    def _write_result(self, message: ToolMessage) -> dict[str, Any]:
        result = {
            "tool_call_id": message.tool_call_id,
            "code": "0",
            "message": "",
            "result": str(message.content),
            "time_cost_ms": None,
        }
        return self._writer.write("tool_response", result, message.tool_call_id)
