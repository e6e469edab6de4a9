"""A workflow as a graph of LangGraph, so that its questions are LangGraph's interrupts.

On `Command(resume=…)` LangGraph runs a whole node again, and with it a whole tool. So that a run is
started once for one call, the tool runs a small graph of its own: start, then ask and resume as
often as the workflow asks. Its state is kept with the checkpoints of the graph around it, under the
id of the tool call.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import set_config_context
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from langchain_coze._workflows.engine import prepare_answer
from langchain_coze._workflows.run import WorkflowRun
from langchain_coze.errors import CozeError, CozeWorkflowError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Checkpointer

    from langchain_coze._workflows.engine import RunState, WorkflowEngine

# Private keys of LangGraph, all of them guarded: tests/integration_tests/test_workflow_graphs.py
# fails loudly when they change.
_TASK = "__pregel_task_id"
_SCRATCHPAD = "__pregel_scratchpad"
_CHECKPOINTER = "__pregel_checkpointer"
_CHECKPOINT_NS = "checkpoint_ns"
_NAME = "coze_workflow"
_ERROR_FIELDS = ("message", "code", "status_code", "logid", "debug_url", "hint")
_MAX_GROUPS = 256  # tasks of which is known that their calls have left


class WorkflowInput(TypedDict, total=False):
    """What the graph of a workflow takes: values of its start node."""

    parameters: dict[str, Any]


class WorkflowOutput(TypedDict, total=False):
    """What the graph of a workflow gives: what it put out, and its `WorkflowRun` as a dict."""

    output: Any
    run: dict[str, Any]


class _OutputWithFailure(WorkflowOutput, total=False):
    failure: dict[str, Any] | None


class WorkflowState(WorkflowInput, _OutputWithFailure, total=False):
    """The state of a workflow's graph; plain data, so that every checkpointer can keep it."""

    pending: dict[str, Any] | None
    answer: Any


