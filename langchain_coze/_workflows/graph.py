"""A workflow as a LangGraph graph, so that its questions are LangGraph interrupts.

On `Command(resume=…)` LangGraph reruns the whole interrupted node, and so the whole tool. To start
a run only once per call, the tool runs a small nested graph: start and send, then ask and send for
each question. Its state is kept with the checkpoints of the outer graph, under the id of the tool
call. The nodes `start` and `ask` announce the request that the next node sends, so that a
checkpoint shows it if the process dies meanwhile; see `attempts`.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import set_config_context
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from langchain_coze._workflows.attempts import Attempts, check_settled
from langchain_coze._workflows.engine import prepare_answer
from langchain_coze._workflows.langgraph_internals import (
    GRAPH_NAME,
    await_until_saved,
    call_with_siblings,
    wait_until_saved,
)
from langchain_coze._workflows.plain_data import make_serializable
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

    from langchain_coze._api.effects import Flow
    from langchain_coze._workflows.engine import WorkflowEngine
    from langchain_coze._workflows.file_parameters import InputSource

_DURABILITY: Durability = "sync"  # of the nested graph, whatever that of the outer one


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkflowNodes:
    """The nodes of the graph of one workflow.

    Attributes:
        make_engine: Returns the engine of each start and resume.
        values: The parameters of a tool call; None takes them from the state. They are prepared
            only once: files may be gone when a question is answered.
        source: Where the parameters come from.
        keep_failures: Whether a run of a tool call that fails before any answer ends the graph with
            the failure in its state, which `read_run` raises. So it does not start again when a
            sibling call is resumed. After an answer, which cannot be given twice, this is always
            so.
        attempts: The attempts of this graph.
    """

    make_engine: Callable[[], WorkflowEngine]
    values: Mapping[str, Any] | None = None
    source: InputSource = "network"
    keep_failures: bool = False
    attempts: Attempts = dataclasses.field(default_factory=Attempts)

    def start(self, state: WorkflowState) -> WorkflowState:
        if self.values is not None:  # a tool call, which may be a repetition
            check_settled(state)
        return {"attempt": self._announce(), "pending": None}

    def ask(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        # `interrupt` reads the config from a context variable, which may hold another task's: set
        with set_config_context(config) as context:
            answer = context.run(_interrupt_until_valid, state["pending"] or {})
        return {"answer": answer, "attempt": self._announce()}

    def report(self, state: WorkflowState) -> WorkflowState:
        """Raise the error of an attempt that is over; when run again, announce another one."""
        self.attempts.raise_error(state)
        return {"attempt": self._announce()}

    def _announce(self) -> dict[str, Any]:
        engine = self.make_engine()
        return self.attempts.announce(engine.workflow_id, engine.tool_call_id)

    def send(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        """Start the run, or answer its question if it is pending."""
        wait_until_saved(config)
        engine = self.make_engine()
        with self.attempts.send(state, keep_failure=self._keeps_failure(state)) as update:
            update.update(engine.run(partial(self._make_flow, engine, state)))
        return update

    async def asend(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        await await_until_saved(config)
        engine = self.make_engine()
        with self.attempts.send(state, keep_failure=self._keeps_failure(state)) as update:
            update.update(await engine.arun(partial(self._make_flow, engine, state)))
        return update

    def _keeps_failure(self, state: WorkflowState) -> bool:
        is_answer = bool(state.get("pending"))
        return self.values is not None and (self.keep_failures or is_answer)

    def _make_flow(self, engine: WorkflowEngine, state: WorkflowState) -> Flow[WorkflowState]:
        pending = state.get("pending")
        if pending:
            earlier_messages = state["run"].get("messages") or []
            return engine.resume(pending, state["answer"], earlier_messages, "network")
        values = self.values if self.values is not None else state.get("parameters") or {}
        return engine.start(values, self.source)


def build_workflow_graph(
    nodes: WorkflowNodes, *, name: str = GRAPH_NAME, checkpointer: Checkpointer = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Return the graph of one workflow; `checkpointer` stores the threads of a stand-alone one."""
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
    """Interrupt until the answer is meant for this question and can be sent; return it."""
    while True:
        answer = interrupt(pending)
        if isinstance(answer, dict) and answer.keys() >= {"event_id", "answer"}:
            if answer["event_id"] != pending["event_id"]:
                continue
            answer = answer["answer"]
        try:
            prepare_answer(pending, answer, "network")
        except CozeError as error:  # ask again, with the reason
            pending = {**pending, "error": error.message}
            continue
        return answer


# --- Inside a tool call --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class NestedRun:
    """The graph of one tool call, nested in the graph that runs the tool.

    Attributes:
        nodes: The nodes of the graph, with the parameters of the call.
        config: The config of the tool.
        child_config: The config of the nested graph; see `build_child_config`.
    """

    nodes: WorkflowNodes
    config: RunnableConfig
    child_config: RunnableConfig

    def run(self) -> Mapping[str, Any]:
        """Run the graph until the workflow ends; return its output, for `read_run`.

        Raises:
            GraphInterrupt: The workflow asks a question.
            CozeError: Any error that is not kept in the output.
        """
        wait_until_saved(self.config)
        graph, graph_input = self._build()
        return graph.invoke(graph_input, self.child_config, durability=_DURABILITY)

    async def arun(self) -> Mapping[str, Any]:
        """Async version of `run`; waits for the other calls of its task before an interrupt."""

        async def run() -> Mapping[str, Any]:
            await await_until_saved(self.config)
            graph, graph_input = self._build()
            return await graph.ainvoke(graph_input, self.child_config, durability=_DURABILITY)

        return await call_with_siblings(self.config, run)

    def _build(self) -> tuple[CompiledStateGraph[Any, Any, Any, Any], Any]:
        """Return the graph and its input, in which checkpoints and traces show the parameters."""
        return build_workflow_graph(self.nodes), {
            "parameters": make_serializable(self.nodes.values)
        }
