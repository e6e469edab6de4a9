"""Access to private keys of LangGraph, for nested graphs of concurrent tool calls."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langgraph.errors import GraphInterrupt

from langchain_coze import _runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain_core.runnables import RunnableConfig

T = TypeVar("T")

# Private keys of LangGraph. tests/integration_tests/test_workflow_graphs.py fails if one changes.
_TASK = "__pregel_task_id"
_SCRATCHPAD = "__pregel_scratchpad"
_CHECKPOINTER = "__pregel_checkpointer"
_CHECKPOINT_NS = "checkpoint_ns"
_CHECKPOINT_MAP = "checkpoint_map"
_DURABILITY = "__pregel_durability"
GRAPH_NAME = "coze_workflow"
"""The name of a tool call's nested graph in its checkpoint namespace."""

_MAX_ATTEMPTS = 256  # attempts to remember
_SAVE_PAUSES = (*(0.001 * 2**n for n in range(8)), *[0.25] * 7)  # seconds between look-ups: 2 s


def build_child_config(
    config: RunnableConfig | None, tool_call_id: str | None
) -> RunnableConfig | None:
    """Return the config for the nested graph of a tool call.

    The id of the call is added to the checkpoint namespace, which otherwise would depend on the
    order in which calls start. Returns None if the call cannot interrupt: outside LangGraph, or
    without a checkpointer.
    """
    config = config or {}
    configurable = dict(config.get("configurable") or {})
    if _TASK not in configurable or not configurable.get(_CHECKPOINTER):
        return None
    if tool_call_id:
        safe = "".join("_" if char in ":|" else char for char in tool_call_id)
        configurable[_CHECKPOINT_NS] = f"{configurable.get(_CHECKPOINT_NS, '')}|{GRAPH_NAME}:{safe}"
        scratchpad: Any = configurable.get(_SCRATCHPAD)
        if dataclasses.is_dataclass(scratchpad) and hasattr(scratchpad, "subgraph_counter"):
            # LangGraph appends the counter to the namespace unless it is 0, and `int()` is 0
            changed = dataclasses.replace(cast("Any", scratchpad), subgraph_counter=int)
            configurable[_SCRATCHPAD] = changed
    return {**config, "configurable": configurable}


def wait_until_saved(config: RunnableConfig) -> None:
    """Wait until the checkpoints before a step, including its parents', are stored.

    With durability "async", LangGraph stores them during the step. If the process dies before that,
    the thread continues from an earlier step. With "sync" they are already stored, with "exit" only
    at the end. The wait ends after 2 s, because a parent graph may have no checkpoints.
    """
    saver, lookups = _list_checkpoints(config)
    for lookup in lookups:
        for pause in _SAVE_PAUSES:
            if saver.get_tuple(lookup) is not None:
                break
            time.sleep(pause)


async def await_until_saved(config: RunnableConfig) -> None:
    """Async version of `wait_until_saved`."""
    saver, lookups = _list_checkpoints(config)
    for lookup in lookups:
        for pause in _SAVE_PAUSES:
            if await saver.aget_tuple(lookup) is not None:
                break
            await asyncio.sleep(pause)


def _list_checkpoints(config: RunnableConfig) -> tuple[Any, list[RunnableConfig]]:
    """Return the checkpointer, and the checkpoints that it may still be storing."""
    configurable = config.get("configurable") or {}
    saver: Any = configurable.get(_CHECKPOINTER)
    if not saver or configurable.get(_DURABILITY, "async") != "async":
        return None, []
    checkpoints = configurable.get(_CHECKPOINT_MAP) or {}
    thread_id = configurable.get("thread_id")
    return saver, [
        {"configurable": {"thread_id": thread_id, _CHECKPOINT_NS: ns, "checkpoint_id": id_}}
        for ns, id_ in checkpoints.items()
    ]


@dataclasses.dataclass(kw_only=True)
class _SiblingCalls:
    """The tool calls of one attempt of a task, with an event for the end of each call."""

    calls: list[asyncio.Event] = dataclasses.field(default_factory=list)
    interrupted: bool = False


async def call_with_siblings(config: RunnableConfig, call: Callable[[], Awaitable[T]]) -> T:
    """Await a tool call; delay its interrupt until all calls of the task finish or interrupt.

    Otherwise the first interrupt would orphan the other calls: they would consume the questions of
    their runs, and their results would be lost. A call that starts after the interrupt, because of
    slow callbacks, does nothing: it will be repeated.
    """
    scratchpad = config["configurable"].get(_SCRATCHPAD)
    attempt = getattr(scratchpad, "subgraph_counter", None)  # a new object for each attempt
    key = config["configurable"][_TASK] if attempt is None else attempt
    group, finished = _runtime.sibling_calls.setdefault(key, _SiblingCalls()), asyncio.Event()
    if group.interrupted:
        raise GraphInterrupt
    group.calls.append(finished)
    try:
        await asyncio.sleep(0)  # let the sibling calls register
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
        for old, calls in list(_runtime.sibling_calls.items())[:-_MAX_ATTEMPTS]:
            if calls.interrupted:  # its calls have already started
                _runtime.sibling_calls.pop(old, None)
