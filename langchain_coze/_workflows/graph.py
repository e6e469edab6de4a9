"""A workflow as a LangGraph graph, so that its questions are LangGraph interrupts.

On `Command(resume=…)` LangGraph reruns the whole interrupted node, and so the whole tool. To start
a run only once per call, the tool runs a small nested graph: start, then ask and resume for each
question. Its state is kept with the checkpoints of the outer graph, under the id of the tool call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.runnables.config import set_config_context
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from langchain_coze._workflows.engine import prepare_answer
from langchain_coze._workflows.langgraph_internals import build_child_config, call_with_siblings
from langchain_coze._workflows.plain_data import make_serializable
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import CozeError, CozeWorkflowError, ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Checkpointer

    from langchain_coze._workflows.engine import RunState, WorkflowEngine

_NAME = "coze_workflow"
_ERROR_FIELDS = ("message", "code", "status_code", "logid", "debug_url", "hint")


class WorkflowInput(TypedDict, total=False):
    """Input of a workflow's graph: values for the start node."""

    parameters: dict[str, Any]


class WorkflowOutput(TypedDict, total=False):
    """Output of a workflow's graph: the workflow's output, and its `WorkflowRun` as a dict."""

    output: Any
    run: dict[str, Any]


class _OutputWithFailure(WorkflowOutput, total=False):
    failure: dict[str, Any] | None


class WorkflowState(WorkflowInput, _OutputWithFailure, total=False):
    """State of a workflow's graph: plain data, so that any checkpointer can store it."""

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
    """The nodes that call Coze."""

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

    def start(self, state: WorkflowState) -> WorkflowState:
        parameters = self._read_parameters(state)
        with _FailureRecorder(keep=self._keep_start_failure) as failure:
            return _to_state(self._engine.start(parameters, self._make_reporter()))
        return failure.state

    async def astart(self, state: WorkflowState) -> WorkflowState:
        # in a thread, because it may read files
        parameters = await asyncio.to_thread(self._read_parameters, state)
        with _FailureRecorder(keep=self._keep_start_failure) as failure:
            return _to_state(await self._engine.astart(parameters, self._make_reporter()))
        return failure.state

    def _read_parameters(self, state: WorkflowState) -> Mapping[str, Any]:
        if self._read_given_parameters is not None:
            return self._read_given_parameters()
        return self._engine.prepare_inputs(state.get("parameters") or {}, source="network")

    def resume(self, state: WorkflowState) -> WorkflowState:
        with _FailureRecorder(keep=self._keep_resume_failure) as failure:
            return _to_state(
                self._engine.resume(*_get_resume_arguments(state), self._make_reporter())
            )
        return failure.state

    async def aresume(self, state: WorkflowState) -> WorkflowState:
        with _FailureRecorder(keep=self._keep_resume_failure) as failure:
            return _to_state(
                await self._engine.aresume(*_get_resume_arguments(state), self._make_reporter())
            )
        return failure.state


class _FailureRecorder:
    """Catches the failure of a run and keeps it as plain state, if `keep` is true."""

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
    """Return the interrupt, the answer, and the messages of the run so far."""
    return state["pending"] or {}, state["answer"], state["run"].get("messages") or []


def _to_state(run_state: RunState) -> WorkflowState:
    run = run_state.run.model_dump()
    return {"run": run, "pending": run_state.pending, "output": run["output"]}


def _route(state: WorkflowState) -> str:
    return "ask" if state.get("pending") else END


def _ask_user(state: WorkflowState, config: RunnableConfig) -> WorkflowState:
    # `interrupt` reads the config from a context variable, which may hold another task's: set it
    with set_config_context(config) as context:
        return context.run(_interrupt_until_valid, state["pending"] or {})


def _interrupt_until_valid(pending: dict[str, Any]) -> WorkflowState:
    """Interrupt until the answer is meant for this question and can be sent."""
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
        return {"answer": answer}


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
        return read_run(self._graph.invoke(self._input, self._child_config))

    async def arun(self) -> WorkflowRun:
        """Async version of `run`; waits for the other calls of its task before an interrupt."""

        def run() -> Awaitable[dict[str, Any]]:
            return self._graph.ainvoke(self._input, self._child_config)

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
