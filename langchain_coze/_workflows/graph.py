"""A workflow as a LangGraph graph, so that its questions are LangGraph interrupts.

On `Command(resume=…)` LangGraph reruns the whole interrupted node, and so the whole tool. To start
a run only once per call, the tool runs a small nested graph: start and run, then ask and resume for
each question. Its state is kept with the checkpoints of the outer graph, under the id of the tool
call. The nodes `start` and `ask` announce the request that the next node sends, so that a
checkpoint tells of it if the process dies meanwhile; see `attempts`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import set_config_context
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from langchain_coze._workflows.attempts import ANSWER, START_RUN, Attempts
from langchain_coze._workflows.engine import prepare_answer
from langchain_coze._workflows.graph_state import (
    OutputWithFailure,
    WorkflowInput,
    WorkflowOutput,
    WorkflowState,
)
from langchain_coze._workflows.langgraph_internals import (
    await_until_saved,
    build_child_config,
    call_with_siblings,
    wait_until_saved,
)
from langchain_coze._workflows.plain_data import make_serializable
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import CozeError, CozeWorkflowError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Checkpointer, Durability

    from langchain_coze._workflows.engine import RunState, WorkflowEngine

_NAME = "coze_workflow"
_DURABILITY: Durability = "sync"  # of the nested graph, whatever that of the outer one


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
        engine: The engine of the workflow.
        name: The name of the graph.
        checkpointer: Stores the threads of a stand-alone graph.
        read_parameters: Returns the parameters of a single run (blocks); None takes them from the
            state. Called only once: files may be gone when a question is answered.
        keep_failures: Whether a run that fails before any answer ends the graph with the failure
            in its state, which `read_run` raises. So it does not start again when a sibling call
            is resumed. After an answer this is always so if `read_parameters` is given, because
            an answer cannot be given twice.
        make_reporter: Returns the reporter for each start and resume; see `Notify`.
    """
    nodes = _Nodes(engine, read_parameters, make_reporter, keep_failures=keep_failures)
    output = WorkflowOutput if read_parameters is None else OutputWithFailure
    graph = StateGraph(WorkflowState, input_schema=WorkflowInput, output_schema=output)
    graph.add_node("start", nodes.announce_start)
    graph.add_node(START_RUN, RunnableLambda(nodes.start, nodes.astart, name=START_RUN))
    graph.add_node("ask", nodes.ask)
    graph.add_node(ANSWER, RunnableLambda(nodes.resume, nodes.aresume, name=ANSWER))
    graph.add_node("report", nodes.report)
    graph.add_edge(START, "start")
    graph.add_edge("start", START_RUN)
    graph.add_edge("ask", ANSWER)
    for sender in (START_RUN, ANSWER):
        graph.add_conditional_edges(sender, _route, ["ask", "report", END])
    graph.add_conditional_edges("report", _get_attempt_kind, [START_RUN, ANSWER])
    return graph.compile(name=name, checkpointer=checkpointer)


