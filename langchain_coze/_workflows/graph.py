"""A workflow as a LangGraph graph, so that its questions are LangGraph interrupts.

On `Command(resume=…)` LangGraph reruns the whole interrupted node, and with it the whole tool. To
start a run only once per call, the tool runs a small nested graph: start and send, then ask and
send for each question. Its state is stored with the checkpoints of the outer graph, under the id of
the tool call. The nodes `start` and `ask` announce the request that the next node sends, so that a
checkpoint records it in case the process dies; see `attempts`.
"""

from __future__ import annotations

import dataclasses
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import set_config_context
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from langchain_coze._workflows.attempts import Attempts, check_settled
from langchain_coze._workflows.engine import prepare_answer
from langchain_coze._workflows.file_parameters import map_files
from langchain_coze._workflows.langgraph_internals import (
    GRAPH_NAME,
    await_until_saved,
    call_with_siblings,
    wait_until_saved,
)
from langchain_coze._workflows.workflow_run import (
    OutputWithFailure,
    WorkflowInput,
    WorkflowOutput,
    WorkflowState,
)
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Checkpointer, Durability

    from langchain_coze._workflows.engine import PreparedRun, WorkflowEngine
    from langchain_coze._workflows.file_parameters import InputSource

_DURABILITY: Durability = "sync"  # of the nested graph; the outer one may differ


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkflowNodes:
    """The nodes of the graph of one workflow.

    Attributes:
        make_engine: Returns the engine for a start or resume.
        values: The parameters of a tool call, used only at its start; None uses those in the state.
        source: Where the parameters come from.
        keep_failures: Whether the graph ends with the failure in its state, which `read_run`
            raises, if a run of a tool call fails before any answer. The run is then not repeated
            when a sibling call is resumed. After an answer, which cannot be sent twice, this is
            always done.
    """

    make_engine: Callable[[], WorkflowEngine]
    values: Mapping[str, Any] | None = None
    source: InputSource = "network"
    keep_failures: bool = False
    attempts: Attempts = dataclasses.field(default_factory=Attempts)

    def start(self, state: WorkflowState) -> WorkflowState:
        if self.values is not None:  # a tool call, which may be run again
            check_settled(state)
        return {"attempt": self._announce(), "pending": None}

    def ask(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        # `interrupt` reads the config from a context variable, which may hold another task's: set
        with set_config_context(config) as context:
            answer = context.run(_interrupt_until_valid, state["pending"] or {})
        return {"answer": answer, "attempt": self._announce()}

    def report(self, state: WorkflowState) -> WorkflowState:
        """Raise the error of a failed attempt; if run again, announce a new attempt."""
        self.attempts.raise_error(state)
        return {"attempt": self._announce()}

    def _announce(self) -> dict[str, Any]:
        engine = self.make_engine()
        return self.attempts.announce(engine.workflow_id, engine.tool_call_id)

    def send(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        """Start the run, or answer its pending question."""
        wait_until_saved(config)
        with self.attempts.send(state, keep_failure=self._keeps_failure(state)) as update:
            update.update(self._prepare_run(state).run())
        return update

    async def asend(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        await await_until_saved(config)
        with self.attempts.send(state, keep_failure=self._keeps_failure(state)) as update:
            update.update(await self._prepare_run(state).arun())
        return update

    def _keeps_failure(self, state: WorkflowState) -> bool:
        is_answer = bool(state.get("pending"))
        return self.values is not None and (self.keep_failures or is_answer)

    def _prepare_run(self, state: WorkflowState) -> PreparedRun:
        pending, engine = state.get("pending"), self.make_engine()
        if pending:
            return engine.resume(state["run"], pending, state["answer"], "network")
        values = self.values if self.values is not None else state.get("parameters") or {}
        return engine.start(values, self.source)


def build_workflow_graph(
    nodes: WorkflowNodes, *, name: str = GRAPH_NAME, checkpointer: Checkpointer = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the graph of one workflow; `checkpointer` stores its threads if stand-alone."""
    output = WorkflowOutput if nodes.values is None else OutputWithFailure
    graph = StateGraph(WorkflowState, input_schema=WorkflowInput, output_schema=output)
    graph.add_node("start", nodes.start)
    graph.add_node("send", RunnableLambda(nodes.send, nodes.asend, name="send"))
    graph.add_node("ask", nodes.ask)
    graph.add_node("report", nodes.report)
    graph.add_edge(START, "start")
    for announcer in ("start", "ask", "report"):
        graph.add_edge(announcer, "send")
    graph.add_conditional_edges("send", _route, ["ask", "report", END])
    return graph.compile(name=name, checkpointer=checkpointer)


def _route(state: WorkflowState) -> str:
    if state.get("attempt"):
        return "report"
    return "ask" if state.get("pending") else END


def _interrupt_until_valid(pending: dict[str, Any]) -> Any:
    """Interrupt until there is a valid answer to this question; return it."""
    while True:
        answer = interrupt(pending)
        if isinstance(answer, dict) and answer.keys() >= {"event_id", "answer"}:
            if answer["event_id"] != pending["event_id"]:
                continue
            answer = answer["answer"]
        try:
            prepare_answer(pending, answer, "network")
        except CozeError as error:  # ask again, and include the reason
            pending = {**pending, "error": error.message}
            continue
        return answer


# --- Inside a tool call --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class NestedRun:
    """The graph of one tool call, nested in the graph that runs the tool."""

    nodes: WorkflowNodes
    config: RunnableConfig
    child_config: RunnableConfig

    def run(self) -> Mapping[str, Any]:
        """Run the graph until the workflow ends; return the output for `read_run`."""
        wait_until_saved(self.config)
        graph = build_workflow_graph(self.nodes)
        return graph.invoke(self._input, self.child_config, durability=_DURABILITY)

    async def arun(self) -> Mapping[str, Any]:
        """Async version of `run`; waits for the other calls of its task before an interrupt."""

        async def run() -> Mapping[str, Any]:
            await await_until_saved(self.config)
            graph = build_workflow_graph(self.nodes)
            return await graph.ainvoke(self._input, self.child_config, durability=_DURABILITY)

        return await call_with_siblings(self.config, run)

    @property
    def _input(self) -> Any:
        """The input, which shows the parameters in checkpoints and traces."""

        def describe(file: Any) -> str:
            return str(file) if isinstance(file, PurePath) else f"<{len(file)} bytes>"

        return {"parameters": map_files({}, self.nodes.values, describe)}
