"""What a workflow says on its way, told to whoever listens: LangGraph's streams and callbacks.

LangGraph has two channels for it (`stream_mode="custom"` and `"tools"`), LangChain one (custom
events). They are picked up in the tool itself, outside of the graph that runs the workflow: from
inside, what is told would be filed under that graph, and mostly lost.
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
"""The name of the custom event, and the `type` of what LangGraph's custom stream gets."""


class ProgressReporter:
    """Tells the messages of one run.

    Args:
        workflow_id: The workflow.
        tool_call_id: The call that runs it, or None.
    """

    def __init__(self, workflow_id: str, tool_call_id: str | None) -> None:
        """Find out who listens."""
        self._event_base = {
            "type": EVENT_NAME,
            "tool_call_id": tool_call_id,
            "workflow_id": workflow_id,
        }
        self._config = ensure_config()
        self._context = contextvars.copy_context()
        self._write_custom, self._emit_delta = _find_writers(tool_call_id)

    def emit(self, message: Mapping[str, Any]) -> None:
        """Tell a message.

        Args:
            message: A Message event, as Coze sent it.
        """
        event = self._write_event(message)
        if self._has_handlers:
            dispatch_custom_event(EVENT_NAME, event, config=self._config)

    async def aemit(self, message: Mapping[str, Any]) -> None:
        """Do what `emit` does, for asyncio."""
        event = self._write_event(message)
        if self._has_handlers:
            await adispatch_custom_event(EVENT_NAME, event, config=self._config)

    def _write_event(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Tell LangGraph, and return what is told."""
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

    @property
    def _has_handlers(self) -> bool:
        manager: Any = self._config.get("callbacks")
        if manager is None or getattr(manager, "parent_run_id", None) is None:
            return False  # custom events belong to a run
        return bool(manager.handlers or manager.inheritable_handlers)


def _find_writers(tool_call_id: str | None) -> tuple[Any, Any]:
    """Return LangGraph's writer, and what emits deltas of a tool's output; None outside of it."""
    if "langgraph" not in sys.modules:
        return None, None  # nobody can be listening, and importing it takes a while
    from langgraph.config import get_stream_writer  # noqa: PLC0415 - see above

    try:
        writer = get_stream_writer()
    except (RuntimeError, KeyError):  # not inside of a graph
        return None, None
    if tool_call_id is None:
        return writer, None
    from langgraph.prebuilt import ToolRuntime  # noqa: PLC0415 - see above

    runtime: Any = ToolRuntime(
        state=None,
        context=None,
        config={},
        stream_writer=writer,
        tool_call_id=tool_call_id,
        store=None,
    )
    return writer, getattr(runtime, "emit_output_delta", None)