class _Nodes:
    """The nodes of the graph."""

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
        self._keep_start_failure = read_parameters is not None and keep_failures
        self._keep_resume_failure = read_parameters is not None
        self._attempts = Attempts()

    def announce_start(self, state: WorkflowState) -> WorkflowState:
        if self._read_given_parameters is not None:  # a tool call that is repeated
            self._attempts.check_settled(state)
        return {"attempt": self._announce(START_RUN), "pending": None}

    def _announce(self, kind: str) -> dict[str, Any]:
        options = self._engine.make_options()
        return self._attempts.announce(kind, options.workflow_id, options.tool_call_id)

    def start(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        wait_until_saved(config)
        with self._attempts.send(state, keep_failure=self._keep_start_failure) as attempt:
            parameters = self._read_parameters(state)
            return _to_state(self._engine.start(parameters, self._make_reporter()))
        return attempt.state

    async def astart(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        await await_until_saved(config)
        with self._attempts.send(state, keep_failure=self._keep_start_failure) as attempt:
            # in a thread, because it may read files
            parameters = await asyncio.to_thread(self._read_parameters, state)
            return _to_state(await self._engine.astart(parameters, self._make_reporter()))
        return attempt.state

    def _read_parameters(self, state: WorkflowState) -> Mapping[str, Any]:
        if self._read_given_parameters is not None:
            return self._read_given_parameters()
        return self._engine.prepare_inputs(state.get("parameters") or {}, source="network")

    def ask(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        # `interrupt` reads the config from a context variable, which may hold another task's: set
        with set_config_context(config) as context:
            answer = context.run(_interrupt_until_valid, state["pending"] or {})
        return {"answer": answer, "attempt": self._announce(ANSWER)}

    def resume(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        wait_until_saved(config)
        with self._attempts.send(state, keep_failure=self._keep_resume_failure) as attempt:
            return _to_state(
                self._engine.resume(*_get_resume_arguments(state), self._make_reporter())
            )
        return attempt.state

    async def aresume(self, state: WorkflowState, config: RunnableConfig) -> WorkflowState:
        await await_until_saved(config)
        with self._attempts.send(state, keep_failure=self._keep_resume_failure) as attempt:
            return _to_state(
                await self._engine.aresume(*_get_resume_arguments(state), self._make_reporter())
            )
        return attempt.state

    def report(self, state: WorkflowState) -> WorkflowState:
        """Raise the error of an attempt that is over; when run again, announce another one."""
        self._attempts.raise_failure(state)
        return {"attempt": self._announce(_get_attempt_kind(state))}


def _get_resume_arguments(state: WorkflowState) -> tuple[dict[str, Any], Any, list[Any]]:
    """Return the interrupt, the answer, and the messages of the run so far."""
    return state["pending"] or {}, state["answer"], state["run"].get("messages") or []


def _to_state(run_state: RunState) -> WorkflowState:
    run = run_state.run.model_dump()
    return {"run": run, "pending": run_state.pending, "output": run["output"], "attempt": None}


def _route(state: WorkflowState) -> str:
    if state.get("attempt"):
        return "report"
    return "ask" if state.get("pending") else END


def _get_attempt_kind(state: WorkflowState) -> str:
    return str((state["attempt"] or {})["kind"])


def _interrupt_until_valid(pending: dict[str, Any]) -> Any:
    """Interrupt until the answer is meant for this question and can be sent; return it."""
    while True:
        answer = interrupt(pending)
        if isinstance(answer, dict) and answer.keys() >= {"event_id", "answer"}:
            if answer["event_id"] != pending["event_id"]:
                continue
            answer = answer["answer"]
        try:
            prepare_answer(pending, answer, source="network")
        except CozeError as error:  # ask again, with the reason
            pending = {**pending, "error": error.message}
            continue
        return answer


# --- Inside a tool call --------------------------------------------------------------------------


class NestedRun:
    """The graph of one tool call, nested in the graph that runs the tool.

    Args:
        graph: The graph of the workflow.
        values: The parameters of the call, for checkpoints and traces.
        config: The config of the tool.
        child_config: The config of the nested graph; see `build_child_config`.
    """

    def __init__(
        self,
        graph: CompiledStateGraph[Any, Any, Any, Any],
        values: Mapping[str, Any],
        config: RunnableConfig,
        child_config: RunnableConfig,
    ) -> None:
        """Prepare the input; nothing runs yet."""
        self._graph = graph
        self._input: Any = {"parameters": make_serializable(values)}
        self._config = config
        self._child_config = child_config

    def run(self) -> WorkflowRun:
        """Run the graph until the workflow ends.

        Raises:
            GraphInterrupt: The workflow asks a question.
            CozeWorkflowError: The run failed.
        """
        wait_until_saved(self._config)
        return read_run(self._graph.invoke(self._input, self._child_config, durability=_DURABILITY))

    async def arun(self) -> WorkflowRun:
        """Async version of `run`; waits for the other calls of its task before an interrupt."""

        async def run() -> dict[str, Any]:
            await await_until_saved(self._config)
            return await self._graph.ainvoke(
                self._input, self._child_config, durability=_DURABILITY
            )

        return read_run(await call_with_siblings(self._config, run))


def build_nested_run(
    engine: WorkflowEngine,
    values: Mapping[str, Any],
    config: RunnableConfig,
    tool_call_id: str | None,
    **options: Any,
) -> NestedRun | None:
    """Return the nested graph of a tool call, or None outside a graph with a checkpointer.

    Args:
        engine: The engine of the workflow.
        values: The parameters of the call.
        config: The config of the tool.
        tool_call_id: The id of the call, or None.
        **options: See `build_workflow_graph`.
    """
    child_config = build_child_config(config, tool_call_id, name=_NAME)
    if child_config is None:
        return None
    return NestedRun(build_workflow_graph(engine, **options), values, config, child_config)


def read_run(state: Mapping[str, Any]) -> WorkflowRun:
    """Return the run from the output of a workflow's graph.

    Args:
        state: The output of the graph.

    Raises:
        CozeWorkflowError: The run failed.
    """
    failure = state.get("failure")
    if failure:
        response = failure.get("response")
        fields = {**failure, "response": ErrorResponse(*response) if response else None}
        raise CozeWorkflowError(**fields)
    return WorkflowRun.model_validate(state["run"])