def build_workflow_graph(
    engine: WorkflowEngine,
    *,
    name: str = _NAME,
    checkpointer: Checkpointer = None,
    read_parameters: Callable[[], Mapping[str, Any]] | None = None,
    keep_failures: bool = False,
    make_reporter: Callable[[], Any],
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the graph of one workflow.

    Args:
        engine: What runs it.
        name: The name of the graph.
        checkpointer: Where its threads are kept, when it stands alone.
        read_parameters: Returns the parameters of this one run (blocking); None: the state has
            them. Called once: files may be gone when a question is answered.
        keep_failures: Whether a run that fails at once is an end of the graph, which `read_run`
            raises, so that it is not started again when a sibling is resumed. One that fails after
            an answer always is where `given` is: no answer can be given twice.
        make_reporter: Makes who is told what it says, for each leg.
    """
    nodes = _Nodes(engine, read_parameters, make_reporter, keep_failures=keep_failures)
    output = WorkflowOutput if read_parameters is None else _OutputWithFailure
    graph = StateGraph(WorkflowState, input_schema=WorkflowInput, output_schema=output)
    graph.add_node("start", RunnableLambda(nodes.start, nodes.astart, name="start"))
    graph.add_node("ask", _ask_user)
    graph.add_node("resume", RunnableLambda(nodes.resume, nodes.aresume, name="resume"))
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", _route, ["ask", END])
    graph.add_edge("ask", "resume")
    graph.add_conditional_edges("resume", _route, ["ask", END])
    return graph.compile(name=name, checkpointer=checkpointer)


class _Nodes:
    """The nodes that talk to Coze."""

    def __init__(
        self,
        engine: WorkflowEngine,
        read_parameters: Callable[[], Mapping[str, Any]] | None,
        make_reporter: Callable[[], Any],
        *,
        keep_failures: bool,
    ) -> None:
        self._engine, self._make_reporter = engine, make_reporter
        self._read_given_parameters = read_parameters
        self._keep_first = read_parameters is not None and keep_failures
        self._keep_later = read_parameters is not None

    def start(self, state: WorkflowState) -> WorkflowState:
        parameters = self._read_parameters(state)
        with _FailureRecorder(keep=self._keep_first) as failure:
            return _to_state(self._engine.start(parameters, self._make_reporter()))
        return failure.state

    async def astart(self, state: WorkflowState) -> WorkflowState:
        # a thread: files may have to be read
        parameters = await asyncio.to_thread(self._read_parameters, state)
        with _FailureRecorder(keep=self._keep_first) as failure:
            return _to_state(await self._engine.astart(parameters, self._make_reporter()))
        return failure.state

    def _read_parameters(self, state: WorkflowState) -> Mapping[str, Any]:
        if self._read_given_parameters is not None:
            return self._read_given_parameters()
        return self._engine.prepare_inputs(state.get("parameters") or {}, source="network")

    def resume(self, state: WorkflowState) -> WorkflowState:
        with _FailureRecorder(keep=self._keep_later) as failure:
            return _to_state(
                self._engine.resume(*_get_resume_arguments(state), self._make_reporter())
            )
        return failure.state

    async def aresume(self, state: WorkflowState) -> WorkflowState:
        with _FailureRecorder(keep=self._keep_later) as failure:
            return _to_state(
                await self._engine.aresume(*_get_resume_arguments(state), self._make_reporter())
            )
        return failure.state


class _FailureRecorder:
    """Turns the failure of a run into a state, as plain data, where it is to be kept."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self.state: WorkflowState = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not (self._keep and isinstance(error, CozeWorkflowError)):
            return False
        failure = {name: getattr(error, name) for name in _ERROR_FIELDS}
        if error.response is not None:
            status, headers, text = error.response
            failure["response"] = [status, dict(headers), text]
        self.state = {"failure": failure, "pending": None}
        return True


def _get_resume_arguments(state: WorkflowState) -> tuple[dict[str, Any], Any, list[Any]]:
    """Return what was asked, the answer, and the messages of the run so far."""
    return state["pending"] or {}, state["answer"], state["run"].get("messages") or []


def _to_state(run_state: RunState) -> WorkflowState:
    run = run_state.run.model_dump()
    return {"run": run, "pending": run_state.pending, "output": run["output"]}


def _route(state: WorkflowState) -> str:
    return "ask" if state.get("pending") else END


def _ask_user(state: WorkflowState, config: RunnableConfig) -> WorkflowState:
    # Python 3.10 style of passing the config: elsewhere the context variable may be another task's
    with set_config_context(config) as context:
        return context.run(_interrupt_until_valid, state["pending"] or {})


def _interrupt_until_valid(pending: dict[str, Any]) -> WorkflowState:
    """Ask LangGraph's user; what names another question, or cannot be sent, is never sent."""
    while True:
        answer = interrupt(pending)
        if isinstance(answer, dict) and answer.keys() >= {"event_id", "answer"}:
            if answer["event_id"] != pending["event_id"]:
                continue
            answer = answer["answer"]
        try:
            prepare_answer(pending, answer, source="network")
        except CozeError as error:  # it is asked for again, and told why
            pending = {**pending, "error": error.message}
            continue
        return {"answer": answer}


# --- Inside of a tool call ------------------------------------------------------------------------


def build_child_config(
    config: RunnableConfig | None, tool_call_id: str | None
) -> RunnableConfig | None:
    """Return the config for the graph of one tool call, or None where nobody can be asked.

    That is outside of LangGraph, and in a graph without a checkpointer, which can never go on.

    Args:
        config: The config of the tool.
        tool_call_id: The call; its graph is kept under it, and not in the order of the calls.
    """
    configurable = dict((config or {}).get("configurable") or {})
    if _TASK not in configurable or not configurable.get(_CHECKPOINTER):
        return None
    if tool_call_id:
        safe = "".join("_" if char in ":|" else char for char in tool_call_id)
        configurable[_CHECKPOINT_NS] = f"{configurable.get(_CHECKPOINT_NS, '')}|{_NAME}:{safe}"
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


_sibling_calls: dict[Any, _SiblingCalls] = {}


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
    group, finished = _sibling_calls.setdefault(key, _SiblingCalls()), asyncio.Event()
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
            _sibling_calls.pop(key, None)
        _drop_old_groups()


def _drop_old_groups() -> None:
    """Forget the oldest attempts that are over: nothing can be so late."""
    for key, group in list(_sibling_calls.items())[:-_MAX_GROUPS]:
        if group.interrupted:
            _sibling_calls.pop(key, None)


def make_serializable(values: Any) -> Any:
    """Return parameters as checkpoints and traces can show them.

    Args:
        values: Plain data, paths, and bytes.
    """
    if isinstance(values, Mapping):
        return {str(key): make_serializable(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [make_serializable(value) for value in values]
    if isinstance(values, (bytes, bytearray)):
        return f"<{len(values)} bytes>"
    return str(values) if isinstance(values, PurePath) else values


def read_run(state: Mapping[str, Any]) -> WorkflowRun:
    """Return the run that the state of a graph holds.

    Args:
        state: The output of the graph.

    Raises:
        CozeWorkflowError: The run has failed.
    """
    failure = state.get("failure")
    if failure:
        response = failure.get("response")
        fields = {**failure, "response": ErrorResponse(*response) if response else None}
        raise CozeWorkflowError(**fields)
    return WorkflowRun.model_validate(state["run"])
