"""What a tool call needs of LangGraph that has no public API.

A `ToolNode` runs tools without telling LangGraph which call runs where. A graph inside of a tool
would therefore get its checkpoint namespace by the order in which calls happen to start, and the
first call that interrupts would leave its siblings running. Both are put right here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphInterrupt

from langchain_coze import _runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_core.runnables import RunnableConfig

# Private keys of LangGraph, all of them guarded: tests/integration_tests/test_workflow_graphs.py
# fails loudly when they change.
_TASK = "__pregel_task_id"
_SCRATCHPAD = "__pregel_scratchpad"
_CHECKPOINTER = "__pregel_checkpointer"
_CHECKPOINT_NS = "checkpoint_ns"
_MAX_GROUPS = 256  # tasks that are remembered as over


def build_child_config(
    config: RunnableConfig | None, tool_call_id: str | None, *, name: str
) -> RunnableConfig | None:
    """Return the config for the graph of one tool call, or None where nobody can be asked.

    That is outside of LangGraph, and in a graph without a checkpointer, which can never go on.

    Args:
        config: The config of the tool.
        tool_call_id: The call; the namespace of its graph is named after it.
        name: The name of the graph.
    """
    configurable = dict((config or {}).get("configurable") or {})
    if _TASK not in configurable or not configurable.get(_CHECKPOINTER):
        return None
    if tool_call_id:
        safe = "".join("_" if char in ":|" else char for char in tool_call_id)
        configurable[_CHECKPOINT_NS] = f"{configurable.get(_CHECKPOINT_NS, '')}|{name}:{safe}"
        scratchpad: Any = configurable.get(_SCRATCHPAD)
        if dataclasses.is_dataclass(scratchpad) and hasattr(scratchpad, "subgraph_counter"):
            changes: Any = {
                "subgraph_counter": _return_zero
            }  # else a number is added to the namespace
            configurable[_SCRATCHPAD] = dataclasses.replace(scratchpad, **changes)  # type: ignore[type-var] # an instance
    return {**(config or {}), "configurable": configurable}


def _return_zero() -> int:
    return 0


class _SiblingCalls:
    """The calls of one attempt of a task.

    Attributes:
        calls: An event for each, set when it has come to rest.
        interrupted: Whether one of them has interrupted: the attempt is over.
    """

    def __init__(self) -> None:
        self.calls: list[asyncio.Event] = []
        self.interrupted = False


async def wait_for_sibling_calls(
    config: RunnableConfig, call: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Await one of several tool calls of a task; none interrupts before all have come to rest.

    A `ToolNode` awaits its calls together. The first that interrupts would leave the others behind
    as orphans, which go on to use up the questions of their runs, and nobody keeps the answers. One
    that begins only then, because callbacks took long, does nothing: it will be called again.

    Args:
        config: The config of the tool.
        call: The call.
    """
    scratchpad = config["configurable"].get(_SCRATCHPAD)
    attempt = getattr(scratchpad, "subgraph_counter", None)  # each attempt has one of its own
    key = config["configurable"][_TASK] if attempt is None else attempt
    group, finished = _runtime.sibling_calls.setdefault(key, _SiblingCalls()), asyncio.Event()
    if group.interrupted:
        raise GraphInterrupt
    group.calls.append(finished)
    try:
        await asyncio.sleep(0)  # until the others are there
        return await call()
    except GraphInterrupt:
        finished.set()
        await asyncio.gather(*(event.wait() for event in list(group.calls)))
        group.interrupted = attempt is not None
        raise
    finally:
        finished.set()
        if not group.interrupted and all(event.is_set() for event in group.calls):
            _runtime.sibling_calls.pop(key, None)
        _drop_old_groups()


def _drop_old_groups() -> None:
    """Forget the oldest attempts that are over: nothing can be so late."""
    for key, group in list(_runtime.sibling_calls.items())[:-_MAX_GROUPS]:
        if group.interrupted:
            _runtime.sibling_calls.pop(key, None)
