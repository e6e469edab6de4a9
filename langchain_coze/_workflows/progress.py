"""Progress of a workflow run, reported to LangGraph's streams and LangChain's callbacks.

LangGraph has two channels (`stream_mode="custom"` and `"tools"`), LangChain has one (custom
events). Create the reporter in the tool itself, outside the nested graph that runs the workflow:
events from inside would be attributed to that graph, and most would be lost.
"""

from __future__ import annotations

import contextvars
import sys
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables import ensure_config

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_NAME = "coze_workflow_message"
"""The name of the custom event, and the `type` of an item in LangGraph's custom stream."""


class ProgressReporter:
    """Reports the messages of one run."""

    def __init__(self, workflow_id: str, tool_call_id: str | None) -> None:
        """Capture the current config, context and LangGraph writers."""
        ids = {"tool_call_id": tool_call_id, "workflow_id": workflow_id}
        self._event_base = {"type": EVENT_NAME, **ids}
        self._config = ensure_config()
        self._context = contextvars.copy_context()
        self._write_custom, self._emit_delta = _find_writers(tool_call_id)
        manager: Any = self._config.get("callbacks")
        has_parent = getattr(manager, "parent_run_id", None) is not None  # events require one
        self._has_handlers = has_parent and (manager.handlers or manager.inheritable_handlers)

    def emit(self, message: Mapping[str, Any]) -> None:
        """Report the unparsed data of a `Message` event."""
        event = self._write_event(message)
        if self._has_handlers:
            dispatch_custom_event(EVENT_NAME, event, config=self._config)

    async def aemit(self, message: Mapping[str, Any]) -> None:
        """Async version of `emit`."""
        event = self._write_event(message)
        if self._has_handlers:
            await adispatch_custom_event(EVENT_NAME, event, config=self._config)

    def _write_event(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Write a message to LangGraph's streams; return the custom event."""
        content = message.get("content")
        event = {
            **self._event_base,
            "node": message.get("node_title") or "",
            "content": content if isinstance(content, str) else "",
            "is_finish": bool(message.get("node_is_finish")),
        }
        if self._write_custom is not None:
            self._context.run(self._write_custom, event)
        if self._emit_delta is not None and event["content"]:
            self._context.run(self._emit_delta, event["content"])
        return event


def _find_writers(tool_call_id: str | None) -> tuple[Any, Any]:
    """Return LangGraph's stream writer and emitter of tool output deltas; None outside a graph."""
    if "langgraph" not in sys.modules:
        return None, None  # no graph can be running, and importing langgraph is slow
    from langgraph.config import get_stream_writer  # noqa: PLC0415 - only where it is in use

    try:
        writer = get_stream_writer()
    except (RuntimeError, KeyError):  # not in a graph
        return None, None
    if tool_call_id is None:
        return writer, None
    from langgraph.prebuilt import ToolRuntime  # noqa: PLC0415 - only where it is in use

    unused: Any = {"state": None, "context": None, "config": {}, "store": None}
    runtime: Any = ToolRuntime(stream_writer=writer, tool_call_id=tool_call_id, **unused)
    return writer, getattr(runtime, "emit_output_delta", None)
